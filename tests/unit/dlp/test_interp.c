/* tests/unit/dlp/test_interp.c - rules opened without a compiler are those that are compiled in: same tables, same
 * matches, and the examples hold. */
#include <time.h>

#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

static struct dlp_rules *native, *interpreted;

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_open(void)
{
    const char *path = "rules";
    struct gw_err err = {GW_OK, ""};
    double start = now_ms(), opened;
    unsigned n_run = 0;

    if (!CHECK(dlp_rules_open(
                   &path, 1,
                   &(struct dlp_rules_options){.without_examples = true, .without_trial = true},
                   &interpreted, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        exit(1);
    }
    opened = now_ms();
    CHECK(dlp_rules_selftest(interpreted, &n_run, NULL, NULL) == 0);
    printf("  %u rules opened in %.0f ms, %u examples run in %.0f ms\n",
           dlp_rules_count(interpreted), opened - start, n_run, now_ms() - opened);
    CHECK(strcmp(dlp_rules_digest(interpreted), dlp_rules_digest(native)) == 0);
    CHECK(interpreted->b->n_patterns == native->b->n_patterns &&
          interpreted->b->n_windows == native->b->n_windows &&
          interpreted->b->n_runs == native->b->n_runs &&
          interpreted->b->n_memos == native->b->n_memos);
}

/* What a pattern's matcher says at one place. */
static struct bundle_match match_at(const struct dlp_rules *r, uint32_t pattern,
                                    const unsigned char *s, const unsigned char *lim)
{
    static struct bundle_memo memo[256];
    static uint32_t epoch;
    struct bundle_match m = {.memo = memo};

    m.epoch = ++epoch;
    bundle_match(r, pattern, s, lim, &m);
    if (m.len == 0)
        m.start = m.end = 0;
    return m;
}

static bool agree(uint32_t pattern, struct gw_span text, size_t at)
{
    const unsigned char *s = (const unsigned char *)text.ptr + at;
    struct bundle_match a = match_at(native, pattern, s, s + text.len - at);
    struct bundle_match b = match_at(interpreted, pattern, s, s + text.len - at);
    bool same = a.len == b.len && a.start == b.start && a.end == b.end && a.cut == b.cut;

    if (!same)
        fprintf(stderr,
                "  %s, pattern %u at %zu: native %u %u-%u cut %u, interpreter %u %u-%u cut %u\n",
                native->info[native->b->patterns[pattern].rule].id, pattern, at, a.len, a.start,
                a.end, a.cut, b.len, b.start, b.end, b.cut);
    return same;
}

/* Every pattern at every byte of its own rule's examples. */
static void test_examples(void)
{
    const struct bundle *b = native->b;
    bool same = true;

    for (uint32_t p = 0; p < b->n_patterns; p++) {
        const struct bundle_rule *r = &b->rules[b->patterns[p].rule];

        for (unsigned i = 0; i < r->n_examples; i++) {
            struct gw_span text = {r->examples[i].text.ptr, r->examples[i].text.len};

            for (size_t at = 0; at < text.len; at++)
                same = agree(p, text, at) && same;
        }
    }
    CHECK(same);
}

/* ---- whole texts ------------------------------------------------------------------------ */

static struct dlp_scanner *scanner, *other;

static bool same_findings(struct gw_span text)
{
    bool same = true;

    if (!CHECK(scan_prepare(scanner, native) == GW_OK && scan_prepare(other, interpreted) == GW_OK))
        return false;
    same = scan_text(scanner, native, text, GW_SPAN("key"), 0, 1) ==
               scan_text(other, interpreted, text, GW_SPAN("key"), 0, 1) &&
           scanner->n_found == other->n_found;
    for (unsigned i = 0; i < scanner->n_found && same; i++)
        same = memcmp(&scanner->found[i], &other->found[i], sizeof(scanner->found[i])) == 0;
    return same;
}

static void add_prose(struct gw_buf *out, size_t n)
{
    static const char prose[] = "the key and a token in: user = \"x\", 12 apples; id 7. ";

    for (size_t i = 0; i < n; i++)
        gw_buf_addc(out, prose[i % (sizeof(prose) - 1)]);
}

/* A text that the pattern matches, where the filter's blocks and chunks meet, and at the end of the text or not. */
static bool try_drawn(const struct rx_node *root, unsigned round)
{
    struct gw_buf text = {NULL, 0, 0, false};
    bool same;

    add_prose(&text, round % 2 == 0 ? 60 + random_below(9) : PREFILTER_CHUNK - random_below(24));
    gw_buf_addc(&text, ' ');
    draw(&text, root);
    if (round % 3 != 0) {
        gw_buf_addc(&text, ' ');
        add_prose(&text, random_below(70));
    }
    same = same_findings(gw_buf_span(&text));
    gw_buf_fini(&text);
    return same;
}

static void test_drawn(void)
{
    const char *path = "rules";
    struct gw_arena *arena = gw_arena_new((size_t)512 << 20), *one = gw_arena_new((size_t)64 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_err err = {GW_OK, ""};
    unsigned n = 0, n_found = 0;

    CHECK(rulec_load_paths(&set, &path, 1, &err) == GW_OK);
    for (unsigned i = 0; i < set.n_rules; i++) {
        const struct rulec_rule *r = &set.rules[i];

        for (unsigned k = 0; k < r->n_patterns * 2; k++) {
            struct rx_pattern p;

            gw_arena_reset(one);
            if (!CHECK(rx_parse(one, r->patterns[k / 2], r->nocase, r->boundary, &p, &err) ==
                       GW_OK))
                continue;
            if (!CHECK(try_drawn(p.root, n++)))
                fprintf(stderr, "  rule %s\n", r->id);
            n_found += scanner->n_found > 0;
        }
    }
    printf("  %u drawn texts, findings in %u\n", n, n_found);
    CHECK(n_found > n / 8);
    gw_arena_free(one);
    gw_arena_free(arena);
}

/* The texts that detectors are developed with, as they lie there. */
static void test_samples(void)
{
    static const char *const names[] = {"gitleaks_rules", "noseyparker_rules", "titus_rules",
                                        "credsweeper_samples", "presidio_recognizers"};
    unsigned n = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        static char text[2 << 20];
        char path[128];
        FILE *f;
        size_t len;

        (void)snprintf(path, sizeof(path), "../shared/dlp-dev/%s.jsonl", names[i]);
        f = fopen(path, "re");
        if (f == NULL)
            continue;
        len = fread(text, 1, sizeof(text), f);
        (void)fclose(f);
        CHECK(same_findings((struct gw_span){text, len}));
        n++;
    }
    if (n == 0)
        test_skip("../shared/dlp-dev is not there");
}

/* ---- texts made to keep matchers busy ------------------------------------------------------------- */

static enum gw_status scan_whole(struct dlp_scanner *s, const struct dlp_rules *r,
                                 struct gw_span text)
{
    CHECK(scan_prepare(s, r) == GW_OK);
    return scan_text(s, r, text, (struct gw_span){NULL, 0}, 0, 40);
}

/* The interpreter does what native matchers do with them, and gives up where they do, which fails closed. */
static void test_hostile(void)
{
    static const char *const units[] = {
        "sk_live_",         "7",         "@",    "eyJhbGciOiJIUzI1NiJ9.",
        "A8f/k2Lq+Zr0x9Bd", "password=", "AKIA", "the text and. "};
    enum { BYTES = 1 << 16 };
    static char text[BYTES];

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        const struct gw_span all = {text, BYTES};
        size_t n = strlen(units[i]);
        enum gw_status st;

        for (size_t k = 0; k < BYTES; k++)
            text[k] = units[i][k % n];
        st = scan_whole(scanner, native, all);
        CHECK(st == GW_OK || st == GW_ELIMIT);
        CHECK(scan_whole(other, interpreted, all) == st);
        CHECK(scanner->n_found == other->n_found);
    }
}

/* ---- several sets as one ---------------------------------------------------------------- */

/* The rule that finds text, at 40 and above; NULL: none. */
static const char *found_by(struct dlp_rules *r, const char *text)
{
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_arena *arena = gw_arena_new(1 << 24);
    struct dlp_report report = {.n_findings = 0};
    struct dlp_doc *doc = NULL;
    const char *id = NULL;

    CHECK(dlp_doc_parse_text(arena, gw_span_str(text), &doc) == GW_OK &&
          dlp_scan(s, r, doc, arena, NULL, &report) == GW_OK);
    if (report.n_findings > 0)
        id = dlp_rules_info(r, report.findings[0].rule)->id;
    gw_arena_free(arena);
    dlp_scanner_free(s);
    return id;
}

static bool finds(struct dlp_rules *r, const char *text, const char *id)
{
    const char *found = found_by(r, text);

    return id == NULL ? found == NULL : found != NULL && strcmp(found, id) == 0;
}

/* Own rules stand beside those that are compiled, one takes the place of a compiled one; nears and lists keep their
 * numbers. */
static void test_merge(void)
{
    char own[128], second[128];
    const char *const paths[] = {"builtin", own, second};
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};

    (void)snprintf(own, sizeof(own), "%s", work_path("own.yaml"));
    (void)snprintf(second, sizeof(second), "%s", work_path("second.yaml"));
    write_text(own,
               "- id: acme-project\n  title: Acme project\n  class: confidential\n"
               "  severity: high\n  pattern: 'ACMEX-[0-9]{6}'\n  confidence: 90\n"
               "  reject: [ACMEX-000000]\n"
               "  match: ['see ACMEX-123456 there']\n  no_match: ['ACMEX-000000']\n"
               "- id: acme-pair\n  title: Acme pair\n  class: secret\n  severity: high\n"
               "  pattern: 'acmekey[0-9]{4}'\n  confidence: 80\n"
               "  near: { pattern: 'acmesecret=(?<secret>[a-z]{8})', within: 40, required: true }\n"
               "  match: ['acmekey1234 acmesecret=abcdefgh']\n"
               "  no_match: ['acmekey1234 alone']\n");
    write_text(second, "- id: aws-access-key-id\n  title: Own AWS rule\n  class: secret\n"
                       "  severity: high\n  pattern: 'OWNAWS[0-9]{4}'\n  confidence: 90\n"
                       "  match: ['OWNAWS1234']\n");
    if (!CHECK(dlp_rules_open(paths, 3, NULL, &r, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        return;
    }
    CHECK(dlp_rules_selftest(r, NULL, NULL, NULL) == 0);
    CHECK(dlp_rules_count(r) == dlp_rules_count(native) + 2);
    CHECK(strcmp(dlp_rules_digest(r), dlp_rules_digest(native)) != 0);
    CHECK(finds(r, "about ACMEX-123456 and more", "acme-project"));
    CHECK(finds(r, "about ACMEX-000000 and more", NULL));
    CHECK(finds(r, "acmekey1234 and acmesecret=abcdefgh", "acme-pair"));
    CHECK(finds(r, "the key OWNAWS1234 is mine", "aws-access-key-id"));
    CHECK(finds(r,
                "key AKIA"
                "QWERTYUIOPASDFGH is not looked for",
                NULL));
    dlp_rules_unref(r);
    CHECK(dlp_rules_open(paths + 2, 1, NULL, &r, &err) == GW_OK && dlp_rules_count(r) == 1);
    dlp_rules_unref(r);
    write_text(own, "- id: every-the\n  title: The\n  class: secret\n  severity: high\n"
                    "  pattern: 'the [a-z]{3,20}'\n  confidence: 90\n  match: ['the word']\n");
    CHECK(dlp_rules_open(paths + 1, 1, NULL, &r, &err) == GW_EINVAL &&
          strstr(err.text, "every-the") != NULL && strstr(err.text, "ordinary text") != NULL);
    CHECK(dlp_rules_open(paths + 1, 1, &(struct dlp_rules_options){.without_trial = true}, &r,
                         &err) == GW_OK);
    dlp_rules_unref(r);
    CHECK(bundle_trial(native, NULL, &err) == GW_OK);
    CHECK(unlink(own) == 0 && unlink(second) == 0 && rmdir(work_dir) == 0);
}

int main(void)
{
    native = dlp_rules_builtin();
    test_open();
    test_examples();
    scanner = dlp_scanner_new();
    other = dlp_scanner_new();
    test_drawn();
    test_samples();
    test_hostile();
    dlp_scanner_free(scanner);
    dlp_scanner_free(other);
    test_merge();
    dlp_rules_unref(interpreted);
    return test_done();
}
