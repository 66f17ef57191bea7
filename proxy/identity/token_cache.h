/* proxy/identity/token_cache.h - tokens that were verified before, so that the same one costs a hash and not a signature.
 *
 * Holds no token: entries are found by the token's SHA-256, and are what verified claims had become. Only what was proven is
 * put in, so that a refusal is never remembered and never turns into its opposite. Fixed number of entries, of bounded size;
 * in a full set of TOKEN_CACHE_WAYS the one that was not used for the longest goes.
 *
 * Thread: any. A set of entries has a lock that nobody waits for: who finds it taken has no entry, and verifies. */
#ifndef PROXY_TOKEN_CACHE_H
#define PROXY_TOKEN_CACHE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "proxy/store/principal.h"

enum { TOKEN_CACHE_WAYS = 8, TOKEN_CACHE_MAX_BYTES = 4096 /* of one entry */ };

/* What a token was proven with, and when that holds. */
struct token_proof {
    unsigned line;             /* of auth.jwt */
    uint64_t keys_serial;      /* jwt_keys_serial() of the keys that verified it */
    int64_t from_ms, until_ms; /* wall clock: from_ms <= now < until_ms */
};

struct token_cache;

/* Room for n_tokens, rounded up to whole sets. NULL: out of memory. */
struct token_cache *token_cache_new(unsigned n_tokens);
void token_cache_free(struct token_cache *c); /* c may be NULL */

/* True: *proof and *who (copied into arena) are those of the token with that digest, and its time is now; whether keys and
 * line still hold is the caller's to compare. False: no entry; nothing was changed. An entry whose time is over is dropped. */
bool token_cache_get(struct token_cache *c, const unsigned char sum[GW_SHA256_BYTES],
                     int64_t now_ms, struct gw_arena *arena, struct proxy_principal *who,
                     struct token_proof *proof);

/* Remembers what was proven, in place of what was known of that token before; not when it would be too large, or memory or
 * the lock cannot be had. */
void token_cache_put(struct token_cache *c, const unsigned char sum[GW_SHA256_BYTES],
                     const struct proxy_principal *who, const struct token_proof *proof);

#endif
