/* tests/unit/engine/test_sampler.c - what may be picked, how often, and that a seed repeats it. */
#include <math.h>
#include <string.h>

#include "engine/sampler.h"
#include "tests/test.h"

enum { N = 1000, DRAWS = 20000 };

static const struct engine_params plain = {
    .temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 42};

/* Logits of known probabilities: token i has weight (i % 10 == 0 ? 10 - i / 100 : 0.001). */
static void fill(float *z)
{
    for (int i = 0; i < N; i++)
        z[i] = i % 100 == 0 ? logf((float)(10 - i / 100)) : logf(0.001f);
}

static void draw_many(const struct engine_params *p, unsigned *counts)
{
    struct sampler_space *sp = sampler_space_new(N);
    struct sampler *s = sampler_new(p, 16);
    float z[N];

    memset(counts, 0, N * sizeof(*counts));
    for (int i = 0; i < DRAWS; i++) {
        fill(z);
        counts[sampler_pick(s, sp, z, N)]++;
    }
    sampler_free(s);
    sampler_space_free(sp);
}

static bool is_near(unsigned count, double p)
{
    double sd = sqrt(DRAWS * p * (1 - p));

    return fabs(count - DRAWS * p) < 5 * sd + 1;
}

static unsigned n_different(const unsigned *counts)
{
    unsigned n = 0;

    for (int i = 0; i < N; i++)
        n += counts[i] != 0;
    return n;
}

static void test_distribution(void)
{
    unsigned counts[N];
    struct engine_params p = plain;
    double total = 55 + 990 * 0.001;

    draw_many(&p, counts);
    for (int i = 0; i < 10; i++)
        CHECK(is_near(counts[i * 100], (10 - i) / total));
    CHECK(n_different(counts) > 100); /* the tail is drawn too */

    p.temperature = 0.5f; /* weights squared */
    draw_many(&p, counts);
    CHECK(is_near(counts[0], 100.0 / 385.0));

    p = plain;
    p.top_k = 3; /* 10, 9, 8 */
    draw_many(&p, counts);
    CHECK(n_different(counts) == 3 && is_near(counts[200], 8.0 / 27.0));

    p = plain;
    p.top_p = 0.5f; /* 10 + 9 + 8 = 27 < 28 <= 27 + 7 */
    draw_many(&p, counts);
    CHECK(n_different(counts) == 4 && is_near(counts[300], 7.0 / 34.0));

    p = plain;
    p.top_k = 4;
    p.top_p = 0.5f; /* of 34: 10 + 9 >= 17 */
    draw_many(&p, counts);
    CHECK(n_different(counts) == 2);

    p = plain;
    p.min_p = 0.65f; /* weights of at least 6.5 */
    draw_many(&p, counts);
    CHECK(n_different(counts) == 4 && is_near(counts[0], 10.0 / 34.0));

    p = plain;
    p.top_p = 0;
    draw_many(&p, counts);
    CHECK(counts[0] == DRAWS);

    p = plain;
    p.temperature = 0;
    draw_many(&p, counts);
    CHECK(counts[0] == DRAWS);

    p = plain;
    p.temperature = 1e-30f;
    draw_many(&p, counts);
    CHECK(counts[0] == DRAWS);
}

static void test_seed(void)
{
    struct sampler_space *sp = sampler_space_new(N);
    struct sampler *a = sampler_new(&plain, 16), *b = sampler_new(&plain, 16);
    struct engine_params other = plain;
    struct sampler *c;
    unsigned same = 0;
    float z[N];

    other.seed = 43;
    c = sampler_new(&other, 16);
    for (int i = 0; i < 200; i++) {
        int32_t x, y;

        fill(z);
        x = sampler_pick(a, sp, z, N);
        fill(z);
        CHECK(sampler_pick(b, sp, z, N) == x);
        fill(z);
        y = sampler_pick(c, sp, z, N);
        same += x == y;
    }
    CHECK(same < 100);
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
    sampler_space_free(sp);
}

static int32_t pick_once(struct sampler *s, const float *logits, unsigned n)
{
    struct sampler_space *sp = sampler_space_new(n);
    float z[8];
    int32_t id;

    memcpy(z, logits, n * sizeof(*z));
    id = sampler_pick(s, sp, z, n);
    sampler_space_free(sp);
    return id;
}

static void test_penalties(void)
{
    static const float z[4] = {2.0f, 1.9f, -1.0f, 0.0f};
    static const float negative[2] = {-1.0f, -1.1f};
    struct engine_params p = {.top_p = 1, .repeat_penalty = 1};
    struct sampler *s;

    p.presence_penalty = 0.5f;
    s = sampler_new(&p, 16);
    CHECK(pick_once(s, z, 4) == 0);
    sampler_accept(s, 0, false); /* the prompt does not count for presence and frequency */
    CHECK(pick_once(s, z, 4) == 0);
    sampler_accept(s, 0, true);
    CHECK(pick_once(s, z, 4) == 1);
    sampler_free(s);

    p.presence_penalty = 0;
    p.frequency_penalty = 0.06f;
    s = sampler_new(&p, 16);
    sampler_accept(s, 0, true);
    CHECK(pick_once(s, z, 4) == 0);
    sampler_accept(s, 0, true);
    CHECK(pick_once(s, z, 4) == 1);
    sampler_free(s);

    p.frequency_penalty = 0;
    p.repeat_penalty = 1.2f;
    s = sampler_new(&p, 16);
    sampler_accept(s, 0, false);
    CHECK(pick_once(s, z, 4) == 1);
    CHECK(pick_once(s, negative, 2) == 1); /* a negative logit is multiplied */
    sampler_free(s);
}

static void test_odd_numbers(void)
{
    const float bad[4] = {NAN, NAN, NAN, NAN}, some[4] = {NAN, -INFINITY, 1.0f, -INFINITY};
    const float infinite[4] = {0, INFINITY, 1, INFINITY};
    struct sampler *s = sampler_new(&plain, 16);

    CHECK(pick_once(s, bad, 4) == 0);
    CHECK(pick_once(s, some, 4) == 2);
    CHECK(pick_once(s, infinite, 4) == 1);
    sampler_free(s);
}

static void test_ranges(void)
{
    struct engine_params p = plain;
    struct gw_err err;

    CHECK(sampler_check(&p, &err) == GW_OK);
    p.temperature = -1;
    CHECK(sampler_check(&p, &err) == GW_EINVAL && strstr(err.text, "temperature") != NULL);
    p = plain;
    p.temperature = NAN;
    CHECK(sampler_check(&p, &err) == GW_EINVAL);
    p = plain;
    p.top_p = 1.5f;
    CHECK(sampler_check(&p, &err) == GW_EINVAL);
    p = plain;
    p.min_p = -0.1f;
    CHECK(sampler_check(&p, &err) == GW_EINVAL);
    p = plain;
    p.presence_penalty = 3;
    CHECK(sampler_check(&p, &err) == GW_EINVAL);
    p = plain;
    p.repeat_penalty = 0;
    CHECK(sampler_check(&p, &err) == GW_EINVAL);
}

/* A list of ids picks as if all other logits were -INFINITY: the same tokens of the same draws, penalties and biases included. */
static void test_listed(void)
{
    enum { MANY = 500 };
    static const struct engine_bias bias[] = {{3, 4.0f}, {44, 6.0f}, {45, -50.0f}};
    struct sampler_space *sp = sampler_space_new(MANY);
    float z[MANY], y[MANY];
    int32_t ids[MANY];

    for (unsigned k = 0; k < 60; k++) {
        struct engine_params p = {.temperature = k % 3 == 0 ? 0 : 0.7f + (float)(k % 7),
                                  .top_p = k % 2 == 0 ? 1 : 0.8f,
                                  .min_p = k % 5 == 0 ? 0.1f : 0,
                                  .top_k = k % 4 == 0 ? 5 : 0,
                                  .repeat_penalty = k % 3 == 1 ? 1.3f : 1,
                                  .frequency_penalty = k % 3 == 2 ? 0.5f : 0,
                                  .seed = k + 1,
                                  .bias = bias,
                                  .n_bias = k % 2 == 0 ? 3 : 0};
        struct sampler *a = sampler_new(&p, 100), *b = sampler_new(&p, 100);
        unsigned n = 0, wrong = 0;

        for (unsigned i = k % 3; i < MANY; i += 1 + (i * 7 + k) % 11)
            ids[n++] = (int32_t)i;
        for (unsigned step = 0; step < 20; step++) {
            unsigned at = 0;
            int32_t id;

            for (unsigned i = 0; i < MANY; i++) {
                z[i] = y[i] = (float)((i * 31 + step * 17 + k) % 23) * 0.4f;
                if (at < n && ids[at] == (int32_t)i)
                    at++;
                else
                    y[i] = -INFINITY;
            }
            id = sampler_pick(a, sp, y, MANY);
            wrong += id != sampler_pick_of(b, sp, z, MANY, ids, n);
            sampler_accept(a, id, true);
            sampler_accept(b, id, true);
        }
        CHECK(wrong == 0);
        sampler_free(a);
        sampler_free(b);
    }
    sampler_space_free(sp);
}

int main(void)
{
    test_distribution();
    test_seed();
    test_penalties();
    test_odd_numbers();
    test_ranges();
    test_listed();
    return test_done();
}
