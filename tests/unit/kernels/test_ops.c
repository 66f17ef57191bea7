/* Unit tests of the small operations of every table, against plain double arithmetic; and of what is not
 * in a table: the bandwidth probe, and what a build without CUDA answers. */
#include "kernels/cuda.h"
#include "tests/unit/kernels/util.h"

enum { MAX_N = 600 };

static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 576, 599};
enum { N_SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* Largest |got - want| / largest |want| over n values; a guard value must follow. */
static double op_error(const float *got, const double *want, size_t n)
{
    double worst = 0, largest = 1e-30;

    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)got[i] - want[i]);

        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
        if (!(e <= worst))
            worst = e;
    }
    CHECK(got[n] == 77.0f);
    return worst / largest;
}

struct vectors {
    float x[MAX_N + 1], y[MAX_N + 1], out[MAX_N + 1];
    double want[MAX_N];
};

static void vectors_fill(struct vectors *v, size_t n, uint64_t *seed)
{
    util_fill(v->x, n, seed);
    util_fill(v->y, n, seed);
    v->x[0] = 0.25f; /* never all zeros */
    v->out[n] = v->x[n] = 77;
}

static void test_rms_norm(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    double sum = 0, scale;

    for (size_t i = 0; i < n; i++)
        sum += (double)v->x[i] * (double)v->x[i];
    scale = 1 / sqrt(sum / (double)n + 1e-5);
    for (size_t i = 0; i < n; i++)
        v->want[i] = (double)v->x[i] * scale * (double)v->y[i];
    ops->rms_norm(v->out, v->x, v->y, n, 1e-5f);
    CHECK(op_error(v->out, v->want, n) <= (double)KERN_TOL_OP);
    for (size_t i = 0; i < n; i++)
        v->want[i] = (double)v->x[i] * scale;
    ops->rms_norm(v->x, v->x, NULL, n, 1e-5f);
    CHECK(op_error(v->x, v->want, n) <= (double)KERN_TOL_OP);
}

/* A common offset is what makes a variance hard. */
static void test_layer_norm(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    double sum = 0, squares = 0, mean, scale;
    float b[MAX_N];

    for (size_t i = 0; i < n; i++) {
        v->x[i] += 3.0f;
        b[i] = 0.1f * (float)(i % 5);
        sum += (double)v->x[i];
    }
    mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((double)v->x[i] - mean) * ((double)v->x[i] - mean);
    scale = 1 / sqrt(squares / (double)n + 1e-5);
    for (size_t i = 0; i < n; i++)
        v->want[i] = ((double)v->x[i] - mean) * scale * (double)v->y[i] + (double)b[i];
    ops->layer_norm(v->out, v->x, v->y, b, n, 1e-5f);
    CHECK(op_error(v->out, v->want, n) <= (double)KERN_TOL_OP);
    ops->layer_norm(v->x, v->x, v->y, b, n, 1e-5f);
    CHECK(memcmp(v->x, v->out, n * sizeof(float)) == 0);
}

static void test_gelu(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        v->x[i] *= 4.0f;
        v->want[i] = 0.5 * (double)v->x[i] * erfc(-(double)v->x[i] * sqrt(0.5));
    }
    ops->gelu(v->x, n);
    CHECK(op_error(v->x, v->want, n) <= (double)KERN_TOL_OP);
}

static void test_silu_mul(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v->want[i] = (double)v->x[i] / (1 + exp(-(double)v->x[i])) * (double)v->y[i];
    ops->silu_mul(v->out, v->x, v->y, n);
    CHECK(op_error(v->out, v->want, n) <= (double)KERN_TOL_OP);
    ops->silu_mul(v->x, v->x, v->y, n);
    CHECK(memcmp(v->x, v->out, n * sizeof(float)) == 0);
}

static void test_gelu_mul(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double x = (double)v->x[i];

        v->want[i] = x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
        v->want[i] *= (double)v->y[i];
    }
    ops->gelu_mul(v->out, v->x, v->y, n);
    CHECK(op_error(v->out, v->want, n) <= (double)KERN_TOL_OP);
    ops->gelu_mul(v->x, v->x, v->y, n);
    CHECK(memcmp(v->x, v->out, n * sizeof(float)) == 0);
}

static void test_soft_cap(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v->want[i] = 5 * tanh((double)v->x[i] / 5);
    ops->soft_cap(v->x, n, 5.0f);
    CHECK(op_error(v->x, v->want, n) <= (double)KERN_TOL_OP);
}

static void test_add(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    int differ = 0;

    memcpy(v->out, v->x, n * sizeof(float));
    ops->add(v->out, v->y, n);
    for (size_t i = 0; i < n; i++)
        differ += v->out[i] != v->x[i] + v->y[i];
    CHECK(differ == 0 && v->out[n] == 77.0f);
}

static void test_softmax(const struct kern_ops *ops, struct vectors *v, size_t n)
{
    double max = -INFINITY, sum = 0, total = 0;

    for (size_t i = 0; i < n; i++)
        max = (double)v->x[i] * 0.7 > max ? (double)v->x[i] * 0.7 : max;
    for (size_t i = 0; i < n; i++) {
        v->want[i] = exp((double)v->x[i] * 0.7 - max);
        sum += v->want[i];
    }
    for (size_t i = 0; i < n; i++)
        v->want[i] /= sum;
    ops->softmax(v->x, n, 0.7f);
    CHECK(op_error(v->x, v->want, n) <= (double)KERN_TOL_OP);
    for (size_t i = 0; i < n; i++)
        total += (double)v->x[i];
    CHECK(fabs(total - 1) < 1e-5);
}

static void test_rope(const struct kern_ops *ops)
{
    enum { HEADS = 3, DIM = 20, ROT = 12 };
    float x[HEADS * DIM + 1], c[ROT / 2], s[ROT / 2];
    double want[HEADS * DIM];
    uint64_t seed = 3;

    for (unsigned style = 0; style < 2; style++) {
        util_fill(x, HEADS * DIM, &seed);
        x[HEADS * DIM] = 77;
        for (unsigned i = 0; i < ROT / 2; i++) {
            c[i] = cosf(0.3f * (float)i + 1);
            s[i] = sinf(0.3f * (float)i + 1);
        }
        for (unsigned i = 0; i < HEADS * DIM; i++)
            want[i] = (double)x[i];
        for (unsigned h = 0; h < HEADS; h++) {
            for (unsigned i = 0; i < ROT / 2; i++) {
                unsigned p = h * DIM + (style == 0 ? 2 * i : i);
                unsigned q = style == 0 ? p + 1 : p + ROT / 2;

                want[p] = (double)x[p] * (double)c[i] - (double)x[q] * (double)s[i];
                want[q] = (double)x[p] * (double)s[i] + (double)x[q] * (double)c[i];
            }
        }
        ops->rope(x, HEADS, DIM, ROT, c, s, style == 0 ? KERN_ROPE_NORM : KERN_ROPE_NEOX);
        CHECK(op_error(x, want, HEADS * DIM) <= (double)KERN_TOL_OP);
    }
}

static void test_argmax(const struct kern_ops *ops)
{
    float x[40];

    for (unsigned n = 1; n <= 40; n++) {
        for (unsigned i = 0; i < n; i++)
            x[i] = -5.0f + (float)(i % 3);
        x[n - 1] = 9;
        CHECK(ops->argmax(x, n) == n - 1);
        x[n / 2] = 9;
        CHECK(ops->argmax(x, n) == n / 2);
        for (unsigned i = 0; i < n; i++)
            x[i] = NAN;
        CHECK(ops->argmax(x, n) == 0);
        x[n - 1] = -INFINITY;
        CHECK(ops->argmax(x, n) == n - 1);
    }
}

/* Around the limit of the list, with bits behind the end that do not count. */
static void test_mask(const struct kern_ops *ops)
{
    enum { N = 333, LIMIT = 40 };
    static const unsigned lengths[] = {0, 1, 7, 63, 64, 65, 128, 200, N};
    float x[N + 64];
    uint64_t bits[(N + 63) / 64 + 1];
    int32_t ids[LIMIT];
    uint64_t state = 7;

    for (unsigned k = 0; k < 8 * sizeof(lengths) / sizeof(lengths[0]); k++) {
        unsigned n = lengths[k / 8], count = 0, wrong = 0;
        size_t got;

        for (unsigned w = 0; w < sizeof(bits) / sizeof(bits[0]); w++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            bits[w] = k % 8 == 0   ? 0
                      : k % 8 == 1 ? UINT64_MAX
                      : k % 8 < 5  ? state & state << 13 & state << 29
                                   : state | state << 17;
        }
        for (unsigned i = 0; i < N + 64; i++)
            x[i] = (float)i;
        for (unsigned i = 0; i < n; i++)
            count += (unsigned)(bits[i / 64] >> i % 64 & 1);
        got = ops->mask(x, bits, n, ids, LIMIT);
        CHECK(got == (count > LIMIT ? KERN_MASK_MANY : count));
        for (unsigned i = 0, at = 0; i < N + 64; i++) {
            bool may = i >= n || (bits[i / 64] >> i % 64 & 1) != 0;

            wrong += count > LIMIT && !may ? !isinf(x[i]) || x[i] > 0 : x[i] != (float)i;
            if (count <= LIMIT && i < n && may)
                wrong += ids[at++] != (int32_t)i;
        }
        CHECK(wrong == 0);
    }
}

/* Infinities, NaN and extremes do not crash, and spoil only what they must. */
static void test_not_finite(const struct kern_ops *ops)
{
    float x[5] = {INFINITY, -INFINITY, NAN, 1000.0f, -1000.0f}, y[5] = {1, 1, 1, 1, 1}, out[5];

    ops->silu_mul(out, x, y, 5);
    CHECK(isinf(out[0]) && isnan(out[2]) && out[3] == 1000.0f && fabsf(out[4]) < 1e-30f);
    ops->softmax(x, 5, 1.0f);
    CHECK(isnan(x[2]));
    x[0] = -INFINITY, x[1] = 1, x[2] = -INFINITY, x[3] = 1, x[4] = -500;
    ops->softmax(x, 5, 1.0f);
    CHECK(x[0] == 0 && x[1] == 0.5f && x[2] == 0 && x[3] == 0.5f && x[4] == 0);
    x[0] = NAN, x[1] = 90, x[2] = -90, x[3] = INFINITY, x[4] = 0;
    ops->gelu(x, 5);
    CHECK(isnan(x[0]) && x[1] == 90 && fabsf(x[2]) < 1e-6f && x[4] == 0);
    CHECK(isinf(x[3]) || isnan(x[3]));
    x[0] = NAN;
    ops->layer_norm(out, x, y, y, 5, 1e-5f);
    CHECK(isnan(out[1]));
    ops->rms_norm(out, x, NULL, 5, 1e-5f);
    CHECK(isnan(out[1]));
}

static void test_table(const struct kern_ops *ops)
{
    static struct vectors v;
    uint64_t seed = 42;

    for (unsigned i = 0; i < N_SIZES; i++) {
        vectors_fill(&v, sizes[i], &seed);
        test_rms_norm(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        if (sizes[i] > 1)
            test_layer_norm(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_gelu(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_silu_mul(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_gelu_mul(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_soft_cap(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_add(ops, &v, sizes[i]);
        vectors_fill(&v, sizes[i], &seed);
        test_softmax(ops, &v, sizes[i]);
    }
    test_rope(ops);
    test_argmax(ops);
    test_mask(ops);
    test_not_finite(ops);
}

static void test_bandwidth(void)
{
    double one = kern_read_bandwidth(1), two = kern_read_bandwidth(2);

    CHECK(one > 0.05 && one < 5000 && two > 0.05 && two < 5000);
}

static void test_cuda_face(void)
{
    struct kern_cuda *c = NULL;
    struct kern_cuda_info info;
    struct gw_err err = {0};

    if (kern_cuda_count() > 0) {
        CHECK(kern_cuda_open(0, &c, &info, &err) == GW_OK && c != NULL);
        kern_cuda_close(c);
        return;
    }
    CHECK(kern_cuda_reason()[0] != '\0');
    CHECK(kern_cuda_open(0, &c, &info, &err) == GW_EUNSUPPORTED && c == NULL);
    CHECK(err.text[0] != '\0');
    kern_cuda_close(NULL);
    kern_cuda_buf_free(NULL);
    kern_cuda_matrix_free(NULL);
}

int main(void)
{
    for (unsigned i = 0; i < UTIL_N_TABLES; i++) {
        const struct kern_ops *ops = util_table(util_tables[i]);

        if (ops != NULL)
            test_table(ops);
    }
    test_bandwidth();
    test_cuda_face();
    return test_done();
}
