/* dlp/vault.c - the vault of vault.h: an arena (wiped by its own rule) and a sorted list. */
#include "dlp/vault.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "dlp/doc.h"
#include "dlp/shape.h"
#include "dlp/words.h"

enum { FIRST_ENTRIES = 16, SHORT_ID = 8, ID_STEP = 4, LONGEST_ID = 52 };
enum { STRICT_DRAWS = 24, DRAWS = 32 }; /* of a stand-in, until there is none */

struct dlp_vault {
    struct gw_arena *arena; /* placeholders and values */
    struct gw_span key;     /* in arena */
    struct dlp_vault_entry *entries;
    unsigned n, cap;
    size_t value_bytes;
    bool begins[256]; /* bytes that a placeholder can begin with */
    bool has_numbers;
    struct dlp_words avoid; /* of texts in which no stand-in may stand */
    unsigned days;          /* how far dates move, when avoid is made */
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
    dlp_words_fini(&v->avoid);
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

/* HMAC(key, type 00 value), with a number in front where there are several for one value. */
static bool make_mac(const struct dlp_vault *v, const char *more, const char *type,
                     struct gw_span value, unsigned char mac[GW_SHA256_BYTES])
{
    struct gw_buf b = {0};
    bool ok;

    gw_buf_adds(&b, more);
    gw_buf_adds(&b, type);
    gw_buf_addc(&b, '\0');
    gw_buf_add(&b, value);
    ok = gw_buf_ok(&b);
    if (ok)
        gw_hmac_sha256(v->key, gw_buf_span(&b), mac);
    gw_buf_fini(&b);
    return ok;
}

/* Writes all 52 base32 characters of HMAC(key, type 00 value). */
static bool make_id(const struct dlp_vault *v, const char *type, struct gw_span value,
                    char id[LONGEST_ID])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char mac[GW_SHA256_BYTES];
    unsigned bits = 0, acc = 0;

    if (!make_mac(v, "", type, value, mac))
        return false;
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

/* The position of the key in the list, or where it belongs. */
static unsigned position(const struct dlp_vault *v, struct gw_span key, bool *found)
{
    unsigned lo = 0, hi = v->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (compare(v->entries[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < v->n && gw_span_eq(v->entries[lo].key, key);
    return lo;
}

static enum gw_status make_room(struct dlp_vault *v, size_t value_bytes)
{
    unsigned cap = v->cap == 0 ? FIRST_ENTRIES : v->cap * 2;
    struct dlp_vault_entry *bigger;

    if (v->n == DLP_VAULT_VALUES || value_bytes > DLP_VAULT_BYTES - v->value_bytes)
        return GW_ELIMIT;
    if (v->n < v->cap)
        return GW_OK;
    bigger = realloc(v->entries, cap * sizeof(*bigger));
    if (bigger == NULL)
        return GW_ENOMEM;
    v->entries = bigger;
    v->cap = cap;
    return GW_OK;
}

static void note_begin(struct dlp_vault *v, const struct dlp_vault_entry *e)
{
    for (unsigned c = 0; c < 256; c++)
        v->begins[c] |= dlp_vault_fold((unsigned char)c) == (unsigned char)e->key.ptr[0];
    v->has_numbers |=
        e->shaped && dlp_vault_is_number(e->value) && dlp_vault_is_number(e->placeholder);
}

/* key: of a stand-in; empty: the placeholder is its own. */
static enum gw_status insert(struct dlp_vault *v, unsigned at, struct gw_span placeholder,
                             struct gw_span key, struct gw_span value)
{
    struct dlp_vault_entry e = {.shaped = key.len != 0};

    GW_TRY(make_room(v, value.len));
    e.placeholder = gw_arena_copy(v->arena, placeholder);
    e.key = e.shaped ? gw_arena_copy(v->arena, key) : e.placeholder;
    e.value = gw_arena_copy(v->arena, value);
    if (e.placeholder.ptr == NULL || e.key.ptr == NULL || e.value.ptr == NULL)
        return GW_ENOMEM;
    memmove(&v->entries[at + 1], &v->entries[at], (v->n - at) * sizeof(e));
    v->entries[at] = e;
    v->n++;
    v->value_bytes += value.len;
    note_begin(v, &e);
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
            st = insert(v, at, gw_buf_span(&name), (struct gw_span){NULL, 0}, value);
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

/* ---- stand-ins ----------------------------------------------------------------------------- */

unsigned dlp_vault_fold(unsigned char c)
{
    if (c >= 'a' && c <= 'z')
        return c - ('a' - 'A');
    return c == ' ' || c == '-' ? '_' : c;
}

bool dlp_vault_begins(const struct dlp_vault *v, unsigned char c)
{
    return v->begins[c];
}

bool dlp_vault_has_numbers(const struct dlp_vault *v)
{
    return v->has_numbers;
}

bool dlp_vault_is_number(struct gw_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len == 1 || (s.len > 1 && s.ptr[0] != '0');
}

static enum gw_status avoid_doc(struct dlp_vault *v, const struct dlp_doc *doc)
{
    struct dlp_cursor c;
    struct dlp_leaf leaf;
    bool ok = dlp_cursor_init(&c, doc, false);

    while (ok && dlp_cursor_next(&c)) {
        ok = dlp_cursor_leaf(&c, &leaf);
        if (ok)
            dlp_words_add(&v->avoid, leaf.text);
    }
    dlp_cursor_fini(&c);
    return ok ? GW_OK : GW_ENOMEM;
}

enum gw_status dlp_vault_avoid(struct dlp_vault *v, const struct dlp_doc *const *docs, unsigned n)
{
    enum { TEN_YEARS = 3650 };
    unsigned char mac[GW_SHA256_BYTES];
    size_t bytes = 0;

    if (v->avoid.bits != NULL)
        return GW_EEXIST;
    for (unsigned i = 0; i < n; i++)
        bytes += docs[i]->body.len;
    if (!dlp_words_init(&v->avoid, bytes) ||
        !make_mac(v, "dates", "", (struct gw_span){NULL, 0}, mac))
        return GW_ENOMEM;
    v->days = 1 + ((unsigned)mac[0] << 8 | mac[1]) % TEN_YEARS;
    for (unsigned i = 0; i < n; i++)
        GW_TRY(avoid_doc(v, docs[i]));
    return GW_OK;
}

/* Draw number `draw` for the value. */
static enum dlp_shape make_shape(const struct dlp_vault *v, const char *type, struct gw_span value,
                                 unsigned draw, struct gw_buf *out)
{
    char more[16] = "shape 0";
    unsigned char mac[GW_SHA256_BYTES];
    struct dlp_shape_draw d = {.days = v->days, .any = draw >= STRICT_DRAWS};

    more[6] = (char)('0' + draw);
    if (!make_mac(v, more, type, value, mac))
        return DLP_SHAPE_NONE;
    memcpy(&d.random, mac, sizeof(d.random));
    if (draw != 0) /* the days of all are taken */
        d.days += 1 + (unsigned)(d.random % 365);
    return dlp_shape_make(value, type, &d, out);
}

static bool is_prefix_of(struct gw_span prefix, const struct dlp_vault_entry *e)
{
    return e->shaped && gw_span_starts(e->key, prefix);
}

/* Would one be the beginning of the other? Those that begin alike stand together in the list. */
static bool is_beside(const struct dlp_vault *v, unsigned at, struct gw_span key)
{
    return (at < v->n && is_prefix_of(key, &v->entries[at])) ||
           (at > 0 && v->entries[at - 1].shaped && gw_span_starts(key, v->entries[at - 1].key));
}

/* Takes the stand-in for the value. GW_EEXIST: it is another one's, or stands in a text. */
static enum gw_status take_shape(struct dlp_vault *v, struct gw_span shape, struct gw_span value,
                                 struct gw_span *placeholder)
{
    char folded[DLP_PLACEHOLDER_MAX];
    const struct gw_span key = {folded, shape.len};
    bool found;
    unsigned at;

    if (shape.len == 0 || shape.len > sizeof(folded))
        return GW_ENOENT;
    for (size_t i = 0; i < shape.len; i++)
        folded[i] = (char)dlp_vault_fold((unsigned char)shape.ptr[i]);
    at = position(v, key, &found);
    if (!found) {
        if (dlp_words_has_all(&v->avoid, shape) || is_beside(v, at, key))
            return GW_EEXIST;
        GW_TRY(insert(v, at, shape, key, value));
    } else if (!v->entries[at].shaped || !gw_span_eq(v->entries[at].value, value)) {
        return GW_EEXIST;
    }
    *placeholder = v->entries[at].placeholder;
    return GW_OK;
}

enum gw_status dlp_vault_put_shape(struct dlp_vault *v, const char *type, struct gw_span value,
                                   struct gw_span *placeholder)
{
    struct gw_buf out = {0};
    enum gw_status st = GW_EEXIST;

    if (v->avoid.bits == NULL || value.len == 0)
        return GW_EINVAL;
    for (unsigned draw = 0; draw < DRAWS && st == GW_EEXIST; draw++) {
        enum dlp_shape made;

        gw_buf_clear(&out);
        made = make_shape(v, type, value, draw, &out);
        if (made == DLP_SHAPE_NONE)
            st = GW_ENOENT;
        else if (!gw_buf_ok(&out))
            st = GW_ENOMEM;
        else if (made == DLP_SHAPE_MADE)
            st = take_shape(v, gw_buf_span(&out), value, placeholder);
    }
    gw_buf_fini(&out);
    return st == GW_EEXIST ? GW_ENOENT : st;
}

bool dlp_vault_is_shape(const struct dlp_vault *v, struct gw_span text)
{
    char folded[DLP_PLACEHOLDER_MAX];
    bool found;
    unsigned at;

    if (text.len == 0 || text.len > sizeof(folded))
        return false;
    for (size_t i = 0; i < text.len; i++)
        folded[i] = (char)dlp_vault_fold((unsigned char)text.ptr[i]);
    at = position(v, (struct gw_span){folded, text.len}, &found);
    return found && v->entries[at].shaped;
}
