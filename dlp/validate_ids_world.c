/* dlp/validate_ids_world.c - more identifiers of persons and companies: what the files by region leave out.
 *
 * Each function states the rule its authority publishes. No state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- Europe ------------------------------------------------------------------------------------ */

/* Student number of the Netherlands: the eleven test leaves five. */
static bool nl_onderwijsnummer(const struct dlp_id *x)
{
    static const signed char w[9] = {9, 8, 7, 6, 5, 4, 3, 2, -1};

    return memcmp(x->s, "10", 2) == 0 && (dlp_weigh(x->d, w, 9) + 11) % 11 == 5;
}

/* Unique pupil number: a check letter in front of twelve characters. */
static bool gb_upn(const struct dlp_id *x)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRTUVWXYZ";
    int sum = 0;

    if (!dlp_id_digits(x, 1, 11))
        return false;
    for (size_t i = 1; i < 13; i++) {
        int v = i < 12 || dlp_is_digit(x->s[i]) ? x->d[i] : dlp_id_index(letters, x->s[i]);

        if (v < 0)
            return false;
        sum += v * (int)(i + 1);
    }
    return x->s[0] == letters[sum % 23];
}

/* Medicine number of Italy: nine digits, every second one doubled and crossed. */
static bool it_aic(const struct dlp_id *x)
{
    int sum = 0;

    for (size_t i = 0; i < 8; i++)
        sum += i % 2 == 1 ? x->d[i] * 2 / 10 + x->d[i] * 2 % 10 : x->d[i];
    return x->d[0] == 0 && sum % 10 == x->d[8];
}

/* Account of Spain: bank, branch, two check digits, number. */
static bool es_ccc(const struct dlp_id *x)
{
    static const signed char w[10] = {1, 2, 4, 8, 5, 10, 9, 7, 3, 6};
    int c[2] = {0, 0};

    c[0] = 11 - dlp_weigh(x->d, w + 2, 8) % 11;
    c[1] = 11 - dlp_weigh(x->d + 10, w, 10) % 11;
    for (size_t i = 0; i < 2; i++)
        c[i] = c[i] == 11 ? 0 : c[i] == 10 ? 1 : c[i];
    return c[0] == x->d[8] && c[1] == x->d[9];
}

/* Activity code of those who trade in excise goods in Spain: no check digit, but a telling form. */
static bool es_cae(const struct dlp_id *x)
{
    int office;

    if (memcmp(x->s, "ES000", 5) != 0 || !dlp_id_digits(x, 5, 2) || !dlp_id_digits(x, 9, 3) ||
        dlp_is_digit(x->s[7]) || dlp_is_digit(x->s[12]))
        return false;
    office = dlp_id_two(x, 5);
    return office <= 56 && dlp_id_number(x, 9, 3) > 0;
}

/* Point of supply of Spain: sixteen digits, two letters mod 529, perhaps a number and a kind. */
static bool es_cups(const struct dlp_id *x)
{
    static const char letters[] = "TRWAGMYFPDXBNJZSQVHLCKE";
    unsigned v;

    if (memcmp(x->s, "ES", 2) != 0 || !dlp_id_digits(x, 2, 16) || (x->n != 20 && x->n != 22))
        return false;
    v = (unsigned)(dlp_id_number(x, 2, 16) % 529);
    return x->s[18] == letters[v / 23] && x->s[19] == letters[v % 23];
}

/* Land register reference of Spain: two check letters, each over seven characters and the four of the unit. */
static bool es_catastro(const struct dlp_id *x)
{
    static const signed char w[11] = {13, 15, 12, 5, 4, 17, 9, 21, 3, 7, 1};

    for (size_t half = 0; half < 2; half++) {
        int sum = 0;

        for (size_t i = 0; i < 11; i++) {
            size_t at = i < 7 ? half * 7 + i : 14 + i - 7;
            int v = dlp_is_digit(x->s[at]) ? x->d[at] : x->s[at] - 'A' + 1;

            sum += (v > 14 && !dlp_is_digit(x->s[at]) ? v + 1 : v) * w[i]; /* Ñ is the fifteenth */
        }
        if (x->s[18 + half] != "MQWERTYUIOPASDFGHJKLBZX"[sum % 23])
            return false;
    }
    return true;
}

/* Tax register of Andorra: six digits between letters. */
static bool ad_nrt(const struct dlp_id *x)
{
    return strchr("ACDEFGLOPU", x->s[0]) != NULL && dlp_id_digits(x, 1, 6) &&
           !dlp_is_digit(x->s[7]);
}

/* Payment reference of Switzerland: a running table, mod 10. */
static bool ch_esr(const struct dlp_id *x)
{
    unsigned c = 0;

    for (size_t i = 0; i + 1 < x->n; i++)
        c = (unsigned)("0946827135"[(c + x->d[i]) % 10] - '0');
    return (10 - c) % 10 == x->d[x->n - 1];
}

/* Structured payment reference of Belgium: mod 97, a zero written 97. */
static bool be_ogm(const struct dlp_id *x)
{
    unsigned v = (unsigned)(dlp_id_number(x, 0, 10) % 97);

    return (v == 0 ? 97u : v) == (unsigned)dlp_id_two(x, 10);
}

/* Tax number of Turkey: each digit shifted by its place and multiplied by a power of two. */
static bool tr_vkn(const struct dlp_id *x)
{
    int sum = 0;

    for (int i = 0; i < 9; i++) {
        int v = (x->d[i] + 9 - i) % 10;

        if (v != 0) {
            v = (v << (9 - i)) % 9;
            v = v == 0 ? 9 : v;
        }
        sum += v;
    }
    return (10 - sum % 10) % 10 == x->d[9];
}

/* ---- the Americas ------------------------------------------------------------------------------ */

/* Business number of Canada: Luhn, perhaps with a programme (RT0001). */
static bool ca_bn(const struct dlp_id *x)
{
    if (!dlp_id_digits(x, 0, 9) || !dlp_luhn_ok(x->d, 9))
        return false;
    return x->n == 9 || (x->n == 15 && x->s[9] == 'R' && strchr("CMPT", x->s[10]) != NULL &&
                         dlp_id_digits(x, 11, 4));
}

/* Guatemala: weights from 2 upwards from the right; ten is K. */
static bool gt_nit(const struct dlp_id *x)
{
    int sum = 0;
    int c;

    if (!dlp_id_digits(x, 0, x->n - 1) || x->d[0] == 0)
        return false;
    for (size_t i = 0; i + 1 < x->n; i++)
        sum += x->d[x->n - 2 - i] * (int)(i + 2);
    c = (11 - sum % 11) % 11;
    return x->s[x->n - 1] == (c == 10 ? 'K' : (char)('0' + c));
}

/* Paraguay: the same with ten as 0. */
static bool py_ruc(const struct dlp_id *x)
{
    int sum = 0;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += x->d[x->n - 2 - i] * (int)(i + 2);
    return x->d[0] != 0 && (11 - sum % 11) % 11 % 10 == x->d[x->n - 1];
}

/* Identity card of Peru: eight digits and a digit or a letter. */
static bool pe_cui(const struct dlp_id *x)
{
    static const signed char w[8] = {3, 2, 7, 6, 5, 4, 3, 2};
    int r;

    if (!dlp_id_digits(x, 0, 8))
        return false;
    r = dlp_weigh(x->d, w, 8) % 11;
    return x->s[8] == "65432110987"[r] || x->s[8] == "KJIHGFEDCBA"[r];
}

/* El Salvador: one row of weights for the old numbers, another from serial 100 on. */
static bool sv_nit(const struct dlp_id *x)
{
    static const signed char old_w[13] = {14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2};
    static const signed char new_w[13] = {2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2};

    if (strchr("019", x->s[0]) == NULL)
        return false;
    if (dlp_id_number(x, 10, 3) <= 100)
        return dlp_weigh(x->d, old_w, 13) % 11 % 10 == x->d[13];
    return (11 - dlp_weigh(x->d, new_w, 13) % 11) % 11 % 10 == x->d[13];
}

/* Venezuela: the kind counts 4, 8, 12, 16 or 20. */
static bool ve_rif(const struct dlp_id *x)
{
    static const signed char w[8] = {3, 2, 7, 6, 5, 4, 3, 2};
    int kind = dlp_id_index("VEJPG", x->s[0]) + 1;

    if (x->s[0] == 'C') /* communes */
        kind = 3;
    return kind > 0 && dlp_id_digits(x, 1, 9) &&
           "00987654321"[(kind * 4 + dlp_weigh(x->d + 1, w, 8)) % 11] == x->s[9];
}

/* Preparer number of the IRS: no check digit. */
static bool us_ptin(const struct dlp_id *x)
{
    return x->s[0] == 'P' && dlp_id_digits(x, 1, 8);
}

/* Adoption number of the IRS: 9xx-93-xxxx. */
static bool us_atin(const struct dlp_id *x)
{
    return x->d[0] == 9 && dlp_id_two(x, 3) == 93;
}

/* Identity number of Cuba: a date and the century. */
static bool cu_ni(const struct dlp_id *x)
{
    int century = x->d[6] == 9 ? 1800 : x->d[6] <= 5 ? 1900 : 2000;

    return dlp_date_ok(century + dlp_id_two(x, 0), dlp_id_two(x, 2), dlp_id_two(x, 4));
}

/* Costa Rica: an organisation's number says its class. */
static bool cr_cpj(const struct dlp_id *x)
{
    int group = (int)dlp_id_number(x, 1, 3);

    return (x->d[0] == 2 && group <= 400 && group >= 100) ||
           (x->d[0] == 3 && group >= 2 && group <= 130) || (x->d[0] == 4 && group == 0) ||
           (x->d[0] == 5 && group == 1);
}

/* Foreigners in Costa Rica: eleven or twelve digits that begin with 1. */
static bool cr_cr(const struct dlp_id *x)
{
    return x->d[0] == 1;
}

/* ---- Asia, Pacific ----------------------------------------------------------------------------- */

/* Virtual number of Aadhaar. */
static bool in_vid(const struct dlp_id *x)
{
    return x->d[0] >= 2 && dlp_verhoeff_ok(x->d, 16);
}

/* Voter's card: three letters and seven digits with Luhn. */
static bool in_epic(const struct dlp_id *x)
{
    for (size_t i = 0; i < 3; i++)
        if (dlp_is_digit(x->s[i]))
            return false;
    return dlp_id_digits(x, 3, 7) && dlp_luhn_ok(x->d + 3, 7);
}

/* Company number of Israel: Luhn, begins with 5. */
static bool il_hp(const struct dlp_id *x)
{
    return x->d[0] == 5 && dlp_luhn_ok(x->d, 9);
}

/* Identity number of Israel with its leading zeros left away. */
static bool il_short(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, x->n);
}

/* Unique entity number of Singapore: businesses, local companies, other bodies. */
static bool sg_uen(const struct dlp_id *x)
{
    static const signed char business[8] = {10, 4, 9, 3, 8, 2, 7, 1};
    static const signed char company[9] = {10, 8, 6, 4, 9, 7, 5, 3, 1};
    static const signed char other[9] = {4, 3, 5, 3, 10, 2, 2, 5, 7};
    static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWX0123456789";
    int sum = 0;

    if (x->n == 9)
        return dlp_id_digits(x, 0, 8) &&
               x->s[8] == "XMKECAWLJDB"[dlp_weigh(x->d, business, 8) % 11];
    if (dlp_id_digits(x, 0, 9))
        return dlp_id_number(x, 0, 4) > 1800 && dlp_id_number(x, 0, 4) < 2100 &&
               x->s[9] == "ZKCMDNERGWH"[dlp_weigh(x->d, company, 9) % 11];
    if (strchr("RST", x->s[0]) == NULL || !dlp_id_digits(x, 1, 2) || !dlp_id_digits(x, 5, 4))
        return false;
    for (size_t i = 0; i < 9; i++) {
        int v = dlp_id_index(alphabet, x->s[i]);

        if (v < 0)
            return false;
        sum += v * other[i];
    }
    return x->s[9] == alphabet[(sum - 5 + 11) % 11];
}

static bool vn_mst(const struct dlp_id *x)
{
    static const signed char w[9] = {31, 29, 23, 19, 17, 13, 7, 5, 3};

    return (x->n == 10 || x->n == 13) && 10 - dlp_weigh(x->d, w, 9) % 11 == x->d[9];
}

/* Identity card of Pakistan: province, locality, family, and the sex in the last digit. */
static bool pk_cnic(const struct dlp_id *x)
{
    return x->d[0] >= 1 && x->d[0] <= 7 && x->d[12] != 0;
}

/* ---- Africa ------------------------------------------------------------------------------------ */

static bool ma_ice(const struct dlp_id *x)
{
    return dlp_mod97(x->s, 15) == 0;
}

static bool mz_nuit(const struct dlp_id *x)
{
    static const signed char w[8] = {8, 9, 4, 5, 6, 7, 8, 9};

    return "01234567891"[dlp_weigh(x->d, w, 8) % 11] == x->s[8];
}

static bool gn_nifp(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 9);
}

/* Mauritius: a letter, the birth date, serial, and a character mod 17. */
static bool mu_nid(const struct dlp_id *x)
{
    int sum = 0;

    if (dlp_is_digit(x->s[0]) || !dlp_id_digits(x, 1, 12) ||
        !dlp_id_date(dlp_id_two(x, 5), dlp_id_two(x, 3), dlp_id_two(x, 1)))
        return false;
    for (size_t i = 0; i < 13; i++)
        sum += dlp_id_base36(x, i) * (int)(14 - i);
    return dlp_id_base36(x, 13) == (17 - sum % 17) % 17;
}

/* Senegal: seven or nine digits and three characters of the tax office. */
static bool sn_ninea(const struct dlp_id *x)
{
    static const signed char w[9] = {1, 2, 1, 2, 1, 2, 1, 2, 1};
    size_t n = x->n > 9 ? x->n - 3 : x->n;

    if ((n != 7 && n != 9) || !dlp_id_digits(x, 0, n))
        return false;
    if (x->n > n &&
        (!dlp_is_digit(x->s[n]) || dlp_is_digit(x->s[n + 1]) || !dlp_is_digit(x->s[n + 2])))
        return false;
    return dlp_weigh(x->d, w, n) % 10 == 0;
}

/* Tunisia: seven digits and a key letter, then perhaps the VAT code, the kind and the office. */
static bool tn_mf(const struct dlp_id *x)
{
    if (!dlp_id_digits(x, 0, 7) || strchr("ABCDEFGHJKLMNPQRSTVWXYZ", x->s[7]) == NULL)
        return false;
    if (x->n == 8)
        return true;
    return x->n == 13 && strchr("ABDNP", x->s[8]) != NULL && strchr("CEMNP", x->s[9]) != NULL &&
           dlp_id_digits(x, 10, 3);
}

static bool za_tin(const struct dlp_id *x)
{
    return strchr("01239", x->s[0]) != NULL && dlp_luhn_ok(x->d, 10);
}

const struct dlp_id_scheme dlp_ids_world[] = {
    {"nl_onderwijsnummer", DLP_ID_PERSON, 9, 9, true, nl_onderwijsnummer},
    {"gb_upn", DLP_ID_PERSON, 13, 13, false, gb_upn},
    {"it_aic", DLP_ID_CODE, 9, 9, true, it_aic},
    {"es_ccc", DLP_ID_BANK, 20, 20, true, es_ccc},
    {"es_cae", DLP_ID_COMPANY, 13, 13, false, es_cae},
    {"es_cups", DLP_ID_PERSON, 20, 22, false, es_cups},
    {"es_catastro", DLP_ID_PERSON, 20, 20, false, es_catastro},
    {"ad_nrt", DLP_ID_PERSON, 8, 8, false, ad_nrt},
    {"ch_esr", DLP_ID_BANK, 27, 27, true, ch_esr},
    {"be_ogm", DLP_ID_BANK, 12, 12, true, be_ogm},
    {"tr_vkn", DLP_ID_COMPANY, 10, 10, true, tr_vkn},
    {"ca_bn", DLP_ID_COMPANY, 9, 15, false, ca_bn},
    {"gt_nit", DLP_ID_PERSON, 7, 9, false, gt_nit},
    {"py_ruc", DLP_ID_PERSON, 6, 9, true, py_ruc},
    {"pe_cui", DLP_ID_PERSON, 9, 9, false, pe_cui},
    {"sv_nit", DLP_ID_PERSON, 14, 14, true, sv_nit},
    {"ve_rif", DLP_ID_PERSON, 10, 10, false, ve_rif},
    {"us_ptin", DLP_ID_PERSON, 9, 9, false, us_ptin},
    {"us_atin", DLP_ID_WEAK, 9, 9, true, us_atin},
    {"cu_ni", DLP_ID_WEAK, 11, 11, true, cu_ni},
    {"cr_cpj", DLP_ID_WEAK, 10, 10, true, cr_cpj},
    {"cr_cr", DLP_ID_WEAK, 11, 12, true, cr_cr},
    {"in_vid", DLP_ID_PERSON, 16, 16, true, in_vid},
    {"in_epic", DLP_ID_PERSON, 10, 10, false, in_epic},
    {"il_hp", DLP_ID_COMPANY, 9, 9, true, il_hp},
    {"il_short", DLP_ID_PERSON, 8, 8, true, il_short},
    {"sg_uen", DLP_ID_COMPANY, 9, 10, false, sg_uen},
    {"vn_mst", DLP_ID_COMPANY, 10, 13, true, vn_mst},
    {"pk_cnic", DLP_ID_WEAK, 13, 13, true, pk_cnic},
    {"ma_ice", DLP_ID_COMPANY, 15, 15, true, ma_ice},
    {"mz_nuit", DLP_ID_PERSON, 9, 9, true, mz_nuit},
    {"gn_nifp", DLP_ID_PERSON, 9, 9, true, gn_nifp},
    {"mu_nid", DLP_ID_PERSON, 14, 14, false, mu_nid},
    {"sn_ninea", DLP_ID_COMPANY, 7, 12, false, sn_ninea},
    {"tn_mf", DLP_ID_COMPANY, 8, 13, false, tn_mf},
    {"za_tin", DLP_ID_PERSON, 10, 10, true, za_tin},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
