/* kernels/cuda_gemm.cu - products with many tokens: prompts and large batches, on the tensor cores.
 *
 * A block does 128 rows and 64 tokens, a warp 32 rows of them. Weights need no shared memory: they lie in the order of the fragments and go
 * from memory to registers; blocks of the same rows run next to each other and find them in the second cache. Activations
 * come through shared memory in a ring of STAGES chunks of 64 columns. Quantized: integers, scaled after every 32 columns like
 * the CPU's. Float matrices: activations are rounded to the weights' 16-bit type on their way in; e4m3 becomes bf16, which holds it.
 * A lane is 4g + t: rows g and g + 8, tokens 8n + 2t and 8n + 2t + 1 of the sums. */
#include "kernels/cuda_private.h"
#include "kernels/cuda_weights.cuh"

enum {
    GEMM_WARPS = 4,
    GEMM_TILES = 2, /* of 16 rows, a warp */
    GEMM_TOKENS = 64,
    GEMM_N = GEMM_TOKENS / 8,
    GEMM_THREADS = GEMM_WARPS * WARP,
    STAGES = 3,
    TOKEN_BYTES = CUDA_CHUNK + 16, /* of a chunk in shared memory: the 16 spread rows over banks */
    TOKEN_HALVES = CUDA_CHUNK + 8,
};

/* ---- quantized ----------------------------------------------------------------------------- */

template <bool FINE, bool MINS> struct gemm_stage {
    int8_t q[GEMM_TOKENS][TOKEN_BYTES];
    int8_t r[FINE ? GEMM_TOKENS : 1][TOKEN_BYTES];
    float d[2][GEMM_TOKENS];
    float ds[2][MINS ? GEMM_TOKENS : 4];
};

/* Starts the copies of a chunk of 64 tokens from `token` on; tokens and columns that are not there become zeros. */
template <bool FINE, bool MINS>
DEV void gemm_fetch(gemm_stage<FINE, MINS> &s, const kern_cuda_acts &a, size_t token, size_t chunk)
{
    const size_t n_blocks = a.cols / 32;

#pragma unroll
    for (unsigned i = threadIdx.x; i < GEMM_TOKENS * 4; i += GEMM_THREADS) {
        const unsigned n = i / 4, part = i % 4;
        const size_t col = chunk * CUDA_CHUNK + part * 16;
        const bool real = token + n < a.n_tokens && col < a.cols;
        const size_t at = real ? (token + n) * a.cols + col : 0;

        ptx_copy16(&s.q[n][part * 16], a.q + at, real);
        if constexpr (FINE)
            ptx_copy16(&s.r[n][part * 16], a.r + at, real);
    }
    for (unsigned i = threadIdx.x; i < GEMM_TOKENS * 2; i += GEMM_THREADS) {
        const unsigned n = i % GEMM_TOKENS, half = i / GEMM_TOKENS;
        const bool real = token + n < a.n_tokens && chunk * 2 + half < n_blocks;
        const size_t at = real ? (token + n) * n_blocks + chunk * 2 + half : 0;

        ptx_copy4(&s.d[half][n], a.d + at, real);
        if constexpr (MINS)
            ptx_copy4(&s.ds[half][n], a.ds + at, real);
    }
}

/* acc[tile][n][..] += step HALF of the chunks w times all tokens of the stage. */
template <int TYPE, bool FINE, int HALF>
DEV void gemm_step(float (&acc)[GEMM_TILES][GEMM_N][4], const wchunk<TYPE> (&w)[GEMM_TILES],
                   const gemm_stage<FINE, wchunk<TYPE>::MINS> &st)
{
    using W = wchunk<TYPE>;
    const unsigned g = dev_lane() / 4, t = dev_lane() % 4;
    uint32_t c[GEMM_TILES][4];
    float s[GEMM_TILES][2][2], min[GEMM_TILES][2];

#pragma unroll
    for (int m = 0; m < GEMM_TILES; m++) {
        wchunk_codes<TYPE, HALF>(w[m], c[m]);
        wchunk_scales<TYPE, HALF>(w[m], s[m], min[m]);
    }
#pragma unroll
    for (int n = 0; n < GEMM_N; n++) {
        const int8_t *q = &st.q[n * 8 + g][HALF * 32 + 4 * t];
        const uint32_t b[2] = {*reinterpret_cast<const uint32_t *>(q),
                               *reinterpret_cast<const uint32_t *>(q + 16)};
        const float2 d = *reinterpret_cast<const float2 *>(&st.d[HALF][n * 8 + 2 * t]);
        uint32_t f[2] = {0, 0};
        float2 ds = {0, 0};

        if constexpr (FINE) {
            const int8_t *r = &st.r[n * 8 + g][HALF * 32 + 4 * t];

            f[0] = *reinterpret_cast<const uint32_t *>(r);
            f[1] = *reinterpret_cast<const uint32_t *>(r + 16);
        }
        if constexpr (W::MINS)
            ds = *reinterpret_cast<const float2 *>(&st.ds[HALF][n * 8 + 2 * t]);
#pragma unroll
        for (int m = 0; m < GEMM_TILES; m++) {
#pragma unroll
            for (int k = 0; k < (W::HALVES ? 2 : 1); k++) {
                int sum[4] = {0, 0, 0, 0}, rest[4] = {0, 0, 0, 0};

                if constexpr (W::HALVES) {
                    ptx_mma_s8_k16(sum, c[m][2 * k], c[m][2 * k + 1], b[k]);
                    if constexpr (FINE)
                        ptx_mma_s8_k16(rest, c[m][2 * k], c[m][2 * k + 1], f[k]);
                } else {
                    ptx_mma_s8(sum, c[m], b[0], b[1]);
                    if constexpr (FINE)
                        ptx_mma_s8(rest, c[m], f[0], f[1]);
                }
#pragma unroll
                for (int i = 0; i < 4; i++)
                    acc[m][n][i] += s[m][i / 2][k] * (i % 2 == 0 ? d.x : d.y) *
                                    (float)(FINE ? 256 * sum[i] + rest[i] : sum[i]);
            }
            if constexpr (W::MINS)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    acc[m][n][i] += min[m][i / 2] * (i % 2 == 0 ? ds.x : ds.y);
        }
    }
}

/* Writes a warp's sums. */
DEV void gemm_write(const float (&acc)[GEMM_TILES][GEMM_N][4], float *out, size_t out_stride,
                    enum kern_cuda_into into, size_t row, size_t token, size_t rows,
                    size_t n_tokens)
{
    const unsigned g = dev_lane() / 4, t = dev_lane() % 4;

#pragma unroll
    for (int m = 0; m < GEMM_TILES; m++)
#pragma unroll
        for (int n = 0; n < GEMM_N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const size_t r = row + m * CUDA_TILE_ROWS + g + i / 2 * 8;
                const size_t k = token + n * 8 + 2 * t + i % 2;

                if (r < rows && k < n_tokens)
                    dev_into(out + k * out_stride + r, acc[m][n][i], into);
            }
}

/* The first tile of a warp; one past the last is replaced by the last: its sums are not written. */
DEV const uint8_t *gemm_tile(const uint8_t *data, const cuda_layout &l, size_t tile)
{
    return data + (tile < l.n_tiles ? tile : l.n_tiles - 1) * l.tile_bytes;
}

/* data: tiles of l; a.q, a.r: [token][cols], a.d, a.ds: [token][cols / 32]; out: [token][out_stride].
 * A block: rows 128 blockIdx.y.., tokens 64 blockIdx.x... */
template <int TYPE, bool FINE>
static __global__ void __launch_bounds__(GEMM_THREADS, FINE ? 1 : 2)
    gemm_ints_kernel(const uint8_t *data, struct cuda_layout l, struct kern_cuda_acts a, float *out,
                     size_t out_stride, enum kern_cuda_into into)
{
    using stage = gemm_stage<FINE, wchunk<TYPE>::MINS>;
    KERN_SHARED(stage, ring);
    const size_t token = (size_t)blockIdx.x * GEMM_TOKENS;
    const size_t tile = (size_t)blockIdx.y * GEMM_WARPS * GEMM_TILES + dev_warp() * GEMM_TILES;
    float acc[GEMM_TILES][GEMM_N][4] = {};

#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) {
        if ((size_t)i < l.n_chunks)
            gemm_fetch(ring[i], a, token, i);
        ptx_copy_commit();
    }
    for (size_t chunk = 0; chunk < l.n_chunks; chunk++) {
        wchunk<TYPE> w[GEMM_TILES];

#pragma unroll
        for (int m = 0; m < GEMM_TILES; m++)
            wchunk_load(w[m], gemm_tile(data, l, tile + m), l, chunk);
        ptx_copy_wait<STAGES - 2>();
        __syncthreads(); /* everybody's copies are there, and the stage before is free */
        if (chunk + STAGES - 1 < l.n_chunks)
            gemm_fetch(ring[(chunk + STAGES - 1) % STAGES], a, token, chunk + STAGES - 1);
        ptx_copy_commit();
        gemm_step<TYPE, FINE, 0>(acc, w, ring[chunk % STAGES]);
        gemm_step<TYPE, FINE, 1>(acc, w, ring[chunk % STAGES]);
    }
    gemm_write(acc, out, out_stride, into, tile * CUDA_TILE_ROWS, token, l.rows, a.n_tokens);
}

/* ---- floats -------------------------------------------------------------------------------- */

/* 64 tokens of a chunk, from floats to the weights' type. */
template <int TYPE>
DEV void gemm_round(uint16_t (*to)[TOKEN_HALVES], const kern_cuda_acts &a, size_t token,
                    size_t chunk)
{
    for (unsigned i = threadIdx.x; i < GEMM_TOKENS * CUDA_CHUNK / 4; i += GEMM_THREADS) {
        const unsigned n = i / (CUDA_CHUNK / 4), part = i % (CUDA_CHUNK / 4);
        const size_t col = chunk * CUDA_CHUNK + part * 4;
        float4 v = {0, 0, 0, 0};

        if (token + n < a.n_tokens && col < a.cols)
            v = *reinterpret_cast<const float4 *>(a.x + (token + n) * a.cols + col);
        if constexpr (TYPE == KERN_TYPE_F16) { /* beyond its range: the largest */
            v.x = fminf(fmaxf(v.x, -65504.0f), 65504.0f);
            v.y = fminf(fmaxf(v.y, -65504.0f), 65504.0f);
            v.z = fminf(fmaxf(v.z, -65504.0f), 65504.0f);
            v.w = fminf(fmaxf(v.w, -65504.0f), 65504.0f);
        }
        *reinterpret_cast<uint2 *>(&to[n][part * 4]) =
            TYPE == KERN_TYPE_F16 ? make_uint2(ptx_pack_f16(v.x, v.y), ptx_pack_f16(v.z, v.w))
                                  : make_uint2(ptx_pack_bf16(v.x, v.y), ptx_pack_bf16(v.z, v.w));
    }
}

/* Step k (16 columns) of a chunk as the fragment of the 16-bit product. Of e4m3 a lane holds columns 4t to 4t + 3 and calls them 2t, 2t + 1,
 * 8 + 2t, 9 + 2t: the order of a sum's columns is free as long as both sides have the same. */
template <int TYPE> DEV void gemm_fragment(const wchunk<TYPE> &w, int k, uint32_t (&f)[4])
{
    if constexpr (wchunk<TYPE>::E4M3) {
#pragma unroll
        for (int up = 0; up < 2; up++) {
            const uint32_t v = dev_word(w.code[k / 2], up + k % 2 * 2);
            const float s = __uint_as_float(w.scale[up]); /* a power of two, but of FP8 that was stored: bf16 rounds it then */

            f[up] = ptx_pack_bf16(s * dev_e4m3_f32(v), s * dev_e4m3_f32(v >> 8));
            f[2 + up] = ptx_pack_bf16(s * dev_e4m3_f32(v >> 16), s * dev_e4m3_f32(v >> 24));
        }
    } else {
#pragma unroll
        for (int j = 0; j < 4; j++)
            f[j] = dev_word(w.code[k], j);
    }
}

/* As above; a.x: [token][cols]. */
template <int TYPE>
static __global__ void __launch_bounds__(GEMM_THREADS, 2)
    gemm_floats_kernel(const uint8_t *data, struct cuda_layout l, struct kern_cuda_acts a,
                       float *out, size_t out_stride, enum kern_cuda_into into)
{
    __shared__ __align__(16) uint16_t x[2][GEMM_TOKENS][TOKEN_HALVES];
    const unsigned g = dev_lane() / 4, t = dev_lane() % 4;
    const size_t token = (size_t)blockIdx.x * GEMM_TOKENS;
    const size_t tile = (size_t)blockIdx.y * GEMM_WARPS * GEMM_TILES + dev_warp() * GEMM_TILES;
    float acc[GEMM_TILES][GEMM_N][4] = {};

    for (size_t chunk = 0; chunk < l.n_chunks; chunk++) {
        wchunk<TYPE> w[GEMM_TILES];

#pragma unroll
        for (int m = 0; m < GEMM_TILES; m++)
            wchunk_load(w[m], gemm_tile(data, l, tile + m), l, chunk);
        gemm_round<TYPE>(x[chunk % 2], a, token, chunk);
        __syncthreads(); /* who writes on this half next has passed here once more */
#pragma unroll
        for (int k = 0; k < 4; k++) {
            uint32_t f[GEMM_TILES][4];

#pragma unroll
            for (int m = 0; m < GEMM_TILES; m++)
                gemm_fragment<TYPE>(w[m], k, f[m]);
#pragma unroll
            for (int n = 0; n < GEMM_N; n++) {
                constexpr int APART = wchunk<TYPE>::E4M3 ? 2 : 8;
                const uint16_t *b = &x[chunk % 2][n * 8 + g][k * 16 + (APART == 2 ? 4 : 2) * t];
                const uint32_t b0 = *reinterpret_cast<const uint32_t *>(b);
                const uint32_t b1 = *reinterpret_cast<const uint32_t *>(b + APART);

#pragma unroll
                for (int m = 0; m < GEMM_TILES; m++) {
                    if constexpr (TYPE == KERN_TYPE_F16)
                        ptx_mma_f16(acc[m][n], f[m], b0, b1);
                    else
                        ptx_mma_bf16(acc[m][n], f[m], b0, b1);
                }
            }
        }
    }
    gemm_write(acc, out, out_stride, into, tile * CUDA_TILE_ROWS, token, l.rows, a.n_tokens);
}

/* ---- launchers ----------------------------------------------------------------------------- */

template <int TYPE>
static void gemm(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                 float *out, size_t out_stride, enum kern_cuda_into into)
{
    constexpr bool MINS = wchunk<TYPE>::MINS;
    const dim3 grid(kern_cuda_div_up(a.n_tokens, GEMM_TOKENS),
                    kern_cuda_div_up(w->l.n_tiles, GEMM_WARPS * GEMM_TILES));

    if constexpr (wchunk<TYPE>::PLAIN)
        kern_cuda_run(c, "a product", gemm_floats_kernel<TYPE>, grid, dim3(GEMM_THREADS), 0,
                      w->data, w->l, a, out, out_stride, into);
    else if (a.fine)
        kern_cuda_run(c, "a product", gemm_ints_kernel<TYPE, true>, grid, dim3(GEMM_THREADS),
                      STAGES * sizeof(gemm_stage<true, MINS>), w->data, w->l, a, out, out_stride,
                      into);
    else
        kern_cuda_run(c, "a product", gemm_ints_kernel<TYPE, false>, grid, dim3(GEMM_THREADS),
                      STAGES * sizeof(gemm_stage<false, MINS>), w->data, w->l, a, out, out_stride,
                      into);
}

void kern_cuda_gemm(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                    const struct kern_cuda_acts *a, float *out, size_t out_stride,
                    enum kern_cuda_into into)
{
    if (kern_cuda_wgmma(c, w, a, out, out_stride, into))
        return;
    KERN_CUDA_FOR_TYPE(w->l.type, gemm, c, w, *a, out, out_stride, into)
}
