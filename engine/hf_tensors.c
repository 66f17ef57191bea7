/* engine/hf_tensors.c - which tensors a family has, and what they are called in a folder and in GGUF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hf_private.h"

/* One tensor of a layer: its name there, its name here. */
struct name {
    const char *from, *to;
    bool vector; /* a norm or a bias: `from` is the whole name */
    bool optional;
    unsigned char heads; /* 'q' or 'k': permuted within heads of that kind */
};

static const struct name attention[] = {
    {"self_attn.q_proj", "attn_q.weight", false, false, 'q'},
    {"self_attn.k_proj", "attn_k.weight", false, false, 'k'},
    {"self_attn.v_proj", "attn_v.weight", false, false, 0},
};
static const struct name fused_attention[] = {
    {"self_attn.qkv_proj", "attn_qkv.weight", false, false, 0},
};
static const struct name ffn[] = {
    {"mlp.gate_proj", "ffn_gate.weight", false, false, 0},
    {"mlp.up_proj", "ffn_up.weight", false, false, 0},
};
static const struct name fused_ffn[] = {
    {"mlp.gate_up_proj", "ffn_up.weight", false, false, 0},
};
static const struct name all[] = {
    {"self_attn.o_proj", "attn_output.weight", false, false, 0},
    {"mlp.down_proj", "ffn_down.weight", false, false, 0},
    {"input_layernorm.weight", "attn_norm.weight", true, false, 0},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", true, true, 0},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", true, true, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", true, true, 'q'},
    {"self_attn.k_proj.bias", "attn_k.bias", true, true, 'k'},
    {"self_attn.v_proj.bias", "attn_v.bias", true, true, 0},
};
static const struct name norms[] = {
    {"post_attention_layernorm.weight", "ffn_norm.weight", true, false, 0},
};
static const struct name gemma_norms[] = {
    {"post_attention_layernorm.weight", "post_attention_norm.weight", true, false, 0},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", true, false, 0},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", true, false, 0},
};

static struct hf_tensor *new_tensor(struct hf *h)
{
    if (h->n_tensors == h->room) {
        const size_t room = 2 * h->room + 64;
        struct hf_tensor *more = reallocarray(h->tensors, room, sizeof(*more));

        if (more == NULL)
            return NULL;
        h->tensors = more;
        h->room = room;
    }
    h->tensors[h->n_tensors] = (struct hf_tensor){.rows = 0};
    return &h->tensors[h->n_tensors++];
}

/* A vector's values are permuted like the rows that they belong to. */
static enum gw_status place(struct hf *h, struct hf_tensor *t)
{
    uint64_t dims[2];

    GW_TRY(hf_decode_plan(h, t));
    dims[0] = t->cols;
    dims[1] = t->rows;
    if (t->heads != 0 && t->n_dims == 1) {
        t->rows = t->cols;
        t->cols = 1;
    }
    if (t->heads != 0 && t->rows % (2 * (uint64_t)t->heads) != 0)
        return gw_fail(h->err, GW_EPARSE, "tensor %s: its rows are not %u heads", t->stem,
                       t->heads);
    t->at = gguf_write_tensor(&h->w, gw_span_str(t->name), t->type, t->n_dims, dims);
    if (t->at == UINT64_MAX)
        return gw_fail(h->err, GW_EPARSE, "tensor %s has rows that are no whole blocks", t->stem);
    return GW_OK;
}

static enum gw_status add(struct hf *h, const char *prefix, const char *to_prefix,
                          const struct name *n)
{
    struct hf_tensor *t;
    char stem[HF_NAME_BYTES];

    (void)snprintf(stem, sizeof(stem), "%s%s", prefix, n->from);
    if (n->optional && hf_find(h, stem, "") == NULL)
        return GW_OK;
    t = new_tensor(h);
    if (t == NULL)
        return gw_fail(h->err, GW_ENOMEM, "out of memory for the tensors");
    memcpy(t->stem, stem, sizeof(stem));
    (void)snprintf(t->name, sizeof(t->name), "%s%s", to_prefix, n->to);
    if (h->family->permute && n->heads != 0)
        t->heads = n->heads == 'q' ? h->heads : h->kv_heads;
    t->plus_one = h->family->norm_plus_one && n->vector;
    return place(h, t);
}

static enum gw_status add_list(struct hf *h, unsigned layer, const struct name *names, size_t n)
{
    char from[64], to[32];

    (void)snprintf(from, sizeof(from), "model.layers.%u.", layer);
    (void)snprintf(to, sizeof(to), "blk.%u.", layer);
    for (size_t i = 0; i < n; i++)
        GW_TRY(add(h, from, to, &names[i]));
    return GW_OK;
}

#define ADD(layer, names) add_list(h, layer, names, sizeof(names) / sizeof((names)[0]))

static enum gw_status add_layer(struct hf *h, unsigned i)
{
    const struct hf_family *f = h->family;

    GW_TRY(f->fused ? ADD(i, fused_attention) : ADD(i, attention));
    GW_TRY(f->fused ? ADD(i, fused_ffn) : ADD(i, ffn));
    GW_TRY(ADD(i, all));
    return f->gemma_norms ? ADD(i, gemma_norms) : ADD(i, norms);
}

static enum gw_status add_rope_factors(struct hf *h)
{
    const uint64_t dims[1] = {h->head_dim / 2};
    struct hf_tensor *t;

    if (h->rope_factors == NULL)
        return GW_OK;
    t = new_tensor(h);
    if (t == NULL)
        return gw_fail(h->err, GW_ENOMEM, "out of memory for the tensors");
    t->at = gguf_write_tensor(&h->w, GW_SPAN("rope_freqs.weight"), KERN_TYPE_F32, 1, dims);
    return GW_OK;
}

enum gw_status hf_plan_tensors(struct hf *h)
{
    static const struct name embedding = {"model.embed_tokens", "token_embd.weight", false, false,
                                          0};
    static const struct name norm = {"model.norm.weight", "output_norm.weight", true, false, 0};
    static const struct name head = {"lm_head", "output.weight", false, false, 0};
    const bool tied =
        gw_json_is(gw_json_get(h->config.root, "tie_word_embeddings"), GW_JSON_TRUE) ||
        hf_find(h, "lm_head", "weight") == NULL;

    GW_TRY(add(h, "", "", &embedding));
    GW_TRY(add(h, "", "", &norm));
    if (!tied)
        GW_TRY(add(h, "", "", &head));
    for (unsigned i = 0; i < h->layers; i++)
        GW_TRY(add_layer(h, i));
    return add_rope_factors(h);
}
