/* tests/unit/engine/rig.h - a model with cache and step, without scheduler or tokenizer. */
#ifndef TESTS_UNIT_ENGINE_RIG_H
#define TESTS_UNIT_ENGINE_RIG_H

#include <sys/wait.h>

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/forward.h"
#include "engine/gguf.h"
#include "engine/kvcache.h"
#include "engine/model.h"
#include "engine/pool.h"

#define RIG_SHARED "../shared/models"

struct rig {
    struct gguf *g;
    struct pool *p;
    struct model m;
    struct kvcache *kv;
    struct forward *f;
};

enum { RIG_CONTEXT = 1024, RIG_SEQS = 8, RIG_STEP = 64 };

static inline void rig_fini(struct rig *r)
{
    forward_free(r->f);
    kvcache_free(r->kv);
    model_fini(&r->m);
    pool_free(r->p);
    gguf_close(r->g);
    *r = (struct rig){0};
}

/* level: NULL, "scalar", "avx2", "avx512". Logits are kept for every token of a step. */
static inline enum gw_status rig_init(struct rig *r, const char *path, const char *level,
                                      unsigned threads, struct gw_err *err)
{
    const struct kern_ops *ops = kern_ops(level);
    enum gw_status st;

    *r = (struct rig){0};
    st = gguf_open(path, &r->g, err);
    if (st == GW_OK)
        st = pool_new(threads, &r->p, err);
    if (st == GW_OK)
        st = model_load(&r->m, r->g, ops, r->p, NULL, NULL, err);
    if (st == GW_OK) {
        struct kvcache_shape shape = {.n_layers = r->m.n_layers,
                                      .n_kv_heads = r->m.n_kv_heads,
                                      .head_dim = r->m.head_dim,
                                      .n_tokens = RIG_CONTEXT * RIG_SEQS,
                                      .max_seq_tokens = RIG_CONTEXT};

        st = kvcache_new(&shape, &r->kv, err);
    }
    if (st == GW_OK)
        st = forward_new(&r->m, r->kv, r->p, RIG_STEP, RIG_STEP, RIG_CONTEXT, &r->f, err);
    if (st != GW_OK)
        rig_fini(r);
    return st;
}

/* The folder with the generated models (below the build root, shared by all variants), made on the
 * first call. NULL, with the reason in why, when it cannot be made here. */
static inline const char *rig_models(char why[256])
{
    static char dir[PATH_MAX];
    char exe[PATH_MAX], cmd[3 * PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    FILE *f;
    int rc;

    if (n <= 0)
        return NULL;
    exe[n] = '\0'; /* ROOT/VARIANT/tests/unit/engine/NAME, ROOT/VARIANT/gpu/NAME */
    for (const char *last = strrchr(exe, '/');
         strncmp(last, "/release", 8) != 0 && strncmp(last, "/debug", 6) != 0;) {
        (void)dirname(exe);
        last = strrchr(exe, '/');
        if (last == NULL || last == exe)
            return NULL;
    }
    (void)dirname(exe);
    (void)snprintf(dir, sizeof(dir), "%.*s/test-models", PATH_MAX - 32, exe);
    (void)snprintf(cmd, sizeof(cmd), "tests/unit/engine/models.sh '%s/gen_models.py' '%s'",
                   RIG_SHARED, dir);
    f = popen(cmd, "re"); /* no input from outside: two paths of this build */
    if (f == NULL)
        return NULL;
    if (fgets(why, 256, f) != NULL)
        why[strcspn(why, "\n")] = '\0';
    rc = pclose(f);
    return WIFEXITED(rc) && WEXITSTATUS(rc) == 0 ? dir : NULL;
}

#endif
