/* dlp/rulec_yaml.c - reads rules from YAML, one table of keys. Every error names file, line, column and rule.
 * Thread: one at a time per set. */
#include "dlp/rulec_yaml.h"

#include <limits.h>
#include <string.h>

static enum gw_status read_id(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    GW_TRY(rulec_read_str(x, n, &r->id));
    x->id = r->id;
    if (!rulec_made_of(r->id, RULEC_LOWER RULEC_DIGITS "-") || strlen(r->id) > 64)
        return rulec_bad(x, n, GW_EINVAL, "expected at most 64 of a-z, 0-9 and -");
    return GW_OK;
}

static enum gw_status read_title(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    return rulec_read_str(x, n, &r->title);
}

static enum gw_status read_type(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    GW_TRY(rulec_read_str(x, n, &r->type));
    if (!rulec_made_of(r->type, RULEC_UPPER RULEC_DIGITS "_") || strlen(r->type) > 64)
        return rulec_bad(x, n, GW_EINVAL, "expected at most 64 of A-Z, 0-9 and _");
    return GW_OK;
}

static enum gw_status read_class(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    if (n->kind == GW_YAML_SCALAR && gw_class_parse(n->text, &r->class_))
        return GW_OK;
    return rulec_bad(
        x, n, GW_EINVAL,
        "expected secret, pii, phi, financial, source_code, confidential or injection");
}

static enum gw_status read_severity(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    if (n->kind == GW_YAML_SCALAR && gw_severity_parse(n->text, &r->severity))
        return GW_OK;
    return rulec_bad(x, n, GW_EINVAL, "expected info, low, medium, high or critical");
}

static enum gw_status read_flags(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;

    if (n->kind != GW_YAML_SCALAR || !gw_span_is(n->text, "i"))
        return rulec_bad(x, n, GW_EINVAL, "the only flag is i");
    r->nocase = true;
    return GW_OK;
}

static enum gw_status read_boundary(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    static const char *const names[] = {"none", "word", "token", "line"};

    for (unsigned i = 0; i < 4; i++) {
        if (n->kind == GW_YAML_SCALAR && gw_span_is(n->text, names[i])) {
            r->boundary = (enum rulec_boundary)i;
            return GW_OK;
        }
    }
    return rulec_bad(x, n, GW_EINVAL, "expected word, token, line or none");
}

static enum gw_status read_confidence(struct rulec_reader *x, const struct gw_yaml_node *n,
                                      void *to)
{
    struct rulec_rule *r = to;

    return rulec_read_uint(x, n, 100, &r->confidence);
}

static enum gw_status read_length(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    const struct gw_yaml_node *k = n->first_child;

    if (n->kind != GW_YAML_SEQUENCE || n->n_children < 1 || n->n_children > 2)
        return rulec_bad(x, n, GW_EINVAL, "expected [min] or [min, max] in bytes");
    GW_TRY(rulec_read_uint(x, k, RULEC_MAX_REACH_BYTES, &r->min_len));
    if (k->next != NULL)
        GW_TRY(rulec_read_uint(x, k->next, RULEC_MAX_REACH_BYTES, &r->max_len));
    if (r->max_len < r->min_len)
        return rulec_bad(x, n, GW_EINVAL, "runs backwards; swap the two");
    return GW_OK;
}

static enum gw_status read_mode(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    static const char *const names[] = {"enforce", "monitor", "off"};
    struct rulec_rule *r = to;

    for (unsigned i = 0; i < 3; i++) {
        if (n->kind == GW_YAML_SCALAR && gw_span_is(n->text, names[i])) {
            r->mode = (enum dlp_rule_mode)i;
            return GW_OK;
        }
    }
    return rulec_bad(x, n, GW_EINVAL, "expected enforce, monitor or off");
}

/* ---- whole rules ------------------------------------------------------------------------ */

/* The type that an id stands for: "aws-key" is AWS_KEY. */
static enum gw_status default_type(struct rulec_reader *x, struct rulec_rule *r)
{
    size_t n = strlen(r->id);
    char *type = gw_arena_alloc(x->set->arena, n + 1);

    if (type == NULL)
        return rulec_no_memory(x);
    for (size_t i = 0; i < n; i++) {
        char c = r->id[i];

        type[i] = (char)(c == '-' ? '_' : (c >= 'a' && c <= 'z' ? c - 32 : c));
    }
    r->type = type;
    return GW_OK;
}

static enum gw_status missing(struct rulec_reader *x, const struct gw_yaml_node *n,
                              const char *what)
{
    return gw_fail(x->err, GW_EINVAL, "%s:%u:%u: rule %s: %s", gw_yaml_name(x->y), n->line,
                   n->column, x->id == NULL ? "?" : x->id, what);
}

static enum gw_status check_rule(struct rulec_reader *x, const struct gw_yaml_node *n,
                                 struct rulec_rule *r)
{
    static const char *const needed[] = {"id", "title", "class", "severity", "confidence"};
    bool matches = false;

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (gw_yaml_get(n, needed[i]) == NULL)
            return gw_fail(x->err, GW_EINVAL, "%s:%u:%u: rule %s: the key %s is missing",
                           gw_yaml_name(x->y), n->line, n->column, r->id == NULL ? "?" : r->id,
                           needed[i]);
    if (r->n_patterns == 0)
        return missing(x, n, "the key pattern is missing");
    for (unsigned i = 0; i < r->n_examples; i++)
        matches = matches || r->examples[i].should_match;
    if (!matches)
        return missing(x, n, "give at least one example under match: that it must find");
    for (unsigned i = 0; i < x->set->n_rules; i++)
        if (strcmp(x->set->rules[i].id, r->id) == 0)
            return gw_fail(x->err, GW_EEXIST, "%s:%u:%u: rule %s: the id is taken by %s:%u",
                           gw_yaml_name(x->y), n->line, n->column, r->id, x->set->rules[i].file,
                           x->set->rules[i].line);
    return r->type == NULL ? default_type(x, r) : GW_OK;
}

static enum gw_status read_rule(struct rulec_reader *x, const struct gw_yaml_node *n,
                                struct rulec_rule *r)
{
    static const struct rulec_key keys[] = {
        {"id", read_id},
        {"title", read_title},
        {"type", read_type},
        {"class", read_class},
        {"severity", read_severity},
        {"mode", read_mode},
        {"pattern", rulec_read_patterns},
        {"patterns", rulec_read_patterns},
        {"flags", read_flags},
        {"boundary", read_boundary},
        {"length", read_length},
        {"validate", rulec_read_validate},
        {"context", rulec_read_contexts},
        {"near", rulec_read_nears},
        {"reject", rulec_read_reject},
        {"reject_lists", rulec_read_reject_lists},
        {"confidence", read_confidence},
        {"count", rulec_read_count},
        {"steps", rulec_read_steps},
        {"match", rulec_read_examples},
        {"no_match", rulec_read_examples},
        {"match_b64", rulec_read_examples},
        {"no_match_b64", rulec_read_examples},
    };

    GW_TRY(rulec_read_map(x, n, keys, sizeof(keys) / sizeof(keys[0]), r));
    return check_rule(x, n, r);
}

static bool grow(struct rulec_set *set)
{
    unsigned cap = set->cap_rules == 0 ? 64 : set->cap_rules * 2;
    struct rulec_rule *rules = gw_arena_array(set->arena, cap, sizeof(*rules));

    if (rules == NULL)
        return false;
    if (set->n_rules > 0)
        memcpy(rules, set->rules, set->n_rules * sizeof(*rules));
    set->rules = rules;
    set->cap_rules = cap;
    return true;
}

static enum gw_status add_rule(struct rulec_reader *x, const struct gw_yaml_node *n)
{
    struct rulec_set *set = x->set;
    struct rulec_rule rule = {.file = x->file,
                              .line = n->line,
                              .boundary = RULEC_BOUNDARY_WORD,
                              .max_len = UINT_MAX,
                              .max_count = UINT_MAX};

    if (set->n_rules == RULEC_MAX_RULES)
        return gw_fail(x->err, GW_ELIMIT, "%s:%u:%u: more than %d rules", gw_yaml_name(x->y),
                       n->line, n->column, RULEC_MAX_RULES);
    GW_TRY(read_rule(x, n, &rule));
    if (set->n_rules == set->cap_rules && !grow(set))
        return rulec_no_memory(x);
    set->rules[set->n_rules++] = rule;
    return GW_OK;
}

/* Reads one entry of a file: a rule, or a list that rules name. */
static enum gw_status add_entry(struct rulec_set *set, const struct gw_yaml *y, const char *file,
                                const struct gw_yaml_node *n, struct gw_err *err)
{
    bool is_list = n->kind == GW_YAML_MAPPING && gw_yaml_get(n, "list") != NULL;
    struct rulec_reader x = {set, y, file, err, is_list ? "list" : "rule", NULL};

    if (n->kind != GW_YAML_MAPPING)
        return gw_fail(err, GW_EINVAL,
                       "%s:%u:%u: expected a rule (a mapping with id, pattern, ...)",
                       gw_yaml_name(y), n->line, n->column);
    return is_list ? rulec_read_list(&x, n) : add_rule(&x, n);
}

enum gw_status rulec_load_text(struct rulec_set *set, struct gw_span text, const char *file,
                               struct gw_err *err)
{
    struct gw_yaml *y = NULL;
    struct gw_span name = gw_arena_copy(set->arena, gw_span_str(file));
    const struct gw_yaml_node *root = NULL;
    enum gw_status st = GW_OK;

    if (name.ptr == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory for the rules", file);
    GW_TRY(gw_yaml_parse(text, file, &y, err));
    root = gw_yaml_root(y);
    if (root->kind != GW_YAML_SEQUENCE && root->n_children + root->text.len > 0)
        st = gw_fail(err, GW_EINVAL, "%s:%u:%u: expected a list of rules (- id: ...)", file,
                     root->line, root->column);
    for (const struct gw_yaml_node *n = root->first_child; n != NULL && st == GW_OK; n = n->next)
        st = add_entry(set, y, name.ptr, n, err);
    gw_yaml_free(y);
    return st;
}
