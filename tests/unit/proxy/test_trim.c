/* Tests of trim_take() and trim_give(): what malloc() keeps for a thread comes back. */
#include <malloc.h>
#include <stdlib.h>

#include "proxy/net/trim.h"
#include "tests/test.h"

enum { N = 2000, SIZES = 40 };

static void *blocks[N][SIZES];

/* Many small blocks of many sizes, all of them freed again. */
static void crowd(void)
{
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < SIZES; k++)
            blocks[i][k] = malloc(24 + 16 * k);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < SIZES; k++)
            free(blocks[(i * 7) % N][k]);
}

static unsigned length_of(void *chain)
{
    unsigned n = 0;

    for (void **block = chain; block != NULL; block = *block)
        n++;
    return n;
}

static void test_kept_blocks_come_back(void)
{
    size_t before, kept, after;
    void *chain;

    before = mallinfo2().uordblks;
    crowd();
    kept = mallinfo2().uordblks; /* to malloc() they are in use */
    chain = trim_take();
    CHECK(length_of(chain) >= 7 * 64);
    trim_give(chain);
    trim_give(NULL);
    after = mallinfo2().uordblks;
    if (kept == 0) { /* a sanitizer's malloc() */
        test_skip("this malloc() does not say what is in use");
        return;
    }
    CHECK(kept > before + (size_t)SIZES * 7 * 24);
    CHECK(after < before + (kept - before) / 8); /* a thread takes some itself */
}

int main(void)
{
    trim_set_up();
    test_kept_blocks_come_back();
    return test_done();
}
