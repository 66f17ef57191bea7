/* dlp/prefilter.c - builds the filter's tables; the scalar version; the choice of a version, once.
 * Thread: any; tables are written at load time only. */
#include "dlp/prefilter.h"

#include <stdlib.h>
#include <string.h>

/* Enters a literal window's hash; others make their bucket one that hashes say nothing of. */
static void add_hash(struct prefilter *f, const struct bundle *b, unsigned w)
{
    unsigned char key[BUNDLE_WINDOW_BYTES] = {0};
    uint32_t hash = 0;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        const struct bundle_set *s = &b->sets[b->windows[w].set[place]];
        unsigned n = 0;

        for (unsigned i = 0; i < 8; i++) {
            for (uint32_t bits = s->w[i]; bits != 0; bits &= bits - 1) {
                unsigned byte = (i * 32 + (unsigned)__builtin_ctz(bits)) | 0x20;

                if (n++ > 0 && byte != key[place]) {
                    f->literal &= ~(UINT64_C(1) << b->windows[w].bucket);
                    return;
                }
                key[place] = (unsigned char)byte;
            }
        }
    }
    hash = prefilter_hash(key);
    f->hashes[hash >> 6] |= UINT64_C(1) << (hash & 63);
}

static void add_window(struct prefilter *f, const struct bundle *b, unsigned w)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        const struct bundle_set *s = &b->sets[b->windows[w].set[place]];

        for (unsigned i = 0; i < 8; i++) {
            for (uint32_t bits = s->w[i]; bits != 0; bits &= bits - 1) {
                unsigned byte = i * 32 + (unsigned)__builtin_ctz(bits);

                f->bucket[place][byte] |= UINT64_C(1) << b->windows[w].bucket;
                f->rows[((size_t)place * 256 + byte) * f->n_words + w / 64] |= UINT64_C(1)
                                                                               << (w % 64);
            }
        }
    }
}

/* Derives the SIMD tables from the specification. */
static void split_tables(struct prefilter *f)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            for (unsigned slice = 0; slice < PREFILTER_SLICES; slice++) {
                uint8_t bits = (uint8_t)(f->bucket[place][byte] >> (8 * slice));

                f->low[slice][place][byte & 15] |= bits;
                f->high[slice][place][byte >> 4] |= bits;
                if (byte < 128)
                    f->ascii[slice][place][byte] = bits;
                else
                    f->beyond[slice][place] |= bits;
            }
        }
    }
}

bool prefilter_init(struct prefilter *f, const struct bundle *b)
{
    memset(f, 0, sizeof(*f));
    f->literal = UINT64_MAX;
    f->n_windows = b->n_windows;
    f->n_words = (b->n_windows + 63) / 64;
    f->rows = calloc((size_t)BUNDLE_WINDOW_BYTES * 256 * f->n_words + 1, sizeof(*f->rows));
    if (f->rows == NULL)
        return false;
    for (unsigned w = 0; w < b->n_windows; w++) {
        add_window(f, b, w);
        add_hash(f, b, w);
        f->first[b->windows[w].bucket + 1] = w + 1;
    }
    for (unsigned i = 1; i <= BUNDLE_BUCKETS; i++) /* empty buckets */
        f->first[i] = f->first[i] > f->first[i - 1] ? f->first[i] : f->first[i - 1];
    split_tables(f);
    f->find = prefilter_best();
    return true;
}

void prefilter_fini(struct prefilter *f)
{
    free(f->rows);
    f->rows = NULL;
}

size_t prefilter_find_scalar(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out)
{
    size_t n = 0, i = from;

    for (; i < to && i + BUNDLE_WINDOW_BYTES <= len; i++) {
        out[n] = (uint32_t)(i - from);
        n += (f->bucket[0][text[i]] & f->bucket[1][text[i + 1]] & f->bucket[2][text[i + 2]] &
              f->bucket[3][text[i + 3]]) != 0;
    }
    for (; i < to; i++) {
        uint64_t bits = UINT64_MAX;

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            bits &= f->bucket[place][i + place < len ? text[i + place] : 0];
        out[n] = (uint32_t)(i - from);
        n += bits != 0;
    }
    return n;
}

#if defined(__x86_64__)
bool prefilter_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
}

bool prefilter_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           prefilter_has_avx2();
}
#else
bool prefilter_has_avx2(void)
{
    return false;
}

bool prefilter_has_avx512(void)
{
    return false;
}
#endif

prefilter_find_fn *prefilter_best(void)
{
    if (prefilter_has_avx512())
        return prefilter_find_avx512;
    if (prefilter_has_avx2())
        return prefilter_find_avx2;
    return prefilter_find_scalar;
}
