/* dlp/prefilter.h - finds the places in a text where a rule's window may be. Private to dlp.
 *
 * Each byte has, for each of the four places in a window, a set of buckets that accept it; where the
 * four sets of four bytes in a row meet, a window may begin. That is one table look-up a byte and place
 * in the scalar version, and a shuffle for 32 or 64 bytes in the others. prefilter_rows() then says
 * exactly which windows. Immutable after prefilter_init, so any thread may use it. */
#ifndef DLP_PREFILTER_H
#define DLP_PREFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dlp/bundle_abi.h"

enum { PREFILTER_CHUNK = 4096, PREFILTER_SLACK = 64, PREFILTER_SLICES = BUNDLE_BUCKETS / 8 };

struct prefilter;

/* Writes to out, ascending, the places i (counted from text + from) in [from, to) where a window may
 * begin, and returns how many. to - from is at most PREFILTER_CHUNK, out has room for that many plus
 * PREFILTER_SLACK. Bytes at len and beyond count as NUL and are not read. */
typedef size_t prefilter_find_fn(const struct prefilter *f, const unsigned char *text, size_t from,
                                 size_t to, size_t len, uint32_t *out);

struct prefilter {
    uint64_t bucket[BUNDLE_WINDOW_BYTES][256]; /* the specification: bit b, bucket b accepts */
    /* The same in slices of eight buckets: exact for ASCII, by nibbles for AVX2 (which accepts more),
     * one value for all bytes from 0x80 on. */
    _Alignas(64) uint8_t ascii[PREFILTER_SLICES][BUNDLE_WINDOW_BYTES][128];
    uint8_t low[PREFILTER_SLICES][BUNDLE_WINDOW_BYTES][16];
    uint8_t high[PREFILTER_SLICES][BUNDLE_WINDOW_BYTES][16];
    uint8_t beyond[PREFILTER_SLICES][BUNDLE_WINDOW_BYTES];
    uint64_t literal;                   /* buckets that hold literal windows only */
    uint64_t hashes[1 << 10];           /* a bit for each hash of a literal window */
    unsigned first[BUNDLE_BUCKETS + 1]; /* bucket b holds windows [first[b], first[b + 1]) */
    prefilter_find_fn *find;
    unsigned n_windows, n_words; /* a row has n_words words of 64 windows */
    uint64_t *rows;              /* [place][byte][word]: windows that accept the byte there */
};

/* 16 bits of hash of four bytes without case. */
static inline uint32_t prefilter_hash(const unsigned char *p)
{
    uint32_t key = 0;

    memcpy(&key, p, sizeof(key));
    return ((key | 0x20202020u) * 0x9E3779B1u) >> 16;
}

/* Builds the tables; false when out of memory. Release with prefilter_fini. */
bool prefilter_init(struct prefilter *f, const struct bundle *b);
void prefilter_fini(struct prefilter *f);

/* The variants; the last two only where the machine has the instructions. prefilter_best() picks. */
size_t prefilter_find_scalar(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out);
size_t prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, uint32_t *out);
size_t prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out);
prefilter_find_fn *prefilter_best(void);
bool prefilter_has_avx2(void);
bool prefilter_has_avx512(void);

/* The buckets of the windows that may be at p (four readable bytes). Literal windows, the many, are
 * looked up by a hash of their bytes without case first. */
static inline uint64_t prefilter_buckets(const struct prefilter *f, const unsigned char *p)
{
    uint32_t hash = prefilter_hash(p);
    uint64_t buckets =
        f->bucket[0][p[0]] & f->bucket[1][p[1]] & f->bucket[2][p[2]] & f->bucket[3][p[3]];

    return (f->hashes[hash >> 6] >> (hash & 63) & 1) != 0 ? buckets : buckets & ~f->literal;
}

/* The row of windows that accept byte at place. */
static inline const uint64_t *prefilter_row(const struct prefilter *f, unsigned place,
                                            unsigned char byte)
{
    return f->rows + ((size_t)place * 256 + byte) * f->n_words;
}

#endif
