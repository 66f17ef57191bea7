/* tests/unit/engine/test_kvcache.c - pages with holders against a plain model: every sequence of the model
 * is a list of numbers, and the cache must give back what was written whatever was shared between. */
#include <stdlib.h>
#include <string.h>

#include "engine/kvcache.h"
#include "tests/test.h"

enum { N_SEQS = 6, MAX_TOKENS = 96, POOL_TOKENS = 256, DIM = 2, LAYERS = 2 };

/* What a sequence holds, written down plainly. */
struct plain {
    unsigned n; /* tokens */
    uint16_t marks[MAX_TOKENS];
};

struct bed {
    struct kvcache *kv;
    struct kvcache_seq seqs[N_SEQS];
    struct plain plain[N_SEQS];
    bool kept[POOL_TOKENS / KERN_KV_BLOCK]; /* pages that the "tree" holds */
    uint64_t state;
    uint16_t next_mark;
};

static unsigned draw(struct bed *b, unsigned n)
{
    b->state = b->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(b->state >> 33) % n;
}

static enum gw_status make(struct kvcache **kv, unsigned n_tokens)
{
    const struct kvcache_shape shape = {.n_layers = LAYERS,
                                        .n_kv_heads = 1,
                                        .head_dim = DIM,
                                        .n_tokens = n_tokens,
                                        .max_seq_tokens = MAX_TOKENS};

    return kvcache_new(&shape, kv, NULL);
}

/* The place of a mark for token pos in layer `layer`. */
static uint16_t *cell(const struct bed *b, unsigned i, unsigned layer, unsigned pos)
{
    struct kern_kv v = kvcache_view(b->kv, &b->seqs[i], layer, 0);
    char *block = (char *)v.base + (size_t)v.table[pos / KERN_KV_BLOCK] * v.block_stride;

    return (uint16_t *)(void *)block + pos % KERN_KV_BLOCK;
}

static unsigned pages_of(unsigned n)
{
    return (n + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
}

/* Appends n tokens to sequence i, if there are pages. */
static void append(struct bed *b, unsigned i, unsigned n)
{
    struct plain *p = &b->plain[i];
    unsigned free_before = kvcache_free_tokens(b->kv),
             missing = kvcache_missing(b->kv, &b->seqs[i], p->n, p->n + n);
    enum gw_status st = kvcache_reserve_from(b->kv, &b->seqs[i], p->n, p->n + n);

    if (p->n + n > MAX_TOKENS) {
        CHECK(st == GW_ELIMIT && kvcache_free_tokens(b->kv) == free_before);
        return;
    }
    CHECK((st == GW_EAGAIN) == (missing != 0));
    if (st != GW_OK) {
        CHECK(st == GW_EAGAIN && kvcache_free_tokens(b->kv) == free_before);
        return;
    }
    for (unsigned k = 0; k < n; k++) {
        uint16_t mark = ++b->next_mark;

        p->marks[p->n] = mark;
        for (unsigned layer = 0; layer < LAYERS; layer++)
            *cell(b, i, layer, p->n) = mark;
        p->n++;
    }
}

/* Sequence `to` (emptied) becomes the first tokens of sequence `from`. */
static void fork_seq(struct bed *b, unsigned from, unsigned to)
{
    unsigned n = draw(b, b->plain[from].n + 1);

    if (from == to)
        return;
    kvcache_release(b->kv, &b->seqs[to]);
    for (unsigned i = 0; i < pages_of(n); i++)
        CHECK(kvcache_put(b->kv, &b->seqs[to], i, b->seqs[from].pages[i]) == GW_OK);
    b->plain[to] = b->plain[from];
    b->plain[to].n = n;
}

static void cut(struct bed *b, unsigned i)
{
    unsigned n = draw(b, b->plain[i].n + 1);

    kvcache_truncate(b->kv, &b->seqs[i], n);
    b->plain[i].n = n;
}

/* The tree takes a page of sequence i, or gives back any one. */
static void tree_turn(struct bed *b, unsigned i)
{
    unsigned page = draw(b, POOL_TOKENS / KERN_KV_BLOCK);

    if (b->kept[page]) {
        kvcache_drop(b->kv, page);
        b->kept[page] = false;
    } else if (b->seqs[i].n_pages != 0) {
        page = b->seqs[i].pages[draw(b, b->seqs[i].n_pages)];
        if (!b->kept[page])
            kvcache_keep(b->kv, page);
        b->kept[page] = true;
    }
}

static void check_all(const struct bed *b)
{
    bool held[POOL_TOKENS / KERN_KV_BLOCK] = {false};
    unsigned used = 0, idle = 0;

    for (unsigned i = 0; i < N_SEQS; i++) {
        for (unsigned pos = 0; pos < b->plain[i].n; pos++)
            for (unsigned layer = 0; layer < LAYERS; layer++)
                if (*cell(b, i, layer, pos) != b->plain[i].marks[pos]) {
                    CHECK(!"a token's keys are not what was written");
                    return;
                }
        for (unsigned k = 0; k < b->seqs[i].n_pages; k++)
            held[b->seqs[i].pages[k]] = true;
    }
    for (unsigned p = 0; p < POOL_TOKENS / KERN_KV_BLOCK; p++) {
        used += held[p];
        idle += !held[p] && b->kept[p];
        if (kvcache_is_idle(b->kv, p) != (!held[p] && b->kept[p]))
            CHECK(!"idle is what the tree alone holds");
    }
    CHECK(kvcache_used_tokens(b->kv) == used * KERN_KV_BLOCK);
    CHECK(kvcache_idle_tokens(b->kv) == idle * KERN_KV_BLOCK);
    CHECK(kvcache_free_tokens(b->kv) + kvcache_used_tokens(b->kv) + kvcache_idle_tokens(b->kv) ==
          POOL_TOKENS);
}

/* Random turns; after each the cache and the plain lists agree. */
static void test_against_lists(uint64_t seed)
{
    struct bed b = {.state = seed};

    if (!CHECK(make(&b.kv, POOL_TOKENS) == GW_OK))
        return;
    for (int turn = 0; turn < TEST_DRAWS(4000); turn++) {
        unsigned i = draw(&b, N_SEQS);

        switch (draw(&b, 8)) {
        case 0:
            fork_seq(&b, draw(&b, N_SEQS), i);
            break;
        case 1:
            cut(&b, i);
            break;
        case 2:
            kvcache_release(b.kv, &b.seqs[i]);
            b.plain[i].n = 0;
            break;
        case 3:
        case 4:
            tree_turn(&b, i);
            break;
        default:
            append(&b, i, 1 + draw(&b, draw(&b, 2) ? 3 : 40));
            break;
        }
        check_all(&b);
    }
    for (unsigned i = 0; i < N_SEQS; i++)
        kvcache_release(b.kv, &b.seqs[i]);
    for (unsigned p = 0; p < POOL_TOKENS / KERN_KV_BLOCK; p++)
        if (b.kept[p])
            kvcache_drop(b.kv, p);
    CHECK(kvcache_free_tokens(b.kv) == POOL_TOKENS);
    kvcache_free(b.kv);
}

/* Layers of different types: their blocks do not overlap, and a page is as long as all of them. */
static void test_layer_types(void)
{
    enum { HEADS = 3, HEAD_DIM = 64, LAYERS_MIXED = 7 };
    enum kern_kv_type layers[LAYERS_MIXED];
    struct kvcache_shape shape = {.n_layers = LAYERS_MIXED,
                                  .n_kv_heads = HEADS,
                                  .head_dim = HEAD_DIM,
                                  .n_tokens = 64,
                                  .max_seq_tokens = 64,
                                  .layer_types = layers};
    struct kvcache_seq s = {0};
    struct kvcache *kv = NULL;
    const char *end;
    uint64_t all;

    kvcache_adapt(LAYERS_MIXED, layers);
    CHECK(layers[0] == KERN_KV_I8 && layers[1] == KERN_KV_I8 && layers[2] == KERN_KV_I4 &&
          layers[6] == KERN_KV_I4);
    if (!CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK) ||
        !CHECK(kvcache_reserve(kv, &s, 64) == GW_OK))
        return;
    end = kvcache_view(kv, &s, 0, 0).base;
    for (unsigned l = 0; l < LAYERS_MIXED; l++) {
        for (unsigned h = 0; h < HEADS; h++) {
            struct kern_kv v = kvcache_view(kv, &s, l, h);

            CHECK(v.type == layers[l] && v.base == end);
            end += kern_kv_block_bytes(layers[l], HEAD_DIM);
        }
    }
    all = kvcache_bytes(kv);
    CHECK(all == 4 * HEADS *
                     (2 * kern_kv_block_bytes(KERN_KV_I8, HEAD_DIM) +
                      5 * kern_kv_block_bytes(KERN_KV_I4, HEAD_DIM)));
    CHECK(all == 64 * kvcache_token_bytes(&shape));
    kvcache_release(kv, &s);
    kvcache_free(kv);
    /* 256, 136, 136, 72, 68, 52 and 70 bytes a head and token */
    for (int t = 0; t < KERN_KV_TYPES; t++) {
        static const unsigned bytes[KERN_KV_TYPES] = {256, 136, 136, 72, 68, 52, 70};

        CHECK(kern_kv_block_bytes((enum kern_kv_type)t, HEAD_DIM) == KERN_KV_BLOCK * bytes[t]);
    }
}

static void test_limits(void)
{
    const struct kvcache_shape huge = {.n_layers = UINT32_MAX,
                                       .n_kv_heads = 64,
                                       .head_dim = 128,
                                       .n_tokens = UINT32_MAX,
                                       .max_seq_tokens = UINT32_MAX};
    struct kvcache *kv = NULL;
    struct kvcache_seq s = {0}, t = {0};

    CHECK(kvcache_new(&huge, &kv, NULL) != GW_OK && kv == NULL);
    if (!CHECK(make(&kv, 2 * MAX_TOKENS) == GW_OK))
        return;
    CHECK(kvcache_reserve(kv, &s, MAX_TOKENS + 1) == GW_ELIMIT && s.n_pages == 0);
    CHECK(kvcache_reserve(kv, &s, MAX_TOKENS) == GW_OK);
    CHECK(kvcache_put(kv, &s, s.n_pages, s.pages[0]) == GW_ELIMIT);
    CHECK(kvcache_reserve(kv, &t, MAX_TOKENS) == GW_OK);
    CHECK(kvcache_free_tokens(kv) == 0 && kvcache_missing(kv, &t, 0, MAX_TOKENS) == 0);
    /* Shared and full: a write needs a page that is not there. */
    kvcache_truncate(kv, &t, MAX_TOKENS - KERN_KV_BLOCK);
    CHECK(kvcache_put(kv, &t, t.n_pages, s.pages[s.n_pages - 1]) == GW_OK);
    CHECK(kvcache_free_tokens(kv) == KERN_KV_BLOCK);
    CHECK(kvcache_missing(kv, &t, MAX_TOKENS - 1, MAX_TOKENS) == 0);
    CHECK(kvcache_missing(kv, &t, 0, MAX_TOKENS) == 0);
    CHECK(kvcache_reserve_from(kv, &t, MAX_TOKENS - 1, MAX_TOKENS) == GW_OK);
    CHECK(kvcache_free_tokens(kv) == 0);
    kvcache_release(kv, &s);
    kvcache_release(kv, &t);
    kvcache_free(kv);
    kvcache_free(NULL);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        test_against_lists(seed);
    test_limits();
    test_layer_types();
    return test_done();
}
