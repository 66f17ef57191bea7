/* base/digest.c - OpenSSL behind plain functions; CRC-32C by table or by the SSE 4.2 instruction. */
#include "base/digest.h"

#include <sys/random.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/clock.h"

struct gw_hash {
    EVP_MD_CTX *ctx;
};

/* SHA256() and HMAC() look their algorithm up by name in OpenSSL's providers, under locks, each time: some 15,000
 * instructions. Looked up once, and kept as long as the process. */
static EVP_MD *fetched_md;
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch_md(void)
{
    fetched_md = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *md(void)
{
    (void)pthread_once(&fetched_once, fetch_md);
    return fetched_md != NULL ? fetched_md : EVP_sha256();
}

/* The digest of a and b, one behind the other. Without one: random bytes, since what was there before could be the digest of
 * something. */
static void digest_two(EVP_MD_CTX *ctx, struct gw_span a, struct gw_span b,
                       unsigned char out[GW_SHA256_BYTES])
{
    if (EVP_DigestInit_ex2(ctx, md(), NULL) != 1 || EVP_DigestUpdate(ctx, a.ptr, a.len) != 1 ||
        EVP_DigestUpdate(ctx, b.ptr, b.len) != 1 || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        gw_random(out, GW_SHA256_BYTES);
}

/* Each thread's own context, freed when it ends. */
static pthread_key_t pair_key;
static pthread_once_t pair_once = PTHREAD_ONCE_INIT;
static bool pair_ok;

static void free_pair(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void make_pair_key(void)
{
    pair_ok = pthread_key_create(&pair_key, free_pair) == 0;
}

void gw_sha256_pair(struct gw_span a, struct gw_span b, unsigned char out[GW_SHA256_BYTES])
{
    EVP_MD_CTX *ctx;

    (void)pthread_once(&pair_once, make_pair_key);
    ctx = pair_ok ? pthread_getspecific(pair_key) : NULL;
    if (ctx != NULL) {
        digest_two(ctx, a, b, out);
        return;
    }
    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        gw_random(out, GW_SHA256_BYTES);
        return;
    }
    digest_two(ctx, a, b, out);
    if (!pair_ok || pthread_setspecific(pair_key, ctx) != 0)
        EVP_MD_CTX_free(ctx);
}

void gw_sha256(struct gw_span bytes, unsigned char out[GW_SHA256_BYTES])
{
    gw_sha256_pair(bytes, GW_SPAN(""), out);
}

/* RFC 2104. */
void gw_hmac_sha256(struct gw_span key, struct gw_span bytes, unsigned char out[GW_SHA256_BYTES])
{
    enum { BLOCK = 64 };
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char pad[BLOCK] = {0}, inner[GW_SHA256_BYTES];
    const struct gw_span pad_span = {(const char *)pad, BLOCK};

    if (ctx == NULL) {
        gw_random(out, GW_SHA256_BYTES);
        return;
    }
    if (key.len > BLOCK)
        gw_sha256(key, pad);
    else if (key.len != 0)
        memcpy(pad, key.ptr, key.len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    digest_two(ctx, pad_span, bytes, inner);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5C;
    digest_two(ctx, pad_span, (struct gw_span){(const char *)inner, sizeof(inner)}, out);
    EVP_MD_CTX_free(ctx);
    explicit_bzero(pad, sizeof(pad));
    explicit_bzero(inner, sizeof(inner));
}

struct gw_hash *gw_hash_new(void)
{
    struct gw_hash *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx == NULL || EVP_DigestInit_ex2(h->ctx, md(), NULL) != 1) {
        gw_hash_free(h);
        return NULL;
    }
    return h;
}

void gw_hash_add(struct gw_hash *h, struct gw_span bytes)
{
    (void)EVP_DigestUpdate(h->ctx, bytes.ptr, bytes.len);
}

void gw_hash_final(struct gw_hash *h, unsigned char out[GW_SHA256_BYTES])
{
    if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
        gw_random(out, GW_SHA256_BYTES);
    gw_hash_free(h);
}

void gw_hash_free(struct gw_hash *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void gw_hex(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

void gw_random(void *out, size_t n)
{
    unsigned char *p = out;

    while (n != 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0) {
            if (errno == EINTR)
                continue;
            (void)fprintf(stderr, "sluice: getrandom: %s\n", strerror(errno));
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

void gw_random_seed(void *out, size_t n)
{
    static _Thread_local unsigned char pool[512];
    static _Thread_local size_t left;

    if (n > sizeof(pool)) {
        gw_random(out, n);
        return;
    }
    if (left < n) {
        gw_random(pool, sizeof(pool));
        left = sizeof(pool);
    }
    left -= n;
    memcpy(out, pool + left, n);
    explicit_bzero(pool + left, n); /* given once */
}

void gw_ulid(char out[GW_ULID_BYTES])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    static _Thread_local uint64_t last_ms;
    static _Thread_local unsigned char last[10];
    uint64_t ms = (uint64_t)gw_clock_wall_ms() & 0xFFFFFFFFFFFFull;
    unsigned bits = 0, have = 0, o = 10;

    /* Same or earlier millisecond: count up, so that ids of one thread ascend. */
    if (ms > last_ms) {
        last_ms = ms;
        gw_random_seed(last, sizeof(last));
        last[0] &= 0x7F; /* room to count */
    } else {
        for (int i = 9; i >= 0 && ++last[i] == 0; i--)
            continue;
    }
    for (int i = 0; i < 10; i++)
        out[i] = alphabet[(last_ms >> (45 - 5 * i)) & 31];
    for (int i = 0; i < 10; i++) {
        bits = (bits << 8) | last[i];
        for (have += 8; have >= 5; have -= 5)
            out[o++] = alphabet[(bits >> (have - 5)) & 31];
    }
    out[26] = '\0';
}

int gw_equal_ct(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1) ? 0x82F63B78u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hw(uint32_t crc, const unsigned char *p,
                                                         size_t n)
{
    uint64_t c = crc;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        c = __builtin_ia32_crc32di(c, v);
    }
    for (; n != 0; n--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
    return (uint32_t)c;
}
#endif

uint32_t gw_crc32c(uint32_t crc, struct gw_span bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    uint32_t c = ~crc;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_hw(c, p, bytes.len);
#endif
    for (size_t i = 0; i < bytes.len; i++)
        c = crc_table[(c ^ p[i]) & 0xFF] ^ (c >> 8);
    return ~c;
}
