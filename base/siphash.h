/* base/siphash.h - a keyed hash for tables whose keys a client chooses. Header only, thread: any. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/span.h"

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), fed piece by piece. */
struct gw_sip {
    uint64_t v[4];
    uint64_t tail; /* bytes that do not fill a word yet, low byte first */
    size_t len;    /* bytes so far */
};

static inline uint64_t gw_sip_rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void gw_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = gw_sip_rotl(v[1], 13) ^ v[0];
    v[0] = gw_sip_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = gw_sip_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = gw_sip_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = gw_sip_rotl(v[1], 17) ^ v[2];
    v[2] = gw_sip_rotl(v[2], 32);
}

static inline void gw_sip_word(struct gw_sip *s, uint64_t w)
{
    s->v[3] ^= w;
    gw_sip_round(s->v);
    s->v[0] ^= w;
}

/* Starts with a secret key, which gw_random() gave. */
static inline struct gw_sip gw_sip_start(const uint64_t key[2])
{
    return (struct gw_sip){
        .v = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
              key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)}};
}

static inline void gw_sip_byte(struct gw_sip *s, unsigned char c)
{
    s->tail |= (uint64_t)c << (s->len % 8 * 8);
    if (++s->len % 8 == 0) {
        gw_sip_word(s, s->tail);
        s->tail = 0;
    }
}

static inline void gw_sip_add(struct gw_sip *s, struct gw_span bytes)
{
    size_t i = 0;

    while (i < bytes.len && s->len % 8 != 0)
        gw_sip_byte(s, (unsigned char)bytes.ptr[i++]);
    for (; bytes.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t w;

        memcpy(&w, bytes.ptr + i, sizeof(w));
        gw_sip_word(s, w);
        s->len += sizeof(w);
    }
    while (i < bytes.len)
        gw_sip_byte(s, (unsigned char)bytes.ptr[i++]);
}

static inline uint64_t gw_sip_end(struct gw_sip *s)
{
    gw_sip_word(s, s->tail | (uint64_t)s->len << 56);
    s->v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        gw_sip_round(s->v);
    return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

#endif
