/* tests/unit/proxy/test_local.c - what the local model is asked for, and what it is not: refused by name, never ignored. */
#include <stdio.h>
#include <string.h>

#include "proxy/api/api.h"
#include "proxy/local/local.h"
#include "tests/test.h"

static struct gw_json *json;
static struct gw_arena *arena;
static struct local_request local;
static const char *param;

static enum gw_status read_body(enum api_dialect d, const char *body)
{
    struct api_request asked = {.dialect = d, .model = GW_SPAN("m")};
    struct gw_json_node *root;
    struct gw_err err;

    gw_arena_reset(arena);
    engine_grammar_unref(local.params.grammar);
    local.params.grammar = NULL;
    param = NULL;
    if (gw_json_tree(json, arena, gw_span_str(body), NULL, &root, &err) != GW_OK ||
        api_read_request(d, root, arena, &asked, &param, &err) != GW_OK)
        return GW_EPARSE;
    return local_read(&asked, GW_SPAN("somebody"), arena, &local, &param, &err);
}

static enum gw_status chat(const char *members)
{
    static char body[4096];

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]%s}",
                   members);
    return read_body(API_CHAT, body);
}

static bool refused(const char *members, enum gw_status st, const char *want)
{
    bool ok = chat(members) == st && param != NULL && strcmp(param, want) == 0;

    if (!ok)
        fprintf(stderr, "  %s: %s\n", members, param == NULL ? "taken" : param);
    return ok;
}

static void test_numbers(void)
{
    CHECK(chat(",\"max_tokens\":7,\"temperature\":0.5,\"top_p\":0.25,\"seed\":-3,\"stop\":[\"a\","
               "\"\\u0062\"],\"stream\":true,\"n\":null") == GW_OK);
    CHECK(local.params.max_tokens == 7 && local.params.n_stop == 2 && local.params.seed == 4);
    CHECK(gw_span_is(local.params.stop[1], "b") && local.params.temperature == 0.5f);
    CHECK(chat("") == GW_OK && local.params.seed == 0 && local.params.temperature == 1 &&
          local.params.top_p == 1 && local.params.max_tokens == 0);
    CHECK(refused(",\"max_tokens\":1.5", GW_EINVAL, "max_tokens"));
    CHECK(refused(",\"max_tokens\":0", GW_EINVAL, "max_tokens"));
    CHECK(refused(",\"temperature\":3", GW_EINVAL, "temperature"));
    CHECK(refused(",\"top_p\":true", GW_EINVAL, "top_p"));
    CHECK(refused(",\"n\":0", GW_EINVAL, "n"));
    CHECK(refused(",\"n\":1.5", GW_EINVAL, "n"));
    CHECK(chat(",\"n\":8") == GW_OK && local.n == 8);
    CHECK(chat("") == GW_OK && local.n == 1);
    CHECK(refused(",\"seed\":1e400", GW_EINVAL, "seed"));
    CHECK(refused(",\"stop\":5", GW_EINVAL, "stop"));
}

/* Probabilities and biases, in the words of each dialect. */
static void test_tokens(void)
{
    CHECK(chat("") == GW_OK && !local.params.logprobs && local.params.n_bias == 0);
    CHECK(chat(",\"logprobs\":true") == GW_OK && local.params.logprobs &&
          local.params.top_logprobs == 0);
    CHECK(chat(",\"logprobs\":true,\"top_logprobs\":20") == GW_OK &&
          local.params.top_logprobs == 20);
    CHECK(refused(",\"logprobs\":true,\"top_logprobs\":21", GW_EINVAL, "top_logprobs"));
    CHECK(refused(",\"top_logprobs\":2", GW_EINVAL, "top_logprobs"));
    CHECK(read_body(API_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"hi\",\"logprobs\":3}") ==
              GW_OK &&
          local.params.logprobs && local.params.top_logprobs == 3);
    CHECK(read_body(API_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\",\"include\":["
                                   "\"message.output_text.logprobs\"]}") == GW_OK &&
          local.params.logprobs && local.params.top_logprobs == 0);
    CHECK(read_body(API_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\",\"top_logprobs\":2}") ==
              GW_OK &&
          local.params.logprobs && local.params.top_logprobs == 2);
    CHECK(read_body(API_GEMINI, "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}],"
                                "\"generationConfig\":{\"responseLogprobs\":true,\"logprobs\":4}"
                                "}") == GW_OK &&
          local.params.logprobs && local.params.top_logprobs == 4);
    CHECK(chat(",\"logit_bias\":{\"5\":1.5,\"17\":-100}") == GW_OK && local.params.n_bias == 2 &&
          local.params.bias[0].id == 5 && local.params.bias[1].bias == -100.0f);
    CHECK(chat(",\"logit_bias\":{}") == GW_OK && local.params.n_bias == 0);
    CHECK(refused(",\"logit_bias\":{\"5\":101}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":{\"5\":\"1\"}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":{\"-5\":1}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":{\"1e1\":1}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":{\"12345678901\":1}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":{\"\":1}", GW_EINVAL, "logit_bias"));
    CHECK(refused(",\"logit_bias\":[1]", GW_EINVAL, "logit_bias"));
}

static void test_cannot(void)
{
    CHECK(refused(",\"n\":9", GW_EUNSUPPORTED, "n"));
    CHECK(chat(",\"user\":\"u\",\"metadata\":{\"a\":\"b\"}") == GW_OK); /* change no answer */
    CHECK(read_body(API_CHAT,
                    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                    "\"image_url\",\"image_url\":{\"url\":\"https://a.test/x.png\"}}]}]}") ==
              GW_EUNSUPPORTED &&
          strcmp(param, "images") == 0);
    CHECK(read_body(
              API_ANTHROPIC,
              "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
              "\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":[{\"type\":\"image\","
              "\"source\":{\"type\":\"url\",\"url\":\"https://a.test/x.png\"}}]}]}]}") ==
              GW_EUNSUPPORTED &&
          strcmp(param, "images") == 0);
}

#define TOOLS ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
#define STOPS                                                                                      \
    "\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\","    \
    "\"15\""

#define SCHEMA(s)                                                                                  \
    ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":" s \
    "}}"

/* Shapes of answers in every dialect; what they allow is tests/unit/engine/test_grammar.c's. */
static void test_formats(void)
{
    CHECK(chat("") == GW_OK && local.params.grammar == NULL);
    CHECK(chat(",\"response_format\":{\"type\":\"json_object\"}") == GW_OK &&
          local.params.grammar != NULL);
    CHECK(chat(SCHEMA("{\"type\":\"integer\"}")) == GW_OK && local.params.grammar != NULL);
    CHECK(refused(SCHEMA("{\"not\":{}}"), GW_EUNSUPPORTED, "response_format"));
    CHECK(refused(SCHEMA("{\"pattern\":\"(\",\"type\":\"string\"}"), GW_EINVAL, "response_format"));
    CHECK(chat(TOOLS) == GW_OK && local.params.grammar == NULL);
    CHECK(chat(TOOLS ",\"tool_choice\":\"required\"") == GW_OK && local.params.grammar != NULL);
    CHECK(chat(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,"
               "\"parameters\":{\"type\":\"object\"}}}]") == GW_OK &&
          local.params.grammar != NULL);
    CHECK(refused(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,"
                  "\"parameters\":{\"if\":{}}}}]",
                  GW_EUNSUPPORTED, "tools"));
    CHECK(
        read_body(API_RESPONSES,
                  "{\"model\":\"m\",\"input\":\"a\",\"text\":{\"format\":{\"type\":\"json_schema\","
                  "\"name\":\"n\",\"strict\":true,\"schema\":{\"type\":\"object\"}}}}") == GW_OK &&
        local.params.grammar != NULL);
    CHECK(
        read_body(API_ANTHROPIC,
                  "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":"
                  "\"a\"}],\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],"
                  "\"tool_choice\":{\"type\":\"any\"}}") == GW_OK &&
        local.params.grammar != NULL);
    CHECK(
        read_body(
            API_ANTHROPIC,
            "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":"
            "\"a\"}],\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
            "\"object\"}}}}") == GW_OK &&
        local.params.grammar != NULL);
    CHECK(read_body(
              API_GEMINI,
              "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}],"
              "\"generationConfig\":{\"responseMimeType\":\"application/json\","
              "\"responseSchema\":{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\","
              "\"nullable\":true}}}}}") == GW_OK &&
          local.params.grammar != NULL);
}

/* What they look like in the prompt is test_local_tools.c's. */
static void test_tools(void)
{
    CHECK(chat(TOOLS) == GW_OK && local.n_tools == 1 && !local.single);
    CHECK(local.n_messages == 2 && gw_span_is(local.messages[0].role, "system"));
    CHECK(local.params.n_stop == 0);
    CHECK(chat(TOOLS ",\"tool_choice\":\"none\"") == GW_OK && local.n_tools == 0);
    CHECK(local.n_messages == 1);
    CHECK(refused(TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}",
                  GW_EINVAL, "tool_choice"));
    /* One call: generation stops behind it, while there is room for a stop string. */
    CHECK(chat(TOOLS ",\"parallel_tool_calls\":false,\"stop\":\"x\"") == GW_OK && local.single);
    CHECK(local.params.n_stop == 2 && gw_span_is(local.params.stop[0], "x") &&
          gw_span_is(local.params.stop[1], "</tool_call>"));
    CHECK(chat(TOOLS ",\"parallel_tool_calls\":false,\"stop\":[" STOPS ",\"16\"]") == GW_OK);
    CHECK(local.single && local.params.n_stop == 16 && gw_span_is(local.params.stop[15], "16"));
    CHECK(chat(",\"parallel_tool_calls\":false") == GW_OK && local.params.n_stop == 0);
    CHECK(chat(",\"functions\":[{\"name\":\"f\"}]") == GW_OK && local.single && local.n_tools == 1);
}

static void test_dialects(void)
{
    static const char *const bodies[API_DIALECT_COUNT] = {
        [API_CHAT] = "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"system\","
                     "\"content\":\"s\"},"
                     "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
                     "\"text\",\"text\":\"b\"}]}]}",
        [API_COMPLETIONS] = "{\"model\":\"m\",\"max_tokens\":5,\"prompt\":\"a\"}",
        [API_RESPONSES] =
            "{\"model\":\"m\",\"max_output_tokens\":5,\"instructions\":\"s\",\"input\":\"a\"}",
        [API_ANTHROPIC] =
            "{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":[{\"role\":"
            "\"user\",\"content\":\"a\"}]}",
        [API_GEMINI] =
            "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"role\":"
            "\"user\",\"parts\":[{\"text\":\"a\"}]}],\"generationConfig\":{"
            "\"maxOutputTokens\":5}}",
    };

    for (unsigned d = 0; d < API_DIALECT_COUNT; d++) {
        unsigned user = d == API_COMPLETIONS ? 0 : 1;

        if (!CHECK(read_body((enum api_dialect)d, bodies[d]) == GW_OK)) {
            fprintf(stderr, "  dialect %u: %s\n", d, param == NULL ? "" : param);
            continue;
        }
        CHECK(local.n_messages == user + 1 && local.params.max_tokens == 5);
        CHECK(user == 0 || (gw_span_is(local.messages[0].role, "system") &&
                            gw_span_is(local.messages[0].content, "s")));
        CHECK(gw_span_is(local.messages[user].role, "user"));
        CHECK(gw_span_is(local.messages[user].content, d == API_CHAT ? "a\nb" : "a"));
    }
}

int main(void)
{
    json = gw_json_new();
    arena = gw_arena_new(1u << 20);
    test_numbers();
    test_tokens();
    test_cannot();
    test_tools();
    test_formats();
    test_dialects();
    engine_grammar_unref(local.params.grammar);
    gw_json_free(json);
    gw_arena_free(arena);
    return test_done();
}
