/* dlp/validate.c - the registry of validators: a name in a rule file is a function here.
 *
 * The functions live beside it: validate_digits.c (checksums over digits), validate_ids.c and its
 * siblings (identifiers of persons and companies, by country), validate_text.c (entropy, words),
 * validate_sample.c (placeholders), validate_value.c (is an assigned value a secret), validate_token.c (tokens with
 * structure), validate_eip55.c, validate_cloud.c, validate_net.c (addresses, phones, dates), validate_health.c. No state; any thread. */
#include "dlp/validate.h"

#include <string.h>

#include "dlp/validate_impl.h"

static const struct dlp_validator validators[] = {
#define DLP_ROW(name, arg, num, accepts)                                                           \
    {#name, DLP_VALIDATOR_ARG_##arg, num, dlp_validate_##name, accepts},
    DLP_VALIDATORS(DLP_ROW)
#undef DLP_ROW
};

enum { N_VALIDATORS = sizeof(validators) / sizeof(validators[0]) };

const struct dlp_validator *dlp_validator_find(const char *name)
{
    for (unsigned i = 0; i < N_VALIDATORS; i++)
        if (strcmp(validators[i].name, name) == 0)
            return &validators[i];
    return NULL;
}

const struct dlp_validator *dlp_validator_at(unsigned i)
{
    return i < N_VALIDATORS ? &validators[i] : NULL;
}

unsigned dlp_validator_count(void)
{
    return N_VALIDATORS;
}
