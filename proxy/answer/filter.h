/* proxy/answer/filter.h - one growing text of an answer on its way to the client: scanned by response policy, then restored.
 *
 * Scanning comes first, so that values of the user's own that are put back are no findings. Used on the strings of
 * events that are forwarded (restream.c), on translated and local answers (translate.c), and on whole JSON answers.
 * Thread: the worker's. */
#ifndef PROXY_FILTER_H
#define PROXY_FILTER_H

#include "base/buf.h"
#include "base/err.h"
#include "dlp/dlp.h"

/* What the scan of an answer took. */
struct filter_time {
    uint64_t ns;
    uint64_t most_ns; /* what it may take; 0: as long as it takes */
    bool failed;      /* it could not be scanned to its end */
    bool late;        /* it took longer than it may: what was scanned last does not go out */
};

/* What an answer's texts go through; must outlive its filters. */
struct filter_config {
    const struct dlp_vault *vault; /* NULL: nothing to restore */
    struct dlp_scanner *scanner;   /* NULL: answers are not scanned */
    struct dlp_rules *rules;
    struct dlp_scan_limits limits;
    dlp_guard_fn decide; /* says what happens to a finding, and counts it */
    void *ctx;
    struct filter_time *time; /* NULL: nobody wants it */
};

struct filter;

/* json_nesting: 1 for a text that is itself JSON (tool arguments): restored values and placeholders are escaped for it.
 * NULL: out of memory. */
struct filter *filter_new(const struct filter_config *cfg, unsigned json_nesting);
void filter_free(struct filter *f); /* wipes; f may be NULL */

/* Feeds decoded text; appends to out what can go. GW_EDENIED: policy blocks the answer, nothing more may go out;
 * GW_ELIMIT, GW_ETIMEDOUT, GW_ENOMEM likewise. */
enum gw_status filter_feed(struct filter *f, struct gw_span text, struct gw_buf *out);
/* The text is complete: appends the rest. */
enum gw_status filter_finish(struct filter *f, struct gw_buf *out);
/* Feeds the last piece and ends the text; for a text that comes whole. */
enum gw_status filter_last(struct filter *f, struct gw_span text, struct gw_buf *out);
/* Bytes held back because they may begin a finding; and lets them go all the same (a timer's decision): what follows is
 * still judged together with them. What may begin a placeholder is neither counted nor let go: it is short, and half of
 * one could not be restored. */
size_t filter_held(const struct filter *f);
/* True when nothing at all is held back, the beginning of a placeholder included. */
bool filter_is_empty(const struct filter *f);
enum gw_status filter_release(struct filter *f, struct gw_buf *out);
unsigned filter_restored(const struct filter *f); /* placeholders put back so far */

/* A whole JSON answer: every leaf scanned, edited and restored, bytes outside unchanged; a text that its provider has
 * signed (Anthropic's thinking) stays as it is, and what would have to be hidden in it blocks. GW_EPARSE: not JSON;
 * GW_EDENIED: blocked; GW_ENOMEM also when the arena, which is scratch, is full: some 300 bytes a byte of body are
 * enough for any. */
enum gw_status filter_json(const struct filter_config *cfg, struct gw_arena *arena,
                           struct gw_span body, struct gw_buf *out, unsigned *n_restored);

/* A whole answer that is no JSON, as errors on the way to a provider are: one text. Unchanged but for what is hidden or
 * restored. GW_EDENIED, GW_ELIMIT, GW_ENOMEM. */
enum gw_status filter_plain(const struct filter_config *cfg, struct gw_span body,
                            struct gw_buf *out, unsigned *n_restored);

#endif
