/* proxy/config/config_prices.c - `prices:` into the router's table: its lines, the file's, and what to compare with.
 *
 * Runs while a configuration is loaded, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

void config_read_money(struct config_load *l, const struct gw_yaml_node *node, uint64_t *out)
{
    struct gw_span text;

    if (config_scalar_text(l, node, &text) && !router_money_parse(text, out))
        config_error(l, node,
                     "must be a decimal such as 2.50, with at most nine digits behind the point "
                     "and at most 1000000");
}

/* Days from 1970-01-01 to that day of the Gregorian calendar. */
static int64_t days_until(int64_t year, int64_t month, int64_t day)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t leaps_from = month > 2 ? year : year - 1; /* this year's leap day has come */
    int64_t leaps = leaps_from / 4 - leaps_from / 100 + leaps_from / 400;

    return (year - 1970) * 365 + leaps - 477 + before[month - 1] + day - 1; /* 477 until 1970 */
}

static int64_t digits(const char *p, size_t n)
{
    int64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

void config_read_date(struct config_load *l, const struct gw_yaml_node *node, int64_t *out)
{
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = -1, month = -1, day = -1;
    struct gw_span text;

    if (!config_scalar_text(l, node, &text))
        return;
    if (text.len == 10 && text.ptr[4] == '-' && text.ptr[7] == '-') {
        year = digits(text.ptr, 4);
        month = digits(text.ptr + 5, 2);
        day = digits(text.ptr + 8, 2);
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0))))
        config_error(l, node, "must be a day such as 2026-01-31, from 1970 on");
    else
        *out = days_until(year, month, day) * 86400000;
}

void config_walk_prices(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config *cfg = l->cfg;
    struct proxy_config_price *lines;
    unsigned n = cfg->prices.n_lines;

    if (node->n_children > ROUTER_MAX_PRICES - n) {
        config_error(l, node, "more than %d prices", ROUTER_MAX_PRICES);
        return;
    }
    lines = config_alloc(l, (size_t)n + node->n_children, sizeof(*lines));
    if (lines == NULL)
        return;
    if (n != 0)
        memcpy(lines, cfg->prices.lines, n * sizeof(*lines));
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        config_set_defaults(l, "prices.table[].", &lines[n]);
        config_walk(l, c, "prices.table[]", &lines[n++]);
    }
    cfg->prices.lines = lines;
    cfg->prices.n_lines = n;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void walk_file(struct config_load *l, const struct gw_yaml_node *root)
{
    const char *currency = l->cfg->prices.currency, *file = l->cfg->prices.file;
    const struct gw_yaml_node *said = gw_yaml_get(root, "currency");
    const struct gw_yaml_node *another = gw_yaml_get(root, "file");

    if (another != NULL || gw_yaml_get(root, "compare") != NULL) {
        config_error(l, another, "a file of prices has only table and currency");
        return;
    }
    config_walk(l, root, "prices", l->cfg);
    if (said != NULL && strcmp(currency, l->cfg->prices.currency) != 0)
        config_error(l, said, "is not the currency of prices.currency, %s", currency);
    l->cfg->prices.currency = currency;
    l->cfg->prices.file = file;
}

void config_walk_file(struct config_load *l, const char *path, const char *key,
                      void (*walk)(struct config_load *l, const struct gw_yaml_node *root))
{
    struct gw_yaml *own = l->yaml;
    struct gw_yaml *y = NULL;
    struct gw_err err = {0};

    if (path[0] == '\0')
        return;
    if (gw_yaml_load(path, &y, &err) != GW_OK) {
        (void)gw_fail_prefix(&err, "%s", key);
        config_report_line(l, false, 0, err.text);
        return;
    }
    l->yaml = y;
    walk(l, gw_yaml_root(y));
    l->yaml = own;
    gw_yaml_free(y);
}

void config_read_prices_file(struct config_load *l)
{
    config_walk_file(l, l->cfg->prices.file, "prices.file", walk_file);
}

/* ---- the table ------------------------------------------------------------------------------ */

static bool is_currency(const char *s)
{
    return strlen(s) == 3 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static size_t count_entries(const struct proxy_config *cfg)
{
    size_t n = 0;

    for (unsigned i = 0; i < cfg->prices.n_lines; i++) {
        const struct proxy_config_price *line = &cfg->prices.lines[i];

        n += (size_t)line->models.n * (line->targets.n == 0 ? 1 : line->targets.n);
    }
    return n;
}

static unsigned spread(const struct proxy_config_price *line, struct router_price *out)
{
    unsigned n = 0;

    for (unsigned m = 0; m < line->models.n; m++) {
        unsigned t = 0;

        do {
            out[n] = line->amounts;
            out[n].model = line->models.items[m];
            out[n++].target =
                line->targets.n == 0 ? (struct gw_span){NULL, 0} : line->targets.items[t];
        } while (++t < line->targets.n);
    }
    return n;
}

static void build_table(struct config_load *l)
{
    const struct proxy_config *cfg = l->cfg;
    size_t n = count_entries(cfg);
    struct router_price *items;
    struct gw_err err = {0};
    unsigned used = 0;

    if (n > ROUTER_MAX_PRICES) {
        config_report_line(l, false, 0, "prices: more than 10000 pairs of target and model");
        return;
    }
    items = config_alloc(l, n, sizeof(*items));
    if (items == NULL)
        return;
    for (unsigned i = 0; i < cfg->prices.n_lines; i++)
        used += spread(&cfg->prices.lines[i], items + used);
    if (router_prices_new(cfg->prices.currency, items, used, &l->cfg->store->prices, &err) !=
        GW_OK) {
        (void)gw_fail_prefix(&err, "prices");
        config_report_line(l, false, 0, err.text);
    }
    l->cfg->prices.table = l->cfg->store->prices;
}

/* ---- what to compare with --------------------------------------------------------------------- */

static const struct proxy_config_target *target_named(const struct proxy_config *cfg,
                                                      struct gw_span name)
{
    for (unsigned i = 0; i < cfg->n_targets; i++)
        if (gw_span_is(name, cfg->targets[i].name))
            return &cfg->targets[i];
    return NULL;
}

static void compare_as_said(struct proxy_config *cfg)
{
    const char *text = cfg->prices.compare, *slash = strchr(text, '/');
    const struct proxy_config_target *t = NULL;

    if (slash != NULL) /* else, or when no target has that name, the slash is the model's */
        t = target_named(cfg, (struct gw_span){text, (size_t)(slash - text)});
    cfg->prices.compare_target = t == NULL ? "" : t->name;
    cfg->prices.compare_model = t == NULL ? text : slash + 1;
}

static void compare_by_routes(struct proxy_config *cfg)
{
    for (unsigned i = 0; i < cfg->n_routes; i++) {
        const struct proxy_config_list *names = &cfg->routes[i].tiers[GW_TIER_COMPLEX];

        for (unsigned k = 0; k < names->n; k++) {
            const struct proxy_config_target *t = target_named(cfg, names->items[k]);

            if (t != NULL && t->zone == GW_ZONE_APPROVED && t->default_model[0] != '\0') {
                cfg->prices.compare_target = t->name;
                cfg->prices.compare_model = t->default_model;
                return;
            }
        }
    }
}

void config_build_prices(struct config_load *l)
{
    struct proxy_config *cfg = l->cfg;

    cfg->prices.compare_target = "";
    cfg->prices.compare_model = "";
    if (!is_currency(cfg->prices.currency))
        config_report_line(l, false, 0, "prices.currency: must be three capital letters");
    if (l->n_errors > 0)
        return;
    build_table(l);
    if (cfg->prices.compare[0] != '\0')
        compare_as_said(cfg);
    else
        compare_by_routes(cfg);
}
