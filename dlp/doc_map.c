/* dlp/doc_map.c - what is between backslashes, and what they say (doc.h). */
#include <string.h>

#include "base/json.h"
#include "dlp/doc.h"
#include "dlp/prefilter.h"

/* ---- decoding ---------------------------------------------------------------------------- */

static const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);

/* Marks the top bits of the backslashes among eight bytes; the lowest mark is a true one. */
static uint64_t backslashes(uint64_t eight)
{
    uint64_t slash = eight ^ (ones * '\\');

    return (slash - ones) & ~slash & tops;
}

size_t dlp_map_plain(const char *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t eight, found;

        memcpy(&eight, p + i, sizeof(eight));
        found = backslashes(eight);
        if (found != 0)
            return i + (size_t)__builtin_ctzll(found) / 8;
    }
    while (i < n && p[i] != '\\')
        i++;
    return i;
}

/* Copies what is no escape from p on, below stop, and returns how many bytes that is. Eight at a time: where w is so far in front
 * of p that nothing is written over what is still to be read, also those behind a backslash, which are written again. */
static size_t copy_plain(char *w, const char *p, const char *stop)
{
    const char *from = p;
    bool apart = (uintptr_t)p - (uintptr_t)w >= sizeof(uint64_t);

    for (; stop - p >= (ptrdiff_t)sizeof(uint64_t); p += sizeof(uint64_t), w += sizeof(uint64_t)) {
        uint64_t eight, found;

        memcpy(&eight, p, sizeof(eight));
        found = backslashes(eight);
        if (found == 0 || apart)
            memcpy(w, &eight, sizeof(eight));
        if (found == 0)
            continue;
        if (apart)
            return (size_t)(p - from) + (size_t)__builtin_ctzll(found) / 8;
        break;
    }
    while (p < stop && *p != '\\')
        *w++ = *p++;
    return (size_t)(p - from);
}

const char dlp_map_short[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                 ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

size_t dlp_map_unescape_scalar(struct gw_span raw, char *out)
{
    const char *p = raw.ptr, *end = raw.ptr;
    char *w = out;

    if (raw.len != 0)
        end += raw.len;
    while (p < end) {
        size_t n = copy_plain(w, p, end);

        w += n;
        p += n;
        /* Mostly they are short. */
        while (end - p > 1 && *p == '\\' && dlp_map_short[(unsigned char)p[1]] != 0) {
            *w++ = dlp_map_short[(unsigned char)p[1]];
            p += 2;
        }
        if (p < end && *p == '\\') {
            char tmp[4];

            n = gw_json_unescape(&p, tmp);
            memcpy(w, tmp, n);
            w += n;
        }
    }
    return (size_t)(w - out);
}

size_t dlp_map_unescape(struct gw_span raw, char *out)
{
    return prefilter_has_avx512() ? dlp_map_unescape_avx512(raw, out)
                                  : dlp_map_unescape_scalar(raw, out);
}

unsigned dlp_map_step(const char **p, unsigned escaped, char out[4])
{
    enum { ESCAPE = 6, PAIR = 12 };
    char esc[PAIR + 4];
    const char *from = esc;
    unsigned n, want = 2;

    if (escaped == 0 || (escaped == 1 && **p != '\\')) {
        out[0] = *(*p)++;
        return 1;
    }
    if (escaped == 1)
        return gw_json_unescape(p, out);
    n = dlp_map_step(p, escaped - 1, out);
    if (n != 1 || out[0] != '\\')
        return n;
    /* All of what follows the backslash is ASCII. */
    esc[0] = '\\';
    for (n = 1; n < want; n++) {
        (void)dlp_map_step(p, escaped - 1, esc + n);
        if (n == 1 && esc[1] == 'u')
            want = ESCAPE;
        else if (n == 3 && (esc[2] | 0x20) == 'd' && strchr("89abAB", esc[3]) != NULL)
            want = PAIR;
    }
    return gw_json_unescape(&from, out);
}
