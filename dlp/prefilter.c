/* dlp/prefilter.c - the scalar version of the filter, which is its specification, and the choice of a version.
 * Thread: any. */
#include "dlp/prefilter_bits.h"

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
#define D 7 /* a digit, too */
#define T 2 /* of tokens only */
#define C 8 /* a colon */
const uint8_t prefilter_flags[256] = {
    ['0'] = D, ['1'] = D, ['2'] = D, ['3'] = D, ['4'] = D, ['5'] = D, ['6'] = D, ['7'] = D,
    ['8'] = D, ['9'] = D, ['A'] = W, ['B'] = W, ['C'] = W, ['D'] = W, ['E'] = W, ['F'] = W,
    ['G'] = W, ['H'] = W, ['I'] = W, ['J'] = W, ['K'] = W, ['L'] = W, ['M'] = W, ['N'] = W,
    ['O'] = W, ['P'] = W, ['Q'] = W, ['R'] = W, ['S'] = W, ['T'] = W, ['U'] = W, ['V'] = W,
    ['W'] = W, ['X'] = W, ['Y'] = W, ['Z'] = W, ['a'] = W, ['b'] = W, ['c'] = W, ['d'] = W,
    ['e'] = W, ['f'] = W, ['g'] = W, ['h'] = W, ['i'] = W, ['j'] = W, ['k'] = W, ['l'] = W,
    ['m'] = W, ['n'] = W, ['o'] = W, ['p'] = W, ['q'] = W, ['r'] = W, ['s'] = W, ['t'] = W,
    ['u'] = W, ['v'] = W, ['w'] = W, ['x'] = W, ['y'] = W, ['z'] = W, ['_'] = W, ['+'] = T,
    ['/'] = T, ['='] = T, ['-'] = T, [':'] = C,
};
#undef W
#undef D
#undef T
#undef C

unsigned prefilter_keep_known(const struct prefilter *f, const unsigned char *text, size_t from,
                              size_t len, struct prefilter_places *places, unsigned first,
                              unsigned end, unsigned kept)
{
    uint16_t *at = places->literal;

    /* No branch: which places are kept is hard to guess. */
    for (unsigned i = first; i < end; i++) {
        unsigned place = at[i] & PREFILTER_PLACE,
                 flags = prefilter_literal(f, prefilter_key(text, from + place, len),
                                           places->begin[place / 64] >> (place % 64));

        at[kept] = (uint16_t)(place | flags);
        kept += flags != 0;
    }
    return kept;
}

/* ---- eight bytes a step ------------------------------------------------------------------- */

enum { STEP = 8, RUN_BIT = 4 };
_Static_assert(PREFILTER_IN_RUN == 1 << RUN_BIT, "a bit");
#define LOW_BITS UINT64_C(0x0101010101010101)

/* Puts a bit each of eight bytes in front of those of the eight before, which go on as the next lower byte: the multiplication gathers
 * them in the upper one. */
static inline uint64_t gather(uint64_t mask, uint64_t bytes)
{
    return mask >> 8 |
           ((bytes & LOW_BITS) * UINT64_C(0x0102040810204080) & UINT64_C(0xFF00000000000000));
}

/* What tables say of each byte of a chunk. Loaded much later than stored: a load of bytes that were just stored one by one waits. */
struct said {
    uint8_t pairs[PREFILTER_CHUNK + 2 * STEP]; /* of two bytes each: enum prefilter_pair */
    uint8_t flags[PREFILTER_CHUNK];            /* prefilter_flags */
};

/* Asks the tables about [from, to), and about the two bytes behind it; behind text[0, len) there are zeroes. */
static void ask_tables(const struct prefilter *f, const unsigned char *text, size_t from, size_t to,
                       size_t len, struct said *said)
{
    enum { BEHIND = BUNDLE_WINDOW_BYTES - 2 };
    const uint8_t *table = f->sieve.pairs;
    const unsigned char *p = text + from;
    size_t n = to - from, blocks = (n + 63) / 64 * 64,
           inside = len - from > n + BEHIND ? n + BEHIND : len - from - 1, i = 0;

    for (; i + STEP <= inside; i += STEP)
        for (unsigned k = 0; k < STEP; k++) {
            uint16_t two;

            memcpy(&two, p + i + k, sizeof(two));
            said->pairs[i + k] = table[two];
        }
    for (; i < inside; i++)
        said->pairs[i] = table[p[i] | (unsigned)p[i + 1] << 8];
    for (; i < n + BEHIND; i++)
        said->pairs[i] = table[i == inside ? p[i] : 0];
    memset(said->pairs + i, 0, blocks + (size_t)2 * STEP - i);
    for (i = 0; i + STEP <= n; i += STEP)
        for (unsigned k = 0; k < STEP; k++)
            said->flags[i + k] = f->flags[p[i + k]];
    for (; i < n; i++)
        said->flags[i] = f->flags[p[i]];
    memset(said->flags + i, 0, blocks - i);
}

/* Where literals may begin in n bytes. */
static unsigned find_pairs(const uint8_t *pairs, size_t n, uint16_t *out)
{
    unsigned found = 0;

    for (size_t i = 0; i < n; i += STEP) {
        uint64_t first, second, third, left;

        memcpy(&first, pairs + i, sizeof(first));
        memcpy(&second, pairs + i + 1, sizeof(second));
        memcpy(&third, pairs + i + 2, sizeof(third));
        _Static_assert(PREFILTER_PAIR_FIRST == 1 && PREFILTER_PAIR_SECOND == 2 &&
                           PREFILTER_PAIR_THIRD == 4,
                       "a bit further each");
        for (left = first & second >> 1 & third >> 2 & LOW_BITS; left != 0; left &= left - 1)
            out[found++] = (uint16_t)(i + (unsigned)__builtin_ctzll(left) / 8);
    }
    while (found > 0 && out[found - 1] >= n)
        found--;
    return found;
}

/* Which of 64 bytes have the flag of that bit; any: all of their flags. */
static inline uint64_t flag_of(const uint8_t flags[64], uint64_t any, unsigned bit)
{
    uint64_t mask = 0;

    if ((any & LOW_BITS << bit) == 0)
        return 0;
    for (unsigned i = 0; i < 64; i += STEP) {
        uint64_t k;

        memcpy(&k, flags + i, sizeof(k));
        mask = gather(mask, k >> bit);
    }
    return mask;
}

/* The first bytes of text[at, ...), with zeroes behind its end. */
static inline const unsigned char *window_at(const unsigned char *text, size_t at, size_t len,
                                             unsigned char tail[BUNDLE_WINDOW_BYTES])
{
    if (len - at >= BUNDLE_WINDOW_BYTES)
        return text + at;
    memset(tail, 0, BUNDLE_WINDOW_BYTES);
    memcpy(tail, text + at, len - at);
    return tail;
}

/* Asks the buckets at places of a block that pairs allow: of starts where a word begins, and of wide windows. */
static void find_windows(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t len, uint64_t begin, uint64_t windows, size_t block,
                         struct prefilter_places *out)
{
    uint64_t start = 0, digit = 0, colon = 0;

    for (uint64_t left = begin | windows; left != 0; left &= left - 1) {
        unsigned char tail[BUNDLE_WINDOW_BYTES];
        const size_t place = block * 64 + (size_t)__builtin_ctzll(left);
        const unsigned char *p = window_at(text, from + place, len, tail);
        unsigned by = prefilter_buckets(f, PREFILTER_START, p);
        uint64_t bit = left & -left;

        if (((by & f->by_wide) | prefilter_buckets(f, PREFILTER_WIDE, p) |
             prefilter_buckets(f, PREFILTER_WIDER, p)) != 0)
            out->wide_at[out->n_wide++] = (uint16_t)place;
        if ((begin & bit) == 0)
            continue;
        digit |= (by & PREFILTER_BY_DIGIT) != 0 ? bit : 0;
        colon |= (by & PREFILTER_BY_COLON) != 0 ? bit : 0;
        start |= ((by & f->by_other) | prefilter_buckets(f, PREFILTER_STARTER, p)) != 0 ? bit : 0;
    }
    out->start[block] = start;
    out->by_digit[block] = digit;
    out->by_colon[block] = colon;
}

/* Which of the 64 bytes from `at` on tokens and runs are made of. */
static void put_behind(const struct prefilter *f, const unsigned char *text, size_t at, size_t len,
                       uint64_t *token, uint64_t *run)
{
    *token = *run = 0;
    for (unsigned i = 0; i < 64 && at + i < len; i++) {
        *token |= (uint64_t)(f->flags[text[at + i]] >> 1 & 1) << i;
        *run |= (uint64_t)(f->flags[text[at + i]] >> RUN_BIT & 1) << i;
    }
}

/* Lists the starts. */
static unsigned list_starts(struct prefilter_places *places)
{
    unsigned n = 0;

    for (uint64_t busy = places->busy; busy != 0; busy &= busy - 1) {
        unsigned block = (unsigned)__builtin_ctzll(busy);

        for (uint64_t left = places->start[block]; left != 0; left &= left - 1)
            places->start_at[n++] = (uint16_t)(block * 64 + (unsigned)__builtin_ctzll(left));
    }
    return n;
}

void prefilter_find_scalar(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, struct prefilter_places *out)
{
    struct said said;
    uint64_t words[1 + PREFILTER_BLOCKS];

    out->n_literal = out->n_start = out->n_wide = 0;
    out->busy = out->rows = 0;
    put_behind(f, text, to, len, &out->token[(to - from + 63) / 64],
               &out->run[(to - from + 63) / 64]);
    if (from == to)
        return;
    words[0] = prefilter_word_before(text, from);
    ask_tables(f, text, from, to, len, &said);
    for (size_t block = 0; block * 64 < to - from; block++) {
        size_t n = to - from - block * 64;
        uint64_t word = 0, token = 0, starts = 0, windows = 0, any = 0,
                 valid = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;

        for (unsigned i = 0; i < 64; i += STEP) {
            uint64_t k, pair;

            memcpy(&k, said.flags + block * 64 + i, sizeof(k));
            memcpy(&pair, said.pairs + block * 64 + i, sizeof(pair));
            any |= k;
            _Static_assert(PREFILTER_PAIR_START == 1 << 3 && PREFILTER_PAIR_WIDE == 1 << 4,
                           "shifts");
            word = gather(word, k);
            token = gather(token, k >> 1);
            starts = gather(starts, pair >> 3);
            windows = gather(windows, pair >> 4);
        }
        find_windows(f, text, from, len, starts & ~(word << 1 | words[block] >> 63) & valid,
                     windows & valid, block, out);
        words[block + 1] = word;
        out->digit[block] = flag_of(said.flags + block * 64, any, 2);
        out->colon[block] = flag_of(said.flags + block * 64, any, 3);
        out->token[block] = token;
        if (!f->run_is_token)
            out->run[block] = flag_of(said.flags + block * 64, any, RUN_BIT);
    }
    out->n_literal = find_pairs(said.pairs, to - from, out->literal);
    prefilter_sum_up(f, words, to - from, out);
    out->n_literal = prefilter_keep_known(f, text, from, len, out, 0, out->n_literal, 0);
    prefilter_keep_wide(f, text, from, len, out->n_wide, out);
    if (f->start_words == 1)
        prefilter_keep_starts(f, text, from, len, list_starts(out), out);
}

bool prefilter_starts_scalar(const struct prefilter *f, const unsigned char *p, unsigned near,
                             unsigned first, uint64_t alive[PREFILTER_ROW_WORDS])
{
    uint64_t any = 1;

    memcpy(alive, prefilter_near_row(f, near) + first, PREFILTER_ROW_WORDS * sizeof(*alive));
    for (unsigned k = 0; k < BUNDLE_HEAD_BYTES && any != 0; k++) {
        const uint64_t *row = prefilter_start_row(f, k, p[k]) + first;

        any = 0;
        for (unsigned i = 0; i < PREFILTER_ROW_WORDS; i++)
            any |= alive[i] &= row[i];
    }
    return any != 0;
}

bool prefilter_near_scalar(const unsigned char *p, size_t n, unsigned classes)
{
    size_t i = 0;

    while (i < n && (prefilter_classes[p[i]] & classes) == 0)
        i++;
    return i < n;
}

uint64_t prefilter_members_scalar(const struct bundle_set *set, const unsigned char *p, size_t n)
{
    uint64_t found = 0;

    for (size_t i = 0; i < n; i++)
        found |= (uint64_t)(set->w[p[i] >> 5] >> (p[i] & 31) & 1) << i;
    return found;
}

uint64_t prefilter_fitting_scalar(const uint64_t *a, unsigned n, const uint64_t around[2])
{
    uint64_t found = 0;

    for (unsigned i = 0; i < n; i++)
        found |= (uint64_t)prefilter_around_fits(a, n, i, around) << i;
    return found;
}

uint64_t prefilter_named_scalar(const struct prefilter *f, uint32_t first, uint64_t targets,
                                uint64_t alive, size_t left)
{
    uint64_t found = 0;

    for (uint64_t bits = targets; bits != 0; bits &= bits - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);
        uint8_t most = f->name_left[first + bit];

        if ((alive >> f->name_of[first + bit] & 1) != 0 && (left <= most || most == UINT8_MAX))
            found |= UINT64_C(1) << bit;
    }
    return found;
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
           __builtin_cpu_supports("bmi2") && prefilter_has_avx2();
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
    static prefilter_members_fn *const members[] = {
        prefilter_members_scalar, prefilter_members_avx2, prefilter_members_avx512};

    f->level = level;
    f->find = find[level];
    f->allowed = allowed[level];
    f->members = members[level];
    f->fitting = level == PREFILTER_AVX512 ? prefilter_fitting_avx512 : prefilter_fitting_scalar;
    f->named = level == PREFILTER_AVX512 ? prefilter_named_avx512 : prefilter_named_scalar;
    f->near = level == PREFILTER_AVX512 ? prefilter_near_avx512 : prefilter_near_scalar;
}
