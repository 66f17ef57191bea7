/* dlp/words.c - see words.h. */
#include "dlp/words.h"

#include <stdlib.h>

enum { WORD_BITS = 64 };

bool dlp_words_init(struct dlp_words *w, size_t text_bytes)
{
    const size_t most = (size_t)1 << 27;
    size_t n = 4096;

    /* A word and what parts it from the next take some six bytes: one bit in eight is set. */
    while (n < most && n < text_bytes * 3)
        n *= 2;
    w->bits = calloc(n / WORD_BITS, sizeof(*w->bits));
    w->n_bits = n;
    return w->bits != NULL;
}

void dlp_words_fini(struct dlp_words *w)
{
    free(w->bits); /* hashes only */
    *w = (struct dlp_words){NULL, 0};
}

/* The next word's hash, and *at behind it; false: there is none. FNV-1a: who makes words collide finds one more thing taken
 * for known. */
static bool next_word(struct gw_span text, size_t *at, uint64_t *hash)
{
    uint64_t h = 0xCBF29CE484222325u;
    bool any = false;

    for (; *at < text.len; ++*at) {
        unsigned char c = (unsigned char)text.ptr[*at];

        if (c >= 'a' && c <= 'z')
            c -= 'a' - 'A';
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) {
            h = (h ^ c) * 0x100000001B3u;
            any = true;
        } else if (any) {
            break;
        }
    }
    h ^= h >> 29;
    *hash = h * 0x9E3779B97F4A7C15u;
    return any;
}

static size_t first_bit(const struct dlp_words *w, uint64_t h)
{
    return (size_t)(h >> 32) & (w->n_bits - 1);
}

static size_t second_bit(const struct dlp_words *w, uint64_t h)
{
    return (size_t)(h ^ h >> 17) & (w->n_bits - 1);
}

void dlp_words_add(struct dlp_words *w, struct gw_span text)
{
    uint64_t h;

    for (size_t at = 0; next_word(text, &at, &h);) {
        size_t a = first_bit(w, h), b = second_bit(w, h);

        w->bits[a / WORD_BITS] |= (uint64_t)1 << a % WORD_BITS;
        w->bits[b / WORD_BITS] |= (uint64_t)1 << b % WORD_BITS;
    }
}

bool dlp_words_has_all(const struct dlp_words *w, struct gw_span text)
{
    uint64_t h;

    for (size_t at = 0; next_word(text, &at, &h);) {
        size_t a = first_bit(w, h), b = second_bit(w, h);

        if ((w->bits[a / WORD_BITS] >> a % WORD_BITS & 1) == 0 ||
            (w->bits[b / WORD_BITS] >> b % WORD_BITS & 1) == 0)
            return false;
    }
    return true;
}
