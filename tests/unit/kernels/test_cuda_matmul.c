/* tests/unit/kernels/test_cuda_matmul.c - the GPU's products, run on the emulated device, against the scalar table: all types, tails of
 * rows, columns and tokens, 8 and 16 bits of activations, every order of threads; with the instructions of 8.0 and of 9.0. */
#include "kernels/cuda.h"
#include "tests/simt/knobs.h"
#include "tests/unit/kernels/util.h"

static const enum kern_type types[] = {
    KERN_TYPE_Q4_0, KERN_TYPE_Q4_1, KERN_TYPE_Q8_0, KERN_TYPE_Q4_K,
    KERN_TYPE_Q5_K, KERN_TYPE_Q6_K, KERN_TYPE_F16,  KERN_TYPE_BF16,
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]), STRIDE = 3 };

static struct kern_cuda *dev;

static void *device(size_t bytes, const void *from, struct kern_cuda_buf **b)
{
    struct gw_err err = {0};

    CHECK(kern_cuda_buf_new(dev, bytes, b, &err) == GW_OK);
    if (from != NULL)
        CHECK(kern_cuda_upload(*b, 0, from, bytes, &err) == GW_OK);
    return kern_cuda_at(*b, 0);
}

/* A product's operands in both places, and what it must be. */
struct product {
    enum kern_type type;
    size_t rows, cols, stride;
    unsigned n;
    bool fine;
    uint8_t *gguf;
    float *x, *want, *size; /* size: the sum of |w x| */
    struct kern_cuda_matrix *w;
    struct kern_cuda_buf *bx, *ba, *bo;
    struct kern_cuda_acts a;
};

static void reference(const struct product *p, const uint8_t *gguf, float *want, float *size)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    const enum kern_acts_form form = p->fine ? KERN_ACTS_FINE : KERN_ACTS_COARSE;
    void *mem = util_alloc(kern_acts_bytes(p->n, p->cols, form));
    float *row = util_alloc(p->cols * 4);
    struct kern_acts acts;
    struct kern_matrix m;
    struct gw_err err = {0};
    size_t row_bytes = 0;

    CHECK(kern_matrix_pack(ops, p->type, p->rows, p->cols, gguf, NULL, &m, &err) == GW_OK);
    kern_acts_init(&acts, mem, p->n, p->cols, form, p->x, p->cols);
    ops->quantize(&acts, 0, p->n);
    ops->matmul(&m, &acts, p->n, want, p->stride, 0, p->rows);
    CHECK(kern_row_bytes(p->type, p->cols, &row_bytes));
    for (size_t r = 0; r < p->rows; r++) {
        kern_row_f32(p->type, gguf + r * row_bytes, p->cols, row);
        for (unsigned t = 0; t < p->n; t++) {
            double sum = 0;

            for (size_t k = 0; k < p->cols; k++)
                sum += fabs((double)row[k] * (double)p->x[t * p->cols + k]);
            size[t * p->stride + r] = (float)sum;
        }
    }
    free(mem);
    free(row);
}

static void product_make(struct product *p, enum kern_type type, size_t rows, size_t cols,
                         unsigned n, bool fine)
{
    uint64_t seed = rows * 7 + cols * 3 + n + (unsigned)type;
    const size_t bytes = kern_cuda_acts_bytes(n, cols, fine);
    struct gw_err err = {0};

    *p = (struct product){
        .type = type, .rows = rows, .cols = cols, .stride = rows + STRIDE, .n = n, .fine = fine};
    p->gguf = util_matrix(type, rows, cols, &seed);
    p->x = util_alloc(n * cols * 4);
    p->want = util_alloc(n * p->stride * 4);
    p->size = util_alloc(n * p->stride * 4);
    util_fill(p->x, n * cols, &seed);
    /* What 16 bits hold, so that rounding to them is not what is compared. */
    for (size_t i = 0; !kern_type_info(type)->quantized && i < n * cols; i++) {
        uint32_t u;

        memcpy(&u, &p->x[i], 4);
        u &= 0xffff0000u;
        memcpy(&p->x[i], &u, 4);
    }
    reference(p, p->gguf, p->want, p->size);
    CHECK(kern_cuda_matrix_new(dev, type, rows, cols, p->gguf, false, &p->w, &err) == GW_OK);
    kern_cuda_acts_init(&p->a, device(bytes, NULL, &p->ba), n, cols, fine,
                        device(n * cols * 4, p->x, &p->bx));
    kern_cuda_quantize(dev, &p->a);
    device(n * p->stride * 4, NULL, &p->bo);
}

static void product_free(struct product *p)
{
    kern_cuda_matrix_free(p->w);
    kern_cuda_buf_free(p->bx);
    kern_cuda_buf_free(p->ba);
    kern_cuda_buf_free(p->bo);
    free(p->gguf);
    free(p->x);
    free(p->want);
    free(p->size);
}

static void fetch(const struct kern_cuda_buf *b, float *to)
{
    struct gw_err err = {0};

    CHECK(kern_cuda_download(b, 0, to, kern_cuda_buf_bytes(b), &err) == GW_OK);
    CHECK(kern_cuda_sync(dev, &err) == GW_OK);
}

static void test_matmul(enum kern_type type, size_t rows, size_t cols, unsigned n, bool fine)
{
    struct product p;
    float *got, *again;
    size_t wrong = 0, bytes;

    product_make(&p, type, rows, cols, n, fine);
    bytes = n * p.stride * 4;
    got = util_alloc(bytes);
    again = util_alloc(bytes);
    for (unsigned order = 0; order < 3; order++) {
        float *to = order == 0 ? got : again;

        simt_set_order(order < 2 ? order : 1 + n + (unsigned)rows);
        kern_cuda_zero(dev, kern_cuda_at(p.bo, 0), bytes);
        kern_cuda_matmul(dev, p.w, &p.a, kern_cuda_at(p.bo, 0), p.stride, false);
        fetch(p.bo, to);
        if (order > 0)
            CHECK(memcmp(got, again, bytes) == 0);
    }
    simt_set_order(0);
    for (unsigned t = 0; t < n; t++) {
        for (size_t r = 0; r < rows; r++) {
            const size_t i = t * p.stride + r;

            wrong += !(fabsf(got[i] - p.want[i]) <= KERN_TOL_MATMUL * p.size[i] + 1e-30f);
        }
        for (size_t r = rows; r < p.stride; r++) /* what is between the tokens is not ours */
            wrong += got[t * p.stride + r] != 0;
    }
    kern_cuda_matmul(dev, p.w, &p.a, kern_cuda_at(p.bo, 0), p.stride, true);
    fetch(p.bo, again);
    for (unsigned t = 0; t < n; t++)
        for (size_t r = 0; r < rows; r++)
            wrong += again[t * p.stride + r] != 2 * got[t * p.stride + r];
    if (!CHECK(wrong == 0))
        printf("%s %zu x %zu, %u tokens, fine %d: %zu wrong\n", kern_type_info(type)->name, rows,
               cols, n, fine, wrong);
    free(got);
    free(again);
    product_free(&p);
}

/* A token's result is the same bits alone and with seven others. */
static void test_company(enum kern_type type, bool fine)
{
    struct product p;
    float eight[8 * 43], one[43];
    unsigned differ = 0;

    product_make(&p, type, 40, 512, 8, fine);
    kern_cuda_matmul(dev, p.w, &p.a, kern_cuda_at(p.bo, 0), p.stride, false);
    fetch(p.bo, eight);
    for (unsigned t = 0; t < 8; t++) {
        struct kern_cuda_buf *ba = NULL, *bo = NULL;
        struct kern_cuda_acts a;

        kern_cuda_acts_init(&a, device(kern_cuda_acts_bytes(1, 512, fine), NULL, &ba), 1, 512, fine,
                            p.a.x + t * 512);
        kern_cuda_quantize(dev, &a);
        kern_cuda_matmul(dev, p.w, &a, device(sizeof(one), NULL, &bo), p.stride, false);
        fetch(bo, one);
        differ += memcmp(one, eight + t * p.stride, 40 * 4) != 0;
        kern_cuda_buf_free(ba);
        kern_cuda_buf_free(bo);
    }
    CHECK(differ == 0);
    product_free(&p);
}

static void test_gate_up(enum kern_type type, unsigned n, bool gelu)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    struct product p;
    struct kern_cuda_matrix *up = NULL;
    struct gw_err err = {0};
    uint64_t seed = n;
    const size_t rows = 40, cols = 256;
    uint8_t *gguf = util_matrix(type, rows, cols, &seed);
    float *want = util_alloc(n * 43 * 4), *size = util_alloc(n * 43 * 4),
          *got = util_alloc(n * 43 * 4);
    unsigned wrong = 0;

    product_make(&p, type, rows, cols, n, false);
    reference(&p, gguf, want, size);
    CHECK(kern_cuda_matrix_new(dev, type, rows, cols, gguf, false, &up, &err) == GW_OK);
    kern_cuda_gate_up(dev, p.w, up, &p.a, gelu ? KERN_CUDA_GELU : KERN_CUDA_SILU,
                      kern_cuda_at(p.bo, 0));
    fetch(p.bo, got);
    for (unsigned t = 0; t < n; t++) {
        float *g = p.want + t * p.stride, *u = want + t * p.stride;

        for (size_t r = 0; r < rows; r++) /* the most that an error of one of the factors makes */
            size[t * p.stride + r] = 2 * KERN_TOL_MATMUL *
                                     (p.size[t * p.stride + r] * (fabsf(u[r]) + 1) +
                                      size[t * p.stride + r] * (fabsf(g[r]) + 1));
        (gelu ? ops->gelu_mul : ops->silu_mul)(g, g, u, rows);
        for (size_t r = 0; r < rows; r++)
            wrong += !(fabsf(got[t * rows + r] - g[r]) <= size[t * p.stride + r]);
    }
    if (!CHECK(wrong == 0))
        printf("gate and up, %s, %u tokens: %u wrong\n", kern_type_info(type)->name, n, wrong);
    kern_cuda_matrix_free(up);
    product_free(&p);
    free(gguf);
    free(want);
    free(size);
    free(got);
}

/* Products with many tokens on compute capability 9.0: other instructions, and the bits of the others where sums are integers. */
static void test_hopper(enum kern_type type, bool fine)
{
    const size_t block = kern_type_info(type)->block_elems;
    struct gw_err err = {0};
    struct product p;
    float *old, *got;
    size_t bytes;

    simt_set_capability(9, 0);
    CHECK(kern_cuda_open(0, &dev, NULL, &err) == GW_OK);
    test_matmul(type, 41, block == 256 ? 256 : 32, 9, fine);
    test_matmul(type, 130, block == 256 ? 768 : 1120, 70, fine);
    test_matmul(type, 300, block == 256 ? 256 : 96, 140, fine);
    product_make(&p, type, 70, 768, 20, fine);
    bytes = p.n * p.stride * 4;
    old = util_alloc(bytes);
    got = util_alloc(bytes);
    kern_cuda_zero(dev, kern_cuda_at(p.bo, 0), bytes);
    kern_cuda_matmul(dev, p.w, &p.a, kern_cuda_at(p.bo, 0), p.stride, false);
    fetch(p.bo, got);
    product_free(&p);
    kern_cuda_close(dev);

    simt_set_capability(8, 0);
    CHECK(kern_cuda_open(0, &dev, NULL, &err) == GW_OK);
    product_make(&p, type, 70, 768, 20, fine);
    kern_cuda_zero(dev, kern_cuda_at(p.bo, 0), bytes);
    kern_cuda_matmul(dev, p.w, &p.a, kern_cuda_at(p.bo, 0), p.stride, false);
    fetch(p.bo, old);
    if (kern_type_info(type)->quantized)
        CHECK(memcmp(old, got, bytes) == 0);
    product_free(&p);
    kern_cuda_close(dev);
    free(old);
    free(got);
}

/* e4m3 by search: the value of a code, the code nearest to a value (of two, the even one), a value rounded to what a code holds. */
static float code_value(unsigned code)
{
    const int e = (int)(code >> 3 & 15), m = (int)(code & 7);
    const float f = e == 0 ? ldexpf((float)m, -9) : ldexpf(1 + (float)m / 8, e - 7);

    return code & 128 ? -f : f;
}

static float rounded(float f)
{
    unsigned best = 0;

    for (unsigned c = 1; c < 127; c++) {
        const float now = fabsf(code_value(c) - fabsf(f)), was = fabsf(code_value(best) - fabsf(f));

        if (now < was || (now == was && c % 2 == 0))
            best = c;
    }
    return copysignf(code_value(best), f);
}

/* The largest magnitude of n values. */
static float largest(const float *x, size_t n)
{
    float most = 0;

    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* A row of E4M3 as it is stored. bf16: what the tensor cores of other devices than Hopper's make of it. */
static void stored_row(const uint8_t *from, size_t cols, bool bf16, float *row)
{
    struct kern_block_e4m3 b;

    for (size_t i = 0; i < cols; i++) {
        uint32_t u;

        memcpy(&b, from + i / 128 * sizeof(b), sizeof(b));
        row[i] = b.d * code_value(b.q[i % 128]);
        memcpy(&u, &row[i], 4);
        u = bf16 ? (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u : u;
        memcpy(&row[i], &u, 4);
    }
}

/* Weights of any type as e4m3: what the two roundings leave, multiplied in doubles. hopper: activations are rounded too. */
static void test_e4m3(enum kern_type type, size_t rows, size_t cols, unsigned n, bool hopper)
{
    struct gw_err err = {0};
    struct kern_cuda_matrix *w = NULL;
    struct product p;
    float *row, *got, *again, *x;
    size_t row_bytes = 0, wrong = 0;

    product_make(&p, type, rows, cols, n, false);
    row = util_alloc(cols * 4);
    x = util_alloc(n * cols * 4);
    got = util_alloc(n * p.stride * 4);
    again = util_alloc(n * p.stride * 4);
    CHECK(kern_row_bytes(type, cols, &row_bytes));
    for (size_t i = 0; i < n * cols; i++) { /* bf16: what the other devices round to */
        uint32_t u;

        memcpy(&u, &p.x[i], 4);
        u &= 0xffff0000u;
        memcpy(&p.x[i], &u, 4);
    }
    CHECK(kern_cuda_upload(p.bx, 0, p.x, n * cols * 4, &err) == GW_OK);
    memcpy(x, p.x, n * cols * 4);
    for (size_t i = 0; hopper && n > KERN_CUDA_GEMV_TOKENS && i < n * cols;) {
        const size_t in = i % cols, len = cols - in < 128 ? cols - in : 128;
        const float most = largest(x + i, len);

        for (const size_t end = i + len; i < end; i++)
            x[i] = most == 0 ? 0 : rounded(x[i] * (448.0f / most)) * (most / 448.0f);
    }
    for (size_t r = 0; r < rows; r++) {
        kern_row_f32(type, p.gguf + r * row_bytes, cols, row);
        if (type == KERN_TYPE_E4M3)
            stored_row(p.gguf + r * row_bytes, cols, !hopper && n > KERN_CUDA_GEMV_TOKENS, row);
        for (size_t i = type == KERN_TYPE_E4M3 ? cols : 0; i < cols;) {
            const size_t len = cols - i < 128 ? cols - i : 128;
            const float most = largest(row + i, len);
            float scale = 1;

            while (most > 0 && most / scale > 448)
                scale *= 2;
            while (most > 0 && most / scale <= 224)
                scale /= 2;
            for (const size_t end = i + len; i < end; i++)
                row[i] = rounded(row[i] / scale) * scale;
        }
        for (unsigned t = 0; t < n; t++) {
            double sum = 0, size = 0;

            for (size_t k = 0; k < cols; k++) {
                sum += (double)row[k] * (double)x[t * cols + k];
                size += fabs((double)row[k] * (double)x[t * cols + k]);
            }
            p.want[t * p.stride + r] = (float)sum;
            p.size[t * p.stride + r] = (float)size;
        }
    }
    CHECK(kern_cuda_matrix_new_e4m3(dev, type, rows, cols, p.gguf, &w, &err) == GW_OK);
    for (unsigned order = 0; order < 3; order++) {
        simt_set_order(order < 2 ? order : 5 + n);
        kern_cuda_zero(dev, kern_cuda_at(p.bo, 0), n * p.stride * 4);
        kern_cuda_matmul(dev, w, &p.a, kern_cuda_at(p.bo, 0), p.stride, false);
        fetch(p.bo, order == 0 ? got : again);
        if (order > 0)
            CHECK(memcmp(got, again, n * p.stride * 4) == 0);
    }
    simt_set_order(0);
    for (size_t i = 0; i < n * p.stride; i++)
        wrong += i % p.stride < rows
                     ? !(fabsf(got[i] - p.want[i]) <= KERN_TOL_MATMUL * p.size[i] + 1e-30f)
                     : got[i] != 0;
    if (!CHECK(wrong == 0))
        printf("%s as e4m3, %zu x %zu, %u tokens, 9.0 %d: %zu wrong\n", kern_type_info(type)->name,
               rows, cols, n, hopper, wrong);
    if (n == 1) { /* a row of it: what was uploaded */
        const int32_t id = (int32_t)rows - 1;
        struct kern_cuda_buf *bi = NULL, *br = NULL;

        kern_cuda_rows(dev, w, device(4, &id, &bi), 1, 1, device(cols * 4, NULL, &br));
        fetch(br, x);
        CHECK(memcmp(x, row, cols * 4) == 0);
        kern_cuda_buf_free(bi);
        kern_cuda_buf_free(br);
    }
    kern_cuda_matrix_free(w);
    product_free(&p);
    free(row);
    free(x);
    free(got);
    free(again);
}

static void test_e4m3_shapes(int major)
{
    struct kern_cuda_info info = {0};
    struct gw_err err = {0};
    bool hopper;

    simt_set_capability(major, 0);
    CHECK(kern_cuda_open(0, &dev, &info, &err) == GW_OK);
    hopper = info.major == 9 && info.minor == 0; /* a real device is what it is */
    test_e4m3(KERN_TYPE_F16, 41, 160, 1, hopper);
    test_e4m3(KERN_TYPE_Q4_K, 20, 2304, 8, hopper);
    test_e4m3(KERN_TYPE_F16, 41, 160, 9, hopper);
    test_e4m3(KERN_TYPE_BF16, 300, 864, 140, hopper);
    test_e4m3(KERN_TYPE_E4M3, 41, 384, 1, hopper);
    test_e4m3(KERN_TYPE_E4M3, 130, 640, 37, hopper);
    kern_cuda_close(dev);
}

int main(void)
{
    struct gw_err err = {0};

    if (!CHECK(kern_cuda_open(0, &dev, NULL, &err) == GW_OK))
        return test_done();
    for (unsigned i = 0; i < N_TYPES; i++) {
        const enum kern_type t = types[i];
        const size_t block = kern_type_info(t)->block_elems;
        const size_t odd = block == 256 ? 768 : 160;

        for (unsigned fine = i % TEST_STEP % 2; fine < 2; fine += TEST_STEP) {
            test_matmul(t, 1, block < 32 ? 32 : block, 1, fine == 1);
            test_matmul(t, 41, odd, 3, fine == 1);
            test_matmul(t, 32, block == 256 ? 2304 : 2112, 8,
                        fine == 1); /* more chunks than warps times what is under way */
            test_matmul(t, 41, odd, 9, fine == 1);
            test_matmul(t, 130, block == 256 ? 512 : 352, 70, fine == 1);
            test_company(t, fine == 1);
        }
        test_gate_up(t, 5, i % 2 == 0);
        test_gate_up(t, 10, i % 2 == 1);
    }
    kern_cuda_close(dev);
    for (unsigned i = 0; i < N_TYPES; i++)
        for (unsigned fine = 0; fine < (kern_type_info(types[i])->quantized ? 2 : 1); fine++)
            test_hopper(types[i], fine == 1);
    test_e4m3_shapes(8);
    test_e4m3_shapes(9);
    CHECK(simt_memory_used() == 0);
    return test_done();
}
