/* tests/mock/anthropic.c - the mock of Anthropic's Messages, count_tokens and models, also behind Vertex and Bedrock.
 * One thread. */
#include "tests/mock/mock.h"

#define SIGNATURE "bW9jay1zaWduYXR1cmU="

static void read_choice(struct mock_call *m)
{
    const struct gw_json_node *tools = gw_json_get(m->root, "tools"),
                              *choice = gw_json_get(m->root, "tool_choice"),
                              *type = gw_json_get(choice, "type"),
                              *config = gw_json_get(m->root, "output_config"),
                              *format = gw_json_get(config, "format");

    if (gw_json_is(tools, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *t = tools->child; t != NULL; t = t->next)
            mock_add_tool(m, gw_json_get(t, "name"));
    if (gw_json_text_is(type, "any") || gw_json_text_is(type, "tool"))
        mock_force_tool(m, gw_json_get(choice, "name"));
    if (format == NULL)
        format = gw_json_get(m->root, "output_format");
    if (gw_json_text_is(gw_json_get(format, "type"), "json_schema"))
        m->plan.json = true;
}

static bool has_tool_result(const struct gw_json_node *content)
{
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return false;
    for (const struct gw_json_node *b = content->child; b != NULL; b = b->next)
        if (gw_json_text_is(gw_json_get(b, "type"), "tool_result"))
            return true;
    return false;
}

static bool read_messages(struct mock_call *m)
{
    const struct gw_json_node *messages = gw_json_get(m->root, "messages");

    if (!gw_json_is(messages, GW_JSON_ARRAY_BEGIN))
        return false;
    for (const struct gw_json_node *one = messages->child; one != NULL; one = one->next) {
        const struct gw_json_node *content = gw_json_get(one, "content");

        if (!gw_json_text_is(gw_json_get(one, "role"), "user"))
            continue;
        mock_set_content(m, content);
        m->after_tool = has_tool_result(content);
    }
    if (m->family == MOCK_ANTHROPIC)
        mock_set_model(m, gw_json_get(m->root, "model"));
    read_choice(m);
    return true;
}

/* ---- whole answers ------------------------------------------------------------------------- */

static void add_head(const struct mock_call *m, struct gw_buf *b)
{
    gw_buf_printf(b, "{\"id\":\"msg_%smock%lu\",\"type\":\"message\",\"role\":\"assistant\",",
                  m->family == MOCK_BEDROCK  ? "bdrk_"
                  : m->family == MOCK_VERTEX ? "vrtx_"
                                             : "",
                  m->number);
    gw_buf_adds(b, "\"model\":");
    gw_buf_add_json_str(b, m->model);
}

static void add_usage(const struct mock_call *m, struct gw_buf *b, size_t out)
{
    gw_buf_printf(b,
                  "\"usage\":{\"input_tokens\":%zu,\"cache_creation_input_tokens\":0,"
                  "\"cache_read_input_tokens\":0,\"output_tokens\":%zu",
                  m->body.len / 4, out);
    if (m->family == MOCK_ANTHROPIC)
        gw_buf_adds(b, ",\"service_tier\":\"standard\"");
    gw_buf_adds(b, "}");
}

static size_t out_tokens(const struct mock_call *m)
{
    return (m->text.len + m->thought.len) / 4 + 1;
}

static const char *stop_reason(const struct mock_call *m)
{
    return m->plan.tool != 0 ? "tool_use" : "end_turn";
}

static void add_tool_head(const struct mock_call *m, struct gw_buf *b, unsigned i)
{
    gw_buf_printf(b, "{\"type\":\"tool_use\",\"id\":\"toolu_mock%lu_%u\",\"name\":", m->number,
                  i + 1);
    gw_buf_add_json_str(b, m->tools[i]);
    gw_buf_adds(b, ",\"input\":");
}

static void answer_whole(struct mock_call *m)
{
    struct gw_buf *b = &m->out;

    add_head(m, b);
    gw_buf_adds(b, ",\"content\":[");
    if (m->plan.think) {
        gw_buf_adds(b, "{\"type\":\"thinking\",\"thinking\":");
        gw_buf_add_json_str(b, gw_buf_span(&m->thought));
        gw_buf_adds(b, ",\"signature\":\"" SIGNATURE "\"},");
    }
    for (unsigned i = 0; i < m->plan.tool; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        add_tool_head(m, b, i);
        gw_buf_add(b, gw_buf_span(&m->args));
        gw_buf_adds(b, "}");
    }
    if (m->plan.tool == 0) {
        gw_buf_adds(b, "{\"type\":\"text\",\"text\":");
        gw_buf_add_json_str(b, gw_buf_span(&m->text));
        gw_buf_adds(b, "}");
    }
    gw_buf_printf(b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,", stop_reason(m));
    add_usage(m, b, out_tokens(m));
    gw_buf_adds(b, "}");
    mock_send_json(m, gw_buf_span(b));
}

/* ---- streams ----------------------------------------------------------------------------- */

static void block_start(struct mock_call *m, unsigned index)
{
    gw_buf_printf(mock_event(m, "content_block_start"),
                  "{\"type\":\"content_block_start\",\"index\":%u,\"content_block\":", index);
}

static void block_stop(struct mock_call *m, unsigned index)
{
    gw_buf_printf(mock_event(m, "content_block_stop"),
                  "{\"type\":\"content_block_stop\",\"index\":%u}", index);
    mock_event_end(m);
}

static void delta(struct mock_call *m, unsigned index, const char *type, const char *member,
                  struct gw_span text)
{
    struct gw_buf *d = mock_event(m, "content_block_delta");

    gw_buf_printf(d,
                  "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":\"%s\","
                  "\"%s\":",
                  index, type, member);
    gw_buf_add_json_str(d, text);
    gw_buf_adds(d, "}}");
    mock_event_end(m);
}

static void deltas(struct mock_call *m, unsigned index, const char *type, const char *member,
                   struct gw_span left)
{
    while (left.len != 0) {
        size_t n = mock_next_piece(m, left);

        delta(m, index, type, member, (struct gw_span){left.ptr, n});
        left = gw_span_from(left, n);
    }
}

static unsigned stream_thinking(struct mock_call *m, unsigned index)
{
    block_start(m, index);
    gw_buf_adds(m->event, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}");
    mock_event_end(m);
    deltas(m, index, "thinking_delta", "thinking", gw_buf_span(&m->thought));
    delta(m, index, "signature_delta", "signature", GW_SPAN(SIGNATURE));
    block_stop(m, index);
    return index + 1;
}

static unsigned stream_text(struct mock_call *m, unsigned index)
{
    block_start(m, index);
    gw_buf_adds(m->event, "{\"type\":\"text\",\"text\":\"\"}}");
    mock_event_end(m);
    deltas(m, index, "text_delta", "text", gw_buf_span(&m->text));
    block_stop(m, index);
    return index + 1;
}

static unsigned stream_tool(struct mock_call *m, unsigned index, unsigned i)
{
    block_start(m, index);
    add_tool_head(m, m->event, i);
    gw_buf_adds(m->event, "{}}}");
    mock_event_end(m);
    delta(m, index, "input_json_delta", "partial_json", GW_SPAN(""));
    deltas(m, index, "input_json_delta", "partial_json", gw_buf_span(&m->args));
    block_stop(m, index);
    return index + 1;
}

static void answer_stream(struct mock_call *m)
{
    struct gw_buf *d = NULL;
    unsigned index = 0;

    mock_stream_begin(m);
    d = mock_event(m, "message_start");
    gw_buf_adds(d, "{\"type\":\"message_start\",\"message\":");
    add_head(m, d);
    gw_buf_adds(d, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
    add_usage(m, d, 1);
    gw_buf_adds(d, "}}");
    mock_event_end(m);
    if (m->plan.think)
        index = stream_thinking(m, index);
    gw_buf_adds(mock_event(m, "ping"), "{\"type\": \"ping\"}");
    mock_event_end(m);
    if (m->plan.tool == 0)
        index = stream_text(m, index);
    for (unsigned i = 0; i < m->plan.tool; i++)
        index = stream_tool(m, index, i);
    gw_buf_printf(mock_event(m, "message_delta"),
                  "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":"
                  "null},\"usage\":{\"output_tokens\":%zu}}",
                  stop_reason(m), out_tokens(m));
    mock_event_end(m);
    gw_buf_adds(mock_event(m, "message_stop"), "{\"type\":\"message_stop\"");
    if (m->family == MOCK_BEDROCK)
        gw_buf_printf(m->event,
                      ",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":%zu,"
                      "\"outputTokenCount\":%zu,\"invocationLatency\":1,\"firstByteLatency\":1}",
                      m->body.len / 4, out_tokens(m));
    gw_buf_adds(m->event, "}");
    mock_event_end(m);
    mock_stream_end(m);
}

/* ---- entry points -------------------------------------------------------------------------- */

/* As strict as Anthropic: what governs answers is refused. */
static void answer_count(struct mock_call *m)
{
    static const char *const known[] = {"model",
                                        "messages",
                                        "system",
                                        "tools",
                                        "tool_choice",
                                        "thinking",
                                        "output_config",
                                        "output_format",
                                        "cache_control",
                                        "context_management",
                                        "mcp_servers",
                                        "anthropic_version",
                                        NULL};

    if (mock_stranger(m->root, known) != NULL) {
        mock_send_error(m, 400, "Extra inputs are not permitted");
        return;
    }
    gw_buf_printf(&m->out, "{\"input_tokens\":%zu}", m->body.len / 4);
    mock_send_json(m, gw_buf_span(&m->out));
}

void mock_anthropic(struct mock_call *m, struct gw_span path)
{
    if (!read_messages(m)) {
        mock_send_error(m, 400, "messages: Field required");
        return;
    }
    if (gw_span_is(path, "/messages/count_tokens")) {
        answer_count(m);
        return;
    }
    if (!gw_span_is(path, "/messages")) {
        mock_send_error(m, 404, "Not Found");
        return;
    }
    if (!gw_json_is(gw_json_get(m->root, "max_tokens"), GW_JSON_NUMBER)) {
        mock_send_error(m, 400, "max_tokens: Field required");
        return;
    }
    m->claude = true;
    mock_compose(m);
    if (m->plan.stream)
        answer_stream(m);
    else
        answer_whole(m);
}

static void add_model(struct gw_buf *b, struct gw_span id)
{
    gw_buf_adds(b, "{\"type\":\"model\",\"id\":");
    gw_buf_add_json_str(b, id);
    gw_buf_adds(b, ",\"display_name\":\"Claude Mock\",\"created_at\":\"2026-01-01T00:00:00Z\"}");
}

void mock_anthropic_models(struct mock_call *m, struct gw_span id)
{
    static const char *const ids[] = {"claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5"};

    if (id.len != 0) {
        add_model(&m->out, id);
        mock_send_json(m, gw_buf_span(&m->out));
        return;
    }
    gw_buf_adds(&m->out, "{\"data\":[");
    for (size_t i = 0; i < 3; i++) {
        gw_buf_adds(&m->out, i == 0 ? "" : ",");
        add_model(&m->out, gw_span_str(ids[i]));
    }
    gw_buf_printf(&m->out, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", ids[0],
                  ids[2]);
    mock_send_json(m, gw_buf_span(&m->out));
}
