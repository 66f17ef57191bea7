/* dlp/validate_ids_company_europe.c - tax and register numbers of companies in Europe: the VAT number of
 * every state of the Union (where another file does not hold it), of its neighbours, and registers.
 *
 * Sources: the Commission's "VAT identification number structure" and the algorithms that the tax
 * administrations publish for it, registers of the states. No state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- Austria -------------------------------------------------------------------------------- */

/* ATU and eight digits: every second one doubled and crossed, 4 added. */
static bool at_uid(const struct dlp_id *full)
{
    struct dlp_id x = dlp_id_behind(full, "AT");
    unsigned sum = 4;

    if (x.n != 9 || x.s[0] != 'U' || !dlp_id_digits(&x, 1, 8))
        return false;
    for (size_t i = 1; i < 8; i++)
        sum += i % 2 == 1 ? x.d[i] : x.d[i] / 5u + x.d[i] * 2u % 10;
    return (10 - sum % 10) % 10 == x.d[8];
}

/* Tax account number of the tax office. */
static bool at_tin(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 9);
}

/* ---- Romania, Cyprus --------------------------------------------------------------------------- */

/* Company number of two to ten digits, weighed from the right. */
static bool ro_cui(const struct dlp_id *x)
{
    static const signed char w[9] = {2, 3, 5, 7, 1, 2, 3, 5, 7};
    int sum = 0;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += x->d[x->n - 2 - i] * w[i];
    return x->d[0] != 0 && sum * 10 % 11 % 10 == x->d[x->n - 1];
}

/* Eight digits and a letter; the digits at odd places count by a table. */
static bool cy_vat(const struct dlp_id *full)
{
    static const signed char odd[10] = {1, 0, 5, 7, 9, 13, 15, 17, 19, 21};
    struct dlp_id x = dlp_id_behind(full, "CY");
    int sum = 0;

    if (x.n != 9 || !dlp_id_digits(&x, 0, 8) || dlp_is_digit(x.s[8]) || dlp_id_two(&x, 0) == 12)
        return false;
    for (size_t i = 0; i < 8; i++)
        sum += i % 2 == 0 ? odd[x.d[i]] : x.d[i];
    return x.s[8] == 'A' + sum % 26;
}

/* ---- Slovakia, Hungary, Slovenia, Serbia, Montenegro -------------------- --------------------------- */

static bool sk_dph(const struct dlp_id *x)
{
    return x->d[0] != 0 && strchr("234789", x->s[2]) != NULL && dlp_id_number(x, 0, 10) % 11 == 0;
}

DLP_ID_SUM(hu_anum, 8, 10, DLP_ID_ZERO, 9, 7, 3, 1, 9, 7, 3, 1)
DLP_ID_SUM(me_pib, 8, 11, DLP_ID_NEG_0, 8, 7, 6, 5, 4, 3, 2)

static bool si_ddv(const struct dlp_id *x)
{
    static const signed char w[7] = {8, 7, 6, 5, 4, 3, 2};
    int c = 11 - dlp_weigh(x->d, w, 7) % 11;

    return x->d[0] != 0 && c != 11 && c % 10 == x->d[7];
}

/* Register number: six digits, the check, and perhaps three characters of the unit. */
static bool si_maticna(const struct dlp_id *x)
{
    static const signed char w[6] = {7, 6, 5, 4, 3, 2};
    int c = 11 - dlp_weigh(x->d, w, 6) % 11;

    return (x->n == 7 || x->n == 10) && dlp_id_digits(x, 0, 7) && c % 11 % 10 == x->d[6];
}

static bool rs_pib(const struct dlp_id *x)
{
    return x->d[0] != 0 && dlp_mod11_10_ok(x->d, 9);
}

/* ---- the Baltic, the North --------------------------------------------------------------------- */

DLP_ID_SUM(dk_cvr_sum, 8, 11, DLP_ID_ZERO, 2, 7, 6, 5, 4, 3, 2, 1)
DLP_ID_SUM(fi_ytunnus, 8, 11, DLP_ID_ZERO, 7, 9, 10, 5, 8, 4, 2, 1)
DLP_ID_SUM(no_orgnr, 9, 11, DLP_ID_NEG, 3, 2, 7, 6, 5, 4, 3, 2)
DLP_ID_SUM(no_kontonr, 11, 11, DLP_ID_NEG, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
DLP_ID_SUM(ee_kmkr, 9, 10, DLP_ID_ZERO, 3, 7, 1, 3, 7, 1, 3, 7, 1)

static bool dk_cvr(const struct dlp_id *x)
{
    return x->d[0] != 0 && dk_cvr_sum(x);
}

/* An organisation number with the letters of a VAT number behind it. */
static bool no_mva(const struct dlp_id *full)
{
    struct dlp_id x = dlp_id_behind(full, "NO");

    return x.n == 12 && dlp_id_digits(&x, 0, 9) && memcmp(x.s + 9, "MVA", 3) == 0 && no_orgnr(&x);
}

/* Two rows of weights as in the personal code. */
static bool two_rows(const struct dlp_id *x, size_t n)
{
    int sums[2] = {0, 0};

    for (size_t i = 0; i + 1 < n; i++) {
        sums[0] += x->d[i] * (int)(1 + i % 9);
        sums[1] += x->d[i] * (int)(1 + (i + 2) % 9);
    }
    return (sums[0] % 11 < 10 ? sums[0] % 11 : sums[1] % 11 % 10) == x->d[n - 1];
}

static bool ee_registrikood(const struct dlp_id *x)
{
    return strchr("1789", x->s[0]) != NULL && two_rows(x, 8);
}

/* Nine digits, or twelve for a person not yet registered; the last but one is a 1. */
static bool lt_pvm(const struct dlp_id *x)
{
    return (x->n == 9 || x->n == 12) && x->d[x->n - 2] == 1 && two_rows(x, x->n);
}

/* Companies begin with 4 to 9; people have their personal code. */
static bool lv_pvn(const struct dlp_id *x)
{
    static const signed char company[11] = {9, 1, 4, 8, 3, 10, 2, 5, 7, 6, 1};
    static const signed char person[10] = {10, 5, 8, 4, 2, 1, 6, 3, 7, 9};

    if (x->d[0] > 3)
        return dlp_weigh(x->d, company, 11) % 11 == 3;
    if (x->d[0] == 3 && x->d[1] == 2) /* issued since 2017 without a date */
        return (dlp_weigh(x->d, person, 10) + 1) % 11 % 10 == x->d[10];
    return dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0)) &&
           (dlp_weigh(x->d, person, 10) + 1) % 11 % 10 == x->d[10];
}

/* An organisation number and the number of the unit. */
static bool se_vat(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 10) && dlp_id_two(x, 10) == 1;
}

/* ---- the West, the South ----------------------------------------------------------------------- */

/* FR, two characters of a key, and the company number; the key is a remainder, or made of letters. */
static bool fr_tva(const struct dlp_id *full)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    struct dlp_id x = dlp_id_behind(full, "FR");
    unsigned long long siren, v;
    int a, b;

    if (x.n != 11 || !dlp_id_digits(&x, 2, 9))
        return false;
    siren = dlp_id_number(&x, 2, 9);
    a = dlp_id_index(alphabet, x.s[0]);
    b = dlp_id_index(alphabet, x.s[1]);
    if (a < 0 || b < 0)
        return false;
    if (memcmp(x.s + 2, "000", 3) != 0 && !dlp_luhn_ok(x.d + 2, 9)) /* 000: Monaco */
        return false;
    if (a < 10 && b < 10)
        return (siren * 100 + 12) % 97 == (unsigned)(a * 10 + b);
    v = a < 10 ? (unsigned)(a * 24 + b - 10) : (unsigned)(a * 34 + b - 100);
    return (siren + 1 + v / 11) % 11 == v % 11;
}

static bool mc_tva(const struct dlp_id *full)
{
    struct dlp_id x = dlp_id_behind(full, "FR");

    return x.n == 11 && memcmp(x.s + 2, "000", 3) == 0 && fr_tva(&x);
}

static bool lu_tva(const struct dlp_id *x)
{
    return dlp_id_number(x, 0, 6) % 89 == (unsigned)dlp_id_two(x, 6);
}

DLP_ID_SUM(mt_sum, 8, 37, DLP_ID_ZERO, 3, 4, 6, 7, 8, 9, 10, 1)

static bool mt_vat(const struct dlp_id *x)
{
    return x->d[0] != 0 && mt_sum(x);
}

/* Nine digits, B, two digits: the number of a person's or company's tax file, or mod 97 over all. */
static bool nl_btw(const struct dlp_id *full)
{
    static const signed char w[9] = {9, 8, 7, 6, 5, 4, 3, 2, -1};
    struct dlp_id x = dlp_id_behind(full, "NL");
    size_t b = x.n - 3;
    unsigned char d[9] = {0};
    char all[16] = "NL";

    if (x.n < 10 || x.n > 12 || x.s[b] != 'B' || !dlp_id_digits(&x, 0, b) ||
        !dlp_id_digits(&x, b + 1, 2) || dlp_id_two(&x, b + 1) == 0)
        return false;
    memcpy(d + 9 - b, x.d, b);
    if (dlp_weigh(d, w, 9) % 11 == 0)
        return true;
    memcpy(all + 2, x.s, x.n);
    return dlp_mod97(all, x.n + 2) == 1;
}

/* Seven digits with a check letter and perhaps another, or the old form with a letter or sign second. */
static bool ie_vat(const struct dlp_id *full)
{
    static const char letters[] = "WABCDEFGHIJKLMNOPQRSTUV";
    struct dlp_id x = dlp_id_behind(full, "IE");
    int sum = 0;

    if (x.n < 8 || x.n > 9 || !dlp_is_digit(x.s[0]) || !dlp_id_digits(&x, 2, 5) ||
        dlp_is_digit(x.s[7]))
        return false;
    if (!dlp_is_digit(x.s[1])) { /* 8Z49289F reads 0492898 */
        for (size_t i = 2; i < 7; i++)
            sum += x.d[i] * (int)(9 - i);
        sum += x.d[0] * 2;
        return x.n == 8 && x.s[7] == letters[sum % 23];
    }
    for (size_t i = 0; i < 7; i++)
        sum += x.d[i] * (int)(8 - i);
    if (x.n == 9) {
        int second = dlp_id_index(letters, x.s[8]);

        if (second < 0)
            return false;
        sum += 9 * second;
    }
    return x.s[7] == letters[sum % 23];
}

/* ---- eastern neighbours ------------------------------------------------------------------------ */

/* Nine characters, the first two perhaps letters. */
static bool by_unp(const struct dlp_id *x)
{
    static const signed char w[8] = {29, 23, 19, 17, 13, 7, 5, 3};
    int sum = 0;

    if (!dlp_id_digits(x, 2, 7) || dlp_is_digit(x->s[0]) != dlp_is_digit(x->s[1]))
        return false;
    for (size_t i = 0; i < 8; i++) {
        int v = dlp_id_base36(x, i);

        if (i == 1 && !dlp_is_digit(x->s[1]))
            v = dlp_id_index("ABCEHKMOPT", x->s[1]);
        if (v < 0 || (i == 0 && strchr("1234567ABCEHKM", x->s[0]) == NULL))
            return false;
        sum += v * w[i];
    }
    return sum % 11 == x->d[8];
}

static bool ua_edrpou(const struct dlp_id *x)
{
    static const signed char outer[7] = {1, 2, 3, 4, 5, 6, 7};
    static const signed char inner[7] = {7, 1, 2, 3, 4, 5, 6};
    bool is_inner = x->d[0] >= 3 && x->d[0] <= 5;
    const signed char *w = is_inner ? inner : outer;
    int sum = dlp_weigh(x->d, w, 7) % 11;

    if (sum == 10) {
        sum = 0;
        for (size_t i = 0; i < 7; i++)
            sum += x->d[i] * (w[i] + 2);
        sum = sum % 11 % 10;
    }
    return sum == x->d[7];
}

/* State registration number: the rest by one less than its length less two. */
static bool ru_ogrn(const struct dlp_id *x)
{
    if (x->n == 13)
        return x->d[0] != 0 && dlp_id_number(x, 0, 12) % 11 % 10 == x->d[12];
    return x->n == 15 && x->d[0] == 3 && dlp_id_number(x, 0, 14) % 13 % 10 == x->d[14];
}

DLP_ID_SUM(az_sum, 9, 11, DLP_ID_POS, 4, 1, 8, 6, 2, 7, 5, 3)

static bool az_voen(const struct dlp_id *x)
{
    return x->d[9] >= 1 && x->d[9] <= 2 && az_sum(x);
}

const struct dlp_id_scheme dlp_ids_company_europe[] = {
    {"at_uid", DLP_ID_COMPANY, 9, 11, false, at_uid},
    {"at_tin", DLP_ID_PERSON, 9, 9, true, at_tin},
    {"ro_cui", DLP_ID_COMPANY, 4, 10, true, ro_cui},
    {"cy_vat", DLP_ID_COMPANY, 9, 11, false, cy_vat},
    {"sk_dph", DLP_ID_COMPANY, 10, 10, true, sk_dph},
    {"hu_anum", DLP_ID_COMPANY, 8, 8, true, hu_anum},
    {"me_pib", DLP_ID_COMPANY, 8, 8, true, me_pib},
    {"si_ddv", DLP_ID_COMPANY, 8, 8, true, si_ddv},
    {"si_maticna", DLP_ID_COMPANY, 7, 10, false, si_maticna},
    {"rs_pib", DLP_ID_COMPANY, 9, 9, true, rs_pib},
    {"dk_cvr", DLP_ID_COMPANY, 8, 8, true, dk_cvr},
    {"fi_ytunnus", DLP_ID_COMPANY, 8, 8, true, fi_ytunnus},
    {"no_orgnr", DLP_ID_COMPANY, 9, 9, true, no_orgnr},
    {"no_mva", DLP_ID_COMPANY, 12, 14, false, no_mva},
    {"no_kontonr", DLP_ID_BANK, 11, 11, true, no_kontonr},
    {"ee_kmkr", DLP_ID_COMPANY, 9, 9, true, ee_kmkr},
    {"ee_registrikood", DLP_ID_COMPANY, 8, 8, true, ee_registrikood},
    {"lt_pvm", DLP_ID_COMPANY, 9, 12, true, lt_pvm},
    {"lv_pvn", DLP_ID_COMPANY, 11, 11, true, lv_pvn},
    {"se_vat", DLP_ID_COMPANY, 12, 12, true, se_vat},
    {"fr_tva", DLP_ID_COMPANY, 11, 13, false, fr_tva},
    {"mc_tva", DLP_ID_COMPANY, 11, 13, false, mc_tva},
    {"lu_tva", DLP_ID_COMPANY, 8, 8, true, lu_tva},
    {"mt_vat", DLP_ID_COMPANY, 8, 8, true, mt_vat},
    {"nl_btw", DLP_ID_COMPANY, 10, 14, false, nl_btw},
    {"ie_vat", DLP_ID_COMPANY, 8, 11, false, ie_vat},
    {"by_unp", DLP_ID_COMPANY, 9, 9, false, by_unp},
    {"ua_edrpou", DLP_ID_COMPANY, 8, 8, true, ua_edrpou},
    {"ru_ogrn", DLP_ID_COMPANY, 13, 15, true, ru_ogrn},
    {"az_voen", DLP_ID_COMPANY, 10, 10, true, az_voen},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
