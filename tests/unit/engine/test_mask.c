/* tests/unit/engine/test_mask.c - masks say of every token what trying it says; answers drawn from masks end, and are
 * what the format allows; what must come is found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mask.h"
#include "engine/steer.h"
#include "tests/test.h"
#include "tests/unit/engine/vocab_make.h"

enum { MADE = 250 };

static unsigned rnd(unsigned n)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* Every byte, pieces of JSON that cross its borders, and an end. */
static struct tok *make_tok(void)
{
    static const char *const words[] = {
        "{\"",         "\":",          "\": ",     "\",",      "\"}",        "\",\"", "\": \"",
        "},",          "}]",           "]}",       "{}",       "[]",         "[[",    "[[[[[[[[",
        "]]]]",        "\n  ",         "\n    ",   "name",     "\"name\"",   "na",    "age",
        "\":{\"",      "true",         "fal",      "null",     "12",         "123",   "0.",
        "e+",          "\\u",          "\\u00",    "\\\"",     "ab",         "abc",   "xyz",
        "  ",          ", ",           "\xc3\xa9", "\xf0\x9f", "\x98\x80\"", "<tool", "_call>",
        "<tool_call>", "</tool_call>", "1}",       "2,",       "3]",         "\"]",   "\"a\"",
        "\":1",        "a\":",         "b\",\"a",  "yes",      "no",         " y"};
    /* Letters, characters of every length, and pieces of them, at random: whole parts of the tree fit or do not. */
    static const char *const parts[] = {"a",
                                        "b",
                                        "n",
                                        " ",
                                        "0",
                                        "\xc3\xa9",
                                        "\xe4\xb8\xad",
                                        "\xf0\x9f\x98\x80",
                                        "\"",
                                        "\n",
                                        "\xc3",
                                        "\xe4\xb8",
                                        "\x98",
                                        "\x80\x80",
                                        "<"};
    static char bytes[256][8], made[MADE][32];
    struct vocab v = {.model = "llama", .bos = -1, .eos = 2, .add_bos = 0};
    struct gw_err err;
    struct tok *t;

    (void)vocab_add(&v, "<unk>", 2, 0);
    (void)vocab_add(&v, "<s>", 3, 0);
    (void)vocab_add(&v, "</s>", 3, 0);
    for (unsigned b = 0; b < 256; b++) {
        (void)snprintf(bytes[b], sizeof(bytes[b]), "<0x%02X>", b);
        (void)vocab_add(&v, bytes[b], 6, 0);
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        (void)vocab_add(&v, words[i], 4, -1);
    for (unsigned i = 0; i < MADE; i++) {
        size_t at = 0;

        for (unsigned k = 2 + rnd(4); k != 0; k--) /* rarely a broken one */
            at += (size_t)snprintf(made[i] + at, sizeof(made[i]) - at, "%s",
                                   parts[rnd(i % 4 == 0 ? sizeof(parts) / sizeof(parts[0]) : 8)]);
        (void)vocab_add(&v, made[i], 4, -1);
    }
    t = vocab_tok(&v, &err);
    if (t == NULL)
        fprintf(stderr, "%s\n", err.text);
    return t;
}

static struct engine_grammar *make(const struct engine_format *f)
{
    struct gw_err err;
    struct engine_grammar *g = NULL;

    if (engine_grammar_new(f, &g, &err) != GW_OK)
        fprintf(stderr, "%s\n", err.text);
    return g;
}

/* Whether a token fits, tried byte by byte. */
static bool fits(const struct tok *t, struct matcher *m, int32_t id)
{
    struct gw_span piece = tok_piece(t, id);
    uint32_t set = m->at;

    if (tok_is_end(t, id))
        return matcher_done(m);
    if (piece.len == 0 || tok_is_control(t, id))
        return false;
    for (size_t i = 0; i < piece.len && set != MATCHER_DEAD; i++)
        set = matcher_step(m, set, (unsigned char)piece.ptr[i]);
    return set != MATCHER_DEAD;
}

/* Draws an answer: at each step the mask is compared with trials. Closing is favoured after a while. Returns its length. */
static size_t draw(const struct tok *t, struct mask_cache *c, struct engine_grammar *g,
                   unsigned steps)
{
    struct matcher *m = matcher_new(g, false);
    uint64_t bits[16];
    int32_t allowed[600];
    size_t bytes = 0;
    unsigned step = 0;

    for (; step < steps; step++) {
        unsigned n = 0, wrong = 0;
        int32_t id;

        if (!CHECK(mask_fill(c, m, bits)))
            break;
        for (unsigned i = 0; i < tok_n_vocab(t); i++) {
            bool is = (bits[i / 64] >> i % 64 & 1) != 0;

            wrong += is != fits(t, m, (int32_t)i);
            if (is)
                allowed[n++] = (int32_t)i;
        }
        if (!CHECK(wrong == 0) || !CHECK(n != 0))
            break;
        id = allowed[rnd(n)];
        if (tok_is_end(t, id))
            break;
        CHECK(matcher_accept(m, tok_piece(t, id)));
        bytes += tok_piece(t, id).len;
        if (matcher_over(m))
            break;
    }
    matcher_free(m);
    return bytes;
}

static const char *const schemas[] = {
    "{}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"na\":{\"type\":"
    "\"integer\"},"
    "\"age\":{\"type\":\"integer\",\"minimum\":3,\"maximum\":120}},\"required\":[\"name\"]}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"
    "\"maxLength\":5},"
    "\"a\":{\"enum\":[\"a\",\"abc\",12,null,[1,{}]]}},\"required\":[\"a\"],"
    "\"additionalProperties\":false}",
    "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},"
    "\"minItems\":1,"
    "\"maxItems\":2},\"minItems\":2,\"maxItems\":4}",
    "{\"type\":\"string\",\"pattern\":\"^[a-c]{2,5}(xyz|\\\"|\xc3\xa9)*$\",\"maxLength\":8}",
    "{\"anyOf\":[{\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}},"
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],\"items\":false},{\"type\":"
    "\"null\"}]}",
};

static void test_masks(const struct tok *t)
{
    struct mask_cache *c = mask_cache_new(t);
    size_t all = 0;

    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        for (unsigned ordered = 0; ordered < 2; ordered++) {
            const struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA,
                                            .text = gw_span_str(schemas[i]),
                                            .ordered = ordered != 0};
            struct engine_grammar *g = make(&f);

            if (!CHECK(g != NULL))
                continue;
            for (unsigned k = 0; k < TEST_DRAWS(24); k++)
                all += draw(t, c, g, 60);
            engine_grammar_unref(g);
        }
    }
    CHECK(all > 1000);
    mask_cache_free(c);
}

static void test_regexes(const struct tok *t)
{
    static const char *const texts[] = {"[^<>]*", "[a-z \xc3\xa9]+<?[^\"]{3,}",
                                        "([ab]|\xe4\xb8\xad)*0", "(.|\n)*",
                                        "[\xc3\xa0-\xf0\x9f\x98\x80"
                                        "a]{2,9}n*"};
    struct mask_cache *c = mask_cache_new(t);
    size_t all = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct engine_format f = {.kind = ENGINE_FORMAT_REGEX, .text = gw_span_str(texts[i])};
        struct engine_grammar *g = make(&f);

        if (!CHECK(g != NULL))
            continue;
        for (unsigned k = 0; k < TEST_DRAWS(12); k++)
            all += draw(t, c, g, 40);
        engine_grammar_unref(g);
    }
    CHECK(all > 500);
    mask_cache_free(c);
}

static void test_calls(const struct tok *t)
{
    const struct engine_format_tool tool = {GW_SPAN("abc"), GW_SPAN("")};
    const struct engine_format f = {.kind = ENGINE_FORMAT_TOOLS,
                                    .begin = GW_SPAN("<tool_call>"),
                                    .end = GW_SPAN("</tool_call>"),
                                    .tools = &tool,
                                    .n_tools = 1};
    struct mask_cache *c = mask_cache_new(t);
    struct engine_grammar *g = make(&f);

    for (unsigned k = 0; k < TEST_DRAWS(12); k++)
        (void)draw(t, c, g, 120);
    engine_grammar_unref(g);
    mask_cache_free(c);
}

/* Few that fit are listed, and logits stay as they were; of many, the others become -INFINITY; forced tokens say what must come. */
static void test_steer(const struct tok *t)
{
    const struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA,
                                    .text = GW_SPAN("{\"const\":{\"name\":\"abcxyz\"}}"),
                                    .ordered = true};
    struct engine_grammar *g = make(&f);
    struct steer_space *sp = steer_space_new(t, kern_ops(NULL));
    struct steer *s = steer_new(sp, g);
    unsigned n = tok_n_vocab(t), n_left = 0;
    struct tok_ids ids = {0};
    float *z = calloc(n, sizeof(*z));
    enum steer_next next = STEER_ON;
    const int32_t *few = NULL;

    for (unsigned i = 0; i < n; i++)
        z[i] = (float)i;
    CHECK(steer_logits(s, z, n, &few, &n_left) && few != NULL);
    CHECK(n_left > 0 && n_left < 12);
    for (unsigned i = 0; i < n; i++)
        CHECK(z[i] == (float)i);
    for (const char *p = "{\"name\""; *p != '\0'; p++)
        next = steer_take(s, 3 + (unsigned char)*p);
    CHECK(next == STEER_ON && steer_forced(s, &ids) == GW_OK && ids.n == 0); /* a gap may come */
    for (const char *p = ":\""; *p != '\0'; p++)
        next = steer_take(s, 3 + (unsigned char)*p);
    CHECK(next == STEER_ON && steer_forced(s, &ids) == GW_OK && ids.n >= 1);
    for (size_t i = 0; i < ids.n; i++)
        CHECK(steer_take(s, ids.ids[i]) == STEER_ON);
    CHECK(steer_take(s, 3 + 'Q') == STEER_FAILED);
    tok_ids_fini(&ids);
    free(z);
    steer_free(s);
    steer_space_free(sp);
    engine_grammar_unref(g);
}

int main(void)
{
    struct tok *t = make_tok();

    if (CHECK(t != NULL)) {
        test_masks(t);
        test_regexes(t);
        test_calls(t);
        test_steer(t);
    }
    tok_free(t);
    return test_done();
}
