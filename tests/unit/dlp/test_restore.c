/* Restoring: streams cut everywhere, what models do to placeholders, whole bodies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dlp/edit.h"
#include "dlp/vault.h"
#include "tests/unit/dlp/edit_help.h"

static struct dlp_vault *vault;
static struct gw_span p_email, p_key, p_odd;

#define ODD "q\"\\\n\xF0\x9F\x98\x80"

static void fill(void)
{
    vault = dlp_vault_new(GW_SPAN("k"));
    CHECK(dlp_vault_put(vault, "EMAIL", GW_SPAN("bob@x.org"), &p_email) == GW_OK);
    CHECK(dlp_vault_put(vault, "AWS_ACCESS_KEY", GW_SPAN("AKIA1234"), &p_key) == GW_OK);
    CHECK(dlp_vault_put(vault, "EMAIL", GW_SPAN(ODD), &p_odd) == GW_OK);
}

/* Feeds text cut at a and b and compares. */
static bool restores(const struct dlp_vault *v, unsigned nesting, struct gw_span text, size_t a,
                     size_t b, struct gw_span want)
{
    struct dlp_restorer *r = dlp_restorer_new(v, nesting);
    struct gw_buf out = {0};
    bool ok;

    CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr, a}, &out) == GW_OK);
    CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr + a, b - a}, &out) == GW_OK);
    CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr + b, text.len - b}, &out) == GW_OK);
    CHECK(dlp_restorer_finish(r, &out) == GW_OK);
    ok = gw_span_eq(gw_buf_span(&out), want);
    if (!ok)
        fprintf(stderr, "  cut at %zu, %zu of '%.*s': got '%.*s'\n", a, b, (int)text.len, text.ptr,
                (int)out.len, out.ptr);
    gw_buf_fini(&out);
    dlp_restorer_free(r);
    return ok;
}

/* The text, with {e}, {k}, {o} for placeholders, at every pair of cuts, and one byte at a time. */
static void everywhere(unsigned nesting, const char *template, const char *want)
{
    struct gw_buf t = {0}, out = {0};
    struct dlp_restorer *r = dlp_restorer_new(vault, nesting);

    for (const char *p = template; *p != '\0'; p++) {
        if (p[0] == '{' && p[1] != '\0' && p[2] == '}') {
            gw_buf_add(&t, p[1] == 'e' ? p_email : p[1] == 'k' ? p_key : p_odd);
            p += 2;
        } else {
            gw_buf_addc(&t, *p);
        }
    }
    for (size_t a = 0; a <= t.len; a++)
        for (size_t b = a; b <= t.len; b++)
            CHECK(restores(vault, nesting, gw_buf_span(&t), a, b, gw_span_str(want)));
    for (size_t i = 0; i < t.len; i++)
        dlp_restorer_feed(r, (struct gw_span){t.ptr + i, 1}, &out);
    dlp_restorer_finish(r, &out);
    CHECK(gw_span_eq(gw_buf_span(&out), gw_span_str(want)));
    dlp_restorer_free(r);
    gw_buf_fini(&t);
    gw_buf_fini(&out);
}

static void test_streams(void)
{
    everywhere(0, "", "");
    everywhere(0, "no placeholder, Dear DLP_ friend", "no placeholder, Dear DLP_ friend");
    everywhere(0, "{e}", "bob@x.org");
    everywhere(0, "Mail {e}, {k}!", "Mail bob@x.org, AKIA1234!");
    everywhere(0, "{e}{k}{e}", "bob@x.orgAKIA1234bob@x.org");
    everywhere(0, "{e}s **{k}** `{e}`", "bob@x.orgs **AKIA1234** `bob@x.org`");
    everywhere(0, "DLP_DLP_EMAIL_{e}", "DLP_DLP_EMAIL_bob@x.org");
    everywhere(0, "DLP_EMAIL_AAAAAAAA DLP_AWS_ACCESS_KEY_",
               "DLP_EMAIL_AAAAAAAA DLP_AWS_ACCESS_KEY_");
    everywhere(0, "\xC3\xA9{o}\xF0\x9F\x98\x80", "\xC3\xA9" ODD "\xF0\x9F\x98\x80");
    everywhere(1, "{\"a\":\"{o}\"}", "{\"a\":\"q\\\"\\\\\\n\xF0\x9F\x98\x80\"}");
    everywhere(2, "{o}", "q\\\\\\\"\\\\\\\\\\\\n\xF0\x9F\x98\x80");
}

/* Lower case, and "\_" as Markdown has it. */
static void test_mangled(void)
{
    struct gw_buf low = {0}, md = {0};

    for (size_t i = 0; i < p_key.len; i++) {
        gw_buf_addc(&low, gw_ascii_lower(p_key.ptr[i]));
        if (p_key.ptr[i] == '_')
            gw_buf_addc(&md, '\\');
        gw_buf_addc(&md, p_key.ptr[i]);
    }
    gw_buf_addc(&md, '\\');
    gw_buf_addc(&low, '.');
    for (size_t a = 0; a <= low.len; a++)
        CHECK(restores(vault, 0, gw_buf_span(&low), a, a, GW_SPAN("AKIA1234.")));
    for (size_t a = 0; a <= md.len; a++)
        for (size_t b = a; b <= md.len; b++)
            CHECK(restores(vault, 0, gw_buf_span(&md), a, b, GW_SPAN("AKIA1234\\")));
    CHECK(restores(vault, 0, GW_SPAN("DLP\\x DLP\\\\_ \\_"), 5, 9, GW_SPAN("DLP\\x DLP\\\\_ \\_")));
    gw_buf_fini(&low);
    gw_buf_fini(&md);
}

/* The placeholder with each '_' written otherwise, and its n-th character as an escape (SIZE_MAX: none; SIZE_MAX - 1:
 * all of them). */
static void put_mangled(struct gw_buf *out, struct gw_span p, const char *bar, size_t escaped)
{
    for (size_t i = 0; i < p.len; i++) {
        if (i == escaped || escaped == SIZE_MAX - 1)
            gw_buf_printf(out, i % 2 != 0 ? "\\u%04x" : "\\u%04X", (unsigned char)p.ptr[i]);
        else if (p.ptr[i] == '_')
            gw_buf_adds(out, bar);
        else
            gw_buf_addc(out, p.ptr[i]);
    }
}

static void check_mangled(unsigned nesting, const char *bar, size_t escaped)
{
    struct gw_buf text = {0}, want = {0};

    gw_buf_adds(&text, "\\\\n \\\"**");
    gw_buf_add(&want, gw_buf_span(&text));
    put_mangled(&text, p_email, bar, escaped);
    gw_buf_adds(&text, "**s \\\\");
    put_mangled(&text, p_key, bar, escaped);
    gw_buf_adds(&text, "\\t");
    gw_buf_adds(&want, "bob@x.org**s \\\\AKIA1234\\t");
    for (size_t a = 0; a <= text.len; a++)
        CHECK(restores(vault, nesting, gw_buf_span(&text), a, a < text.len ? a + 1 : a,
                       gw_buf_span(&want)));
    gw_buf_fini(&text);
    gw_buf_fini(&want);
}

/* Blanks and hyphens for bars; in JSON also escapes, of single characters and of all. */
static void test_more_mangled(void)
{
    check_mangled(0, " ", SIZE_MAX);
    check_mangled(0, "-", SIZE_MAX);
    check_mangled(1, " ", SIZE_MAX);
    check_mangled(1, "\\\\_", SIZE_MAX); /* Markdown's backslash, in JSON */
    for (size_t i = 0; i < p_email.len; i++)
        check_mangled(1, "_", i);
    check_mangled(1, "_", SIZE_MAX - 1);
    /* An escaped backslash escapes nothing behind it. */
    everywhere(1, "a\\\\u0044LP_EMAIL_x \\\\{e} \\n{e}",
               "a\\\\u0044LP_EMAIL_x \\\\bob@x.org \\nbob@x.org");
    everywhere(1, "\\u0064 \\u00e9 \\uD83D\\uDE00 \\/ \\u00",
               "\\u0064 \\u00e9 \\uD83D\\uDE00 \\/ \\u00");
    /* Outside of JSON an escape is text. */
    everywhere(0, "\\u0044LP_EMAIL \\{e}", "\\u0044LP_EMAIL \\bob@x.org");
    everywhere(0, "DLP EMAIL - DLP-EMAIL_", "DLP EMAIL - DLP-EMAIL_");
}

/* What is held is a prefix of a placeholder, and nothing else. */
static void test_holds_little(void)
{
    struct dlp_restorer *r = dlp_restorer_new(vault, 0);
    struct gw_buf out = {0};

    dlp_restorer_feed(r, GW_SPAN("abc DLP_EMA"), &out);
    CHECK(gw_span_is(gw_buf_span(&out), "abc "));
    dlp_restorer_feed(r, GW_SPAN("X D"), &out);
    CHECK(gw_span_is(gw_buf_span(&out), "abc DLP_EMAX "));
    dlp_restorer_feed(r, (struct gw_span){p_email.ptr + 1, p_email.len - 1}, &out);
    CHECK(gw_span_is(gw_buf_span(&out), "abc DLP_EMAX bob@x.org"));
    CHECK(dlp_restorer_count(r) == 1);
    dlp_restorer_feed(r, GW_SPAN("Delta, done"), &out);
    CHECK(gw_span_is(gw_buf_span(&out), "abc DLP_EMAX bob@x.orgDelta, done"));
    dlp_restorer_feed(r, GW_SPAN("DLP_E"), &out);
    CHECK(dlp_restorer_finish(r, &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out), "abc DLP_EMAX bob@x.orgDelta, doneDLP_E"));
    /* Used again after the end. */
    dlp_restorer_feed(r, p_key, &out);
    CHECK(dlp_restorer_count(r) == 2);
    gw_buf_fini(&out);
    dlp_restorer_free(r);
    dlp_restorer_free(NULL);
}

static void test_empty_vault(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("k"));

    CHECK(restores(v, 0, GW_SPAN("DLP_EMAIL_ABCDEFGH"), 3, 8, GW_SPAN("DLP_EMAIL_ABCDEFGH")));
    dlp_vault_free(v);
}

static void body(const char *text, const char *want, unsigned want_n)
{
    struct gw_buf t = {0}, out = {0};
    unsigned n = 99;

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '@')
            gw_buf_add(&t, p_email);
        else if (*p == '#')
            gw_buf_add(&t, p_odd);
        else
            gw_buf_addc(&t, *p);
    }
    CHECK(dlp_restore_json(vault, gw_buf_span(&t), &out, &n) == GW_OK && n == want_n);
    if (!CHECK(gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  got %s\n", out.ptr);
    gw_buf_fini(&t);
    gw_buf_fini(&out);
}

static void test_bodies(void)
{
    struct gw_buf out = {0};
    unsigned n = 7;

    body(" {\"a\" : [1.0e2, \"x @\\u0041\"],\"a\":2}\n",
         " {\"a\" : [1.0e2, \"x bob@x.org\\u0041\"],\"a\":2}\n", 1);
    body("{\"@\":\"\\n#\"}", "{\"bob@x.org\":\"\\nq\\\"\\\\\\n\xF0\x9F\x98\x80\"}", 2);
    body("{\"arguments\":\"{\\\"to\\\":\\\"#\\\"}\"}",
         "{\"arguments\":\"{\\\"to\\\":\\\"q\\\\\\\"\\\\\\\\\\\\n\xF0\x9F\x98\x80\\\"}\"}", 1);
    body("[\"not json: {#\"]", "[\"not json: {q\\\"\\\\\\n\xF0\x9F\x98\x80\"]", 1);
    body("[\"DLP_EMAIL_AAAAAAAA\",null]", "[\"DLP_EMAIL_AAAAAAAA\",null]", 0);
    CHECK(dlp_restore_json(vault, GW_SPAN("{\"a\":"), &out, &n) == GW_EPARSE && n == 7);
    gw_buf_fini(&out);
}

/* Redact, echo, cut anywhere, restore: the original, in content and in tool arguments. */
static void test_round_trip(void)
{
    static const char *const texts[] = {
        "write to bob@x.org now",
        "bob@x.orgbob@x.org",
        "a\nbob@x.org \"AKIA1234\" \xC3\xA9",
        "\xF0\x9F\x98\x80 AKIA1234",
        "{\"to\":\"bob@x.org\",\"k\":[\"AKIA1234\\n\"]}",
        "DLP_EMAIL_ bob@x.org DLP_",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct gw_buf b = {0}, echo = {0}, restored = {0};
        struct scene s;
        bool args = texts[i][0] == '{';
        unsigned n;

        gw_buf_adds(&b, "{\"content\":");
        gw_buf_add_json_str(&b, gw_span_str(texts[i]));
        gw_buf_adds(&b, "}");
        scene_open(&s, gw_buf_span(&b));
        for (unsigned nest = 0; nest < 2; nest++) {
            scene_find(&s, DLP_LEAF_STRING, nest, "bob@x.org", R_EMAIL, GW_ACTION_TOKENIZE);
            scene_find(&s, DLP_LEAF_STRING, nest, "AKIA1234", R_SECRET, GW_ACTION_TOKENIZE);
        }
        CHECK(scene_edit(&s) == GW_OK);
        CHECK(memmem(s.out.ptr, s.out.len, "bob@x.org", 9) == NULL);
        CHECK(memmem(s.out.ptr, s.out.len, "AKIA1234", 8) == NULL);
        CHECK(dlp_restore_json(s.vault, gw_buf_span(&s.out), &restored, &n) == GW_OK && n > 0);
        CHECK(gw_span_eq(gw_buf_span(&restored), gw_buf_span(&b)));
        /* The model echoes the decoded string, streamed. */
        gw_buf_reserve(&echo, s.out.len);
        echo.len = gw_json_decode((struct gw_span){s.out.ptr + 12, s.out.len - 14}, echo.ptr);
        for (size_t a = 0; a <= echo.len; a++)
            for (size_t c = a; c <= echo.len; c++)
                CHECK(restores(s.vault, args, gw_buf_span(&echo), a, c, gw_span_str(texts[i])));
        gw_buf_fini(&b);
        gw_buf_fini(&echo);
        gw_buf_fini(&restored);
        scene_close(&s);
    }
}

/* A vault of thousands, and a text that begins a placeholder at every byte. */
static void test_hostile(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("k"));
    struct gw_buf text = {0}, want = {0};
    struct gw_span p;
    char value[32];

    for (int i = 0; i < 5000; i++) {
        snprintf(value, sizeof(value), "value %d", i);
        CHECK(dlp_vault_put(v, "D", gw_span_str(value), &p) == GW_OK);
        gw_buf_add(&text, p);
        gw_buf_add(&want, gw_span_str(value));
        gw_buf_adds(&text, "DDLP_DLP_D_D\\_");
        gw_buf_adds(&want, "DDLP_DLP_D_D\\_");
    }
    for (int i = 0; i < 200000; i++) {
        gw_buf_addc(&text, 'D');
        gw_buf_addc(&want, 'D');
    }
    CHECK(restores(v, 0, gw_buf_span(&text), text.len / 3, text.len / 2, gw_buf_span(&want)));
    gw_buf_fini(&text);
    gw_buf_fini(&want);
    dlp_vault_free(v);
}

int main(void)
{
    fill();
    test_streams();
    test_mangled();
    test_more_mangled();
    test_holds_little();
    test_empty_vault();
    test_bodies();
    test_round_trip();
    test_hostile();
    dlp_vault_free(vault);
    return test_done();
}
