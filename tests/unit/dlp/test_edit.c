/* Edits: splices, escaping for depth, merged overlaps, keys, numbers, joined leaves, masks. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "dlp/edit.h"
#include "dlp/vault.h"
#include "tests/unit/dlp/edit_help.h"

/* Edits and compares; the result must be JSON again. */
static bool scene_gives(struct scene *s, const char *want)
{
    struct dlp_doc *again;
    enum gw_status st = scene_edit(s);
    bool ok = CHECK(st == GW_OK) && CHECK(gw_span_is(gw_buf_span(&s->out), want));

    if (!ok)
        fprintf(stderr, "  got  %.*s\n  want %s\n", (int)s->out.len, s->out.ptr, want);
    CHECK(dlp_doc_parse_json(s->arena, gw_buf_span(&s->out), NULL, &again, NULL) == GW_OK);
    return ok;
}

/* One finding of `text` in leaves of that kind and nesting. */
static void one(const char *body, enum dlp_leaf_kind kind, unsigned nesting, const char *text,
                uint32_t rule, enum gw_action action, const char *want)
{
    struct scene s;

    scene_open(&s, gw_span_str(body));
    CHECK(scene_find(&s, kind, nesting, text, rule, action) > 0);
    scene_gives(&s, want);
    scene_close(&s);
}

static void test_redact(void)
{
    one(" {\"a\" : \"my key AKIA1 ok\",\n\"n\":1.0e5}", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET,
        GW_ACTION_REDACT, " {\"a\" : \"my key DLP_AWS_ACCESS_KEY_REDACTED ok\",\n\"n\":1.0e5}");
    one("[\"AKIA1\",\"xAKIA1\"]", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET, GW_ACTION_REDACT,
        "[\"DLP_AWS_ACCESS_KEY_REDACTED\",\"xDLP_AWS_ACCESS_KEY_REDACTED\"]");
    one("[\"x Bob y\"]", DLP_LEAF_STRING, 0, "Bob", R_NAME, GW_ACTION_REDACT,
        "[\"x DLP_PERSON_NAME_REDACTED y\"]");
    /* Actions that do not edit. */
    one("[\"AKIA1\"]", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET, GW_ACTION_ALERT, "[\"AKIA1\"]");
    one("[\"AKIA1\"]", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET, GW_ACTION_BLOCK, "[\"AKIA1\"]");
}

static void test_escapes(void)
{
    /* The value is spelled with escapes; the neighbours' spelling stays. */
    one("[\"\\u0061\\n\\u0041KI\\u00411\\t\\u0062\"]", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET,
        GW_ACTION_REDACT, "[\"\\u0061\\nDLP_AWS_ACCESS_KEY_REDACTED\\t\\u0062\"]");
    one("[\"\\ud83d\\ude00AKIA1\\ud83d\\ude00\"]", DLP_LEAF_STRING, 0, "AKIA1", R_SECRET,
        GW_ACTION_REDACT, "[\"\\ud83d\\ude00DLP_AWS_ACCESS_KEY_REDACTED\\ud83d\\ude00\"]");
    /* A bound inside a character takes all of it: bytes 2 to 3 of a two-byte letter. */
    one("[\"a\\u00e9b\"]", DLP_LEAF_STRING, 0, "\xA9", R_SECRET, GW_ACTION_REDACT,
        "[\"aDLP_AWS_ACCESS_KEY_REDACTEDb\"]");
    one("[\"a\\ud83d\\ude00b\"]", DLP_LEAF_STRING, 0, "a\xF0\x9F", R_SECRET, GW_ACTION_REDACT,
        "[\"DLP_AWS_ACCESS_KEY_REDACTEDb\"]");
}

static void test_nested(void)
{
    static const char body[] =
        "{\"f\":\"{\\\"k\\\":\\\"v AK\\\\u0049A1 \\\\n\\\",\\\"n\\\":4111}\"}";

    one(body, DLP_LEAF_STRING, 1, "AKIA1", R_SECRET, GW_ACTION_REDACT,
        "{\"f\":\"{\\\"k\\\":\\\"v DLP_AWS_ACCESS_KEY_REDACTED \\\\n\\\",\\\"n\\\":4111}\"}");
    one(body, DLP_LEAF_NUMBER, 1, "4111", R_CARD, GW_ACTION_REDACT,
        "{\"f\":\"{\\\"k\\\":\\\"v AK\\\\u0049A1 "
        "\\\\n\\\",\\\"n\\\":\\\"DLP_CARD_REDACTED\\\"}\"}");
    one(body, DLP_LEAF_KEY, 1, "k", R_NAME, GW_ACTION_REDACT,
        "{\"f\":\"{\\\"DLP_PERSON_NAME_REDACTED\\\":\\\"v AK\\\\u0049A1 "
        "\\\\n\\\",\\\"n\\\":4111}\"}");
    /* Found in the outer string only: edited as what it is inside. */
    one(body, DLP_LEAF_STRING, 0, "11", R_CARD, GW_ACTION_REDACT,
        "{\"f\":\"{\\\"k\\\":\\\"v AK\\\\u0049A1 "
        "\\\\n\\\",\\\"n\\\":\\\"DLP_CARD_REDACTED\\\"}\"}");
    one("[\"[\\\"[\\\\\\\"a 4111 b\\\\\\\",4111]\\\"]\"]", DLP_LEAF_NUMBER, 2, "4111", R_CARD,
        GW_ACTION_REDACT,
        "[\"[\\\"[\\\\\\\"a 4111 b\\\\\\\",\\\\\\\"DLP_CARD_REDACTED\\\\\\\"]\\\"]\"]");
    /* Masks keep separators, which then need their escapes. */
    one("[\"[\\\"ab\\\\\\\"cd\\\\\\\\ef\\\\n\\\"]\"]", DLP_LEAF_STRING, 1, "b\"cd\\e", R_NAME,
        GW_ACTION_MASK, "[\"[\\\"a*\\\\\\\"**\\\\\\\\*f\\\\n\\\"]\"]");
}

static void test_keys_and_numbers(void)
{
    one("{\"bob@x.org\":1}", DLP_LEAF_KEY, 0, "x.org", R_EMAIL, GW_ACTION_REDACT,
        "{\"DLP_EMAIL_REDACTED\":1}");
    one("{\"bob@x.org\":1,\"eve@x.org\":2}", DLP_LEAF_KEY, 0, "x.org", R_EMAIL, GW_ACTION_MASK,
        "{\"DLP_EMAIL_REDACTED\":1,\"DLP_EMAIL_REDACTED_2\":2}");
    one("[-4111111111111111]", DLP_LEAF_NUMBER, 0, "4111", R_CARD, GW_ACTION_MASK,
        "[\"-************1111\"]");
}

static void test_merge(void)
{
    struct scene s;

    scene_open(&s, GW_SPAN("[\"0123456789abcdef\"]"));
    scene_add(&s, 0, 8, 12, R_EMAIL, GW_ACTION_MASK);
    scene_add(&s, 0, 2, 6, R_NAME, GW_ACTION_MASK);
    scene_add(&s, 0, 5, 9, R_SECRET, GW_ACTION_REDACT);
    scene_gives(&s, "[\"01DLP_AWS_ACCESS_KEY_REDACTEDcdef\"]");
    scene_close(&s);
    /* Touching is not overlapping. */
    scene_open(&s, GW_SPAN("[\"0123456789abcdef\"]"));
    scene_add(&s, 0, 2, 6, R_NAME, GW_ACTION_REDACT);
    scene_add(&s, 0, 6, 9, R_EMAIL, GW_ACTION_REDACT);
    scene_gives(&s, "[\"01DLP_PERSON_NAME_REDACTEDDLP_EMAIL_REDACTED9abcdef\"]");
    scene_close(&s);
    /* A string and the JSON in it: one edit, at the right depth, over all that was found. */
    scene_open(&s, GW_SPAN("[\"{\\\"k\\\":\\\"secret\\\"}\"]"));
    CHECK(scene_find(&s, DLP_LEAF_STRING, 0, "k\":\"secret", R_SECRET, GW_ACTION_REDACT) == 1);
    CHECK(scene_find(&s, DLP_LEAF_STRING, 1, "secret", R_SECRET, GW_ACTION_TOKENIZE) == 1);
    scene_gives(&s, "[\"{\\\"DLP_AWS_ACCESS_KEY_REDACTED\\\"}\"]");
    CHECK(dlp_vault_count(s.vault) == 0);
    scene_close(&s);
}

static void test_joined(void)
{
    struct scene s;
    static const char body[] = "{\"content\":[{\"text\":\"key: AKIA\"},{\"text\":\"12\\u00334\"},"
                               "{\"text\":\"5 more\"}]}";

    scene_open(&s, GW_SPAN(body));
    CHECK(scene_find(&s, DLP_LEAF_JOINED, 0, "AKIA12345", R_SECRET, GW_ACTION_TOKENIZE) == 1);
    CHECK(scene_edit(&s) == GW_OK);
    CHECK(dlp_vault_count(s.vault) == 1);
    CHECK(gw_span_is(dlp_vault_at(s.vault, 0)->value, "AKIA12345"));
    s.actions[0] = GW_ACTION_REDACT;
    scene_gives(&s, "{\"content\":[{\"text\":\"key: DLP_AWS_ACCESS_KEY_REDACTED\"},{\"text\":\"\"},"
                    "{\"text\":\" more\"}]}");
    /* One more finding that reaches over the end of the last part. */
    scene_add(&s, 6, 0, 4, R_NAME, GW_ACTION_REDACT);
    scene_gives(&s, "{\"content\":[{\"text\":\"key: DLP_AWS_ACCESS_KEY_REDACTED\"},{\"text\":\"\"},"
                    "{\"text\":\"DLP_PERSON_NAME_REDACTEDre\"}]}");
    scene_close(&s);
}

static void test_tokenize(void)
{
    struct scene s;
    struct gw_span p1, p2;

    scene_open(&s, GW_SPAN("[\"a@x.org b@x.org a@x.org\"]"));
    scene_find(&s, DLP_LEAF_STRING, 0, "a@x.org", R_EMAIL, GW_ACTION_TOKENIZE);
    scene_find(&s, DLP_LEAF_STRING, 0, "b@x.org", R_EMAIL, GW_ACTION_TOKENIZE);
    CHECK(scene_edit(&s) == GW_OK && dlp_vault_count(s.vault) == 2);
    p1 = dlp_vault_at(s.vault, 0)->placeholder;
    p2 = dlp_vault_at(s.vault, 1)->placeholder;
    CHECK(p1.len == 18 && p2.len == 18 && !gw_span_eq(p1, p2));
    CHECK(s.out.len == 4 + 2 + 3 * 18);
    CHECK(memcmp(s.out.ptr + 2, s.out.ptr + 40, 18) == 0);
    CHECK(memcmp(s.out.ptr + 2, s.out.ptr + 21, 18) != 0);
    CHECK(dlp_doc_edit(s.doc, NULL, &s.report, s.actions, NULL, &s.out) == GW_EINVAL);
    scene_close(&s);
}

/* Placeholders of our types are not hidden again; look-alikes are. */
static void test_placeholders_stay(void)
{
    one("[\"x DLP_EMAIL_ABCDEFG7 y\"]", DLP_LEAF_STRING, 0, "DLP_EMAIL_ABCDEFG7", R_SECRET,
        GW_ACTION_REDACT, "[\"x DLP_EMAIL_ABCDEFG7 y\"]");
    one("[\"DLP_PERSON_NAME_REDACTED\"]", DLP_LEAF_STRING, 0, "DLP_PERSON_NAME_REDACTED", R_SECRET,
        GW_ACTION_REDACT, "[\"DLP_PERSON_NAME_REDACTED\"]");
    one("[\"DLP_MINE_ABCDEFG7\"]", DLP_LEAF_STRING, 0, "DLP_MINE_ABCDEFG7", R_EMAIL,
        GW_ACTION_REDACT, "[\"DLP_EMAIL_REDACTED\"]");
    one("[\"DLP_EMAIL_ABCDEFG1\"]", DLP_LEAF_STRING, 0, "DLP_EMAIL_ABCDEFG1", R_EMAIL,
        GW_ACTION_REDACT, "[\"DLP_EMAIL_REDACTED\"]");
    one("[\"DLP_EMAIL_ABCDEFG7H\"]", DLP_LEAF_STRING, 0, "DLP_EMAIL_ABCDEFG7H", R_EMAIL,
        GW_ACTION_REDACT, "[\"DLP_EMAIL_REDACTED\"]");
}

static void test_mask(void)
{
    static const struct {
        const char *value, *want;
        bool whole;
    } cases[] = {
        {"4111 1111 1111 1111", "**** **** **** 1111", false},
        {"4111-1111-11", "****-****-**", false},
        {"123456789012", "********9012", false},
        {"alice@example.com", "*****@******e.com", false},
        {"\xC3\xA9\xC3\xA8"
         "ab",
         "****", false},
        {"", "", false},
        {"a-b c", "*****", true},
        {"a\xFF", "**", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_buf b = {0};

        dlp_mask(&b, gw_span_str(cases[i].value), cases[i].whole);
        if (!CHECK(gw_span_is(gw_buf_span(&b), cases[i].want)))
            fprintf(stderr, "  %s\n", b.ptr);
        gw_buf_fini(&b);
    }
    one("[\"AKIA-1234567890\"]", DLP_LEAF_STRING, 0, "AKIA-1234567890", R_SECRET, GW_ACTION_MASK,
        "[\"***************\"]");
}

static void test_text_leaf(void)
{
    struct scene s;

    scene_open(&s, GW_SPAN("0"));
    CHECK(dlp_doc_parse_text(s.arena, GW_SPAN("q=\"AKIA1\"\n"), &s.doc) == GW_OK);
    s.leaves = doc_help_all(s.doc, &s.n_leaves);
    scene_find(&s, DLP_LEAF_TEXT, 0, "AKIA1", R_SECRET, GW_ACTION_REDACT);
    CHECK(scene_edit(&s) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&s.out), "q=\"DLP_AWS_ACCESS_KEY_REDACTED\"\n"));
    scene_close(&s);
}

/* ---- properties -------------------------------------------------------------------------- */

static uint32_t seed = 99;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void random_string(struct gw_buf *b, int depth)
{
    static const char *const bits[] = {
        "a", "Z", "\n", "\"", "\\", " ", "\xC3\xA9", "\xF0\x9F\x98\x80", "\x01", "/"};
    uint32_t n = rnd(12);

    if (depth < 3 && rnd(3) == 0) {
        gw_buf_addc(b, '[');
        for (uint32_t i = 0; i < 3; i++) {
            struct gw_buf in = {0};

            random_string(&in, depth + 1);
            if (i != 0)
                gw_buf_addc(b, ',');
            gw_buf_add_json_str(b, gw_buf_span(&in));
            gw_buf_fini(&in);
        }
        gw_buf_adds(b, ",12345]");
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        gw_buf_adds(b, bits[rnd(10)]);
}

/* Random bodies with random findings: the result parses, and every byte outside of the findings' leaves
 * is the byte that came. */
static void test_random(void)
{
    for (int round = 0; round < 3000; round++) {
        struct gw_buf body = {0}, text = {0};
        struct scene s;
        struct dlp_doc *again;
        uint32_t lo = UINT32_MAX, hi = 0;

        gw_buf_adds(&body, "{\"first\":[1,true], \"c\":[");
        for (int i = 0; i < 3; i++) {
            gw_buf_clear(&text);
            random_string(&text, 0);
            gw_buf_adds(&body, i == 0 ? "{\"text\":" : ",{\"text\":");
            gw_buf_add_json_str(&body, gw_buf_span(&text));
            gw_buf_adds(&body, "}");
        }
        gw_buf_adds(&body, "] , \"last\":null}");
        scene_open(&s, gw_buf_span(&body));
        for (int i = 0; i < 4; i++) {
            uint32_t leaf = rnd(s.n_leaves);
            const struct dlp_leaf *l = &s.leaves[leaf];
            uint32_t a, b;

            if (l->text.len == 0)
                continue;
            a = rnd((uint32_t)l->text.len);
            b = a + 1 + rnd((uint32_t)l->text.len - a);
            scene_add(&s, leaf, a, b, rnd(R_COUNT), (enum gw_action)(GW_ACTION_MASK + (int)rnd(3)));
            lo = l->raw_start < lo ? l->raw_start : lo;
            hi = l->raw_end > hi ? l->raw_end : hi;
        }
        CHECK(scene_edit(&s) == GW_OK);
        if (!CHECK(dlp_doc_parse_json(s.arena, gw_buf_span(&s.out), NULL, &again, NULL) == GW_OK))
            fprintf(stderr, "  %s\n  %s\n", body.ptr, s.out.ptr);
        if (s.report.n_findings != 0) {
            CHECK(memcmp(body.ptr, s.out.ptr, lo) == 0);
            CHECK(memcmp(body.ptr + hi, s.out.ptr + s.out.len - (body.len - hi), body.len - hi) ==
                  0);
        } else {
            CHECK(gw_span_eq(gw_buf_span(&body), gw_buf_span(&s.out)));
        }
        scene_close(&s);
        gw_buf_fini(&body);
        gw_buf_fini(&text);
    }
}

int main(void)
{
    test_redact();
    test_escapes();
    test_nested();
    test_keys_and_numbers();
    test_merge();
    test_joined();
    test_tokenize();
    test_placeholders_stay();
    test_mask();
    test_text_leaf();
    test_random();
    return test_done();
}
