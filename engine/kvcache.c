/* engine/kvcache.c - the page pool. See kvcache.h. */
#include "engine/kvcache.h"

#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"

struct kvcache {
    struct kvcache_shape shape;
    char *mem; /* [page][layer][kv_head][block] */
    size_t block_bytes, page_bytes;
    uint64_t *free_bits; /* bit p % 64 of word p / 64: page p is free */
    unsigned n_pages, n_free, max_seq_pages;
    unsigned first_word; /* no word before this one has a free page */
};

static unsigned pages_for(unsigned n_tokens)
{
    return n_tokens / KERN_KV_BLOCK + (n_tokens % KERN_KV_BLOCK != 0);
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
    kv->block_bytes = kern_kv_block_bytes(shape->head_dim);
    if (__builtin_mul_overflow(kv->block_bytes, (size_t)shape->n_layers * shape->n_kv_heads,
                               &kv->page_bytes) ||
        __builtin_mul_overflow(kv->page_bytes, (size_t)kv->n_pages, &bytes)) {
        kvcache_free(kv);
        return gw_fail(err, GW_ELIMIT, "a KV cache of %u tokens does not fit into memory",
                       shape->n_tokens);
    }
    kv->mem = hugemem_new(bytes);
    kv->free_bits = calloc(kv->n_pages / 64 + 1, sizeof(*kv->free_bits));
    if (kv->mem == NULL || kv->free_bits == NULL) {
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
        hugemem_free(kv->mem, kv->page_bytes * kv->n_pages);
    free(kv->free_bits);
    free(kv);
}

/* Takes the lowest free page; there is one. */
static uint32_t take_page(struct kvcache *kv)
{
    unsigned w = kv->first_word, bit;

    while (kv->free_bits[w] == 0)
        w++;
    kv->first_word = w;
    bit = (unsigned)__builtin_ctzll(kv->free_bits[w]);
    kv->free_bits[w] &= kv->free_bits[w] - 1;
    kv->n_free--;
    return w * 64 + bit;
}

static void give_page(struct kvcache *kv, uint32_t page)
{
    kv->free_bits[page / 64] |= 1ull << page % 64;
    if (page / 64 < kv->first_word)
        kv->first_word = page / 64;
    kv->n_free++;
}

enum gw_status kvcache_reserve(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens)
{
    unsigned want = pages_for(n_tokens);

    if (n_tokens > kv->shape.max_seq_tokens)
        return GW_ELIMIT;
    if (want <= s->n_pages)
        return GW_OK;
    if (want - s->n_pages > kv->n_free)
        return GW_EAGAIN;
    if (s->pages == NULL)
        s->pages = calloc(kv->max_seq_pages, sizeof(*s->pages));
    if (s->pages == NULL)
        return GW_ENOMEM;
    while (s->n_pages < want)
        s->pages[s->n_pages++] = take_page(kv);
    return GW_OK;
}

void kvcache_release(struct kvcache *kv, struct kvcache_seq *s)
{
    while (s->n_pages != 0)
        give_page(kv, s->pages[--s->n_pages]);
    free(s->pages);
    s->pages = NULL;
}

struct kern_kv kvcache_view(const struct kvcache *kv, const struct kvcache_seq *s, unsigned layer,
                            unsigned kv_head)
{
    size_t block = (size_t)layer * kv->shape.n_kv_heads + kv_head;

    return (struct kern_kv){.base = kv->mem + block * kv->block_bytes,
                            .table = s->pages,
                            .block_stride = kv->page_bytes,
                            .head_dim = kv->shape.head_dim};
}

unsigned kvcache_used_tokens(const struct kvcache *kv)
{
    return (kv->n_pages - kv->n_free) * KERN_KV_BLOCK;
}

unsigned kvcache_total_tokens(const struct kvcache *kv)
{
    return kv->n_pages * KERN_KV_BLOCK;
}

uint64_t kvcache_bytes(const struct kvcache *kv)
{
    return (uint64_t)kv->page_bytes * kv->n_pages;
}
