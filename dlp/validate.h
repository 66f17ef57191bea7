/* dlp/validate.h - the validators that a rule may name: checksums, structure, entropy, plausibility.
 *
 * A pattern says that bytes look like a card or a token; a validator says whether they are one. Each is
 * a pure function of the match and the text around it: it allocates nothing, never fails, reads only
 * inside the text, and takes time linear in the span (and a bounded window around it). Adding one means
 * a function and a line in the table in validate.c; rules then name it under `validate:`.
 *
 * Thread: any; nothing here has state. */
#ifndef DLP_VALIDATE_H
#define DLP_VALIDATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct dlp_id_scheme;

/* What a validator is asked about. */
struct dlp_validate_in {
    struct gw_span text; /* the whole text of the leaf */
    size_t start, end;   /* the reported span, bytes in text; start < end <= text.len */
    size_t match_start;  /* the whole match of the pattern; contains the reported span */
    size_t match_end;    /* (the two are equal to start and end without a `secret` group) */
    struct gw_span key;  /* decoded name of the JSON member the text stands in, or empty */
    double num;          /* the rule's numeric argument, or the validator's default */
    struct gw_span str;  /* the rule's string argument, or empty */
    const struct dlp_id_scheme
        *scheme; /* the number system that str names; NULL: it is looked up */
};

/* The finding is dropped. Any other return value is added to the finding's confidence, and the sum is
 * clamped to 0..100 when all validators of the rule have spoken. */
#define DLP_VALIDATE_REJECT INT_MIN

enum dlp_validator_arg {
    DLP_VALIDATOR_ARG_NONE,   /* name */
    DLP_VALIDATOR_ARG_NUMBER, /* name or name(3.0): without one default_num is used */
    DLP_VALIDATOR_ARG_STRING, /* name(text): required; letters, digits, and - _ . , only */
};

struct dlp_validator {
    const char *name; /* as rules spell it: [a-z0-9_]+ */
    enum dlp_validator_arg arg;
    double default_num;
    int (*validate)(const struct dlp_validate_in *in);
    /* May be asked of a string argument when the rule is compiled; NULL: any is fine. */
    bool (*accepts)(struct gw_span str);
};

/* Finds a validator by the name rules use; NULL when there is none. The answer is static. */
const struct dlp_validator *dlp_validator_find(const char *name);

/* True when `random` rejects the span for being words, or for having no letter: the cheap part of its verdict. */
bool dlp_validate_is_wordy(struct gw_span s);
/* The same of 1 to 64 bytes where the machine has AVX-512. */
bool dlp_validate_is_wordy_avx512(struct gw_span s);

/* How many bytes a text can have besides the span for the validator not to reject it; SIZE_MAX: any. num as in dlp_validate_in. */
size_t dlp_validate_most_besides(const char *name, double num);

/* The i-th validator, i below dlp_validator_count(), for listings. The order is not stable between
 * versions: compiled rules name validators, they do not number them. */
const struct dlp_validator *dlp_validator_at(unsigned i);
unsigned dlp_validator_count(void);

/* The number system of that name; NULL when there is none. The answer is static. */
const struct dlp_id_scheme *dlp_id_scheme_find(struct gw_span name);

/* A number of plain digits, as far as all number systems ask the same of it. */
enum { DLP_DIGITS_MAX = 32 };
struct dlp_digits {
    const char *text;
    size_t n;                            /* more than DLP_DIGITS_MAX: no system has as many */
    unsigned char value[DLP_DIGITS_MAX]; /* of each digit */
    bool same;                           /* all are the same */
};

/* Fills in *out of n digits; text is borrowed. */
void dlp_digits_read(struct gw_span text, struct dlp_digits *out);
/* What id() says of them. */
bool dlp_id_has_digits(const struct dlp_id_scheme *scheme, const struct dlp_digits *digits);

/* The number systems (`id(NAME)`) that accept a value: writes up to max static names and returns how many. Several do for
 * most numbers that any accepts. */
unsigned dlp_id_systems(struct gw_span value, const char **names, unsigned max);

#endif
