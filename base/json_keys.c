/* base/json_keys.c - the key table of json_keys.h. */
#include "base/json_keys.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/siphash.h"

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

static uint32_t key_hash(const struct gw_json_keys *k, struct gw_span raw, bool escaped)
{
    struct gw_sip sip = gw_sip_start(k->seed);
    struct bytes b = bytes_of(raw);

    if (!escaped)
        gw_sip_add(&sip, raw);
    else
        for (int c; (c = bytes_next(&b)) >= 0;)
            gw_sip_byte(&sip, (unsigned char)c);
    return (uint32_t)gw_sip_end(&sip);
}

/* Whether the key in the list is what raw says. */
static bool same_key(const struct gw_json_keys *k, const struct gw_json_key *key,
                     struct gw_span raw, bool escaped)
{
    const char *end = k->text + key->at;
    struct bytes x, y;
    int c;

    if (!escaped && raw.len < k->len - key->at && memcmp(end, raw.ptr, raw.len) == 0 &&
        end[raw.len] == '"')
        return true;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    x = bytes_of((struct gw_span){k->text + key->at, (size_t)(end - k->text) - key->at});
    y = bytes_of(raw);
    do {
        c = bytes_next(&x);
        if (c != bytes_next(&y))
            return false;
    } while (c >= 0);
    return true;
}

static size_t first_slot(const struct gw_json_keys *k, uint32_t hash)
{
    return hash & (k->n_slots - 1);
}

static size_t next_slot(const struct gw_json_keys *k, size_t i)
{
    return (i + 1) & (k->n_slots - 1);
}

static void free_slots(struct gw_json_keys *k)
{
    if (k->slots != k->few_slots)
        free(k->slots); /* places only */
}

static bool grow_slots(struct gw_json_keys *k)
{
    size_t n = k->n_slots * 2;

    free_slots(k); /* it is made again of the list */
    k->slots = calloc(n, sizeof(*k->slots));
    if (k->slots == NULL) {
        memset(k->few_slots, 0, sizeof(k->few_slots));
        k->slots = k->few_slots;
        k->n_slots = GW_JSON_FEW_SLOTS;
        k->n_keys = 0;
        return false;
    }
    k->n_slots = n;
    for (uint32_t i = 0; i < k->n_keys; i++) {
        size_t at = first_slot(k, k->keys[i].hash);

        while (k->slots[at] != 0)
            at = next_slot(k, at);
        k->slots[at] = i + 1;
    }
    return true;
}

static bool grow_keys(struct gw_json_keys *k)
{
    const bool few = k->keys == k->few_keys;
    const uint32_t had = k->cap_keys > GW_JSON_FEW_KEYS ? k->cap_keys : (uint32_t)GW_JSON_FEW_KEYS,
                   cap = had + had / 2;
    struct gw_json_key *more = realloc(few ? NULL : k->keys, cap * sizeof(*more));

    if (more == NULL)
        return false;
    if (few)
        memcpy(more, k->few_keys, sizeof(k->few_keys));
    k->keys = more;
    k->cap_keys = cap;
    return true;
}

/* ---- the table -------------------------------------------------------------------------- */

void gw_json_keys_init(struct gw_json_keys *k)
{
    memset(k, 0, offsetof(struct gw_json_keys, few_keys));
    k->keys = k->few_keys;
    k->cap_keys = GW_JSON_FEW_KEYS;
    k->slots = k->few_slots;
    k->n_slots = GW_JSON_FEW_SLOTS;
    gw_random_seed(k->seed, sizeof(k->seed));
}

void gw_json_keys_fini(struct gw_json_keys *k)
{
    if (k->keys != k->few_keys)
        free(k->keys); /* places and hashes only */
    free_slots(k);
    k->keys = NULL;
    k->slots = NULL;
}

void gw_json_keys_start(struct gw_json_keys *k, const char *text, size_t len)
{
    k->text = text;
    k->len = len;
    if (k->n_keys != 0) /* the last text did not come to its end */
        memset(k->slots, 0, k->n_slots * sizeof(*k->slots));
    k->n_keys = 0;
}

uint32_t gw_json_keys_open(struct gw_json_keys *k)
{
    return k->n_keys + 1;
}

/* The last ones in are the first ones out, so none of those that stay was put behind one that goes. */
void gw_json_keys_close(struct gw_json_keys *k, uint32_t object)
{
    while (k->n_keys >= object) {
        size_t at = first_slot(k, k->keys[k->n_keys - 1].hash);

        while (k->slots[at] != k->n_keys)
            at = next_slot(k, at);
        k->slots[at] = 0;
        k->n_keys--;
    }
}

enum gw_status gw_json_keys_add(struct gw_json_keys *k, uint32_t object, struct gw_span raw,
                                bool escaped)
{
    size_t place = (size_t)(raw.ptr - k->text), at;
    uint32_t hash;

    if (place > UINT32_MAX)
        return GW_ELIMIT;
    if (k->n_keys >= k->n_slots / 4 * 3 && !grow_slots(k))
        return GW_ENOMEM;
    if (k->n_keys == k->cap_keys && !grow_keys(k))
        return GW_ENOMEM;
    /* The same word in objects around it has another hash, or a chain of them would be walked at each level. */
    hash = key_hash(k, raw, escaped) + object * UINT32_C(0x9E3779B9);
    for (at = first_slot(k, hash); k->slots[at] != 0; at = next_slot(k, at)) {
        uint32_t i = k->slots[at] - 1;

        if (i + 1 >= object && k->keys[i].hash == hash && same_key(k, &k->keys[i], raw, escaped))
            return GW_EEXIST;
    }
    k->keys[k->n_keys++] = (struct gw_json_key){(uint32_t)place, hash};
    k->slots[at] = k->n_keys;
    return GW_OK;
}
