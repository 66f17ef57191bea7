/* Reasoning of other providers is taken out of a body that is forwarded; nothing else of it changes. */
#include <stdio.h>
#include <string.h>

#include "proxy/api/api.h"
#include "tests/test.h"

/* want NULL: left alone. */
static void check(enum api_dialect d, const char *body, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_buf out = {0};
    bool changed = true;
    enum gw_status st = api_drop_foreign(d, json, arena, gw_span_str(body), &out, &changed);
    bool ok = st == GW_OK && changed == (want != NULL) &&
              gw_span_is(gw_buf_span(&out), want == NULL ? "" : want);

    if (!CHECK(ok))
        fprintf(stderr, "  %s: %s\n", gw_status_name(st), out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    gw_json_free(json);
}

#define THINK(sig)     "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"" sig "\"}"
#define FOREIGN        THINK("sluiceGeminiSignQUJD")
#define UNSIGNED       THINK("sluiceNoneSigned")
#define TEXT           "{\"type\":\"text\",\"text\":\"sluice \\u0041\"}"
#define SAY(blocks)    "{\"role\":\"assistant\", \"content\": [" blocks "] }"
#define TALK(messages) "{ \"model\":\"m\",\n\"messages\":[" messages "],\"x\": 1.0 }\n"

static void test_anthropic(void)
{
    check(API_ANTHROPIC, TALK(SAY(FOREIGN " , " TEXT)), TALK(SAY(TEXT)));
    check(API_ANTHROPIC, TALK(SAY(TEXT " , " UNSIGNED)), TALK(SAY(TEXT)));
    check(API_ANTHROPIC, TALK(SAY(FOREIGN "," UNSIGNED "," TEXT "," FOREIGN "," TEXT)),
          TALK(SAY(TEXT "," TEXT)));
    /* Its own stay, with their mark taken off when they came through another dialect. */
    check(API_ANTHROPIC, TALK(SAY(THINK("RVJpZ2hU") "," TEXT)), NULL);
    check(API_ANTHROPIC, TALK(SAY(THINK("") "," TEXT)), NULL);
    check(API_ANTHROPIC, TALK(SAY(THINK("sluiceClaudeSignQQ==") "," TEXT)),
          TALK(SAY(THINK("QQ==") "," TEXT)));
    check(API_ANTHROPIC,
          TALK(SAY("{\"data\":\"sluiceClaudeHideQQ==\",\"type\":\"redacted_thinking\"}," FOREIGN)),
          TALK(SAY("{\"data\":\"QQ==\",\"type\":\"redacted_thinking\"}")));
    /* A message of nothing else goes. */
    check(API_ANTHROPIC, TALK("{\"role\":\"user\",\"content\":\"a\"}," SAY(FOREIGN "," UNSIGNED)),
          TALK("{\"role\":\"user\",\"content\":\"a\"}"));
    check(API_ANTHROPIC,
          TALK(SAY(FOREIGN) ",{\"role\":\"user\",\"content\":\"a\"}," SAY(FOREIGN) "," SAY(TEXT)),
          TALK("{\"role\":\"user\",\"content\":\"a\"}," SAY(TEXT)));
    check(API_ANTHROPIC, TALK(SAY(FOREIGN)), TALK(""));
    /* The word alone is nothing. */
    check(API_ANTHROPIC, TALK(SAY(TEXT)), NULL);
    check(API_ANTHROPIC, TALK("3,\"sluice\",{\"content\":[1,\"sluiceX\",[],{}]}"), NULL);
    check(API_ANTHROPIC, "\"sluice\"", NULL);
    check(API_ANTHROPIC, "", NULL);
}

static void test_gemini(void)
{
#define PARTS(parts) "{\"contents\":[{\"parts\":[" parts "]}]}"
    check(API_GEMINI,
          PARTS("{\"text\":\"t\",\"thought\":true,\"thoughtSignature\":\"sluiceClaudeSignQQ==\"},"
                "{\"text\":\"a\"}"),
          PARTS("{\"text\":\"a\"}"));
    check(API_GEMINI,
          PARTS("{\"functionCall\":{\"name\":\"f\"},\"thoughtSignature\":\"sluiceNoneSigned\"}"),
          PARTS("{\"functionCall\":{\"name\":\"f\"}}"));
    check(API_GEMINI,
          PARTS("{\"thought_signature\" : \"sluiceNoneSigned\", \"text\":\"a\"},{\"text\":\"b\"}"),
          PARTS("{\"text\":\"a\"},{\"text\":\"b\"}"));
    check(API_GEMINI, PARTS("{\"text\":\"a\",\"thoughtSignature\":\"sluiceGeminiSignQQ==\"}"),
          PARTS("{\"text\":\"a\",\"thoughtSignature\":\"QQ==\"}"));
    check(API_GEMINI, PARTS("{\"text\":\"sluice\",\"thoughtSignature\":\"QQ==\"}"), NULL);
    /* A content of nothing else goes: clients keep each chunk of a stream as a content. */
    check(API_GEMINI,
          PARTS("{\"text\":\"a\"}]},{\"parts\":[{\"text\":\"\",\"thought\":true,"
                "\"thoughtSignature\":\"sluiceClaudeSignQQ==\"}]},{\"parts\":[{\"text\":\"b\"}"),
          PARTS("{\"text\":\"a\"}]},{\"parts\":[{\"text\":\"b\"}"));
}

static void test_responses(void)
{
#define REASONING(secret) "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":" secret "}"
#define INPUT(items)      "{\"model\":\"m\",\"input\":[" items "]}"
    check(API_RESPONSES, INPUT(REASONING("\"sluiceClaudeSignQQ==\"") ",{\"role\":\"user\"}"),
          INPUT("{\"role\":\"user\"}"));
    check(API_RESPONSES, INPUT("{\"role\":\"user\"}," REASONING("\"sluiceOpenAIItemgAAA\"")),
          INPUT("{\"role\":\"user\"}," REASONING("\"gAAA\"")));
    check(API_RESPONSES, INPUT("{\"content\":\"sluice\"}," REASONING("null")), NULL);
    check(API_RESPONSES, "{\"input\":\"sluice\"}", NULL);
    check(API_CHAT, TALK(SAY(FOREIGN)), NULL);
}

int main(void)
{
    test_anthropic();
    test_gemini();
    test_responses();
    return test_done();
}
