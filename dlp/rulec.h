/* dlp/rulec.h - the rule compiler: YAML in, re2c source out. This comment is the rule format's
 * specification.
 *
 * A rule file is a YAML list of rules:
 *
 *   - id: aws-access-key-id        # [a-z0-9-]+, unique over all files
 *     title: AWS access key ID     # for people
 *     type: AWS_ACCESS_KEY         # optional [A-Z0-9_]+: in placeholders; default: id upper-cased, - as _
 *     class: secret                # secret pii phi financial source_code confidential injection
 *     severity: high               # info low medium high critical
 *     pattern: '(AKIA|ASIA)[A-Z2-7]{16}'   # or patterns: [..]; see below
 *     flags: i                     # optional: ASCII letters match in both cases
 *     boundary: word               # word (default) | token | line | none; see below
 *     length: [20, 20]             # optional: bytes of the reported span, [min, max] or [min]
 *     mode: enforce                # enforce (default) | monitor (recorded only) | off (not looked for)
 *     validate: [luhn, entropy(3.0)]       # names of dlp/validate.h; each adjusts confidence or rejects
 *     context: { words: [aws, access key], within: 80, boost: 10, required: false, keys: [ssn] }  # or a list
 *     near: { pattern: 'data: (?<secret>\w{8,})', within: 400, required: true, boost: 10 }       # or a list
 *     reject: [example, 'XXXX*']   # optional; see below
 *     reject_lists: [sample-values]        # the same, from lists with a name
 *     count: 5..                   # min..max of different values in a request
 *     steps: [{ count: 10, boost: 15 }]    # confidence by that number
 *     confidence: 90               # 0 to 100, before validators and context; reported from 40
 *     match:    ['...']            # at least one example that this rule must find
 *     no_match: ['...']            # and texts in which it must find nothing at confidence 40 or above
 *     match_b64, no_match_b64      # the same in base64, so that the source holds nothing that looks live
 *
 * Patterns. The whole pattern is searched anywhere in the text; the longest match at each start counts,
 * and after a match the rule goes on behind it. Known: literals (UTF-8), escapes of punctuation,
 * \t \n \r \f \v \xHH \d \D \w \W \s \S, `.` (one byte but newline), classes with ranges and [^...],
 * (...) and (?:...), (?i:...), |, ? * + {n} {n,} {n,m} (lazy marks are accepted and mean nothing), and
 * one group (?<secret>...) a match: the part that is reported and edited; without it, all of it. \b at
 * either end means `boundary: word` there, ^ and $ mean `boundary: line` there. \d, \w, \s are ASCII. A
 * NUL byte is never matched, not by `.` nor by [^...]. Not known, with a message that says what to do
 * instead: look-around, back-references, other assertions.
 *   A match reaches 4096 bytes at most; `length: [n, m]` with m above that extends it to 64 KiB.
 *   What stands before (?<secret>...) must not be able to swallow the beginning of the secret, nor the
 * secret what stands behind it: end each with a byte that the next cannot begin with.
 *   Every pattern needs an anchor at most 256 bytes after its start: up to four bytes in a row that
 * are rare in text (`ghp_`, `@`, `\d{3}-`), or sixteen and more of [A-Za-z0-9+/=_-] in a row. So
 * repeats before the first telling bytes are bounded: [\w.-]{0,40}key, not [\w.-]*key.
 *
 * Boundaries, checked right before and right behind the whole match; the text's ends are boundaries:
 *   word   not [A-Za-z0-9_]
 *   token  not [A-Za-z0-9_] nor - / + . in front; not [A-Za-z0-9_] nor - / + =, nor a dot that is
 *          followed by one of [A-Za-z0-9_], behind
 *   line   a newline (or the text's end)
 *
 * Validators. `{ luhn: { ok: 15, bad: -40 } }` puts points of the rule's in place of the validator's own: ok where it
 * accepts, bad (or `bad: drop`, the default) where it rejects or takes points away.
 *
 * Context. A word of `words` within `within` bytes (default 80; [before, behind] where they differ) before or
 * behind the span, or in the JSON key above it, adds `boost` (default 10, negative ones take away) once; so does a
 * JSON key that contains one of `keys`. `required: true` drops findings without either. Of several contexts each
 * counts for itself. `lang` (en, pt-BR) says what language the words are of. Words are whole and case does not matter; a blank, -,
 * _, . or aCamelHump in them stands for any run of blanks, - _ . or nothing, and a hump in the text
 * begins a word: "access key" is in access_key, Access-Key and awsAccessKey.
 *
 * Near. The pattern stands as a whole within `within` bytes before or behind the match; the nearest place counts.
 * It adds `boost`; `required: true` drops findings without it. Its (?<secret>...), if it has one, is what is
 * reported. It needs no anchor, so begin it with something telling: every byte within reach is tried.
 *   In a text that grows (an answer that is streamed) only what stands in front of a match has come: no context, no
 * near behind it counts, and a near's secret in front, which is gone, is not what is reported but the match is.
 *
 * Counts. With fewer different values of the rule in a request than min, or more than max, none is reported. The last
 * step whose count is reached adds its boost to each. A text that grows has no counts: rules with a min above 1 find
 * nothing there, and steps do not count.
 *
 * Lists. `- { list: sample-values, values: [example, 'XXXX*'] }` stands beside the rules, in any file.
 *
 * Reject. An entry with * or ? is a glob over the whole span; another one drops the finding when the
 * span contains it. Case does not matter.
 *
 * What the compiler makes of it: rulec_yaml.c reads rules, rulec_regex.c makes a tree of byte sets,
 * rulec_nfa.c answers questions on determinism, rulec_chain.c cuts a pattern into steps of which re2c
 * or a counted loop can do one each, rulec_choice.c finds what the prefilter can look for, rulec_emit.c
 * writes C with re2c blocks. All memory is the set's arena. Thread: one at a time per set. */
#ifndef DLP_RULEC_H
#define DLP_RULEC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/types.h"
#include "dlp/dlp.h"

enum {
    RULEC_MAX_RULES = 4096,
    RULEC_MAX_PATTERN_BYTES = 16384,
    RULEC_MAX_LIST = 2048, /* entries of one list in a rule */
    RULEC_MAX_EXAMPLE_BYTES = 65536,
    RULEC_REACH_BYTES = 4096, /* how far a match may go */
    RULEC_MAX_REACH_BYTES = 65536,
    RULEC_DROP = INT_MIN, /* in place of points: no finding */
};

/* What must stand beside a match. The numbers are part of the bundle's ABI. */
enum rulec_boundary {
    RULEC_BOUNDARY_NONE,
    RULEC_BOUNDARY_WORD,
    RULEC_BOUNDARY_TOKEN,
    RULEC_BOUNDARY_LINE,
};

/* One example text of a rule. */
struct rulec_example {
    struct gw_span text;
    unsigned line;
    bool should_match;
};

/* One validator call: "luhn" or "entropy(3.0)". */
struct rulec_check {
    const char *name;
    double num;      /* the numeric argument, or the validator's default */
    const char *str; /* the string argument, or "" */
    bool has_steps;  /* ok and bad stand for what the validator itself would add */
    int ok, bad;     /* confidence points; bad may be RULEC_DROP */
};

/* What may stand around a finding; words and keys ascend as the scanner looks them up. */
struct rulec_context {
    struct gw_span *words, *keys;
    unsigned n_words, n_keys;
    unsigned before, behind; /* bytes */
    int boost;               /* confidence points */
    bool required;
    const char *lang; /* "" when not given */
};

/* A second pattern beside the match. */
struct rulec_near {
    struct gw_span pattern;
    unsigned line, column;   /* of the pattern */
    unsigned before, behind; /* bytes; 0: not on that side */
    int boost;
    bool required;
    bool has_secret; /* the pattern's group is what is reported */
};

/* Confidence by how many different values of the rule a request holds. */
struct rulec_step {
    unsigned count;
    int boost;
};

/* Values that are no findings: a list with a name, or a rule's own. */
struct rulec_list {
    const char *name; /* "" for a rule's own */
    const char *file; /* where it is defined; of a name that is only used yet: where that is */
    unsigned line, column;
    bool defined;
    struct gw_span *words, *globs; /* words ascend as the scanner looks them up */
    unsigned n_words, n_globs;
};

/* One rule as it was written; all pointers live in the set's arena. */
struct rulec_rule {
    const char *id, *title, *type, *file;
    unsigned line; /* where the rule begins */
    enum gw_class class_;
    enum gw_severity severity;
    enum rulec_boundary boundary;
    enum dlp_rule_mode mode;
    bool nocase;
    unsigned confidence;           /* 0 to 100 */
    unsigned min_len, max_len;     /* bytes of the span; 0, UINT_MAX: not given */
    unsigned min_count, max_count; /* different values in a request; 0, UINT_MAX: not given */
    struct gw_span *patterns;
    unsigned *pattern_lines, *pattern_columns;
    unsigned n_patterns;
    struct rulec_check *checks;
    unsigned n_checks;
    struct rulec_context *contexts;
    unsigned n_contexts;
    struct rulec_near *nears;
    unsigned n_nears;
    unsigned *lists; /* indexes into the set's */
    unsigned n_lists;
    struct rulec_step *steps; /* by count */
    unsigned n_steps;
    struct rulec_example *examples;
    unsigned n_examples;
    unsigned char
        digest[32]; /* SHA-256 of what is written, whatever the file, line and way of quoting */
};

/* All rules of a build. Zeroed is empty. */
struct rulec_set {
    struct gw_arena *arena; /* not owned */
    struct rulec_rule *rules;
    unsigned n_rules, cap_rules;
    struct rulec_list *lists;
    unsigned n_lists, cap_lists;
    char digest[65]; /* hex; set by rulec_load_paths */
};

/* Adds the rules and lists of one YAML text. file is for messages and records and is copied. GW_EPARSE,
 * GW_EINVAL with "file:line:column: rule: what"; GW_ELIMIT; GW_ENOMEM. On failure the set must not be used. A list may be
 * used before it is defined, in another text: ask rulec_check_lists() when all have been read. */
enum gw_status rulec_load_text(struct rulec_set *set, struct gw_span text, const char *file,
                               struct gw_err *err);

/* GW_EINVAL when a rule names a list that is not defined. */
enum gw_status rulec_check_lists(const struct rulec_set *set, struct gw_err *err);

/* Reads files and folders (every *.yaml below, in name order), adds their rules and sets the digest,
 * SHA-256 over (name, length, bytes) of every file in name order. Names are relative to the path given,
 * so that the digest does not depend on where the tree stands. GW_ENOENT, GW_EIO and as above. */
enum gw_status rulec_load_paths(struct rulec_set *set, const char *const *paths, unsigned n_paths,
                                struct gw_err *err);

/* Appends the source of the whole set: C with re2c blocks, self-contained (dlp/bundle_abi.h is
 * written into it), exporting one struct bundle under the name symbol. GW_EINVAL with "file:line:column: rule: what" for a
 * pattern that cannot be compiled; GW_ENOMEM. */
enum gw_status rulec_emit(const struct rulec_set *set, const char *symbol, struct gw_buf *out,
                          struct gw_err *err);

/* Options that rulec_emit's output needs: "re2c RULEC_RE2C_FLAGS". */
#define RULEC_RE2C_FLAGS                                                                           \
    "-W", "-Wno-match-empty-string", "-Werror", "--no-debug-info", "--no-generation-date"

#endif
