/* engine/lora_private.h - an adapter as its file says it: lora_gguf.c and lora_peft.c read, lora.c checks against the
 * model and copies. */
#ifndef ENGINE_LORA_PRIVATE_H
#define ENGINE_LORA_PRIVATE_H

#include <stdbool.h>

#include "engine/gguf.h"
#include "engine/hf_private.h"
#include "engine/lora.h"
#include "engine/safetensors.h"

enum { LORA_MAX_LAYERS = 1024 };

/* What an adapter's tensors are for: the kinds of lora.h, and those that are one matrix in some files. */
enum lora_target { LORA_TARGET_QKV = LORA_KINDS, LORA_TARGET_GATE_UP, LORA_TARGETS };

/* One tensor: rows of cols numbers, anywhere in the file. */
struct lora_tensor {
    const char *data;    /* NULL: not there */
    enum kern_type type; /* F32, F16 or BF16 */
    uint64_t rows, cols;
};

struct lora_pair {
    unsigned layer;
    unsigned target;         /* enum lora_kind or enum lora_target */
    struct lora_tensor a, b; /* [rank][inputs], [outputs][rank] */
};

struct lora_file {
    struct gguf *g; /* one of the two holds the numbers */
    struct safetensors *s;
    struct hf_json config; /* of a folder */
    struct gw_span arch;   /* of the model that it is for; empty: not said */
    double alpha;          /* 0: not said */
    bool rs;               /* scale is alpha / sqrt(rank), else alpha / rank */
    bool halves;           /* rows of queries and keys are in halves, not in pairs */
    struct lora_pair *pairs;
    size_t n_pairs, room;
    uint64_t file_bytes;
};

/* Reads what path is, without a model: every pair is whole, its ranks agree and are within limits. lora_file_fini
 * also after a failure. */
enum gw_status lora_file_open(struct lora_file *f, const char *path, struct gw_err *err);
void lora_file_fini(struct lora_file *f);

/* The two readers. Both leave the pairs in any order and unchecked. */
enum gw_status lora_read_gguf(struct lora_file *f, const char *path, struct gw_err *err);
enum gw_status lora_read_peft(struct lora_file *f, const char *path, struct gw_err *err);

/* Puts a tensor into its pair, which is made when it is not there. is_b: the second of the two. GW_EPARSE: there is one
 * already; GW_ELIMIT: its layer; GW_ENOMEM. */
enum gw_status lora_file_add(struct lora_file *f, uint64_t layer, unsigned target, bool is_b,
                             const struct lora_tensor *t, struct gw_err *err);

/* The decimal number that *name begins with and the "." behind it are taken off. False: there is none, or one above
 * LORA_MAX_LAYERS. */
bool lora_take_layer(struct gw_span *name, uint64_t *layer);

#endif
