/* proxy/provider/provider_azure.c - Azure OpenAI: deployments instead of models, versions in the query or in the path.
 *
 * With `api_version: v1` all paths are OpenAI's below /openai/v1 and the body's model is the deployment. With a date
 * the deployment stands in the path of what it answers itself; other collections (files, batches) lie beside
 * /openai/deployments. The Responses API is in previews from 2025-03-01 on and in v1, in no other dated version.
 * Pure. */
#include "proxy/provider/provider_private.h"

static bool is_v1(const struct proxy_config_target *t)
{
    return strcmp(t->api_version, "v1") == 0;
}

/* True when this call goes below /openai/v1. */
static bool uses_v1(const struct provider_call *c)
{
    const char *version = c->target->api_version;

    if (is_v1(c->target))
        return true;
    return c->op == PROVIDER_CHAT && c->dialect == API_RESPONSES &&
           (strcmp(version, "2025-03-01") < 0 || strstr(version, "preview") == NULL);
}

/* True when the deployment stands in the path. */
static bool is_deployed(const struct provider_call *c)
{
    struct gw_span path = c->path;

    if (uses_v1(c) || (c->op == PROVIDER_CHAT && c->dialect == API_RESPONSES))
        return false;
    return c->op != PROVIDER_OTHER || gw_span_starts(path, GW_SPAN("/v1/images/")) ||
           gw_span_starts(path, GW_SPAN("/v1/audio/"));
}

static struct gw_span deployment_of(const struct provider_call *c)
{
    const struct proxy_config_pairs *d = &c->target->deployments;

    for (unsigned i = 0; i < d->n; i++)
        if (gw_span_eq(d->items[i].from, c->model))
            return d->items[i].to;
    return c->model;
}

static enum gw_status azure_path(const struct provider_call *c, struct gw_buf *out,
                                 struct gw_err *err)
{
    const char *path = provider_openai_path(c);
    char own[100] = "";

    if (path == NULL && c->op != PROVIDER_OTHER)
        return provider_no_call(c, err);
    gw_buf_adds(out, provider_base(c));
    gw_buf_adds(out, "/openai");
    if (uses_v1(c))
        gw_buf_adds(out, "/v1");
    else
        (void)snprintf(own, sizeof(own), "api-version=%s", c->target->api_version);
    if (is_deployed(c)) {
        gw_buf_adds(out, "/deployments/");
        GW_TRY(provider_add_name(out, deployment_of(c), "", err));
    }
    if (path != NULL)
        gw_buf_adds(out, path);
    else
        GW_TRY(provider_add_path(out, c->path, provider_version_len(c->path), err));
    return provider_add_query(out, own, c->query, "api_version", err);
}

static enum gw_status azure_fields(const struct provider_call *c, struct gw_span host,
                                   struct gw_buf *out, struct gw_err *err)
{
    (void)host;
    (void)err;
    if (provider_key(c).len != 0)
        provider_add_field(out, "api-key", provider_key(c));
    return GW_OK;
}

/* Where the path does not name the deployment, the body's model does. */
static enum gw_status azure_body(const struct provider_call *c, struct gw_json *json,
                                 struct gw_span body, struct gw_buf *out, bool *changed,
                                 struct gw_err *err)
{
    struct gw_span deployment = deployment_of(c);
    enum gw_status st;

    if (is_deployed(c) || gw_span_eq(deployment, c->model))
        return GW_OK;
    st = api_replace_model(json, body, deployment, out);
    if (st != GW_OK)
        return gw_fail(err, st, "The model's name could not be set in the body.");
    *changed = true;
    return GW_OK;
}

const struct provider_kind provider_azure = {provider_openai_speaks,
                                             provider_openai_dialect,
                                             azure_path,
                                             azure_fields,
                                             azure_body,
                                             "openai-"};
