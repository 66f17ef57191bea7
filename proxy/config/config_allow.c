/* proxy/config/config_allow.c - `allowlist:` and its file: read, checked, and which entries are about to end.
 *
 * Runs while a configuration is loaded, on that thread; what matches is decided in proxy/request/allow.c. */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/config/config_private.h"

enum { MAX_ENTRIES = 10000, MAX_WITHOUT_VALUE = 1000, SOON_DAYS = 14 };
#define DAY_MS ((int64_t)86400000)

/* Entries of the configuration, or of the file that is being read. */
static void append(struct config_load *l, const struct gw_yaml_node *node, const char *file)
{
    struct proxy_config *cfg = l->cfg;
    unsigned n = cfg->allow.n;
    struct proxy_config_allow *items;

    if (node->n_children > MAX_ENTRIES - n) {
        config_error(l, node, "more than %d entries", MAX_ENTRIES);
        return;
    }
    items = config_alloc(l, (size_t)n + node->n_children, sizeof(*items));
    if (items == NULL)
        return;
    if (n != 0)
        memcpy(items, cfg->allow.items, n * sizeof(*items));
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_allow *a = &items[n++];

        a->line = c->line;
        a->file = file;
        config_set_defaults(l, "allowlist[].", a);
        config_walk(l, c, "allowlist[]", a);
        a->expires_ms += DAY_MS; /* it holds on its last day */
    }
    cfg->allow.items = items;
    cfg->allow.n = n;
}

void config_walk_allow(struct config_load *l, const struct gw_yaml_node *node)
{
    append(l, node, l->cfg->file);
}

static void walk_file(struct config_load *l, const struct gw_yaml_node *root)
{
    const struct gw_yaml_node *list = gw_yaml_get(root, "allowlist");

    if (root->kind == GW_YAML_SCALAR && root->text.len == 0)
        return; /* nothing was allowed yet */
    if (root->kind != GW_YAML_MAPPING || root->n_children != 1 || list == NULL) {
        config_error(l, root, "an allowlist's file has the key allowlist and no other");
        return;
    }
    if (list->kind == GW_YAML_SCALAR && list->text.len == 0)
        return;
    if (list->kind != GW_YAML_SEQUENCE) {
        config_error(l, list, "must be a list: lines that begin with -");
        return;
    }
    append(l, list, l->cfg->allow.file);
}

void proxy_config_stamp(const char *path, struct proxy_config_stamp *out)
{
    struct stat st;

    memset(out, 0, sizeof(*out));
    if (stat(path, &st) != 0)
        return;
    out->inode = (uint64_t)st.st_ino;
    out->size = (uint64_t)st.st_size;
    out->seconds = (int64_t)st.st_mtim.tv_sec;
    out->nanoseconds = (int64_t)st.st_mtim.tv_nsec;
}

void config_read_allow_file(struct config_load *l)
{
    proxy_config_stamp(l->cfg->allow.file, &l->cfg->allow.stamp);
    config_walk_file(l, l->cfg->allow.file, "allowlist_file", walk_file);
}

/* ---- checks ----------------------------------------------------------------------------------- */

static void report(struct config_load *l, bool warning, const struct proxy_config_allow *a,
                   const char *what)
{
    struct gw_err err;

    (void)gw_fail(&err, GW_EINVAL, "%s:%u: allowlist: %s", a->file, a->line, what);
    config_report_text(l, warning, err.text);
}

static bool is_hmac(const char *hex)
{
    size_t n = strlen(hex);

    for (size_t i = 0; i < n; i++)
        if (!((hex[i] >= '0' && hex[i] <= '9') || (hex[i] >= 'a' && hex[i] <= 'f')))
            return false;
    return n == 64;
}

static bool has_value(const struct proxy_config_allow *a)
{
    return a->value[0] != '\0' || a->value_hmac[0] != '\0';
}

static void check_content(struct config_load *l, struct proxy_config_allow *a)
{
    struct gw_err err = {0};

    if (!has_value(a) && a->regex[0] == '\0' && a->rules.n == 0 && a->paths.n == 0)
        report(l, false, a, "needs one of value, value_hmac, regex, rule and path");
    if ((a->value[0] != '\0') + (a->value_hmac[0] != '\0') + (a->regex[0] != '\0') > 1)
        report(l, false, a, "says more than one of value, value_hmac and regex");
    if (a->value_hmac[0] != '\0' && !is_hmac(a->value_hmac))
        report(l, false, a, "value_hmac: must be 64 hex digits, as a record of a finding has them");
    if (a->owner[0] == '\0')
        report(l, false, a, "owner: somebody must answer for it");
    if (a->regex[0] == '\0' || dlp_regex_new(gw_span_str(a->regex), &a->compiled, &err) == GW_OK)
        return;
    (void)gw_fail_prefix(&err, "regex");
    report(l, false, a, err.text);
}

/* When it ends: what has ended is no error, or a gateway could not start the day after. */
static void check_end(struct config_load *l, const struct proxy_config_allow *a, int64_t now_ms)
{
    int64_t left_ms = a->expires_ms - now_ms;
    char text[200];

    if (left_ms <= 0)
        (void)snprintf(text, sizeof(text), "the entry of %.64s has ended and does nothing",
                       a->owner);
    else
        (void)snprintf(text, sizeof(text), "the entry of %.64s ends in %u days", a->owner,
                       (unsigned)(left_ms / DAY_MS));
    if (left_ms < SOON_DAYS * DAY_MS)
        report(l, true, a, text);
}

/* Those with an HMAC first, then those with a value, each in order, so that they are found without trying all. */
static int compare(const void *a, const void *b)
{
    const struct proxy_config_allow *x = a, *y = b;
    int c = (x->value_hmac[0] == '\0') - (y->value_hmac[0] == '\0');

    if (c == 0)
        c = (x->value_hmac[0] == '\0' && x->value[0] == '\0') -
            (y->value_hmac[0] == '\0' && y->value[0] == '\0');
    if (c == 0)
        c = strcmp(x->value_hmac, y->value_hmac);
    return c != 0 ? c : strcmp(x->value, y->value);
}

void config_check_allow(struct config_load *l)
{
    struct proxy_config_allow *items = config_alloc(l, l->cfg->allow.n, sizeof(*items));
    int64_t now_ms = gw_clock_wall_ms();
    unsigned without_value = 0;
    char id[64];

    if (items == NULL)
        return;
    if (l->cfg->allow.n != 0)
        memcpy(items, l->cfg->allow.items, l->cfg->allow.n * sizeof(*items));
    l->cfg->allow.items = items; /* so that what is compiled is released with the rest */
    for (unsigned i = 0; i < l->cfg->allow.n; i++) {
        struct proxy_config_allow *a = &items[i];

        check_content(l, a);
        check_end(l, a, now_ms);
        without_value += !has_value(a);
        l->cfg->allow.n_hmac += a->value_hmac[0] != '\0';
        l->cfg->allow.n_value += a->value_hmac[0] == '\0' && a->value[0] != '\0';
        if (a->id[0] != '\0')
            continue;
        (void)snprintf(id, sizeof(id), "%s:%u",
                       a->file == l->cfg->allow.file ? "allowlist_file" : "allowlist", a->line);
        a->id = config_copy(l, gw_span_str(id)).ptr;
    }
    if (l->cfg->allow.n != 0)
        qsort(items, l->cfg->allow.n, sizeof(*items), compare);
    if (without_value > MAX_WITHOUT_VALUE)
        config_report_line(l, false, 0,
                           "allowlist: more than 1000 entries without value or value_hmac: each of "
                           "them is tried for each finding");
}

void config_free_allow(struct proxy_config *cfg)
{
    for (unsigned i = 0; i < cfg->allow.n; i++)
        dlp_regex_free(cfg->allow.items[i].compiled);
}

void proxy_config_allow_ends(const struct proxy_config *cfg, int64_t now_ms, unsigned *soon,
                             unsigned *ended)
{
    *soon = *ended = 0;
    for (unsigned i = 0; i < cfg->allow.n; i++) {
        int64_t left_ms = cfg->allow.items[i].expires_ms - now_ms;

        *ended += left_ms <= 0;
        *soon += left_ms > 0 && left_ms < SOON_DAYS * DAY_MS;
    }
}
