/* Values cut over two leaves, and values in JSON inside strings, with the real rules: found, found once,
 * hidden whole, given back whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/dlp.h"
#include "tests/test.h"

/* An AWS access key id in two halves, so that no scanner of this repository takes it for a live one. */
#define HALF1 "AKIAQ7ZKT"
#define HALF2 "M4XJ2WVN3RB"

/* A token whose first half is one by itself. */
#define OPEN1                                                                                      \
    "hvs.Zk3Qm9vT2xLr8"                                                                            \
    "BnYc4WpE6Hs1Kd5Jf"
#define OPEN2 "0Gt3Ru7-Lw8sRck4bMtwK5yDUKi0dqr"

static struct dlp_scanner *scanner;

/* Scans, tokenizes everything found, checks that the texts are gone, and restores. */
static void check(const char *body, unsigned want_findings, const char *gone)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct dlp_vault *vault = dlp_vault_new(GW_SPAN("key"));
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.findings = NULL};
    struct gw_buf out = {0}, back = {0};
    enum gw_action actions[64];

    CHECK(dlp_doc_parse_json(arena, gw_span_str(body), NULL, &doc, NULL) == GW_OK);
    CHECK(dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) == GW_OK);
    if (!CHECK(report.n_findings == want_findings))
        fprintf(stderr, "  %u findings in %s\n", report.n_findings, body);
    for (unsigned i = 0; i < 64; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    CHECK(dlp_doc_edit(doc, dlp_rules_builtin(), &report, actions, vault, &out) == GW_OK);
    if (!CHECK(memmem(out.ptr, out.len, gone, strlen(gone)) == NULL))
        fprintf(stderr, "  %s\n", out.ptr);
    CHECK(dlp_restore_json(vault, gw_buf_span(&out), &back, NULL) == GW_OK);
    if (strstr(body, HALF1 "\"") == NULL && strstr(body, HALF1 "\\\"") == NULL &&
        strstr(body, OPEN1 "\"") == NULL && strstr(body, "AKIA\"") == NULL &&
        strstr(body, "\"A\"") == NULL) /* joined again, a cut value is in the first part */
        CHECK(gw_span_is(gw_buf_span(&back), body));
    gw_buf_fini(&out);
    gw_buf_fini(&back);
    dlp_vault_free(vault);
    gw_arena_free(arena);
}

/* What stands beside a value stays. */
static void check_kept(const char *body, const char *kept)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct dlp_vault *vault = dlp_vault_new(GW_SPAN("key"));
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.findings = NULL};
    struct gw_buf out = {0};
    enum gw_action actions[64];

    CHECK(dlp_doc_parse_json(arena, gw_span_str(body), NULL, &doc, NULL) == GW_OK);
    CHECK(dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) == GW_OK);
    CHECK(report.n_findings != 0);
    for (unsigned i = 0; i < 64; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    CHECK(dlp_doc_edit(doc, dlp_rules_builtin(), &report, actions, vault, &out) == GW_OK);
    CHECK(memmem(out.ptr, out.len, kept, strlen(kept)) != NULL);
    gw_buf_fini(&out);
    dlp_vault_free(vault);
    gw_arena_free(arena);
}

/* A value of single letters, far into an array of them: what is joined is told in pieces that overlap. */
static void test_letters(void)
{
    for (unsigned before = 1900; before < 2200; before += 7) {
        static const char value[] = " key " HALF1 HALF2 " ";
        struct gw_buf body = {0}, want = {0};

        gw_buf_adds(&body, "[\"x\"");
        for (unsigned i = 0; i < before; i++)
            gw_buf_adds(&body, i % 2 == 0 ? ",\"o\"" : ",\" \"");
        for (unsigned i = 0; value[i] != '\0'; i++)
            gw_buf_printf(&body, ",\"%c\"", value[i]);
        for (unsigned i = 0; i < 3000; i++)
            gw_buf_adds(&body, i % 2 == 0 ? ",\"o\"" : ",\" \"");
        gw_buf_adds(&body, "]");
        for (unsigned i = 0; HALF2[i + 1] != '\0'; i++)
            gw_buf_printf(&want, "\"%c\",", HALF2[i]);
        check(body.ptr, 1, want.ptr);
        gw_buf_fini(&body);
        gw_buf_fini(&want);
    }
}

/* More paths between the halves than texts to join are kept for: their path is one of those that were given up. */
static void test_many_paths(void)
{
    enum { PATHS = 3000 };
    struct gw_buf b = {0};

    gw_buf_adds(&b,
                "{\"input\":\"[{\\\"x\\\":\\\"some words\\\"},{\\\"x\\\":\\\"key " HALF1 "\\\"},");
    for (unsigned i = 0; i < 2 * PATHS; i++)
        gw_buf_printf(&b, "{\\\"k%u\\\":\\\"v\\\"},", i % PATHS);
    gw_buf_adds(&b, "{\\\"x\\\":\\\"" HALF2 " end\\\"}]\"}");
    check(b.ptr, 1, HALF2);
    gw_buf_fini(&b);
}

int main(void)
{
    scanner = dlp_scanner_new();
    check("{\"content\":\"key " HALF1 HALF2 " end\"}", 1, HALF1);
    check("{\"content\":[{\"text\":\"key " HALF1 "\"},{\"text\":\"" HALF2 " end\"}]}", 1, HALF2);
    check("{\"messages\":[{\"content\":\"key " HALF1 "\"},{\"content\":\"" HALF2 "\"}]}", 1, HALF1);
    /* Over what somebody else says in between, however often. */
    check("{\"messages\":[{\"role\":\"user\",\"content\":\"key " HALF1
          "\"},{\"role\":\"assistant\",\"content\":\"and the rest?\"},"
          "{\"role\":\"user\",\"content\":\"" HALF2 " end\"}]}",
          1, HALF2);
    check("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"k AKIA\"}]},"
          "{\"role\":\"model\",\"parts\":[{\"text\":\"yes?\"}]},"
          "{\"role\":\"user\",\"parts\":[{\"text\":\"Q7ZKT\"}]},"
          "{\"role\":\"model\",\"parts\":[{\"text\":\"go on\"}]},"
          "{\"role\":\"user\",\"parts\":[{\"text\":\"" HALF2 "\"}]}]}",
          1, HALF2);
    /* Not cut: the neighbours' texts do not make it two findings, or longer. */
    check("{\"messages\":[{\"content\":\"a\"},{\"content\":\"key " HALF1 HALF2
          " end\"},{\"content\":\"b\"}]}",
          1, HALF1);
    check("{\"messages\":[{\"content\":\"write to bob@example.org\"},{\"content\":\"yes\"}]}", 1,
          "bob@");
    check("{\"content\":[{\"text\":\"key " OPEN1 "\"},{\"text\":\"" OPEN2 " end\"}]}", 1, OPEN2);
    check("{\"content\":[{\"text\":\"key " OPEN1 "\"},{\"text\":\"" OPEN2 " end\"}]}", 1, OPEN1);
    check_kept("{\"content\":[{\"text\":\"key " OPEN1 "-" OPEN2 "\"},{\"text\":\"Thanks a lot\"}]}",
               "\"Thanks a");
    check("{\"arguments\":\"{\\\"note\\\":\\\"key " HALF1 HALF2 "\\\"}\"}", 1, HALF1);
    test_letters();
    test_many_paths();
    dlp_scanner_free(scanner);
    return test_done();
}
