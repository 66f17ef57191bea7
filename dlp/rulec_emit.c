/* dlp/rulec_emit.c - writes a rule set as C with re2c blocks.
 *
 * The text is self-contained: the ABI header, tables, one matcher a pattern. A matcher is a chain of
 * steps, each a re2c automaton or a counted loop, anchored at its start; every read is below lim, so it
 * can work on a span in the middle of a larger buffer. Thread: one at a time per set. */
#include "dlp/rulec_emit.h"

#include <string.h>

#include "dlp/rulec.h"

/* The texts of dlp/bundle_abi.h and dlp/bundle_run.h, so that there is one definition of what is in them. */
__asm__(".section .rodata\n"
        "rulec_abi_text: .incbin \"dlp/bundle_abi.h\"\n"
        ".byte 0\n"
        "rulec_run_text: .incbin \"dlp/bundle_run.h\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char rulec_abi_text[], rulec_run_text[];

static const char prelude[] = "#define YYCTYPE unsigned char\n"
                              "#define YYPEEK() ((unsigned char)(p < lim ? *p : (m->cut = 1, 0)))\n"
                              "#define YYSKIP() (++p)\n"
                              "#define YYBACKUP() (k = p)\n"
                              "#define YYRESTORE() (m->work += (uint32_t)(p - k), p = k)\n"
                              "/*!re2c\n"
                              "re2c:api = custom;\n"
                              "re2c:api:style = functions;\n"
                              "re2c:yyfill:enable = 0;\n"
                              "*/\n";

/* ---- texts ------------------------------------------------------------------------------ */

/* A C string, with octal escapes where a byte is not plain. */
static void put_string(struct gw_buf *out, struct gw_span s)
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

static void put_str(struct gw_buf *out, const char *s)
{
    put_string(out, gw_span_str(s));
}

/* A static array of bytes: compilers need not take strings above 4095 bytes. */
static void put_long_text(struct gw_buf *out, unsigned rule, unsigned i, struct gw_span s)
{
    gw_buf_printf(out, "static const char long_%u_%u[] = {", rule, i);
    for (size_t k = 0; k < s.len; k++)
        gw_buf_printf(out, "%d,%s", (signed char)s.ptr[k], k % 32 == 31 ? "\n" : "");
    gw_buf_adds(out, "0};\n");
}

static struct gw_span span_of(const struct bundle_text *t)
{
    return (struct gw_span){t->ptr, t->len};
}

static void put_texts(struct gw_buf *out, const char *name, unsigned rule,
                      const struct bundle_text *texts, unsigned n)
{
    if (n == 0)
        return;
    gw_buf_printf(out, "static const struct bundle_text %s_%u[] = {\n", name, rule);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(out, "    {");
        put_string(out, span_of(&texts[i]));
        gw_buf_printf(out, ", %u},\n", texts[i].len);
    }
    gw_buf_adds(out, "};\n");
}

static void put_examples(struct gw_buf *out, unsigned rule, const struct bundle_rule *r)
{
    for (unsigned i = 0; i < r->n_examples; i++)
        if (r->examples[i].text.len > 2000)
            put_long_text(out, rule, i, span_of(&r->examples[i].text));
    gw_buf_printf(out, "static const struct bundle_example examples_%u[] = {\n", rule);
    for (unsigned i = 0; i < r->n_examples; i++) {
        const struct bundle_example *e = &r->examples[i];

        gw_buf_adds(out, "    {{");
        if (e->text.len > 2000)
            gw_buf_printf(out, "long_%u_%u", rule, i);
        else
            put_string(out, span_of(&e->text));
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
        gw_buf_printf(out, "    {\"%s\", %.17g, ", r->checks[i].name, r->checks[i].num);
        put_str(out, r->checks[i].str);
        gw_buf_adds(out, "},\n");
    }
    gw_buf_adds(out, "};\n");
}

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
    gw_buf_printf(out, ",\n     %u, %u, %u, %u, %uu, %u, %d, %u, %u, %u, %u, %u, %u", r->class_,
                  r->severity, r->confidence, r->min_len, r->max_len, r->within, r->boost,
                  r->required, r->n_checks, r->n_words, r->n_keys, r->n_rejects, r->n_examples);
    put_list_name(out, "checks", i, r->n_checks);
    put_list_name(out, "words", i, r->n_words);
    put_list_name(out, "keys", i, r->n_keys);
    put_list_name(out, "rejects", i, r->n_rejects);
    put_list_name(out, "examples", i, r->n_examples);
    gw_buf_adds(out, "},\n");
}

static void put_rules(struct gw_buf *out, const struct bundle_rule *rules, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct bundle_rule *r = &rules[i];

        put_checks(out, i, r);
        put_texts(out, "words", i, r->words, r->n_words);
        put_texts(out, "keys", i, r->keys, r->n_keys);
        put_texts(out, "rejects", i, r->rejects, r->n_rejects);
        put_examples(out, i, r);
    }
    gw_buf_adds(out, "static const struct bundle_rule rules[] = {\n");
    for (unsigned i = 0; i < n; i++)
        put_rule(out, i, &rules[i]);
    gw_buf_adds(out, "};\n");
}

/* ---- tables ----------------------------------------------------------------------------- */

static void put_patterns(struct gw_buf *out, const struct emit_tables *t)
{
    gw_buf_adds(out, "static const struct bundle_pattern patterns[] = {\n");
    for (unsigned i = 0; i < t->n_patterns; i++) {
        const struct bundle_pattern *p = &t->patterns[i];

        gw_buf_printf(out, "    {m%u, %u, %u, %u, %u, %u, %u, {", i, p->rule, p->first, p->before,
                      p->after, p->reach, p->first_memo);
        for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++)
            gw_buf_printf(out, "%u,", p->head[k]);
        gw_buf_adds(out, "}},\n");
    }
    gw_buf_adds(out, "};\n");
}

static void put_target(struct gw_buf *out, const struct bundle_target *t)
{
    gw_buf_printf(out, "{%u, %u, %u, %u}", t->pattern, t->min, t->max, t->between);
}

static void put_tables(struct gw_buf *out, const struct emit_tables *t)
{
    put_patterns(out, t);
    gw_buf_adds(out, "static const struct bundle_window windows[] = {\n");
    for (unsigned i = 0; i < t->n_windows; i++) {
        const struct bundle_window *w = &t->windows[i];

        gw_buf_printf(out, "    {{%u, %u, %u, %u}, %u, %u, %u},\n", w->set[0], w->set[1], w->set[2],
                      w->set[3], w->bucket, w->first_target, w->n_targets);
    }
    gw_buf_adds(out,
                "    {{0, 0, 0, 0}, 0, 0, 0}};\nstatic const struct bundle_target targets[] = {\n");
    for (unsigned i = 0; i < t->n_targets; i++) {
        gw_buf_adds(out, "    ");
        put_target(out, &t->targets[i]);
        gw_buf_adds(out, ",\n");
    }
    gw_buf_adds(out, "    {0, 0, 0, 0}};\nstatic const struct bundle_run runs[] = {\n");
    for (unsigned i = 0; i < t->n_runs; i++) {
        gw_buf_printf(out, "    {%u, %u, ", t->runs[i].set, t->runs[i].n);
        put_target(out, &t->runs[i].target);
        gw_buf_adds(out, "},\n");
    }
    gw_buf_adds(out, "    {0, 0, {0, 0, 0, 0}}};\n");
}

/* ---- the whole -------------------------------------------------------------------------- */

static void put_sets(struct gw_buf *out, const struct emit_sets *sets)
{
    gw_buf_adds(out, "static const struct bundle_set sets[] = {\n");
    for (unsigned i = 0; i < sets->n; i++) {
        gw_buf_adds(out, "    {{");
        for (unsigned k = 0; k < 8; k++)
            gw_buf_printf(out, "0x%xu%s", sets->set[i].w[k], k < 7 ? "," : "}},\n");
    }
    gw_buf_adds(out, "};\n");
}

static void put_bundle(struct gw_buf *out, const struct rulec_set *set, const char *symbol,
                       const struct emit_tables *t)
{
    gw_buf_printf(out,
                  "extern __attribute__((visibility(\"default\"))) const struct bundle %s;\n"
                  "const struct bundle %s = {\n    BUNDLE_ABI, sizeof(struct bundle), ",
                  symbol, symbol);
    put_str(out, set->digest);
    gw_buf_printf(out,
                  ",\n    %u, %u, %u, %u, %u, %u, %u,\n"
                  "    rules, patterns, sets, windows, targets, runs};\n",
                  set->n_rules, t->n_patterns, t->sets.n, t->n_windows, t->n_targets, t->n_runs,
                  t->n_memos);
}

enum gw_status rulec_emit(const struct rulec_set *set, const char *symbol, struct gw_buf *out,
                          struct gw_err *err)
{
    struct gw_buf matchers = {NULL, 0, 0, false};
    struct emit_tables t = {.arena = set->arena};
    const struct bundle_rule *rules = emit_rules(set);
    enum gw_status st = rules == NULL ? GW_ENOMEM : emit_patterns(set, &t, &matchers, err);

    if (st == GW_OK)
        st = emit_finish(&t, err);
    if (st == GW_OK) {
        gw_buf_adds(out, "/* Written by Sluice's rule compiler; edit the YAML instead. */\n");
        gw_buf_adds(out, rulec_abi_text);
        gw_buf_adds(out, rulec_run_text);
        put_sets(out, &t.sets);
        gw_buf_adds(out, prelude);
        gw_buf_add(out, gw_buf_span(&matchers));
        put_rules(out, rules, set->n_rules);
        put_tables(out, &t);
        put_bundle(out, set, symbol, &t);
    }
    if (st == GW_ENOMEM || !gw_buf_ok(out) || !gw_buf_ok(&matchers))
        st = gw_fail(err, GW_ENOMEM, "out of memory for the rules' source");
    emit_tables_fini(&t);
    gw_buf_fini(&matchers);
    return st;
}
