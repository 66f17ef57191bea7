/* dlp/view_test.c - what a text may hold, found out at next to no cost (view_test of view.h). Any thread.
 *
 * One pass gathers the bytes that begin an escape, those beyond ASCII, and whether digits stand close together. A run of
 * VIEW_BLOB_MIN digits of base64 covers a place of every VIEW_BLOB_MIN, and seven spelled digits one of every SPELL_EVERY, so
 * only those are looked at. */
#include "dlp/view_test.h"

#include <pthread.h>
#include <stdio.h>

#include "dlp/view.h"

enum { SPELL_EVERY = 27, SPELL_LEAST = SPELL_EVERY + 8 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

static unsigned test_byte(char c)
{
    switch (c) {
    case '%':
    case '&':
    case '\\':
        return VIEW_MAY_ESCAPE;
    case '=':
        return VIEW_MAY_QUOTE;
    default:
        return (unsigned char)c >= 0x80 ? VIEW_MAY_FOLD : 0;
    }
}

unsigned view_test_bytes(const char *p, size_t n)
{
    unsigned may = VIEW_MAY_BLOB;

    for (size_t at = 0; at < n; at += VIEW_TEST_ROW) {
        size_t end = n - at < VIEW_TEST_ROW ? n : at + VIEW_TEST_ROW;
        unsigned digits = 0;

        for (size_t i = at; i < end; i++) {
            may |= test_byte(p[i]);
            digits += is_digit(p[i]);
        }
        if (digits >= VIEW_TEST_DIGITS)
            may |= VIEW_MAY_DIGIT;
    }
    return may;
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

static unsigned trigram(const char *p)
{
    return fold(p[0]) << 10 | fold(p[1]) << 5 | fold(p[2]);
}

static void add_trigrams(const char *text)
{
    for (; text[0] != '\0' && text[1] != '\0' && text[2] != '\0'; text++)
        trigrams[trigram(text) / 32] |= (uint32_t)1 << (trigram(text) % 32);
}

static void make_trigrams(void)
{
    const char *word, *other;

    for (unsigned i = 0; (word = view_spelled_word(i)) != NULL; i++)
        for (unsigned k = 0; (other = view_spelled_word(k)) != NULL; k++) {
            char two[32];

            (void)snprintf(two, sizeof(two), "%s %s", word, other);
            add_trigrams(two);
            (void)snprintf(two, sizeof(two), "%s, %s", word, other);
            add_trigrams(two);
        }
}

/* Seven spelled digits with a separator or two between them cover a place of every SPELL_EVERY. */
static bool may_spell(struct gw_span text)
{
    if (text.len < SPELL_LEAST)
        return false;
    (void)pthread_once(&trigrams_once, make_trigrams);
    for (size_t at = SPELL_EVERY - 1; at + 3 <= text.len; at += SPELL_EVERY) {
        unsigned t = trigram(text.ptr + at);

        if ((trigrams[t / 32] >> (t % 32) & 1) != 0 && spells(text, at))
            return true;
    }
    return false;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* Is there a run of digits of base64? may: what the bytes said. */
static bool may_blob(struct gw_span text, unsigned may)
{
    enum { LAST = 2 * VIEW_TEST_ROW };
    size_t start, end;
    bool hex;

    if ((may & VIEW_MAY_BLOB) == 0 && text.len > LAST)
        text = gw_span_from(text, text.len - LAST);
    return text.len >= VIEW_BLOB_MIN && view_blob_next(text, 0, &start, &end, &hex);
}

unsigned view_test(struct gw_span text)
{
    unsigned may = test_bytes(text);

    may = may_blob(text, may) ? may | VIEW_MAY_BLOB : may & ~(unsigned)VIEW_MAY_BLOB;
    return may_spell(text) ? may | VIEW_MAY_SPELL : may;
}
