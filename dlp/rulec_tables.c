/* dlp/rulec_tables.c - compiles patterns one by one and makes the tables that name them.
 * Thread: one at a time per set. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_emit.h"

enum {
    SCRATCH_BYTES = 256 << 20,
    LONG_RUN = 128, /* loops that can go further remember how far they went */
};

void emit_sets_fini(struct emit_sets *sets)
{
    free(sets->set);
    free(sets->table);
    memset(sets, 0, sizeof(*sets));
}

void emit_tables_fini(struct emit_tables *t)
{
    emit_sets_fini(&t->sets);
    free(t->patterns);
    free(t->programs);
    free(t->anchors);
    memset(t, 0, sizeof(*t));
}

/* Makes room for one more element of size bytes; returns the array, or NULL when out of memory. */
static void *room(void *array, unsigned n, unsigned *cap, size_t size)
{
    unsigned new_cap = *cap == 0 ? 64 : *cap * 2;
    void *grown = NULL;

    if (n < *cap)
        return array;
    while (new_cap <= n)
        new_cap *= 2;
    grown = realloc(array, new_cap * size);
    if (grown != NULL)
        *cap = new_cap;
    return grown;
}

/* Where s is in the table, or belongs. */
static unsigned *find_set(const struct emit_sets *sets, const struct bundle_set *s)
{
    unsigned size = sets->cap * 4, at;
    uint32_t hash = 0;

    for (unsigned i = 0; i < 8; i++)
        hash = (hash ^ s->w[i]) * 0x9E3779B1u;
    for (at = (hash >> 8) % size; sets->table[at] != 0; at = (at + 1) % size)
        if (memcmp(&sets->set[sets->table[at] - 1], s, sizeof(*s)) == 0)
            break;
    return &sets->table[at];
}

/* Makes room for one more set. */
static bool grow_sets(struct emit_sets *sets)
{
    unsigned cap = sets->cap;
    struct bundle_set *grown = room(sets->set, sets->n, &cap, sizeof(*grown));
    unsigned *table = NULL;

    if (grown == NULL)
        return false;
    sets->set = grown;
    if (cap == sets->cap)
        return true;
    table = calloc((size_t)cap * 4, sizeof(*table));
    if (table == NULL)
        return false;
    free(sets->table);
    sets->table = table;
    sets->cap = cap;
    for (unsigned i = 0; i < sets->n; i++)
        *find_set(sets, &sets->set[i]) = i + 1;
    return true;
}

unsigned emit_set(struct emit_sets *sets, const struct bundle_set *s)
{
    unsigned *at = NULL;

    if (!grow_sets(sets)) {
        sets->failed = true;
        return 0;
    }
    at = find_set(sets, s);
    if (*at == 0) {
        sets->set[sets->n] = *s;
        *at = ++sets->n;
    }
    return *at - 1;
}

bool emit_add_pattern(struct emit_tables *t, const struct bundle_pattern *p)
{
    struct bundle_pattern *grown = room(t->patterns, t->n_patterns, &t->cap_patterns, sizeof(*p));

    if (grown == NULL)
        return false;
    t->patterns = grown;
    t->patterns[t->n_patterns++] = *p;
    return true;
}

bool emit_add_program(struct emit_tables *t, const struct interp_program *program)
{
    struct interp_program *grown =
        room(t->programs, t->n_patterns, &t->cap_programs, sizeof(*grown));

    if (grown == NULL)
        return false;
    t->programs = grown;
    for (; t->n_programs < t->n_patterns; t->n_programs++) /* of those that have a native matcher */
        t->programs[t->n_programs] = (struct interp_program){NULL, 0};
    t->programs[t->n_programs++] = *program;
    return true;
}

static enum gw_status add_program(struct emit_tables *t, const struct rx_chain *chains, unsigned n,
                                  struct gw_err *err)
{
    struct interp_program program = {NULL, 0};

    GW_TRY(rx_program(t->arena, chains, n, &program, err));
    return emit_add_program(t, &program) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

bool emit_add_anchor(struct emit_tables *t, const struct rulec_anchor *a, unsigned pattern)
{
    struct emit_anchor *grown = room(t->anchors, t->n_anchors, &t->cap_anchors, sizeof(*grown));

    if (grown == NULL)
        return false;
    t->anchors = grown;
    t->anchors[t->n_anchors++] = (struct emit_anchor){*a, pattern};
    return true;
}

static unsigned reach_of(const struct rulec_rule *r)
{
    if (r->max_len == UINT_MAX || r->max_len + 512 < RULEC_REACH_BYTES)
        return RULEC_REACH_BYTES;
    return r->max_len + 512 < RULEC_MAX_REACH_BYTES ? r->max_len + 512 : RULEC_MAX_REACH_BYTES;
}

/* Gives every run that can go far a memo of its own; returns how many. */
static unsigned number_memos(const struct rx_chain *chains, unsigned n)
{
    unsigned memo = 0;

    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < chains[i].n_steps; k++) {
            struct rx_step *s = &chains[i].steps[k];

            s->memo =
                s->dfa == NULL && (s->max == RX_INFINITE || s->max > LONG_RUN) ? (int)memo++ : -1;
        }
    }
    return memo;
}

enum gw_status emit_chains(struct gw_arena *scratch, const struct rulec_rule *r,
                           struct gw_span pattern, struct rx_pattern *p, struct rx_chain **chains,
                           unsigned *n, unsigned *n_memos, struct gw_err *err)
{
    GW_TRY(rx_parse(scratch, pattern, r->nocase, r->boundary, p, err));
    GW_TRY(rx_chains(scratch, p, chains, n, err));
    *n_memos = number_memos(*chains, *n);
    return GW_OK;
}

/* One pattern of a rule; that of a near, which is looked for beside matches only, needs no anchors. */
static enum gw_status compile_pattern(const struct rulec_rule *r, unsigned rule,
                                      struct gw_span text, bool is_near, struct gw_arena *scratch,
                                      struct emit_tables *t, struct gw_buf *out, struct gw_err *err)
{
    struct rx_pattern p = {.root = NULL};
    struct rx_chain *chains = NULL;
    struct rulec_anchor *anchors = NULL;
    struct bundle_pattern row = {.rule = rule, .reach = reach_of(r), .first_memo = t->n_memos};
    struct bundle_set first = {{0}}, holds = {{0}}, head[BUNDLE_HEADS][BUNDLE_HEAD_BYTES],
                      behind[BUNDLE_NAME_BYTES];
    unsigned n_chains = 0, n_anchors = 0, n_memos = 0;
    long min = 0, max = 0;

    GW_TRY(emit_chains(scratch, r, text, &p, &chains, &n_chains, &n_memos, err));
    if (!is_near)
        GW_TRY(rulec_anchors(scratch, p.root, &anchors, &n_anchors, err));
    t->n_memos += n_memos;
    if (out != NULL)
        emit_matcher(out, t->n_patterns, chains, n_chains, &t->sets);
    else
        GW_TRY(add_program(t, chains, n_chains, err));
    rx_first(p.root, &first);
    row.first = emit_set(&t->sets, &first);
    rx_all(p.root, &holds);
    row.holds = emit_set(&t->sets, &holds);
    row.is_part = rx_has(p.root, RX_SECRET);
    row.before = p.before;
    row.after = p.after;
    rx_width(p.root, &min, &max);
    row.longest = max > 0 && max < UINT16_MAX ? (uint32_t)max : 0;
    row.need = rx_need(p.root, &row.within);
    row.lengths = rx_lengths(p.root);
    row.name_max = rx_behind_name(p.root, behind);
    for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++)
        row.behind_name[k] = emit_set(&t->sets, &behind[k]);
    row.n_heads = rx_heads(p.root, p.after, head);
    for (unsigned i = 0; i < row.n_heads; i++)
        for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++)
            row.head[i][k] = emit_set(&t->sets, &head[i][k]);
    for (unsigned k = 0; k < n_anchors; k++) {
        /* What a matcher sees ends at its reach, so a later start could have more of a longer match. */
        anchors[k].alike = anchors[k].alike && row.longest != 0 && row.longest < row.reach;
        if (!emit_add_anchor(t, &anchors[k], t->n_patterns))
            return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    return emit_add_pattern(t, &row) && !t->sets.failed ? GW_OK
                                                        : gw_fail(err, GW_ENOMEM, "out of memory");
}

static enum gw_status compile_rule(const struct rulec_rule *r, unsigned rule, bool nears,
                                   struct gw_arena *scratch, struct emit_tables *t,
                                   struct gw_buf *out, struct gw_err *err)
{
    unsigned n = nears ? r->n_nears : r->n_patterns;

    for (unsigned i = 0; i < n; i++) {
        struct gw_span text = nears ? r->nears[i].pattern : r->patterns[i];
        enum gw_status st = compile_pattern(r, rule, text, nears, scratch, t, out, err);

        gw_arena_reset(scratch);
        if (st != GW_OK)
            return gw_fail_prefix(err, "%s:%u:%u: rule %s", r->file,
                                  nears ? r->nears[i].line : r->pattern_lines[i],
                                  nears ? r->nears[i].column : r->pattern_columns[i], r->id);
    }
    return GW_OK;
}

static enum gw_status compile_rules(const struct rulec_set *set, bool nears, struct emit_tables *t,
                                    struct gw_buf *out, struct gw_err *err)
{
    struct gw_arena *scratch = gw_arena_new(SCRATCH_BYTES);
    enum gw_status st = scratch == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : GW_OK;

    for (unsigned i = 0; i < set->n_rules && st == GW_OK; i++) {
        uint32_t same = t->earlier == NULL ? UINT32_MAX : t->earlier->same[i];

        if (set->rules[i].mode == DLP_MODE_OFF)
            continue;
        if (same == UINT32_MAX)
            st = compile_rule(&set->rules[i], t->first_rule + i, nears, scratch, t, out, err);
        else if (!emit_copy_rule(t, t->earlier, same, t->first_rule + i, nears))
            st = gw_fail(err, GW_ENOMEM, "out of memory");
    }
    gw_arena_free(scratch);
    return st;
}

enum gw_status emit_anchored(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                             struct gw_err *err)
{
    GW_TRY(compile_rules(set, false, t, out, err));
    t->n_anchored = t->n_patterns;
    return GW_OK;
}

enum gw_status emit_nears(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                          struct gw_err *err)
{
    return compile_rules(set, true, t, out, err);
}

enum gw_status emit_patterns(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                             struct gw_err *err)
{
    GW_TRY(emit_anchored(set, t, out, err));
    return emit_nears(set, t, out, err);
}

/* ---- tables ----------------------------------------------------------------------------- */

static int by_window(const void *a, const void *b)
{
    const struct emit_anchor *x = a, *y = b;
    int order = memcmp(x->a.set, y->a.set, sizeof(x->a.set));

    if ((x->a.run != 0) != (y->a.run != 0))
        return x->a.run != 0 ? 1 : -1;
    if (order != 0)
        return order;
    if (x->pattern != y->pattern)
        return x->pattern < y->pattern ? -1 : 1;
    order = memcmp(x->a.value, y->a.value, sizeof(x->a.value));
    if (order != 0)
        return order;
    order = memcmp(x->a.mask, y->a.mask, sizeof(x->a.mask));
    if (order != 0)
        return order;
    if (x->a.min != y->a.min)
        return x->a.min < y->a.min ? -1 : 1;
    return x->a.max < y->a.max ? -1 : x->a.max > y->a.max;
}

static bool same_window(const struct emit_anchor *a, const struct emit_anchor *b)
{
    return a->a.run == 0 && b->a.run == 0 && memcmp(a->a.set, b->a.set, sizeof(a->a.set)) == 0;
}

/* The index of a sequel. Neighbours often have the same, so it is looked for among the last ones. */
static uint32_t sequel_of(struct emit_tables *t, const struct rulec_sequel *s)
{
    enum { LOOK = 64 };
    struct bundle_sequel own = {.n_parts = s->n_parts};

    for (unsigned k = 0; k < s->n_parts; k++) {
        own.part[k].skip = emit_set(&t->sets, &s->part[k].skip);
        own.part[k].run = emit_set(&t->sets, &s->part[k].run);
        own.part[k].most = s->part[k].most;
        own.part[k].n = s->part[k].n;
    }
    for (unsigned i = t->n_sequels; i > 0 && i + LOOK > t->n_sequels; i--)
        if (memcmp(&t->sequels[i - 1], &own, sizeof(own)) == 0)
            return i - 1;
    t->sequels[t->n_sequels] = own;
    return t->n_sequels++;
}

static struct bundle_target target_of(struct emit_tables *t, const struct emit_anchor *a)
{
    struct bundle_target target = {.pattern = a->pattern,
                                   .min = a->a.min,
                                   .max = a->a.max,
                                   .between = emit_set(&t->sets, &a->a.between),
                                   .alike = a->a.alike};

    if (a->a.run == 0) {
        target.sequel = sequel_of(t, &a->a.sequel);
        target.sequel_at = a->a.sequel.at;
    }
    memcpy(target.value, a->a.value, sizeof(target.value));
    memcpy(target.mask, a->a.mask, sizeof(target.mask));
    return target;
}

/* Windows, each with the targets of all anchors that look for the same; anchors are sorted. */
static void make_windows(struct emit_tables *t)
{
    for (unsigned i = 0, n = 0; i < t->n_anchors && t->anchors[i].a.run == 0; i += n) {
        const struct emit_anchor *a = &t->anchors[i];
        struct bundle_window *w = &t->windows[t->n_windows++];

        for (n = 0; i + n < t->n_anchors && (n == 0 || same_window(a, &a[n])); n++)
            t->targets[t->n_targets + n] = target_of(t, &a[n]);
        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
            w->set[k] = emit_set(&t->sets, &a->a.set[k]);
        w->first_target = t->n_targets;
        w->n_targets = n;
        t->n_targets += n;
    }
}

static void make_runs(struct emit_tables *t)
{
    for (unsigned i = 0; i < t->n_anchors; i++) {
        const struct emit_anchor *a = &t->anchors[i];

        if (a->a.run != 0)
            t->runs[t->n_runs++] =
                (struct bundle_run){emit_set(&t->sets, &a->a.set[0]), a->a.run, target_of(t, a)};
    }
}

enum gw_status emit_finish(struct emit_tables *t, struct gw_err *err)
{
    t->windows = gw_arena_array(t->arena, t->n_anchors, sizeof(*t->windows));
    t->targets = gw_arena_array(t->arena, t->n_anchors, sizeof(*t->targets));
    t->sequels = gw_arena_array(t->arena, t->n_anchors, sizeof(*t->sequels));
    t->runs = gw_arena_array(t->arena, t->n_anchors, sizeof(*t->runs));
    if (t->windows == NULL || t->targets == NULL || t->sequels == NULL || t->runs == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the rules' tables");
    if (t->n_anchors != 0) /* a set of no rules has no array to sort */
        qsort(t->anchors, t->n_anchors, sizeof(*t->anchors), by_window);
    make_windows(t);
    make_runs(t);
    return t->sets.failed ? gw_fail(err, GW_ENOMEM, "out of memory for the rules' tables") : GW_OK;
}
