/* base/hpke.c - RFC 9180 sections 4.1 (DHKEM), 5.1 (key schedule) and 6.1 (single shot), of OpenSSL's parts. Thread: any. */
#include "base/hpke.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/digest.h"

/* ---- AES-256-GCM --------------------------------------------------------------------------- */

enum { MAX_TEXT_BYTES = 1 << 30 };

enum gw_status gw_aead_seal(const unsigned char key[GW_AEAD_KEY_BYTES],
                            const unsigned char nonce[GW_AEAD_NONCE_BYTES], struct gw_span aad,
                            struct gw_span text, unsigned char *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, m = 0;
    bool ok = c != NULL && text.len <= MAX_TEXT_BYTES && aad.len <= MAX_TEXT_BYTES &&
              EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              (aad.len == 0 ||
               EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)aad.ptr, (int)aad.len) == 1) &&
              (text.len == 0 || EVP_EncryptUpdate(c, out, &m, (const unsigned char *)text.ptr,
                                                  (int)text.len) == 1) &&
              EVP_EncryptFinal_ex(c, out + m, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GW_AEAD_TAG_BYTES, out + text.len) == 1;

    EVP_CIPHER_CTX_free(c);
    return ok ? GW_OK : GW_EIO;
}

enum gw_status gw_aead_open(const unsigned char key[GW_AEAD_KEY_BYTES],
                            const unsigned char nonce[GW_AEAD_NONCE_BYTES], struct gw_span aad,
                            struct gw_span sealed, unsigned char *out)
{
    EVP_CIPHER_CTX *c;
    unsigned char tag[GW_AEAD_TAG_BYTES];
    size_t len = sealed.len - GW_AEAD_TAG_BYTES;
    int n = 0, m = 0;
    bool ok;

    if (sealed.len < GW_AEAD_TAG_BYTES || sealed.len > MAX_TEXT_BYTES || aad.len > MAX_TEXT_BYTES)
        return GW_ECORRUPT;
    c = EVP_CIPHER_CTX_new();
    if (c == NULL)
        return GW_ENOMEM;
    memcpy(tag, sealed.ptr + len, sizeof(tag));
    ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, GW_AEAD_TAG_BYTES, tag) == 1 &&
         (aad.len == 0 ||
          EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)aad.ptr, (int)aad.len) == 1) &&
         (len == 0 ||
          EVP_DecryptUpdate(c, out, &m, (const unsigned char *)sealed.ptr, (int)len) == 1) &&
         EVP_DecryptFinal_ex(c, out + m, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? GW_OK : GW_ECORRUPT;
}

/* ---- X25519 -------------------------------------------------------------------------------- */

enum gw_status gw_x25519_public(const unsigned char secret[GW_X25519_BYTES],
                                unsigned char out[GW_X25519_BYTES])
{
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, GW_X25519_BYTES);
    size_t n = GW_X25519_BYTES;
    bool ok = k != NULL && EVP_PKEY_get_raw_public_key(k, out, &n) == 1;

    EVP_PKEY_free(k);
    return ok ? GW_OK : GW_EIO;
}

/* The shared point. OpenSSL refuses the all-zero one, as RFC 9180 section 7.1.4 demands. */
static bool shared_point(const unsigned char secret[GW_X25519_BYTES],
                         const unsigned char pub[GW_X25519_BYTES],
                         unsigned char out[GW_X25519_BYTES])
{
    EVP_PKEY *mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, GW_X25519_BYTES);
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub, GW_X25519_BYTES);
    EVP_PKEY_CTX *c = mine == NULL ? NULL : EVP_PKEY_CTX_new(mine, NULL);
    size_t n = GW_X25519_BYTES;
    bool ok = c != NULL && other != NULL && EVP_PKEY_derive_init(c) == 1 &&
              EVP_PKEY_derive_set_peer(c, other) == 1 && EVP_PKEY_derive(c, out, &n) == 1 &&
              n == GW_X25519_BYTES;

    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(mine);
    EVP_PKEY_free(other);
    return ok;
}

static enum gw_status read_pem(struct gw_span pem, bool secret, unsigned char out[GW_X25519_BYTES],
                               struct gw_err *err)
{
    unsigned char key[GW_X25519_BYTES];
    size_t n = sizeof(key);
    BIO *b = pem.len > 1 << 20 ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *k = NULL;
    bool ok;

    if (b != NULL)
        k = secret ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL)
                   : PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
    ok = k != NULL && EVP_PKEY_is_a(k, "X25519") == 1 &&
         (secret ? EVP_PKEY_get_raw_private_key(k, key, &n)
                 : EVP_PKEY_get_raw_public_key(k, key, &n)) == 1 &&
         n == sizeof(key);
    if (ok)
        memcpy(out, key, sizeof(key));
    OPENSSL_cleanse(key, sizeof(key));
    EVP_PKEY_free(k);
    BIO_free(b);
    if (ok)
        return GW_OK;
    return gw_fail(err, GW_EINVAL,
                   secret ? "not an X25519 private key in PEM; make one with `openssl genpkey "
                            "-algorithm x25519 -out auditor.pem`"
                          : "not an X25519 public key in PEM; make it with `openssl pkey -in "
                            "auditor.pem -pubout -out auditor.pub`");
}

enum gw_status gw_x25519_read_secret(struct gw_span pem, unsigned char out[GW_X25519_BYTES],
                                     struct gw_err *err)
{
    return read_pem(pem, true, out, err);
}

enum gw_status gw_x25519_read_public(struct gw_span pem, unsigned char out[GW_X25519_BYTES],
                                     struct gw_err *err)
{
    return read_pem(pem, false, out, err);
}

/* ---- the labelled key derivation (RFC 9180 section 4) ---------------------------------------- */

#define KEM_SUITE                                                                                  \
    (struct gw_span)                                                                               \
    {                                                                                              \
        "KEM\x00\x20", 5                                                                           \
    }
#define HPKE_SUITE                                                                                 \
    (struct gw_span)                                                                               \
    {                                                                                              \
        "HPKE\x00\x20\x00\x01\x00\x02", 10                                                         \
    }

enum { MAX_LABELLED_BYTES = 512 };

/* Bytes that are put together for one HMAC. What does not fit makes it useless, which the caller sees. */
struct piece {
    char bytes[MAX_LABELLED_BYTES];
    size_t len;
    bool full;
};

static void add(struct piece *p, struct gw_span s)
{
    if (s.len > sizeof(p->bytes) - p->len) {
        p->full = true;
        return;
    }
    if (s.len != 0)
        memcpy(p->bytes + p->len, s.ptr, s.len);
    p->len += s.len;
}

/* LabeledExtract. salt and ikm may be empty. */
static bool extract(struct gw_span suite, struct gw_span salt, struct gw_span label,
                    struct gw_span ikm, unsigned char out[GW_SHA256_BYTES])
{
    static const char zeros[GW_SHA256_BYTES];
    struct piece p = {.len = 0};

    add(&p, GW_SPAN("HPKE-v1"));
    add(&p, suite);
    add(&p, label);
    add(&p, ikm);
    if (salt.len == 0)
        salt = (struct gw_span){zeros, sizeof(zeros)};
    gw_hmac_sha256(salt, (struct gw_span){p.bytes, p.len}, out);
    OPENSSL_cleanse(&p, sizeof(p.bytes));
    return !p.full;
}

/* LabeledExpand of at most one block: L up to 32. */
static bool expand(struct gw_span suite, const unsigned char prk[GW_SHA256_BYTES],
                   struct gw_span label, struct gw_span info, size_t n, unsigned char *out)
{
    const char length[2] = {0, (char)n};
    unsigned char block[GW_SHA256_BYTES];
    struct piece p = {.len = 0};

    add(&p, (struct gw_span){length, sizeof(length)});
    add(&p, GW_SPAN("HPKE-v1"));
    add(&p, suite);
    add(&p, label);
    add(&p, info);
    add(&p, (struct gw_span){"\x01", 1});
    gw_hmac_sha256((struct gw_span){(const char *)prk, GW_SHA256_BYTES},
                   (struct gw_span){p.bytes, p.len}, block);
    memcpy(out, block, n);
    OPENSSL_cleanse(block, sizeof(block));
    return !p.full;
}

struct schedule {
    unsigned char key[GW_AEAD_KEY_BYTES], nonce[GW_AEAD_NONCE_BYTES];
};

/* ExtractAndExpand of the point, then the key schedule of mode_base. */
static bool derive(const unsigned char point[GW_X25519_BYTES],
                   const unsigned char enc[GW_X25519_BYTES],
                   const unsigned char pub[GW_X25519_BYTES], struct gw_span info,
                   struct schedule *out)
{
    unsigned char context[2 * GW_X25519_BYTES], prk[GW_SHA256_BYTES], shared[GW_SHA256_BYTES];
    unsigned char about[1 + 2 * GW_SHA256_BYTES] = {0}; /* mode_base, hash of psk id, of info */
    const struct gw_span none = {NULL, 0}, kem = KEM_SUITE, hpke = HPKE_SUITE;
    bool ok;

    memcpy(context, enc, GW_X25519_BYTES);
    memcpy(context + GW_X25519_BYTES, pub, GW_X25519_BYTES);
    ok = extract(kem, none, GW_SPAN("eae_prk"),
                 (struct gw_span){(const char *)point, GW_X25519_BYTES}, prk) &&
         expand(kem, prk, GW_SPAN("shared_secret"),
                (struct gw_span){(const char *)context, sizeof(context)}, sizeof(shared), shared) &&
         extract(hpke, none, GW_SPAN("psk_id_hash"), none, about + 1) &&
         extract(hpke, none, GW_SPAN("info_hash"), info, about + 1 + GW_SHA256_BYTES) &&
         extract(hpke, (struct gw_span){(const char *)shared, sizeof(shared)}, GW_SPAN("secret"),
                 none, prk) &&
         expand(hpke, prk, GW_SPAN("key"), (struct gw_span){(const char *)about, sizeof(about)},
                sizeof(out->key), out->key) &&
         expand(hpke, prk, GW_SPAN("base_nonce"),
                (struct gw_span){(const char *)about, sizeof(about)}, sizeof(out->nonce),
                out->nonce);
    OPENSSL_cleanse(prk, sizeof(prk));
    OPENSSL_cleanse(shared, sizeof(shared));
    return ok;
}

/* ---- single shot ------------------------------------------------------------------------------ */

enum gw_status gw_hpke_seal_insecure(const unsigned char to[GW_X25519_BYTES],
                                     const unsigned char secret[GW_X25519_BYTES],
                                     const struct gw_hpke_about *about, struct gw_span text,
                                     unsigned char enc[GW_X25519_BYTES], unsigned char *out)
{
    unsigned char point[GW_X25519_BYTES];
    enum gw_status st = gw_x25519_public(secret, enc);
    struct schedule s;

    if (st != GW_OK)
        return st;
    if (!shared_point(secret, to, point))
        return GW_EINVAL;
    st = derive(point, enc, to, about->info, &s) ? GW_OK : GW_EINVAL;
    if (st == GW_OK)
        st = gw_aead_seal(s.key, s.nonce, about->aad, text, out);
    OPENSSL_cleanse(point, sizeof(point));
    OPENSSL_cleanse(&s, sizeof(s));
    return st;
}

enum gw_status gw_hpke_seal(const unsigned char to[GW_X25519_BYTES],
                            const struct gw_hpke_about *about, struct gw_span text,
                            unsigned char enc[GW_X25519_BYTES], unsigned char *out)
{
    unsigned char secret[GW_X25519_BYTES];
    enum gw_status st;

    gw_random(secret, sizeof(secret));
    st = gw_hpke_seal_insecure(to, secret, about, text, enc, out);
    OPENSSL_cleanse(secret, sizeof(secret));
    return st;
}

enum gw_status gw_hpke_open(const unsigned char secret[GW_X25519_BYTES],
                            const unsigned char enc[GW_X25519_BYTES],
                            const struct gw_hpke_about *about, struct gw_span sealed,
                            unsigned char *out)
{
    unsigned char point[GW_X25519_BYTES], pub[GW_X25519_BYTES];
    enum gw_status st = gw_x25519_public(secret, pub);
    struct schedule s;

    if (st != GW_OK)
        return st;
    if (!shared_point(secret, enc, point))
        return GW_ECORRUPT;
    st = derive(point, enc, pub, about->info, &s) ? GW_OK : GW_EINVAL;
    if (st == GW_OK)
        st = gw_aead_open(s.key, s.nonce, about->aad, sealed, out);
    OPENSSL_cleanse(point, sizeof(point));
    OPENSSL_cleanse(&s, sizeof(s));
    return st;
}
