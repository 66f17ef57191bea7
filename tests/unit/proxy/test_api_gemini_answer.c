/* Gemini's answers, whole, as events and as arrays: what is read of them, and the exact bytes that are written. */
#include "proxy/http/json_array.h"
#include "tests/unit/proxy/gemini_lab.h"

static bool events(const char *body, const char *want)
{
    return lab_answers(API_GEMINI, API_GEMINI, q(body), (struct lab_how){0}, true, q(want));
}

#define REPLY(parts, more)                                                                         \
    "{'candidates':[{'content':{'parts':[" parts "],'role':'model'}" more ",'index':0}]"
#define STOP ",'finishReason':'STOP'"

static void test_whole(void)
{
    CHECK(events(
        REPLY("{'text':'Hi'},{'text':' y\\u00e4'}",
              STOP) ",'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':7,'"
                    "thoughtsTokenCount':3,"
                    "'cachedContentTokenCount':4,'toolUsePromptTokenCount':2,'totalTokenCount':22,"
                    "'promptTokensDetails':[{'modality':'TEXT','tokenCount':10}]},"
                    "'modelVersion':'gemini-x','responseId':'r1'}",
        "start(r1,gemini-x) usage(12,10,4,0,3) 0.0:text[ Hi  y\xC3\xA4 ] 0.finish(stop) end"));
    CHECK(events(
        REPLY("{'text':'a','thought':true},{'text':'b','thought':true,'thoughtSignature':'QUJD'},{"
              "'text':'c'}",
              STOP) "}",
        "start(,) 0.0:reasoning[ a b sig:sluiceGeminiSignQUJD ] 0.1:text[ c ] 0.finish(stop) end"));
    /* A signature at the part behind the thoughts is theirs; without thoughts they are empty. */
    CHECK(events(
        REPLY("{'text':'a','thought':true},{'text':'c','thoughtSignature':'QUJD'}", STOP) "}",
        "start(,) 0.0:reasoning[ a sig:sluiceGeminiSignQUJD ] 0.1:text[ c ] 0.finish(stop) end"));
    CHECK(events(REPLY("{'text':'c'},{'functionCall':{'id':'i','name':'f','args':{'a' : "
                       "1.0}},'thoughtSignature':'QUJD'}",
                       STOP) "}",
                 "start(,) 0.0:text[ c ] 0.1:reasoning[ sig:sluiceGeminiSignQUJD ] 0.2:tool(i,f)[ "
                 "{'a' : 1.0} ] 0.finish(tool) end"));
    CHECK(events(REPLY("{'text':'c'},{'text':'','thoughtSignature':'QUJD'}", STOP) "}",
                 "start(,) 0.0:text[ c ] 0.finish(stop) end"));
    /* Calls without ids get one each, of the response's. */
    CHECK(events(REPLY("{'functionCall':{'name':'f'}},{'functionCall':{'name':'f','args':null}}",
                       STOP) ",'responseId':'a-B_9'}",
                 "start(a-B_9,) 0.0:tool(call_a_B_9_0,f)[ {} ] 0.1:tool(call_a_B_9_1,f)[ {} ] "
                 "0.finish(tool) end"));
    CHECK(events(REPLY("{'functionCall':{'name':'f'}}", STOP) "}",
                 "start(,) 0.0:tool(call_0,f)[ {} ] 0.finish(tool) end"));
    CHECK(events(REPLY("", STOP) "}", "start(,) 0.finish(stop) end"));
    CHECK(events("{'candidates':[{'index':0}],'usageMetadata':{}}",
                 "start(,) usage(0,0,0,0,0) 0.finish(other) end"));
    CHECK(events("{'candidates':[{'content':{'parts':[{'text':'a'}]},'finishReason':'STOP'},"
                 "{'content':{'parts':[{'text':'b'}]},'finishReason':'MAX_TOKENS','index':1}]}",
                 "start(,) 0.0:text[ a 1.0:text[ b ] 0.finish(stop) ] 1.finish(length) end"));
    /* The prompt was refused. */
    CHECK(
        events("{'promptFeedback':{'blockReason':'SAFETY'},'usageMetadata':{'promptTokenCount':5}}",
               "start(,) usage(5,0,0,0,0) 0.finish(filter) end"));
    /* An array: a stream that was read as one body. */
    CHECK(
        events("[" REPLY("{'text':'a'}", "") ",'responseId':'r'}," REPLY("{'text':'b'}", STOP) "}]",
               "start(r,) 0.0:text[ a b ] 0.finish(stop) end"));
}

static void test_finish_reasons(void)
{
    static const char *const rows[][2] = {
        {"STOP", "stop"},         {"MAX_TOKENS", "length"},   {"SAFETY", "filter"},
        {"RECITATION", "filter"}, {"BLOCKLIST", "filter"},    {"PROHIBITED_CONTENT", "filter"},
        {"SPII", "filter"},       {"IMAGE_SAFETY", "filter"}, {"MALFORMED_FUNCTION_CALL", "other"},
        {"OTHER", "other"},       {"LANGUAGE", "other"},      {"NEW_ONE", "other"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[256], want[128];

        snprintf(body, sizeof(body), "{'candidates':[{'finishReason':'%s'}]}", rows[i][0]);
        snprintf(want, sizeof(want), "start(,) 0.finish(%s) end", rows[i][1]);
        CHECK(events(body, want));
    }
}

static void test_no_answers(void)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "[1]",
        "1",
        "{'object':'chat.completion'}",
        "{'candidates':[1]}",
        "{'candidates':[{'index':128}]}",
        "{'candidates':[{'content':{'parts':['x']}}]}",
        "{'candidates':[{'content':{'parts':[{'text':1}]}}]}",
        "{'candidates':[{'content':{'parts':[{'functionCall':{'args':{}}}]}}]}",
        "{'candidates':[{'content':{'parts':[{'functionCall':{'name':'f','args':[]}}]}}]}"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct lab_answer a;

        lab_answer(API_GEMINI, API_GEMINI, q(bodies[i]), (struct lab_how){0}, &a);
        CHECK(a.st == GW_EPARSE && a.out.len == 0);
        lab_forget_answer(&a);
    }
    CHECK(events("{'error':{'code':429,'message':'Slow down.','status':'RESOURCE_EXHAUSTED'}}",
                 "error(429,RESOURCE_EXHAUSTED,Slow down.) "));
    CHECK(events("[{'error':{'code':503}}]",
                 "error(503,-,The service is overloaded or not available.) "));
    CHECK(events(
        REPLY("{'text':'a'},{'inlineData':{'mimeType':'image/png','data':'AA'}},{'text':'b'}",
              STOP) "}",
        "start(,) 0.0:text[ a error(502,unsupported_answer,The model answered with a part "
        "(inlineData) that "
        "has no place in this API.) "));
}

/* ---- streams -------------------------------------------------------------------------------- */

/* As the API sends it: CRLF, finishReason in every chunk as older models have it. */
static const char sent[] =
    "data: "
    "{'candidates':[{'content':{'parts':[{'text':'t\\u00e4','thought':true}],'role':'model'},'"
    "index':0}],"
    "'usageMetadata':{'promptTokenCount':5},'modelVersion':'gemini-x','responseId':'r1'}\r\n\r\n"
    "data: "
    "{'candidates':[{'content':{'parts':[{'text':'Hel'}],'role':'model'},'finishReason':'STOP','"
    "index':0}],"
    "'responseId':'r1'}\r\n\r\n"
    "data: "
    "{'candidates':[{'content':{'parts':[{'text':'lo'},{'functionCall':{'name':'f','args':{'a':[1]}"
    "}}],"
    "'role':'model'},'finishReason':'STOP','index':0}]}\r\n\r\n"
    "data: "
    "{'candidates':[{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'STOP','index'"
    ":0}],"
    "'usageMetadata':{'promptTokenCount':5,'candidatesTokenCount':4,'thoughtsTokenCount':1}}"
    "\r\n\r\n";
static const char sent_events[] =
    "start(r1,gemini-x) usage(5,0,0,0,0) 0.0:reasoning[ t\xC3\xA4 ] 0.1:text[ Hel lo ] "
    "0.2:tool(call_r1_0,f)[ {'a':[1]} ] usage(5,5,0,0,1) 0.finish(tool) end";

static void test_streams_cut_anywhere(void)
{
    const char *text = q(sent), *want = q(sent_events);
    size_t n = strlen(text);

    for (size_t at = 0; at <= n; at++)
        CHECK(lab_answers(API_GEMINI, API_GEMINI, text,
                          (struct lab_how){true, true, false, false, at, 0}, true, want));
    CHECK(lab_answers(API_GEMINI, API_GEMINI, text,
                      (struct lab_how){true, true, false, false, 0, 1}, true, want));
}

static bool stream_gives(const char *text, const char *want)
{
    return lab_answers(API_GEMINI, API_GEMINI, q(text), (struct lab_how){.from_stream = true}, true,
                       want);
}

#define TRUNCATED "error(502,upstream_truncated,The provider's answer broke off before its end.) "
#define MALFORMED "error(502,upstream_malformed,The provider's answer is not what its API says.) "

static void test_stream_ends(void)
{
    CHECK(stream_gives("data: " REPLY("{'text':'a'}", "") "}\r\n\r\n",
                       "start(,) 0.0:text[ a " TRUNCATED));
    CHECK(stream_gives("", TRUNCATED));
    CHECK(stream_gives("data: " REPLY("{'text':'a'}", STOP) "}\n\ndata: [DONE]\n\n",
                       "start(,) 0.0:text[ a ] 0.finish(stop) end"));
    CHECK(stream_gives("data: {'promptFeedback':{'blockReason':'OTHER'}}\n\n",
                       "start(,) 0.finish(filter) end"));
    CHECK(stream_gives(
        "data: " REPLY(
            "{'text':'a'}",
            "") "}\n\ndata: {'error':{'code':503,'message':'m','status':'UNAVAILABLE'}}\n\n"
                "data: " REPLY("{'text':'b'}", STOP) "}\n\n",
        "start(,) 0.0:text[ a error(503,UNAVAILABLE,m) "));
    CHECK(stream_gives("data: {\n\n", MALFORMED));
    CHECK(stream_gives("data: {'a':1}\n\n", MALFORMED));
    CHECK(stream_gives(
        "data: " REPLY("{'text':'a'}", ",'finishReason':'FINISH_REASON_UNSPECIFIED'") "}\n\n",
        "start(,) 0.0:text[ a " TRUNCATED));
}

/* ---- array streams ---------------------------------------------------------------------------- */

static enum gw_status on_element(void *ctx, const struct json_array_event *ev)
{
    struct lab_answer *a = ctx;

    return ev->has_data ? api_reader_event(a->reader, (struct gw_span){NULL, 0}, ev->data) : GW_OK;
}

/* A stream through both forms: events to an array, the array cut at `at`, and its elements to events again. */
static bool through_array(const struct gw_buf *array, size_t at, const char *want)
{
    const struct api_writer_config cfg = {.dialect = API_GEMINI, .stream = true, .id = "01TEST"};
    struct json_array *elements = json_array_new(0);
    struct gw_json *json = gw_json_new();
    struct lab_answer a = {.st = GW_OK};
    bool ok;

    a.writer = api_writer_new(&cfg);
    a.reader = api_reader_new(API_GEMINI, json, lab_on_event, &a);
    ok = json_array_feed(elements, (struct gw_span){array->ptr, at}, on_element, &a) == GW_OK &&
         json_array_feed(elements, (struct gw_span){array->ptr + at, array->len - at}, on_element,
                         &a) == GW_OK &&
         json_array_complete(elements) && api_reader_end(a.reader) == GW_OK &&
         gw_span_is(gw_buf_span(&a.events), want);
    if (!ok)
        fprintf(stderr, "  cut at %zu: %s\n", at, a.events.ptr == NULL ? "" : a.events.ptr);
    api_reader_free(a.reader);
    api_writer_free(a.writer);
    json_array_free(elements);
    gw_json_free(json);
    lab_forget_answer(&a);
    return ok;
}

static void test_array_streams(void)
{
    const char *want = q("start(01TEST,gemini-x) usage(5,0,0,0,0) 0.0:reasoning[ t\xC3\xA4 "
                         "usage(5,0,0,0,0) ] 0.1:text[ Hel "
                         "usage(5,0,0,0,0) lo usage(5,0,0,0,0) ] 0.2:tool(call_r1_0,f)[ {'a':[1]} "
                         "] usage(5,5,0,0,1) 0.finish(tool) end");
    struct lab_answer a;

    lab_answer(API_GEMINI, API_GEMINI, q(sent), (struct lab_how){true, true, false, true, 0, 0},
               &a);
    CHECK(a.st == GW_OK && a.out.len != 0);
    for (size_t at = 0; a.out.len != 0 && at <= a.out.len; at++)
        CHECK(through_array(&a.out, at, want));
    lab_forget_answer(&a);
}

/* ---- errors and the record -------------------------------------------------------------------------- */

static void test_errors_written(void)
{
    static const struct {
        unsigned status;
        const char *name;
    } rows[] = {{400, "INVALID_ARGUMENT"},   {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"},
                {404, "NOT_FOUND"},          {409, "ABORTED"},         {413, "INVALID_ARGUMENT"},
                {429, "RESOURCE_EXHAUSTED"}, {499, "CANCELLED"},       {500, "INTERNAL"},
                {501, "UNIMPLEMENTED"},      {503, "UNAVAILABLE"},     {504, "DEADLINE_EXCEEDED"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct api_failure f = {.status = rows[i].status, .message = "a \"b\""};
        struct gw_buf out = {0};
        char want[256];

        snprintf(want, sizeof(want), "{'error':{'code':%u,'message':'a \\'b\\'','status':'%s'}}\n",
                 rows[i].status, rows[i].name);
        api_write_error(API_GEMINI, &f, NULL, &out);
        CHECK(gw_span_is(gw_buf_span(&out), q(want)));
        gw_buf_fini(&out);
    }
}

static void test_errors_named(void)
{
    const struct api_failure f = {.status = 429, .message = "m"};
    struct gw_buf out = {0};

    api_write_error(API_GEMINI, &f, "01X", &out);
    CHECK(gw_span_is(
        gw_buf_span(&out),
        q("{'error':{'code':429,'message':'m','status':'RESOURCE_EXHAUSTED','details':"
          "[{'@type':'type.googleapis.com/google.rpc.RequestInfo','requestId':'01X'}]}}\n")));
    gw_buf_clear(&out);
    api_write_stream_error(API_GEMINI, &f, &out);
    CHECK(gw_span_is(
        gw_buf_span(&out),
        q("data: {'error':{'code':429,'message':'m','status':'RESOURCE_EXHAUSTED'}}\r\n\r\n")));
    gw_buf_fini(&out);
}

static void read_error(const char *body, unsigned status, unsigned want, const char *code,
                       const char *message)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json_node *root = NULL;
    struct api_failure f = {.status = 1};

    CHECK(body == NULL ||
          gw_json_tree(json, arena, gw_span_str(q(body)), NULL, &root, NULL) == GW_OK);
    api_read_error(API_GEMINI, status, root, arena, &f);
    CHECK(f.status == want && strcmp(f.message, message) == 0);
    CHECK(code == NULL ? f.code == NULL : f.code != NULL && strcmp(f.code, code) == 0);
    gw_arena_free(arena);
    gw_json_free(json);
}

static void test_errors_read(void)
{
    read_error("{'error':{'code':400,'message':'API key not valid.','status':'INVALID_ARGUMENT'}}",
               400, 400, "INVALID_ARGUMENT", "API key not valid.");
    read_error("[{'error':{'code':429,'message':'Slow','status':'RESOURCE_EXHAUSTED'}}]", 429, 429,
               "RESOURCE_EXHAUSTED", "Slow");
    read_error("{'error':'x'}", 401, 401, NULL, "The credentials were not accepted.");
    read_error("{'error':{'code':7,'message':{},'status':1}}", 200, 500, NULL,
               "The provider failed.");
    read_error(NULL, 503, 503, NULL, "The service is overloaded or not available.");
}

static void test_look(void)
{
    struct gw_json *json = gw_json_new();
    struct api_seen seen = {.usage = {.known = false}};

    api_look(
        API_GEMINI, json,
        gw_span_str(
            q("{'candidates':[{'content':{'parts':[{'finishReason':'no'}]},'finishReason':'"
              "MALFORMED_FUNCTION_CALL',"
              "'safetyRatings':[{'finishReason':'no'}]}],'usageMetadata':{'promptTokenCount':3,'"
              "candidatesTokenCount':4,"
              "'promptTokensDetails':[{'promptTokenCount':9}],'thoughtsTokenCount':2,'"
              "cachedContentTokenCount':1,"
              "'toolUsePromptTokenCount':5},'modelVersion':'gemini-x','x':{'modelVersion':'no'}}")),
        &seen);
    CHECK(seen.usage.known && seen.usage.input == 8 && seen.usage.output == 6 &&
          seen.usage.cached == 1 && seen.usage.reasoning == 2);
    CHECK(strcmp(seen.finish_reason, "MALFORMED_FUNCTION_CALL") == 0 &&
          strcmp(seen.model, "gemini-x") == 0);
    /* What is not there stays as it is, also in what is no JSON. */
    api_look(API_GEMINI, json, gw_span_str(q("{'candidates':[{'index':0}]}")), &seen);
    api_look(API_GEMINI, json, gw_span_str(q("{'usageMetadata':{'promptTokenCount':7")), &seen);
    api_look(API_GEMINI, json, gw_span_str(q("[DONE]")), &seen);
    api_look(API_GEMINI, json, gw_span_str(""), &seen);
    CHECK(seen.usage.input == 8 && strcmp(seen.model, "gemini-x") == 0);
    gw_json_free(json);
}

int main(void)
{
    test_whole();
    test_finish_reasons();
    test_no_answers();
    test_streams_cut_anywhere();
    test_stream_ends();
    test_array_streams();
    test_errors_written();
    test_errors_named();
    test_errors_read();
    test_look();
    return test_done();
}
