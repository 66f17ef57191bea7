/* tests/unit/engine/bert_make.h - writes small random BERT models, and computes them in double precision.
 *
 * The sizes are no multiples of anything, so that every kernel has tails. */
#ifndef TESTS_UNIT_ENGINE_BERT_MAKE_H
#define TESTS_UNIT_ENGINE_BERT_MAKE_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kernels/kernels.h"

enum {
    BM_VOCAB = 9,
    BM_EMBD = 36,
    BM_HEADS = 3,
    BM_DIM = BM_EMBD / BM_HEADS,
    BM_FF = 50,
    BM_LAYERS = 2,
    BM_POSITIONS = 90,
    BM_MAX_SEQ = 70,
    BM_MAX_TENSORS = 64
};

/* [PAD] [UNK] [CLS] [SEP] and five words. */
static const char bm_tokenizer[] =
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
    "\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"
    "\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"a\":4,\"b\":5,\"##c\":6,\"d\":7,"
    "\".\":8}}}";

static const char bm_config[] =
    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":36,"
    "\"num_attention_heads\":3,\"num_hidden_layers\":2,\"intermediate_size\":50,"
    "\"max_position_embeddings\":90,\"type_vocab_size\":2,\"vocab_size\":9,"
    "\"layer_norm_eps\":1e-6,\"position_embedding_type\":\"absolute\"}";

/* The same of a model that scores. */
static const char bm_head_config[] =
    "{\"architectures\":[\"BertForSequenceClassification\"],\"model_type\":\"bert\","
    "\"hidden_act\":\"gelu\",\"hidden_size\":36,\"num_attention_heads\":3,"
    "\"num_hidden_layers\":2,\"intermediate_size\":50,\"max_position_embeddings\":90,"
    "\"type_vocab_size\":2,\"vocab_size\":9,\"layer_norm_eps\":1e-6}";

static const char bm_pooling[] = "{\"word_embedding_dimension\":36,"
                                 "\"pooling_mode_cls_token\":false,"
                                 "\"pooling_mode_mean_tokens\":true}";

struct bm_tensor {
    char name[96];
    unsigned rows, cols; /* rows 0: a vector */
    double *values;      /* as the file's type holds them */
};

struct bm {
    struct bm_tensor tensors[BM_MAX_TENSORS];
    unsigned n;
    const char *dtype; /* "F32", "F16", "BF16" */
    bool head;         /* of one that scores */
    uint64_t seed;
};

static inline double bm_random(struct bm *m)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(m->seed >> 32) / 2147483648.0;
}

/* Writes x in the file's type and returns what it became. */
static inline double bm_put(const struct bm *m, struct gw_buf *b, double x)
{
    float f = (float)x;
    uint32_t bits;
    uint16_t half;

    memcpy(&bits, &f, sizeof(bits));
    if (m->dtype[0] == 'F' && m->dtype[1] == '3') {
        gw_buf_add(b, (struct gw_span){(const char *)&f, sizeof(f)});
        return (double)f;
    }
    half = m->dtype[0] == 'B' ? (uint16_t)(bits >> 16) : kern_f32_f16(f);
    gw_buf_add(b, (struct gw_span){(const char *)&half, sizeof(half)});
    return (double)(m->dtype[0] == 'B' ? kern_bf16_f32(half) : kern_f16_f32(half));
}

static inline void bm_add(struct bm *m, struct gw_buf *data, const char *name, unsigned rows,
                          unsigned cols, double middle, double size)
{
    struct bm_tensor *t = &m->tensors[m->n++];
    size_t n = (size_t)(rows == 0 ? 1 : rows) * cols;

    *t = (struct bm_tensor){.rows = rows, .cols = cols, .values = calloc(n, sizeof(double))};
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
    for (size_t i = 0; i < n; i++)
        t->values[i] = bm_put(m, data, middle + size * bm_random(m));
}

static inline void bm_add_linear(struct bm *m, struct gw_buf *data, const char *stem, unsigned rows,
                                 unsigned cols)
{
    char name[96];

    (void)snprintf(name, sizeof(name), "%s.weight", stem);
    bm_add(m, data, name, rows, cols, 0, 2.0 / sqrt((double)cols));
    (void)snprintf(name, sizeof(name), "%s.bias", stem);
    bm_add(m, data, name, 0, rows, 0, 0.3);
}

static inline void bm_add_norm(struct bm *m, struct gw_buf *data, const char *stem)
{
    char name[96];

    (void)snprintf(name, sizeof(name), "%s.weight", stem);
    bm_add(m, data, name, 0, BM_EMBD, 1, 0.3);
    (void)snprintf(name, sizeof(name), "%s.bias", stem);
    bm_add(m, data, name, 0, BM_EMBD, 0, 0.3);
}

static inline void bm_fill(struct bm *m, struct gw_buf *data)
{
    static const struct {
        const char *stem;
        unsigned rows, cols;
    } linear[] = {
        {"attention.self.query", BM_EMBD, BM_EMBD}, {"attention.self.key", BM_EMBD, BM_EMBD},
        {"attention.self.value", BM_EMBD, BM_EMBD}, {"attention.output.dense", BM_EMBD, BM_EMBD},
        {"intermediate.dense", BM_FF, BM_EMBD},     {"output.dense", BM_EMBD, BM_FF}};
    char stem[80];

    bm_add(m, data, "embeddings.word_embeddings.weight", BM_VOCAB, BM_EMBD, 0, 1);
    bm_add(m, data, "embeddings.position_embeddings.weight", BM_POSITIONS, BM_EMBD, 0, 0.5);
    bm_add(m, data, "embeddings.token_type_embeddings.weight", 2, BM_EMBD, 0, 0.5);
    bm_add_norm(m, data, "embeddings.LayerNorm");
    for (unsigned i = 0; i < BM_LAYERS; i++) {
        for (unsigned k = 0; k < sizeof(linear) / sizeof(linear[0]); k++) {
            (void)snprintf(stem, sizeof(stem), "encoder.layer.%u.%s", i, linear[k].stem);
            bm_add_linear(m, data, stem, linear[k].rows, linear[k].cols);
        }
        (void)snprintf(stem, sizeof(stem), "encoder.layer.%u.attention.output.LayerNorm", i);
        bm_add_norm(m, data, stem);
        (void)snprintf(stem, sizeof(stem), "encoder.layer.%u.output.LayerNorm", i);
        bm_add_norm(m, data, stem);
    }
    if (m->head) {
        bm_add_linear(m, data, "pooler.dense", BM_EMBD, BM_EMBD);
        bm_add_linear(m, data, "classifier", 1, BM_EMBD);
    }
}

static inline bool bm_write(const char *folder, const char *name, struct gw_span bytes)
{
    char path[256];
    FILE *f;
    bool ok;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    if (f == NULL)
        return false;
    ok = fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;
    return fclose(f) == 0 && ok;
}

/* Makes the values and writes the folder's files; prefix stands before every tensor's name but the head's last. */
static inline bool bm_make_any(struct bm *m, const char *folder, const char *dtype,
                               const char *prefix, bool head)
{
    struct gw_buf data = {0}, header = {0}, file = {0};
    size_t at = 0;
    bool ok;

    *m = (struct bm){.dtype = dtype, .seed = 20240229, .head = head};
    bm_fill(m, &data);
    gw_buf_addc(&header, '{');
    for (unsigned i = 0; i < m->n; i++) {
        const struct bm_tensor *t = &m->tensors[i];
        size_t n = (size_t)(t->rows == 0 ? 1 : t->rows) * t->cols * (dtype[1] == '3' ? 4 : 2);

        gw_buf_printf(&header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", i == 0 ? "" : ",",
                      strncmp(t->name, "classifier", 10) == 0 ? "" : prefix, t->name, dtype);
        if (t->rows != 0)
            gw_buf_printf(&header, "%u,", t->rows);
        gw_buf_printf(&header, "%u],\"data_offsets\":[%zu,%zu]}", t->cols, at, at + n);
        at += n;
    }
    gw_buf_addc(&header, '}');
    if (header.len % 2 == 0)
        gw_buf_addc(&header, ' '); /* nothing in the data is aligned */
    for (unsigned i = 0; i < 8; i++)
        gw_buf_addc(&file, (char)(unsigned char)(header.len >> (8 * i)));
    gw_buf_add(&file, gw_buf_span(&header));
    gw_buf_add(&file, gw_buf_span(&data));
    ok = bm_write(folder, "model.safetensors", gw_buf_span(&file)) &&
         bm_write(folder, "config.json", gw_span_str(head ? bm_head_config : bm_config)) &&
         bm_write(folder, "tokenizer.json", gw_span_str(bm_tokenizer)) &&
         (head ||
          (bm_write(folder, "1_Pooling/config.json", gw_span_str(bm_pooling)) &&
           bm_write(folder, "sentence_bert_config.json", GW_SPAN("{\"max_seq_length\":70}"))));
    gw_buf_fini(&data);
    gw_buf_fini(&header);
    gw_buf_fini(&file);
    return ok;
}

static inline bool bm_make(struct bm *m, const char *folder, const char *dtype, const char *prefix)
{
    return bm_make_any(m, folder, dtype, prefix, false);
}

static inline void bm_free(struct bm *m)
{
    for (unsigned i = 0; i < m->n; i++)
        free(m->tensors[i].values);
    m->n = 0;
}

/* ---- the same model, computed plainly ------------------------------------------------------- */

static inline const double *bm_get(const struct bm *m, const char *stem, const char *what)
{
    char name[160];

    (void)snprintf(name, sizeof(name), "%s.%s", stem, what);
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->tensors[i].name, name) == 0)
            return m->tensors[i].values;
    abort();
}

static inline void bm_linear(const struct bm *m, const char *stem, unsigned rows, unsigned cols,
                             const double *x, double *out)
{
    const double *w = bm_get(m, stem, "weight"), *b = bm_get(m, stem, "bias");

    for (unsigned r = 0; r < rows; r++) {
        out[r] = b[r];
        for (unsigned c = 0; c < cols; c++)
            out[r] += w[r * cols + c] * x[c];
    }
}

static inline void bm_norm(const struct bm *m, const char *stem, double *x)
{
    const double *w = bm_get(m, stem, "weight"), *b = bm_get(m, stem, "bias");
    double mean = 0, variance = 0;

    for (unsigned i = 0; i < BM_EMBD; i++)
        mean += x[i] / BM_EMBD;
    for (unsigned i = 0; i < BM_EMBD; i++)
        variance += (x[i] - mean) * (x[i] - mean) / BM_EMBD;
    for (unsigned i = 0; i < BM_EMBD; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-6) * w[i] + b[i];
}

typedef double bm_row[BM_EMBD];

static inline void bm_attend(unsigned n, bm_row *q, bm_row *k, bm_row *v, bm_row *out)
{
    for (unsigned t = 0; t < n; t++) {
        for (unsigned at = 0; at < BM_EMBD; at += BM_DIM) {
            double p[BM_POSITIONS], sum = 0;

            for (unsigned s = 0; s < n; s++) {
                double dot = 0;

                for (unsigned i = at; i < at + BM_DIM; i++)
                    dot += q[t][i] * k[s][i];
                sum += p[s] = exp(dot / sqrt((double)BM_DIM));
            }
            for (unsigned i = at; i < at + BM_DIM; i++) {
                out[t][i] = 0;
                for (unsigned s = 0; s < n; s++)
                    out[t][i] += p[s] / sum * v[s][i];
            }
        }
    }
}

/* x += f(x) of both halves of a layer, each with its norm behind it. */
static inline void bm_layer(const struct bm *m, unsigned layer, unsigned n, bm_row *x)
{
    static bm_row q[BM_POSITIONS], k[BM_POSITIONS], v[BM_POSITIONS], att[BM_POSITIONS];
    double y[BM_EMBD], up[BM_FF];
    char s[6][80];
    static const char *const stems[] = {"attention.self.query", "attention.self.key",
                                        "attention.self.value", "attention.output",
                                        "intermediate.dense",   "output"};

    for (unsigned i = 0; i < 6; i++)
        (void)snprintf(s[i], sizeof(s[i]), "encoder.layer.%u.%s", layer, stems[i]);
    for (unsigned t = 0; t < n; t++) {
        bm_linear(m, s[0], BM_EMBD, BM_EMBD, x[t], q[t]);
        bm_linear(m, s[1], BM_EMBD, BM_EMBD, x[t], k[t]);
        bm_linear(m, s[2], BM_EMBD, BM_EMBD, x[t], v[t]);
    }
    bm_attend(n, q, k, v, att);
    for (unsigned t = 0; t < n; t++) {
        char dense[96], norm[96];

        (void)snprintf(dense, sizeof(dense), "%s.dense", s[3]);
        (void)snprintf(norm, sizeof(norm), "%s.LayerNorm", s[3]);
        bm_linear(m, dense, BM_EMBD, BM_EMBD, att[t], y);
        for (unsigned i = 0; i < BM_EMBD; i++)
            x[t][i] += y[i];
        bm_norm(m, norm, x[t]);
        bm_linear(m, s[4], BM_FF, BM_EMBD, x[t], up);
        for (unsigned i = 0; i < BM_FF; i++)
            up[i] *= 0.5 * erfc(-up[i] * sqrt(0.5));
        (void)snprintf(dense, sizeof(dense), "%s.dense", s[5]);
        (void)snprintf(norm, sizeof(norm), "%s.LayerNorm", s[5]);
        bm_linear(m, dense, BM_EMBD, BM_FF, up, y);
        for (unsigned i = 0; i < BM_EMBD; i++)
            x[t][i] += y[i];
        bm_norm(m, norm, x[t]);
    }
}

/* The vectors of n ids; those from n_query on are of token type 1. */
static inline void bm_run(const struct bm *m, const int32_t *ids, unsigned n, unsigned n_query,
                          bm_row *x)
{
    const double *words = bm_get(m, "embeddings.word_embeddings", "weight");
    const double *positions = bm_get(m, "embeddings.position_embeddings", "weight");
    const double *kinds = bm_get(m, "embeddings.token_type_embeddings", "weight");

    for (unsigned t = 0; t < n; t++) {
        const double *kind = kinds + (t < n_query ? 0 : BM_EMBD);

        for (unsigned i = 0; i < BM_EMBD; i++)
            x[t][i] = words[(unsigned)ids[t] * BM_EMBD + i] + positions[t * BM_EMBD + i] + kind[i];
        bm_norm(m, "embeddings.LayerNorm", x[t]);
    }
    for (unsigned l = 0; l < BM_LAYERS; l++)
        bm_layer(m, l, n, x);
}

/* The vector of n ids, of length 1. */
static inline void bm_embed(const struct bm *m, const int32_t *ids, unsigned n, double out[BM_EMBD])
{
    static bm_row x[BM_POSITIONS];
    double squares = 0;

    bm_run(m, ids, n, n, x);
    for (unsigned i = 0; i < BM_EMBD; i++) {
        out[i] = 0;
        for (unsigned t = 0; t < n; t++)
            out[i] += x[t][i];
        squares += out[i] * out[i];
    }
    for (unsigned i = 0; i < BM_EMBD; i++)
        out[i] /= sqrt(squares);
}

/* The score, from 0 to 1, of n ids of which the first n_query are the query's. */
static inline double bm_score(const struct bm *m, const int32_t *ids, unsigned n, unsigned n_query)
{
    static bm_row x[BM_POSITIONS];
    double pooled[BM_EMBD], score;

    bm_run(m, ids, n, n_query, x);
    bm_linear(m, "pooler.dense", BM_EMBD, BM_EMBD, x[0], pooled);
    for (unsigned i = 0; i < BM_EMBD; i++)
        pooled[i] = tanh(pooled[i]);
    bm_linear(m, "classifier", 1, BM_EMBD, pooled, &score);
    return 1 / (1 + exp(-score));
}

#endif
