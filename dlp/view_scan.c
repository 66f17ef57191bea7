/* dlp/view_scan.c - scans a leaf, then the views of it (view.h) and the views of those. Thread: the scanner's.
 *
 * The views of one text are made one after another, and each is done with all below it before the next is made, so that
 * only a chain of them is in memory. A finding goes back through the chain to the leaf. It is dropped where its rule has
 * found something there before: of one value the plainest form is reported.
 *
 * Budgets: bytes that come out of all views of a scan, decoders in a chain, bytes of a chain, views of one leaf. What they
 * cut off is in the report. */
#include "dlp/view_scan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"
#include "dlp/view_sheet.h"

enum {
    MAX_DECODERS = 3,       /* in a chain */
    MAX_VIEWS = 64,         /* of a leaf */
    FREE_BYTES = 64 << 10,  /* besides what the text's length allows */
    PER_BYTE = 4,           /* bytes of views for each byte of text */
    CHAIN_PER_BYTE = 2,     /* bytes of views in memory */
    KEEP_BYTES = 256 << 10, /* of memory, from one scan to the next */
    DIGITS_COST = 15,       /* points: digits that were taken apart are a weaker sign */
};

/* The views of a text, in this order. */
enum kind {
    KIND_TAGS,
    KIND_QUOTED,
    KIND_ESCAPE,
    KIND_FOLD,
    KIND_DIGITS,
    KIND_SPELLED,
    KIND_BLOB,
    KIND_END
};

static const struct {
    const struct view_walk *walk; /* NULL: blobs */
    unsigned may;                 /* bits of view_test() that it needs */
    bool decodes;                 /* counts as a decoder */
    bool last;                    /* has no views of its own */
} kinds[KIND_END] = {
    [KIND_TAGS] = {&view_walk_tags, VIEW_MAY_TAG, false, true},
    [KIND_QUOTED] = {&view_walk_quoted, VIEW_MAY_QUOTE, true, false},
    [KIND_ESCAPE] = {&view_walk_escape, VIEW_MAY_ESCAPE, true, false},
    [KIND_FOLD] = {&view_walk_fold, VIEW_MAY_FOLD, false, false},
    [KIND_DIGITS] = {&view_walk_digits, VIEW_MAY_DIGIT, false, true},
    [KIND_SPELLED] = {&view_walk_spelled, VIEW_MAY_SPELL, false, true},
    [KIND_BLOB] = {NULL, VIEW_MAY_BLOB, true, false},
};

void view_scan_begin(struct view_scan *vs, uint64_t text_bytes)
{
    vs->left = text_bytes * PER_BYTE + FREE_BYTES;
    vs->view_bytes = 0;
    vs->cut = 0;
    vs->used = 0;
}

void view_scan_more(struct view_scan *vs, uint64_t text_bytes)
{
    vs->left += text_bytes * PER_BYTE;
}

void view_scan_end(struct view_scan *vs)
{
    for (unsigned i = 0; i < vs->used; i++)
        if (vs->chain[i].out.cap + vs->chain[i].places.cap > KEEP_BYTES)
            view_fini(&vs->chain[i]);
        else
            view_clear(&vs->chain[i]);
    for (unsigned i = 0; i <= vs->used; i++)
        view_marks_trim(&vs->marks[i]);
}

void view_scan_fini(struct view_scan *vs)
{
    for (unsigned i = 0; i <= VIEW_CHAIN; i++)
        view_marks_fini(&vs->marks[i]);
    for (unsigned i = 0; i < VIEW_CHAIN; i++)
        view_fini(&vs->chain[i]);
}

/* ---- findings ---------------------------------------------------------------------------- */

static int by_rule_and_start(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;

    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_start(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* Of findings [from, n), sorted by rule and start, the first that is of a later rule or starts at `start` or behind it. */
static unsigned first_behind(const struct dlp_finding *known, unsigned from, unsigned n,
                             uint32_t rule, uint32_t start)
{
    while (from < n) {
        unsigned mid = from + (n - from) / 2;

        if (known[mid].rule < rule || (known[mid].rule == rule && known[mid].start < start))
            from = mid + 1;
        else
            n = mid;
    }
    return from;
}

/* Does one of n findings, sorted by rule and start, of f's rule overlap f? Those of one rule overlap no other. */
static bool is_known(const struct dlp_finding *known, unsigned n, const struct dlp_finding *f)
{
    unsigned at = first_behind(known, 0, n, f->rule, f->end);

    return at > 0 && known[at - 1].rule == f->rule && known[at - 1].end > f->start;
}

/* Does one of n findings, sorted the same way, overlap f that is as sure? */
static bool overlaps_surer(const struct dlp_finding *known, unsigned n, const struct dlp_finding *f)
{
    for (unsigned first = 0, at; first < n;
         first = first_behind(known, at, n, known[first].rule, UINT32_MAX)) {
        at = first_behind(known, first, n, known[first].rule, f->end);
        for (unsigned i = at; i > first && known[i - 1].end > f->start; i--)
            if (known[i - 1].confidence >= f->confidence)
                return true;
    }
    return false;
}

static bool is_all_digits(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return true;
}

/* One leaf and the chain of views that is being made of it. */
struct leaf_views {
    struct dlp_scanner *s;
    const struct dlp_rules *rules;
    struct gw_span key;
    uint32_t leaf;
    unsigned report_from;
    unsigned first; /* of the leaf's findings in s->found */
    unsigned depth; /* views in the chain */
    size_t room;    /* bytes that may come into the chain */
    unsigned n_views;
};

/* A text whose views are made: the leaf's, or a view's. */
struct level {
    struct gw_span text;
    unsigned may, decoders, next;
};

/* What a finding of the view of digits is worth. False: nothing. */
static bool judge_digits(const struct leaf_views *l, struct view_text *v, struct dlp_finding *f)
{
    struct gw_span text = {v->out.ptr + f->start, f->end - f->start};

    struct gw_span src = v->src;
    size_t resume;
    enum dlp_view in;
    uint32_t start, end;

    if (f->confidence < l->report_from + DIGITS_COST || !is_all_digits(text))
        return false;
    (void)view_map(v, f->start, f->end, &start, &end, &in);
    src.len = end;
    /* Rows that are written as usual are taken together, too, where they are near. */
    if (v->walk->next(src, NULL, start, &resume) != start)
        return false;
    f->confidence = (uint8_t)(f->confidence - DIGITS_COST);
    return true;
}

/* Takes f, a finding behind a name, back to the leaf, of which it is a plain one. False: it is nothing new. */
static bool take_labelled(const struct leaf_views *l, struct dlp_finding *f, unsigned n_known)
{
    const struct dlp_finding *known = l->s->found + l->first;

    f->view = DLP_VIEW_PLAIN;
    return view_map_labelled(&l->s->views.chain[0], &f->start, &f->end) &&
           !is_known(known, n_known, f) && !overlaps_surer(known, n_known, f);
}

/* Takes f, a finding of the view on top of the chain, back to the leaf. False: it is nothing new. */
static bool take_back(const struct leaf_views *l, struct dlp_finding *f, unsigned n_known)
{
    struct view_text *chain = l->s->views.chain, *top = &chain[l->depth - 1];
    const struct dlp_finding *known = l->s->found + l->first;
    bool changed = false, walked = top->walk != NULL && top->walk->view != DLP_VIEW_DIGITS;
    enum dlp_view view = DLP_VIEW_PLAIN, in = DLP_VIEW_PLAIN;

    if (top->labelled)
        return take_labelled(l, f, n_known);
    if (top->walk != NULL && top->walk->view == DLP_VIEW_DIGITS && !judge_digits(l, top, f))
        return false;
    for (unsigned i = l->depth; i > 0; i--) {
        bool here = view_map(&chain[i - 1], f->start, f->end, &f->start, &f->end, &in);

        if (i == l->depth)
            view = in;
        changed = changed || (here && i == l->depth);
    }
    f->view = (uint8_t)view;
    if (is_known(known, n_known, f))
        return false;
    /* The value stands there as it is: then only what is around it can have been hidden, such as the word that names it. */
    return changed || (walked && !overlaps_surer(known, n_known, f));
}

/* Scans the view on top of the chain. */
static enum gw_status scan_view(const struct leaf_views *l)
{
    struct dlp_scanner *s = l->s;
    const struct view_text *top = &s->views.chain[l->depth - 1];
    struct gw_span text = gw_buf_span(&top->out);
    const uint32_t *units = (const void *)top->units.ptr;
    size_t n_units = top->units.len / sizeof(*units);
    unsigned before = s->n_found, kept = before;
    enum gw_status st =
        top->walk != NULL && top->walk->alone
            ? scan_numbers(s, l->rules, text, l->key, l->leaf, l->report_from, units, n_units)
            : scan_text(s, l->rules, text, l->key, l->leaf, l->report_from);

    if (st == GW_ELIMIT) {
        s->views.cut |= DLP_CUT_WORK;
        s->n_found = before;
        return GW_OK;
    }
    GW_TRY(st);
    if (s->n_found == before)
        return GW_OK;
    qsort(s->found + l->first, before - l->first, sizeof(*s->found), by_rule_and_start);
    for (unsigned i = before; i < s->n_found; i++)
        if (take_back(l, &s->found[i], before - l->first))
            s->found[kept++] = s->found[i];
    s->n_found = kept;
    return GW_OK;
}

/* ---- views ------------------------------------------------------------------------------- */

/* Makes the view of `kind` of a level on top of the chain and scans it. *made: it is there. */
static enum gw_status make_view(struct leaf_views *l, const struct level *lv, enum kind kind,
                                bool *made)
{
    struct view_scan *vs = &l->s->views;
    struct view_text *v = &vs->chain[l->depth];
    size_t max = vs->left < l->room ? (size_t)vs->left : l->room;

    *made = false;
    vs->used = vs->used <= l->depth ? l->depth + 1 : vs->used;
    if (!(kinds[kind].walk == NULL
              ? view_make_blobs(v, lv->text, &vs->marks[l->depth], max)
              : view_make_walked(v, kinds[kind].walk, lv->text, &vs->marks[l->depth], max)))
        return GW_ENOMEM;
    if (v->cut)
        vs->cut |= DLP_CUT_BYTES;
    if (v->out.len == 0)
        return GW_OK;
    vs->view_bytes += v->out.len;
    vs->left -= v->out.len < vs->left ? v->out.len : vs->left;
    if (lv->decoders + kinds[kind].decodes > MAX_DECODERS) {
        vs->cut |= DLP_CUT_DEPTH;
        return GW_OK;
    }
    if (++l->n_views > MAX_VIEWS) {
        vs->cut |= DLP_CUT_COUNT;
        return GW_OK;
    }
    l->depth++;
    l->room -= v->out.len < l->room ? v->out.len : l->room;
    *made = true;
    return scan_view(l);
}

static void drop_view(struct leaf_views *l)
{
    l->depth--;
    l->room += l->s->views.chain[l->depth].out.len;
}

/* Makes the next view of the level on top, if there is one. */
static enum gw_status next_view(struct leaf_views *l, struct level *levels)
{
    struct level *lv = &levels[l->depth];
    enum kind kind = (enum kind)lv->next++;
    bool made;

    if ((lv->may & kinds[kind].may) == 0)
        return GW_OK;
    GW_TRY(make_view(l, lv, kind, &made));
    if (!made)
        return GW_OK;
    if (kinds[kind].last || l->depth == VIEW_CHAIN) {
        if (l->depth == VIEW_CHAIN && !kinds[kind].last)
            l->s->views.cut |= DLP_CUT_DEPTH;
        drop_view(l);
        return GW_OK;
    }
    levels[l->depth] = (struct level){.text = gw_buf_span(&l->s->views.chain[l->depth - 1].out),
                                      .decoders = lv->decoders + kinds[kind].decodes};
    levels[l->depth].may =
        view_test(levels[l->depth].text, &l->s->views.marks[l->depth], l->rules->has_numbers);
    return GW_OK;
}

/* ---- names ------------------------------------------------------------------------------- */

/* Scans the labelled view that was made in place of the chain's first. It costs no budget: it is made of little at a time. */
static enum gw_status scan_labelled(struct leaf_views *l)
{
    const struct view_text *v = &l->s->views.chain[0];
    enum gw_status st;

    if (!gw_buf_ok(&v->out) || !gw_buf_ok(&v->places))
        return GW_ENOMEM;
    if (v->out.len == 0)
        return GW_OK;
    l->depth = 1;
    st = scan_view(l);
    l->depth = 0;
    return st;
}

/* Scans the columns of a table: those in which the first rows say that it is worth it. */
static enum gw_status scan_sheet(struct leaf_views *l, struct gw_span text,
                                 const struct view_sheet *sheet)
{
    enum { TRY_ROWS = 32 };
    struct view_text *v = &l->s->views.chain[0];

    for (unsigned column = 0; column < sheet->n_columns; column++) {
        unsigned before = l->s->n_found;
        size_t from = view_make_column(v, text, sheet, column, sheet->from, TRY_ROWS);

        GW_TRY(scan_labelled(l));
        while (l->s->n_found > before && from < sheet->to) {
            from = view_make_column(v, text, sheet, column, from, UINT_MAX);
            GW_TRY(scan_labelled(l));
        }
    }
    return GW_OK;
}

/* Scans the text behind what it is called, and the tables in it behind their headings. */
static enum gw_status scan_names(struct leaf_views *l, const struct view_leaf *leaf)
{
    struct view_scan *vs = &l->s->views;
    struct view_sheet sheets[VIEW_SHEETS];
    unsigned n = view_find_sheets(leaf->text, sheets, VIEW_SHEETS);

    if (n == 0 && leaf->label.len == 0)
        return GW_OK;
    vs->used = vs->used == 0 ? 1 : vs->used;
    if (leaf->label.len > 0) {
        view_begin_labelled(&vs->chain[0], leaf->text);
        view_add_labelled(&vs->chain[0], leaf->label, leaf->text);
        GW_TRY(scan_labelled(l));
    }
    for (unsigned i = 0; i < n; i++)
        GW_TRY(scan_sheet(l, leaf->text, &sheets[i]));
    return l->s->n_found > l->first + 1 ? scan_resolve(l->s, l->first) : GW_OK;
}

enum gw_status view_scan_leaf(struct dlp_scanner *s, const struct dlp_rules *rules,
                              const struct view_leaf *leaf, unsigned report_from, unsigned first)
{
    struct level levels[VIEW_CHAIN + 1] = {
        {.text = leaf->text, .may = view_test(leaf->text, &s->views.marks[0], rules->has_numbers)}};
    struct leaf_views l = {.s = s,
                           .rules = rules,
                           .key = leaf->key,
                           .leaf = leaf->leaf,
                           .report_from = report_from,
                           .first = first,
                           .room = leaf->text.len * CHAIN_PER_BYTE + FREE_BYTES};
    unsigned before;

    GW_TRY(scan_names(&l, leaf));
    if (levels[0].may == 0)
        return GW_OK;
    before = s->n_found;
    for (;;) {
        if (levels[l.depth].next < KIND_END)
            GW_TRY(next_view(&l, levels));
        else if (l.depth > 0)
            drop_view(&l);
        else
            break;
    }
    /* They were sorted in another way as soon as a view had one. */
    if (s->n_found > first + 1 && (s->n_found > before || l.n_views > 0))
        qsort(s->found + first, s->n_found - first, sizeof(*s->found), by_start);
    return GW_OK;
}
