/* dlp/rulec_tool.c - the rule compiler as a program of its own, which the build runs before there is a
 * sluice: rulec SYMBOL OUT.re PATH... Not part of the archive. */
#include <stdio.h>

#include "dlp/rulec.h"

enum { ARENA_BYTES = 512 << 20 };

static int write_file(const char *path, struct gw_span text)
{
    FILE *f = fopen(path, "we");
    bool ok = f != NULL && fwrite(text.ptr, 1, text.len, f) == text.len;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    if (!ok)
        (void)fprintf(stderr, "rulec: %s: cannot write\n", path);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct rulec_set set = {.arena = arena};
    struct gw_buf out = {NULL, 0, 0, false};
    struct gw_err err = {GW_OK, ""};
    int status = 1;

    if (argc < 4 || arena == NULL) {
        (void)fprintf(stderr, "usage: rulec SYMBOL OUT.re PATH...\n");
    } else if (rulec_load_paths(&set, (const char *const *)argv + 3, (unsigned)argc - 3, &err) !=
                   GW_OK ||
               rulec_emit(&set, argv[1], &out, &err) != GW_OK) {
        (void)fprintf(stderr, "rulec: %s\n", err.text);
    } else {
        status = write_file(argv[2], gw_buf_span(&out));
    }
    gw_buf_fini(&out);
    gw_arena_free(arena);
    return status;
}
