/* Unit tests of base/base64.c: RFC 4648 section 10, every length, and each text that only a lenient reader takes. */
#include <string.h>

#include "base/base64.h"
#include "tests/test.h"

static void test_vectors(void)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct gw_buf b = {0};
        char back[16];
        ptrdiff_t n;

        gw_base64(&b, gw_span_str(pairs[i][0]));
        CHECK(gw_span_is(gw_buf_span(&b), pairs[i][1]));
        n = gw_unbase64(gw_span_str(pairs[i][1]), back, sizeof(back));
        CHECK(n == (ptrdiff_t)strlen(pairs[i][0]) && memcmp(back, pairs[i][0], (size_t)n) == 0);
        gw_buf_fini(&b);
    }
}

static void test_round_trips(void)
{
    unsigned char bytes[300], back[300];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 151 + (i >> 3));
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        const struct gw_span in = {(const char *)bytes, n};
        struct gw_buf b = {0};

        gw_buf_adds(&b, "x");
        gw_base64(&b, in);
        CHECK(b.len == 1 + (n + 2) / 3 * 4 && b.ptr[b.len] == '\0');
        CHECK(gw_unbase64(gw_span_from(gw_buf_span(&b), 1), back, sizeof(back)) == (ptrdiff_t)n);
        CHECK(memcmp(back, bytes, n) == 0);
        CHECK(n == 0 || gw_unbase64(gw_span_from(gw_buf_span(&b), 1), back, n - 1) == -1);
        gw_buf_clear(&b);
        gw_base64url(&b, in);
        CHECK(gw_base64url_is(gw_buf_span(&b)));
        CHECK(gw_unbase64url(gw_buf_span(&b), back, sizeof(back)) == (ptrdiff_t)n);
        CHECK(memcmp(back, bytes, n) == 0);
        gw_buf_fini(&b);
    }
}

static void test_strict(void)
{
    static const char *const bad[] = {"Z",        "Zg", "Zg=",  "Zg===", "Zh==", "Zm9",  "Zm9=",
                                      "Zm8=Zm8=", "=",  "====", "Zm-_",  "Zm8 ", "Zm\n8"};
    static const char *const bad_url[] = {"Z", "Zg==", "Zh", "Zm9", "Zm+/", "Zm8 "};
    char out[16];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(gw_unbase64(gw_span_str(bad[i]), out, sizeof(out)) == -1);
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++)
        CHECK(gw_unbase64url(gw_span_str(bad_url[i]), out, sizeof(out)) == -1);
    CHECK(gw_unbase64url(GW_SPAN("-_8"), out, sizeof(out)) == 2);
}

int main(void)
{
    test_vectors();
    test_round_trips();
    test_strict();
    return test_done();
}
