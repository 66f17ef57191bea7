/* Unit tests of proxy/identity/token_cache.c, and of what identity.c remembers: tokens that OpenSSL signs here. Whether it was
 * remembered is seen by an arena in which no token can be taken apart. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/identity/identity.h"
#include "proxy/identity/token_cache.h"
#include "tests/test.h"
#include "tests/unit/proxy/token_maker.h"

enum { NOW_S = 1000000, SMALL_ARENA = 600 };

static struct gw_arena *arena, *small;
static struct gw_json *json;

/* ---- the cache alone ------------------------------------------------------------------------------- */

static void sum_of(unsigned n, unsigned char sum[GW_SHA256_BYTES])
{
    gw_sha256((struct gw_span){(char *)&n, sizeof(n)}, sum);
}

static void put(struct token_cache *c, unsigned n, const char *user, int64_t from, int64_t until)
{
    const struct token_proof proof = {n % 3, n, from, until};
    const struct gw_span groups[] = {GW_SPAN("core"), GW_SPAN("staff")};
    const struct proxy_principal who = {.via = PROXY_VIA_JWT,
                                        .user = gw_span_str(user),
                                        .groups = groups,
                                        .n_groups = 2,
                                        .expires_ms = until};
    unsigned char sum[GW_SHA256_BYTES];

    sum_of(n, sum);
    token_cache_put(c, sum, &who, &proof);
}

static bool has(struct token_cache *c, unsigned n, int64_t now, const char *user)
{
    struct token_proof proof = {0};
    struct proxy_principal who = {0};
    unsigned char sum[GW_SHA256_BYTES];

    sum_of(n, sum);
    gw_arena_reset(arena);
    if (!token_cache_get(c, sum, now, arena, &who, &proof))
        return false;
    return CHECK(gw_span_is(who.user, user) && who.n_groups == 2 &&
                 gw_span_is(who.groups[1], "staff") && proof.keys_serial == n &&
                 proof.line == n % 3);
}

static void test_times(void)
{
    struct token_cache *c = token_cache_new(8);

    CHECK(!has(c, 1, 0, ""));
    put(c, 1, "ann", 100, 200);
    CHECK(has(c, 1, 100, "ann") && has(c, 1, 199, "ann"));
    CHECK(!has(c, 2, 150, "ann"));
    CHECK(!has(c, 1, 99, "ann") && has(c, 1, 150, "ann"));   /* a clock that was set back */
    CHECK(!has(c, 1, 200, "ann") && !has(c, 1, 150, "ann")); /* over, and dropped */
    put(c, 1, "bob", 0, 300);
    put(c, 1, "eve", 0, 400);
    CHECK(has(c, 1, 350, "eve"));
    token_cache_free(c);
    token_cache_free(NULL);
}

static void test_capacity(void)
{
    enum { ROOM = 64, MANY = 5000 };
    struct token_cache *c = token_cache_new(ROOM);
    static char large[TOKEN_CACHE_MAX_BYTES];
    unsigned held = 0;

    for (unsigned i = 0; i < MANY; i++) {
        put(c, i, "ann", 0, 1000);
        CHECK(has(c, i, 1, "ann")); /* the newest is always there */
        put(c, MANY, "kept", 0, 1000);
    }
    for (unsigned i = 0; i < MANY; i++)
        held += has(c, i, 1, "ann");
    CHECK(held > ROOM / 2 && held < ROOM);
    CHECK(has(c, MANY, 1, "kept")); /* what is used stays */
    memset(large, 'x', sizeof(large) - 1);
    put(c, MANY + 1, large, 0, 1000);
    CHECK(!has(c, MANY + 1, 1, large));
    token_cache_free(c);
}

static atomic_uint n_wrong;

static void *hammer(void *ctx)
{
    struct token_cache *c = ctx;
    struct gw_arena *own = gw_arena_new(65536);

    for (unsigned i = 0; own != NULL && i < 20000; i++) {
        struct token_proof proof = {0};
        struct proxy_principal who = {0};
        unsigned char sum[GW_SHA256_BYTES];
        char name[16];

        (void)snprintf(name, sizeof(name), "user-%u", i % 40);
        gw_arena_reset(own);
        sum_of(i % 40, sum);
        if (token_cache_get(c, sum, 5, own, &who, &proof))
            atomic_fetch_add(&n_wrong, !gw_span_is(who.user, name) || proof.keys_serial != i % 40);
        else
            put(c, i % 40, name, 0, 1000);
    }
    gw_arena_free(own);
    return NULL;
}

static void test_threads(void)
{
    struct token_cache *c = token_cache_new(32);
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, c) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&n_wrong) == 0);
    token_cache_free(c);
}

/* ---- identities ------------------------------------------------------------------------------------- */

static struct token_maker makers[2];
static char jwks_path[2][64];
static const struct gw_span here[] = {{"sluice", 6}}, there[] = {{"other", 5}};

static struct proxy_config_jwt line_of(unsigned ring, const struct gw_span *audience,
                                       const char *team)
{
    return (struct proxy_config_jwt){.issuer = "https://id.test",
                                     .audience = {audience, 1},
                                     .jwks = jwks_path[ring],
                                     .algorithms = PROXY_JWT_EDDSA,
                                     .ca = "",
                                     .leeway_ms = 10000,
                                     .refresh_ms = 600000,
                                     .stale_ms = 86400000,
                                     .claim_user = "sub",
                                     .claim_owner = "",
                                     .claim_team = "",
                                     .claim_groups = "groups",
                                     .claim_models = "",
                                     .grants = {.owner = "", .team = team}};
}

static struct identity *open_lines(struct proxy_config *cfg, struct proxy_config_jwt *lines,
                                   unsigned n, const struct identity *like)
{
    struct identity *id = NULL;
    struct gw_err err = {0};

    cfg->auth.jwt = lines;
    cfg->auth.n_jwt = n;
    if (!CHECK(identity_open(cfg, like, &id, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        exit(1);
    }
    return id;
}

/* A token of maker m for `aud`, valid from nbf to exp. */
static struct gw_span token_of(unsigned m, const char *aud, int nbf, int exp)
{
    static struct gw_buf texts[8];
    static unsigned next;
    struct gw_buf *text = &texts[next++ % 8];
    char claims[256];

    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"https://id.test\",\"sub\":\"ann\",\"aud\":\"%s\",\"nbf\":%d,"
                   "\"exp\":%d,\"groups\":[\"core\"]}",
                   aud, nbf, exp);
    gw_buf_clear(text);
    CHECK(maker_sign(&makers[m], claims, text));
    return gw_buf_span(text);
}

static enum gw_status ask(const struct identity *id, struct gw_span token, int now_s,
                          const char *team)
{
    struct proxy_principal who = {0};
    const char *why = NULL;
    enum gw_status st;

    gw_arena_reset(arena);
    st = identity_of_token(id, token, (int64_t)now_s * 1000, json, arena, &who, &why);
    if (st == GW_OK)
        CHECK(gw_span_is(who.user, "ann") && gw_span_is(who.team, team) && who.n_groups == 1);
    return st;
}

/* Is the token known without being read? */
static bool known(const struct identity *id, struct gw_span token, int now_s, const char *team)
{
    struct proxy_principal who = {0};
    const char *why = NULL;

    gw_arena_reset(small);
    return identity_of_token(id, token, (int64_t)now_s * 1000, json, small, &who, &why) == GW_OK &&
           CHECK(gw_span_is(who.user, "ann") && gw_span_is(who.team, team));
}

static void test_remembers_what_was_proven(void)
{
    struct proxy_config cfg = {0}, cfg2 = {0};
    struct proxy_config_jwt line = line_of(0, here, "a"), other = line_of(0, there, "a");
    struct identity *id = open_lines(&cfg, &line, 1, NULL), *next;
    struct gw_span good = token_of(0, "sluice", NOW_S - 100, NOW_S + 100), bad;

    CHECK(!known(id, good, NOW_S, "a"));
    CHECK(ask(id, good, NOW_S, "a") == GW_OK && known(id, good, NOW_S, "a"));
    CHECK(ask(id, good, NOW_S, "a") == GW_OK);
    /* its time, leeway included */
    CHECK(known(id, good, NOW_S - 110, "a") && !known(id, good, NOW_S - 111, "a"));
    CHECK(ask(id, good, NOW_S - 111, "a") == GW_EDENIED);
    CHECK(known(id, good, NOW_S + 109, "a") && !known(id, good, NOW_S + 110, "a"));
    CHECK(ask(id, good, NOW_S + 110, "a") == GW_ETIMEDOUT);
    /* another one */
    bad = token_of(0, "elsewhere", NOW_S - 100, NOW_S + 100);
    CHECK(ask(id, bad, NOW_S, "a") == GW_EDENIED && ask(id, bad, NOW_S, "a") == GW_EDENIED);
    bad = token_of(1, "sluice", NOW_S - 100, NOW_S + 100); /* a key that is not there */
    CHECK(ask(id, bad, NOW_S, "a") == GW_EDENIED && ask(id, bad, NOW_S, "a") == GW_EDENIED);
    good = token_of(0, "sluice", NOW_S + 50, NOW_S + 100); /* refused first, good later */
    CHECK(ask(id, good, NOW_S, "a") == GW_EDENIED && !known(id, good, NOW_S, "a"));
    CHECK(ask(id, good, NOW_S + 50, "a") == GW_OK && known(id, good, NOW_S + 50, "a"));
    for (size_t i = 0; i < good.len; i += 7) { /* no other text finds it */
        char text[1024];

        memcpy(text, good.ptr, good.len);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        CHECK(!known(id, (struct gw_span){text, good.len}, NOW_S + 50, "a"));
    }
    /* A reload judges anew, by the new configuration. */
    next = open_lines(&cfg2, &other, 1, id);
    CHECK(!known(next, good, NOW_S + 50, "a") && ask(next, good, NOW_S + 50, "a") == GW_EDENIED);
    identity_close(id);
    identity_close(next);
}

/* A line that comes before the one that accepted, and could accept another time, is asked each time. */
static void test_lines_keep_their_order(void)
{
    struct proxy_config cfg = {0}, cfg2 = {0};
    struct proxy_config_jwt never[] = {line_of(0, there, "a"), line_of(0, here, "b")};
    struct proxy_config_jwt later[] = {line_of(1, here, "a"), line_of(0, here, "b")};
    struct identity *id = open_lines(&cfg, never, 2, NULL);
    struct identity *two = open_lines(&cfg2, later, 2, NULL);
    struct gw_span token = token_of(0, "sluice", NOW_S, NOW_S + 100);

    CHECK(ask(id, token, NOW_S, "b") == GW_OK && known(id, token, NOW_S, "b"));
    CHECK(ask(two, token, NOW_S, "b") == GW_OK && !known(two, token, NOW_S, "b"));
    identity_close(id);
    identity_close(two);
}

/* The issuer takes its key back: within a second or so the token is nothing. */
static void test_rotation(void)
{
    struct proxy_config cfg = {0};
    struct proxy_config_jwt line = line_of(0, here, "a");
    struct identity *id = open_lines(&cfg, &line, 1, NULL);
    struct gw_span old = token_of(0, "sluice", NOW_S, NOW_S + 100);
    struct gw_span fresh = token_of(1, "sluice", NOW_S, NOW_S + 100);

    CHECK(ask(id, old, NOW_S, "a") == GW_OK && known(id, old, NOW_S, "a"));
    CHECK(ask(id, fresh, NOW_S, "a") != GW_OK);
    CHECK(maker_write_jwks(jwks_path[0], &makers[1], 1));
    TEST_UNTIL(!known(id, old, NOW_S, "a"));
    CHECK(ask(id, old, NOW_S, "a") == GW_EDENIED && !known(id, old, NOW_S, "a"));
    CHECK(ask(id, fresh, NOW_S, "a") == GW_OK && known(id, fresh, NOW_S, "a"));
    identity_close(id);
    CHECK(maker_write_jwks(jwks_path[0], &makers[0], 1));
}

int main(void)
{
    arena = gw_arena_new((size_t)1 << 20);
    small = gw_arena_new(SMALL_ARENA);
    json = gw_json_new();
    if (arena == NULL || small == NULL || json == NULL ||
        !maker_open(&makers[0], MAKER_EDDSA, "one") || !maker_open(&makers[1], MAKER_EDDSA, "two"))
        return 2;
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(jwks_path[i], sizeof(jwks_path[i]), "/tmp/sluice-jwks-%d-%u", (int)getpid(),
                       i);
        if (!maker_write_jwks(jwks_path[i], &makers[i], 1))
            return 2;
    }
    test_times();
    test_capacity();
    test_threads();
    test_remembers_what_was_proven();
    test_lines_keep_their_order();
    test_rotation();
    for (unsigned i = 0; i < 2; i++) {
        (void)unlink(jwks_path[i]);
        maker_close(&makers[i]);
    }
    gw_json_free(json);
    gw_arena_free(arena);
    gw_arena_free(small);
    return test_done();
}
