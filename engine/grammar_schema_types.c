/* engine/grammar_schema_types.c - what a JSON Schema says about objects, arrays, strings and numbers. See grammar_schema.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_schema.h"

/* ---- objects ---------------------------------------------------------------------------------------- */

struct member {
    struct gw_span name; /* decoded */
    bool required;
};

struct members {
    struct member list[GRAMMAR_MAX_PROPERTIES];
    unsigned n;
};

static void note_member(struct schema_making *s, struct members *all,
                        const struct schema_item *item, struct gw_span name, bool required)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (gw_span_eq(all->list[i].name, name)) {
            all->list[i].required |= required;
            return;
        }
    }
    if (name.ptr == NULL)
        (void)gmake_no_memory(s->m);
    else if (all->n == GRAMMAR_MAX_PROPERTIES)
        (void)schema_refuse(s, item->path, GW_ELIMIT, "an object has more than 256 properties");
    else
        all->list[all->n++] = (struct member){name, required};
}

static void collect_members(struct schema_making *s, const struct schema_item *item,
                            struct members *all)
{
    const struct gw_json_node *properties = gw_json_get(item->node, "properties");
    const struct gw_json_node *required = gw_json_get(item->node, "required");

    if (properties != NULL && !gw_json_is(properties, GW_JSON_OBJECT_BEGIN))
        (void)schema_refuse(s, schema_at(s, item, "properties"), GW_EINVAL, "must be an object");
    if (required != NULL && !gw_json_is(required, GW_JSON_ARRAY_BEGIN))
        (void)schema_refuse(s, schema_at(s, item, "required"), GW_EINVAL,
                            "must be a list of names");
    if (s->m->status != GW_OK)
        return;
    for (const struct gw_json_node *p = properties == NULL ? NULL : properties->child; p != NULL;
         p = p->next)
        note_member(s, all, item, gw_json_name(p, s->arena), false);
    for (const struct gw_json_node *r = required == NULL ? NULL : required->child; r != NULL;
         r = r->next) {
        if (!gw_json_is(r, GW_JSON_STRING))
            (void)schema_refuse(s, schema_at(s, item, "required"), GW_EINVAL,
                                "must be a list of names");
        else
            note_member(s, all, item, gw_json_text(r, s->arena), true);
    }
}

/* The member of "properties" with that name. */
static const struct gw_json_node *property_of(struct schema_making *s,
                                              const struct schema_item *item, struct gw_span name)
{
    const struct gw_json_node *properties = gw_json_get(item->node, "properties");

    schema_spend(s, item->path, properties == NULL ? 1 : properties->n);
    for (const struct gw_json_node *p = properties == NULL ? NULL : properties->child; p != NULL;
         p = p->next)
        if (p->key_escaped ? gw_span_eq(gw_json_name(p, s->arena), name) : gw_span_eq(p->key, name))
            return p;
    return NULL;
}

/* What the value of a member must meet; name NULL: of a member that no item names. */
static uint32_t member_rule(struct schema_making *s, const struct schema_list *list,
                            const struct gw_span *name)
{
    struct schema_list value = {.n = 0};

    for (unsigned i = 0; i < list->n; i++) {
        const struct schema_item *item = &list->items[i];
        const struct gw_json_node *p = name == NULL ? NULL : property_of(s, item, *name);
        const struct gw_json_node *other = gw_json_get(item->node, "additionalProperties");

        if (p != NULL)
            schema_add(s, &value, p, schema_below(s, schema_at(s, item, "properties"), p->key, 0));
        else if (other != NULL)
            schema_add(s, &value, other, schema_at(s, item, "additionalProperties"));
    }
    return value.n == 0 ? s->m->common.value : schema_rule(s, &value);
}

static bool others_allowed(const struct schema_making *s, const struct schema_list *list)
{
    bool named = false, told = false;

    for (unsigned i = 0; i < list->n; i++) {
        const struct gw_json_node *node = list->items[i].node;
        const struct gw_json_node *other = gw_json_get(node, "additionalProperties");

        if (gw_json_is(other, GW_JSON_FALSE))
            return false;
        told |= other != NULL;
        named |= gw_json_get(node, "properties") != NULL;
    }
    return told || !named || !s->closed;
}

static bool is_any_object(const struct schema_list *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        const struct gw_json_node *node = list->items[i].node;

        if (gw_json_get(node, "properties") != NULL || gw_json_get(node, "required") != NULL ||
            gw_json_get(node, "additionalProperties") != NULL ||
            gw_json_get(node, "minProperties") != NULL ||
            gw_json_get(node, "maxProperties") != NULL)
            return false;
    }
    return true;
}

/* How many members there may be; false: refused. */
static bool object_counts(struct schema_making *s, const struct schema_list *list,
                          const struct members *all, struct grammar_counts *out)
{
    uint32_t n_required = 0;

    *out = (struct grammar_counts){0, GRAMMAR_NO_LIMIT};
    for (unsigned i = 0; i < list->n; i++) {
        uint32_t min = 0, max = GRAMMAR_NO_LIMIT;

        if (!schema_count(s, &list->items[i], "minProperties", &min) ||
            !schema_count(s, &list->items[i], "maxProperties", &max))
            return false;
        out->need = min > out->need ? min : out->need;
        out->left = max < out->left ? max : out->left;
    }
    for (unsigned i = 0; i < all->n; i++)
        n_required += all->list[i].required;
    if (others_allowed(s, list) && out->need > 1 && out->need > n_required) {
        /* Members of one name twice would count twice. */
        (void)schema_refuse(s, schema_at(s, &list->items[0], "minProperties"), GW_EUNSUPPORTED,
                            "needs additionalProperties false or a list of required properties");
        return false;
    }
    return true;
}

uint32_t schema_make_object(struct schema_making *s, const struct schema_list *list)
{
    struct gmake *m = s->m;
    struct members *all = gw_arena_alloc(s->arena, sizeof(*all));
    uint32_t states[GRAMMAR_MAX_PROPERTIES] = {0}, index = 0, more, additional = GRAMMAR_NONE;
    struct gw_buf name = {0};
    struct grammar_counts counts;
    struct grammar_object *o;

    if (all == NULL)
        return gmake_no_memory(m), GRAMMAR_NONE;
    if (is_any_object(list))
        return m->common.object;
    for (unsigned i = 0; i < list->n; i++)
        collect_members(s, &list->items[i], all);
    if (!object_counts(s, list, all, &counts))
        return GRAMMAR_NONE;
    more = gmake_state(m, GRAMMAR_MORE, 0, 0);
    for (unsigned i = 0; i < all->n && m->status == GW_OK; i++) {
        uint32_t value = member_rule(s, list, &all->list[i].name);

        gw_buf_clear(&name);
        grammar_write_string(&name, all->list[i].name);
        states[i] = gmake_text(m, gw_buf_span(&name), gmake_member(m, value, gmake_gap(m, more)));
    }
    if (!gw_buf_ok(&name))
        (void)gmake_no_memory(m);
    gw_buf_fini(&name);
    if (others_allowed(s, list)) {
        struct gw_span *names = gw_arena_array(s->arena, (size_t)all->n + 1, sizeof(*names));

        for (unsigned i = 0; names != NULL && i < all->n; i++)
            names[i] = all->list[i].name;
        if (names == NULL)
            (void)gmake_no_memory(m);
        else
            additional = gmake_other_key(
                m, names, all->n, gmake_member(m, member_rule(s, list, NULL), gmake_gap(m, more)));
    }
    o = gmake_object(m, &index);
    if (o == NULL)
        return GRAMMAR_NONE;
    for (unsigned i = 0; i < all->n; i++)
        gmake_property(m, o, (struct grammar_property){states[i], all->list[i].required});
    o->additional = additional;
    o->ordered = s->ordered && counts.need <= 1;
    o->counts = counts;
    o->close = gmake_byte(m, '}', m->common.pop);
    o->comma = gmake_byte(m, ',', gmake_gap(m, gmake_state(m, GRAMMAR_KEY, index, 0)));
    if (m->status == GW_OK)
        m->g->states[more].a = index;
    return gmake_byte(m, '{', gmake_gap(m, gmake_state(m, GRAMMAR_FIRST, index, 0)));
}

/* ---- arrays ------------------------------------------------------------------------------------------ */

/* The schemas of the first items, and that of the others, as both drafts write them. */
static const struct gw_json_node *prefix_of(const struct schema_item *item, const char **word)
{
    const struct gw_json_node *prefix = gw_json_get(item->node, "prefixItems");
    const struct gw_json_node *items = gw_json_get(item->node, "items");

    *word = prefix == NULL ? "items" : "prefixItems";
    if (prefix == NULL && gw_json_is(items, GW_JSON_ARRAY_BEGIN))
        prefix = items;
    return prefix;
}

static const struct gw_json_node *rest_of(const struct schema_item *item, const char **word)
{
    const struct gw_json_node *items = gw_json_get(item->node, "items");

    *word = gw_json_is(items, GW_JSON_ARRAY_BEGIN) ? "additionalItems" : "items";
    return gw_json_get(item->node, *word);
}

/* The rule of item `index`, or of those behind all prefixes. */
static uint32_t item_rule(struct schema_making *s, const struct schema_list *list, unsigned index)
{
    struct schema_list value = {.n = 0};

    for (unsigned i = 0; i < list->n; i++) {
        const char *word;
        const struct gw_json_node *prefix = prefix_of(&list->items[i], &word), *node = NULL;
        const struct schema_path *path;

        if (prefix != NULL && index < prefix->n) {
            node = prefix->child;
            for (unsigned k = 0; k < index; k++)
                node = node->next;
            path = schema_below(s, schema_at(s, &list->items[i], word), (struct gw_span){NULL, 0},
                                index);
        } else {
            node = rest_of(&list->items[i], &word);
            path = schema_at(s, &list->items[i], word);
        }
        if (node != NULL)
            schema_add(s, &value, node, path);
    }
    return value.n == 0 ? s->m->common.value : schema_rule(s, &value);
}

uint32_t schema_make_array(struct schema_making *s, const struct schema_list *list)
{
    uint32_t prefix[SCHEMA_MAX_PREFIX], rest, n = 0;
    struct grammar_counts counts = {0, GRAMMAR_NO_LIMIT};
    bool closed = false;

    for (unsigned i = 0; i < list->n && s->m->status == GW_OK; i++) {
        uint32_t min = 0, max = GRAMMAR_NO_LIMIT;
        const char *word;
        const struct gw_json_node *first = prefix_of(&list->items[i], &word);

        if (!schema_count(s, &list->items[i], "minItems", &min) ||
            !schema_count(s, &list->items[i], "maxItems", &max))
            return GRAMMAR_NONE;
        counts.need = min > counts.need ? min : counts.need;
        counts.left = max < counts.left ? max : counts.left;
        if (first != NULL && first->n > SCHEMA_MAX_PREFIX)
            return schema_refuse(s, schema_at(s, &list->items[i], word), GW_ELIMIT,
                                 "has more than 256 schemas");
        n = first != NULL && first->n > n ? first->n : n;
        closed |= gw_json_is(rest_of(&list->items[i], &word), GW_JSON_FALSE);
    }
    if (counts.need > counts.left)
        return GRAMMAR_NONE;
    for (uint32_t i = 0; i < n; i++)
        prefix[i] = item_rule(s, list, i);
    rest = closed ? GRAMMAR_NONE : item_rule(s, list, UINT32_MAX);
    if (n == 0 && rest == s->m->common.value && counts.need == 0 && counts.left == GRAMMAR_NO_LIMIT)
        return s->m->common.array;
    return gmake_array(s->m, prefix, n, rest, counts);
}

/* ---- strings ----------------------------------------------------------------------------------------- */

#define DATE                                                                                       \
    "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"        \
    "|02-(0[1-9]|[12][0-9]))"
#define TIME                                                                                       \
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-" \
    "9])"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"ipv4", "^(" OCTET "\\.){3}" OCTET "$"},
    {"email", "^[A-Za-z0-9_+\\-]+(\\.[A-Za-z0-9_+\\-]+)*@[A-Za-z0-9]([A-Za-z0-9\\-]*[A-Za-z0-9])?"
              "(\\.[A-Za-z0-9]([A-Za-z0-9\\-]*[A-Za-z0-9])?)*$"},
    {"hostname", "^[A-Za-z0-9]([A-Za-z0-9\\-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9\\-]*"
                 "[A-Za-z0-9])?)*$"},
};

/* The pattern that an item demands by either keyword; false: refused. */
static bool pattern_of(struct schema_making *s, const struct schema_item *item,
                       struct gw_span *pattern, const struct schema_path **path)
{
    static const char *const words[] = {"pattern", "format"};

    for (size_t w = 0; w < 2; w++) {
        const struct gw_json_node *k = gw_json_get(item->node, words[w]);
        struct gw_span text = gw_json_text(k, s->arena);

        if (k == NULL)
            continue;
        if (text.ptr == NULL || pattern->ptr != NULL) {
            (void)schema_refuse(s, schema_at(s, item, words[w]),
                                text.ptr == NULL ? GW_EINVAL : GW_EUNSUPPORTED,
                                text.ptr == NULL ? "must be a string"
                                                 : "a second pattern or format is not supported");
            return false;
        }
        *path = schema_at(s, item, words[w]);
        *pattern = w == 0 ? text : (struct gw_span){NULL, 0};
        for (size_t i = 0; w == 1 && i < sizeof(formats) / sizeof(formats[0]); i++)
            if (gw_span_is(text, formats[i].name))
                *pattern = gw_span_str(formats[i].pattern);
        if (pattern->ptr == NULL) {
            (void)schema_refuse(s, *path, GW_EUNSUPPORTED,
                                "of the formats date, time, date-time, uuid, ipv4, email and "
                                "hostname are supported");
            return false;
        }
    }
    return true;
}

uint32_t schema_make_string(struct schema_making *s, const struct schema_list *list)
{
    struct grammar_pattern p = {.json = true, .max = GRAMMAR_NO_LIMIT};
    const struct schema_path *path = NULL;
    struct gmake *m = s->m;
    struct dfa d;

    for (unsigned i = 0; i < list->n; i++) {
        uint32_t min = 0, max = GRAMMAR_NO_LIMIT;

        if (!schema_count(s, &list->items[i], "minLength", &min) ||
            !schema_count(s, &list->items[i], "maxLength", &max) ||
            !pattern_of(s, &list->items[i], &p.text, &path))
            return GRAMMAR_NONE;
        p.min = min > p.min ? min : p.min;
        p.max = max < p.max ? max : p.max;
    }
    if (p.min > p.max)
        return GRAMMAR_NONE;
    if (p.text.ptr == NULL)
        return p.min == 0 && p.max == GRAMMAR_NO_LIMIT
                   ? m->common.string
                   : gmake_counted(m, (struct grammar_counts){p.min, p.max}, m->common.string);
    if (m->status != GW_OK)
        return GRAMMAR_NONE;
    if (grammar_regex(&p, m->scratch, &d, m->err) != GW_OK) {
        char why[sizeof(m->err->text)];

        (void)snprintf(why, sizeof(why), "%.140s", m->err == NULL ? "" : m->err->text);
        gw_arena_reset(m->scratch);
        return schema_refuse(s, path, m->err == NULL ? GW_EINVAL : m->err->code, why);
    }
    return gmake_dfa(m, &d);
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

struct bounds {
    bool has_lo, has_hi, above, below; /* above, below: without the bound itself */
    int64_t lo, hi;
};

/* A bound as a whole number: for whole values rounded inwards, else it must be one. False: refused. */
static bool read_bound(struct schema_making *s, const struct schema_item *item, const char *word,
                       bool whole, bool upper, int64_t *out, bool *rounded)
{
    const struct gw_json_node *k = gw_json_get(item->node, word);
    char text[64];
    double v, r;

    if (!gw_json_is(k, GW_JSON_NUMBER) || k->raw.len >= sizeof(text)) {
        (void)schema_refuse(s, schema_at(s, item, word), GW_EINVAL, "must be a number");
        return false;
    }
    memcpy(text, k->raw.ptr, k->raw.len);
    text[k->raw.len] = '\0';
    *rounded = false;
    if (k->raw.len <= 19 && strspn(text, "-0123456789") == k->raw.len) {
        *out = strtoll(text, NULL, 10);
        return true;
    }
    v = strtod(text, NULL);
    r = upper ? floor(v) : ceil(v);
    if (!(fabs(v) <= 9e15) || (!whole && fabs(v - r) > 0)) {
        (void)schema_refuse(s, schema_at(s, item, word), GW_EUNSUPPORTED,
                            "must be a whole number of at most 15 digits");
        return false;
    }
    *rounded = fabs(v - r) > 0;
    *out = (int64_t)r;
    return true;
}

static bool add_bound(struct schema_making *s, const struct schema_item *item, const char *word,
                      bool whole, struct bounds *b)
{
    bool upper = strstr(word, "aximum") != NULL, open = word[0] == 'e', rounded;
    int64_t v;

    if (gw_json_get(item->node, word) == NULL)
        return true;
    if (!read_bound(s, item, word, whole, upper, &v, &rounded))
        return false;
    if (open && !rounded && whole && v > INT64_MIN && v < INT64_MAX)
        v += upper ? -1 : 1;
    open = open && !whole;
    if (upper && (!b->has_hi || v < b->hi || (v == b->hi && open))) {
        b->has_hi = true;
        b->hi = v;
        b->below = open;
    } else if (!upper && (!b->has_lo || v > b->lo || (v == b->lo && open))) {
        b->has_lo = true;
        b->lo = v;
        b->above = open;
    }
    return true;
}

/* The bounds and steps of all items. False: refused. */
static bool read_bounds(struct schema_making *s, const struct schema_list *list, bool *whole,
                        struct bounds *b)
{
    static const char *const words[] = {"minimum", "maximum", "exclusiveMinimum",
                                        "exclusiveMaximum"};

    for (unsigned i = 0; i < list->n; i++) {
        const struct gw_json_node *step = gw_json_get(list->items[i].node, "multipleOf");

        if (step != NULL && !gw_span_is(step->raw, "1")) {
            (void)schema_refuse(s, schema_at(s, &list->items[i], "multipleOf"), GW_EUNSUPPORTED,
                                "only multiples of 1 are supported");
            return false;
        }
        *whole |= step != NULL;
    }
    for (unsigned i = 0; i < list->n; i++)
        for (size_t w = 0; w < 4; w++)
            if (!add_bound(s, &list->items[i], words[w], *whole, b))
                return false;
    return true;
}

uint32_t schema_make_number(struct schema_making *s, const struct schema_list *list, bool whole)
{
    struct bounds b = {0};
    struct gw_buf pattern = {0};
    struct grammar_pattern p = {.max = GRAMMAR_NO_LIMIT};
    const int64_t *lo, *hi;
    uint32_t at = GRAMMAR_NONE;
    struct dfa d;

    if (!read_bounds(s, list, &whole, &b))
        return GRAMMAR_NONE;
    lo = b.has_lo ? &b.lo : NULL;
    hi = b.has_hi ? &b.hi : NULL;
    if (lo == NULL && hi == NULL)
        return whole ? s->m->common.integer : s->m->common.number;
    if (lo != NULL && hi != NULL && (*lo > *hi || (*lo == *hi && (b.above || b.below))))
        return GRAMMAR_NONE;
    if (whole)
        grammar_integer_pattern(lo, hi, &pattern);
    else
        grammar_number_pattern(lo, hi, b.above, b.below, &pattern);
    p.text = gw_buf_span(&pattern);
    if (!gw_buf_ok(&pattern))
        (void)gmake_no_memory(s->m);
    else if (gmake_fail(s->m, grammar_regex(&p, s->m->scratch, &d, s->m->err)) == GW_OK)
        at = gmake_dfa(s->m, &d);
    gw_buf_fini(&pattern);
    return at;
}
