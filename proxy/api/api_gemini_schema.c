/* proxy/api/api_gemini_schema.c - Gemini's schemas as JSON Schema.
 *
 * Gemini's dialect is a part of OpenAPI 3.0: "type" is one word in capitals, "nullable" stands beside it, counts may be
 * strings, "propertyOrdering" is its own. Everything else is JSON Schema already and copied as written. Walks with a
 * stack of its own, as deep as the tree's reader lets JSON be. Pure; any thread. */
#include "proxy/api/api_gemini.h"

enum { MAX_DEPTH = 72 };

enum kind {
    SCHEMA, /* an object that is a schema */
    MAP,    /* an object whose values are schemas */
    LIST,   /* an array of schemas */
};

struct frame {
    enum kind kind;
    const struct gw_json_node *node, *at; /* the container; its member that comes next */
    bool comma;                           /* something was written in it */
    bool nullable; /* SCHEMA: null is allowed; LIST: so one of them is null */
};

struct walk {
    struct gw_buf out;
    struct frame stack[MAX_DEPTH];
    unsigned depth;
};

/* How a member of a schema is written. */
enum treatment {
    AS_IS,
    TYPE,
    ENUM,
    COUNT,
    REFERENCE,
    LEFT_OUT,
    ONE_SCHEMA,
    SCHEMA_MAP,
    SCHEMA_LIST
};

static const struct {
    const char *name;    /* Gemini's, in camelCase */
    const char *written; /* NULL: the same */
    enum treatment treatment;
} members[] = {
    {"type", NULL, TYPE},
    {"nullable", NULL, LEFT_OUT},
    {"propertyOrdering", NULL, LEFT_OUT},
    {"enum", NULL, ENUM},
    {"items", NULL, ONE_SCHEMA},
    {"additionalProperties", NULL, ONE_SCHEMA},
    {"properties", NULL, SCHEMA_MAP},
    {"defs", "$defs", SCHEMA_MAP},
    {"ref", "$ref", REFERENCE},
    {"anyOf", NULL, SCHEMA_LIST},
    {"oneOf", NULL, SCHEMA_LIST},
    {"allOf", NULL, SCHEMA_LIST},
    {"prefixItems", NULL, SCHEMA_LIST},
    {"minItems", NULL, COUNT},
    {"maxItems", NULL, COUNT},
    {"minLength", NULL, COUNT},
    {"maxLength", NULL, COUNT},
    {"minProperties", NULL, COUNT},
    {"maxProperties", NULL, COUNT},
};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

static bool is_container(const struct gw_json_node *node)
{
    return node->type == GW_JSON_OBJECT_BEGIN || node->type == GW_JSON_ARRAY_BEGIN;
}

static void add_value(struct gw_buf *out, const struct gw_json_node *node)
{
    if (node->type == GW_JSON_STRING)
        gw_buf_addc(out, '"');
    gw_buf_add(out, node->raw);
    if (node->type == GW_JSON_STRING)
        gw_buf_addc(out, '"');
}

static void add_comma(struct walk *w)
{
    struct frame *f = &w->stack[w->depth - 1];

    if (f->comma)
        gw_buf_addc(&w->out, ',');
    f->comma = true;
}

/* Begins a container, or copies what is none or lies too deep. */
static void enter(struct walk *w, enum kind kind, const struct gw_json_node *node, bool nullable)
{
    if (!is_container(node) || (kind == LIST) != (node->type == GW_JSON_ARRAY_BEGIN) ||
        w->depth == MAX_DEPTH) {
        add_value(&w->out, node);
        return;
    }
    if (kind == SCHEMA)
        nullable = gw_json_is(gemini_get(node, "nullable"), GW_JSON_TRUE);
    w->stack[w->depth++] =
        (struct frame){.kind = kind, .node = node, .at = node->child, .nullable = nullable};
    gw_buf_addc(&w->out, kind == LIST ? '[' : '{');
}

static void leave(struct walk *w)
{
    const struct frame *f = &w->stack[w->depth - 1];

    if (f->kind == LIST && f->nullable) {
        add_comma(w);
        gw_buf_adds(&w->out, "{\"type\":\"null\"}");
    }
    gw_buf_addc(&w->out, f->kind == LIST ? ']' : '}');
    w->depth--;
}

/* "STRING" is "string", and with nullable ["string","null"]. */
static void add_type(struct walk *w, const struct gw_json_node *value, bool nullable)
{
    if (value->type != GW_JSON_STRING) {
        add_value(&w->out, value);
        return;
    }
    gw_buf_adds(&w->out, nullable ? "[\"" : "\"");
    for (size_t i = 0; i < value->raw.len; i++)
        gw_buf_addc(&w->out, gw_ascii_lower(value->raw.ptr[i]));
    gw_buf_adds(&w->out, nullable ? "\",\"null\"]" : "\"");
}

/* JSON Schema's enum holds null itself where that is allowed. */
static void add_enum(struct walk *w, const struct gw_json_node *value, bool nullable)
{
    if (value->type != GW_JSON_ARRAY_BEGIN || !nullable || value->n == 0) {
        add_value(&w->out, value);
        return;
    }
    gw_buf_add(&w->out, (struct gw_span){value->raw.ptr, value->raw.len - 1});
    gw_buf_adds(&w->out, ",null]");
}

/* Counts are int64, which Google's JSON also takes as strings. */
static void add_count(struct walk *w, const struct gw_json_node *value)
{
    bool digits = value->type == GW_JSON_STRING && value->raw.len != 0 && value->raw.len < 19 &&
                  (value->raw.ptr[0] != '0' || value->raw.len == 1);

    for (size_t i = 0; digits && i < value->raw.len; i++)
        digits = value->raw.ptr[i] >= '0' && value->raw.ptr[i] <= '9';
    if (digits)
        gw_buf_add(&w->out, value->raw);
    else
        add_value(&w->out, value);
}

/* "#/defs/NAME" is "#/$defs/NAME". */
static void add_reference(struct walk *w, const struct gw_json_node *value)
{
    const struct gw_span own = GW_SPAN("#/defs/");

    if (value->type != GW_JSON_STRING || !gw_span_starts(value->raw, own)) {
        add_value(&w->out, value);
        return;
    }
    gw_buf_adds(&w->out, "\"#/$defs/");
    gw_buf_add(&w->out, gw_span_from(value->raw, own.len));
    gw_buf_addc(&w->out, '"');
}

static void add_key(struct walk *w, const struct gw_json_node *member, const char *written)
{
    add_comma(w);
    gw_buf_addc(&w->out, '"');
    if (written != NULL)
        gw_buf_adds(&w->out, written);
    else
        gw_buf_add(&w->out, member->key);
    gw_buf_adds(&w->out, "\":");
}

static bool left_out(enum treatment t, const struct gw_json_node *value)
{
    return t == LEFT_OUT || (t == TYPE && gw_json_text_is(value, "TYPE_UNSPECIFIED"));
}

static void add_member(struct walk *w, const struct gw_json_node *member)
{
    const struct frame *f = &w->stack[w->depth - 1];
    bool nullable = f->nullable;
    unsigned i = 0;

    while (i < N_MEMBERS && !gemini_key_is(member, members[i].name))
        i++;
    if (i == N_MEMBERS) {
        add_key(w, member, NULL);
        add_value(&w->out, member);
        return;
    }
    if (left_out(members[i].treatment, member))
        return;
    add_key(w, member, members[i].written != NULL ? members[i].written : members[i].name);
    switch (members[i].treatment) {
    case TYPE:
        add_type(w, member, nullable);
        break;
    case ENUM:
        add_enum(w, member, nullable);
        break;
    case COUNT:
        add_count(w, member);
        break;
    case REFERENCE:
        add_reference(w, member);
        break;
    case ONE_SCHEMA:
        enter(w, SCHEMA, member, false);
        break;
    case SCHEMA_MAP:
        enter(w, MAP, member, false);
        break;
    case SCHEMA_LIST:
        enter(w, LIST, member,
              nullable && gemini_key_is(member, "anyOf") && gemini_get(f->node, "type") == NULL);
        break;
    case AS_IS:
    case LEFT_OUT:
    default:
        add_value(&w->out, member);
        break;
    }
}

struct gw_span gemini_schema(struct gw_arena *arena, const struct gw_json_node *schema)
{
    struct walk w = {.depth = 0};
    struct gw_span made = {NULL, 0};

    enter(&w, SCHEMA, schema, false);
    while (w.depth != 0 && gw_buf_ok(&w.out)) {
        struct frame *f = &w.stack[w.depth - 1];
        const struct gw_json_node *at = f->at;

        if (at == NULL) {
            leave(&w);
            continue;
        }
        f->at = at->next;
        if (f->kind == SCHEMA) {
            add_member(&w, at);
            continue;
        }
        if (f->kind == MAP)
            add_key(&w, at, NULL);
        else
            add_comma(&w);
        enter(&w, SCHEMA, at, false);
    }
    if (gw_buf_ok(&w.out))
        made = gw_arena_copy(arena, gw_buf_span(&w.out));
    gw_buf_fini(&w.out);
    return made;
}
