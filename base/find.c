/* base/find.c - see find.h. */
#include "base/find.h"

/* How common a byte is in the JSON of chats: its place in this order, from the end; 0: not in it. */
static const unsigned char common[256] = {
    ['"'] = 32, ['e'] = 31, ['t'] = 30, ['o'] = 29, ['a'] = 28, ['n'] = 27, ['i'] = 26, [' '] = 25,
    ['c'] = 24, ['s'] = 23, ['r'] = 22, [':'] = 21, ['l'] = 20, ['h'] = 19, ['d'] = 18, [','] = 17,
    ['m'] = 16, ['u'] = 15, ['p'] = 14, ['0'] = 13, ['_'] = 12, ['f'] = 11, ['g'] = 10, ['1'] = 9,
    ['{'] = 8,  ['}'] = 8,  ['x'] = 7,  ['y'] = 6,  ['b'] = 5,  ['k'] = 4,  ['w'] = 3,  ['v'] = 2,
};

static size_t rarest(struct gw_span what)
{
    size_t best = 0;

    for (size_t i = 1; i < what.len; i++)
        if (common[(unsigned char)what.ptr[i]] < common[(unsigned char)what.ptr[best]])
            best = i;
    return best;
}

const char *gw_find(struct gw_span text, struct gw_span what)
{
    size_t at, left;
    const char *p;

    if (what.len == 0 || what.len > text.len)
        return NULL;
    at = rarest(what);
    p = text.ptr + at; /* the byte of what begins at p - at */
    left = text.len - what.len + 1;
    while (left != 0) {
        const char *hit = memchr(p, what.ptr[at], left);

        if (hit == NULL)
            return NULL;
        if (memcmp(hit - at, what.ptr, what.len) == 0)
            return hit - at;
        left -= (size_t)(hit - p) + 1;
        p = hit + 1;
    }
    return NULL;
}
