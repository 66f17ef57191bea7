/* dlp/guard.h - the window of a guard: the part of a growing text that is still of interest. Private to dlp.
 *
 * text holds bytes [base, base + len) of the decoded text; offsets here count from its beginning. In the text of a JSON
 * string's inside (nested) escapes are decoded, and in any text full-width and mathematical letters are ASCII and what is
 * invisible is left out, so that a rule sees what a reader would; raw holds the bytes as they came from `out` on, and widths
 * how many of them each byte of text stands for. A text without such characters needs neither. One thread at a time. */
#ifndef DLP_GUARD_H
#define DLP_GUARD_H

#include "dlp/dlp.h"

struct guard_text {
    bool nested;
    bool
        mapped; /* text is not what came: nested, or it has had a byte that such characters begin with */
    struct gw_buf text;
    struct gw_buf raw;    /* mapped: from `out` on, and bytes of a character that is not complete */
    struct gw_buf widths; /* mapped: of each byte of text; GUARD_IN_STRING is added */
    size_t undecoded;     /* mapped: bytes at the end of raw that are not in text yet */
    size_t out;           /* up to here the text has gone out */
    bool in_string;       /* nested: the end of text is inside a JSON string */
};

enum { GUARD_IN_STRING = 0x80, GUARD_WIDTH = 0x7F };

void guard_text_fini(struct guard_text *t); /* wipes */

/* Appends what came. last: no more comes, so half an escape is text. False: out of memory. */
bool guard_text_add(struct guard_text *t, struct gw_span bytes, bool last);

/* Moves `out` on to `to`, at a character's start; the bytes as they came are appended to sink unless it is NULL. */
void guard_text_pass(struct guard_text *t, size_t to, struct gw_buf *sink);

/* True when text[at] stands inside a JSON string, or the text is not JSON. */
bool guard_text_in_string(const struct guard_text *t, size_t at);

/* Forgets the first n bytes, all of them out. */
void guard_text_drop(struct guard_text *t, size_t n);

#endif
