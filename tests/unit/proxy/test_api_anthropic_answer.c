/* Anthropic's answers: read as events and written from them, whole and streamed, cut anywhere, and when they are wrong. */
#include "tests/unit/proxy/api_lab.h"

static const struct lab_how whole = {0}, stream = {.from_stream = true, .to_stream = true};

#define EV(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define START                                                                                      \
    EV("message_start",                                                                            \
       ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"     \
       "\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"       \
       "\"input_tokens\":10,\"cache_read_input_tokens\":3,\"cache_creation_input_tokens\":2,"      \
       "\"output_tokens\":1}}")
#define BLOCK(i, block) EV("content_block_start", ",\"index\":" i ",\"content_block\":{" block "}")
#define DELTA(i, delta) EV("content_block_delta", ",\"index\":" i ",\"delta\":{" delta "}")
#define STOP(i)         EV("content_block_stop", ",\"index\":" i)
#define END(reason, more)                                                                          \
    EV("message_delta",                                                                            \
       ",\"delta\":{\"stop_reason\":\"" reason "\"" more "},\"usage\":{\"output_tokens\":7}")      \
    EV("message_stop", "")
#define TEXT_BLOCK "\"type\":\"text\",\"text\":\"\""
#define TEXT(text) "\"type\":\"text_delta\",\"text\":\"" text "\""
#define TOOL(id)   "\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{}"
#define JSON(text) "\"type\":\"input_json_delta\",\"partial_json\":\"" text "\""
#define THINK      "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\""

static bool says(const char *text, const char *want)
{
    return lab_answers(API_ANTHROPIC, API_ANTHROPIC, text, stream, true, want);
}

/* The events of a stream, whatever the pieces it comes in. */
static bool hears(const char *text, const char *want)
{
    struct lab_how how = stream;
    bool ok;

    how.step = 1;
    ok = lab_answers(API_ANTHROPIC, API_ANTHROPIC, text, how, true, want);
    how.step = 0;
    for (how.at = 0; ok && how.at <= strlen(text); how.at++)
        ok = lab_answers(API_ANTHROPIC, API_ANTHROPIC, text, how, true, want);
    return ok;
}

static void test_streams_are_read(void)
{
    CHECK(hears(START BLOCK("0", TEXT_BLOCK) "event: ping\ndata: {\"type\":\"ping\"}\n\n" DELTA(
                    "0", TEXT("Hel")) DELTA("0", TEXT("lo \\u00e9\\n")) STOP("0")
                    END("end_turn", ""),
                "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:text[ Hel lo \xc3\xa9\n ] "
                "usage(15,7,3,2,0) 0.finish(stop) end"));
    /* Two calls at once, one without arguments, after thinking. */
    CHECK(
        hears(START BLOCK("0", THINK) DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"hm\"")
                  DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"SIG\"") STOP("0")
                      BLOCK("1", "\"type\":\"redacted_thinking\",\"data\":\"BLOB\"") STOP("1")
                          BLOCK("2", TOOL("t1")) DELTA("2", JSON("")) DELTA("2", JSON("{\\\"a\\\""))
                              DELTA("2", JSON(":1}")) STOP("2") BLOCK("3", TOOL("t2")) STOP("3")
                                  END("tool_use", ""),
              "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:reasoning[ hm sig:sluiceClaudeSignSIG ] "
              "0.1:reasoning[ sig:sluiceClaudeHideBLOB ] 0.2:tool(t1,f)[ {\"a\" :1} ] "
              "0.3:tool(t2,f)[ {} ] usage(15,7,3,2,0) 0.finish(tool) end"));
}

static void test_stop_reasons(void)
{
    static const struct {
        const char *reason, *want;
    } cases[] = {
        {"\"end_turn\"", "stop"},
        {"\"max_tokens\"", "length"},
        {"\"model_context_window_exceeded\"", "length"},
        {"\"tool_use\"", "tool"},
        {"\"refusal\"", "refusal"},
        {"\"pause_turn\"", "other"},
        {"\"something_new\"", "other"},
        {"\"stop_sequence\",\"stop_sequence\":\"END\"", "stop_sequence:END"},
    };
    struct gw_buf in = {0}, want = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        gw_buf_clear(&in);
        gw_buf_clear(&want);
        gw_buf_printf(&in, "{\"id\":\"i\",\"model\":\"m\",\"content\":[],\"stop_reason\":%s}",
                      cases[i].reason);
        gw_buf_printf(&want, "start(i,m) 0.finish(%s) end", cases[i].want);
        CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC, in.ptr, whole, true, want.ptr));
    }
    gw_buf_fini(&in);
    gw_buf_fini(&want);
    CHECK(says(START END("refusal", ",\"stop_details\":{\"type\":\"refusal\",\"explanation\":"
                                    "\"No.\"}"),
               "start(msg_1,claude-x) usage(15,1,3,2,0) usage(15,7,3,2,0) 0.0:refusal[ No. ] "
               "0.finish(refusal) end"));
    CHECK(says(START EV("message_stop", ""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.finish(other) end"));
}

static void test_whole_answers_are_read(void)
{
    CHECK(lab_answers(
        API_ANTHROPIC, API_ANTHROPIC,
        "{\"usage\":{\"input_tokens\":4,\"output_tokens\":9,\"output_tokens_details\":{"
        "\"thinking_tokens\":5}},\"stop_reason\":\"tool_use\",\"content\":[{\"type\":\"thinking\","
        "\"thinking\":\"t\",\"signature\":\"S\"},{\"text\":\"a\\tb\",\"type\":\"text\","
        "\"citations\":null},{\"type\":\"tool_use\",\"input\":{\"n\": 12345678901234567890.50},"
        "\"name\":\"f\",\"id\":\"c\"},{\"type\":\"tool_use\",\"id\":\"d\",\"name\":\"g\",\"input\":"
        "{}}],\"type\":\"message\",\"model\":\"m\",\"id\":\"i\"}",
        whole, true,
        "start(i,m) usage(4,9,0,0,5) 0.0:reasoning[ t sig:sluiceClaudeSignS ] 0.1:text[ a\tb ] "
        "0.2:tool(c,f)[ {\"n\": 12345678901234567890.50} ] 0.3:tool(d,g)[ {} ] 0.finish(tool) "
        "end"));
}

static void test_wrong_streams_end_in_errors(void)
{
    CHECK(says(START BLOCK("0", TEXT_BLOCK) DELTA("0", TEXT("a")),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:text[ a error(502,upstream_truncated,"
               "The provider's answer broke off before its end.) "));
    CHECK(says("", "error(502,upstream_truncated,The provider's answer broke off before its "
                   "end.) "));
    CHECK(says(START EV("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}")
                   EV("message_stop", ""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) error(529,-,Busy) "));
    CHECK(says(EV("error", ",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}"),
               "error(429,-,Slow) "));
    CHECK(says(EV("error", ""), "error(500,-,The provider failed.) "));
#define MALFORMED "error(502,upstream_malformed,The provider's answer is not what its API says.) "
    CHECK(says(EV("message_stop", ""), MALFORMED));
    CHECK(says(BLOCK("0", TEXT_BLOCK), MALFORMED));
    CHECK(says("event: message_start\ndata: {oops\n\n", MALFORMED));
    CHECK(says(START DELTA("0", TEXT("a")), "start(msg_1,claude-x) usage(15,1,3,2,0) " MALFORMED));
    CHECK(says(START BLOCK("0", TEXT_BLOCK) DELTA("0", JSON("{}")),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:text[ " MALFORMED));
    CHECK(says(START EV("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}")
                   BLOCK("0", TEXT_BLOCK),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.finish(stop) " MALFORMED));
#define LOST                                                                                       \
    "error(502,unsupported_answer,The provider's answer holds a part that cannot be said in the "  \
    "client's API.) "
    CHECK(says(START BLOCK("0", "\"type\":\"server_tool_use\",\"id\":\"s\"") STOP("0"),
               "start(msg_1,claude-x) usage(15,1,3,2,0) " LOST));
    CHECK(says(START BLOCK("0", TEXT_BLOCK) DELTA("0", "\"type\":\"new_delta\",\"text\":\"a\""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:text[ " LOST));
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC,
                      "{\"content\":[{\"type\":\"web_search_tool_result\"}]}", whole, true,
                      "start(,) " LOST));
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC,
                      "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}",
                      whole, true, "error(500,-,x) "));
}

/* Gateways in between repeat, leave out and add. */
static void test_odd_streams_are_read(void)
{
    CHECK(says(START START BLOCK("0", TEXT_BLOCK) DELTA("0", TEXT("a")) STOP("0") STOP("0")
                   END("end_turn", ""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) usage(15,1,3,2,0) 0.0:text[ a ] "
               "usage(15,7,3,2,0) 0.finish(stop) end"));
    /* Without "event" lines, with events nobody knows, with OpenAI's end. */
    CHECK(says("data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"new\"}\n\n"
               "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
               "data: [DONE]\n\ndata: {\"type\":\"message_stop\"}",
               "start(,) 0.finish(stop) end"));
    /* A block that was not ended. */
    CHECK(says(START BLOCK("0", TOOL("a")) BLOCK("1", TEXT_BLOCK) END("end_turn", ""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:tool(a,f)[ {} ] 0.1:text[ "
               "usage(15,7,3,2,0) ] 0.finish(stop) end"));
    /* Citations of a text are no text. */
    CHECK(says(START BLOCK("0", TEXT_BLOCK)
                   DELTA("0", "\"type\":\"citations_delta\",\"citation\":{}") STOP("0")
                       END("end_turn", ""),
               "start(msg_1,claude-x) usage(15,1,3,2,0) 0.0:text[ ] usage(15,7,3,2,0) "
               "0.finish(stop) end"));
}

/* ---- writing -------------------------------------------------------------------------------- */

#define W_START                                                                                    \
    EV("message_start",                                                                            \
       ",\"message\":{\"id\":\"msg_01TEST\",\"type\":\"message\",\"role\":\"assistant\",\"model\"" \
       ":\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"      \
       "\"input_tokens\":10,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":3,"      \
       "\"output_tokens\":1}}")
#define W_USAGE                                                                                    \
    "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":2,"                            \
    "\"cache_read_input_tokens\":3,\"output_tokens\":7}"
#define W_END(reason, sequence)                                                                    \
    EV("message_delta",                                                                            \
       ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":" sequence "}," W_USAGE)      \
    EV("message_stop", "")

static void test_streams_are_written(void)
{
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC,
                      START BLOCK("0", TEXT_BLOCK) DELTA("0", TEXT("Hi \\\"x\\\"")) STOP("0") BLOCK(
                          "1", TOOL("t1")) DELTA("1", JSON("{\\\"a\\\"")) DELTA("1", JSON(":1}"))
                          STOP("1") BLOCK("2", TOOL("")) STOP("2") END("tool_use", ""),
                      stream, false,
                      W_START BLOCK("0", TEXT_BLOCK) DELTA("0", TEXT("Hi \\\"x\\\"")) STOP("0")
                          BLOCK("1", TOOL("t1")) DELTA("1", JSON("{\\\"a\\\""))
                              DELTA("1", JSON(":1}")) STOP("1") BLOCK("2", TOOL("toolu_01TEST_2"))
                                  DELTA("2", JSON("{}")) STOP("2") W_END("tool_use", "null")));
    CHECK(lab_answers(
        API_ANTHROPIC, API_ANTHROPIC,
        START BLOCK("0", THINK) DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"hm\"")
            DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"SIG\"") STOP("0")
                END("stop_sequence", ",\"stop_sequence\":\"E\\n\""),
        stream, false,
        W_START BLOCK("0", THINK) DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"hm\"")
            DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"sluiceClaudeSignSIG\"")
                STOP("0") W_END("stop_sequence", "\"E\\n\"")));
    /* Reasoning that nobody signed is marked, so that it is not sent to Anthropic later. */
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC, START BLOCK("0", THINK) END("end_turn", ""),
                      stream, false,
                      W_START BLOCK("0", THINK) DELTA("0", "\"type\":\"signature_delta\","
                                                           "\"signature\":\"sluiceNoneSigned\"")
                          STOP("0") W_END("end_turn", "null")));
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC, START BLOCK("0", TEXT_BLOCK), stream, false,
                      W_START BLOCK("0", TEXT_BLOCK)
                          EV("error", ",\"error\":{\"type\":\"api_error\",\"message\":\"The "
                                      "provider's answer broke off before its end.\"}")));
}

static void test_whole_answers_are_written(void)
{
    const struct lab_how gathered = {.from_stream = true};

    CHECK(lab_answers(
        API_ANTHROPIC, API_ANTHROPIC,
        START BLOCK("0", THINK) DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"h\"")
            DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"m\"") STOP("0")
                BLOCK("1", TEXT_BLOCK) DELTA("1", TEXT("Hi\\n")) STOP("1") BLOCK("2", TOOL("t"))
                    DELTA("2", JSON("{\\\"a\\\": 1")) DELTA("2", JSON("e3}")) STOP("2")
                        BLOCK("3", TOOL("u")) DELTA("3", JSON("{\\\"cut")) STOP("3")
                            BLOCK("4", TOOL("")) STOP("4") END("max_tokens", ""),
        gathered, false,
        "{\"id\":\"msg_01TEST\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","
        "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
        "\"sluiceNoneSigned\"},{\"type\":"
        "\"text\",\"text\":\"Hi\\n\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":"
        "{\"a\": 1e3}},{\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"f\",\"input\":{\"_raw\":"
        "\"{\\\"cut\"}},{\"type\":\"tool_use\",\"id\":\"toolu_01TEST_4\",\"name\":\"f\",\"input\":"
        "{}}],\"stop_reason\":\"max_tokens\",\"stop_sequence\":null," W_USAGE "}\n"));
    CHECK(lab_answers(API_ANTHROPIC, API_ANTHROPIC, START BLOCK("0", TEXT_BLOCK), gathered, false,
                      "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"The "
                      "provider's answer broke off before its end.\"},\"request_id\":"
                      "\"01TEST\"}\n"));
}

/* Events as other dialects give them, to a writer of streams. */
static void put(struct api_writer *w, struct gw_buf *out, struct api_event ev)
{
    CHECK(api_writer_put(w, &ev, out) == GW_OK);
}

static const char *reason_written(enum api_block kind, enum api_finish finish, struct gw_buf *out)
{
    const struct api_writer_config cfg = {
        .dialect = API_ANTHROPIC, .stream = true, .id = "01TEST", .model = GW_SPAN("m")};
    struct api_writer *w = api_writer_new(&cfg);
    const char *p;

    gw_buf_clear(out);
    put(w, out, (struct api_event){.type = API_EVENT_START});
    put(w, out, (struct api_event){.type = API_EVENT_BLOCK, .kind = kind});
    put(w, out, (struct api_event){.type = API_EVENT_DELTA, .kind = kind, .text = GW_SPAN("x")});
    put(w, out, (struct api_event){.type = API_EVENT_BLOCK, .choice = 1});
    put(w, out, (struct api_event){.type = API_EVENT_DELTA, .choice = 1, .text = GW_SPAN("other")});
    put(w, out, (struct api_event){.type = API_EVENT_FINISH, .finish = finish});
    put(w, out, (struct api_event){.type = API_EVENT_END});
    api_writer_free(w);
    CHECK(strstr(out->ptr, "other") == NULL);
    p = strstr(out->ptr, "\"stop_reason\":\"");
    return p == NULL ? "" : p + sizeof("\"stop_reason\":\"") - 1;
}

static void test_reasons_are_written(void)
{
    static const struct {
        enum api_block kind;
        enum api_finish finish;
        const char *want;
    } cases[] = {
        {API_BLOCK_TEXT, API_FINISH_STOP, "end_turn\""},
        {API_BLOCK_TOOL, API_FINISH_STOP, "tool_use\""}, /* OpenAI, for a named tool; Gemini */
        {API_BLOCK_TOOL, API_FINISH_LENGTH, "max_tokens\""},
        {API_BLOCK_REFUSAL, API_FINISH_STOP, "refusal\""},
        {API_BLOCK_TEXT, API_FINISH_FILTER, "refusal\""},
        {API_BLOCK_TEXT, API_FINISH_REFUSAL, "refusal\""},
        {API_BLOCK_TEXT, API_FINISH_OTHER, "end_turn\""},
        {API_BLOCK_TEXT, API_FINISH_NONE, "end_turn\""},
        {API_BLOCK_TEXT, API_FINISH_STOP_SEQUENCE, "stop_sequence\",\"stop_sequence\":null"},
    };
    struct gw_buf out = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *got = reason_written(cases[i].kind, cases[i].finish, &out);

        if (!CHECK(strncmp(got, cases[i].want, strlen(cases[i].want)) == 0))
            fprintf(stderr, "  %zu: %s\n", i, out.ptr);
    }
    gw_buf_fini(&out);
}

static void test_reasoning_is_hidden_on_request(void)
{
    const struct api_request asked = {.reasoning_shown = API_NO};
    struct api_writer_config cfg = {
        .dialect = API_ANTHROPIC, .id = "01TEST", .model = GW_SPAN("m"), .request = &asked};
    struct gw_buf out = {0};

    for (int stream_too = 0; stream_too < 2; stream_too++) {
        struct api_writer *w;

        cfg.stream = stream_too != 0;
        w = api_writer_new(&cfg);
        gw_buf_clear(&out);
        put(w, &out, (struct api_event){.type = API_EVENT_START});
        put(w, &out, (struct api_event){.type = API_EVENT_BLOCK, .kind = API_BLOCK_REASONING});
        put(w, &out,
            (struct api_event){
                .type = API_EVENT_DELTA, .kind = API_BLOCK_REASONING, .text = GW_SPAN("hidden")});
        put(w, &out,
            (struct api_event){.type = API_EVENT_SIGNATURE,
                               .kind = API_BLOCK_REASONING,
                               .text = GW_SPAN("signed")});
        put(w, &out, (struct api_event){.type = API_EVENT_BLOCK_END, .kind = API_BLOCK_REASONING});
        put(w, &out, (struct api_event){.type = API_EVENT_FINISH, .finish = API_FINISH_STOP});
        put(w, &out, (struct api_event){.type = API_EVENT_END});
        api_writer_free(w);
        CHECK(strstr(out.ptr, "\"thinking\":\"\"") != NULL);
        CHECK(strstr(out.ptr, "\"signature\":\"signed\"") != NULL);
        CHECK(strstr(out.ptr, "hidden") == NULL);
    }
    gw_buf_fini(&out);
}

/* The engine knows the prompt's tokens before the first one of the answer. */
static void test_input_is_counted_first(void)
{
    const struct api_writer_config cfg = {
        .dialect = API_ANTHROPIC, .stream = true, .id = "01TEST", .model = GW_SPAN("m")};
    struct api_writer *w = api_writer_new(&cfg);
    struct gw_buf out = {0};

    put(w, &out, (struct api_event){.type = API_EVENT_START, .usage = {.known = true, .input = 7}});
    CHECK(strstr(out.ptr, "\"input_tokens\":7") != NULL);
    api_writer_free(w);
    gw_buf_fini(&out);
}

/* ---- errors and what the record wants -------------------------------------------------------- */

static void test_errors_are_written(void)
{
    static const struct {
        unsigned status;
        const char *type;
    } cases[] = {
        {400, "invalid_request_error"},
        {401, "authentication_error"},
        {402, "billing_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {405, "invalid_request_error"},
        {408, "timeout_error"},
        {409, "invalid_request_error"},
        {413, "request_too_large"},
        {422, "invalid_request_error"},
        {429, "rate_limit_error"},
        {500, "api_error"},
        {501, "api_error"},
        {502, "api_error"},
        {503, "overloaded_error"},
        {504, "timeout_error"},
        {529, "overloaded_error"},
        {0, "api_error"},
    };
    struct gw_buf out = {0}, want = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct api_failure f = {.status = cases[i].status, .message = "a \"b\""};

        gw_buf_clear(&out);
        gw_buf_clear(&want);
        api_write_error(API_ANTHROPIC, &f, "r1", &out);
        gw_buf_printf(&want,
                      "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"a "
                      "\\\"b\\\"\"},\"request_id\":\"r1\"}\n",
                      cases[i].type);
        CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)));
    }
    gw_buf_clear(&out);
    api_write_stream_error(API_ANTHROPIC, &(struct api_failure){.status = 529}, &out);
    CHECK(gw_span_is(gw_buf_span(&out),
                     "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                     "\"overloaded_error\",\"message\":\"The service is overloaded or not "
                     "available.\"}}\n\n"));
    gw_buf_fini(&out);
    gw_buf_fini(&want);
}

static void check_error(unsigned status, const char *body, unsigned want_status, const char *type,
                        const char *code, const char *message)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json_node *root = NULL;
    struct api_failure f;

    if (body != NULL)
        CHECK(gw_json_tree(json, arena, gw_span_str(body), NULL, &root, NULL) == GW_OK);
    api_read_error(API_ANTHROPIC, status, root, arena, &f);
    CHECK(f.status == want_status);
    CHECK(strcmp(f.type == NULL ? "" : f.type, type) == 0);
    CHECK(strcmp(f.code == NULL ? "" : f.code, code) == 0);
    if (!CHECK(strcmp(f.message, message) == 0))
        fprintf(stderr, "  %s\n", f.message);
    gw_json_free(json);
    gw_arena_free(arena);
}

static void test_errors_are_read(void)
{
    check_error(404,
                "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":"
                "\"model: x\",\"details\":{\"error_code\":\"gone\"}},\"request_id\":\"r\"}",
                404, "not_found_error", "gone", "model: x");
    check_error(403, "{\"message\":\"No access.\"}", 403, "", "", "No access.");
    check_error(503, NULL, 503, "", "", "The service is overloaded or not available.");
    check_error(500, "[\"error\"]", 500, "", "", "The provider failed.");
    check_error(400, "{\"error\":{\"type\":3,\"message\":[]}}", 400, "", "",
                "The request was refused.");
}

static struct api_seen look(const char *text, struct api_seen seen)
{
    struct gw_json *json = gw_json_new();

    api_look(API_ANTHROPIC, json, gw_span_str(text), &seen);
    gw_json_free(json);
    return seen;
}

static bool saw(const struct api_seen *s, uint64_t input, uint64_t output, uint64_t cached,
                uint64_t cache_write, uint64_t reasoning)
{
    return s->usage.known && s->usage.input == input && s->usage.output == output &&
           s->usage.cached == cached && s->usage.cache_write == cache_write &&
           s->usage.reasoning == reasoning;
}

static void test_answers_are_looked_at(void)
{
    struct api_seen s = look("{\"model\":\"claude-y\",\"content\":[{\"type\":\"tool_use\","
                             "\"input\":{\"usage\":{\"input_tokens\":99},\"model\":\"no\"}}],"
                             "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":5,"
                             "\"cache_read_input_tokens\":2,\"iterations\":[{\"input_tokens\":"
                             "77}],\"output_tokens_details\":{\"thinking_tokens\":3},"
                             "\"output_tokens\":6}}",
                             (struct api_seen){0});

    CHECK(saw(&s, 7, 6, 2, 0, 3));
    CHECK(strcmp(s.model, "claude-y") == 0);
    CHECK(strcmp(s.finish_reason, "end_turn") == 0);

    s = look("{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"stop_reason\":null,"
             "\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":3,"
             "\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}",
             (struct api_seen){0});
    CHECK(saw(&s, 15, 1, 3, 2, 0));
    s = look("{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"{\\\"usage\\\":1}\"}}", s);
    CHECK(saw(&s, 15, 1, 3, 2, 0));
    s = look("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},"
             "\"usage\":{\"output_tokens\":8}}",
             s);
    CHECK(saw(&s, 15, 8, 3, 2, 0));
    CHECK(strcmp(s.finish_reason, "max_tokens") == 0 && strcmp(s.model, "m") == 0);
    /* Totals replace what was said before. */
    s = look("{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":20,\"output_tokens\":9}}", s);
    CHECK(saw(&s, 25, 9, 3, 2, 0));
    s = look("{\"usage\":{\"input_tokens\":-1,\"output_tokens\":\"x\"", s);
    CHECK(saw(&s, 5, 9, 3, 2, 0));
    s = look("not json", (struct api_seen){0});
    CHECK(!s.usage.known && s.model[0] == '\0');
}

int main(void)
{
    test_streams_are_read();
    test_stop_reasons();
    test_whole_answers_are_read();
    test_wrong_streams_end_in_errors();
    test_odd_streams_are_read();
    test_streams_are_written();
    test_whole_answers_are_written();
    test_reasons_are_written();
    test_reasoning_is_hidden_on_request();
    test_input_is_counted_first();
    test_errors_are_written();
    test_errors_are_read();
    test_answers_are_looked_at();
    return test_done();
}
