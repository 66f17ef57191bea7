/* dlp/validate_finance.c - bank accounts, bank and securities identifiers, vehicles, travel documents.
 *
 * Sources: ISO 13616 with the SWIFT IBAN registry (country lengths), ISO 9362 (BIC), ISO 3166-1, the ABA
 * routing number policy (3-7-1), ISO 6166 (ISIN), CUSIP and SEDOL rules, 49 CFR 565 (VIN), ICAO 9303
 * (machine-readable zone). No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* Country and length of its IBANs, as in the registry. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
    "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32"
    "LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24"
    "RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"
    /* and of those whose banks write them without being in it: the national account number (RIB, NIB) behind four characters.
     * It has 24 in the West African union, 23 in the Central African one, 21 where it is Portugal's, 24 in Morocco; of Algeria
     * banks name two lengths. */
    "DZ24AO25BF28BJ28CF27CG27CI28CM27CV25DZ26GA27GQ27GW25IR26KM27MA28MG27ML28MZ25NE28SN28TD27TG28";

/* Where the bank is four letters. */
static const char iban_letter_banks[] = "AZBGBHGBGIIEIQJOKWLCLVMTMUNINLPKPSQAROSCSVVG";

static bool iban_bank_ok(const char *s)
{
    for (size_t i = 0; i + 2 <= sizeof(iban_letter_banks) - 1; i += 2)
        if (memcmp(iban_letter_banks + i, s, 2) == 0)
            return dlp_is_alpha(s[4]) && dlp_is_alpha(s[5]) && dlp_is_alpha(s[6]) &&
                   dlp_is_alpha(s[7]);
    return true;
}

static bool iban_length_ok(const char *cc, size_t n)
{
    const char length[2] = {(char)('0' + n / 10), (char)('0' + n % 10)};

    for (size_t i = 0; i + 4 <= sizeof(iban_lengths) - 1; i += 4)
        if (memcmp(iban_lengths + i, cc, 2) == 0 && memcmp(iban_lengths + i + 2, length, 2) == 0)
            return true;
    return false;
}

int dlp_validate_iban(const struct dlp_validate_in *in)
{
    char s[40];
    char turned[40];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    if (n < 15 || !iban_length_ok(s, n) || !dlp_is_digit(s[2]) || !dlp_is_digit(s[3]) ||
        !iban_bank_ok(s))
        return DLP_VALIDATE_REJECT;
    memcpy(turned, s + 4, n - 4);
    memcpy(turned + n - 4, s, 4);
    return dlp_mod97(turned, n) == 1 ? 0 : DLP_VALIDATE_REJECT;
}

/* ISO 3166-1 alpha-2 codes that occur in BICs (XK is in use for Kosovo). */
static const char countries[] =
    "ADAEAFAGAIALAMAOARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBWBYBZCACDCFCGCHCICKCLCMCNCOCR"
    "CUCV"
    "CWCYCZDEDJDKDMDODZECEEEGERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGTGUGWGYHKHNHRHTHUIDIEIL"
    "IMIN"
    "IQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMT"
    "MUMV"
    "MWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISKSL"
    "SMSN"
    "SOSRSSSTSVSXSYSZTCTDTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

static bool is_country(const char *cc)
{
    for (size_t i = 0; i + 2 <= sizeof(countries) - 1; i += 2)
        if (countries[i] == cc[0] && countries[i + 1] == cc[1])
            return true;
    return false;
}

int dlp_validate_bic(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);

    if ((s.len != 8 && s.len != 11) || !is_country(s.ptr + 4))
        return DLP_VALIDATE_REJECT;
    /* Eight letters in capitals are far more often a word; a digit speaks for a code. */
    for (size_t i = 6; i < s.len; i++)
        if (dlp_is_digit(s.ptr[i]))
            return 10;
    return 0;
}

int dlp_validate_aba(const struct dlp_validate_in *in)
{
    static const signed char w[9] = {3, 7, 1, 3, 7, 1, 3, 7, 1};
    unsigned char d[16];
    size_t n = dlp_val_digits(dlp_val_span(in), d, sizeof(d));
    unsigned district;

    if (n != 9 || dlp_weigh(d, w, 9) % 10 != 0 || dlp_digits_trivial(d, n))
        return DLP_VALIDATE_REJECT;
    district = d[0] * 10u + d[1];
    if (district <= 12 || (district >= 21 && district <= 32) ||
        (district >= 61 && district <= 72) || district == 80)
        return 0;
    return DLP_VALIDATE_REJECT;
}

/* Value of a character in ISIN and CUSIP: 0 to 9, A = 10; -1 for others. */
static int base36(char c)
{
    if (dlp_is_digit(c))
        return c - '0';
    return dlp_is_upper(c) ? c - 'A' + 10 : -1;
}

int dlp_validate_isin(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned char d[32];
    size_t n = 0;

    if (s.len != 12 ||
        (!is_country(s.ptr) && memcmp(s.ptr, "EU", 2) != 0 && memcmp(s.ptr, "EZ", 2) != 0 &&
         memcmp(s.ptr, "AN", 2) != 0 &&
         (s.ptr[0] != 'X' || strchr("ABCDFS", s.ptr[1]) == NULL))) /* numbers of no country */
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < s.len; i++) {
        int v = base36(s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        if (v >= 10)
            d[n++] = (unsigned char)(v / 10);
        d[n++] = (unsigned char)(v % 10);
    }
    return dlp_luhn_ok(d, n) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_cusip(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    int sum = 0;

    if (s.len != 9 || !dlp_is_digit(s.ptr[8]))
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < 8; i++) {
        int v = base36(s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        if (i % 2 == 1)
            v *= 2;
        sum += v / 10 + v % 10;
    }
    return (10 - sum % 10) % 10 == s.ptr[8] - '0' ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_sedol(const struct dlp_validate_in *in)
{
    static const int w[7] = {1, 3, 1, 7, 3, 9, 1};
    struct gw_span s = dlp_val_span(in);
    int sum = 0;

    if (s.len != 7 || !dlp_is_digit(s.ptr[6]))
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < 7; i++) {
        int v = base36(s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        sum += v * w[i];
    }
    return sum % 10 == 0 ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_vin(const struct dlp_validate_in *in)
{
    static const int letters[26] = {1, 2,  3, 4,  5, 6, 7, 8, -1, 1, 2, 3, 4,
                                    5, -1, 7, -1, 9, 2, 3, 4, 5,  6, 7, 8, 9};
    static const int w[17] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
    struct gw_span s = dlp_val_span(in);
    unsigned n_digits = 0;
    int sum = 0;

    if (s.len != 17)
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < 17; i++) {
        int v = dlp_is_digit(s.ptr[i]) ? s.ptr[i] - '0' : -1;

        if (v >= 0)
            n_digits++;
        else if (dlp_is_upper(s.ptr[i]))
            v = letters[s.ptr[i] - 'A'];
        if (v < 0)
            return DLP_VALIDATE_REJECT;
        sum += v * w[i];
    }
    if (n_digits < 4 || n_digits == 17)
        return DLP_VALIDATE_REJECT;
    /* Only North America requires the check digit: a wrong one lowers. */
    return s.ptr[8] == (sum % 11 == 10 ? 'X' : (char)('0' + sum % 11)) ? 10 : -25;
}

/* Check digit of a field of a machine-readable zone: weights 7, 3, 1, filler '<' is 0. */
static bool mrz_field_ok(const char *p, size_t n, char check)
{
    static const int w[3] = {7, 3, 1};
    int sum = 0;

    for (size_t i = 0; i < n; i++) {
        int v = p[i] == '<' ? 0 : base36(p[i]);

        if (v < 0)
            return false;
        sum += v * w[i % 3];
    }
    return check == (char)('0' + sum % 10);
}

/* The second line of a passport (TD3): number, nationality, birth date, sex, expiry, each with a digit. */
int dlp_validate_mrz(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *p = s.ptr + (s.len - 44);

    if (s.len < 44 || !mrz_field_ok(p, 9, p[9]) || !mrz_field_ok(p + 13, 6, p[19]) ||
        !mrz_field_ok(p + 21, 6, p[27]))
        return DLP_VALIDATE_REJECT;
    return 0;
}
