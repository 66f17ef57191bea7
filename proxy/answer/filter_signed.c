/* proxy/answer/filter_signed.c - signed texts in a whole answer, and the walk over its tree; see filter_private.h. Thread: any. */
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

/* The signed text of an object, or an empty span. */
static struct gw_span signed_text(const struct gw_json_node *node)
{
    const struct gw_json_node *text, *signature;

    if (node->type != GW_JSON_OBJECT_BEGIN)
        return (struct gw_span){NULL, 0};
    text = gw_json_get(node, "thinking");
    signature = gw_json_get(node, "signature");
    return gw_json_is(text, GW_JSON_STRING) && gw_json_is(signature, GW_JSON_STRING) &&
                   signature->raw.len != 0
               ? text->raw
               : (struct gw_span){NULL, 0};
}

/* Writes the texts to list unless it is NULL; returns how many. */
static unsigned collect(const struct gw_json_node *root, struct gw_span *list)
{
    const struct gw_json_node *node;
    struct filter_walk w;
    unsigned n = 0;

    filter_walk_start(&w, root);
    while ((node = filter_walk_next(&w)) != NULL) {
        struct gw_span text = signed_text(node);

        if (text.len != 0 && list != NULL)
            list[n] = text;
        n += text.len != 0;
    }
    return n;
}

enum gw_status filter_find_signed(struct gw_span body, struct gw_arena *arena,
                                  struct filter_signed *out)
{
    const struct gw_json_node *root;
    struct gw_span *list;
    unsigned n;

    *out = (struct filter_signed){NULL, 0};
    if (body.len == 0 || memmem(body.ptr, body.len, "\"thinking\"", 10) == NULL)
        return GW_OK;
    GW_TRY(filter_tree(body, arena, &root));
    n = collect(root, NULL);
    list = gw_arena_array(arena, n, sizeof(*list));
    if (list == NULL)
        return GW_ENOMEM;
    (void)collect(root, list);
    *out = (struct filter_signed){list, n};
    return GW_OK;
}

bool filter_is_signed(const struct filter_signed *s, const char *byte)
{
    unsigned lo = 0, hi = s->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (s->texts[mid].ptr + s->texts[mid].len <= byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->texts[lo].ptr <= byte;
}
