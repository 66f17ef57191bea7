/* proxy/local/local_embed.h - POST /v1/embeddings answered by the embedding model in this process. Worker's thread. */
#ifndef PROXY_LOCAL_EMBED_H
#define PROXY_LOCAL_EMBED_H

#include "base/err.h"

struct req;
struct worker;

/* Begins the attempt, as a backend's start(); req->attempt is set. */
enum gw_status local_embed_start(struct req *req, unsigned target, struct gw_err *err);
void local_embed_cancel(struct req *req);
/* The embedder of that target has events for this worker. */
void local_embed_dispatch(struct worker *w, unsigned target);

#endif
