/* Unit tests of router/prices.c: which entry holds, and sums beside a reference that counts in decimal digits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/router.h"
#include "tests/test.h"

static uint64_t state = 88172645463325252ull;
static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* ---- decimals by hand: digits of base ten, the lowest first ---------------------------------- */

enum { N_DIGITS = 60 };
struct dec {
    int d[N_DIGITS];
};

static struct dec dec_of(uint64_t v)
{
    struct dec r = {{0}};

    for (int i = 0; v != 0; i++, v /= 10)
        r.d[i] = (int)(v % 10);
    return r;
}

static void dec_add(struct dec *a, struct dec b)
{
    int carry = 0;

    for (int i = 0; i < N_DIGITS; i++) {
        int v = a->d[i] + b.d[i] + carry;

        a->d[i] = v % 10;
        carry = v / 10;
    }
}

static struct dec dec_mul(struct dec a, struct dec b)
{
    struct dec r = {{0}};

    for (int i = 0; i < N_DIGITS; i++) {
        int carry = 0;

        for (int k = 0; i + k < N_DIGITS; k++) {
            int v = r.d[i + k] + a.d[i] * b.d[k] + carry;

            r.d[i + k] = v % 10;
            carry = v / 10;
        }
    }
    return r;
}

/* Without its last six digits, rounded by the first of them; the largest int64_t when it is more. */
static uint64_t dec_rounded(struct dec a)
{
    const uint64_t most = INT64_MAX;
    struct dec r = {{0}}, one = dec_of(1);
    uint64_t v = 0;

    for (int i = 6; i < N_DIGITS; i++)
        r.d[i - 6] = a.d[i];
    if (a.d[5] >= 5)
        dec_add(&r, one);
    for (int i = N_DIGITS - 1; i >= 0; i--) {
        if (v > most / 10 || v * 10 > most - (uint64_t)r.d[i])
            return most;
        v = v * 10 + (uint64_t)r.d[i];
    }
    return v;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t reference(const struct router_price *p, const struct router_usage *u)
{
    uint64_t cached = min(u->cached, u->prompt), written = min(u->cache_write, u->prompt - cached);
    uint64_t thought = min(u->reasoning, u->completion);
    struct dec sum = dec_mul(dec_of(u->prompt - cached - written), dec_of(p->input));
    const uint64_t none = ROUTER_NO_PRICE;

    dec_add(&sum,
            dec_mul(dec_of(cached), dec_of(p->cached_input == none ? p->input : p->cached_input)));
    dec_add(&sum,
            dec_mul(dec_of(written), dec_of(p->cache_write == none ? p->input : p->cache_write)));
    dec_add(&sum, dec_mul(dec_of(u->completion - thought), dec_of(p->output)));
    dec_add(&sum,
            dec_mul(dec_of(thought), dec_of(p->reasoning == none ? p->output : p->reasoning)));
    return dec_rounded(sum);
}

static uint64_t any_amount(bool may_be_none)
{
    switch (rnd() % 5) {
    case 0:
        return may_be_none ? ROUTER_NO_PRICE : 0;
    case 1:
        return rnd() % 1000;
    case 2:
        return ROUTER_MAX_PRICE;
    default:
        return rnd() % ROUTER_MAX_PRICE;
    }
}

static uint64_t any_count(void)
{
    switch (rnd() % 6) {
    case 0:
        return 0;
    case 1:
        return rnd();
    case 2:
        return UINT64_MAX;
    default:
        return rnd() % 2000000;
    }
}

static void test_sums_are_those_of_the_reference(void)
{
    bool same = true;

    for (int i = 0; i < 30000 && same; i++) {
        struct router_price p = {.input = any_amount(false),
                                 .output = any_amount(false),
                                 .cached_input = any_amount(true),
                                 .cache_write = any_amount(true),
                                 .reasoning = any_amount(true)};
        struct router_usage u = {any_count(), any_count(), any_count(), any_count(), any_count()};
        uint64_t got = 1;

        same = router_price_cost(&p, &u, &got) && got == reference(&p, &u);
    }
    CHECK(same);
}

/* ---- entries ------------------------------------------------------------------------------- */

#define NONE ROUTER_NO_PRICE
#define ENTRY(target_, model_, from, in)                                                           \
    {                                                                                              \
        .target = GW_SPAN(target_), .model = GW_SPAN(model_), .from_ms = (from), .input = (in),    \
        .output = (in), .cached_input = NONE, .cache_write = NONE, .reasoning = NONE               \
    }

static uint64_t input_price(const struct router_prices *p, const char *target, const char *model,
                            int64_t now)
{
    const struct router_price *e =
        router_prices_find(p, gw_span_str(target), gw_span_str(model), now);

    return e == NULL ? NONE : e->input;
}

static void test_which_entry_holds(void)
{
    const struct router_price items[] = {
        ENTRY("", "*", 0, 1),           ENTRY("", "big-*", 500, 2),    ENTRY("", "big-*", 100, 3),
        ENTRY("", "big-mini-*", 50, 4), ENTRY("cloud", "big-*", 0, 5), ENTRY("cl*", "b*", 0, 6),
        ENTRY("", "big-*", 500, 7), /* said twice: the first one counts */
        ENTRY("", "?ig-mini-x", 0, 8),
    };
    struct router_prices *p = NULL;
    struct gw_err err;

    if (!CHECK(router_prices_new("EUR", items, 8, &p, &err) == GW_OK))
        return;
    CHECK(strcmp(router_prices_currency(p), "EUR") == 0);
    CHECK(input_price(p, "other", "small", 9) == 1);
    CHECK(input_price(p, "other", "big-1", 9) == 1);   /* neither has come */
    CHECK(input_price(p, "other", "big-1", 100) == 3); /* from its first millisecond */
    CHECK(input_price(p, "other", "big-1", 499) == 3);
    CHECK(input_price(p, "other", "big-1", 500) == 2);      /* a later one wins */
    CHECK(input_price(p, "other", "BIG-mini-7", 900) == 4); /* the longer pattern, though older */
    CHECK(input_price(p, "cloud", "big-mini-7", 900) == 5); /* the target before the pattern */
    CHECK(input_price(p, "clown", "big-mini-7", 900) == 6);
    CHECK(input_price(p, "other", "big-mini-x", 900) == 4); /* 9 letters each: the later */
    CHECK(input_price(p, "other", "", 900) == NONE);
    CHECK(input_price(NULL, "other", "big-1", 900) == NONE);
    router_prices_free(p);
}

static void test_unknown_is_not_zero(void)
{
    const struct router_price items[] = {
        {.model = GW_SPAN("embed"),
         .input = 1000000,
         .output = NONE,
         .cached_input = NONE,
         .cache_write = NONE,
         .reasoning = NONE},
        {.model = GW_SPAN("free"),
         .input = 0,
         .output = 0,
         .cached_input = NONE,
         .cache_write = NONE,
         .reasoning = NONE},
    };
    struct router_usage u = {.prompt = 7};
    struct router_prices *p = NULL;
    uint64_t nano = 42;

    if (!CHECK(router_prices_new("USD", items, 2, &p, NULL) == GW_OK))
        return;
    CHECK(!router_prices_cost(p, GW_SPAN("t"), GW_SPAN("nobody"), 1, &u, &nano) && nano == 42);
    CHECK(router_prices_cost(p, GW_SPAN("t"), GW_SPAN("embed"), 1, &u, &nano) && nano == 7);
    CHECK(router_prices_cost(p, GW_SPAN("t"), GW_SPAN("free"), 1, &u, &nano) && nano == 0);
    u.completion = 1;
    nano = 42;
    CHECK(!router_prices_cost(p, GW_SPAN("t"), GW_SPAN("embed"), 1, &u, &nano) && nano == 42);
    CHECK(!router_prices_cost(NULL, GW_SPAN("t"), GW_SPAN("embed"), 1, &u, &nano) && nano == 42);
    router_prices_free(p);
}

static void test_rounds_once_a_half_upwards(void)
{
    /* 0.5 of a nano-unit is 500,000 token-nano-units; each kind alone would round to nothing. */
    const struct router_price p = {
        .input = 1, .output = 1, .cached_input = 1, .cache_write = 1, .reasoning = 1};
    uint64_t nano = 9;

    CHECK(router_price_cost(&p, &(struct router_usage){.prompt = 499999}, &nano) && nano == 0);
    CHECK(router_price_cost(&p, &(struct router_usage){.prompt = 500000}, &nano) && nano == 1);
    CHECK(router_price_cost(&p, &(struct router_usage){.prompt = 300000, .completion = 200000},
                            &nano) &&
          nano == 1);
    CHECK(router_price_cost(&p, &(struct router_usage){.prompt = 1499999}, &nano) && nano == 1);
}

static void test_bad_tables_are_refused(void)
{
    struct router_price e = ENTRY("", "m", 0, 1);
    struct router_prices *p = NULL;
    struct gw_err err = {0};
    struct router_price *many;

    e.model.len = 0;
    CHECK(router_prices_new("USD", &e, 1, &p, &err) == GW_EINVAL && p == NULL);
    CHECK(strcmp(err.text, "entry 1: names no model") == 0);
    e.model = GW_SPAN("m");
    e.input = NONE;
    CHECK(router_prices_new("USD", &e, 1, &p, &err) == GW_EINVAL);
    e.input = ROUTER_MAX_PRICE + 1;
    CHECK(router_prices_new("USD", &e, 1, &p, &err) == GW_ELIMIT);
    many = calloc(ROUTER_MAX_PRICES + 1, sizeof(*many));
    CHECK(many != NULL &&
          router_prices_new("USD", many, ROUTER_MAX_PRICES + 1, &p, &err) == GW_ELIMIT);
    free(many);
    CHECK(router_prices_new("USD", NULL, 0, &p, &err) == GW_OK);
    CHECK(router_prices_find(p, GW_SPAN(""), GW_SPAN("m"), 1) == NULL);
    router_prices_free(p);
    router_prices_free(NULL);
}

/* ---- decimals ------------------------------------------------------------------------------ */

static void test_decimals_are_read(void)
{
    static const struct {
        const char *text;
        uint64_t nano;
    } good[] = {{"0", 0},
                {"2.50", 2500000000},
                {"0.000000001", 1},
                {"00012.3", 12300000000},
                {"1000000", 1000000000000000},
                {"1000000.000000000", 1000000000000000},
                {"999999.999999999", 999999999999999}};
    static const char *const bad[] = {"",
                                      ".",
                                      "1.",
                                      ".5",
                                      "-1",
                                      "+1",
                                      "1e3",
                                      "1,5",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.2.3",
                                      "0.0000000001",
                                      "1000000.000000001",
                                      "1000001",
                                      "99999999999999999999999999",
                                      "nan"};
    uint64_t nano = 5;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(router_money_parse(gw_span_str(good[i].text), &nano) && nano == good[i].nano);
    nano = 5;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!CHECK(!router_money_parse(gw_span_str(bad[i]), &nano) && nano == 5))
            fprintf(stderr, "  %s\n", bad[i]);
}

static void test_decimals_are_written(void)
{
    static const struct {
        uint64_t nano;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "0.000000001"},
                 {10, "0.00000001"},
                 {2500000000, "2.5"},
                 {1000000000, "1"},
                 {120000000000, "120"},
                 {UINT64_MAX, "18446744073.709551615"}};
    char text[ROUTER_MONEY_BYTES];
    bool same = true;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        router_money_print(cases[i].nano, text);
        if (!CHECK(strcmp(text, cases[i].text) == 0))
            fprintf(stderr, "  %s\n", text);
    }
    for (int i = 0; i < 20000 && same; i++) {
        uint64_t nano = rnd() % ROUTER_MAX_PRICE, back = 1;

        router_money_print(nano, text);
        same = router_money_parse(gw_span_str(text), &back) && back == nano;
    }
    CHECK(same);
}

int main(void)
{
    test_sums_are_those_of_the_reference();
    test_which_entry_holds();
    test_unknown_is_not_zero();
    test_rounds_once_a_half_upwards();
    test_bad_tables_are_refused();
    test_decimals_are_read();
    test_decimals_are_written();
    return test_done();
}
