/* Tests of router/health.c: the breaker against a slow model, averages, the choice of slots, budgets and waits under random
 * input; and the words under threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "router/router.h"
#include "tests/test.h"

static uint64_t state = 0x9E3779B97F4A7C15ull;

static uint64_t rnd64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned rnd(unsigned n)
{
    return (unsigned)(rnd64() >> 33) % n;
}

/* ---- the breaker ------------------------------------------------------------------------ */

static const struct router_breaker_limits limits = {
    .failures = 3, .error_percent = 50, .min_requests = 10, .window_ms = 1000, .open_ms = 100};

static void test_breaker_opens_after_failures_in_a_row(void)
{
    struct router_breaker b = {0};

    CHECK(router_breaker_allows(&b, 1));
    CHECK(!router_breaker_failure(&b, &limits, 10) && !router_breaker_failure(&b, &limits, 11));
    router_breaker_success(&b, &limits, 12); /* the row is broken */
    CHECK(!router_breaker_failure(&b, &limits, 13) && !router_breaker_failure(&b, &limits, 14));
    CHECK(router_breaker_failure(&b, &limits, 15));
    CHECK(router_breaker_state(&b) == ROUTER_BREAKER_OPEN);
    CHECK(!router_breaker_allows(&b, 114) && router_breaker_enter(&b, &limits, 114) == 0);
    CHECK(router_breaker_allows(&b, 115));
}

static void open_it(struct router_breaker *b, int64_t at)
{
    for (int i = 0; i < 3; i++)
        (void)router_breaker_failure(b, &limits, at);
}

static void test_one_request_tries(void)
{
    struct router_breaker b = {0};

    open_it(&b, 10);
    CHECK(router_breaker_enter(&b, &limits, 110) == ROUTER_PASS_TRIAL);
    CHECK(router_breaker_state(&b) == ROUTER_BREAKER_HALF_OPEN);
    CHECK(router_breaker_enter(&b, &limits, 111) == ROUTER_PASS_NO);
    CHECK(!router_breaker_allows(&b, 111));
    router_breaker_success(&b, &limits, 120);
    CHECK(router_breaker_state(&b) == ROUTER_BREAKER_CLOSED);
    CHECK(router_breaker_enter(&b, &limits, 121) == ROUTER_PASS_YES);
}

static void test_open_time_doubles_and_starts_anew(void)
{
    struct router_breaker b = {0};
    int64_t now = 10, open = 100;

    open_it(&b, now);
    for (int i = 0; i < 6; i++) {
        CHECK(!router_breaker_allows(&b, now + open - 1));
        now += open;
        CHECK(router_breaker_enter(&b, &limits, now) == ROUTER_PASS_TRIAL);
        CHECK(router_breaker_failure(&b, &limits, now));
        open = open < 800 ? open * 2 : 800;
    }
    CHECK(router_breaker_enter(&b, &limits, now + open) == ROUTER_PASS_TRIAL);
    router_breaker_success(&b, &limits, now + open);
    open_it(&b, now + 2000);
    CHECK(!router_breaker_allows(&b, now + 2099) && router_breaker_allows(&b, now + 2100));
}

static void test_a_lost_trial_does_not_block(void)
{
    struct router_breaker b = {0};

    open_it(&b, 10);
    CHECK(router_breaker_enter(&b, &limits, 200) == ROUTER_PASS_TRIAL);
    router_breaker_forget(&b, 210);
    CHECK(router_breaker_enter(&b, &limits, 210) == ROUTER_PASS_TRIAL);
    CHECK(router_breaker_enter(&b, &limits, 309) == ROUTER_PASS_NO); /* nothing is heard of it */
    CHECK(router_breaker_enter(&b, &limits, 310) == ROUTER_PASS_TRIAL);
}

static void test_breaker_opens_by_share(void)
{
    struct router_breaker_limits l = limits;
    struct router_breaker b = {0};
    bool opened = false;

    l.failures = 0;
    for (int i = 0; i < 8; i++) /* alternating: never two in a row */
        if (i % 2 == 0)
            router_breaker_success(&b, &l, 5000 + i);
        else
            opened |= router_breaker_failure(&b, &l, 5000 + i);
    CHECK(!opened); /* too few to say */
    router_breaker_success(&b, &l, 5010);
    CHECK(router_breaker_failure(&b, &l, 5011));
    memset(&b, 0, sizeof(b));
    for (int i = 0; i < 9; i++)
        CHECK(!router_breaker_failure(&b, &l, 5000));
    CHECK(!router_breaker_failure(&b, &l, 9000)); /* the window of the others is long over */
    for (int i = 0; i < 5; i++)
        router_breaker_success(&b, &l, 10000);
    CHECK(!router_breaker_failure(&b, &l, 10001));
}

/* A model with whole lists instead of packed words. */
struct model {
    enum router_breaker_state state;
    unsigned row, openings, n;
    int64_t until;
    struct {
        int64_t window;
        bool bad;
    } outcomes[4096];
};

static void model_add(struct model *m, int64_t now, bool bad)
{
    m->outcomes[m->n].window = now / limits.window_ms;
    m->outcomes[m->n++].bad = bad;
}

static bool model_share(const struct model *m, int64_t now)
{
    unsigned bad = 0, all = 0;

    for (unsigned i = 0; i < m->n; i++) {
        int64_t age = now / limits.window_ms - m->outcomes[i].window;

        if (age > 1)
            continue;
        all++;
        bad += m->outcomes[i].bad;
    }
    return all >= limits.min_requests && bad * 100 >= all * limits.error_percent;
}

static void model_failure(struct model *m, int64_t now)
{
    model_add(m, now, true);
    if (m->state == ROUTER_BREAKER_OPEN)
        return;
    m->row++;
    if (m->state == ROUTER_BREAKER_HALF_OPEN || m->row >= limits.failures || model_share(m, now)) {
        m->state = ROUTER_BREAKER_OPEN;
        m->until = now + (limits.open_ms << (m->openings < 3 ? m->openings : 3));
        m->openings++;
        m->row = m->n = 0;
    }
}

static void model_success(struct model *m, int64_t now)
{
    model_add(m, now, false);
    if (m->state == ROUTER_BREAKER_OPEN)
        return;
    if (m->state == ROUTER_BREAKER_HALF_OPEN)
        m->n = 0;
    m->state = ROUTER_BREAKER_CLOSED;
    m->row = m->openings = 0;
}

static void model_enter(struct model *m, int64_t now)
{
    if (m->state == ROUTER_BREAKER_CLOSED || now < m->until)
        return;
    m->state = ROUTER_BREAKER_HALF_OPEN;
    m->until = now + limits.open_ms;
}

static void test_breaker_is_its_model(void)
{
    for (int round = 0; round < 200; round++) {
        static struct model m;
        struct router_breaker b = {0};
        int64_t now = 100000 + rnd(100000);
        unsigned ill = rnd(100);
        bool same = true;

        memset(&m, 0, sizeof(m));
        for (int i = 0; i < 400; i++) {
            now += rnd(60);
            if (rnd(3) == 0) {
                (void)router_breaker_enter(&b, &limits, now);
                model_enter(&m, now);
            } else if (rnd(100) < ill) {
                (void)router_breaker_failure(&b, &limits, now);
                model_failure(&m, now);
            } else {
                router_breaker_success(&b, &limits, now);
                model_success(&m, now);
            }
            same &= router_breaker_state(&b) == m.state;
            same &= router_breaker_allows(&b, now) ==
                    (m.state == ROUTER_BREAKER_CLOSED || now >= m.until);
        }
        CHECK(same);
    }
}

/* Of many threads that come at once, one tries. */
static struct router_breaker shared;
static _Atomic unsigned n_trials;

static void *enter_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++)
        if (router_breaker_enter(&shared, &limits, 1000) == ROUTER_PASS_TRIAL)
            atomic_fetch_add(&n_trials, 1);
    return NULL;
}

static void test_one_trial_among_threads(void)
{
    pthread_t t[4];

    open_it(&shared, 10);
    for (int i = 0; i < 4; i++)
        (void)pthread_create(&t[i], NULL, enter_thread, NULL);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    CHECK(n_trials == 1);
}

/* ---- latency ---------------------------------------------------------------------------- */

static void test_latency_rises_at_once_and_falls_slowly(void)
{
    struct router_latency l = {0};

    CHECK(router_latency_us(&l, 5) == 0);
    router_latency_add(&l, 1000, 1000);
    CHECK(router_latency_us(&l, 1000) == 1000);
    router_latency_add(&l, 900000, 1001);
    CHECK(router_latency_us(&l, 1001) == 900000);
    router_latency_add(&l, 1000, 1101);
    CHECK(router_latency_us(&l, 1101) > 850000 && router_latency_us(&l, 1101) < 900000);
    for (int i = 0; i < 1000; i++)
        router_latency_add(&l, 1000, 1101 + i * 100);
    CHECK(router_latency_us(&l, 101001) < 2000);
    CHECK(router_latency_us(&l, 101001 + 3600000) < 10); /* forgotten, so that it is tried again */
}

static void test_latency_stays_between_its_samples(void)
{
    for (int round = 0; round < 200; round++) {
        struct router_latency l = {0};
        uint64_t low = UINT64_MAX, high = 0;
        int64_t now = (int64_t)(rnd64() >> 20);
        bool inside = true;

        for (int i = 0; i < 100; i++) {
            uint64_t us = 1 + rnd64() % (UINT64_C(1) << (1 + rnd(31)));

            low = us < low ? us : low;
            high = us > high ? us : high;
            now += rnd(50);
            router_latency_add(&l, us, now);
            inside &= router_latency_us(&l, now) <= high && router_latency_us(&l, now) + 1 >= low;
        }
        CHECK(inside);
    }
}

/* ---- slots ------------------------------------------------------------------------------ */

static void test_pick_keeps_its_promises(void)
{
    for (int round = 0; round < 20000; round++) {
        struct router_slot s[ROUTER_MAX_SLOTS];
        unsigned n = 1 + rnd(round % 2 == 0 ? 4 : ROUTER_MAX_SLOTS), n_fresh = 0, n_any = 0;
        uint64_t avoid = rnd(2) == 0 ? 0 : rnd64();
        int got;

        for (unsigned i = 0; i < n; i++) {
            s[i] = (struct router_slot){rnd(1000), rnd(5), rnd(3) != 0, rnd(3) == 0};
            if (s[i].usable && (avoid >> i & 1) == 0) {
                n_any++;
                n_fresh += !s[i].cooling;
            }
        }
        got = router_pick_slot(s, n, avoid, rnd64());
        if (n_any == 0 ? got != -1 : got < 0 || got >= (int)n) {
            CHECK(!"a slot when there is one, none when there is none");
            continue;
        }
        if (got >= 0 &&
            (!s[got].usable || (avoid >> got & 1) != 0 || (n_fresh > 0 && s[got].cooling)))
            CHECK(!"usable, not avoided, resting ones last");
    }
    CHECK(true);
}

/* Of two, always the better one; of many, the worst never. */
static void test_pick_prefers_the_less_loaded(void)
{
    struct router_slot s[4] = {{1000, 0, true, false},
                               {1000, 9, true, false},
                               {50000, 0, true, false},
                               {1000, 1, true, false}};
    unsigned n[4] = {0};

    for (int i = 0; i < 200; i++) {
        CHECK(router_pick_slot(s, 2, 0, rnd64()) == 0);
        n[router_pick_slot(s, 4, 0, rnd64())]++;
    }
    CHECK(n[0] > n[3] && n[3] > n[1] && n[2] == 0);
    s[0].latency_us = 0; /* unknown: asked once, then left alone until it has answered */
    CHECK(router_pick_slot(s, 2, 0, rnd64()) == 0);
    s[0].outstanding = 1;
    CHECK(router_pick_slot(s, 2, 0, rnd64()) == 1);
}

/* Servers of different speed get shares that go with it, and a slow one does not starve. */
static void test_pick_balances(void)
{
    struct router_slot s[3] = {
        {10000, 0, true, false}, {20000, 0, true, false}, {40000, 0, true, false}};
    uint64_t ends[3][64] = {{0}}, now = 0;
    unsigned n[3] = {0}, most = 0;

    for (int i = 0; i < 30000; i++, now += 1000) { /* a thousand requests a second */
        int got;

        for (unsigned k = 0; k < 3; k++)
            for (unsigned j = 0; j < 64; j++)
                if (ends[k][j] != 0 && ends[k][j] <= now) {
                    ends[k][j] = 0;
                    s[k].outstanding--;
                }
        got = router_pick_slot(s, 3, 0, rnd64());
        n[got]++;
        for (unsigned j = 0; j < 64; j++)
            if (ends[got][j] == 0) {
                ends[got][j] = now + s[got].latency_us;
                break;
            }
        s[got].outstanding++;
        most = s[got].outstanding > most ? s[got].outstanding : most;
    }
    CHECK(n[0] > n[1] && n[1] > n[2] && n[2] > 1000);
    CHECK(most < 40);
}

/* ---- budget and waits --------------------------------------------------------------------- */

static void test_budget_is_a_share(void)
{
    for (int round = 0; round < 100; round++) {
        struct router_retries b = {0};
        unsigned percent = rnd(101), asked = 0, took = 0;
        int64_t start = rnd(1000000), now = start;

        for (int i = 0; i < 3000; i++) {
            now += rnd(20);
            asked++;
            router_retries_add(&b, percent, now);
            while (rnd(2) == 0)
                took += router_retries_take(&b, now);
        }
        CHECK(took * 100 <= asked * percent + 1000 + (unsigned)((now - start) / 100) + 100);
        CHECK(took >= 10);
        CHECK(took * 100 + 200 >= asked * percent || percent > 40); /* and not much less either */
    }
}

static void test_waits(void)
{
    struct router_retry r = {.base_ms = 250, .max_ms = 8000, .asked_ms = -1, .left_ms = 60000};

    for (int i = 0; i < 2000; i++) {
        int64_t w;

        r.tries = rnd(40);
        r.random = rnd64();
        w = router_retry_wait_ms(&r);
        CHECK(w >= (r.tries == 0 ? 125 : 250) && w <= 8000);
        CHECK(r.tries != 0 || w <= 250);
    }
    r.asked_ms = 3000;
    for (int i = 0; i < 100; i++) {
        r.random = rnd64();
        CHECK(router_retry_wait_ms(&r) >= 3000 && router_retry_wait_ms(&r) <= 3300);
    }
    r.asked_ms = 8001;
    CHECK(router_retry_wait_ms(&r) == -1); /* longer than it is worth */
    r.asked_ms = 0;
    CHECK(router_retry_wait_ms(&r) == 0);
    r.asked_ms = 5000;
    r.left_ms = 4000;
    CHECK(router_retry_wait_ms(&r) == -1); /* the request would be over by then */
    r = (struct router_retry){.base_ms = 0, .max_ms = 0, .asked_ms = -1, .left_ms = 1};
    CHECK(router_retry_wait_ms(&r) == 0);
}

int main(void)
{
    test_breaker_opens_after_failures_in_a_row();
    test_one_request_tries();
    test_open_time_doubles_and_starts_anew();
    test_a_lost_trial_does_not_block();
    test_breaker_opens_by_share();
    test_breaker_is_its_model();
    test_one_trial_among_threads();
    test_latency_rises_at_once_and_falls_slowly();
    test_latency_stays_between_its_samples();
    test_pick_keeps_its_promises();
    test_pick_prefers_the_less_loaded();
    test_pick_balances();
    test_budget_is_a_share();
    test_waits();
    return test_done();
}
