/* Unit tests of what policy lines and allowlists take: the examples of docs/policy.md, time zones, hours, entries and what
 * they match, the allowlist's file, and whose words a text is. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dlp/dlp.h"
#include "proxy/config/allow_file.h"
#include "proxy/config/config_private.h"
#include "proxy/request/allow.h"
#include "proxy/request/roles.h"
#include "tests/test.h"

static char reports[20000];

static void collect(void *ctx, bool warning, const char *message)
{
    size_t used = strlen(reports);

    (void)ctx;
    (void)snprintf(reports + used, sizeof(reports) - used, "%s%s\n", warning ? "warning: " : "",
                   message);
}

static struct proxy_config *parse(const char *text)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    reports[0] = '\0';
    (void)proxy_config_parse(gw_span_str(text), "t.yaml", PROXY_CONFIG_NO_SECRETS, &cfg, collect,
                             NULL, &err);
    return cfg;
}

static void refused(const char *text, const char *message)
{
    struct proxy_config *cfg = parse(text);

    if (!CHECK(cfg == NULL && strstr(reports, message) != NULL))
        fprintf(stderr, "  want: %s\n  got: %s", message, reports);
    proxy_config_free(cfg);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    if (!CHECK(f != NULL))
        return;
    (void)fputs(text, f);
    (void)fclose(f);
}

/* ---- the page ----------------------------------------------------------------------------- */

static void test_examples_of_the_docs(char *page)
{
    unsigned n = 0;

    for (char *at = strstr(page, "```yaml\n"); at != NULL; at = strstr(at, "```yaml\n")) {
        char *end = strstr(at + 8, "```");
        struct proxy_config *cfg;

        if (!CHECK(end != NULL))
            break;
        *end = '\0';
        cfg = parse(at + 8);
        if (!CHECK(cfg != NULL && reports[0] == '\0'))
            fprintf(stderr, "  example %u:\n%s", n + 1, reports);
        proxy_config_free(cfg);
        n++;
        at = end + 1;
    }
    CHECK(n >= 6);
}

/* ---- time --------------------------------------------------------------------------------- */

static int32_t offset_at(const struct router_zone *z, int64_t s)
{
    int32_t offset = z->first_s;

    for (unsigned i = 0; i < z->n && z->from_s[i] <= s; i++)
        offset = z->offset_s[i];
    return offset;
}

static void test_zones(void)
{
    struct gw_arena *arena = gw_arena_new(8 << 20);
    struct router_zone z;
    static char file[65536];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "r");
    size_t n;

    if (f == NULL) {
        test_skip("no tzdata");
        gw_arena_free(arena);
        return;
    }
    n = fread(file, 1, sizeof(file), f);
    (void)fclose(f);
    CHECK(config_zone_parse(arena, (struct gw_span){file, n}, &z));
    CHECK(offset_at(&z, 1735689600) == 3600); /* 1 January 2025 */
    CHECK(offset_at(&z, 1751328000) == 7200); /* 1 July 2025 */
    CHECK(offset_at(&z, 1743296399) == 3600); /* 30 March 2025, 00:59:59 UTC */
    CHECK(offset_at(&z, 1743296400) == 7200); /* and a second later */
    CHECK(offset_at(&z, 1761440400) == 3600); /* 26 October 2025, 01:00 UTC */
    CHECK(offset_at(&z, 3313440000) == 3600); /* the winter of 2074 */
    CHECK(offset_at(&z, 3328992000) == 7200); /* and its summer after */
    for (size_t cut = 0; cut < n; cut++)      /* never beyond what is there */
        (void)config_zone_parse(arena, (struct gw_span){file, cut}, &z);
    gw_arena_free(arena);
}

#define LINE(more) "policy: [{ name: a, when: { class: pii" more " }, then: alert }]"

static void test_lines(void)
{
    struct proxy_config *cfg;

    refused(LINE(", time: { days: [noday] }"), "when.time.days");
    refused(LINE(", time: { hours: '8-18' }"), "when.time.hours");
    refused(LINE(", time: { hours: '08:00-08:00' }"), "the same");
    refused(LINE(", time: { hours: '25:00-26:00' }"), "when.time.hours");
    refused(LINE(", time: { hours: '08:00-18:00', zone: ../etc/passwd }"), "time zone");
    refused(LINE(", time: { hours: '08:00-18:00', zone: No/Where }"), "time zone");
    refused(LINE(", time: { zone: '+01:00' }"), "says nothing");
    refused(LINE(", field: [users]"), "field");
    refused(
        "policy: [{ name: a, when: { class: pii }, then: { action: redact, unless: justified } }]",
        "lifts the action block only");
    refused("policy: [{ name: a, when: { class: pii, target: x }, then: { zone: process } }]",
            "has no `zone`");
    refused("simulate: not-there.yaml", "not-there.yaml");
    cfg = parse(LINE(", time: { days: [sat-mon, wed], hours: '22:00-06:00', zone: '+05:30' }, "
                     "view: [base64, plain], key: ci-*, team: x, mode: 1"));
    CHECK(cfg == NULL); /* mode is the line's, not the condition's */
    cfg = parse(LINE(", time: { days: [sat-mon, wed], hours: '22:00-24:00', zone: '+05:30' }, "
                     "view: [base64, plain], key: ci-*, team: x"));
    CHECK(cfg != NULL && cfg->lines[0].views == (1u << DLP_VIEW_BASE64 | 1u << DLP_VIEW_PLAIN));
    proxy_config_free(cfg);
}

/* The words of `view` and `field` are those of the scan and the router. */
static void test_words(void)
{
    char text[200];

    for (unsigned v = 0; v < DLP_VIEW_COUNT; v++) {
        struct proxy_config *cfg;

        (void)snprintf(text, sizeof(text), LINE(", view: %s"), dlp_view_name((enum dlp_view)v));
        cfg = parse(text);
        CHECK(cfg != NULL && cfg->lines[0].views == 1u << v);
        proxy_config_free(cfg);
    }
    for (unsigned i = 0; i < ROUTER_FIELD_COUNT; i++) {
        struct proxy_config *cfg;

        (void)snprintf(text, sizeof(text), LINE(", field: %s"),
                       router_field_name((enum router_field)i));
        cfg = parse(text);
        CHECK(cfg != NULL && cfg->lines[0].fields == 1u << i);
        proxy_config_free(cfg);
    }
}

/* ---- the allowlist -------------------------------------------------------------------------- */

static const struct gw_span hmac_key = {"k", 1};

static const char *who_allows(const struct proxy_config *cfg, const char *value, const char *rule,
                              const char *pointer, const char *user, int64_t now_ms)
{
    const struct proxy_principal who = {.user = gw_span_str(user), .name = GW_SPAN("key-1")};
    const struct allow_finding f = {gw_span_str(value), gw_span_str(rule), gw_span_str(pointer),
                                    &who, now_ms};
    const struct proxy_config_allow *a = allow_find(cfg, hmac_key, &f);

    return a == NULL ? "" : a->id;
}

static void test_allowlist(void)
{
    struct proxy_config *cfg = parse(
        "allowlist:\n"
        "  - { id: rest, rule: card, path: '/metadata/*', user: [ann, 'b*'], owner: o, expires: "
        "2099-01-01 }\n"
        "  - { id: re, regex: 'TEST-[0-9]+', owner: o, expires: 2099-01-01 }\n"
        "  - { id: b, value: bbb, owner: o, expires: 2099-01-01 }\n"
        "  - { id: a-mail, value: aaa, rule: 'email*', owner: o, expires: 2099-01-01 }\n"
        "  - { id: a-any, value: aaa, owner: o, expires: 2030-06-30 }\n");
    const int64_t then = 1909008000000; /* 30 June 2030, 00:00 UTC */

    if (!CHECK(cfg != NULL))
        return;
    CHECK(strcmp(who_allows(cfg, "aaa", "email", "/x", "ann", then), "a-mail") == 0 ||
          strcmp(who_allows(cfg, "aaa", "email", "/x", "ann", then), "a-any") == 0);
    CHECK(strcmp(who_allows(cfg, "aaa", "card", "/x", "ann", then), "a-any") == 0);
    CHECK(strcmp(who_allows(cfg, "aaa", "card", "/x", "ann", then + 86399999), "a-any") == 0);
    CHECK(strcmp(who_allows(cfg, "aaa", "card", "/x", "ann", then + 86400000), "") == 0);
    CHECK(strcmp(who_allows(cfg, "bbb", "card", "/x", "ann", then), "b") == 0);
    CHECK(strcmp(who_allows(cfg, "bbbb", "card", "/x", "ann", then), "") == 0);
    CHECK(strcmp(who_allows(cfg, "TEST-1", "card", "/x", "ann", then), "re") == 0);
    CHECK(strcmp(who_allows(cfg, "TEST-1x", "card", "/x", "ann", then), "") == 0);
    CHECK(strcmp(who_allows(cfg, "4", "card", "/metadata/a", "bob", then), "rest") == 0);
    CHECK(strcmp(who_allows(cfg, "4", "card", "/metadata/a", "eve", then), "") == 0);
    CHECK(strcmp(who_allows(cfg, "4", "card", "/messages/0", "bob", then), "") == 0);
    CHECK(strcmp(who_allows(cfg, "", "card", "/metadata/a", "bob", then), "") == 0);
    proxy_config_free(cfg);
    refused("allowlist: [{ owner: o, expires: 2099-01-01 }]", "needs one of");
    refused("allowlist: [{ value: a }]", "needs the key owner");
    refused("allowlist: [{ value: a, owner: o }]", "needs the key expires");
    refused("allowlist: [{ value: a, regex: b, owner: o, expires: 2099-01-01 }]", "more than one");
    refused("allowlist: [{ value_hmac: 12, owner: o, expires: 2099-01-01 }]", "64 hex digits");
    refused("allowlist: [{ regex: '(', owner: o, expires: 2099-01-01 }]", "regex");
}

static void test_allow_file(void)
{
    struct allow_entry e = {.owner = GW_SPAN("o \"x\""), .expires = GW_SPAN("2099-01-01")};
    char hex[65] = "", id[ALLOW_ID_BYTES];
    unsigned char mac[GW_SHA256_BYTES];
    struct proxy_config *cfg;
    struct gw_err err;

    gw_hmac_sha256(hmac_key, GW_SPAN("hidden"), mac);
    gw_hex(mac, sizeof(mac), hex);
    CHECK(allow_file_add("new.yaml", &e, id, &err) == GW_EINVAL);
    e.value_hmac = gw_span_str(hex);
    CHECK(allow_file_add("", &e, id, &err) == GW_EINVAL);
    CHECK(allow_file_add("new.yaml", &e, id, &err) == GW_OK);
    e.rule = GW_SPAN("nothing-else");
    CHECK(allow_file_add("new.yaml", &e, id, &err) == GW_OK);
    cfg = parse("allowlist_file: new.yaml");
    CHECK(cfg != NULL && cfg->allow.n == 2 && cfg->allow.n_hmac == 2);
    if (cfg != NULL)
        CHECK(strcmp(who_allows(cfg, "hidden", "r", "/", "u", 0), id) == 0 &&
              who_allows(cfg, "hidde", "r", "/", "u", 0)[0] == '\0');
    proxy_config_free(cfg);
    put_file("flow.yaml", "allowlist: []\n");
    CHECK(allow_file_add("flow.yaml", &e, id, &err) == GW_EPARSE);
    e.expires = GW_SPAN("soon");
    CHECK(allow_file_add("new.yaml", &e, id, &err) == GW_EINVAL);
}

/* ---- whose words ---------------------------------------------------------------------------- */

static enum router_field whose(const char *body, const char *word)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json *json = gw_json_new();
    struct gw_json_node *root = NULL;
    enum router_field field = ROUTER_FIELD_COUNT;

    if (CHECK(gw_json_tree(json, arena, gw_span_str(body), NULL, &root, NULL) == GW_OK))
        field = roles_at(roles_new(arena, root), strstr(body, word));
    gw_json_free(json);
    gw_arena_free(arena);
    return field;
}

/* What records hold of texts: the first line counts; sealing needs somebody who can read it. */
static void test_payload(void)
{
    struct proxy_config *cfg =
        parse("targets: { a: { kind: openai, base_url: https://a.test/v1, key: env:NO, zone: "
              "approved } }\n"
              "audit:\n"
              "  auditor_key: a.pub\n"
              "  max_payload: 8KiB\n"
              "  payload:\n"
              "    - { when: { team: legal, user: [ann, b*] }, level: none }\n"
              "    - { when: { target: a }, level: sealed }\n"
              "    - { level: masked }\n");

    if (CHECK(cfg != NULL && cfg->audit.n_payload == 3)) {
        CHECK(cfg->audit.payload[0].level == 0 && cfg->audit.payload[0].users.n == 2 &&
              cfg->audit.payload[0].models.n == 0);
        CHECK(cfg->audit.payload[1].level == 3 && cfg->audit.payload[2].level == 2);
        CHECK(cfg->audit.max_payload == 8192 && !cfg->core_dumps);
        CHECK(strstr(cfg->audit.subject_keys, "/subject.keys") != NULL);
    } else {
        fprintf(stderr, "%s", reports);
    }
    proxy_config_free(cfg);
    {
        char room[200], path[] = "/tmp/sluice-auditor-XXXXXX";
        int fd = mkstemp(path);

        CHECK(fd >= 0 && close(fd) == 0);
        put_file(path, "-----BEGIN PUBLIC KEY-----\n"
                       "MCowBQYDK2VuAyEAQw9LmFlmUUWmsbonQCRIe9ZvA6LdV313U8aNfX0AwAw=\n"
                       "-----END PUBLIC KEY-----\n");
        CHECK(config_auditor_fault(path, room, sizeof(room)) == NULL);
        put_file(path, "no key");
        CHECK(config_auditor_fault(path, room, sizeof(room)) != NULL &&
              strstr(room, "X25519") != NULL);
        (void)unlink(path);
        CHECK(config_auditor_fault(path, room, sizeof(room)) != NULL);
    }
    refused("audit: { payload: [{ level: sealed }] }", "needs audit.auditor_key");
    refused("audit: { payload: [{ level: none }, { when: { user: a }, level: hmac }] }",
            "never reached");
    refused("audit: { payload: [{ when: { user: a } }] }", "needs the key level");
    refused("audit: { payload: [{ level: all }] }", "audit.payload[0].level");
    refused("audit: { max_payload: 1GiB }", "max_payload");
}

static void test_roles(void)
{
    static const char chat[] =
        "{\"model\":\"m0\",\"messages\":[{\"role\":\"developer\",\"content\":\"w1\"},{\"content\":"
        "[{\"type\":\"text\",\"text\":\"w2\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"w3\"}}],\"role\":\"user\"},{\"role\":\"assistant\",\"content\":\"w4\",\"tool_calls\":"
        "[{\"function\":{\"arguments\":\"w5\"}}]},{\"role\":\"tool\",\"content\":\"w6\"}],"
        "\"tools\":[\"w7\"],\"metadata\":{\"a\":\"w8\"}}";
    static const char anthropic[] =
        "{\"system\":[{\"text\":\"w1\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"tool_result\",\"content\":[{\"type\":\"text\",\"text\":\"w2\"}]},{\"type\":\"text\","
        "\"text\":\"w3\"},{\"type\":\"document\",\"source\":{\"data\":\"w4\"}}]}]}";
    static const char gemini[] =
        "{\"generateContentRequest\":{\"systemInstruction\":{\"parts\":[{\"text\":\"w1\"}]},"
        "\"contents\":[{\"parts\":[{\"text\":\"w2\"},{\"inlineData\":{\"data\":\"w3\"}}]},{"
        "\"role\":\"model\",\"parts\":[{\"functionCall\":{\"args\":{\"a\":\"w4\"}}},{\"text\":"
        "\"w5\"}]}]}}";
    static const char responses[] =
        "{\"instructions\":\"w1\",\"input\":[{\"role\":\"user\",\"content\":\"w2\"},{\"type\":"
        "\"function_call_output\",\"output\":\"w3\"},{\"type\":\"reasoning\",\"summary\":[\"w4\"]},"
        "\"w5\"]}";

    CHECK(whose(chat, "m0") == ROUTER_FIELD_OTHER && whose(chat, "w8") == ROUTER_FIELD_OTHER);
    CHECK(whose(chat, "w1") == ROUTER_FIELD_SYSTEM && whose(chat, "w2") == ROUTER_FIELD_USER);
    CHECK(whose(chat, "w3") == ROUTER_FIELD_FILE && whose(chat, "w4") == ROUTER_FIELD_ASSISTANT);
    CHECK(whose(chat, "w5") == ROUTER_FIELD_TOOL && whose(chat, "w6") == ROUTER_FIELD_TOOL);
    CHECK(whose(chat, "w7") == ROUTER_FIELD_TOOL);
    CHECK(whose(anthropic, "w1") == ROUTER_FIELD_SYSTEM);
    CHECK(whose(anthropic, "w2") == ROUTER_FIELD_TOOL);
    CHECK(whose(anthropic, "w3") == ROUTER_FIELD_USER);
    CHECK(whose(anthropic, "w4") == ROUTER_FIELD_FILE);
    CHECK(whose(gemini, "w1") == ROUTER_FIELD_SYSTEM && whose(gemini, "w2") == ROUTER_FIELD_USER);
    CHECK(whose(gemini, "w3") == ROUTER_FIELD_FILE && whose(gemini, "w4") == ROUTER_FIELD_TOOL);
    CHECK(whose(gemini, "w5") == ROUTER_FIELD_ASSISTANT);
    CHECK(whose(responses, "w1") == ROUTER_FIELD_SYSTEM);
    CHECK(whose(responses, "w2") == ROUTER_FIELD_USER &&
          whose(responses, "w5") == ROUTER_FIELD_USER);
    CHECK(whose(responses, "w3") == ROUTER_FIELD_TOOL);
    CHECK(whose(responses, "w4") == ROUTER_FIELD_ASSISTANT);
    CHECK(whose("{\"input\":\"w1\"}", "w1") == ROUTER_FIELD_USER);
    CHECK(whose("[\"w1\"]", "w1") == ROUTER_FIELD_OTHER);
}

int main(void)
{
    static char page[100000];
    char dir[] = "/tmp/test_config_policy_XXXXXX";
    FILE *f = fopen("docs/policy.md", "r");

    CHECK(f != NULL && fread(page, 1, sizeof(page) - 1, f) > 0);
    if (f != NULL)
        (void)fclose(f);
    if (!CHECK(mkdtemp(dir) != NULL && chdir(dir) == 0))
        return test_done();
    put_file("candidate.yaml", "policy: [{ name: all, when: { class: pii }, then: block }]\n");
    put_file("allow.yaml", "allowlist:\n");
    test_examples_of_the_docs(page);
    test_zones();
    test_lines();
    test_words();
    test_allowlist();
    test_allow_file();
    test_payload();
    test_roles();
    (void)unlink("candidate.yaml");
    (void)unlink("allow.yaml");
    (void)unlink("new.yaml");
    (void)unlink("flow.yaml");
    (void)rmdir(dir);
    return test_done();
}
