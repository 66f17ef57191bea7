/* tests/unit/engine/test_device_weights.c - models whose matrices become e4m3 on the emulated GPU (tests/simt), against the CPU computing with what
 * is left of the weights: rounded here, by the definition of e4m3, and multiplied as floats. */
#include "engine/gguf_write.h"
#include "tests/unit/engine/device_bed.h"

enum { TOKENS = PROMPT + DECODE, MAX_MATRICES = 256, BLOCK = 128 };

/* Matrices that took the place of a model's. */
struct rounded {
    float *mem[MAX_MATRICES];
    unsigned n;
    double lost, all; /* squares: of what rounding took, and of the weights */
};

/* The nearest of e4m3, of two the even one; x at most 448. */
static float nearest_e4m3(float x)
{
    const double a = fabs((double)x);
    const double step = a < 0.015625 ? 1.0 / 512 : exp2(floor(log2(a)) - 3);

    return copysignf((float)(rint(a / step) * step), x);
}

/* A row as kern_cuda_matrix_new_e4m3 promises: for 128 columns a power of two, by which the largest is between 224 and 448. */
static void round_row(float *row, size_t cols, struct rounded *out)
{
    for (size_t from = 0; from < cols; from += BLOCK) {
        const size_t to = cols - from < BLOCK ? cols : from + BLOCK;
        float most = 0, scale = 1;

        for (size_t i = from; i < to; i++)
            most = fmaxf(most, fabsf(row[i]));
        while (most / scale > 448)
            scale *= 2;
        while (most > 0 && most / scale <= 224)
            scale /= 2;
        for (size_t i = from; i < to; i++) {
            const float was = row[i];

            row[i] = nearest_e4m3(was / scale) * scale;
            out->lost += pow((double)was - (double)row[i], 2);
            out->all += pow((double)was, 2);
        }
    }
}

static void round_matrix(struct kern_matrix *w, struct rounded *out)
{
    float *mem = malloc(w->rows * w->cols * sizeof(*mem));

    if (!CHECK(mem != NULL && out->n < MAX_MATRICES))
        return;
    out->mem[out->n++] = mem;
    for (size_t r = 0; r < w->rows; r++) {
        kern_matrix_row_f32(w, r, mem + r * w->cols);
        round_row(mem + r * w->cols, w->cols, out);
    }
    CHECK(kern_matrix_init(kern_ops("scalar"), KERN_TYPE_F32, w->rows, w->cols, mem, mem, w,
                           NULL) == GW_OK);
}

/* Every matrix but routers and the embedding. */
static void round_model(struct model *m, struct rounded *out)
{
    for (unsigned i = 0; i < m->n_layers; i++) {
        struct model_layer *l = &m->layers[i];
        struct kern_matrix *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};

        for (unsigned k = 0; k < (l->experts == NULL ? 7 : 4); k++)
            round_matrix(all[k], out);
        for (unsigned e = 0; l->experts != NULL && e < m->n_experts; e++) {
            round_matrix(&l->experts[e].gate, out);
            round_matrix(&l->experts[e].up, out);
            round_matrix(&l->experts[e].down, out);
        }
    }
    round_matrix(&m->output, out);
}

/* Logits behind every token of one sequence, the first ones `step` at once, then token by token. */
static bool read_all(struct rig *r, unsigned step, float *out)
{
    struct kvcache_seq s = {0};
    struct forward_run run = {.seq = &s};
    int32_t ids[TOKENS];

    for (unsigned i = 0; i < TOKENS; i++)
        ids[i] = id_of(i, r->m.n_vocab);
    for (unsigned i = 0; i < TOKENS; i += run.n_tokens) {
        run.n_tokens = run.n_logits = i == 0 ? step : 1;
        run.tokens = ids + i;
        run.pos = i;
        if (!CHECK(kvcache_reserve(r->kv, &s, i + run.n_tokens) == GW_OK) ||
            !CHECK(forward_step(r->f, &run, 1) == GW_OK))
            return false;
        for (unsigned k = 0; k < run.n_tokens; k++)
            memcpy(out + (size_t)(i + k) * r->m.n_vocab, forward_logits(r->f, run.logits_row + k),
                   r->m.n_vocab * sizeof(float));
    }
    kvcache_release(r->kv, &s);
    return true;
}

static bool read_on(const char *path, int major, bool tensors, unsigned step, float *out,
                    unsigned *first_layer)
{
    const struct bed_kind kind = {.type = KERN_KV_F16, .fp8_weights = true, .tensors = tensors};
    struct gw_err err = {0};
    struct bed b;
    bool ok;

    simt_set_capability(major, 0);
    if (!CHECK(bed_init_kind(&b, path, tensors ? "cuda:0,1" : "cuda:0", &kind, &err) == GW_OK)) {
        printf("%s: %s\n", path, err.text);
        return false;
    }
    CHECK(strstr(b.d->words, "weights fp8") != NULL);
    *first_layer = b.d->first_layer;
    ok = read_all(&b.r, step, out);
    bed_fini(&b);
    return ok;
}

/* The CPU with the weights as they are stored, and with what e4m3 leaves of them. */
static bool read_cpu(const char *path, float *stored, float *want, unsigned *n_vocab)
{
    struct rounded rounded = {.n = 0};
    struct rig cpu;
    bool ok;

    ok = CHECK(cpu_init(&cpu, path) == GW_OK && cpu.m.n_vocab <= MAX_VOCAB) &&
         read_all(&cpu, PROMPT, stored);
    *n_vocab = cpu.m.n_vocab;
    rig_fini(&cpu);
    ok = ok && CHECK(cpu_init(&cpu, path) == GW_OK);
    if (!ok)
        return false;
    round_model(&cpu.m, &rounded);
    CHECK(rounded.lost <
          0.0012 *
              rounded.all); /* a step is at most an eighth: 1/16 at most, 1/12 of that squared */
    ok = read_all(&cpu, PROMPT, want);
    rig_fini(&cpu);
    for (unsigned i = 0; i < rounded.n; i++)
        free(rounded.mem[i]);
    return ok;
}

/* Steps of few tokens multiply by floats; those of a prompt round activations: to bf16, of which 8 bits are kept; to e4m3 on 9.0, 4 bits. */
static const struct way {
    int major;
    unsigned step;
} ways[] = {{8, 5}, {8, PROMPT}, {9, PROMPT}};
enum { N_WAYS = sizeof(ways) / sizeof(ways[0]) };

static void test_weights(const char *dir, const char *name, const double tolerance[N_WAYS])
{
    const size_t n = (size_t)TOKENS * MAX_VOCAB;
    float *stored = calloc(n, 4), *want = calloc(n, 4), *got = calloc(n, 4);
    unsigned n_vocab = 0;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/tiny-%s.gguf", dir, name);
    if (read_cpu(path, stored, want, &n_vocab)) {
        const size_t of = (size_t)TOKENS * n_vocab;

        for (unsigned i = 0; i < N_WAYS; i++) {
            unsigned first = 1;
            double off;

            if (!read_on(path, ways[i].major, false, ways[i].step, got, &first))
                continue;
            off = differ(got, want, of);
            printf("%s as fp8 on %d.0, %u at once: off by %.2e; what fp8 changes: %.2e\n", name,
                   ways[i].major, ways[i].step, off, differ(want, stored, of));
            CHECK(off < tolerance[i] && first == 0);
        }
    }
    free(stored);
    free(want);
    free(got);
}

/* Two GPUs that share tensors: columns that are cut elsewhere than at 128 get other powers of two, which matters to the smallest weights only. */
static void test_shared(const char *path)
{
    const size_t n = (size_t)TOKENS * MAX_VOCAB;
    float *stored = calloc(n, 4), *want = calloc(n, 4), *got = calloc(n, 4);
    unsigned n_vocab = 0, first = 1;

    if (read_cpu(path, stored, want, &n_vocab) && read_on(path, 8, true, 5, got, &first)) {
        const size_t of = (size_t)TOKENS * n_vocab;
        const double off = differ(got, want, of), fp8 = differ(want, stored, of);

        printf("shared by two: off by %.2e; what fp8 changes: %.2e\n", off, fp8);
        CHECK(off < 1e-3 && first == 0);
    }
    free(stored);
    free(want);
    free(got);
}

/* ---- weights that are stored as FP8 --------------------------------------------------------- */

/* A row as a folder may have it: for 128 columns a scale that is no power of two. */
static void store_row(const float *row, size_t cols, struct gw_buf *out)
{
    for (size_t from = 0; from < cols; from += BLOCK) {
        struct kern_block_e4m3 b = {0};
        float most = 0;

        for (size_t i = from; i < from + BLOCK; i++)
            most = fmaxf(most, fabsf(row[i]));
        b.d = most > 0 ? most / 448 : 1;
        for (size_t i = from; i < from + BLOCK; i++) {
            unsigned best = 0;

            for (unsigned code = 1; code < 127; code++)
                if (fabsf(kern_e4m3_f32((uint8_t)code) - fabsf(row[i]) / b.d) <
                    fabsf(kern_e4m3_f32((uint8_t)best) - fabsf(row[i]) / b.d))
                    best = code;
            b.q[i - from] = (uint8_t)(best | (row[i] < 0 ? 0x80 : 0));
        }
        gw_buf_add(out, (struct gw_span){(const char *)&b, sizeof(b)});
    }
}

static bool becomes_fp8(const struct gguf_tensor *t)
{
    return t->n_dims == 2 && t->dims[0] % BLOCK == 0 && !gw_span_is(t->name, "token_embd.weight");
}

static bool skip_none(struct gw_span key)
{
    (void)key;
    return false;
}

/* The model at `from` with its matrices as FP8, as hf.c makes it of a folder. */
static bool make_fp8(const char *from, const char *to)
{
    struct gguf_writer w = {.failed = false};
    struct gw_buf head = {0}, data = {0};
    struct gguf *g = NULL;
    unsigned n = 0;
    FILE *f = fopen(to, "wb");
    bool ok = CHECK(f != NULL && gguf_open(from, &g, NULL) == GW_OK);

    if (ok)
        gguf_write_copy(&w, g, skip_none);
    for (size_t i = 0; ok && i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        float *row = malloc(t->dims[0] * sizeof(*row));

        (void)gguf_write_tensor(&w, t->name, becomes_fp8(t) ? (uint32_t)KERN_TYPE_E4M3 : t->type,
                                t->n_dims, t->dims);
        for (size_t r = 0; becomes_fp8(t) && r < t->dims[1]; r++) {
            kern_row_f32((enum kern_type)t->type,
                         (const char *)t->data + r * (t->bytes / t->dims[1]), t->dims[0], row);
            store_row(row, t->dims[0], &data);
        }
        n += becomes_fp8(t);
        if (!becomes_fp8(t))
            gw_buf_add(&data, (struct gw_span){t->data, t->bytes});
        while (data.len % GGUF_WRITE_ALIGNMENT != 0)
            gw_buf_addc(&data, 0);
        free(row);
    }
    gguf_write_head(&w, &head);
    ok = ok && CHECK(gguf_write_ok(&w) && gw_buf_ok(&head) && gw_buf_ok(&data) && n >= 7) &&
         CHECK(fwrite(head.ptr, 1, head.len, f) == head.len &&
               fwrite(data.ptr, 1, data.len, f) == data.len);
    gw_buf_fini(&head);
    gw_buf_fini(&data);
    gguf_write_fini(&w);
    gguf_close(g);
    return f != NULL && fclose(f) == 0 && ok;
}

/* Codes and scales are kept: what the device computes is off by no more than the CPU's rounding of weights to binary16, and each table of the CPU agrees. */
static void test_stored(const char *dir)
{
    const struct bed_kind kind = {.type = KERN_KV_F16};
    const size_t n = (size_t)TOKENS * MAX_VOCAB;
    float *want = calloc(n, 4), *got = calloc(n, 4), *table = calloc(n, 4);
    char path[512], made[] = "/tmp/test_device_weights_XXXXXX";
    const int fd = mkstemp(made);
    struct rig cpu;
    struct bed b;

    (void)snprintf(path, sizeof(path), "%s/wide-llama3-Q8_0.gguf", dir);
    if (CHECK(fd >= 0) && make_fp8(path, made) && CHECK(cpu_init(&cpu, made) == GW_OK) &&
        CHECK(cpu.m.n_vocab <= MAX_VOCAB && cpu.m.layers[0].q.type == KERN_TYPE_E4M3)) {
        const size_t of = (size_t)TOKENS * cpu.m.n_vocab;

        CHECK(read_all(&cpu, 5, want));
        rig_fini(&cpu);
        if (CHECK(rig_init(&cpu, made, NULL, 2, NULL) == GW_OK) && read_all(&cpu, 5, table)) {
            printf("stored as fp8: tables of the CPU are off by %.2e\n", differ(table, want, of));
            CHECK(differ(table, want, of) <
                  1e-2); /* the output is Q8_0, and its activations coarser there */
        }
        simt_set_capability(8, 0);
        if (CHECK(bed_init_kind(&b, made, "cuda:0", &kind, NULL) == GW_OK)) {
            CHECK(b.d->first_layer == 0 && read_all(&b.r, 5, got));
            printf("stored as fp8, on 8.0: off by %.2e\n", differ(got, want, of));
            CHECK(differ(got, want, of) < 2e-3);
            bed_fini(&b);
        }
        rig_fini(&cpu);
    }
    (void)close(fd);
    (void)unlink(made);
    free(want);
    free(got);
    free(table);
}

/* Where fp8 weights are refused, and where only said to be missing. */
static void test_refused(void)
{
    struct engine_config cfg = {.device = "cpu", .weights = ENGINE_WEIGHTS_FP8};
    const char *note = "";
    struct gw_err err = {0};

    CHECK(engine_check_device(&cfg, &note, &err) == GW_EUNSUPPORTED &&
          strstr(err.text, "weights fp8") != NULL && strstr(err.text, "as_stored") != NULL);
    cfg.device = "auto";
    CHECK(engine_check_device(&cfg, &note, NULL) == GW_OK && note == NULL);
    cfg.device = "cuda:0";
    CHECK(engine_check_device(&cfg, NULL, NULL) == GW_OK);
    if (!simt_is_here())
        return;
    simt_set_driver(100);
    cfg.device = "auto";
    CHECK(engine_check_device(&cfg, &note, NULL) == GW_OK && note != NULL &&
          strstr(note, "weights fp8") != NULL);
    cfg.weights = ENGINE_WEIGHTS_AS_STORED;
    CHECK(engine_check_device(&cfg, &note, NULL) == GW_OK && note == NULL);
    simt_set_driver(0);
}

/* What the engine says where it starts. */
static void test_engine(const char *path)
{
    struct engine_config cfg = {.model_path = path,
                                .threads = 1,
                                .max_context = 64,
                                .max_seqs = 1,
                                .device = "cpu",
                                .weights = ENGINE_WEIGHTS_FP8};
    struct engine *e = NULL;
    struct engine_info info;
    struct gw_err err = {0};

    CHECK(engine_open(&cfg, &e, &err) == GW_EUNSUPPORTED &&
          strstr(err.text, "weights fp8 is built in for GPUs only") != NULL);
    cfg.device = "cuda:0";
    if (CHECK(engine_open(&cfg, &e, NULL) == GW_OK)) {
        engine_info(e, &info);
        CHECK(strstr(info.device, "2 of 2 layers, weights fp8") != NULL);
        engine_close(e);
    }
    cfg.device = "auto";
    cfg.kv = ENGINE_KV_QJL;
    if (CHECK(engine_open(&cfg, &e, NULL) == GW_OK)) {
        engine_info(e, &info);
        CHECK(strstr(info.device, "kv qjl") != NULL &&
              strstr(info.device, "its weights are as stored") != NULL);
        engine_close(e);
    }
    if (!simt_is_here())
        return;
    simt_set_driver(100);
    if (CHECK(engine_open(&cfg, &e, NULL) == GW_OK)) {
        engine_info(e, &info);
        CHECK(strstr(info.device, "weights fp8 is for GPUs") != NULL);
        engine_close(e);
    }
    simt_set_driver(0);
}

int main(void)
{
    static const struct {
        const char *name;
        double tolerance[N_WAYS];
    } models[] = {
        {"llama3-Q8_0", {1e-3, 1e-2, 0.2}},
        {"gemma2-Q4_K_M", {1e-3, 1e-2, 0.2}},
        {"phi3-F16", {1e-3, 1e-2, 0.2}},
        {"llama-BF16", {1e-3, 1e-2, 0.2}},
        /* the smallest difference may choose another expert */
        {"mixtral-F16", {1e-3, 1e-2, 0.6}},
        {"qwen3moe-Q8_0", {1e-3, 1e-2, 0.6}},
        /* types that a GPU multiplies in no other way */
        {"llama-Q5_0", {1e-3, 1e-2, 0.2}},
        {"llama-Q2_K", {1e-3, 1e-2, 0.2}},
        {"llama-F32", {1e-3, 1e-2, 0.2}},
    };
    char why[256] = "", path[512];
    const char *dir = rig_models(why);

    test_refused();
    if (dir == NULL) {
        test_skip(why);
        return test_done();
    }
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i += TEST_STEP)
        test_weights(dir, models[i].name, models[i].tolerance);
    simt_set_capability(8, 0);
    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-Q8_0.gguf", dir);
    test_engine(path);
    test_stored(dir);
    if (simt_is_here()) {
        simt_set_devices(2);
        test_shared(path);
    }
    return test_done();
}
