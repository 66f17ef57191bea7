/* tests/bench/bench_mask.c - what steering an answer costs a token.
 *
 * usage: bench_mask VOCAB.gguf [ANSWERS [SEED]]      e.g. bench_mask ../shared/models/vocab/ggml-vocab-qwen2.gguf
 *
 * With COLD in the environment nothing is made ahead, as an engine does when it opens.
 * For some formats: answers are drawn at random from the masks, as a model without any idea would, and the time of
 * mask_fill, mask_apply and matcher_accept a token is printed: the mean and the largest of the first answers (nothing is
 * cached) and of later ones, and what making the grammar takes. Under callgrind the counts of instructions do not depend
 * on the load of the machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/gguf.h"
#include "engine/mask.h"

enum { MAX_TOKENS = 300, COLD = 1 };

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

struct times {
    uint64_t fill, apply, accept, n, worst;
};

static void answer(const struct tok *t, struct mask_cache *c, struct engine_grammar *g,
                   struct times *out)
{
    struct matcher *m = matcher_new(g, false);
    size_t n_words = mask_words(c);
    uint64_t *bits = calloc(n_words + 1, sizeof(*bits));
    float *z = calloc(tok_n_vocab(t), sizeof(*z));

    for (unsigned i = 0; i < MAX_TOKENS && m != NULL && bits != NULL && z != NULL; i++) {
        uint64_t begin = gw_clock_ns(), filled, applied, accepted;
        int32_t id;

        if (!mask_fill(c, m, bits))
            break;
        filled = gw_clock_ns();
        mask_apply(bits, z, tok_n_vocab(t));
        applied = gw_clock_ns();
        id = pick(bits, n_words);
        if (id == TOK_NONE || tok_is_end(t, id))
            break;
        accepted = gw_clock_ns();
        if (!matcher_accept(m, tok_piece(t, id)))
            break;
        out->fill += filled - begin;
        out->apply += applied - filled;
        out->accept += gw_clock_ns() - accepted;
        out->worst = filled - begin > out->worst ? filled - begin : out->worst;
        out->n++;
        if (matcher_over(m))
            break;
    }
    free(z);
    free(bits);
    matcher_free(m);
}

static void print_times(const char *what, const struct times *t)
{
    double n = t->n == 0 ? 1 : (double)t->n;

    printf("  %-6s %6llu tokens: mask %6.1f us (largest %7.1f), logits %5.1f us, accept %5.2f us\n",
           what, (unsigned long long)t->n, (double)t->fill / n / 1e3, (double)t->worst / 1e3,
           (double)t->apply / n / 1e3, (double)t->accept / n / 1e3);
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
    for (unsigned k = 0; k < n_answers; k++)
        answer(t, c, g, k < COLD ? &cold : &warm);
    print_times("first", &cold);
    print_times("later", &warm);
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
    for (size_t i = 0; c != NULL && i < sizeof(formats) / sizeof(formats[0]); i++)
        bench(t, c, i, n_answers);
    mask_cache_free(c);
    tok_free(t);
    gguf_close(g);
    return 0;
}
