/* proxy/provider/provider.c - the table of kinds; those that speak with a key in a field: OpenAI, Anthropic, Gemini. Pure. */
#include "proxy/http/fields.h"
#include "proxy/provider/provider_private.h"

/* ---- what kinds share ------------------------------------------------------------------------- */

enum gw_status provider_no_call(const struct provider_call *c, struct gw_err *err)
{
    static const char *const ops[] = {
        [PROVIDER_CHAT] = "this kind of request",
        [PROVIDER_EMBEDDINGS] = "embeddings",
        [PROVIDER_COUNT_TOKENS] = "counting tokens",
        [PROVIDER_OTHER] = "this path",
    };

    return gw_fail(err, GW_EUNSUPPORTED, "The target %.64s has no call for %s.", c->target->name,
                   ops[c->op]);
}

void provider_add_field(struct gw_buf *out, const char *name, struct gw_span value)
{
    field_add(out, gw_span_str(name), value);
}

void provider_add_bearer(struct gw_buf *out, struct gw_span token)
{
    gw_buf_adds(out, "Authorization: Bearer ");
    gw_buf_add(out, token);
    gw_buf_adds(out, "\r\n");
}

static bool is_openai(enum api_dialect d)
{
    return d == API_CHAT || d == API_COMPLETIONS || d == API_RESPONSES;
}

bool provider_openai_speaks(const struct proxy_config_target *t, enum provider_op op,
                            enum api_dialect d, struct gw_span model)
{
    static const unsigned api_of[API_DIALECT_COUNT] = {
        [API_CHAT] = PROXY_API_CHAT,
        [API_COMPLETIONS] = PROXY_API_COMPLETIONS,
        [API_RESPONSES] = PROXY_API_RESPONSES,
    };

    (void)model;
    switch (op) {
    case PROVIDER_CHAT:
        return (t->apis & api_of[d]) != 0;
    case PROVIDER_EMBEDDINGS:
        return (t->apis & PROXY_API_EMBEDDINGS) != 0;
    case PROVIDER_OTHER:
        return (t->apis & PROXY_API_OTHER) != 0 && is_openai(d);
    case PROVIDER_COUNT_TOKENS:
        return (t->apis & PROXY_API_RESPONSES) != 0 && d == API_RESPONSES;
    }
    return false;
}

bool provider_openai_dialect(const struct proxy_config_target *t, enum provider_op op,
                             struct gw_span model, enum api_dialect *out)
{
    (void)model;
    if (op == PROVIDER_COUNT_TOKENS) {
        if ((t->apis & PROXY_API_RESPONSES) == 0)
            return false;
        *out = API_RESPONSES;
        return true;
    }
    if ((t->apis & (PROXY_API_CHAT | PROXY_API_RESPONSES)) == 0)
        return false;
    *out = (t->apis & PROXY_API_CHAT) != 0 ? API_CHAT : API_RESPONSES;
    return true;
}

const char *provider_openai_path(const struct provider_call *c)
{
    if (c->op == PROVIDER_EMBEDDINGS)
        return "/embeddings";
    if (c->op == PROVIDER_COUNT_TOKENS)
        return "/responses/input_tokens";
    if (c->op != PROVIDER_CHAT)
        return NULL;
    switch (c->dialect) {
    case API_CHAT:
        return "/chat/completions";
    case API_COMPLETIONS:
        return "/completions";
    case API_RESPONSES:
        return "/responses";
    case API_ANTHROPIC:
    case API_GEMINI:
    case API_DIALECT_COUNT:
        break;
    }
    return NULL;
}

const char *provider_base(const struct provider_call *c)
{
    return c->target->endpoints.items[c->endpoint].path;
}

struct gw_span provider_key(const struct provider_call *c)
{
    return c->target->keys.n == 0 ? GW_SPAN("") : c->target->keys.items[c->key].value;
}

/* ---- OpenAI, and every server that speaks its API -------------------------------------------------- */

static enum gw_status openai_path(const struct provider_call *c, struct gw_buf *out,
                                  struct gw_err *err)
{
    const char *path = provider_openai_path(c);

    gw_buf_adds(out, provider_base(c)); /* ends with the version: ours goes */
    if (path != NULL)
        gw_buf_adds(out, path);
    else if (c->op == PROVIDER_OTHER)
        GW_TRY(provider_add_path(out, c->path, provider_version_len(c->path), err));
    else
        return provider_no_call(c, err);
    return provider_add_query(out, "", c->query, NULL, err);
}

static enum gw_status openai_fields(const struct provider_call *c, struct gw_span host,
                                    struct gw_buf *out, struct gw_err *err)
{
    (void)host;
    (void)err;
    if (provider_key(c).len != 0)
        provider_add_bearer(out, provider_key(c));
    return GW_OK;
}

/* ---- Anthropic ----------------------------------------------------------------------------------- */

static bool anthropic_speaks(const struct proxy_config_target *t, enum provider_op op,
                             enum api_dialect d, struct gw_span model)
{
    (void)t;
    (void)model;
    return d == API_ANTHROPIC && op != PROVIDER_EMBEDDINGS;
}

static bool anthropic_dialect(const struct proxy_config_target *t, enum provider_op op,
                              struct gw_span model, enum api_dialect *out)
{
    (void)t;
    (void)op;
    (void)model;
    *out = API_ANTHROPIC;
    return true;
}

static enum gw_status anthropic_path(const struct provider_call *c, struct gw_buf *out,
                                     struct gw_err *err)
{
    gw_buf_adds(out, provider_base(c));
    if (c->op == PROVIDER_CHAT)
        gw_buf_adds(out, "/v1/messages");
    else if (c->op == PROVIDER_COUNT_TOKENS)
        gw_buf_adds(out, "/v1/messages/count_tokens");
    else
        GW_TRY(provider_add_path(out, c->path, 0, err));
    return provider_add_query(out, "", c->query, NULL, err);
}

static enum gw_status anthropic_fields(const struct provider_call *c, struct gw_span host,
                                       struct gw_buf *out, struct gw_err *err)
{
    (void)host;
    (void)err;
    if (provider_key(c).len != 0)
        provider_add_field(out, "x-api-key", provider_key(c));
    if (!c->versioned) /* required, so other clients' requests get the version the writers follow */
        gw_buf_adds(out, "anthropic-version: 2023-06-01\r\n");
    return GW_OK;
}

/* ---- Gemini -------------------------------------------------------------------------------------- */

static bool gemini_speaks(const struct proxy_config_target *t, enum provider_op op,
                          enum api_dialect d, struct gw_span model)
{
    (void)t;
    (void)model;
    return d == API_GEMINI && op != PROVIDER_EMBEDDINGS;
}

static bool gemini_dialect(const struct proxy_config_target *t, enum provider_op op,
                           struct gw_span model, enum api_dialect *out)
{
    (void)t;
    (void)op;
    (void)model;
    *out = API_GEMINI;
    return true;
}

enum gw_status provider_gemini_verb(const struct provider_call *c, struct gw_buf *out,
                                    struct gw_err *err)
{
    bool stream = c->op == PROVIDER_CHAT && c->stream;
    const char *own = stream && !c->json_array ? "alt=sse" : "";

    if (c->op != PROVIDER_CHAT && c->op != PROVIDER_COUNT_TOKENS)
        return provider_no_call(c, err);
    gw_buf_adds(out, c->op == PROVIDER_COUNT_TOKENS ? ":countTokens"
                     : stream                       ? ":streamGenerateContent"
                                                    : ":generateContent");
    return provider_add_query(out, own, c->query, "alt", err);
}

/* "/v1beta", or what a Gemini client asked under: newer ones say /v1. */
static struct gw_span gemini_version(struct gw_span path)
{
    static const char *const paths[] = {"/v1/models/", "/v1alpha/", "/v1/tunedModels/"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (gw_span_starts(path, gw_span_str(paths[i])))
            return (struct gw_span){path.ptr, i == 1 ? 8 : 3};
    return GW_SPAN("/v1beta");
}

static enum gw_status gemini_path(const struct provider_call *c, struct gw_buf *out,
                                  struct gw_err *err)
{
    struct gw_span model = c->model;

    gw_buf_adds(out, provider_base(c));
    if (c->op == PROVIDER_OTHER) {
        GW_TRY(provider_add_path(out, c->path, 0, err));
        return provider_add_query(out, "", c->query, NULL, err);
    }
    gw_buf_add(out, gemini_version(c->path));
    if (gw_span_starts(model, GW_SPAN("tunedModels/"))) { /* names may say which collection */
        gw_buf_adds(out, "/tunedModels/");
        model = gw_span_from(model, 12);
    } else {
        gw_buf_adds(out, "/models/");
        if (gw_span_starts(model, GW_SPAN("models/")))
            model = gw_span_from(model, 7);
    }
    GW_TRY(provider_add_name(out, model, "", err));
    return provider_gemini_verb(c, out, err);
}

static enum gw_status gemini_fields(const struct provider_call *c, struct gw_span host,
                                    struct gw_buf *out, struct gw_err *err)
{
    (void)host;
    (void)err;
    if (provider_key(c).len != 0)
        provider_add_field(out, "x-goog-api-key", provider_key(c));
    return GW_OK;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const struct provider_kind openai = {
    provider_openai_speaks, provider_openai_dialect, openai_path, openai_fields, NULL, "openai-"};
static const struct provider_kind anthropic = {
    anthropic_speaks, anthropic_dialect, anthropic_path, anthropic_fields, NULL, "anthropic-"};
static const struct provider_kind gemini = {gemini_speaks, gemini_dialect, gemini_path,
                                            gemini_fields, NULL,           "x-goog-"};

/* NULL for the engine, which is no provider. */
static const struct provider_kind *kind_of(const struct proxy_config_target *t)
{
    static const struct provider_kind *const kinds[PROXY_TARGET_KIND_COUNT] = {
        [PROXY_TARGET_OPENAI] = &openai,          [PROXY_TARGET_ANTHROPIC] = &anthropic,
        [PROXY_TARGET_GEMINI] = &gemini,          [PROXY_TARGET_AZURE] = &provider_azure,
        [PROXY_TARGET_VERTEX] = &provider_vertex, [PROXY_TARGET_BEDROCK] = &provider_bedrock,
    };

    return kinds[t->kind];
}

bool provider_speaks(const struct proxy_config_target *t, enum provider_op op, enum api_dialect d,
                     struct gw_span model)
{
    const struct provider_kind *kind = kind_of(t);

    return kind != NULL && kind->speaks(t, op, d, model);
}

bool provider_dialect(const struct proxy_config_target *t, enum provider_op op,
                      struct gw_span model, enum api_dialect *out)
{
    const struct provider_kind *kind = kind_of(t);

    return kind != NULL && kind->dialect(t, op, model, out);
}

enum gw_status provider_adapt_body(const struct provider_call *c, struct gw_json *json,
                                   struct gw_span body, struct gw_buf *out, bool *changed,
                                   struct gw_err *err)
{
    const struct provider_kind *kind = kind_of(c->target);

    if (kind == NULL || kind->adapt_body == NULL || c->op == PROVIDER_OTHER)
        return GW_OK;
    return kind->adapt_body(c, json, body, out, changed, err);
}

enum gw_status provider_write_line(const struct provider_call *c, struct gw_buf *out,
                                   struct gw_err *err)
{
    const struct provider_kind *kind = kind_of(c->target);
    size_t start;

    if (kind == NULL || !kind->speaks(c->target, c->op, c->dialect, c->model))
        return provider_no_call(c, err);
    if (c->op == PROVIDER_OTHER)
        gw_buf_add(out, c->method);
    else
        gw_buf_adds(out, "POST");
    gw_buf_addc(out, ' ');
    start = out->len;
    GW_TRY(kind->write_path(c, out, err));
    if (!gw_buf_ok(out))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    /* Without a base path "/v1" leaves nothing, and "/v1//host" what looks like a host. */
    if (out->len == start || out->ptr[start] != '/' ||
        gw_span_starts(gw_span_from(gw_buf_span(out), start), GW_SPAN("//")))
        return gw_fail(err, GW_EINVAL, "The path is not one that can be passed on.");
    gw_buf_adds(out, " HTTP/1.1\r\n");
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

enum gw_status provider_write_fields(const struct provider_call *c, struct gw_span host,
                                     struct gw_buf *out, struct gw_err *err)
{
    const struct provider_kind *kind = kind_of(c->target);

    if (kind == NULL)
        return provider_no_call(c, err);
    GW_TRY(kind->write_fields(c, host, out, err));
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

/* ---- fields of clients ---------------------------------------------------------------------------- */

static bool begins_nocase(struct gw_span name, const char *prefix)
{
    size_t n = strlen(prefix);

    return name.len >= n &&
           gw_span_eq_nocase((struct gw_span){name.ptr, n}, (struct gw_span){prefix, n});
}

bool provider_drops_field(const struct proxy_config_target *t, struct gw_span name)
{
    static const char *const credentials[] = {
        "ocp-apim-subscription-key",     "x-goog-iam-authorization-token",
        "x-goog-iam-authority-selector", "x-goog-user-project",
        "x-serverless-authorization",    "x-ms-authorization-auxiliary"};
    static const char *const families[] = {"openai-", "anthropic-", "x-goog-"};
    const struct provider_kind *kind = kind_of(t);

    if (field_is_credential(name) || begins_nocase(name, "x-amz-"))
        return true;
    if (t->kind == PROXY_TARGET_BEDROCK && gw_span_eq_nocase(name, GW_SPAN("accept")))
        return true; /* there it chooses the form of the model's answer, and streams know none */
    for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++)
        if (gw_span_eq_nocase(name, gw_span_str(credentials[i])))
            return true;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (begins_nocase(name, families[i]))
            return kind == NULL || kind->family == NULL || strcmp(kind->family, families[i]) != 0;
    return false;
}

enum provider_framing provider_framing_of(const struct proxy_config_target *t,
                                          struct gw_span content_type)
{
    return t->kind == PROXY_TARGET_BEDROCK &&
                   begins_nocase(content_type, "application/vnd.amazon.eventstream")
               ? PROVIDER_FRAMING_AWS
               : PROVIDER_FRAMING_PLAIN;
}

bool provider_counts_differ(const struct proxy_config_target *t)
{
    return t->kind == PROXY_TARGET_BEDROCK;
}

bool provider_errors_differ(const struct proxy_config_target *t, enum api_dialect d)
{
    return t->kind == PROXY_TARGET_BEDROCK || (t->kind == PROXY_TARGET_VERTEX && d != API_GEMINI);
}
