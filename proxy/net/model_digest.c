/* proxy/net/model_digest.c - see model_digest.h. */
#include "proxy/net/model_digest.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/fetch/fetch.h"

_Static_assert((int)FETCH_HEX_BYTES == (int)GW_SHA256_HEX_BYTES, "one form of a digest");

enum { MAX_ROWS = 256, ROW_BYTES = 256 };

/* A file as it was when it was read, in words. */
static void print_stamp(const struct stat *st, char out[ROW_BYTES])
{
    (void)snprintf(out, ROW_BYTES, "%ju %ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)st->st_dev,
                   (uintmax_t)st->st_ino, (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
                   st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

/* ---- the note ------------------------------------------------------------------------------ */

/* Calls fn with each row of the note, "DIGEST STAMP", until it returns true, and returns whether it did. */
static bool each_row(const char *note, bool (*fn)(void *ctx, const char *row), void *ctx)
{
    FILE *f = fopen(note, "re");
    char row[ROW_BYTES + GW_SHA256_HEX_BYTES + 2];
    bool found = false;

    if (f == NULL)
        return false;
    for (unsigned n = 0; n < MAX_ROWS && !found && fgets(row, sizeof(row), f) != NULL; n++) {
        row[strcspn(row, "\n")] = '\0';
        if (strlen(row) > GW_SHA256_HEX_BYTES && row[GW_SHA256_HEX_BYTES - 1] == ' ')
            found = fn(ctx, row);
    }
    (void)fclose(f);
    return found;
}

struct lookup {
    const char *stamp;
    char *out;
};

static bool take_if_same(void *ctx, const char *row)
{
    const struct lookup *l = ctx;
    char hex[GW_SHA256_HEX_BYTES];

    (void)snprintf(hex, sizeof(hex), "%s", row);
    if (strcmp(row + GW_SHA256_HEX_BYTES, l->stamp) != 0 || !fetch_is_sha256(hex))
        return false;
    memcpy(l->out, hex, sizeof(hex));
    return true;
}

static bool copy_row(void *ctx, const char *row)
{
    struct gw_buf *b = ctx;

    gw_buf_adds(b, row);
    gw_buf_addc(b, '\n');
    return false;
}

/* Puts a row in front of the others. What cannot be written is computed again. */
static void note_down(const char *note, const char *hex, const char *stamp)
{
    char fresh[PATH_MAX];
    struct gw_buf all = {0};
    FILE *f = NULL;
    bool ok = snprintf(fresh, sizeof(fresh), "%s.new", note) < (int)sizeof(fresh);

    gw_buf_printf(&all, "%s %s\n", hex, stamp);
    (void)each_row(note, copy_row, &all);
    if (ok && gw_buf_ok(&all))
        f = fopen(fresh, "we");
    if (f != NULL) {
        ok = fwrite(all.ptr, 1, all.len, f) == all.len;
        ok = fclose(f) == 0 && ok;
        if (!ok || rename(fresh, note) != 0)
            (void)remove(fresh);
    }
    gw_buf_fini(&all);
}

/* ---- files ---------------------------------------------------------------------------------- */

static enum gw_status digest_of_file(const char *path, const char *note,
                                     char out[GW_SHA256_HEX_BYTES], struct gw_err *err)
{
    char was[ROW_BYTES], is[ROW_BYTES], hex[GW_SHA256_HEX_BYTES];
    struct stat st;

    if (stat(path, &st) != 0)
        return fetch_hash(path, NULL, out, err); /* says why */
    print_stamp(&st, was);
    if (each_row(note, take_if_same, &(struct lookup){was, out}))
        return GW_OK;
    GW_TRY(fetch_hash(path, NULL, hex, err));
    memcpy(out, hex, sizeof(hex));
    if (stat(path, &st) != 0)
        return GW_OK;
    print_stamp(&st, is);
    /* Times are coarse: one that was changed just now may be changed again without looking so. */
    if (strcmp(was, is) == 0 && gw_clock_wall_ms() - (int64_t)st.st_ctim.tv_sec * 1000 > 1000)
        note_down(note, hex, is);
    return GW_OK;
}

static int is_member(const struct dirent *e)
{
    const size_t n = strlen(e->d_name);

    return e->d_name[0] != '.' && (n < 7 || strcmp(e->d_name + n - 7, ".sha256") != 0);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Adds "DIGEST  NAME\n", as sha256sum prints it. What is no file is left out, as it leaves it out. */
static enum gw_status add_member(const char *folder, const char *name, const char *note,
                                 struct gw_buf *lines, struct gw_err *err)
{
    char path[PATH_MAX], hex[GW_SHA256_HEX_BYTES];
    struct stat st;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", folder);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return GW_OK;
    GW_TRY(digest_of_file(path, note, hex, err));
    gw_buf_printf(lines, "%s  %s\n", hex, name);
    return GW_OK;
}

static enum gw_status digest_of_folder(const char *path, const char *note,
                                       char out[GW_SHA256_HEX_BYTES], struct gw_err *err)
{
    unsigned char sum[GW_SHA256_BYTES];
    struct dirent **list = NULL;
    struct gw_buf lines = {0};
    enum gw_status st = GW_OK;
    int n = scandir(path, &list, is_member, by_bytes);

    if (n < 0)
        return gw_fail(err, GW_EIO, "cannot read the folder %s: %s", path, strerrordesc_np(errno));
    for (int i = 0; i < n; i++) {
        if (st == GW_OK)
            st = add_member(path, list[i]->d_name, note, &lines, err);
        free(list[i]);
    }
    free(list);
    if (st == GW_OK && !gw_buf_ok(&lines))
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    if (st == GW_OK) {
        gw_sha256(gw_buf_span(&lines), sum);
        gw_hex(sum, sizeof(sum), out);
    }
    gw_buf_fini(&lines);
    return st;
}

enum gw_status model_digest(const char *path, const char *state_dir, char out[GW_SHA256_HEX_BYTES],
                            struct gw_err *err)
{
    char note[PATH_MAX];
    struct stat st;

    if (snprintf(note, sizeof(note), "%s/model.digests", state_dir) >= (int)sizeof(note))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", state_dir);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return digest_of_folder(path, note, out, err);
    return digest_of_file(path, note, out, err);
}
