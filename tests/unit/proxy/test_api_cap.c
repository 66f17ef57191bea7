/* An end for answers whose request gives none: one number, and every other byte as it came. */
#include <string.h>

#include "proxy/api/api.h"
#include "tests/test.h"

static struct gw_json *json;

static bool becomes(enum api_dialect d, const char *model, const char *body, const char *want)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_buf out = {0};
    enum gw_status st =
        api_cap_answer(d, json, arena, gw_span_str(body), gw_span_str(model), 77, &out);
    bool ok = want == NULL ? st == GW_EPARSE : st == GW_OK && gw_span_is(gw_buf_span(&out), want);

    if (!ok)
        printf("%s -> %.*s\n", body, (int)out.len, out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    return ok;
}

int main(void)
{
    json = gw_json_new();
    CHECK(becomes(API_CHAT, "gpt-4o", " { \"model\": \"m\", \"x\": 12345678901234567890 }",
                  " {\"max_tokens\":77, \"model\": \"m\", \"x\": 12345678901234567890 }"));
    CHECK(becomes(API_CHAT, "o3-mini", "{\"a\":1}", "{\"max_completion_tokens\":77,\"a\":1}"));
    CHECK(becomes(API_CHAT, "gpt-4o", "{}", "{\"max_tokens\":77}"));
    /* What is there is used, whatever its name; nothing is said twice. */
    CHECK(becomes(API_CHAT, "gpt-4o", "{\"max_tokens\":null,\"a\":1}",
                  "{\"max_tokens\":77,\"a\":1}"));
    CHECK(becomes(API_CHAT, "gpt-4o", "{\"a\":1,\"max_completion_tokens\": null}",
                  "{\"a\":1,\"max_completion_tokens\": 77}"));
    CHECK(becomes(API_CHAT, "gpt-4o", "{\"max\\u005ftokens\":null}", "{\"max\\u005ftokens\":77}"));
    CHECK(becomes(API_CHAT, "gpt-4o", "{\"max_tokens\":\"12\"}", NULL));
    CHECK(becomes(API_CHAT, "gpt-4o", "{\"in\":{\"max_tokens\":5}}",
                  "{\"max_tokens\":77,\"in\":{\"max_tokens\":5}}"));
    CHECK(becomes(API_COMPLETIONS, "m", "{\"prompt\":\"p\"}",
                  "{\"max_tokens\":77,\"prompt\":\"p\"}"));
    CHECK(becomes(API_RESPONSES, "m", "{\"input\":\"p\"}",
                  "{\"max_output_tokens\":77,\"input\":\"p\"}"));
    CHECK(becomes(API_GEMINI, "m", "{\"contents\":[]}",
                  "{\"generationConfig\":{\"maxOutputTokens\":77},\"contents\":[]}"));
    CHECK(becomes(API_GEMINI, "m", "{\"generationConfig\":{\"temperature\":1}}",
                  "{\"generationConfig\":{\"maxOutputTokens\":77,\"temperature\":1}}"));
    CHECK(becomes(API_GEMINI, "m", "{\"generation_config\": { }}",
                  "{\"generation_config\": {\"maxOutputTokens\":77 }}"));
    CHECK(becomes(API_GEMINI, "m", "{\"generationConfig\":{\"max_output_tokens\":null}}",
                  "{\"generationConfig\":{\"max_output_tokens\":77}}"));
    CHECK(becomes(API_GEMINI, "m", "{\"generationConfig\":5}", NULL));
    CHECK(becomes(API_CHAT, "gpt-4o", "[1]", NULL));
    gw_json_free(json);
    return test_done();
}
