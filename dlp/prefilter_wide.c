/* dlp/prefilter_wide.c - fills in what the filter knows of wide windows (prefilter.h). Thread: any; the tables are written here only. */
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

struct prefilter_quads prefilter_wide_quads(const struct prefilter *f, const struct bundle *b)
{
    struct prefilter_quads quads = {calloc(f->n_wide + 1, sizeof(*quads.sets)), f->n_wide};

    for (unsigned i = 0; i < f->n_wide && quads.sets != NULL; i++)
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            quads.sets[i][place] = b->sets[b->windows[f->wide[i]].set[place]];
    return quads;
}

/* With how many heads a match that the target leads to can begin, as far as it is known where it does. */
static unsigned heads_of(const struct prefilter *f, const struct bundle_target *t)
{
    return t->min == t->max ? f->first_head[t->pattern + 1] - f->first_head[t->pattern] : 1;
}

/* A head of a target of a wide window. */
struct sight {
    const struct bundle_window *window;
    const struct bundle_target *target;
    const uint32_t *head; /* NULL: matches begin in more than one place */
    bool at_word;
};

/* Allows the sight this byte at that place around its window? */
static bool allows(const struct bundle *b, const struct sight *s, unsigned place, unsigned byte)
{
    const struct bundle_target *t = s->target;
    const int at = (int)place - BUNDLE_AROUND_BEFORE, in_head = at + (int)t->min;

    if ((byte & t->mask[place]) != t->value[place] ||
        (at >= 0 && at < BUNDLE_WINDOW_BYTES && !rx_set_has(&b->sets[s->window->set[at]], byte)))
        return false;
    if (s->head == NULL)
        return true;
    if (in_head == -1)
        return !s->at_word || (prefilter_flags[byte] & 1) == 0;
    return in_head < 0 || in_head >= BUNDLE_HEAD_BYTES ||
           rx_set_has(&b->sets[s->head[in_head]], byte);
}

static void add_sight(struct prefilter *f, const struct bundle *b, const struct sight *s,
                      unsigned bit)
{
    for (unsigned place = 0; place < BUNDLE_AROUND_BYTES; place++)
        for (unsigned byte = 0; byte < 256; byte++)
            if (allows(b, s, place, byte))
                f->wide_rows[((size_t)place * 256 + byte) * f->wide_words + bit / 64] |=
                    UINT64_C(1) << (bit % 64);
}

/* Calls add_sight() for all heads of the targets of a window. */
static void add_sights(struct prefilter *f, const struct bundle *b, uint32_t window)
{
    for (uint32_t t = f->first_target[window]; t < f->first_target[window + 1]; t++) {
        const struct bundle_target *target = &f->targets[t];
        const struct bundle_pattern *p = &b->patterns[target->pattern];
        struct sight sight = {
            .window = &b->windows[window], .target = target, .at_word = prefilter_at_word(p)};

        for (unsigned k = 0; k < heads_of(f, target); k++) {
            sight.head = target->min == target->max ? p->head[k] : NULL;
            add_sight(f, b, &sight, f->n_wide_targets);
            f->wide_targets[f->n_wide_targets++] = t;
        }
    }
}

bool prefilter_fill_wide(struct prefilter *f, const struct bundle *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->n_wide; i++)
        for (uint32_t t = f->first_target[f->wide[i]]; t < f->first_target[f->wide[i] + 1]; t++)
            n += heads_of(f, &f->targets[t]);
    f->wide_words = (n + 63) / 64;
    f->wide_targets = calloc((size_t)n + 1, sizeof(*f->wide_targets));
    f->wide_rows =
        calloc((size_t)BUNDLE_AROUND_BYTES * 256 * f->wide_words + 1, sizeof(*f->wide_rows));
    if (f->wide_targets == NULL || f->wide_rows == NULL)
        return false;
    for (unsigned i = 0; i < f->n_wide; i++)
        add_sights(f, b, f->wide[i]);
    return true;
}

/* ---- what stands beside --------------------------------------------------------------------- */

/* Accepts the bucket all that the window's sets hold? Its own does. */
static bool has_window(const struct prefilter *f, const struct bundle *b,
                       const struct bundle_window *w, unsigned kind, unsigned bucket)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        for (unsigned byte = 0; byte < 256; byte++)
            if (rx_set_has(&b->sets[w->set[place]], byte) &&
                (f->bucket[kind][place][byte] >> bucket & 1) == 0)
                return false;
    return true;
}

/* Allows one of the targets [first, end) of wide_targets this byte at that place around their window? */
static bool some_allow(const struct prefilter *f, unsigned first, unsigned end, unsigned place,
                       unsigned byte)
{
    const uint64_t *row = f->wide_rows + ((size_t)place * 256 + byte) * f->wide_words;

    for (unsigned i = first; i < end; i++)
        if ((row[i / 64] >> (i % 64) & 1) != 0)
            return true;
    return false;
}

/* Adds what can stand beside a window with these targets to the bits of a kind's buckets. */
static void add_beside(struct prefilter *f, unsigned kind, unsigned bits, unsigned first,
                       unsigned end)
{
    enum { FROM = BUNDLE_AROUND_BEFORE - PREFILTER_BESIDE_BEFORE };

    for (unsigned k = 0; k < PREFILTER_BESIDE; k++) {
        unsigned place = FROM + k + (k < PREFILTER_BESIDE_BEFORE ? 0 : BUNDLE_WINDOW_BYTES);

        for (unsigned byte = 0; byte < 256; byte++)
            if (some_allow(f, first, end, place, byte))
                f->beside[kind][k][byte & 127] |= (uint8_t)bits;
    }
}

void prefilter_fill_beside(struct prefilter *f, const struct bundle *b)
{
    for (unsigned i = 0, first = 0, end; i < f->n_wide; i++, first = end) {
        const uint32_t window = f->wide[i];

        for (end = first;
             end < f->n_wide_targets && f->wide_targets[end] < f->first_target[window + 1];)
            end++;
        for (unsigned kind = PREFILTER_WIDE; kind <= PREFILTER_START; kind++) {
            unsigned bits = 0;

            for (unsigned bucket = 0; bucket < 8; bucket++)
                bits |= (unsigned)has_window(f, b, &b->windows[window], kind, bucket) << bucket;
            add_beside(f, kind, bits, first, end);
        }
    }
}
