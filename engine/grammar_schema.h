/* engine/grammar_schema.h - a JSON Schema being turned into rules: shared by grammar_schema*.c.
 *
 * What a value must meet is a list of schemas at once (a place's own, those that $ref and allOf add): a rule is made for
 * each different list, of a work list and not by recursion. */
#ifndef ENGINE_GRAMMAR_SCHEMA_H
#define ENGINE_GRAMMAR_SCHEMA_H

#include "engine/grammar_make.h"

enum {
    SCHEMA_MAX_ITEMS = 24,     /* schemas that one value must meet */
    SCHEMA_MAX_BRANCHES = 256, /* of one anyOf or oneOf */
    SCHEMA_MAX_ENUM = 1000,
    SCHEMA_MAX_PREFIX = 256,
    SCHEMA_BUCKETS = 1024,
    SCHEMA_MAX_WORK = 2000000,
};

/* Where a schema stands, for messages. */
struct schema_path {
    const struct schema_path *parent;
    struct gw_span word; /* as in the text: not decoded */
    unsigned index;      /* when word.ptr is NULL */
};

struct schema_item {
    const struct gw_json_node *node; /* an object, true or false */
    const struct schema_path *path;
    unsigned
        used; /* bits: its anyOf, its oneOf were taken apart; its $ref and allOf were followed */
};
enum { SCHEMA_USED_ANY = 1, SCHEMA_USED_ONE = 2, SCHEMA_USED_FLAT = 4 };

struct schema_list {
    struct schema_item items[SCHEMA_MAX_ITEMS];
    unsigned n;
};

struct schema_rule {
    struct schema_list list;
    uint32_t state; /* place holder until it is made */
    struct schema_rule *next_bucket, *next;
};

struct schema_making {
    struct gmake *m;
    struct gw_arena *arena; /* of this making: tree, lists */
    const struct gw_json_node *root;
    bool ordered, closed; /* see struct engine_format */
    struct schema_rule *buckets[SCHEMA_BUCKETS], *first, *last;
    unsigned n_rules;
    uint64_t work; /* comparisons of names and values so far */
};

enum {
    SCHEMA_NULL = 1,
    SCHEMA_BOOLEAN = 2,
    SCHEMA_INTEGER = 4,
    SCHEMA_NUMBER = 8,
    SCHEMA_STRING = 16,
    SCHEMA_ARRAY = 32,
    SCHEMA_OBJECT = 64,
    SCHEMA_ANY_TYPE = 127,
};

/* Counts n comparisons; refuses at path when there were too many. */
void schema_spend(struct schema_making *s, const struct schema_path *path, uint64_t n);
/* The rule of a list; made later when it is new. */
uint32_t schema_rule(struct schema_making *s, const struct schema_list *list);
/* Adds a schema to a list: sets the failure when it is full. */
void schema_add(struct schema_making *s, struct schema_list *list, const struct gw_json_node *node,
                const struct schema_path *path);
const struct schema_path *schema_below(struct schema_making *s, const struct schema_path *parent,
                                       struct gw_span word, unsigned index);
/* The path of a keyword of an item. */
const struct schema_path *schema_at(struct schema_making *s, const struct schema_item *item,
                                    const char *word);
/* Refuses: "PATH: what". Returns GRAMMAR_NONE. */
uint32_t schema_refuse(struct schema_making *s, const struct schema_path *path, enum gw_status st,
                       const char *what);
/* A count of a keyword, *out unchanged when it is absent. False: refused. */
bool schema_count(struct schema_making *s, const struct schema_item *item, const char *word,
                  uint32_t *out);
/* The types that an item names: all when it names none, 0 when refused. */
unsigned schema_types(struct schema_making *s, const struct schema_item *item);
/* The schema that a $ref means, or NULL (refused). */
const struct gw_json_node *schema_resolve(struct schema_making *s, const struct schema_item *item,
                                          const struct schema_path **path);
unsigned schema_type_of(const struct gw_json_node *value);
/* Appends a value as canonical JSON, where a byte 0xFF stands for white space that may be there. */
void schema_write_value(struct schema_making *s, const struct gw_json_node *value,
                        struct gw_buf *out);
bool schema_same_value(struct schema_making *s, const struct gw_json_node *a,
                       const struct gw_json_node *b);
/* True when no value meets both, as far as types and constants tell. */
bool schema_disjoint(struct schema_making *s, const struct schema_item *a,
                     const struct schema_item *b);

/* Alternatives of a list for values of one type (or of an enumeration); GRAMMAR_NONE: there is none, or refused. */
uint32_t schema_make_object(struct schema_making *s, const struct schema_list *list);
uint32_t schema_make_array(struct schema_making *s, const struct schema_list *list);
uint32_t schema_make_string(struct schema_making *s, const struct schema_list *list);
uint32_t schema_make_number(struct schema_making *s, const struct schema_list *list, bool whole);
uint32_t schema_make_enum(struct schema_making *s, const struct schema_list *list, unsigned types);

#endif
