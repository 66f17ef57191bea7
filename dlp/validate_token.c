/* dlp/validate_token.c - tokens that carry their own proof: checksums, encoded fields, key files.
 *
 * Sources: GitHub engineering blog "Behind GitHub's new authentication token formats" (CRC-32 in base62;
 * npm uses the same), RFC 4648 (base64), RFC 7515 and 7519 (JWS, JWT), RFC 7468 and X.690 (PEM, DER),
 * RFC 7617 (Basic), Discord's token layout (the first part is the numeric id). A wrong checksum lowers the confidence, because people paste
 * cut and altered tokens; it does not drop the finding. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* ---- base64 --------------------------------------------------------------------------------- */

static int base64_value(char c)
{
    if (dlp_is_upper(c))
        return c - 'A';
    if (dlp_is_lower(c))
        return c - 'a' + 26;
    if (dlp_is_digit(c))
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

size_t dlp_val_base64(struct gw_span s, unsigned char *out, size_t max)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    while (s.len > 0 && s.ptr[s.len - 1] == '=')
        s.len--;
    for (size_t i = 0; i < s.len && n < max; i++) {
        int v = base64_value(s.ptr[i]);

        if (v < 0)
            return 0;
        bits = (bits << 6) | (uint32_t)v;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (unsigned char)(bits >> n_bits);
        }
    }
    return n;
}

static bool printable(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((p[i] < 0x20 && p[i] != '\t' && p[i] != '\n' && p[i] != '\r') || p[i] > 0x7E)
            return false;
    return n > 0;
}

/* The span, or its part behind the last '_' or '.' when it has a prefix, decodes to text in in->str. */
int dlp_validate_base64_prefix(const struct dlp_validate_in *in)
{
    unsigned char out[64];
    size_t n = dlp_val_base64(dlp_val_span(in), out, sizeof(out));

    if (n >= in->str.len && memcmp(out, in->str.ptr, in->str.len) == 0)
        return RIGHT_CHECKSUM;
    return WRONG_CHECKSUM;
}

/* The part that begins with eyJ ({") decodes to the beginning of a JSON object. */
int dlp_validate_base64_json(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *p = memmem(s.ptr, s.len, "ey", 2);
    unsigned char out[96] = {0};
    size_t n = 0;

    if (p != NULL)
        n = dlp_val_base64(gw_span_from(s, (size_t)(p - s.ptr)), out, sizeof(out));
    if (p != NULL && n == 0) /* something else follows the JSON part */
        n = dlp_val_base64((struct gw_span){p, 24 < s.len - (size_t)(p - s.ptr)
                                                   ? 24
                                                   : s.len - (size_t)(p - s.ptr)},
                           out, sizeof(out));
    return n > 2 && out[0] == '{' && printable(out, n) ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

/* in->str stands somewhere in the first 384 bytes that the span decodes to: a field that the vendor's tokens have. */
int dlp_validate_base64_has(const struct dlp_validate_in *in)
{
    unsigned char out[384];
    size_t n = dlp_val_base64(dlp_val_span(in), out, sizeof(out));

    return memmem(out, n, in->str.ptr, in->str.len) != NULL ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

int dlp_validate_base64_text(const struct dlp_validate_in *in)
{
    unsigned char out[96];
    size_t n = dlp_val_base64(dlp_val_span(in), out, sizeof(out));

    return n > 3 && printable(out, n) ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

int dlp_validate_basic_auth(const struct dlp_validate_in *in)
{
    unsigned char out[256];
    size_t n = dlp_val_base64(dlp_val_span(in), out, sizeof(out));
    const unsigned char *colon = memchr(out, ':', n);
    struct gw_span password;

    if (colon == NULL || !printable(out, n)) /* garbled or cut, but long: not prose */
        return in->end - in->start >= 48 ? -45 : DLP_VALIDATE_REJECT;
    password = (struct gw_span){(const char *)colon + 1, n - (size_t)(colon + 1 - out)};
    if (password.len == 0)
        return 0; /* the key stands in front of the colon, as Stripe does it */
    return dlp_val_is_placeholder(password) || password.len < 4 ||
                   gw_span_is(password, "password") || gw_span_is(password, "pass") ||
                   gw_span_is(password, "secret") || gw_span_is(password, "test")
               ? -40
               : 0;
}

/* Three parts; the first is the bot's or user's id, decimal digits in base64. */
int dlp_validate_discord_token(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *dot = memchr(s.ptr, '.', s.len);
    unsigned char out[64];
    size_t n;

    if (dot == NULL)
        return DLP_VALIDATE_REJECT;
    n = dlp_val_base64((struct gw_span){s.ptr, (size_t)(dot - s.ptr)}, out, sizeof(out));
    for (size_t i = 0; i < n; i++)
        if (!dlp_is_digit((char)out[i]))
            return WRONG_CHECKSUM;
    return n >= 15 ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

/* ---- JWT ------------------------------------------------------------------------------------ */

/* Does the second part hold the subject and the name that every introduction to the format has? */
static bool is_introduction(struct gw_span payload)
{
    unsigned char out[768];
    const char *end = payload.len == 0 ? NULL : memchr(payload.ptr, '.', payload.len);
    size_t n = dlp_val_base64(
        end == NULL ? payload : (struct gw_span){payload.ptr, (size_t)(end - payload.ptr)}, out,
        sizeof(out));

    return memmem(out, n, "\"1234567890\"", 12) != NULL ||
           memmem(out, n, "\"John Doe\"", 10) != NULL;
}

int dlp_validate_jwt(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *dot = memchr(s.ptr, '.', s.len);
    unsigned char out[768];
    size_t n;

    if (dot == NULL)
        return DLP_VALIDATE_REJECT;
    n = dlp_val_base64((struct gw_span){s.ptr, (size_t)(dot - s.ptr)}, out, sizeof(out));
    if (n < 8 || out[0] != '{' || !printable(out, n < 64 ? n : 64))
        return -45;
    if (is_introduction(gw_span_from(s, (size_t)(dot - s.ptr) + 1)))
        return -15;
    if (memmem(out, n, "\"alg\"", 5) != NULL || memmem(out, n, "\"typ\"", 5) != NULL ||
        memmem(out, n, "\"kid\"", 5) != NULL)
        return RIGHT_CHECKSUM;
    return -25;
}

/* ---- CRC-32 --------------------------------------------------------------------------------- */

uint32_t dlp_val_crc32(struct gw_span s)
{
    uint32_t crc = 0xFFFFFFFFu;

    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned char)s.ptr[i];
        for (unsigned k = 0; k < 8; k++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static int base62_value(char c)
{
    if (dlp_is_digit(c))
        return c - '0';
    if (dlp_is_upper(c))
        return c - 'A' + 10;
    return dlp_is_lower(c) ? c - 'a' + 36 : -1;
}

/* The last six characters are the CRC-32 of what stands between the last '_' and them, in base62. */
int dlp_validate_crc32_base62(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *mark = memrchr(s.ptr, '_', s.len);
    size_t skip = mark == NULL ? 0 : (size_t)(mark - s.ptr) + 1;
    uint64_t want = 0;

    if (s.len < skip + 7)
        return WRONG_CHECKSUM;
    for (size_t i = s.len - 6; i < s.len; i++) {
        int v = base62_value(s.ptr[i]);

        if (v < 0)
            return WRONG_CHECKSUM;
        want = want * 62 + (uint64_t)v;
    }
    return dlp_val_crc32((struct gw_span){s.ptr + skip, s.len - 6 - skip}) == want ? RIGHT_CHECKSUM
                                                                                   : WRONG_CHECKSUM;
}

/* The last eight hexadecimal digits are the CRC-32 of everything before them. */
int dlp_validate_crc32_hex(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    uint32_t want = 0;

    if (s.len < 9)
        return WRONG_CHECKSUM;
    for (size_t i = s.len - 8; i < s.len; i++) {
        int v = dlp_hex_value(s.ptr[i]);

        if (v < 0)
            return WRONG_CHECKSUM;
        want = want << 4 | (uint32_t)v;
    }
    return dlp_val_crc32((struct gw_span){s.ptr, s.len - 8}) == want ? RIGHT_CHECKSUM
                                                                     : WRONG_CHECKSUM;
}

int dlp_validate_uuid(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    bool seen[16] = {false};
    unsigned distinct = 0;

    for (size_t i = 0; i < s.len; i++) {
        int v = dlp_hex_value(s.ptr[i]);

        if (v < 0)
            continue;
        distinct += !seen[v];
        seen[v] = true;
    }
    if (distinct < 5) /* 00000000-0000-..., ffffffff-... */
        return DLP_VALIDATE_REJECT;
    return dlp_val_contains(s, "12345678-1234") || dlp_val_contains(s, "0000-0000-0000") ? -35 : 0;
}

/* ---- key files ------------------------------------------------------------------------------ */

/* The first line of base64 behind the header tells DER (30 82 -> MII, 30 xx -> M) or OpenSSH. A header
 * alone, as in documentation and in programs that look for keys, is less. */
int dlp_validate_pem(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    size_t run = 0;

    for (size_t i = 0; i < s.len; i++) {
        run = base64_value(s.ptr[i]) >= 0 && s.ptr[i] != '-' ? run + 1 : 0;
        if (run == 40)
            return 0;
    }
    return -25;
}
