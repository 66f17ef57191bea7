/* tests/unit/kernels/test_cuda_ops.c - norms, activation, residual and experts' routing on the emulated device, against the scalar
 * table. */
#include <limits.h>

#include "kernels/cuda.h"
#include "tests/simt/knobs.h"
#include "tests/unit/kernels/util.h"

/* Arrays on the device, floats. */
static struct kern_cuda *c;
static struct kern_cuda_buf *bufs[16];
static unsigned n_bufs;

static float *put(const void *x, size_t floats)
{
    struct kern_cuda_buf *b = NULL;

    if (!CHECK(n_bufs < 16 && kern_cuda_buf_new(c, floats * 4, &b, NULL) == GW_OK))
        return NULL;
    CHECK(x == NULL || kern_cuda_upload(b, 0, x, floats * 4, NULL) == GW_OK);
    bufs[n_bufs++] = b;
    return kern_cuda_at(b, 0);
}

static void get(const void *device, size_t floats, void *out)
{
    for (unsigned i = 0; i < n_bufs; i++)
        if (kern_cuda_at(bufs[i], 0) == device)
            CHECK(kern_cuda_download(bufs[i], 0, out, floats * 4, NULL) == GW_OK);
    CHECK(kern_cuda_sync(c, NULL) == GW_OK);
}

static void drop_all(void)
{
    while (n_bufs > 0)
        kern_cuda_buf_free(bufs[--n_bufs]);
}

static float *some(size_t n, uint64_t *seed)
{
    float *x = util_alloc((n + 1) * sizeof(*x));

    for (size_t i = 0; i < n; i++)
        x[i] = 4 * util_randf(seed);
    return x;
}

static bool near(const float *a, const float *b, size_t n)
{
    float most = 0, size = 1e-30f;

    for (size_t i = 0; i < n; i++) {
        const float d = fabsf(a[i] - b[i]);

        most = !(d <= most) ? d : most;
        size = fmaxf(size, fabsf(b[i]));
    }
    return most <= KERN_TOL_OP * size;
}

/* The residual with and without a norm of its own, the next norm, and the integers. */
static void test_norms(unsigned n_tokens, unsigned n, bool fine, bool add, bool post)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    uint64_t seed = n * 7 + n_tokens;
    const size_t all = (size_t)n_tokens * n;
    float *x = some(all, &seed), *y = some(all, &seed), *w = some(n, &seed), *p = some(n, &seed);
    float *got = some(all, &seed), *xn = some(all, &seed);
    float *dx = put(x, all), *dy = put(y, all), *dw = put(w, n), *dp = put(p, n);
    float *out = put(NULL, all), *mem = put(NULL, kern_cuda_acts_bytes(n_tokens, n, fine) / 4);
    float *d = some(all, &seed);
    struct kern_cuda_acts a, plain;
    int8_t *q = util_alloc(all), *want = util_alloc(all);

    kern_cuda_rms_norm(c, out, dx, dw, n_tokens, n, 1e-5f);
    get(out, all, got);
    for (unsigned t = 0; t < n_tokens; t++)
        ops->rms_norm(xn + t * n, x + t * n, w, n, 1e-5f);
    CHECK(near(got, xn, all));

    kern_cuda_acts_init(&a, mem, n_tokens, n, fine, out);
    kern_cuda_add_norm_quantize(c, dx, add ? dy : NULL, post ? dp : NULL, dw, 1e-5f, &a);
    get(dx, all, got);
    for (unsigned t = 0; t < n_tokens; t++) {
        if (post)
            ops->rms_norm(y + t * n, y + t * n, p, n, 1e-5f);
        if (add)
            ops->add(x + t * n, y + t * n, n);
        ops->rms_norm(xn + t * n, x + t * n, w, n, 1e-5f);
    }
    CHECK(near(got, x, all));
    get(out, all, got);
    CHECK(near(got, xn, all));
    /* The integers are those of the floats that are there. */
    CHECK(kern_cuda_download(bufs[5], 0, q, all, NULL) == GW_OK);
    CHECK(kern_cuda_sync(c, NULL) == GW_OK);
    kern_cuda_acts_init(&plain, mem, n_tokens, n, fine, out);
    kern_cuda_quantize(c, &plain);
    CHECK(kern_cuda_download(bufs[5], 0, want, all, NULL) == GW_OK);
    CHECK(kern_cuda_sync(c, NULL) == GW_OK && memcmp(q, want, all) == 0);
    drop_all();
    free(x);
    free(y);
    free(w);
    free(p);
    free(got);
    free(xn);
    free(d);
    free(q);
    free(want);
}

static void test_maps(size_t n)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    uint64_t seed = n;
    float *a = some(n, &seed), *b = some(n, &seed), *want = some(n, &seed), *got = some(n, &seed);
    float *da = put(a, n), *db = put(b, n), *out = put(NULL, n);

    kern_cuda_gate_mul(c, out, da, db, n, KERN_CUDA_SILU);
    get(out, n, got);
    ops->silu_mul(want, a, b, n);
    CHECK(near(got, want, n));
    kern_cuda_gate_mul(c, out, da, db, n, KERN_CUDA_GELU);
    get(out, n, got);
    ops->gelu_mul(want, a, b, n);
    CHECK(near(got, want, n));
    kern_cuda_add(c, da, db, n);
    get(da, n, got);
    ops->add(a, b, n);
    CHECK(near(got, a, n));
    kern_cuda_soft_cap(c, da, n, 3);
    get(da, n, got);
    ops->soft_cap(a, n, 3);
    CHECK(near(got, a, n));
    drop_all();
    free(a);
    free(b);
    free(want);
    free(got);
}

/* The largest, the first of equals first; weights that sum to 1; each expert once, also where values are no numbers. */
static void test_route(unsigned n_tokens, unsigned n, unsigned used, bool ties)
{
    uint64_t seed = n + used;
    float *z = some((size_t)n_tokens * n, &seed), weight[32 * 8];
    int32_t chosen[32 * 8];
    float *dz, *dw = put(NULL, (size_t)n_tokens * used);
    float *dc = put(NULL, (size_t)n_tokens * used);

    for (size_t i = 0; ties && i < (size_t)n_tokens * n; i++)
        z[i] = (float)(util_rand(&seed) % 3);
    if (ties)
        z[1] = NAN;
    dz = put(z, (size_t)n_tokens * n);
    kern_cuda_route(c, dz, n_tokens, n, used, (int32_t *)(void *)dc, dw);
    get(dc, (size_t)n_tokens * used, chosen);
    get(dw, (size_t)n_tokens * used, weight);
    for (unsigned t = 0; t < n_tokens; t++) {
        bool taken[512] = {false};
        float max = -INFINITY, sum = 0, of[32];
        size_t wrong = 0;

        for (unsigned u = 0; u < used; u++) {
            unsigned best = UINT_MAX;

            for (unsigned e = 0; e < n; e++)
                if (!taken[e] && !isnan(z[t * n + e]) &&
                    (best == UINT_MAX || z[t * n + e] > z[t * n + best]))
                    best = e;
            taken[best] = true;
            of[u] = z[t * n + best];
            max = fmaxf(max, of[u]);
            wrong += chosen[t * used + u] != (int32_t)best;
        }
        for (unsigned u = 0; u < used; u++)
            sum += expf(of[u] - max);
        for (unsigned u = 0; u < used; u++)
            wrong += !(fabsf(weight[t * used + u] - expf(of[u] - max) / sum) < 1e-6f);
        CHECK(wrong == 0);
    }
    drop_all();
    free(z);
}

static void test_rows(void)
{
    enum { ROWS = 5, COLS = 300, USED = 2 };
    const int32_t index[] = {3, 0, 4, 4, 1};
    uint64_t seed = 5;
    float *x = some(ROWS * COLS, &seed), *y = some(ROWS * USED * COLS, &seed),
          *w = some(ROWS * USED, &seed);
    float *dx = put(x, ROWS * COLS), *dy = put(y, ROWS * USED * COLS), *dw = put(w, ROWS * USED);
    float *out = put(NULL, ROWS * COLS), *di = put(index, ROWS), *got = some(ROWS * COLS, &seed);
    size_t wrong = 0;

    kern_cuda_gather(c, out, dx, (const int32_t *)(void *)di, ROWS, 2, COLS);
    get(out, ROWS * COLS, got);
    for (unsigned r = 0; r < ROWS; r++)
        wrong += memcmp(got + r * COLS, x + index[r] / 2 * COLS, COLS * 4) != 0;
    CHECK(wrong == 0);
    kern_cuda_combine(c, dx, dy, dw, ROWS, USED, COLS);
    get(dx, ROWS * COLS, got);
    for (unsigned r = 0; r < ROWS; r++)
        for (unsigned i = 0; i < COLS; i++)
            for (unsigned u = 0; u < USED; u++)
                x[r * COLS + i] += w[r * USED + u] * y[(r * USED + u) * COLS + i];
    CHECK(near(got, x, ROWS * COLS));
    drop_all();
    free(x);
    free(y);
    free(w);
    free(got);
}

int main(void)
{
    if (!CHECK(kern_cuda_open(0, &c, NULL, NULL) == GW_OK))
        return test_done();
    for (unsigned order = 0; order < 3; order++) {
        simt_set_order(order);
        test_norms(1, 32, false, true, false);
        test_norms(3, 96, true, true, true);
        test_norms(2, 2080, false, false, false);
        test_norms(5, 288, true, true, false);
        test_maps(1);
        test_maps(256);
        test_maps(1031);
        test_route(3, 8, 2, false);
        test_route(4, 128, 8, false);
        test_route(3, 60, 4, true);
        test_route(1, 512, 32, false);
        test_route(2, 5, 4, true);
        test_rows();
    }
    kern_cuda_close(c);
    return test_done();
}
