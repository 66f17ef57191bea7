/* kernels/cuda.h - the C face of the GPU: devices, memory, streams, and the operations of a transformer on them.
 *
 * Everything exists in every build: without CUDA, kernels/cuda_stub.c answers "no device" and the engine stays on the
 * CPU. The CPU's scalar table (kernels/kernels.h) is the specification of each operation; what differs is said here.
 *
 * Life of a step:   open -> matrix_new, buf_new (once) -> upload, operations, download (queued in order) -> sync
 * or, once its launches are known:   graph_begin -> operations -> graph_end -> graph_launch (any number) -> sync
 *
 * Device memory. "Device pointer" is an address on the GPU that the host must not read; kern_cuda_at() gives it. Operations
 * trust their caller like those of the CPU: sizes are checked where things are made. Arrays are dense unless a stride is
 * named. Scratch that an operation needs belongs to the context (kern_cuda_reserve).
 *
 * Errors. Operations return nothing: they are queued. The first failure of a launch or of the device is remembered and
 * returned by every kern_cuda_sync() and graph_end until the context is closed; what was computed behind it is undefined.
 *
 * Threads. A context and what was made with it belong to one thread at a time. Contexts on different devices are
 * independent. kern_cuda_count, kern_cuda_reason and kern_cuda_health may be called from any thread. */
#ifndef KERNELS_CUDA_H
#define KERNELS_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "base/err.h"

struct kern_cuda;        /* a context on one device: a stream, a memory pool, scratch */
struct kern_cuda_buf;    /* bytes on the device */
struct kern_cuda_matrix; /* a weight matrix on the device, in its own layout */
struct kern_cuda_event;  /* a point in a stream */
struct kern_cuda_graph;  /* a recorded step */

/* ---- devices ---------------------------------------------------------------------------- */

struct kern_cuda_info {
    char name[64];                      /* as the driver calls it */
    uint64_t bytes, free_bytes;         /* device memory, and what of it is free now */
    unsigned major, minor;              /* compute capability */
    unsigned multiprocessors, l2_bytes; /* 132 and 50 MiB on an H100 */
    bool runs;                          /* this build has code for it: 8.0 or newer */
};

/* Number of devices that the driver shows; 0 when there is none, no driver, or no CUDA in this build. Thread: any. */
unsigned kern_cuda_count(void);

/* Why kern_cuda_count is 0, or "": for people. Static memory. Thread: any. */
const char *kern_cuda_reason(void);

/* Opens device number `device`. GW_EUNSUPPORTED: no such device, one older than 8.0, or no CUDA in this build; GW_ENOMEM;
 * GW_EIO: the driver refused. *out is unchanged on failure; close it with kern_cuda_close. info may be NULL. */
enum gw_status kern_cuda_open(unsigned device, struct kern_cuda **out, struct kern_cuda_info *info,
                              struct gw_err *err);

/* Waits for the stream and frees; its buffers, matrices, events and graphs must be gone. c may be NULL. */
void kern_cuda_close(struct kern_cuda *c);

/* What the device is doing now, from NVIDIA's management library, which is looked for at run time. */
struct kern_cuda_health {
    unsigned sm_mhz, mem_mhz;      /* clocks */
    unsigned celsius, gpu_percent; /* temperature; share of the last period in which a kernel ran */
    double watts, joules;          /* now; since the driver was loaded */
    uint64_t bytes, used_bytes;    /* memory, by all processes */
    uint64_t ecc_errors;           /* uncorrected, since the driver was loaded */
    unsigned long long
        throttle;    /* reasons why clocks are held down, bits as NVML has them; 0: none */
    char driver[32]; /* its version, "580.95.05"; "": not known */
};

/* Numbers that the driver does not know are 0. GW_EUNSUPPORTED: no such device or no library. Takes about a millisecond;
 * not for an event loop. Thread: any. */
enum gw_status kern_cuda_health(unsigned device, struct kern_cuda_health *out, struct gw_err *err);

/* ---- memory ----------------------------------------------------------------------------- */

/* Device memory, not initialised, aligned to 256 bytes, from the context's pool in stream order. bytes 0 is 1. GW_ENOMEM: the
 * device is full; nothing else changed and the context goes on. Free with kern_cuda_buf_free (NULL allowed): what was queued before
 * may still use it. */
enum gw_status kern_cuda_buf_new(struct kern_cuda *c, size_t bytes, struct kern_cuda_buf **out,
                                 struct gw_err *err);
void kern_cuda_buf_free(struct kern_cuda_buf *b);
size_t kern_cuda_buf_bytes(const struct kern_cuda_buf *b);

/* The device pointer to byte `offset` of b; NULL when b is NULL. The caller keeps within the buffer. */
void *kern_cuda_at(const struct kern_cuda_buf *b, size_t offset);

/* Page-locked host memory, aligned to 256 bytes: copies from and to it do not wait, and the device may read it. GW_ENOMEM.
 * Free with kern_cuda_host_free (NULL allowed) after a sync. */
enum gw_status kern_cuda_host_new(struct kern_cuda *c, size_t bytes, void **out,
                                  struct gw_err *err);
void kern_cuda_host_free(struct kern_cuda *c, void *p);

/* The device's address of page-locked memory: weights and pages that do not fit are read over the bus. NULL: not such memory. */
void *kern_cuda_host_at(struct kern_cuda *c, void *p);

/* Copies in stream order. Ordinary memory may be changed once an upload returned; page-locked memory, and the target
 * of a download, must stay as they are until kern_cuda_sync. The range must lie inside the buffer: GW_EINVAL. GW_EIO: the device failed. */
enum gw_status kern_cuda_upload(struct kern_cuda_buf *dst, size_t offset, const void *src,
                                size_t bytes, struct gw_err *err);
enum gw_status kern_cuda_download(const struct kern_cuda_buf *src, size_t offset, void *dst,
                                  size_t bytes, struct gw_err *err);

/* On the device, in stream order; device pointers; ranges may not overlap. */
void kern_cuda_copy(struct kern_cuda *c, void *dst, const void *src, size_t bytes);
void kern_cuda_zero(struct kern_cuda *c, void *dst, size_t bytes);

/* Makes the context's scratch at least so large, before a graph is recorded: an operation that finds too little takes more itself,
 * which inside a recording is an error. GW_ENOMEM. */
enum gw_status kern_cuda_reserve(struct kern_cuda *c, size_t bytes, struct gw_err *err);

/* ---- streams, events, graphs ------------------------------------------------------------ */

/* Waits for all work of the stream. GW_EIO: some of it failed, and from now on all does. GW_ENOMEM: an operation found no scratch. */
enum gw_status kern_cuda_sync(struct kern_cuda *c, struct gw_err *err);

/* Points in the stream. mark queues one; ready asks without waiting; ms is the time between two marks that are ready, in
 * milliseconds; wait makes the stream of c (maybe of another device) wait for a mark. GW_ENOMEM. */
enum gw_status kern_cuda_event_new(struct kern_cuda *c, struct kern_cuda_event **out,
                                   struct gw_err *err);
void kern_cuda_event_free(struct kern_cuda_event *e); /* e may be NULL */
void kern_cuda_event_mark(struct kern_cuda_event *e);
bool kern_cuda_event_ready(const struct kern_cuda_event *e);
void kern_cuda_event_wait(struct kern_cuda *c, const struct kern_cuda_event *e);
float kern_cuda_event_ms(const struct kern_cuda_event *from, const struct kern_cuda_event *to);

/* Between begin and end operations are recorded, not run; nothing may be allocated, synchronised or downloaded to ordinary memory.
 * A graph replays the same launches with the same pointers; what lies behind the pointers may differ. GW_EIO, GW_ENOMEM; after
 * a failure of end nothing is recorded and the context goes on. */
enum gw_status kern_cuda_graph_begin(struct kern_cuda *c, struct gw_err *err);
enum gw_status kern_cuda_graph_end(struct kern_cuda *c, struct kern_cuda_graph **out,
                                   struct gw_err *err);
void kern_cuda_graph_launch(struct kern_cuda_graph *g);
void kern_cuda_graph_free(struct kern_cuda_graph *g); /* g may be NULL */

/* ---- matrices --------------------------------------------------------------------------- */

/* Can a matrix of this type be multiplied here? Q4_0, Q4_1, Q8_0, Q4_K, Q5_K, Q6_K, F16, BF16, E4M3. */
bool kern_cuda_has_type(uint32_t type);

/* Bytes on the device of such a matrix; 0 when it cannot be one. Columns are a multiple of 32 for all types. Thread: any. */
size_t kern_cuda_matrix_bytes(uint32_t type, uint64_t rows, uint64_t cols);

/* Uploads a matrix in GGUF layout (kernels/quant.h) and arranges it for the device (kernels/cuda_repack.h), through page-locked pieces:
 * gguf may go once this returned. GW_EUNSUPPORTED: type; GW_EINVAL: no rows, or columns not a multiple of the block or of 32; GW_ELIMIT; GW_ENOMEM.
 * on_host: keep it in page-locked memory, read over the bus; not of E4M3. Free with kern_cuda_matrix_free (NULL allowed). */
enum gw_status kern_cuda_matrix_new(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                    uint64_t cols, const void *gguf, bool on_host,
                                    struct kern_cuda_matrix **out, struct gw_err *err);
void kern_cuda_matrix_free(struct kern_cuda_matrix *m);

/* The same as e4m3: 8 bits a weight, and a power of two for 128 columns of a row, by which its largest is between 224 and 448; of
 * E4M3 codes and scales as they are. Any type that kern_row_f32 knows. On compute capability 9.0 products of more than KERN_CUDA_GEMV_TOKENS tokens round activations to e4m3 too, with
 * a scale for 128 columns of a token; elsewhere to bf16. They take a.x, not its integers. GW_EUNSUPPORTED, GW_EINVAL, GW_ELIMIT, GW_ENOMEM. */
enum gw_status kern_cuda_matrix_new_e4m3(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                         uint64_t cols, const void *gguf,
                                         struct kern_cuda_matrix **out, struct gw_err *err);

/* Bytes on the device of such a matrix; 0 when it cannot be one. Thread: any. */
size_t kern_cuda_matrix_e4m3_bytes(uint32_t type, uint64_t rows, uint64_t cols);

/* ---- activations ------------------------------------------------------------------------ */

/* The inputs of products, a value: n_tokens rows of cols floats at x and, for quantized matrices, the same as integers with a
 * scale per 32 columns, bits as kern_ops.quantize makes them with KERN_ACTS_COARSE or (fine) KERN_ACTS_FINE. Device pointers. */
struct kern_cuda_acts {
    unsigned n_tokens;
    size_t cols; /* a multiple of 32 */
    bool fine;   /* x = d * (256 q + r), else d * q: twice the arithmetic, no more weight bytes */
    const float *x; /* [token][cols]; may be NULL when only the integers are used */
    int8_t *q, *r;  /* [token][cols]; r NULL unless fine */
    float *d, *ds;  /* [token][cols / 32]: the scale; the scale times the sum of the integers */
};

/* Bytes of device memory for kern_cuda_acts_init; 0 when the size overflows. */
size_t kern_cuda_acts_bytes(unsigned max_tokens, size_t cols, bool fine);

/* Lays *a over mem (device pointer, aligned to 256) and over x. Nothing is computed. */
void kern_cuda_acts_init(struct kern_cuda_acts *a, void *mem, unsigned n_tokens, size_t cols,
                         bool fine, const float *x);

/* Fills q, r, d and ds from x. F16 and BF16 matrices need x only. */
void kern_cuda_quantize(struct kern_cuda *c, const struct kern_cuda_acts *a);

/* ---- products (cuda_gemv.cu, cuda_gemm.cu) ----------------------------------------------- */

/* out[token][row] = sum over col of w[row][col] * x[token][col], plus what is there when add. Up to KERN_CUDA_GEMV_TOKENS tokens by
 * vector products at the memory's speed, above by tensor cores. The order of the sum depends on which of the two
 * ways is taken and on nothing else. a is quantized. out_stride: floats between two tokens. */
enum { KERN_CUDA_GEMV_TOKENS = 8 };
void kern_cuda_matmul(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                      const struct kern_cuda_acts *a, float *out, size_t out_stride, bool add);

/* The gate's function; see kern_ops.silu_mul, gelu_mul. */
enum kern_cuda_gate { KERN_CUDA_SILU, KERN_CUDA_GELU };

/* out[token][row] = f(gate x)[row] * (up x)[row]; one launch for up to KERN_CUDA_GEMV_TOKENS tokens. gate and up have one shape and type.
 * out: [token][rows]. */
void kern_cuda_gate_up(struct kern_cuda *c, const struct kern_cuda_matrix *gate,
                       const struct kern_cuda_matrix *up, const struct kern_cuda_acts *a,
                       enum kern_cuda_gate f, float *out);

/* out[i][cols] = row ids[i] of the matrix times scale: embeddings. ids: device, each below the matrix' rows; others give zeros. */
void kern_cuda_rows(struct kern_cuda *c, const struct kern_cuda_matrix *m, const int32_t *ids,
                    unsigned n, float scale, float *out);

/* ---- adapters (cuda_lora.cu) --------------------------------------------------------------- */

/* What one adapter adds to one product; device pointers. */
struct kern_cuda_lora {
    const float *a, *b; /* [rank][cols], [rows][rank] */
    unsigned rank;      /* 0: nothing */
};
/* What all adapters may add to one product. */
struct kern_cuda_loras {
    const struct kern_cuda_lora *parts; /* device: [adapter] */
    unsigned max_rank;                  /* of them all; 0: nothing is done */
    const int32_t *of;                  /* device: [n_tokens], the token's adapter; -1: none */
    float *low;                         /* device: memory for [n_tokens][max_rank] */
};

/* out[token][row] += b (a x[token]), for tokens that have an adapter. x: [token][cols]. A token's result does not depend on the others. */
void kern_cuda_lora(struct kern_cuda *c, const struct kern_cuda_loras *l, const float *x,
                    unsigned n_tokens, size_t rows, size_t cols, float *out, size_t out_stride);

/* ---- norms, rope, activation (cuda_ops.cu) ------------------------------------------------ */

/* out[token][n] = rms_norm of x[token][n]; w[n] or NULL; out may be x. */
void kern_cuda_rms_norm(struct kern_cuda *c, float *out, const float *x, const float *w,
                        unsigned n_tokens, size_t n, float eps);

/* x += y (y NULL: nothing is added; y_norm not NULL: rms_norm(y) * y_norm is added instead of y), then a's integers are those of
 * rms_norm(x) * w. a->x is not read, and written when it is not NULL. x, y: [token][a->cols]. */
void kern_cuda_add_norm_quantize(struct kern_cuda *c, float *x, const float *y, const float *y_norm,
                                 const float *w, float eps, const struct kern_cuda_acts *a);

/* out[i] = f(gate[i]) * up[i]; x[i] += y[i]; x[i] = cap * tanh(x[i] / cap). out may be gate. */
void kern_cuda_gate_mul(struct kern_cuda *c, float *out, const float *gate, const float *up,
                        size_t n, enum kern_cuda_gate f);
void kern_cuda_add(struct kern_cuda *c, float *x, const float *y, size_t n);
void kern_cuda_soft_cap(struct kern_cuda *c, float *x, size_t n, float cap);

/* Chooses the n_used largest of n_experts router values of each token and gives them softmax weights:
 * chosen[token][n_used], weight[token][n_used] (sum 1). Ties go to the smaller number. n_experts <= 512, n_used <= 32. */
void kern_cuda_route(struct kern_cuda *c, const float *router, unsigned n_tokens,
                     unsigned n_experts, unsigned n_used, int32_t *chosen, float *weight);

/* out[i][cols] = x[index[i] / div][cols]; index: device. */
void kern_cuda_gather(struct kern_cuda *c, float *out, const float *x, const int32_t *index,
                      unsigned n_rows, unsigned div, size_t cols);

/* x[token][cols] += sum over u of weight[token][u] * y[token][u][cols], in the order of u. */
void kern_cuda_combine(struct kern_cuda *c, float *x, const float *y, const float *weight,
                       unsigned n_tokens, unsigned n_used, size_t cols);

/* out[token][rows] = w[rows][cols] x[token][cols], all floats: the routers of experts, which are small. */
void kern_cuda_matmul_f32(struct kern_cuda *c, float *out, const float *w, const float *x,
                          unsigned n_tokens, unsigned rows, size_t cols);

/* ---- keys and values (cuda_kv.cu) --------------------------------------------------------- */

enum { KERN_CUDA_PAGE = 16 }; /* tokens in a page, as KERN_KV_BLOCK */

enum kern_cuda_kv_type {
    KERN_CUDA_KV_F16,
    KERN_CUDA_KV_I8, /* int8, one float scale for the key of a token and one for its value, as KERN_KV_I8 */
    KERN_CUDA_KV_FP8, /* e4m3, scales likewise */
    KERN_CUDA_KV_Q4, /* the codes and scales of KERN_KV_I4: 4 bits of a head that was rotated, a scale of 16 bits per 32 values */
};

/* The pages of all sequences. A page holds KERN_CUDA_PAGE tokens of all layers and KV heads. The block of (page, layer, head) lies at
 * base + page * page_bytes + (layer * n_kv_heads + head) * kern_cuda_kv_block_bytes(): K [16][head_dim], then V [16][head_dim],
 * both token by token, then the scales: K's, then V's, [16] floats each, with Q4 [16][head_dim / 32, rounded up] halfs each. */
struct kern_cuda_kv {
    void *base; /* device, aligned to 16 */
    size_t page_bytes;
    void *host; /* the device's address of page-locked memory, or NULL: pages from n_pages on, */
    uint32_t n_pages;              /* which the device reads and writes over the bus */
    unsigned n_kv_heads, head_dim; /* head_dim: a multiple of 8, at most 256 */
    enum kern_cuda_kv_type type;
};

/* A multiple of 16. 0: the head's size is not possible. */
size_t kern_cuda_kv_block_bytes(enum kern_cuda_kv_type type, unsigned head_dim);

/* What a step computes, on the device so that a recorded graph serves any step of its size. Tokens of a sequence are consecutive.
 * A token of padding has position -1: nothing is written for it, its output is not defined. */
struct kern_cuda_step {
    unsigned n_tokens, n_seqs;
    unsigned max_pages;       /* of a sequence: the width of `pages` */
    unsigned max_keys;        /* at least what any sequence has: decides how attention is split */
    const int32_t *pos;       /* [n_tokens]: position in the sequence, from 0 */
    const int32_t *seq;       /* [n_tokens]: number of the sequence, 0 to n_seqs - 1 */
    const int32_t *seq_first; /* [n_seqs + 1]: its first token in the step */
    const uint32_t *pages;    /* [n_seqs][max_pages] */
    unsigned n_shared;        /* groups of sequences that share their first pages */
    const int32_t *
        shared; /* [n_shared][3]: first sequence, how many, pages that they share; read once for all of them */
};

/* How queries and keys are turned; see kern_ops.rope. cos, sin: device, [position][n_rot / 2]. */
struct kern_cuda_rope {
    const float *cos, *sin;
    unsigned n_rot; /* even, at most head_dim; 0: they are not turned */
    bool neox;      /* KERN_ROPE_NEOX, else KERN_ROPE_NORM */
};

/* What happens to the fused product of queries, keys and values: biases, norms of heads, rope, write to pages. */
struct kern_cuda_qkv {
    float *
        qkv; /* [token][n_heads * head_dim + 2 * n_kv_heads * head_dim]; queries are changed in place */
    unsigned n_heads;
    const float *q_bias, *k_bias, *v_bias; /* [heads * head_dim], or NULL */
    const float *q_norm, *k_norm;          /* [head_dim], or NULL */
    float eps;
    struct kern_cuda_rope rope;
};
void kern_cuda_qkv_write(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                         const struct kern_cuda_step *s, const struct kern_cuda_qkv *p);

/* Copies whole pages on the device: pairs[n][2] of page numbers (device), from and to; for copy on write. */
void kern_cuda_kv_copy(struct kern_cuda *c, const struct kern_cuda_kv *kv, const uint32_t *pairs,
                       unsigned n);

/* ---- attention (cuda_attn.cu) ------------------------------------------------------------- */

struct kern_cuda_attn {
    const float *q; /* [token][q_stride], head h at h * head_dim */
    float *out;     /* [token][out_stride] */
    size_t q_stride, out_stride;
    unsigned n_heads; /* a multiple of the KV heads */
    float scale, cap; /* as kern_attn */
    unsigned window;  /* as kern_attn: 0 is all */
};

/* softmax(cap(scale * q K^T)) V for each token over the keys up to its own position. Decode splits keys over blocks and
 * packs the heads of one KV head; scratch is kern_cuda_attn_scratch() of the context's. */
void kern_cuda_attn(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                    const struct kern_cuda_step *s, const struct kern_cuda_attn *a);

/* Bytes of scratch (kern_cuda_reserve) that steps of so many tokens and keys need. */
size_t kern_cuda_attn_scratch(const struct kern_cuda *c, unsigned max_tokens, unsigned max_keys,
                              unsigned n_heads, unsigned head_dim);

/* ---- sampling (cuda_sample.cu) ------------------------------------------------------------ */

/* One row: see engine/sampler.h for the order of things. */
struct kern_cuda_pick {
    float temperature; /* 0: the largest */
    float top_p, min_p;
    unsigned top_k;                    /* 0: all */
    double random;                     /* in [0, 1): which of what is left */
    float repeat, frequency, presence; /* penalties; 1, 0, 0: none */
    int32_t bias_first, n_biases;      /* in `biases` */
    int32_t history_first, n_history;  /* in `history` */
};
struct kern_cuda_bias { /* of one token */
    int32_t token;
    float add;
};
struct kern_cuda_count { /* how often a sequence has a token, and how often it wrote it itself */
    int32_t token;
    uint32_t seen, generated;
};
struct kern_cuda_sample {
    float *logits; /* [row][stride]; changed */
    size_t stride;
    unsigned n_rows, n_vocab;              /* ids below n_vocab may be picked */
    const struct kern_cuda_pick *pick;     /* [row] */
    const struct kern_cuda_bias *biases;   /* NULL: none */
    const struct kern_cuda_count *history; /* NULL: none */
    const uint32_t *mask; /* [row][(n_vocab + 31) / 32], bit set: allowed; NULL: all */
    int32_t *
        out; /* [row]; -1: no token was allowed or a number; -2: the cuts leave more tokens than are looked at here */
};
void kern_cuda_sample(struct kern_cuda *c, const struct kern_cuda_sample *s);

/* ---- several devices (cuda_peer.cu) --------------------------------------------------------- */

/* Copies between devices, in the order of both streams: layers that follow each other on different devices. */
void kern_cuda_peer_copy(struct kern_cuda *to, void *dst, struct kern_cuda *from, const void *src,
                         size_t bytes);

/* Devices that add up what each of them has computed: layers that are split by tensors. */
struct kern_cuda_group;

enum { KERN_CUDA_GROUP = 8 }; /* devices at most */

/* Joins n (2 to KERN_CUDA_GROUP) contexts on different devices for sums of at most max_floats numbers, and takes the memory for that: through NCCL where
 * libnccl.so.2 can be opened, else by copies. The contexts must live longer, and belong to the same thread. GW_EINVAL, GW_ENOMEM, GW_EIO; *out is unchanged on failure. Free with kern_cuda_group_free (NULL allowed). */
enum gw_status kern_cuda_group_new(struct kern_cuda *const *c, unsigned n, size_t max_floats,
                                   struct kern_cuda_group **out, struct gw_err *err);
void kern_cuda_group_free(struct kern_cuda_group *g);

/* What makes the sums, for people: "NCCL 2.27.3", "copies", "copies, as NCCL failed: ...". Lives as long as g. */
const char *kern_cuda_group_way(const struct kern_cuda_group *g);

/* x[i] of every context i becomes x[0] + x[1] + ..., in stream order of all; device pointers, [n_floats]. By copies each device adds in that order, so all
 * have the same bits, in every run and however many numbers there are; of more than two devices NCCL chooses the order by the size. */
void kern_cuda_group_sum(struct kern_cuda_group *g, float *const *x, size_t n_floats);

/* kern_cuda_sync of all its contexts. Once one has failed the others are not waited for: GW_EIO, GW_ENOMEM. */
enum gw_status kern_cuda_group_sync(struct kern_cuda_group *g, struct gw_err *err);

/* Device memory that is free now. GW_EIO. */
enum gw_status kern_cuda_free_bytes(struct kern_cuda *c, uint64_t *out, struct gw_err *err);

#ifdef __cplusplus
}
#endif

#endif
