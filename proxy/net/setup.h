/* proxy/net/setup.h - one loaded configuration and everything that was opened for it.
 *
 * A reload makes a second setup while the first one serves; requests that began under the first end under it.
 *
 *   server->setup ──► the current one           worker->setup ──► what this worker gives to new requests
 *                                                req->setup    ──► what this request began with
 *
 * Invariants: (S1) a setup is immutable once setup_open() has returned it, but for its counts and seats; (S2) whoever
 * reads one holds it: the server holds its current one, a worker holds each setup it has a seat in use of (its current
 * one, and older ones while a request or tunnel of that worker is pinned to them), every other thread takes
 * server_setup() and gives it back with server_setup_done(); (S3) a request pins at its begin and reads its configuration
 * through req->setup alone, so it never sees two of them; connections without a request read worker->setup anew in each
 * callback and keep no pointer into it beyond the callback; (S4) seats[i] belongs to worker i: nobody else touches it, so
 * a pin costs no atomic operation; (S5) a setup that nobody holds any more is closed by the keeper's
 * thread, or when the server is closed: closing a model or a library is nothing for a loop; (S6) a connection to a target belongs to the setup it
 * was made under and is reused under no other (upstream.c). */
#ifndef PROXY_SETUP_H
#define PROXY_SETUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dlp/dlp.h"
#include "engine/engine.h"
#include "proxy/config/config.h"

struct health;
struct identity;
struct leaf_mint;
struct metrics_names;
struct provider_tokens;
struct setup_model;
struct model_manifest;
struct ssl_ctx_st;
struct worker;
struct event;

/* What one worker has of a setup. Thread: that worker's. */
struct setup_seat {
    _Alignas(64) struct worker *w; /* NULL: not in use */
    struct setup *setup;
    unsigned pins;                          /* requests and tunnels of this worker */
    struct engine_chan **engines;           /* per target; NULL where it is not an engine */
    struct engine_embed_chan **embed_chans; /* per target; NULL where it is no embedding model */
    struct event **events;                  /* per target: the channel's */
    struct setup_call *calls;               /* per target: what the event is called with */
    struct setup_seat *next_old;            /* worker->old */
};

struct setup {
    struct proxy_config *cfg; /* owned */
    struct dlp_rules *rules;
    struct health *health;          /* of the targets' servers; goes on from the setup before */
    struct provider_tokens *tokens; /* NULL: no target needs any */
    struct identity *identity;      /* tokens and certificates of clients */
    struct leaf_mint *mint;         /* NULL: no interception */
    struct setup_model *
        *models;             /* per target; counted, shared by setups; NULL where it is no engine */
    struct engine **engines; /* per target, of its model; NULL where it is not an engine */
    struct engine_embedder **embedders; /* per target, of its model; NULL where it is none */
    struct ssl_ctx_st **target_tls;     /* per target; NULL where it is not TLS */
    unsigned char *slots;               /* per target: its place in metrics.times */
    struct ssl_ctx_st *listen_tls;      /* gateway port; NULL: plain */
    struct ssl_ctx_st *intercept_tls;   /* towards intercepted hosts */
    uint64_t serial;                    /* 1 for the first one of a server, then up */
    atomic_uint refs, n_seated;         /* n_seated: workers that have switched to it */
    struct setup_seat *seats;           /* one a worker */
    unsigned n_seats;
    struct setup *next; /* the keeper's list of those nobody reads any more */
};

/* Opens rules, TLS contexts, the CA, models and tokens. like: the setup it will follow, whose models are shared where
 * path, file and parameters are the same; or NULL. cfg belongs to the setup on success, else still to the caller. *out has
 * one reference. progress: prints what takes long. Reads files and may take seconds. Thread: any but a loop's. */
enum gw_status setup_open(struct proxy_config *cfg, const struct setup *like, unsigned n_workers,
                          bool progress, struct setup **out, struct gw_err *err);
/* Gives the targets their places in the metrics. Before anybody else sees s. */
void setup_name_targets(struct setup *s, struct metrics_names *names);

/* Which model answers for the target, when it is in the process (model_digest.h); else "". Thread: any. */
const char *setup_model_digest(const struct setup *s, unsigned target);
/* The models in the process, a line each, as audit.h wants them. *out is the caller's (gw_buf_fini). */
void setup_models_text(const struct setup *s, struct gw_buf *out);
/* Who vouches for it; empty: nobody, or it is not in the process. */
const struct model_manifest *setup_model_manifest(const struct setup *s, unsigned target);

struct setup *setup_ref(struct setup *s);
/* True: that was the last one, and the caller must have it closed (setup_close()). s may be NULL. Thread: any. */
bool setup_unref(struct setup *s);
/* Closes everything; no reference may be left. Takes its time. s may be NULL. */
void setup_close(struct setup *s);

/* ---- a worker's part; thread: the worker's, or before it has started ------------------------- */

/* Takes the seat: a channel to each model. Takes a reference. GW_ENOMEM: nothing was taken. */
enum gw_status setup_sit(struct setup *s, struct worker *w);
/* Gives it up: closes the channels and gives the reference to server_setup_done(). No pin may be left. */
void setup_rise(struct setup *s, struct worker *w);

/* The worker's current setup, held until setup_unpin(). Costs no atomic operation. */
struct setup *setup_pin(struct worker *w);
void setup_unpin(struct worker *w, struct setup *s);
struct setup_seat *setup_seat(const struct setup *s, const struct worker *w);

/* Gives up the older setups that nothing is pinned to any more: called in a turn of the loop of its own, because what
 * unpins may stand below a channel's dispatch. */
void setup_reap(struct worker *w);

#endif
