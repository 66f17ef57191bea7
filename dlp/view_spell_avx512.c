/* dlp/view_spell_avx512.c - the places that view_spell.c looks at, eight a step (view_spell.h), with BMI2. Any thread. */
#include "dlp/view_spell.h"

#if defined(__x86_64__)
#    include <immintrin.h>
#    include <string.h>

enum { STEP = 8 };

#    define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* What view_spell.c says of five bytes, five bits each, the first lowest: the low ones of letters, 0 of what is none. Eight are read. */
static inline uint64_t fold(const char *p)
{
    uint64_t bytes, seven, letters;

    memcpy(&bytes, p, sizeof(bytes));
    seven = (bytes & EACH(0x7F)) | EACH(0x20);
    /* The upper bit of a byte: is it 'a' or above, and not above 'z', or beyond ASCII. */
    letters = (((seven + EACH(0x80 - 'a')) & ~(seven + EACH(0x7F - 'z'))) | bytes) & EACH(0x80);
    return _pext_u64(bytes & (letters >> 7) * 0x1F, EACH(0x1F));
}

static inline unsigned known(const uint64_t *trigrams, uint64_t folded)
{
    unsigned trigram = (unsigned)folded & (VIEW_TRIGRAMS - 1);

    return (unsigned)(trigrams[trigram / 64] >> (trigram % 64)) & 1;
}

size_t view_spell_find_avx512(const uint64_t trigrams[VIEW_TRIGRAMS / 64], const char *p, size_t at,
                              size_t n)
{
    const size_t reach = (size_t)(STEP - 1) * VIEW_SPELL_EVERY + sizeof(uint64_t);

    for (; at + reach <= n; at += (size_t)STEP * VIEW_SPELL_EVERY) {
        unsigned found = 0;

        for (unsigned i = 0; i < STEP; i++) {
            uint64_t folded = fold(p + at + (size_t)i * VIEW_SPELL_EVERY);

            found |= (known(trigrams, folded) & known(trigrams, folded >> 10)) << i;
        }
        if (found != 0)
            return at + (size_t)(unsigned)__builtin_ctz(found) * VIEW_SPELL_EVERY;
    }
    return at;
}
#endif
