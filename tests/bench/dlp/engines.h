/* tests/bench/dlp/engines.h - the scanners that are measured side by side, behind one table. */
#ifndef BENCH_DLP_ENGINES_H
#define BENCH_DLP_ENGINES_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>

/* One pattern of the rules as every engine here understands it: bytes, Perl's syntax. */
struct bench_regex {
    char *text;
    unsigned rule;
};

struct bench_engine {
    const char *name;
    /* Prepares the patterns; *n_refused: those it cannot take. NULL: not at all. */
    void *(*open)(const struct bench_regex *all, unsigned n, unsigned *n_refused);
    /* Scans one message; the number of patterns found or of findings, as the engine counts. */
    size_t (*scan)(void *engine, const char *text, size_t len);
    void (*close)(void *engine);
};

extern const struct bench_engine bench_vectorscan; /* or Hyperscan: whichever libhs is installed */
extern const struct bench_engine bench_pcre2;
extern const struct bench_engine bench_re2;

#ifdef __cplusplus
}
#endif
#endif
