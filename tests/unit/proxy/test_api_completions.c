/* Completions: prompts as messages and back, answers as text. */
#include "tests/unit/proxy/api_dump.h"

static bool prompt(const char *body, const char *want)
{
    return reads(API_COMPLETIONS, body, want);
}

static void test_requests_are_read(void)
{
    CHECK(prompt("{'model':'m','prompt':'say \\u0041'}", "m user[<text say A>]"));
    CHECK(prompt("{'model':'m','prompt':['one']}", "m user[<text one>]"));
    CHECK(prompt("{'model':'m','prompt':''}", "m user[]"));
    CHECK(prompt("{'model':'m','prompt':['one','two']}", "m user[] extra=prompt"));
    CHECK(prompt("{'model':'m','prompt':[1,2]}", "m user[] extra=prompt"));
    CHECK(prompt("{'model':'m','prompt':'p','suffix':'s','echo':true,'best_of':2}",
                 "m user[<text p>] extra=suffix extra=echo extra=best_of"));
    CHECK(prompt("{'model':'m','prompt':'p','suffix':null,'echo':false,'best_of':1,'n':1}",
                 "m user[<text p>] n=1"));
    CHECK(prompt("{'model':'m','prompt':'p','max_tokens':5,'temperature':0,'stop':['a'],'stream':"
                 "true,'logprobs':3,'user':'u','messages':[1]}",
                 "m user[<text p>] max=5 temperature=0 top_logprobs=3 stop=a stream logprobs "
                 "hint=user extra=messages"));
    CHECK(prompt("{'model':'m'}", "m user[] bad=prompt (prompt must be a string)"));
    CHECK(prompt("{'prompt':'p'}", "invalid model: model is missing"));
}

static void test_requests_are_written(void)
{
    const char *simple = "{'model':'m','prompt':'p','max_tokens':5,'stop':'x','stream':true}";

    CHECK(lab_gives(API_COMPLETIONS, API_COMPLETIONS, q(simple),
                    q("{'model':'m2','prompt':'p','max_tokens':5,'stop':['x'],'stream':true,"
                      "'stream_options':{'include_usage':true}}"),
                    ""));
    CHECK(lab_gives(API_COMPLETIONS, API_CHAT, q(simple),
                    q("{'model':'m2','messages':[{'role':'user','content':'p'}],'max_tokens':5,"
                      "'stop':['x'],'stream':true,'stream_options':{'include_usage':true}}"),
                    ""));
    CHECK(lab_gives(API_CHAT, API_COMPLETIONS,
                    q("{'model':'m','messages':[{'role':'user','content':'p'}],'user':'u',"
                      "'reasoning_effort':'low'}"),
                    q("{'model':'m2','prompt':'p'}"), "user, reasoning"));
    CHECK(lab_refuses(API_COMPLETIONS, API_CHAT, q("{'model':'m','prompt':'p','echo':true}"),
                      GW_EUNSUPPORTED, "echo"));
    CHECK(lab_refuses(API_CHAT, API_COMPLETIONS,
                      q("{'model':'m','messages':[{'role':'system','content':'s'},{'role':'user',"
                        "'content':'p'}]}"),
                      GW_EUNSUPPORTED, "messages"));
    CHECK(lab_refuses(API_CHAT, API_COMPLETIONS,
                      q("{'model':'m','messages':[{'role':'user','content':[{'type':'image_url',"
                        "'image_url':'u'}]}]}"),
                      GW_EUNSUPPORTED, "messages[0].content"));
    CHECK(lab_refuses(API_CHAT, API_COMPLETIONS,
                      q("{'model':'m','messages':[{'role':'user','content':'p'}],'tools':[{'type':"
                        "'function','function':{'name':'f'}}]}"),
                      GW_EUNSUPPORTED, "tools"));
}

#define HEAD                                                                                       \
    "{'id':'cmpl-01TEST','object':'text_completion','created':1700000000,'model':'g',"             \
    "'system_fingerprint':null,'choices':[{'text':"
#define TAIL ",'index':0,'logprobs':null,'finish_reason':"

static void test_answers(void)
{
    const struct lab_how stream = {.from_stream = true, .to_stream = true};
    const struct lab_how usage = {.from_stream = true, .to_stream = true, .include_usage = true};

    CHECK(lab_answers(API_COMPLETIONS, API_COMPLETIONS,
                      q("{'id':'x','model':'g','choices':[{'text':'hi','index':0,'logprobs':null,"
                        "'finish_reason':'length'}],'usage':{'prompt_tokens':1,"
                        "'completion_tokens':2}}"),
                      (struct lab_how){0}, false,
                      q(HEAD "'hi'" TAIL "'length'}],'usage':{'prompt_tokens':1,"
                             "'completion_tokens':2,'total_tokens':3,'prompt_tokens_details':"
                             "{'cached_tokens':0},'completion_tokens_details':{'reasoning_tokens':"
                             "0}}}\n")));
    CHECK(lab_answers(API_COMPLETIONS, API_COMPLETIONS,
                      q("data: {'model':'g','choices':[{'text':'hi','index':0}]}\n\n"
                        "data: {'choices':[{'text':'','index':0,'finish_reason':'stop'}]}\n\n"
                        "data: [DONE]\n\n"),
                      stream, false,
                      q("data: " HEAD "'hi'" TAIL "null}]}\n\ndata: " HEAD "''" TAIL
                        "'stop'}]}\n\ndata: [DONE]\n\n")));
    /* What a chat model answers: refusals are text, thoughts have no place. */
    CHECK(lab_answers(API_CHAT, API_COMPLETIONS,
                      q("{'model':'g','choices':[{'message':{'content':'a','refusal':'b',"
                        "'reasoning_content':'c'},'finish_reason':'stop'}]}"),
                      (struct lab_how){0}, false, q(HEAD "'ab'" TAIL "'stop'}]}\n")));
    CHECK(lab_answers(API_CHAT, API_COMPLETIONS,
                      q("data: {'model':'g','choices':[{'delta':{'reasoning_content':'c','content':"
                        "'a'},'finish_reason':'stop'}],'usage':{'prompt_tokens':1}}\n\n"),
                      usage, false,
                      q("data: " HEAD "'a'" TAIL "null}],'usage':null}\n\ndata: " HEAD "''" TAIL
                        "'stop'}],'usage':null}\n\ndata: {'id':'cmpl-01TEST','object':"
                        "'text_completion','created':1700000000,'model':'g','system_fingerprint':"
                        "null,'choices':[],'usage':{'prompt_tokens':1,'completion_tokens':0,"
                        "'total_tokens':1,'prompt_tokens_details':{'cached_tokens':0},"
                        "'completion_tokens_details':{'reasoning_tokens':0}}}\n\n"
                        "data: [DONE]\n\n")));
}

int main(void)
{
    test_requests_are_read();
    test_requests_are_written();
    test_answers();
    return test_done();
}
