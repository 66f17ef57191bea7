/* tests/bench/dlp/regexes.h - the rules of a folder as regular expressions (regexes.c). */
#ifndef BENCH_DLP_REGEXES_H
#define BENCH_DLP_REGEXES_H

#include "base/err.h"
#include "tests/bench/dlp/engines.h"

struct bench_regexes {
    struct bench_regex *all; /* for the life of the process */
    unsigned n, n_rules;
};

/* Reads every rule of the folder. GW_ENOENT, GW_EIO, GW_EINVAL, GW_ENOMEM. */
enum gw_status bench_regexes_load(const char *folder, struct bench_regexes *out,
                                  struct gw_err *err);

#endif
