/* dlp/prefilter.c - the scalar version of the filter, which is its specification, and the choice of a version.
 * Thread: any. */
#include "dlp/prefilter.h"

/* Random matrices; no row looks at bit 0x20 of a byte (gf2p8affineqb makes bit i of its result with row 7 - i). */
const uint64_t prefilter_linear[PREFILTER_BLOOMS][BUNDLE_WINDOW_BYTES] = {
    {UINT64_C(0x4158de0e8f014a59), UINT64_C(0xd0850c1c84895dc6), UINT64_C(0x1608cc100c884c13),
     UINT64_C(0x505ece1c931ec38b)},
    {UINT64_C(0xdd1a1106c446ced1), UINT64_C(0x97d4d11489dad5c2), UINT64_C(0x1204d90940c8938d),
     UINT64_C(0x8f4381850c9180db)},
    {UINT64_C(0x089ec182cdc9d49c), UINT64_C(0x1d4c1998464a148c), UINT64_C(0xc61802c89808990c),
     UINT64_C(0x101802dc07cfdd4c)},
};

#define W 3 /* of words and tokens */
#define T 2 /* of tokens only */
const uint8_t prefilter_flags[256] = {
    ['0'] = W, ['1'] = W, ['2'] = W, ['3'] = W, ['4'] = W, ['5'] = W, ['6'] = W, ['7'] = W,
    ['8'] = W, ['9'] = W, ['A'] = W, ['B'] = W, ['C'] = W, ['D'] = W, ['E'] = W, ['F'] = W,
    ['G'] = W, ['H'] = W, ['I'] = W, ['J'] = W, ['K'] = W, ['L'] = W, ['M'] = W, ['N'] = W,
    ['O'] = W, ['P'] = W, ['Q'] = W, ['R'] = W, ['S'] = W, ['T'] = W, ['U'] = W, ['V'] = W,
    ['W'] = W, ['X'] = W, ['Y'] = W, ['Z'] = W, ['a'] = W, ['b'] = W, ['c'] = W, ['d'] = W,
    ['e'] = W, ['f'] = W, ['g'] = W, ['h'] = W, ['i'] = W, ['j'] = W, ['k'] = W, ['l'] = W,
    ['m'] = W, ['n'] = W, ['o'] = W, ['p'] = W, ['q'] = W, ['r'] = W, ['s'] = W, ['t'] = W,
    ['u'] = W, ['v'] = W, ['w'] = W, ['x'] = W, ['y'] = W, ['z'] = W, ['_'] = W, ['+'] = T,
    ['/'] = T, ['='] = T, ['-'] = T,
};
#undef W
#undef T

/* Is the hash of some length known of the four bytes at p? */
static inline bool has_known_hash(const struct prefilter *f, const unsigned char *p)
{
    return prefilter_hash_known(&f->literals[PREFILTER_FOUR], prefilter_hash(PREFILTER_FOUR, p)) |
           prefilter_hash_known(&f->literals[PREFILTER_THREE], prefilter_hash(PREFILTER_THREE, p));
}

void prefilter_keep_known(const struct prefilter *f, const unsigned char *text, size_t from,
                          size_t len, struct prefilter_places *places)
{
    unsigned kept = 0;
    uint16_t *at = places->literal;

    /* No branch: which places are kept is hard to guess. */
    for (unsigned i = 0; i < places->n_literal; i++) {
        unsigned flags = prefilter_literal(f, prefilter_key(text, from + at[i], len));

        at[kept] = (uint16_t)(at[i] | flags);
        kept += flags != 0;
    }
    places->n_literal = kept;
}

/* Fills in the bits of n bytes, at most 64, from p on. */
static void find_classes(const unsigned char *p, size_t n, uint64_t out[PREFILTER_CLASSES])
{
    memset(out, 0, PREFILTER_CLASSES * sizeof(*out));
    for (size_t i = 0; i < n; i += 8) {
        unsigned char of[8] = {0};
        size_t most = n - i < 8 ? n - i : 8;
        uint64_t all;

        for (size_t k = 0; k < most; k++)
            of[k] = prefilter_classes[p[i + k]];
        memcpy(&all, of, sizeof(all));
        if (all == 0)
            continue;
        /* The multiplication gathers the low bits of eight bytes in the upper byte. */
        for (unsigned k = 0; k < PREFILTER_CLASSES; k++)
            out[k] |=
                ((all >> k & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56)
                << i;
    }
}

void prefilter_find_scalar(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, struct prefilter_places *out)
{
    unsigned n = 0, before = from > 0 ? prefilter_flags[text[from - 1]] & 1u : 0;

    for (size_t block = from; block < to; block += 64) {
        size_t end = to - block < 64 ? to : block + 64;
        uint64_t wide = 0, start = 0, digit = 0, colon = 0, token = 0;

        for (size_t i = block; i < end; i++) {
            unsigned char tail[BUNDLE_WINDOW_BYTES] = {0};
            const unsigned char *p = text + i;
            unsigned flags = prefilter_flags[*p], known, by;

            if (len - i < sizeof(tail)) {
                memcpy(tail, p, len - i);
                p = tail;
            }
            known = has_known_hash(f, p) ? prefilter_literal(f, prefilter_key(text, i, len)) : 0;
            out->literal[n] = (uint16_t)((i - from) | known);
            n += known != 0;
            by = prefilter_buckets(f, PREFILTER_START, p);
            wide |= (uint64_t)(((by & PREFILTER_BY_WIDE) | prefilter_buckets(f, PREFILTER_WIDE, p) |
                                prefilter_buckets(f, PREFILTER_WIDER, p)) != 0)
                    << (i - block);
            token |= (uint64_t)(flags >> 1) << (i - block);
            /* Where the word before this byte is over, or none was, one begins or another byte stands. */
            if (before == 0) {
                digit |= (uint64_t)((by & PREFILTER_BY_DIGIT) != 0) << (i - block);
                colon |= (uint64_t)((by & PREFILTER_BY_COLON) != 0) << (i - block);
                start |= (uint64_t)(((by & PREFILTER_BY_OTHER) |
                                     prefilter_buckets(f, PREFILTER_STARTER, p)) != 0)
                         << (i - block);
            }
            before = flags & 1;
        }
        find_classes(text + block, end - block, out->class[(block - from) / 64]);
        _Static_assert(PREFILTER_DIGIT == 1 << 0 && PREFILTER_COLON == 1 << 1, "the first two");
        out->wide[(block - from) / 64] = wide;
        out->start[(block - from) / 64] = start;
        out->by_digit[(block - from) / 64] = digit;
        out->by_colon[(block - from) / 64] = colon;
        out->digit[(block - from) / 64] = out->class[(block - from) / 64][0];
        out->colon[(block - from) / 64] = out->class[(block - from) / 64][1];
        out->token[(block - from) / 64] = token;
    }
    out->n_literal = n;
    prefilter_keep_near(out, to - from);
}

bool prefilter_starts_scalar(const struct prefilter *f, const unsigned char *p, unsigned first,
                             uint64_t alive[PREFILTER_ROW_WORDS])
{
    uint64_t any = 1;

    memcpy(alive, prefilter_start_row(f, 0, p[0]) + first, PREFILTER_ROW_WORDS * sizeof(*alive));
    for (unsigned k = 1; k < BUNDLE_HEAD_BYTES && any != 0; k++) {
        const uint64_t *row = prefilter_start_row(f, k, p[k]) + first;

        any = 0;
        for (unsigned i = 0; i < PREFILTER_ROW_WORDS; i++)
            any |= alive[i] &= row[i];
    }
    return any != 0;
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
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
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

enum prefilter_level prefilter_best(void)
{
    return prefilter_has_avx512() ? PREFILTER_AVX512
           : prefilter_has_avx2() ? PREFILTER_AVX2
                                  : PREFILTER_SCALAR;
}

void prefilter_choose(struct prefilter *f, enum prefilter_level level)
{
    static prefilter_find_fn *const find[] = {prefilter_find_scalar, prefilter_find_avx2,
                                              prefilter_find_avx512};
    static prefilter_starts_fn *const allowed[] = {prefilter_starts_scalar, prefilter_starts_avx2,
                                                   prefilter_starts_avx512};

    f->find = find[level];
    f->allowed = allowed[level];
}
