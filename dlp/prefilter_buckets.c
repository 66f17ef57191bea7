/* dlp/prefilter_buckets.c - fills the filter's buckets of bytes (prefilter.h). Thread: any; the tables are written here only. */
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

static void split_tables(struct prefilter *f, enum prefilter_kind kind)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t bits = f->bucket[kind][place][byte];

            f->seven[kind][place][byte & 127] |= bits;
            for (unsigned half = 0; half < 32; half += 16) {
                f->low[kind][place][half + (byte & 15)] |= bits;
                f->high[kind][place][half + (byte >> 4)] |= bits;
            }
        }
    }
}

bool prefilter_fill_buckets(struct prefilter *f, unsigned first, unsigned n_buckets,
                            const struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES], unsigned n)
{
    unsigned *bucket = calloc(n + 1, sizeof(*bucket));
    bool ok = bucket != NULL && rulec_buckets(sets, n, n_buckets, bucket) == GW_OK;

    for (unsigned i = 0; i < n && ok; i++) {
        unsigned kind = (first + bucket[i]) / 8, bit = (first + bucket[i]) % 8;

        f->is_asked[kind] = true;
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            for (unsigned byte = 0; byte < 256; byte++)
                if (rx_set_has(&sets[i][place], byte))
                    f->bucket[kind][place][byte] |= (uint8_t)(1u << bit);
    }
    for (unsigned kind = first / 8; kind <= (first + n_buckets - 1) / 8; kind++)
        split_tables(f, kind);
    free(bucket);
    return ok;
}

struct prefilter_start prefilter_start_of(const struct prefilter *f, const struct bundle *b,
                                          uint32_t pattern, unsigned head)
{
    const struct bundle_pattern *p = &b->patterns[pattern];
    const struct prefilter_need *need = &f->needs[pattern];
    bool is_said = true;

    for (unsigned byte = 0; byte < 256 && need->need != 0; byte++)
        is_said = is_said && (!rx_set_has(&b->sets[p->head[head][0]], byte) ||
                              (prefilter_classes[byte] & need->need) != 0);
    return (struct prefilter_start){.lengths = need->lengths,
                                    .pattern = pattern,
                                    .head = (uint8_t)head,
                                    .need = is_said ? 0 : need->need,
                                    .within = need->within,
                                    .at_token = p->before == RULEC_BOUNDARY_TOKEN};
}
