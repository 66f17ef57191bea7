/* proxy/api/api_completions.c - OpenAI's completions: a prompt instead of messages. Answers are read like those of chat
 * completions (api_chat_answer.c). Pure; any thread.
 *
 * A prompt is one message of the user. Extras that mean something: several prompts, prompts of tokens, suffix, echo,
 * best_of above 1, logprobs as a number is the count of alternatives. */
#include "proxy/api/api_chat_private.h"

/* ---- requests --------------------------------------------------------------------------- */

/* The prompt is read after all else. */
static enum gw_status read_later(struct api_reading *r, const struct gw_json_node *v)
{
    (void)r;
    (void)v;
    return GW_OK;
}

static enum gw_status read_suffix(struct api_reading *r, const struct gw_json_node *v)
{
    bool empty = gw_json_is(v, GW_JSON_STRING) && v->raw.len == 0;

    return api_chat_note(r, empty || api_add_extra(r, false, "suffix"));
}

static enum gw_status read_echo(struct api_reading *r, const struct gw_json_node *v)
{
    return api_chat_note(r, gw_json_is(v, GW_JSON_FALSE) || api_add_extra(r, false, "echo"));
}

static enum gw_status read_best_of(struct api_reading *r, const struct gw_json_node *v)
{
    return api_chat_note(r, gw_json_uint(v, 0) == 1 || api_add_extra(r, false, "best_of"));
}

static enum gw_status read_logprobs(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->top_logprobs = api_number(r, v, "logprobs");
    r->req->logprobs = r->req->top_logprobs.len != 0;
    return GW_OK;
}

static const struct api_chat_member of_completions[] = {
    {"prompt", read_later},    {"suffix", read_suffix},     {"echo", read_echo},
    {"best_of", read_best_of}, {"logprobs", read_logprobs}, {NULL, NULL},
};

/* There is always one message, so that nobody has to ask. */
static enum gw_status read_prompt(struct api_reading *r, const struct gw_json_node *prompt)
{
    struct api_message *m = api_add_message(r, API_ROLE_USER);
    struct api_part *part;
    struct gw_span text;

    if (m == NULL)
        return api_no_memory(r->err);
    if (gw_json_is(prompt, GW_JSON_ARRAY_BEGIN) && prompt->n == 1 &&
        gw_json_is(prompt->child, GW_JSON_STRING))
        prompt = prompt->child;
    if (gw_json_is(prompt, GW_JSON_ARRAY_BEGIN))
        return api_chat_note(r, api_add_extra(r, false, "prompt"));
    if (!gw_json_is(prompt, GW_JSON_STRING))
        return api_chat_note(r, api_note_bad(r, "must be a string", "prompt"));
    text = gw_json_text(prompt, r->arena);
    if (text.len == 0)
        return api_chat_note(r, text.ptr != NULL);
    part = api_add_part(r, m, API_PART_TEXT);
    if (part == NULL)
        return api_no_memory(r->err);
    part->text = text;
    return GW_OK;
}

static enum gw_status read_request(struct api_reading *r, const struct gw_json_node *root)
{
    GW_TRY(api_chat_members(r, root, of_completions, api_chat_common));
    GW_TRY(api_chat_need_model(r, root));
    return read_prompt(r, gw_json_get(root, "prompt"));
}

/* Only what a prompt can say: texts of one message of the user. */
static enum gw_status write_prompt(struct api_writing *w)
{
    const struct api_request *req = w->req;
    const struct api_message *m = req->n_messages == 1 ? req->messages : NULL;
    unsigned n = 0;

    if (m == NULL || m->role != API_ROLE_USER)
        return api_cannot(w, "messages", "a prompt is one message of the user");
    gw_buf_adds(w->out, ",\"prompt\":\"");
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind != API_PART_TEXT)
            return api_cannot(w, "messages[0].content", "a prompt is text");
        if (n++ != 0)
            gw_buf_adds(w->out, "\\n");
        gw_buf_add_json(w->out, m->parts[i].text);
    }
    gw_buf_addc(w->out, '"');
    return GW_OK;
}

static enum gw_status write_request(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (req->n_tools != 0)
        return api_cannot(w, "tools", NULL);
    if (req->format != API_FORMAT_TEXT)
        return api_cannot(w, "response_format", NULL);
    if (req->reasoning_effort.len != 0 || req->reasoning_budget.len != 0)
        api_drop(w, "reasoning");
    gw_buf_adds(w->out, "{\"model\":");
    gw_buf_add_json_str(w->out, w->model);
    GW_TRY(write_prompt(w));
    api_put_raw(w->out, "max_tokens", req->max_tokens);
    GW_TRY(api_chat_write_common(w));
    gw_buf_addc(w->out, '}');
    return GW_OK;
}

/* ---- answers ---------------------------------------------------------------------------- */

static void put_choice_index(unsigned index, struct gw_buf *out)
{
    gw_buf_printf(out, ",\"index\":%u,\"logprobs\":", index);
}

static void put_finish(const char *finish, struct gw_buf *out)
{
    gw_buf_adds(out, ",\"finish_reason\":");
    if (finish == NULL)
        gw_buf_adds(out, "null}");
    else
        gw_buf_printf(out, "\"%s\"}", finish);
}

static void put_chunk(struct api_writer *w, unsigned choice, const struct api_event *ev,
                      const char *finish, struct gw_buf *out)
{
    struct api_chat_writing *s = w->state;

    gw_buf_adds(out, "data: ");
    api_chat_put_envelope(w, "cmpl", "text_completion", out);
    gw_buf_adds(out, ",\"choices\":[{\"text\":");
    gw_buf_add_json_str(out, ev->type == API_EVENT_DELTA ? ev->text : GW_SPAN(""));
    put_choice_index(choice, out);
    if (ev->n_tokens == 0 || choice >= API_MAX_CHOICES)
        gw_buf_adds(out, "null");
    else
        api_completions_put_tokens(out, ev->tokens, ev->n_tokens, &s->choices[choice].n_chars);
    put_finish(finish, out);
    gw_buf_adds(out, w->cfg.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}

/* Texts and refusals are the completion; what a model thought has no place, and nobody can have asked for tools. */
static bool is_text(enum api_block kind)
{
    return kind == API_BLOCK_TEXT || kind == API_BLOCK_REFUSAL;
}

static void put_stream(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    if (ev->type == API_EVENT_DELTA && is_text(ev->kind)) {
        put_chunk(w, ev->choice, ev, NULL, out);
    } else if (ev->type == API_EVENT_FINISH) {
        put_chunk(w, ev->choice, ev, api_chat_finish(ev->finish), out);
    } else if (ev->type == API_EVENT_ERROR) {
        api_chat_write_stream_error(&ev->failure, out);
    } else if (ev->type == API_EVENT_END) {
        api_chat_put_stream_end(w, "cmpl", "text_completion", out);
    }
}

/* There is one block of text. */
static void put_kept_tokens(const struct api_kept_choice *c, struct gw_buf *out)
{
    const struct api_kept_block *b = c->blocks;
    const struct api_token *tokens = NULL;
    size_t n = 0, n_chars = 0;

    for (; b != NULL && n == 0; b = b->next)
        tokens = api_kept_tokens(b, &n);
    if (n == 0)
        gw_buf_adds(out, "null");
    else
        api_completions_put_tokens(out, tokens, n, &n_chars);
}

static void put_text(const struct api_writer *w, unsigned index, const struct api_kept_choice *c,
                     struct gw_buf *out)
{
    (void)w;
    gw_buf_adds(out, "{\"text\":\"");
    for (const struct api_kept_block *b = c->blocks; b != NULL; b = b->next)
        if (is_text(b->kind))
            gw_buf_add_json(out, b->text.span);
    gw_buf_addc(out, '"');
    put_choice_index(index, out);
    put_kept_tokens(c, out);
    put_finish(api_chat_finish(c->finish), out);
}

static enum gw_status put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    struct api_chat_writing *s = w->state;

    if (w->cfg.stream)
        put_stream(w, ev, out);
    else if (ev->type == API_EVENT_END)
        api_chat_put_whole(w, "cmpl", "text_completion", put_text, out);
    else if (ev->type == API_EVENT_ERROR)
        api_chat_write_error(&ev->failure, w->cfg.id, out);
    else
        return api_keep(&s->kept, w->arena, ev);
    return GW_OK;
}

const struct api_ops api_completions_ops = {
    .name = "completions",
    .title = "OpenAI's Completions",
    .read_request = read_request,
    .write_request = write_request,
    .reader_size = sizeof(struct api_chat_reading),
    .read_whole = api_chat_read_whole,
    .read_event = api_chat_read_event,
    .read_end = api_chat_read_end,
    .reader_fini = api_chat_reader_fini,
    .writer_size = sizeof(struct api_chat_writing),
    .put = put,
    .write_error = api_chat_write_error,
    .write_stream_error = api_chat_write_stream_error,
    .read_error = api_chat_read_error,
    .look = api_chat_look,
};
