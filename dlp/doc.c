/* dlp/doc.c - turns a body into leaves (dlp.h, doc.h).
 *
 * The body is tokenized once; then the list of leaves is its own work list: each string that looks like
 * JSON is tokenized in turn and its leaves are appended, so nesting costs no recursion. A string that
 * only looks like JSON, or exceeds a limit inside, stays the plain string leaf that it is anyway. */
#include "dlp/doc.h"

#include <string.h>

#include "base/json.h"

enum { DEFAULT_LEAVES = 200000, FIRST_CAP = 32, INDEX_MAX = 0x7FFFFFFF };

/* An open container. Its path nodes are made when the first leaf below it needs them: a body of a
 * million empty arrays makes none. */
struct frame {
    uint32_t node;   /* of the container; DLP_NONE: not made yet */
    uint32_t member; /* of the current member or element; DLP_NONE: not made yet */
    uint32_t index;  /* of the current element */
    bool object;
    uint32_t key;        /* of the current member: its leaf */
    struct gw_span name; /* nearest enclosing member name, for elements and keys */
};

struct builder {
    struct dlp_doc *doc;
    struct gw_json *json;
    struct frame *frames; /* frames[0] is no container: it holds the text's root */
    unsigned depth;
    unsigned max_leaves, min_number;
    /* The text being tokenized: */
    struct gw_span text;
    uint32_t outer; /* the leaf that holds it; DLP_NONE: it is the body */
    unsigned nesting;
};

/* ---- growing lists in the arena ---------------------------------------------------------- */

/* How much a list of cap elements grows to. */
static unsigned next_cap(unsigned cap)
{
    enum { LONG = 1024 };

    if (cap == 0)
        return FIRST_CAP;
    return cap < LONG ? cap * 2 : cap + cap / 2;
}

bool dlp_doc_add_leaf(struct dlp_doc *doc, const struct dlp_leaf *leaf,
                      const struct dlp_source *src)
{
    if (doc->n_leaves == doc->cap_leaves) {
        size_t old = doc->cap_leaves, cap = next_cap(doc->cap_leaves);
        void *leaves = gw_arena_grow(doc->arena, doc->leaves, old * sizeof(*doc->leaves),
                                     cap * sizeof(*doc->leaves));
        void *sources = leaves == NULL
                            ? NULL
                            : gw_arena_grow(doc->arena, doc->sources, old * sizeof(*doc->sources),
                                            cap * sizeof(*doc->sources));

        doc->leaves = leaves == NULL ? doc->leaves : leaves;
        if (sources == NULL)
            return false;
        doc->sources = sources;
        doc->cap_leaves = (unsigned)cap;
    }
    doc->leaves[doc->n_leaves] = *leaf;
    doc->sources[doc->n_leaves] = *src;
    doc->n_leaves++;
    return true;
}

static uint32_t add_node(struct dlp_doc *doc, const struct dlp_node *node)
{
    if (doc->n_nodes == doc->cap_nodes) {
        size_t cap = next_cap(doc->cap_nodes);
        void *nodes = gw_arena_grow(doc->arena, doc->nodes, doc->cap_nodes * sizeof(*doc->nodes),
                                    cap * sizeof(*doc->nodes));

        if (nodes == NULL)
            return DLP_NONE;
        doc->nodes = nodes;
        doc->cap_nodes = (unsigned)cap;
    }
    doc->nodes[doc->n_nodes] = *node;
    return doc->n_nodes++;
}

/* ---- paths ------------------------------------------------------------------------------- */

/* Makes the path node of the current member of the innermost container, and those above it. */
static uint32_t current_node(struct builder *b)
{
    unsigned d = b->depth;

    while (d > 0 && b->frames[d].node == DLP_NONE)
        d--;
    for (;; d++) {
        struct frame *f = &b->frames[d];

        if (f->member == DLP_NONE)
            f->member = add_node(
                b->doc, &(struct dlp_node){.parent = f->node,
                                           .index = (f->object ? f->key : f->index) & INDEX_MAX,
                                           .element = !f->object});
        if (f->member == DLP_NONE || d == b->depth)
            return f->member;
        b->frames[d + 1].node = f->member;
    }
}

static struct gw_span current_name(const struct builder *b)
{
    const struct frame *f = &b->frames[b->depth];

    return f->object ? b->doc->leaves[f->key].text : f->name;
}

static void open_container(struct builder *b, bool object)
{
    struct gw_span name = current_name(b);

    b->frames[++b->depth] =
        (struct frame){.node = DLP_NONE, .member = DLP_NONE, .object = object, .name = name};
}

/* A value has ended: the next one in an array is another element. */
static void value_done(struct builder *b)
{
    struct frame *f = &b->frames[b->depth];

    if (b->depth == 0 || f->object)
        return;
    f->index++;
    f->member = DLP_NONE;
}

/* ---- leaves ------------------------------------------------------------------------------ */

static enum gw_status add_token(struct builder *b, const struct gw_json_tok *tok,
                                struct gw_err *err)
{
    struct dlp_doc *doc = b->doc;
    struct frame *f = &b->frames[b->depth];
    struct dlp_source src = {.outer = b->outer,
                             .at = (uint32_t)(tok->raw.ptr - b->text.ptr),
                             .len = (uint32_t)tok->raw.len};
    struct dlp_leaf leaf = {.text = tok->raw, .nesting = b->nesting & DLP_MAX_NESTING};
    enum gw_status st = GW_OK;

    if (doc->n_leaves >= b->max_leaves)
        return gw_fail(err, GW_ELIMIT, "JSON: more than %u strings, keys and numbers",
                       b->max_leaves);
    if (tok->escaped)
        st = dlp_map_decode(doc->arena, tok->raw, &src.way, &leaf.text);
    if (tok->type == GW_JSON_KEY) {
        leaf.kind = DLP_LEAF_KEY;
        leaf.key = f->name;
        f->key = doc->n_leaves;
        f->member = DLP_NONE;
    } else {
        leaf.kind = tok->type == GW_JSON_NUMBER ? DLP_LEAF_NUMBER : DLP_LEAF_STRING;
        leaf.key = current_name(b);
    }
    leaf.parent = current_node(b);
    /* Of all of it; the body's own needs no map. */
    dlp_map_to_body(doc, src.outer, src.at, src.at + src.len, &leaf.raw_start, &leaf.raw_end);
    if (st != GW_OK || leaf.parent == DLP_NONE || !dlp_doc_add_leaf(doc, &leaf, &src))
        return gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", doc->body.len);
    return GW_OK;
}

/* Tokenizes b->text and appends its leaves. root: the path node of the text itself; name: the member
 * name around it. */
static enum gw_status take_text(struct builder *b, uint32_t root, struct gw_span name,
                                const struct gw_json_limits *limits, struct gw_err *err)
{
    struct gw_json_tok tok;

    b->depth = 0;
    b->frames[0] = (struct frame){.node = root, .member = root, .name = name};
    gw_json_start(b->json, b->text, limits);
    for (;;) {
        switch (gw_json_next(b->json, &tok)) {
        case GW_JSON_END:
            return GW_OK;
        case GW_JSON_ERROR:
            return gw_json_error(b->json, err);
        case GW_JSON_OBJECT_BEGIN:
        case GW_JSON_ARRAY_BEGIN:
            open_container(b, tok.type == GW_JSON_OBJECT_BEGIN);
            break;
        case GW_JSON_OBJECT_END:
        case GW_JSON_ARRAY_END:
            b->depth--;
            value_done(b);
            break;
        case GW_JSON_KEY:
            GW_TRY(add_token(b, &tok, err));
            break;
        case GW_JSON_NUMBER:
            if (tok.raw.len >= b->min_number)
                GW_TRY(add_token(b, &tok, err));
            value_done(b);
            break;
        case GW_JSON_STRING:
            GW_TRY(add_token(b, &tok, err));
            value_done(b);
            break;
        case GW_JSON_TRUE:
        case GW_JSON_FALSE:
        case GW_JSON_NULL:
            value_done(b);
            break;
        }
    }
}

/* ---- JSON inside strings ----------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool looks_like_json(struct gw_span s)
{
    while (s.len != 0 && is_space(s.ptr[0]))
        s = gw_span_from(s, 1);
    while (s.len != 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s.len > 2 && ((s.ptr[0] == '{' && s.ptr[s.len - 1] == '}') ||
                         (s.ptr[0] == '[' && s.ptr[s.len - 1] == ']'));
}

/* Opens every string that is JSON, those found inside as well. All attempts of one level together read
 * at most the body's length, so the work is bounded by DLP_MAX_NESTING times that. Duplicate keys are
 * no reason to look away here: nobody says that the reader at the other end refuses them. */
static enum gw_status take_nested(struct builder *b, const struct gw_json_limits *limits,
                                  struct gw_err *err)
{
    struct gw_json_limits inner = {
        .max_depth = limits->max_depth, .max_keys = b->max_leaves, .allow_duplicate_keys = true};
    struct dlp_doc *doc = b->doc;

    for (uint32_t i = 0; i < doc->n_leaves; i++) {
        struct dlp_leaf leaf = doc->leaves[i];
        unsigned n_leaves = doc->n_leaves, n_nodes = doc->n_nodes;
        enum gw_status st;

        if (leaf.kind != DLP_LEAF_STRING || leaf.nesting >= DLP_MAX_NESTING ||
            !looks_like_json(leaf.text))
            continue;
        b->text = leaf.text;
        b->outer = i;
        b->nesting = leaf.nesting + 1;
        st = take_text(b, leaf.parent, leaf.key, &inner, err);
        if (st == GW_ENOMEM)
            return st;
        if (st != GW_OK) {
            doc->n_leaves = n_leaves;
            doc->n_nodes = n_nodes;
            continue;
        }
        doc->sources[i].first_inner = n_leaves;
        doc->sources[i].n_inner = doc->n_leaves - n_leaves;
    }
    return GW_OK;
}

/* ---- the public calls -------------------------------------------------------------------- */

static enum gw_status too_long(size_t len, struct gw_err *err)
{
    return gw_fail(err, GW_ELIMIT, "a body of %zu bytes is too long to scan (4 GiB)", len);
}

enum gw_status dlp_doc_parse(struct gw_arena *arena, struct gw_span body,
                             const struct dlp_parse *how, struct dlp_doc **out, struct gw_err *err)
{
    const struct dlp_doc_limits *limits = how->limits;
    struct gw_json_limits outer = {.allow_duplicate_keys = how->allow_duplicate_keys};
    struct builder b = {.max_leaves = DEFAULT_LEAVES, .outer = DLP_NONE, .text = body};
    struct dlp_doc *doc;
    enum gw_status st;
    uint32_t root;

    if (body.len >= UINT32_MAX)
        return too_long(body.len, err);
    if (limits != NULL) {
        outer.max_depth = limits->max_depth;
        outer.max_keys = limits->max_keys;
        b.min_number = limits->min_number;
        if (limits->max_leaves != 0)
            b.max_leaves = limits->max_leaves;
    }
    if (outer.max_depth == 0)
        outer.max_depth = 64;
    doc = gw_arena_alloc(arena, sizeof(*doc));
    b.frames = gw_arena_array(arena, (size_t)outer.max_depth + 1, sizeof(*b.frames));
    b.json = gw_json_new();
    if (doc == NULL || b.frames == NULL || b.json == NULL) {
        gw_json_free(b.json);
        return gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", body.len);
    }
    doc->arena = arena;
    doc->body = body;
    b.doc = doc;
    root = add_node(doc, &(struct dlp_node){.parent = DLP_NONE});
    st = root == DLP_NONE
             ? gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", body.len)
             : take_text(&b, root, (struct gw_span){NULL, 0}, &outer, err);
    if (st == GW_OK)
        st = take_nested(&b, &outer, err);
    gw_json_free(b.json);
    if (st != GW_OK)
        return st;
    doc->first_joined = doc->n_leaves;
    if (!how->no_joined && dlp_doc_join(doc) != GW_OK)
        return gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", body.len);
    *out = doc;
    return GW_OK;
}

enum gw_status dlp_doc_parse_json(struct gw_arena *arena, struct gw_span body,
                                  const struct dlp_doc_limits *limits, struct dlp_doc **out,
                                  struct gw_err *err)
{
    return dlp_doc_parse(arena, body, &(struct dlp_parse){.limits = limits}, out, err);
}

enum gw_status dlp_doc_parse_answer(struct gw_arena *arena, struct gw_span body,
                                    struct dlp_doc **out)
{
    const struct dlp_doc_limits limits = {.max_keys = 1000000, .max_leaves = 1000000};

    return dlp_doc_parse(arena, body,
                         &(struct dlp_parse){.limits = &limits, .allow_duplicate_keys = true}, out,
                         NULL);
}

uint32_t dlp_doc_inner_at(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                          uint32_t raw_end)
{
    uint32_t first = doc->sources[leaf].first_inner;
    uint32_t lo = first, hi = first + doc->sources[leaf].n_inner;

    /* The last one that starts at or before raw_start. */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (doc->leaves[mid].raw_start <= raw_start)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > first && doc->leaves[lo - 1].raw_end >= raw_end ? lo - 1 : DLP_NONE;
}

enum gw_status dlp_doc_parse_text(struct gw_arena *arena, struct gw_span text, struct dlp_doc **out)
{
    struct dlp_doc *doc = gw_arena_alloc(arena, sizeof(*doc));
    struct dlp_source src = {.outer = DLP_NONE, .len = (uint32_t)text.len};
    struct dlp_leaf leaf = {.text = text, .kind = DLP_LEAF_TEXT, .raw_end = (uint32_t)text.len};

    if (doc == NULL || text.len >= UINT32_MAX)
        return GW_ENOMEM;
    doc->arena = arena;
    doc->body = text;
    leaf.parent = add_node(doc, &(struct dlp_node){.parent = DLP_NONE});
    if (leaf.parent == DLP_NONE || !dlp_doc_add_leaf(doc, &leaf, &src))
        return GW_ENOMEM;
    doc->first_joined = doc->n_leaves;
    *out = doc;
    return GW_OK;
}

const struct dlp_leaf *dlp_doc_leaves(const struct dlp_doc *doc, unsigned *n)
{
    *n = doc->n_leaves;
    return doc->leaves;
}

/* A key that can be shown: a word as people name members. Many digits or capitals are how keys and
 * tokens look, which as a member name are data. */
static bool is_plain_word(struct gw_span key)
{
    unsigned digits = 0, capitals = 0;

    if (key.len == 0 || key.len > 40)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];

        if (c >= '0' && c <= '9' && i != 0)
            digits++;
        else if (c >= 'A' && c <= 'Z')
            capitals++;
        else if (!(c >= 'a' && c <= 'z') && c != '_' && c != '-')
            return false;
    }
    return digits <= 2 && capitals <= 6;
}

void dlp_doc_pointer(const struct dlp_doc *doc, unsigned leaf, struct gw_buf *out)
{
    uint32_t chain[(DLP_MAX_NESTING + 1) * 64], n = 0;
    uint32_t node = doc->leaves[leaf].parent;

    /* Deeper than the default limit allows, the upper part of the path gives way to a star. */
    for (; doc->nodes[node].parent != DLP_NONE; node = doc->nodes[node].parent) {
        if (n == sizeof(chain) / sizeof(chain[0])) {
            gw_buf_adds(out, "/*");
            break;
        }
        chain[n++] = node;
    }
    while (n > 0) {
        const struct dlp_node *d = &doc->nodes[chain[--n]];

        gw_buf_addc(out, '/');
        if (d->element)
            gw_buf_addu(out, d->index);
        else if (is_plain_word(doc->leaves[d->index].text))
            gw_buf_add(out, doc->leaves[d->index].text);
        else
            gw_buf_addc(out, '*');
    }
}
