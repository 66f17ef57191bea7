/* proxy/import/import_regex.h - regular expressions of other tools in our notation (docs/rules.md).
 *
 * Known: what RE2, Go, Rust and PCRE have in common: groups, flags i, m, s, x and U, classes, counted repeats, \b ^ $ \A \z.
 * What we do not have is a failure with the reason; what only becomes wider is a note. Thread: one at a time per arena. */
#ifndef PROXY_IMPORT_REGEX_H
#define PROXY_IMPORT_REGEX_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { IMPORT_MAX_PATTERNS = 4 };

/* A pattern in our notation. */
struct import_regex {
    struct gw_span
        patterns[IMPORT_MAX_PATTERNS]; /* several where ^ or $ stood in an alternative at an end */
    unsigned n_patterns;
    bool nocase;         /* flags: i */
    bool has_secret;     /* a group became (?<secret>...) */
    struct gw_span near; /* what stood in front of a wide gap, or empty */
    unsigned near_within;
};

struct import_regex_options {
    unsigned secret_group; /* number of the group that is reported; 0: the first, if there is one */
    bool whole;            /* report all of the match whatever groups there are */
    bool split_gap;        /* make what stands in front of the first wide gap a near */
};

/* Translates text; what is got lives in arena. Notes are appended to notes, separated by "; ". GW_EUNSUPPORTED, GW_EPARSE and
 * GW_ELIMIT with the reason; GW_ENOMEM. */
enum gw_status import_regex(struct gw_arena *arena, struct gw_span text,
                            const struct import_regex_options *o, struct import_regex *out,
                            struct gw_buf *notes, struct gw_err *err);

/* What a list of rejected values needs to say what a simple pattern does: a word, or a glob with * or ?. False: none does. */
bool import_regex_glob(struct gw_span text, struct gw_buf *glob);

#endif
