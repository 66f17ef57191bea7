/* dlp/view_stretch.h - what stretches of base64 and hex say, as far as it takes to pass those that say nothing. Private to dlp/view*.c.
 * Pure; any thread. */
#ifndef DLP_VIEW_STRETCH_H
#define DLP_VIEW_STRETCH_H

#include "dlp/view_find.h"

enum {
    VIEW_NO_DIGIT = 64,
    VIEW_SHORTEST = 20,    /* characters of a text among other bytes */
    VIEW_FEW_DIGITS = 256, /* of a short stretch */
    VIEW_BAD_WORDS = VIEW_FEW_DIGITS / 64,
};

/* What a digit of base64 says, of both alphabets; VIEW_NO_DIGIT: it is none. */
extern const uint8_t view_base64[256];

/* What a digit of base64 or of hex says. */
static inline unsigned view_digit(char c, bool hex)
{
    if (!hex)
        return view_base64[(unsigned char)c];
    if ((view_kind(c) & VIEW_KIND_HEX) == 0)
        return VIEW_NO_DIGIT;
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Is it plain that nothing that looks like text or is compressed is in a stretch? Mostly it is a name, a path or a digest, and
 * this is much cheaper than to decode it. */
bool view_says_nothing(struct gw_span stretch, bool hex);

/* Can a line of a stretch end at `at`, so that another one may follow? */
static inline bool view_may_end_line(struct gw_span text, size_t at)
{
    return at < text.len && (text.ptr[at] == '\n' || text.ptr[at] == '\r' || text.ptr[at] == '\\');
}

/* Digits of the run of base64 at the beginning of text; 0 when it is too long for this, too short or hex. *nothing: view_says_nothing()
 * of a stretch that is this run; unchanged where a line may end behind it, since the stretch may be longer. */
size_t view_run_avx512(struct gw_span text, bool *nothing);

/* Is view_says_nothing() plain of a short stretch of base64, which may have several lines? */
bool view_lines_say_nothing_avx512(struct gw_span stretch);

/* Which of the bytes that n digits say are part of no character of text, whatever is around them: bit k % 64 of bad[k / 64]. Bits
 * behind the last byte are set. n is at most VIEW_FEW_DIGITS; behind the digits VIEW_PAD bytes can be read. */
enum { VIEW_PAD = 32 };
void view_bad_bytes(const uint8_t *digits, unsigned n, bool hex, uint64_t bad[VIEW_BAD_WORDS]);
void view_bad_bytes_avx2(const uint8_t *digits, unsigned n, bool hex, uint64_t bad[VIEW_BAD_WORDS]);

/* Bytes that n digits say as a whole. */
static inline unsigned view_bytes_of(unsigned n, bool hex)
{
    return hex ? n / 2 : n * 3 / 4;
}

#endif
