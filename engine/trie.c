/* engine/trie.c - see trie.h. */
#include "engine/trie.h"

#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

static int by_bytes(const void *a, const void *b)
{
    const struct trie_entry *x = a, *y = b;
    size_t n = x->bytes.len < y->bytes.len ? x->bytes.len : y->bytes.len;
    int order = n == 0 ? 0 : memcmp(x->bytes.ptr, y->bytes.ptr, n);

    if (order != 0)
        return order;
    if (x->bytes.len != y->bytes.len)
        return x->bytes.len < y->bytes.len ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static size_t common_prefix(struct gw_span a, struct gw_span b)
{
    size_t n = 0;

    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

/* Nodes that sorted entries need, the root included. */
static size_t count_nodes(const struct trie_entry *e, size_t n)
{
    size_t all = 1;
    struct gw_span before = {NULL, 0};

    for (size_t i = 0; i < n; i++) {
        all += e[i].bytes.len - common_prefix(before, e[i].bytes);
        before = e[i].bytes;
    }
    return all;
}

static void fill(struct trie *t, const struct trie_entry *e, size_t n)
{
    uint32_t path[TRIE_MAX_DEPTH + 1] = {0}; /* nodes of the entry before */
    size_t depth = 0;
    struct gw_span before = {NULL, 0};

    t->nodes[t->n_nodes++] = (struct trie_node){0};
    for (size_t i = 0; i < n; i++) {
        size_t same = common_prefix(before, e[i].bytes);
        struct trie_node *last;

        for (; depth > same; depth--)
            t->nodes[path[depth]].end = t->n_nodes;
        for (; depth < e[i].bytes.len; depth++) {
            path[depth + 1] = t->n_nodes;
            t->nodes[t->n_nodes++] = (struct trie_node){.byte = (uint8_t)e[i].bytes.ptr[depth],
                                                        .depth = (uint8_t)(depth + 1)};
        }
        if (depth > t->max_depth)
            t->max_depth = (unsigned)depth;
        last = &t->nodes[path[depth]];
        if (last->n_ids == 0)
            last->first_id = t->n_ids;
        if (last->n_ids != UINT16_MAX) {
            last->n_ids++;
            t->ids[t->n_ids++] = e[i].id;
        }
        before = e[i].bytes;
    }
    for (depth++; depth-- > 0;)
        t->nodes[path[depth]].end = t->n_nodes;
}

enum gw_status trie_make(struct trie_entry *entries, size_t n, struct trie *out)
{
    struct trie t = {0};
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (entries[i].bytes.len <= TRIE_MAX_DEPTH)
            entries[kept++] = entries[i];
    if (kept > 1)
        qsort(entries, kept, sizeof(*entries), by_bytes);
    t.nodes = calloc(count_nodes(entries, kept), sizeof(*t.nodes));
    t.ids = calloc(kept + 1, sizeof(*t.ids));
    if (t.nodes == NULL || t.ids == NULL) {
        trie_fini(&t);
        return GW_ENOMEM;
    }
    fill(&t, entries, kept);
    *out = t;
    return GW_OK;
}

enum gw_status trie_of_vocab(const struct tok *t, struct trie *out)
{
    unsigned n_vocab = tok_n_vocab(t);
    struct trie_entry *entries = calloc((size_t)n_vocab + 1, sizeof(*entries));
    enum gw_status st;
    size_t n = 0;

    if (entries == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < n_vocab; i++) {
        struct gw_span piece = tok_piece(t, (int32_t)i);

        if (piece.len != 0 && !tok_is_end(t, (int32_t)i) && !tok_is_control(t, (int32_t)i))
            entries[n++] = (struct trie_entry){piece, (int32_t)i};
    }
    st = trie_make(entries, n, out);
    free(entries);
    return st;
}

void trie_fini(struct trie *t)
{
    free(t->nodes);
    free(t->ids);
    *t = (struct trie){0};
}
