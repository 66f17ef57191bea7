/* proxy/cmd/cmd_rules_bench.c - sluice rules bench: what each rule costs on texts of the user's own. One thread.
 *
 * The speed of the whole is measured without the counters; then one more pass with them says where the time goes. Reading
 * the clock twice a candidate costs more than many candidates do, so its own time is measured and taken away. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

enum { ARENA_BYTES = 1 << 30, SHOWN = 20, CLOCK_READS = 20000 };

static const uint64_t MIN_NS = 300000000; /* of the pass that is timed */

struct bench {
    struct dlp_rules *rules;
    struct dlp_scanner *scanner;
    struct gw_arena *arena;
    struct gw_buf *texts; /* of each file */
    unsigned n_texts;
    uint64_t bytes;
    unsigned n_findings; /* of one pass */
};

static int add_file(void *ctx, const char *path)
{
    struct bench *b = ctx;
    struct gw_buf *grown = realloc(b->texts, (b->n_texts + 1) * sizeof(*grown));

    if (grown == NULL)
        return cli_fail("rules bench", 1, "out of memory");
    b->texts = grown;
    b->texts[b->n_texts] = (struct gw_buf){NULL, 0, 0, false};
    if (cmd_rules_read_file("rules bench", path, &b->texts[b->n_texts]) != 0) {
        gw_buf_fini(&b->texts[b->n_texts]);
        return 1;
    }
    b->bytes += b->texts[b->n_texts++].len;
    return 0;
}

/* Scans every text once. */
static int pass(struct bench *b)
{
    b->n_findings = 0;
    for (unsigned i = 0; i < b->n_texts; i++) {
        struct dlp_doc *doc = NULL;
        struct dlp_report report;
        enum gw_status st;

        gw_arena_reset(b->arena);
        st = dlp_doc_parse_text(b->arena, gw_buf_span(&b->texts[i]), &doc);
        if (st == GW_OK)
            st = dlp_scan(b->scanner, b->rules, doc, b->arena, NULL, &report);
        if (st != GW_OK)
            return cli_fail("rules bench", 1, "%s while scanning; split the file",
                            gw_status_name(st));
        b->n_findings += report.n_findings;
    }
    return 0;
}

/* What reading the clock twice takes. */
static uint64_t clock_ns(void)
{
    uint64_t from = gw_clock_ns();

    for (unsigned i = 0; i < CLOCK_READS; i++)
        (void)gw_clock_ns();
    return (gw_clock_ns() - from) / CLOCK_READS;
}

/* One rule's line. */
struct row {
    unsigned rule;
    struct dlp_rule_cost cost;
};

static int by_ns(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->cost.ns != y->cost.ns)
        return x->cost.ns < y->cost.ns ? 1 : -1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static void print_json(const struct bench *b, const struct row *rows, unsigned n, double mb_s)
{
    printf("{\"bytes\":%llu,\"findings\":%u,\"mb_per_s\":%.1f,\"rules\":[",
           (unsigned long long)b->bytes, b->n_findings, mb_s);
    for (unsigned i = 0; i < n; i++)
        printf("%s{\"rule\":\"%s\",\"candidates\":%llu,\"matches\":%llu,\"ns\":%llu}",
               i == 0 ? "" : ",", dlp_rules_info(b->rules, rows[i].rule)->id,
               (unsigned long long)rows[i].cost.candidates,
               (unsigned long long)rows[i].cost.matches, (unsigned long long)rows[i].cost.ns);
    printf("]}\n");
}

static void print_table(const struct bench *b, const struct row *rows, unsigned n, double mb_s)
{
    uint64_t all = 0, candidates = 0;
    double mb = (double)b->bytes / 1e6;

    for (unsigned i = 0; i < n; i++) {
        all += rows[i].cost.ns;
        candidates += rows[i].cost.candidates;
    }
    printf(
        "%.2f MB in %u files at %.1f MB/s, %u findings; %.1f matcher calls and %.1f us of rules' "
        "own time a KB\n",
        mb, b->n_texts, mb_s, b->n_findings, (double)candidates / mb / 1e3, (double)all / mb / 1e6);
    printf("%s%-32s %11s %11s %9s %9s %6s%s\n", cli_paint(stdout, "bold"), "RULE", "CANDIDATES",
           "MATCHES", "NS EACH", "NS A KB", "SHARE", cli_paint(stdout, "reset"));
    for (unsigned i = 0; i < n && i < SHOWN && rows[i].cost.candidates > 0; i++) {
        const struct dlp_rule_cost *c = &rows[i].cost;

        printf("%-32s %11llu %11llu %9.0f %9.1f %5.1f%%\n",
               dlp_rules_info(b->rules, rows[i].rule)->id, (unsigned long long)c->candidates,
               (unsigned long long)c->matches, (double)c->ns / (double)c->candidates,
               (double)c->ns / mb / 1e3, all == 0 ? 0 : 100.0 * (double)c->ns / (double)all);
    }
}

/* Times whole passes, then one with counters. */
static int measure(struct bench *b, bool json)
{
    unsigned n = dlp_rules_count(b->rules), passes = 0;
    struct dlp_rule_cost *costs = calloc(n + 1, sizeof(*costs));
    struct row *rows = calloc(n + 1, sizeof(*rows));
    uint64_t clock = clock_ns(), from, took = 0;
    int status = costs == NULL || rows == NULL ? cli_fail("rules bench", 1, "out of memory")
                                               : pass(b); /* warms up */

    for (from = gw_clock_ns(); status == 0 && took < MIN_NS; took = gw_clock_ns() - from, passes++)
        status = pass(b);
    if (status == 0) {
        dlp_scanner_measure(b->scanner, costs);
        status = pass(b);
        dlp_scanner_measure(b->scanner, NULL);
    }
    for (unsigned i = 0; i < n && status == 0 && costs != NULL && rows != NULL; i++) {
        uint64_t own = costs[i].candidates * clock;

        costs[i].ns = costs[i].ns > own ? costs[i].ns - own : 0;
        rows[i] = (struct row){i, costs[i]};
    }
    if (status == 0 && rows != NULL) {
        double mb_s = (double)b->bytes * passes * 1e3 / (double)took;

        qsort(rows, n, sizeof(*rows), by_ns);
        if (json)
            print_json(b, rows, n, mb_s);
        else
            print_table(b, rows, n, mb_s);
    }
    free(costs);
    free(rows);
    return status;
}

int cmd_rules_bench(const struct cmd_rules_args *a)
{
    struct bench b = {.rules = NULL};
    struct gw_err err;
    int status;

    if (a->n_files == 0)
        return cli_fail("rules bench", 2, "give files or folders of text to scan");
    if (cmd_rules_open(a, &b.rules, &err) != GW_OK)
        return cli_fail_err("rules bench", &err);
    b.scanner = dlp_scanner_new();
    b.arena = gw_arena_new(ARENA_BYTES);
    status = b.scanner == NULL || b.arena == NULL
                 ? cli_fail("rules bench", 1, "out of memory")
                 : cmd_rules_each_file("rules bench", a->files, a->n_files, add_file, &b);
    if (status == 0 && b.bytes == 0)
        status = cli_fail("rules bench", 1, "the files are empty");
    if (status == 0)
        status = measure(&b, a->json);
    for (unsigned i = 0; i < b.n_texts; i++)
        gw_buf_fini(&b.texts[i]);
    free(b.texts);
    gw_arena_free(b.arena);
    dlp_scanner_free(b.scanner);
    dlp_rules_unref(b.rules);
    return status;
}
