/* engine/device.h - a back end that computes a model's layers elsewhere than on the CPU, behind a small table of operations.
 *
 * The scheduler, the pages and the tree of prefixes are the same with and without one: kvcache.h hands out page numbers, and a device
 * keeps the pages of those numbers in its own memory. A device computes the model's last layers and the logits; layers before `first_layer`,
 * which did not fit, stay on the CPU (forward.c), and so do their keys and values. Pages that a device has no room for lie in the host's memory,
 * where it reads them.
 *
 *   device_parse -> device_open (weights go there) -> device_start (pages, memory of steps) -> device_step, any number -> device_close
 *
 * Invariants: (D1) a step never allocates: what a device cannot hold is found out at the start, and fewer layers go there; (D2) after a failed step
 * every further one fails with the same words. Thread: the scheduler's, except device_parse and device_health. */
#ifndef ENGINE_DEVICE_H
#define ENGINE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/engine.h"
#include "engine/kvcache.h"
#include "engine/lora.h"
#include "engine/model.h"

struct device;
struct forward_run;

enum { DEVICE_MAX_PARTS = 8 };

/* What the configuration asks for. */
struct device_spec {
    enum { DEVICE_CPU, DEVICE_AUTO, DEVICE_CUDA } kind;
    unsigned n_parts; /* DEVICE_CUDA: at least 1; DEVICE_AUTO: 0, all there are */
    unsigned parts[DEVICE_MAX_PARTS];
    bool tensors; /* all of them share each layer, else each has layers of its own */
};

/* Reads "cpu", "auto" (NULL and "" too), "cuda", "cuda:0" or "cuda:0,1". GW_EINVAL: something else; *out is unchanged. Thread: any. */
enum gw_status device_parse(const char *text, struct device_spec *out, struct gw_err *err);

/* What steps will be like. */
struct device_limits {
    unsigned max_tokens, max_rows; /* of a step; rows of logits */
    unsigned max_seqs, max_context;
    unsigned n_ids; /* of the vocabulary: ids below it may be picked */
    enum kern_kv_type kv_type;
    bool fp8_weights; /* matrices become e4m3 there, where they can */
    const enum kern_kv_type
        *layer_types;    /* [n_layers], as long as the device; NULL: all are of kv_type */
    unsigned n_adapters; /* that runs may name: */
    const struct lora *adapters[ENGINE_MAX_ADAPTERS]; /* they live longer than the device */
};

/* A row whose token the device may pick itself; see engine/sampler.h for what the numbers mean. */
struct device_pick {
    float temperature, top_p, min_p;
    unsigned top_k;
    double random; /* of the draw */
};

struct device_step {
    struct forward_run *runs;
    unsigned n_runs, n_tokens, n_rows;
    const unsigned *row_token; /* [n_rows]: the token that a row of logits belongs to */
    const float *x;            /* [n_tokens][n_embd]: the stream before first_layer */
};

/* What an implementation does. All are called by the functions below, which say what they mean. */
struct device_ops {
    const char *name;
    enum gw_status (*open)(const struct device_spec *spec, const struct model *m,
                           const struct device_limits *limits, struct device **out,
                           struct gw_err *err);
    unsigned (*count)(void); /* devices that are there */
    const char *(*reason)(void);
    uint64_t (*room)(struct device *d); /* bytes that are left for pages */
    enum gw_status (*start)(struct device *d, unsigned n_pages, struct gw_err *err);
    enum gw_status (*step)(struct device *d, const struct device_step *s, struct gw_err *err);
    void (*copy_page)(struct device *d, uint32_t to, uint32_t from);
    enum gw_status (*cost)(struct device *d, struct engine_cost *out, struct gw_err *err);
    void (*health)(const struct device *d, struct engine_device *out);
    void (*close)(struct device *d);
};

struct device {
    const struct device_ops *ops;
    const struct model *m;
    struct device_limits limits;
    unsigned first_layer; /* layers from here on are here; n_layers: none */
    uint64_t token_bytes; /* of keys and values, here */
    unsigned far_tokens;  /* whose pages lie in the host's memory, once it was started */
    char words[160];      /* where what is, for people */
    float *logits;        /* [row][n_vocab] of the last step */
    int32_t *picked;      /* [row]: what was picked; -1: take the logits */
};

/* Whether devices keep keys and values of this type. */
bool device_has_kv(enum kern_kv_type type);

/* Whether the devices that spec names are there. GW_EUNSUPPORTED, with words for people. Thread: any. */
enum gw_status device_check(const struct device_spec *spec, struct gw_err *err);

/* Whether the GPUs of spec, which share tensors, can each have a share of m, as far as m is known (model_inspect). GW_EUNSUPPORTED, with words that say what
 * to do instead. Thread: any. */
enum gw_status device_check_split(const struct device_spec *spec, const struct model *m,
                                  struct gw_err *err);

/* Whether device_open would look for a device. Thread: any. */
bool device_wanted(const struct device_spec *spec);

/* Opens what spec asks for and brings the weights of m there, whose matrices lie in the file's layout. *out is NULL when it asks for the CPU,
 * or for what there is and there is nothing. Nothing of m is changed; matrices of layers from first_layer on are not read again.
 * GW_EUNSUPPORTED: no such device, or not for this model, with the reason; GW_ENOMEM; GW_EIO. With DEVICE_AUTO these are GW_OK, *out is NULL
 * and err has the reason, "" when there simply is none. */
enum gw_status device_open(const struct device_spec *spec, const struct model *m,
                           const struct device_limits *limits, struct device **out,
                           struct gw_err *err);
void device_close(struct device *d); /* d may be NULL */

/* Bytes that pages may take there. */
uint64_t device_room(struct device *d);

/* Bytes that a token's keys and values take there. */
uint64_t device_token_bytes(const struct device *d);

/* Takes the memory of n_pages pages and of steps; pages that do not fit lie in the host's memory. GW_ENOMEM, and then it may be called again with fewer pages. */
enum gw_status device_start(struct device *d, unsigned n_pages, struct gw_err *err);

/* Page `to` becomes a copy of `from`, before the next step. ctx: struct device; see kvcache_shape.copy. */
void device_copy_page(void *ctx, uint32_t to, uint32_t from);

/* Computes the layers and the logits of a step, or what is picked from them. GW_EIO, GW_ENOMEM: the device failed. */
enum gw_status device_step(struct device *d, const struct device_step *s, struct gw_err *err);

/* Times attention to pages there and in the host's memory: out->gpu_kv_s, host_kv_s. Before the first request. GW_EIO. */
enum gw_status device_cost(struct device *d, struct engine_cost *out, struct gw_err *err);

/* What it is doing now. Thread: any. Takes about a millisecond. */
void device_health(const struct device *d, struct engine_device *out);

/* NVIDIA's GPUs; the same, sharing each layer. */
extern const struct device_ops device_cuda_ops, device_tensor_ops;

#endif
