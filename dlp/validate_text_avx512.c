/* dlp/validate_text_avx512.c - whether a token reads like words, counts or may hold certain ones, 64 bytes at once. What it says is what
 * dlp/validate_text.c, dlp/validate_sample.c and dlp/validate_words.c do. No state; any thread. */
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

/* The letters of a span, and what its pairs of them say. */
struct letters {
    __mmask64 valid, letter, digit;
    unsigned pairs, common; /* as dlp_val_wordiness_scalar() counts them */
};

static inline struct letters letters_of(struct gw_span s)
{
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len);
    const __m512i v = _mm512_maskz_loadu_epi8(valid, s.ptr),
                  next = _mm512_maskz_loadu_epi8(valid >> 1, s.ptr + 1);
    const __mmask64
        letter = within(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'a', 26),
        upper = within(v, 'A', 26), digit = within(v, '0', 10), pair = letter & letter >> 1,
        hump = pair & ~upper & upper >> 1, plain = pair & ~hump,
        /* Where letters begin behind something else or behind a hump, and those behind these. */
        first = letter & ~((letter & ~hump) << 1), second = first << 1 & letter & ~first,
        soon = (hump | (letter & digit >> 1)) & (first | second);

    return (struct letters){
        .valid = valid,
        .letter = letter,
        .digit = digit,
        .pairs = (unsigned)(__builtin_popcountll(plain) + __builtin_popcountll(soon)),
        .common = (unsigned)__builtin_popcountll(plain & common_in(v, next)),
    };
}

static inline double wordiness_of(const struct letters *l, size_t len)
{
    return l->pairs == 0 || (unsigned)__builtin_popcountll(l->letter) * 2 < len
               ? 0
               : (double)l->common / (double)l->pairs;
}

double dlp_val_wordiness_avx512(struct gw_span s)
{
    const struct letters l = letters_of(s);

    return wordiness_of(&l, s.len);
}

bool dlp_validate_is_wordy_avx512(struct gw_span s)
{
    const struct letters l = letters_of(s);

    return l.letter == 0 || (l.digit == 0 && wordiness_of(&l, s.len) > DLP_VAL_WORDY);
}

static inline __m512i lower_of(__m512i v)
{
    return _mm512_mask_add_epi8(v, within(v, 'A', 26), v, _mm512_set1_epi8('a' - 'A'));
}

static inline __mmask64 is_any(__m512i v, char a, char b, char c, char d)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(a)) |
           _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b)) |
           _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c)) |
           _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(d));
}

/* What step_of() of dlp/validate_sample.c says of the bytes' differences. */
static inline __mmask64 ups(__m512i d)
{
    return is_any(d, 1, '0' - '9', 'a' - '9', 'a' - 'z');
}

static inline __mmask64 downs(__m512i d)
{
    return is_any(d, -1, '9' - '0', '9' - 'a', 'z' - 'a');
}

/* Which bits have two others behind them. */
static inline __mmask64 three(__mmask64 m)
{
    return m & m >> 1 & m >> 2;
}

bool dlp_val_may_count_avx512(struct gw_span s)
{
    /* The key to the right of each letter, counted from 0x60. */
    static const _Alignas(64) char right[64] = "\0snvfrghjokl;,mp[wtdyibecux";
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len);
    const __m512i v = lower_of(_mm512_maskz_loadu_epi8(valid, s.ptr)),
                  next = lower_of(_mm512_maskz_loadu_epi8(valid >> 1, s.ptr + 1)),
                  second = lower_of(_mm512_maskz_loadu_epi8(valid >> 2, s.ptr + 2)),
                  by_one = _mm512_sub_epi8(next, v), by_two = _mm512_sub_epi8(second, v);
    const __mmask64 woven = (ups(by_two) | downs(by_two)) & valid >> 2,
                    keys =
                        within(v, 'a', 26) &
                        _mm512_cmpeq_epi8_mask(
                            next, _mm512_permutexvar_epi8(_mm512_and_si512(v, _mm512_set1_epi8(31)),
                                                          _mm512_load_si512(right)));

    /* Runs of four bytes that count have three such steps, woven ones five, and five keys have four. */
    return (three(ups(by_one) & valid >> 1) | three(downs(by_one) & valid >> 1) |
            (three(woven) & woven >> 3 & woven >> 4) | (three(keys) & keys >> 3)) != 0;
}

/* Six bits of each byte, as dlp/validate_words.c has them. */
static inline __m512i six_of(__m512i v)
{
    return _mm512_andnot_si512(_mm512_and_si512(_mm512_srli_epi16(v, 1), _mm512_set1_epi8(0x20)),
                               v);
}

uint64_t dlp_val_word_places_avx512(const struct dlp_word_heads *heads, struct gw_span s)
{
    const __mmask64 valid = ~UINT64_C(0) >> (64 - s.len);
    __m512i words = _mm512_set1_epi8(-1);

    for (unsigned k = 0; k < DLP_WORDS_HEAD; k++) {
        __m512i v =
            k < s.len ? _mm512_maskz_loadu_epi8(valid >> k, s.ptr + k) : _mm512_setzero_si512();

        words = _mm512_and_si512(
            words, _mm512_permutexvar_epi8(six_of(v), _mm512_load_si512(heads->of[k])));
    }
    return _mm512_test_epi8_mask(words, words) & valid >> 1;
}
#else
bool dlp_validate_is_wordy_avx512(struct gw_span s)
{
    return dlp_validate_is_wordy(s);
}

double dlp_val_wordiness_avx512(struct gw_span s)
{
    return dlp_val_wordiness_scalar(s);
}

bool dlp_val_may_count_avx512(struct gw_span s)
{
    return dlp_val_sequential_scalar(s) > 0;
}

uint64_t dlp_val_word_places_avx512(const struct dlp_word_heads *heads, struct gw_span s)
{
    (void)heads;
    return (~UINT64_C(0) >> (64 - s.len)) >> 1;
}
#endif
