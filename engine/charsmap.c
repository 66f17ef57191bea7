/* engine/charsmap.c - see charsmap.h. */
#include "engine/charsmap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* An entry's bytes at most; real ones have a dozen. Bounds a look-up whatever the trie says. */
enum { MAX_ENTRY_BYTES = 64 };

/* ---- units of the double array --------------------------------------------------------------- */

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

static uint32_t label_of(uint32_t unit)
{
    return unit & (1u << 31 | 0xFFu);
}

static bool has_leaf(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}

static uint32_t value_of(uint32_t unit)
{
    return unit & ~(1u << 31);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static uint32_t u32_le(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static size_t longest_text(const char *texts, size_t n)
{
    size_t longest = 0;

    for (size_t at = 0, len; at < n; at += len + 1) {
        len = strlen(texts + at);
        longest = len > longest ? len : longest;
    }
    return longest;
}

enum gw_status charsmap_init(struct charsmap *m, struct gw_span bytes, struct gw_err *err)
{
    struct charsmap made = {.units = NULL};
    size_t trie_bytes;

    if (bytes.len == 0) {
        *m = made;
        return GW_OK;
    }
    trie_bytes = bytes.len < sizeof(uint32_t) ? 0 : u32_le(bytes.ptr);
    if (trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0 ||
        trie_bytes >= bytes.len - sizeof(uint32_t) || bytes.ptr[bytes.len - 1] != '\0')
        return gw_fail(err, GW_EPARSE, "the tokenizer's precompiled_charsmap is damaged");
    made.n_units = trie_bytes / sizeof(uint32_t);
    made.n_text_bytes = bytes.len - sizeof(uint32_t) - trie_bytes;
    made.units = malloc(trie_bytes);
    made.texts = malloc(made.n_text_bytes);
    if (made.units == NULL || made.texts == NULL) {
        charsmap_fini(&made);
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    }
    for (size_t i = 0; i < made.n_units; i++)
        made.units[i] = u32_le(bytes.ptr + (i + 1) * sizeof(uint32_t));
    memcpy(made.texts, bytes.ptr + sizeof(uint32_t) + trie_bytes, made.n_text_bytes);
    made.longest = longest_text(made.texts, made.n_text_bytes);
    *m = made;
    return GW_OK;
}

void charsmap_fini(struct charsmap *m)
{
    free(m->units);
    free(m->texts);
    *m = (struct charsmap){.units = NULL};
}

/* ---- looking up ------------------------------------------------------------------------------------ */

/* The longest entry that text begins with; returns its bytes, 0: there is none. *at gets where its replacement begins. */
static size_t find(const struct charsmap *m, struct gw_span text, size_t *at)
{
    size_t longest = 0, node = 0;

    if (m->units == NULL)
        return 0;
    node ^= offset_of(m->units[0]);
    for (size_t i = 0; i < text.len && i < MAX_ENTRY_BYTES; i++) {
        const uint32_t byte = (unsigned char)text.ptr[i];
        uint32_t unit;

        node ^= byte;
        if (node >= m->n_units)
            break;
        unit = m->units[node];
        if (label_of(unit) != byte)
            break;
        node ^= offset_of(unit);
        if (node >= m->n_units)
            break;
        if (has_leaf(unit) && value_of(m->units[node]) < m->n_text_bytes) {
            longest = i + 1;
            *at = value_of(m->units[node]);
        }
    }
    return longest;
}

struct gw_span charsmap_next(const struct charsmap *m, struct gw_span text, size_t *n)
{
    size_t at = 0, len = find(m, text, &at);
    uint32_t cp;

    if (len != 0) {
        *n = len;
        return gw_span_str(m->texts + at);
    }
    len = gw_utf8_decode(text.ptr, text.len, &cp);
    *n = len != 0 ? len : 1;
    return len != 0 ? (struct gw_span){text.ptr, len} : GW_SPAN("\xef\xbf\xbd");
}
