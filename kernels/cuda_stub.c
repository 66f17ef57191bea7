/* kernels/cuda_stub.c - stands in for the CUDA files in a build without them: there is no device.
 *
 * Contexts, buffers and matrices cannot be made here, so the functions that take one are never reached
 * with a valid argument; they answer GW_EUNSUPPORTED, or do nothing. Stateless; any thread. */
#include "kernels/cuda.h"

// The signatures are the header's; here nothing is written through them.
// NOLINTBEGIN(readability-non-const-parameter)

static enum gw_status no_cuda(struct gw_err *err)
{
    return gw_fail(err, GW_EUNSUPPORTED,
                   "this build has no CUDA kernels: build with a CUDA toolkit, or use the CPU");
}

unsigned kern_cuda_count(void)
{
    return 0;
}

const char *kern_cuda_reason(void)
{
    return "built without CUDA kernels";
}

enum gw_status kern_cuda_open(unsigned device, struct kern_cuda **out, struct kern_cuda_info *info,
                              struct gw_err *err)
{
    (void)device;
    (void)out;
    (void)info;
    return no_cuda(err);
}

void kern_cuda_close(struct kern_cuda *c)
{
    (void)c;
}

enum gw_status kern_cuda_health(unsigned device, struct kern_cuda_health *out, struct gw_err *err)
{
    (void)device;
    (void)out;
    return no_cuda(err);
}

enum gw_status kern_cuda_buf_new(struct kern_cuda *c, size_t bytes, struct kern_cuda_buf **out,
                                 struct gw_err *err)
{
    (void)c;
    (void)bytes;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_buf_free(struct kern_cuda_buf *b)
{
    (void)b;
}

size_t kern_cuda_buf_bytes(const struct kern_cuda_buf *b)
{
    (void)b;
    return 0;
}

void *kern_cuda_at(const struct kern_cuda_buf *b, size_t offset)
{
    (void)b;
    (void)offset;
    return NULL;
}

enum gw_status kern_cuda_host_new(struct kern_cuda *c, size_t bytes, void **out, struct gw_err *err)
{
    (void)c;
    (void)bytes;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_host_free(struct kern_cuda *c, void *p)
{
    (void)c;
    (void)p;
}

void *kern_cuda_host_at(struct kern_cuda *c, void *p)
{
    (void)c;
    (void)p;
    return NULL;
}

enum gw_status kern_cuda_upload(struct kern_cuda_buf *dst, size_t offset, const void *src,
                                size_t bytes, struct gw_err *err)
{
    (void)dst;
    (void)offset;
    (void)src;
    (void)bytes;
    return no_cuda(err);
}

enum gw_status kern_cuda_download(const struct kern_cuda_buf *src, size_t offset, void *dst,
                                  size_t bytes, struct gw_err *err)
{
    (void)src;
    (void)offset;
    (void)dst;
    (void)bytes;
    return no_cuda(err);
}

void kern_cuda_copy(struct kern_cuda *c, void *dst, const void *src, size_t bytes)
{
    (void)c;
    (void)dst;
    (void)src;
    (void)bytes;
}

void kern_cuda_zero(struct kern_cuda *c, void *dst, size_t bytes)
{
    (void)c;
    (void)dst;
    (void)bytes;
}

enum gw_status kern_cuda_reserve(struct kern_cuda *c, size_t bytes, struct gw_err *err)
{
    (void)c;
    (void)bytes;
    return no_cuda(err);
}

enum gw_status kern_cuda_sync(struct kern_cuda *c, struct gw_err *err)
{
    (void)c;
    return no_cuda(err);
}

enum gw_status kern_cuda_event_new(struct kern_cuda *c, struct kern_cuda_event **out,
                                   struct gw_err *err)
{
    (void)c;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_event_free(struct kern_cuda_event *e)
{
    (void)e;
}

void kern_cuda_event_mark(struct kern_cuda_event *e)
{
    (void)e;
}

bool kern_cuda_event_ready(const struct kern_cuda_event *e)
{
    (void)e;
    return false;
}

void kern_cuda_event_wait(struct kern_cuda *c, const struct kern_cuda_event *e)
{
    (void)c;
    (void)e;
}

float kern_cuda_event_ms(const struct kern_cuda_event *from, const struct kern_cuda_event *to)
{
    (void)from;
    (void)to;
    return 0;
}

enum gw_status kern_cuda_graph_begin(struct kern_cuda *c, struct gw_err *err)
{
    (void)c;
    return no_cuda(err);
}

enum gw_status kern_cuda_graph_end(struct kern_cuda *c, struct kern_cuda_graph **out,
                                   struct gw_err *err)
{
    (void)c;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_graph_launch(struct kern_cuda_graph *g)
{
    (void)g;
}

void kern_cuda_graph_free(struct kern_cuda_graph *g)
{
    (void)g;
}

bool kern_cuda_has_type(uint32_t type)
{
    (void)type;
    return false;
}

size_t kern_cuda_matrix_bytes(uint32_t type, uint64_t rows, uint64_t cols)
{
    (void)type;
    (void)rows;
    (void)cols;
    return 0;
}

enum gw_status kern_cuda_matrix_new(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                    uint64_t cols, const void *gguf, bool on_host,
                                    struct kern_cuda_matrix **out, struct gw_err *err)
{
    (void)c;
    (void)type;
    (void)rows;
    (void)cols;
    (void)gguf;
    (void)on_host;
    (void)out;
    return no_cuda(err);
}

enum gw_status kern_cuda_matrix_new_e4m3(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                         uint64_t cols, const void *gguf,
                                         struct kern_cuda_matrix **out, struct gw_err *err)
{
    (void)c;
    (void)type;
    (void)rows;
    (void)cols;
    (void)gguf;
    (void)out;
    return no_cuda(err);
}

size_t kern_cuda_matrix_e4m3_bytes(uint32_t type, uint64_t rows, uint64_t cols)
{
    (void)type;
    (void)rows;
    (void)cols;
    return 0;
}

void kern_cuda_matrix_free(struct kern_cuda_matrix *m)
{
    (void)m;
}

size_t kern_cuda_acts_bytes(unsigned max_tokens, size_t cols, bool fine)
{
    (void)max_tokens;
    (void)cols;
    (void)fine;
    return 0;
}

void kern_cuda_acts_init(struct kern_cuda_acts *a, void *mem, unsigned n_tokens, size_t cols,
                         bool fine, const float *x)
{
    (void)a;
    (void)mem;
    (void)n_tokens;
    (void)cols;
    (void)fine;
    (void)x;
}

void kern_cuda_quantize(struct kern_cuda *c, const struct kern_cuda_acts *a)
{
    (void)c;
    (void)a;
}

void kern_cuda_matmul(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                      const struct kern_cuda_acts *a, float *out, size_t out_stride, bool add)
{
    (void)c;
    (void)w;
    (void)a;
    (void)out;
    (void)out_stride;
    (void)add;
}

void kern_cuda_gate_up(struct kern_cuda *c, const struct kern_cuda_matrix *gate,
                       const struct kern_cuda_matrix *up, const struct kern_cuda_acts *a,
                       enum kern_cuda_gate f, float *out)
{
    (void)c;
    (void)gate;
    (void)up;
    (void)a;
    (void)f;
    (void)out;
}

void kern_cuda_rows(struct kern_cuda *c, const struct kern_cuda_matrix *m, const int32_t *ids,
                    unsigned n, float scale, float *out)
{
    (void)c;
    (void)m;
    (void)ids;
    (void)n;
    (void)scale;
    (void)out;
}

void kern_cuda_rms_norm(struct kern_cuda *c, float *out, const float *x, const float *w,
                        unsigned n_tokens, size_t n, float eps)
{
    (void)c;
    (void)out;
    (void)x;
    (void)w;
    (void)n_tokens;
    (void)n;
    (void)eps;
}

void kern_cuda_add_norm_quantize(struct kern_cuda *c, float *x, const float *y, const float *y_norm,
                                 const float *w, float eps, const struct kern_cuda_acts *a)
{
    (void)c;
    (void)x;
    (void)y;
    (void)y_norm;
    (void)w;
    (void)eps;
    (void)a;
}

void kern_cuda_gate_mul(struct kern_cuda *c, float *out, const float *gate, const float *up,
                        size_t n, enum kern_cuda_gate f)
{
    (void)c;
    (void)out;
    (void)gate;
    (void)up;
    (void)n;
    (void)f;
}

void kern_cuda_add(struct kern_cuda *c, float *x, const float *y, size_t n)
{
    (void)c;
    (void)x;
    (void)y;
    (void)n;
}

void kern_cuda_soft_cap(struct kern_cuda *c, float *x, size_t n, float cap)
{
    (void)c;
    (void)x;
    (void)n;
    (void)cap;
}

void kern_cuda_route(struct kern_cuda *c, const float *router, unsigned n_tokens,
                     unsigned n_experts, unsigned n_used, int32_t *chosen, float *weight)
{
    (void)c;
    (void)router;
    (void)n_tokens;
    (void)n_experts;
    (void)n_used;
    (void)chosen;
    (void)weight;
}

void kern_cuda_gather(struct kern_cuda *c, float *out, const float *x, const int32_t *index,
                      unsigned n_rows, unsigned div, size_t cols)
{
    (void)c;
    (void)out;
    (void)x;
    (void)index;
    (void)n_rows;
    (void)div;
    (void)cols;
}

void kern_cuda_matmul_f32(struct kern_cuda *c, float *out, const float *w, const float *x,
                          unsigned n_tokens, unsigned rows, size_t cols)
{
    (void)c;
    (void)out;
    (void)w;
    (void)x;
    (void)n_tokens;
    (void)rows;
    (void)cols;
}

void kern_cuda_combine(struct kern_cuda *c, float *x, const float *y, const float *weight,
                       unsigned n_tokens, unsigned n_used, size_t cols)
{
    (void)c;
    (void)x;
    (void)y;
    (void)weight;
    (void)n_tokens;
    (void)n_used;
    (void)cols;
}

size_t kern_cuda_kv_block_bytes(enum kern_cuda_kv_type type, unsigned head_dim)
{
    (void)type;
    (void)head_dim;
    return 0;
}

void kern_cuda_qkv_write(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                         const struct kern_cuda_step *s, const struct kern_cuda_qkv *p)
{
    (void)c;
    (void)kv;
    (void)layer;
    (void)s;
    (void)p;
}

void kern_cuda_kv_copy(struct kern_cuda *c, const struct kern_cuda_kv *kv, const uint32_t *pairs,
                       unsigned n)
{
    (void)c;
    (void)kv;
    (void)pairs;
    (void)n;
}

void kern_cuda_attn(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                    const struct kern_cuda_step *s, const struct kern_cuda_attn *a)
{
    (void)c;
    (void)kv;
    (void)layer;
    (void)s;
    (void)a;
}

size_t kern_cuda_attn_scratch(const struct kern_cuda *c, unsigned max_tokens, unsigned max_keys,
                              unsigned n_heads, unsigned head_dim)
{
    (void)c;
    (void)max_tokens;
    (void)max_keys;
    (void)n_heads;
    (void)head_dim;
    return 0;
}

void kern_cuda_sample(struct kern_cuda *c, const struct kern_cuda_sample *s)
{
    (void)c;
    (void)s;
}

void kern_cuda_lora(struct kern_cuda *c, const struct kern_cuda_loras *l, const float *x,
                    unsigned n_tokens, size_t rows, size_t cols, float *out, size_t out_stride)
{
    (void)c;
    (void)l;
    (void)x;
    (void)n_tokens;
    (void)rows;
    (void)cols;
    (void)out;
    (void)out_stride;
}

void kern_cuda_peer_copy(struct kern_cuda *to, void *dst, struct kern_cuda *from, const void *src,
                         size_t bytes)
{
    (void)to;
    (void)dst;
    (void)from;
    (void)src;
    (void)bytes;
}

enum gw_status kern_cuda_group_new(struct kern_cuda *const *c, unsigned n, size_t max_floats,
                                   struct kern_cuda_group **out, struct gw_err *err)
{
    (void)c;
    (void)n;
    (void)max_floats;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_group_free(struct kern_cuda_group *g)
{
    (void)g;
}

const char *kern_cuda_group_way(const struct kern_cuda_group *g)
{
    (void)g;
    return "";
}

void kern_cuda_group_sum(struct kern_cuda_group *g, float *const *x, size_t n_floats)
{
    (void)g;
    (void)x;
    (void)n_floats;
}

enum gw_status kern_cuda_group_sync(struct kern_cuda_group *g, struct gw_err *err)
{
    (void)g;
    return no_cuda(err);
}

enum gw_status kern_cuda_free_bytes(struct kern_cuda *c, uint64_t *out, struct gw_err *err)
{
    (void)c;
    (void)out;
    return no_cuda(err);
}
// NOLINTEND(readability-non-const-parameter)
