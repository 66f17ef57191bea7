/* proxy/answer/restream_event.c - reads one event, see restream_event.h. Worker's thread. */
#include "proxy/answer/restream_event.h"

#include <stdlib.h>

struct walk {
    enum api_dialect dialect;
    int stack[RS_MAX_DEPTH + 1]; /* node of each open container; [0] is the root's */
    bool is_array[RS_MAX_DEPTH + 1];
    int64_t position[RS_MAX_DEPTH + 1]; /* elements seen in an array */
    unsigned depth;
    struct gw_span key; /* of the value that comes next */
};

void rs_event_fini(struct rs_event *ev)
{
    free(ev->nodes);
    free(ev->leaves);
    ev->nodes = NULL;
    ev->leaves = NULL;
}

/* Makes room for one more element of size bytes. */
static bool grow(void **items, unsigned n, unsigned *cap, size_t size)
{
    unsigned want = *cap == 0 ? 32 : *cap * 2;
    void *p;

    if (n < *cap)
        return true;
    if (n >= RS_MAX_NODES)
        return false;
    p = realloc(*items, want * size);
    if (p == NULL)
        return false;
    *items = p;
    *cap = want;
    return true;
}

static int add_node(struct rs_event *ev, int parent, struct gw_span key, int64_t index)
{
    if (!grow((void **)&ev->nodes, ev->n_nodes, &ev->cap_nodes, sizeof(*ev->nodes)))
        return -2;
    ev->nodes[ev->n_nodes] = (struct rs_node){.parent = parent, .key = key, .index = index};
    return (int)ev->n_nodes++;
}

/* The node of the value that starts now; RS_ROOT for the root, -2 when there is no room. */
static int value_node(struct rs_event *ev, struct walk *w)
{
    if (w->depth == 0)
        return RS_ROOT;
    if (w->is_array[w->depth])
        return add_node(ev, w->stack[w->depth], (struct gw_span){NULL, 0}, w->position[w->depth]++);
    return add_node(ev, w->stack[w->depth], w->key, RS_NO_INDEX);
}

static bool small_number(struct gw_span raw, int64_t *out)
{
    int64_t v = 0;

    if (raw.len > 9)
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9')
            return false;
        v = v * 10 + (raw.ptr[i] - '0');
    }
    *out = v;
    return true;
}

/* Numbers that say which text this is: "index" names the element that holds it, whatever its position. */
static void note_number(struct rs_event *ev, const struct walk *w, const struct gw_json_tok *tok)
{
    int holder = w->stack[w->depth];
    int64_t v;

    if (w->depth == 1 && gw_span_is(w->key, "sequence_number"))
        ev->sequence = tok->raw;
    if (!small_number(tok->raw, &v))
        return;
    if (w->depth > 1) {
        if (ev->nodes[holder].key.len == 0 && gw_span_is(w->key, "index"))
            ev->nodes[holder].index = v;
        return;
    }
    if (gw_span_is(w->key, "index"))
        ev->index = v;
    else if (gw_span_is(w->key, "output_index"))
        ev->output_index = v;
    else if (gw_span_is(w->key, "content_index"))
        ev->content_index = v;
    else if (gw_span_is(w->key, "summary_index"))
        ev->summary_index = v;
}

/* False: no room for one that must not be forgotten. */
static bool open_spot(struct rs_event *ev, const struct walk *w, const struct gw_json_tok *tok,
                      int node)
{
    bool json = rs_is_json(w->dialect, ev, node);

    if (!json && !rs_key_is(ev, node, "logprobs"))
        return true;
    if (ev->n_spots == RS_MAX_SPOTS)
        return !json;
    ev->spots[ev->n_spots++] = (struct rs_spot){.start = tok->start, .node = node, .json = json};
    return true;
}

static void close_spot(struct rs_event *ev, const struct gw_json_tok *tok, int node)
{
    for (unsigned i = 0; i < ev->n_spots; i++)
        if (node >= 0 && ev->spots[i].node == node)
            ev->spots[i].end = tok->end;
}

static bool on_string(struct rs_event *ev, struct walk *w, const struct gw_json_tok *tok)
{
    int node = value_node(ev, w);

    if (node == -2 ||
        !grow((void **)&ev->leaves, ev->n_leaves, &ev->cap_leaves, sizeof(*ev->leaves)))
        return false;
    if (w->depth == 1 && rs_key_is(ev, node, "type"))
        ev->type = tok->raw;
    ev->leaves[ev->n_leaves++] = (struct rs_leaf){tok->raw, node, tok->escaped};
    return true;
}

static bool on_token(struct rs_event *ev, struct walk *w, const struct gw_json_tok *tok)
{
    int node;

    switch (tok->type) {
    case GW_JSON_KEY:
        w->key = tok->raw;
        return true;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_END:
        close_spot(ev, tok, w->stack[w->depth]);
        w->depth--;
        return true;
    case GW_JSON_OBJECT_BEGIN:
    case GW_JSON_ARRAY_BEGIN:
        node = value_node(ev, w);
        if (node == -2 || w->depth == RS_MAX_DEPTH || !open_spot(ev, w, tok, node))
            return false;
        w->depth++;
        w->stack[w->depth] = node;
        w->is_array[w->depth] = tok->type == GW_JSON_ARRAY_BEGIN;
        w->position[w->depth] = 0;
        return true;
    case GW_JSON_STRING:
        return on_string(ev, w, tok);
    case GW_JSON_NUMBER:
        if (w->depth != 0 && !w->is_array[w->depth])
            note_number(ev, w, tok);
        return value_node(ev, w) != -2;
    case GW_JSON_TRUE:
        if (w->depth > 1 && !w->is_array[w->depth] && gw_span_is(w->key, "thought"))
            ev->nodes[w->stack[w->depth]].thought = true;
        return value_node(ev, w) != -2;
    case GW_JSON_FALSE:
    case GW_JSON_NULL:
        return value_node(ev, w) != -2;
    case GW_JSON_END:
    case GW_JSON_ERROR:
    default:
        return false;
    }
}

bool rs_read(enum api_dialect d, struct rs_event *ev, struct gw_json *json, struct gw_span data)
{
    const struct gw_json_limits lenient = {RS_MAX_DEPTH, 100000, true};
    const struct gw_span none = {NULL, 0};
    struct walk w = {.dialect = d};
    struct gw_json_tok tok;

    ev->data = data;
    ev->n_nodes = ev->n_leaves = ev->n_spots = 0;
    ev->type = ev->sequence = none;
    ev->index = ev->output_index = ev->content_index = ev->summary_index = RS_NO_INDEX;
    gw_json_start(json, data, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END)
        if (!on_token(ev, &w, &tok))
            return false;
    return true;
}

bool rs_key_is(const struct rs_event *ev, int node, const char *name)
{
    return node >= 0 && gw_span_is(ev->nodes[node].key, name);
}
