/* kernels/kernels.h - the arithmetic of a transformer on a CPU: one table of functions per instruction set.
 *
 * The scalar table is the specification: every other one must agree with it within KERN_TOL_* (the unit
 * tests check it). Tables are immutable and chosen once by kern_ops(); all functions are pure (they touch
 * their arguments only), never allocate, never fail on numbers (NaN and infinities propagate, nothing
 * crashes), and may be called from any thread. Sizes and types are checked when a matrix is prepared,
 * not in the inner functions: those trust their caller.
 *
 * Life of a matrix product:   kern_matrix_packed_bytes -> kern_matrix_pack (once, at load)
 *                             ops->quantize (once per layer input) -> ops->matmul (any number)
 *
 * Determinism: within one table every output has one fixed order of operations. It does not depend on
 * how many tokens or which others are in the call, on row_from/row_to, nor on the number of threads.
 *
 * Memory advice for the engine: put packed weights into anonymous memory of 2 MiB alignment with
 * madvise(MADV_HUGEPAGE): worth up to 1.45x in decode on one core. Weights are read once a token, in
 * order. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/quant.h"

/* Rows of a matrix that belong together: row_from (and row_to, unless it is the last row) of a matmul
 * must be multiples of it. */
enum { KERN_ROW_STEP = 16 };
/* Tokens in a block of the KV cache. */
enum { KERN_KV_BLOCK = 16 };
/* Alignment that makes buffers fast: nothing here needs more than the element's own. */
enum { KERN_ALIGN = 64 };

/* Largest difference that a table may show to the scalar one, relative to the stated size. */
#define KERN_TOL_MATMUL 2e-5f /* to sum |w * x| over the row */
#define KERN_TOL_OP     5e-6f /* norms, rope, silu, gelu, softmax, cap, add: to the largest output */
#define KERN_TOL_ATTN   5e-5f /* to the largest |v| */

/* ---- matrices --------------------------------------------------------------------------- */

struct kern_ops;

enum kern_layout {
    KERN_LAYOUT_GGUF,  /* rows one after the other, as in the file */
    KERN_LAYOUT_PANEL, /* 16 rows interleaved (kernels/panel.h) */
};

/* A weight matrix ready for matmul: out[row] = sum over col of w[row][col] * x[col]. A value type; data
 * belongs to who provided it and must outlive the matrix. */
struct kern_matrix {
    enum kern_type type;   /* as it lies there */
    enum kern_type stored; /* as the file has it: E4M3 is packed as F16, all else alike */
    enum kern_layout layout;
    size_t rows; /* outputs; GGUF dims[1] */
    size_t cols; /* inputs; GGUF dims[0], a multiple of the type's block */
    const void *data;
};

/* Sets *bytes to what kern_matrix_pack will write for such a matrix; 0 means that the table uses the
 * file's bytes in place. GW_EUNSUPPORTED: unknown type; GW_EINVAL: no rows or columns, or columns not a
 * multiple of the block; GW_ELIMIT: the size overflows. *bytes is unchanged on failure. */
enum gw_status kern_matrix_packed_bytes(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                        uint64_t cols, size_t *bytes, struct gw_err *err);

/* Describes the matrix in *m and prepares nothing yet: data is dst (packed_bytes bytes, KERN_ALIGN
 * aligned, may be NULL when packed_bytes is 0), or gguf when the table uses it in place. Errors as above. */
enum gw_status kern_matrix_init(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                uint64_t cols, const void *gguf, void *dst, struct kern_matrix *m,
                                struct gw_err *err);

/* Fills rows [row_from, row_to) of dst from gguf, so that loading can be spread over threads; both ends
 * are multiples of KERN_ROW_STEP, or the last row. Does nothing for KERN_LAYOUT_GGUF. */
void kern_matrix_pack_rows(const struct kern_matrix *m, const void *gguf, void *dst,
                           size_t row_from, size_t row_to);

/* Both of the above for all rows. gguf must hold rows * kern_row_bytes(type, cols) bytes. */
enum gw_status kern_matrix_pack(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                uint64_t cols, const void *gguf, void *dst, struct kern_matrix *m,
                                struct gw_err *err);

/* ---- activations ------------------------------------------------------------------------ */

/* Bits of an activation in a product with a quantized matrix. Small models need more than 8: with coarse
 * inputs the logits of one of 135 M parameters are off by up to a third of their standard deviation. Nearly all of
 * that comes from a few blocks with values far above the others', since an error is as large as its block's
 * scale; with 16 bits for those a sixth of it is left. Fine costs up to 1.8 times the arithmetic of coarse, mixed
 * a fifth more. */
enum kern_acts_form {
    KERN_ACTS_COARSE, /* 8 */
    KERN_ACTS_MIXED,  /* 16 in blocks with large values, else 8 */
    KERN_ACTS_FINE,   /* 16, as two planes of 8 */
};

/* 32 consecutive activations of a token as integers i and a scale, x = d * i: one cache line. Coarse:
 * i = q, fine: i = 256 * q + r with r in the plane `rests`, which is 0 unless has_rests. Private to kernels/. */
struct kern_act_block {
    int8_t q[KERN_BLOCK]; /* 127 x / largest |x| to nearest even; 0 beyond the last column */
    float d;              /* largest |x| / 127, fine: / 256; NaN when one of them is not finite */
    float ds;             /* d * sum of i */
    int32_t nsum;         /* -(sum of i) */
    int32_t nsum16[2];    /* the same of each half */
    int32_t has_rests;    /* kern_act_limit */
    int32_t unused[2];
};
_Static_assert(sizeof(struct kern_act_block) == 64, "a cache line");

/* The inputs of a product: n_tokens rows of cols floats, and the same as integers with one scale per 32.
 * Quantized matrices use the integers, F32/F16/BF16 matrices the floats. */
struct kern_acts {
    unsigned n_tokens;
    size_t cols;
    const float *x; /* [token][x_stride]; borrowed: must live as long as the products */
    size_t x_stride;
    struct kern_act_block *blocks; /* [token][stride] */
    int8_t *rests;           /* NULL: coarse; [token][stride][KERN_BLOCK]: 256 times what rounding
                                    * to q lost, to nearest even, -127..127 */
    size_t n_blocks, stride; /* of a token; stride >= n_blocks */
    bool mixed;              /* rests in some blocks only */
};

/* Bytes of memory for kern_acts_init, a multiple of KERN_ALIGN; 0 when the size overflows. */
size_t kern_acts_bytes(unsigned n_tokens, size_t cols, enum kern_acts_form form);

/* Lays a over mem (KERN_ALIGN aligned, kern_acts_bytes bytes) and over x. Nothing is computed yet. */
void kern_acts_init(struct kern_acts *a, void *mem, unsigned n_tokens, size_t cols,
                    enum kern_acts_form form, const float *x, size_t x_stride);

/* ---- attention -------------------------------------------------------------------------- */

/* How the KV cache holds numbers. */
enum kern_kv_type {
    KERN_KV_F16,
    KERN_KV_I8,     /* int8 with one scale for the key of a token and one for its value */
    KERN_KV_FP8,    /* e4m3 (4 bits of exponent, 3 of mantissa, largest 448), scales likewise */
    KERN_KV_I4,     /* from here on rotated, and codes of few bits: kernels/kv_code.h */
    KERN_KV_POLAR4, /* 16 levels for normal numbers */
    KERN_KV_POLAR3, /* 8 */
    KERN_KV_QJL,    /* keys 8 levels and a one-bit sketch of what they lost, values 16 levels */
    KERN_KV_TYPES
};

/* The KV cache of one layer and one KV head is a list of blocks of 16 tokens. A block is
 * kern_kv_block_bytes() long, a multiple of 32: K transposed, [head_dim][16 tokens], then V, [16 tokens][head_dim], then with
 * KERN_KV_I8 and KERN_KV_FP8 the scales as floats, 16 of K and 16 of V; coded types: kernels/kv_code.h. Block i of a sequence lies at
 * base + (table != NULL ? table[i] : i) * block_stride, so one page may
 * hold the blocks of all layers and heads, and sequences may share pages of a common prefix. */
size_t kern_kv_block_bytes(enum kern_kv_type type, unsigned head_dim);

struct kern_kv {
    void *base;            /* aligned for a float at least, KERN_ALIGN for speed */
    const uint32_t *table; /* block numbers in order, or NULL: consecutive */
    size_t block_stride;   /* bytes between two block numbers */
    unsigned head_dim;     /* 1 to KERN_MAX_HEAD_DIM */
    enum kern_kv_type type;
};
enum { KERN_MAX_HEAD_DIM = 512 };

/* Query heads of one KV head, for n_tokens consecutive tokens of one sequence. */
struct kern_attn {
    const float *q;              /* head h of token t: q + t * q_stride + h * head_dim */
    float *out;                  /* likewise with out_stride; may not overlap q */
    size_t q_stride, out_stride; /* floats between two tokens */
    unsigned n_tokens;           /* at least 1 */
    unsigned n_heads;            /* query heads that share this KV head, at least 1 */
    unsigned n_keys; /* keys that token 0 sees, at least 1; token t sees n_keys + t (causal) */
    float scale;     /* usually 1 / sqrt(head_dim) */
    unsigned window; /* a token sees this many keys, its own and those before it; 0: all */
    float cap;       /* scores become cap * tanh(score / cap); 0: they stay */
};

/* A long context is attended to in spans of so many keys, counted from key 0: each gives a weighted sum relative to its
 * own largest score, and they are joined in order. So spans may be computed anywhere, with the same result. */
enum { KERN_ATTN_SPAN = 512 };
struct kern_attn_part {
    float max, sum; /* the largest score of the span, and the sum of exp(score - max) */
};

/* The spans with keys that the token of a (n_tokens 1) sees: first to last. */
static inline unsigned kern_attn_first_span(const struct kern_attn *a)
{
    return (a->window != 0 && a->n_keys > a->window ? a->n_keys - a->window : 0) / KERN_ATTN_SPAN;
}
static inline unsigned kern_attn_last_span(const struct kern_attn *a)
{
    return (a->n_keys - 1) / KERN_ATTN_SPAN;
}

/* ---- the table -------------------------------------------------------------------------- */

enum kern_rope {
    KERN_ROPE_NORM, /* rotates pairs (2i, 2i + 1): llama */
    KERN_ROPE_NEOX, /* rotates pairs (i, i + n_rot / 2): qwen */
};

/* More than a list takes, see `mask`. */
#define KERN_MASK_MANY SIZE_MAX

struct kern_ops {
    const char *name; /* "scalar", "avx2", "avx512", "amx" */
    enum kern_layout layout;

    /* Fills the integers of tokens [from, to) of a. Every table gives the same bytes. */
    void (*quantize)(struct kern_acts *a, unsigned from, unsigned to);

    /* out[t * out_stride + row] = sum over col of w[row][col] * x[t][col] for tokens [0, n_tokens) of x
     * (n_tokens <= x->n_tokens) and rows [row_from, row_to), see KERN_ROW_STEP. x->cols == w->cols; w was
     * prepared for this table; x was quantized when w's type is. Other elements of out are untouched.
     * Threads share w and x and split the rows. */
    void (*matmul)(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                   float *out, size_t out_stride, size_t row_from, size_t row_to);

    /* out[i] = x[i] / sqrt(mean(x^2) + eps) * w[i]; out may be x. w NULL: ones. n >= 1. */
    void (*rms_norm)(float *out, const float *x, const float *w, size_t n, float eps);

    /* out[i] = (x[i] - mean(x)) / sqrt(variance(x) + eps) * w[i] + b[i]; out may be x. n >= 1. */
    void (*layer_norm)(float *out, const float *x, const float *w, const float *b, size_t n,
                       float eps);

    /* x[i] = x[i] * P(a standard normal value is below x[i]): the exact GELU, by erf. */
    void (*gelu)(float *x, size_t n);

    /* Rotates the first n_rot (even) values of each of n_heads heads of head_dim at x, in place, by the
     * angles whose cosine and sine are in cos[n_rot / 2], sin[n_rot / 2]. */
    void (*rope)(float *x, unsigned n_heads, unsigned head_dim, unsigned n_rot, const float *cos,
                 const float *sin, enum kern_rope style);

    /* out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]; out may be gate or up. */
    void (*silu_mul)(float *out, const float *gate, const float *up, size_t n);

    /* out[i] = gate[i] / 2 * (1 + tanh(sqrt(2 / pi) * (gate[i] + 0.044715 gate[i]^3))) * up[i]: the GELU that
     * models with a gate are trained with; out may be gate or up. */
    void (*gelu_mul)(float *out, const float *gate, const float *up, size_t n);

    /* x[i] = cap * tanh(x[i] / cap). cap > 0. */
    void (*soft_cap)(float *x, size_t n, float cap);

    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, size_t n);

    /* x[i] = exp(x[i] * scale - max) / sum, where max is that of x * scale. n >= 1. */
    void (*softmax)(float *x, size_t n, float scale);

    /* Index of the largest value, the first of equals; NaN is never chosen; 0 when there is no other.
     * n >= 1. */
    size_t (*argmax)(const float *x, size_t n);

    /* What may be drawn from the row x[n], where bit i % 64 of bits[i / 64] says whether entry i may. At most max_ids may: their
     * numbers, ascending, go into ids, x stays, and the result is how many. More: the others become -INFINITY, the
     * result is KERN_MASK_MANY, and ids stays. */
    size_t (*mask)(float *x, const uint64_t *bits, size_t n, int32_t *ids, size_t max_ids);

    /* Writes the key and the value of token pos into its block; values beyond f16 are clamped to its
     * largest, so that the cache never holds an infinity. */
    void (*kv_put)(const struct kern_kv *kv, size_t pos, const float *k, const float *v);

    /* softmax(cap(scale * q K^T)) V, keys in order, in one pass. Uses about 128 KiB of stack. The blocks of all
     * keys that a token sees must have been written. */
    void (*attn)(const struct kern_kv *kv, const struct kern_attn *a);

    /* One span of the same for one token (a->n_tokens is 1), between its first and its last span: the
     * weighted sum of head h to out + h * head_dim, parts[h] what it is relative to. a->out is not written. */
    void (*attn_part)(const struct kern_kv *kv, const struct kern_attn *a, unsigned span,
                      float *out, struct kern_attn_part *parts);

    /* Joins the spans of a token: head h of span s is at outs + s * out_stride + h * head_dim and
     * parts + s * part_stride + h. The bits are those of attn. */
    void (*attn_join)(const struct kern_kv *kv, const struct kern_attn *a, const float *outs,
                      size_t out_stride, const struct kern_attn_part *parts, size_t part_stride);
};

/* Returns the best table that this CPU runs and that is at most `level`: "scalar", "avx2", "avx512" or
 * "amx"; NULL or "": the best. Returns NULL for another word. The CPU is looked at once. Thread: any. */
const struct kern_ops *kern_ops(const char *level);

/* The table of exactly that name, NULL when this CPU cannot run it. For tests. */
const struct kern_ops *kern_ops_exact(const char *name);

/* One line about how a type is multiplied by this table, for people ("int8 x 4 bit, vpdpbusd"). */
const char *kern_ops_describe(const struct kern_ops *ops, uint32_t type);

/* ---- rows and numbers ---------------------------------------------------------------------- */

/* Expands n weights (a multiple of the block) at src, in file layout, to floats: embeddings, norms. type
 * must be known (kern_type_info). */
void kern_row_f32(enum kern_type type, const void *src, size_t n, float *dst);

/* The same for one row of a prepared matrix, dst[cols]: equal bits, so embeddings that are also the
 * output matrix need no second copy. Slower on panels, whose rows are spread over their 16. */
void kern_matrix_row_f32(const struct kern_matrix *m, size_t row, float *dst);

/* binary16 and bfloat16 to float, exact; float to binary16, to nearest even, overflow to infinity. */
float kern_f16_f32(uint16_t h);
uint16_t kern_f32_f16(float f);

/* e4m3 to float, exact: bias 7, no infinities, 0x7f and 0xff are NaN. */
float kern_e4m3_f32(uint8_t code);
static inline float kern_bf16_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

/* Measures how fast `threads` threads (1 to 64) read memory, in GB/s (1e9 bytes): the best of some passes
 * over 512 MiB in all (at most half of what is free), about 0.3 s. 0 when there is no memory or no thread
 * to be had. Blocks. */
double kern_read_bandwidth(unsigned threads);

#endif
