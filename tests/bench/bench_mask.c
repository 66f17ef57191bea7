/* tests/bench/bench_mask.c - what steering an answer costs a token.
 *
 * usage: bench_mask VOCAB.gguf [ANSWERS [SEED]]      e.g. bench_mask ../shared/models/vocab/ggml-vocab-qwen2.gguf
 *
 * With COLD in the environment nothing is made ahead, as an engine does when it opens.
 * For some formats: answers are drawn at random from the masks, as a model without any idea would, and what a token takes
 * is printed: the mask (mask_fill), handing it to the sampler (the kernel `mask`; KERNELS in the environment chooses a table), and moving on
 * (matcher_accept); p50, p99 and the largest of the sums, of each format's first answer (nothing is cached but what
 * formats have in common) and of its later ones; the same of all formats together; and what making the grammar takes. Under
 * callgrind the counts of instructions do not depend on the load of the machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/gguf.h"
#include "engine/steer.h"

enum { MAX_TOKENS = 300, MAX_TIMES = 1 << 20, COLD = 1 };

static const struct {
    const char *name;
    enum engine_format_kind kind;
    const char *text;
} formats[] = {
    {"any object", ENGINE_FORMAT_JSON, ""},
    {"strings and numbers", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":"
     "\"integer\"},"
     "\"email\":{\"type\":\"string\"},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"
     ","
     "\"score\":{\"type\":\"number\"}},\"required\":[\"name\",\"age\",\"email\",\"tags\",\"score\"]"
     ","
     "\"additionalProperties\":false}"},
    {"bounded lists in lists", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"array\",\"minItems\":2,\"maxItems\":1000,\"items\":{\"type\":\"array\","
     "\"minItems\":3,"
     "\"maxItems\":1000,\"items\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{\"type\":"
     "\"string\","
     "\"maxLength\":100}}}}"},
    {"pattern", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]+( "
     "[A-Z][a-z]+)*$\"}}"},
    {"union of objects", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"kind\":{"
     "\"const\":"
     "\"text\"},\"text\":{\"type\":\"string\"}},\"required\":[\"kind\",\"text\"]},{\"type\":"
     "\"object\","
     "\"properties\":{\"kind\":{\"const\":\"point\"},\"x\":{\"type\":\"number\"},\"y\":{\"type\":"
     "\"number\"}},\"required\":[\"kind\",\"x\",\"y\"]},{\"type\":\"null\"}]}}"},
    {"an invoice", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"object\",\"properties\":{\"number\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-"
     "[0-9]{6}$\"},"
     "\"date\":{\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"},\"currency\":{"
     "\"enum\":[\"EUR\",\"USD\","
     "\"GBP\",\"JPY\"]},\"paid\":{\"type\":\"boolean\"},\"customer\":{\"type\":\"object\","
     "\"properties\":{\"name\":{\"type\":"
     "\"string\",\"minLength\":1,\"maxLength\":80},\"vat\":{\"type\":[\"string\",\"null\"]}},"
     "\"required\":[\"name\",\"vat\"],"
     "\"additionalProperties\":false},\"lines\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":50,"
     "\"items\":{\"type\":\"object\","
     "\"properties\":{\"text\":{\"type\":\"string\"},\"amount\":{\"type\":\"number\",\"minimum\":0}"
     ",\"count\":{\"type\":\"integer\","
     "\"minimum\":1,\"maximum\":999}},\"required\":[\"text\",\"amount\",\"count\"],"
     "\"additionalProperties\":false}}},"
     "\"required\":[\"number\",\"date\",\"currency\",\"paid\",\"customer\",\"lines\"],"
     "\"additionalProperties\":false}"},
    {"a tree ($ref)", ENGINE_FORMAT_SCHEMA,
     "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\"},"
     "\"children\":{\"type\":\"array\","
     "\"items\":{\"$ref\":\"#/$defs/"
     "node\"}}},\"required\":[\"label\",\"children\"],\"additionalProperties\":false}},"
     "\"$ref\":\"#/$defs/node\"}"},
    {"open objects", ENGINE_FORMAT_SCHEMA,
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"},\"note\":{\"type\":"
     "\"string\"}},\"required\":[\"id\"],"
     "\"additionalProperties\":{\"type\":[\"string\",\"number\"]}}"},
    {"regular expression", ENGINE_FORMAT_REGEX,
     "(- [A-Za-z0-9 ,.]+\\n){3,9}In short: [A-Z][a-z ]+\\."},
    {"prose", ENGINE_FORMAT_REGEX, "[^<>]{10,}"},
};

static uint64_t state = 88172645463325252u;

static uint64_t rnd(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

/* A token whose bit is set, any with the same chance. */
static int32_t pick(const uint64_t *bits, size_t n_words)
{
    uint64_t n = 0, k;

    for (size_t w = 0; w < n_words; w++)
        n += (uint64_t)__builtin_popcountll(bits[w]);
    if (n == 0)
        return TOK_NONE;
    k = rnd(n);
    for (size_t w = 0; w < n_words; w++) {
        uint64_t here = (uint64_t)__builtin_popcountll(bits[w]);

        for (uint64_t word = bits[w]; k < here && word != 0; word &= word - 1)
            if (k-- == 0)
                return (int32_t)(w * 64 + (size_t)__builtin_ctzll(word));
        k -= here;
    }
    return TOK_NONE;
}

/* What each token took, in nanoseconds. */
struct times {
    uint64_t fill, give, accept, n;
    uint32_t *all;
};

static struct times all_cold, all_warm;

static void add_time(struct times *t, uint64_t fill, uint64_t give, uint64_t accept)
{
    if (t->n == MAX_TIMES)
        return;
    t->fill += fill;
    t->give += give;
    t->accept += accept;
    t->all[t->n++] = (uint32_t)(fill + give + accept);
}

static void answer(const struct tok *t, struct mask_cache *c, struct engine_grammar *g,
                   struct times *out, struct times *sum)
{
    const struct kern_ops *ops = kern_ops(getenv("KERNELS"));
    struct matcher *m = matcher_new(g, false);
    size_t n_words = mask_words(c);
    uint64_t *bits = calloc(n_words + 1, sizeof(*bits));
    float *z = calloc(tok_n_vocab(t), sizeof(*z));
    int32_t *ids = calloc(tok_n_vocab(t) + (size_t)1, sizeof(*ids));

    for (unsigned i = 0; i < MAX_TOKENS && m != NULL && bits != NULL && z != NULL && ids != NULL;
         i++) {
        uint64_t begin = gw_clock_ns(), filled, given, accepted;
        int32_t id;

        if (!mask_fill(c, m, bits))
            break;
        filled = gw_clock_ns();
        (void)ops->mask(z, bits, tok_n_vocab(t), ids, tok_n_vocab(t) / STEER_FEW);
        given = gw_clock_ns();
        id = pick(bits, n_words);
        if (id == TOK_NONE || tok_is_end(t, id))
            break;
        accepted = gw_clock_ns();
        if (!matcher_accept(m, tok_piece(t, id)))
            break;
        accepted = gw_clock_ns() - accepted;
        add_time(out, filled - begin, given - filled, accepted);
        add_time(sum, filled - begin, given - filled, accepted);
        if (matcher_over(m))
            break;
    }
    free(ids);
    free(z);
    free(bits);
    matcher_free(m);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *what, struct times *t)
{
    double n = (double)t->n;
    uint64_t middle = t->n / 2, late = t->n * 99 / 100;

    if (t->all == NULL || t->n == 0)
        return;
    qsort(t->all, t->n, sizeof(*t->all), by_size);
    printf(
        "  %-6s %6llu tokens: mask %6.2f us, logits %5.2f us, accept %5.2f us; together p50 %6.2f, "
        "p99 %7.2f, largest %8.2f us\n",
        what, (unsigned long long)t->n, (double)t->fill / n / 1e3, (double)t->give / n / 1e3,
        (double)t->accept / n / 1e3, t->all[middle] / 1e3, t->all[late] / 1e3,
        t->all[t->n - 1] / 1e3);
}

static void bench(const struct tok *t, struct mask_cache *c, size_t i, unsigned n_answers)
{
    const struct engine_format f = {
        .kind = formats[i].kind, .text = gw_span_str(formats[i].text), .ordered = true};
    struct times cold = {0}, warm = {0};
    struct engine_grammar *g = NULL;
    struct gw_err err;
    uint64_t begin = gw_clock_ns();

    if (engine_grammar_new(&f, &g, &err) != GW_OK) {
        printf("%s: %s\n", formats[i].name, err.text);
        return;
    }
    printf("%s: made in %.0f us\n", formats[i].name, (double)(gw_clock_ns() - begin) / 1e3);
    cold.all = calloc(MAX_TIMES, sizeof(*cold.all));
    warm.all = calloc(MAX_TIMES, sizeof(*warm.all));
    for (unsigned k = 0; k < n_answers && cold.all != NULL && warm.all != NULL; k++)
        answer(t, c, g, k < COLD ? &cold : &warm, k < COLD ? &all_cold : &all_warm);
    print_times("first", &cold);
    print_times("later", &warm);
    free(cold.all);
    free(warm.all);
    engine_grammar_unref(g);
}

int main(int argc, char **argv)
{
    unsigned n_answers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct gw_err err;
    struct mask_cache *c;
    uint64_t begin;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_mask VOCAB.gguf [ANSWERS [SEED]]\n");
        return 2;
    }
    if (argc > 3)
        state ^= strtoull(argv[3], NULL, 10);
    if (gguf_open(argv[1], &g, &err) != GW_OK || tok_open(g, &t, &err) != GW_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    begin = gw_clock_ns();
    c = mask_cache_new(t);
    printf("%u tokens, their tree made in %.1f ms\n", tok_n_vocab(t),
           (double)(gw_clock_ns() - begin) / 1e6);
    begin = gw_clock_ns();
    if (c != NULL && getenv("COLD") == NULL)
        mask_warm(c);
    printf("what all grammars have in common made in %.1f ms\n",
           (double)(gw_clock_ns() - begin) / 1e6);
    all_cold.all = calloc(MAX_TIMES, sizeof(*all_cold.all));
    all_warm.all = calloc(MAX_TIMES, sizeof(*all_warm.all));
    if (all_cold.all == NULL || all_warm.all == NULL)
        return 1;
    for (size_t i = 0; c != NULL && i < sizeof(formats) / sizeof(formats[0]); i++)
        bench(t, c, i, n_answers);
    printf("all formats\n");
    print_times("first", &all_cold);
    print_times("later", &all_warm);
    free(all_cold.all);
    free(all_warm.all);
    mask_cache_free(c);
    tok_free(t);
    gguf_close(g);
    return 0;
}
