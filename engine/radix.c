/* engine/radix.c - the tree of prefixes. See radix.h. Loops only: its depth is the caller's to choose. */
#include "engine/radix.h"

#include <stdlib.h>
#include <string.h>

#include "engine/reuse.h"

struct node {
    struct node *parent;    /* NULL: the root's own, which has no page */
    struct node **children; /* by their tokens */
    unsigned n_children, room;
    uint32_t page;
    struct node *newer, *older; /* the list of its rank */
    uint64_t rank;
    uint64_t maker, user; /* requests: that made it; the youngest that used it */
    uint64_t print;       /* of all ids up to its end */
    struct reuse_class c;
    struct radix_root *root;
    int32_t ids[KERN_KV_BLOCK];
};

struct radix_root {
    struct node top;
    struct radix_root *next;
    struct reuse_odds odds;
    unsigned n_users;
    size_t len;
    char name[];
};

struct radix {
    struct kvcache *kv;
    struct radix_root *roots;
    struct list {
        struct node *newest, *oldest; /* used */
    } lists[REUSE_MAX_GAIN + 1];      /* by rank, modulo their number (T4) */
    uint64_t floor;                   /* the rank of the last one that went */
    struct reuse *reuse;              /* NULL: nothing is predicted, and all ranks are 0 */
    uint64_t n_evicted, n_missed;
    unsigned n_nodes;
};

/* ---- ranks ------------------------------------------------------------------------------ */

static struct list *list_of(struct radix *t, uint64_t rank)
{
    return &t->lists[rank % (REUSE_MAX_GAIN + 1)];
}

static void take_out(struct radix *t, struct node *x)
{
    struct list *l = list_of(t, x->rank);

    *(x->newer != NULL ? &x->newer->older : &l->newest) = x->older;
    *(x->older != NULL ? &x->older->newer : &l->oldest) = x->newer;
}

static void put_newest(struct radix *t, struct node *x, uint64_t rank)
{
    struct list *l = list_of(t, rank);

    x->rank = rank;
    x->newer = NULL;
    x->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = x;
    l->newest = x;
}

static uint64_t rank_now(const struct radix *t, const struct node *x)
{
    return t->reuse == NULL ? 0 : t->floor + reuse_gain(t->reuse, &x->root->odds, x->c);
}

/* x and all above it were used: in the end x's ancestors stand before it (T3). */
static void touch(struct radix *t, struct node *x)
{
    uint64_t least = 0;

    for (; x->parent != NULL; x = x->parent) {
        uint64_t rank = rank_now(t, x);

        if (x->n_children != 0 && x->rank > rank)
            rank = x->rank; /* its other children's may be as high */
        least = rank > least ? rank : least;
        take_out(t, x);
        put_newest(t, x, least);
    }
}

/* ---- children --------------------------------------------------------------------------- */

/* How many of the first n tokens agree. */
static unsigned agree(const int32_t *a, const int32_t *b, unsigned n)
{
    unsigned i = 0;

    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* Where a child with these n tokens stands or would stand: the first that is not before them. */
static unsigned place(const struct node *x, const int32_t *ids, unsigned n)
{
    unsigned from = 0, to = x->n_children;

    while (from < to) {
        unsigned mid = from + (to - from) / 2;
        unsigned i = agree(x->children[mid]->ids, ids, n);

        if (i < n && x->children[mid]->ids[i] < ids[i])
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* The child for a full page of tokens, or NULL. */
static struct node *child(const struct node *x, const int32_t *ids)
{
    unsigned at = place(x, ids, KERN_KV_BLOCK);

    if (x->children == NULL || at == x->n_children ||
        agree(x->children[at]->ids, ids, KERN_KV_BLOCK) != KERN_KV_BLOCK)
        return NULL;
    return x->children[at];
}

/* The child that agrees longest with n tokens (at most a page): one beside their place. *len gets how long. */
static struct node *nearest(const struct node *x, const int32_t *ids, unsigned n, unsigned *len)
{
    unsigned at = place(x, ids, n);
    struct node *best = NULL;

    *len = 0;
    for (unsigned i = at == 0 ? 0 : at - 1; i < x->n_children && i <= at; i++) {
        unsigned common = agree(x->children[i]->ids, ids, n);

        if (common > *len) {
            *len = common;
            best = x->children[i];
        }
    }
    return best;
}

/* How often the conversation has come back that request `who` goes on with behind x. */
static uint8_t turn_behind(const struct node *x, uint64_t who)
{
    if (x->parent == NULL)
        return REUSE_FRESH;
    if (x->maker == who)
        return x->c.turn;
    if (x->n_children != 0)
        return REUSE_BRANCH;
    if (x->c.turn < REUSE_GOES_ON)
        return REUSE_GOES_ON;
    return x->c.turn + 1 < REUSE_TURNS ? (uint8_t)(x->c.turn + 1) : x->c.turn;
}

/* y, a child of x that `who` makes, gets its class. */
static void classify(struct radix *t, struct node *y, const struct node *x, uint64_t who)
{
    struct radix_root *root = y->root;

    y->maker = y->user = who;
    if (t->reuse == NULL)
        return;
    y->c.turn = turn_behind(x, who);
    y->print = reuse_print(x->parent != NULL ? x->print : reuse_seed(root->name, root->len), y->ids,
                           KERN_KV_BLOCK);
    t->n_missed += reuse_made(t->reuse, &root->odds, &y->c, y->print);
}

/* Adds a child for the tokens, whose keys are on `page`, which request `who` has made. NULL: out of memory. */
static struct node *add_child(struct radix *t, struct radix_root *root, struct node *x,
                              uint64_t who, const int32_t *ids, uint32_t page)
{
    unsigned at = place(x, ids, KERN_KV_BLOCK);
    struct node *y;

    if (x->n_children == x->room) {
        unsigned room = x->room == 0 ? 2 : x->room * 2;
        struct node **more = realloc((void *)x->children, room * sizeof(struct node *));

        if (more == NULL)
            return NULL;
        x->children = more;
        x->room = room;
    }
    y = calloc(1, sizeof(*y));
    if (y == NULL)
        return NULL;
    y->parent = x;
    y->page = page;
    y->root = root;
    memcpy(y->ids, ids, sizeof(y->ids));
    classify(t, y, x, who);
    memmove((void *)&x->children[at + 1], (void *)&x->children[at],
            (x->n_children - at) * sizeof(struct node *));
    x->children[at] = y;
    x->n_children++;
    put_newest(t, y, rank_now(t, y));
    t->n_nodes++;
    kvcache_keep(t->kv, page);
    return y;
}

/* Frees a leaf and gives its page back. */
static void remove_leaf(struct radix *t, struct node *y)
{
    struct node *x = y->parent;
    unsigned at = place(x, y->ids, KERN_KV_BLOCK);

    x->n_children--;
    memmove((void *)&x->children[at], (void *)&x->children[at + 1],
            (x->n_children - at) * sizeof(struct node *));
    take_out(t, y);
    t->n_nodes--;
    kvcache_drop(t->kv, y->page);
    free((void *)y->children);
    free(y);
}

/* ---- roots ------------------------------------------------------------------------------ */

/* Frees the roots that are empty and in nobody's use. */
static void drop_roots(struct radix *t)
{
    struct radix_root **at = &t->roots;

    while (*at != NULL) {
        struct radix_root *root = *at;

        if (root->n_users != 0 || root->top.n_children != 0) {
            at = &root->next;
            continue;
        }
        *at = root->next;
        free((void *)root->top.children);
        free(root);
    }
}

struct radix *radix_new(struct kvcache *kv, bool predict)
{
    struct radix *t = calloc(1, sizeof(*t));

    if (t != NULL && predict) {
        t->reuse = reuse_new(kvcache_total_tokens(kv) / KERN_KV_BLOCK);
        if (t->reuse == NULL) {
            free(t);
            return NULL;
        }
    }
    if (t != NULL)
        t->kv = kv;
    return t;
}

/* Frees what is below x, the last leaf first. */
static void remove_below(struct radix *t, struct node *top)
{
    struct node *x = top;

    for (;;) {
        while (x->n_children != 0)
            x = x->children[x->n_children - 1];
        if (x == top)
            return;
        x = x->parent;
        remove_leaf(t, x->children[x->n_children - 1]);
    }
}

void radix_free(struct radix *t)
{
    if (t == NULL)
        return;
    for (struct radix_root *root = t->roots; root != NULL; root = root->next)
        remove_below(t, &root->top);
    drop_roots(t);
    reuse_free(t->reuse);
    free(t);
}

struct radix_root *radix_enter(struct radix *t, struct gw_span name)
{
    struct radix_root *root = t->roots;

    while (root != NULL && !gw_span_eq((struct gw_span){root->name, root->len}, name))
        root = root->next;
    if (root == NULL) {
        root = calloc(1, sizeof(*root) + name.len + 1);
        if (root == NULL)
            return NULL;
        root->len = name.len;
        if (name.len != 0)
            memcpy(root->name, name.ptr, name.len);
        root->next = t->roots;
        t->roots = root;
    }
    root->n_users++;
    return root;
}

void radix_leave(struct radix *t, struct radix_root *root)
{
    if (root == NULL)
        return;
    root->n_users--;
    drop_roots(t);
}

/* ---- prefixes --------------------------------------------------------------------------- */

/* Full pages of ids[0..n) that are stored; *last gets the node of the last one, or the root's. */
static unsigned walk(struct radix_root *root, const int32_t *ids, unsigned n, struct node **last)
{
    struct node *x = &root->top, *y;
    unsigned depth = 0;

    while ((depth + 1) * KERN_KV_BLOCK <= n &&
           (y = child(x, ids + (size_t)depth * KERN_KV_BLOCK)) != NULL) {
        x = y;
        depth++;
    }
    *last = x;
    return depth;
}

/* Page i of s becomes the tree's. */
static enum gw_status take(struct kvcache *kv, struct kvcache_seq *s, unsigned i, uint32_t page)
{
    if (i < s->n_pages && s->pages[i] == page)
        return GW_OK;
    return kvcache_put(kv, s, i, page);
}

unsigned radix_attach(struct radix *t, struct radix_root *root, const int32_t *ids, unsigned n,
                      struct kvcache_seq *s, unsigned have)
{
    struct node *x, *part;
    unsigned depth = walk(root, ids, n, &x), done = depth * KERN_KV_BLOCK, len = 0, rest = n - done;

    part = nearest(x, ids + done, rest < KERN_KV_BLOCK ? rest : KERN_KV_BLOCK, &len);
    if (done + len <= have)
        return have;
    touch(t, part != NULL ? part : x);
    kvcache_truncate(t->kv, s, have - have % KERN_KV_BLOCK);
    x = &root->top;
    for (unsigned i = 0; i < depth; i++) {
        x = child(x, ids + (size_t)i * KERN_KV_BLOCK);
        /* Pages of its own that hold the same are given back too (T2). */
        if (take(t->kv, s, i, x->page) != GW_OK)
            return s->n_pages * KERN_KV_BLOCK;
    }
    if (part != NULL && take(t->kv, s, depth, part->page) == GW_OK)
        return done + len;
    return done;
}

/* Request `who` needed x, and an older one has made it. */
static void note_use(struct radix *t, struct node *x, uint64_t who)
{
    if (t->reuse == NULL || x->user >= who)
        return;
    x->user = who;
    reuse_used(t->reuse, &x->root->odds, &x->c);
}

void radix_publish(struct radix *t, struct radix_root *root, uint64_t who, const int32_t *ids,
                   unsigned n, struct kvcache_seq *s)
{
    struct node *x = &root->top;

    for (unsigned i = 0; i < n / KERN_KV_BLOCK && i < s->n_pages; i++) {
        const int32_t *page_ids = ids + (size_t)i * KERN_KV_BLOCK;
        struct node *y = child(x, page_ids);

        if (y == NULL)
            y = add_child(t, root, x, who, page_ids, s->pages[i]);
        else
            (void)take(t->kv, s, i, y->page); /* there is a list: nothing can fail */
        if (y == NULL)
            break;
        note_use(t, y, who);
        x = y;
    }
    touch(t, x);
}

static void evict_leaf(struct radix *t, struct node *x)
{
    if (t->reuse != NULL)
        reuse_forgot(t->reuse, &x->root->odds, x->c, x->print);
    t->floor = x->rank;
    remove_leaf(t, x);
}

/* Frees up to n_pages of those with that rank. What cannot go now is needed now: it gets the rank `last`. */
static unsigned evict_rank(struct radix *t, uint64_t rank, uint64_t last, unsigned n_pages)
{
    struct node *x = list_of(t, rank)->oldest;
    unsigned n = 0;

    while (x != NULL && n < n_pages) {
        struct node *newer = x->newer;

        if (x->n_children == 0 && kvcache_is_idle(t->kv, x->page)) {
            evict_leaf(t, x);
            n++;
        } else if (rank != last) {
            take_out(t, x);
            put_newest(t, x, last);
        }
        x = newer;
    }
    return n;
}

unsigned radix_evict(struct radix *t, unsigned n_pages)
{
    const uint64_t first = t->floor, last = t->reuse == NULL ? first : first + REUSE_MAX_GAIN;
    unsigned n = 0;

    for (uint64_t rank = first; rank <= last && n < n_pages; rank++)
        n += evict_rank(t, rank, last, n_pages - n);
    t->n_evicted += n;
    if (n != 0)
        drop_roots(t);
    return n;
}

unsigned radix_n_pages(const struct radix *t)
{
    return t->n_nodes;
}

uint64_t radix_n_evicted(const struct radix *t)
{
    return t->n_evicted;
}

uint64_t radix_n_missed(const struct radix *t)
{
    return t->n_missed;
}
