/* engine/grammar_cache.c - see grammar_cache.h.
 *
 * Grammars are made without the lock. Two threads that make the same one at once both make it; the first that is done
 * is kept, and the other takes it too. */
#include "engine/grammar_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "engine/grammar.h"

enum {
    BUCKETS = 1024,
    DEFAULT_BYTES = 32 << 20,
    BLOCK_BYTES = 64 << 10, /* what an arena may hold beside what it has handed out */
};

struct entry {
    unsigned char key[GW_SHA256_BYTES];
    struct engine_grammar *g; /* a reference */
    size_t bytes;
    struct entry *next_bucket, *older, *newer;
};

struct grammar_cache {
    pthread_mutex_t lock; /* of all that follows */
    struct entry *buckets[BUCKETS], *newest, *oldest;
    size_t max_bytes, bytes;
    unsigned n;
    uint64_t hits, misses, dropped;
};

struct grammar_cache *grammar_cache_new(size_t max_bytes)
{
    struct grammar_cache *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    (void)pthread_mutex_init(&c->lock, NULL);
    c->max_bytes = max_bytes;
    return c;
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    engine_grammar_unref(e->g);
    free(e);
}

void grammar_cache_free(struct grammar_cache *c)
{
    if (c == NULL)
        return;
    while (c->newest != NULL) {
        struct entry *e = c->newest;

        c->newest = e->older;
        entry_free(e);
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- keys ----------------------------------------------------------------------------------------------- */

static void add_text(struct gw_hash *h, struct gw_span text)
{
    const uint64_t len = text.len;

    gw_hash_add(h, (struct gw_span){(const char *)&len, sizeof(len)});
    gw_hash_add(h, text);
}

/* False: out of memory. */
static bool make_key(const struct engine_format *f, struct gw_span scope,
                     unsigned char key[GW_SHA256_BYTES])
{
    const uint32_t head[] = {(uint32_t)f->kind, f->ordered, f->closed,
                             f->must_call,      f->single,  f->n_tools};
    struct gw_hash *h = gw_hash_new();

    if (h == NULL)
        return false;
    gw_hash_add(h, (struct gw_span){(const char *)head, sizeof(head)});
    add_text(h, scope);
    add_text(h, f->text);
    add_text(h, f->begin);
    add_text(h, f->end);
    for (unsigned i = 0; i < f->n_tools; i++) {
        add_text(h, f->tools[i].name);
        add_text(h, f->tools[i].schema);
    }
    gw_hash_final(h, key);
    return true;
}

static struct entry **bucket_of(struct grammar_cache *c, const unsigned char *key)
{
    return &c->buckets[(key[0] | (unsigned)key[1] << 8) & (BUCKETS - 1)];
}

/* ---- what is kept; with the lock ------------------------------------------------------------------------- */

static void unlink_entry(struct grammar_cache *c, struct entry *e)
{
    if (e->newer != NULL)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older != NULL)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
}

static void make_newest(struct grammar_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    if (c->newest != NULL)
        c->newest->newer = e;
    else
        c->oldest = e;
    c->newest = e;
}

/* A reference to what is kept for a key, or NULL. */
static struct engine_grammar *find(struct grammar_cache *c, const unsigned char *key)
{
    for (struct entry *e = *bucket_of(c, key); e != NULL; e = e->next_bucket) {
        if (memcmp(e->key, key, sizeof(e->key)) == 0) {
            unlink_entry(c, e);
            make_newest(c, e);
            return grammar_ref(e->g);
        }
    }
    return NULL;
}

/* Takes out the oldest while there is too much; NULL: there is not. */
static struct entry *take_oldest(struct grammar_cache *c)
{
    struct entry *e = c->bytes > c->max_bytes ? c->oldest : NULL, **at;

    if (e == NULL)
        return NULL;
    for (at = bucket_of(c, e->key); *at != e; at = &(*at)->next_bucket)
        continue;
    *at = e->next_bucket;
    unlink_entry(c, e);
    c->bytes -= e->bytes;
    c->n--;
    c->dropped++;
    return e;
}

/* ---- asking ---------------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct engine_grammar *g)
{
    size_t used = gw_arena_used(g->arena);

    return used + (used < BLOCK_BYTES ? used : BLOCK_BYTES) + sizeof(*g) + sizeof(struct entry);
}

/* Keeps *g, or replaces it by one that another thread has made meanwhile. */
static void keep(struct grammar_cache *c, const unsigned char *key, struct engine_grammar **g)
{
    struct entry *e = NULL, *old = NULL;
    struct engine_grammar *other;
    size_t bytes = bytes_of(*g);

    if (bytes <= c->max_bytes / 4)
        e = calloc(1, sizeof(*e));
    if (e == NULL)
        return; /* it serves its request all the same */
    memcpy(e->key, key, sizeof(e->key));
    e->bytes = bytes;
    (void)pthread_mutex_lock(&c->lock);
    other = find(c, key);
    if (other == NULL) {
        struct entry **bucket = bucket_of(c, key);

        e->g = grammar_ref(*g);
        e->next_bucket = *bucket;
        *bucket = e;
        make_newest(c, e);
        c->bytes += bytes;
        c->n++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (other != NULL) {
        free(e);
        engine_grammar_unref(*g);
        *g = other;
    }
    do {
        entry_free(old); /* without the lock: its memory is wiped */
        (void)pthread_mutex_lock(&c->lock);
        old = take_oldest(c);
        (void)pthread_mutex_unlock(&c->lock);
    } while (old != NULL);
}

enum gw_status grammar_cache_get(struct grammar_cache *c, const struct engine_format *format,
                                 struct gw_span scope, struct engine_grammar **out,
                                 struct gw_err *err)
{
    unsigned char key[GW_SHA256_BYTES];
    struct engine_grammar *g;

    if (!make_key(format, scope, key))
        return engine_grammar_new(format, out, err);
    (void)pthread_mutex_lock(&c->lock);
    g = find(c, key);
    c->hits += g != NULL;
    c->misses += g == NULL;
    (void)pthread_mutex_unlock(&c->lock);
    if (g == NULL) {
        GW_TRY(engine_grammar_new(format, &g, err));
        keep(c, key, &g);
    }
    *out = g;
    return GW_OK;
}

void grammar_cache_stats(struct grammar_cache *c, struct engine_grammar_stats *out)
{
    (void)pthread_mutex_lock(&c->lock);
    *out = (struct engine_grammar_stats){.hits = c->hits,
                                         .misses = c->misses,
                                         .dropped = c->dropped,
                                         .kept = c->n,
                                         .bytes = c->bytes};
    (void)pthread_mutex_unlock(&c->lock);
}

/* ---- the process's ---------------------------------------------------------------------------------------- */

static struct grammar_cache shared = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                      .max_bytes = DEFAULT_BYTES};

enum gw_status engine_grammar_get(const struct engine_format *format, struct gw_span scope,
                                  struct engine_grammar **out, struct gw_err *err)
{
    return grammar_cache_get(&shared, format, scope, out, err);
}

void engine_grammar_stats(struct engine_grammar_stats *out)
{
    grammar_cache_stats(&shared, out);
}
