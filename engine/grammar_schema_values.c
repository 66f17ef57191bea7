/* engine/grammar_schema_values.c - constants of a JSON Schema: written, compared, and told apart. See grammar_schema.h. */
#include <string.h>

#include "engine/grammar_schema.h"

unsigned schema_type_of(const struct gw_json_node *value)
{
    switch (value->type) {
    case GW_JSON_OBJECT_BEGIN:
        return SCHEMA_OBJECT;
    case GW_JSON_ARRAY_BEGIN:
        return SCHEMA_ARRAY;
    case GW_JSON_STRING:
        return SCHEMA_STRING;
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
        return SCHEMA_BOOLEAN;
    case GW_JSON_NUMBER:
        return memchr(value->raw.ptr, '.', value->raw.len) == NULL &&
                       memchr(value->raw.ptr, 'e', value->raw.len) == NULL &&
                       memchr(value->raw.ptr, 'E', value->raw.len) == NULL
                   ? SCHEMA_INTEGER | SCHEMA_NUMBER
                   : SCHEMA_NUMBER;
    case GW_JSON_NULL:
        return SCHEMA_NULL;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_END:
    case GW_JSON_KEY:
    case GW_JSON_END:
    case GW_JSON_ERROR:
    default:
        return 0;
    }
}

static void write_scalar(struct schema_making *s, const struct gw_json_node *value,
                         struct gw_buf *out)
{
    struct gw_span text;

    if (value->type != GW_JSON_STRING) {
        gw_buf_add(out, value->raw);
        return;
    }
    text = gw_json_text(value, s->arena);
    if (text.ptr == NULL)
        (void)gmake_no_memory(s->m);
    else
        grammar_write_string(out, text);
}

static void write_gap(struct gw_buf *out)
{
    gw_buf_addc(out, '\xFF');
}

static bool is_container(const struct gw_json_node *value)
{
    return value->type == GW_JSON_OBJECT_BEGIN || value->type == GW_JSON_ARRAY_BEGIN;
}

static void write_close(const struct gw_json_node *container, struct gw_buf *out)
{
    gw_buf_addc(out, container->type == GW_JSON_OBJECT_BEGIN ? '}' : ']');
}

/* The name of a member, and a value without what is in it. */
static void write_head(struct schema_making *s, const struct gw_json_node *in,
                       const struct gw_json_node *value, struct gw_buf *out)
{
    if (gw_json_is(in, GW_JSON_OBJECT_BEGIN)) {
        grammar_write_string(out, gw_json_name(value, s->arena));
        write_gap(out);
        gw_buf_addc(out, ':');
        write_gap(out);
    }
    if (is_container(value)) {
        gw_buf_addc(out, value->type == GW_JSON_OBJECT_BEGIN ? '{' : '[');
        write_gap(out);
    } else {
        write_scalar(s, value, out);
    }
}

void schema_write_value(struct schema_making *s, const struct gw_json_node *value,
                        struct gw_buf *out)
{
    const struct gw_json_node *open[72], *at = value; /* the reader lets JSON be 64 deep */
    unsigned depth = 0;

    for (;;) {
        write_head(s, depth == 0 ? NULL : open[depth - 1], at, out);
        if (is_container(at) && at->child != NULL && depth < 72) {
            open[depth++] = at;
            at = at->child;
            continue;
        }
        if (is_container(at))
            write_close(at, out);
        while (depth != 0 && at->next == NULL) {
            at = open[--depth];
            write_gap(out);
            write_close(at, out);
        }
        if (depth == 0)
            return;
        write_gap(out);
        gw_buf_addc(out, ',');
        write_gap(out);
        at = at->next;
    }
}

bool schema_same_value(struct schema_making *s, const struct gw_json_node *a,
                       const struct gw_json_node *b)
{
    struct gw_buf x = {0}, y = {0};
    bool same;

    schema_write_value(s, a, &x);
    schema_write_value(s, b, &y);
    if (!gw_buf_ok(&x) || !gw_buf_ok(&y))
        (void)gmake_no_memory(s->m);
    same = gw_span_eq(gw_buf_span(&x), gw_buf_span(&y));
    gw_buf_fini(&x);
    gw_buf_fini(&y);
    return same;
}

/* ---- enumerations ------------------------------------------------------------------------------------ */

/* The first value that an item allows, and how many more follow it; NULL: it does not say. */
static const struct gw_json_node *values_of(const struct schema_item *item, bool *single)
{
    const struct gw_json_node *constant = gw_json_get(item->node, "const");
    const struct gw_json_node *list = gw_json_get(item->node, "enum");

    *single = constant != NULL;
    return constant != NULL ? constant : list == NULL ? NULL : list->child;
}

static bool item_allows(struct schema_making *s, const struct schema_item *item,
                        const struct gw_json_node *value)
{
    bool single;
    const struct gw_json_node *v = values_of(item, &single);

    if (v == NULL)
        return gw_json_get(item->node, "enum") == NULL;
    for (; v != NULL && s->m->status == GW_OK; v = single ? NULL : v->next) {
        schema_spend(s, item->path, 20); /* each is written out */
        if (schema_same_value(s, v, value))
            return true;
    }
    return false;
}

/* Keywords that would have to be tried on each value. */
static bool has_others(struct schema_making *s, const struct schema_item *item)
{
    static const char *const words[] = {"properties", "required",         "additionalProperties",
                                        "items",      "prefixItems",      "minItems",
                                        "maxItems",   "minLength",        "maxLength",
                                        "pattern",    "format",           "minimum",
                                        "maximum",    "exclusiveMinimum", "exclusiveMaximum",
                                        "multipleOf", "minProperties",    "maxProperties",
                                        NULL};

    for (const char *const *w = words; *w != NULL; w++) {
        if (gw_json_get(item->node, *w) != NULL) {
            (void)schema_refuse(s, schema_at(s, item, *w), GW_EUNSUPPORTED,
                                "is not supported beside enum or const");
            return true;
        }
    }
    return false;
}

/* The rule of one value. */
static uint32_t value_rule(struct schema_making *s, const struct gw_json_node *value)
{
    struct gw_buf text = {0};
    uint32_t at = s->m->common.pop;

    schema_write_value(s, value, &text);
    if (!gw_buf_ok(&text))
        (void)gmake_no_memory(s->m);
    for (size_t i = text.len; i-- > 0 && s->m->status == GW_OK;)
        at = (uint8_t)text.ptr[i] == 0xFF ? gmake_gap(s->m, at)
                                          : gmake_byte(s->m, (uint8_t)text.ptr[i], at);
    gw_buf_fini(&text);
    return at;
}

static bool allowed_by_all(struct schema_making *s, const struct schema_list *list, unsigned but,
                           const struct gw_json_node *value)
{
    for (unsigned i = 0; i < list->n; i++)
        if (i != but && !item_allows(s, &list->items[i], value))
            return false;
    return true;
}

uint32_t schema_make_enum(struct schema_making *s, const struct schema_list *list, unsigned types)
{
    uint32_t *ways = gw_arena_array(s->arena, SCHEMA_MAX_ENUM + 1, sizeof(*ways));
    const struct gw_json_node *v = NULL;
    bool single = false, nullable = (types & SCHEMA_NULL) != 0;
    unsigned n = 0, from = 0;

    if (ways == NULL)
        return gmake_no_memory(s->m), GRAMMAR_NONE;
    for (unsigned i = 0; i < list->n; i++) {
        const struct gw_json_node *e = gw_json_get(list->items[i].node, "enum");

        if (e != NULL && !gw_json_is(e, GW_JSON_ARRAY_BEGIN))
            return schema_refuse(s, schema_at(s, &list->items[i], "enum"), GW_EINVAL,
                                 "must be a list");
        if (e != NULL && e->n > SCHEMA_MAX_ENUM)
            return schema_refuse(s, schema_at(s, &list->items[i], "enum"), GW_ELIMIT,
                                 "has more than 1000 values");
        if (has_others(s, &list->items[i]))
            return GRAMMAR_NONE;
        nullable &= gw_json_is(gw_json_get(list->items[i].node, "nullable"), GW_JSON_TRUE) ||
                    values_of(&list->items[i], &single) == NULL;
        if (v == NULL) {
            v = values_of(&list->items[i], &single);
            from = i;
        }
    }
    single = v != NULL && gw_json_get(list->items[from].node, "const") != NULL;
    for (; v != NULL && s->m->status == GW_OK; v = single ? NULL : v->next) {
        nullable &= v->type != GW_JSON_NULL;
        if ((schema_type_of(v) & types) != 0 && allowed_by_all(s, list, from, v))
            ways[n++] = value_rule(s, v);
    }
    if (nullable && n != 0 && list->n == 1) /* OpenAPI's way to say it beside an enumeration */
        ways[n++] = s->m->common.null;
    return n == 0 ? GRAMMAR_NONE : gmake_either(s->m, ways, n);
}

/* ---- what no value meets twice ------------------------------------------------------------------------ */

/* True when both name constants, and none in common. */
static bool constants_differ(struct schema_making *s, const struct schema_item *a,
                             const struct schema_item *b)
{
    bool single;
    const struct gw_json_node *v = values_of(a, &single);

    if (v == NULL || gw_json_get(b->node, "enum") == gw_json_get(b->node, "const"))
        return false; /* the latter: neither is there */
    for (; v != NULL; v = single ? NULL : v->next)
        if (item_allows(s, b, v))
            return false;
    return true;
}

static bool is_required(const struct gw_json_node *schema, struct gw_span name)
{
    const struct gw_json_node *required = gw_json_get(schema, "required");

    for (const struct gw_json_node *r = required == NULL ? NULL : required->child; r != NULL;
         r = r->next)
        if (gw_json_is(r, GW_JSON_STRING) && !r->escaped && gw_span_eq(r->raw, name))
            return true;
    return false;
}

/* True when a property that both require has different constants. */
static bool discriminated(struct schema_making *s, const struct gw_json_node *a,
                          const struct gw_json_node *b)
{
    const struct gw_json_node *p = gw_json_get(a, "properties"), *q = gw_json_get(b, "properties");

    for (p = p == NULL ? NULL : p->child; p != NULL; p = p->next) {
        if (p->key_escaped || !is_required(a, p->key) || !is_required(b, p->key) || q == NULL)
            continue;
        for (const struct gw_json_node *r = q->child; r != NULL; r = r->next) {
            const struct schema_item x = {p, NULL, 0}, y = {r, NULL, 0};

            if (!r->key_escaped && gw_span_eq(r->key, p->key) && constants_differ(s, &x, &y))
                return true;
        }
    }
    return false;
}

bool schema_disjoint(struct schema_making *s, const struct schema_item *a,
                     const struct schema_item *b)
{
    struct schema_item x = *a, y = *b;
    const struct schema_path *path;
    unsigned types, other;

    for (unsigned hops = 0; hops < 8 && gw_json_get(x.node, "$ref") != NULL; hops++)
        if ((x.node = schema_resolve(s, &x, &path)) == NULL)
            return false;
    for (unsigned hops = 0; hops < 8 && gw_json_get(y.node, "$ref") != NULL; hops++)
        if ((y.node = schema_resolve(s, &y, &path)) == NULL)
            return false;
    types = schema_types(s, &x);
    other = schema_types(s, &y);
    if ((types & other) == 0)
        return true;
    return constants_differ(s, &x, &y) ||
           (types == SCHEMA_OBJECT && other == SCHEMA_OBJECT && discriminated(s, x.node, y.node));
}
