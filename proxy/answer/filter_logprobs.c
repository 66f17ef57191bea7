/* proxy/answer/filter_logprobs.c - an answer whose text was changed says it once more, token by token; see filter_private.h.
 * Thread: any. */
#include <string.h>

#include "proxy/answer/filter_private.h"

enum gw_status filter_drop_logprobs(struct gw_span body, struct gw_arena *arena, struct gw_buf *out)
{
    const struct gw_json_node *root = NULL, *node;
    struct filter_walk w;
    size_t from = 0;

    if (body.len != 0 && memmem(body.ptr, body.len, "\"logprobs\"", 10) != NULL)
        GW_TRY(filter_tree(body, arena, &root));
    filter_walk_start(&w, root);
    while ((node = filter_walk_next(&w)) != NULL) {
        bool list = node->type == GW_JSON_ARRAY_BEGIN;
        size_t start = (size_t)(node->raw.ptr - body.ptr);

        if ((!list && node->type != GW_JSON_OBJECT_BEGIN) || !gw_json_key_is(node, "logprobs") ||
            start < from)
            continue;
        gw_buf_add(out, (struct gw_span){body.ptr + from, start - from});
        gw_buf_adds(out, list ? "[]" : "null");
        from = start + node->raw.len;
    }
    gw_buf_add(out, gw_span_from(body, from));
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}
