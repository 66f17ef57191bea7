/* proxy/net/conn.h - one client connection: bytes to requests, answers to bytes, with back-pressure.
 *
 * A connection carries one request at a time; bytes of a pipelined next one wait in the input buffer. It
 * is owned by its worker and touched on that thread only.
 *
 *   IDLE --first byte--> HEAD --head ok--> BODY --complete--> BUSY --answer sent--> IDLE (keep-alive)
 *     |                   |                  |                  |                 \-> LINGER -> closed
 *     |                   +--refused---------+-- answer ------->+
 *     +--- close, idle timeout ---> closed          client gone: req_client_gone(), closed
 *
 * Invariants: (C1) at most one answer head per request; (C2) after an answer that could not be completed the
 * connection is closed, never reused; (C3) reading stops while more than CONN_OUT_HIGH bytes wait to be
 * written, and goes on below CONN_OUT_LOW. */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "base/types.h"

enum { CONN_OUT_HIGH = 256 * 1024, CONN_OUT_LOW = 64 * 1024 };

struct bufferevent;
struct client;
struct ssl_st;
struct worker;
struct req;
struct conn;
struct proxy_principal;
struct cert;

/* Where the requests of a connection may go. */
struct conn_fixed {
    const char
        *host; /* intercepted: the name that the client chose, lower case; NULL: gateway port */
    uint16_t port;
    const struct proxy_principal *who; /* whom the proxy port authenticated; NULL: nobody */
};

/* Takes over bev (a socket's, with deferred callbacks; what lies in its input is read first) and ssl (NULL: no TLS), both
 * freed with the connection, and starts reading requests. peer: "192.0.2.1" and port of the client. fixed: NULL on the gateway
 * port; else copied. client (clients.h) leaves with the connection. Frees both and returns NULL when out of memory. */
struct conn *conn_new(struct worker *w, struct bufferevent *bev, struct ssl_st *ssl,
                      struct client *client, const char *peer, uint16_t peer_port,
                      const struct conn_fixed *fixed);

struct worker *conn_worker(const struct conn *c);
const struct conn_fixed *conn_fixed(const struct conn *c); /* NULL on the gateway port */
struct client *conn_client(const struct conn *c);
const char *conn_peer(const struct conn *c, uint16_t *port);
/* The certificate that the client showed on the gateway port and OpenSSL verified; NULL: none. Lives as long as c. */
const struct cert *conn_certificate(struct conn *c);
struct conn *conn_next(const struct conn *c);

/* Closes when nothing is in flight, else after the current answer. */
void conn_drain(struct conn *c);

/* Ends the request in flight as stopped by the gateway and closes at once. */
void conn_stop(struct conn *c);

/* ---- for the request that is being answered ------------------------------------------------ */

/* Starts the answer. fields: complete header lines ("Name: value\r\n"), without framing and Connection.
 * length: bytes of the body, or -1: not known (chunked, or until close for HTTP/1.0). */
void conn_answer_head(struct conn *c, unsigned status, struct gw_span fields, int64_t length);
void conn_answer_body(struct conn *c, struct gw_span bytes);
/* The answer is complete; the request must be finished by now. */
void conn_answer_end(struct conn *c);
/* The answer cannot be completed: closes so that the client sees a cut message. */
void conn_answer_abort(struct conn *c);

bool conn_answer_started(const struct conn *c);
uint64_t conn_answer_bytes(const struct conn *c); /* body bytes of this answer */
/* True while the client reads slower than we write: the source must pause; req_writable() follows. */
bool conn_answer_full(struct conn *c);

/* Sends "100 Continue" when the client waits for it. */
void conn_continue(struct conn *c);

/* The request is over; called by request.c exactly once per request, after its answer ended. */
void conn_request_done(struct conn *c);

#endif
