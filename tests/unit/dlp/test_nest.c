/* How deep in JSON strings a growing text is: at each mark, however it is cut; and values that come back there. */
#include <stdio.h>
#include <string.h>

#include "dlp/nest.h"
#include "dlp/vault.h"
#include "tests/test.h"

/* The text with ^N where the depth is N. */
static void depths(const char *text)
{
    struct nest n;

    nest_start(&n);
    for (const char *p = text; *p != '\0'; p++) {
        if (p[0] != '^') {
            nest_feed(&n, (struct gw_span){p, 1});
            continue;
        }
        p++;
        if (!CHECK(nest_depth(&n) == (unsigned)(*p - '0')))
            fprintf(stderr, "  %u at %zu of %s\n", nest_depth(&n), (size_t)(p - text), text);
    }
}

static void test_depths(void)
{
    depths("^0say \"^0hello\" {\"^0a\":\"^0\"}");
    depths(" \n{^0\"^1a\\^1\"^1\" ^0: ^0\"^1b^1\", \"c\":[^01, \"^1x\", true^0]^0}^0 \"^0");
    depths("[\"^1\", {\"a\": \"^1\"}, [[\"^1\"]], -1.5e+3]^0");
    depths("[]^0 x\"^0");
    depths("{}\n^0");
    /* JSON in strings, as it is escaped there. */
    depths("{\"a\":\"{\\\"b^2\\\":^1\\\"^2 \\\\\\\"^2 \\\\u0041^2\\\"}^1 \"^0}^0");
    depths("[\"[\\\"[\\\\\\\"^3\\\\\\\"]^2\\\"]^1\"]^0");
    depths("[\"\\u005b\\u0022^2\\\"]^1\"]");
    depths("[\"no {\\\"^1\", \"{\\\"^2\\\"^1\", \"[1, \\\"^2\"]");
    /* What breaks the grammar is prose from there on. */
    depths("{a: \"^0");
    depths("[note] \"^0");
    depths("{\"a\" \"^0");
    depths("[1 2, \"^0");
    depths("{\"a\":1]\"^0");
    depths("[\"a\nb^0\", \"^0");
    depths("[\"\\x^0\", \"^0");
    depths("[\"\\u12g4^0\", \"^0");
    depths("}\"^0");
}

/* Deeper than it counts: no worse than prose. */
static void test_deep(void)
{
    struct nest n;

    nest_start(&n);
    for (unsigned i = 0; i < NEST_MAX_DEPTH; i++)
        nest_feed(&n, GW_SPAN("["));
    nest_feed(&n, GW_SPAN("\""));
    CHECK(nest_depth(&n) == 1);
    nest_start(&n);
    for (unsigned i = 0; i <= NEST_MAX_DEPTH; i++)
        nest_feed(&n, GW_SPAN("["));
    nest_feed(&n, GW_SPAN("\""));
    CHECK(nest_depth(&n) == 0);
}

/* A value with quotes and line ends, put back in an answer that is JSON (structured output), in two pieces cut everywhere. */
static void test_values(void)
{
    static const struct {
        const char *before, *after, *value;
    } cases[] = {
        {"Dear ", ", hello", "O\"N\n"},
        {"{\"name\": \"", "\", \"n\": 1}", "O\\\"N\\n"},
        {"{\"a\": \"{\\\"name\\\": \\\"", "\\\"}\"}", "O\\\\\\\"N\\\\n"},
        {"```{\"name\": \"", "\"}", "O\"N\n"},
    };
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct gw_span p;

    CHECK(dlp_vault_put(v, "NAME", GW_SPAN("O\"N\n"), &p) == GW_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_buf text = {0}, want = {0};

        gw_buf_printf(&text, "%s%.*s%s", cases[i].before, (int)p.len, p.ptr, cases[i].after);
        gw_buf_printf(&want, "%s%s%s", cases[i].before, cases[i].value, cases[i].after);
        for (size_t at = 0; at <= text.len; at++) {
            struct dlp_restorer *r = dlp_restorer_new(v, 0);
            struct gw_buf out = {0};

            CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr, at}, &out) == GW_OK);
            CHECK(dlp_restorer_feed(r, gw_span_from(gw_buf_span(&text), at), &out) == GW_OK);
            CHECK(dlp_restorer_finish(r, &out) == GW_OK);
            CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)));
            gw_buf_fini(&out);
            dlp_restorer_free(r);
        }
        gw_buf_fini(&text);
        gw_buf_fini(&want);
    }
    dlp_vault_free(v);
}

int main(void)
{
    test_depths();
    test_deep();
    test_values();
    return test_done();
}
