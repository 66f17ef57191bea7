/* tests/unit/engine/test_golden.c - logits against the exact float64 reference, all families and types.
 *
 * Rows: ../shared/models/golden.jsonl. Files: ../shared/models/stories260K, and tiny random models that
 * the generator there writes (python3 with numpy). */
#include <math.h>

#include "engine/bert.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"
#include "tests/unit/engine/rows.h"

/* The scalar table takes minutes under ThreadSanitizer, and has no threads of its own. */
#ifdef __SANITIZE_THREAD__
static const char *const levels[] = {"avx2", "avx512"};
#else
static const char *const levels[] = {"scalar", "avx2", "avx512"};
#endif

/* Largest difference allowed, in standard deviations of the logits. */
static double bound_for(const char *file)
{
    return strstr(file, "F32") != NULL || strstr(file, "F16") != NULL ? 0.02 : 0.1;
}

static bool is_supported(const char *file)
{
    static const char *const prefixes[] = {"tiny-llama-",   "tiny-llama3-", "tiny-mistral-",
                                           "tiny-qwen2-",   "tiny-qwen3-",  "tiny-qwen3moe-",
                                           "tiny-mixtral-", "tiny-phi3-",   "tiny-gemma2-",
                                           "tiny-gemma3-",  "tiny-bert-",   "stories260K-"};
    static const char *const types[] = {
        "-F32.",   "-F16.",    "-BF16.",           "-Q8_0.",        "-Q4_0.",
        "-Q4_1.",  "-Q5_0.",   "-Q5_1.",           "-Q2_K.",        "-Q3_K.",
        "-Q4_K.",  "-Q5_K.",   "-Q6_K.",           "-IQ4_NL.",      "-IQ4_XS.",
        "-MXFP4.", "-Q4_K_M.", "-Q4_K_M-fallback", "-Q6_K-fallback"};
    bool prefix = false, type = false;

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        prefix = prefix || strncmp(file, prefixes[i], strlen(prefixes[i])) == 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        type = type || strstr(file, types[i]) != NULL;
    return prefix && type;
}

/* Feeds tokens in steps of at most `step`; the logits of the last one. */
static float *feed(struct rig *r, struct kvcache_seq *s, const int32_t *tokens, unsigned n,
                   unsigned pos, unsigned step)
{
    struct forward_run run = {.seq = s};

    if (!CHECK(kvcache_reserve(r->kv, s, pos + n) == GW_OK))
        return NULL;
    for (unsigned i = 0; i < n; i += run.n_tokens) {
        run.tokens = tokens + i;
        run.n_tokens = n - i < step ? n - i : step;
        run.pos = pos + i;
        run.n_logits = i + run.n_tokens == n ? 1 : 0;
        forward_step(r->f, &run, 1);
    }
    return forward_logits(r->f, run.logits_row);
}

/* Largest difference to the reference, in standard deviations. */
static double difference(const struct rig *r, const struct row *row, const float *z)
{
    const struct row_field *top = row_get(row, "top"), *probes = row_get(row, "probes");
    double sd = row_num(row, "logit_std"), worst = 0;

    for (size_t i = 0; i + 1 < top->n_nums; i += 2)
        worst = fmax(worst, fabs((double)z[(size_t)top->nums[i]] - top->nums[i + 1]));
    for (size_t i = 0; i < probes->n_nums; i++) {
        size_t id = (size_t)((double)(r->m.n_vocab - 1) * (double)i / 15.0);

        worst = fmax(worst, fabs((double)z[id] - probes->nums[i]));
    }
    return worst / sd;
}

/* The first greedy tokens, as long as the reference is sure enough of them. */
static void check_greedy(struct rig *r, const struct row *row, struct kvcache_seq *s, float *z,
                         unsigned pos, double bound)
{
    const struct row_field *want = row_get(row, "greedy"), *gap = row_get(row, "greedy_gap");
    double sd = row_num(row, "logit_std");

    for (size_t i = 0; i < want->n_nums && gap->nums[i] > 2 * bound * sd; i++) {
        int32_t id = (int32_t)r->m.ops->argmax(z, r->m.n_vocab);

        if (!CHECK(id == (int32_t)want->nums[i]))
            return;
        z = feed(r, s, &id, 1, pos++, 1);
        if (z == NULL)
            return;
    }
}

static void check_row(const struct row *row, const char *path, const char *level, unsigned threads,
                      unsigned step)
{
    const struct row_field *t = row_get(row, "tokens");
    double bound = bound_for(row_str(row, "file")), d;
    struct kvcache_seq s = {0};
    int32_t tokens[64];
    struct gw_err err;
    struct rig r;
    float *z;

    if (!CHECK(rig_init(&r, path, level, threads, &err) == GW_OK)) {
        printf("%s: %s\n", path, err.text);
        return;
    }
    for (size_t i = 0; i < t->n_nums; i++)
        tokens[i] = (int32_t)t->nums[i];
    z = feed(&r, &s, tokens, (unsigned)t->n_nums, 0, step);
    if (z != NULL) {
        d = difference(&r, row, z);
        if (!CHECK(d <= bound))
            printf("%s %s: off by %.4f standard deviations, %.2f is allowed\n", path, level, d,
                   bound);
        else if (getenv("VERBOSE") != NULL)
            printf("%s %s: %.5f\n", path, level, d);
        check_greedy(&r, row, &s, z, (unsigned)t->n_nums, bound);
    }
    kvcache_release(r.kv, &s);
    rig_fini(&r);
}

/* The first numbers of the vector of length 1. Their deviation is that of a unit vector's. */
static void check_bert(const struct row *row, const char *path, const char *level, unsigned threads)
{
    const struct row_field *t = row_get(row, "tokens"),
                           *want = row_get(row, "embedding_cls_normalized");
    struct bert b = {.ops = NULL};
    struct bert_space *space = NULL;
    struct gguf *g = NULL;
    struct pool *p = NULL;
    struct gw_err err = {GW_OK, ""};
    int32_t tokens[64];
    static float out[1024];
    double worst = 0;

    for (size_t i = 0; i < t->n_nums; i++)
        tokens[i] = (int32_t)t->nums[i];
    struct bert_run run = {.ids = tokens, .n = (unsigned)t->n_nums, .out = out};
    if (!CHECK(gguf_open(path, &g, &err) == GW_OK && pool_new(threads, &p, &err) == GW_OK &&
               bert_load_gguf(&b, g, kern_ops(level), &err) == GW_OK && b.n_embd <= 1024 &&
               bert_space_new(&b, p, 64, 64, &space, &err) == GW_OK)) {
        printf("%s: %s\n", path, err.text);
    } else {
        bert_step(space, &run, 1);
        for (size_t i = 0; i < want->n_nums; i++)
            worst = fmax(worst, fabs((double)out[i] - want->nums[i]));
        worst *= sqrt((double)b.n_embd);
        if (!CHECK(want->n_nums == 32 && worst <= bound_for(row_str(row, "file"))))
            printf("%s %s: off by %.4f standard deviations\n", path, level, worst);
        else if (getenv("VERBOSE") != NULL)
            printf("%s %s: %.5f\n", path, level, worst);
    }
    bert_space_free(space);
    bert_fini(&b);
    pool_free(p);
    gguf_close(g);
}

static void test_rows(const char *models)
{
    static char line[ROW_LINE];
    static struct row row;
    char path[PATH_MAX];
    FILE *f = fopen(RIG_SHARED "/golden.jsonl", "re");

    if (f == NULL) {
        test_skip("no ../shared/models/golden.jsonl");
        return;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *file;
        bool tiny;

        if (!CHECK(row_parse(&row, line)))
            break;
        file = row_str(&row, "file");
        tiny = strncmp(file, "tiny-", 5) == 0;
        if (!is_supported(file) || (tiny && models == NULL))
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", tiny ? models : RIG_SHARED "/stories260K",
                       file);
        for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
            if (kern_ops_exact(levels[i]) == NULL)
                continue;
            else if (strcmp(row_str(&row, "arch"), "bert") == 0)
                check_bert(&row, path, levels[i], 1 + (unsigned)i % 2);
            else
                check_row(&row, path, levels[i], 1 + (unsigned)i % 2, i == 2 ? 5 : RIG_STEP);
    }
    row_clear(&row);
    (void)fclose(f);
}

int main(void)
{
    char why[256] = "the model generator failed";
    const char *models = rig_models(why);

    if (models == NULL)
        test_skip(why);
    test_rows(models);
    return test_done();
}
