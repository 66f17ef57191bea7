/* proxy/api/api_chat_blocks.c - see api_chat_blocks.h. Pure; one thread at a time per reader. */
#include "proxy/api/api_chat_blocks.h"

#include <stdlib.h>

enum { MAX_CALLS = 256, MAX_HELD_BYTES = 16 << 20 };

/* Where in a JSON object a text has come that arrives in pieces. */
struct progress {
    unsigned depth;
    bool in_string, escaped, begun;
};

/* A tool call. Its text waits until it is the open block; then it is handed on at once. */
struct call {
    uint64_t index; /* as the provider counts */
    struct gw_buf id, name, waiting;
    struct progress progress;
    bool opened, closed;
    struct call *next;
};

struct api_chat_choice {
    struct api_reader *r;
    unsigned index, n_blocks;
    bool open, finished;
    enum api_block kind;       /* of the open block */
    struct call *calls, *last; /* in the order they began; those before `at` are closed */
    struct call *at;           /* the open one, or the next to be opened */
    unsigned n_calls;
    char tag[24]; /* of the answer's id, for ids that calls lack */
};

struct api_chat_choice *api_chat_choice_new(struct api_reader *r, unsigned index,
                                            struct gw_span answer_id)
{
    struct api_chat_choice *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->r = r;
    c->index = index;
    for (size_t i = 0, n = 0; i < answer_id.len && n < sizeof(c->tag) - 1; i++) {
        char ch = answer_id.ptr[answer_id.len - 1 - i];

        if ((ch >= '0' && ch <= '9') || (gw_ascii_lower(ch) >= 'a' && gw_ascii_lower(ch) <= 'z'))
            c->tag[n++] = ch;
    }
    return c;
}

void api_chat_choice_free(struct api_chat_choice *c)
{
    if (c == NULL)
        return;
    while (c->calls != NULL) {
        struct call *call = c->calls;

        c->calls = call->next;
        gw_buf_fini(&call->id);
        gw_buf_fini(&call->name);
        gw_buf_fini(&call->waiting);
        free(call);
    }
    free(c);
}

static struct api_chat_reading *state_of(const struct api_chat_choice *c)
{
    return c->r->state;
}

/* Keeps text of a call; above the limit the answer ends with an error. */
static enum gw_status hold(const struct api_chat_choice *c, struct gw_buf *b, struct gw_span text)
{
    if (text.len > MAX_HELD_BYTES - state_of(c)->held)
        return api_emit_malformed(c->r);
    gw_buf_add(b, text);
    state_of(c)->held += text.len;
    return gw_buf_ok(b) ? GW_OK : GW_ENOMEM;
}

/* ---- progress --------------------------------------------------------------------------- */

/* Follows brackets outside of strings; whether it is JSON is not its business. */
static void follow(struct progress *p, struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.ptr[i];

        if (p->in_string) {
            if (p->escaped)
                p->escaped = false;
            else if (ch == '\\')
                p->escaped = true;
            else if (ch == '"')
                p->in_string = false;
        } else if (ch == '"') {
            p->in_string = true;
        } else if (ch == '{' || ch == '[') {
            p->depth++;
            p->begun = true;
        } else if ((ch == '}' || ch == ']') && p->depth != 0) {
            p->depth--;
        }
    }
}

static bool complete(const struct call *call)
{
    return call->progress.begun && call->progress.depth == 0;
}

/* ---- blocks ----------------------------------------------------------------------------- */

static enum gw_status open_block(struct api_chat_choice *c, enum api_block kind, struct gw_span id,
                                 struct gw_span name)
{
    c->open = true;
    c->kind = kind;
    return api_emit_block(c->r, c->index, c->n_blocks, kind, id, name);
}

static enum gw_status close_block(struct api_chat_choice *c)
{
    if (!c->open)
        return GW_OK;
    c->open = false;
    if (c->kind == API_BLOCK_TOOL) {
        c->at->closed = true;
        c->at = c->at->next;
    }
    return api_emit_block_end(c->r, c->index, c->n_blocks++, c->kind);
}

/* Makes the next call the open block, in place of the one of text, and hands on what waited. A call that came without an id gets one that no other call
 * of the conversation has, since its result will have to name it. */
static enum gw_status open_call(struct api_chat_choice *c)
{
    struct call *call = c->at;
    struct gw_span text = gw_buf_span(&call->waiting);

    if (call->id.len == 0)
        gw_buf_printf(&call->id, "call_%s%u%u", c->tag, c->index, c->n_blocks);
    if (!gw_buf_ok(&call->id))
        return GW_ENOMEM;
    GW_TRY(close_block(c));
    GW_TRY(open_block(c, API_BLOCK_TOOL, gw_buf_span(&call->id), gw_buf_span(&call->name)));
    call->opened = true;
    state_of(c)->held -= text.len;
    GW_TRY(api_emit_delta(c->r, c->index, c->n_blocks, API_BLOCK_TOOL, text));
    gw_buf_fini(&call->waiting);
    return GW_OK;
}

/* The next call can be opened, or the open one closed; all: whatever they lack. */
static bool can_go_on(const struct api_chat_choice *c, bool all)
{
    if (c->at == NULL || all)
        return c->at != NULL;
    return c->at->opened ? c->at->next != NULL && complete(c->at) : c->at->name.len != 0;
}

/* Goes on to calls behind complete ones. */
static enum gw_status advance(struct api_chat_choice *c, bool all)
{
    while (can_go_on(c, all)) {
        enum gw_status st = c->at->opened ? close_block(c) : open_call(c);

        if (st != GW_OK)
            return st;
    }
    return GW_OK;
}

enum gw_status api_chat_text(struct api_chat_choice *c, enum api_block kind,
                             const struct gw_json_node *text)
{
    struct gw_span s = gw_json_text(text, c->r->arena);

    if (s.ptr == NULL)
        return GW_ENOMEM;
    if (s.len == 0 || c->r->ended)
        return GW_OK;
    if (c->finished)
        return api_emit_malformed(c->r); /* to leave it out would be to lose it */
    if (!c->open || c->kind != kind) {
        GW_TRY(advance(c, true));
        GW_TRY(close_block(c));
        GW_TRY(open_block(c, kind, (struct gw_span){NULL, 0}, (struct gw_span){NULL, 0}));
    }
    return api_emit_delta(c->r, c->index, c->n_blocks, kind, s);
}

/* ---- calls ------------------------------------------------------------------------------ */

/* White space behind complete arguments says nothing. */
static bool is_blank(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\r\n", text.ptr[i]) == NULL)
            return false;
    return true;
}

/* A tool call's delta, decoded. */
struct delta {
    bool has_index;
    uint64_t index;
    struct gw_span id, name, text;
};

/* The call a delta goes on with: the newest of that index; or NULL, it is a new one. Servers are known that give every call
 * the index 0, or none, and tell them apart by ids, or not even that: then it is new when the one before is complete. */
static struct call *find_call(const struct api_chat_choice *c, const struct delta *d)
{
    struct call *found = NULL;

    for (struct call *call = c->calls; call != NULL; call = call->next)
        if (!d->has_index || call->index == d->index)
            found = call;
    if (found == NULL || d->name.len == 0)
        return found;
    if (d->id.len != 0 && found->id.len != 0 && !gw_span_eq(gw_buf_span(&found->id), d->id))
        return NULL;
    return complete(found) && !is_blank(d->text) ? NULL : found;
}

static struct call *add_call(struct api_chat_choice *c, uint64_t index)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->index = index;
    if (c->last == NULL)
        c->calls = call;
    else
        c->last->next = call;
    c->last = call;
    if (c->at == NULL)
        c->at = call;
    c->n_calls++;
    return call;
}

static enum gw_status add_arguments(struct api_chat_choice *c, struct call *call,
                                    struct gw_span text)
{
    if (call->closed)
        return is_blank(text) ? GW_OK : api_emit_malformed(c->r);
    follow(&call->progress, text);
    if (call->opened)
        return api_emit_delta(c->r, c->index, c->n_blocks, API_BLOCK_TOOL, text);
    return hold(c, &call->waiting, text);
}

/* Arguments are text; an object itself, as some servers write it, is as good. */
static enum gw_status arguments_of(const struct api_chat_choice *c,
                                   const struct gw_json_node *function, struct gw_span *out)
{
    const struct gw_json_node *node = gw_json_get(function, "arguments");

    *out = gw_json_is(node, GW_JSON_OBJECT_BEGIN) ? node->raw : gw_json_text(node, c->r->arena);
    return gw_json_is(node, GW_JSON_STRING) && out->ptr == NULL ? GW_ENOMEM : GW_OK;
}

static enum gw_status add_delta(struct api_chat_choice *c, const struct delta *d)
{
    struct call *call = find_call(c, d);

    if (call == NULL && c->n_calls == MAX_CALLS)
        return api_emit_malformed(c->r);
    if (call == NULL)
        call = add_call(c, d->index);
    if (call == NULL)
        return GW_ENOMEM;
    if (!call->opened && call->id.len == 0)
        GW_TRY(hold(c, &call->id, d->id));
    if (!call->opened && call->name.len == 0)
        GW_TRY(hold(c, &call->name, d->name));
    GW_TRY(add_arguments(c, call, d->text));
    return advance(c, false);
}

enum gw_status api_chat_call(struct api_chat_choice *c, const struct gw_json_node *call,
                             const struct gw_json_node *function, int position)
{
    const struct gw_json_node *number = gw_json_get(call, "index");
    const struct gw_json_node *type = gw_json_get(call, "type");
    struct delta d = {.has_index = position >= 0 || gw_json_is(number, GW_JSON_NUMBER)};

    if (gw_json_is(type, GW_JSON_STRING) && !gw_json_text_is(type, "function") &&
        type->raw.len != 0)
        return api_emit_unsupported(c->r);
    d.index = position >= 0 ? (uint64_t)position : gw_json_uint(number, 0);
    d.id = gw_json_text(gw_json_get(call, "id"), c->r->arena);
    d.name = gw_json_text(gw_json_get(function, "name"), c->r->arena);
    GW_TRY(arguments_of(c, function, &d.text));
    if (c->r->ended || (c->finished && d.text.len == 0))
        return GW_OK;
    return c->finished ? api_emit_malformed(c->r) : add_delta(c, &d);
}

/* ---- the end ---------------------------------------------------------------------------- */

/* A call that was demanded by name ends with "stop" at OpenAI, but it is a call that ended it. */
enum gw_status api_chat_choice_finish(struct api_chat_choice *c, enum api_finish finish)
{
    if (c->finished)
        return GW_OK;
    GW_TRY(advance(c, true));
    GW_TRY(close_block(c));
    c->finished = true;
    if (finish == API_FINISH_STOP && c->calls != NULL)
        finish = API_FINISH_TOOL;
    return api_emit_finish(c->r, c->index, finish, (struct gw_span){NULL, 0});
}

bool api_chat_choice_finished(const struct api_chat_choice *c)
{
    return c->finished;
}
