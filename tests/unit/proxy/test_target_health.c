/* Tests of proxy/net/health.c: which slots are given out, what outcomes and probes change, what a reload keeps; and from
 * several threads at once that every slot that was taken comes back. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/net/health.h"
#include "tests/test.h"

#define TARGETS(open)                                                                              \
    "targets:\n"                                                                                   \
    "  pool: { kind: openai, zone: private, keys: [env:H_A, env:H_B],\n"                           \
    "          endpoints: ['http://127.0.0.1:1/v1', 'http://127.0.0.1:2/v1'],\n"                   \
    "          breaker: { failures: 2, error_rate: 0, open: " open " } }\n"                        \
    "  one:  { kind: openai, zone: private, base_url: 'http://127.0.0.1:3/v1', server: vllm,\n"    \
    "          health: { failures: 2, successes: 2 } }\n"                                          \
    "reliability: { retry_budget: 0 }\n"

static const char text[] = TARGETS("1h"), quick[] = TARGETS("50ms");

static struct proxy_config *load(const char *yaml)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    if (!CHECK(proxy_config_parse(gw_span_str(yaml), "t", 0, &cfg, NULL, NULL, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        exit(1);
    }
    return cfg;
}

static struct health_endpoint_view view(const struct health *h, unsigned target, unsigned endpoint)
{
    struct health_endpoint_view v;

    health_look(h, target, endpoint, &v);
    return v;
}

static void test_slots(void)
{
    struct proxy_config *cfg = load(text);
    struct health *h = health_new(cfg, NULL);
    struct health_slot s[5];
    uint64_t tried = 0;

    for (int i = 0; i < 4; i++) { /* four pairs, each once */
        CHECK(health_take(h, 0, tried, true, &s[i]));
        CHECK((tried & health_slot_bit(h, &s[i])) == 0);
        tried |= health_slot_bit(h, &s[i]);
    }
    CHECK(tried == 15 && !health_take(h, 0, tried, false, &s[4]));
    CHECK(view(h, 0, 0).outstanding == 2 && view(h, 0, 1).outstanding == 2);
    for (int i = 0; i < 4; i++)
        health_give_back(h, &s[i]);
    CHECK(view(h, 0, 0).outstanding == 0 && view(h, 0, 1).outstanding == 0);
    CHECK(health_targets_down(h) == 0 && health_endpoints(h, 0) == 2 &&
          health_endpoints(h, 1) == 1);
    health_free(h);
    proxy_config_free(cfg);
}

static void test_rest(void)
{
    struct proxy_config *cfg = load(text);
    struct health *h = health_new(cfg, NULL);
    struct health_slot rests = {0, 1, 1, false}, s;

    health_tell(h, &rests, HEALTH_REST, 1000, 60000);
    CHECK(view(h, 0, 1).resting == 1 && view(h, 0, 1).usable);
    for (int i = 0; i < 200; i++) {
        CHECK(health_take(h, 0, 0, false, &s));
        CHECK(s.endpoint != 1 || s.key != 1);
        health_give_back(h, &s);
    }
    CHECK(!health_take(h, 0, 7, true, &s)); /* fresh ones only */
    CHECK(health_take(h, 0, 7, false, &s) && s.endpoint == 1 &&
          s.key == 1); /* better than nothing */
    health_free(h);
    proxy_config_free(cfg);
}

static void test_ejection(void)
{
    struct proxy_config *cfg = load(text);
    struct health *h = health_new(cfg, NULL);
    struct health_slot ill = {0, 0, 0, false}, other = {0, 1, 0, false}, s;

    for (int i = 0; i < 2; i++)
        health_tell(h, &ill, HEALTH_BAD, 100, 0);
    CHECK(!view(h, 0, 0).usable && view(h, 0, 0).ejections == 1 &&
          view(h, 0, 0).latency_us > 500000);
    for (int i = 0; i < 50; i++) {
        CHECK(health_take(h, 0, 0, false, &s) && s.endpoint == 1);
        health_give_back(h, &s);
    }
    CHECK(health_targets_down(h) == 0);
    for (int i = 0; i < 2; i++)
        health_tell(h, &other, HEALTH_BAD, 100, 0);
    CHECK(health_targets_down(h) == 1 && !health_take(h, 0, 0, false, &s));
    health_free(h);
    proxy_config_free(cfg);
}

static void test_trial(void)
{
    struct proxy_config *cfg = load(quick);
    struct health *h = health_new(cfg, NULL);
    struct health_slot ill = {0, 0, 0, false}, other = {0, 1, 0, false}, s;

    for (int i = 0; i < 2; i++) {
        health_tell(h, &ill, HEALTH_BAD, 100, 0);
        health_tell(h, &other, HEALTH_BAD, 100, 0);
    }
    TEST_UNTIL(health_targets_down(h) == 0);
    CHECK(health_targets_down(h) == 0);
    CHECK(health_take(h, 0, 0, false, &s) && s.trial);
    health_give_back(h, &s);
    health_tell(h, &s, HEALTH_UNKNOWN, 0, 0); /* its client left: another one may try */
    CHECK(health_take(h, 0, 0, false, &s) && s.trial);
    health_give_back(h, &s);
    health_tell(h, &s, HEALTH_GOOD, 1000, 0);
    CHECK(view(h, 0, s.endpoint).breaker == ROUTER_BREAKER_CLOSED);
    health_free(h);
    proxy_config_free(cfg);
}

static void test_probes(void)
{
    struct proxy_config *cfg = load(text);
    struct health *h = health_new(cfg, NULL);

    CHECK(view(h, 1, 0).probed && view(h, 1, 0).well && !view(h, 0, 0).probed);
    health_probed(h, 1, 0, false);
    health_probed(h, 1, 0, true); /* the row is broken */
    health_probed(h, 1, 0, false);
    CHECK(view(h, 1, 0).usable);
    health_probed(h, 1, 0, false);
    CHECK(!view(h, 1, 0).usable && health_targets_down(h) == 2);
    health_probed(h, 1, 0, true);
    health_probed(h, 1, 0, false);
    health_probed(h, 1, 0, true);
    CHECK(!view(h, 1, 0).usable);
    health_probed(h, 1, 0, true);
    CHECK(view(h, 1, 0).usable && view(h, 1, 0).probes_ill == 4 && view(h, 1, 0).probes_well == 4);
    health_free(h);
    proxy_config_free(cfg);
}

/* An endpoint is the same one while its target's name, its URL and the keys are. */
static void test_reload(void)
{
    struct proxy_config *cfg = load(text), *next, *last;
    struct health *h = health_new(cfg, NULL), *after, *end;
    struct health_slot ill = {0, 1, 0, false};

    for (int i = 0; i < 2; i++)
        health_tell(h, &ill, HEALTH_BAD, 100, 0);
    next = load("targets:\n"
                "  new:  { kind: openai, zone: private, base_url: 'http://127.0.0.1:9/v1' }\n"
                "  pool: { kind: openai, zone: private, keys: [env:H_A, env:H_B], retries: 0,\n"
                "          endpoints: ['http://127.0.0.1:2/v1', 'http://127.0.0.1:5/v1'],\n"
                "          breaker: { failures: 2, error_rate: 0, open: 50ms } }\n");
    after = health_new(next, h);
    health_free(h);
    proxy_config_free(cfg);
    CHECK(view(after, 1, 0).ejections == 1 && view(after, 1, 1).ejections == 0);
    CHECK(view(after, 0, 0).ejections == 0);
    last = load("targets:\n"
                "  pool: { kind: openai, zone: private, key: env:H_A,\n"
                "          base_url: 'http://127.0.0.1:2/v1' }\n");
    end = health_new(last, after); /* with another number of keys it is another one */
    CHECK(view(end, 0, 0).ejections == 0);
    health_free(after);
    proxy_config_free(next);
    health_free(end);
    proxy_config_free(last);
}

static void test_budget(void)
{
    struct proxy_config *cfg = load(text);
    struct health *h = health_new(cfg, NULL);
    unsigned n = 0;

    while (health_budget_take(h, 0) && n < 100)
        n++;
    CHECK(n >= 10 && n <= 11); /* a second may begin meanwhile */
    CHECK(health_budget_take(h, 1));
    health_free(h);
    proxy_config_free(cfg);
}

static struct health *shared;

static void *work(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        struct health_slot s;

        (void)health_targets_down(shared);
        if (!health_take(shared, 0, 0, false, &s))
            continue;
        health_tell(shared, &s,
                    i % 7 == 0   ? HEALTH_BAD
                    : i % 5 == 0 ? HEALTH_REST
                                 : HEALTH_GOOD,
                    (uint64_t)i, 1);
        health_give_back(shared, &s);
    }
    return NULL;
}

static void test_threads(void)
{
    struct proxy_config *cfg = load(text);
    pthread_t t[4];

    shared = health_new(cfg, NULL);
    for (int i = 0; i < 4; i++)
        (void)pthread_create(&t[i], NULL, work, NULL);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    CHECK(view(shared, 0, 0).outstanding == 0 && view(shared, 0, 1).outstanding == 0);
    health_free(shared);
    proxy_config_free(cfg);
}

int main(void)
{
    gw_log_set_level(GW_LOG_ERROR);
    (void)setenv("H_A", "key-a", 1);
    (void)setenv("H_B", "key-b", 1);
    test_slots();
    test_rest();
    test_ejection();
    test_trial();
    test_probes();
    test_reload();
    test_budget();
    test_threads();
    return test_done();
}
