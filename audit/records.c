/* audit/records.c - see records.h. */
#include "audit/records.h"

#include <stdlib.h>
#include <string.h>

#include "audit/kafka_read.h"
#include "audit/spool_merge.h"

enum { RING = 4096, MAX_CHAINS = 4096 };

/* The sequences of a chain that came last. */
struct seen {
    char chain[SPOOL_CHAIN_BYTES];
    uint64_t highest;
    uint64_t ring[RING];
};

struct topic_pass {
    records_fn each;
    void *ctx;
    struct seen **seen;
    size_t n_seen, at; /* at: the chain asked for last */
    struct gw_err *err;
};

static struct seen *seen_of(struct topic_pass *p, struct gw_span chain)
{
    struct seen **grown, *s;

    if (chain.len >= SPOOL_CHAIN_BYTES)
        chain.len = SPOOL_CHAIN_BYTES - 1;
    if (p->at < p->n_seen && gw_span_is(chain, p->seen[p->at]->chain))
        return p->seen[p->at];
    for (p->at = 0; p->at < p->n_seen; p->at++)
        if (gw_span_is(chain, p->seen[p->at]->chain))
            return p->seen[p->at];
    if (p->n_seen == MAX_CHAINS)
        return NULL;
    grown = realloc((void *)p->seen, (p->n_seen + 1) * sizeof(struct seen *));
    if (grown != NULL)
        p->seen = grown;
    s = grown == NULL ? NULL : calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    if (chain.len != 0)
        memcpy(s->chain, chain.ptr, chain.len);
    p->seen[p->n_seen++] = s;
    return s;
}

static enum gw_status on_message(void *ctx, const struct kafka_message *m)
{
    struct topic_pass *p = ctx;
    struct spool_rec rec;
    struct seen *s;

    if (!kafka_read_record(m, &rec))
        return GW_OK; /* verify speaks of it */
    s = seen_of(p, m->key);
    if (s == NULL)
        return gw_fail(p->err, GW_ENOMEM,
                       "out of memory, or more than %d chains: name a shorter time", MAX_CHAINS);
    if (s->ring[rec.seq % RING] == rec.seq ||
        (s->highest > rec.seq && s->highest - rec.seq >= RING))
        return GW_OK;
    s->ring[rec.seq % RING] = rec.seq;
    if (rec.seq > s->highest)
        s->highest = rec.seq;
    return p->each(p->ctx, &rec);
}

static enum gw_status each_of_topic(const struct audit_kafka *kafka, int64_t from_ms,
                                    records_fn each, void *ctx, struct gw_err *err)
{
    struct topic_pass p = {.each = each, .ctx = ctx, .err = err};
    enum gw_status st = kafka_read_io.read(kafka, kafka->topic, from_ms, on_message, &p, err);

    for (size_t i = 0; i < p.n_seen; i++)
        free(p.seen[i]);
    free((void *)p.seen);
    return st;
}

enum gw_status records_each(const char *spool_dir, const struct audit_kafka *kafka, int64_t from_ms,
                            records_fn each, void *ctx, struct gw_err *err)
{
    const struct spool_rec *rec;
    struct spool_merge m;
    enum gw_status st;

    if (kafka != NULL)
        return each_of_topic(kafka, from_ms, each, ctx, err);
    GW_TRY(spool_merge_open(&m, spool_dir, err));
    st = GW_OK;
    while (st == GW_OK && (rec = spool_merge_next(&m)) != NULL)
        st = each(ctx, rec);
    if (st == GW_OK)
        st = m.st;
    spool_merge_fini(&m);
    return st;
}
