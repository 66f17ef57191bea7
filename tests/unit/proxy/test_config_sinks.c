/* Unit tests of `audit.sinks`: what it makes, what it refuses with which words, and that a reload cannot change it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/config/config.h"
#include "proxy/net/reload.h"
#include "proxy/sink/sink.h"
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
static struct proxy_config *parse(const char *sinks)
{
    struct proxy_config *cfg = NULL;
    char text[3000];

    reports[0] = '\0';
    (void)snprintf(text, sizeof(text),
                   "state_dir: /tmp\n"
                   "targets: { p: { kind: openai, base_url: https://p.test/v1, zone: private } }\n"
                   "audit:\n  sinks:\n%s",
                   sinks);
    (void)proxy_config_parse(gw_span_str(text), "t.yaml", 0, &cfg, collect, NULL, NULL);
    return cfg;
}

static void refused(const char *keys, const char *message)
{
    char text[600];
    struct proxy_config *cfg;

    (void)snprintf(text, sizeof(text), "    - { name: a, %s }\n", keys);
    cfg = parse(text);
    if (!CHECK(cfg == NULL && strstr(reports, message) != NULL &&
               strstr(reports, "t.yaml:5") != NULL))
        fprintf(stderr, "  %s\n  want: %s\n  got: %s", text, message, reports);
    proxy_config_free(cfg);
}

static const char all[] =
    "    - { name: out, kind: stdout, records: [decided, finding] }\n"
    "    - { name: lines, kind: file, path: /tmp/a.jsonl, sync: false, on_full: skip }\n"
    "    - { name: siem, kind: splunk, url: 'https://hec.test:8088', token: env:T_SINK }\n"
    "    - { name: es, kind: elastic, url: 'https://es.test/base', index: audit, user: u,\n"
    "        token: env:T_SINK, batch: { records: 7, bytes: 2MiB, every: 0 } }\n"
    "    - { name: hook, kind: webhook, url: 'http://127.0.0.1:8000/in', format: ndjson }\n"
    "    - { name: six, kind: syslog, address: '[::1]:601', tls: false, facility: 16 }\n";

static void test_all(void)
{
    struct proxy_config *cfg = parse(all);
    struct audit_sink made[PROXY_MAX_SINKS];
    const struct proxy_config_sink *k;
    struct gw_err err = {0};
    unsigned n = 0;

    if (!CHECK(cfg != NULL)) {
        fprintf(stderr, "%s", reports);
        return;
    }
    k = cfg->audit.sinks;
    CHECK(cfg->audit.n_sinks == 6 && reports[0] == '\0');
    CHECK(k[0].records == (AUDIT_CLASS_DECIDED | AUDIT_CLASS_FINDING) &&
          k[1].records == AUDIT_CLASS_ALL);
    CHECK(!k[1].sync && k[1].on_full == 1 && k[2].on_full == 0 && k[2].url.port == 8088);
    CHECK(k[3].batch_records == 7 && k[3].batch_bytes == 2 << 20 && k[3].batch_ms == 0);
    CHECK(k[2].batch_records == 1000 && k[2].batch_ms == 1000 && k[2].timeout_ms == 30000);
    CHECK(strcmp(k[5].host, "::1") == 0 && k[5].port == 601 && k[5].facility == 16);
    /* And each can be made, without anybody there. */
    CHECK(sinks_make(cfg, made, &n, &err) == GW_OK && n == 6);
    CHECK(strcmp(made[5].kind, "syslog") == 0 && made[1].yields && !made[0].yields);
    for (unsigned i = 0; i < n; i++)
        made[i].ops->close(made[i].self);
    proxy_config_free(cfg);
}

static void test_refused(void)
{
    refused("kind: file", "`path` is what the kind file needs");
    refused("kind: stdout, path: /tmp/x", "`path` is what the kind file needs");
    refused("kind: splunk, token: env:T_SINK", "needs `url`");
    refused("kind: splunk, url: 'https://a.test'", "needs `token`");
    refused("kind: webhook, url: 'http://a.test'", "must begin with https://");
    refused("kind: webhook, url: 'https://a.test', user: x", "`user` needs `token`");
    refused("kind: elastic, url: 'https://a.test'", "needs `index`");
    refused("kind: elastic, url: 'https://a.test', index: 'a/b'", "`index` must hold no");
    refused("kind: syslog", "`address` must be host:port");
    refused("kind: syslog, address: 'a.test'", "`address` must be host:port");
    refused("kind: syslog, address: '::1:6514'", "`address` must be host:port");
    refused("kind: syslog, address: 'a.test:0'", "`address` must be host:port");
    refused("kind: syslog, address: 'a.test:70000'", "`address` must be host:port");
    refused("kind: syslog, address: 'a.test:601', tls: false", "for loopback only");
    refused("kind: syslog, address: 'a.test:6514', token: env:T_SINK", "no `token`");
    refused("kind: webhook, url: 'https://a.test', cert: /tmp/x", "both `cert` and `cert_key`");
    refused("kind: file, path: /tmp/x, url: 'https://a.test'", "`url` is for");
    refused("kind: webhook, url: 'https://a.test', token: live-key", "must be file:PATH or env:");
    refused("kind: carrier-pigeon", "kind");
    CHECK(strstr(reports, "live-key") == NULL);
}

static void test_names(void)
{
    static const char *const bad[] = {
        "    - { name: kafka, kind: stdout }\n",
        "    - { name: 'A', kind: stdout }\n",
        "    - { name: '../x', kind: stdout }\n",
        "    - { name: abcdefghijklmnopqrstuvwxyz0123456, kind: stdout }\n",
        "    - { kind: stdout }\n",
        "    - { name: a, kind: stdout }\n    - { name: a, kind: file, path: /tmp/x }\n",
        "    - { name: a, kind: stdout }\n    - { name: b, kind: stdout }\n",
        "    - { name: a, kind: file, path: /x }\n    - { name: b, kind: file, path: /x }\n",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct proxy_config *cfg = parse(bad[i]);

        CHECK(cfg == NULL && reports[0] != '\0');
        proxy_config_free(cfg);
    }
}

static void test_reload(void)
{
    static const char *const changed[] = {"lines",  "a.jsonl", "8088",
                                          "T_SINK", "7,",      "on_full: skip"};
    struct proxy_config *now = parse(all), *same = parse(all);
    struct gw_buf problems = {0};

    CHECK(now != NULL && same != NULL && reload_fixed(now, same, &problems) == 0);
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        struct proxy_config *then;
        char text[sizeof(all)];
        char *at;

        memcpy(text, all, sizeof(all));
        at = strstr(text, changed[i]);
        if (strcmp(changed[i], "T_SINK") == 0)
            memcpy(at, "T_SING", 6); /* another secret */
        else if (strcmp(changed[i], "on_full: skip") == 0)
            memcpy(at, "on_full: hold", 13);
        else
            memset(at, at[0] == '8' ? '9' : at[0] == '7' ? '6' : 'b', 1);
        then = parse(text);
        gw_buf_clear(&problems);
        CHECK(then != NULL && reload_fixed(now, then, &problems) == 1);
        CHECK(strstr(problems.ptr, "audit.sinks cannot change") != NULL);
        proxy_config_free(then);
    }
    gw_buf_fini(&problems);
    proxy_config_free(now);
    proxy_config_free(same);
}

int main(void)
{
    (void)setenv("T_SINK",
                 "token-of-"
                 "the-test",
                 1);
    (void)setenv("T_SING",
                 "another-"
                 "token",
                 1);
    test_all();
    test_refused();
    test_names();
    test_reload();
    return test_done();
}
