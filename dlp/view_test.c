/* dlp/view_test.c - what a text may hold, found out at next to no cost (view_test of view.h). Any thread.
 *
 * One pass gathers the bytes that begin an escape, those beyond ASCII, whether digits stand close together, and long runs of
 * digits of base64. Seven spelled digits cover a place of every SPELL_EVERY and four bytes behind it, so only
 * those are looked at. */
#include "dlp/view_test.h"

#include <pthread.h>
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"

enum { SPELL_EVERY = 25, SPELL_LEAST = SPELL_EVERY + 10 };

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

/* What the byte at p is, with `left` bytes of the text from it on: bits of view_kinds, of signs only those that may begin something. */
static unsigned kind_at(const char *p, size_t left)
{
    unsigned kind = view_kind(*p);

    if ((kind & VIEW_KIND_ESCAPE) != 0 && (left == 1 || !view_is_said(p, left)))
        kind &= ~(unsigned)VIEW_KIND_ESCAPE;
    if ((kind & VIEW_KIND_EQUALS) != 0 && (left == 1 || !view_is_quoted(p[1])))
        kind &= ~(unsigned)VIEW_KIND_EQUALS;
    return kind;
}

unsigned view_test_bytes(const char *p, size_t n)
{
    unsigned may = 0, kinds = 0, run = 0;

    for (size_t at = 0; at < n; at += VIEW_TEST_ROW) {
        size_t end = n - at < VIEW_TEST_ROW ? n : at + VIEW_TEST_ROW;
        unsigned digits = 0;

        for (size_t i = at; i < end; i++) {
            unsigned kind = kind_at(p + i, n - i);

            kinds |= kind;
            digits += (kind & VIEW_KIND_DIGIT) != 0;
            run = (kind & VIEW_KIND_BASE64) != 0 ? run + 1 : 0;
            may |= run == VIEW_BLOB_MIN ? VIEW_MAY_BLOB : 0;
        }
        may |= digits >= VIEW_TEST_DIGITS ? VIEW_MAY_DIGIT : 0;
    }
    may |= (kinds & VIEW_KIND_HIGH) != 0 ? VIEW_MAY_FOLD : 0;
    may |= (kinds & VIEW_KIND_ESCAPE) != 0 ? VIEW_MAY_ESCAPE : 0;
    return may | ((kinds & VIEW_KIND_EQUALS) != 0 ? VIEW_MAY_QUOTE : 0);
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

/* With SIMD where the machine has it. */
static unsigned test_bytes(struct gw_span text)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw"))
        return view_test_bytes_avx512(text.ptr, text.len);
    if (__builtin_cpu_supports("avx2"))
        return view_test_bytes_avx2(text.ptr, text.len);
#endif
    return view_test_bytes(text.ptr, text.len);
}

/* ---- spelled digits ---------------------------------------------------------------------- */

enum { TRIGRAM_BITS = 1 << 15 };

/* Three bytes that follow each other somewhere in two spelled digits and what is between them. */
static uint32_t trigrams[TRIGRAM_BITS / 32];
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
    return (unsigned)folded[(unsigned char)p[0]] << 10 |
           (unsigned)folded[(unsigned char)p[1]] << 5 | folded[(unsigned char)p[2]];
}

static unsigned known_trigram(const char *p)
{
    unsigned t = trigram(p);

    return trigrams[t / 32] >> (t % 32) & 1;
}

static void add_trigrams(const char *text, size_t n)
{
    for (; n >= 3; n--, text++)
        trigrams[trigram(text) / 32] |= (uint32_t)1 << (trigram(text) % 32);
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

/* Seven spelled digits with a separator or two between them cover a place of every SPELL_EVERY. */
static bool may_spell(struct gw_span text)
{
    if (text.len < SPELL_LEAST)
        return false;
    (void)pthread_once(&trigrams_once, make_trigrams);
    for (size_t at = SPELL_EVERY - 1; at + 5 <= text.len; at += SPELL_EVERY)
        if ((known_trigram(text.ptr + at) & known_trigram(text.ptr + at + 2)) != 0 &&
            spells(text, at))
            return true;
    return false;
}

/* ---- the whole --------------------------------------------------------------------------- */

unsigned view_test(struct gw_span text)
{
    unsigned may = test_bytes(text);

    return may_spell(text) ? may | VIEW_MAY_SPELL : may;
}
