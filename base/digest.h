/* base/digest.h - the hashes, identifiers and random bytes that every folder needs.
 *
 * The arithmetic is OpenSSL's; this header keeps its types out of the rest. Thread: any. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum { GW_SHA256_BYTES = 32, GW_SHA256_HEX_BYTES = 65, GW_ULID_BYTES = 27 };

/* SHA-256 (FIPS 180-4) of the bytes. Out of memory: random bytes, which are the digest of nothing; so are those of the
 * functions below. */
void gw_sha256(struct gw_span bytes, unsigned char out[GW_SHA256_BYTES]);

/* SHA-256 of a and b, one behind the other; for many small ones: a thread's first call takes memory, which it keeps. */
void gw_sha256_pair(struct gw_span a, struct gw_span b, unsigned char out[GW_SHA256_BYTES]);

/* HMAC-SHA-256 (RFC 2104) of the bytes. */
void gw_hmac_sha256(struct gw_span key, struct gw_span bytes, unsigned char out[GW_SHA256_BYTES]);

/* SHA-256 over many pieces. gw_hash_new returns NULL when out of memory; final also frees h. */
struct gw_hash;
struct gw_hash *gw_hash_new(void);
void gw_hash_add(struct gw_hash *h, struct gw_span bytes);
void gw_hash_final(struct gw_hash *h, unsigned char out[GW_SHA256_BYTES]);
void gw_hash_free(struct gw_hash *h);

/* Writes n bytes as 2n lower-case hex digits and a NUL. */
void gw_hex(const unsigned char *bytes, size_t n, char *out);

/* Fills out with n bytes of the system's randomness; ends the process when there is none, because no
 * safe answer exists then. */
void gw_random(void *out, size_t n);

/* The same in small pieces from a pool of the thread, without a system call for each: for the seeds of hash tables and for
 * ids, several a request. Not for keys, and not in a process that forks and goes on. */
void gw_random_seed(void *out, size_t n);

/* Writes a fresh ULID (26 Crockford base32 characters: 48 bits of milliseconds, 80 random bits) and a
 * NUL. Ids of one thread ascend strictly. */
void gw_ulid(char out[GW_ULID_BYTES]);

/* Equality in time that depends on n alone. */
int gw_equal_ct(const void *a, const void *b, size_t n);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) continued from crc (0 at the start). */
uint32_t gw_crc32c(uint32_t crc, struct gw_span bytes);

#endif
