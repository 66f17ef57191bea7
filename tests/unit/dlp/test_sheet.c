/* Values in columns are found by the heading of their column, in every row and as all of the cell; in what spreadsheets, databases and
 * Markdown write; cells that are no values stay. */
#include <stdio.h>
#include <string.h>

#include "dlp/view_sheet.h"
#include "tests/test.h"

static struct dlp_scanner *scanner;

/* How many findings of the rule the text has. None overlaps another, and all lie in it. */
static unsigned count(const char *text, const char *rule)
{
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.n_findings = 0};
    unsigned n = 0;

    CHECK(dlp_doc_parse_text(arena, gw_span_str(text), &doc) == GW_OK);
    CHECK(dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) == GW_OK);
    for (unsigned i = 0; i < report.n_findings; i++) {
        const struct dlp_finding *f = &report.findings[i];

        CHECK(f->view == DLP_VIEW_PLAIN && f->start < f->end && f->end <= strlen(text));
        CHECK(i == 0 || f->start >= report.findings[i - 1].end);
        n += strcmp(dlp_rules_info(dlp_rules_builtin(), f->rule)->id, rule) == 0;
    }
    gw_arena_free(arena);
    return n;
}

#define ROWS(a, b, c)                                                                              \
    "1" a "ann" b "hunter2x9" c "2" a "bob" b "zuR8xKq2" c "3" a "cid" b "Kx77tQ9p" c

static void test_forms(void)
{
    static const char *const tables[] = {
        "id,user,password\n" ROWS(",", ",", "\n"),
        "id\tuser\tpassword\n" ROWS("\t", "\t", "\n"),
        "id;user;password\r\n" ROWS(";", ";", "\r\n"),
        "\"id\",\"user\",\"password\"\n\"1\",\"a,b\",\"hunter2x9\"\n\"2\",\"bob\",\"zuR8xKq2\"\n"
        "\"3\",\"\",\"Kx77tQ9p\"\n",
        "| id | user | password |\n|---|:--|---|\n| 1 | ann | hunter2x9 |\n| 2 | bob | `zuR8xKq2` "
        "|\n"
        "| 3 | cid | Kx77tQ9p |\n",
        " id | user | password\n----+------+-----------\n  1 | ann  | hunter2x9\n  2 | bob  | "
        "zuR8xKq2\n  3 | cid  | Kx77tQ9p\n(3 rows)\n",
        "user,password\nann,hunter2x9\nbob,zuR8xKq2\ncid,Kx77tQ9p\n",
        "Here are the accounts, as you asked, thanks\nid,user,password\n" ROWS(",", ",", "\n"),
        "Here they are:\n\nid,user,password\n" ROWS(",", ",", "\n") "\nPlease sort them.\n",
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (!CHECK(count(tables[i], "generic-password") == 3))
            (void)fprintf(stderr, "%s\n", tables[i]);
}

/* Rows far below their heading, which no context reaches. */
static void test_long(void)
{
    static char text[200000];
    size_t n = (size_t)snprintf(text, sizeof(text), "name,ssn,city\n");
    unsigned rows = 4000;

    for (unsigned i = 0; i < rows; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "Person,53622%04u,Oslo\n", 1000 + i);
    CHECK(count(text, "us-social-security-number-plain") == rows);
}

static void test_quiet(void)
{
    CHECK(count("id,user,password\n1,ann,none\n2,bob,********\n3,cid,\n", "generic-password") == 0);
    CHECK(count("if (a, b, password)\nfoo(1, 2, x9);\nbar(3, 4, y7);\nbaz(5, 6, z8);\n",
                "generic-password") == 0);
    CHECK(count("We looked at it, twice, and then\nroom 12b4c, floor 3, was\nempty 7u8k9, so, "
                "we\nleft 1a2b3c, at, nine\n",
                "generic-password") == 0);
}

/* Every cut of a table, and every place of a byte that means something: it stays inside. */
static void test_cut(void)
{
    static const char table[] =
        "id,user,password\n1,ann,hunter2x9\n2,\"b,ob\",zuR8xKq2\n3,cid,Kx77t\n";
    struct view_text v = {.cut = false};

    for (size_t len = 0; len < sizeof(table); len++)
        for (unsigned change = 0; change < 4; change++) {
            char text[sizeof(table)];
            struct view_sheet s[VIEW_SHEETS];
            unsigned n;

            memcpy(text, table, len);
            if (len > 0 && change > 0)
                text[len * change / 4] = "\n,\""[change - 1];
            n = view_find_sheets((struct gw_span){text, len}, s, VIEW_SHEETS);
            for (unsigned i = 0; i < n; i++)
                for (unsigned column = 0; column < s[i].n_columns; column++) {
                    size_t to = view_make_column(&v, (struct gw_span){text, len}, &s[i], column,
                                                 s[i].from, 2);
                    uint32_t start = 0, end = (uint32_t)v.out.len;

                    CHECK(to > s[i].from && to <= len);
                    if (end > 0)
                        CHECK(view_map_labelled(&v, &start, &end) && start < end && end <= len);
                }
        }
    view_fini(&v);
}

int main(void)
{
    scanner = dlp_scanner_new();
    CHECK(scanner != NULL);
    test_forms();
    test_long();
    test_quiet();
    test_cut();
    dlp_scanner_free(scanner);
    return test_done();
}
