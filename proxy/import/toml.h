/* proxy/import/toml.h - a TOML document as a tree with lines.
 *
 * Strict, and as much of TOML 1.0 as rule files of other tools have: tables, arrays of tables, dotted and quoted keys, strings
 * of all four kinds, integers, floats, booleans, arrays, inline tables. Dates are refused. Hostile input is bounded: depth,
 * nodes, bytes. All memory is the arena's. Thread: one at a time per arena. */
#ifndef PROXY_IMPORT_TOML_H
#define PROXY_IMPORT_TOML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum toml_kind {
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOLEAN,
    TOML_ARRAY,
    TOML_TABLE,
};

struct toml_node {
    enum toml_kind kind;
    struct gw_span key;  /* inside a table */
    struct gw_span text; /* string: decoded, NUL-terminated as a courtesy */
    int64_t integer;     /* integer; boolean: 0 or 1 */
    double number;       /* float, and the integer as one */
    unsigned line;       /* from 1 */
    unsigned n_members;  /* table, array */
    bool closed;         /* an inline table or array: nothing may be added later */
    bool defined;        /* a table that had a header of its own */
    struct toml_node *first, *last, *next;
};

/* Parses text into a table. name is for messages: "name:line:column: what". GW_EPARSE, GW_ELIMIT, GW_ENOMEM. */
enum gw_status toml_parse(struct gw_arena *arena, struct gw_span text, const char *name,
                          struct toml_node **out, struct gw_err *err);

/* The table's member of that name, or NULL. */
struct toml_node *toml_get(const struct toml_node *table, const char *key);

#endif
