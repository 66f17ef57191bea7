/* tests/unit/dlp/test_overlap.c - of findings that overlap the strongest stay, as when each is asked about all that are stronger. */
#include <stdlib.h>

#include "dlp/scan.h"
#include "tests/test.h"

enum { MOST = 24, ROUNDS = 20000 };

static uint32_t state = 1;

static uint32_t draw(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

static bool is_stronger(const struct dlp_finding *a, const struct dlp_finding *b)
{
    uint32_t a_len = a->end - a->start, b_len = b->end - b->start;

    if (a->confidence != b->confidence)
        return a->confidence > b->confidence;
    if (a_len != b_len)
        return a_len > b_len;
    if (a->start != b->start)
        return a->start < b->start;
    return a->rule < b->rule;
}

/* Takes the strongest that is left and does not overlap one that was taken, again and again; then sorts. */
static unsigned reference(struct dlp_finding *f, unsigned n, struct dlp_finding *out)
{
    unsigned n_out = 0;

    for (; n > 0; n--) {
        unsigned best = 0, at;
        bool apart = true;

        for (unsigned i = 1; i < n; i++)
            best = is_stronger(&f[i], &f[best]) ? i : best;
        for (unsigned i = 0; i < n_out; i++)
            apart = apart && (out[i].end <= f[best].start || out[i].start >= f[best].end);
        for (at = n_out; apart && at > 0 && out[at - 1].start > f[best].start; at--)
            out[at] = out[at - 1];
        if (apart) {
            out[at] = f[best];
            n_out++;
        }
        f[best] = f[n - 1];
    }
    return n_out;
}

static bool same(const struct dlp_finding *a, const struct dlp_finding *b)
{
    return a->rule == b->rule && a->start == b->start && a->end == b->end &&
           a->confidence == b->confidence;
}

/* How many are left at least, as is said while they come. Rule 2 counts its values: none may be left of it. */
static unsigned count_apart(struct dlp_scanner *s, const struct dlp_finding *f, unsigned n)
{
    struct scan_leaf x = {.s = s};

    for (unsigned i = 0; i < n; i++)
        scan_count_apart(&x, &f[i], f[i].rule == 2);
    CHECK(x.st == GW_OK);
    return x.heaps.n;
}

/* One finding in front of those that are resolved stays as it is. */
static void test_random(struct dlp_scanner *s, unsigned room, bool in_order)
{
    struct dlp_finding all[MOST], copy[MOST], kept[MOST];
    unsigned n = 2 + draw(MOST - 2), n_kept, n_sure = 0;
    uint32_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        at = in_order ? at + draw(room) : draw(room * MOST);
        all[i] = (struct dlp_finding){.rule = draw(3), .start = at, .confidence = (uint8_t)draw(3)};
        all[i].end = at + 1 + draw(6);
        copy[i] = all[i];
    }
    n_kept = reference(copy, n, kept);
    for (unsigned i = 0; i < n_kept; i++)
        n_sure += kept[i].rule != 2;
    CHECK(count_apart(s, all, n) <= n_sure);
    s->found[0] = (struct dlp_finding){.rule = 77, .start = 3, .end = 9};
    memcpy(s->found + 1, all, n * sizeof(*all));
    s->n_found = 1 + n;
    CHECK(scan_resolve(s, 1) == GW_OK && s->n_found == 1 + n_kept && s->found[0].rule == 77);
    for (unsigned i = 0; i < n_kept && s->n_found == 1 + n_kept; i++)
        CHECK(same(&s->found[1 + i], &kept[i]));
}

/* Many of them the wrong way round, which no insertion sorts. */
static void test_reversed(struct dlp_scanner *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        s->found[i] = (struct dlp_finding){.start = 4 * (n - i), .end = 4 * (n - i) + 4};
    s->n_found = n;
    CHECK(scan_resolve(s, 0) == GW_OK && s->n_found == n);
    for (unsigned i = 0; i < n; i++)
        CHECK(s->found[i].start == 4 * (i + 1));
    CHECK(count_apart(s, s->found, n) == n);
}

/* A chain in which each overlaps the next ones: those of a text that is made so. The strong ones stand between the weak ones. */
static void test_chain(struct dlp_scanner *s, unsigned n, struct dlp_finding *copy,
                       struct dlp_finding *kept)
{
    uint32_t at = 9;
    unsigned n_kept;

    for (unsigned i = 0; i < n; i++) {
        s->found[i] = (struct dlp_finding){
            .rule = i % 2, .start = at, .end = at + 60 + draw(200), .confidence = (uint8_t)draw(3)};
        at += 1 + draw(59);
        copy[i] = s->found[i];
    }
    n_kept = reference(copy, n, kept);
    s->n_found = n;
    CHECK(scan_resolve(s, 0) == GW_OK && s->n_found == n_kept);
    for (unsigned i = 0; i < n_kept && s->n_found == n_kept; i++)
        CHECK(same(&s->found[i], &kept[i]));
}

int main(void)
{
    enum { N = 1000 };
    static struct dlp_finding copy[N], kept[N];
    struct dlp_scanner *s = dlp_scanner_new();

    s->found = calloc(N, sizeof(*s->found));
    s->cap_found = N;
    for (unsigned i = 0; i < ROUNDS; i++)
        test_random(s, 1 + i % 9, i % 2 == 0);
    test_reversed(s, N);
    for (unsigned i = 0; i < 20; i++)
        test_chain(s, 60 + i * 40, copy, kept);
    dlp_scanner_free(s);
    return test_done();
}
