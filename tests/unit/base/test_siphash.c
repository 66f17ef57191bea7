/* The keyed hash: pieces give what the whole gives; every byte, the length and the key matter. */
#include "base/siphash.h"
#include "tests/test.h"

static uint64_t hash(const uint64_t key[2], const char *p, size_t n, size_t step)
{
    struct gw_sip s = gw_sip_start(key);

    for (size_t at = 0; at < n; at += step)
        gw_sip_add(&s, (struct gw_span){p + at, n - at < step ? n - at : step});
    return gw_sip_end(&s);
}

int main(void)
{
    const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
    char text[64];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 37);
    for (size_t n = 0; n < sizeof(text); n++) {
        uint64_t whole = hash(key, text, n, 64);

        for (size_t step = 1; step < 20; step++)
            CHECK(hash(key, text, n, step) == whole);
        CHECK(hash(key, text, n + 1, 64) != whole);
        CHECK(hash(other, text, n, 64) != whole);
        for (size_t i = 0; i < n; i++) {
            text[i] ^= 1;
            CHECK(hash(key, text, n, 64) != whole);
            text[i] ^= 1;
        }
    }
    return test_done();
}
