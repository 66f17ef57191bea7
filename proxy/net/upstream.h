/* proxy/net/upstream.h - connections to providers and private servers: pooled, verified, with deadlines.
 *
 * A connection's life is drawn in upstream_conn.h, an attempt's in upstream.c.
 *
 * Invariants: (U1) TLS is always verified against the name; (U2) a connection is reused only when both
 * messages were complete, nothing was left over and both sides allow it; (U3) an attempt is repeated on a
 * fresh connection once, when a pooled one died before its first answer byte; (U4) cancel closes the
 * connection in the same loop turn; (U5) idle connections are of the worker's current setup, and only requests of that one
 * take them. Thread: the worker's. The backend table entry is backend_upstream. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

struct upstream_pool;
struct worker;

struct upstream_pool *upstream_pool_new(struct worker *w); /* NULL: out of memory */
void upstream_pool_free(struct upstream_pool *p);          /* closes idle ones; p may be NULL */
/* Closes what is idle: a draining worker needs none, and a new setup may name other servers. */
void upstream_pool_drain(struct upstream_pool *p);

#endif
