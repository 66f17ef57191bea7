/* proxy/local/local_tools_parse.c - calls read out of the text that the local model writes. Pure; see local_tools.h.
 *
 *   TEXT --<tool_call>--> BEFORE --{--> OBJECT <--"--> STRING       each byte is looked at once: what turns out to be
 *    ^                                    | last }                  no call is text as a whole, and reading goes on
 *    +--------- </tool_call> --------- AFTER                        behind it
 *
 * The lexical states only find where the object ends, so that a tag inside of a string is no tag; whether it is JSON, the
 * strict tokenizer says. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "proxy/api/api_private.h"
#include "proxy/local/local_tools.h"

enum state {
    TEXT,
    TAG,    /* in LOCAL_TOOLS_CALL_BEGIN */
    BEFORE, /* behind it: white space */
    OBJECT,
    STRING, /* of the object */
    ESCAPE, /* of the string */
    AFTER,  /* behind the object: white space, then LOCAL_TOOLS_CALL_END */
};

/* held: [text that goes out][white space][what may become a call]; the latter two may be empty. */
struct local_parse {
    struct local_parse_config cfg;
    struct gw_json *json;
    struct gw_buf held;
    size_t base;        /* bytes that were taken before those in held */
    size_t sure;        /* bytes of held that are text */
    size_t call;        /* where the tag begins; state is not TEXT */
    size_t object, end; /* of the call: where its object begins and ends */
    enum state state;
    unsigned matched; /* bytes of a tag */
    unsigned depth;   /* of the object */
    unsigned block;   /* the next one, or the open one */
    unsigned n_calls;
    bool open;   /* a TEXT block */
    bool inside; /* of a text: white space is part of it */
    bool over;   /* single, and the call was made */
};

struct local_parse *local_parse_new(const struct local_parse_config *cfg)
{
    struct local_parse *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->cfg = *cfg;
    p->json = gw_json_new();
    if (p->json == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

void local_parse_free(struct local_parse *p)
{
    if (p == NULL)
        return;
    gw_buf_fini(&p->held);
    gw_json_free(p->json);
    free(p);
}

unsigned local_parse_calls(const struct local_parse *p)
{
    return p->n_calls;
}

size_t local_parse_at(const struct local_parse *p)
{
    return p->base;
}

/* ---- giving ------------------------------------------------------------------------------- */

static enum gw_status give(struct local_parse *p, enum api_event_type type, enum api_block kind,
                           struct gw_span text)
{
    const struct api_event ev = {.type = type, .block = p->block, .kind = kind, .text = text};

    return p->cfg.fn(p->cfg.ctx, &ev);
}

static enum gw_status end_text(struct local_parse *p)
{
    if (!p->open)
        return GW_OK;
    p->open = false;
    GW_TRY(give(p, API_EVENT_BLOCK_END, API_BLOCK_TEXT, (struct gw_span){NULL, 0}));
    p->block++;
    return GW_OK;
}

static enum gw_status begin_text(struct local_parse *p)
{
    if (p->open)
        return GW_OK;
    p->open = true;
    return give(p, API_EVENT_BLOCK, API_BLOCK_TEXT, (struct gw_span){NULL, 0});
}

/* Gives what is text for certain; it stays in held. */
static enum gw_status give_sure(struct local_parse *p)
{
    if (p->sure == 0)
        return GW_OK;
    GW_TRY(begin_text(p));
    return give(p, API_EVENT_DELTA, API_BLOCK_TEXT, (struct gw_span){p->held.ptr, p->sure});
}

static void drop_sure(struct local_parse *p)
{
    gw_buf_drop(&p->held, p->sure);
    p->base += p->sure;
    if (p->state != TEXT)
        p->call -= p->sure;
    if (p->object != 0)
        p->object -= p->sure;
    if (p->state == AFTER)
        p->end -= p->sure;
    p->sure = 0;
}

/* ---- calls -------------------------------------------------------------------------------- */

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
        else if (gw_span_is(key.raw, "arguments"))
            out->arguments = value;
    }
    return key.type == GW_JSON_OBJECT_END && gw_json_next(json, &key) == GW_JSON_END;
}

/* The text of a string, in mem, which has room for raw. */
static struct gw_span decode(const struct gw_json_tok *tok, char *mem)
{
    return (struct gw_span){mem, gw_json_decode(tok->raw, mem)};
}

static const struct api_tool *find_tool(const struct local_parse *p, struct gw_span name)
{
    for (unsigned i = 0; i < p->cfg.n_tools; i++)
        if (gw_span_eq(p->cfg.tools[i].name, name))
            return &p->cfg.tools[i];
    return NULL;
}

/* The call in held: its tool, or NULL when it is none; *arguments points into the call or into mem. */
static const struct api_tool *read_call(struct local_parse *p, char *mem, struct gw_span *arguments)
{
    struct gw_span text = {p->held.ptr + p->object, p->end - p->object};
    const struct api_tool *tool;
    struct call call = {.name.type = GW_JSON_END, .arguments.type = GW_JSON_END};

    if (!read_object(p->json, text, &call) || call.name.type != GW_JSON_STRING)
        return NULL;
    tool = find_tool(p, decode(&call.name, mem));
    switch (call.arguments.type) {
    case GW_JSON_OBJECT_BEGIN:
        *arguments = (struct gw_span){text.ptr + call.arguments.start,
                                      call.arguments.end - call.arguments.start};
        return tool;
    case GW_JSON_STRING:
        *arguments = decode(&call.arguments, mem);
        return api_is_object(*arguments) ? tool : NULL;
    case GW_JSON_END: /* a tool without parameters */
    case GW_JSON_NULL:
        *arguments = GW_SPAN("{}");
        return tool;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_BEGIN:
    case GW_JSON_ARRAY_END:
    case GW_JSON_KEY:
    case GW_JSON_NUMBER:
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
    case GW_JSON_ERROR:
    default:
        return NULL;
    }
}

static enum gw_status give_call(struct local_parse *p, const struct api_tool *tool,
                                struct gw_span arguments)
{
    char id[64];
    struct api_event begin = {.type = API_EVENT_BLOCK, .kind = API_BLOCK_TOOL, .name = tool->name};

    GW_TRY(give_sure(p));
    GW_TRY(end_text(p));
    (void)snprintf(id, sizeof(id), "call_%.40s_%u", p->cfg.id, p->n_calls++);
    begin.id = gw_span_str(id);
    begin.block = p->block;
    GW_TRY(p->cfg.fn(p->cfg.ctx, &begin));
    GW_TRY(give(p, API_EVENT_DELTA, API_BLOCK_TOOL, arguments));
    GW_TRY(give(p, API_EVENT_BLOCK_END, API_BLOCK_TOOL, (struct gw_span){NULL, 0}));
    p->block++;
    p->over = p->cfg.single;
    return GW_OK;
}

/* All that is held is text. */
static void take_as_text(struct local_parse *p)
{
    p->sure = p->held.len;
    p->inside = true;
    p->state = TEXT;
    p->object = 0;
}

/* The object is complete and its end has come. */
static enum gw_status end_call(struct local_parse *p)
{
    char *mem = malloc(p->end - p->object + 1);
    const struct api_tool *tool;
    struct gw_span arguments;
    enum gw_status st;

    if (mem == NULL)
        return GW_ENOMEM;
    tool = read_call(p, mem, &arguments);
    if (tool == NULL) {
        free(mem);
        take_as_text(p);
        return GW_OK;
    }
    st = give_call(p, tool, arguments);
    free(mem);
    p->base += p->held.len;
    gw_buf_clear(&p->held); /* white space before the call too */
    p->sure = 0;
    p->inside = false;
    p->state = TEXT;
    p->object = 0;
    return st;
}

/* ---- reading ------------------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The next byte of an object, outside of its strings; false: no JSON has it there. */
static bool in_object(struct local_parse *p, char c)
{
    if (c == '"') {
        p->state = STRING;
    } else if (c == '{' || c == '[') {
        p->depth++;
    } else if (c == '}' || c == ']') {
        if (--p->depth == 0) {
            p->state = AFTER;
            p->end = p->held.len + 1;
            p->matched = 0;
        }
    } else {
        bool letter = (c >= 'a' && c <= 'z') || c == 'E';
        bool number = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.';

        return letter || number || c == ',' || c == ':' || is_space(c);
    }
    return true;
}

/* The next byte of a tag; false: it is another one. */
static bool in_tag(struct local_parse *p, const char *tag, char c)
{
    if (c != tag[p->matched])
        return false;
    p->matched++;
    return true;
}

/* The next byte of what may become a call; false: it becomes none. */
static bool in_call(struct local_parse *p, char c)
{
    switch (p->state) {
    case TAG:
        if (!in_tag(p, LOCAL_TOOLS_CALL_BEGIN, c))
            return false;
        if (p->matched == sizeof(LOCAL_TOOLS_CALL_BEGIN) - 1)
            p->state = BEFORE;
        return true;
    case BEFORE:
        if (c == '{') {
            p->state = OBJECT;
            p->object = p->held.len;
            p->depth = 1;
        }
        return c == '{' || is_space(c);
    case OBJECT:
        return in_object(p, c);
    case STRING:
        if (c == '"')
            p->state = OBJECT;
        else if (c == '\\')
            p->state = ESCAPE;
        return (unsigned char)c >= ' ';
    case ESCAPE:
        p->state = STRING;
        return (unsigned char)c >= ' ';
    case AFTER:
        return (p->matched == 0 && is_space(c)) || in_tag(p, LOCAL_TOOLS_CALL_END, c);
    case TEXT:
    default:
        return false;
    }
}

static enum gw_status take_byte(struct local_parse *p, char c)
{
    if (p->state != TEXT) {
        if (p->held.len - p->call < LOCAL_TOOLS_MAX_CALL && in_call(p, c)) {
            gw_buf_addc(&p->held, c);
            if (p->state == AFTER && p->matched == sizeof(LOCAL_TOOLS_CALL_END) - 1)
                return gw_buf_ok(&p->held) ? end_call(p) : GW_ENOMEM;
            return GW_OK;
        }
        take_as_text(p); /* but c may begin a tag */
    }
    if (c == LOCAL_TOOLS_CALL_BEGIN[0]) {
        p->state = TAG;
        p->call = p->held.len;
        p->matched = 1;
    }
    gw_buf_addc(&p->held, c);
    if (p->state == TEXT && (p->inside || !is_space(c) || p->held.len > LOCAL_TOOLS_MAX_CALL)) {
        p->sure = p->held.len;
        p->inside = true;
    }
    return GW_OK;
}

enum gw_status local_parse_text(struct local_parse *p, struct gw_span text)
{
    if (text.len == 0)
        return GW_OK;
    if (p->cfg.n_tools == 0) {
        GW_TRY(begin_text(p));
        GW_TRY(give(p, API_EVENT_DELTA, API_BLOCK_TEXT, text));
        p->base += text.len;
        return GW_OK;
    }
    for (size_t i = 0; i < text.len && !p->over; i++)
        GW_TRY(take_byte(p, text.ptr[i]));
    if (!gw_buf_ok(&p->held))
        return GW_ENOMEM;
    GW_TRY(give_sure(p));
    drop_sure(p);
    return GW_OK;
}

enum gw_status local_parse_end(struct local_parse *p)
{
    if (p->state == AFTER)
        GW_TRY(end_call(p)); /* the answer may end with the object */
    if (p->state != TEXT || p->n_calls == 0)
        take_as_text(p);
    GW_TRY(give_sure(p));
    drop_sure(p);
    if (p->block == 0)
        GW_TRY(begin_text(p));
    return end_text(p);
}
