/* Chat requests: the neutral form that is read, and the exact bodies that are written. */
#include "tests/unit/proxy/api_dump.h"

#define M "{'model':'m','messages':["
#define U "{'role':'user','content':'hi'}"

static bool chat(const char *body, const char *want)
{
    return reads(API_CHAT, body, want);
}

/* The members of a request with one message, as read. */
static bool with(const char *members, const char *want)
{
    char body[4096], all[4096];

    snprintf(body, sizeof(body), M U "]%s}", members);
    snprintf(all, sizeof(all), "m user[<text hi>]%s", want);
    return chat(body, all);
}

static void test_messages(void)
{
    CHECK(chat(M U "]}", "m user[<text hi>]"));
    CHECK(chat(M "{'role':'system','content':'s'},{'content':'d','role':'developer'},"
                 "{'role':'user','content':'u','name':'ann'},"
                 "{'role':'assistant','content':'a'},{'role':'user','content':''}]}",
               "m system[<text s>] system[<text d>] user(ann)[<text u>] assistant[<text a>] "
               "user[]"));
    CHECK(chat(M "{'role':'user','content':[{'type':'text','text':'a\\n\\u00e9'},"
                 "{'type':'text','text':''},'b']}]}",
               "m user[<text a\n\xC3\xA9><text b>]"));
    CHECK(chat(M "{'\\u0072ole':'us\\u0065r','content':'hi'}]}", "m user[<text hi>]"));
}

static void test_media(void)
{
    CHECK(chat(M "{'role':'user','content':["
                 "{'type':'image_url','image_url':{'url':'https://x/a.png','detail':'low'}},"
                 "{'type':'image_url','image_url':{'url':'data:image/png;base64,AAAA'}},"
                 "{'type':'image_url','image_url':'DATA:image/jpeg;q=1;BASE64,BB'},"
                 "{'type':'image_url','image_url':{'url':'data:text/plain,hello'}},"
                 "{'type':'input_audio','input_audio':{'data':'CC','format':'wav'}},"
                 "{'type':'file','file':{'file_data':'data:application/pdf;base64,DD',"
                 "'filename':'a.pdf'}},"
                 "{'type':'file','file':{'file_data':'EE'}}]}]}",
               "m user[<image url=https://x/a.png detail=low><image type=image/png data=AAAA>"
               "<image type=image/jpeg data=BB><image url=data:text/plain,hello>"
               "<audio type=audio/wav data=CC><file type=application/pdf data=DD detail=a.pdf>"
               "<file type=application/pdf data=EE>]"));
    CHECK(chat(M "{'role':'user','content':[{'type':'file','file':{'file_id':'f'}},"
                 "{'type':'video_url','video_url':{'url':'u'}},"
                 "{'type':'text','text':'t','cache_control':{'type':'ephemeral'}},"
                 "{'type':'text','text':'t','x y':1}]}]}",
               "m user[<text t><text t>] extra=messages[0].content[0].file.file_id "
               "extra=messages[0].content[1].video_url extra=messages[0].content[1].type "
               "hint=messages[0].content[2].cache_control extra=messages[0].content[3].x?y"));
}

static void test_tools_called(void)
{
    CHECK(chat(M "{'role':'assistant','content':null,'tool_calls':["
                 "{'id':'c1','type':'function','function':{'name':'f','arguments':'{\\'a\\':1}'}},"
                 "{'id':'c2','function':{'name':'g','arguments':''}},"
                 "{'id':'c3','type':'function','function':{'name':'h','arguments':{'b':2}}}]},"
                 "{'role':'tool','tool_call_id':'c1','content':'r'},"
                 "{'role':'tool','tool_call_id':'c2','name':'g','content':[{'type':'text',"
                 "'text':'s'},{'type':'text','text':'t'}]}]}",
               "m assistant[<call id=c1 name=f json={'a':1}><call id=c2 name=g>"
               "<call id=c3 name=h json={'b':2}>] user[<result id=c1 <text r>>] "
               "user[<result id=c2 name=g <text s> <text t>>]"));
    CHECK(chat(M "{'role':'assistant','tool_calls':[{'id':'c','type':'function','function':"
                 "{'name':'f','arguments':'{}'}},{'id':'d','type':'custom','custom':{}}],"
                 "'refusal':'no','reasoning_content':'hm','content':'say'}]}",
               "m assistant[<reasoning hm><text say><refusal no><call id=c name=f json={}>] "
               "extra=messages[0].tool_calls[1].type"));
    CHECK(chat(M "{'role':'assistant','reasoning':'why','content':'x','annotations':[],"
                 "'reasoning_details':[{'a':1}],'audio':{'id':'a'},'prefix':true}]}",
               "m assistant[<reasoning why><text x>] hint=messages[0].reasoning_details "
               "extra=messages[0].audio extra=messages[0].prefix"));
}

static void test_legacy_functions(void)
{
    CHECK(chat(M U ",{'role':'assistant','content':null,'function_call':{'name':'f','arguments':"
                   "'{}'}},{'role':'function','name':'f','content':'r'}],"
                   "'functions':[{'name':'f','parameters':{}}],'function_call':{'name':'f'}}",
               "m user[<text hi>] assistant[<call id=call_1 name=f json={}>] "
               "user[<result id=call_1 name=f <text r>>] choice_name=f choice=named parallel=no "
               "tool=f parameters={} legacy"));
    CHECK(chat(M U ",{'role':'function','name':'f','content':'r'}]}",
               "m user[<text hi>] user[<result name=f <text r>>] bad=messages[1].name "
               "(messages[1].name must be that of a function_call before)"));
    CHECK(with(",'functions':[],'function_call':'none'", " choice=none"));
}

static void test_settings(void)
{
    CHECK(with(",'max_tokens':5,'temperature':0.70,'top_p':1e-1,'top_k':40,'min_p':0.05,"
               "'presence_penalty':-0.5,'frequency_penalty':2,'seed':9007199254740993,'n':2,"
               "'logprobs':true,'top_logprobs':3,'reasoning_effort':'low','stop':['a','\\u0062'],"
               "'stream':true,'stream_options':{'include_usage':true,'include_obfuscation':false}",
               " max=5 temperature=0.70 top_p=1e-1 top_k=40 min_p=0.05 presence=-0.5 frequency=2 "
               "seed=9007199254740993 n=2 top_logprobs=3 effort=low stop=a stop=b stream "
               "include_usage logprobs hint=stream_options.include_obfuscation"));
    CHECK(with(",'max_tokens':5,'max_completion_tokens':7", " max=7"));
    CHECK(with(",'max_completion_tokens':7,'max_tokens':5", " max=7"));
    CHECK(with(",'stop':'x'", " stop=x"));
    CHECK(with(",'stop':null,'temperature':null,'tools':null,'stream':null,'response_format':null,"
               "'tool_choice':null,'logit_bias':null,'x':null,'y':[],'z':{}",
               ""));
    CHECK(with(",'user':'u','metadata':{'a':'b'},'store':true,'service_tier':'auto',"
               "'safety_identifier':'s','prompt_cache_key':'k','prompt_cache_retention':'24h'",
               " hint=user hint=metadata hint=store hint=service_tier hint=safety_identifier "
               "hint=prompt_cache_key hint=prompt_cache_retention"));
    CHECK(with(",'logit_bias':{},'modalities':['text']", ""));
    CHECK(with(",'logit_bias':{'1':1},'modalities':['text','audio'],'verbosity':'low','audio':"
               "{'voice':'v'},'prediction':{'type':'content'},'web_search_options':{'a':1}",
               " extra=logit_bias extra=modalities hint=verbosity extra=audio extra=prediction "
               "extra=web_search_options"));
}

static void test_tools_and_formats(void)
{
    CHECK(with(",'tools':[{'type':'function','function':{'name':'f','description':'d\\t',"
               "'parameters':{'type' :'object'},'strict':true}},{'type':'function','function':"
               "{'name':'g'}},{'type':'custom','custom':{'name':'h'}}],'tool_choice':'required',"
               "'parallel_tool_calls':false",
               " choice=any parallel=no tool=f description=d\t parameters={'type' :'object'} "
               "strict=yes tool=g extra=tools[2].type"));
    CHECK(with(",'tool_choice':{'type':'function','function':{'name':'f'}}",
               " choice_name=f choice=named"));
    CHECK(with(",'tool_choice':'auto'", " choice=auto"));
    CHECK(with(",'tool_choice':{'type':'allowed_tools'}", " extra=tool_choice.type"));
    CHECK(with(",'response_format':{'type':'text'}", ""));
    CHECK(with(",'response_format':{'type':'json_object'}", " format=json"));
    CHECK(with(",'response_format':{'type':'json_schema','json_schema':{'name':'n','schema':"
               "{'a':[1, 2]},'strict':true,'description':'d'}}",
               " schema_name=n schema={'a':[1, 2]} format=schema schema_strict=yes "
               "hint=response_format.json_schema.description"));
    CHECK(with(",'response_format':{'type':'grammar'}", " extra=response_format.type"));
}

/* The first ill-typed member is named and the rest is read all the same. */
static void test_bad_members_are_noted(void)
{
    static const struct {
        const char *members, *want;
    } cases[] = {
        {"'temperature':'1','top_p':1", " top_p=1 bad=temperature (temperature must be a number)"},
        {"'stream':1,'stop':5", " bad=stream (stream must be true or false)"},
        {"'stop':['a',1]", " stop=a bad=stop (stop must be a string or a list of strings)"},
        {"'tools':{}", " bad=tools (tools must be a list)"},
        {"'tools':[1]", " bad=tools[0] (tools[0] must be an object)"},
        {"'tools':[{'type':'function'}]",
         " bad=tools[0].function (tools[0].function must be an object)"},
        {"'tools':[{'type':'function','function':{'name':'f','parameters':[]}}]",
         " tool=f bad=tools[0].function.parameters (tools[0].function.parameters must be an "
         "object)"},
        {"'tool_choice':'f'", " bad=tool_choice (tool_choice must be 'auto', 'none', 'required' "
                              "or an object)"},
        {"'response_format':'json'",
         " bad=response_format.type (response_format.type must be a string)"},
        {"'response_format':{'type':'json_schema'}",
         " bad=response_format.json_schema (response_format.json_schema must be an object)"},
        {"'reasoning_effort':1", " bad=reasoning_effort (reasoning_effort must be a string)"},
        {"'stream_options':true", " bad=stream_options (stream_options must be an object)"},
    };
    char members[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(members, sizeof(members), ",%s", cases[i].members);
        CHECK(with(members, cases[i].want));
    }
    CHECK(chat(M "{'role':'critic','content':'hi'}]}",
               "m user[<text hi>] bad=messages[0].role (messages[0].role must be a known "
               "role)"));
    CHECK(chat(M "{'role':'user'}]}", "m user[] bad=messages[0].content (messages[0].content must "
                                      "be a string or a list of parts)"));
    CHECK(chat(M "{'role':'user','content':[{'text':'a'},{'type':'text'}]}]}",
               "m user[] bad=messages[0].content[0].type (messages[0].content[0].type must be a "
               "string)"));
    CHECK(chat(M "{'role':'tool','content':'x'}]}",
               "m user[<result <text x>>] bad=messages[0].tool_call_id "
               "(messages[0].tool_call_id must be a string)"));
    CHECK(chat(M "{'role':'assistant','tool_calls':[{'id':'c','function':{'name':'f','arguments':"
                 "'{\\'a\\':1'}}]}]}",
               "m assistant[<call id=c name=f>] bad=messages[0].tool_calls[0].function.arguments "
               "(messages[0].tool_calls[0].function.arguments must be the text of a JSON "
               "object)"));
}

/* However little memory there is, nothing is lost silently: it is too little, or all is read. */
static void test_little_memory(void)
{
    const char *body = q(
        M "{'role':'user','n\\u0061me':'\\u0061nn','content':[{'type':'text','text':'\\u0061b'},"
          "{'type':'image_url','image_url':{'url':'\\u0061','detail':'l\\u006fw'}},{'type':'file',"
          "'file':{'file_data':'QQ==','filename':'\\u0061'}}]},{'role':'assistant','tool_calls':["
          "{'id':'\\u0063','function':{'name':'\\u0066','arguments':'{}'}}]}],'stop':['\\u0061'],"
          "'reasoning_effort':'l\\u006fw','tools':[{'function':{'name':'f','description':'\\u0061'"
          "}}],'user':1,'top_p':'x','response_format':{'type':'json_schema','json_schema':{'name':"
          "'\\u006e'}}}");
    struct gw_json *json = gw_json_new();
    struct gw_buf first = {0};
    unsigned too_little = 0;

    for (size_t size = 1 << 16; size >= 256; size -= 16) {
        struct gw_arena *trees = gw_arena_new(1 << 20), *arena = gw_arena_new(size);
        struct gw_json_node *root = NULL;
        struct api_request req = {0};
        struct gw_buf got = {0};
        const char *param = NULL;
        enum gw_status st;

        CHECK(gw_json_tree(json, trees, gw_span_str(body), NULL, &root, NULL) == GW_OK);
        st = api_read_request(API_CHAT, root, arena, &req, &param, NULL);
        if (st == GW_OK) {
            dump_request(&got, &req);
            if (first.len == 0)
                gw_buf_add(&first, gw_buf_span(&got));
            CHECK(gw_span_eq(gw_buf_span(&first), gw_buf_span(&got)));
        } else {
            CHECK(st == GW_ENOMEM);
            too_little++;
        }
        gw_buf_fini(&got);
        gw_arena_free(arena);
        gw_arena_free(trees);
    }
    CHECK(too_little > 10 && first.len > 100);
    gw_buf_fini(&first);
    gw_json_free(json);
}

static void test_unroutable(void)
{
    CHECK(chat("[]", "invalid -: the body must be a JSON object"));
    CHECK(chat("{'messages':[" U "]}", "invalid model: model is missing"));
    CHECK(chat("{'model':'','messages':[" U "]}",
               "invalid model: model must be a string that names a model"));
    CHECK(chat("{'model':null,'messages':[" U "]}",
               "invalid model: model must be a string that names a model"));
    CHECK(chat("{'model':'m'}", "invalid messages: messages is missing"));
    CHECK(chat("{'model':'m','messages':'hi'}", "invalid messages: messages must be a list"));
    CHECK(chat(M "]}", "invalid messages: messages must hold at least one message"));
    CHECK(chat(M "1]}", "invalid messages[0]: messages[0] must be an object"));
    CHECK(chat(M U ",{}]}", "invalid messages[1].role: messages[1].role is missing"));
    CHECK(chat(M "{'role':7}]}", "invalid messages[0].role: messages[0].role must be a string"));
}

int main(void)
{
    test_messages();
    test_media();
    test_tools_called();
    test_legacy_functions();
    test_settings();
    test_tools_and_formats();
    test_bad_members_are_noted();
    test_little_memory();
    test_unroutable();
    return test_done();
}
