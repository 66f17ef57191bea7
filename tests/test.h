/* tests/test.h - the whole unit test framework. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static atomic_int test_passed, test_failed, test_skipped; /* any thread checks */

#define CHECK(cond) test_check((cond), #cond, __FILE__, __LINE__)

static inline bool test_check(bool ok, const char *what, const char *file, int line)
{
    if (ok) {
        (void)atomic_fetch_add_explicit(&test_passed, 1, memory_order_relaxed);
        return true;
    }
    (void)atomic_fetch_add_explicit(&test_failed, 1, memory_order_relaxed);
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    return false;
}

/* Counts a test that cannot run here and says why. */
static inline void test_skip(const char *why)
{
    (void)atomic_fetch_add_explicit(&test_skipped, 1, memory_order_relaxed);
    printf("SKIP  %s\n", why);
}

/* How many random cases to take of n: a quarter where sanitizers make each slow; the code that they look at is reached as well. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define TEST_DRAWS(n) ((n) / 4)
enum { TEST_STEP = 3 };
#else
#    define TEST_DRAWS(n) (n)
enum { TEST_STEP = 1 };
#endif
/* TEST_STEP: the same for a list of cases that go much the same way, such as models on the emulated device: every third. */

/* Waits for what comes sooner or later, in another thread or process. Its end is a number of turns, a minute of them at least, so
 * that a machine that stands still does not use them up. What is waited for is to be checked behind it. */
#define TEST_UNTIL(cond)                                                                           \
    for (int test_turns_ = TEST_TURNS; test_turns_ > 0 && !(cond); test_turns_--)                  \
    test_nap()

enum { TEST_TURNS = 12000, TEST_PATIENCE_S = 60 }; /* the latter for what takes a time limit */

static inline void test_nap(void)
{
    const struct timespec ts = {0, 5000000};

    (void)nanosleep(&ts, NULL);
}

/* Ends main(): prints the counts and returns the exit status. */
static inline int test_done(void)
{
    printf("%d passed, %d failed, %d skipped\n", test_passed, test_failed, test_skipped);
    return test_failed != 0;
}

#endif
