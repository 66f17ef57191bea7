/* base/json_keys.h - the keys seen in the open objects of one JSON text; private to base/json*.
 *
 * All objects share one hash table. An entry belongs to the object whose serial number it holds; serials
 * only rise, also from text to text, so that nothing is ever cleared: an entry older than this text is
 * free. The hash is keyed (SipHash-1-3), so that a client cannot aim for collisions. Keys are compared
 * decoded; their bytes stay in the text. One thread at a time. */
#ifndef BASE_JSON_KEYS_H
#define BASE_JSON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct gw_json_slot;

struct gw_json_keys {
    struct gw_json_slot *slots; /* a power of two of them, at most 3/4 in use; NULL at first */
    size_t n_slots, n_used;     /* n_used: entries of this text */
    uint64_t next_serial, first_serial;
    uint64_t seed[2];
};

void gw_json_keys_init(struct gw_json_keys *k);
void gw_json_keys_fini(struct gw_json_keys *k);

/* Forgets every key: a new text starts. */
void gw_json_keys_start(struct gw_json_keys *k);

/* A serial number, never 0, for an object that begins. */
uint64_t gw_json_keys_object(struct gw_json_keys *k);

/* Adds a key, as it stands in the text without quotes, to the object. GW_EEXIST: it has a key of this
 * decoded value; GW_ENOMEM. */
enum gw_status gw_json_keys_add(struct gw_json_keys *k, uint64_t object, struct gw_span raw,
                                bool escaped);

#endif
