/* dlp/validate_ids.h - number systems for persons and companies; private to dlp/validate_ids*.c. */
#ifndef DLP_VALIDATE_IDS_H
#define DLP_VALIDATE_IDS_H

#include <stdbool.h>
#include <stddef.h>

#include "dlp/validate_impl.h"

enum { DLP_ID_MAX = 32 };

/* An identifier without separators: letters upper-cased, digits also as numbers. */
struct dlp_id {
    const char *s; /* n characters, A-Z and 0-9 */
    size_t n;
    unsigned char d[DLP_ID_MAX]; /* d[i] is the value of s[i] when it is a digit, else 0 */
    bool digits;                 /* nothing but digits */
};

/* What a number system counts. */
enum dlp_id_kind {
    DLP_ID_PERSON,  /* people, and systems that people and companies share */
    DLP_ID_COMPANY, /* companies, taxable persons */
    DLP_ID_BANK,    /* accounts */
    DLP_ID_CODE,    /* things: devices, works, delivery points */
    DLP_ID_WEAK, /* anything without a check digit: good for id() beside other words, never for id_any() */
};

/* One number system. It is asked only for lengths of min to max characters. */
struct dlp_id_scheme {
    const char *name; /* country (ISO 3166) _ common name: "pl_pesel" */
    enum dlp_id_kind kind;
    unsigned char min, max;
    bool digits_only;
    bool (*ok)(const struct dlp_id *x);
};

/* The tables, each ended by a row without a name. */
extern const struct dlp_id_scheme dlp_ids_europe_west[];
extern const struct dlp_id_scheme dlp_ids_europe_east[];
extern const struct dlp_id_scheme dlp_ids_americas[];
extern const struct dlp_id_scheme dlp_ids_asia_pacific[];
extern const struct dlp_id_scheme dlp_ids_company_europe[];
extern const struct dlp_id_scheme dlp_ids_world[];
extern const struct dlp_id_scheme dlp_ids_codes[];

/* How the last digit follows from the weighted sum of those before it, r being the sum modulo m. */
enum dlp_id_finish {
    DLP_ID_ZERO,  /* the sum over all digits, the last one too, is a multiple of m */
    DLP_ID_NEG,   /* it is (m - r) % m; a ten is never allotted */
    DLP_ID_NEG_0, /* the same, and a ten is written 0 */
    DLP_ID_POS,   /* it is r; a ten is never allotted */
    DLP_ID_POS_0, /* it is r, and a ten is written 0 */
};

/* Checks the first n digits of x; w has n weights for DLP_ID_ZERO, otherwise n - 1. */
bool dlp_id_sum_ok(const struct dlp_id *x, const signed char *w, size_t n, int m,
                   enum dlp_id_finish how);

/* A system whose rule is one weighted sum, as a function `NAME`. */
#define DLP_ID_SUM(NAME, N, M, HOW, ...)                                                           \
    static bool NAME(const struct dlp_id *x)                                                       \
    {                                                                                              \
        static const signed char w[] = {__VA_ARGS__};                                              \
                                                                                                   \
        return dlp_id_sum_ok(x, w, N, M, HOW);                                                     \
    }

/* x without a prefix that it may have. */
struct dlp_id dlp_id_behind(const struct dlp_id *x, const char *prefix);

/* The place of a character in an alphabet, or -1. */
int dlp_id_index(const char *alphabet, char c);

/* The value of a letter or digit in base 36. */
static inline int dlp_id_base36(const struct dlp_id *x, size_t i)
{
    return dlp_is_digit(x->s[i]) ? x->d[i] : x->s[i] - 'A' + 10;
}

/* Two digits as a number. */
static inline int dlp_id_two(const struct dlp_id *x, size_t at)
{
    return x->d[at] * 10 + x->d[at + 1];
}

/* The value of n digits from `at`. */
static inline unsigned long long dlp_id_number(const struct dlp_id *x, size_t at, size_t n)
{
    unsigned long long v = 0;

    for (size_t i = at; i < at + n; i++)
        v = v * 10 + x->d[i];
    return v;
}

/* Are n characters from `at` digits? */
static inline bool dlp_id_digits(const struct dlp_id *x, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        if (i >= x->n || !dlp_is_digit(x->s[i]))
            return false;
    return true;
}

/* A day whose century is not written: right in either century. */
static inline bool dlp_id_date(int yy, int mm, int dd)
{
    return dlp_date_ok(1900 + yy, mm, dd) || dlp_date_ok(2000 + yy, mm, dd);
}

#endif
