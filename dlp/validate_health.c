/* dlp/validate_health.c - identifiers of the United States health system, and ICD-10 codes.
 *
 * Sources: CMS "Requirements for National Provider Identifier check digit" (Luhn with prefix 80840), 21
 * CFR 1301 (DEA numbers), CMS "Understanding the MBI" (positions and letters), WHO ICD-10 chapters. No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

int dlp_validate_npi(const struct dlp_validate_in *in)
{
    static const unsigned char prefix[5] = {8, 0, 8, 4, 0};
    unsigned char d[24];
    size_t n;

    memcpy(d, prefix, sizeof(prefix));
    n = dlp_val_digits(dlp_val_span(in), d + 5, sizeof(d) - 5);
    if (n != 10 || (d[5] != 1 && d[5] != 2) || dlp_digits_trivial(d + 5, n))
        return DLP_VALIDATE_REJECT;
    return dlp_luhn_ok(d, 15) ? 0 : DLP_VALIDATE_REJECT;
}

/* Two letters (registrant type, and the initial of the name or 9), six digits and a check digit. */
int dlp_validate_dea(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    static const char types[18] = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j',
                                   'k', 'l', 'm', 'p', 'r', 's', 't', 'u', 'x'};
    unsigned char d[8];

    if (s.len != 9 || memchr(types, gw_ascii_lower(s.ptr[0]), sizeof(types)) == NULL ||
        dlp_val_digits((struct gw_span){s.ptr + 2, 7}, d, sizeof(d)) != 7 ||
        (!dlp_is_alpha(s.ptr[1]) && s.ptr[1] != '9'))
        return DLP_VALIDATE_REJECT;
    if ((d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 != d[6] || dlp_digits_trivial(d, 7))
        return DLP_VALIDATE_REJECT;
    return 0;
}

/* Eleven characters; letters exclude S L O I B Z. 'c': digit 1-9, 'n': digit, 'a': letter, 'e': either. */
int dlp_validate_mbi(const struct dlp_validate_in *in)
{
    static const char shape[] = "caenaenaann";
    char s[16];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    if (n != 11)
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < 11; i++) {
        bool digit = dlp_is_digit(s[i]);
        bool letter = !digit && strchr("SLOIBZ", s[i]) == NULL;
        bool ok = (shape[i] == 'c' && digit && s[i] != '0') || (shape[i] == 'n' && digit) ||
                  (shape[i] == 'a' && letter) || (shape[i] == 'e' && (digit || letter));

        if (!ok)
            return DLP_VALIDATE_REJECT;
    }
    return 0;
}

/* A letter, two characters, and perhaps a dot and up to four more. U is for provisional codes (U07.1). */
int dlp_validate_icd10(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);

    if (s.len < 3 || s.len > 8 || !dlp_is_upper(s.ptr[0]) || !dlp_is_digit(s.ptr[1]))
        return DLP_VALIDATE_REJECT;
    if (s.len > 3 && s.ptr[3] != '.')
        return DLP_VALIDATE_REJECT;
    /* With a subcategory it can hardly be anything else; without one it may be a paper size or a part. */
    return s.len > 3 ? 5 : -10;
}
