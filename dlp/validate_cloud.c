/* dlp/validate_cloud.c - what a cloud's key says of its owner. No state; any thread.
 *
 * An AWS access key ID is four letters and, in base32 (RFC 4648), ten bytes; of the first six of those, big-endian, bits 7 to 46 are
 * the account (as AWS' own sts get-access-key-info tells it). Keys from before 2019, whose fifth letter is I or J, hold none. */
#include "dlp/validate_impl.h"

enum {
    PREFIX = 4,
    DIGITS = 10
}; /* characters; ten of them are fifty bits, of which the first 48 count */

static int base32_value(char c)
{
    if (dlp_is_upper(c))
        return c - 'A';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

/* The number of the account, or -1. */
static int64_t account_of(struct gw_span key)
{
    uint64_t bits = 0;

    if (key.len < PREFIX + DIGITS || key.ptr[PREFIX] == 'I' || key.ptr[PREFIX] == 'J')
        return -1;
    for (size_t i = PREFIX; i < PREFIX + DIGITS; i++) {
        int v = base32_value(key.ptr[i]);

        if (v < 0)
            return -1;
        bits = bits << 5 | (uint64_t)v;
    }
    bits >>= 2;
    return (int64_t)((bits & UINT64_C(0x7FFFFFFFFF80)) >> 7);
}

int dlp_validate_aws_account(const struct dlp_validate_in *in)
{
    int64_t account = account_of(dlp_val_span(in));

    if (in->num == 0)
        return 0;
    return account == (int64_t)in->num ? 0 : DLP_VALIDATE_REJECT;
}
