/* proxy/net/egress.h - a tunnel through somebody else's HTTP proxy: CONNECT on a socket that is connected to it.
 *
 *   send CONNECT host:port [Proxy-Authorization] -> read the answer's head -> 2xx: the socket is the target's
 *
 * Not a byte behind the head is taken from the socket. TLS with the target, and its verification, come after this: the proxy
 * sees names and ciphertext. Thread: the loop's. */
#ifndef PROXY_EGRESS_H
#define PROXY_EGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct event_base;
struct egress;

/* ok: the tunnel stands. Else why; the caller closes the socket. */
typedef void (*egress_done_fn)(void *ctx, bool ok, const char *why);

/* Starts on fd, which stays the caller's. proxy: "host:port" for messages; host, port: where to; auth: "user:password" or empty.
 * done is called once, never from inside. The caller has the deadline. NULL: out of memory. */
struct egress *egress_start(struct event_base *base, int fd, const char *proxy, const char *host,
                            uint16_t port, struct gw_span auth, egress_done_fn done, void *ctx);
void egress_free(struct egress *e); /* nothing is called any more; e may be NULL */

#endif
