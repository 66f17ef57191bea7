/* Chat templates beside jinja2: tests/golden/chat/cases.jsonl, which tests/golden/chat/make.py writes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "engine/chat_jinja.h"
#include "tests/test.h"

/* Renders a case; the text must be what is wanted, and rendering must fail where nothing is. */
static void check_case(const struct gw_json_node *root, struct gw_arena *arena)
{
    const struct gw_json_node *vars = gw_json_get(root, "vars"), *want = gw_json_get(root, "want");
    struct jinja_input in = {.now = (int64_t)gw_json_uint(gw_json_get(root, "now"), 0)};
    struct gw_span name = gw_json_text(gw_json_get(root, "name"), arena);
    struct chat_sink sink = {0};
    struct gw_err err = {GW_OK, ""};
    struct jinja *j = NULL;
    bool fails = !gw_json_is(want, GW_JSON_STRING), ok;
    enum gw_status st = jinja_parse(gw_json_text(gw_json_get(root, "template"), arena), &j, &err);

    if (vars != NULL)
        in.vars = vars->raw;
    if (st == GW_OK)
        st = jinja_render(j, &in, &sink, &err);
    ok = fails ? st != GW_OK
               : st == GW_OK && gw_span_eq(gw_buf_span(&sink.text), gw_json_text(want, arena));
    if (!CHECK(ok))
        fprintf(stderr, "%.*s: %s\n%.*s\n", (int)name.len, name.ptr, err.text, (int)sink.text.len,
                sink.text.ptr == NULL ? "" : sink.text.ptr);
    chat_sink_fini(&sink);
    jinja_free(j);
}

int main(void)
{
    const struct gw_json_limits limits = {.max_keys = 100000};
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    FILE *f = fopen("tests/golden/chat/cases.jsonl", "r");
    char *line = NULL;
    size_t room = 0, cases = 0;
    ssize_t n;

    setenv("TZ", "UTC", 1);
    if (CHECK(json != NULL && arena != NULL && f != NULL)) {
        while ((n = getline(&line, &room, f)) > 0) {
            struct gw_json_node *root = NULL;

            if (CHECK(gw_json_tree(json, arena, (struct gw_span){line, (size_t)n}, &limits, &root,
                                   NULL) == GW_OK))
                check_case(root, arena);
            gw_arena_reset(arena);
            cases++;
        }
        CHECK(cases > 100);
        fclose(f);
    }
    free(line);
    gw_arena_free(arena);
    gw_json_free(json);
    return test_done();
}
