/* dlp/rulec_regex.h - a pattern as a tree of byte sets. Private to the rule compiler. */
#ifndef DLP_RULEC_REGEX_H
#define DLP_RULEC_REGEX_H

#include "dlp/bundle_abi.h"
#include "dlp/rulec.h"

enum { RX_INFINITE = -1 };

enum rx_kind {
    RX_EMPTY,  /* the empty string */
    RX_SET,    /* one byte of set */
    RX_CAT,    /* the kids one after the other */
    RX_ALT,    /* one of the kids */
    RX_REPEAT, /* the only kid min to max times */
    RX_SECRET, /* the only kid, reported */
};

struct rx_node {
    enum rx_kind kind;
    struct bundle_set set;
    int min, max; /* REPEAT; max may be RX_INFINITE */
    struct rx_node *kid, *next;
};

struct rx_pattern {
    struct rx_node *root;
    enum rulec_boundary before, after;
};

/* Parses text. boundary is what holds where the pattern says nothing itself. GW_EPARSE with "at column
 * N: what, what to do instead"; GW_ELIMIT; GW_ENOMEM. */
enum gw_status rx_parse(struct gw_arena *arena, struct gw_span text, bool nocase,
                        enum rulec_boundary boundary, struct rx_pattern *out, struct gw_err *err);

/* Constructors, NULL when the arena is exhausted. rx_list links a and b (either may be NULL). */
struct rx_node *rx_new(struct gw_arena *arena, enum rx_kind kind);
struct rx_node *rx_copy(struct gw_arena *arena, const struct rx_node *n);

/* True when some match of n is empty. */
bool rx_nullable(const struct rx_node *n);

/* True when n is, or holds, a node of that kind. */
bool rx_has(const struct rx_node *n, enum rx_kind kind);

/* The bytes a match can begin with; all bytes a match can hold. */
void rx_first(const struct rx_node *n, struct bundle_set *out);
void rx_all(const struct rx_node *n, struct bundle_set *out);

/* What can stand at each place from the start of a match on, NUL for the end of the text too; behind the shortest match that
 * includes what `after` allows there, and further behind anything. Never less than what is so, sometimes more. One head for each of
 * the alternatives that n begins with, neighbours together where there are many; for a number that has a few lengths, one for each of
 * these: every match begins as one of them says.
 * Returns how many, at least 1. */
unsigned rx_heads(const struct rx_node *n, enum rulec_boundary after,
                  struct bundle_set out[BUNDLE_HEADS][BUNDLE_HEAD_BYTES]);

/* Classes of bytes, bits of prefilter_classes, one of which every match has among its first *within bytes, as seldom ones as there are;
 * 0: none. */
uint32_t rx_need(const struct rx_node *n, uint32_t *within);

/* What can stand behind the bytes of names that a match begins with, none or more, NUL for the end of the text too; returns how many these
 * are at most, UINT32_MAX when any number, and when a match may have no other bytes. */
uint32_t rx_behind_name(const struct rx_node *n, struct bundle_set out[BUNDLE_NAME_BYTES]);

/* How long a match can be: bit n for n bytes, bit 63 for 63 and more. Never less than what is so. */
uint64_t rx_lengths(const struct rx_node *n);

/* Shortest and longest match in bytes; *max is RX_INFINITE without a bound. */
void rx_width(const struct rx_node *n, long *min, long *max);

static inline bool rx_set_has(const struct bundle_set *s, unsigned b)
{
    return (s->w[b >> 5] >> (b & 31) & 1u) != 0;
}

/* The bytes of names: [A-Za-z0-9_.-]. */
static inline const struct bundle_set *rx_names(void)
{
    static const struct bundle_set names = {{0, 0x03ff6000, 0x87fffffe, 0x07fffffe, 0, 0, 0, 0}};

    return &names;
}

static inline bool rx_is_name(unsigned byte)
{
    return rx_set_has(rx_names(), byte);
}

static inline void rx_set_add(struct bundle_set *s, unsigned b)
{
    s->w[b >> 5] |= 1u << (b & 31);
}

static inline void rx_set_join(struct bundle_set *s, const struct bundle_set *o)
{
    for (unsigned i = 0; i < 8; i++)
        s->w[i] |= o->w[i];
}

static inline bool rx_set_meets(const struct bundle_set *a, const struct bundle_set *b)
{
    uint32_t any = 0;

    for (unsigned i = 0; i < 8; i++)
        any |= a->w[i] & b->w[i];
    return any != 0;
}

#endif
