/* dlp/bundle_selftest.c - runs the examples that rules carry. Thread: any, one at a time per call. */
#include "dlp/scan.h"

/* True when rule is found in text at the confidence that is reported by default. */
static bool finds(struct dlp_scanner *s, struct dlp_rules *r, uint32_t rule, struct gw_span text,
                  enum gw_status *st)
{
    *st = scan_prepare(s, r);
    s->only_rule = rule + 1;
    if (*st == GW_OK)
        *st = scan_text(s, r, text, (struct gw_span){NULL, 0}, 0, 40);
    if (*st == GW_OK)
        *st = scan_count(s, r, NULL, text, 40);
    s->only_rule = 0;
    return s->n_found > 0;
}

static unsigned run_examples(struct dlp_rules *r, const bool *only, unsigned *n_run,
                             void (*fail)(void *ctx, const struct dlp_example_failure *f),
                             void *ctx)
{
    struct dlp_scanner *s = dlp_scanner_new();
    unsigned n_failed = 0, n = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++) {
        const struct bundle_rule *rule = &r->b->rules[i];

        if (rule->mode == DLP_MODE_OFF || (only != NULL && !only[i]))
            continue;
        for (unsigned k = 0; k < rule->n_examples; k++) {
            const struct bundle_example *e = &rule->examples[k];
            struct gw_span text = {e->text.ptr, e->text.len};
            enum gw_status st = GW_ENOMEM;
            bool found = s != NULL && finds(s, r, i, text, &st);

            n++;
            if (st == GW_OK && found == (e->should_match != 0))
                continue;
            n_failed++;
            if (fail != NULL)
                fail(ctx, &(struct dlp_example_failure){.rule = rule->id,
                                                        .file = rule->file,
                                                        .line = e->line,
                                                        .should_match = e->should_match != 0});
        }
    }
    dlp_scanner_free(s);
    if (n_run != NULL)
        *n_run = n;
    return n_failed;
}

unsigned dlp_rules_selftest(struct dlp_rules *r, unsigned *n_run,
                            void (*fail)(void *ctx, const struct dlp_example_failure *f), void *ctx)
{
    return run_examples(r, NULL, n_run, fail, ctx);
}

/* Remembers the first example that failed. */
struct first_failure {
    struct dlp_example_failure f;
    bool set;
};

static void note_failure(void *ctx, const struct dlp_example_failure *f)
{
    struct first_failure *first = ctx;

    if (!first->set)
        *first = (struct first_failure){*f, true};
}

enum gw_status bundle_check_examples(struct dlp_rules *r, const bool *only, struct gw_err *err)
{
    struct first_failure first = {.set = false};
    unsigned n_run = 0, n_failed = run_examples(r, only, &n_run, note_failure, &first);

    if (n_failed == 0)
        return GW_OK;
    return gw_fail(err, GW_EINVAL, "%s:%u: rule %s: %s (%u of %u examples are wrong)", first.f.file,
                   first.f.line, first.f.rule,
                   first.f.should_match ? "this match example is not found"
                                        : "something is found in this no_match example",
                   n_failed, n_run);
}
