/* tests/unit/engine/test_line.c - whose turn it is: shares, priorities, age, and tenants that come and go. */
#include <stdlib.h>
#include <string.h>

#include "engine/line.h"
#include "tests/test.h"

enum { N = 64 };

static struct gw_span name_of(unsigned i)
{
    static const char *const names[] = {"", "a", "b", "ab"};

    return gw_span_str(names[i % 4]);
}

/* Tenant a always has ten requests in line, b and c one: each gets a third of the turns. */
static void test_shares(void)
{
    struct line *l = line_new();
    struct line_place p[12] = {{0}};
    unsigned turns[3] = {0}, owner[12];

    for (unsigned i = 0; i < 12; i++) {
        owner[i] = i < 10 ? 0 : i - 9;
        CHECK(line_join(l, &p[i], name_of(owner[i]), i));
    }
    for (unsigned turn = 0; turn < 300; turn++) {
        struct line_place *next = line_next(l, 100 + turn);
        unsigned i = (unsigned)(next - p);

        line_run(l, next);
        line_charge(next, 10);
        turns[owner[i]]++;
        line_rejoin(l, next);
    }
    for (unsigned i = 0; i < 3; i++)
        CHECK(turns[i] == 100);
    for (unsigned i = 0; i < 12; i++)
        line_leave(l, &p[i]);
    CHECK(line_next(l, 0) == NULL && line_first(l) == NULL);
    line_free(l);
}

/* Who was away has no credit, and who is new is not behind. */
static void test_coming_back(void)
{
    struct line *l = line_new();
    struct line_place a = {0}, b = {0}, c = {0};

    CHECK(line_join(l, &a, name_of(1), 0));
    line_run(l, &a);
    line_charge(&a, 1000000);
    CHECK(line_join(l, &b, name_of(2), 0)); /* new: level with a */
    CHECK(b.tenant->served == 1000000);
    line_run(l, &b);
    line_charge(&b, 50);
    line_leave(l, &b);
    line_charge(&a, 1000);
    CHECK(line_join(l, &b, name_of(2), 0));
    CHECK(b.tenant->served == 1001000);
    line_leave(l, &a);
    CHECK(line_join(l, &c, name_of(3), 0)); /* a has nothing here now */
    CHECK(c.tenant->served == 1001000);
    line_leave(l, &b);
    line_leave(l, &c);
    line_free(l);
}

static void test_priority_and_age(void)
{
    struct line *l = line_new();
    struct line_place low = {.priority = -1}, high = {.priority = 2}, old = {0}, young = {0};

    CHECK(line_join(l, &young, name_of(1), 50) && line_join(l, &low, name_of(2), 0) &&
          line_join(l, &high, name_of(3), 60) && line_join(l, &old, name_of(1), 10));
    CHECK(line_next(l, 100) == &high);
    line_run(l, &high);
    CHECK(line_next(l, 100) == &old); /* the older one of that tenant */
    line_run(l, &old);
    CHECK(line_next(l, 100) == &young);
    /* One that waits overtakes in the end what comes after it. */
    line_leave(l, &young);
    young = (struct line_place){0};
    CHECK(line_join(l, &young, name_of(1), 2 * LINE_AGING_NS));
    CHECK(line_next(l, 2 * LINE_AGING_NS) == &low);
    line_leave(l, &young);
    line_leave(l, &low);
    line_leave(l, &high);
    line_leave(l, &old);
    line_free(l);
}

/* Random members against plain counts. */
static void test_counts(void)
{
    struct line *l = line_new();
    struct line_place p[N] = {{0}};
    unsigned state[N] = {0}; /* 0 away, 1 waits, 2 runs */
    uint64_t rng = 7;

    for (unsigned turn = 0; turn < 4000; turn++) {
        unsigned i, n_wait = 0, n_seen = 0, runs = 0;

        rng = rng * 6364136223846793005u + 1442695040888963407u;
        i = (unsigned)(rng >> 33) % N;
        if (state[i] == 0) {
            CHECK(line_join(l, &p[i], name_of(i), turn));
            state[i] = 1;
        } else if (rng >> 62 == 0) {
            line_leave(l, &p[i]);
            state[i] = 0;
        } else if (state[i] == 1) {
            line_run(l, &p[i]);
            state[i] = 2;
        } else {
            line_rejoin(l, &p[i]);
            state[i] = 1;
        }
        for (unsigned k = 0; k < N; k++) {
            n_wait += state[k] == 1;
            runs += state[k] == 2 && k % 4 == i % 4;
        }
        for (struct line_place *w = line_first(l); w != NULL; w = w->next)
            n_seen++;
        CHECK(n_seen == n_wait && (line_next(l, turn) == NULL) == (n_wait == 0));
        CHECK(state[i] == 0 || p[i].tenant->n_running == runs);
    }
    for (unsigned i = 0; i < N; i++)
        if (state[i] != 0)
            line_leave(l, &p[i]);
    line_free(l);
}

/* Ever new names take no more memory than is said. */
static void test_many_tenants(void)
{
    struct line *l = line_new();

    for (unsigned i = 0; i < LINE_MAX_IDLE * 3; i++) {
        struct line_place p = {0};

        CHECK(line_join(l, &p, (struct gw_span){(const char *)&i, sizeof(i)}, i));
        line_charge(&p, i);
        line_leave(l, &p);
    }
    line_free(l);
    line_free(NULL);
}

int main(void)
{
    test_shares();
    test_coming_back();
    test_priority_and_age();
    test_counts();
    test_many_tenants();
    return test_done();
}
