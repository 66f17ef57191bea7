/* engine/grammar_schema.c - JSON Schema into rules: keywords checked, references followed, alternatives taken apart. See
 * grammar_schema.h; the types are in grammar_schema_types.c and grammar_schema_values.c.
 *
 * Every keyword is in one of three lists: built in, without meaning for what is valid, or refused. */
#include "engine/grammar_schema.h"

#include <stdio.h>
#include <string.h>

/* ---- places and messages -------------------------------------------------------------------------- */

const struct schema_path *schema_below(struct schema_making *s, const struct schema_path *parent,
                                       struct gw_span word, unsigned index)
{
    struct schema_path *p = gw_arena_alloc(s->arena, sizeof(*p));

    if (p == NULL) {
        (void)gmake_no_memory(s->m);
        return parent;
    }
    *p = (struct schema_path){parent, word, index};
    return p;
}

const struct schema_path *schema_at(struct schema_making *s, const struct schema_item *item,
                                    const char *word)
{
    return schema_below(s, item->path, gw_span_str(word), 0);
}

/* The last words of a path that fit, as a JSON pointer. */
static void write_path(const struct schema_path *path, char out[160])
{
    const struct schema_path *words[32] = {NULL};
    unsigned n = 0;
    size_t at = 1;

    for (; path != NULL && n < 32; path = path->parent)
        words[n++] = path;
    out[0] = '#';
    out[1] = '\0';
    while (n-- > 0 && at < 158) {
        int len = words[n]->word.ptr != NULL
                      ? snprintf(out + at, 160 - at, "/%.*s",
                                 (int)(words[n]->word.len < 60 ? words[n]->word.len : 60),
                                 words[n]->word.ptr)
                      : snprintf(out + at, 160 - at, "/%u", words[n]->index);

        at += len > 0 ? (size_t)len : 0;
    }
}

uint32_t schema_refuse(struct schema_making *s, const struct schema_path *path, enum gw_status st,
                       const char *what)
{
    char where[160];

    if (s->m->status == GW_OK) {
        write_path(path, where);
        (void)gmake_fail(s->m, gw_fail(s->m->err, st, "%s: %s", where, what));
    }
    return GRAMMAR_NONE;
}

void schema_spend(struct schema_making *s, const struct schema_path *path, uint64_t n)
{
    s->work += n;
    if (s->work > SCHEMA_MAX_WORK)
        (void)schema_refuse(s, path, GW_ELIMIT, "the schema is too complex");
}

/* ---- keywords --------------------------------------------------------------------------------------- */

static const char *const built_in[] = {"type",
                                       "enum",
                                       "const",
                                       "properties",
                                       "required",
                                       "items",
                                       "additionalProperties",
                                       "prefixItems",
                                       "additionalItems",
                                       "minItems",
                                       "maxItems",
                                       "minLength",
                                       "maxLength",
                                       "pattern",
                                       "format",
                                       "minimum",
                                       "maximum",
                                       "exclusiveMinimum",
                                       "exclusiveMaximum",
                                       "multipleOf",
                                       "anyOf",
                                       "oneOf",
                                       "allOf",
                                       "$ref",
                                       "$defs",
                                       "definitions",
                                       "nullable",
                                       "minProperties",
                                       "maxProperties",
                                       "uniqueItems",
                                       NULL};
static const char *const without_meaning[] = {
    "title",    "description",      "default",       "examples",     "example",
    "$comment", "$schema",          "deprecated",    "readOnly",     "writeOnly",
    "$id",      "propertyOrdering", "discriminator", "externalDocs", NULL};

static bool is_among(const struct gw_json_node *member, const char *const *names)
{
    for (; *names != NULL; names++)
        if (gw_json_key_is(member, *names))
            return true;
    return false;
}

static void check_keywords(struct schema_making *s, const struct schema_item *item)
{
    for (const struct gw_json_node *k = item->node->child; k != NULL; k = k->next) {
        const struct schema_path *at;

        if (is_among(k, built_in) || is_among(k, without_meaning))
            continue;
        at = schema_below(s, item->path, k->key, 0);
        (void)schema_refuse(s, at, GW_EUNSUPPORTED, "this keyword is not supported");
        return;
    }
    if (gw_json_is(gw_json_get(item->node, "uniqueItems"), GW_JSON_TRUE))
        (void)schema_refuse(s, schema_at(s, item, "uniqueItems"), GW_EUNSUPPORTED,
                            "this keyword is not supported");
}

bool schema_count(struct schema_making *s, const struct schema_item *item, const char *word,
                  uint32_t *out)
{
    const struct gw_json_node *k = gw_json_get(item->node, word);
    uint64_t n;

    if (k == NULL)
        return true;
    n = gw_json_uint(k, UINT64_MAX);
    if (n == UINT64_MAX) {
        (void)schema_refuse(s, schema_at(s, item, word), GW_EINVAL, "must be a whole number");
        return false;
    }
    *out = n > 1000000000 ? 1000000000 : (uint32_t)n;
    return true;
}

static unsigned type_bit(const struct gw_json_node *name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {{"null", SCHEMA_NULL},       {"boolean", SCHEMA_BOOLEAN},
                 {"integer", SCHEMA_INTEGER}, {"number", SCHEMA_NUMBER | SCHEMA_INTEGER},
                 {"string", SCHEMA_STRING},   {"array", SCHEMA_ARRAY},
                 {"object", SCHEMA_OBJECT}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_json_text_is(name, types[i].name))
            return types[i].bit;
    return 0;
}

unsigned schema_types(struct schema_making *s, const struct schema_item *item)
{
    const struct gw_json_node *type = gw_json_get(item->node, "type");
    unsigned bits = 0;

    if (type == NULL)
        return SCHEMA_ANY_TYPE;
    if (gw_json_is(type, GW_JSON_ARRAY_BEGIN)) {
        for (const struct gw_json_node *t = type->child; t != NULL; t = t->next) {
            unsigned bit = type_bit(t);

            bits = bit == 0 ? 0 : bits | bit;
            if (bit == 0)
                break;
        }
    } else {
        bits = type_bit(type);
    }
    if (bits == 0)
        (void)schema_refuse(s, schema_at(s, item, "type"), GW_EINVAL,
                            "must name types of JSON Schema");
    else if (gw_json_is(gw_json_get(item->node, "nullable"), GW_JSON_TRUE))
        bits |= SCHEMA_NULL;
    return bits;
}

/* ---- references -------------------------------------------------------------------------------------- */

/* The member of that name as it stands in a pointer, ~0 and ~1 decoded; or the element of that number. */
static const struct gw_json_node *child_of(const struct gw_json_node *node, struct gw_span word)
{
    char name[256];
    size_t n = 0;
    uint64_t index = 0;

    for (size_t i = 0; i < word.len && n + 1 < sizeof(name); i++) {
        char c = word.ptr[i];

        if (c == '~' && i + 1 < word.len)
            c = word.ptr[++i] == '0' ? '~' : '/';
        name[n++] = c;
        index =
            c >= '0' && c <= '9' && index < 1000000 ? index * 10 + (uint64_t)(c - '0') : UINT32_MAX;
    }
    name[n] = '\0';
    if (gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return gw_json_get(node, name);
    if (!gw_json_is(node, GW_JSON_ARRAY_BEGIN) || n == 0)
        return NULL;
    node = node->child;
    for (; node != NULL && index > 0; index--)
        node = node->next;
    return node;
}

const struct gw_json_node *schema_resolve(struct schema_making *s, const struct schema_item *item,
                                          const struct schema_path **path)
{
    struct gw_span ref = gw_json_text(gw_json_get(item->node, "$ref"), s->arena);
    const struct gw_json_node *node = s->root;
    const struct schema_path *to = NULL;
    bool ok = ref.len != 0 && ref.ptr[0] == '#' && (ref.len == 1 || ref.ptr[1] == '/');

    for (size_t at = 1; ok && at < ref.len;) {
        struct gw_span rest = gw_span_from(ref, at + 1), word = rest;
        const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);

        if (slash != NULL)
            word.len = (size_t)(slash - rest.ptr);
        node = child_of(node, word);
        to = schema_below(s, to, word, 0);
        ok = node != NULL;
        at += word.len + 1;
    }
    if (!ok) {
        (void)schema_refuse(s, schema_at(s, item, "$ref"), GW_EINVAL,
                            "must be a place in this schema, as in #/$defs/name");
        return NULL;
    }
    *path = to;
    return node;
}

/* ---- lists ------------------------------------------------------------------------------------------- */

void schema_add(struct schema_making *s, struct schema_list *list, const struct gw_json_node *node,
                const struct schema_path *path)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (list->items[i].node != node)
            continue;
        if ((list->items[i].used & (SCHEMA_USED_ANY | SCHEMA_USED_ONE)) != 0)
            (void)schema_refuse(s, path, GW_EUNSUPPORTED,
                                "a schema refers to itself for the same value");
        return;
    }
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN) && !gw_json_is(node, GW_JSON_TRUE) &&
        !gw_json_is(node, GW_JSON_FALSE))
        (void)schema_refuse(s, path, GW_EINVAL, "must be a schema: an object, true or false");
    else if (list->n == SCHEMA_MAX_ITEMS)
        (void)schema_refuse(s, path, GW_ELIMIT, "too many schemas for one value");
    else
        list->items[list->n++] = (struct schema_item){node, path, 0};
}

/* The items of a list while it is being made flat: which one added each. */
struct origins {
    unsigned of[SCHEMA_MAX_ITEMS];
    unsigned n;
};

/* Adds a schema on behalf of item i. One that led to i would go round in circles. */
static void add_for(struct schema_making *s, struct schema_list *list, struct origins *from,
                    unsigned i, const struct schema_item *more)
{
    for (unsigned k = i;; k = from->of[k]) {
        if (list->items[k].node == more->node) {
            (void)schema_refuse(s, more->path, GW_EUNSUPPORTED,
                                "a schema refers to itself for the same value");
            return;
        }
        if (from->of[k] == k)
            break;
    }
    schema_add(s, list, more->node, more->path);
    for (; from->n < list->n; from->n++)
        from->of[from->n] = i;
}

static void flatten_item(struct schema_making *s, struct schema_list *list, struct origins *from,
                         unsigned i)
{
    const struct schema_item item = list->items[i];
    const struct gw_json_node *all = gw_json_get(item.node, "allOf");
    struct schema_item more = {0};
    const struct schema_path *path;
    unsigned index = 0;

    check_keywords(s, &item);
    if (gw_json_get(item.node, "$ref") != NULL) {
        more.node = schema_resolve(s, &item, &more.path);
        if (more.node != NULL)
            add_for(s, list, from, i, &more);
    }
    if (all == NULL)
        return;
    path = schema_at(s, &item, "allOf");
    if (!gw_json_is(all, GW_JSON_ARRAY_BEGIN))
        (void)schema_refuse(s, path, GW_EINVAL, "must be a list of schemas");
    for (more.node = all->child; more.node != NULL && s->m->status == GW_OK;
         more.node = more.node->next) {
        more.path = schema_below(s, path, (struct gw_span){NULL, 0}, index++);
        add_for(s, list, from, i, &more);
    }
}

/* Adds what $ref and allOf of the items mean, and of those, until nothing is new. Each of them is checked. */
static void flatten(struct schema_making *s, struct schema_list *list)
{
    struct origins from;

    for (from.n = 0; from.n < list->n; from.n++)
        from.of[from.n] = from.n;
    for (unsigned i = 0; i < list->n && s->m->status == GW_OK; i++) {
        if (!gw_json_is(list->items[i].node, GW_JSON_OBJECT_BEGIN) ||
            (list->items[i].used & SCHEMA_USED_FLAT) != 0)
            continue;
        list->items[i].used |= SCHEMA_USED_FLAT;
        flatten_item(s, list, &from, i);
    }
}

static unsigned bucket_of(const struct schema_list *list)
{
    uint64_t key = list->n;

    for (unsigned i = 0; i < list->n; i++)
        key = (key ^ (uintptr_t)list->items[i].node ^ list->items[i].used) * 0x9E3779B97F4A7C15u;
    return (unsigned)(key >> 40) % SCHEMA_BUCKETS;
}

static bool same_list(const struct schema_list *a, const struct schema_list *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        if (a->items[i].node != b->items[i].node || a->items[i].used != b->items[i].used)
            return false;
    return true;
}

uint32_t schema_rule(struct schema_making *s, const struct schema_list *list)
{
    unsigned bucket = bucket_of(list);
    struct schema_rule *r;

    for (r = s->buckets[bucket]; r != NULL; r = r->next_bucket)
        if (same_list(&r->list, list))
            return r->state;
    if (s->m->status != GW_OK)
        return 0;
    if (s->n_rules++ == GRAMMAR_MAX_RULES) {
        (void)schema_refuse(s, list->n == 0 ? NULL : list->items[0].path, GW_ELIMIT,
                            "the schema has too many parts");
        return 0;
    }
    r = gw_arena_alloc(s->arena, sizeof(*r));
    if (r == NULL) {
        (void)gmake_no_memory(s->m);
        return 0;
    }
    *r = (struct schema_rule){.list = *list, .next_bucket = s->buckets[bucket]};
    r->state = gmake_state(s->m, GRAMMAR_FAIL, 0, 0);
    s->buckets[bucket] = r;
    if (s->last == NULL)
        s->first = r;
    else
        s->last->next = r;
    s->last = r;
    return r->state;
}

/* ---- alternatives ------------------------------------------------------------------------------------ */

/* oneOf wants exactly one: it is built when no value can meet two of its branches. */
static bool check_one(struct schema_making *s, const struct schema_path *path,
                      const struct gw_json_node *branches)
{
    for (const struct gw_json_node *a = branches->child; a != NULL; a = a->next) {
        for (const struct gw_json_node *b = a->next; b != NULL; b = b->next) {
            const struct schema_item x = {a, path, 0}, y = {b, path, 0};

            if (!schema_disjoint(s, &x, &y)) {
                (void)schema_refuse(
                    s, path, GW_EUNSUPPORTED,
                    "its schemas must differ in type or in a constant of a required "
                    "property; else use anyOf");
                return false;
            }
        }
    }
    return true;
}

/* The rule of a list whose item `at` has alternatives: one for each branch. */
static uint32_t make_branches(struct schema_making *s, const struct schema_list *list, unsigned at,
                              const char *word, unsigned used)
{
    const struct gw_json_node *branches = gw_json_get(list->items[at].node, word);
    const struct schema_path *path = schema_at(s, &list->items[at], word);
    uint32_t rules[SCHEMA_MAX_BRANCHES];
    unsigned n = 0;

    if (!gw_json_is(branches, GW_JSON_ARRAY_BEGIN) || branches->n == 0)
        return schema_refuse(s, path, GW_EINVAL, "must be a list of schemas");
    if (branches->n > SCHEMA_MAX_BRANCHES || (used == SCHEMA_USED_ONE && branches->n > 64))
        return schema_refuse(s, path, GW_ELIMIT, "has too many alternatives");
    if (used == SCHEMA_USED_ONE && !check_one(s, path, branches))
        return GRAMMAR_NONE;
    for (const struct gw_json_node *b = branches->child; b != NULL; b = b->next) {
        struct schema_list with = *list;

        with.items[at].used |= used;
        schema_add(s, &with, b, schema_below(s, path, (struct gw_span){NULL, 0}, n));
        rules[n++] = schema_rule(s, &with);
    }
    return gmake_either(s->m, rules, n);
}

/* Looks for alternatives that were not taken apart yet. False: there are none. */
static bool take_apart(struct schema_making *s, const struct schema_list *list, uint32_t *out)
{
    for (unsigned i = 0; i < list->n; i++) {
        const struct schema_item *item = &list->items[i];

        if ((item->used & SCHEMA_USED_ANY) == 0 && gw_json_get(item->node, "anyOf") != NULL) {
            *out = make_branches(s, list, i, "anyOf", SCHEMA_USED_ANY);
            return true;
        }
        if ((item->used & SCHEMA_USED_ONE) == 0 && gw_json_get(item->node, "oneOf") != NULL) {
            *out = make_branches(s, list, i, "oneOf", SCHEMA_USED_ONE);
            return true;
        }
    }
    return false;
}

/* Alternatives of a list by the types that it allows. */
static uint32_t make_types(struct schema_making *s, const struct schema_list *list, unsigned types)
{
    uint32_t ways[7] = {GRAMMAR_NONE, GRAMMAR_NONE, GRAMMAR_NONE, GRAMMAR_NONE,
                        GRAMMAR_NONE, GRAMMAR_NONE, GRAMMAR_NONE};

    if (list->n == 0)
        return s->m->common.value;
    if ((types & SCHEMA_OBJECT) != 0)
        ways[0] = schema_make_object(s, list);
    if ((types & SCHEMA_ARRAY) != 0)
        ways[1] = schema_make_array(s, list);
    if ((types & SCHEMA_STRING) != 0)
        ways[2] = schema_make_string(s, list);
    if ((types & (SCHEMA_NUMBER | SCHEMA_INTEGER)) != 0)
        ways[3] = schema_make_number(s, list, (types & SCHEMA_NUMBER) == 0);
    if ((types & SCHEMA_BOOLEAN) != 0)
        ways[4] = s->m->common.boolean;
    if ((types & SCHEMA_NULL) != 0)
        ways[5] = s->m->common.null;
    return gmake_either(s->m, ways, 6);
}

static uint32_t make_rule(struct schema_making *s, const struct schema_list *asked)
{
    struct schema_list list = {.n = 0};
    unsigned types = SCHEMA_ANY_TYPE;
    bool has_enum = false;
    uint32_t out;

    list = *asked;
    flatten(s, &list);
    for (unsigned i = 0; i < list.n && s->m->status == GW_OK;) {
        if (gw_json_is(list.items[i].node, GW_JSON_FALSE))
            return s->m->common.fail;
        if (gw_json_is(list.items[i].node, GW_JSON_TRUE)) {
            list.items[i] = list.items[--list.n];
            continue;
        }
        types &= schema_types(s, &list.items[i]);
        has_enum |= gw_json_get(list.items[i].node, "enum") != NULL ||
                    gw_json_get(list.items[i].node, "const") != NULL;
        i++;
    }
    if (s->m->status != GW_OK || types == 0)
        return s->m->common.fail;
    if (take_apart(s, &list, &out))
        return out;
    return has_enum ? schema_make_enum(s, &list, types) : make_types(s, &list, types);
}

uint32_t gmake_schema(struct gmake *m, struct gw_span text, const struct engine_format *f)
{
    struct schema_making s = {.m = m, .ordered = f->ordered, .closed = f->closed};
    struct gw_json *json = gw_json_new();
    struct schema_list root = {.n = 0};
    struct gw_json_node *tree = NULL;
    uint32_t start = 0;

    s.arena = gw_arena_new(GRAMMAR_MAX_MEMORY);
    if (json == NULL || s.arena == NULL)
        (void)gmake_fail(m, gw_fail(m->err, GW_ENOMEM, "out of memory for a schema"));
    else if (text.len > GRAMMAR_MAX_SCHEMA_BYTES)
        (void)gmake_fail(m, gw_fail(m->err, GW_ELIMIT, "the schema has more than %d bytes",
                                    GRAMMAR_MAX_SCHEMA_BYTES));
    else
        (void)gmake_fail(m, gw_json_tree(json, s.arena, text, NULL, &tree, m->err));
    if (m->status == GW_OK) {
        s.root = tree;
        schema_add(&s, &root, tree, NULL);
        start = schema_rule(&s, &root);
    }
    for (struct schema_rule *r = s.first; r != NULL && m->status == GW_OK; r = r->next) {
        uint32_t to = make_rule(&s, &r->list);

        gmake_become(m, r->state, to == GRAMMAR_NONE ? m->common.fail : to);
    }
    gw_arena_free(s.arena);
    gw_json_free(json);
    return start;
}
