/* dlp/scan.h - one thread's scanner. Private to dlp.
 *
 * scan.c finds matches (prefilter, matcher) with scan_boundary.c, scan_find.c, scan_offer.c, scan_sequel.c, scan_walk.c, scan_runs.c (long tokens) and
 * scan_ring.c, scan_judge.c decides what they are worth (length, validators, the sum) with scan_list.c (values that are none), scan_word.c
 * (context words; scan_word_avx512.c) and scan_near.c (second patterns); scan_sleep.c and scan_plain.c say before what would be worth
 * nothing (no word near that is required, a wrong checksum); scan_overlap.c keeps the strongest where they overlap,
 * scan_known.c knows strings that need no look, scan_label.c what a text is called, scan_grow.c says of a text that grows what is known
 * of it already, with scan_heads.c (what can begin with given bytes). */
#ifndef DLP_SCAN_H
#define DLP_SCAN_H

#include "dlp/author.h"
#include "dlp/bundle.h"
#include "dlp/rulec_anchor.h"
#include "dlp/view_scan.h"

/* Where a rule goes on after its last finding in the leaf numbered epoch; and the last match of it that was worth nothing, in the leaf
 * numbered refused: its patterns may match the same bytes one after the other. */
struct scan_state {
    uint32_t epoch, next;
    uint32_t refused, match_start, match_end, start, end;
};

/* A match of a rule; bytes of the text. */
struct scan_match {
    uint32_t rule, pattern; /* pattern: in a growing text */
    size_t match_start, match_end;
    size_t start, end;  /* the span; in a growing text whole characters */
    uint8_t confidence; /* when it was judged */
};

struct scan_heads;
struct scan_explain;
struct scan_ring;

/* Starts that can wait: of a chunk, and RULEC_MAX_OFFSET in front of it. */
enum { SCAN_RING = 2 * PREFILTER_CHUNK };

/* Where words of contexts can begin in some blocks of 64 bytes of the text of an epoch: a rule's context is looked for around each of its
 * matches, and matches stand together. */
enum { SCAN_STARTS = 256 };
struct scan_starts {
    uint32_t epoch[SCAN_STARTS], block[SCAN_STARTS];
    size_t
        end[SCAN_STARTS]; /* of the text when the block was looked at; SIZE_MAX: behind the block */
    uint64_t mask[SCAN_STARTS];
};

/* Where windows were from which the starts in front were gone through, of some targets: those in front of the last one need not be gone
 * through again. */
enum { SCAN_WALKS = 64 };
struct scan_walk {
    uint32_t find, target; /* number of the scan_find(), index */
    size_t at, from;       /* the last window, 0: none yet; how far one went back from it */
};

/* What was asked of some patterns last: is a window of theirs worth a look, for a match that begins at `start`? */
enum { SCAN_ASKED = 64 };
struct scan_asked {
    uint32_t find, pattern, start; /* find: number of the scan_find() */
    bool is_open;                  /* its start may be offered, and was not yet */
};

/* Which sleepers (struct bundle_sleep) are awake in each block of the chunk, and anywhere below a key: that of the last text. */
enum { SCAN_AWAKE_WORDS = BUNDLE_SLEEPERS / 64 };
struct scan_awake {
    uint64_t blocks[PREFILTER_BLOCKS][SCAN_AWAKE_WORDS];
    uint64_t by_key[SCAN_AWAKE_WORDS];
    uint64_t asked[SCAN_AWAKE_WORDS]; /* in the chunk: sleepers with something to try */
    uint64_t wanted
        [SCAN_AWAKE_WORDS]; /* those of the chunk before: of others the words are not looked for, and they are awake */
    unsigned n_idle; /* of the chunk: tries that were for nothing, or were left out as such */
    uint8_t
        done[BUNDLE_SLEEPERS]; /* of each, in front of which block all that are awake are known */
    uint64_t serial;           /* of the rules; 0: of none */
    uint64_t secret[2];        /* of key; zeroes: not drawn yet */
    uint64_t key;              /* a keyed hash of the last key: by_key is its */
};

/* Whether the last span that was asked about reads like words. */
struct scan_wordy {
    uint32_t epoch;
    size_t start, end;
    bool wordy;
};

/* Strings that are in every body, and which of them the rules have nothing to say of. */
enum { SCAN_KNOWN = 96, SCAN_KNOWN_SLOTS = 256 };
struct scan_known {
    uint64_t serial;                /* of the rules; 0: of none */
    uint8_t slot[SCAN_KNOWN_SLOTS]; /* index of a string, plus 1; 0: free */
    uint8_t len[SCAN_KNOWN];
    bool clean[SCAN_KNOWN];
};

struct dlp_scanner {
    struct dlp_finding
        *found; /* of the current leaf, then resolved; all leaves one after another */
    unsigned n_found, cap_found;
    struct dlp_finding *order; /* scratch of scan_resolve */
    unsigned cap_order;
    struct scan_state *state; /* of each rule */
    unsigned cap_state;
    struct bundle_memo *memo; /* of the matchers */
    unsigned cap_memo;
    uint32_t epoch;
    struct scan_match *matches; /* of a growing text */
    unsigned n_matches, cap_matches;
    struct scan_heads *heads;     /* NULL: not asked for yet */
    struct scan_explain *explain; /* NULL: nobody asked */
    struct dlp_rule_cost *costs;  /* NULL: nobody asked */
    struct view_scan views;
    unsigned only_rule;   /* examples: try this rule (index + 1) and no other; 0: all */
    const bool *only;     /* trials: of each rule, try it; NULL: all */
    bool alternatives;    /* keep those too that lie inside a stronger one of another rule */
    bool every_byte;      /* tests: try every pattern everywhere instead of asking the prefilter */
    uint64_t deadline_ns; /* of the document that is scanned; 0: none */
    struct prefilter_places places;
    struct scan_ring *ring;
    struct scan_starts starts;
    struct scan_walk walks[SCAN_WALKS];
    struct scan_asked asked[SCAN_ASKED];
    uint32_t finds; /* scan_find(): so many */
    struct scan_wordy wordy;
    struct scan_awake awake;
    struct scan_known known;
    unsigned n_hits; /* matches of the leaf and its views so far, whatever they are worth */
    unsigned most;   /* findings apart from each other that a text may have; 0: any number */
};

/* The findings of a text so far in heaps, each of which overlaps no other. Of a heap one finding stays at least, if none of its rules
 * counts values. */
struct scan_heaps {
    unsigned n;      /* those of which one stays */
    bool is_kept;    /* the last one is among them */
    size_t from, to; /* the last one */
};

/* text[from, to) are bytes of names (rx_is_name) in a row, and the one at `to` is none; alive: what may follow, as bits of prefilter.behind_name. */
struct scan_name {
    size_t from, to;
    uint64_t alive;
};

/* text[from, to) are bytes of the set in a row. */
enum { SCAN_ROWS = 8 };
struct scan_row {
    uint32_t set;
    size_t from, to;
};

/* What stays the same while one leaf is scanned. */
struct scan_leaf {
    struct dlp_scanner *s;
    const struct dlp_rules *rules;
    const struct prefilter *filter; /* scan_find sets it */
    struct gw_span text, key;
    uint32_t leaf;           /* index */
    unsigned report_from;    /* confidence */
    size_t from, to;         /* only matches that begin in [from, to) are looked for */
    size_t chunk, chunk_end; /* what s->places is about */
    bool growing;            /* matches go to s->matches */
    bool ended;              /* growing: no more text comes */
    size_t floor;            /* growing: no span begins in front of it */
    size_t live;             /* growing: the first live start that was found; SIZE_MAX: none */
    uint32_t live_pattern;   /* the pattern that is live there */
    const uint64_t *dead;    /* patterns that find nothing in this text, a bit each; NULL: none */
    const struct bundle_plain *plain; /* of each pattern; NULL: it is not asked */
    struct dlp_digits digits;         /* the last ones that were asked about */
    bool can_sleep;                   /* rules may sleep */
    const uint8_t *sleeper_of; /* as in struct bundle_sleep; NULL: none sleeps in this chunk */
    unsigned n_long;           /* of bundle_long_texts, those that the text reaches */
    uint64_t work;             /* bytes that matchers looked at, and what validators cost */
    uint64_t look_at;          /* so much work is looked at */
    size_t word_start;         /* where the word before word_end begins */
    size_t word_end;           /* the last place that was asked about */
    struct scan_name names[2]; /* the last ones, and those that go furthest */
    struct scan_row rows[SCAN_ROWS]; /* the last one of some sets */
    uint32_t sequel;                 /* the last one that was asked about, */
    bool sequel_fits;
    size_t sequel_at; /* and where */
    struct scan_heaps heaps;
    enum gw_status st;
};

/* Is it known that the pattern finds nothing in this text? */
static inline bool scan_is_dead(const struct scan_leaf *x, uint32_t pattern)
{
    return x->dead != NULL && (x->dead[pattern >> 6] >> (pattern & 63) & 1) != 0;
}

/* Sleeps the pattern's rule at `at`? As far as the chunk says. */
static inline bool scan_sleeps(const struct scan_leaf *x, uint32_t pattern, size_t at)
{
    size_t block = (at - x->chunk) / 64;
    unsigned sleeper;
    uint64_t bit;

    if (x->sleeper_of == NULL || block >= PREFILTER_BLOCKS) /* in front of it, too */
        return false;
    sleeper = x->sleeper_of[pattern];
    if (sleeper == 0)
        return false;
    bit = UINT64_C(1) << ((sleeper - 1) % 64);
    x->s->awake.asked[(sleeper - 1) / 64] |= bit;
    if ((x->s->awake.blocks[block][(sleeper - 1) / 64] & bit) != 0)
        return false;
    x->s->awake.n_idle++;
    return true;
}

/* Finds the starts that are worth a try from x->from on and tries them, each start once, ascending, and at one start each
 * pattern once, ascending. Sets x->st. */
void scan_find(struct scan_leaf *x);
/* The same for a scanner of tests, which may want to try every pattern everywhere. */
void scan_all(struct scan_leaf *x);
/* Sets what can be dead in a text of at least that many bytes, unless somebody asks why something was not found, who is to hear it
 * from the validator. */
void scan_set_dead(struct scan_leaf *x, size_t len);
/* Tries pattern at byte `at`. */
void scan_try(struct scan_leaf *x, uint32_t pattern, size_t at);
/* The same for a start that scan_push() took. before: scan_boundaries_before() of it. True when it says nothing of starts that are
 * alike: it was not tried, or its match is worth nothing. */
bool scan_try_waiting(struct scan_leaf *x, uint32_t pattern, size_t at, unsigned before);
/* Tries the patterns of rules of numbers at `at` whose matches may begin with the bytes there. x->filter is set. */
void scan_numbers_at(struct scan_leaf *x, size_t at);
/* Where a match from `at` on could end with a token, a bit for each length as in struct prefilter_need. What is behind the text may be
 * any byte, and so may what the chunk does not say. */
static inline uint64_t scan_ends_at(const struct scan_leaf *x, size_t at)
{
    size_t place = at - x->chunk, block = place / 64, bit = place % 64;
    const uint64_t *token = x->s->places.token;

    if (place >= x->chunk_end - x->chunk) /* in front of it, too */
        return UINT64_MAX;
    return ~(token[block] >> bit | token[block + 1] << 1 << (63 - bit)) | UINT64_C(1) << 63;
}

/* Can a match of the pattern begin with the bytes at `at`? x->filter is set. */
bool scan_fits(struct scan_leaf *x, uint32_t pattern, size_t at);
/* Can what follows a window, from `at` on, do so in a match of a target with that sequel? */
bool scan_sequel_fits(struct scan_leaf *x, uint32_t sequel, size_t at);
/* Can what stands behind the name at `at` do so in a match of the pattern? */
bool scan_name_fits(struct scan_leaf *x, uint32_t pattern, size_t at);
/* Notes that pattern is to be tried at `at`, once, if what all of its matches have is there; when that says nothing of the starts behind
 * it, up to `last`, at the next one, too. */
void scan_push_first(struct scan_leaf *x, uint32_t pattern, size_t at, size_t last);
/* The same for one start. */
static inline void scan_push(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    scan_push_first(x, pattern, at, at);
}
/* The same when its first bytes fit, too. */
void scan_offer(struct scan_leaf *x, uint32_t pattern, size_t at);
/* Offers a target that fits the bytes around its window at `at`. */
void scan_offer_target(struct scan_leaf *x, const struct bundle_target *t, size_t at);
/* The same of a wide window: rows said that the bytes around it fit, and the beginning of a match where that is known. */
void scan_offer_seen(struct scan_leaf *x, const struct bundle_target *t, size_t at);
/* Offers those of the targets [i, end) that fit; for many of them. */
void scan_offer_targets(struct scan_leaf *x, uint32_t i, uint32_t end, const uint64_t around[2],
                        size_t at);
/* Offers every start from which the window of a target whose distance is not fixed can stand at `at`. */
void scan_offer_all(struct scan_leaf *x, const struct bundle_target *t, size_t at);
/* The first start from *start on where a match of the pattern may begin, by its first byte and what is in front of it; false: none up to
 * `last`. */
bool scan_next_start(const struct scan_leaf *x, uint32_t pattern, size_t last, size_t *start);
/* The same at `at`, where a word begins, for the starts of bits: those whose matches can end where ends says, and that may begin there.
 * at_token: a token begins there. */
void scan_push_starts(struct scan_leaf *x, const struct prefilter_start *starts, uint64_t bits,
                      uint64_t ends, bool at_token, size_t at);
/* Tries everything that waits at starts in [from, to). */
void scan_flush(struct scan_leaf *x, size_t from, size_t to);
struct scan_ring *scan_ring_new(void);     /* NULL when out of memory */
void scan_ring_free(struct scan_ring *r);  /* r may be NULL */
void scan_ring_clear(struct scan_ring *r); /* forgets everything: after a scan that was given up */

/* Where words can begin in a chunk and a little in front of it, ascending. */
struct scan_words {
    size_t base;
    unsigned n;
    uint16_t at[PREFILTER_CHUNK + RULEC_MAX_OFFSET]; /* counted from base */
};

/* Lists those in [from, to). */
void scan_words_in(const struct scan_leaf *x, size_t from, size_t to, struct scan_words *words);
/* Notes the runs of a group that is not looked for at words alone, at the places of a row in [from, to); the row goes on to end,
 * and words are those from there on and, where runs are long enough, from the filter's run_reach in front of it. */
void scan_runs_anywhere(struct scan_leaf *x, const struct prefilter_runs *group,
                        const struct scan_words *words, size_t from, size_t to, size_t end);

/* What the last member said that names the one behind it. Zeroes are nothing. */
struct scan_label {
    char name[64];
    size_t len;
    size_t end;      /* in the body: it is known how that goes on from it up to here */
    unsigned depth;  /* objects that began since then, and have not ended */
    unsigned n_keys; /* since then */
    bool follows;    /* the last leaf was no key: what comes is a further element of an array */
};

/* What the leaf of the body is called, empty where nothing says so; valid until the next call, and as long as the leaf's key and the
 * body. Leaves come in order. */
struct gw_span scan_label(struct scan_label *l, struct gw_span body, const struct dlp_leaf *leaf);

/* Scans one text and leaves its findings, resolved and in order, at s->found[first..n_found). */
enum gw_status scan_text(struct dlp_scanner *s, const struct dlp_rules *rules, struct gw_span text,
                         struct gw_span key, uint32_t leaf, unsigned report_from);
/* The same with the rules of numbers alone, and only what begins at one of n places, which ascend, or a sign or two in front. */
enum gw_status scan_numbers(struct dlp_scanner *s, const struct dlp_rules *rules,
                            struct gw_span text, struct gw_span key, uint32_t leaf,
                            unsigned report_from, const uint32_t *places, size_t n);

/* Makes s fit for rules. GW_ENOMEM. */
enum gw_status scan_prepare(struct dlp_scanner *s, const struct dlp_rules *rules);

/* Is it known of digits at `at` that a match of the pattern there would be refused? It says so only where x->plain is set. */
bool scan_is_refused(struct scan_leaf *x, uint32_t pattern, size_t at);
/* Would validators reject a match of the rule that is [start, end), and all of it? Its steps are added to x->work. */
bool scan_is_rejected(struct scan_leaf *x, uint32_t rule, size_t start, size_t end);

/* What a match is worth: false when it is none (length, reject lists, validators, contexts, nears). Sets its confidence,
 * and its span where a near says what is to be reported. Its steps are added to x->work. */
bool scan_judge(struct scan_leaf *x, struct scan_match *m);

/* Does text[start, end) read like words? */
bool scan_is_wordy(struct scan_leaf *x, size_t start, size_t end);

/* Finds near's pattern beside m, the nearest one: its span, which is all of it without a group. Adds to x->work. */
bool scan_near(struct scan_leaf *x, const struct bundle_near *near, const struct scan_match *m,
               size_t *start, size_t *end);

/* True when a value holds a word of the list, or is what one of its globs says. */
bool scan_list_has(const struct dlp_rules *r, uint32_t list, struct gw_span value);

/* The first word (dlp/rulec.h, "Context") that stands in text, searched over [from, to); NULL: none. */
const struct bundle_text *scan_find_word(struct gw_span text, size_t from, size_t to,
                                         const struct bundle_text *words,
                                         const struct bundle_slots *slots);
/* The same in the leaf's text, where context, counted over all rules, has these words. */
const struct bundle_text *scan_find_word_in(const struct scan_leaf *x, size_t from, size_t to,
                                            uint32_t context, const struct bundle_text *words);
/* Does what stands at `at` begin with the word? Where a text is looked at up to there, it may be one that is cut. */
bool scan_word_begins(struct gw_span text, size_t at, const struct bundle_text *word);
/* Where words can begin in 64 bytes from `at` on, a bit each. */
uint64_t scan_word_starts(struct gw_span text, size_t at);
/* The same, only words that begin as one of the filters says, which are by their numbers of bytes. The text ends at len. */
uint64_t scan_word_begins_avx512(const struct bundle_bloom blooms[BUNDLE_SLEEP_MOST + 1],
                                 const unsigned char *text, size_t at, size_t len);
/* Says whether rules may sleep in x, which is whole. */
void scan_sleep_begin(struct scan_leaf *x);
/* At the beginning of a chunk: says whether rules sleep in it, and wakes those that have a word near. */
void scan_wake(struct scan_leaf *x);
/* For scan_find_word_in: of the places from `at` on, at most 64, and below `to`, a bit each: where a word can begin that the filter has.
 * The text ends at len. */
uint64_t scan_word_places_avx512(const struct bundle_bloom *b, const unsigned char *text, size_t at,
                                 size_t to, size_t len);
/* The first of heads[i, end) that these bytes, each with 0x20 set, begin with; end: none. */
unsigned scan_word_head_avx512(const struct bundle_word_head *heads, unsigned i, unsigned end,
                               uint32_t head);

/* Where it is noted that no pattern has a match in this text, which is one that many bodies hold; NULL: it is none of them. */
bool *scan_known(struct dlp_scanner *s, const struct dlp_rules *rules, struct gw_span text);

/* Drops findings of rules that want more or fewer values than there are, and adds steps. doc: the document; NULL: the findings are
 * all in text. GW_ENOMEM. */
enum gw_status scan_count(struct dlp_scanner *s, const struct dlp_rules *rules,
                          const struct dlp_doc *doc, struct gw_span text, unsigned report_from);

/* What is said of the match that is being judged; e is not NULL. */
void scan_explain_part(struct scan_explain *e, const char *what, struct gw_span detail, int points);
/* The match is judged: dropped says why it is none, or NULL. x->s->explain is not NULL. */
void scan_explain_end(struct scan_leaf *x, const struct scan_match *m, const char *dropped);

/* Adds the next finding of the text to x->heaps; more than s->most are too many: sets x->st. counts: bundle_counts() of its rule. */
void scan_count_apart(struct scan_leaf *x, const struct dlp_finding *f, bool counts);
/* Keeps the strongest of overlapping findings from s->found[first] on, sorted by start. GW_ENOMEM. */
enum gw_status scan_resolve(struct dlp_scanner *s, unsigned first);

/* ---- growing texts ---------------------------------------------------------------------- */

/* Boundaries as the rule compiler defines them: may a match begin or end at `at`? */
bool scan_boundary_before(uint32_t kind, struct gw_span text, size_t at);
bool scan_boundary_after(uint32_t kind, struct gw_span text, size_t at);

/* Bit k: boundary k holds in front of `at`. */
unsigned scan_boundaries_before(struct gw_span text, size_t at);

/* Begins to look at a text, which may have changed since: forgets what s remembers of its bytes. */
void scan_begin(struct dlp_scanner *s);

/* Finds every match that begins at x->from or later in a text that has ended, ascending by their starts, into s->matches: one may
 * be there twice.
 * x->growing must be set; the caller calls scan_prepare() and scan_begin() before. Returns x->st. */
enum gw_status scan_growing(struct scan_leaf *x);

/* The same for a text that goes on: decides about the starts from x->from on up to the first live one, at which a match may begin
 * that more text could bring about, lengthen or undo; x->live is that start, or the text's length. *hint: the pattern that said
 * so, tried first the next time. The matches do not depend on what comes. */
enum gw_status scan_grow(struct scan_leaf *x, uint32_t *hint);

/* Takes what a matcher of x->growing found of pattern at `at`: a match, or that the start is live. */
void scan_note(struct scan_leaf *x, uint32_t pattern, size_t at, const struct bundle_match *m);

/* The automaton for these rules; NULL: out of memory. Valid until the scanner is asked for that of others. */
struct scan_heads *scan_heads_get(struct dlp_scanner *s, const struct dlp_rules *rules);
void scan_heads_free(struct scan_heads *h); /* h may be NULL */

/* How far it was told what the bytes from a start on leave. */
struct scan_possible {
    uint64_t words; /* of its rows, in which something is left */
    unsigned word, bit;
};

/* How far a name was read; closed: there it ends. */
struct scan_end {
    size_t to;
    bool closed;
};

/* The first start in [at, to) where the bytes of text, as many as there are, leave a pattern possible that is not dead, and in *out
 * what they leave, as long as nothing else is asked; `to` when there is none. tier: which ones are dead, see bundle_tier(). *end: of the
 * last start of this text that was asked about; first {at, false}. */
size_t scan_heads_next(const struct scan_heads *h, unsigned tier, struct gw_span text, size_t at,
                       size_t to, struct scan_end *end, struct scan_possible *out);

/* The next of these patterns, in no order; one may come again. False: that was all. */
bool scan_heads_pattern(const struct scan_heads *h, struct scan_possible *p, uint32_t *pattern);

/* Where the end of text[from, ...) begins that has to be looked at start by start: of a pattern that can have a match from a start
 * in front of it on the anchor is there as a whole, so that scan_find() tries it. */
size_t scan_heads_tail(const struct scan_heads *h, struct gw_span text, size_t from);

#endif
