/* proxy/api/api_anthropic_out.c - writes answers as Anthropic's, whole and streamed. Pure; one thread at a time per writer.
 *
 * An answer has one message, so choices but the first are passed over: no request that is answered here can ask for
 * them. A refusal's text is text, and the reason says what it is. Arguments that are no JSON object (a model's broken
 * call) are passed on as they are in a stream, and as {"_raw":"the text"} in a whole answer, whose form demands an
 * object. Reasoning of others has no signature, or one that only they know: it is marked, the client sends it back as it
 * is, and only the target that it came from gets it again (api_private.h, api_foreign.c). */
#include "proxy/api/api_anthropic.h"

static struct anthropic_writing *state_of(struct api_writer *w)
{
    return w->state;
}

/* "display": "omitted": a thinking block has its signature, but no text. */
static bool hides_reasoning(const struct api_writer *w)
{
    return w->cfg.request != NULL && w->cfg.request->reasoning_shown == API_NO;
}

static const char *stop_reason(const struct anthropic_writing *s, enum api_finish finish)
{
    switch (finish) {
    case API_FINISH_STOP_SEQUENCE:
        return "stop_sequence";
    case API_FINISH_LENGTH:
        return "max_tokens";
    case API_FINISH_TOOL:
        return "tool_use";
    case API_FINISH_FILTER:
    case API_FINISH_REFUSAL:
        return "refusal";
    case API_FINISH_NONE:
    case API_FINISH_STOP:
    case API_FINISH_OTHER:
    default:
        if (s->has_tool) /* providers that call it a stop: clients run tools on this reason only */
            return "tool_use";
        return s->has_refusal ? "refusal" : "end_turn";
    }
}

static void put_stop(struct gw_buf *out, const struct anthropic_writing *s, enum api_finish finish,
                     struct gw_span stop)
{
    gw_buf_printf(out, "\"stop_reason\":\"%s\",\"stop_sequence\":", stop_reason(s, finish));
    if (finish == API_FINISH_STOP_SEQUENCE && stop.len != 0)
        gw_buf_add_json_str(out, stop);
    else
        gw_buf_adds(out, "null");
}

static void put_usage(struct gw_buf *out, const struct api_usage *u)
{
    uint64_t aside = u->cached + u->cache_write;

    gw_buf_adds(out, "\"usage\":{\"input_tokens\":");
    gw_buf_addu(out, u->input > aside ? u->input - aside : 0);
    gw_buf_adds(out, ",\"cache_creation_input_tokens\":");
    gw_buf_addu(out, u->cache_write);
    gw_buf_adds(out, ",\"cache_read_input_tokens\":");
    gw_buf_addu(out, u->cached);
    gw_buf_adds(out, ",\"output_tokens\":");
    gw_buf_addu(out, u->output);
    if (u->reasoning != 0) {
        gw_buf_adds(out, ",\"output_tokens_details\":{\"thinking_tokens\":");
        gw_buf_addu(out, u->reasoning);
        gw_buf_addc(out, '}');
    }
    gw_buf_addc(out, '}');
}

static void put_envelope(struct gw_buf *out, const struct api_writer *w)
{
    gw_buf_adds(out, "{\"id\":\"msg_");
    gw_buf_add_json(out, gw_span_str(w->cfg.id));
    gw_buf_adds(out, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    gw_buf_add_json_str(out, w->model);
    gw_buf_adds(out, ",\"content\":[");
}

/* A call's id; where the provider gave none, one made of the request's and the block's number. */
static void put_tool(struct gw_buf *out, const struct api_writer *w, unsigned n, struct gw_span id,
                     struct gw_span name)
{
    gw_buf_adds(out, "{\"type\":\"tool_use\",\"id\":");
    if (id.len != 0) {
        gw_buf_add_json_str(out, id);
    } else {
        gw_buf_adds(out, "\"toolu_");
        gw_buf_add_json(out, gw_span_str(w->cfg.id));
        gw_buf_printf(out, "_%u\"", n);
    }
    gw_buf_adds(out, ",\"name\":");
    gw_buf_add_json_str(out, name);
    gw_buf_adds(out, ",\"input\":");
}

/* ---- streams -------------------------------------------------------------------------------- */

static void begin_event(struct gw_buf *out, const char *type)
{
    gw_buf_printf(out, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void end_event(struct gw_buf *out)
{
    gw_buf_adds(out, "}\n\n");
}

static void stream_start(struct api_writer *w, struct gw_buf *out)
{
    begin_event(out, "message_start");
    gw_buf_adds(out, ",\"message\":");
    put_envelope(out, w);
    gw_buf_adds(out, "],\"stop_reason\":null,\"stop_sequence\":null,");
    put_usage(out, &w->usage);
    gw_buf_addc(out, '}');
    end_event(out);
}

static void put_delta(struct api_writer *w, const char *type, const char *member,
                      struct gw_span text, struct gw_buf *out)
{
    begin_event(out, "content_block_delta");
    gw_buf_printf(out, ",\"index\":%u,\"delta\":{\"type\":\"%s\"", state_of(w)->n_blocks - 1, type);
    api_put_text(out, member, text);
    gw_buf_addc(out, '}');
    end_event(out);
}

static void stream_block_end(struct api_writer *w, struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    if (!s->open)
        return;
    s->open = false;
    if (s->kind == API_BLOCK_REASONING && !s->has_signature)
        put_delta(w, "signature_delta", "signature", GW_SPAN(API_MARK_NONE), out);
    begin_event(out, "content_block_stop");
    gw_buf_printf(out, ",\"index\":%u", s->n_blocks - 1);
    end_event(out);
}

static void stream_block(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    stream_block_end(w, out);
    s->open = true;
    s->has_signature = false;
    s->kind = ev->kind;
    begin_event(out, "content_block_start");
    gw_buf_printf(out, ",\"index\":%u,\"content_block\":", s->n_blocks);
    if (ev->kind == API_BLOCK_TOOL) {
        put_tool(out, w, s->n_blocks, ev->id, ev->name);
        gw_buf_adds(out, "{}}");
    } else if (ev->kind == API_BLOCK_REASONING) {
        gw_buf_adds(out, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    } else {
        gw_buf_adds(out, "{\"type\":\"text\",\"text\":\"\"}");
    }
    end_event(out);
    s->n_blocks++;
}

static void stream_delta(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    if (ev->text.len == 0 || (ev->kind == API_BLOCK_REASONING && hides_reasoning(w)))
        return;
    if (!s->open) /* no reader does that; its text is not lost all the same */
        stream_block(w, ev, out);
    if (s->kind == API_BLOCK_TOOL)
        put_delta(w, "input_json_delta", "partial_json", ev->text, out);
    else if (s->kind == API_BLOCK_REASONING)
        put_delta(w, "thinking_delta", "thinking", ev->text, out);
    else
        put_delta(w, "text_delta", "text", ev->text, out);
}

static void stream_end(struct api_writer *w, struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    stream_block_end(w, out);
    begin_event(out, "message_delta");
    gw_buf_adds(out, ",\"delta\":{");
    put_stop(out, s, s->finish, s->stop);
    gw_buf_adds(out, "},");
    put_usage(out, &w->usage);
    end_event(out);
    begin_event(out, "message_stop");
    end_event(out);
}

static enum gw_status put_streamed(struct api_writer *w, const struct api_event *ev,
                                   struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    switch (ev->type) {
    case API_EVENT_START:
        stream_start(w, out);
        break;
    case API_EVENT_BLOCK:
        stream_block(w, ev, out);
        break;
    case API_EVENT_DELTA:
        stream_delta(w, ev, out);
        break;
    case API_EVENT_SIGNATURE:
        if (s->open && s->kind == API_BLOCK_REASONING) {
            s->has_signature = true;
            put_delta(w, "signature_delta", "signature", ev->text, out);
        }
        break;
    case API_EVENT_BLOCK_END:
        stream_block_end(w, out);
        break;
    case API_EVENT_FINISH:
        s->finish = ev->finish;
        s->stop = gw_arena_copy(w->arena, ev->text);
        return s->stop.ptr == NULL ? GW_ENOMEM : GW_OK;
    case API_EVENT_ERROR:
        anthropic_write_stream_error(&ev->failure, out);
        break;
    case API_EVENT_END:
        stream_end(w, out);
        break;
    case API_EVENT_USAGE:
    default:
        break; /* the writer keeps it */
    }
    return GW_OK;
}

/* ---- whole answers -------------------------------------------------------------------------- */

static bool put_block(struct gw_buf *out, struct api_writer *w, struct gw_json *json,
                      const struct api_kept_block *b, unsigned n)
{
    if (b->kind == API_BLOCK_TOOL) {
        put_tool(out, w, n, b->id, b->name);
        if (!anthropic_put_input(out, json, b->text.span))
            return false;
    } else if (b->kind == API_BLOCK_REASONING) {
        gw_buf_adds(out, "{\"type\":\"thinking\",\"thinking\":");
        gw_buf_add_json_str(out, hides_reasoning(w) ? GW_SPAN("") : b->text.span);
        gw_buf_adds(out, ",\"signature\":");
        gw_buf_add_json_str(out, b->signature.span.len != 0 ? b->signature.span
                                                            : GW_SPAN(API_MARK_NONE));
    } else {
        gw_buf_adds(out, "{\"type\":\"text\",\"text\":");
        gw_buf_add_json_str(out, b->text.span);
    }
    gw_buf_addc(out, '}');
    return true;
}

static enum gw_status put_message(struct api_writer *w, struct gw_buf *out)
{
    static const struct api_kept_choice nothing = {0};
    struct anthropic_writing *s = state_of(w);
    const struct api_kept_choice *c = s->kept.choices[0] != NULL ? s->kept.choices[0] : &nothing;
    struct gw_json *json = gw_json_new();
    bool ok = json != NULL;
    unsigned n = 0;

    put_envelope(out, w);
    for (const struct api_kept_block *b = c->blocks; b != NULL && ok; b = b->next) {
        if (n != 0)
            gw_buf_addc(out, ',');
        ok = put_block(out, w, json, b, n++);
    }
    gw_json_free(json);
    gw_buf_adds(out, "],");
    put_stop(out, s, c->finish, c->stop);
    gw_buf_addc(out, ',');
    put_usage(out, &w->usage);
    gw_buf_adds(out, "}\n");
    return ok && gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

enum gw_status anthropic_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct anthropic_writing *s = state_of(w);

    if (ev->choice != 0)
        return GW_OK;
    if (ev->type == API_EVENT_BLOCK) {
        s->has_tool = s->has_tool || ev->kind == API_BLOCK_TOOL;
        s->has_refusal = s->has_refusal || ev->kind == API_BLOCK_REFUSAL;
    }
    if (w->cfg.stream)
        return put_streamed(w, ev, out);
    if (ev->type == API_EVENT_END)
        return put_message(w, out);
    if (ev->type == API_EVENT_ERROR) {
        anthropic_write_error(&ev->failure, w->cfg.id, out);
        return GW_OK;
    }
    return api_keep(&s->kept, w->arena, ev);
}
