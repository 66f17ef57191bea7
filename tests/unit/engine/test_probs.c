/* tests/unit/engine/test_probs.c - how likely tokens were, told with their text; biases; and that neither depends on who else
 * is there. */
#include <math.h>
#include <poll.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/probs.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

/* ---- rows ---------------------------------------------------------------------------------- */

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-5;
}

static void test_row(void)
{
    /* Probabilities 0.5, 0.25, 0.125, 0.125 at 3, 1, 0 and 5; the others count for nothing. */
    const float row[7] = {logf(0.125f) + 7, logf(0.25f) + 7,  NAN, logf(0.5f) + 7,
                          -INFINITY,        logf(0.125f) + 7, -90};
    struct probs_space *sp = probs_space_new(7);
    struct probs *p = probs_new(4);
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    struct engine_token t;
    struct gw_buf out = {0};
    struct gw_span at;

    probs_keep(sp, row, 7);
    probs_take(p, sp, 5, 3, 1);
    probs_take(p, sp, 4, 1, 0);
    probs_give(p, 2, 2, &out);
    CHECK(out.len == 0); /* its last byte is not certain */
    probs_give(p, 4, 2, &out);
    at = gw_buf_span(&out);
    CHECK(engine_token_next(&at, &t, top) && t.drawn.id == 5 && t.text_bytes == 4 && t.skip == 1);
    CHECK(is_near(t.drawn.logprob, log(0.125)) && t.n_top == 4);
    CHECK(top[0].id == 3 && is_near(top[0].logprob, log(0.5)));
    CHECK(top[1].id == 1 && top[2].id == 0 && top[3].id == 5); /* equals by their ids */
    CHECK(engine_token_next(&at, &t, top) && t.drawn.id == 4 && t.text_bytes == 0);
    CHECK(isinf(t.drawn.logprob) && t.drawn.logprob < 0);
    CHECK(!engine_token_next(&at, &t, top) && probs_ok(p));
    gw_buf_fini(&out);
    probs_free(p);
    probs_space_free(sp);
}

/* No row makes a number that is none. */
static void test_odd_rows(void)
{
    const float rows[][3] = {{NAN, NAN, NAN},
                             {-INFINITY, -INFINITY, -INFINITY},
                             {INFINITY, 1, 2},
                             {INFINITY, INFINITY, NAN},
                             {3e38f, -3e38f, 0}};
    struct probs_space *sp = probs_space_new(3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct probs *p = probs_new(20);
        struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
        struct engine_token t;
        struct gw_buf out = {0};
        struct gw_span at;

        probs_keep(sp, rows[i], 3);
        probs_take(p, sp, 0, 1, 0);
        probs_give(p, 1, 1, &out);
        at = gw_buf_span(&out);
        CHECK(engine_token_next(&at, &t, top) && t.drawn.logprob <= 0 && t.n_top <= 3);
        for (unsigned k = 0; k < t.n_top; k++)
            CHECK(top[k].logprob <= 0);
        gw_buf_fini(&out);
        probs_free(p);
    }
    probs_space_free(sp);
}

/* ---- answers ------------------------------------------------------------------------------- */

struct result {
    unsigned n_done;
    struct gw_buf text, tokens;
    struct engine_event done;
};

static void result_fini(struct result *r)
{
    gw_buf_fini(&r->text);
    gw_buf_fini(&r->tokens);
    *r = (struct result){0};
}

static void run(struct engine_chan *ch, struct result *results, unsigned n)
{
    uint64_t end = gw_clock_ns() + 60 * GW_NS_PER_SEC;
    unsigned n_done = 0;

    while (n_done != n && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            struct result *r = ev.ctx;

            gw_buf_add(&r->text, gw_buf_span(&ev.text));
            gw_buf_add(&r->tokens, gw_buf_span(&ev.tokens));
            gw_buf_fini(&ev.text);
            gw_buf_fini(&ev.tokens);
            r->n_done += ev.type == ENGINE_EVENT_DONE;
            if (ev.type == ENGINE_EVENT_DONE)
                r->done = ev;
        }
        n_done = 0;
        for (unsigned i = 0; i < n; i++)
            n_done += results[i].n_done;
    }
    CHECK(n_done == n);
}

static const struct engine_params asked = {.max_tokens = 40,
                                           .temperature = 1.2f,
                                           .top_p = 0.95f,
                                           .repeat_penalty = 1,
                                           .seed = 7,
                                           .logprobs = true,
                                           .top_logprobs = 5};

static void submit(struct engine_chan *ch, const char *text, const struct engine_params *p,
                   struct result *r)
{
    struct engine_message m = {GW_SPAN("user"), gw_span_str(text)};
    struct gw_err err;
    uint64_t id = 0;

    if (!CHECK(engine_submit(ch, &m, 1, p, r, &id, &err) == GW_OK))
        printf("%s\n", err.text);
}

/* Every token is told once, with all of the text, and its bytes are the text's where that is no replacement. */
static void check_tokens(const struct engine *e, const struct result *r)
{
    struct gw_span at = gw_buf_span(&r->tokens);
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    struct engine_token t;
    struct gw_buf bytes = {0};
    size_t text = 0;
    unsigned n = 0;

    while (engine_token_next(&at, &t, top)) {
        n++;
        text += t.text_bytes;
        CHECK(t.n_top == 5 && t.drawn.logprob <= top[0].logprob);
        for (unsigned i = 1; i < t.n_top; i++)
            CHECK(top[i].logprob <= top[i - 1].logprob);
        gw_buf_add(&bytes, gw_span_from(engine_token_bytes(e, t.drawn.id), t.skip));
    }
    CHECK(at.len == 0 && text == r->text.len && n == r->done.completion_tokens);
    if (r->text.len != 0 && memmem(r->text.ptr, r->text.len, "\xEF\xBF\xBD", 3) == NULL)
        CHECK(gw_span_eq(gw_buf_span(&bytes), gw_buf_span(&r->text)));
    gw_buf_fini(&bytes);
}

/* A drawn answer with biases and probabilities, alone and in crowds: the same bytes of both. */
static void test_crowds(struct engine *e)
{
    static const unsigned counts[] = {1, 4, 16};
    const struct engine_bias bias[] = {{11, 3}, {12, -100}};
    struct result first = {0};
    struct engine_chan *ch = engine_chan_new(e);

    for (unsigned c = 0; c < 3; c++) {
        struct result results[16] = {{0}};
        char others[16][64];

        for (unsigned i = 0; i < counts[c]; i++) {
            struct engine_params p = asked;
            bool own = i + 1 == counts[c];

            p.bias = bias;
            p.n_bias = 2;
            p.seed = own ? 99 : i + 1;
            (void)snprintf(others[i], sizeof(others[i]), "%.*s", (int)(5 + 3 * i),
                           "the cat and the dog play with the ball in the park, he said");
            submit(ch, own ? "Once upon a time" : others[i], &p, &results[i]);
        }
        run(ch, results, counts[c]);
        for (unsigned i = 0; i < counts[c]; i++)
            check_tokens(e, &results[i]);
        if (c == 0) {
            first = results[0];
            CHECK(first.tokens.len != 0);
            continue;
        }
        CHECK(gw_span_eq(gw_buf_span(&results[counts[c] - 1].text), gw_buf_span(&first.text)));
        CHECK(gw_span_eq(gw_buf_span(&results[counts[c] - 1].tokens), gw_buf_span(&first.tokens)));
        for (unsigned i = 0; i < counts[c]; i++)
            result_fini(&results[i]);
    }
    result_fini(&first);
    engine_chan_free(ch);
}

/* Asking changes no answer; and a stop string's tokens are not told. */
static void test_same_answer(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = asked;
    struct result with = {0}, without = {0}, stopped = {0};
    struct gw_span stop;
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    struct engine_token t;
    struct gw_span at;
    size_t text = 0;

    submit(ch, "Hello", &p, &with);
    run(ch, &with, 1);
    p.logprobs = false;
    submit(ch, "Hello", &p, &without);
    run(ch, &without, 1);
    CHECK(gw_span_eq(gw_buf_span(&with.text), gw_buf_span(&without.text)));
    CHECK(without.tokens.len == 0 && with.text.len > 8);
    check_tokens(e, &with);
    stop = (struct gw_span){with.text.ptr + with.text.len / 2, 3};
    while (((unsigned char)stop.ptr[0] & 0xC0) == 0x80)
        stop.ptr--;
    p.logprobs = true;
    p.stop = &stop;
    p.n_stop = 1;
    submit(ch, "Hello", &p, &stopped);
    run(ch, &stopped, 1);
    CHECK(stopped.text.len <= with.text.len / 2 && stopped.tokens.len < with.tokens.len);
    at = gw_buf_span(&stopped.tokens);
    while (engine_token_next(&at, &t, top))
        text += t.text_bytes;
    CHECK(text <= stopped.text.len);
    result_fini(&with);
    result_fini(&without);
    result_fini(&stopped);
    engine_chan_free(ch);
}

static void test_bias(struct engine *e, unsigned n_vocab)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_bias bias[ENGINE_MAX_BIAS + 1] = {{40, 100}};
    const struct engine_message m = {GW_SPAN("user"), GW_SPAN("Hello")};
    struct engine_params p = asked;
    struct result r = {0};
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    struct engine_token t;
    struct gw_span at;
    uint64_t id = 0;

    p.bias = bias;
    p.n_bias = 1;
    submit(ch, "Hello", &p, &r);
    run(ch, &r, 1);
    at = gw_buf_span(&r.tokens);
    CHECK(at.len != 0);
    while (engine_token_next(&at, &t, top))
        CHECK(t.drawn.id == 40 && t.drawn.logprob < 0); /* what the model thought, not the bias */
    result_fini(&r);
    bias[0].id = (int32_t)n_vocab;
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    bias[0].id = -1;
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    bias[0] = (struct engine_bias){1, 100.5f};
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    bias[0].bias = NAN;
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    bias[0].bias = 0;
    p.n_bias = ENGINE_MAX_BIAS + 1;
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    p.n_bias = 0;
    p.top_logprobs = ENGINE_MAX_TOP_LOGPROBS + 1;
    CHECK(engine_submit(ch, &m, 1, &p, &r, &id, NULL) == GW_EINVAL);
    engine_chan_free(ch);
}

/* A format and biases: what the format rules out stays out, and every token of the answer is told. */
static void test_with_format(struct engine *e)
{
    const struct engine_format format = {
        .kind = ENGINE_FORMAT_SCHEMA,
        .text = GW_SPAN("{\"type\":\"object\",\"properties\":{\"answer\":{\"enum\":[\"left\","
                        "\"right\"]}},\"required\":[\"answer\"],\"additionalProperties\":false}")};
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_bias bias[300];
    struct engine_params p = asked;
    struct result r = {0};

    for (unsigned i = 0; i < 300; i++)
        bias[i] = (struct engine_bias){(int32_t)i, i % 2 ? 100 : -100};
    CHECK(engine_grammar_new(&format, &p.grammar, NULL) == GW_OK);
    p.max_tokens = 200;
    p.bias = bias;
    p.n_bias = 200;
    submit(ch, "Hello", &p, &r);
    run(ch, &r, 1);
    CHECK(r.done.status == GW_OK && r.text.len != 0 && r.text.ptr[0] == '{');
    check_tokens(e, &r);
    engine_grammar_unref(p.grammar);
    result_fini(&r);
    engine_chan_free(ch);
}

int main(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64];
    const char *models;
    struct engine_config cfg = {
        .model_path = path, .threads = 2, .max_context = 512, .max_seqs = 16};
    struct engine_info info;
    struct engine *e = NULL;

    test_row();
    test_odd_rows();
    models = rig_models(why);
    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    if (CHECK(engine_open(&cfg, &e, NULL) == GW_OK)) {
        engine_info(e, &info);
        test_crowds(e);
        test_same_answer(e);
        test_bias(e, info.n_vocab);
        test_with_format(e);
    }
    engine_close(e);
    return test_done();
}
