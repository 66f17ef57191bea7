/* tests/unit/dlp/test_interp.c - rules opened without a compiler are those that are compiled in: same tables, same
 * matches, and the examples hold. */
#include <time.h>

#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

static struct dlp_rules *native, *interpreted;

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_open(void)
{
    const char *path = "rules";
    struct gw_err err = {GW_OK, ""};
    double start = now_ms(), opened;
    unsigned n_run = 0;

    if (!CHECK(dlp_rules_open(&path, 1, &(struct dlp_rules_options){.without_examples = true},
                              &interpreted, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        exit(1);
    }
    opened = now_ms();
    CHECK(dlp_rules_selftest(interpreted, &n_run, NULL, NULL) == 0);
    printf("  %u rules opened in %.0f ms, %u examples run in %.0f ms\n",
           dlp_rules_count(interpreted), opened - start, n_run, now_ms() - opened);
    CHECK(strcmp(dlp_rules_digest(interpreted), dlp_rules_digest(native)) == 0);
    CHECK(interpreted->b->n_patterns == native->b->n_patterns &&
          interpreted->b->n_windows == native->b->n_windows &&
          interpreted->b->n_runs == native->b->n_runs &&
          interpreted->b->n_memos == native->b->n_memos);
}

/* What a pattern's matcher says at one place. */
static struct bundle_match match_at(const struct dlp_rules *r, uint32_t pattern,
                                    const unsigned char *s, const unsigned char *lim)
{
    static struct bundle_memo memo[256];
    static uint32_t epoch;
    struct bundle_match m = {.epoch = ++epoch, .memo = memo};

    bundle_match(r, pattern, s, lim, &m);
    if (m.len == 0)
        m.start = m.end = 0;
    return m;
}

static bool agree(uint32_t pattern, struct gw_span text, size_t at)
{
    const unsigned char *s = (const unsigned char *)text.ptr + at;
    struct bundle_match a = match_at(native, pattern, s, s + text.len - at);
    struct bundle_match b = match_at(interpreted, pattern, s, s + text.len - at);
    bool same = a.len == b.len && a.start == b.start && a.end == b.end && a.cut == b.cut;

    if (!same)
        fprintf(stderr,
                "  %s, pattern %u at %zu: native %u %u-%u cut %u, interpreter %u %u-%u cut %u\n",
                native->info[native->b->patterns[pattern].rule].id, pattern, at, a.len, a.start,
                a.end, a.cut, b.len, b.start, b.end, b.cut);
    return same;
}

/* Every pattern at every byte of its own rule's examples. */
static void test_examples(void)
{
    const struct bundle *b = native->b;
    bool same = true;

    for (uint32_t p = 0; p < b->n_patterns; p++) {
        const struct bundle_rule *r = &b->rules[b->patterns[p].rule];

        for (unsigned i = 0; i < r->n_examples; i++) {
            struct gw_span text = {r->examples[i].text.ptr, r->examples[i].text.len};

            for (size_t at = 0; at < text.len; at++)
                same = agree(p, text, at) && same;
        }
    }
    CHECK(same);
}

int main(void)
{
    native = dlp_rules_builtin();
    test_open();
    test_examples();
    dlp_rules_unref(interpreted);
    return test_done();
}
