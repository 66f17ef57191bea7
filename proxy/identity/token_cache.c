/* proxy/identity/token_cache.c - sets of a few entries, each set with its lock. Any thread. */
#include "proxy/identity/token_cache.h"

#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    unsigned char sum[GW_SHA256_BYTES];
    struct token_proof proof;
    struct proxy_principal who; /* points into bytes */
    uint64_t used;              /* the set's clock when it was */
    alignas(max_align_t) char bytes[];
};

struct set {
    pthread_mutex_t lock;
    uint64_t clock;
    struct entry *entries[TOKEN_CACHE_WAYS]; /* NULL: free */
};

struct token_cache {
    unsigned n_sets; /* a power of two */
    struct set sets[];
};

struct token_cache *token_cache_new(unsigned n_tokens)
{
    struct token_cache *c;
    unsigned n = 1;

    while (n * TOKEN_CACHE_WAYS < n_tokens)
        n *= 2;
    c = calloc(1, sizeof(*c) + n * sizeof(struct set));
    if (c == NULL)
        return NULL;
    c->n_sets = n;
    for (unsigned i = 0; i < n; i++)
        (void)pthread_mutex_init(&c->sets[i].lock, NULL); /* on Linux it takes nothing */
    return c;
}

void token_cache_free(struct token_cache *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->n_sets; i++) {
        for (unsigned j = 0; j < TOKEN_CACHE_WAYS; j++)
            free(c->sets[i].entries[j]);
        (void)pthread_mutex_destroy(&c->sets[i].lock);
    }
    free(c);
}

/* The set of a digest, locked; or NULL. */
static struct set *try_lock(struct token_cache *c, const unsigned char *sum)
{
    struct set *s;
    uint32_t at;

    memcpy(&at, sum, sizeof(at));
    s = &c->sets[at & (c->n_sets - 1)];
    return pthread_mutex_trylock(&s->lock) == 0 ? s : NULL;
}

static struct entry **find(struct set *s, const unsigned char *sum)
{
    for (unsigned i = 0; i < TOKEN_CACHE_WAYS; i++)
        if (s->entries[i] != NULL && gw_equal_ct(s->entries[i]->sum, sum, GW_SHA256_BYTES))
            return &s->entries[i];
    return NULL;
}

static void forget(struct entry **e)
{
    free(*e);
    *e = NULL;
}

bool token_cache_get(struct token_cache *c, const unsigned char sum[GW_SHA256_BYTES],
                     int64_t now_ms, struct gw_arena *arena, struct proxy_principal *who,
                     struct token_proof *proof)
{
    struct set *s = try_lock(c, sum);
    struct entry **e;
    bool hit = false;

    if (s == NULL)
        return false;
    e = find(s, sum);
    if (e != NULL && now_ms >= (*e)->proof.until_ms) {
        forget(e);
    } else if (e != NULL && now_ms >= (*e)->proof.from_ms &&
               proxy_principal_copy(arena, &(*e)->who, who)) {
        *proof = (*e)->proof;
        (*e)->used = ++s->clock;
        hit = true;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return hit;
}

/* Where the next one goes: a free place, else that of the one that was not used for the longest. */
static struct entry **place(struct set *s)
{
    struct entry **oldest = &s->entries[0];

    for (unsigned i = 0; i < TOKEN_CACHE_WAYS; i++) {
        if (s->entries[i] == NULL)
            return &s->entries[i];
        if (s->entries[i]->used < (*oldest)->used)
            oldest = &s->entries[i];
    }
    return oldest;
}

void token_cache_put(struct token_cache *c, const unsigned char sum[GW_SHA256_BYTES],
                     const struct proxy_principal *who, const struct token_proof *proof)
{
    size_t bytes = sizeof(struct entry) + proxy_principal_bytes(who);
    struct entry *fresh = bytes > TOKEN_CACHE_MAX_BYTES ? NULL : malloc(bytes);
    struct entry **at;
    struct set *s;

    if (fresh == NULL)
        return;
    memcpy(fresh->sum, sum, sizeof(fresh->sum));
    fresh->proof = *proof;
    proxy_principal_pack(fresh->bytes, who, &fresh->who);
    s = try_lock(c, sum);
    if (s == NULL) {
        free(fresh);
        return;
    }
    at = find(s, sum);
    if (at == NULL)
        at = place(s);
    forget(at);
    fresh->used = ++s->clock;
    *at = fresh;
    (void)pthread_mutex_unlock(&s->lock);
}
