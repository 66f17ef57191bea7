/* tests/unit/kernels/kv_decode.h - keys and values of coded types, decoded in double by the text of
 * kernels/kv_code.h: nothing of the code is used but the pattern of signs. */
#ifndef TESTS_UNIT_KERNELS_KV_DECODE_H
#define TESTS_UNIT_KERNELS_KV_DECODE_H

#include <math.h>

#include "kernels/kv_code.h"

/* x = signs * W x, piece by piece; W(2n) = [W W; W -W] / sqrt(2). */
static inline void kv_turn_back(double *x, unsigned n, enum kern_kv_turn turn)
{
    for (unsigned from = 0, piece; from < n; from += piece) {
        for (piece = 1; piece * 2 <= n - from;)
            piece *= 2;
        for (unsigned half = piece / 2; half != 0; half /= 2) {
            for (unsigned i = 0; i < piece; i++) {
                const double a = x[from + i], b = x[from + (i ^ half)];

                if ((i & half) != 0)
                    continue;
                x[from + i] = (a + b) * M_SQRT1_2;
                x[from + (i ^ half)] = (a - b) * M_SQRT1_2;
            }
        }
    }
    for (unsigned i = 0; i < n; i++)
        x[i] = kern_kv_signs[turn][i / 64] >> i % 64 & 1 ? -x[i] : x[i];
}

static inline double kv_level(unsigned n, unsigned code)
{
    static const double eight[] = {0.2451, 0.7560, 1.3439, 2.1520};
    static const double sixteen[] = {0.1284, 0.3881, 0.6568, 0.9424,
                                     1.2562, 1.6181, 2.0690, 2.7326};

    if (n == 8)
        return code < 4 ? -eight[3 - code] : eight[code - 4];
    return code < 8 ? -sixteen[7 - code] : sixteen[code - 8];
}

/* The key and the value of token pos in consecutive blocks (or by the table), each head_dim numbers. */
static inline void kv_decode(const struct kern_kv *kv, size_t pos, float *k, float *v)
{
    const unsigned dim = kv->head_dim, key = pos % 16, bits = kv->type == KERN_KV_POLAR3 ? 3 : 4;
    const unsigned padded = (dim + 15) / 16 * 16,
                   n_groups = kv->type == KERN_KV_I4 ? (dim + 31) / 32 : 1;
    const size_t block = kv->table != NULL ? kv->table[pos / 16] : pos / 16;
    const uint8_t *kc = (const uint8_t *)kv->base + block * kv->block_stride;
    const uint8_t *vc = kc + (size_t)padded * bits * 2;
    const uint16_t *ks = (const uint16_t *)(const void *)(vc + (size_t)padded * bits * 2);
    const uint16_t *vs = ks + (size_t)16 * (n_groups + (kv->type == KERN_KV_QJL));
    double dk[KERN_MAX_HEAD_DIM], dv[KERN_MAX_HEAD_DIM], lost[KERN_MAX_HEAD_DIM];

    for (unsigned i = 0; i < dim; i++) {
        const unsigned g = kv->type == KERN_KV_I4 ? i / 32 : 0;
        unsigned ck, cv;

        if (bits == 4) {
            ck = kc[i / 2 * 16 + key] >> (i % 2 * 4) & 15;
            cv = vc[key * padded / 2 + i / 16 * 8 + i % 8] >> (i % 16 / 8 * 4) & 15;
        } else {
            const unsigned bit = i % 8 * 3;

            const uint8_t *row = vc + key * padded * 3 / 8;

            ck = cv = 0;
            for (unsigned b = bit; b < bit + 3; b++) {
                const unsigned byte = i / 8 * 3 + b / 8;

                ck |= ((unsigned)kc[byte * 16 + key] >> b % 8 & 1u) << (b - bit);
                cv |= ((unsigned)row[byte] >> b % 8 & 1u) << (b - bit);
            }
        }
        lost[i] = ck & 8 ? 1 : -1;
        if (kv->type == KERN_KV_I4) {
            dk[i] = (double)ck - 8;
            dv[i] = (double)cv - 8;
        } else {
            dk[i] = kv_level(kv->type == KERN_KV_POLAR4 ? 16 : 8,
                             kv->type == KERN_KV_QJL ? ck & 7 : ck);
            dv[i] = kv_level(bits == 3 ? 8 : 16, cv);
        }
        dk[i] *= (double)kern_f16_f32(ks[g * 16 + key]);
        dv[i] *= (double)kern_f16_f32(vs[g * 16 + key]);
    }
    if (kv->type == KERN_KV_QJL) {
        kv_turn_back(lost, dim, KERN_KV_TURN_SKETCH);
        for (unsigned i = 0; i < dim; i++)
            dk[i] += lost[i] * (double)kern_f16_f32(ks[16 + key]);
    }
    kv_turn_back(dk, dim, KERN_KV_TURN);
    kv_turn_back(dv, dim, KERN_KV_TURN);
    for (unsigned i = 0; i < dim; i++) {
        k[i] = (float)dk[i];
        v[i] = (float)dv[i];
    }
}

#endif
