/* tests/unit/engine/test_kvtype.c - what a smaller KV cache costs: the Kullback-Leibler divergence of the
 * next token's distribution from the one with f16 keys and values, over a text. */
#include <math.h>

#include "engine/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

enum { MAX_TOKENS = 192, MAX_PLAN = 64 };
static bool show_layers; /* asked for */

struct loss {
    double mean, worst; /* of the divergence, nats */
    double same;        /* share of tokens whose most likely successor is the same */
};

/* The rig again, with another type of cache. */
static bool set_types(struct rig *r, enum kern_kv_type type, const enum kern_kv_type *layers)
{
    const struct kvcache_shape shape = {.n_layers = r->m.n_layers,
                                        .n_kv_heads = r->m.n_kv_heads,
                                        .head_dim = r->m.head_dim,
                                        .n_tokens = RIG_CONTEXT,
                                        .max_seq_tokens = RIG_CONTEXT,
                                        .type = type,
                                        .layer_types = layers};

    forward_free(r->f);
    kvcache_free(r->kv);
    r->f = NULL;
    r->kv = NULL;
    return kvcache_new(&shape, &r->kv, NULL) == GW_OK &&
           forward_new(&r->m, r->kv, r->p, RIG_STEP, RIG_STEP, RIG_CONTEXT, &r->f, NULL) == GW_OK;
}

static bool set_type(struct rig *r, enum kern_kv_type type)
{
    return set_types(r, type, NULL);
}

/* Log-probabilities of every vocabulary entry behind every token: out[n][n_vocab]. */
static bool read_all(struct rig *r, const int32_t *ids, unsigned n, float *out)
{
    size_t n_vocab = r->m.n_vocab;
    struct kvcache_seq s = {0};
    struct forward_run run = {.seq = &s};

    if (!CHECK(kvcache_reserve(r->kv, &s, n) == GW_OK))
        return false;
    for (unsigned i = 0; i < n; i += run.n_tokens) {
        run.tokens = ids + i;
        run.n_tokens = run.n_logits = n - i < RIG_STEP ? n - i : RIG_STEP;
        run.pos = i;
        forward_step(r->f, &run, 1);
        for (unsigned k = 0; k < run.n_tokens; k++) {
            const float *z = forward_logits(r->f, run.logits_row + k);
            double max = -INFINITY, sum = 0;

            for (size_t v = 0; v < n_vocab; v++)
                max = fmax(max, (double)z[v]);
            for (size_t v = 0; v < n_vocab; v++)
                sum += exp((double)z[v] - max);
            for (size_t v = 0; v < n_vocab; v++)
                out[(i + k) * n_vocab + v] = (float)((double)z[v] - max - log(sum));
        }
    }
    kvcache_release(r->kv, &s);
    return true;
}

static struct loss compare(const struct rig *r, const float *exact, const float *small, unsigned n)
{
    size_t n_vocab = r->m.n_vocab;
    struct loss l = {0};

    for (unsigned i = 0; i < n; i++) {
        const float *p = exact + i * n_vocab, *q = small + i * n_vocab;
        double kl = 0;

        for (size_t v = 0; v < n_vocab; v++)
            kl += exp((double)p[v]) * (double)(p[v] - q[v]);
        l.mean += kl / n;
        l.worst = fmax(l.worst, kl);
        l.same += (r->m.ops->argmax(p, n_vocab) == r->m.ops->argmax(q, n_vocab)) / (double)n;
    }
    return l;
}

/* The project's own README as ids. */
static unsigned read_text(const char *path, int32_t *ids)
{
    static char text[8192];
    FILE *f = fopen("README.md", "re");
    struct tok_ids all = {0};
    struct tok *tok = NULL;
    struct gguf *g = NULL;
    unsigned n = 0;

    if (f == NULL)
        return 0;
    if (CHECK(gguf_open(path, &g, NULL) == GW_OK) && CHECK(tok_open(g, &tok, NULL) == GW_OK)) {
        struct gw_span span = {text, fread(text, 1, sizeof(text), f)};

        CHECK(tok_encode(tok, span, true, &all) == GW_OK);
        n = all.n < MAX_TOKENS ? (unsigned)all.n : MAX_TOKENS;
        for (unsigned i = 0; i < n; i++)
            ids[i] = all.ids[i];
    }
    (void)fclose(f);
    tok_ids_fini(&all);
    tok_free(tok);
    gguf_close(g);
    return n;
}

static const struct {
    const char *name;
    enum kern_kv_type type;
} types[] = {
    {"int8", KERN_KV_I8},       {"fp8", KERN_KV_FP8},       {"int4", KERN_KV_I4},
    {"polar4", KERN_KV_POLAR4}, {"polar3", KERN_KV_POLAR3}, {"qjl", KERN_KV_QJL},
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

/* What each type may cost: the mean divergence, and the share of same choices. */
struct bound {
    double mean, same;
};

static unsigned token_bytes(const struct rig *r, enum kern_kv_type type)
{
    const struct kvcache_shape shape = {.n_layers = r->m.n_layers,
                                        .n_kv_heads = r->m.n_kv_heads,
                                        .head_dim = r->m.head_dim,
                                        .type = type};

    return (unsigned)kvcache_token_bytes(&shape);
}

/* Returns the mean loss of int4. */
static double test_types(struct rig *r, const int32_t *ids, unsigned n, float *exact, float *small,
                         const struct bound bounds[N_TYPES])
{
    double int4 = 0;

    printf("%-8s %6u bytes a token\n", "f16", token_bytes(r, KERN_KV_F16));
    for (unsigned i = 0; i < N_TYPES; i++) {
        struct loss l;

        if (!CHECK(set_type(r, types[i].type)) || !read_all(r, ids, n, small))
            return 0;
        l = compare(r, exact, small, n);
        int4 = types[i].type == KERN_KV_I4 ? l.mean : int4;
        printf("%-8s %6u bytes a token: mean %.5f, worst %.4f nats, %.1f %% the same choice\n",
               types[i].name, token_bytes(r, types[i].type), l.mean, l.worst, 100 * l.same);
        CHECK(l.mean < bounds[i].mean && l.mean > 0 && l.same >= bounds[i].same);
    }
    return int4;
}

/* How much each layer minds: all but one with f16. */
static void test_layers(struct rig *r, const int32_t *ids, unsigned n, float *exact, float *small)
{
    for (unsigned i = 0; i < r->m.n_layers; i++) {
        enum kern_kv_type layers[MAX_PLAN] = {KERN_KV_F16};
        struct loss l;

        layers[i] = KERN_KV_I4;
        if (!CHECK(set_types(r, KERN_KV_F16, layers)) || !read_all(r, ids, n, small))
            return;
        l = compare(r, exact, small, n);
        printf("layer %2u as int4: mean %.5f\n", i, l.mean);
    }
}

static void show_plan(struct rig *r, const char *name, const enum kern_kv_type *layers,
                      const int32_t *ids, unsigned n, const float *exact, float *small,
                      struct loss *l)
{
    const struct kvcache_shape shape = {.n_layers = r->m.n_layers,
                                        .n_kv_heads = r->m.n_kv_heads,
                                        .head_dim = r->m.head_dim,
                                        .layer_types = layers};

    if (!CHECK(set_types(r, KERN_KV_F16, layers)) || !read_all(r, ids, n, small))
        return;
    *l = compare(r, exact, small, n);
    printf("%-24s %6u bytes a token: mean %.5f, worst %.4f nats, %.1f %% the same choice\n", name,
           (unsigned)kvcache_token_bytes(&shape), l->mean, l->worst, 100 * l->same);
}

/* What "adaptive" takes, and what other plans of the same size would cost. */
static void test_adaptive(struct rig *r, const int32_t *ids, unsigned n, const float *exact,
                          float *small, double all_int4)
{
    const unsigned layers = r->m.n_layers, some = (layers + 5) / 6;
    enum kern_kv_type plan[MAX_PLAN];
    struct loss chosen = {0}, other = {0};

    kvcache_adapt(layers, plan);
    show_plan(r, "adaptive", plan, ids, n, exact, small, &chosen);
    CHECK(chosen.mean > 0 && chosen.mean < all_int4);
    if (!show_layers)
        return;
    for (unsigned i = 0; i < layers; i++)
        plan[i] = i >= layers - some ? KERN_KV_I8 : KERN_KV_I4;
    show_plan(r, "the last sixth int8", plan, ids, n, exact, small, &other);
    for (unsigned i = 0; i < layers; i++)
        plan[i] = i < some / 2 || i >= layers - (some - some / 2) ? KERN_KV_I8 : KERN_KV_I4;
    show_plan(r, "both ends int8", plan, ids, n, exact, small, &other);
    for (unsigned i = 0; i < layers; i++)
        plan[i] = i % 6 == 3 ? KERN_KV_I8 : KERN_KV_I4;
    show_plan(r, "every sixth int8", plan, ids, n, exact, small, &other);
}

static void test_loss(const char *path, const struct bound bounds[N_TYPES])
{
    int32_t ids[MAX_TOKENS];
    unsigned n;
    float *exact, *small;
    struct rig r;

    if (access(path, R_OK) != 0) {
        test_skip(path);
        return;
    }
    n = read_text(path, ids);
    if (!CHECK(n > 100) || !CHECK(rig_init(&r, path, NULL, 2, NULL) == GW_OK) ||
        !CHECK(r.m.n_layers <= MAX_PLAN))
        return;
    exact = malloc((size_t)n * r.m.n_vocab * sizeof(*exact));
    small = malloc((size_t)n * r.m.n_vocab * sizeof(*small));
    if (CHECK(exact != NULL && small != NULL) && read_all(&r, ids, n, exact)) {
        printf("%s, %u tokens, against f16:\n", path, n);
        test_adaptive(&r, ids, n, exact, small, test_types(&r, ids, n, exact, small, bounds));
        if (show_layers)
            test_layers(&r, ids, n, exact, small);
    }
    free(exact);
    free(small);
    rig_fini(&r);
}

int main(int argc, char **argv)
{
    show_layers = argc > 1 && strcmp(argv[1], "layers") == 0;

    /* Heads of 8 numbers that were never trained on such text: far from what is in use. */
    static const struct bound stories[N_TYPES] = {{0.02, 0.9}, {0.2, 0.7}, {1, 0.4},
                                                  {1.6, 0.25}, {3, 0.15},  {2, 0.2}};
    /* Some of it is not the cache: which blocks of activations keep 16 bits turns on the smallest difference. */
    static const struct bound smollm2[N_TYPES] = {{0.006, 0.9}, {0.03, 0.8}, {0.07, 0.75},
                                                  {0.1, 0.75},  {0.5, 0.5},  {0.2, 0.65}};

    test_loss(RIG_SHARED "/stories260K/stories260K-F32.gguf", stories);
    if (TEST_DRAWS(4) == 4) /* sanitizers have seen the same code with the small one */
        test_loss("models/smollm2-135m-instruct-q4_1.gguf", smollm2);
    return test_done();
}
