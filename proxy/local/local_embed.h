/* proxy/local/local_embed.h - POST /v1/embeddings answered by the embedding model in this process. Worker's thread. */
#ifndef PROXY_LOCAL_EMBED_H
#define PROXY_LOCAL_EMBED_H

#include "base/err.h"

struct req;
struct engine_embed_chan;

/* Begins the attempt, as a backend's start(); req->attempt is set. */
enum gw_status local_embed_start(struct req *req, unsigned target, struct gw_err *err);
void local_embed_cancel(struct req *req);
/* The channel of this worker to an embedder has events. */
void local_embed_dispatch(struct engine_embed_chan *chan);

#endif
