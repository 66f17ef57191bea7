/* dlp/rulec_rules.c - rules as they were written become rules as a bundle has them. Thread: one at a time per set. */
#include "dlp/rulec_emit.h"

enum { MAX_SHOWN = 2000 }; /* bytes of a pattern */

/* Texts live in the set's arena and end in a NUL. NULL: out of memory. */
static struct bundle_text *make_texts(struct gw_arena *arena, const struct gw_span *from,
                                      unsigned n)
{
    struct bundle_text *to = gw_arena_array(arena, n, sizeof(*to));

    for (unsigned i = 0; i < n && to != NULL; i++)
        to[i] = (struct bundle_text){from[i].ptr, (uint32_t)from[i].len};
    return to;
}

/* Patterns as people will read them: what is longer than a C string may be is cut. */
static struct bundle_text *make_patterns(struct gw_arena *arena, const struct gw_span *from,
                                         unsigned n)
{
    struct bundle_text *to = make_texts(arena, from, n);

    for (unsigned i = 0; i < n && to != NULL; i++)
        to[i].len = to[i].len < MAX_SHOWN ? to[i].len : MAX_SHOWN;
    return to;
}

static struct bundle_check *make_checks(struct gw_arena *arena, const struct rulec_rule *r)
{
    struct bundle_check *to = gw_arena_array(arena, r->n_checks, sizeof(*to));

    for (unsigned i = 0; i < r->n_checks && to != NULL; i++) {
        const struct rulec_check *c = &r->checks[i];

        to[i] =
            (struct bundle_check){c->name,      c->num, c->str,
                                  c->has_steps, c->ok,  c->bad == RULEC_DROP ? INT32_MIN : c->bad};
    }
    return to;
}

static struct bundle_context *make_contexts(struct gw_arena *arena, const struct rulec_rule *r)
{
    struct bundle_context *to = gw_arena_array(arena, r->n_contexts, sizeof(*to));

    for (unsigned i = 0; i < r->n_contexts && to != NULL; i++) {
        const struct rulec_context *c = &r->contexts[i];

        to[i] = (struct bundle_context){.words = make_texts(arena, c->words, c->n_words),
                                        .keys = make_texts(arena, c->keys, c->n_keys),
                                        .n_words = c->n_words,
                                        .n_keys = c->n_keys,
                                        .before = c->before,
                                        .behind = c->behind,
                                        .boost = c->boost,
                                        .required = c->required,
                                        .lang = c->lang};
        if (to[i].words == NULL || to[i].keys == NULL)
            return NULL;
    }
    return to;
}

/* first: the pattern of the rule's first near. */
static struct bundle_near *make_nears(struct gw_arena *arena, const struct rulec_rule *r,
                                      unsigned first)
{
    struct bundle_near *to = gw_arena_array(arena, r->n_nears, sizeof(*to));

    for (unsigned i = 0; i < r->n_nears && to != NULL; i++) {
        const struct rulec_near *n = &r->nears[i];

        to[i] = (struct bundle_near){
            .pattern = first + i,
            .before = n->before,
            .behind = n->behind,
            .boost = n->boost,
            .required = n->required,
            .has_secret = n->has_secret,
            .text = {n->pattern.ptr,
                     n->pattern.len < MAX_SHOWN ? (uint32_t)n->pattern.len : MAX_SHOWN},
        };
    }
    return to;
}

static uint32_t *make_list_use(struct gw_arena *arena, const struct rulec_rule *r)
{
    uint32_t *to = gw_arena_array(arena, r->n_lists, sizeof(*to));

    for (unsigned i = 0; i < r->n_lists && to != NULL; i++)
        to[i] = r->lists[i];
    return to;
}

static struct bundle_step *make_steps(struct gw_arena *arena, const struct rulec_rule *r)
{
    struct bundle_step *to = gw_arena_array(arena, r->n_steps, sizeof(*to));

    for (unsigned i = 0; i < r->n_steps && to != NULL; i++)
        to[i] = (struct bundle_step){r->steps[i].count, r->steps[i].boost};
    return to;
}

static struct bundle_example *make_examples(struct gw_arena *arena, const struct rulec_rule *r)
{
    struct bundle_example *to = gw_arena_array(arena, r->n_examples, sizeof(*to));

    for (unsigned i = 0; i < r->n_examples && to != NULL; i++) {
        const struct rulec_example *e = &r->examples[i];

        to[i] =
            (struct bundle_example){{e->text.ptr, (uint32_t)e->text.len}, e->line, e->should_match};
    }
    return to;
}

/* n_nears of them, which begin with the pattern first. */
static bool make_rule(struct gw_arena *arena, const struct rulec_rule *r, unsigned n_nears,
                      unsigned first, struct bundle_rule *out)
{
    *out = (struct bundle_rule){
        .id = r->id,
        .title = r->title,
        .type = r->type,
        .file = r->file,
        .class_ = r->class_,
        .severity = r->severity,
        .confidence = r->confidence,
        .mode = r->mode,
        .min_len = r->min_len,
        .max_len = r->max_len,
        .min_count = r->min_count,
        .max_count = r->max_count,
        .n_patterns = r->n_patterns,
        .n_checks = r->n_checks,
        .n_contexts = r->n_contexts,
        .n_nears = n_nears,
        .n_lists = r->n_lists,
        .n_steps = r->n_steps,
        .n_examples = r->n_examples,
        .patterns = make_patterns(arena, r->patterns, r->n_patterns),
        .checks = make_checks(arena, r),
        .contexts = make_contexts(arena, r),
        .nears = make_nears(arena, r, first),
        .lists = make_list_use(arena, r),
        .steps = make_steps(arena, r),
        .examples = make_examples(arena, r),
    };
    return out->patterns != NULL && out->checks != NULL && out->contexts != NULL &&
           out->nears != NULL && out->lists != NULL && out->steps != NULL && out->examples != NULL;
}

struct bundle_rule *emit_rules(const struct rulec_set *set)
{
    struct bundle_rule *rules = gw_arena_array(set->arena, set->n_rules, sizeof(*rules));
    unsigned near = 0; /* nears come behind all patterns of rules that are looked for */

    for (unsigned i = 0; i < set->n_rules; i++)
        near += set->rules[i].mode == DLP_MODE_OFF ? 0 : set->rules[i].n_patterns;
    for (unsigned i = 0; i < set->n_rules && rules != NULL; i++) {
        const struct rulec_rule *r = &set->rules[i];
        unsigned n_nears = r->mode == DLP_MODE_OFF ? 0 : r->n_nears;

        if (!make_rule(set->arena, r, n_nears, near, &rules[i]))
            return NULL;
        near += n_nears;
    }
    return rules;
}

struct bundle_list *emit_lists(const struct rulec_set *set)
{
    struct bundle_list *lists = gw_arena_array(set->arena, set->n_lists, sizeof(*lists));

    for (unsigned i = 0; i < set->n_lists && lists != NULL; i++) {
        const struct rulec_list *l = &set->lists[i];

        lists[i] = (struct bundle_list){.name = l->name,
                                        .words = make_texts(set->arena, l->words, l->n_words),
                                        .globs = make_texts(set->arena, l->globs, l->n_globs),
                                        .n_words = l->n_words,
                                        .n_globs = l->n_globs};
        if (lists[i].words == NULL || lists[i].globs == NULL)
            return NULL;
    }
    return lists;
}
