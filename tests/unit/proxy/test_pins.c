/* The table of conversations that stay in some zones: what it remembers, for how long, and how much. */
#include <string.h>

#include "base/digest.h"
#include "base/types.h"
#include "proxy/request/pins.h"
#include "tests/test.h"

static struct pins_key key_of(unsigned n)
{
    unsigned char sum[GW_SHA256_BYTES];
    struct pins_key key;

    gw_sha256((struct gw_span){(const char *)&n, sizeof(n)}, sum);
    memcpy(key.bytes, sum, sizeof(key.bytes));
    return key;
}

static void test_time(void)
{
    struct pins *p = pins_new();
    struct pins_key a = key_of(1), b = key_of(2);

    CHECK(!pins_any(p) && pins_get(p, &a, 0) == GW_ZONES_ALL);
    CHECK(pins_put(p, &a, GW_ZONE_PRIVATE | GW_ZONE_PROCESS, 100, 200) && pins_any(p));
    CHECK(pins_get(p, &a, 199) == (GW_ZONE_PRIVATE | GW_ZONE_PROCESS));
    CHECK(pins_get(p, &a, 200) == GW_ZONES_ALL && pins_get(p, &b, 150) == GW_ZONES_ALL);
    /* Zones only get fewer, and the end later. */
    CHECK(pins_put(p, &a, GW_ZONE_PRIVATE | GW_ZONE_APPROVED, 150, 180));
    CHECK(pins_get(p, &a, 199) == GW_ZONE_PRIVATE);
    CHECK(pins_put(p, &a, GW_ZONE_PRIVATE, 150, 300) && pins_get(p, &a, 250) == GW_ZONE_PRIVATE);
    CHECK(pins_put(p, &a, GW_ZONE_PROCESS, 150, 160) && pins_get(p, &a, 155) == 0);
    /* Ended: it begins anew. */
    CHECK(pins_put(p, &a, GW_ZONE_APPROVED, 400, 500));
    CHECK(pins_get(p, &a, 450) == GW_ZONE_APPROVED);
    pins_free(p);
    pins_free(NULL);
}

/* A half of the table fits but for a few; what is forgotten is told. */
static void test_many(void)
{
    struct pins *p = pins_new();
    unsigned forgotten = 0, known = 0;

    for (unsigned i = 0; i < PINS_MAX / 4; i++) {
        struct pins_key k = key_of(i);

        forgotten += !pins_put(p, &k, GW_ZONE_PRIVATE, 0, 1000 + i);
    }
    for (unsigned i = 0; i < PINS_MAX / 4; i++) {
        struct pins_key k = key_of(i);

        known += pins_get(p, &k, 500) == GW_ZONE_PRIVATE;
    }
    CHECK(known + forgotten == PINS_MAX / 4 && forgotten < PINS_MAX / 4 / 100);
    /* What has ended makes room silently. */
    for (unsigned i = 0; i < 50; i++) {
        struct pins_key k = key_of(PINS_MAX + i);

        CHECK(pins_put(p, &k, GW_ZONE_PRIVATE, 1 << 20, 1 << 21));
    }
    pins_free(p);
}

int main(void)
{
    test_time();
    test_many();
    return test_done();
}
