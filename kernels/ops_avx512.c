/* kernels/ops_avx512.c - the table "avx512"; the small operations are the template kernels/ops_vec.h.
 * Rope and argmax stay scalar: they are a few per mille of a step. Pure; any thread. */
#include "kernels/ops_avx512.h"

#include "kernels/ops_vec.h"

const struct kern_ops kern_avx512_ops = {
    .name = "avx512",
    .layout = KERN_LAYOUT_PANEL,
    .quantize = quantize,
    .matmul = kern_avx512_matmul,
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
    .kv_put = kv_put,
    .attn = kern_avx512_attn,
};
