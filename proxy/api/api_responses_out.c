/* proxy/api/api_responses_out.c - answers in OpenAI's Responses API, written from events. Pure; one thread at a time per
 * writer.
 *
 * Each block is an item of the output: a text or refusal is a message with one part, a tool call a function_call, a
 * reasoning block a reasoning item with one part of summary. Its number is its place among them. A stream tells, in
 * this order:
 *
 *   START      response.created, response.in_progress
 *   BLOCK      response.output_item.added; and for texts and reasoning the part that is added
 *   DELTA      the delta of that kind
 *   BLOCK_END  nothing yet
 *   FINISH, the next BLOCK or END: the done events of text, part and item. They hold the item's status, which is
 *              "incomplete" where the answer broke off, and only FINISH tells that.
 *   END        response.completed or response.incomplete, with the whole response; there is no "[DONE]"
 *   ERROR      error, which the SDKs raise on, and response.failed, which agents without an SDK wait for
 *
 * Everything is kept until the end, because the last event repeats it. */
#include "proxy/api/api_responses_private.h"

static struct api_responses_writer *state_of(const struct api_writer *w)
{
    return w->state;
}

static const struct api_kept_choice *choice_of(const struct api_writer *w)
{
    return state_of(w)->kept.choices[0];
}

/* ---- events ------------------------------------------------------------------------------- */

/* event: TYPE, data: {"type":TYPE,"sequence_number":N */
static void begin_event(struct api_writer *w, const char *type, struct gw_buf *out)
{
    gw_buf_printf(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u", type, type,
                  state_of(w)->sequence++);
}

static void end_event(struct gw_buf *out)
{
    gw_buf_adds(out, "}\n\n");
}

static void put_response_event(struct api_writer *w, const char *type, const char *status,
                               const char *incomplete, const struct api_failure *failure,
                               struct gw_buf *out)
{
    begin_event(w, type, out);
    gw_buf_adds(out, ",\"response\":");
    api_responses_put_object(w, status, incomplete, failure, out);
    end_event(out);
}

/* The newest block's number among the items. */
static unsigned item_number(const struct api_writer *w)
{
    return state_of(w)->n_items - 1;
}

/* An event about a part of the newest item; index is the part's counter, or NULL for calls. */
static void begin_part_event(struct api_writer *w, const struct api_kept_block *b, const char *type,
                             const char *index, struct gw_buf *out)
{
    begin_event(w, type, out);
    gw_buf_adds(out, ",\"item_id\":");
    api_responses_put_item_id(w, b->kind, item_number(w), out);
    gw_buf_printf(out, ",\"output_index\":%u", item_number(w));
    if (index != NULL)
        gw_buf_printf(out, ",\"%s\":0", index);
}

static void put_item_event(struct api_writer *w, const struct api_kept_block *b, const char *type,
                           const char *status, bool empty, struct gw_buf *out)
{
    begin_event(w, type, out);
    gw_buf_printf(out, ",\"output_index\":%u,\"item\":", item_number(w));
    api_responses_put_item(w, b, item_number(w), status, empty, out);
    end_event(out);
}

static void put_summary_part(struct gw_span text, struct gw_buf *out)
{
    gw_buf_adds(out, ",\"part\":{\"type\":\"summary_text\",\"text\":");
    gw_buf_add_json_str(out, text);
    gw_buf_adds(out, "}");
}

/* What differs between the kinds of blocks; a part's events are not written for those that have none. */
static const struct kind {
    const char *index, *part_added, *part_done, *delta, *done, *member;
    bool logprobs;
} kinds[] = {
    [API_BLOCK_TEXT] = {"content_index", "response.content_part.added",
                        "response.content_part.done", "response.output_text.delta",
                        "response.output_text.done", "text", true},
    [API_BLOCK_REFUSAL] = {"content_index", "response.content_part.added",
                           "response.content_part.done", "response.refusal.delta",
                           "response.refusal.done", "refusal", false},
    [API_BLOCK_REASONING] = {"summary_index", "response.reasoning_summary_part.added",
                             "response.reasoning_summary_part.done",
                             "response.reasoning_summary_text.delta",
                             "response.reasoning_summary_text.done", "text", false},
    [API_BLOCK_TOOL] = {NULL, NULL, NULL, "response.function_call_arguments.delta",
                        "response.function_call_arguments.done", "arguments", false},
};

static void put_part_event(struct api_writer *w, const struct api_kept_block *b, const char *type,
                           bool empty, struct gw_buf *out)
{
    begin_part_event(w, b, type, kinds[b->kind].index, out);
    if (b->kind == API_BLOCK_REASONING) {
        put_summary_part(empty ? GW_SPAN("") : b->text.span, out);
    } else {
        gw_buf_adds(out, ",\"part\":");
        api_responses_put_part(b, empty, out);
    }
    end_event(out);
}

static void put_delta(struct api_writer *w, const struct api_kept_block *b, struct gw_span text,
                      const struct api_event *ev, struct gw_buf *out)
{
    const struct kind *kind = &kinds[b->kind];

    begin_part_event(w, b, kind->delta, kind->index, out);
    gw_buf_adds(out, ",\"delta\":");
    gw_buf_add_json_str(out, text);
    if (kind->logprobs)
        api_responses_put_tokens(ev->tokens, ev->n_tokens, out);
    end_event(out);
}

/* ---- blocks ------------------------------------------------------------------------------- */

static void begin_item(struct api_writer *w, struct gw_buf *out)
{
    const struct api_kept_block *b = choice_of(w)->last;

    state_of(w)->has_part = false;
    put_item_event(w, b, "response.output_item.added", "in_progress", true, out);
    /* A reasoning item may be without texts; then it has no part. */
    if (b->kind == API_BLOCK_TEXT || b->kind == API_BLOCK_REFUSAL) {
        put_part_event(w, b, kinds[b->kind].part_added, true, out);
        state_of(w)->has_part = true;
    }
}

static void continue_item(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    const struct api_kept_block *b = choice_of(w)->last;

    if (ev->text.len == 0 && ev->n_tokens == 0)
        return;
    if (b->kind == API_BLOCK_REASONING && !state_of(w)->has_part)
        put_part_event(w, b, kinds[b->kind].part_added, true, out);
    state_of(w)->has_part = true;
    put_delta(w, b, ev->text, ev, out);
}

/* Writes what is due for a block that has ended. */
static void close_item(struct api_writer *w, const char *status, struct gw_buf *out)
{
    struct api_responses_writer *s = state_of(w);
    const struct api_kept_block *b;
    struct gw_span text;

    if (!s->closing)
        return;
    s->closing = false;
    b = choice_of(w)->last;
    text = b->text.span;
    if (b->kind == API_BLOCK_TOOL && text.len == 0) {
        text = api_or_empty_object(text); /* clients parse what the deltas gave */
        put_delta(w, b, text, &(struct api_event){0}, out);
    }
    if (s->has_part || b->kind == API_BLOCK_TOOL) {
        begin_part_event(w, b, kinds[b->kind].done, kinds[b->kind].index, out);
        if (b->kind == API_BLOCK_TOOL)
            api_put_text(out, "name", b->name);
        gw_buf_printf(out, ",\"%s\":", kinds[b->kind].member);
        gw_buf_add_json_str(out, text);
        if (kinds[b->kind].logprobs) {
            size_t n;
            const struct api_token *tokens = api_kept_tokens(b, &n);

            api_responses_put_tokens(tokens, n, out);
        }
        end_event(out);
        if (kinds[b->kind].part_done != NULL)
            put_part_event(w, b, kinds[b->kind].part_done, false, out);
    }
    put_item_event(w, b, "response.output_item.done", status, false, out);
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Why the response is not complete, or NULL. A refusal that came without words is told as a filter's: an empty complete
 * answer would hide it. */
static const char *incomplete_reason(const struct api_writer *w)
{
    const struct api_kept_choice *c = choice_of(w);

    if (c == NULL)
        return NULL;
    if (c->finish == API_FINISH_LENGTH)
        return "max_output_tokens";
    if (c->finish == API_FINISH_FILTER ||
        (c->finish == API_FINISH_REFUSAL && !state_of(w)->refused))
        return "content_filter";
    return NULL;
}

static void begin_stream(struct api_writer *w, struct gw_buf *out)
{
    if (state_of(w)->begun)
        return;
    state_of(w)->begun = true;
    put_response_event(w, "response.created", "in_progress", NULL, NULL, out);
    put_response_event(w, "response.in_progress", "in_progress", NULL, NULL, out);
}

static void end_stream(struct api_writer *w, struct gw_buf *out)
{
    const char *reason = incomplete_reason(w);

    if (reason == NULL)
        put_response_event(w, "response.completed", "completed", NULL, NULL, out);
    else
        put_response_event(w, "response.incomplete", "incomplete", reason, NULL, out);
}

static void fail_stream(struct api_writer *w, const struct api_failure *f, struct gw_buf *out)
{
    api_responses_put_error(f, state_of(w)->sequence++, out);
    put_response_event(w, "response.failed", "failed", NULL, f, out);
}

static void put_stream(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    const char *ended = incomplete_reason(w) == NULL ? "completed" : "incomplete";

    begin_stream(w, out);
    switch (ev->type) {
    case API_EVENT_BLOCK:
        begin_item(w, out);
        break;
    case API_EVENT_DELTA:
        continue_item(w, ev, out);
        break;
    case API_EVENT_FINISH:
        close_item(w, ended, out);
        break;
    case API_EVENT_END:
        close_item(w, ended, out);
        end_stream(w, out);
        break;
    case API_EVENT_ERROR:
        fail_stream(w, &ev->failure, out);
        break;
    case API_EVENT_START:
    case API_EVENT_SIGNATURE:
    case API_EVENT_BLOCK_END:
    case API_EVENT_USAGE:
    default:
        break;
    }
}

static void put_whole(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    const char *reason = incomplete_reason(w);

    if (ev->type == API_EVENT_ERROR)
        api_write_error(API_RESPONSES, &ev->failure, w->cfg.id, out);
    if (ev->type != API_EVENT_END)
        return;
    api_responses_put_object(w, reason == NULL ? "completed" : "incomplete", reason, NULL, out);
    gw_buf_addc(out, '\n');
}

enum gw_status api_responses_put(struct api_writer *w, const struct api_event *ev,
                                 struct gw_buf *out)
{
    struct api_responses_writer *s = w->state;
    bool part = ev->type == API_EVENT_DELTA || ev->type == API_EVENT_SIGNATURE ||
                ev->type == API_EVENT_BLOCK_END;

    /* A request in this API asks for one choice, and what stands outside of every block comes from no reader. */
    if (ev->choice != 0 || (part && api_kept_open(&s->kept, 0) == NULL))
        return GW_OK;
    if (ev->type == API_EVENT_BLOCK && w->cfg.stream)
        close_item(w, "completed", out);
    GW_TRY(api_keep(&s->kept, w->arena, ev));
    if (ev->type == API_EVENT_BLOCK) {
        s->n_items++;
        s->refused = s->refused || ev->kind == API_BLOCK_REFUSAL;
    }
    s->closing = s->closing || ev->type == API_EVENT_BLOCK_END;
    if (w->cfg.stream)
        put_stream(w, ev, out);
    else
        put_whole(w, ev, out);
    return GW_OK;
}
