/* OpenAI's Responses API and the other dialects, each way: requests, whole answers and streams. */
#include "tests/unit/proxy/api_responses_lab.h"

static void test_requests_for_anthropic(void)
{
    CHECK(
        gives(API_RESPONSES, API_ANTHROPIC,
              "{'model':'m','instructions':'S','max_output_tokens':50,'stream':true,'input':["
              "{'role':'user','content':'q'},"
              "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'think'}],"
              "'encrypted_content':'sluiceClaudeSignU0lH'},"
              "{'type':'function_call','call_id':'t1','name':'f','arguments':'{\\'x\\':1}'},"
              "{'type':'function_call','call_id':'t2','name':'f','arguments':'{}'},"
              "{'type':'function_call_output','call_id':'t1','output':'1'},"
              "{'type':'function_call_output','call_id':'t2','output':'2'}],"
              "'tools':[{'type':'function','name':'f','parameters':{'type':'object'}}],"
              "'tool_choice':'required'}",
              "{'model':'m2','system':[{'type':'text','text':'S'}],'messages':["
              "{'role':'user','content':[{'type':'text','text':'q'}]},"
              "{'role':'assistant','content':["
              "{'type':'thinking','thinking':'think','signature':'U0lH'},"
              "{'type':'tool_use','id':'t1','name':'f','input':{'x':1}},"
              "{'type':'tool_use','id':'t2','name':'f','input':{}}]},"
              "{'role':'user','content':["
              "{'type':'tool_result','tool_use_id':'t1','content':[{'type':'text','text':'1'}]},"
              "{'type':'tool_result','tool_use_id':'t2','content':[{'type':'text','text':'2'}]}]}],"
              "'max_tokens':50,'tools':[{'name':'f','input_schema':{'type':'object'}}],"
              "'tool_choice':{'type':'any'},'stream':true}",
              "input[1].id"));
}

static void test_requests_of_anthropic(void)
{
    CHECK(gives(
        API_ANTHROPIC, API_RESPONSES,
        "{'model':'m','max_tokens':50,'system':[{'type':'text','text':'S'},{'type':'text','text':"
        "'T'}],'thinking':{'type':'enabled','budget_tokens':1024},'messages':["
        "{'role':'user','content':[{'type':'text','text':'q'},{'type':'image','source':{'type':"
        "'base64','media_type':'image/jpeg','data':'/9j/'}},{'type':'document','source':{'type':"
        "'base64','media_type':'application/pdf','data':'JVBE'}}]},"
        "{'role':'assistant','content':[{'type':'thinking','thinking':'t','signature':'U0lH'},"
        "{'type':'text','text':'a'},{'type':'tool_use','id':'t1','name':'f','input':{'x': 1}}]},"
        "{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1','is_error':true,"
        "'content':'bad'},{'type':'text','text':'and?'}]}],"
        "'tools':[{'name':'f','description':'d','input_schema':{'type':'object'}}],"
        "'tool_choice':{'type':'tool','name':'f'}}",
        "{'model':'m2','instructions':'S\\nT','input':["
        "{'type':'message','role':'user','content':[{'type':'input_text','text':'q'},"
        "{'type':'input_image','image_url':'data:image/jpeg;base64,/9j/'},"
        "{'type':'input_file','filename':'document.pdf','file_data':"
        "'data:application/pdf;base64,JVBE'}]},"
        "{'type':'message','role':'assistant','content':[{'type':'output_text','text':'a'}]},"
        "{'type':'function_call','call_id':'t1','name':'f','arguments':'{\\'x\\': 1}'},"
        "{'type':'function_call_output','call_id':'t1','output':'bad'},"
        "{'type':'message','role':'user','content':'and?'}],"
        "'tools':[{'type':'function','name':'f','description':'d','parameters':{'type':'object'},"
        "'strict':false}],'tool_choice':{'type':'function','name':'f'},'max_output_tokens':50,"
        "'store':false}",
        "messages[2].content[0], messages[3].content[0].is_error, reasoning.budget"));
#define ASKED "'max_tokens':9,'messages':[{'role':'user','content':'q'}]}"
    CHECK(refuses(API_ANTHROPIC, API_RESPONSES, "{'model':'m','stop_sequences':['x']," ASKED,
                  "stop_sequences"));
    CHECK(refuses(API_ANTHROPIC, API_RESPONSES, "{'model':'m','top_k':5," ASKED, "top_k"));
}

/* A text, then two calls at once, as OpenAI streams them. */
#define ITEM(n, item) "'output_index':" n ",'item':" item
#define CALL_EVENTS(n, id, a, b)                                                                   \
    EVENT("response.output_item.added",                                                            \
          ITEM(n, "{'id':'fc','type':'function_call','status':'in_progress','arguments':'',"       \
                  "'call_id':'" id "','name':'f'}"))                                               \
    EVENT("response.function_call_arguments.delta",                                                \
          "'item_id':'fc','output_index':" n ",'delta':'" a "'")                                   \
    EVENT("response.function_call_arguments.delta",                                                \
          "'item_id':'fc','output_index':" n ",'delta':'" b "'")                                   \
    EVENT("response.function_call_arguments.done",                                                 \
          "'item_id':'fc','output_index':" n ",'arguments':'" a b "'")                             \
    EVENT("response.output_item.done",                                                             \
          ITEM(n, "{'id':'fc','type':'function_call','status':'completed','arguments':'" a b       \
                  "','call_id':'" id "','name':'f'}"))
#define PART "'item_id':'msg','output_index':0,'content_index':0"
static const char openai_stream[] =
    EVENT("response.created", "'response':{'id':'resp_9','model':'gpt-9','status':'in_progress'}")
        EVENT("response.in_progress", "'response':{'id':'resp_9','model':'gpt-9'}") EVENT(
            "response.output_item.added", ITEM("0", "{'id':'msg','type':'message','content':[]}"))
            EVENT("response.content_part.added", PART ",'part':{'type':'output_text','text':''}")
                EVENT("response.output_text.delta", PART ",'delta':'Let '")
                    EVENT("response.output_text.delta", PART ",'delta':'me look'")
                        EVENT("response.output_text.done", PART ",'text':'Let me look'")
                            EVENT("response.content_part.done",
                                  PART ",'part':{'type':'output_text','text':'Let me look'}")
                                EVENT("response.output_item.done",
                                      ITEM("0", "{'id':'msg','type':'message','content':[{'type':"
                                                "'output_text','text':'Let me look'}]}"))
                                    CALL_EVENTS("1", "c1", "{\\'x\\':", "1}")
                                        CALL_EVENTS("2", "c2", "{\\'x\\':", "2}")
                                            EVENT("response.completed",
                                                  "'response':{'id':'resp_9','model':'gpt-9','"
                                                  "status':'completed','output':[{'type':"
                                                  "'message','content':[]}],'usage':{'input_tokens'"
                                                  ":20,'input_tokens_details':{"
                                                  "'cached_tokens':5},'output_tokens':9,'output_"
                                                  "tokens_details':{'reasoning_tokens':1},"
                                                  "'total_tokens':29}}");

static void test_streams_of_openai(void)
{
    const struct lab_how how = {.from_stream = true, .to_stream = true};
    static const char events[] =
        "start(resp_9,gpt-9) 0.0:text[ Let  me look ] 0.1:tool(c1,f)[ {'x': 1} ] "
        "0.2:tool(c2,f)[ {'x': 2} ] usage(20,9,5,0,1) 0.finish(tool) end";
    size_t n = strlen(openai_stream);

    CHECK(answers(API_RESPONSES, API_RESPONSES, openai_stream, how, true, events));
    for (size_t at = 0; at < n; at++) {
        const struct lab_how cut = {.from_stream = true, .to_stream = true, .at = at};

        CHECK(answers(API_RESPONSES, API_RESPONSES, openai_stream, cut, true, events));
    }
    CHECK(answers(API_RESPONSES, API_RESPONSES, openai_stream,
                  (struct lab_how){.from_stream = true, .step = 1}, true, events));
    CHECK(answers(
        API_RESPONSES, API_ANTHROPIC, openai_stream, how, false,
        "event: message_start\ndata: {'type':'message_start','message':{'id':'msg_01TEST','type':"
        "'message','role':'assistant','model':'gpt-9','content':[],'stop_reason':null,"
        "'stop_sequence':null,'usage':{'input_tokens':0,'cache_creation_input_tokens':0,"
        "'cache_read_input_tokens':0,'output_tokens':0}}}\n\n"
        "event: content_block_start\ndata: {'type':'content_block_start','index':0,"
        "'content_block':{'type':'text','text':''}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':0,'delta':{"
        "'type':'text_delta','text':'Let '}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':0,'delta':{"
        "'type':'text_delta','text':'me look'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':0}\n\n"
        "event: content_block_start\ndata: {'type':'content_block_start','index':1,"
        "'content_block':{'type':'tool_use','id':'c1','name':'f','input':{}}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':1,'delta':{"
        "'type':'input_json_delta','partial_json':'{\\'x\\':'}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':1,'delta':{"
        "'type':'input_json_delta','partial_json':'1}'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':1}\n\n"
        "event: content_block_start\ndata: {'type':'content_block_start','index':2,"
        "'content_block':{'type':'tool_use','id':'c2','name':'f','input':{}}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':2,'delta':{"
        "'type':'input_json_delta','partial_json':'{\\'x\\':'}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':2,'delta':{"
        "'type':'input_json_delta','partial_json':'2}'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':2}\n\n"
        "event: message_delta\ndata: {'type':'message_delta','delta':{'stop_reason':'tool_use',"
        "'stop_sequence':null},'usage':{'input_tokens':15,'cache_creation_input_tokens':0,"
        "'cache_read_input_tokens':5,'output_tokens':9,'output_tokens_details':{"
        "'thinking_tokens':1}}}\n\n"
        "event: message_stop\ndata: {'type':'message_stop'}\n\n"));
}

/* A conversation with two calls at once, in the three APIs of OpenAI and Google. */
#define IN_CHAT                                                                                    \
    "'messages':[{'role':'system','content':'S'},{'role':'user','content':[{'type':'text','text':" \
    "'q'},{'type':'image_url','image_url':{'url':'https://h/i.png','detail':'low'}}]},"            \
    "{'role':'assistant','content':'a','tool_calls':[{'id':'c1','type':'function','function':{"    \
    "'name':'f','arguments':'{\\'x\\':1}'}},{'id':'c2','type':'function','function':{'name':'f',"  \
    "'arguments':'{}'}}]},{'role':'tool','tool_call_id':'c1','content':'1'},"                      \
    "{'role':'tool','tool_call_id':'c2','content':'2'},{'role':'user','content':'r'}]"
#define IN_RESPONSES                                                                               \
    "'instructions':'S','input':[{'type':'message','role':'user','content':[{'type':'input_text'," \
    "'text':'q'},{'type':'input_image','image_url':'https://h/i.png','detail':'low'}]},"           \
    "{'type':'message','role':'assistant','content':[{'type':'output_text','text':'a'}]},"         \
    "{'type':'function_call','call_id':'c1','name':'f','arguments':'{\\'x\\':1}'},"                \
    "{'type':'function_call','call_id':'c2','name':'f','arguments':'{}'},"                         \
    "{'type':'function_call_output','call_id':'c1','output':'1'},"                                 \
    "{'type':'function_call_output','call_id':'c2','output':'2'},"                                 \
    "{'type':'message','role':'user','content':'r'}]"

static void test_requests_of_chat(void)
{
    CHECK(
        gives(API_CHAT, API_RESPONSES,
              "{'model':'m'," IN_CHAT ",'tools':[{'type':'function','function':{'name':'f',"
              "'parameters':{'type':'object'},'strict':true}}],'tool_choice':{'type':'function',"
              "'function':{'name':'f'}},'parallel_tool_calls':true,'response_format':{'type':"
              "'json_schema','json_schema':{'name':'n','schema':{},'strict':true}},"
              "'max_tokens':10,'temperature':0.5,'top_p':0.9,'n':1,'presence_penalty':0,"
              "'frequency_penalty':0.0,'seed':7,'reasoning_effort':'low','stream':true,"
              "'stream_options':{'include_usage':true},'user':'u'}",
              "{'model':'m2'," IN_RESPONSES ",'tools':[{'type':'function','name':'f','parameters':{"
              "'type':'object'},'strict':true}],'tool_choice':{'type':'function','name':'f'},"
              "'parallel_tool_calls':true,'text':{'format':{'type':'json_schema','name':'n',"
              "'schema':{},'strict':true}},'include':['reasoning.encrypted_content'],'reasoning':{"
              "'effort':'low'},'max_output_tokens':10,'temperature':0.5,'top_p':0.9,'stream':true,"
              "'store':false}",
              "user, seed"));
#define HI "'messages':[{'role':'user','content':'hi'}]"
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','stop':'x'," HI "}", "stop"));
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','n':2," HI "}", "n"));
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','presence_penalty':0.1," HI "}",
                  "presence_penalty"));
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','frequency_penalty':-1," HI "}",
                  "frequency_penalty"));
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','logprobs':true," HI "}", "logprobs"));
    CHECK(refuses(API_CHAT, API_RESPONSES, "{'model':'m','logit_bias':{'5':1}," HI "}",
                  "logit_bias"));
}

/* A request for another API, read there and written as one of this again. */
static bool survives(enum api_dialect via, const char *body, const char *want)
{
    struct lab_request there, back;
    char *a = js(body), *b = js(want);
    bool ok;

    lab_translate(API_RESPONSES, via, a, &there);
    lab_translate(via, API_RESPONSES, there.body.ptr == NULL ? "" : there.body.ptr, &back);
    ok = there.st == GW_OK && back.st == GW_OK && gw_span_is(gw_buf_span(&back.body), b);
    if (!ok)
        fprintf(stderr, "  %s %s\n  there %s\n  back  %s\n  want  %s\n", there.err.text,
                back.err.text, there.body.ptr == NULL ? "" : there.body.ptr,
                back.body.ptr == NULL ? "" : back.body.ptr, b);
    lab_forget(&there);
    lab_forget(&back);
    free(a);
    free(b);
    return ok;
}

#define TOOLS                                                                                      \
    ",'tools':[{'type':'function','name':'f','description':'d','parameters':{'type':'object'},"    \
    "'strict':false}],'tool_choice':"
#define FORMAT                                                                                     \
    ",'text':{'format':{'type':'json_schema','name':'n','schema':{'type':'object'},'strict':true}" \
    "}"

static void test_requests_for_chat(void)
{
    static const char body[] =
        "{'model':'m2'," IN_RESPONSES TOOLS "'required','parallel_tool_calls':false" FORMAT
        ",'max_output_tokens':10,'temperature':0.50,'stream':true,'store':false}";

    CHECK(survives(API_CHAT, body, body));
    CHECK(refuses(API_RESPONSES, API_CHAT, "{'model':'m','previous_response_id':'resp_1'}",
                  "previous_response_id"));
    CHECK(refuses(API_RESPONSES, API_CHAT,
                  "{'model':'m','input':'hi','tools':[{'type':'web_search'}]}", "tools[0].type"));
}

static void test_requests_for_gemini(void)
{
    CHECK(survives(API_GEMINI,
                   "{'model':'m','instructions':'S','input':[{'role':'user','content':[{'type':"
                   "'input_text','text':'q'},{'type':'input_image','image_url':"
                   "'data:image/png;base64,iVBO'}]},"
                   "{'type':'function_call','call_id':'c1','name':'f','arguments':'{\\'x\\':1}'},"
                   "{'type':'function_call_output','call_id':'c1','output':'1'}]" TOOLS
                   "'auto','max_output_tokens':10,'temperature':0.50}",
                   "{'model':'m2','instructions':'S','input':[{'type':'message','role':'user',"
                   "'content':[{'type':'input_text','text':'q'},{'type':'input_image','image_url':"
                   "'data:image/png;base64,iVBO'}]},"
                   "{'type':'function_call','call_id':'c1','name':'f','arguments':'{\\'x\\':1}'},"
                   "{'type':'function_call_output','call_id':'c1','output':'1'}]" TOOLS
                   "'auto','max_output_tokens':10,'temperature':0.50,'store':false}"));
}

static void test_requests_of_gemini(void)
{
    CHECK(gives(
        API_GEMINI, API_RESPONSES,
        "{'systemInstruction':{'parts':[{'text':'S'}]},'contents':[{'role':'user','parts':["
        "{'text':'q'},{'inlineData':{'mimeType':'image/png','data':'iVBO'}}]},{'role':'model',"
        "'parts':[{'functionCall':{'id':'c1','name':'f','args':{'x':1}}}]},{'role':'user',"
        "'parts':[{'functionResponse':{'id':'c1','name':'f','response':{'output':'1'}}}]}],"
        "'tools':[{'functionDeclarations':[{'name':'f','parameters':{'type':'OBJECT'}}]}],"
        "'generationConfig':{'maxOutputTokens':10,'temperature':0.5}}",
        "{'model':'m2','instructions':'S','input':[{'type':'message','role':'user','content':["
        "{'type':'input_text','text':'q'},{'type':'input_image','image_url':"
        "'data:image/png;base64,iVBO'}]},{'type':'function_call','call_id':'c1','name':'f',"
        "'arguments':'{\\'x\\':1}'},{'type':'function_call_output','call_id':'c1','output':"
        "'1'}],'tools':[{'type':'function','name':'f','parameters':{'type':'object'},'strict'"
        ":false}],'max_output_tokens':10,'temperature':0.5,'store':false}",
        ""));
    CHECK(refuses(
        API_GEMINI, API_RESPONSES,
        "{'contents':[{'role':'user','parts':[{'text':'q'}]}],'generationConfig':{'topK':64}}",
        "generationConfig.topK"));
}

static const char chat_stream[] =
    "data: "
    "{'id':'x','model':'gpt-9','choices':[{'index':0,'delta':{'role':'assistant','content':''}}]}"
    "\n\n"
    "data: {'id':'x','choices':[{'index':0,'delta':{'content':'Hi'}}]}\n\n"
    "data: "
    "{'id':'x','choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'c1','type':'function',"
    "'function':{'name':'f','arguments':''}}]}}]}\n\n"
    "data: "
    "{'id':'x','choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'function':{'arguments':"
    "'{\\'x\\':1}'}}]}}]}\n\n"
    "data: "
    "{'id':'x','choices':[{'index':0,'delta':{'tool_calls':[{'index':1,'id':'c2','type':'function',"
    "'function':{'name':'f','arguments':'{}'}}]}}]}\n\n"
    "data: {'id':'x','choices':[{'index':0,'delta':{},'finish_reason':'tool_calls'}]}\n\n"
    "data: "
    "{'id':'x','choices':[],'usage':{'prompt_tokens':9,'completion_tokens':8,'total_tokens':17}}"
    "\n\n"
    "data: [DONE]\n\n";

/* From another dialect into this one and back: the events are the same, and the text of the stream is one that this
 * dialect's own reader understands. */
static bool there_and_back(enum api_dialect from, const char *text, const char *events)
{
    const struct lab_how how = {.from_stream = true, .to_stream = true};
    struct lab_answer there, back;
    char *source = js(text), *want = js(events);
    bool ok;

    lab_answer(from, API_RESPONSES, source, how, &there);
    lab_answer(API_RESPONSES, from, there.out.ptr == NULL ? "" : there.out.ptr, how, &back);
    ok = there.st == GW_OK && back.st == GW_OK && gw_span_is(gw_buf_span(&back.events), want);
    if (!ok)
        fprintf(stderr, "  there %s\n  back %s\n  want %s\n",
                there.events.ptr == NULL ? "" : there.events.ptr,
                back.events.ptr == NULL ? "" : back.events.ptr, want);
    lab_forget_answer(&there);
    lab_forget_answer(&back);
    free(source);
    free(want);
    return ok;
}

static void test_streams_there_and_back(void)
{
    CHECK(there_and_back(API_CHAT, chat_stream,
                         "start(resp_01TEST,gpt-9) 0.0:text[ Hi ] 0.1:tool(c1,f)[ {'x':1} ] "
                         "0.2:tool(c2,f)[ {} ] usage(9,8,0,0,0) 0.finish(tool) end"));
    CHECK(there_and_back(
        API_ANTHROPIC,
        "event: message_start\ndata: {'type':'message_start','message':{'id':'m','model':'claude',"
        "'content':[],'usage':{'input_tokens':9,'output_tokens':1}}}\n\n"
        "event: content_block_start\ndata: "
        "{'type':'content_block_start','index':0,'content_block':{"
        "'type':'thinking','thinking':'','signature':''}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':0,'delta':{'type':"
        "'thinking_delta','thinking':'Hm'}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':0,'delta':{'type':"
        "'signature_delta','signature':'U0lH'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':0}\n\n"
        "event: content_block_start\ndata: "
        "{'type':'content_block_start','index':1,'content_block':{"
        "'type':'text','text':''}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':1,'delta':{'type':"
        "'text_delta','text':'Hi'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':1}\n\n"
        "event: message_delta\ndata: {'type':'message_delta','delta':{'stop_reason':'max_tokens'},"
        "'usage':{'output_tokens':8}}\n\n"
        "event: message_stop\ndata: {'type':'message_stop'}\n\n",
        "start(resp_01TEST,claude) 0.0:reasoning[ Hm sig:sluiceOpenAIItemsluiceClaudeSignU0lH ] "
        "0.1:text[ Hi ] usage(9,8,0,0,0) 0.finish(length) end"));
    CHECK(there_and_back(
        API_GEMINI,
        "data: {'candidates':[{'content':{'role':'model','parts':[{'text':'Hi'}]}}],'modelVersion':"
        "'gemini'}\n\n"
        "data: "
        "{'candidates':[{'content':{'role':'model','parts':[{'functionCall':{'id':'c1','name':"
        "'f','args':{'x':1}}},{'functionCall':{'id':'c2','name':'f','args':{}}}]},'finishReason':"
        "'STOP'}],'usageMetadata':{'promptTokenCount':9,'candidatesTokenCount':8,'totalTokenCount':"
        "17}}\n\n",
        "start(resp_01TEST,gemini) 0.0:text[ Hi ] 0.1:tool(c1,f)[ {'x':1} ] 0.2:tool(c2,f)[ {} ] "
        "usage(9,8,0,0,0) 0.finish(tool) end"));
}

int main(void)
{
    test_requests_for_anthropic();
    test_requests_of_anthropic();
    test_requests_for_chat();
    test_requests_of_chat();
    test_requests_for_gemini();
    test_requests_of_gemini();
    test_streams_of_openai();
    test_streams_there_and_back();
    return test_done();
}
