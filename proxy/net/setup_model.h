/* proxy/net/setup_model.h - a model in memory, counted apart from setups: a reload does not load it again. For setup.c.
 * Thread: any but a loop's; counts are atomic. */
#ifndef PROXY_SETUP_MODEL_H
#define PROXY_SETUP_MODEL_H

#include <sys/stat.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "base/digest.h"
#include "base/err.h"
#include "engine/engine.h"
#include "proxy/config/config.h"
#include "proxy/net/model_manifest.h"

struct setup_model {
    struct engine *engine; /* one of the two */
    struct engine_embedder
        *embedder; /* vectors or scores; which it is, the model's own words say (engine_kind) */
    char *path;
    char *device;     /* as the configuration names it */
    char *adapters;   /* what tells the target's adapters and draft model apart from others */
    struct stat file; /* as it was opened: a file that was replaced is another model */
    char digest[GW_SHA256_HEX_BYTES]; /* of its bytes (model_digest.h) */
    struct model_manifest manifest;   /* who vouches for it, or empty */
    unsigned threads, max_context, max_seqs, kv, prefixes, weights, split;
    atomic_uint refs;
};

/* Loads the target's model, and says which it is. *out has one reference. Errors as engine_open(), with the target's name. */
enum gw_status setup_model_open(const struct proxy_config_target *t, const struct proxy_config *cfg,
                                bool progress, struct setup_model **out, struct gw_err *err);
/* Is this what setup_model_open() would load? m may be NULL: no. */
bool setup_model_suits(const struct setup_model *m, const struct proxy_config_target *t);
struct setup_model *setup_model_ref(struct setup_model *m);
void setup_model_unref(struct setup_model *m); /* m may be NULL; the last one closes it */

#endif
