/* Unit tests of dlp/guard*.c: what comes out of a growing text does not depend on how it was cut. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"
#include "dlp/guard.h"
#include "tests/test.h"

static struct dlp_scanner *scanner;
static struct dlp_rules *rules;

/* What a guard made of a text. */
struct result {
    enum gw_status st;
    struct gw_buf out;
    struct gw_buf log; /* a line a finding */
    unsigned n;
    enum gw_action action;
    size_t gone; /* bytes that had gone out before */
    size_t held_max, held_sum, n_feeds;
};

static void result_fini(struct result *r)
{
    gw_buf_fini(&r->out);
    gw_buf_fini(&r->log);
}

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    struct result *r = ctx;

    r->n++;
    r->gone += f->already_out;
    gw_buf_printf(&r->log, "%s %u %.*s\n", dlp_rules_info(rules, f->rule)->id,
                  (unsigned)f->confidence, (int)f->text.len, f->text.ptr);
    return r->action;
}

static void feed(struct dlp_guard *g, struct result *r, struct gw_span piece)
{
    if (r->st == GW_OK)
        r->st = dlp_guard_feed(g, piece, &r->out);
    if (dlp_guard_held(g) > r->held_max)
        r->held_max = dlp_guard_held(g);
    r->held_sum += dlp_guard_held(g);
    r->n_feeds++;
}

static struct result whole(struct gw_span text, enum gw_action action, unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    feed(g, &r, text);
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

static struct result in_two(struct gw_span text, size_t cut, enum gw_action action,
                            unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    feed(g, &r, (struct gw_span){text.ptr, cut});
    feed(g, &r, gw_span_from(text, cut));
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

/* Fed and ended at once, from the cut on. */
static struct result at_last(struct gw_span text, size_t cut, enum gw_action action,
                             unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    feed(g, &r, (struct gw_span){text.ptr, cut});
    if (r.st == GW_OK)
        r.st = dlp_guard_last(g, gw_span_from(text, cut), &r.out);
    dlp_guard_free(g);
    return r;
}

/* In pieces of 1 to most bytes, from a generator. */
static struct result in_pieces(struct gw_span text, unsigned most, uint32_t seed,
                               enum gw_action action, unsigned nesting)
{
    struct result r = {.action = action};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, nesting, decide, &r);

    while (text.len > 0) {
        size_t n = 1;

        seed = seed * 1664525 + 1013904223;
        n += (seed >> 8) % most;
        n = n < text.len ? n : text.len;
        feed(g, &r, (struct gw_span){text.ptr, n});
        text = gw_span_from(text, n);
    }
    if (r.st == GW_OK)
        r.st = dlp_guard_finish(g, &r.out);
    dlp_guard_free(g);
    return r;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->st == b->st &&
           (a->st != GW_OK || gw_span_eq(gw_buf_span(&a->out), gw_buf_span(&b->out))) &&
           gw_span_eq(gw_buf_span(&a->log), gw_buf_span(&b->log));
}

static bool check_same(struct gw_span text, const struct result *a, struct result b,
                       const char *how)
{
    bool ok = same(a, &b);

    if (!ok)
        fprintf(stderr, "  %s of: %.*s\n  whole %d: %.*s\n%.*s\n  else %d: %.*s\n%.*s\n", how,
                (int)text.len, text.ptr, (int)a->st, (int)a->out.len, a->out.ptr, (int)a->log.len,
                a->log.ptr, (int)b.st, (int)b.out.len, b.out.ptr, (int)b.log.len, b.log.ptr);
    result_fini(&b);
    return ok;
}

/* Every way to cut it. */
static bool cuts_agree(struct gw_span text, enum gw_action action, unsigned nesting,
                       bool everywhere)
{
    struct result a = whole(text, action, nesting);
    bool ok = check_same(text, &a, in_pieces(text, 1, 1, action, nesting), "one byte at a time");

    ok = ok && check_same(text, &a, at_last(text, 0, action, nesting), "at once") &&
         check_same(text, &a, at_last(text, text.len / 2, action, nesting), "half at once");
    for (unsigned i = 0; i < 6 && ok; i++)
        ok = check_same(text, &a, in_pieces(text, 3 + 7 * i, i, action, nesting), "pieces");
    for (size_t cut = 0; everywhere && cut <= text.len && ok; cut++)
        ok = check_same(text, &a, in_two(text, cut, action, nesting), "two");
    result_fini(&a);
    return ok;
}

/* What dlp_scan() and dlp_doc_edit() make of the text. */
static struct result one_shot(struct gw_span text, enum gw_action action)
{
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct result r = {.action = action};
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {0};
    enum gw_action actions[1000];

    r.st = dlp_doc_parse_text(arena, text, &doc);
    if (r.st == GW_OK)
        r.st = dlp_scan(scanner, rules, doc, arena, NULL, &report);
    for (unsigned i = 0; i < report.n_findings && i < 1000; i++) {
        const struct dlp_finding *f = &report.findings[i];

        actions[i] = decide(
            &r, &(struct dlp_guard_finding){.rule = f->rule,
                                            .confidence = f->confidence,
                                            .text = {text.ptr + f->start, f->end - f->start}});
    }
    if (r.st == GW_OK)
        r.st = dlp_doc_edit(doc, rules, &report, actions, NULL, &r.out);
    gw_arena_free(arena);
    return r;
}

/* ---- the rules' own examples ---------------------------------------------------------------- */

/* Each rule's examples in prose, cut in every way. Also counts in how many texts guard and scan disagree: only
 * context words behind a value may do that. */
static void test_examples(void)
{
    const struct bundle *b = rules->b;
    unsigned n = 0, n_agree = 0;
    bool ok = true;

    for (unsigned i = 0; i < b->n_rules; i++) {
        for (unsigned k = 0; k < b->rules[i].n_examples; k++) {
            const struct bundle_text *e = &b->rules[i].examples[k].text;
            struct gw_buf text = {0};
            struct result shot, a;

            if (e->len > 700)
                continue;
            gw_buf_printf(&text, "The answer to that is: ");
            gw_buf_add(&text, (struct gw_span){e->ptr, e->len});
            gw_buf_adds(&text, "\nand more follows, as in any answer. The end.");
            ok &= cuts_agree(gw_buf_span(&text), GW_ACTION_REDACT, 0, (i + k) % 16 == 0);
            shot = one_shot(gw_buf_span(&text), GW_ACTION_REDACT);
            a = whole(gw_buf_span(&text), GW_ACTION_REDACT, 0);
            n++;
            n_agree += same(&a, &shot);
            if (!same(&a, &shot) && getenv("SHOW") != NULL)
                (void)check_same(gw_buf_span(&text), &a, shot, "scan");
            else
                result_fini(&shot);
            result_fini(&a);
            gw_buf_fini(&text);
        }
    }
    CHECK(ok);
    printf("guard and scan agree on %u of %u texts with examples\n", n_agree, n);
    CHECK(n > 800 && n_agree * 100 >= n * 95);
}

/* ---- drawn texts ---------------------------------------------------------------------------- */

static uint32_t draw_state = 7;

static unsigned draw(unsigned n)
{
    draw_state = draw_state * 1664525 + 1013904223;
    return (draw_state >> 8) % n;
}

/* Prose, code, beginnings of values, whole values, odd characters, without an end. */
static void draw_text(struct gw_buf *out)
{
    static const char *const bits[] = {
        "the ",        "AKIA",        "password = ",  "ghp_",       "\n",
        "{\"key\":\"", "-----BEGIN ", "@example.com", "jane.doe",   "4111 1111 ",
        "1111 1111",   "\xC3\xA9",    "eyJhbGciOi.",  "sk-proj-",   "https://u:p@h",
        "= \"",        "SSN ",        "123-45-6789 ", "DLP_EMAIL_", "\xF0\x9F\x98\x80",
        "Bearer ",     "0123456789",  "DE89370400",   "patient "};
    const struct bundle *b = rules->b;
    unsigned n = 1 + draw(12);

    for (unsigned i = 0; i < n; i++) {
        const struct bundle_rule *r = &b->rules[draw(b->n_rules)];
        const struct bundle_text *e = &r->examples[draw(r->n_examples)].text;

        if (draw(3) != 0 || e->len > 300)
            gw_buf_adds(out, bits[draw(sizeof(bits) / sizeof(bits[0]))]);
        else
            gw_buf_add(out, (struct gw_span){e->ptr, draw(4) == 0 ? draw(e->len + 1) : e->len});
        if (draw(3) == 0)
            gw_buf_addc(out, " .,-/_\"'=:"[draw(10)]);
    }
}

/* Bytes outside of what was found come out as they went in: with an action that leaves the text, all of them. */
static void test_drawn(void)
{
    static const enum gw_action all[] = {GW_ACTION_REDACT, GW_ACTION_MASK, GW_ACTION_ALERT,
                                         GW_ACTION_BLOCK};
    bool ok = true;
    unsigned n_found = 0;

    for (unsigned i = 0; i < TEST_DRAWS(1200) && ok; i++) {
        enum gw_action action = all[i % 4];
        struct gw_buf text = {0};
        struct result a;

        draw_text(&text);
        ok = cuts_agree(gw_buf_span(&text), action, i % 3 == 0, i % 8 == 0);
        a = whole(gw_buf_span(&text), GW_ACTION_ALERT, i % 3 == 0);
        n_found += a.n;
        ok = ok && a.st == GW_OK && gw_span_eq(gw_buf_span(&a.out), gw_buf_span(&text));
        result_fini(&a);
        gw_buf_fini(&text);
    }
    CHECK(ok);
    CHECK(n_found > TEST_DRAWS(400));
}

/* ---- what is held back ------------------------------------------------------------------------- */

static void test_hold_back(void)
{
    static const char prose[] =
        "Of course! Here is what happens, step by step. First, the server reads the file and keeps "
        "the part it needs; then it answers. If you call it twice, nothing changes: the second "
        "call finds the value in the cache (see section 3.2) and returns at once.\n\n"
        "1. Open the door.\n2. Walk in, and don\xE2\x80\x99t look back.\n3. Close it \xE2\x80\x94 "
        "quietly.\n\nDie Stra\xC3\x9F"
        "e ist 12 km lang und f\xC3\xBChrt nach S\xC3\xBC"
        "den. It "
        "costs about 15 % more than in 2019, that is $1,250 a year.\n";
    struct result r =
        in_pieces((struct gw_span){prose, sizeof(prose) - 1}, 1, 1, GW_ACTION_BLOCK, 0);

    printf("held back of prose: %.1f bytes on average, %zu at most\n",
           (double)r.held_sum / (double)r.n_feeds, r.held_max);
    CHECK(r.st == GW_OK && gw_span_is(gw_buf_span(&r.out), prose));
    CHECK(r.held_max <= 24 && r.held_sum <= 10 * r.n_feeds);
    result_fini(&r);
}

/* Texts that keep every start alive: they end in time, whole or refused. */
static void test_hostile(void)
{
    static const char *const bits[] = {"a-",        "1234567890", "a",        "=",
                                       "eyJ",       "a.b@",       "AKIA",     "-----BEGIN ",
                                       "password=", "a1B2/",      "\xC3\xA9", "http://a:"};

    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        struct gw_buf text = {0};
        struct result a, b;

        while (text.len < 20000)
            gw_buf_adds(&text, bits[i]);
        a = whole(gw_buf_span(&text), GW_ACTION_REDACT, 0);
        b = in_pieces(gw_buf_span(&text), 7, 1, GW_ACTION_REDACT, 0);
        CHECK((a.st == GW_OK || a.st == GW_ELIMIT) && (b.st == GW_OK || b.st == GW_ELIMIT));
        if (!CHECK(a.st != GW_OK || b.st != GW_OK || same(&a, &b)))
            fprintf(stderr, "  of %s\n", bits[i]);
        result_fini(&a);
        result_fini(&b);
        gw_buf_fini(&text);
    }
}

/* ---- actions -------------------------------------------------------------------------------------- */

#define KEY                                                                                        \
    "AKIA"                                                                                         \
    "QXJ7TPL4MZ3NWVYB"

static void becomes(unsigned nesting, enum gw_action action, const char *text, const char *want)
{
    struct result r = whole(gw_span_str(text), action, nesting);

    CHECK(cuts_agree(gw_span_str(text), action, nesting, true));
    if (!CHECK(r.st == GW_OK && gw_span_is(gw_buf_span(&r.out), want)))
        fprintf(stderr, "  %s (%d)\n  got  %.*s\n  want %s\n", text, (int)r.st, (int)r.out.len,
                r.out.ptr, want);
    result_fini(&r);
}

static void test_actions(void)
{
    struct result r;

    becomes(0, GW_ACTION_REDACT, "", "");
    becomes(0, GW_ACTION_ALERT, "key " KEY " ok", "key " KEY " ok");
    becomes(0, GW_ACTION_REDACT, "key " KEY " ok", "key DLP_AWS_ACCESS_KEY_REDACTED ok");
    becomes(0, GW_ACTION_TOKENIZE, KEY, "DLP_AWS_ACCESS_KEY_REDACTED");
    becomes(0, GW_ACTION_MASK, "key " KEY ".", "key ********************.");
    becomes(0, GW_ACTION_MASK, "pay with card 4111 1111 1111 1111 today",
            "pay with card **** **** **** 1111 today");
    becomes(0, GW_ACTION_REDACT, "key " KEY "X ok", "key " KEY "X ok"); /* no word ends there */
    becomes(0, GW_ACTION_REDACT, "DLP_AWS_ACCESS_KEY_REDACTED", "DLP_AWS_ACCESS_KEY_REDACTED");
    /* As much of what is no character as a character could have. */
    becomes(0, GW_ACTION_REDACT, "to jane.doe@acme-corp.org\xB4\xB4\xB4\xB4\xB4\xB4\xB4, then",
            "to DLP_EMAIL_REDACTED\xB4\xB4\xB4\xB4, then");
    for (size_t cut = 0; cut <= 8 + 20; cut++) {
        r = in_two(GW_SPAN("the key " KEY " ok"), cut, GW_ACTION_BLOCK, 0);
        CHECK(r.st == GW_EDENIED && r.n == 1 && r.out.len <= 8);
        result_fini(&r);
    }
}

/* The text of a JSON string's inside: what a reader would see is judged. */
static void test_nested(void)
{
    becomes(1, GW_ACTION_REDACT, "{\"a\":\"x\\n" KEY "\\t\"}",
            "{\"a\":\"x\\nDLP_AWS_ACCESS_KEY_REDACTED\\t\"}");
    becomes(1, GW_ACTION_REDACT,
            "{\"a\":\"\\u0041KI\\u0041QXJ7TPL4MZ3NWVYB\\u0020\\ud83d\\ude00\"}",
            "{\"a\":\"DLP_AWS_ACCESS_KEY_REDACTED\\u0020\\ud83d\\ude00\"}");
    becomes(1, GW_ACTION_REDACT, "{\"card\":4111111111111111,\"b\":1}",
            "{\"card\":\"DLP_CREDIT_CARD_REDACTED\",\"b\":1}");
    becomes(1, GW_ACTION_MASK, "{\"card\": 4111111111111111}", "{\"card\": \"************1111\"}");
    becomes(1, GW_ACTION_ALERT, "{\"a\":\"\\q\\u00 \\ud83d \\", "{\"a\":\"\\q\\u00 \\ud83d \\");
    /* In a text that is no JSON a backslash is one. */
    becomes(0, GW_ACTION_REDACT, "a\\n" KEY, "a\\n" KEY);
}

/* Let go in the middle of a value: the rest is hidden, and what went is said. */
static void test_release(void)
{
    struct result r = {.action = GW_ACTION_REDACT};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, 0, decide, &r);

    feed(g, &r, GW_SPAN("the key AKIAQXJ7"));
    CHECK(gw_span_is(gw_buf_span(&r.out), "the key ") && dlp_guard_held(g) == 8);
    CHECK(dlp_guard_release(g, &r.out) == GW_OK && dlp_guard_held(g) == 0);
    CHECK(gw_span_is(gw_buf_span(&r.out), "the key AKIAQXJ7"));
    feed(g, &r, GW_SPAN("TPL4MZ3N"));
    feed(g, &r, GW_SPAN("WVYB, and"));
    CHECK(dlp_guard_finish(g, &r.out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&r.out), "the key AKIAQXJ7DLP_AWS_ACCESS_KEY_REDACTED, and"));
    CHECK(r.n == 1 && r.gone == 8);
    /* A value that is complete but for its end is not let go. */
    gw_buf_clear(&r.out);
    r.n = 0;
    feed(g, &r, GW_SPAN("key " KEY));
    CHECK(dlp_guard_release(g, &r.out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&r.out), "key DLP_AWS_ACCESS_KEY_REDACTED"));
    CHECK(dlp_guard_release(g, &r.out) == GW_OK);
    feed(g, &r, GW_SPAN(" then"));
    CHECK(dlp_guard_finish(g, &r.out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&r.out), "key DLP_AWS_ACCESS_KEY_REDACTED then") && r.n == 1);
    dlp_guard_free(g);
    /* A block that comes too late still ends the text. */
    r.action = GW_ACTION_BLOCK;
    g = dlp_guard_new(scanner, rules, NULL, 0, decide, &r);
    feed(g, &r, GW_SPAN("AKIAQXJ7TPL4"));
    CHECK(dlp_guard_release(g, &r.out) == GW_OK);
    CHECK(dlp_guard_feed(g, GW_SPAN("MZ3NWVYB and"), &r.out) == GW_EDENIED);
    CHECK(dlp_guard_feed(g, GW_SPAN("more"), &r.out) == GW_ELIMIT);
    CHECK(dlp_guard_finish(g, &r.out) == GW_ELIMIT && dlp_guard_release(g, &r.out) == GW_ELIMIT);
    dlp_guard_free(g);
    dlp_guard_free(NULL);
    result_fini(&r);
}

static void test_limits(void)
{
    const struct dlp_scan_limits limits = {.report_from = 99, .max_findings = 2};
    const struct dlp_scan_limits few = {.max_findings = 2};
    struct result r = {.action = GW_ACTION_ALERT};
    struct dlp_guard *g = dlp_guard_new(scanner, rules, &limits, 0, decide, &r);

    feed(g, &r, GW_SPAN("call me: jane.doe@acme-corp.org now"));
    CHECK(r.st == GW_OK && r.n == 0);
    dlp_guard_free(g);
    g = dlp_guard_new(scanner, rules, &few, 0, decide, &r);
    feed(g, &r, GW_SPAN(KEY " " KEY " " KEY " and"));
    CHECK(r.st == GW_ELIMIT && r.n == 2);
    dlp_guard_free(g);
    result_fini(&r);
}

#define KEY_REST                                                                                   \
    "Q7ZKT"                                                                                        \
    "M4XJ2WVN3RB"

/* Full-width and mathematical letters, and invisible characters between letters, hide nothing, whatever the pieces; what is no
 * value comes out as it came. */
static void test_looks(void)
{
    static const char *const texts[] = {
        "a \xE2\x80\x9Cquote\xE2\x80\x9D \xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 key "
        "\xEF\xBC\xA1\xEF\xBC\xABI\xEF\xBC\xA1" KEY_REST " end \xEF\xBC\xA1",
        "k A\xE2\x80\x8BK\xE2\x80\x8BI\xE2\x80\x8B\xE2\x80\x8B"
        "A" KEY_REST "\xE2\x80\x8B end\xE2\x80\x8B",
        "k \xF0\x9D\x97\x94\xF0\x9D\x97\x9E\xF0\x9D\x97\x9C\xF0\x9D\x97\x94" KEY_REST " end",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct gw_span text = gw_span_str(texts[i]);
        struct result all = whole(text, GW_ACTION_REDACT, 0);
        struct result kept = in_pieces(text, 3, 7, GW_ACTION_ALERT, 0);

        if (!CHECK(all.n == 1 &&
                   memmem(all.out.ptr, all.out.len, KEY_REST, strlen(KEY_REST)) == NULL &&
                   memmem(all.out.ptr, all.out.len, " end", 4) != NULL))
            fprintf(stderr, "  %s\n", all.out.ptr);
        CHECK(gw_span_eq(gw_buf_span(&kept.out), text));
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct result two = in_two(text, cut, GW_ACTION_REDACT, 0);

            if (!CHECK(gw_span_eq(gw_buf_span(&two.out), gw_buf_span(&all.out))))
                fprintf(stderr, "  cut at %zu: %s\n", cut, two.out.ptr);
            result_fini(&two);
        }
        for (unsigned seed = 1; seed < 20; seed++) {
            struct result some = in_pieces(text, 1 + seed % 4, seed, GW_ACTION_REDACT, 0);

            CHECK(gw_span_eq(gw_buf_span(&some.out), gw_buf_span(&all.out)));
            result_fini(&some);
        }
        result_fini(&all);
        result_fini(&kept);
    }
}

int main(void)
{
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    test_examples();
    test_drawn();
    test_hold_back();
    test_hostile();
    test_actions();
    test_nested();
    test_release();
    test_looks();
    test_limits();
    dlp_scanner_free(scanner);
    return test_done();
}
