/* proxy/config/config_pool.c - targets with several endpoints and keys, and what is asked of their health.
 *
 * Runs at the end of a load, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

/* The first of one value or a list, and how many there are. */
static const struct gw_yaml_node *first_of(const struct gw_yaml_node *node, unsigned *n)
{
    *n = node->kind == GW_YAML_SEQUENCE ? node->n_children : 1;
    return node->kind == GW_YAML_SEQUENCE ? node->first_child : node;
}

void config_read_urls(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_urls *out)
{
    unsigned n;
    const struct gw_yaml_node *item = first_of(node, &n);
    struct proxy_config_url *items;

    if (n == 0 || n > PROXY_MAX_ENDPOINTS) {
        config_error(l, node, "must be 1 to %d URLs", PROXY_MAX_ENDPOINTS);
        return;
    }
    items = config_alloc(l, n, sizeof(*items));
    for (unsigned i = 0; items != NULL && i < n; i++, item = item->next) {
        items[i] = (struct proxy_config_url){.text = "", .host = "", .path = ""};
        config_read_url(l, item, &items[i]);
    }
    out->items = items;
    out->n = items == NULL ? 0 : n;
}

void config_read_secrets(struct config_load *l, const struct gw_yaml_node *node,
                         struct proxy_config_secrets *out)
{
    unsigned n;
    const struct gw_yaml_node *item = first_of(node, &n);
    struct proxy_config_secret *items;

    if (n == 0 || n > PROXY_MAX_KEYS) {
        config_error(l, node, "must be 1 to %d keys", PROXY_MAX_KEYS);
        return;
    }
    items = config_alloc(l, n, sizeof(*items));
    for (unsigned i = 0; items != NULL && i < n; i++, item = item->next) {
        items[i].source = "";
        config_read_secret(l, item, false, &items[i]);
    }
    out->items = items;
    out->n = items == NULL ? 0 : n;
}

void config_begin_pool(struct config_load *l, struct proxy_config_target *t)
{
    if (t->endpoints.n != 0 && t->base_url.set)
        config_complain(l, false, t, "`base_url` and `endpoints` exclude each other");
    else if (t->endpoints.n != 0)
        t->base_url = t->endpoints.items[0];
    if (t->keys.n != 0 && t->key.source[0] != '\0')
        config_complain(l, false, t, "`key` and `keys` exclude each other");
    else if (t->keys.n != 0)
        t->key = t->keys.items[0];
}

/* Where the servers that people run say whether they are well. */
static const char *probe_path(unsigned server)
{
    static const char *const paths[] = {
        [PROXY_SERVER_ANY] = "",
        [PROXY_SERVER_VLLM] = "/health",
        [PROXY_SERVER_SGLANG] = "/health",
        [PROXY_SERVER_TGI] = "/health",
        [PROXY_SERVER_TRITON] = "/v2/health/ready",
        [PROXY_SERVER_LLAMA_CPP] = "/health",
    };

    return paths[server];
}

static bool is_path(const char *path)
{
    for (const char *c = path; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7F || *c == '#')
            return false;
    return path[0] == '/';
}

/* Twice the same would share one state and count as two. */
static void check_twice(struct config_load *l, const struct proxy_config_target *t)
{
    for (unsigned i = 0; i < t->endpoints.n; i++)
        for (unsigned k = 0; k < i; k++)
            if (strcmp(t->endpoints.items[i].text, t->endpoints.items[k].text) == 0 &&
                t->endpoints.items[i].set)
                config_complain(l, false, t, "`endpoints` has one of them twice");
}

void config_end_pool(struct config_load *l, struct proxy_config_target *t)
{
    check_twice(l, t);
    if (t->endpoints.n == 0) {
        struct proxy_config_url *one = config_alloc(l, 1, sizeof(*one));

        if (one != NULL)
            *one = t->base_url;
        t->endpoints = (struct proxy_config_urls){one, one == NULL ? 0 : 1};
    }
    if (t->keys.n == 0 && t->key.source[0] != '\0') {
        struct proxy_config_secret *one = config_alloc(l, 1, sizeof(*one));

        if (one != NULL)
            *one = t->key;
        t->keys = (struct proxy_config_secrets){one, one == NULL ? 0 : 1};
    }
    if (t->endpoints.n * (t->keys.n == 0 ? 1 : t->keys.n) > ROUTER_MAX_SLOTS)
        config_complain(l, false, t, "`endpoints` times `keys` are more than 64 pairs");
    if (t->health.path[0] == '\0')
        t->health.path = probe_path(t->server);
    else if (!is_path(t->health.path))
        config_complain(l, false, t, "`health.path` must begin with / and hold no blanks");
    if (t->hedge_ms != 0 && t->endpoints.n * (t->keys.n == 0 ? 1 : t->keys.n) < 2)
        config_complain(l, true, t, "`hedge_after` needs a second endpoint or key to ask");
}
