/* tests/unit/proxy/token_maker.h - an issuer of signed tokens for the tests and the benchmark of proxy/identity: keys that OpenSSL
 * makes, their JWKS, tokens that they sign. */
#ifndef TESTS_UNIT_PROXY_TOKEN_MAKER_H
#define TESTS_UNIT_PROXY_TOKEN_MAKER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"

enum maker_kind { MAKER_RS256, MAKER_ES256, MAKER_EDDSA, N_MAKERS };
static const char *const maker_names[] = {"RS256", "ES256", "EdDSA"};

struct token_maker {
    enum maker_kind kind;
    const char *kid;
    EVP_PKEY *key;
};

static inline bool maker_open(struct token_maker *m, enum maker_kind kind, const char *kid)
{
    m->kind = kind;
    m->kid = kid;
    m->key = kind == MAKER_RS256   ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
             : kind == MAKER_ES256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return m->key != NULL;
}

static inline void maker_close(struct token_maker *m)
{
    EVP_PKEY_free(m->key);
}

/* `"name":"base64url"`: a number of the key, in n bytes; 0: as many as it has. */
static inline void maker_number(const struct token_maker *m, struct gw_buf *out, const char *name,
                                const char *param, int n)
{
    unsigned char bytes[512];
    BIGNUM *bn = NULL;

    if (EVP_PKEY_get_bn_param(m->key, param, &bn) == 1) {
        n = n == 0 ? BN_num_bytes(bn) : n;
        if (BN_bn2binpad(bn, bytes, n) == n) {
            gw_buf_printf(out, ",\"%s\":\"", name);
            gw_base64url(out, (struct gw_span){(char *)bytes, (size_t)n});
            gw_buf_addc(out, '"');
        }
    }
    BN_free(bn);
}

/* The public half as one key of a JWKS. */
static inline void maker_jwk(const struct token_maker *m, struct gw_buf *out)
{
    unsigned char raw[32];
    size_t n = sizeof(raw);

    gw_buf_printf(out, "{\"kid\":\"%s\",\"alg\":\"%s\",", m->kid, maker_names[m->kind]);
    if (m->kind == MAKER_RS256) {
        gw_buf_adds(out, "\"kty\":\"RSA\"");
        maker_number(m, out, "n", OSSL_PKEY_PARAM_RSA_N, 0);
        maker_number(m, out, "e", OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (m->kind == MAKER_ES256) {
        gw_buf_adds(out, "\"kty\":\"EC\",\"crv\":\"P-256\"");
        maker_number(m, out, "x", OSSL_PKEY_PARAM_EC_PUB_X, 32);
        maker_number(m, out, "y", OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    } else if (EVP_PKEY_get_raw_public_key(m->key, raw, &n) == 1) {
        gw_buf_adds(out, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        gw_base64url(out, (struct gw_span){(char *)raw, n});
        gw_buf_addc(out, '"');
    }
    gw_buf_addc(out, '}');
}

/* Writes the JWKS of the makers as a file that appears at once. */
static inline bool maker_write_jwks(const char *path, const struct token_maker *m, unsigned n)
{
    struct gw_buf text = {0};
    char next[512];
    bool ok = false;
    FILE *f;

    gw_buf_adds(&text, "{\"keys\":[");
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(&text, i == 0 ? "" : ",");
        maker_jwk(&m[i], &text);
    }
    gw_buf_adds(&text, "]}");
    (void)snprintf(next, sizeof(next), "%s.next", path);
    f = fopen(next, "wb");
    if (f != NULL) {
        ok = fwrite(text.ptr, 1, text.len, f) == text.len;
        ok = fclose(f) == 0 && ok && rename(next, path) == 0;
    }
    gw_buf_fini(&text);
    return ok;
}

/* r and s of an ASN.1 signature, 32 bytes each. */
static inline size_t maker_flat(const unsigned char *der, size_t n, unsigned char out[64])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool ok = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32;

    ECDSA_SIG_free(sig);
    return ok ? 64 : 0;
}

/* Appends a token with these claims (JSON). False: OpenSSL would not. */
static inline bool maker_sign(const struct token_maker *m, const char *claims, struct gw_buf *out)
{
    unsigned char sig[512], flat[64];
    size_t n = sizeof(sig), from = out->len;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char header[128];
    bool ok;

    (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
                   maker_names[m->kind], m->kid);
    gw_base64url(out, gw_span_str(header));
    gw_buf_addc(out, '.');
    gw_base64url(out, gw_span_str(claims));
    ok = ctx != NULL &&
         EVP_DigestSignInit_ex(ctx, NULL, m->kind == MAKER_EDDSA ? NULL : "SHA256", NULL, NULL,
                               m->key, NULL) == 1 &&
         EVP_DigestSign(ctx, sig, &n, (unsigned char *)out->ptr + from, out->len - from) == 1;
    EVP_MD_CTX_free(ctx);
    if (ok && m->kind == MAKER_ES256) {
        n = maker_flat(sig, n, flat);
        memcpy(sig, flat, n);
        ok = n != 0;
    }
    gw_buf_addc(out, '.');
    if (ok)
        gw_base64url(out, (struct gw_span){(char *)sig, n});
    return ok;
}

#endif
