/* base/json_tree.h - a JSON text as a tree, lossless: every value keeps its bytes as they were written.
 *
 * For reading a request or an answer whose members may come in any order. Built by the strict tokenizer (json.h)
 * without recursion; nodes live in an arena and point into the text, which must outlive them. */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/arena.h"
#include "base/json.h"

struct gw_json_node {
    enum gw_json_type type; /* OBJECT_BEGIN, ARRAY_BEGIN, STRING, NUMBER, TRUE, FALSE, NULL */
    bool escaped, key_escaped;
    struct gw_span key; /* raw inside of its name, when it is a member */
    struct gw_span raw; /* STRING: the raw inside; else all of its bytes, brackets included */
    struct gw_json_node *child, *next; /* first element or member; next one of the same container */
    unsigned n;                        /* elements or members */
};

/* Reads the whole text. limits may be NULL. Errors as gw_json_error(); GW_ENOMEM also when the arena is full. */
enum gw_status gw_json_tree(struct gw_json *json, struct gw_arena *arena, struct gw_span text,
                            const struct gw_json_limits *limits, struct gw_json_node **out,
                            struct gw_err *err);

/* The member of that name, or NULL; node may be NULL or anything but an object. */
const struct gw_json_node *gw_json_get(const struct gw_json_node *node, const char *name);
/* True when the member's (decoded) name is that one. */
bool gw_json_key_is(const struct gw_json_node *member, const char *name);

/* The decoded text of a string: in place without escapes, else in the arena. {NULL, 0} for anything else (node NULL
 * included) and when the arena is full. An empty string has a pointer. */
struct gw_span gw_json_text(const struct gw_json_node *node, struct gw_arena *arena);
/* The same for a member's name. */
struct gw_span gw_json_name(const struct gw_json_node *member, struct gw_arena *arena);

static inline bool gw_json_is(const struct gw_json_node *node, enum gw_json_type type)
{
    return node != NULL && node->type == type;
}
/* True when the node is a string with exactly that text. */
bool gw_json_text_is(const struct gw_json_node *node, const char *text);

/* A whole number from 0 to 2^53, or otherwise when the node is none. */
uint64_t gw_json_uint(const struct gw_json_node *node, uint64_t otherwise);

#endif
