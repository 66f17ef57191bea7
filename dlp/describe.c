/* dlp/describe.c - says what a rule looks for, for people and as JSON. Thread: any; no state. */
#include "dlp/author.h"
#include "dlp/bundle.h"
#include "dlp/rulec.h"

enum { MAX_WORDS = 12 }; /* shown to people */

static struct gw_span span_of(const struct bundle_text *t)
{
    return (struct gw_span){t->ptr, t->len};
}

static const char *mode_name(uint32_t mode)
{
    static const char *const names[] = {"enforce", "monitor", "off"};

    return mode < 3 ? names[mode] : "?";
}

static const char *boundary_name(uint32_t boundary)
{
    static const char *const names[] = {"none", "word", "token", "line"};

    return boundary < 4 ? names[boundary] : "?";
}

/* ---- anchors ---------------------------------------------------------------------------- */

/* The bytes of a set, one of a letter's two cases; "." for a set of many. */
static void put_set(struct gw_buf *out, const struct bundle_set *s)
{
    unsigned n = 0, byte = 0;

    for (unsigned b = 0; b < 256; b++) {
        bool has = (s->w[b >> 5] >> (b & 31) & 1u) != 0;
        bool lower = b >= 'a' && b <= 'z' && (s->w[(b - 32) >> 5] >> ((b - 32) & 31) & 1u) != 0;

        if (has && !lower) {
            byte = b;
            n++;
        }
    }
    if (n != 1)
        gw_buf_adds(out, n == 10 && byte == '9' ? "[0-9]" : ".");
    else if (byte > ' ' && byte < 0x7f)
        gw_buf_addc(out, (char)byte);
    else
        gw_buf_printf(out, "\\x%02x", byte);
}

static void put_window(struct gw_buf *out, const struct bundle *b, const struct bundle_window *w)
{
    unsigned n = BUNDLE_WINDOW_BYTES;

    /* Sets of every byte at the end say that the anchor is shorter. */
    while (n > 1 && b->sets[w->set[n - 1]].w[0] == UINT32_MAX)
        n--;
    for (unsigned i = 0; i < n; i++)
        put_set(out, &b->sets[w->set[i]]);
}

typedef void put_anchor_fn(struct gw_buf *out, struct gw_span text, bool first);

/* Calls put for every anchor of the rule, as a text. */
static void each_anchor(const struct bundle *b, unsigned rule, put_anchor_fn *put,
                        struct gw_buf *out)
{
    struct gw_buf text = {NULL, 0, 0, false};
    bool first = true;

    for (unsigned i = 0; i < b->n_windows; i++) {
        const struct bundle_window *w = &b->windows[i];
        bool of_rule = false;

        for (unsigned k = 0; k < w->n_targets; k++)
            of_rule = of_rule || b->patterns[b->targets[w->first_target + k].pattern].rule == rule;
        if (!of_rule)
            continue;
        gw_buf_clear(&text);
        put_window(&text, b, w);
        put(out, gw_buf_span(&text), first);
        first = false;
    }
    for (unsigned i = 0; i < b->n_runs; i++) {
        if (b->patterns[b->runs[i].target.pattern].rule != rule)
            continue;
        gw_buf_clear(&text);
        gw_buf_printf(&text, "%u bytes of a token", b->runs[i].n);
        put(out, gw_buf_span(&text), first);
        first = false;
    }
    gw_buf_fini(&text);
}

/* ---- JSON ------------------------------------------------------------------------------- */

static void put_json_text(struct gw_buf *out, struct gw_span text, bool first)
{
    if (!first)
        gw_buf_addc(out, ',');
    gw_buf_add_json_str(out, text);
}

static void put_json_texts(struct gw_buf *out, const char *key, const struct bundle_text *t,
                           unsigned n)
{
    gw_buf_printf(out, ",\"%s\":[", key);
    for (unsigned i = 0; i < n; i++)
        put_json_text(out, span_of(&t[i]), i == 0);
    gw_buf_addc(out, ']');
}

static void put_json_str(struct gw_buf *out, const char *key, const char *text)
{
    gw_buf_printf(out, "\"%s\":", key);
    gw_buf_add_json_str(out, gw_span_str(text));
}

static void put_check(struct gw_buf *out, const struct bundle_check *c)
{
    gw_buf_adds(out, c->name);
    if (c->str[0] != '\0')
        gw_buf_printf(out, "(%s)", c->str);
    else if (c->num < 0 || c->num > 0)
        gw_buf_printf(out, "(%g)", c->num);
}

static void put_json_checks(struct gw_buf *out, const struct bundle_rule *rule)
{
    gw_buf_adds(out, ",\"validate\":[");
    for (unsigned i = 0; i < rule->n_checks; i++) {
        const struct bundle_check *c = &rule->checks[i];

        gw_buf_printf(out, "%s{\"name\":\"", i == 0 ? "" : ",");
        put_check(out, c);
        gw_buf_addc(out, '"');
        if (c->has_steps != 0 && c->bad == INT32_MIN)
            gw_buf_printf(out, ",\"ok\":%d,\"bad\":\"drop\"", c->ok);
        else if (c->has_steps != 0)
            gw_buf_printf(out, ",\"ok\":%d,\"bad\":%d", c->ok, c->bad);
        gw_buf_addc(out, '}');
    }
    gw_buf_addc(out, ']');
}

static void put_json_around(struct gw_buf *out, const struct bundle_rule *rule)
{
    gw_buf_adds(out, ",\"context\":[");
    for (unsigned i = 0; i < rule->n_contexts; i++) {
        const struct bundle_context *c = &rule->contexts[i];

        gw_buf_printf(out, "%s{\"within\":[%u,%u],\"boost\":%d,\"required\":%s,", i == 0 ? "" : ",",
                      c->before, c->behind, c->boost, c->required != 0 ? "true" : "false");
        put_json_str(out, "lang", c->lang);
        put_json_texts(out, "words", c->words, c->n_words);
        put_json_texts(out, "keys", c->keys, c->n_keys);
        gw_buf_addc(out, '}');
    }
    gw_buf_adds(out, "],\"near\":[");
    for (unsigned i = 0; i < rule->n_nears; i++) {
        const struct bundle_near *n = &rule->nears[i];

        gw_buf_printf(out, "%s{\"within\":[%u,%u],\"boost\":%d,\"required\":%s,\"pattern\":",
                      i == 0 ? "" : ",", n->before, n->behind, n->boost,
                      n->required != 0 ? "true" : "false");
        gw_buf_add_json_str(out, span_of(&n->text));
        gw_buf_addc(out, '}');
    }
    gw_buf_addc(out, ']');
}

static void put_json_lists(struct gw_buf *out, const struct bundle *b,
                           const struct bundle_rule *rule)
{
    gw_buf_adds(out, ",\"reject_lists\":[");
    for (unsigned i = 0; i < rule->n_lists; i++) {
        const struct bundle_list *l = &b->lists[rule->lists[i]];

        gw_buf_printf(out, "%s{", i == 0 ? "" : ",");
        put_json_str(out, "name", l->name);
        gw_buf_printf(out, ",\"values\":%u}", l->n_words + l->n_globs);
    }
    gw_buf_addc(out, ']');
}

static void describe_json(const struct dlp_rules *r, unsigned i, struct gw_buf *out)
{
    const struct bundle_rule *rule = &r->b->rules[i];

    gw_buf_addc(out, '{');
    put_json_str(out, "id", rule->id);
    gw_buf_addc(out, ',');
    put_json_str(out, "title", rule->title);
    gw_buf_addc(out, ',');
    put_json_str(out, "type", rule->type);
    gw_buf_addc(out, ',');
    put_json_str(out, "file", rule->file);
    gw_buf_printf(out, ",\"class\":\"%s\",\"severity\":\"%s\",\"mode\":\"%s\",\"confidence\":%u",
                  gw_class_name((enum gw_class)rule->class_),
                  gw_severity_name((enum gw_severity)rule->severity), mode_name(rule->mode),
                  rule->confidence);
    put_json_texts(out, "patterns", rule->patterns, rule->n_patterns);
    gw_buf_adds(out, ",\"anchors\":[");
    each_anchor(r->b, i, put_json_text, out);
    gw_buf_printf(out, "],\"length\":[%u,%u]", rule->min_len, rule->max_len);
    put_json_checks(out, rule);
    put_json_around(out, rule);
    put_json_lists(out, r->b, rule);
    gw_buf_printf(out, ",\"count\":[%u,%u],\"steps\":[", rule->min_count, rule->max_count);
    for (unsigned k = 0; k < rule->n_steps; k++)
        gw_buf_printf(out, "%s{\"count\":%u,\"boost\":%d}", k == 0 ? "" : ",", rule->steps[k].count,
                      rule->steps[k].boost);
    gw_buf_printf(out, "],\"examples\":%u}", rule->n_examples);
}

/* ---- for people ------------------------------------------------------------------------- */

static void put_label(struct gw_buf *out, const char *label)
{
    gw_buf_printf(out, "  %-11s ", label);
}

static void put_anchor(struct gw_buf *out, struct gw_span text, bool first)
{
    if (!first)
        gw_buf_adds(out, "  ");
    gw_buf_add(out, text);
}

static void put_words(struct gw_buf *out, const struct bundle_text *t, unsigned n)
{
    for (unsigned i = 0; i < n && i < MAX_WORDS; i++) {
        gw_buf_adds(out, i == 0 ? "" : ", ");
        gw_buf_add(out, span_of(&t[i]));
    }
    if (n > MAX_WORDS)
        gw_buf_printf(out, " and %u more", n - MAX_WORDS);
}

/* "within 80: +10" */
static void put_terms(struct gw_buf *out, uint32_t before, uint32_t behind, int32_t boost,
                      uint32_t required)
{
    if (before == behind)
        gw_buf_printf(out, "within %u", before);
    else
        gw_buf_printf(out, "within [%u, %u]", before, behind);
    gw_buf_printf(out, ": %+d%s", boost, required != 0 ? ", and nothing without" : "");
}

static void put_checks(struct gw_buf *out, const struct bundle_rule *rule)
{
    for (unsigned i = 0; i < rule->n_checks; i++) {
        const struct bundle_check *c = &rule->checks[i];

        put_label(out, i == 0 ? "validators" : "");
        put_check(out, c);
        if (c->has_steps != 0 && c->bad == INT32_MIN)
            gw_buf_printf(out, ": %+d, or nothing", c->ok);
        else if (c->has_steps != 0)
            gw_buf_printf(out, ": %+d or %+d", c->ok, c->bad);
        gw_buf_addc(out, '\n');
    }
}

static void put_around(struct gw_buf *out, const struct bundle_rule *rule)
{
    for (unsigned i = 0; i < rule->n_contexts; i++) {
        const struct bundle_context *c = &rule->contexts[i];

        put_label(out, i == 0 ? "context" : "");
        put_terms(out, c->before, c->behind, c->boost, c->required);
        if (c->lang[0] != '\0')
            gw_buf_printf(out, " (%s)", c->lang);
        gw_buf_adds(out, ": ");
        put_words(out, c->words, c->n_words);
        if (c->n_keys > 0)
            gw_buf_adds(out, c->n_words > 0 ? "; JSON keys: " : "JSON keys: ");
        put_words(out, c->keys, c->n_keys);
        gw_buf_addc(out, '\n');
    }
    for (unsigned i = 0; i < rule->n_nears; i++) {
        const struct bundle_near *n = &rule->nears[i];

        put_label(out, i == 0 ? "near" : "");
        put_terms(out, n->before, n->behind, n->boost, n->required);
        gw_buf_adds(out, n->has_secret != 0 ? ", which is reported: " : ": ");
        gw_buf_add(out, span_of(&n->text));
        gw_buf_addc(out, '\n');
    }
}

static void put_rest(struct gw_buf *out, const struct bundle *b, const struct bundle_rule *rule)
{
    for (unsigned i = 0; i < rule->n_lists; i++) {
        const struct bundle_list *l = &b->lists[rule->lists[i]];

        put_label(out, i == 0 ? "reject" : "");
        if (l->name[0] != '\0')
            gw_buf_printf(out, "%s: %u values\n", l->name, l->n_words + l->n_globs);
        else {
            put_words(out, l->words, l->n_words);
            gw_buf_adds(out, l->n_words > 0 && l->n_globs > 0 ? ", " : "");
            put_words(out, l->globs, l->n_globs);
            gw_buf_addc(out, '\n');
        }
    }
    if (rule->min_count > 1 || rule->max_count != UINT32_MAX) {
        put_label(out, "count");
        gw_buf_printf(out, "%u..", rule->min_count);
        if (rule->max_count != UINT32_MAX)
            gw_buf_printf(out, "%u", rule->max_count);
        gw_buf_adds(out, " different values\n");
    }
    for (unsigned i = 0; i < rule->n_steps; i++) {
        put_label(out, i == 0 ? "steps" : "");
        gw_buf_printf(out, "from %u different values on: %+d\n", rule->steps[i].count,
                      rule->steps[i].boost);
    }
}

static void put_shape(struct gw_buf *out, const struct bundle *b, unsigned i)
{
    const struct bundle_rule *rule = &b->rules[i];
    unsigned k = 0;

    for (unsigned p = 0; p < rule->n_patterns; p++) {
        put_label(out, p == 0 ? "pattern" : "");
        gw_buf_add(out, span_of(&rule->patterns[p]));
        gw_buf_addc(out, '\n');
    }
    put_label(out, "anchors");
    each_anchor(b, i, put_anchor, out);
    gw_buf_addc(out, '\n');
    while (k < b->n_patterns && b->patterns[k].rule != i)
        k++;
    if (k < b->n_patterns) {
        put_label(out, "boundary");
        gw_buf_printf(out, "%s in front, %s behind\n", boundary_name(b->patterns[k].before),
                      boundary_name(b->patterns[k].after));
    }
    if (rule->min_len > 0 || rule->max_len != UINT32_MAX) {
        put_label(out, "length");
        if (rule->max_len == UINT32_MAX)
            gw_buf_printf(out, "%u bytes or more\n", rule->min_len);
        else
            gw_buf_printf(out, "%u to %u bytes\n", rule->min_len, rule->max_len);
    }
}

static void describe_text(const struct dlp_rules *r, unsigned i, struct gw_buf *out)
{
    const struct bundle *b = r->b;
    const struct bundle_rule *rule = &b->rules[i];
    unsigned n_wrong = 0;

    gw_buf_printf(out, "%s: %s\n", rule->id, rule->title);
    put_label(out, "finds");
    gw_buf_printf(out, "%s, %s, severity %s, confidence %u", rule->type,
                  gw_class_name((enum gw_class)rule->class_),
                  gw_severity_name((enum gw_severity)rule->severity), rule->confidence);
    if (rule->mode != DLP_MODE_ENFORCE)
        gw_buf_printf(out, ", mode %s", mode_name(rule->mode));
    gw_buf_addc(out, '\n');
    put_shape(out, b, i);
    put_checks(out, rule);
    put_around(out, rule);
    put_rest(out, b, rule);
    for (unsigned k = 0; k < rule->n_examples; k++)
        n_wrong += rule->examples[k].should_match == 0;
    put_label(out, "examples");
    gw_buf_printf(out, "%u that match, %u that do not; %s\n", rule->n_examples - n_wrong, n_wrong,
                  rule->file);
}

void dlp_rules_describe(const struct dlp_rules *r, unsigned i, bool json, struct gw_buf *out)
{
    if (json)
        describe_json(r, i, out);
    else
        describe_text(r, i, out);
}
