/* engine/tokenizer_merge.c - merges neighbours until no pair is a token.
 *
 * Both algorithms are the same loop: symbols in a linked list, candidate pairs in a heap, the best pair
 * first (score merge: highest score; BPE: lowest rank; ties: leftmost). A symbol lives at the index of
 * its first byte, so neighbours are found without another table. Time n log n, memory 48 bytes a byte of
 * the longest word at most. Invariant (M1): a candidate is current when its left symbol still exists and
 * together with its present neighbour has the length that was noted: symbols only ever grow.
 * Thread: any, one scratch each. */
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/tokenizer_private.h"

struct tok_symbol {
    uint32_t len;        /* bytes; 0: merged into the one on its left */
    uint32_t prev, next; /* indexes; next: where this one ends; prev of the first: NO_SYMBOL */
    int32_t id;          /* or TOK_NONE */
};

struct tok_candidate {
    uint64_t order; /* score key or rank, then the left index: smaller goes first */
    uint32_t len;   /* bytes of both */
    int32_t id;     /* what they become */
};

static const uint32_t NO_SYMBOL = UINT32_MAX;

void tok_scratch_fini(struct tok_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (struct tok_scratch){0};
}

static enum gw_status reserve_symbols(struct tok_scratch *s, size_t n)
{
    struct tok_symbol *p;

    if (n <= s->max_symbols)
        return GW_OK;
    n += n / 2;
    p = realloc(s->symbols, n * sizeof(*p));
    if (p == NULL)
        return GW_ENOMEM;
    s->symbols = p;
    s->max_symbols = n;
    return GW_OK;
}

static enum gw_status push(struct tok_scratch *s, struct tok_candidate c)
{
    if (s->n_heap == s->max_heap) {
        size_t n = s->max_heap == 0 ? 64 : s->max_heap * 2;
        struct tok_candidate *p = realloc(s->heap, n * sizeof(*p));

        if (p == NULL)
            return GW_ENOMEM;
        s->heap = p;
        s->max_heap = n;
    }
    size_t at = s->n_heap++;
    while (at > 0 && c.order < s->heap[(at - 1) / 2].order) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = c;
    return GW_OK;
}

static struct tok_candidate pop(struct tok_scratch *s)
{
    struct tok_candidate top = s->heap[0], last = s->heap[--s->n_heap];
    size_t at = 0;

    for (size_t child = 1; child < s->n_heap; child = 2 * at + 1) {
        if (child + 1 < s->n_heap && s->heap[child + 1].order < s->heap[child].order)
            child++;
        if (last.order <= s->heap[child].order)
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

/* Notes the pair that begins with symbol left, when it makes a token. */
static enum gw_status consider(const struct tok *t, struct gw_span text, struct tok_scratch *s,
                               uint32_t left)
{
    const struct tok_symbol *a = &s->symbols[left];
    struct tok_candidate c;

    if (a->next >= text.len)
        return GW_OK;
    c.len = a->len + s->symbols[a->next].len;
    if (t->score_merge) {
        c.id = tok_vocab_find(t, (struct gw_span){text.ptr + left, c.len});
        if (c.id == TOK_NONE)
            return GW_OK;
        c.order = (uint64_t)t->entries[c.id].sort_key << 32 | left;
    } else {
        const struct tok_merge *m = tok_vocab_merge(t, a->id, s->symbols[a->next].id);

        if (m == NULL)
            return GW_OK;
        c.id = m->id;
        c.order = (uint64_t)m->rank << 32 | left;
    }
    return push(s, c);
}

/* Characters for score merge, bytes for BPE and wherever the text is not UTF-8. */
static void first_symbols(const struct tok *t, struct gw_span text, struct tok_scratch *s)
{
    uint32_t prev = NO_SYMBOL;

    for (uint32_t at = 0; at < text.len;) {
        uint32_t cp;
        uint32_t len = t->score_merge ? gw_utf8_decode(text.ptr + at, text.len - at, &cp) : 1;

        if (len == 0)
            len = 1;
        s->symbols[at] = (struct tok_symbol){
            .len = len,
            .prev = prev,
            .next = at + len,
            .id = t->score_merge ? tok_vocab_find(t, (struct gw_span){text.ptr + at, len})
                                 : t->byte_ids[(unsigned char)text.ptr[at]],
        };
        prev = at;
        at += len;
    }
}

static enum gw_status merge_all(const struct tok *t, struct gw_span text, struct tok_scratch *s)
{
    for (uint32_t at = 0; at < text.len; at = s->symbols[at].next)
        GW_TRY(consider(t, text, s, at));
    while (s->n_heap > 0) {
        struct tok_candidate c = pop(s);
        uint32_t left = (uint32_t)c.order;
        struct tok_symbol *a = &s->symbols[left];

        if (a->len == 0 || a->next >= text.len || a->len + s->symbols[a->next].len != c.len)
            continue; /* M1 */
        struct tok_symbol *b = &s->symbols[a->next];
        b->len = 0;
        a->len = c.len;
        a->id = c.id;
        a->next = b->next;
        if (a->next < text.len)
            s->symbols[a->next].prev = left;
        if (a->prev != NO_SYMBOL)
            GW_TRY(consider(t, text, s, a->prev));
        GW_TRY(consider(t, text, s, left));
    }
    return GW_OK;
}

/* What is no token becomes its bytes, then the unknown token, then nothing. */
static enum gw_status add_bytes(const struct tok *t, struct gw_span bytes, struct tok_ids *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        int32_t id = t->byte_ids[(unsigned char)bytes.ptr[i]];

        if (id == TOK_NONE)
            id = t->unknown;
        if (id != TOK_NONE)
            GW_TRY(tok_ids_add(out, id));
    }
    return GW_OK;
}

enum gw_status tok_merge_text(const struct tok *t, struct gw_span text, struct tok_scratch *s,
                              struct tok_ids *out)
{
    s->n_heap = 0;
    if (text.len == 0)
        return GW_OK;
    GW_TRY(reserve_symbols(s, text.len));
    first_symbols(t, text, s);
    GW_TRY(merge_all(t, text, s));
    for (uint32_t at = 0; at < text.len; at = s->symbols[at].next) {
        const struct tok_symbol *a = &s->symbols[at];

        if (a->id != TOK_NONE)
            GW_TRY(tok_ids_add(out, a->id));
        else
            GW_TRY(add_bytes(t, (struct gw_span){text.ptr + at, a->len}, out));
    }
    return GW_OK;
}
