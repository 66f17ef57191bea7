/* proxy/filter_signed.c - see filter_signed.h. Thread: any. */
#include "proxy/filter_signed.h"

#include <string.h>

#include "base/json_tree.h"

enum { MAX_DEPTH = 64 };

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

/* Calls through the tree in the order of the text. Writes the texts to list unless it is NULL; returns how many. */
static unsigned collect(const struct gw_json_node *root, struct gw_span *list)
{
    const struct gw_json_node *stack[MAX_DEPTH + 1] = {root};
    unsigned depth = 1, n = 0;

    while (depth > 0) {
        const struct gw_json_node *node = stack[depth - 1];
        struct gw_span text;

        if (node == NULL) {
            depth--;
            continue;
        }
        stack[depth - 1] = node->next;
        text = signed_text(node);
        if (text.len != 0) {
            if (list != NULL)
                list[n] = text;
            n++;
        }
        if (node->child != NULL && depth <= MAX_DEPTH)
            stack[depth++] = node->child;
    }
    return n;
}

enum gw_status filter_find_signed(struct gw_span body, struct gw_arena *arena,
                                  struct filter_signed *out)
{
    const struct gw_json_limits limits = {MAX_DEPTH, 1000000, true};
    struct gw_json *json;
    struct gw_json_node *root = NULL;
    struct gw_span *list;
    enum gw_status st;
    unsigned n;

    *out = (struct filter_signed){NULL, 0};
    if (body.len == 0 || memmem(body.ptr, body.len, "\"thinking\"", 10) == NULL)
        return GW_OK;
    json = gw_json_new();
    if (json == NULL)
        return GW_ENOMEM;
    st = gw_json_tree(json, arena, body, &limits, &root, NULL);
    gw_json_free(json);
    if (st != GW_OK)
        return st == GW_ENOMEM ? st : GW_OK;
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
