/* audit/verify.c - `sluice audit verify` and `head`: says of a spool what is proven and what is not. One thread. */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/ledger.h"
#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/witness.h"
#include "base/clock.h"

enum { MAX_WITNESSED_BYTES = 64 << 20 };

struct verify {
    struct ledger l;
    struct note_key keys[VERIFY_MAX_KEYS];
    unsigned n_keys;
    struct verify_tally t;
};

/* ---- keys --------------------------------------------------------------------------------- */

static enum gw_status load_keys(struct verify *v, struct gw_span given, struct gw_err *err)
{
    struct gw_buf text = {0};
    enum gw_status st;

    if (given.len != 0)
        return note_keys_read(given, v->keys, VERIFY_MAX_KEYS, &v->n_keys, err);
    st = seal_read_file(v->l.dirfd, SEAL_KEYS, 1 << 20, &text);
    if (st == GW_OK)
        st = note_keys_read(gw_buf_span(&text), v->keys, VERIFY_MAX_KEYS, &v->n_keys, err);
    gw_buf_fini(&text);
    if (st == GW_ENOENT && v->l.n_notes == 0)
        return GW_OK; /* never sealed: said later */
    return st == GW_OK ? st : gw_fail(err, st, "%s in the spool cannot be read", SEAL_KEYS);
}

bool verify_signed(const struct note_key *keys, unsigned n, const struct note *note)
{
    for (unsigned i = 0; i < n; i++)
        if (note_verify(note, &keys[i]))
            return true;
    return false;
}

/* ---- what is wrong --------------------------------------------------------------------------- */

void verify_tell(struct verify_tally *t, const char *fmt, ...)
{
    va_list ap;

    if (++t->n_lines > VERIFY_MAX_LINES)
        return;
    va_start(ap, fmt);
    (void)vfprintf(t->out, fmt, ap);
    va_end(ap);
}

void verify_say_known(struct verify_tally *t, struct gw_span origin, uint64_t size, int64_t time_ms)
{
    char when[GW_RFC3339_BYTES] = "an unknown time";

    if (time_ms != 0)
        gw_clock_rfc3339(time_ms, when);
    (void)fprintf(t->out, "last known %.*s: its %" PRIu64 " records (%s) are here, unchanged\n",
                  (int)origin.len, origin.ptr, size, when);
}

/* Has the gateway itself recorded damage in that segment? */
static bool is_damaged(const struct verify *v, unsigned slot, uint64_t segno)
{
    char name[SPOOL_NAME_BYTES];

    spool_name(name, slot, segno);
    for (size_t i = 0; i < v->l.n_gaps; i++)
        if (strcmp(v->l.gaps[i].segment, name) == 0 &&
            strcmp(v->l.gaps[i].cause, "damaged_segment") == 0)
            return true;
    return false;
}

/* Has it recorded what explains the problem? */
static bool is_declared(const struct verify *v, const struct ledger_problem *p)
{
    if (is_damaged(v, p->slot, p->segno))
        return true;
    if (p->kind != LEDGER_LINK_BROKEN && p->kind != LEDGER_LINK_MISSING)
        return false;
    if (is_damaged(v, p->slot, p->before_segno))
        return true;
    /* Bytes of a write that failed can turn up in front of the record that was written in their stead. */
    for (size_t i = 0; i < v->l.n_gaps; i++)
        if (strcmp(v->l.gaps[i].chain, p->chain) == 0 && p->before_seq >= v->l.gaps[i].from_seq &&
            p->before_seq <= v->l.gaps[i].to_seq)
            return true;
    return false;
}

static void judge_problem(struct verify *v, const struct ledger_problem *p)
{
    static const char *const what[] = {
        [LEDGER_RECORD_CHANGED] = "ALTERED    %s: the record with sequence %" PRIu64
                                  " is not the one that was sealed (%" PRIu64 " record)\n",
        [LEDGER_RECORDS_REMOVED] = "ALTERED    %s: from sequence %" PRIu64 " on, %" PRIu64
                                   " sealed records are not there\n",
        [LEDGER_RECORDS_INSERTED] =
            "ALTERED    %s: from sequence %" PRIu64 " on, %" PRIu64 " records were never sealed\n",
        [LEDGER_RECORDS_MOVED] = "ALTERED    %s: from sequence %" PRIu64 " on, %" PRIu64
                                 " records do not stand in their place\n",
        [LEDGER_LINK_BROKEN] =
            "ALTERED    %s: the record with sequence %" PRIu64
            " names another record before it than the one that stands there (%" PRIu64
            " between)\n",
        [LEDGER_LINK_MISSING] = "ALTERED    %s: the record with sequence %" PRIu64
                                " names one before it that is not there (%" PRIu64 " missing)\n",
        [LEDGER_TAIL_MISSING] = "TRUNCATED  %s: from sequence %" PRIu64 " on, %" PRIu64
                                " sealed records are not there\n",
        [LEDGER_SEGMENT_MISSING] = "ALTERED    in front of %s: from sequence %" PRIu64
                                   " on, %" PRIu64 " sealed records are not there\n",
        [LEDGER_UNREADABLE] = "ALTERED    %s cannot be read (sequence %" PRIu64 ", %" PRIu64 ")\n",
    };
    char name[SPOOL_NAME_BYTES];

    spool_name(name, p->slot, p->segno);
    if (is_declared(v, p)) {
        v->t.gap = true;
        return; /* told with the gaps */
    }
    if (p->kind == LEDGER_TAIL_MISSING)
        v->t.truncated = true;
    else
        v->t.altered = true;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    verify_tell(&v->t, what[p->kind], name, p->seq, p->records);
#pragma GCC diagnostic pop
}

static void judge_gaps(struct verify *v)
{
    for (size_t i = 0; i < v->l.n_gaps; i++) {
        const struct ledger_gap *g = &v->l.gaps[i];

        /* What a crash left half written had been confirmed to nobody: nothing is missing. */
        if (strcmp(g->cause, "torn_write") == 0)
            continue;
        v->t.gap = true;
        verify_tell(&v->t, "GAP        %s: the gateway recorded %s, %" PRIu64 " records\n",
                    g->segment[0] != '\0' ? g->segment : "no segment", g->cause, g->records);
    }
}

/* ---- checkpoints ------------------------------------------------------------------------------- */

/* Compares one checkpoint with the tree as it is. True: its records are here, unchanged. */
static bool judge_note(struct verify *v, const struct note *n, const struct merkle_part *p,
                       const struct merkle_hash *root_there, const char *which)
{
    struct merkle_hash root;

    if (!verify_signed(v->keys, v->n_keys, n)) {
        v->t.altered = true;
        verify_tell(&v->t,
                    "ALTERED    %s of %.*s at %" PRIu64 " records: no known key has signed it\n",
                    which, (int)n->origin.len, n->origin.ptr, n->size);
        return false;
    }
    if (p == NULL) {
        /* Retention takes old segments, and with them chains that have ended. (Notes say whole seconds.) */
        if (v->l.oldest_ms != 0 && n->time_ms != 0 && n->time_ms + 1000 < v->l.oldest_ms)
            return false;
        v->t.truncated = true;
        verify_tell(&v->t,
                    "TRUNCATED  %s of %.*s at %" PRIu64 " records: the whole chain is not there\n",
                    which, (int)n->origin.len, n->origin.ptr, n->size);
        return false;
    }
    if (n->size > p->base.size + p->n_leaves) {
        v->t.truncated = true;
        verify_tell(&v->t,
                    "TRUNCATED  %s of %.*s names %" PRIu64 " records, there are %" PRIu64 "\n",
                    which, (int)n->origin.len, n->origin.ptr, n->size, p->base.size + p->n_leaves);
        return false;
    }
    if (n->size < p->base.size)
        return false; /* past retention */
    if (root_there != NULL)
        root = *root_there;
    else if (!merkle_part_root(p, n->size, &root))
        return false;
    if (memcmp(&root, &n->root, sizeof(root)) != 0) {
        v->t.altered = true;
        verify_tell(&v->t,
                    "ALTERED    %s of %.*s: the first %" PRIu64
                    " records are not those it has signed\n",
                    which, (int)n->origin.len, n->origin.ptr, n->size);
        return false;
    }
    return true;
}

static struct merkle_part part_of(const struct ledger_tree *t)
{
    return (struct merkle_part){t->base, t->leaves, t->n};
}

/* All checkpoints of one tree in one pass over its leaves; the file has them in ascending order, and what is not is judged
 * alone. Returns the highest size that was signed; *newest is its note. */
static uint64_t judge_tree(struct verify *v, const struct ledger_tree *t,
                           const struct note **newest)
{
    struct merkle_part p = part_of(t);
    struct merkle m = t->base;
    char origin[NOTE_ORIGIN_BYTES];
    uint64_t top = 0;

    seal_origin(t->chain, t->first_seq, origin, sizeof(origin));
    for (size_t i = 0; i < v->l.n_notes; i++) {
        const struct note *n = &v->l.notes[i];
        struct merkle_hash root;
        bool reached = false;

        if (!gw_span_is(n->origin, origin))
            continue;
        while (m.size < n->size && m.size < t->base.size + t->n)
            merkle_add(&m, &t->leaves[m.size - t->base.size]);
        reached = m.size == n->size;
        if (reached)
            merkle_root(&m, &root);
        (void)judge_note(v, n, &p, reached ? &root : NULL, "the checkpoint");
        if (n->size >= top) {
            top = n->size;
            *newest = n;
        }
    }
    return top;
}

static void say_tree(struct verify *v, const struct ledger_tree *t, uint64_t top,
                     const struct note *newest)
{
    const uint64_t size = t->base.size + t->n;
    char origin[NOTE_ORIGIN_BYTES], when[GW_RFC3339_BYTES] = "";

    seal_origin(t->chain, t->first_seq, origin, sizeof(origin));
    if (newest != NULL && newest->time_ms != 0)
        gw_clock_rfc3339(newest->time_ms, when);
    (void)fprintf(v->t.out, "chain      %s: %" PRIu64 " records, %zu segments", origin, size,
                  t->n_segments);
    if (t->base.size != 0)
        (void)fprintf(v->t.out, ", the first %" PRIu64 " past retention", t->base.size);
    if (newest == NULL)
        (void)fprintf(v->t.out, ", no checkpoint\n");
    else
        (void)fprintf(v->t.out, ", signed up to %" PRIu64 " (%s), %" PRIu64 " younger\n", top, when,
                      size > top ? size - top : 0);
}

/* Chains that only checkpoints still name; the last checkpoint of each speaks for it. */
static void judge_lost_chains(struct verify *v)
{
    struct gw_span seen[VERIFY_MAX_LINES];
    size_t n_seen = 0;

    for (size_t i = v->l.n_notes; i-- > 0 && n_seen < VERIFY_MAX_LINES;) {
        const struct note *n = &v->l.notes[i];
        bool again = false;

        for (size_t k = 0; k < n_seen && !again; k++)
            again = gw_span_eq(seen[k], n->origin);
        if (again)
            continue;
        seen[n_seen++] = n->origin;
        if (ledger_find(&v->l, n->origin) == NULL)
            (void)judge_note(v, n, NULL, NULL, "the checkpoint");
    }
}

static enum gw_status judge_last_known(struct verify *v, struct gw_span text, struct gw_err *err)
{
    struct note *notes = NULL;
    size_t n = 0, torn = 0;
    enum gw_status st = ledger_notes(text, &notes, &n, &torn);

    if (st == GW_OK && n == 0)
        st = gw_fail(err, GW_EPARSE,
                     "the last known checkpoint is none: save what `sluice audit "
                     "head` prints");
    for (size_t i = 0; i < n; i++) {
        const struct ledger_tree *t = ledger_find(&v->l, notes[i].origin);
        struct merkle_part p;

        if (t != NULL)
            p = part_of(t);
        if (judge_note(v, &notes[i], t == NULL ? NULL : &p, NULL, "the last known checkpoint"))
            verify_say_known(&v->t, notes[i].origin, notes[i].size, notes[i].time_ms);
    }
    free(notes);
    return st;
}

/* The newest checkpoints that a witness has cosigned. */
static enum gw_status judge_witnessed(struct verify *v, struct gw_span keys, struct gw_err *err)
{
    struct gw_buf text = {0};
    struct note_key w[VERIFY_MAX_KEYS];
    struct note *notes = NULL;
    size_t n = 0, torn = 0, good = 0;
    unsigned n_keys = 0;
    enum gw_status st = note_keys_read(keys, w, VERIFY_MAX_KEYS, &n_keys, err);

    if (st == GW_OK)
        st = seal_read_file(v->l.dirfd, WITNESS_FILE, MAX_WITNESSED_BYTES, &text);
    if (st == GW_OK)
        st = ledger_notes(gw_buf_span(&text), &notes, &n, &torn);
    for (size_t i = 0; i < n; i++) {
        const struct ledger_tree *t = ledger_find(&v->l, notes[i].origin);
        char when[GW_RFC3339_BYTES];
        struct merkle_part p;
        uint64_t time_s = 0;

        if (t != NULL)
            p = part_of(t);
        (void)judge_note(v, &notes[i], t == NULL ? NULL : &p, NULL, "the witnessed checkpoint");
        for (unsigned k = 0; k < n_keys && time_s == 0; k++)
            (void)note_verify_when(&notes[i], &w[k], &time_s);
        if (time_s == 0)
            continue;
        good++;
        gw_clock_rfc3339((int64_t)time_s * 1000, when);
        (void)fprintf(v->t.out, "witnessed  %.*s: up to %" PRIu64 " (%s)\n",
                      (int)notes[i].origin.len, notes[i].origin.ptr, notes[i].size, when);
    }
    free(notes);
    gw_buf_fini(&text);
    if (good == 0 && (st == GW_OK || st == GW_ENOENT)) {
        v->t.truncated = true;
        verify_tell(&v->t, "TRUNCATED  no checkpoint is cosigned by the witness that was named\n");
        return GW_OK;
    }
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static void judge(struct verify *v)
{
    for (size_t i = 0; i < v->l.n_trees; i++) {
        const struct note *newest = NULL;
        uint64_t top = judge_tree(v, &v->l.trees[i], &newest);

        say_tree(v, &v->l.trees[i], top, newest);
    }
    for (size_t i = 0; i < v->l.n_problems; i++)
        judge_problem(v, &v->l.problems[i]);
    judge_gaps(v);
    judge_lost_chains(v);
}

enum audit_verdict verify_conclude(struct verify_tally *t, bool any_notes, const char *looked_at)
{
    if (t->n_lines > VERIFY_MAX_LINES)
        (void)fprintf(t->out, "... and %u more\n", t->n_lines - VERIFY_MAX_LINES);
    (void)fprintf(t->out, "%s\n", looked_at);
    if (t->altered) {
        (void)fprintf(t->out, "ALTERED: this is not what the gateway wrote\n");
        return AUDIT_ALTERED;
    }
    if (t->truncated) {
        (void)fprintf(t->out, "TRUNCATED: records that were signed are not there\n");
        return AUDIT_TRUNCATED;
    }
    if (t->gap) {
        (void)fprintf(t->out, "GAP: nothing else is wrong than what the gateway has recorded\n");
        return AUDIT_GAP;
    }
    (void)fprintf(t->out, any_notes
                              ? "INTACT: every record that was signed is there, unchanged\n"
                              : "INTACT as far as checksums tell: nothing was ever signed here\n");
    return AUDIT_INTACT;
}

static enum audit_verdict conclude(struct verify *v, bool own_keys)
{
    char text[256];

    (void)snprintf(
        text, sizeof(text), "%" PRIu64 " records, %" PRIu64 " segments, %zu checkpoints%s",
        v->l.n_records, v->l.n_segments, v->l.n_notes,
        own_keys ? "; the keys are the spool's own: give --key to rely on keys kept elsewhere"
                 : "");
    return verify_conclude(&v->t, v->l.n_notes != 0, text);
}

enum gw_status audit_verify(const struct audit_verify *what, FILE *out, enum audit_verdict *verdict,
                            struct gw_err *err)
{
    struct verify *v;
    enum gw_status st;

    if (what->kafka != NULL)
        return verify_topic(what, out, verdict, err);
    v = calloc(1, sizeof(*v));
    if (v == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    v->t.out = out;
    st = ledger_read(what->spool_dir, NULL, NULL, &v->l, err);
    if (st != GW_OK) {
        free(v);
        return st;
    }
    st = load_keys(v, what->keys, err);
    if (st == GW_OK)
        judge(v);
    if (st == GW_OK && what->last_known.len != 0)
        st = judge_last_known(v, what->last_known, err);
    if (st == GW_OK && what->witnesses.len != 0)
        st = judge_witnessed(v, what->witnesses, err);
    if (st == GW_OK)
        *verdict = conclude(v, what->keys.len == 0);
    ledger_fini(&v->l);
    free(v);
    return st;
}

enum gw_status audit_head(const char *spool_dir, FILE *out, struct gw_err *err)
{
    struct ledger l;
    bool any = false;

    GW_TRY(ledger_read(spool_dir, NULL, NULL, &l, err));
    for (size_t i = 0; i < l.n_trees; i++) {
        const struct note *newest = NULL;

        for (size_t k = 0; k < l.n_notes; k++)
            if (ledger_find(&l, l.notes[k].origin) == &l.trees[i] &&
                (newest == NULL || l.notes[k].size >= newest->size))
                newest = &l.notes[k];
        if (newest != NULL)
            (void)fprintf(out, "%s%.*s", any ? "\n" : "", (int)newest->text.len, newest->text.ptr);
        any = any || newest != NULL;
    }
    ledger_fini(&l);
    return any ? GW_OK
               : gw_fail(err, GW_ENOENT,
                         "%s has no checkpoint yet: the first comes within seconds "
                         "of the first record",
                         spool_dir);
}
