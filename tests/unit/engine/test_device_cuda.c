/* tests/unit/engine/test_device_cuda.c - whole models on the emulated GPU (tests/simt) against the CPU: logits of prompts and of single tokens,
 * several sequences at once, shared prefixes, copies of pages, layers on both sides, several GPUs; and what is refused, with which words. */
#include "tests/unit/engine/device_logits.h"

/* ---- company, prefixes, forks --------------------------------------------------------------- */

static void test_shared(const char *path)
{
    const size_t n = (size_t)SEQS * TAIL * MAX_VOCAB;
    float *want = calloc(n, 4), *got = calloc(n, 4);
    struct rig cpu;
    struct bed b;

    if (CHECK(cpu_init(&cpu, path) == GW_OK) && read_shared(&cpu, want) &&
        CHECK(bed_init(&b, path, "cuda:0", NULL) == GW_OK)) {
        if (read_shared(&b.r, got)) {
            const double off = differ(got, want, (size_t)SEQS * TAIL * cpu.m.n_vocab);

            printf("shared prefix: off by %.2e\n", off);
            CHECK(off < 2e-3);
        }
        bed_fini(&b);
    }
    rig_fini(&cpu);
    free(want);
    free(got);
}

/* ---- where layers lie ----------------------------------------------------------------------- */

static void same_as_cpu(struct bed *b, const char *path, const char *what)
{
    float *want = calloc((PROMPT + DECODE) * MAX_VOCAB, 4),
          *got = calloc((PROMPT + DECODE) * MAX_VOCAB, 4);
    struct rig cpu;

    if (CHECK(cpu_init(&cpu, path) == GW_OK) && read_all(&cpu, PROMPT + DECODE, want) &&
        read_all(&b->r, PROMPT + DECODE, got)) {
        const double off = differ(got, want, (PROMPT + DECODE) * cpu.m.n_vocab);

        printf("%s (%s): off by %.2e\n", what, b->d->words, off);
        CHECK(off < 2e-3);
    }
    rig_fini(&cpu);
    free(want);
    free(got);
}

/* With too little memory for all layers the first ones stay on the CPU; with none for one there is an answer. */
static void test_little_memory(const char *path)
{
    size_t low = 0, high = (size_t)1 << 30;
    struct gw_err err = {0};
    struct bed b = {0};
    bool found = false;

    for (unsigned i = 0; i < 24 && !found; i++) {
        const size_t mid = low + (high - low) / 2;
        const enum gw_status st = (simt_set_memory(mid), bed_init(&b, path, "cuda:0", &err));

        if (st != GW_OK) {
            CHECK(st == GW_ENOMEM);
            low = mid;
            continue;
        }
        found = b.d->first_layer != 0;
        if (found)
            same_as_cpu(&b, path, "layers on both sides");
        bed_fini(&b);
        high = mid;
    }
    CHECK(found);
    simt_set_memory((size_t)64 << 20);
    CHECK(bed_init(&b, path, "cuda:0", &err) == GW_ENOMEM && strstr(err.text, "room") != NULL);
    simt_set_memory((size_t)1 << 32);
    CHECK(simt_memory_used() == 0);
}

static void test_two(const char *path)
{
    struct bed b = {0};
    struct gw_err err = {0};

    CHECK(bed_init(&b, path, "cuda:0,1", &err) == GW_EUNSUPPORTED);
    CHECK(strstr(err.text, "there is no GPU 1: there is 1") != NULL);
    simt_set_devices(2);
    if (CHECK(bed_init(&b, path, "auto", &err) == GW_OK)) {
        CHECK(strstr(b.d->words, "cuda:0") != NULL && strstr(b.d->words, "cuda:1") != NULL);
        same_as_cpu(&b, path, "two GPUs");
        bed_fini(&b);
    }
    simt_set_devices(1);
    CHECK(simt_memory_used() == 0);
}

static void test_words(const char *path)
{
    static const char *const bad[] = {"gpu",     "cuda:",    "cuda:x",
                                      "cuda:0,", "cuda:0,0", "cuda:1000",
                                      "cuda:-1", "CPU",      "cuda:0,1,2,3,4,5,6,7,8"};
    struct device_spec spec = {0};
    struct gw_err err = {0};
    struct bed b;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(device_parse(bad[i], &spec, &err) == GW_EINVAL && strstr(err.text, bad[i]) != NULL);
    CHECK(device_parse("cuda:3,1", &spec, NULL) == GW_OK && spec.kind == DEVICE_CUDA &&
          spec.n_parts == 2 && spec.parts[0] == 3 && spec.parts[1] == 1);
    CHECK(device_parse(NULL, &spec, NULL) == GW_OK && spec.kind == DEVICE_AUTO);
    CHECK(device_parse("cpu", &spec, NULL) == GW_OK && !device_wanted(&spec));
    if (!simt_is_here())
        return;
    simt_set_driver(100);
    CHECK(check_device("cuda:0", ENGINE_KV_AUTO, &err) == GW_EUNSUPPORTED &&
          strstr(err.text, "there is no GPU") != NULL);
    CHECK(check_device("auto", ENGINE_KV_QJL, NULL) == GW_OK);
    CHECK(bed_init(&b, path, "auto", &err) == GW_ENOENT); /* the CPU, then */
    simt_set_driver(0);
}

int main(void)
{
    static const char *const families[] = {"llama", "llama3", "mistral", "qwen2",   "qwen3",
                                           "phi3",  "gemma2", "gemma3",  "mixtral", "qwen3moe"};
    static const char *const types[] = {"Q8_0", "Q4_0", "Q4_K_M", "F16"};
    char why[256] = "", path[512];
    const char *dir = rig_models(why);

    if (dir == NULL) {
        test_skip(why);
        return test_done();
    }
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f += TEST_STEP)
        for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
            if (f == 0 || t == f % 4)
                test_model(dir, families[f], types[t], 2e-3);
    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-Q8_0.gguf", dir);
    test_shared(path);
    /* A real machine has as many devices and as much memory as it has. */
    if (simt_is_here()) {
        test_two(path);
        test_little_memory(path);
    }
    test_words(path);
    return test_done();
}
