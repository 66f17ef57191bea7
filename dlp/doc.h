/* dlp/doc.h - the inside of a document: its tape, the way along it, and the way from a leaf's decoded text back to the bytes of the
 * body; private to dlp/.
 *
 * A document keeps no record a leaf: a client sends 200,000 of them, of a letter each. It keeps a tape (doc_tape.h), one or two bytes
 * for most leaves, in the order of the body; the leaves of JSON in a string stand behind the string. All its places are places in
 * the body, however deep the JSON lies. A cursor goes along the tape and makes a leaf of each step: where the leaf's bytes have no
 * backslash its text is the body's, else it is decoded into the cursor's memory, as often as it was escaped, and gone with the next
 * step. What outlives that is asked for by number, dlp_doc_leaf(), and kept.
 *
 * JOINED leaves are no part of the tape. A joiner (doc_join.c) is told every leaf in its order and says what adjacent ones are
 * together: slices ("parts") of string leaves that have the same path but for array indexes ("/messages/<any>/content"), so that a
 * value cut over two content parts or two messages is in one text. Only the surroundings of the cuts are joined: DLP_JOIN_REACH
 * bytes of either side. Those of one speaker ("role") come again without what others say in between. Only those in which something
 * is found are kept, dlp_doc_keep_joined(), and have numbers behind those of the tape.
 *
 * The document lives in an arena. One thread at a time; the tape is read-only once it is built, what is kept grows. */
#ifndef DLP_DOC_H
#define DLP_DOC_H

#include "dlp/dlp.h"

enum {
    DLP_CHECKPOINT = 256, /* raw bytes */
    DLP_JOIN_REACH = 512, /* decoded bytes */
    DLP_JOIN_TURNS = 256, /* the same over what others say in between */
    DLP_JOIN_MIN = 8,     /* shorter joined texts hide nothing that a rule could know */
    DLP_MAX_NESTING = 3,  /* JSON in strings is opened this often */
    DLP_NAME_BYTES = 256, /* of a member's name that has escapes: more of it is no context */
    DLP_ROLES = 7,        /* speakers that are known, with 0: nobody knows */
};
#define DLP_NONE UINT32_MAX /* no leaf, no place */

struct dlp_page; /* of the tape */
struct dlp_kept; /* what was asked for by number */

/* Where a page of the tape begins inside of a container (doc_tape.h). */
struct dlp_state {
    uint32_t parent : 29; /* the state of the container around it */
    uint32_t box : 2;     /* enum dlp_box */
    uint32_t escaped : 1;
    uint32_t at, len; /* as of a frame */
};

struct dlp_doc {
    struct gw_arena *arena;
    struct gw_span body;
    bool is_text;          /* the body is one leaf, and nothing in it an escape */
    unsigned first_joined; /* leaves of the tape; those from here on are JOINED */
    unsigned max_depth;    /* of the frames of a cursor */
    uint64_t text_bytes;   /* of all leaves that are scanned, as they stand in the body */
    uint32_t n_role[DLP_ROLES];
    struct dlp_page **pages;
    unsigned n_pages, cap_pages;
    struct dlp_state *states;
    unsigned n_states, cap_states;
    struct dlp_kept *kept;
};

/* ---- going along ------------------------------------------------------------------------- */

enum dlp_box {
    DLP_BOX_TEXT, /* the body, or a string that is JSON */
    DLP_BOX_OBJECT,
    DLP_BOX_ARRAY,
};

/* A container that the cursor is in. */
struct dlp_frame {
    uint8_t box;     /* enum dlp_box */
    uint8_t nesting; /* of what is in it */
    uint8_t role;    /* who speaks; 0: nobody knows */
    bool escaped;    /* OBJECT: the key is */
    uint32_t
        at; /* OBJECT: the current member's key in the body; ARRAY: the index of the element; TEXT: its leaf */
    uint32_t len;    /* OBJECT: of the key in the body; TEXT: where it ends in the body */
    uint32_t named;  /* the frame whose member is the nearest around this one; DLP_NONE */
    uint64_t class_; /* of the container's path; 0: not inside an array, or not asked for */
    uint64_t member; /* class of the current member or element; 0: not known yet */
};

/* Memory of a cursor: of frames that most bodies do with. */
enum { DLP_FEW_FRAMES = 12 };

struct dlp_cursor {
    const struct dlp_doc *doc;
    const uint8_t *op, *end; /* of the page */
    unsigned page;
    uint32_t at; /* in the body: behind the last leaf, or where the text begins */
    unsigned depth;
    struct dlp_frame *frames; /* frames[0] is the body's text */
    /* The leaf that it stands on. */
    uint32_t leaf; /* its number */
    uint32_t raw_start;
    uint8_t kind; /* enum dlp_leaf_kind */
    bool escaped;
    bool opened;  /* leaves of JSON in it follow */
    uint8_t then; /* what the next step does first */
    uint32_t raw_end;
    bool classes;     /* paths are classified */
    uint64_t seed[2]; /* of the classes */
    struct gw_buf text;
    struct gw_buf name;
    uint32_t name_at; /* whose name that is; DLP_NONE: nobody's */
    struct dlp_frame few[DLP_FEW_FRAMES];
};

/* Stands in front of the first leaf. classes: dlp_cursor_class() will be asked. False when out of memory; dlp_cursor_fini()
 * is right in both cases. */
bool dlp_cursor_init(struct dlp_cursor *c, const struct dlp_doc *doc, bool classes);
/* The same with memory for max_depth + 1 frames of the caller, without classes; nothing to end while no text is asked for. */
void dlp_cursor_start(struct dlp_cursor *c, const struct dlp_doc *doc, struct dlp_frame *frames);
void dlp_cursor_fini(struct dlp_cursor *c); /* wipes */
/* The next leaf; false: there is none. */
bool dlp_cursor_next(struct dlp_cursor *c);
/* Goes to leaf i < first_joined. */
void dlp_cursor_seek(struct dlp_cursor *c, uint32_t i);
/* The leaf that the cursor stands on, text and key until the next step. False when out of memory. */
bool dlp_cursor_leaf(struct dlp_cursor *c, struct dlp_leaf *out);
/* What the leaf's path but for array indexes is, a number of this cursor only; 0: not inside an array. */
uint64_t dlp_cursor_class(struct dlp_cursor *c);
/* Who says what the leaf says: a member "role" beside or above it, which may stand behind it. 0: nobody knows. */
unsigned dlp_cursor_role(const struct dlp_cursor *c);
unsigned dlp_cursor_nesting(const struct dlp_cursor *c);

/* ---- leaves by number -------------------------------------------------------------------- */

/* Makes what the calls below need, so that none but those that say so can fail. False when out of memory. */
bool dlp_doc_keep(const struct dlp_doc *doc);
/* A cursor on leaf i < first_joined of the document's own, until the next call: not for its text. */
struct dlp_cursor *dlp_doc_seek(const struct dlp_doc *doc, uint32_t i);
/* The leaf without its text and key. */
struct dlp_leaf dlp_doc_place(const struct dlp_doc *doc, uint32_t i);
/* dlp_doc_leaf() that can fail: false when out of memory. Needs no dlp_doc_keep(). */
bool dlp_doc_leaf_at(const struct dlp_doc *doc, uint32_t i, struct dlp_leaf *out);

/* The leaf of the JSON inside leaf's text whose raw range holds the given one, which is not empty; DLP_NONE. */
uint32_t dlp_doc_inner_at(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                          uint32_t raw_end);

/* ---- decoding and maps ------------------------------------------------------------------- */

/* How many of the n bytes at p stand in front of the first backslash. */
size_t dlp_map_plain(const char *p, size_t n);

/* Decodes a checked string into out, which has room for raw.len bytes, or is raw.ptr itself. Returns the length. */
size_t dlp_map_unescape(struct gw_span raw, char *out);
/* Its variants; the second one only where the machine has the instructions. */
size_t dlp_map_unescape_scalar(struct gw_span raw, char *out);
size_t dlp_map_unescape_avx512(struct gw_span raw, char *out);
/* What a backslash and one other byte say; 0: an escape is longer. */
extern const char dlp_map_short[256];

/* The bytes of one character, or of a part of one, at *p in the body, which was escaped so many times; moves *p behind it. */
unsigned dlp_map_step(const char **p, unsigned escaped, char out[4]);

/* The raw range in the body of the leaf's text from start to end. A bound inside an escape is moved
 * outward to the whole escape. Not for JOINED leaves. False when out of memory. */
bool dlp_map_to_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t start, uint32_t end,
                     uint32_t *raw_start, uint32_t *raw_end);

/* The other way: the range in the leaf's text of a raw range of the body within the leaf's raw range,
 * rounded outward. Not for JOINED leaves. False when out of memory. */
bool dlp_map_from_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                       uint32_t raw_end, uint32_t *start, uint32_t *end);

/* ---- parsing ----------------------------------------------------------------------------- */

/* How dlp_doc_parse() reads. */
struct dlp_parse {
    const struct dlp_doc_limits *limits; /* may be NULL */
    bool allow_duplicate_keys;           /* an answer: not ours to refuse */
};

/* dlp_doc_parse_json() with these options. */
enum gw_status dlp_doc_parse(struct gw_arena *arena, struct gw_span body,
                             const struct dlp_parse *how, struct dlp_doc **out, struct gw_err *err);

/* ---- joining ----------------------------------------------------------------------------- */

struct dlp_part {
    uint32_t leaf, start; /* the slice in the leaf's text */
    uint32_t at, len;     /* where it stands in the joined text */
};

/* A JOINED leaf: valid during the call that tells it, and in the document's memory once it is kept. */
struct dlp_joined {
    struct gw_span text, key;
    const struct dlp_part *parts;
    uint32_t n_parts;
    uint32_t
        known; /* so many bytes of the text were at the end of the one before: what ends in there was found */
};

typedef enum gw_status (*dlp_join_fn)(void *ctx, const struct dlp_joined *joined);

struct dlp_joiner;

/* NULL when out of memory. */
struct dlp_joiner *dlp_joiner_new(const struct dlp_doc *doc, dlp_join_fn fn, void *ctx);
void dlp_joiner_free(struct dlp_joiner *j); /* wipes; j may be NULL */
/* Takes the leaf that the cursor, which classifies, stands on. What fn says, or GW_ENOMEM. */
enum gw_status dlp_joiner_add(struct dlp_joiner *j, struct dlp_cursor *c,
                              const struct dlp_leaf *leaf);
/* There is no more. */
enum gw_status dlp_joiner_end(struct dlp_joiner *j);

/* Keeps it: its number is dlp_doc_count() before the call. GW_ENOMEM. */
enum gw_status dlp_doc_keep_joined(const struct dlp_doc *doc, const struct dlp_joined *joined);
/* Leaf i >= first_joined. */
const struct dlp_joined *dlp_doc_joined(const struct dlp_doc *doc, uint32_t i);
/* Leaves of the tape and JOINED ones that are kept. */
unsigned dlp_doc_count(const struct dlp_doc *doc);

/* The index of the first part of a JOINED leaf that holds text offset `at`. */
uint32_t dlp_doc_part_at(const struct dlp_joined *joined, uint32_t at);

/* For the scanner, once, over all its findings (any order) before it reports: removes duplicates in
 * place, and sets *n; by leaf and start they stay. GW_ENOMEM (nothing removed). The rule:
 * (1) a finding on a JOINED leaf within one part goes when the part itself says as much; it stays, put on the part, when only
 *     what stands in another one says what it is (a question, and its answer), and weaker ones within it go;
 * (2) a finding on a JOINED leaf goes when a finding of the same rule on one of its parts overlaps it:
 *     the value is known there, and joining only added the next part's first word. It stays, and the
 *     one on the part goes, when what it added looks like more of the value: a token was cut whose first half is a
 *     token by itself;
 * (3) of two findings of one rule that cover the same bytes of the body, one in a string and one in the
 *     JSON inside that string, the inner stays. */
enum gw_status dlp_doc_dedupe(const struct dlp_doc *doc, struct dlp_finding *findings, unsigned *n);

#endif
