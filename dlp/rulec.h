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
 *     validate: [luhn, entropy(3.0)]       # names of dlp/validate.h; each adjusts confidence or rejects
 *     context: { words: [aws, access key], within: 80, boost: 10, required: false, keys: [ssn] }
 *     reject: [example, 'XXXX*']   # optional; see below
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
 * Context. A word of `words` within `within` bytes (default 80) before or behind the span, or in the
 * JSON key above it, adds `boost` (default 10) once; so does a JSON key that contains one of `keys`.
 * `required: true` drops findings without either. Words are whole and case does not matter; a blank, -,
 * _, . or aCamelHump in them stands for any run of blanks, - _ . or nothing, and a hump in the text
 * begins a word: "access key" is in access_key, Access-Key and awsAccessKey.
 *
 * Reject. An entry with * or ? is a glob over the whole span; another one drops the finding when the
 * span contains it. Case does not matter.
 *
 * What the compiler makes of it: rulec_yaml.c reads rules, rulec_regex.c makes a tree of byte sets,
 * rulec_nfa.c answers questions on determinism, rulec_chain.c cuts a pattern into steps of which re2c
 * or a counted loop can do one each, rulec_anchor.c finds what the prefilter can look for, rulec_emit.c
 * writes C with re2c blocks. All memory is the set's arena. Thread: one at a time per set. */
#ifndef DLP_RULEC_H
#define DLP_RULEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/types.h"

enum {
    RULEC_MAX_RULES = 4096,
    RULEC_MAX_PATTERN_BYTES = 16384,
    RULEC_MAX_LIST = 2048, /* entries of one list in a rule */
    RULEC_MAX_EXAMPLE_BYTES = 65536,
    RULEC_REACH_BYTES = 4096, /* how far a match may go */
    RULEC_MAX_REACH_BYTES = 65536,
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
};

/* One rule as it was written; all pointers live in the set's arena. */
struct rulec_rule {
    const char *id, *title, *type, *file;
    unsigned line; /* where the rule begins */
    enum gw_class class_;
    enum gw_severity severity;
    enum rulec_boundary boundary;
    bool nocase;
    unsigned confidence;       /* 0 to 100 */
    unsigned min_len, max_len; /* bytes of the span; 0, UINT_MAX: not given */
    struct gw_span *patterns;
    unsigned *pattern_lines;
    unsigned n_patterns;
    struct rulec_check *checks;
    unsigned n_checks;
    struct gw_span *words, *keys, *rejects;
    unsigned n_words, n_keys, n_rejects;
    unsigned within; /* bytes */
    int boost;       /* confidence points */
    bool required;
    struct rulec_example *examples;
    unsigned n_examples;
};

/* All rules of a build. Zeroed is empty. */
struct rulec_set {
    struct gw_arena *arena; /* not owned */
    struct rulec_rule *rules;
    unsigned n_rules, cap_rules;
    char digest[65]; /* hex; set by rulec_load_paths */
};

/* Adds the rules of one YAML text. file is for messages and records and is copied. GW_EPARSE,
 * GW_EINVAL with "file:line: rule: what"; GW_ELIMIT; GW_ENOMEM. On failure the set must not be used. */
enum gw_status rulec_load_text(struct rulec_set *set, struct gw_span text, const char *file,
                               struct gw_err *err);

/* Reads files and folders (every *.yaml below, in name order), adds their rules and sets the digest,
 * SHA-256 over (name, length, bytes) of every file in name order. Names are relative to the path given,
 * so that the digest does not depend on where the tree stands. GW_ENOENT, GW_EIO and as above. */
enum gw_status rulec_load_paths(struct rulec_set *set, const char *const *paths, unsigned n_paths,
                                struct gw_err *err);

/* Appends the source of the whole set: C with re2c blocks, self-contained (dlp/bundle_abi.h is
 * written into it), exporting one struct bundle under the name symbol. GW_EINVAL with "file:line: rule: what" for a
 * pattern that cannot be compiled; GW_ENOMEM. */
enum gw_status rulec_emit(const struct rulec_set *set, const char *symbol, struct gw_buf *out,
                          struct gw_err *err);

/* Options that rulec_emit's output needs: "re2c RULEC_RE2C_FLAGS". */
#define RULEC_RE2C_FLAGS                                                                           \
    "-W", "-Wno-match-empty-string", "-Werror", "--no-debug-info", "--no-generation-date"

#endif
