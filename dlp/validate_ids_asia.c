/* dlp/validate_ids_asia.c - identifiers of persons and companies in Asia, the Pacific and Africa.
 *
 * Each function states the rule its authority publishes; the weights are those of the authority. No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_ids.h"

/* ---- India ------------------------------------------------------------------------------------- */

/* Aadhaar: Verhoeff, does not begin with 0 or 1, is no palindrome. */
static bool in_aadhaar(const struct dlp_id *x)
{
    bool palindrome = true;

    for (size_t i = 0; i < 6; i++)
        palindrome = palindrome && x->d[i] == x->d[11 - i];
    return x->d[0] >= 2 && !palindrome && dlp_verhoeff_ok(x->d, 12);
}

/* PAN: the fourth letter is the kind of holder. */
static bool in_pan(const struct dlp_id *x)
{
    for (size_t i = 0; i < 5; i++)
        if (dlp_is_digit(x->s[i]))
            return false;
    return strchr("ABCFGHJKLPT", x->s[3]) != NULL && dlp_id_digits(x, 5, 4) &&
           dlp_id_number(x, 5, 4) != 0 && !dlp_is_digit(x->s[9]);
}

/* GSTIN: state, PAN, entity, Z, and a Luhn digit in base 36. */
static bool in_gstin(const struct dlp_id *x)
{
    int state = dlp_id_two(x, 0);
    int sum = 0;

    if (!dlp_id_digits(x, 0, 2) || state < 1 || (state > 38 && state != 97 && state != 99) ||
        !dlp_id_digits(x, 7, 4))
        return false;
    for (size_t i = 0; i < 15; i++) {
        int v = dlp_id_base36(x, i) * (i % 2 == 1 ? 2 : 1);

        sum += i == 14 ? v : v / 36 + v % 36;
    }
    return sum % 36 == 0;
}

/* ---- China, Taiwan, Hong Kong ------------------------------------------------------------------ */

/* Resident identity: region, date, serial, ISO 7064 mod 11-2. */
static bool cn_id(const struct dlp_id *x)
{
    int c = 0;

    if (!dlp_id_digits(x, 0, 17) ||
        !dlp_date_ok((int)dlp_id_number(x, 6, 4), dlp_id_two(x, 10), dlp_id_two(x, 12)) ||
        dlp_id_number(x, 6, 4) < 1850 || dlp_id_number(x, 6, 4) > 2100)
        return false;
    for (size_t i = 0; i < 17; i++)
        c = (c + x->d[i]) * 2 % 11;
    c = (12 - c) % 11;
    return x->s[17] == (c == 10 ? 'X' : (char)('0' + c));
}

/* Unified social credit code: 31 characters, weights 3^i mod 31. */
static bool cn_uscc(const struct dlp_id *x)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    int w = 1;
    int sum = 0;

    if (!dlp_id_digits(x, 2, 6))
        return false;
    for (size_t i = 0; i < 18; i++) {
        const char *at = strchr(alphabet, x->s[i]);

        if (at == NULL)
            return false;
        sum += (int)(at - alphabet) * (i == 17 ? 1 : w);
        w = w * 3 % 31;
    }
    return sum % 31 == 0;
}

/* A letter (a place) as two digits, nine digits, weights 1 9 8 ... 1 1, mod 10. */
static bool tw_id(const struct dlp_id *x)
{
    static const signed char place[26] = {10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21,
                                          22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33};
    int sum;

    if (dlp_is_digit(x->s[0]) || !dlp_id_digits(x, 1, 9) || x->d[1] == 0 ||
        (x->d[1] > 2 && x->d[1] < 8))
        return false;
    sum = place[x->s[0] - 'A'] / 10 + place[x->s[0] - 'A'] % 10 * 9 + x->d[9];
    for (size_t i = 1; i <= 8; i++)
        sum += x->d[i] * (9 - (int)i);
    return sum % 10 == 0;
}

/* Company number: cross sums of weights 1 2 1 2 1 2 4 1 divide by 5; a 7 as seventh digit counts 0 or 1. */
static bool tw_ubn(const struct dlp_id *x)
{
    static const int w[8] = {1, 2, 1, 2, 1, 2, 4, 1};
    int sum = 0;

    for (size_t i = 0; i < 8; i++)
        sum += x->d[i] * w[i] / 10 + x->d[i] * w[i] % 10;
    return sum % 5 == 0 || (x->d[6] == 7 && (sum + 1) % 5 == 0);
}

/* One or two letters, six digits, a check of 0 to 9 or A; weights 9 to 2, a missing letter is 36. */
static bool hk_id(const struct dlp_id *x)
{
    size_t letters = x->n - 7;
    int sum = letters == 1 ? 36 * 9 : (x->s[0] - 'A' + 10) * 9;

    if (dlp_is_digit(x->s[0]) || dlp_is_digit(x->s[letters - 1]) || !dlp_id_digits(x, letters, 6))
        return false;
    sum += (x->s[letters - 1] - 'A' + 10) * 8;
    for (size_t i = 0; i < 6; i++)
        sum += x->d[letters + i] * (7 - (int)i);
    sum = (11 - sum % 11) % 11;
    return x->s[x->n - 1] == (sum == 10 ? 'A' : (char)('0' + sum));
}

/* ---- Japan, Korea ------------------------------------------------------------------------------ */

static bool jp_mynumber(const struct dlp_id *x)
{
    static const signed char w[11] = {6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2};
    int r = dlp_weigh(x->d, w, 11) % 11;

    return (r <= 1 ? 0 : 11 - r) == x->d[11];
}

static bool jp_corporate(const struct dlp_id *x)
{
    static const signed char w[12] = {2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1};

    return 9 - dlp_weigh(x->d + 1, w, 12) % 9 == x->d[0];
}

/* Resident registration number: date, century and sex, place. Numbers given since October 2020 are drawn by lot and
 * have no check digit, which a birth before then tells apart (for all but those who changed theirs). */
static int kr_year(const struct dlp_id *x)
{
    static const short century[10] = {1800, 1900, 1900, 2000, 2000, 1900, 1900, 2000, 2000, 1800};

    return century[x->d[6]] + dlp_id_two(x, 0);
}

/* Who registered since then, of whatever age, has what follows the century by lot. */
static bool kr_rrn_lot(const struct dlp_id *x)
{
    return dlp_date_ok(kr_year(x), dlp_id_two(x, 2), dlp_id_two(x, 4));
}

static bool kr_rrn(const struct dlp_id *x)
{
    static const signed char w[12] = {2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5};
    bool foreign = x->d[6] >= 5 && x->d[6] <= 8; /* their check is two more */
    int year = kr_year(x), rest = dlp_weigh(x->d, w, 12) % 11;

    if (!kr_rrn_lot(x))
        return false;
    if (year > 2020 || (year == 2020 && dlp_id_two(x, 2) >= 10))
        return true;
    return (11 - rest) % 10 == x->d[12] || (foreign && (13 - rest) % 10 == x->d[12]);
}

static bool kr_brn(const struct dlp_id *x)
{
    static const signed char w[9] = {1, 3, 7, 1, 3, 7, 1, 3, 5};
    int sum = dlp_weigh(x->d, w, 9) + x->d[8] * 5 / 10;

    return (10 - sum % 10) % 10 == x->d[9] && dlp_id_number(x, 0, 3) > 100;
}

/* ---- Southeast Asia ---------------------------------------------------------------------------- */

static bool sg_nric(const struct dlp_id *x)
{
    static const signed char w[7] = {2, 7, 6, 5, 4, 3, 2};
    int sum;

    if (strchr("STFGM", x->s[0]) == NULL || !dlp_id_digits(x, 1, 7) || dlp_is_digit(x->s[8]))
        return false;
    sum = dlp_weigh(x->d + 1, w, 7);
    switch (x->s[0]) {
    case 'S':
        return x->s[8] == "JZIHGFEDCBA"[sum % 11];
    case 'T':
        return x->s[8] == "JZIHGFEDCBA"[(sum + 4) % 11];
    case 'F':
        return x->s[8] == "XWUTRQPNMLK"[sum % 11];
    case 'G':
        return x->s[8] == "XWUTRQPNMLK"[(sum + 4) % 11];
    default:
        return x->s[8] == "XWUTRQPNJLK"[(sum + 3) % 11];
    }
}

/* People have 1 to 8 in front, foreigners 0, which companies have too. */
static bool th_id(const struct dlp_id *x)
{
    static const signed char w[12] = {13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2};

    return x->d[0] != 9 && (11 - dlp_weigh(x->d, w, 12) % 11) % 10 == x->d[12];
}

/* Malaysia: a date and a place of birth. */
static bool my_nric(const struct dlp_id *x)
{
    int place = dlp_id_two(x, 6);

    return dlp_id_date(dlp_id_two(x, 0), dlp_id_two(x, 2), dlp_id_two(x, 4)) && place >= 1 &&
           place != 17 && place != 18 && place != 19 && place != 20;
}

/* Indonesia: province, a date (day + 40 for women), serial. */
static bool id_nik(const struct dlp_id *x)
{
    int day = dlp_id_two(x, 6);

    return dlp_id_two(x, 0) >= 11 && dlp_id_two(x, 0) <= 96 && dlp_id_number(x, 12, 4) != 0 &&
           dlp_id_date(dlp_id_two(x, 10), dlp_id_two(x, 8), day > 40 ? day - 40 : day);
}

static bool id_npwp(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 9);
}

/* ---- Australia, New Zealand -------------------------------------------------------------------- */

static bool au_tfn(const struct dlp_id *x)
{
    static const signed char w[9] = {1, 4, 3, 7, 5, 8, 6, 9, 10};

    return dlp_weigh(x->d, w, 9) % 11 == 0;
}

static bool au_medicare(const struct dlp_id *x)
{
    static const signed char w[8] = {1, 3, 7, 9, 1, 3, 7, 9};

    return x->d[0] >= 2 && x->d[0] <= 6 && dlp_weigh(x->d, w, 8) % 10 == x->d[8];
}

static bool au_abn(const struct dlp_id *x)
{
    static const signed char w[11] = {10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19};

    return x->d[0] > 0 && (dlp_weigh(x->d, w, 11) - 10) % 89 == 0;
}

static bool au_acn(const struct dlp_id *x)
{
    static const signed char w[8] = {8, 7, 6, 5, 4, 3, 2, 1};

    return (10 - dlp_weigh(x->d, w, 8) % 10) % 10 == x->d[8];
}

static bool nz_ird(const struct dlp_id *x)
{
    static const signed char w1[8] = {3, 2, 7, 6, 5, 4, 3, 2};
    static const signed char w2[8] = {7, 4, 3, 2, 5, 2, 7, 6};
    unsigned long long v = dlp_id_number(x, 0, x->n);
    unsigned char d[9] = {0};
    int c;

    memcpy(d + (9 - x->n), x->d, x->n);
    if (v < 10000000 || v > 200000000)
        return false;
    c = (11 - dlp_weigh(d, w1, 8) % 11) % 11;
    if (c == 10)
        c = (11 - dlp_weigh(d, w2, 8) % 11) % 11;
    return c == d[8];
}

/* National health index: three letters without I and O, digits, mod 11 (the form of 1970 to 2026); since then two digits and two
 * letters follow, mod 24. */
static bool nz_nhi(const struct dlp_id *x)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    bool old = dlp_is_digit(x->s[6]);
    int sum = 0;

    for (size_t i = 0; i < 6; i++) {
        bool letter = i < 3 || (i == 5 && !old);
        int v = letter ? dlp_id_index(letters, x->s[i]) + 1 : x->d[i];

        if (letter && v == 0)
            return false;
        sum += v * (7 - (int)i);
    }
    if (!dlp_id_digits(x, 3, old ? 4 : 2))
        return false;
    return old ? sum % 11 != 0 && (11 - sum % 11) % 10 == x->d[6]
               : letters[23 - sum % 24] == x->s[6];
}

/* ---- Israel, South Africa, and others ---------------------------------------------------------- */

static bool il_id(const struct dlp_id *x)
{
    return dlp_luhn_ok(x->d, 9);
}

static bool za_id(const struct dlp_id *x)
{
    return dlp_id_date(dlp_id_two(x, 0), dlp_id_two(x, 2), dlp_id_two(x, 4)) && x->d[10] <= 2 &&
           dlp_luhn_ok(x->d, 13);
}

static bool eg_id(const struct dlp_id *x)
{
    return (x->d[0] == 2 || x->d[0] == 3) && dlp_id_two(x, 7) <= 35 + 53 &&
           dlp_date_ok(1700 + x->d[0] * 100 + dlp_id_two(x, 1), dlp_id_two(x, 3), dlp_id_two(x, 5));
}

/* Iranian national code: weights 10 to 2; a remainder by 11 below two is the check, of others what is left of 11. */
static bool ir_id(const struct dlp_id *x)
{
    static const signed char w[9] = {10, 9, 8, 7, 6, 5, 4, 3, 2};
    int r = dlp_weigh(x->d, w, 9) % 11;

    return (r < 2 ? r : 11 - r) == x->d[9];
}

/* Sri Lankan identity card: the year and day of birth (women's days + 500), and a serial; until 2015 two digits of
 * the year and a letter, V or X. */
static bool lk_nic(const struct dlp_id *x)
{
    size_t at = x->n == 12 ? 4 : 2;
    int day = (int)dlp_id_number(x, at, 3) % 500;

    if (day < 1 || day > 366 || dlp_id_number(x, at, 3) > 866)
        return false;
    if (x->n == 12)
        return x->digits && (dlp_id_two(x, 0) == 19 || dlp_id_two(x, 0) == 20);
    return x->n == 10 && x->d[0] != 0 && dlp_id_digits(x, 0, 9) &&
           (x->s[9] == 'V' || x->s[9] == 'X');
}

static bool ke_pin(const struct dlp_id *x)
{
    return (x->s[0] == 'A' || x->s[0] == 'P') && dlp_id_digits(x, 1, 9) && !dlp_is_digit(x->s[10]);
}

static bool gh_tin(const struct dlp_id *x)
{
    int sum = 0;

    if (strchr("PCGQV", x->s[0]) == NULL || !dlp_id_digits(x, 1, 9))
        return false;
    for (size_t i = 1; i <= 9; i++)
        sum += x->d[i] * (int)i;
    return x->s[10] == (sum % 11 == 10 ? 'X' : (char)('0' + sum % 11));
}

const struct dlp_id_scheme dlp_ids_asia_pacific[] = {
    {"in_aadhaar", DLP_ID_PERSON, 12, 12, true, in_aadhaar},
    {"in_pan", DLP_ID_PERSON, 10, 10, false, in_pan},
    {"in_gstin", DLP_ID_COMPANY, 15, 15, false, in_gstin},
    {"cn_id", DLP_ID_PERSON, 18, 18, false, cn_id},
    {"cn_uscc", DLP_ID_COMPANY, 18, 18, false, cn_uscc},
    {"tw_id", DLP_ID_PERSON, 10, 10, false, tw_id},
    {"tw_ubn", DLP_ID_COMPANY, 8, 8, true, tw_ubn},
    {"hk_id", DLP_ID_PERSON, 8, 9, false, hk_id},
    {"jp_mynumber", DLP_ID_PERSON, 12, 12, true, jp_mynumber},
    {"jp_corporate", DLP_ID_COMPANY, 13, 13, true, jp_corporate},
    {"kr_rrn", DLP_ID_PERSON, 13, 13, true, kr_rrn},
    {"kr_rrn_lot", DLP_ID_WEAK, 13, 13, true, kr_rrn_lot},
    {"kr_brn", DLP_ID_COMPANY, 10, 10, true, kr_brn},
    {"sg_nric", DLP_ID_PERSON, 9, 9, false, sg_nric},
    {"th_id", DLP_ID_PERSON, 13, 13, true, th_id},
    {"my_nric", DLP_ID_WEAK, 12, 12, true, my_nric},
    {"id_nik", DLP_ID_WEAK, 16, 16, true, id_nik},
    {"id_npwp", DLP_ID_COMPANY, 15, 16, true, id_npwp},
    {"au_tfn", DLP_ID_PERSON, 9, 9, true, au_tfn},
    {"au_medicare", DLP_ID_PERSON, 10, 11, true, au_medicare},
    {"au_abn", DLP_ID_COMPANY, 11, 11, true, au_abn},
    {"au_acn", DLP_ID_COMPANY, 9, 9, true, au_acn},
    {"nz_ird", DLP_ID_PERSON, 8, 9, true, nz_ird},
    {"nz_nhi", DLP_ID_PERSON, 7, 7, false, nz_nhi},
    {"il_id", DLP_ID_PERSON, 9, 9, true, il_id},
    {"za_id", DLP_ID_PERSON, 13, 13, true, za_id},
    {"eg_id", DLP_ID_WEAK, 14, 14, true, eg_id},
    {"ir_id", DLP_ID_PERSON, 10, 10, true, ir_id},
    {"lk_nic", DLP_ID_WEAK, 10, 12, false, lk_nic},
    {"ke_pin", DLP_ID_PERSON, 11, 11, false, ke_pin},
    {"gh_tin", DLP_ID_PERSON, 11, 11, false, gh_tin},
    {NULL, DLP_ID_WEAK, 0, 0, false, NULL},
};
