/* engine/model_repack.c - a model that was loaded in the file's layout, because a device wanted it so, made ready for the CPU where layers
 * stayed there; what nobody reads any more is given back. Thread: the one that opens the engine. */
#include "engine/model_repack.h"

#include <sys/mman.h>

#include <stdio.h>
#include <unistd.h>

#include "engine/hugemem.h"
#include "engine/pool.h"

enum { REPACK_ROWS = 16 * KERN_ROW_STEP };

/* What is done with every matrix that is asked for. */
struct visit {
    struct model *m;
    const struct kern_ops *ops;
    struct pool *p;
    size_t at; /* in m->repacked */
    struct gw_err *err;
};

struct packing {
    const struct kern_matrix *to;
    const void *from;
    void *dst;
    atomic_uint next;
};

static size_t aligned(size_t n)
{
    return (n + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

static enum gw_status count(struct visit *v, struct kern_matrix *w)
{
    size_t bytes = 0;

    GW_TRY(kern_matrix_packed_bytes(v->ops, w->type, w->rows, w->cols, &bytes, v->err));
    v->at += aligned(bytes);
    return GW_OK;
}

static void pack_some(void *ctx, unsigned thread)
{
    struct packing *pk = ctx;
    size_t from;

    (void)thread;
    while ((from = (size_t)pool_take(&pk->next) * REPACK_ROWS) < pk->to->rows)
        kern_matrix_pack_rows(pk->to, pk->from, pk->dst, from,
                              pk->to->rows - from < REPACK_ROWS ? pk->to->rows
                                                                : from + REPACK_ROWS);
}

/* The system may have the whole pages of what lies at w. */
static enum gw_status drop(struct visit *v, struct kern_matrix *w)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = 0;
    char *base = v->m->weights;
    const size_t at = (size_t)((const char *)w->data - base);
    size_t from, to;

    if (!kern_row_bytes(w->type, w->rows * w->cols, &bytes))
        return GW_OK;
    from = (at + page - 1) / page * page;
    to = (at + bytes) / page * page;
    if (w->data != v->m->embedding.data && from < to)
        (void)madvise(base + from, to - from, MADV_DONTNEED);
    return GW_OK;
}

static enum gw_status repack(struct visit *v, struct kern_matrix *w)
{
    void *dst = (char *)v->m->repacked + v->at;
    struct packing pk = {.from = w->data, .dst = dst};
    struct kern_matrix old = *w, packed = {0};
    size_t bytes = 0;

    GW_TRY(kern_matrix_packed_bytes(v->ops, w->type, w->rows, w->cols, &bytes, v->err));
    if (bytes == 0) /* this table reads the file's layout */
        return GW_OK;
    GW_TRY(kern_matrix_init(v->ops, w->type, w->rows, w->cols, w->data, dst, &packed, v->err));
    pk.to = &packed;
    pool_run(v->p, pack_some, &pk);
    v->at += aligned(bytes);
    *w = packed;
    return drop(v, &old);
}

static enum gw_status each_expert(struct visit *v, struct model_expert *x,
                                  enum gw_status (*f)(struct visit *v, struct kern_matrix *w))
{
    GW_TRY(f(v, &x->gate));
    GW_TRY(f(v, &x->up));
    return f(v, &x->down);
}

static enum gw_status each_of(struct visit *v, struct model_layer *l,
                              enum gw_status (*f)(struct visit *v, struct kern_matrix *w))
{
    struct kern_matrix *all[] = {&l->q,    &l->k,  &l->v,    &l->o,
                                 &l->gate, &l->up, &l->down, &l->router};

    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
        if (all[k]->data != NULL)
            GW_TRY(f(v, all[k]));
    for (unsigned e = 0; l->experts != NULL && e < v->m->n_experts; e++)
        GW_TRY(each_expert(v, &l->experts[e], f));
    return GW_OK;
}

static enum gw_status each(struct visit *v, unsigned from, unsigned to,
                           enum gw_status (*f)(struct visit *v, struct kern_matrix *w))
{
    for (unsigned i = from; i < to; i++)
        GW_TRY(each_of(v, &v->m->layers[i], f));
    return GW_OK;
}

/* Takes the memory that the packed matrices need. */
static enum gw_status take_memory(struct visit *v, unsigned n_layers, bool output)
{
    struct model *m = v->m;

    GW_TRY(each(v, 0, n_layers, count));
    if (output)
        GW_TRY(count(v, &m->output));
    if (v->at == 0)
        return GW_OK;
    m->repacked = hugemem_new(v->at);
    if (m->repacked == NULL)
        return gw_fail(v->err, GW_ENOMEM, "out of memory for %zu MiB of weights", v->at >> 20);
    m->repacked_bytes = v->at;
    v->at = 0;
    return GW_OK;
}

enum gw_status model_repack(struct model *m, const struct kern_ops *ops, struct pool *p,
                            unsigned n_layers, struct gw_err *err)
{
    struct visit v = {.m = m, .ops = ops, .p = p, .err = err};
    const bool output = n_layers == m->n_layers, tied = m->embedding.data == m->output.data;

    GW_TRY(take_memory(&v, n_layers, output));
    GW_TRY(each(&v, 0, n_layers, repack));
    GW_TRY(output ? repack(&v, &m->output) : drop(&v, &m->output));
    if (output && tied)
        m->embedding = m->output;
    GW_TRY(each(&v, n_layers, m->n_layers, drop));
    m->ops = ops;
    (void)snprintf(m->kernels, sizeof(m->kernels), "%s%s", n_layers == 0 ? "" : "CPU: ",
                   n_layers == 0 ? "GPU" : kern_ops_describe(ops, m->layers[0].q.type));
    return GW_OK;
}
