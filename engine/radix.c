/* engine/radix.c - the tree of prefixes. See radix.h. Loops only: its depth is the caller's to choose. */
#include "engine/radix.h"

#include <stdlib.h>
#include <string.h>

struct node {
    struct node *parent;    /* NULL: the root's own, which has no page */
    struct node **children; /* by their tokens */
    unsigned n_children, room;
    uint32_t page;
    struct node *newer, *older; /* the list of use */
    int32_t ids[KERN_KV_BLOCK];
};

struct radix_root {
    struct node top;
    struct radix_root *next;
    unsigned n_users;
    size_t len;
    char name[];
};

struct radix {
    struct kvcache *kv;
    struct radix_root *roots;
    struct node *newest, *oldest;
    unsigned n_nodes;
};

/* ---- the list of use -------------------------------------------------------------------- */

static void unlink_use(struct radix *t, struct node *x)
{
    *(x->newer != NULL ? &x->newer->older : &t->newest) = x->older;
    *(x->older != NULL ? &x->older->newer : &t->oldest) = x->newer;
}

static void put_newest(struct radix *t, struct node *x)
{
    x->newer = NULL;
    x->older = t->newest;
    *(t->newest != NULL ? &t->newest->newer : &t->oldest) = x;
    t->newest = x;
}

/* x and all above it were used: in the end x's ancestors stand before it (T3). */
static void touch(struct radix *t, struct node *x)
{
    for (; x->parent != NULL; x = x->parent) {
        unlink_use(t, x);
        put_newest(t, x);
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

/* Adds a child for the tokens, whose keys are on `page`. NULL: out of memory. */
static struct node *add_child(struct radix *t, struct node *x, const int32_t *ids, uint32_t page)
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
    memcpy(y->ids, ids, sizeof(y->ids));
    memmove((void *)&x->children[at + 1], (void *)&x->children[at],
            (x->n_children - at) * sizeof(struct node *));
    x->children[at] = y;
    x->n_children++;
    put_newest(t, y);
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
    unlink_use(t, y);
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

struct radix *radix_new(struct kvcache *kv)
{
    struct radix *t = calloc(1, sizeof(*t));

    if (t != NULL)
        t->kv = kv;
    return t;
}

void radix_free(struct radix *t)
{
    if (t == NULL)
        return;
    for (struct node *x = t->oldest, *newer; x != NULL; x = newer) {
        newer = x->newer;
        remove_leaf(t, x);
    }
    drop_roots(t);
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

void radix_publish(struct radix *t, struct radix_root *root, const int32_t *ids, unsigned n,
                   struct kvcache_seq *s)
{
    struct node *x = &root->top;

    for (unsigned i = 0; i < n / KERN_KV_BLOCK && i < s->n_pages; i++) {
        const int32_t *page_ids = ids + (size_t)i * KERN_KV_BLOCK;
        struct node *y = child(x, page_ids);

        if (y == NULL)
            y = add_child(t, x, page_ids, s->pages[i]);
        else
            (void)take(t->kv, s, i, y->page); /* there is a list: nothing can fail */
        if (y == NULL)
            break;
        x = y;
    }
    touch(t, x);
}

unsigned radix_evict(struct radix *t, unsigned n_pages)
{
    struct node *x = t->oldest;
    unsigned n = 0;

    while (x != NULL && n < n_pages) {
        struct node *newer = x->newer;

        if (x->n_children == 0 && kvcache_is_idle(t->kv, x->page)) {
            remove_leaf(t, x);
            n++;
        }
        x = newer;
    }
    if (n != 0)
        drop_roots(t);
    return n;
}

unsigned radix_n_pages(const struct radix *t)
{
    return t->n_nodes;
}
