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

/* One number system. It is asked only for lengths of min to max characters. */
struct dlp_id_scheme {
    const char *name; /* country (ISO 3166) _ common name: "pl_pesel" */
    unsigned char min, max;
    bool digits_only;
    bool (*ok)(const struct dlp_id *x);
};

/* The tables, each ended by a row without a name. */
extern const struct dlp_id_scheme dlp_ids_europe_west[];
extern const struct dlp_id_scheme dlp_ids_europe_east[];
extern const struct dlp_id_scheme dlp_ids_americas[];
extern const struct dlp_id_scheme dlp_ids_asia_pacific[];

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
