/* dlp/rulec_yaml.h - what the parts of the rule reader share. Private to the rule compiler.
 *
 * rulec_yaml.c reads files and whole rules by a table of keys, rulec_yaml_value.c single values, rulec_yaml_around.c
 * contexts and nears, rulec_yaml_parts.c the other keys that hold lists and mappings. Every error names file, line, column and rule, and says what is expected. */
#ifndef DLP_RULEC_YAML_H
#define DLP_RULEC_YAML_H

#include "base/yaml.h"
#include "dlp/rulec.h"

#define RULEC_LOWER  "abcdefghijklmnopqrstuvwxyz"
#define RULEC_UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define RULEC_DIGITS "0123456789"

enum { RULEC_MAX_PARTS = 16 }; /* validators, contexts, nears, steps, lists of a rule */

/* Schemas of values that several keys have. */
#define RULEC_TEXTS  "{\"oneOf\":[#,{\"type\":\"array\",\"maxItems\":2048,\"items\":#}]}"
#define RULEC_ID     "{\"type\":\"string\",\"pattern\":\"^[a-z0-9-]{1,64}$\"}"
#define RULEC_POINTS "{\"type\":\"integer\",\"minimum\":-100,\"maximum\":100}"

/* One rule or list while it is read. */
struct rulec_reader {
    struct rulec_set *set;
    const struct gw_yaml *y;
    const char *file; /* in the set's arena */
    struct gw_err *err;
    const char *what; /* "rule" or "list" */
    const char *id;   /* NULL: not read yet */
};

/* Reads node n into what the table of keys is about. */
typedef enum gw_status rulec_read_fn(struct rulec_reader *x, const struct gw_yaml_node *n,
                                     void *to);

/* A key of a mapping. Tables of them end in one without a name. They are also what the JSON Schema is made of. */
struct rulec_key {
    const char *name;
    rulec_read_fn *read;
    const char *help;             /* one line, for people */
    const char *schema;           /* of the value; @ stands for an object of kids, # for a text */
    const struct rulec_key *kids; /* table of the keys of an object in it, or NULL */
    bool needed;
};

extern const struct rulec_key rulec_rule_keys[], rulec_list_keys[], rulec_context_keys[],
    rulec_near_keys[], rulec_step_keys[], rulec_check_keys[];

/* Reads every child of map by the table; unknown keys are errors. */
enum gw_status rulec_read_map(struct rulec_reader *x, const struct gw_yaml_node *map,
                              const struct rulec_key *keys, void *to);

/* ---- values ----------------------------------------------------------------------------- */

/* Fills the error with the place of n and what; returns st. */
enum gw_status rulec_bad(struct rulec_reader *x, const struct gw_yaml_node *n, enum gw_status st,
                         const char *what);
enum gw_status rulec_no_memory(struct rulec_reader *x);

/* True when s is non-empty and made of the bytes in from. */
bool rulec_made_of(const char *s, const char *from);

enum gw_status rulec_copy(struct rulec_reader *x, struct gw_span in, struct gw_span *out);
/* A text of 1 to 200 bytes without NUL. */
enum gw_status rulec_read_str(struct rulec_reader *x, const struct gw_yaml_node *n,
                              const char **out);
/* A list of texts that are not empty, or one. */
enum gw_status rulec_read_texts(struct rulec_reader *x, const struct gw_yaml_node *n,
                                size_t max_bytes, struct gw_span **out, unsigned *n_out);
enum gw_status rulec_read_uint(struct rulec_reader *x, const struct gw_yaml_node *n, unsigned max,
                               unsigned *out);
/* Confidence points, -100 to 100; a plus sign is allowed. */
enum gw_status rulec_read_points(struct rulec_reader *x, const struct gw_yaml_node *n, int *out);

/* The first entry of a list, or n itself where it is of the kind that stands for a list of one. */
const struct gw_yaml_node *rulec_entries(const struct gw_yaml_node *n, enum gw_yaml_kind single,
                                         unsigned *count);

/* Sorts words by the low five bits of their first byte, which is how the scanner looks them up; else as written. */
void rulec_sort_words(struct gw_span *words, unsigned n);

/* ---- parts of a rule (to: struct rulec_rule) ------------------------------------------------ */

rulec_read_fn rulec_read_patterns, rulec_read_validate, rulec_read_contexts, rulec_read_nears,
    rulec_read_reject, rulec_read_reject_lists, rulec_read_count, rulec_read_steps,
    rulec_read_examples;

/* A list with a name: { list: NAME, values: [..] }. */
enum gw_status rulec_read_list(struct rulec_reader *x, const struct gw_yaml_node *n);

#endif
