/* engine/model_bind.c - finds each tensor, checks its shape, and moves it into memory of ours.
 *
 * Two passes over one table of slots: plan (what goes where, in the order in which a step reads it, so
 * that decoding streams through memory) and fill (all threads pack rows). Owns the table during the
 * call; the region belongs to the model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"
#include "engine/model_private.h"
#include "engine/pool.h"

/* Below this, logits are sensitive to int8 inputs: with 135 M parameters some are off by a third of a
 * standard deviation, enough for a wrong word; and arithmetic is cheap there. */
#define FINE_PARAMS 1000000000ull

/* Work handed to a thread at once while packing. */
enum { PACK_BYTES = 1 << 20 };

/* A tensor, or some rows of one, and its place. Exactly one of matrix, vector and raw is set. */
struct slot {
    const struct gguf_tensor *t;
    const char *data;  /* of the file: the first row */
    size_t file_bytes; /* of these rows */
    struct kern_matrix *matrix;
    const float **vector;
    const void **raw; /* the bytes of the file */
    size_t rows, cols;
    size_t at, bytes; /* in the region */
    bool packed;      /* false: the file's bytes are copied */
    bool expert;      /* one of n_experts, of which a token reads n_used */
};

struct binder {
    struct model *m;
    const struct model_family *family;
    const struct gguf *g;
    struct gw_err *err;
    struct slot *slots;
    bool *used; /* by tensor */
    size_t n_slots, room, region_bytes;
};

/* ---- plan ------------------------------------------------------------------------------- */

static enum gw_status add_slot(struct binder *b, struct slot s)
{
    size_t end;

    if (b->n_slots == b->room) {
        const size_t room = 2 * b->room + 64;
        struct slot *more = reallocarray(b->slots, room, sizeof(*more));

        if (more == NULL)
            return gw_fail(b->err, GW_ENOMEM, "out of memory for the model");
        b->slots = more;
        b->room = room;
    }

    b->used[s.t - gguf_tensor_at(b->g, 0)] = true;
    s.at = b->region_bytes;
    if (__builtin_add_overflow(s.at, s.bytes, &end) || end > SIZE_MAX - KERN_ALIGN)
        return gw_fail(b->err, GW_ELIMIT, "the model does not fit into the address space");
    b->region_bytes = (end + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    b->slots[b->n_slots++] = s;
    return GW_OK;
}

static enum gw_status wrong_shape(struct binder *b, const struct gguf_tensor *t, size_t cols,
                                  size_t rows)
{
    return gw_fail(b->err, GW_EPARSE, "GGUF: tensor %.*s is %llu x %llu, %zu x %zu is needed",
                   (int)t->name.len, t->name.ptr, (unsigned long long)t->dims[0],
                   (unsigned long long)t->dims[1], cols, rows);
}

/* Rows [from, from + rows) of a tensor whose rows all have the right length. */
static enum gw_status bind_rows(struct binder *b, const struct gguf_tensor *t, size_t from,
                                size_t rows, bool expert, struct kern_matrix *out)
{
    const size_t row_bytes = t->bytes / (t->dims[1] * t->dims[2]);
    struct slot s = {.t = t,
                     .data = (const char *)t->data + from * row_bytes,
                     .file_bytes = rows * row_bytes,
                     .matrix = out,
                     .rows = rows,
                     .cols = t->dims[0],
                     .packed = true,
                     .expert = expert};

    if (kern_matrix_packed_bytes(b->m->ops, t->type, rows, t->dims[0], &s.bytes, b->err) != GW_OK)
        return gw_fail_prefix(b->err, "tensor %.*s", (int)t->name.len, t->name.ptr);
    if (s.bytes == 0) {
        s.packed = false;
        s.bytes = s.file_bytes;
    }
    return add_slot(b, s);
}

/* The tensor of that name with cols columns and rows rows, n of them one behind the other; n 0: one, of two
 * dimensions. NULL: malformed, and the error says how. */
static const struct gguf_tensor *find_matrix(struct binder *b, const char *name, size_t cols,
                                             size_t rows, size_t n)
{
    const struct gguf_tensor *t = gguf_tensor(b->g, name);

    if (t == NULL) {
        (void)gw_fail(b->err, GW_EPARSE, "GGUF: tensor %s is missing", name);
        return NULL;
    }
    if (t->n_dims != (n == 0 ? 2 : 3) || t->dims[0] != cols || t->dims[1] != rows ||
        t->dims[2] != (n == 0 ? 1 : n)) {
        (void)wrong_shape(b, t, cols, rows);
        return NULL;
    }
    return t;
}

/* Sets *out to NULL when an optional vector is not there. */
static enum gw_status bind_vector(struct binder *b, const char *name, size_t n, bool optional,
                                  const float **out)
{
    const struct gguf_tensor *t = gguf_tensor(b->g, name);

    *out = NULL;
    if (t == NULL)
        return optional ? GW_OK : gw_fail(b->err, GW_EPARSE, "GGUF: tensor %s is missing", name);
    if (t->n_dims != 1 || t->dims[0] != n)
        return wrong_shape(b, t, n, 1);
    if (kern_type_info(t->type) == NULL)
        return gw_fail(b->err, GW_EUNSUPPORTED, "tensor %s has type %u, which is not built in",
                       name, t->type);
    return add_slot(b, (struct slot){.t = t,
                                     .data = t->data,
                                     .file_bytes = t->bytes,
                                     .vector = out,
                                     .rows = 1,
                                     .cols = n,
                                     .bytes = n * sizeof(float)});
}

/* The file's name of a tensor of layer i. */
static const char *layer_name(char buf[64], unsigned i, const char *suffix)
{
    (void)snprintf(buf, 64, "blk.%u.%s", i, suffix);
    return buf;
}

static enum gw_status bind_vectors(struct binder *b, unsigned i)
{
    const struct model *m = b->m;
    const struct model_family *f = b->family;
    struct model_layer *l = &b->m->layers[i];
    size_t d = m->n_embd, q = (size_t)m->n_heads * m->head_dim,
           kv = (size_t)m->n_kv_heads * m->head_dim;
    const struct {
        const char *name;
        size_t n;
        bool optional;
        const float **out;
    } vectors[] = {{"attn_norm.weight", d, false, &l->attn_norm},
                   {"ffn_norm.weight", d, false, &l->ffn_norm},
                   {"attn_q_norm.weight", m->head_dim, !f->head_norms, &l->q_norm},
                   {"attn_k_norm.weight", m->head_dim, !f->head_norms, &l->k_norm},
                   {"attn_q.bias", q, !f->bias, &l->q_bias},
                   {"attn_k.bias", kv, !f->bias, &l->k_bias},
                   {"attn_v.bias", kv, !f->bias, &l->v_bias},
                   {"post_attention_norm.weight", d, false, &l->attn_post},
                   {"post_ffw_norm.weight", d, false, &l->ffn_post}};
    size_t n = sizeof(vectors) / sizeof(vectors[0]) - (f->post_norms ? 0 : 2);
    char name[64];

    for (size_t k = 0; k < n; k++)
        GW_TRY(bind_vector(b, layer_name(name, i, vectors[k].name), vectors[k].n,
                           vectors[k].optional, vectors[k].out));
    if ((l->q_norm == NULL) != (l->k_norm == NULL))
        return gw_fail(b->err, GW_EPARSE, "GGUF: layer %u has one of q_norm and k_norm", i);
    return GW_OK;
}

/* Rows [from, from + n) of a tensor of a layer with `rows` rows become a matrix. */
struct part {
    const char *suffix;
    size_t cols, rows, from, n;
    struct kern_matrix *out;
};

static enum gw_status bind_parts(struct binder *b, unsigned i, const struct part *parts, size_t n)
{
    const struct gguf_tensor *t;
    char name[64];

    for (size_t k = 0; k < n; k++) {
        const struct part *p = &parts[k];

        t = find_matrix(b, layer_name(name, i, p->suffix), p->cols, p->rows, 0);
        if (t == NULL)
            return GW_EPARSE;
        GW_TRY(bind_rows(b, t, p->from, p->n, false, p->out));
    }
    return GW_OK;
}

/* Queries, keys and values as three matrices, or as one after the other in one. */
static enum gw_status bind_attention(struct binder *b, unsigned i)
{
    const struct model *m = b->m;
    struct model_layer *l = &b->m->layers[i];
    const size_t d = m->n_embd, q = (size_t)m->n_heads * m->head_dim,
                 kv = (size_t)m->n_kv_heads * m->head_dim, all = q + 2 * kv;
    const struct part fused[] = {{"attn_qkv.weight", d, all, 0, q, &l->q},
                                 {"attn_qkv.weight", d, all, q, kv, &l->k},
                                 {"attn_qkv.weight", d, all, q + kv, kv, &l->v},
                                 {"attn_output.weight", q, d, 0, d, &l->o}};
    const struct part single[] = {{"attn_q.weight", d, q, 0, q, &l->q},
                                  {"attn_k.weight", d, kv, 0, kv, &l->k},
                                  {"attn_v.weight", d, kv, 0, kv, &l->v},
                                  {"attn_output.weight", q, d, 0, d, &l->o}};
    char name[64];

    if (gguf_tensor(b->g, layer_name(name, i, "attn_qkv.weight")) != NULL)
        return bind_parts(b, i, fused, 4);
    return bind_parts(b, i, single, 4);
}

/* Gate and up as two matrices, or one after the other in one. */
static enum gw_status bind_ffn(struct binder *b, unsigned i)
{
    const struct model *m = b->m;
    struct model_layer *l = &b->m->layers[i];
    const size_t d = m->n_embd, ff = m->n_ff;
    const struct part fused[] = {{"ffn_up.weight", d, 2 * ff, 0, ff, &l->gate},
                                 {"ffn_up.weight", d, 2 * ff, ff, ff, &l->up},
                                 {"ffn_down.weight", ff, d, 0, d, &l->down}};
    const struct part single[] = {{"ffn_gate.weight", d, ff, 0, ff, &l->gate},
                                  {"ffn_up.weight", d, ff, 0, ff, &l->up},
                                  {"ffn_down.weight", ff, d, 0, d, &l->down}};
    char name[64];
    const struct gguf_tensor *up = gguf_tensor(b->g, layer_name(name, i, "ffn_up.weight"));

    if (gguf_tensor(b->g, layer_name(name, i, "ffn_gate.weight")) == NULL && up != NULL &&
        up->dims[1] == 2 * ff)
        return bind_parts(b, i, fused, 3);
    return bind_parts(b, i, single, 3);
}

/* The experts' matrices of one kind, one behind the other in a tensor; at: offset in model_expert. */
static enum gw_status bind_expert_kind(struct binder *b, unsigned i, const char *suffix,
                                       size_t cols, size_t rows, size_t at)
{
    const struct gguf_tensor *t;
    char name[64];

    t = find_matrix(b, layer_name(name, i, suffix), cols, rows, b->m->n_experts);
    if (t == NULL)
        return GW_EPARSE;
    for (size_t e = 0; e < b->m->n_experts; e++) {
        char *expert = (char *)&b->m->layers[i].experts[e];

        GW_TRY(bind_rows(b, t, e * rows, rows, true, (struct kern_matrix *)(void *)(expert + at)));
    }
    return GW_OK;
}

static enum gw_status bind_experts(struct binder *b, unsigned i)
{
    const struct model *m = b->m;
    struct model_layer *l = &b->m->layers[i];
    const size_t d = m->n_embd, ff = m->n_ff;
    const struct part router = {"ffn_gate_inp.weight", d,         m->n_experts, 0,
                                m->n_experts,          &l->router};
    char name[64];

    l->experts = b->m->experts + (size_t)i * m->n_experts;
    if (gguf_tensor(b->g, layer_name(name, i, "ffn_gate.0.weight")) != NULL)
        return gw_fail(b->err, GW_EUNSUPPORTED,
                       "tensor %s: experts in tensors of their own are an old form of the file, "
                       "which is not built in; convert the model again",
                       name);
    GW_TRY(bind_parts(b, i, &router, 1));
    GW_TRY(
        bind_expert_kind(b, i, "ffn_gate_exps.weight", d, ff, offsetof(struct model_expert, gate)));
    GW_TRY(bind_expert_kind(b, i, "ffn_up_exps.weight", d, ff, offsetof(struct model_expert, up)));
    return bind_expert_kind(b, i, "ffn_down_exps.weight", ff, d,
                            offsetof(struct model_expert, down));
}

static enum gw_status bind_layer(struct binder *b, unsigned i)
{
    GW_TRY(bind_vectors(b, i));
    GW_TRY(bind_attention(b, i));
    return b->m->n_experts != 0 ? bind_experts(b, i) : bind_ffn(b, i);
}

/* Rows that are only looked up stay as they are in the file. */
static enum gw_status bind_embedding(struct binder *b)
{
    struct model *m = b->m;
    const struct gguf_tensor *t = gguf_tensor(b->g, "token_embd.weight");

    if (t->dims[0] != m->n_embd)
        return wrong_shape(b, t, m->n_embd, m->n_vocab);
    if (kern_type_info(t->type) == NULL || m->n_embd % kern_type_info(t->type)->block_elems != 0)
        return gw_fail(b->err, GW_EUNSUPPORTED,
                       "tensor token_embd.weight has type %u, which is not built in", t->type);
    m->embedding = (struct kern_matrix){.type = (enum kern_type)t->type,
                                        .layout = KERN_LAYOUT_GGUF,
                                        .rows = m->n_vocab,
                                        .cols = m->n_embd};
    return add_slot(b, (struct slot){.t = t,
                                     .data = t->data,
                                     .file_bytes = t->bytes,
                                     .raw = &m->embedding.data,
                                     .rows = m->n_vocab,
                                     .cols = m->n_embd,
                                     .bytes = t->bytes});
}

/* A tensor that nobody asked for is a part of the computation that is not built in. */
static enum gw_status check_all_used(const struct binder *b)
{
    for (size_t i = 0; i < gguf_n_tensors(b->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(b->g, i);

        if (!b->used[i] && !gw_span_is(t->name, "rope_freqs.weight") &&
            !gw_span_is(t->name, "rope_factors_long.weight") &&
            !gw_span_is(t->name, "rope_factors_short.weight"))
            return gw_fail(b->err, GW_EUNSUPPORTED,
                           "tensor %.*s is not part of %s as it is built in", (int)t->name.len,
                           t->name.ptr, b->m->arch);
    }
    return GW_OK;
}

static enum gw_status bind_matrix(struct binder *b, const char *name, size_t cols, size_t rows,
                                  struct kern_matrix *out)
{
    const struct gguf_tensor *t;

    t = find_matrix(b, name, cols, rows, 0);
    if (t == NULL)
        return GW_EPARSE;
    return bind_rows(b, t, 0, rows, false, out);
}

static enum gw_status plan(struct binder *b)
{
    struct model *m = b->m;
    bool tied = gguf_tensor(b->g, "output.weight") == NULL;

    for (unsigned i = 0; i < m->n_layers; i++)
        GW_TRY(bind_layer(b, i));
    GW_TRY(bind_vector(b, "output_norm.weight", m->n_embd, false, &m->output_norm));
    GW_TRY(bind_matrix(b, tied ? "token_embd.weight" : "output.weight", m->n_embd, m->n_vocab,
                       &m->output));
    if (!tied)
        GW_TRY(bind_embedding(b));
    return check_all_used(b);
}

/* ---- fill ------------------------------------------------------------------------------- */

struct packing {
    const struct slot *s;
    void *dst;
    size_t step; /* rows handed out at once */
    atomic_uint next;
};

static void pack_some(void *ctx, unsigned thread)
{
    struct packing *pk = ctx;
    const struct slot *s = pk->s;
    size_t from;

    (void)thread;
    while ((from = pool_take(&pk->next) * pk->step) < s->rows) {
        size_t to = s->rows - from < pk->step ? s->rows : from + pk->step;
        size_t row_bytes = s->file_bytes / s->rows;

        if (s->packed)
            kern_matrix_pack_rows(s->matrix, s->data, pk->dst, from, to);
        else
            memcpy((char *)pk->dst + from * row_bytes, s->data + from * row_bytes,
                   (to - from) * row_bytes);
    }
}

static enum gw_status fill_slot(struct binder *b, const struct slot *s, struct pool *p)
{
    void *dst = (char *)b->m->weights + s->at;
    struct packing pk = {.s = s, .dst = dst};

    if (s->vector != NULL) {
        kern_row_f32((enum kern_type)s->t->type, s->t->data, s->cols, dst);
        *s->vector = dst;
        return GW_OK;
    }
    if (s->raw != NULL) {
        memcpy(dst, s->t->data, s->bytes);
        *s->raw = dst;
        return GW_OK;
    }
    GW_TRY(kern_matrix_init(b->m->ops, s->t->type, s->rows, s->cols, dst, s->packed ? dst : NULL,
                            s->matrix, b->err));
    pk.step = (PACK_BYTES / (s->file_bytes / s->rows + 1) / KERN_ROW_STEP + 1) * KERN_ROW_STEP;
    pool_run(p, pack_some, &pk);
    return GW_OK;
}

static enum gw_status fill(struct binder *b, struct pool *p,
                           void (*progress)(void *ctx, uint64_t done, uint64_t total),
                           void *progress_ctx)
{
    struct model *m = b->m;
    uint64_t done = 0, total = 0;

    for (size_t i = 0; i < b->n_slots; i++)
        total += b->slots[i].file_bytes;
    m->weights = hugemem_new(b->region_bytes);
    if (m->weights == NULL)
        return gw_fail(b->err, GW_ENOMEM, "out of memory for %zu MiB of weights",
                       b->region_bytes >> 20);
    m->weights_bytes = b->region_bytes;
    for (size_t i = 0; i < b->n_slots; i++) {
        GW_TRY(fill_slot(b, &b->slots[i], p));
        /* The file's pages are not needed any more: one copy of the weights stays resident. */
        if (i + 1 == b->n_slots || b->slots[i + 1].t != b->slots[i].t)
            gguf_tensor_drop(b->g, b->slots[i].t);
        done += b->slots[i].file_bytes;
        if (progress != NULL)
            progress(progress_ctx, done, total);
    }
    return GW_OK;
}

/* ---- description ------------------------------------------------------------------------ */

/* A small rounding error may send a token to another expert, where it is a large one. */
static enum kern_acts_form choose_form(const struct model *m)
{
    if (m->n_params >= FINE_PARAMS)
        return KERN_ACTS_COARSE;
    return m->n_experts != 0 ? KERN_ACTS_FINE : KERN_ACTS_MIXED;
}

/* Sets what people are told: parameters, bytes a token, the main type, the kernel of each type. */
static void describe(struct binder *b)
{
    struct model *m = b->m;
    uint64_t bytes[64] = {0}, most = 0;
    size_t at = 0;

    for (size_t i = 0; i < b->n_slots; i++) {
        const struct slot *s = &b->slots[i];

        if (s->raw == NULL)
            m->token_bytes += s->expert ? s->bytes / m->n_experts * m->n_used : s->bytes;
        if (s->matrix != NULL && s->t->type < 64)
            bytes[s->t->type] += s->file_bytes;
    }
    for (size_t i = 0; i < gguf_n_tensors(b->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(b->g, i);

        m->n_params += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
    m->acts_form = choose_form(m);
    for (uint32_t type = 0; type < 64; type++) {
        const struct kern_type_info *info = kern_type_info(type);
        int n;

        if (bytes[type] == 0 || info == NULL)
            continue;
        if (bytes[type] > most) {
            most = bytes[type];
            (void)snprintf(m->quant, sizeof(m->quant), "%s", info->name);
        }
        n = snprintf(m->kernels + at, sizeof(m->kernels) - at, "%s%s: %s", at == 0 ? "" : "; ",
                     info->name, kern_ops_describe(m->ops, type));
        at = n > 0 && at + (size_t)n < sizeof(m->kernels) ? at + (size_t)n : sizeof(m->kernels) - 1;
    }
}

enum gw_status model_bind(struct model *m, const struct model_family *family, const struct gguf *g,
                          struct pool *p,
                          void (*progress)(void *ctx, uint64_t done, uint64_t total),
                          void *progress_ctx, struct gw_err *err)
{
    struct binder b = {.m = m, .family = family, .g = g, .err = err};
    enum gw_status st = GW_ENOMEM;

    if ((uint64_t)m->n_layers * m->n_experts > gguf_file_bytes(g))
        return gw_fail(err, GW_EPARSE, "GGUF: %u layers of %u experts do not fit into the file",
                       m->n_layers, m->n_experts);
    m->experts = calloc((size_t)m->n_layers * m->n_experts + 1, sizeof(*m->experts));
    b.used = calloc(gguf_n_tensors(g), sizeof(*b.used));
    if (m->experts == NULL || b.used == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for the model");
        goto out;
    }
    st = plan(&b);
    if (st != GW_OK)
        goto out;
    describe(&b);
    if (p != NULL)
        st = fill(&b, p, progress, progress_ctx);
    if (gguf_tensor(g, "output.weight") == NULL)
        m->embedding = m->output;
out:
    free(b.slots);
    free(b.used);
    return st;
}
