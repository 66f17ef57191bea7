/* base/ed25519.h - Ed25519 signatures (RFC 8032): keys as raw bytes. The arithmetic is OpenSSL's. Thread: any. */
#ifndef BASE_ED25519_H
#define BASE_ED25519_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"

enum { GW_ED25519_KEY_BYTES = 32, GW_ED25519_SIG_BYTES = 64 };

/* The public key that belongs to the 32 secret bytes. GW_EIO when OpenSSL refuses (FIPS without Ed25519). */
enum gw_status gw_ed25519_public(const unsigned char secret[GW_ED25519_KEY_BYTES],
                                 unsigned char out[GW_ED25519_KEY_BYTES]);

enum gw_status gw_ed25519_sign(const unsigned char secret[GW_ED25519_KEY_BYTES],
                               struct gw_span message, unsigned char out[GW_ED25519_SIG_BYTES]);

bool gw_ed25519_verify(const unsigned char pub[GW_ED25519_KEY_BYTES], struct gw_span message,
                       const unsigned char sig[GW_ED25519_SIG_BYTES]);

#endif
