/* proxy/config/config_auth.c - who may use the gateway and the admin port: derived defaults and checks of `auth` and `admin`.
 * While a configuration is loaded, on that thread. */
#include "proxy/config/config_private.h"

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
    check_admin(l);
}
