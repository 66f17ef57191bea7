/* Answers of OpenAI's Responses API as they are read: whole ones, streams as the many servers send them, and what is none. */
#include "tests/unit/proxy/api_responses_lab.h"

#define STREAM ((struct lab_how){.from_stream = true, .to_stream = true})

/* The events that a whole answer, or a stream, is read as. */
static bool whole(const char *text, const char *want)
{
    return answers(API_RESPONSES, API_RESPONSES, text, (struct lab_how){0}, true, want);
}

static bool stream(const char *text, const char *want)
{
    return answers(API_RESPONSES, API_RESPONSES, text, STREAM, true, want);
}

#define ANSWER(status, output)                                                                     \
    "{'id':'resp_9','object':'response','model':'gpt-9','status':'" status "','output':[" output   \
    "]}"
#define MESSAGE(content) "{'type':'message','id':'m','role':'assistant','content':[" content "]}"
#define TEXT(text)       "{'type':'output_text','text':'" text "','annotations':[]}"
#define START            "start(resp_9,gpt-9) "

static void test_whole_answers(void)
{
    CHECK(whole(ANSWER("completed", MESSAGE(TEXT("Hi") "," TEXT("you"))),
                START "0.0:text[ Hi ] 0.1:text[ you ] 0.finish(stop) end"));
    CHECK(whole(ANSWER("completed", MESSAGE("{'type':'refusal','refusal':'No.'}")),
                START "0.0:refusal[ No. ] 0.finish(stop) end"));
    CHECK(
        whole(ANSWER("completed",
                     "{'type':'reasoning','id':'rs','summary':[{'type':'summary_text','text':'a'},"
                     "{'type':'summary_text','text':'b'}],'content':[{'type':'reasoning_text',"
                     "'text':'c'}],'encrypted_content':'gAAA'},"
                     "{'type':'reasoning','id':'rs2','summary':[],'encrypted_content':'gBBB'},"
                     "{'type':'reasoning','id':'rs3','summary':[]},"
                     "{'type':'function_call','call_id':'c','name':'f','arguments':'{}'}"),
              START "0.0:reasoning[ a \n\n b \n\n c sig:sluiceOpenAIItemgAAA ] "
                    "0.1:reasoning[ sig:sluiceOpenAIItemgBBB ] 0.2:tool(c,f)[ {} ] "
                    "0.finish(tool) end"));
    CHECK(whole("{'model':'m','output':[],'status':'incomplete','incomplete_details':{'reason':"
                "'max_output_tokens'},'usage':{'input_tokens':9,'output_tokens':8}}",
                "start(,m) usage(9,8,0,0,0) 0.finish(length) end"));
    CHECK(whole("{'output':[],'status':'incomplete','incomplete_details':{'reason':"
                "'content_filter'},'usage':null}",
                "start(,) 0.finish(filter) end"));
    CHECK(whole("{'output':[],'status':'incomplete','incomplete_details':{'reason':'steered'}}",
                "start(,) 0.finish(other) end"));
    CHECK(whole("{'output':[],'usage':{'input_tokens':9,'input_tokens_details':{'cached_tokens':1,"
                "'cache_write_tokens':2},'output_tokens':8,'output_tokens_details':{"
                "'reasoning_tokens':3}}}",
                "start(,) usage(9,8,1,2,3) 0.finish(stop) end"));
}

static void test_whole_answers_that_failed(void)
{
    CHECK(whole("{'id':'r','status':'failed','output':[],'error':{'code':'rate_limit_exceeded',"
                "'message':'Slow down.'}}",
                "start(r,) error(429,rate_limit_exceeded,Slow down.) "));
    CHECK(whole("{'id':'r','status':'failed','output':[],'error':{'code':'invalid_image_url',"
                "'message':'No.'}}",
                "start(r,) error(400,invalid_image_url,No.) "));
    CHECK(whole("{'id':'r','status':'failed','output':[],'error':null}",
                "start(r,) error(500,-,The provider failed.) "));
    CHECK(whole("{'id':'r','status':'queued','output':[]}",
                "start(r,) error(502,unsupported_answer,The provider`s answer has a status of type "
                "'queued', which the API of this request cannot say.) "));
    CHECK(whole("{'id':'r','output':[{'type':'web_search_call','id':'w'}]}",
                "start(r,) error(502,unsupported_answer,The provider`s answer has an item of type "
                "'web_search_call', which the API of this request cannot say.) "));
    CHECK(whole("{'id':'r','output':[" MESSAGE("{'type':'output_audio'}") "]}",
                "start(r,) error(502,unsupported_answer,The provider`s answer has a part of type "
                "'output_audio', which the API of this request cannot say.) "));
    CHECK(whole("{'id':'r','output':[7]}",
                "start(r,) error(502,unsupported_answer,The provider`s answer has an item of type "
                "'', which the API of this request cannot say.) "));
    CHECK(whole("{'id':'r','output':[{'type':'message'}]}",
                "start(r,) error(502,upstream_malformed,The provider`s answer is not what its API "
                "says.) "));
}

static void test_what_is_no_answer(void)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "7",
                                        "",
                                        "{\"output\":{}}",
                                        "{\"id\":\"r\"",
                                        "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lab_answer a;

        lab_answer(API_RESPONSES, API_RESPONSES, texts[i], (struct lab_how){0}, &a);
        CHECK(a.st == GW_EPARSE && a.out.len == 0);
        lab_forget_answer(&a);
    }
}

/* ---- streams -------------------------------------------------------------------------------- */

#define AT(n, c)          "'item_id':'i','output_index':" n ",'content_index':" c
#define CREATED           EVENT("response.created", "'response':{'id':'resp_9','model':'gpt-9'}")
#define DONE              EVENT("response.completed", "'response':{'id':'resp_9','status':'completed'}")
#define DELTA(n, c, text) EVENT("response.output_text.delta", AT(n, c) ",'delta':'" text "'")
#define ADDED(n, item)    EVENT("response.output_item.added", "'output_index':" n ",'item':" item)
#define ENDED(n, item)    EVENT("response.output_item.done", "'output_index':" n ",'item':" item)
#define CALL(args)        "{'type':'function_call','call_id':'c','name':'f','arguments':'" args "'}"
#define OTHER(item)                                                                                \
    "error(502,unsupported_answer,The provider`s answer has " item                                 \
    ", which the API of this request cannot say.) "
#define MALFORMED "error(502,upstream_malformed,The provider`s answer is not what its API says.) "

/* Each leaves something out that OpenAI sends. */
static void test_streams_of_others(void)
{
    /* Deltas alone. */
    CHECK(stream(DELTA("0", "0", "a") DELTA("0", "0", "b") DELTA("0", "1", "c") DELTA("1", "0", "d")
                     DONE,
                 "start(,) 0.0:text[ a b ] 0.1:text[ c ] 0.2:text[ d ] 0.finish(stop) end"));
    /* Done events alone. */
    CHECK(stream(CREATED EVENT("response.output_text.done", AT("0", "0") ",'text':'all'")
                     EVENT("response.refusal.done", AT("1", "0") ",'refusal':'no'") DONE,
                 START "0.0:text[ all ] 0.1:refusal[ no ] 0.finish(stop) end"));
    CHECK(stream(CREATED EVENT("response.content_part.added", AT("0", "0") ",'part':" TEXT(""))
                     EVENT("response.content_part.done", AT("0", "0") ",'part':" TEXT("all"))
                         ENDED("0", MESSAGE(TEXT("all"))) DONE,
                 START "0.0:text[ all ] 0.finish(stop) end"));
    CHECK(stream(CREATED EVENT("response.content_part.added", AT("0", "0") ",'part':" TEXT(""))
                     ENDED("0", MESSAGE(TEXT("all") "," TEXT("more"))) DONE,
                 START "0.0:text[ all ] 0.1:text[ more ] 0.finish(stop) end"));
    CHECK(stream(CREATED ENDED("0", MESSAGE(TEXT("all"))) ENDED("1", CALL("{}")) DONE,
                 START "0.0:text[ all ] 0.1:tool(c,f)[ {} ] 0.finish(tool) end"));
    CHECK(stream(CREATED ADDED("0", CALL("")) ENDED("0", CALL("{1}")) DONE,
                 START "0.0:tool(c,f)[ {1} ] 0.finish(tool) end"));
    /* The last event alone. */
    CHECK(
        stream(EVENT("response.completed", "'response':" ANSWER("completed", MESSAGE(TEXT("all")))),
               START "0.0:text[ all ] 0.finish(stop) end"));
    /* The type in the event's name only; "[DONE]" at the end; events that are new. */
    CHECK(stream("event: response.output_text.delta\ndata: {'delta':'a'}\n\n" EVENT(
                     "response.new.thing", "'x':1") DONE "data: [DONE]\n\n",
                 "start(,) 0.0:text[ a ] 0.finish(stop) end"));
    CHECK(stream(CREATED DELTA("0", "0", "a")
                     EVENT("response.incomplete",
                           "'response':{'status':'incomplete','incomplete_details':{"
                           "'reason':'max_output_tokens'}}"),
                 START "0.0:text[ a ] 0.finish(length) end"));
}

static void test_reasoning_in_streams(void)
{
#define SUMMARY(part, text)                                                                        \
    EVENT("response.reasoning_summary_text.delta",                                                 \
          "'item_id':'i','output_index':0,'summary_index':" part ",'delta':'" text "'")
    CHECK(stream(CREATED ADDED("0", "{'type':'reasoning','summary':[]}") SUMMARY("0", "a")
                     SUMMARY("0", "b") SUMMARY("1", "c")
                         ENDED("0", "{'type':'reasoning','summary':[{'text':'ab'},{'text':'c'}],"
                                    "'encrypted_content':'gA'}") DELTA("1", "0", "x") DONE,
                 START "0.0:reasoning[ a b \n\n c sig:sluiceOpenAIItemgA ] 0.1:text[ x ] "
                       "0.finish(stop) end"));
    CHECK(stream(CREATED EVENT("response.reasoning_text.delta", AT("0", "0") ",'delta':'a'")
                     ENDED("0", "{'type':'reasoning','summary':[]}") DONE,
                 START "0.0:reasoning[ a ] 0.finish(stop) end"));
    CHECK(stream(CREATED ENDED("0", "{'type':'reasoning','summary':[{'text':'a'}]}") DONE,
                 START "0.0:reasoning[ a ] 0.finish(stop) end"));
}

static void test_streams_that_fail(void)
{
    CHECK(stream(CREATED DELTA("0", "0", "a"),
                 START "0.0:text[ a error(502,upstream_truncated,The provider`s answer broke off "
                       "before its end.) "));
    CHECK(stream("",
                 "error(502,upstream_truncated,The provider`s answer broke off before its end.) "));
    CHECK(stream(CREATED EVENT("error", "'code':'server_error','message':'Oh','param':null") DONE,
                 START "error(500,server_error,Oh) "));
    CHECK(
        stream(CREATED EVENT("error", "'error':{'type':'insufficient_quota','code':null,'message':"
                                      "'Pay'}"),
               START "error(429,-,Pay) "));
    CHECK(stream("data: {'error':{'message':'Late','code':'rate_limit_exceeded'}}\n\n",
                 "error(429,rate_limit_exceeded,Late) "));
    CHECK(stream(CREATED EVENT("response.failed",
                               "'response':{'id':'r','status':'failed','error':{'code':"
                               "'server_error','message':'Oh'}}"),
                 START "error(500,server_error,Oh) "));
    CHECK(stream(CREATED ADDED("0", "{'type':'mcp_call'}") DELTA("1", "0", "a") DONE,
                 START OTHER("an item of type 'mcp_call'")));
    CHECK(stream(CREATED EVENT("response.content_part.added", AT("0", "0") ",'part':{'type':'x'}"),
                 START OTHER("a part of type 'x'")));
    /* Items that are mixed, arguments of no call, a call without a name, no JSON. */
    CHECK(
        stream(CREATED DELTA("1", "0", "a") DELTA("0", "0", "b"), START "0.0:text[ a " MALFORMED));
    CHECK(
        stream(CREATED EVENT("response.function_call_arguments.delta", AT("0", "0") ",'delta':'{'"),
               START MALFORMED));
    CHECK(stream(CREATED ADDED("0", "{'type':'function_call','call_id':'c'}"), START MALFORMED));
    CHECK(stream(CREATED "data: {'type':\n\n", START MALFORMED));
    CHECK(stream(CREATED "data: 7\n\n", START MALFORMED));
}

/* ---- what the record wants -------------------------------------------------------------------- */

static bool looks(const char *text, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct api_seen seen = {0};
    struct gw_buf got = {0};
    char *data = js(text);
    bool ok;

    api_look(API_RESPONSES, json, gw_span_str(data), &seen);
    gw_buf_printf(&got, "%s %s %d %u,%u,%u,%u,%u", seen.model, seen.finish_reason, seen.usage.known,
                  (unsigned)seen.usage.input, (unsigned)seen.usage.output,
                  (unsigned)seen.usage.cached, (unsigned)seen.usage.cache_write,
                  (unsigned)seen.usage.reasoning);
    ok = strcmp(got.ptr, want) == 0;
    if (!ok)
        fprintf(stderr, "  got  %s\n  want %s\n", got.ptr, want);
    gw_buf_fini(&got);
    free(data);
    gw_json_free(json);
    return ok;
}

static void test_looking(void)
{
#define USAGE                                                                                      \
    "'usage':{'input_tokens':9,'input_tokens_details':{'cached_tokens':1,'cache_write_tokens':2}," \
    "'output_tokens':8,'output_tokens_details':{'reasoning_tokens':3},'total_tokens':17}"
    CHECK(looks("{'object':'response','model':'gpt-9','status':'completed'," USAGE "}",
                "gpt-9 completed 1 9,8,1,2,3"));
    CHECK(looks(
        "{'type':'response.completed','response':{'model':'gpt-9','status':'completed','tools'"
        ":[{'usage':{'input_tokens':77}}]," USAGE "}}",
        "gpt-9 completed 1 9,8,1,2,3"));
    CHECK(looks("{'type':'response.incomplete','response':{'status':'incomplete',"
                "'incomplete_details':{'reason':'max_output_tokens'},'usage':null}}",
                " max_output_tokens 0 0,0,0,0,0"));
    CHECK(looks("{'incomplete_details':{'reason':'content_filter'},'status':'incomplete'}",
                " content_filter 0 0,0,0,0,0"));
    CHECK(looks("{'type':'response.created','response':{'model':'gpt-9','status':'in_progress'}}",
                "gpt-9  0 0,0,0,0,0"));
    /* What the model says is not what the provider says of it. */
    CHECK(looks("{'type':'response.output_text.delta','delta':'x','model':'no'," USAGE "}",
                "  0 0,0,0,0,0"));
    CHECK(looks("{'output':[{'model':'no','status':'no','usage':{'input_tokens':5}}]}",
                "  0 0,0,0,0,0"));
    CHECK(looks("{'model':", "  0 0,0,0,0,0"));
}

int main(void)
{
    test_whole_answers();
    test_whole_answers_that_failed();
    test_what_is_no_answer();
    test_streams_of_others();
    test_reasoning_in_streams();
    test_streams_that_fail();
    test_looking();
    return test_done();
}
