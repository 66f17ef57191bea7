/* engine/answer.c - stop strings and whole characters. See answer.h. */
#include "engine/answer.h"

#include <string.h>

#include "base/utf8.h"

void answer_init(struct answer *a, const struct gw_span *stop, size_t n_stop, bool strip_space)
{
    *a = (struct answer){.stop = stop, .n_stop = n_stop, .strip_space = strip_space};
    for (size_t i = 0; i < n_stop; i++)
        if (stop[i].len > a->longest)
            a->longest = stop[i].len;
}

void answer_fini(struct answer *a)
{
    gw_buf_fini(&a->held);
}

/* True when p[0..n) could be the beginning of a character that is longer than n. */
static bool is_cut_short(const char *p, size_t n)
{
    /* Continuation bytes that make the rest valid, tried in turn: 0x80 fits after most lead bytes, E0 and
     * F0 want a larger second byte. */
    static const char fill[2][4] = {"\x80\x80\x80", "\xA0\x80\x80"};
    uint32_t cp;

    if (n == 0 || n > 3)
        return false;
    for (size_t f = 0; f < 2; f++) {
        char c[4];

        memcpy(c, p, n);
        memcpy(c + n, n == 1 ? fill[f] : fill[0], sizeof(c) - n);
        if (gw_utf8_decode(c, sizeof(c), &cp) > n)
            return true;
    }
    return false;
}

/* Moves held[0..limit) to out as far as it is whole characters; all of it when final. */
static void give(struct answer *a, size_t limit, bool final, struct gw_buf *out)
{
    const char *p = a->held.ptr;
    size_t n = final ? limit : a->held.len, i = 0;

    while (i < limit) {
        uint32_t cp;
        unsigned len = gw_utf8_decode(p + i, n - i, &cp);

        if (len == 0 && !final && is_cut_short(p + i, n - i))
            break;
        if (i + len > limit)
            break;
        if (len == 0)
            gw_buf_adds(out, "\xEF\xBF\xBD");
        else
            gw_buf_add(out, (struct gw_span){p + i, len});
        i += len == 0 ? 1 : len;
    }
    gw_buf_drop(&a->held, i);
    a->certain += i;
}

/* Where the first complete stop string begins, looking at places from `from` on; SIZE_MAX: nowhere. */
static size_t find_stop(const struct answer *a, size_t from)
{
    size_t first = SIZE_MAX;

    for (size_t i = 0; i < a->n_stop; i++) {
        const struct gw_span s = a->stop[i];
        const char *hit;

        if (s.len == 0 || a->held.len - from < s.len)
            continue;
        hit = memmem(a->held.ptr + from, a->held.len - from, s.ptr, s.len);
        if (hit != NULL && (size_t)(hit - a->held.ptr) < first)
            first = (size_t)(hit - a->held.ptr);
    }
    return first;
}

/* Bytes at the end of held that a stop string could begin with. */
static size_t unsure(const struct answer *a)
{
    size_t n = a->longest == 0 ? 0 : a->longest - 1;

    for (n = n < a->held.len ? n : a->held.len; n != 0; n--) {
        struct gw_span tail = {a->held.ptr + a->held.len - n, n};

        for (size_t i = 0; i < a->n_stop; i++)
            if (a->stop[i].len > n && gw_span_starts(a->stop[i], tail))
                return n;
    }
    return 0;
}

bool answer_add(struct answer *a, struct gw_span piece, struct gw_buf *out)
{
    size_t at;

    if (a->strip_space && piece.len != 0) {
        a->strip_space = false;
        if (piece.ptr[0] == ' ') {
            piece = gw_span_from(piece, 1);
            a->certain++;
        }
    }
    if (piece.len == 0)
        return false;
    gw_buf_add(&a->held, piece);
    if (!gw_buf_ok(&a->held))
        return false;
    at = find_stop(a, 0);
    if (at != SIZE_MAX) {
        give(a, at, true, out);
        gw_buf_clear(&a->held);
        return true;
    }
    give(a, a->held.len - unsure(a), false, out);
    return false;
}

void answer_end(struct answer *a, struct gw_buf *out)
{
    if (gw_buf_ok(&a->held))
        give(a, a->held.len, true, out);
}
