/* dlp/rulec_yaml_parts.c - reads the keys of a rule that hold lists and mappings. Thread: one at a time per set. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "dlp/rulec_yaml.h"
#include "dlp/validate.h"

enum gw_status rulec_read_patterns(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;

    if (r->patterns != NULL)
        return rulec_bad(x, n, GW_EINVAL, "pattern and patterns are both there; keep one");
    GW_TRY(rulec_read_texts(x, n, RULEC_MAX_PATTERN_BYTES, &r->patterns, &r->n_patterns));
    r->pattern_lines = gw_arena_array(x->set->arena, r->n_patterns, sizeof(*r->pattern_lines));
    r->pattern_columns = gw_arena_array(x->set->arena, r->n_patterns, sizeof(*r->pattern_columns));
    if (r->pattern_lines == NULL || r->pattern_columns == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < r->n_patterns; i++, k = k->next) {
        r->pattern_lines[i] = k->line;
        r->pattern_columns[i] = k->column;
    }
    return GW_OK;
}

/* ---- validators ------------------------------------------------------------------------- */

/* Parses "name" or "name(argument)"; n is for messages. */
static enum gw_status parse_check(struct rulec_reader *x, const struct gw_yaml_node *n,
                                  const char *text, struct rulec_check *c)
{
    struct gw_span name = {NULL, 0}, arg = {NULL, 0};
    const struct dlp_validator *v = NULL;
    const char *open = strchr(text, '(');
    char *end = NULL;

    name = (struct gw_span){text, open == NULL ? strlen(text) : (size_t)(open - text)};
    if (open != NULL) {
        arg = gw_span_str(open + 1);
        if (arg.len < 2 || arg.ptr[arg.len - 1] != ')')
            return rulec_bad(x, n, GW_EINVAL, "expected name or name(argument)");
        arg.len--;
    }
    GW_TRY(rulec_copy(x, name, &name));
    GW_TRY(rulec_copy(x, arg, &arg));
    v = dlp_validator_find(name.ptr);
    if (v == NULL)
        return rulec_bad(x, n, GW_EINVAL, "no such validator; docs/rules.md has the list");
    *c = (struct rulec_check){.name = v->name, .num = v->default_num, .str = ""};
    if (v->arg == DLP_VALIDATOR_ARG_STRING) {
        if (arg.len == 0 || !rulec_made_of(arg.ptr, RULEC_LOWER RULEC_UPPER RULEC_DIGITS "-_.,") ||
            (v->accepts != NULL && !v->accepts(arg)))
            return rulec_bad(x, n, GW_EINVAL, "this validator does not take that argument");
        c->str = arg.ptr;
    } else if (arg.len > 0) {
        c->num = strtod(arg.ptr, &end);
        if (v->arg != DLP_VALIDATOR_ARG_NUMBER || *end != '\0' || !isfinite(c->num))
            return rulec_bad(x, n, GW_EINVAL, "this validator does not take that argument");
    }
    return GW_OK;
}

static enum gw_status read_ok(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_check *c = to;

    return rulec_read_points(x, n, &c->ok);
}

static enum gw_status read_if_bad(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_check *c = to;

    if (n->kind == GW_YAML_SCALAR && gw_span_is(n->text, "drop")) {
        c->bad = RULEC_DROP;
        return GW_OK;
    }
    return rulec_read_points(x, n, &c->bad);
}

const struct rulec_key rulec_check_keys[] = {
    {.name = "ok",
     .read = read_ok,
     .help = "Confidence points where the validator accepts.",
     .schema = RULEC_POINTS},
    {.name = "bad",
     .read = read_if_bad,
     .help = "Confidence points where it does not, or drop (the default).",
     .schema = "{\"oneOf\":[" RULEC_POINTS ",{\"const\":\"drop\"}]}"},
    {.name = NULL}};

/* luhn, or { luhn: { ok: 15, bad: -40 } }. */
static enum gw_status read_check(struct rulec_reader *x, const struct gw_yaml_node *n,
                                 struct rulec_check *c)
{
    const struct gw_yaml_node *steps = n->first_child;
    const char *text = NULL;

    if (n->kind != GW_YAML_MAPPING) {
        GW_TRY(rulec_read_str(x, n, &text));
        return parse_check(x, n, text, c);
    }
    if (n->n_children != 1 || steps->kind != GW_YAML_MAPPING || steps->n_children == 0)
        return rulec_bad(x, n, GW_EINVAL, "expected { name: { ok: N, bad: N } }");
    GW_TRY(parse_check(x, n, steps->key.ptr, c));
    c->has_steps = true;
    c->bad = RULEC_DROP;
    return rulec_read_map(x, steps, rulec_check_keys, c);
}

enum gw_status rulec_read_validate(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    unsigned count = 0;
    const struct gw_yaml_node *k = rulec_entries(n, GW_YAML_SCALAR, &count);

    if (n->kind == GW_YAML_MAPPING || count > RULEC_MAX_PARTS)
        return rulec_bad(x, n, GW_EINVAL, "expected a list of at most 16 validators");
    r->checks = gw_arena_array(x->set->arena, count, sizeof(*r->checks));
    if (r->checks == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < count; i++, k = k->next)
        GW_TRY(read_check(x, k, &r->checks[i]));
    r->n_checks = count;
    return GW_OK;
}

/* ---- lists of values that are none ------------------------------------------------------ */

/* Appends a list to the set. */
static enum gw_status add_list(struct rulec_reader *x, const struct gw_yaml_node *n,
                               const char *name, unsigned *index)
{
    struct rulec_set *set = x->set;

    if (set->n_lists == set->cap_lists) {
        unsigned cap = set->cap_lists == 0 ? 64 : set->cap_lists * 2;
        struct rulec_list *lists = gw_arena_array(set->arena, cap, sizeof(*lists));

        if (lists == NULL)
            return rulec_no_memory(x);
        if (set->n_lists > 0)
            memcpy(lists, set->lists, set->n_lists * sizeof(*lists));
        set->lists = lists;
        set->cap_lists = cap;
    }
    set->lists[set->n_lists] =
        (struct rulec_list){.name = name, .file = x->file, .line = n->line, .column = n->column};
    *index = set->n_lists++;
    return GW_OK;
}

/* The list of that name, which need not be defined yet. */
static enum gw_status named_list(struct rulec_reader *x, const struct gw_yaml_node *n,
                                 unsigned *index)
{
    const char *name = NULL;

    GW_TRY(rulec_read_str(x, n, &name));
    if (!rulec_made_of(name, RULEC_LOWER RULEC_DIGITS "-") || strlen(name) > 64)
        return rulec_bad(x, n, GW_EINVAL, "expected a list's name: at most 64 of a-z, 0-9 and -");
    for (unsigned i = 0; i < x->set->n_lists; i++) {
        if (strcmp(x->set->lists[i].name, name) == 0) {
            *index = i;
            return GW_OK;
        }
    }
    return add_list(x, n, name, index);
}

/* Fills a list: entries with * or ? are globs over the whole value, the others words in it. */
static enum gw_status fill_list(struct rulec_reader *x, const struct gw_yaml_node *n,
                                struct rulec_list *l)
{
    struct gw_span *all = NULL;
    unsigned count = 0;

    GW_TRY(rulec_read_texts(x, n, 200, &all, &count));
    l->words = all;
    l->globs = gw_arena_array(x->set->arena, count, sizeof(*l->globs));
    if (l->globs == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < count; i++) {
        if (memchr(all[i].ptr, '*', all[i].len) != NULL ||
            memchr(all[i].ptr, '?', all[i].len) != NULL)
            l->globs[l->n_globs++] = all[i];
        else
            l->words[l->n_words++] = all[i];
    }
    rulec_sort_words(l->words, l->n_words);
    l->defined = true;
    return GW_OK;
}

/* Adds the index of a list to those of the rule. */
static enum gw_status use_list(struct rulec_reader *x, const struct gw_yaml_node *n,
                               struct rulec_rule *r, unsigned index)
{
    if (r->lists == NULL)
        r->lists = gw_arena_array(x->set->arena, RULEC_MAX_PARTS + 1, sizeof(*r->lists));
    if (r->lists == NULL)
        return rulec_no_memory(x);
    if (r->n_lists == RULEC_MAX_PARTS + 1)
        return rulec_bad(x, n, GW_ELIMIT, "more than 16 lists; join some");
    r->lists[r->n_lists++] = index;
    return GW_OK;
}

enum gw_status rulec_read_reject(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    unsigned index = 0;

    GW_TRY(add_list(x, n, "", &index));
    GW_TRY(fill_list(x, n, &x->set->lists[index]));
    return use_list(x, n, to, index);
}

enum gw_status rulec_read_reject_lists(struct rulec_reader *x, const struct gw_yaml_node *n,
                                       void *to)
{
    unsigned count = 0;
    const struct gw_yaml_node *k = rulec_entries(n, GW_YAML_SCALAR, &count);

    if (n->kind == GW_YAML_MAPPING || count > RULEC_MAX_PARTS)
        return rulec_bad(x, n, GW_EINVAL, "expected the names of at most 16 lists");
    for (; k != NULL && count > 0; k = k->next, count--) {
        unsigned index = 0;

        GW_TRY(named_list(x, k, &index));
        GW_TRY(use_list(x, k, to, index));
    }
    return GW_OK;
}

static enum gw_status read_list_name(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    unsigned *index = to;
    const struct rulec_list *l = NULL;

    GW_TRY(named_list(x, n, index));
    l = &x->set->lists[*index];
    x->id = l->name;
    if (l->defined)
        return gw_fail(x->err, GW_EEXIST, "%s:%u:%u: list %s: the name is taken by %s:%u",
                       gw_yaml_name(x->y), n->line, n->column, l->name, l->file, l->line);
    return GW_OK;
}

static enum gw_status read_values(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    const unsigned *index = to;

    return *index == UINT_MAX ? rulec_bad(x, n, GW_EINVAL, "the key list comes first")
                              : fill_list(x, n, &x->set->lists[*index]);
}

const struct rulec_key rulec_list_keys[] = {
    {.name = "list",
     .read = read_list_name,
     .help = "The name that rules use under reject_lists.",
     .schema = RULEC_ID,
     .needed = true},
    {.name = "values",
     .read = read_values,
     .help = "Texts that a value must not hold; with * or ? what it must not be.",
     .schema = RULEC_TEXTS,
     .needed = true},
    {.name = NULL}};

enum gw_status rulec_read_list(struct rulec_reader *x, const struct gw_yaml_node *n)
{
    const struct gw_yaml_node *name = gw_yaml_get(n, "list");
    unsigned index = UINT_MAX;
    struct rulec_list *l = NULL;

    GW_TRY(rulec_read_map(x, n, rulec_list_keys, &index));
    if (gw_yaml_get(n, "values") == NULL)
        return rulec_bad(x, n, GW_EINVAL, "expected { list: name, values: [..] }");
    l = &x->set->lists[index];
    l->file = x->file;
    l->line = name->line;
    l->column = name->column;
    return GW_OK;
}

enum gw_status rulec_check_lists(const struct rulec_set *set, struct gw_err *err)
{
    for (unsigned i = 0; i < set->n_lists; i++) {
        const struct rulec_list *l = &set->lists[i];

        if (!l->defined)
            return gw_fail(err, GW_EINVAL,
                           "%s:%u:%u: there is no list %s; write one: - { list: %s, values: [..] }",
                           l->file, l->line, l->column, l->name, l->name);
    }
    return GW_OK;
}

/* ---- counts ----------------------------------------------------------------------------- */

/* Reads digits at *at, none of which is UINT_MAX; false on anything else there. */
static bool take_number(const char **at, unsigned *out)
{
    char *end = NULL;
    unsigned long v;

    if (**at < '0' || **at > '9')
        return false;
    v = strtoul(*at, &end, 10);
    if (v > 1000000)
        return false;
    *at = end;
    *out = (unsigned)v;
    return true;
}

/* min..max, min.. or ..max. */
enum gw_status rulec_read_count(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    const char *at = n->kind == GW_YAML_SCALAR ? n->text.ptr : "";
    bool has_min = take_number(&at, &r->min_count), ok = strncmp(at, "..", 2) == 0;

    if (ok) {
        at += 2;
        if (!take_number(&at, &r->max_count))
            ok = has_min;
    }
    if (!ok || *at != '\0' || r->max_count == 0)
        return rulec_bad(x, n, GW_EINVAL, "expected min..max, min.. or ..max, as 5.. or 1..9");
    if (r->max_count < r->min_count)
        return rulec_bad(x, n, GW_EINVAL, "runs backwards; the smaller number comes first");
    return GW_OK;
}

static enum gw_status read_step_count(struct rulec_reader *x, const struct gw_yaml_node *n,
                                      void *to)
{
    struct rulec_step *s = to;

    return rulec_read_uint(x, n, 1000000, &s->count);
}

static enum gw_status read_step_boost(struct rulec_reader *x, const struct gw_yaml_node *n,
                                      void *to)
{
    struct rulec_step *s = to;

    return rulec_read_points(x, n, &s->boost);
}

const struct rulec_key rulec_step_keys[] = {
    {.name = "count",
     .read = read_step_count,
     .help = "From this many different values on.",
     .schema = "{\"type\":\"integer\",\"minimum\":2,\"maximum\":1000000}",
     .needed = true},
    {.name = "boost",
     .read = read_step_boost,
     .help = "Confidence points.",
     .schema = RULEC_POINTS,
     .needed = true},
    {.name = NULL}};

enum gw_status rulec_read_steps(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    unsigned count = 0;
    const struct gw_yaml_node *k = rulec_entries(n, GW_YAML_MAPPING, &count);

    if (n->kind == GW_YAML_SCALAR || count == 0 || count > RULEC_MAX_PARTS)
        return rulec_bad(x, n, GW_EINVAL, "expected up to 16 of { count: N, boost: N }");
    r->steps = gw_arena_array(x->set->arena, count, sizeof(*r->steps));
    if (r->steps == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < count; i++, k = k->next) {
        if (k->kind != GW_YAML_MAPPING || k->n_children != 2)
            return rulec_bad(x, k, GW_EINVAL, "expected { count: N, boost: N }");
        GW_TRY(rulec_read_map(x, k, rulec_step_keys, &r->steps[i]));
        if (r->steps[i].count <= (i == 0 ? 1 : r->steps[i - 1].count))
            return rulec_bad(x, k, GW_EINVAL, "counts must rise from step to step, from 2 on");
    }
    r->n_steps = count;
    return GW_OK;
}

/* ---- examples --------------------------------------------------------------------------- */

/* Decodes base64 (RFC 4648; blanks and padding skipped) in place; false when it is none. */
static bool base64_decode(char *text, size_t *len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t out = 0, i = 0;

    for (; i < *len && text[i] != '='; i++) {
        int v = gw_base64_digit(text[i]);

        if (text[i] == ' ' || text[i] == '\n')
            continue;
        if (v < 0)
            return false;
        bits = (bits << 6 | (uint32_t)v) & 0xFFFFFF;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            text[out++] = (char)(bits >> n_bits & 0xFF);
        }
    }
    for (; i < *len; i++)
        if (text[i] != '=' && text[i] != ' ' && text[i] != '\n')
            return false;
    *len = out;
    return out > 0;
}

enum gw_status rulec_read_examples(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    bool base64 = n->key.len > 4 && gw_span_ends(n->key, GW_SPAN("_b64"));
    struct rulec_rule *r = to;
    struct gw_span *texts = NULL;
    struct rulec_example *all = NULL;
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;
    unsigned count = 0;

    GW_TRY(rulec_read_texts(x, n, RULEC_MAX_EXAMPLE_BYTES, &texts, &count));
    all = gw_arena_array(x->set->arena, (size_t)r->n_examples + count, sizeof(*all));
    if (all == NULL)
        return rulec_no_memory(x);
    if (r->n_examples > 0)
        memcpy(all, r->examples, r->n_examples * sizeof(*all));
    for (unsigned i = 0; i < count; i++, k = k->next) {
        if (base64) {
            char *text = gw_arena_alloc(x->set->arena, texts[i].len + 1);

            if (text == NULL)
                return rulec_no_memory(x);
            memcpy(text, texts[i].ptr, texts[i].len);
            if (!base64_decode(text, &texts[i].len))
                return rulec_bad(x, k, GW_EINVAL, "not base64 (RFC 4648)");
            texts[i].ptr = text;
        }
        all[r->n_examples + i] =
            (struct rulec_example){.text = texts[i],
                                   .line = k->line,
                                   .should_match = gw_span_starts(n->key, GW_SPAN("match"))};
    }
    r->examples = all;
    r->n_examples += count;
    return GW_OK;
}
