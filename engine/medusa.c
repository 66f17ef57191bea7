/* engine/medusa.c - Medusa heads checked against their model, moved into memory of ours, and computed. See medusa.h.
 *
 * Matrices get the blocks of the model's output matrix, or Q8_0 where that is not quantized: they are read with it. */
#include "engine/medusa.h"

#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"
#include "engine/medusa_private.h"
#include "kernels/encode.h"

enum {
    PIECES_PER_THREAD = 6,
    ENCODE_ROWS = 16,
    /* Where the model's output matrix is used, so many of its first rows are, or the first third: a vocabulary that was merged
     * together begins with what is frequent, and most of the time of a guess is reading them (docs/engine.md). */
    MIN_IDS = 16384,
};

struct head {
    struct kern_matrix blocks[MEDUSA_MAX_BLOCKS]; /* [n_embd][n_embd] */
    float *biases[MEDUSA_MAX_BLOCKS];             /* [n_embd], or NULL */
    struct kern_matrix output;                    /* [n_vocab][n_embd] */
};

struct medusa {
    const struct model *m;
    struct pool *p;
    struct head heads[MEDUSA_MAX_USED];
    unsigned n_heads, n_blocks;
    unsigned n_ids; /* that are guessed */
    bool shared;    /* all heads use the model's output matrix: it is read once */

    float *x, *y, *ones;                         /* [head][n_embd]; ones: [n_embd] */
    float *logits;                               /* [head][n_vocab] */
    struct kern_acts acts[MEDUSA_MAX_USED];      /* over the rows of x */
    struct kern_acts all;                        /* over all of them */
    atomic_uint counters[MEDUSA_MAX_BLOCKS + 2]; /* of blocks, the output, the choice */

    void *mem; /* all of the numbers lie in here */
    size_t mem_bytes;

    /* the guess that is made */
    int32_t *out;
    unsigned k;
};

/* ---- loading -------------------------------------------------------------------------------- */

struct binder {
    struct medusa *md;
    const struct medusa_file *f;
    char *mem; /* NULL: the walk that counts */
    size_t at;
    struct gw_err *err;
};

/* Rows of a tensor on their way to blocks. */
struct encoding {
    const struct safetensors_tensor *t;
    size_t rows, cols, row_bytes;
    enum kern_type type;
    char *blocks;
    float *floats; /* [thread][cols] */
    atomic_uint next, bad;
};

/* Takes n * size bytes. out: a pointer to any type, which becomes NULL while counting. */
static enum gw_status take(struct binder *w, size_t n, size_t size, void *out)
{
    char *at = NULL;
    size_t bytes, end;

    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(w->at, bytes, &end) ||
        end > SIZE_MAX - KERN_ALIGN)
        return gw_fail(w->err, GW_ELIMIT, "the heads do not fit into the address space");
    if (w->mem != NULL)
        at = w->mem + w->at;
    memcpy(out, &at, sizeof(at));
    w->at = (end + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return GW_OK;
}

static void encode_rows(void *ctx, unsigned thread)
{
    struct encoding *e = ctx;
    float *row = e->floats + thread * e->cols;
    size_t from;

    while ((from = (size_t)pool_take(&e->next) * ENCODE_ROWS) < e->rows)
        for (size_t i = from; i < e->rows && i < from + ENCODE_ROWS; i++) {
            if (!medusa_floats(e->t, i * e->cols, e->cols, row))
                atomic_store(&e->bad, 1);
            kern_encode_row(e->type, row, e->cols, e->blocks + i * e->row_bytes);
        }
}

static enum gw_status not_finite(struct binder *w, const struct safetensors_tensor *t)
{
    return gw_fail(w->err, GW_ECORRUPT,
                   "tensor %.*s holds a number that is not finite, or above 65504",
                   (int)(t->name.len < 100 ? t->name.len : 100), t->name.ptr);
}

/* The rows of e->t as blocks, in the file's layout. */
static enum gw_status encode(struct binder *w, struct encoding *e)
{
    struct pool *p = w->md->p;

    e->floats = calloc((size_t)pool_n_threads(p) * e->cols, sizeof(*e->floats));
    if (e->floats == NULL)
        return gw_fail(w->err, GW_ENOMEM, "out of memory for the heads");
    pool_run(p, encode_rows, e);
    free(e->floats);
    return atomic_load(&e->bad) != 0 ? not_finite(w, e->t) : GW_OK;
}

static bool has_shape(const struct safetensors_tensor *t, unsigned n_dims, uint64_t rows,
                      uint64_t cols)
{
    return t->n_dims == n_dims && t->dims[0] == rows && (n_dims == 1 || t->dims[1] == cols);
}

static enum gw_status other_model(struct binder *w, const struct safetensors_tensor *t)
{
    return gw_fail(w->err, GW_EINVAL,
                   "tensor %.*s has not the shape for a model of width %u with %u tokens: the "
                   "heads are of another model",
                   (int)(t->name.len < 100 ? t->name.len : 100), t->name.ptr, w->md->m->n_embd,
                   w->md->m->n_vocab);
}

/* The blocks that a head's matrices are kept in. */
static enum kern_type choose_type(const struct model *m)
{
    const enum kern_type type = m->output.type;
    const struct kern_type_info *info = kern_type_info(type);
    const bool same =
        info->quantized && kern_can_encode(type) && m->n_embd % info->block_elems == 0;

    if (same)
        return type;
    return m->n_embd % kern_type_info(KERN_TYPE_Q8_0)->block_elems == 0 ? KERN_TYPE_Q8_0
                                                                        : KERN_TYPE_F32;
}

static enum gw_status bind_matrix(struct binder *w, const struct safetensors_tensor *t, size_t rows,
                                  struct kern_matrix *out)
{
    const struct model *m = w->md->m;
    struct encoding e = {.t = t, .rows = rows, .cols = m->n_embd, .type = choose_type(m)};
    size_t packed = 0;
    char *at = NULL;
    enum gw_status st;

    if (!has_shape(t, 2, rows, e.cols))
        return other_model(w, t);
    (void)kern_row_bytes(e.type, e.cols, &e.row_bytes);
    GW_TRY(kern_matrix_packed_bytes(m->ops, e.type, rows, e.cols, &packed, w->err));
    GW_TRY(packed != 0 ? take(w, 1, packed, &at) : take(w, rows, e.row_bytes, &at));
    if (at == NULL)
        return GW_OK;
    if (packed == 0) { /* this table reads the file's layout */
        e.blocks = at;
        GW_TRY(encode(w, &e));
        return kern_matrix_init(m->ops, e.type, rows, e.cols, at, NULL, out, w->err);
    }
    e.blocks = calloc(rows, e.row_bytes);
    if (e.blocks == NULL)
        return gw_fail(w->err, GW_ENOMEM, "out of memory for the heads");
    st = encode(w, &e);
    if (st == GW_OK)
        st = kern_matrix_pack(m->ops, e.type, rows, e.cols, e.blocks, at, out, w->err);
    free(e.blocks);
    return st;
}

static enum gw_status bind_bias(struct binder *w, const struct safetensors_tensor *t, float **out)
{
    const size_t d = w->md->m->n_embd;

    if (t == NULL)
        return GW_OK;
    if (!has_shape(t, 1, d, 0))
        return other_model(w, t);
    GW_TRY(take(w, d, sizeof(float), out));
    return *out == NULL || medusa_floats(t, 0, d, *out) ? GW_OK : not_finite(w, t);
}

static enum gw_status bind_head(struct binder *w, unsigned i)
{
    const struct medusa_parts *from = &w->f->heads[i];
    const struct model *m = w->md->m;
    struct head *h = &w->md->heads[i];

    for (unsigned b = 0; b < w->f->n_blocks; b++) {
        GW_TRY(bind_matrix(w, from->weight[b], m->n_embd, &h->blocks[b]));
        GW_TRY(bind_bias(w, from->bias[b], &h->biases[b]));
    }
    if (from->output != NULL)
        return bind_matrix(w, from->output, m->n_vocab, &h->output);
    h->output = m->output;
    return GW_OK;
}

/* Memory of a guess. */
static enum gw_status take_scratch(struct binder *w)
{
    struct medusa *md = w->md;
    const size_t d = md->m->n_embd, n = md->n_heads;
    char *at = NULL;

    GW_TRY(take(w, n * d, sizeof(float), &md->x));
    GW_TRY(take(w, n * d, sizeof(float), &md->y));
    GW_TRY(take(w, d, sizeof(float), &md->ones));
    GW_TRY(take(w, n * md->m->n_vocab, sizeof(float), &md->logits));
    GW_TRY(take(w, 1, kern_acts_bytes((unsigned)n, d, KERN_ACTS_COARSE), &at));
    if (at != NULL)
        kern_acts_init(&md->all, at, (unsigned)n, d, KERN_ACTS_COARSE, md->x, d);
    for (unsigned i = 0; i < n; i++) {
        GW_TRY(take(w, 1, kern_acts_bytes(1, d, KERN_ACTS_COARSE), &at));
        if (at != NULL)
            kern_acts_init(&md->acts[i], at, 1, d, KERN_ACTS_COARSE, md->x + i * d, d);
    }
    return GW_OK;
}

static enum gw_status bind_all(struct binder *w)
{
    w->at = 0;
    for (unsigned i = 0; i < w->md->n_heads; i++)
        GW_TRY(bind_head(w, i));
    return take_scratch(w);
}

static unsigned frequent(const struct medusa *md)
{
    const unsigned third = md->m->n_vocab / 3, n = third > MIN_IDS ? third : MIN_IDS;

    return n < md->n_ids ? n : md->n_ids;
}

static enum gw_status bind(struct medusa *md, const struct medusa_file *f, struct gw_err *err)
{
    struct binder w = {.md = md, .f = f, .err = err};

    md->n_heads = f->n_heads < MEDUSA_MAX_USED ? f->n_heads : MEDUSA_MAX_USED;
    md->n_blocks = f->n_blocks;
    md->shared = true;
    for (unsigned i = 0; i < md->n_heads; i++)
        md->shared = md->shared && f->heads[i].output == NULL;
    if (md->shared)
        md->n_ids = frequent(md);
    GW_TRY(bind_all(&w)); /* shapes are those of the model from here on */
    md->mem_bytes = w.at;
    md->mem = w.mem = hugemem_new(w.at);
    if (md->mem == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %zu MB of heads", w.at >> 20);
    GW_TRY(bind_all(&w));
    for (size_t i = 0; i < md->m->n_embd; i++)
        md->ones[i] = 1;
    return GW_OK;
}

enum gw_status medusa_open(const struct medusa_config *cfg, struct medusa **out, struct gw_err *err)
{
    struct medusa *md = calloc(1, sizeof(*md));
    struct medusa_file f = {.s = NULL};
    enum gw_status st;

    if (md == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the Medusa heads");
    md->m = cfg->m;
    md->p = cfg->p;
    md->n_ids = cfg->n_ids < cfg->m->n_vocab ? cfg->n_ids : cfg->m->n_vocab;
    st = medusa_file_open(&f, cfg->path, err);
    if (st == GW_OK)
        st = bind(md, &f, err);
    medusa_file_fini(&f);
    if (st != GW_OK) {
        if (err != NULL)
            (void)gw_fail_prefix(err, "Medusa heads %s", cfg->path);
        medusa_close(md);
        return st;
    }
    *out = md;
    return GW_OK;
}

void medusa_close(struct medusa *md)
{
    if (md == NULL)
        return;
    hugemem_free(md->mem, md->mem_bytes);
    free(md);
}

unsigned medusa_n_heads(const struct medusa *md)
{
    return md->n_heads;
}

enum gw_status engine_medusa_inspect(const char *path, struct engine_medusa_info *out,
                                     struct gw_err *err)
{
    struct medusa_file f = {.s = NULL};
    enum gw_status st = medusa_file_open(&f, path, err);

    if (st == GW_OK) {
        *out = (struct engine_medusa_info){.file_bytes = safetensors_file_bytes(f.s),
                                           .n_heads = f.n_heads,
                                           .n_blocks = f.n_blocks,
                                           .n_outputs = 0};
        for (unsigned i = 0; i < f.n_heads; i++)
            out->n_outputs += f.heads[i].output != NULL;
        if (f.heads[0].weight[0]->n_dims == 2)
            out->n_embd = f.heads[0].weight[0]->dims[0];
    }
    medusa_file_fini(&f);
    if (st != GW_OK && err != NULL)
        (void)gw_fail_prefix(err, "%s", path);
    return st;
}

/* ---- a guess --------------------------------------------------------------------------------- */

/* Panels of n matrices over their own rows of x, one behind the other, until none is left. */
static void multiply(const struct medusa *md, const struct kern_matrix *const *w, unsigned n,
                     float *out, size_t stride, atomic_uint *counter)
{
    const size_t panels = (w[0]->rows + KERN_ROW_STEP - 1) / KERN_ROW_STEP;
    size_t piece = panels * n / ((size_t)pool_n_threads(md->p) * PIECES_PER_THREAD) + 1, pieces, i;

    piece = piece < panels ? piece : panels;
    pieces = (panels + piece - 1) / piece;
    while ((i = pool_take(counter)) < pieces * n) {
        const size_t h = i / pieces, from = i % pieces * piece * KERN_ROW_STEP;
        const size_t to = from + piece * KERN_ROW_STEP;

        md->m->ops->matmul(w[h], &md->acts[h], 1, out + h * stride, stride, from,
                           to < w[h]->rows ? to : w[h]->rows);
    }
}

/* The same for one matrix over the first k rows. */
static void multiply_shared(struct medusa *md, atomic_uint *counter)
{
    const struct kern_matrix *w = &md->m->output;
    const size_t panels = (md->n_ids + KERN_ROW_STEP - 1) / KERN_ROW_STEP;
    const size_t piece = panels / ((size_t)pool_n_threads(md->p) * PIECES_PER_THREAD) + 1;
    size_t from;

    while ((from = pool_take(counter) * piece) < panels) {
        const size_t to = (from + piece) * KERN_ROW_STEP;

        md->m->ops->matmul(w, &md->all, md->k, md->logits, md->m->n_vocab, from * KERN_ROW_STEP,
                           to < w->rows ? to : w->rows);
    }
}

/* The integers of the inputs of w, one matrix a head. */
static void prepare(struct medusa *md, const struct kern_matrix *const *w)
{
    for (unsigned h = 0; h < md->k; h++)
        if (kern_type_info(w[h]->type)->quantized)
            md->m->ops->quantize(&md->acts[h], 0, 1);
}

/* x += SiLU(y + bias) */
static void add_block(struct medusa *md, unsigned block)
{
    const struct kern_ops *ops = md->m->ops;
    const size_t d = md->m->n_embd;

    for (unsigned h = 0; h < md->k; h++) {
        float *y = md->y + h * d;

        if (md->heads[h].biases[block] != NULL)
            ops->add(y, md->heads[h].biases[block], d);
        ops->silu_mul(y, y, md->ones, d);
        ops->add(md->x + h * d, y, d);
    }
}

/* What every thread of the pool runs; the first one does what is small. */
static void guess(void *ctx, unsigned thread)
{
    struct medusa *md = ctx;
    const struct kern_matrix *w[MEDUSA_MAX_USED];
    unsigned i;

    for (unsigned b = 0; b < md->n_blocks; b++) {
        for (unsigned h = 0; h < MEDUSA_MAX_USED; h++)
            w[h] = &md->heads[h].blocks[b];
        if (thread == 0)
            prepare(md, w);
        pool_barrier(md->p);
        multiply(md, w, md->k, md->y, md->m->n_embd, &md->counters[b]);
        pool_barrier(md->p);
        if (thread == 0)
            add_block(md, b);
    }
    for (unsigned h = 0; h < MEDUSA_MAX_USED; h++)
        w[h] = &md->heads[h].output;
    if (thread == 0 && !md->shared)
        prepare(md, w);
    else if (thread == 0 && kern_type_info(md->m->output.type)->quantized)
        md->m->ops->quantize(&md->all, 0, md->k);
    pool_barrier(md->p);
    if (md->shared)
        multiply_shared(md, &md->counters[md->n_blocks]);
    else
        multiply(md, w, md->k, md->logits, md->m->n_vocab, &md->counters[md->n_blocks]);
    pool_barrier(md->p);
    while ((i = pool_take(&md->counters[md->n_blocks + 1])) < md->k)
        md->out[i] =
            (int32_t)md->m->ops->argmax(md->logits + (size_t)i * md->m->n_vocab, md->n_ids);
}

void medusa_guess(struct medusa *md, const float *hidden, unsigned k, int32_t *out)
{
    const size_t d = md->m->n_embd;

    for (unsigned h = 0; h < k; h++)
        memcpy(md->x + h * d, hidden, d * sizeof(*hidden));
    for (unsigned i = 0; i < md->n_blocks + 2; i++)
        atomic_store_explicit(&md->counters[i], 0, memory_order_relaxed);
    md->out = out;
    md->k = k;
    pool_run(md->p, guess, md);
}
