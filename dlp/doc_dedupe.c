/* dlp/doc_dedupe.c - which findings of a document are duplicates (dlp_doc_dedupe of doc.h). Work is linear but for sorting. */
#include <stdlib.h>
#include <string.h>

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

static int by_start(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
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

/* Rule (2). Ordinary findings that a joined one replaces are dropped with it. GW_ENOMEM. */
static enum gw_status judge_joined(const struct dlp_doc *doc, const struct dlp_finding *f,
                                   const struct place *places, unsigned n, bool *drop,
                                   bool *is_duplicate)
{
    const struct dlp_joined *way = dlp_doc_joined(doc, f->leaf);
    uint32_t i = dlp_doc_part_at(way, f->start);
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
    if (inside != NULL && !more)
        return GW_OK;
    if (inside != NULL)
        drop[inside->finding] = true;
    *is_duplicate = false;
    return GW_OK;
}

/* Does the part, a slice of its leaf, hold what stands around the finding, as far as contexts reach? False when out of memory. */
static bool find_whole(const struct dlp_doc *doc, const struct dlp_finding *f,
                       const struct dlp_part *p, bool *is_whole)
{
    enum { AROUND = 128 };
    struct dlp_leaf leaf;

    *is_whole = p->start == 0 || f->start - p->at >= AROUND;
    if (!*is_whole || p->at + p->len - f->end >= AROUND)
        return true;
    if (!dlp_doc_leaf_at(doc, p->leaf, &leaf)) /* a long one is decoded for it */
        return false;
    *is_whole = p->start + p->len == leaf.text.len;
    return true;
}

/* Rule (1): the finding, which is on the part alone, is put there unless what was found there says as much. there: all places,
 * ascending by start. GW_ENOMEM. */
static enum gw_status judge_part(const struct dlp_doc *doc, struct dlp_finding *findings,
                                 struct dlp_finding *f, const struct dlp_part *p,
                                 const struct place *there, unsigned n, bool *drop,
                                 bool *is_duplicate)
{
    enum { NEAR = 16 }; /* so many in front can reach to it: hardly any overlap */
    uint32_t start = p->start + f->start - p->at, end = p->start + f->end - p->at;
    uint32_t raw_start, raw_end;
    unsigned lo = 0, hi = n, last;
    bool is_whole;

    *is_duplicate = true;
    if (!find_whole(doc, f, p, &is_whole))
        return GW_ENOMEM;
    if (!is_whole)
        return GW_OK;
    if (!dlp_map_to_body(doc, p->leaf, start, end, &raw_start, &raw_end))
        return GW_ENOMEM;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (there[mid].start < raw_end)
            lo = mid + 1;
        else
            hi = mid;
    }
    last = lo > NEAR ? lo - NEAR : 0;
    for (unsigned i = lo; i-- > last;) {
        struct dlp_finding *k = &findings[there[i].finding];

        if (there[i].end <= raw_start)
            continue;
        if (k->rule == f->rule && k->confidence < f->confidence)
            k->confidence = f->confidence; /* it is the same, and its context is told elsewhere */
        if (k->rule == f->rule || k->confidence >= f->confidence || there[i].start < raw_start ||
            there[i].end > raw_end)
            return GW_OK;
    }
    for (unsigned i = lo; i-- > last;)
        if (there[i].end > raw_start)
            drop[there[i].finding] = true;
    f->leaf = p->leaf;
    f->start = start;
    f->end = end;
    *is_duplicate = false;
    return GW_OK;
}

static int by_leaf_and_start(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;

    if (x->leaf != y->leaf)
        return x->leaf < y->leaf ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->confidence != y->confidence)
        return x->confidence > y->confidence ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

/* Puts those that came to be on ordinary leaves by rule (1), of which more than one chain may tell, into their order: the strongest
 * of each place. The n findings are sorted but for these. */
static unsigned put_in_order(struct dlp_finding *findings, unsigned n)
{
    unsigned kept = 0;

    qsort(findings, n, sizeof(*findings), by_leaf_and_start);
    for (unsigned i = 0; i < n; i++)
        if (kept == 0 || findings[kept - 1].leaf != findings[i].leaf ||
            findings[kept - 1].rule != findings[i].rule ||
            findings[kept - 1].end <= findings[i].start)
            findings[kept++] = findings[i];
    return kept;
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

/* places: room for two times n. moved: whether findings came to be on other leaves. */
static enum gw_status mark(const struct dlp_doc *doc, struct dlp_finding *findings, unsigned n,
                           struct place *places, bool *drop, bool *moved)
{
    struct place *there = places + n;
    unsigned n_places;

    GW_TRY(take_places(doc, findings, n, places, &n_places));
    qsort(places, n_places, sizeof(*places), by_rule_and_start);
    n_places = drop_outer(places, n_places, drop);
    memcpy(there, places, n_places * sizeof(*there));
    qsort(there, n_places, sizeof(*there), by_start);
    for (unsigned i = 0; i < n; i++) {
        struct dlp_finding *f = &findings[i];
        const struct dlp_joined *way;
        const struct dlp_part *p;

        if (f->leaf < doc->first_joined)
            continue;
        way = dlp_doc_joined(doc, f->leaf);
        p = &way->parts[dlp_doc_part_at(way, f->start)];
        if (f->end > p->at + p->len) {
            GW_TRY(judge_joined(doc, f, places, n_places, drop, &drop[i]));
        } else {
            GW_TRY(judge_part(doc, findings, f, p, there, n_places, drop, &drop[i]));
            *moved = *moved || !drop[i];
        }
    }
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
    bool *drop, moved = false;

    if (are_level(doc, findings, *n))
        return GW_OK;
    places = calloc(*n, 2 * sizeof(*places));
    drop = calloc(*n, sizeof(*drop));
    if (places != NULL && drop != NULL)
        st = mark(doc, findings, *n, places, drop, &moved);
    for (unsigned i = 0; i < *n && st == GW_OK; i++)
        if (!drop[i])
            findings[kept++] = findings[i];
    if (st == GW_OK)
        *n = moved ? put_in_order(findings, kept) : kept;
    free(places);
    free(drop);
    return st;
}
