/* audit/merkle.c - RFC 9162 section 2.1. Recursion is as deep as a tree of 2^64 leaves at most. Pure. */
#include "audit/merkle.h"

#include <string.h>

static void node(const struct merkle_hash *l, const struct merkle_hash *r, struct merkle_hash *out)
{
    unsigned char both[1 + 2 * MERKLE_BYTES] = {1};

    memcpy(both + 1, l->bytes, MERKLE_BYTES);
    memcpy(both + 1 + MERKLE_BYTES, r->bytes, MERKLE_BYTES);
    gw_sha256_pair((struct gw_span){(const char *)both, 1 + MERKLE_BYTES},
                   (struct gw_span){(const char *)both + 1 + MERKLE_BYTES, MERKLE_BYTES},
                   out->bytes);
}

static bool same(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->bytes, b->bytes, MERKLE_BYTES) == 0;
}

/* ---- growing ---------------------------------------------------------------------------- */

void merkle_add(struct merkle *t, const struct merkle_hash *leaf)
{
    struct merkle_hash h = *leaf;

    /* Each bit that carries joins two subtrees of one size. */
    for (uint64_t bits = t->size; (bits & 1) != 0; bits >>= 1)
        node(&t->edge[--t->n], &h, &h);
    t->edge[t->n++] = h;
    t->size++;
}

void merkle_root(const struct merkle *t, struct merkle_hash *out)
{
    if (t->n == 0) {
        gw_sha256(GW_SPAN(""), out->bytes);
        return;
    }
    *out = t->edge[t->n - 1];
    for (unsigned i = t->n - 1; i-- > 0;)
        node(&t->edge[i], out, out);
}

/* ---- a part ------------------------------------------------------------------------------ */

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* The complete subtree [from, from + len) of the base's edge. */
static bool edge_node(const struct merkle *base, uint64_t from, uint64_t len,
                      struct merkle_hash *out)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < base->n; i++) {
        uint64_t width = (uint64_t)1 << (63 - __builtin_clzll(base->size - at));

        if (at == from && width == len) {
            *out = base->edge[i];
            return true;
        }
        at += width;
    }
    return false;
}

/* The hash of the leaves [from, from + len), len > 0. */
static bool subtree(const struct merkle_part *p, uint64_t from, uint64_t len,
                    struct merkle_hash *out)
{
    struct merkle_hash l, r;
    uint64_t k;

    if (from + len > p->base.size + p->n_leaves)
        return false;
    if (from < p->base.size && from + len <= p->base.size && edge_node(&p->base, from, len, out))
        return true;
    if (len == 1) {
        if (from < p->base.size)
            return false;
        *out = p->leaves[from - p->base.size];
        return true;
    }
    k = split(len);
    if (!subtree(p, from, k, &l) || !subtree(p, from + k, len - k, &r))
        return false;
    node(&l, &r, out);
    return true;
}

bool merkle_part_root(const struct merkle_part *p, uint64_t size, struct merkle_hash *out)
{
    if (size != 0)
        return subtree(p, 0, size, out);
    gw_sha256(GW_SPAN(""), out->bytes);
    return p->base.size == 0;
}

/* ---- inclusion ---------------------------------------------------------------------------- */

int merkle_prove_inclusion(const struct merkle_part *p, uint64_t leaf, uint64_t size,
                           struct merkle_hash *out)
{
    struct merkle_hash down[MERKLE_MAX_PROOF];
    uint64_t from = 0, len = size;
    int n = 0;

    if (leaf >= size || size > p->base.size + p->n_leaves)
        return -1;
    while (len > 1) { /* from the root down: the other side each time */
        const uint64_t k = split(len);
        const bool right = leaf - from >= k;

        if (!subtree(p, right ? from : from + k, right ? k : len - k, &down[n++]))
            return -1;
        from += right ? k : 0;
        len = right ? len - k : k;
    }
    for (int i = 0; i < n; i++)
        out[i] = down[n - 1 - i];
    return n;
}

bool merkle_check_inclusion(const struct merkle_hash *leaf_hash, uint64_t leaf, uint64_t size,
                            const struct merkle_hash *path, unsigned n,
                            const struct merkle_hash *root)
{
    struct merkle_hash h = *leaf_hash;
    uint64_t fn = leaf, sn = size - 1;

    if (leaf >= size)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            node(&path[i], &h, &h);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            node(&h, &path[i], &h);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&h, root);
}

/* ---- consistency -------------------------------------------------------------------------- */

int merkle_prove_consistency(const struct merkle_part *p, uint64_t from, uint64_t to,
                             struct merkle_hash *out)
{
    struct merkle_hash down[MERKLE_MAX_PROOF];
    uint64_t at = 0, m = from, len = to;
    bool whole = true; /* the subtree at hand is one that the older tree has too, from its start */
    int n = 0;

    if (from == 0 || from > to || to > p->base.size + p->n_leaves)
        return -1;
    while (m != len) {
        const uint64_t k = split(len);
        const bool right = m > k;

        if (!subtree(p, right ? at : at + k, right ? k : len - k, &down[n++]))
            return -1;
        if (right) {
            at += k;
            m -= k;
            len -= k;
            whole = false;
        } else {
            len = k;
        }
    }
    if (!whole && !subtree(p, at, m, &down[n++]))
        return -1;
    for (int i = 0; i < n; i++)
        out[i] = down[n - 1 - i];
    return n;
}

bool merkle_check_consistency(uint64_t from, const struct merkle_hash *from_root, uint64_t to,
                              const struct merkle_hash *to_root, const struct merkle_hash *proof,
                              unsigned n)
{
    uint64_t fn = from - 1, sn = to - 1;
    struct merkle_hash fr, sr;
    unsigned i = 0;

    if (from == 0 || from > to)
        return false;
    if (from == to)
        return n == 0 && same(from_root, to_root);
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    if ((from & (from - 1)) == 0)
        fr = *from_root; /* a complete subtree: the proof begins with it, unsaid */
    else if (n == 0)
        return false;
    else
        fr = proof[i++];
    sr = fr;
    for (; i < n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            node(&proof[i], &fr, &fr);
            node(&proof[i], &sr, &sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            node(&sr, &proof[i], &sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&fr, from_root) && same(&sr, to_root);
}
