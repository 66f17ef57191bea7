/* dlp/prefilter.h - finds the places in a text where a match may be. Private to dlp.
 *
 * What a rule set looks for comes in four kinds, each with the cheapest test that tells most:
 *   literals  windows that begin with four bytes, case aside, or with three: a hash of these, behind buckets where they are few;
 *   wide      other windows (`@` and a letter): a set of buckets for each of the four places; then all of the sixteen bytes around
 *             them at once, a bit for each way to begin a match of one of their targets;
 *   starts    patterns of digits and capitals that begin where a word does: the same buckets for their first four bytes, but
 *             only where a word begins and, for most, a digit or a colon is near; then all of their first sixteen bytes at once, a
 *             bit a pattern;
 *   runs      long tokens.
 * A find function goes over the text once and gives the places of each kind; its tests may accept more, never less, and
 * prefilter_lit(), prefilter_wide_left() and prefilter_start_row() then say exactly which windows and patterns. Immutable
 * after prefilter_init, so any thread may use it. */
#ifndef DLP_PREFILTER_H
#define DLP_PREFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dlp/bundle_abi.h"
#include "dlp/rulec.h"

enum {
    PREFILTER_CHUNK = 4096,
    PREFILTER_BLOCKS = PREFILTER_CHUNK / 64,
    PREFILTER_SLACK = 64,
    PREFILTER_LIT_ROOM = 1 << 13, /* elements of prefilter_index.common */
    PREFILTER_BLOOMS = 3,
    PREFILTER_BLOOM_BANKS = 8, /* of 128 bytes; small filters have half of them */
    PREFILTER_ROW_WORDS = 8,   /* rows of starts are a multiple of that, or a word */
    /* What an element of prefilter_places.literal is made of: which lengths of literal it may be, and the place. */
    PREFILTER_PLACE = (1 << 13) - 1,
    PREFILTER_IS_FOUR = 1 << 13,
    PREFILTER_IS_THREE = 1 << 14,
    PREFILTER_LIT_BEFORE = 2,
    /* Bytes beside a wide window that buckets are asked about, too, and how many of them stand in front of it. */
    PREFILTER_BESIDE = 4,
    PREFILTER_BESIDE_BEFORE = 2,
    PREFILTER_NEAR_DIGIT = 12, /* bytes looked at for the digit or colon some starts have near */
    PREFILTER_NEAR_COLON = 6,
    PREFILTER_AROUNDS = 64,
    PREFILTER_AROUND_WORDS = 4, /* of prefilter.arounds, for each target, */
    PREFILTER_AROUNDS_STEP = 8, /* and so many behind the last one that can be read */
};
_Static_assert((int)PREFILTER_CHUNK + (int)PREFILTER_SLACK <= (int)PREFILTER_PLACE, "places");

/* Classes of bytes, a bit each: what has to be near the beginning of a match (struct bundle_pattern). */
enum {
    PREFILTER_DIGIT = 1 << 0,
    PREFILTER_COLON = 1 << 1,
    PREFILTER_EQUALS = 1 << 2,
    PREFILTER_AT = 1 << 3,
    PREFILTER_LESS = 1 << 4,
    PREFILTER_QUOTE = 1 << 5,  /* " ' */
    PREFILTER_ROUND = 1 << 6,  /* ( */
    PREFILTER_SQUARE = 1 << 7, /* [ { */
    PREFILTER_CLASSES = 8,
    PREFILTER_NEARS = (PREFILTER_DIGIT | PREFILTER_COLON) + 1, /* what starts are told by */
};

/* Where buckets are, eight each: wide windows and starts have two kinds. */
enum prefilter_kind {
    PREFILTER_WIDE,
    PREFILTER_WIDER,
    PREFILTER_START,
    PREFILTER_STARTER,
    PREFILTER_KINDS
};

/* What the buckets of PREFILTER_START are for; all of PREFILTER_STARTER are for other starts. */
enum {
    PREFILTER_BY_DIGIT = 0x07, /* starts with a digit near, */
    PREFILTER_BY_COLON = 0x08, /* a colon, */
    PREFILTER_BY_REST = 0xF0,  /* wide windows where they are few, and other starts */
};

struct prefilter;

/* What a find function tells of [from, to): bit b of word i is about byte from + 64 * i + b. */
struct prefilter_places {
    /* Ascending, counted from `from`, with flags; see PREFILTER_PLACE. */
    uint16_t literal[PREFILTER_CHUNK + PREFILTER_SLACK];
    unsigned n_literal;
    uint64_t start[PREFILTER_BLOCKS];
    uint64_t busy; /* bit i: word i of start may have some bits; */
    uint64_t rows; /* in word i of those of runs a row of prefilter.least_row begins or goes on */
    /* Where a digit or a colon is near, as far as these bytes say. */
    uint64_t digit[PREFILTER_BLOCKS + 1], colon[PREFILTER_BLOCKS + 1];
    /* Scratch of the find functions: starts with something near. */
    uint64_t by_digit[PREFILTER_BLOCKS], by_colon[PREFILTER_BLOCKS];
    /* Bytes [A-Za-z0-9_+/=-], which long tokens are made of; in one more word those of the 64 bytes behind `to`. */
    uint64_t token[PREFILTER_BLOCKS + 1];
    /* The same of those that runs are made of, unless these are all of them: see prefilter_run_bytes(). */
    uint64_t run[PREFILTER_BLOCKS + 1];
    uint64_t begin[PREFILTER_BLOCKS]; /* where a word begins or a byte is none of a word's */
    /* Where rows of starts are a word: at which of the starts, counted from `from`, something is left by their first bytes and what is
     * near, and what. */
    uint16_t start_at[PREFILTER_CHUNK + PREFILTER_SLACK];
    uint64_t start_left[PREFILTER_CHUNK];
    unsigned n_start;
    /* Where wide windows may be, ascending, counted from `from`; where their rows are a word: at which of them something is left, and what. */
    uint16_t wide_at[PREFILTER_CHUNK + PREFILTER_SLACK];
    uint64_t wide_left[PREFILTER_CHUNK];
    unsigned n_wide;
};

/* `to` is len, or to - from a multiple of 64; to - from is at most PREFILTER_CHUNK. Bytes at len and beyond count as NUL and are not
 * read; what is at from - 1 is. */
typedef void prefilter_find_fn(const struct prefilter *f, const unsigned char *text, size_t from,
                               size_t to, size_t len, struct prefilter_places *out);

/* Which starts of the rows' words [first, first + PREFILTER_ROW_WORDS) the BUNDLE_HEAD_BYTES at p allow, and what is near: PREFILTER_DIGIT,
 * PREFILTER_COLON. False: none, and alive may be anything. */
typedef bool prefilter_starts_fn(const struct prefilter *f, const unsigned char *p, unsigned near,
                                 unsigned first, uint64_t alive[PREFILTER_ROW_WORDS]);

/* Is there a byte of one of the classes among n bytes at p, 64 at most? */
typedef bool prefilter_near_fn(const unsigned char *p, size_t n, unsigned classes);

/* Which of n bytes at p, 64 at most, are of the set: a bit each, 0 behind them. */
typedef uint64_t prefilter_members_fn(const struct bundle_set *set, const unsigned char *p,
                                      size_t n);

/* Which of n targets' windows, PREFILTER_AROUNDS at most, can stand between these bytes: a bit each. a: theirs of prefilter.arounds. */
typedef uint64_t prefilter_fitting_fn(const uint64_t *a, unsigned n, const uint64_t around[2]);

/* Of these targets, a bit each from the first-th on: those whose windows can stand so many bytes in front of the end of a name behind
 * which this is alive (prefilter.behind_name). */
typedef uint64_t prefilter_named_fn(const struct prefilter *f, uint32_t first, uint64_t targets,
                                    uint64_t alive, size_t left);

/* One spelling of a literal window: the eight bytes from PREFILTER_LIT_BEFORE in front of the place on, masked, are value: the
 * literal's, and what all of its targets have in common around it. These are [first, end). */
struct prefilter_lit {
    uint64_t value, mask;
    uint32_t first, end;
};

/* Lengths of literals. */
enum prefilter_length { PREFILTER_FOUR, PREFILTER_THREE, PREFILTER_LENGTHS };

/* What the eight bytes of all spellings have in common whose hashes have the same upper 13 bits. Mostly there is one: then n is 0, and its
 * targets are [first, first + n_targets). Else they are n from first on. */
struct prefilter_common {
    uint64_t value, mask;
    uint32_t first;
    uint16_t n, n_targets : 15;
    uint16_t at_word : 1; /* all of them stand where a word begins */
};

/* Literals of one length: a bit for each 16-bit hash, and the spellings in order of its upper 13 bits. */
struct prefilter_index {
    /* The same as the bits, as Bloom filters of 4,096 bits, or 8,192, under hashes that are linear over GF(2), which 64 bytes can be
     * asked of at once. */
    _Alignas(64) uint8_t bloom[PREFILTER_BLOOMS][PREFILTER_BLOOM_BANKS][128];
    uint64_t hashes[1 << 10];
    struct prefilter_common common[PREFILTER_LIT_ROOM];
    struct prefilter_lit *lits;
    unsigned n;
    unsigned n_blooms; /* how many are worth asking */
    bool has_all_banks;
};

struct prefilter_head; /* dlp/prefilter_head.h */

/* One head of a pattern. lengths, need and within: as in its prefilter_need, need only where the head does not say it. */
struct prefilter_start {
    uint64_t lengths;
    uint32_t pattern;
    uint8_t need, within, name; /* of struct prefilter_need */
    uint8_t head : 7;
    bool at_token : 1; /* a match begins where a token does, not at any word */
};

/* A first test for literals of both lengths where they are few: buckets of those whose bytes are alike, eight a group. A bit for each bucket
 * that has some byte at a place, by what is left of the byte: six bits without case, or its five lower ones. And of two bytes, as bits
 * of enum prefilter_pair, what can stand where they do. */
enum { PREFILTER_SIEVE_GROUPS = 3, PREFILTER_FEW_GROUPS = 2 };
struct prefilter_sieve {
    _Alignas(64) uint8_t six[PREFILTER_SIEVE_GROUPS][BUNDLE_WINDOW_BYTES][64];
    _Alignas(32) uint8_t five[PREFILTER_SIEVE_GROUPS][BUNDLE_WINDOW_BYTES][2]
                             [32]; /* 16 entries twice, then those of bit 4 */
    bool is_made;                  /* the literals are few, */
    bool is_small;                 /* so few that PREFILTER_FEW_GROUPS say nearly as much as all */
    uint8_t *pairs;                /* by the first byte and 256 times the second */
};

/* What two bytes may be: those of a literal at its first places, the second ones, the last ones; of a start's first bucket's, of a wide
 * window's. */
enum prefilter_pair {
    PREFILTER_PAIR_FIRST = 1 << 0,
    PREFILTER_PAIR_SECOND = 1 << 1,
    PREFILTER_PAIR_THIRD = 1 << 2,
    PREFILTER_PAIR_START = 1 << 3,
    PREFILTER_PAIR_WIDE = 1 << 4,
};

/* The six bits of a byte: letters of either case are one. A linear map, so that one instruction makes it of 64 bytes. */
static inline unsigned prefilter_six(unsigned byte)
{
    return (byte & 0x1f) | (byte >> 1 & 0x20);
}

enum { PREFILTER_RUN_BITS = 64 };

/* need and within of a pattern, whether it begins where a word does, and its lengths where a match has to end with a token; all bits
 * elsewhere. What stands behind the name that its matches begin with is that of prefilter.names[name]; name_max: bytes of it at most,
 * UINT16_MAX: any number. */
struct prefilter_need {
    uint64_t lengths;
    uint8_t need, within, name;
    bool at_word;
    uint16_t name_max;
};

/* Ways in which something follows a name, a bit each; the last one stands for anything. */
enum { PREFILTER_NAMES = 64, PREFILTER_ANY_NAME = PREFILTER_NAMES - 1 };

/* What is asked of a run of n bytes, which stands together: bundle_run has a line of the cache for each. */
struct prefilter_run {
    uint32_t index, n, pattern;
    /* How long a run can be that a match begins with and does not leave; UINT32_MAX: any. */
    uint32_t limit;
    bool is_all;   /* a match is the whole run, and nothing else */
    bool is_first; /* in front of it stands a byte of no token, so it begins where a token does */
};

/* runs[first .. end): of one set and kind; least and most: n of the shortest and the longest. */
struct prefilter_runs {
    uint32_t first, end, set, least, most;
    bool anywhere, at_token; /* see enum bundle_run_kind; only where a token begins */
};

enum prefilter_level { PREFILTER_SCALAR, PREFILTER_AVX2, PREFILTER_AVX512 };

struct prefilter {
    enum prefilter_level level;
    prefilter_find_fn *find;
    prefilter_starts_fn *allowed;
    prefilter_near_fn *near;
    prefilter_members_fn *members;
    prefilter_fitting_fn *fitting;
    prefilter_named_fn *named;
    struct prefilter_index literals[PREFILTER_LENGTHS];
    struct prefilter_sieve sieve;
    bool is_asked[PREFILTER_KINDS]; /* some bucket of the kind accepts something */
    uint8_t by_wide, by_other;      /* of PREFILTER_BY_REST: what is for which of both */
    /* Buckets: bit b of bucket[kind][place][byte]: bucket b accepts byte there; for SIMD by seven bits or by nibbles. */
    uint8_t bucket[PREFILTER_KINDS][BUNDLE_WINDOW_BYTES][256];
    _Alignas(64) uint8_t seven[PREFILTER_KINDS][BUNDLE_WINDOW_BYTES][128];
    _Alignas(32) uint8_t low[PREFILTER_KINDS][BUNDLE_WINDOW_BYTES][32]; /* 16 entries, twice */
    _Alignas(32) uint8_t high[PREFILTER_KINDS][BUNDLE_WINDOW_BYTES][32];
    /* The same, by seven bits, of the bytes beside wide windows: first those in front. */
    _Alignas(64) uint8_t beside[PREFILTER_KINDS][PREFILTER_BESIDE][128];
    /* Wide windows; of each of their targets, once for every head that a match at its distance can have, the index in targets; and for
     * each place around a window and byte a row of bits: which of these allow it. */
    uint32_t *wide, *wide_targets;
    uint64_t *wide_rows;
    unsigned n_wide, n_wide_targets, wide_words;
    /* Heads of patterns that are looked for where a word begins, and their rows by place and class of byte; then those by what is near. */
    struct prefilter_start *starts;
    uint64_t *start_rows;
    unsigned n_starts, start_words, n_classes;
    uint8_t class_of[256];
    uint32_t row_of[256]; /* where the row of a byte's class begins */
    /* Targets of those that are looked for by windows: window i has [first_target[i], first_target[i + 1]). */
    struct bundle_target *targets;
    /* The bytes around the windows of PREFILTER_AROUNDS targets of one, or fewer: the first halves of all values, the second ones, those of the
     * masks, as in struct bundle_target. It is all that most places are asked, and so apart from the rest. */
    uint64_t *arounds;
    uint16_t *sequels_of; /* of the first of some targets, index in sequels plus 1; 0: none */
    /* Of each, where between the start and the window there are bytes of names alone: the way in which its name is followed, and how many
     * bytes of it there can be from the window on; else PREFILTER_ANY_NAME and UINT8_MAX, which is any number. */
    uint8_t *name_of, *name_left;
    uint32_t *first_target;
    struct prefilter_sequels *sequels;        /* dlp/prefilter_sequel.h, */
    struct prefilter_sequel_row *sequel_rows; /* and theirs */
    unsigned n_sequels, n_sequel_rows;
    /* Runs of patterns that nothing else finds, in groups that can be at the same places; in each the shortest first. */
    struct prefilter_run *runs;
    struct prefilter_runs *run_groups;
    unsigned n_runs, n_run_groups, least_run; /* the last: bytes of the shortest */
    unsigned least_row; /* the same, RULEC_MIN_RUN at least and 64 at most; 0: there are none */
    /* How far a run is behind the beginning of its match at most, where there is but one distance and that is not told by the token's
     * beginning; bytes of the shortest such run. */
    unsigned run_reach, reach_least;
    /* prefilter_flags, and PREFILTER_IN_RUN: some run's set has the byte; of a lower nibble, a bit for each upper one that it has so. */
    _Alignas(64) uint8_t flags[256];
    uint8_t in_run[16];
    bool run_is_token; /* runs are made of all bytes that tokens are, or there are none */
    /* Those that begin where a word does stand first, and of each byte, a bit a group: which of their sets have it. Bits of groups that
     * begin where any word does, and of all. */
    unsigned n_word_groups, shortest_run,
        longest_run; /* of these; the last two of those with a bit */
    uint64_t run_bits[256], word_runs, all_runs;
    struct prefilter_need *needs;                 /* of each pattern */
    uint64_t behind_name[BUNDLE_NAME_BYTES][256]; /* of each byte there: the ways that allow it */
    /* Heads of each pattern: pattern i has [first_head[i], first_head[i + 1]). */
    struct prefilter_head *heads;
    uint32_t *first_head;
};

/* Which bytes of a chunk runs are made of. */
static inline const uint64_t *prefilter_run_bytes(const struct prefilter *f,
                                                  const struct prefilter_places *places)
{
    return f->run_is_token ? places->token : places->run;
}

/* 16 bits of hash of the first of four bytes, which have no case. No branch on the length: it is hard to guess. */
static inline uint32_t prefilter_hash_of(enum prefilter_length length, uint32_t bytes)
{
    _Static_assert(PREFILTER_FOUR == 0 && PREFILTER_THREE == 1, "bytes that are left out");
    return ((bytes << (8 * (unsigned)length)) * 0x9E3779B1u) >> 16;
}

/* The same of the bytes at p, whatever their case; four can be read. */
static inline uint32_t prefilter_hash(enum prefilter_length length, const unsigned char *p)
{
    uint32_t key = 0;

    memcpy(&key, p, sizeof(key));
    return prefilter_hash_of(length, key | 0x20202020u);
}

static inline bool prefilter_hash_known(const struct prefilter_index *literals, uint32_t hash)
{
    return (literals->hashes[hash >> 6] >> (hash & 63) & 1) != 0;
}

static inline bool prefilter_fits_common(const struct prefilter_index *literals, uint32_t hash,
                                         uint64_t key, uint64_t begin)
{
    const struct prefilter_common *c = &literals->common[hash >> 3];

    return ((key & c->mask) == c->value) & ((~(uint64_t)c->at_word | begin) & 1);
}

/* Which lengths of literal there can be, as flags; 0: none. key: the eight bytes from PREFILTER_LIT_BEFORE in front of it on; begin, its
 * lowest bit: a word can begin there. */
static inline unsigned prefilter_literal(const struct prefilter *f, uint64_t key, uint64_t begin)
{
    const struct prefilter_index *fours = &f->literals[PREFILTER_FOUR],
                                 *threes = &f->literals[PREFILTER_THREE];
    uint32_t bytes = (uint32_t)(key >> (8 * PREFILTER_LIT_BEFORE)) | 0x20202020u,
             four = prefilter_hash_of(PREFILTER_FOUR, bytes),
             three = prefilter_hash_of(PREFILTER_THREE, bytes);
    bool is_four = prefilter_hash_known(fours, four),
         is_three = prefilter_hash_known(threes, three);

    /* Mostly one of them; the tables are large, and both are seldom in the cache. */
    if (is_four & is_three) {
        is_four = prefilter_fits_common(fours, four, key, begin);
        is_three = prefilter_fits_common(threes, three, key, begin);
    } else {
        bool fits =
            prefilter_fits_common(is_four ? fours : threes, is_four ? four : three, key, begin);

        is_four &= fits;
        is_three &= fits;
    }
    return (is_four ? PREFILTER_IS_FOUR : 0u) | (is_three ? PREFILTER_IS_THREE : 0u);
}

/* The eight bytes from PREFILTER_LIT_BEFORE in front of `at` on; beyond text[0, len) they are NUL. */
static inline uint64_t prefilter_key(const unsigned char *text, size_t at, size_t len)
{
    uint64_t key = 0;
    unsigned char bytes[sizeof(key)] = {0};

    if (at >= PREFILTER_LIT_BEFORE && len - at >= sizeof(key) - PREFILTER_LIT_BEFORE) {
        memcpy(&key, text + at - PREFILTER_LIT_BEFORE, sizeof(key));
        return key;
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        if (at + i >= PREFILTER_LIT_BEFORE && at + i - PREFILTER_LIT_BEFORE < len)
            bytes[i] = text[at + i - PREFILTER_LIT_BEFORE];
    memcpy(&key, bytes, sizeof(key));
    return key;
}

/* The buckets of the kind that accept the four bytes at p. */
static inline unsigned prefilter_buckets(const struct prefilter *f, enum prefilter_kind kind,
                                         const unsigned char *p)
{
    unsigned found = f->bucket[kind][0][p[0]];

    for (unsigned place = 1; place < BUNDLE_WINDOW_BYTES; place++)
        found &= f->bucket[kind][place][p[place]];
    return found;
}

/* The coefficients of the linear hashes, one for each of the four bytes; none looks at the bit that letters' case is. Filter i is
 * asked with hash i and some bits of the next one. */
extern const uint64_t prefilter_linear[PREFILTER_BLOOMS][BUNDLE_WINDOW_BYTES];

/* What a byte adds to a hash with these coefficients. */
uint8_t prefilter_linear_byte(uint64_t coefficients, unsigned char byte);

/* [A-Za-z0-9_], [A-Za-z0-9_+/=-], [0-9] and `:` of each byte: bits 0 to 3. */
extern const uint8_t prefilter_flags[256];
enum { PREFILTER_IN_RUN = 1 << 4 }; /* of prefilter.flags */

/* The class of each byte; 0: none. Stands in rulec_need.c, since the rule compiler comes without the filter. */
extern const uint8_t prefilter_classes[256];

/* Does every match begin where a word does? */
static inline bool prefilter_at_word(const struct bundle_pattern *p)
{
    return p->before == RULEC_BOUNDARY_WORD || p->before == RULEC_BOUNDARY_TOKEN;
}

/* For prefilter_init, when f->targets and f->needs are there: what they say of the names in front of windows. */
void prefilter_fill_named(struct prefilter *f, const struct bundle *b);

/* For prefilter_init: what is known of the starts of a head; f->needs are there. */
struct prefilter_start prefilter_start_of(const struct prefilter *f, const struct bundle *b,
                                          uint32_t pattern, unsigned head);

/* For prefilter_init, when f->needs and f->starts are there: the class that a start has near, as far as places are told by it; 0: none. Fills
 * in the rows by what is near. */
unsigned prefilter_near_class(const struct prefilter *f, unsigned start);
void prefilter_fill_nears(struct prefilter *f);

/* For prefilter_init: can the run stand elsewhere than at the beginning of its match, which is a word's? Sorts f->runs into groups. */
bool prefilter_is_anywhere(const struct bundle *b, const struct bundle_run *run);
void prefilter_group_runs(struct prefilter *f, const struct bundle *b);

/* For prefilter_init: spreads n quadruples of sets over n_buckets buckets from the first-th one on, counted over all kinds. False when out
 * of memory. */
bool prefilter_fill_buckets(struct prefilter *f, unsigned first, unsigned n_buckets,
                            const struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES], unsigned n);

/* For prefilter_init: fills f->heads; false when out of memory. */
bool prefilter_fill_heads(struct prefilter *f, const struct bundle *b);
/* The same for f->needs and f->behind_name. */
bool prefilter_fill_needs(struct prefilter *f, const struct bundle *b);

/* Quadruples of sets, n of them. */
struct prefilter_quads {
    struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES];
    unsigned n;
};

/* Of the buckets of PREFILTER_BY_REST: how many are for wide windows, the rest being for starts (0: these have kinds of their own); and how
 * many buckets those starts have, more than the rest: PREFILTER_STARTER is asked, too. */
struct prefilter_shares {
    unsigned wide, others;
};

/* For prefilter_init: what costs least. */
struct prefilter_shares prefilter_share(const struct prefilter_quads *wide,
                                        const struct prefilter_quads *others);

/* For prefilter_init: the sets of all wide windows; none when out of memory. */
struct prefilter_quads prefilter_wide_quads(const struct prefilter *f, const struct bundle *b);
/* The same: fills in their targets and rows; false when out of memory. */
bool prefilter_fill_wide(struct prefilter *f, const struct bundle *b);
/* The same for the sequels of windows with many targets. */
bool prefilter_fill_sequels(struct prefilter *f, const struct bundle *b);
/* The same, when buckets are there, too: what can stand beside them. */
void prefilter_fill_beside(struct prefilter *f, const struct bundle *b);

/* For prefilter_init, when literals and buckets are there: false when out of memory. */
bool prefilter_fill_sieve(struct prefilter *f);

/* Builds the tables, without the patterns that skipped[pattern] names; false when out of memory. Release with prefilter_fini. */
bool prefilter_init(struct prefilter *f, const struct bundle *b, const bool *skipped);
void prefilter_fini(struct prefilter *f);

/* The variants; the last two only where the machine has the instructions. */
prefilter_find_fn prefilter_find_scalar, prefilter_find_avx2, prefilter_find_avx512;
/* Keeps of the literal places [first, end), which are counted from `from`, those where a literal can be, with their flags, behind so many
 * that are kept already; returns how many are then. */
unsigned prefilter_keep_known(const struct prefilter *f, const unsigned char *text, size_t from,
                              size_t len, struct prefilter_places *places, unsigned first,
                              unsigned end, unsigned kept);
prefilter_starts_fn prefilter_starts_scalar, prefilter_starts_avx2, prefilter_starts_avx512;
prefilter_near_fn prefilter_near_scalar, prefilter_near_avx512;
prefilter_members_fn prefilter_members_scalar, prefilter_members_avx2, prefilter_members_avx512;
prefilter_fitting_fn prefilter_fitting_scalar, prefilter_fitting_avx512;
prefilter_named_fn prefilter_named_scalar, prefilter_named_avx512;
enum prefilter_level prefilter_best(void); /* that the machine has */
void prefilter_choose(struct prefilter *f, enum prefilter_level level);
bool prefilter_has_avx2(void);
bool prefilter_has_avx512(void);

/* The row of starts that can have byte at place (below BUNDLE_HEAD_BYTES). */
static inline const uint64_t *prefilter_start_row(const struct prefilter *f, unsigned place,
                                                  unsigned char byte)
{
    return f->start_rows + (size_t)place * f->n_classes * f->start_words + f->row_of[byte];
}

/* The row of starts that can be where this is near. */
static inline const uint64_t *prefilter_near_row(const struct prefilter *f, unsigned near)
{
    return f->start_rows + ((size_t)BUNDLE_HEAD_BYTES * f->n_classes + near) * f->start_words;
}

/* Which of the starts in left the bytes at p allow at the places [from, to); rows are a word, and each byte is a class. */
static inline uint64_t prefilter_starts_left(const uint64_t *rows, const unsigned char *p,
                                             unsigned from, unsigned to, uint64_t left)
{
    for (unsigned k = from; k < to; k++)
        left &= rows[k * 256 + p[k]];
    return left;
}

/* The same in two steps: the places behind those that buckets were asked about, which leave one start in eight, and all others. */
enum { PREFILTER_TELLING = BUNDLE_WINDOW_BYTES, PREFILTER_TOLD = PREFILTER_TELLING + 4 };
static inline uint64_t prefilter_starts_first(const uint64_t *rows, const unsigned char *p,
                                              uint64_t left)
{
    return prefilter_starts_left(rows, p, PREFILTER_TELLING, PREFILTER_TOLD, left);
}

static inline uint64_t prefilter_starts_rest(const uint64_t *rows, const unsigned char *p,
                                             uint64_t left)
{
    left = prefilter_starts_left(rows, p, 0, PREFILTER_TELLING, left);
    return prefilter_starts_left(rows, p, PREFILTER_TOLD, BUNDLE_HEAD_BYTES, left);
}

/* Which starts the BUNDLE_HEAD_BYTES at p and what is near allow; the same. */
static inline uint64_t prefilter_starts_one(const struct prefilter *f, const unsigned char *p,
                                            unsigned near)
{
    uint64_t left = prefilter_starts_first(f->start_rows, p, *prefilter_near_row(f, near));

    return left == 0 ? 0 : prefilter_starts_rest(f->start_rows, p, left);
}

/* Which targets of wide windows, counted as in wide_targets, of one of so many words of the rows these bytes around a window allow. */
static inline uint64_t prefilter_wide_left(const struct prefilter *f, unsigned words, unsigned word,
                                           const unsigned char around[BUNDLE_AROUND_BYTES])
{
    const size_t row = (size_t)256 * words;
    const uint64_t *rows = f->wide_rows + word;
    uint64_t left = UINT64_MAX, bytes[2];

    /* Two loads: sixteen, and what compilers make of them, would cost more than the rows. */
    memcpy(bytes, around, sizeof(bytes));
    for (unsigned place = 0; place < sizeof(uint64_t); place++) {
        left &= rows[place * row + (bytes[0] >> (8 * place) & 0xff) * words];
        left &= rows[(place + sizeof(uint64_t)) * row + (bytes[1] >> (8 * place) & 0xff) * words];
    }
    return left;
}

/* The bytes around a window at `at`, in text[0, len) or, near its ends, in copy with zeroes. */
static inline const unsigned char *prefilter_around(const unsigned char *text, size_t at,
                                                    size_t len,
                                                    unsigned char copy[BUNDLE_AROUND_BYTES])
{
    if (at >= BUNDLE_AROUND_BEFORE && len - at >= BUNDLE_AROUND_BYTES - BUNDLE_AROUND_BEFORE)
        return text + at - BUNDLE_AROUND_BEFORE;
    for (size_t i = 0; i < BUNDLE_AROUND_BYTES; i++)
        copy[i] = at + i >= BUNDLE_AROUND_BEFORE && at + i - BUNDLE_AROUND_BEFORE < len
                      ? text[at + i - BUNDLE_AROUND_BEFORE]
                      : 0;
    return copy;
}

/* What is near the place `at` of a chunk. */
static inline unsigned prefilter_near_at(const struct prefilter_places *places, unsigned at)
{
    return (unsigned)((places->digit[at / 64] >> (at % 64) & 1) * PREFILTER_DIGIT +
                      (places->colon[at / 64] >> (at % 64) & 1) * PREFILTER_COLON);
}

/* Can the window of target i of n stand between these bytes? a: theirs of prefilter.arounds. */
static inline bool prefilter_around_fits(const uint64_t *a, unsigned n, unsigned i,
                                         const uint64_t around[2])
{
    return (((around[0] & a[2 * n + i]) ^ a[i]) | ((around[1] & a[3 * n + i]) ^ a[n + i])) == 0;
}

#endif
