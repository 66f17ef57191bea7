/* dlp/validate_ids_west.c - identifiers of persons and companies in western and northern Europe.
 *
 * Each function states the rule its authority publishes; the weights are those of the authority. No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- United Kingdom, Ireland ------------------------------------------------------------------ */

/* NHS number: weights 10 to 2, check = 11 - sum mod 11, 10 is not issued. */
static bool gb_nhs(const struct dlp_id *x)
{
    static const signed char w[9] = {10, 9, 8, 7, 6, 5, 4, 3, 2};
    int c = (11 - dlp_weigh(x->d, w, 9) % 11) % 11;

    return c == x->d[9];
}

/* National Insurance number: prefixes that HMRC never allots. */
static bool gb_nino(const struct dlp_id *x)
{
    static const char *const never[] = {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"};

    if (!dlp_is_alpha(x->s[0]) || !dlp_is_alpha(x->s[1]) || !dlp_id_digits(x, 2, 6) ||
        (x->n == 9 && (x->s[8] < 'A' || x->s[8] > 'D')))
        return false;
    if (strchr("DFIQUV", x->s[0]) != NULL || strchr("DFIOQUV", x->s[1]) != NULL)
        return false;
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (memcmp(x->s, never[i], 2) == 0)
            return false;
    return true;
}

/* Unique Taxpayer Reference: the first digit checks the other nine. */
static bool gb_utr(const struct dlp_id *x)
{
    static const signed char w[9] = {6, 7, 8, 9, 10, 5, 4, 3, 2};

    return "21987654321"[dlp_weigh(x->d + 1, w, 9) % 11] == x->s[0];
}

/* Nine or twelve digits; departments and health authorities have five characters. */
static bool gb_vat(const struct dlp_id *full)
{
    static const signed char w[9] = {8, 7, 6, 5, 4, 3, 2, 10, 1};
    struct dlp_id x = dlp_id_behind(full, "GB");
    int sum;

    if (x.n == 5 && dlp_id_digits(&x, 2, 3)) {
        int unit = (int)dlp_id_number(&x, 2, 3);

        return (memcmp(x.s, "GD", 2) == 0 && unit < 500) ||
               (memcmp(x.s, "HA", 2) == 0 && unit >= 500);
    }
    if ((x.n != 9 && x.n != 12) || !dlp_id_digits(&x, 0, x.n))
        return false;
    sum = dlp_weigh(x.d, w, 9) % 97;
    return sum == 0 || ((sum == 42 || sum == 55) && dlp_id_number(&x, 0, 3) >= 100);
}

/* Personal Public Service number: seven digits, a check letter, perhaps a second letter. */
static bool ie_pps(const struct dlp_id *x)
{
    static const signed char w[7] = {8, 7, 6, 5, 4, 3, 2};
    int sum;

    if (!dlp_id_digits(x, 0, 7) || dlp_is_digit(x->s[7]))
        return false;
    sum = dlp_weigh(x->d, w, 7);
    if (x->n == 9) {
        if (strchr("ABHWTXI", x->s[8]) == NULL && (x->s[8] < 'A' || x->s[8] > 'I'))
            return false;
        if (x->s[8] >= 'A' && x->s[8] <= 'I')
            sum += 9 * (x->s[8] - 'A' + 1);
    }
    return x->s[7] == "WABCDEFGHIJKLMNOPQRSTUV"[sum % 23];
}

/* ---- Germany, Austria, Switzerland ------------------------------------------------------------- */

/* Tax id: ISO 7064 mod 11,10; of the first ten digits one occurs twice or three times. */
static bool de_steuerid(const struct dlp_id *x)
{
    unsigned count[10] = {0};
    unsigned doubled = 0;

    for (size_t i = 0; i < 10; i++)
        count[x->d[i]]++;
    for (size_t i = 0; i < 10; i++) {
        if (count[i] > 3)
            return false;
        doubled += count[i] > 1;
    }
    return x->d[0] != 0 && doubled == 1 && dlp_mod11_10_ok(x->d, 11);
}

/* Sum of the digits' cross sums under weights, letters as two digits (A = 01). */
static int de_cross_sum(const struct dlp_id *x, size_t n, const signed char *w)
{
    int sum = 0;
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        int v[2] = {x->d[i], -1};

        if (!dlp_is_digit(x->s[i])) {
            v[0] = (x->s[i] - 'A' + 1) / 10;
            v[1] = (x->s[i] - 'A' + 1) % 10;
        }
        for (size_t j = 0; j < 2 && v[j] >= 0; j++) {
            int p = v[j] * w[k++];

            sum += p / 10 + p % 10;
        }
    }
    return sum;
}

/* Pension insurance number: area, birth date, initial, serial, check. */
static bool de_svnr(const struct dlp_id *x)
{
    static const signed char w[12] = {2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1};
    int day = dlp_id_two(x, 2) % 50; /* +50 after a reissue */

    if (!dlp_id_digits(x, 0, 8) || dlp_is_digit(x->s[8]) || !dlp_id_digits(x, 9, 3))
        return false;
    return dlp_id_date(dlp_id_two(x, 6), dlp_id_two(x, 4), day) &&
           de_cross_sum(x, 11, w) % 10 == x->d[11];
}

/* Health insurance number: a letter and nine digits, the last of them the check; on a card the insurer's nine
 * and a check digit of all stand behind. */
static bool de_kvnr(const struct dlp_id *x)
{
    static const signed char w[20] = {1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2};

    if (dlp_is_digit(x->s[0]) || !dlp_id_digits(x, 1, x->n - 1))
        return false;
    return (x->n == 10 || (x->n == 20 && de_cross_sum(x, 19, w) % 10 == x->d[19])) &&
           de_cross_sum(x, 9, w) % 10 == x->d[9];
}

/* Identity card and passport: nine characters and a check digit, weights 7 3 1. */
static bool de_perso(const struct dlp_id *x)
{
    static const int w[3] = {7, 3, 1};
    int sum = 0;

    if (!dlp_id_digits(x, 9, 1) || x->digits)
        return false;
    for (size_t i = 0; i < 9; i++)
        sum += (dlp_is_digit(x->s[i]) ? x->d[i] : x->s[i] - 'A' + 10) * w[i % 3];
    return sum % 10 == x->d[9];
}

/* Driving licence: authority, serial, check, issue. Weights 9 to 1, letters A = 10, mod 11, X is 10. */
static bool de_fuehrerschein(const struct dlp_id *x)
{
    int sum = 0;

    if (dlp_is_digit(x->s[0]) || x->digits)
        return false;
    for (size_t i = 0; i < 9; i++)
        sum += (dlp_is_digit(x->s[i]) ? x->d[i] : x->s[i] - 'A' + 10) * (9 - (int)i);
    return x->s[9] == (sum % 11 == 10 ? 'X' : (char)('0' + sum % 11));
}

/* Physician number: six digits, their check under weights 4 and 9, two of the specialty. */
static bool de_lanr(const struct dlp_id *x)
{
    static const signed char w[6] = {4, 9, 4, 9, 4, 9};

    return (10 - dlp_weigh(x->d, w, 6) % 10) % 10 == x->d[6] && dlp_id_two(x, 7) > 0;
}

static bool de_vat(const struct dlp_id *x)
{
    return x->d[0] != 0 && dlp_mod11_10_ok(x->d, 9);
}

/* Social insurance number: three digits, the check, the birth date. */
static bool at_svnr(const struct dlp_id *x)
{
    static const signed char w[10] = {3, 7, 9, 0, 5, 8, 4, 2, 1, 6};

    return x->d[0] != 0 && dlp_weigh(x->d, w, 10) % 11 == x->d[3] && dlp_id_two(x, 4) <= 31 &&
           dlp_id_two(x, 6) >= 1 && dlp_id_two(x, 6) <= 13;
}

/* AHV number: an EAN-13 of the "country" 756. */
static bool ch_ahv(const struct dlp_id *x)
{
    static const signed char w[13] = {1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1};

    return memcmp(x->s, "756", 3) == 0 && dlp_weigh(x->d, w, 13) % 10 == 0;
}

/* Enterprise number CHE-123.456.789. */
static bool ch_uid(const struct dlp_id *x)
{
    static const signed char w[8] = {5, 4, 3, 2, 7, 6, 5, 4};

    return memcmp(x->s, "CHE", 3) == 0 && dlp_id_digits(x, 3, 9) &&
           (11 - dlp_weigh(x->d + 3, w, 8) % 11) % 11 == x->d[11];
}

/* The same with the letters of a VAT number behind it: CHE-123.456.788 MWST, TVA, IVA, TPV. */
static bool ch_vat(const struct dlp_id *x)
{
    static const char *const tails[] = {"MWST", "TVA", "IVA", "TPV"};

    if (!ch_uid(x))
        return false;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
        if (x->n == 12 + strlen(tails[i]) && memcmp(x->s + 12, tails[i], x->n - 12) == 0)
            return true;
    return false;
}

/* ---- France, Belgium, Netherlands, Luxembourg -------------------------------------------------- */

/* Social security number: sex, year, month, department (2A, 2B in Corsica) and a key mod 97. */
static bool fr_nir(const struct dlp_id *x)
{
    unsigned long long v = 0;
    int month = dlp_id_two(x, 3);

    for (size_t i = 0; i < 15; i++)
        if (!dlp_is_digit(x->s[i]) && !(i == 6 && (x->s[i] == 'A' || x->s[i] == 'B')))
            return false;
    for (size_t i = 0; i < 13; i++)
        v = v * 10 + (i == 6 && !dlp_is_digit(x->s[i]) ? (x->s[i] == 'A' ? 9u : 8u) : x->d[i]);
    if (!dlp_is_digit(x->s[6])) /* 2A counts as 19, 2B as 18 */
        v -= 10000000ULL;
    if ((x->d[0] != 1 && x->d[0] != 2 && x->d[0] < 7) || month < 1 || (month > 12 && month < 20) ||
        (month > 42 && month < 50))
        return false;
    return 97 - v % 97 == (unsigned)dlp_id_two(x, 13);
}

static bool fr_siren(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, x->n);
}

/* Company number of the establishment: Luhn over the company and over all. La Poste has too many of them: the sum of
 * their digits divides by five. */
static bool fr_siret(const struct dlp_id *x)
{
    unsigned sum = 0;

    if (!dlp_luhn_ok(x->d, 9))
        return false;
    for (size_t i = 0; i < 14; i++)
        sum += x->d[i];
    return dlp_luhn_ok(x->d, 14) || (memcmp(x->s, "356000000", 9) == 0 && sum % 5 == 0);
}

/* Tax number: ten digits mod 511. */
static bool fr_spi(const struct dlp_id *x)
{
    return x->d[0] <= 3 && dlp_id_number(x, 0, 10) % 511 == dlp_id_number(x, 10, 3);
}

/* National register number: a date, a serial, 97 - n mod 97 (with a 2 in front from the year 2000). */
static bool be_nrn(const struct dlp_id *x)
{
    unsigned long long v = dlp_id_number(x, 0, 9);
    unsigned check = (unsigned)dlp_id_two(x, 9);
    int month = dlp_id_two(x, 2) % 20; /* bis numbers add 20 or 40 */

    if (month > 12 || dlp_id_two(x, 4) > 31)
        return false;
    return 97 - v % 97 == check || 97 - (2000000000ULL + v) % 97 == check;
}

/* Ten digits, of which the first zero may be left away. */
static bool be_vat(const struct dlp_id *x)
{
    return (x->n == 9 || x->d[0] <= 1) && x->d[0] + x->d[1] + x->d[2] != 0 &&
           97 - dlp_id_number(x, 0, x->n - 2) % 97 == (unsigned)dlp_id_two(x, x->n - 2);
}

/* Citizen service number: the eleven test. */
static bool nl_bsn(const struct dlp_id *x)
{
    static const signed char w[9] = {9, 8, 7, 6, 5, 4, 3, 2, -1};

    return dlp_weigh(x->d, w, 9) % 11 == 0;
}

/* National identification number of a person: the birth date, a serial, and two check digits over these
 * eleven, Luhn's and Verhoeff's. */
static bool lu_nin(const struct dlp_id *x)
{
    unsigned char d[12];

    memcpy(d, x->d, 11);
    d[11] = x->d[12];
    return dlp_date_ok((int)dlp_id_number(x, 0, 4), dlp_id_two(x, 4), dlp_id_two(x, 6)) &&
           dlp_luhn_ok(x->d, 12) && dlp_verhoeff_ok(d, 12);
}

/* ---- Spain, Portugal, Italy, Greece ------------------------------------------------------------ */

static bool es_letter(unsigned long long number, char letter)
{
    return letter == "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23];
}

/* Eight digits and a letter; a leading zero is often left out. */
static bool es_dni(const struct dlp_id *x)
{
    size_t n = x->n - 1;

    return dlp_id_digits(x, 0, n) && es_letter(dlp_id_number(x, 0, n), x->s[n]);
}

/* Foreigner's number: X, Y, Z stand for 0, 1, 2. */
static bool es_nie(const struct dlp_id *x)
{
    if (x->s[0] < 'X' || x->s[0] > 'Z' || !dlp_id_digits(x, 1, 7))
        return false;
    return es_letter((unsigned)(x->s[0] - 'X') * 10000000ULL + dlp_id_number(x, 1, 7), x->s[8]);
}

/* Company number: a letter, seven digits, a digit or a letter A to J. */
static bool es_cif(const struct dlp_id *x)
{
    int sum = 0;
    int c;

    if (strchr("ABCDEFGHJNPQRSUVW", x->s[0]) == NULL || !dlp_id_digits(x, 1, 7))
        return false;
    for (size_t i = 1; i <= 7; i++) {
        int v = i % 2 == 1 ? x->d[i] * 2 : x->d[i];

        sum += v / 10 + v % 10;
    }
    c = (10 - sum % 10) % 10;
    return x->s[8] == (char)('0' + c) || x->s[8] == "JABCDEFGHI"[c];
}

/* What a taxpayer writes: a person's DNI or NIE, a company's CIF, or K, L, M with seven digits and a letter. */
static bool es_nif(const struct dlp_id *full)
{
    struct dlp_id x = dlp_id_behind(full, "ES");

    if (x.n != 9)
        return false;
    return es_dni(&x) || es_nie(&x) || es_cif(&x) ||
           (strchr("KLM", x.s[0]) != NULL && dlp_id_digits(&x, 1, 7) &&
            es_letter(dlp_id_number(&x, 1, 7), x.s[8]));
}

/* Social security number: province, eight digits (of an employer seven), and what both leave by 97; numbers
 * below ten millions stand beside the province without their leading zero. */
static bool es_nuss(const struct dlp_id *x)
{
    unsigned long long v = dlp_id_number(x, 2, x->n - 4);

    v = v < 10000000 ? v + dlp_id_number(x, 0, 2) * 10000000 : dlp_id_number(x, 0, x->n - 2);
    return v % 97 == dlp_id_number(x, x->n - 2, 2);
}

static bool pt_nif(const struct dlp_id *x)
{
    static const signed char w[8] = {9, 8, 7, 6, 5, 4, 3, 2};
    int c = 11 - dlp_weigh(x->d, w, 8) % 11;

    return x->d[0] != 0 && x->d[0] != 4 && (c > 9 ? 0 : c) == x->d[8];
}

/* Citizen card: twelve characters, every second value doubled, mod 10. */
static bool pt_cc(const struct dlp_id *x)
{
    int sum = 0;

    if (!dlp_id_digits(x, 0, 9) || !dlp_id_digits(x, 11, 1) || dlp_is_digit(x->s[9]))
        return false;
    for (size_t i = 0; i < 12; i++) {
        int v = dlp_is_digit(x->s[i]) ? x->d[i] : x->s[i] - 'A' + 10;

        if (i % 2 == 0) {
            v *= 2;
            if (v > 9)
                v -= 9;
        }
        sum += v;
    }
    return sum % 10 == 0;
}

/* Codice fiscale: consonants of the names, date, place, and a check letter. */
static bool it_cf(const struct dlp_id *x)
{
    static const signed char odd_digit[10] = {1, 0, 5, 7, 9, 13, 15, 17, 19, 21};
    static const signed char odd_letter[26] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                                               20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    int sum = 0;

    for (size_t i = 0; i < 16; i++)
        if ((i < 6 || i == 8 || i == 11 || i == 15) && dlp_is_digit(x->s[i]))
            return false;
    if (strchr("ABCDEHLMPRST", x->s[8]) == NULL)
        return false;
    for (size_t i = 0; i < 15; i++) {
        bool digit = dlp_is_digit(x->s[i]);

        if (i % 2 == 1)
            sum += digit ? x->d[i] : x->s[i] - 'A';
        else
            sum += digit ? odd_digit[x->d[i]] : odd_letter[x->s[i] - 'A'];
    }
    return x->s[15] == (char)('A' + sum % 26);
}

static bool it_iva(const struct dlp_id *x)
{
    unsigned province = (unsigned)dlp_id_number(x, 7, 3);

    return dlp_luhn_ok(x->d, 11) && dlp_id_number(x, 0, 7) != 0 &&
           (province <= 100 || province == 120 || province == 121 || province == 888 ||
            province == 999);
}

static bool gr_afm(const struct dlp_id *x)
{
    int sum = 0;

    for (size_t i = 0; i < 8; i++)
        sum = (sum + x->d[i]) * 2;
    return sum % 11 % 10 == x->d[8];
}

static bool gr_amka(const struct dlp_id *x)
{
    return dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0)) &&
           dlp_luhn_ok(x->d, 11);
}

/* ---- the North --------------------------------------------------------------------------------- */

/* Personal number: ten digits with Luhn behind an optional century; coordination numbers add 60, serials begin with 001. */
static bool se_personnummer(const struct dlp_id *x)
{
    size_t at = x->n == 12 ? 2 : 0;
    int day = dlp_id_two(x, at + 4);

    if (x->n == 11 || (at == 2 && (dlp_id_two(x, 0) < 18 || dlp_id_two(x, 0) > 20)))
        return false;
    return memcmp(x->s + at + 6, "000", 3) != 0 &&
           dlp_id_date(dlp_id_two(x, at), dlp_id_two(x, at + 2), day > 60 ? day - 60 : day) &&
           dlp_luhn_ok(x->d + at, 10);
}

static bool se_orgnr(const struct dlp_id *x)
{
    return x->d[2] >= 2 && x->d[0] != 0 && dlp_luhn_ok(x->d, 10);
}

/* HETU without its century sign: DDMMYY, serial, and a letter of 31. */
static bool fi_hetu(const struct dlp_id *x)
{
    size_t serial = x->n == 11 ? 7 : 6; /* a letter as century sign stays, '-' and '+' are gone */

    if (!dlp_id_digits(x, 0, 6) || !dlp_id_digits(x, serial, 3) ||
        !dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0)))
        return false;
    return x->s[serial + 3] == "0123456789ABCDEFHJKLMNPRSTUVWXY"[(dlp_id_number(x, 0, 6) * 1000 +
                                                                  dlp_id_number(x, serial, 3)) %
                                                                 31];
}

/* CPR: a date and four digits; the check digit was given up in 2007. */
static bool dk_cpr(const struct dlp_id *x)
{
    return dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0));
}

/* Birth number: two check digits; D-numbers add 40 to the day, test numbers 40 or 80 to the month. */
static bool no_fnr(const struct dlp_id *x)
{
    static const signed char w1[9] = {3, 7, 6, 1, 8, 9, 4, 5, 2};
    static const signed char w2[10] = {5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
    int day = dlp_id_two(x, 0) % 40;

    return (11 - dlp_weigh(x->d, w1, 9) % 11) % 11 == x->d[9] &&
           (11 - dlp_weigh(x->d, w2, 10) % 11) % 11 == x->d[10] &&
           dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2) % 40, day);
}

/* Kennitala: a date, two digits, the check, the century. */
static bool is_kennitala(const struct dlp_id *x)
{
    static const signed char w[8] = {3, 2, 7, 6, 5, 4, 3, 2};

    return (11 - dlp_weigh(x->d, w, 8) % 11) % 11 == x->d[8] && (x->d[9] == 9 || x->d[9] <= 1) &&
           dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0) % 40);
}

const struct dlp_id_scheme dlp_ids_europe_west[] = {
    {"gb_nhs", DLP_ID_PERSON, 10, 10, true, gb_nhs},
    {"gb_nino", DLP_ID_PERSON, 8, 9, false, gb_nino},
    {"gb_utr", DLP_ID_PERSON, 10, 10, true, gb_utr},
    {"gb_vat", DLP_ID_COMPANY, 5, 14, false, gb_vat},
    {"ie_pps", DLP_ID_PERSON, 8, 9, false, ie_pps},
    {"de_steuerid", DLP_ID_PERSON, 11, 11, true, de_steuerid},
    {"de_svnr", DLP_ID_PERSON, 12, 12, false, de_svnr},
    {"de_kvnr", DLP_ID_PERSON, 10, 20, false, de_kvnr},
    {"de_perso", DLP_ID_PERSON, 10, 10, false, de_perso},
    {"de_fuehrerschein", DLP_ID_PERSON, 11, 11, false, de_fuehrerschein},
    {"de_lanr", DLP_ID_PERSON, 9, 9, true, de_lanr},
    {"de_vat", DLP_ID_COMPANY, 9, 9, true, de_vat},
    {"at_svnr", DLP_ID_PERSON, 10, 10, true, at_svnr},
    {"ch_ahv", DLP_ID_PERSON, 13, 13, true, ch_ahv},
    {"ch_vat", DLP_ID_COMPANY, 15, 16, false, ch_vat},
    {"ch_uid", DLP_ID_COMPANY, 12, 12, false, ch_uid},
    {"fr_nir", DLP_ID_PERSON, 15, 15, false, fr_nir},
    {"fr_siren", DLP_ID_COMPANY, 9, 9, true, fr_siren},
    {"fr_siret", DLP_ID_COMPANY, 14, 14, true, fr_siret},
    {"fr_spi", DLP_ID_PERSON, 13, 13, true, fr_spi},
    {"be_nrn", DLP_ID_PERSON, 11, 11, true, be_nrn},
    {"be_vat", DLP_ID_COMPANY, 9, 10, true, be_vat},
    {"nl_bsn", DLP_ID_PERSON, 9, 9, true, nl_bsn},
    {"lu_nin", DLP_ID_PERSON, 13, 13, true, lu_nin},
    {"es_nuss", DLP_ID_PERSON, 11, 12, true, es_nuss},
    {"es_dni", DLP_ID_PERSON, 8, 9, false, es_dni},
    {"es_nie", DLP_ID_PERSON, 9, 9, false, es_nie},
    {"es_nif", DLP_ID_PERSON, 9, 11, false, es_nif},
    {"es_cif", DLP_ID_COMPANY, 9, 9, false, es_cif},
    {"pt_nif", DLP_ID_PERSON, 9, 9, true, pt_nif},
    {"pt_cc", DLP_ID_PERSON, 12, 12, false, pt_cc},
    {"it_cf", DLP_ID_PERSON, 16, 16, false, it_cf},
    {"it_iva", DLP_ID_PERSON, 11, 11, true, it_iva},
    {"gr_afm", DLP_ID_PERSON, 9, 9, true, gr_afm},
    {"gr_amka", DLP_ID_PERSON, 11, 11, true, gr_amka},
    {"se_personnummer", DLP_ID_PERSON, 10, 12, true, se_personnummer},
    {"se_orgnr", DLP_ID_COMPANY, 10, 10, true, se_orgnr},
    {"fi_hetu", DLP_ID_PERSON, 10, 11, false, fi_hetu},
    {"dk_cpr", DLP_ID_WEAK, 10, 10, true, dk_cpr},
    {"no_fnr", DLP_ID_PERSON, 11, 11, true, no_fnr},
    {"is_kennitala", DLP_ID_PERSON, 10, 10, true, is_kennitala},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
