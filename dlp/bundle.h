/* dlp/bundle.h - a compiled rule set that is ready to scan with. Private to dlp.
 *
 * struct dlp_rules is a bundle (tables of dlp/bundle_abi.h, built in, in a shared object, or made in memory) with what
 * the host adds: its validators behind their names, and the prefilter's tables. Immutable but for the
 * reference count. */
#ifndef DLP_BUNDLE_H
#define DLP_BUNDLE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "dlp/bundle_abi.h"
#include "dlp/dlp.h"
#include "dlp/interp.h"
#include "dlp/prefilter.h"
#include "dlp/rulec.h"
#include "dlp/validate.h"

/* The first four bytes of a word, each with 0x20 set, as far as they stand in a text as they are written. */
struct bundle_word_head {
    uint32_t value, mask;
};

/* Words sorted by slot, the low five bits of their first byte: slot s has [first[s], first[s + 1]). */
struct bundle_slots {
    const struct bundle_word_head *heads; /* of each word */
    uint16_t first[33];
    uint32_t pair[32]; /* bit s2 of pair[s1]: some word begins with bytes of slots s1 and s2 */
};

/* Fills slots for words that are sorted so; its heads are the next n of *heads. literal: they stand in texts as they are written;
 * else as context words do. */
void bundle_slots_init(struct bundle_slots *slots, const struct bundle_text *words, unsigned n,
                       bool literal, struct bundle_word_head **heads);

/* What the words of a context begin with, as Bloom filters that 64 places can be asked of at once: under hashes of the first 2, 3, 4 or 6
 * bytes that stand in texts as they are written, as many as a word has (bundle_bloom_hash()). They are made for AVX-512. */
enum {
    BUNDLE_BLOOM_WORD = 6, /* bytes of a word that are hashed at most */
    BUNDLE_BLOOM_BANK =
        128, /* bytes: low bits of one hash tell the byte, those of the next one the bit; */
    BUNDLE_BLOOM_BANKS = 4,   /* the upper bits of both tell the bank, where there are that many */
    BUNDLE_BLOOM_MANY = 64,   /* words; with more there are two filters of four banks: */
    BUNDLE_BLOOM_FILTERS = 2, /* hashes 0 and 1, and 1 and 2 */
};
struct bundle_bloom {
    unsigned lengths; /* bit n: some word has n bytes hashed; below two: it may begin anywhere */
    bool many;
    const uint8_t *banks;
};

/* The coefficients of hash `which` for the byte at place, below BUNDLE_BLOOM_WORD. */
static inline uint64_t bundle_bloom_linear(unsigned which, unsigned place)
{
    return prefilter_linear[(which + place / BUNDLE_WINDOW_BYTES) % PREFILTER_BLOOMS]
                           [place % BUNDLE_WINDOW_BYTES];
}

/* Adds n bytes that a word begins with to the filter, which has these banks. */
void bundle_bloom_add(const struct bundle_bloom *bloom, uint8_t *banks, const unsigned char *bytes,
                      unsigned n);

/* What all words of all contexts begin with, so that places at which none stands are passed once for all rules: Bloom filters of
 * their first four, three, two bytes or of one, as many of them as stand in texts as they are written. */
struct bundle_heads {
    uint64_t four[1 << 9], three[1 << 7], two[1 << 7], one[4];
};

/* The bit of n bytes in a table of 2^bits. Bytes have 0x20 set; the first is the low one. */
static inline uint32_t bundle_head_bit(uint32_t head, unsigned n, unsigned bits)
{
    return (head << (32 - 8 * n)) * 0x9E3779B1u >> (32 - bits);
}

static inline uint64_t bundle_head_has(const uint64_t *table, uint32_t bit)
{
    return table[bit >> 6] >> (bit & 63);
}

/* Can a word begin with these four bytes? */
static inline bool bundle_heads_have(const struct bundle_heads *h, uint32_t head)
{
    return ((bundle_head_has(h->four, bundle_head_bit(head, 4, 15)) |
             bundle_head_has(h->three, bundle_head_bit(head, 3, 13)) |
             bundle_head_has(h->two, bundle_head_bit(head, 2, 13)) |
             bundle_head_has(h->one, head & 0xFF)) &
            1) != 0;
}

/* Rules that sleep where no word of a context stands that they require (dlp/scan_sleep.c). */
enum {
    BUNDLE_SLEEPERS = 128,
    BUNDLE_SLEEP_LEAST = 2, /* bytes of a word's beginning that are hashed, */
    BUNDLE_SLEEP_MOST = 4,  /* as many as stand in texts as they are written */
    BUNDLE_SLEEP_CELLS = 1 << 12,
    BUNDLE_SLEEP_BANKS = 2 + BUNDLE_BLOOM_FILTERS * BUNDLE_BLOOM_BANKS,
};

struct bundle_sleeper {
    const struct bundle_context *context; /* of the rule */
    uint32_t rule;
    /* A word of the context counts for matches that begin in so many bytes in front of where it begins, or behind. */
    uint32_t ahead, back;
};

/* Stands such a byte between the parts of a word? */
static inline bool bundle_is_joint(unsigned char c)
{
    return c == ' ' || c == '_' || c == '-' || c == '.' || (c >= '\t' && c <= '\r');
}

/* What wakes one, where so many first bytes of a word stand, each with 0x20 set: value, shifted so that others are gone; behind them a
 * joint or `behind`, with 0x20 set, unless that is 0; and all of the word. Small: a text asks for many. */
struct bundle_stir {
    uint64_t value;
    uint32_t word; /* index of bundle_sleep.words */
    uint8_t sleeper, n, behind;
};

struct bundle_sleep {
    unsigned n, n_stirs;
    uint32_t ahead, back; /* the greatest ones */
    struct bundle_sleeper of[BUNDLE_SLEEPERS];
    uint8_t *sleeper_of;       /* of each pattern, plus 1; 0: it never sleeps */
    struct bundle_stir *stirs; /* those of cell c are [first[c], first[c + 1]) */
    const struct bundle_text **words;
    uint16_t *first;
    uint64_t known[BUNDLE_SLEEP_CELLS / 64];           /* cells with any */
    struct bundle_bloom blooms[BUNDLE_SLEEP_MOST + 1]; /* for each number of bytes */
    uint8_t *banks;                                    /* what these point into */
};

/* Where what begins with n bytes is, each with 0x20 set; the first is the low one. */
static inline uint32_t bundle_sleep_cell(uint32_t head, unsigned n)
{
    return bundle_head_bit(head, n, 12);
}

enum {
    BUNDLE_LIMITS = 8,     /* lengths of text from which on some patterns are dead */
    BUNDLE_LONG_TEXTS = 2, /* those from which on texts have a filter of their own */
};

/* Bytes, each just above one of the limits. */
extern const size_t bundle_long_texts[BUNDLE_LONG_TEXTS];

/* What the first validator is of the matches of a pattern that are nothing but digits, all of those that stand together; at most one. */
struct bundle_plain {
    const struct dlp_id_scheme *scheme; /* id() */
    bool is_card;                       /* card, which wants no digits beside a match */
};

/* What a set keeps for its bundle; each may be NULL. */
struct bundle_owned {
    void *object;                          /* dlopen handle */
    struct gw_arena *arena;                /* where a bundle that was made in memory is */
    const struct interp_program *programs; /* in it: of each pattern without a matcher */
    struct dlp_rules **parts; /* in it: sets that some of its rules came from; references */
    unsigned n_parts;
    const struct rulec_set *set; /* in it: the rules that were read from sources */
    /* Their patterns are [first_pattern, ...) and, those of their nears, [first_near, ...), without the rules that are off. */
    uint32_t first_pattern, first_near;
};

typedef _Atomic(bundle_match_fn *) bundle_matcher;

/* Can a rule of numbers (see struct dlp_rules) have a match that begins with c: a digit, or what stands in front of a number? */
static inline bool bundle_begins_number(unsigned char c)
{
    return (unsigned char)(c - '0') < 10 || c == '(' || c == '+';
}

/* Does what a finding of the rule is worth depend on how many values there are? */
static inline bool bundle_counts(const struct bundle_rule *r)
{
    return r->min_count > 1 || r->max_count != UINT32_MAX || r->n_steps > 0;
}

/* What is asked of a pattern for each try, side by side. */
struct bundle_try {
    uint32_t rule, reach, first_memo; /* of struct bundle_pattern */
    uint8_t before, after;
    uint8_t confidence;
    bool takes_all; /* every match is a finding of that confidence: nothing judges it */
    bool counts;    /* bundle_counts() */
};

/* A validator with what it is given. */
struct bundle_checker {
    const struct dlp_validator *v;
    struct gw_span str;
    const struct dlp_id_scheme *scheme; /* that str names; NULL: none */
};

struct dlp_rules {
    const struct bundle *b;
    uint64_t serial;                   /* no other set of this process has it */
    struct dlp_rule_info *info;        /* of each rule */
    struct bundle_checker *validators; /* of all rules' checks, in order */
    unsigned *first_validator;         /* of each rule, into validators */
    unsigned *first_context;           /* of each rule, into words and keys */
    struct bundle_slots *words, *keys; /* of all rules' contexts, in order */
    struct bundle_heads heads;         /* of all words */
    struct bundle_bloom *blooms;       /* of all rules' contexts, in order */
    uint8_t *bloom_banks;              /* what these point into */
    struct bundle_sleep sleep;
    struct bundle_slots *lists;          /* of each list's words */
    bool *asks_random;                   /* of each rule: `random` is one of its validators */
    struct bundle_word_head *word_heads; /* what all of these point into */
    unsigned char *lift;                 /* points that steps may add, of each rule */
    bool has_counts;                     /* some rule has a count or steps */
    struct prefilter filter;
    /* The same for texts of bundle_long_texts[] bytes and more: without the patterns that are dead in these. */
    struct prefilter long_filters[BUNDLE_LONG_TEXTS];
    uint64_t *dead_words, *dead[BUNDLE_LIMITS]; /* bundle_dead() */
    /* Rules of numbers, of which each match begins with a digit or a sign of one, and something checks it: their patterns, of rules of which
     * all are looked for where words begin; and those of the others. */
    bool *is_number;
    uint32_t *numbers;
    unsigned n_numbers;
    bool has_numbers;           /* some pattern is of a rule of numbers */
    struct bundle_plain *plain; /* of each pattern */
    struct bundle_try *tries;   /* of each pattern */
    unsigned look_behind;       /* bytes in front of a match that its judgement may look at */
    unsigned max_run;           /* longest run that is looked for */
    atomic_uint refs;
    bool forever; /* the rules that are built in */
    /* Of each pattern; NULL: the interpreter runs its program. Set once, to one that finds the same (dlp/native.c), while
     * others scan. */
    bundle_matcher *match;
    struct native *native; /* NULL: nothing was compiled for it */
    struct bundle_owned owned;
};

/* Completes b. GW_EUNSUPPORTED for another ABI or an unknown validator; GW_ENOMEM. On success *out is
 * owned by the caller (dlp_rules_unref), and *owned (or NULL) by it. */
enum gw_status bundle_open(const struct bundle *b, const struct bundle_owned *owned,
                           struct dlp_rules **out, struct gw_err *err);

/* Fills r->blooms from r->words; false when out of memory. */
bool bundle_blooms_init(struct dlp_rules *r, unsigned n_contexts);

/* Fills r->sleep from r->words, which have n words at most; false when out of memory. */
bool bundle_sleep_init(struct dlp_rules *r, size_t n);
void bundle_sleep_fini(struct bundle_sleep *s);

/* Fills r->dead and builds the filters; false when out of memory. */
bool bundle_limits_init(struct dlp_rules *r);
/* Which patterns find nothing in a complete text of this length, whatever it says: a bit each; NULL: none. */
const uint64_t *bundle_dead(const struct dlp_rules *r, size_t len);
/* Lengths of which it says the same have the same tier, [0, BUNDLE_LIMITS]; *to is the greatest of them. */
unsigned bundle_tier(size_t len, size_t *to);

/* Appends a megabyte of ordinary text. */
void bundle_trial_text(struct gw_buf *out);

/* Scans ordinary text with the rules of which only says so, or all (NULL). GW_EINVAL with one that is too noisy or too slow for it. */
enum gw_status bundle_trial(const struct dlp_rules *r, const bool *only, struct gw_err *err);

/* Runs the examples of the rules of which only says so, or all (NULL). GW_EINVAL with the first that is wrong. */
enum gw_status bundle_check_examples(struct dlp_rules *r, const bool *only, struct gw_err *err);

/* Runs the matcher of a pattern, native or not, as a bundle_match_fn. */
static inline void bundle_match(const struct dlp_rules *r, uint32_t pattern, const unsigned char *s,
                                const unsigned char *lim, struct bundle_match *m)
{
    bundle_match_fn *match = atomic_load_explicit(&r->match[pattern], memory_order_acquire);

    if (match != NULL)
        match(s, lim, m);
    else
        interp_match(&r->owned.programs[pattern], s, lim, m);
}

/* The names under which bundles and shards are exported. */
#define BUNDLE_SYMBOL       "dlp_bundle"
#define BUNDLE_SHARD_SYMBOL "dlp_shard"

/* Closes what was compiled for a set; n may be NULL. */
void native_free(struct native *n);

#endif
