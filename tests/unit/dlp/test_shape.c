/* Stand-ins: of the value's kind, nobody's, told from what was there, and put back however the text is cut. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/shape.h"
#include "dlp/validate.h"
#include "dlp/vault.h"
#include "dlp/words.h"
#include "tests/test.h"
#include "tests/unit/dlp/doc_help.h"

static struct dlp_rule_info rules[] = {
    {.id = "email", .type = "EMAIL", .class_ = GW_CLASS_PII},
    {.id = "phone", .type = "PHONE", .class_ = GW_CLASS_PII},
    {.id = "card", .type = "CREDIT_CARD", .class_ = GW_CLASS_FINANCIAL},
    {.id = "id", .type = "NATIONAL_ID", .class_ = GW_CLASS_PII},
    {.id = "birth", .type = "DATE_OF_BIRTH", .class_ = GW_CLASS_PII},
    {.id = "net", .type = "IP_ADDRESS", .class_ = GW_CLASS_PII},
    {.id = "iban", .type = "IBAN", .class_ = GW_CLASS_FINANCIAL},
    {.id = "name", .type = "PERSON_NAME", .class_ = GW_CLASS_PII},
};
enum { EMAIL, PHONE, CARD, ID, BIRTH, NET, IBAN, NAME, N_RULES };

unsigned dlp_rules_count(const struct dlp_rules *r)
{
    (void)r;
    return N_RULES;
}

const struct dlp_rule_info *dlp_rules_info(const struct dlp_rules *r, unsigned i)
{
    (void)r;
    return &rules[i];
}

static uint64_t seed = 20260101;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* ---- one stand-in --------------------------------------------------------------------------- */

static enum dlp_shape make(const char *value, unsigned rule, uint64_t random, struct gw_buf *out)
{
    const struct dlp_shape_draw d = {.random = random, .days = 1 + (unsigned)(random % 3650)};

    gw_buf_clear(out);
    return dlp_shape_make(gw_span_str(value), rules[rule].type, &d, out);
}

static bool luhn(const char *s)
{
    unsigned sum = 0, n = 0;

    for (size_t i = strlen(s); i-- > 0;) {
        unsigned d = (unsigned)(s[i] - '0');

        if (!isdigit((unsigned char)s[i]))
            continue;
        if (n++ % 2 == 1)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

/* The same letters, digits and separators at the same places. */
static bool alike(const char *a, const char *b)
{
    size_t n = strlen(a);
    bool same = n == strlen(b);

    for (size_t i = 0; same && i < n; i++) {
        if (isdigit((unsigned char)a[i]))
            same = isdigit((unsigned char)b[i]) != 0;
        else if (isalpha((unsigned char)a[i]))
            same = isalpha((unsigned char)b[i]) != 0;
        else
            same = a[i] == b[i];
    }
    return same;
}

static bool accepts(const char *validator, const char *value)
{
    const struct dlp_validator *v = dlp_validator_find(validator);
    const struct dlp_validate_in in = {.text = gw_span_str(value),
                                       .end = strlen(value),
                                       .match_end = strlen(value),
                                       .num = v->default_num};

    return v->validate(&in) != DLP_VALIDATE_REJECT;
}

static void test_kinds(void)
{
    struct gw_buf b = {0};

    for (uint64_t r = 1; r < 400; r++) {
        CHECK(make("jane.doe+x@corp.example.org", EMAIL, r * 77777, &b) == DLP_SHAPE_MADE &&
              b.len == 26 && gw_span_ends(gw_buf_span(&b), GW_SPAN("@example.invalid")));
        CHECK(make("4111 1111 1111 1111", CARD, r, &b) == DLP_SHAPE_MADE &&
              alike(b.ptr, "4111 1111 1111 1111") && !luhn(b.ptr) && !accepts("card", b.ptr));
        CHECK(make("10.20.30.40", NET, r, &b) == DLP_SHAPE_MADE &&
              (gw_span_starts(gw_buf_span(&b), GW_SPAN("192.0.2.")) ||
               gw_span_starts(gw_buf_span(&b), GW_SPAN("198.51.100.")) ||
               gw_span_starts(gw_buf_span(&b), GW_SPAN("203.0.113."))));
        CHECK(make("fe80::1:2ff:fe33:9", NET, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("2001:db8:")) && b.len == 9 + 29);
        CHECK(make("3c-22-fb-01-02-03", NET, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("00-00-5E-00-53-")) && b.len == 17);
        CHECK(make("DE44 5001 0517 5407 3249 31", IBAN, r, &b) == DLP_SHAPE_MADE &&
              alike(b.ptr, "DE44 5001 0517 5407 3249 31") && !accepts("iban", b.ptr));
    }
    gw_buf_fini(&b);
}

static void test_phones(void)
{
    struct gw_buf b = {0};

    for (uint64_t r = 1; r < 400; r++) {
        CHECK(make("+1 (415) 867-2671", PHONE, r, &b) == DLP_SHAPE_MADE &&
              memcmp(b.ptr + 2, " (", 2) == 0 && memcmp(b.ptr + 7, ") 555-01", 8) == 0);
        CHECK(make("415-867-2671", PHONE, r, &b) == DLP_SHAPE_MADE &&
              memcmp(b.ptr + 3, "-555-01", 7) == 0 && b.ptr[0] >= '2' && b.ptr[1] != '9' &&
              memcmp(b.ptr + 1, "11", 2) != 0);
        CHECK(make("+44 7911 123456", PHONE, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("+44 7700 900")));
        CHECK(make("+44 20 8123 4567", PHONE, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("+44 20 7946 0")));
        CHECK(make("+4915112345678", NAME, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("+999")) && b.len == 14);
        CHECK(make("030 1234567", PHONE, r, &b) == DLP_SHAPE_MADE &&
              gw_span_starts(gw_buf_span(&b), GW_SPAN("000 ")) && b.len == 11);
    }
    gw_buf_fini(&b);
}

/* A day of the calendar, earlier, and the time between two of them as it was. */
static void test_dates(void)
{
    static const char *const dates[] = {"1980-05-17", "17.05.1980", "5.6.1980",  "05/17/1980",
                                        "05/06/1980", "29.02.2024", "2024/2/29", "1980-05-18"};
    struct gw_buf b = {0};

    for (uint64_t r = 1; r < 4000; r++)
        for (unsigned i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
            CHECK(make(dates[i], BIRTH, r, &b) == DLP_SHAPE_MADE && accepts("date", b.ptr));
    CHECK(make("19800517", BIRTH, 5, &b) == DLP_SHAPE_MADE && b.len == 8);
    CHECK(make("1980-03-01", BIRTH, 0, &b) == DLP_SHAPE_MADE &&
          gw_span_is(gw_buf_span(&b), "1980-02-29"));
    CHECK(make("1981-01-01", BIRTH, 0, &b) == DLP_SHAPE_MADE &&
          gw_span_is(gw_buf_span(&b), "1980-12-31"));
    CHECK(make("1981-01-01", BIRTH, 364, &b) == DLP_SHAPE_MADE &&
          gw_span_is(gw_buf_span(&b), "1980-01-02"));
    CHECK(make("05/06/1980", BIRTH, 31, &b) == DLP_SHAPE_MADE && strtol(b.ptr + 3, NULL, 10) <= 12);
    /* What cannot be kept a date is not made a number either. */
    CHECK(make("17.05.80", BIRTH, 3, &b) == DLP_SHAPE_NONE);
    CHECK(make("1980-13-01", BIRTH, 3, &b) == DLP_SHAPE_NONE);
    CHECK(make("0900-01-01", BIRTH, 3, &b) == DLP_SHAPE_NONE);
    gw_buf_fini(&b);
}

/* Numbers that pass a checksum get others that fail it. */
static void test_codes(void)
{
    static const char *const ids[] = {"86095742719", "2234 5678 9012", "X1234567L",
                                      "44051401359", "123-45-6788",    "0123456789"};
    const char *was[64], *is[64];
    struct gw_buf b = {0};
    unsigned made = 0;

    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (uint64_t r = 1; r < 200; r++) {
            unsigned n, k;

            if (make(ids[i], ID, r * 7919, &b) != DLP_SHAPE_MADE)
                continue;
            made++;
            n = dlp_id_systems(gw_span_str(ids[i]), was, 64);
            k = dlp_id_systems(gw_buf_span(&b), is, 64);
            CHECK(alike(ids[i], b.ptr) && (b.ptr[0] == '0') == (ids[i][0] == '0'));
            for (unsigned x = 0; x < n; x++)
                for (unsigned y = 0; y < k; y++)
                    CHECK(was[x] != is[y]);
        }
    }
    CHECK(made > 400);
    CHECK(make("Jane Doe", NAME, 1, &b) == DLP_SHAPE_NONE);
    CHECK(make("12345", ID, 1, &b) == DLP_SHAPE_NONE);
    CHECK(make("a\"1234567", ID, 1, &b) == DLP_SHAPE_NONE);
    CHECK(make("1234567\xC3\xA9", ID, 1, &b) == DLP_SHAPE_NONE);
    gw_buf_fini(&b);
}

/* ---- words ---------------------------------------------------------------------------------- */

static void test_words(void)
{
    struct dlp_words w;
    unsigned known = 0;
    char word[16];

    CHECK(dlp_words_init(&w, 30000));
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(word, sizeof(word), "w%u", i * 2);
        dlp_words_add(&w, gw_span_str(word));
    }
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(word, sizeof(word), "(W%u) w%u", i * 2, i);
        CHECK(i % 2 != 0 || dlp_words_has_all(&w, gw_span_str(word)));
        snprintf(word, sizeof(word), "w%u", i * 2 + 1);
        known += dlp_words_has_all(&w, gw_span_str(word));
    }
    CHECK(known < 400); /* two bits of eight words' room: one in sixty */
    CHECK(dlp_words_has_all(&w, GW_SPAN(" -- ")));
    dlp_words_fini(&w);
}

/* ---- round trips ---------------------------------------------------------------------------- */

/* A body of random words, values and what looks like stand-ins, with a finding for each value. */
struct trip {
    struct gw_arena *arena;
    struct gw_buf body, out;
    struct dlp_doc *doc;
    struct dlp_finding findings[200];
    enum gw_action actions[200];
    uint8_t styles[200];
    struct dlp_report report;
    struct dlp_vault *vault;
};

static void put_value(struct gw_buf *b, unsigned rule)
{
    switch (rule) {
    case EMAIL:
        gw_buf_printf(b, "p%u@corp%u.org", pick(30), pick(3));
        break;
    case PHONE:
        gw_buf_printf(b, pick(2) ? "+49 151 %07u" : "(415) 867-%04u", pick(5000) + 1000);
        break;
    case CARD:
        gw_buf_printf(b, "4111-1111-%04u-%04u", pick(20), pick(3));
        break;
    case BIRTH:
        gw_buf_printf(b, "%u-%02u-%02u", 1950 + pick(60), 1 + pick(12), 1 + pick(28));
        break;
    case NET:
        gw_buf_printf(b, "10.0.%u.%u", pick(4), pick(20));
        break;
    case ID:
        gw_buf_printf(b, "%u", 100000000 + pick(50));
        break;
    case NAME:
        gw_buf_printf(b, "Ann \"Q\" O'%c", (char)('A' + pick(9)));
        break;
    default:
        gw_buf_printf(b, "DE44 5001 0517 5407 32%02u %02u", pick(10), pick(3));
        break;
    }
}

/* What may stand around a value: also things that touch it, and stand-ins that are no one's. */
static void put_noise(struct gw_buf *b)
{
    static const char *const noise[] = {" ",  "\n",       ", ",        "x",           "7",
                                        "\\", "\xC3\xA9", "\"",        " 192.0.2.",   " 555-01",
                                        "@",  " 9999 ",   " 2001:db8", " DLP_EMAIL_ "};

    gw_buf_adds(b, noise[pick(sizeof(noise) / sizeof(noise[0]))]);
    if (pick(3) == 0)
        gw_buf_printf(b, "203.0.113.%u ", pick(256));
}

/* Content, then the arguments of a tool as JSON in a string, then a number. */
static void write_body(struct trip *t, struct gw_buf values[], unsigned n)
{
    struct gw_buf text = {0}, args = {0};

    for (unsigned i = 0; i < n; i++) {
        put_noise(&text);
        gw_buf_add(&text, gw_buf_span(&values[i]));
        put_noise(&text);
    }
    gw_buf_adds(&args, "{\"a\":");
    gw_buf_add_json_str(&args, gw_buf_span(&text));
    gw_buf_adds(&args, ",\"n\":100000007}");
    gw_buf_adds(&t->body, "{\"content\":");
    gw_buf_add_json_str(&t->body, gw_buf_span(&text));
    gw_buf_adds(&t->body, ",\"arguments\":");
    gw_buf_add_json_str(&t->body, gw_buf_span(&args));
    gw_buf_adds(&t->body, ",\"id\":100000007}");
    gw_buf_fini(&text);
    gw_buf_fini(&args);
}

static void find_all(struct trip *t, struct gw_span value, unsigned rule)
{
    unsigned n;
    const struct dlp_leaf *leaves = doc_help_leaves(t->doc, &n);

    for (unsigned i = 0; i < n; i++) {
        if (leaves[i].kind == DLP_LEAF_JOINED)
            continue;
        for (size_t at = 0; at + value.len <= leaves[i].text.len && t->report.n_findings < 200;
             at++)
            if (memcmp(leaves[i].text.ptr + at, value.ptr, value.len) == 0) {
                unsigned k = t->report.n_findings++;

                t->findings[k] = (struct dlp_finding){.rule = rule,
                                                      .leaf = i,
                                                      .start = (uint32_t)at,
                                                      .end = (uint32_t)(at + value.len),
                                                      .confidence = 90};
                t->actions[k] = GW_ACTION_TOKENIZE;
                /* A number's name is a string, and comes back as one. */
                t->styles[k] = rule == ID || pick(8) != 0;
                at += value.len - 1;
            }
    }
}

static void feed_in_pieces(const struct dlp_vault *v, unsigned nesting, struct gw_span text,
                           struct gw_span want, unsigned longest)
{
    struct dlp_restorer *r = dlp_restorer_new(v, nesting);
    struct gw_buf out = {0};

    for (size_t at = 0; at < text.len;) {
        size_t n = 1 + pick(longest);

        n = n < text.len - at ? n : text.len - at;
        CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr + at, n}, &out) == GW_OK);
        at += n;
    }
    CHECK(dlp_restorer_finish(r, &out) == GW_OK);
    if (!CHECK(gw_span_eq(gw_buf_span(&out), want)))
        fprintf(stderr, "  of %.*s\n  got  %.*s\n  want %.*s\n", (int)text.len, text.ptr,
                (int)out.len, out.ptr, (int)want.len, want.ptr);
    gw_buf_fini(&out);
    dlp_restorer_free(r);
}

static struct gw_span leaf_of(const struct dlp_doc *doc, const char *key)
{
    unsigned n;
    const struct dlp_leaf *leaves = doc_help_leaves(doc, &n);

    for (unsigned i = 0; i < n; i++)
        if (leaves[i].kind == DLP_LEAF_STRING && leaves[i].nesting == 0 &&
            gw_span_is(leaves[i].key, key))
            return leaves[i].text;
    return (struct gw_span){NULL, 0};
}

static unsigned shaped, named;

static void check_trip(struct trip *t)
{
    struct gw_buf back = {0};
    struct dlp_doc *after;
    unsigned n;

    CHECK(dlp_vault_avoid(t->vault, (const struct dlp_doc *const *)&t->doc, 1) == GW_OK);
    CHECK(dlp_doc_edit_styled(t->doc, NULL, &t->report, t->actions, t->styles, t->vault, &t->out) ==
          GW_OK);
    CHECK(dlp_restore_json(t->vault, gw_buf_span(&t->out), &back, &n) == GW_OK);
    if (!CHECK(gw_span_eq(gw_buf_span(&back), gw_buf_span(&t->body))))
        fprintf(stderr, "  body %s\n  sent %s\n  back %s\n", t->body.ptr, t->out.ptr, back.ptr);
    if (CHECK(dlp_doc_parse_json(t->arena, gw_buf_span(&t->out), NULL, &after, NULL) == GW_OK)) {
        for (unsigned i = 0; i < 3; i++) {
            feed_in_pieces(t->vault, 0, leaf_of(after, "content"), leaf_of(t->doc, "content"),
                           1 + 6 * i);
            feed_in_pieces(t->vault, 1, leaf_of(after, "arguments"), leaf_of(t->doc, "arguments"),
                           1 + 6 * i);
        }
    }
    for (unsigned i = 0; i < dlp_vault_count(t->vault); i++) {
        const struct dlp_vault_entry *e = dlp_vault_at(t->vault, i);

        shaped += e->shaped;
        named += !e->shaped;
        CHECK(e->shaped == dlp_vault_is_shape(t->vault, e->placeholder));
    }
    gw_buf_fini(&back);
}

static void one_trip(void)
{
    enum { MOST = 8 };
    struct trip *t = calloc(1, sizeof(*t));
    struct gw_buf values[MOST] = {{0}};
    unsigned rule[MOST], n = 1 + pick(MOST);

    t->arena = gw_arena_new((size_t)8 << 20);
    t->vault = dlp_vault_new(GW_SPAN("somebody's"));
    t->report.findings = t->findings;
    for (unsigned i = 0; i < n; i++) {
        rule[i] = pick(N_RULES);
        put_value(&values[i], rule[i]);
    }
    write_body(t, values, n);
    if (CHECK(dlp_doc_parse_json(t->arena, gw_buf_span(&t->body), NULL, &t->doc, NULL) == GW_OK)) {
        for (unsigned i = 0; i < n; i++)
            find_all(t, gw_buf_span(&values[i]), rule[i]);
        find_all(t, GW_SPAN("100000007"), ID);
        check_trip(t);
    }
    for (unsigned i = 0; i < n; i++)
        gw_buf_fini(&values[i]);
    gw_buf_fini(&t->body);
    gw_buf_fini(&t->out);
    dlp_vault_free(t->vault);
    gw_arena_free(t->arena);
    free(t);
}

static void test_round_trips(void)
{
    for (unsigned i = 0; i < TEST_DRAWS(3000); i++)
        one_trip();
    CHECK(shaped > named && named > 100);
}

/* ---- the vault ------------------------------------------------------------------------------ */

static struct dlp_vault *vault_avoiding(struct gw_arena *arena, const char *text)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct dlp_doc *doc;

    CHECK(dlp_doc_parse_text(arena, gw_span_str(text), &doc) == GW_OK);
    CHECK(dlp_vault_avoid(v, (const struct dlp_doc *const *)&doc, 1) == GW_OK);
    return v;
}

/* The same for the same key, whatever else is there; another one when it stands in the text. */
static void test_deterministic(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct dlp_vault *v = vault_avoiding(arena, "some words"), *w = vault_avoiding(arena, "others");
    struct dlp_vault *x = dlp_vault_new(GW_SPAN("key"));
    struct gw_span a, b, c;
    char text[100];

    CHECK(dlp_vault_put_shape(x, "EMAIL", GW_SPAN("a@b.org"), &a) == GW_EINVAL);
    CHECK(dlp_vault_put_shape(v, "EMAIL", GW_SPAN("a@b.org"), &a) == GW_OK);
    CHECK(dlp_vault_put_shape(w, "CARD", GW_SPAN("4111111111111111"), &b) == GW_OK);
    CHECK(dlp_vault_put_shape(w, "EMAIL", GW_SPAN("a@b.org"), &b) == GW_OK && gw_span_eq(a, b));
    CHECK(dlp_vault_put_shape(w, "EMAIL", GW_SPAN("a@b.org"), &c) == GW_OK && c.ptr == b.ptr);
    CHECK(dlp_vault_put_shape(w, "PERSON", GW_SPAN("Jane"), &c) == GW_ENOENT);
    snprintf(text, sizeof(text), "Is %.*s mine?", (int)a.len, a.ptr);
    dlp_vault_free(w);
    w = vault_avoiding(arena, text);
    CHECK(dlp_vault_put_shape(w, "EMAIL", GW_SPAN("a@b.org"), &b) == GW_OK && !gw_span_eq(a, b));
    dlp_vault_free(v);
    dlp_vault_free(w);
    dlp_vault_free(x);
    gw_arena_free(arena);
}

/* More addresses than there are to stand in for them: the rest has none. */
static void test_used_up(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct dlp_vault *v = vault_avoiding(arena, "nothing");
    unsigned n = 0;
    char value[32];

    for (unsigned i = 0; i < 2000; i++) {
        struct gw_span p;
        enum gw_status st;

        snprintf(value, sizeof(value), "10.1.%u.%u", i / 250, i % 250);
        st = dlp_vault_put_shape(v, "IP", gw_span_str(value), &p);
        CHECK(st == GW_OK || st == GW_ENOENT);
        n += st == GW_OK;
    }
    CHECK(n > 600 && n <= 762 && dlp_vault_count(v) == n);
    dlp_vault_free(v);
    gw_arena_free(arena);
}

/* A word that goes on, or went before, makes it another one's. */
static void test_borders(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct dlp_vault *v = vault_avoiding(arena, "nothing");
    struct gw_buf text = {0}, want = {0};
    struct gw_span p;

    CHECK(dlp_vault_put_shape(v, "ID", GW_SPAN("100000007"), &p) == GW_OK);
    gw_buf_printf(&text, "%.*s 0%.*s %.*s1 x%.*s (%.*s)-%.*s", (int)p.len, p.ptr, (int)p.len, p.ptr,
                  (int)p.len, p.ptr, (int)p.len, p.ptr, (int)p.len, p.ptr, (int)p.len, p.ptr);
    gw_buf_printf(&want, "100000007 0%.*s %.*s1 x%.*s (100000007)-100000007", (int)p.len, p.ptr,
                  (int)p.len, p.ptr, (int)p.len, p.ptr);
    for (unsigned i = 0; i < 200; i++)
        feed_in_pieces(v, i % 2, gw_buf_span(&text), gw_buf_span(&want), 1 + i % 20);
    /* In JSON: an escape is a character. */
    gw_buf_clear(&text);
    gw_buf_clear(&want);
    gw_buf_printf(&text, "\\n%.*s\\n \\u00e9%.*s \\u0041%.*s \\\\n%.*s", (int)p.len, p.ptr,
                  (int)p.len, p.ptr, (int)p.len, p.ptr, (int)p.len, p.ptr);
    gw_buf_printf(&want, "\\n100000007\\n \\u00e9100000007 \\u0041%.*s \\\\n%.*s", (int)p.len,
                  p.ptr, (int)p.len, p.ptr);
    for (unsigned i = 0; i < 200; i++)
        feed_in_pieces(v, 1, gw_buf_span(&text), gw_buf_span(&want), 1 + i % 20);
    gw_buf_fini(&text);
    gw_buf_fini(&want);
    dlp_vault_free(v);
    gw_arena_free(arena);
}

int main(void)
{
    test_kinds();
    test_phones();
    test_dates();
    test_codes();
    test_words();
    test_deterministic();
    test_used_up();
    test_borders();
    test_round_trips();
    return test_done();
}
