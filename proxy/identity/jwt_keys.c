/* proxy/identity/jwt_keys.c - reads JSON Web Key Sets (RFC 7517) into OpenSSL's keys. Any thread. */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "proxy/config/config.h"
#include "proxy/identity/base64url.h"
#include "proxy/identity/jwt_private.h"

enum { MIN_RSA_BITS = 2048, MAX_RSA_BITS = 8192, MAX_ARENA = 2 << 20, ED25519_BYTES = 32 };

/* ---- algorithms -------------------------------------------------------------------------------- */

static const struct jwt_algorithm algorithms[] = {
    {"RS256", PROXY_JWT_RS256, EVP_PKEY_RSA, NULL, "SHA256", 0, false},
    {"RS384", PROXY_JWT_RS384, EVP_PKEY_RSA, NULL, "SHA384", 0, false},
    {"RS512", PROXY_JWT_RS512, EVP_PKEY_RSA, NULL, "SHA512", 0, false},
    {"PS256", PROXY_JWT_PS256, EVP_PKEY_RSA, NULL, "SHA256", 0, true},
    {"ES256", PROXY_JWT_ES256, EVP_PKEY_EC, "P-256", "SHA256", 32, false},
    {"ES384", PROXY_JWT_ES384, EVP_PKEY_EC, "P-384", "SHA384", 48, false},
    {"EdDSA", PROXY_JWT_EDDSA, EVP_PKEY_ED25519, "Ed25519", NULL, 0, false},
};
enum { N_ALGORITHMS = sizeof(algorithms) / sizeof(algorithms[0]) };

const struct jwt_algorithm *jwt_algorithm_named(struct gw_span name)
{
    for (unsigned i = 0; i < N_ALGORITHMS; i++)
        if (gw_span_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

const struct jwt_algorithm *jwt_algorithm_of(unsigned bit)
{
    for (unsigned i = 0; i < N_ALGORITHMS; i++)
        if (algorithms[i].bit == bit)
            return &algorithms[i];
    return NULL;
}

/* All that a key of that type and curve can verify. */
static unsigned algorithms_for(int type, struct gw_span curve)
{
    unsigned set = 0;

    for (unsigned i = 0; i < N_ALGORITHMS; i++)
        if (algorithms[i].key_type == type &&
            (algorithms[i].curve == NULL || gw_span_is(curve, algorithms[i].curve)))
            set |= algorithms[i].bit;
    return set;
}

/* ---- one key ------------------------------------------------------------------------------------ */

static struct gw_span bytes_of(const struct gw_json_node *jwk, const char *name,
                               struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(gw_json_get(jwk, name), arena);

    return text.len == 0 ? (struct gw_span){NULL, 0} : base64url_decode(arena, text);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY_CTX *check = NULL;
    EVP_PKEY *key = NULL;

    if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    if (key != NULL)
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    /* A point off the curve, an even modulus. */
    if (key != NULL && (check == NULL || EVP_PKEY_public_check(check) != 1)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static BIGNUM *number_of(struct gw_span bytes)
{
    return BN_bin2bn((const unsigned char *)bytes.ptr, (int)bytes.len, NULL);
}

static EVP_PKEY *read_rsa(const struct gw_json_node *jwk, struct gw_arena *arena)
{
    struct gw_span n = bytes_of(jwk, "n", arena), e = bytes_of(jwk, "e", arena);
    OSSL_PARAM_BLD *bld = NULL;
    OSSL_PARAM *params = NULL;
    BIGNUM *bn = NULL, *be = NULL;
    EVP_PKEY *key = NULL;

    if (n.len == 0 || e.len == 0 || n.len > MAX_RSA_BITS / 8 + 1 || e.len > 8)
        return NULL;
    bn = number_of(n);
    be = number_of(e);
    bld = OSSL_PARAM_BLD_new();
    if (bn != NULL && be != NULL && bld != NULL && BN_num_bits(bn) >= MIN_RSA_BITS &&
        BN_num_bits(bn) <= MAX_RSA_BITS && BN_is_odd(be) && BN_num_bits(be) > 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    key = params == NULL ? NULL : from_params("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn);
    BN_free(be);
    return key;
}

static EVP_PKEY *read_ec(const struct gw_json_node *jwk, struct gw_span curve,
                         struct gw_arena *arena)
{
    struct gw_span x = bytes_of(jwk, "x", arena), y = bytes_of(jwk, "y", arena);
    size_t size = gw_span_is(curve, "P-256") ? 32 : gw_span_is(curve, "P-384") ? 48 : 0;
    unsigned char point[97];
    char group[8] = "";
    OSSL_PARAM params[3];

    /* RFC 7518 6.2.1.2: as many bytes as the field has, leading zeros included. */
    if (size == 0 || x.len != size || y.len != size)
        return NULL;
    memcpy(group, curve.ptr, curve.len);
    point[0] = 4; /* not compressed */
    memcpy(point + 1, x.ptr, size);
    memcpy(point + 1 + size, y.ptr, size);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size);
    params[2] = OSSL_PARAM_construct_end();
    return from_params("EC", params);
}

static EVP_PKEY *read_okp(const struct gw_json_node *jwk, struct gw_span curve,
                          struct gw_arena *arena)
{
    struct gw_span x = bytes_of(jwk, "x", arena);

    if (!gw_span_is(curve, "Ed25519") || x.len != ED25519_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.ptr, x.len);
}

/* May it verify at all, by what it says of itself? */
static bool is_for_signatures(const struct gw_json_node *jwk)
{
    const struct gw_json_node *use = gw_json_get(jwk, "use"), *ops = gw_json_get(jwk, "key_ops");
    bool verify = ops == NULL;

    for (const struct gw_json_node *op = gw_json_is(ops, GW_JSON_ARRAY_BEGIN) ? ops->child : NULL;
         op != NULL; op = op->next)
        verify |= gw_json_text_is(op, "verify");
    /* A private key in a public place is nobody's proof of anything any more. */
    return verify && (use == NULL || gw_json_text_is(use, "sig")) && gw_json_get(jwk, "d") == NULL;
}

/* Reads one key; false when it is of no use. */
static bool read_key(const struct gw_json_node *jwk, struct gw_arena *arena, struct jwt_key *out)
{
    struct gw_span curve = gw_json_text(gw_json_get(jwk, "crv"), arena);
    struct gw_span kid = gw_json_text(gw_json_get(jwk, "kid"), arena);
    const struct gw_json_node *kty = gw_json_get(jwk, "kty"), *alg = gw_json_get(jwk, "alg");
    struct jwt_key key = {0};

    if (!gw_json_is(jwk, GW_JSON_OBJECT_BEGIN) || !is_for_signatures(jwk) ||
        kid.len >= sizeof(key.kid) || (kid.len != 0 && memchr(kid.ptr, '\0', kid.len) != NULL))
        return false;
    if (gw_json_text_is(kty, "RSA")) {
        key.algorithms = algorithms_for(EVP_PKEY_RSA, curve);
        key.pkey = read_rsa(jwk, arena);
    } else if (gw_json_text_is(kty, "EC")) {
        key.algorithms = algorithms_for(EVP_PKEY_EC, curve);
        key.pkey = read_ec(jwk, curve, arena);
    } else if (gw_json_text_is(kty, "OKP")) {
        key.algorithms = algorithms_for(EVP_PKEY_ED25519, curve);
        key.pkey = read_okp(jwk, curve, arena);
    }
    ERR_clear_error();
    if (alg != NULL) {
        const struct jwt_algorithm *a = jwt_algorithm_named(gw_json_text(alg, arena));

        key.algorithms &= a == NULL ? 0 : a->bit;
    }
    if (key.pkey == NULL || key.algorithms == 0) {
        EVP_PKEY_free(key.pkey);
        return false;
    }
    if (kid.len != 0)
        memcpy(key.kid, kid.ptr, kid.len);
    *out = key;
    return true;
}

/* ---- sets --------------------------------------------------------------------------------------- */

static enum gw_status read_set(const struct gw_json_node *root, struct gw_arena *arena,
                               struct jwt_keys *set, struct gw_err *err)
{
    const struct gw_json_node *list = gw_json_get(root, "keys");

    if (!gw_json_is(list, GW_JSON_ARRAY_BEGIN))
        return gw_fail(err, GW_EPARSE, "not a JWKS: no list \"keys\"");
    for (const struct gw_json_node *jwk = list->child; jwk != NULL && set->n < JWT_MAX_KEYS;
         jwk = jwk->next)
        if (read_key(jwk, arena, &set->keys[set->n]))
            set->n++;
    if (gw_arena_failed(arena))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (set->n == 0)
        return gw_fail(err, GW_EPARSE,
                       "the JWKS has no key that can verify (RSA from 2,048 bits, P-256, P-384, "
                       "Ed25519; for signatures)");
    return GW_OK;
}

enum gw_status jwt_keys_read(struct gw_span json, struct jwt_keys **out, struct gw_err *err)
{
    static const struct gw_json_limits limits = {.max_depth = 8, .max_keys = 2000};
    static atomic_uint_fast64_t last_serial;
    struct jwt_keys *set = calloc(1, sizeof(*set));
    struct gw_arena *arena = gw_arena_new(MAX_ARENA);
    struct gw_json *reader = gw_json_new();
    struct gw_json_node *root = NULL;
    enum gw_status st = GW_ENOMEM;

    if (set != NULL) {
        atomic_init(&set->refs, 1);
        set->serial = atomic_fetch_add(&last_serial, 1) + 1;
    }
    if (set == NULL || arena == NULL || reader == NULL)
        (void)gw_fail(err, st, "out of memory");
    else if (json.len > JWT_MAX_SET_BYTES)
        st = gw_fail(err, GW_EPARSE, "a JWKS above 256 KiB");
    else
        st = gw_json_tree(reader, arena, json, &limits, &root, err);
    if (st == GW_OK)
        st = read_set(root, arena, set, err);
    else if (st != GW_ENOMEM)
        st = GW_EPARSE;
    gw_json_free(reader);
    gw_arena_free(arena);
    if (st == GW_OK)
        *out = set;
    else
        jwt_keys_unref(set);
    return st;
}

unsigned jwt_keys_count(const struct jwt_keys *keys)
{
    return keys->n;
}

uint64_t jwt_keys_serial(const struct jwt_keys *keys)
{
    return keys->serial;
}

struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys)
{
    atomic_fetch_add(&keys->refs, 1);
    return keys;
}

void jwt_keys_unref(struct jwt_keys *keys)
{
    if (keys == NULL || atomic_fetch_sub(&keys->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < keys->n; i++)
        EVP_PKEY_free(keys->keys[i].pkey);
    free(keys);
}
