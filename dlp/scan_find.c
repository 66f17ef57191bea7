/* dlp/scan_find.c - from the places that the filter gives to the starts at which patterns are tried.
 *
 * Several anchors lead to the same start, in any order; a rule goes on behind its last finding, so starts are tried ascending,
 * and at one start patterns ascending: exactly what trying every pattern at every byte does. Starts wait in a ring until no
 * anchor that is still to come can lead in front of them. Thread: the scanner's. */
#include <string.h>

#include "dlp/rulec.h"
#include "dlp/rulec_anchor.h"
#include "dlp/scan.h"

/* ---- windows ------------------------------------------------------------------------------ */

/* n bytes at `at`, in the text or, near its end, in tail with zeroes behind. */
static const unsigned char *bytes_at(const struct scan_leaf *x, size_t at, size_t n,
                                     unsigned char *tail)
{
    const unsigned char *p = (const unsigned char *)x->text.ptr + at;

    if (x->text.len - at >= n)
        return p;
    memset(tail, 0, n);
    memcpy(tail, p, x->text.len - at);
    return tail;
}

/* Offers those of the targets [i, end) that fit the bytes around a window at `at`. */
static inline void offer_targets(struct scan_leaf *x, uint32_t i, uint32_t end,
                                 const uint64_t around[2], size_t at)
{
    enum { FEW = 2 };
    const struct prefilter *f = x->filter;

    if (end - i > FEW) {
        scan_offer_targets(x, i, end, around, at);
        return;
    }
    for (unsigned k = 0; k < end - i; k++)
        if (prefilter_around_fits(f->arounds + (size_t)PREFILTER_AROUND_WORDS * i, end - i, k,
                                  around))
            scan_offer_target(x, &f->targets[i + k], at);
}

/* Offers what a literal of that length at `at` is the anchor of. */
static inline void find_literal(struct scan_leaf *x, enum prefilter_length length, size_t at,
                                const unsigned char *bytes, const uint64_t around[2])
{
    const struct prefilter_index *literals = &x->filter->literals[length];
    const struct prefilter_common *c =
        &literals->common[prefilter_hash(length, bytes + BUNDLE_AROUND_BEFORE) >> 3];
    uint64_t key;

    if (c->n == 0) { /* it was compared with what they have in common, which is all of it */
        offer_targets(x, c->first, c->first + c->n_targets, around, at);
        return;
    }
    memcpy(&key, bytes + BUNDLE_AROUND_BEFORE - PREFILTER_LIT_BEFORE, sizeof(key));
    for (unsigned k = c->first; k < c->first + c->n; k++) {
        const struct prefilter_lit *lit = &literals->lits[k];

        if ((key & lit->mask) == lit->value)
            offer_targets(x, lit->first, lit->end, around, at);
    }
}

static void find_literals(struct scan_leaf *x, const struct prefilter_places *places, size_t from)
{
    for (unsigned i = 0; i < places->n_literal && x->st == GW_OK; i++) {
        unsigned place = places->literal[i];
        size_t at = from + (place & PREFILTER_PLACE);
        unsigned char copy[BUNDLE_AROUND_BYTES];
        const unsigned char *p =
            prefilter_around((const unsigned char *)x->text.ptr, at, x->text.len, copy);
        uint64_t around[2];

        memcpy(around, p, sizeof(around));
        if ((place & PREFILTER_IS_FOUR) != 0)
            find_literal(x, PREFILTER_FOUR, at, p, around);
        if ((place & PREFILTER_IS_THREE) != 0)
            find_literal(x, PREFILTER_THREE, at, p, around);
    }
}

/* Offers the targets of wide windows whose bits are left of a word of their rows at `at`. */
static inline void offer_left(struct scan_leaf *x, unsigned word, uint64_t left, size_t at)
{
    const struct prefilter *f = x->filter;

    for (; left != 0; left &= left - 1)
        scan_offer_seen(
            x, &f->targets[f->wide_targets[word * 64 + (unsigned)__builtin_ctzll(left)]], at);
}

static void find_wide(struct scan_leaf *x, const struct prefilter_places *places, size_t from)
{
    const struct prefilter *f = x->filter;

    for (unsigned i = 0; i < places->n_wide && x->st == GW_OK; i++) {
        const size_t at = from + places->wide_at[i];
        unsigned char copy[BUNDLE_AROUND_BYTES];
        const unsigned char *around;

        if (f->wide_words == 1) {
            offer_left(x, 0, places->wide_left[i], at);
            continue;
        }
        around = prefilter_around((const unsigned char *)x->text.ptr, at, x->text.len, copy);
        for (unsigned word = 0; word < f->wide_words; word++)
            offer_left(x, word, prefilter_wide_left(f, f->wide_words, word, around), at);
    }
}

/* ---- starts ------------------------------------------------------------------------------- */

/* Notes at `at` the starts of n words of the rows from the first-th on whose matches can end where a token does. */
static inline void push_all(struct scan_leaf *x, unsigned first, const uint64_t *alive, unsigned n,
                            size_t at)
{
    const uint64_t ends = scan_ends_at(x, at);
    const bool at_token = scan_boundary_before(RULEC_BOUNDARY_TOKEN, x->text, at);

    for (unsigned k = 0; k < n; k++)
        if (alive[k] != 0)
            scan_push_starts(x, x->filter->starts + (size_t)(first + k) * 64, alive[k], ends,
                             at_token, at);
}

/* Notes the patterns that sixteen bytes at a word's beginning and what is near allow, at the places of block i, which is at `from`: where
 * rows are more than a word. */
static void find_starts(struct scan_leaf *x, const struct prefilter_places *places, size_t i,
                        size_t from)
{
    const struct prefilter *f = x->filter;

    for (uint64_t left = places->start[i]; left != 0 && x->st == GW_OK; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(left),
                 near = prefilter_near_at(places, (unsigned)i * 64 + bit);
        size_t at = from + bit;
        unsigned char tail[BUNDLE_HEAD_BYTES];
        const unsigned char *p = bytes_at(x, at, sizeof(tail), tail);

        x->work++;
        for (unsigned first = 0; first < f->start_words; first += PREFILTER_ROW_WORDS) {
            uint64_t alive[PREFILTER_ROW_WORDS];

            if (f->allowed(f, p, near, first, alive))
                push_all(x, first, alive, PREFILTER_ROW_WORDS, at);
        }
    }
}

static void find_all_starts(struct scan_leaf *x, const struct prefilter_places *places, size_t from)
{
    for (uint64_t busy = places->busy; busy != 0; busy &= busy - 1) {
        size_t i = (size_t)__builtin_ctzll(busy);

        find_starts(x, places, i, from + i * 64);
    }
}

/* The same where they are one, and the filter asked for it. */
static void find_left(struct scan_leaf *x, const struct prefilter_places *places, size_t from)
{
    for (unsigned i = 0; i < places->n_start && x->st == GW_OK; i++)
        push_all(x, 0, &places->start_left[i], 1, from + places->start_at[i]);
}

/* ---- runs --------------------------------------------------------------------------------- */

/* Where the row of the set's bytes ends of which n are at `at`, `most` + 1 bytes behind that at most. Many places stand in one row: each byte is
 * read once. */
static size_t row_behind(struct scan_leaf *x, uint32_t set, size_t at, size_t n, size_t most)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    struct scan_row *r = &x->rows[set % SCAN_ROWS];
    size_t known;

    if (r->set != set || at < r->from || at > r->to)
        *r = (struct scan_row){set, at, at};
    known = r->to = r->to > at + n ? r->to : at + n;
    while (r->to < x->text.len && r->to - at <= most &&
           rx_set_has(&x->rules->b->sets[set], text[r->to]))
        r->to++;
    x->work += r->to - known;
    return r->to;
}

/* Is the run of a set, of which n bytes at least are at `at`, of a rule that wants random tokens, and are these words, or too many? Most identifiers
 * are; it is what scan_judge() would say. */
static bool is_words(struct scan_leaf *x, const struct prefilter_run *run, uint32_t in, size_t at,
                     size_t n)
{
    const struct bundle *b = x->rules->b;
    size_t end, most = run->limit;
    uint32_t rule = b->patterns[run->pattern].rule;

    if (!run->is_all || !x->rules->asks_random[rule] || b->rules[rule].n_nears > 0 || x->growing ||
        x->s->explain != NULL)
        return false;
    end = row_behind(x, in, at, n, most);
    return end - at > most || scan_is_wordy(x, at, end);
}

/* Notes at `at`, where a word begins, the runs of a group that begin their match there, where n bytes of its set are. */
static void offer_runs(struct scan_leaf *x, const struct prefilter_runs *group, size_t at, size_t n)
{
    const uint64_t ends = scan_ends_at(x, at);

    for (uint32_t i = group->first; i < group->end && x->filter->runs[i].n <= n; i++) {
        const struct prefilter_run *run = &x->filter->runs[i];

        if (n > run->limit || (x->filter->needs[run->pattern].lengths & ends) == 0 ||
            scan_sleeps(x, run->pattern, at))
            continue;
        if (is_words(x, run, group->set, at, n))
            x->s->n_hits++;
        else
            scan_offer(x, run->pattern, at);
    }
}

/* The same for one group after another. */
static void find_runs_at(struct scan_leaf *x, const struct prefilter_runs *group, size_t at,
                         size_t end)
{
    const struct bundle *b = x->rules->b;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const struct bundle_set *set = &b->sets[group->set];
    size_t longest = group->most + 1, stop = at;

    end = end - at < longest ? end : at + longest;
    while (stop < end && rx_set_has(set, text[stop]))
        stop++;
    offer_runs(x, group, at, stop - at);
}

/* text[from, to) are bytes of the sets of all of these groups. */
struct common_row {
    uint64_t groups;
    size_t from, to;
};

/* The same for all groups whose bits are in alive. row: of a place in front in the same row, and then of this one. */
static void find_all_runs_at(struct scan_leaf *x, uint64_t alive, size_t at, size_t end,
                             struct common_row *row)
{
    const struct prefilter *f = x->filter;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    size_t i = at, least = at + f->shortest_run;

    if (f->all_runs == 0 || end < least)
        return;
    end = end - at <= f->longest_run ? end : at + f->longest_run + 1;
    alive &= f->run_bits[text[at]];
    if (at >= row->from && at < row->to && (alive & ~row->groups) == 0)
        i = row->to;
    for (; i < least && alive != 0; i++)
        alive &= f->run_bits[text[i]];
    for (; alive != 0; i++) {
        uint64_t next = i < end ? alive & f->run_bits[text[i]] : 0;

        if (i == end)
            *row = (struct common_row){alive, at, end};
        for (uint64_t gone = alive & ~next; gone != 0; gone &= gone - 1) {
            const struct prefilter_runs *group = &f->run_groups[__builtin_ctzll(gone)];

            if (i - at >= group->least)
                offer_runs(x, group, at, i - at);
        }
        alive = next;
    }
}

/* The part [from, to) of a row of bytes that runs are made of. What is behind `to` counts as far as the longest run asks. */
static void find_row(struct scan_leaf *x, size_t from, size_t to)
{
    const struct prefilter *f = x->filter;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    struct common_row row = {0};
    struct scan_words words;
    size_t reach,
        end = to,
        most = to + x->rules->max_run < x->text.len ? to + x->rules->max_run : x->text.len;

    if (to == x->chunk_end)
        while (end < most && (f->flags[text[end]] & PREFILTER_IN_RUN) != 0)
            end++;
    if (end - from < f->least_run)
        return;
    reach = end - from < f->reach_least ? 0 : f->run_reach;
    scan_words_in(x, from > reach ? from - reach : 0, to, &words);
    for (unsigned k = 0; k < words.n && x->st == GW_OK; k++) {
        size_t at = words.base + words.at[k];
        bool at_token;

        if (at < from)
            continue;
        at_token = scan_boundary_before(RULEC_BOUNDARY_TOKEN, x->text, at);
        find_all_runs_at(x, at_token ? f->all_runs : f->word_runs, at, end, &row);
        for (unsigned i = PREFILTER_RUN_BITS; i < f->n_word_groups; i++)
            if (at_token || !f->run_groups[i].at_token)
                find_runs_at(x, &f->run_groups[i], at, end);
    }
    for (unsigned i = f->n_word_groups; i < f->n_run_groups && x->st == GW_OK; i++)
        if (end - from >= f->run_groups[i].least)
            scan_runs_anywhere(x, &f->run_groups[i], &words, from, to, end);
}

/* Where the row that holds `at` ends, or the chunk at `to`. */
static size_t row_end(const struct scan_leaf *x, size_t at, size_t to)
{
    const uint64_t *run = prefilter_run_bytes(x->filter, &x->s->places);
    size_t block = (at - x->chunk) / 64, bit = (at - x->chunk) % 64, end;
    uint64_t left = ~run[block] >> bit << bit;

    while (left == 0 && (block + 1) * 64 < to - x->chunk)
        left = ~run[++block];
    if (left == 0)
        return to;
    end = x->chunk + block * 64 + (size_t)__builtin_ctzll(left);
    return end < to ? end : to;
}

/* Which of the first 64 bits, high being those behind them, are the first of n in a row: from RULEC_MIN_RUN to 64. */
static inline uint64_t first_of(uint64_t low, uint64_t high, unsigned n)
{
    unsigned more = n - RULEC_MIN_RUN < RULEC_MIN_RUN ? n - RULEC_MIN_RUN : RULEC_MIN_RUN,
             rest = n - RULEC_MIN_RUN - more;

    for (unsigned k = 1; k < RULEC_MIN_RUN; k *= 2) {
        low &= low >> k | high << (64 - k);
        high &= high >> k;
    }
    /* No branch: whether some are left is hard to guess. Shifts of 0 keep all. */
    low &= low >> more | high << 1 << (63 - more);
    high &= high >> more;
    return low & (low >> rest | high << 1 << (63 - rest));
}

/* Finds rows that are long enough for the shortest run and have a part in the chunk. One that began before it counts anew from here:
 * the starts in front were looked at with the chunk before. */
static void find_rows(struct scan_leaf *x, const struct prefilter_places *places, size_t from,
                      size_t to)
{
    const uint64_t *run = prefilter_run_bytes(x->filter, places);
    size_t last = (to - from - 1) / 64;
    uint64_t before = 0; /* block i - 1 ends in such a row */

    for (uint64_t rows = places->rows; rows != 0 && x->st == GW_OK; rows &= rows - 1) {
        size_t i = (size_t)__builtin_ctzll(rows);
        uint64_t low = first_of(run[i], run[i + 1], x->filter->least_row);

        if (i == 0 || (places->rows >> (i - 1) & 1) == 0)
            before = 0;
        if (i == last)
            low &= UINT64_MAX >> (63 - (to - from - 1) % 64);
        /* Bits of one run stand together: the first of each is where it begins. */
        for (uint64_t starts = low & ~(low << 1 | before); starts != 0; starts &= starts - 1) {
            size_t at = from + i * 64 + (size_t)__builtin_ctzll(starts);

            find_row(x, at, row_end(x, at, to));
        }
        before = low >> 63;
    }
}

/* ---- all of it ---------------------------------------------------------------------------- */

void scan_find(struct scan_leaf *x)
{
    const struct prefilter *f =
        x->n_long > 0 ? &x->rules->long_filters[x->n_long - 1] : &x->rules->filter;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    struct prefilter_places *places = &x->s->places;
    size_t done = x->from, end = done;

    x->filter = f;
    if (++x->s->finds == 0) { /* wrapped: an old walk would look new */
        memset(x->s->walks, 0, sizeof(x->s->walks));
        memset(x->s->asked, 0, sizeof(x->s->asked));
        x->s->finds = 1;
    }
    x->names[0] = x->names[1] = (struct scan_name){.from = SIZE_MAX};
    x->sequel_at = SIZE_MAX;
    for (size_t from = x->from;
         from < x->text.len && from < x->to + RULEC_MAX_OFFSET && x->st == GW_OK; from = end) {
        size_t settled;

        end = x->text.len - from < PREFILTER_CHUNK ? x->text.len : from + PREFILTER_CHUNK;
        settled = end == x->text.len ? end : end - RULEC_MAX_OFFSET;
        f->find(f, text, from, end, x->text.len, places);
        x->chunk = from;
        x->chunk_end = end;
        if (x->can_sleep)
            scan_wake(x);
        find_literals(x, places, from);
        find_wide(x, places, from);
        if (f->start_words == 1)
            find_left(x, places, from);
        else
            find_all_starts(x, places, from);
        find_rows(x, places, from, end);
        scan_flush(x, done, settled);
        done = settled;
    }
    scan_flush(x, done, end);
    if (x->st != GW_OK)
        scan_ring_clear(x->s->ring);
}
