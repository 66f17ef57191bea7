/* dlp/rulec_emit.h - the tables of a bundle while it is being made. Private to the rule compiler.
 *
 * rulec_tables.c compiles patterns and fills the tables as they are in memory (dlp/bundle_abi.h); rulec_emit.c writes them
 * as C with a native matcher for each pattern, interp_open.c uses them at once with programs of the interpreter. */
#ifndef DLP_RULEC_EMIT_H
#define DLP_RULEC_EMIT_H

#include "base/buf.h"
#include "dlp/rulec_anchor.h"
#include "dlp/rulec_chain.h"

/* Every set that tables name, once. */
struct emit_sets {
    struct bundle_set *set;
    unsigned n, cap;
    unsigned *table; /* indexes + 1 by a hash of the set, four times cap */
    bool failed;     /* out of memory; indexes are wrong then */
};

void emit_sets_fini(struct emit_sets *sets);

/* Returns the index of s, adding it when it is new. */
unsigned emit_set(struct emit_sets *sets, const struct bundle_set *s);

/* One anchor of one pattern. */
struct emit_anchor {
    struct rulec_anchor a;
    unsigned pattern;
};

/* A set that was opened before, whose patterns need not be compiled again. */
struct emit_earlier {
    const struct bundle *b;
    const struct interp_program *programs;
    const struct rulec_set *set; /* the rules that it has from sources: the last of its rules */
    uint32_t first_rule;         /* number of the first of them */
    /* Made by emit_earlier_index() and emit_earlier_match(): */
    uint32_t *first_pattern;             /* of each rule */
    uint32_t *first_anchor;              /* of each pattern, and the end */
    struct emit_earlier_anchor *anchors; /* by pattern */
    uint32_t *
        same; /* of each rule that is compiled now: the earlier one that is the same, or UINT32_MAX */
};

/* What stands in the bundle's tables. Zeroed but for arena is empty. */
struct emit_tables {
    struct gw_arena *arena; /* of the programs and of what emit_finish makes; not owned */
    const struct emit_earlier *earlier; /* NULL: compile everything */
    struct emit_sets sets;
    struct bundle_pattern *patterns; /* those compiled: without matchers */
    struct interp_program *programs; /* of each pattern, when they were asked for */
    struct emit_anchor *anchors;
    unsigned first_rule; /* number of the compiled set's first rule */
    unsigned n_patterns, cap_patterns, n_programs, cap_programs, n_anchors, cap_anchors, n_memos;
    unsigned n_anchored; /* patterns of rules; those of their nears come last */
    /* Known after emit_finish: */
    struct bundle_window *windows;
    struct bundle_target *targets;
    struct bundle_sequel *sequels;
    struct bundle_run *runs;
    unsigned n_windows, n_targets, n_sequels, n_runs;
};

void emit_tables_fini(struct emit_tables *t);

/* Compiles every pattern of the rules that are not off into t. out gets the source of the matchers; NULL: t gets programs instead. */
enum gw_status emit_patterns(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                             struct gw_err *err);

/* The two halves of it: the patterns of rules first, then those of their nears. */
enum gw_status emit_anchored(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                             struct gw_err *err);
enum gw_status emit_nears(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                          struct gw_err *err);

/* Adds a pattern, or an anchor of one. False: out of memory. */
bool emit_add_pattern(struct emit_tables *t, const struct bundle_pattern *p);
bool emit_add_anchor(struct emit_tables *t, const struct rulec_anchor *a, unsigned pattern);

/* Adds the program of the pattern that is added next; what it points to lives in the tables' arena. False: out of memory. */
bool emit_add_program(struct emit_tables *t, const struct interp_program *program);

/* Fill e in, first what follows from its set, then which rules of set, whose bundle's rules and lists these are, are the same. What they
 * make lives in arena. False: out of memory. */
bool emit_earlier_index(struct gw_arena *arena, struct emit_earlier *e);
bool emit_earlier_match(struct gw_arena *arena, struct emit_earlier *e, const struct rulec_set *set,
                        const struct bundle_rule *rules, const struct bundle_list *lists);

/* Adds the patterns, or those of the nears, of an earlier rule as the rule of that number. False: out of memory. */
bool emit_copy_rule(struct emit_tables *t, const struct emit_earlier *e, uint32_t earlier,
                    unsigned rule, bool nears);

/* Makes windows, targets and runs of the anchors. GW_ENOMEM. */
enum gw_status emit_finish(struct emit_tables *t, struct gw_err *err);

/* The set's rules as a bundle has them, in the set's arena, which also holds what they point to. NULL: out of memory. */
struct bundle_rule *emit_rules(const struct rulec_set *set);
/* The same for its lists. */
struct bundle_list *emit_lists(const struct rulec_set *set);

/* Write them as C, in the order of these two. */
void emit_put_lists(struct gw_buf *out, const struct bundle_list *lists, unsigned n);
void emit_put_rules(struct gw_buf *out, const struct bundle_rule *rules, unsigned n);

/* A C string, with octal escapes where a byte is not plain. */
void emit_put_string(struct gw_buf *out, struct gw_span s);

/* Writes native matchers for the rules that are not off and whose shard it is (emit_shard_of()): of each rule its patterns,
 * then its nears, as a struct bundle_shard. The text depends on nothing but these patterns. *n: how many; digest: of the
 * text, also in it. GW_ENOMEM, and what emit_patterns() says. */
enum gw_status emit_shard(const struct rulec_set *set, unsigned shard, unsigned n_shards,
                          struct gw_buf *out, unsigned *n, char digest[65], struct gw_err *err);
unsigned emit_shard_of(const struct rulec_rule *r, unsigned n_shards);

/* Reads a pattern of a rule and cuts it; *n_memos: how many its runs have. All lives in scratch. */
enum gw_status emit_chains(struct gw_arena *scratch, const struct rulec_rule *r,
                           struct gw_span pattern, struct rx_pattern *p, struct rx_chain **chains,
                           unsigned *n, unsigned *n_memos, struct gw_err *err);

/* Writes what stands in front of all matchers, the sets among it. */
void emit_put_prelude(struct gw_buf *out, const struct emit_sets *sets);

/* Writes the matcher function m<pattern>. */
void emit_matcher(struct gw_buf *out, unsigned pattern, const struct rx_chain *chains, unsigned n,
                  struct emit_sets *sets);

#endif
