/* tests/unit/engine/test_device_tensor.c - whole models whose layers are shared by several emulated GPUs, against the CPU: every family, two GPUs and four,
 * keys and values of few bits, prefixes, pages in the host's memory, too little memory, a GPU that fails; and what is refused, with which words. */
#include "kernels/cuda.h"
#include "tests/simt/nccl.h"
#include "tests/unit/engine/device_logits.h"

/* The place of the largest. */
static size_t largest(const float *x, size_t n)
{
    size_t most = 0;

    for (size_t i = 1; i < n; i++)
        most = x[i] > x[most] ? i : most;
    return most;
}

static bool open_tensors(struct bed *b, const char *path, const char *gpus, struct gw_err *err)
{
    const struct bed_kind kind = {.type = KERN_KV_F16, .tensors = true};

    return bed_init_kind(b, path, gpus, &kind, err) == GW_OK;
}

static void test_share(const char *dir, const char *file, const char *gpus, double tolerance)
{
    float *want = calloc((PROMPT + DECODE) * MAX_VOCAB, 4),
          *got = calloc((PROMPT + DECODE) * MAX_VOCAB, 4);
    struct gw_err err = {0};
    char path[512];
    struct rig cpu;
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/%s.gguf", dir, file);
    if (!CHECK(cpu_init(&cpu, path) == GW_OK && cpu.m.n_vocab <= MAX_VOCAB) ||
        !CHECK(read_all(&cpu, PROMPT + DECODE, want)))
        goto out;
    if (!CHECK(open_tensors(&b, path, gpus, &err))) {
        printf("%s: %s\n", path, err.text);
        goto out;
    }
    CHECK(b.d->first_layer == 0 && strstr(b.d->words, "shared by tensors") != NULL &&
          strstr(b.d->words, gpus) != NULL);
    if (read_all(&b.r, PROMPT + DECODE, got)) {
        const size_t n = cpu.m.n_vocab;
        const double prompt = differ(got, want, PROMPT * n),
                     decode = differ(got + PROMPT * n, want + PROMPT * n, DECODE * n);
        unsigned same = 0;

        for (size_t i = 0; i < PROMPT + DECODE; i++)
            same += largest(got + i * n, n) == largest(want + i * n, n);
        printf("%s, %s: off by %.2e in the prompt, %.2e in decode; %u of %d greedy tokens\n", file,
               gpus, prompt, decode, same, PROMPT + DECODE);
        CHECK(prompt < tolerance && decode < tolerance && same == (unsigned)PROMPT + DECODE);
    }
    bed_fini(&b);
    CHECK(simt_memory_used() == 0);
out:
    rig_fini(&cpu);
    free(want);
    free(got);
}

/* GPUs that run ahead of each other as far as they may: the bits stay the same. */
static void test_late(const char *path, const char *gpus)
{
    enum { ALL = (PROMPT + DECODE) * MAX_VOCAB };
    float *want = calloc(ALL, 4), *got = calloc(ALL, 4);

    for (unsigned late = 0; late <= 2; late++) {
        struct bed b;

        simt_set_late(late);
        if (CHECK(open_tensors(&b, path, gpus, NULL))) {
            if (read_all(&b.r, PROMPT + DECODE, late == 0 ? want : got))
                CHECK(late == 0 || memcmp(want, got, ALL * sizeof(float)) == 0);
            bed_fini(&b);
        }
    }
    simt_set_late(0);
    CHECK(simt_memory_used() == 0);
    free(want);
    free(got);
}

/* Company, a shared prefix and copied pages, with keys and values of this kind. */
static void test_shared(const char *path, struct bed_kind kind, const char *what)
{
    const size_t n = (size_t)SEQS * TAIL * MAX_VOCAB;
    float *want = calloc(n, 4), *got = calloc(n, 4), *again = calloc(n, 4);
    struct rig cpu;
    struct bed b, one;

    /* With few bits a code at the border of two is another one: compare with one GPU, which has the CPU's within its own test. */
    if (CHECK(cpu_init_kind(&cpu, path, &kind) == GW_OK) &&
        CHECK(bed_init_kind(&one, path, "cuda:0", &kind, NULL) == GW_OK)) {
        const size_t all = (size_t)SEQS * TAIL * cpu.m.n_vocab;

        CHECK(read_shared(&one.r, want));
        kind.tensors = true;
        if (CHECK(bed_init_kind(&b, path, "cuda:1,0", &kind, NULL) == GW_OK)) {
            CHECK(device_token_bytes(b.d) == device_token_bytes(one.d));
            if (read_shared(&b.r, got) && (kind.type != KERN_KV_F16 || read_shared(&b.r, again))) {
                const double off = differ(got, want, all);

                printf("shared prefix, %s: off by %.2e\n", what, off);
                CHECK(off < (kind.type == KERN_KV_I4 ? 2e-2 : 2e-3));
                /* The same bits every time. */
                CHECK(kind.type != KERN_KV_F16 || memcmp(got, again, all * sizeof(float)) == 0);
            }
            bed_fini(&b);
        }
        bed_fini(&one);
    }
    rig_fini(&cpu);
    free(want);
    free(got);
    free(again);
}

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

/* Less and less memory: pages go to the host's, then layers to the CPU, then there is an answer. */
static void test_little_memory(const char *path)
{
    size_t low = 0, high = (size_t)1 << 30;
    bool far = false, layers = false;
    struct gw_err err = {0};
    struct bed b = {0};

    for (unsigned i = 0; i < 30 && !(far && layers); i++) {
        const size_t mid = low + (high - low) / 2;
        bool fits;

        simt_set_memory(mid);
        fits = open_tensors(&b, path, "cuda:0,1", &err);
        CHECK(fits || strstr(err.text, "room") != NULL || strstr(err.text, "memory") != NULL);
        if (fits && b.d->first_layer == 0 && b.d->far_tokens != 0 && !far) {
            far = true;
            same_as_cpu(&b, path, "pages on the host");
        }
        if (fits && b.d->first_layer != 0 && !layers) {
            layers = true;
            same_as_cpu(&b, path, "layers on both sides");
        }
        /* Towards where pages do not fit, then towards where layers do not. */
        if (!fits || (b.d->first_layer != 0 && !far))
            low = mid;
        else
            high = mid;
        if (fits)
            bed_fini(&b);
        if (far && !layers && high - low < 2)
            low = 0;
    }
    CHECK(layers);
    CHECK(far);
    simt_set_memory((size_t)64 << 20);
    CHECK(!open_tensors(&b, path, "cuda:0,1", &err) && strstr(err.text, "no room") != NULL);
    simt_set_memory((size_t)1 << 32);
    CHECK(simt_memory_used() == 0);
}

/* A launch that fails on one of them ends the step, and every further one, with its words. */
static void test_failure(const char *path)
{
    const int32_t ids[3] = {1, 2, 3};
    struct kvcache_seq s = {0};
    struct forward_run run = {.seq = &s, .tokens = ids, .n_tokens = 3, .n_logits = 1};
    struct bed b;

    for (unsigned long at = 1; at < 40; at += 7) {
        char words[200] = "";

        if (!CHECK(open_tensors(&b, path, "cuda:0,1", NULL)) ||
            !CHECK(kvcache_reserve(b.r.kv, &s, 3) == GW_OK))
            return;
        simt_fail_after(at);
        CHECK(forward_step(b.r.f, &run, 1) == GW_EIO);
        (void)snprintf(words, sizeof(words), "%s", forward_error(b.r.f));
        CHECK(strstr(words, "the GPU failed") != NULL);
        simt_fail_after(0);
        CHECK(forward_step(b.r.f, &run, 1) == GW_EIO && strcmp(words, forward_error(b.r.f)) == 0);
        kvcache_release(b.r.kv, &s);
        bed_fini(&b);
    }
    CHECK(simt_memory_used() == 0);
}

/* The same through NCCL, of which the tests have their own; and what happens when it fails. */
static void test_nccl(const char *dir, struct fake_nccl *nccl)
{
    const int32_t ids[3] = {1, 2, 3};
    struct kvcache_seq s = {0};
    struct forward_run run = {.seq = &s, .tokens = ids, .n_tokens = 3, .n_logits = 1};
    char path[512];
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-Q8_0.gguf", dir);
    CHECK(nccl->sums == 0);
    nccl->mode = FAKE_NCCL_WORKS;
    if (CHECK(open_tensors(&b, path, "cuda:0,1", NULL))) {
        CHECK(strstr(b.d->words, "(NCCL 2.99.1)") != NULL && nccl->joined == 2);
        bed_fini(&b);
    }
    test_share(dir, "tiny-llama3-Q8_0", "cuda:0,1", 2e-3);
    test_share(dir, "tiny-llama3-Q8_0", "cuda:2,0,1,3", 2e-3);
    CHECK(nccl->sums > 4u * (1 + DECODE) && nccl->joined == 0 && nccl->aborted == 0);
    nccl->mode = FAKE_NCCL_FAILS;
    nccl->sums = 0;
    if (CHECK(open_tensors(&b, path, "cuda:0,1", NULL)) &&
        CHECK(kvcache_reserve(b.r.kv, &s, 3) == GW_OK)) {
        CHECK(forward_step(b.r.f, &run, 1) == GW_OK); /* four sums, and the one at the start */
        CHECK(forward_step(b.r.f, &run, 1) == GW_EIO);
        CHECK(strstr(forward_error(b.r.f), "NCCL: emulated failure") != NULL);
        CHECK(nccl->aborted == 2 && nccl->joined == 0);
        CHECK(forward_step(b.r.f, &run, 1) == GW_EIO);
        kvcache_release(b.r.kv, &s);
        bed_fini(&b);
    }
    nccl->mode = FAKE_NCCL_OFF;
    if (CHECK(open_tensors(&b, path, "cuda:0,1", NULL))) {
        CHECK(strstr(b.d->words, "(copies, as NCCL failed: emulated failure)") != NULL);
        bed_fini(&b);
    }
    CHECK(simt_memory_used() == 0);
}

static void refused(const char *dir, const char *file, const char *gpus, const char *words)
{
    struct gw_err err = {0};
    char path[512];
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/%s.gguf", dir, file);
    if (!CHECK(!open_tensors(&b, path, gpus, &err))) {
        bed_fini(&b);
        return;
    }
    if (!CHECK(strstr(err.text, words) != NULL && strstr(err.text, "split: layers") != NULL))
        printf("%s\n", err.text);
    CHECK(simt_memory_used() == 0);
}

/* What `sluice serve --check` says without loading the model. */
static void check_split(const char *dir)
{
    static const struct {
        const char *device, *file;
        enum gw_status st;
        const char *words;
    } all[] = {
        {"cuda:0,1", "tiny-llama3-Q8_0", GW_OK, ""},
        {"cuda:0,1", "there-is-none", GW_OK, ""}, /* said elsewhere */
        {"cuda:0", "tiny-llama3-Q8_0", GW_EINVAL, "several GPUs"},
        {"auto", "tiny-llama3-Q8_0", GW_EINVAL, "cuda:0,1"},
        {"cpu", "tiny-llama3-Q8_0", GW_EINVAL, "cuda:0,1"},
        {"cuda:0,1,2", "tiny-llama3-Q8_0", GW_EUNSUPPORTED, "4 KV heads"},
        {"cuda:0,1", "tiny-gemma3-Q8_0", GW_EUNSUPPORTED, "1 KV heads"},
        {"cuda:0,1", "tiny-mixtral-Q8_0", GW_EUNSUPPORTED, "experts"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct gw_err err = {0};
        char path[512];
        struct engine_config cfg = {
            .model_path = path, .device = all[i].device, .split = ENGINE_SPLIT_TENSORS};

        (void)snprintf(path, sizeof(path), "%s/%s.gguf", dir, all[i].file);
        if (!CHECK(engine_check_split(&cfg, &err) == all[i].st &&
                   strstr(err.text, all[i].words) != NULL))
            printf("%s, %s: %s\n", all[i].device, all[i].file, err.text);
        cfg.split = ENGINE_SPLIT_LAYERS;
        CHECK(engine_check_split(&cfg, NULL) == GW_OK);
    }
}

int main(void)
{
    static const enum kern_kv_type mixed[8] = {KERN_KV_I8, KERN_KV_I4, KERN_KV_I4, KERN_KV_I4,
                                               KERN_KV_I4, KERN_KV_I4, KERN_KV_I4, KERN_KV_I4};
    static const char *const two[] = {"tiny-llama-Q8_0",     "tiny-llama3-Q4_0", "tiny-qwen2-F16",
                                      "tiny-qwen3-Q8_0",     "tiny-phi3-Q4_0",   "tiny-gemma2-Q8_0",
                                      "wide-mistral-Q4_K_M", "wide-gemma3-Q8_0"};
    static const char *const four[] = {"tiny-llama3-Q8_0", "tiny-phi3-F16", "wide-llama3-Q4_K_M"};
    char why[256] = "", path[512];
    const char *dir = rig_models(why);
    struct fake_nccl *nccl = NULL;
    unsigned n_gpus;

    /* On the emulated devices sums are made by copies at first: NCCL is there and off. */
    if (simt_is_here()) {
        simt_set_devices(4);
        nccl = fake_nccl_open();
    }
    n_gpus = kern_cuda_count();
    if (dir == NULL || n_gpus < 2) {
        test_skip(dir == NULL ? why : "there is one GPU, and tensors are for several");
        return test_done();
    }
    for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i += TEST_STEP)
        test_share(dir, two[i], "cuda:0,1", 2e-3);
    for (size_t i = 0; n_gpus >= 4 && i < sizeof(four) / sizeof(four[0]); i += TEST_STEP)
        test_share(dir, four[i], "cuda:0,1,2,3", 2e-3);
    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-Q8_0.gguf", dir);
    if (TEST_STEP == 1)
        test_shared(path, (struct bed_kind){.type = KERN_KV_F16}, "f16");
    test_shared(path, (struct bed_kind){.type = KERN_KV_I4, .layer_types = mixed}, "adaptive");
    refused(dir, "tiny-mistral-Q8_0", "cuda:0,1", "1 KV heads cannot be shared by 2 GPUs");
    refused(dir, "tiny-llama3-Q4_K_M", "cuda:0,1", "in blocks of 256");
    refused(dir, "tiny-mixtral-Q8_0", "cuda:0,1", "experts");
    check_split(dir);
    /* A real machine has as many devices and as much memory as it has. */
    if (!simt_is_here() || !CHECK(nccl != NULL))
        return test_done();
    refused(dir, "tiny-llama3-Q8_0", "cuda:0,1,2", "4 KV heads cannot be shared by 3 GPUs");
    test_late(path, "cuda:0,1");
    if (TEST_STEP == 1)
        test_late(path, "cuda:0,1,2,3");
    test_little_memory(path);
    test_failure(path);
    test_nccl(dir, nccl);
    return test_done();
}
