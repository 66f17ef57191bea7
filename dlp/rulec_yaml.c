/* dlp/rulec_yaml.c - reads rules from YAML, one table of keys. Every error names file, line and rule.
 * Thread: one at a time per set. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "dlp/rulec.h"
#include "dlp/validate.h"

/* One rule while it is read. */
struct reader {
    struct rulec_set *set;
    const struct gw_yaml *y;
    struct gw_err *err;
    struct rulec_rule *rule;
};

typedef enum gw_status read_fn(struct reader *x, const struct gw_yaml_node *n);

static enum gw_status bad(struct reader *x, const struct gw_yaml_node *n, enum gw_status st,
                          const char *what)
{
    return gw_fail(x->err, st, "%s:%u: rule %s: %.*s: %s", gw_yaml_name(x->y), n->line,
                   x->rule->id == NULL ? "?" : x->rule->id,
                   (int)(n->key.len < 40 ? n->key.len : 40), n->key.ptr == NULL ? "" : n->key.ptr,
                   what);
}

static enum gw_status out_of_memory(struct reader *x)
{
    return gw_fail(x->err, GW_ENOMEM, "%s: out of memory for the rules", gw_yaml_name(x->y));
}

static enum gw_status copy_text(struct reader *x, struct gw_span in, struct gw_span *out)
{
    *out = gw_arena_copy(x->set->arena, in);
    return out->ptr == NULL ? out_of_memory(x) : GW_OK;
}

static enum gw_status read_str(struct reader *x, const struct gw_yaml_node *n, const char **out)
{
    struct gw_span s = {NULL, 0};

    if (n->kind != GW_YAML_SCALAR || n->text.len == 0)
        return bad(x, n, GW_EINVAL, "expected a text");
    if (n->text.len > 200)
        return bad(x, n, GW_ELIMIT, "longer than 200 bytes");
    if (memchr(n->text.ptr, '\0', n->text.len) != NULL)
        return bad(x, n, GW_EINVAL, "holds a NUL");
    GW_TRY(copy_text(x, n->text, &s));
    *out = s.ptr;
    return GW_OK;
}

/* True when s is non-empty and made of the bytes in from. */
static bool made_of(const char *s, const char *from)
{
    return s[0] != '\0' && s[strspn(s, from)] == '\0';
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static enum gw_status read_id(struct reader *x, const struct gw_yaml_node *n)
{
    GW_TRY(read_str(x, n, &x->rule->id));
    if (!made_of(x->rule->id, LOWER DIGITS "-") || strlen(x->rule->id) > 64)
        return bad(x, n, GW_EINVAL, "expected at most 64 of a-z, 0-9 and -");
    return GW_OK;
}

static enum gw_status read_title(struct reader *x, const struct gw_yaml_node *n)
{
    return read_str(x, n, &x->rule->title);
}

static enum gw_status read_type(struct reader *x, const struct gw_yaml_node *n)
{
    GW_TRY(read_str(x, n, &x->rule->type));
    if (!made_of(x->rule->type, UPPER DIGITS "_") || strlen(x->rule->type) > 64)
        return bad(x, n, GW_EINVAL, "expected at most 64 of A-Z, 0-9 and _");
    return GW_OK;
}

static enum gw_status read_class(struct reader *x, const struct gw_yaml_node *n)
{
    if (n->kind == GW_YAML_SCALAR && gw_class_parse(n->text, &x->rule->class_))
        return GW_OK;
    return bad(x, n, GW_EINVAL,
               "expected secret, pii, phi, financial, source_code, confidential or injection");
}

static enum gw_status read_severity(struct reader *x, const struct gw_yaml_node *n)
{
    if (n->kind == GW_YAML_SCALAR && gw_severity_parse(n->text, &x->rule->severity))
        return GW_OK;
    return bad(x, n, GW_EINVAL, "expected info, low, medium, high or critical");
}

static enum gw_status read_flags(struct reader *x, const struct gw_yaml_node *n)
{
    if (n->kind != GW_YAML_SCALAR || !gw_span_is(n->text, "i"))
        return bad(x, n, GW_EINVAL, "the only flag is i");
    x->rule->nocase = true;
    return GW_OK;
}

static enum gw_status read_boundary(struct reader *x, const struct gw_yaml_node *n)
{
    static const char *const names[] = {"none", "word", "token", "line"};

    for (unsigned i = 0; i < 4; i++) {
        if (n->kind == GW_YAML_SCALAR && gw_span_is(n->text, names[i])) {
            x->rule->boundary = (enum rulec_boundary)i;
            return GW_OK;
        }
    }
    return bad(x, n, GW_EINVAL, "expected word, token, line or none");
}

static enum gw_status read_uint(struct reader *x, const struct gw_yaml_node *n, unsigned max,
                                unsigned *out)
{
    int64_t v = 0;

    if (!gw_yaml_int(n, &v) || v < 0 || v > (int64_t)max)
        return gw_fail(x->err, GW_EINVAL, "%s:%u: rule %s: expected a number from 0 to %u",
                       gw_yaml_name(x->y), n->line, x->rule->id == NULL ? "?" : x->rule->id, max);
    *out = (unsigned)v;
    return GW_OK;
}

static enum gw_status read_confidence(struct reader *x, const struct gw_yaml_node *n)
{
    return read_uint(x, n, 100, &x->rule->confidence);
}

static enum gw_status read_length(struct reader *x, const struct gw_yaml_node *n)
{
    const struct gw_yaml_node *k = n->first_child;

    if (n->kind != GW_YAML_SEQUENCE || n->n_children < 1 || n->n_children > 2)
        return bad(x, n, GW_EINVAL, "expected [min] or [min, max] in bytes");
    GW_TRY(read_uint(x, k, RULEC_MAX_REACH_BYTES, &x->rule->min_len));
    if (k->next != NULL)
        GW_TRY(read_uint(x, k->next, RULEC_MAX_REACH_BYTES, &x->rule->max_len));
    if (x->rule->max_len < x->rule->min_len)
        return bad(x, n, GW_EINVAL, "runs backwards; swap the two");
    return GW_OK;
}

/* Reads a list of non-empty texts (or one text). */
static enum gw_status read_texts(struct reader *x, const struct gw_yaml_node *n, size_t max_bytes,
                                 struct gw_span **out, unsigned *n_out)
{
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;
    unsigned count = n->kind == GW_YAML_SCALAR ? 1 : n->n_children, i = 0;

    if (n->kind == GW_YAML_MAPPING)
        return bad(x, n, GW_EINVAL, "expected a list of texts");
    if (count > RULEC_MAX_LIST)
        return bad(x, n, GW_ELIMIT, "more than 2048 entries");
    *out = gw_arena_array(x->set->arena, count, sizeof(**out));
    if (*out == NULL)
        return out_of_memory(x);
    for (; i < count; i++, k = k->next) {
        if (k->kind != GW_YAML_SCALAR || k->text.len == 0)
            return bad(x, k, GW_EINVAL, "expected a text that is not empty");
        if (k->text.len > max_bytes)
            return bad(x, k, GW_ELIMIT, "a text is too long");
        GW_TRY(copy_text(x, k->text, &(*out)[i]));
    }
    *n_out = count;
    return GW_OK;
}

static enum gw_status read_patterns(struct reader *x, const struct gw_yaml_node *n)
{
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;

    if (x->rule->patterns != NULL)
        return bad(x, n, GW_EINVAL, "pattern and patterns are both there; keep one");
    GW_TRY(read_texts(x, n, RULEC_MAX_PATTERN_BYTES, &x->rule->patterns, &x->rule->n_patterns));
    x->rule->pattern_lines =
        gw_arena_array(x->set->arena, x->rule->n_patterns, sizeof(*x->rule->pattern_lines));
    if (x->rule->pattern_lines == NULL)
        return out_of_memory(x);
    for (unsigned i = 0; i < x->rule->n_patterns; i++, k = k->next)
        x->rule->pattern_lines[i] = k->line;
    return GW_OK;
}

static enum gw_status read_reject(struct reader *x, const struct gw_yaml_node *n)
{
    return read_texts(x, n, 200, &x->rule->rejects, &x->rule->n_rejects);
}

/* ---- validators ------------------------------------------------------------------------- */

/* Parses "name" or "name(argument)". */
static enum gw_status read_check(struct reader *x, const struct gw_yaml_node *n,
                                 struct rulec_check *c)
{
    struct gw_span name = {NULL, 0}, arg = {NULL, 0};
    const struct dlp_validator *v = NULL;
    const char *open = NULL;
    char *end = NULL;

    GW_TRY(read_str(x, n, &c->name));
    open = strchr(c->name, '(');
    name = (struct gw_span){c->name, open == NULL ? strlen(c->name) : (size_t)(open - c->name)};
    if (open != NULL) {
        arg = gw_span_str(open + 1);
        if (arg.len < 2 || arg.ptr[arg.len - 1] != ')')
            return bad(x, n, GW_EINVAL, "expected name or name(argument)");
        arg.len--;
    }
    GW_TRY(copy_text(x, name, &name));
    GW_TRY(copy_text(x, arg, &arg));
    v = dlp_validator_find(name.ptr);
    if (v == NULL)
        return bad(x, n, GW_EINVAL, "no such validator; dlp/validate.h has the list");
    *c = (struct rulec_check){.name = v->name, .num = v->default_num, .str = ""};
    if (v->arg == DLP_VALIDATOR_ARG_STRING) {
        if (arg.len == 0 || !made_of(arg.ptr, LOWER UPPER DIGITS "-_.,") ||
            (v->accepts != NULL && !v->accepts(arg)))
            return bad(x, n, GW_EINVAL, "this validator does not take that argument");
        c->str = arg.ptr;
    } else if (arg.len > 0) {
        c->num = strtod(arg.ptr, &end);
        if (v->arg != DLP_VALIDATOR_ARG_NUMBER || *end != '\0' || !isfinite(c->num))
            return bad(x, n, GW_EINVAL, "this validator does not take that argument");
    }
    return GW_OK;
}

static enum gw_status read_validate(struct reader *x, const struct gw_yaml_node *n)
{
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;
    unsigned count = n->kind == GW_YAML_SCALAR ? 1 : n->n_children;

    if (n->kind == GW_YAML_MAPPING || count > 16)
        return bad(x, n, GW_EINVAL, "expected a list of at most 16 validators");
    x->rule->checks = gw_arena_array(x->set->arena, count, sizeof(*x->rule->checks));
    if (x->rule->checks == NULL)
        return out_of_memory(x);
    for (unsigned i = 0; i < count; i++, k = k->next)
        GW_TRY(read_check(x, k, &x->rule->checks[i]));
    x->rule->n_checks = count;
    return GW_OK;
}

/* ---- context ---------------------------------------------------------------------------- */

/* By the low five bits of the first byte, which is how the scanner looks words up; else as written. */
static int by_slot(const void *a, const void *b)
{
    const struct gw_span *x = a, *y = b;
    int sx = x->ptr[0] & 31, sy = y->ptr[0] & 31;

    return sx != sy ? sx - sy : (x->ptr < y->ptr ? -1 : x->ptr > y->ptr);
}

static enum gw_status read_words(struct reader *x, const struct gw_yaml_node *n)
{
    GW_TRY(read_texts(x, n, 100, &x->rule->words, &x->rule->n_words));
    if (x->rule->n_words > 0)
        qsort(x->rule->words, x->rule->n_words, sizeof(*x->rule->words), by_slot);
    return GW_OK;
}

static enum gw_status read_keys(struct reader *x, const struct gw_yaml_node *n)
{
    GW_TRY(read_texts(x, n, 100, &x->rule->keys, &x->rule->n_keys));
    if (x->rule->n_keys > 0)
        qsort(x->rule->keys, x->rule->n_keys, sizeof(*x->rule->keys), by_slot);
    return GW_OK;
}

static enum gw_status read_within(struct reader *x, const struct gw_yaml_node *n)
{
    return read_uint(x, n, 2000, &x->rule->within);
}

static enum gw_status read_boost(struct reader *x, const struct gw_yaml_node *n)
{
    int64_t v = 0;

    if (!gw_yaml_int(n, &v) || v < -100 || v > 100)
        return bad(x, n, GW_EINVAL, "expected a number from -100 to 100");
    x->rule->boost = (int)v;
    return GW_OK;
}

static enum gw_status read_required(struct reader *x, const struct gw_yaml_node *n)
{
    return gw_yaml_bool(n, &x->rule->required) ? GW_OK
                                               : bad(x, n, GW_EINVAL, "expected true or false");
}

struct key {
    const char *name;
    read_fn *read;
};

/* Reads every child of map by the table; unknown keys are errors. */
static enum gw_status read_map(struct reader *x, const struct gw_yaml_node *map,
                               const struct key *keys, size_t n_keys)
{
    for (const struct gw_yaml_node *n = map->first_child; n != NULL; n = n->next) {
        size_t i = 0;

        while (i < n_keys && !gw_span_is(n->key, keys[i].name))
            i++;
        if (i == n_keys)
            return bad(x, n, GW_EINVAL, "unknown key; dlp/rulec.h describes the rule format");
        GW_TRY(keys[i].read(x, n));
    }
    return GW_OK;
}

static enum gw_status read_context(struct reader *x, const struct gw_yaml_node *n)
{
    static const struct key keys[] = {{"words", read_words},
                                      {"keys", read_keys},
                                      {"within", read_within},
                                      {"boost", read_boost},
                                      {"required", read_required}};

    if (n->kind != GW_YAML_MAPPING)
        return bad(x, n, GW_EINVAL, "expected { words: [..], within: N, boost: N }");
    GW_TRY(read_map(x, n, keys, sizeof(keys) / sizeof(keys[0])));
    if (x->rule->n_words == 0 && x->rule->n_keys == 0)
        return bad(x, n, GW_EINVAL, "has neither words nor keys");
    return GW_OK;
}

/* ---- examples --------------------------------------------------------------------------- */

static int base64_value(char c)
{
    static const char digits[] = UPPER LOWER DIGITS "+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* Decodes base64 (RFC 4648; blanks and padding skipped) in place; false when it is none. */
static bool base64_decode(char *text, size_t *len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t out = 0, i = 0;

    for (; i < *len && text[i] != '='; i++) {
        int v = base64_value(text[i]);

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

static enum gw_status read_examples(struct reader *x, const struct gw_yaml_node *n)
{
    bool base64 = n->key.len > 4 && gw_span_ends(n->key, GW_SPAN("_b64"));
    struct rulec_rule *r = x->rule;
    struct gw_span *texts = NULL;
    struct rulec_example *all = NULL;
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;
    unsigned count = 0;

    GW_TRY(read_texts(x, n, RULEC_MAX_EXAMPLE_BYTES, &texts, &count));
    all = gw_arena_array(x->set->arena, (size_t)r->n_examples + count, sizeof(*all));
    if (all == NULL)
        return out_of_memory(x);
    if (r->n_examples > 0)
        memcpy(all, r->examples, r->n_examples * sizeof(*all));
    for (unsigned i = 0; i < count; i++, k = k->next) {
        if (base64) {
            char *text = gw_arena_alloc(x->set->arena, texts[i].len + 1);

            if (text == NULL)
                return out_of_memory(x);
            memcpy(text, texts[i].ptr, texts[i].len);
            if (!base64_decode(text, &texts[i].len))
                return bad(x, k, GW_EINVAL, "not base64 (RFC 4648)");
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

/* ---- whole rules ------------------------------------------------------------------------ */

/* The type that an id stands for: "aws-key" is AWS_KEY. */
static enum gw_status default_type(struct reader *x)
{
    size_t n = strlen(x->rule->id);
    char *type = gw_arena_alloc(x->set->arena, n + 1);

    if (type == NULL)
        return out_of_memory(x);
    for (size_t i = 0; i < n; i++) {
        char c = x->rule->id[i];

        type[i] = (char)(c == '-' ? '_' : (c >= 'a' && c <= 'z' ? c - 32 : c));
    }
    x->rule->type = type;
    return GW_OK;
}

static enum gw_status check_rule(struct reader *x, const struct gw_yaml_node *n)
{
    static const char *const needed[] = {"id", "title", "class", "severity", "confidence"};
    struct rulec_rule *r = x->rule;
    bool matches = false;

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (gw_yaml_get(n, needed[i]) == NULL)
            return gw_fail(x->err, GW_EINVAL, "%s:%u: rule %s: the key %s is missing",
                           gw_yaml_name(x->y), n->line, r->id == NULL ? "?" : r->id, needed[i]);
    if (r->n_patterns == 0)
        return gw_fail(x->err, GW_EINVAL, "%s:%u: rule %s: the key pattern is missing",
                       gw_yaml_name(x->y), n->line, r->id);
    for (unsigned i = 0; i < r->n_examples; i++)
        matches = matches || r->examples[i].should_match;
    if (!matches)
        return gw_fail(x->err, GW_EINVAL,
                       "%s:%u: rule %s: give at least one example under match: that it must find",
                       gw_yaml_name(x->y), n->line, r->id);
    for (unsigned i = 0; i < x->set->n_rules; i++)
        if (strcmp(x->set->rules[i].id, r->id) == 0)
            return gw_fail(x->err, GW_EEXIST, "%s:%u: rule %s: the id is taken by %s:%u",
                           gw_yaml_name(x->y), n->line, r->id, x->set->rules[i].file,
                           x->set->rules[i].line);
    return r->type == NULL ? default_type(x) : GW_OK;
}

static enum gw_status read_rule(struct reader *x, const struct gw_yaml_node *n)
{
    static const struct key keys[] = {
        {"id", read_id},
        {"title", read_title},
        {"type", read_type},
        {"class", read_class},
        {"severity", read_severity},
        {"pattern", read_patterns},
        {"patterns", read_patterns},
        {"flags", read_flags},
        {"boundary", read_boundary},
        {"length", read_length},
        {"validate", read_validate},
        {"context", read_context},
        {"reject", read_reject},
        {"confidence", read_confidence},
        {"match", read_examples},
        {"no_match", read_examples},
        {"match_b64", read_examples},
        {"no_match_b64", read_examples},
    };

    if (n->kind != GW_YAML_MAPPING)
        return gw_fail(x->err, GW_EINVAL,
                       "%s:%u: expected a rule (a mapping with id, pattern, ...)",
                       gw_yaml_name(x->y), n->line);
    GW_TRY(read_map(x, n, keys, sizeof(keys) / sizeof(keys[0])));
    return check_rule(x, n);
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
        st = gw_fail(err, GW_EINVAL, "%s:%u: expected a list of rules (- id: ...)", file,
                     root->line);
    for (const struct gw_yaml_node *n = root->first_child; n != NULL && st == GW_OK; n = n->next) {
        struct rulec_rule rule = {.file = name.ptr,
                                  .line = n->line,
                                  .boundary = RULEC_BOUNDARY_WORD,
                                  .max_len = UINT_MAX,
                                  .within = 80,
                                  .boost = 10};
        struct reader x = {set, y, err, &rule};

        if (set->n_rules == RULEC_MAX_RULES) {
            st = gw_fail(err, GW_ELIMIT, "%s:%u: more than %d rules", file, n->line,
                         RULEC_MAX_RULES);
            break;
        }
        st = read_rule(&x, n);
        if (st == GW_OK && set->n_rules == set->cap_rules && !grow(set))
            st = out_of_memory(&x);
        if (st == GW_OK)
            set->rules[set->n_rules++] = rule;
    }
    gw_yaml_free(y);
    return st;
}
