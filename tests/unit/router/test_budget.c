/* Budgets: windows on the calendar, who they are about, and reservations against a simple model in any order. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "router/router.h"
#include "tests/test.h"

static struct router_window window(const char *text)
{
    struct router_window w = {ROUTER_WINDOW_SPAN, 0};

    CHECK(router_window_parse(gw_span_str(text), &w));
    return w;
}

/* ---- windows ---------------------------------------------------------------------------- */

static void test_parse(void)
{
    static const char *const bad[] = {"",       "m",         "years",      "0s",   "15",
                                      "15x",    "-1h",       "1 h",        "367d", "1.5h",
                                      "Minute", "99999999h", "999999999s", " day"};
    struct router_window w;

    CHECK(window("minute").ms == 60000);
    CHECK(window("5h").ms == 5 * 3600000);
    CHECK(window("366d").ms == INT64_C(366) * 86400000);
    CHECK(window("month").unit == ROUTER_WINDOW_MONTH);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!router_window_parse(gw_span_str(bad[i]), &w));
}

/* Every hour of forty years, and the edges of each month, beside the C library's calendar. */
static void test_calendar(void)
{
    const struct router_window month = window("month"), week = window("week"), day = window("day");
    unsigned bad = 0;

    for (int64_t t = 0; t < INT64_C(40) * 366 * 86400; t += 3593) {
        time_t now = (time_t)t;
        struct tm tm;
        int64_t m = router_window_start(&month, t * 1000), d = router_window_start(&day, t * 1000);
        int64_t w = router_window_start(&week, t * 1000), weekday;

        (void)gmtime_r(&now, &tm);
        weekday = (tm.tm_wday + 6) % 7; /* Monday is 0 */
        bad += d != t / 86400 * 86400000;
        bad += w != d - weekday * 86400000;
        bad += m != d - (int64_t)(tm.tm_mday - 1) * 86400000;
        tm.tm_mday = 1;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mon++;
        bad += router_window_end(&month, m) != (int64_t)timegm(&tm) * 1000;
        bad += router_window_end(&week, w) != w + 7 * INT64_C(86400000);
    }
    CHECK(bad == 0);
    CHECK(router_window_start(&month, INT64_C(1772323199999)) ==
          INT64_C(1769904000000)); /* 28 Feb 2026 */
    CHECK(router_window_start(&month, INT64_C(1772323200000)) ==
          INT64_C(1772323200000)); /* 1 Mar 2026 */
}

static void test_lie_end_to_end(void)
{
    static const char *const all[] = {"second", "minute", "hour", "day",
                                      "week",   "month",  "7h",   "13d"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const struct router_window w = window(all[i]);

        for (int64_t t = INT64_C(1700000000000); t < INT64_C(1800000000000);
             t += INT64_C(777777777)) {
            int64_t start = router_window_start(&w, t), end = router_window_end(&w, start);

            if (!(start <= t && t < end) || router_window_start(&w, end) != end ||
                router_window_start(&w, end - 1) != start)
                CHECK(false);
        }
    }
    CHECK(true);
}

/* ---- whose ------------------------------------------------------------------------------ */

static void test_matches(void)
{
    static const struct gw_span teams[] = {{"core", 4}, {"web-*", 5}}, models[] = {{"gpt-*", 5}};
    struct router_budget b = {.name = "b", .per = ROUTER_PER_USER, .teams = {teams, 2}};
    struct router_subject s = {.key = GW_SPAN("k1"),
                               .user = GW_SPAN("ann"),
                               .team = GW_SPAN("web-shop"),
                               .model = GW_SPAN("gpt-4o"),
                               .target = GW_SPAN("openai")};

    CHECK(router_budget_matches(&b, &s));
    CHECK(gw_span_is(router_budget_owner(&b, &s), "ann"));
    CHECK(!router_budget_by_target(&b));
    s.team = GW_SPAN("sales");
    CHECK(!router_budget_matches(&b, &s));
    s.team = GW_SPAN(""); /* nobody's team is not in a list of teams */
    CHECK(!router_budget_matches(&b, &s));
    s.team = GW_SPAN("CORE");
    b.models = (struct router_globs){models, 1};
    CHECK(router_budget_matches(&b, &s));
    s.model = GW_SPAN("claude");
    CHECK(!router_budget_matches(&b, &s));
    b.per = ROUTER_PER_TARGET;
    CHECK(gw_span_is(router_budget_owner(&b, &s), "openai") && router_budget_by_target(&b));
    b.per = ROUTER_PER_ALL;
    CHECK(router_budget_owner(&b, &s).len == 0);
}

/* ---- reservations ------------------------------------------------------------------------ */

static void test_apply(void)
{
    struct router_counter a = {.start_ms = 1000}, b = {.start_ms = 1000};
    struct router_claim c[] = {
        {.counter = &a, .start_ms = 1000, .limit = 10, .use = 1},
        {.counter = &b, .start_ms = 1000, .limit = 100, .take = 60, .use = 40}};
    unsigned refused = 9;

    CHECK(router_budget_apply(c, 2, &refused));
    CHECK(a.used == 1 && b.used == 40 && b.held == 60 && router_budget_left(&b, 100) == 0);
    CHECK(!router_budget_apply(c, 2, &refused) && refused == 1);
    CHECK(a.used == 1 && b.used == 40); /* all or none */
    c[1] = (struct router_claim){
        .counter = &b, .start_ms = 1000, .give = 60, .use = -15, .forced = true};
    CHECK(router_budget_apply(&c[1], 1, &refused) && b.used == 25 && b.held == 0);
    /* A window that is over takes its claims with it; a clock that is behind does not bring it back. */
    c[0] = (struct router_claim){.counter = &b, .start_ms = 2000, .limit = 100, .use = 5};
    CHECK(router_budget_apply(c, 1, &refused) && b.start_ms == 2000 && b.used == 5);
    c[0] =
        (struct router_claim){.counter = &b, .start_ms = 1000, .give = 9, .use = 9, .forced = true};
    CHECK(router_budget_apply(c, 1, &refused) && b.used == 5 && b.held == 0);
    c[0] = (struct router_claim){.counter = &b, .start_ms = 1000, .limit = 100, .use = 7};
    CHECK(router_budget_apply(c, 1, &refused) && c[0].start_ms == 2000 && b.used == 12);
    /* Amounts at the end of the range overflow into a refusal. */
    c[0] = (struct router_claim){
        .counter = &b, .start_ms = 2000, .limit = ROUTER_BUDGET_MAX, .take = UINT64_MAX};
    CHECK(!router_budget_apply(c, 1, &refused));
    /* What is forced is counted above the limit, and nothing is left then. */
    c[0] = (struct router_claim){
        .counter = &b, .start_ms = 2000, .limit = 10, .use = 50, .forced = true};
    CHECK(router_budget_apply(c, 1, &refused) && b.used == 62 && router_budget_left(&b, 10) == 0);
    /* A limit below what is used refuses, and never wraps round. */
    c[0] = (struct router_claim){.counter = &b, .start_ms = 2000, .limit = 10, .use = 1};
    CHECK(!router_budget_apply(c, 1, &refused));
}

/* The model: each running request and each window's spending, kept as plain lists and summed anew each time. */
enum { COUNTERS = 5, RUNNING = 40, STEPS = 60000 };
struct running {
    bool on;
    unsigned n, counters[COUNTERS];
    int64_t start[COUNTERS];
    uint64_t held[COUNTERS], used[COUNTERS];
};
static struct running running[RUNNING];
static uint64_t gone[COUNTERS]; /* used by requests that are over, in the window of now */
static int64_t start_now[COUNTERS];
static const uint64_t limits[COUNTERS] = {5, 40, 900, 17, 300};
static const int64_t lengths[COUNTERS] = {1000, 7000, 60000, 0, 3000};

static uint64_t sum(unsigned counter, bool held)
{
    uint64_t n = held ? 0 : gone[counter];

    for (unsigned r = 0; r < RUNNING; r++)
        for (unsigned i = 0; running[r].on && i < running[r].n; i++)
            if (running[r].counters[i] == counter && running[r].start[i] == start_now[counter])
                n += held ? running[r].held[i] : running[r].used[i];
    return n;
}

static unsigned seed = 7;
static unsigned draw(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static void pass_time(int64_t now)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        int64_t start = lengths[i] == 0 ? 0 : now - now % lengths[i];

        if (start != start_now[i])
            gone[i] = 0;
        start_now[i] = start;
    }
}

static bool model_has_room(const struct running *r)
{
    for (unsigned i = 0; i < r->n; i++)
        if (r->held[i] + r->used[i] != 0 && /* what asks for nothing always has room */
            sum(r->counters[i], false) + sum(r->counters[i], true) + r->held[i] + r->used[i] >
                limits[r->counters[i]])
            return false;
    return true;
}

static unsigned begin(struct running *r, struct router_counter counters[COUNTERS])
{
    struct router_claim claims[COUNTERS];
    unsigned refused = 0, n = 0;
    bool room, done;

    for (unsigned i = 0; i < COUNTERS; i++) {
        if (draw(2) == 0)
            continue;
        r->counters[n] = i;
        r->start[n] = start_now[i];
        r->held[n] = draw(20);
        r->used[n] = lengths[i] == 0 ? 0 : draw(4);
        claims[n] = (struct router_claim){.counter = &counters[i],
                                          .start_ms = r->start[n],
                                          .limit = limits[i],
                                          .take = r->held[n],
                                          .use = (int64_t)r->used[n]};
        n++;
    }
    r->n = n;
    room = model_has_room(r);
    done = router_budget_apply(claims, n, &refused);
    r->on = done;
    return room != done;
}

static void end(struct running *r, struct router_counter counters[COUNTERS], bool all)
{
    struct router_claim claims[COUNTERS];
    unsigned refused;

    for (unsigned i = 0; i < r->n; i++) {
        uint64_t given = all ? r->held[i] : r->held[i] / 2;
        uint64_t spent =
            r->counters[i] == 3 ? 0 : given / 2; /* less than was held: exact accounting */

        claims[i] = (struct router_claim){.counter = &counters[r->counters[i]],
                                          .start_ms = r->start[i],
                                          .give = given,
                                          .use = (int64_t)spent,
                                          .forced = true};
        r->held[i] -= given;
        r->used[i] += spent;
        if (all && r->start[i] == start_now[r->counters[i]])
            gone[r->counters[i]] += r->used[i];
    }
    (void)router_budget_apply(claims, r->n, &refused);
    r->on = !all;
}

/* In any order, over many windows: never above a limit, never a unit lost, never a refusal with room. */
static void test_any_order(void)
{
    struct router_counter counters[COUNTERS] = {{0}};
    unsigned wrong_sums = 0, above = 0, wrong_answers = 0, refused = 0;
    int64_t now = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        struct running *r = &running[draw(RUNNING)];

        now += draw(120);
        pass_time(now);
        if (!r->on) {
            wrong_answers += begin(r, counters);
            refused += !r->on;
        } else {
            end(r, counters, draw(3) != 0);
        }
        for (unsigned i = 0; i < COUNTERS; i++) {
            if (counters[i].start_ms != start_now[i])
                continue; /* nobody has touched it in this window */
            wrong_sums += counters[i].used != sum(i, false) || counters[i].held != sum(i, true);
            above += counters[i].used + counters[i].held > limits[i];
        }
    }
    CHECK(wrong_sums == 0);
    CHECK(above == 0);
    CHECK(wrong_answers == 0);
    CHECK(refused > STEPS / 20 && refused < STEPS * 9 / 10); /* limits were met, and not always */
    for (unsigned r = 0; r < RUNNING; r++)
        if (running[r].on)
            end(&running[r], counters, true);
    for (unsigned i = 0; i < COUNTERS; i++)
        CHECK(counters[i].held == 0 || counters[i].start_ms != start_now[i]);
}

int main(void)
{
    test_parse();
    test_calendar();
    test_lie_end_to_end();
    test_matches();
    test_apply();
    test_any_order();
    return test_done();
}
