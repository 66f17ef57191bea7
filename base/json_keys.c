/* base/json_keys.c - the key table of json_keys.h. */
#include "base/json_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/siphash.h"

enum { FIRST_SLOTS = 64 };

struct gw_json_slot {
    uint64_t serial; /* of the object that holds the key; below first_serial: free */
    uint64_t hash;
    struct gw_span raw;
    bool escaped;
};

/* The decoded bytes of a key, one at a time, without memory. */
struct bytes {
    const char *p, *end;
    char pending[4];
    unsigned n, i;
};

static struct bytes bytes_of(struct gw_span raw)
{
    return (struct bytes){.p = raw.ptr, .end = raw.len == 0 ? raw.ptr : raw.ptr + raw.len};
}

static int bytes_next(struct bytes *b)
{
    if (b->i < b->n)
        return (unsigned char)b->pending[b->i++];
    if (b->p == b->end)
        return -1;
    if (*b->p != '\\')
        return (unsigned char)*b->p++;
    b->n = gw_json_unescape(&b->p, b->pending);
    b->i = 1;
    return (unsigned char)b->pending[0];
}

static uint64_t key_hash(const struct gw_json_keys *k, struct gw_span raw, bool escaped)
{
    struct gw_sip sip = gw_sip_start(k->seed);
    struct bytes b = bytes_of(raw);

    if (!escaped)
        gw_sip_add(&sip, raw);
    else
        for (int c; (c = bytes_next(&b)) >= 0;)
            gw_sip_byte(&sip, (unsigned char)c);
    return gw_sip_end(&sip);
}

static bool same_key(struct gw_span a, bool a_escaped, struct gw_span b, bool b_escaped)
{
    struct bytes x, y;
    int c;

    if (!a_escaped && !b_escaped)
        return gw_span_eq(a, b);
    x = bytes_of(a);
    y = bytes_of(b);
    do {
        c = bytes_next(&x);
        if (c != bytes_next(&y))
            return false;
    } while (c >= 0);
    return true;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct gw_json_slot *find_slot(const struct gw_json_keys *k, const struct gw_json_slot *key)
{
    size_t i = (size_t)(key->hash + key->serial * UINT64_C(0x9E3779B97F4A7C15)) & (k->n_slots - 1);

    for (;; i = (i + 1) & (k->n_slots - 1)) {
        struct gw_json_slot *s = &k->slots[i];

        if (s->serial < k->first_serial)
            return s;
        if (s->serial == key->serial && s->hash == key->hash &&
            same_key(s->raw, s->escaped, key->raw, key->escaped))
            return s;
    }
}

static bool grow_slots(struct gw_json_keys *k)
{
    struct gw_json_slot *old = k->slots;
    size_t n_old = k->n_slots;

    k->n_slots = n_old == 0 ? FIRST_SLOTS : n_old * 2;
    k->slots = calloc(k->n_slots, sizeof(*k->slots));
    if (k->slots == NULL) {
        k->slots = old;
        k->n_slots = n_old;
        return false;
    }
    for (size_t i = 0; i < n_old; i++)
        if (old[i].serial >= k->first_serial)
            *find_slot(k, &old[i]) = old[i];
    free(old);
    return true;
}

/* ---- the table -------------------------------------------------------------------------- */

void gw_json_keys_init(struct gw_json_keys *k)
{
    *k = (struct gw_json_keys){.next_serial = 1, .first_serial = 1}; /* a fresh slot holds 0 */
    gw_random_seed(k->seed, sizeof(k->seed));
}

void gw_json_keys_fini(struct gw_json_keys *k)
{
    free(k->slots);
    k->slots = NULL;
}

void gw_json_keys_start(struct gw_json_keys *k)
{
    k->first_serial = k->next_serial;
    k->n_used = 0;
}

uint64_t gw_json_keys_object(struct gw_json_keys *k)
{
    return k->next_serial++;
}

enum gw_status gw_json_keys_add(struct gw_json_keys *k, uint64_t object, struct gw_span raw,
                                bool escaped)
{
    struct gw_json_slot key = {.serial = object, .raw = raw, .escaped = escaped};
    struct gw_json_slot *s;

    if (k->n_used >= k->n_slots / 4 * 3 && !grow_slots(k))
        return GW_ENOMEM;
    key.hash = key_hash(k, raw, escaped);
    s = find_slot(k, &key);
    if (s->serial >= k->first_serial)
        return GW_EEXIST;
    *s = key;
    k->n_used++;
    return GW_OK;
}
