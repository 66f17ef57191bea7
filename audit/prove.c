/* audit/prove.c - proofs that can be handed over: one record, or one checkpoint, and the hashes that tie it to a signature.
 *
 *   {"type":"inclusion","origin":..,"index":N,"size":M,"record":BASE64,"path":[BASE64..],"checkpoint":NOTE}
 *   {"type":"consistency","path":[BASE64..],"from":NOTE,"to":NOTE}
 *
 * One object a line. One thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/event_read.h"
#include "audit/ledger.h"
#include "audit/seal.h"
#include "base/base64.h"
#include "base/json_tree.h"

enum { MAX_HITS = 1000, MAX_KEYS = 64 };

/* ---- making ------------------------------------------------------------------------------ */

struct hit {
    size_t tree; /* index in the ledger: trees move while it is read */
    uint64_t index;
    struct gw_buf record;
};

struct search {
    const char *uid;
    struct hit *hits;
    size_t n;
    bool failed;
};

static bool is_wanted(struct gw_span record, const char *uid)
{
    char a[EVENT_ID_BYTES], b[EVENT_ID_BYTES];

    return gw_span_is(event_str(record, "metadata.uid", a, sizeof(a)), uid) ||
           gw_span_is(event_request_id(record, b), uid);
}

static void on_record(void *ctx, size_t tree, uint64_t index, const struct spool_rec *rec)
{
    struct search *s = ctx;
    struct hit *h = &s->hits[s->n];

    if (s->n == MAX_HITS || !is_wanted(rec->payload, s->uid))
        return;
    gw_buf_add(&h->record, rec->payload);
    s->failed = s->failed || !gw_buf_ok(&h->record);
    h->tree = tree;
    h->index = index;
    s->n++;
}

/* The newest checkpoint of the tree, NULL: none. */
static const struct note *newest_note(const struct ledger *l, const struct ledger_tree *t)
{
    const struct note *best = NULL;
    char origin[NOTE_ORIGIN_BYTES];

    seal_origin(t->chain, t->first_seq, origin, sizeof(origin));
    for (size_t i = 0; i < l->n_notes; i++)
        if (gw_span_is(l->notes[i].origin, origin) &&
            (best == NULL || l->notes[i].size >= best->size))
            best = &l->notes[i];
    return best;
}

static void add_path(const struct merkle_hash *path, int n, struct gw_buf *out)
{
    gw_buf_adds(out, "\"path\":[");
    for (int i = 0; i < n; i++) {
        gw_buf_adds(out, i == 0 ? "\"" : ",\"");
        gw_base64(out, (struct gw_span){(const char *)path[i].bytes, MERKLE_BYTES});
        gw_buf_addc(out, '"');
    }
    gw_buf_addc(out, ']');
}

/* False: no checkpoint covers the record yet. */
static bool write_inclusion(const struct ledger *l, const struct hit *h, struct gw_buf *out)
{
    const struct ledger_tree *t = &l->trees[h->tree];
    const struct merkle_part p = {t->base, t->leaves, t->n};
    const struct note *n = newest_note(l, t);
    struct merkle_hash path[MERKLE_MAX_PROOF];
    int len =
        n == NULL || n->size <= h->index ? -1 : merkle_prove_inclusion(&p, h->index, n->size, path);

    if (len < 0)
        return false;
    gw_buf_adds(out, "{\"type\":\"inclusion\",\"origin\":");
    gw_buf_add_json_str(out, n->origin);
    gw_buf_printf(out, ",\"index\":%" PRIu64 ",\"size\":%" PRIu64 ",\"record\":\"", h->index,
                  n->size);
    gw_base64(out, gw_buf_span(&h->record));
    gw_buf_adds(out, "\",");
    add_path(path, len, out);
    gw_buf_adds(out, ",\"checkpoint\":");
    gw_buf_add_json_str(out, n->text);
    gw_buf_adds(out, "}\n");
    return true;
}

static enum gw_status flush(struct gw_buf *b, FILE *out, struct gw_err *err)
{
    enum gw_status st = gw_buf_ok(b) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");

    if (st == GW_OK && fwrite(b->ptr, 1, b->len, out) != b->len)
        st = gw_fail(err, GW_EIO, "the proof cannot be written");
    gw_buf_fini(b);
    return st;
}

enum gw_status audit_prove_inclusion(const char *spool_dir, const char *uid, FILE *out,
                                     struct gw_err *err)
{
    struct ledger l;
    struct search s = {.uid = uid, .hits = calloc(MAX_HITS + 1, sizeof(*s.hits))};
    struct gw_buf text = {0};
    size_t covered = 0;
    enum gw_status st = GW_ENOMEM;

    if (s.hits == NULL)
        return gw_fail(err, st, "out of memory");
    st = ledger_read(spool_dir, on_record, &s, &l, err);
    if (st != GW_OK) {
        for (size_t i = 0; i < s.n; i++)
            gw_buf_fini(&s.hits[i].record);
        free(s.hits);
        return st;
    }
    for (size_t i = 0; i < s.n; i++)
        covered += write_inclusion(&l, &s.hits[i], &text) ? 1 : 0;
    if (s.failed)
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    else if (s.n == 0)
        st = gw_fail(err, GW_ENOENT, "no record in %s has the uid or request id %.100s", spool_dir,
                     uid);
    else if (covered < s.n)
        st = gw_fail(err, GW_ENOENT,
                     "%zu of %zu records are younger than the newest checkpoint: try again in "
                     "some seconds",
                     s.n - covered, s.n);
    if (st == GW_OK)
        st = flush(&text, out, err);
    gw_buf_fini(&text);
    for (size_t i = 0; i < s.n; i++)
        gw_buf_fini(&s.hits[i].record);
    free(s.hits);
    ledger_fini(&l);
    return st;
}

static enum gw_status write_consistency(const struct ledger *l, const struct note *from, FILE *out,
                                        struct gw_err *err)
{
    const struct ledger_tree *t = ledger_find(l, from->origin);
    const struct note *to = t == NULL ? NULL : newest_note(l, t);
    struct merkle_hash path[MERKLE_MAX_PROOF];
    struct gw_buf text = {0};
    int n = -1;

    if (to != NULL && to->size >= from->size) {
        const struct merkle_part p = {t->base, t->leaves, t->n};

        n = merkle_prove_consistency(&p, from->size, to->size, path);
    }
    if (n < 0)
        return gw_fail(err, GW_ENOENT,
                       "the spool cannot prove it: the chain of that checkpoint is not there, is "
                       "shorter, or its records are past retention");
    gw_buf_adds(&text, "{\"type\":\"consistency\",");
    add_path(path, n, &text);
    gw_buf_adds(&text, ",\"from\":");
    gw_buf_add_json_str(&text, from->text);
    gw_buf_adds(&text, ",\"to\":");
    gw_buf_add_json_str(&text, to->text);
    gw_buf_adds(&text, "}\n");
    return flush(&text, out, err);
}

enum gw_status audit_prove_consistency(const char *spool_dir, struct gw_span older, FILE *out,
                                       struct gw_err *err)
{
    struct ledger l;
    struct note *notes = NULL;
    size_t n = 0, torn = 0;
    enum gw_status st = ledger_notes(older, &notes, &n, &torn);

    if (st == GW_OK && n == 0)
        st = gw_fail(err, GW_EPARSE, "that is no checkpoint: save what `sluice audit head` prints");
    if (st == GW_OK)
        st = ledger_read(spool_dir, NULL, NULL, &l, err);
    if (st == GW_OK) {
        for (size_t i = 0; i < n && st == GW_OK; i++)
            st = write_consistency(&l, &notes[i], out, err);
        ledger_fini(&l);
    }
    free(notes);
    return st;
}

/* ---- checking: nothing but the text and the keys ------------------------------------------------ */

struct checking {
    struct note_key keys[MAX_KEYS];
    unsigned n_keys;
    struct gw_arena *arena;
    FILE *out;
    bool bad;
};

static bool is_signed(const struct checking *c, const struct note *n)
{
    for (unsigned i = 0; i < c->n_keys; i++)
        if (note_verify(n, &c->keys[i]))
            return true;
    return false;
}

/* The note in that member; it must be signed by a known key. */
static bool get_note(struct checking *c, const struct gw_json_node *obj, const char *name,
                     struct note *out)
{
    struct gw_span text = gw_json_text(gw_json_get(obj, name), c->arena);

    return note_read(&text, out) == GW_OK && is_signed(c, out);
}

static int get_path(struct checking *c, const struct gw_json_node *obj, struct merkle_hash *out)
{
    const struct gw_json_node *list = gw_json_get(obj, "path");
    int n = 0;

    if (!gw_json_is(list, GW_JSON_ARRAY_BEGIN))
        return -1;
    for (const struct gw_json_node *e = list->child; e != NULL; e = e->next) {
        if (n == MERKLE_MAX_PROOF ||
            gw_unbase64(gw_json_text(e, c->arena), out[n].bytes, MERKLE_BYTES) != MERKLE_BYTES)
            return -1;
        n++;
    }
    return n;
}

static bool check_inclusion(struct checking *c, const struct gw_json_node *obj)
{
    const uint64_t index = gw_json_uint(gw_json_get(obj, "index"), UINT64_MAX);
    struct gw_span coded = gw_json_text(gw_json_get(obj, "record"), c->arena);
    unsigned char *record = gw_arena_alloc(c->arena, coded.len + 1);
    struct merkle_hash path[MERKLE_MAX_PROOF], leaf;
    char uid[EVENT_ID_BYTES], code[64];
    struct gw_span rec, u, e;
    struct note note;
    int n = get_path(c, obj, path);
    ptrdiff_t len;

    if (n < 0 || record == NULL || !get_note(c, obj, "checkpoint", &note))
        return false;
    len = gw_unbase64(coded, record, coded.len);
    if (len < 0)
        return false;
    rec = (struct gw_span){(const char *)record, (size_t)len};
    spool_print(rec, leaf.bytes);
    if (!merkle_check_inclusion(&leaf, index, note.size, path, (unsigned)n, &note.root))
        return false;
    u = event_str(rec, "metadata.uid", uid, sizeof(uid));
    e = event_str(rec, "event_code", code, sizeof(code));
    (void)fprintf(c->out,
                  "PROVEN  record %.*s (%.*s) is number %" PRIu64 " of %" PRIu64 " in %.*s\n",
                  (int)u.len, u.ptr, (int)e.len, e.ptr, index, note.size, (int)note.origin.len,
                  note.origin.ptr);
    return true;
}

static bool check_consistency(struct checking *c, const struct gw_json_node *obj)
{
    struct merkle_hash path[MERKLE_MAX_PROOF];
    struct note from, to;
    int n = get_path(c, obj, path);

    if (n < 0 || !get_note(c, obj, "from", &from) || !get_note(c, obj, "to", &to) ||
        !gw_span_eq(from.origin, to.origin) ||
        !merkle_check_consistency(from.size, &from.root, to.size, &to.root, path, (unsigned)n))
        return false;
    (void)fprintf(c->out,
                  "PROVEN  %.*s: the %" PRIu64 " records of the older checkpoint are the first of "
                  "the %" PRIu64 " of the newer one\n",
                  (int)to.origin.len, to.origin.ptr, from.size, to.size);
    return true;
}

static enum gw_status check_line(struct checking *c, struct gw_json *json, struct gw_span line,
                                 unsigned no, struct gw_err *err)
{
    struct gw_json_node *obj;
    bool ok;

    if (gw_json_tree(json, c->arena, line, NULL, &obj, err) != GW_OK) {
        (void)gw_fail_prefix(err, "line %u", no);
        return GW_EPARSE;
    }
    if (gw_json_text_is(gw_json_get(obj, "type"), "inclusion"))
        ok = check_inclusion(c, obj);
    else if (gw_json_text_is(gw_json_get(obj, "type"), "consistency"))
        ok = check_consistency(c, obj);
    else
        return gw_fail(err, GW_EPARSE, "line %u: not a proof of inclusion or consistency", no);
    if (!ok) {
        c->bad = true;
        (void)fprintf(c->out,
                      "FALSE   line %u does not prove what it says, or no known key has "
                      "signed it\n",
                      no);
    }
    return GW_OK;
}

static struct gw_span take_line(struct gw_span *t)
{
    const char *nl = memchr(t->ptr, '\n', t->len);
    struct gw_span line = {t->ptr, nl == NULL ? t->len : (size_t)(nl - t->ptr)};

    *t = gw_span_from(*t, line.len + 1);
    return line;
}

enum gw_status audit_check_proof(struct gw_span proofs, struct gw_span keys, FILE *out,
                                 enum audit_verdict *verdict, struct gw_err *err)
{
    struct checking *c = calloc(1, sizeof(*c));
    struct gw_json *json = gw_json_new();
    unsigned no = 0, seen = 0;
    enum gw_status st;

    if (c == NULL || json == NULL) {
        gw_json_free(json);
        free(c);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    c->out = out;
    st = note_keys_read(keys, c->keys, MAX_KEYS, &c->n_keys, err);
    while (st == GW_OK && proofs.len != 0) {
        struct gw_span line = take_line(&proofs);

        no++;
        if (line.len == 0)
            continue;
        seen++;
        c->arena = gw_arena_new(line.len * 4 + (1u << 20));
        st = c->arena == NULL ? gw_fail(err, GW_ENOMEM, "out of memory")
                              : check_line(c, json, line, no, err);
        gw_arena_free(c->arena);
    }
    if (st == GW_OK && seen == 0)
        st = gw_fail(err, GW_EPARSE, "there is no proof in the input");
    if (st == GW_OK)
        *verdict = c->bad ? AUDIT_ALTERED : AUDIT_INTACT;
    gw_json_free(json);
    free(c);
    return st;
}
