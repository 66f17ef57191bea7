/* dlp/view_spell.c - may digits that are spelled as words stand in a text (view_spell.h). Any thread; the
 * table is filled in once.
 *
 * Seven spelled digits cover a place of every SPELL_EVERY and four bytes behind it, so only those are looked at. */
#include "dlp/view_spell.h"

#include <pthread.h>
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"

enum { SPELL_EVERY = VIEW_SPELL_EVERY, SPELL_LEAST = SPELL_EVERY + 10 };

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

/* Is the word at or behind `at` a spelled digit, and the next one, too? */
static bool spells(struct gw_span text, size_t at)
{
    enum { LONGEST = 7 };
    size_t from = at;

    while (from > 0 && at - from <= LONGEST && is_letter(text.ptr[from - 1]))
        from--;
    if (at - from > LONGEST)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        unsigned len = 0;

        for (unsigned k = 0; k < 3 && from < text.len && !is_letter(text.ptr[from]); k++)
            from++;
        if (from >= text.len || view_spelled(text, from, &len) < 0)
            return false;
        from += len;
    }
    return true;
}

/* Three bytes that follow each other somewhere in two spelled digits and what is between them. */
static uint64_t trigrams[VIEW_TRIGRAMS / 64];
static pthread_once_t trigrams_once = PTHREAD_ONCE_INIT;

/* A letter without case; 0: none. */
static unsigned fold(char c)
{
    unsigned char lower = (unsigned char)c | 0x20;

    return (lower >= 'a' && lower <= 'z') || lower >= 0x80 ? lower & 31 : 0;
}

static uint8_t folded[256]; /* fold() of each byte */

static unsigned trigram(const char *p)
{
    return (unsigned)folded[(unsigned char)p[2]] << 10 |
           (unsigned)folded[(unsigned char)p[1]] << 5 | folded[(unsigned char)p[0]];
}

static bool known_trigram(const char *p)
{
    unsigned t = trigram(p);

    return trigrams[t / 64] >> (t % 64) & 1;
}

static void add_trigrams(const char *text, size_t n)
{
    for (; n >= 3; n--, text++)
        trigrams[trigram(text) / 64] |= UINT64_C(1) << (trigram(text) % 64);
}

/* Those of two words with a blank between them, or a comma and a blank, that are in both. */
static void add_seam(const char *word, const char *other)
{
    const char *end = word + strlen(word) - 2;
    const char seam[] = {end[0], end[1], ' ', other[0], other[1]};
    const char comma[] = {end[0], end[1], ',', ' ', other[0], other[1]};

    add_trigrams(seam, sizeof(seam));
    add_trigrams(comma, sizeof(comma));
}

static void make_trigrams(void)
{
    const char *word, *other;

    for (unsigned i = 0; i < sizeof(folded); i++)
        folded[i] = (uint8_t)fold((char)(unsigned char)i);
    for (unsigned i = 0; (word = view_spelled_word(i)) != NULL; i++) {
        add_trigrams(word, strlen(word));
        for (unsigned k = 0; (other = view_spelled_word(k)) != NULL; k++)
            add_seam(word, other);
    }
}

/* The next place that is worth a look. */
static size_t skip(struct gw_span text, size_t at)
{
#if defined(__x86_64__)
    if (view_has_avx512())
        return view_spell_find_avx512(trigrams, text.ptr, at, text.len);
#endif
    (void)text;
    return at;
}

bool view_may_spell_row(struct gw_span text)
{
    if (text.len < SPELL_LEAST)
        return false;
    (void)pthread_once(&trigrams_once, make_trigrams);
    for (size_t at = skip(text, SPELL_EVERY - 1); at + 5 <= text.len;
         at = skip(text, at + SPELL_EVERY))
        if (known_trigram(text.ptr + at) && known_trigram(text.ptr + at + 2) && spells(text, at))
            return true;
    return false;
}
