/* dlp/rulec_anchor.h - what the prefilter looks for. Private to the rule compiler.
 *
 * Every match of a pattern contains one of its anchors at a known distance from its start: a window (up
 * to four bytes of given sets in a row) or a run (many bytes of one set in a row). */
#ifndef DLP_RULEC_ANCHOR_H
#define DLP_RULEC_ANCHOR_H

#include "dlp/rulec_regex.h"

enum {
    RULEC_MAX_OFFSET = 256,
    RULEC_MIN_RUN = 16,
    RULEC_MAX_ANCHORS = 1024,
    RULEC_MAX_SPELLINGS = 16, /* of a window that the prefilter looks for as a literal */
};

/* struct bundle_sequel with its sets; `at`: bytes from the window's beginning on. */
struct rulec_sequel {
    unsigned at, n_parts;
    struct rulec_sequel_part {
        struct bundle_set skip, run;
        unsigned most, n;
    } part[BUNDLE_SEQUEL_PARTS];
};

struct rulec_anchor {
    struct bundle_set set[BUNDLE_WINDOW_BYTES]; /* window; a run has set[0] */
    unsigned run;                               /* bytes of a run; 0: a window */
    unsigned min, max;                          /* bytes in front of it, at least and at most */
    struct bundle_set between;                  /* what those bytes can be */
    bool alike;                                 /* of struct bundle_target */
    uint8_t value[BUNDLE_AROUND_BYTES], mask[BUNDLE_AROUND_BYTES]; /* of struct bundle_target */
    struct rulec_sequel sequel;                                    /* of a window */
    double cost; /* how often text is expected to hold it, a byte */
};

/* Chooses anchors for the tree; *out lives in arena. GW_EINVAL when every choice is too common or too
 * far from the start; GW_ENOMEM. */
enum gw_status rulec_anchors(struct gw_arena *arena, const struct rx_node *root,
                             struct rulec_anchor **out, unsigned *n_out, struct gw_err *err);

/* The sequel of a target. */
void rulec_sequel_read(const struct bundle *b, const struct bundle_target *t,
                       struct rulec_sequel *out);

/* Spreads n windows over at most n_buckets buckets so that the union of each bucket's sets stays rare.
 * GW_ENOMEM. */
enum gw_status rulec_buckets(const struct bundle_set (*windows)[BUNDLE_WINDOW_BYTES], unsigned n,
                             unsigned n_buckets, unsigned *bucket);

/* How often text is expected to hold four bytes in a row of these sets, a byte: 0 to 1. */
double rulec_window_cost(const struct bundle_set window[BUNDLE_WINDOW_BYTES]);

/* What all bytes of a set have alike: the bits of the mask that is returned are those of *value. */
uint8_t rulec_common_bits(const struct bundle_set *s, uint8_t *value);

/* Groups of four characters, without case, that text has at least that often; a band's groups follow each other, sorted. */
struct rulec_grams {
    double rate; /* a character */
    unsigned n;
    const char *text;
};
enum { RULEC_GRAM_BANDS = 6 };
extern const struct rulec_grams rulec_grams[RULEC_GRAM_BANDS];

/* The rate of four characters, letters of which are small ones, or of two or three with NUL behind; 0: too seldom for the table. */
double rulec_gram_rate(const uint8_t gram[BUNDLE_WINDOW_BYTES]);

/* How often a byte of text is expected to be of s; the sum of rough figures, so that it may be a little above 1. */
double rulec_set_frequency(const struct bundle_set *s);

/* Bytes of one kind stand together: a digit is rare, but half of what stands behind one are digits. */
enum rulec_kind { RULEC_LOWER, RULEC_UPPER, RULEC_DIGIT, RULEC_SPACE, RULEC_OTHER, RULEC_KINDS };

/* The share of each kind's bytes that are in s, by how often text has them. */
void rulec_kind_shares(const struct bundle_set *s, double share[RULEC_KINDS]);

/* The bytes that long tokens are made of: runs are looked for in these. */
void rulec_token_set(struct bundle_set *out);

#endif
