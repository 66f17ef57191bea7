/* tests/unit/engine/test_device_kinds.c - models on the emulated GPU (tests/simt) against the CPU, in other ways than plain: keys and values of few
 * bits, adapters, and pages in the host's memory. */
#include "tests/simt/nccl.h"
#include "tests/unit/engine/device_bed.h"

/* ---- keys and values of few bits ------------------------------------------------------------ */

/* Rotated keys and values of 4 bits are the CPU's codes, but for numbers at the border of two of them. */
static void test_kv(const char *dir, const char *family, const struct bed_kind *kind,
                    const char *what)
{
    const size_t n = (size_t)SEQS * TAIL * MAX_VOCAB;
    float *want = calloc(n, 4), *got = calloc(n, 4), *plain = calloc(n, 4);
    struct rig cpu, f16;
    char path[512];
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/tiny-%s-Q8_0.gguf", dir, family);
    if (CHECK(cpu_init_kind(&cpu, path, kind) == GW_OK) && read_shared(&cpu, want) &&
        CHECK(cpu_init(&f16, path) == GW_OK) && read_shared(&f16, plain) &&
        CHECK(bed_init_kind(&b, path, "cuda:0", kind, NULL) == GW_OK)) {
        if (read_shared(&b.r, got)) {
            const size_t m = (size_t)SEQS * TAIL * cpu.m.n_vocab;
            const double off = differ(got, want, m), bits = differ(want, plain, m);

            printf("%s, %s: off by %.2e; what fewer bits change: %.2e\n", family, what, off, bits);
            CHECK(off < bits / 4);
            CHECK(device_token_bytes(b.d) ==
                  kvcache_token_bytes(&(struct kvcache_shape){.n_layers = cpu.m.n_layers,
                                                              .n_kv_heads = cpu.m.n_kv_heads,
                                                              .head_dim = cpu.m.head_dim,
                                                              .type = kind->type,
                                                              .layer_types = kind->layer_types}));
        }
        bed_fini(&b);
        rig_fini(&f16);
    }
    rig_fini(&cpu);
    free(want);
    free(got);
    free(plain);
}

static void test_kv_refused(const char *path)
{
    struct gw_err err = {0};
    struct bed b;

    CHECK(check_device("cuda:0", ENGINE_KV_POLAR4, &err) == GW_EUNSUPPORTED &&
          strstr(err.text, "polar4") != NULL && strstr(err.text, "int4") != NULL &&
          strstr(err.text, "device cpu") != NULL);
    CHECK(check_device("cuda:0", ENGINE_KV_I4, NULL) == GW_OK &&
          check_device("cuda:0", ENGINE_KV_FP8, NULL) == GW_OK &&
          check_device("cuda:0", ENGINE_KV_ADAPTIVE, NULL) == GW_OK &&
          check_device("auto", ENGINE_KV_QJL, NULL) == GW_OK);
    CHECK(bed_init_kind(&b, path, "cuda:0", &(struct bed_kind){.type = KERN_KV_QJL}, &err) ==
          GW_EUNSUPPORTED);
}

/* ---- adapters ------------------------------------------------------------------------------- */

static float random_of(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int32_t)(*seed >> 32) / 2147483648.0);
}

/* Changes of rank `rank` to every matrix whose bit is in kinds, of each layer. */
static struct lora *make_lora(const struct model *m, unsigned rank, unsigned kinds, uint64_t seed)
{
    const size_t att = (size_t)m->n_heads * m->head_dim, kv = (size_t)m->n_kv_heads * m->head_dim;
    const size_t shape[LORA_KINDS][2] = {
        [LORA_Q] = {att, m->n_embd},        [LORA_K] = {kv, m->n_embd},
        [LORA_V] = {kv, m->n_embd},         [LORA_O] = {m->n_embd, att},
        [LORA_GATE] = {m->n_ff, m->n_embd}, [LORA_UP] = {m->n_ff, m->n_embd},
        [LORA_DOWN] = {m->n_embd, m->n_ff}};
    struct lora *l = calloc(1, sizeof(*l));
    size_t n = 0;
    float *x;

    l->layers = calloc(m->n_layers, sizeof(*l->layers));
    l->max_rank = rank;
    for (unsigned k = 1; k < LORA_KINDS; k++)
        n += m->n_layers * rank * (shape[k][0] + shape[k][1]);
    l->mem_bytes = n * sizeof(float);
    l->mem = hugemem_new(l->mem_bytes);
    x = l->mem;
    for (size_t i = 0; i < n; i++)
        x[i] = 0.1f * random_of(&seed);
    for (unsigned i = 0; i < m->n_layers; i++)
        for (unsigned k = 1; k < LORA_KINDS; k++) {
            struct lora_part *part = &l->layers[i].parts[k];

            if ((kinds >> k & 1) == 0)
                continue;
            part->rank = rank;
            CHECK(kern_matrix_init(kern_ops("scalar"), KERN_TYPE_F32, rank, shape[k][1], x, x,
                                   &part->a, NULL) == GW_OK);
            x += rank * shape[k][1];
            CHECK(kern_matrix_init(kern_ops("scalar"), KERN_TYPE_F32, shape[k][0], rank, x, x,
                                   &part->b, NULL) == GW_OK);
            x += rank * shape[k][0];
        }
    return l;
}

/* Logits behind each token of three sequences in the same steps, the first without an adapter, unless `alone`: out[3][DECODE][n_vocab]. */
static bool read_adapted(struct rig *r, struct lora *const adapters[2], bool alone, float *out)
{
    struct kvcache_seq seqs[3] = {{0}};
    struct forward_run runs[3];
    const unsigned n = alone ? 1 : 3;
    int32_t ids[PROMPT];
    bool ok = true;

    for (unsigned t = 0; ok && t < DECODE; t++) {
        const unsigned pos = t == 0 ? 0 : PROMPT / 2 + t - 1, n_tokens = t == 0 ? PROMPT / 2 : 1;

        for (unsigned i = 0; i < n_tokens; i++)
            ids[i] = id_of(pos + i, r->m.n_vocab);
        for (unsigned s = 0; s < n; s++) {
            ok = CHECK(kvcache_reserve(r->kv, &seqs[s], pos + n_tokens) == GW_OK) && ok;
            runs[s] = (struct forward_run){.seq = &seqs[s],
                                           .lora = s == 0 ? NULL : adapters[s - 1],
                                           .tokens = ids,
                                           .n_tokens = n_tokens,
                                           .pos = pos,
                                           .n_logits = 1};
        }
        ok = ok && CHECK(forward_step(r->f, runs, n) == GW_OK);
        for (unsigned s = 0; ok && s < n; s++)
            memcpy(out + (size_t)(s * DECODE + t) * r->m.n_vocab,
                   forward_logits(r->f, runs[s].logits_row), r->m.n_vocab * sizeof(float));
    }
    for (unsigned s = 0; s < n; s++)
        kvcache_release(r->kv, &seqs[s]);
    return ok;
}

/* Ranks and matrices differ. */
static void make_pair(struct lora *out[2], const struct model *m, bool experts)
{
    out[0] = make_lora(m, 16, experts ? 0x1e : 0xfe, 5);
    out[1] = make_lora(m, 3, experts ? 0x12 : 0x52, 6);
}

static void free_pair(struct lora *of[2])
{
    for (unsigned i = 0; i < 2; i++) {
        lora_free(of[i]);
        of[i] = NULL;
    }
}

/* With so little memory that some layers stay on the CPU. */
static enum gw_status init_split(struct bed *b, const char *path, struct bed_kind *kind,
                                 const struct model *m)
{
    size_t low = 0, high = (size_t)1 << 30;

    for (unsigned i = 0; i < 30; i++) {
        const size_t mid = low + (high - low) / 2;
        enum gw_status st;

        free_pair(kind->adapters);
        make_pair(kind->adapters, m, false);
        simt_set_memory(mid);
        st = bed_init_kind(b, path, "cuda:0", kind, NULL);
        if (st == GW_OK && b->d->first_layer != 0)
            return GW_OK;
        if (st == GW_OK)
            bed_fini(b);
        if (st == GW_OK)
            high = mid;
        else
            low = mid;
    }
    return GW_ENOENT;
}

/* On both sides, on the GPU, or shared by the GPUs that are named. */
static void test_adapters(const char *dir, const char *file, const char *gpus)
{
    const size_t n = (size_t)3 * DECODE * MAX_VOCAB;
    const bool split = gpus == NULL;
    float *want = calloc(n, 4), *got = calloc(n, 4), *alone = calloc(n, 4);
    struct lora *theirs[2] = {NULL};
    struct bed_kind kind = {
        .type = KERN_KV_F16, .n_adapters = 2, .tensors = !split && strchr(gpus, ',') != NULL};
    char path[512];
    struct rig cpu;
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/tiny-%s.gguf", dir, file);
    if (!CHECK(cpu_init_kind(&cpu, path, &kind) == GW_OK))
        return;
    make_pair(theirs, &cpu.m, cpu.m.n_experts != 0);
    make_pair(kind.adapters, &cpu.m, cpu.m.n_experts != 0);
    if (read_adapted(&cpu, theirs, false, want) &&
        CHECK((split ? init_split(&b, path, &kind, &cpu.m)
                     : bed_init_kind(&b, path, gpus, &kind, NULL)) == GW_OK)) {
        const size_t v = cpu.m.n_vocab, of = (size_t)DECODE * v;

        if (read_adapted(&b.r, kind.adapters, false, got) &&
            read_adapted(&b.r, kind.adapters, true, alone)) {
            const double off = differ(got, want, 3 * of), moved = differ(want + of, want, of);

            printf("adapters on %s (%s): off by %.2e; what they change: %.2e\n", file, b.d->words,
                   off, moved);
            CHECK(off < 2e-3 && moved > 20 * off);
            CHECK((b.d->first_layer != 0) == split);
            /* The first sequence's bits do not depend on the others, nor on their adapters; an expert's do on how many tokens it
             * gets, more than 8 or fewer. */
            CHECK(split || cpu.m.n_experts != 0 || memcmp(got, alone, of * sizeof(float)) == 0);
        }
        bed_fini(&b);
    }
    simt_set_memory((size_t)1 << 32);
    free_pair(theirs);
    free_pair(kind.adapters);
    rig_fini(&cpu);
    free(want);
    free(got);
    free(alone);
}

/* Holds the pages that are on the GPU, so that whoever comes next gets those in the host's memory. */
static bool fill_near(struct bed *b, struct kvcache_seq fill[RIG_SEQS])
{
    for (unsigned i = 0; i < RIG_SEQS && kvcache_free_tokens(b->r.kv) > b->d->far_tokens; i++) {
        const unsigned left = kvcache_free_tokens(b->r.kv) - b->d->far_tokens + KERN_KV_BLOCK;

        if (!CHECK(kvcache_reserve(b->r.kv, &fill[i], left < RIG_CONTEXT ? left : RIG_CONTEXT) ==
                   GW_OK))
            return false;
    }
    return CHECK(kvcache_free_tokens(b->r.kv) <= b->d->far_tokens);
}

/* With too little memory for all pages, but room for all layers, pages lie in the host's memory, and nothing else is different. */
static void test_far_pages(const char *path)
{
    const size_t n = (size_t)SEQS * TAIL * MAX_VOCAB;
    size_t low = 0, high = (size_t)1 << 30;
    float *want = calloc(n, 4), *got = calloc(n, 4);
    struct kvcache_seq fill[RIG_SEQS] = {{0}};
    struct bed b = {0};
    struct rig cpu;
    bool found = false;

    for (unsigned i = 0; i < 30 && !found; i++) {
        const size_t mid = low + (high - low) / 2;
        const enum gw_status st = (simt_set_memory(mid), bed_init(&b, path, "cuda:0", NULL));

        found = st == GW_OK && b.d->first_layer == 0 && b.d->far_tokens > RIG_CONTEXT;
        if (st != GW_OK || b.d->first_layer != 0)
            low = mid;
        else
            high = mid;
        if (!found)
            bed_fini(&b);
    }
    if (CHECK(found) && fill_near(&b, fill) && CHECK(cpu_init(&cpu, path) == GW_OK)) {
        if (read_shared(&cpu, want) && read_shared(&b.r, got)) {
            const double off = differ(got, want, (size_t)SEQS * TAIL * cpu.m.n_vocab);

            printf("%u tokens in the host's memory: off by %.2e\n", b.d->far_tokens, off);
            CHECK(off < 2e-3);
        }
        rig_fini(&cpu);
    }
    for (unsigned i = 0; i < RIG_SEQS; i++)
        kvcache_release(b.r.kv, &fill[i]);
    bed_fini(&b);
    simt_set_memory((size_t)1 << 32);
    CHECK(simt_memory_used() == 0);
    free(want);
    free(got);
}

int main(void)
{
    /* int8 in the first layer only, as `adaptive` has it in few layers. */
    static const enum kern_kv_type mixed[8] = {KERN_KV_I8, KERN_KV_I4, KERN_KV_I4, KERN_KV_I4,
                                               KERN_KV_I4, KERN_KV_I4, KERN_KV_I4, KERN_KV_I4};
    static const struct {
        const char *family, *name;
        struct bed_kind kind;
    } kinds[] = {
        {"llama3", "int4", {.type = KERN_KV_I4}},
        {"gemma2", "int4", {.type = KERN_KV_I4}},
        {"llama3", "fp8", {.type = KERN_KV_FP8}},
        {"gemma2", "fp8", {.type = KERN_KV_FP8}},
        {"llama3", "adaptive", {.type = KERN_KV_I4, .layer_types = mixed}},
    };
    static const char *const shared[][2] = {{"qwen2-F16", "cuda:0,1"},
                                            {"llama3-Q8_0", "cuda:0,1,2,3"}};
    static const char *const adapted[] = {"llama3-Q8_0", "gemma2-Q4_K_M", "mixtral-F16"};
    char why[256] = "", path[512];
    const char *dir = rig_models(why);

    if (dir == NULL) {
        test_skip(why);
        return test_done();
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-Q8_0.gguf", dir);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i += TEST_STEP)
        test_kv(dir, kinds[i].family, &kinds[i].kind, kinds[i].name);
    test_kv_refused(path);
    for (size_t i = 0; i < sizeof(adapted) / sizeof(adapted[0]); i += TEST_STEP)
        test_adapters(dir, adapted[i], "cuda:0");
    if (simt_is_here()) {
        test_far_pages(path);
        test_adapters(dir, "llama3-Q8_0", NULL);
        CHECK(fake_nccl_open() != NULL); /* off, and no other one is found */
        simt_set_devices(4);
        for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i += TEST_STEP)
            test_adapters(dir, shared[i][0], shared[i][1]);
    }
    return test_done();
}
