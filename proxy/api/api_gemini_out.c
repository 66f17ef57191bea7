/* proxy/api/api_gemini_out.c - events as answers of generateContent, and as the chunks of streamGenerateContent, which are
 * server-sent events or elements of one array. No comments ever: google-genai 3.4 cannot read them.
 *
 * A stream's texts go out as they come; a function call is one part and goes out at the end of its block; how candidates
 * finished and what was used are one last chunk, which is where clients look. Pure; one thread at a time per writer. */
#include "proxy/api/api_gemini.h"

static struct gemini_output *state_of(struct api_writer *w)
{
    return w->state;
}

void gemini_writer_fini(struct api_writer *w)
{
    gw_json_free(state_of(w)->json);
}

/* ---- pieces -------------------------------------------------------------------------------- */

/* ,"usageMetadata":{...},"modelVersion":"...","responseId":"..." */
static void add_trailer(struct api_writer *w, struct gw_buf *out)
{
    const struct api_usage *u = &w->usage;
    uint64_t shown = u->output - (u->reasoning < u->output ? u->reasoning : u->output);

    if (u->known) {
        gw_buf_adds(out, ",\"usageMetadata\":{\"promptTokenCount\":");
        gw_buf_addu(out, u->input);
        gw_buf_adds(out, ",\"candidatesTokenCount\":");
        gw_buf_addu(out, shown);
        gw_buf_adds(out, ",\"totalTokenCount\":");
        gw_buf_addu(out, u->input + u->output);
        if (u->cached != 0) {
            gw_buf_adds(out, ",\"cachedContentTokenCount\":");
            gw_buf_addu(out, u->cached);
        }
        if (u->reasoning != 0) {
            gw_buf_adds(out, ",\"thoughtsTokenCount\":");
            gw_buf_addu(out, u->reasoning);
        }
        gw_buf_addc(out, '}');
    }
    api_put_text(out, "modelVersion", w->model);
    api_put_text(out, "responseId", gw_span_str(w->cfg.id));
}

static const char *reason_of(enum api_finish finish, bool bad_call)
{
    if (bad_call)
        return "MALFORMED_FUNCTION_CALL";
    switch (finish) {
    case API_FINISH_STOP:
    case API_FINISH_STOP_SEQUENCE:
    case API_FINISH_TOOL:
        return "STOP";
    case API_FINISH_LENGTH:
        return "MAX_TOKENS";
    case API_FINISH_FILTER:
    case API_FINISH_REFUSAL:
        return "SAFETY";
    case API_FINISH_NONE:
    case API_FINISH_OTHER:
    default:
        return "OTHER";
    }
}

/* JSON on one line: blanks between its tokens are left out. text is valid JSON, so control bytes are such blanks. */
static void add_line(struct gw_buf *out, struct gw_span text)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = at;

        while (end < text.len && (unsigned char)text.ptr[end] >= ' ')
            end++;
        gw_buf_add(out, (struct gw_span){text.ptr + at, end - at});
        at = end + (end < text.len);
    }
}

/* True when the block's text is no JSON object, as models sometimes write calls. Nothing yet is an empty object. */
static bool is_bad_call(struct api_writer *w, const struct api_kept_block *b)
{
    return b->kind == API_BLOCK_TOOL && b->text.span.len != 0 &&
           !gemini_is_object(&state_of(w)->json, b->text.span);
}

static void add_text_part(struct gw_buf *out, enum api_block kind, struct gw_span text,
                          struct gw_span signature)
{
    gw_buf_adds(out, "{\"text\":");
    gw_buf_add_json_str(out, text);
    if (kind == API_BLOCK_REASONING)
        gw_buf_adds(out, ",\"thought\":true");
    if (signature.len != 0)
        api_put_text(out, "thoughtSignature", signature);
    gw_buf_addc(out, '}');
}

static void add_call_part(struct gw_buf *out, const struct api_kept_block *b)
{
    gw_buf_adds(out, "{\"functionCall\":{\"name\":");
    gw_buf_add_json_str(out, b->name);
    if (b->id.len != 0)
        api_put_text(out, "id", b->id);
    gw_buf_adds(out, ",\"args\":");
    add_line(out, api_or_empty_object(b->text.span));
    gw_buf_adds(out, "}}");
}

/* ,"finishMessage":"..." with the call that is no JSON, so that nothing of the answer is lost. */
static void add_bad_call(struct gw_buf *out, const struct api_kept_block *b)
{
    gw_buf_adds(out, ",\"finishMessage\":\"Malformed function call: ");
    gw_buf_add_json(out, b->name);
    gw_buf_addc(out, '(');
    gw_buf_add_json(out, b->text.span);
    gw_buf_adds(out, ")\"");
}

/* The end of a candidate, from behind its content: why it finished, and which one it is. bad: its first call that is
 * none, or NULL. */
static void add_finish(struct gw_buf *out, const struct api_kept_choice *c,
                       const struct api_kept_block *bad, unsigned choice)
{
    gw_buf_adds(out, "\"finishReason\":\"");
    gw_buf_adds(out, reason_of(c->finish, bad != NULL));
    gw_buf_addc(out, '"');
    if (bad != NULL)
        add_bad_call(out, bad);
    gw_buf_adds(out, ",\"index\":");
    gw_buf_addu(out, choice);
    gw_buf_addc(out, '}');
}

static const struct api_kept_block *first_bad_call(struct api_writer *w,
                                                   const struct api_kept_choice *c)
{
    const struct api_kept_block *b = c->blocks;

    while (b != NULL && !is_bad_call(w, b))
        b = b->next;
    return b;
}

/* ---- streams --------------------------------------------------------------------------------- */

static void begin_chunk(struct api_writer *w, struct gw_buf *out)
{
    struct gemini_output *s = state_of(w);

    if (!w->cfg.json_array)
        gw_buf_adds(out, "data: ");
    else
        gw_buf_adds(out, s->wrote ? ",\r\n" : "[");
    s->wrote = true;
    gw_buf_adds(out, "{\"candidates\":[");
}

static void end_chunk(struct api_writer *w, struct gw_buf *out)
{
    gw_buf_addc(out, ']');
    add_trailer(w, out);
    gw_buf_adds(out, w->cfg.json_array ? "}" : "}\r\n\r\n");
}

static void begin_part(struct api_writer *w, struct gw_buf *out)
{
    begin_chunk(w, out);
    gw_buf_adds(out, "{\"content\":{\"parts\":[");
}

static void end_part(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    gw_buf_adds(out, "],\"role\":\"model\"}");
    api_gemini_put_tokens(out, ev->tokens, ev->n_tokens);
    gw_buf_adds(out, ",\"index\":");
    gw_buf_addu(out, ev->choice);
    gw_buf_addc(out, '}');
    end_chunk(w, out);
}

static enum gw_status put_call(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct gemini_output *s = state_of(w);
    const struct api_kept_block *b;

    GW_TRY(api_keep(&s->kept, w->arena, ev));
    if (ev->type != API_EVENT_BLOCK_END)
        return GW_OK;
    b = s->kept.choices[ev->choice]->last;
    if (b == NULL || is_bad_call(w, b)) /* said at the end */
        return GW_OK;
    begin_part(w, out);
    add_call_part(out, b);
    end_part(w, ev, out);
    return GW_OK;
}

/* The last chunk, with every candidate that finished. An empty text keeps it whole for clients that refuse contents
 * without parts. */
static void put_end(struct api_writer *w, struct gw_buf *out)
{
    struct gemini_output *s = state_of(w);
    bool comma = false;

    begin_chunk(w, out);
    for (unsigned i = 0; i < s->kept.n_choices; i++) {
        const struct api_kept_choice *c = s->kept.choices[i];

        if (c == NULL)
            continue;
        gw_buf_adds(out, comma ? ",{" : "{");
        comma = true;
        gw_buf_adds(out, "\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},");
        add_finish(out, c, first_bad_call(w, c), i);
    }
    end_chunk(w, out);
    if (w->cfg.json_array)
        gw_buf_addc(out, ']');
}

static void put_failure(struct api_writer *w, const struct api_failure *f, struct gw_buf *out)
{
    struct gemini_output *s = state_of(w);

    if (!w->cfg.json_array) {
        gemini_write_stream_error(f, out);
        return;
    }
    gw_buf_adds(out, s->wrote ? ",\r\n" : "[");
    gemini_write_error(f, NULL, out);
    gw_buf_addc(out, ']');
}

static enum gw_status put_stream(struct api_writer *w, const struct api_event *ev,
                                 struct gw_buf *out)
{
    const struct gw_span none = {NULL, 0};

    switch (ev->type) {
    case API_EVENT_BLOCK:
    case API_EVENT_BLOCK_END:
        return ev->kind == API_BLOCK_TOOL ? put_call(w, ev, out) : GW_OK;
    case API_EVENT_DELTA:
        if (ev->kind == API_BLOCK_TOOL)
            return put_call(w, ev, out);
        begin_part(w, out);
        add_text_part(out, ev->kind, ev->text, none);
        end_part(w, ev, out);
        return GW_OK;
    case API_EVENT_SIGNATURE:
        begin_part(w, out);
        add_text_part(out, API_BLOCK_REASONING, none, ev->text);
        end_part(w, ev, out);
        return GW_OK;
    case API_EVENT_FINISH:
        return api_keep(&state_of(w)->kept, w->arena, ev);
    case API_EVENT_ERROR:
        put_failure(w, &ev->failure, out);
        return GW_OK;
    case API_EVENT_END:
        put_end(w, out);
        return GW_OK;
    case API_EVENT_START:
    case API_EVENT_USAGE:
    default:
        return GW_OK;
    }
}

/* ---- whole answers -------------------------------------------------------------------------- */

/* Of its one text: where there are more, of the first that has any. */
static void add_kept_tokens(const struct api_kept_choice *c, struct gw_buf *out)
{
    const struct api_token *tokens = NULL;
    size_t n = 0;

    for (const struct api_kept_block *b = c->blocks; b != NULL && n == 0; b = b->next)
        tokens = api_kept_tokens(b, &n);
    api_gemini_put_tokens(out, tokens, n);
}

/* The content of a candidate, if it has one. */
static void add_content(struct api_writer *w, const struct api_kept_choice *c, struct gw_buf *out)
{
    bool comma = false;

    gw_buf_adds(out, "\"content\":{\"parts\":[");
    for (const struct api_kept_block *b = c->blocks; b != NULL; b = b->next) {
        if (is_bad_call(w, b) ||
            (b->kind != API_BLOCK_TOOL && b->text.span.len == 0 && b->signature.span.len == 0))
            continue;
        if (comma)
            gw_buf_addc(out, ',');
        comma = true;
        if (b->kind == API_BLOCK_TOOL)
            add_call_part(out, b);
        else
            add_text_part(out, b->kind, b->text.span, b->signature.span);
    }
    gw_buf_adds(out, comma ? "],\"role\":\"model\"}" : "{\"text\":\"\"}],\"role\":\"model\"}");
    add_kept_tokens(c, out);
    gw_buf_addc(out, ',');
}

static void put_whole(struct api_writer *w, struct gw_buf *out)
{
    struct gemini_output *s = state_of(w);
    bool comma = false;

    gw_buf_adds(out, "{\"candidates\":[");
    for (unsigned i = 0; i < s->kept.n_choices; i++) {
        const struct api_kept_choice *c = s->kept.choices[i];

        if (c == NULL)
            continue;
        gw_buf_adds(out, comma ? ",{" : "{");
        comma = true;
        add_content(w, c, out);
        add_finish(out, c, first_bad_call(w, c), i);
    }
    gw_buf_addc(out, ']');
    add_trailer(w, out);
    gw_buf_adds(out, "}\n");
}

enum gw_status gemini_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    if (w->cfg.stream)
        return put_stream(w, ev, out);
    if (ev->type == API_EVENT_ERROR)
        gemini_write_error(&ev->failure, w->cfg.id, out);
    else if (ev->type == API_EVENT_END)
        put_whole(w, out);
    else
        return api_keep(&state_of(w)->kept, w->arena, ev);
    return GW_OK;
}
