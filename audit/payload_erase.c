/* audit/payload_erase.c - takes a subject's keys out of the file: its texts cannot be opened any more, in no copy of the
 * ledger, and no byte of the ledger changes. One thread; a gateway may run on the same file. */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/payload_keys.h"
#include "base/clock.h"
#include "base/digest.h"

enum { SUBJECT_AT = 64, KEY_AT = 96, KEY_BYTES = GW_X25519_BYTES + PAYLOAD_SEALED_BYTES };

struct erasing {
    int fd;
    const char *path;
    unsigned char subject[GW_SHA256_BYTES];
    unsigned n_keys, n_before;
};

/* Two steps, each durable: the key goes first, so that whatever a crash leaves behind has none. A damaged row of the subject
 * is emptied as well: what looks damaged may be mended by somebody. */
static bool erase_row(struct erasing *e, off_t at, struct payload_row *r)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES], noise[KEY_BYTES];

    gw_random(noise, sizeof(noise));
    if (pwrite(e->fd, noise, sizeof(noise), at + KEY_AT) != (ssize_t)sizeof(noise) ||
        fdatasync(e->fd) != 0)
        return false;
    memset(r->enc, 0, sizeof(r->enc));
    memset(r->sealed, 0, sizeof(r->sealed));
    r->state = PAYLOAD_KEY_ERASED;
    r->erased_ms = gw_clock_wall_ms();
    payload_row_write(r, bytes);
    return pwrite(e->fd, bytes, sizeof(bytes), at) == (ssize_t)sizeof(bytes) &&
           fdatasync(e->fd) == 0;
}

/* What a damaged row still says; its key id may be wrong, which only makes its texts "no_key" instead of "erased". */
static void salvage(const unsigned char bytes[PAYLOAD_ROW_BYTES], struct payload_row *r)
{
    *r = (struct payload_row){.state = PAYLOAD_KEY_LIVE};
    memcpy(r->key_id, bytes + 16, sizeof(r->key_id));
    memcpy(r->subject, bytes + SUBJECT_AT, sizeof(r->subject));
}

static enum gw_status erase_all(struct erasing *e, struct gw_err *err)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES];
    struct stat now;

    if (fstat(e->fd, &now) != 0)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", e->path, strerrordesc_np(errno));
    for (off_t at = PAYLOAD_ROW_BYTES; at + PAYLOAD_ROW_BYTES <= now.st_size;
         at += PAYLOAD_ROW_BYTES) {
        struct payload_row r;

        if (pread(e->fd, bytes, sizeof(bytes), at) != (ssize_t)sizeof(bytes))
            return gw_fail(err, GW_EIO, "cannot read %s: %s", e->path, strerrordesc_np(errno));
        if (memcmp(bytes + SUBJECT_AT, e->subject, sizeof(e->subject)) != 0)
            continue;
        if (!payload_row_read(bytes, &r))
            salvage(bytes, &r);
        if (r.state == PAYLOAD_KEY_ERASED) {
            e->n_before++;
            continue;
        }
        if (!erase_row(e, at, &r))
            return gw_fail(err, GW_EIO, "cannot write %s: %s; erase again", e->path,
                           strerrordesc_np(errno));
        e->n_keys++;
    }
    return GW_OK;
}

enum gw_status audit_payload_erase(const char *keys_path, struct gw_span subject, unsigned *n_keys,
                                   unsigned *n_before, struct gw_err *err)
{
    struct erasing e = {.fd = -1, .path = keys_path};
    unsigned char salt[PAYLOAD_SALT_BYTES];
    enum gw_status st = payload_file_open(keys_path, false, &e.fd, salt, err);

    if (st != GW_OK)
        return st;
    payload_subject(salt, subject, e.subject);
    st = erase_all(&e, err);
    (void)close(e.fd);
    if (st != GW_OK)
        return st;
    *n_keys = e.n_keys;
    *n_before = e.n_before;
    return GW_OK;
}
