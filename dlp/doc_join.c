/* dlp/doc_join.c - JOINED leaves (doc.h).
 *
 * Path nodes that differ only in array indexes are one class. String leaves of one class are chained in
 * document order, and the surroundings of each cut between two of them are joined. So are those of one speaker, over what others
 * say in between. Work and memory are linear in the document. */
#include <string.h>

#include "base/digest.h"
#include "base/siphash.h"
#include "dlp/doc.h"

/* ---- classes of paths -------------------------------------------------------------------- */

struct classes {
    const struct dlp_doc *doc;
    uint32_t *of_node; /* class of each node; 0: not inside an array */
    uint32_t *first;   /* the first node of each class; class 0 is none */
    uint32_t *slots;   /* classes by hash; 0: free */
    uint32_t n;        /* classes, with 0; there are few, however many nodes */
    size_t mask;
    uint64_t seed[2];
};

enum { FIRST_SLOTS = 64 }; /* half of them may be used */

/* Two nodes are one class when they are the same step from one class of parents. The parent itself
 * stands for its class where that is outside of all arrays. */
static uint64_t parent_class(const struct classes *c, const struct dlp_node *n)
{
    uint32_t p = c->of_node[n->parent];

    return p != 0 ? p : (uint64_t)1 << 32 | n->parent;
}

static struct gw_span key_of(const struct classes *c, const struct dlp_node *n)
{
    return n->element ? (struct gw_span){NULL, 0} : c->doc->leaves[n->index].text;
}

/* The slot of the node's class, or the free one that it belongs into. */
static size_t slot_of(const struct classes *c, uint32_t node)
{
    const struct dlp_node *n = &c->doc->nodes[node];
    uint64_t parent = parent_class(c, n);
    struct gw_sip sip = gw_sip_start(c->seed);
    size_t i;

    gw_sip_add(&sip, (struct gw_span){(const char *)&parent, sizeof(parent)});
    gw_sip_byte(&sip, n->element);
    gw_sip_add(&sip, key_of(c, n));
    for (i = (size_t)gw_sip_end(&sip) & c->mask; c->slots[i] != 0; i = (i + 1) & c->mask) {
        const struct dlp_node *o = &c->doc->nodes[c->first[c->slots[i]]];

        if (parent_class(c, o) == parent && o->element == n->element &&
            gw_span_eq(key_of(c, o), key_of(c, n)))
            break;
    }
    return i;
}

/* Makes room for twice as many classes. False when out of memory. */
static bool grow_classes(struct classes *c)
{
    struct gw_arena *arena = c->doc->arena;
    size_t n_slots = c->mask == 0 ? FIRST_SLOTS : (c->mask + 1) * 2, half = n_slots / 2;
    size_t old = c->first == NULL ? 0 : c->n;
    uint32_t *first =
        gw_arena_grow(arena, c->first, old * sizeof(*first), (half + 1) * sizeof(*first));

    c->slots = gw_arena_array(arena, n_slots, sizeof(*c->slots));
    if (first == NULL || c->slots == NULL)
        return false;
    c->first = first;
    c->mask = n_slots - 1;
    for (uint32_t i = 1; i < c->n; i++)
        c->slots[slot_of(c, c->first[i])] = i;
    return true;
}

/* The node's class, a new one when there is none; 0: out of memory. */
static uint32_t intern(struct classes *c, uint32_t node)
{
    size_t slot;

    if ((size_t)c->n * 2 > c->mask && !grow_classes(c))
        return 0;
    slot = slot_of(c, node);
    if (c->slots[slot] == 0) {
        c->slots[slot] = c->n;
        c->first[c->n++] = node;
    }
    return c->slots[slot];
}

/* Fills of_node. Returns false when out of memory. */
static bool classify(struct classes *c)
{
    const struct dlp_doc *doc = c->doc;

    c->of_node = gw_arena_array(doc->arena, doc->n_nodes, sizeof(*c->of_node));
    if (c->of_node == NULL)
        return false;
    c->n = 1;
    gw_random_seed(c->seed, sizeof(c->seed));
    for (uint32_t i = 0; i < doc->n_nodes; i++) {
        const struct dlp_node *n = &doc->nodes[i];

        if (n->parent == DLP_NONE || (!n->element && c->of_node[n->parent] == 0))
            continue;
        c->of_node[i] = intern(c, i);
        if (c->of_node[i] == 0)
            return false;
    }
    return true;
}

/* ---- joining ----------------------------------------------------------------------------- */

/* One class' string leaves, chained. */
struct chain {
    uint32_t head, tail; /* leaves */
    uint32_t count;
};

/* Who speaks, of each node: an index of the known roles; 0: nobody knows. n: how often each does. */
enum { ROLES = 7 };
struct roles {
    uint8_t *of_node;
    unsigned n[ROLES];
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
    struct dlp_source src = {.outer = DLP_NONE};
    struct dlp_way *way;
    struct dlp_leaf leaf = {.kind = DLP_LEAF_JOINED};
    const struct dlp_leaf *first, *last;
    char *text;

    if (j->n_parts >= 2 && j->len >= DLP_JOIN_MIN) {
        text = gw_arena_alloc(doc->arena, (size_t)j->len + 1);
        way = gw_arena_alloc(doc->arena, sizeof(*way));
        if (text == NULL || way == NULL)
            return false;
        *way = (struct dlp_way){.parts = j->parts, .n_parts = j->n_parts};
        src.way = way;
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

/* Joins the leaves of a chain. known: the chain that was joined already, in which some are neighbours, too; NULL: none. */
static bool join_chain(struct joiner *j, const struct chain *chain, const uint32_t *next,
                       const uint32_t *known, size_t reach)
{
    for (uint32_t i = chain->head, last = DLP_NONE; i != DLP_NONE; last = i, i = next[i]) {
        struct gw_span t = j->doc->leaves[i].text;
        size_t head = reach, tail;

        if (known != NULL && last != DLP_NONE && known[last] == i && !flush(j))
            return false;
        if (t.len <= 2 * reach) {
            add_part(j, i, 0, t.len);
            continue;
        }
        /* Only the two ends of a long text, cut between characters. */
        tail = t.len - reach;
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

/* Chains the string leaves that say something by class, all or those of one speaker. next[leaf] is the next one of its chain.
 * Returns how many leaves have company. */
static unsigned chain_up(const struct classes *c, const struct roles *r, unsigned role,
                         struct chain *chains, uint32_t *next)
{
    const struct dlp_doc *doc = c->doc;
    unsigned n = 0;

    for (uint32_t i = 0; i < doc->first_joined; i++) {
        const struct dlp_leaf *leaf = &doc->leaves[i];
        uint32_t class_ = c->of_node[leaf->parent];
        struct chain *ch = &chains[class_];

        next[i] = DLP_NONE;
        if (leaf->kind != DLP_LEAF_STRING || class_ == 0 || leaf->text.len == 0 ||
            (role != 0 && r->of_node[leaf->parent] != role))
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

/* Joins all chains of one kind. */
static enum gw_status join_all(struct joiner *j, const struct classes *c,
                               const struct chain *chains, const uint32_t *next,
                               const uint32_t *known, unsigned n, size_t reach)
{
    if (n == 0)
        return GW_OK;
    j->parts = gw_arena_array(j->doc->arena, (size_t)n * 2, sizeof(*j->parts));
    if (j->parts == NULL)
        return GW_ENOMEM;
    /* Classes are numbered by their first nodes, so this order is the document's. */
    for (uint32_t i = 1; i < c->n; i++)
        if (chains[i].count >= 2 && !join_chain(j, &chains[i], next, known, reach))
            return GW_ENOMEM;
    return GW_OK;
}

/* ---- speakers ---------------------------------------------------------------------------- */

/* Who says what a leaf says: members "role" beside or above it. */
static enum gw_status read_roles(const struct dlp_doc *doc, struct roles *r)
{
    static const char *const names[ROLES] = {[1] = "user",   [2] = "assistant", [3] = "model",
                                             [4] = "system", [5] = "developer", [6] = "tool"};

    r->of_node = gw_arena_array(doc->arena, doc->n_nodes, sizeof(*r->of_node));
    if (r->of_node == NULL)
        return GW_ENOMEM;
    for (uint32_t i = 0; i < doc->first_joined; i++) {
        const struct dlp_leaf *leaf = &doc->leaves[i];
        const struct dlp_node *node = &doc->nodes[leaf->parent];

        if (leaf->kind != DLP_LEAF_STRING || node->element || node->parent == DLP_NONE ||
            !gw_span_is(doc->leaves[node->index].text, "role"))
            continue;
        for (unsigned k = 1; k < ROLES; k++)
            if (gw_span_is(leaf->text, names[k])) {
                r->of_node[node->parent] = (uint8_t)k;
                r->n[k]++;
            }
    }
    for (uint32_t i = 1; i < doc->n_nodes; i++)
        if (r->of_node[i] == 0)
            r->of_node[i] = r->of_node[doc->nodes[i].parent];
    return GW_OK;
}

/* Joins what each speaker says, where another one came in between. */
static enum gw_status join_speakers(struct joiner *j, const struct classes *c, struct chain *chains,
                                    const uint32_t *known)
{
    struct dlp_doc *doc = j->doc;
    struct roles r = {.of_node = NULL};
    unsigned speakers = 0;
    uint32_t *next;

    GW_TRY(read_roles(doc, &r));
    for (unsigned k = 1; k < ROLES; k++)
        speakers += r.n[k] > 0;
    if (speakers < 2)
        return GW_OK;
    next = gw_arena_array(doc->arena, doc->first_joined, sizeof(*next));
    if (next == NULL)
        return GW_ENOMEM;
    for (unsigned k = 1; k < ROLES; k++) {
        unsigned n;

        if (r.n[k] < 2)
            continue;
        memset(chains, 0, c->n * sizeof(*chains));
        n = chain_up(c, &r, k, chains, next);
        GW_TRY(join_all(j, c, chains, next, known, n, DLP_JOIN_TURNS));
    }
    return GW_OK;
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
    if (!classify(&c))
        return GW_ENOMEM;
    chains = gw_arena_array(doc->arena, c.n, sizeof(*chains));
    next = gw_arena_array(doc->arena, doc->n_leaves, sizeof(*next));
    if (chains == NULL || next == NULL)
        return GW_ENOMEM;
    n = chain_up(&c, NULL, 0, chains, next);
    if (n == 0)
        return GW_OK;
    GW_TRY(join_all(&j, &c, chains, next, NULL, n, DLP_JOIN_REACH));
    return join_speakers(&j, &c, chains, next);
}

uint32_t dlp_doc_part_at(const struct dlp_way *way, uint32_t at)
{
    uint32_t lo = 0, hi = way->n_parts;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (way->parts[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
