/* dlp/doc_dedupe.c - which findings of a document are duplicates (dlp_doc_dedupe of doc.h). Work is linear but for sorting. */
#include <stdlib.h>

#include "dlp/doc.h"

/* A finding on an ordinary leaf, in the body's bytes. */
struct place {
    uint32_t rule, start, end;
    uint32_t finding;
    unsigned nesting;
};

static int by_rule_and_start(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (int)y->nesting - (int)x->nesting;
}

/* Whether the outer finding says nothing that the inner does not: it may reach over the quotes and
 * backslashes around the inner one, but not to other text. */
static bool adds_nothing(const struct place *outer, const struct place *inner)
{
    enum { QUOTING = 4 };

    return inner->nesting > outer->nesting && outer->start + QUOTING >= inner->start &&
           outer->end <= inner->end + QUOTING;
}

/* Rule (3). Returns how many places stay. */
static unsigned drop_outer(struct place *places, unsigned n, bool *drop)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++) {
        struct place *last = kept == 0 ? NULL : &places[kept - 1];
        bool apart = last == NULL || last->rule != places[i].rule || last->end <= places[i].start;

        if (!apart && adds_nothing(last, &places[i])) {
            drop[last->finding] = true;
            *last = places[i];
        } else if (!apart && adds_nothing(&places[i], last)) {
            drop[places[i].finding] = true;
        } else {
            places[kept++] = places[i];
        }
    }
    return kept;
}

/* A finding of the rule that overlaps the raw range, or NULL. */
static const struct place *known(const struct place *places, unsigned n, uint32_t rule,
                                 uint32_t start, uint32_t end)
{
    unsigned lo = 0, hi = n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (places[mid].rule < rule || (places[mid].rule == rule && places[mid].end <= start))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && places[lo].rule == rule && places[lo].start < end ? &places[lo] : NULL;
}

/* Whether text that joining added to a known value looks like more of it, not like the next part's first word: some
 * letters with digits or changing case among them. */
static bool looks_like_more(struct gw_span text)
{
    enum { WORD = 8, LONG_WORD = 24 };
    unsigned digits = 0, humps = 0;

    for (size_t i = 0; i < text.len; i++) {
        bool upper = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z';
        bool after_lower = i > 0 && text.ptr[i - 1] >= 'a' && text.ptr[i - 1] <= 'z';

        digits += text.ptr[i] >= '0' && text.ptr[i] <= '9';
        humps += upper && after_lower;
    }
    return text.len >= LONG_WORD || (text.len >= WORD && digits + humps > 0);
}

/* Rules (1) and (2). Ordinary findings that a joined one replaces are dropped with it. GW_ENOMEM. */
static enum gw_status judge_joined(const struct dlp_doc *doc, const struct dlp_finding *f,
                                   const struct place *places, unsigned n, bool *drop,
                                   bool *is_duplicate)
{
    const struct dlp_joined *way = dlp_doc_joined(doc, f->leaf);
    uint32_t first = dlp_doc_part_at(way, f->start), i = first;
    const struct place *inside = NULL; /* of the first part with a known value */
    bool more = false;

    *is_duplicate = true;
    for (; i < way->n_parts && way->parts[i].at < f->end; i++) {
        const struct dlp_part *p = &way->parts[i];
        uint32_t start = f->start > p->at ? f->start - p->at : 0;
        uint32_t end = f->end - p->at < p->len ? f->end - p->at : p->len;
        uint32_t raw_start, raw_end;
        const struct place *k;

        if (!dlp_map_to_body(doc, p->leaf, p->start + start, p->start + end, &raw_start, &raw_end))
            return GW_ENOMEM;
        k = known(places, n, f->rule, raw_start, raw_end);
        if (k == NULL)
            more = more ||
                   looks_like_more((struct gw_span){way->text.ptr + p->at + start, end - start});
        else if (k->start < raw_start || k->end > raw_end)
            return GW_OK; /* it reaches further than the joined one */
        else if (inside == NULL)
            inside = k;
    }
    if (i == first + 1 || (inside != NULL && !more))
        return GW_OK;
    if (inside != NULL)
        drop[inside->finding] = true;
    *is_duplicate = false;
    return GW_OK;
}

/* The places of the findings on ordinary leaves. */
static enum gw_status take_places(const struct dlp_doc *doc, const struct dlp_finding *findings,
                                  unsigned n, struct place *places, unsigned *n_places)
{
    *n_places = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct dlp_finding *f = &findings[i];
        struct place *p = &places[*n_places];

        if (f->leaf >= doc->first_joined)
            continue;
        *p = (struct place){.rule = f->rule, .finding = i};
        if (!dlp_map_to_body(doc, f->leaf, f->start, f->end, &p->start, &p->end))
            return GW_ENOMEM;
        p->nesting = dlp_doc_place(doc, f->leaf).nesting;
        ++*n_places;
    }
    return GW_OK;
}

static enum gw_status mark(const struct dlp_doc *doc, const struct dlp_finding *findings,
                           unsigned n, struct place *places, bool *drop)
{
    unsigned n_places;

    GW_TRY(take_places(doc, findings, n, places, &n_places));
    qsort(places, n_places, sizeof(*places), by_rule_and_start);
    n_places = drop_outer(places, n_places, drop);
    for (unsigned i = 0; i < n; i++)
        if (findings[i].leaf >= doc->first_joined)
            GW_TRY(judge_joined(doc, &findings[i], places, n_places, drop, &drop[i]));
    return GW_OK;
}

/* Are all of them on ordinary leaves that are nested alike? Then none says what another one says. */
static bool are_level(const struct dlp_doc *doc, const struct dlp_finding *findings, unsigned n)
{
    unsigned nesting = 0;
    bool is_known = false;

    for (unsigned i = 0; i < n; i++)
        if (findings[i].leaf >= doc->first_joined)
            return false;
    for (unsigned i = 1; i < n; i++) {
        if (findings[i].leaf == findings[i - 1].leaf)
            continue;
        if (!is_known && !dlp_doc_keep(doc))
            return false;
        if (!is_known)
            nesting = dlp_doc_place(doc, findings[i - 1].leaf).nesting;
        is_known = true;
        if (dlp_doc_place(doc, findings[i].leaf).nesting != nesting)
            return false;
    }
    return true;
}

enum gw_status dlp_doc_dedupe(const struct dlp_doc *doc, struct dlp_finding *findings, unsigned *n)
{
    struct place *places;
    enum gw_status st = GW_ENOMEM;
    unsigned kept = 0;
    bool *drop;

    if (are_level(doc, findings, *n))
        return GW_OK;
    places = calloc(*n, sizeof(*places));
    drop = calloc(*n, sizeof(*drop));
    if (places != NULL && drop != NULL)
        st = mark(doc, findings, *n, places, drop);
    for (unsigned i = 0; i < *n && st == GW_OK; i++)
        if (!drop[i])
            findings[kept++] = findings[i];
    if (st == GW_OK)
        *n = kept;
    free(places);
    free(drop);
    return st;
}
