/* dlp/interp_open.c - rule files become rules that are ready to scan with, without a compiler: the tables are those that
 * the emitter would write, the matchers are programs of the interpreter. Rules that are compiled already (built in, or in
 * an object) can be among them and keep their matchers; all stand in one set of tables, so that a text is looked through
 * once. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "dlp/bundle.h"
#include "dlp/rulec_emit.h"

enum { ARENA_BYTES = 512 << 20, MAX_PARTS = 64 };

/* A set that is compiled already, and what its numbers are now; UINT32_MAX: of a rule that was replaced. */
struct part {
    struct dlp_rules *rules; /* a reference */
    uint32_t *rule, *pattern;
    uint32_t first_list, first_memo;
};

/* What is being opened. */
struct opening {
    struct gw_arena *arena;
    struct rulec_set set; /* of the sources */
    struct emit_tables t;
    struct part parts[MAX_PARTS];
    const char *sources[MAX_PARTS];
    unsigned n_parts, n_sources;
    struct bundle_rule *rules; /* of all */
    struct bundle_list *lists; /* of all */
    unsigned n_rules, n_lists;
    uint32_t first_pattern, first_near; /* of the sources */
    struct emit_earlier earlier;        /* b is NULL: none */
};

static void *copy(struct gw_arena *arena, const void *from, size_t bytes)
{
    void *to = gw_arena_alloc(arena, bytes);

    if (to != NULL && bytes > 0)
        memcpy(to, from, bytes);
    return to;
}

static enum gw_status no_memory(struct gw_err *err)
{
    return gw_fail(err, GW_ENOMEM, "out of memory for the rules");
}

/* ---- rules that are compiled already ---------------------------------------------------- */

static bool has_id(const struct bundle_rule *rules, unsigned n, const char *id)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(rules[i].id, id) == 0)
            return true;
    return false;
}

/* A rule gives way to one of the same id in a later part or in the sources. */
static bool is_replaced(const struct opening *x, unsigned part, const char *id)
{
    for (unsigned i = part + 1; i < x->n_parts; i++)
        if (has_id(x->parts[i].rules->b->rules, x->parts[i].rules->b->n_rules, id))
            return true;
    for (unsigned i = 0; i < x->set.n_rules; i++)
        if (strcmp(x->set.rules[i].id, id) == 0)
            return true;
    return false;
}

static unsigned own_set(struct opening *x, const struct bundle *b, uint32_t set)
{
    return emit_set(&x->t.sets, &b->sets[set]);
}

/* Adds patterns [from, to) of a part under their new numbers. */
static bool add_patterns(struct opening *x, const struct part *part, uint32_t from, uint32_t to)
{
    const struct bundle *b = part->rules->b;
    bool ok = true;

    for (uint32_t i = from; i < to && ok; i++) {
        struct bundle_pattern own = b->patterns[i];

        own.rule = part->rule[own.rule];
        part->pattern[i] = own.rule == UINT32_MAX ? UINT32_MAX : x->t.n_patterns;
        if (own.rule == UINT32_MAX)
            continue;
        own.first = own_set(x, b, own.first);
        own.holds = own_set(x, b, own.holds);
        own.first_memo += part->first_memo;
        for (unsigned h = 0; h < own.n_heads; h++)
            for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++)
                own.head[h][k] = own_set(x, b, own.head[h][k]);
        for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++)
            own.behind_name[k] = own_set(x, b, own.behind_name[k]);
        ok = emit_add_pattern(&x->t, &own);
    }
    return ok;
}

static bool add_target(struct opening *x, const struct part *part, const struct bundle_target *t,
                       struct rulec_anchor *a)
{
    if (part->pattern[t->pattern] == UINT32_MAX)
        return true;
    a->min = t->min;
    a->max = t->max;
    a->between = part->rules->b->sets[t->between];
    a->alike = t->alike != 0;
    if (a->run == 0)
        rulec_sequel_read(part->rules->b, t, &a->sequel);
    memcpy(a->value, t->value, sizeof(a->value));
    memcpy(a->mask, t->mask, sizeof(a->mask));
    return emit_add_anchor(&x->t, a, part->pattern[t->pattern]);
}

static bool add_anchors(struct opening *x, const struct part *part)
{
    const struct bundle *b = part->rules->b;
    bool ok = true;

    for (unsigned i = 0; i < b->n_windows && ok; i++) {
        const struct bundle_window *w = &b->windows[i];
        struct rulec_anchor a = {.run = 0};

        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
            a.set[k] = b->sets[w->set[k]];
        for (unsigned k = 0; k < w->n_targets && ok; k++)
            ok = add_target(x, part, &b->targets[w->first_target + k], &a);
    }
    for (unsigned i = 0; i < b->n_runs && ok; i++) {
        struct rulec_anchor a = {.run = b->runs[i].n};

        a.set[0] = b->sets[b->runs[i].set];
        ok = add_target(x, part, &b->runs[i].target, &a);
    }
    return ok;
}

/* Adds a part's rules, the patterns that have anchors, and those. */
static enum gw_status add_part(struct opening *x, unsigned i, struct gw_err *err)
{
    struct part *part = &x->parts[i];
    const struct bundle *b = part->rules->b;

    part->rule = gw_arena_array(x->arena, b->n_rules, sizeof(*part->rule));
    part->pattern =
        gw_arena_array(x->arena, b->n_patterns + b->n_near_patterns, sizeof(*part->pattern));
    if (part->rule == NULL || part->pattern == NULL)
        return no_memory(err);
    for (unsigned k = 0; k < b->n_rules; k++) {
        bool gone = is_replaced(x, i, b->rules[k].id);

        part->rule[k] = gone ? UINT32_MAX : x->n_rules;
        if (!gone)
            x->rules[x->n_rules++] = b->rules[k];
    }
    part->first_list = x->n_lists;
    for (unsigned k = 0; k < b->n_lists; k++)
        x->lists[x->n_lists++] = b->lists[k];
    part->first_memo = x->t.n_memos;
    x->t.n_memos += b->n_memos;
    return add_patterns(x, part, 0, b->n_patterns) && add_anchors(x, part) ? GW_OK : no_memory(err);
}

/* ---- numbers ---------------------------------------------------------------------------- */

/* Gives a rule its own copies of what names patterns and lists by number; false: out of memory. */
static bool renumber(struct opening *x, struct bundle_rule *r, const uint32_t *pattern,
                     uint32_t first_list)
{
    struct bundle_near *nears = copy(x->arena, r->nears, r->n_nears * sizeof(*nears));
    uint32_t *lists = copy(x->arena, r->lists, r->n_lists * sizeof(*lists));

    if (nears == NULL || lists == NULL)
        return false;
    for (unsigned i = 0; i < r->n_nears; i++)
        nears[i].pattern = pattern[nears[i].pattern];
    for (unsigned i = 0; i < r->n_lists; i++)
        lists[i] += first_list;
    r->nears = nears;
    r->lists = lists;
    return true;
}

/* The same for the rules of the sources. */
static bool renumber_own(struct opening *x, uint32_t first_list)
{
    uint32_t n_anchored = x->t.n_anchored - x->first_pattern;
    uint32_t n = n_anchored + x->t.n_patterns - x->first_near;
    uint32_t *pattern = gw_arena_array(x->arena, n, sizeof(*pattern));
    bool ok = pattern != NULL;

    for (uint32_t i = 0; i < n && ok; i++)
        pattern[i] = i < n_anchored ? x->first_pattern + i : x->first_near + i - n_anchored;
    for (unsigned i = x->t.first_rule; i < x->n_rules && ok; i++)
        ok = renumber(x, &x->rules[i], pattern, first_list);
    return ok;
}

static bool renumber_part(struct opening *x, const struct part *part)
{
    bool ok = true;

    for (unsigned i = 0; i < part->rules->b->n_rules && ok; i++)
        if (part->rule[i] != UINT32_MAX)
            ok = renumber(x, &x->rules[part->rule[i]], part->pattern, part->first_list);
    return ok;
}

/* ---- the whole -------------------------------------------------------------------------- */

static bool is_object(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".so") == 0;
}

/* Opens what is compiled and reads the sources. */
static enum gw_status read_paths(struct opening *x, const char *const *paths, unsigned n,
                                 struct gw_err *err)
{
    if (n == 0 || n > MAX_PARTS)
        return gw_fail(err, GW_EINVAL, "rules: %u paths; name 1 to %d", n, MAX_PARTS);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(paths[i], "builtin") == 0) {
            x->parts[x->n_parts++].rules = dlp_rules_builtin();
        } else if (is_object(paths[i])) {
            GW_TRY(dlp_rules_load(paths[i], &x->parts[x->n_parts].rules, err));
            x->n_parts++;
        } else {
            x->sources[x->n_sources++] = paths[i];
        }
    }
    return x->n_sources == 0 ? GW_OK : rulec_load_paths(&x->set, x->sources, x->n_sources, err);
}

/* The digest of sources alone is theirs, so that a build of them has the same; else it is made of the parts'. */
static const char *make_digest(struct opening *x)
{
    struct gw_hash *h = NULL;
    unsigned char digest[GW_SHA256_BYTES];

    if (x->n_parts == 0)
        return copy(x->arena, x->set.digest, sizeof(x->set.digest));
    h = gw_hash_new();
    if (h == NULL)
        return NULL;
    for (unsigned i = 0; i < x->n_parts; i++)
        gw_hash_add(h, gw_span_str(dlp_rules_digest(x->parts[i].rules)));
    gw_hash_add(h, gw_span_str(x->set.digest));
    gw_hash_final(h, digest);
    gw_hex(digest, sizeof(digest), x->set.digest);
    return copy(x->arena, x->set.digest, sizeof(x->set.digest));
}

/* Room for the rules and lists of all. */
static bool make_room(struct opening *x)
{
    unsigned n_rules = x->set.n_rules, n_lists = x->set.n_lists;

    for (unsigned i = 0; i < x->n_parts; i++) {
        n_rules += x->parts[i].rules->b->n_rules;
        n_lists += x->parts[i].rules->b->n_lists;
    }
    x->rules = gw_arena_array(x->arena, n_rules, sizeof(*x->rules));
    x->lists = gw_arena_array(x->arena, n_lists, sizeof(*x->lists));
    return x->rules != NULL && x->lists != NULL;
}

/* Patterns of the parts, of the sources, then in the same order those of nears. */
static enum gw_status make_tables(struct opening *x, struct gw_err *err)
{
    const struct bundle_rule *own = emit_rules(&x->set);
    const struct bundle_list *lists = emit_lists(&x->set);
    unsigned first_list;
    bool ok = true;

    if (own == NULL || lists == NULL || !make_room(x))
        return no_memory(err);
    for (unsigned i = 0; i < x->n_parts; i++)
        GW_TRY(add_part(x, i, err));
    x->first_pattern = x->t.n_patterns;
    first_list = x->n_lists;
    x->t.first_rule = x->n_rules;
    for (unsigned i = 0; i < x->set.n_rules; i++)
        x->rules[x->n_rules++] = own[i];
    for (unsigned i = 0; i < x->set.n_lists; i++)
        x->lists[x->n_lists++] = lists[i];
    if (x->earlier.b != NULL) {
        if (!emit_earlier_index(x->arena, &x->earlier) ||
            !emit_earlier_match(x->arena, &x->earlier, &x->set, own, lists))
            return no_memory(err);
        x->t.earlier = &x->earlier;
    }
    GW_TRY(emit_anchored(&x->set, &x->t, NULL, err));
    for (unsigned i = 0; i < x->n_parts && ok; i++) {
        const struct bundle *b = x->parts[i].rules->b;

        ok = add_patterns(x, &x->parts[i], b->n_patterns, b->n_patterns + b->n_near_patterns) &&
             renumber_part(x, &x->parts[i]);
    }
    x->first_near = x->t.n_patterns;
    if (ok)
        GW_TRY(emit_nears(&x->set, &x->t, NULL, err));
    if (!ok || !renumber_own(x, first_list))
        return no_memory(err);
    return emit_finish(&x->t, err);
}

/* Makes the bundle in the arena, which all of it lives in. */
static enum gw_status make_bundle(struct opening *x, struct bundle **out,
                                  struct bundle_owned *owned, struct gw_err *err)
{
    const struct emit_tables *t = &x->t;
    struct bundle *b = gw_arena_alloc(x->arena, sizeof(*b));
    struct dlp_rules **parts = gw_arena_array(x->arena, x->n_parts, sizeof(struct dlp_rules *));

    GW_TRY(make_tables(x, err));
    if (b == NULL || parts == NULL)
        return no_memory(err);
    for (unsigned i = 0; i < x->n_parts; i++)
        parts[i] = x->parts[i].rules;
    *b = (struct bundle){.abi = BUNDLE_ABI,
                         .size = sizeof(*b),
                         .digest = make_digest(x),
                         .n_rules = x->n_rules,
                         .n_patterns = t->n_anchored,
                         .n_sets = t->sets.n,
                         .n_windows = t->n_windows,
                         .n_targets = t->n_targets,
                         .n_sequels = t->n_sequels,
                         .n_runs = t->n_runs,
                         .n_memos = t->n_memos,
                         .n_near_patterns = t->n_patterns - t->n_anchored,
                         .n_lists = x->n_lists,
                         .rules = x->rules,
                         .patterns =
                             copy(x->arena, t->patterns, t->n_patterns * sizeof(*t->patterns)),
                         .sets = copy(x->arena, t->sets.set, t->sets.n * sizeof(*t->sets.set)),
                         .windows = t->windows,
                         .targets = t->targets,
                         .sequels = t->sequels,
                         .runs = t->runs,
                         .lists = x->lists};
    *out = b;
    *owned = (struct bundle_owned){
        .arena = x->arena,
        .programs = copy(x->arena, t->programs, t->n_programs * sizeof(*t->programs)),
        .parts = parts,
        .n_parts = x->n_parts,
        .set = copy(x->arena, &x->set, sizeof(x->set)),
        .first_pattern = x->first_pattern,
        .first_near = x->first_near};
    return b->digest == NULL || b->patterns == NULL || b->sets == NULL || owned->programs == NULL ||
                   owned->set == NULL
               ? no_memory(err)
               : GW_OK;
}

/* Which rules have to be tried: not those that are built in, which were when they were, nor those of the earlier set. */
static enum gw_status list_untried(struct opening *x, const struct dlp_rules *r, bool **out,
                                   struct gw_err *err)
{
    bool *untried = calloc(r->b->n_rules + 1, sizeof(*untried));

    if (untried == NULL)
        return no_memory(err);
    for (unsigned i = 0; i < x->n_parts; i++) {
        const struct part *part = &x->parts[i];

        for (unsigned k = 0; k < part->rules->b->n_rules; k++)
            if (part->rule == NULL) /* the only part, as it is */
                untried[k] = !part->rules->forever;
            else if (part->rule[k] != UINT32_MAX)
                untried[part->rule[k]] = !part->rules->forever;
    }
    for (unsigned i = 0; i < x->set.n_rules; i++)
        untried[x->t.first_rule + i] = x->t.earlier == NULL || x->t.earlier->same[i] == UINT32_MAX;
    *out = untried;
    return GW_OK;
}

/* *untried: of each rule; owned by the caller. */
static enum gw_status open_all(struct opening *x, struct dlp_rules **out, bool **untried,
                               struct gw_err *err)
{
    struct bundle_owned owned = {.object = NULL};
    struct bundle *b = NULL;
    enum gw_status st;

    if (x->n_parts == 1 && x->n_sources == 0) { /* nothing to put together */
        GW_TRY(list_untried(x, x->parts[0].rules, untried, err));
        *out = x->parts[0].rules;
        x->n_parts = 0;
        return GW_OK;
    }
    GW_TRY(make_bundle(x, &b, &owned, err));
    GW_TRY(bundle_open(b, &owned, out, err));
    x->arena = NULL; /* the rules' own now, as are the parts */
    st = list_untried(x, *out, untried, err);
    x->n_parts = 0;
    return st;
}

static enum gw_status try_rules(struct dlp_rules *r, const bool *untried,
                                const struct dlp_rules_options *o, struct gw_err *err)
{
    bool any = false;

    for (unsigned i = 0; i < r->b->n_rules; i++)
        any = any || untried[i];
    if (any && (o == NULL || !o->without_examples))
        GW_TRY(bundle_check_examples(r, untried, err));
    return any && (o == NULL || !o->without_trial) ? bundle_trial(r, untried, err) : GW_OK;
}

static struct emit_earlier earlier_of(const struct dlp_rules *r)
{
    struct emit_earlier e = {.b = NULL};

    if (r != NULL && r->owned.set != NULL)
        e = (struct emit_earlier){.b = r->b,
                                  .programs = r->owned.programs,
                                  .set = r->owned.set,
                                  .first_rule = r->b->n_rules - r->owned.set->n_rules};
    return e;
}

enum gw_status dlp_rules_open(const char *const *paths, unsigned n_paths,
                              const struct dlp_rules_options *o, struct dlp_rules **out,
                              struct gw_err *err)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct opening x = {.arena = arena,
                        .set = {.arena = arena},
                        .t = {.arena = arena},
                        .earlier = earlier_of(o == NULL ? NULL : o->earlier)};
    struct dlp_rules *r = NULL;
    bool *untried = NULL;
    enum gw_status st = arena == NULL ? no_memory(err) : read_paths(&x, paths, n_paths, err);

    if (st == GW_OK)
        st = open_all(&x, &r, &untried, err);
    emit_tables_fini(&x.t);
    for (unsigned i = 0; i < x.n_parts; i++)
        dlp_rules_unref(x.parts[i].rules);
    gw_arena_free(x.arena);
    if (st == GW_OK)
        st = try_rules(r, untried, o, err);
    free(untried);
    if (st == GW_OK)
        *out = r;
    else
        dlp_rules_unref(r);
    return st;
}
