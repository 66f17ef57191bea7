/* tests/mock/route.c - finds the API that a path belongs to, checks what it demands of a request, and calls it. One
 * thread. */
#include "tests/mock/mock.h"

/* The credential of any API's form; empty when there is none. */
static struct gw_span credential(const struct mock_call *m)
{
    struct gw_span auth = mock_field(m, "authorization"), other;
    static const char *const names[] = {"x-api-key", "x-goog-api-key", "api-key"};
    static const enum mock_family owners[] = {MOCK_ANTHROPIC, MOCK_GEMINI, MOCK_AZURE};

    for (size_t i = 0; i < 3; i++) {
        other = mock_field(m, names[i]);
        if (other.len != 0 && m->family == owners[i])
            return other;
    }
    if (m->family == MOCK_GEMINI && mock_query(m, "key").len != 0)
        return mock_query(m, "key");
    return gw_span_starts(auth, GW_SPAN("Bearer ")) ? gw_span_from(auth, 7)
                                                    : (struct gw_span){NULL, 0};
}

/* OpenAI's paths take any credential, or none, unless a key was demanded: tunnels and benchmarks send what they like. */
static bool is_allowed(struct mock_call *m)
{
    struct gw_span got = credential(m);

    if (mock_options.api_key == NULL ? got.len == 0 && m->family != MOCK_OPENAI
                                     : !gw_span_is(got, mock_options.api_key)) {
        mock_send_error(m, 401, "Incorrect API key provided.");
        return false;
    }
    if (m->family == MOCK_ANTHROPIC && mock_field(m, "anthropic-version").len == 0) {
        mock_send_error(m, 400, "anthropic-version: header is required");
        return false;
    }
    if (m->bad_json) {
        mock_send_error(m, 400, "We could not parse the JSON body of your request.");
        return false;
    }
    if (m->plan.status != 200 && m->family != MOCK_GEMINI) {
        mock_send_error(m, m->plan.status, NULL);
        return false;
    }
    return true;
}

static void not_found(struct mock_call *m)
{
    gw_buf_clear(&m->data);
    gw_buf_printf(&m->data, "Invalid URL (%.*s %.*s)", (int)m->head->method.len,
                  m->head->method.ptr, (int)m->path.len, m->path.ptr);
    gw_buf_addc(&m->data, '\0');
    mock_send_error(m, 404, m->data.ptr);
}

/* path: behind /v1 or what stands for it. */
static void route_openai(struct mock_call *m, struct gw_span path)
{
    bool get = gw_span_is(m->head->method, "GET");

    if (!is_allowed(m))
        return;
    if (!get && gw_span_is(path, "/chat/completions"))
        mock_chat(m);
    else if (!get && gw_span_is(path, "/completions"))
        mock_completions(m);
    else if (!get && gw_span_is(path, "/responses"))
        mock_responses(m);
    else if (!get && gw_span_is(path, "/responses/input_tokens"))
        mock_responses_count(m);
    else if (!mock_openai_other(m, path))
        not_found(m);
}

/* /openai/deployments/D/..., /openai/v1/..., /openai/... */
static void route_azure(struct mock_call *m)
{
    struct gw_span path = gw_span_from(m->path, strlen("/openai"));
    bool v1 = gw_span_starts(path, GW_SPAN("/v1/"));

    m->family = MOCK_AZURE;
    if (!v1 && mock_query(m, "api-version").len == 0) {
        mock_send_error(m, 404, "Resource not found");
        return;
    }
    if (gw_span_starts(path, GW_SPAN("/deployments/"))) {
        struct gw_span name = gw_span_from(path, strlen("/deployments/"));
        const char *slash = mock_find_char(name, '/');

        if (slash == NULL) {
            mock_send_error(m, 404, "Resource not found");
            return;
        }
        path = gw_span_from(name, (size_t)(slash - name.ptr));
        name.len = (size_t)(slash - name.ptr);
        m->model = name;
        m->model_fixed = true;
    }
    route_openai(m, v1 ? gw_span_from(path, 3) : path);
}

static void route_gemini(struct mock_call *m, struct gw_span path)
{
    bool openai = gw_span_starts(path, GW_SPAN("/openai/"));

    m->family = openai ? MOCK_OPENAI : MOCK_GEMINI;
    if (openai)
        route_openai(m, gw_span_from(path, strlen("/openai")));
    else if (!is_allowed(m))
        return;
    else if (gw_span_is(path, "/models") || gw_span_starts(path, GW_SPAN("/models/")))
        mock_gemini(m, gw_span_from(path, strlen("/models/")));
    else
        not_found(m);
}

static void route_anthropic(struct mock_call *m, struct gw_span path)
{
    m->family = MOCK_ANTHROPIC;
    if (!is_allowed(m))
        return;
    if (gw_span_starts(path, GW_SPAN("/models")))
        mock_anthropic_models(m, gw_span_from(path, strlen("/models/")));
    else
        mock_anthropic(m, path);
}

/* /v1/...: three providers share it. */
static void route_v1(struct mock_call *m, struct gw_span path)
{
    bool models = gw_span_starts(path, GW_SPAN("/models"));
    bool verb = models && mock_find_char(path, ':') != NULL;

    if (verb || (models && mock_field(m, "x-goog-api-key").len != 0))
        route_gemini(m, path);
    else if (gw_span_starts(path, GW_SPAN("/messages")) ||
             (models && mock_field(m, "anthropic-version").len != 0))
        route_anthropic(m, path);
    else
        route_openai(m, path);
}

void mock_route(struct mock_call *m)
{
    mock_read(m);
    if (mock_cloud(m))
        return;
    if (gw_span_starts(m->path, GW_SPAN("/openai/")))
        route_azure(m);
    else if (gw_span_starts(m->path, GW_SPAN("/v1beta/")))
        route_gemini(m, gw_span_from(m->path, strlen("/v1beta")));
    else if (gw_span_starts(m->path, GW_SPAN("/upload/v1")))
        mock_gemini_upload(m);
    else if (gw_span_starts(m->path, GW_SPAN("/v1/")))
        route_v1(m, gw_span_from(m->path, strlen("/v1")));
    else if (mock_options.bench)
        mock_chat(m);
    else
        not_found(m);
}
