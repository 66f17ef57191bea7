/* proxy/admin/metrics_cost.c - see metrics_cost.h: the workers' slots, summed by target and currency. */
#include "proxy/admin/metrics_cost.h"

#include <stddef.h>
#include <string.h>

#include "proxy/admin/metrics_text.h"
#include "proxy/cache/cache.h"
#include "proxy/net/worker.h"

/* What all workers together have of one target. */
struct row {
    const char *name, *currency; /* of a worker's slot: they never change */
    uint64_t tokens[METRICS_TOKEN_KINDS], cost_nano, saved_nano, unpriced, estimated, lost_tokens,
        lost_nano;
};

struct table {
    struct row rows[METRICS_MAX_TARGETS];
    unsigned n;
};

static uint64_t get(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* More names than rows, over all workers together, go to the last one. */
static struct row *row_of(struct table *t, const struct metrics_target *m)
{
    for (unsigned i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].name, m->name) == 0 && strcmp(t->rows[i].currency, m->currency) == 0)
            return &t->rows[i];
    if (t->n == METRICS_MAX_TARGETS)
        return &t->rows[t->n - 1];
    t->rows[t->n].name = m->name;
    t->rows[t->n].currency = m->currency;
    return &t->rows[t->n++];
}

static void collect(const struct server *s, struct table *t)
{
    for (unsigned w = 0; w < s->n_workers; w++) {
        const struct metrics *m = &s->workers[w].metrics;
        unsigned n = atomic_load_explicit(&m->n_targets, memory_order_acquire);

        for (unsigned i = 0; i < n; i++) {
            struct row *r = row_of(t, &m->targets[i]);

            for (unsigned k = 0; k < METRICS_TOKEN_KINDS; k++)
                r->tokens[k] += get(&m->targets[i].tokens[k]);
            r->saved_nano += get(&m->targets[i].saved_nano);
            r->cost_nano += get(&m->targets[i].cost_nano);
            r->unpriced += get(&m->targets[i].unpriced);
            r->estimated += get(&m->targets[i].estimated);
            r->lost_tokens += get(&m->targets[i].lost_tokens);
            r->lost_nano += get(&m->targets[i].lost_nano);
        }
    }
}

/* A target has a row a currency; what is no money is said once. */
static bool is_first(const struct table *t, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (strcmp(t->rows[k].name, t->rows[i].name) == 0)
            return false;
    return true;
}

/* Over all rows of that target, of the counter at that offset of struct row. */
static uint64_t sum(const struct table *t, const char *name, size_t at)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].name, name) == 0)
            n += *(const uint64_t *)(const void *)((const char *)&t->rows[i] + at);
    return n;
}

static void print_tokens(const struct table *t, struct gw_buf *out)
{
    static const char *const kinds[METRICS_TOKEN_KINDS] = {"prompt", "cached", "cache_write",
                                                           "completion", "reasoning"};

    metrics_head(
        out, "tokens_total", "counter",
        "Tokens, by kind; cached and cache_write are parts of prompt, reasoning of completion.");
    for (unsigned i = 0; i < t->n; i++)
        for (unsigned k = 0; k < METRICS_TOKEN_KINDS && is_first(t, i); k++)
            gw_buf_printf(
                out, "sluice_tokens_total{target=\"%s\",kind=\"%s\"} %llu\n", t->rows[i].name,
                kinds[k],
                (unsigned long long)sum(t, t->rows[i].name,
                                        offsetof(struct row, tokens) + k * sizeof(uint64_t)));
}

/* The counter of money at that offset of struct row. */
static void print_money(const struct table *t, const char *name, const char *help, size_t at,
                        struct gw_buf *out)
{
    char money[ROUTER_MONEY_BYTES];

    metrics_head(out, name, "counter", help);
    for (unsigned i = 0; i < t->n; i++) {
        router_money_print(*(const uint64_t *)(const void *)((const char *)&t->rows[i] + at),
                           money);
        gw_buf_printf(out, "sluice_%s{target=\"%s\",currency=\"%s\"} %s\n", name, t->rows[i].name,
                      t->rows[i].currency, money);
    }
}

static void print_count(const struct table *t, const char *name, const char *help, size_t at,
                        struct gw_buf *out)
{
    metrics_head(out, name, "counter", help);
    for (unsigned i = 0; i < t->n; i++)
        if (is_first(t, i))
            gw_buf_printf(out, "sluice_%s{target=\"%s\"} %llu\n", name, t->rows[i].name,
                          (unsigned long long)sum(t, t->rows[i].name, at));
}

/* The exact cache. */
static void print_cache(const struct server *s, struct gw_buf *out)
{
    static const struct {
        const char *result;
        size_t at;
    } results[] = {{"hit", offsetof(struct metrics, cache_hits)},
                   {"miss", offsetof(struct metrics, cache_misses)},
                   {"bypass", offsetof(struct metrics, cache_bypassed)}};
    struct cache_stats st;

    cache_stats(s->cache, &st);
    metrics_head(out, "cache_requests_total", "counter",
                 "Requests while the cache is on, by what it did.");
    for (unsigned i = 0; i < 3; i++) {
        uint64_t n = 0;

        for (unsigned w = 0; w < s->n_workers; w++)
            n += get((const _Atomic uint64_t *)(const void *)((const char *)&s->workers[w].metrics +
                                                              results[i].at));
        gw_buf_printf(out, "sluice_cache_requests_total{result=\"%s\"} %llu\n", results[i].result,
                      (unsigned long long)n);
    }
    metrics_head(out, "cache_evicted_total", "counter", "Answers that went for room.");
    gw_buf_printf(out, "sluice_cache_evicted_total %llu\n", (unsigned long long)st.evicted);
    gw_buf_printf(out,
                  "# HELP sluice_cache_entries Answers kept.\n# TYPE sluice_cache_entries gauge\n"
                  "sluice_cache_entries %llu\n"
                  "# HELP sluice_cache_bytes Memory they take.\n# TYPE sluice_cache_bytes gauge\n"
                  "sluice_cache_bytes %llu\n",
                  (unsigned long long)st.entries, (unsigned long long)st.bytes);
}

void metrics_cost_text(const struct server *s, struct gw_buf *out)
{
    struct table t = {.n = 0};

    collect(s, &t);
    print_tokens(&t, out);
    print_money(&t, "cost_total", "What the tokens cost.", offsetof(struct row, cost_nano), out);
    print_money(&t, "cost_saved_total", "What answers from the cache had cost when they were made.",
                offsetof(struct row, saved_nano), out);
    print_count(&t, "lost_tokens_total",
                "Tokens of attempts that gave no answer, which are in no other counter.",
                offsetof(struct row, lost_tokens), out);
    print_money(&t, "lost_cost_total", "What those attempts cost.", offsetof(struct row, lost_nano),
                out);
    print_count(&t, "unpriced_total", "Answers with tokens for which no price is known.",
                offsetof(struct row, unpriced), out);
    print_count(&t, "usage_estimated_total", "Answers whose tokens are partly an estimate.",
                offsetof(struct row, estimated), out);
    print_cache(s, out);
}
