/* proxy/api/api_responses_object.c - the response object of OpenAI's Responses API: what a whole answer is and what the first
 * and last events of a stream carry. It repeats the request as the API does, with the API's defaults for what was not
 * given. Pure; any thread. */
#include "proxy/api/api_responses_private.h"

/* ---- what the request said ---------------------------------------------------------------- */

/* A member as the client wrote it. Line ends, which JSON allows between tokens, would end a line of the stream. */
static void put_node(struct gw_buf *out, const struct gw_json_node *node)
{
    struct gw_span raw = node->raw;

    if (node->type == GW_JSON_STRING) {
        gw_buf_addc(out, '"');
        gw_buf_add(out, raw);
        gw_buf_addc(out, '"');
        return;
    }
    while (raw.len != 0) {
        size_t n = 0;

        while (n < raw.len && raw.ptr[n] != '\n' && raw.ptr[n] != '\r')
            n++;
        gw_buf_add(out, (struct gw_span){raw.ptr, n});
        raw = gw_span_from(raw, n == raw.len ? n : n + 1);
    }
}

/* ,"name":VALUE with the given value, or else with this one. */
static void put_given(struct gw_buf *out, const struct gw_json_node *container, const char *name,
                      const char *otherwise)
{
    const struct gw_json_node *node = gw_json_get(container, name);

    gw_buf_printf(out, ",\"%s\":", name);
    if (node == NULL || node->type == GW_JSON_NULL)
        gw_buf_adds(out, otherwise);
    else
        put_node(out, node);
}

/* Functions only: a request with other tools is answered by OpenAI or by nobody. */
static void put_tools(struct gw_buf *out, const struct api_request *req)
{
    gw_buf_adds(out, ",\"tools\":[");
    for (unsigned i = 0; req != NULL && i < req->n_tools; i++) {
        const struct api_tool *tool = &req->tools[i];
        const struct gw_json_node schema = {.type = GW_JSON_OBJECT_BEGIN, .raw = tool->schema};

        gw_buf_adds(out, i == 0 ? "{\"type\":\"function\",\"name\":"
                                : ",{\"type\":\"function\",\"name\":");
        gw_buf_add_json_str(out, tool->name);
        gw_buf_adds(out, ",\"description\":");
        if (tool->description.ptr == NULL)
            gw_buf_adds(out, "null");
        else
            gw_buf_add_json_str(out, tool->description);
        gw_buf_adds(out, ",\"parameters\":");
        if (tool->schema.len == 0)
            gw_buf_adds(out, "null");
        else
            put_node(out, &schema);
        gw_buf_adds(out, tool->strict == API_YES ? ",\"strict\":true}" : ",\"strict\":false}");
    }
    gw_buf_addc(out, ']');
}

static void put_request(struct gw_buf *out, const struct api_request *req)
{
    const struct gw_json_node *root = req == NULL ? NULL : req->root;
    const struct gw_json_node *text = gw_json_get(root, "text");
    const struct gw_json_node *reasoning = gw_json_get(root, "reasoning");

    put_given(out, root, "instructions", "null");
    put_given(out, root, "max_output_tokens", "null");
    put_given(out, root, "max_tool_calls", "null");
    put_given(out, root, "metadata", "{}");
    put_given(out, root, "parallel_tool_calls", "true");
    put_given(out, root, "previous_response_id", "null");
    put_given(out, root, "prompt_cache_key", "null");
    gw_buf_adds(out, ",\"reasoning\":{\"summary\":");
    if (gw_json_is(gw_json_get(reasoning, "summary"), GW_JSON_STRING))
        put_node(out, gw_json_get(reasoning, "summary"));
    else
        gw_buf_adds(out, "null");
    put_given(out, reasoning, "effort", "null");
    gw_buf_adds(out, "}");
    put_given(out, root, "safety_identifier", "null");
    put_given(out, root, "temperature", "null");
    gw_buf_adds(out, ",\"text\":{\"verbosity\":");
    if (gw_json_is(gw_json_get(text, "verbosity"), GW_JSON_STRING))
        put_node(out, gw_json_get(text, "verbosity"));
    else
        gw_buf_adds(out, "\"medium\"");
    put_given(out, text, "format", "{\"type\":\"text\"}");
    gw_buf_adds(out, "}");
    put_given(out, root, "tool_choice", "\"auto\"");
    put_tools(out, req);
    put_given(out, root, "top_logprobs", "0");
    put_given(out, root, "top_p", "null");
    put_given(out, root, "truncation", "\"disabled\"");
    put_given(out, root, "user", "null");
}

/* ---- output ------------------------------------------------------------------------------- */

void api_responses_put_item_id(const struct api_writer *w, enum api_block kind, unsigned n,
                               struct gw_buf *out)
{
    const char *prefix = "msg";

    if (kind == API_BLOCK_TOOL)
        prefix = "fc";
    else if (kind == API_BLOCK_REASONING)
        prefix = "rs";
    gw_buf_printf(out, "\"%s_", prefix);
    gw_buf_add_json(out, gw_span_str(w->cfg.id));
    gw_buf_printf(out, "_%u\"", n);
}

void api_responses_put_tokens(const struct api_token *tokens, size_t n, struct gw_buf *out)
{
    gw_buf_adds(out, ",\"logprobs\":[");
    api_put_tokens(out, tokens, n);
    gw_buf_addc(out, ']');
}

void api_responses_put_part(const struct api_kept_block *b, bool empty, struct gw_buf *out)
{
    struct gw_span text = empty ? GW_SPAN("") : b->text.span;
    size_t n;
    const struct api_token *tokens = api_kept_tokens(b, &n);

    if (b->kind == API_BLOCK_REFUSAL) {
        gw_buf_adds(out, "{\"type\":\"refusal\",\"refusal\":");
        gw_buf_add_json_str(out, text);
        gw_buf_adds(out, "}");
        return;
    }
    gw_buf_adds(out, "{\"type\":\"output_text\",\"annotations\":[]");
    api_responses_put_tokens(tokens, empty ? 0 : n, out);
    gw_buf_adds(out, ",\"text\":");
    gw_buf_add_json_str(out, text);
    gw_buf_adds(out, "}");
}

static void put_reasoning(const struct api_kept_block *b, bool empty, struct gw_buf *out)
{
    gw_buf_adds(out, ",\"type\":\"reasoning\",\"summary\":[");
    if (!empty && b->text.span.len != 0) {
        gw_buf_adds(out, "{\"type\":\"summary_text\",\"text\":");
        gw_buf_add_json_str(out, b->text.span);
        gw_buf_adds(out, "}");
    }
    gw_buf_adds(out, "]");
    if (!empty && b->signature.span.len != 0)
        api_put_text(out, "encrypted_content", b->signature.span);
    gw_buf_adds(out, "}");
}

/* A provider that gives its calls no identifier gets one: the client must name the call with its result. */
static void put_call(const struct api_writer *w, const struct api_kept_block *b, unsigned n,
                     const char *status, bool empty, struct gw_buf *out)
{
    gw_buf_printf(out, ",\"type\":\"function_call\",\"status\":\"%s\",\"arguments\":", status);
    if (empty)
        gw_buf_adds(out, "\"\"");
    else
        gw_buf_add_json_str(out, api_or_empty_object(b->text.span));
    gw_buf_adds(out, ",\"call_id\":");
    if (b->id.len != 0) {
        gw_buf_add_json_str(out, b->id);
    } else {
        gw_buf_adds(out, "\"call_");
        gw_buf_add_json(out, gw_span_str(w->cfg.id));
        gw_buf_printf(out, "_%u\"", n);
    }
    api_put_text(out, "name", b->name);
    gw_buf_adds(out, "}");
}

void api_responses_put_item(const struct api_writer *w, const struct api_kept_block *b, unsigned n,
                            const char *status, bool empty, struct gw_buf *out)
{
    gw_buf_adds(out, "{\"id\":");
    api_responses_put_item_id(w, b->kind, n, out);
    if (b->kind == API_BLOCK_REASONING) {
        put_reasoning(b, empty, out);
        return;
    }
    if (b->kind == API_BLOCK_TOOL) {
        put_call(w, b, n, status, empty, out);
        return;
    }
    gw_buf_printf(out, ",\"type\":\"message\",\"status\":\"%s\",\"content\":[", status);
    if (!empty)
        api_responses_put_part(b, false, out);
    gw_buf_adds(out, "],\"role\":\"assistant\"}");
}

/* Only the item that the answer broke off in is not complete. */
static void put_output(const struct api_writer *w, bool whole, struct gw_buf *out)
{
    const struct api_responses_writer *s = w->state;
    const struct api_kept_choice *c = s->kept.choices[0];
    unsigned n = 0;

    gw_buf_adds(out, ",\"output\":[");
    for (const struct api_kept_block *b = c == NULL ? NULL : c->blocks; b != NULL; b = b->next) {
        if (n != 0)
            gw_buf_addc(out, ',');
        api_responses_put_item(w, b, n++, whole || b->next != NULL ? "completed" : "incomplete",
                               false, out);
    }
    gw_buf_addc(out, ']');
}

static void put_usage(const struct api_usage *u, struct gw_buf *out)
{
    if (!u->known) {
        gw_buf_adds(out, ",\"usage\":null");
        return;
    }
    gw_buf_adds(out, ",\"usage\":{\"input_tokens\":");
    gw_buf_addu(out, u->input);
    gw_buf_adds(out, ",\"input_tokens_details\":{\"cache_write_tokens\":");
    gw_buf_addu(out, u->cache_write);
    gw_buf_adds(out, ",\"cached_tokens\":");
    gw_buf_addu(out, u->cached);
    gw_buf_adds(out, "},\"output_tokens\":");
    gw_buf_addu(out, u->output);
    gw_buf_adds(out, ",\"output_tokens_details\":{\"reasoning_tokens\":");
    gw_buf_addu(out, u->reasoning);
    gw_buf_adds(out, "},\"total_tokens\":");
    gw_buf_addu(out, u->input + u->output);
    gw_buf_adds(out, "}");
}

/* ---- the object --------------------------------------------------------------------------- */

/* A failed response has one of few codes, and agents choose by it whether to try again; the error event has ours. */
static const char *failure_code(const struct api_failure *f)
{
    static const char *const codes[] = {"server_error", "rate_limit_exceeded", "insufficient_quota",
                                        "context_length_exceeded", "invalid_prompt"};

    for (size_t i = 0; f->code != NULL && i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(f->code, codes[i]) == 0)
            return codes[i];
    if (f->status == 429)
        return "rate_limit_exceeded";
    return f->status >= 500 ? "server_error" : "invalid_prompt";
}

static void put_failure(const struct api_failure *f, struct gw_buf *out)
{
    if (f == NULL) {
        gw_buf_adds(out, ",\"error\":null");
        return;
    }
    gw_buf_printf(out, ",\"error\":{\"code\":\"%s\",\"message\":", failure_code(f));
    gw_buf_add_json_str(
        out, gw_span_str(f->message != NULL ? f->message : api_error_message(f->status)));
    gw_buf_adds(out, "}");
}

void api_responses_put_object(struct api_writer *w, const char *status, const char *incomplete,
                              const struct api_failure *failure, struct gw_buf *out)
{
    bool ended = strcmp(status, "in_progress") != 0;

    gw_buf_adds(out, "{\"id\":\"resp_");
    gw_buf_add_json(out, gw_span_str(w->cfg.id));
    gw_buf_adds(out, "\",\"object\":\"response\",\"created_at\":");
    gw_buf_addi(out, w->cfg.created);
    gw_buf_printf(out, ",\"status\":\"%s\",\"background\":false", status);
    put_failure(failure, out);
    if (incomplete == NULL)
        gw_buf_adds(out, ",\"incomplete_details\":null");
    else
        gw_buf_printf(out, ",\"incomplete_details\":{\"reason\":\"%s\"}", incomplete);
    api_put_text(out, "model", w->model);
    put_request(out, w->cfg.request);
    gw_buf_adds(out, ",\"service_tier\":\"default\",\"store\":false");
    if (ended) {
        put_output(w, failure == NULL && incomplete == NULL, out);
        put_usage(&w->usage, out);
    } else {
        gw_buf_adds(out, ",\"output\":[],\"usage\":null");
    }
    gw_buf_adds(out, "}");
}
