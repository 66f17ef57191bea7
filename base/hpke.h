/* base/hpke.h - encryption to a public key, and with a shared one. The arithmetic is OpenSSL's.
 *
 * HPKE (RFC 9180), base mode, one message a context: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Who has only the
 * public key can encrypt and cannot read what was encrypted, not even their own. Thread: any. */
#ifndef BASE_HPKE_H
#define BASE_HPKE_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

enum {
    GW_X25519_BYTES = 32, /* a secret or a public key, and what stands in front of a message */
    GW_AEAD_KEY_BYTES = 32,
    GW_AEAD_NONCE_BYTES = 12,
    GW_AEAD_TAG_BYTES = 16, /* by so much a message grows */
};

/* AES-256-GCM of text into out, text.len + GW_AEAD_TAG_BYTES long. A key and a nonce go together once. GW_EIO: OpenSSL
 * refuses, or is out of memory; out is then undefined. */
enum gw_status gw_aead_seal(const unsigned char key[GW_AEAD_KEY_BYTES],
                            const unsigned char nonce[GW_AEAD_NONCE_BYTES], struct gw_span aad,
                            struct gw_span text, unsigned char *out);

/* The reverse, out is sealed.len - GW_AEAD_TAG_BYTES long. GW_ECORRUPT: not what was sealed with that key, nonce and aad;
 * out is then undefined and must not be used. */
enum gw_status gw_aead_open(const unsigned char key[GW_AEAD_KEY_BYTES],
                            const unsigned char nonce[GW_AEAD_NONCE_BYTES], struct gw_span aad,
                            struct gw_span sealed, unsigned char *out);

/* Reads an X25519 key as `openssl genpkey -algorithm x25519` (secret) or `openssl pkey -pubout` (public) writes it: PEM. A
 * secret one under a passphrase asks for it at the terminal. GW_EINVAL: it is none. out unchanged on failure. */
enum gw_status gw_x25519_read_secret(struct gw_span pem, unsigned char out[GW_X25519_BYTES],
                                     struct gw_err *err);
enum gw_status gw_x25519_read_public(struct gw_span pem, unsigned char out[GW_X25519_BYTES],
                                     struct gw_err *err);

/* The public key of a secret one. GW_EIO when OpenSSL refuses (FIPS without X25519). */
enum gw_status gw_x25519_public(const unsigned char secret[GW_X25519_BYTES],
                                unsigned char out[GW_X25519_BYTES]);

/* What both sides say beside the text: info about the use, aad about this message. Either may be empty. */
struct gw_hpke_about {
    struct gw_span info, aad;
};

/* Encrypts text to a public key: enc and out (text.len + GW_AEAD_TAG_BYTES) are what the receiver needs. GW_EINVAL: the
 * key is of small order; GW_EIO. */
enum gw_status gw_hpke_seal(const unsigned char to[GW_X25519_BYTES],
                            const struct gw_hpke_about *about, struct gw_span text,
                            unsigned char enc[GW_X25519_BYTES], unsigned char *out);

/* The same with a given secret half of enc instead of a fresh one: for test vectors. */
enum gw_status gw_hpke_seal_insecure(const unsigned char to[GW_X25519_BYTES],
                                     const unsigned char secret[GW_X25519_BYTES],
                                     const struct gw_hpke_about *about, struct gw_span text,
                                     unsigned char enc[GW_X25519_BYTES], unsigned char *out);

/* Decrypts with the secret key; out is sealed.len - GW_AEAD_TAG_BYTES long. GW_ECORRUPT: it was not sealed to this key, or
 * not with this about. */
enum gw_status gw_hpke_open(const unsigned char secret[GW_X25519_BYTES],
                            const unsigned char enc[GW_X25519_BYTES],
                            const struct gw_hpke_about *about, struct gw_span sealed,
                            unsigned char *out);

#endif
