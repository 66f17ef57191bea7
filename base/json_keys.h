/* base/json_keys.h - the keys seen in the open objects of one JSON text; private to base/json*.
 *
 * All objects share one list and one hash table over it. What an object has in there is given back when it ends, so there are never
 * more keys than the open objects have, whatever a text has in all. A key is 8 bytes of the list and up to 8 of the table. The hash is
 * keyed (SipHash-1-3), so that a client cannot aim for collisions. Keys are compared decoded; their bytes stay in the text. One
 * thread at a time. */
#ifndef BASE_JSON_KEYS_H
#define BASE_JSON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct gw_json_key {
    uint32_t at;   /* of the first byte behind the quote, in the text */
    uint32_t hash; /* of what it says */
};

/* That many need no memory of their own: most texts have fewer, and are short. */
enum { GW_JSON_FEW_KEYS = 16, GW_JSON_FEW_SLOTS = 64 };

struct gw_json_keys {
    const char *text;
    size_t len;               /* of the text */
    struct gw_json_key *keys; /* of the open objects, the innermost one's last */
    uint32_t n_keys, cap_keys;
    uint32_t
        *slots; /* a power of two of them, at most 3/4 in use: index of a key, plus 1; 0: free */
    size_t n_slots;
    uint64_t seed[2];
    uint32_t few_slots[GW_JSON_FEW_SLOTS];
    struct gw_json_key few_keys[GW_JSON_FEW_KEYS];
};

/* It may not be moved from then on. */
void gw_json_keys_init(struct gw_json_keys *k);
void gw_json_keys_fini(struct gw_json_keys *k);

/* Forgets every key: a new text starts, of less than 4 GiB. */
void gw_json_keys_start(struct gw_json_keys *k, const char *text, size_t len);

/* A number, never 0, for an object that begins. */
uint32_t gw_json_keys_open(struct gw_json_keys *k);
/* The innermost object ends. */
void gw_json_keys_close(struct gw_json_keys *k, uint32_t object);

/* Adds a key, as it stands in the text without quotes, to the innermost object. GW_EEXIST: it has a key of this
 * decoded value; GW_ENOMEM; GW_ELIMIT: the text is too long. */
enum gw_status gw_json_keys_add(struct gw_json_keys *k, uint32_t object, struct gw_span raw,
                                bool escaped);

#endif
