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

/* ---- tables ----------------------------------------------------------------------------- */

static void put_patterns(struct gw_buf *out, const struct emit_tables *t)
{
    gw_buf_adds(out, "static const struct bundle_pattern patterns[] = {\n");
    for (unsigned i = 0; i < t->n_patterns; i++) {
        const struct bundle_pattern *p = &t->patterns[i];

        gw_buf_printf(out, "    {m%u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, 0x%llx, %uu, {",
                      i, p->rule, p->first, p->before, p->after, p->reach, p->first_memo,
                      p->longest, p->holds, p->is_part, p->need, p->within,
                      (unsigned long long)p->lengths, p->name_max);
        for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++)
            gw_buf_printf(out, "%u,", p->behind_name[k]);
        gw_buf_printf(out, "}, %u, {", p->n_heads);
        for (unsigned h = 0; h < p->n_heads; h++) {
            gw_buf_adds(out, "{");
            for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++)
                gw_buf_printf(out, "%u,", p->head[h][k]);
            gw_buf_adds(out, "},");
        }
        gw_buf_adds(out, "}},\n");
    }
    gw_buf_adds(out, "};\n");
}

static void put_target(struct gw_buf *out, const struct bundle_target *t)
{
    gw_buf_printf(out, "{%u, %u, %u, %u, %u, %u, %u, {", t->pattern, t->min, t->max, t->between,
                  t->alike, t->sequel, t->sequel_at);
    for (unsigned k = 0; k < BUNDLE_AROUND_BYTES; k++)
        gw_buf_printf(out, "%u,", t->value[k]);
    gw_buf_adds(out, "}, {");
    for (unsigned k = 0; k < BUNDLE_AROUND_BYTES; k++)
        gw_buf_printf(out, "%u,", t->mask[k]);
    gw_buf_adds(out, "}}");
}

static void put_sequels(struct gw_buf *out, const struct emit_tables *t)
{
    for (unsigned i = 0; i < t->n_sequels; i++) {
        const struct bundle_sequel *s = &t->sequels[i];

        gw_buf_printf(out, "    {%u, {", s->n_parts);
        for (unsigned k = 0; k < BUNDLE_SEQUEL_PARTS; k++)
            gw_buf_printf(out, "{%u, %u, %u, %u},", s->part[k].skip, s->part[k].run,
                          s->part[k].most, s->part[k].n);
        gw_buf_adds(out, "}},\n");
    }
}

static void put_tables(struct gw_buf *out, const struct emit_tables *t)
{
    put_patterns(out, t);
    gw_buf_adds(out, "static const struct bundle_window windows[] = {\n");
    for (unsigned i = 0; i < t->n_windows; i++) {
        const struct bundle_window *w = &t->windows[i];

        gw_buf_printf(out, "    {{%u, %u, %u, %u}, %u, %u},\n", w->set[0], w->set[1], w->set[2],
                      w->set[3], w->first_target, w->n_targets);
    }
    gw_buf_adds(out,
                "    {{0, 0, 0, 0}, 0, 0}};\nstatic const struct bundle_target targets[] = {\n");
    for (unsigned i = 0; i < t->n_targets; i++) {
        gw_buf_adds(out, "    ");
        put_target(out, &t->targets[i]);
        gw_buf_adds(out, ",\n");
    }
    gw_buf_adds(
        out,
        "    {0, 0, 0, 0, 0, 0, 0, {0}, {0}}};\nstatic const struct bundle_sequel sequels[] = {\n");
    put_sequels(out, t);
    gw_buf_adds(out, "    {0, {{0, 0, 0, 0}}}};\nstatic const struct bundle_run runs[] = {\n");
    for (unsigned i = 0; i < t->n_runs; i++) {
        gw_buf_printf(out, "    {%u, %u, ", t->runs[i].set, t->runs[i].n);
        put_target(out, &t->runs[i].target);
        gw_buf_adds(out, "},\n");
    }
    gw_buf_adds(out, "    {0, 0, {0, 0, 0, 0, 0, 0, 0, {0}, {0}}}};\n");
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
    emit_put_string(out, gw_span_str(set->digest));
    gw_buf_printf(out,
                  ",\n    %u, %u, %u, %u, %u, %u, %u, %u, %u, %u,\n"
                  "    rules, patterns, sets, windows, targets, sequels, runs, lists};\n",
                  set->n_rules, t->n_anchored, t->sets.n, t->n_windows, t->n_targets, t->n_sequels,
                  t->n_runs, t->n_memos, t->n_patterns - t->n_anchored, set->n_lists);
}

void emit_put_prelude(struct gw_buf *out, const struct emit_sets *sets)
{
    gw_buf_adds(out, "/* Written by Sluice's rule compiler; edit the YAML instead. */\n");
    gw_buf_adds(out, rulec_abi_text);
    gw_buf_adds(out, rulec_run_text);
    put_sets(out, sets);
    gw_buf_adds(out, prelude);
}

enum gw_status rulec_emit(const struct rulec_set *set, const char *symbol, struct gw_buf *out,
                          struct gw_err *err)
{
    struct gw_buf matchers = {NULL, 0, 0, false};
    struct emit_tables t = {.arena = set->arena};
    const struct bundle_rule *rules = emit_rules(set);
    const struct bundle_list *lists = emit_lists(set);
    enum gw_status st =
        rules == NULL || lists == NULL ? GW_ENOMEM : emit_patterns(set, &t, &matchers, err);

    if (st == GW_OK)
        st = emit_finish(&t, err);
    if (st == GW_OK) {
        emit_put_prelude(out, &t.sets);
        gw_buf_add(out, gw_buf_span(&matchers));
        emit_put_lists(out, lists, set->n_lists);
        emit_put_rules(out, rules, set->n_rules);
        put_tables(out, &t);
        put_bundle(out, set, symbol, &t);
    }
    if (st == GW_ENOMEM || !gw_buf_ok(out) || !gw_buf_ok(&matchers))
        st = gw_fail(err, GW_ENOMEM, "out of memory for the rules' source");
    emit_tables_fini(&t);
    gw_buf_fini(&matchers);
    return st;
}
