/* engine/lora_gguf.c - an adapter out of a GGUF file: tensors "NAME.weight.lora_a" and ".lora_b", the scale's
 * numerator under adapter.lora.alpha. See lora_private.h. */
#include "engine/lora_private.h"

static const struct {
    const char *name;
    unsigned target;
} names[] = {
    {"attn_q", LORA_Q},      {"attn_k", LORA_K},
    {"attn_v", LORA_V},      {"attn_output", LORA_O},
    {"ffn_gate", LORA_GATE}, {"ffn_up", LORA_UP},
    {"ffn_down", LORA_DOWN}, {"attn_qkv", LORA_TARGET_QKV},
};

/* "blk.3.attn_q.weight.lora_a" */
static bool parse_name(struct gw_span name, uint64_t *layer, unsigned *target, bool *is_b)
{
    const struct gw_span ends[2] = {GW_SPAN(".weight.lora_a"), GW_SPAN(".weight.lora_b")};

    *is_b = gw_span_ends(name, ends[1]);
    if (!gw_span_starts(name, GW_SPAN("blk.")) || !gw_span_ends(name, ends[*is_b]))
        return false;
    name.len -= ends[*is_b].len;
    name = gw_span_from(name, 4);
    if (!lora_take_layer(&name, layer))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (gw_span_is(name, names[i].name)) {
            *target = names[i].target;
            return true;
        }
    }
    return false;
}

static enum gw_status read_keys(struct lora_file *f, struct gw_err *err)
{
    struct gw_span type = {NULL, 0};

    if (gguf_str(f->g, "general.type", &type, NULL) != GW_OK || !gw_span_is(type, "adapter"))
        return gw_fail(err, GW_EINVAL, "GGUF: general.type is not adapter: this is no adapter");
    if (gguf_has(f->g, "adapter.type")) {
        GW_TRY(gguf_str(f->g, "adapter.type", &type, err));
        if (!gw_span_is(type, "lora"))
            return gw_fail(err, GW_EUNSUPPORTED,
                           "GGUF: adapter.type is not lora, which is built in");
    }
    if (gguf_has(f->g, "adapter.alora.invocation_tokens"))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "GGUF: adapters that begin at a token are not built in");
    if (gguf_has(f->g, "general.architecture"))
        GW_TRY(gguf_str(f->g, "general.architecture", &f->arch, err));
    if (gguf_has(f->g, "adapter.lora.alpha"))
        GW_TRY(gguf_float(f->g, "adapter.lora.alpha", &f->alpha, err));
    return GW_OK;
}

static enum gw_status read_tensor(struct lora_file *f, const struct gguf_tensor *t,
                                  struct gw_err *err)
{
    const struct lora_tensor out = {
        .data = t->data, .type = (enum kern_type)t->type, .rows = t->dims[1], .cols = t->dims[0]};
    uint64_t layer = 0;
    unsigned target = 0;
    bool is_b = false;

    if (!parse_name(t->name, &layer, &target, &is_b))
        return gw_fail(
            err, GW_EUNSUPPORTED,
            "tensor %.*s: only the matrices of attention and of dense feed-forward layers "
            "can be changed",
            (int)t->name.len, t->name.ptr);
    if (t->n_dims > 2)
        return gw_fail(err, GW_EPARSE, "tensor %.*s is no matrix", (int)t->name.len, t->name.ptr);
    if (t->type != KERN_TYPE_F32 && t->type != KERN_TYPE_F16 && t->type != KERN_TYPE_BF16)
        return gw_fail(err, GW_EUNSUPPORTED, "tensor %.*s is not F32, F16 or BF16",
                       (int)t->name.len, t->name.ptr);
    return lora_file_add(f, layer, target, is_b, &out, err);
}

enum gw_status lora_read_gguf(struct lora_file *f, const char *path, struct gw_err *err)
{
    GW_TRY(gguf_open(path, &f->g, err));
    f->file_bytes = gguf_file_bytes(f->g);
    GW_TRY(read_keys(f, err));
    for (size_t i = 0; i < gguf_n_tensors(f->g); i++)
        GW_TRY(read_tensor(f, gguf_tensor_at(f->g, i), err));
    return GW_OK;
}
