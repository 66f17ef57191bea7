/* engine/lora_peft.c - an adapter out of a folder as PEFT writes it. See lora_private.h. */
#include <stdio.h>

#include "engine/folder.h"
#include "engine/lora_private.h"

static const struct {
    const char *name;
    unsigned target;
} names[] = {
    {"self_attn.q_proj", LORA_Q},
    {"self_attn.k_proj", LORA_K},
    {"self_attn.v_proj", LORA_V},
    {"self_attn.o_proj", LORA_O},
    {"self_attn.qkv_proj", LORA_TARGET_QKV},
    {"mlp.gate_proj", LORA_GATE},
    {"mlp.up_proj", LORA_UP},
    {"mlp.down_proj", LORA_DOWN},
    {"mlp.gate_up_proj", LORA_TARGET_GATE_UP},
};

/* "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" */
static bool parse_name(struct gw_span name, uint64_t *layer, unsigned *target, bool *is_b)
{
    const struct gw_span ends[2] = {GW_SPAN(".lora_A.weight"), GW_SPAN(".lora_B.weight")};
    const struct gw_span begin = GW_SPAN("base_model.model.model.layers.");

    *is_b = gw_span_ends(name, ends[1]);
    if (!gw_span_starts(name, begin) || !gw_span_ends(name, ends[*is_b]))
        return false;
    name.len -= ends[*is_b].len;
    if (name.len < begin.len)
        return false;
    name = gw_span_from(name, begin.len);
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

static bool is_on(const struct gw_json_node *root, const char *name)
{
    return gw_json_is(gw_json_get(root, name), GW_JSON_TRUE);
}

/* An object or list with something in it. */
static bool has_members(const struct gw_json_node *root, const char *name)
{
    const struct gw_json_node *node = gw_json_get(root, name);

    return node != NULL && node->child != NULL;
}

static enum gw_status unsupported(const char *name, struct gw_err *err)
{
    return gw_fail(err, GW_EUNSUPPORTED, "adapter_config.json: this %s is not built in", name);
}

/* What would change the result. */
static enum gw_status check_features(const struct gw_json_node *root, struct gw_err *err)
{
    static const char *const off[] = {"use_dora", "fan_in_fan_out", "use_qalora"};
    static const char *const empty[] = {"rank_pattern", "alpha_pattern", "modules_to_save",
                                        "layer_replication", "trainable_token_indices"};
    const struct gw_json_node *bias = gw_json_get(root, "bias");

    if (!gw_json_text_is(gw_json_get(root, "peft_type"), "LORA"))
        return unsupported("peft_type (LORA is)", err);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (is_on(root, off[i]))
            return unsupported(off[i], err);
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        if (has_members(root, empty[i]))
            return unsupported(empty[i], err);
    if (bias != NULL && !gw_json_is(bias, GW_JSON_NULL) && !gw_json_text_is(bias, "none"))
        return unsupported("bias (none is)", err);
    return GW_OK;
}

static enum gw_status read_config(struct lora_file *f, unsigned *rank, struct gw_err *err)
{
    const struct gw_json_node *root = f->config.root;
    const uint64_t r = gw_json_uint(gw_json_get(root, "r"), 0);

    GW_TRY(check_features(root, err));
    if (r == 0 || r > LORA_MAX_RANK)
        return gw_fail(err, GW_ELIMIT, "adapter_config.json: r is not a number from 1 to %d",
                       LORA_MAX_RANK);
    f->alpha = hf_number(root, "lora_alpha", 0);
    if (!(f->alpha > 0))
        return gw_fail(err, GW_EPARSE, "adapter_config.json: lora_alpha is not a number above 0");
    f->rs = is_on(root, "use_rslora");
    *rank = (unsigned)r;
    return GW_OK;
}

static enum gw_status read_tensor(struct lora_file *f, const struct safetensors_tensor *t,
                                  unsigned rank, struct gw_err *err)
{
    static const struct {
        const char *name;
        enum kern_type type;
    } types[] = {{"F32", KERN_TYPE_F32}, {"F16", KERN_TYPE_F16}, {"BF16", KERN_TYPE_BF16}};
    struct lora_tensor out = {.data = t->data};
    uint64_t layer = 0;
    unsigned target = 0;
    bool is_b = false, known = false;

    if (!parse_name(t->name, &layer, &target, &is_b))
        return gw_fail(
            err, GW_EUNSUPPORTED,
            "tensor %.*s: only the matrices of attention and of dense feed-forward layers "
            "can be changed",
            (int)(t->name.len < 100 ? t->name.len : 100), t->name.ptr);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (gw_span_is(t->dtype, types[i].name)) {
            out.type = types[i].type;
            known = true;
        }
    }
    if (!known || t->n_dims != 2)
        return gw_fail(err, GW_EUNSUPPORTED, "tensor %.*s is no matrix of F32, F16 or BF16",
                       (int)(t->name.len < 100 ? t->name.len : 100), t->name.ptr);
    out.rows = t->dims[0];
    out.cols = t->dims[1];
    if ((is_b ? out.cols : out.rows) != rank)
        return gw_fail(err, GW_EPARSE, "tensor %.*s has not the rank %u of adapter_config.json",
                       (int)(t->name.len < 100 ? t->name.len : 100), t->name.ptr, rank);
    return lora_file_add(f, layer, target, is_b, &out, err);
}

enum gw_status lora_read_peft(struct lora_file *f, const char *path, struct gw_err *err)
{
    char file[FOLDER_PATH_BYTES];
    unsigned rank = 0;
    struct gw_err local;

    GW_TRY(hf_json_read(path, "adapter_config.json", &f->config, err != NULL ? err : &local));
    GW_TRY(read_config(f, &rank, err));
    GW_TRY(folder_path(path, "adapter_model.safetensors", file, err));
    GW_TRY(safetensors_open(file, &f->s, err));
    f->file_bytes = safetensors_file_bytes(f->s);
    f->halves = true;
    for (size_t i = 0; i < safetensors_n_tensors(f->s); i++)
        GW_TRY(read_tensor(f, safetensors_tensor_at(f->s, i), rank, err));
    return GW_OK;
}
