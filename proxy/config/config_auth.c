/* proxy/config/config_auth.c - who may use the gateway and the admin port: `auth.jwt`, `auth.mtls`, derived defaults and checks
 * of `auth` and `admin`. While a configuration is loaded, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_GROUPS = 32, MAX_NAMES = 64, MAX_NETWORKS = 32, MAX_ISSUERS = 32, MAX_RULES = 256 };

/* ---- reading ----------------------------------------------------------------------------------- */

void config_walk_jwt(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_jwt *items = config_alloc(l, node->n_children, sizeof(*items));
    unsigned n = 0;

    if (node->n_children > MAX_ISSUERS)
        config_error(l, node, "more than %d issuers", MAX_ISSUERS);
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_jwt *j = &items[n++];

        j->line = c->line;
        config_set_defaults(l, "auth.jwt[].", j);
        config_walk(l, c, "auth.jwt[]", j);
    }
    l->cfg->auth.jwt = items;
    l->cfg->auth.n_jwt = n;
}

void config_walk_mtls(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_mtls *items = config_alloc(l, node->n_children, sizeof(*items));
    unsigned n = 0;

    if (node->n_children > MAX_RULES)
        config_error(l, node, "more than %d lines", MAX_RULES);
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_mtls *m = &items[n++];

        m->line = c->line;
        config_set_defaults(l, "auth.mtls[].", m);
        config_walk(l, c, "auth.mtls[]", m);
    }
    l->cfg->auth.mtls = items;
    l->cfg->auth.n_mtls = n;
}

/* ---- checks ------------------------------------------------------------------------------------ */

static void check_grants(struct config_load *l, unsigned line, const struct proxy_config_grants *g)
{
    if (g->groups.n > MAX_GROUPS || g->models.n > MAX_NAMES || g->targets.n > MAX_NAMES ||
        g->networks.n > MAX_NETWORKS)
        config_report_line(l, false, line,
                           "auth: at most 32 groups, 64 models, 64 targets and 32 networks");
}

/* Keys decide who gets in, so they come encrypted, or from this machine. */
static bool is_safe_url(const char *url)
{
    static const char *const safe[] = {"https://",
                                       "http://127.0.0.1:", "http://[::1]:", "http://localhost:"};

    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        if (strncmp(url, safe[i], strlen(safe[i])) == 0)
            return true;
    return false;
}

static void check_jwt(struct config_load *l, struct proxy_config_jwt *j)
{
    if (strncmp(j->jwks, "file:", 5) == 0 && j->jwks[5] != '\0')
        j->jwks = config_path(l, gw_span_str(j->jwks + 5)).ptr;
    else if (!is_safe_url(j->jwks))
        config_report_line(l, false, j->line,
                           "auth.jwt.jwks: must begin with https:// (http:// for 127.0.0.1, [::1] "
                           "and localhost with a port) or file:");
    if (j->issuer[0] == '\0' || j->audience.n == 0)
        config_report_line(l, false, j->line, "auth.jwt: needs an issuer and an audience");
    if (j->claim_user[0] == '\0')
        config_report_line(l, false, j->line, "auth.jwt.claims.user: must name a claim");
    if (j->algorithms == 0)
        config_report_line(l, false, j->line, "auth.jwt.algorithms: names none");
    check_grants(l, j->line, &j->grants);
}

static void check_mtls(struct config_load *l, const struct proxy_config_mtls *m)
{
    bool some = m->org.n != 0 || m->unit.n != 0;

    for (unsigned i = 0; i < PROXY_CERT_FIELDS; i++)
        some |= m->names[i].n != 0;
    if (!some)
        config_report_line(l, false, m->line,
                           "auth.mtls: a line needs cn, email, dns, uri, org or unit; for every "
                           "certificate write cn: \"*\"");
    check_grants(l, m->line, &m->grants);
}

static void check_clients(struct config_load *l)
{
    const struct proxy_config *cfg = l->cfg;
    bool asked = cfg->listen.clients != PROXY_CLIENTS_NONE;

    if (asked && (cfg->listen.tls_cert[0] == '\0' || cfg->listen.client_ca[0] == '\0'))
        config_report_line(l, false, 0, "listen.tls.clients: needs cert, key and client_ca");
    if (!asked && (cfg->listen.client_ca[0] != '\0' || cfg->auth.n_mtls != 0))
        config_report_line(l, true, 0,
                           "listen.tls.clients: none, so client_ca and auth.mtls do nothing: say "
                           "optional or required");
    if (asked && cfg->auth.n_mtls == 0)
        config_report_line(l, true, 0,
                           "auth.mtls: has no line, so client certificates identify nobody");
}

/* ---- the admin port ----------------------------------------------------------------------------- */

/* Paths that show state and need no key unless the file says otherwise. */
static const struct gw_span open_paths[] = {{"/healthz", 8}, {"/readyz", 7}, {"/metrics", 8}};

static void check_admin(struct config_load *l)
{
    struct proxy_config_list *open = &l->cfg->admin.open;

    if (open->items == NULL) { /* `admin.open: []` has items, but none */
        open->items = open_paths;
        open->n = sizeof(open_paths) / sizeof(open_paths[0]);
    }
    for (unsigned i = 0; i < open->n; i++)
        if (!gw_span_starts(open->items[i], GW_SPAN("/")))
            config_report_line(l, false, 0, "admin.open: a path begins with /");
}

void config_check_auth(struct config_load *l)
{
    struct proxy_config_jwt *copy = config_alloc(l, l->cfg->auth.n_jwt, sizeof(*copy));

    check_admin(l);
    check_clients(l);
    for (unsigned i = 0; i < l->cfg->auth.n_mtls; i++)
        check_mtls(l, &l->cfg->auth.mtls[i]);
    if (copy == NULL)
        return;
    for (unsigned i = 0; i < l->cfg->auth.n_jwt; i++) {
        copy[i] = l->cfg->auth.jwt[i];
        check_jwt(l, &copy[i]);
    }
    l->cfg->auth.jwt = copy;
}
