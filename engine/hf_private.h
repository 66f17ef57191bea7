/* engine/hf_private.h - a folder while it is read: hf.c (files, the image), hf_config.c (sizes), hf_tensors.c
 * (names and shapes), hf_decode.c (formats), hf_tokenizer.c (vocabulary). */
#ifndef ENGINE_HF_PRIVATE_H
#define ENGINE_HF_PRIVATE_H

#include <stdbool.h>

#include "base/json_tree.h"
#include "engine/gguf_write.h"
#include "engine/hf.h"
#include "engine/safetensors.h"
#include "kernels/kernels.h"

enum { HF_MAX_FILES = 1000, HF_MAX_LAYERS = 1024, HF_NAME_BYTES = 128 };

enum hf_format { HF_PLAIN, HF_FP8, HF_GPTQ, HF_AWQ };

/* What a model_type is in GGUF, and what its files do differently. */
struct hf_family {
    const char *model_type, *arch;
    bool permute;       /* rows of queries and keys go from halves to pairs */
    bool norm_plus_one; /* norms are stored 1 too small */
    bool gemma_norms;   /* norms before and behind, by other names */
    bool fused;         /* qkv_proj and gate_up_proj */
};

/* One tensor of the model, and where it comes from. */
struct hf_tensor {
    char name[64];            /* in GGUF */
    char stem[HF_NAME_BYTES]; /* in the files, without ".weight" and the like */
    enum hf_format format;
    unsigned heads; /* not 0: rows are permuted within each */
    bool plus_one;
    uint32_t type; /* in GGUF */
    unsigned n_dims;
    uint64_t rows, cols, at;                                         /* at: place in the data */
    const struct safetensors_tensor *data, *scales, *zeros, *groups; /* as the format has them */
};

/* A JSON file with the memory of its tree. */
struct hf_json {
    struct gw_buf text;
    struct gw_json *json;
    struct gw_arena *arena;
    struct gw_json_node *root;
};

struct hf {
    const char *folder;
    struct gw_err *err;
    struct hf_json config;
    const struct hf_family *family;
    struct safetensors **files;
    size_t n_files;
    unsigned layers, embd, ff, heads, kv_heads, head_dim, vocab;
    enum hf_format quant; /* of linear layers that are quantized */
    unsigned group;       /* of GPTQ and AWQ; 0: a whole column */
    unsigned block[2];    /* of FP8: rows and columns that share a scale; 0: none said */
    bool zero_is_stored;  /* GPTQ: zeros are as stored, not one less */
    float *rope_factors;  /* [head_dim / 2], or NULL */
    struct gguf_writer w;
    struct hf_tensor *tensors;
    size_t n_tensors, room;
};

/* Reads FOLDER/NAME. GW_ENOENT when it is not there. hf_json_fini also after failure. */
enum gw_status hf_json_read(const char *folder, const char *name, struct hf_json *out,
                            struct gw_err *err);
void hf_json_fini(struct hf_json *j);

/* A number of an object; otherwise when it is missing or none. */
double hf_number(const struct gw_json_node *object, const char *name, double otherwise);

/* The tensor of that name in any of the files, or NULL. */
const struct safetensors_tensor *hf_find(const struct hf *h, const char *stem, const char *suffix);

/* config.json: family, sizes and quantization of *h, and the pairs of the model's numbers. */
enum gw_status hf_read_config(struct hf *h);
/* The tokenizer's pairs. */
enum gw_status hf_read_tokenizer(struct hf *h);
/* Lists and places all tensors. */
enum gw_status hf_plan_tensors(struct hf *h);

/* Finds the parts of t's format, checks their shapes, sets data to groups, type, rows and cols. */
enum gw_status hf_decode_plan(const struct hf *h, struct hf_tensor *t);
/* Writes the rows of t to dst. row: memory of t->cols floats. */
void hf_decode(const struct hf *h, const struct hf_tensor *t, float *row, char *dst);

#endif
