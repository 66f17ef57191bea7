/* proxy/config/config_sinks.c - `audit.sinks`: where records go besides Kafka. While a configuration is loaded, on that
 * thread. */
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_NAME = 32, MAX_INDEX = 200, ALL_RECORDS = 31 };

void config_walk_sinks(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_sink *items = config_alloc(l, node->n_children, sizeof(*items));
    unsigned n = 0;

    if (node->n_children > PROXY_MAX_SINKS) {
        config_error(l, node, "more than %d sinks", PROXY_MAX_SINKS);
        return;
    }
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_sink *k = &items[n++];

        k->line = c->line;
        k->name = "";
        k->host = "";
        config_set_defaults(l, "audit.sinks[].", k);
        config_walk(l, c, "audit.sinks[]", k);
    }
    l->cfg->audit.sinks = items;
    l->cfg->audit.n_sinks = n;
}

static void complain(struct config_load *l, const struct proxy_config_sink *k, const char *what)
{
    char text[300];

    (void)snprintf(text, sizeof(text), "audit.sinks: %.*s: %s", MAX_NAME,
                   k->name[0] == '\0' ? "(no name)" : k->name, what);
    config_report_line(l, false, k->line, text);
}

static bool good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return n != 0 && n <= MAX_NAME && name[n] == '\0' && strcmp(name, "kafka") != 0;
}

static bool is_loopback(const char *host)
{
    struct in_addr four;

    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

/* "host:port", "[::1]:6514". */
static bool split_address(struct config_load *l, struct proxy_config_sink *k)
{
    const char *colon = strrchr(k->address, ':');
    struct gw_span host;
    unsigned long port;
    char *end;

    if (colon == NULL || colon == k->address || colon[1] < '0' || colon[1] > '9')
        return false;
    port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port == 0 || port > 65535)
        return false;
    host = (struct gw_span){k->address, (size_t)(colon - k->address)};
    if (host.ptr[0] == '[' && host.len > 2 && host.ptr[host.len - 1] == ']')
        host = (struct gw_span){host.ptr + 1, host.len - 2};
    else if (memchr(host.ptr, ':', host.len) != NULL)
        return false;
    k->host = config_copy(l, host).ptr;
    k->port = (uint16_t)port;
    return k->host[strcspn(k->host, "/@[] ")] == '\0';
}

static void check_syslog(struct config_load *l, struct proxy_config_sink *k)
{
    if (!split_address(l, k))
        complain(l, k, "`address` must be host:port, like logs.example:6514");
    else if (!k->tls && !is_loopback(k->host))
        complain(l, k, "`tls: false` is for loopback only: the records would be readable");
    if (k->token.source[0] != '\0')
        complain(l, k, "syslog has no `token`: use a client certificate (`cert`, `cert_key`)");
}

static void check_web(struct config_load *l, const struct proxy_config_sink *k)
{
    if (!k->url.set)
        complain(l, k, "needs `url`");
    else if (!k->url.tls && !is_loopback(k->url.host))
        complain(l, k, "`url` must begin with https:// (http:// is for loopback only)");
    if (k->kind == PROXY_SINK_SPLUNK && k->token.source[0] == '\0')
        complain(l, k, "needs `token`: that of the HTTP event collector, as file:PATH or env:NAME");
    if (k->kind == PROXY_SINK_ELASTIC && k->index[0] == '\0')
        complain(l, k, "needs `index`: an index or a data stream");
    if (strlen(k->index) > MAX_INDEX || k->index[strcspn(k->index, " \"\\/?#%")] != '\0')
        complain(l, k, "`index` must hold no blanks, quotes, slashes, ?, # and %");
    if (k->user[0] != '\0' && (k->token.source[0] == '\0' || strchr(k->user, ':') != NULL))
        complain(l, k, "`user` needs `token` for its password, and must hold no colon");
}

/* Keys that mean nothing for the kind are a misunderstanding. */
static void check_foreign(struct config_load *l, const struct proxy_config_sink *k)
{
    bool web = k->kind >= PROXY_SINK_SPLUNK && k->kind <= PROXY_SINK_WEBHOOK;

    if ((k->path[0] != '\0') != (k->kind == PROXY_SINK_FILE))
        complain(l, k, "`path` is what the kind file needs, and no other has");
    if (k->url.set && !web)
        complain(l, k, "`url` is for splunk, elastic and webhook");
    if (k->address[0] != '\0' && k->kind != PROXY_SINK_SYSLOG)
        complain(l, k, "`address` is for syslog: use `url`");
    if ((k->cert[0] == '\0') != (k->cert_key[0] == '\0'))
        complain(l, k, "a client certificate needs both `cert` and `cert_key`");
}

static void check_sink(struct config_load *l, struct proxy_config_sink *k)
{
    if (!good_name(k->name))
        complain(l, k, "`name` must be 1 to 32 of a-z, 0-9, _ and -, and not kafka");
    if (k->records == 0)
        k->records = ALL_RECORDS;
    check_foreign(l, k);
    if (k->kind == PROXY_SINK_SYSLOG)
        check_syslog(l, k);
    else if (k->kind >= PROXY_SINK_SPLUNK)
        check_web(l, k);
}

/* Two sinks must not share a cursor or a file. */
static void check_twice(struct config_load *l, const struct proxy_config_sink *list, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (strcmp(list[i].name, list[k].name) == 0)
            complain(l, &list[i], "the name is there twice");
        if (list[i].kind != list[k].kind)
            continue;
        if (list[i].kind == PROXY_SINK_STDOUT ||
            (list[i].kind == PROXY_SINK_FILE && strcmp(list[i].path, list[k].path) == 0))
            complain(l, &list[i], "another sink writes there already");
    }
}

void config_check_sinks(struct config_load *l)
{
    unsigned n = l->cfg->audit.n_sinks;
    struct proxy_config_sink *copy = config_alloc(l, n, sizeof(*copy));

    if (copy == NULL)
        return;
    for (unsigned i = 0; i < n; i++) {
        copy[i] = l->cfg->audit.sinks[i];
        check_sink(l, &copy[i]);
        check_twice(l, copy, i);
    }
    l->cfg->audit.sinks = copy;
}
