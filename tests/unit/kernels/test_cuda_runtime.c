/* tests/unit/kernels/test_cuda_runtime.c - the GPU's runtime, layout and inputs of products on the emulated device (tests/simt): the
 * sources are those of the device. */
#include "kernels/cuda.h"
#include "kernels/cuda_nvml.h"
#include "kernels/cuda_repack.h"
#include "tests/simt/knobs.h"
#include "tests/unit/kernels/util.h"

static const enum kern_type types[] = {
    KERN_TYPE_Q4_0, KERN_TYPE_Q4_1, KERN_TYPE_Q8_0, KERN_TYPE_Q4_K,
    KERN_TYPE_Q5_K, KERN_TYPE_Q6_K, KERN_TYPE_F16,  KERN_TYPE_BF16,
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

static void test_drivers(void)
{
    struct kern_cuda *c = NULL;
    struct kern_cuda_health h = {.sm_mhz = 7};
    struct gw_err err = {0};

    for (int code = 35; simt_is_here() && code <= 100; code += 65) {
        simt_set_driver(code);
        CHECK(kern_cuda_count() == 0);
        CHECK(strstr(kern_cuda_reason(), "NVIDIA") != NULL);
        CHECK(kern_cuda_open(0, &c, NULL, &err) == GW_EUNSUPPORTED && c == NULL);
        CHECK(kern_cuda_health(0, &h, &err) == GW_EUNSUPPORTED);
    }
    simt_set_driver(0);
    CHECK(kern_cuda_count() >= 1 && kern_cuda_reason()[0] == '\0');
    CHECK(kern_cuda_open(kern_cuda_count(), &c, NULL, &err) == GW_EUNSUPPORTED && c == NULL);
    h.sm_mhz = 7;
    CHECK(cuda_nvml_health("no:such:bus", &h, &err) == GW_EUNSUPPORTED && h.sm_mhz == 7);
}

static void test_memory(struct kern_cuda *c)
{
    struct kern_cuda_buf *b = NULL, *big = NULL;
    struct gw_err err = {0};
    char in[100], out[100] = {0};
    void *host = NULL;
    const size_t before = simt_memory_used();

    memset(in, 'x', sizeof(in));
    CHECK(kern_cuda_buf_new(c, 100, &b, &err) == GW_OK && kern_cuda_buf_bytes(b) == 100);
    CHECK((uintptr_t)kern_cuda_at(b, 0) % 256 == 0 && kern_cuda_at(NULL, 5) == NULL);
    CHECK(kern_cuda_upload(b, 0, in, 100, &err) == GW_OK);
    CHECK(kern_cuda_upload(b, 1, in, 100, &err) == GW_EINVAL);
    CHECK(kern_cuda_upload(b, SIZE_MAX, in, 2, &err) == GW_EINVAL);
    CHECK(kern_cuda_download(b, 101, out, 0, &err) == GW_EINVAL);
    CHECK(kern_cuda_download(b, 40, out, 60, &err) == GW_OK && kern_cuda_sync(c, &err) == GW_OK);
    CHECK(memcmp(in, out, 60) == 0 && out[60] == 0);
    kern_cuda_zero(c, kern_cuda_at(b, 0), 50);
    kern_cuda_copy(c, kern_cuda_at(b, 50), kern_cuda_at(b, 0), 10);
    CHECK(kern_cuda_download(b, 0, out, 100, &err) == GW_OK && kern_cuda_sync(c, &err) == GW_OK);
    CHECK(out[0] == 0 && out[59] == 0 && out[60] == 'x');
    CHECK(kern_cuda_host_new(c, 64, &host, &err) == GW_OK && kern_cuda_host_at(c, host) != NULL);
    kern_cuda_host_free(c, host);

    /* Full is an answer: what was asked for is not there, all else goes on. */
    CHECK(kern_cuda_buf_new(c, (size_t)1 << 40, &big, &err) == GW_ENOMEM && big == NULL);
    CHECK(strstr(err.text, "memory") != NULL);
    CHECK(kern_cuda_reserve(c, (size_t)1 << 40, &err) == GW_ENOMEM);
    CHECK(kern_cuda_sync(c, &err) == GW_OK);
    kern_cuda_buf_free(b);
    kern_cuda_buf_free(NULL);
    CHECK(simt_memory_used() == before);
}

static void test_graphs(struct kern_cuda *c)
{
    struct kern_cuda_graph *g = NULL;
    struct kern_cuda_event *e[2] = {NULL, NULL};
    struct kern_cuda_buf *b = NULL;
    struct gw_err err = {0};
    char bytes[8] = "abcdefg", out[8];

    CHECK(kern_cuda_buf_new(c, 16, &b, &err) == GW_OK);
    CHECK(kern_cuda_event_new(c, &e[0], &err) == GW_OK);
    CHECK(kern_cuda_event_new(c, &e[1], &err) == GW_OK);
    CHECK(kern_cuda_upload(b, 0, bytes, 8, &err) == GW_OK);
    CHECK(kern_cuda_graph_begin(c, &err) == GW_OK);
    kern_cuda_copy(c, kern_cuda_at(b, 8), kern_cuda_at(b, 0), 8);
    CHECK(kern_cuda_graph_end(c, &g, &err) == GW_OK && g != NULL);
    for (char i = 0; i < 3; i++) {
        bytes[0] = (char)('0' + i); /* the same launches, other contents */
        CHECK(kern_cuda_upload(b, 0, bytes, 8, &err) == GW_OK);
        kern_cuda_event_mark(e[0]);
        kern_cuda_graph_launch(g);
        kern_cuda_event_mark(e[1]);
        CHECK(kern_cuda_download(b, 8, out, 8, &err) == GW_OK && kern_cuda_sync(c, &err) == GW_OK);
        CHECK(memcmp(out, bytes, 8) == 0);
    }
    CHECK(kern_cuda_event_ready(e[1]) && kern_cuda_event_ms(e[0], e[1]) >= 0);
    kern_cuda_event_wait(c, e[1]);
    kern_cuda_graph_free(g);
    kern_cuda_graph_free(NULL);
    kern_cuda_event_free(e[0]);
    kern_cuda_event_free(e[1]);
    kern_cuda_buf_free(b);
}

/* What lies on the device is the file's weight, for every row and column; rows come back as the CPU's, by id. */
static void test_rows(struct kern_cuda *c, enum kern_type type, size_t rows, size_t cols,
                      bool on_host)
{
    const struct kern_type_info *info = kern_type_info(type);
    struct kern_cuda_matrix *m = NULL;
    struct kern_cuda_buf *ids = NULL, *out = NULL;
    struct gw_err err = {0};
    uint64_t seed = rows * 31 + cols;
    uint8_t *gguf = util_matrix(type, rows, cols, &seed);
    int32_t *id = util_alloc((rows + 2) * sizeof(*id));
    float *got = util_alloc((rows + 2) * cols * sizeof(*got)), *want = util_alloc(cols * 4);
    size_t row_bytes = 0, wrong = 0;

    CHECK(kern_row_bytes(type, cols, &row_bytes));
    for (size_t i = 0; i < rows; i++)
        id[i] = (int32_t)(rows - 1 - i);
    id[rows] = -1;
    id[rows + 1] = (int32_t)rows;
    CHECK(kern_cuda_matrix_new(c, type, rows, cols, gguf, on_host, &m, &err) == GW_OK);
    CHECK(kern_cuda_buf_new(c, (rows + 2) * sizeof(*id), &ids, &err) == GW_OK);
    CHECK(kern_cuda_buf_new(c, (rows + 2) * cols * 4, &out, &err) == GW_OK);
    CHECK(kern_cuda_upload(ids, 0, id, (rows + 2) * sizeof(*id), &err) == GW_OK);
    kern_cuda_rows(c, m, kern_cuda_at(ids, 0), (unsigned)rows + 2, 2.0f, kern_cuda_at(out, 0));
    CHECK(kern_cuda_download(out, 0, got, (rows + 2) * cols * 4, &err) == GW_OK);
    CHECK(kern_cuda_sync(c, &err) == GW_OK);
    for (size_t i = 0; i < rows; i++) {
        kern_row_f32(type, gguf + (rows - 1 - i) * row_bytes, cols, want);
        for (size_t k = 0; k < cols; k++)
            wrong += !(fabsf(got[i * cols + k] - 2 * want[k]) <= 1e-6f * (1 + fabsf(want[k])));
    }
    for (size_t k = 0; k < 2 * cols; k++)
        wrong += got[rows * cols + k] != 0;
    if (!CHECK(wrong == 0))
        printf("%s %zu x %zu: %zu wrong\n", info->name, rows, cols, wrong);
    kern_cuda_matrix_free(m);
    kern_cuda_buf_free(ids);
    kern_cuda_buf_free(out);
    free(gguf);
    free(id);
    free(got);
    free(want);
}

static void test_layouts(struct kern_cuda *c)
{
    struct cuda_layout l = {.rows = 5};
    struct kern_cuda_matrix *m = NULL;
    struct gw_err err = {0};
    const uint8_t some[64] = {0};

    for (unsigned i = 0; i < N_TYPES; i++) {
        const size_t block = kern_type_info(types[i])->block_elems;

        CHECK(kern_cuda_has_type(types[i]));
        test_rows(c, types[i], 1, block > 32 ? block : 32, false);
        test_rows(c, types[i], 16, 256, false);
        test_rows(c, types[i], 41, block > 32 ? 3 * block : 160, i % 2 == 0);
    }
    test_rows(c, KERN_TYPE_F16, 3000, 2048, false); /* several pieces */
    CHECK(!kern_cuda_has_type(KERN_TYPE_F32) && !kern_cuda_has_type(4711));
    CHECK(!cuda_layout_make(KERN_TYPE_Q4_0, 0, 32, &l) &&
          !cuda_layout_make(KERN_TYPE_Q4_0, 1, 0, &l));
    CHECK(!cuda_layout_make(KERN_TYPE_Q4_0, 1, 33, &l) &&
          !cuda_layout_make(KERN_TYPE_Q4_K, 1, 32, &l));
    CHECK(!cuda_layout_make(KERN_TYPE_F16, 1, (uint64_t)1 << 40, &l) && l.rows == 5);
    CHECK(!cuda_layout_make(KERN_TYPE_F16, UINT64_MAX, 32, &l));
    CHECK(kern_cuda_matrix_new(c, KERN_TYPE_F32, 1, 32, some, false, &m, &err) == GW_EUNSUPPORTED);
    CHECK(kern_cuda_matrix_new(c, KERN_TYPE_F16, 1, 16, some, false, &m, &err) == GW_EINVAL);
    CHECK(kern_cuda_matrix_new(c, KERN_TYPE_F16, UINT64_MAX, 32, some, false, &m, &err) ==
          GW_ELIMIT);
    CHECK(kern_cuda_matrix_new(c, KERN_TYPE_F16, 1u << 31, 65536, some, false, &m, &err) ==
              GW_ENOMEM &&
          m == NULL);
}

/* The integers are those of the CPU, bit for bit. */
static void test_quantize(struct kern_cuda *c, unsigned n, size_t cols, bool fine, bool bad)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    struct kern_acts want;
    struct kern_cuda_acts a;
    struct kern_cuda_buf *bx = NULL, *ba = NULL;
    struct gw_err err = {0};
    uint64_t seed = cols + n;
    const enum kern_acts_form form = fine ? KERN_ACTS_FINE : KERN_ACTS_COARSE;
    const size_t bytes = kern_cuda_acts_bytes(n, cols, fine);
    float *x = util_alloc(n * cols * 4);
    void *mem = util_alloc(kern_acts_bytes(n, cols, form));
    unsigned char *got = util_alloc(bytes);
    size_t wrong = 0;

    util_fill(x, n * cols, &seed);
    if (bad) {
        x[3] = INFINITY;
        x[40] = NAN;
    }
    kern_acts_init(&want, mem, n, cols, form, x, cols);
    ops->quantize(&want, 0, n);
    CHECK(kern_cuda_buf_new(c, n * cols * 4, &bx, &err) == GW_OK);
    CHECK(kern_cuda_buf_new(c, bytes, &ba, &err) == GW_OK);
    CHECK(kern_cuda_upload(bx, 0, x, n * cols * 4, &err) == GW_OK);
    kern_cuda_acts_init(&a, kern_cuda_at(ba, 0), n, cols, fine, kern_cuda_at(bx, 0));
    kern_cuda_quantize(c, &a);
    CHECK(kern_cuda_download(ba, 0, got, bytes, &err) == GW_OK && kern_cuda_sync(c, &err) == GW_OK);
    for (unsigned t = 0; t < n; t++)
        for (size_t b = 0; b < cols / 32; b++) {
            const struct kern_act_block *w = want.blocks + t * want.stride + b;
            const size_t at = t * cols + b * 32, s = t * (cols / 32) + b;
            const unsigned char *base = kern_cuda_at(ba, 0);
            float d, ds;

            memcpy(&d, got + ((const unsigned char *)(a.d + s) - base), 4);
            memcpy(&ds, got + ((const unsigned char *)(a.ds + s) - base), 4);
            wrong += memcmp(got + ((const unsigned char *)(a.q + at) - base), w->q, 32) != 0;
            wrong += fine && memcmp(got + ((const unsigned char *)(a.r + at) - base),
                                    want.rests + (t * want.stride + b) * 32, 32) != 0;
            wrong += isnan(w->d) ? !isnan(d) || !isnan(ds) : d != w->d || ds != w->ds;
        }
    CHECK(wrong == 0);
    kern_cuda_buf_free(bx);
    kern_cuda_buf_free(ba);
    free(x);
    free(mem);
    free(got);
}

int main(void)
{
    struct kern_cuda *c = NULL;
    struct kern_cuda_info info;
    struct gw_err err = {0};

    test_drivers();
    if (!CHECK(kern_cuda_open(0, &c, &info, &err) == GW_OK))
        return test_done();
    CHECK(info.runs && info.major >= 8 &&
          (strstr(info.name, "emulated") != NULL) == simt_is_here());
    test_memory(c);
    test_graphs(c);
    test_layouts(c);
    for (unsigned order = 0; order < 3; order++) {
        simt_set_order(order);
        test_quantize(c, 1, 32, order == 1, false);
        test_quantize(c, 3, 352, order == 0, false);
        test_quantize(c, 2, 96, order == 2, true);
    }
    kern_cuda_close(c);
    kern_cuda_close(NULL);
    CHECK(simt_memory_used() == 0);
    return test_done();
}
