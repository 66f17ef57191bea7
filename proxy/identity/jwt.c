/* proxy/identity/jwt.c - takes tokens apart and verifies them. Any thread. */
#include "proxy/identity/jwt.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "proxy/identity/base64url.h"
#include "proxy/identity/jwt_private.h"

enum { MAX_KID = 128, MAX_TRIES = 8, MAX_DER = 160, MAX_PATH = 8 };

/* ---- taking apart ------------------------------------------------------------------------------ */

static bool split(struct gw_span text, struct gw_span part[3])
{
    for (int i = 0; i < 3; i++) {
        const char *dot = text.len == 0 ? NULL : memchr(text.ptr, '.', text.len);

        if ((dot == NULL) != (i == 2))
            return false;
        part[i] = (struct gw_span){text.ptr, dot == NULL ? text.len : (size_t)(dot - text.ptr)};
        text = gw_span_from(text, part[i].len + 1);
        if (part[i].len == 0)
            return false;
    }
    return true;
}

bool jwt_looks_like(struct gw_span text)
{
    struct gw_span part[3];

    return split(text, part) && gw_base64url_is(part[0]) && gw_base64url_is(part[1]) &&
           gw_base64url_is(part[2]);
}

/* Decodes a part and reads it as a JSON object. */
static enum gw_status read_object(struct gw_span part, struct gw_arena *arena, struct gw_json *json,
                                  const struct gw_json_node **out)
{
    static const struct gw_json_limits limits = {.max_depth = 8, .max_keys = 500};
    struct gw_span text = base64url_decode(arena, part);
    struct gw_json_node *root = NULL;
    enum gw_status st;

    if (text.ptr == NULL)
        return gw_arena_failed(arena) ? GW_ENOMEM : GW_EPARSE;
    st = gw_json_tree(json, arena, text, &limits, &root, NULL);
    if (st != GW_OK)
        return st == GW_ENOMEM ? st : GW_EPARSE;
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return GW_EPARSE;
    *out = root;
    return GW_OK;
}

/* `typ` of a token, RFC 7519 5.1 and RFC 9068 2.1; others are other things that the issuer signs, such as logout
 * messages. */
static bool is_token_type(const struct gw_json_node *typ, struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(typ, arena);

    if (typ == NULL)
        return true;
    if (text.len > 12 && gw_span_eq_nocase((struct gw_span){text.ptr, 12}, GW_SPAN("application/")))
        text = gw_span_from(text, 12);
    return gw_span_eq_nocase(text, GW_SPAN("JWT")) || gw_span_eq_nocase(text, GW_SPAN("at+jwt"));
}

static enum gw_status read_header(const struct gw_json_node *header, struct gw_arena *arena,
                                  struct jwt *out, const char **why)
{
    const struct gw_json_node *kid = gw_json_get(header, "kid");
    const struct jwt_algorithm *a =
        jwt_algorithm_named(gw_json_text(gw_json_get(header, "alg"), arena));

    *why = "The token's header asks for something that is not supported.";
    if (gw_json_get(header, "crit") != NULL || gw_json_get(header, "b64") != NULL ||
        gw_json_get(header, "cty") != NULL || gw_json_get(header, "enc") != NULL ||
        gw_json_get(header, "zip") != NULL)
        return GW_EUNSUPPORTED;
    if (!is_token_type(gw_json_get(header, "typ"), arena))
        return GW_EUNSUPPORTED;
    if (a == NULL) {
        *why = "The token's signature algorithm is not accepted.";
        return GW_EUNSUPPORTED;
    }
    out->algorithm = a->bit;
    if (kid == NULL)
        return GW_OK;
    out->kid = gw_json_text(kid, arena);
    *why = "The token's key id is malformed.";
    return out->kid.len == 0 || out->kid.len > MAX_KID ? GW_EPARSE : GW_OK;
}

enum gw_status jwt_read(struct gw_span text, struct gw_arena *arena, struct gw_json *json,
                        struct jwt *out, const char **why)
{
    const struct gw_json_node *header = NULL;
    struct gw_span part[3];
    struct jwt t = {0};

    *why = "The token is too large.";
    if (text.len > JWT_MAX_BYTES)
        return GW_ELIMIT;
    *why = "The token is malformed.";
    if (!split(text, part))
        return GW_EPARSE;
    t.signed_text = (struct gw_span){text.ptr, part[0].len + 1 + part[1].len};
    t.signature = base64url_decode(arena, part[2]);
    if (t.signature.ptr == NULL)
        return gw_arena_failed(arena) ? GW_ENOMEM : GW_EPARSE;
    GW_TRY(read_object(part[0], arena, json, &header));
    GW_TRY(read_header(header, arena, &t, why));
    *why = "The token is malformed.";
    GW_TRY(read_object(part[1], arena, json, &t.claims));
    t.issuer = gw_json_text(gw_json_get(t.claims, "iss"), arena);
    if (gw_arena_failed(arena))
        return GW_ENOMEM;
    *out = t;
    return GW_OK;
}

/* ---- the signature ------------------------------------------------------------------------------ */

/* r and s, one behind the other, as the ASN.1 that OpenSSL reads. Returns its length, 0 on failure. */
static size_t to_der(struct gw_span raw, unsigned half, unsigned char out[MAX_DER])
{
    const unsigned char *bytes = (const unsigned char *)raw.ptr;
    ECDSA_SIG *sig = NULL;
    unsigned char *p = out;
    BIGNUM *r, *s;
    int n = 0;

    if (raw.len != (size_t)half * 2)
        return 0;
    r = BN_bin2bn(bytes, (int)half, NULL);
    s = BN_bin2bn(bytes + half, (int)half, NULL);
    sig = ECDSA_SIG_new();
    if (r == NULL || s == NULL || sig == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    } else if (i2d_ECDSA_SIG(sig, NULL) <= MAX_DER) {
        n = i2d_ECDSA_SIG(sig, &p);
    }
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct jwt_algorithm *a)
{
    if (a->key_type != EVP_PKEY_RSA)
        return true;
    if (!a->pss)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static enum gw_status verify_with(const struct jwt *t, const struct jwt_algorithm *a, EVP_PKEY *key)
{
    const unsigned char *sig = (const unsigned char *)t->signature.ptr;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *params = NULL;
    unsigned char der[MAX_DER];
    size_t n = t->signature.len;
    enum gw_status st = GW_EDENIED;

    if (ctx == NULL)
        return GW_ENOMEM;
    if (a->half_bytes != 0) {
        n = to_der(t->signature, a->half_bytes, der);
        sig = der;
    }
    if (n != 0 && EVP_DigestVerifyInit_ex(ctx, &params, a->digest, NULL, NULL, key, NULL) == 1 &&
        set_padding(params, a) &&
        EVP_DigestVerify(ctx, sig, n, (const unsigned char *)t->signed_text.ptr,
                         t->signed_text.len) == 1)
        st = GW_OK;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return st;
}

enum gw_status jwt_verify(const struct jwt *t, const struct jwt_keys *keys)
{
    const struct jwt_algorithm *a = jwt_algorithm_of(t->algorithm);
    enum gw_status st = GW_ENOENT;
    unsigned tries = 0;

    for (unsigned i = 0; a != NULL && i < keys->n && tries < MAX_TRIES; i++) {
        const struct jwt_key *key = &keys->keys[i];

        if (t->kid.len != 0 && !gw_span_is(t->kid, key->kid))
            continue;
        if ((key->algorithms & a->bit) == 0) {
            if (t->kid.len != 0)
                st = GW_EDENIED; /* the key is known, and is not for this */
            continue;
        }
        tries++;
        st = verify_with(t, a, key->pkey);
        if (st != GW_EDENIED)
            return st;
    }
    return st;
}

/* ---- claims ------------------------------------------------------------------------------------- */

static bool whole(const struct gw_json_node *node, int64_t *out)
{
    uint64_t n = gw_json_uint(node, UINT64_MAX);

    if (n == UINT64_MAX)
        return false;
    *out = (int64_t)n; /* at most 2^53 */
    return true;
}

enum gw_status jwt_check_times(const struct jwt *t, const struct jwt_times *times,
                               struct jwt_validity *out, const char **why)
{
    const struct gw_json_node *nbf = gw_json_get(t->claims, "nbf");
    const struct gw_json_node *iat = gw_json_get(t->claims, "iat");
    int64_t exp = 0, from = 0, issued = 0;
    struct jwt_validity v;

    *why = "The token needs an exp, and exp, nbf and iat must be whole numbers.";
    if (!whole(gw_json_get(t->claims, "exp"), &exp) || (nbf != NULL && !whole(nbf, &from)) ||
        (iat != NULL && !whole(iat, &issued)))
        return GW_EPARSE;
    v.until_s = exp + times->leeway_s;
    v.from_s = (from > issued ? from : issued) - times->leeway_s;
    *why = "The token has expired.";
    if (times->now_s >= v.until_s)
        return GW_ETIMEDOUT;
    *why = "The token is not valid yet.";
    if (times->now_s < v.from_s)
        return GW_EDENIED;
    *out = v;
    return GW_OK;
}

static bool is_one_of(const struct gw_json_node *node, const struct gw_span *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (gw_json_text_is(node, names[i].ptr))
            return true;
    return false;
}

bool jwt_has_audience(const struct jwt *t, const struct gw_span *audiences, unsigned n)
{
    const struct gw_json_node *aud = gw_json_get(t->claims, "aud");

    if (!gw_json_is(aud, GW_JSON_ARRAY_BEGIN))
        return aud != NULL && is_one_of(aud, audiences, n);
    for (const struct gw_json_node *a = aud->child; a != NULL; a = a->next)
        if (is_one_of(a, audiences, n))
            return true;
    return false;
}

const struct gw_json_node *jwt_claim(const struct jwt *t, const char *name, struct gw_arena *arena)
{
    const struct gw_json_node *node = gw_json_get(t->claims, name);
    struct gw_span rest = gw_span_str(name);

    if (node != NULL)
        return node;
    node = t->claims;
    for (int i = 0; i < MAX_PATH && node != NULL && rest.len != 0; i++) {
        const char *dot = memchr(rest.ptr, '.', rest.len);
        struct gw_span step = {rest.ptr, dot == NULL ? rest.len : (size_t)(dot - rest.ptr)};
        struct gw_span key = gw_arena_copy(arena, step);

        if (key.ptr == NULL)
            return NULL;
        node = gw_json_get(node, key.ptr);
        rest = gw_span_from(rest, step.len + 1);
    }
    return rest.len == 0 && node != t->claims ? node : NULL;
}
