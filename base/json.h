/* base/json.h - a strict JSON tokenizer (RFC 8259), for bytes that a client or a provider sent.
 *
 * Pull style: one token a call, over one complete text, no allocation but for the key sets, no
 * recursion, linear time. What it refuses, because each is a way around a scan: anything RFC 8259
 * forbids, bytes that are not UTF-8, lone surrogates (raw or as \uD800), duplicate keys after
 * decoding ("a" equals "\u0061"), more than max_depth levels or max_keys keys, anything but
 * whitespace after the value. A NUL written as \u0000 is kept as a NUL byte. Thread: one at a time per
 * tokenizer. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum gw_json_type {
    GW_JSON_END, /* the value is complete and nothing follows */
    GW_JSON_OBJECT_BEGIN,
    GW_JSON_OBJECT_END,
    GW_JSON_ARRAY_BEGIN,
    GW_JSON_ARRAY_END,
    GW_JSON_KEY,    /* a member name; its value is the next token */
    GW_JSON_STRING, /* a string value */
    GW_JSON_NUMBER,
    GW_JSON_TRUE,
    GW_JSON_FALSE,
    GW_JSON_NULL,
    GW_JSON_ERROR, /* see gw_json_error(); every later call says so again */
};

/* One token. raw is where it stands in the text, for KEY and STRING without the quotes. */
struct gw_json_tok {
    enum gw_json_type type;
    struct gw_span raw; /* borrowed from the text */
    size_t start, end;  /* byte offsets in the text; for KEY and STRING with the quotes */
    unsigned depth;     /* open containers around this token; a BEGIN/END counts its own as open */
    bool escaped;       /* KEY, STRING: raw holds a backslash, so decode before use */
};

struct gw_json_limits {
    unsigned max_depth;        /* open containers; 0 means 64 */
    unsigned max_keys;         /* keys in the whole text; 0 means 10,000 */
    bool allow_duplicate_keys; /* for provider answers, which we do not author */
};

struct gw_json;

/* Creates a tokenizer that can be used for many texts. NULL when out of memory. */
struct gw_json *gw_json_new(void);
void gw_json_free(struct gw_json *j); /* j may be NULL */

/* Starts on text, which must stay as it is until the last token was used. limits may be NULL. */
void gw_json_start(struct gw_json *j, struct gw_span text, const struct gw_json_limits *limits);

/* Takes the next token and returns its type, also in tok->type. */
enum gw_json_type gw_json_next(struct gw_json *j, struct gw_json_tok *tok);

/* After GW_JSON_ERROR: GW_EPARSE, GW_ELIMIT or GW_ENOMEM, and the message with line and column, which
 * never quotes the text. */
enum gw_status gw_json_error(const struct gw_json *j, struct gw_err *err);

/* Skips the container whose BEGIN was just returned, up to and with its END (still checked). Returns
 * false on an error. For other tokens it does nothing and returns true. */
bool gw_json_skip(struct gw_json *j, const struct gw_json_tok *tok);

/* Decodes the escape at *p, the backslash in a checked string (a surrogate pair is one escape): writes
 * UTF-8 to out, moves *p behind the escape and returns the length written, 1 to 4. */
unsigned gw_json_unescape(const char **p, char out[4]);

/* Decodes raw (the inside of a checked string) into out, which holds at least raw.len bytes. Returns
 * the decoded length; decoding never makes a string longer. */
size_t gw_json_decode(struct gw_span raw, char *out);

#endif
