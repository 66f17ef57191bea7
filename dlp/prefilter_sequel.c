/* dlp/prefilter_sequel.c - fills in what stands behind windows of many targets (prefilter_sequel.h). Thread: any; the tables are written here
 * only. */
#include "dlp/prefilter_sequel.h"

#include <stdlib.h>

#include "dlp/rulec_regex.h"

enum { MANY = 12 }; /* targets of a window; fewer are asked one by one */

/* Adds a bit to the words, `step` from each other, of the bytes of a set. */
static void add_bytes(uint64_t *words, size_t step, const struct bundle_set *set, uint64_t bit)
{
    for (unsigned byte = 0; byte < 256; byte++)
        words[byte * step] |= rx_set_has(set, (unsigned char)byte) ? bit : 0;
}

/* Need so many bytes that may be skipped not be counted? */
static bool is_uncounted(uint32_t most)
{
    return most == 0 || most >= PREFILTER_SEQUEL_FAR;
}

static void add_sequel(struct prefilter_sequels *s, struct prefilter_sequel_row rows[256],
                       const struct bundle *b, const struct bundle_target *t, uint64_t bit)
{
    enum { STEP = sizeof(*rows) / sizeof(uint64_t) };
    const struct bundle_sequel *q = &b->sequels[t->sequel];
    const unsigned before = PREFILTER_SEQUEL_PARTS - q->n_parts; /* parts that it does not have */
    uint32_t n;
    bool exact;

    if (q->n_parts == 0 || t->sequel_at - s->at >= PREFILTER_SEQUEL_BEGINS) {
        s->others |= bit;
        return;
    }
    n = q->part[q->n_parts - 1].n;
    exact = n <= PREFILTER_SEQUEL_RUN && (q->n_parts == 1 || q->part[0].n == 1);
    s->begin[before][t->sequel_at - s->at] |= bit;
    s->more |= q->n_parts > 1 && q->part[0].n == 1 ? bit : 0;
    s->n[n < PREFILTER_SEQUEL_RUN ? n - 1 : PREFILTER_SEQUEL_RUN - 1] |= bit;
    for (unsigned k = 0; k < q->n_parts; k++) {
        exact = exact && is_uncounted(q->part[k].most);
        if (q->part[k].most > 0)
            add_bytes(&rows->skip[before + k], STEP, &b->sets[q->part[k].skip], bit);
        add_bytes(&rows->run[before + k], STEP, &b->sets[q->part[k].run], bit);
    }
    s->exact |= exact ? bit : 0;
}

/* Bytes that do the same are one class; says how many there are. */
static unsigned classify(struct prefilter_sequels *s, const struct prefilter_sequel_row rows[256],
                         struct prefilter_sequel_row out[256])
{
    unsigned n = 0;

    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned class = 0;

        while (class < n && memcmp(&out[class], &rows[byte], sizeof(*rows)) != 0)
            class ++;
        if (class == n)
            out[n++] = rows[byte];
        s->class_of[byte] = (uint8_t) class;
    }
    return n;
}

/* Fills in s for n targets, and its rows; says how many these are. */
static unsigned fill(struct prefilter_sequels *s, const struct bundle *b,
                     const struct bundle_target *targets, unsigned n,
                     struct prefilter_sequel_row out[256])
{
    struct prefilter_sequel_row rows[256] = {{{0}, {0}}};

    s->at = UINT32_MAX;
    for (unsigned i = 0; i < n; i++)
        if (b->sequels[targets[i].sequel].n_parts > 0 && targets[i].sequel_at < s->at)
            s->at = targets[i].sequel_at;
    for (unsigned i = 0; i < n; i++)
        add_sequel(s, rows, b, &targets[i], UINT64_C(1) << i);
    return classify(s, rows, out);
}

/* The same for the next of the targets [i, end); false when out of memory. */
static bool fill_next(struct prefilter *f, const struct bundle *b, uint32_t i, uint32_t end)
{
    struct prefilter_sequel_row *grown =
        realloc(f->sequel_rows, (f->n_sequel_rows + 256) * sizeof(*grown));
    struct prefilter_sequels *s = &f->sequels[f->n_sequels];

    if (grown == NULL)
        return false;
    f->sequel_rows = grown;
    s->first_row = f->n_sequel_rows;
    f->n_sequel_rows += fill(s, b, &f->targets[i], end - i, grown + s->first_row);
    f->sequels_of[i] = (uint16_t)++f->n_sequels;
    return true;
}

static bool has_many(const struct prefilter *f, uint32_t window)
{
    return f->first_target[window + 1] - f->first_target[window] >= MANY;
}

bool prefilter_fill_sequels(struct prefilter *f, const struct bundle *b)
{
    size_t n = 0;

    for (uint32_t w = 0; w < b->n_windows; w++)
        if (has_many(f, w))
            n += (f->first_target[w + 1] - f->first_target[w]) / PREFILTER_AROUNDS + 1;
    n = n < UINT16_MAX ? n : UINT16_MAX;
    f->sequels = calloc(n + 1, sizeof(*f->sequels));
    f->sequels_of = calloc(b->n_targets + 1, sizeof(*f->sequels_of));
    if (f->sequels == NULL || f->sequels_of == NULL)
        return false;
    for (uint32_t w = 0; w < b->n_windows; w++) {
        const uint32_t end = f->first_target[w + 1];

        for (uint32_t i = f->first_target[w], next; has_many(f, w) && i < end; i = next) {
            next = end - i < PREFILTER_AROUNDS ? end : i + PREFILTER_AROUNDS;
            if (f->n_sequels < n && !fill_next(f, b, i, next))
                return false;
        }
    }
    return true;
}
