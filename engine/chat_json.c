/* engine/chat_json.c - values as JSON, for the tojson filter of chat templates, and JSON as values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "base/utf8.h"
#include "engine/chat_jinja.h"
#include "engine/chat_value.h"

/* ---- writing: as Python's json.dumps() ------------------------------------------------------ */

struct writing {
    struct jrun *r;
    struct jbuild out;
    const struct jjson *how;
    unsigned level; /* of containers */
};

/* The character at s[at] as an escape, or false when it stands for itself. */
static bool escape(const struct jjson *how, struct jstr s, size_t at, size_t len, char out[16])
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *known = memchr(from, s.ptr[at], sizeof(from) - 1);
    uint32_t cp = (unsigned char)s.ptr[at];

    if (known != NULL)
        return snprintf(out, 16, "\\%c", to[known - from]), true;
    (void)gw_utf8_decode(s.ptr + at, len, &cp);
    if (cp >= 0x20 && (cp < 0x7F || !how->ascii))
        return false;
    if (cp >= 0x10000)
        (void)snprintf(out, 16, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((cp - 0x10000) >> 10)),
                       (unsigned)(0xDC00 + ((cp - 0x10000) & 0x3FF)));
    else
        (void)snprintf(out, 16, "\\u%04x", (unsigned)cp);
    return true;
}

/* s with JSON's escapes, each byte marked as the byte it came from. */
static void put_string(struct writing *w, struct jstr s)
{
    unsigned char marks[16];
    char text[16];
    size_t from = 0;

    jbuild_addc(w->r, &w->out, '"');
    for (size_t at = 0; at < s.len && w->r->status == GW_OK;) {
        size_t len = jstr_char(s, at);

        if (escape(w->how, s, at, len, text)) {
            jbuild_add(w->r, &w->out, jstr_sub(s, from, at));
            memset(marks, s.user != NULL ? s.user[at] : 0, sizeof(marks));
            jbuild_add(w->r, &w->out,
                       (struct jstr){text, s.user == NULL ? NULL : marks, strlen(text)});
            from = at + len;
        }
        at += len;
    }
    jbuild_add(w->r, &w->out, jstr_sub(s, from, s.len));
    jbuild_addc(w->r, &w->out, '"');
}

static void new_line(struct writing *w)
{
    if (!w->how->pretty)
        return;
    jbuild_addc(w->r, &w->out, '\n');
    for (unsigned i = 0; i < w->level; i++)
        jbuild_add(w->r, &w->out, w->how->indent);
}

static void put(struct writing *w, struct jval v);

static void put_list(struct writing *w, const struct jlist *l)
{
    jbuild_addc(w->r, &w->out, '[');
    w->level++;
    for (size_t i = 0; i < l->n && w->r->status == GW_OK; i++) {
        if (i > 0)
            jbuild_add(w->r, &w->out, w->how->item);
        new_line(w);
        put(w, l->items[i]);
    }
    w->level--;
    if (l->n > 0)
        new_line(w);
    jbuild_addc(w->r, &w->out, ']');
}

/* The entries of d by their keys' bytes. */
static const struct jentry **sorted(struct jrun *r, const struct jdict *d)
{
    const struct jentry **all = jrun_alloc(r, d->n, sizeof(const void *));
    size_t n = 0;

    for (const struct jentry *e = d->first; all != NULL && e != NULL && jrun_work(r, n);
         e = e->next) {
        size_t at = n++;

        for (; at > 0 && jval_compare(r, jval_string(e->key), jval_string(all[at - 1]->key)) < 0;
             at--)
            all[at] = all[at - 1];
        all[at] = e;
    }
    return all;
}

static void put_dict(struct writing *w, const struct jdict *d)
{
    const struct jentry **order = w->how->sorted ? sorted(w->r, d) : NULL, *e = d->first;

    jbuild_addc(w->r, &w->out, '{');
    w->level++;
    for (size_t i = 0; i < d->n && w->r->status == GW_OK; i++, e = e->next) {
        const struct jentry *now = order != NULL ? order[i] : e;

        if (i > 0)
            jbuild_add(w->r, &w->out, w->how->item);
        new_line(w);
        put_string(w, now->key);
        jbuild_add(w->r, &w->out, w->how->key);
        put(w, now->value);
    }
    w->level--;
    if (d->n > 0)
        new_line(w);
    jbuild_addc(w->r, &w->out, '}');
}

static void put(struct writing *w, struct jval v)
{
    if (!jrun_enter(w->r) || w->level > JINJA_MAX_DEPTH) {
        jrun_fail(w->r, GW_ELIMIT, "a value is too deeply nested");
    } else if (v.type == JVAL_STRING) {
        put_string(w, v.string);
    } else if (v.type == JVAL_BOOL) {
        jbuild_add(w->r, &w->out, jstr_of(v.boolean ? "true" : "false"));
    } else if (v.type == JVAL_NONE) {
        jbuild_add(w->r, &w->out, jstr_of("null"));
    } else if (v.type == JVAL_LIST) {
        put_list(w, v.list);
    } else if (v.type == JVAL_DICT && !v.dict->is_namespace) {
        put_dict(w, v.dict);
    } else if (v.type == JVAL_FLOAT && !isfinite(v.real)) {
        jbuild_add(w->r, &w->out,
                   jstr_of(isnan(v.real) ? "NaN" : (v.real < 0 ? "-Infinity" : "Infinity")));
    } else if (v.type == JVAL_INT || v.type == JVAL_FLOAT) {
        jbuild_add(w->r, &w->out, jval_text(w->r, v));
    } else {
        jrun_fail(w->r, GW_EUNSUPPORTED, "a value has no form in JSON");
    }
    w->r->depth--;
}

struct jstr jval_json(struct jrun *r, struct jval v, const struct jjson *how)
{
    struct writing w = {.r = r, .how = how};

    put(&w, v);
    return jbuild_done(&w.out);
}

/* ---- reading -------------------------------------------------------------------------------- */

static struct jval from_number(struct jrun *r, struct gw_span raw)
{
    struct gw_span text = gw_arena_copy(r->arena, raw); /* ends with a NUL */
    bool real = false, small = raw.len <= 18;

    if (text.ptr == NULL) {
        jrun_fail(r, GW_ELIMIT, "the template needs too much memory");
        return jval_undefined;
    }
    for (size_t i = 0; i < raw.len; i++)
        real = real || raw.ptr[i] == '.' || gw_ascii_lower(raw.ptr[i]) == 'e';
    return real || !small ? jval_float(strtod(text.ptr, NULL))
                          : jval_int(strtoll(text.ptr, NULL, 10));
}

static struct jstr from_string(struct jrun *r, struct gw_span text)
{
    unsigned char *user = jrun_alloc(r, text.len, 1);

    if (text.ptr == NULL || user == NULL) {
        jrun_fail(r, GW_ELIMIT, "the template needs too much memory");
        return (struct jstr){NULL, NULL, 0};
    }
    memset(user, 1, text.len);
    return (struct jstr){text.ptr, user, text.len};
}

/* Recursion is bounded by the tokenizer's depth. */
static struct jval from_node(struct jrun *r, const struct gw_json_node *node)
{
    struct jval out = jval_undefined;
    size_t i = 0;

    switch ((int)node->type) {
    case GW_JSON_OBJECT_BEGIN:
        out = jval_dict(r);
        for (const struct gw_json_node *c = node->child; c != NULL && r->status == GW_OK;
             c = c->next)
            jdict_set(r, out.dict, from_string(r, gw_json_name(c, r->arena)), from_node(r, c));
        return out;
    case GW_JSON_ARRAY_BEGIN:
        out = jval_list(r, node->n);
        for (const struct gw_json_node *c = node->child; c != NULL && r->status == GW_OK;
             c = c->next)
            out.list->items[i++] = from_node(r, c);
        return out;
    case GW_JSON_STRING:
        return jval_string(from_string(r, gw_json_text(node, r->arena)));
    case GW_JSON_NUMBER:
        return from_number(r, node->raw);
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
        return jval_bool(node->type == GW_JSON_TRUE);
    default:
        return (struct jval){.type = JVAL_NONE};
    }
}

struct jval jval_from_json(struct jrun *r, struct gw_span text)
{
    const struct gw_json_limits limits = {.max_depth = JINJA_MAX_DEPTH, .max_keys = 100000};
    struct gw_json *json = gw_json_new();
    struct gw_json_node *root = NULL;
    struct jval out = jval_undefined;

    if (json == NULL)
        jrun_fail(r, GW_ENOMEM, "out of memory");
    else if (gw_json_tree(json, r->arena, text, &limits, &root, NULL) != GW_OK)
        jrun_fail(r, GW_EPARSE, "its values are no JSON");
    else
        out = from_node(r, root);
    gw_json_free(json);
    return out;
}
