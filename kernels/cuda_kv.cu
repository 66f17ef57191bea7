/* kernels/cuda_kv.cu - what happens to queries, keys and values between their product and attention: biases, norms of heads,
 * rope, and the write to pages, in one launch; and copies of whole pages.
 *
 * A warp does a head of a token. Numbers are rounded as the CPU rounds them (kernels/ref.c, kernels/kv_byte.c). */
#include "kernels/cuda_kv.cuh"

enum { QKV_WARPS = 4, MAX_HEAD = 256, COPY_THREADS = 256 };

/* Values beyond f16 are held within its range. */
static __device__ __forceinline__ float held(float f)
{
    return f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f;
}

/* The largest magnitude of n values, NaN when one is: in every lane. */
static __device__ float magnitude(const float *x, unsigned n, unsigned lane)
{
    float most = 0;
    bool bad = false;

    for (unsigned i = lane; i < n; i += 32) {
        bad = bad || isnan(x[i]);
        most = fmaxf(most, fabsf(held(x[i])));
    }
    most = dev_warp_max(most);
    return dev_warp_max(bad ? 1.0f : 0.0f) > 0 ? NAN : most;
}

/* Group g of x[n], which was rotated: its number of largest magnitude, the first of equals, becomes -8; see code_groups of kernels/kv_code.c. */
static __device__ void put_group(const struct cuda_kv_row &r, unsigned g, const float *x,
                                 unsigned n, unsigned lane)
{
    const unsigned i = g * CUDA_KV_GROUP + lane;
    const float v = i < n ? x[i] : 0.0f, size = fabsf(v);
    const bool bad = dev_warp_max(isnan(v) ? 1.0f : 0.0f) > 0;
    const float most = dev_warp_max(isnan(v) ? 0.0f : size);
    const float first = dev_warp_max(size == most ? 32.0f - (float)lane : 0.0f); /* 32: lane 0 */
    const float top = __shfl_sync(WARP_ALL, v, bad ? 0 : 32 - (int)first);
    const uint16_t scale = ptx_f32_f16(held(bad ? NAN : top / -8.0f));
    const float d = ptx_f16_f32(scale);
    const float inverse = d != 0 && fabsf(1.0f / d) < INFINITY ? 1.0f / d : 0.0f;
    const float at = rintf(v * inverse) + 8.0f;
    const unsigned code = at > 15.0f ? 15u : at > 0.0f ? (unsigned)at : 0u; /* no number: 0 */
    const unsigned next = __shfl_xor_sync(WARP_ALL, code, 1);

    if (lane == 0)
        r.halfs[g] = scale;
    if (lane % 2 == 0 && i < n)
        r.values[i / 2] = (unsigned char)(code | next << 4);
}

/* Writes x[n], which a warp shares and may spoil, to a row of a page. */
static __device__ void put_row(enum kern_cuda_kv_type type, const struct cuda_kv_row &r, float *x,
                               unsigned n, unsigned lane)
{
    if (type == KERN_CUDA_KV_F16) {
        for (unsigned i = lane; i < n; i += 32)
            ((uint16_t *)r.values)[i] = ptx_f32_f16(held(x[i]));
        return;
    }
    if (type == KERN_CUDA_KV_Q4) {
        for (unsigned i = lane; i < n; i += 32)
            x[i] = held(x[i]);
        cuda_rotate(x, n, false, lane);
        for (unsigned g = 0; g * CUDA_KV_GROUP < n; g++)
            put_group(r, g, x, n, lane);
        return;
    }

    const float most = type == KERN_CUDA_KV_I8 ? 127.0f : 448.0f;
    const float d = magnitude(x, n, lane) / most;
    const float inverse = d > 0 && 1.0f / d < INFINITY ? 1.0f / d : 0;

    if (lane == 0)
        r.scale[0] = d;
    for (unsigned i = lane; i < n; i += 32) {
        const float v = inverse > 0 ? held(x[i]) * inverse : 0.0f;

        if (type == KERN_CUDA_KV_I8)
            ((signed char *)r.values)[i] = (signed char)__float2int_rn(v);
        else
            r.values[i] = (unsigned char)dev_f32_e4m3(v);
    }
}

/* x[n] of a head, in shared memory: bias, norm, rope. The warp calls it together. */
static __device__ void turn_head(float *x, unsigned n, const float *bias, const float *norm,
                                 const struct kern_cuda_qkv &p, int pos, unsigned lane)
{
    const unsigned half = p.rope.n_rot / 2;
    const unsigned step = p.rope.neox ? 1 : 2, apart = p.rope.neox ? half : 1;

    if (bias != NULL)
        for (unsigned i = lane; i < n; i += 32)
            x[i] += bias[i];
    if (norm != NULL) {
        float sum = 0;

        for (unsigned i = lane; i < n; i += 32)
            sum = fmaf(x[i], x[i], sum);
        sum = 1.0f / sqrtf(dev_warp_sum(sum) / (float)n + p.eps);
        for (unsigned i = lane; i < n; i += 32)
            x[i] = x[i] * sum * norm[i];
    }
    __syncwarp();
    for (unsigned i = lane; i < half; i += 32) {
        const float c = p.rope.cos[(size_t)pos * half + i], s = p.rope.sin[(size_t)pos * half + i];
        float *a = x + i * step, *b = a + apart;
        const float va = *a, vb = *b;

        *a = va * c - vb * s;
        *b = va * s + vb * c;
    }
    __syncwarp();
}

/* blockIdx.x: token; warps: query heads, then keys, then values. */
static __global__ void qkv_kernel(struct kern_cuda_kv kv, unsigned layer, struct kern_cuda_step s,
                                  struct kern_cuda_qkv p)
{
    __shared__ float mem[QKV_WARPS][MAX_HEAD];
    const unsigned hd = kv.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const unsigned h = blockIdx.y * QKV_WARPS + warp; /* of queries, keys and values together */
    const unsigned is_key = h >= p.n_heads, head = h - (is_key ? p.n_heads : 0);
    const bool is_value = is_key && head >= kv.n_kv_heads;
    const size_t all = (size_t)(p.n_heads + 2 * kv.n_kv_heads) * hd;
    const int pos = s.pos[blockIdx.x];
    float *x = mem[warp], *from;

    if (h >= p.n_heads + 2 * kv.n_kv_heads || pos < 0)
        return; /* the whole warp; blocks do not meet */
    from = p.qkv + blockIdx.x * all + (size_t)h * hd;
    for (unsigned i = lane; i < hd; i += 32)
        x[i] = from[i];
    __syncwarp();
    if (is_value) {
        const unsigned v = head - kv.n_kv_heads;

        if (p.v_bias != NULL)
            for (unsigned i = lane; i < hd; i += 32)
                x[i] += p.v_bias[v * hd + i];
        __syncwarp();
    } else {
        const float *bias = is_key ? p.k_bias : p.q_bias;

        turn_head(x, hd, bias != NULL ? bias + head * hd : NULL, is_key ? p.k_norm : p.q_norm, p,
                  pos, lane);
    }
    if (!is_key) {
        for (unsigned i = lane; i < hd; i += 32)
            from[i] = x[i];
        return;
    }

    const uint32_t page =
        s.pages[(size_t)s.seq[blockIdx.x] * s.max_pages + (unsigned)pos / KERN_CUDA_PAGE];
    unsigned char *block = cuda_kv_block(kv, page, layer, is_value ? head - kv.n_kv_heads : head);

    put_row(kv.type, cuda_kv_row_of(kv, block, (unsigned)pos % KERN_CUDA_PAGE, is_value), x, hd,
            lane);
}

/* pairs[n][2]: blockIdx.y. A page is a multiple of 16 bytes. */
static __global__ void copy_kernel(struct kern_cuda_kv kv, const uint32_t *pairs)
{
    const size_t i = (blockIdx.x * (size_t)COPY_THREADS + threadIdx.x) * 16;
    const uint32_t from = pairs[2 * blockIdx.y], to = pairs[2 * blockIdx.y + 1];

    if (i < kv.page_bytes)
        *(uint4 *)(cuda_kv_page(kv, to) + i) = *(const uint4 *)(cuda_kv_page(kv, from) + i);
}

/* ---- launchers -------------------------------------------------------------------------- */

size_t kern_cuda_kv_block_bytes(enum kern_cuda_kv_type type, unsigned head_dim)
{
    if (head_dim == 0 || head_dim % 8 != 0 || head_dim > MAX_HEAD)
        return 0;
    return cuda_kv_bytes(type, head_dim);
}

void kern_cuda_qkv_write(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                         const struct kern_cuda_step *s, const struct kern_cuda_qkv *p)
{
    const unsigned heads = p->n_heads + 2 * kv->n_kv_heads;

    if (s->n_tokens != 0)
        kern_cuda_run(c, "qkv", qkv_kernel, dim3(s->n_tokens, (heads + QKV_WARPS - 1) / QKV_WARPS),
                      dim3(QKV_WARPS * 32), 0, *kv, layer, *s, *p);
}

void kern_cuda_kv_copy(struct kern_cuda *c, const struct kern_cuda_kv *kv, const uint32_t *pairs,
                       unsigned n)
{
    const size_t pieces = (kv->page_bytes / 16 + COPY_THREADS - 1) / COPY_THREADS;

    if (n != 0)
        kern_cuda_run(c, "copy of pages", copy_kernel, dim3((unsigned)pieces, n),
                      dim3(COPY_THREADS), 0, *kv, pairs);
}
