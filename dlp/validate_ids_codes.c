/* dlp/validate_ids_codes.c - numbers of things: devices, securities, creditors, works, energy parties.
 *
 * Sources: ISO 15706 (ISAN), 3GPP TS 23.003 and 3GPP2 (IMEI, MEID), ISO 11649 (RF reference), EPC262-08 (creditor
 * identifier), ENTSO-E's EIC manual, ISO 18774 and the FIGI standard, ISO 6346 (containers), ISO 2108, 3297, 10957
 * (ISBN, ISSN, ISMN), IMO resolution A.1117(30). No state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* IMEI: Luhn over fifteen digits; fourteen are without it, sixteen end with a software version. */
static bool imei(const struct dlp_id *x)
{
    if (x->n != 15)
        return x->d[0] + x->d[1] != 0;
    return dlp_luhn_ok(x->d, 15);
}

/* MEID: fourteen hexadecimal digits from A0 on, perhaps with a Luhn digit in base 16. */
static bool meid(const struct dlp_id *x)
{
    int sum = 0;

    if (x->s[0] < 'A')
        return false;
    for (size_t i = 0; i < x->n; i++) {
        int v = dlp_hex_value(x->s[i]);

        if (v < 0)
            return false;
        if (i % 2 == 1)
            v = v * 2 / 16 + v * 2 % 16;
        sum += v;
    }
    return x->n == 14 || sum % 16 == 0;
}

/* ISO 7064 mod 37,36 over n characters, the last of them the check. */
static bool mod37_36(const char *s, size_t n)
{
    int p = 36;

    for (size_t i = 0; i + 1 < n; i++) {
        p = (p + (dlp_is_digit(s[i]) ? s[i] - '0' : s[i] - 'A' + 10)) % 36;
        p = (p == 0 ? 36 : p) * 2 % 37;
    }
    return (p + (dlp_is_digit(s[n - 1]) ? s[n - 1] - '0' : s[n - 1] - 'A' + 10)) % 36 == 1;
}

/* ISAN: sixteen hexadecimal digits and a check, then perhaps eight of the version and a check. */
static bool isan(const struct dlp_id *x)
{
    bool checked = x->n == 17 || x->n == 26;
    char all[25];

    for (size_t i = 0; i < x->n; i++)
        if (dlp_hex_value(x->s[i]) < 0 && !(checked && (i == 16 || i == 25)))
            return false;
    if (x->n == 16 || x->n == 24)
        return memcmp(x->s, "0000", 4) == 0 && !x->digits;
    if (!checked || !mod37_36(x->s, 17))
        return false;
    if (x->n == 17)
        return true;
    memcpy(all, x->s, 16);
    memcpy(all + 16, x->s + 17, 9);
    return mod37_36(all, 25);
}

/* Legal entity identifier: ISO 7064 mod 97-10. */
static bool lei(const struct dlp_id *x)
{
    return dlp_id_digits(x, 18, 2) && dlp_mod97(x->s, 20) == 1;
}

/* Creditor reference RF18 5390 0754 7034. */
static bool iso11649(const struct dlp_id *x)
{
    char s[DLP_ID_MAX];

    if (memcmp(x->s, "RF", 2) != 0 || !dlp_id_digits(x, 2, 2))
        return false;
    memcpy(s, x->s + 4, x->n - 4);
    memcpy(s + x->n - 4, x->s, 4);
    return dlp_mod97(s, x->n) == 1;
}

/* SEPA creditor identifier: country, two check digits, three characters that do not count, the national part. */
static bool sepa_creditor(const struct dlp_id *x)
{
    char s[DLP_ID_MAX];

    if (dlp_is_digit(x->s[0]) || dlp_is_digit(x->s[1]) || !dlp_id_digits(x, 2, 2))
        return false;
    memcpy(s, x->s + 7, x->n - 7);
    memcpy(s + x->n - 7, x->s, 4);
    return dlp_mod97(s, x->n - 3) == 1;
}

/* FIGI: two consonants, G, eight more, and a check digit in the way of Luhn. */
static bool figi(const struct dlp_id *x)
{
    int sum = 0;

    if (x->s[2] != 'G' || dlp_is_digit(x->s[0]) || dlp_is_digit(x->s[1]) ||
        !dlp_id_digits(x, 11, 1))
        return false;
    for (size_t i = 0; i < 11; i++) {
        int v = dlp_id_base36(x, i) * (i % 2 == 1 ? 2 : 1);

        if (strchr("AEIOU", x->s[i]) != NULL)
            return false;
        sum += v / 10 + v % 10;
    }
    return (10 - sum % 10) % 10 == x->d[11];
}

/* Freight container: owner, U, J or Z, six digits, check. Letters count from 10 and skip 11, 22, 33. */
static bool iso6346(const struct dlp_id *x)
{
    int sum = 0;

    if (strchr("UJZ", x->s[3]) == NULL || !dlp_id_digits(x, 4, 7))
        return false;
    for (size_t i = 0; i < 10; i++) {
        int v = x->d[i];

        if (i < 4) {
            if (dlp_is_digit(x->s[i]))
                return false;
            v = x->s[i] - 'A' + 10;
            v += (v > 10) + (v > 20) + (v > 30);
        }
        sum += v << i;
    }
    return sum % 11 % 10 == x->d[10];
}

/* Barcodes and ISBN-13, ISMN: three and one in turn from the right. */
static bool ean(const struct dlp_id *x)
{
    unsigned sum = 0;

    for (size_t i = 0; i < x->n; i++)
        sum += x->d[x->n - 1 - i] * (i % 2 == 1 ? 3u : 1u);
    return (x->n == 8 || x->n == 12 || x->n == 13 || x->n == 14) && sum % 10 == 0;
}

/* ISBN-10 and ISSN: falling weights, mod 11, ten is X. */
static bool falling(const struct dlp_id *x)
{
    int sum = 0;

    if (!dlp_id_digits(x, 0, x->n - 1) || (x->n != 8 && x->n != 10))
        return false;
    if (!dlp_is_digit(x->s[x->n - 1]) && x->s[x->n - 1] != 'X')
        return false;
    for (size_t i = 0; i < x->n; i++)
        sum += (x->s[i] == 'X' ? 10 : x->d[i]) * (int)(x->n - i);
    return sum % 11 == 0;
}

/* Ship: IMO and seven digits. */
static bool imo(const struct dlp_id *full)
{
    static const signed char w[6] = {7, 6, 5, 4, 3, 2};
    struct dlp_id x = dlp_id_behind(full, "IMO");

    return x.n == 7 && dlp_id_digits(&x, 0, 7) && dlp_weigh(x.d, w, 6) % 10 == x.d[6];
}

/* ORCID, ISNI: ISO 7064 mod 11-2. */
static bool isni(const struct dlp_id *x)
{
    int c = 0;

    if (!dlp_id_digits(x, 0, 15))
        return false;
    for (size_t i = 0; i < 15; i++)
        c = (c + x->d[i]) * 2 % 11;
    c = (12 - c) % 11;
    return x->s[15] == (c == 10 ? 'X' : (char)('0' + c));
}

/* Chemical substance in the register of the Union: mod 11 over rising weights. */
static bool ec_number(const struct dlp_id *x)
{
    static const signed char w[6] = {1, 2, 3, 4, 5, 6};

    return x->d[0] >= 2 && dlp_weigh(x->d, w, 6) % 11 == x->d[6];
}

/* Energy identification code: '-' belongs to its alphabet, so this asks the span and not its compact form. */
int dlp_validate_eic(const struct dlp_validate_in *in)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-";
    struct gw_span s = dlp_val_span(in);
    int sum = 0;

    if (s.len != 16 || !dlp_is_digit(s.ptr[0]) || !dlp_is_digit(s.ptr[1]) || s.ptr[15] == '-')
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < 16; i++) {
        int v = dlp_id_index(alphabet, s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        sum += i < 15 ? v * (int)(16 - i) : 0;
    }
    return s.ptr[15] == alphabet[36 - (sum + 36) % 37] ? 0 : DLP_VALIDATE_REJECT;
}

const struct dlp_id_scheme dlp_ids_codes[] = {
    {"imei", DLP_ID_PERSON, 14, 17, true, imei},
    {"meid", DLP_ID_PERSON, 14, 15, false, meid},
    {"isan", DLP_ID_CODE, 16, 26, false, isan},
    {"lei", DLP_ID_COMPANY, 20, 20, false, lei},
    {"iso11649", DLP_ID_BANK, 5, 25, false, iso11649},
    {"sepa_creditor", DLP_ID_BANK, 10, 32, false, sepa_creditor},
    {"figi", DLP_ID_CODE, 12, 12, false, figi},
    {"iso6346", DLP_ID_CODE, 11, 11, false, iso6346},
    {"ean", DLP_ID_CODE, 8, 14, true, ean},
    {"isbn10", DLP_ID_CODE, 8, 10, false, falling},
    {"imo", DLP_ID_CODE, 10, 10, false, imo},
    {"isni", DLP_ID_PERSON, 16, 16, false, isni},
    {"ec_number", DLP_ID_CODE, 7, 7, true, ec_number},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
