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
                                                        .depth = (uint8_t)(depth + 1),
                                                        .first_id = t->n_ids};
        }
        if (depth > t->max_depth)
            t->max_depth = (unsigned)depth;
        last = &t->nodes[path[depth]];
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

uint64_t trie_group(uint8_t byte)
{
    static const char own[] = " \t\n\"\\,.";
    unsigned group = 63; /* other ASCII */
    const char *at;

    if (byte >= 0x80)
        return TRIE_CHARS;
    if (byte >= 'a' && byte <= 'z')
        group = byte - (unsigned)'a';
    else if (byte >= 'A' && byte <= 'Z')
        group = 26 + byte - (unsigned)'A';
    else if (byte >= '0' && byte <= '9')
        group = 53;
    else if (byte < 0x20 && byte != '\n' && byte != '\t')
        group = 54;
    else if ((at = memchr(own, byte, sizeof(own) - 1)) != NULL)
        group = 55 + (unsigned)(at - own);
    return UINT64_C(1) << group;
}

/* Where a reader of UTF-8 is: `more` bytes of a character are missing, the next of them from lo to hi. */
struct reader {
    uint8_t more, lo, hi;
    bool bad;
};

static struct reader read_byte(struct reader r, uint8_t byte)
{
    const struct reader bad = {.bad = true};

    if (r.bad || (r.more != 0 && (byte < r.lo || byte > r.hi)))
        return bad;
    if (r.more != 0)
        return (struct reader){(uint8_t)(r.more - 1), 0x80, 0xBF, false};
    if (byte < 0x80)
        return (struct reader){0};
    if (byte < 0xC2 || byte > 0xF4)
        return bad;
    if (byte < 0xE0)
        return (struct reader){1, 0x80, 0xBF, false};
    if (byte < 0xF0)
        return (struct reader){2, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF, false};
    return (struct reader){3, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF, false};
}

enum gw_status trie_measure(struct trie *t)
{
    uint64_t *below = calloc(t->n_nodes, sizeof(*below));
    uint8_t *height = calloc(t->n_nodes, sizeof(*height));
    uint32_t *parent = calloc(t->n_nodes, sizeof(*parent));
    struct reader *at = calloc(t->n_nodes, sizeof(*at));
    uint32_t path[TRIE_MAX_DEPTH + 1] = {0};

    if (below == NULL || height == NULL || parent == NULL || at == NULL) {
        free(below);
        free(height);
        free(parent);
        free(at);
        return GW_ENOMEM;
    }
    for (uint32_t i = 1; i < t->n_nodes; i++) {
        parent[i] = path[t->nodes[i].depth - 1];
        path[t->nodes[i].depth] = i;
        at[i] = read_byte(at[parent[i]], t->nodes[i].byte);
    }
    for (uint32_t i = t->n_nodes; i-- > 1;) { /* children stand behind their parents */
        uint32_t up = parent[i];

        below[up] |= below[i] | (at[i].bad ? TRIE_BROKEN : trie_group(t->nodes[i].byte));
        if (height[up] < height[i] + 1)
            height[up] = (uint8_t)(height[i] + 1);
    }
    for (uint32_t i = 1; i < t->n_nodes; i++)
        if (at[i].bad || at[i].more != 0)
            below[i] |= TRIE_BROKEN;
    free(parent);
    free(at);
    t->below = below;
    t->height = height;
    return GW_OK;
}

void trie_fini(struct trie *t)
{
    free(t->below);
    free(t->height);
    free(t->nodes);
    free(t->ids);
    *t = (struct trie){0};
}
