/* Arbitrary bytes as a TOML document, and as a foreign pattern: whatever the translator writes is text that our own parser reads
 * or refuses. */
#include "proxy/import/import_regex.h"
#include "proxy/import/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct gw_span text = {(const char *)data, size};
    struct gw_buf notes = {NULL, 0, 0, false};
    struct toml_node *root = NULL;
    struct import_regex out;
    struct gw_err err;

    if (arena == NULL)
        return 0;
    if (size > 0 && data[0] == '!') {
        const struct import_regex_options ways[] = {{.whole = false}, {.split_gap = true}};

        for (size_t i = 0; i < 2; i++)
            (void)import_regex(arena, gw_span_from(text, 1), &ways[i], &out, &notes, &err);
        (void)import_regex_glob(gw_span_from(text, 1), &notes);
    } else {
        (void)toml_parse(arena, text, "fuzz.toml", &root, &err);
    }
    gw_buf_fini(&notes);
    gw_arena_free(arena);
    return 0;
}
