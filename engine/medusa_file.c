/* engine/medusa_file.c - the tensors of Medusa heads by their names. See medusa_private.h. */
#include <math.h>
#include <string.h>

#include "engine/folder.h"
#include "engine/medusa_private.h"

#define LARGEST 65504.0f /* of binary16, in which blocks keep their scales */

/* What a tensor's name says. */
struct name {
    unsigned head, block;
    enum { BLOCK_WEIGHT, BLOCK_BIAS, OUTPUT } part;
};

/* Takes "12." off. False: there is no such number below max. */
static bool take_number(struct gw_span *name, unsigned max, unsigned *out)
{
    unsigned v = 0;
    size_t i = 0;

    for (; i < name->len && name->ptr[i] >= '0' && name->ptr[i] <= '9' && v < max; i++)
        v = 10 * v + (unsigned)(name->ptr[i] - '0');
    if (i == 0 || i >= name->len || name->ptr[i] != '.' || v >= max)
        return false;
    *out = v;
    *name = gw_span_from(*name, i + 1);
    return true;
}

/* "0.0.linear.weight", where the whole model is one file with "medusa_head." before it. */
static bool parse_name(struct gw_span name, struct name *out)
{
    static const char *const before[] = {"medusa_head.", "medusa_heads."};
    static const char *const ends[] = {"linear.weight", "linear.bias", "weight"};

    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        if (gw_span_starts(name, gw_span_str(before[i])))
            name = gw_span_from(name, strlen(before[i]));
    if (!take_number(&name, MEDUSA_MAX_HEADS, &out->head) ||
        !take_number(&name, MEDUSA_MAX_BLOCKS + 1, &out->block))
        return false;
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (gw_span_is(name, ends[i])) {
            out->part = i;
            return i == OUTPUT || out->block < MEDUSA_MAX_BLOCKS;
        }
    }
    return false;
}

static bool is_float(const struct safetensors_tensor *t)
{
    return gw_span_is(t->dtype, "F32") || gw_span_is(t->dtype, "F16") ||
           gw_span_is(t->dtype, "BF16");
}

static enum gw_status add_tensor(struct medusa_file *f, const struct safetensors_tensor *t,
                                 struct gw_err *err)
{
    const int len = (int)(t->name.len < 100 ? t->name.len : 100);
    const struct safetensors_tensor **place;
    struct medusa_parts *h;
    struct name n = {.part = OUTPUT};

    if (!parse_name(t->name, &n))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "tensor %.*s is no part of at most %d Medusa heads of at most %d blocks",
                       len, t->name.ptr, MEDUSA_MAX_HEADS, MEDUSA_MAX_BLOCKS);
    if (!is_float(t))
        return gw_fail(err, GW_EUNSUPPORTED, "tensor %.*s is not F32, F16 or BF16", len,
                       t->name.ptr);
    h = &f->heads[n.head];
    place = n.part == OUTPUT         ? &h->output
            : n.part == BLOCK_WEIGHT ? &h->weight[n.block]
                                     : &h->bias[n.block];
    if (*place != NULL)
        return gw_fail(err, GW_EPARSE, "head %u has the same tensor twice", n.head);
    *place = t;
    if (n.part == OUTPUT)
        h->output_at = n.block;
    return GW_OK;
}

/* Blocks of a head, from the first on without a gap. */
static unsigned count_blocks(const struct medusa_parts *h)
{
    unsigned n = 0;

    while (n < MEDUSA_MAX_BLOCKS && h->weight[n] != NULL)
        n++;
    return n;
}

static enum gw_status check_head(const struct medusa_file *f, unsigned head, struct gw_err *err)
{
    const struct medusa_parts *h = &f->heads[head];

    if (count_blocks(h) != f->n_blocks)
        return gw_fail(err, GW_EPARSE, "head %u has %u whole blocks, not %u", head, count_blocks(h),
                       f->n_blocks);
    for (unsigned i = f->n_blocks; i < MEDUSA_MAX_BLOCKS; i++)
        if (h->weight[i] != NULL || h->bias[i] != NULL)
            return gw_fail(err, GW_EPARSE, "head %u has parts of a block behind the last one",
                           head);
    if (h->output != NULL && h->output_at != f->n_blocks)
        return gw_fail(err, GW_EPARSE, "head %u has its output matrix behind %u blocks of %u", head,
                       h->output_at, f->n_blocks);
    return GW_OK;
}

/* The numbers of heads and blocks: as the configuration says, else as there are. */
static enum gw_status count(struct medusa_file *f, struct gw_err *err)
{
    const struct gw_json_node *heads = gw_json_get(f->config.root, "medusa_num_heads"),
                              *blocks = gw_json_get(f->config.root, "medusa_num_layers");
    unsigned n = 0;
    uint64_t said;

    f->n_blocks = count_blocks(&f->heads[0]);
    while (n < MEDUSA_MAX_HEADS && f->heads[n].weight[0] != NULL)
        n++;
    if (n == 0)
        return gw_fail(err, GW_EPARSE, "there is no tensor 0.0.linear.weight in it");
    said = heads == NULL ? n : gw_json_uint(heads, 0);
    if (said == 0 || said > n)
        return gw_fail(err, GW_EPARSE,
                       "config.json: medusa_num_heads is not a number from 1 to %u, the heads that "
                       "are there",
                       n);
    if (blocks != NULL && gw_json_uint(blocks, 0) != f->n_blocks)
        return gw_fail(err, GW_EPARSE,
                       "config.json: medusa_num_layers is not %u, the blocks that a head has",
                       f->n_blocks);
    f->n_heads = (unsigned)said;
    for (unsigned i = 0; i < f->n_heads; i++)
        GW_TRY(check_head(f, i, err));
    return GW_OK;
}

enum gw_status medusa_file_open(struct medusa_file *f, const char *path, struct gw_err *err)
{
    char inside[FOLDER_PATH_BYTES];
    struct gw_err local = {GW_OK, ""};
    enum gw_status st;

    *f = (struct medusa_file){.s = NULL};
    st = hf_json_read(path, "config.json", &f->config, &local);
    if (st != GW_OK && st != GW_ENOENT)
        return gw_fail(err, st, "%s", local.text);
    GW_TRY(folder_path(path, MEDUSA_FILE, inside, err));
    GW_TRY(safetensors_open(inside, &f->s, err));
    for (size_t i = 0; i < safetensors_n_tensors(f->s); i++)
        GW_TRY(add_tensor(f, safetensors_tensor_at(f->s, i), err));
    return count(f, err);
}

void medusa_file_fini(struct medusa_file *f)
{
    safetensors_close(f->s);
    hf_json_fini(&f->config);
    *f = (struct medusa_file){.s = NULL};
}

bool medusa_floats(const struct safetensors_tensor *t, uint64_t from, size_t n, float *out)
{
    const bool is_f32 = gw_span_is(t->dtype, "F32"), is_f16 = gw_span_is(t->dtype, "F16");
    bool good = true;

    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        if (is_f32) {
            memcpy(&out[i], t->data + (from + i) * sizeof(float), sizeof(float));
        } else {
            memcpy(&h, t->data + (from + i) * sizeof(h), sizeof(h));
            out[i] = is_f16 ? kern_f16_f32(h) : kern_bf16_f32(h);
        }
        good = good && fabsf(out[i]) <= LARGEST;
    }
    return good;
}
