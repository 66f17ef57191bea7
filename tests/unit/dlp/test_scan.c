/* The scanner: with anchors it finds what trying every byte finds; hostile texts take linear time; leaves, keys,
 * numbers, limits. Uses the rules of tests/golden/rules and the built-in ones. */
#include <time.h>

#include "base/clock.h"
#include "dlp/rulec.h"
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

static struct dlp_rules *golden; /* NULL without tools */

/* ---- anchors against every byte --------------------------------------------------------- */

static bool same_findings(struct dlp_scanner *s, const struct dlp_rules *r, struct gw_span text)
{
    struct dlp_finding want[64];
    unsigned n_want = 0;

    CHECK(scan_prepare(s, r) == GW_OK);
    s->every_byte = true;
    CHECK(scan_text(s, r, text, GW_SPAN("text"), 0, 1) == GW_OK);
    s->every_byte = false;
    n_want = s->n_found < 64 ? s->n_found : 64;
    if (n_want > 0)
        memcpy(want, s->found, n_want * sizeof(want[0]));
    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, text, GW_SPAN("text"), 0, 1) == GW_OK);
    if (s->n_found != n_want)
        return false;
    for (unsigned i = 0; i < n_want; i++)
        if (want[i].rule != s->found[i].rule || want[i].start != s->found[i].start ||
            want[i].end != s->found[i].end || want[i].confidence != s->found[i].confidence)
            return false;
    return true;
}

static void filler(struct gw_buf *b, unsigned n)
{
    while (n-- > 0)
        gw_buf_addc(b, " the.@-_1k=\nA/x0:"[random_below(17)]);
}

/* Texts drawn from one pattern around the borders of the filter's blocks, some of its chunks, and at the end of the leaf. */
static unsigned compare_pattern(struct dlp_scanner *s, const struct dlp_rules *r,
                                const struct rx_node *root, const char *id, unsigned rounds)
{
    unsigned n_found = 0;

    for (unsigned round = 0; round < rounds; round++) {
        struct gw_buf b = {NULL, 0, 0, false};
        char *exact = NULL;

        if (round == 1 &&
            random_below(8) == 0) /* around the border of a chunk; such texts take long */
            gw_buf_printf(&b, "%*s", (int)(PREFILTER_CHUNK - random_below(48)), "");
        else
            filler(&b, round % 3 == 0 ? 0 : 60 + random_below(9));
        if (random_below(2) == 0)
            gw_buf_addc(&b, ' ');
        draw(&b, root);
        if (random_below(3) == 0)
            draw(&b, root);
        if (random_below(2) == 0) {
            gw_buf_addc(&b, " \n"[random_below(2)]);
            filler(&b, random_below(80));
        }
        exact = malloc(b.len);
        memcpy(exact, b.ptr, b.len);
        if (!CHECK(same_findings(s, r, (struct gw_span){exact, b.len})))
            fprintf(stderr, "  rule %s: %.*s\n", id, (int)b.len, exact);
        n_found += s->n_found > 0;
        free(exact);
        gw_buf_fini(&b);
    }
    return n_found;
}

static void test_anchors(const struct dlp_rules *r, const char *path, unsigned rounds)
{
    struct gw_arena *arena = gw_arena_new((size_t)512 << 20), *one = gw_arena_new((size_t)64 << 20);
    struct rulec_set set = {.arena = arena};
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_err err = {GW_OK, ""};
    unsigned n_found = 0, n = 0;

    if (!CHECK(rulec_load_paths(&set, &path, 1, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    for (unsigned i = 0; i < set.n_rules; i++) {
        for (unsigned k = 0; k < set.rules[i].n_patterns; k++) {
            struct rx_pattern p;

            gw_arena_reset(one);
            if (CHECK(rx_parse(one, set.rules[i].patterns[k], set.rules[i].nocase,
                               set.rules[i].boundary, &p, &err) == GW_OK))
                n_found += compare_pattern(s, r, p.root, set.rules[i].id, rounds);
            n += rounds;
        }
    }
    printf("%s: %u drawn texts, findings in %u\n", path, n, n_found);
    CHECK(n_found > 0);
    dlp_scanner_free(s);
    gw_arena_free(one);
    gw_arena_free(arena);
}

/* ---- what stands alone ------------------------------------------------------------------ */

/* Of an example in blanks up to len bytes, is there a finding of its rule? And the same as without the table of dead patterns. */
static bool found_in_blanks(struct dlp_scanner *s, const struct dlp_rules *r, unsigned rule,
                            struct gw_span example, size_t len)
{
    char *text = malloc(len + 1);
    bool found = false;

    memset(text, ' ', len);
    memcpy(text + (len - example.len) / 2, example.ptr, example.len);
    s->only_rule = rule + 1;
    CHECK(same_findings(s, r, (struct gw_span){text, len}));
    s->only_rule = 0;
    for (unsigned i = 0; i < s->n_found; i++)
        found = found || s->found[i].rule == rule;
    free(text);
    return found;
}

/* Rules for what stands alone find it in the longest text that they take, and a pattern is dead in none that is shorter. */
static void test_alone(void)
{
    const struct dlp_rules *r = dlp_rules_builtin();
    struct dlp_scanner *s = dlp_scanner_new();
    unsigned n = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++) {
        const struct bundle_rule *rule = &r->b->rules[i];

        for (unsigned k = 0; k < rule->n_checks && k < 1; k++) {
            size_t besides = dlp_validate_most_besides(rule->checks[k].name, rule->checks[k].num);
            const struct bundle_text *t = &rule->examples[0].text;
            struct gw_span example = {t->ptr, t->len};

            if (besides == SIZE_MAX || rule->n_nears > 0 || !rule->examples[0].should_match)
                continue;
            n += found_in_blanks(s, r, i, example, besides + example.len);
            CHECK(!found_in_blanks(s, r, i, example, besides + example.len + 1));
            CHECK(!found_in_blanks(s, r, i, example, besides * 3 + 500));
        }
    }
    CHECK(n > 3);
    CHECK(bundle_dead(r, 10) == NULL && bundle_dead(r, 10000) != NULL);
    dlp_scanner_free(s);
}

/* ---- hostile texts ---------------------------------------------------------------------- */

/* Time of this thread alone: the machine may be busy. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double scan_seconds(struct dlp_scanner *s, const struct dlp_rules *r, const char *unit,
                           size_t len, enum gw_status *st)
{
    char *text = malloc(len);
    size_t n = strlen(unit);
    uint64_t start = 0;

    for (size_t i = 0; i < len; i++)
        text[i] = unit[i % n];
    (void)scan_prepare(s, r);
    start = cpu_ns();
    *st = scan_text(s, r, (struct gw_span){text, len}, (struct gw_span){NULL, 0}, 0, 40);
    start = cpu_ns() - start;
    free(text);
    return (double)start / 1e9;
}

static void test_hostile(const struct dlp_rules *r, const char *name)
{
    static const char *const units[] = {
        "7",
        "0 ",
        "@",
        "a@",
        "a@b.",
        "a@a.a.",
        "sk_live_",
        "tpx_",
        "ghp_ghp_",
        "AKIA",
        " ",
        "\n",
        "A",
        "aB3+/",
        "eyJ",
        "-----BEGIN ",
        "-----BEGIN T KEY-----",
        "password=",
        "1.2.3.",
        "12-",
        "://",
        "x://a:",
        "tpasswd=",
        "T3TstFJ",
        "abcdefghijT3TstFJ",
        "411111111111111",
        "4111 1111 1111 1111 ",
        "DE89 3704 0044 0532 0130 00 ",
        "\xe8\xaf\x8a",
        "deadbeef",
        "0a:",
        "trun ",
        "ssn 123-45-6789 ",
        "secret = '",
        "key: ",
        "=\"",
        "Authorization: Bearer ",
        "aA1_-",
        "\x01\x02",
    };
    struct dlp_scanner *s = dlp_scanner_new();

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        enum gw_status st = GW_OK;
        double small = 0, big = 1;
        char shown[24];

        /* Sixteen times the text: linear is 16, quadratic 256, each time. Tiny times are noise. */
        for (int k = 0; k < 10 && big >= 0.05 && big >= small * 64; k++) {
            small = scan_seconds(s, r, units[i], 1 << 16, &st);
            big = scan_seconds(s, r, units[i], 1 << 20, &st);
        }
        CHECK(st == GW_OK || st == GW_ELIMIT);
        if (!CHECK(big < 0.05 || big < small * 64) || big > 0.2) {
            (void)snprintf(shown, sizeof(shown), "%s", units[i]);
            printf("%s: 1 MiB of \"%s\": %.1f MB/s (64 KiB: %.1f)\n", name, shown, 1.048576 / big,
                   .065536 / small);
        }
    }
    dlp_scanner_free(s);
}

/* ---- whole documents -------------------------------------------------------------------- */

/* Findings of a body, as "rule:pointer:value:confidence" lines. */
static enum gw_status scan_body(const char *body, const struct dlp_scan_limits *limits,
                                struct gw_buf *out)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct dlp_scanner *s = dlp_scanner_new();
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.n_findings = 77, .scanned_bytes = 77};
    enum gw_status st = GW_OK;

    CHECK(dlp_doc_parse_json(arena, gw_span_str(body), NULL, &doc, NULL) == GW_OK);
    st = dlp_scan(s, golden, doc, arena, limits, &report);
    gw_buf_clear(out);
    gw_buf_adds(out, "");
    if (st == GW_OK) {
        for (unsigned i = 0; i < report.n_findings; i++) {
            const struct dlp_finding *f = &report.findings[i];

            gw_buf_printf(out, "%s:", dlp_rules_info(golden, f->rule)->id);
            dlp_doc_pointer(doc, f->leaf, out);
            gw_buf_printf(out, ":%.*s:%u\n", (int)(f->end - f->start),
                          dlp_doc_leaf(doc, f->leaf).text.ptr + f->start, f->confidence);
        }
    } else {
        CHECK(report.n_findings == 77);
    }
    dlp_scanner_free(s);
    gw_arena_free(arena);
    return st;
}

static void check_body(const char *body, const char *want)
{
    struct gw_buf out = {NULL, 0, 0, false};

    CHECK(scan_body(body, NULL, &out) == GW_OK);
    if (!CHECK(out.ptr != NULL ? strcmp(out.ptr, want) == 0 : want[0] == '\0'))
        fprintf(stderr, "  %s\n  want %s  got  %s\n", body, want, out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
}

/* A text ends when it has too many findings, and not before: those that overlap are one. */
static void check_most(void)
{
    struct gw_buf b = {NULL, 0, 0, false}, out = b;

    gw_buf_adds(&b, "{\"a\":\"");
    for (unsigned i = 0; i < 300; i++)
        gw_buf_printf(&b, "t_passwd=jane%u@corp.example, b%u@corp.example; ", i, i);
    gw_buf_adds(&b, "\"}");
    CHECK(scan_body(b.ptr, &(struct dlp_scan_limits){.max_findings = 600}, &out) == GW_OK);
    CHECK(scan_body(b.ptr, &(struct dlp_scan_limits){.max_findings = 599}, &out) == GW_ELIMIT);
    CHECK(scan_body(b.ptr, &(struct dlp_scan_limits){.max_findings = 99}, &out) == GW_ELIMIT);
    gw_buf_fini(&b);
    gw_buf_fini(&out);
}

static void test_documents(void)
{
    static const char many[] = "{\"a\":\"a@b.co a@b.co a@b.co\"}";
    struct gw_buf out = {NULL, 0, 0, false};

    check_body("{\"a\":\"nothing here\"}", "");
    check_body("{\"a\":\"mail jane@corp.example\"}", "t-mail:/a:jane@corp.example:70\n");
    check_body("{\"a\":\"mail jane\\u0040corp.example\"}", "t-mail:/a:jane@corp.example:70\n");
    check_body("{\"jane@corp.example\":1}", "t-mail:/*:jane@corp.example:70\n");
    check_body("{\"card\":4111111111111111}", "t-card:/card:4111111111111111:60\n");
    check_body("{\"taxId\":\"123-45-6789\"}", "t-ssn:/taxId:123-45-6789:70\n");
    check_body("{\"tax_id\":\"123-45-6789\"}", "t-ssn:/tax_id:123-45-6789:70\n");
    check_body("{\"primarySsn\":\"123-45-6789\"}", "t-ssn:/primarySsn:123-45-6789:70\n");
    check_body("{\"lessn\":\"123-45-6789\"}", "");
    check_body("{\"a\":\"t_passwd=jane@corp.example\"}",
               "t-mail:/a:jane@corp.example:70\n"); /* the stronger of two that overlap */
    CHECK(scan_body(many, &(struct dlp_scan_limits){.max_findings = 3}, &out) == GW_OK);
    CHECK(scan_body(many, &(struct dlp_scan_limits){.max_findings = 2}, &out) == GW_ELIMIT);
    check_most();
    CHECK(scan_body(many, &(struct dlp_scan_limits){.report_from = 71}, &out) == GW_OK &&
          out.len == 0);
    gw_buf_fini(&out);
}

static void test_words(void)
{
    static const struct {
        const char *text, *word;
        bool found;
    } cases[] = {
        {"my ssn is", "ssn", true},
        {"session", "ssn", false},
        {"SSN", "ssn", true},
        {"userSsn", "ssn", true},
        {"user_ssn=", "ssn", true},
        {"ssns", "ssn", false},
        {"ssn1", "ssn", false},
        {"access key", "access key", true},
        {"awsAccessKey", "access key", true},
        {"access_key", "access key", true},
        {"Access-Key:", "access key", true},
        {"accesskey", "access key", true},
        {"access  \n key", "access key", true},
        {"access keys", "access key", false},
        {"public", "lic", false},
        {"\xe8\xba\xab\xe4\xbb\xbd\xe8\xaf\x81\xe5\x8f\xb7", "\xe8\xba\xab\xe4\xbb\xbd\xe8\xaf\x81",
         true},
        {"", "x", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_span text = gw_span_str(cases[i].text);
        struct bundle_text word = {cases[i].word, (uint32_t)strlen(cases[i].word)};
        struct bundle_word_head head, *heads = &head;
        struct bundle_slots slots;

        bundle_slots_init(&slots, &word, 1, false, &heads);
        if (!CHECK((scan_find_word(text, 0, text.len, &word, &slots) != NULL) == cases[i].found))
            fprintf(stderr, "  %s in %s\n", cases[i].word, cases[i].text);
    }
}

/* Text of words of the contexts, pieces of them, other cases and joints, bytes beyond ASCII. Returns its length. */
static size_t draw_words(const struct bundle *b, char *out, size_t size)
{
    static const char glue[] = "  _-.\n9Zx\xc3\xa9";
    size_t len = 0;

    while (len + 80 < size) {
        const struct bundle_rule *rule = &b->rules[random_below(b->n_rules)];
        const struct bundle_context *c;
        const struct bundle_text *word;
        size_t n;

        if (rule->n_contexts == 0)
            continue;
        c = &rule->contexts[random_below(rule->n_contexts)];
        if (c->n_words == 0)
            continue;
        word = &c->words[random_below(c->n_words)];
        n = random_below(4) == 0 ? random_below(word->len + 1) : word->len;
        for (size_t i = 0; i < n && len + 8 < size; i++) {
            char letter = word->ptr[i];

            if (letter >= 'a' && letter <= 'z' && random_below(8) == 0)
                letter = (char)(letter - 'a' + 'A');
            out[len++] = letter;
        }
        out[len++] = glue[random_below(sizeof(glue) - 1)];
    }
    return len;
}

/* In a leaf's text, at every level, the word is found that a look at each place finds. */
static void test_words_in(struct dlp_rules *rules)
{
    const enum prefilter_level best = prefilter_best();
    struct dlp_scanner *s = dlp_scanner_new();
    const struct bundle *b = rules->b;
    unsigned n_found = 0;

    CHECK(scan_prepare(s, rules) == GW_OK);
    for (unsigned draw = 0; draw < TEST_DRAWS(200); draw++) {
        char drawn[480], *text;
        size_t len = draw_words(b, drawn, 80 + random_below(sizeof(drawn) - 80));
        struct scan_leaf x = {.s = s, .rules = rules};

        text = malloc(len + 1 - (len > 0)); /* to the byte, for AddressSanitizer */
        memcpy(text, drawn, len);
        x.text = (struct gw_span){text, len};
        scan_begin(s);
        for (unsigned rule = 0; rule < b->n_rules; rule++) {
            for (unsigned k = 0; k < b->rules[rule].n_contexts; k++) {
                const struct bundle_context *c = &b->rules[rule].contexts[k];
                uint32_t context = rules->first_context[rule] + k;
                size_t from = random_below((unsigned)len + 1),
                       to = from + random_below((unsigned)(len - from) + 1);
                const struct bundle_text *want =
                    scan_find_word(x.text, from, to, c->words, &rules->words[context]);

                n_found += want != NULL;
                for (unsigned level = PREFILTER_SCALAR; level <= (unsigned)best; level++) {
                    prefilter_choose(&rules->filter, (enum prefilter_level)level);
                    CHECK(scan_find_word_in(&x, from, to, context, c->words) == want);
                }
            }
        }
        free(text);
    }
    CHECK(n_found > 100);
    prefilter_choose(&rules->filter, best);
    dlp_scanner_free(s);
}

/* A document that takes longer than it may is given up within a leaf and between two, and the next one is scanned as ever. */
static void test_deadline(void)
{
    static const char piece[] = "\"password=aB3dEf6hIj9lMn2pQr5t, mail jane@corp.example\"";
    const uint64_t late = 1;
    struct gw_arena *arena = gw_arena_new((size_t)256 << 20);
    struct dlp_scanner *s = dlp_scanner_new();
    struct dlp_doc *doc = NULL;

    for (unsigned k = 0; k < 2; k++) { /* one long string; many short ones */
        const struct dlp_scan_limits now = {.deadline_ns = late},
                                     soon = {.deadline_ns = gw_clock_ns() + 3600 * GW_NS_PER_SEC};
        struct dlp_report report = {.n_findings = 77}, again;
        struct gw_buf body = {0};

        gw_buf_addc(&body, '[');
        for (unsigned i = 0; i < 4000; i++) {
            if (k == 0)
                gw_buf_add(&body, (struct gw_span){piece + (i == 0 ? 0 : 1),
                                                   sizeof(piece) - (i == 0 ? 2 : 3)});
            else
                gw_buf_printf(&body, "%s%s", i == 0 ? "" : ",", piece);
        }
        gw_buf_adds(&body, k == 0 ? "\"]" : "]");
        gw_arena_reset(arena);
        CHECK(dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, NULL) == GW_OK);
        CHECK(dlp_scan(s, dlp_rules_builtin(), doc, arena, &now, &report) == GW_ETIMEDOUT);
        CHECK(report.n_findings == 77);
        /* A millisecond is enough for some of it, and not for all. */
        CHECK(dlp_scan(s, dlp_rules_builtin(), doc, arena,
                       &(struct dlp_scan_limits){.max_findings = 100000,
                                                 .deadline_ns = gw_clock_ns() + GW_NS_PER_MS},
                       &report) == GW_ETIMEDOUT);
        CHECK(dlp_scan(s, dlp_rules_builtin(), doc, arena, &soon, &again) != GW_ETIMEDOUT);
        gw_buf_fini(&body);
    }
    CHECK(dlp_doc_parse_json(arena, GW_SPAN("[\"nothing\"]"), NULL, &doc, NULL) == GW_OK);
    CHECK(dlp_scan(s, dlp_rules_builtin(), doc, arena, NULL, &(struct dlp_report){0}) == GW_OK);
    dlp_scanner_free(s);
    gw_arena_free(arena);
}

int main(void)
{
    test_deadline();
    test_anchors(dlp_rules_builtin(), "rules", TEST_DRAWS(12));
    test_alone();
    test_hostile(dlp_rules_builtin(), "built-in rules");
    test_words();
    test_words_in(dlp_rules_builtin());
    if (have_tools()) {
        golden = build_rules("tests/golden/rules", work_path("golden.so"));
    } else {
        test_skip("re2c and cc are needed to compile tests/golden/rules");
    }
    if (golden != NULL) {
        test_anchors(golden, "tests/golden/rules", TEST_DRAWS(300));
        test_hostile(golden, "golden rules");
        test_documents();
        dlp_rules_unref(golden);
        (void)unlink(work_path("golden.so"));
        (void)rmdir(work_dir);
    }
    return test_done();
}
