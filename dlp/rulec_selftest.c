/* dlp/rulec_selftest.c - tries the rules that are built in, so that no start has to: their examples, and ordinary text. The
 * build fails when an example is wrong, or a rule too noisy or slow. Not part of the archive. */
#include <stdio.h>

#include "dlp/bundle.h"

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

    struct gw_err err;

    if (bundle_trial(dlp_rules_builtin(), NULL, &err) != GW_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("RULES %u rules, %u examples, %u failed\n", dlp_rules_count(dlp_rules_builtin()), n_run,
           n_failed);
    return n_failed != 0;
}
