/* Other forms of a text: a value is found in each, stands where its finding says, is hidden whole and comes back; spans never
 * leave the text; hostile text costs time and memory in line with its length, and what is cut off is said. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "dlp/scan.h"
#include "tests/test.h"
#include "tests/unit/dlp/rules_help.h"

/* In two halves, so that no scanner of this repository takes it for a live one. */
#define KEY                                                                                        \
    "AKIAQ7ZKT"                                                                                    \
    "M4XJ2WVN3RB"

enum { LEN = 1 << 18 }; /* of hostile text */

static struct dlp_scanner *scanner;

struct seen {
    struct gw_arena *arena;
    struct dlp_doc *doc;
    struct dlp_report report;
    enum gw_status st;
};

static struct seen look(struct gw_span body, bool json)
{
    struct seen s = {.arena = gw_arena_new(body.len * 64 + ((size_t)64 << 20))};

    s.st = json ? dlp_doc_parse_json(s.arena, body, NULL, &s.doc, NULL)
                : dlp_doc_parse_text(s.arena, body, &s.doc);
    if (s.st == GW_OK)
        s.st = dlp_scan(scanner, dlp_rules_builtin(), s.doc, s.arena, NULL, &s.report);
    /* Text that keeps matchers busy is given up as it stands, whatever its views. */
    CHECK(s.st == GW_OK || (s.st == GW_ELIMIT && body.len >= LEN));
    return s;
}

static const struct dlp_finding *find_rule(const struct seen *s, const char *rule)
{
    for (unsigned i = 0; i < s->report.n_findings; i++)
        if (strcmp(dlp_rules_info(dlp_rules_builtin(), s->report.findings[i].rule)->id, rule) == 0)
            return &s->report.findings[i];
    return NULL;
}

/* ---- encodings --------------------------------------------------------------------------- */

typedef void encode_fn(struct gw_buf *out, struct gw_span text);

static void each_byte(struct gw_buf *out, struct gw_span text, const char *format)
{
    for (size_t i = 0; i < text.len; i++) {
        char one[16];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(one, sizeof(one), format, (unsigned char)text.ptr[i]);
#pragma GCC diagnostic pop
        gw_buf_adds(out, one);
    }
}

static void hex(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "%02x");
}
static void percent(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "%%%02X");
}
static void entities(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "&#%u;");
}
static void escapes(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "\\u%04x");
}
static void bytes(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "\\x%02x");
}
static void quoted(struct gw_buf *out, struct gw_span t)
{
    each_byte(out, t, "=%02X");
}
static void hidden(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++) {
        gw_buf_addc(out, t.ptr[i]);
        gw_buf_adds(out, i + 1 < t.len ? "\xE2\x80\x8B" : "");
    }
}
static void shifted(struct gw_buf *out, struct gw_span t, uint32_t by)
{
    for (size_t i = 0; i < t.len; i++) {
        char c[4];

        gw_buf_add(out, (struct gw_span){c, gw_utf8_encode((unsigned char)t.ptr[i] + by, c)});
    }
}
static void wide(struct gw_buf *out, struct gw_span t)
{
    shifted(out, t, 0xFEE0);
}
static void tags(struct gw_buf *out, struct gw_span t)
{
    shifted(out, t, 0xE0000);
}
static void cyrillic(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.ptr[i] == 'A')
            gw_buf_adds(out, "\xD0\x90");
        else if (t.ptr[i] == 'K')
            gw_buf_adds(out, "\xD0\x9A");
        else
            gw_buf_addc(out, t.ptr[i]);
}
static void twice(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf once = {0};

    gw_base64(&once, t);
    gw_base64(out, gw_buf_span(&once));
    gw_buf_fini(&once);
}
static void utf16(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf two = {0};

    for (size_t i = 0; i < t.len; i++) {
        gw_buf_addc(&two, t.ptr[i]);
        gw_buf_addc(&two, '\0');
    }
    gw_base64(out, gw_buf_span(&two));
    gw_buf_fini(&two);
}
static void packed(struct gw_buf *out, struct gw_span t)
{
    unsigned char z[512];
    uLongf n = sizeof(z);

    CHECK(compress(z, &n, (const unsigned char *)t.ptr, t.len) == Z_OK);
    gw_base64(out, (struct gw_span){(const char *)z, n});
}
static void percent_of_percent(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf once = {0};

    percent(&once, t);
    percent(out, gw_buf_span(&once));
    gw_buf_fini(&once);
}

static const struct {
    const char *name;
    encode_fn *encode;
    enum dlp_view view;
} encodings[] = {
    {"base64", gw_base64, DLP_VIEW_BASE64}, {"base64url", gw_base64url, DLP_VIEW_BASE64},
    {"twice", twice, DLP_VIEW_BASE64},      {"utf16", utf16, DLP_VIEW_BASE64},
    {"zlib", packed, DLP_VIEW_GZIP},        {"hex", hex, DLP_VIEW_HEX},
    {"percent", percent, DLP_VIEW_PERCENT}, {"entities", entities, DLP_VIEW_HTML},
    {"escapes", escapes, DLP_VIEW_ESCAPED}, {"bytes", bytes, DLP_VIEW_ESCAPED},
    {"quoted", quoted, DLP_VIEW_QUOTED},    {"hidden", hidden, DLP_VIEW_FOLDED},
    {"wide", wide, DLP_VIEW_FOLDED},        {"cyrillic", cyrillic, DLP_VIEW_FOLDED},
    {"tags", tags, DLP_VIEW_INVISIBLE},     {"percent twice", percent_of_percent, DLP_VIEW_PERCENT},
};

/* The finding is exactly the encoded value, in its view. */
static void test_encodings(void)
{
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        struct gw_buf text = {0};
        const struct dlp_finding *f;
        struct seen s;
        size_t start, end;

        gw_buf_adds(&text, "the one of today is ");
        start = text.len;
        encodings[i].encode(&text, GW_SPAN(KEY));
        end = text.len;
        gw_buf_adds(&text, " and no other");
        s = look(gw_buf_span(&text), false);
        f = find_rule(&s, "aws-access-key-id");
        if (!CHECK(f != NULL && f->start == start && f->end == end && f->view == encodings[i].view))
            fprintf(stderr, "  %s: %s\n", encodings[i].name, text.ptr);
        CHECK(s.report.cut == 0 && s.report.view_bytes > 0);
        gw_arena_free(s.arena);
        gw_buf_fini(&text);
    }
}

/* In a string of a body, and in JSON inside of one: the value goes, nothing else changes, and it comes back. */
static void check_hidden(struct gw_span body, struct gw_span value, const char *name)
{
    struct dlp_vault *vault = dlp_vault_new(GW_SPAN("key"));
    struct gw_buf out = {0}, back = {0};
    struct seen s = look(body, true), again;
    enum gw_action *actions = gw_arena_array(s.arena, s.report.n_findings + 1, sizeof(*actions));
    const char *at = memmem(body.ptr, body.len, value.ptr, value.len);
    size_t before = at == NULL ? 0 : (size_t)(at - body.ptr),
           behind = body.len - before - value.len;

    for (unsigned i = 0; i < s.report.n_findings; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    CHECK(dlp_doc_edit(s.doc, dlp_rules_builtin(), &s.report, actions, vault, &out) == GW_OK);
    if (!CHECK(s.report.n_findings > 0 && memmem(out.ptr, out.len, value.ptr, value.len) == NULL))
        fprintf(stderr, "  %s: %s\n", name, out.ptr);
    CHECK(at != NULL && out.len > before + behind && memcmp(out.ptr, body.ptr, before) == 0 &&
          memcmp(out.ptr + out.len - behind, body.ptr + body.len - behind, behind) == 0);
    CHECK(dlp_restore_json(vault, gw_buf_span(&out), &back, NULL) == GW_OK);
    if (!CHECK(gw_span_eq(gw_buf_span(&back), body)))
        fprintf(stderr, "  %s: %s\n", name, back.ptr);
    again = look(gw_buf_span(&out), true);
    CHECK(find_rule(&again, "aws-access-key-id") == NULL);
    gw_arena_free(again.arena);
    gw_buf_fini(&out);
    gw_buf_fini(&back);
    dlp_vault_free(vault);
    gw_arena_free(s.arena);
}

static void test_hiding(void)
{
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        for (unsigned nesting = 0; nesting < 2; nesting++) {
            struct gw_buf value = {0}, text = {0}, body = {0}, escaped = {0}, twice_escaped = {0};

            encodings[i].encode(&value, GW_SPAN(KEY));
            gw_buf_adds(&text, "a \"b\" ");
            gw_buf_add(&text, gw_buf_span(&value));
            gw_buf_adds(&text, " c\n");
            if (nesting == 1) {
                gw_buf_adds(&body, "{\"q\":");
                gw_buf_add_json_str(&body, gw_buf_span(&text));
                gw_buf_adds(&body, "}");
                gw_buf_clear(&text);
                gw_buf_add(&text, gw_buf_span(&body));
                gw_buf_clear(&body);
            }
            gw_buf_adds(&body, "{\"messages\":[{\"content\":");
            gw_buf_add_json_str(&body, gw_buf_span(&text));
            gw_buf_adds(&body, "}], \"n\" : 1.50}");
            gw_buf_add_json(&escaped, gw_buf_span(&value));
            gw_buf_add_json(&twice_escaped, gw_buf_span(&escaped));
            check_hidden(gw_buf_span(&body), gw_buf_span(nesting == 1 ? &twice_escaped : &escaped),
                         encodings[i].name);
            gw_buf_fini(&value);
            gw_buf_fini(&text);
            gw_buf_fini(&body);
            gw_buf_fini(&escaped);
            gw_buf_fini(&twice_escaped);
        }
}

/* ---- what is found, and what is not ------------------------------------------------------ */

static void check_view(const char *text, const char *rule, int view)
{
    struct seen s = look(gw_span_str(text), false);
    const struct dlp_finding *f = find_rule(&s, rule);

    if (!CHECK(view < 0 ? f == NULL : f != NULL && f->view == view))
        fprintf(stderr, "  %s in %s: %s\n", rule, text,
                f == NULL ? "not found" : dlp_view_name(f->view));
    gw_arena_free(s.arena);
}

static void test_digits(void)
{
    check_view("card 4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1 ok", "credit-card-number", DLP_VIEW_DIGITS);
    check_view("card 4111.1111.1111.1111 ok", "credit-card-number", DLP_VIEW_DIGITS);
    check_view("it is four one one one one one one one one one one one one one one one, thanks",
               "credit-card-number", DLP_VIEW_DIGITS);
    check_view("vier eins eins eins eins eins eins eins eins eins eins eins eins eins eins eins",
               "credit-card-number", DLP_VIEW_DIGITS);
    check_view("quatre un un un un un un un un un un un un un un un", "credit-card-number",
               DLP_VIEW_DIGITS);
    check_view("card 4111 1111 1111 1111 ok", "credit-card-number", DLP_VIEW_PLAIN);
    /* Tables, dates and versions are no numbers of cards. */
    check_view("1.0.0.1 4111 2019.11.11 10.0.0.11 7.25", "credit-card-number", -1);
    check_view("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2 3 4 5 6 7 8 9", "credit-card-number", -1);
    check_view("one two and three", "credit-card-number", -1);
}

/* The digits of an escape are no part of the word behind it. */
static void test_beside_escape(void)
{
    static const char key[] = "AKIA"
                              "QYLPMN5HHHFPZAM2";
    char text[128];

    snprintf(text, sizeof(text), "https://wiki.acme.io/find?q=%%20%s&lang=en", key);
    check_view(text, "aws-access-key-id", DLP_VIEW_PERCENT);
    snprintf(text, sizeof(text), "https://wiki.acme.io/find?q=%%20words&lang=en&k=%s", key);
    check_view(text, "aws-access-key-id", DLP_VIEW_PLAIN);
}

static void test_quiet(void)
{
    static const char *const texts[] = {
        "Gr\xC3\xBC\xC3\x9F"
        "e aus M\xC3\xBCnchen, caf\xC3\xA9 cr\xC3\xA8me",
        "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC\xD0\xB8\xD1\x80",
        "https://example.org/a%20b/c?d=e&amp;f=g&amp;and-so-on-and-on=h%2Fh",
        "if (a == 10 && b) return \"\\n\";",
        "\xE4\xB8\xAD\xE6\x96\x87\xE8\xBE\x93\xE5\x85\xA5",
        "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 \xE2\x9D\xA4\xEF\xB8\x8F don\xE2\x80\x99t "
        "\xE2\x80\x94 ok",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct seen s = look(gw_span_str(texts[i]), false);

        if (!CHECK(s.report.n_findings == 0 && s.report.view_bytes == 0 && s.report.cut == 0))
            fprintf(stderr, "  %s\n", texts[i]);
        gw_arena_free(s.arena);
    }
}

/* One value, seen as it stands and in a view, is one finding. */
static void test_once(void)
{
    struct seen s =
        look(GW_SPAN("k " KEY " \xEF\xBC\xA1\xEF\xBC\xA2\xEF\xBC\xA3 %41%42%43 x"), false);

    CHECK(s.report.n_findings == 1 && s.report.findings[0].view == DLP_VIEW_PLAIN);
    CHECK(s.report.view_bytes > 0);
    gw_arena_free(s.arena);
}

/* Digits that are taken apart make a view where some rule would read it: with a checksum. */
static void test_rules(void)
{
    static const struct {
        const char *rule;
        bool view;
    } cases[] = {
        {"- {id: n, title: t, class: pii, severity: low, confidence: 80, type: N, boundary: word,\n"
         "   pattern: '[0-9]{16}', match: [4556737586899855]}\n",
         false},
        {"- {id: n, title: t, class: pii, severity: low, confidence: 80, type: N, boundary: word,\n"
         "   validate: [luhn], pattern: '[0-9]{16}', match: [4556737586899855]}\n",
         true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dlp_rules *r = open_text(cases[i].rule);
        struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
        struct dlp_report report = {0};
        struct dlp_doc *doc = NULL;

        CHECK(r != NULL);
        CHECK(dlp_doc_parse_text(arena, GW_SPAN("number 45-56737586-89985-5 here"), &doc) == GW_OK);
        CHECK(r != NULL && dlp_scan(scanner, r, doc, arena, NULL, &report) == GW_OK);
        CHECK((report.view_bytes > 0) == cases[i].view);
        CHECK(report.n_findings == cases[i].view);
        gw_arena_free(arena);
        dlp_rules_unref(r);
    }
}

/* ---- budgets ----------------------------------------------------------------------------- */

static void test_depth(void)
{
    struct gw_buf a = {0}, b = {0};

    gw_buf_adds(&a, "the key " KEY " of today");
    for (unsigned i = 1; i <= 5; i++) {
        struct gw_buf t;
        struct seen s;

        gw_buf_clear(&b);
        gw_base64(&b, gw_buf_span(&a));
        t = a, a = b, b = t;
        s = look(gw_buf_span(&a), false);
        CHECK((find_rule(&s, "aws-access-key-id") != NULL) == (i <= 3));
        CHECK(s.report.cut == (i <= 3 ? 0 : DLP_CUT_DEPTH));
        gw_arena_free(s.arena);
    }
    gw_buf_fini(&a);
    gw_buf_fini(&b);
}

/* Text that says what is cut, not "nothing found": 8 MiB in 11 KB. */
static void test_bomb(void)
{
    enum { MIB = 8 };
    static unsigned char zeros[1 << 20], z[1 << 17];
    struct gw_buf text = {0};
    z_stream d = {.next_in = NULL};
    unsigned r = 1;
    struct seen s;

    memset(zeros, ' ', sizeof(zeros));
    CHECK(deflateInit(&d, 9) == Z_OK);
    d.next_out = z;
    d.avail_out = sizeof(z);
    for (unsigned i = 0; i < MIB; i++) {
        for (unsigned k = 0; k < 1024; k++) { /* and not the same byte again and again */
            r = r * 1103515245 + 12345;
            zeros[r % sizeof(zeros)] = (unsigned char)('a' + r / 65536 % 26);
        }
        d.next_in = zeros;
        d.avail_in = sizeof(zeros);
        CHECK(deflate(&d, i + 1 == MIB ? Z_FINISH : Z_NO_FLUSH) >= 0);
    }
    gw_base64(&text, (struct gw_span){(const char *)z, sizeof(z) - d.avail_out});
    CHECK(deflateEnd(&d) == Z_OK);
    s = look(gw_buf_span(&text), false);
    CHECK((s.report.cut & DLP_CUT_BYTES) != 0);
    CHECK(s.report.view_bytes <= text.len * 4 + (64 << 10));
    gw_arena_free(s.arena);
    gw_buf_fini(&text);
}

static size_t held(void)
{
    size_t n = 0;

    for (unsigned i = 0; i < VIEW_CHAIN; i++)
        n += scanner->views.chain[i].out.cap + scanner->views.chain[i].places.cap;
    return n;
}

/* CPU time of this program: what others do on the machine is not in it. */
static double seconds(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_times(struct gw_buf *out, const char *piece, size_t len)
{
    while (out->len < len)
        gw_buf_adds(out, piece);
}

/* Much of the worst: time in line with the length, and the memory of views with it. */
static void test_hostile(void)
{
    static const char *const pieces[] = {"%41",
                                         "%2541",
                                         "&#65;",
                                         "\\u0041",
                                         "=41",
                                         "a\xCC\x81",
                                         "\xD0\x90"
                                         "b ",
                                         "\xE2\x80\x8B",
                                         "1-",
                                         "one ",
                                         "QUFB",
                                         "QUFBQUFBQUFBQUFBQUFBQUFBQUFB ",
                                         "4142",
                                         "\xF3\xA0\x81\x81",
                                         "1\xEF\xBC\x91 %41 ",
                                         "\\",
                                         "&",
                                         "%",
                                         "=\n",
                                         "a=\xD0\x90 "};
    for (size_t i = 0; i <= sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct gw_buf text = {0};
        double start, took;
        struct seen s;

        if (i < sizeof(pieces) / sizeof(pieces[0])) {
            add_times(&text, pieces[i], LEN);
        } else { /* base64 of base64 of base64 of base64 */
            struct gw_buf t = {0};

            add_times(&text, "some text ", LEN / 3);
            for (unsigned k = 0; k < 4; k++) {
                gw_buf_clear(&t);
                gw_base64(&t, gw_buf_span(&text));
                gw_buf_clear(&text);
                gw_buf_add(&text, gw_buf_span(&t));
            }
            gw_buf_fini(&t);
        }
        start = seconds();
        s = look(gw_buf_span(&text), false);
        took = seconds() - start;
        if (getenv("SHOW") != NULL)
            printf("%-30.24s %6.1f MB/s, %.2f bytes of views a byte, cut %u, holds %.2f\n",
                   i < sizeof(pieces) / sizeof(pieces[0]) ? pieces[i] : "base64 4 times",
                   (double)text.len / took / 1e6, (double)s.report.view_bytes / (double)text.len,
                   s.report.cut, (double)held() / (double)text.len);
        CHECK(s.report.view_bytes <= text.len * 4 + (64 << 10));
        CHECK(took < 20); /* quadratic would be minutes */
        gw_arena_free(s.arena);
        gw_buf_fini(&text);
    }
}

int main(void)
{
    scanner = dlp_scanner_new();
    test_encodings();
    test_hiding();
    test_digits();
    test_beside_escape();
    test_quiet();
    test_once();
    test_rules();
    test_depth();
    test_bomb();
    test_hostile();
    dlp_scanner_free(scanner);
    return test_done();
}
