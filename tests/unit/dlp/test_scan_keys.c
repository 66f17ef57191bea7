/* What the keys of a rule mean for findings: near, contexts, lists, validators' steps, counts, modes. And that an
 * explanation adds up to the confidence. */
#include "dlp/author.h"
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

#define HEAD   "  title: t\n  class: pii\n  severity: low\n"
#define RULE   "- id: r\n" HEAD "  confidence: 50\n  pattern: 'ID-(?<secret>[0-9a-z]+)'\n"
#define PASSES "  match: ['ID-77']\n"

static const struct {
    const char *yaml, *text, *want; /* start-end:confidence of each finding */
} cases[] = {
    /* contexts: each for itself, negative ones, windows of two widths, keys */
    {RULE "  context: { words: [ssn], boost: 7 }\n" PASSES, "ssn ID-77", "7-9:57 "},
    {RULE "  context: [{ words: [ssn], boost: 7 }, { words: [tax], boost: +20 }]\n" PASSES,
     "tax ssn ID-77", "11-13:77 "},
    {RULE "  context: [{ words: [ssn], boost: 7 }, { words: [order], boost: -5 }]\n" PASSES,
     "order ssn ID-77", "13-15:52 "},
    {RULE "  context: { words: [order], boost: -20 }\n" PASSES, "order ID-77", ""},
    {RULE "  context: { words: [ssn], within: [8, 0], boost: 7 }\n" PASSES, "ID-77 ssn", "3-5:50 "},
    {RULE "  context: { words: [ssn], within: [0, 8], boost: 7 }\n" PASSES, "ssn ID-77 ssn",
     "7-9:57 "},
    {RULE "  context: { words: [ssn], within: [3, 0], boost: 7 }\n" PASSES, "ssn ID-77", "7-9:50 "},
    {RULE
     "  context: [{ words: [ssn], required: true, boost: 0 }, { words: [a], required: true }]\n"
     "  match: ['a ssn ID-77']\n",
     "ssn ID-77 ssn a ID-78", "7-9:60 19-21:60 "},
    {RULE
     "  context: [{ words: [ssn], required: true, boost: 0 }, { words: [a], required: true }]\n"
     "  match: ['a ssn ID-77']\n",
     "ssn ID-77", ""},
    /* lists: words anywhere in the value, globs over all of it, in either case */
    {RULE "  reject: [abc]\n" PASSES, "ID-1abc2", ""},
    {RULE "  reject: [ABC]\n" PASSES, "ID-1abc2 ID-ab", "12-14:50 "},
    {RULE "  reject: ['7*']\n  match: ['ID-17']\n", "ID-77 ID-17", "9-11:50 "},
    {RULE "  reject_lists: [a, b]\n" PASSES
          "- { list: a, values: [x1] }\n- { list: b, values: ['?z'] }\n",
     "ID-0x10 ID-1z ID-1zz", "17-20:50 "},
    {"- { list: a, values: [x1] }\n" RULE "  reject: x2\n  reject_lists: a\n" PASSES,
     "ID-0x10 ID-0x20 ID-0x30", "19-23:50 "},
    /* validators with points of the rule's own */
    {RULE "  validate: [{ luhn: { ok: +15, bad: -9 } }]\n" PASSES, "ID-18 ID-77",
     "3-5:65 9-11:41 "},
    {RULE "  validate: [{ luhn: { ok: 5 } }]\n  match: ['ID-18']\n", "ID-18 ID-77", "3-5:55 "},
    {RULE "  validate: [{ luhn: { bad: drop } }]\n  match: ['ID-18']\n", "ID-18 ID-77", "3-5:50 "},
    {RULE "  validate: [{ 'entropy(9)': { ok: 1, bad: -2 } }]\n" PASSES, "ID-77", "3-5:48 "},
    /* near: on both sides, on one, required, in reach, the nearest, its group */
    {RULE "  near: { pattern: 'KEY', boost: 5 }\n" PASSES, "KEY ID-77 -- ID-78",
     "7-9:55 16-18:55 "},
    {RULE "  near: { pattern: 'KEY', within: 3, boost: 5 }\n" PASSES, "KEY ID-77", "7-9:50 "},
    {RULE "  near: { pattern: 'KEY', within: 4, boost: 5 }\n" PASSES, "KEY ID-77", "7-9:55 "},
    {RULE "  near: { pattern: 'KEY', within: 4, boost: 5 }\n" PASSES, "ID-77 KEY", "3-5:55 "},
    {RULE "  near: { pattern: 'KEY', within: 3, boost: 5 }\n" PASSES, "ID-77 KEY", "3-5:50 "},
    {RULE "  near: { pattern: 'KEY', boost: 5 }\n" PASSES, "KEYS ID-77", "8-10:50 "},
    {RULE "  near: { pattern: 'KEY', required: true, within: [9, 0] }\n  match: ['KEY ID-77']\n",
     "ID-76 KEY ID-77", "13-15:60 "},
    {RULE
     "  near: [{ pattern: 'K=(?<secret>[a-z]+)', required: true }, { pattern: 'Z', boost: 1 }]\n"
     "  match: ['ID-77 K=abc']\n",
     "K=far Z ID-77 K=near", "16-20:61 "},
    {RULE "  near: { pattern: 'K=(?<secret>[a-z]+)' }\n  length: [3, 3]\n  match: ['ID-777']\n",
     "ID-77 K=abc ID-78 K=abcd", "8-11:60 "},
    /* counts of different values, and steps */
    {RULE "  count: 2..\n  match: ['ID-77 ID-78']\n", "ID-77 ID-77 ID-77", ""},
    {RULE "  count: 2..\n  match: ['ID-77 ID-78']\n", "ID-77 ID-78 ID-77",
     "3-5:50 9-11:50 15-17:50 "},
    {RULE "  count: ..1\n" PASSES, "ID-77 ID-77", "3-5:50 9-11:50 "},
    {RULE "  count: 1..1\n" PASSES, "ID-77 ID-78", ""},
    {RULE "  steps: [{ count: 2, boost: 10 }, { count: 3, boost: 25 }]\n" PASSES, "ID-77 ID-78",
     "3-5:60 9-11:60 "},
    {RULE "  steps: [{ count: 2, boost: 10 }, { count: 3, boost: 25 }]\n" PASSES,
     "ID-77 ID-78 ID-79", "3-5:75 9-11:75 15-17:75 "},
    {RULE "  steps: { count: 2, boost: -20 }\n" PASSES, "ID-77 ID-78", ""},
    {"- id: r\n" HEAD "  confidence: 30\n  pattern: 'ID-(?<secret>[0-9a-z]+)'\n"
     "  steps: [{ count: 3, boost: 30 }]\n  match: ['ID-1 ID-2 ID-3']\n",
     "ID-77 ID-78", ""},
    {"- id: r\n" HEAD "  confidence: 30\n  pattern: 'ID-(?<secret>[0-9a-z]+)'\n"
     "  steps: [{ count: 3, boost: 30 }]\n  match: ['ID-1 ID-2 ID-3']\n",
     "ID-77 ID-78 ID-79", "3-5:60 9-11:60 15-17:60 "},
    /* modes: off is not looked for, nor are its examples run */
    {RULE "  mode: monitor\n" PASSES, "ID-77", "3-5:50 "},
    {RULE "  mode: off\n  match: ['nothing of it']\n"
          "- id: other\n" HEAD
          "  confidence: 60\n  pattern: 'OT-[0-9]+'\n  near: { pattern: 'ID', boost: 1 }\n"
          "  match: ['OT-1']\n",
     "ID-77 OT-1", "6-10:61 "},
};

static void scan(struct dlp_scanner *s, const struct dlp_rules *r, const char *text,
                 struct gw_buf *out)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.findings = NULL};

    CHECK(dlp_doc_parse_text(arena, gw_span_str(text), &doc) == GW_OK &&
          dlp_scan(s, r, doc, arena, NULL, &report) == GW_OK);
    for (unsigned i = 0; i < report.n_findings; i++)
        gw_buf_printf(out, "%u-%u:%u ", report.findings[i].start, report.findings[i].end,
                      report.findings[i].confidence);
    gw_arena_free(arena);
}

static void test_cases(void)
{
    struct dlp_scanner *s = dlp_scanner_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dlp_rules *r = open_text(cases[i].yaml);
        struct gw_buf out = {NULL, 0, 0, false};

        if (r == NULL)
            continue;
        scan(s, r, cases[i].text, &out);
        if (!CHECK(gw_span_is(gw_buf_span(&out), cases[i].want)))
            fprintf(stderr, "  case %zu: %s: %.*s, not %s\n", i, cases[i].text, (int)out.len,
                    out.ptr == NULL ? "" : out.ptr, cases[i].want);
        gw_buf_fini(&out);
        dlp_rules_unref(r);
    }
    dlp_scanner_free(s);
}

/* Strings that every body holds are scanned once, and again with other rules; not when what is around them decides. */
static void test_known(void)
{
    struct dlp_rules *id = open_text(RULE PASSES);
    struct dlp_rules *role = open_text("- id: r\n" HEAD "  confidence: 50\n  pattern: 'assistant'\n"
                                       "  context: { words: [role], required: true, boost: 0 }\n"
                                       "  match: ['role assistant']\n");
    struct dlp_scanner *s = dlp_scanner_new();
    static const char body[] = "{\"x\":\"assistant\",\"role\":\"assistant\"}";
    struct gw_arena *arena = gw_arena_new((size_t)1 << 20);

    for (unsigned i = 0; i < 9 && id != NULL && role != NULL; i++) {
        struct dlp_doc *doc = NULL;
        struct dlp_report report = {.findings = NULL};
        struct gw_err err;

        CHECK(dlp_doc_parse_json(arena, GW_SPAN(body), NULL, &doc, &err) == GW_OK);
        CHECK(dlp_scan(s, i / 3 == 1 ? role : id, doc, arena, NULL, &report) == GW_OK);
        CHECK(report.n_findings == (i / 3 == 1));
        CHECK(scan_known(s, i / 3 == 1 ? role : id, GW_SPAN("assistant")) != NULL);
        CHECK(*scan_known(s, i / 3 == 1 ? role : id, GW_SPAN("assistant")) == (i / 3 != 1));
        gw_arena_reset(arena);
    }
    CHECK(scan_known(s, id, GW_SPAN("assistants")) == NULL);
    gw_arena_free(arena);
    dlp_scanner_free(s);
    dlp_rules_unref(id);
    dlp_rules_unref(role);
}

/* ---- explanations ----------------------------------------------------------------------- */

static void note(void *ctx, const struct dlp_explain *e)
{
    struct gw_buf *out = ctx;
    int sum = 0;

    gw_buf_printf(out, "%zu-%zu", e->start, e->end);
    for (unsigned i = 0; i < e->n_parts; i++) {
        gw_buf_printf(out, " %s(%.*s)%+d", e->parts[i].what, (int)e->parts[i].detail.len,
                      e->parts[i].detail.ptr == NULL ? "" : e->parts[i].detail.ptr,
                      e->parts[i].points);
        sum += e->parts[i].points;
    }
    gw_buf_printf(out, " anchor %.*s", (int)(e->anchor_end - e->anchor_start),
                  e->text.ptr + e->anchor_start);
    if (e->dropped != NULL)
        gw_buf_printf(out, " dropped: %s", e->dropped);
    else
        CHECK((unsigned)sum == e->confidence);
    gw_buf_adds(out, "\n");
}

static void test_explain(void)
{
    struct dlp_rules *r =
        open_text(RULE "  reject: [zz]\n  validate: [{ luhn: { ok: 3, bad: drop } }]\n"
                       "  context: [{ words: [tax code], boost: 9 }, { words: [no], boost: -2 }]\n"
                       "  near: { pattern: 'KEY', boost: 5, within: 5 }\n  match: ['ID-18']\n");
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_buf out = {NULL, 0, 0, false}, unused = {NULL, 0, 0, false};

    if (r == NULL)
        return;
    CHECK(dlp_scanner_explain(s, note, &out));
    scan(s, r, "no TaxCode ID-18 KEY ID-zz ID-77", &unused);
    if (!CHECK(gw_span_is(gw_buf_span(&out),
                          "14-16 rule()+50 near()+5 validator(luhn)+3 context(tax code)+9 "
                          "context(no)-2 anchor ID-1\n"
                          "24-26 rule()+50 near()+5 anchor ID-z dropped: a reject list\n"
                          "30-32 rule()+50 validator(luhn)+0 anchor ID-7 dropped: luhn\n")))
        fprintf(stderr, "%.*s", (int)out.len, out.ptr);
    gw_buf_clear(&out);
    CHECK(dlp_scanner_explain(s, NULL, NULL));
    scan(s, r, "ID-18", &unused);
    CHECK(out.len == 0);
    gw_buf_fini(&out);
    gw_buf_fini(&unused);
    dlp_scanner_free(s);
    dlp_rules_unref(r);
}

/* ---- growing texts ---------------------------------------------------------------------- */

static enum gw_action hide(void *ctx, const struct dlp_guard_finding *f)
{
    gw_buf_add(ctx, f->text);
    gw_buf_addc(ctx, ' ');
    return GW_ACTION_REDACT;
}

/* What a guard finds, fed byte by byte and at once. */
static void check_guard(const char *yaml, const char *text, const char *want)
{
    struct dlp_rules *r = open_text(yaml);
    struct dlp_scanner *s = dlp_scanner_new();
    size_t n = strlen(text);

    for (size_t piece = 1; r != NULL && piece <= n; piece += n - 1) {
        struct gw_buf found = {NULL, 0, 0, false}, out = {NULL, 0, 0, false};
        struct dlp_guard *g = dlp_guard_new(s, r, NULL, 0, hide, &found);

        for (size_t at = 0; at < n; at += piece)
            CHECK(dlp_guard_feed(g, (struct gw_span){text + at, piece}, &out) == GW_OK);
        CHECK(dlp_guard_finish(g, &out) == GW_OK);
        if (!CHECK(gw_span_is(gw_buf_span(&found), want)))
            fprintf(stderr, "  %s: %.*s, not %s\n", text, (int)found.len,
                    found.ptr == NULL ? "" : found.ptr, want);
        dlp_guard_free(g);
        gw_buf_fini(&found);
        gw_buf_fini(&out);
    }
    dlp_scanner_free(s);
    dlp_rules_unref(r);
}

/* Only what stands in front has come, and what has gone cannot be hidden. */
static void test_growing(void)
{
    check_guard(RULE "  near: { pattern: 'KEY', required: true }\n  match: ['KEY ID-77']\n",
                "KEY ID-77 and", "77 ");
    check_guard(RULE "  near: { pattern: 'KEY', required: true }\n  match: ['KEY ID-77']\n",
                "ID-77 KEY and", "");
    check_guard(RULE "  near: { pattern: 'K=(?<secret>[a-z]+)' }\n" PASSES, "K=abc ID-77 and",
                "77 ");
    check_guard(RULE "  context: { words: [ssn], required: true }\n  match: ['ssn ID-77']\n",
                "ID-77 ssn ID-78 and", "78 ");
    check_guard(RULE "  count: 2..\n  match: ['ID-77 ID-78']\n", "ID-77 ID-78 and", "");
    check_guard(RULE "  steps: [{ count: 2, boost: -50 }]\n" PASSES, "ID-77 ID-78 and", "77 78 ");
}

/* A near that is tried at every byte is work that is counted: hostile text ends in a limit, not in minutes. */
static void test_work(void)
{
    struct dlp_rules *r =
        open_text(RULE "  near: { pattern: '[a-z]{1,900}X', within: 2000, required: true }\n"
                       "  match: ['aX ID-7']\n");
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct gw_buf text = {NULL, 0, 0, false};
    struct dlp_doc *doc = NULL;
    struct dlp_report report;

    for (unsigned i = 0; i < 2000; i++)
        gw_buf_adds(&text, "ID-7 abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz ");
    CHECK(dlp_doc_parse_text(arena, gw_buf_span(&text), &doc) == GW_OK);
    CHECK(r != NULL && dlp_scan(s, r, doc, arena, NULL, &report) == GW_ELIMIT);
    gw_buf_fini(&text);
    gw_arena_free(arena);
    dlp_scanner_free(s);
    dlp_rules_unref(r);
}

int main(void)
{
    test_cases();
    test_known();
    test_explain();
    test_growing();
    test_work();
    (void)rmdir(work_dir);
    return test_done();
}
