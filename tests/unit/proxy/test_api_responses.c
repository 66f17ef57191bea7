/* Requests of OpenAI's Responses API: what is read of them, and the exact bodies that are written. */
#include "tests/unit/proxy/api_lab.h"

/* Through the common form and back: what is kept, byte for byte. */
static bool back(const char *body, const char *want, const char *dropped)
{
    return lab_gives(API_RESPONSES, API_RESPONSES, body, want, dropped);
}

static bool refused(const char *body, enum gw_status st, const char *param)
{
    return lab_refuses(API_RESPONSES, API_RESPONSES, body, st, param);
}

#define HI_IN               "{\"model\":\"m\",\"input\":\"hi\""
#define HI_OUT              "{\"model\":\"m2\",\"input\":[" USER("\"hi\"") "]"
#define ITEM(role, content) "{\"type\":\"message\",\"role\":\"" role "\",\"content\":" content "}"
#define USER(content)       ITEM("user", content)
#define DEVELOPER(content)  ITEM("developer", content)
#define ASSISTANT(text)     ITEM("assistant", "[{\"type\":\"output_text\",\"text\":\"" text "\"}]")
#define CALL(id, args)                                                                             \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"f\",\"arguments\":\"" args "\"" \
    "}"
#define RESULT(id, output)                                                                         \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":" output "}"
#define END ",\"store\":false}"

static void test_settings_are_kept(void)
{
    CHECK(back(HI_IN "}", HI_OUT END, ""));
    CHECK(back(HI_IN
               ",\"max_output_tokens\":16,\"temperature\":0.70,\"top_p\":9e-1,\"stream\":true,"
               "\"parallel_tool_calls\":false,\"background\":false,\"top_logprobs\":0}",
               HI_OUT ",\"max_output_tokens\":16,"
                      "\"temperature\":0.70,\"top_p\":9e-1,\"stream\":true" END,
               ""));
    CHECK(back(HI_IN
               ",\"max_output_tokens\":null,\"temperature\":null,\"tools\":null,\"text\":null,"
               "\"reasoning\":null,\"stream\":null,\"unknown\":null,\"metadata\":null,"
               "\"previous_response_id\":null,\"include\":null,\"instructions\":null}",
               HI_OUT END, ""));
    CHECK(back(HI_IN ",\"reasoning\":{\"effort\":\"low\",\"summary\":\"detailed\"}}",
               HI_OUT ",\"include\":[\"reasoning.encrypted_content\"],\"reasoning\":{\"effort\":"
                      "\"low\",\"summary\":\"auto\"}" END,
               ""));
    /* A model that may not know the parameter is not asked. */
    CHECK(back(HI_IN ",\"reasoning\":{\"effort\":null,\"generate_summary\":\"auto\"}}", HI_OUT END,
               "reasoning.shown"));
}

static void test_formats_are_kept(void)
{
    CHECK(back(HI_IN ",\"text\":{\"format\":{\"type\":\"text\"}}}", HI_OUT END, ""));
    CHECK(back(HI_IN ",\"text\":{\"format\":{\"type\":\"json_object\"},\"verbosity\":\"low\"}}",
               HI_OUT ",\"text\":{\"format\":{\"type\":\"json_object\"}}" END, "text.verbosity"));
    CHECK(back(HI_IN
               ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true,"
               "\"description\":\"d\",\"schema\":{\"b\" :1,\"a\":2}}}}",
               HI_OUT ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":"
                      "{\"b\" :1,\"a\":2},\"strict\":true}}" END,
               "text.format.description"));
    CHECK(refused(HI_IN ",\"text\":{\"format\":{\"type\":\"grammar\"}}}", GW_EUNSUPPORTED,
                  "text.format.type"));
    CHECK(refused(HI_IN ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}}",
                  GW_EINVAL, "text.format.schema"));
    CHECK(refused(HI_IN ",\"text\":{\"format\":7}}", GW_EINVAL, "text.format"));
}

static void test_tools_are_kept(void)
{
    CHECK(back(HI_IN ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\","
                     "\"parameters\":{\"z\":[ 1]},\"strict\":true},{\"type\":\"function\",\"name\":"
                     "\"g\",\"parameters\":null}],\"tool_choice\":{\"type\":\"function\",\"name\":"
                     "\"f\"}}",
               HI_OUT
               ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\","
               "\"parameters\":{\"z\":[ 1]},\"strict\":true},{\"type\":\"function\","
               "\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{}},"
               "\"strict\":false}],\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}" END,
               ""));
    CHECK(back(HI_IN ",\"tool_choice\":\"required\"}", HI_OUT ",\"tool_choice\":\"required\"" END,
               ""));
    /* Without tools it says nothing. */
    CHECK(back(HI_IN ",\"tool_choice\":\"none\",\"parallel_tool_calls\":true}", HI_OUT END, ""));
#define TOOL                                                                                       \
    ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{},\"strict\":false}]"
    CHECK(back(HI_IN TOOL ",\"tool_choice\":\"none\",\"parallel_tool_calls\":true}",
               HI_OUT TOOL ",\"tool_choice\":\"none\",\"parallel_tool_calls\":true" END, ""));
    CHECK(
        refused(HI_IN ",\"tools\":[{\"type\":\"web_search\"}]}", GW_EUNSUPPORTED, "tools[0].type"));
    CHECK(refused(HI_IN ",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"custom\","
                        "\"name\":\"c\"}]}",
                  GW_EUNSUPPORTED, "tools[1].type"));
    /* The shape of chat completions. */
    CHECK(refused(HI_IN ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
                  GW_EINVAL, "tools[0].name"));
    CHECK(refused(HI_IN
                  ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"defer_loading\":true}]}",
                  GW_EUNSUPPORTED, "tools[0].defer_loading"));
    CHECK(refused(HI_IN ",\"tool_choice\":{\"type\":\"allowed_tools\",\"tools\":[]}}",
                  GW_EUNSUPPORTED, "tool_choice.type"));
    CHECK(refused(HI_IN ",\"tool_choice\":\"any\"}", GW_EINVAL, "tool_choice"));
    CHECK(refused(HI_IN ",\"tools\":{}}", GW_EINVAL, "tools"));
}

static void test_hints_are_named_and_meanings_refused(void)
{
    static const char *const meant[] = {
        "\"background\":true",
        "\"max_tool_calls\":3",
        "\"conversation\":\"c\"",
        "\"previous_response_id\":\"resp_1\"",
        "\"prompt\":{\"id\":\"p\"}",
        "\"truncation\":\"auto\"",
        "\"x_new\":1",
        "\"context_management\":[{\"type\":\"compaction\"}]",
        "\"moderation\":{\"model\":\"m\"}",
    };
    struct gw_buf body = {0};

    CHECK(back(HI_IN
               ",\"store\":true,\"metadata\":{\"a\":\"b\"},\"user\":\"u\",\"safety_identifier\":"
               "\"s\",\"prompt_cache_key\":\"k\",\"service_tier\":\"auto\",\"truncation\":"
               "\"disabled\",\"stream_options\":{\"include_obfuscation\":false},\"include\":"
               "[\"reasoning.encrypted_content\"],\"prompt_cache_options\":{\"ttl\":\"30m\"}}",
               HI_OUT END,
               "store, metadata, user, safety_identifier, prompt_cache_key, service_tier, "
               "truncation, stream_options, include[0], prompt_cache_options"));
    for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++) {
        char param[32] = "";

        gw_buf_clear(&body);
        gw_buf_printf(&body, "%s,%s}", HI_IN, meant[i]);
        (void)sscanf(meant[i], "\"%31[a-z_]", param);
        CHECK(refused(body.ptr, GW_EUNSUPPORTED, param));
    }
    gw_buf_fini(&body);
    CHECK(refused(HI_IN ",\"prompt_cache_options\":{\"prewarm\":true}}", GW_EUNSUPPORTED,
                  "prompt_cache_options.prewarm"));
    CHECK(refused(HI_IN ",\"include\":[\"file_search_call.results\"]}", GW_EUNSUPPORTED,
                  "include[0]"));
    CHECK(refused(HI_IN ",\"include\":[\"message.output_text.logprobs\"]}", GW_EUNSUPPORTED,
                  "logprobs"));
    CHECK(refused(HI_IN ",\"reasoning\":{\"mode\":\"pro\"}}", GW_EUNSUPPORTED, "reasoning.mode"));
}

/* Items in, items out. */
static bool talk(const char *in, const char *want, const char *dropped)
{
    struct gw_buf a = {0}, b = {0};
    bool ok;

    gw_buf_printf(&a, "{\"model\":\"m\",\"input\":[%s]}", in);
    gw_buf_printf(&b, "{\"model\":\"m2\",%s" END, want);
    ok = back(a.ptr, b.ptr, dropped);
    gw_buf_fini(&a);
    gw_buf_fini(&b);
    return ok;
}

static bool silent(const char *in, enum gw_status st, const char *param)
{
    struct gw_buf a = {0};
    bool ok;

    gw_buf_printf(&a, "{\"model\":\"m\",\"input\":[%s]}", in);
    ok = refused(a.ptr, st, param);
    gw_buf_fini(&a);
    return ok;
}

#define INPUT(items) "\"input\":[" items "]"

static void test_messages(void)
{
    CHECK(talk("{\"role\":\"user\",\"content\":\"a\\u00e9\\n\"}", INPUT(USER("\"aé\\n\"")), ""));
    CHECK(talk("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"},"
               "{\"type\":\"input_text\",\"text\":\"b\"}]}",
               INPUT(USER("[{\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\","
                          "\"text\":\"b\"}]")),
               ""));
    /* What the model said comes back with the names and states it had. */
    CHECK(talk("{\"role\":\"user\",\"content\":\"q\"},{\"id\":\"msg_1\",\"type\":\"message\","
               "\"status\":\"completed\",\"role\":\"assistant\",\"phase\":\"final_answer\","
               "\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[],"
               "\"logprobs\":[]}]},{\"id\":\"msg_2\",\"role\":\"user\",\"content\":\"r\"}",
               INPUT(USER("\"q\"") "," ASSISTANT("a") "," USER("\"r\"")),
               "input[1].id, input[1].phase"));
    CHECK(talk(
        "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"refusal\",\"refusal\":\"no\"}]}",
        INPUT(USER("\"q\"") "," ITEM("assistant", "[{\"type\":\"refusal\",\"refusal\":\"no\"}]")),
        ""));
    CHECK(silent("{\"role\":\"critic\",\"content\":\"q\"}", GW_EINVAL, "input[0].role"));
    CHECK(silent("{\"role\":\"user\"}", GW_EINVAL, "input[0].content"));
    CHECK(silent("{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}", GW_EINVAL,
                 "input[0].content[0].type"));
    CHECK(silent("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}", GW_EINVAL,
                 "input[0].content[0].text"));
    CHECK(silent("{\"role\":\"user\",\"content\":[{\"type\":\"video\"}]}", GW_EUNSUPPORTED,
                 "input[0].content[0].type"));
    CHECK(silent("{\"role\":\"user\",\"content\":\"q\",\"weight\":1}", GW_EUNSUPPORTED,
                 "input[0].weight"));
    CHECK(silent("7", GW_EINVAL, "input[0]"));
    CHECK(silent("{}", GW_EINVAL, "input[0].type"));
}

static void test_instructions(void)
{
#define IN(instructions, items)                                                                    \
    "{\"model\":\"m\",\"input\":[" items "],\"instructions\":" instructions "}"
    CHECK(back(IN("\"I\\u0041\"", USER("\"q\"")),
               "{\"model\":\"m2\",\"instructions\":\"IA\"," INPUT(USER("\"q\"")) END, ""));
    /* System and developer texts before the conversation join them; later ones stay where they are. */
    CHECK(back(IN("\"I\"", ITEM("system", "\"s\"") "," DEVELOPER("\"d\"") "," USER(
                               "\"q\"") "," DEVELOPER("\"e\"")),
               "{\"model\":\"m2\",\"instructions\":\"I\\n\\ns\\n\\nd\"," INPUT(
                   USER("\"q\"") "," DEVELOPER("\"e\"")) END,
               ""));
    /* Something must be left as input. */
    CHECK(back(IN("\"I\"", ""), "{\"model\":\"m2\"," INPUT(DEVELOPER("\"I\"")) END, ""));
    CHECK(refused(IN("[]", USER("\"q\"")), GW_EINVAL, "instructions"));
}

static void test_media(void)
{
#define PART(part) "{\"role\":\"user\",\"content\":[" part "]}"
    CHECK(talk(
        PART("{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,iVBO\",\"detail\":"
             "\"low\"},{\"type\":\"input_image\",\"image_url\":\"https://h/i.png\",\"file_id\":"
             "null}"),
        INPUT(USER("[{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,iVBO\","
                   "\"detail\":\"low\"},{\"type\":\"input_image\",\"image_url\":"
                   "\"https://h/i.png\"}]")),
        ""));
    CHECK(talk(
        PART("{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":"
             "\"data:application/pdf;base64,JVBE\"},{\"type\":\"input_file\",\"file_url\":"
             "\"https://h/a.pdf\"},{\"type\":\"input_file\",\"file_data\":\"JVBE\"}"),
        INPUT(USER("[{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":"
                   "\"data:application/pdf;base64,JVBE\"},{\"type\":\"input_file\","
                   "\"file_url\":\"https://h/a.pdf\"},{\"type\":\"input_file\",\"filename\":"
                   "\"document\",\"file_data\":\"data:application/octet-stream;base64,JVBE\"}]")),
        ""));
    /* Files that lie at OpenAI. */
    CHECK(silent(PART("{\"type\":\"input_image\",\"file_id\":\"file-1\"}"), GW_EUNSUPPORTED,
                 "input[0].content[0].file_id"));
    CHECK(silent(PART("{\"type\":\"input_image\"}"), GW_EINVAL, "input[0].content[0]"));
    CHECK(silent(PART("{\"type\":\"input_file\"}"), GW_EINVAL, "input[0].content[0]"));
    CHECK(silent(PART("{\"type\":\"input_image\",\"image_url\":{\"url\":\"u\"}}"), GW_EINVAL,
                 "input[0].content[0].image_url"));
    CHECK(silent(PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\",\"format\":"
                      "\"wav\"}}"),
                 GW_EUNSUPPORTED, "messages[0].content"));
    CHECK(silent(PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\",\"format\":"
                      "\"ogg\"}}"),
                 GW_EINVAL, "input[0].content[0].input_audio.format"));
}

static void test_calls_and_results(void)
{
    CHECK(
        talk(USER("\"q\"") "," ASSISTANT("I look.") "," CALL("a", "{\\\"x\\\": 1}") "," CALL(
                 "b", "{}") "," RESULT("a", "\"1\"") "," RESULT("b", "\"2\"") "," USER("\"r\""),
             INPUT(USER("\"q\"") "," ASSISTANT("I look.") "," CALL("a", "{\\\"x\\\": 1}") "," CALL(
                 "b", "{}") "," RESULT("a", "\"1\"") "," RESULT("b", "\"2\"") "," USER("\"r\"")),
             ""));
    CHECK(talk(USER("\"q\"") "," CALL("a", "{}") "," RESULT(
                   "a", "[{\"type\":\"input_text\",\"text\":\"t\"},{\"type\":\"input_image\","
                        "\"image_url\":\"https://h/i\"}]"),
               INPUT(USER("\"q\"") "," CALL("a", "{}") "," RESULT(
                   "a", "[{\"type\":\"input_text\",\"text\":\"t\"},{\"type\":\"input_image\","
                        "\"image_url\":\"https://h/i\"}]")),
               ""));
    CHECK(talk(USER("\"q\"") "," CALL("a", "{}") "," RESULT("a", "[]"),
               INPUT(USER("\"q\"") "," CALL("a", "{}") "," RESULT("a", "\"\"")), ""));
    CHECK(silent("{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\"}", GW_EINVAL,
                 "input[0].arguments"));
    CHECK(
        silent("{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"{}\","
               "\"namespace\":\"n\"}",
               GW_EUNSUPPORTED, "input[0].namespace"));
    CHECK(silent(CALL("a", "[1]"), GW_EINVAL, "input[0].arguments"));
    CHECK(silent("{\"type\":\"function_call_output\",\"call_id\":\"a\"}", GW_EINVAL,
                 "input[0].output"));
    CHECK(silent(USER("\"q\"") ",{\"type\":\"web_search_call\",\"id\":\"w\"}", GW_EUNSUPPORTED,
                 "input[1].type"));
    CHECK(
        silent("{\"type\":\"item_reference\",\"id\":\"msg_1\"}", GW_EUNSUPPORTED, "input[0].type"));
    CHECK(silent("{\"id\":\"msg_1\"}", GW_EUNSUPPORTED, "input[0].id"));
}

static void test_reasoning_goes_back_to_openai_only(void)
{
#define REASONING(encrypted)                                                                       \
    "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"a\"},{\"type\":"   \
    "\"summary_text\",\"text\":\"b\"}],\"encrypted_content\":" encrypted "}"
    CHECK(
        talk(USER("\"q\"") "," REASONING("\"sluiceOpenAIItemgAAA\""),
             INPUT(USER("\"q\"") ",{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\","
                                 "\"text\":\"a\\n\\nb\"}],\"encrypted_content\":\"gAAA\"}"),
             ""));
    CHECK(talk(USER("\"q\"") "," REASONING("\"sluiceClaudeSignAAAA\""), INPUT(USER("\"q\"")),
               "messages[1].content[0]"));
    CHECK(
        talk(USER("\"q\"") "," REASONING("null"), INPUT(USER("\"q\"")), "messages[1].content[0]"));
    CHECK(silent("{\"type\":\"reasoning\",\"summary\":7}", GW_EINVAL, "input[0].summary"));
}

static void test_what_cannot_be_routed(void)
{
    CHECK(refused("{\"input\":\"hi\"}", GW_EINVAL, "model"));
    CHECK(refused("{\"model\":7,\"input\":\"hi\"}", GW_EINVAL, "model"));
    CHECK(refused("{\"model\":\"m\"}", GW_EINVAL, "input"));
    CHECK(refused("{\"model\":\"m\",\"input\":null}", GW_EINVAL, "input"));
    /* Those can be, but to OpenAI only. */
    CHECK(refused("{\"model\":\"m\",\"previous_response_id\":\"resp_1\"}", GW_EUNSUPPORTED,
                  "previous_response_id"));
    CHECK(refused("{\"model\":\"m\",\"input\":7}", GW_EINVAL, "input"));
    CHECK(refused(HI_IN ",\"temperature\":\"hot\"}", GW_EINVAL, "temperature"));
    CHECK(refused(HI_IN ",\"stream\":1}", GW_EINVAL, "stream"));
}

/* However little memory there is: the whole request, or the status that says so; never less of it. */
static void test_little_memory(void)
{
    static const char body[] = "{\"model\":\"m\",\"instructions\":\"\\u0041\",\"input\":[" USER(
        "[{\"type\":\"input_"
        "text\",\"text\":\"\\n\"}"
        "]") "," CALL("a",
                      "{}") "," RESULT("a",
                                       "\"\\t\"") ",{\"type\":\"reasoning\",\"summary\":[{\"text\":"
                                                  "\"\\u00e9\"}],"
                                                  "\"encrypted_content\":\"\\u0041\"}],\"tools\":[{"
                                                  "\"type\":"
                                                  "\"function\",\"name\":\"\\u0066\","
                                                  "\"description\":\"\\n\"}"
                                                  "],"
                                                  "\"text\":{\"format\":{\"type\":\"json_schema\","
                                                  "\"schema\":"
                                                  "{},"
                                                  "\"name\":\"\\u006e\"}},\"reasoning\":{"
                                                  "\"effort\":"
                                                  "\"\\u006c\"},"
                                                  "\"user\":\"u\"}";
    struct gw_json *json = gw_json_new();
    size_t n_ok = 0;

    for (size_t bytes = 64; bytes < 8192; bytes += 8) {
        struct gw_arena *tree = gw_arena_new(1 << 20), *arena = gw_arena_new(bytes);
        struct gw_json_node *root = NULL;
        struct api_request req = {0};
        const char *param = NULL;
        enum gw_status st;

        CHECK(gw_json_tree(json, tree, gw_span_str(body), NULL, &root, NULL) == GW_OK);
        st = api_read_request(API_RESPONSES, root, arena, &req, &param, NULL);
        n_ok += st == GW_OK;
        CHECK(st == GW_OK || (st == GW_ENOMEM && req.n_messages == 0));
        CHECK(st != GW_OK ||
              (req.bad == NULL && req.n_messages == 5 && req.n_extras == 1 && req.n_tools == 1 &&
               gw_span_is(req.tools[0].name, "f") && gw_span_is(req.tools[0].description, "\n") &&
               gw_span_is(req.schema_name, "n") && gw_span_is(req.reasoning_effort, "l") &&
               gw_span_is(req.messages[4].parts[0].json, "A")));
        gw_arena_free(arena);
        gw_arena_free(tree);
    }
    CHECK(n_ok > 0 && n_ok < 1000);
    gw_json_free(json);
}

int main(void)
{
    test_settings_are_kept();
    test_formats_are_kept();
    test_tools_are_kept();
    test_hints_are_named_and_meanings_refused();
    test_messages();
    test_instructions();
    test_media();
    test_calls_and_results();
    test_reasoning_goes_back_to_openai_only();
    test_what_cannot_be_routed();
    test_little_memory();
    return test_done();
}
