/* tests/mock/completions.c - the mock of OpenAI's legacy completions. One thread. */
#include "tests/mock/mock.h"

static bool read_completions(struct mock_call *m)
{
    const struct gw_json_node *prompt = gw_json_get(m->root, "prompt");

    if (prompt == NULL)
        return false;
    mock_set_content(m, prompt);
    mock_set_model(m, gw_json_get(m->root, "model"));
    m->plan.usage = gw_json_is(gw_json_get(gw_json_get(m->root, "stream_options"), "include_usage"),
                               GW_JSON_TRUE);
    return true;
}

static void envelope(const struct mock_call *m, struct gw_buf *b)
{
    gw_buf_printf(b,
                  "{\"id\":\"cmpl-mock%lu\",\"object\":\"text_completion\",\"created\":1700000000,"
                  "\"model\":",
                  m->number);
    gw_buf_add_json_str(b, m->model);
    gw_buf_adds(b, ",\"system_fingerprint\":\"fp_mock\",\"choices\":[");
}

static void add_usage(const struct mock_call *m, struct gw_buf *b)
{
    gw_buf_printf(
        b, ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu}",
        m->body.len / 4, m->text.len / 4, m->body.len / 4 + m->text.len / 4);
}

static void piece(struct mock_call *m, struct gw_span text, const char *finish)
{
    struct gw_buf *d = mock_event(m, NULL);

    envelope(m, d);
    gw_buf_adds(d, "{\"text\":");
    gw_buf_add_json_str(d, text);
    gw_buf_printf(d, ",\"index\":0,\"logprobs\":null,\"finish_reason\":%s}]}", finish);
    mock_event_end(m);
}

static void answer_stream(struct mock_call *m)
{
    mock_stream_begin(m);
    for (struct gw_span left = gw_buf_span(&m->text); left.len != 0;) {
        size_t n = mock_next_piece(m, left);

        piece(m, (struct gw_span){left.ptr, n}, "null");
        left = gw_span_from(left, n);
    }
    piece(m, GW_SPAN(""), "\"stop\"");
    if (m->plan.usage) {
        struct gw_buf *d = mock_event(m, NULL);

        envelope(m, d);
        gw_buf_adds(d, "]");
        add_usage(m, d);
        gw_buf_adds(d, "}");
        mock_event_end(m);
    }
    gw_buf_adds(mock_event(m, NULL), "[DONE]");
    mock_event_end(m);
    mock_stream_end(m);
}

void mock_completions(struct mock_call *m)
{
    if (!read_completions(m)) {
        mock_send_error(m, 400, "Missing required parameter: 'prompt'.");
        return;
    }
    m->plan.tool = 0;
    m->plan.think = false;
    mock_compose(m);
    if (m->plan.stream) {
        answer_stream(m);
        return;
    }
    envelope(m, &m->out);
    gw_buf_adds(&m->out, "{\"text\":");
    gw_buf_add_json_str(&m->out, gw_buf_span(&m->text));
    gw_buf_adds(&m->out, ",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}]");
    add_usage(m, &m->out);
    gw_buf_adds(&m->out, "}");
    mock_send_json(m, gw_buf_span(&m->out));
}
