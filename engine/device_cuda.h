/* engine/device_cuda.h - private: what is on the GPUs. Shared by device_cuda.c (where things go), device_cuda_load.c (weights),
 * device_cuda_step.c (the computation) and device_cuda_tensor.c (GPUs that share each layer). */
#ifndef ENGINE_DEVICE_CUDA_H
#define ENGINE_DEVICE_CUDA_H

#include "engine/device.h"
#include "engine/forward.h"
#include "kernels/cuda.h"

enum {
    CUDA_GRAPHS = 16,     /* recorded steps that are kept */
    CUDA_MAX_COPIES = 64, /* copies of pages between two steps that go together */
    CUDA_SHARED_PAGES =
        16, /* fewer shared pages are not worth a pass of their own: a split of kernels/cuda_attn.cu */
    CUDA_NEAR_PAGES =
        256 /* of a long context that a GPU keeps itself before layers go to the CPU */
};

struct cuda_expert {
    struct kern_cuda_matrix *gate, *up, *down;
};

/* What adapters add to a product: [adapter] on the device. */
struct cuda_loras {
    const struct kern_cuda_lora *parts;
    unsigned max_rank; /* 0: nothing */
};

/* A layer's weights; vectors are device pointers or NULL. */
struct cuda_layer {
    struct kern_cuda_matrix *q, *k, *v, *o, *gate, *up, *down, *router;
    const float *router_f32;     /* instead of router, where that is of floats */
    struct cuda_expert *experts; /* [n_experts], or NULL */
    const float *attn_norm, *ffn_norm, *attn_post, *ffn_post, *q_norm, *k_norm;
    const float *q_bias, *k_bias, *v_bias;
    struct cuda_loras loras[LORA_KINDS];
};

/* Device addresses of what changes from step to step: one upload. */
struct cuda_meta {
    int32_t *pos, *seq, *seq_first, *shared, *rows;
    int32_t *adapter; /* [token]: -1: none */
    uint32_t *pages, *copies;
    struct kern_cuda_pick *picks;
    char *base; /* all of it */
    size_t bytes;
};

/* Memory of a step, device pointers. */
struct cuda_work {
    float *x, *y;                          /* [token][n_embd] */
    float *qkv, *att;                      /* [token][n_qkv], [token][n_att] */
    float *gate, *up;                      /* [token or place][n_ff] */
    float *row_x, *row_y;                  /* [row][n_embd]: what logits are wanted of */
    float *logits;                         /* [row][n_vocab] */
    float *router, *weight;                /* [token][n_experts], [token][n_used] */
    int32_t *chosen, *token_of, *place_of; /* [token][n_used]; [place]; [token][n_used] */
    float *xn;                             /* [token][n_embd]: x after a norm */
    float *in, *out;                       /* [place][n_embd]: of experts */
    float *low;                            /* [token][max_rank]: of adapters */
    void *acts_embd, *acts_att, *acts_ff, *acts_row, *acts_in; /* memory of kern_cuda_acts */
    int32_t *picked;                                           /* [row] */
    char *base;                                                /* all of it */
    size_t bytes;
};

struct cuda_graph {
    struct kern_cuda_graph *g;                     /* NULL: seen once, or free */
    unsigned n_tokens, n_rows, max_keys, n_shared; /* what it is of */
    bool picks, adapts;
    uint64_t used; /* when, for the oldest to go */
};

/* One GPU and its layers [from, to). */
struct cuda_part {
    unsigned number, from, to;
    struct kern_cuda *c;
    struct kern_cuda_info info;
    struct cuda_layer *layers;       /* [to - from] */
    struct kern_cuda_matrix *output; /* the last part's */
    const float *output_norm;
    const float *rope_cos[MODEL_ROPES], *rope_sin[MODEL_ROPES];
    struct kern_cuda_buf **bufs; /* everything that was taken, n_bufs of them */
    size_t n_bufs, max_bufs;
    struct kern_cuda_buf *meta_buf, *work_buf, *kv_buf;
    struct cuda_meta meta;
    struct cuda_work work;
    /* Pages. Layers [from, from + kv_split) are of one type, the others of another one, and a page holds both. */
    struct kern_cuda_kv kv[2];
    unsigned kv_split;
    uint32_t n_pages, n_far; /* here; in the host's memory: */
    void *kv_host;
};

struct device_cuda {
    struct device base; /* first: the engine's pointer is to it */
    struct cuda_part parts[DEVICE_MAX_PARTS];
    unsigned n_parts;
    unsigned n_shares; /* GPUs that share each layer; 1: this one has whole ones */
    unsigned share;    /* which of them this is; the first has the output */
    unsigned n_att, n_kv, n_qkv, max_pages; /* values a token; pages of the longest sequence */
    bool fine;                              /* 16 bits of an activation */
    char *host;                             /* page-locked: cuda_meta's twin */
    struct cuda_meta host_meta;
    float *host_x;                     /* [token][n_embd] */
    int32_t *host_chosen, *host_index; /* [place], twice [place]: of experts */
    struct cuda_graph graphs[CUDA_GRAPHS];
    uint64_t n_steps;
    unsigned n_copies;     /* in host_meta.copies, not yet made */
    enum gw_status failed; /* D2 */
    struct gw_err why;
};

/* Brings the weights of layers [p->from, p->to) and, to the last part, of the output. GW_ENOMEM, GW_EIO. */
enum gw_status device_cuda_load(struct device_cuda *d, struct cuda_part *p, bool last,
                                struct gw_err *err);
void device_cuda_unload(struct cuda_part *p, unsigned n_experts);

/* n floats on the device; *out is unchanged when x is NULL. */
enum gw_status device_cuda_bring(struct cuda_part *p, const float *x, size_t n, const float **out,
                                 struct gw_err *err);

/* Adapters (device_cuda_lora.c): those of a layer go to the GPU; how many bytes; which token of a step has which, and whether any has one; what they
 * add to a product of x, whose floats must be there. */
enum gw_status device_cuda_load_adapters(struct device_cuda *d, struct cuda_part *p, unsigned layer,
                                         struct gw_err *err);
uint64_t device_cuda_adapter_bytes(const struct device_limits *l, unsigned layer);
unsigned device_cuda_max_rank(const struct device_limits *l);
bool device_cuda_note_adapters(const struct device_limits *l, const struct device_step *s,
                               int32_t *of);
void device_cuda_adapt(struct cuda_part *p, unsigned layer, enum lora_kind kind,
                       const struct kern_cuda_acts *x, size_t rows, float *out, size_t stride);

/* Keys and values of a layer, and which of theirs it is. */
static inline const struct kern_cuda_kv *device_cuda_kv(const struct cuda_part *p, unsigned layer,
                                                        unsigned *of_kv)
{
    const bool second = layer - p->from >= p->kv_split;

    *of_kv = layer - p->from - (second ? p->kv_split : 0);
    return &p->kv[second];
}

enum gw_status device_cuda_cost(struct device *base, struct engine_cost *out, struct gw_err *err);

/* Opening in its steps: GPUs are found that can compute the model; which layers go there (base.first_layer); what they need is brought. NULL: out of memory. What
 * was opened goes with device_close, after a failure too; m lives as long. GW_EUNSUPPORTED, GW_ENOMEM, GW_EIO. */
struct device_cuda *device_cuda_new(const struct model *m, const struct device_limits *limits);
enum gw_status device_cuda_find(struct device_cuda *d, const struct device_spec *spec,
                                struct gw_err *err);
void device_cuda_place(struct device_cuda *d);
enum gw_status device_cuda_fill(struct device_cuda *d, struct gw_err *err);

/* Device memory that lives as long as the part. */
enum gw_status device_cuda_take(struct cuda_part *p, size_t bytes, struct kern_cuda_buf **out,
                                struct gw_err *err);

/* Why layer i of m cannot be computed on a GPU, or NULL. */
const char *device_cuda_refuses(const struct device *d, unsigned i);
/* Bytes of its weights there. */
uint64_t device_cuda_layer_bytes(const struct device *d, unsigned i);

/* Lays out meta data and work over mem; NULL: only counts. */
void device_cuda_lay_meta(const struct device_cuda *d, void *mem, struct cuda_meta *out);
void device_cuda_lay_work(const struct device_cuda *d, void *mem, bool last, struct cuda_work *out);

/* A step on its way. */
struct cuda_run {
    struct device_cuda *d;
    const struct device_step *s;
    struct kern_cuda_step k; /* its pointers are one part's */
    unsigned n_rows;
    bool picks;                  /* some rows' tokens are picked here */
    bool adapts;                 /* some tokens have an adapter */
    const float *add, *add_norm; /* what waits to be added to x, and its norm; or NULL */
};

/* The pieces of a step, in their order. Fills the page-locked twin of what the GPUs read; sends it and the stream to the first part; layer i's attention;
 * its other half, without experts; logits[row] = cap(output(norm(x + what waits))) and what is picked from them; brings what was picked and, of the other
 * rows and those that could not be picked from, the logits. */
void device_cuda_note(struct cuda_run *r);
enum gw_status device_cuda_send(struct cuda_run *r, struct gw_err *err);
void device_cuda_attend(struct cuda_run *r, struct cuda_part *p, unsigned i);
void device_cuda_feed(struct cuda_run *r, struct cuda_part *p, unsigned i);
void device_cuda_logits(struct cuda_run *r, struct cuda_part *p);
enum gw_status device_cuda_fetch(struct cuda_run *r, struct gw_err *err);

enum gw_status device_cuda_step(struct device *base, const struct device_step *s,
                                struct gw_err *err);
/* Makes the copies of pages that wait. */
void device_cuda_flush(struct device_cuda *d);

#endif
