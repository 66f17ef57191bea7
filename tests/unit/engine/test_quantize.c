/* tests/unit/engine/test_quantize.c - block types written: how far off they are, and whole files. */
#include <math.h>
#include <unistd.h>

#include "engine/gguf_write.h"
#include "engine/quantize.h"
#include "kernels/encode.h"
#include "tests/test.h"
#include "tests/unit/engine/gguf_make.h"
#include "tests/unit/engine/rig.h"

enum { N = 4096 };

/* About normal: the sum of some uniform numbers. */
static float draw(uint64_t *s)
{
    float sum = 0;

    for (int i = 0; i < 6; i++) {
        *s = *s * 6364136223846793005ull + 1442695040888963407ull;
        sum += (float)(*s >> 40) / 16777216.0f - 0.5f;
    }
    return sum;
}

/* Root mean square of the error over that of the weights. */
static double error_of(enum kern_type type, const float *x)
{
    static char blocks[N * 4];
    static float y[N];
    double error = 0, size = 0;

    kern_encode_row(type, x, N, blocks);
    kern_row_f32(type, blocks, N, y);
    for (size_t i = 0; i < N; i++) {
        error += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        size += (double)x[i] * (double)x[i];
    }
    return sqrt(error / size);
}

/* Errors of normal weights are known for each number of bits: within what is usual for the format. */
static void test_errors(void)
{
    static const struct {
        enum kern_type type;
        double least, most;
    } cases[] = {
        {KERN_TYPE_F32, 0, 0},         {KERN_TYPE_F16, 1e-5, 4e-4},   {KERN_TYPE_BF16, 1e-4, 3e-3},
        {KERN_TYPE_Q8_0, 1e-3, 8e-3},  {KERN_TYPE_Q4_0, 0.05, 0.11},  {KERN_TYPE_Q4_1, 0.05, 0.10},
        {KERN_TYPE_Q5_0, 0.02, 0.055}, {KERN_TYPE_Q5_1, 0.02, 0.05},  {KERN_TYPE_Q4_K, 0.04, 0.08},
        {KERN_TYPE_Q5_K, 0.02, 0.04},  {KERN_TYPE_Q6_K, 0.008, 0.025}};
    static float x[N];
    uint64_t seed = 5;

    for (size_t i = 0; i < N; i++)
        x[i] = 0.02f * draw(&seed);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const double e = error_of(cases[i].type, x);

        if (!CHECK(e >= cases[i].least && e <= cases[i].most))
            printf("%s: %g\n", kern_type_info(cases[i].type)->name, e);
    }
    CHECK(error_of(KERN_TYPE_Q4_K, x) < error_of(KERN_TYPE_Q4_0, x));
    CHECK(!kern_can_encode(KERN_TYPE_MXFP4) && kern_can_encode(KERN_TYPE_Q4_K));
}

/* Zeros stay, constants come close, and nothing that is not finite is dangerous. */
static void test_odd_rows(void)
{
    static char blocks[N * 4];
    static float x[N], y[N];
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-38f, -0.0f};

    for (uint32_t type = 0; type < 64; type++) {
        double worst = 0;

        if (!kern_can_encode(type))
            continue;
        memset(x, 0, sizeof(x));
        CHECK(kern_type_info(type) != NULL);
        kern_encode_row((enum kern_type)type, x, N, blocks);
        kern_row_f32((enum kern_type)type, blocks, N, y);
        for (size_t i = 0; i < N; i++)
            worst = fmax(worst, fabs((double)y[i]));
        CHECK(worst == 0);
        for (size_t i = 0; i < N; i++)
            x[i] = i / 256 % 2 != 0 ? 0.5f : -0.25f;
        CHECK(error_of((enum kern_type)type, x) < 0.01);
        for (size_t i = 0; i < N; i++)
            x[i] = odd[i % 6 + (i / 256 % 2 != 0 && i % 6 < 3 ? 3 : 0)];
        kern_encode_row((enum kern_type)type, x, N, blocks);
        kern_row_f32((enum kern_type)type, blocks, N, y);
    }
}

/* ---- files -------------------------------------------------------------------------------------------- */

/* Quantizes the file at `from` as that type to a new one; the caller closes and removes it. */
static struct gguf *quantized(const char *from, const char *type, const char *to, struct pool *p)
{
    struct quantize_job job = {.type = type, .path = to, .p = p};
    struct gguf *g = NULL, *out = NULL;
    struct gw_err err = {0};

    (void)unlink(to);
    if (!CHECK(gguf_open(from, &g, &err) == GW_OK))
        return NULL;
    job.g = g;
    if (!CHECK(quantize_file(&job, &err) == GW_OK) || !CHECK(gguf_open(to, &out, &err) == GW_OK))
        printf("%s: %s\n", type, err.text);
    else
        CHECK(gguf_file_bytes(out) == job.bytes);
    CHECK(quantize_file(&job, &err) == GW_EEXIST);
    gguf_close(g);
    return out;
}

/* The generator rounds the same numbers by its own code: the same bytes. */
static void test_exact(const char *models, const char *type, struct pool *p)
{
    char from[PATH_MAX], to[] = "/tmp/test_quantize_XXXXXX";
    struct gguf *g, *want = NULL;
    int differ = 0, compared = 0, fd = mkstemp(to);

    if (!CHECK(fd >= 0))
        return;
    (void)close(fd);
    (void)snprintf(from, sizeof(from), "%s/tiny-llama-%s.gguf", models, type);
    if (!CHECK(gguf_open(from, &want, NULL) == GW_OK))
        return;
    (void)snprintf(from, sizeof(from), "%s/tiny-llama-F32.gguf", models);
    g = quantized(from, type, to, p);
    for (size_t i = 0; g != NULL && i < gguf_n_tensors(want); i++) {
        const struct gguf_tensor *a = gguf_tensor_at(want, i);
        const struct gguf_tensor *b = gguf_tensor_at(g, i);

        CHECK(gw_span_eq(a->name, b->name) && a->type == b->type && a->bytes == b->bytes);
        if (gw_span_is(a->name, "output.weight") && strcmp(type, "Q8_0") != 0)
            continue; /* random blocks there */
        compared++;
        differ += memcmp(a->data, b->data, a->bytes) != 0;
    }
    CHECK(differ == 0 && compared > 10);
    gguf_close(g);
    gguf_close(want);
    (void)unlink(to);
}

/* Every type loads again and gives about the same logits. */
static void test_logits(const char *models, struct pool *p)
{
    static const char *const types[] = {"F16", "Q8_0", "Q5_K_M", "Q4_K_M", "Q6_K", "Q4_1"};
    static float want[2048];
    char from[PATH_MAX], to[] = "/tmp/test_quantize_XXXXXX";
    int fd = mkstemp(to);

    if (!CHECK(fd >= 0))
        return;
    (void)close(fd);
    (void)snprintf(from, sizeof(from), "%s/tiny-qwen3-F32.gguf", models);
    for (size_t i = 0; i <= sizeof(types) / sizeof(types[0]); i++) {
        const int32_t tokens[] = {300, 17, 512, 44};
        struct kvcache_seq s = {0};
        struct forward_run run = {.seq = &s, .tokens = tokens, .n_tokens = 4, .n_logits = 1};
        double dot = 0, a = 0, b = 0;
        struct rig r;

        if (i > 0)
            gguf_close(quantized(from, types[i - 1], to, p));
        if (!CHECK(rig_init(&r, i == 0 ? from : to, NULL, 1, NULL) == GW_OK))
            break;
        CHECK(kvcache_reserve(r.kv, &s, 4) == GW_OK);
        forward_step(r.f, &run, 1);
        for (size_t k = 0; k < r.m.n_vocab && k < 2048; k++) {
            const float z = forward_logits(r.f, run.logits_row)[k];

            if (i == 0)
                want[k] = z;
            dot += (double)z * (double)want[k];
            a += (double)z * (double)z;
            b += (double)want[k] * (double)want[k];
        }
        if (!CHECK(dot / sqrt(a * b) > (i == 0 || i == 1 ? 0.9999 : 0.93)))
            printf("%s: cosine %f\n", i == 0 ? "F32" : types[i - 1], dot / sqrt(a * b));
        kvcache_release(r.kv, &s);
        rig_fini(&r);
    }
    (void)unlink(to);
}

static void test_refusals(struct pool *p)
{
    struct gw_buf b = {0};
    struct gw_err err = {0};
    struct gguf *g = NULL;
    struct quantize_job job = {.type = "Q3_K_M", .path = "/tmp/no-such-folder/x.gguf", .p = p};

    make_model(&b, &make_small, &make_small, NULL);
    if (CHECK(gguf_open_memory(b.ptr, b.len, &g, &err) == GW_OK)) {
        job.g = g;
        CHECK(quantize_file(&job, &err) == GW_EINVAL && strstr(err.text, "Q4_K_M") != NULL);
        job.type = "Q8_0";
        CHECK(quantize_file(&job, &err) == GW_EIO && strstr(err.text, "cannot create") != NULL);
    }
    gguf_close(g);
    gw_buf_fini(&b);
}

int main(void)
{
    char why[256] = "the model generator failed";
    const char *models = rig_models(why);
    struct pool *p = NULL;

    if (!CHECK(pool_new(2, &p, NULL) == GW_OK))
        return test_done();
    test_errors();
    test_odd_rows();
    test_refusals(p);
    if (models == NULL) {
        test_skip(why);
    } else {
        test_exact(models, "Q8_0", p);
        test_exact(models, "Q4_0", p);
        test_logits(models, p);
    }
    pool_free(p);
    return test_done();
}
