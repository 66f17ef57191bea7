/* proxy/cmd/cmd_rules_text.c - texts that the parts of `sluice rules` read and show. One thread. */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

enum { MAX_INPUT_BYTES = 256 << 20, SHOWN_BYTES = 40, MAX_DEPTH = 64, PIECE = 1 << 16 };

int cmd_rules_read(const char *command, const char *name, FILE *f, struct gw_buf *out)
{
    size_t n = 1;

    gw_buf_clear(out);
    while (n > 0 && out->len <= MAX_INPUT_BYTES && gw_buf_reserve(out, PIECE)) {
        n = fread(out->ptr + out->len, 1, PIECE, f);
        out->len += n;
    }
    if (ferror(f))
        return cli_fail(command, 1, "%s: reading failed", name);
    if (!gw_buf_ok(out))
        return cli_fail(command, 1, "%s: out of memory", name);
    if (out->len > MAX_INPUT_BYTES)
        return cli_fail(command, 1, "%s: larger than 256 MiB; split it", name);
    return 0;
}

int cmd_rules_read_file(const char *command, const char *name, struct gw_buf *out)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(name, "re");
    int status = 0;

    if (f == NULL)
        return cli_fail(command, 1, "%s: %s; give a readable file, or - for standard input", name,
                        strerrorname_np(errno));
    status = cmd_rules_read(command, is_stdin ? "<stdin>" : name, f, out);
    if (!is_stdin)
        (void)fclose(f);
    return status;
}

/* ---- folders ---------------------------------------------------------------------------- */

/* What one search shares. */
struct search {
    const char *command;
    cmd_rules_file_fn *fn;
    void *ctx;
};

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

// NOLINTNEXTLINE(misc-no-recursion): folders, MAX_DEPTH at most
static int search_path(const struct search *s, const char *path, unsigned depth)
{
    struct dirent **names = NULL;
    struct stat info;
    int status = 0, n;

    if ((depth == 0 ? stat(path, &info) : lstat(path, &info)) != 0)
        return cli_fail(s->command, 1, "%s: %s; give a readable file or folder", path,
                        strerrorname_np(errno));
    if (!S_ISDIR(info.st_mode)) /* of what a folder holds only files are read: a pipe would wait */
        return depth == 0 || S_ISREG(info.st_mode) ? s->fn(s->ctx, path) : 0;
    if (depth == MAX_DEPTH)
        return cli_fail(s->command, 1, "%s: folders are nested deeper than 64", path);
    n = scandir(path, &names, not_hidden, alphasort);
    if (n < 0)
        return cli_fail(s->command, 1, "%s: %s; the folder cannot be read", path,
                        strerrorname_np(errno));
    for (int i = 0; i < n; i++) {
        char *below = NULL;

        if (status == 0 && asprintf(&below, "%s/%s", path, names[i]->d_name) < 0)
            status = cli_fail(s->command, 1, "out of memory");
        if (status == 0) {
            status = search_path(s, below, depth + 1);
            free(below);
        }
        free(names[i]);
    }
    free(names);
    return status;
}

int cmd_rules_each_file(const char *command, const char *const *paths, unsigned n,
                        cmd_rules_file_fn *fn, void *ctx)
{
    const struct search s = {command, fn, ctx};
    int status = 0;

    for (unsigned i = 0; i < n && status == 0; i++)
        status = strcmp(paths[i], "-") == 0 ? fn(ctx, "-") : search_path(&s, paths[i], 0);
    return status;
}

/* ---- showing ---------------------------------------------------------------------------- */

void cmd_rules_mask(struct gw_span value, struct gw_buf *out)
{
    size_t shown = value.len < 8 ? 0 : (value.len < 16 ? 2 : 4);

    for (size_t i = 0; i < value.len && i < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool open = i < shown || (value.len <= SHOWN_BYTES && i >= value.len - shown);

        /* Control bytes would reach the terminal, halves of characters would garble it. */
        gw_buf_addc(out, (char)(open && c > ' ' && c < 0x7f ? c : '*'));
    }
    if (value.len > SHOWN_BYTES)
        gw_buf_printf(out, "... (%zu bytes)", value.len);
}

void cmd_rules_place_move(struct cmd_rules_place *p, struct gw_span text, size_t to)
{
    if (to < p->at)
        *p = (struct cmd_rules_place){.line = 1};
    for (; p->at < to; p->at++) {
        if (text.ptr[p->at] == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        }
    }
    p->column = 1;
    for (size_t i = p->line_start; i < to; i++)
        p->column += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
}
