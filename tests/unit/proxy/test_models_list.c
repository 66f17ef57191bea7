/* Lists of models and counts of tokens, in the shapes of each API. */
#include <stdio.h>

#include "proxy/request/count_tokens.h"
#include "proxy/request/models_list.h"
#include "tests/test.h"

static void check(enum api_dialect d, unsigned n, const char *id, const char *want)
{
    static const struct models_entry models[] = {
        {{"a\"b", 3}, {"us", 2}},
        {{"org/m", 5}, {"them", 4}},
    };
    struct gw_buf out = {0};
    bool found = models_list_write(&out, d, models, n, gw_span_str(id));

    if (!CHECK(found == (want != NULL) && gw_span_is(gw_buf_span(&out), want == NULL ? "" : want)))
        fprintf(stderr, "  %s\n", out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
}

static void test_lists(void)
{
    check(API_CHAT, 2, "",
          "{\"object\":\"list\",\"data\":[{\"id\":\"a\\\"b\",\"object\":\"model\",\"created\":0,"
          "\"owned_by\":\"us\"},{\"id\":\"org/m\",\"object\":\"model\",\"created\":0,\"owned_by\":"
          "\"them\"}]}\n");
    check(API_ANTHROPIC, 2, "",
          "{\"data\":[{\"type\":\"model\",\"id\":\"a\\\"b\",\"display_name\":\"a\\\"b\","
          "\"created_at\":\"1970-01-01T00:00:00Z\",\"lifecycle\":\"active\"},{\"type\":\"model\","
          "\"id\":\"org/m\",\"display_name\":\"org/m\",\"created_at\":\"1970-01-01T00:00:00Z\","
          "\"lifecycle\":\"active\"}],\"has_more\":false,\"first_id\":\"a\\\"b\",\"last_id\":"
          "\"org/m\"}\n");
    check(API_GEMINI, 1, "",
          "{\"models\":[{\"name\":\"models/a\\\"b\",\"displayName\":\"a\\\"b\",\"description\":"
          "\"Served by us.\",\"supportedGenerationMethods\":[\"generateContent\","
          "\"streamGenerateContent\",\"countTokens\"]}]}\n");
    check(API_CHAT, 0, "", "{\"object\":\"list\",\"data\":[]}\n");
    check(API_ANTHROPIC, 0, "",
          "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}\n");
    check(API_GEMINI, 0, "", "{\"models\":[]}\n");
}

static void test_one_model(void)
{
    check(API_CHAT, 2, "org/m",
          "{\"id\":\"org/m\",\"object\":\"model\",\"created\":0,\"owned_by\":\"them\"}\n");
    check(API_ANTHROPIC, 2, "org/m",
          "{\"type\":\"model\",\"id\":\"org/m\",\"display_name\":\"org/m\",\"created_at\":"
          "\"1970-01-01T00:00:00Z\",\"lifecycle\":\"active\"}\n");
    check(
        API_GEMINI, 2, "org/m",
        "{\"name\":\"models/org/m\",\"displayName\":\"org/m\",\"description\":\"Served by them.\","
        "\"supportedGenerationMethods\":[\"generateContent\",\"streamGenerateContent\","
        "\"countTokens\"]}\n");
    check(API_CHAT, 2, "org", NULL);
    check(API_ANTHROPIC, 1, "org/m", NULL);
}

static void test_counts(void)
{
    static const struct {
        enum api_dialect d;
        const char *want;
    } cases[] = {
        {API_ANTHROPIC, "{\"input_tokens\":18446744073709551615}\n"},
        {API_GEMINI, "{\"totalTokens\":18446744073709551615}\n"},
        {API_RESPONSES,
         "{\"object\":\"response.input_tokens\",\"input_tokens\":18446744073709551615}\n"},
    };
    struct gw_buf out = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        gw_buf_clear(&out);
        count_tokens_write(&out, cases[i].d, UINT64_MAX);
        CHECK(gw_span_is(gw_buf_span(&out), cases[i].want));
    }
    gw_buf_fini(&out);
}

static void test_counts_read(void)
{
    static const struct {
        enum api_dialect d;
        const char *body;
        uint64_t want; /* 7: none */
    } cases[] = {
        {API_ANTHROPIC, "{\"input_tokens\":12}", 12},
        {API_ANTHROPIC, "{\"inputTokens\":3}", 3}, /* Bedrock */
        {API_GEMINI, "{\"totalTokens\":0,\"promptTokensDetails\":[]}", 0},
        {API_RESPONSES, "{\"object\":\"response.input_tokens\",\"input_tokens\":5}", 5},
        {API_GEMINI, "{\"input_tokens\":5}", 7},
        {API_ANTHROPIC, "{\"input_tokens\":\"5\"}", 7},
        {API_ANTHROPIC, "{\"input_tokens\":-1}", 7},
        {API_ANTHROPIC, "[]", 7},
    };
    struct gw_json *json = gw_json_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct gw_arena *arena = gw_arena_new(1 << 16);
        struct gw_json_node *root = NULL;
        uint64_t got = 7;

        CHECK(gw_json_tree(json, arena, gw_span_str(cases[i].body), NULL, &root, NULL) == GW_OK);
        CHECK(count_tokens_read(cases[i].d, root, &got) == (cases[i].want != 7));
        CHECK(got == cases[i].want);
        gw_arena_free(arena);
    }
    gw_json_free(json);
}

int main(void)
{
    test_lists();
    test_one_model();
    test_counts();
    test_counts_read();
    return test_done();
}
