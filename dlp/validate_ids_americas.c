/* dlp/validate_ids_americas.c - identifiers of persons and companies in the Americas.
 *
 * Each function states the rule its authority publishes; the weights are those of the authority. No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- United States, Canada --------------------------------------------------------------------- */

/* SSA: area not 000, 666, 900-999; group not 00; serial not 0000; and the numbers of advertisements. */
static bool us_ssn(const struct dlp_id *x)
{
    static const char *const fakes[] = {"078051120", "219099999", "123456789",
                                        "987654321", "111223333", "123121234"};
    unsigned area = (unsigned)dlp_id_number(x, 0, 3);

    if (area == 0 || area == 666 || area >= 900 || dlp_id_two(x, 3) == 0 ||
        dlp_id_number(x, 5, 4) == 0)
        return false;
    for (size_t i = 0; i < sizeof(fakes) / sizeof(fakes[0]); i++)
        if (memcmp(x->s, fakes[i], 9) == 0)
            return false;
    return true;
}

/* Taxpayer number of people without an SSN: 9xx, and a group in the ranges of the IRS. */
static bool us_itin(const struct dlp_id *x)
{
    int group = dlp_id_two(x, 3);

    return x->d[0] == 9 && ((group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
                            (group >= 90 && group <= 92) || group >= 94);
}

/* Employer number: prefixes the IRS has never allotted. */
static bool us_ein(const struct dlp_id *x)
{
    static const unsigned char never[] = {0,  7,  8,  9,  17, 18, 19, 28, 29,
                                          49, 69, 70, 78, 79, 89, 96, 97};

    return memchr(never, dlp_id_two(x, 0), sizeof(never)) == NULL;
}

static bool ca_sin(const struct dlp_id *x)
{
    return x->d[0] != 0 && x->d[0] != 8 && dlp_luhn_ok(x->d, 9);
}

/* British Columbia's health number. */
static bool ca_bc_phn(const struct dlp_id *x)
{
    static const signed char w[8] = {2, 4, 8, 5, 10, 9, 7, 3};
    int sum = 0;

    for (size_t i = 0; i < 8; i++)
        sum += x->d[i + 1] * w[i] % 11;
    return x->d[0] == 9 && (11 - sum % 11) % 11 == x->d[9];
}

/* ---- Mexico, Central America ------------------------------------------------------------------- */

/* CURP: letters of the names, date, sex, state, and a check digit over base 37 values. */
static bool mx_curp(const struct dlp_id *x)
{
    static const char states[] =
        "ASBCBSCCCHCLCMCSDFDGGRGTHGJCMCMNMSNENLNTOCPLQRQTSLSPSRTCTLTSVZYNZS";
    bool known = false;
    int sum = 0;

    if (!dlp_id_digits(x, 4, 6) || !dlp_id_digits(x, 17, 1) || strchr("HMX", x->s[10]) == NULL ||
        !dlp_id_date(dlp_id_two(x, 4), dlp_id_two(x, 6), dlp_id_two(x, 8)))
        return false;
    for (size_t i = 0; states[i] != '\0' && !known; i += 2)
        known = memcmp(x->s + 11, states + i, 2) == 0;
    if (!known)
        return false;
    for (size_t i = 0; i < 17; i++) {
        int v = dlp_is_digit(x->s[i]) ? x->d[i] : x->s[i] - 'A' + 10;

        if (x->s[i] > 'N' && !dlp_is_digit(x->s[i])) /* the Spanish N with tilde stands between */
            v++;
        sum += v * (18 - (int)i);
    }
    return (10 - sum % 10) % 10 == x->d[17];
}

/* RFC of a person (13) or company (12): the date must be one. */
static bool mx_rfc(const struct dlp_id *x)
{
    size_t at = x->n == 13 ? 4 : 3;

    for (size_t i = 0; i < at; i++)
        if (dlp_is_digit(x->s[i]))
            return false;
    return dlp_id_digits(x, at, 6) &&
           dlp_id_date(dlp_id_two(x, at), dlp_id_two(x, at + 2), dlp_id_two(x, at + 4));
}

static bool do_cedula(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 11);
}

static bool do_rnc(const struct dlp_id *x)
{
    static const signed char w[8] = {7, 9, 8, 6, 5, 4, 3, 2};
    int c = dlp_weigh(x->d, w, 8) % 11;

    return (c == 0 ? 2 : c == 1 ? 1 : 11 - c) == x->d[8];
}

/* ---- South America ----------------------------------------------------------------------------- */

/* 11 - sum mod 11, with ten and eleven as nought. */
static int mod11_check(int sum)
{
    int c = 11 - sum % 11;

    return c > 9 ? 0 : c;
}

static bool br_cpf(const struct dlp_id *x)
{
    static const signed char w[10] = {11, 10, 9, 8, 7, 6, 5, 4, 3, 2};

    return mod11_check(dlp_weigh(x->d, w + 1, 9)) == x->d[9] &&
           mod11_check(dlp_weigh(x->d, w, 10)) == x->d[10];
}

/* From July 2026 on the first twelve may be letters, too, which count as their ASCII code less that of 0 (Receita Federal,
 * Instrucao Normativa 2229/2024). */
static bool br_cnpj(const struct dlp_id *whole)
{
    static const signed char w[13] = {6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2};
    const struct dlp_id x = dlp_id_behind(whole, "BR");
    int first = 0, second = 0;

    if (x.n != 14 || !dlp_id_digits(&x, 12, 2) || memcmp(x.s, "00000000", 8) == 0)
        return false;
    for (size_t i = 0; i < 13; i++) {
        int value = x.s[i] - '0';

        first += i < 12 ? value * w[i + 1] : 0;
        second += value * w[i];
    }
    return mod11_check(first) == x.d[12] && mod11_check(second) == x.d[13];
}

static bool ar_cuit(const struct dlp_id *x)
{
    static const signed char w[10] = {5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
    int kind = dlp_id_two(x, 0);
    int c = (11 - dlp_weigh(x->d, w, 10) % 11) % 11;

    return (kind == 20 || (kind >= 23 && kind <= 27) || kind == 30 || kind == 33 || kind == 34 ||
            kind == 50 || kind == 51 || kind == 55) &&
           (c == 10 ? 9 : c) == x->d[10];
}

/* Bank account: two blocks, weights 7 1 3 9 from the left. */
static bool ar_cbu(const struct dlp_id *x)
{
    static const signed char w1[7] = {7, 1, 3, 9, 7, 1, 3};
    static const signed char w2[13] = {3, 9, 7, 1, 3, 9, 7, 1, 3, 9, 7, 1, 3};

    return (10 - dlp_weigh(x->d, w1, 7) % 10) % 10 == x->d[7] &&
           (10 - dlp_weigh(x->d + 8, w2, 13) % 10) % 10 == x->d[21];
}

/* CLABE: bank and place, account, check digit; each weighted digit counts for its last one. */
static bool mx_clabe(const struct dlp_id *x)
{
    static const unsigned char w[3] = {3, 7, 1};
    unsigned sum = 0;

    for (size_t i = 0; i < 17; i++)
        sum += x->d[i] * w[i % 3] % 10u;
    return (10 - sum % 10) % 10 == x->d[17];
}

/* RUT: weights 2 to 7 from the right; ten is K. */
static bool cl_rut(const struct dlp_id *x)
{
    int sum = 0;
    int c;

    if (!dlp_id_digits(x, 0, x->n - 1) || x->d[0] == 0)
        return false;
    for (size_t i = 0; i + 1 < x->n; i++)
        sum += x->d[x->n - 2 - i] * (2 + (int)(i % 6));
    c = (11 - sum % 11) % 11;
    return x->s[x->n - 1] == (c == 10 ? 'K' : (char)('0' + c));
}

/* Social security number: office, year of entry, year of birth, serial, Luhn. */
static bool mx_nss(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 11);
}

static bool co_nit(const struct dlp_id *x)
{
    static const signed char w[15] = {3, 7, 13, 17, 19, 23, 29, 37, 41, 43, 47, 53, 59, 67, 71};
    int sum = 0;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += x->d[x->n - 2 - i] * w[i];
    sum %= 11;
    return (sum > 1 ? 11 - sum : sum) == x->d[x->n - 1];
}

static bool pe_ruc(const struct dlp_id *x)
{
    static const signed char w[10] = {5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
    int kind = dlp_id_two(x, 0);

    return (kind == 10 || (kind >= 15 && kind <= 17) || kind == 20) &&
           (11 - dlp_weigh(x->d, w, 10) % 11) % 10 == x->d[10];
}

static bool ec_province(const struct dlp_id *x)
{
    int p = dlp_id_two(x, 0);

    return (p >= 1 && p <= 24) || p == 30 || p == 50;
}

static bool ec_cedula(const struct dlp_id *x)
{
    return ec_province(x) && x->d[2] < 6 && dlp_luhn_ok(x->d, 10);
}

/* RUC: a person's cedula, a public body (third digit 6) or a company (9), and a branch. */
static bool ec_ruc(const struct dlp_id *x)
{
    static const signed char w9[10] = {4, 3, 2, 7, 6, 5, 4, 3, 2, 1};
    static const signed char w6[9] = {3, 2, 7, 6, 5, 4, 3, 2, 1};

    if (!ec_province(x) || dlp_id_number(x, 10, 3) == 0)
        return false;
    if (x->d[2] < 6)
        return dlp_luhn_ok(x->d, 10);
    if (x->d[2] == 6)
        return dlp_weigh(x->d, w6, 9) % 11 == 0;
    return x->d[2] == 9 && dlp_weigh(x->d, w9, 10) % 11 == 0;
}

static bool uy_rut(const struct dlp_id *x)
{
    static const signed char w[11] = {4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2};

    return (11 - dlp_weigh(x->d, w, 11) % 11) % 11 == x->d[11] && dlp_id_two(x, 0) >= 1 &&
           dlp_id_two(x, 0) <= 22;
}

const struct dlp_id_scheme dlp_ids_americas[] = {
    {"us_ssn", DLP_ID_WEAK, 9, 9, true, us_ssn},
    {"us_itin", DLP_ID_WEAK, 9, 9, true, us_itin},
    {"us_ein", DLP_ID_WEAK, 9, 9, true, us_ein},
    {"ca_sin", DLP_ID_PERSON, 9, 9, true, ca_sin},
    {"ca_bc_phn", DLP_ID_PERSON, 10, 10, true, ca_bc_phn},
    {"mx_curp", DLP_ID_PERSON, 18, 18, false, mx_curp},
    {"mx_rfc", DLP_ID_COMPANY, 12, 13, false, mx_rfc},
    {"mx_nss", DLP_ID_PERSON, 11, 11, true, mx_nss},
    {"do_cedula", DLP_ID_PERSON, 11, 11, true, do_cedula},
    {"do_rnc", DLP_ID_COMPANY, 9, 9, true, do_rnc},
    {"br_cpf", DLP_ID_PERSON, 11, 11, true, br_cpf},
    {"br_cnpj", DLP_ID_COMPANY, 14, 16, false, br_cnpj},
    {"ar_cuit", DLP_ID_PERSON, 11, 11, true, ar_cuit},
    {"ar_cbu", DLP_ID_BANK, 22, 22, true, ar_cbu},
    {"mx_clabe", DLP_ID_BANK, 18, 18, true, mx_clabe},
    {"cl_rut", DLP_ID_PERSON, 8, 9, false, cl_rut},
    {"co_nit", DLP_ID_COMPANY, 8, 16, true, co_nit},
    {"pe_ruc", DLP_ID_PERSON, 11, 11, true, pe_ruc},
    {"ec_cedula", DLP_ID_PERSON, 10, 10, true, ec_cedula},
    {"ec_ruc", DLP_ID_COMPANY, 13, 13, true, ec_ruc},
    {"uy_rut", DLP_ID_COMPANY, 12, 12, true, uy_rut},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
