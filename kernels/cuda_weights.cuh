/* kernels/cuda_weights.cuh - private: weights out of the layout of kernels/cuda_repack.h, as fragments and one by one.
 *
 * A warp loads a chunk (16 rows, 64 columns) with loads of 16 bytes a lane, and takes of it two steps of 32 columns. Code values are
 * integers of a register's four bytes; what they are worth is scale * code + min, scale with the power of two that
 * unpacking left in the code. */
#ifndef KERNELS_CUDA_WEIGHTS_CUH
#define KERNELS_CUDA_WEIGHTS_CUH

#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

/* What a lane holds of a chunk. */
template <int TYPE> struct wchunk {
    static constexpr bool FLOATS = TYPE == KERN_TYPE_F16 || TYPE == KERN_TYPE_BF16;
    static constexpr bool E4M3 = TYPE == CUDA_E4M3;
    static constexpr bool PLAIN = FLOATS || E4M3; /* multiplied by floats, not by integers */
    static constexpr bool SUPERS =
        TYPE == KERN_TYPE_Q4_K || TYPE == KERN_TYPE_Q5_K || TYPE == KERN_TYPE_Q6_K;
    static constexpr bool MINS =
        TYPE == KERN_TYPE_Q4_1 || TYPE == KERN_TYPE_Q4_K || TYPE == KERN_TYPE_Q5_K;
    static constexpr bool HALVES = TYPE == KERN_TYPE_Q6_K; /* a scale per 16 columns */
    static constexpr int CODES = FLOATS ? 4 : E4M3 || TYPE == KERN_TYPE_Q8_0 ? 2 : 1;
    static constexpr int HIGH = TYPE == KERN_TYPE_Q5_K ? 1 : TYPE == KERN_TYPE_Q6_K ? 2 : 0;
    static constexpr int SCALES = FLOATS                   ? 0
                                  : E4M3                   ? 1
                                  : TYPE == KERN_TYPE_Q4_1 ? 4
                                                           : 2; /* words of both steps */
    static constexpr int AHEAD = FLOATS ? 2
                                 : E4M3 || TYPE == KERN_TYPE_Q8_0
                                     ? 3
                                     : 4; /* chunks a warp of a vector product has under way */

    uint4 code[CODES];
    uint32_t high[HIGH + 1], scale[SCALES + 1], super[SUPERS ? 2 : 1];
};

/* tile: of l, in global memory or (SHARED) a copy in shared memory; chunk < l.n_chunks. */
template <int TYPE, bool SHARED = false>
DEV void wchunk_load(struct wchunk<TYPE> &w, const uint8_t *tile, const struct cuda_layout &l,
                     size_t chunk)
{
    using W = wchunk<TYPE>;
    const unsigned lane = dev_lane(), g = lane / 4;
    const uint8_t *code = tile + chunk * (W::CODES * 512) + lane * 16;

#pragma unroll
    for (int i = 0; i < W::CODES; i++)
        w.code[i] = SHARED ? *reinterpret_cast<const uint4 *>(code + i * 512)
                           : ptx_load_once(code + i * 512);
    if constexpr (W::HIGH == 1) {
        const uint8_t *high = tile + l.high + chunk * 128 + lane * 4;

        w.high[0] = SHARED ? *reinterpret_cast<const uint32_t *>(high) : ptx_load_once4(high);
    }
    if constexpr (W::HIGH == 2) {
        const uint2 h = *reinterpret_cast<const uint2 *>(tile + l.high + chunk * 256 + lane * 8);

        w.high[0] = h.x;
        w.high[1] = h.y;
    }
    if constexpr (W::SCALES == 2) {
        const uint32_t *s = reinterpret_cast<const uint32_t *>(tile + l.scales + chunk * 64);

        w.scale[0] = s[g];
        w.scale[1] = s[8 + g];
    }
    if constexpr (W::SCALES == 4) {
        const uint2 *s = reinterpret_cast<const uint2 *>(tile + l.scales + chunk * 128);

        w.scale[0] = s[g].x;
        w.scale[1] = s[g].y;
        w.scale[2] = s[8 + g].x;
        w.scale[3] = s[8 + g].y;
    }
    if constexpr (W::E4M3) {
        const uint2 *s = reinterpret_cast<const uint2 *>(tile + l.scales + chunk / 2 * 64);

        w.scale[0] = s[g].x;
        w.scale[1] = s[g].y;
    }
    if constexpr (W::SUPERS) {
        const uint2 *s = reinterpret_cast<const uint2 *>(tile + l.supers + chunk / 4 * 64);

        w.super[0] = s[g].x;
        w.super[1] = s[g].y;
    }
}

DEV uint32_t dev_word(const uint4 &v, int i)
{
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

/* The codes of step `half` as fragment A of ptx_mma_s8. */
template <int TYPE, int HALF> DEV void wchunk_codes(const struct wchunk<TYPE> &w, uint32_t (&a)[4])
{
    if constexpr (TYPE == KERN_TYPE_Q8_0) {
#pragma unroll
        for (int j = 0; j < 4; j++)
            a[j] = dev_word(w.code[HALF], j);
    } else {
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
            const uint32_t v = dev_word(w.code[0], HALF * 2 + j / 2);

            if constexpr (TYPE == KERN_TYPE_Q4_0) { /* 16 times the code */
                a[j] = v << 4 & 0xf0f0f0f0u;
                a[j + 1] = v & 0xf0f0f0f0u;
            } else if constexpr (TYPE == KERN_TYPE_Q6_K) { /* 4 times */
                const uint32_t h = w.high[HALF];

                a[j] = (v << 2 & 0x3c3c3c3cu) | (h >> (2 * j) << 6 & 0xc0c0c0c0u);
                a[j + 1] = (v >> 2 & 0x3c3c3c3cu) | (h >> (2 * j + 2) << 6 & 0xc0c0c0c0u);
            } else {
                a[j] = v & 0x0f0f0f0fu;
                a[j + 1] = v >> 4 & 0x0f0f0f0fu;
                if constexpr (TYPE == KERN_TYPE_Q5_K) {
                    a[j] |= w.high[0] >> (4 * HALF + j) << 4 & 0x10101010u;
                    a[j + 1] |= w.high[0] >> (4 * HALF + j + 1) << 4 & 0x10101010u;
                }
            }
        }
    }
}

DEV float dev_lo_f16(uint32_t v)
{
    return ptx_f16_f32((uint16_t)v);
}
DEV float dev_hi_f16(uint32_t v)
{
    return ptx_f16_f32((uint16_t)(v >> 16));
}

/* What a code of rows g and g + 8 is worth in step HALF: s[up][16 columns], and min[up]. Without HALVES s[up][1] is s[up][0]. */
template <int TYPE, int HALF>
DEV void wchunk_scales(const struct wchunk<TYPE> &w, float (&s)[2][2], float (&min)[2])
{
    using W = wchunk<TYPE>;

    if constexpr (TYPE == KERN_TYPE_Q4_1) {
        s[0][0] = s[0][1] = dev_lo_f16(w.scale[HALF * 2]);
        s[1][0] = s[1][1] = dev_lo_f16(w.scale[HALF * 2 + 1]);
        min[0] = dev_hi_f16(w.scale[HALF * 2]);
        min[1] = dev_hi_f16(w.scale[HALF * 2 + 1]);
    } else if constexpr (W::SUPERS) {
        const uint32_t b = w.scale[HALF];

#pragma unroll
        for (int up = 0; up < 2; up++) {
            const uint32_t lo = b >> (16 * up) & 255, hi = b >> (16 * up + 8) & 255;
            const float d = dev_lo_f16(w.super[up]);

            if constexpr (TYPE == KERN_TYPE_Q6_K) {
                s[up][0] = d * 0.25f * (float)(int8_t)lo;
                s[up][1] = d * 0.25f * (float)(int8_t)hi;
                min[up] = 0;
            } else {
                s[up][0] = s[up][1] = d * (float)lo;
                min[up] = -(dev_hi_f16(w.super[up]) * (float)hi);
            }
        }
    } else {
        const float unit = TYPE == KERN_TYPE_Q4_0 ? 0.0625f : 1.0f;

        s[0][0] = s[0][1] = unit * dev_lo_f16(w.scale[HALF]);
        s[1][0] = s[1][1] = unit * dev_hi_f16(w.scale[HALF]);
        min[0] = min[1] = 0;
    }
}

/* See enum kern_cuda_into. */
DEV void dev_into(float *o, float v, int into)
{
    if (into == KERN_CUDA_SET)
        *o = v;
    else if (into == KERN_CUDA_ADD)
        *o += v;
    else
        *o = (into == KERN_CUDA_MUL_GELU ? dev_gelu(*o) : dev_silu(*o)) * v;
}

/* One weight; slow. */
template <int TYPE>
DEV float dev_weight_of(const uint8_t *data, const struct cuda_layout &l, size_t row, size_t col)
{
    using W = wchunk<TYPE>;
    const uint8_t *tile = data + row / CUDA_TILE_ROWS * l.tile_bytes;
    const unsigned g = row % 8, up = row / 8 % 2, half = col / 32 % 2;
    const size_t chunk = col / CUDA_CHUNK;

    if constexpr (W::FLOATS) {
        const unsigned lane = 4 * g + col % 8 / 2, j = up + 2 * (col / 8 % 2);
        const uint16_t v = *reinterpret_cast<const uint16_t *>(
            tile + chunk * 2048 + col / 16 % 4 * 512 + lane * 16 + j * 4 + col % 2 * 2);

        return TYPE == KERN_TYPE_F16 ? ptx_f16_f32(v) : dev_bf16_f32(v);
    } else {
        const unsigned lane = 4 * g + col % 16 / 4, j = up + 2 * (col / 16 % 2), b = col % 4;

        if constexpr (W::E4M3)
            return dev_e4m3_f32(tile[chunk * 1024 + half * 512 + lane * 16 + j * 4 + b]) *
                   *reinterpret_cast<const float *>(tile + l.scales + chunk / 2 * 64 + g * 8 +
                                                    up * 4);
        const uint8_t *s =
            tile + l.scales + ((chunk * 2 + half) * 16 + g * 2 + up) * (W::SCALES == 4 ? 4 : 2);
        const uint16_t *s16 = reinterpret_cast<const uint16_t *>(s);

        if constexpr (TYPE == KERN_TYPE_Q8_0)
            return ptx_f16_f32(s16[0]) *
                   (float)(int8_t)tile[chunk * 1024 + half * 512 + lane * 16 + j * 4 + b];
        int q = tile[chunk * 512 + lane * 16 + (4 * half + j) / 2 * 4 + b] >> (4 * up) & 15;

        if constexpr (TYPE == KERN_TYPE_Q4_0)
            return ptx_f16_f32(s16[0]) * (float)((q ^ 8) - 8);
        if constexpr (TYPE == KERN_TYPE_Q4_1)
            return ptx_f16_f32(s16[0]) * (float)q + ptx_f16_f32(s16[1]);
        if constexpr (W::SUPERS) {
            const uint16_t *d = reinterpret_cast<const uint16_t *>(
                tile + l.supers + (chunk / 4 * 16 + g * 2 + up) * 4);

            if constexpr (TYPE == KERN_TYPE_Q6_K) {
                q |= (tile[l.high + chunk * 256 + lane * 8 + half * 4 + b] >> (2 * j) & 3) << 4;
                return ptx_f16_f32(d[0]) * (float)(int8_t)s[col / 16 % 2] * (float)((q ^ 32) - 32);
            }
            if constexpr (TYPE == KERN_TYPE_Q5_K)
                q |= (tile[l.high + chunk * 128 + lane * 4 + b] >> (4 * half + j) & 1) << 4;
            return ptx_f16_f32(d[0]) * (float)s[0] * (float)q - ptx_f16_f32(d[1]) * (float)s[1];
        }
        return 0;
    }
}

DEV float dev_weight(const uint8_t *data, const struct cuda_layout &l, size_t row, size_t col)
{
    switch ((int)l.type) {
    case KERN_TYPE_Q4_0:
        return dev_weight_of<KERN_TYPE_Q4_0>(data, l, row, col);
    case KERN_TYPE_Q4_1:
        return dev_weight_of<KERN_TYPE_Q4_1>(data, l, row, col);
    case KERN_TYPE_Q8_0:
        return dev_weight_of<KERN_TYPE_Q8_0>(data, l, row, col);
    case KERN_TYPE_Q4_K:
        return dev_weight_of<KERN_TYPE_Q4_K>(data, l, row, col);
    case KERN_TYPE_Q5_K:
        return dev_weight_of<KERN_TYPE_Q5_K>(data, l, row, col);
    case KERN_TYPE_Q6_K:
        return dev_weight_of<KERN_TYPE_Q6_K>(data, l, row, col);
    case KERN_TYPE_F16:
        return dev_weight_of<KERN_TYPE_F16>(data, l, row, col);
    case CUDA_E4M3:
        return dev_weight_of<CUDA_E4M3>(data, l, row, col);
    default:
        return dev_weight_of<KERN_TYPE_BF16>(data, l, row, col);
    }
}

/* return f<TYPE>(...) for the type of a matrix. */
#define KERN_CUDA_FOR_TYPE(type, f, ...)                                                           \
    switch ((int)(type)) {                                                                         \
    case KERN_TYPE_Q4_0:                                                                           \
        return f<KERN_TYPE_Q4_0>(__VA_ARGS__);                                                     \
    case KERN_TYPE_Q4_1:                                                                           \
        return f<KERN_TYPE_Q4_1>(__VA_ARGS__);                                                     \
    case KERN_TYPE_Q8_0:                                                                           \
        return f<KERN_TYPE_Q8_0>(__VA_ARGS__);                                                     \
    case KERN_TYPE_Q4_K:                                                                           \
        return f<KERN_TYPE_Q4_K>(__VA_ARGS__);                                                     \
    case KERN_TYPE_Q5_K:                                                                           \
        return f<KERN_TYPE_Q5_K>(__VA_ARGS__);                                                     \
    case KERN_TYPE_Q6_K:                                                                           \
        return f<KERN_TYPE_Q6_K>(__VA_ARGS__);                                                     \
    case KERN_TYPE_F16:                                                                            \
        return f<KERN_TYPE_F16>(__VA_ARGS__);                                                      \
    case CUDA_E4M3:                                                                                \
        return f<CUDA_E4M3>(__VA_ARGS__);                                                          \
    default:                                                                                       \
        return f<KERN_TYPE_BF16>(__VA_ARGS__);                                                     \
    }

#endif
