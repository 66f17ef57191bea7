/* engine/bytetree.c - see bytetree.h. */
#include "engine/bytetree.h"

#include <stdlib.h>

enum { MIN_SLOT_BITS = 8 };

enum gw_status bytetree_init(struct bytetree *t, size_t n_bytes, unsigned n_roots,
                             struct gw_err *err)
{
    const size_t n_nodes = n_bytes + BYTETREE_ROOT + n_roots;

    t->slot_bits = MIN_SLOT_BITS;
    while (((size_t)1 << t->slot_bits) < 2 * n_bytes)
        t->slot_bits++;
    t->slots = calloc((size_t)1 << t->slot_bits, sizeof(*t->slots));
    t->ids = malloc(n_nodes * sizeof(*t->ids));
    if (t->slots == NULL || t->ids == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    for (size_t i = 0; i < n_nodes; i++)
        t->ids[i] = -1;
    t->n_nodes = BYTETREE_ROOT + n_roots;
    return GW_OK;
}

void bytetree_fini(struct bytetree *t)
{
    free(t->slots);
    free(t->ids);
    *t = (struct bytetree){0};
}

void bytetree_add(struct bytetree *t, uint32_t root, struct gw_span piece, int32_t id)
{
    uint32_t node = root;

    if (piece.len == 0)
        return;
    for (size_t i = 0; i < piece.len; i++) {
        const uint32_t key = node << 8 | (unsigned char)piece.ptr[i];
        struct bytetree_edge *edge = bytetree_slot(t, key);

        if (edge->from_byte == 0)
            *edge = (struct bytetree_edge){key, t->n_nodes++};
        node = edge->to;
    }
    t->ids[node] = id;
}
