/* proxy/local/local_calls.c - see local_calls.h. */
#include "proxy/local/local_calls.h"

#include "engine/engine.h"
#include "proxy/api/api_private.h"
#include "proxy/local/local_python.h"

#define BAR         "\xEF\xBD\x9C"
#define BLOCK       "\xE2\x96\x81"
#define CALLS_BEGIN "<" BAR "tool" BLOCK "calls" BLOCK "begin" BAR ">"
#define CALLS_END   "<" BAR "tool" BLOCK "calls" BLOCK "end" BAR ">"
#define CALL_BEGIN  "<" BAR "tool" BLOCK "call" BLOCK "begin" BAR ">"
#define CALL_END    "<" BAR "tool" BLOCK "call" BLOCK "end" BAR ">"
#define CALL_SEP    "<" BAR "tool" BLOCK "sep" BAR ">"
#define PYTHON_TAG  "<|python_tag|>"
#define TOOL_CALLS  "[TOOL_CALLS]"
#define FUNCTOOLS   "functools["
#define PHI_BEGIN   "<|tool_call|>"
#define PHI_END     "<|/tool_call|>"
#define GEMMA_BEGIN "<start_function_call>"
#define GEMMA_END   "<end_function_call>"
#define GEMMA_QUOTE "<escape>"

/* ---- one object ---------------------------------------------------------------------------- */

/* What a call's object says. */
struct call {
    struct gw_json_tok name, arguments;
};

/* Passes over a value and makes tok's end the value's. */
static bool pass_value(struct gw_json *json, struct gw_json_tok *tok)
{
    struct gw_json_tok t = *tok;

    if (t.type != GW_JSON_OBJECT_BEGIN && t.type != GW_JSON_ARRAY_BEGIN)
        return t.type != GW_JSON_ERROR;
    do {
        if (gw_json_next(json, &t) == GW_JSON_ERROR)
            return false;
    } while ((t.type != GW_JSON_OBJECT_END && t.type != GW_JSON_ARRAY_END) ||
             t.depth != tok->depth);
    tok->end = t.end;
    return true;
}

/* False: no strict JSON object. Members of other names mean nothing. */
static bool read_object(struct gw_json *json, struct gw_span text, struct call *out)
{
    struct gw_json_tok key, value;

    gw_json_start(json, text, NULL);
    if (gw_json_next(json, &key) != GW_JSON_OBJECT_BEGIN)
        return false;
    while (gw_json_next(json, &key) == GW_JSON_KEY) {
        (void)gw_json_next(json, &value);
        if (!pass_value(json, &value))
            return false;
        if (gw_span_is(key.raw, "name"))
            out->name = value;
        else if (gw_span_is(key.raw, "arguments") || gw_span_is(key.raw, "parameters"))
            out->arguments = value;
    }
    return key.type == GW_JSON_OBJECT_END && gw_json_next(json, &key) == GW_JSON_END;
}

/* The text of a string, in mem, which has room for raw. */
static struct gw_span decode(const struct gw_json_tok *tok, char *mem)
{
    return (struct gw_span){mem, gw_json_decode(tok->raw, mem)};
}

static const struct api_tool *find_tool(const struct api_tool *tools, unsigned n_tools,
                                        struct gw_span name)
{
    for (unsigned i = 0; i < n_tools; i++)
        if (gw_span_eq(tools[i].name, name))
            return &tools[i];
    return NULL;
}

struct local_call local_call_read(struct gw_json *json, const struct api_tool *tools,
                                  unsigned n_tools, struct gw_span text, char *mem)
{
    const struct local_call none = {NULL, {NULL, 0}};
    struct call call = {.name.type = GW_JSON_END, .arguments.type = GW_JSON_END};
    struct local_call out = none;

    if (!read_object(json, text, &call) || call.name.type != GW_JSON_STRING)
        return none;
    out.tool = find_tool(tools, n_tools, decode(&call.name, mem));
    switch (call.arguments.type) {
    case GW_JSON_OBJECT_BEGIN:
        out.arguments = (struct gw_span){text.ptr + call.arguments.start,
                                         call.arguments.end - call.arguments.start};
        return out;
    case GW_JSON_STRING:
        out.arguments = decode(&call.arguments, mem);
        return api_is_object(out.arguments) ? out : none;
    case GW_JSON_END: /* a tool without parameters */
    case GW_JSON_NULL:
        out.arguments = GW_SPAN("{}");
        return out;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_BEGIN:
    case GW_JSON_ARRAY_END:
    case GW_JSON_KEY:
    case GW_JSON_NUMBER:
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
    case GW_JSON_ERROR:
    default:
        return none;
    }
}

/* ---- markers ------------------------------------------------------------------------------- */

const char *local_calls_marker(unsigned forms, struct gw_span text, bool *whole)
{
    static const struct {
        unsigned form;
        const char *marker;
    } markers[] = {
        {ENGINE_SAYS_LLAMA, PYTHON_TAG},     {ENGINE_SAYS_MISTRAL, TOOL_CALLS},
        {ENGINE_SAYS_DEEPSEEK, CALLS_BEGIN}, {ENGINE_SAYS_DEEPSEEK, CALL_BEGIN},
        {ENGINE_SAYS_PHI, FUNCTOOLS},        {ENGINE_SAYS_PHI, PHI_BEGIN},
        {ENGINE_SAYS_GEMMA, GEMMA_BEGIN},    {ENGINE_SAYS_PYTHON, LOCAL_PYTHON_BEGIN},
    };

    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        struct gw_span marker = gw_span_str(markers[i].marker);

        if ((forms & markers[i].form) == 0 || !gw_span_starts(marker, text))
            continue;
        *whole = marker.len == text.len;
        return markers[i].marker;
    }
    return NULL;
}

/* ---- many ---------------------------------------------------------------------------------- */

struct reading {
    struct gw_json *json;
    const struct api_tool *tools;
    unsigned n_tools;
    struct gw_span text;
    size_t at;
    char *mem;
    struct local_call *out;
    unsigned n;
};

static void skip_space(struct reading *r)
{
    while (r->at < r->text.len && strchr(" \n\t\r", r->text.ptr[r->at]) != NULL &&
           r->text.ptr[r->at] != '\0')
        r->at++;
}

static bool take(struct reading *r, const char *what)
{
    struct gw_span w = gw_span_str(what);

    if (!gw_span_starts(gw_span_from(r->text, r->at), w))
        return false;
    r->at += w.len;
    return true;
}

/* The object that begins here, as far as its brackets say. */
static bool take_object(struct reading *r, struct gw_span *out)
{
    size_t from = r->at;
    unsigned depth = 0;
    bool string = false;

    if (from >= r->text.len || r->text.ptr[from] != '{')
        return false;
    for (; r->at < r->text.len; r->at++) {
        char c = r->text.ptr[r->at];

        if (string) {
            r->at += c == '\\' && r->at + 1 < r->text.len;
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            r->at++;
            *out = (struct gw_span){r->text.ptr + from, r->at - from};
            return true;
        }
    }
    return false;
}

static bool add(struct reading *r, struct local_call call)
{
    if (call.tool == NULL || r->n == LOCAL_CALLS_MAX)
        return false;
    r->out[r->n++] = call;
    return true;
}

static bool take_call(struct reading *r)
{
    struct gw_span object;

    skip_space(r);
    if (!take_object(r, &object))
        return false;
    return add(r, local_call_read(r->json, r->tools, r->n_tools, object,
                                  r->mem + (object.ptr - r->text.ptr)));
}

/* What is in front of the next of the bytes, without spaces around it. */
static struct gw_span take_until(struct reading *r, const char *ends)
{
    size_t from;
    struct gw_span name;

    skip_space(r);
    from = r->at;
    while (r->at < r->text.len && strchr(ends, r->text.ptr[r->at]) == NULL)
        r->at++;
    name = (struct gw_span){r->text.ptr + from, r->at - from};
    while (name.len != 0 && strchr(" \n\t\r", name.ptr[name.len - 1]) != NULL)
        name.len--;
    return name;
}

/* Arguments alone. */
static bool take_arguments(struct reading *r, struct gw_span name)
{
    struct local_call call = {find_tool(r->tools, r->n_tools, name), {NULL, 0}};

    skip_space(r);
    return take_object(r, &call.arguments) && api_is_object(call.arguments) && add(r, call);
}

/* Behind the "[" of a list. */
static bool take_list(struct reading *r)
{
    do {
        if (!take_call(r))
            return false;
        skip_space(r);
    } while (take(r, ","));
    return take(r, "]");
}

static bool read_llama(struct reading *r)
{
    do {
        if (!take_call(r))
            return false;
        skip_space(r);
    } while (take(r, ";") || (r->at < r->text.len && r->text.ptr[r->at] == '{'));
    return true;
}

static bool read_mistral(struct reading *r)
{
    skip_space(r);
    if (take(r, "["))
        return take_list(r);
    do {
        struct gw_span name = take_until(r, "[{");

        if (take(r, "[CALL_ID]"))
            (void)take_until(r, "[{");
        (void)take(r, "[ARGS]");
        if (!take_arguments(r, name))
            return false;
        skip_space(r);
    } while (take(r, TOOL_CALLS));
    return true;
}

/* Behind the first CALL_BEGIN. */
static bool read_deepseek(struct reading *r)
{
    do {
        struct gw_span name = take_until(r, "<");
        bool fenced;

        if (!take(r, CALL_SEP))
            return false;
        fenced = gw_span_is(name, "function") && r->at < r->text.len && r->text.ptr[r->at] != '{';
        if (fenced) {
            name = take_until(r, "\n");
            skip_space(r);
            fenced = take(r, "```json");
        }
        if (!take_arguments(r, name))
            return false;
        skip_space(r);
        if (fenced && !take(r, "```"))
            return false;
        skip_space(r);
        (void)take(r, CALL_END);
        skip_space(r);
    } while (take(r, CALL_BEGIN));
    (void)take(r, CALLS_END);
    return true;
}

/* ---- FunctionGemma's values: bare keys, strings between GEMMA_QUOTE, else as JSON ------------- */

enum { GEMMA_MAX_DEPTH = 16 };

/* JSON in what is left of mem. It takes at most twice the bytes of what it is made of: a key gets two quotes for its colon and
 * its value, a character of a string one backslash. */
struct rewriting {
    struct reading *r;
    char *out;
    size_t n;
};

static void put(struct rewriting *w, char c)
{
    w->out[w->n++] = c;
}

static bool put_text(struct rewriting *w, struct gw_span text)
{
    static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";

    put(w, '"');
    for (size_t i = 0; i < text.len; i++) {
        const char *known = memchr(from, text.ptr[i], sizeof(from) - 1);

        if (known == NULL && (unsigned char)text.ptr[i] < 0x20)
            return false;
        if (known != NULL) {
            put(w, '\\');
            put(w, to[known - from]);
        } else {
            put(w, text.ptr[i]);
        }
    }
    put(w, '"');
    return true;
}

static bool put_quoted(struct rewriting *w)
{
    struct gw_span rest = gw_span_from(w->r->text, w->r->at), text = rest;
    const char *end =
        rest.len == 0 ? NULL : memmem(rest.ptr, rest.len, GEMMA_QUOTE, sizeof(GEMMA_QUOTE) - 1);

    if (end == NULL)
        return false;
    text.len = (size_t)(end - rest.ptr);
    w->r->at += text.len + sizeof(GEMMA_QUOTE) - 1;
    return put_text(w, text);
}

static bool put_value(struct rewriting *w, unsigned depth);

/* Behind the opening bracket. */
static bool put_members(struct rewriting *w, unsigned depth, char open)
{
    const char *close = open == '{' ? "}" : "]";
    bool any = false;

    put(w, open);
    skip_space(w->r);
    while (!take(w->r, close)) {
        if (any && !take(w->r, ","))
            return false;
        if (any)
            put(w, ',');
        any = true;
        if (open == '{') {
            struct gw_span key = take_until(w->r, ":{}[],<");

            if (key.len == 0 || !take(w->r, ":") || !put_text(w, key))
                return false;
            put(w, ':');
        }
        if (!put_value(w, depth + 1))
            return false;
        skip_space(w->r);
    }
    put(w, *close);
    return true;
}

static bool put_value(struct rewriting *w, unsigned depth)
{
    struct gw_span word;

    skip_space(w->r);
    if (depth > GEMMA_MAX_DEPTH)
        return false;
    if (take(w->r, GEMMA_QUOTE))
        return put_quoted(w);
    if (take(w->r, "{"))
        return put_members(w, depth, '{');
    if (take(w->r, "["))
        return put_members(w, depth, '[');
    word = take_until(w->r, ",{}[]:<");
    memcpy(w->out + w->n, word.ptr, word.len);
    w->n += word.len;
    return word.len != 0;
}

/* Behind the first GEMMA_BEGIN. */
static bool read_gemma(struct reading *r)
{
    struct rewriting w = {.r = r, .out = r->mem};

    do {
        struct local_call call = {NULL, {w.out + w.n, 0}};
        size_t from = w.n;

        skip_space(r);
        if (!take(r, "call:"))
            return false;
        call.tool = find_tool(r->tools, r->n_tools, take_until(r, "{<"));
        if (!take(r, "{") || !put_members(&w, 0, '{'))
            return false;
        call.arguments.len = w.n - from;
        if (!api_is_object(call.arguments) || !add(r, call))
            return false;
        skip_space(r);
        (void)take(r, GEMMA_END);
        skip_space(r);
    } while (take(r, GEMMA_BEGIN));
    return true;
}

/* ---- Python ----------------------------------------------------------------------------------- */

static bool add_python(void *ctx, struct gw_span name, struct gw_span arguments)
{
    struct reading *r = ctx;

    return api_is_object(arguments) &&
           add(r, (struct local_call){find_tool(r->tools, r->n_tools, name), arguments});
}

/* A list of calls, or what stands behind LOCAL_PYTHON_BEGIN. */
static bool read_python(struct reading *r, bool list)
{
    struct local_python p = {
        .text = r->text, .at = r->at, .out = r->mem, .fn = add_python, .ctx = r};
    bool ok = list ? local_python_list(&p) : local_python_block(&p);

    for (r->at = p.at; ok; r->at = p.at) {
        skip_space(r);
        if (!take(r, LOCAL_PYTHON_BEGIN))
            break;
        p.at = r->at;
        ok = local_python_block(&p);
    }
    return ok;
}

static bool read_any(struct reading *r)
{
    if (take(r, LOCAL_PYTHON_BEGIN))
        return read_python(r, false);
    if (r->at < r->text.len && r->text.ptr[r->at] == '[' &&
        !gw_span_starts(gw_span_from(r->text, r->at), GW_SPAN(TOOL_CALLS)))
        return read_python(r, true);
    if (take(r, GEMMA_BEGIN))
        return read_gemma(r);
    if (take(r, CALLS_BEGIN)) {
        skip_space(r);
        return take(r, CALL_BEGIN) && read_deepseek(r);
    }
    if (take(r, CALL_BEGIN))
        return read_deepseek(r);
    if (take(r, TOOL_CALLS))
        return read_mistral(r);
    if (take(r, FUNCTOOLS))
        return take_list(r);
    if (take(r, PHI_BEGIN)) {
        skip_space(r);
        if (!take(r, "[") || !take_list(r))
            return false;
        skip_space(r);
        (void)take(r, PHI_END);
        return true;
    }
    (void)take(r, PYTHON_TAG);
    return read_llama(r);
}

unsigned local_calls_read(struct gw_json *json, const struct api_tool *tools, unsigned n_tools,
                          struct gw_span text, char *mem, struct local_call out[LOCAL_CALLS_MAX])
{
    struct reading r = {.json = json, .tools = tools, .n_tools = n_tools, .text = text, .out = out};

    r.mem = mem;
    skip_space(&r);
    if (!read_any(&r))
        return 0;
    skip_space(&r);
    return r.at == text.len ? r.n : 0;
}
