/* tests/unit/proxy/test_local_tools.c - tools of the local model: prompts byte for byte, and calls read out of what it
 * writes, however that is cut into pieces; every dialect can say them. ' stands for " in JSON. */
#include "proxy/local/local_tools.h"
#include "tests/unit/proxy/api_dump.h"

/* ---- prompts ------------------------------------------------------------------------------ */

#define HEAD                                                                                       \
    "# Tools\n\nYou can call functions to help the user. These are the functions, each as a JSON " \
    "object, inside of <tools></tools>:\n<tools>\n"
#define TAIL                                                                                       \
    "</tools>\n\nTo call a function, write a JSON object with its name and its arguments "         \
    "inside of <tool_call></tool_call>, for each call anew:\n<tool_call>\n{'name': <function "     \
    "name>, 'arguments': <object of arguments>}\n</tool_call>"

/* The prompt is exactly want: "role: content", messages divided by "|"; a refusal is "refused: its message". */
static bool prompts(enum api_dialect d, const char *body, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(16 << 20);
    struct api_request asked = {.dialect = d, .model = GW_SPAN("m")};
    const struct api_tool *tools = NULL;
    struct engine_message *m = NULL;
    struct gw_json_node *root = NULL;
    struct gw_buf got = {0};
    struct gw_err err = {0};
    const char *param = NULL;
    unsigned n_tools = 0, n = 0;
    bool ok;

    if (gw_json_tree(json, arena, gw_span_str(q(body)), NULL, &root, &err) != GW_OK ||
        api_read_request(d, root, arena, &asked, &param, &err) != GW_OK || asked.bad != NULL ||
        local_tools_shown(&asked, &tools, &n_tools, &err) != GW_OK ||
        local_tools_messages(&asked, tools, n_tools, arena, &m, &n, &err) != GW_OK)
        gw_buf_printf(&got, "refused: %s", asked.bad != NULL ? asked.bad : err.text);
    for (unsigned i = 0; i < n; i++)
        gw_buf_printf(&got, "%s%.*s: %.*s", i == 0 ? "" : "|", (int)m[i].role.len, m[i].role.ptr,
                      (int)m[i].content.len, m[i].content.ptr);
    want = q(want);
    ok = gw_span_is(gw_buf_span(&got), want);
    if (!ok)
        fprintf(stderr, "  got  %s\n  want %s\n", got.ptr, want);
    gw_buf_fini(&got);
    gw_json_free(json);
    gw_arena_free(arena);
    return ok;
}

#define CHAT_TOOL_F                                                                                \
    "{'type':'function','function':{'name':'f','description':'Does \\u00fc.\\n',"                  \
    "'parameters':{'type' : 'object','properties':{'a':{'type':'number','maximum':1e2}}}}}"
#define LINE_F                                                                                     \
    "{'type': 'function', 'function': {'name': 'f', 'description': 'Does \xC3\xBC.\\n', "          \
    "'parameters': {'type' : 'object','properties':{'a':{'type':'number','maximum':1e2}}}}}\n"
#define CHAT_TOOL_G "{'type':'function','function':{'name':'g'}}"
#define LINE_G      "{'type': 'function', 'function': {'name': 'g'}}\n"

static void test_definitions(void)
{
    CHECK(prompts(
        API_CHAT,
        "{'model':'m','tools':[" CHAT_TOOL_F "," CHAT_TOOL_G
        "],'messages':[{'role':'system','content':'Be kind.'},{'role':'user','content':'x'}]}",
        "system: Be kind.\n\n" HEAD LINE_F LINE_G TAIL "|user: x"));
    CHECK(prompts(API_CHAT,
                  "{'model':'m','tools':[" CHAT_TOOL_G
                  "],'messages':[{'role':'user','content':'x'}]}",
                  "system: " HEAD LINE_G TAIL "|user: x"));
    CHECK(prompts(API_ANTHROPIC,
                  "{'model':'m','max_tokens':5,'tools':[{'name':'g','input_schema':{}}],'messages':"
                  "[{'role':'user','content':'x'}]}",
                  "system: " HEAD
                  "{'type': 'function', 'function': {'name': 'g', 'parameters': {}}}\n" TAIL
                  "|user: x"));
}

static bool chat_choice(const char *members, const char *want)
{
    struct gw_buf body = {0};
    bool ok;

    gw_buf_printf(&body,
                  "{'model':'m',%s,'tools':[" CHAT_TOOL_F "," CHAT_TOOL_G
                  "],'messages':[{'role':'user','content':'x'}]}",
                  members);
    ok = prompts(API_CHAT, body.ptr, want);
    gw_buf_fini(&body);
    return ok;
}

static void test_choice(void)
{
    const char *both = "system: " HEAD LINE_F LINE_G TAIL "|user: x";

    CHECK(chat_choice("'tool_choice':'auto'", both));
    CHECK(chat_choice("'parallel_tool_calls':true", both));
    CHECK(chat_choice("'tool_choice':'none'", "user: x"));
    CHECK(chat_choice("'tool_choice':'required'",
                      "system: " HEAD LINE_F LINE_G TAIL
                      "\n\nYou must call at least one of these functions now.|user: x"));
    CHECK(chat_choice("'tool_choice':'required','parallel_tool_calls':false",
                      "system: " HEAD LINE_F LINE_G TAIL
                      "\n\nYou must call exactly one of these functions now.|user: x"));
    CHECK(chat_choice("'parallel_tool_calls':false",
                      "system: " HEAD LINE_F LINE_G TAIL
                      "\n\nMake at most one call in an answer.|user: x"));
    CHECK(chat_choice("'tool_choice':{'type':'function','function':{'name':'g'}}",
                      "system: " HEAD LINE_G TAIL "\n\nYou must call the function g now.|user: x"));
    CHECK(chat_choice("'tool_choice':{'type':'function','function':{'name':'h'}}",
                      "refused: tool_choice names a tool that is not among the tools"));
    CHECK(
        prompts(API_CHAT,
                "{'model':'m','tool_choice':'required','messages':[{'role':'user','content':'x'}]}",
                "refused: tool_choice demands a call, but there are no tools"));
}

#define TALK                                                                                       \
    "user: x|assistant: on it\n<tool_call>\n{'name': 'f', 'arguments': {'a' : 1.0}}\n"             \
    "</tool_call>\n<tool_call>\n{'name': 'g', 'arguments': {}}\n</tool_call>|user: "               \
    "<tool_response>\n{'name': 'f', 'content': 'two\\nlines'}\n</tool_response>\n"                 \
    "<tool_response>\n{'name': 'g', 'content': {'b' : 2}}\n</tool_response>"

static void test_conversation(void)
{
    CHECK(prompts(
        API_CHAT,
        "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant','content':'on "
        "it','tool_calls':[{'id':'1','type':'function','function':{'name':'f','arguments':'{"
        "\\u0022a\\u0022 "
        ": 1.0}'}},{'id':'2','type':'function','function':{'name':'g','arguments':'{}'}}]},"
        "{'role':'tool','tool_call_id':'1','content':'two\\nlines'},"
        "{'role':'tool','tool_call_id':'2','content':'{\\u0022b\\u0022 : 2}'},"
        "{'role':'user','content':'and?'}]}",
        TALK "\nand?"));
    CHECK(prompts(
        API_ANTHROPIC,
        "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'},{'role':"
        "'assistant','content':[{'type':'text','text':'on it'},{'type':'tool_use','id':'1',"
        "'name':'f','input':{'a' : 1.0}},{'type':'tool_use','id':'2','name':'g','input':{}}]},"
        "{'role':'user','content':[{'type':'tool_result','tool_use_id':'1','content':[{"
        "'type':'text','text':'two'},{'type':'text','text':'lines'}]},{'type':'tool_result',"
        "'tool_use_id':'2','content':'{\\u0022b\\u0022 : 2}'},{'type':'text','text':'and?'}]}]}",
        TALK "\nand?"));
    CHECK(prompts(
        API_RESPONSES,
        "{'model':'m','input':[{'role':'user','content':'x'},{'role':'assistant','content':"
        "'on it'},{'type':'function_call','call_id':'1','name':'f','arguments':'{\\u0022a\\u0022 : "
        "1.0}'},{'type':'function_call','call_id':'2','name':'g','arguments':'{}'},"
        "{'type':'function_call_output','call_id':'1','output':'two\\nlines'},"
        "{'type':'function_call_output','call_id':'2','output':'{\\u0022b\\u0022 : 2}'}]}",
        TALK));
    CHECK(
        prompts(API_GEMINI,
                "{'contents':[{'role':'user','parts':[{'text':'x'}]},{'role':'model','parts':[{"
                "'functionCall':{'name':'g','args':{'a':1}}}]},{'role':'user','parts':[{"
                "'functionResponse':{'name':'g','response':{'b' : 2}}}]}]}",
                "user: x|assistant: <tool_call>\n{'name': 'g', 'arguments': {'a':1}}\n</tool_call>|"
                "user: <tool_response>\n{'name': 'g', 'content': {'b' : 2}}\n</tool_response>"));
    /* The newest call of an id counts; an unknown one has no name; errors are said. */
    CHECK(prompts(
        API_ANTHROPIC,
        "{'model':'m','max_tokens':9,'messages':[{'role':'assistant','content':[{'type':"
        "'tool_use','id':'1','name':'f','input':{}}]},{'role':'user','content':'.'},{'role':"
        "'assistant','content':[{'type':'tool_use','id':'1','name':'g','input':{}}]},{'role':"
        "'user','content':[{'type':'tool_result','tool_use_id':'1','is_error':true,'content':"
        "'bad'},{'type':'tool_result','tool_use_id':'7'}]}]}",
        "assistant: <tool_call>\n{'name': 'f', 'arguments': {}}\n</tool_call>|user: .|"
        "assistant: <tool_call>\n{'name': 'g', 'arguments': {}}\n</tool_call>|user: "
        "<tool_response>\n{'name': 'g', 'is_error': true, 'content': 'bad'}\n"
        "</tool_response>\n<tool_response>\n{'content': ''}\n</tool_response>"));
    /* Without tools messages in a row stay as they are. */
    CHECK(prompts(
        API_CHAT,
        "{'model':'m','messages':[{'role':'user','content':'a'},{'role':'user','content':'b'}]}",
        "user: a|user: b"));
}

/* ---- answers ------------------------------------------------------------------------------ */

static const struct api_tool tools[] = {{.name = {"f", 1}}, {.name = {"get.it", 6}}};

/* Events as text; pieces of one text are one. */
struct heard {
    struct gw_buf text;
    bool in_delta;
    struct api_writer *writer; /* or NULL */
    struct gw_buf out;
};

static unsigned says, n_tools = 2; /* of the model; shown */

static enum gw_status on_event(void *ctx, const struct api_event *ev)
{
    struct heard *h = ctx;

    if (ev->type == API_EVENT_DELTA && h->in_delta)
        h->text.len--; /* the space behind the piece before */
    h->in_delta = ev->type == API_EVENT_DELTA;
    lab_note(&h->text, ev);
    return h->writer == NULL ? GW_OK : api_writer_put(h->writer, ev, &h->out);
}

/* Feeds the first `at` bytes at once and the others in pieces of step. */
static void parse(struct gw_span text, size_t at, size_t step, bool single, struct heard *h)
{
    const struct local_parse_config cfg = {tools, n_tools, single, says, "ID", on_event, h};
    struct local_parse *p = local_parse_new(&cfg);

    CHECK(local_parse_text(p, (struct gw_span){text.ptr, at}) == GW_OK);
    for (; at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        if (local_parse_text(p, (struct gw_span){text.ptr + at, n}) != GW_OK)
            CHECK(false);
    }
    CHECK(local_parse_end(p) == GW_OK);
    gw_buf_printf(&h->text, "%u", local_parse_calls(p));
    local_parse_free(p);
}

static bool gives_one(struct gw_span text, size_t at, size_t step, bool single, const char *want)
{
    struct heard h = {0};
    bool ok;

    parse(text, at, step, single, &h);
    ok = gw_span_is(gw_buf_span(&h.text), want);
    if (!ok)
        fprintf(stderr, "  cut at %zu, pieces of %zu\n  got  %s\n  want %s\n", at, step, h.text.ptr,
                want);
    gw_buf_fini(&h.text);
    return ok;
}

/* The events of that text, whole, a byte at a time, and in two pieces cut anywhere. */
static bool gives_as(const char *text, bool single, const char *want)
{
    struct gw_span s = gw_span_str(q(text));

    want = q(want);
    if (!gives_one(s, s.len, 1, single, want) || !gives_one(s, 0, 1, single, want))
        return false;
    for (size_t at = 1; at < s.len; at++)
        if (!gives_one(s, at, s.len, single, want))
            return false;
    return true;
}

static bool gives(const char *text, const char *want)
{
    return gives_as(text, false, want);
}

/* It is no call: the text as it is. */
static bool stays_text(const char *text)
{
    struct gw_buf want = {0};
    bool ok;

    gw_buf_printf(&want, "0.0:text[ %s ] 0", text);
    ok = gives(text, want.ptr);
    gw_buf_fini(&want);
    return ok;
}

#define CALL(object) "<tool_call>\n" object "\n</tool_call>"

static void test_calls(void)
{
    CHECK(gives(CALL("{'name': 'f', 'arguments': {'a' : [1.0, {'b':'}'}]}}"),
                "0.0:tool(call_ID_0,f)[ {'a' : [1.0, {'b':'}'}]} ] 1"));
    CHECK(gives(" \n" CALL("{'arguments':{},'name':'get.it'}") "\n\n" CALL("{'name':'f'}") " \n",
                "0.0:tool(call_ID_0,get.it)[ {} ] 0.1:tool(call_ID_1,f)[ {} ] 2"));
    CHECK(
        gives("Let me \xC3\xBC <b>see</b>.\n" CALL("{'name':'f','arguments':null}") "\n Done. ",
              "0.0:text[ Let me \xC3\xBC <b>see</b>.\n ] 0.1:tool(call_ID_0,f)[ {} ] 0.2:text[ \n "
              "Done.  ] 1"));
    CHECK(gives("<tool_call>{'name':'f','arguments':'{\\u0022a\\u0022: "
                "\\u0022\\u00e9\\u0022}'}</tool_call>",
                "0.0:tool(call_ID_0,f)[ {\"a\": \"\xC3\xA9\"} ] 1"));
    CHECK(gives(
        "<tool_call>{'name':'\\u0066','arguments':{'x':'</tool_call>\\'<tool_call>'}}</tool_call>",
        "0.0:tool(call_ID_0,f)[ {'x':'</tool_call>\\'<tool_call>'} ] 1"));
    CHECK(gives("<tool_call>{'name':'\\u0066','arguments':{'x':'</tool_call>\\\\'}}</tool_call>",
                "0.0:tool(call_ID_0,f)[ {'x':'</tool_call>\\\\'} ] 1"));
    /* The end of the answer ends a complete object. */
    CHECK(gives("<tool_call>{'name':'f','arguments':{}}", "0.0:tool(call_ID_0,f)[ {} ] 1"));
    CHECK(
        gives("<tool_call>{'name':'f','arguments':{}} \n</tool_", "0.0:tool(call_ID_0,f)[ {} ] 1"));
    /* Every try is judged alone. */
    CHECK(gives("<tool_call>no <tool_call>{'name':'f'}</tool_call>",
                "0.0:text[ <tool_call>no  ] 0.1:tool(call_ID_0,f)[ {} ] 1"));
    CHECK(gives("<<tool_call<tool_call>{'name'<tool_call>{'name':'f'}</tool_call>",
                "0.0:text[ <<tool_call<tool_call>{'name' ] 0.1:tool(call_ID_0,f)[ {} ] 1"));
    CHECK(gives(CALL("{'name':'f'}") " " CALL("{'name':'g'}") " " CALL("{'name':'f'}"),
                "0.0:tool(call_ID_0,f)[ {} ] 0.1:text[  " CALL(
                    "{'name':'g'}") "  ] 0.2:tool(call_ID_1,f)[ {} ] 2"));
}

#define BAR        "\xEF\xBD\x9C"
#define LOW        "\xE2\x96\x81"
#define DEEP(word) "<" BAR "tool" LOW word BAR ">"
#define F_CALL     "0.0:tool(call_ID_0,f)[ {'a':1} ] "
#define BOTH       F_CALL "0.1:tool(call_ID_1,get.it)[ {'b':[2]} ] 2"

/* Forms of other models, at the end of an answer. */
static void test_forms(void)
{
    says = ENGINE_SAYS_LLAMA;
    CHECK(gives("{'name': 'f', 'parameters': {'a':1}}", F_CALL "1"));
    CHECK(gives(
        " \n<|python_tag|>{'name': 'f', 'parameters': {'a':1}}; {'name':'get.it','parameters':{"
        "'b':[2]}}",
        BOTH));
    CHECK(gives("{'type':'function','name':'f','parameters':{'a':1}}", F_CALL "1"));
    CHECK(gives(CALL("{'name':'f','arguments':{'a':1}}"), F_CALL "1"));
    CHECK(stays_text("{'name': 'g', 'parameters': {'a':1}}"));
    CHECK(stays_text("{'name': 'f', 'parameters': {'a':1}} and so on"));
    CHECK(stays_text("{'name': 'f', 'parameters': {'a':1"));
    CHECK(stays_text("{'city': {'name':'f'}}") && stays_text("{") && stays_text("{ 'na"));
    CHECK(stays_text("Say {'name': 'f', 'parameters': {'a':1}}"));
    CHECK(stays_text("<|python_tag|>print(1)") && stays_text("<|python_ta") && stays_text("<|<|"));
    says = ENGINE_SAYS_MISTRAL;
    CHECK(gives("[TOOL_CALLS] [{'name':'f','arguments':{'a':1},'id':'123456789'},{'name':'get.it',"
                "'arguments':{'b':[2]}}]",
                BOTH));
    CHECK(gives("[TOOL_CALLS]f[ARGS]{'a':1}[TOOL_CALLS]get.it[CALL_ID]12345[ARGS]{'b':[2]}", BOTH));
    CHECK(gives("[TOOL_CALLS]f{'a':1}", F_CALL "1"));
    CHECK(gives("I look. [TOOL_CALLS][{'name':'f','arguments':{'a':1}}]\n",
                "0.0:text[ I look.  ] 0.1:tool(call_ID_0,f)[ {'a':1} ] 1"));
    CHECK(stays_text("[TOOL_CALLS][{'name':'f','arguments':{'a':1}},]"));
    CHECK(stays_text("[TOOL_CALLS]f[ARGS]{'a':") && stays_text("[TOOL_CALLS]") &&
          stays_text("[[TOOL_CALL [T]") && stays_text("[TOOL_CALLS]f[ARGS]{a:1}"));
    says = ENGINE_SAYS_DEEPSEEK;
    CHECK(gives(DEEP("calls" LOW "begin") DEEP("call" LOW "begin") "function" DEEP(
                    "sep") "f\n```json\n"
                           "{'a':1}\n```" DEEP("call" LOW "end") "\n" DEEP(
                               "call" LOW
                               "begin") "function" DEEP("sep") "get.it\n```json\n{'b':[2]}\n``"
                                                               "`" DEEP("call" LOW "end")
                                                                   DEEP("calls" LOW "end"),
                BOTH));
    CHECK(gives(DEEP("calls" LOW "begin")
                    DEEP("call" LOW "begin") "f" DEEP("sep") "{'a':1}" DEEP("call" LOW "end") DEEP(
                        "call" LOW "begin") "get.it" DEEP("sep") "{'b':[2]}" DEEP("call" LOW "end")
                        DEEP("calls" LOW "end"),
                BOTH));
    CHECK(stays_text(DEEP("calls" LOW "begin") "f"));
    CHECK(stays_text(DEEP("call" LOW "begin") "g" DEEP("sep") "{'a':1}" DEEP("call" LOW "end")));
    says = ENGINE_SAYS_PHI;
    CHECK(
        gives("functools[{'name':'f','arguments':{'a':1}},{'name':'get.it','arguments':{'b':[2]}}]",
              BOTH));
    CHECK(gives("<|tool_call|>[{'name':'f','arguments':{'a':1}}]<|/tool_call|>", F_CALL "1"));
    CHECK(stays_text("functools are nice") && stays_text("functools[1]"));
    says = ENGINE_SAYS_GEMMA;
    CHECK(gives("<start_function_call>call:f{a:1}<end_function_call>", F_CALL "1"));
    CHECK(gives("<start_function_call>call:f{a:1}<end_function_call><start_function_call>call:get."
                "it{b:[2]}",
                BOTH));
    CHECK(gives(
        "So: <start_function_call>call:f{ s : <escape>a, {b}: \"c\\n<escape>, "
        "l:[<escape><escape>,1.5,"
        "{k:true}], o:{n:null}, e:{} }<end_function_call>",
        "0.0:text[ So:  ] 0.1:tool(call_ID_0,f)[ {'s':'a, {b}: \\\"c\\\\n','l':['',1.5,{'k':true}],"
        "'o':{'n':null},'e':{}} ] 1"));
    CHECK(stays_text("<start_function_call>call:g{a:1}<end_function_call>"));
    CHECK(stays_text("<start_function_call>call:f{a:1") && stays_text("<start_function_call>f{}"));
    CHECK(stays_text("<start_function_call>call:f{a:b}") &&
          stays_text("<start_function_call>call:f{a}"));
    CHECK(stays_text("<start_function_call>call:f{a:<escape>b}") &&
          stays_text("<start_fun <start_"));
    CHECK(stays_text("<start_function_call>call:f{a:1,a:2}") &&
          stays_text("<start_function_call>call:f{,}"));
    CHECK(stays_text("<start_function_call>call:f{a:[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}"));
    says = ENGINE_SAYS_MISTRAL | ENGINE_SAYS_LLAMA | ENGINE_SAYS_DEEPSEEK | ENGINE_SAYS_PHI |
           ENGINE_SAYS_GEMMA;
    CHECK(stays_text("All of it is <text> [as] {it} is, functional."));
    n_tools = 0; /* nobody asked for calls */
    CHECK(stays_text("[TOOL_CALLS][{'name':'f','arguments':{'a':1}}]"));
    n_tools = 2;
    says = 0;
    CHECK(stays_text("[TOOL_CALLS][{'name':'f','arguments':{'a':1}}]"));
    says = ENGINE_SAYS_MISTRAL;
    CHECK(
        gives_as("[TOOL_CALLS]f[ARGS]{'a':1}[TOOL_CALLS]get.it[ARGS]{'b':[2]}", true, F_CALL "1"));
    says = 0;
}

#define THOUGHT(text) "0.0:reasoning[ " text " ] "

static void test_thoughts(void)
{
    for (n_tools = 0; n_tools <= 2; n_tools += 2) {
        says = ENGINE_SAYS_THINK;
        CHECK(gives("<think>\nHm, <b>\n\nyes.\n</think>\n\nIt is 4.\n",
                    THOUGHT("Hm, <b>\n\nyes.") "0.1:text[ It is 4.\n ] 0"));
        CHECK(gives("\n <think>a</think>b", THOUGHT("a") "0.1:text[ b ] 0"));
        CHECK(gives("<think>\n\n</think>\n\nb", "0.0:text[ b ] 0")); /* it did not think */
        CHECK(gives("<think>a < b </thin </thi</think>c",
                    THOUGHT("a < b </thin </thi") "0.1:text[ c ] 0"));
        CHECK(gives("<think>cut off ", THOUGHT("cut off ") "0"));
        CHECK(gives("<think>a</think>", THOUGHT("a") "0"));
        CHECK(gives("<think>a</think>b <think>c</think>",
                    THOUGHT("a") "0.1:text[ b <think>c</think> ] 0"));
        CHECK(stays_text("<thin ice> </think>") && stays_text("  <th") &&
              stays_text("It is <think>"));
        says = ENGINE_SAYS_THINK | ENGINE_SAYS_THINKING;
        CHECK(gives("Hm.\n</think>\n4", THOUGHT("Hm.") "0.1:text[ 4 ] 0"));
        CHECK(gives("\n</think>\n4", "0.0:text[ 4 ] 0"));
        says = 0;
        CHECK(stays_text("<think>a</think>b"));
    }
    n_tools = 2;
    says = ENGINE_SAYS_THINK | ENGINE_SAYS_LLAMA;
    CHECK(gives("<think>which?</think>\n\n" CALL("{'name':'f','arguments':{'a':1}}"),
                THOUGHT("which?") "0.1:tool(call_ID_0,f)[ {'a':1} ] 1"));
    CHECK(gives("<think>which?</think>{'name':'f','parameters':{'a':1}}",
                THOUGHT("which?") "0.1:tool(call_ID_0,f)[ {'a':1} ] 1"));
    says = 0;
}

static void test_texts(void)
{
    CHECK(gives("", "0.0:text[ ] 0"));
    CHECK(stays_text("Hello"));
    CHECK(stays_text("  \n\n "));
    CHECK(stays_text("  hi <tool_cal"));
    CHECK(stays_text(" a < b <to <tool_call"));
    CHECK(stays_text(" " CALL("{'name':'nobody','arguments':{}}") "\n"));
    CHECK(stays_text(CALL("{'name':'f','arguments':[]}")));
    CHECK(stays_text(CALL("{'name':'f','arguments':7}")));
    CHECK(stays_text(CALL("{'name':'f','arguments':'[]'}")));
    CHECK(stays_text(CALL("{'name':'f','arguments':'{} {}'}")));
    CHECK(stays_text(CALL("{'name':5}")));
    CHECK(stays_text(CALL("{'arguments':{}}")));
    CHECK(stays_text(CALL("{}")));
    CHECK(stays_text(CALL("{'name':'f','name':'f'}"))); /* which one? */
    CHECK(stays_text(CALL("{'name':'f',}")));
    CHECK(stays_text(CALL("{'name':'f']")));
    CHECK(stays_text(CALL("{'name':'f'}}")));
    CHECK(stays_text(CALL("[{'name':'f'}]")));
    CHECK(stays_text(CALL("{'name':'f','arguments':{'a':'two\nlines'}}")));
    CHECK(stays_text(CALL("{'name':'f','arguments':{'a':'\xFF'}}")));
    CHECK(stays_text("<tool_call></tool_call>"));
    CHECK(stays_text("<tool_call>{'name':'f','arguments':{"));
    CHECK(stays_text("<tool_call>{'name':'f','arguments':{'a':'\\"));
    CHECK(stays_text("</tool_call><tool_call>"));
    CHECK(stays_text("<tool_call>{'name':'f'}</tool_calls>"));
}

static void test_single(void)
{
    CHECK(gives_as("a" CALL("{'name':'f'}") " " CALL("{'name':'f'}") " more", true,
                   "0.0:text[ a ] 0.1:tool(call_ID_0,f)[ {} ] 1"));
    CHECK(gives_as("a" CALL("{'name':'g'}") CALL("{'name':'f'}"), true,
                   "0.0:text[ a" CALL("{'name':'g'}") " ] 0.1:tool(call_ID_0,f)[ {} ] 1"));
}

/* n times the text, after prefix: bounded, and nothing is lost. */
static void check_flood(const char *prefix, const char *text, size_t n)
{
    struct gw_buf in = {0};
    struct heard h = {0};

    gw_buf_adds(&in, q(prefix));
    for (size_t i = 0; i < n; i++)
        gw_buf_adds(&in, q(text));
    parse(gw_buf_span(&in), 0, 7, false, &h);
    CHECK(h.text.len == in.len + strlen("0.0:text[  ] 0") &&
          memcmp(h.text.ptr + strlen("0.0:text[ "), in.ptr, in.len) == 0);
    gw_buf_fini(&in);
    gw_buf_fini(&h.text);
}

static void test_floods(void)
{
    check_flood("", " ", 200000);
    check_flood("<tool_call>", "\n", 200000);
    check_flood("<tool_call>{'name':'f','arguments':", "{'a':", 50000);
    check_flood("<tool_call>{'a':'", "<tool_call>", 20000);
    check_flood("<tool_call>{'name':'f'}", " ", 200000);
    check_flood("", "<tool_call>{'name':", 20000);
}

/* What is text is given at once. */
static void test_at_once(void)
{
    struct heard h = {0};
    const struct local_parse_config cfg = {tools, 2, false, 0, "ID", on_event, &h};
    struct local_parse *p = local_parse_new(&cfg);

    CHECK(local_parse_text(p, GW_SPAN("Hi \n")) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&h.text), "0.0:text[ Hi \n "));
    CHECK(local_parse_text(p, GW_SPAN("a <to")) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&h.text), "0.0:text[ Hi \na  "));
    CHECK(local_parse_text(p, GW_SPAN("p>")) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&h.text), "0.0:text[ Hi \na <top> "));
    CHECK(local_parse_end(p) == GW_OK);
    local_parse_free(p);
    gw_buf_fini(&h.text);
}

/* ---- every dialect ------------------------------------------------------------------------ */

static const struct {
    enum api_dialect dialect;
    const char *whole, *stream; /* parts of what the client gets */
} said[] = {
    {API_CHAT,
     "'content':'Hm.','refusal':null,'tool_calls':[{'id':'call_ID_0','type':'function','function':{"
     "'name':'f','arguments':'{\\'a\\': 1.0}'}},{'id':'call_ID_1','type':'function','function':{"
     "'name':'get.it','arguments':'{}'}}]},'logprobs':null,'finish_reason':'tool_calls'",
     "'finish_reason':'tool_calls'"},
    {API_RESPONSES, "'call_id':'call_ID_0'", "event: response.function_call_arguments.done"},
    {API_ANTHROPIC,
     "{'type':'text','text':'Hm.'},{'type':'tool_use','id':'call_ID_0','name':'f','input':{'a': "
     "1.0}}",
     "'stop_reason':'tool_use'"},
    {API_GEMINI, "'functionCall':{'name':'f','id':'call_ID_0','args':{'a': 1.0}}",
     "'functionCall':{'name':'f','id':'call_ID_0','args':{'a': 1.0}}"},
};

static void check_dialect(unsigned i, bool stream)
{
    const char *text = "Hm." CALL("{'name':'f','arguments':{'a': 1.0}}") CALL("{'name':'get.it'}");
    const char *want = q(stream ? said[i].stream : said[i].whole);
    const struct api_writer_config cfg = {.dialect = said[i].dialect,
                                          .stream = stream,
                                          .id = "01TEST",
                                          .created = 1700000000,
                                          .model = GW_SPAN("m")};
    struct heard h = {.writer = api_writer_new(&cfg)};
    struct api_event ev = {.type = API_EVENT_START};

    CHECK(on_event(&h, &ev) == GW_OK);
    parse(gw_span_str(q(text)), 0, 5, false, &h);
    ev = (struct api_event){.type = API_EVENT_FINISH, .finish = API_FINISH_TOOL};
    CHECK(on_event(&h, &ev) == GW_OK);
    ev = (struct api_event){.type = API_EVENT_END};
    CHECK(on_event(&h, &ev) == GW_OK);
    gw_buf_addc(&h.out, '\n'); /* so that there is a text in any case */
    if (!CHECK(gw_buf_ok(&h.out) && strstr(h.out.ptr, want) != NULL))
        fprintf(stderr, "  got  %s\n  want %s\n", h.out.ptr, want);
    CHECK(strstr(h.out.ptr, "<tool_call>") == NULL && strstr(h.out.ptr, "get.it") != NULL);
    api_writer_free(h.writer);
    gw_buf_fini(&h.text);
    gw_buf_fini(&h.out);
}

static void test_dialects(void)
{
    for (unsigned i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        check_dialect(i, false);
        check_dialect(i, true);
    }
}

int main(void)
{
    test_definitions();
    test_choice();
    test_conversation();
    test_calls();
    test_forms();
    test_thoughts();
    test_texts();
    test_single();
    test_floods();
    test_at_once();
    test_dialects();
    return test_done();
}
