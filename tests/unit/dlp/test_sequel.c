/* tests/unit/dlp/test_sequel.c - what stands behind a window: where it cannot stand behind one no matcher runs, and where it can the same is
 * found as by trying every byte, wherever the text ends or is cut. */
#include "dlp/dlp.h"
#include "dlp/prefilter_sequel.h"
#include "dlp/rulec_anchor.h"
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

enum { TEXTS = 30000, GROWING = 1500, MOST = 220, FOUND = 64 };

#define RULE(id, pattern, example)                                                                 \
    "- {id: " id ", title: t, class: pii, severity: low, confidence: 80, boundary: none, "         \
    "pattern: \"" pattern "\", match: [\"" example "\"]}\n"
/* A name, a sign, a value. */
#define ABC22 "abcabcabcabcabcabcabca"
#define GIVEN                                                                                      \
    "[a-c.]{0,6}key[ a-c.]{0,4}[' ]{0,2}(=|:|=>|\\\\|\\\\||:{1,3}=)[' "                            \
    "=]{0,3}([a-c=.-]{5,9}|[a-c][a-c/"                                                             \
    "]{6,})[' ;]"

static const char text_of_rules[] = RULE("given", GIVEN, "key=abcab;")
    RULE("blanks", "key\\\\s*[:=]\\\\s*[a-c ]{0,2}[a-c]{4}", "key=abca")
        RULE("signs", "ke[xy](:|::|=>|=)['x]{0,3}abcab", "kex:abcab")
            RULE("long", "kex[abc]{66,70}=", "kex" ABC22 ABC22 ABC22 "=")
                RULE("far", "kez.{0,80}==", "kez==")
                    RULE("exact", "kez:[abc]{5}:[a-c]{2}=", "kez:abcab:ab=")
                        RULE("both", "arn:[a-c-]{0,4}:[a-c:]{0,5}[ab]{5}:", "arn::ababa:")
                            RULE("own-sign", "key=[a-c=]{1,6}=ab", "key=a=ab")
                                RULE("open", "pass(wd|word)?[:=]'[^'\\\\n]{2,8}'", "pass='ab'");

/* Patterns of one name, and most of one window. */
enum { MANY = 12 };
#define NAMED(n, sequel, example) RULE("named-" n, "password" sequel, "password" example)
static const char text_of_many[] = NAMED("1", "[a-c.]{0,4}[=:][a-c]{3}", "=abc")
    NAMED("2", "[a-c]{0,2}[:=][a-c]{2}=", ":ab=") NAMED("3", "[.=:]{0,3}'[a-c]", "='a")
        NAMED("4", "[a-c x]{0,2}[=:]{2}[a-c]", "::a") NAMED("5", "[ab.]{1,9}[:']", "ab:")
            NAMED("6", "[a-c/]{0,40}=[a-c ]{0,5};", "=ab;") NAMED("7", "['=]{0,3}[a-c]{4}", "=abca")
                NAMED("8", "[a-c x]{1,2}[a-c.]{0,3}[=|]ab", " =ab")
                    NAMED("9", "[a-c]{5,}'", "abcab'") NAMED("10", "[-/a]{0,9}:[a-c]{1,3}", ":a")
                        NAMED("11", "[^a-c;]{0,6}[a-c]{2};", "=ab;")
                            NAMED("12", "[;.a-c]{0,7}=", "a=") NAMED("13", "[a-c]{0,3}[-;]", "-")
                                NAMED("14", "[a-c.]{0,64}:[a-c]", ":a");

static size_t draw_text(char text[MOST + 80])
{
    static const char *const parts[] = {
        "key",      "kex",  "kez",  "arn:", "pass", "passwd",
        "password", "a",    "b",    "c",    "ab",   "cab",
        "abcab",    ".",    "-",    "/",    " ",    "'",
        "=",        ":",    "::",   "=>",   "==",   "||",
        ":=",       ";",    "\n",   "  ",   "a/b",  "abc.abc",
        "x",        "kez:", "kex=", "key=", ":a",   ABC22 ABC22 ABC22 "ab"};
    size_t len = 0, n = random_below(MOST);

    while (len < n) {
        const char *part = parts[random_below(sizeof(parts) / sizeof(parts[0]))];

        memcpy(text + len, part, strlen(part));
        len += strlen(part);
    }
    return len;
}

static bool same_findings(struct dlp_scanner *s, struct dlp_rules *r, struct gw_span text,
                          unsigned *n_found)
{
    struct dlp_finding want[FOUND];
    unsigned n = 0;

    CHECK(scan_prepare(s, r) == GW_OK);
    s->every_byte = true;
    CHECK(scan_text(s, r, text, GW_SPAN(""), 0, 1) == GW_OK);
    s->every_byte = false;
    n = s->n_found < FOUND ? s->n_found : FOUND;
    if (n > 0)
        memcpy(want, s->found, n * sizeof(want[0]));
    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, text, GW_SPAN(""), 0, 1) == GW_OK);
    *n_found += n;
    return s->n_found == n && (n == 0 || memcmp(want, s->found, n * sizeof(want[0])) == 0);
}

static void test_texts(struct dlp_scanner *s, struct dlp_rules *r)
{
    unsigned n_found = 0;

    for (unsigned i = 0; i < TEXTS; i++) {
        char text[MOST + 80];
        size_t len = draw_text(text);
        /* In a block of its own size, so that a sanitizer sees what is read behind it. */
        char *exact = malloc(len + 1);

        memcpy(exact, text, len);
        exact = realloc(exact, len > 0 ? len : 1);
        if (!CHECK(same_findings(s, r, (struct gw_span){exact, len}, &n_found)))
            fprintf(stderr, "  %.*s\n", (int)len, exact);
        free(exact);
    }
    CHECK(n_found > TEXTS / 20);
}

/* What stands behind a window is asked of all targets at once: what fits is kept, and little else. */
static void test_many(struct dlp_scanner *s)
{
    struct dlp_rules *r = open_text(text_of_many);
    const struct prefilter *f = &r->filter;
    unsigned n_kept = 0, n_fit = 0, n_sure = 0;
    const unsigned n_targets = f->first_target[1]; /* of the first window */

    if (!CHECK(n_targets >= MANY && f->sequels_of[0] == 1))
        return;
    for (unsigned i = 0; i < TEXTS; i++) {
        char text[MOST + 80];
        const size_t len = draw_text(text), at = random_below((unsigned)len + 1);
        struct scan_leaf x = {
            .s = s, .rules = r, .filter = f, .text = {text, len}, .sequel_at = SIZE_MAX};
        uint64_t sure, left = prefilter_sequels_left(f, &f->sequels[0], UINT64_MAX,
                                                     (const unsigned char *)text, at, len, &sure);

        for (unsigned k = 0; k < n_targets; k++) {
            const struct bundle_target *t = &f->targets[k];
            bool fits = scan_sequel_fits(&x, t->sequel, at + t->sequel_at);

            CHECK(!fits || (left >> k & 1) != 0);
            CHECK(fits || (sure >> k & 1) == 0);
            n_sure += (unsigned)(sure >> k & 1);
            n_fit += fits;
            n_kept += (unsigned)(left >> k & 1);
        }
    }
    CHECK(n_fit > TEXTS / 10 && n_sure > TEXTS / 100 && n_kept < TEXTS * n_targets * 2 / 3);
    test_texts(s, r);
    dlp_rules_unref(r);
}

static enum gw_action note(void *ctx, const struct dlp_guard_finding *f)
{
    gw_buf_add(ctx, f->text);
    gw_buf_addc(ctx, '|');
    return GW_ACTION_ALLOW;
}

/* What a guard finds that is fed pieces of so many bytes. */
static void feed(struct dlp_scanner *s, struct dlp_rules *r, struct gw_span text, size_t piece,
                 struct gw_buf *found)
{
    struct gw_buf out = {NULL, 0, 0, false};
    struct dlp_guard *g = dlp_guard_new(s, r, NULL, 0, note, found);

    for (size_t at = 0; at < text.len; at += piece)
        CHECK(dlp_guard_feed(
                  g, (struct gw_span){text.ptr + at, text.len - at < piece ? text.len - at : piece},
                  &out) == GW_OK);
    CHECK(dlp_guard_finish(g, &out) == GW_OK);
    dlp_guard_free(g);
    gw_buf_fini(&out);
}

static void test_growing(struct dlp_scanner *s, struct dlp_rules *r)
{
    size_t n_bytes = 0;

    for (unsigned i = 0; i < GROWING; i++) {
        char text[MOST + 80];
        const struct gw_span all = {text, draw_text(text)};
        struct gw_buf want = {NULL, 0, 0, false}, have = {NULL, 0, 0, false};

        feed(s, r, all, all.len + 1, &want);
        feed(s, r, all, 1 + random_below((unsigned)all.len + 1), &have);
        if (!CHECK(gw_span_eq(gw_buf_span(&have), gw_buf_span(&want))))
            fprintf(stderr, "  %.*s: %.*s, not %.*s\n", (int)all.len, text, (int)have.len, have.ptr,
                    (int)want.len, want.ptr);
        n_bytes += want.len;
        gw_buf_fini(&want);
        gw_buf_fini(&have);
    }
    CHECK(n_bytes > GROWING / 4);
}

/* How often a matcher runs. */
static void test_tries(struct dlp_scanner *s)
{
    static const struct {
        const char *text;
        bool tries;
    } cases[] = {
        {"the key of the house is a thing with abcabcab", false},
        {"abc.key = abcab;", true},
        {"abc.key cab' => 'abcab'", true},
        {"abc.key= a", false},
        {"abc.key == =abcab;", true},
        {"abc.key=     abcab", false},
        {"abc.key a a a a = abcab", false},
        {"abc.key=abcb", false},
        {"abc.key=", false},
        {"abc.key", false},
        {"abc.key (abcabcabc)", false},
    };
    struct dlp_rules *r = open_text(RULE("given", GIVEN, "key=abcab;"));

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && r != NULL; i++) {
        struct dlp_rule_cost cost = {.candidates = 0};

        CHECK(scan_prepare(s, r) == GW_OK);
        dlp_scanner_measure(s, &cost);
        CHECK(scan_text(s, r, gw_span_str(cases[i].text), GW_SPAN(""), 0, 1) == GW_OK);
        dlp_scanner_measure(s, NULL);
        if (!CHECK((cost.candidates > 0) == cases[i].tries))
            fprintf(stderr, "  %s\n", cases[i].text);
    }
    dlp_rules_unref(r);
}

/* A name that every match has is looked for, and not the signs that may stand behind it. */
static void test_choice(void)
{
    static const struct {
        const char *pattern;
        unsigned n;
    } cases[] = {
        {"[\\w.-]{0,50}zorvex[ \\w.-]{0,20}(=|>|:{1,3}=|\\|\\||\\?=|,)['=]{0,5}[a-z]{32}", 1},
        {"(zorvex|quilmp)[ \\w.-]{0,20}(=|\\|\\||\\?=|,)['=]{0,5}[a-z]{32}", 2},
        {"zorvex|quilmp|xyzzy9", 3},
    };
    struct gw_arena *arena = gw_arena_new(1 << 22);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rx_pattern p = {.root = NULL};
        struct rulec_anchor *anchors = NULL;
        unsigned n = 0;
        struct gw_err err;

        CHECK(rx_parse(arena, gw_span_str(cases[i].pattern), false, RULEC_BOUNDARY_NONE, &p,
                       &err) == GW_OK &&
              rulec_anchors(arena, p.root, &anchors, &n, &err) == GW_OK);
        if (!CHECK(n == cases[i].n))
            fprintf(stderr, "  %s: %u\n", cases[i].pattern, n);
    }
    gw_arena_free(arena);
}

/* Words behind a number are looked for, and not its last digit with a word's beginning, which is seldomer but no literal. */
static void test_words(void)
{
    static const char pattern[] = "[0-9][0-9 x-]{5,22}[0-9][- ]?[-(:](?i:office|work|desk|phone)";
    struct gw_arena *arena = gw_arena_new(1 << 22);
    struct rx_pattern p = {.root = NULL};
    struct rulec_anchor *anchors = NULL;
    unsigned n = 0;
    struct gw_err err;

    CHECK(rx_parse(arena, gw_span_str(pattern), false, RULEC_BOUNDARY_NONE, &p, &err) == GW_OK &&
          rulec_anchors(arena, p.root, &anchors, &n, &err) == GW_OK && n > 0);
    for (unsigned i = 0; i < n; i++)
        CHECK(!rx_set_has(&anchors[i].set[0], '7'));
    gw_arena_free(arena);
}

int main(void)
{
    struct dlp_rules *r = open_text(text_of_rules);
    struct dlp_scanner *s = dlp_scanner_new();

    if (r != NULL) {
        test_texts(s, r);
        test_growing(s, r);
    }
    test_many(s);
    test_tries(s);
    test_choice();
    test_words();
    dlp_scanner_free(s);
    dlp_rules_unref(r);
    (void)rmdir(work_dir);
    return test_done();
}
