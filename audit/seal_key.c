/* audit/seal_key.c - secret keys in, public keys out. */
#include "audit/seal_key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_KEY_FILE = 16 << 10 };

enum gw_status seal_read_file(int dirfd, const char *name, size_t max, struct gw_buf *out)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    enum gw_status st = GW_OK;
    char chunk[16384];
    ssize_t n = 1;

    if (fd < 0)
        return errno == ENOENT ? GW_ENOENT : GW_EIO;
    while (st == GW_OK && n > 0) {
        n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            st = GW_EIO;
        else if (out->len + (size_t)n > max)
            st = GW_ELIMIT;
        else
            gw_buf_add(out, (struct gw_span){chunk, (size_t)n});
    }
    (void)close(fd);
    explicit_bzero(chunk, sizeof(chunk));
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}

/* Gives the file its name, unless there is one of that name. */
static bool give_name(const char *tmp, const char *path)
{
    if (link(tmp, path) == 0)
        return true;
    /* A file system without links. */
    return errno != EEXIST && access(path, F_OK) != 0 && rename(tmp, path) == 0;
}

/* Whole or not at all: a start that is killed here must not leave an empty file, which the next one would refuse. */
static enum gw_status write_new(const char *path, struct gw_span text, struct gw_err *err)
{
    char tmp[PATH_MAX];
    const int n = snprintf(tmp, sizeof(tmp), "%s.new", path);
    int fd = n < 0 || (size_t)n >= sizeof(tmp)
                 ? -1
                 : open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0 &&
              give_name(tmp, path);
    const int why = errno;

    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(tmp);
    }
    return ok ? GW_OK
              : gw_fail(err, GW_EIO, "cannot write the key of the audit checkpoints, %s: %s", path,
                        strerrordesc_np(why));
}

static enum gw_status make_key(const char *path, const char *instance, struct note_signer *out,
                               struct gw_err *err)
{
    struct gw_buf text = {0};
    enum gw_status st = note_signer_new(instance, out);

    if (st != GW_OK)
        return gw_fail(err, st, "OpenSSL cannot make an Ed25519 key");
    note_signer_write(out, &text);
    gw_buf_addc(&text, '\n');
    st = gw_buf_ok(&text) ? write_new(path, gw_buf_span(&text), err)
                          : gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&text);
    return st;
}

static struct gw_span next_line(struct gw_span *t)
{
    const char *nl = t->len == 0 ? NULL : memchr(t->ptr, '\n', t->len);
    struct gw_span line = {t->ptr, nl == NULL ? t->len : (size_t)(nl - t->ptr)};

    *t = gw_span_from(*t, line.len + 1);
    return line;
}

static enum gw_status read_keys(const char *path, struct gw_span text, struct note_signer *out,
                                unsigned max, unsigned *n, struct gw_err *err)
{
    unsigned line_no = 0, got = 0;

    while (text.len != 0) {
        struct gw_span line = next_line(&text);

        line_no++;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (got == max)
            return gw_fail(err, GW_ELIMIT, "%s:%u: more than %u keys", path, line_no, max);
        if (note_signer_read(line, &out[got]) != GW_OK)
            return gw_fail(err, GW_EPARSE,
                           "%s:%u: not a key (PRIVATE+KEY+NAME+ID+BASE64); restore the file, or "
                           "remove it to begin with a new key",
                           path, line_no);
        got++;
    }
    if (got == 0)
        return gw_fail(err, GW_EPARSE, "%s: holds no key; remove it to begin with a new one", path);
    *n = got;
    return GW_OK;
}

enum gw_status seal_key_load(const char *path, const char *instance, struct note_signer *out,
                             unsigned max, unsigned *n, struct gw_err *err)
{
    struct gw_buf text = {0};
    enum gw_status st = seal_read_file(AT_FDCWD, path, MAX_KEY_FILE, &text);

    if (st == GW_ENOENT) {
        GW_TRY(make_key(path, instance, out, err));
        *n = 1;
        return GW_OK;
    }
    st = st == GW_OK ? read_keys(path, gw_buf_span(&text), out, max, n, err)
                     : gw_fail(err, st, "cannot read the key of the audit checkpoints, %s", path);
    gw_buf_fini(&text);
    return st;
}

/* Adds the line unless the text has it. */
static void add_line(struct gw_buf *text, struct gw_span line)
{
    for (struct gw_span rest = gw_buf_span(text); rest.len != 0;)
        if (gw_span_eq(next_line(&rest), line))
            return;
    gw_buf_add(text, line);
    gw_buf_addc(text, '\n');
}

/* Puts a file in the place of another, whole or not at all. */
static bool replace_file(int dirfd, const char *name, struct gw_span text)
{
    char tmp[64];
    int fd;
    bool ok;

    (void)snprintf(tmp, sizeof(tmp), "%.50s.new", name);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok && renameat(dirfd, tmp, dirfd, name) == 0 && fsync(dirfd) == 0;
}

enum gw_status seal_key_publish(int dirfd, const char *name, const struct note_signer *signers,
                                unsigned n, struct gw_err *err)
{
    struct gw_buf had = {0}, text = {0}, line = {0};
    enum gw_status st = seal_read_file(dirfd, name, 1 << 20, &had);
    struct note_key key;

    if (st == GW_ENOENT)
        st = GW_OK;
    for (struct gw_span rest = gw_buf_span(&had); st == GW_OK && rest.len != 0;) {
        struct gw_span old = next_line(&rest);

        if (note_key_read(old, &key) == GW_OK)
            add_line(&text, old);
    }
    for (unsigned i = 0; i < n && st == GW_OK; i++) {
        gw_buf_clear(&line);
        note_key_write(&signers[i].key, &line);
        add_line(&text, gw_buf_span(&line));
    }
    if (st == GW_OK && !(gw_buf_ok(&text) && gw_buf_ok(&line)))
        st = GW_ENOMEM;
    else if (st == GW_OK && !gw_span_eq(gw_buf_span(&had), gw_buf_span(&text)) &&
             !replace_file(dirfd, name, gw_buf_span(&text)))
        st = GW_EIO;
    gw_buf_fini(&had);
    gw_buf_fini(&text);
    gw_buf_fini(&line);
    return st == GW_OK ? st
                       : gw_fail(err, st, "cannot write %s beside the audit spool: %s", name,
                                 strerrordesc_np(errno));
}
