/* tests/mock/responses.c - the mock of OpenAI's Responses, with its items and named, numbered events. One thread.
 *
 * The answer is a list of output items: reasoning when asked for, then one message or one or two function calls. The same
 * items are written whole at the end of a stream and in its parts while it runs. */
#include "tests/mock/mock.h"

enum item { ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL };

static void read_tools(struct mock_call *m)
{
    const struct gw_json_node *tools = gw_json_get(m->root, "tools"),
                              *choice = gw_json_get(m->root, "tool_choice"),
                              *format = gw_json_get(gw_json_get(m->root, "text"), "format"),
                              *type = gw_json_get(format, "type");

    if (gw_json_is(tools, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *t = tools->child; t != NULL; t = t->next)
            if (gw_json_text_is(gw_json_get(t, "type"), "function"))
                mock_add_tool(m, gw_json_get(t, "name"));
    if (gw_json_text_is(choice, "required") || gw_json_is(choice, GW_JSON_OBJECT_BEGIN))
        mock_force_tool(m, gw_json_get(choice, "name"));
    if (gw_json_text_is(type, "json_schema") || gw_json_text_is(type, "json_object"))
        m->plan.json = true;
}

static bool read_responses(struct mock_call *m)
{
    const struct gw_json_node *input = gw_json_get(m->root, "input");
    bool tool_before = false;

    if (gw_json_is(input, GW_JSON_STRING)) {
        mock_set_content(m, input);
    } else if (gw_json_is(input, GW_JSON_ARRAY_BEGIN)) {
        for (const struct gw_json_node *one = input->child; one != NULL; one = one->next) {
            bool tool = gw_json_text_is(gw_json_get(one, "type"), "function_call_output");

            if (tool && tool_before)
                mock_add_content(m, gw_json_get(one, "output"));
            else if (tool)
                mock_set_content(m, gw_json_get(one, "output"));
            else if (gw_json_text_is(gw_json_get(one, "role"), "user"))
                mock_set_content(m, gw_json_get(one, "content"));
            tool_before = tool;
        }
    } else {
        return false;
    }
    m->after_tool = tool_before;
    m->named_errors = true;
    mock_set_model(m, gw_json_get(m->root, "model"));
    read_tools(m);
    return true;
}

/* ---- items ------------------------------------------------------------------------------- */

static void item_id(const struct mock_call *m, struct gw_buf *b, enum item kind, unsigned index)
{
    static const char *const prefix[] = {"rs", "msg", "fc"};

    gw_buf_printf(b, "\"%s_mock%lu_%u\"", prefix[kind], m->number, index);
}

static void add_summary(const struct mock_call *m, struct gw_buf *b)
{
    gw_buf_adds(b, "{\"type\":\"summary_text\",\"text\":");
    gw_buf_add_json_str(b, gw_buf_span(&m->thought));
    gw_buf_adds(b, "}");
}

static void add_text_part(struct gw_buf *b, struct gw_span text)
{
    gw_buf_adds(b, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":");
    gw_buf_add_json_str(b, text);
    gw_buf_adds(b, "}");
}

/* An output item, as it begins (done false) or complete. */
static void add_item(const struct mock_call *m, struct gw_buf *b, enum item kind, unsigned index,
                     unsigned call, bool done)
{
    gw_buf_adds(b, "{\"id\":");
    item_id(m, b, kind, index);
    switch (kind) {
    case ITEM_REASONING:
        gw_buf_adds(b, ",\"type\":\"reasoning\",\"summary\":[");
        if (done)
            add_summary(m, b);
        gw_buf_adds(b, "]}");
        return;
    case ITEM_MESSAGE:
        gw_buf_printf(b, ",\"type\":\"message\",\"status\":\"%s\",\"content\":[",
                      done ? "completed" : "in_progress");
        if (done)
            add_text_part(b, gw_buf_span(&m->text));
        gw_buf_adds(b, "],\"role\":\"assistant\"}");
        return;
    case ITEM_CALL:
        gw_buf_printf(b, ",\"type\":\"function_call\",\"status\":\"%s\",\"arguments\":",
                      done ? "completed" : "in_progress");
        gw_buf_add_json_str(b, done ? gw_buf_span(&m->args) : GW_SPAN(""));
        gw_buf_printf(b, ",\"call_id\":\"call_%lu_%u\",\"name\":", m->number, call + 1);
        gw_buf_add_json_str(b, m->tools[call]);
        gw_buf_adds(b, "}");
        return;
    }
}

static void add_output(const struct mock_call *m, struct gw_buf *b)
{
    unsigned index = 0;

    if (m->plan.think) {
        add_item(m, b, ITEM_REASONING, index++, 0, true);
        gw_buf_adds(b, ",");
    }
    for (unsigned i = 0; i < m->plan.tool; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        add_item(m, b, ITEM_CALL, index++, i, true);
    }
    if (m->plan.tool == 0)
        add_item(m, b, ITEM_MESSAGE, index, 0, true);
}

/* A member of the request that the response repeats. */
static void repeat(const struct mock_call *m, struct gw_buf *b, const char *name,
                   const char *otherwise)
{
    const struct gw_json_node *node = gw_json_get(m->root, name);

    gw_buf_printf(b, ",\"%s\":", name);
    if (node == NULL) {
        gw_buf_adds(b, otherwise);
    } else if (node->type == GW_JSON_STRING) {
        gw_buf_adds(b, "\"");
        gw_buf_add(b, node->raw);
        gw_buf_adds(b, "\"");
    } else {
        gw_buf_add(b, node->raw);
    }
}

static void add_response(const struct mock_call *m, struct gw_buf *b, bool done)
{
    size_t in = m->body.len / 4, out = (m->text.len + m->thought.len) / 4;

    gw_buf_printf(
        b,
        "{\"id\":\"resp_mock%lu\",\"object\":\"response\",\"created_at\":1700000000,\"status\":"
        "\"%s\",\"background\":false,\"error\":null,\"incomplete_details\":null,\"model\":",
        m->number, done ? "completed" : "in_progress");
    gw_buf_add_json_str(b, m->model);
    repeat(m, b, "instructions", "null");
    repeat(m, b, "max_output_tokens", "null");
    repeat(m, b, "metadata", "{}");
    repeat(m, b, "parallel_tool_calls", "true");
    repeat(m, b, "previous_response_id", "null");
    repeat(m, b, "reasoning", "{\"effort\":null,\"summary\":null}");
    repeat(m, b, "store", "true");
    repeat(m, b, "temperature", "1.0");
    repeat(m, b, "text", "{\"format\":{\"type\":\"text\"}}");
    repeat(m, b, "tool_choice", "\"auto\"");
    repeat(m, b, "tools", "[]");
    repeat(m, b, "top_p", "1.0");
    repeat(m, b, "truncation", "\"disabled\"");
    repeat(m, b, "user", "null");
    gw_buf_adds(b, ",\"service_tier\":\"default\",\"output\":[");
    if (done)
        add_output(m, b);
    if (!done) {
        gw_buf_adds(b, "],\"usage\":null}");
        return;
    }
    gw_buf_printf(b,
                  "],\"usage\":{\"input_tokens\":%zu,\"input_tokens_details\":{\"cached_tokens\":0}"
                  ",\"output_tokens\":%zu,\"output_tokens_details\":{\"reasoning_tokens\":%zu},"
                  "\"total_tokens\":%zu}}",
                  in, out, m->thought.len / 4, in + out);
}

/* ---- streams ----------------------------------------------------------------------------- */

/* Begins an event: {"type":NAME,"sequence_number":N */
static struct gw_buf *event(struct mock_call *m, const char *name)
{
    struct gw_buf *d = mock_event(m, name);

    gw_buf_printf(d, "{\"type\":\"%s\",\"sequence_number\":%u", name, m->sequence++);
    return d;
}

static void event_end(struct mock_call *m)
{
    gw_buf_adds(m->event, "}");
    mock_event_end(m);
}

/* The same of a part of an item. */
static struct gw_buf *part_event(struct mock_call *m, const char *name, enum item kind,
                                 unsigned index)
{
    struct gw_buf *d = event(m, name);

    gw_buf_adds(d, ",\"item_id\":");
    item_id(m, d, kind, index);
    gw_buf_printf(d, ",\"output_index\":%u", index);
    if (kind == ITEM_MESSAGE)
        gw_buf_adds(d, ",\"content_index\":0");
    if (kind == ITEM_REASONING)
        gw_buf_adds(d, ",\"summary_index\":0");
    return d;
}

static void response_event(struct mock_call *m, const char *name, bool done)
{
    struct gw_buf *d = event(m, name);

    gw_buf_adds(d, ",\"response\":");
    add_response(m, d, done);
    event_end(m);
}

static void item_event(struct mock_call *m, const char *name, enum item kind, unsigned index,
                       unsigned call, bool done)
{
    struct gw_buf *d = event(m, name);

    gw_buf_printf(d, ",\"output_index\":%u,\"item\":", index);
    add_item(m, d, kind, index, call, done);
    event_end(m);
}

static void stream_text(struct mock_call *m, const char *delta, const char *done,
                        const char *member, enum item kind, unsigned index, struct gw_span all)
{
    struct gw_buf *d;

    for (struct gw_span left = all; left.len != 0;) {
        size_t n = mock_next_piece(m, left);

        d = part_event(m, delta, kind, index);
        gw_buf_adds(d, ",\"delta\":");
        gw_buf_add_json_str(d, (struct gw_span){left.ptr, n});
        if (kind == ITEM_MESSAGE)
            gw_buf_adds(d, ",\"logprobs\":[]");
        event_end(m);
        left = gw_span_from(left, n);
    }
    d = part_event(m, done, kind, index);
    gw_buf_printf(d, ",\"%s\":", member);
    gw_buf_add_json_str(d, all);
    if (kind == ITEM_MESSAGE)
        gw_buf_adds(d, ",\"logprobs\":[]");
    event_end(m);
}

static void stream_reasoning(struct mock_call *m, unsigned index)
{
    struct gw_buf *d;

    item_event(m, "response.output_item.added", ITEM_REASONING, index, 0, false);
    d = part_event(m, "response.reasoning_summary_part.added", ITEM_REASONING, index);
    gw_buf_adds(d, ",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}");
    event_end(m);
    stream_text(m, "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
                "text", ITEM_REASONING, index, gw_buf_span(&m->thought));
    d = part_event(m, "response.reasoning_summary_part.done", ITEM_REASONING, index);
    gw_buf_adds(d, ",\"part\":");
    add_summary(m, d);
    event_end(m);
    item_event(m, "response.output_item.done", ITEM_REASONING, index, 0, true);
}

static void stream_message(struct mock_call *m, unsigned index)
{
    struct gw_buf *d;

    item_event(m, "response.output_item.added", ITEM_MESSAGE, index, 0, false);
    d = part_event(m, "response.content_part.added", ITEM_MESSAGE, index);
    gw_buf_adds(d, ",\"part\":");
    add_text_part(d, GW_SPAN(""));
    event_end(m);
    stream_text(m, "response.output_text.delta", "response.output_text.done", "text", ITEM_MESSAGE,
                index, gw_buf_span(&m->text));
    d = part_event(m, "response.content_part.done", ITEM_MESSAGE, index);
    gw_buf_adds(d, ",\"part\":");
    add_text_part(d, gw_buf_span(&m->text));
    event_end(m);
    item_event(m, "response.output_item.done", ITEM_MESSAGE, index, 0, true);
}

static void answer_stream(struct mock_call *m)
{
    unsigned index = 0;

    mock_stream_begin(m);
    response_event(m, "response.created", false);
    response_event(m, "response.in_progress", false);
    if (m->plan.think)
        stream_reasoning(m, index++);
    for (unsigned i = 0; i < m->plan.tool; i++, index++) {
        item_event(m, "response.output_item.added", ITEM_CALL, index, i, false);
        stream_text(m, "response.function_call_arguments.delta",
                    "response.function_call_arguments.done", "arguments", ITEM_CALL, index,
                    gw_buf_span(&m->args));
        item_event(m, "response.output_item.done", ITEM_CALL, index, i, true);
    }
    if (m->plan.tool == 0)
        stream_message(m, index);
    response_event(m, "response.completed", true);
    mock_stream_end(m);
}

/* As strict as OpenAI: what governs answers is refused. */
void mock_responses_count(struct mock_call *m)
{
    static const char *const known[] = {"model",
                                        "input",
                                        "instructions",
                                        "tools",
                                        "tool_choice",
                                        "parallel_tool_calls",
                                        "reasoning",
                                        "text",
                                        "truncation",
                                        "conversation",
                                        "previous_response_id",
                                        NULL};

    if (mock_stranger(m->root, known) != NULL || gw_json_get(m->root, "input") == NULL) {
        mock_send_error(m, 400, "Unknown parameter.");
        return;
    }
    gw_buf_printf(&m->out, "{\"object\":\"response.input_tokens\",\"input_tokens\":%zu}",
                  m->body.len / 4);
    mock_send_json(m, gw_buf_span(&m->out));
}

void mock_responses(struct mock_call *m)
{
    if (!read_responses(m)) {
        mock_send_error(m, 400, "Missing required parameter: 'input'.");
        return;
    }
    mock_compose(m);
    if (m->plan.stream) {
        answer_stream(m);
        return;
    }
    add_response(m, &m->out, true);
    mock_send_json(m, gw_buf_span(&m->out));
}
