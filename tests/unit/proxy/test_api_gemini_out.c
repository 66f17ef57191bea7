/* Gemini's answers: the exact bytes that are written, whole, as events and as an array. */
#include "tests/unit/proxy/gemini_lab.h"

/* ---- writing ------------------------------------------------------------------------------------ */

#define PART(part) "{'content':{'parts':[" part "],'role':'model'},'index':0}"
#define LAST(reason)                                                                               \
    "{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'" reason "','index':0}"

static bool anthropic_gives(const char *text, struct lab_how how, const char *want)
{
    return lab_answers(API_ANTHROPIC, API_GEMINI, q(text), how, false, q(want));
}

#define A_EVENT(type, rest) "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"
#define A_START                                                                                    \
    A_EVENT("message_start",                                                                       \
            ",'message':{'id':'msg_1','type':'message','role':'assistant','model':'claude-x','"    \
            "content':[],'usage':{'input_tokens':10,'output_tokens':1}}")
#define A_BLOCK(i, block) A_EVENT("content_block_start", ",'index':" i ",'content_block':" block)
#define A_DELTA(i, delta) A_EVENT("content_block_delta", ",'index':" i ",'delta':" delta)
#define A_STOP(i)         A_EVENT("content_block_stop", ",'index':" i)
#define A_END(reason)                                                                              \
    A_EVENT("message_delta", ",'delta':{'stop_reason':'" reason "'},'usage':{'output_tokens':20}") \
    A_EVENT("message_stop", "")
#define A_STREAM                                                                                   \
    A_START A_BLOCK("0", "{'type':'thinking','thinking':'','signature':''}") A_DELTA(              \
        "0", "{'type':'thinking_delta','thinking':'hm'}")                                          \
        A_DELTA("0", "{'type':'signature_delta','signature':'ab+/'}") A_STOP("0") A_BLOCK(         \
            "1", "{'type':'text','text':''}") A_DELTA("1", "{'type':'text_delta','text':'a\\nb'}") \
            A_STOP("1") A_BLOCK("2", "{'type':'tool_use','id':'t1','name':'f','input':{}}")        \
                A_DELTA("2", "{'type':'input_json_delta','partial_json':'{\\'c\\':\\n'}")          \
                    A_DELTA("2", "{'type':'input_json_delta','partial_json':' [1,\\t2]}'}")        \
                        A_STOP("2")
#define USAGE(out, total)                                                                          \
    ",'usageMetadata':{'promptTokenCount':10,'candidatesTokenCount':" out                          \
    ",'totalTokenCount':" total "}"
#define NAMES              ",'modelVersion':'claude-x','responseId':'01TEST'"
#define CHUNK(json)        "{'candidates':[" json "]" USAGE("1", "11") NAMES "}"
#define LAST_CHUNK(reason) "{'candidates':[" LAST(reason) "]" USAGE("20", "30") NAMES "}"

static void test_written_streams(void)
{
    const struct lab_how sse = {.from_stream = true, .to_stream = true};
    const struct lab_how array = {.from_stream = true, .to_stream = true, .json_array = true};

    CHECK(anthropic_gives(
        A_STREAM A_END("tool_use"), sse,
        "data: " CHUNK(PART(
            "{'text':'hm','thought':true}")) "\r\n\r\n"
                                             "data: " CHUNK(PART(
                                                 "{'text':'','thought':true,'"
                                                 "thoughtSignature':'sluiceClaudeSignab+/"
                                                 "'}")) "\r\n\r\n"
                                                        "data: " CHUNK(PART(
                                                            "{'text':'a\\nb'}")) "\r\n\r\n"
                                                                                 "data:"
                                                                                 " " CHUNK(PART(
                                                                                     "{'"
                                                                                     "func"
                                                                                     "tion"
                                                                                     "Call"
                                                                                     "':{'"
                                                                                     "name"
                                                                                     "':'"
                                                                                     "f','"
                                                                                     "id':"
                                                                                     "'t1'"
                                                                                     ",'"
                                                                                     "args"
                                                                                     "':{'"
                                                                                     "c': "
                                                                                     "[1,"
                                                                                     "2]}}"
                                                                                     "}")) "\r\n\r"
                                                                                           "\n"
                                                                                           "data:"
                                                                                           " " LAST_CHUNK(
                                                                                               "STO"
                                                                                               "P") "\r\n\r\n"));
    CHECK(anthropic_gives(
        A_STREAM A_END("tool_use"), array,
        "[" CHUNK(PART("{'text':'hm','thought':true}")) ",\r\n" CHUNK(PART(
            "{'text':'','thought':"
            "true,'thoughtSignature'"
            ":'sluiceClaudeSignab+/"
            "'}")) ",\r\n" CHUNK(PART("{'text':'a\\nb'}")) ",\r\n" CHUNK(PART("{'functionCall':{'"
                                                                              "name':'f','id':'t1',"
                                                                              "'args':{"
                                                                              "'c': [1,2]}}}")) ","
                                                                                                "\r"
                                                                                                "\n" LAST_CHUNK(
                                                                                                    "STOP") "]"));
    CHECK(anthropic_gives(A_START A_END("end_turn"), sse, "data: " LAST_CHUNK("STOP") "\r\n\r\n"));
    CHECK(anthropic_gives(A_START A_END("max_tokens"), array, "[" LAST_CHUNK("MAX_TOKENS") "]"));
    CHECK(anthropic_gives(A_START A_END("stop_sequence"), sse,
                          "data: " LAST_CHUNK("STOP") "\r\n\r\n"));
    CHECK(anthropic_gives(A_START A_END("refusal"), sse, "data: " LAST_CHUNK("SAFETY") "\r\n\r\n"));
    /* Failures, before and behind a first chunk. */
    CHECK(anthropic_gives(
        A_EVENT("error", ",'error':{'type':'overloaded_error','message':'Busy'}"), sse,
        "data: {'error':{'code':529,'message':'Busy','status':'UNAVAILABLE'}}\r\n\r\n"));
    CHECK(anthropic_gives(A_EVENT("error", ",'error':{'type':'overloaded_error','message':'Busy'}"),
                          array,
                          "[{'error':{'code':529,'message':'Busy','status':'UNAVAILABLE'}}\n]"));
    CHECK(anthropic_gives(
        A_START A_BLOCK("0", "{'type':'text','text':''}")
            A_DELTA("0", "{'type':'text_delta','text':'a'}")
                A_EVENT("error", ",'error':{'type':'api_error','message':'Oh'}"),
        array,
        "[" CHUNK(PART(
            "{'text':'a'}")) ",\r\n{'error':{'code':500,'message':'Oh','status':'INTERNAL'}}\n]"));
}

static void test_written_whole(void)
{
    static const char head[] =
        "{'id':'msg_1','type':'message','role':'assistant','model':'claude-x','content':[";
    static const char tail[] =
        "],'stop_reason':'%s','usage':{'input_tokens':10,'output_tokens':20}}";
    char body[1024], end[128];

    snprintf(end, sizeof(end), tail, "tool_use");
    snprintf(body, sizeof(body),
             "%s{'type':'thinking','thinking':'hm','signature':'ab+/'},{'type':'text','text':'Hi'},"
             "{'type':'tool_use','id':'t1','name':'f','input':{'a':1.50}}%s",
             head, end);
    CHECK(anthropic_gives(
        body, (struct lab_how){0},
        "{'candidates':[{'content':{'parts':[{'text':'hm','thought':true,'thoughtSignature':"
        "'sluiceClaudeSignab+/"
        "'},{'text':'Hi'},{'functionCall':{'name':'f','id':'t1','args':{'a':1.50}}}],"
        "'role':'model'},'finishReason':'STOP','index':0}]" USAGE("20", "30") NAMES "}\n"));
    snprintf(end, sizeof(end), tail, "end_turn");
    snprintf(body, sizeof(body), "%s%s", head, end);
    CHECK(anthropic_gives(body, (struct lab_how){0}, LAST_CHUNK("STOP") "\n"));
    CHECK(lab_answers(
        API_ANTHROPIC, API_GEMINI, q(A_START), (struct lab_how){.from_stream = true}, false,
        "{\"error\":{\"code\":502,\"message\":\"The provider's answer broke off before its end.\","
        "\"status\":\"UNAVAILABLE\",\"details\":[{\"@type\":\"type.googleapis.com/"
        "google.rpc.RequestInfo\","
        "\"requestId\":\"01TEST\"}]}}\n"));
}

/* ---- writers fed by hand -------------------------------------------------------------------------- */

enum { TOO_MANY = 128 }; /* choices */

static const struct gw_span none = {NULL, 0};

static struct api_writer *writer(bool stream, bool json_array)
{
    const struct api_writer_config cfg = {.dialect = API_GEMINI,
                                          .stream = stream,
                                          .json_array = json_array,
                                          .id = "01TEST",
                                          .model = GW_SPAN("asked")};

    return api_writer_new(&cfg);
}

static enum gw_status put(struct api_writer *w, struct gw_buf *out, enum api_event_type type,
                          unsigned choice, enum api_block kind, struct gw_span text)
{
    const struct api_event ev = {.type = type,
                                 .choice = choice,
                                 .kind = kind,
                                 .text = text,
                                 .id = GW_SPAN("t"),
                                 .name = GW_SPAN("f"),
                                 .finish = API_FINISH_TOOL,
                                 .usage = {.known = false}};

    return api_writer_put(w, &ev, out);
}

static void test_calls_that_are_no_json(void)
{
    static const char *const bad[] = {"{\"a\":", "[1]", "1", "{} {}", "not \"json\"\n"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int stream = 0; stream < 2; stream++) {
            struct api_writer *w = writer(stream, false);
            struct gw_buf out = {0}, want = {0};

            CHECK(put(w, &out, API_EVENT_BLOCK, 0, API_BLOCK_TOOL, none) == GW_OK);
            CHECK(put(w, &out, API_EVENT_DELTA, 0, API_BLOCK_TOOL, gw_span_str(bad[i])) == GW_OK);
            CHECK(put(w, &out, API_EVENT_BLOCK_END, 0, API_BLOCK_TOOL, none) == GW_OK);
            CHECK(put(w, &out, API_EVENT_FINISH, 0, API_BLOCK_TEXT, none) == GW_OK);
            CHECK(out.len == 0);
            CHECK(put(w, &out, API_EVENT_END, 0, API_BLOCK_TEXT, none) == GW_OK);
            gw_buf_adds(&want, stream ? "data: " : "");
            gw_buf_adds(&want, q("{'candidates':[{'content':{'parts':[{'text':''}],'role':'model'},"
                                 "'finishReason':'MALFORMED_FUNCTION_CALL','finishMessage':'"
                                 "Malformed function call: f("));
            gw_buf_add_json(&want, gw_span_str(bad[i]));
            gw_buf_adds(&want, q(")','index':0}],'modelVersion':'asked','responseId':'01TEST'}"));
            gw_buf_adds(&want, stream ? "\r\n\r\n" : "\n");
            CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)));
            gw_buf_fini(&out);
            gw_buf_fini(&want);
            api_writer_free(w);
        }
}

static void test_choices_and_refusals(void)
{
    struct api_writer *w = writer(true, true);
    struct gw_buf out = {0};

    CHECK(strcmp(api_writer_media_type(w), "application/json") == 0);
    CHECK(put(w, &out, API_EVENT_BLOCK, 1, API_BLOCK_REFUSAL, none) == GW_OK && out.len == 0);
    CHECK(put(w, &out, API_EVENT_DELTA, 1, API_BLOCK_REFUSAL, GW_SPAN("No \"\x01")) == GW_OK);
    CHECK(put(w, &out, API_EVENT_BLOCK_END, 1, API_BLOCK_REFUSAL, none) == GW_OK);
    CHECK(put(w, &out, API_EVENT_FINISH, 1, API_BLOCK_TEXT, none) == GW_OK);
    CHECK(put(w, &out, API_EVENT_FINISH, 0, API_BLOCK_TEXT, none) == GW_OK);
    CHECK(put(w, &out, API_EVENT_END, 0, API_BLOCK_TEXT, none) == GW_OK);
    CHECK(gw_span_is(
        gw_buf_span(&out),
        q("[{'candidates':[{'content':{'parts':[{'text':'No "
          "\\'\\u0001'}],'role':'model'},'index':1}],"
          "'modelVersion':'asked','responseId':'01TEST'},\r\n{'candidates':["
          "{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'STOP','index':0},"
          "{'content':{'parts':[{'text':''}],'role':'model'},'finishReason':'STOP','index':1}],"
          "'modelVersion':'asked','responseId':'01TEST'}]")));
    gw_buf_fini(&out);
    api_writer_free(w);
    w = writer(false, false);
    CHECK(put(w, &out, API_EVENT_FINISH, TOO_MANY, API_BLOCK_TEXT, none) == GW_ELIMIT);
    CHECK(put(w, &out, API_EVENT_BLOCK_END, 3, API_BLOCK_TOOL, none) ==
          GW_OK); /* of a block that never began */
    gw_buf_fini(&out);
    api_writer_free(w);
    w = writer(true, false);
    CHECK(strcmp(api_writer_media_type(w), "text/event-stream") == 0);
    CHECK(put(w, &out, API_EVENT_BLOCK_END, 3, API_BLOCK_TOOL, none) == GW_OK && out.len == 0);
    CHECK(put(w, &out, API_EVENT_BLOCK_END, TOO_MANY, API_BLOCK_TOOL, none) == GW_ELIMIT);
    gw_buf_fini(&out);
    api_writer_free(w);
}

int main(void)
{
    test_written_streams();
    test_written_whole();
    test_calls_that_are_no_json();
    test_choices_and_refusals();
    return test_done();
}
