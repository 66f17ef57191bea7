/* Gemini's requests: turns and reasoning across dialects, what depends on the model, and hostile bodies. */
#include "tests/unit/proxy/gemini_lab.h"

/* Clients keep the chunks of a stream as contents of their own. */
static void test_a_models_turn_is_one(void)
{
    CHECK(back("{'contents':[{'parts':[{'text':'a'}]},{'parts':[{'text':'b'}]},"
               "{'role':'model','parts':[{'text':'th','thought':true}]},{'role':'model','parts':[{'"
               "text':'ink','thought':true}]},"
               "{'role':'model','parts':[{'text':'Hel'}]},{'role':'model','parts':[{'text':'lo'},{'"
               "text':' you'}]},"
               "{'role':'model','parts':[" CALL("f") "]},{'role':'model','parts':[{'text':''}]},"
                                                     "{'parts':[{'text':'c'}]}]}",
               "{'contents':[{'parts':[{'text':'a'},{'text':'b'}],'role':'user'},{'parts':[{'text':"
               "'Hello you'}," CALL_OUT(
                   "f", "call_0") "],'role':'model'},{'parts':[{'text':'c'}],'role':'user'}]}",
               "messages[2].reasoning"));
}

/* The signatures that this gateway's answers carry go back to the provider that made them. */
static void test_signatures(void)
{
    CHECK(lab_gives(
        API_GEMINI, API_ANTHROPIC,
        q("{'contents':[{'parts':[{'text':'hi'}]},{'role':'model','parts':[{'text':'hm','thought':"
          "true}]},"
          "{'role':'model','parts':[{'text':'','thought':true,'thoughtSignature':'"
          "sluiceClaudeSignab-_'}]},"
          "{'role':'model','parts':[{'text':'Hi'}]},{'parts':[{'text':'go'}]}],"
          "'generationConfig':{'maxOutputTokens':5}}"),
        q("{'model':'m2','messages':[{'role':'user','content':[{'type':'text','text':'hi'}]},"
          "{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':'ab+/'},"
          "{'type':'text','text':'Hi'}]},{'role':'user','content':[{'type':'text','text':'go'}]}],"
          "'max_tokens':5}"),
        ""));
    CHECK(lab_gives(
        API_ANTHROPIC, API_GEMINI,
        q("{'model':'m','max_tokens':5,'messages':[{'role':'user','content':'hi'},"
          "{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':"
          "'sluiceGeminiSignQUJD'},{'type':'tool_use','id':'t1','name':'f','input':{'a':1}},"
          "{'type':'tool_use','id':'t2','name':'g','input':{}}]},{'role':'user','content':["
          "{'type':'tool_result','tool_use_id':'t2','content':'two'},"
          "{'type':'tool_result','tool_use_id':'t1','is_error':true,'content':'one'},"
          "{'type':'text','text':'go'}]}]}"),
        q("{'contents':[{'parts':[{'text':'hi'}],'role':'user'},{'parts':[{'text':'hm','thought':"
          "true},"
          "{'functionCall':{'name':'f','id':'t1','args':{'a':1}},'thoughtSignature':'QUJD'},"
          "{'functionCall':{'name':'g','id':'t2','args':{}}}],'role':'model'},{'parts':["
          "{'functionResponse':{'name':'g','id':'t2','response':{'result':'two'}}},"
          "{'functionResponse':{'name':'f','id':'t1','response':{'error':'one'}}},{'text':'go'}],"
          "'role':'user'}],'generationConfig':{'maxOutputTokens':5}}"),
        ""));
    CHECK(back(MODEL("{'text':'hm','thought':true,'thoughtSignature':'QUJD'},{'text':'Hi','"
                     "thoughtSignature':'QQ'}"),
               MODEL_OUT("{'text':'Hi'}"),
               "contents[1].parts[0].thoughtSignature, contents[1].parts[1].thoughtSignature, "
               "messages[1].reasoning"));
    CHECK(refused("{'contents':[{'parts':[{'text':'hm','thought':true}]}]}", GW_EINVAL,
                  "contents[0].parts[0].thought"));
}

/* ---- written for models of Gemini's --------------------------------------------------------- */

/* An Anthropic request written for a model. */
static bool written(const char *model, const char *body, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct api_request req = {.model = {NULL, 0}};
    struct gw_json_node *root = NULL;
    struct gw_buf out = {0};
    const char *param = NULL;
    struct gw_err err;
    bool ok = gw_json_tree(json, arena, gw_span_str(q(body)), NULL, &root, &err) == GW_OK &&
              api_read_request(API_ANTHROPIC, root, arena, &req, &param, &err) == GW_OK &&
              api_write_request(API_GEMINI, &req, gw_span_str(model), arena, &out, NULL, &param,
                                &err) == GW_OK &&
              gw_span_is(gw_buf_span(&out), q(want));

    if (!ok)
        fprintf(stderr, "  got  %s\n  want %s\n", out.ptr == NULL ? "" : out.ptr, q(want));
    gw_buf_fini(&out);
    gw_arena_free(arena);
    gw_json_free(json);
    return ok;
}

#define EFFORT(e)                                                                                  \
    "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'hi'}],'output_config':{'"   \
    "effort':'" e "'}}"
#define EFFORT_OUT(t) HI_IN ",'generationConfig':{'maxOutputTokens':9,'thinkingConfig':{" t "}}}"

static void test_efforts_by_model(void)
{
    CHECK(written("gemini-2.5-flash", EFFORT("low"), EFFORT_OUT("'thinkingBudget':1024")));
    CHECK(written("gemini-2.5-flash", EFFORT("medium"), EFFORT_OUT("'thinkingBudget':8192")));
    CHECK(written("publishers/google/models/gemini-2.5-pro", EFFORT("high"),
                  EFFORT_OUT("'thinkingBudget':24576")));
    CHECK(written("gemini-3-pro", EFFORT("low"), EFFORT_OUT("'thinkingLevel':'LOW'")));
    CHECK(written("gemini-3-pro", EFFORT("max"), EFFORT_OUT("'thinkingLevel':'HIGH'")));
    CHECK(written("gemini-flash-latest", EFFORT("medium"), EFFORT_OUT("'thinkingLevel':'MEDIUM'")));
}

/* Gemini 3 wants a signature at the first call of each turn, also of histories that have none. */
static void test_calls_of_other_models(void)
{
    static const char body[] =
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'hi'},"
        "{'role':'assistant','content':[{'type':'text','text':'ok'},"
        "{'type':'tool_use','id':'t1','name':'f','input':{}},"
        "{'type':'tool_use','id':'t2','name':'f','input':{}}]}]}";

#define CALLS_OUT(first)                                                                           \
    "{'contents':[{'parts':[{'text':'hi'}],'role':'user'},{'parts':[{'text':'ok'},"                \
    "{'functionCall':{'name':'f','id':'t1','args':{}}" first "},"                                  \
    "{'functionCall':{'name':'f','id':'t2','args':{}}}],'role':'model'}],"                         \
    "'generationConfig':{'maxOutputTokens':9}}"
    CHECK(written("gemini-3-pro", body,
                  CALLS_OUT(",'thoughtSignature':'skip_thought_signature_validator'")));
    CHECK(written("models/gemini-3.1-flash", body,
                  CALLS_OUT(",'thoughtSignature':'skip_thought_signature_validator'")));
    CHECK(written("gemini-2.5-pro", body, CALLS_OUT("")));
    CHECK(written("tuned", body, CALLS_OUT("")));
}

/* ---- from and to the other dialects ----------------------------------------------------------- */

static void test_from_chat(void)
{
    CHECK(
        lab_gives(API_CHAT, API_GEMINI,
                  q("{'model':'m','messages':[{'role':'system','content':'S'},{'role':'developer','"
                    "content':'D'},"
                    "{'role':'user','name':'bob','content':[{'type':'text','text':'hi'},{'type':'"
                    "image_url','image_url':{'url':'data:image/png;base64,AAAA',"
                    "'detail':'low'}},{'type':'image_url','image_url':{'url':'https://x/"
                    "y.png'}},{'type':'file','file':{'filename':'a.pdf',"
                    "'file_data':'data:application/"
                    "pdf;base64,AAAA'}},{'type':'input_audio','input_audio':{'data':'AAAA','format'"
                    ":'wav'}}]},"
                    "{'role':'assistant','content':null,'tool_calls':[{'id':'c1','type':'function',"
                    "'function':{'name':'f','arguments':'{\\'a\\': 1.0}'}},"
                    "{'id':'c2','type':'function','function':{'name':'g','arguments':''}}]},{'role'"
                    ":'tool','tool_call_id':'c1','content':'{\\'ok\\':true}'},"
                    "{'role':'tool','tool_call_id':'c2','content':[{'type':'text','text':'plain'}]}"
                    ",{'role':'assistant','content':'Done.'},"
                    "{'role':'user','content':'Thanks'}],'tools':[{'type':'function','function':{'"
                    "name':'f','description':'d','parameters':"
                    "{'type':'object','x':1.0},'strict':true}}],'tool_choice':{'type':'function','"
                    "function':{'name':'f'}},'temperature':0.20,'top_p':0.9,"
                    "'n':2,'stop':'x','max_completion_tokens':50,'presence_penalty':0.5,'frequency_"
                    "penalty':0.50,'seed':9007199254740993,"
                    "'response_format':{'type':'json_schema','json_schema':{'name':'r','schema':{'"
                    "type':'object'}}},'reasoning_effort':'low','user':'u'}"),
                  q("{'systemInstruction':{'parts':[{'text':'S'},{'text':'D'}]},'contents':[{'"
                    "parts':[{'text':'hi'},{'inlineData':{'data':'AAAA',"
                    "'mimeType':'image/png'}},{'fileData':{'fileUri':'https://x/"
                    "y.png'}},{'inlineData':{'data':'AAAA','mimeType':'application/pdf'}},"
                    "{'inlineData':{'data':'AAAA','mimeType':'audio/"
                    "wav'}}],'role':'user'},{'parts':[{'functionCall':{'name':'f','id':'c1','args':"
                    "{'a': "
                    "1.0}}},{'functionCall':{'name':'g','id':'c2','args':{}}}],'role':'model'},{'"
                    "parts':[{'functionResponse':{'name':'f','id':'c1',"
                    "'response':{'ok':true}}},{'functionResponse':{'name':'g','id':'c2','response':"
                    "{'result':'plain'}}}],'role':'user'},{'parts':[{'text':"
                    "'Done.'}],'role':'model'},{'parts':[{'text':'Thanks'}],'role':'user'}],'tools'"
                    ":[{'functionDeclarations':[{'name':'f','description':'d',"
                    "'parametersJsonSchema':{'type':'object','x':1.0}}]}],'toolConfig':{'"
                    "functionCallingConfig':{'mode':'ANY','allowedFunctionNames':['f']}},"
                    "'generationConfig':{'temperature':0.20,'topP':0.9,'candidateCount':2,'"
                    "maxOutputTokens':50,'stopSequences':['x'],'presencePenalty':0.5,"
                    "'frequencyPenalty':0.50,'seed':9007199254740993,'responseMimeType':'"
                    "application/json','responseJsonSchema':{'type':'object'},"
                    "'thinkingConfig':{'thinkingLevel':'LOW'}}}"),
                  "user, messages[2].name, messages[2].detail, messages[2].filename, "
                  "tools[0].strict, response_format.json_schema.name"));
}

static bool chat_refused(const char *messages, const char *more, const char *param)
{
    char body[512];

    snprintf(body, sizeof(body), "{'model':'m','messages':[%s]%s}", messages, more);
    return lab_refuses(API_CHAT, API_GEMINI, q(body), GW_EUNSUPPORTED, param);
}

static void test_refused_of_chat(void)
{
    static const char user[] = "{'role':'user','content':'hi'}";

    CHECK(chat_refused(user, ",'parallel_tool_calls':false", "parallel_tool_calls"));
    CHECK(chat_refused(user, ",'logprobs':true", "logprobs"));
    CHECK(chat_refused(user, ",'min_p':0.1", "min_p"));
    CHECK(chat_refused(user, ",'logit_bias':{'1':2}", "logit_bias"));
    CHECK(chat_refused("{'role':'system','content':'S'}", "", "messages"));
    CHECK(chat_refused("{'role':'user','content':'hi'},{'role':'system','content':'S'}", "",
                       "messages[1].role"));
    CHECK(chat_refused("{'role':'tool','tool_call_id':'x','content':'r'}", "",
                       "messages[0].tool_call_id"));
    CHECK(lab_refuses(
        API_ANTHROPIC, API_GEMINI,
        q("{'model':'m','max_tokens':9,'system':'S','messages':[{'role':'user','content':"
          "[{'type':'tool_result','tool_use_id':'x','content':'r'}]}]}"),
        GW_EUNSUPPORTED, "messages[0].tool_call_id"));
    CHECK(lab_refuses(
        API_ANTHROPIC, API_GEMINI,
        q("{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'hi'}],'tools':"
          "[{'name':'f','input_schema':{}}],'tool_choice':{'type':'auto','disable_parallel_tool_"
          "use':true}}"),
        GW_EUNSUPPORTED, "tool_choice.disable_parallel_tool_use"));
}

static void test_to_chat(void)
{
    CHECK(lab_gives(API_GEMINI, API_CHAT,
                    q("{'systemInstruction':{'parts':[{'text':'S'}]},'contents':[{'role':'user','"
                      "parts':[{'text':'hi'},"
                      "{'inlineData':{'mimeType':'image/"
                      "png','data':'-_-_'}}]},{'role':'model','parts':[{'functionCall':{'name':'f',"
                      "'args':{'a': 1.0}}}]},"
                      "{'role':'user','parts':[{'functionResponse':{'name':'f','response':{'output'"
                      ":'r'}}}]}],'tools':[{'functionDeclarations':[{'name':'f',"
                      "'parameters':{'type':'OBJECT'}}]}],'generationConfig':{'maxOutputTokens':50,"
                      "'temperature':0.20,'stopSequences':['x']}}"),
                    q("{'model':'m2','messages':[{'role':'system','content':'S'},{'role':'user','"
                      "content':[{'type':'text','text':'hi'},"
                      "{'type':'image_url','image_url':{'url':'data:image/png;base64,+/+/"
                      "'}}]},{'role':'assistant','content':null,'tool_calls':["
                      "{'type':'function','id':'call_0','function':{'name':'f','arguments':'{\\'"
                      "a\\': 1.0}'}}]},{'role':'tool','tool_call_id':'call_0',"
                      "'content':'r'}],'tools':[{'type':'function','function':{'name':'f','"
                      "parameters':{'type':'object'}}}],'max_tokens':50,"
                      "'temperature':0.20,'stop':['x']}"),
                    ""));
}

/* ---- hostile ---------------------------------------------------------------------------------- */

static const char rich[] =
    "{'systemInstruction':{'parts':[{'text':'S'}]},'contents':[{'role':'user','parts':[{'text':'hi'"
    "},"
    "{'inlineData':{'mimeType':'image/"
    "png','data':'AA'}}]},{'role':'model','parts':[{'text':'t','thought':true,"
    "'thoughtSignature':'x'},{'functionCall':{'id':'i','name':'f','args':{'a':1}}}]},{'role':'user'"
    ",'parts':["
    "{'functionResponse':{'id':'i','name':'f','response':{'result':'r'},'parts':[{'fileData':{'"
    "fileUri':'u'}}]}}]}],"
    "'tools':[{'functionDeclarations':[{'name':'f','description':'d','parameters':{'type':'OBJECT',"
    "'nullable':true,"
    "'properties':{'a':{'anyOf':[{'type':'STRING'}],'nullable':true}}}}]}],'toolConfig':{'"
    "functionCallingConfig':"
    "{'mode':'ANY','allowedFunctionNames':['f']}},'generationConfig':{'temperature':1,'topK':40,'"
    "stopSequences':['x'],"
    "'responseSchema':{'type':'STRING'},'thinkingConfig':{'thinkingBudget':1,'thinkingLevel':'LOW'}"
    "},"
    "'safetySettings':[{'category':'A','threshold':'OFF'}]}";

/* Every value in turn becomes one of another type: it is taken or refused, never worse. */
static void swap_values(const struct gw_json_node *node, const char *text, unsigned *n)
{
    static const char *const others[] = {"1",  "\"x\"", "null", "true", "[]",
                                         "{}", "[[]]",  "[{}]", "\"\"", "-1.5e3"};

    for (; node != NULL; node = node->next) {
        bool quoted = node->type == GW_JSON_STRING;
        size_t at = (size_t)(node->raw.ptr - text) - quoted,
               len = node->raw.len + 2 * (size_t)quoted;

        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
            for (int d = 0; d < API_DIALECT_COUNT; d++) {
                struct gw_buf body = {0};
                struct lab_request r;

                gw_buf_add(&body, (struct gw_span){text, at});
                gw_buf_adds(&body, others[i]);
                gw_buf_adds(&body, text + at + len);
                lab_translate(API_GEMINI, (enum api_dialect)d, body.ptr, &r);
                CHECK(r.st == GW_OK ||
                      ((r.st == GW_EINVAL || r.st == GW_EUNSUPPORTED) && r.body.len == 0));
                lab_forget(&r);
                gw_buf_fini(&body);
                ++*n;
            }
        swap_values(node->child, text, n);
    }
}

static void test_values_of_other_types(void)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json_node *root = NULL;
    struct gw_buf text = {0};
    unsigned n = 0;

    gw_buf_adds(&text, q(rich));
    CHECK(gw_json_tree(json, arena, gw_buf_span(&text), NULL, &root, NULL) == GW_OK);
    if (root != NULL)
        swap_values(root->child, text.ptr, &n);
    CHECK(n > 1000);
    gw_buf_fini(&text);
    gw_arena_free(arena);
    gw_json_free(json);
}

/* Many small pieces: time and memory stay those of the text. */
static void test_long_histories(void)
{
    struct gw_buf body = {0};
    struct lab_request r;

    gw_buf_adds(&body, "{\"contents\":[{\"parts\":[");
    for (unsigned i = 0; i < 2000; i++)
        gw_buf_adds(&body, i == 0 ? "{\"text\":\"u\"}" : ",{\"text\":\"u\"}");
    gw_buf_adds(&body, "]}");
    for (unsigned i = 0; i < 2000; i++)
        gw_buf_adds(&body, ",{\"role\":\"model\",\"parts\":[{\"text\":\"ab\"}]}");
    gw_buf_adds(&body, "]}");
    lab_translate(API_GEMINI, API_GEMINI, body.ptr, &r);
    CHECK(r.st == GW_OK && r.body.len > 4000 && r.body.len < 50000);
    lab_forget(&r);
    gw_buf_fini(&body);
}

static void test_deep_schemas(void)
{
    struct gw_buf body = {0};
    struct lab_request r;

    gw_buf_adds(
        &body,
        "{\"contents\":[{\"parts\":[{\"text\":\"u\"}]}],\"generationConfig\":{\"responseSchema\":");
    for (unsigned i = 0; i < 61; i++)
        gw_buf_adds(&body, "{\"items\":");
    gw_buf_adds(&body, "{}");
    for (unsigned i = 0; i < 61; i++)
        gw_buf_addc(&body, '}');
    gw_buf_adds(&body, "}}");
    lab_translate(API_GEMINI, API_GEMINI, body.ptr, &r);
    CHECK(r.st == GW_OK); /* as deep as JSON is read at all */
    lab_forget(&r);
    gw_buf_fini(&body);
}

int main(void)
{
    test_from_chat();
    test_refused_of_chat();
    test_to_chat();
    test_efforts_by_model();
    test_calls_of_other_models();
    test_values_of_other_types();
    test_long_histories();
    test_deep_schemas();
    test_signatures();
    test_a_models_turn_is_one();
    return test_done();
}
