/* Unit tests of attention and the KV cache: each table against softmax(scale q K^T) V in double, and
 * against itself for other batches and another order of blocks in memory, bit for bit. */
#include "tests/unit/kernels/kv_decode.h"
#include "tests/unit/kernels/util.h"

enum { MAX_KEYS = 1200, MAX_HEADS = 9, MAX_QUERIES = 21 };

/* Of the caches in work. */
static enum kern_kv_type type;
static unsigned n_filled = 208; /* of MAX_KEYS */

struct cache {
    struct kern_kv kv;
    uint32_t table[MAX_KEYS / KERN_KV_BLOCK + 1];
    float *k, *v; /* [MAX_KEYS][head_dim] as given to kv_put */
};

/* What n numbers are with one scale and int8: by its definition, in double. */
static void as_int8(float *x, unsigned n)
{
    float most = 0;

    for (unsigned i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (unsigned i = 0; i < n; i++) {
        float d = most / 127.0f;

        x[i] = most == 0 ? 0 : (float)rint((double)(x[i] * (1.0f / d))) * d;
    }
}

/* The nearest number of e4m3, to even codes: of 3 bits behind the first one, and no finer than 2^-9. */
static float nearest_e4m3(float x)
{
    const double a = fabs((double)x);
    const double step = a < 0.015625 ? 1.0 / 512 : exp2(floor(log2(a)) - 3);
    const double near = rint(a / step) * step;

    return copysignf((float)(near > 448 ? 448 : near), x);
}

/* What n numbers are with one scale and e4m3: by its definition. */
static void as_fp8(float *x, unsigned n)
{
    float most = 0;

    for (unsigned i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (unsigned i = 0; i < n; i++) {
        const float d = most / 448.0f;

        x[i] = most == 0 ? 0 : nearest_e4m3(x[i] * (1.0f / d)) * d;
    }
}

/* Every code is read as its definition says. */
static void test_e4m3(void)
{
    for (unsigned code = 0; code < 256; code++) {
        const unsigned e = code >> 3 & 15, m = code & 7;
        const double v = e == 0 ? m / 512.0 : (1 + m / 8.0) * exp2((double)e - 7);
        const float got = kern_e4m3_f32((uint8_t)code);

        if ((code & 127) == 127)
            CHECK(isnan(got));
        else
            CHECK((double)got == (code & 128 ? -v : v) && (signbit(got) != 0) == (code >= 128));
    }
}

/* One number as the cache holds it. */
static double held(const struct cache *c, float x)
{
    return (double)(c->kv.type != KERN_KV_F16 ? x : kern_f16_f32(kern_f32_f16(x)));
}

static bool is_coded(void)
{
    return type >= KERN_KV_I4;
}

/* Fills n_filled keys. paged: blocks in reverse order, with gaps of NaN bytes between them. Unwritten
 * keys of the last block hold NaN too: nothing may read them into a result. */
static struct cache cache_new(const struct kern_ops *ops, unsigned dim, bool paged, uint64_t seed)
{
    const size_t n_blocks = MAX_KEYS / KERN_KV_BLOCK + 1;
    struct cache c = {.kv = {.head_dim = dim, .type = type}};

    c.kv.block_stride = kern_kv_block_bytes(type, dim) + (paged ? 128 : 0);
    c.kv.base = util_alloc(n_blocks * c.kv.block_stride);
    memset(c.kv.base, 0xff, n_blocks * c.kv.block_stride);
    for (size_t i = 0; i < n_blocks; i++)
        c.table[i] = (uint32_t)(n_blocks - 1 - i);
    c.k = util_alloc(MAX_KEYS * dim * sizeof(float));
    c.v = util_alloc(MAX_KEYS * dim * sizeof(float));
    util_fill(c.k, MAX_KEYS * (size_t)dim, &seed);
    util_fill(c.v, MAX_KEYS * (size_t)dim, &seed);
    c.kv.table = paged ? c.table : NULL;
    for (size_t i = 0; i < n_filled; i++)
        ops->kv_put(&c.kv, i, c.k + i * dim, c.v + i * dim);
    for (size_t i = 0; type == KERN_KV_I8 && i < n_filled; i++) {
        as_int8(c.k + i * dim, dim);
        as_int8(c.v + i * dim, dim);
    }
    for (size_t i = 0; type == KERN_KV_FP8 && i < n_filled; i++) {
        as_fp8(c.k + i * dim, dim);
        as_fp8(c.v + i * dim, dim);
    }
    for (size_t i = 0; is_coded() && !paged && i < n_filled; i++)
        kv_decode(&c.kv, i, c.k + i * dim, c.v + i * dim);
    c.kv.table = NULL; /* the caller points it at its own copy */
    return c;
}

static void cache_free(struct cache *c)
{
    free(c->kv.base);
    free(c->k);
    free(c->v);
}

/* One row of a in double, on the values that the cache holds. Returns the largest |v|. */
static double exact_row(const struct cache *c, const struct kern_attn *a, const float *q,
                        size_t n_keys, double *out)
{
    const size_t dim = c->kv.head_dim;
    const size_t first = a->window != 0 && n_keys > a->window ? n_keys - a->window : 0;
    double s[MAX_KEYS], max = -INFINITY, sum = 0, largest = 0;

    for (size_t i = first; i < n_keys; i++) {
        s[i] = 0;
        for (size_t d = 0; d < dim; d++)
            s[i] += (double)q[d] * held(c, c->k[i * dim + d]);
        s[i] *= (double)a->scale;
        if (a->cap > 0)
            s[i] = (double)a->cap * tanh(s[i] / (double)a->cap);
        max = s[i] > max ? s[i] : max;
    }
    for (size_t i = first; i < n_keys; i++) {
        s[i] = exp(s[i] - max);
        sum += s[i];
    }
    for (size_t d = 0; d < dim; d++) {
        out[d] = 0;
        for (size_t i = first; i < n_keys; i++) {
            double v = held(c, c->v[i * dim + d]);

            out[d] += s[i] / sum * v;
            largest = fabs(v) > largest ? fabs(v) : largest;
        }
    }
    return largest;
}

/* Worst error of all rows, relative to the largest |v|. */
static double worst_error(const struct cache *c, const struct kern_attn *a)
{
    const size_t dim = c->kv.head_dim;
    double worst = 0, want[KERN_MAX_HEAD_DIM];

    for (size_t t = 0; t < a->n_tokens; t++) {
        for (size_t h = 0; h < a->n_heads; h++) {
            const float *out = a->out + t * a->out_stride + h * dim;
            double largest = exact_row(c, a, a->q + t * a->q_stride + h * dim, a->n_keys + t, want);

            for (size_t d = 0; d < dim; d++) {
                double e = fabs((double)out[d] - want[d]) / largest;

                if (!(e <= worst))
                    worst = e;
            }
        }
    }
    return worst;
}

/* window and cap: see kern_attn. */
static void check_seen(const struct kern_ops *ops, unsigned dim, unsigned n_heads,
                       unsigned n_tokens, unsigned n_keys, float scale, unsigned window, float cap)
{
    const size_t stride = (size_t)n_heads * dim + 5;
    uint64_t seed = 1234567 + dim * 31 + n_heads;
    float *q = util_alloc(n_tokens * stride * sizeof(float));
    float *out = util_alloc(n_tokens * stride * sizeof(float));
    float *one = util_alloc(stride * sizeof(float));
    struct cache c = cache_new(ops, dim, false, seed), p = cache_new(ops, dim, true, seed);
    struct kern_attn a = {
        .q = q,
        .out = out,
        .q_stride = stride,
        .out_stride = stride,
        .n_tokens = n_tokens,
        .n_heads = n_heads,
        .n_keys = n_keys,
        .scale = scale,
        .window = window,
        .cap = cap,
    };
    int differ = 0;

    util_fill(q, n_tokens * stride, &seed);
    for (size_t i = 0; i < n_tokens * stride; i++)
        out[i] = 77;
    ops->attn(&c.kv, &a);

    double worst = worst_error(&c, &a);

    if (!CHECK(worst <= (double)KERN_TOL_ATTN))
        fprintf(stderr, "%s dim %u heads %u tokens %u keys %u: error %g\n", ops->name, dim, n_heads,
                n_tokens, n_keys, worst);
    /* Each token alone, on the paged cache. */
    p.kv.table = p.table;
    for (unsigned t = 0; t < n_tokens; t++) {
        struct kern_attn single = a;

        single.q = q + t * stride;
        single.out = one;
        single.n_tokens = 1;
        single.n_keys = n_keys + t;
        memset(one, 0xff, stride * sizeof(float));
        ops->attn(&p.kv, &single);
        differ += memcmp(one, out + t * stride, (size_t)n_heads * dim * sizeof(float)) != 0;
        for (size_t i = (size_t)n_heads * dim; i < stride; i++)
            differ += out[t * stride + i] != 77.0f;
    }
    if (!CHECK(differ == 0))
        fprintf(stderr, "%s dim %u heads %u tokens %u keys %u: %d differ\n", ops->name, dim,
                n_heads, n_tokens, n_keys, differ);
    cache_free(&c);
    cache_free(&p);
    free(q);
    free(out);
    free(one);
}

/* The same by spans, computed in another order, is the same bits as at once. */
static void test_spans(const struct kern_ops *ops)
{
    enum { DIM_SPANS = 80, HEADS = 9, SPANS = 3, STRIDE = HEADS * DIM_SPANS };
    static const unsigned keys[] = {1, 512, 513, 1024, 1100}, windows[] = {0, 70, 600};
    struct cache c = cache_new(ops, DIM_SPANS, true, 3);
    float q[STRIDE], out[STRIDE], joined[STRIDE], outs[SPANS * STRIDE];
    struct kern_attn_part parts[SPANS * HEADS];
    uint64_t seed = 8;

    c.kv.table = c.table;
    util_fill(q, STRIDE, &seed);
    for (unsigned i = 0; i < 15; i++) {
        struct kern_attn a = {.q = q,
                              .out = out,
                              .q_stride = STRIDE,
                              .out_stride = STRIDE,
                              .n_tokens = 1,
                              .n_heads = HEADS,
                              .n_keys = keys[i % 5],
                              .scale = 0.3f,
                              .window = windows[i / 5]};

        ops->attn(&c.kv, &a);
        a.out = joined;
        memset(outs, 0xff, sizeof(outs));
        memset(parts, 0xff, sizeof(parts));
        for (unsigned s = kern_attn_last_span(&a) + 1; s-- > kern_attn_first_span(&a);) {
            for (unsigned h = 0; h < HEADS; h += 3) {
                struct kern_attn some = a;

                some.q = q + (size_t)h * DIM_SPANS;
                some.out = NULL;
                some.n_heads = 3;
                ops->attn_part(&c.kv, &some, s, outs + (size_t)s * STRIDE + (size_t)h * DIM_SPANS,
                               parts + (size_t)s * HEADS + h);
            }
        }
        ops->attn_join(&c.kv, &a, outs, STRIDE, parts, HEADS);
        if (!CHECK(memcmp(out, joined, sizeof(out)) == 0))
            fprintf(stderr, "%s %u keys, window %u\n", ops->name, a.n_keys, a.window);
    }
    cache_free(&c);
}

static void check_attn(const struct kern_ops *ops, unsigned dim, unsigned n_heads,
                       unsigned n_tokens, unsigned n_keys, float scale)
{
    check_seen(ops, dim, n_heads, n_tokens, n_keys, scale, 0, 0);
}

static void test_windows(const struct kern_ops *ops)
{
    static const unsigned windows[] = {1, 2, 16, 63, 64, 100, 1000};

    for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        check_seen(ops, 64, 2, MAX_QUERIES, 120, 0.125f, windows[i], 0);
        check_seen(ops, 20, 3, 5, 1, 0.2f, windows[i], 2.0f);
    }
    check_seen(ops, 80, 4, MAX_QUERIES, 1, 1.0f, 0, 5.0f);
}

static void test_shapes(const struct kern_ops *ops)
{
    static const unsigned dims[] = {1, 8, 20, 64, 80, 128, 256, 512};
    static const unsigned keys[] = {1, 15, 16, 17, 64, 65, 127, 170};

    for (unsigned i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
        float scale = 1.0f / sqrtf((float)dims[i]);

        for (unsigned n = 1; n <= MAX_HEADS; n++)
            check_attn(ops, dims[i], n, 1, keys[(i + n) % 8], scale);
        check_attn(ops, dims[i], 3, MAX_QUERIES, 1, scale);
        check_attn(ops, dims[i], 2, 7, 60, scale);
        check_attn(ops, dims[i], 1, 2, 127, scale * 20); /* steep: one key takes nearly all */
    }
}

/* The cache holds no infinity, and a NaN stays in the rows that see it. */
static void test_not_finite(const struct kern_ops *ops)
{
    /* Rotated it is the worst there is for levels that expect normal numbers. */
    const float most = is_coded() ? 2 * 65504.0f : type == KERN_KV_F16 ? 1e-9f : 1.0f;
    float k[16], v[16], q[16], out[2 * 16];
    struct kern_kv kv = {
        .head_dim = 16, .block_stride = kern_kv_block_bytes(type, 16), .type = type};
    struct kern_attn a = {.q = q,
                          .out = out,
                          .q_stride = 0,
                          .out_stride = 16,
                          .n_tokens = 2,
                          .n_heads = 1,
                          .n_keys = 1,
                          .scale = 1};

    kv.base = util_alloc(kv.block_stride);
    for (unsigned i = 0; i < 16; i++) {
        k[i] = q[i] = 0.1f;
        v[i] = i & 1 ? INFINITY : -1e30f;
    }
    ops->kv_put(&kv, 0, k, v);
    ops->kv_put(&kv, 1, k, v);
    ops->attn(&kv, &a);
    for (unsigned i = 0; i < 32; i++)
        CHECK(fabsf(out[i] - (i & 1 ? 65504.0f : -65504.0f)) < most);
    k[3] = NAN;
    ops->kv_put(&kv, 1, k, v);
    ops->attn(&kv, &a);
    CHECK(fabsf(out[0] + 65504.0f) <= (is_coded() ? most : 1.0f) && isnan(out[16]));
    free(kv.base);
}

/* Every table writes the same bytes; and what is kept is as near as the levels allow. */
static void test_coding(void)
{
    /* mean squared error of normal numbers: of steps that the largest of 512 makes; of 1/16 to 1/8 of each; of one scale for 32
     * and -8 to 7; of 16 and 8 levels */
    static const double most[KERN_KV_TYPES] = {
        [KERN_KV_I8] = 0.0008,     [KERN_KV_FP8] = 0.0009,    [KERN_KV_I4] = 0.0095,
        [KERN_KV_POLAR4] = 0.0115, [KERN_KV_POLAR3] = 0.0385, [KERN_KV_QJL] = 0.06};
    static const unsigned dims[] = {16, 64, 80, 128, 256, 512};

    for (unsigned d = 0; d < sizeof(dims) / sizeof(dims[0]); d++) {
        const struct kern_ops *scalar = kern_ops("scalar");
        const size_t bytes = (MAX_KEYS / KERN_KV_BLOCK + 1) * kern_kv_block_bytes(type, dims[d]);
        struct cache c = cache_new(scalar, dims[d], false, 99);
        float *k = util_alloc(MAX_KEYS * dims[d] * sizeof(float));
        uint64_t seed = 99;
        double lost = 0, all = 0;

        util_fill(k, MAX_KEYS * (size_t)dims[d], &seed);
        for (size_t i = 0; i < n_filled * (size_t)dims[d]; i++) {
            lost += pow((double)(k[i] - c.k[i]), 2);
            all += pow((double)k[i], 2);
        }
        if (!CHECK(lost <= most[type] * all))
            fprintf(stderr, "type %u dim %u: error %g\n", type, dims[d], lost / all);
        for (unsigned i = 0; i < UTIL_N_TABLES; i++) {
            const struct kern_ops *ops = util_table(util_tables[i]);
            struct cache o;

            if (ops == NULL)
                continue;
            o = cache_new(ops, dims[d], false, 99);
            CHECK(memcmp(o.kv.base, c.kv.base, bytes) == 0);
            cache_free(&o);
        }
        free(k);
        cache_free(&c);
    }
}

/* An outlier and an offset, as keys have them: with the rotation they cost little. */
static void test_outliers(const struct kern_ops *ops)
{
    enum { DIM = 64 };
    const size_t bytes = kern_kv_block_bytes(type, DIM);
    struct kern_kv kv = {.head_dim = DIM, .block_stride = bytes, .type = type};
    float k[DIM], back[DIM], v[DIM];
    uint64_t seed = 5;
    double lost = 0, small = 0;

    kv.base = util_alloc(bytes);
    util_fill(k, DIM, &seed);
    for (unsigned i = 0; i < DIM; i++)
        small += (double)k[i] * (double)k[i];
    k[7] += 12;
    k[40] -= 9;
    ops->kv_put(&kv, 3, k, k);
    kv_decode(&kv, 3, back, v);
    for (unsigned i = 0; i < DIM; i++)
        lost += pow((double)(k[i] - v[i]), 2);
    CHECK(lost < (type == KERN_KV_POLAR3 ? 0.6 : 0.2) * small);
    free(kv.base);
}

/* The sketch makes inner products right in the mean: those of keys with themselves. */
static void test_sketch(void)
{
    enum { DIM = 128 };
    float *k = util_alloc(sizeof(float) * MAX_KEYS * DIM);
    uint64_t seed = 99;
    struct cache c;
    double off = 0;

    type = KERN_KV_QJL;
    c = cache_new(kern_ops("scalar"), DIM, false, seed);
    util_fill(k, (size_t)MAX_KEYS * DIM, &seed);
    for (unsigned i = 0; i < n_filled; i++) {
        double got = 0, exact = 0;

        for (unsigned d = i * DIM; d < (i + 1) * DIM; d++) {
            exact += (double)k[d] * (double)k[d];
            got += (double)k[d] * (double)c.k[d];
        }
        off += (got / exact - 1) / n_filled;
    }
    if (!CHECK(fabs(off) < 0.005)) /* without it: -0.017 */
        fprintf(stderr, "inner products are off by %g\n", off);
    free(k);
    cache_free(&c);
}

int main(void)
{
    for (unsigned i = 0; i < UTIL_N_TABLES; i++) {
        const struct kern_ops *ops = util_table(util_tables[i]);

        if (ops == NULL)
            continue;
        for (int t = KERN_KV_F16; t < KERN_KV_TYPES; t++) {
            type = (enum kern_kv_type)t;
            test_shapes(ops);
            test_windows(ops);
            test_not_finite(ops);
            n_filled = MAX_KEYS;
            test_spans(ops);
            check_seen(ops, 64, 3, 5, 1023, 0.125f, 0, 0);
            check_seen(ops, 64, 2, MAX_QUERIES, 505, 0.125f, 0, 3.0f);
            check_seen(ops, 20, 3, MAX_QUERIES, 1020, 0.2f, 700, 0);
            n_filled = 208;
            if (is_coded())
                test_outliers(ops);
        }
    }
    for (int t = KERN_KV_I8; t < KERN_KV_TYPES; t++) {
        type = (enum kern_kv_type)t;
        test_coding();
    }
    test_sketch();
    test_e4m3();
    return test_done();
}
