/* A value is found by the name that its JSON member has, where the text itself says nothing; it is all of the value and nothing else,
 * once; and numbers that are no identifiers cost nothing. */
#include <stdio.h>
#include <string.h>

#include "dlp/dlp.h"
#include "tests/test.h"

struct seen {
    unsigned n;
    char rule[48];    /* of the first one */
    char value[64];   /* its bytes in the leaf */
    char pointer[64]; /* where that is */
    uint64_t scanned;
};

static struct seen look(const char *body)
{
    struct gw_arena *arena = gw_arena_new(16 << 20);
    struct dlp_scanner *scanner = dlp_scanner_new();
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.n_findings = 0};
    struct seen s = {.n = 0};

    CHECK(dlp_doc_parse_json(arena, gw_span_str(body), NULL, &doc, NULL) == GW_OK);
    CHECK(dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) == GW_OK);
    s.n = report.n_findings;
    s.scanned = report.scanned_bytes;
    if (s.n > 0) {
        const struct dlp_finding *f = &report.findings[0];
        struct dlp_leaf leaf = dlp_doc_leaf(doc, f->leaf);
        struct gw_buf pointer = {0};

        CHECK(f->view == DLP_VIEW_PLAIN);
        CHECK(f->start < f->end && f->end <= leaf.text.len);
        (void)snprintf(s.rule, sizeof(s.rule), "%s",
                       dlp_rules_info(dlp_rules_builtin(), f->rule)->id);
        (void)snprintf(s.value, sizeof(s.value), "%.*s", (int)(f->end - f->start),
                       leaf.text.ptr + f->start);
        dlp_doc_pointer(doc, f->leaf, &pointer);
        (void)snprintf(s.pointer, sizeof(s.pointer), "%.*s", (int)pointer.len, pointer.ptr);
        gw_buf_fini(&pointer);
    }
    dlp_scanner_free(scanner);
    gw_arena_free(arena);
    return s;
}

static void test_found(void)
{
    static const struct {
        const char *body, *rule, *pointer, *value;
    } cases[] = {
        {"{\"password\":\"hunter2x9\"}", "generic-password", "/password", "hunter2x9"},
        {"{\"cvv\":\"731\"}", "card-security-code", "/cvv", "731"},
        {"{\"mrn\":\"00123456\"}", "medical-record-number", "/mrn", "00123456"},
        {"{\"mrn\":100123456}", "medical-record-number", "/mrn", "100123456"},
        /* In what quotes would end it. */
        {"{\"db_password\":\"a9;Kq(7z,x\"}", "generic-password", "/db_password", "a9;Kq(7z,x"},
        /* An escape in it. */
        {"{\"password\":\"hunt\\u0065r2x9\"}", "generic-password", "/password", "hunter2x9"},
        /* A tool's arguments as an object. */
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"input\":{"
         "\"user\":"
         "\"bob\",\"password\":\"hunter2x9\"}}]}]}",
         "generic-password", "/messages/0/content/0/input/password", "hunter2x9"},
        /* The first of an array, and a later one. */
        {"{\"passwords\":[\"hunter2x9\"]}", "generic-password", "/passwords/0", "hunter2x9"},
        {"{\"passwords\":[\"a\",\"hunter2x9\"]}", "generic-password", "/passwords/1", "hunter2x9"},
        /* Its name is beside it. */
        {"{\"env\":[{\"name\":\"HOME\",\"value\":\"/home/x\"},{\"name\":\"DB_PASSWORD\",\"value\":"
         "\"zuR8xKq2\"}]}",
         "generic-password", "/env/1/value", "zuR8xKq2"},
        /* The same the other way round, also behind an entry of a name of its own. */
        {"{\"env\":[{\"value\":\"/home/x\",\"name\":\"HOME\"},\n { \"value\" : \"zuR8xKq2\" ,\n"
         "\"key\" : \"DB_PASSWORD\" },{\"value\":\"zuR8xKq3\",\"name\":\"LOGDIR\"}]}",
         "generic-password", "/env/1/value", "zuR8xKq2"},
        {"{\"value\":\"hunt\\u0065r2x9\",\"name\":\"DB_PASSWORD\"}", "generic-password", "/value",
         "hunter2x9"},
        {"{\"name\":\"DB_PASSWORD\",\"of\":{\"a\":1},\"value\":\"zuR8xKq2\"}", "generic-password",
         "/value", "zuR8xKq2"},
        /* Of two names the one in front. */
        {"{\"name\":\"DB_PASSWORD\",\"value\":\"zuR8xKq2\",\"key\":\"x\"}", "generic-password",
         "/value", "zuR8xKq2"},
        /* The names have escapes. */
        {"{\"us\\u0065r\":\"bob\",\"cv\\u0076\":\"731\"}", "card-security-code", "/cvv", "731"},
        /* A question, and its answer in the next message. */
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"And your passport number?\"},"
         "{\"role\":\"user\",\"content\":\"533380006\"}]}",
         "passport-number", "/messages/1/content", "533380006"},
        /* In a string that holds JSON, where it is seen in both, once. */
        {"{\"arguments\":\"{\\\"password\\\":\\\"hunter2x9\\\"}\"}", "generic-password",
         "/arguments/password", "hunter2x9"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen s = look(cases[i].body);

        CHECK(s.n == 1);
        CHECK(strcmp(s.rule, cases[i].rule) == 0);
        CHECK(strcmp(s.value, cases[i].value) == 0);
        if (strstr(cases[i].body, "\\\"") == NULL)
            CHECK(strcmp(s.pointer, cases[i].pointer) == 0);
    }
}

static void test_quiet(void)
{
    static const char *const bodies[] = {
        "{\"password\":\"********\"}",
        "{\"password\":\"string\"}",
        "{\"password\":{\"type\":\"string\",\"description\":\"the user's password\"}}",
        "{\"name\":\"password\",\"type\":\"string\",\"value\":\"\"}",
        "{\"content\":\"hunter2x9\"}",
        "{\"token\":\"Hello\",\"tokens\":[\"Hello\",\" world\",\"internationally\"]}",
        "{\"Tags\":[{\"Key\":\"Name\",\"Value\":\"Margaret\"}]}",
        /* A name far away is another's. */
        "{\"name\":\"password\",\"in\":\"query\",\"of\":{\"a\":1,\"b\":2},\"c\":3,\"value\":"
        "\"zuR8xKq2\"}",
        "{\"name\":\"x\",\"value\":\"zuR8xKq2\",\"key\":\"DB_PASSWORD\"}",
        "{\"value\":\"zuR8xKq2\",\"of\":\"x\",\"name\":\"DB_PASSWORD\"}",
        "{\"value\":\"zuR8xKq2\",\"name\":\"DB_PASSW\\u004FRD\"}",
        "{\"a\":[{\"name\":\"DB_PASSWORD\"},{\"value\":\"zuR8xKq2\"}]}",
        /* The name of a setting is none of the next one. */
        "{\"env\":[{\"name\":\"DB_PASSWORD\"},{\"name\":\"LOGDIR\",\"value\":\"zuR8xKq2\"}]}",
    };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        CHECK(look(bodies[i]).n == 0);
}

static void test_fractions(void)
{
    CHECK(look("{\"card\":4111111111111111}").n == 1);
    CHECK(look("{\"embedding\":[0.4111111111111111,-0.0123456789,12.3456789012]}").scanned ==
          sizeof("embedding") - 1);
    CHECK(look("{\"a\":12345.6789}").scanned == sizeof("a12345.6789") - 1);
}

int main(void)
{
    test_found();
    test_quiet();
    test_fractions();
    return test_done();
}
