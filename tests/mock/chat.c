/* tests/mock/chat.c - the mock of OpenAI's chat completions, also as Azure answers them. One thread. */
#include <string.h>

#include "tests/mock/mock.h"

#define AZURE_FILTER                                                                               \
    "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},"                                        \
    "\"violence\":{\"filtered\":false,\"severity\":\"safe\"}}"

static void read_tools(struct mock_call *m)
{
    const struct gw_json_node *tools = gw_json_get(m->root, "tools"),
                              *choice = gw_json_get(m->root, "tool_choice"),
                              *format = gw_json_get(m->root, "response_format"),
                              *type = gw_json_get(format, "type");

    if (gw_json_is(tools, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *t = tools->child; t != NULL; t = t->next)
            mock_add_tool(m, gw_json_get(gw_json_get(t, "function"), "name"));
    if (gw_json_text_is(choice, "required") || gw_json_is(choice, GW_JSON_OBJECT_BEGIN))
        mock_force_tool(m, gw_json_get(gw_json_get(choice, "function"), "name"));
    if (gw_json_text_is(type, "json_schema") || gw_json_text_is(type, "json_object"))
        m->plan.json = true;
}

/* The answer speaks of the last user message, or of the results of tools that follow it. */
static bool read_chat(struct mock_call *m)
{
    const struct gw_json_node *messages = gw_json_get(m->root, "messages");
    bool tool_before = false;

    if (!gw_json_is(messages, GW_JSON_ARRAY_BEGIN))
        return false;
    for (const struct gw_json_node *one = messages->child; one != NULL; one = one->next) {
        const struct gw_json_node *role = gw_json_get(one, "role");
        bool tool = gw_json_text_is(role, "tool");

        if (tool && tool_before)
            mock_add_content(m, gw_json_get(one, "content"));
        else if (tool || gw_json_text_is(role, "user"))
            mock_set_content(m, gw_json_get(one, "content"));
        tool_before = tool;
    }
    m->after_tool = tool_before;
    mock_set_model(m, gw_json_get(m->root, "model"));
    m->plan.usage = gw_json_is(gw_json_get(gw_json_get(m->root, "stream_options"), "include_usage"),
                               GW_JSON_TRUE);
    m->plan.n = (unsigned)gw_json_uint(gw_json_get(m->root, "n"), 1);
    m->plan.n = m->plan.n > 8 ? 8 : m->plan.n;
    read_tools(m);
    return true;
}

static void envelope(const struct mock_call *m, struct gw_buf *b, const char *object)
{
    gw_buf_printf(
        b, "{\"id\":\"chatcmpl-mock%lu\",\"object\":\"%s\",\"created\":1700000000,\"model\":",
        m->number, object);
    gw_buf_add_json_str(b, m->model);
    gw_buf_adds(b, mock_options.bench && m->streaming ? ",\"system_fingerprint\":\"fp_" MOCK_STAMP
                                                        "\","
                                                      : ",\"system_fingerprint\":\"fp_mock\",");
    if (m->family == MOCK_OPENAI && !mock_options.bench)
        gw_buf_adds(b, "\"service_tier\":\"default\",");
}

static void add_usage(const struct mock_call *m, struct gw_buf *b)
{
    size_t in = m->body.len / 4, out = (m->text.len + m->thought.len) / 4;

    gw_buf_printf(b,
                  "\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu",
                  in, out, in + out);
    if (!mock_options.bench)
        gw_buf_printf(b,
                      ",\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                      "\"completion_tokens_details\":{\"reasoning_tokens\":%zu,\"audio_tokens\":0,"
                      "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}",
                      m->thought.len / 4);
    gw_buf_adds(b, "}");
}

static void add_calls(const struct mock_call *m, struct gw_buf *b)
{
    gw_buf_adds(b, "null,\"tool_calls\":[");
    for (unsigned i = 0; i < m->plan.tool; i++) {
        gw_buf_printf(b, "%s{\"id\":\"call_%lu_%u\",\"type\":\"function\",\"function\":{\"name\":",
                      i == 0 ? "" : ",", m->number, i + 1);
        gw_buf_add_json_str(b, m->tools[i]);
        gw_buf_adds(b, ",\"arguments\":");
        gw_buf_add_json_str(b, gw_buf_span(&m->args));
        gw_buf_adds(b, "}}");
    }
    gw_buf_adds(b, "]");
}

static void answer_whole(struct mock_call *m)
{
    struct gw_buf *b = &m->out;

    envelope(m, b, "chat.completion");
    gw_buf_adds(b, "\"choices\":[");
    for (unsigned i = 0; i < m->plan.n; i++) {
        gw_buf_printf(b, "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",", i == 0 ? "" : ",",
                      i);
        if (m->plan.think) {
            gw_buf_adds(b, "\"reasoning_content\":");
            gw_buf_add_json_str(b, gw_buf_span(&m->thought));
            gw_buf_adds(b, ",");
        }
        gw_buf_adds(b, "\"content\":");
        if (m->plan.tool != 0)
            add_calls(m, b);
        else
            gw_buf_add_json_str(b, gw_buf_span(&m->text));
        gw_buf_printf(b, ",\"refusal\":null%s},\"logprobs\":null,\"finish_reason\":\"%s\"%s}",
                      mock_options.bench ? "" : ",\"annotations\":[]",
                      m->plan.tool != 0 ? "tool_calls" : "stop",
                      m->family == MOCK_AZURE ? ",\"content_filter_results\":" AZURE_FILTER : "");
    }
    gw_buf_adds(b, "],");
    if (m->family == MOCK_AZURE)
        gw_buf_adds(b, "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_"
                       "results\":" AZURE_FILTER "}],");
    add_usage(m, b);
    gw_buf_adds(b, "}");
    mock_send_json(m, gw_buf_span(b));
}

/* ---- streams ----------------------------------------------------------------------------- */

static struct gw_buf *chunk(struct mock_call *m, unsigned choice)
{
    struct gw_buf *d = mock_event(m, NULL);

    envelope(m, d, "chat.completion.chunk");
    gw_buf_printf(d, "\"choices\":[{\"index\":%u,\"delta\":{", choice);
    return d;
}

static void chunk_end(struct mock_call *m, const char *finish)
{
    gw_buf_adds(m->event, "},\"logprobs\":null,\"finish_reason\":");
    if (finish == NULL)
        gw_buf_adds(m->event, "null");
    else
        gw_buf_printf(m->event, "\"%s\"", finish);
    gw_buf_adds(m->event, "}]");
    if (m->plan.usage && !mock_options.bench)
        gw_buf_adds(m->event, ",\"usage\":null");
    gw_buf_adds(m->event, "}");
    mock_event_end(m);
}

static void stream_text(struct mock_call *m, unsigned choice, const char *member,
                        struct gw_span text)
{
    while (text.len != 0) {
        size_t n = mock_next_piece(m, text);
        struct gw_buf *d = chunk(m, choice);

        gw_buf_printf(d, "\"%s\":", member);
        gw_buf_add_json_str(d, (struct gw_span){text.ptr, n});
        chunk_end(m, NULL);
        text = gw_span_from(text, n);
    }
}

static void stream_call(struct mock_call *m, unsigned choice, unsigned i)
{
    struct gw_buf *d = chunk(m, choice);

    gw_buf_printf(d,
                  "\"tool_calls\":[{\"index\":%u,\"id\":\"call_%lu_%u\",\"type\":\"function\","
                  "\"function\":{\"name\":",
                  i, m->number, i + 1);
    gw_buf_add_json_str(d, m->tools[i]);
    gw_buf_adds(d, ",\"arguments\":\"\"}}]");
    chunk_end(m, NULL);
    for (struct gw_span left = gw_buf_span(&m->args); left.len != 0;) {
        size_t n = mock_next_piece(m, left);

        d = chunk(m, choice);
        gw_buf_printf(d, "\"tool_calls\":[{\"index\":%u,\"function\":{\"arguments\":", i);
        gw_buf_add_json_str(d, (struct gw_span){left.ptr, n});
        gw_buf_adds(d, "}}]");
        chunk_end(m, NULL);
        left = gw_span_from(left, n);
    }
}

static void stream_choice(struct mock_call *m, unsigned choice)
{
    struct gw_buf *d = chunk(m, choice);

    gw_buf_printf(d, "\"role\":\"assistant\",\"content\":%s%s", m->plan.tool != 0 ? "null" : "\"\"",
                  mock_options.bench ? "" : ",\"refusal\":null");
    chunk_end(m, NULL);
    stream_text(m, choice, "reasoning_content", gw_buf_span(&m->thought));
    for (unsigned i = 0; i < m->plan.tool; i++)
        stream_call(m, choice, i);
    if (m->plan.tool == 0)
        stream_text(m, choice, "content", gw_buf_span(&m->text));
    (void)chunk(m, choice);
    chunk_end(m, m->plan.tool != 0 ? "tool_calls" : "stop");
}

static void answer_stream(struct mock_call *m)
{
    struct gw_buf *d;

    mock_stream_begin(m);
    if (m->family == MOCK_AZURE) {
        gw_buf_adds(mock_event(m, NULL),
                    "{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
                    "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_"
                    "results\":" AZURE_FILTER "}]}");
        mock_event_end(m);
    }
    for (unsigned i = 0; i < m->plan.n; i++)
        stream_choice(m, i);
    if (m->plan.usage) {
        d = mock_event(m, NULL);
        envelope(m, d, "chat.completion.chunk");
        gw_buf_adds(d, "\"choices\":[],");
        add_usage(m, d);
        gw_buf_adds(d, "}");
        mock_event_end(m);
    }
    gw_buf_adds(mock_event(m, NULL), "[DONE]");
    mock_event_end(m);
    mock_stream_end(m);
}

void mock_chat(struct mock_call *m)
{
    if (!mock_options.bench && !read_chat(m)) {
        mock_send_error(m, 400, "Missing required parameter: 'messages'.");
        return;
    }
    mock_compose(m);
    if (m->plan.stream)
        answer_stream(m);
    else
        answer_whole(m);
}
