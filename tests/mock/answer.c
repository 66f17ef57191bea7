/* tests/mock/answer.c - heads, events and errors of the mock, in the form of each API family. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "tests/mock/mock.h"

/* ---- heads ------------------------------------------------------------------------------- */

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {503, "Service Unavailable"}};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Error";
}

static void anthropic_fields(struct gw_buf *b, unsigned long number)
{
    static const char *const kinds[] = {"requests", "tokens", "input-tokens", "output-tokens"};

    gw_buf_printf(b, "request-id: req_mock_%lu\r\nanthropic-organization-id: org-mock\r\n", number);
    for (size_t i = 0; i < 4; i++)
        gw_buf_printf(b,
                      "anthropic-ratelimit-%s-limit: 4000\r\n"
                      "anthropic-ratelimit-%s-remaining: 3999\r\n"
                      "anthropic-ratelimit-%s-reset: 2027-01-01T00:00:00Z\r\n",
                      kinds[i], kinds[i], kinds[i]);
}

static void openai_fields(struct gw_buf *b, unsigned long number)
{
    gw_buf_printf(b,
                  "x-request-id: req_mock_%lu\r\nopenai-processing-ms: 1\r\n"
                  "openai-version: 2020-10-01\r\nopenai-organization: org-mock\r\n"
                  "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 200000\r\n"
                  "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 199000\r\n"
                  "x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 6m0s\r\n",
                  number);
}

static void family_fields(struct mock_call *m)
{
    struct gw_buf *b = &m->fields;

    if (mock_options.bench) {
        gw_buf_printf(b, "x-request-id: req_mock_%lu\r\n%s", m->number,
                      m->streaming ? "" : "openai-processing-ms: 1\r\n");
        return;
    }
    switch (m->family) {
    case MOCK_ANTHROPIC:
        anthropic_fields(b, m->number);
        break;
    case MOCK_GEMINI:
    case MOCK_VERTEX:
        gw_buf_adds(b, "Vary: Origin\r\nServer-Timing: gfet4t7; dur=1\r\nX-Frame-Options: "
                       "SAMEORIGIN\r\n");
        break;
    case MOCK_BEDROCK:
        gw_buf_printf(b,
                      "x-amzn-RequestId: 00000000-0000-4000-8000-%012lu\r\n"
                      "X-Amzn-Bedrock-Invocation-Latency: 1\r\n",
                      m->number);
        break;
    case MOCK_AZURE:
        gw_buf_printf(b, "apim-request-id: 00000000-0000-4000-8000-%012lu\r\nx-ms-region: Mock\r\n",
                      m->number);
        openai_fields(b, m->number);
        break;
    case MOCK_OPENAI:
        openai_fields(b, m->number);
        break;
    }
}

static void retry_fields(struct mock_call *m, unsigned status)
{
    unsigned ms = m->plan.after_ms;

    if (ms != 0)
        gw_buf_printf(&m->fields, "retry-after-ms: %u\r\nRetry-After: %u\r\n", ms,
                      (ms + 999) / 1000);
    else if (status == 429 || status == 529)
        gw_buf_adds(&m->fields, "Retry-After: 7\r\n");
    if (m->family == MOCK_ANTHROPIC)
        gw_buf_printf(&m->fields, "x-should-retry: %s\r\n",
                      status == 408 || status == 409 || status == 429 || status >= 500 ? "true"
                                                                                       : "false");
}

void mock_send(struct mock_call *m, unsigned status, const char *type, struct gw_span body)
{
    gw_buf_clear(&m->fields);
    m->streaming = false;
    m->n_ends = 0;
    gw_buf_printf(&m->fields, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n", status, reason(status),
                  type);
    family_fields(m);
    if (status >= 400)
        retry_fields(m, status);
    gw_buf_printf(&m->fields, "Content-Length: %zu\r\n\r\n", body.len);
    if (body.ptr != m->out.ptr) {
        gw_buf_clear(&m->out);
        gw_buf_add(&m->out, body);
    }
}

void mock_send_json(struct mock_call *m, struct gw_span body)
{
    mock_send(m, 200,
              m->family == MOCK_GEMINI || m->family == MOCK_VERTEX
                  ? "application/json; charset=UTF-8"
                  : "application/json",
              body);
}

/* ---- errors ------------------------------------------------------------------------------ */

struct names {
    unsigned status;
    const char *openai, *anthropic, *google, *aws;
};

static const struct names *names_of(unsigned status)
{
    static const struct names names[] = {
        {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
         "ValidationException"},
        {401, "invalid_request_error", "authentication_error", "UNAUTHENTICATED",
         "UnrecognizedClientException"},
        {403, "invalid_request_error", "permission_error", "PERMISSION_DENIED",
         "AccessDeniedException"},
        {404, "invalid_request_error", "not_found_error", "NOT_FOUND", "ResourceNotFoundException"},
        {408, "timeout_error", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"},
        {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT",
         "ValidationException"},
        {429, "requests", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"},
        {500, "server_error", "api_error", "INTERNAL", "InternalServerException"},
        {503, "server_error", "api_error", "UNAVAILABLE", "ServiceUnavailableException"},
        {504, "server_error", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"},
        {529, "server_error", "overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"},
        {0, NULL, NULL, NULL, NULL}};
    static const struct names client = {0, "invalid_request_error", "invalid_request_error",
                                        "FAILED_PRECONDITION", "ValidationException"};
    static const struct names server = {0, "server_error", "api_error", "INTERNAL",
                                        "InternalServerException"};

    for (const struct names *n = names; n->status != 0; n++)
        if (n->status == status)
            return n;
    return status < 500 ? &client : &server;
}

static void error_body(const struct mock_call *m, struct gw_buf *b, unsigned status,
                       const char *text)
{
    const struct names *n = names_of(status);
    struct gw_span message = gw_span_str(text);

    switch (m->family) {
    case MOCK_ANTHROPIC:
        gw_buf_printf(b,
                      "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", n->anthropic);
        gw_buf_add_json_str(b, message);
        gw_buf_printf(b, "},\"request_id\":\"req_mock_%lu\"}", m->number);
        break;
    case MOCK_GEMINI:
    case MOCK_VERTEX:
        gw_buf_printf(b, "{\"error\":{\"code\":%u,\"message\":", status);
        gw_buf_add_json_str(b, message);
        gw_buf_printf(b, ",\"status\":\"%s\"}}", n->google);
        break;
    case MOCK_BEDROCK:
        gw_buf_adds(b, "{\"message\":");
        gw_buf_add_json_str(b, message);
        gw_buf_adds(b, "}");
        break;
    case MOCK_OPENAI:
    case MOCK_AZURE:
        gw_buf_adds(b, "{\"error\":{\"message\":");
        gw_buf_add_json_str(b, message);
        gw_buf_printf(b, ",\"type\":\"%s\",\"param\":null,\"code\":\"mock_%u\"}}", n->openai,
                      status);
        break;
    }
}

void mock_send_error(struct mock_call *m, unsigned status, const char *message)
{
    struct gw_buf b = {0};
    char text[32];

    (void)snprintf(text, sizeof(text), "mock error %u", status);
    if (m->framing == MOCK_ARRAY)
        gw_buf_adds(&b, "[");
    error_body(m, &b, status, message == NULL ? text : message);
    if (m->framing == MOCK_ARRAY)
        gw_buf_adds(&b, "]");
    mock_send(m, status, "application/json", gw_buf_span(&b));
    if (m->family == MOCK_BEDROCK) {
        m->fields.len -= 2; /* before the empty line */
        gw_buf_printf(&m->fields, "x-amzn-ErrorType: %s\r\n\r\n", names_of(status)->aws);
    }
    gw_buf_fini(&b);
}

/* The error event of err=N, in the place of the event being written. */
static void error_event(struct mock_call *m)
{
    struct gw_buf *b;

    m->out.len = m->event_start;
    b = mock_event(m, m->claude || m->named_errors ? "error" : NULL);
    if (m->claude) {
        gw_buf_adds(b, m->family == MOCK_BEDROCK
                           ? "{\"message\":\"Overloaded\"}"
                           : "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                             "\"message\":\"Overloaded\"}}");
    } else if (m->named_errors) {
        gw_buf_printf(b,
                      "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"mock error in "
                      "the stream\",\"param\":null,\"sequence_number\":%u}",
                      m->sequence);
    } else {
        error_body(m, b, 500, "mock error in the stream");
    }
}

/* ---- streams ----------------------------------------------------------------------------- */

size_t mock_next_piece(const struct mock_call *m, struct gw_span left)
{
    size_t n = m->plan.piece;

    if (n == 0)
        while (n < left.len && (n == 0 || left.ptr[n - 1] != ' '))
            n++;
    n = n < left.len ? n : left.len;
    /* Never cut inside a character: a provider does not either. */
    while (n < left.len && (left.ptr[n] & 0xC0) == 0x80)
        n++;
    return n;
}

void mock_stream_begin(struct mock_call *m)
{
    static const char *const types[] = {[MOCK_SSE] = "text/event-stream",
                                        [MOCK_ARRAY] = "application/json",
                                        [MOCK_AWS] = "application/vnd.amazon.eventstream"};

    m->streaming = true;
    gw_buf_printf(&m->fields, "HTTP/1.1 200 OK\r\nContent-Type: %s%s\r\n", types[m->framing],
                  m->framing == MOCK_SSE && m->family != MOCK_GEMINI && m->family != MOCK_VERTEX
                      ? "; charset=utf-8"
                      : "");
    family_fields(m);
    gw_buf_adds(&m->fields, "Transfer-Encoding: chunked\r\n\r\n");
}

/* What stands in front of an event's data. */
static void open_event(struct mock_call *m, const char *name)
{
    const char *nl = m->plan.crlf ? "\r\n" : "\n";
    struct gw_buf *b = &m->out;

    if (m->framing == MOCK_ARRAY) {
        gw_buf_adds(b, m->n_ends == 0 ? "[" : ",\r\n");
        return;
    }
    if (m->plan.comments && m->family != MOCK_GEMINI && m->family != MOCK_VERTEX)
        gw_buf_printf(b, ": keep-alive%s%s", nl, nl);
    if (name != NULL)
        gw_buf_printf(b, "event: %s%s", name, nl);
    gw_buf_add(b, GW_SPAN("data: "));
}

struct gw_buf *mock_event(struct mock_call *m, const char *name)
{
    gw_buf_clear(&m->data);
    m->event = m->framing == MOCK_AWS ? &m->data : &m->out;
    m->event_start = m->out.len;
    if (m->framing != MOCK_AWS)
        open_event(m, name);
    return m->event;
}

static void add_end(struct mock_call *m)
{
    if (m->n_ends == m->cap_ends) {
        m->cap_ends = m->cap_ends == 0 ? 64 : m->cap_ends * 2;
        m->ends = realloc(m->ends, m->cap_ends * sizeof(*m->ends));
        if (m->ends == NULL)
            exit(1); /* a test's mock, not a server */
    }
    m->ends[m->n_ends++] = m->out.len;
}

static void frame_aws(struct mock_call *m)
{
    struct gw_buf payload = {0};

    if (m->stopped) {
        mock_aws_event(&m->out, "modelStreamErrorException", gw_buf_span(&m->data));
        return;
    }
    gw_buf_adds(&payload, "{\"bytes\":\"");
    mock_add_base64(&payload, gw_buf_span(&m->data));
    gw_buf_adds(&payload, "\",\"p\":\"abcdefghijk\"}");
    mock_aws_event(&m->out, NULL, gw_buf_span(&payload));
    gw_buf_fini(&payload);
}

void mock_event_end(struct mock_call *m)
{
    if (m->stopped) {
        m->out.len = m->event_start;
        return;
    }
    if (m->plan.err >= 0 && m->n_ends == (unsigned)m->plan.err) {
        m->stopped = true;
        error_event(m);
    }
    if (m->framing == MOCK_AWS)
        frame_aws(m);
    else if (m->framing == MOCK_SSE)
        gw_buf_add(&m->out, m->plan.crlf ? GW_SPAN("\r\n\r\n") : GW_SPAN("\n\n"));
    add_end(m);
}

void mock_stream_end(struct mock_call *m)
{
    if (m->framing == MOCK_ARRAY) {
        gw_buf_adds(&m->out, "]");
        m->ends[m->n_ends - 1] = m->out.len;
    } else if (m->framing == MOCK_SSE && m->plan.noblank && m->n_ends != 0) {
        m->out.len -= m->plan.crlf ? 2 : 1;
        m->ends[m->n_ends - 1] = m->out.len;
    }
}

void mock_add_base64(struct gw_buf *b, struct gw_span bytes)
{
    int n;

    if (!gw_buf_reserve(b, (bytes.len + 2) / 3 * 4 + 1))
        return;
    n = EVP_EncodeBlock((unsigned char *)b->ptr + b->len, (const unsigned char *)bytes.ptr,
                        (int)bytes.len);
    b->len += (size_t)n;
}
