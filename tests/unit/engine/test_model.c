/* tests/unit/engine/test_model.c - a model's numbers against its tensors: what is refused, and how. */
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "engine/pool.h"
#include "tests/test.h"
#include "tests/unit/engine/gguf_make.h"

/* Loads what was made (inspects it with p NULL); the words must be in the message of a failure. */
static void expect(struct gw_buf *b, struct pool *p, enum gw_status want, const char *words)
{
    void *bytes = malloc(b->len);
    struct gw_err err = {0};
    struct gguf *g = NULL;
    struct model m = {0};
    enum gw_status st;

    if (bytes == NULL)
        return;
    memcpy(bytes, b->ptr, b->len);
    st = gguf_open_memory(bytes, b->len, &g, &err);
    if (st == GW_OK && p != NULL)
        st = model_load(&m, g, kern_ops(NULL), p, NULL, NULL, &err);
    else if (st == GW_OK)
        st = model_inspect(&m, g, kern_ops(NULL), &err);
    if (!CHECK(st == want) || !CHECK(st == GW_OK || strstr(err.text, words) != NULL))
        printf("%s: %s (expected: %s)\n", gw_status_name(st), err.text, words);
    if (st == GW_OK) {
        CHECK(strcmp(m.quant, "Q4_0") == 0 && m.n_params != 0 && m.kernels[0] != '\0');
        CHECK((m.weights != NULL) == (p != NULL));
    }
    model_fini(&m);
    gguf_close(g);
    free(bytes);
    gw_buf_clear(b);
}

/* The numbers of make_small with one changed in the metadata only. */
static void said(uint32_t *field, struct make_shape *s, uint32_t value, enum gw_status want,
                 const char *words)
{
    struct gw_buf b = {0};
    uint32_t was = *field;

    *field = value;
    make_model(&b, s, &make_small, NULL);
    expect(&b, NULL, want, words);
    *field = was;
    gw_buf_fini(&b);
}

static void test_shapes_disagree(void)
{
    struct make_shape s = make_small;

    said(&s.layers, &s, 2, GW_EPARSE, "blk.1.attn_norm.weight is missing");
    said(&s.layers, &s, 0, GW_EPARSE, "block_count");
    said(&s.layers, &s, 4000000000u, GW_EPARSE, "block_count");
    said(&s.d, &s, 64, GW_EPARSE, "64");
    said(&s.d, &s, 0, GW_EPARSE, "embedding_length");
    said(&s.ff, &s, 32, GW_EPARSE, "ffn_gate");
    said(&s.ff, &s, 1u << 31, GW_EPARSE, "feed_forward_length");
    said(&s.heads, &s, 4, GW_EPARSE, "attn_q");
    said(&s.heads, &s, 3, GW_EPARSE, "");
    said(&s.kv_heads, &s, 2, GW_EPARSE, "attn_k");
    said(&s.kv_heads, &s, 0, GW_EPARSE, "head_count_kv");
    said(&s.kv_heads, &s, 7, GW_EPARSE, "cannot share");
    said(&s.head_dim, &s, 32, GW_EPARSE, "attn_q");
    said(&s.head_dim, &s, 15, GW_EPARSE, "odd");
    said(&s.head_dim, &s, 100000, GW_EPARSE, "key_length");
    said(&s.vocab, &s, 9, GW_EPARSE, "vocab_size");
    said(&s.context, &s, 0, GW_EPARSE, "context_length");
}

static void test_families(struct pool *p)
{
    struct make_shape s = make_small;
    struct gw_buf b = {0};

    make_model(&b, &s, &s, NULL);
    expect(&b, NULL, GW_OK, "");
    make_model(&b, &s, &s, NULL);
    expect(&b, p, GW_OK, "");
    s.arch = "mamba";
    make_model(&b, &s, &s, NULL);
    expect(&b, NULL, GW_EUNSUPPORTED, "architecture mamba is not built in; llama, qwen2, qwen3, ");
    s.arch = "gemma2"; /* must have norms behind */
    make_model(&b, &s, &s, NULL);
    expect(&b, NULL, GW_EPARSE, "post_attention_norm.weight is missing");
    s.arch = "qwen2"; /* must have biases */
    make_model(&b, &s, &s, NULL);
    expect(&b, NULL, GW_EPARSE, "attn_q.bias is missing");
    s.arch = "qwen3"; /* must have head norms */
    make_model(&b, &s, &s, NULL);
    expect(&b, NULL, GW_EPARSE, "attn_q_norm.weight is missing");
    s.arch = "llama";
    make_model(&b, &s, &s, "blk.0.ffn_gate_inp.weight");
    expect(&b, NULL, GW_EUNSUPPORTED, "not part of llama");
    make_model(&b, &s, &s, "blk.0.attn_q.bias"); /* optional, used */
    expect(&b, p, GW_OK, "");
    make_model(&b, &s, &s, "rope_freqs.weight"); /* 32 values, 8 are needed */
    expect(&b, NULL, GW_EPARSE, "rope_freqs.weight");
    gw_buf_fini(&b);
}

/* No wrong byte anywhere may crash the loader. */
static void test_every_byte_wrong(void)
{
    struct gw_buf b = {0};
    unsigned refused = 0;

    make_model(&b, &make_small, &make_small, NULL);
    for (size_t i = 0; i < b.len && i < 2600; i++) { /* header and infos */
        void *bytes = malloc(b.len);
        struct gguf *g = NULL;
        struct model m = {0};

        if (bytes == NULL)
            break;
        memcpy(bytes, b.ptr, b.len);
        ((unsigned char *)bytes)[i] ^= (unsigned char)(1u << i % 8);
        if (gguf_open_memory(bytes, b.len, &g, NULL) == GW_OK) {
            refused += model_inspect(&m, g, kern_ops(NULL), NULL) != GW_OK;
            model_fini(&m);
            gguf_close(g);
        }
        free(bytes);
    }
    CHECK(refused > 100);
    gw_buf_fini(&b);
}

int main(void)
{
    struct pool *p = NULL;

    if (!CHECK(pool_new(2, &p, NULL) == GW_OK))
        return test_done();
    test_shapes_disagree();
    test_families(p);
    test_every_byte_wrong();
    pool_free(p);
    return test_done();
}
