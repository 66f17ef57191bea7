/* dlp/doc_join.c - JOINED leaves, and which findings are duplicates (doc.h).
 *
 * Path nodes that differ only in array indexes are one class. String leaves of one class are chained in
 * document order, and the surroundings of each cut between two of them are joined. Work and memory are
 * linear in the document. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/siphash.h"
#include "dlp/doc.h"

/* ---- classes of paths -------------------------------------------------------------------- */

struct classes {
    const struct dlp_doc *doc;
    uint32_t *of_node; /* class of each node; 0: not inside an array */
    uint32_t *slots;   /* node index + 1 of the first node of a class; 0: free */
    size_t mask;
    uint64_t seed[2];
};

/* Two nodes are one class when they are the same step from one class of parents. The parent itself
 * stands for its class where that is outside of all arrays. */
static uint64_t parent_class(const struct classes *c, const struct dlp_node *n)
{
    uint32_t p = c->of_node[n->parent];

    return p != 0 ? p : (uint64_t)1 << 32 | n->parent;
}

static uint32_t intern(struct classes *c, uint32_t node)
{
    const struct dlp_node *n = &c->doc->nodes[node];
    uint64_t parent = parent_class(c, n);
    struct gw_sip sip = gw_sip_start(c->seed);
    size_t i;

    gw_sip_add(&sip, (struct gw_span){(const char *)&parent, sizeof(parent)});
    gw_sip_byte(&sip, n->element);
    if (!n->element)
        gw_sip_add(&sip, n->key);
    for (i = (size_t)gw_sip_end(&sip) & c->mask; c->slots[i] != 0; i = (i + 1) & c->mask) {
        const struct dlp_node *o = &c->doc->nodes[c->slots[i] - 1];

        if (parent_class(c, o) == parent && o->element == n->element &&
            (n->element || gw_span_eq(o->key, n->key)))
            return c->slots[i];
    }
    return c->slots[i] = node + 1;
}

/* Fills of_node. Returns false when out of memory. */
static bool classify(struct classes *c)
{
    const struct dlp_doc *doc = c->doc;
    size_t n_slots = 16;

    while (n_slots < (size_t)doc->n_nodes * 2)
        n_slots *= 2;
    c->mask = n_slots - 1;
    c->of_node = gw_arena_array(doc->arena, doc->n_nodes, sizeof(*c->of_node));
    c->slots = gw_arena_array(doc->arena, n_slots, sizeof(*c->slots));
    if (c->of_node == NULL || c->slots == NULL)
        return false;
    gw_random_seed(c->seed, sizeof(c->seed));
    for (uint32_t i = 0; i < doc->n_nodes; i++) {
        const struct dlp_node *n = &doc->nodes[i];

        if (n->parent != DLP_NONE && (n->element || c->of_node[n->parent] != 0))
            c->of_node[i] = intern(c, i);
    }
    return true;
}

/* ---- joining ----------------------------------------------------------------------------- */

/* One class' string leaves, chained. */
struct chain {
    uint32_t head, tail; /* leaves */
    uint32_t count;
};

/* The slices of one class while they are cut; flushed into a leaf at each gap. */
struct joiner {
    struct dlp_doc *doc;
    struct dlp_part *parts; /* of the current joined leaf */
    uint32_t n_parts, len;
};

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static void add_part(struct joiner *j, uint32_t leaf, size_t start, size_t end)
{
    j->parts[j->n_parts++] = (struct dlp_part){
        .leaf = leaf, .start = (uint32_t)start, .at = j->len, .len = (uint32_t)(end - start)};
    j->len += (uint32_t)(end - start);
}

/* Ends the current joined leaf. False when out of memory. */
static bool flush(struct joiner *j)
{
    struct dlp_doc *doc = j->doc;
    struct dlp_source src = {.outer = DLP_NONE, .parts = j->parts, .n_parts = j->n_parts};
    struct dlp_leaf leaf = {.kind = DLP_LEAF_JOINED};
    const struct dlp_leaf *first, *last;
    char *text;

    if (j->n_parts >= 2 && j->len >= DLP_JOIN_MIN) {
        text = gw_arena_alloc(doc->arena, (size_t)j->len + 1);
        if (text == NULL)
            return false;
        for (uint32_t i = 0; i < j->n_parts; i++) {
            const struct dlp_part *p = &j->parts[i];

            memcpy(text + p->at, doc->leaves[p->leaf].text.ptr + p->start, p->len);
        }
        first = &doc->leaves[j->parts[0].leaf];
        last = &doc->leaves[j->parts[j->n_parts - 1].leaf];
        leaf.text = (struct gw_span){text, j->len};
        leaf.key = first->key;
        leaf.raw_start = first->raw_start;
        leaf.raw_end = last->raw_end;
        leaf.parent = first->parent;
        leaf.nesting = first->nesting;
        if (!dlp_doc_add_leaf(doc, &leaf, &src))
            return false;
        j->parts += j->n_parts;
    }
    j->n_parts = 0;
    j->len = 0;
    return true;
}

/* Joins the leaves of a chain. */
static bool join_chain(struct joiner *j, const struct chain *chain, const uint32_t *next)
{
    for (uint32_t i = chain->head; i != DLP_NONE; i = next[i]) {
        struct gw_span t = j->doc->leaves[i].text;
        size_t head = DLP_JOIN_REACH, tail;

        if (t.len == 0)
            continue;
        if (t.len <= 2 * (size_t)DLP_JOIN_REACH) {
            add_part(j, i, 0, t.len);
            continue;
        }
        /* Only the two ends of a long text, cut between characters. */
        tail = t.len - DLP_JOIN_REACH;
        while (is_tail_byte(t.ptr[head]))
            head--;
        while (is_tail_byte(t.ptr[tail]))
            tail++;
        if (j->n_parts != 0)
            add_part(j, i, 0, head);
        if (!flush(j))
            return false;
        add_part(j, i, tail, t.len);
    }
    return flush(j);
}

/* Chains the string leaves by class. next[leaf] is the next one of its class. Returns how many leaves
 * have company. */
static unsigned chain_up(const struct classes *c, struct chain *chains, uint32_t *next)
{
    const struct dlp_doc *doc = c->doc;
    unsigned n = 0;

    for (uint32_t i = 0; i < doc->first_joined; i++) {
        uint32_t class_ = c->of_node[doc->leaves[i].parent];
        struct chain *ch = &chains[class_];

        next[i] = DLP_NONE;
        if (doc->leaves[i].kind != DLP_LEAF_STRING || class_ == 0)
            continue;
        if (ch->count++ == 0) {
            ch->head = i;
        } else {
            next[ch->tail] = i;
            n += ch->count == 2 ? 2 : 1;
        }
        ch->tail = i;
    }
    return n;
}

enum gw_status dlp_doc_join(struct dlp_doc *doc)
{
    struct classes c = {.doc = doc};
    struct joiner j = {.doc = doc};
    struct chain *chains;
    uint32_t *next;
    unsigned n;

    if (doc->n_leaves < 2)
        return GW_OK;
    chains = gw_arena_array(doc->arena, (size_t)doc->n_nodes + 1, sizeof(*chains));
    next = gw_arena_array(doc->arena, doc->n_leaves, sizeof(*next));
    if (chains == NULL || next == NULL || !classify(&c))
        return GW_ENOMEM;
    n = chain_up(&c, chains, next);
    if (n == 0)
        return GW_OK;
    j.parts = gw_arena_array(doc->arena, (size_t)n * 2, sizeof(*j.parts));
    if (j.parts == NULL)
        return GW_ENOMEM;
    /* A class' number is its first node's, so this order is the document's. */
    for (uint32_t i = 1; i <= doc->n_nodes; i++)
        if (chains[i].count >= 2 && !join_chain(&j, &chains[i], next))
            return GW_ENOMEM;
    return GW_OK;
}

uint32_t dlp_doc_part_at(const struct dlp_source *src, uint32_t at)
{
    uint32_t lo = 0, hi = src->n_parts;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (src->parts[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* ---- duplicates -------------------------------------------------------------------------- */

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

/* Rules (1) and (2). Ordinary findings that a joined one replaces are dropped with it. */
static bool joined_is_duplicate(const struct dlp_doc *doc, const struct dlp_finding *f,
                                const struct place *places, unsigned n, bool *drop)
{
    const struct dlp_source *src = &doc->sources[f->leaf];
    uint32_t first = dlp_doc_part_at(src, f->start), i = first;
    const struct place *inside = NULL; /* of the first part with a known value */
    bool more = false;

    for (; i < src->n_parts && src->parts[i].at < f->end; i++) {
        const struct dlp_part *p = &src->parts[i];
        uint32_t start = f->start > p->at ? f->start - p->at : 0;
        uint32_t end = f->end - p->at < p->len ? f->end - p->at : p->len;
        uint32_t raw_start, raw_end;
        const struct place *k;

        dlp_map_to_body(doc, p->leaf, p->start + start, p->start + end, &raw_start, &raw_end);
        k = known(places, n, f->rule, raw_start, raw_end);
        if (k == NULL)
            more = more || looks_like_more((struct gw_span){
                               doc->leaves[f->leaf].text.ptr + p->at + start, end - start});
        else if (k->start < raw_start || k->end > raw_end)
            return true; /* it reaches further than the joined one */
        else if (inside == NULL)
            inside = k;
    }
    if (i == first + 1 || (inside != NULL && !more))
        return true;
    if (inside != NULL)
        drop[inside->finding] = true;
    return false;
}

enum gw_status dlp_doc_dedupe(const struct dlp_doc *doc, struct dlp_finding *findings, unsigned *n)
{
    struct place *places;
    bool *drop;
    unsigned n_places = 0, kept = 0;

    if (*n == 0 || (*n == 1 && findings[0].leaf < doc->first_joined))
        return GW_OK;
    places = calloc(*n, sizeof(*places));
    drop = calloc(*n, sizeof(*drop));
    if (places == NULL || drop == NULL) {
        free(places);
        free(drop);
        return GW_ENOMEM;
    }
    for (unsigned i = 0; i < *n; i++) {
        const struct dlp_finding *f = &findings[i];
        struct place *p = &places[n_places];

        if (f->leaf >= doc->first_joined)
            continue;
        *p = (struct place){.rule = f->rule, .finding = i, .nesting = doc->leaves[f->leaf].nesting};
        dlp_map_to_body(doc, f->leaf, f->start, f->end, &p->start, &p->end);
        n_places++;
    }
    qsort(places, n_places, sizeof(*places), by_rule_and_start);
    n_places = drop_outer(places, n_places, drop);
    for (unsigned i = 0; i < *n; i++)
        if (findings[i].leaf >= doc->first_joined)
            drop[i] = joined_is_duplicate(doc, &findings[i], places, n_places, drop);
    for (unsigned i = 0; i < *n; i++)
        if (!drop[i])
            findings[kept++] = findings[i];
    *n = kept;
    free(places);
    free(drop);
    return GW_OK;
}
