/* dlp/scan_sequel.c - asks what stands behind a window, before any start in front of it is. Thread: the scanner's. */
#include "dlp/scan_sequel.h"

#include "dlp/rulec_regex.h"

/* Bytes that are looked at one by one, since most rows end within FEW and most runs stand within SOME; behind them it is WORD at a time. */
enum { FEW = 8, SOME = 24, WORD = SCAN_SEQUEL_WORD };

/* Where the bytes of the set in a row that begin at `at` end, at most `most` further. */
static inline size_t end_of(const struct scan_leaf *x, size_t at, size_t most,
                            const struct bundle_set *set)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    size_t left = x->text.len - at, end = at + (left < most ? left : most),
           few = end - at < FEW ? end : at + FEW;

    for (; at < few; at++)
        if (!rx_set_has(set, text[at]))
            return at;
    while (at < end) {
        size_t n = end - at < WORD ? end - at : WORD;
        uint64_t others = ~x->filter->members(set, text + at, n);

        if (others != 0)
            return at + (size_t)__builtin_ctzll(others);
        at += WORD;
    }
    return at;
}

/* Which of the WORD bytes from `at` on are of the set; what is behind the text is if it goes on. */
static inline uint64_t members_at(const struct scan_leaf *x, size_t at,
                                  const struct bundle_set *set, bool goes_on)
{
    size_t left = at < x->text.len ? x->text.len - at : 0, n = left < WORD ? left : WORD;
    uint64_t found =
        n > 0 ? x->filter->members(set, (const unsigned char *)x->text.ptr + at, n) : 0;

    return goes_on && n < WORD ? found | UINT64_MAX << n : found;
}

/* Can n bytes of the set in a row begin in [from, to]? Byte by byte. */
static bool has_short_run(const struct scan_leaf *x, size_t from, size_t to, uint32_t n,
                          const struct bundle_set *set, bool goes_on)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    size_t first = from;

    for (size_t at = from; at < x->text.len && first <= to; at++) {
        if (!rx_set_has(set, text[at]))
            first = at + 1;
        else if (at + 1 - first >= n)
            return true;
    }
    return first <= to && goes_on;
}

/* The same. Neither to - from nor n is above BUNDLE_SEQUEL_FAR. */
static bool has_run(const struct scan_leaf *x, size_t from, size_t to, uint32_t n,
                    const struct bundle_set *set, bool goes_on)
{
    uint64_t low, high = 0;
    const size_t last = to - from;

    _Static_assert((int)BUNDLE_SEQUEL_FAR == (int)WORD, "two words hold all");
    if (last + n <= SOME)
        return has_short_run(x, from, to, n, set, goes_on);
    low = members_at(x, from, set, goes_on);
    if (last + n > WORD)
        high = members_at(x, from + WORD, set, goes_on);
    /* Bits that so many others follow, twice as many a step. */
    for (uint32_t row = 1; row < n;) {
        uint32_t more = row < n - row ? row : n - row;

        low &= low >> more | high << 1 << (WORD - 1 - more);
        high &= high >> more;
        row += more;
    }
    return last < WORD ? low << (WORD - 1 - last) != 0 : (low | (high & 1)) != 0;
}

/* Where the level has no version of its own. */
static enum scan_answer ask_word(struct scan_leaf *x, const struct bundle_sequel *q, size_t at)
{
    return scan_sequel_ask(x, q, at, x->filter->members);
}

static bool fits(struct scan_leaf *x, const struct bundle_sequel *q, size_t at)
{
    const struct bundle_set *sets = x->rules->b->sets;
    const size_t len = x->text.len;
    const bool goes_on = x->growing && !x->ended;

    for (unsigned k = 0; k < q->n_parts && at < len; k++) {
        const uint32_t n = q->part[k].n, most = q->part[k].most;
        size_t from = at, to = most == 0 ? at : end_of(x, at, most, &sets[q->part[k].skip]);

        x->work += (to - at) / 4;
        if (to - from > BUNDLE_SEQUEL_FAR)
            return true;
        if (k + 1 == q->n_parts) /* the run may begin in what could be skipped */
            return has_run(x, from, to, n, &sets[q->part[k].run], goes_on);
        /* Where more could be skipped, no run begins. */
        at = end_of(x, to, n, &sets[q->part[k].run]);
        if (at < len && at - to < n)
            return false;
    }
    return goes_on;
}

bool scan_sequel_fits(struct scan_leaf *x, uint32_t sequel, size_t at)
{
    const struct bundle_sequel *q = &x->rules->b->sequels[sequel];
    enum scan_answer answer = SCAN_UNTOLD;

    if (q->n_parts == 0)
        return true;
    if (x->sequel_at != at || x->sequel != sequel) {
        x->sequel = sequel;
        x->sequel_at = at;
        if (x->filter->level != PREFILTER_SCALAR && x->text.len >= WORD && at <= x->text.len - WORD)
            answer = x->filter->level == PREFILTER_AVX512 ? scan_sequel_ask_avx512(x, q, at)
                                                          : ask_word(x, q, at);
        x->sequel_fits = answer == SCAN_UNTOLD ? fits(x, q, at) : answer == SCAN_YES;
    }
    return x->sequel_fits;
}
