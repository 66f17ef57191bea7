/* proxy/api/api_anthropic_answer.c - reads answers of Anthropic and of servers like it as events. Pure; one thread at a time per
 * reader.
 *
 * A stream: message_start, then blocks one after the other (content_block_start, _delta..., _stop), message_delta with
 * the reason and the totals, message_stop; ping anywhere. A second message_start is passed over; anything else out of
 * order ends the answer with an error, and so does a block of a kind that was not asked for: what it says could not be
 * passed on. Unknown events mean nothing, as the API reference promises. */
#include "proxy/api/api_anthropic.h"

static struct anthropic_reading *state_of(struct api_reader *r)
{
    return r->state;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static enum gw_status begin_block(struct api_reader *r, enum api_block kind, struct gw_span id,
                                  struct gw_span name)
{
    struct anthropic_reading *s = state_of(r);

    s->open = true;
    s->has_input = false;
    s->kind = kind;
    return api_emit_block(r, 0, s->n_blocks++, kind, id, name);
}

static enum gw_status put_delta(struct api_reader *r, struct gw_span text)
{
    struct anthropic_reading *s = state_of(r);

    if (text.len != 0)
        s->has_input = true;
    return api_emit_delta(r, 0, s->n_blocks - 1, s->kind, text);
}

static enum gw_status end_block(struct api_reader *r)
{
    struct anthropic_reading *s = state_of(r);

    if (!s->open)
        return GW_OK;
    if (s->kind == API_BLOCK_TOOL && !s->has_input)
        GW_TRY(put_delta(r, GW_SPAN("{}"))); /* a call without arguments */
    s->open = false;
    return api_emit_block_end(r, 0, s->n_blocks - 1, s->kind);
}

static enum gw_status put_signature(struct api_reader *r, const char *mark,
                                    struct gw_span signature)
{
    struct anthropic_reading *s = state_of(r);
    struct gw_span m = gw_span_str(mark);
    struct api_event ev = {
        .type = API_EVENT_SIGNATURE, .block = s->n_blocks - 1, .kind = API_BLOCK_REASONING};
    char *p;

    if (signature.len == 0)
        return GW_OK;
    p = gw_arena_alloc(r->arena, m.len + signature.len);
    if (p == NULL)
        return GW_ENOMEM;
    memcpy(p, m.ptr, m.len);
    memcpy(p + m.len, signature.ptr, signature.len);
    ev.text = (struct gw_span){p, m.len + signature.len};
    return api_emit(r, &ev);
}

/* The decoded text of a member, empty when it is no string. */
static struct gw_span text_of(struct api_reader *r, const struct gw_json_node *node,
                              const char *name)
{
    const struct gw_json_node *member = gw_json_get(node, name);
    struct gw_span text = gw_json_text(member, r->arena);

    if (gw_json_is(member, GW_JSON_STRING) && text.ptr == NULL)
        state_of(r)->no_memory = true; /* a text that is lost fails the answer */
    return text;
}

/* What a block holds when it begins: all of it in a whole answer, mostly nothing in a stream. */
static enum gw_status read_tool(struct api_reader *r, const struct gw_json_node *block)
{
    const struct gw_json_node *input = gw_json_get(block, "input");

    GW_TRY(begin_block(r, API_BLOCK_TOOL, text_of(r, block, "id"), text_of(r, block, "name")));
    if (!gw_json_is(input, GW_JSON_OBJECT_BEGIN) || input->n == 0)
        return GW_OK; /* {} in a stream, whose deltas follow */
    return put_delta(r, input->raw);
}

static enum gw_status read_block(struct api_reader *r, const struct gw_json_node *block)
{
    static const struct {
        const char *type;
        enum api_block kind;
        const char *text, *signature, *mark; /* members, and the mark of the second */
    } blocks[] = {
        {"text", API_BLOCK_TEXT, "text", NULL, NULL},
        {"thinking", API_BLOCK_REASONING, "thinking", "signature", API_MARK_ANTHROPIC},
        {"redacted_thinking", API_BLOCK_REASONING, NULL, "data", API_MARK_ANTHROPIC_HIDDEN},
    };
    const struct gw_json_node *type = gw_json_get(block, "type");
    const struct gw_span none = {NULL, 0};

    if (gw_json_text_is(type, "tool_use"))
        return read_tool(r, block);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        if (!gw_json_text_is(type, blocks[i].type))
            continue;
        GW_TRY(begin_block(r, blocks[i].kind, none, none));
        if (blocks[i].text != NULL)
            GW_TRY(put_delta(r, text_of(r, block, blocks[i].text)));
        return blocks[i].signature == NULL
                   ? GW_OK
                   : put_signature(r, blocks[i].mark, text_of(r, block, blocks[i].signature));
    }
    return api_emit_unsupported(r);
}

static enum gw_status read_delta(struct api_reader *r, const struct gw_json_node *delta)
{
    static const struct {
        const char *type, *member;
        enum api_block kind;
    } deltas[] = {
        {"text_delta", "text", API_BLOCK_TEXT},
        {"thinking_delta", "thinking", API_BLOCK_REASONING},
        {"input_json_delta", "partial_json", API_BLOCK_TOOL},
    };
    const struct gw_json_node *type = gw_json_get(delta, "type");
    struct anthropic_reading *s = state_of(r);

    if (!s->open)
        return api_emit_malformed(r);
    for (size_t i = 0; i < sizeof(deltas) / sizeof(*deltas); i++) {
        if (gw_json_text_is(type, deltas[i].type))
            return s->kind == deltas[i].kind ? put_delta(r, text_of(r, delta, deltas[i].member))
                                             : api_emit_malformed(r);
    }
    if (gw_json_text_is(type, "signature_delta"))
        return s->kind == API_BLOCK_REASONING
                   ? put_signature(r, API_MARK_ANTHROPIC, text_of(r, delta, "signature"))
                   : api_emit_malformed(r);
    /* Where a text comes from: not asked for (requests for it are not translated), and the text is there. */
    if (gw_json_text_is(type, "citations_delta"))
        return GW_OK;
    return api_emit_unsupported(r);
}

/* ---- the end -------------------------------------------------------------------------------- */

static enum api_finish finish_of(const struct gw_json_node *reason)
{
    static const struct {
        const char *reason;
        enum api_finish finish;
    } reasons[] = {
        {"end_turn", API_FINISH_STOP},     {"stop_sequence", API_FINISH_STOP_SEQUENCE},
        {"max_tokens", API_FINISH_LENGTH}, {"model_context_window_exceeded", API_FINISH_LENGTH},
        {"tool_use", API_FINISH_TOOL},     {"refusal", API_FINISH_REFUSAL},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
        if (gw_json_text_is(reason, reasons[i].reason))
            return reasons[i].finish;
    return API_FINISH_OTHER; /* pause_turn too: only Anthropic's own tools pause */
}

/* node: a message or a message_delta's delta. Anthropic's explanation of a refusal becomes a block of its own, since other
 * APIs have a place for it. */
static enum gw_status read_finish(struct api_reader *r, const struct gw_json_node *node)
{
    struct anthropic_reading *s = state_of(r);
    const struct gw_json_node *reason = gw_json_get(node, "stop_reason");
    enum api_finish finish = finish_of(reason);
    struct gw_span why = text_of(r, gw_json_get(node, "stop_details"), "explanation");
    const struct gw_span none = {NULL, 0};

    if (s->finished || !gw_json_is(reason, GW_JSON_STRING))
        return GW_OK;
    GW_TRY(end_block(r));
    if (finish == API_FINISH_REFUSAL && why.len != 0) {
        GW_TRY(begin_block(r, API_BLOCK_REFUSAL, none, none));
        GW_TRY(put_delta(r, why));
        GW_TRY(end_block(r));
    }
    s->finished = true;
    return api_emit_finish(r, 0, finish, text_of(r, node, "stop_sequence"));
}

/* What an answer says of itself before its content, whole or streamed. */
static enum gw_status read_start(struct api_reader *r, const struct gw_json_node *message)
{
    const struct gw_json_node *usage = gw_json_get(message, "usage");
    struct anthropic_reading *s = state_of(r);

    if (gw_json_is(usage, GW_JSON_OBJECT_BEGIN))
        anthropic_read_usage(usage, &s->usage);
    GW_TRY(api_emit_start(r, text_of(r, message, "id"), text_of(r, message, "model"), &s->usage));
    return s->usage.known ? api_emit_usage(r, &s->usage) : GW_OK;
}

static enum gw_status read_usage(struct api_reader *r, const struct gw_json_node *usage)
{
    struct anthropic_reading *s = state_of(r);

    if (!gw_json_is(usage, GW_JSON_OBJECT_BEGIN))
        return GW_OK;
    anthropic_read_usage(usage, &s->usage);
    return api_emit_usage(r, &s->usage);
}

static enum gw_status read_failure(struct api_reader *r, const struct gw_json_node *root)
{
    struct api_failure f = {0};

    anthropic_read_error(0, root, r->arena, &f);
    if (f.message == NULL)
        f.message = api_error_message(f.status);
    return api_emit_error(r, &f);
}

/* ---- whole answers and streams -------------------------------------------------------------- */

static enum gw_status read_message(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *content = gw_json_get(root, "content");

    if (gw_json_text_is(gw_json_get(root, "type"), "error"))
        return read_failure(r, root);
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return GW_EPARSE;
    GW_TRY(read_start(r, root));
    for (const struct gw_json_node *b = content->child; b != NULL && !r->ended; b = b->next) {
        GW_TRY(read_block(r, b));
        GW_TRY(end_block(r));
    }
    return read_finish(r, root);
}

enum gw_status anthropic_read_whole(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(read_message(r, root));
    return state_of(r)->no_memory ? GW_ENOMEM : GW_OK;
}

static enum gw_status message_start(struct api_reader *r, const struct gw_json_node *root)
{
    struct anthropic_reading *s = state_of(r);
    const struct gw_json_node *message = gw_json_get(root, "message");

    if (s->started) /* said twice: the numbers count */
        return read_usage(r, gw_json_get(message, "usage"));
    s->started = true;
    return read_start(r, message);
}

static enum gw_status content_block_start(struct api_reader *r, const struct gw_json_node *root)
{
    if (state_of(r)->finished)
        return api_emit_malformed(r);
    GW_TRY(end_block(r));
    return read_block(r, gw_json_get(root, "content_block"));
}

static enum gw_status content_block_delta(struct api_reader *r, const struct gw_json_node *root)
{
    return read_delta(r, gw_json_get(root, "delta"));
}

static enum gw_status content_block_stop(struct api_reader *r, const struct gw_json_node *root)
{
    (void)root;
    return end_block(r);
}

static enum gw_status message_delta(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(read_usage(r, gw_json_get(root, "usage")));
    return read_finish(r, gw_json_get(root, "delta"));
}

static enum gw_status message_stop(struct api_reader *r, const struct gw_json_node *root)
{
    struct anthropic_reading *s = state_of(r);
    const struct gw_span none = {NULL, 0};

    (void)root;
    GW_TRY(end_block(r));
    if (!s->finished) /* some servers say no reason */
        GW_TRY(api_emit_finish(r, 0, API_FINISH_OTHER, none));
    return api_emit_end(r);
}

enum gw_status anthropic_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                    const struct gw_json_node *root)
{
    static const struct {
        const char *type;
        enum gw_status (*read)(struct api_reader *r, const struct gw_json_node *root);
        bool first; /* may come before message_start */
    } events[] = {
        {"message_start", message_start, true},
        {"content_block_start", content_block_start, false},
        {"content_block_delta", content_block_delta, false},
        {"content_block_stop", content_block_stop, false},
        {"message_delta", message_delta, false},
        {"message_stop", message_stop, false},
        {"error", read_failure, true},
    };
    const struct gw_json_node *type = gw_json_get(root, "type");
    struct anthropic_reading *s = state_of(r);

    if (root == NULL) {
        if (data.len == 0 || gw_span_is(name, "ping") || gw_span_is(data, "[DONE]"))
            return GW_OK;
        return api_emit_malformed(r);
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
        if (!gw_json_text_is(type, events[i].type) &&
            !(type == NULL && gw_span_is(name, events[i].type)))
            continue;
        if (!s->started && !events[i].first)
            return api_emit_malformed(r);
        GW_TRY(events[i].read(r, root));
        return s->no_memory ? GW_ENOMEM : GW_OK;
    }
    return GW_OK;
}
