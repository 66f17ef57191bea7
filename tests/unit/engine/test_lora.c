/* tests/unit/engine/test_lora.c - adapters: against weights that they were added to, in a batch, in the cache of
 * prefixes, and hostile ones. */

#include "engine/lora.h"
#include "tests/files.h"
#include "tests/unit/engine/lora_make.h"
#include "tests/unit/engine/sched_bed.h"

static char dir[] = "/tmp/sluice-lora-XXXXXX";
static struct lm_adapter wide, narrow; /* all matrices; two of them */

static const char *in_dir(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *out = paths[next++ % 8];

    (void)snprintf(out, sizeof(paths[0]), "%s/%s", dir, name);
    return out;
}

static struct lora *open_adapter(const struct model *m, const char *path)
{
    struct lora *l = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(lora_open(path, m, &l, &err) == GW_OK))
        printf("%s\n", err.text);
    return l;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

enum { N_TOKENS = 37, MAX_RUNS = 3 };

static void make_tokens(int32_t *tokens, unsigned seed)
{
    for (unsigned i = 0; i < N_TOKENS; i++)
        tokens[i] = (int32_t)((i * i * 7 + i / 3 + seed * 11) % LM_VOCAB);
}

/* A sequence that is fed in steps together with others. */
struct fed {
    const struct lora *lora;
    unsigned seed;
    struct kvcache_seq kv;
    int32_t tokens[N_TOKENS];
    float logits[LM_VOCAB];
};

/* Feeds all but the last tokens in steps of `chunk`, then the last one: a prompt and a decode. */
static void feed(struct rig *r, struct fed *f, unsigned n, unsigned chunk)
{
    struct forward_run runs[MAX_RUNS] = {{.seq = NULL}};

    for (unsigned i = 0; i < n; i++) {
        f[i].kv = (struct kvcache_seq){0};
        make_tokens(f[i].tokens, f[i].seed);
        CHECK(kvcache_reserve(r->kv, &f[i].kv, N_TOKENS) == GW_OK);
    }
    for (unsigned at = 0, step; at < N_TOKENS; at += step) {
        const unsigned left = N_TOKENS - 1 - at;

        step = left == 0 ? 1 : left < chunk ? left : chunk;
        for (unsigned i = 0; i < n; i++)
            runs[i] = (struct forward_run){.seq = &f[i].kv,
                                           .lora = f[i].lora,
                                           .tokens = f[i].tokens + at,
                                           .n_tokens = step,
                                           .pos = at,
                                           .n_logits = left == 0};
        forward_step(r->f, runs, n);
    }
    for (unsigned i = 0; i < n; i++) {
        memcpy(f[i].logits, forward_logits(r->f, runs[i].logits_row), sizeof(f[i].logits));
        kvcache_release(r->kv, &f[i].kv);
    }
}

static bool init(struct rig *r, const char *path, const char *level, unsigned threads)
{
    struct gw_err err = {GW_OK, ""};

    if (CHECK(rig_init(r, path, level, threads, &err) == GW_OK &&
              forward_allow_adapters(r->f, LM_MAX_RANK, &err) == GW_OK))
        return true;
    printf("%s: %s\n", path, err.text);
    return false;
}

/* Largest difference, in standard deviations of the reference. */
static double difference(const float *got, const float *want)
{
    double mean = 0, squares = 0, worst = 0;

    for (unsigned i = 0; i < LM_VOCAB; i++)
        mean += (double)want[i] / LM_VOCAB;
    for (unsigned i = 0; i < LM_VOCAB; i++) {
        squares += ((double)want[i] - mean) * ((double)want[i] - mean) / LM_VOCAB;
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
    }
    return worst / sqrt(squares);
}

/* The model with the adapter computes what the model does that it was added to; without it, something else. */
static void test_against_merged(const char *level, unsigned threads, const char *adapter,
                                const char *merged_path)
{
    struct fed with = {.seed = 3}, without = {.seed = 3}, merged = {.seed = 3};
    struct rig base, other;
    struct lora *l;
    double d;

    if (!init(&base, in_dir("base.gguf"), level, threads) ||
        !init(&other, merged_path, level, threads))
        return;
    l = open_adapter(&base.m, adapter);
    with.lora = l;
    feed(&base, &with, 1, 16);
    feed(&base, &without, 1, 16);
    feed(&other, &merged, 1, 16);
    d = difference(with.logits, merged.logits);
    if (!CHECK(d < 1e-3)) /* the merged weights were rounded, keys and values are f16 */
        printf("%s %s: off by %g\n", adapter, level, d);
    CHECK(difference(without.logits, merged.logits) > 0.1);
    lora_free(l);
    rig_fini(&base);
    rig_fini(&other);
}

/* A folder says the same as a file. */
static void test_folder(const char *level)
{
    struct fed file = {.seed = 5}, folder = {.seed = 5};
    struct lora *a, *b;
    struct rig r;

    if (!init(&r, in_dir("base.gguf"), level, 1))
        return;
    file.lora = a = open_adapter(&r.m, in_dir("wide.gguf"));
    folder.lora = b = open_adapter(&r.m, in_dir("wide"));
    feed(&r, &file, 1, 16);
    feed(&r, &folder, 1, 16);
    CHECK(memcmp(file.logits, folder.logits, sizeof(file.logits)) == 0);
    CHECK(a != NULL && b != NULL && a->n_params == b->n_params);
    lora_free(a);
    lora_free(b);
    rig_fini(&r);
}

/* Three in a step, with two adapters and with none: bit for bit what each is alone, however it is cut. */
static void test_batch(const char *level, unsigned threads)
{
    static const unsigned chunks[] = {1, 5, 16};
    struct lora *l[2];
    struct rig r;

    if (!init(&r, in_dir("base.gguf"), level, threads))
        return;
    l[0] = open_adapter(&r.m, in_dir("wide.gguf"));
    l[1] = open_adapter(&r.m, in_dir("narrow.gguf"));
    for (unsigned order = 0; order < 3; order++) {
        const struct lora *const of[3] = {l[0], NULL, l[1]};
        struct fed all[MAX_RUNS], alone;

        for (unsigned i = 0; i < MAX_RUNS; i++)
            all[i] = (struct fed){.lora = of[(i + order) % 3], .seed = i};
        feed(&r, all, MAX_RUNS, chunks[order]);
        for (unsigned i = 0; i < MAX_RUNS; i++) {
            alone = (struct fed){.lora = all[i].lora, .seed = i};
            feed(&r, &alone, 1, 16);
            CHECK(memcmp(alone.logits, all[i].logits, sizeof(alone.logits)) == 0);
        }
    }
    lora_free(l[0]);
    lora_free(l[1]);
    rig_fini(&r);
}

/* ---- requests --------------------------------------------------------------------------------- */

/* What came back for a prompt with an adapter. */
struct answer {
    struct gw_buf text;
    unsigned cached;
    enum gw_status status;
    bool done;
};

static void collect(struct engine_chan *ch, const struct answer *answers, unsigned n)
{
    const uint64_t end = gw_clock_ns() + 60 * GW_NS_PER_SEC;
    unsigned n_done = 0;

    while (n_done < n && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            struct answer *a = ev.ctx;

            gw_buf_add(&a->text, gw_buf_span(&ev.text));
            gw_buf_fini(&ev.text);
            if (ev.type == ENGINE_EVENT_DONE) {
                a->done = true;
                a->status = ev.status;
                a->cached = ev.cached_tokens;
            }
        }
        n_done = 0;
        for (unsigned i = 0; i < n; i++)
            n_done += answers[i].done;
    }
    CHECK(n_done == n);
}

/* The same prompt with each of the adapters, at once or one after the other. */
static void ask(struct engine *e, struct answer *out, unsigned n, bool at_once)
{
    static const char *const names[] = {"", "wide", "narrow"};
    struct engine_chan *ch = engine_chan_new(e);
    const struct engine_message m = {
        GW_SPAN("user"), GW_SPAN("the same long prompt for all of them, which is of some pages")};

    for (unsigned i = 0; i < n; i++) {
        struct engine_params params = {.max_tokens = 24,
                                       .temperature = 1,
                                       .top_p = 1,
                                       .repeat_penalty = 1,
                                       .seed = 9,
                                       .tenant = GW_SPAN("t"),
                                       .adapter = gw_span_str(names[i % 3])};
        uint64_t id = 0;

        out[i] = (struct answer){.done = false};
        CHECK(engine_submit(ch, &m, 1, &params, &out[i], &id, NULL) == GW_OK);
        if (!at_once)
            collect(ch, &out[i], 1);
    }
    collect(ch, out, n);
    engine_chan_free(ch);
}

static void test_requests(void)
{
    enum { N = 9 };
    const char *const wide_path = in_dir("wide.gguf"), *const narrow_path = in_dir("narrow");
    const struct engine_adapter adapters[] = {{"wide", wide_path}, {"narrow", narrow_path}};
    const struct engine_config cfg = {.model_path = in_dir("base.gguf"),
                                      .adapters = adapters,
                                      .n_adapters = 2,
                                      .threads = 2,
                                      .max_context = 256};
    const struct engine_message m = {GW_SPAN("user"), GW_SPAN("x")};
    const struct engine_params unknown = {
        .top_p = 1, .repeat_penalty = 1, .adapter = GW_SPAN("other")};
    struct answer crowd[N], alone[N];
    struct gw_err err = {GW_OK, ""};
    struct engine *e = NULL;
    struct engine_chan *ch;
    uint64_t id = 0;

    for (unsigned round = 0; round < 2; round++) {
        if (!CHECK(engine_open(&cfg, &e, &err) == GW_OK)) {
            printf("%s\n", err.text);
            return;
        }
        ask(e, round == 0 ? crowd : alone, N, round == 0);
        ch = engine_chan_new(e);
        CHECK(engine_submit(ch, &m, 1, &unknown, NULL, &id, &err) == GW_ENOENT && id == 0);
        engine_chan_free(ch);
        engine_close(e);
    }
    for (unsigned i = 0; i < N; i++) {
        CHECK(crowd[i].status == GW_OK && crowd[i].text.len != 0);
        CHECK(gw_span_eq(gw_buf_span(&crowd[i].text), gw_buf_span(&alone[i].text)));
        /* the first with an adapter computes all of its prompt, whatever the others left; those behind it do not */
        CHECK(i < 3 ? alone[i].cached == 0 : alone[i].cached != 0);
        CHECK(i >= 3 || crowd[i].cached == 0);
        CHECK(gw_span_eq(gw_buf_span(&crowd[i].text), gw_buf_span(&crowd[i % 3].text)));
    }
    CHECK(!gw_span_eq(gw_buf_span(&crowd[0].text), gw_buf_span(&crowd[1].text)));
    for (unsigned i = 0; i < N; i++) {
        gw_buf_fini(&crowd[i].text);
        gw_buf_fini(&alone[i].text);
    }
}

/* ---- hostile files ---------------------------------------------------------------------------- */

/* What is opened is none, and what it says is that. */
static void refuse(const struct model *m, const char *path, enum gw_status want)
{
    struct lora *l = NULL;
    struct gw_err err = {GW_OK, ""};
    const enum gw_status st = lora_open(path, m, &l, &err);

    if (!CHECK(st == want && l == NULL && err.code == want))
        printf("%s: %d, %s\n", path, (int)st, err.text);
    lora_free(l);
}

/* A file with one pair of matrices. */
struct pair {
    const char *name;
    unsigned rank_a, rank_b, cols, rows;
    float number, alpha;
};

static void refuse_pair(const struct model *m, const struct pair *p, enum gw_status want)
{
    static float zeros[600 * 64];
    struct lm_out o = {.w = {.n_pairs = 0}};
    char name[96];

    lm_adapter_head(&o.w, p->alpha);
    zeros[0] = p->number;
    (void)snprintf(name, sizeof(name), "%s.lora_a", p->name);
    lm_put(&o, name, p->cols, p->rank_a, zeros);
    zeros[0] = 0;
    (void)snprintf(name, sizeof(name), "%s.lora_b", p->name);
    if (p->rank_b != 0)
        lm_put(&o, name, p->rank_b, p->rows, zeros);
    CHECK(lm_finish(&o, in_dir("bad.gguf")));
    refuse(m, in_dir("bad.gguf"), want);
}

static void test_hostile_pairs(const struct model *m)
{
    static const char q[] = "blk.1.attn_q.weight";
    const unsigned d = LM_EMBD, rows = LM_HEADS * LM_DIM;
    const struct {
        struct pair p;
        enum gw_status want;
    } bad[] = {
        {{q, 4, 3, d, rows, 0, 1}, GW_EPARSE}, /* ranks that differ */
        {{q, 4, 0, d, rows, 0, 1}, GW_EPARSE}, /* no B */
        {{q, 513, 513, d, rows, 0, 1}, GW_ELIMIT},
        {{q, 4, 4, d + 1, rows, 0, 1}, GW_EINVAL},
        {{q, 4, 4, d, rows + 2, 0, 1}, GW_EINVAL},
        {{"blk.2.attn_q.weight", 4, 4, d, rows, 0, 1}, GW_EINVAL},
        {{"blk.1024.attn_q.weight", 4, 4, d, rows, 0, 1}, GW_EUNSUPPORTED},
        {{"blk.99999999999999999999.attn_q.weight", 4, 4, d, rows, 0, 1}, GW_EUNSUPPORTED},
        {{"blk..attn_q.weight", 4, 4, d, rows, 0, 1}, GW_EUNSUPPORTED},
        {{"blk.1.attn_q.bias", 4, 4, d, rows, 0, 1}, GW_EUNSUPPORTED},
        {{"token_embd.weight", 4, 4, d, LM_VOCAB, 0, 1}, GW_EUNSUPPORTED},
        {{q, 4, 4, d, rows, NAN, 1}, GW_ECORRUPT},
        {{q, 4, 4, d, rows, INFINITY, 1}, GW_ECORRUPT},
        {{q, 4, 4, d, rows, 0, -1}, GW_EPARSE},
        {{q, 4, 4, d, rows, 0, NAN}, GW_EPARSE},
        {{q, 4, 4, d, rows, 0, INFINITY}, GW_EPARSE},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse_pair(m, &bad[i].p, bad[i].want);
}

/* A folder with another configuration than its tensors need. */
static void test_hostile_folders(const struct model *m)
{
    static const struct {
        const char *config;
        enum gw_status want;
    } bad[] = {
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":6}", GW_EPARSE}, /* the tensors have 5 */
        {"{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":6}", GW_ELIMIT},
        {"{\"peft_type\":\"LORA\",\"r\":5000000000,\"lora_alpha\":6}", GW_ELIMIT},
        {"{\"peft_type\":\"LORA\",\"r\":5}", GW_EPARSE},
        {"{\"peft_type\":\"LORA\",\"r\":5,\"lora_alpha\":1e99}", GW_EPARSE},
        {"{\"peft_type\":\"IA3\",\"r\":5,\"lora_alpha\":6}", GW_EUNSUPPORTED},
        {"{\"peft_type\":\"LORA\",\"r\":5,\"lora_alpha\":6,\"use_dora\":true}", GW_EUNSUPPORTED},
        {"{\"peft_type\":\"LORA\",\"r\":5,\"lora_alpha\":6,\"bias\":\"all\"}", GW_EUNSUPPORTED},
        {"{\"peft_type\":\"LORA\",\"r\":5,\"lora_alpha\":6,\"rank_pattern\":{\"q\":2}}",
         GW_EUNSUPPORTED},
        {"{", GW_EPARSE},
        {"[]", GW_EUNSUPPORTED},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(lm_adapter_peft(&narrow, in_dir("bad"), bad[i].config));
        refuse(m, in_dir("bad"), bad[i].want);
    }
}

/* A file that ends anywhere, or with a byte of its head changed: no crash, and none that is cut off is taken. */
static void test_damage(const struct model *m)
{
    struct lora *l;
    struct gw_buf b = {0};
    FILE *f = fopen(in_dir("narrow.gguf"), "re");
    char chunk[4096];
    size_t n;

    if (!CHECK(f != NULL))
        return;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) != 0)
        gw_buf_add(&b, (struct gw_span){chunk, n});
    (void)fclose(f);
    for (size_t i = 0; i < b.len; i += i < 600 ? 3 : 257) {
        CHECK(lm_write_file(in_dir("cut.gguf"), (struct gw_span){b.ptr, i}));
        l = NULL;
        CHECK(lora_open(in_dir("cut.gguf"), m, &l, NULL) != GW_OK && l == NULL);
        b.ptr[i] = (char)(b.ptr[i] ^ 0x41);
        CHECK(lm_write_file(in_dir("cut.gguf"), gw_buf_span(&b)));
        if (lora_open(in_dir("cut.gguf"), m, &l, NULL) == GW_OK)
            lora_free(l);
        b.ptr[i] = (char)(b.ptr[i] ^ 0x41);
    }
    gw_buf_fini(&b);
}

static void test_hostile(void)
{
    struct engine_adapter_info info;
    struct rig r;

    if (!init(&r, in_dir("base.gguf"), NULL, 1))
        return;
    refuse(&r.m, in_dir("nothing.gguf"), GW_ENOENT);
    refuse(&r.m, in_dir("base.gguf"), GW_EINVAL); /* a model */
    test_hostile_pairs(&r.m);
    test_hostile_folders(&r.m);
    test_damage(&r.m);
    CHECK(engine_adapter_inspect(in_dir("wide.gguf"), &info, NULL) == GW_OK);
    CHECK(info.rank == 17 && info.n_layers == LM_LAYERS && fabs(info.alpha - 9) < 1e-6 &&
          info.n_matrices == LM_LAYERS * LM_MATRICES && strcmp(info.arch, "llama") == 0);
    CHECK(engine_kind(in_dir("wide.gguf")) == ENGINE_KIND_ADAPTER);
    CHECK(engine_kind(in_dir("wide")) == ENGINE_KIND_ADAPTER);
    CHECK(engine_kind(in_dir("base.gguf")) == ENGINE_KIND_CHAT);
    rig_fini(&r);
}

int main(void)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512"};

    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    lm_adapter_init(&wide, 17, 9, 0x7F, 1);
    lm_adapter_init(&narrow, 5, 6, 0x11, 2);
    CHECK(lm_model(in_dir("base.gguf"), NULL) && lm_model(in_dir("wide-merged.gguf"), &wide) &&
          lm_model(in_dir("narrow-merged.gguf"), &narrow));
    CHECK(lm_adapter_gguf(&wide, in_dir("wide.gguf")) &&
          lm_adapter_gguf(&narrow, in_dir("narrow.gguf")));
    CHECK(lm_adapter_peft(&wide, in_dir("wide"),
                          "{\"peft_type\":\"LORA\",\"r\":17,\"lora_alpha\":9,\"bias\":\"none\","
                          "\"target_modules\":[\"q_proj\"],\"rank_pattern\":{}}"));
    CHECK(lm_adapter_peft(&narrow, in_dir("narrow"),
                          "{\"peft_type\":\"LORA\",\"r\":5,\"lora_alpha\":6,\"use_dora\":false}"));
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (kern_ops_exact(levels[i]) == NULL)
            continue;
        test_against_merged(levels[i], 1 + (unsigned)i % 2, in_dir("wide.gguf"),
                            in_dir("wide-merged.gguf"));
        test_against_merged(levels[i], 2, in_dir("narrow"), in_dir("narrow-merged.gguf"));
        test_folder(levels[i]);
        test_batch(levels[i], 1 + (unsigned)i % 2);
    }
    test_requests();
    test_hostile();
    lm_adapter_fini(&wide);
    lm_adapter_fini(&narrow);
    CHECK(test_remove_tree(dir));
    return test_done();
}
