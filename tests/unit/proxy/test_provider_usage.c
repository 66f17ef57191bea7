/* Unit tests of proxy/provider/provider_usage.c: asking for usage, and what of a stream came because of it. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/provider/provider.h"
#include "tests/test.h"

static struct gw_json *json;

/* want NULL: nothing changes. */
static void asks(const char *body, const char *want)
{
    struct gw_buf out = {0};
    bool changed = false;

    CHECK(provider_ask_usage(json, gw_span_str(body), &out, &changed) == GW_OK);
    if (!CHECK(want == NULL ? !changed && out.len == 0
                            : changed && gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  %s\n  %.*s\n", body, (int)out.len, out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
}

static void test_usage_is_asked_for(void)
{
    asks("{\"model\":\"m\",\"stream\":true}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    asks(" { \"model\" : \"m\" \n} \n",
         " { \"model\" : \"m\" \n,\"stream_options\":{\"include_usage\":true}} \n");
    asks("{}", "{\"stream_options\":{\"include_usage\":true}}");
    asks("{\"stream_options\":null,\"n\":1e400}",
         "{\"stream_options\":{\"include_usage\":true},\"n\":1e400}");
    asks("{\"stream_options\":{},\"n\":1}",
         "{\"stream_options\":{\"include_usage\":true},\"n\":1}");
    asks("{\"stream_options\":{ \"include_obfuscation\":false}}",
         "{\"stream_options\":{\"include_usage\":true, \"include_obfuscation\":false}}");
    asks("{\"stream_options\":{\"a\":{\"include_usage\":true},\"include_usage\": false }}",
         "{\"stream_options\":{\"a\":{\"include_usage\":true},\"include_usage\": true }}");
    asks("{\"stream_options\":{\"include_usage\":null}}",
         "{\"stream_options\":{\"include_usage\":true}}");
    asks("{\"stream\\u005foptions\":{\"includ\\u0065_usage\":false}}",
         "{\"stream\\u005foptions\":{\"includ\\u0065_usage\":true}}");
    asks("{\"x\":{\"stream_options\":{}},\"y\":[{\"stream_options\":null}]}",
         "{\"x\":{\"stream_options\":{}},\"y\":[{\"stream_options\":null}],"
         "\"stream_options\":{\"include_usage\":true}}");
}

static void test_other_bodies_stay(void)
{
    asks("{\"stream_options\":{\"include_usage\":true}}", NULL);
    asks("{\"stream_options\":{\"include_usage\":[false]}}", NULL);
    asks("{\"stream_options\":7}", NULL);
    asks("{\"stream_options\":[{}]}", NULL);
    asks("[]", NULL);
    asks("", NULL);
    asks("{\"a\":", NULL);
    asks("{\"stream_options\":{\"include_usage\"", NULL);
}

/* want NULL: stays; "": goes as a whole. */
static void leaves(const char *data, const char *want)
{
    struct gw_buf out = {0};
    enum provider_unasked what = provider_take_unasked(json, gw_span_str(data), &out);
    bool ok;

    if (want == NULL)
        ok = what == PROVIDER_UNASKED_NONE && out.len == 0;
    else if (want[0] == '\0')
        ok = what == PROVIDER_UNASKED_ALL && out.len == 0;
    else
        ok = what == PROVIDER_UNASKED_PART && gw_span_is(gw_buf_span(&out), want);
    if (!CHECK(ok))
        fprintf(stderr, "  %s\n  %d %.*s\n", data, (int)what, (int)out.len,
                out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
}

static void test_what_usage_brought_goes(void)
{
    leaves("{\"id\":\"1\",\"choices\":[{\"delta\":{}}],\"usage\":null}",
           "{\"id\":\"1\",\"choices\":[{\"delta\":{}}]}");
    leaves("{ \"id\": \"1\", \"choices\": [ {} ], \"usage\": null }",
           "{ \"id\": \"1\", \"choices\": [ {} ] }");
    leaves("{\"usage\":null,\"choices\":[{\"index\":0}]}", "{\"choices\":[{\"index\":0}]}");
    leaves(
        "{\"choices\":[],\"usage\":null,\"prompt_filter_results\":[1]}", /* Azure's first chunk */
        "{\"choices\":[],\"prompt_filter_results\":[1]}");
    leaves("{\"usage\":null}", "{}");
    leaves("{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"x\":[{}]}}", "");
    leaves("{\"usage\":{\"prompt_tokens\":1},\"id\":\"x\",\"choices\":[ ]}", "");
}

static void test_other_chunks_stay(void)
{
    leaves("[DONE]", NULL);
    leaves("", NULL);
    leaves("{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null}\"}}]}", NULL);
    leaves("{\"choices\":[{\"usage\":null}]}", NULL);
    leaves("{\"choices\":[{\"delta\":{\"usage\":null}}],\"x\":{\"usage\":{}}}", NULL);
    /* servers that say it to everybody */
    leaves("{\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}", NULL);
    leaves("{\"usage\":{\"prompt_tokens\":1}}", NULL);
    leaves("{\"choices\":[[],[{}]],\"usage\":{}}", NULL);
    leaves("{\"choices\":[],\"usage\":{", NULL);
    leaves("\"usage\"", NULL);
    leaves("{\"usage\":nul", NULL);
}

static uint64_t state = 88172645463325252ull;
static unsigned rnd(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* Whatever bytes come: no crash, no partial output without saying so. */
static void test_torn_texts_do_no_harm(void)
{
    static const char *const seeds[] = {
        "{\"id\":\"1\",\"choices\":[{\"delta\":{}}],\"usage\":null}",
        "{\"usage\":{\"prompt_tokens\":1},\"id\":\"x\",\"choices\":[ ]}",
        "{\"model\":\"m\",\"stream_options\":{\"include_usage\":false}}"};
    char text[100];
    bool ok = true;

    for (int i = 0; i < 50000 && ok; i++) {
        const char *seed = seeds[rnd(3)];
        size_t n = strlen(seed);
        struct gw_buf a = {0}, b = {0};
        bool changed = false;

        for (size_t k = 0; k < n; k++)
            text[k] = seed[k];
        for (unsigned k = rnd(3); k > 0; k--)
            text[rnd((unsigned)n)] = "{}[]\",:nu \\x"[rnd(12)];
        n = rnd(4) == 0 ? rnd((unsigned)n) : n;
        ok = provider_ask_usage(json, (struct gw_span){text, n}, &a, &changed) == GW_OK &&
             changed == (a.len != 0);
        if (ok &&
            provider_take_unasked(json, (struct gw_span){text, n}, &b) != PROVIDER_UNASKED_PART)
            ok = b.len == 0;
        gw_buf_fini(&a);
        gw_buf_fini(&b);
    }
    CHECK(ok);
}

int main(void)
{
    json = gw_json_new();
    test_usage_is_asked_for();
    test_other_bodies_stay();
    test_what_usage_brought_goes();
    test_other_chunks_stay();
    test_torn_texts_do_no_harm();
    gw_json_free(json);
    return test_done();
}
