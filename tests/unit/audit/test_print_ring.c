/* The ring of fingerprints between writer and sealer: what is there is right, what was overwritten is not there. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "audit/print_ring.h"
#include "tests/test.h"

enum { RECORDS = 200000 };

static void print_of(uint64_t seq, unsigned char out[SPOOL_PRINT_BYTES])
{
    for (unsigned i = 0; i < SPOOL_PRINT_BYTES; i++)
        out[i] = (unsigned char)(seq >> i % 3 * 8 ^ i);
}

static bool is_right(const struct print_ring *r, uint64_t seq)
{
    unsigned char got[SPOOL_PRINT_BYTES], want[SPOOL_PRINT_BYTES];

    print_of(seq, want);
    return print_ring_get(r, seq, got) && memcmp(got, want, sizeof(got)) == 0;
}

static void test_newest_are_kept(struct print_ring *r)
{
    unsigned char print[SPOOL_PRINT_BYTES], before[SPOOL_PRINT_BYTES] = {1, 2, 3};
    unsigned wrong = 0;

    memcpy(print, before, sizeof(print));
    CHECK(!print_ring_get(r, 1, print) && memcmp(print, before, sizeof(print)) == 0);
    for (uint64_t seq = 1; seq <= PRINT_RING_RECORDS + 10; seq++) {
        print_of(seq, print);
        print_ring_put(r, seq, print);
    }
    for (uint64_t seq = 1; seq <= PRINT_RING_RECORDS + 10; seq++)
        wrong += is_right(r, seq) != (seq > 10);
    CHECK(wrong == 0);
    CHECK(!print_ring_get(r, PRINT_RING_RECORDS + 11, print));
}

static void *put_all(void *ring)
{
    unsigned char print[SPOOL_PRINT_BYTES];

    for (uint64_t seq = PRINT_RING_RECORDS + 11; seq < RECORDS; seq++) {
        print_of(seq, print);
        print_ring_put(ring, seq, print);
    }
    return NULL;
}

/* A reader that is lapped again and again never gets half of a fingerprint. */
static void test_while_it_is_written(struct print_ring *r)
{
    unsigned char got[SPOOL_PRINT_BYTES], want[SPOOL_PRINT_BYTES];
    unsigned wrong = 0;
    pthread_t t;

    if (!CHECK(pthread_create(&t, NULL, put_all, r) == 0))
        return;
    for (uint64_t i = 0; i < RECORDS; i++) {
        uint64_t seq = 1 + i * 7919 % RECORDS;

        print_of(seq, want);
        wrong += print_ring_get(r, seq, got) && memcmp(got, want, sizeof(got)) != 0;
    }
    (void)pthread_join(t, NULL);
    CHECK(wrong == 0);
    CHECK(is_right(r, RECORDS - 1) && is_right(r, RECORDS - PRINT_RING_RECORDS));
    CHECK(!print_ring_get(r, RECORDS - PRINT_RING_RECORDS - 1, got));
}

int main(void)
{
    struct print_ring *r = calloc(1, sizeof(*r));

    if (CHECK(r != NULL)) {
        test_newest_are_kept(r);
        test_while_it_is_written(r);
    }
    free(r);
    return test_done();
}
