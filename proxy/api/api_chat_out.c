/* proxy/api/api_chat_out.c - writes answers of chat completions, whole and streamed, for clients of OpenAI's API. Pure; one
 * thread at a time per writer. */
#include "proxy/api/api_chat_private.h"

const char *api_chat_finish(enum api_finish finish)
{
    switch (finish) {
    case API_FINISH_LENGTH:
        return "length";
    case API_FINISH_TOOL:
        return "tool_calls";
    case API_FINISH_FILTER:
    case API_FINISH_REFUSAL: /* OpenAI has no other name for an answer that was cut off for what it says */
        return "content_filter";
    case API_FINISH_NONE:
    case API_FINISH_STOP:
    case API_FINISH_STOP_SEQUENCE:
    case API_FINISH_OTHER:
    default:
        return "stop";
    }
}

/* The client knows only the one call an answer of the time before tools. */
static bool is_legacy(const struct api_writer *w)
{
    return w->cfg.request != NULL && w->cfg.request->legacy_functions;
}

static const char *finish_reason(const struct api_writer *w, enum api_finish finish)
{
    return finish == API_FINISH_TOOL && is_legacy(w) ? "function_call" : api_chat_finish(finish);
}

/* ---- shared with completions --------------------------------------------------------------- */

void api_chat_put_envelope(const struct api_writer *w, const char *prefix, const char *object,
                           struct gw_buf *out)
{
    gw_buf_printf(out, "{\"id\":\"%s-", prefix);
    gw_buf_add_json(out, gw_span_str(w->cfg.id));
    gw_buf_printf(out, "\",\"object\":\"%s\",\"created\":", object);
    gw_buf_addi(out, w->cfg.created);
    gw_buf_adds(out, ",\"model\":");
    gw_buf_add_json_str(out, w->model);
    gw_buf_adds(out, ",\"system_fingerprint\":null");
}

void api_chat_put_usage(const struct api_usage *u, struct gw_buf *out)
{
    gw_buf_adds(out, "{\"prompt_tokens\":");
    gw_buf_addu(out, u->input);
    gw_buf_adds(out, ",\"completion_tokens\":");
    gw_buf_addu(out, u->output);
    gw_buf_adds(out, ",\"total_tokens\":");
    gw_buf_addu(out, u->input + u->output);
    gw_buf_adds(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    gw_buf_addu(out, u->cached);
    gw_buf_adds(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
    gw_buf_addu(out, u->reasoning);
    gw_buf_adds(out, "}}");
}

/* ---- streams ---------------------------------------------------------------------------- */

static void begin_chunk(const struct api_writer *w, unsigned choice, struct gw_buf *out)
{
    gw_buf_adds(out, "data: ");
    api_chat_put_envelope(w, "chatcmpl", "chat.completion.chunk", out);
    gw_buf_adds(out, ",\"choices\":[{\"index\":");
    gw_buf_addu(out, choice);
    gw_buf_adds(out, ",\"delta\":{");
}

/* "logprobs":... of the content. */
static void put_logprobs(const struct api_token *tokens, size_t n, struct gw_buf *out)
{
    if (n == 0) {
        gw_buf_adds(out, "\"logprobs\":null");
        return;
    }
    gw_buf_adds(out, "\"logprobs\":{\"content\":[");
    api_put_tokens(out, tokens, n);
    gw_buf_adds(out, "],\"refusal\":null}");
}

static void end_chunk_with(const struct api_writer *w, const struct api_event *ev,
                           const char *finish, struct gw_buf *out)
{
    gw_buf_adds(out, "},");
    put_logprobs(ev == NULL ? NULL : ev->tokens, ev == NULL ? 0 : ev->n_tokens, out);
    gw_buf_adds(out, ",\"finish_reason\":");
    if (finish == NULL)
        gw_buf_adds(out, "null");
    else
        gw_buf_add_json_str(out, gw_span_str(finish));
    gw_buf_adds(out, w->cfg.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

static void end_chunk(const struct api_writer *w, const char *finish, struct gw_buf *out)
{
    end_chunk_with(w, NULL, finish, out);
}

/* The first chunk of a choice says the role, as OpenAI's does. NULL: no such choice can be. */
static struct api_chat_said *begin_choice(struct api_writer *w, unsigned index, struct gw_buf *out)
{
    struct api_chat_writing *s = w->state;

    if (index >= API_MAX_CHOICES)
        return NULL;
    if (!s->choices[index].begun) {
        s->choices[index].begun = true;
        begin_chunk(w, index, out);
        gw_buf_adds(out, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
        end_chunk(w, NULL, out);
    }
    return &s->choices[index];
}

static void put_call_begin(const struct api_writer *w, struct api_chat_said *c,
                           const struct api_event *ev, struct gw_buf *out)
{
    begin_chunk(w, ev->choice, out);
    if (is_legacy(w)) {
        gw_buf_adds(out, "\"function_call\":{\"name\":");
        gw_buf_add_json_str(out, ev->name);
        gw_buf_adds(out, ",\"arguments\":\"\"}");
    } else {
        gw_buf_printf(out, "\"tool_calls\":[{\"index\":%u,\"id\":", c->n_calls);
        gw_buf_add_json_str(out, ev->id);
        gw_buf_adds(out, ",\"type\":\"function\",\"function\":{\"name\":");
        gw_buf_add_json_str(out, ev->name);
        gw_buf_adds(out, ",\"arguments\":\"\"}}]");
    }
    end_chunk(w, NULL, out);
    c->n_calls++;
    c->arguments = false;
}

static void put_arguments(const struct api_writer *w, struct api_chat_said *c, unsigned choice,
                          struct gw_span text, struct gw_buf *out)
{
    begin_chunk(w, choice, out);
    if (is_legacy(w))
        gw_buf_adds(out, "\"function_call\":{\"arguments\":");
    else
        gw_buf_printf(out, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":",
                      c->n_calls == 0 ? 0 : c->n_calls - 1);
    gw_buf_add_json_str(out, text);
    gw_buf_adds(out, is_legacy(w) ? "}" : "}}]");
    end_chunk(w, NULL, out);
    c->arguments = true;
}

static void put_delta(const struct api_writer *w, struct api_chat_said *c,
                      const struct api_event *ev, struct gw_buf *out)
{
    if (ev->text.len == 0 && ev->n_tokens == 0)
        return;
    if (ev->kind == API_BLOCK_TOOL) {
        put_arguments(w, c, ev->choice, ev->text, out);
        return;
    }
    begin_chunk(w, ev->choice, out);
    gw_buf_adds(out, ev->kind == API_BLOCK_REASONING ? "\"reasoning_content\":"
                     : ev->kind == API_BLOCK_REFUSAL ? "\"refusal\":"
                                                     : "\"content\":");
    gw_buf_add_json_str(out, ev->text);
    end_chunk_with(w, ev, NULL, out);
}

void api_chat_put_stream_end(const struct api_writer *w, const char *prefix, const char *object,
                             struct gw_buf *out)
{
    if (w->cfg.include_usage && w->usage.known) {
        gw_buf_adds(out, "data: ");
        api_chat_put_envelope(w, prefix, object, out);
        gw_buf_adds(out, ",\"choices\":[],\"usage\":");
        api_chat_put_usage(&w->usage, out);
        gw_buf_adds(out, "}\n\n");
    }
    gw_buf_adds(out, "data: [DONE]\n\n");
}

/* Signatures of reasoning have no place here. */
static enum gw_status put_stream(struct api_writer *w, const struct api_event *ev,
                                 struct gw_buf *out)
{
    struct api_chat_said *c;

    if (ev->type == API_EVENT_USAGE || ev->type == API_EVENT_SIGNATURE)
        return GW_OK;
    if (ev->type == API_EVENT_ERROR) {
        api_chat_write_stream_error(&ev->failure, out);
        return GW_OK;
    }
    if (ev->type == API_EVENT_END) {
        api_chat_put_stream_end(w, "chatcmpl", "chat.completion.chunk", out);
        return GW_OK;
    }
    c = begin_choice(w, ev->type == API_EVENT_START ? 0 : ev->choice, out);
    if (c == NULL)
        return GW_ELIMIT;
    if (ev->type == API_EVENT_BLOCK && ev->kind == API_BLOCK_TOOL) {
        put_call_begin(w, c, ev, out);
    } else if (ev->type == API_EVENT_DELTA) {
        put_delta(w, c, ev, out);
    } else if (ev->type == API_EVENT_BLOCK_END && ev->kind == API_BLOCK_TOOL) {
        if (!c->arguments) /* clients parse them */
            put_arguments(w, c, ev->choice, GW_SPAN("{}"), out);
    } else if (ev->type == API_EVENT_FINISH) {
        begin_chunk(w, ev->choice, out);
        end_chunk(w, finish_reason(w, ev->finish), out);
    }
    return GW_OK;
}

/* ---- whole answers ------------------------------------------------------------------------- */

/* All texts of a kind as one string; null, or with optional: nothing, when there are none. */
static void put_texts(const struct api_kept_choice *c, enum api_block kind, const char *name,
                      bool optional, struct gw_buf *out)
{
    bool any = false;

    for (const struct api_kept_block *b = c->blocks; b != NULL; b = b->next) {
        if (b->kind != kind || b->text.span.len == 0)
            continue;
        if (!any)
            gw_buf_printf(out, ",\"%s\":\"", name);
        any = true;
        gw_buf_add_json(out, b->text.span);
    }
    if (any)
        gw_buf_addc(out, '"');
    else if (!optional)
        gw_buf_printf(out, ",\"%s\":null", name);
}

static void put_function(const struct api_kept_block *b, struct gw_buf *out)
{
    gw_buf_adds(out, "{\"name\":");
    gw_buf_add_json_str(out, b->name);
    gw_buf_adds(out, ",\"arguments\":");
    gw_buf_add_json_str(out, api_or_empty_object(b->text.span));
    gw_buf_addc(out, '}');
}

static void put_calls(const struct api_writer *w, const struct api_kept_choice *c,
                      struct gw_buf *out)
{
    bool any = false;

    for (const struct api_kept_block *b = c->blocks; b != NULL; b = b->next) {
        if (b->kind != API_BLOCK_TOOL)
            continue;
        if (is_legacy(w)) {
            gw_buf_adds(out, ",\"function_call\":");
            put_function(b, out);
            return;
        }
        gw_buf_adds(out, any ? ",{\"id\":" : ",\"tool_calls\":[{\"id\":");
        gw_buf_add_json_str(out, b->id);
        gw_buf_adds(out, ",\"type\":\"function\",\"function\":");
        put_function(b, out);
        gw_buf_addc(out, '}');
        any = true;
    }
    if (any)
        gw_buf_addc(out, ']');
}

static void put_kept_logprobs(const struct api_kept_choice *c, struct gw_buf *out)
{
    bool any = false;

    for (const struct api_kept_block *b = c->blocks; b != NULL; b = b->next) {
        size_t n;
        const struct api_token *tokens = api_kept_tokens(b, &n);

        if (n == 0)
            continue;
        gw_buf_adds(out, any ? "," : "\"logprobs\":{\"content\":[");
        any = true;
        api_put_tokens(out, tokens, n);
    }
    gw_buf_adds(out, any ? "],\"refusal\":null}" : "\"logprobs\":null");
}

static void put_choice(const struct api_writer *w, unsigned index, const struct api_kept_choice *c,
                       struct gw_buf *out)
{
    gw_buf_printf(out, "{\"index\":%u,\"message\":{\"role\":\"assistant\"", index);
    put_texts(c, API_BLOCK_TEXT, "content", false, out);
    put_texts(c, API_BLOCK_REASONING, "reasoning_content", true, out);
    put_texts(c, API_BLOCK_REFUSAL, "refusal", false, out);
    put_calls(w, c, out);
    gw_buf_adds(out, "},");
    put_kept_logprobs(c, out);
    gw_buf_printf(out, ",\"finish_reason\":\"%s\"}", finish_reason(w, c->finish));
}

void api_chat_put_whole(const struct api_writer *w, const char *prefix, const char *object,
                        api_chat_choice_fn fn, struct gw_buf *out)
{
    const struct api_chat_writing *s = w->state;
    const char *between = "";

    api_chat_put_envelope(w, prefix, object, out);
    gw_buf_adds(out, ",\"choices\":[");
    for (unsigned i = 0; i < s->kept.n_choices; i++) {
        if (s->kept.choices[i] == NULL)
            continue;
        gw_buf_adds(out, between);
        between = ",";
        fn(w, i, s->kept.choices[i], out);
    }
    gw_buf_addc(out, ']');
    if (w->usage.known) {
        gw_buf_adds(out, ",\"usage\":");
        api_chat_put_usage(&w->usage, out);
    }
    gw_buf_adds(out, "}\n");
}

enum gw_status api_chat_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct api_chat_writing *s = w->state;

    if (w->cfg.stream)
        return put_stream(w, ev, out);
    if (ev->type == API_EVENT_END)
        api_chat_put_whole(w, "chatcmpl", "chat.completion", put_choice, out);
    else if (ev->type == API_EVENT_ERROR)
        api_chat_write_error(&ev->failure, w->cfg.id, out);
    else
        return api_keep(&s->kept, w->arena, ev);
    return GW_OK;
}
