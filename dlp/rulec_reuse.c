/* dlp/rulec_reuse.c - patterns that an earlier set has compiled are copied from it: their automata and anchors are what makes
 * opening rules dear, and a reload changes few of them. Thread: one at a time per set of tables. */
#include <string.h>

#include "dlp/rulec_emit.h"

enum { NONE = UINT32_MAX };

/* An anchor of the earlier set: a window or a run, and one of its targets. */
struct emit_earlier_anchor {
    const struct bundle_window *window; /* NULL: a run */
    const struct bundle_run *run;
    const struct bundle_target *target;
};

/* Goes over all anchors: at[pattern] moves on for each, and items, if any, gets the anchor there. */
static void list_anchors(const struct bundle *b, uint32_t *at, struct emit_earlier_anchor *items)
{
    for (unsigned i = 0; i < b->n_windows; i++) {
        for (unsigned k = 0; k < b->windows[i].n_targets; k++) {
            const struct bundle_target *t = &b->targets[b->windows[i].first_target + k];

            if (items != NULL)
                items[at[t->pattern]] = (struct emit_earlier_anchor){&b->windows[i], NULL, t};
            at[t->pattern]++;
        }
    }
    for (unsigned i = 0; i < b->n_runs; i++) {
        const struct bundle_target *t = &b->runs[i].target;

        if (items != NULL)
            items[at[t->pattern]] = (struct emit_earlier_anchor){NULL, &b->runs[i], t};
        at[t->pattern]++;
    }
}

bool emit_earlier_index(struct gw_arena *arena, struct emit_earlier *e)
{
    const struct bundle *b = e->b;
    uint32_t *at = gw_arena_array(arena, b->n_patterns + 1, sizeof(*at));

    e->first_pattern = gw_arena_array(arena, b->n_rules, sizeof(*e->first_pattern));
    e->first_anchor = gw_arena_array(arena, b->n_patterns + 1, sizeof(*e->first_anchor));
    e->anchors = gw_arena_array(arena, b->n_targets + b->n_runs, sizeof(*e->anchors));
    if (at == NULL || e->first_pattern == NULL || e->first_anchor == NULL || e->anchors == NULL)
        return false;
    for (unsigned i = b->n_patterns; i-- > 0;)
        e->first_pattern[b->patterns[i].rule] = i;
    list_anchors(b, at, NULL);
    for (unsigned i = 0; i < b->n_patterns; i++) {
        e->first_anchor[i + 1] = e->first_anchor[i] + at[i];
        at[i] = e->first_anchor[i];
    }
    list_anchors(b, at, e->anchors);
    return true;
}

static bool copy_anchors(struct emit_tables *t, const struct emit_earlier *e, uint32_t pattern)
{
    const struct bundle *b = e->b;
    bool ok = true;

    for (uint32_t i = e->first_anchor[pattern]; i < e->first_anchor[pattern + 1] && ok; i++) {
        const struct emit_earlier_anchor *from = &e->anchors[i];
        struct rulec_anchor a = {.min = from->target->min,
                                 .max = from->target->max,
                                 .between = b->sets[from->target->between],
                                 .alike = from->target->alike != 0};

        memcpy(a.value, from->target->value, sizeof(a.value));
        memcpy(a.mask, from->target->mask, sizeof(a.mask));
        if (from->window == NULL) {
            a.run = from->run->n;
            a.set[0] = b->sets[from->run->set];
        }
        if (from->window != NULL)
            rulec_sequel_read(b, from->target, &a.sequel);
        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES && from->window != NULL; k++)
            a.set[k] = b->sets[from->window->set[k]];
        ok = emit_add_anchor(t, &a, t->n_patterns);
    }
    return ok;
}

static bool copy_pattern(struct emit_tables *t, const struct emit_earlier *e, uint32_t pattern,
                         unsigned rule)
{
    const struct bundle *b = e->b;
    struct bundle_pattern row = b->patterns[pattern];
    struct interp_program program;
    unsigned n_memos = 0;

    if (!rx_program_copy(t->arena, &e->programs[pattern], &program, &n_memos) ||
        !emit_add_program(t, &program) || (pattern < b->n_patterns && !copy_anchors(t, e, pattern)))
        return false;
    row.match = NULL;
    row.rule = rule;
    row.first = emit_set(&t->sets, &b->sets[row.first]);
    row.holds = emit_set(&t->sets, &b->sets[row.holds]);
    for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++)
        row.behind_name[k] = emit_set(&t->sets, &b->sets[row.behind_name[k]]);
    for (unsigned i = 0; i < row.n_heads; i++)
        for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++)
            row.head[i][k] = emit_set(&t->sets, &b->sets[row.head[i][k]]);
    row.first_memo = t->n_memos;
    t->n_memos += n_memos;
    return emit_add_pattern(t, &row) && !t->sets.failed;
}

bool emit_copy_rule(struct emit_tables *t, const struct emit_earlier *e, uint32_t earlier,
                    unsigned rule, bool nears)
{
    const struct bundle_rule *r = &e->b->rules[earlier];
    unsigned n = nears ? r->n_nears : r->n_patterns;
    bool ok = true;

    for (unsigned i = 0; i < n && ok; i++)
        ok = copy_pattern(t, e, nears ? r->nears[i].pattern : e->first_pattern[earlier] + i, rule);
    return ok;
}

/* ---- which rules are the same ------------------------------------------------------------ */

static bool same_texts(const struct bundle_text *a, const struct bundle_text *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (a[i].len != b[i].len || memcmp(a[i].ptr, b[i].ptr, a[i].len) != 0)
            return false;
    return true;
}

static bool same_list(const struct bundle_list *a, const struct bundle_list *b)
{
    return a->n_words == b->n_words && a->n_globs == b->n_globs &&
           same_texts(a->words, b->words, a->n_words) && same_texts(a->globs, b->globs, a->n_globs);
}

/* Written alike, and its lists hold the same. */
static bool same_rule(const struct emit_earlier *e, uint32_t earlier, const struct rulec_set *set,
                      unsigned rule, const struct bundle_rule *rules,
                      const struct bundle_list *lists)
{
    const struct rulec_rule *was = &e->set->rules[earlier], *is = &set->rules[rule];
    const struct bundle_rule *old = &e->b->rules[e->first_rule + earlier];

    if (memcmp(was->digest, is->digest, sizeof(is->digest)) != 0)
        return false;
    for (unsigned i = 0; i < old->n_lists; i++)
        if (!same_list(&e->b->lists[old->lists[i]], &lists[rules[rule].lists[i]]))
            return false;
    return true;
}

/* Rules mostly stand in the order that they stood in, so the one behind the last is asked first. */
static uint32_t find_id(const struct rulec_set *set, const char *id, unsigned *next)
{
    for (unsigned i = 0; i < set->n_rules; i++) {
        unsigned k = (*next + i) % set->n_rules;

        if (strcmp(set->rules[k].id, id) == 0) {
            *next = k + 1;
            return k;
        }
    }
    return NONE;
}

bool emit_earlier_match(struct gw_arena *arena, struct emit_earlier *e, const struct rulec_set *set,
                        const struct bundle_rule *rules, const struct bundle_list *lists)
{
    unsigned next = 0;

    e->same = gw_arena_array(arena, set->n_rules, sizeof(*e->same));
    for (unsigned i = 0; i < set->n_rules && e->same != NULL; i++) {
        uint32_t k = find_id(e->set, set->rules[i].id, &next);

        e->same[i] = k != NONE && same_rule(e, k, set, i, rules, lists) ? e->first_rule + k : NONE;
    }
    return e->same != NULL;
}
