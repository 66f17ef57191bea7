/* base/log_pairs.c - see log_pairs.h. Its own reading of the format, so that no value can pass for a key. Thread: any. */
#include "base/log_pairs.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct args {
    va_list ap;
};

static bool room(const struct log_line *l, size_t n)
{
    return l->n + n + LOG_PAIRS_TAIL <= l->cap;
}

static void add(struct log_line *l, const char *p, size_t n)
{
    if (!room(l, n))
        return;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

void log_line_add(struct log_line *l, const char *text)
{
    add(l, text, strlen(text));
}

/* ---- values ----------------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 character at p, 0: none. */
static size_t utf8(const unsigned char *p, size_t left)
{
    size_t n = p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : 2;

    if (p[0] < 0xC2 || p[0] > 0xF4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

/* Bytes of a value. quoted: between quotes, where blanks may stand. */
static void value(struct log_line *l, bool quoted, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;

    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80 ? 1 : utf8(p + i, len - i);
        char escaped[2] = {'\\', text[i]};

        if (n == 0 || p[i] < 0x20 || p[i] == 0x7F || (!quoted && !l->json && p[i] == ' ')) {
            add(l, "?", 1);
            n = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            if (quoted || l->json)
                add(l, escaped, 2);
            else
                add(l, "?", 1);
        } else {
            add(l, text + i, n);
        }
        i += n;
    }
}

/* At least width digits, zeros in front. */
static void number(struct log_line *l, bool negative, uint64_t v, unsigned width)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0 || (sizeof(digits) - at < width && at > 1));
    if (negative)
        digits[--at] = '-';
    add(l, digits + at, sizeof(digits) - at);
}

/* ---- conversions ------------------------------------------------------------------------ */

struct conversion {
    unsigned width; /* of zeros */
    long precision; /* -1: none */
    unsigned longs; /* 1: l or z, 2: ll */
};

static void number_of(struct log_line *l, const struct conversion *c, bool is_signed,
                      struct args *a)
{
    int64_t s;

    if (!is_signed) {
        number(l, false,
               c->longs == 0   ? va_arg(a->ap, unsigned)
               : c->longs == 1 ? va_arg(a->ap, unsigned long)
                               : va_arg(a->ap, unsigned long long),
               c->width);
        return;
    }
    s = c->longs == 0   ? va_arg(a->ap, int)
        : c->longs == 1 ? va_arg(a->ap, long)
                        : va_arg(a->ap, long long);
    number(l, s < 0, s < 0 ? 0 - (uint64_t)s : (uint64_t)s, c->width);
}

/* Up to nine digits behind the point, or 17 in all where it is very large. False, and "-": it is no number. */
static bool fraction_of(struct log_line *l, const struct conversion *c, struct args *a)
{
    const double v = va_arg(a->ap, double);
    const long digits = c->precision < 0 ? 6 : c->precision > 9 ? 9 : c->precision;
    char text[40];
    const int n = !isfinite(v)      ? 0
                  : fabs(v) >= 1e15 ? snprintf(text, sizeof(text), "%.16e", v)
                                    : snprintf(text, sizeof(text), "%.*f", (int)digits, v);

    if (n <= 0)
        add(l, "-", 1);
    else
        add(l, text, (size_t)n);
    return n > 0;
}

static void text_of(struct log_line *l, const struct conversion *c, bool quoted, struct args *a)
{
    const char *text = va_arg(a->ap, const char *);

    if (text == NULL && c->precision != 0)
        text = "-";
    if (text != NULL)
        value(l, quoted, text,
              c->precision >= 0 ? strnlen(text, (size_t)c->precision) : strlen(text));
}

/* fmt stands behind the '%'. Returns what follows; *is_number says what it was. */
static const char *convert(struct log_line *l, const char *fmt, bool quoted, bool *is_number,
                           struct args *a)
{
    struct conversion c = {0, -1, 0};
    char one;

    while (*fmt >= '0' && *fmt <= '9')
        c.width = c.width * 10 + (unsigned)(*fmt++ - '0');
    if (*fmt == '.' && fmt[1] == '*') {
        c.precision = va_arg(a->ap, int);
        fmt += 2;
    } else if (*fmt == '.') {
        for (fmt++, c.precision = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
            c.precision = c.precision * 10 + (*fmt - '0');
    }
    for (; *fmt == 'l' || *fmt == 'z'; fmt++)
        c.longs++;
    *is_number = *fmt == 'd' || *fmt == 'u';
    switch (*fmt) {
    case 'd':
    case 'u':
        number_of(l, &c, *fmt == 'd', a);
        break;
    case 'f':
        *is_number = fraction_of(l, &c, a);
        break;
    case 's':
        text_of(l, &c, quoted, a);
        break;
    case 'c':
        one = (char)va_arg(a->ap, int);
        value(l, quoted, &one, 1);
        break;
    default: /* "%%" */
        value(l, quoted, "%", 1);
        break;
    }
    return *fmt == '\0' ? fmt : fmt + 1;
}

/* ---- pairs ------------------------------------------------------------------------------ */

/* One value. Returns what follows in fmt. */
static const char *pair_value(struct log_line *l, const char *fmt, struct args *a)
{
    bool quoted = *fmt == '"', numbers = !quoted, any = false, is_number;
    size_t start;

    fmt += quoted;
    if (quoted || l->json)
        add(l, "\"", 1);
    start = l->n;
    while (*fmt != '\0' && *fmt != (quoted ? '"' : ' ')) {
        if (*fmt == '%') {
            fmt = convert(l, fmt + 1, quoted, &is_number, a);
            numbers &= is_number;
            any = true;
        } else {
            numbers &= *fmt == '.';
            value(l, quoted, fmt++, 1);
        }
    }
    if (l->json && numbers && any && l->n > start) { /* "12.5" is 12.5 */
        memmove(l->p + start - 1, l->p + start, l->n - start);
        l->n--;
    } else if (quoted || l->json) {
        l->p[l->n++] = '"'; /* the tail has room for it */
    }
    return fmt + (*fmt == '"');
}

void log_pairs(struct log_line *l, const char *fmt, va_list ap)
{
    struct args a;

    va_copy(a.ap, ap);
    while (*fmt != '\0') {
        const char *eq;
        size_t mark = l->n;

        while (*fmt == ' ')
            fmt++;
        eq = strchr(fmt, '=');
        if (eq == NULL)
            break; /* no pair: a mistake in the format */
        log_line_add(l, l->json ? ",\"" : " ");
        add(l, fmt, (size_t)(eq - fmt));
        log_line_add(l, l->json ? "\":" : "=");
        if (!room(l, 8)) { /* no whole pair has room: the arguments are not looked at any more */
            l->n = mark;
            break;
        }
        fmt = pair_value(l, eq + 1, &a);
    }
    va_end(a.ap);
}
