/* audit/verify_topic.c - `sluice audit verify kafka://...`: first the checkpoints, then the records, in one pass over each topic. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/kafka_read.h"
#include "audit/ledger.h"
#include "audit/topic_chain.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/digest.h"

enum { MAX_CHAINS = 1 << 16, MAX_NOTES = 1 << 26, MAX_GAPS = 10000, BUCKETS = 1 << 12 };

struct topics {
    struct verify_tally t;
    struct note_key keys[VERIFY_MAX_KEYS];
    unsigned n_keys;
    struct topic_note *notes; /* by chain, tree and size once they are all there */
    size_t n_notes, cap_notes, unsigned_notes;
    struct topic_chain **chains;
    size_t n_chains, cap_chains;
    uint32_t bucket[BUCKETS]; /* 1 + the last chain of that hash that was asked for */
    struct ledger_gap *gaps;
    size_t n_gaps;
    uint64_t n_records, foreign;
    int64_t oldest_ms; /* time of the oldest record in the topic */
    struct gw_err *err;
};

/* ---- checkpoints -------------------------------------------------------------------------------- */

/* "gw-1/5f1c0a77.0+1": chain and first sequence. */
static bool read_origin(struct gw_span origin, struct topic_note *out)
{
    const char *plus = origin.len == 0 ? NULL : memrchr(origin.ptr, '+', origin.len);
    uint64_t n = 0;

    if (plus == NULL || (size_t)(plus - origin.ptr) >= sizeof(out->chain))
        return false;
    for (const char *p = plus + 1; p < origin.ptr + origin.len; p++) {
        if (*p < '0' || *p > '9' || n > UINT64_MAX / 20)
            return false;
        n = n * 10 + (uint64_t)(*p - '0');
    }
    memcpy(out->chain, origin.ptr, (size_t)(plus - origin.ptr));
    out->first_seq = n;
    return n != 0;
}

static enum gw_status add_note(struct topics *v, const struct note *note, bool last_known)
{
    const char *const which = last_known ? "the last known checkpoint" : "the checkpoint";
    struct topic_note *n;
    struct merkle edge;

    if (!verify_signed(v->keys, v->n_keys, note)) {
        v->t.altered = true;
        verify_tell(&v->t,
                    "ALTERED    %s of %.*s at %" PRIu64 " records: no known key has signed it\n",
                    which, (int)note->origin.len, note->origin.ptr, note->size);
        return GW_OK;
    }
    if (v->n_notes == v->cap_notes) {
        size_t cap = v->cap_notes == 0 ? 1024 : v->cap_notes * 2;
        void *p = v->n_notes >= MAX_NOTES ? NULL : realloc(v->notes, cap * sizeof(*v->notes));

        if (p == NULL)
            return gw_fail(v->err, GW_ENOMEM, "out of memory for the checkpoints");
        v->notes = p;
        v->cap_notes = cap;
    }
    n = &v->notes[v->n_notes];
    *n = (struct topic_note){.size = note->size,
                             .last_seq = note->last_seq,
                             .root = note->root,
                             .time_ms = note->time_ms,
                             .last_known = last_known};
    if (!read_origin(note->origin, n))
        return GW_OK; /* signed, and not about a chain of ours */
    if (note_edge(note, &edge) && (n->edge = malloc(sizeof(edge))) != NULL)
        *n->edge = edge;
    v->n_notes++;
    return GW_OK;
}

static enum gw_status on_note(void *ctx, const struct kafka_message *m)
{
    struct topics *v = ctx;
    struct gw_span text = m->value;
    struct note note;

    if (note_read(&text, &note) != GW_OK) {
        v->t.altered = true;
        verify_tell(&v->t, "ALTERED    a message in the topic of the checkpoints is none\n");
        return GW_OK;
    }
    return add_note(v, &note, false);
}

static int by_place(const void *a, const void *b)
{
    const struct topic_note *x = a, *y = b;
    const int c = strcmp(x->chain, y->chain);

    if (c != 0)
        return c;
    if (x->first_seq != y->first_seq)
        return x->first_seq < y->first_seq ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* ---- chains ------------------------------------------------------------------------------------- */

static struct topic_chain *new_chain(struct topics *v, struct gw_span name)
{
    struct topic_chain *c = calloc(1, sizeof(*c));

    if (v->n_chains == v->cap_chains) {
        size_t cap = v->cap_chains == 0 ? 64 : v->cap_chains * 2;
        void *p = realloc(v->chains, cap * sizeof(struct topic_chain *));

        if (p == NULL) {
            free(c);
            return NULL;
        }
        v->chains = p;
        v->cap_chains = cap;
    }
    if (c == NULL)
        return NULL;
    memcpy(c->name, name.ptr, name.len);
    c->t = &v->t;
    v->chains[v->n_chains++] = c;
    return c;
}

/* The chain of that name, made when there is none yet; NULL: out of memory, or too many. */
static struct topic_chain *chain_of(struct topics *v, struct gw_span name)
{
    uint32_t *const last = &v->bucket[gw_crc32c(0, name) % BUCKETS];

    if (name.len >= SPOOL_CHAIN_BYTES)
        name.len = SPOOL_CHAIN_BYTES - 1;
    if (*last != 0 && gw_span_is(name, v->chains[*last - 1]->name))
        return v->chains[*last - 1];
    for (size_t i = 0; i < v->n_chains; i++)
        if (gw_span_is(name, v->chains[i]->name)) {
            *last = (uint32_t)i + 1;
            return v->chains[i];
        }
    if (v->n_chains == MAX_CHAINS)
        return NULL;
    *last = (uint32_t)v->n_chains + 1;
    return new_chain(v, name);
}

/* Gives each chain the trees that checkpoints name. */
static enum gw_status plant_trees(struct topics *v)
{
    if (v->n_notes != 0)
        qsort(v->notes, v->n_notes, sizeof(*v->notes), by_place);
    for (size_t i = 0; i < v->n_notes;) {
        struct topic_chain *c = chain_of(v, gw_span_str(v->notes[i].chain));
        struct topic_tree *p = c == NULL ? NULL : realloc(c->trees, (c->n_trees + 1) * sizeof(*p));
        size_t n = 1;

        if (p == NULL)
            return gw_fail(v->err, GW_ENOMEM, "out of memory, or more than %d chains", MAX_CHAINS);
        while (i + n < v->n_notes && v->notes[i + n].first_seq == v->notes[i].first_seq &&
               strcmp(v->notes[i + n].chain, v->notes[i].chain) == 0)
            n++;
        c->trees = p;
        c->trees[c->n_trees++] = (struct topic_tree){
            .first_seq = v->notes[i].first_seq, .notes = &v->notes[i], .n_notes = n};
        i += n;
    }
    return GW_OK;
}

/* ---- records ------------------------------------------------------------------------------------ */

static enum gw_status note_gap(struct topics *v, const struct spool_rec *rec)
{
    struct ledger_gap g;
    void *p;

    if (v->n_gaps == MAX_GAPS || !ledger_gap_read(rec->payload, &g))
        return GW_OK;
    for (size_t i = 0; i < v->n_gaps; i++)
        if (memcmp(&v->gaps[i], &g, sizeof(g)) == 0)
            return GW_OK; /* delivered twice */
    p = realloc(v->gaps, (v->n_gaps + 1) * sizeof(*v->gaps));
    if (p == NULL)
        return gw_fail(v->err, GW_ENOMEM, "out of memory");
    v->gaps = p;
    v->gaps[v->n_gaps++] = g;
    return GW_OK;
}

static enum gw_status on_record(void *ctx, const struct kafka_message *m)
{
    struct topics *v = ctx;
    struct topic_chain *c;
    struct spool_rec rec;

    if (m->key.len == 0 || !kafka_read_record(m, &rec)) {
        v->t.altered = true;
        v->foreign++;
        verify_tell(&v->t,
                    "ALTERED    a message in the topic of the records is no record of a gateway\n");
        return GW_OK;
    }
    v->n_records++;
    if (v->oldest_ms == 0 || rec.time_ms < v->oldest_ms)
        v->oldest_ms = rec.time_ms;
    c = chain_of(v, m->key);
    if (c == NULL)
        return gw_fail(v->err, GW_ELIMIT,
                       "the topic has more than %d chains, or there is no memory", MAX_CHAINS);
    if (rec.kind == SPOOL_KIND_LIFECYCLE)
        GW_TRY(note_gap(v, &rec));
    return topic_chain_take(c, &rec) == GW_OK ? GW_OK : gw_fail(v->err, GW_ENOMEM, "out of memory");
}

/* ---- judging ------------------------------------------------------------------------------------ */

static bool is_declared(const struct topics *v, const struct topic_chain *c,
                        const struct topic_hole *h)
{
    for (size_t i = 0; i < v->n_gaps; i++) {
        const struct ledger_gap *g = &v->gaps[i];

        if (strcmp(g->chain, c->name) == 0 && g->from_seq <= h->from &&
            (g->to_seq >= h->to || g->to_seq == 0))
            return true;
    }
    return false;
}

static void judge_holes(struct topics *v, const struct topic_chain *c)
{
    for (size_t i = 0; i < c->n_holes; i++) {
        const struct topic_hole *h = &c->holes[i];

        if (is_declared(v, c, h)) {
            v->t.gap = true; /* told with the gaps */
            continue;
        }
        v->t.altered = true;
        verify_tell(&v->t,
                    "ALTERED    chain %s: from sequence %" PRIu64 " on, %" PRIu64
                    " records are not there\n",
                    c->name, h->from, h->to - h->from + 1);
    }
}

/* The newest checkpoint names more than there is? */
static void judge_end(struct topics *v, const struct topic_chain *c, const struct topic_tree *t)
{
    const struct topic_note *n = &t->notes[t->n_notes - 1];
    const char *const which = n->last_known ? "the last known checkpoint" : "the checkpoint";

    if (c->records == 0) {
        /* Retention takes whole chains. (Checkpoints say whole seconds.) */
        if (n->time_ms != 0 && v->oldest_ms != 0 && n->time_ms + 1000 < v->oldest_ms)
            return;
        v->t.truncated = true;
        verify_tell(&v->t,
                    "TRUNCATED  %s of %s+%" PRIu64 " at %" PRIu64
                    " records: the whole chain is not there\n",
                    which, c->name, t->first_seq, n->size);
    } else if ((t->placed && !t->wrong && n->size > t->m.size) || n->last_seq > c->last_seq) {
        v->t.truncated = true;
        verify_tell(&v->t,
                    "TRUNCATED  %s of %s+%" PRIu64 " names %" PRIu64
                    " records, the last with sequence %" PRIu64
                    "; there are none behind sequence %" PRIu64 "\n",
                    which, c->name, t->first_seq, n->size, n->last_seq, c->last_seq);
    }
}

static void say_tree(const struct topics *v, const struct topic_chain *c,
                     const struct topic_tree *t)
{
    char when[GW_RFC3339_BYTES] = "";

    (void)fprintf(v->t.out, "chain      %s+%" PRIu64 ": %" PRIu64 " records", c->name, t->first_seq,
                  c->records);
    if (c->first_seq > t->first_seq)
        (void)fprintf(v->t.out, ", those before sequence %" PRIu64 " past retention", c->first_seq);
    if (c->repeated != 0 || c->late != 0)
        (void)fprintf(v->t.out, ", %" PRIu64 " delivered again, %" PRIu64 " out of order",
                      c->repeated, c->late);
    if (t->signed_size == 0) {
        (void)fprintf(v->t.out, ", nothing that a checkpoint covers\n");
        return;
    }
    gw_clock_rfc3339(t->signed_ms, when);
    (void)fprintf(v->t.out, ", signed up to %" PRIu64 " (%s), %" PRIu64 " younger\n",
                  t->signed_size, when, t->placed ? t->m.size - t->signed_size : 0);
}

static void judge(struct topics *v)
{
    for (size_t i = 0; i < v->n_chains; i++) {
        struct topic_chain *c = v->chains[i];

        topic_chain_end(c);
        for (size_t k = 0; k < c->n_trees && c->records != 0; k++)
            say_tree(v, c, &c->trees[k]);
        if (c->n_trees == 0)
            (void)fprintf(v->t.out, "chain      %s: %" PRIu64 " records, no checkpoint\n", c->name,
                          c->records);
    }
    for (size_t i = 0; i < v->n_chains; i++) {
        judge_holes(v, v->chains[i]);
        for (size_t k = 0; k < v->chains[i]->n_trees; k++)
            judge_end(v, v->chains[i], &v->chains[i]->trees[k]);
    }
    for (size_t i = 0; i < v->n_gaps; i++) {
        if (strcmp(v->gaps[i].cause, "torn_write") == 0)
            continue; /* had been confirmed to nobody */
        v->t.gap = true;
        verify_tell(&v->t, "GAP        %s: the gateway recorded %s, %" PRIu64 " records\n",
                    v->gaps[i].segment[0] != '\0' ? v->gaps[i].segment : "no segment",
                    v->gaps[i].cause, v->gaps[i].records);
    }
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static enum gw_status add_last_known(struct topics *v, struct gw_span text)
{
    struct note *notes = NULL;
    size_t n = 0, torn = 0;
    enum gw_status st = text.len == 0 ? GW_OK : ledger_notes(text, &notes, &n, &torn);

    if (st == GW_OK && text.len != 0 && n == 0)
        st = gw_fail(v->err, GW_EPARSE,
                     "the last known checkpoint is none: save what `sluice audit head` prints");
    for (size_t i = 0; i < n && st == GW_OK; i++)
        st = add_note(v, &notes[i], true);
    free(notes);
    return st;
}

static enum gw_status read_topics(struct topics *v, const struct audit_verify *what)
{
    const struct audit_kafka *k = what->kafka;
    enum gw_status st;

    GW_TRY(note_keys_read(what->keys, v->keys, VERIFY_MAX_KEYS, &v->n_keys, v->err));
    /* First the checkpoints: what they name was delivered before them. */
    st = kafka_read_io.read(k, k->checkpoints, 0, on_note, v, v->err);
    if (st == GW_OK)
        st = add_last_known(v, what->last_known);
    if (st == GW_OK)
        st = plant_trees(v);
    if (st == GW_OK)
        st = kafka_read_io.read(k, k->topic, 0, on_record, v, v->err);
    return st;
}

static void topics_free(struct topics *v)
{
    for (size_t i = 0; i < v->n_chains; i++) {
        topic_chain_fini(v->chains[i]);
        free(v->chains[i]);
    }
    for (size_t i = 0; i < v->n_notes; i++)
        free(v->notes[i].edge);
    free((void *)v->chains);
    free(v->notes);
    free(v->gaps);
    free(v);
}

enum gw_status verify_topic(const struct audit_verify *what, FILE *out, enum audit_verdict *verdict,
                            struct gw_err *err)
{
    struct topics *v = calloc(1, sizeof(*v));
    enum gw_status st;

    if (v == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    v->t.out = out;
    v->err = err;
    if (what->keys.len == 0)
        st = gw_fail(err, GW_EINVAL,
                     "topics hold no keys: give --key FILE, a copy of the spool's checkpoint.keys");
    else
        st = read_topics(v, what);
    if (st == GW_OK) {
        char text[200];

        judge(v);
        (void)snprintf(text, sizeof(text),
                       "%" PRIu64 " records, %zu chains, %zu checkpoints in the topics",
                       v->n_records, v->n_chains, v->n_notes);
        *verdict = verify_conclude(&v->t, v->n_notes != 0, text);
    }
    topics_free(v);
    return st;
}
