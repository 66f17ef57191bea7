/* proxy/net/connect.h - the explicit proxy port: CONNECT, a look at the ClientHello, then deny, splice or bump.
 *
 *   HEAD --CONNECT ok--> PEEK --ClientHello--> decide --+-- deny   -> closed (403 before PEEK, else silently)
 *     |                    |                            +-- splice -> DIAL -> RELAY -> closed
 *     +-- 400 403 405 407  +-- not TLS, 5 s: closed     +-- bump   -> conn_new() on the decrypted side
 *
 * The decision looks at the CONNECT host and the SNI; they must be the same name, or it is deny. Every tunnel that
 * is not bumped leaves one ai.shadow.seen record with its bytes. Worker's thread. */
#ifndef PROXY_CONNECT_H
#define PROXY_CONNECT_H

#include <stdint.h>

struct client;
struct worker;
struct bufferevent;

/* Takes over a connection that was accepted on the proxy port. */
void connect_accept(struct worker *w, struct bufferevent *bev, struct client *client,
                    const char *peer, uint16_t peer_port);

/* Closes tunnels that carry nothing yet; spliced ones go on until the drain time is over. */
void connect_drain(struct worker *w);
/* The drain time is over: closes the spliced ones too. */
void connect_stop(struct worker *w);

#endif
