/* proxy/net/clients.c - see clients.h. A hash table under one mutex, used when connections come and go; memory is counted
 * with atomics. Thread: any. */
#include "proxy/net/clients.h"

#include <netinet/in.h>
#include <sys/sysinfo.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/siphash.h"

enum { N_BUCKETS = 4096, KEY_BYTES = 9 };

struct client {
    struct client *next; /* in its bucket */
    struct clients *all;
    unsigned bucket;
    unsigned n_conns; /* under the mutex */
    atomic_uint_fast64_t held;
    unsigned char key[KEY_BYTES]; /* family, then 4 or 8 bytes of the address */
};

struct clients {
    pthread_mutex_t lock; /* of the table */
    struct client *buckets[N_BUCKETS];
    atomic_uint_fast64_t held;
    uint64_t secret[2]; /* so that nobody can choose addresses of one bucket */
};

struct clients *clients_new(void)
{
    struct clients *all = calloc(1, sizeof(*all));

    if (all == NULL)
        return NULL;
    (void)pthread_mutex_init(&all->lock, NULL); /* on Linux it takes nothing */
    gw_random(all->secret, sizeof(all->secret));
    return all;
}

void clients_free(struct clients *all)
{
    if (all == NULL)
        return;
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

static void key_of(const struct sockaddr *sa, unsigned char key[KEY_BYTES])
{
    memset(key, 0, KEY_BYTES);
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, sa, sizeof(v4));
        key[0] = 4;
        memcpy(key + 1, &v4.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, sa, sizeof(v6));
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            key[0] = 4;
            memcpy(key + 1, v6.sin6_addr.s6_addr + 12, 4);
        } else {
            key[0] = 6;
            memcpy(key + 1, v6.sin6_addr.s6_addr, 8);
        }
    }
}

static uint64_t hash_key(const uint64_t secret[2], const unsigned char *key)
{
    struct gw_sip s = gw_sip_start(secret);

    gw_sip_add(&s, (struct gw_span){(const char *)key, KEY_BYTES});
    return gw_sip_end(&s);
}

static struct client *find(struct clients *all, unsigned bucket, const unsigned char *key)
{
    struct client *c = all->buckets[bucket];

    while (c != NULL && memcmp(c->key, key, KEY_BYTES) != 0)
        c = c->next;
    return c;
}

static struct client *add(struct clients *all, unsigned bucket, const unsigned char *key)
{
    struct client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->all = all;
    c->bucket = bucket;
    memcpy(c->key, key, KEY_BYTES);
    c->next = all->buckets[bucket];
    all->buckets[bucket] = c;
    return c;
}

struct client *client_come(struct clients *all, const struct sockaddr *sa, unsigned max)
{
    unsigned char key[KEY_BYTES];
    struct client *c;
    unsigned bucket;

    key_of(sa, key);
    bucket = (unsigned)(hash_key(all->secret, key) % N_BUCKETS);
    (void)pthread_mutex_lock(&all->lock);
    c = find(all, bucket, key);
    if (c == NULL)
        c = add(all, bucket, key);
    else if (max != 0 && c->n_conns >= max)
        c = NULL;
    if (c != NULL)
        c->n_conns++;
    (void)pthread_mutex_unlock(&all->lock);
    return c;
}

void client_leave(struct client *c)
{
    struct clients *all;
    struct client **at;

    if (c == NULL)
        return;
    all = c->all;
    (void)pthread_mutex_lock(&all->lock);
    if (--c->n_conns != 0) {
        (void)pthread_mutex_unlock(&all->lock);
        return;
    }
    at = &all->buckets[c->bucket];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    (void)pthread_mutex_unlock(&all->lock);
    free(c);
}

/* Adds bytes unless it would go beyond the cap. */
static bool grow(atomic_uint_fast64_t *held, uint64_t bytes, uint64_t cap)
{
    uint64_t was = atomic_fetch_add(held, bytes);

    if (cap == 0 || (was <= cap && bytes <= cap - was))
        return true;
    (void)atomic_fetch_sub(held, bytes);
    return false;
}

enum client_verdict client_take(struct client *c, uint64_t bytes, struct clients_caps caps)
{
    if (!grow(&c->held, bytes, caps.one))
        return CLIENT_HAS_ENOUGH;
    if (grow(&c->all->held, bytes, caps.all))
        return CLIENT_MAY;
    (void)atomic_fetch_sub(&c->held, bytes);
    return CLIENTS_FULL;
}

void client_give(struct client *c, uint64_t bytes)
{
    (void)atomic_fetch_sub(&c->held, bytes);
    (void)atomic_fetch_sub(&c->all->held, bytes);
}

uint64_t clients_memory(const struct clients *all)
{
    return atomic_load(&all->held);
}

/* The number in a file, or UINT64_MAX: no such file, or "max". */
static uint64_t number_in(const char *path)
{
    FILE *f = fopen(path, "re");
    uint64_t n = UINT64_MAX;
    char line[32];

    if (f == NULL)
        return n;
    if (fgets(line, sizeof(line), f) != NULL && line[0] >= '0' && line[0] <= '9')
        n = strtoull(line, NULL, 10);
    (void)fclose(f);
    return n;
}

uint64_t clients_half_of_memory(void)
{
    uint64_t v2 = number_in("/sys/fs/cgroup/memory.max");
    uint64_t v1 = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    uint64_t all = UINT64_MAX;
    struct sysinfo info;

    if (sysinfo(&info) == 0)
        all = (uint64_t)info.totalram * info.mem_unit;
    all = v2 < all ? v2 : all;
    all = v1 < all ? v1 : all;
    return all / 2;
}
