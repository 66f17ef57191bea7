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
    for (size_t at = 0; at < n; at += 7) {
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

int main(void)
{
    test_requests_for_anthropic();
    test_requests_of_anthropic();
    test_streams_of_openai();
    return test_done();
}
