/* dlp/interp_open.c - rule files become rules that are ready to scan with, without a compiler: the tables are those that
 * the emitter would write, the matchers are programs of the interpreter. Thread: any. */
#include <string.h>

#include "dlp/bundle.h"
#include "dlp/rulec_emit.h"

enum { ARENA_BYTES = 512 << 20 };

static void *copy(struct gw_arena *arena, const void *from, size_t bytes)
{
    void *to = gw_arena_alloc(arena, bytes);

    if (to != NULL && bytes > 0)
        memcpy(to, from, bytes);
    return to;
}

/* Makes the bundle in the set's arena, and the programs of its patterns. */
static enum gw_status make_bundle(const struct rulec_set *set, struct emit_tables *t,
                                  struct bundle **out, struct interp_program **programs,
                                  struct gw_err *err)
{
    struct bundle *b = gw_arena_alloc(set->arena, sizeof(*b));
    const struct bundle_rule *rules = emit_rules(set);
    const struct bundle_list *lists = emit_lists(set);

    GW_TRY(emit_patterns(set, t, NULL, err));
    GW_TRY(emit_finish(t, err));
    if (b == NULL || rules == NULL || lists == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the rules");
    *b = (struct bundle){.abi = BUNDLE_ABI,
                         .size = sizeof(*b),
                         .digest = copy(set->arena, set->digest, sizeof(set->digest)),
                         .n_rules = set->n_rules,
                         .n_patterns = t->n_anchored,
                         .n_sets = t->sets.n,
                         .n_windows = t->n_windows,
                         .n_targets = t->n_targets,
                         .n_runs = t->n_runs,
                         .n_memos = t->n_memos,
                         .n_near_patterns = t->n_patterns - t->n_anchored,
                         .n_lists = set->n_lists,
                         .rules = rules,
                         .patterns =
                             copy(set->arena, t->patterns, t->n_patterns * sizeof(*t->patterns)),
                         .sets = copy(set->arena, t->sets.set, t->sets.n * sizeof(*t->sets.set)),
                         .windows = t->windows,
                         .targets = t->targets,
                         .runs = t->runs,
                         .lists = lists};
    *programs = copy(set->arena, t->programs, t->n_patterns * sizeof(*t->programs));
    if (b->digest == NULL || b->patterns == NULL || b->sets == NULL || *programs == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the rules");
    *out = b;
    return GW_OK;
}

enum gw_status dlp_rules_open(const char *const *paths, unsigned n_paths,
                              const struct dlp_rules_options *o, struct dlp_rules **out,
                              struct gw_err *err)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct rulec_set set = {.arena = arena};
    struct emit_tables t = {.arena = arena};
    struct interp_program *programs = NULL;
    struct dlp_rules *r = NULL;
    struct bundle *b = NULL;
    enum gw_status st =
        arena == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for the rules") : GW_OK;

    if (st == GW_OK)
        st = rulec_load_paths(&set, paths, n_paths, err);
    if (st == GW_OK)
        st = make_bundle(&set, &t, &b, &programs, err);
    emit_tables_fini(&t);
    if (st == GW_OK)
        st = bundle_open(b, &(struct bundle_owned){.programs = programs, .arena = arena}, &r, err);
    if (st != GW_OK) {
        gw_arena_free(arena);
        return st;
    }
    if (o == NULL || !o->without_examples)
        st = bundle_check_examples(r, err);
    if (st == GW_OK)
        *out = r;
    else
        dlp_rules_unref(r);
    return st;
}
