/* Answers of OpenAI's Responses API as they are written: exact bytes, whole and streamed, with and without a request. */
#include "tests/unit/proxy/api_responses_lab.h"

/* A writer with what it reads from. */
struct bench {
    struct gw_json *json;
    struct gw_arena *arena;
    struct api_request req;
    struct api_writer *w;
    struct gw_buf out;
    char *body;
};

/* request NULL: a writer without one. */
static void set_up(struct bench *b, const char *request, bool stream)
{
    struct api_writer_config cfg = {.dialect = API_RESPONSES,
                                    .stream = stream,
                                    .id = "01TEST",
                                    .created = 1700000000,
                                    .model = GW_SPAN("asked")};
    struct gw_json_node *root = NULL;
    const char *param = NULL;

    *b = (struct bench){.json = gw_json_new(), .arena = gw_arena_new(1 << 20)};
    if (request != NULL) {
        b->body = js(request);
        CHECK(gw_json_tree(b->json, b->arena, gw_span_str(b->body), NULL, &root, NULL) == GW_OK);
        CHECK(api_read_request(API_RESPONSES, root, b->arena, &b->req, &param, NULL) == GW_OK);
        cfg.request = &b->req;
    }
    b->w = api_writer_new(&cfg);
}

static void tear_down(struct bench *b)
{
    api_writer_free(b->w);
    gw_buf_fini(&b->out);
    gw_arena_free(b->arena);
    gw_json_free(b->json);
    free(b->body);
}

static void put(struct bench *b, struct api_event ev)
{
    CHECK(api_writer_put(b->w, &ev, &b->out) == GW_OK);
}

/* What the last events gave is exactly want; it is forgotten then. */
static bool gave(struct bench *b, const char *want)
{
    char *text = js(want);
    bool ok = gw_span_is(gw_buf_span(&b->out), text);

    if (!ok)
        fprintf(stderr, "  got  %s\n  want %s\n", b->out.ptr == NULL ? "" : b->out.ptr, text);
    free(text);
    gw_buf_clear(&b->out);
    return ok;
}

static void start(struct bench *b)
{
    put(b, (struct api_event){.type = API_EVENT_START, .id = GW_SPAN("x"), .model = GW_SPAN("m9")});
}

static void block(struct bench *b, unsigned n, enum api_block kind, const char *id)
{
    put(b, (struct api_event){.type = API_EVENT_BLOCK,
                              .block = n,
                              .kind = kind,
                              .id = gw_span_str(id),
                              .name = GW_SPAN("f")});
}

static void delta(struct bench *b, unsigned n, enum api_block kind, const char *text)
{
    put(b, (struct api_event){
               .type = API_EVENT_DELTA, .block = n, .kind = kind, .text = gw_span_str(text)});
}

static void block_end(struct bench *b, unsigned n, enum api_block kind)
{
    put(b, (struct api_event){.type = API_EVENT_BLOCK_END, .block = n, .kind = kind});
}

static void finish(struct bench *b, enum api_finish how)
{
    put(b, (struct api_event){.type = API_EVENT_FINISH, .finish = how});
}

static void end(struct bench *b)
{
    put(b, (struct api_event){.type = API_EVENT_END});
}

#define HEAD(status, error, incomplete)                                                            \
    "{'id':'resp_01TEST','object':'response','created_at':1700000000,'status':'" status            \
    "','background':false,'error':" error ",'incomplete_details':" incomplete ",'model':'m9'"
#define NO_REQUEST                                                                                 \
    ",'instructions':null,'max_output_tokens':null,'max_tool_calls':null,'metadata':{},"           \
    "'parallel_tool_calls':true,'previous_response_id':null,'prompt_cache_key':null,'reasoning':{" \
    "'summary':null,'effort':null},'safety_identifier':null,'temperature':null,'text':{"           \
    "'verbosity':'medium','format':{'type':'text'}},'tool_choice':'auto','tools':[],"              \
    "'top_logprobs':0,'top_p':null,'truncation':'disabled','user':null,'service_tier':'default',"  \
    "'store':false"
#define NAMED(n, type, rest)                                                                       \
    "event: " type "\ndata: {'type':'" type "','sequence_number':" n "," rest "}\n\n"
#define BEGUN                                                                                      \
    NAMED("0", "response.created",                                                                 \
          "'response':" HEAD("in_progress", "null", "null") NO_REQUEST                             \
          ",'output':[],'usage':null}")                                                            \
    NAMED("1", "response.in_progress",                                                             \
          "'response':" HEAD("in_progress", "null", "null") NO_REQUEST                             \
          ",'output':[],'usage':null}")
#define TEXT(text)    "{'type':'output_text','annotations':[],'logprobs':[],'text':'" text "'}"
#define REFUSAL(text) "{'type':'refusal','refusal':'" text "'}"
#define MESSAGE(n, status, part)                                                                   \
    "{'id':'msg_01TEST_" n "','type':'message','status':'" status "','content':[" part             \
    "],'role':'assistant'}"
#define CALL(n, status, arguments, id)                                                             \
    "{'id':'fc_01TEST_" n "','type':'function_call','status':'" status "','arguments':'" arguments \
    "','call_id':'" id "','name':'f'}"
#define IN_MSG(n)  "'item_id':'msg_01TEST_" n "','output_index':" n ",'content_index':0"
#define IN_CALL(n) "'item_id':'fc_01TEST_" n "','output_index':" n
#define USAGE                                                                                      \
    "'usage':{'input_tokens':9,'input_tokens_details':{'cache_write_tokens':2,'cached_tokens':1}," \
    "'output_tokens':8,'output_tokens_details':{'reasoning_tokens':3},'total_tokens':17}"

static void test_text_then_two_calls_in_a_stream(void)
{
    const struct api_usage usage = {true, 9, 8, 1, 2, 3};
    struct bench b;

    set_up(&b, NULL, true);
    CHECK(strcmp(api_writer_media_type(b.w), "text/event-stream") == 0);
    start(&b);
    CHECK(gave(&b, BEGUN));
    block(&b, 0, API_BLOCK_TEXT, "");
    CHECK(gave(&b, NAMED("2", "response.output_item.added",
                         "'output_index':0,'item':" MESSAGE("0", "in_progress", ""))
                       NAMED("3", "response.content_part.added", IN_MSG("0") ",'part':" TEXT(""))));
    delta(&b, 0, API_BLOCK_TEXT, "H\xc3\xa9 \"\n");
    CHECK(gave(&b, NAMED("4", "response.output_text.delta",
                         IN_MSG("0") ",'delta':'Hé \\'\\n','logprobs':[]")));
    delta(&b, 0, API_BLOCK_TEXT, "");
    block_end(&b, 0, API_BLOCK_TEXT);
    put(&b, (struct api_event){.type = API_EVENT_USAGE, .usage = usage});
    CHECK(gave(&b, "")); /* its status is not known yet */
    block(&b, 1, API_BLOCK_TOOL, "c1");
    CHECK(gave(
        &b, NAMED("5", "response.output_text.done", IN_MSG("0") ",'text':'Hé \\'\\n','logprobs':[]")
                NAMED("6", "response.content_part.done", IN_MSG("0") ",'part':" TEXT("Hé \\'\\n"))
                    NAMED("7", "response.output_item.done",
                          "'output_index':0,'item':" MESSAGE("0", "completed", TEXT("Hé \\'\\n")))
                        NAMED("8", "response.output_item.added",
                              "'output_index':1,'item':" CALL("1", "in_progress", "", "c1"))));
    delta(&b, 1, API_BLOCK_TOOL, "{\"a\"");
    delta(&b, 1, API_BLOCK_TOOL, ":1}");
    CHECK(gave(
        &b,
        NAMED("9", "response.function_call_arguments.delta", IN_CALL("1") ",'delta':'{\\'a\\''")
            NAMED("10", "response.function_call_arguments.delta", IN_CALL("1") ",'delta':':1}'")));
    block_end(&b, 1, API_BLOCK_TOOL);
    block(&b, 2, API_BLOCK_TOOL, ""); /* no id, no arguments */
    CHECK(gave(&b, NAMED("11", "response.function_call_arguments.done",
                         IN_CALL("1") ",'name':'f','arguments':'{\\'a\\':1}'")
                       NAMED("12", "response.output_item.done",
                             "'output_index':1,'item':" CALL("1", "completed", "{\\'a\\':1}", "c1"))
                           NAMED("13", "response.output_item.added",
                                 "'output_index':2,'item':" CALL("2", "in_progress", "",
                                                                 "call_01TEST_2"))));
    block_end(&b, 2, API_BLOCK_TOOL);
    finish(&b, API_FINISH_TOOL);
    CHECK(gave(
        &b, NAMED("14", "response.function_call_arguments.delta",
                  IN_CALL("2") ",'delta':'{}'") NAMED("15", "response.function_call_arguments.done",
                                                      IN_CALL("2") ",'name':'f','arguments':'{}'")
                NAMED("16", "response.output_item.done",
                      "'output_index':2,'item':" CALL("2", "completed", "{}", "call_01TEST_2"))));
    end(&b);
    CHECK(gave(&b,
               NAMED("17", "response.completed",
                     "'response':" HEAD("completed", "null", "null") NO_REQUEST
                     ",'output':[" MESSAGE("0", "completed", TEXT("Hé \\'\\n")) "," CALL(
                         "1", "completed", "{\\'a\\':1}",
                         "c1") "," CALL("2", "completed", "{}", "call_01TEST_2") "]," USAGE "}")));
    end(&b);
    CHECK(gave(&b, "")); /* nothing after the end */
    tear_down(&b);
}

static void test_reasoning_in_a_stream(void)
{
#define IN_RS "'item_id':'rs_01TEST_0','output_index':0,'summary_index':0"
#define RS(n, summary, more)                                                                       \
    "{'id':'rs_01TEST_" n "','type':'reasoning','summary':[" summary "]" more "}"
#define SUMMARY(text) "{'type':'summary_text','text':'" text "'}"
    struct bench b;

    set_up(&b, NULL, true);
    start(&b);
    gw_buf_clear(&b.out);
    block(&b, 0, API_BLOCK_REASONING, "");
    delta(&b, 0, API_BLOCK_REASONING, "Hm");
    put(&b, (struct api_event){.type = API_EVENT_SIGNATURE,
                               .kind = API_BLOCK_REASONING,
                               .text = GW_SPAN("sluiceClaudeSignU0lH")});
    CHECK(gave(&b,
               NAMED("2", "response.output_item.added", "'output_index':0,'item':" RS("0", "", ""))
                   NAMED("3", "response.reasoning_summary_part.added", IN_RS ",'part':" SUMMARY(""))
                       NAMED("4", "response.reasoning_summary_text.delta", IN_RS ",'delta':'Hm'")));
    block_end(&b, 0, API_BLOCK_REASONING);
    block(&b, 1, API_BLOCK_REASONING, "");
    CHECK(gave(&b, NAMED("5", "response.reasoning_summary_text.done", IN_RS ",'text':'Hm'") NAMED(
                       "6", "response.reasoning_summary_part.done", IN_RS ",'part':" SUMMARY("Hm"))
                       NAMED("7", "response.output_item.done",
                             "'output_index':0,'item':" RS(
                                 "0", SUMMARY("Hm"), ",'encrypted_content':'sluiceClaudeSignU0lH'"))
                           NAMED("8", "response.output_item.added",
                                 "'output_index':1,'item':" RS("1", "", ""))));
    /* One without texts has no part. */
    block_end(&b, 1, API_BLOCK_REASONING);
    finish(&b, API_FINISH_STOP);
    CHECK(gave(
        &b, NAMED("9", "response.output_item.done", "'output_index':1,'item':" RS("1", "", ""))));
    tear_down(&b);
}

/* How a stream that has a text, or nothing, ends. */
static bool ends(enum api_block kind, const char *text, enum api_finish how, const char *want)
{
    struct bench b;
    bool ok;

    set_up(&b, NULL, true);
    start(&b);
    if (text != NULL) {
        block(&b, 0, kind, "");
        delta(&b, 0, kind, text);
        block_end(&b, 0, kind);
    }
    gw_buf_clear(&b.out);
    finish(&b, how);
    end(&b);
    ok = gave(&b, want);
    tear_down(&b);
    return ok;
}

#define DONE_TEXT(status)                                                                          \
    NAMED("5", "response.output_text.done", IN_MSG("0") ",'text':'a','logprobs':[]")               \
    NAMED("6", "response.content_part.done", IN_MSG("0") ",'part':" TEXT("a"))                     \
    NAMED("7", "response.output_item.done",                                                        \
          "'output_index':0,'item':" MESSAGE("0", status, TEXT("a")))
#define LAST(n, type, status, incomplete, output)                                                  \
    NAMED(n, type,                                                                                 \
          "'response':" HEAD(status, "null", incomplete) NO_REQUEST ",'output':[" output           \
                                                                    "],'usage':null}")

static void test_how_streams_end(void)
{
    CHECK(ends(API_BLOCK_TEXT, "a", API_FINISH_STOP,
               DONE_TEXT("completed") LAST("8", "response.completed", "completed", "null",
                                           MESSAGE("0", "completed", TEXT("a")))));
    CHECK(ends(API_BLOCK_TEXT, "a", API_FINISH_LENGTH,
               DONE_TEXT("incomplete")
                   LAST("8", "response.incomplete", "incomplete", "{'reason':'max_output_tokens'}",
                        MESSAGE("0", "incomplete", TEXT("a")))));
    CHECK(ends(API_BLOCK_TEXT, "a", API_FINISH_FILTER,
               DONE_TEXT("incomplete")
                   LAST("8", "response.incomplete", "incomplete", "{'reason':'content_filter'}",
                        MESSAGE("0", "incomplete", TEXT("a")))));
    CHECK(ends(API_BLOCK_REFUSAL, "a", API_FINISH_REFUSAL,
               NAMED("5", "response.refusal.done", IN_MSG("0") ",'refusal':'a'")
                   NAMED("6", "response.content_part.done", IN_MSG("0") ",'part':" REFUSAL("a"))
                       NAMED("7", "response.output_item.done",
                             "'output_index':0,'item':" MESSAGE("0", "completed", REFUSAL("a")))
                           LAST("8", "response.completed", "completed", "null",
                                MESSAGE("0", "completed", REFUSAL("a")))));
    /* A refusal without words is not an empty success. */
    CHECK(ends(API_BLOCK_TEXT, NULL, API_FINISH_REFUSAL,
               LAST("2", "response.incomplete", "incomplete", "{'reason':'content_filter'}", "")));
    CHECK(ends(API_BLOCK_TEXT, NULL, API_FINISH_NONE,
               LAST("2", "response.completed", "completed", "null", "")));
}

static void test_errors(void)
{
    const struct api_failure f = {
        .status = 502, .code = "upstream_truncated", .message = "It \"broke\"."};
    const struct api_failure quota = {.status = 429, .message = "Wait."};
    const struct api_event error = {.type = API_EVENT_ERROR, .failure = f};
    struct bench b;

    set_up(&b, NULL, true);
    start(&b);
    block(&b, 0, API_BLOCK_TEXT, "");
    delta(&b, 0, API_BLOCK_TEXT, "a");
    gw_buf_clear(&b.out);
    put(&b, error);
    CHECK(gave(&b,
               NAMED("5", "error",
                     "'code':'upstream_truncated','message':'It \\'broke\\'.','param':null,"
                     "'error':{'type':'server_error','code':'upstream_truncated','message':"
                     "'It \\'broke\\'.','param':null}")
                   NAMED("6", "response.failed",
                         "'response':" HEAD("failed",
                                            "{'code':'server_error','message':'It \\'broke\\'.'}",
                                            "null") NO_REQUEST
                         ",'output':[" MESSAGE("0", "incomplete", TEXT("a")) "],'usage':null}")));
    tear_down(&b);

    /* Before anything came. */
    set_up(&b, NULL, true);
    put(&b, (struct api_event){.type = API_EVENT_ERROR, .failure = quota});
    CHECK(strstr(b.out.ptr, "event: response.created\n") == b.out.ptr);
    CHECK(strstr(b.out.ptr, "\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Wait.\"}"));
    tear_down(&b);

    set_up(&b, NULL, false);
    start(&b);
    put(&b, error);
    CHECK(gave(&b, "{'error':{'message':'It \\'broke\\'.','type':'server_error','param':null,"
                   "'code':'upstream_truncated'}}\n"));
    tear_down(&b);

    api_write_stream_error(API_RESPONSES, &quota, &b.out);
    CHECK(gave(&b, NAMED("0", "error",
                         "'code':null,'message':'Wait.','param':null,'error':{'type':"
                         "'rate_limit_error','code':null,'message':'Wait.','param':null}")));
    gw_buf_fini(&b.out);
}

/* The request is repeated with the values it had, and no line of it ends an event's line. */
static void test_the_request_is_repeated(void)
{
    struct bench b;

    set_up(&b,
           "{'model':'gpt-9','input':'hi','instructions':'Be\\nbrief \\u00e9','temperature':0.70,"
           "'top_p':1e0,'max_output_tokens':12,'metadata':{'a':\r\n 'b'},'user':'u',"
           "'safety_identifier':'s','prompt_cache_key':'k','parallel_tool_calls':false,"
           "'reasoning':{'effort':'low','summary':'auto'},'store':true,"
           "'text':{'verbosity':'low','format':{'type':'json_schema','name':'n','schema':{\n}}},"
           "'tool_choice':{'type':'function','name':'f'},'tools':[{'type':'function','name':'f',"
           "'description':'d','parameters':{'type':\n'object'},'strict':true},"
           "{'type':'function','name':'g'}]}",
           false);
    CHECK(strcmp(api_writer_media_type(b.w), "application/json") == 0);
    start(&b);
    block(&b, 0, API_BLOCK_TEXT, "");
    delta(&b, 0, API_BLOCK_TEXT, "a");
    block_end(&b, 0, API_BLOCK_TEXT);
    finish(&b, API_FINISH_STOP);
    CHECK(b.out.len == 0);
    end(&b);
    CHECK(gave(&b,
               HEAD("completed", "null",
                    "null") ",'instructions':'Be\\nbrief \\u00e9',"
                            "'max_output_tokens':12,'max_tool_calls':null,'metadata':{'a': 'b'},"
                            "'parallel_tool_calls':false,'previous_response_id':null,'prompt_cache_"
                            "key':'k',"
                            "'reasoning':{'summary':'auto','effort':'low'},'safety_identifier':'s',"
                            "'temperature':0.70,'text':{'verbosity':'low','format':{'type':'json_"
                            "schema','name':"
                            "'n','schema':{}}},'tool_choice':{'type':'function','name':'f'},'tools'"
                            ":[{'type':"
                            "'function','name':'f','description':'d','parameters':{'type':'object'}"
                            ",'strict':true},"
                            "{'type':'function','name':'g','description':null,'parameters':null,'"
                            "strict':false}],"
                            "'top_logprobs':0,'top_p':1e0,'truncation':'disabled','user':'u','"
                            "service_tier':"
                            "'default','store':false,'output':[" MESSAGE(
                                "0", "completed", TEXT("a")) "],'usage':null}\n"));
    tear_down(&b);
}

/* What no reader emits does no harm. */
static void test_stray_events(void)
{
    struct bench b;

    set_up(&b, NULL, true);
    start(&b);
    gw_buf_clear(&b.out);
    delta(&b, 0, API_BLOCK_TEXT, "stray");
    block_end(&b, 0, API_BLOCK_TEXT);
    put(&b, (struct api_event){.type = API_EVENT_BLOCK, .choice = 1});
    put(&b, (struct api_event){.type = API_EVENT_DELTA, .choice = 1, .text = GW_SPAN("other")});
    put(&b, (struct api_event){.type = API_EVENT_FINISH, .choice = 1});
    CHECK(gave(&b, ""));
    block(&b, 0, API_BLOCK_TEXT, "");
    block_end(&b, 0, API_BLOCK_TEXT);
    block_end(&b, 0, API_BLOCK_TEXT);
    gw_buf_clear(&b.out);
    end(&b);
    CHECK(strstr(b.out.ptr, "\"sequence_number\":4") != NULL);
    tear_down(&b);
}

/* An answer above 64 MiB ends with a status, not with memory. */
static void test_answers_are_bounded(void)
{
    size_t n = 20 << 20;
    char *text = calloc(1, n + 1);
    enum gw_status st = GW_OK;
    struct bench b;

    memset(text, 'a', n);
    set_up(&b, NULL, false);
    start(&b);
    block(&b, 0, API_BLOCK_TEXT, "");
    for (unsigned i = 0; i < 4 && st == GW_OK; i++) {
        const struct api_event ev = {.type = API_EVENT_DELTA, .text = {text, n}};

        st = api_writer_put(b.w, &ev, &b.out);
    }
    CHECK(st == GW_ELIMIT);
    tear_down(&b);
    free(text);
}

int main(void)
{
    test_text_then_two_calls_in_a_stream();
    test_reasoning_in_a_stream();
    test_how_streams_end();
    test_errors();
    test_the_request_is_repeated();
    test_stray_events();
    test_answers_are_bounded();
    return test_done();
}
