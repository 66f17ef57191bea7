/* proxy/config/config_targets.c - what each kind of target needs, what follows from its kind, and what does not go with it.
 *
 * Runs at the end of a load, on that thread. */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "proxy/config/config_private.h"
#include "proxy/config/service_account.h"

enum { MAX_PLACE = 64, MAX_PROJECT = 100 };

#define KIND(k)   (1u << (unsigned)PROXY_TARGET_##k)
#define WITH_KEY  (KIND(OPENAI) | KIND(ANTHROPIC) | KIND(GEMINI) | KIND(AZURE) | KIND(BEDROCK))
#define SERVERS   (WITH_KEY | KIND(VERTEX))
#define AZURE_API "2024-10-21" /* the newest dated version that is no preview */

static const char *kind_name(enum proxy_target_kind kind)
{
    return config_key_find("targets.*.kind")->choices[kind];
}

void config_complain(struct config_load *l, bool warning, const struct proxy_config_target *t,
                     const char *what)
{
    char text[280];

    (void)snprintf(text, sizeof(text), "targets.%.64s: %.200s", t->name, what);
    config_report_line(l, warning, t->line, text);
}

/* ---- keys of other kinds ------------------------------------------------------------------------ */

static void check_owners(struct config_load *l, const struct proxy_config_target *t)
{
    const struct {
        const char *key;
        unsigned kinds;
        bool set;
    } keys[] = {
        {"base_url", SERVERS, t->base_url.set},
        {"endpoints", SERVERS, t->endpoints.n != 0},
        {"key", WITH_KEY, t->key.source[0] != '\0'},
        {"keys", WITH_KEY, t->keys.n != 0},
        {"adapters", KIND(ENGINE), t->adapters.n != 0},
        {"draft", KIND(ENGINE), t->draft[0] != '\0'},
        {"medusa", KIND(ENGINE), t->medusa[0] != '\0'},
        {"prefixes", KIND(ENGINE), t->prefixes != 0},
        {"split", KIND(ENGINE), t->split != 0},
        {"weights", KIND(ENGINE), t->weights != 0},
        {"apis", KIND(OPENAI) | KIND(AZURE), t->apis != 0},
        {"deployments", KIND(AZURE), t->deployments.n != 0},
        {"api_version", KIND(AZURE), t->api_version[0] != '\0'},
        {"project", KIND(VERTEX), t->project[0] != '\0'},
        {"location", KIND(VERTEX), t->location[0] != '\0'},
        {"credentials", KIND(VERTEX), t->credentials.source[0] != '\0'},
        {"region", KIND(BEDROCK), t->region[0] != '\0'},
        {"access_key", KIND(BEDROCK), t->access_key.source[0] != '\0'},
        {"secret_key", KIND(BEDROCK), t->secret_key.source[0] != '\0'},
        {"session_token", KIND(BEDROCK), t->session_token.source[0] != '\0'},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char text[160];

        if (!keys[i].set || (keys[i].kinds & 1u << (unsigned)t->kind) != 0)
            continue;
        (void)snprintf(text, sizeof(text), "`%s` does not go with kind %s", keys[i].key,
                       kind_name(t->kind));
        config_complain(l, false, t, text);
    }
}

/* ---- where a kind's servers are ------------------------------------------------------------------ */

/* Lower-case letters, digits and the other bytes given: what may stand in a host name or path as it is. */
static bool is_plain(const char *text, const char *others, size_t max)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
              strchr(others, text[i]) != NULL))
            return false;
    return n > 0 && n <= max;
}

static bool default_url(const struct proxy_config_target *t, struct gw_buf *url)
{
    const char *place = t->location;

    switch ((int)t->kind) {
    case PROXY_TARGET_ANTHROPIC:
        gw_buf_adds(url, "https://api.anthropic.com");
        break;
    case PROXY_TARGET_GEMINI:
        gw_buf_adds(url, "https://generativelanguage.googleapis.com");
        break;
    case PROXY_TARGET_VERTEX: /* "us" and "eu" are multi-regions, which have names of their own */
        if (strcmp(place, "global") == 0)
            gw_buf_adds(url, "https://aiplatform.googleapis.com");
        else if (strcmp(place, "us") == 0 || strcmp(place, "eu") == 0)
            gw_buf_printf(url, "https://aiplatform.%s.rep.googleapis.com", place);
        else
            gw_buf_printf(url, "https://%s-aiplatform.googleapis.com", place);
        break;
    case PROXY_TARGET_BEDROCK:
        gw_buf_printf(url, "https://bedrock-runtime.%s.amazonaws.com%s", t->region,
                      strncmp(t->region, "cn-", 3) == 0 ? ".cn" : "");
        break;
    default:
        return false;
    }
    return gw_buf_ok(url);
}

static void derive_url(struct config_load *l, struct proxy_config_target *t)
{
    struct gw_yaml_node node = {.kind = GW_YAML_SCALAR, .line = t->line, .key_line = t->line};
    struct gw_buf url = {0};

    if (default_url(t, &url)) {
        node.text = gw_buf_span(&url);
        config_read_url(l, &node, &t->base_url);
    } else if (url.failed) {
        l->no_memory = true;
    }
    gw_buf_fini(&url);
}

/* The paths of these kinds begin with their version, which people know from OpenAI's base URLs. */
static void check_url_end(struct config_load *l, const struct proxy_config_target *t,
                          const struct proxy_config_url *url)
{
    static const char *const ends[] = {"/v1", "/v1beta", "/openai", "/openai/v1"};
    struct gw_span path = gw_span_str(url->path);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (gw_span_ends(path, gw_span_str(ends[i]))) {
            char text[120];

            (void)snprintf(text, sizeof(text),
                           "base_url must end before %s, which is put behind it", ends[i]);
            config_complain(l, false, t, text);
            return;
        }
}

/* ---- the kinds ----------------------------------------------------------------------------------- */

/* What may stand in a model's name and is no pattern. */
static bool is_adapter_name(struct gw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = gw_ascii_lower(name.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return name.len > 0 && name.len <= MAX_PLACE;
}

/* Where the model is: as written, else under its name in models_dir. */
static const char *find_model(struct config_load *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *pulled;

    if (access(path, R_OK) == 0)
        return path;
    pulled = config_join(l, l->cfg->models_dir, slash == NULL ? path : slash + 1);
    return access(pulled, R_OK) == 0 ? pulled : path;
}

/* Adapters get the names that they have outside of the target, and the target takes these. */
static void check_adapters(struct config_load *l, struct proxy_config_target *t)
{
    struct proxy_config_pair *pairs = config_alloc(l, t->adapters.n, sizeof(*pairs));
    struct gw_span *models =
        config_alloc(l, t->models.n + 2 * (size_t)t->adapters.n, sizeof(*models));
    unsigned n = t->models.n;

    if (t->adapters.n == 0 || pairs == NULL || models == NULL)
        return;
    if (n != 0)
        memcpy(models, t->models.items, n * sizeof(*models));
    for (unsigned i = 0; i < t->adapters.n; i++) {
        const struct proxy_config_pair *from = &t->adapters.items[i];
        char full[160];

        if (!is_adapter_name(from->from) ||
            snprintf(full, sizeof(full), "%s:%s", t->name, from->from.ptr) >= (int)sizeof(full)) {
            config_complain(l, false, t,
                            "`adapters`: a name has letters, digits, '-', '_' and '.', at most 64");
            return;
        }
        pairs[i] = *from;
        pairs[i].from = config_copy(l, gw_span_str(full));
        pairs[i].to = gw_span_str(find_model(l, config_path(l, from->to).ptr));
        models[n++] = from->from;
        models[n++] = pairs[i].from;
    }
    t->adapters.items = pairs;
    if (t->models.n != 0)
        t->models = (struct proxy_config_list){models, n};
}

static void check_engine(struct config_load *l, struct proxy_config_target *t)
{
    if (t->model[0] == '\0')
        config_complain(l, false, t, "an engine needs `model`, a GGUF file");
    else
        t->model = find_model(l, t->model);
    if (t->draft[0] != '\0')
        t->draft = find_model(l, t->draft);
    if (t->medusa[0] != '\0')
        t->medusa = find_model(l, t->medusa);
    if (t->draft[0] != '\0' && t->medusa[0] != '\0')
        config_complain(l, false, t,
                        "`draft` and `medusa` are two ways to guess tokens: name one of them");
    if (t->zone != 0 && t->zone != GW_ZONE_PROCESS)
        config_complain(l, false, t,
                        "an engine runs in this process: its zone "
                        "can only be process");
    t->zone = GW_ZONE_PROCESS;
    check_adapters(l, t);
}

static void check_azure(struct config_load *l, struct proxy_config_target *t)
{
    if (!t->base_url.set)
        config_complain(l, false, t,
                        "kind azure needs `base_url`, such as https://NAME.openai.azure.com");
    if (t->api_version[0] == '\0')
        t->api_version = AZURE_API;
    if (!is_plain(t->api_version, "-", MAX_PLACE))
        config_complain(l, false, t, "`api_version` must be v1 or a date such as " AZURE_API);
    for (unsigned i = 0; i < t->deployments.n; i++)
        if (t->deployments.items[i].to.len == 0)
            config_complain(l, false, t, "`deployments` has one without a name");
}

/* The key file is read here so that --check finds what is wrong with it; it may name the project too. */
static void read_credentials(struct config_load *l, struct proxy_config_target *t)
{
    struct service_account *key = NULL;
    struct gw_err err = {0};

    if (t->credentials.value.len == 0)
        return;
    if (service_account_read(t->credentials.value, &key, &err) != GW_OK) {
        char text[280];

        (void)snprintf(text, sizeof(text), "`credentials`: %.200s", err.text);
        config_complain(l, false, t, text);
    } else if (t->project[0] == '\0') {
        t->project = config_copy(l, gw_span_str(service_account_project(key))).ptr;
    }
    service_account_free(key);
}

static void check_vertex(struct config_load *l, struct proxy_config_target *t)
{
    bool place = is_plain(t->location, "-", MAX_PLACE);
    bool unread; /* the credentials may name the project */

    if (!place)
        config_complain(l, false, t,
                        "kind vertex needs `location`, such as europe-west4 or global");
    read_credentials(l, t);
    unread = t->credentials.source[0] != '\0' && (l->flags & PROXY_CONFIG_NO_SECRETS) != 0;
    if (!is_plain(t->project, "-.:", MAX_PROJECT) && (t->project[0] != '\0' || !unread))
        config_complain(l, false, t, "kind vertex needs `project`, the project's id");
    if (!t->base_url.set && place)
        derive_url(l, t);
}

static void check_bedrock(struct config_load *l, struct proxy_config_target *t)
{
    bool place = is_plain(t->region, "-", MAX_PLACE);
    bool id = t->access_key.source[0] != '\0', secret = t->secret_key.source[0] != '\0';

    if (!place)
        config_complain(l, false, t, "kind bedrock needs `region`, such as eu-central-1");
    if (id != secret)
        config_complain(l, false, t, "`access_key` and `secret_key` belong together");
    if (t->key.source[0] == '\0' && !id && !secret)
        config_complain(l, false, t, "kind bedrock needs `access_key` and `secret_key`, or `key`");
    if (t->key.source[0] != '\0' && id)
        config_complain(l, false, t, "`key` and `access_key` exclude each other");
    if (t->session_token.source[0] != '\0' && !id)
        config_complain(l, false, t, "`session_token` belongs to an access_key");
    if (!t->base_url.set && place)
        derive_url(l, t);
}

static void check_kind(struct config_load *l, struct proxy_config_target *t)
{
    switch (t->kind) {
    case PROXY_TARGET_OPENAI:
        if (!t->base_url.set)
            config_complain(l, false, t,
                            "kind openai needs `base_url`, such as https://api.openai.com/v1");
        break;
    case PROXY_TARGET_ANTHROPIC:
    case PROXY_TARGET_GEMINI:
        if (!t->base_url.set)
            derive_url(l, t);
        break;
    case PROXY_TARGET_AZURE:
        check_azure(l, t);
        break;
    case PROXY_TARGET_VERTEX:
        check_vertex(l, t);
        break;
    case PROXY_TARGET_BEDROCK:
        check_bedrock(l, t);
        break;
    case PROXY_TARGET_ENGINE:
    case PROXY_TARGET_KIND_COUNT:
        break;
    }
    if (t->apis == 0)
        t->apis = PROXY_API_ALL;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* What holds for each base URL. */
static void check_endpoint(struct config_load *l, const struct proxy_config_target *t,
                           const struct proxy_config_url *url, bool secret)
{
    if (t->kind != PROXY_TARGET_OPENAI)
        check_url_end(l, t, url);
    if (url->set && !url->tls && !is_loopback(url->host) && (secret || t->zone == GW_ZONE_APPROVED))
        config_complain(l, true, t, "http:// sends prompts and the key unencrypted: use https://");
}

const char *config_egress_fault(const struct proxy_config_egress *e)
{
    if (e->url.set && (e->url.tls || e->url.path[0] != '\0'))
        return "`proxy` is http://host:port, without a path; TLS to the proxy itself is not "
               "supported";
    if (e->auth.source[0] != '\0' && !e->url.set)
        return "`proxy_auth` without `proxy`";
    if (e->auth.value.len != 0 && memchr(e->auth.value.ptr, ':', e->auth.value.len) == NULL)
        return "`proxy_auth` must hold user:password";
    return NULL;
}

static void check_server(struct config_load *l, struct proxy_config_target *t)
{
    bool secret = t->key.source[0] != '\0' || t->access_key.source[0] != '\0' ||
                  t->credentials.source[0] != '\0';

    check_kind(l, t);
    if (t->zone == 0)
        config_complain(
            l, false, t,
            "needs `zone`: private for a server of yours, approved for a provider outside");
    else if (t->zone == GW_ZONE_PROCESS)
        config_complain(l, false, t,
                        "a server is not in this process: its zone is private or approved");
    if (t->model[0] != '\0')
        config_complain(
            l, false, t,
            "`model` is for kind engine: the name to ask a server for is `default_model`");
    if (config_egress_fault(&t->egress) != NULL)
        config_complain(l, false, t, config_egress_fault(&t->egress));
    config_end_pool(l, t);
    for (unsigned i = 0; i < t->endpoints.n; i++)
        check_endpoint(l, t, &t->endpoints.items[i], secret);
    if (t->zone == GW_ZONE_APPROVED && t->key.source[0] == '\0' &&
        ((KIND(ANTHROPIC) | KIND(GEMINI) | KIND(AZURE)) & 1u << (unsigned)t->kind) != 0)
        config_complain(l, true, t, "there is no `key`: the provider will refuse every request");
}

void config_check_target(struct config_load *l, struct proxy_config_target *t)
{
    check_owners(l, t);
    config_begin_pool(l, t);
    if (t->kind == PROXY_TARGET_ENGINE)
        check_engine(l, t);
    else
        check_server(l, t);
}
