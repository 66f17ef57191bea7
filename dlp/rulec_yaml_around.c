/* dlp/rulec_yaml_around.c - reads what a rule says about the text around a match: contexts and nears. Thread: one at a
 * time per set. */
#include <string.h>

#include "dlp/rulec_yaml.h"

enum {
    MAX_WITHIN = 2000, /* bytes */
    DEFAULT_WITHIN = 80,
    DEFAULT_BOOST = 10,
};

static enum gw_status read_words(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_context *c = to;

    GW_TRY(rulec_read_texts(x, n, 100, &c->words, &c->n_words));
    rulec_sort_words(c->words, c->n_words);
    return GW_OK;
}

static enum gw_status read_keys(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_context *c = to;

    GW_TRY(rulec_read_texts(x, n, 100, &c->keys, &c->n_keys));
    rulec_sort_words(c->keys, c->n_keys);
    return GW_OK;
}

/* N, or [before, behind]. */
static enum gw_status read_window(struct rulec_reader *x, const struct gw_yaml_node *n,
                                  unsigned *before, unsigned *behind)
{
    if (n->kind == GW_YAML_SEQUENCE) {
        if (n->n_children != 2)
            return rulec_bad(x, n, GW_EINVAL, "expected N or [before, behind] in bytes");
        GW_TRY(rulec_read_uint(x, n->first_child, MAX_WITHIN, before));
        return rulec_read_uint(x, n->first_child->next, MAX_WITHIN, behind);
    }
    GW_TRY(rulec_read_uint(x, n, MAX_WITHIN, before));
    *behind = *before;
    return GW_OK;
}

static enum gw_status read_context_within(struct rulec_reader *x, const struct gw_yaml_node *n,
                                          void *to)
{
    struct rulec_context *c = to;

    return read_window(x, n, &c->before, &c->behind);
}

static enum gw_status read_context_boost(struct rulec_reader *x, const struct gw_yaml_node *n,
                                         void *to)
{
    struct rulec_context *c = to;

    return rulec_read_points(x, n, &c->boost);
}

static enum gw_status read_bool(struct rulec_reader *x, const struct gw_yaml_node *n, bool *out)
{
    return gw_yaml_bool(n, out) ? GW_OK : rulec_bad(x, n, GW_EINVAL, "expected true or false");
}

static enum gw_status read_context_required(struct rulec_reader *x, const struct gw_yaml_node *n,
                                            void *to)
{
    struct rulec_context *c = to;

    return read_bool(x, n, &c->required);
}

static enum gw_status read_lang(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_context *c = to;

    GW_TRY(rulec_read_str(x, n, &c->lang));
    if (!rulec_made_of(c->lang, RULEC_LOWER RULEC_UPPER RULEC_DIGITS "-") || strlen(c->lang) > 35)
        return rulec_bad(x, n, GW_EINVAL, "expected a language tag: en, de, pt-BR");
    return GW_OK;
}

#define WINDOW                                                                                     \
    "{\"oneOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":2000},{\"type\":\"array\","       \
    "\"minItems\":2,"                                                                              \
    "\"maxItems\":2,\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2000}}]}"

const struct rulec_key rulec_context_keys[] = {
    {.name = "words",
     .read = read_words,
     .help = "Whole words near the value or in the JSON key above it; a blank stands for _, -, . "
             "or nothing.",
     .schema = RULEC_TEXTS},
    {.name = "keys",
     .read = read_keys,
     .help = "Words in the JSON key above the value.",
     .schema = RULEC_TEXTS},
    {.name = "within",
     .read = read_context_within,
     .help = "Bytes in which words count: N on both sides, or [before, behind]. Default 80.",
     .schema = WINDOW},
    {.name = "boost",
     .read = read_context_boost,
     .help = "Confidence points, once; negative ones take away. Default 10.",
     .schema = RULEC_POINTS},
    {.name = "lang",
     .read = read_lang,
     .help = "Language of the words: en, de, pt-BR.",
     .schema = "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9-]{1,35}$\"}"},
    {.name = "required",
     .read = read_context_required,
     .help = "Without it there is no finding.",
     .schema = "{\"type\":\"boolean\"}"},
    {.name = NULL}};

static enum gw_status read_context(struct rulec_reader *x, const struct gw_yaml_node *n,
                                   struct rulec_context *c)
{
    if (n->kind != GW_YAML_MAPPING)
        return rulec_bad(x, n, GW_EINVAL, "expected { words: [..], within: N, boost: N }");
    *c = (struct rulec_context){
        .before = DEFAULT_WITHIN, .behind = DEFAULT_WITHIN, .boost = DEFAULT_BOOST, .lang = ""};
    GW_TRY(rulec_read_map(x, n, rulec_context_keys, c));
    if (c->n_words == 0 && c->n_keys == 0)
        return rulec_bad(x, n, GW_EINVAL, "has neither words nor keys; give one");
    return GW_OK;
}

enum gw_status rulec_read_contexts(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    unsigned count = 0;
    const struct gw_yaml_node *k = rulec_entries(n, GW_YAML_MAPPING, &count);

    if (n->kind == GW_YAML_SCALAR || count == 0 || count > RULEC_MAX_PARTS)
        return rulec_bad(x, n, GW_EINVAL,
                         "expected { words: [..], within: N, boost: N }, or up to 16 of them");
    r->contexts = gw_arena_array(x->set->arena, count, sizeof(*r->contexts));
    if (r->contexts == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < count; i++, k = k->next)
        GW_TRY(read_context(x, k, &r->contexts[i]));
    r->n_contexts = count;
    return GW_OK;
}

/* True when a pattern has a group (?<secret>...). */
static bool has_secret(const char *pattern)
{
    for (const char *p = pattern; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] != '\0')
            p++;
        else if (strncmp(p, "(?<secret>", 10) == 0)
            return true;
    }
    return false;
}

static enum gw_status read_near_pattern(struct rulec_reader *x, const struct gw_yaml_node *n,
                                        void *to)
{
    struct rulec_near *near = to;
    struct gw_span *texts = NULL;
    unsigned count = 0;

    if (n->kind != GW_YAML_SCALAR)
        return rulec_bad(x, n, GW_EINVAL, "expected one pattern");
    GW_TRY(rulec_read_texts(x, n, RULEC_MAX_PATTERN_BYTES, &texts, &count));
    near->pattern = texts[0];
    near->has_secret = has_secret(texts[0].ptr);
    near->line = n->line;
    near->column = n->column;
    return GW_OK;
}

static enum gw_status read_near_within(struct rulec_reader *x, const struct gw_yaml_node *n,
                                       void *to)
{
    struct rulec_near *near = to;

    return read_window(x, n, &near->before, &near->behind);
}

static enum gw_status read_near_boost(struct rulec_reader *x, const struct gw_yaml_node *n,
                                      void *to)
{
    struct rulec_near *near = to;

    return rulec_read_points(x, n, &near->boost);
}

static enum gw_status read_near_required(struct rulec_reader *x, const struct gw_yaml_node *n,
                                         void *to)
{
    struct rulec_near *near = to;

    return read_bool(x, n, &near->required);
}

const struct rulec_key rulec_near_keys[] = {
    {.name = "pattern",
     .read = read_near_pattern,
     .help = "What stands near; its (?<secret>...), if there is one, is what is reported.",
     .schema = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":16384}",
     .needed = true},
    {.name = "within",
     .read = read_near_within,
     .help =
         "Bytes in which it stands as a whole: N on both sides, or [before, behind]. Default 80.",
     .schema = WINDOW},
    {.name = "boost",
     .read = read_near_boost,
     .help = "Confidence points when it is there. Default 10.",
     .schema = RULEC_POINTS},
    {.name = "required",
     .read = read_near_required,
     .help = "Without it there is no finding.",
     .schema = "{\"type\":\"boolean\"}"},
    {.name = NULL}};

static enum gw_status read_near(struct rulec_reader *x, const struct gw_yaml_node *n,
                                struct rulec_near *near)
{
    if (n->kind != GW_YAML_MAPPING)
        return rulec_bad(x, n, GW_EINVAL, "expected { pattern: '..', within: N, required: true }");
    *near = (struct rulec_near){
        .before = DEFAULT_WITHIN, .behind = DEFAULT_WITHIN, .boost = DEFAULT_BOOST};
    GW_TRY(rulec_read_map(x, n, rulec_near_keys, near));
    if (near->pattern.len == 0)
        return rulec_bad(x, n, GW_EINVAL, "the key pattern is missing; give one");
    return GW_OK;
}

enum gw_status rulec_read_nears(struct rulec_reader *x, const struct gw_yaml_node *n, void *to)
{
    struct rulec_rule *r = to;
    unsigned count = 0;
    const struct gw_yaml_node *k = rulec_entries(n, GW_YAML_MAPPING, &count);

    if (n->kind == GW_YAML_SCALAR || count == 0 || count > RULEC_MAX_PARTS)
        return rulec_bad(x, n, GW_EINVAL,
                         "expected { pattern: '..', within: N, required: true }, or up to 16 of "
                         "them");
    r->nears = gw_arena_array(x->set->arena, count, sizeof(*r->nears));
    if (r->nears == NULL)
        return rulec_no_memory(x);
    for (unsigned i = 0; i < count; i++, k = k->next)
        GW_TRY(read_near(x, k, &r->nears[i]));
    r->n_nears = count;
    return GW_OK;
}
