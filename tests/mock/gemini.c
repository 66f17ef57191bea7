/* tests/mock/gemini.c - the mock of Google's generateContent family and models, also behind Vertex. One thread. */
#include "tests/mock/mock.h"

/* Google's JSON has its names in camelCase or in snake_case. */
static const struct gw_json_node *either(const struct gw_json_node *node, const char *camel,
                                         const char *snake)
{
    const struct gw_json_node *got = gw_json_get(node, camel);

    return got != NULL ? got : gw_json_get(node, snake);
}

static void read_tools(struct mock_call *m)
{
    const struct gw_json_node *tools = gw_json_get(m->root, "tools"), *list, *names,
                              *config = either(m->root, "generationConfig", "generation_config"),
                              *calling = either(either(m->root, "toolConfig", "tool_config"),
                                                "functionCallingConfig", "function_calling_config");

    if (gw_json_is(tools, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *t = tools->child; t != NULL; t = t->next) {
            list = either(t, "functionDeclarations", "function_declarations");
            if (gw_json_is(list, GW_JSON_ARRAY_BEGIN))
                for (list = list->child; list != NULL; list = list->next)
                    mock_add_tool(m, gw_json_get(list, "name"));
        }
    names = either(calling, "allowedFunctionNames", "allowed_function_names");
    if (gw_json_text_is(gw_json_get(calling, "mode"), "ANY"))
        mock_force_tool(m, gw_json_is(names, GW_JSON_ARRAY_BEGIN) ? names->child : NULL);
    if (either(config, "responseSchema", "response_schema") != NULL ||
        either(config, "responseJsonSchema", "response_json_schema") != NULL)
        m->plan.json = true;
}

/* The texts of a content, or what its functions gave back as it was written. */
static void take_parts(struct mock_call *m, const struct gw_json_node *parts)
{
    mock_set_content(m, parts);
    m->after_tool = false;
    if (!gw_json_is(parts, GW_JSON_ARRAY_BEGIN))
        return;
    for (const struct gw_json_node *p = parts->child; p != NULL; p = p->next) {
        const struct gw_json_node *result = either(p, "functionResponse", "function_response"),
                                  *response = gw_json_get(result, "response"),
                                  *text = gw_json_get(response, "result");

        if (result == NULL)
            continue;
        m->after_tool = true;
        if (gw_json_is(text, GW_JSON_STRING))
            gw_buf_add(&m->text, gw_json_text(text, m->arena));
        else if (response != NULL)
            gw_buf_add(&m->text, response->raw);
    }
}

static bool read_contents(struct mock_call *m)
{
    const struct gw_json_node *contents = gw_json_get(m->root, "contents");

    if (contents == NULL)
        contents = gw_json_get(gw_json_get(m->root, "generateContentRequest"), "contents");
    if (!gw_json_is(contents, GW_JSON_ARRAY_BEGIN))
        return false;
    for (const struct gw_json_node *one = contents->child; one != NULL; one = one->next)
        if (!gw_json_text_is(gw_json_get(one, "role"), "model"))
            take_parts(m, gw_json_get(one, "parts"));
    read_tools(m);
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void begin_candidate(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"candidates\":[{\"content\":{\"parts\":[");
}

static void end_candidate(const struct mock_call *m, struct gw_buf *b, bool last)
{
    size_t in = m->body.len / 4, out = m->text.len / 4, thoughts = m->thought.len / 4;

    gw_buf_printf(b,
                  "],\"role\":\"model\"},%s\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":"
                  "%zu,",
                  last ? "\"finishReason\":\"STOP\"," : "", in);
    if (last)
        gw_buf_printf(b, "\"candidatesTokenCount\":%zu,", out);
    if (thoughts != 0)
        gw_buf_printf(b, "\"thoughtsTokenCount\":%zu,", thoughts);
    gw_buf_printf(b,
                  "\"totalTokenCount\":%zu,\"promptTokensDetails\":[{\"modality\":\"TEXT\","
                  "\"tokenCount\":%zu}]},\"modelVersion\":",
                  in + (last ? out : 0) + thoughts, in);
    gw_buf_add_json_str(b, m->model);
    gw_buf_printf(b, ",\"responseId\":\"mock%lu\"}", m->number);
}

static void add_text(struct gw_buf *b, struct gw_span text, bool thought)
{
    gw_buf_adds(b, "{\"text\":");
    gw_buf_add_json_str(b, text);
    gw_buf_adds(b, thought ? ",\"thought\":true}" : "}");
}

static void add_call(const struct mock_call *m, struct gw_buf *b, unsigned i)
{
    gw_buf_adds(b, i == 0 ? "" : ",");
    gw_buf_adds(b, "{\"functionCall\":{\"name\":");
    gw_buf_add_json_str(b, m->tools[i]);
    gw_buf_adds(b, ",\"args\":");
    gw_buf_add(b, gw_buf_span(&m->args));
    gw_buf_adds(b, i == 0 && m->plan.think ? "},\"thoughtSignature\":\"bW9jaw==\"}" : "}}");
}

static void answer_whole(struct mock_call *m)
{
    struct gw_buf *b = &m->out;

    begin_candidate(b);
    if (m->plan.think) {
        add_text(b, gw_buf_span(&m->thought), true);
        gw_buf_adds(b, ",");
    }
    for (unsigned i = 0; i < m->plan.tool; i++)
        add_call(m, b, i);
    if (m->plan.tool == 0)
        add_text(b, gw_buf_span(&m->text), false);
    end_candidate(m, b, true);
    mock_send_json(m, gw_buf_span(b));
}

/* Texts in pieces; the last piece of the answer carries the finish reason, as Google's does. */
static void stream_text(struct mock_call *m, struct gw_span left, bool thought)
{
    do {
        size_t n = mock_next_piece(m, left);
        struct gw_buf *d = mock_event(m, NULL);

        begin_candidate(d);
        add_text(d, (struct gw_span){left.ptr, n}, thought);
        left = gw_span_from(left, n);
        end_candidate(m, d, left.len == 0 && !thought);
        mock_event_end(m);
    } while (left.len != 0);
}

static void answer_stream(struct mock_call *m)
{
    mock_stream_begin(m);
    if (m->plan.think)
        stream_text(m, gw_buf_span(&m->thought), true);
    if (m->plan.tool == 0) {
        stream_text(m, gw_buf_span(&m->text), false);
    } else {
        struct gw_buf *d = mock_event(m, NULL);

        begin_candidate(d);
        for (unsigned i = 0; i < m->plan.tool; i++)
            add_call(m, d, i);
        end_candidate(m, d, true);
        mock_event_end(m);
    }
    mock_stream_end(m);
}

static void embed(struct mock_call *m, bool many)
{
    const struct gw_json_node *list = gw_json_get(m->root, "requests");

    gw_buf_adds(&m->out, many ? "{\"embeddings\":[" : "{\"embedding\":");
    list = many && gw_json_is(list, GW_JSON_ARRAY_BEGIN) ? list->child : NULL;
    do {
        gw_buf_adds(&m->out, "{\"values\":[0.5,-0.25,0.125,0.0625]}");
        list = list == NULL ? NULL : list->next;
        gw_buf_adds(&m->out, list != NULL ? "," : "");
    } while (list != NULL);
    gw_buf_adds(&m->out, many ? "]}" : "}");
    mock_send_json(m, gw_buf_span(&m->out));
}

/* ---- models, dispatch ------------------------------------------------------------------------ */

static void add_model(struct gw_buf *b, struct gw_span id)
{
    gw_buf_printf(b,
                  "{\"name\":\"models/%.*s\",\"version\":\"001\",\"displayName\":\"Gemini Mock\","
                  "\"description\":\"mock\",\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,"
                  "\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\"]}",
                  (int)id.len, id.ptr);
}

static void answer_models(struct mock_call *m, struct gw_span id)
{
    if (id.len != 0) {
        add_model(&m->out, id);
    } else {
        gw_buf_adds(&m->out, "{\"models\":[");
        add_model(&m->out, GW_SPAN("gemini-2.5-flash"));
        gw_buf_adds(&m->out, ",");
        add_model(&m->out, GW_SPAN("gemini-2.5-pro"));
        gw_buf_adds(&m->out, "]}");
    }
    mock_send_json(m, gw_buf_span(&m->out));
}

/* Google's own API counts contents, or a whole request that says its model; Vertex has what belongs to them beside the
 * contents. */
static void answer_count(struct mock_call *m)
{
    static const char *const own[] = {"contents", "generateContentRequest", NULL},
                             *const vertex[] = {
                                 "contents", "systemInstruction", "tools", "generationConfig",
                                 "model",    "instances",         NULL};
    const struct gw_json_node *whole = gw_json_get(m->root, "generateContentRequest");
    size_t n = (whole == NULL ? m->body.len : whole->raw.len) / 4 + 1;

    if (mock_stranger(m->root, m->family == MOCK_VERTEX ? vertex : own) != NULL ||
        (whole != NULL && !gw_json_is(gw_json_get(whole, "model"), GW_JSON_STRING))) {
        mock_send_error(m, 400, "Invalid JSON payload received. Unknown name: Cannot find field.");
        return;
    }
    gw_buf_printf(&m->out,
                  "{\"totalTokens\":%zu,\"promptTokensDetails\":[{\"modality\":\"TEXT\","
                  "\"tokenCount\":%zu}]}",
                  n, n);
    mock_send_json(m, gw_buf_span(&m->out));
}

void mock_gemini(struct mock_call *m, struct gw_span name)
{
    const char *colon = mock_find_char(name, ':');
    struct gw_span verb;

    if (colon == NULL) {
        answer_models(m, name);
        return;
    }
    m->model = (struct gw_span){name.ptr, (size_t)(colon - name.ptr)};
    verb = gw_span_from(name, m->model.len + 1);
    if (gw_span_is(verb, "embedContent") || gw_span_is(verb, "batchEmbedContents")) {
        embed(m, gw_span_is(verb, "batchEmbedContents"));
        return;
    }
    m->plan.stream = gw_span_is(verb, "streamGenerateContent");
    if (m->plan.stream && !gw_span_is(mock_query(m, "alt"), "sse"))
        m->framing = MOCK_ARRAY;
    if (m->plan.status != 200) {
        mock_send_error(m, m->plan.status, NULL);
    } else if (!read_contents(m)) {
        mock_send_error(m, 400, "* GenerateContentRequest.contents: contents is not specified");
    } else if (gw_span_is(verb, "countTokens")) {
        answer_count(m);
    } else if (m->plan.stream || gw_span_is(verb, "generateContent")) {
        mock_compose(m);
        if (m->plan.stream)
            answer_stream(m);
        else
            answer_whole(m);
    } else {
        mock_send_error(m, 404, "unknown method");
    }
}

void mock_gemini_upload(struct mock_call *m)
{
    bool start = gw_span_is(mock_field(m, "x-goog-upload-command"), "start");

    m->family = MOCK_GEMINI;
    if (start) {
        mock_send(m, 200, "text/plain", GW_SPAN(""));
    } else {
        gw_buf_printf(&m->out,
                      "{\"file\":{\"name\":\"files/mock%lu\",\"mimeType\":\"text/plain\","
                      "\"sizeBytes\":\"%zu\",\"state\":\"ACTIVE\",\"uri\":"
                      "\"https://generativelanguage.googleapis.com/v1beta/files/mock%lu\"}}",
                      m->number, m->body.len, m->number);
        mock_send_json(m, gw_buf_span(&m->out));
    }
    m->fields.len -= 2; /* before the empty line */
    gw_buf_printf(&m->fields,
                  "X-Goog-Upload-Status: %s\r\nX-Goog-Upload-URL: https://"
                  "generativelanguage.googleapis.com/upload/v1beta/files?upload_id=mock%lu&"
                  "upload_protocol=resumable\r\n\r\n",
                  start ? "active" : "final", m->number);
}
