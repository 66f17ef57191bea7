/* audit/payload_old.c - see payload_old.h. */
#include "audit/payload_old.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/payload_keys.h"

static const unsigned char nothing[PAYLOAD_ROW_BYTES];

bool payload_row_is_free(int fd, off_t at)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES];

    return pread(fd, bytes, sizeof(bytes), at) == (ssize_t)sizeof(bytes) &&
           memcmp(bytes, nothing, sizeof(bytes)) == 0;
}

static bool add(struct payload_rows *f, off_t at)
{
    if (f->n == f->cap) {
        size_t cap = f->cap == 0 ? 64 : f->cap * 2;
        off_t *grown = realloc(f->at, cap * sizeof(*grown));

        if (grown == NULL)
            return false;
        f->at = grown;
        f->cap = cap;
    }
    f->at[f->n++] = at;
    return true;
}

/* Which rows are free, and which are to go. */
static enum gw_status look(int fd, int64_t before_ms, struct payload_rows *unused,
                           struct payload_rows *old)
{
    unsigned char bytes[256 * PAYLOAD_ROW_BYTES];
    off_t at = PAYLOAD_ROW_BYTES;
    ssize_t n;

    while ((n = pread(fd, bytes, sizeof(bytes), at)) >= PAYLOAD_ROW_BYTES) {
        for (ssize_t i = 0; i + PAYLOAD_ROW_BYTES <= n;
             i += PAYLOAD_ROW_BYTES, at += PAYLOAD_ROW_BYTES) {
            struct payload_row r;
            bool ok = true;

            if (memcmp(bytes + i, nothing, sizeof(nothing)) == 0)
                ok = add(unused, at);
            else if (payload_row_read(bytes + i, &r) && r.made_ms < before_ms)
                ok = add(old, at); /* not what is damaged: somebody may mend it, or erase it */
            if (!ok)
                return GW_ENOMEM;
        }
    }
    return n < 0 ? GW_EIO : GW_OK;
}

/* Writes over rows, durably: with noise, or with nothing. */
static bool write_over(int fd, const struct payload_rows *rows, bool noise)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES] = {0};

    for (size_t i = 0; i < rows->n; i++) {
        if (noise)
            gw_random(bytes, sizeof(bytes));
        if (pwrite(fd, bytes, sizeof(bytes), rows->at[i]) != (ssize_t)sizeof(bytes))
            return false;
    }
    return rows->n == 0 || fdatasync(fd) == 0;
}

enum gw_status payload_destroy_old(int fd, int64_t before_ms, struct payload_rows *unused,
                                   size_t *n_destroyed)
{
    struct payload_rows old = {.n = 0};
    enum gw_status st = look(fd, before_ms, unused, &old);

    /* What a crash leaves behind in between has no key, and is no row. */
    if (st == GW_OK && !(write_over(fd, &old, true) && write_over(fd, &old, false)))
        st = GW_EIO;
    *n_destroyed = st == GW_OK ? old.n : 0;
    free(old.at);
    return st;
}
