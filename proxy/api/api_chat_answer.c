/* proxy/api/api_chat_answer.c - reads answers of chat completions and completions, whole and streamed. Pure; one thread at a
 * time per reader. The blocks of a choice, and how interleaved tool calls become blocks one after the other:
 * api_chat_blocks.c. */
#include "proxy/api/api_chat_blocks.h"

void api_chat_reader_fini(struct api_reader *r)
{
    struct api_chat_reading *s = r->state;

    for (unsigned i = 0; i < API_MAX_CHOICES; i++) {
        api_chat_choice_free(s->choices[i]);
        s->choices[i] = NULL;
    }
}

/* ---- usage and errors ------------------------------------------------------------------- */

static struct api_usage usage_of(const struct gw_json_node *u)
{
    const struct gw_json_node *in = gw_json_get(u, "prompt_tokens_details");
    const struct gw_json_node *out = gw_json_get(u, "completion_tokens_details");
    struct api_usage usage = {.known = gw_json_is(u, GW_JSON_OBJECT_BEGIN)};

    usage.input = gw_json_uint(gw_json_get(u, "prompt_tokens"), 0);
    usage.output = gw_json_uint(gw_json_get(u, "completion_tokens"), 0);
    usage.cached = gw_json_uint(gw_json_get(in, "cached_tokens"), 0);
    usage.reasoning = gw_json_uint(gw_json_get(out, "reasoning_tokens"), 0);
    return usage;
}

/* The status an error inside a stream would have had as an answer: the code when it is one, else by the type. */
static unsigned status_of(const struct gw_json_node *error)
{
    static const struct {
        const char *type;
        unsigned status;
    } types[] = {
        {"invalid_request_error", 400}, {"authentication_error", 401}, {"permission_error", 403},
        {"not_found_error", 404},       {"rate_limit_error", 429},     {"rate_limit_exceeded", 429},
        {"insufficient_quota", 429},    {"server_error", 500},         {"overloaded_error", 529}};
    uint64_t code = gw_json_uint(gw_json_get(error, "code"), 0);

    if (code >= 400 && code < 600)
        return (unsigned)code;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_json_text_is(gw_json_get(error, "type"), types[i].type))
            return types[i].status;
    return 502;
}

static enum gw_status read_failure(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *error = gw_json_get(root, "error");
    struct api_failure f = {.status = status_of(error != NULL ? error : root)};

    api_chat_read_error(f.status, root, r->arena, &f);
    if (f.message == NULL)
        f.message = api_error_message(f.status);
    return api_emit_error(r, &f);
}

/* ---- choices ---------------------------------------------------------------------------- */

static enum api_finish finish_of(const struct gw_json_node *reason)
{
    static const struct {
        const char *reason;
        enum api_finish finish;
    } reasons[] = {{"stop", API_FINISH_STOP},
                   {"length", API_FINISH_LENGTH},
                   {"tool_calls", API_FINISH_TOOL},
                   {"function_call", API_FINISH_TOOL},
                   {"content_filter", API_FINISH_FILTER}};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (gw_json_text_is(reason, reasons[i].reason))
            return reasons[i].finish;
    return API_FINISH_OTHER;
}

/* The texts of a list of parts, as some servers write content. */
static enum gw_status read_parts(struct api_chat_choice *c, const struct gw_json_node *parts,
                                 enum api_block kind)
{
    if (!gw_json_is(parts, GW_JSON_ARRAY_BEGIN))
        return GW_OK;
    for (const struct gw_json_node *p = parts->child; p != NULL; p = p->next)
        if (gw_json_is(gw_json_get(p, "text"), GW_JSON_STRING))
            GW_TRY(api_chat_text(c, kind, gw_json_get(p, "text")));
    return GW_OK;
}

/* A string; or a list of parts, thoughts of Mistral's models among them. */
static enum gw_status read_content(struct api_chat_choice *c, const struct gw_json_node *content,
                                   enum api_block kind)
{
    if (gw_json_is(content, GW_JSON_STRING))
        return api_chat_text(c, kind, content);
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return GW_OK;
    for (const struct gw_json_node *p = content->child; p != NULL; p = p->next) {
        const struct gw_json_node *text = gw_json_get(p, "text");

        GW_TRY(read_parts(c, gw_json_get(p, "thinking"), API_BLOCK_REASONING));
        if (gw_json_is(text, GW_JSON_STRING))
            GW_TRY(api_chat_text(c, kind, text));
    }
    return GW_OK;
}

/* A stream's delta or a whole answer's message: the same members. */
static enum gw_status read_delta(struct api_chat_choice *c, const struct gw_json_node *delta,
                                 bool whole)
{
    const struct gw_json_node *thought = gw_json_get(delta, "reasoning_content");
    const struct gw_json_node *calls = gw_json_get(delta, "tool_calls");
    unsigned i = 0;

    if (!gw_json_is(thought, GW_JSON_STRING))
        thought = gw_json_get(delta, "reasoning");
    GW_TRY(read_content(c, thought, API_BLOCK_REASONING));
    GW_TRY(read_content(c, gw_json_get(delta, "content"), API_BLOCK_TEXT));
    GW_TRY(read_content(c, gw_json_get(delta, "refusal"), API_BLOCK_REFUSAL));
    if (gw_json_is(calls, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *call = calls->child; call != NULL; call = call->next)
            GW_TRY(api_chat_call(c, call, gw_json_get(call, "function"), whole ? (int)i++ : -1));
    calls = gw_json_get(delta, "function_call");
    if (gw_json_is(calls, GW_JSON_OBJECT_BEGIN))
        GW_TRY(api_chat_call(c, calls, calls, 0));
    return GW_OK;
}

/* The state of the choice with that index, made when it is new; NULL out: malformed. */
static enum gw_status choice_of(struct api_reader *r, const struct gw_json_node *root,
                                const struct gw_json_node *node, struct api_chat_choice **out)
{
    struct api_chat_reading *s = r->state;
    uint64_t index = gw_json_uint(gw_json_get(node, "index"), 0);

    *out = NULL;
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN) || index >= API_MAX_CHOICES)
        return GW_OK;
    if (s->choices[index] == NULL)
        s->choices[index] = api_chat_choice_new(r, (unsigned)index,
                                                gw_json_text(gw_json_get(root, "id"), r->arena));
    *out = s->choices[index];
    return *out == NULL ? GW_ENOMEM : GW_OK;
}

static enum gw_status read_choice(struct api_reader *r, const struct gw_json_node *root,
                                  const struct gw_json_node *node, bool whole)
{
    const struct gw_json_node *reason = gw_json_get(node, "finish_reason");
    const struct gw_json_node *delta = gw_json_get(node, whole ? "message" : "delta");
    struct api_chat_choice *c;

    GW_TRY(choice_of(r, root, node, &c));
    if (c == NULL)
        return api_emit_malformed(r);
    GW_TRY(read_content(c, gw_json_get(node, "text"), API_BLOCK_TEXT)); /* completions */
    if (gw_json_is(gw_json_get(delta, "audio"), GW_JSON_OBJECT_BEGIN))
        return api_emit_unsupported(r);
    GW_TRY(read_delta(c, delta, whole));
    if (!r->ended && gw_json_is(reason, GW_JSON_STRING) && reason->raw.len != 0)
        return api_chat_choice_finish(c, finish_of(reason));
    return GW_OK;
}

static enum gw_status read_choices(struct api_reader *r, const struct gw_json_node *root,
                                   bool whole)
{
    const struct gw_json_node *choices = gw_json_get(root, "choices");
    const struct api_usage usage = usage_of(gw_json_get(root, "usage"));

    if (gw_json_is(choices, GW_JSON_ARRAY_BEGIN) && choices->n != 0) {
        GW_TRY(api_emit_start(r, gw_json_text(gw_json_get(root, "id"), r->arena),
                              gw_json_text(gw_json_get(root, "model"), r->arena), &usage));
        for (const struct gw_json_node *c = choices->child; c != NULL && !r->ended; c = c->next)
            GW_TRY(read_choice(r, root, c, whole));
    }
    return usage.known ? api_emit_usage(r, &usage) : GW_OK;
}

/* Ends the choices that came without a reason: the stream's own end says that they are complete. */
static enum gw_status finish_all(struct api_reader *r, bool *any)
{
    struct api_chat_reading *s = r->state;

    *any = false;
    for (unsigned i = 0; i < API_MAX_CHOICES; i++) {
        if (s->choices[i] == NULL)
            continue;
        *any = true;
        if (!api_chat_choice_finished(s->choices[i]))
            GW_TRY(api_chat_choice_finish(s->choices[i], API_FINISH_STOP));
    }
    return GW_OK;
}

/* ---- the three ways in ------------------------------------------------------------------ */

enum gw_status api_chat_read_whole(struct api_reader *r, const struct gw_json_node *root)
{
    const struct gw_json_node *choices = gw_json_get(root, "choices");
    const struct gw_json_node *error = gw_json_get(root, "error");
    bool any;

    if (error != NULL && error->type != GW_JSON_NULL)
        return read_failure(r, root);
    if (!gw_json_is(choices, GW_JSON_ARRAY_BEGIN) || choices->n == 0)
        return GW_EPARSE;
    GW_TRY(read_choices(r, root, true));
    return finish_all(r, &any);
}

enum gw_status api_chat_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                   const struct gw_json_node *root)
{
    const struct gw_json_node *error = gw_json_get(root, "error");
    bool any;

    if (data.len == 0)
        return GW_OK;
    if (root == NULL && gw_span_starts(data, GW_SPAN("[DONE]"))) {
        GW_TRY(finish_all(r, &any));
        return any ? api_emit_end(r) : api_emit_truncated(r);
    }
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return api_emit_malformed(r);
    if (gw_span_is(name, "error") || (error != NULL && error->type != GW_JSON_NULL))
        return read_failure(r, root);
    return read_choices(r, root, false);
}

/* Some servers leave out "[DONE]": when every choice said why it ended, nothing is missing. */
enum gw_status api_chat_read_end(struct api_reader *r)
{
    const struct api_chat_reading *s = r->state;
    bool any = false;

    for (unsigned i = 0; i < API_MAX_CHOICES; i++) {
        if (s->choices[i] == NULL)
            continue;
        if (!api_chat_choice_finished(s->choices[i]))
            return api_emit_truncated(r);
        any = true;
    }
    return any ? api_emit_end(r) : api_emit_truncated(r);
}
