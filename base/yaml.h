/* base/yaml.h - a YAML document as a tree that remembers where everything stood.
 *
 * Configuration, rules and policy are YAML (JSON is valid YAML). The tree is libyaml's events with
 * lines kept, so that every later error can name file, line and key. Hostile input is bounded: depth,
 * node count, file size; aliases and anchors, tags, several documents and duplicate keys are refused
 * with an error. One thread at a time; a finished tree is immutable. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum gw_yaml_kind { GW_YAML_SCALAR, GW_YAML_SEQUENCE, GW_YAML_MAPPING };

/* One node. Children of a sequence: first_child, then next. Children of a mapping: the same, and each
 * child has `key`. All memory belongs to the document. */
struct gw_yaml_node {
    enum gw_yaml_kind kind;
    struct gw_span key;    /* inside a mapping: the key; else empty */
    struct gw_span text;   /* scalar: the text, NUL-terminated as a courtesy */
    bool plain;            /* scalar: unquoted, so that true, 5 and null mean what they look like */
    unsigned line, column; /* from 1: where the value starts */
    unsigned key_line, key_column; /* from 1: where the key starts, or the value */
    unsigned n_children;
    struct gw_yaml_node *first_child, *next, *parent;
};

struct gw_yaml;

/* Parses text. name is for messages ("sluice.yaml") and is copied. On success *out is owned by the
 * caller (gw_yaml_free). An empty document is an empty mapping. Errors: GW_EPARSE with
 * "name:line:column: what"; GW_ELIMIT; GW_ENOMEM. */
enum gw_status gw_yaml_parse(struct gw_span text, const char *name, struct gw_yaml **out,
                             struct gw_err *err);

/* Reads the file (4 MiB at most) and parses it. GW_ENOENT, GW_EIO, and as above. */
enum gw_status gw_yaml_load(const char *path, struct gw_yaml **out, struct gw_err *err);

void gw_yaml_free(struct gw_yaml *y); /* y may be NULL */
const struct gw_yaml_node *gw_yaml_root(const struct gw_yaml *y);
const char *gw_yaml_name(const struct gw_yaml *y);

/* The mapping's child with that key, or NULL. */
const struct gw_yaml_node *gw_yaml_get(const struct gw_yaml_node *map, const char *key);

/* Fills err with "name:line: path.to.key: message" for node and returns code. */
enum gw_status gw_yaml_fail(const struct gw_yaml *y, const struct gw_yaml_node *node,
                            struct gw_err *err, enum gw_status code, const char *fmt, ...)
    GW_PRINTF(5, 6);

/* Typed readers: false when the node is not that (the caller makes the message). Booleans are true,
 * false; integers decimal with optional _ and the suffixes KiB MiB GiB; durations 250ms 10s 5m 2h 7d (or 0), as
 * milliseconds. */
bool gw_yaml_bool(const struct gw_yaml_node *node, bool *out);
bool gw_yaml_int(const struct gw_yaml_node *node, int64_t *out);
bool gw_yaml_double(const struct gw_yaml_node *node, double *out);
bool gw_yaml_duration_ms(const struct gw_yaml_node *node, int64_t *out);

#endif
