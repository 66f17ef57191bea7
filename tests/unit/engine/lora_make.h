/* tests/unit/engine/lora_make.h - writes a small random llama model, adapters for it, and the same model with an
 * adapter added to its weights: what both must compute alike.
 *
 * The sizes are no multiples of anything, so that every kernel has tails. */
#ifndef TESTS_UNIT_ENGINE_LORA_MAKE_H
#define TESTS_UNIT_ENGINE_LORA_MAKE_H

#include <sys/stat.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf_write.h"
#include "kernels/kernels.h"

enum {
    LM_LAYERS = 2,
    LM_EMBD = 40,
    LM_HEADS = 4,
    LM_KV_HEADS = 2,
    LM_DIM = 10,
    LM_FF = 56,
    LM_VOCAB = 64,
    LM_CONTEXT = 512,
    LM_MATRICES = 7,
    LM_MAX_RANK = 24
};

/* A matrix of a layer: its name in a model and in PEFT's files. */
struct lm_kind {
    const char *name, *peft;
    unsigned rows, cols, heads;
};

static const struct lm_kind lm_kinds[LM_MATRICES] = {
    {"attn_q", "self_attn.q_proj", LM_HEADS *LM_DIM, LM_EMBD, LM_HEADS},
    {"attn_k", "self_attn.k_proj", LM_KV_HEADS *LM_DIM, LM_EMBD, LM_KV_HEADS},
    {"attn_v", "self_attn.v_proj", LM_KV_HEADS *LM_DIM, LM_EMBD, 0},
    {"attn_output", "self_attn.o_proj", LM_EMBD, LM_HEADS *LM_DIM, 0},
    {"ffn_gate", "mlp.gate_proj", LM_FF, LM_EMBD, 0},
    {"ffn_up", "mlp.up_proj", LM_FF, LM_EMBD, 0},
    {"ffn_down", "mlp.down_proj", LM_EMBD, LM_FF, 0},
};

/* The numbers of an adapter. */
struct lm_adapter {
    unsigned rank;
    float alpha;
    float *a[LM_LAYERS][LM_MATRICES], *b[LM_LAYERS][LM_MATRICES]; /* NULL: not changed */
};

static inline float lm_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int32_t)(*seed >> 32) / 2147483648.0);
}

static inline float *lm_fill(size_t n, float size, uint64_t *seed)
{
    float *x = calloc(n, sizeof(*x));

    for (size_t i = 0; x != NULL && i < n; i++)
        x[i] = size * lm_random(seed);
    return x;
}

/* kinds: bit per matrix that it changes. */
static inline void lm_adapter_init(struct lm_adapter *ad, unsigned rank, float alpha,
                                   unsigned kinds, uint64_t seed)
{
    *ad = (struct lm_adapter){.rank = rank, .alpha = alpha};
    for (unsigned l = 0; l < LM_LAYERS; l++) {
        for (unsigned k = 0; k < LM_MATRICES; k++) {
            if ((kinds >> k & 1) == 0)
                continue;
            ad->a[l][k] = lm_fill((size_t)rank * lm_kinds[k].cols, 0.3f, &seed);
            ad->b[l][k] = lm_fill((size_t)rank * lm_kinds[k].rows, 0.3f, &seed);
        }
    }
}

static inline void lm_adapter_fini(struct lm_adapter *ad)
{
    for (unsigned l = 0; l < LM_LAYERS; l++) {
        for (unsigned k = 0; k < LM_MATRICES; k++) {
            free(ad->a[l][k]);
            free(ad->b[l][k]);
        }
    }
}

/* ---- GGUF ------------------------------------------------------------------------------------- */

struct lm_out {
    struct gguf_writer w;
    struct gw_buf data;
};

static inline void lm_put(struct lm_out *o, const char *name, unsigned cols, unsigned rows,
                          const float *x)
{
    const uint64_t dims[2] = {cols, rows};
    const size_t n = (size_t)cols * (rows == 0 ? 1 : rows) * sizeof(float);

    (void)gguf_write_tensor(&o->w, gw_span_str(name), KERN_TYPE_F32, rows == 0 ? 1 : 2, dims);
    gw_buf_add(&o->data, (struct gw_span){(const char *)x, n});
    while (o->data.len % GGUF_WRITE_ALIGNMENT != 0)
        gw_buf_addc(&o->data, '\0');
}

static inline bool lm_write_file(const char *path, struct gw_span bytes)
{
    FILE *f = fopen(path, "we");
    bool ok = f != NULL && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;

    return f != NULL && fclose(f) == 0 && ok;
}

static inline bool lm_finish(struct lm_out *o, const char *path)
{
    struct gw_buf all = {0};
    bool ok;

    gguf_write_head(&o->w, &all);
    gw_buf_add(&all, gw_buf_span(&o->data));
    ok = gw_buf_ok(&all) && lm_write_file(path, gw_buf_span(&all));
    gw_buf_fini(&all);
    gw_buf_fini(&o->data);
    gguf_write_fini(&o->w);
    return ok;
}

static inline void lm_vocabulary(struct gguf_writer *w)
{
    static const int32_t specials[3] = {2, 3, 3};
    struct gw_buf texts = {0}, scores = {0}, types = {0};

    for (unsigned i = 0; i < LM_VOCAB; i++) {
        static const char *const first[] = {"<unk>", "<s>", "</s>", "\xe2\x96\x81"};
        char one[2] = {(char)('a' + (i - 4) % 26 - (i >= 30 ? 32 : 0)), '\0'};
        const char *text = i < 4 ? first[i] : one;
        const uint64_t len = strlen(text);
        const float score = -(float)i;
        const int32_t type = i < 3 ? specials[i] : 1;

        if (i >= 56) /* no letters are left */
            one[0] = (char)('0' + (i - 56));
        gw_buf_add(&texts, (struct gw_span){(const char *)&len, sizeof(len)});
        gw_buf_adds(&texts, text);
        gw_buf_add(&scores, (struct gw_span){(const char *)&score, sizeof(score)});
        gw_buf_add(&types, (struct gw_span){(const char *)&type, sizeof(type)});
    }
    gguf_write_str(w, "tokenizer.ggml.model", GW_SPAN("llama"));
    gguf_write_array(w, "tokenizer.ggml.tokens", GGUF_STRING, LM_VOCAB, gw_buf_span(&texts));
    gguf_write_array(w, "tokenizer.ggml.scores", GGUF_F32, LM_VOCAB, gw_buf_span(&scores));
    gguf_write_array(w, "tokenizer.ggml.token_type", GGUF_I32, LM_VOCAB, gw_buf_span(&types));
    gguf_write_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_write_u32(w, "tokenizer.ggml.eos_token_id", 2);
    gguf_write_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    gw_buf_fini(&texts);
    gw_buf_fini(&scores);
    gw_buf_fini(&types);
}

/* Row and column of scale * B A. */
static inline double lm_product(const struct lm_adapter *ad, unsigned l, unsigned k, unsigned row,
                                unsigned col)
{
    double sum = 0;

    for (unsigned i = 0; i < ad->rank; i++)
        sum += (double)ad->b[l][k][row * ad->rank + i] *
               (double)ad->a[l][k][i * lm_kinds[k].cols + col];
    return sum * (double)ad->alpha / ad->rank;
}

/* merged: NULL, or the adapter that is added to the weights. */
static inline bool lm_model(const char *path, const struct lm_adapter *merged)
{
    struct lm_out o = {.w = {.n_pairs = 0}};
    uint64_t seed = 77;
    float *x;

    gguf_write_str(&o.w, "general.architecture", GW_SPAN("llama"));
    gguf_write_u32(&o.w, "llama.block_count", LM_LAYERS);
    gguf_write_u32(&o.w, "llama.embedding_length", LM_EMBD);
    gguf_write_u32(&o.w, "llama.feed_forward_length", LM_FF);
    gguf_write_u32(&o.w, "llama.attention.head_count", LM_HEADS);
    gguf_write_u32(&o.w, "llama.attention.head_count_kv", LM_KV_HEADS);
    gguf_write_u32(&o.w, "llama.context_length", LM_CONTEXT);
    gguf_write_f32(&o.w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    lm_vocabulary(&o.w);
    x = lm_fill((size_t)LM_VOCAB * LM_EMBD, 1, &seed);
    lm_put(&o, "token_embd.weight", LM_EMBD, LM_VOCAB, x);
    free(x);
    x = lm_fill((size_t)LM_VOCAB * LM_EMBD, 1, &seed);
    lm_put(&o, "output.weight", LM_EMBD, LM_VOCAB, x);
    for (unsigned i = 0; i < LM_EMBD; i++)
        x[i] = 1;
    lm_put(&o, "output_norm.weight", LM_EMBD, 0, x);
    for (unsigned l = 0; l < LM_LAYERS; l++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", l);
        lm_put(&o, name, LM_EMBD, 0, x);
        (void)snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", l);
        lm_put(&o, name, LM_EMBD, 0, x);
        for (unsigned k = 0; k < LM_MATRICES; k++) {
            const struct lm_kind *kind = &lm_kinds[k];
            float *w = lm_fill((size_t)kind->rows * kind->cols, 0.4f, &seed);

            for (unsigned i = 0;
                 merged != NULL && merged->a[l][k] != NULL && i < kind->rows * kind->cols; i++)
                w[i] = (float)((double)w[i] +
                               lm_product(merged, l, k, i / kind->cols, i % kind->cols));
            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", l, kind->name);
            lm_put(&o, name, kind->cols, kind->rows, w);
            free(w);
        }
    }
    free(x);
    return lm_finish(&o, path);
}

static inline void lm_adapter_head(struct gguf_writer *w, float alpha)
{
    gguf_write_str(w, "general.architecture", GW_SPAN("llama"));
    gguf_write_str(w, "general.type", GW_SPAN("adapter"));
    gguf_write_str(w, "adapter.type", GW_SPAN("lora"));
    gguf_write_f32(w, "adapter.lora.alpha", alpha);
}

static inline bool lm_adapter_gguf(const struct lm_adapter *ad, const char *path)
{
    struct lm_out o = {.w = {.n_pairs = 0}};

    lm_adapter_head(&o.w, ad->alpha);
    for (unsigned l = 0; l < LM_LAYERS; l++) {
        for (unsigned k = 0; k < LM_MATRICES; k++) {
            char name[64];

            if (ad->a[l][k] == NULL)
                continue;
            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight.lora_a", l, lm_kinds[k].name);
            lm_put(&o, name, lm_kinds[k].cols, ad->rank, ad->a[l][k]);
            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight.lora_b", l, lm_kinds[k].name);
            lm_put(&o, name, ad->rank, lm_kinds[k].rows, ad->b[l][k]);
        }
    }
    return lm_finish(&o, path);
}

/* ---- PEFT ------------------------------------------------------------------------------------- */

static inline void lm_peft_tensor(struct gw_buf *header, struct gw_buf *data, unsigned l,
                                  const struct lm_kind *kind, const char *which, unsigned rows,
                                  unsigned cols, const float *x)
{
    gw_buf_printf(header,
                  "%s\"base_model.model.model.layers.%u.%s.lora_%s.weight\":{\"dtype\":\"F32\","
                  "\"shape\":[%u,%u],\"data_offsets\":[%zu,%zu]}",
                  header->len == 1 ? "" : ",", l, kind->peft, which, rows, cols, data->len,
                  data->len + (size_t)rows * cols * sizeof(float));
    gw_buf_add(data, (struct gw_span){(const char *)x, (size_t)rows * cols * sizeof(float)});
}

/* PEFT has the two halves of each head one behind the other, a GGUF file has them in pairs. */
static inline void lm_to_halves(const struct lm_kind *kind, unsigned rank, const float *x,
                                float *out)
{
    const unsigned dim = kind->heads == 0 ? 1 : kind->rows / kind->heads;

    for (unsigned r = 0; r < kind->rows; r++) {
        const unsigned in = r % dim, to = dim == 1 ? r : r - in + in % 2 * (dim / 2) + in / 2;

        memcpy(out + (size_t)to * rank, x + (size_t)r * rank, rank * sizeof(float));
    }
}

static inline bool lm_adapter_peft(const struct lm_adapter *ad, const char *folder,
                                   const char *config)
{
    struct gw_buf header = {0}, data = {0}, file = {0};
    char path[256];
    bool ok;

    gw_buf_addc(&header, '{');
    for (unsigned l = 0; l < LM_LAYERS; l++) {
        for (unsigned k = 0; k < LM_MATRICES; k++) {
            const struct lm_kind *kind = &lm_kinds[k];
            float turned[LM_FF * LM_MAX_RANK];

            if (ad->a[l][k] == NULL)
                continue;
            lm_peft_tensor(&header, &data, l, kind, "A", ad->rank, kind->cols, ad->a[l][k]);
            lm_to_halves(kind, ad->rank, ad->b[l][k], turned);
            lm_peft_tensor(&header, &data, l, kind, "B", kind->rows, ad->rank, turned);
        }
    }
    gw_buf_addc(&header, '}');
    for (unsigned i = 0; i < 8; i++)
        gw_buf_addc(&file, (char)(unsigned char)(header.len >> (8 * i)));
    gw_buf_add(&file, gw_buf_span(&header));
    gw_buf_add(&file, gw_buf_span(&data));
    (void)mkdir(folder, 0700);
    (void)snprintf(path, sizeof(path), "%s/adapter_model.safetensors", folder);
    ok = lm_write_file(path, gw_buf_span(&file));
    (void)snprintf(path, sizeof(path), "%s/adapter_config.json", folder);
    ok = ok && lm_write_file(path, gw_span_str(config));
    gw_buf_fini(&header);
    gw_buf_fini(&data);
    gw_buf_fini(&file);
    return ok;
}

#endif
