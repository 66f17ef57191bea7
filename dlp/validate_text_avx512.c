/* dlp/validate_text_avx512.c - how much a token reads like words, and whether it may count, 64 bytes at once. What it says is what dlp_val_wordiness_scalar() and
 * dlp_validate_is_wordy() do (dlp/validate_text.c). No state; any thread. */
#include "dlp/validate_impl.h"

#if defined(__x86_64__)
#    include <immintrin.h>

/* Which bytes are in [from, from + n). */
static inline __mmask64 within(__m512i v, char from, int n)
{
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(from)),
                                  _mm512_set1_epi8((char)n));
}

/* Which pairs of letters are common; places with others may say anything. */
static inline __mmask64 common_in(__m512i first, __m512i second)
{
    const __m512i bits = _mm512_broadcast_i32x4(
        _mm_set_epi8(0, 0, 0, 0, 0, 0, 0, 0, (char)128, 64, 32, 16, 8, 4, 2, 1));
    const __m512i a = _mm512_and_si512(first, _mm512_set1_epi8(31)),
                  b = _mm512_and_si512(second, _mm512_set1_epi8(31)),
                  /* The letter chooses the row, and two bits of the second one which byte of it. */
        index = _mm512_or_si512(a, _mm512_slli_epi16(_mm512_and_si512(b, _mm512_set1_epi8(24)), 2));

    return _mm512_test_epi8_mask(
        _mm512_permutex2var_epi8(_mm512_load_si512(dlp_val_pair_bits), index,
                                 _mm512_load_si512(dlp_val_pair_bits + 64)),
        _mm512_shuffle_epi8(bits, _mm512_and_si512(b, _mm512_set1_epi8(7))));
}

/* The bytes of a token, 1 to 64, and which of them are of a kind. */
struct token {
    __m512i bytes, next;
    __mmask64 letter, digit;
};

static inline struct token read_token(struct gw_span s)
{
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len);
    const __m512i v = _mm512_maskz_loadu_epi8(valid, s.ptr);

    return (struct token){.bytes = v,
                          .next = _mm512_maskz_loadu_epi8(valid >> 1, s.ptr + 1),
                          .letter = within(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'a', 26),
                          .digit = within(v, '0', 10)};
}

static inline double wordiness(const struct token *t, size_t len)
{
    const __mmask64
        upper = within(t->bytes, 'A', 26),
        pair = t->letter & t->letter >> 1, hump = pair & ~upper & upper >> 1, plain = pair & ~hump,
        /* Where letters begin behind something else or behind a hump, and those behind these. */
        first = t->letter & ~((t->letter & ~hump) << 1), second = first << 1 & t->letter & ~first,
        ends = (hump | (t->letter & t->digit >> 1)) & (first | second);
    unsigned pairs = (unsigned)(__builtin_popcountll(plain) + __builtin_popcountll(ends));

    if (pairs == 0 || (size_t)__builtin_popcountll(t->letter) * 2 < len)
        return 0;
    return (double)__builtin_popcountll(plain & common_in(t->bytes, t->next)) / (double)pairs;
}

double dlp_val_wordiness_avx512(struct gw_span s)
{
    const struct token t = read_token(s);

    return wordiness(&t, s.len);
}

bool dlp_validate_is_wordy_avx512(struct gw_span s)
{
    const struct token t = read_token(s);

    return t.letter == 0 || (t.digit == 0 && wordiness(&t, s.len) > DLP_VAL_WORDY);
}

/* Which of these pairs are a step of a run that counts, in either direction: 1, from 9 to 0, from 9 to a, from z to a; and perhaps some that
 * are none. */
static inline __mmask64 steps_in(__m512i from, __m512i to)
{
    const __m512i far = _mm512_abs_epi8(_mm512_sub_epi8(to, from));

    return _mm512_cmpeq_epi8_mask(far, _mm512_set1_epi8(1)) |
           _mm512_cmpeq_epi8_mask(far, _mm512_set1_epi8('9' - '0')) |
           _mm512_cmpeq_epi8_mask(far, _mm512_set1_epi8('a' - '9')) |
           _mm512_cmpeq_epi8_mask(far, _mm512_set1_epi8('z' - 'a'));
}

static inline __m512i small(__m512i v)
{
    return _mm512_mask_add_epi8(v, within(v, 'A', 26), v, _mm512_set1_epi8(0x20));
}

bool dlp_val_may_count_avx512(struct gw_span s)
{
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len);
    const __m512i v = small(_mm512_maskz_loadu_epi8(valid, s.ptr)),
                  next = small(_mm512_maskz_loadu_epi8(valid >> 1, s.ptr + 1)),
                  second = small(_mm512_maskz_loadu_epi8(valid >> 2, s.ptr + 2)),
                  key = _mm512_permutexvar_epi8(_mm512_and_si512(v, _mm512_set1_epi8(31)),
                                                _mm512_loadu_si512(dlp_val_key_right));
    const __mmask64 count = valid >> 1 & steps_in(v, next),
                    woven = valid >> 2 & steps_in(v, second),
                    keys = valid >> 1 & _mm512_cmpeq_epi8_mask(key, next);

    return (dlp_val_in_rows(count, 3) | dlp_val_in_rows(keys, 4) | dlp_val_in_rows(woven, 5)) != 0;
}

/* Letters of either case are one. */
static inline __m512i six_bits(__m512i v)
{
    const __m512i folded = _mm512_and_si512(_mm512_srli_epi16(v, 1), _mm512_set1_epi8(0x20));

    return _mm512_and_si512(_mm512_andnot_si512(folded, v), _mm512_set1_epi8(63));
}

uint64_t dlp_val_word_places_avx512(const uint8_t groups[3 * 64], struct gw_span s)
{
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len), thirds = valid >> 2;
    const __m512i first = six_bits(_mm512_maskz_loadu_epi8(valid, s.ptr)),
                  second = six_bits(_mm512_maskz_loadu_epi8(valid >> 1, s.ptr + 1)),
                  third = six_bits(_mm512_maskz_loadu_epi8(thirds, s.ptr + 2)),
                  two = _mm512_and_si512(
                      _mm512_permutexvar_epi8(first, _mm512_loadu_si512(groups)),
                      _mm512_permutexvar_epi8(second, _mm512_loadu_si512(groups + 64)));

    /* Behind the end any byte may be the third one. */
    return (valid >> 1) & _mm512_test_epi8_mask(
                              two, _mm512_mask_permutexvar_epi8(_mm512_set1_epi8(-1), thirds, third,
                                                                _mm512_loadu_si512(groups + 128)));
}
#else
uint64_t dlp_val_word_places_avx512(const uint8_t groups[3 * 64], struct gw_span s)
{
    (void)groups;
    return ~UINT64_C(0) >> (65 - s.len);
}

bool dlp_val_may_count_avx512(struct gw_span s)
{
    return dlp_val_may_count(s);
}

double dlp_val_wordiness_avx512(struct gw_span s)
{
    return dlp_val_wordiness_scalar(s);
}

bool dlp_validate_is_wordy_avx512(struct gw_span s)
{
    return dlp_validate_is_wordy(s);
}
#endif
