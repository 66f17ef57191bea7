/* proxy/identity/jwt.h - signed tokens (RFC 7515, 7519) and the key sets that verify them (RFC 7517, 8037). Pure; any thread.
 *
 * The signature arithmetic is OpenSSL's. Refused whatever the configuration says: `none` and symmetric algorithms,
 * encrypted and nested tokens, `crit`, keys or key addresses that the token brings itself (they are not looked at), a
 * signature by a key of another type, curve or stated algorithm than the header names, tokens without `exp`.
 *
 * Invariants: (J1) nothing of a token is believed before its signature was verified, but which issuer and key to ask;
 * (J2) the algorithm is fixed by the configuration and the key, the header can only fail to agree; (J3) memory is bounded by
 * JWT_MAX_BYTES, JWT_MAX_SET_BYTES and JWT_MAX_KEYS. */
#ifndef PROXY_JWT_H
#define PROXY_JWT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "base/span.h"

enum { JWT_MAX_BYTES = 8 * 1024, JWT_MAX_SET_BYTES = 256 * 1024, JWT_MAX_KEYS = 64 };

/* ---- key sets ---------------------------------------------------------------------------------- */

struct jwt_keys;

/* Reads a JWKS. Keys that cannot verify (of unknown types, private, symmetric, too short, for encryption) are left out.
 * GW_EPARSE: not a JWKS, or no key of it is of use; GW_ENOMEM. */
enum gw_status jwt_keys_read(struct gw_span json, struct jwt_keys **out, struct gw_err *err);
unsigned jwt_keys_count(const struct jwt_keys *keys);
/* A number that no other set of this process has or had, never 0. */
uint64_t jwt_keys_serial(const struct jwt_keys *keys);
struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys);
void jwt_keys_unref(struct jwt_keys *keys); /* keys may be NULL */

/* ---- tokens ------------------------------------------------------------------------------------ */

/* Could this be one? "a.b.c", each part of the right alphabet. */
bool jwt_looks_like(struct gw_span text);

/* A token, taken apart but not believed. */
struct jwt {
    struct gw_span signed_text; /* header and payload as they came */
    struct gw_span signature;   /* decoded */
    unsigned algorithm;         /* one enum proxy_jwt_algorithm; 0: none that we know */
    struct gw_span kid;         /* or empty */
    const struct gw_json_node *claims;
    struct gw_span issuer; /* or empty */
};

/* Takes a token apart; the result lies in the arena. *why: a fixed sentence for the client on failure. GW_EPARSE; GW_ELIMIT;
 * GW_EUNSUPPORTED (crit, a type that is no token, an algorithm that we do not know); GW_ENOMEM. */
enum gw_status jwt_read(struct gw_span text, struct gw_arena *arena, struct gw_json *json,
                        struct jwt *out, const char **why);

/* Verifies the signature. GW_ENOENT: no key of that id (or, without an id, none that suits); GW_EDENIED: it is wrong;
 * GW_ENOMEM. */
enum gw_status jwt_verify(const struct jwt *t, const struct jwt_keys *keys);

struct jwt_times {
    int64_t now_s, leeway_s;
};
/* From when to when a token holds, leeway included: from_s <= now < until_s. */
struct jwt_validity {
    int64_t from_s, until_s;
};
/* Checks `exp` (required), `nbf` and `iat`. GW_ETIMEDOUT: expired; GW_EDENIED: not valid yet, or issued in the future;
 * GW_EPARSE: missing or not whole numbers. */
enum gw_status jwt_check_times(const struct jwt *t, const struct jwt_times *times,
                               struct jwt_validity *out, const char **why);

/* Is one of these in `aud` (a text or a list of texts)? */
bool jwt_has_audience(const struct jwt *t, const struct gw_span *audiences, unsigned n);

/* The claim of that name; a name that is no member is a path: "realm_access.roles". NULL: none. */
const struct gw_json_node *jwt_claim(const struct jwt *t, const char *name, struct gw_arena *arena);

#endif
