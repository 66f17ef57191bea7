/* proxy/answer/filter_signed.c - signed texts in a whole answer, and the walk over its tree; see filter_private.h. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "proxy/answer/filter_private.h"

/* ---- walking -------------------------------------------------------------------------------- */

enum gw_status filter_tree(struct gw_span body, struct gw_arena *arena,
                           const struct gw_json_node **root)
{
    const struct gw_json_limits limits = {FILTER_MAX_DEPTH, 1000000, true};
    struct gw_json *json = gw_json_new();
    struct gw_json_node *tree = NULL;
    enum gw_status st;

    if (json == NULL)
        return GW_ENOMEM;
    st = gw_json_tree(json, arena, body, &limits, &tree, NULL);
    gw_json_free(json);
    *root = st == GW_OK ? tree : NULL;
    return st == GW_ENOMEM ? st : GW_OK;
}

void filter_walk_start(struct filter_walk *w, const struct gw_json_node *root)
{
    w->stack[0] = root;
    w->depth = root != NULL ? 1 : 0;
}

const struct gw_json_node *filter_walk_next(struct filter_walk *w)
{
    const struct gw_json_node *node;

    while (w->depth > 0 && w->stack[w->depth - 1] == NULL)
        w->depth--;
    if (w->depth == 0)
        return NULL;
    node = w->stack[w->depth - 1];
    w->stack[w->depth - 1] = node->next;
    if (node->child != NULL && w->depth <= FILTER_MAX_DEPTH)
        w->stack[w->depth++] = node->child;
    return node;
}

/* ---- signed texts --------------------------------------------------------------------------- */

/* A text that stays as it is. */
struct place {
    struct gw_span text;
    bool opaque;
};

static void add(struct place *list, unsigned *n, struct gw_span text, bool opaque)
{
    if (text.len == 0)
        return;
    if (list != NULL)
        list[*n] = (struct place){text, opaque};
    (*n)++;
}

/* Notes what an object holds: thoughts, as a stream of them would be judged before its signature comes; and what only
 * their provider reads. */
static void look_at(const struct gw_json_node *node, struct place *list, unsigned *n)
{
    const struct gw_json_node *type = gw_json_get(node, "type"),
                              *signature = gw_json_get(node, "signature");
    const bool hidden = gw_json_text_is(type, "redacted_thinking");
    const bool thinks = gw_json_text_is(type, "thinking") ||
                        (gw_json_is(signature, GW_JSON_STRING) && signature->raw.len != 0);

    for (const struct gw_json_node *m = node->child; m != NULL; m = m->next) {
        if (m->type != GW_JSON_STRING)
            continue;
        if (thinks && gw_json_key_is(m, "thinking"))
            add(list, n, m->raw, false);
        else if (gw_json_key_is(m, "signature") || gw_json_key_is(m, "thoughtSignature") ||
                 gw_json_key_is(m, "encrypted_content") || (hidden && gw_json_key_is(m, "data")))
            add(list, n, m->raw, true);
    }
}

/* Writes the places to list unless it is NULL; returns how many. */
static unsigned collect(const struct gw_json_node *root, struct place *list)
{
    const struct gw_json_node *node;
    struct filter_walk w;
    unsigned n = 0;

    filter_walk_start(&w, root);
    while ((node = filter_walk_next(&w)) != NULL)
        if (node->type == GW_JSON_OBJECT_BEGIN)
            look_at(node, list, &n);
    return n;
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return x->text.ptr < y->text.ptr ? -1 : x->text.ptr > y->text.ptr;
}

static bool has_any(struct gw_span body)
{
    static const char *const names[] = {"thinking\"", "ignature\"", "\"encrypted_content\""};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (body.len != 0 && memmem(body.ptr, body.len, names[i], strlen(names[i])) != NULL)
            return true;
    return false;
}

enum gw_status filter_find_signed(struct gw_span body, struct gw_arena *arena,
                                  struct filter_signed *out)
{
    const struct gw_json_node *root;
    struct place *list;
    struct gw_span *texts;
    bool *opaque;
    unsigned n;

    *out = (struct filter_signed){NULL, NULL, 0};
    if (!has_any(body))
        return GW_OK;
    GW_TRY(filter_tree(body, arena, &root));
    n = collect(root, NULL);
    if (n == 0)
        return GW_OK;
    list = gw_arena_array(arena, n, sizeof(*list));
    texts = gw_arena_array(arena, n, sizeof(*texts));
    opaque = gw_arena_array(arena, n, sizeof(*opaque));
    if (list == NULL || texts == NULL || opaque == NULL)
        return GW_ENOMEM;
    (void)collect(root, list);
    qsort(list, n, sizeof(*list), by_place);
    for (unsigned i = 0; i < n; i++) {
        texts[i] = list[i].text;
        opaque[i] = list[i].opaque;
    }
    *out = (struct filter_signed){texts, opaque, n};
    return GW_OK;
}

bool filter_is_signed(const struct filter_signed *s, const char *byte, bool *opaque)
{
    unsigned lo = 0, hi = s->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (s->texts[mid].ptr + s->texts[mid].len <= byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->n || s->texts[lo].ptr > byte)
        return false;
    *opaque = s->opaque[lo];
    return true;
}
