/* dlp/rulec_selftest.c - runs the examples of the rules that are built in; the build fails when one is
 * wrong. Not part of the archive. */
#include <stdio.h>

#include "dlp/dlp.h"

static void print_failure(void *ctx, const struct dlp_example_failure *f)
{
    (void)ctx;
    (void)fprintf(stderr, "%s:%u: rule %s: %s\n", f->file, f->line, f->rule,
                  f->should_match ? "does not find its match example"
                                  : "finds something in its no_match example");
}

int main(void)
{
    unsigned n_run = 0;
    unsigned n_failed = dlp_rules_selftest(dlp_rules_builtin(), &n_run, print_failure, NULL);

    printf("RULES %u rules, %u examples, %u failed\n", dlp_rules_count(dlp_rules_builtin()), n_run,
           n_failed);
    return n_failed != 0;
}
