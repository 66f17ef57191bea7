/* Unit tests of quantize and matmul of every table: the scalar one against plain double arithmetic on the
 * expanded weights, the others against the scalar one, and each against itself for other batch sizes and
 * row ranges, bit for bit. */
#include "kernels/ref.h"
#include "tests/unit/kernels/amx_emulator.h"
#include "tests/unit/kernels/util.h"

enum { MAX_TOKENS = 27, GUARD = 8 };

/* The table in work takes thousands of times as long. */
static bool emulated;

/* One product of every size of interest. out has GUARD floats of padding after each token's rows. */
struct problem {
    size_t rows, cols;
    enum kern_type type;
    uint8_t *gguf;
    float *x; /* [MAX_TOKENS][cols + 3] */
    size_t x_stride;
};

static struct problem problem_new(enum kern_type type, size_t rows, size_t cols, uint64_t *seed)
{
    struct problem p = {.rows = rows, .cols = cols, .type = type, .x_stride = cols + 3};

    p.gguf = util_matrix(type, rows, cols, seed);
    p.x = util_alloc(MAX_TOKENS * p.x_stride * sizeof(float));
    util_fill(p.x, MAX_TOKENS * p.x_stride, seed);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->gguf);
    free(p->x);
}

static struct kern_acts acts_new(const struct kern_ops *ops, const struct problem *p,
                                 unsigned n_tokens, enum kern_acts_form form, const float *x)
{
    struct kern_acts a;

    kern_acts_init(&a, util_alloc(kern_acts_bytes(n_tokens, p->cols, form)), n_tokens, p->cols,
                   form, x, p->x_stride);
    ops->quantize(&a, 0, n_tokens);
    return a;
}

static struct kern_matrix matrix_new(const struct kern_ops *ops, const struct problem *p,
                                     void **memory)
{
    struct kern_matrix m = {0};
    size_t bytes = 0;

    CHECK(kern_matrix_packed_bytes(ops, p->type, p->rows, p->cols, &bytes, NULL) == GW_OK);
    *memory = util_alloc(bytes);
    CHECK(kern_matrix_pack(ops, p->type, p->rows, p->cols, p->gguf, *memory, &m, NULL) == GW_OK);
    return m;
}

/* Activation k of token t as a product with a quantized matrix sees it. */
static double act(const struct kern_acts *a, size_t t, size_t k)
{
    size_t i = t * a->stride + k / KERN_BLOCK, j = k % KERN_BLOCK;
    const struct kern_act_block *b = &a->blocks[i];
    int whole = a->rests != NULL ? 256 * b->q[j] + a->rests[i * KERN_BLOCK + j] : b->q[j];

    return (double)whole * (double)b->d;
}

/* sum w * x and sum |w * x| in double, x as the table sees it. */
static double exact(const struct problem *p, const struct kern_acts *a, size_t row, size_t t,
                    const float *w, double *size)
{
    bool quantized = kern_type_info(p->type)->quantized;
    double sum = 0;

    (void)row;
    *size = 0;
    for (size_t k = 0; k < p->cols; k++) {
        double x = quantized ? act(a, t, k) : (double)p->x[t * p->x_stride + k];

        sum += (double)w[k] * x;
        *size += fabs((double)w[k] * x);
    }
    return sum;
}

/* Largest error of out over all rows and tokens, relative to sum |w * x|. */
static double worst_error(const struct problem *p, const struct kern_acts *a, const float *out,
                          size_t stride, unsigned n_tokens)
{
    size_t row_bytes = 0;
    float *w = util_alloc(p->cols * sizeof(float));
    double worst = 0, size;

    CHECK(kern_row_bytes(p->type, p->cols, &row_bytes));
    for (size_t row = 0; row < p->rows; row++) {
        kern_row_f32(p->type, p->gguf + row * row_bytes, p->cols, w);
        for (size_t t = 0; t < n_tokens; t++) {
            double e = fabs((double)out[t * stride + row] - exact(p, a, row, t, w, &size));

            if (!(e <= worst * (size + 1e-12)))
                worst = e / (size + 1e-12);
        }
    }
    free(w);
    return worst;
}

static void check_form(const struct kern_ops *ops, enum kern_type type, size_t rows, size_t cols,
                       enum kern_acts_form form, uint64_t *seed)
{
    struct problem p = problem_new(type, rows, cols, seed);
    size_t stride = rows + GUARD;
    float *all = util_alloc(MAX_TOKENS * stride * sizeof(float));
    float *out = util_alloc(MAX_TOKENS * stride * sizeof(float));
    void *memory;
    struct kern_matrix m = matrix_new(ops, &p, &memory);
    struct kern_acts a;
    int differ = 0, touched = 0;

    /* Some blocks of some tokens have rests, in groups and alone. */
    for (size_t t = 0; form == KERN_ACTS_MIXED && t < MAX_TOKENS; t += 1 + t % 3)
        p.x[t * p.x_stride + 29 * t % cols] = 25;
    a = acts_new(ops, &p, MAX_TOKENS, form, p.x);

    memset(all, 0x5a, MAX_TOKENS * stride * sizeof(float));
    ops->matmul(&m, &a, MAX_TOKENS, all, stride, 0, rows);

    double worst = worst_error(&p, &a, all, stride, MAX_TOKENS);

    if (!CHECK(worst <= (double)KERN_TOL_MATMUL))
        fprintf(stderr, "%s %s %zu x %zu: error %g\n", ops->name, kern_type_info(type)->name, rows,
                cols, worst);
    for (unsigned n = 1; n < MAX_TOKENS; n += emulated ? 6 : n < 18 ? 1 : 4) {
        /* Other tokens in other places, rows in two parts: the same bits. */
        unsigned first = MAX_TOKENS - n;
        struct kern_acts part = acts_new(ops, &p, n, form, p.x + first * p.x_stride);
        size_t cut = rows / 2 / KERN_ROW_STEP * KERN_ROW_STEP;

        memset(out, 0x5a, MAX_TOKENS * stride * sizeof(float));
        ops->matmul(&m, &part, n, out, stride, cut, rows);
        ops->matmul(&m, &part, n, out, stride, 0, cut);
        for (size_t t = 0; t < n; t++) {
            const float *want = all + (first + t) * stride;

            differ += memcmp(out + t * stride, want, rows * sizeof(float)) != 0;
            touched += memcmp(out + t * stride + rows, want + rows, GUARD * sizeof(float)) != 0;
        }
        touched += memcmp(out + n * stride, all + rows, GUARD * sizeof(float)) != 0;
        free(part.blocks);
    }
    if (!CHECK(differ == 0) || !CHECK(touched == 0))
        fprintf(stderr, "%s %s %zu x %zu: %d differ, %d guards\n", ops->name,
                kern_type_info(type)->name, rows, cols, differ, touched);
    free(a.blocks);
    free(memory);
    free(all);
    free(out);
    problem_free(&p);
}

static void check_shape(const struct kern_ops *ops, enum kern_type type, size_t rows, size_t cols,
                        uint64_t *seed)
{
    check_form(ops, type, rows, cols, KERN_ACTS_COARSE, seed);
    if (!kern_type_info(type)->quantized)
        return;
    check_form(ops, type, rows, cols, KERN_ACTS_FINE, seed);
    check_form(ops, type, rows, cols, KERN_ACTS_MIXED, seed);
}

static void test_shapes(const struct kern_ops *ops)
{
    static const size_t rows[] = {1, 15, 16, 17, 31, 70};
    uint64_t seed = 88172645463325252ull;

    for (unsigned t = 0; t < UTIL_N_TYPES; t++) {
        size_t unit = kern_type_info(util_types[t])->block_elems;

        for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
            check_shape(ops, util_types[t], rows[r], unit * (1 + r % 3), &seed);
        if (!emulated || t % 5 == 2) /* BF16, Q4_K, Q5_K */
            check_shape(ops, util_types[t], 48, 2304, &seed);
    }
    check_shape(ops, KERN_TYPE_F32, 20, 172, &seed);
    check_shape(ops, KERN_TYPE_F16, 20, 173, &seed);
    check_shape(ops, KERN_TYPE_BF16, 33, 37, &seed);
    check_shape(ops, KERN_TYPE_Q4_1, 33, 576, &seed);
}

/* Makes the sums of a block those of other integers, `times` its q. */
static void scale_block(struct kern_act_block *b, int times)
{
    int sum[2] = {0, 0};

    for (unsigned j = 0; j < KERN_BLOCK; j++)
        sum[j / 16] += times * b->q[j];
    b->nsum16[0] = -sum[0];
    b->nsum16[1] = -sum[1];
    b->nsum = -(sum[0] + sum[1]);
    b->ds = b->d * (float)(sum[0] + sum[1]);
}

/* Every code of every type at its extremes, with activations at theirs: no integer overflow. */
static void test_extremes(const struct kern_ops *ops)
{
    static const uint8_t fills[] = {0x00, 0xff, 0x80, 0x7f, 0xf0, 0x0f};
    uint64_t seed = 7;

    for (unsigned t = 3; t < UTIL_N_TYPES; t++) {
        const struct kern_type_info *info = kern_type_info(util_types[t]);
        struct problem p = problem_new(util_types[t], 16, 512, &seed);
        size_t n_blocks = 16 * 512 / info->block_elems;

        for (unsigned f = 0; f < 2 * sizeof(fills); f++) {
            enum kern_acts_form form = f & 1 ? KERN_ACTS_FINE : KERN_ACTS_COARSE;
            float out[3 * 16];
            void *memory;

            memset(p.gguf, fills[f / 2], n_blocks * info->block_bytes);
            for (size_t b = 0; b < n_blocks; b++) {
                uint8_t *block = p.gguf + b * info->block_bytes;

                util_scales(util_types[t], block, 0x3c00, 0x4900);
            }
            for (size_t i = 0; i < 3 * p.x_stride; i++)
                p.x[i] = i < p.x_stride ? 1.0f : i < 2 * p.x_stride ? -1.0f : (i & 1 ? 1 : -1);

            struct kern_matrix m = matrix_new(ops, &p, &memory);
            struct kern_acts a = acts_new(ops, &p, 3, form, p.x);

            /* Rests as large as the format allows, more than rounding leaves. */
            for (size_t i = 0; form == KERN_ACTS_FINE && i < 3 * a.stride * KERN_BLOCK; i++)
                a.rests[i] = a.blocks[i / KERN_BLOCK].q[i % KERN_BLOCK];
            for (size_t i = 0; form == KERN_ACTS_FINE && i < 3 * a.stride; i++)
                a.blocks[i].has_rests = 1;
            for (size_t i = 0; form == KERN_ACTS_FINE && i < 3 * a.stride; i++)
                scale_block(&a.blocks[i], 257);
            ops->matmul(&m, &a, 3, out, 16, 0, 16);
            CHECK(worst_error(&p, &a, out, 16, 3) <= (double)KERN_TOL_MATMUL);
            free(a.blocks);
            free(memory);
        }
        problem_free(&p);
    }
}

static void test_quantize_agrees(const struct kern_ops *ops, enum kern_acts_form form)
{
    const struct kern_ops *scalar = kern_ops_exact("scalar");
    uint64_t seed = 99;
    int differ = 0;

    for (size_t cols = 1; cols < 200; cols += cols < 70 ? 1 : 13) {
        struct problem p = problem_new(KERN_TYPE_F32, 1, cols, &seed);

        p.x[0] = 3e38f;
        p.x[p.x_stride] = 1e-38f; /* a whole block too small to scale */
        for (size_t i = 1; i < cols; i++)
            p.x[p.x_stride + i] = 0;
        p.x[2 * p.x_stride + cols / 2] = NAN;
        p.x[3 * p.x_stride + cols - 1] = -INFINITY;
        p.x[4 * p.x_stride] = -2.5f; /* ties: 127 steps of 2.5 / 127 */
        struct kern_acts a = acts_new(ops, &p, 6, form, p.x);
        struct kern_acts b = acts_new(scalar, &p, 6, form, p.x);

        for (size_t t = 0; t < 6; t++) {
            for (size_t i = 0; i < a.n_blocks; i++) {
                const struct kern_act_block *o = &a.blocks[t * a.stride + i];
                const struct kern_act_block *w = &b.blocks[t * b.stride + i];

                if (form != KERN_ACTS_COARSE)
                    differ += memcmp(a.rests + (t * a.stride + i) * KERN_BLOCK,
                                     b.rests + (t * b.stride + i) * KERN_BLOCK, KERN_BLOCK) != 0;
                differ += memcmp(o->q, w->q, sizeof(o->q)) != 0 || o->nsum != w->nsum ||
                          memcmp(o->nsum16, w->nsum16, sizeof(o->nsum16)) != 0;
                differ += isnan(w->d) ? !isnan(o->d) : memcmp(&o->d, &w->d, sizeof(o->d)) != 0;
                differ += isnan(w->ds) ? !isnan(o->ds) : o->ds != w->ds;
            }
        }
        CHECK(isnan(a.blocks[2 * a.stride + cols / 2 / KERN_BLOCK].d));
        CHECK(isnan(a.blocks[3 * a.stride + a.n_blocks - 1].d));
        free(a.blocks);
        free(b.blocks);
        problem_free(&p);
    }
    CHECK(differ == 0);
}

/* Activations with rests are the floats to within 1/256 of a step of the coarse ones (the rest that is held
 * back at 127 costs another half of that), those without to within half such a step; block sums are those of the
 * integers; and the few blocks far above the others are those with rests. */
static void test_fine_is_fine(const struct kern_ops *ops)
{
    uint64_t seed = 31;
    struct problem p = problem_new(KERN_TYPE_Q8_0, 1, 1536, &seed);
    struct kern_acts a;
    double worst[2] = {0, 0};
    int wrong = 0;

    for (size_t t = 0; t < MAX_TOKENS; t++)
        p.x[t * p.x_stride + 50 * t] = 3000;
    a = acts_new(ops, &p, MAX_TOKENS, KERN_ACTS_MIXED, p.x);

    for (size_t t = 0; t < MAX_TOKENS; t++) {
        for (size_t k = 0; k < p.cols; k++) {
            const struct kern_act_block *b = &a.blocks[t * a.stride + k / KERN_BLOCK];
            double d = (double)b->d, e = fabs(act(&a, t, k) - (double)p.x[t * p.x_stride + k]);

            worst[b->has_rests] = fmax(worst[b->has_rests], d > 0 ? e / d : 0);
        }
        for (size_t i = 0; i < a.n_blocks; i++) {
            const struct kern_act_block *b = &a.blocks[t * a.stride + i];
            double sum[2] = {0, 0};

            for (size_t k = 0; k < KERN_BLOCK; k++)
                sum[k / 16] += b->d > 0 ? act(&a, t, i * KERN_BLOCK + k) / (double)b->d : 0;
            wrong += b->has_rests != (i == 50 * t / KERN_BLOCK);
            wrong += fabs(sum[0] + b->nsum16[0]) > 0.01 || fabs(sum[1] + b->nsum16[1]) > 0.01 ||
                     b->nsum != b->nsum16[0] + b->nsum16[1];
        }
    }
    CHECK(worst[0] > 100 && worst[0] < 129);
    CHECK(worst[1] > 0 && worst[1] < 1.1);
    CHECK(wrong == 0);
    free(a.blocks);
    problem_free(&p);
}

/* A row of a prepared matrix is, bit for bit, that of the file. */
static void test_matrix_rows(const struct kern_ops *ops)
{
    enum { ROWS = 37, COLS = 768 };
    static float got[COLS], want[COLS];
    uint64_t seed = 3;

    for (unsigned t = 0; t < UTIL_N_TYPES; t++) {
        struct problem p = problem_new(util_types[t], ROWS, COLS, &seed);
        size_t row_bytes = 0;
        void *memory;
        struct kern_matrix m = matrix_new(ops, &p, &memory);
        int differ = 0;

        CHECK(kern_row_bytes(util_types[t], COLS, &row_bytes));
        for (size_t row = 0; row < ROWS; row++) {
            kern_row_f32(util_types[t], p.gguf + row * row_bytes, COLS, want);
            kern_matrix_row_f32(&m, row, got);
            differ += memcmp(got, want, sizeof(got)) != 0;
        }
        CHECK(differ == 0);
        free(memory);
        problem_free(&p);
    }
}

/* A value that is not finite spoils its own token, and no other. */
static void test_not_finite(const struct kern_ops *ops)
{
    uint64_t seed = 5;

    for (unsigned t = 0; t < UTIL_N_TYPES; t++) {
        struct problem p = problem_new(util_types[t], 17, 256, &seed);
        float out[3 * 17];
        void *memory;

        p.x[p.x_stride + 40] = t & 1 ? NAN : INFINITY;
        struct kern_matrix m = matrix_new(ops, &p, &memory);
        struct kern_acts a = acts_new(ops, &p, 3, t & 1 ? KERN_ACTS_COARSE : KERN_ACTS_FINE, p.x);

        ops->matmul(&m, &a, 3, out, 17, 0, 17);
        for (unsigned row = 0; row < 17; row++)
            CHECK(isfinite(out[row]) && !isfinite(out[17 + row]) && isfinite(out[34 + row]));
        free(a.blocks);
        free(memory);
        problem_free(&p);
    }
}

/* Random bytes everywhere, scales included: any result, but no crash and no sanitizer report. */
static void test_hostile_blocks(const struct kern_ops *ops)
{
    uint64_t seed = 11;

    for (unsigned t = 0; t < UTIL_N_TYPES; t++) {
        struct problem p = problem_new(util_types[t], 16, 256, &seed);
        size_t row_bytes = 0;
        float out[9 * 16];
        void *memory;

        CHECK(kern_row_bytes(util_types[t], 256, &row_bytes));
        for (size_t i = 0; i < 16 * row_bytes; i++)
            p.gguf[i] = (uint8_t)util_rand(&seed);
        struct kern_matrix m = matrix_new(ops, &p, &memory);
        struct kern_acts a = acts_new(ops, &p, 9, t & 1 ? KERN_ACTS_FINE : KERN_ACTS_COARSE, p.x);

        ops->matmul(&m, &a, 9, out, 16, 0, 16);
        CHECK(true);
        free(a.blocks);
        free(memory);
        problem_free(&p);
    }
}

static void test_refusals(void)
{
    const struct kern_ops *best = kern_ops(NULL);
    struct kern_matrix m = {.rows = 77};
    struct gw_err err = {0};
    size_t bytes = 7;

    CHECK(kern_matrix_packed_bytes(best, 4, 32, 32, &bytes, &err) == GW_EUNSUPPORTED);
    CHECK(strstr(err.text, "type 4") != NULL);
    CHECK(kern_matrix_packed_bytes(best, KERN_TYPE_Q4_K, 32, 128, &bytes, &err) == GW_EINVAL);
    CHECK(kern_matrix_packed_bytes(best, KERN_TYPE_F32, 0, 32, &bytes, &err) == GW_EINVAL);
    CHECK(kern_matrix_packed_bytes(best, KERN_TYPE_F32, 32, 0, &bytes, &err) == GW_EINVAL);
    CHECK(kern_matrix_packed_bytes(best, KERN_TYPE_F32, UINT64_MAX, 1u << 30, &bytes, &err) ==
          GW_ELIMIT);
    CHECK(kern_matrix_packed_bytes(best, KERN_TYPE_F32, 2, 1ull << 62, &bytes, &err) == GW_ELIMIT);
    CHECK(kern_matrix_init(best, KERN_TYPE_Q8_0, 1, 33, NULL, NULL, &m, &err) == GW_EINVAL);
    CHECK(bytes == 7 && m.rows == 77);
    CHECK(kern_acts_bytes(UINT32_MAX, SIZE_MAX / 4, KERN_ACTS_FINE) == 0);
    CHECK(kern_acts_bytes(1, 1, KERN_ACTS_COARSE) == 64);
    CHECK(kern_acts_bytes(1, 1, KERN_ACTS_FINE) == 128);
    CHECK(kern_acts_bytes(3, 64, KERN_ACTS_FINE) == 576);
}

static void test_dispatch(void)
{
    CHECK(kern_ops("scalar") == kern_ops_exact("scalar") && kern_ops("scalar") != NULL);
    CHECK(kern_ops("neon") == NULL && kern_ops_exact("neon") == NULL);
    CHECK(kern_ops("avx2") != NULL && kern_ops("amx") == kern_ops(NULL));
    CHECK(strcmp(kern_ops_describe(&kern_amx_ops, KERN_TYPE_Q4_K), "amx tdpbsud") == 0);
    CHECK(strcmp(kern_ops_describe(&kern_amx_ops, KERN_TYPE_BF16), "amx tdpbf16ps") == 0);
    CHECK(strcmp(kern_ops_describe(&kern_amx_ops, KERN_TYPE_F16), "avx512 fma") == 0);
    CHECK(kern_ops("") == kern_ops(NULL));
    CHECK(strcmp(kern_ops_describe(kern_ops(NULL), 4), "unsupported") == 0);
}

static void run(const struct kern_ops *ops)
{
    test_quantize_agrees(ops, KERN_ACTS_COARSE);
    test_quantize_agrees(ops, KERN_ACTS_FINE);
    test_quantize_agrees(ops, KERN_ACTS_MIXED);
    test_fine_is_fine(ops);
    test_matrix_rows(ops);
    test_shapes(ops);
    test_extremes(ops);
    test_not_finite(ops);
    test_hostile_blocks(ops);
}

/* The product of n tokens with a matrix; the caller frees it. */
static float *product(const struct kern_ops *ops, const struct problem *p, unsigned n,
                      enum kern_acts_form form)
{
    float *out = util_alloc(n * p->rows * sizeof(float));
    void *memory;
    struct kern_matrix m = matrix_new(ops, p, &memory);
    struct kern_acts a = acts_new(ops, p, n, form, p->x);

    ops->matmul(&m, &a, n, out, p->rows, 0, p->rows);
    free(a.blocks);
    free(memory);
    return out;
}

/* Quantized matrices: the bits of the table "avx512". And tiles are given back after each product. */
static void test_tiles(const struct kern_ops *amx)
{
    const struct kern_ops *avx512 = kern_ops_exact("avx512");
    uint64_t seed = 17;

    for (unsigned t = 2; t < UTIL_N_TYPES; t++) { /* from BF16 on; E4M3 is packed as F16 */
        const unsigned long before = amx_state.done;

        if (util_types[t] == KERN_TYPE_E4M3)
            continue;

        for (int form = KERN_ACTS_COARSE; form <= KERN_ACTS_FINE; form++) {
            struct problem p = problem_new(util_types[t], 33, 768, &seed);
            float *one = product(avx512, &p, 19, (enum kern_acts_form)form);
            float *other = product(amx, &p, 19, (enum kern_acts_form)form);

            CHECK(util_types[t] == KERN_TYPE_BF16 ||
                  memcmp(one, other, 19 * p.rows * sizeof(*one)) == 0);
            free(one);
            free(other);
            problem_free(&p);
        }
        CHECK(!emulated || (amx_state.done > before && !amx_state.configured));
    }
}

/* The table "amx": on an emulator where this CPU has none, but then it needs the rest of what that table is made of. */
static void run_amx(void)
{
    const struct kern_ops *amx = kern_ops_exact("amx");

    emulated = amx == NULL && util_table("avx512") != NULL;
    if (emulated) {
        amx_emulate();
        amx = &kern_amx_ops;
    }
    if (amx == NULL)
        return;
    run(amx);
    test_tiles(amx);
}

int main(void)
{
    test_refusals();
    test_dispatch();
    for (unsigned i = 0; i < UTIL_N_TABLES; i++) {
        const struct kern_ops *ops = util_table(util_tables[i]);

        if (ops != NULL)
            run(ops);
    }
    run_amx();
    return test_done();
}
