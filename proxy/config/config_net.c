/* proxy/config/config_net.c - addresses, URLs, host names and ranges of sluice.yaml.
 *
 * Addresses are numeric, so that neither loading nor serving needs a resolver for them. Used while a
 * configuration is loaded, on that thread. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_HOST = 253 };

/* Lower case, a trailing dot taken off; false when it is no host name (RFC 1123 plus '_'). */
static bool normal_host(struct gw_span text, char out[MAX_HOST + 1])
{
    size_t label = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > MAX_HOST)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = gw_ascii_lower(text.ptr[i]);
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';

        if (c == '.' ? label == 0 : !word)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
        out[i] = c;
    }
    out[text.len] = '\0';
    return true;
}

static bool read_port(struct gw_span text, bool zero, uint16_t *out)
{
    unsigned n = 0;

    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (n > 65535 || (n == 0 && !zero))
        return false;
    *out = (uint16_t)n;
    return true;
}

/* Parts "host:port" or "[v6]:port"; without a port *has_port is false. */
static bool split_port(struct gw_span text, struct gw_span *host, struct gw_span *port,
                       bool *has_port)
{
    const char *colon;

    *has_port = false;
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);

        if (end == NULL)
            return false;
        *host = (struct gw_span){text.ptr + 1, (size_t)(end - text.ptr - 1)};
        text = gw_span_from(text, (size_t)(end - text.ptr + 1));
        if (text.len == 0)
            return true;
        *port = gw_span_from(text, 1);
        *has_port = true;
        return text.ptr[0] == ':';
    }
    colon = text.len == 0 ? NULL : memchr(text.ptr, ':', text.len);
    if (colon == NULL ||
        memchr(colon + 1, ':', (size_t)(text.ptr + text.len - colon - 1)) != NULL) {
        *host = text; /* no port, or an IPv6 address without brackets */
        return true;
    }
    *host = (struct gw_span){text.ptr, (size_t)(colon - text.ptr)};
    *port = gw_span_from(text, host->len + 1);
    *has_port = true;
    return true;
}

static bool set_sockaddr(struct gw_span host, uint16_t port, struct proxy_config_addr *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char text[INET6_ADDRSTRLEN];

    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr == NULL ? "" : host.ptr, host.len);
    text[host.len] = '\0';
    out->port = port;
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&out->sa, &v4, sizeof(v4));
        out->sa_len = sizeof(v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(&out->sa, &v6, sizeof(v6));
        out->sa_len = sizeof(v6);
        return true;
    }
    return false;
}

void config_read_addr(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_addr *out)
{
    struct proxy_config_addr addr = {0};
    struct gw_span text, host, port_text = {NULL, 0};
    uint16_t port = 0;
    bool has_port;

    if (!config_scalar_text(l, node, &text))
        return;
    addr.text = config_copy(l, text).ptr;
    if (gw_span_is(text, "off") || gw_span_is(text, "false")) {
        addr.off = true;
        *out = addr;
        return;
    }
    if (!split_port(text, &host, &port_text, &has_port) || !has_port ||
        !read_port(port_text, true, &port)) {
        config_error(l, node, "must be address:port such as 127.0.0.1:8080 or [::1]:8080, or off");
        return;
    }
    if (host.len == 0 || gw_span_is(host, "*"))
        host = GW_SPAN("0.0.0.0");
    else if (gw_span_is(host, "localhost"))
        host = GW_SPAN("127.0.0.1");
    if (set_sockaddr(host, port, &addr))
        *out = addr;
    else
        config_error(l, node, "needs a numeric address before the port, localhost or *");
}

void config_read_resolves(struct config_load *l, const struct gw_yaml_node *node,
                          struct proxy_config_resolves *out)
{
    struct proxy_config_resolve *items;
    unsigned n = 0;

    if (node->kind != GW_YAML_MAPPING) {
        config_error(l, node, "must be a mapping of host: address");
        return;
    }
    items = config_alloc(l, node->n_children, sizeof(*items));
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct gw_span text, addr = {NULL, 0}, port_text = {NULL, 0};
        char host[MAX_HOST + 1];
        uint16_t port = 0;
        bool has_port = false;

        if (!config_scalar_text(l, c, &text))
            continue;
        if (!normal_host(c->key, host)) {
            config_error(l, c, "the key is not a host name");
            continue;
        }
        if (!split_port(text, &addr, &port_text, &has_port) ||
            (has_port && !read_port(port_text, false, &port)) ||
            !set_sockaddr(addr, port, &items[n].addr)) {
            config_error(l, c, "must be an address, or address:port");
            continue;
        }
        items[n].host = config_copy(l, gw_span_str(host)).ptr;
        items[n++].addr.text = config_copy(l, text).ptr;
    }
    out->items = items;
    out->n = n;
}

/* Takes the scheme off; false for any but http and https. */
static bool take_scheme(struct gw_span *text, bool *tls)
{
    if (gw_span_starts(*text, GW_SPAN("https://")))
        *tls = true;
    else if (gw_span_starts(*text, GW_SPAN("http://")))
        *tls = false;
    else
        return false;
    *text = gw_span_from(*text, *tls ? 8 : 7);
    return true;
}

void config_read_url(struct config_load *l, const struct gw_yaml_node *node,
                     struct proxy_config_url *out)
{
    struct proxy_config_url url = {.set = true};
    struct gw_span text, rest, authority, host, port_text = {NULL, 0}, path = {NULL, 0};
    char name[MAX_HOST + 1];
    struct proxy_config_addr numeric;
    const char *slash;
    bool has_port;

    if (!config_scalar_text(l, node, &text))
        return;
    rest = text;
    if (!take_scheme(&rest, &url.tls)) {
        config_error(l, node, "must begin with https:// or http://");
        return;
    }
    slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    authority = rest;
    if (slash != NULL) {
        authority.len = (size_t)(slash - rest.ptr);
        path = gw_span_from(rest, authority.len);
    }
    if (path.len > 0 && strcspn(path.ptr, "?# ") < path.len) {
        config_error(l, node, "must end with the path: no query, no fragment, no spaces");
        return;
    }
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    url.port = url.tls ? 443 : 80;
    if (authority.len > 0 && memchr(authority.ptr, '@', authority.len) != NULL) {
        config_error(l, node, "must not hold a user or password: use key:");
        return;
    }
    if (!split_port(authority, &host, &port_text, &has_port) ||
        (has_port && !read_port(port_text, false, &url.port)) ||
        !(normal_host(host, name) || set_sockaddr(host, 0, &numeric))) {
        config_error(l, node, "must be like https://host:port/path");
        return;
    }
    url.text = config_copy(l, text).ptr;
    url.host = config_copy(l, normal_host(host, name) ? gw_span_str(name) : host).ptr;
    url.path = config_copy(l, path).ptr;
    *out = url;
}

static bool read_net(struct gw_span text, struct proxy_config_net *out)
{
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    struct gw_span host = text;
    struct proxy_config_addr addr = {0};
    uint16_t bits;

    if (slash != NULL)
        host.len = (size_t)(slash - text.ptr);
    if (!set_sockaddr(host, 0, &addr))
        return false;
    out->family = addr.sa.ss_family;
    out->bits = out->family == AF_INET ? 32 : 128;
    if (slash != NULL) {
        if (!read_port(gw_span_from(text, host.len + 1), true, &bits) || bits > out->bits)
            return false;
        out->bits = bits;
    }
    if (out->family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, &addr.sa, sizeof(v4));
        memcpy(out->bytes, &v4.sin_addr, 4);
    } else {
        struct sockaddr_in6 v6;

        memcpy(&v6, &addr.sa, sizeof(v6));
        memcpy(out->bytes, &v6.sin6_addr, 16);
    }
    return true;
}

/* One value or a list; *count is how many nodes follow from the returned one. */
static const struct gw_yaml_node *items_of(struct config_load *l, const struct gw_yaml_node *node,
                                           unsigned *count)
{
    if (node->kind == GW_YAML_MAPPING) {
        config_error(l, node, "must be a value or a list of values");
        *count = 0;
        return NULL;
    }
    *count = node->kind == GW_YAML_SCALAR ? 1 : node->n_children;
    return node->kind == GW_YAML_SCALAR ? node : node->first_child;
}

void config_read_nets(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_nets *out)
{
    unsigned count, n = 0;
    const struct gw_yaml_node *item = items_of(l, node, &count);
    struct proxy_config_net *items = config_alloc(l, count, sizeof(*items));

    if (items == NULL)
        return;
    for (unsigned i = 0; i < count && item != NULL; i++, item = item->next) {
        struct gw_span text;

        if (!config_scalar_text(l, item, &text))
            continue;
        if (read_net(text, &items[n]))
            n++;
        else
            config_error(l, item, "must be an address or a range such as 10.0.0.0/8");
    }
    out->items = items;
    out->n = n;
}

void config_read_hosts(struct config_load *l, const struct gw_yaml_node *node,
                       struct proxy_config_list *out)
{
    unsigned count, n = 0;
    const struct gw_yaml_node *item = items_of(l, node, &count);
    bool builtin_done = false;
    struct gw_span *items =
        config_alloc(l, (size_t)count + n_config_ai_hosts, sizeof(struct gw_span));

    if (items == NULL)
        return;
    for (unsigned i = 0; i < count && item != NULL; i++, item = item->next) {
        char host[MAX_HOST + 1];
        struct gw_span text;

        if (!config_scalar_text(l, item, &text))
            continue;
        if (gw_span_is(text, "ai-hosts")) {
            for (unsigned k = 0; k < n_config_ai_hosts && !builtin_done; k++)
                items[n++] = gw_span_str(config_ai_hosts[k]);
            builtin_done = true;
            continue;
        }
        if (gw_span_starts(text, GW_SPAN("*."))) /* a suffix covers its subdomains anyway */
            text = gw_span_from(text, 2);
        if (normal_host(text, host))
            items[n++] = config_copy(l, gw_span_str(host));
        else
            config_error(l, item, "must be a host name, or ai-hosts");
    }
    out->items = items;
    out->n = n;
}
