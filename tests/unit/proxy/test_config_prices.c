/* Unit tests of proxy/config/config_prices.c: `prices:`, its file, its dates, and what to compare with. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/config/config.h"
#include "tests/test.h"

static char reports[8000];

static void collect(void *ctx, bool warning, const char *message)
{
    size_t used = strlen(reports);

    (void)ctx;
    (void)warning;
    (void)snprintf(reports + used, sizeof(reports) - used, "%s\n", message);
}

static struct proxy_config *load(const char *text)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    reports[0] = '\0';
    if (proxy_config_parse(gw_span_str(text), "s.yaml", 0, &cfg, collect, NULL, &err) != GW_OK)
        return NULL;
    return cfg;
}

#define TARGETS                                                                                    \
    "targets:\n"                                                                                   \
    "  in: { kind: openai, base_url: http://10.0.0.1/v1, zone: private, default_model: small }\n"  \
    "  out: { kind: openai, base_url: https://o.test/v1, zone: approved, default_model: big }\n"   \
    "routes: [ { model: auto, simple: in, complex: [in, out] }, { model: '*', to: out } ]\n"

enum { DAY_MS = 86400000 };

static uint64_t cost(const struct proxy_config *cfg, const char *target, const char *model,
                     int64_t day, uint64_t prompt, uint64_t completion)
{
    const struct router_usage u = {.prompt = prompt, .completion = completion};
    uint64_t nano = 0;

    return router_prices_cost(cfg->prices.table, gw_span_str(target), gw_span_str(model),
                              day * DAY_MS, &u, &nano)
               ? nano
               : UINT64_MAX;
}

static void test_lines_become_a_table(void)
{
    struct proxy_config *cfg =
        load(TARGETS "prices:\n"
                     "  currency: EUR\n"
                     "  table:\n"
                     "    - { model: [m1, m2], target: [in, out], from: 2024-02-29, input: 2.50, "
                     "output: 10 }\n"
                     "    - { model: 'm*', input: 0.000000001 }\n");

    if (!CHECK(cfg != NULL)) {
        fprintf(stderr, "%s", reports);
        return;
    }
    CHECK(strcmp(router_prices_currency(cfg->prices.table), "EUR") == 0);
    CHECK(cost(cfg, "in", "m2", 19782, 1000000, 1000000) == 12500000000); /* 2024-02-29 */
    CHECK(cost(cfg, "out", "m1", 30000, 4, 0) == 10000);
    CHECK(cost(cfg, "in", "m2", 19781, 1000000, 0) == 1); /* the day before */
    CHECK(cost(cfg, "other", "m2", 19782, 1000000, 0) == 1);
    CHECK(cost(cfg, "other", "m2", 19782, 1, 1) == UINT64_MAX); /* no price of output */
    CHECK(cost(cfg, "in", "x", 19782, 1, 0) == UINT64_MAX);
    proxy_config_free(cfg);
    cfg = load(TARGETS);
    CHECK(cfg != NULL && cfg->prices.table != NULL && cfg->prices.n_lines == 0);
    proxy_config_free(cfg);
}

static void test_what_is_compared_with(void)
{
    static const struct {
        const char *text, *target, *model;
    } cases[] = {{"", "out", "big"}, /* the first approved one in a complex tier */
                 {"prices: { compare: gpt }\n", "", "gpt"},
                 {"prices: { compare: in/gpt/x }\n", "in", "gpt/x"},
                 {"prices: { compare: meta/llama }\n", "", "meta/llama"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1000];
        struct proxy_config *cfg;

        (void)snprintf(text, sizeof(text), "%s%s", TARGETS, cases[i].text);
        cfg = load(text);
        CHECK(cfg != NULL && strcmp(cfg->prices.compare_target, cases[i].target) == 0 &&
              strcmp(cfg->prices.compare_model, cases[i].model) == 0);
        proxy_config_free(cfg);
    }
}

static void refused(const char *prices, const char *message)
{
    char text[2000];
    struct proxy_config *cfg;

    (void)snprintf(text, sizeof(text), "%s%s\n", TARGETS, prices);
    cfg = load(text);
    if (!CHECK(cfg == NULL && strstr(reports, message) != NULL))
        fprintf(stderr, "  %s\n  wanted: %s\n  got: %s", prices, message, reports);
    proxy_config_free(cfg);
}

static void test_mistakes_are_named(void)
{
    refused("prices: { currency: euro }", "prices.currency: must be three capital letters");
    refused("prices: { table: [ { input: 1 } ] }", "needs the key model");
    refused("prices: { table: [ { model: x } ] }", "needs the key input");
    refused("prices: { table: [ { model: x, input: -1 } ] }", "input: must be a decimal");
    refused("prices: { table: [ { model: x, input: 1e3 } ] }", "input: must be a decimal");
    refused("prices: { table: [ { model: x, input: 1.0000000001 } ] }", "input: must be a decimal");
    refused("prices: { table: [ { model: x, input: 1, from: 2025-02-29 } ] }",
            "from: must be a day");
    refused("prices: { table: [ { model: x, input: 1, from: 2100-02-29 } ] }",
            "from: must be a day");
    refused("prices: { table: [ { model: x, input: 1, from: 2025-13-01 } ] }",
            "from: must be a day");
    refused("prices: { table: [ { model: x, input: 1, from: 01.02.2025 } ] }",
            "from: must be a day");
    refused("prices: { table: [ { model: x, input: 1, outputs: 2 } ] }", "did you mean output?");
    refused("prices: { table: { model: x } }", "must be a list");
    refused("prices: { file: /nonexistent/prices.yaml }", "prices.file");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    if (CHECK(f != NULL)) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static void test_the_file(void)
{
    char path[] = "/tmp/test_prices_XXXXXX", prices[100];
    int fd = mkstemp(path);
    struct proxy_config *cfg;
    char text[1000];

    if (!CHECK(fd >= 0))
        return;
    (void)close(fd);
    (void)snprintf(prices, sizeof(prices), "prices: { currency: EUR, file: %s }", path);
    write_file(path, "table:\n  - { model: a, input: 1, output: 2 }\n  - { model: b, input: 3 }\n");
    (void)snprintf(text, sizeof(text), "%s%s\n", TARGETS, prices);
    cfg = load(text);
    if (CHECK(cfg != NULL)) {
        CHECK(cfg->prices.n_lines == 2 && strcmp(cfg->prices.currency, "EUR") == 0);
        CHECK(cost(cfg, "in", "a", 0, 1000, 1000) == 3000000);
        CHECK(cost(cfg, "in", "b", 0, 1, 0) == 3000);
    }
    proxy_config_free(cfg);
    (void)snprintf(text, sizeof(text),
                   "%sprices: { currency: EUR, file: %s, table: [ { model: c, input: 4 } ] }\n",
                   TARGETS, path);
    cfg = load(text);
    CHECK(cfg != NULL && cfg->prices.n_lines == 3 && cost(cfg, "in", "c", 0, 1, 0) == 4000);
    proxy_config_free(cfg);
    write_file(path, "currency: USD\ntable: [ { model: a, input: 1 } ]\n");
    refused(prices, "is not the currency of prices.currency, EUR");
    write_file(path, "file: other.yaml\n");
    refused(prices, "a file of prices has only table and currency");
    write_file(path, "table: [ { model: a, input: x } ]\n");
    refused(prices, ":1: ");
    write_file(path, "table: [\n");
    refused(prices, path);
    (void)unlink(path);
}

int main(void)
{
    test_lines_become_a_table();
    test_what_is_compared_with();
    test_mistakes_are_named();
    test_the_file();
    return test_done();
}
