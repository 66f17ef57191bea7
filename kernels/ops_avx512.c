/* kernels/ops_avx512.c - the tables "avx512" and "amx"; the small operations are the template kernels/ops_vec.h.
 * Rope and argmax stay scalar: they are a few per mille of a step. Pure; any thread. */
#include "kernels/ops_avx512.h"

#include "kernels/ops_vec.h"

static void drop_word(float *x, uint64_t word)
{
    const __m512 least = _mm512_set1_ps(-INFINITY);

    for (unsigned i = 0; i < 4; i++)
        _mm512_mask_storeu_ps(x + (size_t)16 * i, (__mmask16)(~word >> 16 * i), least);
}

#include "kernels/mask_vec.h"

/* A table is that of AVX-512 but for its name and its matrix product. */
#define OPS(table, product)                                                                        \
    {                                                                                              \
        .name = (table), .layout = KERN_LAYOUT_PANEL, .quantize = quantize, .matmul = product,     \
        .rms_norm = rms_norm, .layer_norm = layer_norm, .gelu = gelu, .rope = kern_ref_rope,       \
        .silu_mul = silu_mul, .gelu_mul = gelu_mul, .soft_cap = soft_cap, .add = add,              \
        .softmax = softmax, .argmax = kern_ref_argmax, .mask = mask, .kv_put = kv_put,             \
        .attn = kern_avx512_attn, .attn_part = kern_avx512_attn_part,                              \
        .attn_join = kern_avx512_attn_join,                                                        \
    }

const struct kern_ops kern_avx512_ops = OPS("avx512", kern_avx512_matmul);
const struct kern_ops kern_amx_ops = OPS("amx", kern_amx_matmul);
