/* Unit tests of proxy/config/service_account.c and provider_token.c, against a real token server that checks what it gets. */
#include "base/clock.h"
#include "base/json_tree.h"
#include "proxy/config/service_account.h"
#include "proxy/provider/provider_token.h"
#include "tests/unit/proxy/provider_calls.h"
#include "tests/unit/proxy/token_server.h"

static struct token_server server;

/* ---- keys --------------------------------------------------------------------------------- */

static void test_good_key(void)
{
    struct service_account *k = NULL;
    struct gw_buf json = {0}, jwt = {0}, again = {0};
    struct gw_err err = {0};

    account_json(server.key, 1234, &json);
    CHECK(service_account_read(gw_buf_span(&json), &k, &err) == GW_OK);
    CHECK(strcmp(service_account_token_uri(k), "http://127.0.0.1:1234/token") == 0);
    CHECK(strcmp(service_account_project(k), "proj-1") == 0);
    CHECK(service_account_assert(k, 1760000000, &jwt, &err) == GW_OK);
    CHECK(jwt_is_right(&server, jwt.ptr, jwt.len));
    CHECK(strcmp(server.header, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"kid-1\"}") == 0);
    CHECK(strcmp(server.claims,
                 "{\"iss\":\"sluice@proj-1.iam.test\",\"scope\":"
                 "\"https://www.googleapis.com/auth/cloud-platform\",\"aud\":"
                 "\"http://127.0.0.1:1234/token\",\"iat\":1760000000,\"exp\":1760003600}") == 0);
    CHECK(service_account_assert(k, 1760000001, &again, &err) == GW_OK);
    CHECK(!gw_span_eq(gw_buf_span(&jwt), gw_buf_span(&again)));
    jwt.ptr[jwt.len / 4] ^= 1; /* the check can fail */
    CHECK(!jwt_is_right(&server, jwt.ptr, jwt.len));
    gw_buf_fini(&json);
    gw_buf_fini(&jwt);
    gw_buf_fini(&again);
    service_account_free(k);
}

static void test_bad_keys(void)
{
#define PEM                                                                                        \
    "\"private_key\":\"-----BEGIN PRIVATE "                                                        \
    "KEY-----\\nAAAA\\n-----END PRIVATE "                                                          \
    "KEY-----\\n\""
    static const struct {
        const char *json;
        enum gw_status st;
        const char *why;
    } cases[] = {
        {"", GW_EPARSE, "not JSON"},
        {"[]", GW_EPARSE, "not JSON"},
        {"{\"type\":", GW_EPARSE, "not JSON"},
        {"{}", GW_EPARSE, "no client_email"},
        {"{\"type\":\"authorized_user\",\"client_email\":\"x\"}", GW_EUNSUPPORTED,
         "authorized_user"},
        {"{\"type\":\"service_account\",\"client_email\":\"x\"}", GW_EPARSE, "no client_email or"},
        {"{\"client_email\":\"x\"," PEM "}", GW_EPARSE, "not an RSA key"},
        {"{\"client_email\":\"x\"," PEM ",\"token_uri\":\"http://evil.test/t\"}", GW_EPARSE,
         "token_uri must begin with https"},
        {"{\"client_email\":\"x\"," PEM ",\"token_uri\":\"https://a b\"}", GW_EPARSE, "token_uri"},
        {"{\"client_email\":1," PEM "}", GW_EPARSE, "no client_email"},
    };
    struct service_account *k = NULL;
    struct gw_buf json = {0};
    struct gw_err err = {0};
    EVP_PKEY *ec = EVP_EC_gen("P-256");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!CHECK(service_account_read(gw_span_str(cases[i].json), &k, &err) == cases[i].st &&
                   k == NULL && strstr(err.text, cases[i].why) != NULL &&
                   strstr(err.text, "AAAA") == NULL))
            fprintf(stderr, "  %s: %s\n", cases[i].json, err.text);
    account_json(ec, 1, &json); /* signs with ES256 at best */
    CHECK(service_account_read(gw_buf_span(&json), &k, &err) == GW_EPARSE && k == NULL);
    EVP_PKEY_free(ec);
    gw_buf_fini(&json);
    service_account_free(NULL);
}

/* ---- configurations ----------------------------------------------------------------------- */

#define TARGETS                                                                                    \
    "targets:\n"                                                                                   \
    "  e: { kind: engine, model: m.gguf }\n"                                                       \
    "  v: { kind: vertex, location: europe-west4, credentials: env:TEST_ACCOUNT, zone: approved "  \
    "}\n"

static void set_account(EVP_PKEY *key, int port)
{
    struct gw_buf json = {0};

    account_json(key, port, &json);
    (void)setenv("TEST_ACCOUNT", json.ptr, 1); // NOLINT(concurrency-mt-unsafe)
    gw_buf_fini(&json);
}

/* The number of the token that there is; 0: none. */
static unsigned token_now(struct provider_tokens *t, const struct proxy_config_target *v)
{
    static const char head[] = "ya29.token-";
    struct gw_buf out = {0};
    unsigned n = 0;

    if (provider_tokens_add(t, v, &out, NULL) == GW_OK) {
        gw_buf_addc(&out, '\0');
        if (strncmp(out.ptr, head, sizeof(head) - 1) == 0)
            n = (unsigned)strtoul(out.ptr + sizeof(head) - 1, NULL, 10);
    }
    gw_buf_fini(&out);
    return n;
}

/* Waits for the token of that number or a later one. */
static bool soon(struct provider_tokens *t, const struct proxy_config_target *v, unsigned number)
{
    unsigned n = 0;

    TEST_UNTIL((n = token_now(t, v)) >= number);
    return n >= number;
}

static bool asked_soon(int n)
{
    TEST_UNTIL(server.n_asked >= n);
    return server.n_asked >= n;
}

static void test_fetch_and_use(void)
{
    struct proxy_config *cfg;
    struct provider_tokens *t = NULL;
    struct provider_call c;
    struct gw_buf out = {0};
    struct gw_err err = {0};

    set_account(server.key, server.port);
    cfg = config(TARGETS);
    CHECK(strcmp(cfg->targets[1].project, "proj-1") == 0); /* the account names it */
    server.n_good = server.n_asked = 0;
    CHECK(provider_tokens_open(cfg, NULL, &t, &err) == GW_OK && t != NULL);
    CHECK(soon(t, &cfg->targets[1], 1) && server.n_good == 1 && server.n_asked == 1);
    CHECK(provider_tokens_add(t, &cfg->targets[0], &(struct gw_buf){0}, &err) == GW_ENOENT);
    c = call(&cfg->targets[1], PROVIDER_CHAT, API_GEMINI, "gemini-2.5-pro");
    c.tokens = t;
    fields_are(&c, "Authorization: Bearer ya29.token-1\r\n");
    provider_tokens_close(t);
    c.tokens = NULL;
    CHECK(provider_write_fields(&c, c.model, &out, &err) == GW_ENOENT);
    gw_buf_fini(&out);
    proxy_config_free(cfg);
}

static void test_renewal(void)
{
    struct proxy_config *cfg = config(TARGETS);
    struct provider_tokens *t = NULL;
    struct gw_err err = {0};

    server.n_good = server.n_asked = 0;
    server.life_s = 2; /* renewed after one second */
    CHECK(provider_tokens_open(cfg, NULL, &t, &err) == GW_OK);
    CHECK(soon(t, &cfg->targets[1], 1));
    CHECK(soon(t, &cfg->targets[1], 2));
    CHECK(soon(t, &cfg->targets[1], 3));
    server.mode = SERVER_REFUSE; /* the last one expires */
    TEST_UNTIL(token_now(t, &cfg->targets[1]) == 0);
    CHECK(provider_tokens_add(t, &cfg->targets[1], &(struct gw_buf){0}, &err) == GW_EAGAIN &&
          strstr(err.text, "The target v has no access token") != NULL);
    server.mode = SERVER_GRANT;
    provider_tokens_close(t);
    server.life_s = 3600;
    proxy_config_free(cfg);
}

/* After a reload what was there is there at once, without a fetch. */
static void test_taken_over(void)
{
    struct proxy_config *cfg = config(TARGETS), *again = config(TARGETS);
    struct provider_tokens *t = NULL, *next = NULL;

    server.n_good = server.n_asked = 0;
    CHECK(provider_tokens_open(cfg, NULL, &t, NULL) == GW_OK);
    provider_tokens_wait(t, 5000);
    CHECK(soon(t, &cfg->targets[1], 1));
    CHECK(provider_tokens_open(again, t, &next, NULL) == GW_OK);
    provider_tokens_close(t);
    proxy_config_free(cfg);
    CHECK(soon(next, &again->targets[1], 1));
    (void)usleep(50000);
    CHECK(server.n_asked == 1);
    provider_tokens_close(next);
    proxy_config_free(again);
}

static void test_failures(void)
{
    static const int modes[] = {SERVER_REFUSE, SERVER_NO_JSON, SERVER_ODD, SERVER_HUGE};
    struct proxy_config *cfg = config(TARGETS);
    struct gw_err err = {0};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct provider_tokens *t = NULL;

        server.n_asked = server.n_good = 0;
        server.mode = modes[i];
        CHECK(provider_tokens_open(cfg, NULL, &t, &err) == GW_OK);
        CHECK(asked_soon(1));
        CHECK(provider_tokens_add(t, &cfg->targets[1], &(struct gw_buf){0}, &err) == GW_EAGAIN);
        server.mode = SERVER_GRANT; /* it is asked again, after a second at most */
        if (i == 0)
            CHECK(soon(t, &cfg->targets[1], 2) && server.n_asked >= 2);
        provider_tokens_close(t);
    }
    proxy_config_free(cfg);
}

/* A server that never answers does not hold up the end of the gateway. */
static void test_stop_in_a_fetch(void)
{
    struct proxy_config *cfg = config(TARGETS);
    struct provider_tokens *t = NULL;
    uint64_t before;

    server.n_asked = 0;
    server.mode = SERVER_SILENT;
    CHECK(provider_tokens_open(cfg, NULL, &t, NULL) == GW_OK);
    (void)usleep(200000);
    before = gw_clock_ns();
    provider_tokens_close(t);
    CHECK(gw_clock_ns() - before < 10 * GW_NS_PER_SEC);
    server.mode =
        SERVER_GRANT; /* the server gives up its silence, and is done with that connection */
    CHECK(asked_soon(1));
    proxy_config_free(cfg);
}

/* Without credentials the machine's metadata server is asked, past any proxy. */
static void test_metadata(void)
{
    struct proxy_config *cfg =
        config("targets: { v: { kind: vertex, location: eu, project: p, zone: approved } }");
    struct provider_tokens *t = NULL;
    char host[64];

    (void)snprintf(host, sizeof(host), "127.0.0.1:%d", server.port);
    (void)setenv("GCE_METADATA_HOST", host, 1);          // NOLINT(concurrency-mt-unsafe)
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1); // NOLINT(concurrency-mt-unsafe)
    server.n_good = server.n_asked = 0;
    CHECK(provider_tokens_open(cfg, NULL, &t, NULL) == GW_OK);
    CHECK(soon(t, &cfg->targets[0], 1) && server.n_good == 1);
    provider_tokens_close(t);
    (void)unsetenv("http_proxy"); // NOLINT(concurrency-mt-unsafe)
    proxy_config_free(cfg);
}

static void test_nothing_to_do(void)
{
    struct proxy_config *cfg = config("targets: { e: { kind: engine, model: m.gguf } }");
    struct provider_tokens *t = NULL;

    CHECK(provider_tokens_open(cfg, NULL, &t, NULL) == GW_OK && t == NULL);
    provider_tokens_close(t);
    CHECK(provider_tokens_add(NULL, &cfg->targets[0], &(struct gw_buf){0}, NULL) == GW_ENOENT);
    proxy_config_free(cfg);
}

int main(void)
{
    if (!CHECK(token_server_start(&server)))
        return test_done();
    test_good_key();
    test_bad_keys();
    test_fetch_and_use();
    test_renewal();
    test_taken_over();
    test_failures();
    test_stop_in_a_fetch();
    test_metadata();
    test_nothing_to_do();
    token_server_stop(&server);
    return test_done();
}
