/* engine/lora_file.c - the pairs of tensors of an adapter's file, collected and checked by themselves. See
 * lora_private.h. */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lora_private.h"

#define MAX_ALPHA 1e6

bool lora_take_layer(struct gw_span *name, uint64_t *layer)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < name->len && name->ptr[i] >= '0' && name->ptr[i] <= '9' && v <= LORA_MAX_LAYERS; i++)
        v = v * 10 + (uint64_t)(name->ptr[i] - '0');
    if (i == 0 || i >= name->len || name->ptr[i] != '.' || v >= LORA_MAX_LAYERS)
        return false;
    *layer = v;
    *name = gw_span_from(*name, i + 1);
    return true;
}

/* A new pair behind the others. NULL: out of memory. */
static struct lora_pair *new_pair(struct lora_file *f)
{
    if (f->n_pairs == f->room) {
        const size_t room = 2 * f->room + 64;
        struct lora_pair *more = reallocarray(f->pairs, room, sizeof(*more));

        if (more == NULL)
            return NULL;
        f->pairs = more;
        f->room = room;
    }
    f->pairs[f->n_pairs] = (struct lora_pair){.layer = 0};
    return &f->pairs[f->n_pairs++];
}

/* Files have the two of a pair close together: looking from the end is short. At most LORA_MAX_LAYERS x LORA_TARGETS
 * pairs bound it for those that have not. */
static struct lora_pair *find_pair(const struct lora_file *f, unsigned layer, unsigned target)
{
    for (size_t i = f->n_pairs; i-- > 0;)
        if (f->pairs[i].layer == layer && f->pairs[i].target == target)
            return &f->pairs[i];
    return NULL;
}

enum gw_status lora_file_add(struct lora_file *f, uint64_t layer, unsigned target, bool is_b,
                             const struct lora_tensor *t, struct gw_err *err)
{
    struct lora_pair *p = find_pair(f, (unsigned)layer, target);
    struct lora_tensor *place;

    if (p == NULL) {
        p = new_pair(f);
        if (p == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory for the adapter");
        p->layer = (unsigned)layer;
        p->target = target;
    }
    place = is_b ? &p->b : &p->a;
    if (place->data != NULL)
        return gw_fail(err, GW_EPARSE, "layer %u has the same matrix twice", p->layer);
    *place = *t;
    return GW_OK;
}

static enum gw_status check_pair(const struct lora_pair *p, struct gw_err *err)
{
    if (p->a.data == NULL || p->b.data == NULL)
        return gw_fail(err, GW_EPARSE, "layer %u has one of A and B without the other", p->layer);
    if (p->a.rows == 0 || p->a.rows > LORA_MAX_RANK)
        return gw_fail(err, GW_ELIMIT, "layer %u: a rank of %llu is not from 1 to %d", p->layer,
                       (unsigned long long)p->a.rows, LORA_MAX_RANK);
    if (p->b.cols != p->a.rows)
        return gw_fail(err, GW_EPARSE, "layer %u: A has rank %llu, B %llu", p->layer,
                       (unsigned long long)p->a.rows, (unsigned long long)p->b.cols);
    return GW_OK;
}

enum gw_status lora_file_open(struct lora_file *f, const char *path, struct gw_err *err)
{
    struct stat st;

    *f = (struct lora_file){.g = NULL};
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        GW_TRY(lora_read_peft(f, path, err));
    else
        GW_TRY(lora_read_gguf(f, path, err));
    if (!(f->alpha >= 0 && f->alpha <= MAX_ALPHA))
        return gw_fail(err, GW_EPARSE, "alpha is not from 0 to %g", MAX_ALPHA);
    if (f->n_pairs == 0)
        return gw_fail(err, GW_EPARSE, "there is no tensor of an adapter in it");
    for (size_t i = 0; i < f->n_pairs; i++)
        GW_TRY(check_pair(&f->pairs[i], err));
    return GW_OK;
}

void lora_file_fini(struct lora_file *f)
{
    gguf_close(f->g);
    safetensors_close(f->s);
    hf_json_fini(&f->config);
    free(f->pairs);
    *f = (struct lora_file){.g = NULL};
}
