/* base/json_tree.c - see json_tree.h. */
#include "base/json_tree.h"

#include <string.h>

enum { MAX_OPEN = 512 }; /* above any max_depth in use */

struct building {
    struct gw_json *json;
    struct gw_arena *arena;
    struct gw_span text;
    struct gw_json_node *open[MAX_OPEN]; /* containers around the next value */
    struct gw_json_node *last[MAX_OPEN]; /* their newest child */
    size_t start[MAX_OPEN];
    unsigned depth;
    struct gw_json_tok key;
    bool has_key;
    struct gw_json_node *root;
};

static void link_node(struct building *b, struct gw_json_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    if (b->last[b->depth - 1] == NULL)
        b->open[b->depth - 1]->child = node;
    else
        b->last[b->depth - 1]->next = node;
    b->last[b->depth - 1] = node;
    b->open[b->depth - 1]->n++;
}

static enum gw_status add_value(struct building *b, const struct gw_json_tok *tok,
                                struct gw_err *err)
{
    struct gw_json_node *node = gw_arena_alloc(b->arena, sizeof(*node));
    bool container = tok->type == GW_JSON_OBJECT_BEGIN || tok->type == GW_JSON_ARRAY_BEGIN;

    if (node == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (container && b->depth == MAX_OPEN)
        return gw_fail(err, GW_ELIMIT, "the JSON is nested too deeply");
    node->type = tok->type;
    node->raw = tok->raw;
    node->escaped = tok->escaped;
    if (b->has_key) {
        node->key = b->key.raw;
        node->key_escaped = b->key.escaped;
        b->has_key = false;
    }
    link_node(b, node);
    if (container) {
        b->open[b->depth] = node;
        b->last[b->depth] = NULL;
        b->start[b->depth] = tok->start;
        b->depth++;
    }
    return GW_OK;
}

/* The tokenizer gives an END only for a BEGIN, which opened one. */
static void close_container(struct building *b, size_t end)
{
    struct gw_json_node *node = b->depth == 0 ? NULL : b->open[--b->depth];

    if (node != NULL)
        node->raw = (struct gw_span){b->text.ptr + b->start[b->depth], end - b->start[b->depth]};
}

enum gw_status gw_json_tree(struct gw_json *json, struct gw_arena *arena, struct gw_span text,
                            const struct gw_json_limits *limits, struct gw_json_node **out,
                            struct gw_err *err)
{
    struct building b;
    struct gw_json_tok tok;

    /* The 12 KB of stacks are written before they are read, so only the rest is set. */
    b.json = json;
    b.arena = arena;
    b.text = text;
    b.depth = 0;
    b.key = (struct gw_json_tok){0};
    b.has_key = false;
    b.root = NULL;
    gw_json_start(json, text, limits);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        switch (tok.type) {
        case GW_JSON_ERROR:
            return gw_json_error(json, err);
        case GW_JSON_KEY:
            b.key = tok;
            b.has_key = true;
            break;
        case GW_JSON_OBJECT_END:
        case GW_JSON_ARRAY_END:
            close_container(&b, tok.end);
            break;
        case GW_JSON_OBJECT_BEGIN:
        case GW_JSON_ARRAY_BEGIN:
        case GW_JSON_STRING:
        case GW_JSON_NUMBER:
        case GW_JSON_TRUE:
        case GW_JSON_FALSE:
        case GW_JSON_NULL:
        case GW_JSON_END:
        default:
            GW_TRY(add_value(&b, &tok, err));
            break;
        }
    }
    *out = b.root;
    return GW_OK;
}

/* Compares a raw JSON string with plain text without memory: escapes are undone one by one. */
static bool raw_is(struct gw_span raw, bool escaped, const char *text)
{
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    size_t n, i = 0;

    if (!escaped) /* most differ in their first byte */
        return raw.len != 0 && raw.ptr[0] != text[0] ? false : gw_span_is(raw, text);
    n = strlen(text);
    while (p < end) {
        char piece[4];
        unsigned len = 1;

        if (*p == '\\')
            len = gw_json_unescape(&p, piece);
        else
            piece[0] = *p++;
        if (len > n - i || memcmp(text + i, piece, len) != 0)
            return false;
        i += len;
    }
    return i == n;
}

bool gw_json_key_is(const struct gw_json_node *member, const char *name)
{
    return raw_is(member->key, member->key_escaped, name);
}

const struct gw_json_node *gw_json_get(const struct gw_json_node *node, const char *name)
{
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return NULL;
    for (const struct gw_json_node *m = node->child; m != NULL; m = m->next)
        if (gw_json_key_is(m, name))
            return m;
    return NULL;
}

static struct gw_span decoded(struct gw_span raw, bool escaped, struct gw_arena *arena)
{
    char *p;

    if (!escaped)
        return raw;
    p = gw_arena_alloc(arena, raw.len + 1);
    if (p == NULL)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){p, gw_json_decode(raw, p)};
}

struct gw_span gw_json_text(const struct gw_json_node *node, struct gw_arena *arena)
{
    if (!gw_json_is(node, GW_JSON_STRING))
        return (struct gw_span){NULL, 0};
    return decoded(node->raw, node->escaped, arena);
}

struct gw_span gw_json_name(const struct gw_json_node *member, struct gw_arena *arena)
{
    return decoded(member->key, member->key_escaped, arena);
}

bool gw_json_text_is(const struct gw_json_node *node, const char *text)
{
    return gw_json_is(node, GW_JSON_STRING) && raw_is(node->raw, node->escaped, text);
}

uint64_t gw_json_uint(const struct gw_json_node *node, uint64_t otherwise)
{
    uint64_t v = 0;

    if (!gw_json_is(node, GW_JSON_NUMBER) || node->raw.len > 16)
        return otherwise;
    for (size_t i = 0; i < node->raw.len; i++) {
        if (node->raw.ptr[i] < '0' || node->raw.ptr[i] > '9')
            return otherwise;
        v = v * 10 + (uint64_t)(node->raw.ptr[i] - '0');
    }
    return v <= (1ull << 53) ? v : otherwise;
}
