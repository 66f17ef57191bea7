/* proxy/net/worker.h - one event loop and everything that belongs to its thread.
 *
 * Invariants: (W1) nothing a worker owns is touched by another thread; (W2) nothing on its loop blocks: no
 * file access, no getaddrinfo, no waiting for a queue; (W3) every connection is in exactly one list of its
 * worker until it is freed. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/json.h"
#include "dlp/dlp.h"
#include "engine/engine.h"
#include "proxy/config/config.h"
#include "proxy/net/metrics.h"

struct event_base;
struct evdns_base;
struct event;
struct evconnlistener;
struct ssl_ctx_st;
struct server;
struct conn;
struct tunnel;
struct engine_event_ctx;
struct upstream_pool;
struct leaf_mint;
struct proxy_store;
struct provider_tokens;

/* What all workers share; immutable after start unless atomic. */
struct server {
    const struct proxy_config *cfg;
    struct dlp_rules *rules;
    struct audit *audit;
    struct proxy_store *store;          /* NULL: no keys database */
    struct provider_tokens *tokens;     /* NULL: no target needs any */
    struct leaf_mint *mint;             /* NULL: no interception */
    struct engine **engines;            /* per target; NULL where it is not an engine */
    struct engine_embedder **embedders; /* per target; NULL where it is none */
    struct ssl_ctx_st **target_tls;     /* per target; NULL where it is not TLS */
    struct ssl_ctx_st *listen_tls;      /* gateway port; NULL: plain */
    struct ssl_ctx_st *intercept_tls;   /* towards intercepted hosts */
    struct worker *workers;
    unsigned n_workers;
    unsigned char hmac_key[32]; /* of this state directory: HMACs in records, placeholder keys */
    atomic_int stop_level;      /* 0: serving; 1: draining; 2: drain time is over */
    atomic_uint n_running;      /* workers whose loops have not ended */
    atomic_uint n_conns;        /* over all workers, for the limit */
    uint64_t start_ns;
};

struct worker {
    struct server *server;
    unsigned index;
    struct event_base *base;
    struct evdns_base *dns;
    struct audit_chan *audit;
    struct dlp_scanner *scanner;
    struct gw_json *json;                   /* scratch tokenizer */
    struct engine_chan **engines;           /* per target; NULL where it is not an engine */
    struct engine_embed_chan **embed_chans; /* per target; NULL where it is no embedding model */
    struct upstream_pool *pool;
    struct evconnlistener *gateway, *proxy; /* NULL when off or draining */
    struct event *wake;                     /* server_stop() wakes the loop through wake_fd */
    struct event *audit_ev, **engine_evs;
    struct engine_event_ctx *engine_ctx; /* per target: what its event is called with */
    int wake_fd;
    struct conn *conns;     /* list of all client connections */
    struct tunnel *tunnels; /* list of CONNECTs that have not become connections */
    struct metrics metrics;
    bool draining;
    pthread_t thread;
    bool started;
};

/* Makes the loop, listeners and queues; start runs the loop in a thread of its own; stop_level moves on when the
 * wake descriptor is written. */
enum gw_status worker_init(struct worker *w, struct server *s, unsigned index, struct gw_err *err);
enum gw_status worker_start(struct worker *w, struct gw_err *err);
void worker_wake(struct worker *w); /* thread: any */
/* Joins the thread and frees everything; w may be half built. */
void worker_fini(struct worker *w);

/* Called when a connection is gone: may end a draining loop. */
void worker_conn_gone(struct worker *w);

#endif
