/* Chat requests: the exact bodies that are written, and what is refused. */
#include "tests/unit/proxy/api_dump.h"

#define M "{'model':'m','messages':["
#define W "{'model':'m2','messages':["
#define U "{'role':'user','content':'hi'}"

/* Through the common form and back. */
static bool back(const char *body, const char *want, const char *dropped)
{
    return lab_gives(API_CHAT, API_CHAT, q(body), q(want), dropped);
}

static bool same(const char *messages)
{
    char body[4096], want[4096];

    snprintf(body, sizeof(body), M "%s]}", messages);
    snprintf(want, sizeof(want), W "%s]}", messages);
    return back(body, want, "");
}

static bool with(const char *members, const char *want, const char *dropped)
{
    char body[4096], all[4096];

    snprintf(body, sizeof(body), M U "]%s}", members);
    snprintf(all, sizeof(all), W U "]%s}", want);
    return back(body, all, dropped);
}

static bool refused(const char *members, enum gw_status st, const char *param)
{
    char body[4096];

    snprintf(body, sizeof(body), M U "]%s}", members);
    return lab_refuses(API_CHAT, API_CHAT, q(body), st, param);
}

static void test_messages_are_kept(void)
{
    CHECK(same("{'role':'system','content':'a'},{'role':'system','content':'b'}," U
               ",{'role':'user','name':'ann','content':[{'type':'text','text':'1'},{'type':'text',"
               "'text':'2'}]}"));
    CHECK(same("{'role':'user','content':''},{'role':'assistant','content':''}"));
    CHECK(same("{'role':'user','content':[{'type':'image_url','image_url':{'url':"
               "'data:image/png;base64,AAAA','detail':'low'}},{'type':'text','text':'what?'},"
               "{'type':'image_url','image_url':{'url':'https://x/a.png'}},"
               "{'type':'input_audio','input_audio':{'data':'BB','format':'mp3'}},"
               "{'type':'file','file':{'file_data':'data:application/pdf;base64,CC',"
               "'filename':'a.pdf'}}]}"));
    CHECK(same("{'role':'assistant','content':null,'tool_calls':[{'type':'function','id':'c1',"
               "'function':{'name':'f','arguments':'{\\'a\\':[1.50, 2]}'}},{'type':'function',"
               "'id':'c2','function':{'name':'g','arguments':'{}'}}]},"
               "{'role':'tool','tool_call_id':'c1','content':'r\\n'},"
               "{'role':'tool','tool_call_id':'c2','content':''}," U));
    CHECK(same("{'role':'assistant','content':'well','refusal':'no'}," U
               ",{'role':'assistant','content':[{'type':'text','text':'1'},{'type':'text','text':"
               "'2'}]}," U ",{'role':'assistant','content':null,'refusal':'never'}"));
    /* Escapes change their form, not their meaning. */
    CHECK(back(M "{'role':'developer','content':'\\u0041\\/\\u0001\\ud83d\\ude00'}]}",
               W "{'role':'system','content':'A/\\u0001\xF0\x9F\x98\x80'}]}", ""));
    CHECK(back(M "{'role':'assistant','reasoning_content':'hm','content':'x'}]}",
               W "{'role':'assistant','content':'x'}]}", "messages[0].reasoning"));
}

static void test_settings_are_kept(void)
{
    CHECK(with(",'tools':[{'type':'function','function':{'name':'f','description':'d',"
               "'parameters':{'type' : 'object'},'strict':true}},{'type':'function','function':"
               "{'name':'g'}}],'parallel_tool_calls':false,'tool_choice':'required'",
               ",'tools':[{'type':'function','function':{'name':'f','description':'d',"
               "'parameters':{'type' : 'object'},'strict':true}},{'type':'function','function':"
               "{'name':'g'}}],'parallel_tool_calls':false,'tool_choice':'required'",
               ""));
    CHECK(with(",'tools':[{'type':'function','function':{'name':'g'}}],'tool_choice':{'type':"
               "'function','function':{'name':'g'}}",
               ",'tools':[{'type':'function','function':{'name':'g'}}],'tool_choice':{'type':"
               "'function','function':{'name':'g'}}",
               ""));
    /* OpenAI refuses these two without tools. */
    CHECK(with(",'tool_choice':'auto','parallel_tool_calls':true", "", ""));
    CHECK(with(",'response_format':{'type':'json_object'}",
               ",'response_format':{'type':'json_object'}", ""));
    CHECK(with(",'response_format':{'type':'json_schema','json_schema':{'schema':{'a':1},"
               "'strict':false}}",
               ",'response_format':{'type':'json_schema','json_schema':{'name':'answer',"
               "'strict':false,'schema':{'a':1}}}",
               ""));
    CHECK(with(",'stream':true,'stop':'x','n':2,'seed':12345678901234567890,'frequency_penalty':0,"
               "'presence_penalty':1,'top_p':5e-1,'temperature':1.0,'max_completion_tokens':9",
               ",'max_tokens':9,'temperature':1.0,'top_p':5e-1,'presence_penalty':1,"
               "'frequency_penalty':0,'seed':12345678901234567890,'n':2,'stop':['x'],"
               "'stream':true,'stream_options':{'include_usage':true}",
               ""));
    CHECK(with(",'reasoning_effort':'high','user':'u','metadata':{'k':'v'}",
               ",'reasoning_effort':'high'", "user, metadata"));
}

/* What the limit is called depends on the model. */
static void test_limit_by_model(void)
{
    static const struct {
        const char *model;
        bool newer;
    } cases[] = {{"o1", true},          {"o3-mini", true},    {"openai/o4-mini", true},
                 {"gpt-5.1", true},     {"gpt-5", true},      {"gpt-4o", false},
                 {"llama-3", false},    {"orca-mini", false}, {"o", false},
                 {"gpt-oss-20b", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_arena *arena = gw_arena_new(1 << 20);
        struct api_message m = {.role = API_ROLE_USER};
        struct api_request req = {.messages = &m, .n_messages = 1, .max_tokens = GW_SPAN("5")};
        struct gw_buf out = {0};
        const char *param;
        char want[256];

        snprintf(want, sizeof(want),
                 "{'model':'%s','messages':[{'role':'user','content':''}],'%s':5}", cases[i].model,
                 cases[i].newer ? "max_completion_tokens" : "max_tokens");
        CHECK(api_write_request(API_CHAT, &req, gw_span_str(cases[i].model), arena, &out, NULL,
                                &param, NULL) == GW_OK);
        if (!CHECK(gw_span_is(gw_buf_span(&out), q(want))))
            fprintf(stderr, "  %s\n", out.ptr);
        gw_buf_fini(&out);
        gw_arena_free(arena);
    }
}

static void test_refusals(void)
{
    CHECK(refused(",'top_k':5", GW_EUNSUPPORTED, "top_k"));
    CHECK(refused(",'min_p':0.1", GW_EUNSUPPORTED, "min_p"));
    CHECK(refused(",'logprobs':true", GW_EUNSUPPORTED, "logprobs"));
    CHECK(refused(",'logit_bias':{'1':5}", GW_EUNSUPPORTED, "logit_bias"));
    CHECK(refused(",'frobnicate':1", GW_EUNSUPPORTED, "frobnicate"));
    CHECK(refused(",'temperature':'hot'", GW_EINVAL, "temperature"));
    CHECK(refused(",'tools':[{'type':'web_search'}]", GW_EUNSUPPORTED, "tools[0].type"));
    CHECK(
        lab_refuses(API_CHAT, API_CHAT,
                    q(M "{'role':'assistant','content':[{'type':'image_url','image_url':'u'}]}]}"),
                    GW_EUNSUPPORTED, "messages[0].content"));
}

/* Requests that no chat client writes, from the common form. */
static bool writes(const struct api_request *req, const char *want, const char *want_dropped)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_buf out = {0}, dropped = {0};
    struct gw_err err = {0};
    const char *param;
    enum gw_status st =
        api_write_request(API_CHAT, req, GW_SPAN("m2"), arena, &out, &dropped, &param, &err);
    bool ok = st == GW_OK && gw_span_is(gw_buf_span(&out), q(want)) &&
              gw_span_is(gw_buf_span(&dropped), want_dropped);

    if (!ok)
        fprintf(stderr, "  %s%s\n  want %s\n  dropped %s\n", st == GW_OK ? "" : err.text,
                out.ptr == NULL ? "" : out.ptr, q(want), dropped.ptr == NULL ? "" : dropped.ptr);
    gw_buf_fini(&out);
    gw_buf_fini(&dropped);
    gw_arena_free(arena);
    return ok;
}

/* Results come directly behind the calls, before what else the user says, over a run of messages; images behind them. */
static void test_results_come_first(void)
{
    struct api_part inner[] = {
        {.kind = API_PART_TEXT, .text = GW_SPAN("see")},
        {.kind = API_PART_IMAGE, .media_type = GW_SPAN("image/png"), .data = GW_SPAN("AA")},
        {.kind = API_PART_TEXT, .text = GW_SPAN("it")}};
    struct api_part first[] = {{.kind = API_PART_TEXT, .text = GW_SPAN("before")},
                               {.kind = API_PART_TOOL_RESULT,
                                .id = GW_SPAN("c1"),
                                .parts = inner,
                                .n_parts = 3,
                                .is_error = true}};
    struct api_part second[] = {{.kind = API_PART_TOOL_RESULT, .id = GW_SPAN("c2")},
                                {.kind = API_PART_TEXT, .text = GW_SPAN("after")}};
    struct api_message messages[] = {{.role = API_ROLE_USER, .parts = first, .n_parts = 2},
                                     {.role = API_ROLE_USER, .parts = second, .n_parts = 2}};
    struct api_request req = {.messages = messages, .n_messages = 2};

    CHECK(writes(&req,
                 W "{'role':'tool','tool_call_id':'c1','content':'see\\nit'},"
                   "{'role':'tool','tool_call_id':'c2','content':''},"
                   "{'role':'user','content':[{'type':'text','text':'before'},{'type':'image_url',"
                   "'image_url':{'url':'data:image/png;base64,AA'}}]},"
                   "{'role':'user','content':'after'}]}",
                 "messages[0].is_error"));
}

/* Calls without ids and their results get the same ones, by order. */
static void test_missing_ids(void)
{
    struct api_part calls[] = {
        {.kind = API_PART_TOOL_CALL, .name = GW_SPAN("f")},
        {.kind = API_PART_TOOL_CALL, .name = GW_SPAN("g"), .json = GW_SPAN("{\"a\":1}")}};
    struct api_part results[] = {{.kind = API_PART_TOOL_RESULT, .name = GW_SPAN("f")},
                                 {.kind = API_PART_TOOL_RESULT, .name = GW_SPAN("g")}};
    struct api_message messages[] = {{.role = API_ROLE_ASSISTANT, .parts = calls, .n_parts = 2},
                                     {.role = API_ROLE_USER, .parts = results, .n_parts = 2}};
    struct api_request req = {.messages = messages, .n_messages = 2};

    CHECK(writes(&req,
                 W "{'role':'assistant','content':null,'tool_calls':[{'type':'function','id':"
                   "'call_0','function':{'name':'f','arguments':'{}'}},{'type':'function','id':"
                   "'call_1','function':{'name':'g','arguments':'{\\'a\\':1}'}}]},"
                   "{'role':'tool','tool_call_id':'call_0','content':''},"
                   "{'role':'tool','tool_call_id':'call_1','content':''}]}",
                 ""));
}

static void test_budget_becomes_effort(void)
{
    static const struct {
        const char *model, *budget, *effort, *dropped;
    } cases[] = {{"o3", "1024", ",'reasoning_effort':'low'", ""},
                 {"gpt-5", "16384", ",'reasoning_effort':'medium'", ""},
                 {"gpt-oss-120b", "31999", ",'reasoning_effort':'high'", ""},
                 {"o3", "-1", "", "reasoning.budget"},
                 {"o3", "0", "", "reasoning.budget"},
                 {"gpt-4o", "1024", "", "reasoning.budget"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_arena *arena = gw_arena_new(1 << 20);
        struct api_message m = {.role = API_ROLE_USER};
        struct api_request req = {
            .messages = &m, .n_messages = 1, .reasoning_budget = gw_span_str(cases[i].budget)};
        struct gw_buf out = {0}, dropped = {0};
        const char *param;
        char want[256];

        snprintf(want, sizeof(want), "{'model':'%s','messages':[{'role':'user','content':''}]%s}",
                 cases[i].model, cases[i].effort);
        CHECK(api_write_request(API_CHAT, &req, gw_span_str(cases[i].model), arena, &out, &dropped,
                                &param, NULL) == GW_OK);
        CHECK(gw_span_is(gw_buf_span(&out), q(want)));
        CHECK(gw_span_is(gw_buf_span(&dropped), cases[i].dropped));
        gw_buf_fini(&out);
        gw_buf_fini(&dropped);
        gw_arena_free(arena);
    }
}

/* Any number of hints is named up to a length, and a body that was begun is taken back on failure. */
static void test_dropped_is_bounded(void)
{
    char body[8192];
    struct lab_request r;
    size_t n = (size_t)snprintf(body, sizeof(body), "%s", M U "],'stream_options':{");

    for (unsigned i = 0; i < 100; i++)
        n += (size_t)snprintf(body + n, sizeof(body) - n, "%s'option_number_%u':1",
                              i == 0 ? "" : ",", i);
    snprintf(body + n, sizeof(body) - n, "}}");
    lab_translate(API_CHAT, API_CHAT, q(body), &r);
    CHECK(r.st == GW_OK && r.dropped.len < 1200);
    CHECK(gw_span_ends(gw_buf_span(&r.dropped), GW_SPAN(", ...")));
    lab_forget(&r);
}

int main(void)
{
    test_messages_are_kept();
    test_settings_are_kept();
    test_limit_by_model();
    test_refusals();
    test_results_come_first();
    test_missing_ids();
    test_budget_becomes_effort();
    test_dropped_is_bounded();
    return test_done();
}
