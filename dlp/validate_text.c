/* dlp/validate_text.c - how random and how word-like a span is; and the helpers that turn a span into
 * digits or letters.
 *
 * Entropy is Shannon's (1948). Wordiness counts letter pairs: 223 of the 676 pairs make up 92 % of the
 * pairs in English text and program names, but a third of those in random letters. No state; any
 * thread. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "dlp/validate_impl.h"

size_t dlp_val_digits(struct gw_span s, unsigned char *digits, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (!dlp_is_digit(s.ptr[i]))
            continue;
        if (n == max)
            return 0;
        digits[n++] = (unsigned char)(s.ptr[i] - '0');
    }
    return n;
}

size_t dlp_val_compact(struct gw_span s, char *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == ' ' || c == '-' || c == '.' || c == '/' || c == '_' || c == '\t' || c == '\n' ||
            c == '(' || c == ')' || c == '+')
            continue;
        if (!dlp_is_alnum(c) || n == max)
            return 0;
        if (dlp_is_lower(c))
            c = (char)(c - 'a' + 'A');
        out[n++] = c;
    }
    return n;
}

/* The next place of c from `at` on, or s.len. */
static size_t find_byte(struct gw_span s, size_t at, char c)
{
    const char *p = at < s.len ? memchr(s.ptr + at, c, s.len - at) : NULL;

    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

bool dlp_val_contains(struct gw_span s, const char *lower_needle)
{
    char first = lower_needle[0], upper = first;
    size_t n = strlen(lower_needle), low, high;

    if (n == 0 || n > s.len)
        return n == 0;
    if (first >= 'a' && first <= 'z')
        upper = (char)((unsigned char)first ^ 0x20U);
    low = find_byte(s, 0, first);
    high = upper == first ? s.len : find_byte(s, 0, upper);
    for (;;) {
        size_t at = low < high ? low : high, k = 1;

        if (at + n > s.len)
            return false;
        while (k < n && gw_ascii_lower(s.ptr[at + k]) == lower_needle[k])
            k++;
        if (k == n)
            return true;
        if (at == low)
            low = find_byte(s, at + 1, first);
        else
            high = find_byte(s, at + 1, upper);
    }
}

/* What a byte that stands n times in len bytes has of their entropy, below 0. */
static double term_of(size_t n, size_t len)
{
    const double p = (double)n / (double)len;

    return p * log2(p);
}

/* The same of few times in a short token: logarithms are what costs most. */
enum { FEW = 8, SHORT = 128 };
static double terms[SHORT + 1][FEW];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_terms(void)
{
    for (size_t len = 1; len <= SHORT; len++)
        for (size_t n = 1; n < FEW && n <= len; n++)
            terms[len][n] = term_of(n, len);
}

double dlp_val_entropy(struct gw_span s)
{
    unsigned count[256]; /* of the bytes that are there; the others are not worth clearing */
    uint64_t seen[4] = {0};
    double h = 0;

    (void)pthread_once(&once, fill_terms);
    for (size_t i = 0; i < s.len; i++)
        count[(unsigned char)s.ptr[i]] = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];

        count[byte]++;
        for (unsigned k = 0; k < 4; k++)
            seen[k] |= (uint64_t)(byte / 64 == k) << (byte % 64);
    }
    for (unsigned i = 0; i < 4; i++) {
        for (uint64_t left = seen[i]; left != 0; left &= left - 1) {
            // cppcheck-suppress uninitvar ; seen has those that were counted
            unsigned n = count[i * 64 + (unsigned)__builtin_ctzll(left)];

            h -= n < FEW && s.len <= SHORT ? terms[s.len][n] : term_of(n, s.len);
        }
    }
    return h;
}

/* Which pairs of letters, whatever their case, are common (counted over the text of a Debian system): byte a + 32 * (b / 8), bit b % 8, letters
 * counted from 1. */
_Alignas(64) const uint8_t dlp_val_pair_bits[128] = {
    0x00, 0x9C, 0x22, 0x22, 0x32, 0xFA, 0x62, 0x20, 0x22, 0xFE, 0x00, 0x20, 0x32, 0x26, 0xFA, 0x9C,
    0x22, 0x00, 0xBA, 0x2A, 0x2A, 0x2E, 0x22, 0x22, 0x20, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x7A, 0x92, 0x9B, 0x82, 0x72, 0x92, 0x43, 0x82, 0xF0, 0x00, 0x00, 0x92, 0xA2, 0x82, 0xFA,
    0x92, 0x00, 0xF2, 0x93, 0x93, 0x72, 0x02, 0x83, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x7D, 0x20, 0x34, 0x28, 0xDF, 0x24, 0x2C, 0x10, 0x5D, 0x00, 0x00, 0x38, 0x29, 0x78, 0xFD,
    0x3D, 0x20, 0x3C, 0x39, 0x3D, 0x1D, 0x00, 0x00, 0x11, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x02, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static unsigned is_common(char a, char b)
{
    return (unsigned)dlp_val_pair_bits[(a & 31) | (b & 24) << 2] >> (b & 7) & 1;
}

double dlp_val_wordiness_scalar(struct gw_span s)
{
    unsigned common = 0;
    unsigned pairs = 0;
    size_t letters = 0;
    size_t run = 0; /* letters since the last thing that is none, or the last hump */

    for (size_t i = 0; i < s.len; i++) {
        char a = s.ptr[i];
        char b = ' ';

        if (i + 1 < s.len)
            b = s.ptr[i + 1];
        letters += dlp_is_alpha(a);
        run = dlp_is_alpha(a) ? run + 1 : 0;
        if (!dlp_is_alpha(a) || !dlp_is_alpha(b)) {
            pairs += run > 0 && run < 3 && dlp_is_digit(b); /* k3y: no word ends so soon */
            continue;
        }
        if (dlp_is_lower(a) && dlp_is_upper(b)) { /* a new word begins, if the last was one */
            pairs += run < 3;
            run = 0;
            continue;
        }
        pairs++;
        common += is_common(a, b);
    }
    if (pairs == 0 || letters * 2 < s.len)
        return 0;
    return (double)common / (double)pairs;
}

double dlp_val_wordiness(struct gw_span s)
{
    enum { WORD = 64 };

    return s.len > 0 && s.len <= WORD && dlp_val_has_avx512() ? dlp_val_wordiness_avx512(s)
                                                              : dlp_val_wordiness_scalar(s);
}

/* ---- randomness ----------------------------------------------------------------------------- */

/* A short string cannot reach the entropy of a long one: the floor shrinks with the logarithm of the
 * length below 32 bytes. Somewhat under the floor costs confidence; far under it is no secret. */
int dlp_validate_entropy(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    double need = in->num;
    double h = dlp_val_entropy(s);

    if (s.len < 32)
        need *= log2((double)s.len + 1) / 5;
    if (h >= need)
        return 0;
    return h >= need * 0.7 ? -35 : DLP_VALIDATE_REJECT;
}

/* At least num of: lower-case letters, capitals, digits, other bytes. */
int dlp_validate_classes(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned seen = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        seen |= dlp_is_lower(c) ? 1u : dlp_is_upper(c) ? 2u : dlp_is_digit(c) ? 4u : 8u;
    }
    return (double)__builtin_popcount(seen) >= in->num ? 0 : DLP_VALIDATE_REJECT;
}

/* A token as a generator makes it: letters and digits mixed, no words, no counting. */
bool dlp_validate_is_wordy(struct gw_span s)
{
    size_t digits = 0, letters = 0;

    for (size_t i = 0; i < s.len; i++) {
        digits += (unsigned char)(s.ptr[i] - '0') < 10;
        letters += (unsigned char)((s.ptr[i] | 0x20) - 'a') < 26;
    }
    return letters == 0 || (digits == 0 && dlp_val_wordiness_scalar(s) > DLP_VAL_WORDY);
}

/* Is nearly all of it words that begin with a capital, as names of classes (CloudMessagesV1ProxyConfig)? Of 40 random letters and digits ten are in
 * what looks like one. n_lower: so many small letters are in it; two of three bytes of such a word are. */
static bool is_camel_case(struct gw_span s, size_t n_lower)
{
    size_t in_words = 0;

    if (s.len < 16 || n_lower * 2 < s.len)
        return false;

    for (size_t i = 0; i < s.len;) {
        size_t end = i + 1;

        while (end < s.len && dlp_is_lower(s.ptr[end]))
            end++;
        if (dlp_is_upper(s.ptr[i]) && end - i > 2)
            in_words += end - i;
        i = end;
    }
    return in_words * 4 >= s.len * 3;
}

static bool is_joint(char c)
{
    return c == '_' || c == '-' || c == '/' || c == '.';
}

/* Is it made of words, each with digits behind it at most, as names in programs (__builtin_ia32_andpd512_mask) and paths are, or a name of C++ as
 * its linker has it (_ZN4x2659WaveFrontE)? A random part between two joints has digits elsewhere, too. */
static bool is_snake_case(struct gw_span s)
{
    unsigned parts = 0;

    if (s.len > 4 && s.ptr[0] == '_' && s.ptr[1] == 'Z' &&
        (s.ptr[2] == 'N' || s.ptr[2] == 'T' || s.ptr[2] == 'K' || s.ptr[2] == 'S'))
        return true;
    for (size_t i = 0; i < s.len; parts++) {
        size_t from, letters;

        while (i < s.len && is_joint(s.ptr[i]))
            i++;
        for (from = i; i < s.len && dlp_is_alpha(s.ptr[i]);)
            i++;
        letters = i - from;
        while (i < s.len && dlp_is_digit(s.ptr[i]))
            i++;
        if (letters > 14 || i - from - letters > 4 || (i < s.len && !is_joint(s.ptr[i])))
            return false;
    }
    return s.len >= 16 && parts >= 3;
}

int dlp_validate_random(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    size_t digits = 0;
    size_t lower = 0;
    size_t letters = 0;
    double h = dlp_val_entropy(s);

    for (size_t i = 0; i < s.len; i++) {
        digits += (unsigned char)(s.ptr[i] - '0') < 10;
        lower += (unsigned char)(s.ptr[i] - 'a') < 26;
        letters += (unsigned char)((s.ptr[i] | 0x20) - 'a') < 26;
    }
    if (dlp_val_is_placeholder(s) || h < 0.45 * log2((double)s.len + 1) ||
        dlp_val_is_called_hash(in))
        return DLP_VALIDATE_REJECT;
    if (h < 0.6 * log2((double)s.len + 1)) /* a few characters over and over: a sample */
        return digits + letters == s.len && letters > 0 && s.len >= 32 ? -30 : DLP_VALIDATE_REJECT;
    if (digits == 0 || letters == 0)
        return dlp_val_wordiness(s) > DLP_VAL_WORDY || letters == 0 ? DLP_VALIDATE_REJECT : -20;
    if ((dlp_val_wordiness(s) > 0.75 && digits * 4 < s.len) || is_camel_case(s, lower) ||
        is_snake_case(s))
        return -45;
    return dlp_val_sequential(s) * 2 > s.len ? -30 : 0;
}
