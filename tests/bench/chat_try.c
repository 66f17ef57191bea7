/* tests/bench/chat_try.c - the other half of tests/golden/chat/reference.py: reads cases, a JSON object a line, and answers each with
 * one line: {"text": what the template renders} or {"error": why not}.
 *
 *   {"template": "...", "vars": {...}, "now": 0}     what is not there is empty */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_tree.h"
#include "engine/chat_jinja.h"

static void answer(const struct gw_json_node *root, struct gw_arena *arena, struct gw_buf *out)
{
    const struct gw_json_node *vars = gw_json_get(root, "vars");
    struct jinja_input in = {.now = (int64_t)gw_json_uint(gw_json_get(root, "now"), 0)};
    struct gw_err err = {GW_OK, ""};
    struct chat_sink sink = {0};
    struct jinja *j = NULL;
    enum gw_status st = jinja_parse(gw_json_text(gw_json_get(root, "template"), arena), &j, &err);

    if (vars != NULL)
        in.vars = vars->raw;
    if (st == GW_OK)
        st = jinja_render(j, &in, &sink, &err);
    gw_buf_adds(out, st == GW_OK ? "{\"text\": " : "{\"error\": ");
    gw_buf_add_json_str(out, st == GW_OK ? gw_buf_span(&sink.text) : gw_span_str(err.text));
    gw_buf_adds(out, "}\n");
    chat_sink_fini(&sink);
    jinja_free(j);
}

int main(void)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    const struct gw_json_limits limits = {.max_keys = 100000};
    struct gw_buf out = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    while (json != NULL && arena != NULL && (n = getline(&line, &room, stdin)) > 0) {
        struct gw_json_node *root = NULL;

        gw_buf_clear(&out);
        if (gw_json_tree(json, arena, (struct gw_span){line, (size_t)n}, &limits, &root, NULL) ==
            GW_OK)
            answer(root, arena, &out);
        else
            gw_buf_adds(&out, "{\"error\": \"no JSON\"}\n");
        (void)fwrite(out.ptr, 1, out.len, stdout);
        (void)fflush(stdout);
        gw_arena_reset(arena);
    }
    free(line);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    gw_json_free(json);
    return 0;
}
