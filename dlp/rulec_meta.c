/* dlp/rulec_meta.c - writes what is known of rules beside their patterns: names, validators, contexts, lists, examples.
 * Thread: one at a time per set. */
#include "dlp/rulec_emit.h"

enum { LONG_TEXT = 2000 }; /* bytes; compilers need not take strings above 4095 */

void emit_put_string(struct gw_buf *out, struct gw_span s)
{
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?')
            gw_buf_printf(out, "\\%03o", c);
        else
            gw_buf_addc(out, (char)c);
    }
    gw_buf_addc(out, '"');
}

static struct gw_span span_of(const struct bundle_text *t)
{
    return (struct gw_span){t->ptr, t->len};
}

static void put_str(struct gw_buf *out, const char *s)
{
    emit_put_string(out, gw_span_str(s));
}

/* A static array of bytes. */
static void put_long_text(struct gw_buf *out, unsigned rule, unsigned i, struct gw_span s)
{
    gw_buf_printf(out, "static const char long_%u_%u[] = {", rule, i);
    for (size_t k = 0; k < s.len; k++)
        gw_buf_printf(out, "%d,%s", (signed char)s.ptr[k], k % 32 == 31 ? "\n" : "");
    gw_buf_adds(out, "0};\n");
}

/* The array NAME_I_K, when it has entries. */
static void put_texts(struct gw_buf *out, const char *name, unsigned i, unsigned k,
                      const struct bundle_text *texts, unsigned n)
{
    if (n == 0)
        return;
    gw_buf_printf(out, "static const struct bundle_text %s_%u_%u[] = {\n", name, i, k);
    for (unsigned t = 0; t < n; t++) {
        gw_buf_adds(out, "    {");
        emit_put_string(out, span_of(&texts[t]));
        gw_buf_printf(out, ", %u},\n", texts[t].len);
    }
    gw_buf_adds(out, "};\n");
}

static void put_texts_name(struct gw_buf *out, const char *name, unsigned i, unsigned k, unsigned n)
{
    if (n == 0)
        gw_buf_adds(out, "NULL, ");
    else
        gw_buf_printf(out, "%s_%u_%u, ", name, i, k);
}

/* ---- parts of a rule -------------------------------------------------------------------- */

static void put_examples(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    for (unsigned i = 0; i < r->n_examples; i++)
        if (r->examples[i].text.len > LONG_TEXT)
            put_long_text(out, rule, i, span_of(&r->examples[i].text));
    gw_buf_printf(out, "static const struct bundle_example examples_%u[] = {\n", rule);
    for (unsigned i = 0; i < r->n_examples; i++) {
        const struct bundle_example *e = &r->examples[i];

        gw_buf_adds(out, "    {{");
        if (e->text.len > LONG_TEXT)
            gw_buf_printf(out, "long_%u_%u", rule, i);
        else
            emit_put_string(out, span_of(&e->text));
        gw_buf_printf(out, ", %u}, %u, %u},\n", e->text.len, e->line, e->should_match);
    }
    gw_buf_adds(out, "};\n");
}

static void put_checks(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    if (r->n_checks == 0)
        return;
    gw_buf_printf(out, "static const struct bundle_check checks_%u[] = {\n", rule);
    for (unsigned i = 0; i < r->n_checks; i++) {
        const struct bundle_check *c = &r->checks[i];

        gw_buf_printf(out, "    {\"%s\", %.17g, ", c->name, c->num);
        put_str(out, c->str);
        gw_buf_printf(out, ", %u, %d, ", c->has_steps, c->ok);
        if (c->bad == INT32_MIN)
            gw_buf_adds(out, "INT32_MIN},\n");
        else
            gw_buf_printf(out, "%d},\n", c->bad);
    }
    gw_buf_adds(out, "};\n");
}

static void put_contexts(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    if (r->n_contexts == 0)
        return;
    for (unsigned i = 0; i < r->n_contexts; i++) {
        put_texts(out, "words", rule, i, r->contexts[i].words, r->contexts[i].n_words);
        put_texts(out, "keys", rule, i, r->contexts[i].keys, r->contexts[i].n_keys);
    }
    gw_buf_printf(out, "static const struct bundle_context contexts_%u[] = {\n", rule);
    for (unsigned i = 0; i < r->n_contexts; i++) {
        const struct bundle_context *c = &r->contexts[i];

        gw_buf_adds(out, "    {");
        put_texts_name(out, "words", rule, i, c->n_words);
        put_texts_name(out, "keys", rule, i, c->n_keys);
        gw_buf_printf(out, "%u, %u, %u, %u, %d, %u, ", c->n_words, c->n_keys, c->before, c->behind,
                      c->boost, c->required);
        put_str(out, c->lang);
        gw_buf_adds(out, "},\n");
    }
    gw_buf_adds(out, "};\n");
}

static void put_nears(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    if (r->n_nears == 0)
        return;
    gw_buf_printf(out, "static const struct bundle_near nears_%u[] = {\n", rule);
    for (unsigned i = 0; i < r->n_nears; i++) {
        const struct bundle_near *n = &r->nears[i];

        gw_buf_printf(out, "    {%u, %u, %u, %d, %u, %u, {", n->pattern, n->before, n->behind,
                      n->boost, n->required, n->has_secret);
        emit_put_string(out, span_of(&n->text));
        gw_buf_printf(out, ", %u}},\n", n->text.len);
    }
    gw_buf_adds(out, "};\n");
}

static void put_list_use(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    if (r->n_lists == 0)
        return;
    gw_buf_printf(out, "static const uint32_t lists_%u[] = {", rule);
    for (unsigned i = 0; i < r->n_lists; i++)
        gw_buf_printf(out, "%u,", r->lists[i]);
    gw_buf_adds(out, "};\n");
}

static void put_steps(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    if (r->n_steps == 0)
        return;
    gw_buf_printf(out, "static const struct bundle_step steps_%u[] = {", rule);
    for (unsigned i = 0; i < r->n_steps; i++)
        gw_buf_printf(out, "{%u, %d},", r->steps[i].count, r->steps[i].boost);
    gw_buf_adds(out, "};\n");
}

/* ---- rules ------------------------------------------------------------------------------ */

static void put_list_name(struct gw_buf *out, const char *name, unsigned rule, unsigned n)
{
    if (n == 0)
        gw_buf_adds(out, ", NULL");
    else
        gw_buf_printf(out, ", %s_%u", name, rule);
}

static void put_rule(struct gw_buf *out, unsigned i, const struct bundle_rule *r)
{
    gw_buf_adds(out, "    {");
    put_str(out, r->id);
    gw_buf_adds(out, ", ");
    put_str(out, r->title);
    gw_buf_adds(out, ", ");
    put_str(out, r->type);
    gw_buf_adds(out, ", ");
    put_str(out, r->file);
    gw_buf_printf(out, ",\n     %u, %u, %u, %u, %u, %uu, %u, %uu, %u, %u, %u, %u, %u, %u, %u",
                  r->class_, r->severity, r->confidence, r->mode, r->min_len, r->max_len,
                  r->min_count, r->max_count, r->n_patterns, r->n_checks, r->n_contexts, r->n_nears,
                  r->n_lists, r->n_steps, r->n_examples);
    gw_buf_printf(out, ", pattern_%u_0", i);
    put_list_name(out, "checks", i, r->n_checks);
    put_list_name(out, "contexts", i, r->n_contexts);
    put_list_name(out, "nears", i, r->n_nears);
    put_list_name(out, "lists", i, r->n_lists);
    put_list_name(out, "steps", i, r->n_steps);
    put_list_name(out, "examples", i, r->n_examples);
    gw_buf_adds(out, "},\n");
}

void emit_put_lists(struct gw_buf *out, const struct bundle_list *lists, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put_texts(out, "list_words", i, 0, lists[i].words, lists[i].n_words);
        put_texts(out, "list_globs", i, 0, lists[i].globs, lists[i].n_globs);
    }
    gw_buf_adds(out, "static const struct bundle_list lists[] = {\n");
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(out, "    {");
        put_str(out, lists[i].name);
        gw_buf_adds(out, ", ");
        put_texts_name(out, "list_words", i, 0, lists[i].n_words);
        put_texts_name(out, "list_globs", i, 0, lists[i].n_globs);
        gw_buf_printf(out, "%u, %u},\n", lists[i].n_words, lists[i].n_globs);
    }
    gw_buf_adds(out, "    {\"\", NULL, NULL, 0, 0}};\n");
}

void emit_put_rules(struct gw_buf *out, const struct bundle_rule *rules, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct bundle_rule *r = &rules[i];

        put_texts(out, "pattern", i, 0, r->patterns, r->n_patterns);
        put_checks(out, i, r);
        put_contexts(out, i, r);
        put_nears(out, i, r);
        put_list_use(out, i, r);
        put_steps(out, i, r);
        put_examples(out, i, r);
    }
    gw_buf_adds(out, "static const struct bundle_rule rules[] = {\n");
    for (unsigned i = 0; i < n; i++)
        put_rule(out, i, &rules[i]);
    gw_buf_adds(out, "};\n");
}
