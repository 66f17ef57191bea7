/* audit/openset.c - open addressing, linear probing, deletion by shifting back. */
#include "audit/openset.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/siphash.h"

/* Keyed per process: ids may come from clients, who must not be able to choose collisions. */
static uint64_t hash_key[4];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    gw_random(hash_key, sizeof(hash_key));
}

static uint64_t keyed(const uint64_t key[2], struct gw_span id)
{
    struct gw_sip s = gw_sip_start(key);

    gw_sip_add(&s, id);
    return gw_sip_end(&s);
}

static void hash_id(struct gw_span id, uint64_t *a, uint64_t *b)
{
    (void)pthread_once(&hash_once, make_key);
    *a = keyed(hash_key, id);
    *b = keyed(hash_key + 2, id);
}

void openset_fini(struct openset *os)
{
    free(os->entries);
    *os = (struct openset){NULL, 0, 0};
}

/* The entry of (a, b), or the free one where it would go. The table is never full. */
static size_t find(const struct openset *os, uint64_t a, uint64_t b)
{
    size_t i = (size_t)a & (os->n_slots - 1);

    while (os->entries[i].segno != 0 && (os->entries[i].a != a || os->entries[i].b != b))
        i = (i + 1) & (os->n_slots - 1);
    return i;
}

static bool grow(struct openset *os)
{
    struct openset bigger = {NULL, os->n_slots == 0 ? 64 : os->n_slots * 2, os->len};

    bigger.entries = calloc(bigger.n_slots, sizeof(*bigger.entries));
    if (bigger.entries == NULL)
        return false;
    for (size_t i = 0; i < os->n_slots; i++)
        if (os->entries[i].segno != 0)
            bigger.entries[find(&bigger, os->entries[i].a, os->entries[i].b)] = os->entries[i];
    free(os->entries);
    *os = bigger;
    return true;
}

bool openset_add(struct openset *os, struct gw_span id, uint64_t *segno, uint32_t offset)
{
    struct openset_entry *e;
    uint64_t a, b;

    if (os->len * 4 >= os->n_slots * 3 && !grow(os))
        return false;
    hash_id(id, &a, &b);
    e = &os->entries[find(os, a, b)];
    if (e->segno == 0) {
        *e = (struct openset_entry){a, b, *segno, offset, 0};
        os->len++;
    }
    *segno = e->segno;
    e->count++;
    return true;
}

struct openset_entry *openset_find(const struct openset *os, struct gw_span id)
{
    struct openset_entry *e;
    uint64_t a, b;

    if (os->len == 0)
        return NULL;
    hash_id(id, &a, &b);
    e = &os->entries[find(os, a, b)];
    return e->segno == 0 ? NULL : e;
}

bool openset_remove(struct openset *os, struct gw_span id, uint64_t *segno)
{
    size_t hole, i;
    uint64_t a, b;

    if (os->len == 0)
        return false;
    hash_id(id, &a, &b);
    hole = find(os, a, b);
    if (os->entries[hole].segno == 0)
        return false;
    *segno = os->entries[hole].segno;
    if (--os->entries[hole].count != 0)
        return true;
    os->len--;
    /* Pull back what probing placed behind the hole, or a later search would stop at it. */
    for (i = (hole + 1) & (os->n_slots - 1); os->entries[i].segno != 0;
         i = (i + 1) & (os->n_slots - 1)) {
        size_t home = (size_t)os->entries[i].a & (os->n_slots - 1);

        if (((i - home) & (os->n_slots - 1)) >= ((i - hole) & (os->n_slots - 1))) {
            os->entries[hole] = os->entries[i];
            hole = i;
        }
    }
    os->entries[hole] = (struct openset_entry){0, 0, 0, 0, 0};
    return true;
}

const struct openset_entry *openset_next(const struct openset *os, size_t *at)
{
    while (*at < os->n_slots) {
        const struct openset_entry *e = &os->entries[(*at)++];

        if (e->segno != 0)
            return e;
    }
    return NULL;
}
