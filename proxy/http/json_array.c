/* proxy/http/json_array.c - the element reader of json_array.h.
 *
 *   START --"["--> FIRST --"{"--> ELEMENT --its last bracket--> BEHIND --"]"--> DONE
 *                    |  \            ^                             |
 *                   "]"  blanks      +--"{"-- NEXT <------","------+
 *                    v
 *                  DONE            (all edges: take_byte(), but those of ELEMENT: skip_element())
 *
 * Each byte is looked at once. Where an element lies whole in the bytes just fed, its spans point there; else its bytes
 * collect in `pending`. Positions count from the first byte that was not delivered, so that they survive a move. */
#include "proxy/http/json_array.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http/pending.h"

enum place { START, FIRST, NEXT, ELEMENT, BEHIND, DONE };

struct json_array {
    size_t max_element;
    struct gw_buf pending;
    enum place place;
    size_t scanned; /* bytes of pending that were looked at */
    size_t object;  /* ELEMENT: where it begins */
    size_t depth;   /* ELEMENT: open brackets */
    bool in_string, escaped;
};

struct json_array *json_array_new(size_t max_element)
{
    struct json_array *r = calloc(1, sizeof(*r));

    if (r != NULL)
        r->max_element = max_element == 0 ? JSON_ARRAY_MAX_ELEMENT : max_element;
    return r;
}

void json_array_free(struct json_array *r)
{
    if (r == NULL)
        return;
    gw_buf_fini(&r->pending);
    free(r);
}

bool json_array_complete(const struct json_array *r)
{
    return r->place == DONE;
}

size_t json_array_pending(const struct json_array *r)
{
    return r->pending.len;
}

/* Goes on inside a string from `at`; returns the place behind its end, or the end of the bytes. */
static size_t skip_string(struct json_array *r, struct gw_span s, size_t at)
{
    for (; at < s.len; at++) {
        if (r->escaped)
            r->escaped = false;
        else if (s.ptr[at] == '\\')
            r->escaped = true;
        else if (s.ptr[at] == '"') {
            r->in_string = false;
            return at + 1;
        }
    }
    return at;
}

/* Goes on inside an element from `at`; returns the place behind its last bracket (depth is 0 then), or the end. */
static size_t skip_element(struct json_array *r, struct gw_span s, size_t at)
{
    while (at < s.len) {
        char c;

        if (r->in_string) {
            at = skip_string(r, s, at);
            continue;
        }
        c = s.ptr[at++];
        if (c == '"') {
            r->in_string = true;
        } else if (c == '{' || c == '[') {
            r->depth++;
        } else if (c == '}' || c == ']') {
            r->depth--;
            if (r->depth == 0)
                return at;
        }
    }
    return at;
}

/* Takes one byte outside elements. False: no array has it there. */
static bool take_byte(struct json_array *r, char c, size_t at)
{
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return true;
    if (r->place == START && c == '[') {
        r->place = FIRST;
        return true;
    }
    if ((r->place == FIRST || r->place == NEXT) && c == '{') {
        r->place = ELEMENT;
        r->object = at;
        r->depth = 1;
        return true;
    }
    if ((r->place == FIRST || r->place == BEHIND) && c == ']') {
        r->place = DONE;
        return true;
    }
    if (r->place == BEHIND && c == ',') {
        r->place = NEXT;
        return true;
    }
    return false;
}

/* Takes the bytes of `all`; sets *used to the first one that is not delivered. */
static enum gw_status take(struct json_array *r, struct gw_span all, size_t *used, json_array_fn fn,
                           void *ctx)
{
    size_t start = 0, at = r->scanned;

    while (at < all.len) {
        struct json_array_event ev = {.ended = true};
        bool was_done = r->place == DONE;

        if (r->place == ELEMENT) {
            at = skip_element(r, all, at);
            if (r->depth != 0)
                break;
            r->place = BEHIND;
            ev.has_data = true;
            ev.data = (struct gw_span){all.ptr + r->object, at - r->object};
        } else {
            if (!take_byte(r, all.ptr[at], at))
                return GW_EPARSE;
            at++;
            if (was_done || r->place != DONE)
                continue;
        }
        ev.raw = (struct gw_span){all.ptr + start, at - start};
        if (ev.raw.len > r->max_element)
            return GW_ELIMIT;
        GW_TRY(fn(ctx, &ev));
        start = at;
    }
    r->scanned = at - start;
    if (r->place == ELEMENT)
        r->object -= start;
    *used = start;
    return GW_OK;
}

enum gw_status json_array_feed(struct json_array *r, struct gw_span bytes, json_array_fn fn,
                               void *ctx)
{
    struct gw_span all;
    size_t used = 0;

    if (bytes.len == 0)
        return GW_OK;
    GW_TRY(pending_join(&r->pending, bytes, &all));
    GW_TRY(take(r, all, &used, fn, ctx));
    return pending_keep(&r->pending, all, used, r->max_element);
}

enum gw_status json_array_finish(struct json_array *r, json_array_fn fn, void *ctx)
{
    const struct json_array_event ev = {.raw = gw_buf_span(&r->pending), .ended = r->place == DONE};
    enum gw_status st;

    if (ev.raw.len == 0)
        return GW_OK;
    st = fn(ctx, &ev);
    gw_buf_clear(&r->pending);
    r->scanned = 0;
    return st;
}

/* ---- writing ----------------------------------------------------------------------------- */

void json_array_rewrite(struct gw_buf *out, const struct json_array_event *ev, struct gw_span data)
{
    gw_buf_add(out, (struct gw_span){ev->raw.ptr, ev->raw.len - ev->data.len});
    if (ev->has_data)
        gw_buf_add(out, data);
}

void json_array_write(struct gw_buf *out, bool first, struct gw_span data)
{
    gw_buf_adds(out, first ? "[" : ",\r\n");
    gw_buf_add(out, data);
}

void json_array_write_end(struct gw_buf *out, bool first)
{
    gw_buf_adds(out, first ? "[]" : "]");
}
