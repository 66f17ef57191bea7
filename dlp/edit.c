/* dlp/edit.c - hides findings in the received bytes (dlp_doc_edit of dlp.h).
 *
 * Each finding becomes one edit, a range of the body; on a JOINED leaf one edit for each part: the first
 * ("head") is replaced, the others ("tails") are removed. Sorted, overlapping edits form a group, and a
 * group is replaced as one, under its strictest action. What lies between groups is copied as it came.
 *
 * A group's value is the decoded text of its whole range in the innermost leaf that holds the range,
 * plus what a joined head lost in other parts, so that restoring gives back every hidden byte once. */
#include "dlp/edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "dlp/doc.h"
#include "dlp/vault.h"

struct edit {
    uint32_t raw_start, raw_end; /* in the body */
    uint32_t leaf;
    uint32_t rule;
    enum gw_action action;
    uint8_t confidence;
    uint8_t style;       /* enum dlp_style */
    bool tail;           /* a later part of a JOINED finding */
    struct gw_span rest; /* of a head: its text in the later parts */
};

struct editor {
    const struct dlp_doc *doc;
    const struct dlp_rules *rules;
    struct dlp_vault *vault;
    struct gw_buf *out;
    struct edit *edits;
    size_t n, cap;
    uint32_t copied;      /* bytes of the body that are in out */
    unsigned hidden_keys; /* keys redacted so far: each needs a name of its own */
};

/* ---- text helpers ------------------------------------------------------------------------ */

bool dlp_escape(struct gw_buf *out, struct gw_span text, unsigned depth)
{
    struct gw_buf a = {0}, b = {0};
    bool ok;

    if (depth == 0) {
        gw_buf_add(out, text);
        return gw_buf_ok(out);
    }
    gw_buf_add(&a, text);
    while (--depth > 0) {
        struct gw_buf t;

        gw_buf_clear(&b);
        gw_buf_add_json(&b, gw_buf_span(&a));
        if (!gw_buf_ok(&b))
            break;
        t = a;
        a = b;
        b = t;
    }
    ok = gw_buf_ok(&a) && gw_buf_ok(&b);
    gw_buf_add_json(out, gw_buf_span(&a));
    gw_buf_fini(&a);
    gw_buf_fini(&b);
    return ok && gw_buf_ok(out);
}

/* Letters and digits of any script; the separators are those of ASCII. */
static bool is_masked(uint32_t cp)
{
    return cp >= 0x80 || (cp >= '0' && cp <= '9') || ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
}

void dlp_mask(struct gw_buf *out, struct gw_span value, bool whole)
{
    enum { KEEP = 4, KEEP_FROM = 12 };
    unsigned n = 0, seen = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < value.len;) {
            uint32_t cp = 0x80; /* a byte that is no UTF-8 counts as a letter */
            unsigned len = gw_utf8_decode(value.ptr + i, value.len - i, &cp);
            bool masked = whole || is_masked(cp);

            len = len == 0 ? 1 : len;
            if (pass == 0)
                n += masked;
            else if (masked && (whole || n < KEEP_FROM || seen++ < n - KEEP))
                gw_buf_addc(out, '*');
            else
                gw_buf_add(out, (struct gw_span){value.ptr + i, len});
            i += len;
        }
    }
}

bool dlp_is_placeholder(const struct dlp_rules *rules, struct gw_span value)
{
    size_t cut = value.len;
    bool same = false;

    if (!gw_span_starts(value, GW_SPAN("DLP_")))
        return false;
    while (cut > 0 && value.ptr[cut - 1] != '_')
        cut--;
    if (!gw_span_is(gw_span_from(value, cut), "REDACTED")) {
        if (value.len - cut != 8)
            return false;
        for (size_t i = cut; i < value.len; i++)
            if (!((value.ptr[i] >= 'A' && value.ptr[i] <= 'Z') ||
                  (value.ptr[i] >= '2' && value.ptr[i] <= '7')))
                return false;
    }
    for (unsigned i = 0; i < dlp_rules_count(rules) && !same; i++) {
        struct gw_buf prefix = {0};

        dlp_placeholder_prefix(&prefix, dlp_rules_info(rules, i)->type);
        same = gw_span_eq(gw_buf_span(&prefix), (struct gw_span){value.ptr, cut});
        gw_buf_fini(&prefix);
    }
    return same;
}

/* ---- from findings to edits -------------------------------------------------------------- */

static bool add_edit(struct editor *ed, const struct edit *e)
{
    if (ed->n == ed->cap) {
        size_t cap = ed->cap == 0 ? 16 : ed->cap * 2;
        struct edit *bigger = realloc(ed->edits, cap * sizeof(*bigger));

        if (bigger == NULL)
            return false;
        ed->edits = bigger;
        ed->cap = cap;
    }
    ed->edits[ed->n++] = *e;
    return true;
}

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static bool is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Sets the raw range of the slice of an ordinary leaf: the whole of a key or a number, else the slice
 * widened to whole characters (an escape is one character, so that no escape is cut either). A slice of
 * a string that is JSON goes to the leaf in there that holds it: its escaping, and its quotes if it is a
 * number, are then right. False when out of memory. */
static bool place(const struct editor *ed, struct edit *e, uint32_t start, uint32_t end)
{
    struct dlp_leaf l;

    if (!dlp_doc_leaf_at(ed->doc, e->leaf, &l))
        return false;
    if (l.kind == DLP_LEAF_KEY || l.kind == DLP_LEAF_NUMBER) {
        start = 0;
        end = (uint32_t)l.text.len;
    } else if (l.kind == DLP_LEAF_STRING) {
        while (start > 0 && is_tail_byte(l.text.ptr[start]))
            start--;
        while (end < l.text.len && is_tail_byte(l.text.ptr[end]))
            end++;
    }
    if (!dlp_map_to_body(ed->doc, e->leaf, start, end, &e->raw_start, &e->raw_end))
        return false;
    for (;;) {
        uint32_t in = dlp_doc_inner_at(ed->doc, e->leaf, e->raw_start, e->raw_end);

        if (in == DLP_NONE)
            return true;
        e->leaf = in;
        l = dlp_doc_place(ed->doc, in);
        if (l.kind == DLP_LEAF_KEY || l.kind == DLP_LEAF_NUMBER) {
            e->raw_start = l.raw_start;
            e->raw_end = l.raw_end;
        } else if (
            !dlp_map_from_body(ed->doc, in, e->raw_start, e->raw_end, &start, &end) ||
            /* what was found as it stands outside may begin inside an escape of the inside */
            !dlp_map_to_body(ed->doc, in, start, end, &e->raw_start, &e->raw_end)) {
            return false;
        }
    }
}

static bool add_joined(struct editor *ed, const struct dlp_finding *f, struct edit e)
{
    const struct dlp_joined *way = dlp_doc_joined(ed->doc, f->leaf);
    struct gw_span text = way->text;
    uint32_t end = f->end;

    while (end < text.len && is_tail_byte(text.ptr[end]))
        end++;
    for (uint32_t i = dlp_doc_part_at(way, f->start); i < way->n_parts; i++) {
        const struct dlp_part *p = &way->parts[i];
        uint32_t from = f->start > p->at ? f->start - p->at : 0;
        uint32_t to = end - p->at < p->len ? end - p->at : p->len;

        if (p->at >= end)
            break;
        e.leaf = p->leaf;
        e.tail = p->at > f->start;
        e.rest = e.tail || p->at + p->len >= end
                     ? (struct gw_span){NULL, 0}
                     : (struct gw_span){text.ptr + p->at + p->len, end - p->at - p->len};
        if (!place(ed, &e, p->start + from, p->start + to) || !add_edit(ed, &e))
            return false;
    }
    return true;
}

static bool add_finding(struct editor *ed, const struct dlp_finding *f, enum gw_action action,
                        uint8_t style)
{
    struct dlp_leaf l;
    struct edit e = {.leaf = f->leaf,
                     .rule = f->rule,
                     .action = action,
                     .style = style,
                     .confidence = f->confidence};

    if (!dlp_doc_leaf_at(ed->doc, f->leaf, &l))
        return false;
    if (f->start >= f->end || f->end > l.text.len ||
        dlp_is_placeholder(ed->rules, (struct gw_span){l.text.ptr + f->start, f->end - f->start}))
        return true;
    if (l.kind == DLP_LEAF_JOINED)
        return add_joined(ed, f, e);
    return place(ed, &e, f->start, f->end) && add_edit(ed, &e);
}

static int by_start(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;

    if (x->raw_start != y->raw_start)
        return x->raw_start < y->raw_start ? -1 : 1;
    return x->raw_end < y->raw_end ? -1 : x->raw_end > y->raw_end;
}

/* ---- groups ------------------------------------------------------------------------------ */

struct group {
    uint32_t start, end; /* in the body */
    uint32_t tail_end;   /* up to here it belongs to a head elsewhere, and is only removed */
    struct edit winner;
    struct gw_span rest;
    uint32_t leaf;    /* the innermost one that holds the range */
    unsigned nesting; /* of that */
    bool touches;     /* another one ends where it begins, or begins where it ends */
};

/* Strictest action, then longest, then most certain. */
static bool beats(const struct edit *a, const struct edit *b)
{
    uint32_t a_len = a->raw_end - a->raw_start, b_len = b->raw_end - b->raw_start;

    if (a->action != b->action)
        return a->action > b->action;
    if (a_len != b_len)
        return a_len > b_len;
    return a->confidence > b->confidence;
}

/* Takes the group that starts at edits[i] and returns the index behind it. */
static size_t take_group(const struct editor *ed, size_t i, struct group *g)
{
    size_t first = i;
    bool chosen = false;

    *g = (struct group){.start = ed->edits[i].raw_start, .end = ed->edits[i].raw_end};
    g->tail_end = g->start;
    g->winner = ed->edits[i];
    for (; i < ed->n && (i == first || ed->edits[i].raw_start < g->end); i++) {
        const struct edit *e = &ed->edits[i];

        if (e->raw_end > g->end)
            g->end = e->raw_end;
        if (beats(e, &g->winner))
            g->winner = *e;
        if (e->tail && e->raw_end > g->tail_end)
            g->tail_end = e->raw_end;
        if (e->rest.len > g->rest.len)
            g->rest = e->rest;
    }
    /* Leaves of one body nest or are disjoint, so one of the group's holds all of it. */
    for (size_t k = first; k < i; k++) {
        const struct dlp_leaf l = dlp_doc_place(ed->doc, ed->edits[k].leaf);

        if (l.raw_start <= g->start && l.raw_end >= g->end && (!chosen || l.nesting > g->nesting)) {
            g->leaf = ed->edits[k].leaf;
            g->nesting = l.nesting;
            chosen = true;
        }
    }
    return i;
}

/* What stands for a value; nothing is escaped yet. */
struct stand_in {
    struct gw_buf text;
    bool number; /* it may stand where a number stood */
};

/* A stand-in of the value's shape, where it can be told from what is around it: false, and st, else. */
static bool put_shape(struct editor *ed, const struct group *g, const struct dlp_leaf *l,
                      struct gw_span value, struct stand_in *out, enum gw_status *st)
{
    struct gw_span placeholder;
    uint32_t start, end;

    if (g->winner.style != DLP_STYLE_SHAPE || g->touches || g->rest.len != 0 ||
        g->tail_end > g->start || (l->kind == DLP_LEAF_NUMBER && !dlp_vault_is_number(value)))
        return false;
    if (!dlp_map_from_body(ed->doc, g->leaf, g->start, g->end, &start, &end)) {
        *st = GW_ENOMEM;
        return false;
    }
    if ((start > 0 && is_word_byte(l->text.ptr[start - 1])) ||
        (end < l->text.len && is_word_byte(l->text.ptr[end])))
        return false;
    *st = dlp_vault_put_shape(ed->vault, dlp_rules_info(ed->rules, g->winner.rule)->type, value,
                              &placeholder);
    if (*st == GW_ENOENT) {
        *st = GW_OK;
        return false;
    }
    if (*st != GW_OK)
        return false;
    gw_buf_add(&out->text, placeholder);
    out->number = dlp_vault_is_number(placeholder);
    return true;
}

static enum gw_status put_token(struct editor *ed, const struct group *g, const struct dlp_leaf *l,
                                struct gw_span value, struct stand_in *out)
{
    struct gw_span placeholder;
    enum gw_status st = GW_OK;

    if (ed->vault == NULL)
        return GW_EINVAL;
    if (put_shape(ed, g, l, value, out, &st) || st != GW_OK)
        return st;
    GW_TRY(dlp_vault_put(ed->vault, dlp_rules_info(ed->rules, g->winner.rule)->type, value,
                         &placeholder));
    gw_buf_add(&out->text, placeholder);
    return GW_OK;
}

/* Appends what stands for the value. */
static enum gw_status replacement(struct editor *ed, const struct group *g,
                                  const struct dlp_leaf *l, struct gw_span value,
                                  struct stand_in *out)
{
    const struct dlp_rule_info *info = dlp_rules_info(ed->rules, g->winner.rule);
    bool key = l->kind == DLP_LEAF_KEY;

    if (g->winner.action == GW_ACTION_TOKENIZE) {
        GW_TRY(put_token(ed, g, l, value, out));
    } else if (g->winner.action == GW_ACTION_MASK && !key) {
        dlp_mask(&out->text, value, info->class_ == GW_CLASS_SECRET);
    } else {
        /* Two masked or redacted keys of one object must not become the same key. */
        dlp_placeholder_prefix(&out->text, info->type);
        gw_buf_adds(&out->text, "REDACTED");
        if (key && ed->hidden_keys++ != 0)
            gw_buf_printf(&out->text, "_%u", ed->hidden_keys);
    }
    return gw_buf_ok(&out->text) ? GW_OK : GW_ENOMEM;
}

/* Appends the replacement as it must stand in the leaf. */
static bool write_in_leaf(struct editor *ed, const struct dlp_leaf *l, const struct stand_in *with)
{
    struct gw_span text = gw_buf_span(&with->text);
    struct gw_buf quoted = {0};
    bool ok;

    if (l->kind == DLP_LEAF_TEXT || (l->kind == DLP_LEAF_NUMBER && with->number))
        return dlp_escape(ed->out, text, 0);
    if (l->kind != DLP_LEAF_NUMBER)
        return dlp_escape(ed->out, text, l->nesting + 1);
    gw_buf_add_json_str(&quoted, text);
    ok = gw_buf_ok(&quoted) && dlp_escape(ed->out, gw_buf_span(&quoted), l->nesting);
    gw_buf_fini(&quoted);
    return ok;
}

static enum gw_status apply_group(struct editor *ed, const struct group *g)
{
    struct dlp_leaf l;
    struct gw_buf value = {0};
    struct stand_in with = {.number = false};
    enum gw_status st = GW_OK;
    uint32_t start, end;

    gw_buf_add(ed->out, (struct gw_span){ed->doc->body.ptr + ed->copied, g->start - ed->copied});
    ed->copied = g->end;
    if (g->tail_end >= g->end)
        return GW_OK;
    if (!dlp_map_from_body(ed->doc, g->leaf, g->tail_end, g->end, &start, &end) ||
        !dlp_doc_leaf_at(ed->doc, g->leaf, &l))
        return GW_ENOMEM;
    gw_buf_add(&value, (struct gw_span){l.text.ptr + start, end - start});
    gw_buf_add(&value, g->rest);
    st = gw_buf_ok(&value) ? replacement(ed, g, &l, gw_buf_span(&value), &with) : GW_ENOMEM;
    if (st == GW_OK && !write_in_leaf(ed, &l, &with))
        st = GW_ENOMEM;
    gw_buf_fini(&value);
    gw_buf_fini(&with.text);
    return st;
}

enum gw_status dlp_doc_edit(const struct dlp_doc *doc, const struct dlp_rules *rules,
                            const struct dlp_report *report, const enum gw_action *actions,
                            struct dlp_vault *vault, struct gw_buf *out)
{
    return dlp_doc_edit_styled(doc, rules, report, actions, NULL, vault, out);
}

enum gw_status dlp_doc_edit_styled(const struct dlp_doc *doc, const struct dlp_rules *rules,
                                   const struct dlp_report *report, const enum gw_action *actions,
                                   const uint8_t *styles, struct dlp_vault *vault,
                                   struct gw_buf *out)
{
    struct editor ed = {.doc = doc, .rules = rules, .vault = vault, .out = out};
    enum gw_status st = GW_OK;

    for (unsigned i = 0; i < report->n_findings && st == GW_OK; i++) {
        enum gw_action a = actions[i];

        if ((a == GW_ACTION_MASK || a == GW_ACTION_TOKENIZE || a == GW_ACTION_REDACT) &&
            !add_finding(&ed, &report->findings[i], a,
                         styles == NULL ? (uint8_t)DLP_STYLE_NAME : styles[i]))
            st = GW_ENOMEM;
    }
    if (ed.n != 0)
        qsort(ed.edits, ed.n, sizeof(*ed.edits), by_start);
    for (size_t i = 0; i < ed.n && st == GW_OK;) {
        bool behind = i > 0 && ed.edits[i].raw_start == ed.copied;
        struct group g;

        i = take_group(&ed, i, &g);
        g.touches = behind || (i < ed.n && ed.edits[i].raw_start == g.end);
        st = apply_group(&ed, &g);
    }
    gw_buf_add(out, gw_span_from(doc->body, ed.copied));
    free(ed.edits); /* offsets only */
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}
