/* proxy/provider/provider_vertex.c - Vertex AI: Google's models in Gemini's dialect, Anthropic's in their own.
 *
 * All paths lie below the project and location of the target, so clients' own paths are never used. Claude models are
 * asked by rawPredict, with the model in the path and the API's version in the body. Pure, but for the token. */
#include "proxy/provider/provider_private.h"
#include "proxy/provider/provider_token.h"

static bool is_claude(struct gw_span model)
{
    return gw_span_starts(model, GW_SPAN("claude"));
}

static bool vertex_dialect(const struct proxy_config_target *t, enum provider_op op,
                           struct gw_span model, enum api_dialect *out)
{
    (void)t;
    (void)op;
    *out = is_claude(model) ? API_ANTHROPIC : API_GEMINI;
    return true;
}

static bool vertex_speaks(const struct proxy_config_target *t, enum provider_op op,
                          enum api_dialect d, struct gw_span model)
{
    (void)t;
    return (op == PROVIDER_CHAT || op == PROVIDER_COUNT_TOKENS) &&
           d == (is_claude(model) ? API_ANTHROPIC : API_GEMINI);
}

static enum gw_status claude_verb(const struct provider_call *c, struct gw_buf *out,
                                  struct gw_err *err)
{
    if (c->op == PROVIDER_COUNT_TOKENS) { /* a model of that name counts for all */
        gw_buf_adds(out, "count-tokens:rawPredict");
        return GW_OK;
    }
    GW_TRY(provider_add_name(out, c->model, "@", err)); /* claude-sonnet-4@20250514 */
    gw_buf_adds(out, c->stream ? ":streamRawPredict" : ":rawPredict");
    return GW_OK;
}

static enum gw_status vertex_path(const struct provider_call *c, struct gw_buf *out,
                                  struct gw_err *err)
{
    const struct proxy_config_target *t = c->target;
    struct gw_span model = c->model;

    gw_buf_printf(out, "%s/v1/projects/%s/locations/%s/publishers/", provider_base(c), t->project,
                  t->location);
    if (is_claude(model)) {
        gw_buf_adds(out, "anthropic/models/");
        return claude_verb(c, out, err);
    }
    gw_buf_adds(out, "google/models/");
    if (gw_span_starts(model, GW_SPAN("models/"))) /* as Gemini's own API lists them */
        model = gw_span_from(model, 7);
    GW_TRY(provider_add_name(out, model, "@", err));
    return provider_gemini_verb(c, out, err);
}

static enum gw_status vertex_fields(const struct provider_call *c, struct gw_span host,
                                    struct gw_buf *out, struct gw_err *err)
{
    (void)host;
    gw_buf_adds(out, "Authorization: Bearer ");
    GW_TRY(provider_tokens_add(c->tokens, c->target, out, err));
    gw_buf_adds(out, "\r\n");
    return GW_OK;
}

/* Gemini's own API counts system texts and tools only inside a whole request; here they stand beside the contents. */
static enum gw_status gemini_body(struct gw_json *json, struct gw_span body, struct gw_buf *out,
                                  bool *changed, struct gw_err *err)
{
    static const char *const in_path[] = {"model", NULL};
    const struct provider_splice splice = {.remove = in_path};
    struct gw_span whole = provider_member(json, body, "generateContentRequest");

    if (whole.ptr == NULL)
        return GW_OK;
    GW_TRY(provider_splice_body(&splice, json, whole, out, err));
    *changed = true;
    return GW_OK;
}

/* Counting takes Claude's name from the body, as its path names none. */
static enum gw_status vertex_body(const struct provider_call *c, struct gw_json *json,
                                  struct gw_span body, struct gw_buf *out, bool *changed,
                                  struct gw_err *err)
{
    static const char *const in_path[] = {"model", NULL};
    struct provider_splice splice = {
        c->op == PROVIDER_COUNT_TOKENS ? in_path + 1 : in_path,
        {{"anthropic_version", GW_SPAN("\"vertex-2023-10-16\"")}},
        1,
    };

    if (!is_claude(c->model))
        return c->op == PROVIDER_COUNT_TOKENS ? gemini_body(json, body, out, changed, err) : GW_OK;
    GW_TRY(provider_splice_body(&splice, json, body, out, err));
    *changed = true;
    return GW_OK;
}

const struct provider_kind provider_vertex = {vertex_speaks, vertex_dialect, vertex_path,
                                              vertex_fields, vertex_body,    "anthropic-"};
