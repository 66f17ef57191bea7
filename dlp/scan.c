/* dlp/scan.c - runs the matchers where the prefilter points. Thread: the scanner's.
 *
 * Time is linear: the prefilter looks at each byte once, an anchor tries at most RULEC_MAX_OFFSET
 * starts, and a matcher reads at most its pattern's reach. */
#include "dlp/scan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dlp/doc.h"
#include "dlp/rulec.h"
#include "dlp/rulec_regex.h"

enum {
    DEFAULT_REPORT_FROM = 40,
    DEFAULT_MAX_FINDINGS = 10000,
    MAX_LEAF_FINDINGS = 1 << 20,
    /* Text needs a few steps of matchers a byte. One that is made to keep them busy is given up, and
     * the caller fails closed: 64 steps are 50 to 100 ns. */
    WORK_PER_BYTE = 64,
    WORK_PER_GROWING =
        4096, /* a byte of a growing text, each of which may be looked at again and again */
    WORK_FREE = 1 << 22,
    WORK_A_LOOK = 1 << 18, /* steps between two looks at the clock: under half a millisecond */
    LEAVES_A_LOOK = 16,    /* the same for short leaves, each of which takes a microsecond */
};

struct dlp_scanner *dlp_scanner_new(void)
{
    struct dlp_scanner *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->ring = scan_ring_new();
    if (s->ring == NULL) {
        dlp_scanner_free(s);
        return NULL;
    }
    return s;
}

void dlp_scanner_free(struct dlp_scanner *s)
{
    if (s == NULL)
        return;
    free(s->found);
    free(s->order);
    free(s->state);
    free(s->memo);
    free(s->matches);
    scan_heads_free(s->heads);
    free(s->explain);
    view_scan_fini(&s->views);
    scan_ring_free(s->ring);
    free(s);
}

void dlp_scanner_measure(struct dlp_scanner *s, struct dlp_rule_cost *costs)
{
    s->costs = costs;
}

/* ---- one match -------------------------------------------------------------------------- */

/* Where the next finding goes; NULL with x->st set. */
static struct dlp_finding *next_finding(struct scan_leaf *x)
{
    struct dlp_scanner *s = x->s;

    if (s->n_found == s->cap_found) {
        unsigned cap = s->cap_found == 0 ? 64 : s->cap_found * 2;
        struct dlp_finding *grown = NULL;

        if (cap > MAX_LEAF_FINDINGS) {
            x->st = GW_ELIMIT;
            return NULL;
        }
        grown = realloc(s->found, cap * sizeof(*grown));
        if (grown == NULL) {
            x->st = GW_ENOMEM;
            return NULL;
        }
        s->found = grown;
        s->cap_found = cap;
    }
    return &s->found[s->n_found++];
}

/* Has the time that the document was given run out? */
static bool is_late(const struct dlp_scanner *s)
{
    return s->deadline_ns != 0 && gw_clock_ns() >= s->deadline_ns;
}

/* Gives up a text that took too many steps, or too long; else says at how many to look again. */
static void look_at_work(struct scan_leaf *x)
{
    const uint64_t per_byte = x->growing ? WORK_PER_GROWING : WORK_PER_BYTE,
                   most = WORK_FREE + (uint64_t)x->text.len * per_byte,
                   next = x->work - x->work % WORK_A_LOOK + WORK_A_LOOK;

    if (x->work > most)
        x->st = GW_ELIMIT;
    else if (x->work >= WORK_A_LOOK && is_late(x->s))
        x->st = GW_ETIMEDOUT;
    x->look_at = next <= most ? next : most + 1;
}

/* Counts steps. */
static inline void add_work(struct scan_leaf *x, uint64_t steps)
{
    x->work += steps;
    if (x->work >= x->look_at)
        look_at_work(x);
}

/* What became of a try. */
enum outcome { NO_MATCH, REFUSED, TAKEN };

/* Judges the match m of a pattern at byte `at`; true when it is a finding. */
static bool take_match(struct scan_leaf *x, const struct bundle_try *t, size_t at,
                       const struct bundle_match *m)
{
    struct scan_match found = {.rule = t->rule,
                               .match_start = at,
                               .match_end = at + m->len,
                               .start = at + m->start,
                               .end = at + m->end,
                               .confidence = t->confidence};
    const bool is_sure = t->takes_all && t->confidence >= x->report_from && x->s->explain == NULL;
    struct dlp_finding *f = NULL;

    if (m->end <= m->start || !scan_boundary_after(t->after, x->text, at + m->len) ||
        (!is_sure && !scan_judge(x, &found)))
        return false;
    f = next_finding(x);
    if (f == NULL)
        return false;
    *f = (struct dlp_finding){.rule = found.rule,
                              .leaf = x->leaf,
                              .start = (uint32_t)found.start,
                              .end = (uint32_t)found.end,
                              .confidence = found.confidence};
    scan_count_apart(x, f, t->counts);
    x->s->state[t->rule] =
        (struct scan_state){.epoch = x->s->epoch, .next = (uint32_t)(at + m->len)};
    return true;
}

/* Runs the matcher of pattern at byte `at`, where it may begin, and judges its match. */
static enum outcome run_at(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    const struct bundle_try *t = &x->rules->tries[pattern];
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    size_t left = x->text.len - at;
    struct bundle_match m = {.len = 0, .epoch = x->s->epoch, .memo = x->s->memo + t->first_memo};

    bundle_match(x->rules, pattern, text + at, text + at + (left < t->reach ? left : t->reach), &m);
    add_work(x, m.work);
    if (x->growing)
        scan_note(x, pattern, at, &m);
    if (m.len == 0)
        return NO_MATCH;
    x->s->n_hits++;
    return !x->growing && take_match(x, t, at, &m) ? TAKEN : REFUSED;
}

/* The same, with what it costs. */
static enum outcome run_measured(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    struct dlp_rule_cost *cost = &x->s->costs[x->rules->b->patterns[pattern].rule];
    uint64_t from = gw_clock_ns();
    enum outcome outcome = run_at(x, pattern, at);

    cost->candidates++;
    cost->matches += outcome != NO_MATCH;
    cost->ns += gw_clock_ns() - from;
    return outcome;
}

void scan_try(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    const struct bundle *b = x->rules->b;
    const unsigned char *text = (const unsigned char *)x->text.ptr;

    if (!scan_is_dead(x, pattern) && rx_set_has(&b->sets[b->patterns[pattern].first], text[at]) &&
        at >= x->from && at < x->to)
        (void)scan_try_waiting(x, pattern, at, scan_boundaries_before(x->text, at));
}

bool scan_try_waiting(struct scan_leaf *x, uint32_t pattern, size_t at, unsigned before)
{
    const struct bundle_try *t = &x->rules->tries[pattern];
    const struct scan_state *state = &x->s->state[t->rule];

    if ((before >> t->before & 1) == 0 ||
        (!x->growing && state->epoch == x->s->epoch && at < state->next))
        return true;
    if (at >= x->to || /* a start in front of it is live since it was noted */
        (x->s->only_rule != 0 && x->s->only_rule != t->rule + 1) ||
        (x->s->only != NULL && !x->s->only[t->rule]))
        return false;
    return (x->s->costs != NULL ? run_measured(x, pattern, at) : run_at(x, pattern, at)) == REFUSED;
}

/* ---- leaves ----------------------------------------------------------------------------- */

enum gw_status scan_prepare(struct dlp_scanner *s, const struct dlp_rules *rules)
{
    const struct bundle *b = rules->b;

    if (b->n_rules > s->cap_state || b->n_memos > s->cap_memo || s->memo == NULL) {
        struct scan_state *state = calloc(b->n_rules + 1, sizeof(*state));
        struct bundle_memo *memo = calloc(b->n_memos + 1, sizeof(*memo));

        if (state == NULL || memo == NULL) {
            free(state);
            free(memo);
            return GW_ENOMEM;
        }
        free(s->state);
        free(s->memo);
        s->state = state;
        s->memo = memo;
        s->cap_state = b->n_rules;
        s->cap_memo = b->n_memos;
        s->epoch = 0;
    }
    s->n_found = 0;
    return GW_OK;
}

static void try_everything(struct scan_leaf *x)
{
    for (size_t at = x->from; at < x->text.len; at++)
        for (unsigned p = 0; p < x->rules->b->n_patterns && x->st == GW_OK; p++)
            scan_try(x, p, at);
}

void scan_begin(struct dlp_scanner *s)
{
    if (++s->epoch != 0)
        return;
    /* Wrapped: forget all states, or an old one would look new. */
    memset(s->state, 0, s->cap_state * sizeof(*s->state));
    memset(s->memo, 0, s->cap_memo * sizeof(*s->memo));
    memset(&s->starts, 0, sizeof(s->starts));
    s->epoch = 1;
}

void scan_all(struct scan_leaf *x)
{
    if (x->s->every_byte)
        try_everything(x);
    else
        scan_find(x);
}

void scan_set_dead(struct scan_leaf *x, size_t len)
{
    if (x->s->explain != NULL || x->s->every_byte)
        return;
    x->dead = bundle_dead(x->rules, len);
    x->n_long = 0;
    while (x->n_long < BUNDLE_LONG_TEXTS && len >= bundle_long_texts[x->n_long])
        x->n_long++;
}

enum gw_status scan_growing(struct scan_leaf *x)
{
    x->s->n_matches = 0;
    x->to = x->text.len;
    x->ended = true;
    scan_set_dead(x, x->from + 1);
    scan_all(x);
    return x->st;
}

/* What a key says of what is below it: its last bytes, since every match of every leaf below may ask. */
static struct gw_span end_of_key(struct gw_span key)
{
    enum { MOST = 128 };

    return key.len <= MOST ? key : (struct gw_span){key.ptr + key.len - MOST, MOST};
}

enum gw_status scan_text(struct dlp_scanner *s, const struct dlp_rules *rules, struct gw_span text,
                         struct gw_span key, uint32_t leaf, unsigned report_from)
{
    struct scan_leaf x = {.s = s,
                          .rules = rules,
                          .text = text,
                          .key = end_of_key(key),
                          .leaf = leaf,
                          .report_from = report_from,
                          .to = text.len};
    unsigned first = s->n_found;

    if (text.len > UINT32_MAX - PREFILTER_CHUNK)
        return GW_ELIMIT;
    scan_set_dead(&x, text.len);
    scan_sleep_begin(&x);
    if (s->explain == NULL && !s->every_byte)
        x.plain = rules->plain;
    scan_begin(s);
    scan_all(&x);
    if (x.st != GW_OK || s->n_found - first < 2)
        return x.st;
    return scan_resolve(s, first);
}

enum gw_status scan_numbers(struct dlp_scanner *s, const struct dlp_rules *rules,
                            struct gw_span text, struct gw_span key, uint32_t leaf,
                            unsigned report_from, const uint32_t *places, size_t n)
{
    enum { SIGNS = 2 };
    struct scan_leaf x = {.s = s,
                          .rules = rules,
                          .filter = &rules->filter,
                          .text = text,
                          .key = end_of_key(key),
                          .leaf = leaf,
                          .report_from = report_from,
                          .to = text.len};
    unsigned first = s->n_found;
    size_t done = 0;

    if (text.len > UINT32_MAX - PREFILTER_CHUNK)
        return GW_ELIMIT;
    scan_begin(s);
    for (size_t i = 0; i < n && x.st == GW_OK; i++) {
        size_t at = places[i] > SIGNS ? places[i] - SIGNS : 0;

        for (at = at > done ? at : done; at <= places[i]; at++)
            scan_numbers_at(&x, at);
        done = at;
    }
    if (x.st != GW_OK || s->n_found - first < 2)
        return x.st;
    return scan_resolve(s, first);
}

/* ---- documents -------------------------------------------------------------------------- */

/* A scan of one. */
struct scan_doc {
    struct dlp_scanner *s;
    const struct dlp_rules *rules;
    const struct dlp_doc *doc;
    unsigned report_from, max_findings;
    uint64_t bytes;
    unsigned looked; /* leaves, since the clock was looked at */
    struct scan_label label;
};

/* A point behind few digits: arrays of numbers, as embeddings are. No identifier is written so, whatever its digits say. */
static bool is_fraction(struct gw_span number)
{
    enum { WHOLE = 4 }; /* digits, or a sign and digits */
    size_t n = number.len < WHOLE + 1 ? number.len : WHOLE + 1;

    return memchr(number.ptr, '.', n) != NULL;
}

/* Short numbers and fractions are no identifiers. */
static bool is_scanned(const struct dlp_leaf *leaf)
{
    return leaf->kind != DLP_LEAF_NUMBER ||
           (leaf->text.len >= DLP_NUMBER_MIN && !is_fraction(leaf->text));
}

/* Scans the leaf's text. That of a leaf of the tape ends when it has more findings than all may have; a quarter is for those of which a
 * JOINED leaf makes fewer. */
static enum gw_status scan_plain(struct scan_doc *d, const struct dlp_leaf *leaf, uint32_t i)
{
    enum gw_status st;

    if (leaf->kind != DLP_LEAF_JOINED && d->max_findings < UINT_MAX / 2)
        d->s->most = d->max_findings + d->max_findings / 4;
    st = scan_text(d->s, d->rules, leaf->text, leaf->key, i, d->report_from);
    d->s->most = 0;
    return st;
}

/* Scans leaf number i and what it may hide. opened: it is JSON, of which each string is a leaf. */
static enum gw_status scan_leaf(struct scan_doc *d, const struct dlp_leaf *leaf, uint32_t i,
                                bool opened)
{
    struct dlp_scanner *s = d->s;
    bool *clean = scan_known(s, d->rules, leaf->text);
    struct view_leaf view = {.text = leaf->text,
                             .key = leaf->key,
                             .label = scan_label(&d->label, d->doc->body, leaf),
                             .leaf = i};
    unsigned first = s->n_found;

    d->bytes += leaf->text.len;
    if (clean != NULL && *clean)
        return GW_OK;
    s->n_hits = 0;
    GW_TRY(scan_plain(d, leaf, i));
    if (opened)
        return GW_OK;
    GW_TRY(view_scan_leaf(s, d->rules, &view, d->report_from, first));
    if (clean != NULL)
        *clean = s->n_hits == 0 && s->only_rule == 0;
    return GW_OK;
}

/* Between two leaves. */
static enum gw_status go_on(struct scan_doc *d)
{
    if (++d->looked == LEAVES_A_LOOK) {
        d->looked = 0;
        if (is_late(d->s))
            return GW_ETIMEDOUT;
    }
    /* Some will turn out to be the same bytes in a string and in the JSON inside it. */
    return d->s->n_found / 4 > d->max_findings ? GW_ELIMIT : GW_OK;
}

static enum gw_status scan_joined(void *ctx, const struct dlp_joined *joined)
{
    struct scan_doc *d = ctx;
    struct dlp_scanner *s = d->s;
    const struct dlp_leaf leaf = {
        .text = joined->text, .key = joined->key, .kind = DLP_LEAF_JOINED};
    unsigned first = s->n_found, kept = first;

    view_scan_more(&s->views, joined->text.len);
    GW_TRY(scan_leaf(d, &leaf, dlp_doc_count(d->doc), false));
    for (unsigned i = first; i < s->n_found; i++)
        if (s->found[i].end > joined->known)
            s->found[kept++] = s->found[i];
    s->n_found = kept;
    if (kept > first)
        GW_TRY(dlp_doc_keep_joined(d->doc, joined));
    return go_on(d);
}

static enum gw_status scan_leaves(struct scan_doc *d, struct dlp_cursor *c, struct dlp_joiner *j)
{
    while (dlp_cursor_next(c)) {
        struct dlp_leaf leaf;

        if (!dlp_cursor_leaf(c, &leaf))
            return GW_ENOMEM;
        if (is_scanned(&leaf))
            GW_TRY(scan_leaf(d, &leaf, c->leaf, c->opened));
        GW_TRY(go_on(d));
        if (j != NULL)
            GW_TRY(dlp_joiner_add(j, c, &leaf));
    }
    return j == NULL ? GW_OK : dlp_joiner_end(j);
}

/* Puts the findings on joined leaves behind the others; those were found in between. */
static enum gw_status put_joined_last(struct dlp_scanner *s, const struct dlp_doc *doc)
{
    unsigned n = 0, kept = 0;
    struct dlp_finding *joined;

    for (unsigned i = 0; i < s->n_found; i++)
        n += s->found[i].leaf >= doc->first_joined;
    if (n == 0)
        return GW_OK;
    joined = malloc(n * sizeof(*joined));
    if (joined == NULL)
        return GW_ENOMEM;
    n = 0;
    for (unsigned i = 0; i < s->n_found; i++)
        if (s->found[i].leaf >= doc->first_joined)
            joined[n++] = s->found[i];
        else
            s->found[kept++] = s->found[i];
    memcpy(s->found + kept, joined, n * sizeof(*joined));
    free(joined);
    return GW_OK;
}

/* Scans all leaves, and joined ones as soon as they are complete. */
static enum gw_status scan_all_leaves(struct scan_doc *d)
{
    struct dlp_joiner *j = NULL;
    struct dlp_cursor c;
    enum gw_status st = GW_ENOMEM;

    if (d->doc->first_joined > 1)
        j = dlp_joiner_new(d->doc, scan_joined, d);
    if (dlp_cursor_init(&c, d->doc, j != NULL) && (j != NULL || d->doc->first_joined <= 1))
        st = scan_leaves(d, &c, j);
    dlp_cursor_fini(&c);
    dlp_joiner_free(j);
    return st == GW_OK ? put_joined_last(d->s, d->doc) : st;
}

/* The leaves of what is reported can be asked for without fail. */
static enum gw_status keep_leaves(const struct dlp_doc *doc, const struct dlp_report *r)
{
    struct dlp_leaf leaf;

    for (unsigned i = 0; i < r->n_findings; i++)
        if ((i == 0 || r->findings[i].leaf != r->findings[i - 1].leaf) &&
            !dlp_doc_leaf_at(doc, r->findings[i].leaf, &leaf))
            return GW_ENOMEM;
    return GW_OK;
}

enum gw_status dlp_scan(struct dlp_scanner *s, const struct dlp_rules *rules,
                        const struct dlp_doc *doc, struct gw_arena *arena,
                        const struct dlp_scan_limits *limits, struct dlp_report *report)
{
    struct scan_doc d = {
        .s = s,
        .rules = rules,
        .doc = doc,
        .report_from =
            limits == NULL || limits->report_from == 0 ? DEFAULT_REPORT_FROM : limits->report_from,
        .max_findings = limits == NULL || limits->max_findings == 0 ? DEFAULT_MAX_FINDINGS
                                                                    : limits->max_findings,
    };
    struct dlp_report r = {.findings = NULL};
    enum gw_status st = GW_OK;

    GW_TRY(scan_prepare(s, rules));
    s->alternatives = limits != NULL && limits->alternatives;
    s->deadline_ns = limits == NULL ? 0 : limits->deadline_ns;
    view_scan_begin(&s->views, doc->text_bytes);
    st = scan_all_leaves(&d);
    view_scan_end(&s->views);
    s->deadline_ns = 0;
    GW_TRY(st);
    GW_TRY(dlp_doc_dedupe(doc, s->found, &s->n_found));
    GW_TRY(scan_count(s, rules, doc, (struct gw_span){NULL, 0}, d.report_from));
    if (s->n_found > d.max_findings)
        return GW_ELIMIT;
    r.scanned_bytes = d.bytes;
    r.view_bytes = s->views.view_bytes;
    r.cut = s->views.cut;
    r.n_findings = s->n_found;
    r.findings = gw_arena_array(arena, s->n_found, sizeof(*r.findings));
    if (r.findings == NULL)
        return GW_ENOMEM;
    if (s->n_found > 0)
        memcpy(r.findings, s->found, s->n_found * sizeof(*r.findings));
    GW_TRY(keep_leaves(doc, &r));
    *report = r;
    return GW_OK;
}
