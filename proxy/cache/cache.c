/* proxy/cache/cache.c - see cache.h: shards, each a hash table with a list in the order of use.
 *
 * Keys are SHA-256, so their first bytes are the shard and the bucket. */
#include "proxy/cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 }; /* of a shard: with entries of a few KiB, chains stay short up to a GiB */

struct cache_entry {
    struct cache_entry *chain;         /* of its bucket */
    struct cache_entry *newer, *older; /* in the order of use */
    atomic_uint refs;                  /* the table's, and one for each holder */
    unsigned char key[CACHE_KEY_BYTES];
    struct cache_answer answer; /* its spans point behind the struct */
    size_t size;                /* of all */
    char bytes[];
};

struct shard {
    pthread_mutex_t lock;
    struct cache_entry *buckets[BUCKETS];
    struct cache_entry *newest, *oldest;
    uint64_t bytes, entries, evicted;
};

struct cache {
    struct shard shards[CACHE_SHARDS];
    _Atomic uint64_t max_bytes;
};

struct cache *cache_new(uint64_t max_bytes)
{
    struct cache *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    for (unsigned i = 0; i < CACHE_SHARDS; i++)
        (void)pthread_mutex_init(&c->shards[i].lock, NULL);
    atomic_store(&c->max_bytes, max_bytes);
    return c;
}

static struct shard *shard_of(struct cache *c, const unsigned char *key)
{
    return &c->shards[key[0] % CACHE_SHARDS];
}

static struct cache_entry **bucket_of(struct shard *s, const unsigned char *key)
{
    return &s->buckets[((unsigned)key[1] << 8 | key[2]) % BUCKETS];
}

const struct cache_answer *cache_answer_of(const struct cache_entry *e)
{
    return &e->answer;
}

void cache_drop(struct cache_entry *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(e->bytes, e->answer.type.len + e->answer.body.len);
    free(e);
}

/* ---- with the shard's lock ------------------------------------------------------------------- */

static void leave_list(struct shard *s, struct cache_entry *e)
{
    *(e->newer == NULL ? &s->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &s->oldest : &e->older->newer) = e->newer;
}

static void enter_list(struct shard *s, struct cache_entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest == NULL ? &s->oldest : &s->newest->newer) = e;
    s->newest = e;
}

static struct cache_entry *find(struct shard *s, const unsigned char *key)
{
    struct cache_entry *e = *bucket_of(s, key);

    while (e != NULL && memcmp(e->key, key, CACHE_KEY_BYTES) != 0)
        e = e->chain;
    return e;
}

/* Takes the entry out of the table; the table's reference is the caller's now. */
static void take_out(struct shard *s, struct cache_entry *e)
{
    struct cache_entry **at = bucket_of(s, e->key);

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    leave_list(s, e);
    s->bytes -= e->size;
    s->entries--;
    e->chain = NULL;
}

/* Takes the oldest entries out until the rest needs no more than room; a chain of them, for the caller to drop. */
static struct cache_entry *make_room(struct shard *s, uint64_t room)
{
    struct cache_entry *out = NULL;

    while (s->bytes > room && s->oldest != NULL) {
        struct cache_entry *e = s->oldest;

        take_out(s, e);
        s->evicted++;
        e->chain = out;
        out = e;
    }
    return out;
}

/* ---- without it --------------------------------------------------------------------------------- */

static void drop_chain(struct cache_entry *e)
{
    while (e != NULL) {
        struct cache_entry *next = e->chain;

        e->chain = NULL;
        cache_drop(e);
        e = next;
    }
}

void cache_limit(struct cache *c, uint64_t max_bytes)
{
    atomic_store(&c->max_bytes, max_bytes);
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        struct shard *s = &c->shards[i];
        struct cache_entry *out;

        (void)pthread_mutex_lock(&s->lock);
        out = make_room(s, max_bytes / CACHE_SHARDS);
        (void)pthread_mutex_unlock(&s->lock);
        drop_chain(out);
    }
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    cache_limit(c, 0);
    for (unsigned i = 0; i < CACHE_SHARDS; i++)
        (void)pthread_mutex_destroy(&c->shards[i].lock);
    free(c);
}

struct cache_entry *cache_get(struct cache *c, const unsigned char key[CACHE_KEY_BYTES],
                              int64_t now_ms, int64_t max_age_ms)
{
    struct shard *s = shard_of(c, key);
    struct cache_entry *e, *old = NULL;

    (void)pthread_mutex_lock(&s->lock);
    e = find(s, key);
    if (e != NULL && now_ms - e->answer.stored_ms > max_age_ms) {
        take_out(s, e);
        old = e;
        e = NULL;
    }
    if (e != NULL) {
        leave_list(s, e);
        enter_list(s, e);
        (void)atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    cache_drop(old);
    return e;
}

static struct cache_entry *entry_new(const unsigned char *key, const struct cache_answer *a)
{
    size_t texts = a->type.len + a->body.len;
    struct cache_entry *e = malloc(sizeof(*e) + texts);

    if (e == NULL)
        return NULL;
    *e = (struct cache_entry){.answer = *a, .size = sizeof(*e) + texts};
    atomic_init(&e->refs, 1);
    memcpy(e->key, key, CACHE_KEY_BYTES);
    if (a->type.len != 0)
        memcpy(e->bytes, a->type.ptr, a->type.len);
    if (a->body.len != 0)
        memcpy(e->bytes + a->type.len, a->body.ptr, a->body.len);
    e->answer.type.ptr = e->bytes;
    e->answer.body.ptr = e->bytes + a->type.len;
    return e;
}

enum gw_status cache_put(struct cache *c, const unsigned char key[CACHE_KEY_BYTES],
                         const struct cache_answer *answer)
{
    uint64_t room = atomic_load(&c->max_bytes) / CACHE_SHARDS;
    struct shard *s = shard_of(c, key);
    struct cache_entry *e, *old, *out, **bucket;

    if (answer->type.len + answer->body.len + sizeof(*e) > room)
        return GW_ELIMIT;
    e = entry_new(key, answer);
    if (e == NULL)
        return GW_ENOMEM;
    (void)pthread_mutex_lock(&s->lock);
    old = find(s, key);
    if (old != NULL)
        take_out(s, old);
    out = make_room(s, room - e->size);
    bucket = bucket_of(s, key);
    e->chain = *bucket;
    *bucket = e;
    enter_list(s, e);
    s->bytes += e->size;
    s->entries++;
    (void)pthread_mutex_unlock(&s->lock);
    cache_drop(old);
    drop_chain(out);
    return GW_OK;
}

void cache_stats(struct cache *c, struct cache_stats *out)
{
    *out = (struct cache_stats){0, 0, 0};
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        struct shard *s = &c->shards[i];

        (void)pthread_mutex_lock(&s->lock);
        out->entries += s->entries;
        out->bytes += s->bytes;
        out->evicted += s->evicted;
        (void)pthread_mutex_unlock(&s->lock);
    }
}
