/* tests/unit/proxy/test_local_python.c - calls that Gemma 2 and 3 write as Python, however the text is cut: what becomes a call,
 * and what stays text. In what is expected ' stands for "; what the model writes is as it is. */
#include "engine/engine.h"
#include "proxy/local/local_python.h"
#include "proxy/local/local_tools.h"
#include "tests/unit/proxy/api_dump.h"

static const struct api_tool tools[] = {
    {.name = {"f", 1}}, {.name = {"get.it", 6}}, {.name = {"print", 5}}};

struct heard {
    struct gw_buf text;
    bool in_delta;
};

static enum gw_status on_event(void *ctx, const struct api_event *ev)
{
    struct heard *h = ctx;

    if (ev->type == API_EVENT_DELTA && h->in_delta)
        h->text.len--; /* the space behind the piece before */
    h->in_delta = ev->type == API_EVENT_DELTA;
    lab_note(&h->text, ev);
    return GW_OK;
}

static unsigned n_tools = 2;

/* The first `at` bytes at once, the others in pieces of step. */
static bool gives_one(struct gw_span text, size_t at, size_t step, struct gw_span want)
{
    struct heard h = {0};
    const struct local_parse_config cfg = {
        tools, n_tools, false, ENGINE_SAYS_PYTHON | ENGINE_SAYS_GEMMA, "ID", on_event, &h};
    struct local_parse *p = local_parse_new(&cfg);
    bool ok = local_parse_text(p, (struct gw_span){text.ptr, at}) == GW_OK;

    for (; ok && at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        ok = local_parse_text(p, (struct gw_span){text.ptr + at, n}) == GW_OK;
    }
    ok = ok && local_parse_end(p) == GW_OK && gw_span_eq(gw_buf_span(&h.text), want);
    if (!ok)
        fprintf(stderr, "  cut at %zu, pieces of %zu\n  got  %s\n  want %s\n", at, step, h.text.ptr,
                want.ptr);
    local_parse_free(p);
    gw_buf_fini(&h.text);
    return ok;
}

/* The text's events, whole, a byte at a time, and in two pieces cut anywhere. */
static bool gives(const char *text, const char *want)
{
    struct gw_span s = gw_span_str(text), w = gw_span_str(want);

    if (!gives_one(s, s.len, 1, w) || !gives_one(s, 0, 1, w))
        return false;
    for (size_t at = 1; at < s.len; at++)
        if (!gives_one(s, at, s.len, w))
            return false;
    return true;
}

#define FENCE(code) "```tool_code\n" code "\n```"

/* One call of f with those arguments, in a fence and as a list. */
static bool calls(const char *arguments, const char *json)
{
    struct gw_buf text = {0}, list = {0}, want = {0};
    bool ok;

    gw_buf_printf(&text, FENCE("f(%s)"), arguments);
    gw_buf_printf(&list, "[f(%s)]", arguments);
    gw_buf_printf(&want, "0.0:tool(call_ID_0,f)[ %s ] ", q(json));
    ok = gives(text.ptr, want.ptr) && gives(list.ptr, want.ptr);
    gw_buf_fini(&text);
    gw_buf_fini(&list);
    gw_buf_fini(&want);
    return ok;
}

static bool stays_text(const char *text)
{
    struct gw_buf want = {0};
    bool ok;

    gw_buf_printf(&want, "0.0:text[ %s ] ", text);
    ok = gives(text, want.ptr);
    gw_buf_fini(&want);
    return ok;
}

/* These are no arguments that a call can have. */
static bool refuses(const char *arguments)
{
    struct gw_buf text = {0};
    bool ok;

    gw_buf_printf(&text, FENCE("f(%s)"), arguments);
    ok = stays_text(text.ptr);
    gw_buf_fini(&text);
    return ok;
}

#define F_CALL "0.0:tool(call_ID_0,f)[ {\"a\":1} ] "
#define G_CALL "0.1:tool(call_ID_1,get.it)[ {\"b\":[2]} ] "

static void test_blocks(void)
{
    CHECK(gives(FENCE("f(a=1)"), F_CALL));
    CHECK(gives(FENCE("print(f(a=1))"), F_CALL));
    CHECK(gives(FENCE("f(a=1)\nget.it(b=[2])"), F_CALL G_CALL));
    CHECK(gives(FENCE("f(a=1); get.it(b=[2]);"), F_CALL G_CALL));
    CHECK(gives(FENCE("[f(a=1), get.it(b=[2])]"), F_CALL G_CALL));
    CHECK(gives(FENCE("f(a=1)") "\n" FENCE("get.it(b=[2])") "\n", F_CALL G_CALL));
    CHECK(gives("```tool_code\nf(a=1)", F_CALL)); /* the answer may end with it */
    CHECK(gives("```tool_code f(a=1)```", F_CALL));
    CHECK(gives(FENCE("# first\nf( # of one\n  a = 1,\n)  # done\n\n"), F_CALL));
    CHECK(gives("I look.\n" FENCE("f(a=1)"),
                "0.0:text[ I look.\n ] 0.1:tool(call_ID_0,f)[ {\"a\":1} ] "));
    CHECK(gives("[f(a=1), get.it(b=[2])]", F_CALL G_CALL));
    CHECK(gives(" \n[ f (a=1) ]\n", F_CALL));
}

static void test_no_blocks(void)
{
    CHECK(stays_text(FENCE("g(a=1)"))); /* nobody's */
    CHECK(stays_text(FENCE("f(a=1)\ng(a=1)")));
    CHECK(stays_text(FENCE("")) && stays_text("```tool_code") && stays_text("```tool_cod"));
    CHECK(stays_text("```tool_codex\nf(a=1)\n```") && stays_text("```python\nf(a=1)\n```"));
    CHECK(stays_text("` `` ``` ```tool ```to"));
    CHECK(stays_text(FENCE("f(a=1)") " That is it."));
    CHECK(stays_text(FENCE("x = f(a=1)")) && stays_text(FENCE("import os")));
    CHECK(stays_text(FENCE("f(a=1) get.it()")) && stays_text(FENCE("f(a=1) + f(a=1)")));
    CHECK(stays_text(FENCE("f(a=1).x")) && stays_text(FENCE("f")) && stays_text(FENCE("f(a=1")));
    CHECK(stays_text(FENCE("print(f(a=1)")) && stays_text(FENCE("print(1)")) &&
          stays_text(FENCE("print(f(a=1), f(a=1))")) && stays_text(FENCE("print(print(f()))")));
    CHECK(stays_text(FENCE("[f(a=1) f(a=1)]")) && stays_text(FENCE("[f(a=1)")) &&
          stays_text(FENCE("[]")) && stays_text(FENCE("[[f()]]")));
    CHECK(stays_text("[f(a=1)") && stays_text("[f(a=1)] and so on") && stays_text("[") &&
          stays_text("[1] says so") && stays_text("[f]") && stays_text("[]") &&
          stays_text("[g(a=1)]") && stays_text("[ f "));
    CHECK(stays_text("See [f(a=1)]")); /* a list begins the answer */
    CHECK(stays_text("[a_name_that_is_longer_than_any_tool_has_and_so_nothing_waits_for_its_end"));
    n_tools = 0; /* nobody asked for calls */
    CHECK(stays_text(FENCE("f(a=1)")) && stays_text("[f(a=1)]"));
    n_tools = 3; /* a tool may be called print */
    CHECK(gives(FENCE("print(a=1)"), "0.0:tool(call_ID_0,print)[ {\"a\":1} ] "));
    CHECK(gives(FENCE("print()"), "0.0:tool(call_ID_0,print)[ {} ] "));
    n_tools = 2;
}

static void test_values(void)
{
    CHECK(calls("", "{}") && calls(" \n ", "{}"));
    CHECK(calls("a=True, b=False, c=None", "{'a':true,'b':false,'c':null}"));
    CHECK(calls("a=true, b=false, c=null,", "{'a':true,'b':false,'c':null}"));
    CHECK(calls("a=0, b=-1, c=+2, d=1_000", "{'a':0,'b':-1,'c':2,'d':1000}"));
    CHECK(calls("a=.5, b=-1., c=1.50, d=1e5, e=1E-3, f=2.e+1",
                "{'a':0.5,'b':-1.0,'c':1.50,'d':1e5,'e':1e-3,'f':2.0e1}"));
    CHECK(calls("a=[], b=[1, [2, 3],], c=()", "{'a':[],'b':[1,[2,3]],'c':[]}"));
    CHECK(calls("a=(1, 2), b=(1,), c=(1), d=((((1),)))", "{'a':[1,2],'b':[1],'c':1,'d':[1]}"));
    CHECK(calls("a={}, b={'k': {\"l\": [1, {'m': None}]}, 'n': 2,}",
                "{'a':{},'b':{'k':{'l':[1,{'m':null}]},'n':2}}"));
    CHECK(calls("from=1, _x1=2, \xC3\xBC=3", "{'from':1,'_x1':2,'\xC3\xBC':3}"));
    CHECK(refuses("1") && refuses("x") && refuses("a") && refuses("a=") && refuses("a=x"));
    CHECK(refuses("a=1, a=2") && refuses("a={'k': 1, 'k': 2}"));
    CHECK(refuses(",") && refuses("a=1,,b=2") && refuses("a=1 b=2") && refuses("a.b=1") &&
          refuses("a==1") && refuses("1a=1") && refuses("*a") && refuses("**{'a': 1}"));
    CHECK(refuses("a=0x1F") && refuses("a=007") && refuses("a=1__0") && refuses("a=1_") &&
          refuses("a=2j") && refuses("a=1.2.3") && refuses("a=.") && refuses("a=-") &&
          refuses("a=1e") && refuses("a=--1") && refuses("a=1+1") && refuses("a=_1"));
    CHECK(refuses("a=[1") && refuses("a=[1}") && refuses("a=[,]") && refuses("a=(,)") &&
          refuses("a={1: 2}") && refuses("a={'k'}") && refuses("a={'k': }") &&
          refuses("a={1, 2}") && refuses("a=[i for i in x]") && refuses("a=f()"));
    CHECK(refuses("a=NaN") && refuses("a=inf") && refuses("a=Truee") && refuses("a=None.x"));
}

static void test_strings(void)
{
    CHECK(calls("a='', b=\"\"", "{'a':'','b':''}"));
    CHECK(calls("a='Oslo', b=\"S\xC3\xA3o\"", "{'a':'Oslo','b':'S\xC3\xA3o'}"));
    CHECK(calls("a='f(b=1)', b=\"[)```\"", "{'a':'f(b=1)','b':'[)```'}"));
    CHECK(calls("a='say \"x\"', b=\"say \\\"x\\\"\"", "{'a':'say \\'x\\'','b':'say \\'x\\''}"));
    CHECK(calls("a='\\n\\t\\r\\b\\f\\\\'", "{'a':'\\n\\t\\r\\b\\f\\\\'}"));
    CHECK(
        calls("a='\\x41\\xe9\\u20ac\\U0001F600'", "{'a':'A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80'}"));
    CHECK(calls("a='\\ud83d\\ude00\\x0a\\x22'", "{'a':'\xF0\x9F\x98\x80\\n\\''}"));
    CHECK(calls("a='C:\\dir\\*'", "{'a':'C:\\\\dir\\\\*'}")); /* no escapes: Python keeps them */
    CHECK(calls("a=r'\\d+\\n', b=R\"\\d\", c=u'x'", "{'a':'\\\\d+\\\\n','b':'\\\\d','c':'x'}"));
    CHECK(calls("a='''x\n\"y\" ''', b=\"\"\"\"q\" \"\"\"", "{'a':'x\\n\\'y\\' ','b':'\\'q\\' '}"));
    CHECK(calls("a='x' \"y\"\n  r'\\z', b=('p' 'q')", "{'a':'xy\\\\z','b':'pq'}"));
    CHECK(calls("a='x\\\ny'", "{'a':'xy'}")); /* a line goes on */
    CHECK(refuses("a='x") && refuses("a=\"x'") && refuses("a='x\ny'") && refuses("a='''x''"));
    CHECK(refuses("a='\\") && refuses("a='\\x4'") && refuses("a='\\u12'") &&
          refuses("a='\\U00110000'") && refuses("a='\\ud83d'") && refuses("a='\\ude00'") &&
          refuses("a='\\ud83d\\u0041'") && refuses("a='\\N{DASH}'"));
    CHECK(refuses("a='\\0'") && refuses("a='\\a'") && refuses("a='\\x01'") && refuses("a='\x01'"));
    CHECK(refuses("a=b'x'") && refuses("a=f'{x}'") && refuses("a=rb'x'") && refuses("a='x'*9"));
    CHECK(refuses("a='\xFF'")); /* no UTF-8 */
}

static void repeat(struct gw_buf *out, const char *text, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        gw_buf_adds(out, text);
}

/* Depth, length and the number of calls are bounded. */
static void test_bounds(void)
{
    struct gw_buf deep = {0}, want = {0}, flood = {0};

    gw_buf_adds(&deep, "a=");
    repeat(&deep, "[", 15);
    repeat(&deep, "]", 15);
    gw_buf_printf(&want, "{'a':%s}", deep.ptr + 2);
    CHECK(calls(deep.ptr, want.ptr));
    gw_buf_clear(&deep);
    repeat(&deep, "[", 60000); /* recursion ends long before that */
    gw_buf_printf(&flood, "```tool_code\nf(a=%s", deep.ptr);
    gw_buf_clear(&want);
    gw_buf_printf(&want, "0.0:text[ %s ] ", flood.ptr);
    CHECK(gives_one(gw_buf_span(&flood), 0, 4096, gw_buf_span(&want)));
    gw_buf_clear(&flood);
    gw_buf_clear(&want);
    gw_buf_adds(&flood, "```tool_code\n");
    repeat(&flood, "f()\n", 129); /* one more than an answer may have */
    gw_buf_printf(&want, "0.0:text[ %s ] ", flood.ptr);
    CHECK(gives_one(gw_buf_span(&flood), 0, 4096, gw_buf_span(&want)));
    gw_buf_clear(&flood);
    gw_buf_clear(&want);
    gw_buf_adds(&flood, "```tool_code\nf(a='");
    repeat(&flood, "0123456789abcdef", LOCAL_TOOLS_MAX_CALL / 16);
    gw_buf_adds(&flood, "')");
    gw_buf_printf(&want, "0.0:text[ %s ] ", flood.ptr);
    CHECK(gives_one(gw_buf_span(&flood), 0, 4096, gw_buf_span(&want)));
    gw_buf_fini(&deep);
    gw_buf_fini(&want);
    gw_buf_fini(&flood);
}

int main(void)
{
    test_blocks();
    test_no_blocks();
    test_values();
    test_strings();
    test_bounds();
    return test_done();
}
