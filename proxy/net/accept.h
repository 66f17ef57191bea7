/* proxy/net/accept.h - a worker's listeners: who is let in, who is told to come back, and what happens when accepting fails.
 *
 * Beyond limits.max_connections (of all) and max_connections_per_client a connection gets a whole 503 or 429 with Retry-After
 * at once, before anything is read from it and at the price of a descriptor for a moment; when too many are being told, it is
 * closed. Once a second the listeners are asked directly too: one whose watch was lost (epoll_ctl() failed for want of kernel
 * memory) is found and watched anew. Thread: the worker's. */
#ifndef PROXY_ACCEPT_H
#define PROXY_ACCEPT_H

#include "base/err.h"

struct worker;
struct acceptor;

/* Listens where the worker's setup says; w->acceptor. On failure accept_close() is still to be called. */
enum gw_status accept_open(struct worker *w, struct gw_err *err);
/* No more connections: draining. */
void accept_stop(struct worker *w);
void accept_close(struct worker *w); /* frees w->acceptor, which may be NULL */

#endif
