/* tests/unit/engine/test_grammar_cache.c - equal formats give one grammar, others never; a crowd of formats does not grow
 * the cache; threads share it; masks are shared with the grammar. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar.h"
#include "engine/grammar_cache.h"
#include "engine/mask.h"
#include "tests/test.h"
#include "tests/unit/engine/vocab_make.h"

static struct engine_grammar *get(struct grammar_cache *c, const struct engine_format *f,
                                  const char *scope)
{
    struct engine_grammar *g = NULL;

    CHECK(grammar_cache_get(c, f, gw_span_str(scope), &g, NULL) == GW_OK);
    return g;
}

/* Whether both formats give the same grammar. */
static bool same(struct grammar_cache *c, const struct engine_format *a,
                 const struct engine_format *b, const char *scope_b)
{
    struct engine_grammar *x = get(c, a, "one"), *y = get(c, b, scope_b);
    bool is = x == y && x != NULL;

    CHECK(is == (x->uid == y->uid));
    engine_grammar_unref(x);
    engine_grammar_unref(y);
    return is;
}

static void test_keys(void)
{
    static const char schema[] = "{\"type\":\"string\",\"maxLength\":7}";
    char copy[sizeof(schema)];
    const struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA, .text = gw_span_str(schema)};
    struct engine_format_tool tools[] = {{GW_SPAN("ab"), GW_SPAN("")}, {GW_SPAN("c"), GW_SPAN("")}};
    const struct engine_format calls = {.kind = ENGINE_FORMAT_TOOLS,
                                        .begin = GW_SPAN("<c>"),
                                        .end = GW_SPAN("</c>"),
                                        .tools = tools,
                                        .n_tools = 2};
    struct engine_format_tool moved[] = {{GW_SPAN("a"), GW_SPAN("")}, {GW_SPAN("bc"), GW_SPAN("")}};
    struct grammar_cache *c = grammar_cache_new(1 << 20);
    struct engine_format o = f;
    struct engine_grammar_stats st;

    memcpy(copy, schema, sizeof(copy));
    o.text = gw_span_str(copy); /* equal, elsewhere */
    CHECK(same(c, &f, &o, "one"));
    CHECK(!same(c, &f, &f, "two"));
    o.ordered = true;
    CHECK(!same(c, &f, &o, "one"));
    o = f;
    o.closed = true;
    CHECK(!same(c, &f, &o, "one"));
    o = f;
    o.text = GW_SPAN("{\"type\":\"string\",\"maxLength\":8}");
    CHECK(!same(c, &f, &o, "one"));
    CHECK(same(c, &calls, &calls, "one"));
    o = calls;
    o.tools = moved; /* the same bytes, cut elsewhere */
    CHECK(!same(c, &calls, &o, "one"));
    o = calls;
    o.must_call = true;
    CHECK(!same(c, &calls, &o, "one"));
    o = calls;
    o.single = true;
    CHECK(!same(c, &calls, &o, "one"));
    grammar_cache_stats(c, &st);
    CHECK(st.kept == 9 && st.misses == 9 && st.hits == 9 && st.dropped == 0);
    grammar_cache_free(c);
}

static void test_refused(void)
{
    const struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA,
                                    .text = GW_SPAN("{\"type\":\"thing\"}")};
    struct grammar_cache *c = grammar_cache_new(1 << 20);
    struct engine_grammar *g = NULL;
    struct engine_grammar_stats st;
    struct gw_err err = {GW_OK, ""};

    for (unsigned i = 0; i < 2; i++)
        CHECK(grammar_cache_get(c, &f, GW_SPAN(""), &g, &err) == GW_EINVAL && g == NULL &&
              err.text[0] != '\0');
    grammar_cache_stats(c, &st);
    CHECK(st.kept == 0 && st.misses == 2 && st.hits == 0);
    grammar_cache_free(c);
}

/* Format number i. */
static struct engine_grammar *get_number(struct grammar_cache *c, unsigned i)
{
    char text[160];
    const struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA, .text = {text, 0}};
    struct engine_format own = f;

    own.text.len =
        (size_t)snprintf(text, sizeof(text),
                         "{\"type\":\"object\",\"properties\":{\"n%u\":{\"type\":\"string\"}}}", i);
    return get(c, &own, "one");
}

static void test_crowd(void)
{
    enum { BYTES = 1 << 20, N = 400 };
    struct grammar_cache *c = grammar_cache_new(BYTES);
    struct engine_grammar *first = get_number(c, 0), *g;
    struct engine_grammar_stats st;
    uint64_t hits;

    for (unsigned i = 1; i < N; i++) {
        engine_grammar_unref(get_number(c, i));
        engine_grammar_unref(g = get_number(c, 0)); /* what is asked for again stays */
        CHECK(g == first);
        grammar_cache_stats(c, &st);
        CHECK(st.bytes <= BYTES);
    }
    CHECK(st.dropped > N / 2 && st.kept + st.dropped == N && st.hits == N - 1);
    hits = st.hits;
    engine_grammar_unref(get_number(c, N - 1));
    engine_grammar_unref(get_number(c, 1)); /* gone */
    grammar_cache_stats(c, &st);
    CHECK(st.hits == hits + 1 && st.misses == N + 1);
    grammar_cache_free(c);
    CHECK(first->n_states != 0); /* its reference is ours */
    engine_grammar_unref(first);
    c = grammar_cache_new(1024); /* nothing has room */
    engine_grammar_unref(get_number(c, 0));
    grammar_cache_stats(c, &st);
    CHECK(st.kept == 0 && st.bytes == 0 && st.misses == 1);
    grammar_cache_free(c);
}

static void *crowd_main(void *arg)
{
    struct grammar_cache *c = arg;

    for (unsigned i = 0; i < 300; i++) {
        struct engine_grammar *g = get_number(c, i * 7 % 40);

        CHECK(g != NULL && g->n_states > g->n_common);
        engine_grammar_unref(g);
    }
    return NULL;
}

static void test_threads(void)
{
    enum { THREADS = 4 };
    struct grammar_cache *c = grammar_cache_new(1 << 19); /* fewer than 40 have room */
    struct engine_grammar_stats st;
    pthread_t t[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, crowd_main, c) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(t[i], NULL);
    grammar_cache_stats(c, &st);
    CHECK(st.hits + st.misses == 300 * THREADS && st.bytes <= 1 << 19);
    grammar_cache_free(c);
}

/* A second request of the same format finds the masks of the first. */
static void test_masks(void)
{
    struct vocab v = {.model = "llama", .bos = -1, .eos = 0, .add_bos = 0};
    struct grammar_cache *c = grammar_cache_new(1 << 20);
    struct mask_stats st[3];
    struct mask_cache *masks;
    struct gw_err err;
    struct tok *t;

    (void)vocab_add(&v, "</s>", 3, 0);
    (void)vocab_add(&v, "{\"", 4, 0);
    (void)vocab_add(&v, "n5", 4, 0);
    (void)vocab_add(&v, "\"", 4, 0);
    t = vocab_tok(&v, &err);
    masks = mask_cache_new(t);
    mask_cache_stats(masks, &st[0]);
    for (unsigned k = 1; k < 3; k++) {
        struct engine_grammar *g = get_number(c, 5);
        struct matcher *m = matcher_new(g, false);
        uint64_t bits[1];

        CHECK(mask_fill(masks, m, bits) && bits[0] == 2);
        CHECK(matcher_accept(m, GW_SPAN("{\"")) && mask_fill(masks, m, bits) && (bits[0] & 4) != 0);
        matcher_free(m);
        engine_grammar_unref(g);
        mask_cache_stats(masks, &st[k]);
    }
    CHECK(st[0].misses == 0 && st[1].misses > 0 && st[1].bytes > 0);
    CHECK(st[2].misses == st[1].misses && st[2].hits > st[1].hits && st[2].bytes == st[1].bytes);
    mask_cache_free(masks);
    tok_free(t);
    grammar_cache_free(c);
}

int main(void)
{
    test_keys();
    test_refused();
    test_crowd();
    test_threads();
    test_masks();
    return test_done();
}
