/* dlp/rulec_emit.h - the emitter's parts. Private to the rule compiler. */
#ifndef DLP_RULEC_EMIT_H
#define DLP_RULEC_EMIT_H

#include "base/buf.h"
#include "dlp/rulec_anchor.h"
#include "dlp/rulec_chain.h"

/* Every set that tables name, once. */
struct emit_sets {
    struct bundle_set *set;
    unsigned n, cap;
    bool failed; /* out of memory; indexes are wrong then */
};

/* Returns the index of s, adding it when it is new. */
unsigned emit_set(struct emit_sets *sets, const struct bundle_set *s);

struct emit_pattern {
    unsigned rule, first, before, after, reach, first_memo;
};

/* One anchor of one pattern. */
struct emit_anchor {
    struct rulec_anchor a;
    unsigned pattern;
    unsigned bucket; /* of a window */
    bool literal;    /* a window of one byte, or one letter, at each place */
};

/* What stands in the bundle's tables. Zeroed is empty. */
struct emit_tables {
    struct emit_sets sets;
    struct emit_pattern *patterns;
    struct emit_anchor *anchors;
    unsigned n_patterns, cap_patterns, n_anchors, cap_anchors, n_memos;
    unsigned n_literals;                   /* windows; they come first */
    unsigned n_windows, n_targets, n_runs; /* known after emit_put_tables */
};

void emit_tables_fini(struct emit_tables *t);

/* Compiles every pattern of the set: matchers go to out, the rest to t. */
enum gw_status emit_patterns(const struct rulec_set *set, struct emit_tables *t, struct gw_buf *out,
                             struct gw_err *err);

/* Writes the tables patterns, windows, targets and runs. */
enum gw_status emit_put_tables(struct emit_tables *t, struct gw_buf *out, struct gw_err *err);

/* Writes the matcher function m<pattern>; returns how many memos it uses. */
unsigned emit_matcher(struct gw_buf *out, unsigned pattern, const struct rx_chain *chains,
                      unsigned n, struct emit_sets *sets);

#endif
