/* dlp/doc_map_avx512.c - dlp_map_unescape() with AVX-512, 64 bytes a step. Any thread. */
#include "dlp/doc.h"

#if defined(__x86_64__)
#    include <string.h>

#    include "base/json.h"
#    include "base/json_avx512.h"

static inline __mmask64 mask_of(size_t n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

size_t dlp_map_unescape_avx512(struct gw_span raw, char *out)
{
    enum { ROW = 64 };
    const __m512i low = _mm512_loadu_si512(dlp_map_short),
                  high = _mm512_loadu_si512(dlp_map_short + ROW);
    const char *p = raw.ptr, *end = raw.ptr;
    char *w = out;

    if (raw.len != 0)
        end += raw.len;
    while (p < end) {
        size_t n = end - p < ROW ? (size_t)(end - p) : ROW;
        __m512i v = _mm512_maskz_loadu_epi8(mask_of(n), p), said;
        uint64_t slashes = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')), begins, second,
                 longer, kept;

        if (slashes == 0) {
            _mm512_mask_storeu_epi8(w, mask_of(n), v);
            p += n;
            w += n;
            continue;
        }
        begins = gw_json_escapes(slashes, &second);
        said = _mm512_maskz_permutex2var_epi8(second & ~_mm512_movepi8_mask(v), low, v, high);
        longer = second & _mm512_testn_epi8_mask(said, said);
        if (longer != 0) {
            n = (size_t)__builtin_ctzll(longer) - 1;
        } else if (n == ROW && __builtin_expect((begins >> (ROW - 1)) != 0, 0)) {
            /* The last one goes on behind. As in gw_json_pass_avx512(), a branch that is seldom taken. */
            __asm__ volatile("");
            n--;
        }
        kept = ~begins & mask_of(n);
        v = _mm512_maskz_compress_epi8(kept, _mm512_mask_mov_epi8(v, second, said));
        /* No more than that: out may be what is still to be read. */
        _mm512_mask_storeu_epi8(w, mask_of((size_t)__builtin_popcountll(kept)), v);
        p += n;
        w += __builtin_popcountll(kept);
        if (longer != 0) {
            char tmp[4];

            n = gw_json_unescape(&p, tmp);
            memcpy(w, tmp, n);
            w += n;
        }
    }
    return (size_t)(w - out);
}
#else
size_t dlp_map_unescape_avx512(struct gw_span raw, char *out)
{
    return dlp_map_unescape_scalar(raw, out);
}
#endif
