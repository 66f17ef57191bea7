/* proxy/config/config_budgets.c - `budgets:` and `redis:`: amounts with windows, names, and the parts of a URL.
 *
 * Runs at the end of a load, on that thread. */
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_NAME = 64, NANO_DIGITS = 9 };

void config_walk_budgets(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_budget *budgets = config_alloc(l, node->n_children, sizeof(*budgets));
    unsigned n = 0;

    if (budgets == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_budget *b = &budgets[n++];

        b->line = c->line;
        config_set_defaults(l, "budgets[].", b);
        config_walk(l, c, "budgets[]", b);
    }
    l->budgets = budgets;
    l->n_budgets = n;
}

static void complain(struct config_load *l, const struct proxy_config_budget *b, const char *what)
{
    char text[400];

    (void)snprintf(text, sizeof(text), "budgets[%u]: %s", (unsigned)(b - l->budgets), what);
    config_report_line(l, false, b->line, text);
}

/* ---- amounts ---------------------------------------------------------------------------- */

static struct gw_span trim(struct gw_span s)
{
    while (s.len > 0 && s.ptr[0] == ' ')
        s = gw_span_from(s, 1);
    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* Digits with '_' between them, then for money a point and digits, scaled by ten to the power of scale. Advances *s.
 * False: no number, more digits than the scale holds, or too large. */
static bool read_amount(struct gw_span *s, unsigned scale, uint64_t *out)
{
    bool digit = false, point = false;
    uint64_t n = 0;
    size_t i = 0;

    for (; i < s->len; i++) {
        char c = s->ptr[i];

        if (c == '.' && scale > 0 && digit && !point) {
            point = true;
            continue;
        }
        if (c == '_' && digit)
            continue;
        if (c < '0' || c > '9')
            break;
        if ((point && scale == 0) || n > ROUTER_BUDGET_MAX)
            return false;
        n = n * 10 + (uint64_t)(c - '0');
        scale -= point ? 1 : 0;
        digit = true;
    }
    for (; scale > 0 && n <= ROUTER_BUDGET_MAX; scale--)
        n *= 10;
    *s = gw_span_from(*s, i);
    *out = n;
    return digit && n <= ROUTER_BUDGET_MAX;
}

/* "2M", "500k": thousands and millions. */
static bool read_suffix(struct gw_span *s, uint64_t *n)
{
    uint64_t by = s->len == 0                            ? 1
                  : s->ptr[0] == 'k' || s->ptr[0] == 'K' ? 1000
                  : s->ptr[0] == 'M'                     ? 1000000
                                                         : 1;

    if (by != 1)
        *s = gw_span_from(*s, 1);
    if (*n > ROUTER_BUDGET_MAX / by)
        return false;
    *n *= by;
    return true;
}

static bool read_limit(struct gw_span text, enum router_budget_kind kind,
                       struct router_budget_limit *out)
{
    bool money = kind == ROUTER_BUDGET_COST;
    struct gw_span rest = trim(text);
    uint64_t n;

    if (!read_amount(&rest, money ? NANO_DIGITS : 0, &n) || (!money && !read_suffix(&rest, &n)))
        return false;
    rest = trim(rest);
    if (rest.len == 0 || rest.ptr[0] != '/' ||
        !router_window_parse(trim(gw_span_from(rest, 1)), &out->window))
        return false;
    out->set = true;
    out->amount = n;
    return true;
}

static void read_limits(struct config_load *l, const struct proxy_config_budget *from,
                        struct router_budget *to)
{
    bool any = from->concurrency != 0;

    for (unsigned k = 0; k < ROUTER_BUDGET_CONCURRENCY; k++) {
        struct gw_span text = gw_span_str(from->texts[k]);
        char what[300];

        if (text.len == 0)
            continue;
        any = true;
        if (read_limit(text, (enum router_budget_kind)k, &to->limits[k]))
            continue;
        (void)snprintf(what, sizeof(what),
                       "%s: must be an amount and a window, such as %s: second, minute, hour, day, "
                       "week, month, or a span such as 5h",
                       router_budget_kind_name((enum router_budget_kind)k),
                       k == ROUTER_BUDGET_COST ? "`50.00 / month`" : "`600 / minute`");
        complain(l, from, what);
    }
    if (from->concurrency != 0)
        to->limits[ROUTER_BUDGET_CONCURRENCY] =
            (struct router_budget_limit){.set = true, .amount = from->concurrency};
    if (!any)
        complain(l, from, "limits nothing: give it requests, tokens, cost or concurrency");
}

/* ---- budgets ---------------------------------------------------------------------------- */

static bool good_name(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        char c = gw_ascii_lower(name[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._-", c) != NULL))
            return false;
    }
    return n > 0 && n <= MAX_NAME;
}

/* A name without a pattern that is no target's is a mistake that would limit nothing; one with a dot may be a host that
 * is intercepted. */
static void check_targets(struct config_load *l, const struct proxy_config_budget *b)
{
    for (unsigned i = 0; i < b->targets.n; i++) {
        bool found = strpbrk(b->targets.items[i].ptr, "*?.") != NULL;
        char what[200];

        for (unsigned t = 0; t < l->cfg->n_targets && !found; t++)
            found = gw_span_eq_nocase(b->targets.items[i], gw_span_str(l->cfg->targets[t].name));
        if (found)
            continue;
        (void)snprintf(what, sizeof(what), "match.target: there is no target named %.64s",
                       b->targets.items[i].ptr);
        complain(l, b, what);
    }
}

static void check_name(struct config_load *l, unsigned i)
{
    const struct proxy_config_budget *b = &l->budgets[i];

    if (!good_name(b->name))
        complain(l, b, "name: is 1 to 64 letters, digits, '.', '_' and '-'");
    for (unsigned k = 0; k < i; k++)
        if (strcmp(l->budgets[k].name, b->name) == 0)
            complain(l, b, "another budget has this name: they would share their counters");
}

static struct router_globs globs(const struct proxy_config_list *list)
{
    return (struct router_globs){list->items, list->n};
}

static void build(struct config_load *l)
{
    struct router_budget *budgets = config_alloc(l, l->n_budgets, sizeof(*budgets));
    char what[80];

    if (l->n_budgets > ROUTER_MAX_BUDGETS) {
        (void)snprintf(what, sizeof(what), "budgets: more than %d", ROUTER_MAX_BUDGETS);
        config_report_line(l, false, 0, what);
        return;
    }
    for (unsigned i = 0; i < l->n_budgets && budgets != NULL; i++) {
        const struct proxy_config_budget *b = &l->budgets[i];

        budgets[i] = (struct router_budget){
            .name = b->name,
            .per = (enum router_budget_per)b->per,
            .keys = globs(&b->keys),
            .users = globs(&b->users),
            .teams = globs(&b->teams),
            .models = globs(&b->models),
            .targets = globs(&b->targets),
        };
        check_name(l, i);
        check_targets(l, b);
        read_limits(l, b, &budgets[i]);
    }
    l->cfg->budgets = budgets;
    l->cfg->n_budgets = l->n_budgets;
}

/* ---- redis ------------------------------------------------------------------------------- */

static bool read_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9')
        return false;
    *out = strtoul(text, &end, 10);
    return *end == '\0' && *out <= max;
}

/* "host", "host:port", "[v6]:port" into the configuration; text is changed. */
static bool read_host(struct config_load *l, char *text)
{
    unsigned long port = 6379;
    char *colon, *host = text;

    if (text[0] == '[') {
        char *end = strchr(text, ']');

        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] == ':' ? end + 1 : NULL;
        *end = '\0';
        host = text + 1;
    } else {
        colon = strchr(text, ':');
    }
    if (colon != NULL && (!read_number(colon + 1, 65535, &port) || port == 0))
        return false;
    if (colon != NULL)
        *colon = '\0';
    for (char *c = host; *c != '\0'; c++)
        *c = gw_ascii_lower(*c);
    if (host[0] == '\0' || strchr(host, '@') != NULL)
        return false;
    l->cfg->redis.host = config_copy(l, gw_span_str(host)).ptr;
    l->cfg->redis.port = (uint16_t)port;
    return true;
}

static void read_redis(struct config_load *l)
{
    static const char scheme[] = "redis://";
    const char *url = l->cfg->redis.url;
    unsigned long db = 0;
    char text[512], *slash;

    l->cfg->redis.host = "";
    if (url[0] == '\0')
        return;
    if (strncmp(url, "rediss://", 9) == 0) {
        config_report_line(l, false, 0,
                           "redis.url: rediss:// needs TLS, which the packaged Redis client has "
                           "not: run a TLS tunnel (stunnel, HAProxy) on this host and name it "
                           "here: redis://127.0.0.1:6379");
        return;
    }
    if (!good_name(l->cfg->redis.prefix))
        config_report_line(l, false, 0,
                           "redis.prefix: is 1 to 64 letters, digits, '.', '_' and '-'");
    (void)snprintf(text, sizeof(text), "%s",
                   strncmp(url, scheme, sizeof(scheme) - 1) == 0 ? url + sizeof(scheme) - 1 : "");
    slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    if (strlen(url) >= sizeof(text) || !read_host(l, text) ||
        (slash != NULL && slash[1] != '\0' && !read_number(slash + 1, 65535, &db)))
        config_report_line(l, false, 0,
                           "redis.url: must be redis://host:port/number; the password goes into "
                           "redis.password");
    l->cfg->redis.db = (unsigned)db;
}

void config_build_budgets(struct config_load *l)
{
    read_redis(l);
    build(l);
}
