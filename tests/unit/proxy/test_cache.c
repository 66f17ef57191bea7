/* Unit tests of proxy/cache/cache.c and router/cache_key.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/cache/cache.h"
#include "proxy/cache/cache_redis.h"
#include "router/router.h"
#include "tests/test.h"

/* Keys whose first byte is 0, so that all of them are in one shard, in the order of n. */
static const unsigned char *key(unsigned n)
{
    static unsigned char k[CACHE_KEY_BYTES];

    memset(k, 0, sizeof(k));
    k[1] = (unsigned char)(n >> 8);
    k[2] = (unsigned char)n;
    k[31] = (unsigned char)(n * 7);
    return k;
}

static enum gw_status put(struct cache *c, unsigned n, const char *body, int64_t now)
{
    const struct cache_answer a = {.type = GW_SPAN("application/json"),
                                   .body = gw_span_str(body),
                                   .tokens = {n, 2, 3, 4, 5},
                                   .stored_ms = now};

    return cache_put(c, key(n), &a);
}

static bool has(struct cache *c, unsigned n, const char *body, int64_t now)
{
    struct cache_entry *e = cache_get(c, key(n), now, 1000);
    bool ok = e != NULL && gw_span_is(cache_answer_of(e)->body, body) &&
              gw_span_is(cache_answer_of(e)->type, "application/json") &&
              cache_answer_of(e)->tokens[0] == n;

    cache_drop(e);
    return ok;
}

static void test_kept_until_too_old(void)
{
    struct cache *c = cache_new(1 << 20);
    struct cache_stats st;

    CHECK(put(c, 1, "one", 5000) == GW_OK && put(c, 2, "", 5000) == GW_OK);
    CHECK(has(c, 1, "one", 6000) && has(c, 2, "", 6000));
    CHECK(cache_get(c, key(3), 5000, 1000) == NULL);
    CHECK(put(c, 1, "another one", 5500) == GW_OK);
    CHECK(has(c, 1, "another one", 6500));
    CHECK(has(c, 1, "another one", 4000)); /* the clock was set back */
    CHECK(cache_get(c, key(1), 6501, 1000) == NULL);
    CHECK(cache_get(c, key(1), 6000, 1000) == NULL); /* gone for good */
    cache_stats(c, &st);
    CHECK(st.entries == 1 && st.bytes > 16 && st.evicted == 0);
    cache_free(c);
}

static void test_least_recently_used_goes(void)
{
    char body[1000];
    struct cache *c;
    struct cache_stats st;
    uint64_t one;

    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    c = cache_new(1 << 20);
    CHECK(put(c, 0, body, 0) == GW_OK);
    cache_stats(c, &st);
    one = st.bytes;
    cache_limit(c, 3 * one * CACHE_SHARDS); /* room for three in the shard */
    CHECK(put(c, 1, body, 0) == GW_OK && put(c, 2, body, 0) == GW_OK);
    CHECK(has(c, 0, body, 0)); /* so that 1 is the oldest now */
    CHECK(put(c, 3, body, 0) == GW_OK);
    CHECK(has(c, 0, body, 0) && !has(c, 1, body, 0) && has(c, 2, body, 0) && has(c, 3, body, 0));
    cache_stats(c, &st);
    CHECK(st.entries == 3 && st.bytes == 3 * one && st.evicted == 1);
    cache_limit(c, one * CACHE_SHARDS);
    CHECK(!has(c, 0, body, 0) && !has(c, 2, body, 0) && has(c, 3, body, 0));
    CHECK(put(c, 3, "small", 0) == GW_OK && has(c, 3, "small", 0));
    CHECK(put(c, 4, "also small", 0) == GW_OK && has(c, 3, "small", 0));
    cache_limit(c, 0);
    CHECK(!has(c, 3, "small", 0));
    CHECK(put(c, 3, "small", 0) == GW_ELIMIT && !has(c, 3, "small", 0));
    cache_free(c);
}

static void test_too_large_stays_out(void)
{
    struct cache *c = cache_new((uint64_t)CACHE_SHARDS * 500);
    char body[600];

    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    CHECK(put(c, 1, "small", 0) == GW_OK);
    CHECK(put(c, 2, body, 0) == GW_ELIMIT);
    CHECK(has(c, 1, "small", 0) && !has(c, 2, body, 0));
    cache_free(c);
    cache_free(NULL);
}

static void test_a_held_answer_outlives_its_place(void)
{
    struct cache *c = cache_new(1 << 20);
    struct cache_entry *e;

    CHECK(put(c, 1, "held", 0) == GW_OK);
    e = cache_get(c, key(1), 0, 1000);
    CHECK(put(c, 1, "newer", 0) == GW_OK);
    cache_limit(c, 0);
    CHECK(e != NULL && gw_span_is(cache_answer_of(e)->body, "held"));
    cache_drop(e);
    cache_drop(NULL);
    cache_free(c);
}

/* ---- threads ------------------------------------------------------------------------------- */

static struct cache *shared;
static atomic_int wrong;

static void *work(void *arg)
{
    unsigned state = (unsigned)(size_t)arg;
    unsigned char k[CACHE_KEY_BYTES] = {0};

    for (int i = 0; i < 20000; i++) {
        struct cache_entry *e;
        char body[300];

        state = state * 1664525 + 1013904223;
        k[0] = (unsigned char)(state >> 24 & 15);
        k[2] = (unsigned char)(state >> 16 & 15);
        memset(body, 'a' + k[2], sizeof(body));
        if ((state >> 8 & 3) == 0) {
            const struct cache_answer a = {.type = GW_SPAN("t"), .body = {body, 100 + k[0]}};

            (void)cache_put(shared, k, &a);
            continue;
        }
        e = cache_get(shared, k, 0, 1000);
        if (e != NULL && (cache_answer_of(e)->body.len != 100u + k[0] ||
                          memcmp(cache_answer_of(e)->body.ptr, body, 100u + k[0]) != 0))
            atomic_fetch_add(&wrong, 1);
        cache_drop(e);
        if ((state >> 4 & 1023) == 0)
            cache_limit(shared, (state & 1) != 0 ? 20000 : 60000);
    }
    return NULL;
}

static void test_many_threads(void)
{
    struct cache_stats st;
    pthread_t t[4];

    shared = cache_new(30000);
    for (size_t i = 0; i < 4; i++)
        (void)pthread_create(&t[i], NULL, work,
                             (void *)(i * 77 + 1)); // NOLINT(performance-no-int-to-ptr)
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    cache_stats(shared, &st);
    CHECK(atomic_load(&wrong) == 0);
    CHECK(st.bytes <= 60000 && st.entries > 0 && st.evicted > 0);
    cache_free(shared);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void test_values_are_read_as_written(void)
{
    const struct cache_answer a = {.type = GW_SPAN("text/event-stream; charset=utf-8"),
                                   .body = GW_SPAN("data: {\"a\":1}\n\n"),
                                   .tokens = {1, UINT64_MAX, 0, 300, 70000},
                                   .stored_ms = 1795300308451};
    struct cache_answer back = {.stored_ms = 7};
    struct gw_buf out = {0};
    bool refused = true;

    cache_value_write(&out, &a);
    CHECK(cache_value_read(gw_buf_span(&out), &back) && gw_span_eq(back.type, a.type) &&
          gw_span_eq(back.body, a.body) && back.stored_ms == a.stored_ms &&
          memcmp(back.tokens, a.tokens, sizeof(a.tokens)) == 0);
    for (size_t n = 0; n + a.body.len <= out.len; n++) /* cut anywhere in front of the body */
        refused = refused && !cache_value_read((struct gw_span){out.ptr, n}, &back);
    CHECK(refused);
    for (size_t i = 0; i < out.len; i++) { /* one byte wrong: no crash; nothing outside is read */
        out.ptr[i] = (char)~out.ptr[i];
        if (cache_value_read(gw_buf_span(&out), &back))
            refused = refused && back.type.len + back.body.len < out.len;
        out.ptr[i] = (char)~out.ptr[i];
    }
    CHECK(refused);
    out.ptr[4 + 8 * 7] = '\n'; /* no line of a head can be made */
    CHECK(!cache_value_read(gw_buf_span(&out), &back));
    gw_buf_fini(&out);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static struct gw_json *json;

static bool same_key(const char *a1, const char *a2, const char *b1, const char *b2,
                     const char *body_a, const char *body_b)
{
    const struct gw_span a[] = {gw_span_str(a1), gw_span_str(a2)};
    const struct gw_span b[] = {gw_span_str(b1), gw_span_str(b2)};
    unsigned char ka[32], kb[32];

    CHECK(router_cache_key(a, 2, json, gw_span_str(body_a), ka) == GW_OK);
    CHECK(router_cache_key(b, 2, json, gw_span_str(body_b), kb) == GW_OK);
    return memcmp(ka, kb, sizeof(ka)) == 0;
}

static void test_keys(void)
{
    unsigned char k[32] = {7}, before[32] = {7};

    CHECK(same_key("a", "b", "a", "b", "{\"x\":[1,\"y\"]}", " {\n\"x\" : [ 1 ,\t\"y\" ] } "));
    CHECK(!same_key("a", "b", "a", "c", "{}", "{}"));
    CHECK(!same_key("ab", "", "a", "b", "{}", "{}")); /* the borders of parts count */
    CHECK(!same_key("a", "b", "a", "b", "{\"x\":1}", "{\"x\":1.0}"));
    CHECK(!same_key("a", "b", "a", "b", "{\"x\":1}", "{\"x\":\"1\"}"));
    CHECK(!same_key("a", "b", "a", "b", "{\"x\":[],\"y\":1}", "{\"x\":[\"y\",1]}"));
    CHECK(!same_key("a", "b", "a", "b", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"));
    CHECK(!same_key("a", "b", "a", "b", "[\"a b\"]", "[\"a  b\"]")); /* inside strings it counts */
    CHECK(!same_key("a", "b", "a", "b", "[true]", "[false]"));
    CHECK(!same_key("a", "b", "a", "b", "[[],[]]", "[[[]]]"));
    CHECK(router_cache_key(NULL, 0, json, GW_SPAN("{"), k) == GW_EPARSE);
    CHECK(router_cache_key(NULL, 0, json, GW_SPAN(""), k) == GW_EPARSE);
    CHECK(memcmp(k, before, sizeof(k)) == 0);
}

int main(void)
{
    json = gw_json_new();
    test_kept_until_too_old();
    test_least_recently_used_goes();
    test_too_large_stays_out();
    test_a_held_answer_outlives_its_place();
    test_many_threads();
    test_values_are_read_as_written();
    test_keys();
    gw_json_free(json);
    return test_done();
}
