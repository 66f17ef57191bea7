/* proxy/limits/limits.c - what budgets need beside requests: the counters of a server, the connections of its workers. Main
 * thread, unless said otherwise in limits.h. */
#include "proxy/limits/limits.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/limits/limits_private.h"
#include "proxy/limits/limits_redis.h"
#include "proxy/net/worker.h"

enum gw_status limits_open(const struct proxy_config *cfg, struct limits **out, struct gw_err *err)
{
    char path[4096];
    struct limits *l = calloc(1, sizeof(*l));
    enum gw_status st;

    if (l == NULL)
        return gw_fail(err, GW_ENOMEM, "limits: out of memory");
    (void)pthread_mutex_init(&l->lock, NULL);
    st = snprintf(path, sizeof(path), "%s/limits.db", cfg->state_dir) < (int)sizeof(path)
             ? ledger_open(path, &l->ledger, err)
             : gw_fail(err, GW_ELIMIT, "%s: the path is too long", cfg->state_dir);
    if (st != GW_OK) {
        limits_close(l);
        return st;
    }
    *out = l;
    return GW_OK;
}

void limits_close(struct limits *l)
{
    if (l == NULL)
        return;
    ledger_close(l->ledger);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

enum gw_status limits_worker_open(struct worker *w)
{
    if (w->setup->cfg->redis.url[0] == '\0')
        return GW_OK;
    w->redis = limits_redis_open(w);
    return w->redis == NULL ? GW_ENOMEM : GW_OK;
}

void limits_worker_close(struct worker *w)
{
    limits_redis_close(w->redis);
    w->redis = NULL;
}

struct visit {
    void (*each)(void *ctx, const char *key, uint64_t used, uint64_t held, int64_t start_ms,
                 int64_t end_ms);
    void *ctx;
};

static void visit_counter(void *ctx, const char *key, const struct router_counter *c,
                          int64_t end_ms)
{
    const struct visit *v = ctx;

    v->each(v->ctx, key, c->used, c->held, c->start_ms, end_ms);
}

void limits_each(struct limits *l,
                 void (*each)(void *ctx, const char *key, uint64_t used, uint64_t held,
                              int64_t start_ms, int64_t end_ms),
                 void *ctx)
{
    struct visit v = {each, ctx};

    ledger_each(l->ledger, visit_counter, &v);
}
