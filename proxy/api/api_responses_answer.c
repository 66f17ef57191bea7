/* proxy/api/api_responses_answer.c - answers in OpenAI's Responses API, whole and as a stream, read as events. Pure; one
 * thread at a time per reader.
 *
 * An answer is a list of items, each told by an added event, events for its parts and texts, and a done event that holds
 * all of it again. A text part is a block, and so is a function call and a reasoning item, whose parts are joined. What
 * deltas did not tell is taken from the done events, and what those did not tell from the response at the end: servers
 * that follow the API leave out the one or the other. Items come one after the other; a server that mixes them gets an
 * error rather than a wrong answer. */
#include <stdio.h>

#include "proxy/api/api_responses_private.h"

static const struct gw_span none = {NULL, 0};

static struct api_responses_reader *state_of(const struct api_reader *r)
{
    return r->state;
}

static struct gw_span text_of(const struct api_reader *r, const struct gw_json_node *node,
                              const char *name)
{
    return gw_json_text(gw_json_get(node, name), r->arena);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static enum gw_status end_block(struct api_reader *r)
{
    struct api_responses_reader *s = state_of(r);

    if (!s->open)
        return GW_OK;
    s->open = false;
    return api_emit_block_end(r, 0, s->n_blocks - 1, s->kind);
}

static enum gw_status begin_block(struct api_reader *r, enum api_block kind, uint64_t output,
                                  uint64_t content, struct gw_span id, struct gw_span name)
{
    struct api_responses_reader *s = state_of(r);

    GW_TRY(end_block(r));
    s->open = true;
    s->any = false;
    s->kind = kind;
    s->output = output;
    s->content = content;
    s->next_output = output + 1;
    s->called = s->called || kind == API_BLOCK_TOOL;
    return api_emit_block(r, 0, s->n_blocks++, kind, id, name);
}

static enum gw_status put_text(struct api_reader *r, struct gw_span text)
{
    struct api_responses_reader *s = state_of(r);

    s->any = s->any || text.len != 0;
    return api_emit_delta(r, 0, s->n_blocks - 1, s->kind, text);
}

static bool is_open(const struct api_responses_reader *s, enum api_block kind, uint64_t output)
{
    return s->open && s->kind == kind && s->output == output;
}

/* The text part of a message is the open block after this, or the answer has ended with an error. */
static enum gw_status open_part(struct api_reader *r, enum api_block kind, uint64_t output,
                                uint64_t content)
{
    struct api_responses_reader *s = state_of(r);

    if (is_open(s, kind, output) && s->content == content)
        return GW_OK;
    if (output < s->next_output && (output != s->output || content <= s->content))
        return api_emit_malformed(r);
    return begin_block(r, kind, output, content, none, none);
}

/* The same for a reasoning item, whose parts are one block; an empty line goes between them. */
static enum gw_status open_reasoning(struct api_reader *r, uint64_t output, bool summary,
                                     uint64_t part)
{
    struct api_responses_reader *s = state_of(r);
    bool same;

    if (!is_open(s, API_BLOCK_REASONING, output)) {
        if (output < s->next_output)
            return api_emit_malformed(r);
        GW_TRY(begin_block(r, API_BLOCK_REASONING, output, part, none, none));
        s->summary = summary;
        return GW_OK;
    }
    same = s->content == part && s->summary == summary;
    s->content = part;
    s->summary = summary;
    return same || !s->any ? GW_OK : put_text(r, GW_SPAN("\n\n"));
}

/* ---- whole items ------------------------------------------------------------------------- */

/* What built-in tools do has no place in other APIs: leaving it out would make another answer. */
static enum gw_status unsupported(struct api_reader *r, const char *what,
                                  const struct gw_json_node *type)
{
    struct gw_span name = gw_json_is(type, GW_JSON_STRING) ? type->raw : none;
    struct api_failure f = {.status = 502, .type = "server_error", .code = "unsupported_answer"};
    char *text = gw_arena_alloc(r->arena, 200);

    if (text == NULL)
        return GW_ENOMEM;
    if (name.len > 64)
        name.len = 64;
    snprintf(
        text, 200,
        "The provider's answer has %s of type \"%.*s\", which the API of this request cannot say.",
        what, (int)name.len, name.ptr == NULL ? "" : name.ptr);
    f.message = text;
    return api_emit_error(r, &f);
}

/* The kind of a message's part. */
static bool part_kind(const struct gw_json_node *part, enum api_block *kind, const char **member)
{
    const struct gw_json_node *type = gw_json_get(part, "type");

    if (gw_json_text_is(type, "output_text")) {
        *kind = API_BLOCK_TEXT;
        *member = "text";
        return true;
    }
    *kind = API_BLOCK_REFUSAL;
    *member = "refusal";
    return gw_json_text_is(type, "refusal");
}

/* The parts that no event told of. */
static enum gw_status finish_message(struct api_reader *r, uint64_t output,
                                     const struct gw_json_node *item)
{
    struct api_responses_reader *s = state_of(r);
    const struct gw_json_node *content = gw_json_get(item, "content");
    uint64_t i = 0;

    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return api_emit_malformed(r);
    for (const struct gw_json_node *part = content->child; part != NULL; part = part->next, i++) {
        enum api_block kind;
        const char *member;

        if (!part_kind(part, &kind, &member))
            return unsupported(r, "a part", gw_json_get(part, "type"));
        if (output < s->next_output &&
            (i < s->content || (i == s->content && (!s->open || s->any))))
            continue;
        if (!is_open(s, kind, output) || s->content != i)
            GW_TRY(begin_block(r, kind, output, i, none, none));
        GW_TRY(put_text(r, text_of(r, part, member)));
    }
    return end_block(r);
}

static enum gw_status begin_call(struct api_reader *r, uint64_t output,
                                 const struct gw_json_node *item)
{
    struct gw_span id = text_of(r, item, "call_id"), name = text_of(r, item, "name");

    if (name.len == 0)
        return api_emit_malformed(r);
    return begin_block(r, API_BLOCK_TOOL, output, 0, id, name);
}

static enum gw_status whole_call(struct api_reader *r, uint64_t output,
                                 const struct gw_json_node *item)
{
    GW_TRY(begin_call(r, output, item));
    if (!state_of(r)->open)
        return GW_OK;
    GW_TRY(put_text(r, text_of(r, item, "arguments")));
    return end_block(r);
}

static enum gw_status put_signature(struct api_reader *r, struct gw_span encrypted)
{
    const struct gw_span mark = GW_SPAN(API_MARK_RESPONSES);
    struct api_event ev = {.type = API_EVENT_SIGNATURE,
                           .block = state_of(r)->n_blocks - 1,
                           .kind = API_BLOCK_REASONING};
    char *text = gw_arena_alloc(r->arena, mark.len + encrypted.len);

    if (text == NULL)
        return GW_ENOMEM;
    memcpy(text, mark.ptr, mark.len);
    memcpy(text + mark.len, encrypted.ptr, encrypted.len);
    ev.text = (struct gw_span){text, mark.len + encrypted.len};
    return api_emit(r, &ev);
}

static enum gw_status reasoning_parts(struct api_reader *r, uint64_t output, bool summary,
                                      const struct gw_json_node *list)
{
    uint64_t i = 0;

    if (!gw_json_is(list, GW_JSON_ARRAY_BEGIN))
        return GW_OK;
    for (const struct gw_json_node *part = list->child; part != NULL; part = part->next, i++) {
        struct gw_span text = text_of(r, part, "text");

        if (text.len == 0)
            continue;
        GW_TRY(open_reasoning(r, output, summary, i));
        GW_TRY(put_text(r, text));
    }
    return GW_OK;
}

/* What is not yet told of a reasoning item, and its end. An item without texts and secrets is nothing. */
static enum gw_status finish_reasoning(struct api_reader *r, uint64_t output,
                                       const struct gw_json_node *item)
{
    struct api_responses_reader *s = state_of(r);
    struct gw_span encrypted = text_of(r, item, "encrypted_content");

    if (!is_open(s, API_BLOCK_REASONING, output) || !s->any) {
        GW_TRY(reasoning_parts(r, output, true, gw_json_get(item, "summary")));
        GW_TRY(reasoning_parts(r, output, false, gw_json_get(item, "content")));
    }
    if (encrypted.len != 0) {
        if (!is_open(s, API_BLOCK_REASONING, output))
            GW_TRY(begin_block(r, API_BLOCK_REASONING, output, 0, none, none));
        GW_TRY(put_signature(r, encrypted));
    }
    return end_block(r);
}

static enum gw_status whole_item(struct api_reader *r, uint64_t output,
                                 const struct gw_json_node *item)
{
    const struct gw_json_node *type = gw_json_get(item, "type");

    if (gw_json_text_is(type, "message"))
        return finish_message(r, output, item);
    if (gw_json_text_is(type, "function_call"))
        return whole_call(r, output, item);
    if (gw_json_text_is(type, "reasoning"))
        return finish_reasoning(r, output, item);
    return unsupported(r, "an item", type);
}

/* ---- the response object ------------------------------------------------------------------ */

static enum gw_status put_usage(struct api_reader *r, const struct gw_json_node *usage)
{
    const struct gw_json_node *input = gw_json_get(usage, "input_tokens_details");
    const struct gw_json_node *output = gw_json_get(usage, "output_tokens_details");
    struct api_usage u = {.known = true};

    if (!gw_json_is(usage, GW_JSON_OBJECT_BEGIN))
        return GW_OK;
    u.input = gw_json_uint(gw_json_get(usage, "input_tokens"), 0);
    u.output = gw_json_uint(gw_json_get(usage, "output_tokens"), 0);
    u.cached = gw_json_uint(gw_json_get(input, "cached_tokens"), 0);
    u.cache_write = gw_json_uint(gw_json_get(input, "cache_write_tokens"), 0);
    u.reasoning = gw_json_uint(gw_json_get(output, "reasoning_tokens"), 0);
    return api_emit_usage(r, &u);
}

static enum api_finish finish_of(const struct api_responses_reader *s,
                                 const struct gw_json_node *response)
{
    const struct gw_json_node *reason =
        gw_json_get(gw_json_get(response, "incomplete_details"), "reason");

    if (!gw_json_text_is(gw_json_get(response, "status"), "incomplete"))
        return s->called ? API_FINISH_TOOL : API_FINISH_STOP;
    if (gw_json_text_is(reason, "max_output_tokens"))
        return API_FINISH_LENGTH;
    return gw_json_text_is(reason, "content_filter") ? API_FINISH_FILTER : API_FINISH_OTHER;
}

/* Codes of errors come without a status; OpenAI's SDKs choose by status, so one is chosen for the code. */
static unsigned status_of(struct gw_span code)
{
    static const struct {
        const char *prefix;
        unsigned status;
    } codes[] = {
        {"rate_limit", 429},     {"insufficient_quota", 429},
        {"invalid", 400},        {"image", 400},
        {"unsupported", 400},    {"empty_image", 400},
        {"failed_to_down", 400}, {"context_length", 400},
        {"content_policy", 400}, {"server_is_over", 503},
        {"timeout", 504},
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (gw_span_starts(code, gw_span_str(codes[i].prefix)))
            return codes[i].status;
    return 500;
}

/* error: {"code":...,"message":...}, or the same inside of "error". */
static enum gw_status put_error(struct api_reader *r, const struct gw_json_node *error)
{
    struct api_failure f;
    const struct gw_json_node *inner = gw_json_get(error, "error");
    const struct gw_json_node *e = gw_json_is(inner, GW_JSON_OBJECT_BEGIN) ? inner : error;
    struct gw_span code = text_of(r, e, "code");

    if (code.len == 0)
        code = text_of(r, e, "type");
    api_read_error(API_RESPONSES, status_of(code), error, r->arena, &f);
    if (gw_json_text_is(gw_json_get(e, "type"), "error"))
        f.type = NULL; /* of the event, not of the error */
    return api_emit_error(r, &f);
}

/* The end of an answer that is complete or was cut: what no event told, usage, how it ended. */
static enum gw_status finish(struct api_reader *r, const struct gw_json_node *response)
{
    struct api_responses_reader *s = state_of(r);
    const struct gw_json_node *output = gw_json_get(response, "output");
    uint64_t i = 0;

    GW_TRY(end_block(r));
    if (gw_json_is(output, GW_JSON_ARRAY_BEGIN) && s->n_blocks == 0)
        for (const struct gw_json_node *item = output->child; item != NULL && !r->ended;
             item = item->next)
            GW_TRY(whole_item(r, i++, item));
    GW_TRY(put_usage(r, gw_json_get(response, "usage")));
    GW_TRY(api_emit_finish(r, 0, finish_of(s, response), none));
    return api_emit_end(r);
}

static enum gw_status end_of_response(struct api_reader *r, const struct gw_json_node *response)
{
    const struct gw_json_node *status = gw_json_get(response, "status");

    if (gw_json_text_is(status, "failed"))
        return put_error(r, gw_json_get(response, "error"));
    if (status == NULL || gw_json_text_is(status, "completed") ||
        gw_json_text_is(status, "incomplete"))
        return finish(r, response);
    return unsupported(r, "a status", status); /* in the background, or canceled */
}

/* OpenAI counts when it has answered. */
static enum gw_status say_start(struct api_reader *r, const struct gw_json_node *response)
{
    const struct api_usage unknown = {0};

    return api_emit_start(r, text_of(r, response, "id"), text_of(r, response, "model"), &unknown);
}

enum gw_status api_responses_read_whole(struct api_reader *r, const struct gw_json_node *root)
{
    if (!gw_json_is(gw_json_get(root, "output"), GW_JSON_ARRAY_BEGIN) &&
        !gw_json_is(gw_json_get(root, "error"), GW_JSON_OBJECT_BEGIN))
        return GW_EPARSE;
    GW_TRY(say_start(r, root));
    return end_of_response(r, root);
}

/* ---- events ------------------------------------------------------------------------------- */

static uint64_t index_of(const struct gw_json_node *root, const char *name)
{
    return gw_json_uint(gw_json_get(root, name), 0);
}

static enum gw_status on_response(struct api_reader *r, const struct gw_json_node *root)
{
    return say_start(r, gw_json_get(root, "response"));
}

static enum gw_status on_end(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(on_response(r, root));
    return end_of_response(r, gw_json_get(root, "response"));
}

static enum gw_status on_item(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *item = gw_json_get(root, "item");
    const struct gw_json_node *type = gw_json_get(item, "type");
    uint64_t output = index_of(root, "output_index");

    if (gw_json_text_is(type, "message") || gw_json_text_is(type, "reasoning"))
        return GW_OK; /* their blocks begin with their texts */
    if (!gw_json_text_is(type, "function_call"))
        return unsupported(r, "an item", type);
    if (output < state_of(r)->next_output)
        return api_emit_malformed(r);
    return begin_call(r, output, item);
}

static enum gw_status on_item_done(struct api_reader *r, const struct gw_json_node *root)
{
    struct api_responses_reader *s = state_of(r);
    const struct gw_json_node *item = gw_json_get(root, "item");
    uint64_t output = index_of(root, "output_index");

    if (output >= s->next_output)
        return whole_item(r, output, item);
    if (output != s->output)
        return GW_OK;
    if (is_open(s, API_BLOCK_REASONING, output))
        return finish_reasoning(r, output, item);
    if (gw_json_text_is(gw_json_get(item, "type"), "message"))
        return finish_message(r, output, item);
    if (is_open(s, API_BLOCK_TOOL, output) && !s->any)
        GW_TRY(put_text(r, text_of(r, item, "arguments")));
    return end_block(r);
}

static enum gw_status on_part(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *part = gw_json_get(root, "part");
    const char *member;
    enum api_block kind;

    if (gw_json_text_is(gw_json_get(part, "type"), "reasoning_text"))
        return GW_OK;
    if (!part_kind(part, &kind, &member))
        return unsupported(r, "a part", gw_json_get(part, "type"));
    return open_part(r, kind, index_of(root, "output_index"), index_of(root, "content_index"));
}

static enum gw_status on_part_done(struct api_reader *r, const struct gw_json_node *root)
{
    struct api_responses_reader *s = state_of(r);
    const struct gw_json_node *part = gw_json_get(root, "part");
    const char *member;
    enum api_block kind;

    if (!part_kind(part, &kind, &member) || !is_open(s, kind, index_of(root, "output_index")))
        return GW_OK;
    if (!s->any)
        GW_TRY(put_text(r, text_of(r, part, member)));
    return end_block(r);
}

/* Text of a message, more of it or all of it. */
static enum gw_status on_text(struct api_reader *r, const struct gw_json_node *root,
                              enum api_block kind, const char *member, bool all)
{
    struct api_responses_reader *s = state_of(r);
    uint64_t output = index_of(root, "output_index"), content = index_of(root, "content_index");

    if (all && s->output == output && s->content == content && s->n_blocks != 0 &&
        (!s->open || s->any))
        return GW_OK;
    GW_TRY(open_part(r, kind, output, content));
    return s->open ? put_text(r, text_of(r, root, member)) : GW_OK;
}

static enum gw_status on_text_delta(struct api_reader *r, const struct gw_json_node *root)
{
    return on_text(r, root, API_BLOCK_TEXT, "delta", false);
}

static enum gw_status on_text_done(struct api_reader *r, const struct gw_json_node *root)
{
    return on_text(r, root, API_BLOCK_TEXT, "text", true);
}

static enum gw_status on_refusal_delta(struct api_reader *r, const struct gw_json_node *root)
{
    return on_text(r, root, API_BLOCK_REFUSAL, "delta", false);
}

static enum gw_status on_refusal_done(struct api_reader *r, const struct gw_json_node *root)
{
    return on_text(r, root, API_BLOCK_REFUSAL, "refusal", true);
}

static enum gw_status on_arguments(struct api_reader *r, const struct gw_json_node *root)
{
    if (!is_open(state_of(r), API_BLOCK_TOOL, index_of(root, "output_index")))
        return api_emit_malformed(r); /* of a call that was not told of, so that it has no name */
    return put_text(r, text_of(r, root, "delta"));
}

static enum gw_status on_summary(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(
        open_reasoning(r, index_of(root, "output_index"), true, index_of(root, "summary_index")));
    return state_of(r)->open ? put_text(r, text_of(r, root, "delta")) : GW_OK;
}

static enum gw_status on_reasoning(struct api_reader *r, const struct gw_json_node *root)
{
    GW_TRY(
        open_reasoning(r, index_of(root, "output_index"), false, index_of(root, "content_index")));
    return state_of(r)->open ? put_text(r, text_of(r, root, "delta")) : GW_OK;
}

static const struct {
    const char *type;
    enum gw_status (*read)(struct api_reader *r, const struct gw_json_node *root);
} events[] = {
    {"response.output_text.delta", on_text_delta},
    {"response.function_call_arguments.delta", on_arguments},
    {"response.reasoning_summary_text.delta", on_summary},
    {"response.reasoning_text.delta", on_reasoning},
    {"response.refusal.delta", on_refusal_delta},
    {"response.created", on_response},
    {"response.in_progress", on_response},
    {"response.output_item.added", on_item},
    {"response.output_item.done", on_item_done},
    {"response.content_part.added", on_part},
    {"response.content_part.done", on_part_done},
    {"response.output_text.done", on_text_done},
    {"response.refusal.done", on_refusal_done},
    {"response.completed", on_end},
    {"response.incomplete", on_end},
    {"response.failed", on_end},
    {"error", put_error},
};

enum gw_status api_responses_read_event(struct api_reader *r, struct gw_span name,
                                        struct gw_span data, const struct gw_json_node *root)
{
    const struct gw_json_node *type = gw_json_get(root, "type");
    struct gw_span given = gw_json_text(type, r->arena);

    if (root ==
        NULL) /* "[DONE]", which some servers put at the end: then END was told or is missing */
        return gw_span_is(data, "[DONE]") ? GW_OK : api_emit_malformed(r);
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return api_emit_malformed(r);
    if (given.len == 0)
        given = name;
    if (given.len == 0 && gw_json_is(gw_json_get(root, "error"), GW_JSON_OBJECT_BEGIN))
        return put_error(r, root); /* in chat's form: a gateway before the target */
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (gw_span_is(given, events[i].type))
            return events[i].read(r, root);
    return GW_OK;
}
