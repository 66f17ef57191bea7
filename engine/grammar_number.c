/* engine/grammar_number.c - ranges of numbers as patterns over their digits. See grammar_make.h. Pure; any thread.
 *
 * Two numbers of as many digits are compared digit by digit: behind the first digit that differs everything is allowed. */
#include <stdio.h>
#include <string.h>

#include "engine/grammar_make.h"

static void put_digits(struct gw_buf *out, size_t n)
{
    if (n != 0)
        gw_buf_printf(out, "[0-9]{%zu}", n);
}

/* Alternatives for texts of n digits from lo on (lo NULL: any) up to hi (NULL: any); each begins with `head`. */
static void put_same_length(struct gw_buf *out, const char *lo, const char *hi, size_t n)
{
    size_t same = 0;

    while (lo != NULL && hi != NULL && same < n && lo[same] == hi[same])
        same++;
    gw_buf_add(out, (struct gw_span){lo, lo == NULL ? 0 : same});
    if (same == n && lo != NULL && hi != NULL)
        return;
    gw_buf_addc(out, '(');
    if (lo == NULL && hi == NULL) {
        put_digits(out, n);
    } else if (lo != NULL && hi != NULL && hi[same] - lo[same] > 1) {
        gw_buf_printf(out, "[%c-%c]", lo[same] + 1, hi[same] - 1);
        put_digits(out, n - same - 1);
    } else {
        gw_buf_adds(out, "[^\\d\\D]"); /* nothing */
    }
    /* Those that begin as lo does, and as hi does. */
    for (size_t i = same + (hi != NULL); lo != NULL && i < n; i++) {
        if (lo[i] == '9')
            continue;
        gw_buf_addc(out, '|');
        gw_buf_add(out, (struct gw_span){lo + same, i - same});
        gw_buf_printf(out, "[%c-9]", lo[i] + 1);
        put_digits(out, n - i - 1);
    }
    if (lo != NULL) {
        gw_buf_addc(out, '|');
        gw_buf_add(out, (struct gw_span){lo + same, n - same});
    }
    for (size_t i = same + (lo != NULL); hi != NULL && i < n; i++) {
        if (hi[i] == '0')
            continue;
        gw_buf_addc(out, '|');
        gw_buf_add(out, (struct gw_span){hi + same, i - same});
        gw_buf_printf(out, "[0-%c]", hi[i] - 1);
        put_digits(out, n - i - 1);
    }
    if (hi != NULL) {
        gw_buf_addc(out, '|');
        gw_buf_add(out, (struct gw_span){hi + same, n - same});
    }
    gw_buf_addc(out, ')');
}

static size_t text_of(uint64_t v, char out[24])
{
    return (size_t)snprintf(out, 24, "%llu", (unsigned long long)v);
}

/* Whole numbers of [lo, hi] without a sign; hi UINT64_MAX: open. "|" in front of each but the first. */
static void put_naturals(struct gw_buf *out, uint64_t lo, uint64_t hi)
{
    char low[24], high[24], first[24] = "1";
    size_t n_low = text_of(lo, low), n_high = hi == UINT64_MAX ? n_low : text_of(hi, high);

    gw_buf_addc(out, '(');
    for (size_t n = n_low; n <= n_high; n++) {
        if (n != n_low)
            gw_buf_addc(out, '|');
        (void)memset(first + 1, '0', sizeof(first) - 1);
        put_same_length(out, n == n_low ? low : first,
                        n == n_high && hi != UINT64_MAX ? high : NULL, n);
    }
    if (hi == UINT64_MAX)
        gw_buf_printf(out, "|[1-9][0-9]{%zu,}", n_low);
    gw_buf_addc(out, ')');
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
}

void grammar_integer_pattern(const int64_t *lo, const int64_t *hi, struct gw_buf *out)
{
    bool any = false;

    gw_buf_addc(out, '(');
    if (lo == NULL || *lo < 0) {
        gw_buf_adds(out, "-");
        put_naturals(out, hi != NULL && *hi < 0 ? magnitude(*hi) : 0,
                     lo == NULL ? UINT64_MAX : magnitude(*lo));
        any = true;
    }
    if (hi == NULL || *hi >= 0) {
        if (any)
            gw_buf_addc(out, '|');
        put_naturals(out, lo != NULL && *lo > 0 ? (uint64_t)*lo : 0,
                     hi == NULL ? UINT64_MAX : (uint64_t)*hi);
    }
    gw_buf_addc(out, ')');
}

/* Numbers of [lo, hi] without a sign, with a fraction or not; open: without the bound itself. */
static void put_decimals(struct gw_buf *out, uint64_t lo, bool above, uint64_t hi, bool below)
{
    gw_buf_addc(out, '(');
    if (hi == UINT64_MAX || hi > lo) {
        /* From lo on: lo with a fraction that is not zero, or a larger whole part. */
        gw_buf_printf(out, "%llu\\.0*[1-9][0-9]*", (unsigned long long)lo);
        if (hi == UINT64_MAX || hi - 1 > lo) {
            gw_buf_addc(out, '|');
            put_naturals(out, lo + 1, hi == UINT64_MAX ? hi : hi - 1);
            gw_buf_adds(out, "(\\.[0-9]+)?");
        }
    } else {
        gw_buf_adds(out, "[^\\d\\D]");
    }
    if (!above && (hi != lo || !below))
        gw_buf_printf(out, "|%llu(\\.0+)?", (unsigned long long)lo);
    if (hi != UINT64_MAX && !below && hi != lo)
        gw_buf_printf(out, "|%llu(\\.0+)?", (unsigned long long)hi);
    gw_buf_addc(out, ')');
}

void grammar_number_pattern(const int64_t *lo, const int64_t *hi, bool above, bool below,
                            struct gw_buf *out)
{
    bool any = false;

    gw_buf_addc(out, '(');
    if (lo == NULL || *lo < 0) {
        bool negative = hi != NULL && *hi < 0;

        gw_buf_adds(out, "-");
        put_decimals(out, negative ? magnitude(*hi) : 0,
                     negative ? below : hi != NULL && *hi == 0 && below,
                     lo == NULL ? UINT64_MAX : magnitude(*lo), lo != NULL && above);
        any = true;
    }
    if (hi == NULL || *hi >= 0) {
        bool positive = lo != NULL && *lo >= 0;

        if (any)
            gw_buf_addc(out, '|');
        put_decimals(out, positive ? (uint64_t)*lo : 0, positive && above,
                     hi == NULL ? UINT64_MAX : (uint64_t)*hi, hi != NULL && below);
    }
    gw_buf_addc(out, ')');
}
