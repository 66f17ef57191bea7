/* kernels/attn_vec.h - private template: attention with online softmax over blocks of 16 keys, f16, int8
 * or e4m3, on vectors of VF_LANES floats. Pure; any thread.
 *
 * Keys come in spans of KERN_ATTN_SPAN, each with sums of its own, which are joined in order.
 *
 * A row is one query head of one token. Up to MAX_ROWS rows go over the keys together, so that each byte
 * of K and V is read and converted once for all of them. Keys come in tiles of 64, counted from key 0
 * whatever the rows: that and the per-row order of operations make a row's result independent of its
 * neighbours. A key that a row does not see has score -inf, weight 0, and changes nothing; a row that sees
 * nothing yet has max -inf. */
#ifndef KERNELS_ATTN_VEC_H
#define KERNELS_ATTN_VEC_H

#include "kernels/attn_code_vec.h"
#include "kernels/attn_rows.h"
#if VF_DOT
#    include "kernels/attn_i8_vec.h"
#endif
#include "kernels/kv_turn_vec.h"

/* How a type is computed with. */
enum form { FORM_F16, FORM_I8, FORM_FP8, FORM_CODE4, FORM_CODE3, N_FORMS };

/* VF_LANES numbers of a block, at `at` from its K or V; the first n of them, zeroes behind. Times scale_unit(form)
 * they are codes. */
INLINE vf load_kv(enum form form, const void *p, size_t at)
{
    if (form == FORM_FP8)
        return vf_load_e4m3((const uint8_t *)p + at);
    return form == FORM_I8 ? vf_load_i8((const int8_t *)p + at)
                           : vf_load_f16((const uint16_t *)p + at);
}
INLINE vf load_kv_n(enum form form, const void *p, size_t at, size_t n)
{
    if (form == FORM_FP8)
        return vf_load_e4m3_n((const uint8_t *)p + at, n);
    return form == FORM_I8 ? vf_load_i8_n((const int8_t *)p + at, n)
                           : vf_load_f16_n((const uint16_t *)p + at, n);
}
INLINE float scale_unit(enum form form)
{
    return form == FORM_FP8 ? 256.0f : 1.0f;
}
INLINE bool is_byte(enum form form)
{
    return form == FORM_I8 || form == FORM_FP8;
}

/* Scores of n rows against VF_LANES keys, those from key `in` of a block on: column k[i * 16 + in] is
 * dimension i, scales (of bytes) are theirs. The first has number `key`; they go to p[.][at]. */
INLINE void score_keys(unsigned n, enum form form, struct rows *r, const void *k,
                       const float *scales, size_t in, size_t dim, size_t key, float scale,
                       size_t at)
{
    const vf scale_of = is_byte(form)
                            ? vf_mul(vf_load(scales + in), vf_set1(scale * scale_unit(form)))
                            : vf_set1(scale);
    vf even[MAX_ROWS], odd[MAX_ROWS];
    size_t i = 0;

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        even[g] = odd[g] = vf_zero();
    for (; i + 2 <= dim; i += 2) {
        vf k0 = load_kv(form, k, i * KERN_KV_BLOCK + in);
        vf k1 = load_kv(form, k, (i + 1) * KERN_KV_BLOCK + in);

#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++) {
            even[g] = vf_fma(k0, vf_set1(r->q[g][i]), even[g]);
            odd[g] = vf_fma(k1, vf_set1(r->q[g][i + 1]), odd[g]);
        }
    }
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++) {
        if (i < dim)
            even[g] =
                vf_fma(load_kv(form, k, i * KERN_KV_BLOCK + in), vf_set1(r->q[g][i]), even[g]);
        finish_scores(r, g, vf_mul(vf_add(even[g], odd[g]), scale_of), key, at);
    }
}

/* Turns the scores of a row in this tile into weights and updates max, fix and sum. */
INLINE void weigh_row(struct rows *r, unsigned g, size_t n_blocks)
{
    float *p = r->p[g];
    vf top = vf_load(p), all = vf_zero();

    for (size_t i = VF_LANES; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES)
        top = vf_max(top, vf_load(p + i));

    const float tile_max = vf_reduce_max(top);
    const float max = tile_max > r->max[g] ? tile_max : r->max[g];
    const vf vmax = vf_set1(max > -INFINITY ? max : 0);
    const vf fix = max == r->max[g] ? vf_set1(1.0f) : vf_exp(vf_sub(vf_set1(r->max[g]), vmax));

    for (size_t i = 0; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES) {
        vf e = vf_exp(vf_sub(vf_load(p + i), vmax));

        vf_store(p + i, e);
        all = vf_add(all, e);
    }
    r->sum[g] = vf_fma(r->sum[g], fix, all);
    vf_store_n(&r->fix[g], fix, 1);
    r->max[g] = max;
}

/* Where the values of a tile lie, by block. */
struct tile_values {
    const void *v[TILE_BLOCKS];
    const float *scale[TILE_BLOCKS];         /* of bytes */
    const uint16_t *code_scale[TILE_BLOCKS]; /* of codes: [row][16] */
};

/* VF_LANES values of a key from dimension d on, of which `left` exist. */
INLINE vf load_value(enum form form, vtable t, const void *block, size_t key, size_t dim, size_t d,
                     size_t left)
{
    if (form == FORM_CODE4)
        return vtable_pick(t, vcodes_row4((const uint8_t *)block + key * dim / 2, d));
    if (form == FORM_CODE3)
        return vtable_pick(t, vcodes_row3((const uint8_t *)block + key * dim / 8 * 3, d));
    return load_kv_n(form, block, key * dim + d, left);
}

/* out = out * fix + weights * V for n rows, dimensions [at, at + VF_LANES * width) where they exist, and the keys of
 * one tile. A row of values is `dim` long, `kept` of it go to out. p: the weights, for the first and the
 * second KV_CODE_GROUP of these dimensions. */
INLINE void add_values(unsigned n, enum form form, unsigned width, struct rows *r, vtable t,
                       const struct tile_values *values, float (*const p[2])[TILE_KEYS], size_t dim,
                       size_t kept, size_t at, size_t n_keys, bool first)
{
    vf acc[MAX_ROWS][4];
    size_t left[4]; /* dimensions from vector c on */

#pragma GCC unroll 4
    for (unsigned c = 0; c < 4; c++) {
        size_t d = at + (size_t)c * VF_LANES;

        left[c] = kept > d ? kept - d : 0;
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            acc[g][c] = first || c >= width
                            ? vf_zero()
                            : vf_mul(vf_load_n(r->out[g] + d, left[c]), vf_set1(r->fix[g]));
    }
    for (size_t key = 0; key < n_keys; key++) {
        const void *block = values->v[key / KERN_KV_BLOCK];
        vf x[4];

#pragma GCC unroll 4
        for (unsigned c = 0; c < width; c++)
            x[c] = load_value(form, t, block, key % KERN_KV_BLOCK, dim, at + (size_t)c * VF_LANES,
                              left[c]);
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 4
            for (unsigned c = 0; c < width; c++)
                acc[g][c] =
                    vf_fma(vf_set1(p[c * VF_LANES / KV_CODE_GROUP][g][key]), x[c], acc[g][c]);
    }
#pragma GCC unroll 4
    for (unsigned c = 0; c < width; c++)
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            vf_store_n(r->out[g] + at + (size_t)c * VF_LANES, acc[g][c], left[c]);
}

/* Multiplies the weights of a block's keys by the scales of their values (bytes). */
INLINE void scale_weights(unsigned n, struct rows *r, const float *scales, float unit, size_t at)
{
    for (unsigned g = 0; g < n; g++)
        for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
            vf_store(&r->p[g][at + i],
                     vf_mul(vf_load(&r->p[g][at + i]), vf_mul(vf_load(scales + i), vf_set1(unit))));
}

/* scaled[which] = weights times the scales of row `row` of the values' codes. */
INLINE void scale_group(unsigned n, struct rows *r, const struct tile_values *values, size_t row,
                        unsigned which, size_t n_blocks)
{
    for (size_t b = 0; b < n_blocks; b++) {
        const uint16_t *scales = values->code_scale[b] + row * KERN_KV_BLOCK;

        for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES) {
            const vf d = vf_load_f16(scales + i);

            for (unsigned g = 0; g < n; g++)
                vf_store(&r->scaled[which][g][b * KERN_KV_BLOCK + i],
                         vf_mul(vf_load(&r->p[g][b * KERN_KV_BLOCK + i]), d));
        }
    }
}

/* The weighted sums of a tile's values. */
INLINE void add_tile(unsigned n, enum form form, struct rows *r, const struct kern_kv_form *f,
                     const struct tile_values *values, size_t kept, size_t n_keys, bool first)
{
    /* n * width sums, width values and a weight fit into registers */
    const unsigned width = n <= VF_REGS / 8 ? 4 : 2;
    const bool coded = form == FORM_CODE4 || form == FORM_CODE3;
    const size_t dim = coded ? (kept + 15) / 16 * 16 : kept;
    const size_t n_blocks = (n_keys + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
    const vtable t = coded ? vtable_load(f->v_levels) : (vtable){0};
    float(*p[2])[TILE_KEYS] = {r->p, r->p};

#if VF_DOT
    if (form == FORM_I8) {
        add_tile_i8(n, r, values->v, values->scale, kept, n_keys, first);
        return;
    }
#endif
    for (size_t b = 0; is_byte(form) && b < n_blocks; b++)
        scale_weights(n, r, values->scale[b], scale_unit(form), b * KERN_KV_BLOCK);
    if (coded) {
        p[0] = p[1] = r->scaled[0];
        scale_group(n, r, values, 0, 0, n_blocks);
    }
    for (size_t d = 0; d < kept; d += (size_t)width * VF_LANES) {
        const bool grouped = form == FORM_CODE4 && f->v_rows > 1;

        if (grouped) {
            scale_group(n, r, values, d / KV_CODE_GROUP, 0, n_blocks);
            if (width * VF_LANES > KV_CODE_GROUP && d / KV_CODE_GROUP + 1 < f->v_rows) {
                p[1] = r->scaled[1];
                scale_group(n, r, values, d / KV_CODE_GROUP + 1, 1, n_blocks);
            }
        }
        add_values(n, form, width, r, t, values, p, dim, kept, d, n_keys, first);
    }
}

/* Scores of a block's keys, the first of which is `key`, and where its values lie. at: the block's place in the tile. */
INLINE void score_block(unsigned n, enum form form, struct rows *r, const struct kern_kv *kv,
                        const struct kern_kv_form *f, size_t key, float scale, size_t at,
                        struct tile_values *values)
{
    const size_t dim = kv->head_dim, b = at / KERN_KV_BLOCK;

    if (form == FORM_CODE4 || form == FORM_CODE3) {
        const struct kern_kv_coded block = kern_kv_coded(kv, f, key / KERN_KV_BLOCK);

        values->v[b] = block.v;
        values->code_scale[b] = block.v_scale;
        for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
            score_codes(n, form == FORM_CODE3 ? 3 : 4, r, f, &block, i,
                        kern_kv_padded(kv->head_dim), key + i, scale, at + i);
    } else {
        const uint16_t *k = kern_kv_block(kv, key / KERN_KV_BLOCK);
        const float *k_scale = NULL;

        values->v[b] = k + dim * KERN_KV_BLOCK;
        if (is_byte(form)) {
            const struct kern_kv_byte block = kern_kv_byte_block(kv, key / KERN_KV_BLOCK);

            k_scale = block.k_scale;
            values->v[b] = block.v;
            values->scale[b] = block.v_scale;
#if VF_DOT
            if (form == FORM_I8) {
                for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
                    score_keys_i8(n, r, &block, i, dim, key + i, scale, at + i);
                return;
            }
#endif
        }
        for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
            score_keys(n, form, r, k, k_scale, i, dim, key + i, scale, at + i);
    }
}

/* The keys of [from, to) for n rows; n and form are constants. from is a multiple of TILE_KEYS. */
INLINE void run_rows(unsigned n, enum form form, struct rows *r, const struct kern_kv *kv,
                     float scale, size_t from, size_t to)
{
    struct kern_kv_form f = {0};

    if (form == FORM_CODE4 || form == FORM_CODE3)
        f = kern_kv_form(kv->type, kv->head_dim);
#if VF_DOT
    if (form == FORM_I8)
        prepare_queries(n, r, kv->head_dim);
#endif
    for (unsigned g = 0; g < n; g++) {
        r->max[g] = -INFINITY;
        r->sum[g] = vf_zero();
    }
    for (size_t key = from; key < to; key += TILE_KEYS) {
        size_t n_keys = to - key < TILE_KEYS ? to - key : TILE_KEYS;
        size_t n_blocks = (n_keys + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
        struct tile_values values = {{NULL}, {NULL}, {NULL}};

        for (size_t b = 0; b < n_blocks; b++)
            score_block(n, form, r, kv, &f, key + b * KERN_KV_BLOCK, scale, b * KERN_KV_BLOCK,
                        &values);
        for (unsigned g = 0; g < n; g++)
            weigh_row(r, g, n_blocks);
        add_tile(n, form, r, &f, &values, kv->head_dim, n_keys, key == from);
    }
    for (unsigned g = 0; g < n; g++)
        r->total[g] = vf_reduce_add(r->sum[g]);
}

/* One function a number of rows and a form, so that the compiler sees them as constants. */
#define RUN_FORM(n, name, form)                                                                    \
    static __attribute__((noinline)) void run_rows_##name##_##n(                                   \
        struct rows *r, const struct kern_kv *kv, float scale, size_t from, size_t to)             \
    {                                                                                              \
        run_rows(n, form, r, kv, scale, from, to);                                                 \
    }
#define RUN_ROWS(n)                                                                                \
    RUN_FORM(n, f16, FORM_F16)                                                                     \
    RUN_FORM(n, i8, FORM_I8)                                                                       \
    RUN_FORM(n, fp8, FORM_FP8)                                                                     \
    RUN_FORM(n, code4, FORM_CODE4)                                                                 \
    RUN_FORM(n, code3, FORM_CODE3)
RUN_ROWS(1)
RUN_ROWS(2)
RUN_ROWS(3)
RUN_ROWS(4)
#if VF_REGS >= 32
RUN_ROWS(5)
RUN_ROWS(6)
RUN_ROWS(7)
RUN_ROWS(8)
#    define RUN_TABLE(name)                                                                        \
        {                                                                                          \
            run_rows_##name##_1, run_rows_##name##_2, run_rows_##name##_3, run_rows_##name##_4,    \
                run_rows_##name##_5, run_rows_##name##_6, run_rows_##name##_7, run_rows_##name##_8 \
        }
#else
#    define RUN_TABLE(name)                                                                        \
        {                                                                                          \
            run_rows_##name##_1, run_rows_##name##_2, run_rows_##name##_3, run_rows_##name##_4     \
        }
#endif

static enum form form_of(enum kern_kv_type type)
{
    if (type == KERN_KV_F16)
        return FORM_F16;
    if (type == KERN_KV_I8)
        return FORM_I8;
    if (type == KERN_KV_FP8)
        return FORM_FP8;
    return type == KERN_KV_POLAR3 ? FORM_CODE3 : FORM_CODE4;
}

static void run_form(enum form form, unsigned n, struct rows *r, const struct kern_kv *kv,
                     float scale, size_t from, size_t to)
{
    static void (*const run[N_FORMS][MAX_ROWS])(struct rows *, const struct kern_kv *, float,
                                                size_t, size_t) = {
        RUN_TABLE(f16), RUN_TABLE(i8), RUN_TABLE(fp8), RUN_TABLE(code4), RUN_TABLE(code3)};

    run[form][n - 1](r, kv, scale, from, to);
}

/* Rotated copies of the queries of rows, and of what they are rotated to. */
struct turned {
    float q[MAX_ROWS][KERN_MAX_HEAD_DIM] __attribute__((aligned(64)));
    float again[MAX_ROWS][KERN_MAX_HEAD_DIM] __attribute__((aligned(64)));
};

static void turn_queries(struct rows *r, unsigned n, const struct kern_kv *kv, struct turned *to)
{
    const size_t dim = kv->head_dim, padded = kern_kv_padded(kv->head_dim);

    for (unsigned g = 0; g < n; g++) {
        memcpy(to->q[g], r->q[g], dim * sizeof(float));
        rotate(to->q[g], dim, KERN_KV_TURN, false);
        if (kv->type == KERN_KV_QJL) {
            memcpy(to->again[g], to->q[g], dim * sizeof(float));
            rotate(to->again[g], dim, KERN_KV_TURN_SKETCH, false);
        }
        for (size_t i = dim; i < padded; i++)
            to->q[g][i] = to->again[g][i] = 0;
        r->q[g] = to->q[g];
        r->again[g] = to->again[g];
    }
}

/* out / sum, rotated back. */
static void finish_row(float *out, const struct kern_kv *kv, float sum)
{
    const size_t dim = kv->head_dim;
    const vf total = vf_set1(sum);

    for (size_t d = 0; d < dim; d += VF_LANES)
        vf_store_n(out + d, vf_div(vf_load_n(out + d, dim - d), total), dim - d);
    if (kern_kv_is_coded(kv->type))
        rotate(out, dim, KERN_KV_TURN, true);
}

/* out and *all become what they are with one more span. */
static void join_row(float *out, struct kern_attn_part *all, const float *more,
                     struct kern_attn_part part, size_t dim, bool is_first)
{
    const float max = part.max > all->max ? part.max : all->max;
    vf fix, p;

    if (is_first) {
        memcpy(out, more, dim * sizeof(*out));
        *all = part;
        return;
    }
    fix = vf_exp(vf_set1(all->max - max));
    p = vf_exp(vf_set1(part.max - max));
    for (size_t d = 0; d < dim; d += VF_LANES)
        vf_store_n(
            out + d,
            vf_fma(vf_load_n(more + d, dim - d), p, vf_mul(vf_load_n(out + d, dim - d), fix)),
            dim - d);
    all->max = max;
    vf_store_n(&all->sum, vf_fma(vf_set1(part.sum), p, vf_mul(vf_set1(all->sum), fix)), 1);
}

/* The keys of span `span` for n rows: weighted sums to more[row], relative to what r then holds. */
static void run_span(struct rows *r, unsigned n, const struct kern_kv *kv, float scale, size_t span)
{
    const size_t start = span * KERN_ATTN_SPAN, end = start + KERN_ATTN_SPAN;
    const size_t from = r->from / TILE_KEYS * TILE_KEYS;

    run_form(form_of(kv->type), n, r, kv, scale, from > start ? from : start,
             r->most_keys < end ? r->most_keys : end);
}

/* All keys for n rows. */
static void run_spans(struct rows *r, unsigned n, const struct kern_kv *kv, float scale)
{
    struct kern_attn_part all[MAX_ROWS];
    float more[MAX_ROWS][KERN_MAX_HEAD_DIM] __attribute__((aligned(64)));
    float *out[MAX_ROWS];

    for (unsigned g = 0; g < n; g++) {
        out[g] = r->out[g];
        r->out[g] = more[g];
        all[g] = (struct kern_attn_part){-INFINITY, 0};
    }
    for (size_t span = r->from / KERN_ATTN_SPAN; span * KERN_ATTN_SPAN < r->most_keys; span++) {
        run_span(r, n, kv, scale, span);
        for (unsigned g = 0; g < n; g++)
            if (r->n_keys[g] > span * KERN_ATTN_SPAN && r->first[g] / KERN_ATTN_SPAN <= span)
                join_row(out[g], &all[g], more[g], (struct kern_attn_part){r->max[g], r->total[g]},
                         kv->head_dim, r->first[g] / KERN_ATTN_SPAN == span);
    }
    for (unsigned g = 0; g < n; g++) {
        r->out[g] = out[g];
        r->total[g] = all[g].sum;
    }
}

/* Row n of those in work: head h of token t. */
static void add_row(struct rows *r, unsigned n, const struct kern_kv *kv, const struct kern_attn *a,
                    size_t t, size_t h)
{
    r->q[n] = a->q + t * a->q_stride + h * kv->head_dim;
    r->out[n] = a->out + t * a->out_stride + h * kv->head_dim;
    r->n_keys[n] = a->n_keys + t;
    r->first[n] = kern_attn_first(a, r->n_keys[n]);
    r->from = r->first[n] < r->from ? r->first[n] : r->from;
    r->most_keys = r->n_keys[n] > r->most_keys ? r->n_keys[n] : r->most_keys;
}

static void clear_rows(struct rows *r, const struct kern_attn *a)
{
    r->most_keys = 0;
    r->from = SIZE_MAX;
    r->cap = a->cap;
}

static void attn(const struct kern_kv *kv, const struct kern_attn *a)
{
    const size_t all = (size_t)a->n_tokens * a->n_heads;
    struct turned turned;
    struct rows r;

    for (size_t i = 0; i < all;) {
        unsigned n = 0;

        clear_rows(&r, a);
        for (; n < MAX_ROWS && i < all; n++, i++)
            add_row(&r, n, kv, a, i / a->n_heads, i % a->n_heads);
        if (kern_kv_is_coded(kv->type))
            turn_queries(&r, n, kv, &turned);
        if (r.most_keys <= KERN_ATTN_SPAN)
            run_span(&r, n, kv, a->scale, 0);
        else
            run_spans(&r, n, kv, a->scale);
        for (unsigned g = 0; g < n; g++)
            finish_row(r.out[g], kv, r.total[g]);
    }
}

static void attn_part(const struct kern_kv *kv, const struct kern_attn *a, unsigned span,
                      float *out, struct kern_attn_part *parts)
{
    struct turned turned;
    struct rows r;

    for (size_t h = 0; h < a->n_heads;) {
        const size_t first = h;
        unsigned n = 0;

        clear_rows(&r, a);
        for (; n < MAX_ROWS && h < a->n_heads; n++, h++) {
            add_row(&r, n, kv, a, 0, h);
            r.out[n] = out + h * kv->head_dim;
        }
        if (kern_kv_is_coded(kv->type))
            turn_queries(&r, n, kv, &turned);
        run_span(&r, n, kv, a->scale, span);
        for (unsigned g = 0; g < n; g++)
            parts[first + g] = (struct kern_attn_part){r.max[g], r.total[g]};
    }
}

static void attn_join(const struct kern_kv *kv, const struct kern_attn *a, const float *outs,
                      size_t out_stride, const struct kern_attn_part *parts, size_t part_stride)
{
    const unsigned first = kern_attn_first_span(a), last = kern_attn_last_span(a);

    for (size_t h = 0; h < a->n_heads; h++) {
        float *out = a->out + h * kv->head_dim;
        struct kern_attn_part all = {-INFINITY, 0};

        for (size_t s = first; s <= last; s++)
            join_row(out, &all, outs + s * out_stride + h * kv->head_dim,
                     parts[s * part_stride + h], kv->head_dim, s == first);
        finish_row(out, kv, all.sum);
    }
}

#endif
