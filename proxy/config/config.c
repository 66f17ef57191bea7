/* proxy/config/config.c - loads sluice.yaml: walks the tree along the table of keys.
 *
 * Three steps: defaults into every field, the document over them, then what depends on several keys
 * (config_check.c). Problems are collected, not thrown: a person who edits a file wants all of them at
 * once. Runs on the thread that loads, before or beside the server; the result is immutable. */
#include "proxy/config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "proxy/config/config_private.h"

enum {
    MAX_FILE_BYTES = 4 << 20,
    MAX_ARENA_BYTES = 64 << 20,
    MAX_ERRORS = 100,
    MAX_PATH_TEXT = 160,
};

/* ---- reports and memory ------------------------------------------------------------------- */

static void report(struct config_load *l, bool warning, const char *text)
{
    if (!warning) {
        if (l->n_errors++ == 0)
            (void)gw_fail(&l->first, GW_EINVAL, "%s", text);
        if (l->n_errors == MAX_ERRORS)
            text = "too many errors: the rest is not shown";
        else if (l->n_errors > MAX_ERRORS)
            return;
    }
    if (l->report != NULL)
        l->report(l->report_ctx, warning, text);
}

void config_report_text(struct config_load *l, bool warning, const char *text)
{
    report(l, warning, text);
}

void config_report_line(struct config_load *l, bool warning, unsigned line, const char *text)
{
    struct gw_err err;

    if (line == 0)
        (void)gw_fail(&err, GW_EINVAL, "%s: %s", l->cfg->file, text);
    else
        (void)gw_fail(&err, GW_EINVAL, "%s:%u: %s", l->cfg->file, line, text);
    report(l, warning, err.text);
}

static void report_at(struct config_load *l, bool warning, const struct gw_yaml_node *node,
                      const char *fmt, va_list ap)
{
    struct gw_err err;
    char what[sizeof(err.text)];

    (void)vsnprintf(what, sizeof(what), fmt, ap);
    (void)gw_yaml_fail(l->yaml, node, &err, GW_EINVAL, "%s", what);
    report(l, warning, err.text);
}

void config_error(struct config_load *l, const struct gw_yaml_node *node, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report_at(l, false, node, fmt, ap);
    va_end(ap);
}

void config_warn(struct config_load *l, const struct gw_yaml_node *node, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report_at(l, true, node, fmt, ap);
    va_end(ap);
}

void *config_alloc(struct config_load *l, size_t n, size_t size)
{
    void *p = gw_arena_array(l->arena, n, size);

    if (p == NULL)
        l->no_memory = true;
    return p;
}

struct gw_span config_copy(struct config_load *l, struct gw_span text)
{
    struct gw_span copy = gw_arena_copy(l->arena, text);

    if (copy.ptr == NULL) {
        l->no_memory = true;
        return GW_SPAN("");
    }
    return copy;
}

/* ---- defaults ----------------------------------------------------------------------------- */

/* What a field holds when the table gives no default: nothing, but never NULL. */
static void set_nothing(const struct config_key *key, void *field)
{
    static const char *const no_properties[] = {NULL};

    if (key->type == CONFIG_URL)
        *(struct proxy_config_url *)field =
            (struct proxy_config_url){.text = "", .host = "", .path = ""};
    else if (key->type == CONFIG_STRING || key->type == CONFIG_PATH)
        *(const char **)field = "";
    else if (key->type == CONFIG_SECRET || key->type == CONFIG_DOCUMENT)
        ((struct proxy_config_secret *)field)->source = "";
    else if (key->type == CONFIG_MONEY)
        *(uint64_t *)field = UINT64_MAX;
    else if (key->type == CONFIG_PROPERTIES)
        *(const char *const **)field = no_properties;
}

/* Fills the fields of one struct: the keys right below prefix ("" for the top), not those of the structs
 * that lists and named things make. */
void config_set_defaults(struct config_load *l, const char *prefix, void *base)
{
    size_t n = strlen(prefix);

    for (unsigned i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        struct gw_yaml_node node = {.kind = GW_YAML_SCALAR, .line = 1, .column = 1, .key_line = 1};
        void *field = (char *)base + key->offset;

        if (strncmp(key->path, prefix, n) != 0 || key->type <= CONFIG_ITEMS)
            continue;
        if (strpbrk(key->path + n, "*[") != NULL)
            continue;
        if (key->def == NULL || key->def == config_required) {
            set_nothing(key, field);
            continue;
        }
        node.text = gw_span_str(key->def);
        node.plain = node.text.len > 0;
        if (key->type == CONFIG_PATH)
            *(const char **)field = "";
        else
            config_value_read(l, key, &node, field);
    }
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* `targets:` with nothing behind it is an empty mapping. */
static bool is_nothing(const struct gw_yaml_node *node)
{
    return node->kind == GW_YAML_SCALAR && node->plain && node->text.len == 0;
}

static bool has_section(const char *path)
{
    size_t n = strlen(path);

    for (unsigned i = 0; i < n_config_keys; i++)
        if (strncmp(config_keys[i].path, path, n) == 0 && config_keys[i].path[n] == '.')
            return true;
    return false;
}

/* Reports the required keys right below prefix that the mapping lacks. */
static void check_required(struct config_load *l, const struct gw_yaml_node *map,
                           const char *prefix)
{
    size_t n = strlen(prefix);

    for (unsigned i = 0; i < n_config_keys; i++) {
        const char *path = config_keys[i].path;

        if (config_keys[i].def == config_required && strncmp(path, prefix, n) == 0 &&
            path[n] == '.' && strchr(path + n + 1, '.') == NULL &&
            gw_yaml_get(map, path + n + 1) == NULL)
            config_error(l, map, "needs the key %s", path + n + 1);
    }
}

static bool good_name(struct gw_span name)
{
    if (name.len == 0 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = gw_ascii_lower(name.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._-", c) != NULL))
            return false;
    }
    return true;
}

/* `targets:`: appended to those that are there. */
static void walk_targets(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config *cfg = l->cfg;
    struct proxy_config_target *targets;
    unsigned n = cfg->n_targets;

    if (n + node->n_children > ROUTER_MAX_TARGETS) {
        config_error(l, node, "more than %d targets", ROUTER_MAX_TARGETS);
        return;
    }
    targets = config_alloc(l, (size_t)n + node->n_children, sizeof(*targets));
    if (targets == NULL)
        return;
    if (n > 0)
        memcpy(targets, cfg->targets, n * sizeof(*targets));
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_target *t = &targets[n++];

        if (!good_name(c->key))
            config_error(l, c, "a target's name is 1 to 64 letters, digits, '.', '_' and '-'");
        t->name = config_copy(l, c->key).ptr;
        t->line = c->key_line;
        config_set_defaults(l, "targets.*.", t);
        config_walk(l, c, "targets.*", t);
    }
    cfg->targets = targets;
    cfg->n_targets = n;
}

static void walk_routes(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_route *routes = config_alloc(l, node->n_children, sizeof(*routes));
    unsigned n = 0;

    if (routes == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_route *r = &routes[n++];

        r->line = c->line;
        config_set_defaults(l, "routes[].", r);
        config_walk(l, c, "routes[]", r);
    }
    l->cfg->routes = routes;
    l->cfg->n_routes = n;
}

void config_walk_lines(struct config_load *l, const struct gw_yaml_node *node,
                       const struct proxy_config_line **out, unsigned *n_out)
{
    struct proxy_config_line *lines = config_alloc(l, node->n_children, sizeof(*lines));
    unsigned n = 0;

    if (lines == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_line *line = &lines[n++];

        line->line = c->line;
        config_set_defaults(l, "policy[].", line);
        line->else_action = GW_ACTION_COUNT;
        config_walk(l, c, "policy[]", line);
    }
    *out = lines;
    *n_out = n;
}

static void walk_structs(struct config_load *l, const struct config_key *key,
                         const struct gw_yaml_node *node)
{
    enum gw_yaml_kind want = key->type == CONFIG_NAMED ? GW_YAML_MAPPING : GW_YAML_SEQUENCE;

    if (node->kind != want && !is_nothing(node)) {
        config_error(l, node,
                     key->type == CONFIG_NAMED ? "must be a mapping of name: {...}"
                                               : "must be a list: lines that begin with -");
        return;
    }
    if (strcmp(key->path, "targets") == 0)
        walk_targets(l, node);
    else if (strcmp(key->path, "routes") == 0)
        walk_routes(l, node);
    else if (strcmp(key->path, "prices.table") == 0)
        config_walk_prices(l, node);
    else if (strcmp(key->path, "budgets") == 0)
        config_walk_budgets(l, node);
    else if (strcmp(key->path, "auth.jwt") == 0)
        config_walk_jwt(l, node);
    else if (strcmp(key->path, "auth.mtls") == 0)
        config_walk_mtls(l, node);
    else if (strcmp(key->path, "audit.payload") == 0)
        config_walk_payload(l, node);
    else if (strcmp(key->path, "audit.sinks") == 0)
        config_walk_sinks(l, node);
    else if (strcmp(key->path, "allowlist") == 0)
        config_walk_allow(l, node);
    else
        config_walk_lines(l, node, &l->cfg->lines, &l->cfg->n_lines);
}

static void walk_unknown(struct config_load *l, const struct gw_yaml_node *node, const char *prefix)
{
    char near[MAX_PATH_TEXT];

    if (config_key_suggest(prefix, node->key, near, sizeof(near)))
        config_error(l, node, "unknown key: did you mean %s?", near);
    else
        config_error(l, node, "unknown key");
}

/* Reads the keys of one mapping. prefix is its path in the table; base the struct that holds its fields.
 * Recursion follows the table, not the document, so it is at most four deep. */
void config_walk(struct config_load *l, const struct gw_yaml_node *node, const char *prefix,
                 void *base)
{
    if (is_nothing(node)) {
        check_required(l, node, prefix);
        return;
    }
    if (node->kind != GW_YAML_MAPPING) {
        config_error(l, node, "must be a mapping of key: value");
        return;
    }
    check_required(l, node, prefix);
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        const struct config_key *key = NULL;
        char path[MAX_PATH_TEXT];
        int n = snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".",
                         c->key.ptr);

        if (n > 0 && (size_t)n < sizeof(path) && strpbrk(c->key.ptr, ".*[") == NULL)
            key = config_key_find(path);
        if (key == NULL)
            walk_unknown(l, c, prefix);
        else if (key->type == CONFIG_NAMED || key->type == CONFIG_ITEMS)
            walk_structs(l, key, c);
        else if (key->type == CONFIG_SECTION || (c->kind == GW_YAML_MAPPING && has_section(path)))
            config_walk(l, c, path, base);
        else
            config_value_read(l, key, c, (char *)base + key->offset);
    }
}

/* ---- loading ------------------------------------------------------------------------------ */

/* Reads text as a further document: only its `targets` and `policy`, and only where asked. */
static void walk_default(struct config_load *l, struct gw_span text, bool targets, bool policy)
{
    struct gw_yaml *user = l->yaml;
    struct gw_yaml *y = NULL;
    struct gw_err err;

    if (gw_yaml_parse(text, "built-in", &y, &err) != GW_OK) {
        config_report_line(l, false, 0, err.text);
        return;
    }
    l->yaml = y;
    for (const struct gw_yaml_node *c = gw_yaml_root(y)->first_child; c != NULL; c = c->next)
        if (gw_span_is(c->key, "targets") ? targets : policy)
            walk_structs(l, config_key_find(c->key.ptr), c);
    l->yaml = user;
    gw_yaml_free(y);
}

/* Is the model's folder where a relative model path is looked for? models_dir has no default yet. */
static bool has_model(struct config_load *l, const char *name)
{
    const struct proxy_config *cfg = l->cfg;
    char dir[4096], path[4200];
    const char *state = cfg->state_dir;

    (void)snprintf(path, sizeof(path), "models/%s", name);
    if (access(path, R_OK) == 0)
        return true;
    if (cfg->models_dir[0] != '\0') {
        (void)snprintf(path, sizeof(path), "%s/%s", cfg->models_dir, name);
        return access(path, R_OK) == 0;
    }
    if (state[0] == '\0' && !proxy_config_default_state_dir(dir, sizeof(dir)))
        return false;
    (void)snprintf(path, sizeof(path), "%s/models/%s", state[0] == '\0' ? dir : state, name);
    return access(path, R_OK) == 0;
}

static bool has_extra(struct config_load *l, const struct config_extra *x)
{
    const char *value = NULL;

    if (x->model != NULL)
        return has_model(l, x->model);
    value = getenv(x->env); // NOLINT(concurrency-mt-unsafe): before threads
    return value != NULL && value[0] != '\0';
}

/* Reads what the configuration leaves out from the defaults. What the surroundings add shows in the digest. */
static void read_defaults(struct config_load *l, bool targets, bool policy, struct gw_hash *h)
{
    if (targets || policy)
        walk_default(l, proxy_config_default_text(), targets, policy);
    for (const struct config_extra *x = config_extras; targets && x->text != NULL; x++) {
        if (!has_extra(l, x))
            continue;
        walk_default(l, gw_span_str(x->text), true, false);
        gw_hash_add(h, gw_span_str(x->text));
    }
}

static void read_document(struct config_load *l, struct gw_span text)
{
    const struct gw_yaml_node *root = gw_yaml_root(l->yaml);
    unsigned char sum[GW_SHA256_BYTES];
    char *hex = config_alloc(l, GW_SHA256_HEX_BYTES, 1);
    struct gw_hash *h = gw_hash_new();

    if (hex == NULL || h == NULL) {
        gw_hash_free(h);
        l->no_memory = true;
        return;
    }
    gw_hash_add(h, text);
    config_set_defaults(l, "", l->cfg);
    config_walk(l, root, "", l->cfg);
    config_read_prices_file(l);
    config_read_allow_file(l);
    config_read_simulated(l);
    read_defaults(l, gw_yaml_get(root, "targets") == NULL, gw_yaml_get(root, "policy") == NULL, h);
    gw_hash_final(h, sum);
    gw_hex(sum, sizeof(sum), hex);
    l->cfg->digest = hex;
    config_finish(l);
}

static enum gw_status new_config(const char *name, struct proxy_config **out)
{
    struct proxy_config *cfg = calloc(1, sizeof(*cfg));

    if (cfg == NULL)
        return GW_ENOMEM;
    cfg->store = calloc(1, sizeof(*cfg->store));
    if (cfg->store != NULL)
        cfg->store->arena = gw_arena_new(MAX_ARENA_BYTES);
    if (cfg->store != NULL && cfg->store->arena != NULL)
        cfg->file = gw_arena_copy(cfg->store->arena, gw_span_str(name)).ptr;
    if (cfg->file == NULL) {
        proxy_config_free(cfg);
        return GW_ENOMEM;
    }
    *out = cfg;
    return GW_OK;
}

static enum gw_status parse(struct gw_span text, const char *name, const char *dir, unsigned flags,
                            struct proxy_config **out, proxy_config_report_fn report_fn, void *ctx,
                            struct gw_err *err)
{
    struct config_load l = {.dir = dir, .flags = flags, .report = report_fn, .report_ctx = ctx};
    enum gw_status st = gw_yaml_parse(text, name, &l.yaml, err);

    if (st != GW_OK)
        return st;
    st = new_config(name, &l.cfg);
    if (st == GW_OK) {
        l.arena = l.cfg->store->arena;
        read_document(&l, text);
    }
    gw_yaml_free(l.yaml);
    if (st != GW_OK || l.no_memory) {
        proxy_config_free(l.cfg);
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", name);
    }
    if (l.n_errors > 0) {
        proxy_config_free(l.cfg);
        if (l.n_errors == 1)
            return gw_fail(err, GW_EINVAL, "%s", l.first.text);
        return gw_fail(err, GW_EINVAL, "%u errors, the first: %.200s", l.n_errors, l.first.text);
    }
    *out = l.cfg;
    return GW_OK;
}

enum gw_status proxy_config_parse(struct gw_span text, const char *name, unsigned flags,
                                  struct proxy_config **out, proxy_config_report_fn report_fn,
                                  void *ctx, struct gw_err *err)
{
    return parse(text, name, "", flags, out, report_fn, ctx, err);
}

static enum gw_status load_file(const char *path, unsigned flags, struct proxy_config **out,
                                proxy_config_report_fn report_fn, void *ctx, struct gw_err *err)
{
    FILE *f = fopen(path, "rbe");
    enum gw_status st = GW_ENOMEM;
    const char *slash = strrchr(path, '/');
    char *text, *dir;
    size_t n;

    if (f == NULL)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "cannot read %s: %s", path,
                       strerrordesc_np(errno));
    text = malloc(MAX_FILE_BYTES + 1);
    dir = strndup(path, slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path));
    if (text == NULL || dir == NULL) {
        (void)gw_fail(err, st, "%s: out of memory", path);
        goto out;
    }
    n = fread(text, 1, MAX_FILE_BYTES + 1, f);
    if (ferror(f) != 0)
        st = gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    else
        st = parse((struct gw_span){text, n}, path, dir, flags, out, report_fn, ctx, err);
out:
    (void)fclose(f);
    free(text);
    free(dir);
    return st;
}

enum gw_status proxy_config_load(const char *path, unsigned flags, struct proxy_config **out,
                                 proxy_config_report_fn report_fn, void *ctx, struct gw_err *err)
{
    if (path == NULL)
        path = getenv("SLUICE_CONFIG"); // NOLINT(concurrency-mt-unsafe): before threads start
    if (path == NULL || path[0] == '\0')
        return parse(proxy_config_default_text(), "built-in", "", flags, out, report_fn, ctx, err);
    return load_file(path, flags, out, report_fn, ctx, err);
}

void proxy_config_free(struct proxy_config *cfg)
{
    if (cfg == NULL)
        return;
    if (cfg->store != NULL) {
        router_policy_free(cfg->store->policy);
        router_policy_free(cfg->store->simulated);
        config_free_allow(cfg);
        router_prices_free(cfg->store->prices);
        gw_arena_free(cfg->store->arena); /* wipes: keys lie in it */
        free(cfg->store);
    }
    free(cfg);
}
