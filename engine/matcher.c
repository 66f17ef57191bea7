/* engine/matcher.c - see matcher.h.
 *
 * A closure starts with frames that may not be waiting for a byte, and follows calls, alternatives, counts and ends of
 * rules until all that is left waits for a byte (BYTE and DFA states). Each (frame, parent) is met once a closure. */
#include "engine/matcher.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_NODES = 32768,
    MAX_SETS = 4096,
    MAX_STACKS = 65536, /* of all sets */
    MAX_ROWS = 2048,
    NODE_BUCKETS = 16384,
    SET_BUCKETS = 4096,
    MAX_STEPS = 20000, /* of a closure */
};

/* ---- nodes ------------------------------------------------------------------------------------------ */

static uint32_t hash_bytes(const void *p, size_t n, uint32_t seed)
{
    const unsigned char *bytes = p;
    uint64_t key = seed, word;

    for (size_t i = 0; i + 8 <= n; i += 8) {
        memcpy(&word, bytes + i, 8);
        key = (key ^ word) * 0x9E3779B97F4A7C15u;
        key ^= key >> 29;
    }
    return (uint32_t)(key >> 32);
}

/* The node of a frame on a parent; MATCHER_ROOT when there is no room (failed). */
static uint32_t intern(struct matcher *m, const struct matcher_frame *f, uint32_t parent)
{
    uint32_t *bucket = &m->node_buckets[hash_bytes(f, sizeof(*f), parent + 1) & (NODE_BUCKETS - 1)];
    struct matcher_node *node;

    for (uint32_t i = *bucket; i != 0; i = m->nodes[i].next)
        if (m->nodes[i].parent == parent && memcmp(&m->nodes[i].frame, f, sizeof(*f)) == 0)
            return i;
    if (m->n_nodes == MAX_NODES) {
        m->failed = true;
        return MATCHER_ROOT;
    }
    node = &m->nodes[m->n_nodes];
    *node =
        (struct matcher_node){.frame = *f,
                              .parent = parent,
                              .depth = parent <= MATCHER_UNKNOWN ? 0 : m->nodes[parent].depth + 1,
                              .next = *bucket};
    if (parent == MATCHER_UNKNOWN)
        node->depth = GRAMMAR_MAX_HEIGHT / 2; /* see matcher_open */
    *bucket = m->n_nodes;
    return m->n_nodes++;
}

/* ---- closures --------------------------------------------------------------------------------------- */

static void begin_closure(struct matcher *m)
{
    m->round++;
    m->n_work = m->n_found = m->steps = 0;
    m->done = m->opened = false;
}

/* A frame on a parent is to be looked at, unless it was in this closure. */
static void push(struct matcher *m, const struct matcher_frame *f, uint32_t parent)
{
    const struct grammar_state *s = &m->g->states[f->state];
    uint32_t at;

    if (s->height == GRAMMAR_ENDLESS)
        return;
    at = intern(m, f, parent);
    if (at == MATCHER_ROOT || m->nodes[at].round == m->round ||
        m->nodes[at].depth + s->height > GRAMMAR_MAX_HEIGHT)
        return;
    m->nodes[at].round = m->round;
    if (++m->steps > MAX_STEPS) {
        m->failed = true;
        return;
    }
    m->work[m->n_work++] = at;
}

static void go(struct matcher *m, const struct matcher_node *node, uint32_t state)
{
    struct matcher_frame f = node->frame;

    f.state = state;
    push(m, &f, node->parent);
}

static const struct matcher_frame *fresh(struct matcher_frame *f, uint32_t state)
{
    *f = (struct matcher_frame){.state = state, .left = GRAMMAR_NO_LIMIT};
    return f;
}

/* A rule is complete: what is below goes on. */
static void pop(struct matcher *m, uint32_t parent)
{
    struct matcher_node below;

    if (parent == MATCHER_ROOT) {
        m->done = true;
    } else if (parent == MATCHER_UNKNOWN) {
        m->opened = true;
    } else {
        below = m->nodes[parent];
        push(m, &below.frame, below.parent);
    }
}

static void call(struct matcher *m, const struct matcher_node *node, const struct grammar_state *s)
{
    struct matcher_frame f = node->frame;
    uint32_t parent = node->parent;

    if (m->g->states[s->b].op != GRAMMAR_POP) {
        f.state = s->b;
        parent = intern(m, &f, node->parent);
        if (parent == MATCHER_ROOT)
            return;
    }
    push(m, fresh(&f, s->a), parent);
}

/* ---- objects ---------------------------------------------------------------------------------------- */

static bool was_seen(const struct matcher_frame *f, uint32_t i)
{
    return (f->seen[i / 64] >> i % 64 & 1) != 0;
}

/* Required members that are missing. */
static uint32_t missing(const struct grammar_object *o, const struct matcher_frame *f)
{
    uint32_t n = 0;

    for (size_t i = 0; i < GRAMMAR_MAX_PROPERTIES / 64; i++)
        n += (uint32_t)__builtin_popcountll(o->required[i] & ~f->seen[i]);
    return n;
}

static bool fits(const struct matcher *m, uint32_t parent, uint32_t state)
{
    uint32_t depth = parent == MATCHER_ROOT      ? 0
                     : parent == MATCHER_UNKNOWN ? GRAMMAR_MAX_HEIGHT / 2
                                                 : m->nodes[parent].depth + 1;

    return m->g->states[state].height != GRAMMAR_ENDLESS &&
           depth + m->g->states[state].height <= GRAMMAR_MAX_HEIGHT;
}

static void count_member(struct matcher_frame *f)
{
    f->need -= f->need != 0;
    f->left -= f->left != GRAMMAR_NO_LIMIT;
}

/* Offers each member that may come next (or, ask: only says whether there is one). */
static bool offer_members(struct matcher *m, const struct matcher_node *node,
                          const struct grammar_object *o, bool ask)
{
    const struct matcher_frame *f = &node->frame;
    uint32_t n_missing = missing(o, f), first = 0;
    bool any = false;

    for (uint32_t i = 0; o->ordered && i < o->n; i++)
        first = was_seen(f, i) ? i + 1 : first;
    for (uint32_t i = first; i < o->n && !(any && ask); i++) {
        const struct grammar_property *p = &m->g->properties[o->first + i];
        struct matcher_frame next = *f;

        if (!was_seen(f, i) && f->left > n_missing - p->required &&
            fits(m, node->parent, p->state)) {
            any = true;
            next.state = p->state;
            next.seen[i / 64] |= UINT64_C(1) << i % 64;
            count_member(&next);
            if (!ask)
                push(m, &next, node->parent);
        }
        if (o->ordered && p->required && !was_seen(f, i))
            return any;
    }
    if (o->additional != GRAMMAR_NONE && f->left > n_missing && (!o->ordered || n_missing == 0) &&
        fits(m, node->parent, o->additional)) {
        struct matcher_frame next = *f;

        next.state = o->additional;
        count_member(&next);
        if (o->ordered)
            memset(next.seen, 0xFF, sizeof(next.seen));
        if (!ask)
            push(m, &next, node->parent);
        return true;
    }
    return any;
}

static void object(struct matcher *m, const struct matcher_node *node, enum grammar_op op,
                   const struct grammar_object *o)
{
    struct matcher_node at = *node;

    if (op == GRAMMAR_FIRST) {
        at.frame.need = o->counts.need;
        at.frame.left = o->counts.left;
        memset(at.frame.seen, 0, sizeof(at.frame.seen));
    }
    if (op != GRAMMAR_KEY && at.frame.need == 0 && missing(o, &at.frame) == 0)
        go(m, &at, o->close);
    if (op != GRAMMAR_MORE)
        (void)offer_members(m, &at, o, false);
    else if (offer_members(m, &at, o, true))
        go(m, &at, o->comma);
}

/* ---- one state after the other --------------------------------------------------------------------- */

static bool leaves(const struct engine_grammar *g, const struct grammar_state *s)
{
    const struct dfa *d = &g->dfas[s->a];

    for (unsigned c = 0; c < d->n_classes; c++)
        if (d->next[(size_t)s->b * d->n_classes + c] != DFA_DEAD)
            return true;
    return false;
}

static void visit(struct matcher *m, uint32_t at)
{
    const struct matcher_node node = m->nodes[at];
    const struct grammar_state *s = &m->g->states[node.frame.state];
    struct matcher_node changed = node;

    switch ((enum grammar_op)s->op) {
    case GRAMMAR_POP:
        pop(m, node.parent);
        break;
    case GRAMMAR_DFA:
        if (s->accept && !s->last)
            pop(m, node.parent);
        else if (s->accept && node.parent == MATCHER_ROOT)
            m->done = true;
        if (s->accept && !leaves(m->g, s))
            break;
        m->found[m->n_found++] = at;
        break;
    case GRAMMAR_BYTE:
        m->found[m->n_found++] = at;
        break;
    case GRAMMAR_SPLIT:
        go(m, &node, s->a);
        if (s->b != s->a)
            go(m, &node, s->b);
        break;
    case GRAMMAR_CALL:
        call(m, &node, s);
        break;
    case GRAMMAR_SET:
        changed.frame.need = m->g->counts[s->b].need;
        changed.frame.left = m->g->counts[s->b].left;
        go(m, &changed, s->a);
        break;
    case GRAMMAR_TAKE:
        if (node.frame.left == 0)
            break;
        count_member(&changed.frame);
        go(m, &changed, s->a);
        break;
    case GRAMMAR_DONE:
        if (node.frame.need == 0)
            go(m, &node, s->a);
        break;
    case GRAMMAR_FIRST:
    case GRAMMAR_KEY:
    case GRAMMAR_MORE:
        object(m, &node, (enum grammar_op)s->op, &m->g->objects[s->a]);
        break;
    case GRAMMAR_FAIL:
    default:
        break;
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool same_set(const struct matcher *m, const struct matcher_set *s)
{
    return s->n == m->n_found && s->done == m->done && s->opened == m->opened &&
           (s->n == 0 || memcmp(m->stacks + s->first, m->found, s->n * sizeof(*m->found)) == 0);
}

/* Ends a closure: the number of the set that was found. */
static uint32_t end_closure(struct matcher *m)
{
    uint32_t key = m->done + 2u * m->opened, *bucket;

    while (m->n_work != 0 && !m->failed)
        visit(m, m->work[--m->n_work]);
    if (m->n_found > MATCHER_MAX_STACKS)
        m->failed = true;
    if (m->failed || (m->n_found == 0 && !m->done && !m->opened))
        return MATCHER_DEAD;
    if (m->n_found > 1)
        qsort(m->found, m->n_found, sizeof(*m->found), by_number);
    for (uint32_t i = 0; i < m->n_found; i++)
        key = (key ^ m->found[i]) * 0x01000193u + 1;
    bucket = &m->set_buckets[(key ^ key >> 15) & (SET_BUCKETS - 1)];
    for (uint32_t i = *bucket; i != 0; i = m->sets[i].next)
        if (same_set(m, &m->sets[i]))
            return i;
    if (m->n_sets == MAX_SETS || m->n_stacks + m->n_found > MAX_STACKS) {
        m->failed = true;
        return MATCHER_DEAD;
    }
    m->sets[m->n_sets] = (struct matcher_set){.first = m->n_stacks,
                                              .n = m->n_found,
                                              .next = *bucket,
                                              .done = m->done,
                                              .opened = m->opened};
    memcpy(m->stacks + m->n_stacks, m->found, m->n_found * sizeof(*m->found));
    m->n_stacks += m->n_found;
    *bucket = m->n_sets;
    return m->n_sets++;
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

/* One stack moved by a byte into the closure. */
static void step_node(struct matcher *m, uint32_t at, unsigned char byte)
{
    struct matcher_node node = m->nodes[at];
    const struct grammar_state *s = &m->g->states[node.frame.state];
    uint16_t next;

    if (s->op == GRAMMAR_BYTE) {
        if (s->byte == byte)
            go(m, &node, s->a);
        return;
    }
    next = dfa_next(&m->g->dfas[s->a], s->b, byte);
    if (next == DFA_DEAD)
        return;
    if (s->counted && byte == '"' && node.frame.need != 0)
        return;
    if (s->counted && byte != '"') {
        if (node.frame.left == 0)
            return;
        count_member(&node.frame);
    }
    go(m, &node, node.frame.state - s->b + next);
}

static uint32_t compute_step(struct matcher *m, uint32_t set, unsigned char byte)
{
    const struct matcher_set *s = &m->sets[set];

    begin_closure(m);
    for (uint32_t i = 0; i < s->n && !m->failed; i++)
        step_node(m, m->stacks[s->first + i], byte);
    return end_closure(m);
}

uint32_t matcher_step(struct matcher *m, uint32_t set, unsigned char byte)
{
    struct matcher_set *s = &m->sets[set];
    uint32_t to;

    if (set == MATCHER_DEAD || m->failed)
        return MATCHER_DEAD;
    if (s->row != NULL && s->row[byte] != 0)
        return s->row[byte] - 1;
    to = compute_step(m, set, byte);
    if (s->row == NULL)
        s->row = calloc(256, sizeof(*s->row)); /* without it nothing but time is lost */
    if (s->row != NULL && !m->failed)
        s->row[byte] = to + 1;
    return to;
}

bool matcher_accept(struct matcher *m, struct gw_span bytes)
{
    uint32_t set = m->at;

    for (size_t i = 0; i < bytes.len && set != MATCHER_DEAD; i++)
        set = matcher_step(m, set, (unsigned char)bytes.ptr[i]);
    if (set == MATCHER_DEAD)
        return false;
    m->at = set;
    return true;
}

bool matcher_done(const struct matcher *m)
{
    return m->sets[m->at].done;
}

bool matcher_over(const struct matcher *m)
{
    return m->sets[m->at].done && m->sets[m->at].n == 0;
}

/* The only byte that can follow a node, or -1. */
static int only_byte(const struct matcher *m, uint32_t node)
{
    const struct grammar_state *s = &m->g->states[m->nodes[node].frame.state];
    const struct dfa *d;
    int only = -1;

    if (s->op == GRAMMAR_BYTE)
        return s->byte;
    d = &m->g->dfas[s->a];
    for (int b = 0; b < 256; b++) {
        if (dfa_next(d, s->b, (unsigned char)b) == DFA_DEAD)
            continue;
        if (only >= 0)
            return -1;
        only = b;
    }
    return only;
}

size_t matcher_forced(struct matcher *m, char *out, size_t max)
{
    uint32_t set = m->at;
    size_t n = 0;

    for (; n < max; n++) {
        const struct matcher_set *s = &m->sets[set];
        int byte = s->done || s->n == 0 ? -1 : only_byte(m, m->stacks[s->first]);

        for (uint32_t i = 1; i < s->n && byte >= 0; i++)
            if (only_byte(m, m->stacks[s->first + i]) != byte)
                byte = -1;
        if (byte < 0)
            break;
        set = matcher_step(m, set, (unsigned char)byte);
        if (set == MATCHER_DEAD)
            break;
        out[n] = (char)byte;
    }
    return n;
}

/* ---- for masks ---------------------------------------------------------------------------------------- */

uint32_t matcher_open(struct matcher *m, const struct matcher_frame *frame)
{
    begin_closure(m);
    push(m, frame, MATCHER_UNKNOWN);
    return end_closure(m);
}

uint32_t matcher_below(struct matcher *m, uint32_t node)
{
    begin_closure(m);
    pop(m, m->nodes[node].parent);
    return end_closure(m);
}

/* ---- memory ------------------------------------------------------------------------------------------- */

static void clear(struct matcher *m)
{
    for (uint32_t i = 0; i < m->n_sets; i++)
        free(m->sets[i].row);
    memset(m->node_buckets, 0, NODE_BUCKETS * sizeof(*m->node_buckets));
    memset(m->set_buckets, 0, SET_BUCKETS * sizeof(*m->set_buckets));
    m->n_nodes = MATCHER_UNKNOWN + 1;
    m->n_stacks = 0;
    m->n_sets = 1;
    m->sets[MATCHER_DEAD] = (struct matcher_set){0};
    m->round = 0;
}

/* The stacks of the set where the answer stands, in new tables: each from its bottom up. */
static void rebuild(struct matcher *m)
{
    struct matcher_set *s = &m->sets[m->at];
    uint32_t n = s->n;
    struct matcher_frame *frames =
        malloc(((size_t)n * (GRAMMAR_MAX_HEIGHT + 2) + 1) * sizeof(*frames));
    uint32_t *depths = malloc(((size_t)n + 1) * sizeof(*depths));
    bool done = s->done;

    if (frames == NULL || depths == NULL) {
        free(frames);
        free(depths);
        return; /* the tables may still do */
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = m->stacks[s->first + i];

        for (depths[i] = 0; node > MATCHER_UNKNOWN; node = m->nodes[node].parent)
            frames[(size_t)i * (GRAMMAR_MAX_HEIGHT + 2) + depths[i]++] = m->nodes[node].frame;
    }
    clear(m);
    begin_closure(m);
    m->done = done;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = MATCHER_ROOT;

        while (depths[i] != 0)
            node = intern(m, &frames[(size_t)i * (GRAMMAR_MAX_HEIGHT + 2) + --depths[i]], node);
        m->found[m->n_found++] = node;
    }
    m->at = end_closure(m);
    free(frames);
    free(depths);
}

void matcher_tidy(struct matcher *m)
{
    if (!m->failed &&
        (m->n_nodes > MAX_NODES / 2 || m->n_sets > MAX_ROWS || m->n_stacks > MAX_STACKS / 2))
        rebuild(m);
}

struct matcher *matcher_new(struct engine_grammar *g, bool spaced)
{
    struct matcher *m = calloc(1, sizeof(*m));
    struct matcher_frame f;

    if (m == NULL)
        return NULL;
    m->g = grammar_ref(g);
    m->nodes = calloc(MAX_NODES, sizeof(*m->nodes));
    m->sets = calloc(MAX_SETS, sizeof(*m->sets));
    m->stacks = malloc(MAX_STACKS * sizeof(*m->stacks));
    m->node_buckets = malloc(NODE_BUCKETS * sizeof(*m->node_buckets));
    m->set_buckets = malloc(SET_BUCKETS * sizeof(*m->set_buckets));
    m->work = malloc((MAX_STEPS + 1) * sizeof(*m->work));
    m->found = malloc((MAX_STEPS + 1) * sizeof(*m->found));
    if (m->nodes == NULL || m->sets == NULL || m->stacks == NULL || m->node_buckets == NULL ||
        m->set_buckets == NULL || m->work == NULL || m->found == NULL) {
        matcher_free(m);
        return NULL;
    }
    clear(m);
    begin_closure(m);
    push(m, fresh(&f, spaced ? g->start_spaced : g->start), MATCHER_ROOT);
    m->at = end_closure(m);
    return m;
}

void matcher_free(struct matcher *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; m->sets != NULL && i < m->n_sets; i++)
        free(m->sets[i].row);
    free(m->nodes);
    free(m->sets);
    free(m->stacks);
    free(m->node_buckets);
    free(m->set_buckets);
    free(m->work);
    free(m->found);
    engine_grammar_unref(m->g);
    free(m);
}
