/* proxy/request/pins.c - see pins.h: rows of eight, each searched as a whole. */
#include "proxy/request/pins.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"

enum { WAYS = 8, ROWS = PINS_MAX / WAYS };

struct pin {
    struct pins_key key;
    int64_t until_ms; /* 0: empty */
    unsigned zones;
};

struct pins {
    pthread_mutex_t lock;
    struct pin *rows; /* ROWS of WAYS; NULL until the first one is put */
    atomic_bool any;
};

struct pins *pins_new(void)
{
    struct pins *p = calloc(1, sizeof(*p));

    if (p != NULL)
        (void)pthread_mutex_init(&p->lock, NULL);
    return p;
}

void pins_free(struct pins *p)
{
    if (p == NULL)
        return;
    (void)pthread_mutex_destroy(&p->lock);
    free(p->rows);
    free(p);
}

bool pins_any(const struct pins *p)
{
    return atomic_load(&p->any);
}

static struct pin *row_of(const struct pins *p, const struct pins_key *key)
{
    size_t row = ((size_t)key->bytes[0] << 16 | (size_t)key->bytes[1] << 8 | key->bytes[2]) % ROWS;

    return &p->rows[row * WAYS];
}

static bool is_key(const struct pin *pin, const struct pins_key *key, int64_t now_ms)
{
    return pin->until_ms > now_ms && memcmp(&pin->key, key, sizeof(*key)) == 0;
}

unsigned pins_get(struct pins *p, const struct pins_key *key, int64_t now_ms)
{
    unsigned zones = GW_ZONES_ALL;

    if (!pins_any(p))
        return zones;
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < WAYS; i++)
        if (is_key(&row_of(p, key)[i], key, now_ms))
            zones = row_of(p, key)[i].zones;
    (void)pthread_mutex_unlock(&p->lock);
    return zones;
}

/* With the lock: the place of the key, else the one that ends first. */
static struct pin *place_of(const struct pins *p, const struct pins_key *key, int64_t now_ms)
{
    struct pin *row = row_of(p, key), *first = row;

    for (unsigned i = 0; i < WAYS; i++) {
        if (is_key(&row[i], key, now_ms))
            return &row[i];
        if (row[i].until_ms < first->until_ms)
            first = &row[i];
    }
    return first;
}

bool pins_put(struct pins *p, const struct pins_key *key, unsigned zones, int64_t now_ms,
              int64_t until_ms)
{
    struct pin *pin;
    bool ok = true;

    (void)pthread_mutex_lock(&p->lock);
    if (p->rows == NULL)
        p->rows = calloc(ROWS, WAYS * sizeof(*p->rows));
    if (p->rows == NULL) {
        ok = false;
    } else {
        pin = place_of(p, key, now_ms);
        if (is_key(pin, key, now_ms)) {
            pin->zones &= zones;
            pin->until_ms = pin->until_ms > until_ms ? pin->until_ms : until_ms;
        } else {
            ok = pin->until_ms <= now_ms;
            *pin = (struct pin){*key, until_ms, zones};
        }
        atomic_store(&p->any, true);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return ok;
}
