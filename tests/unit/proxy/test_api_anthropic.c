/* Anthropic's requests: what is read of them, and the exact bodies that are written. */
#include "tests/unit/proxy/api_lab.h"

/* An Anthropic request through the common form and back: what is kept, byte for byte. */
static bool back(const char *body, const char *want, const char *dropped)
{
    return lab_gives(API_ANTHROPIC, API_ANTHROPIC, body, want, dropped);
}

static bool refused(const char *body, enum gw_status st, const char *param)
{
    return lab_refuses(API_ANTHROPIC, API_ANTHROPIC, body, st, param);
}

#define HI    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_IN "{\"model\":\"m\",\"max_tokens\":9," HI
#define HI_OUT                                                                                     \
    "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","          \
    "\"text\":\"hi\"}]}],\"max_tokens\":9"

static void test_settings_are_kept(void)
{
    CHECK(back(HI_IN "}", HI_OUT "}", ""));
    CHECK(back("{\"model\":\"m\"," HI "}",
               "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
               "\"text\":\"hi\"}]}],\"max_tokens\":4096}",
               ""));
    CHECK(back(HI_IN ",\"temperature\":0.70,\"top_p\":9e-1,\"top_k\":40,\"stream\":true,"
                     "\"stop_sequences\":[\"A\\u0042\",\"\\n\\nHuman:\"]}",
               HI_OUT ",\"stop_sequences\":[\"AB\",\"\\n\\nHuman:\"],\"temperature\":0.70,"
                      "\"top_p\":9e-1,\"top_k\":40,\"stream\":true}",
               ""));
    CHECK(back(HI_IN ",\"temperature\":null,\"system\":null,\"tools\":null,\"stream\":null,"
                     "\"thinking\":null,\"unknown\":null}",
               HI_OUT "}", ""));
    CHECK(back(HI_IN ",\"output_config\":{\"effort\":\"xhigh\",\"format\":{\"type\":"
                     "\"json_schema\",\"schema\":{\"type\" :\"object\"}}}}",
               HI_OUT ",\"output_config\":{\"effort\":\"xhigh\",\"format\":{\"type\":"
                      "\"json_schema\",\"schema\":{\"type\" :\"object\"}}}}",
               ""));
    CHECK(back(HI_IN ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}}",
               HI_OUT ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}}",
               ""));
}

static void test_thinking_is_kept(void)
{
    CHECK(back(HI_IN ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}",
               HI_OUT ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}", ""));
    CHECK(
        back(HI_IN
             ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048,\"display\":\"omitted\"}}",
             HI_OUT
             ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048,\"display\":\"omitted\"}}",
             ""));
    CHECK(back(HI_IN ",\"thinking\":{\"type\":\"disabled\"}}",
               HI_OUT ",\"thinking\":{\"type\":\"disabled\"}}", ""));
    CHECK(back(HI_IN ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}}",
               HI_OUT ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}}", ""));
    CHECK(back(HI_IN ",\"thinking\":{\"type\":\"adaptive\"}}", HI_OUT "}", ""));
    CHECK(refused(HI_IN ",\"thinking\":{\"type\":\"between_tools\"}}", GW_EUNSUPPORTED,
                  "thinking.type"));
    /* Without a limit, the budget is added to the room for an answer. */
    CHECK(back("{\"model\":\"m\",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}," HI
               "}",
               "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
               "\"text\":\"hi\"}]}],\"max_tokens\":6096,\"thinking\":{\"type\":\"enabled\","
               "\"budget_tokens\":2000}}",
               ""));
}

static void test_hints_are_named(void)
{
    CHECK(back(HI_IN ",\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"auto\",\"speed\":"
                     "\"fast\",\"cache_control\":{\"type\":\"ephemeral\"}}",
               HI_OUT "}", "metadata, service_tier, speed, cache_control"));
    CHECK(back(HI_IN ",\"context_management\":{\"edits\":[{\"type\":\"clear_thinking_20251015\","
                     "\"keep\":\"all\"}]}}",
               HI_OUT "}", "context_management"));
    CHECK(refused(HI_IN ",\"context_management\":{\"edits\":[{\"type\":"
                        "\"clear_tool_uses_20250919\"}]}}",
                  GW_EUNSUPPORTED, "context_management"));
    CHECK(refused(HI_IN ",\"container\":\"c\"}", GW_EUNSUPPORTED, "container"));
    CHECK(refused(HI_IN ",\"mcp_servers\":[{}]}", GW_EUNSUPPORTED, "mcp_servers"));
    CHECK(back(HI_IN ",\"mcp_servers\":[]}", HI_OUT "}", ""));
    CHECK(refused(HI_IN ",\"inference_geo\":\"eu\"}", GW_EUNSUPPORTED, "inference_geo"));
    CHECK(refused(HI_IN ",\"x_new\":1}", GW_EUNSUPPORTED, "x_new"));
    CHECK(back("{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"S\","
               "\"cache_control\":{\"type\":\"ephemeral\"}}]," HI "}",
               "{\"model\":\"m2\",\"system\":[{\"type\":\"text\",\"text\":\"S\"}],\"messages\":[{"
               "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
               "\"max_tokens\":9}",
               "system[0].cache_control"));
}

static void test_tools_are_kept(void)
{
    CHECK(back(HI_IN ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"b\":1,"
                     "\"a\":[ 2 ]},\"strict\":true},{\"type\":\"custom\",\"name\":\"g\","
                     "\"input_schema\":{},\"strict\":false,\"defer_loading\":true,"
                     "\"allowed_callers\":[\"direct\"]}],"
                     "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}",
               HI_OUT ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"b\":1,"
                      "\"a\":[ 2 ]},\"strict\":true},{\"name\":\"g\",\"input_schema\":{}}],"
                      "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}",
               "tools[1].defer_loading"));
#define TOOL ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]"
    CHECK(back(HI_IN TOOL ",\"tool_choice\":{\"type\":\"any\"}}",
               HI_OUT TOOL ",\"tool_choice\":{\"type\":\"any\"}}", ""));
    CHECK(back(HI_IN TOOL ",\"tool_choice\":{\"type\":\"none\"}}",
               HI_OUT TOOL ",\"tool_choice\":{\"type\":\"none\"}}", ""));
    CHECK(back(HI_IN TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}}",
               HI_OUT TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}}", ""));
    /* A choice among no tools says nothing; Anthropic would refuse it. */
    CHECK(back(HI_IN ",\"tools\":[],\"tool_choice\":{\"type\":\"auto\"}}", HI_OUT "}", ""));
    CHECK(refused(HI_IN ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
                  GW_EUNSUPPORTED, "tools[0].type"));
    CHECK(refused(HI_IN ",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"allowed_callers\":"
                        "[\"code_execution_20250825\"]}]}",
                  GW_EUNSUPPORTED, "tools[0].allowed_callers"));
    CHECK(refused(HI_IN ",\"tools\":[{\"name\":\"a.b\",\"input_schema\":{}}]}", GW_EUNSUPPORTED,
                  "tools"));
}

/* messages in, messages out. */
static bool talk(const char *in, const char *want, const char *dropped)
{
    struct gw_buf a = {0}, b = {0};
    bool ok;

    gw_buf_printf(&a, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[%s]}", in);
    gw_buf_printf(&b, "{\"model\":\"m2\",\"messages\":[%s],\"max_tokens\":9}", want);
    ok = back(a.ptr, b.ptr, dropped);
    gw_buf_fini(&a);
    gw_buf_fini(&b);
    return ok;
}

static bool silent(const char *in, enum gw_status st, const char *param)
{
    struct gw_buf a = {0};
    bool ok;

    gw_buf_printf(&a, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[%s]}", in);
    ok = refused(a.ptr, st, param);
    gw_buf_fini(&a);
    return ok;
}

#define USER(blocks)      "{\"role\":\"user\",\"content\":[" blocks "]}"
#define ASSISTANT(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define SYSTEM(blocks)    "{\"role\":\"system\",\"content\":[" blocks "]}"
#define TEXT(text)        "{\"type\":\"text\",\"text\":\"" text "\"}"
#define CALL(id)          "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{\"x\": 1}}"
#define RESULT(id, text)                                                                           \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":[" TEXT(text) "]}"

static void test_roles_alternate(void)
{
    CHECK(talk(
        USER(TEXT("a")) "," USER(TEXT("b")) "," ASSISTANT(TEXT("c")) "," ASSISTANT(
            TEXT("d")) "," USER(TEXT("e")),
        USER(TEXT("a") "," TEXT("b")) "," ASSISTANT(TEXT("c") "," TEXT("d")) "," USER(TEXT("e")),
        ""));
    /* Results first in the message that follows the calls. */
    CHECK(talk(USER(TEXT("q")) "," ASSISTANT(CALL("a") "," CALL("b")) "," USER(
                   TEXT("see") "," RESULT("a", "1")) "," USER(RESULT("b", "2") "," TEXT("too")),
               USER(TEXT("q")) "," ASSISTANT(CALL("a") "," CALL("b")) "," USER(
                   RESULT("a", "1") "," RESULT("b", "2") "," TEXT("see") "," TEXT("too")),
               ""));
    /* Texts of nothing are not accepted there. */
    CHECK(talk(USER(TEXT("a")) "," ASSISTANT(TEXT("")) "," USER(TEXT(" \\n") "," TEXT("b")),
               USER(TEXT("a") "," TEXT("b")), "messages[2].content[0]"));
    CHECK(silent(USER(TEXT("")), GW_EUNSUPPORTED, "messages"));
}

static void test_system_texts_keep_their_place(void)
{
    CHECK(talk(USER(TEXT("a")) "," SYSTEM(TEXT("s")) "," ASSISTANT(TEXT("b")),
               USER(TEXT("a")) "," SYSTEM(TEXT("s")) "," ASSISTANT(TEXT("b")), ""));
    CHECK(silent(USER(TEXT("a")) "," ASSISTANT(TEXT("b")) "," SYSTEM(TEXT("s")), GW_EUNSUPPORTED,
                 "messages[2]"));
    CHECK(back("{\"model\":\"m\",\"max_tokens\":9,\"system\":\"S\",\"messages\":[" SYSTEM(
                   TEXT("T")) "," USER(TEXT("a")) "]}",
               "{\"model\":\"m2\",\"system\":[" TEXT("S") "," TEXT("T") "],\"messages\":[" USER(
                   TEXT("a")) "],\"max_tokens\":9}",
               ""));
}

static void test_tool_blocks(void)
{
    CHECK(talk(ASSISTANT(CALL("a.b:c/1")) "," USER(RESULT("a.b:c/1", "x")),
               ASSISTANT(CALL("a_b_c_1")) "," USER(RESULT("a_b_c_1", "x")), ""));
    CHECK(talk(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"plain\","
                    "\"is_error\":true}"),
               USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[" TEXT(
                   "plain") "],\"is_error\":true}"),
               ""));
    CHECK(talk(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"is_error\":false}"),
               USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}"), ""));
    CHECK(talk(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[" TEXT(
                   "") ",{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}]}"),
               USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":"
                    "\"image\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}]}"),
               ""));
    CHECK(talk(ASSISTANT("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{},"
                         "\"caller\":{\"type\":\"direct\"}}"),
               ASSISTANT("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}"), ""));
    CHECK(silent(ASSISTANT("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{},"
                           "\"caller\":{\"type\":\"code_execution_20250825\"}}"),
                 GW_EUNSUPPORTED, "messages[0].content[0].caller"));
    CHECK(silent(ASSISTANT("{\"type\":\"server_tool_use\",\"id\":\"a\",\"name\":\"web_search\","
                           "\"input\":{}}"),
                 GW_EUNSUPPORTED, "messages[0].content[0].type"));
    CHECK(silent(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[" TEXT(
                     "a") ",{\"type\":\"tool_reference\",\"tool_name\":\"f\"}]}"),
                 GW_EUNSUPPORTED, "messages[0].content[0].content[1].type"));
}

static void test_media(void)
{
#define IMAGE(type) "{\"type\":\"image\",\"source\":{\"type\":\"" type
    CHECK(talk(USER(IMAGE("base64") "\",\"media_type\":\"image/png\",\"data\":\"AA==\"}}"),
               USER(IMAGE("base64") "\",\"media_type\":\"image/png\",\"data\":\"AA==\"}}"), ""));
    CHECK(silent(USER(IMAGE("file") "\",\"file_id\":\"f\"}}"), GW_EUNSUPPORTED,
                 "messages[0].content[0].source.type"));
#define DOC(source, more) "{\"type\":\"document\",\"source\":" source more "}"
#define PDF               "{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}"
    CHECK(talk(USER(DOC(PDF, ",\"title\":\"t\"")), USER(DOC(PDF, ",\"title\":\"t\"")), ""));
    CHECK(talk(USER(DOC(PDF, ",\"context\":\"c\",\"citations\":{\"enabled\":false}")),
               USER(TEXT("c") "," DOC(PDF, "")), ""));
    CHECK(talk(USER(DOC("{\"type\":\"url\",\"url\":\"u\"}", "")),
               USER(DOC("{\"type\":\"url\",\"url\":\"u\"}", "")), ""));
    CHECK(talk(USER(DOC("{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"body\"}",
                        ",\"title\":\"t\",\"context\":\"c\"")),
               USER(TEXT("c") "," TEXT("t") "," TEXT("body")), ""));
    CHECK(talk(USER(DOC("{\"type\":\"content\",\"content\":[" TEXT("p1") "," TEXT("p2") "]}", "")),
               USER(TEXT("p1") "," TEXT("p2")), ""));
    CHECK(talk(USER(DOC("{\"type\":\"content\",\"content\":\"p\"}", "")), USER(TEXT("p")), ""));
    CHECK(silent(USER(DOC("{\"type\":\"file\",\"file_id\":\"f\"}", "")), GW_EUNSUPPORTED,
                 "messages[0].content[0].source.type"));
    CHECK(silent(USER(DOC(PDF, ",\"citations\":{\"enabled\":true}")), GW_EUNSUPPORTED,
                 "messages[0].content[0].citations"));
    CHECK(
        talk(USER("{\"type\":\"search_result\",\"source\":\"s\",\"title\":\"t\",\"content\":[" TEXT(
                 "a") "," TEXT("b") "]}"),
             USER(TEXT("t") "," TEXT("s") "," TEXT("a") "," TEXT("b")), ""));
}

/* Only what Anthropic signed goes back to it, and only when it came through here. */
static void test_reasoning(void)
{
#define THINK(text, sig)                                                                           \
    "{\"type\":\"thinking\",\"thinking\":\"" text "\",\"signature\":\"" sig "\"}"
    CHECK(talk(ASSISTANT(THINK("t", "sluiceClaudeSignSIG=") "," TEXT("a")),
               ASSISTANT(THINK("t", "SIG=") "," TEXT("a")), ""));
    CHECK(talk(ASSISTANT(THINK("", "sluiceClaudeHideBLOB") "," TEXT("a")),
               ASSISTANT("{\"type\":\"redacted_thinking\",\"data\":\"BLOB\"}," TEXT("a")), ""));
    CHECK(talk(ASSISTANT(THINK("t", "SIG=") "," TEXT("a")), ASSISTANT(TEXT("a")),
               "messages[0].content[0]"));
    CHECK(
        talk(ASSISTANT(THINK("t", "sluiceGeminiSignX") ",{\"type\":\"redacted_thinking\",\"data\":"
                                                       "\"B\"}," TEXT("a")),
             ASSISTANT(TEXT("a")), "messages[0].content[0], messages[0].content[1]"));
}

static void test_ill_typed_is_named(void)
{
    static const struct {
        const char *more, *param;
    } cases[] = {
        {",\"temperature\":\"hot\"", "temperature"},
        {",\"max_tokens\":true", "max_tokens"},
        {",\"stream\":\"yes\"", "stream"},
        {",\"stop_sequences\":\"x\"", "stop_sequences"},
        {",\"stop_sequences\":[1]", "stop_sequences"},
        {",\"tools\":{\"a\":1}", "tools"},
        {",\"tools\":[3]", "tools[0]"},
        {",\"tools\":[{\"input_schema\":{}}]", "tools[0].name"},
        {",\"tools\":[{\"name\":\"f\",\"input_schema\":[]}]", "tools[0].input_schema"},
        {",\"tool_choice\":\"auto\"", "tool_choice.type"},
        {",\"tool_choice\":{\"type\":\"tool\"}", "tool_choice.name"},
        {",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":\"x\"}", "thinking.budget_tokens"},
        {",\"output_config\":3", "output_config"},
        {",\"system\":{\"a\":1}", "system"},
        {",\"system\":[\"a\"]", "system"},
    };
    static const struct {
        const char *message, *param;
    } talks[] = {
        {"3", "messages[0]"},
        {"{\"role\":\"tool\",\"content\":\"a\"}", "messages[0].role"},
        {"{\"role\":\"user\"}", "messages[0].content"},
        {"{\"role\":\"user\",\"content\":[\"a\"]}", "messages[0].content"},
        {USER("{}"), "messages[0].content[0].type"},
        {USER("{\"type\":\"text\"}"), "messages[0].content[0].text"},
        {USER("{\"type\":\"image\"}"), "messages[0].content[0].source"},
        {USER("{\"type\":\"document\",\"source\":3}"), "messages[0].content[0].source"},
        {ASSISTANT("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":\"{}\"}"),
         "messages[0].content[0].input"},
        {USER("{\"type\":\"tool_result\",\"content\":\"a\"}"),
         "messages[0].content[0].tool_use_id"},
        {USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[1]}"),
         "messages[0].content[0].content"},
    };
    struct gw_buf b = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        gw_buf_clear(&b);
        gw_buf_printf(&b, "{\"model\":\"m\"," HI "%s}", cases[i].more);
        if (!CHECK(refused(b.ptr, GW_EINVAL, cases[i].param)))
            fprintf(stderr, "  %s\n", cases[i].more);
    }
    for (size_t i = 0; i < sizeof(talks) / sizeof(*talks); i++)
        if (!CHECK(silent(talks[i].message, GW_EINVAL, talks[i].param)))
            fprintf(stderr, "  %s\n", talks[i].message);
    gw_buf_fini(&b);
}

static void test_unroutable(void)
{
    CHECK(refused("[]", GW_EINVAL, ""));
    CHECK(refused("{" HI "}", GW_EINVAL, "model"));
    CHECK(refused("{\"model\":\"\"," HI "}", GW_EINVAL, "model"));
    CHECK(refused("{\"model\":3," HI "}", GW_EINVAL, "model"));
    CHECK(refused("{\"model\":\"m\"}", GW_EINVAL, "messages"));
    CHECK(refused("{\"model\":\"m\",\"messages\":[]}", GW_EINVAL, "messages"));
    CHECK(refused("{\"model\":\"m\",\"messages\":\"hi\"}", GW_EINVAL, "messages"));
}

int main(void)
{
    test_settings_are_kept();
    test_thinking_is_kept();
    test_hints_are_named();
    test_tools_are_kept();
    test_roles_alternate();
    test_system_texts_keep_their_place();
    test_tool_blocks();
    test_media();
    test_reasoning();
    test_ill_typed_is_named();
    test_unroutable();
    return test_done();
}
