/* Unit tests of base/: arena, buf, types, clock, digest, queue. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/find.h"
#include "base/queue.h"
#include "base/types.h"
#include "tests/test.h"

/* A list keeps what is in it, its new part is zero, and what it leaves behind counts no more once it is large. */
static void test_arena_list_grows(void)
{
    struct gw_arena *a = gw_arena_new(1 << 20);
    unsigned char *list = NULL;
    size_t n = 0;

    for (size_t more = 16; more <= (size_t)1 << 18; more *= 2) {
        list = gw_arena_grow(a, list, n, more);
        if (!CHECK(list != NULL))
            break;
        for (size_t i = 0; i < n; i++)
            if (list[i] != (unsigned char)(i * 7 + 1))
                CHECK(false);
        for (size_t i = n; i < more; i++) {
            if (list[i] != 0)
                CHECK(false);
            list[i] = (unsigned char)(i * 7 + 1);
        }
        n = more;
        CHECK(gw_arena_alloc(a, 100) != NULL); /* others in between */
    }
    CHECK(gw_arena_used(a) < n + 65536);
    CHECK(gw_arena_grow(a, list, n, (size_t)1 << 21) == NULL && gw_arena_failed(a));
    CHECK(list[n - 1] == (unsigned char)((n - 1) * 7 + 1));
    gw_arena_reset(a);
    CHECK(gw_arena_used(a) == 0);
    gw_arena_free(a);
}

static void test_arena_limit_holds(void)
{
    struct gw_arena *a = gw_arena_new(1 << 20);
    char *p = gw_arena_alloc(a, 100);

    CHECK(p != NULL && p[0] == 0 && p[99] == 0);
    CHECK(!gw_arena_failed(a));
    CHECK(gw_arena_alloc(a, 1 << 20) == NULL);
    CHECK(gw_arena_failed(a));
    CHECK(gw_arena_array(a, SIZE_MAX / 2, 4) == NULL);
    CHECK(gw_arena_alloc(a, SIZE_MAX) == NULL);
    for (int i = 0; i < 50; i++)
        CHECK(gw_arena_alloc(a, 10000) != NULL);
    CHECK(gw_arena_failed(a));
    gw_arena_reset(a);
    CHECK(gw_arena_used(a) == 0 && !gw_arena_failed(a));
    CHECK(gw_arena_alloc(a, 900000) != NULL);
    gw_arena_free(a);
    gw_arena_free(NULL);
}

static void test_json_escaping(void)
{
    struct gw_buf b = {0};

    gw_buf_add_json_str(&b, GW_SPAN("a\"\\\n\x01\xC3\xA9\xFF z"));
    CHECK(gw_span_is(gw_buf_span(&b), "\"a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBD z\""));
    gw_buf_clear(&b);
    gw_buf_add_json(&b, (struct gw_span){"x\0y", 3});
    CHECK(gw_span_is(gw_buf_span(&b), "x\\u0000y"));
    gw_buf_fini(&b);
}

/* What must be escaped is found wherever it stands, whatever the length. */
static void test_json_escaping_everywhere(void)
{
    static const unsigned char bytes[] = {'"', '\\', 0, 1, 0x1F, 0x20, 0x7F, 0x80, 0xFF};
    unsigned n_wrong = 0;

    for (size_t len = 1; len <= 26; len++)
        for (size_t at = 0; at < len; at++)
            for (size_t k = 0; k < sizeof(bytes); k++) {
                char text[26];
                struct gw_buf b = {0};
                bool copied = bytes[k] == 0x20 || bytes[k] == 0x7F;
                size_t extra = copied                                ? 0
                               : bytes[k] == '"' || bytes[k] == '\\' ? 1
                               : bytes[k] >= 0x80                    ? 2
                                                                     : 5;

                memset(text, '~', sizeof(text));
                text[at] = (char)bytes[k];
                gw_buf_add_json(&b, (struct gw_span){text, len});
                n_wrong += b.len != len + extra || memcmp(b.ptr, text, at) != 0 ||
                           memcmp(b.ptr + at + extra + 1, text + at + 1, len - at - 1) != 0 ||
                           (b.ptr[at] == text[at]) != (copied || bytes[k] == '\\');
                gw_buf_fini(&b);
            }
    CHECK(n_wrong == 0);
}

/* Against the plainest search there is, over texts of few letters, so that there are many near misses. */
static void test_find(void)
{
    static const char letters[] = "\"ausge_";
    unsigned n_wrong = 0, seed = 1;

    for (unsigned round = 0; round < 20000; round++) {
        char text[64];
        struct gw_span t = {text, round % sizeof(text)}, what = {NULL, round / 7 % 6};
        const char *want = NULL;

        for (size_t i = 0; i < t.len; i++) {
            seed = seed * 1103515245 + 12345;
            text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        what.ptr = &"usage\"a_es"[round % 5];
        for (size_t i = 0; want == NULL && what.len != 0 && i + what.len <= t.len; i++)
            if (memcmp(text + i, what.ptr, what.len) == 0)
                want = text + i;
        n_wrong += gw_find(t, what) != want;
    }
    CHECK(n_wrong == 0);
    CHECK(!gw_has((struct gw_span){NULL, 0}, GW_SPAN("x")) && !gw_has(GW_SPAN("x"), GW_SPAN("")));
    CHECK(gw_has(GW_SPAN("{\"usage\":{}}"), GW_SPAN("sage\"")));
}

static void test_buf_digits(void)
{
    uint64_t n = 1;
    unsigned n_wrong = 0;

    for (unsigned i = 0; i < 20; i++, n *= 10)
        for (int d = -1; d <= 1; d++) {
            struct gw_buf b = {0};
            char want[24];

            (void)snprintf(want, sizeof(want), "%llu", (unsigned long long)(n + (uint64_t)d));
            gw_buf_addu(&b, n + (uint64_t)d);
            n_wrong += strcmp(want, b.ptr) != 0;
            gw_buf_fini(&b);
        }
    CHECK(n_wrong == 0);
}

static void test_buf_numbers_and_drop(void)
{
    struct gw_buf b = {0};

    gw_buf_addi(&b, INT64_MIN);
    gw_buf_addc(&b, ' ');
    gw_buf_addu(&b, UINT64_MAX);
    gw_buf_printf(&b, " %d%%", 5);
    CHECK(gw_span_is(gw_buf_span(&b), "-9223372036854775808 18446744073709551615 5%"));
    gw_buf_drop(&b, 21);
    CHECK(gw_span_is(gw_buf_span(&b), "18446744073709551615 5%"));
    for (int i = 0; i < 1000; i++)
        gw_buf_adds(&b, "0123456789");
    CHECK(gw_buf_ok(&b) && b.len == 10023 && b.ptr[b.len] == '\0');
    gw_buf_fini(&b);
}

static void test_names_round_trip(void)
{
    for (int i = 0; i < GW_ACTION_COUNT; i++) {
        enum gw_action a = GW_ACTION_ALLOW;

        CHECK(gw_action_parse(gw_span_str(gw_action_name((enum gw_action)i)), &a) && (int)a == i);
    }
    enum gw_zone z;
    CHECK(gw_zone_parse(GW_SPAN("private"), &z) && z == GW_ZONE_PRIVATE);
    CHECK(!gw_zone_parse(GW_SPAN("Private"), &z));
}

static void test_clock_rfc3339(void)
{
    char out[GW_RFC3339_BYTES];

    gw_clock_rfc3339(1795272327123, out);
    CHECK(strcmp(out, "2026-11-21T14:45:27.123Z") == 0);
    gw_clock_rfc3339(-1, out);
    CHECK(strcmp(out, "1969-12-31T23:59:59.999Z") == 0);
    gw_clock_rfc3339(INT64_MIN, out);
    CHECK(strcmp(out, "1970-01-01T00:00:00.000Z") == 0);
    gw_clock_rfc3339(INT64_MAX, out);
    CHECK(strcmp(out, "1970-01-01T00:00:00.000Z") == 0);
}

/* Every third day of the years 0 to 9999, as the C library has it. */
static void test_dates_are_the_librarys(void)
{
    char out[GW_RFC3339_BYTES], theirs[64];
    unsigned wrong = 0;

    for (int64_t day = -719528; day < 2932897; day += 3) {
        time_t t = (time_t)(day * 86400 + (day + 719528) % 86400);
        struct tm tm;

        wrong += gmtime_r(&t, &tm) == NULL;
        (void)snprintf(theirs, sizeof(theirs), "%04d-%02d-%02dT%02d:%02d:%02d.007Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        gw_clock_rfc3339((int64_t)t * 1000 + 7, out);
        wrong += strcmp(out, theirs) != 0;
    }
    CHECK(wrong == 0);
}

static void test_digests_match_published_vectors(void)
{
    unsigned char d[GW_SHA256_BYTES], key[131];
    char hex[GW_SHA256_HEX_BYTES];

    gw_sha256(GW_SPAN("abc"), d); /* FIPS 180-4 */
    gw_hex(d, sizeof(d), hex);
    CHECK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
    gw_hmac_sha256(GW_SPAN("Jefe"), GW_SPAN("what do ya want for nothing?"),
                   d); /* RFC 4231 case 2 */
    gw_hex(d, sizeof(d), hex);
    CHECK(strcmp(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") == 0);
    memset(key, 0xAA, sizeof(key)); /* case 6: a key longer than a block */
    gw_hmac_sha256((struct gw_span){(const char *)key, sizeof(key)},
                   GW_SPAN("Test Using Larger Than Block-Size Key - Hash Key First"), d);
    gw_hex(d, sizeof(d), hex);
    CHECK(strcmp(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54") == 0);
    CHECK(gw_crc32c(0, GW_SPAN("123456789")) == 0xE3069283u); /* RFC 3720 B.4 check value */
    CHECK(gw_crc32c(gw_crc32c(0, GW_SPAN("1234")), GW_SPAN("56789")) == 0xE3069283u);
    struct gw_hash *h = gw_hash_new();
    gw_hash_add(h, GW_SPAN("a"));
    gw_hash_add(h, GW_SPAN("bc"));
    gw_hash_final(h, d);
    gw_hex(d, sizeof(d), hex);
    CHECK(strncmp(hex, "ba7816bf", 8) == 0);
}

static void test_seeds_differ(void)
{
    unsigned char all[100][16], big[2000] = {0};
    unsigned set = 0;

    for (int i = 0; i < 100; i++) /* three pools */
        gw_random_seed(all[i], sizeof(all[i]));
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < i; j++)
            CHECK(memcmp(all[i], all[j], sizeof(all[i])) != 0);
    gw_random_seed(big, sizeof(big)); /* more than a pool */
    for (size_t i = 0; i < sizeof(big); i++)
        set += big[i] != 0;
    CHECK(set > 1900);
}

static void test_ulids_ascend(void)
{
    char last[GW_ULID_BYTES], now[GW_ULID_BYTES];

    gw_ulid(last);
    for (int i = 0; i < 5000; i++) {
        gw_ulid(now);
        CHECK(strlen(now) == 26 && strcmp(last, now) < 0);
        memcpy(last, now, sizeof(last));
    }
}

static void *push_all(void *arg)
{
    struct gw_queue *q = arg;

    for (int i = 0; i < 20000; i++)
        while (gw_queue_push(q, &i) == GW_EAGAIN)
            continue;
    return NULL;
}

static void test_queue_keeps_order_across_threads(void)
{
    struct gw_queue *q = gw_queue_new(16, sizeof(int));
    pthread_t t;
    int v, expect = 0;

    CHECK(gw_queue_pop(q, &v) == GW_EAGAIN);
    CHECK(gw_queue_wait(q, &v, 1) == GW_ETIMEDOUT);
    CHECK(pthread_create(&t, NULL, push_all, q) == 0);
    while (expect < 20000 && gw_queue_wait(q, &v, TEST_PATIENCE_S * 1000) == GW_OK && v == expect)
        expect++;
    CHECK(expect == 20000);
    (void)pthread_join(t, NULL);
    gw_queue_close(q);
    CHECK(gw_queue_push(q, &v) == GW_ECANCELED);
    CHECK(gw_queue_wait(q, &v, -1) == GW_ECANCELED);
    gw_queue_free(q);
    gw_queue_free(NULL);
}

int main(void)
{
    test_arena_limit_holds();
    test_arena_list_grows();
    test_json_escaping();
    test_json_escaping_everywhere();
    test_buf_digits();
    test_find();
    test_buf_numbers_and_drop();
    test_names_round_trip();
    test_clock_rfc3339();
    test_dates_are_the_librarys();
    test_digests_match_published_vectors();
    test_seeds_differ();
    test_ulids_ascend();
    test_queue_keeps_order_across_threads();
    return test_done();
}
