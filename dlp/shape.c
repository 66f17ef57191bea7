/* dlp/shape.c - stand-ins of the same shape (shape.h): what the value is, told by its form and by its rule's type, then a
 * writer for each kind. */
#include "dlp/shape.h"

#include <string.h>

#include "dlp/validate.h"
#include "dlp/validate_impl.h"
#include "dlp/vault.h"

enum { MIN_BYTES = 6, MAX_DIGITS = 40, MAX_SYSTEMS = 64, MIN_DRAWN = 6, PHONE_MIN = 7 };

/* ---- drawing ------------------------------------------------------------------------------ */

/* SplitMix64: the state is drawn from an HMAC, and only a part of what it gives is shown. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next(state) % n);
}

static char digit(unsigned value)
{
    return "0123456789"[value % 10];
}

/* Of the same kind as c; what is neither letter nor digit stays. */
static char alike(uint64_t *state, char c)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (dlp_is_digit(c))
        return digit(below(state, 10));
    if (dlp_is_lower(c))
        return letters[below(state, 26)];
    if (dlp_is_upper(c))
        return letters[26 + below(state, 26)];
    return c;
}

/* ---- telling ------------------------------------------------------------------------------ */

static bool is_type(const char *type, const char *word)
{
    return strstr(type, word) != NULL;
}

/* Every byte a letter, a digit, or one of these. */
static bool has_only(struct gw_span s, const char *others, bool letters)
{
    for (size_t i = 0; i < s.len; i++)
        if (!dlp_is_digit(s.ptr[i]) && !(letters && dlp_is_alpha(s.ptr[i])) &&
            (s.ptr[i] == '\0' || strchr(others, s.ptr[i]) == NULL))
            return false;
    return true;
}

static unsigned count(struct gw_span s, char c)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == c;
    return n;
}

static bool is_email(struct gw_span s)
{
    const char *at = memchr(s.ptr, '@', s.len);

    return at != NULL && at != s.ptr && count(s, '@') == 1 && has_only(s, "@._%+-", true) &&
           memchr(at, '.', (size_t)(s.ptr + s.len - at)) != NULL;
}

static bool is_ipv4(struct gw_span s)
{
    unsigned value = 0, digits = 0, dots = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && digits != 0 && ++dots < 4) {
            value = digits = 0;
        } else if (dlp_is_digit(s.ptr[i]) && ++digits <= 3) {
            value = value * 10 + (unsigned)(s.ptr[i] - '0');
            if (value > 255)
                return false;
        } else {
            return false;
        }
    }
    return dots == 3 && digits != 0;
}

/* Six pairs with one separator. */
static bool is_mac(struct gw_span s)
{
    for (size_t i = 0; i < s.len && s.len == 17; i++)
        if (i % 3 == 2 ? s.ptr[i] != s.ptr[2] : dlp_hex_value(s.ptr[i]) < 0)
            return false;
    return s.len == 17 && (s.ptr[2] == ':' || s.ptr[2] == '-');
}

static bool is_ipv6(struct gw_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ':' && dlp_hex_value(s.ptr[i]) < 0)
            return false;
    return count(s, ':') >= 2 && count(s, ':') <= 7 && s.len <= 39;
}

static bool is_phone(struct gw_span s, const char *type, size_t n_digits)
{
    bool named = is_type(type, "PHONE") || is_type(type, "FAX") || is_type(type, "MOBILE");

    return (named || s.ptr[0] == '+') && n_digits >= PHONE_MIN && n_digits <= 17 &&
           has_only(s, "+ -./()", false) && count(s, '+') == (s.ptr[0] == '+');
}

static bool is_card(struct gw_span s, const char *type, const unsigned char *d, size_t n)
{
    return n >= 12 && n <= 19 && has_only(s, " -", false) &&
           (is_type(type, "CARD") || dlp_luhn_ok(d, n));
}

/* ---- writing ------------------------------------------------------------------------------ */

static void put_email(uint64_t *state, struct gw_buf *out)
{
    gw_buf_addc(out, 'u');
    for (unsigned i = 0; i < 9; i++)
        gw_buf_addc(out, "abcdefghijkmnpqrstuvwxyz23456789"[below(state, 32)]);
    gw_buf_adds(out, "@example.invalid");
}

static void put_ipv4(uint64_t *state, struct gw_buf *out)
{
    static const char *const nets[] = {"192.0.2", "198.51.100", "203.0.113"};
    const char *net = nets[below(state, 3)];

    gw_buf_printf(out, "%s.%u", net, 1 + below(state, 254));
}

static void put_ipv6(uint64_t *state, struct gw_buf *out)
{
    gw_buf_adds(out, "2001:db8");
    for (unsigned i = 0; i < 6; i++)
        gw_buf_printf(out, ":%x", 0x1000 + below(state, 0xF000));
}

static void put_mac(struct gw_span s, uint64_t *state, struct gw_buf *out)
{
    char b = s.ptr[2];

    gw_buf_printf(out, "00%c00%c5E%c00%c53%c%02X", b, b, b, b, b, below(state, 256));
}

/* The value with these digits in place of its own. */
static void put_digits(struct gw_span s, const unsigned char *digits, struct gw_buf *out)
{
    for (size_t i = 0; i < s.len; i++)
        if (dlp_is_digit(s.ptr[i]))
            gw_buf_addc(out, digit(*digits++));
        else
            gw_buf_addc(out, s.ptr[i]);
}

static void begin_with(unsigned char *d, const char *digits)
{
    for (; *digits != '\0'; digits++)
        *d++ = (unsigned char)(*digits - '0');
}

static void put_card(struct gw_span s, size_t n, uint64_t *state, struct gw_buf *out)
{
    unsigned char d[MAX_DIGITS] = {0};

    for (size_t i = 0; i < n; i++)
        d[i] = (unsigned char)below(state, 10);
    begin_with(d, "9999"); /* no issuer's */
    if (dlp_luhn_ok(d, n))
        d[n - 1] = (unsigned char)((d[n - 1] + 1) % 10);
    put_digits(s, d, out);
}

/* Numbers set aside for fiction where the plan has some; else of the country code 999, which is nobody's, and national ones
 * that no plan can dial. */
static void put_phone(struct gw_span s, const unsigned char *was, size_t n, uint64_t *state,
                      struct gw_buf *out)
{
    bool plus = s.ptr[0] == '+';
    unsigned char d[MAX_DIGITS] = {0};
    size_t code = n == 11 && was[0] == 1 ? 1 : 0; /* of North America, in front or not */

    for (size_t i = 0; i < n; i++)
        d[i] = (unsigned char)below(state, 10);
    if (n - code == 10 && (plus ? code == 1 : was[code] >= 2)) {
        d[0] = 1;
        d[code] = (unsigned char)(2 + below(state, 8));
        d[code + 1] = (unsigned char)below(state, 9); /* 9: for a longer plan */
        if (d[code + 1] == 1 && d[code + 2] == 1)     /* x11: services */
            d[code + 2] = 2;
        begin_with(d + code + 3, "55501");
    } else if (plus && n == 12 && was[0] == 4 && was[1] == 4) {
        begin_with(d, was[2] == 7 ? "447700900" : "442079460");
    } else if (plus) {
        begin_with(d, "999");
    } else {
        begin_with(d, was[0] == 0 ? "000" : "999");
    }
    put_digits(s, d, out);
}

static void put_iban(struct gw_span s, uint64_t *state, struct gw_buf *out)
{
    gw_buf_adds(out, "XX"); /* ISO 3166 leaves it to users */
    for (size_t i = 2; i < s.len; i++)
        gw_buf_addc(out, alike(state, s.ptr[i]));
}

/* Is s taken for an identifier by a system that takes the value for one? */
static bool shares_system(struct gw_span value, struct gw_span s)
{
    const char *of_value[MAX_SYSTEMS], *of_s[MAX_SYSTEMS];
    unsigned n = dlp_id_systems(value, of_value, MAX_SYSTEMS);
    unsigned k = n == 0 ? 0 : dlp_id_systems(s, of_s, MAX_SYSTEMS);

    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < k; j++)
            if (of_value[i] == of_s[j])
                return true;
    return false;
}

/* Letters for letters and digits for digits. */
static enum dlp_shape put_code(struct gw_span s, const char *type, bool any, uint64_t *state,
                               struct gw_buf *out)
{
    size_t start = out->len;
    bool first = true;

    for (size_t i = 0; i < s.len; i++) {
        char c = alike(state, s.ptr[i]);

        if (first && s.ptr[i] == '0')
            c = '0';
        else if (first && dlp_is_digit(s.ptr[i]))
            c = digit(1 + below(state, 9));
        first = first && !dlp_is_alnum(s.ptr[i]);
        gw_buf_addc(out, c);
    }
    if (!gw_buf_ok(out))
        return DLP_SHAPE_NONE;
    if (is_type(type, "SSN") && dlp_is_digit(s.ptr[0]) && dlp_is_digit(s.ptr[1]) &&
        dlp_is_digit(s.ptr[2]))
        memset(out->ptr + start, '6', 3); /* an area that is not assigned */
    if (any || !shares_system(s, gw_span_from(gw_buf_span(out), start)))
        return DLP_SHAPE_MADE;
    return DLP_SHAPE_AGAIN;
}

static bool is_code(struct gw_span s)
{
    unsigned drawn = 0, digits = 0;

    for (size_t i = 0; i < s.len; i++) {
        drawn += dlp_is_alnum(s.ptr[i]);
        digits += dlp_is_digit(s.ptr[i]);
    }
    return digits != 0 && drawn >= MIN_DRAWN && s.ptr[0] != ' ' && s.ptr[s.len - 1] != ' ' &&
           has_only(s, " .:/@+()_,-=#", true);
}

enum dlp_shape dlp_shape_make(struct gw_span value, const char *type,
                              const struct dlp_shape_draw *draw, struct gw_buf *out)
{
    uint64_t state = draw->random;
    unsigned char digits[MAX_DIGITS] = {0};
    enum dlp_shape date;
    size_t n;

    if (value.len < MIN_BYTES || value.len > DLP_PLACEHOLDER_MAX)
        return DLP_SHAPE_NONE;
    n = dlp_val_digits(value, digits, MAX_DIGITS);
    date = dlp_shape_date(value, type, draw->days, out);
    if (date != DLP_SHAPE_NONE)
        return date == DLP_SHAPE_MADE ? date : DLP_SHAPE_NONE;
    if (is_email(value))
        put_email(&state, out);
    else if (is_ipv4(value))
        put_ipv4(&state, out);
    else if (is_mac(value))
        put_mac(value, &state, out);
    else if (is_ipv6(value))
        put_ipv6(&state, out);
    else if (is_phone(value, type, n))
        put_phone(value, digits, n, &state, out);
    else if (is_card(value, type, digits, n))
        put_card(value, n, &state, out);
    else if (!is_code(value))
        return DLP_SHAPE_NONE;
    else if (is_type(type, "IBAN") && dlp_is_alpha(value.ptr[0]) && dlp_is_alpha(value.ptr[1]))
        put_iban(value, &state, out);
    else
        return put_code(value, type, draw->any, &state, out);
    return DLP_SHAPE_MADE;
}
