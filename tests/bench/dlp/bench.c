/* tests/bench/dlp/bench.c - how fast one set of rules is scanned for, by us and by others, in one process.
 *
 * usage: bench [--seconds S] [--bytes N] [--engines NAME;...] RULES FOLDER [NAME:SIZE:]FILE...
 *
 * RULES: a shared object of `sluice rules build`, or `builtin`; FOLDER: the same rules as YAML, for the other engines. Each file is cut
 * into messages of SIZE bytes (10240 when not given; 0: one a line). The engines take turns; of each the best pass over
 * the messages counts, since other work on the machine can only make a pass slower.
 * Prints one line of JSON for each file and engine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dlp/bundle.h"
#include "dlp/scan.h"
#include "tests/bench/dlp/regexes.h"

enum { MAX_ENGINES = 16, ARENA_BYTES = 1 << 30, MIN_PASSES = 3 };

static struct dlp_rules *rules; /* of the Sluice engines */

/* ---- Sluice, and what memory allows ------------------------------------------------------- */

struct ours {
    struct dlp_scanner *scanner;
    struct gw_arena *arena;
    enum prefilter_level level;
};

static void *ours_new(enum prefilter_level level, bool can)
{
    struct ours *o = can ? calloc(1, sizeof(*o)) : NULL;

    if (o == NULL)
        return NULL;
    *o = (struct ours){dlp_scanner_new(), gw_arena_new(ARENA_BYTES), level};
    return o;
}

static void *best_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    (void)all, (void)n, (void)n_refused;
    return ours_new(prefilter_best(), true);
}

static void *avx2_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    (void)all, (void)n, (void)n_refused;
    return ours_new(PREFILTER_AVX2, prefilter_has_avx2());
}

static void *scalar_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    (void)all, (void)n, (void)n_refused;
    return ours_new(PREFILTER_SCALAR, true);
}

static void ours_close(void *engine)
{
    struct ours *o = engine;

    dlp_scanner_free(o->scanner);
    gw_arena_free(o->arena);
    free(o);
}

static void use_level(const struct ours *o)
{
    prefilter_choose(&rules->filter, o->level);
    for (unsigned i = 0; i < BUNDLE_LONG_TEXTS; i++)
        prefilter_choose(&rules->long_filters[i], o->level);
}

static size_t scan_doc(struct ours *o, const struct dlp_doc *doc)
{
    struct dlp_report report = {.findings = NULL};

    use_level(o);
    if (dlp_scan(o->scanner, rules, doc, o->arena, NULL, &report) != GW_OK)
        report.n_findings = 1000000; /* refused: the caller fails closed */
    gw_arena_reset(o->arena);
    return report.n_findings;
}

static size_t ours_text(void *engine, const char *text, size_t len)
{
    struct ours *o = engine;
    struct dlp_doc *doc = NULL;

    if (dlp_doc_parse_text(o->arena, (struct gw_span){text, len}, &doc) != GW_OK)
        return 0;
    return scan_doc(o, doc);
}

/* What the gateway does with a body: leaves, then the scan. */
static size_t ours_body(void *engine, const char *text, size_t len)
{
    struct ours *o = engine;
    struct dlp_doc *doc = NULL;
    struct gw_err err;

    if (dlp_doc_parse_json(o->arena, (struct gw_span){text, len}, NULL, &doc, &err) != GW_OK) {
        gw_arena_reset(o->arena);
        return 0;
    }
    return scan_doc(o, doc);
}

static size_t ours_parse(void *engine, const char *text, size_t len)
{
    struct ours *o = engine;
    struct dlp_doc *doc = NULL;
    struct gw_err err;
    size_t ok =
        dlp_doc_parse_json(o->arena, (struct gw_span){text, len}, NULL, &doc, &err) == GW_OK;

    gw_arena_reset(o->arena);
    return ok;
}

/* The filter that a scan of so many bytes takes. */
static const struct prefilter *filter_for(size_t len)
{
    const struct prefilter *f = &rules->filter;

    for (unsigned i = 0; i < BUNDLE_LONG_TEXTS && len >= bundle_long_texts[i]; i++)
        f = &rules->long_filters[i];
    return f;
}

static size_t ours_filter(void *engine, const char *text, size_t len)
{
    struct ours *o = engine;
    struct prefilter_places *places = &o->scanner->places;
    const struct prefilter *f = filter_for(len);
    size_t n = 0;

    use_level(o);
    for (size_t from = 0; from < len; from += PREFILTER_CHUNK) {
        size_t to = len - from < PREFILTER_CHUNK ? len : from + PREFILTER_CHUNK;

        f->find(f, (const unsigned char *)text, from, to, len, places);
        n += places->n_literal + places->n_wide;
        for (size_t i = 0; i * 64 < to - from; i++)
            n += (size_t)__builtin_popcountll(places->start[i]);
    }
    return n;
}

static size_t run_memchr(void *engine, const char *text, size_t len)
{
    (void)engine;
    return memchr(text, '\1', len) != NULL;
}

/* An addition a byte, each waiting for the one before: megabytes a second are megahertz. Figures divided by it compare machines, and
 * a machine with itself when others use it. Of two registers: what an instruction itself adds, recent processors add while they rename. */
static size_t run_clock(void *engine, const char *text, size_t len)
{
    size_t n = 0, one = 1;

    (void)engine, (void)text;
    for (size_t i = 0; i < len; i += 8)
        __asm__ volatile("add %1,%0\nadd %1,%0\nadd %1,%0\nadd %1,%0\nadd %1,%0\nadd %1,%0\n"
                         "add %1,%0\nadd %1,%0"
                         : "+r"(n)
                         : "r"(one));
    return n & 1;
}

static const struct bench_engine engines[] = {
    {"clock", best_open, run_clock, ours_close},
    {"memchr", best_open, run_memchr, ours_close},
    {"filter", best_open, ours_filter, ours_close},
    {"parse", best_open, ours_parse, ours_close},
    {"Sluice", best_open, ours_text, ours_close},
    {"Sluice, body", best_open, ours_body, ours_close},
    {"Sluice, AVX2", avx2_open, ours_text, ours_close},
    {"Sluice, scalar", scalar_open, ours_text, ours_close},
};

/* Time of this thread alone, so that other work on the machine counts only as far as it takes cache and memory. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- measuring ---------------------------------------------------------------------------- */

struct run {
    const struct bench_engine *engine;
    void *state;
    unsigned n_refused, n_passes;
    uint64_t best_ns, spent_ns;
    size_t n_messages, n_bytes; /* of a pass */
    size_t found;
};

struct messages {
    struct gw_span *all;
    size_t n, bytes;
};

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;

    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        goto fail;
    *len = (size_t)ftell(f);
    rewind(f);
    text = malloc(*len + 1);
    if (text == NULL || fread(text, 1, *len, f) != *len)
        goto fail;
    (void)fclose(f);
    return text;
fail:
    perror(path);
    exit(1);
}

static void cut(struct messages *m, const char *text, size_t len, size_t size)
{
    size_t at = 0;

    m->all = calloc(len / (size == 0 ? 2 : size) + 2, sizeof(*m->all));
    while (at < len) {
        const char *end = size == 0 ? memchr(text + at, '\n', len - at) : NULL;
        size_t n = size == 0 ? (end == NULL ? len - at : (size_t)(end - text) - at) : size;

        if (at + n > len)
            break;
        if (n > 0) {
            m->all[m->n++] = (struct gw_span){text + at, n};
            m->bytes += n;
        }
        at += n + (size == 0);
    }
}

/* One pass over the messages, or as many of them as fit into limit_ns. */
static void pass(struct run *r, const struct messages *m, uint64_t limit_ns)
{
    uint64_t start = cpu_ns(), took = 0;
    size_t n = r->n_messages == 0 ? m->n : r->n_messages, i = 0, found = 0;
    size_t bytes = 0;

    for (; i < n; i++) {
        found += r->engine->scan(r->state, m->all[i].ptr, m->all[i].len);
        bytes += m->all[i].len;
        if (r->n_messages == 0 && (i & 7) == 7 && cpu_ns() - start > limit_ns)
            break;
    }
    took = cpu_ns() - start;
    r->spent_ns += took;
    if (r->n_messages == 0) { /* the first pass warms up, and says how many are enough */
        r->n_messages = i < n ? i + 1 : n;
        return;
    }
    r->n_bytes = bytes;
    r->found = found;
    r->n_passes++;
    if (r->best_ns == 0 || took < r->best_ns)
        r->best_ns = took;
}

static void measure(struct run *runs, unsigned n, const struct messages *m, double seconds)
{
    bool more = true;

    for (unsigned i = 0; i < n; i++) {
        runs[i].n_messages = runs[i].n_passes = 0;
        runs[i].best_ns = runs[i].spent_ns = 0;
    }
    while (more) {
        more = false;
        for (unsigned i = 0; i < n; i++) {
            if (runs[i].state == NULL ||
                (runs[i].n_passes >= MIN_PASSES && (double)runs[i].spent_ns > seconds * 1e9))
                continue;
            pass(&runs[i], m, (uint64_t)(seconds * 1e9 / 8));
            more = true;
        }
    }
}

static void print(const struct run *r, const char *name, size_t size)
{
    if (r->state == NULL)
        return;
    printf(
        "{\"engine\":\"%s\",\"text\":\"%s\",\"size\":%zu,\"mb_s\":%.1f,\"us\":%.3f,\"found\":%zu,"
        "\"bytes\":%zu,\"refused\":%u}\n",
        r->engine->name, name, size, (double)r->n_bytes / (double)r->best_ns * 1e3,
        (double)r->best_ns / (double)r->n_messages / 1e3, r->found, r->n_bytes, r->n_refused);
    (void)fflush(stdout);
}

/* ---- main --------------------------------------------------------------------------------- */

static const struct bench_engine *engine_named(const char *name)
{
    static const struct bench_engine *const others[] = {&bench_vectorscan, &bench_re2,
                                                        &bench_pcre2};

    for (unsigned i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (strcmp(engines[i].name, name) == 0)
            return &engines[i];
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(others[i]->name, name) == 0)
            return others[i];
    fprintf(stderr, "there is no engine %s\n", name);
    exit(2);
}

static void open_rules(const char *name)
{
    struct gw_err err;

    if (strcmp(name, "builtin") == 0) {
        rules = dlp_rules_builtin();
    } else if (dlp_rules_load(name, &rules, &err) != GW_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void bench_file(char *arg, struct run *runs, unsigned n, double seconds, size_t max_bytes)
{
    struct messages m = {NULL, 0, 0};
    char *size_at = strchr(arg, ':'), *path_at = size_at == NULL ? NULL : strchr(size_at + 1, ':');
    size_t size = size_at == NULL ? 10240 : strtoul(size_at + 1, NULL, 10), len = 0;
    char *text = read_file(path_at == NULL ? arg : path_at + 1, &len);

    if (size_at != NULL)
        *size_at = '\0';
    cut(&m, text, len < max_bytes ? len : max_bytes, size);
    if (m.n == 0) {
        fprintf(stderr, "%s: shorter than a message\n", arg);
        exit(1);
    }
    measure(runs, n, &m, seconds);
    for (unsigned i = 0; i < n; i++)
        print(&runs[i], arg, size);
    free(m.all);
    free(text);
}

int main(int argc, char **argv)
{
    char *names = strdup("memchr;filter;Sluice");
    struct bench_regexes regexes;
    struct run runs[MAX_ENGINES] = {{0}};
    unsigned n = 0;
    double seconds = 0.3;
    size_t max_bytes = 4 << 20;
    struct gw_err err;
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--bytes") == 0)
            max_bytes = strtoul(argv[i + 1], NULL, 10);
        else
            names = argv[i + 1];
    }
    if (argc - i < 3) {
        fprintf(stderr, "usage: bench [--seconds S] [--bytes N] [--engines A;B] RULES FOLDER "
                        "[NAME:SIZE:]FILE...\n");
        return 2;
    }
    open_rules(argv[i]);
    if (bench_regexes_load(argv[i + 1], &regexes, &err) != GW_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (char *next = NULL, *name = strtok_r(names, ";", &next); name != NULL && n < MAX_ENGINES;
         name = strtok_r(NULL, ";", &next)) {
        runs[n].engine = engine_named(name);
        runs[n].state = runs[n].engine->open(regexes.all, regexes.n, &runs[n].n_refused);
        n++;
    }
    for (i += 2; i < argc; i++)
        bench_file(argv[i], runs, n, seconds, max_bytes);
    for (unsigned k = 0; k < n; k++)
        if (runs[k].state != NULL)
            runs[k].engine->close(runs[k].state);
    return 0;
}
