/* proxy/restream.c - see restream.h. An event is read once into a list of its string leaves with their paths; then it
 * is written again with the texts that changed. */
#include "proxy/restream.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXTS = 512, MAX_NODES = 4096, MAX_DEPTH = 64, MAX_ENDED = 128, NO_INDEX = -1 };

/* A step of a path: a member of an object or an element of an array. */
struct node {
    int parent;         /* -1: the root */
    struct gw_span key; /* member; empty for an element */
    int64_t index;      /* element: its "index" member, else its position */
};

struct leaf {
    struct gw_span raw; /* inside of the string, in the event's data */
    int node;
    bool escaped;
};

/* One growing text. */
struct text {
    uint64_t path;  /* hash of its path */
    int64_t choice; /* first array index on the path */
    struct filter *filter;
    struct gw_buf template_; /* the last event with this text emptied: event line and data */
    size_t at;               /* where the text goes in it */
};

/* Which texts an event ends. */
struct ended {
    int64_t choices[MAX_ENDED]; /* those with a finish_reason in it */
    unsigned n;
    bool all;
};

/* Where pieces go. */
struct sink {
    restream_piece_fn fn;
    void *ctx;
};

struct restream {
    const struct filter_config *cfg;
    enum api_dialect dialect;
    struct gw_json *json;
    struct text *texts;
    unsigned n_texts, cap_texts;
    struct node *nodes;
    struct leaf *leaves;
    unsigned n_nodes, cap_nodes, n_leaves, cap_leaves;
    unsigned n_once; /* replaced in texts that came whole */
};

struct restream *restream_new(const struct filter_config *cfg, enum api_dialect dialect,
                              struct gw_json *json)
{
    struct restream *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->cfg = cfg;
    r->dialect = dialect;
    r->json = json;
    return r;
}

void restream_free(struct restream *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->n_texts; i++) {
        filter_free(r->texts[i].filter);
        gw_buf_fini(&r->texts[i].template_);
    }
    free(r->texts);
    free(r->nodes);
    free(r->leaves);
    free(r);
}

unsigned restream_count(const struct restream *r)
{
    unsigned n = r->n_once;

    for (unsigned i = 0; i < r->n_texts; i++)
        n += filter_restored(r->texts[i].filter);
    return n;
}

/* Makes room for one more element of size bytes. */
static bool grow(void **items, unsigned n, unsigned *cap, unsigned max, size_t size)
{
    unsigned want = *cap == 0 ? 32 : *cap * 2;
    void *p;

    if (n < *cap)
        return true;
    if (n >= max)
        return false;
    p = realloc(*items, want * size);
    if (p == NULL)
        return false;
    *items = p;
    *cap = want;
    return true;
}

/* ---- reading an event ------------------------------------------------------------------- */

struct walk {
    int stack[MAX_DEPTH + 1]; /* node of each open container; [0] is the root's */
    bool is_array[MAX_DEPTH + 1];
    int64_t position[MAX_DEPTH + 1]; /* elements seen in an array */
    unsigned depth;
    struct gw_span key; /* of the value that comes next */
};

static int add_node(struct restream *r, int parent, struct gw_span key, int64_t index)
{
    if (!grow((void **)&r->nodes, r->n_nodes, &r->cap_nodes, MAX_NODES, sizeof(*r->nodes)))
        return -2;
    r->nodes[r->n_nodes] = (struct node){parent, key, index};
    return (int)r->n_nodes++;
}

/* The node of the value that starts now. */
static int value_node(struct restream *r, struct walk *w)
{
    if (w->depth == 0)
        return -1;
    if (w->is_array[w->depth])
        return add_node(r, w->stack[w->depth], (struct gw_span){NULL, 0}, w->position[w->depth]++);
    return add_node(r, w->stack[w->depth], w->key, NO_INDEX);
}

/* "index": 3 names the element that holds it, whatever its position. */
static void note_index(struct restream *r, const struct walk *w, const struct gw_json_tok *tok)
{
    int holder = w->stack[w->depth];
    int64_t v = 0;

    if (holder < 0 || r->nodes[holder].key.len != 0 || !gw_span_is(w->key, "index") ||
        tok->raw.len > 9)
        return;
    for (size_t i = 0; i < tok->raw.len; i++) {
        if (tok->raw.ptr[i] < '0' || tok->raw.ptr[i] > '9')
            return;
        v = v * 10 + (tok->raw.ptr[i] - '0');
    }
    r->nodes[holder].index = v;
}

static bool on_token(struct restream *r, struct walk *w, const struct gw_json_tok *tok)
{
    int node;

    switch (tok->type) {
    case GW_JSON_KEY:
        w->key = tok->raw;
        return true;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_END:
        w->depth--;
        return true;
    case GW_JSON_OBJECT_BEGIN:
    case GW_JSON_ARRAY_BEGIN:
        node = value_node(r, w);
        if (node == -2 || w->depth == MAX_DEPTH)
            return false;
        w->depth++;
        w->stack[w->depth] = node;
        w->is_array[w->depth] = tok->type == GW_JSON_ARRAY_BEGIN;
        w->position[w->depth] = 0;
        return true;
    case GW_JSON_STRING:
        node = value_node(r, w);
        if (node == -2 ||
            !grow((void **)&r->leaves, r->n_leaves, &r->cap_leaves, MAX_NODES, sizeof(*r->leaves)))
            return false;
        r->leaves[r->n_leaves++] = (struct leaf){tok->raw, node, tok->escaped};
        return true;
    case GW_JSON_NUMBER:
        if (w->depth != 0 && !w->is_array[w->depth])
            note_index(r, w, tok);
        return value_node(r, w) != -2;
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
    case GW_JSON_NULL:
        return value_node(r, w) != -2;
    case GW_JSON_END:
    case GW_JSON_ERROR:
    default:
        return false;
    }
}

/* False when the data is not JSON (or too odd to be an event): it is passed on as it is. */
static bool read_event(struct restream *r, struct gw_span data)
{
    const struct gw_json_limits lenient = {MAX_DEPTH, 100000, true};
    struct walk w = {.depth = 0};
    struct gw_json_tok tok;

    r->n_nodes = r->n_leaves = 0;
    gw_json_start(r->json, data, &lenient);
    while (gw_json_next(r->json, &tok) != GW_JSON_END)
        if (!on_token(r, &w, &tok))
            return false;
    return true;
}

/* ---- paths ------------------------------------------------------------------------------ */

static bool key_is(const struct restream *r, int node, const char *name)
{
    return node >= 0 && gw_span_is(r->nodes[node].key, name);
}

/* True for a text that the next event may continue. */
static bool is_incremental(const struct restream *r, int node)
{
    for (int n = node; n >= 0; n = r->nodes[n].parent)
        if (key_is(r, n, "delta"))
            return true;
    return false;
}

/* Members that carry text of the model; the others are names and ids, which nothing may be held back from. */
static bool is_text(const struct restream *r, int node)
{
    static const char *const names[] = {"content",      "text",     "reasoning_content",
                                        "reasoning",    "refusal",  "arguments",
                                        "partial_json", "thinking", "delta"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (key_is(r, node, names[i]))
            return true;
    return false;
}

static unsigned nesting_of(const struct restream *r, int node)
{
    return key_is(r, node, "arguments") || key_is(r, node, "partial_json") ? 1 : 0;
}

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001B3ull; /* FNV-1a */
    return h;
}

static uint64_t path_of(const struct restream *r, int node, int64_t *choice)
{
    uint64_t h = 0xCBF29CE484222325ull;

    *choice = NO_INDEX;
    for (int n = node; n >= 0; n = r->nodes[n].parent) {
        h = mix(h, r->nodes[n].key.ptr, r->nodes[n].key.len);
        h = mix(h, &r->nodes[n].index, sizeof(r->nodes[n].index));
        if (r->nodes[n].index != NO_INDEX)
            *choice = r->nodes[n].index;
    }
    return h;
}

static struct text *find_text(struct restream *r, int node)
{
    int64_t choice;
    uint64_t path = path_of(r, node, &choice);
    struct text *t;

    for (unsigned i = 0; i < r->n_texts; i++)
        if (r->texts[i].path == path)
            return &r->texts[i];
    if (!grow((void **)&r->texts, r->n_texts, &r->cap_texts, MAX_TEXTS, sizeof(*r->texts)))
        return NULL;
    t = &r->texts[r->n_texts];
    memset(t, 0, sizeof(*t));
    t->filter = filter_new(r->cfg, nesting_of(r, node));
    if (t->filter == NULL)
        return NULL;
    t->path = path;
    t->choice = choice;
    r->n_texts++;
    return t;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Feeds one leaf. Appends its new text (decoded) to now; *t: the growing text it belongs to, or NULL; *same: nothing
 * changed. last: the text ends with this event, so nothing is held back. */
static enum gw_status feed_leaf(struct restream *r, const struct leaf *leaf, bool last,
                                struct text **t, struct gw_buf *now, bool *same)
{
    struct gw_buf plain = {0};
    struct gw_span text = leaf->raw;
    enum gw_status st = GW_ENOMEM;

    *t = NULL;
    if (leaf->escaped) {
        if (!gw_buf_reserve(&plain, leaf->raw.len + 1))
            return GW_ENOMEM;
        text = (struct gw_span){plain.ptr, gw_json_decode(leaf->raw, plain.ptr)};
    }
    if (is_incremental(r, leaf->node)) {
        *t = find_text(r, leaf->node);
        if (*t != NULL)
            st = filter_feed((*t)->filter, text, now);
        if (st == GW_OK && last)
            st = filter_finish((*t)->filter, now);
    } else {
        struct filter *once = filter_new(r->cfg, nesting_of(r, leaf->node));

        if (once != NULL) {
            st = filter_feed(once, text, now);
            if (st == GW_OK)
                st = filter_finish(once, now);
            r->n_once += filter_restored(once);
        }
        filter_free(once);
    }
    *same = gw_span_eq(text, gw_buf_span(now));
    gw_buf_fini(&plain);
    return st;
}

/* Names and ids beside a text: clients that add up the deltas would add them twice. */
static bool is_said_once(const struct restream *r, int node)
{
    return key_is(r, node, "role") || key_is(r, node, "name") || key_is(r, node, "id");
}

/* The event with every growing text emptied, to carry what is held back of this one later. */
static enum gw_status keep_template(struct restream *r, struct text *t, const struct leaf *leaf,
                                    struct gw_span event)
{
    size_t from = 0;
    struct gw_buf data = {0};
    enum gw_status st;

    for (unsigned i = 0; i < r->n_leaves; i++) {
        const struct leaf *l = &r->leaves[i];
        size_t start = (size_t)(l->raw.ptr - event.ptr);

        if (is_incremental(r, l->node) && is_text(r, l->node)) {
            gw_buf_add(&data, (struct gw_span){event.ptr + from, start - from});
            if (l == leaf)
                t->at = data.len;
            from = start + l->raw.len;
        } else if (is_incremental(r, l->node) && is_said_once(r, l->node)) {
            /* With its quotes: "name":null adds nothing. */
            gw_buf_add(&data, (struct gw_span){event.ptr + from, start - 1 - from});
            gw_buf_adds(&data, "null");
            from = start + l->raw.len + 1;
        }
    }
    gw_buf_add(&data, gw_span_from(event, from));
    st = gw_buf_ok(&data) ? GW_OK : GW_ENOMEM;
    gw_buf_fini(&t->template_);
    t->template_ = data;
    return st;
}

/* Sends what came out of a text as an event of its own. */
static enum gw_status emit_held(const struct text *t, struct gw_span name, struct gw_span held,
                                const struct sink *to)
{
    struct gw_span template_ = gw_buf_span(&t->template_);
    struct gw_buf data = {0};
    enum gw_status st = GW_OK;

    if (held.len == 0 || template_.len == 0)
        return GW_OK;
    gw_buf_add(&data, (struct gw_span){template_.ptr, t->at});
    gw_buf_add_json(&data, held);
    gw_buf_add(&data, gw_span_from(template_, t->at));
    if (gw_buf_ok(&data))
        st =
            to->fn(to->ctx,
                   &(struct restream_piece){.name = name, .data = gw_buf_span(&data), .own = true});
    else
        st = GW_ENOMEM;
    gw_buf_fini(&data);
    return st;
}

/* Ends texts of a choice (NO_INDEX: all): what was held back comes as an event of its own. */
static enum gw_status flush(struct restream *r, int64_t choice, struct gw_span name,
                            const struct sink *to)
{
    enum gw_status st = GW_OK;

    for (unsigned i = 0; i < r->n_texts && st == GW_OK; i++) {
        struct text *t = &r->texts[i];
        struct gw_buf held = {0};

        if (choice != NO_INDEX && t->choice != NO_INDEX && t->choice != choice)
            continue;
        st = filter_finish(t->filter, &held);
        if (st == GW_OK)
            st = emit_held(t, name, gw_buf_span(&held), to);
        gw_buf_fini(&held);
        gw_buf_fini(&t->template_);
    }
    return st;
}

/* Which texts does this event end? */
static void find_ended(const struct restream *r, struct ended *e)
{
    e->n = 0;
    e->all = false;
    for (unsigned i = 0; i < r->n_leaves && e->n < MAX_ENDED; i++) {
        const struct leaf *l = &r->leaves[i];

        if (key_is(r, l->node, "finish_reason"))
            (void)path_of(r, l->node, &e->choices[e->n++]);
        else if (key_is(r, l->node, "type") && r->nodes[l->node].parent == -1)
            e->all |=
                gw_span_is(l->raw, "content_block_stop") || gw_span_ends(l->raw, GW_SPAN(".done"));
    }
}

static bool ends(const struct restream *r, const struct ended *e, int node)
{
    int64_t choice;

    if (e->all || e->n == 0)
        return e->all;
    (void)path_of(r, node, &choice);
    for (unsigned i = 0; i < e->n; i++)
        if (e->choices[i] == choice || e->choices[i] == NO_INDEX)
            return true;
    return false;
}

/* Texts that the event ends without a piece of them. */
static enum gw_status flush_ended(struct restream *r, const struct ended *e, struct gw_span name,
                                  const struct sink *to)
{
    if (e->all)
        return flush(r, NO_INDEX, name, to);
    for (unsigned i = 0; i < e->n; i++)
        GW_TRY(flush(r, e->choices[i], name, to));
    return GW_OK;
}

static enum gw_status rewrite_leaf(struct restream *r, struct gw_span event, const struct leaf *l,
                                   bool last, struct gw_buf *data, size_t *from)
{
    size_t start = (size_t)(l->raw.ptr - event.ptr);
    struct gw_buf now = {0};
    struct text *t;
    bool same;
    enum gw_status st = feed_leaf(r, l, last, &t, &now, &same);

    if (st == GW_OK && !same && t != NULL)
        st = keep_template(r, t, l, event);
    if (st == GW_OK && !same) {
        gw_buf_add(data, (struct gw_span){event.ptr + *from, start - *from});
        gw_buf_add_json(data, gw_buf_span(&now));
        *from = start + l->raw.len;
    }
    if (now.failed)
        st = GW_ENOMEM;
    gw_buf_fini(&now);
    return st;
}

/* Writes the event's data with its texts restored; *from stays 0 when nothing changed. */
static enum gw_status rewrite(struct restream *r, struct gw_span event, const struct ended *e,
                              struct gw_buf *data, size_t *from)
{
    for (unsigned i = 0; i < r->n_leaves; i++) {
        const struct leaf *l = &r->leaves[i];

        if (is_text(r, l->node))
            GW_TRY(rewrite_leaf(r, event, l, ends(r, e, l->node), data, from));
    }
    gw_buf_add(data, gw_span_from(event, *from));
    return gw_buf_ok(data) ? GW_OK : GW_ENOMEM;
}

enum gw_status restream_data(struct restream *r, struct gw_span name, struct gw_span data,
                             restream_piece_fn fn, void *ctx)
{
    const struct sink to = {fn, ctx};
    const struct restream_piece same = {.name = name, .data = data, .same = true};
    struct gw_buf now = {0};
    size_t from = 0;
    struct ended e;
    enum gw_status st;

    if (gw_span_is(data, "[DONE]"))
        GW_TRY(flush(r, NO_INDEX, name, &to));
    if (data.len == 0 || !read_event(r, data))
        return fn(ctx, &same);
    find_ended(r, &e);
    st = rewrite(r, data, &e, &now, &from);
    if (st == GW_OK)
        st = flush_ended(r, &e, name, &to);
    if (st == GW_OK && from != 0)
        st = fn(ctx, &(struct restream_piece){.name = name, .data = gw_buf_span(&now)});
    else if (st == GW_OK)
        st = fn(ctx, &same);
    gw_buf_fini(&now);
    return st;
}

enum gw_status restream_end(struct restream *r, restream_piece_fn fn, void *ctx)
{
    return flush(r, NO_INDEX, (struct gw_span){NULL, 0}, &(struct sink){fn, ctx});
}

size_t restream_held(const struct restream *r)
{
    size_t n = 0;

    for (unsigned i = 0; i < r->n_texts; i++)
        n += filter_held(r->texts[i].filter);
    return n;
}

enum gw_status restream_let_go(struct restream *r, restream_piece_fn fn, void *ctx)
{
    const struct sink to = {fn, ctx};
    enum gw_status st = GW_OK;

    for (unsigned i = 0; i < r->n_texts && st == GW_OK; i++) {
        struct text *t = &r->texts[i];
        struct gw_buf held = {0};

        st = filter_release(t->filter, &held);
        if (st == GW_OK)
            st = emit_held(t, (struct gw_span){NULL, 0}, gw_buf_span(&held), &to);
        gw_buf_fini(&held);
    }
    return st;
}

/* ---- event streams ------------------------------------------------------------------------ */

/* Where pieces of an event stream go. */
struct sse_sink {
    const struct sse_event *ev; /* NULL: pieces of our own only */
    struct gw_buf *out;
};

static enum gw_status to_sse(void *ctx, const struct restream_piece *p)
{
    const struct sse_sink *to = ctx;

    if (p->own)
        sse_write(to->out, p->name, p->data);
    else if (p->same)
        gw_buf_add(to->out, to->ev->raw);
    else
        sse_rewrite(to->out, to->ev, p->data);
    return gw_buf_ok(to->out) ? GW_OK : GW_ENOMEM;
}

enum gw_status restream_event(struct restream *r, const struct sse_event *ev, struct gw_buf *out)
{
    return restream_data(r, ev->name, ev->data, to_sse, &(struct sse_sink){ev, out});
}

enum gw_status restream_finish(struct restream *r, struct gw_buf *out)
{
    return restream_end(r, to_sse, &(struct sse_sink){NULL, out});
}

enum gw_status restream_release(struct restream *r, struct gw_buf *out)
{
    return restream_let_go(r, to_sse, &(struct sse_sink){NULL, out});
}
