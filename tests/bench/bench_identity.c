/* tests/bench/bench_identity.c - what it costs to know whose signed token a request carries: the first time, and again.
 *
 * usage: bench_identity
 *
 * For each kind of signature: CPU time of this thread for a token that was not seen before (taken apart, verified, its claims
 * read) and for one that was. Tokens are like an identity provider's: some 20 claims. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/identity/identity.h"
#include "tests/unit/proxy/token_maker.h"

enum { TOKENS = 1000, TURNS = 100 };

static const char *const issuer = "https://login.example.org/realms/main";

static double cpu_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void make_token(const struct token_maker *m, unsigned i, struct gw_buf *out)
{
    struct gw_buf claims = {0};
    int64_t now = gw_clock_wall_ms() / 1000;

    gw_buf_printf(&claims,
                  "{\"iss\":\"%s\",\"sub\":\"user-%u\",\"aud\":[\"sluice\",\"account\"],"
                  "\"exp\":%lld,\"iat\":%lld,\"typ\":\"Bearer\",\"azp\":\"agents\"",
                  issuer, i, (long long)now + 3600, (long long)now);
    for (unsigned k = 0; k < 14; k++)
        gw_buf_printf(&claims, ",\"claim_%u\":\"some value of a claim\"", k);
    gw_buf_adds(&claims, ",\"realm_access\":{\"groups\":[\"core\",\"staff\",\"agents\"]}}");
    if (!maker_sign(m, claims.ptr, out)) {
        (void)fprintf(stderr, "bench_identity: cannot sign\n");
        exit(1);
    }
    gw_buf_fini(&claims);
}

/* CPU microseconds for each of the tokens, asked for `turns` times. */
static double measure(const struct identity *id, struct gw_json *json, struct gw_arena *arena,
                      const struct gw_buf *tokens, unsigned turns)
{
    double begin = cpu_us();

    for (unsigned t = 0; t < turns; t++) {
        for (unsigned i = 0; i < TOKENS; i++) {
            struct proxy_principal who;
            const char *why = "";

            gw_arena_reset(arena);
            if (identity_of_token(id, gw_buf_span(&tokens[i]), gw_clock_wall_ms(), json, arena,
                                  &who, &why) != GW_OK) {
                (void)fprintf(stderr, "bench_identity: %s\n", why);
                exit(1);
            }
        }
    }
    return (cpu_us() - begin) / TOKENS / turns;
}

static void one_kind(enum maker_kind kind)
{
    static const struct gw_span audience[] = {{"sluice", 6}};
    static struct gw_buf tokens[TOKENS];
    char path[64];
    struct proxy_config_jwt line = {.issuer = issuer,
                                    .audience = {audience, 1},
                                    .jwks = path,
                                    .algorithms =
                                        PROXY_JWT_RS256 | PROXY_JWT_ES256 | PROXY_JWT_EDDSA,
                                    .ca = "",
                                    .refresh_ms = 600000,
                                    .stale_ms = 600000,
                                    .claim_user = "sub",
                                    .claim_owner = "",
                                    .claim_team = "",
                                    .claim_groups = "realm_access.groups",
                                    .claim_models = "",
                                    .grants = {.owner = "", .team = ""}};
    struct proxy_config cfg = {.auth = {.jwt = &line, .n_jwt = 1}};
    struct gw_arena *arena = gw_arena_new((size_t)1 << 20);
    struct gw_json *json = gw_json_new();
    struct identity *id = NULL;
    struct token_maker m;
    struct gw_err err = {0};
    double first;

    (void)snprintf(path, sizeof(path), "/tmp/sluice-bench-jwks-%d", (int)getpid());
    if (arena == NULL || json == NULL || !maker_open(&m, kind, "bench") ||
        !maker_write_jwks(path, &m, 1) || identity_open(&cfg, NULL, &id, &err) != GW_OK) {
        (void)fprintf(stderr, "bench_identity: %s\n", err.text);
        exit(1);
    }
    (void)unlink(path);
    for (unsigned i = 0; i < TOKENS; i++) {
        gw_buf_clear(&tokens[i]);
        make_token(&m, i, &tokens[i]);
    }
    first = measure(id, json, arena, tokens, 1);
    (void)printf("%s, token of %zu bytes: %.1f us the first time, %.2f us again\n",
                 maker_names[kind], tokens[0].len, first, measure(id, json, arena, tokens, TURNS));
    identity_close(id);
    maker_close(&m);
    gw_json_free(json);
    gw_arena_free(arena);
}

int main(void)
{
    for (int kind = 0; kind < N_MAKERS; kind++)
        one_kind((enum maker_kind)kind);
    return 0;
}
