/* router/health.c - circuit breakers, latency averages, the choice among slots, retry budgets and waits. No I/O, no clock, no
 * randomness of its own. Any thread: every change is one compare-and-swap on a word that holds a whole state. */
#include "router/router.h"

enum {
    MAX_DOUBLINGS = 3,      /* of a breaker's open time */
    DECAY_MS = 10000,       /* time constant of the latency average */
    BUDGET_MILLI = 1000,    /* one retry */
    BUDGET_MAX = 10 * 1000, /* a full bucket */
    BUDGET_PER_S = 100,
};

/* ---- the breaker's word: state 2 bits, failures 8, openings 4, time 50 ------------------------- */

struct breaker_view {
    enum router_breaker_state state;
    unsigned failures, openings;
    int64_t until_ms; /* OPEN: when one may try; HALF_OPEN: when the trial counts as forgotten */
};

static struct breaker_view unpack(uint64_t w)
{
    return (struct breaker_view){(enum router_breaker_state)(w & 3), (unsigned)(w >> 2 & 0xFF),
                                 (unsigned)(w >> 10 & 0xF), (int64_t)(w >> 14)};
}

static uint64_t pack(struct breaker_view v)
{
    return (uint64_t)v.until_ms << 14 | (uint64_t)(v.openings & 0xF) << 10 |
           (uint64_t)(v.failures & 0xFF) << 2 | (uint64_t)v.state;
}

static bool may_pass(struct breaker_view v, int64_t now_ms)
{
    return v.state == ROUTER_BREAKER_CLOSED || now_ms >= v.until_ms;
}

const char *router_breaker_state_name(enum router_breaker_state s)
{
    static const char *const names[] = {"closed", "open", "half_open"};

    return names[s];
}

enum router_breaker_state router_breaker_state(const struct router_breaker *b)
{
    return unpack(atomic_load_explicit(&b->word, memory_order_relaxed)).state;
}

bool router_breaker_allows(const struct router_breaker *b, int64_t now_ms)
{
    return may_pass(unpack(atomic_load_explicit(&b->word, memory_order_relaxed)), now_ms);
}

enum router_pass router_breaker_enter(struct router_breaker *b,
                                      const struct router_breaker_limits *l, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed);

    for (;;) {
        struct breaker_view v = unpack(old);

        if (v.state == ROUTER_BREAKER_CLOSED)
            return ROUTER_PASS_YES;
        if (!may_pass(v, now_ms))
            return ROUTER_PASS_NO;
        v.state = ROUTER_BREAKER_HALF_OPEN;
        v.until_ms = now_ms + l->open_ms;
        if (atomic_compare_exchange_weak(&b->word, &old, pack(v)))
            return ROUTER_PASS_TRIAL;
    }
}

/* ---- windows: number 32 bits, good 16, bad 16 ---------------------------------------------------- */

static uint64_t count_one(uint64_t window, bool bad)
{
    unsigned shift = bad ? 0 : 16;

    return (window >> shift & 0xFFFF) == 0xFFFF ? window : window + (UINT64_C(1) << shift);
}

static uint64_t window_number(const struct router_breaker_limits *l, int64_t now_ms)
{
    return (uint64_t)(now_ms / l->window_ms) & UINT32_MAX;
}

static void add_outcome(struct router_breaker *b, const struct router_breaker_limits *l,
                        int64_t now_ms, bool bad)
{
    uint64_t number = window_number(l, now_ms), old = atomic_load(&b->now_);

    for (;;) {
        bool same = old >> 32 == number;
        uint64_t next = count_one(same ? old : number << 32, bad);

        if (!atomic_compare_exchange_weak(&b->now_, &old, next))
            continue;
        if (!same) /* whoever began the window puts the last one aside */
            atomic_store(&b->before, old);
        return;
    }
}

static bool share_reached(const struct router_breaker *b, const struct router_breaker_limits *l,
                          int64_t now_ms)
{
    uint64_t number = window_number(l, now_ms);
    uint64_t w[2] = {atomic_load(&b->now_), atomic_load(&b->before)};
    uint64_t good = 0, bad = 0;

    if (l->error_percent == 0)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (w[i] >> 32 != number && (w[i] >> 32) + 1 != number)
            continue;
        good += w[i] >> 16 & 0xFFFF;
        bad += w[i] & 0xFFFF;
    }
    return good + bad >= l->min_requests && bad * 100 >= (good + bad) * l->error_percent;
}

static void clear_windows(struct router_breaker *b)
{
    atomic_store(&b->now_, 0);
    atomic_store(&b->before, 0);
}

/* ---- outcomes -------------------------------------------------------------------------------------- */

void router_breaker_success(struct router_breaker *b, const struct router_breaker_limits *l,
                            int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed);

    add_outcome(b, l, now_ms, false);
    while (old != 0) {
        struct breaker_view v = unpack(old);

        if (v.state == ROUTER_BREAKER_OPEN)
            return; /* of a request that began before */
        if (!atomic_compare_exchange_weak(&b->word, &old, 0))
            continue;
        if (v.state == ROUTER_BREAKER_HALF_OPEN)
            clear_windows(b);
        return;
    }
}

static struct breaker_view opened(struct breaker_view v, const struct router_breaker_limits *l,
                                  int64_t now_ms)
{
    unsigned doublings = v.openings < MAX_DOUBLINGS ? v.openings : MAX_DOUBLINGS;

    v.state = ROUTER_BREAKER_OPEN;
    v.until_ms = now_ms + (l->open_ms << doublings);
    v.openings += v.openings < 0xF;
    v.failures = 0;
    return v;
}

bool router_breaker_failure(struct router_breaker *b, const struct router_breaker_limits *l,
                            int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed);
    bool share;

    add_outcome(b, l, now_ms, true);
    share = share_reached(b, l, now_ms);
    for (;;) {
        struct breaker_view v = unpack(old);

        if (v.state == ROUTER_BREAKER_OPEN)
            return false; /* of a request that began before */
        v.failures += v.failures < 0xFF;
        if (v.state == ROUTER_BREAKER_HALF_OPEN || share ||
            (l->failures != 0 && v.failures >= l->failures))
            v = opened(v, l, now_ms);
        if (!atomic_compare_exchange_weak(&b->word, &old, pack(v)))
            continue;
        if (v.state == ROUTER_BREAKER_OPEN)
            clear_windows(b);
        return v.state == ROUTER_BREAKER_OPEN;
    }
}

void router_breaker_forget(struct router_breaker *b, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed);

    for (;;) {
        struct breaker_view v = unpack(old);

        if (v.state != ROUTER_BREAKER_HALF_OPEN)
            return;
        v.state = ROUTER_BREAKER_OPEN;
        v.until_ms = now_ms;
        if (atomic_compare_exchange_weak(&b->word, &old, pack(v)))
            return;
    }
}

/* ---- peak-EWMA: microseconds 32 bits, time 32 ------------------------------------------------------- */

/* The weight of what was known falls as DECAY/(DECAY + age): like the exponential at first, without floating point. */
static uint64_t decayed(uint64_t word, int64_t now_ms)
{
    uint32_t age = (uint32_t)now_ms - (uint32_t)word;

    if (age > UINT32_MAX / 2) /* another thread's clock was read a moment later */
        age = 0;
    return (word >> 32) * DECAY_MS / (DECAY_MS + (uint64_t)age);
}

uint64_t router_latency_us(const struct router_latency *l, int64_t now_ms)
{
    return decayed(atomic_load_explicit(&l->word, memory_order_relaxed), now_ms);
}

void router_latency_add(struct router_latency *l, uint64_t us, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&l->word, memory_order_relaxed), next, was;

    if (us > UINT32_MAX)
        us = UINT32_MAX;
    if (us == 0)
        us = 1; /* 0 is for nothing known */
    do {
        was = old >> 32;
        next = decayed(old, now_ms);
        next = us >= next ? us : next + us * (was - next) / was;
        next = (next > UINT32_MAX ? UINT32_MAX : next) << 32 | (uint32_t)now_ms;
    } while (!atomic_compare_exchange_weak(&l->word, &old, next));
}

/* ---- which slot ------------------------------------------------------------------------------------- */

/* A slot of which nothing is known is tried once; until it has answered, all others come first. */
static uint64_t load_of(const struct router_slot *s)
{
    if (s->latency_us == 0)
        return s->outstanding == 0 ? 0 : (UINT64_C(1) << 62) + s->outstanding;
    return s->latency_us * ((uint64_t)s->outstanding + 1);
}

static uint64_t candidates(const struct router_slot *slots, unsigned n, uint64_t avoid,
                           bool cooling)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < n; i++)
        if (slots[i].usable && slots[i].cooling == cooling && (avoid >> i & 1) == 0)
            set |= UINT64_C(1) << i;
    return set;
}

/* The k-th member of a set, counted from 0. */
static unsigned member(uint64_t set, unsigned k)
{
    while (k-- > 0)
        set &= set - 1;
    return (unsigned)__builtin_ctzll(set);
}

int router_pick_slot(const struct router_slot *slots, unsigned n, uint64_t avoid, uint64_t random)
{
    uint64_t set = candidates(slots, n, avoid, false);
    unsigned size, a, b;

    if (set == 0)
        set = candidates(slots, n, avoid, true);
    if (set == 0)
        return -1;
    size = (unsigned)__builtin_popcountll(set);
    a = (unsigned)((random & UINT32_MAX) % size);
    if (size == 1)
        return (int)member(set, 0);
    b = (a + 1 + (unsigned)((random >> 32) % (size - 1))) % size;
    a = member(set, a);
    b = member(set, b);
    return (int)(load_of(&slots[b]) < load_of(&slots[a]) ? b : a);
}

/* ---- the budget: thousandths that are missing 24 bits, time 40 ---------------------------------------- */

static uint64_t refilled(uint64_t word, int64_t now_s)
{
    uint64_t missing = word & 0xFFFFFF, then = word >> 24;
    uint64_t s = (uint64_t)now_s > then ? (uint64_t)now_s - then : 0;

    return s >= BUDGET_MAX / BUDGET_PER_S || s * BUDGET_PER_S >= missing
               ? 0
               : missing - s * BUDGET_PER_S;
}

void router_retries_add(struct router_retries *b, unsigned percent, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed), missing, by;
    int64_t now_s = now_ms / 1000;

    by = (uint64_t)percent * (BUDGET_MILLI / 100);
    do {
        if ((old & 0xFFFFFF) == 0)
            return; /* full, as nearly always: nothing to write */
        missing = refilled(old, now_s);
        missing = missing > by ? missing - by : 0;
    } while (!atomic_compare_exchange_weak(&b->word, &old, (uint64_t)now_s << 24 | missing));
}

bool router_retries_take(struct router_retries *b, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed), missing;
    int64_t now_s = now_ms / 1000;

    do {
        missing = refilled(old, now_s);
        if (missing + BUDGET_MILLI > BUDGET_MAX)
            return false;
    } while (!atomic_compare_exchange_weak(&b->word, &old,
                                           (uint64_t)now_s << 24 | (missing + BUDGET_MILLI)));
    return true;
}

/* ---- when again ---------------------------------------------------------------------------------------- */

int64_t router_retry_wait_ms(const struct router_retry *r)
{
    unsigned doublings = r->tries < 16 ? r->tries : 16;
    int64_t wait = r->base_ms << doublings;

    if (wait > r->max_ms)
        wait = r->max_ms;
    wait = wait / 2 + (int64_t)(r->random % (uint64_t)(wait / 2 + 1));
    if (r->asked_ms >= 0) /* and a little more, so that not all come back at once */
        wait = r->asked_ms + (int64_t)(r->random % (uint64_t)(r->asked_ms / 10 + 1));
    if (r->asked_ms > r->max_ms || wait >= r->left_ms)
        return -1;
    return wait;
}
