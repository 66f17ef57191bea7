/* dlp/validate_digits.c - checksums over digits and letters: cards, bank accounts, securities, vehicles.
 *
 * Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO 7064 (IBAN, mod 97-10, mod 11-2, mod 11,10), ISO
 * 9362 (BIC), ABA routing number policy (3-7-1), ISO 6166 (ISIN), ISO 3779 with 49 CFR 565 (VIN), ICAO
 * 9303 (machine-readable zone), J. Verhoeff 1969. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

bool dlp_luhn_ok(const unsigned char *d, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned v = d[n - 1 - i];

        if (i % 2 == 1) {
            v *= 2;
            if (v > 9)
                v -= 9;
        }
        sum += v;
    }
    return n > 1 && sum % 10 == 0;
}

bool dlp_verhoeff_ok(const unsigned char *d, size_t n)
{
    static const unsigned char mul[10][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
        {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
        {4, 0, 1, 2, 3, 9, 5, 6, 7, 8}, {5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
        {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
        {8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};
    static const unsigned char perm[8][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
        {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
        {9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
        {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8}};
    unsigned c = 0;

    for (size_t i = 0; i < n; i++)
        c = mul[c][perm[i % 8][d[n - 1 - i]]];
    return n > 1 && c == 0;
}

bool dlp_mod11_10_ok(const unsigned char *d, size_t n)
{
    unsigned p = 10;

    if (n < 2)
        return false;
    for (size_t i = 0; i + 1 < n; i++) {
        p = (p + d[i]) % 10;
        if (p == 0)
            p = 10;
        p = p * 2 % 11;
    }
    return (p + d[n - 1]) % 10 == 1;
}

unsigned dlp_mod97(const char *s, size_t n)
{
    unsigned r = 0;

    for (size_t i = 0; i < n; i++) {
        if (dlp_is_digit(s[i]))
            r = (r * 10 + (unsigned)(s[i] - '0')) % 97;
        else
            r = (r * 100 + (unsigned)(s[i] - 'A') + 10) % 97;
    }
    return r;
}

int dlp_weigh(const unsigned char *d, const signed char *w, size_t n)
{
    int sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += d[i] * w[i];
    return sum;
}

bool dlp_digits_trivial(const unsigned char *d, size_t n)
{
    bool same = true;
    bool up = true;
    bool down = true;

    for (size_t i = 1; i < n && (same || up || down); i++) {
        same = same && d[i] == d[0];
        up = up && d[i] == (d[i - 1] + 1) % 10;
        down = down && d[i] == (d[i - 1] + 9) % 10;
    }
    return n > 1 && (same || up || down);
}

int dlp_validate_luhn(const struct dlp_validate_in *in)
{
    unsigned char d[64];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));

    return dlp_luhn_ok(d, n) && !dlp_digits_trivial(d, n) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_verhoeff(const struct dlp_validate_in *in)
{
    unsigned char d[64];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));

    return dlp_verhoeff_ok(d, n) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_mod11_10(const struct dlp_validate_in *in)
{
    unsigned char d[64];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));

    return dlp_mod11_10_ok(d, n) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_mod97(const struct dlp_validate_in *in)
{
    char s[64];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    return n > 2 && dlp_mod97(s, n) == 1 ? 0 : DLP_VALIDATE_REJECT;
}

/* ORCID, ISNI: digits with a last character 0 to 9 or X. */
int dlp_validate_mod11_2(const struct dlp_validate_in *in)
{
    char s[64];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));
    unsigned c = 0;

    if (n < 2)
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i + 1 < n; i++) {
        if (!dlp_is_digit(s[i]))
            return DLP_VALIDATE_REJECT;
        c = (c + (unsigned)(s[i] - '0')) * 2 % 11;
    }
    c = (12 - c) % 11;
    return s[n - 1] == (c == 10 ? 'X' : (char)('0' + c)) ? 0 : DLP_VALIDATE_REJECT;
}

/* ISO 7064: digits and capitals, the last character one of these or *. */
int dlp_validate_mod37_2(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned c = 0, n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        unsigned v = dlp_is_digit(ch) ? (unsigned)(ch - '0') : (unsigned)(ch - 'A') + 10;

        if (ch == ' ' || ch == '-')
            continue;
        if (ch == '*' && i + 1 == s.len)
            v = 36;
        else if (!dlp_is_digit(ch) && !dlp_is_upper(ch))
            return DLP_VALIDATE_REJECT;
        c = (c * 2 + v) % 37;
        n++;
    }
    return n > 1 && c == 1 ? 0 : DLP_VALIDATE_REJECT;
}

/* Damm, "Total anti-symmetrische Quasigruppen" (2004): the table of order ten that is in use. */
int dlp_validate_damm(const struct dlp_validate_in *in)
{
    static const char *const table[10] = {"0317598642", "7092154863", "4206871359", "1750983426",
                                          "6123045978", "3674209581", "5869720134", "8945362017",
                                          "9438617205", "2581436790"};
    unsigned char d[64];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));
    unsigned c = 0;

    for (size_t i = 0; i < n; i++)
        c = (unsigned)(table[c][d[i]] - '0');
    return n > 1 && c == 0 ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_ean(const struct dlp_validate_in *in)
{
    unsigned char d[32];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += d[n - 1 - i] * (i % 2 == 1 ? 3u : 1u);
    return n > 1 && sum % 10 == 0 ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_varied_digits(const struct dlp_validate_in *in)
{
    unsigned char d[64];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));
    unsigned seen = 0;

    for (size_t i = 0; i < n; i++)
        seen |= 1u << d[i];
    return n > 1 && !dlp_digits_trivial(d, n) && (seen & (seen - 1)) != 0 ? 0 : DLP_VALIDATE_REJECT;
}

/* ---- cards ---------------------------------------------------------------------------------- */

/* Issuer ranges as the networks publish them: first and last prefix of `digits` digits, lengths as a set
 * of bits (bit 16 for sixteen digits). */
struct bin_range {
    unsigned first, last;
    unsigned char digits;
    unsigned lengths;
};

#define LEN(n) (1u << (n))
static const struct bin_range bins[] = {
    {1, 1, 1, LEN(15)},                     /* UATP */
    {4, 4, 1, LEN(13) | LEN(16) | LEN(19)}, /* Visa */
    {51, 55, 2, LEN(16)},                   /* Mastercard */
    {2221, 2720, 4, LEN(15) | LEN(16)},     /* Mastercard 2-series */
    {34, 34, 2, LEN(15)},                   /* American Express */
    {37, 37, 2, LEN(15)},                   /* American Express */
    {300, 305, 3, LEN(14) | LEN(16)},       /* Diners Club */
    {3095, 3095, 4, LEN(14) | LEN(16)},     /* Diners Club */
    {36, 36, 2, LEN(14) | LEN(15) | LEN(16) | LEN(17) | LEN(18) | LEN(19)}, /* Diners Club */
    {38, 39, 2, LEN(14) | LEN(16) | LEN(19)},                               /* Diners Club */
    {6011, 6011, 4, LEN(16) | LEN(19)},                                     /* Discover */
    {644, 649, 3, LEN(16) | LEN(19)},                                       /* Discover */
    {65, 65, 2, LEN(16) | LEN(19)},                                         /* Discover */
    {62, 62, 2, LEN(16) | LEN(17) | LEN(18) | LEN(19)},                     /* UnionPay */
    {81, 81, 2, LEN(16) | LEN(17) | LEN(18) | LEN(19)},                     /* UnionPay */
    {3528, 3589, 4, LEN(16) | LEN(17) | LEN(18) | LEN(19)},                 /* JCB */
    {2131, 2131, 4, LEN(15)},                                               /* JCB */
    {1800, 1800, 4, LEN(15)},                                               /* JCB */
    {50, 50, 2, LEN(12) | LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(19)}, /* Maestro */
    {56, 58, 2, LEN(12) | LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(19)}, /* Maestro */
    {60, 60, 2, LEN(12) | LEN(13) | LEN(16) | LEN(19)},                     /* Maestro, RuPay */
    {63, 63, 2, LEN(12) | LEN(13) | LEN(16) | LEN(18) | LEN(19)},           /* Maestro */
    {67, 67, 2, LEN(12) | LEN(13) | LEN(16) | LEN(18) | LEN(19)},           /* Maestro */
    {2200, 2204, 4, LEN(16) | LEN(17) | LEN(18) | LEN(19)},                 /* Mir */
    {508, 508, 3, LEN(16)},                                                 /* RuPay */
    {9792, 9792, 4, LEN(16)},                                               /* Troy */
};

static bool known_bin(const unsigned char *d, size_t n)
{
    unsigned prefix[5] = {0};

    for (unsigned k = 1; k <= 4; k++)
        prefix[k] = prefix[k - 1] * 10 + d[k - 1];
    for (size_t i = 0; i < sizeof(bins) / sizeof(bins[0]); i++) {
        unsigned p = prefix[bins[i].digits];

        if (p >= bins[i].first && p <= bins[i].last && (bins[i].lengths & LEN(n)) != 0)
            return true;
    }
    return false;
}

/* A digit and its separator directly before or after make the span part of something longer. */
static bool number_goes_on(const struct dlp_validate_in *in)
{
    const char *p = in->text.ptr;
    char before = dlp_val_char(in, in->start - 1);
    char after = dlp_val_char(in, in->end);

    if (dlp_is_digit(before) || dlp_is_digit(after))
        return true;
    if (in->start > 1 && (before == '.' || before == '-') && dlp_is_digit(p[in->start - 2]))
        return true;
    return in->end + 1 < in->text.len && (after == '.' || after == '-') &&
           dlp_is_digit(p[in->end + 1]);
}

static bool has_hex_letter(struct gw_span s)
{
    bool letter = false;

    for (size_t i = 0; i < s.len; i++) {
        if (dlp_hex_value(s.ptr[i]) < 0)
            return false;
        letter = letter || !dlp_is_digit(s.ptr[i]);
    }
    return letter;
}

/* Is there a letter in the groups of four hexadecimal digits that stand in a row before or behind `at`? Some are looked at. */
static bool beside_hex(const struct dlp_validate_in *in, size_t at, bool before)
{
    enum { GROUP = 5, GROUPS = 8 };
    const char *p = in->text.ptr;

    for (unsigned i = 0; i < GROUPS; i++) {
        struct gw_span group;
        bool digits = true;

        if (before ? at < GROUP || p[at - 1] != ' ' : in->text.len - at < GROUP || p[at] != ' ')
            return false;
        group = (struct gw_span){before ? p + at - GROUP : p + at + 1, GROUP - 1};
        if (has_hex_letter(group))
            return true;
        for (unsigned k = 0; k < GROUP - 1; k++)
            digits = digits && dlp_is_digit(group.ptr[k]);
        if (!digits)
            return false;
        at = before ? at - GROUP : at + GROUP;
    }
    return false;
}

/* The number is the digits of a hexadecimal value (143c97e2346977536395476e3cb6dc24), or groups of a dump (7370 6c79 2041 6d65):
 * two hexadecimal digits with a letter are glued to it, or groups of four with a letter stand beside its groups. */
static bool in_hex(const struct dlp_validate_in *in)
{
    const char *p = in->text.ptr;
    size_t left = in->start, right = in->text.len - in->end;
    bool groups = in->end - in->start > 4 && p[in->start + 4] == ' ';

    if ((left >= 2 && has_hex_letter((struct gw_span){p + in->start - 2, 2})) ||
        (right >= 2 && has_hex_letter((struct gw_span){p + in->end, 2})))
        return true;
    return groups && (beside_hex(in, in->start, true) || beside_hex(in, in->end, false));
}

/* Groups of four that count up, as in a sorted list of code points or years: two of three steps are below ten, which of random
 * cards three in a million are. */
static bool groups_count(const struct dlp_validate_in *in, const unsigned char *d, size_t n)
{
    unsigned steps = 0;

    if (n != 16 || in->end - in->start != 19 || in->text.ptr[in->start + 4] != ' ')
        return false;
    for (unsigned g = 4; g < 16; g += 4) {
        unsigned a = d[g - 4] * 1000u + d[g - 3] * 100u + d[g - 2] * 10u + d[g - 1];
        unsigned b = d[g] * 1000u + d[g + 1] * 100u + d[g + 2] * 10u + d[g + 3];

        steps += b - a - 1 < 9;
    }
    return steps >= 2;
}

/* Visa, Mastercard, American Express and Discover as nearly all of them are. The ranges of the others are so wide that a random number
 * of 14 to 19 digits is one now and then: those have to be written in groups, or beside a word. */
static bool is_frequent_card(const unsigned char *d, size_t n)
{
    unsigned two = d[0] * 10u + d[1], four = two * 100 + d[2] * 10u + d[3];

    if (n == 15)
        return two == 34 || two == 37;
    return n == 16 && (d[0] == 4 || (two >= 51 && two <= 55) || (four >= 2221 && four <= 2720) ||
                       four == 6011 || two == 65);
}

int dlp_validate_card(const struct dlp_validate_in *in)
{
    unsigned char d[24];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));

    if (n < 12 || n > 19 || !dlp_luhn_ok(d, n) || dlp_digits_trivial(d, n) || number_goes_on(in))
        return DLP_VALIDATE_REJECT;
    if (!known_bin(d, n))
        return DLP_VALIDATE_REJECT;
    /* Twelve and thirteen digits are Maestro and very old Visa cards, and barcodes far more often; airlines' cards
     * begin with 1, as other numbers do. */
    if (n <= 13 || d[0] == 1 || in_hex(in) || groups_count(in, d, n))
        return -30;
    return is_frequent_card(d, n) || in->end - in->start > n ? 0 : -14;
}

/* Track 1 (%B...^...^) and track 2 (;...=...) of a magnetic stripe: the number must pass Luhn. */
int dlp_validate_track(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned char d[24] = {0};
    size_t n = 0;
    size_t i = 0;

    while (i < s.len && !dlp_is_digit(s.ptr[i]))
        i++;
    for (; i < s.len && (dlp_is_digit(s.ptr[i]) || s.ptr[i] == ' ') && n < sizeof(d); i++)
        if (s.ptr[i] != ' ')
            d[n++] = (unsigned char)(s.ptr[i] - '0');
    return n >= 12 && n <= 19 && dlp_luhn_ok(d, n) ? 0 : DLP_VALIDATE_REJECT;
}
