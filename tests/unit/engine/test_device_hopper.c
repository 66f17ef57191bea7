/* tests/unit/engine/test_device_hopper.c - whole models on the emulated GPU (tests/simt) of compute capability 9.0 against the CPU: prompts go through
 * the warpgroup products and tensor copies of kernels/cuda_wgmma.cu, single tokens do not. */
#include "tests/unit/engine/device_logits.h"

enum { TOKENS = PROMPT + DECODE };

/* What a device of that capability makes of the model; n_products: of a warpgroup, that it took. False: it does not open. */
static bool read_on(const char *path, int major, float *out, unsigned long *n_products)
{
    const unsigned long before = simt_warpgroup_products();
    struct gw_err err = {0};
    struct bed b;
    bool ok;

    simt_set_capability(major, 0);
    if (!CHECK(bed_init(&b, path, "cuda:0", &err) == GW_OK)) {
        printf("%s: %s\n", path, err.text);
        return false;
    }
    CHECK(b.d->first_layer == 0);
    ok = read_all(&b.r, TOKENS, out);
    bed_fini(&b);
    *n_products = simt_warpgroup_products() - before;
    return ok;
}

/* Against the CPU, and against the other way of the same products: integers give the same bits, floats are added in another order. */
static void test_ways(const char *dir, const char *family, const char *type, double tolerance)
{
    const size_t n = (size_t)TOKENS * MAX_VOCAB;
    float *want = calloc(n, 4), *got = calloc(n, 4), *other = calloc(n, 4);
    unsigned long products[2] = {0};
    const bool quantized = type[0] == 'Q';
    char path[512];
    struct rig cpu;

    (void)snprintf(path, sizeof(path), "%s/tiny-%s-%s.gguf", dir, family, type);
    if (CHECK(cpu_init(&cpu, path) == GW_OK && cpu.m.n_vocab <= MAX_VOCAB) &&
        read_all(&cpu, TOKENS, want) && read_on(path, 9, got, &products[0]) &&
        read_on(path, 8, other, &products[1])) {
        const size_t of = (size_t)TOKENS * cpu.m.n_vocab;
        const double off = differ(got, want, of), ways = differ(got, other, of);

        printf("%s %s: off by %.2e, from the other way by %.2e, %lu products\n", family, type, off,
               ways, products[0]);
        CHECK(off < tolerance && ways <= (quantized ? 0 : tolerance / 2));
        if (simt_is_here())
            CHECK(products[0] != 0 && products[1] == 0);
    }
    rig_fini(&cpu);
    free(want);
    free(got);
    free(other);
}

int main(void)
{
    /* Activations are rounded as the weights are: bf16 keeps 8 bits of them. */
    static const struct {
        const char *family, *type;
        double tolerance;
    } models[] = {
        {"llama3", "Q8_0", 1e-3},     {"llama", "Q4_K_M", 1e-3}, {"qwen3", "Q4_0", 1e-3},
        {"llama", "BF16", 1e-2},      {"mixtral", "Q8_0", 1e-3}, {"mixtral", "F16", 2e-3},
        {"qwen3moe", "Q4_K_M", 1e-3},
    };
    char why[256] = "";
    const char *dir = rig_models(why);

    if (dir == NULL) {
        test_skip(why);
        return test_done();
    }
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i += TEST_STEP)
        test_ways(dir, models[i].family, models[i].type, models[i].tolerance);
    simt_set_capability(8, 0);
    return test_done();
}
