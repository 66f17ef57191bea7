/* tests/unit/engine/medusa_make.h - writes folders of Medusa heads, good ones and others. */
#ifndef TESTS_UNIT_ENGINE_MEDUSA_MAKE_H
#define TESTS_UNIT_ENGINE_MEDUSA_MAKE_H

#include <unistd.h>

#include "tests/unit/engine/lora_make.h"

enum { MM_MAX_HEADS = 6, MM_MAX_BLOCKS = 2, MM_MAX_TENSORS = 64 };

/* The numbers of heads. */
struct mm_heads {
    unsigned d, n_vocab, n_heads, n_blocks;
    float *weight[MM_MAX_HEADS][MM_MAX_BLOCKS], *bias[MM_MAX_HEADS][MM_MAX_BLOCKS];
    float *output[MM_MAX_HEADS]; /* NULL: the model's */
};

/* own: with an output matrix for each. */
static inline void mm_init(struct mm_heads *h, unsigned d, unsigned n_vocab, unsigned n_heads,
                           unsigned n_blocks, bool own, uint64_t seed)
{
    *h = (struct mm_heads){.d = d, .n_vocab = n_vocab, .n_heads = n_heads, .n_blocks = n_blocks};
    for (unsigned i = 0; i < n_heads; i++) {
        for (unsigned b = 0; b < n_blocks; b++) {
            h->weight[i][b] = lm_fill((size_t)d * d, 0.3f, &seed);
            h->bias[i][b] = lm_fill(d, 0.5f, &seed);
        }
        h->output[i] = own ? lm_fill((size_t)n_vocab * d, 1, &seed) : NULL;
    }
}

static inline void mm_fini(struct mm_heads *h)
{
    for (unsigned i = 0; i < h->n_heads; i++) {
        for (unsigned b = 0; b < h->n_blocks; b++) {
            free(h->weight[i][b]);
            free(h->bias[i][b]);
        }
        free(h->output[i]);
    }
}

/* Makes output matrices that tell what stands behind each of n tokens from what it was drawn from, by the perceptron's rule with a margin; blocks that add nothing. */
static inline void mm_learn(struct mm_heads *h, const int32_t *ids, const float *hidden, unsigned n)
{
    const unsigned d = h->d;

    for (unsigned i = 0; i < h->n_heads; i++) {
        float *w = h->output[i];

        memset(w, 0, (size_t)h->n_vocab * d * sizeof(*w));
        memset(h->weight[i][0], 0, (size_t)d * d * sizeof(float));
        memset(h->bias[i][0], 0, d * sizeof(float));
        for (unsigned round = 0, wrong = 1; wrong != 0 && round < 400; round++) {
            wrong = 0;
            for (unsigned t = 0; t + i + 1 < n; t++) {
                const float *x = hidden + (size_t)t * d;
                const unsigned is = (unsigned)ids[t + i + 1];
                unsigned best = is == 0;
                double most = -INFINITY, own = 0;

                for (unsigned v = 0; v < h->n_vocab; v++) {
                    double sum = 0;

                    for (unsigned c = 0; c < d; c++)
                        sum += (double)w[(size_t)v * d + c] * (double)x[c];
                    if (v == is)
                        own = sum;
                    else if (sum > most) {
                        most = sum;
                        best = v;
                    }
                }
                if (own > most + 1 + 0.1 * fabs(most))
                    continue;
                wrong++;
                for (unsigned c = 0; c < d; c++) {
                    w[(size_t)is * d + c] += 0.1f * x[c];
                    w[(size_t)best * d + c] -= 0.1f * x[c];
                }
            }
        }
    }
}

/* A safetensors file that grows. */
struct mm_file {
    struct gw_buf header, data;
};

/* type: "F32", "F16", "BF16", or another one, whose bytes are those of F32. */
static inline void mm_add(struct mm_file *f, const char *name, const char *type, unsigned rows,
                          unsigned cols, const float *x)
{
    const size_t n = (size_t)rows * (cols == 0 ? 1 : cols), from = f->data.len;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        uint16_t half;

        memcpy(&bits, &x[i], sizeof(bits));
        half = strcmp(type, "F16") == 0 ? kern_f32_f16(x[i]) : (uint16_t)(bits >> 16);
        if (strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0)
            gw_buf_add(&f->data, (struct gw_span){(const char *)&half, sizeof(half)});
        else
            gw_buf_add(&f->data, (struct gw_span){(const char *)&bits, sizeof(bits)});
    }
    gw_buf_printf(&f->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%u",
                  f->header.len == 0 ? "{" : ",", name, type, rows);
    if (cols != 0)
        gw_buf_printf(&f->header, ",%u", cols);
    gw_buf_printf(&f->header, "],\"data_offsets\":[%zu,%zu]}", from, f->data.len);
}

static inline void mm_add_all(struct mm_file *f, const struct mm_heads *h, const char *before,
                              const char *type)
{
    char name[80];

    for (unsigned i = 0; i < h->n_heads; i++) {
        for (unsigned b = 0; b < h->n_blocks; b++) {
            (void)snprintf(name, sizeof(name), "%s%u.%u.linear.weight", before, i, b);
            mm_add(f, name, type, h->d, h->d, h->weight[i][b]);
            (void)snprintf(name, sizeof(name), "%s%u.%u.linear.bias", before, i, b);
            if (h->bias[i][b] != NULL)
                mm_add(f, name, type, h->d, 0, h->bias[i][b]);
        }
        (void)snprintf(name, sizeof(name), "%s%u.%u.weight", before, i, h->n_blocks);
        if (h->output[i] != NULL)
            mm_add(f, name, type, h->n_vocab, h->d, h->output[i]);
    }
}

/* Writes the first `keep` bytes of the file into the folder, and config unless it is NULL. Frees what f holds. */
static inline bool mm_finish(struct mm_file *f, const char *folder, const char *config, size_t keep)
{
    struct gw_buf file = {0};
    char path[256];
    bool ok;

    gw_buf_adds(&f->header, f->header.len == 0 ? "{}" : "}");
    for (unsigned i = 0; i < 8; i++)
        gw_buf_addc(&file, (char)(unsigned char)(f->header.len >> (8 * i)));
    gw_buf_add(&file, gw_buf_span(&f->header));
    gw_buf_add(&file, gw_buf_span(&f->data));
    (void)mkdir(folder, 0700);
    (void)snprintf(path, sizeof(path), "%s/medusa_lm_head.safetensors", folder);
    ok = lm_write_file(path, (struct gw_span){file.ptr, keep < file.len ? keep : file.len});
    (void)snprintf(path, sizeof(path), "%s/config.json", folder);
    if (config == NULL)
        (void)unlink(path);
    else
        ok = lm_write_file(path, gw_span_str(config)) && ok;
    gw_buf_fini(&file);
    gw_buf_fini(&f->header);
    gw_buf_fini(&f->data);
    return ok;
}

static inline bool mm_write(const struct mm_heads *h, const char *folder, const char *type)
{
    struct mm_file f = {.data = {0}};
    char config[80];

    mm_add_all(&f, h, "", type);
    (void)snprintf(config, sizeof(config), "{\"medusa_num_heads\":%u,\"medusa_num_layers\":%u}",
                   h->n_heads, h->n_blocks);
    return mm_finish(&f, folder, config, SIZE_MAX);
}

#endif
