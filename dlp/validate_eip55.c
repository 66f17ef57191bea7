/* dlp/validate_eip55.c - addresses of Ethereum: the case of their letters is a checksum (EIP-55), made of Keccak-256 (the
 * submission to SHA-3 with its own padding, which OpenSSL 3.0 does not have). No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

enum { LANES = 25, ROUNDS = 24, RATE = 136, HASH_BYTES = 20 }; /* bytes of the hash that count */

static uint64_t rotate(uint64_t v, unsigned n)
{
    return n == 0 ? v : v << n | v >> (64 - n);
}

/* The constant of a round: bits of a shift register (FIPS 202, 3.2.5). */
static uint64_t round_constant(uint8_t *lfsr)
{
    uint64_t c = 0;

    for (unsigned j = 0; j < 7; j++) {
        if ((*lfsr & 1) != 0)
            c |= UINT64_C(1) << ((1u << j) - 1);
        *lfsr = (uint8_t)((unsigned)*lfsr << 1 ^ ((*lfsr & 0x80) != 0 ? 0x71u : 0));
    }
    return c;
}

/* Columns are mixed into their neighbours (theta). */
static void mix_columns(uint64_t a[LANES])
{
    uint64_t c[5];

    for (unsigned x = 0; x < 5; x++)
        c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (unsigned i = 0; i < LANES; i++)
        a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
}

/* Lanes are turned and change places (rho, pi), then rows are mixed (chi). */
static void mix_lanes(uint64_t a[LANES])
{
    uint64_t b[LANES] = {a[0]};
    unsigned x = 1, y = 0;

    for (unsigned t = 0; t < 24; t++) {
        unsigned next = (2 * x + 3 * y) % 5;

        b[y + 5 * next] = rotate(a[x + 5 * y], (t + 1) * (t + 2) / 2 % 64);
        x = y;
        y = next;
    }
    for (unsigned i = 0; i < LANES; i++) {
        unsigned row = i - i % 5;

        a[i] = b[i] ^ (~b[row + (i + 1) % 5] & b[row + (i + 2) % 5]);
    }
}

/* The first bytes of the hash of a message shorter than a block. */
static void keccak256(struct gw_span message, unsigned char out[HASH_BYTES])
{
    unsigned char block[RATE] = {0};
    uint64_t a[LANES] = {0};
    uint8_t lfsr = 1;

    memcpy(block, message.ptr, message.len);
    block[message.len] = 0x01;
    block[RATE - 1] |= 0x80;
    for (unsigned i = 0; i < RATE; i++)
        a[i / 8] ^= (uint64_t)block[i] << (i % 8 * 8);
    for (unsigned round = 0; round < ROUNDS; round++) {
        mix_columns(a);
        mix_lanes(a);
        a[0] ^= round_constant(&lfsr);
    }
    for (unsigned i = 0; i < HASH_BYTES; i++)
        out[i] = (unsigned char)(a[i / 8] >> (i % 8 * 8));
}

int dlp_validate_eip55(const struct dlp_validate_in *in)
{
    enum { DIGITS = 40, RIGHT = 24, WRONG = -30 };
    const char *s = in->text.ptr + in->end - DIGITS;
    unsigned char hash[HASH_BYTES];
    char low[DIGITS];
    bool upper = false, lower = false, right = true;

    if (in->end - in->start < DIGITS)
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < DIGITS; i++) {
        if (dlp_hex_value(s[i]) < 0)
            return DLP_VALIDATE_REJECT;
        upper = upper || dlp_is_upper(s[i]);
        lower = lower || dlp_is_lower(s[i]);
        low[i] = gw_ascii_lower(s[i]);
    }
    if (!upper || !lower) /* written without */
        return 0;
    keccak256((struct gw_span){low, DIGITS}, hash);
    for (size_t i = 0; i < DIGITS; i++) {
        unsigned nibble = (unsigned)hash[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15u;

        right = right && (dlp_is_digit(s[i]) || dlp_is_upper(s[i]) == (nibble >= 8));
    }
    return right ? RIGHT : WRONG;
}
