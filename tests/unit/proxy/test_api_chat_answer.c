/* Answers of chat completions: as events, and as a client gets them; streams cut anywhere; answers that are wrong. */
#include "tests/unit/proxy/api_dump.h"

static const struct lab_how stream = {.from_stream = true, .to_stream = true};

/* A stream's events: each element is the data of one. */
static struct gw_buf sse(const char *const *data)
{
    struct gw_buf b = {0};

    for (; *data != NULL; data++)
        gw_buf_printf(&b, "data: %s\n\n", q(*data));
    return b;
}

/* The events that a stream gives are exactly want, in one piece. */
static bool streams(const char *const *data, const char *want)
{
    struct gw_buf text = sse(data);
    bool ok = lab_answers(API_CHAT, API_CHAT, text.ptr, stream, true, q(want));

    gw_buf_fini(&text);
    return ok;
}

static bool whole(const char *body, const char *want)
{
    return lab_answers(API_CHAT, API_CHAT, q(body), (struct lab_how){0}, true, q(want));
}

#define CHUNK(delta)  "{'id':'x','model':'g','choices':[{'index':0,'delta':" delta "}]}"
#define FINISH(why)   "{'choices':[{'index':0,'delta':{},'finish_reason':'" why "'}]}"
#define TOOL(members) CHUNK("{'tool_calls':[{" members "}]}")

/* ---- reading ---------------------------------------------------------------------------- */

static void test_text_stream(void)
{
    CHECK(streams(
        (const char *[]){"{'id':'','model':'','choices':[],'prompt_filter_results':[]}",
                         CHUNK("{'role':'assistant','content':''}"), CHUNK("{'content':'Hel'}"),
                         CHUNK("{'content':null}"), CHUNK("{'content':'lo\\n\\ud83d\\ude00'}"),
                         FINISH("stop"),
                         "{'choices':[],'usage':{'prompt_tokens':9,'completion_tokens':4,"
                         "'prompt_tokens_details':{'cached_tokens':3},"
                         "'completion_tokens_details':{'reasoning_tokens':2}}}",
                         "[DONE]", NULL},
        "start(x,g) 0.0:text[ Hel lo\n\xF0\x9F\x98\x80 ] 0.finish(stop) usage(9,4,3,0,2) end"));
    CHECK(streams((const char *[]){CHUNK("{'reasoning_content':'hm'}"), CHUNK("{'reasoning':'m'}"),
                                   CHUNK("{'content':'a'}"), CHUNK("{'refusal':'no'}"),
                                   FINISH("content_filter"), "[DONE]", NULL},
                  "start(x,g) 0.0:reasoning[ hm m ] 0.1:text[ a ] 0.2:refusal[ no ] "
                  "0.finish(filter) end"));
}

static void test_choices(void)
{
    CHECK(streams((const char *[]){"{'id':'x','choices':[{'index':1,'delta':{'content':'b'}},"
                                   "{'index':0,'delta':{'content':'a'}}]}",
                                   "{'choices':[{'index':1,'delta':{'content':'B'},"
                                   "'finish_reason':'length'}]}",
                                   FINISH("stop"), NULL},
                  "start(x,) 1.0:text[ b 0.0:text[ a B ] 1.finish(length) ] 0.finish(stop) end"));
    /* A choice that never says why ends with the stream. */
    CHECK(streams((const char *[]){CHUNK("{'content':'a'}"), "[DONE]", NULL},
                  "start(x,g) 0.0:text[ a ] 0.finish(stop) end"));
}

static void test_tool_stream(void)
{
    CHECK(streams((const char *[]){TOOL("'index':0,'id':'c1','type':'function','function':{'name':"
                                        "'f','arguments':''}"),
                                   TOOL("'index':0,'function':{'arguments':'{\\'a'}"),
                                   TOOL("'index':0,'function':{'arguments':'\\':\\'}\\'}'}"),
                                   TOOL("'index':1,'id':'c2','function':{'name':'g','arguments':"
                                        "'{}'}"),
                                   FINISH("tool_calls"), "[DONE]", NULL},
                  "start(x,g) 0.0:tool(c1,f)[ {'a ':'}'} ] 0.1:tool(c2,g)[ {} ] 0.finish(tool) "
                  "end"));
    /* Interleaved: the second waits for the first. */
    CHECK(streams((const char *[]){TOOL("'index':0,'id':'c1','function':{'name':'f'}"),
                                   TOOL("'index':1,'id':'c2','function':{'name':'g','arguments':"
                                        "'{\\'b'}"),
                                   TOOL("'index':0,'function':{'arguments':'{\\'a'}"),
                                   TOOL("'index':1,'function':{'arguments':'\\':2}'}"),
                                   TOOL("'index':0,'function':{'arguments':'\\':1}'}"),
                                   TOOL("'index':0,'function':{'arguments':'\\n'}"),
                                   FINISH("tool_calls"), "[DONE]", NULL},
                  "start(x,g) 0.0:tool(c1,f)[ {'a ':1} ] 0.1:tool(c2,g)[ {'b':2} ] 0.finish(tool) "
                  "end"));
    CHECK(streams((const char *[]){TOOL("'index':0,'id':'c1','function':{'name':'f'}"),
                                   TOOL("'index':1,'id':'c2','function':{'name':'g','arguments':"
                                        "'{\\'b'}"),
                                   TOOL("'index':2,'id':'c3','function':{'name':'h'}"),
                                   TOOL("'index':1,'function':{'arguments':'\\':2}'}"),
                                   FINISH("tool_calls"), "[DONE]", NULL},
                  "start(x,g) 0.0:tool(c1,f)[ ] 0.1:tool(c2,g)[ {'b':2} ] 0.2:tool(c3,h)[ ] "
                  "0.finish(tool) end"));
    /* Servers that give every call the index 0, or none. */
    CHECK(streams((const char *[]){TOOL("'index':0,'id':'c1','function':{'name':'f','arguments':"
                                        "'{}'}},{'index':0,'id':'c2','function':{'name':'f',"
                                        "'arguments':{'a':1}}"),
                                   FINISH("stop"), "[DONE]", NULL},
                  "start(x,g) 0.0:tool(c1,f)[ {} ] 0.1:tool(c2,f)[ {'a':1} ] 0.finish(tool) end"));
    CHECK(streams((const char *[]){CHUNK("{'content':'so'}"),
                                   TOOL("'id':'c1','function':{'name':'f','arguments':'{}'}"),
                                   TOOL("'id':'c2','function':{'name':'g','arguments':'{}'}"),
                                   FINISH("tool_calls"), "[DONE]", NULL},
                  "start(x,g) 0.0:text[ so ] 0.1:tool(c1,f)[ {} ] 0.2:tool(c2,g)[ {} ] "
                  "0.finish(tool) end"));
    CHECK(
        streams((const char *[]){TOOL("'index':0,'id':'','function':{'name':'f','arguments':'{}'}"),
                                 TOOL("'index':0,'id':'','function':{'name':'f','arguments':'{}'}"),
                                 TOOL("'index':0,'id':'','function':{'name':'f','arguments':''}"),
                                 FINISH("stop"), "[DONE]", NULL},
                "start(x,g) 0.0:tool(call_x00,f)[ {} ] 0.1:tool(call_x01,f)[ {} ] 0.finish(tool) "
                "end"));
    /* The name comes after the id; calls without id get one of the answer's. */
    CHECK(streams((const char *[]){TOOL("'index':0,'id':'c1'"),
                                   TOOL("'index':0,'function':{'name':'f','arguments':'{}'}"),
                                   TOOL("'index':1,'function':{'name':'g'}"), FINISH("tool_calls"),
                                   "[DONE]", NULL},
                  "start(x,g) 0.0:tool(c1,f)[ {} ] 0.1:tool(call_x01,g)[ ] 0.finish(tool) end"));
    CHECK(streams((const char *[]){CHUNK("{'function_call':{'name':'f','arguments':''}}"),
                                   CHUNK("{'function_call':{'arguments':'{}'}}"),
                                   FINISH("function_call"), "[DONE]", NULL},
                  "start(x,g) 0.0:tool(call_x00,f)[ {} ] 0.finish(tool) end"));
}

#define TRUNCATED "error(502,upstream_truncated,The provider's answer broke off before its end.) "
#define MALFORMED "error(502,upstream_malformed,The provider's answer is not what its API says.) "

/* want is compared as it is: these hold apostrophes. */
static bool breaks(const char *const *data, const char *want)
{
    struct gw_buf text = sse(data);
    bool ok = lab_answers(API_CHAT, API_CHAT, text.ptr == NULL ? "" : text.ptr, stream, true, want);

    gw_buf_fini(&text);
    return ok;
}

static void test_streams_that_break(void)
{
    CHECK(breaks((const char *[]){NULL}, TRUNCATED));
    CHECK(breaks((const char *[]){"[DONE]", NULL}, TRUNCATED));
    CHECK(breaks((const char *[]){CHUNK("{'content':'a'}"), NULL},
                 "start(x,g) 0.0:text[ a " TRUNCATED));
    CHECK(breaks((const char *[]){CHUNK("{'content':'a'}"), "{'choices':[", NULL},
                 "start(x,g) 0.0:text[ a " MALFORMED));
    CHECK(breaks((const char *[]){CHUNK("{'content':'\xFF'}"), NULL}, MALFORMED));
    CHECK(breaks((const char *[]){"5", NULL}, MALFORMED));
    CHECK(breaks((const char *[]){"{'choices':[{'index':128,'delta':{}}]}", NULL},
                 "start(,) " MALFORMED));
    CHECK(breaks((const char *[]){"{'choices':[7]}", NULL}, "start(,) " MALFORMED));
    CHECK(breaks((const char *[]){FINISH("stop"), CHUNK("{'content':'more'}"), NULL},
                 "start(,) 0.finish(stop) " MALFORMED));
    CHECK(breaks((const char *[]){TOOL("'index':0,'id':'c','function':{'name':'f','arguments':"
                                       "'{}'}"),
                                  CHUNK("{'content':'a'}"),
                                  TOOL("'index':0,'function':{'arguments':'{}'}"), NULL},
                 "start(x,g) 0.0:tool(c,f)[ {} ] 0.1:text[ a " MALFORMED));
}

static void test_stream_errors(void)
{
    CHECK(breaks(
        (const char *[]){TOOL("'index':0,'id':'c','type':'custom','custom':{'name':'f'}"), NULL},
        "start(x,g) error(502,unsupported_answer,The provider's answer holds a part that "
        "cannot be said in the client's API.) "));
    CHECK(breaks((const char *[]){CHUNK("{'content':'a'}"),
                                  "{'error':{'message':'slow down','type':'rate_limit_error',"
                                  "'code':'rate'}}",
                                  CHUNK("{'content':'b'}"), "[DONE]", NULL},
                 "start(x,g) 0.0:text[ a error(429,rate,slow down) "));
    CHECK(breaks((const char *[]){"{'error':{'message':'m','code':503}}", NULL},
                 "error(503,503,m) "));
    CHECK(breaks((const char *[]){"{'error':'bare'}", NULL}, "error(502,-,bare) "));
    CHECK(breaks((const char *[]){"{'error':{}}", NULL}, "error(502,-,The provider failed.) "));
    CHECK(lab_answers(API_CHAT, API_CHAT, "event: error\ndata: {\"message\":\"x\"}\n\n", stream,
                      true, "error(502,-,x) "));
}

static void test_whole(void)
{
    CHECK(whole("{'id':'x','model':'g','choices':[{'index':0,'message':{'role':'assistant',"
                "'content':'hi','reasoning_content':'hm','refusal':null,'tool_calls':["
                "{'id':'c1','type':'function','function':{'name':'f','arguments':'{\\'a\\':1}'}},"
                "{'id':'c1','type':'function','function':{'name':'f','arguments':''}}]},"
                "'finish_reason':'tool_calls'},{'index':1,'message':{'content':null,'refusal':"
                "'no'},'finish_reason':'stop'}],'usage':{'prompt_tokens':1,"
                "'completion_tokens':2}}",
                "start(x,g) 0.0:reasoning[ hm ] 0.1:text[ hi ] 0.2:tool(c1,f)[ {'a':1} ] "
                "0.3:tool(c1,f)[ ] 0.finish(tool) 1.0:refusal[ no ] 1.finish(stop) "
                "usage(1,2,0,0,0) end"));
    CHECK(whole("{'choices':[{'message':{'content':[{'type':'thinking','thinking':[{'type':'text',"
                "'text':'t'}]},{'type':'text','text':'a'},{'type':'text','text':'b'}]}}],"
                "'usage':null}",
                "start(,) 0.0:reasoning[ t ] 0.1:text[ a b ] 0.finish(stop) end"));
    CHECK(whole("{'choices':[{'index':0,'message':{'content':''},'finish_reason':'strange'}]}",
                "start(,) 0.finish(other) end"));
    CHECK(whole("{'error':{'message':'m','code':401}}", "error(401,401,m) "));
}

static void test_whole_that_is_none(void)
{
    static const char *const bodies[] = {
        "", "{", "5", "{}", "{'choices':[]}", "[]", "{'choices':{}}", "<html>"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct lab_answer a;

        lab_answer(API_CHAT, API_CHAT, q(bodies[i]), (struct lab_how){0}, &a);
        CHECK(a.st == GW_EPARSE && a.events.len == 0 && a.out.len == 0);
        lab_forget_answer(&a);
    }
}

/* ---- writing ---------------------------------------------------------------------------- */

#define HEAD                                                                                       \
    "{'id':'chatcmpl-01TEST','object':'chat.completion.chunk','created':1700000000,'model':"
#define OUT(delta, finish)                                                                         \
    "data: " HEAD "'g','system_fingerprint':null,'choices':[{'index':0,'delta':{" delta            \
    "},'logprobs':null,'finish_reason':" finish "}]}\n\n"
#define ROLE OUT("'role':'assistant','content':'','refusal':null", "null")

static bool rewrites(const char *const *data, const char *want)
{
    struct gw_buf text = sse(data);
    bool ok = lab_answers(API_CHAT, API_CHAT, text.ptr, stream, false, q(want));

    gw_buf_fini(&text);
    return ok;
}

static void test_stream_as_written(void)
{
    CHECK(rewrites((const char *[]){CHUNK("{'content':'Hi'}"), CHUNK("{'reasoning_content':'h'}"),
                                    CHUNK("{'refusal':'n\\n'}"), FINISH("length"), "[DONE]", NULL},
                   ROLE OUT("'content':'Hi'", "null") OUT("'reasoning_content':'h'", "null")
                       OUT("'refusal':'n\\n'", "null") OUT("", "'length'") "data: [DONE]\n\n"));
    CHECK(rewrites(
        (const char *[]){TOOL("'index':0,'id':'c1','function':{'name':'f','arguments':"
                              "'{\\'a\\':1}'}"),
                         TOOL("'index':1,'id':'c2','function':{'name':'g'}"), FINISH("stop"),
                         "[DONE]", NULL},
        ROLE OUT("'tool_calls':[{'index':0,'id':'c1','type':'function','function':{'name':'f',"
                 "'arguments':''}}]",
                 "null")
            OUT("'tool_calls':[{'index':0,'function':{'arguments':'{\\'a\\':1}'}}]", "null")
                OUT("'tool_calls':[{'index':1,'id':'c2','type':'function','function':{'name':'g',"
                    "'arguments':''}}]",
                    "null") OUT("'tool_calls':[{'index':1,'function':{'arguments':'{}'}}]", "null")
                    OUT("", "'tool_calls'") "data: [DONE]\n\n"));
    CHECK(rewrites((const char *[]){CHUNK("{'content':'a'}"),
                                    "{'error':{'message':'m','type':'server_error'}}", "[DONE]",
                                    NULL},
                   ROLE OUT("'content':'a'", "null") "data: {'error':{'message':'m','type':"
                                                     "'server_error','param':null,'code':null}}"
                                                     "\n\n"));
}

static void test_usage_when_asked(void)
{
    struct gw_buf text = sse((const char *[]){
        CHUNK("{'content':'a'}"), FINISH("stop"),
        "{'choices':[],'usage':{'prompt_tokens':7,'completion_tokens':3}}", "[DONE]", NULL});
    struct lab_how how = {.from_stream = true, .to_stream = true, .include_usage = true};
    struct lab_answer a;

    lab_answer(API_CHAT, API_CHAT, text.ptr, how, &a);
    CHECK(strstr(a.out.ptr, q("'finish_reason':'stop'}],'usage':null}")) != NULL);
    CHECK(
        gw_span_ends(gw_buf_span(&a.out),
                     gw_span_str(q("'choices':[],'usage':{'prompt_tokens':7,'completion_tokens':3,"
                                   "'total_tokens':10,'prompt_tokens_details':{'cached_tokens':0},"
                                   "'completion_tokens_details':{'reasoning_tokens':0}}}\n\n"
                                   "data: [DONE]\n\n"))));
    lab_forget_answer(&a);
    gw_buf_fini(&text);
}

static void test_whole_as_written(void)
{
    CHECK(lab_answers(
        API_CHAT, API_CHAT,
        q("{'id':'x','choices':[{'index':0,'message':{'content':'hi','reasoning_content':'hm'},"
          "'finish_reason':'stop'},{'index':1,'message':{'content':null,'tool_calls':[{'id':'c1',"
          "'function':{'name':'f','arguments':'{\\'a\\':1}'}},{'id':'c2','function':{'name':'g'}}]}"
          "}],'usage':{'prompt_tokens':1,'completion_tokens':2,'prompt_tokens_details':"
          "{'cached_tokens':1}}}"),
        (struct lab_how){0}, false,
        q("{'id':'chatcmpl-01TEST','object':'chat.completion','created':1700000000,'model':'asked',"
          "'system_fingerprint':null,'choices':[{'index':0,'message':{'role':'assistant','content':"
          "'hi','reasoning_content':'hm','refusal':null},'logprobs':null,'finish_reason':'stop'},"
          "{'index':1,'message':{'role':'assistant','content':null,'refusal':null,'tool_calls':["
          "{'id':'c1','type':'function','function':{'name':'f','arguments':'{\\'a\\':1}'}},"
          "{'id':'c2','type':'function','function':{'name':'g','arguments':'{}'}}]},'logprobs':"
          "null,'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':1,'completion_tokens':2,"
          "'total_tokens':3,'prompt_tokens_details':{'cached_tokens':1},"
          "'completion_tokens_details':{'reasoning_tokens':0}}}\n")));
    CHECK(lab_answers(API_CHAT, API_CHAT, q("{'error':{'message':'m','type':'t'}}"),
                      (struct lab_how){0}, false,
                      q("{'error':{'message':'m','type':'t','param':null,'code':null}}\n")));
}

/* A client of the time before tools gets the call in the form it knows. */
static void test_legacy_answer(void)
{
    const struct api_request req = {.legacy_functions = true};
    const struct api_event events[] = {
        {.type = API_EVENT_START},
        {.type = API_EVENT_BLOCK, .kind = API_BLOCK_TOOL, .name = GW_SPAN("f")},
        {.type = API_EVENT_DELTA, .kind = API_BLOCK_TOOL, .text = GW_SPAN("{}")},
        {.type = API_EVENT_BLOCK_END, .kind = API_BLOCK_TOOL},
        {.type = API_EVENT_FINISH, .finish = API_FINISH_TOOL},
        {.type = API_EVENT_END}};
    static const char *const want[] = {
        "'content':null,'refusal':null,'function_call':{'name':'f','arguments':'{}'}},"
        "'logprobs':null,'finish_reason':'function_call'}",
        "'delta':{'function_call':{'name':'f','arguments':''}}"};

    for (int streamed = 0; streamed < 2; streamed++) {
        const struct api_writer_config cfg = {
            .dialect = API_CHAT, .stream = streamed != 0, .id = "01TEST", .request = &req};
        struct api_writer *w = api_writer_new(&cfg);
        struct gw_buf out = {0};

        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
            CHECK(api_writer_put(w, &events[i], &out) == GW_OK);
        CHECK(strstr(out.ptr, q(want[streamed])) != NULL);
        gw_buf_fini(&out);
        api_writer_free(w);
    }
}

/* A stream cut at every place, and byte by byte, gives the same bytes. */
static void test_cut_anywhere(void)
{
    struct gw_buf text = sse((const char *[]){
        CHUNK("{'role':'assistant','content':''}"), CHUNK("{'content':'\xC3\xA9\\u00e9'}"),
        TOOL("'index':0,'id':'c1','function':{'name':'f','arguments':'{\\'k'}"),
        TOOL("'index':1,'id':'c2','function':{'name':'g','arguments':'{}'}"),
        TOOL("'index':0,'function':{'arguments':'\\':\\'\\\\u00e9\\'}'}"), FINISH("tool_calls"),
        "{'choices':[],'usage':{'prompt_tokens':7,'completion_tokens':3}}", "[DONE]", NULL});
    struct lab_answer want, got;

    lab_answer(API_CHAT, API_CHAT, text.ptr, stream, &want);
    CHECK(want.st == GW_OK && strstr(want.out.ptr, "[DONE]") != NULL);
    for (size_t at = 0; at <= text.len; at++) {
        struct lab_how how = stream;

        how.at = at;
        how.step = at == 0 ? 1 : text.len;
        lab_answer(API_CHAT, API_CHAT, text.ptr, how, &got);
        CHECK(got.st == GW_OK && gw_span_eq(gw_buf_span(&got.out), gw_buf_span(&want.out)));
        lab_forget_answer(&got);
    }
    lab_forget_answer(&want);
    gw_buf_fini(&text);
}

/* What waits for an open call is bounded: in bytes, of all choices together, and in calls. */
static void test_waiting_is_bounded(void)
{
    struct gw_buf text = {0}, piece = {0};
    struct lab_answer a;

    for (unsigned i = 0; i < 1 << 17; i++)
        gw_buf_adds(&piece, "12345678");
    for (unsigned i = 0; i < 17; i++) {
        gw_buf_printf(&text,
                      "data: {\"choices\":[{\"index\":%u,\"delta\":{\"tool_calls\":["
                      "{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},"
                      "{\"index\":1,\"function\":{\"name\":\"g\",\"arguments\":\"",
                      i);
        gw_buf_add(&text, gw_buf_span(&piece));
        gw_buf_adds(&text, "\"}}]}}]}\n\n");
    }
    lab_answer(API_CHAT, API_CHAT, text.ptr, stream, &a);
    CHECK(a.st == GW_OK && strstr(a.events.ptr, "15.0:tool(") != NULL);
    CHECK(a.st == GW_OK && strstr(a.events.ptr, "upstream_malformed") != NULL);
    lab_forget_answer(&a);
    gw_buf_fini(&piece);
    gw_buf_clear(&text);

    gw_buf_printf(&text, "data: %s\n\n",
                  q(TOOL("'index':0,'id':'a','function':{'name':'f','arguments':'{'}")));
    for (unsigned i = 1; i < 300; i++)
        gw_buf_printf(&text,
                      "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%u,"
                      "\"id\":\"c%u\",\"function\":{\"name\":\"f\"}}]}}]}\n\n",
                      i, i);
    lab_answer(API_CHAT, API_CHAT, text.ptr, stream, &a);
    CHECK(a.st == GW_OK && strstr(a.events.ptr, "upstream_malformed") != NULL);
    lab_forget_answer(&a);
    gw_buf_fini(&text);
}

/* ---- errors and looks ------------------------------------------------------------------------ */

static bool fails(const char *body, unsigned status, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json_node *root = NULL;
    struct api_failure f;
    struct gw_buf got = {0};
    bool ok;

    (void)gw_json_tree(json, arena, gw_span_str(q(body)), NULL, &root, NULL);
    api_read_error(API_CHAT, status, root, arena, &f);
    gw_buf_printf(&got, "%u|%s|%s|%s|%s", f.status, f.type == NULL ? "-" : f.type,
                  f.code == NULL ? "-" : f.code, f.param == NULL ? "-" : f.param, f.message);
    ok = gw_span_is(gw_buf_span(&got), want);
    if (!ok)
        fprintf(stderr, "  got  %s\n  want %s\n", got.ptr, want);
    gw_buf_fini(&got);
    gw_arena_free(arena);
    gw_json_free(json);
    return ok;
}

static void test_errors_are_read(void)
{
    CHECK(fails("{'error':{'message':'m','type':'t','param':'p','code':'c'}}", 400, "400|t|c|p|m"));
    CHECK(fails("{'error':{'message':'m','code':400,'type':null}}", 400, "400|-|400|-|m"));
    CHECK(fails("{'error':{'message':'m','code':'content_filter','innererror':{'code':'r'}}}", 400,
                "400|-|content_filter|-|m"));
    CHECK(fails("{'error':{'message':'m','innererror':{'code':'r'}}}", 400, "400|-|r|-|m"));
    CHECK(fails("{'object':'error','message':'m','type':'t','code':404}", 404, "404|t|404|-|m"));
    CHECK(fails("{'detail':'d'}", 422, "422|-|-|-|d"));
    CHECK(fails("{'detail':[{'loc':['body','x'],'msg':'d'}]}", 422, "422|-|-|-|d"));
    CHECK(fails("{'error':'e'}", 500, "500|-|-|-|e"));
    CHECK(fails("no JSON", 429, "429|-|-|-|Too many requests."));
    CHECK(fails("[]", 418, "418|-|-|-|The request was refused."));
}

static void test_errors_are_written(void)
{
    const struct api_failure f = {.status = 429, .message = "a \"b\"", .param = "p", .code = "c"};
    struct gw_buf out = {0};

    api_write_error(API_CHAT, &f, "id", &out);
    CHECK(gw_span_is(gw_buf_span(&out), q("{'error':{'message':'a \\'b\\'','type':"
                                          "'rate_limit_error','param':'p','code':'c'}}\n")));
    gw_buf_fini(&out);
}

static void test_look(void)
{
    struct gw_json *json = gw_json_new();
    struct api_seen seen = {0};

    api_look(API_CHAT, json, GW_SPAN("[DONE]"), &seen);
    api_look(API_CHAT, json,
             gw_span_str(q("{'model':'g','choices':[{'delta':{'content':'x'},"
                           "'finish_reason':null}],'usage':null}")),
             &seen);
    CHECK(!seen.usage.known && strcmp(seen.model, "g") == 0 && seen.finish_reason[0] == '\0');
    api_look(
        API_CHAT, json,
        gw_span_str(q("{'choices':[{'message':{'usage':{'prompt_tokens':9}},'finish_reason':"
                      "'stop'}],'usage':{'prompt_tokens':5,'prompt_tokens_details':"
                      "{'cached_tokens':2,'reasoning_tokens':8},'completion_tokens':3,"
                      "'completion_tokens_details':{'reasoning_tokens':1}},'prompt_tokens':7}")),
        &seen);
    CHECK(seen.usage.known && seen.usage.input == 5 && seen.usage.output == 3);
    CHECK(seen.usage.cached == 2 && seen.usage.reasoning == 1);
    CHECK(strcmp(seen.finish_reason, "stop") == 0 && strcmp(seen.model, "g") == 0);
    api_look(API_CHAT, json, gw_span_str(q("{'usage':{'prompt_tokens':6}")), &seen);
    CHECK(seen.usage.input == 6); /* what came before the break counts */
    gw_json_free(json);
}

int main(void)
{
    test_text_stream();
    test_choices();
    test_tool_stream();
    test_streams_that_break();
    test_stream_errors();
    test_whole();
    test_whole_that_is_none();
    test_stream_as_written();
    test_usage_when_asked();
    test_whole_as_written();
    test_legacy_answer();
    test_cut_anywhere();
    test_waiting_is_bounded();
    test_errors_are_read();
    test_errors_are_written();
    test_look();
    return test_done();
}
