/* dlp/rulec_yaml.c - reads rules from YAML, one table of keys. Every error names file, line, column and rule.
 * Thread: one at a time per set. */
#include "dlp/rulec_yaml.h"

#include <limits.h>
#include <string.h>

#include "base/digest.h"

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
    bool matches = false;

    for (const struct rulec_key *k = rulec_rule_keys; k->name != NULL; k++)
        if (k->needed && gw_yaml_get(n, k->name) == NULL)
            return gw_fail(x->err, GW_EINVAL, "%s:%u:%u: rule %s: the key %s is missing",
                           gw_yaml_name(x->y), n->line, n->column, r->id == NULL ? "?" : r->id,
                           k->name);
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

/* name or name(argument) */
#define CHECK_NAME "{\"type\":\"string\",\"pattern\":\"^[a-z0-9_]+(\\\\([A-Za-z0-9_.,-]+\\\\))?$\"}"
/* A list of texts, or one: examples, patterns. */
#define SOME "{\"oneOf\":[#,{\"type\":\"array\",\"minItems\":1,\"maxItems\":2048,\"items\":#}]}"
/* An object, or up to 16 of them. */
#define OBJECTS "{\"oneOf\":[@,{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":@}]}"

const struct rulec_key rulec_rule_keys[] = {
    {.name = "id",
     .read = read_id,
     .help = "Unique; it stands in records and policy, so do not rename it.",
     .schema = RULEC_ID,
     .needed = true},
    {.name = "title",
     .read = read_title,
     .help = "What it finds, for people.",
     .schema = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}",
     .needed = true},
    {.name = "type",
     .read = read_type,
     .help = "What the placeholder says; default: the id, ACME_CUSTOMER.",
     .schema = "{\"type\":\"string\",\"pattern\":\"^[A-Z0-9_]{1,64}$\"}"},
    {.name = "class",
     .read = read_class,
     .help = "What policy decides by.",
     .schema =
         "{\"enum\":[\"secret\",\"pii\",\"phi\",\"financial\",\"source_code\",\"confidential\","
         "\"injection\"]}",
     .needed = true},
    {.name = "severity",
     .read = read_severity,
     .help = "How bad it is that it leaves.",
     .schema = "{\"enum\":[\"info\",\"low\",\"medium\",\"high\",\"critical\"]}",
     .needed = true},
    {.name = "mode",
     .read = read_mode,
     .help = "enforce (default), monitor (recorded, never acted on) or off (not looked for).",
     .schema = "{\"enum\":[\"enforce\",\"monitor\",\"off\"]}"},
    {.name = "pattern",
     .read = rulec_read_patterns,
     .help = "What it looks like; (?<secret>...) is the part that is reported.",
     .schema = SOME},
    {.name = "patterns",
     .read = rulec_read_patterns,
     .help = "Several shapes of one thing.",
     .schema = SOME},
    {.name = "flags",
     .read = read_flags,
     .help = "i: ASCII letters match in both cases.",
     .schema = "{\"const\":\"i\"}"},
    {.name = "boundary",
     .read = read_boundary,
     .help = "What must stand around the match. Default: word.",
     .schema = "{\"enum\":[\"word\",\"token\",\"line\",\"none\"]}"},
    {.name = "length",
     .read = read_length,
     .help = "Bytes of the reported part: [min, max] or [min].",
     .schema = "{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"integer\","
               "\"minimum\":0,\"maximum\":65536}}"},
    {.name = "validate",
     .read = rulec_read_validate,
     .help = "Validators: name, name(argument), or { name: { ok: N, bad: N } }.",
     .schema = "{\"oneOf\":[" CHECK_NAME
               ",{\"type\":\"array\",\"maxItems\":16,\"items\":{\"oneOf\":[" CHECK_NAME
               ",{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,"
               "\"additionalProperties\":@}]}}]}",
     .kids = rulec_check_keys},
    {.name = "context",
     .read = rulec_read_contexts,
     .help = "Words around the value, and JSON keys above it; one, or up to 16.",
     .schema = OBJECTS,
     .kids = rulec_context_keys},
    {.name = "near",
     .read = rulec_read_nears,
     .help = "A second pattern beside the match; one, or up to 16.",
     .schema = OBJECTS,
     .kids = rulec_near_keys},
    {.name = "reject",
     .read = rulec_read_reject,
     .help = "Texts that the value must not hold; with * or ? what it must not be.",
     .schema = RULEC_TEXTS},
    {.name = "reject_lists",
     .read = rulec_read_reject_lists,
     .help = "The same, from lists with a name.",
     .schema =
         "{\"oneOf\":[" RULEC_ID ",{\"type\":\"array\",\"maxItems\":16,\"items\":" RULEC_ID "}]}"},
    {.name = "confidence",
     .read = read_confidence,
     .help = "0 to 100, before validators and context.",
     .schema = "{\"type\":\"integer\",\"minimum\":0,\"maximum\":100}",
     .needed = true},
    {.name = "count",
     .read = rulec_read_count,
     .help = "Different values in a request: min.., ..max or min..max; others are not reported.",
     .schema = "{\"type\":\"string\",\"pattern\":\"^([0-9]+\\\\.\\\\.[0-9]*|\\\\.\\\\.[0-9]+)$\"}"},
    {.name = "steps",
     .read = rulec_read_steps,
     .help = "Confidence by the number of different values.",
     .schema = OBJECTS,
     .kids = rulec_step_keys},
    {.name = "match",
     .read = rulec_read_examples,
     .help = "Texts that it must find.",
     .schema = SOME},
    {.name = "no_match",
     .read = rulec_read_examples,
     .help = "Texts in which it must find nothing.",
     .schema = SOME},
    {.name = "match_b64",
     .read = rulec_read_examples,
     .help = "match in base64, so that the file holds nothing that looks live.",
     .schema = SOME},
    {.name = "no_match_b64",
     .read = rulec_read_examples,
     .help = "no_match in base64.",
     .schema = SOME},
    {.name = NULL}};

/* Lengths stand in front, so that no two rules are the same bytes. */
static void hash_span(struct gw_hash *h, struct gw_span s)
{
    gw_hash_add(h, (struct gw_span){(const char *)&s.len, sizeof(s.len)});
    gw_hash_add(h, s);
}

/* Depth is bounded by the YAML parser. */
static void hash_node(struct gw_hash *h, const struct gw_yaml_node *n)
{
    unsigned what[3] = {n->kind, n->plain, n->n_children};

    gw_hash_add(h, (struct gw_span){(const char *)what, sizeof(what)});
    hash_span(h, n->key);
    hash_span(h, n->text);
    for (const struct gw_yaml_node *k = n->first_child; k != NULL; k = k->next)
        hash_node(h, k);
}

static enum gw_status hash_rule(struct rulec_reader *x, const struct gw_yaml_node *n,
                                struct rulec_rule *r)
{
    struct gw_hash *h = gw_hash_new();

    _Static_assert(sizeof(r->digest) == GW_SHA256_BYTES, "a digest is SHA-256");
    if (h == NULL)
        return rulec_no_memory(x);
    hash_node(h, n);
    gw_hash_final(h, r->digest);
    return GW_OK;
}

static enum gw_status read_rule(struct rulec_reader *x, const struct gw_yaml_node *n,
                                struct rulec_rule *r)
{
    GW_TRY(rulec_read_map(x, n, rulec_rule_keys, r));
    GW_TRY(hash_rule(x, n, r));
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
