/* kernels/ops_avx2.c - the table "avx2"; the small operations are the template kernels/ops_vec.h.
 * Rope and argmax stay scalar: they are a few per mille of a step. Pure; any thread. */
#include "kernels/ops_avx2.h"

#include "kernels/ops_vec.h"

static void drop_word(float *x, uint64_t word)
{
    const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256 least = _mm256_set1_ps(-INFINITY);

    for (unsigned i = 0; i < 8; i++) {
        __m256i clear = _mm256_cmpeq_epi32(
            _mm256_and_si256(_mm256_set1_epi32((int)(word >> 8 * i & 255)), lanes),
            _mm256_setzero_si256());

        _mm256_maskstore_ps(x + (size_t)8 * i, clear, least);
    }
}

#include "kernels/mask_vec.h"

const struct kern_ops kern_avx2_ops = {
    .name = "avx2",
    .layout = KERN_LAYOUT_PANEL,
    .quantize = quantize,
    .matmul = kern_avx2_matmul,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .gelu = gelu,
    .rope = kern_ref_rope,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .soft_cap = soft_cap,
    .add = add,
    .softmax = softmax,
    .argmax = kern_ref_argmax,
    .mask = mask,
    .kv_put = kv_put,
    .attn = kern_avx2_attn,
    .attn_part = kern_avx2_attn_part,
    .attn_join = kern_avx2_attn_join,
};
