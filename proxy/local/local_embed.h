/* proxy/local/local_embed.h - POST /v1/embeddings and /v1/rerank answered by the encoders in this process: local_embed.c
 * (attempts, vectors) and local_rerank.c (scores). Worker's thread. */
#ifndef PROXY_LOCAL_EMBED_H
#define PROXY_LOCAL_EMBED_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/engine.h"

struct req;
struct setup;

/* Begins the attempt, as a backend's start(); req->attempt is set. */
enum gw_status local_embed_start(struct req *req, unsigned target, struct gw_err *err);
enum gw_status local_rerank_start(struct req *req, unsigned target, struct gw_err *err);
/* Of both. */
void local_embed_cancel(struct req *req);
/* Is the target's encoder one that scores? It must have one. */
bool local_reranks(const struct setup *s, unsigned target);
/* The channel of this worker to an embedder has events. */
void local_embed_dispatch(struct engine_embed_chan *chan);

/* ---- private to the two files ------------------------------------------------------------- */

/* What was asked of an encoder and not answered yet. */
struct local_attempt {
    struct req *req;
    struct engine_embed_chan *chan;
    uint64_t id;
    bool base64;    /* vectors */
    unsigned top_n; /* scores; 0: all */
    const struct gw_span
        *documents; /* that the answer returns; NULL: none. The request's arena's */
};

/* Begins an attempt like that: submits the texts, a query and documents when score is set. */
enum gw_status local_embed_begin(struct req *req, unsigned target, const struct local_attempt *like,
                                 const struct gw_span *texts, unsigned n, bool score,
                                 struct gw_err *err);

/* Says which member of the request is wrong. GW_EINVAL. */
enum gw_status local_embed_bad(struct req *req, const char *param, const char *what,
                               struct gw_err *err);

/* Appends the answer with the scores of ev. Out of memory: out has failed. */
void local_rerank_write(struct gw_buf *out, const struct local_attempt *a,
                        const struct engine_embed_event *ev);

#endif
