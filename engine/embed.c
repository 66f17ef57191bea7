/* engine/embed.c - the public calls of the embedder. See engine.h. */
#include <stdlib.h>

#include "engine/embed_private.h"

struct engine_embedder {
    unsigned max_unfinished;
};

enum gw_status engine_embedder_open(const struct engine_embed_config *cfg,
                                    struct engine_embedder **out, struct gw_err *err)
{
    (void)out;
    return gw_fail(err, GW_EUNSUPPORTED, "%s: embedding models are not built in yet",
                   cfg->model_path);
}

void engine_embedder_close(struct engine_embedder *e)
{
    free(e);
}

void engine_embedder_info(const struct engine_embedder *e, struct engine_embed_info *out)
{
    (void)e;
    *out = (struct engine_embed_info){0};
}

enum gw_status engine_embed_inspect(const char *path, struct engine_embed_info *out,
                                    struct gw_err *err)
{
    (void)out;
    return gw_fail(err, GW_EUNSUPPORTED, "%s: embedding models are not built in yet", path);
}

void engine_embedder_stats(const struct engine_embedder *e, struct engine_embed_stats *out)
{
    (void)e;
    *out = (struct engine_embed_stats){0};
}

struct engine_embed_chan *engine_embed_chan_new(struct engine_embedder *e)
{
    return embed_chan_new(e, e->max_unfinished);
}

enum gw_status engine_embed_submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                                   unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                                   struct gw_err *err)
{
    (void)ch;
    (void)texts;
    (void)n_texts;
    (void)deadline_ns;
    (void)ctx;
    (void)id;
    return gw_fail(err, GW_EUNSUPPORTED, "embedding models are not built in yet");
}
