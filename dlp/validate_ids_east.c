/* dlp/validate_ids_east.c - identifiers of persons and companies in central and eastern Europe.
 *
 * Each function states the rule its authority publishes; the weights are those of the authority. No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- Poland ------------------------------------------------------------------------------------ */

/* PESEL: the month carries the century (+80 for 18xx, +20 for 20xx and so on). */
static bool pl_pesel(const struct dlp_id *x)
{
    static const signed char w[10] = {1, 3, 7, 9, 1, 3, 7, 9, 1, 3};
    static const int century[5] = {1900, 2000, 2100, 2200, 1800};
    int month = dlp_id_two(x, 2);

    return (10 - dlp_weigh(x->d, w, 10) % 10) % 10 == x->d[10] &&
           dlp_date_ok(century[month / 20] + dlp_id_two(x, 0), month % 20, dlp_id_two(x, 4));
}

static bool pl_nip(const struct dlp_id *x)
{
    static const signed char w[9] = {6, 5, 7, 2, 3, 4, 5, 6, 7};

    return dlp_weigh(x->d, w, 9) % 11 == x->d[9];
}

static bool pl_regon(const struct dlp_id *x)
{
    static const signed char w9[8] = {8, 9, 2, 3, 4, 5, 6, 7};
    static const signed char w14[13] = {2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8};

    if (dlp_weigh(x->d, w9, 8) % 11 % 10 != x->d[8])
        return false;
    return x->n == 9 || (x->n == 14 && dlp_weigh(x->d, w14, 13) % 11 % 10 == x->d[13]);
}

/* Identity card: three letters, a check digit, five digits; weights 7 3 1. */
static bool pl_id_card(const struct dlp_id *x)
{
    static const int w[9] = {7, 3, 1, 9, 7, 3, 1, 7, 3};
    int sum = 0;

    if (!dlp_id_digits(x, 3, 6))
        return false;
    for (size_t i = 0; i < 9; i++) {
        if (i < 3 && dlp_is_digit(x->s[i]))
            return false;
        sum += (i < 3 ? x->s[i] - 'A' + 10 : x->d[i]) * w[i];
    }
    return sum % 10 == 0;
}

/* ---- Czechia, Slovakia, Hungary ---------------------------------------------------------------- */

/* Birth number: women's months + 50 (+20 and +70 when a day ran out); ten digits divide by 11. */
static bool cz_rc(const struct dlp_id *x)
{
    unsigned long long v = dlp_id_number(x, 0, 9);
    int month = dlp_id_two(x, 2) % 50;

    if (month > 20)
        month -= 20;
    if (!dlp_id_date(dlp_id_two(x, 0), month, dlp_id_two(x, 4)))
        return false;
    return v % 11 % 10 == x->d[9];
}

/* Birth number from before 1954: nine digits without a check digit. */
static bool cz_rc_old(const struct dlp_id *x)
{
    return dlp_id_two(x, 0) < 54 && dlp_id_number(x, 6, 3) != 0 &&
           dlp_date_ok(1900 + dlp_id_two(x, 0), dlp_id_two(x, 2) % 50, dlp_id_two(x, 4));
}

/* Tax number: eight digits of a company, nine or ten of a person. Nine digits that begin with 6 have a check
 * digit of their own; the others are birth numbers from before 1954, a date and three digits. */
static bool cz_dic(const struct dlp_id *x)
{
    static const signed char w[7] = {8, 7, 6, 5, 4, 3, 2};
    int month = dlp_id_two(x, 2) % 50;
    int c;

    if (x->n == 10)
        return cz_rc(x);
    if (x->n == 9 && x->d[0] == 6)
        return (8 + dlp_weigh(x->d + 1, w, 7) % 11) % 10 == x->d[8];
    if (x->n == 9)
        return dlp_id_two(x, 0) < 54 &&
               dlp_date_ok(1900 + dlp_id_two(x, 0), month, dlp_id_two(x, 4)) &&
               dlp_id_number(x, 6, 3) != 0;
    c = (11 - dlp_weigh(x->d, w, 7) % 11) % 11;
    return x->d[0] != 9 && (c == 0 ? 1 : c % 10) == x->d[7];
}

/* Social security number: 3 and 7 in turn, mod 10. */
static bool hu_taj(const struct dlp_id *x)
{
    static const signed char w[8] = {3, 7, 3, 7, 3, 7, 3, 7};

    return dlp_weigh(x->d, w, 8) % 10 == x->d[8];
}

/* Tax id of a person: begins with 8, weights 1 to 9, mod 11. */
static bool hu_tax(const struct dlp_id *x)
{
    static const signed char w[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

    return x->d[0] == 8 && dlp_weigh(x->d, w, 9) % 11 == x->d[9];
}

/* Personal identifier: sex and century, birth date, serial, check; the weights turned round in 1997. */
static bool hu_szemelyi(const struct dlp_id *x)
{
    static const signed char old[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static const signed char now[10] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    const signed char *w = x->d[0] <= 2 && dlp_id_number(x, 1, 6) < 970101 ? old : now;

    return x->d[0] != 0 && x->d[0] != 9 &&
           dlp_id_date(dlp_id_two(x, 1), dlp_id_two(x, 3), dlp_id_two(x, 5)) &&
           dlp_weigh(x->d, w, 10) % 11 == x->d[10];
}

/* ---- Romania, Bulgaria, the Balkans ------------------------------------------------------------ */

static bool ro_cnp(const struct dlp_id *x)
{
    static const signed char w[12] = {2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9};
    int c = dlp_weigh(x->d, w, 12) % 11;

    return x->d[0] != 0 && (c == 10 ? 1 : c) == x->d[12] &&
           dlp_id_date(dlp_id_two(x, 1), dlp_id_two(x, 3), dlp_id_two(x, 5));
}

/* EGN: the month + 20 for 18xx, + 40 for 20xx. */
static bool bg_egn(const struct dlp_id *x)
{
    static const signed char w[9] = {2, 4, 8, 5, 10, 9, 7, 3, 6};
    int month = dlp_id_two(x, 2);
    int year = 1900;

    if (month > 40) {
        month -= 40;
        year = 2000;
    } else if (month > 20) {
        month -= 20;
        year = 1800;
    }
    return dlp_weigh(x->d, w, 9) % 11 % 10 == x->d[9] &&
           dlp_date_ok(year + dlp_id_two(x, 0), month, dlp_id_two(x, 4));
}

DLP_ID_SUM(bg_pnf, 10, 10, DLP_ID_POS, 21, 19, 17, 13, 11, 9, 7, 3, 1)
DLP_ID_SUM(bg_other, 10, 11, DLP_ID_NEG_0, 4, 3, 2, 7, 6, 5, 4, 3, 2)

/* Companies have nine digits with two rows of weights; people and others ten. */
static bool bg_vat(const struct dlp_id *x)
{
    static const signed char first[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const signed char second[8] = {3, 4, 5, 6, 7, 8, 9, 10};
    int r;

    if (x->n == 10)
        return bg_egn(x) || bg_pnf(x) || bg_other(x);
    r = dlp_weigh(x->d, first, 8) % 11;
    if (r == 10)
        r = dlp_weigh(x->d, second, 8) % 11 % 10;
    return r == x->d[8];
}

static bool hr_oib(const struct dlp_id *x)
{
    return dlp_mod11_10_ok(x->d, 11);
}

/* JMBG / EMSO: DDMMYYY, region, serial, mod 11. */
static bool yu_jmbg(const struct dlp_id *x)
{
    static const signed char w[12] = {7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
    int yyy = (int)dlp_id_number(x, 4, 3);

    return (11 - dlp_weigh(x->d, w, 12) % 11) % 11 % 10 == x->d[12] &&
           dlp_date_ok(yyy < 800 ? 2000 + yyy : 1000 + yyy, dlp_id_two(x, 2), dlp_id_two(x, 0));
}

static bool mk_edb(const struct dlp_id *x)
{
    static const signed char w[12] = {7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2};

    return (11 - dlp_weigh(x->d, w, 12) % 11) % 11 % 10 == x->d[12];
}

static bool al_nipt(const struct dlp_id *x)
{
    return x->s[0] >= 'J' && x->s[0] <= 'M' && dlp_id_digits(x, 1, 8) && !dlp_is_digit(x->s[9]);
}

/* ---- the Baltic states ------------------------------------------------------------------------- */

/* Estonia and Lithuania: century and sex, YYMMDD, serial; two rounds of weights mod 11. */
static bool ee_ik(const struct dlp_id *x)
{
    static const signed char w1[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1};
    static const signed char w2[10] = {3, 4, 5, 6, 7, 8, 9, 1, 2, 3};
    int c = dlp_weigh(x->d, w1, 10) % 11;

    if (c == 10)
        c = dlp_weigh(x->d, w2, 10) % 11 % 10;
    return c == x->d[10] && x->d[0] >= 1 && x->d[0] <= 8 &&
           dlp_id_date(dlp_id_two(x, 1), dlp_id_two(x, 3), dlp_id_two(x, 5));
}

/* Latvia: DDMMYY, century, serial, check; since 2017 numbers that begin with 32 carry nothing. */
static bool lv_pk(const struct dlp_id *x)
{
    static const signed char w[10] = {10, 5, 8, 4, 2, 1, 6, 3, 7, 9};

    if (dlp_id_two(x, 0) == 32)
        return true;
    return (1 + dlp_weigh(x->d, w, 10)) % 11 % 10 == x->d[10] &&
           dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 2), dlp_id_two(x, 0));
}

/* ---- Russia, Ukraine, Kazakhstan, Moldova, Turkey ---------------------------------------------- */

static bool ru_inn(const struct dlp_id *x)
{
    static const signed char w10[9] = {2, 4, 10, 3, 5, 9, 4, 6, 8};
    static const signed char w11[10] = {7, 2, 4, 10, 3, 5, 9, 4, 6, 8};
    static const signed char w12[11] = {3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8};

    if (x->n == 10)
        return dlp_weigh(x->d, w10, 9) % 11 % 10 == x->d[9];
    return x->n == 12 && dlp_weigh(x->d, w11, 10) % 11 % 10 == x->d[10] &&
           dlp_weigh(x->d, w12, 11) % 11 % 10 == x->d[11];
}

static bool ru_snils(const struct dlp_id *x)
{
    static const signed char w[9] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

    return dlp_weigh(x->d, w, 9) % 101 % 100 == dlp_id_two(x, 9);
}

static bool ua_rnokpp(const struct dlp_id *x)
{
    static const signed char w[9] = {-1, 5, 7, 9, 4, 6, 10, 5, 7};
    int sum = dlp_weigh(x->d, w, 9);

    return (sum % 11 + 11) % 11 % 10 == x->d[9];
}

static bool kz_iin(const struct dlp_id *x)
{
    static const signed char w1[11] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const signed char w2[11] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2};
    int c = dlp_weigh(x->d, w1, 11) % 11;

    if (c == 10)
        c = dlp_weigh(x->d, w2, 11) % 11;
    return c == x->d[11] && dlp_id_date(dlp_id_two(x, 0), dlp_id_two(x, 2), dlp_id_two(x, 4));
}

static bool md_idno(const struct dlp_id *x)
{
    static const signed char w[12] = {7, 3, 1, 7, 3, 1, 7, 3, 1, 7, 3, 1};

    return dlp_weigh(x->d, w, 12) % 10 == x->d[12];
}

/* Record of a person in the register of Ukraine: a date, a serial, the check digit of travel documents. */
static bool ua_unzr(const struct dlp_id *x)
{
    static const signed char w[12] = {7, 3, 1, 7, 3, 1, 7, 3, 1, 7, 3, 1};

    return dlp_date_ok((int)dlp_id_number(x, 0, 4), dlp_id_two(x, 4), dlp_id_two(x, 6)) &&
           dlp_weigh(x->d, w, 12) % 10 == x->d[12];
}

static bool tr_tckn(const struct dlp_id *x)
{
    int odd = x->d[0] + x->d[2] + x->d[4] + x->d[6] + x->d[8];
    int even = x->d[1] + x->d[3] + x->d[5] + x->d[7];

    return x->d[0] != 0 && (odd * 7 - even + 100) % 10 == x->d[9] &&
           (odd + even + x->d[9]) % 10 == x->d[10];
}

const struct dlp_id_scheme dlp_ids_europe_east[] = {
    {"pl_pesel", DLP_ID_PERSON, 11, 11, true, pl_pesel},
    {"pl_nip", DLP_ID_COMPANY, 10, 10, true, pl_nip},
    {"pl_regon", DLP_ID_COMPANY, 9, 14, true, pl_regon},
    {"pl_id_card", DLP_ID_PERSON, 9, 9, false, pl_id_card},
    {"bg_vat", DLP_ID_COMPANY, 9, 10, true, bg_vat},
    {"bg_pnf", DLP_ID_PERSON, 10, 10, true, bg_pnf},
    {"cz_dic", DLP_ID_COMPANY, 8, 10, true, cz_dic},
    {"cz_rc", DLP_ID_PERSON, 10, 10, true, cz_rc},
    {"cz_rc_old", DLP_ID_WEAK, 9, 9, true, cz_rc_old},
    {"hu_szemelyi", DLP_ID_PERSON, 11, 11, true, hu_szemelyi},
    {"hu_taj", DLP_ID_PERSON, 9, 9, true, hu_taj},
    {"hu_tax", DLP_ID_PERSON, 10, 10, true, hu_tax},
    {"ro_cnp", DLP_ID_PERSON, 13, 13, true, ro_cnp},
    {"bg_egn", DLP_ID_PERSON, 10, 10, true, bg_egn},
    {"hr_oib", DLP_ID_PERSON, 11, 11, true, hr_oib},
    {"yu_jmbg", DLP_ID_PERSON, 13, 13, true, yu_jmbg},
    {"mk_edb", DLP_ID_COMPANY, 13, 13, true, mk_edb},
    {"al_nipt", DLP_ID_COMPANY, 10, 10, false, al_nipt},
    {"ee_ik", DLP_ID_PERSON, 11, 11, true, ee_ik},
    {"lv_pk", DLP_ID_PERSON, 11, 11, true, lv_pk},
    {"ru_inn", DLP_ID_COMPANY, 10, 12, true, ru_inn},
    {"ru_snils", DLP_ID_PERSON, 11, 11, true, ru_snils},
    {"ua_rnokpp", DLP_ID_PERSON, 10, 10, true, ua_rnokpp},
    {"ua_unzr", DLP_ID_PERSON, 13, 13, true, ua_unzr},
    {"kz_iin", DLP_ID_PERSON, 12, 12, true, kz_iin},
    {"md_idno", DLP_ID_PERSON, 13, 13, true, md_idno},
    {"tr_tckn", DLP_ID_PERSON, 11, 11, true, tr_tckn},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
