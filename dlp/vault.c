/* dlp/vault.c - the vault of vault.h: an arena (wiped by its own rule) and a sorted list. */
#include "dlp/vault.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

enum { FIRST_ENTRIES = 16, SHORT_ID = 8, ID_STEP = 4, LONGEST_ID = 52 };

struct dlp_vault {
    struct gw_arena *arena; /* placeholders and values */
    struct gw_span key;     /* in arena */
    struct dlp_vault_entry *entries;
    unsigned n, cap;
    size_t value_bytes;
};

struct dlp_vault *dlp_vault_new(struct gw_span key)
{
    struct dlp_vault *v = calloc(1, sizeof(*v));

    if (v == NULL)
        return NULL;
    /* Twice the values: alignment and placeholders come on top. */
    v->arena = gw_arena_new((size_t)DLP_VAULT_BYTES * 2 + key.len);
    if (v->arena != NULL)
        v->key = gw_arena_copy(v->arena, key);
    if (v->key.ptr == NULL) {
        dlp_vault_free(v);
        return NULL;
    }
    return v;
}

void dlp_vault_free(struct dlp_vault *v)
{
    if (v == NULL)
        return;
    gw_arena_free(v->arena);
    free(v->entries); /* pointers and lengths only */
    free(v);
}

unsigned dlp_vault_count(const struct dlp_vault *v)
{
    return v->n;
}

const struct dlp_vault_entry *dlp_vault_at(const struct dlp_vault *v, unsigned i)
{
    return &v->entries[i];
}

void dlp_placeholder_prefix(struct gw_buf *out, const char *type)
{
    gw_buf_adds(out, "DLP_");
    for (size_t i = 0; i < DLP_TYPE_BYTES && type[i] != '\0'; i++) {
        char l = gw_ascii_lower(type[i]);

        if (l >= 'a' && l <= 'z')
            gw_buf_addc(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[l - 'a']);
        else if (l >= '0' && l <= '9')
            gw_buf_addc(out, l);
        else
            gw_buf_addc(out, '_');
    }
    gw_buf_addc(out, '_');
}

/* Writes all 52 base32 characters of HMAC(key, type 00 value). */
static bool make_id(const struct dlp_vault *v, const char *type, struct gw_span value,
                    char id[LONGEST_ID])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char mac[GW_SHA256_BYTES];
    struct gw_buf b = {0};
    unsigned bits = 0, acc = 0;

    gw_buf_adds(&b, type);
    gw_buf_addc(&b, '\0');
    gw_buf_add(&b, value);
    if (!gw_buf_ok(&b)) {
        gw_buf_fini(&b);
        return false;
    }
    gw_hmac_sha256(v->key, gw_buf_span(&b), mac);
    gw_buf_fini(&b);
    for (unsigned i = 0, at = 0; i < LONGEST_ID; i++) {
        if (bits < 5) {
            /* Behind the last byte the rest is filled with zero bits, as RFC 4648 has it. */
            acc = acc << 8 | (at < sizeof(mac) ? mac[at] : 0u);
            at++;
            bits += 8;
        }
        bits -= 5;
        id[i] = alphabet[acc >> bits & 31];
        acc &= 255;
    }
    return true;
}

/* Byte order, a proper prefix first. */
static int compare(struct gw_span a, struct gw_span b)
{
    int c = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

/* The position of the placeholder in the list, or where it belongs. */
static unsigned position(const struct dlp_vault *v, struct gw_span placeholder, bool *found)
{
    unsigned lo = 0, hi = v->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (compare(v->entries[mid].placeholder, placeholder) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < v->n && gw_span_eq(v->entries[lo].placeholder, placeholder);
    return lo;
}

static enum gw_status insert(struct dlp_vault *v, unsigned at, struct gw_span placeholder,
                             struct gw_span value)
{
    struct dlp_vault_entry e;

    if (v->n == DLP_VAULT_VALUES || value.len > DLP_VAULT_BYTES - v->value_bytes)
        return GW_ELIMIT;
    if (v->n == v->cap) {
        unsigned cap = v->cap == 0 ? FIRST_ENTRIES : v->cap * 2;
        struct dlp_vault_entry *bigger = realloc(v->entries, cap * sizeof(*bigger));

        if (bigger == NULL)
            return GW_ENOMEM;
        v->entries = bigger;
        v->cap = cap;
    }
    e.placeholder = gw_arena_copy(v->arena, placeholder);
    e.value = gw_arena_copy(v->arena, value);
    if (e.placeholder.ptr == NULL || e.value.ptr == NULL)
        return GW_ENOMEM;
    memmove(&v->entries[at + 1], &v->entries[at], (v->n - at) * sizeof(e));
    v->entries[at] = e;
    v->n++;
    v->value_bytes += value.len;
    return GW_OK;
}

enum gw_status dlp_vault_put(struct dlp_vault *v, const char *type, struct gw_span value,
                             struct gw_span *placeholder)
{
    char id[LONGEST_ID];
    struct gw_buf name = {0};
    enum gw_status st = GW_ELIMIT;

    if (value.len == 0)
        return GW_EINVAL;
    if (!make_id(v, type, value, id))
        return GW_ENOMEM;
    dlp_placeholder_prefix(&name, type);
    gw_buf_add(&name, (struct gw_span){id, SHORT_ID});
    for (size_t len = SHORT_ID; len <= LONGEST_ID; len += ID_STEP) {
        bool found;
        unsigned at;

        if (!gw_buf_ok(&name)) {
            st = GW_ENOMEM;
            break;
        }
        at = position(v, gw_buf_span(&name), &found);
        if (!found)
            st = insert(v, at, gw_buf_span(&name), value);
        if (!found || gw_span_eq(v->entries[at].value, value)) {
            if (found || st == GW_OK) {
                *placeholder = v->entries[at].placeholder;
                st = GW_OK;
            }
            break;
        }
        if (len < LONGEST_ID)
            gw_buf_add(&name, (struct gw_span){id + len, ID_STEP});
    }
    gw_buf_fini(&name);
    return st;
}
