/* proxy/config/config_value.c - one value of sluice.yaml into one field.
 *
 * Each reader checks type and range, reports what is wrong with line and key, and leaves the field at its
 * default when it is. Used while a configuration is loaded, on that thread. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_ITEMS = 10000, MAX_TEXT = 4096 };

/* ---- texts -------------------------------------------------------------------------------- */

bool config_scalar_text(struct config_load *l, const struct gw_yaml_node *node, struct gw_span *out)
{
    if (node->kind != GW_YAML_SCALAR) {
        config_error(l, node, "must be one value");
        return false;
    }
    if (node->plain &&
        (node->text.len == 0 || gw_span_is(node->text, "null") || gw_span_is(node->text, "~"))) {
        config_error(l, node, "has no value: give it one or remove the key");
        return false;
    }
    if (node->text.len > MAX_TEXT) {
        config_error(l, node, "is longer than %d bytes", MAX_TEXT);
        return false;
    }
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];

        if (c < 0x20 || c == 0x7F) { /* values go into headers, paths and logs */
            config_error(l, node, "holds a control character");
            return false;
        }
    }
    *out = node->text;
    return true;
}

/* Visits the one value or the items of the list. */
static const struct gw_yaml_node *first_item(struct config_load *l, const struct gw_yaml_node *node,
                                             unsigned *n)
{
    if (node->kind == GW_YAML_MAPPING) {
        config_error(l, node, "must be a value or a list of values");
        *n = 0;
        return NULL;
    }
    if (node->kind == GW_YAML_SCALAR) {
        *n = 1;
        return node;
    }
    if (node->n_children > MAX_ITEMS) {
        config_error(l, node, "has more than %d items", MAX_ITEMS);
        *n = 0;
        return NULL;
    }
    *n = node->n_children;
    return node->first_child;
}

static void read_list(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_list *out)
{
    struct proxy_config_list list = {NULL, 0};
    struct gw_span *items;
    unsigned n;
    const struct gw_yaml_node *item = first_item(l, node, &n);

    items = config_alloc(l, n, sizeof(*items));
    if (items == NULL)
        return;
    for (unsigned i = 0; i < n && item != NULL; i++, item = item->next) {
        struct gw_span text;

        if (config_scalar_text(l, item, &text)) {
            if (text.len == 0)
                config_error(l, item, "is empty");
            items[list.n++] = config_copy(l, text);
        }
    }
    list.items = items;
    *out = list;
}

struct gw_span config_path(struct config_load *l, struct gw_span text)
{
    struct gw_span path;
    size_t n = strlen(l->dir);
    char *p;

    if (text.len == 0 || text.ptr[0] == '/' || n == 0)
        return config_copy(l, text);
    p = config_alloc(l, n + 1 + text.len + 1, 1);
    if (p == NULL)
        return GW_SPAN("");
    memcpy(p, l->dir, n);
    p[n] = '/';
    memcpy(p + n + 1, text.ptr, text.len);
    path.ptr = p;
    path.len = n + 1 + text.len;
    return path;
}

static void read_paths(struct config_load *l, const struct gw_yaml_node *node,
                       struct proxy_config_list *out)
{
    struct proxy_config_list list = {NULL, 0};
    struct gw_span *items;

    read_list(l, node, &list);
    items = config_alloc(l, list.n, sizeof(*items));
    if (items == NULL)
        return;
    for (unsigned i = 0; i < list.n; i++)
        items[i] =
            gw_span_is(list.items[i], "builtin") ? list.items[i] : config_path(l, list.items[i]);
    *out = (struct proxy_config_list){items, list.n};
}

static void read_properties(struct config_load *l, const struct gw_yaml_node *node,
                            const char *const **out)
{
    const char **items;
    unsigned n = 0;

    if (node->kind != GW_YAML_MAPPING) {
        config_error(l, node, "must be a mapping of name: value");
        return;
    }
    items = config_alloc(l, node->n_children + 1, sizeof(const char *));
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct gw_span text;
        char *pair;

        if (!config_scalar_text(l, c, &text))
            continue;
        pair = config_alloc(l, c->key.len + text.len + 2, 1);
        if (pair == NULL)
            return;
        memcpy(pair, c->key.ptr, c->key.len);
        pair[c->key.len] = '=';
        memcpy(pair + c->key.len + 1, text.ptr, text.len);
        items[n++] = pair;
    }
    *out = items;
}

static void read_pairs(struct config_load *l, const struct gw_yaml_node *node,
                       struct proxy_config_pairs *out)
{
    struct proxy_config_pair *items;
    unsigned n = 0;

    if (node->kind != GW_YAML_MAPPING) {
        config_error(l, node, "must be a mapping of requested: meant");
        return;
    }
    items = config_alloc(l, node->n_children, sizeof(*items));
    if (items == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct gw_span text;

        if (!config_scalar_text(l, c, &text))
            continue;
        items[n].from = config_copy(l, c->key);
        items[n].to = config_copy(l, text);
        items[n++].line = c->key_line;
    }
    out->items = items;
    out->n = n;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static void read_number(struct config_load *l, const struct config_key *key,
                        const struct gw_yaml_node *node, void *field)
{
    int64_t n;

    if (key->type == CONFIG_DURATION) {
        if (!gw_yaml_duration_ms(node, &n))
            config_error(l, node, "must be a duration such as 250ms, 10s, 5m or 2h");
        else if (n < key->min || n > key->max)
            config_error(l, node, "must be between %lldms and %llds", (long long)key->min,
                         (long long)(key->max / 1000));
        else
            *(int64_t *)field = n;
        return;
    }
    if (!gw_yaml_int(node, &n))
        config_error(l, node, "must be a whole number%s",
                     key->type == CONFIG_BYTES ? " of bytes, such as 65536, 64KiB or 32MiB" : "");
    else if (n < key->min || n > key->max)
        config_error(l, node, "must be between %lld and %lld", (long long)key->min,
                     (long long)key->max);
    else if (key->type == CONFIG_BYTES)
        *(uint64_t *)field = (uint64_t)n;
    else
        *(unsigned *)field = (unsigned)n;
}

/* Takes ">=" and spaces off; the rest is the threshold. */
static struct gw_span strip_at_least(struct gw_span text)
{
    if (gw_span_starts(text, GW_SPAN(">=")))
        text = gw_span_from(text, 2);
    while (text.len > 0 && text.ptr[0] == ' ')
        text = gw_span_from(text, 1);
    return text;
}

static void read_at_least(struct config_load *l, const struct config_key *key,
                          const struct gw_yaml_node *node, unsigned *out)
{
    struct gw_span text;
    struct gw_yaml_node plain;
    int64_t n;

    if (!config_scalar_text(l, node, &text))
        return;
    plain = *node;
    plain.plain = true; /* the quotes around ">=60" are YAML's need, not the reader's */
    plain.text = strip_at_least(text);
    if (!gw_yaml_int(&plain, &n) || n < key->min || n > key->max)
        config_error(l, node, "must be \">=N\" with N between %lld and %lld", (long long)key->min,
                     (long long)key->max);
    else
        *out = (unsigned)n;
}

/* ---- words -------------------------------------------------------------------------------- */

static void read_action(struct config_load *l, const struct gw_yaml_node *node, unsigned *out)
{
    enum gw_action action;
    struct gw_span text;

    if (!config_scalar_text(l, node, &text))
        return;
    if (gw_action_parse(text, &action))
        *out = (unsigned)action;
    else
        config_error(l, node, "must be allow, alert, coach, mask, tokenize, redact or block");
}

static void read_severity(struct config_load *l, const struct gw_yaml_node *node, unsigned *out)
{
    enum gw_severity severity;
    struct gw_span text;

    if (!config_scalar_text(l, node, &text))
        return;
    if (gw_severity_parse(strip_at_least(text), &severity))
        *out = (unsigned)severity;
    else
        config_error(l, node, "must be info, low, medium, high or critical, or \">=high\"");
}

/* Appends "a, b or c". */
static void list_words(const char *const *words, struct gw_buf *out)
{
    for (unsigned i = 0; words[i] != NULL; i++)
        gw_buf_printf(out, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
}

static bool find_word(const char *const *words, struct gw_span text, unsigned *out)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (gw_span_is(text, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void refuse_word(struct config_load *l, const struct gw_yaml_node *node,
                        const struct config_key *key)
{
    struct gw_buf words = {0};

    list_words(key->choices, &words);
    config_error(l, node, "must be %s", gw_buf_ok(&words) ? words.ptr : "one of the known words");
    gw_buf_fini(&words);
}

static void read_enum(struct config_load *l, const struct config_key *key,
                      const struct gw_yaml_node *node, unsigned *out)
{
    struct gw_span text;

    if (config_scalar_text(l, node, &text) && !find_word(key->choices, text, out))
        refuse_word(l, node, key);
}

static void read_words(struct config_load *l, const struct config_key *key,
                       const struct gw_yaml_node *node, unsigned *out)
{
    unsigned n, word, bits = 0;
    const struct gw_yaml_node *item = first_item(l, node, &n);

    if (node->kind == GW_YAML_SEQUENCE && n == 0)
        config_error(l, node, "names none: remove the key to have all");
    for (unsigned i = 0; i < n && item != NULL; i++, item = item->next) {
        struct gw_span text;

        if (!config_scalar_text(l, item, &text))
            continue;
        if (find_word(key->choices, text, &word))
            bits |= 1u << word;
        else
            refuse_word(l, item, key);
    }
    *out = bits;
}

static void read_zones(struct config_load *l, const struct gw_yaml_node *node, unsigned *out)
{
    unsigned n, zones = 0;
    const struct gw_yaml_node *item = first_item(l, node, &n);

    if (node->kind == GW_YAML_SEQUENCE && n == 0)
        config_error(l, node, "names no zone: use `then: block` to refuse");
    for (unsigned i = 0; i < n && item != NULL; i++, item = item->next) {
        struct gw_span text;
        enum gw_zone zone;

        if (!config_scalar_text(l, item, &text))
            continue;
        if (gw_zone_parse(text, &zone))
            zones |= (unsigned)zone;
        else
            config_error(l, item, "must be process, private or approved");
    }
    *out = zones;
}

static void read_classes(struct config_load *l, const struct gw_yaml_node *node, unsigned *out)
{
    unsigned n, classes = 0;
    const struct gw_yaml_node *item = first_item(l, node, &n);

    for (unsigned i = 0; i < n && item != NULL; i++, item = item->next) {
        struct gw_span text;
        enum gw_class class_;

        if (!config_scalar_text(l, item, &text))
            continue;
        if (gw_class_parse(text, &class_))
            classes |= 1u << (unsigned)class_;
        else
            config_error(l, item,
                         "must be secret, pii, phi, financial, source_code, confidential or "
                         "injection");
    }
    *out = classes;
}

static void read_zone(struct config_load *l, const struct gw_yaml_node *node, enum gw_zone *out)
{
    struct gw_span text;

    if (config_scalar_text(l, node, &text) && !gw_zone_parse(text, out))
        config_error(l, node, "must be process, private or approved");
}

static void read_ports(struct config_load *l, const struct gw_yaml_node *node,
                       struct proxy_config_ports *out)
{
    unsigned n;
    const struct gw_yaml_node *item = first_item(l, node, &n);
    uint16_t *items = config_alloc(l, n, sizeof(*items));
    unsigned used = 0;

    if (items == NULL)
        return;
    for (unsigned i = 0; i < n && item != NULL; i++, item = item->next) {
        int64_t port;

        if (!gw_yaml_int(item, &port) || port < 1 || port > 65535)
            config_error(l, item, "must be a port, 1 to 65535");
        else
            items[used++] = (uint16_t)port;
    }
    out->items = items;
    out->n = used;
}

static void read_text(struct config_load *l, const struct config_key *key,
                      const struct gw_yaml_node *node, const char **out)
{
    struct gw_span text;

    if (!config_scalar_text(l, node, &text))
        return;
    *out = key->type == CONFIG_PATH ? config_path(l, text).ptr : config_copy(l, text).ptr;
}

static void read_special(struct config_load *l, const struct config_key *key,
                         const struct gw_yaml_node *node, void *field)
{
    switch ((int)key->type) {
    case CONFIG_ADDR:
        config_read_addr(l, node, field);
        break;
    case CONFIG_URL:
        config_read_url(l, node, field);
        break;
    case CONFIG_URLS:
        config_read_urls(l, node, field);
        break;
    case CONFIG_SECRETS:
        config_read_secrets(l, node, field);
        break;
    case CONFIG_SECRET:
    case CONFIG_DOCUMENT:
        config_read_secret(l, node, key->type == CONFIG_DOCUMENT, field);
        break;
    case CONFIG_RESOLVES:
        config_read_resolves(l, node, field);
        break;
    case CONFIG_NETS:
        config_read_nets(l, node, field);
        break;
    case CONFIG_HOSTS:
        config_read_hosts(l, node, field);
        break;
    case CONFIG_PORTS:
        read_ports(l, node, field);
        break;
    case CONFIG_PAIRS:
        read_pairs(l, node, field);
        break;
    case CONFIG_MONEY:
        config_read_money(l, node, field);
        break;
    case CONFIG_DATE:
        config_read_date(l, node, field);
        break;
    case CONFIG_PROPERTIES:
        read_properties(l, node, field);
        break;
    default: /* the table has no other type */
        break;
    }
}

void config_value_read(struct config_load *l, const struct config_key *key,
                       const struct gw_yaml_node *node, void *field)
{
    switch ((int)key->type) {
    case CONFIG_BOOL:
        if (!gw_yaml_bool(node, field))
            config_error(l, node, "must be true or false");
        break;
    case CONFIG_UINT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        read_number(l, key, node, field);
        break;
    case CONFIG_STRING:
    case CONFIG_PATH:
        read_text(l, key, node, field);
        break;
    case CONFIG_ENUM:
        read_enum(l, key, node, field);
        break;
    case CONFIG_WORDS:
        read_words(l, key, node, field);
        break;
    case CONFIG_ACTION:
        read_action(l, node, field);
        break;
    case CONFIG_SEVERITY:
        read_severity(l, node, field);
        break;
    case CONFIG_AT_LEAST:
        read_at_least(l, key, node, field);
        break;
    case CONFIG_ZONE:
        read_zone(l, node, field);
        break;
    case CONFIG_ZONES:
        read_zones(l, node, field);
        break;
    case CONFIG_CLASSES:
        read_classes(l, node, field);
        break;
    case CONFIG_LIST:
        read_list(l, node, field);
        break;
    case CONFIG_PATHS:
        read_paths(l, node, field);
        break;
    default:
        read_special(l, key, node, field);
        break;
    }
}
