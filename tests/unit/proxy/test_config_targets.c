/* Unit tests of proxy/config/config_targets.c, and of the examples in docs/targets.md. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/config/config.h"
#include "tests/test.h"

static char reports[8000];

static void collect(void *ctx, bool warning, const char *message)
{
    size_t used = strlen(reports);

    (void)ctx;
    (void)snprintf(reports + used, sizeof(reports) - used, "%s%s\n", warning ? "warning: " : "",
                   message);
}

/* NULL when the text was refused. */
static struct proxy_config *parse(struct gw_span text, unsigned flags)
{
    struct proxy_config *cfg = NULL;

    reports[0] = '\0';
    (void)proxy_config_parse(text, "t.yaml", flags, &cfg, collect, NULL, NULL);
    return cfg;
}

static struct proxy_config *load(const char *text)
{
    struct proxy_config *cfg = parse(gw_span_str(text), 0);

    if (!CHECK(cfg != NULL)) {
        fprintf(stderr, "  %s\n%s", text, reports);
        exit(1);
    }
    return cfg;
}

/* One target with these keys is refused, with this among the reports. */
static void refused(const char *keys, const char *message)
{
    char text[500];
    struct proxy_config *cfg;

    (void)snprintf(text, sizeof(text), "targets: { a: { %s } }", keys);
    cfg = parse(gw_span_str(text), 0);
    if (!CHECK(cfg == NULL && strstr(reports, message) != NULL))
        fprintf(stderr, "  %s\n  want: %s\n  got: %s", text, message, reports);
    proxy_config_free(cfg);
}

static void test_what_follows_from_the_kind(void)
{
    struct proxy_config *cfg = load(
        "targets:\n"
        "  o: { kind: openai, base_url: https://o.test/v1, zone: approved }\n"
        "  p: { kind: openai, base_url: https://p.test/v1, zone: private, apis: [chat, other] }\n"
        "  a: { kind: anthropic, key: env:T_KEY, zone: approved, default_model: claude-x }\n"
        "  g: { kind: gemini, key: env:T_KEY, zone: approved, timeouts: { idle: 5m } }\n"
        "  z: { kind: azure, base_url: https://z.test, key: env:T_KEY, zone: approved,\n"
        "       deployments: { gpt-4o: d1, other: d2 }, apis: chat }\n"
        "  b: { kind: bedrock, region: eu-central-1, access_key: env:T_KEY, secret_key: "
        "env:T_KEY,\n"
        "       session_token: env:T_KEY, zone: approved }\n");
    const struct proxy_config_target *t = cfg->targets;

    CHECK(cfg->n_targets == 6 && reports[0] == '\0');
    CHECK(t[0].kind == PROXY_TARGET_OPENAI && t[0].apis == PROXY_API_ALL);
    CHECK(t[1].apis == (PROXY_API_CHAT | PROXY_API_OTHER) && t[1].api_version[0] == '\0');
    CHECK(t[2].kind == PROXY_TARGET_ANTHROPIC && strcmp(t[2].default_model, "claude-x") == 0);
    CHECK(strcmp(t[2].base_url.host, "api.anthropic.com") == 0 && t[2].base_url.port == 443);
    CHECK(t[2].base_url.tls && t[2].base_url.path[0] == '\0' && t[2].base_url.set);
    CHECK(t[3].kind == PROXY_TARGET_GEMINI && t[3].idle_ms == 300000 && t[3].connect_ms == 5000);
    CHECK(strcmp(t[3].base_url.host, "generativelanguage.googleapis.com") == 0);
    CHECK(t[4].kind == PROXY_TARGET_AZURE && strcmp(t[4].api_version, "2024-10-21") == 0);
    CHECK(t[4].deployments.n == 2 && gw_span_is(t[4].deployments.items[0].to, "d1"));
    CHECK(t[4].apis == PROXY_API_CHAT);
    CHECK(t[5].kind == PROXY_TARGET_BEDROCK && gw_span_is(t[5].session_token.value, "not-a-key"));
    CHECK(strcmp(t[5].base_url.host, "bedrock-runtime.eu-central-1.amazonaws.com") == 0);
    proxy_config_free(cfg);
}

static void test_refusals(void)
{
    static const struct {
        const char *keys, *message;
    } cases[] = {
        {"kind: cohere, zone: approved",
         "t.yaml:1: targets.a.kind: must be engine, openai, anthropic, gemini, azure, vertex or "
         "bedrock"},
        {"kind: anthropic", "targets.a: needs `zone`"},
        {"kind: gemini, zone: process", "a server is not in this process"},
        {"kind: anthropic, zone: approved, model: m.gguf", "`model` is for kind engine"},
        {"kind: anthropic, zone: approved, base_url: https://x/v1", "must end before /v1"},
        {"kind: gemini, zone: approved, base_url: https://x/v1beta", "must end before /v1beta"},
        {"kind: azure, zone: approved, base_url: https://x/openai/", "must end before /openai"},
        {"kind: azure, zone: approved", "kind azure needs `base_url`"},
        {"kind: azure, zone: approved, base_url: https://x, api_version: '2024/1'",
         "`api_version` must be v1 or a date"},
        {"kind: azure, zone: approved, base_url: https://x, deployments: { a: '' }",
         "has one without a name"},
        {"kind: azure, zone: approved, base_url: https://x, deployments: [a]",
         "targets.a.deployments: must be a mapping"},
        {"kind: openai, zone: approved, base_url: https://x/v1, apis: []", "apis: names none"},
        {"kind: openai, zone: approved, base_url: https://x/v1, apis: [chat, chats]",
         "apis[1]: must be chat, completions, responses, embeddings or other"},
        {"kind: openai, zone: approved, base_url: https://x/v1, apis: { chat: true }",
         "must be a value or a list"},
        {"kind: openai, zone: approved, base_url: https://x/v1, region: us-east-1",
         "`region` does not go with kind openai"},
        {"kind: anthropic, zone: approved, apis: chat", "`apis` does not go with kind anthropic"},
        {"kind: gemini, zone: approved, api_version: v1", "`api_version` does not go with kind"},
        {"kind: engine, model: m, credentials: env:T_KEY", "`credentials` does not go with kind"},
        {"kind: engine, model: m, key: env:T_KEY", "`key` does not go with kind engine"},
        {"kind: engine, model: m, draft: d, medusa: h", "`draft` and `medusa` are two ways"},
        {"kind: anthropic, zone: approved, medusa: h", "`medusa` does not go with kind anthropic"},
        {"kind: bedrock, zone: approved, access_key: env:T_KEY, secret_key: env:T_KEY",
         "kind bedrock needs `region`"},
        {"kind: bedrock, zone: approved, region: 'x/../y', key: env:T_KEY",
         "kind bedrock needs `region`"},
        {"kind: bedrock, zone: approved, region: us-east-1", "needs `access_key` and `secret_key`"},
        {"kind: bedrock, zone: approved, region: us-east-1, access_key: env:T_KEY",
         "`access_key` and `secret_key` belong together"},
        {"kind: bedrock, zone: approved, region: us-east-1, key: env:T_KEY, access_key: env:T_KEY, "
         "secret_key: env:T_KEY",
         "exclude each other"},
        {"kind: bedrock, zone: approved, region: us-east-1, key: env:T_KEY, session_token: "
         "env:T_KEY",
         "`session_token` belongs to"},
        {"kind: bedrock, zone: approved, region: us-east-1, key: env:T_NOT_SET",
         "the environment has no T_NOT_SET"},
        {"kind: bedrock, zone: approved, region: us-east-1, secret_key: abc", "must be file:PATH"},
        {"kind: vertex, zone: approved, project: p, credentials: env:T_KEY",
         "kind vertex needs `location`"},
        {"kind: vertex, zone: approved, location: eu", "kind vertex needs `project`"},
        {"kind: vertex, zone: approved, location: eu, project: p, credentials: env:T_KEY",
         "`credentials`: not a service account's JSON key: it is not JSON"},
        {"kind: vertex, zone: approved, location: eu, credentials: env:T_EMPTY_JSON",
         "it has no client_email"},
        {"kind: vertex, zone: approved, location: eu, credentials: env:T_EMPTY_JSON",
         "kind vertex needs `project`"},
        {"kind: vertex, zone: approved, location: eu, project: 'a b', credentials: env:T_KEY",
         "kind vertex needs `project`"},
        {"kind: vertex, zone: approved, location: eu, project: p, key: env:T_KEY",
         "`key` does not go with kind vertex"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].keys, cases[i].message);
    CHECK(strstr(reports, "not-a-key") == NULL); /* no message quotes a secret */
}

static void test_pools(void)
{
    struct proxy_config *cfg =
        load("targets:\n"
             "  a: { kind: openai, zone: private, keys: [env:T_KEY, env:T_OTHER],\n"
             "       endpoints: [https://a.test/v1, 'https://b.test:8443/x/v1'] }\n"
             "  b: { kind: openai, zone: private, base_url: https://c.test/v1, key: env:T_KEY,\n"
             "       server: triton }\n"
             "  c: { kind: openai, zone: private, endpoints: https://d.test/v1, server: vllm,\n"
             "       health: { path: /ready }, retries: 0, breaker: { failures: 0, open: 1s } }\n");
    const struct proxy_config_target *t = cfg->targets;

    CHECK(t[0].endpoints.n == 2 && t[0].keys.n == 2 && t[0].retries == 2 && t[0].hedge_ms == 0);
    CHECK(strcmp(t[0].base_url.host, "a.test") == 0 && t[0].endpoints.items[1].port == 8443);
    CHECK(gw_span_is(t[0].key.value, "not-a-key") && gw_span_is(t[0].keys.items[1].value, "other"));
    CHECK(t[0].health.path[0] == '\0' && t[0].breaker.failures == 5 &&
          t[0].breaker.open_ms == 10000);
    CHECK(t[1].endpoints.n == 1 && strcmp(t[1].endpoints.items[0].host, "c.test") == 0);
    CHECK(t[1].keys.n == 1 && gw_span_is(t[1].keys.items[0].value, "not-a-key"));
    CHECK(strcmp(t[1].health.path, "/v2/health/ready") == 0);
    CHECK(t[2].keys.n == 0 && t[2].endpoints.n == 1 && strcmp(t[2].health.path, "/ready") == 0);
    CHECK(t[2].breaker.failures == 0 && t[2].breaker.open_ms == 1000 && t[2].retries == 0);
    CHECK(cfg->reliability.retry_percent == 20 && cfg->reliability.first_event_ms == 5000);
    proxy_config_free(cfg);
    refused("kind: openai, zone: private, base_url: https://x/v1, endpoints: [https://y/v1]",
            "`base_url` and `endpoints` exclude each other");
    refused("kind: openai, zone: private, base_url: https://x/v1, key: env:T_KEY, keys: env:T_KEY",
            "`key` and `keys` exclude each other");
    refused("kind: openai, zone: private, endpoints: [https://y/v1, https://y/v1]", "twice");
    refused("kind: openai, zone: private, endpoints: []", "must be 1 to 16 URLs");
    refused("kind: openai, zone: private, endpoints: [https://y/v1, ftp://y/v1]", "http");
    refused("kind: openai, zone: private, base_url: https://y/v1, keys: [env:T_KEY, plain]",
            "must be file:PATH or env:NAME");
    refused("kind: openai, zone: private, base_url: https://y/v1, health: { path: health }",
            "must begin with /");
    refused("kind: openai, zone: private, base_url: https://y/v1, server: ollama",
            "must be any, vllm, sglang, tgi, triton or llama.cpp");
    refused("kind: anthropic, zone: approved, key: env:T_KEY, endpoints: [https://y/v1]",
            "must end before /v1");
    refused("kind: engine, model: m.gguf, endpoints: [https://y/v1]",
            "`endpoints` does not go with kind engine");
    refused("kind: vertex, location: global, project: p, zone: approved, keys: [env:T_KEY]",
            "`keys` does not go with kind vertex");
}

static void test_warnings(void)
{
    struct proxy_config *cfg =
        load("targets: { a: { kind: bedrock, region: us-east-1, zone: private, "
             "base_url: 'http://x.test', access_key: env:T_KEY, secret_key: "
             "env:T_KEY } }");

    CHECK(strstr(reports, "warning: t.yaml:1: targets.a: http:// sends prompts and the key") !=
          NULL);
    proxy_config_free(cfg);
    cfg = load("targets: { a: { kind: gemini, zone: approved }, v: { kind: vertex, zone: approved, "
               "location: global, project: p } }");
    CHECK(strcmp(reports, "warning: t.yaml:1: targets.a: there is no `key`: the provider will "
                          "refuse every request\n") == 0);
    proxy_config_free(cfg);
    cfg =
        load("targets: { a: { kind: anthropic, zone: private, base_url: 'http://127.0.0.1:9' } }");
    CHECK(reports[0] == '\0');
    proxy_config_free(cfg);
}

/* Every example of the page is a configuration. */
static void test_examples_of_the_docs(void)
{
    char *page = calloc(1, 100000);
    FILE *f = fopen("docs/targets.md", "r");
    unsigned n = 0;

    if (f == NULL || fread(page, 1, 99999, f) == 0) {
        CHECK(!"docs/targets.md can be read");
        free(page);
        return;
    }
    (void)fclose(f);
    for (char *at = strstr(page, "```yaml\n"); at != NULL; at = strstr(at, "```yaml\n")) {
        char *end = strstr(at + 8, "```");
        struct proxy_config *cfg;

        if (!CHECK(end != NULL))
            break;
        cfg = parse((struct gw_span){at + 8, (size_t)(end - at - 8)}, PROXY_CONFIG_NO_SECRETS);
        if (!CHECK(cfg != NULL && reports[0] == '\0'))
            fprintf(stderr, "  example %u:\n%s", n + 1, reports);
        proxy_config_free(cfg);
        n++;
        at = end;
    }
    CHECK(n >= 10);
    free(page);
}

int main(void)
{
    (void)setenv("T_KEY", "not-a-key", 1); // NOLINT(concurrency-mt-unsafe)
    (void)setenv("T_OTHER", "other", 1);   // NOLINT(concurrency-mt-unsafe)
    (void)setenv("T_EMPTY_JSON", "{}", 1); // NOLINT(concurrency-mt-unsafe)
    test_what_follows_from_the_kind();
    test_refusals();
    test_pools();
    test_warnings();
    test_examples_of_the_docs();
    return test_done();
}
