/* Fuzz target: formats of answers. The first byte chooses the kind; a second text behind a NUL is tried against what was
 * made. Whatever is allowed can go on: a set that is not dead and not done offers a byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct engine_grammar *g, struct gw_span text)
{
    struct matcher *m = matcher_new(g, false);

    for (size_t i = 0; m != NULL && i < text.len && i < 2000; i++) {
        bool any = matcher_done(m);

        if (!matcher_accept(m, (struct gw_span){text.ptr + i, 1})) {
            for (unsigned b = 0; b < 256 && !any && !m->failed; b++)
                any = matcher_step(m, m->at, (unsigned char)b) != MATCHER_DEAD;
            if (!any && !m->failed)
                abort();
        }
        matcher_tidy(m);
    }
    matcher_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA};
    struct engine_format_tool tool = {.name = GW_SPAN("f")};
    struct engine_grammar *g = NULL;
    const char *end;
    size_t n;

    if (size < 2)
        return 0;
    end = memchr(text + 1, '\0', size - 1);
    n = end == NULL ? size - 1 : (size_t)(end - text) - 1;
    f.text = (struct gw_span){text + 1, n};
    f.ordered = (data[0] & 4) != 0;
    if ((data[0] & 3) == 1)
        f.kind = ENGINE_FORMAT_REGEX;
    if ((data[0] & 3) == 2) {
        f.kind = ENGINE_FORMAT_TOOLS;
        f.begin = GW_SPAN("<call>");
        f.end = GW_SPAN("</call>");
        f.tools = &tool;
        f.n_tools = 1;
        tool.schema = f.text;
        f.text = (struct gw_span){NULL, 0};
        f.must_call = (data[0] & 8) != 0;
    }
    if (engine_grammar_new(&f, &g, NULL) != GW_OK)
        return 0;
    walk(g, end == NULL ? (struct gw_span){text, size} : (struct gw_span){end + 1, size - n - 2});
    engine_grammar_unref(g);
    return 0;
}
