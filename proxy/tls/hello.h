/* proxy/tls/hello.h - reads a TLS ClientHello without consuming it, to decide what to do with a connection.
 *
 * The caller peeks: it shows all bytes so far, again and again, until there is an answer; the bytes stay
 * in its buffer for whoever does the handshake. Every length is checked; a hello that TLS forbids is
 * HELLO_BAD, so that we never decide on a name which a server could read otherwise. Formats: RFC 8446
 * section 4.1.2 and 5.1, RFC 6066 section 3 (server name), RFC 7301 (ALPN). No I/O, no crypto.
 * Thread: the worker's. */
#ifndef PROXY_HELLO_H
#define PROXY_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum { HELLO_MAX_BYTES = 16 * 1024, HELLO_NAME_MAX = 253, HELLO_ALPN_MAX = 256 };

enum hello_result {
    HELLO_NEED_MORE,
    HELLO_NOT_TLS,  /* the first bytes are no TLS handshake record: plain HTTP perhaps */
    HELLO_TOO_LONG, /* no complete hello within HELLO_MAX_BYTES */
    HELLO_BAD,      /* TLS, but not a ClientHello that a server may accept */
    HELLO_DONE,
};

struct hello {
    char sni[HELLO_NAME_MAX + 1]; /* lower case, a valid host name; "" when the client sent none */
    /* What ALPN offers, as on the wire: length byte and name, again and again. Names that do not fit
     * any more are left out. */
    unsigned char alpn[HELLO_ALPN_MAX];
    size_t alpn_len; /* bytes */
    bool has_alpn;
    bool has_ech; /* an encrypted ClientHello (or the GREASE look-alike): sni is the outer name */
};

struct hello_reader;

/* NULL when out of memory. */
struct hello_reader *hello_reader_new(void);
void hello_reader_free(struct hello_reader *r); /* r may be NULL */

/* Shows all bytes received so far; they begin with those of the call before. Fills *out on HELLO_DONE
 * only. Each byte is looked at once in all calls together. After another answer than HELLO_NEED_MORE
 * every call repeats it (HELLO_DONE fills *out again). */
enum hello_result hello_read(struct hello_reader *r, struct gw_span so_far, struct hello *out);

/* Whether the client offers this protocol ("h2", "http/1.1"). */
bool hello_offers(const struct hello *h, const char *protocol);

#endif
