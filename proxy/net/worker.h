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
#include "proxy/net/metrics.h"
#include "proxy/net/setup.h"

struct event_base;
struct evdns_base;
struct event;
struct acceptor;
struct cache;
struct clients;
struct cache_redis;
struct conn;
struct keeper;
struct rule_builds;
struct tunnel;
struct pins;
struct prober;
struct upstream_pool;
struct proxy_store;
struct changes;
struct limits;
struct limits_redis;
struct limits_req;

/* What all workers share; immutable after start unless atomic or guarded. What a reload changes is in setup.h. */
struct witness_post;

struct server {
    pthread_mutex_t lock;
    struct setup *setup;   /* the current one; under lock, read by server_setup() */
    struct keeper *keeper; /* makes new ones, closes old ones (reload.h) */
    struct rule_builds *rule_builds;
    struct metrics_names *target_names;
    struct audit *audit;
    struct witness_post *witness;  /* NULL: nobody cosigns */
    struct audit_payload *payload; /* NULL: nothing is sealed */
    struct proxy_store *store;     /* NULL: no keys database */
    struct changes *changes;       /* of keys, on their way into the ledger */
    struct limits *limits;
    struct cache *cache; /* empty unless `cache.enabled` */
    struct pins *pins;   /* conversations that must stay in some zones */
    struct worker *workers;
    unsigned n_workers, max_workers; /* made; to be made */
    unsigned char hmac_key[32]; /* of this state directory: HMACs in records, placeholder keys */
    atomic_bool leaving;        /* not ready any more, but still serving (drain_delay) */
    atomic_int stop_level;      /* 0: serving; 1: draining; 2: drain time is over */
    atomic_uint n_running;      /* workers whose loops have not ended */
    atomic_uint n_conns;        /* over all workers, for the limit */
    unsigned max_conns;         /* what the limit of descriptors leaves room for */
    struct clients *clients;    /* who is connected, and memory held for requests */
    uint64_t half_memory;       /* limits.max_memory when it is not set */
    uint64_t start_ns;
    struct gw_energy *energy; /* NULL: nothing here tells what the processors take */
};

struct worker {
    struct server *server;
    unsigned index;
    struct event_base *base;
    struct evdns_base *dns;
    struct audit_chan *audit;
    struct dlp_scanner *scanner;
    struct gw_json *json;       /* scratch tokenizer */
    struct setup *setup;        /* current: what new requests begin with (setup.h) */
    struct setup_seat *old;     /* of earlier setups that requests are pinned to */
    struct event *reap;         /* setup_reap() is due */
    struct record_known *known; /* words that records may show; NULL: none was asked for */
    struct event *sweep;        /* sweep.h */
    bool sweep_due;
    struct upstream_pool *pool;
    struct prober
        *prober; /* worker 0: asks how the servers do (health_probe.h); NULL: the others */
    struct acceptor *acceptor; /* the listeners */
    struct event *wake;        /* server_stop() wakes the loop through wake_fd */
    struct event *audit_ev;
    int wake_fd;
    struct conn *conns;              /* list of all client connections */
    struct tunnel *tunnels;          /* list of CONNECTs that have not become connections */
    struct limits_redis *redis;      /* NULL: counters are not shared */
    struct limits_req *reservations; /* list of what this worker's requests hold of budgets */
    struct cache_redis *cache_redis; /* NULL: not used yet */
    struct metrics metrics;
    bool draining;
    atomic_bool trim;     /* asked to give up what malloc() keeps for it: */
    _Atomic(void *) kept; /* trim_take()'s, for the main thread */
    pthread_t thread;
    bool started;
};

/* Makes the loop, listeners and queues; start runs the loop in a thread of its own; stop_level moves on when the
 * wake descriptor is written. */
enum gw_status worker_init(struct worker *w, struct server *s, unsigned index, struct gw_err *err);
enum gw_status worker_start(struct worker *w, struct gw_err *err);
void worker_wake(struct worker *w); /* thread: any */
void worker_join(struct worker *w); /* waits until its loop has ended, if it ever ran */
/* Joins and frees everything; w may be half built. */
void worker_fini(struct worker *w);

/* A reference to the current setup, given back with server_setup_done(). Thread: any. */
struct setup *server_setup(struct server *s);
/* Gives a reference back and has the setup closed when it was the last, elsewhere. Thread: any. */
void server_setup_done(struct server *s, struct setup *setup);

/* Called when a connection is gone: may end a draining loop. */
void worker_conn_gone(struct worker *w);

#endif
