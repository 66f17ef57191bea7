/* dlp/validate_coin.c - addresses and keys of crypto currencies.
 *
 * Sources: the base58check encoding of Bitcoin and of the XRP Ledger, BIP-173 and BIP-350 (bech32), the specification of
 * CashAddr, SEP-23 of Stellar (strkey). No state; any thread. */
#include <string.h>

#include "base/digest.h"
#include "dlp/validate_impl.h"

/* ---- base58 ------------------------------------------------------------------------------------ */

static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char base58_ripple[] = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";

/* Writes the number that s is in n_out bytes; false: it has more, or s is none. */
static bool base58_decode(struct gw_span s, const char *alphabet, unsigned char *out, size_t n_out)
{
    enum {
        DIGITS = 58,
        AT_ONCE = 5, /* of them are less than a limb */
        LIMBS = 17,  /* one more than anybody asks for */
    };
    uint32_t limbs[LIMBS] = {0};
    uint8_t value[256];
    size_t n = 0;

    memset(value, DIGITS, sizeof(value));
    for (unsigned i = 0; i < DIGITS; i++)
        value[(unsigned char)alphabet[i]] = (uint8_t)i;
    for (size_t i = 0; i < s.len;) {
        uint64_t carry = 0, times = 1;

        for (size_t end = i + AT_ONCE; i < end && i < s.len; i++) {
            unsigned digit = value[(unsigned char)s.ptr[i]];

            if (digit == DIGITS)
                return false;
            carry = carry * DIGITS + digit;
            times *= DIGITS;
        }
        for (size_t k = 0; k < n; k++) {
            carry += times * limbs[k];
            limbs[k] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry != 0 && n == LIMBS)
            return false;
        if (carry != 0)
            limbs[n++] = (uint32_t)carry;
    }
    for (size_t k = 0; k < n_out || k < n * sizeof(*limbs); k++) {
        unsigned char byte = (unsigned char)(k / 4 < n ? limbs[k / 4] >> k % 4 * 8 : 0);

        if (k < n_out)
            out[n_out - 1 - k] = byte;
        else if (byte != 0)
            return false;
    }
    return true;
}

/* Are the last four of n bytes the beginning of the double SHA-256 of the rest? */
static bool has_checksum(const unsigned char *raw, size_t n)
{
    unsigned char once[GW_SHA256_BYTES];
    unsigned char hash[GW_SHA256_BYTES];

    gw_sha256((struct gw_span){(const char *)raw, n - 4}, once);
    gw_sha256((struct gw_span){(const char *)once, sizeof(once)}, hash);
    return memcmp(hash, raw + n - 4, 4) == 0;
}

/* Does it decode to one of these numbers of bytes, with their checksum? Each byte that is 0 in front is written as a digit. */
static bool base58check_ok(struct gw_span s, const char *alphabet, const unsigned char *sizes,
                           size_t n_sizes)
{
    enum { MOST = 38 };
    unsigned char raw[MOST];
    size_t zeros = 0, n = 0;

    if (!base58_decode(s, alphabet, raw, sizeof(raw)))
        return false;
    while (zeros < MOST && raw[zeros] == 0)
        zeros++;
    while (n < s.len && s.ptr[n] == alphabet[0])
        n++;
    n += MOST - zeros;
    return n <= MOST && memchr(sizes, (int)n, n_sizes) != NULL && has_checksum(raw + MOST - n, n);
}

/* Addresses are 25 bytes, with a version of two or three bytes 26 and 27 (Zcash, Tezos); private keys in wallet import
 * format 37 or 38. Those of the XRP Ledger have digits of their own, of which r is the first. */
int dlp_validate_base58check(const struct dlp_validate_in *in)
{
    static const unsigned char sizes[] = {25, 26, 27, 37, 38};
    struct gw_span s = dlp_val_span(in);

    if (s.len > 64 || (!base58check_ok(s, base58, sizes, sizeof(sizes)) &&
                       (s.ptr[0] != 'r' || !base58check_ok(s, base58_ripple, sizes, 1))))
        return DLP_VALIDATE_REJECT;
    return 0;
}

/* The value decodes to that many bytes: JFrog's keys to 54, for one. */
int dlp_validate_base58_bytes(const struct dlp_validate_in *in)
{
    enum { MAX = 64 };
    unsigned char raw[MAX];
    struct gw_span s = dlp_val_span(in);
    size_t n = (size_t)in->num, ones = 0;

    if (n == 0 || n > MAX || s.len > (size_t)2 * MAX || !base58_decode(s, base58, raw, n))
        return WRONG_CHECKSUM;
    while (ones < s.len && s.ptr[ones] == '1')
        ones++;
    /* Each leading 1 is a byte that is 0; without one the first byte is none. */
    for (size_t i = 0; i < ones && i < n; i++)
        if (raw[i] != 0)
            return WRONG_CHECKSUM;
    return ones < n && raw[ones] != 0 ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

/* ---- bech32 and its kin ------------------------------------------------------------------------ */

static const char bech32_digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* The value of a digit in either case, or -1. */
static int bech32_value(char c)
{
    char lower = gw_ascii_lower(c);
    const char *at = lower == '\0' ? NULL : strchr(bech32_digits, lower);

    return at == NULL ? -1 : (int)(at - bech32_digits);
}

static uint32_t bech32_step(uint32_t c, unsigned v)
{
    static const uint32_t gen[5] = {0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3};
    uint32_t top = c >> 25;

    c = (c & 0x1FFFFFF) << 5 ^ v;
    for (unsigned i = 0; i < 5; i++)
        if ((top >> i & 1) != 0)
            c ^= gen[i];
    return c;
}

/* Addresses of witness programs (BIP-350): version 0, written q, has the checksum of bech32, the others that of bech32m. */
static bool is_witness(struct gw_span hrp)
{
    static const char *const names[] = {"bc", "tb", "bcrt", "ltc", "tltc", "vtc", "dgb", "grs"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (gw_span_eq_nocase(hrp, gw_span_str(names[i])))
            return true;
    return false;
}

int dlp_validate_bech32(const struct dlp_validate_in *in)
{
    enum { BECH32 = 1, BECH32M = 0x2BC830A3 };
    struct gw_span s = dlp_val_span(in);
    const char *one = memrchr(s.ptr, '1', s.len);
    size_t hrp = one == NULL ? 0 : (size_t)(one - s.ptr);
    uint32_t c = 1;
    bool small = false;
    bool capital = false;

    for (size_t i = 0; i < s.len; i++) {
        small = small || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z');
        capital = capital || dlp_is_upper(s.ptr[i]);
    }
    if (hrp == 0 || s.len - hrp < 8 || (small && capital)) /* of one case, says BIP-173 */
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < hrp; i++)
        c = bech32_step(c, (unsigned char)gw_ascii_lower(s.ptr[i]) >> 5);
    c = bech32_step(c, 0);
    for (size_t i = 0; i < hrp; i++)
        c = bech32_step(c, (unsigned char)gw_ascii_lower(s.ptr[i]) & 31);
    for (size_t i = hrp + 1; i < s.len; i++) {
        int v = bech32_value(s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        c = bech32_step(c, (unsigned)v);
    }
    if (is_witness((struct gw_span){s.ptr, hrp}))
        return c == (bech32_value(s.ptr[hrp + 1]) == 0 ? BECH32 : BECH32M) ? RIGHT_CHECKSUM
                                                                           : WRONG_CHECKSUM;
    return c == BECH32 || c == BECH32M ? RIGHT_CHECKSUM : WRONG_CHECKSUM;
}

static uint64_t cashaddr_step(uint64_t c, unsigned v)
{
    static const uint64_t gen[5] = {0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8,
                                    0x1E4F43E470};
    uint64_t top = c >> 35;

    c = (c & 0x7FFFFFFFF) << 5 ^ v;
    for (unsigned i = 0; i < 5; i++)
        if ((top >> i & 1) != 0)
            c ^= gen[i];
    return c;
}

/* An address of Bitcoin Cash, with its prefix or without. */
int dlp_validate_cashaddr(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *colon = memchr(s.ptr, ':', s.len);
    struct gw_span prefix = colon == NULL ? gw_span_str("bitcoincash")
                                          : (struct gw_span){s.ptr, (size_t)(colon - s.ptr)};
    uint64_t c = 1;

    for (size_t i = 0; i < prefix.len; i++)
        c = cashaddr_step(c, (unsigned char)prefix.ptr[i] & 31);
    c = cashaddr_step(c, 0);
    for (size_t i = colon == NULL ? 0 : prefix.len + 1; i < s.len; i++) {
        int v = bech32_value(s.ptr[i]);

        if (v < 0)
            return DLP_VALIDATE_REJECT;
        c = cashaddr_step(c, (unsigned)v);
    }
    return c == 1 ? 0 : DLP_VALIDATE_REJECT;
}

/* ---- keys of Stellar --------------------------------------------------------------------------- */

/* A version, 32 bytes, and their CRC-16 (XMODEM, low byte first), in base32 without padding. */
int dlp_validate_strkey(const struct dlp_validate_in *in)
{
    enum { N = 35 };
    struct gw_span s = dlp_val_span(in);
    unsigned char raw[N];
    size_t n = 0;
    unsigned bits = 0, held = 0, crc = 0;

    if (s.len != 56)
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!dlp_is_upper(c) && (c < '2' || c > '7'))
            return DLP_VALIDATE_REJECT;
        bits = bits << 5 | (unsigned)(dlp_is_upper(c) ? c - 'A' : c - '2' + 26);
        held += 5;
        if (held >= 8) {
            held -= 8;
            raw[n++] = (unsigned char)(bits >> held);
        }
    }
    for (size_t i = 0; i + 2 < N; i++) {
        crc ^= (unsigned)raw[i] << 8;
        for (unsigned k = 0; k < 8; k++)
            crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (crc & 0xFF) == raw[N - 2] && (crc >> 8 & 0xFF) == raw[N - 1] ? 0 : DLP_VALIDATE_REJECT;
}
