/* tests/bench/bench_guard.c - what it costs to scan an answer while it grows.
 *
 * usage: bench_guard [FILE...]
 *
 * Each file's first 256 KiB are fed to a guard in pieces of 4, 8, 64 and 1,024 bytes and at once; MB/s of this thread's CPU time, with how
 * much was held back on average, and of dlp_scan() over the same text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dlp/bundle.h"
#include "dlp/dlp.h"

enum { TEXT_MAX = 256 << 10, ARENA_BYTES = 1 << 30, PASSES = 3 };

static struct dlp_rules *rules;
static struct dlp_scanner *scanner;
static unsigned n_found;

static double cpu_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static enum gw_action count(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx, (void)f;
    n_found++;
    return GW_ACTION_ALERT;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_guard: %s\n", what);
    exit(1);
}

/* Seconds for the text in such pieces; *held: bytes that were held back behind each piece, on average. */
static double guard_once(struct gw_span text, size_t piece, double *held)
{
    struct dlp_guard *g = dlp_guard_new(scanner, rules, NULL, 0, count, NULL);
    struct gw_buf out = {0};
    double from = cpu_s();
    size_t sum = 0, n = 0;

    n_found = 0;
    if (g == NULL)
        fail("out of memory");
    for (; text.len > 0; n++) {
        size_t len = piece < text.len ? piece : text.len;

        if (dlp_guard_feed(g, (struct gw_span){text.ptr, len}, &out) != GW_OK)
            fail("the guard refused");
        sum += dlp_guard_held(g);
        gw_buf_clear(&out);
        text = gw_span_from(text, len);
    }
    if (dlp_guard_finish(g, &out) != GW_OK)
        fail("the guard refused");
    from = cpu_s() - from;
    *held = (double)sum / (double)n;
    dlp_guard_free(g);
    gw_buf_fini(&out);
    return from;
}

static double scan_once(struct gw_span text, struct gw_arena *arena)
{
    struct dlp_report report;
    struct dlp_doc *doc = NULL;
    double from = cpu_s();

    gw_arena_reset(arena);
    if (dlp_doc_parse_text(arena, text, &doc) != GW_OK ||
        dlp_scan(scanner, rules, doc, arena, NULL, &report) != GW_OK)
        fail("the scanner refused");
    n_found = report.n_findings;
    return cpu_s() - from;
}

static void bench(const char *path, struct gw_arena *arena)
{
    static const size_t pieces[] = {4, 8, 64, 1024, TEXT_MAX};
    static char text[TEXT_MAX];
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    FILE *f = fopen(path, "rb");
    size_t len = f == NULL ? 0 : fread(text, 1, sizeof(text), f);
    double best = 1e9, held = 0;

    if (f == NULL || len == 0)
        fail(path);
    (void)fclose(f);
    for (unsigned k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
        best = 1e9;
        for (unsigned i = 0; i < PASSES; i++) {
            double took = guard_once((struct gw_span){text, len}, pieces[k], &held);

            best = took < best ? took : best;
        }
        printf("%-40s pieces of %6zu: %7.1f MB/s, %6.1f bytes held, %u found\n", name, pieces[k],
               (double)len / best / 1e6, held, n_found);
    }
    best = 1e9;
    for (unsigned i = 0; i < PASSES; i++) {
        double took = scan_once((struct gw_span){text, len}, arena);

        best = took < best ? took : best;
    }
    printf("%-40s scanned as a whole: %5.1f MB/s, %u found\n", name, (double)len / best / 1e6,
           n_found);
}

int main(int argc, char **argv)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);

    rules = dlp_rules_builtin();
    scanner = dlp_scanner_new();
    if (arena == NULL || scanner == NULL)
        fail("out of memory");
    for (int i = 1; i < argc; i++)
        bench(argv[i], arena);
    dlp_scanner_free(scanner);
    gw_arena_free(arena);
    return 0;
}
