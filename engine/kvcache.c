/* engine/kvcache.c - the page pool. See kvcache.h. */
#include "engine/kvcache.h"

#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"

struct kvcache {
    struct kvcache_shape shape;
    char *mem; /* [page][layer][kv_head][block] */
    struct layer {
        enum kern_kv_type type;
        size_t at, block_bytes; /* of its first block within a page, and of each */
    } * layers;
    size_t page_bytes;
    uint64_t *free_bits; /* bit p % 64 of word p / 64: page p is free */
    uint32_t *holders;   /* [page]: twice the number of sequences, plus IN_TREE */
    unsigned n_pages, n_free, n_idle, max_seq_pages;
    unsigned first_word; /* no word before this one has a free page */
    uint64_t n_copied;   /* pages, ever */
};

enum { MAX_LAYERS = 65536 };

/* A page's count: the tree adds IN_TREE, each sequence that holds it IN_SEQ. */
enum { IN_TREE = 1, IN_SEQ = 2 };

static unsigned pages_for(unsigned n_tokens)
{
    return n_tokens / KERN_KV_BLOCK + (n_tokens % KERN_KV_BLOCK != 0);
}

/* Where the layers' blocks lie within a page; false: the size overflows. */
static bool lay_out(struct kvcache *kv)
{
    const struct kvcache_shape *s = &kv->shape;

    for (unsigned i = 0; i < s->n_layers; i++) {
        struct layer *l = &kv->layers[i];
        size_t bytes;

        l->type = kvcache_layer_type(s, i);
        l->block_bytes = kern_kv_block_bytes(l->type, s->head_dim);
        l->at = kv->page_bytes;
        if (__builtin_mul_overflow(l->block_bytes, (size_t)s->n_kv_heads, &bytes) ||
            __builtin_add_overflow(kv->page_bytes, bytes, &kv->page_bytes))
            return false;
    }
    return true;
}

void kvcache_adapt(unsigned n_layers, enum kern_kv_type *out)
{
    for (unsigned i = 0; i < n_layers; i++)
        out[i] = i < (n_layers + 5) / 6 ? KERN_KV_I8 : KERN_KV_I4;
}

uint64_t kvcache_token_bytes(const struct kvcache_shape *shape)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < shape->n_layers; i++)
        bytes += (uint64_t)shape->n_kv_heads *
                 kern_kv_block_bytes(kvcache_layer_type(shape, i), shape->head_dim);
    return bytes / KERN_KV_BLOCK;
}

enum gw_status kvcache_new(const struct kvcache_shape *shape, struct kvcache **out,
                           struct gw_err *err)
{
    struct kvcache *kv = calloc(1, sizeof(*kv));
    size_t bytes;

    if (kv == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the KV cache");
    kv->shape = *shape;
    kv->n_pages = kv->n_free = pages_for(shape->n_tokens);
    kv->max_seq_pages = pages_for(shape->max_seq_tokens);
    if (shape->n_layers <= MAX_LAYERS)
        kv->layers = calloc((size_t)shape->n_layers + 1, sizeof(*kv->layers));
    if (kv->layers == NULL) {
        kvcache_free(kv);
        return gw_fail(err, GW_ENOMEM, "out of memory for the KV cache");
    }
    if (!lay_out(kv) || __builtin_mul_overflow(kv->page_bytes, (size_t)kv->n_pages, &bytes)) {
        kvcache_free(kv);
        return gw_fail(err, GW_ELIMIT, "a KV cache of %u tokens does not fit into memory",
                       shape->n_tokens);
    }
    kv->shape.layer_types = NULL; /* the caller's */
    kv->mem = hugemem_new(bytes != 0 ? bytes : 1);
    kv->free_bits = calloc(kv->n_pages / 64 + 1, sizeof(*kv->free_bits));
    kv->holders = calloc((size_t)kv->n_pages + 1, sizeof(*kv->holders));
    if (kv->mem == NULL || kv->free_bits == NULL || kv->holders == NULL) {
        kvcache_free(kv);
        return gw_fail(err, GW_ENOMEM, "out of memory for a KV cache of %zu MiB", bytes >> 20);
    }
    for (unsigned i = 0; i < kv->n_pages; i++)
        kv->free_bits[i / 64] |= 1ull << i % 64;
    *out = kv;
    return GW_OK;
}

void kvcache_free(struct kvcache *kv)
{
    if (kv == NULL)
        return;
    if (kv->mem != NULL)
        hugemem_free(kv->mem, kv->page_bytes != 0 ? kv->page_bytes * kv->n_pages : 1);
    free(kv->layers);
    free(kv->free_bits);
    free(kv->holders);
    free(kv);
}

/* ---- one page --------------------------------------------------------------------------- */

/* Takes the lowest free page for a sequence; there is one. */
static uint32_t take_page(struct kvcache *kv)
{
    unsigned w = kv->first_word, bit;

    while (kv->free_bits[w] == 0)
        w++;
    kv->first_word = w;
    bit = (unsigned)__builtin_ctzll(kv->free_bits[w]);
    kv->free_bits[w] &= kv->free_bits[w] - 1;
    kv->n_free--;
    kv->holders[w * 64 + bit] = IN_SEQ;
    return w * 64 + bit;
}

static void set_holders(struct kvcache *kv, uint32_t page, uint32_t holders)
{
    kv->n_idle -= kv->holders[page] == IN_TREE;
    kv->n_idle += holders == IN_TREE;
    kv->holders[page] = holders;
    if (holders != 0)
        return;
    kv->free_bits[page / 64] |= 1ull << page % 64;
    if (page / 64 < kv->first_word)
        kv->first_word = page / 64;
    kv->n_free++;
}

static void hold_page(struct kvcache *kv, uint32_t page)
{
    set_holders(kv, page, kv->holders[page] + IN_SEQ);
}

static void give_page(struct kvcache *kv, uint32_t page)
{
    set_holders(kv, page, kv->holders[page] - IN_SEQ);
}

void kvcache_keep(struct kvcache *kv, uint32_t page)
{
    set_holders(kv, page, kv->holders[page] | IN_TREE);
}

void kvcache_drop(struct kvcache *kv, uint32_t page)
{
    set_holders(kv, page, kv->holders[page] & ~(uint32_t)IN_TREE);
}

bool kvcache_is_idle(const struct kvcache *kv, uint32_t page)
{
    return kv->holders[page] == IN_TREE;
}

/* ---- a sequence's pages ------------------------------------------------------------------ */

/* Pages from position `from` on that others hold too. */
static unsigned n_shared(const struct kvcache *kv, const struct kvcache_seq *s, unsigned from,
                         unsigned n_tokens)
{
    unsigned end = pages_for(n_tokens), n = 0;

    for (unsigned i = from / KERN_KV_BLOCK; i < s->n_pages && i < end; i++)
        n += kv->holders[s->pages[i]] != IN_SEQ;
    return n;
}

unsigned kvcache_missing(const struct kvcache *kv, const struct kvcache_seq *s, unsigned from,
                         unsigned n_tokens)
{
    unsigned want = pages_for(n_tokens), need = n_shared(kv, s, from, n_tokens);

    need += want > s->n_pages ? want - s->n_pages : 0;
    return need > kv->n_free ? need - kv->n_free : 0;
}

static enum gw_status need_list(const struct kvcache *kv, struct kvcache_seq *s)
{
    if (s->pages == NULL)
        s->pages = calloc((size_t)kv->max_seq_pages + 1, sizeof(*s->pages));
    return s->pages == NULL ? GW_ENOMEM : GW_OK;
}

static void copy_page(const struct kvcache *kv, uint32_t to, uint32_t from)
{
    memcpy(kv->mem + to * kv->page_bytes, kv->mem + from * kv->page_bytes, kv->page_bytes);
    if (kv->shape.copy != NULL)
        kv->shape.copy(kv->shape.copy_ctx, to, from);
}

enum gw_status kvcache_reserve_from(struct kvcache *kv, struct kvcache_seq *s, unsigned from,
                                    unsigned n_tokens)
{
    unsigned want = pages_for(n_tokens);

    if (n_tokens > kv->shape.max_seq_tokens)
        return GW_ELIMIT;
    if (kvcache_missing(kv, s, from, n_tokens) != 0)
        return GW_EAGAIN;
    GW_TRY(need_list(kv, s));
    for (unsigned i = from / KERN_KV_BLOCK; i < s->n_pages && i < want; i++) {
        uint32_t old = s->pages[i];

        if (kv->holders[old] == IN_SEQ)
            continue;
        s->pages[i] = take_page(kv);
        copy_page(kv, s->pages[i], old);
        kv->n_copied++;
        give_page(kv, old);
    }
    while (s->n_pages < want)
        s->pages[s->n_pages++] = take_page(kv);
    return GW_OK;
}

enum gw_status kvcache_reserve(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens)
{
    return kvcache_reserve_from(kv, s, n_tokens, n_tokens);
}

enum gw_status kvcache_put(struct kvcache *kv, struct kvcache_seq *s, unsigned i, uint32_t page)
{
    if (i >= kv->max_seq_pages)
        return GW_ELIMIT;
    GW_TRY(need_list(kv, s));
    hold_page(kv, page);
    if (i == s->n_pages)
        s->n_pages++;
    else
        give_page(kv, s->pages[i]);
    s->pages[i] = page;
    return GW_OK;
}

void kvcache_truncate(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens)
{
    while (s->n_pages > pages_for(n_tokens))
        give_page(kv, s->pages[--s->n_pages]);
}

void kvcache_release(struct kvcache *kv, struct kvcache_seq *s)
{
    kvcache_truncate(kv, s, 0);
    free(s->pages);
    s->pages = NULL;
}

struct kern_kv kvcache_view(const struct kvcache *kv, const struct kvcache_seq *s, unsigned layer,
                            unsigned kv_head)
{
    const struct layer *l = &kv->layers[layer];

    return (struct kern_kv){.base = kv->mem + l->at + kv_head * l->block_bytes,
                            .table = s->pages,
                            .block_stride = kv->page_bytes,
                            .head_dim = kv->shape.head_dim,
                            .type = l->type};
}

/* ---- numbers ----------------------------------------------------------------------------- */

unsigned kvcache_free_tokens(const struct kvcache *kv)
{
    return kv->n_free * KERN_KV_BLOCK;
}

unsigned kvcache_idle_tokens(const struct kvcache *kv)
{
    return kv->n_idle * KERN_KV_BLOCK;
}

unsigned kvcache_used_tokens(const struct kvcache *kv)
{
    return (kv->n_pages - kv->n_free - kv->n_idle) * KERN_KV_BLOCK;
}

unsigned kvcache_total_tokens(const struct kvcache *kv)
{
    return kv->n_pages * KERN_KV_BLOCK;
}

uint64_t kvcache_bytes(const struct kvcache *kv)
{
    return (uint64_t)kv->page_bytes * kv->n_pages;
}

uint64_t kvcache_copied_tokens(const struct kvcache *kv)
{
    return kv->n_copied * KERN_KV_BLOCK;
}
