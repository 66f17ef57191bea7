/* dlp/rulec_rules.c - rules as they were written become rules as a bundle has them. Thread: one at a time per set. */
#include "dlp/rulec_emit.h"

/* Texts live in the set's arena and end in a NUL. NULL: out of memory. */
static struct bundle_text *make_texts(struct gw_arena *arena, const struct gw_span *from,
                                      unsigned n)
{
    struct bundle_text *to = gw_arena_array(arena, n, sizeof(*to));

    for (unsigned i = 0; i < n && to != NULL; i++)
        to[i] = (struct bundle_text){from[i].ptr, (uint32_t)from[i].len};
    return to;
}

static struct bundle_check *make_checks(struct gw_arena *arena, const struct rulec_rule *r)
{
    struct bundle_check *to = gw_arena_array(arena, r->n_checks, sizeof(*to));

    for (unsigned i = 0; i < r->n_checks && to != NULL; i++)
        to[i] = (struct bundle_check){r->checks[i].name, r->checks[i].num, r->checks[i].str};
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

static bool make_rule(struct gw_arena *arena, const struct rulec_rule *r, struct bundle_rule *out)
{
    *out = (struct bundle_rule){
        .id = r->id,
        .title = r->title,
        .type = r->type,
        .file = r->file,
        .class_ = r->class_,
        .severity = r->severity,
        .confidence = r->confidence,
        .min_len = r->min_len,
        .max_len = r->max_len,
        .within = r->within,
        .boost = r->boost,
        .required = r->required,
        .n_checks = r->n_checks,
        .n_words = r->n_words,
        .n_keys = r->n_keys,
        .n_rejects = r->n_rejects,
        .n_examples = r->n_examples,
        .checks = make_checks(arena, r),
        .words = make_texts(arena, r->words, r->n_words),
        .keys = make_texts(arena, r->keys, r->n_keys),
        .rejects = make_texts(arena, r->rejects, r->n_rejects),
        .examples = make_examples(arena, r),
    };
    return out->checks != NULL && out->words != NULL && out->keys != NULL && out->rejects != NULL &&
           out->examples != NULL;
}

struct bundle_rule *emit_rules(const struct rulec_set *set)
{
    struct bundle_rule *rules = gw_arena_array(set->arena, set->n_rules, sizeof(*rules));

    for (unsigned i = 0; i < set->n_rules && rules != NULL; i++)
        if (!make_rule(set->arena, &set->rules[i], &rules[i]))
            return NULL;
    return rules;
}
