/* Unit tests of proxy/config/config*.c. */
#include <netinet/in.h>
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/json.h"
#include "proxy/config/config.h"
#include "proxy/config/config_private.h"
#include "tests/test.h"

/* Everything that a load reported, a line each. */
static char reports[20000];

static void collect(void *ctx, bool warning, const char *message)
{
    size_t used = strlen(reports);

    (void)ctx;
    (void)snprintf(reports + used, sizeof(reports) - used, "%s%s\n", warning ? "warning: " : "",
                   message);
}

static struct proxy_config *load(const char *text)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    reports[0] = '\0';
    if (!CHECK(proxy_config_parse(gw_span_str(text), "s.yaml", 0, &cfg, collect, NULL, &err) ==
               GW_OK))
        fprintf(stderr, "  %s\n%s", err.text, reports);
    return cfg;
}

/* The text must be refused, with this among the reports. */
static void refused(const char *text, const char *message)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    enum gw_status st;

    reports[0] = '\0';
    st = proxy_config_parse(gw_span_str(text), "s.yaml", 0, &cfg, collect, NULL, &err);
    if (!CHECK(st == GW_EINVAL && cfg == NULL && strstr(reports, message) != NULL))
        fprintf(stderr, "  want: %s\n  got: %s\n  %s", message, err.text, reports);
    proxy_config_free(cfg);
}

static void warned(const char *text, const char *message)
{
    struct proxy_config *cfg = load(text);

    if (!CHECK(strstr(reports, message) != NULL))
        fprintf(stderr, "  want: %s\n  got: %s", message, reports);
    proxy_config_free(cfg);
}

#define T                                                                                          \
    "targets:\n  a: { kind: openai, base_url: https://a.test/v1, zone: approved }\n"               \
    "  b: { kind: openai, base_url: http://127.0.0.1:81/v1/, zone: private }\n"

static void test_builtin_default(void)
{
    struct proxy_config *cfg = load("");

    CHECK(cfg->n_targets >= 1 && strcmp(cfg->targets[0].name, "local") == 0);
    CHECK(cfg->targets[0].kind == PROXY_TARGET_ENGINE);
    CHECK(cfg->targets[0].zone == GW_ZONE_PROCESS);
    CHECK(strstr(cfg->targets[0].model, "smollm2-135m-instruct-q4_1.gguf") != NULL);
    CHECK(cfg->n_lines == 5 && cfg->n_routes == 2 && cfg->policy != NULL);
    CHECK(strcmp(cfg->lines[1].name, "health") == 0);
    CHECK(cfg->lines[1].zones == (GW_ZONE_PROCESS | GW_ZONE_PRIVATE));
    CHECK(cfg->lines[1].else_action == GW_ACTION_BLOCK);
    CHECK(cfg->lines[2].min_confidence == 60 && cfg->lines[2].action == GW_ACTION_TOKENIZE);
    CHECK(cfg->lines[2].classes == (1u << GW_CLASS_PII | 1u << GW_CLASS_FINANCIAL));
    CHECK(cfg->limits.max_body == 32u << 20 && cfg->limits.header_ms == 10000);
    CHECK(cfg->listen.gateway.port == 8080 && !cfg->listen.gateway.off);
    CHECK(cfg->listen.gateway.sa.ss_family == AF_INET);
    CHECK(cfg->auth.required && cfg->log.access && cfg->log.level == GW_LOG_INFO);
    CHECK(cfg->intercept.bump.n == n_config_ai_hosts && cfg->intercept.splice.n == 0);
    CHECK(cfg->intercept.connect_ports.n == 1 && cfg->intercept.connect_ports.items[0] == 443);
    CHECK(cfg->intercept.default_mode == PROXY_INTERCEPT_DENY);
    CHECK(cfg->workers >= 1 && cfg->workers <= 16);
    CHECK(strstr(cfg->auth.keys, "/state.db") != NULL && cfg->instance[0] != '\0');
    CHECK(cfg->audit.kafka_brokers[0] == '\0' && cfg->audit.kafka_properties[0] == NULL);
    CHECK(cfg->complexity.moderate_from == 25 && cfg->complexity.complex_from == 50);
    CHECK(reports[0] == '\0');
    proxy_config_free(cfg);
    proxy_config_free(NULL);
}

static const struct proxy_config_target *target_of(const struct proxy_config *cfg, const char *name)
{
    for (unsigned i = 0; i < cfg->n_targets; i++)
        if (strcmp(cfg->targets[i].name, name) == 0)
            return &cfg->targets[i];
    return NULL;
}

static void test_the_surroundings_add_targets(void)
{
    static const struct {
        const char *env, *target, *host;
    } extras[] = {{"OPENAI_API_KEY", "openai", "api.openai.com"},
                  {"ANTHROPIC_API_KEY", "claude", "api.anthropic.com"},
                  {"GEMINI_API_KEY", "gemini", "generativelanguage.googleapis.com"}};
    struct proxy_config *cfg, *plain = load("");
    char dir[] = "/tmp/sluice-models-XXXXXX", yaml[128], path[128];

    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        const struct proxy_config_target *t;

        CHECK(target_of(plain, extras[i].target) == NULL);
        setenv(extras[i].env, "test-key", 1);
        cfg = load("");
        t = target_of(cfg, extras[i].target);
        if (!CHECK(t != NULL && cfg->n_targets == plain->n_targets + 1))
            continue;
        CHECK(t->zone == GW_ZONE_APPROVED && gw_span_is(t->key.value, "test-key"));
        CHECK(strcmp(t->base_url.host, extras[i].host) == 0 && t->default_model[0] != '\0');
        CHECK(strcmp(cfg->digest, plain->digest) != 0);
        CHECK(gw_span_is(cfg->routes[0].tiers[GW_TIER_SIMPLE].items[0], "local"));
        CHECK(gw_span_is(cfg->routes[0].tiers[GW_TIER_COMPLEX].items[0], extras[i].target));
        CHECK(gw_span_is(cfg->routes[1].to.items[0], extras[i].target));
        proxy_config_free(cfg);
        cfg = load(T); /* who names targets gets those and no other */
        CHECK(cfg->n_targets == 2 && strcmp(cfg->targets[0].name, "a") == 0);
        proxy_config_free(cfg);
        unsetenv(extras[i].env);
    }
    /* The folder of an embedding model in models_dir. */
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/all-minilm-l6-v2", dir);
    (void)snprintf(yaml, sizeof(yaml), "models_dir: %s\n", dir);
    CHECK(mkdir(path, 0700) == 0);
    cfg = load(yaml);
    CHECK(target_of(cfg, "embeddings") != NULL);
    proxy_config_free(cfg);
    CHECK(rmdir(path) == 0 && rmdir(dir) == 0);
    proxy_config_free(plain);
}

static void test_the_shape_of_the_design(void)
{
    struct proxy_config *cfg =
        load("listen:   { gateway: 127.0.0.1:8080, proxy: off, admin: \"[::1]:9090\" }\n"
             "targets:\n"
             "  local:    { kind: engine, model: m.gguf, zone: process, threads: 2 }\n"
             "  cluster:  { kind: openai, base_url: http://vllm.internal:8000/v1, zone: private,\n"
             "              timeouts: { connect: 250ms, idle: 2m }, resolve: { vllm.internal: "
             "10.1.2.3 } }\n"
             "  openai:   { kind: openai, base_url: https://api.openai.com/v1, zone: approved, "
             "models: [gpt-*] }\n"
             "routes:\n"
             "  - { model: auto, simple: local, moderate: [cluster, openai], complex: [openai] }\n"
             "  - { model: [gpt-*, o1], to: openai, on_conflict: refuse }\n"
             "policy:\n"
             "  - { name: source, when: { class: source_code, group: core, severity: '>=high' }, "
             "then: { zone: process, else: block } }\n"
             "  - { name: many, when: { class: [pii], rule: [email-*], count: \">=10\" }, then: "
             "block, scope: always }\n"
             "aliases: { gpt-best: gpt-4o }\n"
             "default: alert\n"
             "audit: { spool: spool, kafka: { brokers: \"kafka:9092\", properties: { linger.ms: 5 "
             "} }, on_full: continue, durability: process }\n"
             "intercept: { hosts: { bump: ['*.Example.COM.', ai-hosts], splice: intranet.test }, "
             "connect_ports: [443, 8443], allow_private: [10.0.0.0/8, '::1'], auth: keys }\n");
    const struct sockaddr_in6 *v6;

    CHECK(cfg->listen.proxy.off && !cfg->listen.admin.off && cfg->listen.admin.port == 9090);
    v6 = (const struct sockaddr_in6 *)&cfg->listen.admin.sa;
    CHECK(v6->sin6_family == AF_INET6 && ntohs(v6->sin6_port) == 9090);
    CHECK(cfg->targets[0].threads == 2 && strcmp(cfg->targets[0].model, "m.gguf") == 0);
    CHECK(cfg->targets[1].connect_ms == 250 && cfg->targets[1].idle_ms == 120000);
    CHECK(cfg->targets[1].first_byte_ms == 120000 && !cfg->targets[1].base_url.tls);
    CHECK(cfg->targets[1].base_url.port == 8000);
    CHECK(strcmp(cfg->targets[1].base_url.path, "/v1") == 0);
    CHECK(cfg->targets[1].resolve.n == 1 && cfg->targets[1].resolve.items[0].addr.port == 0);
    CHECK(cfg->targets[2].models.n == 1 && cfg->targets[2].base_url.port == 443);
    CHECK(cfg->routes[0].tiers[GW_TIER_MODERATE].n == 2 && cfg->routes[0].to.n == 0);
    CHECK(cfg->routes[1].models.n == 2 && cfg->routes[1].on_conflict == 1);
    CHECK(cfg->lines[0].zones == GW_ZONE_PROCESS && cfg->lines[0].min_severity == GW_SEVERITY_HIGH);
    CHECK(cfg->lines[0].else_action == GW_ACTION_BLOCK && cfg->lines[0].action == GW_ACTION_ALLOW);
    CHECK(cfg->lines[0].line == 11 && cfg->lines[1].min_count == 10 && cfg->lines[1].scope == 1);
    CHECK(cfg->aliases.n == 1 && gw_span_is(cfg->aliases.items[0].to, "gpt-4o"));
    CHECK(cfg->default_action == GW_ACTION_ALERT && cfg->audit.on_full == 1);
    CHECK(cfg->audit.durability == 1 && strcmp(cfg->audit.spool, "spool") == 0);
    CHECK(strcmp(cfg->audit.kafka_properties[0], "linger.ms=5") == 0);
    CHECK(cfg->audit.kafka_properties[1] == NULL);
    CHECK(gw_span_is(cfg->intercept.bump.items[0], "example.com"));
    CHECK(cfg->intercept.bump.n == n_config_ai_hosts + 1 && cfg->intercept.splice.n == 1);
    CHECK(cfg->intercept.allow_private.n == 2 && cfg->intercept.allow_private.items[0].bits == 8);
    CHECK(cfg->intercept.allow_private.items[1].bits == 128);
    CHECK(cfg->intercept.auth == PROXY_AUTH_KEYS && cfg->intercept.connect_ports.items[1] == 8443);
    CHECK(router_target_count(cfg->policy) == 3);
    proxy_config_free(cfg);
}

static void test_every_error_names_its_place(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"lisen: {}", "s.yaml:1: lisen: unknown key: did you mean listen?"},
        {"x: 1", "s.yaml:1: x: unknown key\n"},
        {"listen:\n  gatway: 1", "s.yaml:2: listen.gatway: unknown key: did you mean gateway?"},
        {"listen: 5", "listen: must be a mapping"},
        {"listen: { gateway: 8080 }", "listen.gateway: must be address:port"},
        {"listen: { gateway: example.com:80 }", "listen.gateway: needs a numeric address"},
        {"listen: { gateway: 127.0.0.1:99999 }", "listen.gateway: must be address:port"},
        {"listen: { gateway: '127.0.0.1:1', proxy: '127.0.0.1:1' }", "the same address and port"},
        {"listen: { gateway: off, proxy: off }", "are both off"},
        {"listen: { tls: { cert: x } }", "needs both cert and key"},
        {"workers: many", "s.yaml:1: workers: must be a whole number"},
        {"workers: 17", "workers: must be between 0 and 16"},
        {"workers: -1", "workers: must be between"},
        {"workers: '1'", "workers: must be a whole number"},
        {"workers:", "workers: must be a whole number"},
        {"workers: [1]", "workers: must be a whole number"},
        {"drain: 5", "drain: must be a duration"},
        {"drain: 3d", "drain: must be between"},
        {"limits: { max_body: 1TB }", "limits.max_body: must be a whole number of bytes"},
        {"limits: { max_body: 1 }", "limits.max_body: must be between"},
        {"auth: { required: yes }", "auth.required: must be true or false"},
        {"log: { level: loud }", "log.level: must be debug, info, warn or error"},
        {"state_dir:", "state_dir: has no value"},
        {"instance: \"a\\nb\"", "instance: holds a control character"},
        {"default: deny", "default: must be allow, alert"},
        {"targets: { a: { kind: engine } }", "targets.a: an engine needs `model`"},
        {"targets: { a: { model: x } }", "targets.a: needs the key kind"},
        {"targets: { a: }", "targets.a: needs the key kind"},
        {"targets: []", "targets: must be a mapping"},
        {"targets: {}", "targets: there is none"},
        {"targets: { 'a b': { kind: engine, model: m } }", "a target's name is"},
        {"targets: { a: { kind: cohere } }",
         "targets.a.kind: must be engine, openai, anthropic, gemini, azure, vertex or bedrock"},
        {"targets: { a: { kind: openai } }", "targets.a: kind openai needs `base_url`"},
        {"targets: { a: { kind: openai, base_url: https://x } }", "targets.a: needs `zone`"},
        {"targets: { a: { kind: openai, base_url: https://x, zone: process } }",
         "not in this process"},
        {"targets: { a: { kind: engine, model: m, kv: int2 } }",
         "targets.a.kv: must be auto, f16, int8, fp8, int4, polar4, polar3, qjl or adaptive"},
        {"targets: { a: { kind: engine, model: m, prefixes: fifo } }",
         "targets.a.prefixes: must be lru, predict or off"},
        {"targets: { a: { kind: openai, zone: approved, base_url: https://x/v1, prefixes: off } }",
         "targets.a: `prefixes` does not go with kind openai"},
        {"targets: { a: { kind: engine, model: m, zone: private } }",
         "its zone can only be process"},
        {"targets: { a: { kind: engine, model: m, base_url: https://x } }",
         "targets.a: `base_url` does not go with kind engine"},
        {"targets: { a: { kind: engine, model: m, threads: 2000 } }", "targets.a.threads: must be"},
        {"targets: { a: { kind: engine, model: m, tmeouts: {} } }", "did you mean timeouts?"},
        {"targets: { a: { kind: engine, model: m, timeouts: { conect: 1s } } }",
         "did you mean connect?"},
        {"targets: { a: { kind: openai, base_url: ftp://x, zone: private } }",
         "must begin with https://"},
        {"targets: { a: { kind: openai, base_url: 'https://u:p@x', zone: private } }",
         "user or password"},
        {"targets: { a: { kind: openai, base_url: 'https://x/v1?a=b', zone: private } }",
         "no query"},
        {"targets: { a: { kind: openai, base_url: 'https://:80', zone: private } }",
         "must be like"},
        {"targets: { a: { kind: openai, base_url: https://x, zone: secret } }",
         "targets.a.zone: must be process"},
        {"targets: { a: { kind: openai, base_url: https://x, zone: private, resolve: { x: y } } }",
         "must be an address"},
        {"targets: { a: { kind: openai, base_url: https://x, zone: private, resolve: { 'a b': "
         "'::1' } } }",
         "not a host name"},
        {T "routes: [{ model: x, to: c }]", "s.yaml:4: routes[0]: to: there is no target named c"},
        {T "routes: [{ to: a }]", "routes[0]: needs the key model"},
        {T "routes: [{ model: x }]", "routes[0]: needs either `to` or"},
        {T "routes: [{ model: x, to: a, simple: b }]", "routes[0]: needs either `to` or"},
        {T "routes: { model: x }", "routes: must be a list"},
        {T "routes: [a]", "routes[0]: must be a mapping"},
        {T "routes: [{ model: x, to: a, on_conflict: ask }]", "must be reroute or refuse"},
        {T "policy: [{ when: {}, then: block }]", "policy[0]: needs the key name"},
        {T "policy: [{ name: x }]", "policy[0]: needs the key then"},
        {T "policy: [{ name: x, then: hide }]", "policy[0].then: must be allow, alert"},
        {T "policy: [{ name: x, then: { zone: [] } }]", "policy[0].then.zone: names no zone"},
        {T "policy: [{ name: x, then: { zone: moon } }]", "policy[0].then.zone: must be process"},
        {T "policy: [{ name: x, then: { else: block } }]", "policy[0]: then.else needs then.zone"},
        {T "policy: [{ name: x, then: { zone: process } }]", "no target lies in its zones"},
        {T "policy: [{ name: x, when: { clas: pii }, then: block }]", "did you mean class?"},
        {T "policy: [{ name: x, when: { class: pci }, then: block }]",
         "policy[0].when.class: must be secret"},
        {T "policy: [{ name: x, when: { confidence: '>60' }, then: block }]", "must be \">=N\""},
        {T "policy: [{ name: x, when: { confidence: 101 }, then: block }]", "between 0 and 100"},
        {T "policy: [{ name: x, when: { severity: bad }, then: block }]", "or \">=high\""},
        {T "policy: [{ name: x, then: block }, { name: x, then: block }]",
         "another line has this name"},
        {T "policy: [{ name: x, when: { class: pii }, then: mask, on: answer }]",
         "must be request, response or both"},
        {T "policy: [{ name: x, then: block, on: response }]",
         "policy[0]: on: an answer is judged by its findings"},
        {T "policy: [{ name: x, when: { class: pii }, then: { zone: private }, on: response }]",
         "policy[0]: on: an answer is already here"},
        {T "policy: [{ name: x, when: { class: pii, count: 2 }, then: mask, on: both }]",
         "policy[0]: on: an answer is judged as it comes"},
        {T "policy: [{ name: x, then: block, scope: all }]", "must be leaving or always"},
        {"complexity: { moderate_from: 60, complex_from: 50 }", "must not be above complex_from"},
        {"dlp: { rules: [] }", "dlp.rules: names no rules"},
        {"audit: { segment: 1GiB, max_spool: 1GiB }", "at most half of max_spool"},
        {"audit: { kafka: { brokers: 'k:1', topic: '' } }", "brokers need a topic"},
        {"intercept: { connect_ports: [0] }", "intercept.connect_ports[0]: must be a port"},
        {"intercept: { allow_private: 10.0.0.0/33 }", "must be an address or a range"},
        {"intercept: { hosts: { bump: 'a b' } }", "must be a host name"},
        {"intercept: { hosts: { bump: { a: b } } }", "must be a value or a list"},
        {"aliases: [a]", "aliases: must be a mapping"},
        {"targets.local: 1", "targets.local: unknown key"},
        {"'targets.*.kind': engine", "unknown key"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].text, cases[i].message);
}

static void test_all_errors_at_once(void)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    const char *text = "workers: x\ndrain: y\nlog: { level: z }\n";
    char many[6000] = "routes:\n";

    reports[0] = '\0';
    CHECK(proxy_config_parse(gw_span_str(text), "s.yaml", 0, &cfg, collect, NULL, &err) ==
          GW_EINVAL);
    CHECK(strstr(reports, "s.yaml:1: workers") != NULL);
    CHECK(strstr(reports, "s.yaml:2: drain") != NULL);
    CHECK(strstr(reports, "s.yaml:3: log.level") != NULL);
    CHECK(strstr(err.text, "3 errors, the first: s.yaml:1: workers") != NULL);
    for (unsigned i = 0; i < 300; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "- {}\n");
    refused(many, "too many errors: the rest is not shown");
}

static void test_not_yaml(void)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    CHECK(proxy_config_parse(GW_SPAN("a: ["), "s.yaml", 0, &cfg, collect, NULL, &err) == GW_EPARSE);
    CHECK(strncmp(err.text, "s.yaml:", 7) == 0 && cfg == NULL);
}

/* `on` parts the lines: an answer meets only those about answers. */
static void test_answers(void)
{
    struct proxy_config *cfg =
        load(T "policy:\n"
               "  - { name: in, when: { class: secret }, then: redact }\n"
               "  - { name: out, when: { class: secret }, then: mask, on: response }\n"
               "  - { name: stay, when: { class: phi }, then: { zone: private, action: redact }, "
               "on: both }\n");
    const struct router_input in = {.model = GW_SPAN("m")};
    struct router_finding f = {.rule = GW_SPAN("r"),
                               .class_ = GW_CLASS_SECRET,
                               .severity = GW_SEVERITY_HIGH,
                               .confidence = 90};

    CHECK(router_watches_responses(cfg->policy, NULL));
    CHECK(router_decide_response(cfg->policy, &in, &f, NULL, NULL) == GW_ACTION_MASK);
    f.class_ = GW_CLASS_PHI;
    CHECK(router_decide_response(cfg->policy, &in, &f, NULL, NULL) == GW_ACTION_REDACT);
    f.class_ = GW_CLASS_PII;
    CHECK(router_decide_response(cfg->policy, &in, &f, NULL, NULL) == GW_ACTION_ALLOW);
    proxy_config_free(cfg);
    cfg = load("");
    CHECK(!router_watches_responses(cfg->policy, NULL));
    proxy_config_free(cfg);
}

static void test_secrets(void)
{
    char dir[] = "/tmp/test_config_XXXXXX", path[64], text[600];
    struct proxy_config *cfg;
    struct gw_err err;
    FILE *f;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/k.key", dir);
    f = fopen(path, "w");
    CHECK(f != NULL &&
          fputs("sk-"
                "test-1234\n",
                f) >= 0 &&
          fclose(f) == 0);
    CHECK(chmod(path, 0600) == 0);
    (void)snprintf(text, sizeof(text),
                   "targets: { a: { kind: openai, base_url: https://x, zone: "
                   "approved, key: 'file:%s' } }",
                   path);
    cfg = load(text);
    CHECK(gw_span_is(cfg->targets[0].key.value, "sk-test-1234") && reports[0] == '\0');
    CHECK(strncmp(cfg->targets[0].key.source, "file:/tmp/", 10) == 0);
    proxy_config_free(cfg);

    CHECK(chmod(path, 0644) == 0);
    warned(text, "can be read by others than its owner: chmod 600");
    CHECK(truncate(path, 0) == 0);
    refused(text, "is empty");
    f = fopen(path, "w");
    CHECK(f != NULL && fputs("two words\n", f) >= 0 && fclose(f) == 0);
    refused(text, "must hold the key alone");
    CHECK(truncate(path, 9000) == 0);
    refused(text, "is larger than 8192 bytes");
    CHECK(unlink(path) == 0);
    refused(text, "targets.a.key: cannot read the key");
    CHECK(mkdir(path, 0700) == 0);
    refused(text, "is not a regular file");
    cfg = NULL;
    CHECK(proxy_config_parse(gw_span_str(text), "s", PROXY_CONFIG_NO_SECRETS, &cfg, NULL, NULL,
                             &err) == GW_OK);
    CHECK(cfg != NULL && cfg->targets[0].key.value.len == 0);
    proxy_config_free(cfg);
    CHECK(rmdir(path) == 0 && rmdir(dir) == 0);

    (void)snprintf(text, sizeof(text),
                   "targets: { a: { kind: openai, base_url: https://x, zone: "
                   "approved, key: 'env:TEST_CONFIG_NOT_SET' } }");
    refused(text, "the environment has no TEST_CONFIG_NOT_SET");
    (void)snprintf(text, sizeof(text),
                   "targets: { a: { kind: openai, base_url: https://x, zone: "
                   "approved, key: 'sk-"
                   "literal' } }");
    refused(text, "must be file:PATH or env:NAME");
    CHECK(strstr(reports, "literal") == NULL); /* what may be a key is not repeated */
}

static void test_warnings(void)
{
    warned(T "listen: { gateway: '*:8080' }", "keys and prompts travel unencrypted");
    warned(T "listen: { gateway: '*:8080' }\nauth: { required: false }", "lets everyone");
    warned(T "listen: { proxy: '0.0.0.0:3128' }", "set intercept.auth: keys");
    warned(T "listen: { admin: '[::]:9090' }", "metrics are readable");
    warned("targets: { a: { kind: openai, base_url: http://x.test, zone: approved } }",
           "unencrypted: use https://");
}

static void test_load_files(void)
{
    char dir[] = "/tmp/test_config_XXXXXX", path[64], hex[GW_SHA256_HEX_BYTES];
    const char *text = "state_dir: state\ntargets: { l: { kind: engine, model: m.gguf } }\n";
    unsigned char sum[GW_SHA256_BYTES];
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    FILE *f;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/s.yaml", dir);
    CHECK(proxy_config_load(path, 0, &cfg, collect, NULL, &err) == GW_ENOENT && cfg == NULL);
    CHECK(strstr(err.text, path) != NULL);
    CHECK(proxy_config_load(dir, 0, &cfg, collect, NULL, &err) == GW_EIO && cfg == NULL);
    f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
    reports[0] = '\0';
    CHECK(proxy_config_load(path, 0, &cfg, collect, NULL, &err) == GW_OK);
    gw_sha256(gw_span_str(text), sum);
    gw_hex(sum, sizeof(sum), hex);
    CHECK(strcmp(cfg->digest, hex) == 0);
    CHECK(strncmp(cfg->state_dir, dir, strlen(dir)) == 0 && cfg->state_dir[strlen(dir)] == '/');
    CHECK(strncmp(cfg->targets[0].model, dir, strlen(dir)) == 0);
    reports[0] = '\0';
    CHECK(proxy_config_check_files(cfg, collect, NULL) == 1);
    CHECK(strstr(reports, "targets.l.model") != NULL && strstr(reports, "models pull") != NULL);
    proxy_config_free(cfg);

    /* A model that was pulled is found by its name in models_dir. */
    (void)snprintf(path, sizeof(path), "%s/state", dir);
    CHECK(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/state/models", dir);
    CHECK(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/state/models/m.gguf", dir);
    f = fopen(path, "w");
    CHECK(f != NULL && fclose(f) == 0);
    (void)snprintf(path, sizeof(path), "%s/s.yaml", dir);
    setenv("SLUICE_CONFIG", path, 1);
    cfg = NULL;
    CHECK(proxy_config_load(NULL, 0, &cfg, collect, NULL, &err) == GW_OK);
    CHECK(strstr(cfg->targets[0].model, "/state/models/m.gguf") != NULL);
    CHECK(proxy_config_check_files(cfg, collect, NULL) == 0);
    proxy_config_free(cfg);
    unsetenv("SLUICE_CONFIG");
    (void)snprintf(path, sizeof(path), "rm -r %s", dir);
    CHECK(system(path) == 0);
}

/* The table itself: defaults that its own readers accept, help for all, nothing twice. */
static void test_table(void)
{
    for (unsigned i = 0; i < n_config_keys; i++) {
        CHECK(config_keys[i].help != NULL && strlen(config_keys[i].help) > 10);
        CHECK((config_keys[i].choices != NULL) ==
              (config_keys[i].type == CONFIG_ENUM || config_keys[i].type == CONFIG_WORDS));
        for (unsigned k = 0; k < i; k++)
            CHECK(strcmp(config_keys[i].path, config_keys[k].path) != 0);
    }
}

/* The page in the repository is what the table says now. */
static void check_docs_file(struct gw_span printed)
{
    FILE *f = fopen("docs/config.md", "r");
    char *text = calloc(1, printed.len + 2);
    size_t n;

    if (f == NULL) {
        free(text);
        test_skip("docs/config.md is not here: run from the repository's root");
        return;
    }
    n = fread(text, 1, printed.len + 1, f);
    (void)fclose(f);
    if (!CHECK(gw_span_eq((struct gw_span){text, n}, printed)))
        fprintf(stderr, "  make it anew: sluice serve --print-docs > docs/config.md\n");
    free(text);
}

/* What is printed for people and editors names every key; the schema is one strict JSON value. */
static void test_docs_and_schema(void)
{
    char *docs = NULL, *schema = NULL;
    size_t n_docs = 0, n_schema = 0;
    FILE *d = open_memstream(&docs, &n_docs), *s = open_memstream(&schema, &n_schema);
    struct gw_json *json = gw_json_new();
    struct gw_json_tok tok;
    char cell[120];

    proxy_config_print_docs(d);
    proxy_config_print_schema(s);
    CHECK(fclose(d) == 0 && fclose(s) == 0);
    for (unsigned i = 0; i < n_config_keys; i++) {
        (void)snprintf(cell, sizeof(cell), "| `%s` |", config_keys[i].path);
        CHECK(strstr(docs, cell) != NULL);
    }
    gw_json_start(json, (struct gw_span){schema, n_schema}, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR)
        ;
    CHECK(tok.type == GW_JSON_END);
    CHECK(strstr(schema, "\"required\":[\"name\",\"then\"]") != NULL);
    gw_json_free(json);
    check_docs_file((struct gw_span){docs, n_docs});
    free(docs);
    free(schema);
}

static void test_every_prefix(void)
{
    struct gw_span all = proxy_config_default_text();

    for (size_t n = 0; n < all.len; n++) {
        struct proxy_config *cfg = NULL;
        struct gw_err err = {0};
        enum gw_status st =
            proxy_config_parse((struct gw_span){all.ptr, n}, "s", 0, &cfg, NULL, NULL, &err);

        CHECK((st == GW_OK) == (cfg != NULL) && (st == GW_OK || err.text[0] != '\0'));
        proxy_config_free(cfg);
    }
}

int main(void)
{
    unsetenv("OPENAI_API_KEY");
    unsetenv("SLUICE_CONFIG");
    test_builtin_default();
    test_the_surroundings_add_targets();
    test_the_shape_of_the_design();
    test_every_error_names_its_place();
    test_all_errors_at_once();
    test_not_yaml();
    test_answers();
    test_secrets();
    test_warnings();
    test_load_files();
    test_table();
    test_docs_and_schema();
    test_every_prefix();
    return test_done();
}
