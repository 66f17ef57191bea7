/* base/ed25519.c - one-shot signatures through OpenSSL. Thread: any. */
#include "base/ed25519.h"

#include <openssl/evp.h>

enum gw_status gw_ed25519_public(const unsigned char secret[GW_ED25519_KEY_BYTES],
                                 unsigned char out[GW_ED25519_KEY_BYTES])
{
    EVP_PKEY *k =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, GW_ED25519_KEY_BYTES);
    size_t n = GW_ED25519_KEY_BYTES;
    bool ok = k != NULL && EVP_PKEY_get_raw_public_key(k, out, &n) == 1;

    EVP_PKEY_free(k);
    return ok ? GW_OK : GW_EIO;
}

enum gw_status gw_ed25519_sign(const unsigned char secret[GW_ED25519_KEY_BYTES],
                               struct gw_span message, unsigned char out[GW_ED25519_SIG_BYTES])
{
    EVP_PKEY *k =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, GW_ED25519_KEY_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t n = GW_ED25519_SIG_BYTES;
    bool ok = k != NULL && c != NULL && EVP_DigestSignInit(c, NULL, NULL, NULL, k) == 1 &&
              EVP_DigestSign(c, out, &n, (const unsigned char *)message.ptr, message.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
    return ok ? GW_OK : GW_EIO;
}

bool gw_ed25519_verify(const unsigned char pub[GW_ED25519_KEY_BYTES], struct gw_span message,
                       const unsigned char sig[GW_ED25519_SIG_BYTES])
{
    EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, GW_ED25519_KEY_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = k != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1 &&
              EVP_DigestVerify(c, sig, GW_ED25519_SIG_BYTES, (const unsigned char *)message.ptr,
                               message.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
    return ok;
}
