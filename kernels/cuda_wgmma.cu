/* kernels/cuda_wgmma.cu - products with many tokens on compute capability 9.0: what cuda_gemm.cu does elsewhere.
 *
 * A block does 128 rows (256 of float and e4m3 matrices) and 128 tokens (64 with fine activations): one warp fetches, two warpgroups
 * multiply. Stages of 128 bytes of each token go through a ring in shared memory; a stage is full when the copy engine brought what
 * was announced, and free when all eight warps have read it. Activations come as boxes of a tensor map, in 128-byte rows that the
 * engine swizzles and wgmma reads; weights as runs of their tiles, whose pieces are fragments that go through registers.
 *
 * Quantized matrices: int8 products of 32 columns, exact, then scaled and added like those of cuda_gemm.cu: the same bits. Float matrices:
 * activations are rounded to 16 bits first, and a sum stays in the tensor cores. e4m3: activations are rounded to it first, with a scale for 128
 * columns of a token; sums of 128 columns are scaled and added in floats, since those of the tensor cores are shorter.
 * A lane is 4g + t: rows g and g + 8, tokens 8n + 2t and 8n + 2t + 1 of the sums. */
#include "kernels/cuda_wgmma.cuh"

#if KERN_HOPPER
/* acc += step HALF of the chunk w times the tokens of a stage: q, rest where the step's 32 columns are; d, ds: [N]. */
template <int TYPE, bool FINE, int HALF>
DEV void wg_step(float (&acc)[wg<TYPE, FINE>::N / 2], const wchunk<TYPE> &w, uint64_t q,
                 uint64_t rest_rows, const float *d, const float *ds)
{
    using S = wg<TYPE, FINE>;
    const unsigned t = dev_lane() % 4;
    uint32_t c[4];
    float s[2][2], min[2];
    int sum[S::N / 2], rest[FINE ? S::N / 2 : 32];

    wchunk_codes<TYPE, HALF>(w, c);
    wchunk_scales<TYPE, HALF>(w, s, min);
#pragma unroll
    for (int k = 0; k < (S::W::HALVES ? 2 : 1); k++) {
        /* 16 columns only: the others are multiplied by zeros */
        const uint32_t a[4] = {S::W::HALVES && k == 1 ? 0 : c[0], S::W::HALVES && k == 1 ? 0 : c[1],
                               S::W::HALVES && k == 0 ? 0 : c[2],
                               S::W::HALVES && k == 0 ? 0 : c[3]};

        ptx_wgmma_fence();
        ptx_wgmma_s8<false>(sum, a, q);
        if constexpr (FINE)
            ptx_wgmma_s8<false>(rest, a, rest_rows);
        ptx_wgmma_commit();
        ptx_wgmma_wait<0>();
        ptx_wgmma_hold(sum);
        if constexpr (FINE)
            ptx_wgmma_hold(rest);
#pragma unroll
        for (int n = 0; n < S::N / 8; n++) {
            const float2 dn = *reinterpret_cast<const float2 *>(d + n * 8 + 2 * t);

#pragma unroll
            for (int i = 0; i < 4; i++)
                acc[4 * n + i] +=
                    s[i / 2][k] * (i % 2 == 0 ? dn.x : dn.y) *
                    (float)(FINE ? 256 * sum[4 * n + i] + rest[4 * n + i] : sum[4 * n + i]);
        }
    }
    if constexpr (S::W::MINS)
#pragma unroll
        for (int n = 0; n < S::N / 8; n++) {
            const float2 dn = *reinterpret_cast<const float2 *>(ds + n * 8 + 2 * t);

#pragma unroll
            for (int i = 0; i < 4; i++)
                acc[4 * n + i] += min[i / 2] * (i % 2 == 0 ? dn.x : dn.y);
        }
}
#endif

/* q, r: a's integers as tensors of 128 columns and N tokens a box; factors: wg_factors_kernel; data: tiles of l; out: [token][out_stride].
 * A block: rows 128 blockIdx.y.., tokens N blockIdx.x... */
template <int TYPE, bool FINE>
static __global__ void __launch_bounds__(WG_THREADS, 1)
    wg_ints_kernel(KERN_TENSOR q, KERN_TENSOR r, const float *factors, const uint8_t *data,
                   struct cuda_layout l, unsigned n_tokens, float *out, size_t out_stride,
                   enum kern_cuda_into into)
{
#if KERN_HOPPER
    using S = wg<TYPE, FINE>;
    KERN_SHARED(uint8_t, shared);
    const struct wg_ring ring = wg_ring_at(shared, S::STAGE);
    const unsigned group = dev_warp() / 4;

    if (group == 0) {
        ptx_registers_less<WG_REGISTERS_FETCH>();
        if (dev_warp() == 0)
            wg_fetch<TYPE, FINE>(ring, q, r, factors, data, l);
        return;
    }
    ptx_registers_more<WG_REGISTERS>();

    const unsigned warp = dev_warp() - 4;
    struct cuda_layout in = {}; /* of a tile in a stage */
    float acc[S::N / 2] = {};

    in.high = S::AT_HIGH;
    in.scales = S::AT_SCALE;
    in.supers = S::AT_SUPER;
    for (unsigned i = 0; i * S::CHUNKS < l.n_chunks; i++) {
        const unsigned at = i % WG_STAGES;
        const uint8_t *st = ring.stages + at * S::STAGE;
        const float *d = reinterpret_cast<const float *>(st + S::AT_FACTORS);
        const uint64_t rows = wg_rows(st), rest = wg_rows(st + S::TOKENS);

        ptx_barrier_wait(&ring.full[at], i / WG_STAGES % 2);
#pragma unroll 1
        for (unsigned c = 0; c < S::CHUNKS && i * S::CHUNKS + c < l.n_chunks; c++) {
            wchunk<TYPE> w;

            wchunk_load<TYPE, true>(w, st + S::AT_WEIGHTS + warp * S::TILE, in, c);
            wg_step<TYPE, FINE, 0>(acc, w, rows + 4 * c, rest + 4 * c, d + 2 * c * S::N,
                                   d + (4 + 2 * c) * S::N);
            wg_step<TYPE, FINE, 1>(acc, w, rows + 4 * c + 2, rest + 4 * c + 2,
                                   d + (2 * c + 1) * S::N, d + (5 + 2 * c) * S::N);
        }
        wg_free(ring, at);
    }
    wg_write<S::N>(acc, out, out_stride, into,
                   ((size_t)blockIdx.y * S::ROW_TILES + warp) * CUDA_TILE_ROWS,
                   (size_t)blockIdx.x * S::N, l.rows, n_tokens);
#endif
}

/* x: tokens in the weights' 16 bits as a tensor of 64 columns and 128 tokens a box; the rest as above. */
template <int TYPE>
static __global__ void __launch_bounds__(WG_THREADS, 1)
    wg_floats_kernel(KERN_TENSOR x, const uint8_t *data, struct cuda_layout l, unsigned n_tokens,
                     float *out, size_t out_stride, enum kern_cuda_into into)
{
#if KERN_HOPPER
    using S = wg<TYPE, false>;
    KERN_SHARED(uint8_t, shared);
    const struct wg_ring ring = wg_ring_at(shared, S::STAGE);
    const unsigned group = dev_warp() / 4;

    if (group == 0) {
        ptx_registers_less<WG_REGISTERS_FETCH>();
        if (dev_warp() == 0)
            wg_fetch<TYPE, false>(ring, x, x, NULL, data, l);
        return;
    }
    ptx_registers_more<WG_REGISTERS>();

    const unsigned warp = dev_warp() - 4;
    float acc[S::TILES][S::N / 2] = {};

    for (unsigned i = 0; i < l.n_chunks; i++) {
        const unsigned at = i % WG_STAGES;
        const uint8_t *st = ring.stages + at * S::STAGE;
        const uint64_t rows = wg_rows(st);
        wchunk<TYPE> w[S::TILES];

        ptx_barrier_wait(&ring.full[at], i / WG_STAGES % 2);
#pragma unroll
        for (int m = 0; m < S::TILES; m++)
            wchunk_load<TYPE, true>(w[m], st + S::AT_WEIGHTS + (m * WG_WARPS + warp) * S::TILE, l,
                                    0);
        ptx_wgmma_fence();
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int m = 0; m < S::TILES; m++) {
                const uint4 v = w[m].code[k];
                const uint32_t a[4] = {v.x, v.y, v.z, v.w};

                if constexpr (TYPE == KERN_TYPE_F16)
                    ptx_wgmma_f16<true>(acc[m], a, rows + 2 * k);
                else
                    ptx_wgmma_bf16<true>(acc[m], a, rows + 2 * k);
            }
        ptx_wgmma_commit();
        ptx_wgmma_wait<0>();
#pragma unroll
        for (int m = 0; m < S::TILES; m++)
            ptx_wgmma_hold(acc[m]);
        wg_free(ring, at);
    }
#pragma unroll
    for (int m = 0; m < S::TILES; m++)
        wg_write<S::N>(acc[m], out, out_stride, into,
                       ((size_t)blockIdx.y * S::ROW_TILES + m * WG_WARPS + warp) * CUDA_TILE_ROWS,
                       (size_t)blockIdx.x * S::N, l.rows, n_tokens);
#endif
}

/* q: tokens as e4m3, as tensors of wg_ints_kernel; factors: [stage][block of tokens][128]; the rest as above. */
static __global__ void __launch_bounds__(WG_THREADS, 1)
    wg_e4m3_kernel(KERN_TENSOR q, const float *factors, const uint8_t *data, struct cuda_layout l,
                   unsigned n_tokens, float *out, size_t out_stride, enum kern_cuda_into into)
{
#if KERN_HOPPER
    using S = wg<CUDA_E4M3, false>;
    KERN_SHARED(uint8_t, shared);
    const struct wg_ring ring = wg_ring_at(shared, S::STAGE);
    const unsigned group = dev_warp() / 4;

    if (group == 0) {
        ptx_registers_less<WG_REGISTERS_FETCH>();
        if (dev_warp() == 0)
            wg_fetch<CUDA_E4M3, false>(ring, q, q, factors, data, l);
        return;
    }
    ptx_registers_more<WG_REGISTERS>();

    const unsigned warp = dev_warp() - 4, t = dev_lane() % 4;
    struct cuda_layout in = {}; /* of a tile in a stage */
    float acc[S::TILES][S::N / 2] = {};

    in.scales = S::AT_SCALE;
    for (unsigned i = 0; i * S::CHUNKS < l.n_chunks; i++) {
        const unsigned at = i % WG_STAGES;
        const uint8_t *st = ring.stages + at * S::STAGE;
        const float *d = reinterpret_cast<const float *>(st + S::AT_FACTORS);
        const uint64_t rows = wg_rows(st);

        ptx_barrier_wait(&ring.full[at], i / WG_STAGES % 2);
#pragma unroll
        for (int m = 0; m < S::TILES; m++) {
            wchunk<CUDA_E4M3> w[S::CHUNKS];
            float sum[S::N / 2];

#pragma unroll
            for (int c = 0; c < S::CHUNKS; c++)
                wchunk_load<CUDA_E4M3, true>(
                    w[c], st + S::AT_WEIGHTS + (m * WG_WARPS + warp) * S::TILE, in, c);
            ptx_wgmma_fence();
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const uint4 v = w[k / 2].code[k % 2];
                const uint32_t a[4] = {v.x, v.y, v.z, v.w};

                if (k == 0)
                    ptx_wgmma_e4m3<false>(sum, a, rows);
                else
                    ptx_wgmma_e4m3<true>(sum, a, rows + 2 * k);
            }
            ptx_wgmma_commit();
            ptx_wgmma_wait<0>();
            ptx_wgmma_hold(sum);
#pragma unroll
            for (int n = 0; n < S::N / 8; n++) {
                const float2 dn = *reinterpret_cast<const float2 *>(d + n * 8 + 2 * t);

#pragma unroll
                for (int j = 0; j < 4; j++)
                    acc[m][4 * n + j] += __uint_as_float(w[0].scale[j / 2]) *
                                         (j % 2 == 0 ? dn.x : dn.y) * sum[4 * n + j];
            }
        }
        wg_free(ring, at);
    }
#pragma unroll
    for (int m = 0; m < S::TILES; m++)
        wg_write<S::N>(acc[m], out, out_stride, into,
                       ((size_t)blockIdx.y * S::ROW_TILES + m * WG_WARPS + warp) * CUDA_TILE_ROWS,
                       (size_t)blockIdx.x * S::N, l.rows, n_tokens);
#endif
}

/* ---- what goes before ---------------------------------------------------------------------- */

enum { WG_BEFORE = 256 };

/* The scales of tokens in the order of stages: to[stage][block of N tokens][d [4][N], ds [4][N] with mins]; zeros where there is
 * nothing. A thread does a place of to. */
static __global__ void __launch_bounds__(WG_BEFORE)
    wg_factors_kernel(float *to, struct kern_cuda_acts a, unsigned n, unsigned n_factors,
                      unsigned n_token_blocks, size_t total)
{
    const size_t at = (size_t)blockIdx.x * WG_BEFORE + threadIdx.x;
    const size_t record = at / n_factors,
                 block = record / n_token_blocks * 4 + at % n_factors / n % 4;
    const size_t token = record % n_token_blocks * n + at % n;
    const float *from = at % n_factors < 4 * (size_t)n ? a.d : a.ds;

    if (at < total)
        to[at] =
            token < a.n_tokens && block < a.cols / 32 ? from[token * (a.cols / 32) + block] : 0.0f;
}

/* to[i] = x[i] in 16 bits; n4: quarters of the values. */
template <int TYPE>
static __global__ void __launch_bounds__(WG_BEFORE)
    wg_round_kernel(uint2 *to, const float4 *x, size_t n4)
{
    const size_t i = (size_t)blockIdx.x * WG_BEFORE + threadIdx.x;

    if (i >= n4)
        return;
    float4 v = x[i];

    if constexpr (TYPE == KERN_TYPE_F16) { /* beyond its range: the largest */
        v.x = fminf(fmaxf(v.x, -65504.0f), 65504.0f);
        v.y = fminf(fmaxf(v.y, -65504.0f), 65504.0f);
        v.z = fminf(fmaxf(v.z, -65504.0f), 65504.0f);
        v.w = fminf(fmaxf(v.w, -65504.0f), 65504.0f);
        to[i] = make_uint2(ptx_pack_f16(v.x, v.y), ptx_pack_f16(v.z, v.w));
    } else {
        to[i] = make_uint2(ptx_pack_bf16(v.x, v.y), ptx_pack_bf16(v.z, v.w));
    }
}

/* x: [token][cols] to q as e4m3 and factors[block of 128 columns][padded]: a warp does 128 columns of a token, blockIdx.y; of one that is only
 * padding it writes the factor, 0. */
static __global__ void __launch_bounds__(WG_BEFORE)
    wg_to_e4m3_kernel(uint32_t *q, float *factors, const float *x, unsigned n_tokens,
                      unsigned n_padded, size_t cols)
{
    const size_t block = (size_t)blockIdx.x * (WG_BEFORE / WARP) + dev_warp(), token = blockIdx.y;
    const size_t col = block * CUDA_E4M3_BLOCK + dev_lane() * 4;
    const bool real = token < n_tokens && col < cols;
    float4 v = {0, 0, 0, 0};

    if (block * CUDA_E4M3_BLOCK >= cols)
        return;
    if (real)
        v = *reinterpret_cast<const float4 *>(x + token * cols + col);

    const float amax =
        dev_warp_max(fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
    const bool finite =
        __all_sync(WARP_ALL, isfinite(v.x) && isfinite(v.y) && isfinite(v.z) && isfinite(v.w)) != 0;
    const float inverse = finite && amax >= 1e-30f ? 448.0f / amax : 0.0f;

    if (real)
        q[(token * cols + col) / 4] =
            inverse > 0 ? dev_f32_e4m3(v.x * inverse) | dev_f32_e4m3(v.y * inverse) << 8 |
                              dev_f32_e4m3(v.z * inverse) << 16 | dev_f32_e4m3(v.w * inverse) << 24
                        : 0;
    if (dev_lane() == 0)
        factors[block * n_padded + token] = !finite       ? __uint_as_float(0x7fc00000u)
                                            : inverse > 0 ? amax / 448.0f
                                                          : 0.0f;
}

/* ---- launchers ----------------------------------------------------------------------------- */

/* The driver's cuTensorMapEncodeTiled: kern_cuda.tensor_encode. */
typedef CUresult (*kern_tensor_encode)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                                       const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                                       const cuuint32_t *, CUtensorMapInterleave,
                                       CUtensorMapSwizzle, CUtensorMapL2promotion,
                                       CUtensorMapFloatOOBfill);

/* [rows][cols] of 1 or 2 bytes a value at p as a tensor whose boxes are 128 bytes of `tokens` rows. */
static bool wg_tensor(struct kern_cuda *c, CUtensorMap *m, const void *p, unsigned bytes,
                      size_t cols, size_t rows, unsigned tokens)
{
    const kern_tensor_encode encode = reinterpret_cast<kern_tensor_encode>(c->tensor_encode);
    const cuuint64_t dims[2] = {cols, rows}, pitch[1] = {cols * bytes};
    const cuuint32_t box[2] = {WG_ROW / bytes, tokens}, step[2] = {1, 1};
    const CUresult r =
        encode(m, bytes == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_UINT16, 2,
               const_cast<void *>(p), dims, pitch, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
               CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);

    return kern_cuda_note(c, r == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue,
                          "a tensor of activations");
}

template <int TYPE, bool FINE>
static void wg_ints(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                    float *out, size_t out_stride, enum kern_cuda_into into)
{
    using S = wg<TYPE, FINE>;
    const unsigned blocks = kern_cuda_div_up(a.n_tokens, S::N);
    const size_t total = (size_t)kern_cuda_div_up(w->l.n_chunks, S::CHUNKS) * blocks * S::FACTORS;
    float *factors = static_cast<float *>(kern_cuda_scratch(c, total * sizeof(float)));
    CUtensorMap q, r;

    if (factors == NULL || !wg_tensor(c, &q, a.q, 1, a.cols, a.n_tokens, S::N) ||
        !wg_tensor(c, &r, FINE ? a.r : a.q, 1, a.cols, a.n_tokens, S::N))
        return;
    kern_cuda_run(c, "scales of activations", wg_factors_kernel,
                  dim3(kern_cuda_div_up(total, WG_BEFORE)), dim3(WG_BEFORE), 0, factors, a,
                  (unsigned)S::N, S::FACTORS, blocks, total);
    kern_cuda_run(c, "a product", wg_ints_kernel<TYPE, FINE>,
                  dim3(blocks, kern_cuda_div_up(w->l.n_tiles, S::ROW_TILES)), dim3(WG_THREADS),
                  S::SHARED, q, r, factors, w->data, w->l, a.n_tokens, out, out_stride, into);
}

template <int TYPE>
static void wg_floats(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                      float *out, size_t out_stride, enum kern_cuda_into into)
{
    using S = wg<TYPE, false>;
    const size_t n = a.n_tokens * a.cols;
    uint2 *x = static_cast<uint2 *>(kern_cuda_scratch(c, n * 2));
    CUtensorMap m;

    if (x == NULL || !wg_tensor(c, &m, x, 2, a.cols, a.n_tokens, S::N))
        return;
    kern_cuda_run(c, "rounding activations", wg_round_kernel<TYPE>,
                  dim3(kern_cuda_div_up(n / 4, WG_BEFORE)), dim3(WG_BEFORE), 0, x,
                  reinterpret_cast<const float4 *>(a.x), n / 4);
    kern_cuda_run(
        c, "a product", wg_floats_kernel<TYPE>,
        dim3(kern_cuda_div_up(a.n_tokens, S::N), kern_cuda_div_up(w->l.n_tiles, S::ROW_TILES)),
        dim3(WG_THREADS), S::SHARED, m, w->data, w->l, a.n_tokens, out, out_stride, into);
}

static void wg_e4m3(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                    float *out, size_t out_stride, enum kern_cuda_into into)
{
    using S = wg<CUDA_E4M3, false>;
    const unsigned blocks = kern_cuda_div_up(a.n_tokens, S::N);
    const unsigned stages = kern_cuda_div_up(a.cols, CUDA_E4M3_BLOCK);
    const size_t codes = (a.n_tokens * a.cols + 255) / 256 * 256;
    uint8_t *q = static_cast<uint8_t *>(
        kern_cuda_scratch(c, codes + (size_t)stages * blocks * S::FACTORS * sizeof(float)));
    float *factors = reinterpret_cast<float *>(q + codes);
    CUtensorMap m;

    if (q == NULL || !wg_tensor(c, &m, q, 1, a.cols, a.n_tokens, S::N))
        return;
    kern_cuda_run(c, "rounding activations", wg_to_e4m3_kernel,
                  dim3(kern_cuda_div_up(stages, WG_BEFORE / WARP), blocks * S::N), dim3(WG_BEFORE),
                  0, reinterpret_cast<uint32_t *>(q), factors, a.x, a.n_tokens, blocks * S::N,
                  a.cols);
    kern_cuda_run(c, "a product", wg_e4m3_kernel,
                  dim3(blocks, kern_cuda_div_up(w->l.n_tiles, S::ROW_TILES)), dim3(WG_THREADS),
                  S::SHARED, m, factors, w->data, w->l, a.n_tokens, out, out_stride, into);
}

template <int TYPE>
static void wg_any(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                   float *out, size_t out_stride, enum kern_cuda_into into)
{
    if constexpr (wchunk<TYPE>::E4M3)
        wg_e4m3(c, w, a, out, out_stride, into);
    else if constexpr (wchunk<TYPE>::FLOATS)
        wg_floats<TYPE>(c, w, a, out, out_stride, into);
    else if (a.fine)
        wg_ints<TYPE, true>(c, w, a, out, out_stride, into);
    else
        wg_ints<TYPE, false>(c, w, a, out, out_stride, into);
}

bool kern_cuda_wgmma(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                     const struct kern_cuda_acts *a, float *out, size_t out_stride,
                     enum kern_cuda_into into)
{
    /* Matrices in the host's memory come over the bus, which is the limit: no copy engine is needed. */
    const bool here = c->tensor_encode != NULL && w->host == NULL;

    if (here)
        [&] { KERN_CUDA_FOR_TYPE(w->l.type, wg_any, c, w, *a, out, out_stride, into) }();
    return here;
}
