/* dlp/prefilter_runs.c - sorts the runs of long tokens that the filter is built for (prefilter.h). Thread: any; the tables are written
 * here only. */
#include <limits.h>
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

bool prefilter_is_anywhere(const struct bundle *b, const struct bundle_run *run)
{
    return run->target.max > 0 || !prefilter_at_word(&b->patterns[run->target.pattern]);
}

static bool is_at_token(const struct bundle *b, const struct bundle_run *run)
{
    return b->patterns[run->target.pattern].before == RULEC_BOUNDARY_TOKEN;
}

/* Those at words first; runs of one set and kind together, the shortest first. */
static int by_group(const void *a, const void *b, void *ctx)
{
    const struct bundle *bundle = *(const struct bundle *const *)ctx;
    const struct bundle_run *x = &bundle->runs[((const struct prefilter_run *)a)->index],
                            *y = &bundle->runs[((const struct prefilter_run *)b)->index];
    int kind_x = prefilter_is_anywhere(bundle, x) * 2 + is_at_token(bundle, x),
        kind_y = prefilter_is_anywhere(bundle, y) * 2 + is_at_token(bundle, y);

    if (kind_x != kind_y)
        return kind_x - kind_y;
    if (x->set != y->set)
        return x->set < y->set ? -1 : 1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return x < y ? -1 : x > y;
}

static bool is_same(const struct prefilter_runs *a, const struct prefilter_runs *b)
{
    return a->set == b->set && a->anywhere == b->anywhere && a->at_token == b->at_token;
}

static void make_groups(struct prefilter *f, const struct bundle *b)
{
    qsort_r(f->runs, f->n_runs, sizeof(*f->runs), by_group, &b);
    for (uint32_t i = 0; i < f->n_runs; i++) {
        const struct bundle_run *run = &b->runs[f->runs[i].index];
        struct prefilter_runs group = {.first = i,
                                       .end = i + 1,
                                       .set = run->set,
                                       .least = run->n,
                                       .most = run->n,
                                       .anywhere = prefilter_is_anywhere(b, run),
                                       .at_token = is_at_token(b, run)};
        unsigned n = f->n_run_groups;

        if (n > 0 && is_same(&f->run_groups[n - 1], &group)) {
            f->run_groups[n - 1].end = group.end;
            f->run_groups[n - 1].most = group.most;
        } else {
            f->run_groups[f->n_run_groups++] = group;
        }
    }
}

/* How long a run that a match begins with can be: UINT32_MAX for any. Where a match ends inside a run of bytes that words are made of,
 * no boundary is behind it. */
static uint32_t run_limit(const struct bundle *b, const struct bundle_run *run)
{
    const struct bundle_pattern *p = &b->patterns[run->target.pattern];
    unsigned closing = p->after == RULEC_BOUNDARY_TOKEN ? 2 : 1;

    if (p->longest == 0 || (p->after != RULEC_BOUNDARY_WORD && p->after != RULEC_BOUNDARY_TOKEN))
        return UINT32_MAX;
    for (unsigned byte = 0; byte < 256; byte++)
        if (rx_set_has(&b->sets[run->set], byte) && (prefilter_flags[byte] & closing) == 0)
            return UINT32_MAX;
    return p->longest;
}

/* The pattern's text: patterns of a rule stand together, in order. */
static struct gw_span text_of(const struct bundle *b, uint32_t pattern)
{
    const struct bundle_rule *rule = &b->rules[b->patterns[pattern].rule];
    uint32_t first = pattern;

    while (first > 0 && b->patterns[first - 1].rule == b->patterns[pattern].rule)
        first--;
    if (pattern - first >= rule->n_patterns)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){rule->patterns[pattern - first].ptr,
                            rule->patterns[pattern - first].len};
}

/* Is the pattern `[set]{n,m}` and no more, between boundaries that no byte of its set is? Then a match is the whole run. */
static bool is_all(const struct bundle *b, const struct bundle_run *run)
{
    struct gw_span text = text_of(b, run->target.pattern);
    const char *close = text.len == 0 ? NULL : memchr(text.ptr, ']', text.len);
    size_t at;

    if (close == NULL || text.ptr[0] != '[' || text.ptr[1] == '^' ||
        memchr(text.ptr, '\\', text.len) != NULL || prefilter_is_anywhere(b, run) ||
        run_limit(b, run) == UINT32_MAX)
        return false;
    at = (size_t)(close - text.ptr) + 1;
    if (at + 1 >= text.len || text.ptr[at] != '{' || text.ptr[text.len - 1] != '}')
        return false;
    for (at++; at + 1 < text.len; at++)
        if (text.ptr[at] != ',' && (text.ptr[at] < '0' || text.ptr[at] > '9'))
            return false;
    return true;
}

/* Has every match a byte in front of the run that no token has? */
static bool is_first(const struct bundle *b, const struct bundle_run *run)
{
    const struct bundle_pattern *p = &b->patterns[run->target.pattern];
    const unsigned place = run->target.min - 1;

    if (run->target.min != run->target.max || run->target.min == 0 || place >= BUNDLE_HEAD_BYTES)
        return false;
    for (uint32_t i = 0; i < p->n_heads; i++)
        for (unsigned byte = 0; byte < 256; byte++)
            if ((prefilter_flags[byte] & 2) != 0 && rx_set_has(&b->sets[p->head[i][place]], byte))
                return false;
    return true;
}

/* Fills in what is known of each run, and of all. */
static void measure_runs(struct prefilter *f, const struct bundle *b)
{
    for (unsigned i = 0; i < f->n_runs; i++) {
        f->runs[i].limit = run_limit(b, &b->runs[f->runs[i].index]);
        f->runs[i].is_all = is_all(b, &b->runs[f->runs[i].index]);
        f->runs[i].is_first = is_first(b, &b->runs[f->runs[i].index]);
    }
    f->least_run = f->reach_least = UINT_MAX;
    for (unsigned i = 0; i < f->n_runs; i++) {
        const struct bundle_run *run = &b->runs[f->runs[i].index];

        f->least_run = run->n < f->least_run ? run->n : f->least_run;
        if (run->target.min == run->target.max && run->target.max > 0 && !f->runs[i].is_first &&
            run->target.max <= RULEC_MAX_OFFSET) {
            f->run_reach = run->target.max > f->run_reach ? run->target.max : f->run_reach;
            f->reach_least = run->n < f->reach_least ? run->n : f->reach_least;
        }
    }
    f->least_row = f->least_run < RULEC_MIN_RUN ? RULEC_MIN_RUN : f->least_run;
    if (f->least_row > 64)
        f->least_row = 64;
}

/* Fills in what is asked of all groups at words at once. */
static void fill_run_bits(struct prefilter *f, const struct bundle *b)
{
    while (f->n_word_groups < f->n_run_groups && !f->run_groups[f->n_word_groups].anywhere)
        f->n_word_groups++;
    f->shortest_run = UINT_MAX;
    for (unsigned i = 0; i < f->n_word_groups && i < PREFILTER_RUN_BITS; i++) {
        const struct prefilter_runs *group = &f->run_groups[i];
        uint64_t bit = UINT64_C(1) << i;

        for (unsigned byte = 0; byte < 256; byte++)
            f->run_bits[byte] |= rx_set_has(&b->sets[group->set], byte) ? bit : 0;
        f->all_runs |= bit;
        f->word_runs |= group->at_token ? 0 : bit;
        f->shortest_run = group->least < f->shortest_run ? group->least : f->shortest_run;
        f->longest_run = group->most > f->longest_run ? group->most : f->longest_run;
    }
}

/* Fills in which bytes runs are made of; all are of tokens. */
static void fill_run_bytes(struct prefilter *f, const struct bundle *b)
{
    for (unsigned byte = 0; byte < 128; byte++) {
        bool in_run = false;

        for (unsigned i = 0; i < f->n_run_groups && !in_run; i++)
            in_run = rx_set_has(&b->sets[f->run_groups[i].set], byte);
        f->flags[byte] |= in_run ? PREFILTER_IN_RUN : 0;
        f->in_run[byte & 15] |= (uint8_t)(in_run << (byte >> 4));
        f->run_is_token = f->run_is_token && in_run == ((prefilter_flags[byte] & 2) != 0);
    }
}

void prefilter_group_runs(struct prefilter *f, const struct bundle *b)
{
    memcpy(f->flags, prefilter_flags, sizeof(f->flags));
    f->run_is_token = true;
    if (f->n_runs == 0)
        return;
    make_groups(f, b);
    fill_run_bytes(f, b);
    measure_runs(f, b);
    fill_run_bits(f, b);
}
