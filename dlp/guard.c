/* dlp/guard.c - scans one growing text (dlp_guard of dlp.h). Thread: the scanner's.
 *
 * The window holds, in this order: bytes that have gone out and are kept because a judgement may look back at them;
 * `from`, the first byte that is not settled; `live`, the first start that more text could change (scan_grow.c). Matches
 * that end in front of every live start are settled, and so is the text up to there, unless a match reaches over it:
 * then what overlaps with it waits, too, for the strongest of overlapping findings must be known.
 *
 * So what comes out depends on the text alone, not on its pieces. Time is linear: of what stands in front of `live` nothing but
 * its matches is looked at again; that start is tried until it is dead, once a piece; while much is held back, pieces are
 * gathered until they are an eighth of it. After dlp_guard_release() `out`
 * is ahead of `from`: what has gone is still judged, and of a value only what has not gone can be hidden. */
#include "dlp/guard.h"

#include <stdlib.h>
#include <string.h>

#include "dlp/edit.h"
#include "dlp/scan.h"
#include "dlp/vault.h"

enum {
    DEFAULT_REPORT_FROM = 40,
    DEFAULT_MAX_FINDINGS = 10000,
    HOLD_MAX = 128 << 10, /* bytes; patterns reach 64 KiB at most, only chains of overlaps go on */
    DROP_FROM = 4096,     /* bytes worth a move */
    MAX_CARRIED = 4096,   /* entries of each list below */
    MAX_MATCHES = 1 << 16,
    MAX_DEBT = 16, /* work that may be owed, in free shares of one scan */
};

/* A rule goes on behind its match, which may end behind its span. */
struct carried {
    uint32_t rule;
    size_t start, next;
};

struct carried_list {
    struct carried *items;
    unsigned n, cap;
};

struct dlp_guard {
    struct dlp_scanner *scanner;
    struct dlp_rules *rules;
    unsigned report_from, max_findings;
    unsigned nesting;
    dlp_guard_fn fn;
    void *ctx;
    struct guard_text t;
    size_t from, live, tested; /* see above; tested: the length when live was found */
    uint32_t hint;             /* the pattern that is live there */
    uint64_t work;             /* steps of matchers, beyond what each byte may cost */
    unsigned n_findings;
    struct scan_match *matches; /* those that begin in [from, live) */
    unsigned n_matches, cap_matches;
    struct carried_list next; /* rules whose last match ends behind `live` */
    struct carried_list done; /* findings that a release has settled */
    bool failed;
};

struct dlp_guard *dlp_guard_new(struct dlp_scanner *scanner, struct dlp_rules *rules,
                                const struct dlp_scan_limits *limits, unsigned json_nesting,
                                dlp_guard_fn fn, void *ctx)
{
    struct dlp_guard *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return NULL;
    g->scanner = scanner;
    g->rules = rules;
    g->report_from = limits == NULL ? 0 : limits->report_from;
    g->max_findings = limits == NULL ? 0 : limits->max_findings;
    g->report_from = g->report_from == 0 ? DEFAULT_REPORT_FROM : g->report_from;
    g->max_findings = g->max_findings == 0 ? DEFAULT_MAX_FINDINGS : g->max_findings;
    g->nesting = json_nesting;
    g->t.nested = json_nesting > 0;
    g->fn = fn;
    g->ctx = ctx;
    g->hint = UINT32_MAX;
    return g;
}

static void start_anew(struct dlp_guard *g)
{
    guard_text_fini(&g->t);
    g->from = g->live = g->tested = 0;
    g->hint = UINT32_MAX;
    g->n_matches = g->next.n = g->done.n = 0;
}

void dlp_guard_free(struct dlp_guard *g)
{
    if (g == NULL)
        return;
    guard_text_fini(&g->t);
    free(g->matches);
    free(g->next.items);
    free(g->done.items);
    free(g);
}

size_t dlp_guard_held(const struct dlp_guard *g)
{
    return g->t.text.len - g->t.out + g->t.undecoded;
}

/* ---- lists ------------------------------------------------------------------------------ */

static enum gw_status carry(struct carried_list *l, struct carried c)
{
    if (l->n == MAX_CARRIED)
        return GW_ELIMIT;
    if (l->n == l->cap) {
        unsigned cap = l->cap == 0 ? 8 : l->cap * 2;
        struct carried *grown = realloc(l->items, cap * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        l->items = grown;
        l->cap = cap;
    }
    l->items[l->n++] = c;
    return GW_OK;
}

/* Forgets what ends at `from` or before. */
static void prune(struct carried_list *l, size_t from)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->n; i++)
        if (l->items[i].next > from)
            l->items[n++] = l->items[i];
    l->n = n;
}

static void shift_list(struct carried_list *l, size_t by)
{
    for (unsigned i = 0; i < l->n; i++) {
        struct carried *c = &l->items[i];

        c->start = c->start > by ? c->start - by : 0;
        c->next -= by;
    }
}

/* ---- matches ---------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    const struct scan_match *x = a, *y = b;

    if (x->match_start != y->match_start)
        return x->match_start < y->match_start ? -1 : 1;
    return x->pattern < y->pattern ? -1 : x->pattern > y->pattern;
}

static int by_end_last_first(const void *a, const void *b)
{
    const struct scan_match *x = a, *y = b;

    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    if (x->match_start != y->match_start)
        return x->match_start < y->match_start ? -1 : 1;
    return x->pattern < y->pattern ? -1 : x->pattern > y->pattern;
}

/* Leaves, of the matches that the scanner has found behind all known ones, those that a rule makes when it goes on behind
 * each. */
static void sweep(struct dlp_guard *g)
{
    struct dlp_scanner *s = g->scanner;
    unsigned n = 0;

    if (s->n_matches > 1)
        qsort(s->matches, s->n_matches, sizeof(*s->matches), by_start);
    for (unsigned i = 0; i < g->next.n; i++)
        s->state[g->next.items[i].rule] =
            (struct scan_state){.epoch = s->epoch, .next = (uint32_t)g->next.items[i].next};
    for (unsigned i = 0; i < s->n_matches; i++) {
        struct scan_state *state = &s->state[s->matches[i].rule];

        if (state->epoch == s->epoch && s->matches[i].match_start < state->next)
            continue;
        *state = (struct scan_state){.epoch = s->epoch, .next = (uint32_t)s->matches[i].match_end};
        s->matches[n++] = s->matches[i];
    }
    s->n_matches = n;
}

/* Adds what the sweep has left to the guard's own. */
static enum gw_status keep(struct dlp_guard *g)
{
    struct dlp_scanner *s = g->scanner;
    unsigned n = g->n_matches + s->n_matches;

    if (s->n_matches == 0)
        return GW_OK;
    if (n > MAX_MATCHES)
        return GW_ELIMIT;
    if (n > g->cap_matches) {
        unsigned cap = n < 2 * g->cap_matches ? 2 * g->cap_matches : n;
        struct scan_match *grown = realloc(g->matches, cap * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        g->matches = grown;
        g->cap_matches = cap;
    }
    memcpy(g->matches + g->n_matches, s->matches, s->n_matches * sizeof(*s->matches));
    g->n_matches = n;
    return GW_OK;
}

/* Notes where the rules of the matches that the sweep has left go on, as far as that is behind `live`. */
static enum gw_status carry_rules(struct dlp_guard *g)
{
    struct dlp_scanner *s = g->scanner;

    prune(&g->next, g->live);
    for (unsigned i = 0; i < s->n_matches; i++) {
        const struct scan_match *m = &s->matches[i];

        if (m->match_end > g->live)
            GW_TRY(carry(&g->next, (struct carried){m->rule, m->match_start, m->match_end}));
    }
    return GW_OK;
}

static struct scan_leaf leaf_of(struct dlp_guard *g)
{
    return (struct scan_leaf){.s = g->scanner,
                              .rules = g->rules,
                              .text = gw_buf_span(&g->t.text),
                              .report_from = g->report_from,
                              .from = g->live,
                              .floor = g->from,
                              .growing = true};
}

/* Finds the matches from `live` on in a text that ends here. */
static enum gw_status scan_rest(struct dlp_guard *g)
{
    struct scan_leaf x = leaf_of(g);

    GW_TRY(scan_growing(&x));
    g->work += x.work;
    sweep(g);
    return keep(g);
}

/* Finds those up to the first start that is live now. */
static enum gw_status scan_more(struct dlp_guard *g)
{
    struct scan_leaf x = leaf_of(g);

    GW_TRY(scan_grow(&x, &g->hint));
    g->work += x.work;
    g->live = x.live;
    g->tested = g->t.text.len;
    sweep(g);
    GW_TRY(keep(g));
    return carry_rules(g);
}

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* The start of the character that holds text[at]. */
static size_t floor_char(const struct dlp_guard *g, size_t at)
{
    while (at > g->from && at < g->t.text.len && is_tail_byte(g->t.text.ptr[at]))
        at--;
    return at;
}

/* How far the text is settled: up to the first live start, less the matches that reach over it and all
 * that overlap with them. */
static size_t settled(struct dlp_guard *g)
{
    size_t to = floor_char(g, g->live);

    g->work += g->n_matches;
    if (g->n_matches > 1)
        qsort(g->matches, g->n_matches, sizeof(*g->matches), by_end_last_first);
    for (unsigned i = 0; i < g->n_matches; i++) {
        const struct scan_match *m = &g->matches[i];
        size_t start = m->match_start < m->start ? m->match_start : m->start;

        if (m->end > to && start < to)
            to = floor_char(g, start);
    }
    return to;
}

/* Leaves at s->found the strongest of the matches that end at `to` or before, in order. */
static enum gw_status choose(struct dlp_guard *g, size_t to)
{
    struct dlp_scanner *s = g->scanner;
    unsigned n = 0;

    if (g->n_matches > s->cap_found) {
        struct dlp_finding *grown = realloc(s->found, g->n_matches * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        s->found = grown;
        s->cap_found = g->n_matches;
    }
    for (unsigned i = 0; i < g->n_matches; i++) {
        const struct scan_match *m = &g->matches[i];

        if (m->end <= to)
            s->found[n++] = (struct dlp_finding){.rule = m->rule,
                                                 .start = (uint32_t)m->start,
                                                 .end = (uint32_t)m->end,
                                                 .confidence = m->confidence};
    }
    s->n_found = n;
    return n < 2 ? GW_OK : scan_resolve(s, 0);
}

/* Forgets the matches that end at `to` or before. */
static void forget(struct dlp_guard *g, size_t to)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->n_matches; i++)
        if (g->matches[i].end > to)
            g->matches[n++] = g->matches[i];
    g->n_matches = n;
}

/* ---- hiding ------------------------------------------------------------------------------ */

static bool is_number_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

/* Is [start, end) a part of a longer JSON number? */
static bool is_cut_number(const struct dlp_guard *g, size_t start, size_t end)
{
    const struct gw_buf *t = &g->t.text;

    return (start > 0 && is_number_byte(t->ptr[start - 1])) ||
           (end < t->len && is_number_byte(t->ptr[end]));
}

/* Appends what stands for text[start, end), which is (the rest of) a value. */
static enum gw_status put_hidden(struct dlp_guard *g, const struct dlp_finding *f, size_t start,
                                 enum gw_action action, struct gw_buf *out)
{
    const struct dlp_rule_info *info = dlp_rules_info(g->rules, f->rule);
    struct gw_span value = {g->t.text.ptr + start, f->end - start};
    bool bare = !guard_text_in_string(&g->t, start); /* a number in JSON */
    struct gw_buf hidden = {0};
    bool ok;

    if (bare && is_cut_number(g, start, f->end)) {
        gw_buf_addc(out, '0');
        return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
    }
    if (action == GW_ACTION_MASK) {
        dlp_mask(&hidden, value, info->class_ == GW_CLASS_SECRET || start > f->start);
    } else {
        dlp_placeholder_prefix(&hidden, info->type);
        gw_buf_adds(&hidden, "REDACTED");
    }
    if (bare)
        gw_buf_addc(out, '"');
    ok = gw_buf_ok(&hidden) && dlp_escape(out, gw_buf_span(&hidden), g->nesting);
    if (bare)
        gw_buf_addc(out, '"');
    gw_buf_fini(&hidden);
    return ok && gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

static bool is_done(const struct dlp_guard *g, const struct dlp_finding *f)
{
    for (unsigned i = 0; i < g->done.n; i++)
        if (g->done.items[i].rule == f->rule && g->done.items[i].start == f->start &&
            g->done.items[i].next == f->end)
            return true;
    return false;
}

static size_t gone_of(const struct dlp_guard *g, const struct dlp_finding *f)
{
    size_t to = g->t.out < f->end ? g->t.out : f->end;

    return to > f->start ? to - f->start : 0;
}

/* Decides about one finding and passes on or hides what of it has not gone out. */
static enum gw_status settle(struct dlp_guard *g, const struct dlp_finding *f, struct gw_buf *out)
{
    size_t start = f->start > g->t.out ? f->start : g->t.out;
    struct gw_span value = {g->t.text.ptr + f->start, f->end - f->start};
    enum gw_action action;

    if (is_done(g, f) || dlp_is_placeholder(g->rules, value))
        return GW_OK;
    if (++g->n_findings > g->max_findings)
        return GW_ELIMIT;
    action = g->fn(g->ctx, &(struct dlp_guard_finding){.rule = f->rule,
                                                       .confidence = f->confidence,
                                                       .text = value,
                                                       .already_out = gone_of(g, f)});
    if (action >= GW_ACTION_BLOCK)
        return GW_EDENIED;
    if (action < GW_ACTION_MASK || f->end <= g->t.out)
        return GW_OK;
    guard_text_pass(&g->t, start, out);
    GW_TRY(put_hidden(g, f, start, action, out));
    guard_text_pass(&g->t, f->end, NULL);
    return GW_OK;
}

/* Settles s->found and passes the text up to `to`. */
static enum gw_status settle_all(struct dlp_guard *g, size_t to, struct gw_buf *out)
{
    for (unsigned i = 0; i < g->scanner->n_found; i++) {
        const struct dlp_finding f = g->scanner->found[i];

        GW_TRY(settle(g, &f, out));
    }
    guard_text_pass(&g->t, to, out);
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

/* ---- the window -------------------------------------------------------------------------- */

static void drop_old(struct dlp_guard *g)
{
    size_t keep_from = g->from > g->rules->look_behind ? g->from - g->rules->look_behind : 0;

    if (keep_from > g->t.out)
        keep_from = g->t.out;
    if (keep_from < DROP_FROM)
        return;
    guard_text_drop(&g->t, keep_from);
    g->from -= keep_from;
    g->live -= keep_from;
    g->tested -= keep_from;
    shift_list(&g->next, keep_from);
    shift_list(&g->done, keep_from);
    for (unsigned i = 0; i < g->n_matches; i++) {
        struct scan_match *m = &g->matches[i];

        m->match_start -= keep_from;
        m->match_end -= keep_from;
        m->start -= keep_from;
        m->end -= keep_from;
    }
}

static void move_on(struct dlp_guard *g, size_t to)
{
    g->from = to;
    if (g->live < to)
        g->live = to;
    forget(g, to);
    prune(&g->done, to);
    drop_old(g);
}

/* Settles what the text up to `live` says, or all of it. */
static enum gw_status settle_text(struct dlp_guard *g, bool all, struct gw_buf *out)
{
    size_t to;

    if (all) {
        GW_TRY(scan_rest(g));
        g->live = g->t.text.len;
    }
    to = all ? g->live : settled(g);
    GW_TRY(choose(g, to));
    GW_TRY(settle_all(g, to, out));
    move_on(g, to);
    return GW_OK;
}

/* Settles what can be settled. */
static enum gw_status advance(struct dlp_guard *g, bool final, struct gw_buf *out)
{
    size_t len = g->t.text.len;

    if (!final && len - g->tested < (len - g->live) / 8)
        return GW_OK;
    if (len > UINT32_MAX / 2)
        return GW_ELIMIT;
    GW_TRY(scan_prepare(g->scanner, g->rules));
    scan_begin(g->scanner);
    if (final)
        return settle_text(g, true, out);
    GW_TRY(scan_more(g));
    if (len - g->from > HOLD_MAX)
        return settle_text(g, true, out);
    return g->live == g->from ? GW_OK : settle_text(g, false, out);
}

/* Pays for the work from what the bytes so far may cost: time must be linear in the text. */
static enum gw_status step(struct dlp_guard *g, size_t n_bytes, bool final, struct gw_buf *out)
{
    enum { PER_BYTE = 4096, FREE = 1 << 22 };
    uint64_t paid = (uint64_t)n_bytes * PER_BYTE;
    enum gw_status st = g->failed ? GW_ELIMIT : advance(g, final, out);

    g->work = g->work > paid ? g->work - paid : 0;
    if (st == GW_OK && g->work > (uint64_t)FREE * MAX_DEBT)
        st = GW_ELIMIT;
    g->failed = st != GW_OK;
    return st;
}

enum gw_status dlp_guard_feed(struct dlp_guard *g, struct gw_span text, struct gw_buf *out)
{
    /* In pieces, so that a long text needs no long window. */
    enum { PIECE = 16 << 10 };

    while (text.len > 0) {
        struct gw_span piece = {text.ptr, text.len < PIECE ? text.len : PIECE};

        if (!guard_text_add(&g->t, piece, false))
            return GW_ENOMEM;
        GW_TRY(step(g, piece.len, false, out));
        text = gw_span_from(text, piece.len);
    }
    return GW_OK;
}

enum gw_status dlp_guard_last(struct dlp_guard *g, struct gw_span text, struct gw_buf *out)
{
    if (!guard_text_add(&g->t, text, true))
        return GW_ENOMEM;
    GW_TRY(step(g, text.len, true, out));
    start_anew(g);
    return GW_OK;
}

enum gw_status dlp_guard_finish(struct dlp_guard *g, struct gw_buf *out)
{
    return dlp_guard_last(g, (struct gw_span){NULL, 0}, out);
}

enum gw_status dlp_guard_release(struct dlp_guard *g, struct gw_buf *out)
{
    size_t len = g->t.text.len;
    unsigned n_matches = g->n_matches;
    struct dlp_scanner *s = g->scanner;
    enum gw_status st;

    if (g->failed)
        return GW_ELIMIT;
    if (g->t.out == len)
        return GW_OK;
    GW_TRY(scan_prepare(s, g->rules));
    scan_begin(s);
    st = scan_rest(g); /* as if the text ended here */
    if (st == GW_OK)
        st = choose(g, len);
    g->n_matches = n_matches;
    GW_TRY(st);
    for (unsigned i = 0; i < s->n_found; i++) {
        const struct dlp_finding f = s->found[i];

        st = settle(g, &f, out);
        if (st == GW_OK && !is_done(g, &f))
            st = carry(&g->done, (struct carried){f.rule, f.start, f.end});
        g->failed = st != GW_OK;
        if (st != GW_OK)
            return st;
    }
    guard_text_pass(&g->t, len, out);
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}
