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
#include "proxy/local/local_calls.h"
#include "proxy/local/local_front.h"
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
    struct local_front front;
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
    bool thinks; /* a REASONING block is open */
    bool inside; /* of a text: white space is part of it */
    bool over;   /* single, and the call was made */
};

struct local_parse *local_parse_new(const struct local_parse_config *cfg)
{
    struct local_parse *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->cfg = *cfg;
    local_front_init(&p->front, cfg->says, cfg->n_tools != 0);
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
    local_front_fini(&p->front);
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

static enum gw_status give_call(struct local_parse *p, const struct local_call *call)
{
    char id[64];
    struct api_event begin = {
        .type = API_EVENT_BLOCK, .kind = API_BLOCK_TOOL, .name = call->tool->name};

    GW_TRY(give_sure(p));
    GW_TRY(end_text(p));
    (void)snprintf(id, sizeof(id), "call_%.40s_%u", p->cfg.id, p->n_calls++);
    begin.id = gw_span_str(id);
    begin.block = p->block;
    GW_TRY(p->cfg.fn(p->cfg.ctx, &begin));
    GW_TRY(give(p, API_EVENT_DELTA, API_BLOCK_TOOL, call->arguments));
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
    struct gw_span text = {p->held.ptr + p->object, p->end - p->object};
    char *mem = malloc(text.len + 1);
    struct local_call call;
    enum gw_status st;

    if (mem == NULL)
        return GW_ENOMEM;
    call = local_call_read(p->json, p->cfg.tools, p->cfg.n_tools, text, mem);
    if (call.tool == NULL) {
        free(mem);
        take_as_text(p);
        return GW_OK;
    }
    st = give_call(p, &call);
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

/* What is certainly what the model thinks; final: and no more of it comes. */
static enum gw_status give_thought(struct local_parse *p, bool final)
{
    struct gw_span text = gw_buf_span(&p->front.thought);

    if (text.len != 0) {
        if (!p->thinks)
            GW_TRY(give(p, API_EVENT_BLOCK, API_BLOCK_REASONING, (struct gw_span){NULL, 0}));
        p->thinks = true;
        GW_TRY(give(p, API_EVENT_DELTA, API_BLOCK_REASONING, text));
        gw_buf_clear(&p->front.thought);
    }
    if (p->thinks && final) {
        p->thinks = false;
        GW_TRY(give(p, API_EVENT_BLOCK_END, API_BLOCK_REASONING, (struct gw_span){NULL, 0}));
        p->block++;
    }
    return GW_OK;
}

/* Text behind what the model thinks, in which calls have tags. */
static enum gw_status take_text(struct local_parse *p, struct gw_span text)
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

/* Gives what the front end has found. */
static enum gw_status take_front(struct local_parse *p)
{
    struct local_front *f = &p->front;
    enum gw_status st;

    if (!gw_buf_ok(&f->held) || !gw_buf_ok(&f->thought) || !gw_buf_ok(&f->text))
        return GW_ENOMEM;
    GW_TRY(give_thought(p, f->state >= FRONT_BEHIND));
    p->base += f->skipped;
    f->skipped = 0;
    st = take_text(p, gw_buf_span(&f->text));
    gw_buf_clear(&f->text);
    return st;
}

enum gw_status local_parse_text(struct local_parse *p, struct gw_span text)
{
    local_front_take(&p->front, text);
    return take_front(p);
}

/* The calls that an answer ends with; false: they are none. */
static enum gw_status give_calls(struct local_parse *p, bool *given)
{
    struct gw_span text = gw_buf_span(&p->front.held);
    struct local_call *calls = calloc(LOCAL_CALLS_MAX, sizeof(*calls));
    char *mem = malloc(2 * text.len + 1);
    enum gw_status st = calls == NULL || mem == NULL ? GW_ENOMEM : GW_OK;
    unsigned n = 0;

    if (st == GW_OK)
        n = local_calls_read(p->json, p->cfg.tools, p->cfg.n_tools, text, mem, calls);
    for (unsigned i = 0; i < n && st == GW_OK && !p->over; i++)
        st = give_call(p, &calls[i]);
    *given = n != 0;
    free(calls);
    free(mem);
    return st;
}

static enum gw_status end_front(struct local_parse *p)
{
    bool given = false;

    local_front_end(&p->front);
    GW_TRY(take_front(p));
    if (p->front.state == FRONT_CALLS) {
        if (p->state == TEXT && !p->over)
            GW_TRY(give_calls(p, &given));
        if (given)
            gw_buf_fini(&p->front.held);
        else
            local_front_give_up(&p->front);
        GW_TRY(take_front(p));
    }
    return give_thought(p, true);
}

enum gw_status local_parse_end(struct local_parse *p)
{
    GW_TRY(end_front(p));
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
