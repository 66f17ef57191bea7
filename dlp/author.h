/* dlp/author.h - for those who write rules: what a rule says, where it is weak, what it costs.
 *
 * Nothing here is on a request's way. Thread: any, one at a time per set and scanner. */
#ifndef DLP_AUTHOR_H
#define DLP_AUTHOR_H

#include "dlp/dlp.h"

/* Appends the JSON Schema (draft 2020-12) of a rule file. */
void dlp_rules_schema(struct gw_buf *out);

/* Appends everything that is known of rule i: patterns, anchors, boundaries, validators, contexts, nears, lists, counts.
 * json: one JSON object; else lines for people. */
void dlp_rules_describe(const struct dlp_rules *r, unsigned i, bool json, struct gw_buf *out);

/* Appends a random text that the pattern matches, of printable characters where it leaves a choice. The same seed gives the
 * same text. GW_EPARSE and as the rule compiler; GW_ENOMEM. */
enum gw_status dlp_pattern_sample(struct gw_span pattern, bool nocase, uint64_t seed,
                                  struct gw_buf *out, struct gw_err *err);

/* ---- explaining ------------------------------------------------------------------------- */

/* One part of a confidence. */
struct dlp_explain_part {
    const char *what;      /* "rule", "validator", "context", "near" */
    struct gw_span detail; /* which: the validator, the word that was found; or empty */
    int points;
};

/* How a match was judged: before overlaps are resolved and counts and steps apply. Offsets are bytes in text, which is the
 * leaf's, or what a view made of it. */
struct dlp_explain {
    uint32_t rule, leaf;
    struct gw_span text;
    size_t match_start, match_end;   /* of the rule's pattern */
    size_t start, end;               /* what would be reported */
    size_t anchor_start, anchor_end; /* what the prefilter saw; equal: nothing that it knows */
    const char *dropped;             /* why it is no finding; NULL: it is one */
    unsigned confidence;             /* the sum of the parts, held between 0 and 100 */
    const struct dlp_explain_part *parts;
    unsigned n_parts;
};

/* Called with every match while a text is scanned; everything in e is valid during the call. */
typedef void (*dlp_explain_fn)(void *ctx, const struct dlp_explain *e);

/* Has fn called for every match that the scanner judges from now on; NULL: no more. Scanning is slower meanwhile. False: out
 * of memory, nothing is called. */
bool dlp_scanner_explain(struct dlp_scanner *s, dlp_explain_fn fn, void *ctx);

/* ---- costs ------------------------------------------------------------------------------ */

/* What one rule has cost. */
struct dlp_rule_cost {
    uint64_t candidates; /* places where one of its anchors stood and its matcher was run */
    uint64_t matches;    /* of those, where it matched */
    uint64_t ns;         /* in matcher, validators, contexts */
};

/* Has the scanner add what it does to costs, one of each rule of the set that is scanned with; NULL: no more. Reading the
 * clock makes scanning slower meanwhile. costs must outlive the scanner or the next call. */
void dlp_scanner_measure(struct dlp_scanner *s, struct dlp_rule_cost *costs);

/* ---- lint ------------------------------------------------------------------------------- */

/* Something about a rule that works and could be better. */
struct dlp_lint {
    const char *rule, *file;
    unsigned line;
    const char *check; /* "overlap", "wide", ...: stable names */
    const char *text;  /* what, and what to do */
};

typedef void (*dlp_lint_fn)(void *ctx, const struct dlp_lint *l);

/* Reads rule files and folders and calls fn for everything that is worth a look; *n_rules gets the number of rules. A rule
 * that does not compile is a failure: GW_EPARSE, GW_EINVAL and as dlp_rules_open(). */
enum gw_status dlp_rules_lint(const char *const *paths, unsigned n_paths, dlp_lint_fn fn, void *ctx,
                              unsigned *n_rules, struct gw_err *err);

#endif
