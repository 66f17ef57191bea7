/* proxy/identity/jwt_private.h - what jwt.c (tokens) and jwt_keys.c (keys) share. */
#ifndef PROXY_JWT_PRIVATE_H
#define PROXY_JWT_PRIVATE_H

#include <stdatomic.h>

#include <openssl/evp.h>

#include "proxy/identity/jwt.h"

/* A signature algorithm (RFC 7518 section 3.1, RFC 8037). */
struct jwt_algorithm {
    const char *name;
    unsigned bit;        /* enum proxy_jwt_algorithm */
    int key_type;        /* EVP_PKEY_RSA, _EC, _ED25519 */
    const char *curve;   /* EC: OpenSSL's name of its group */
    const char *digest;  /* NULL: part of the algorithm */
    unsigned half_bytes; /* EC: of r and of s */
    bool pss;
};
const struct jwt_algorithm *jwt_algorithm_named(struct gw_span name);
const struct jwt_algorithm *jwt_algorithm_of(unsigned bit);

struct jwt_key {
    char kid[129];
    unsigned algorithms; /* what it may verify: by its type, curve and its own `alg` */
    EVP_PKEY *pkey;
};

struct jwt_keys {
    atomic_uint refs;
    uint64_t serial;
    unsigned n;
    struct jwt_key keys[JWT_MAX_KEYS];
};

#endif
