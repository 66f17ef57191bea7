/* proxy/cmd/cmd_dlp_gateway.c - sluice dlp scan --config: the rules and the allowlist that a gateway has. One thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_config.h"
#include "proxy/cmd/cmd_dlp_scan.h"
#include "proxy/net/hmac_key.h"
#include "proxy/request/allow.h"

struct cmd_dlp_gateway {
    struct proxy_config *cfg;
    unsigned char key[HMAC_KEY_BYTES];
    int64_t now_ms;
};

/* The key is the gateway's own: who scans elsewhere has none, and what is allowed by its HMAC is shown then. */
static void load_key(struct cmd_dlp_gateway *g)
{
    struct gw_err err;

    if (g->cfg->allow.n_hmac == 0 || hmac_key_load(g->cfg->state_dir, false, g->key, &err) == GW_OK)
        return;
    (void)cli_fail("dlp scan", 0,
                   "%u entries of the allowlist name a value by its HMAC and do not count: %s",
                   g->cfg->allow.n_hmac, err.text);
}

struct cmd_dlp_gateway *cmd_dlp_gateway_open(const char *path)
{
    struct cmd_dlp_gateway *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return NULL;
    g->now_ms = gw_clock_wall_ms();
    g->cfg = cmd_config_load("dlp scan", path);
    if (g->cfg == NULL) {
        free(g);
        return NULL;
    }
    load_key(g);
    return g;
}

void cmd_dlp_gateway_close(struct cmd_dlp_gateway *g)
{
    if (g == NULL)
        return;
    proxy_config_free(g->cfg);
    explicit_bzero(g->key, sizeof(g->key));
    free(g);
}

enum gw_status cmd_dlp_gateway_rules(const struct cmd_dlp_gateway *g, struct dlp_rules **out,
                                     struct gw_err *err)
{
    const struct proxy_config_list *list = &g->cfg->dlp.rules;
    const char **paths = calloc(list->n + 1, sizeof(*paths));
    enum gw_status st;

    if (paths == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    paths[0] = "builtin";
    for (unsigned i = 0; i < list->n; i++)
        paths[i] = list->items[i].ptr;
    st = dlp_rules_open(
        paths, list->n == 0 ? 1 : list->n,
        &(struct dlp_rules_options){.without_examples = true, .without_trial = true}, out, err);
    free(paths);
    return st;
}

unsigned cmd_dlp_gateway_report_from(const struct cmd_dlp_gateway *g)
{
    return g->cfg->dlp.report_from;
}

bool cmd_dlp_gateway_allows(const struct cmd_dlp_gateway *g, const struct dlp_rules *rules,
                            const struct cmd_dlp_finding *f)
{
    const struct proxy_principal nobody = {0};

    return allow_find(
               g->cfg, (struct gw_span){(const char *)g->key, sizeof(g->key)},
               &(struct allow_finding){.value = f->value,
                                       .rule = gw_span_str(dlp_rules_info(rules, f->rule)->id),
                                       .pointer = f->path,
                                       .who = &nobody,
                                       .now_ms = g->now_ms}) != NULL;
}
