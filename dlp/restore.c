/* dlp/restore.c - puts tokenized values back (dlp_restorer and dlp_restore_json of dlp.h).
 *
 * The matcher walks the vault's sorted placeholders: the characters taken so far select a range of
 * entries with that prefix, each further character narrows it by binary search. What models do to
 * placeholders is tolerated: letters in any case, "\_" for "_" as Markdown escapes it, a blank or a hyphen
 * for "_", and in JSON any character as an escape. What they put around one (bold marks, quotes, a
 * plural s) stays. A placeholder that this vault did not issue is left. A stand-in (vault.h) is one only where no letter
 * and no digit touches it, so the character behind it is waited for.
 *
 * At the end of a chunk the bytes of an unfinished attempt stay in `pending`: never more than the longest
 * placeholder with its escapes, and none of them when no placeholder can begin there. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dlp/doc.h"
#include "dlp/edit.h"
#include "dlp/nest.h"
#include "dlp/vault.h"

enum { HELD_MAX = 8 * DLP_PLACEHOLDER_MAX };

struct matcher {
    const struct dlp_vault *v;
    unsigned lo, hi;     /* entries that have the taken characters as prefix */
    unsigned depth;      /* characters taken: bytes of the placeholder */
    bool json;           /* the text is inside JSON: characters may be escapes */
    unsigned escape;     /* bytes of an escape taken so far */
    unsigned code;       /* what its hex digits say so far */
    bool backslash;      /* the last character was a backslash that needs a '_' */
    unsigned n;          /* bytes taken, with escapes */
    unsigned entry;      /* a complete one, when complete_n is not 0 */
    unsigned complete_n; /* bytes taken when it was complete */
    unsigned stand_in;   /* complete unless a word goes on behind it, when stand_in_n is not 0 */
    unsigned stand_in_n;
    bool glued; /* the character before the start is a letter or digit */
};

enum step {
    STEP_MORE, /* taken */
    STEP_DONE, /* taken: the entry is complete, and no longer one can follow */
    STEP_FAIL, /* no placeholder: reset the matcher, unless it had a complete entry */
};

static void matcher_reset(struct matcher *m)
{
    m->lo = 0;
    m->hi = dlp_vault_count(m->v);
    m->depth = 0;
    m->backslash = false;
    m->escape = 0;
    m->n = 0;
    m->complete_n = 0;
    m->stand_in_n = 0;
}

static bool is_word_byte(unsigned c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* No word goes on behind the stand-in. */
static void take_stand_in(struct matcher *m)
{
    if (m->stand_in_n == 0)
        return;
    m->entry = m->stand_in;
    m->complete_n = m->stand_in_n;
    m->stand_in_n = 0;
}

/* The first entry in [lo, hi) whose byte at depth is at least c. */
static unsigned lower(const struct matcher *m, unsigned lo, unsigned hi, unsigned c)
{
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        struct gw_span p = dlp_vault_at(m->v, mid)->key;

        if (m->depth >= p.len || (unsigned char)p.ptr[m->depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* All characters of the entry are taken. */
static enum step take_whole(struct matcher *m, unsigned entry)
{
    const struct dlp_vault_entry *e = dlp_vault_at(m->v, entry);

    if (!e->shaped) {
        m->entry = entry;
        m->complete_n = m->n;
        return m->hi - m->lo == 1 ? STEP_DONE : STEP_MORE;
    }
    if (m->glued && is_word_byte((unsigned char)e->key.ptr[0]))
        return STEP_MORE;
    m->stand_in = entry;
    m->stand_in_n = m->n;
    if (!is_word_byte((unsigned char)e->key.ptr[e->key.len - 1]))
        take_stand_in(m);
    return STEP_MORE;
}

/* Takes a character; m->n counts its bytes already. */
static enum step take_char(struct matcher *m, unsigned c)
{
    unsigned want, lo, hi;

    if (!is_word_byte(c))
        take_stand_in(m);
    m->stand_in_n = 0;
    want = c == '\\' && !m->backslash ? '_' : dlp_vault_fold((unsigned char)c);
    if (m->backslash && c != '_')
        return STEP_FAIL;
    lo = lower(m, m->lo, m->hi, want);
    hi = lower(m, lo, m->hi, want + 1);
    if (lo == hi)
        return STEP_FAIL;
    m->backslash = c == '\\';
    if (m->backslash)
        return STEP_MORE;
    m->lo = lo;
    m->hi = hi;
    m->depth++;
    /* A proper prefix of others sorts first. */
    return dlp_vault_at(m->v, lo)->key.len == m->depth ? take_whole(m, lo) : STEP_MORE;
}

static int hex_digit(unsigned c)
{
    if (c >= '0' && c <= '9')
        return (int)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)(c - 'a' + 10) : -1;
}

/* Takes a byte of a JSON escape: a backslash, or a character as \uXXXX. */
static enum step take_escaped(struct matcher *m, unsigned c)
{
    enum { UNICODE_BYTES = 6 };
    int digit = hex_digit(c);

    if (m->escape == 1 && (c == '\\' || c == '/')) {
        m->escape = 0;
        return take_char(m, c);
    }
    if (m->escape == 1 ? c != 'u' : digit < 0)
        return STEP_FAIL;
    m->code = m->escape == 1 ? 0 : m->code * 16 + (unsigned)digit;
    if (++m->escape < UNICODE_BYTES)
        return STEP_MORE;
    m->escape = 0;
    return m->code < 0x80 ? take_char(m, m->code) : STEP_FAIL;
}

/* Takes a byte, or fails: then the matcher must be reset. */
static enum step matcher_step(struct matcher *m, char raw)
{
    unsigned c = (unsigned char)raw;

    if (m->n == HELD_MAX)
        return STEP_FAIL;
    m->n++;
    if (m->escape != 0)
        return take_escaped(m, c);
    if (m->json && c == '\\') {
        take_stand_in(m);
        m->escape = 1;
        return STEP_MORE;
    }
    return take_char(m, c);
}

enum found {
    FOUND_NONE,    /* no placeholder from *at on: *at is the end */
    FOUND_PENDING, /* the end cuts an attempt that began at *at */
    FOUND_ENTRY, /* m->entry stands at *at, m->complete_n bytes long; reset m before the next call */
};

static bool can_begin(const struct matcher *m, char c)
{
    return dlp_vault_begins(m->v, (unsigned char)c) || (m->json && c == '\\');
}

/* The code of \uXXXX; -1: it is none. */
static int escaped_code(struct gw_span text)
{
    enum { UNICODE_BYTES = 6 };
    int code = 0;

    if (text.len < UNICODE_BYTES || text.ptr[1] != 'u')
        return -1;
    for (unsigned i = 2; i < UNICODE_BYTES; i++) {
        int digit = hex_digit((unsigned char)text.ptr[i]);

        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* Goes on behind a start that failed: an escape is not looked into, or the second half of an escaped backslash would look
 * like the beginning of another one. */
static void pass_start(struct matcher *m, struct gw_span text, size_t *at)
{
    enum { UNICODE_BYTES = 6 };
    struct gw_span rest = gw_span_from(text, *at);
    unsigned c = (unsigned char)rest.ptr[0];

    if (m->json && c == '\\' && rest.len >= 2) {
        int code = escaped_code(rest);

        m->glued = code >= 0 && code < 0x80 && is_word_byte((unsigned)code);
        *at += code >= 0 ? UNICODE_BYTES : 2;
    } else {
        m->glued = is_word_byte(c);
        *at += 1;
    }
    matcher_reset(m);
}

/* Goes on behind the entry that was found. */
static void pass_entry(struct matcher *m, size_t *at)
{
    struct gw_span key = dlp_vault_at(m->v, m->entry)->key;

    *at += m->complete_n;
    m->glued = is_word_byte((unsigned char)key.ptr[key.len - 1]);
    matcher_reset(m);
}

/* Looks for the next placeholder in text from *at on, where m has taken m->n bytes already. final: no
 * more text will come. */
static enum found find(struct matcher *m, struct gw_span text, size_t *at, bool final)
{
    for (;; pass_start(m, text, at)) {
        enum step step = STEP_MORE;

        if (m->n == 0) {
            for (; *at < text.len && !can_begin(m, text.ptr[*at]); ++*at)
                m->glued = is_word_byte((unsigned char)text.ptr[*at]);
            if (*at == text.len)
                return FOUND_NONE;
        }
        while (step == STEP_MORE && *at + m->n < text.len)
            step = matcher_step(m, text.ptr[*at + m->n]);
        if (step == STEP_MORE && !final)
            return FOUND_PENDING;
        if (step == STEP_MORE)
            take_stand_in(m);
        if (m->complete_n != 0)
            return FOUND_ENTRY;
    }
}

/* ---- streams ----------------------------------------------------------------------------- */

struct dlp_restorer {
    struct matcher m;
    unsigned nesting; /* at least so deep in JSON strings; or as deep as: */
    struct nest nest; /* what has gone out is */
    unsigned count;
    struct gw_buf pending; /* the m.n bytes that the matcher took */
};

struct dlp_restorer *dlp_restorer_new(const struct dlp_vault *v, unsigned json_nesting)
{
    struct dlp_restorer *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->m.v = v;
    r->nesting = json_nesting;
    r->m.json = json_nesting > 0;
    matcher_reset(&r->m);
    nest_start(&r->nest);
    return r;
}

void dlp_restorer_free(struct dlp_restorer *r)
{
    if (r == NULL)
        return;
    gw_buf_fini(&r->pending);
    free(r);
}

size_t dlp_restorer_held(const struct dlp_restorer *r)
{
    return r->pending.len;
}

unsigned dlp_restorer_count(const struct dlp_restorer *r)
{
    return r->count;
}

/* Text that was no placeholder. */
static void pass_text(struct dlp_restorer *r, struct gw_span text, struct gw_buf *out)
{
    nest_feed(&r->nest, text);
    gw_buf_add(out, text);
}

/* The value of the entry that was found, escaped for where it stands. */
static bool put_value(struct dlp_restorer *r, struct gw_buf *out)
{
    unsigned depth = nest_depth(&r->nest);

    nest_feed(&r->nest, GW_SPAN("0")); /* some of a string, or a number */
    r->count++;
    return dlp_escape(out, dlp_vault_at(r->m.v, r->m.entry)->value,
                      depth > r->nesting ? depth : r->nesting);
}

static enum gw_status advance(struct dlp_restorer *r, struct gw_span text, bool final,
                              struct gw_buf *out)
{
    struct gw_span all = text;
    struct gw_buf rest = {0};
    size_t at = 0, copied = 0;
    bool ok = true;

    if (r->pending.len != 0) {
        gw_buf_add(&r->pending, text);
        if (!gw_buf_ok(&r->pending))
            return GW_ENOMEM;
        all = gw_buf_span(&r->pending);
    }
    while (find(&r->m, all, &at, final) == FOUND_ENTRY) {
        pass_text(r, (struct gw_span){all.ptr + copied, at - copied}, out);
        ok &= put_value(r, out);
        pass_entry(&r->m, &at);
        copied = at;
    }
    if (at > copied)
        pass_text(r, (struct gw_span){all.ptr + copied, at - copied}, out);
    gw_buf_add(&rest, gw_span_from(all, at));
    ok &= gw_buf_ok(&rest);
    gw_buf_fini(&r->pending);
    r->pending = rest;
    return ok && gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

enum gw_status dlp_restorer_feed(struct dlp_restorer *r, struct gw_span text, struct gw_buf *out)
{
    return advance(r, text, false, out);
}

enum gw_status dlp_restorer_finish(struct dlp_restorer *r, struct gw_buf *out)
{
    enum gw_status st = advance(r, (struct gw_span){NULL, 0}, true, out);

    r->m.glued = false;
    nest_start(&r->nest);
    return st;
}

/* ---- whole bodies ------------------------------------------------------------------------ */

/* A placeholder in the body. */
struct hit {
    uint32_t raw_start, raw_end;
    unsigned nesting; /* of its leaf */
    unsigned entry;
};

struct hits {
    struct hit *list;
    size_t n, cap;
};

static bool add_hit(struct hits *h, const struct hit *hit)
{
    if (h->n == h->cap) {
        size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        struct hit *bigger = realloc(h->list, cap * sizeof(*bigger));

        if (bigger == NULL)
            return false;
        h->list = bigger;
        h->cap = cap;
    }
    h->list[h->n++] = *hit;
    return true;
}

/* Finds the placeholders of one leaf, but for those in a leaf inside it, which is searched itself and
 * knows the right depth of escaping. */
static bool find_in_leaf(const struct dlp_doc *doc, uint32_t i, const struct dlp_leaf *leaf,
                         const struct dlp_vault *v, struct hits *hits)
{
    struct gw_span text = leaf->text;
    struct matcher m = {.v = v};
    struct hit hit = {.nesting = leaf->nesting};
    size_t at = 0;

    matcher_reset(&m);
    while (find(&m, text, &at, true) == FOUND_ENTRY) {
        if (!dlp_map_to_body(doc, i, (uint32_t)at, (uint32_t)at + m.complete_n, &hit.raw_start,
                             &hit.raw_end))
            return false;
        hit.entry = m.entry;
        if (dlp_doc_inner_at(doc, i, hit.raw_start, hit.raw_end) == DLP_NONE &&
            !add_hit(hits, &hit))
            return false;
        pass_entry(&m, &at);
    }
    return true;
}

/* A number is a stand-in as a whole, and only of a number. */
static bool find_number(const struct dlp_leaf *l, const struct dlp_vault *v, struct hits *hits)
{
    struct matcher m = {.v = v};
    struct hit hit = {.raw_start = l->raw_start, .raw_end = l->raw_end, .nesting = l->nesting};
    size_t at = 0;

    matcher_reset(&m);
    if (find(&m, l->text, &at, true) != FOUND_ENTRY || at != 0 || m.complete_n != l->text.len ||
        !dlp_vault_is_number(l->text) || !dlp_vault_is_number(dlp_vault_at(v, m.entry)->value))
        return true;
    hit.entry = m.entry;
    return add_hit(hits, &hit);
}

static int by_start(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return x->raw_start < y->raw_start ? -1 : x->raw_start > y->raw_start;
}

/* Leaves out the hits that begin in one of the kept pieces; both ascend. */
static void leave_kept(const struct dlp_doc *doc, struct hits *hits, const struct gw_span *kept,
                       unsigned n_kept)
{
    size_t n = 0;
    unsigned k = 0;

    for (size_t i = 0; i < hits->n; i++) {
        const char *at = doc->body.ptr + hits->list[i].raw_start;

        while (k < n_kept && kept[k].ptr + kept[k].len <= at)
            k++;
        if (k == n_kept || at < kept[k].ptr)
            hits->list[n++] = hits->list[i];
    }
    hits->n = n;
}

static enum gw_status restore_doc(const struct dlp_doc *doc, const struct dlp_vault *v,
                                  const struct gw_span *kept, unsigned n_kept, struct gw_buf *out,
                                  unsigned *n_restored)
{
    struct hits hits = {0};
    uint32_t copied = 0;
    unsigned count = 0;
    struct dlp_cursor c;
    bool ok = dlp_cursor_init(&c, doc, false);

    while (ok && dlp_cursor_next(&c)) {
        struct dlp_leaf leaf;

        ok = dlp_cursor_leaf(&c, &leaf);
        if (ok && leaf.kind != DLP_LEAF_NUMBER)
            ok = find_in_leaf(doc, c.leaf, &leaf, v, &hits);
        else if (ok && dlp_vault_has_numbers(v))
            ok = find_number(&leaf, v, &hits);
    }
    dlp_cursor_fini(&c);
    if (hits.n > 1)
        qsort(hits.list, hits.n, sizeof(*hits.list), by_start);
    leave_kept(doc, &hits, kept, n_kept);
    for (size_t i = 0; i < hits.n && ok; i++) {
        const struct hit *h = &hits.list[i];

        if (h->raw_start < copied)
            continue;
        gw_buf_add(out, (struct gw_span){doc->body.ptr + copied, h->raw_start - copied});
        ok = dlp_escape(out, dlp_vault_at(v, h->entry)->value, h->nesting + 1);
        copied = h->raw_end;
        count++;
    }
    free(hits.list);
    gw_buf_add(out, gw_span_from(doc->body, copied));
    if (!ok || !gw_buf_ok(out))
        return GW_ENOMEM;
    if (n_restored != NULL)
        *n_restored = count;
    return GW_OK;
}

enum gw_status dlp_restore_json(const struct dlp_vault *v, struct gw_span body, struct gw_buf *out,
                                unsigned *n_restored)
{
    return dlp_restore_json_but(v, body, NULL, 0, out, n_restored);
}

enum gw_status dlp_restore_json_but(const struct dlp_vault *v, struct gw_span body,
                                    const struct gw_span *kept, unsigned n_kept, struct gw_buf *out,
                                    unsigned *n_restored)
{
    /* A leaf takes a few bytes, one in which something is found some hundred. */
    enum { PER_BYTE = 16, BASE = 1 << 20 };
    const struct dlp_doc_limits limits = {.max_keys = 1000000, .max_leaves = 1000000};
    struct gw_arena *arena = gw_arena_new(body.len * PER_BYTE + BASE);
    struct dlp_doc *doc;
    enum gw_status st = GW_ENOMEM;

    if (arena != NULL)
        st = dlp_doc_parse(arena, body,
                           &(struct dlp_parse){.limits = &limits, .allow_duplicate_keys = true},
                           &doc, NULL);
    if (st == GW_OK)
        st = restore_doc(doc, v, kept, n_kept, out, n_restored);
    gw_arena_free(arena);
    return st;
}
