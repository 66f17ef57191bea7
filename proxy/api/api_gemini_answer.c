/* proxy/api/api_gemini_answer.c - answers of generateContent and streamGenerateContent as events.
 *
 * A stream's chunks are whole answers whose parts continue those before: neighbouring texts of one kind are one block, a
 * function call comes whole in one part. Older models say finishReason in every chunk, so the last one counts and FINISH
 * waits for the end of the stream, which is that of the body. Pure; one thread at a time per reader. */
#include <stdio.h>

#include "proxy/api/api_gemini.h"

static struct gemini_answer *state_of(struct api_reader *r)
{
    return r->state;
}

void gemini_reader_fini(struct api_reader *r)
{
    gw_buf_fini(&state_of(r)->id);
}

/* ---- blocks -------------------------------------------------------------------------------- */

static enum gw_status end_block(struct api_reader *r, struct gemini_candidate *c, unsigned choice)
{
    if (!c->open)
        return GW_OK;
    c->open = false;
    return api_emit_block_end(r, choice, c->n_blocks - 1, c->kind);
}

static enum gw_status begin_block(struct api_reader *r, struct gemini_candidate *c, unsigned choice,
                                  enum api_block kind, struct gw_span id, struct gw_span name)
{
    GW_TRY(end_block(r, c, choice));
    c->open = true;
    c->kind = kind;
    c->n_blocks++;
    return api_emit_block(r, choice, c->n_blocks - 1, kind, id, name);
}

static enum gw_status take_text(struct api_reader *r, struct gemini_candidate *c, unsigned choice,
                                enum api_block kind, struct gw_span text)
{
    const struct gw_span none = {NULL, 0};

    if (text.len == 0)
        return GW_OK;
    if (!c->open || c->kind != kind)
        GW_TRY(begin_block(r, c, choice, kind, none, none));
    return api_emit_delta(r, choice, c->n_blocks - 1, kind, text);
}

/* A signature stands at the part behind the thoughts that it signs, be it a text or a call; without thoughts in the
 * answer they are an empty block. Behind a text it is of no use to later turns and left out. */
static enum gw_status take_signature(struct api_reader *r, struct gemini_candidate *c,
                                     unsigned choice, struct gw_span signature, bool call)
{
    const struct gw_span mark = GW_SPAN(API_MARK_GEMINI), none = {NULL, 0};
    struct api_event ev = {.type = API_EVENT_SIGNATURE, .choice = choice};
    char *p;

    if (signature.len == 0)
        return GW_OK;
    if (!c->open || c->kind != API_BLOCK_REASONING) {
        if (!call)
            return GW_OK;
        GW_TRY(begin_block(r, c, choice, API_BLOCK_REASONING, none, none));
    }
    p = gw_arena_alloc(r->arena, mark.len + signature.len);
    if (p == NULL)
        return GW_ENOMEM;
    memcpy(p, mark.ptr, mark.len);
    memcpy(p + mark.len, signature.ptr, signature.len);
    ev.kind = API_BLOCK_REASONING;
    ev.block = c->n_blocks - 1;
    ev.text = (struct gw_span){p, mark.len + signature.len};
    GW_TRY(api_emit(r, &ev));
    return end_block(r, c, choice);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* Calls of older models have no ids; "call_RESPONSE_N" is unique in a conversation and fits every API. */
static struct gw_span made_id(struct api_reader *r)
{
    struct gemini_answer *s = state_of(r);
    char id[80];
    size_t n = 5;

    memcpy(id, "call_", n);
    for (size_t i = 0; i < s->id.len && n < 48; i++) {
        char c = s->id.ptr[i], low = gw_ascii_lower(c);

        id[n++] = (char)((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ? c : '_');
    }
    snprintf(id + n, sizeof(id) - n, "%s%u", s->id.len == 0 ? "" : "_", s->n_calls);
    return gw_arena_copy(r->arena, gw_span_str(id));
}

static enum gw_status take_call(struct api_reader *r, struct gemini_candidate *c, unsigned choice,
                                const struct gw_json_node *call)
{
    struct gw_span id = gw_json_text(gw_json_get(call, "id"), r->arena);
    struct gw_span name = gw_json_text(gw_json_get(call, "name"), r->arena);
    const struct gw_json_node *args = gw_json_get(call, "args");

    if (name.len == 0 ||
        (args != NULL && args->type != GW_JSON_OBJECT_BEGIN && args->type != GW_JSON_NULL))
        return GW_EPARSE;
    if (id.len == 0)
        id = made_id(r);
    if (id.ptr == NULL)
        return GW_ENOMEM;
    c->n_calls++;
    state_of(r)->n_calls++;
    GW_TRY(begin_block(r, c, choice, API_BLOCK_TOOL, id, name));
    GW_TRY(api_emit_delta(r, choice, c->n_blocks - 1, API_BLOCK_TOOL,
                          gw_json_is(args, GW_JSON_OBJECT_BEGIN) ? args->raw : GW_SPAN("{}")));
    return end_block(r, c, choice);
}

/* The first member that is content of a kind that has no events, or NULL: images, code that Google ran. */
static const struct gw_json_node *foreign_content(const struct gw_json_node *part)
{
    for (const struct gw_json_node *m = part->child; m != NULL; m = m->next)
        if (m->type != GW_JSON_NULL && !gw_json_key_is(m, "thought") &&
            !gw_json_key_is(m, "thoughtSignature") && !gw_json_key_is(m, "partMetadata"))
            return m;
    return NULL;
}

/* Translated requests never ask for such parts; one that comes all the same is not left out in silence. */
static enum gw_status refuse_part(struct api_reader *r, const struct gw_json_node *member)
{
    char text[128];
    struct api_failure f = {
        .status = 502, .type = "server_error", .code = "unsupported_answer", .message = text};

    snprintf(text, sizeof(text),
             "The model answered with a part (%.*s) that has no place in this API.",
             (int)(member->key.len < 40 ? member->key.len : 40), member->key.ptr);
    return api_emit_error(r, &f);
}

static enum gw_status take_part(struct api_reader *r, struct gemini_candidate *c, unsigned choice,
                                const struct gw_json_node *part)
{
    const struct gw_json_node *text = gw_json_get(part, "text");
    const struct gw_json_node *call = gw_json_get(part, "functionCall"), *foreign;
    struct gw_span signature = gw_json_text(gw_json_get(part, "thoughtSignature"), r->arena);
    bool thought = gw_json_is(gw_json_get(part, "thought"), GW_JSON_TRUE);

    if (!gw_json_is(part, GW_JSON_OBJECT_BEGIN))
        return GW_EPARSE;
    if (gw_json_is(call, GW_JSON_OBJECT_BEGIN)) {
        GW_TRY(take_signature(r, c, choice, signature, true));
        return take_call(r, c, choice, call);
    }
    if (text == NULL) {
        foreign = foreign_content(part);
        if (foreign != NULL)
            return refuse_part(r, foreign);
    } else if (text->type != GW_JSON_STRING) {
        return GW_EPARSE;
    }
    if (thought) {
        GW_TRY(take_text(r, c, choice, API_BLOCK_REASONING, gw_json_text(text, r->arena)));
        return take_signature(r, c, choice, signature, false);
    }
    GW_TRY(take_signature(r, c, choice, signature, false));
    return take_text(r, c, choice, API_BLOCK_TEXT, gw_json_text(text, r->arena));
}

/* ---- candidates ------------------------------------------------------------------------------ */

static const struct {
    const char *reason;
    enum api_finish finish;
} reasons[] = {
    {"STOP", API_FINISH_STOP},
    {"MAX_TOKENS", API_FINISH_LENGTH},
    {"SAFETY", API_FINISH_FILTER},
    {"RECITATION", API_FINISH_FILTER},
    {"BLOCKLIST", API_FINISH_FILTER},
    {"PROHIBITED_CONTENT", API_FINISH_FILTER},
    {"SPII", API_FINISH_FILTER},
    {"MODEL_ARMOR", API_FINISH_FILTER},
    {"IMAGE_SAFETY", API_FINISH_FILTER},
    {"IMAGE_PROHIBITED_CONTENT", API_FINISH_FILTER},
    {"IMAGE_RECITATION", API_FINISH_FILTER},
};

static void take_reason(struct gemini_candidate *c, const struct gw_json_node *reason)
{
    if (!gw_json_is(reason, GW_JSON_STRING) || reason->raw.len == 0 ||
        gw_json_text_is(reason, "FINISH_REASON_UNSPECIFIED"))
        return;
    c->finished = true;
    c->finish = API_FINISH_OTHER;
    for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (gw_json_text_is(reason, reasons[i].reason))
            c->finish = reasons[i].finish;
}

static enum gw_status take_candidate(struct api_reader *r, const struct gw_json_node *node)
{
    uint64_t choice = gw_json_uint(gw_json_get(node, "index"), 0);
    const struct gw_json_node *parts = gw_json_get(gw_json_get(node, "content"), "parts");
    struct gemini_candidate *c;

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN) || choice >= API_MAX_CHOICES)
        return GW_EPARSE;
    c = &state_of(r)->candidates[choice];
    c->seen = true;
    for (const struct gw_json_node *p = gemini_first(parts); p != NULL && !r->ended;
         p = gemini_next(parts, p))
        GW_TRY(take_part(r, c, (unsigned)choice, p));
    take_reason(c, gw_json_get(node, "finishReason"));
    return GW_OK;
}

static struct api_usage usage_of(const struct gw_json_node *node)
{
    uint64_t thoughts = gw_json_uint(gw_json_get(node, "thoughtsTokenCount"), 0);

    return (struct api_usage){
        .known = gw_json_is(node, GW_JSON_OBJECT_BEGIN),
        .input = gw_json_uint(gw_json_get(node, "promptTokenCount"), 0) +
                 gw_json_uint(gw_json_get(node, "toolUsePromptTokenCount"), 0),
        .output = gw_json_uint(gw_json_get(node, "candidatesTokenCount"), 0) + thoughts,
        .cached = gw_json_uint(gw_json_get(node, "cachedContentTokenCount"), 0),
        .reasoning = thoughts,
    };
}

static enum gw_status take_failure(struct api_reader *r, const struct gw_json_node *root)
{
    struct api_failure f;

    gemini_read_error(0, root, r->arena, &f);
    if (f.message == NULL)
        f.message = api_error_message(f.status);
    return api_emit_error(r, &f);
}

/* One answer, whole or a chunk of one. GW_EPARSE: it is none. */
static enum gw_status take_answer(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *candidates = gw_json_get(root, "candidates");
    const struct gw_json_node *blocked =
        gw_json_get(gw_json_get(root, "promptFeedback"), "blockReason");
    const struct api_usage usage = usage_of(gw_json_get(root, "usageMetadata"));
    struct gemini_answer *s = state_of(r);
    struct gw_span id = gw_json_text(gw_json_get(root, "responseId"), r->arena);

    if (gw_json_is(gw_json_get(root, "error"), GW_JSON_OBJECT_BEGIN))
        return take_failure(r, root);
    if (candidates == NULL && blocked == NULL && !usage.known)
        return GW_EPARSE;
    if (s->id.len == 0 && id.len != 0)
        gw_buf_add(&s->id, id);
    if (!gw_buf_ok(&s->id))
        return GW_ENOMEM;
    GW_TRY(
        api_emit_start(r, id, gw_json_text(gw_json_get(root, "modelVersion"), r->arena), &usage));
    if (usage.known)
        GW_TRY(api_emit_usage(r, &usage));
    for (const struct gw_json_node *n = gemini_first(candidates); n != NULL && !r->ended;
         n = gemini_next(candidates, n))
        GW_TRY(take_candidate(r, n));
    if (gw_json_is(blocked, GW_JSON_STRING) && gemini_first(candidates) == NULL) {
        s->candidates[0].seen = s->candidates[0].finished = true;
        s->candidates[0].finish = API_FINISH_FILTER;
    }
    return GW_OK;
}

/* Ends the blocks and says how each candidate finished. */
static enum gw_status finish_all(struct api_reader *r)
{
    const struct gw_span none = {NULL, 0};

    for (unsigned i = 0; i < API_MAX_CHOICES && !r->ended; i++) {
        struct gemini_candidate *c = &state_of(r)->candidates[i];
        enum api_finish finish = c->finished ? c->finish : API_FINISH_OTHER;

        if (!c->seen)
            continue;
        if (finish == API_FINISH_STOP && c->n_calls != 0)
            finish = API_FINISH_TOOL;
        GW_TRY(end_block(r, c, i));
        GW_TRY(api_emit_finish(r, i, finish, none));
    }
    return GW_OK;
}

/* An array holds the chunks of a stream that was read as a whole, or an error. */
static enum gw_status take_all(struct api_reader *r, const struct gw_json_node *root)
{
    for (const struct gw_json_node *n = gemini_first(root); n != NULL && !r->ended;
         n = gemini_next(root, n)) {
        if (!gw_json_is(n, GW_JSON_OBJECT_BEGIN))
            return GW_EPARSE;
        GW_TRY(take_answer(r, n));
    }
    return GW_OK;
}

enum gw_status gemini_read_whole(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(take_all(r, root));
    if (!r->started && !r->ended)
        return GW_EPARSE;
    return finish_all(r);
}

enum gw_status gemini_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                 const struct gw_json_node *root)
{
    enum gw_status st;

    (void)name;
    if (root == NULL) /* servers that imitate Gemini end like OpenAI's */
        return data.len == 0 || gw_span_is(data, "[DONE]") ? GW_OK : api_emit_malformed(r);
    st = take_all(r, root);
    return st == GW_EPARSE ? api_emit_malformed(r) : st;
}

enum gw_status gemini_read_end(struct api_reader *r)
{
    if (!state_of(r)->candidates[0].finished)
        return api_emit_truncated(r);
    GW_TRY(finish_all(r));
    return api_emit_end(r);
}
