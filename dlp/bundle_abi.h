/* dlp/bundle_abi.h - what a compiled rule set looks like in memory, built in or in a shared object.
 *
 * This text is copied into every emitted source, so it includes nothing of ours. All of it is constant
 * data and pure functions; a change of any layout or meaning needs a new BUNDLE_ABI. */
#ifndef DLP_BUNDLE_ABI_H
#define DLP_BUNDLE_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { BUNDLE_ABI = 13, BUNDLE_WINDOW_BYTES = 4, BUNDLE_HEAD_BYTES = 16, BUNDLE_HEADS = 8 };
/* Bytes around a window that are compared, and how many of them stand in front of it. */
enum { BUNDLE_AROUND_BYTES = 16, BUNDLE_AROUND_BEFORE = 6 };

/* Bytes behind the name that a match begins with. */
enum { BUNDLE_NAME_BYTES = 4 };

/* 256 bits: byte b is in the set when bit b % 32 of word b / 32 is set. */
struct bundle_set {
    uint32_t w[8];
};

/* Bytes [from, to) of the current text are known to be of one loop's set: candidates that stand close
 * together would walk over them again and again. Valid in the epoch that is written in it. */
struct bundle_memo {
    const unsigned char *from, *to;
    uint32_t epoch;
};

/* A match; offsets count from where the matcher began. */
struct bundle_match {
    uint32_t len;             /* out: of the whole match; 0: none */
    uint32_t start, end;      /* out: the part that is reported */
    uint32_t work;            /* in and out: grows by the bytes looked at */
    uint32_t epoch;           /* in: of the text */
    uint32_t cut;             /* set to 1 when a byte at lim or beyond could change the result */
    struct bundle_memo *memo; /* in: the pattern's */
};

/* Finds the longest match of one pattern that begins at s, reading below lim only. */
typedef void bundle_match_fn(const unsigned char *s, const unsigned char *lim,
                             struct bundle_match *m);

struct bundle_text {
    const char *ptr; /* NUL-terminated as a courtesy; may hold NUL */
    uint32_t len;
};

struct bundle_example {
    struct bundle_text text;
    uint32_t line;
    uint32_t should_match;
};

struct bundle_check {
    const char *name; /* a validator of the host */
    double num;
    const char *str;
    uint32_t has_steps; /* ok and bad stand for what the validator itself would add */
    int32_t ok, bad;    /* confidence points; bad: INT32_MIN drops the finding */
};

/* What stands near a finding, or in the JSON key above it. Words ascend by the low five bits of their first byte. */
struct bundle_context {
    const struct bundle_text *words, *keys;
    uint32_t n_words, n_keys;
    uint32_t before, behind; /* bytes in which words count */
    int32_t boost;           /* confidence points, once */
    uint32_t required;       /* no finding without it */
    const char *lang;        /* of the words; "" for any */
};

/* A second pattern beside the match. */
struct bundle_near {
    uint32_t pattern;        /* index, from n_patterns on */
    uint32_t before, behind; /* bytes in which it must stand as a whole; 0: not on that side */
    int32_t boost;
    uint32_t required;
    uint32_t has_secret;     /* its group is what is reported */
    struct bundle_text text; /* as it was written */
};

/* Values that are none: words that a span must not hold (ascending as above), globs that must not be all of it. */
struct bundle_list {
    const char *name; /* "" for a rule's own */
    const struct bundle_text *words, *globs;
    uint32_t n_words, n_globs;
};

/* From that many different values of the rule on, each of its findings gains boost. */
struct bundle_step {
    uint32_t count;
    int32_t boost;
};

struct bundle_rule {
    const char *id, *title, *type, *file;
    uint32_t class_, severity, confidence; /* enums of base/types.h; 0 to 100 */
    uint32_t mode;                         /* enum dlp_rule_mode */
    uint32_t min_len, max_len;             /* bytes of the reported span */
    uint32_t min_count, max_count;         /* different values in a request; 0, UINT32_MAX: any */
    uint32_t n_patterns, n_checks, n_contexts, n_nears, n_lists, n_steps, n_examples;
    const struct bundle_text *patterns; /* as they were written, for people */
    const struct bundle_check *checks;
    const struct bundle_context *contexts;
    const struct bundle_near *nears;
    const uint32_t *lists; /* indexes */
    const struct bundle_step *steps;
    const struct bundle_example *examples;
};

/* One pattern of a rule, or of one of its nears: those have no anchor and come last. */
struct bundle_pattern {
    bundle_match_fn *match;
    uint32_t rule;          /* index */
    uint32_t first;         /* index of the set of bytes a match can begin with */
    uint32_t before, after; /* enum rulec_boundary */
    uint32_t reach;         /* bytes that a match can have at most */
    uint32_t first_memo;    /* index of its first struct bundle_memo */
    uint32_t longest; /* bytes that its matches have at most, however far it reads; 0: any number */
    uint32_t holds;   /* index of the set of all bytes that a match can have */
    uint32_t is_part; /* a part of a match is reported, not all of it */
    /* One of the first `within` bytes of every match is of one of these classes, bits of prefilter_classes; 0: nothing is known. */
    uint32_t need, within;
    uint64_t lengths; /* bit n: a match may have n bytes; the last bit: that many or more */
    /* Every match begins with name_max bytes of names at most, [A-Za-z0-9_.-], and what follows them is of these sets, by index; where
     * the match has ended anything is. UINT32_MAX: any number. */
    uint32_t name_max, behind_name[BUNDLE_NAME_BYTES];
    /* Indexes of the sets of bytes that can stand at each place from the start of a match on; NUL: the text's end, too. A match
     * begins as one of the heads says: alternatives have little in common. */
    uint32_t n_heads;
    uint32_t head[BUNDLE_HEADS][BUNDLE_HEAD_BYTES];
};

/* What every match has behind a window: in each part at most `most` bytes of skip, then n bytes of run. All but the last part's sets have no
 * byte in common, so it is known where the next part begins. */
enum { BUNDLE_SEQUEL_PARTS = 2, BUNDLE_SEQUEL_FAR = 64 };
struct bundle_sequel {
    uint32_t n_parts; /* 0: nothing is known */
    struct {
        uint32_t skip, run; /* indexes of sets */
        uint32_t most, n;   /* most: above BUNDLE_SEQUEL_FAR: any number */
    } part[BUNDLE_SEQUEL_PARTS];
};

/* How far in front of a window or run a match can begin, and what may stand between. */
struct bundle_target {
    uint32_t pattern;
    uint32_t min, max; /* bytes */
    uint32_t between;  /* index of a set */
    uint32_t
        alike; /* of the starts in front of a window a match begins at each or at none, with one end, as far as their first bytes and
                     * what is in front of them allow it */
    uint32_t sequel,
        sequel_at; /* of a window: an index, and at how many bytes from its beginning it begins */
    /* The bytes around a window, as far as bits tell: masked they are value, or no match is there. NUL: beyond the text. */
    uint8_t value[BUNDLE_AROUND_BYTES], mask[BUNDLE_AROUND_BYTES];
};

/* Four sets in a row that some match has at its targets' distance. */
struct bundle_window {
    uint32_t set[BUNDLE_WINDOW_BYTES]; /* indexes */
    uint32_t first_target, n_targets;
};

/* At least n bytes of one set in a row that every match of the target has. */
struct bundle_run {
    uint32_t set, n;
    struct bundle_target target;
};

struct bundle {
    uint32_t abi, size; /* BUNDLE_ABI, sizeof(struct bundle) */
    const char *digest; /* of the sources, 64 hex digits */
    uint32_t n_rules, n_patterns, n_sets, n_windows, n_targets, n_sequels, n_runs, n_memos;
    uint32_t n_near_patterns, n_lists;
    const struct bundle_rule *rules;
    const struct bundle_pattern *patterns; /* n_patterns, then n_near_patterns */
    const struct bundle_set *sets;
    const struct bundle_window *windows;
    const struct bundle_target *targets;
    const struct bundle_sequel *sequels;
    const struct bundle_run *runs;
    const struct bundle_list *lists;
};

/* Matchers alone, for patterns that an interpreter runs until then: exported as BUNDLE_SHARD_SYMBOL. */
struct bundle_shard {
    uint32_t abi, size; /* BUNDLE_ABI, sizeof(struct bundle_shard) */
    const char *digest; /* of its source, 64 hex digits */
    uint32_t n;
    bundle_match_fn *const *match;
};

#endif
