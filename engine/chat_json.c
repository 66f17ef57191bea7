/* engine/chat_json.c - values as JSON, for the tojson filter of chat templates.
 *
 * Spacing as Python's json.dumps(); non-ASCII as it is. Recursion is bounded by how deep a template can
 * nest its own literals, which the parser limits. */
#include <stdio.h>

#include "engine/chat_jinja.h"
#include "engine/chat_value.h"

static struct jstr literal(const char *s)
{
    return (struct jstr){s, NULL, strlen(s)};
}

/* s with JSON's escapes, each byte marked as the byte it came from. */
static struct jstr quoted(struct jrun *r, struct jstr s)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    char *p = jrun_alloc(r, s.len + 1, 6);
    unsigned char *user = jrun_alloc(r, s.len + 1, 6);
    size_t n = 0;

    if (r->status != GW_OK)
        return (struct jstr){NULL, NULL, 0};
    p[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        const char *known = memchr(from, s.ptr[i], sizeof(from) - 1);
        size_t before = n;

        if (known != NULL) {
            p[n++] = '\\';
            p[n++] = to[known - from];
        } else if ((unsigned char)s.ptr[i] < 0x20) {
            n += (size_t)snprintf(p + n, 7, "\\u%04x", (unsigned)(unsigned char)s.ptr[i]);
        } else {
            p[n++] = s.ptr[i];
        }
        for (; s.user != NULL && before < n; before++)
            user[before] = s.user[i];
    }
    p[n++] = '"';
    return (struct jstr){p, user, n};
}

static struct jstr write(struct jrun *r, struct jval v, unsigned depth)
{
    struct jstr out = literal(v.type == JVAL_LIST ? "[" : "{");

    if (depth > JINJA_MAX_DEPTH)
        jrun_fail(r, GW_ELIMIT, "a value is too deeply nested");
    if (r->status != GW_OK)
        return literal("");
    if (v.type == JVAL_STRING)
        return quoted(r, v.string);
    if (v.type == JVAL_BOOL)
        return literal(v.boolean ? "true" : "false");
    if (v.type == JVAL_NONE)
        return literal("null");
    if (v.type == JVAL_LIST) {
        for (size_t i = 0; i < v.list->n && r->status == GW_OK; i++) {
            if (i > 0)
                out = jstr_concat(r, out, literal(", "));
            out = jstr_concat(r, out, write(r, v.list->items[i], depth + 1));
        }
        return jstr_concat(r, out, literal("]"));
    }
    if (v.type != JVAL_DICT)
        return jval_text(r, v);
    for (const struct jentry *e = v.dict->first; e != NULL && r->status == GW_OK; e = e->next) {
        if (e != v.dict->first)
            out = jstr_concat(r, out, literal(", "));
        out = jstr_concat(r, out, quoted(r, e->key));
        out = jstr_concat(r, out, literal(": "));
        out = jstr_concat(r, out, write(r, e->value, depth + 1));
    }
    return jstr_concat(r, out, literal("}"));
}

struct jstr jval_json(struct jrun *r, struct jval v)
{
    return write(r, v, 0);
}
