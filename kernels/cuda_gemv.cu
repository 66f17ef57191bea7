/* kernels/cuda_gemv.cu - products with up to 8 tokens, at the speed at which weights come out of memory.
 *
 * A block does 16 rows: its warps take the chunks of 64 columns in turns, several chunks on their way at once, and their sums
 * meet in shared memory, in the order of the warps. Quantized weights go through the integer tensor cores: 8 tokens are exactly
 * one fragment, and one token costs what eight do, memory's time. So a token's result has one order of operations,
 * whichever others are in the step. Float and e4m3 weights are multiplied in floats.
 * A lane is 4g + t: rows g and g + 8; in fragments columns 4t and on, and tokens 2t and 2t + 1 of the sums. */
#include "kernels/cuda_private.h"
#include "kernels/cuda_weights.cuh"

enum { GEMV_WARPS = 8, GEMV_TOKENS = KERN_CUDA_GEMV_TOKENS };

/* acc[up * 2 + i] += row g + 8 up of step HALF of the chunk times token 2t + i. q, r: [token][cols] as words. */
template <int TYPE, bool FINE, int HALF>
DEV void gemv_step(float (&acc)[4], const wchunk<TYPE> &w, const kern_cuda_acts &a, size_t block)
{
    using W = wchunk<TYPE>;
    const unsigned lane = dev_lane(), g = lane / 4, t = lane % 4;
    const size_t n_blocks = a.cols / 32;
    const bool mine = g < a.n_tokens;
    const size_t at = g * a.cols + block * 32 + 4 * t;
    uint32_t c[4], b[2] = {0, 0}, f[2] = {0, 0};
    float s[2][2], min[2], d[2] = {0, 0}, ds[2] = {0, 0};

    if (mine) {
        b[0] = *reinterpret_cast<const uint32_t *>(a.q + at);
        b[1] = *reinterpret_cast<const uint32_t *>(a.q + at + 16);
        if constexpr (FINE) {
            f[0] = *reinterpret_cast<const uint32_t *>(a.r + at);
            f[1] = *reinterpret_cast<const uint32_t *>(a.r + at + 16);
        }
    }
#pragma unroll
    for (unsigned i = 0; i < 2; i++)
        if (2 * t + i < a.n_tokens) {
            d[i] = a.d[(2 * t + i) * n_blocks + block];
            if constexpr (W::MINS)
                ds[i] = a.ds[(2 * t + i) * n_blocks + block];
        }
    wchunk_codes<TYPE, HALF>(w, c);
    wchunk_scales<TYPE, HALF>(w, s, min);
#pragma unroll
    for (int k = 0; k < (W::HALVES ? 2 : 1); k++) {
        int sum[4] = {0, 0, 0, 0}, rest[4] = {0, 0, 0, 0};

        if constexpr (W::HALVES) {
            ptx_mma_s8_k16(sum, c[2 * k], c[2 * k + 1], b[k]);
            if constexpr (FINE)
                ptx_mma_s8_k16(rest, c[2 * k], c[2 * k + 1], f[k]);
        } else {
            ptx_mma_s8(sum, c, b[0], b[1]);
            if constexpr (FINE)
                ptx_mma_s8(rest, c, f[0], f[1]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            acc[i] += s[i / 2][k] * d[i % 2] * (float)(FINE ? 256 * sum[i] + rest[i] : sum[i]);
    }
    if constexpr (W::MINS)
#pragma unroll
        for (int i = 0; i < 4; i++)
            acc[i] += min[i / 2] * ds[i % 2];
}

/* A quantized tile times all tokens: the warp's share. */
template <int TYPE, bool FINE>
DEV void gemv_ints(float (&acc)[4], const uint8_t *tile, const cuda_layout &l,
                   const kern_cuda_acts &a)
{
    constexpr int AHEAD = wchunk<TYPE>::AHEAD;
    const size_t n_blocks = l.cols / 32;

    for (size_t first = dev_warp(); first < l.n_chunks; first += GEMV_WARPS * AHEAD) {
        wchunk<TYPE> w[AHEAD];

#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            if (first + i * GEMV_WARPS < l.n_chunks)
                wchunk_load(w[i], tile, l, first + i * GEMV_WARPS);
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const size_t chunk = first + i * GEMV_WARPS;

            if (chunk < l.n_chunks) {
                gemv_step<TYPE, FINE, 0>(acc, w[i], a, chunk * 2);
                if (chunk * 2 + 1 < n_blocks)
                    gemv_step<TYPE, FINE, 1>(acc, w[i], a, chunk * 2 + 1);
            }
        }
    }
}

template <int TYPE> DEV float gemv_float(uint32_t v, unsigned half)
{
    if constexpr (TYPE == KERN_TYPE_F16)
        return half != 0 ? dev_hi_f16(v) : dev_lo_f16(v);
    else
        return __uint_as_float(half != 0 ? v & 0xffff0000u : v << 16);
}

/* A tile of floats: sums[up][token] over the columns of this lane. */
template <int TYPE, int TOKENS>
DEV void gemv_floats(float (&sums)[2][TOKENS], const uint8_t *tile, const cuda_layout &l,
                     const kern_cuda_acts &a)
{
    constexpr int AHEAD = wchunk<TYPE>::AHEAD;
    const unsigned t = dev_lane() % 4;

    for (size_t first = dev_warp(); first < l.n_chunks; first += GEMV_WARPS * AHEAD) {
        wchunk<TYPE> w[AHEAD];

#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            if (first + i * GEMV_WARPS < l.n_chunks)
                wchunk_load(w[i], tile, l, first + i * GEMV_WARPS);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
#pragma unroll
            for (int k = 0; k < 8; k++) { /* pairs of columns: 16 (k / 2) + 8 (k % 2) + 2t */
                const size_t col = (first + i * GEMV_WARPS) * CUDA_CHUNK + k * 8 + 2 * t;

                if (col >= l.cols)
                    continue;
#pragma unroll
                for (int n = 0; n < TOKENS; n++) {
                    if ((unsigned)n >= a.n_tokens)
                        continue;
                    const float2 x = *reinterpret_cast<const float2 *>(a.x + n * a.cols + col);

#pragma unroll
                    for (int up = 0; up < 2; up++) {
                        const uint32_t v = dev_word(w[i].code[k / 2], up + k % 2 * 2);

                        sums[up][n] = fmaf(gemv_float<TYPE>(v, 0), x.x, sums[up][n]);
                        sums[up][n] = fmaf(gemv_float<TYPE>(v, 1), x.y, sums[up][n]);
                    }
                }
            }
    }
#pragma unroll
    for (int up = 0; up < 2; up++)
#pragma unroll
        for (int n = 0; n < TOKENS; n++) {
            sums[up][n] += __shfl_xor_sync(WARP_ALL, sums[up][n], 1);
            sums[up][n] += __shfl_xor_sync(WARP_ALL, sums[up][n], 2);
        }
}

/* The same for e4m3. */
template <int TOKENS>
DEV void gemv_e4m3(float (&sums)[2][TOKENS], const uint8_t *tile, const cuda_layout &l,
                   const kern_cuda_acts &a)
{
    constexpr int AHEAD = TOKENS == 1 ? 2 : 1; /* what registers suffice for on every chip */
    const unsigned t = dev_lane() % 4;

    for (size_t first = dev_warp(); first < l.n_chunks; first += GEMV_WARPS * AHEAD) {
        wchunk<CUDA_E4M3> w[AHEAD];

#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            if (first + i * GEMV_WARPS < l.n_chunks)
                wchunk_load(w[i], tile, l, first + i * GEMV_WARPS);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
#pragma unroll
            for (int k = 0; k < 4; k++) { /* four columns: 16 k + 4 t */
                const size_t col = (first + i * GEMV_WARPS) * CUDA_CHUNK + k * 16 + 4 * t;

                if (col >= l.cols)
                    continue;
#pragma unroll
                for (int n = 0; n < TOKENS; n++) {
                    if ((unsigned)n >= a.n_tokens)
                        continue;
                    const float4 x = *reinterpret_cast<const float4 *>(a.x + n * a.cols + col);

#pragma unroll
                    for (int up = 0; up < 2; up++) {
                        const uint32_t v = dev_word(w[i].code[k / 2], up + k % 2 * 2);
                        float p = dev_e4m3_f32(v) * x.x;

                        p = fmaf(dev_e4m3_f32(v >> 8), x.y, p);
                        p = fmaf(dev_e4m3_f32(v >> 16), x.z, p);
                        p = fmaf(dev_e4m3_f32(v >> 24), x.w, p);
                        sums[up][n] = fmaf(__uint_as_float(w[i].scale[up]), p, sums[up][n]);
                    }
                }
            }
    }
#pragma unroll
    for (int up = 0; up < 2; up++)
#pragma unroll
        for (int n = 0; n < TOKENS; n++) {
            sums[up][n] += __shfl_xor_sync(WARP_ALL, sums[up][n], 1);
            sums[up][n] += __shfl_xor_sync(WARP_ALL, sums[up][n], 2);
        }
}

/* Either. */
template <int TYPE, int TOKENS>
DEV void gemv_plain(float (&sums)[2][TOKENS], const uint8_t *tile, const cuda_layout &l,
                    const kern_cuda_acts &a)
{
    if constexpr (TYPE == CUDA_E4M3)
        gemv_e4m3<TOKENS>(sums, tile, l, a);
    else
        gemv_floats<TYPE, TOKENS>(sums, tile, l, a);
}

/* What all warps found of a tile, [16 rows][8 tokens] of this warp at mine. */
template <int TYPE, bool FINE>
DEV void gemv_tile(float *mine, const uint8_t *tile, const cuda_layout &l, const kern_cuda_acts &a)
{
    const unsigned lane = dev_lane(), g = lane / 4, t = lane % 4;

    if constexpr (wchunk<TYPE>::PLAIN) {
        if (a.n_tokens == 1) {
            float sums[2][1] = {{0}, {0}};

            gemv_plain<TYPE, 1>(sums, tile, l, a);
            if (t == 0) {
                mine[g * GEMV_TOKENS] = sums[0][0];
                mine[(g + 8) * GEMV_TOKENS] = sums[1][0];
            }
        } else {
            float sums[2][GEMV_TOKENS] = {{0}, {0}};

            gemv_plain<TYPE, GEMV_TOKENS>(sums, tile, l, a);
            if (t == 0)
#pragma unroll
                for (int n = 0; n < GEMV_TOKENS; n++) {
                    mine[g * GEMV_TOKENS + n] = sums[0][n];
                    mine[(g + 8) * GEMV_TOKENS + n] = sums[1][n];
                }
        }
    } else {
        float acc[4] = {0, 0, 0, 0};

        gemv_ints<TYPE, FINE>(acc, tile, l, a);
#pragma unroll
        for (int i = 0; i < 4; i++)
            mine[(g + i / 2 * 8) * GEMV_TOKENS + 2 * t + i % 2] = acc[i];
    }
}

/* The sum over warps of row r, token n. */
DEV float gemv_total(const float *parts, unsigned r, unsigned n)
{
    float v = 0;

#pragma unroll
    for (int w = 0; w < GEMV_WARPS; w++)
        v += parts[(w * CUDA_TILE_ROWS + r) * GEMV_TOKENS + n];
    return v;
}

/* out: [token][out_stride]; data: tiles of l; a block a tile. */
template <int TYPE, bool FINE>
static __global__ void __launch_bounds__(GEMV_WARPS *WARP)
    gemv_kernel(const uint8_t *data, struct cuda_layout l, struct kern_cuda_acts a, float *out,
                size_t out_stride, enum kern_cuda_into into)
{
    __shared__ float parts[GEMV_WARPS * CUDA_TILE_ROWS * GEMV_TOKENS];
    const unsigned r = threadIdx.x % CUDA_TILE_ROWS, n = threadIdx.x / CUDA_TILE_ROWS;
    const size_t row = (size_t)blockIdx.x * CUDA_TILE_ROWS + r;

    gemv_tile<TYPE, FINE>(parts + dev_warp() * CUDA_TILE_ROWS * GEMV_TOKENS,
                          data + blockIdx.x * l.tile_bytes, l, a);
    __syncthreads();
    if (n < a.n_tokens && row < l.rows)
        dev_into(out + n * out_stride + row, gemv_total(parts, r, n), into);
}

/* out: [token][rows] = f(gate x) * (up x); both matrices have the layout l. */
template <int TYPE, bool FINE>
static __global__ void __launch_bounds__(GEMV_WARPS *WARP)
    gate_up_kernel(const uint8_t *gate, const uint8_t *up, struct cuda_layout l,
                   struct kern_cuda_acts a, bool gelu, float *out)
{
    __shared__ float parts[2][GEMV_WARPS * CUDA_TILE_ROWS * GEMV_TOKENS];
    const unsigned r = threadIdx.x % CUDA_TILE_ROWS, n = threadIdx.x / CUDA_TILE_ROWS;
    const size_t row = (size_t)blockIdx.x * CUDA_TILE_ROWS + r, at = blockIdx.x * l.tile_bytes;
    const unsigned mine = dev_warp() * CUDA_TILE_ROWS * GEMV_TOKENS;

    gemv_tile<TYPE, FINE>(parts[0] + mine, gate + at, l, a);
    gemv_tile<TYPE, FINE>(parts[1] + mine, up + at, l, a);
    __syncthreads();
    if (n < a.n_tokens && row < l.rows) {
        const float g = gemv_total(parts[0], r, n);

        out[n * l.rows + row] = (gelu ? dev_gelu(g) : dev_silu(g)) * gemv_total(parts[1], r, n);
    }
}

/* ---- launchers ----------------------------------------------------------------------------- */

template <int TYPE>
static void gemv(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a,
                 float *out, size_t out_stride, enum kern_cuda_into into)
{
    const dim3 grid((unsigned)w->l.n_tiles), block(GEMV_WARPS * WARP);

    if (wchunk<TYPE>::PLAIN || !a.fine)
        kern_cuda_run(c, "a product", gemv_kernel<TYPE, false>, grid, block, 0, w->data, w->l, a,
                      out, out_stride, into);
    else
        kern_cuda_run(c, "a product", gemv_kernel<TYPE, !wchunk<TYPE>::PLAIN>, grid, block, 0,
                      w->data, w->l, a, out, out_stride, into);
}

template <int TYPE>
static void gate_up(struct kern_cuda *c, const kern_cuda_matrix *gate, const kern_cuda_matrix *up,
                    const kern_cuda_acts &a, bool gelu, float *out)
{
    [[maybe_unused]] const dim3 grid((unsigned)gate->l.n_tiles), block(GEMV_WARPS * WARP);

    if constexpr (wchunk<TYPE>::E4M3) /* two products: see kern_cuda_gate_up */
        return;
    else if (wchunk<TYPE>::PLAIN || !a.fine)
        kern_cuda_run(c, "gate and up", gate_up_kernel<TYPE, false>, grid, block, 0, gate->data,
                      up->data, gate->l, a, gelu, out);
    else
        kern_cuda_run(c, "gate and up", gate_up_kernel<TYPE, !wchunk<TYPE>::PLAIN>, grid, block, 0,
                      gate->data, up->data, gate->l, a, gelu, out);
}

static void few(struct kern_cuda *c, const kern_cuda_matrix *w, const kern_cuda_acts &a, float *out,
                size_t out_stride, enum kern_cuda_into into)
{
    KERN_CUDA_FOR_TYPE(w->l.type, gemv, c, w, a, out, out_stride, into)
}

static void few_gated(struct kern_cuda *c, const kern_cuda_matrix *gate, const kern_cuda_matrix *up,
                      const kern_cuda_acts &a, bool gelu, float *out)
{
    KERN_CUDA_FOR_TYPE(gate->l.type, gate_up, c, gate, up, a, gelu, out)
}

/* kern_cuda_matmul, into what is there. */
static void product(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                    const struct kern_cuda_acts *a, float *out, size_t out_stride,
                    enum kern_cuda_into into)
{
    if (a->n_tokens <= GEMV_TOKENS)
        few(c, w, *a, out, out_stride, into);
    else
        kern_cuda_gemm(c, w, a, out, out_stride, into);
}

void kern_cuda_matmul(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                      const struct kern_cuda_acts *a, float *out, size_t out_stride, bool add)
{
    product(c, w, a, out, out_stride, add ? KERN_CUDA_ADD : KERN_CUDA_SET);
}

void kern_cuda_gate_up(struct kern_cuda *c, const struct kern_cuda_matrix *gate,
                       const struct kern_cuda_matrix *up, const struct kern_cuda_acts *a,
                       enum kern_cuda_gate f, float *out)
{
    /* e4m3 twice in a kernel is more than its registers hold. */
    if (a->n_tokens <= GEMV_TOKENS && gate->l.type == up->l.type && gate->l.type != CUDA_E4M3) {
        few_gated(c, gate, up, *a, f == KERN_CUDA_GELU, out);
        return;
    }
    product(c, gate, a, out, gate->l.rows, KERN_CUDA_SET);
    product(c, up, a, out, gate->l.rows,
            f == KERN_CUDA_GELU ? KERN_CUDA_MUL_GELU : KERN_CUDA_MUL_SILU);
}
