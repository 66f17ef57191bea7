/* Between OpenAI's chat completions and Anthropic's messages: requests, answers and streams, both ways. */
#include "tests/unit/proxy/api_lab.h"

static bool to_anthropic(const char *body, const char *want, const char *dropped)
{
    return lab_gives(API_CHAT, API_ANTHROPIC, body, want, dropped);
}

static void test_chat_requests_are_translated(void)
{
    CHECK(to_anthropic(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":"
        "\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"D\"}]},{\"role\":\"user\","
        "\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"image_url\",\"image_url\":{"
        "\"url\":\"data:image/png;base64,AAAA\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"https://x.test/y.png\"}},{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
        "\"file_data\":\"data:application/pdf;base64,JVBE\"}}]}],\"max_completion_tokens\":100,"
        "\"temperature\":0.2,\"stop\":\"A\",\"stream\":true,\"stream_options\":{\"include_usage\":"
        "true}}",
        "{\"model\":\"m2\",\"system\":[{\"type\":\"text\",\"text\":\"S\"},{\"type\":\"text\","
        "\"text\":\"D\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":\"hi\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
        "\"image/png\",\"data\":\"AAAA\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\","
        "\"url\":\"https://x.test/y.png\"}},{\"type\":\"document\",\"source\":{\"type\":"
        "\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"},\"title\":\"a.pdf\"}]}],"
        "\"max_tokens\":100,\"stop_sequences\":[\"A\"],\"temperature\":0.2,\"stream\":true}",
        ""));
    /* Parallel calls, their results in two messages, and the user's text after them. */
    CHECK(to_anthropic(
        "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{"
        "\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"w\",\"arguments\":\"{\\\"a\\\": 1}\"}},{\"id\":"
        "\"call.2\",\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":\"\"}},{"
        "\"id\":\"c3\",\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":"
        "\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"r1\"},{"
        "\"role\":\"tool\",\"tool_call_id\":\"call.2\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"r2\"}]},{\"role\":\"tool\",\"tool_call_id\":\"c3\",\"content\":\"\"},{\"role\":"
        "\"user\",\"content\":\"go\"}]}",
        "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":\"q\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
        "\"call_1\",\"name\":\"w\",\"input\":{\"a\": 1}},{\"type\":\"tool_use\",\"id\":\"call_2\","
        "\"name\":\"w\",\"input\":{}},{\"type\":\"tool_use\",\"id\":\"c3\",\"name\":\"w\","
        "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
        "\"tool_result\",\"tool_use_id\":\"call_1\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"r1\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"call_2\",\"content\":[{\"type\":"
        "\"text\",\"text\":\"r2\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"c3\"},{\"type\":"
        "\"text\",\"text\":\"go\"}]}],\"max_tokens\":5}",
        ""));
    CHECK(to_anthropic(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\",\"name\":\"bob\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"w\",\"description\":\"d\","
        "\"parameters\":{\"type\": \"object\"},\"strict\":true}},{\"type\":\"function\","
        "\"function\":{\"name\":\"v\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{"
        "\"name\":\"w\"}},\"parallel_tool_calls\":false,\"reasoning_effort\":\"minimal\",\"seed\":"
        "3,\"user\":\"u\",\"presence_penalty\":0.0,\"n\":1,\"response_format\":{\"type\":"
        "\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"a\":1},\"strict\":true}}}",
        "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":\"q\"}]}],\"max_tokens\":4096,\"tools\":[{\"name\":\"w\",\"description\":\"d\","
        "\"input_schema\":{\"type\": \"object\"},\"strict\":true},{\"name\":\"v\",\"input_schema\":"
        "{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":\"tool\",\"name\":"
        "\"w\",\"disable_parallel_tool_use\":true},\"output_config\":{\"effort\":\"low\","
        "\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}}}",
        "user, seed, response_format.json_schema.name, messages[0].name"));
    CHECK(to_anthropic("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],"
                       "\"reasoning_effort\":\"none\",\"max_tokens\":3}",
                       "{\"model\":\"m2\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                       "\"text\",\"text\":\"q\"}]}],\"max_tokens\":3,\"thinking\":{\"type\":"
                       "\"disabled\"}}",
                       ""));
}

static void test_what_anthropic_cannot_say_is_refused(void)
{
    static const struct {
        const char *more, *param;
    } cases[] = {
        {"\"n\":2", "n"},
        {"\"logprobs\":true", "logprobs"},
        {"\"temperature\":1.01", "temperature"},
        {"\"presence_penalty\":0.5", "presence_penalty"},
        {"\"frequency_penalty\":-1", "frequency_penalty"},
        {"\"response_format\":{\"type\":\"json_object\"}", "response_format"},
        {"\"stop\":[\"x\",\"\\n\"]", "stop"},
        {"\"reasoning_effort\":\"enormous\"", "reasoning_effort"},
    };
    static const struct {
        const char *content, *param;
    } parts[] = {
        {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}",
         "messages[0].content[0]"},
        {"{\"type\":\"file\",\"file\":{\"filename\":\"a.csv\",\"file_data\":"
         "\"data:text/csv;base64,AAAA\"}}",
         "messages[0].content[0]"},
    };
    struct gw_buf b = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        gw_buf_clear(&b);
        gw_buf_printf(&b,
                      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],%s}",
                      cases[i].more);
        CHECK(lab_refuses(API_CHAT, API_ANTHROPIC, b.ptr, GW_EUNSUPPORTED, cases[i].param));
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        gw_buf_clear(&b);
        gw_buf_printf(&b, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[%s]}]}",
                      parts[i].content);
        CHECK(lab_refuses(API_CHAT, API_ANTHROPIC, b.ptr, GW_EUNSUPPORTED, parts[i].param));
    }
    gw_buf_fini(&b);
}

/* As an agent sends it: cached system text, thinking of the last turn, parallel results, one of them failed. */
static void test_anthropic_requests_are_translated(void)
{
    CHECK(lab_gives(
        API_ANTHROPIC, API_CHAT,
        "{\"model\":\"m\",\"max_tokens\":1024,\"system\":[{\"type\":\"text\",\"text\":\"S\","
        "\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
        "\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]},{\"role\":\"assistant\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"ok\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"w\","
        "\"input\":{\"a\": 1}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"w\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","
        "\"content\":[{\"type\":\"text\",\"text\":\"r1\"}]},{\"type\":\"tool_result\","
        "\"tool_use_id\":\"t2\",\"content\":\"r2\"},{\"type\":\"text\",\"text\":\"go\"}]}],"
        "\"tools\":[{\"name\":\"w\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{"
        "\"type\":\"any\",\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":\"adaptive\"},"
        "\"output_config\":{\"effort\":\"high\"},\"metadata\":{\"user_id\":\"u\"},\"stream\":true}",
        "{\"model\":\"m2\",\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":"
        "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"image_url\","
        "\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}]},{\"role\":\"assistant\","
        "\"content\":\"ok\",\"tool_calls\":[{\"type\":\"function\",\"id\":\"t1\",\"function\":{"
        "\"name\":\"w\",\"arguments\":\"{\\\"a\\\": 1}\"}},{\"type\":\"function\",\"id\":\"t2\","
        "\"function\":{\"name\":\"w\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
        "\"tool_call_id\":\"t1\",\"content\":\"r1\"},{\"role\":\"tool\",\"tool_call_id\":\"t2\","
        "\"content\":\"r2\"},{\"role\":\"user\",\"content\":\"go\"}],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"w\",\"parameters\":{\"type\":\"object\"}}}],"
        "\"parallel_tool_calls\":false,\"tool_choice\":\"required\",\"max_tokens\":1024,"
        "\"reasoning_effort\":\"high\",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
        "}",
        "system[0].cache_control, metadata"));
}

/* ---- answers -------------------------------------------------------------------------------- */

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\"," \
    "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}\n\n"
#define CALLED(i, rest) "\"tool_calls\":[{\"index\":" i "," rest "}]"
#define EV(name, data)  "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"

static void add(struct gw_buf *b, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gw_buf_adds(b, parts[i]);
}

static void test_chat_streams_are_translated(void)
{
    static const char *const chunks[] = {
        CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null"),
        CHUNK("\"content\":\"Hi\"", "null"),
        CHUNK(CALLED("0", "\"id\":\"k1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                          "\"arguments\":\"\"}"),
              "null"),
        CHUNK(CALLED("0", "\"function\":{\"arguments\":\"{\\\"a\\\":\"}"), "null"),
        CHUNK(CALLED("0", "\"function\":{\"arguments\":\"1}\"}"), "null"),
        CHUNK(CALLED("1", "\"id\":\"k2\",\"type\":\"function\",\"function\":{\"name\":\"g\","
                          "\"arguments\":\"{}\"}"),
              "null"),
        CHUNK("", "\"tool_calls\""),
        "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,"
        "\"completion_tokens\":5,\"total_tokens\":17,\"prompt_tokens_details\":{"
        "\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n",
    };
    static const char *const events[] = {
        EV("message_start",
           ",\"message\":{\"id\":\"msg_01TEST\",\"type\":\"message\",\"role\":\"assistant\","
           "\"model\":\"gpt-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
           "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
           "\"cache_read_input_tokens\":0,\"output_tokens\":0}}"),
        EV("content_block_start",
           ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        EV("content_block_delta",
           ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}"),
        EV("content_block_stop", ",\"index\":0"),
        EV("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":"
                                  "\"k1\",\"name\":\"f\",\"input\":{}}"),
        EV("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
                                  "\"partial_json\":\"{\\\"a\\\":\"}"),
        EV("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
                                  "\"partial_json\":\"1}\"}"),
        EV("content_block_stop", ",\"index\":1"),
        EV("content_block_start", ",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":"
                                  "\"k2\",\"name\":\"g\",\"input\":{}}"),
        EV("content_block_delta", ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\","
                                  "\"partial_json\":\"{}\"}"),
        EV("content_block_stop", ",\"index\":2"),
        EV("message_delta",
           ",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{"
           "\"input_tokens\":8,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":4,"
           "\"output_tokens\":5}"),
        EV("message_stop", ""),
    };
    struct lab_how how = {.from_stream = true, .to_stream = true};
    struct gw_buf in = {0}, want = {0};

    add(&in, chunks, sizeof(chunks) / sizeof(*chunks));
    add(&want, events, sizeof(events) / sizeof(*events));
    for (how.at = 0; how.at <= in.len; how.at += 7)
        if (!CHECK(lab_answers(API_CHAT, API_ANTHROPIC, in.ptr, how, false, want.ptr)))
            break;
    how.at = 0;
    how.step = 1;
    CHECK(lab_answers(API_CHAT, API_ANTHROPIC, in.ptr, how, false, want.ptr));
    /* The same, gathered. */
    how.to_stream = false;
    CHECK(lab_answers(
        API_CHAT, API_ANTHROPIC, in.ptr, how, false,
        "{\"id\":\"msg_01TEST\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt-x\","
        "\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"tool_use\",\"id\":\"k1\","
        "\"name\":\"f\",\"input\":{\"a\":1}},{\"type\":\"tool_use\",\"id\":\"k2\",\"name\":\"g\","
        "\"input\":{}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{"
        "\"input_tokens\":8,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":4,"
        "\"output_tokens\":5}}\n"));
    gw_buf_fini(&in);
    gw_buf_fini(&want);
}

/* What a target counts before it answers stands in the stream's first event already. */
static void test_first_event_has_what_is_known(void)
{
    static const struct {
        enum api_dialect from;
        const char *first;
    } cases[] = {
        {API_CHAT, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":"
                   "{\"prompt_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":5}}}"},
        {API_GEMINI, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"index\":0}],"
                     "\"usageMetadata\":{\"promptTokenCount\":12,\"cachedContentTokenCount\":5}}"},
    };
    const struct lab_how how = {.from_stream = true, .to_stream = true};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct gw_buf in = {0};
        struct lab_answer a;
        const char *usage;

        gw_buf_printf(&in, "data: %s\n\n", cases[i].first);
        lab_answer(cases[i].from, API_ANTHROPIC, in.ptr, how, &a);
        usage = strstr(a.out.ptr, "\"usage\":{\"input_tokens\":7,\"cache_creation_input_tokens\":0,"
                                  "\"cache_read_input_tokens\":5,");
        CHECK(usage != NULL && usage < strstr(a.out.ptr, "content_block"));
        lab_forget_answer(&a);
        gw_buf_fini(&in);
    }
}

static void test_chat_errors_are_translated(void)
{
    const struct lab_how how = {.from_stream = true, .to_stream = true};

    CHECK(lab_answers(API_CHAT, API_ANTHROPIC,
                      "data: {\"error\":{\"message\":\"Slow down\",\"type\":\"rate_limit_error\","
                      "\"code\":429}}\n\n",
                      how, false,
                      EV("error", ",\"error\":{\"type\":\"rate_limit_error\",\"message\":"
                                  "\"Slow down\"}")));
}

static void test_anthropic_answers_are_translated(void)
{
    const struct lab_how whole = {0};

    CHECK(lab_answers(
        API_ANTHROPIC, API_CHAT,
        "{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude-x\",\"content\":[{\"type\":"
        "\"thinking\",\"thinking\":\"hm\",\"signature\":\"S\"},{\"type\":\"text\",\"text\":"
        "\"Hi\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"a\": 1}},{"
        "\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}],\"stop_reason\":"
        "\"tool_use\",\"usage\":{\"input_tokens\":8,\"cache_read_input_tokens\":4,"
        "\"output_tokens\":5}}",
        whole, false,
        "{\"id\":\"chatcmpl-01TEST\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"claude-x\",\"system_fingerprint\":null,\"choices\":[{\"index\":0,\"message\":"
        "{\"role\":\"assistant\",\"content\":\"Hi\",\"reasoning_content\":\"hm\",\"refusal\":null,"
        "\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\": 1}\"}},{\"id\":\"t2\",\"type\":\"function\",\"function\":{"
        "\"name\":\"g\",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":"
        "\"tool_calls\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5,"
        "\"total_tokens\":17,\"prompt_tokens_details\":{\"cached_tokens\":4},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n"));
}

int main(void)
{
    test_chat_requests_are_translated();
    test_what_anthropic_cannot_say_is_refused();
    test_anthropic_requests_are_translated();
    test_chat_streams_are_translated();
    test_first_event_has_what_is_known();
    test_chat_errors_are_translated();
    test_anthropic_answers_are_translated();
    return test_done();
}
