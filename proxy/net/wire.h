/* proxy/net/wire.h - bytes to and from a peer over one socket, with TLS or without, in as few system calls as it takes.
 *
 *   socket <-> bufferevent <-> [records <-> OpenSSL <->] wire_in(), wire_out()
 *
 * libevent writes what was added to a bufferevent when epoll says so: two epoll_ctl() and one more turn of the loop for each
 * answer and each event of a stream, though a socket has room nearly always; it asks how much there is before it reads; and
 * its own TLS reads each record in two steps and writes each part of a buffer as a record of its own. So sockets are read
 * here, what was added is written at the end of the turn of the loop or at once, and only what the socket does not take is
 * left to the bufferevent. Its high mark is not used either: above it the read callback is called again and again.
 *
 * Invariants: (B1) bytes come in their order, all of them before the end is reported, and the end is reported once; (B2) a TLS
 * peer that leaves without close_notify broke the connection (BEV_EVENT_ERROR), it did not end it (BEV_EVENT_EOF); (B3) plain
 * text and records that wait are bounded by in_high and one read on the way in, and by WIRE_RECORDS_HIGH below wire_out().
 * Thread: the loop's. */
#ifndef PROXY_WIRE_H
#define PROXY_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum { WIRE_RECORDS_HIGH = 64 * 1024 };

struct bufferevent;
struct evbuffer;
struct event_base;
struct ssl_st;
struct wire;

/* Called from the loop, never from inside a wire_*() function. Each may call wire_free(). */
struct wire_calls {
    void (*read)(void *ctx);  /* something came: wire_in() */
    void (*write)(void *ctx); /* not more than out_low waits in wire_waiting(); may be NULL */
    /* what: BEV_EVENT_CONNECTED when TLS stands; else it is over: BEV_EVENT_EOF, _ERROR or _TIMEOUT. */
    void (*event)(void *ctx, short what);
};

struct wire_config {
    struct event_base *base;
    struct ssl_st *ssl; /* NULL: no TLS */
    bool accepts;       /* the server's side of TLS */
    size_t in_high;     /* reading stops while more waits in wire_in() */
    size_t out_low;
    int stall_s; /* a peer that takes nothing for so long is given up; 0: never */
    const struct wire_calls *calls;
    void *ctx;
};

/* Takes over bev (its socket is closed with it; made with deferred callbacks; what lies in its buffers is kept) and cfg->ssl,
 * also when it fails. Starts the handshake and reads. NULL: out of memory. */
struct wire *wire_new(struct bufferevent *bev, const struct wire_config *cfg);
/* Nothing is called any more. w may be NULL. */
void wire_free(struct wire *w);

/* What has come; the caller drains it. */
struct evbuffer *wire_in(struct wire *w);
/* Moves more into wire_in() when that is empty, and reads again when there is room: a reader calls it before each piece that
 * it takes. */
void wire_fill(struct wire *w);
void wire_pause(struct wire *w);
void wire_resume(struct wire *w);

/* Adds bytes that go out at the end of this turn of the loop. */
void wire_put(struct wire *w, struct gw_span bytes);
/* To add more to before wire_flush(). */
struct evbuffer *wire_out(struct wire *w);
/* Writes now. True: nothing is left. */
bool wire_flush(struct wire *w);
/* Bytes that the socket has not taken. */
size_t wire_waiting(struct wire *w);
/* True: nothing lies in any buffer, on either way. */
bool wire_is_clean(struct wire *w);

bool wire_is_tls(const struct wire *w);
/* close_notify, once, without waiting for the peer's; to be called when all was written. */
void wire_goodbye(struct wire *w);
/* No more bytes will be sent (a plain socket). */
void wire_shutdown(struct wire *w);
/* For what it knows of the peer, such as its certificate; NULL: no TLS. */
struct ssl_st *wire_ssl(const struct wire *w);

/* OpenSSL's code of the failure that event() reported; 0: not TLS' fault. */
unsigned long wire_error(const struct wire *w);

#endif
