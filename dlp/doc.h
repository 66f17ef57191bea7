/* dlp/doc.h - the inside of a document: leaves, their paths, and the way from a leaf's decoded text back
 * to the bytes of the body; private to dlp/.
 *
 * A leaf's text is decoded from `raw`, a slice of the body (nesting 0) or of the decoded text of another
 * leaf (`outer`: a string that itself is JSON). Where raw has no backslash the text is raw; else it
 * lies in the arena and checkpoints make the map: one pair of offsets every DLP_CHECKPOINT raw bytes,
 * from which the escapes are walked again. Going through all outer leaves composes the maps.
 *
 * JOINED leaves come last in the list. Each is a run of slices ("parts") of string leaves that have the
 * same path but for array indexes ("/messages/<any>/content"), in document order, so that a value cut
 * over two content parts or two messages is in one text. Only the surroundings of the cuts are joined:
 * DLP_JOIN_REACH bytes of either side. Those of one speaker ("role") come again without what others say in between.
 *
 * The document lives in an arena; one thread at a time builds it, then it is read-only. */
#ifndef DLP_DOC_H
#define DLP_DOC_H

#include "dlp/dlp.h"

enum {
    DLP_CHECKPOINT = 256, /* raw bytes */
    DLP_JOIN_REACH = 512, /* decoded bytes */
    DLP_JOIN_TURNS = 256, /* the same over what others say in between */
    DLP_JOIN_MIN = 8,     /* shorter joined texts hide nothing that a rule could know */
    DLP_MAX_NESTING = 3,  /* JSON in strings is opened this often */
};
#define DLP_NONE UINT32_MAX /* no leaf, no node */

/* A path node: a member of an object or an element of an array. Parents stand before children. There are about as many as strings,
 * keys and numbers, and of those as many as a client likes: nodes, leaves and sources are small. */
struct dlp_node {
    uint32_t parent; /* DLP_NONE: the root */
    uint32_t element : 1;
    uint32_t index : 31; /* of an element; of a member: the leaf that is its key */
};

struct dlp_checkpoint {
    uint32_t raw, text; /* the same place in raw and in text, between two characters */
};

struct dlp_part {
    uint32_t leaf, start; /* the slice in the leaf's text */
    uint32_t at, len;     /* where it stands in the joined text */
};

/* How a text came about that is not its raw bytes. */
struct dlp_way {
    uint32_t n_checkpoints, n_parts;
    const struct dlp_checkpoint *checkpoints; /* the first is for raw offset 256 */
    const struct dlp_part *parts;             /* JOINED only */
};

/* Where a leaf's text comes from. */
struct dlp_source {
    const struct dlp_way *way;     /* NULL: the text is the raw bytes */
    uint32_t outer;                /* the leaf whose text holds the raw bytes; DLP_NONE: the body */
    uint32_t at, len;              /* of the raw bytes in there */
    uint32_t first_inner, n_inner; /* the leaves of the JSON in this text, ascending; nested deeper
                                      ones are theirs */
};

struct dlp_doc {
    struct gw_arena *arena;
    struct gw_span body;
    struct dlp_leaf *leaves;
    struct dlp_source *sources; /* as many as leaves */
    unsigned n_leaves, cap_leaves;
    unsigned first_joined; /* leaves from here on are JOINED */
    struct dlp_node *nodes;
    unsigned n_nodes, cap_nodes;
};

/* Decodes raw bytes that have escapes into arena memory, with checkpoints. Sets *way and *text. GW_ENOMEM. */
enum gw_status dlp_map_decode(struct gw_arena *arena, struct gw_span raw,
                              const struct dlp_way **way, struct gw_span *text);

/* The raw range in the body of the leaf's text from start to end. A bound inside an escape is moved
 * outward to the whole escape. Not for JOINED leaves; DLP_NONE is the body itself. */
void dlp_map_to_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t start, uint32_t end,
                     uint32_t *raw_start, uint32_t *raw_end);

/* The other way: the range in the leaf's text of a raw range of the body within the leaf's raw range,
 * rounded outward. Not for JOINED leaves. */
void dlp_map_from_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                       uint32_t raw_end, uint32_t *start, uint32_t *end);

/* How dlp_doc_parse() reads. */
struct dlp_parse {
    const struct dlp_doc_limits *limits; /* may be NULL */
    bool allow_duplicate_keys;           /* an answer: not ours to refuse */
    bool no_joined;                      /* JOINED leaves are not wanted */
};

/* dlp_doc_parse_json() with these options. */
enum gw_status dlp_doc_parse(struct gw_arena *arena, struct gw_span body,
                             const struct dlp_parse *how, struct dlp_doc **out, struct gw_err *err);

/* The leaf of the JSON inside leaf's text whose raw range holds the given one; DLP_NONE. */
uint32_t dlp_doc_inner_at(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                          uint32_t raw_end);

/* Appends a leaf with its source; false when out of memory. */
bool dlp_doc_add_leaf(struct dlp_doc *doc, const struct dlp_leaf *leaf,
                      const struct dlp_source *src);

/* Appends the JOINED leaves. GW_ENOMEM. */
enum gw_status dlp_doc_join(struct dlp_doc *doc);

/* The index of the first part of a JOINED leaf that holds text offset `at`. */
uint32_t dlp_doc_part_at(const struct dlp_way *way, uint32_t at);

/* For the scanner, once, over all its findings (any order) before it reports: removes duplicates in
 * place, keeps the order, and sets *n. GW_ENOMEM (nothing removed). The rule:
 * (1) a finding on a JOINED leaf within one part goes: the part itself was scanned;
 * (2) a finding on a JOINED leaf goes when a finding of the same rule on one of its parts overlaps it:
 *     the value is known there, and joining only added the next part's first word. It stays, and the
 *     one on the part goes, when what it added looks like more of the value: a token was cut whose first half is a
 *     token by itself;
 * (3) of two findings of one rule that cover the same bytes of the body, one in a string and one in the
 *     JSON inside that string, the inner stays. */
enum gw_status dlp_doc_dedupe(const struct dlp_doc *doc, struct dlp_finding *findings, unsigned *n);

#endif
