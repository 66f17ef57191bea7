/* tests/unit/engine/test_radix.c - the tree of prefixes against a plain list of all that was published. */
#include <stdlib.h>
#include <string.h>

#include "engine/radix.h"
#include "tests/test.h"

enum { POOL_TOKENS = 1024, MAX_TOKENS = 128, N_NAMES = 3, MAX_KEPT = 4096, N_SEQS = 4 };

/* A prefix of full pages that was published under a name; gone when eviction took it. */
struct kept {
    unsigned name, n;
    int32_t ids[MAX_TOKENS];
};

/* A sequence that runs: its tokens, and as many of them as have their keys. */
struct running {
    bool on;
    unsigned name, n;
    uint64_t who;
    int32_t ids[MAX_TOKENS];
    struct kvcache_seq kv;
};

struct bed {
    struct kvcache *kv;
    struct radix *t;
    struct radix_root *roots[N_NAMES];
    struct running seqs[N_SEQS];
    struct kept *kept;
    unsigned n_kept;
    uint64_t state, who; /* who: the last one that began */
};

static unsigned draw(struct bed *b, unsigned n)
{
    b->state = b->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(b->state >> 33) % n;
}

/* Where the mark of token pos lies: the cache is two bytes a key here. */
static uint16_t *cell(const struct bed *b, const struct kvcache_seq *s, unsigned pos)
{
    struct kern_kv v = kvcache_view(b->kv, s, 0, 0);
    char *block = (char *)v.base + (size_t)v.table[pos / KERN_KV_BLOCK] * v.block_stride;

    return (uint16_t *)(void *)block + pos % KERN_KV_BLOCK;
}

/* What "the keys of token i" are: they depend on the name and all tokens before. */
static uint16_t mark_of(unsigned name, const int32_t *ids, unsigned i)
{
    uint32_t h = 2166136261u + name;

    for (unsigned k = 0; k <= i; k++)
        h = (h ^ (uint32_t)ids[k]) * 16777619u;
    return (uint16_t)(h ^ h >> 16);
}

static unsigned common(const int32_t *a, const int32_t *b, unsigned n)
{
    unsigned i = 0;

    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* The longest prefix of ids that the list knows: of all that is kept. */
static unsigned best(const struct bed *b, unsigned name, const int32_t *ids, unsigned n)
{
    unsigned most = 0;

    for (unsigned i = 0; i < b->n_kept; i++) {
        const struct kept *k = &b->kept[i];
        unsigned len = k->name == name ? common(k->ids, ids, k->n < n ? k->n : n) : 0;

        most = len > most ? len : most;
    }
    return most;
}

/* Few values and shared beginnings, so that prefixes meet. */
static void draw_ids(struct bed *b, int32_t *ids, unsigned n)
{
    unsigned period = 1 + draw(b, 3);

    for (unsigned i = 0; i < n; i++)
        ids[i] = (int32_t)(i % period);
    if (n != 0 && draw(b, 3) != 0)
        ids[draw(b, n)] = (int32_t)draw(b, 3);
}

static void begin(struct bed *b, struct running *r, bool may_evict)
{
    unsigned got, want;

    *r = (struct running){.on = true, .name = draw(b, N_NAMES), .n = 1 + draw(b, MAX_TOKENS)};
    r->who = ++b->who;
    draw_ids(b, r->ids, r->n);
    got = radix_attach(b->t, b->roots[r->name], r->ids, r->n, &r->kv, 0);
    want = best(b, r->name, r->ids, r->n);
    if (!may_evict)
        CHECK(got == want);
    CHECK(got <= want);
    for (unsigned i = 0; i < got; i++)
        if (*cell(b, &r->kv, i) != mark_of(r->name, r->ids, i)) {
            CHECK(!"attached keys are those of other tokens");
            return;
        }
    while (kvcache_reserve_from(b->kv, &r->kv, got, r->n) == GW_EAGAIN)
        if (radix_evict(b->t, kvcache_missing(b->kv, &r->kv, got, r->n)) == 0) {
            kvcache_release(b->kv, &r->kv);
            r->on = false;
            return;
        }
    for (unsigned i = got; i < r->n; i++)
        *cell(b, &r->kv, i) = mark_of(r->name, r->ids, i);
}

/* Publishes a part, and writes that into the list. */
static void publish(struct bed *b, struct running *r)
{
    unsigned n = 1 + draw(b, r->n);
    struct kept *k = &b->kept[b->n_kept];

    radix_publish(b->t, b->roots[r->name], r->who, r->ids, n, &r->kv);
    if (n < KERN_KV_BLOCK || b->n_kept == MAX_KEPT)
        return;
    k->name = r->name;
    k->n = n - n % KERN_KV_BLOCK;
    memcpy(k->ids, r->ids, sizeof(k->ids));
    b->n_kept++;
}

static void check_running(const struct bed *b)
{
    for (unsigned i = 0; i < N_SEQS; i++)
        for (unsigned pos = 0; b->seqs[i].on && pos < b->seqs[i].n; pos++)
            if (*cell(b, &b->seqs[i].kv, pos) != mark_of(b->seqs[i].name, b->seqs[i].ids, pos)) {
                CHECK(!"a running sequence lost its keys");
                return;
            }
    CHECK(kvcache_idle_tokens(b->kv) <= radix_n_pages(b->t) * KERN_KV_BLOCK);
}

/* evict: the pool is small enough that pages are taken back. */
static void test_against_list(uint64_t seed, bool evict, bool predict)
{
    const struct kvcache_shape shape = {.n_layers = 1,
                                        .n_kv_heads = 1,
                                        .head_dim = 2,
                                        .n_tokens = evict ? POOL_TOKENS / 2 : POOL_TOKENS * 64,
                                        .max_seq_tokens = MAX_TOKENS};
    static const char *const names[N_NAMES] = {"", "a", "ab"};
    struct bed b = {.state = seed, .kept = calloc(MAX_KEPT, sizeof(struct kept))};
    unsigned idle;

    if (!CHECK(b.kept != NULL && kvcache_new(&shape, &b.kv, NULL) == GW_OK))
        return;
    b.t = radix_new(b.kv, predict);
    for (unsigned i = 0; i < N_NAMES; i++)
        b.roots[i] = radix_enter(b.t, gw_span_str(names[i]));
    for (int turn = 0; turn < TEST_DRAWS(800); turn++) {
        struct running *r = &b.seqs[draw(&b, N_SEQS)];

        if (!r->on) {
            begin(&b, r, evict);
        } else if (draw(&b, 2) != 0) {
            publish(&b, r);
        } else {
            kvcache_release(b.kv, &r->kv);
            r->on = false;
        }
        check_running(&b);
    }
    for (unsigned i = 0; i < N_SEQS; i++)
        kvcache_release(b.kv, &b.seqs[i].kv);
    /* Now nothing is in use, so everything that is kept is idle and can be taken back. */
    CHECK(kvcache_used_tokens(b.kv) == 0);
    idle = kvcache_idle_tokens(b.kv) / KERN_KV_BLOCK;
    CHECK(idle == radix_n_pages(b.t) && idle != 0);
    for (unsigned i = 0; i < N_NAMES; i++)
        radix_leave(b.t, b.roots[i]);
    CHECK(radix_evict(b.t, idle / 2) == idle / 2);
    CHECK(radix_evict(b.t, UINT32_MAX) == idle - idle / 2 && radix_n_pages(b.t) == 0);
    radix_free(b.t);
    kvcache_free(b.kv);
    free(b.kept);
}

/* The least recently used goes first, and never what a sequence holds. */
static void test_order(void)
{
    const struct kvcache_shape shape = {.n_layers = 1,
                                        .n_kv_heads = 1,
                                        .head_dim = 2,
                                        .n_tokens = POOL_TOKENS,
                                        .max_seq_tokens = MAX_TOKENS};
    struct kvcache *kv = NULL;
    struct kvcache_seq s[3] = {{0}}, again = {0};
    struct radix *t;
    struct radix_root *root;
    int32_t ids[3][32];

    if (!CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK))
        return;
    t = radix_new(kv, false);
    root = radix_enter(t, GW_SPAN("tenant"));
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 32; k++)
            ids[i][k] = 100 * i + k;
        CHECK(kvcache_reserve(kv, &s[i], 32) == GW_OK);
        radix_publish(t, root, (uint64_t)i + 1, ids[i], 32, &s[i]);
    }
    CHECK(radix_n_pages(t) == 6 && radix_evict(t, 6) == 0);
    for (int i = 0; i < 3; i++)
        kvcache_release(kv, &s[i]);
    CHECK(kvcache_idle_tokens(kv) == 96 && kvcache_used_tokens(kv) == 0);
    CHECK(radix_attach(t, root, ids[0], 32, &again, 0) == 32); /* used again */
    kvcache_release(kv, &again);
    CHECK(radix_evict(t, 2) == 2); /* the second one's */
    CHECK(radix_attach(t, root, ids[1], 32, &again, 0) == 0);
    CHECK(radix_attach(t, root, ids[0], 32, &again, 0) == 32);
    CHECK(radix_evict(t, 6) == 2); /* the third one's; the first is in use */
    CHECK(radix_attach(t, root, ids[0], 31, &again, 32) == 32); /* nothing better: unchanged */
    kvcache_release(kv, &again);
    CHECK(radix_attach(t, root, ids[0], 31, &again, 0) == 31); /* half a page too */
    kvcache_release(kv, &again);
    radix_leave(t, root);
    radix_free(t);
    kvcache_free(kv);
}

/* A sequence of n ids from `from` on, published as request `who` and given back. */
static void leave(struct radix *t, struct kvcache *kv, struct radix_root *root, uint64_t who,
                  int32_t from)
{
    struct kvcache_seq s = {0};
    int32_t ids[32];
    unsigned got;

    for (int k = 0; k < 32; k++)
        ids[k] = from + k;
    got = radix_attach(t, root, ids, 32, &s, 0);
    while (kvcache_reserve_from(kv, &s, got, 32) == GW_EAGAIN)
        if (!CHECK(radix_evict(t, 1) == 1))
            break;
    radix_publish(t, root, who, ids, 32, &s);
    kvcache_release(kv, &s);
}

static bool has(struct radix *t, struct kvcache *kv, struct radix_root *root, int32_t from)
{
    struct kvcache_seq s = {0};
    int32_t ids[32];
    unsigned got;

    for (int k = 0; k < 32; k++)
        ids[k] = from + k;
    got = radix_attach(t, root, ids, 32, &s, 0);
    kvcache_release(kv, &s);
    return got == 32;
}

/* What was used before outlives a flood of what nobody asks for again; what was forgotten wrongly is noted; a tenant whose
 * prompts never come back is known by it. */
static void test_predicted(void)
{
    const struct kvcache_shape shape = {.n_layers = 1,
                                        .n_kv_heads = 1,
                                        .head_dim = 2,
                                        .n_tokens = 320,
                                        .max_seq_tokens = MAX_TOKENS};
    struct kvcache *kv = NULL;
    struct radix *t;
    struct radix_root *chat, *batch;
    uint64_t who = 0;

    if (!CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK))
        return;
    t = radix_new(kv, true);
    chat = radix_enter(t, GW_SPAN("chat"));
    batch = radix_enter(t, GW_SPAN("batch"));
    for (int i = 0; i < 300; i++) {
        leave(t, kv, batch, ++who, 1000 + 32 * i);
        if (i >= 100 && i < 106) /* when it is known what comes of prompts of `batch` */
            leave(t, kv, chat, ++who, 0);
    }
    CHECK(has(t, kv, chat, 0));
    CHECK(!has(t, kv, batch, 1000) && has(t, kv, batch, 1000 + 32 * 299));
    CHECK(radix_n_missed(t) == 0 && radix_n_evicted(t) > 300);
    leave(t, kv, batch, ++who, 1000 + 32 * 290); /* it was taken back not long ago */
    CHECK(radix_n_missed(t) == 2);
    radix_leave(t, chat);
    radix_leave(t, batch);
    CHECK(radix_evict(t, UINT32_MAX) != 0 && radix_n_pages(t) == 0);
    radix_free(t);
    kvcache_free(kv);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        for (int predict = 0; predict < 2; predict++) {
            test_against_list(seed, false, predict != 0);
            test_against_list(seed, true, predict != 0);
        }
    }
    test_order();
    test_predicted();
    radix_free(NULL);
    return test_done();
}
