/* Arbitrary YAML through the rule compiler's front end: reading, patterns, chains, anchors, emission. */
#include "dlp/rulec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_buf out = {NULL, 0, 0, false};
    struct gw_err err;

    if (arena == NULL)
        return 0;
    if (rulec_load_text(&set, (struct gw_span){(const char *)data, size}, "fuzz.yaml", &err) ==
        GW_OK)
        (void)rulec_emit(&set, "x", &out, &err);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    return 0;
}
