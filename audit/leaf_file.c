/* audit/leaf_file.c - files of record hashes. Thread: one a file. */
#include "audit/leaf_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 1, FIXED_BYTES = 40 + SPOOL_CHAIN_BYTES, MAX_LEAVES = 1 << 26 };
static const char magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'L', 'F'};

void leaf_name(char out[SPOOL_NAME_BYTES], unsigned slot, uint64_t segno)
{
    (void)snprintf(out, SPOOL_NAME_BYTES, "s%03u-%010" PRIu64 ".leaf", slot, segno);
}

static void put(unsigned char *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool write_all(int fd, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = write(fd, (const char *)bytes + done, n - done);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

int leaf_create(int dirfd, unsigned slot, uint64_t segno, const struct leaf_head *head)
{
    unsigned char bytes[FIXED_BYTES + MERKLE_MAX_EDGE * MERKLE_BYTES] = {0};
    const size_t n = FIXED_BYTES + (size_t)head->base.n * MERKLE_BYTES;
    char name[SPOOL_NAME_BYTES];
    int fd;

    memcpy(bytes, magic, sizeof(magic));
    put(bytes + 8, VERSION, 4);
    put(bytes + 12, head->base.n, 4);
    put(bytes + 16, head->base.size, 8);
    put(bytes + 24, head->first_seq, 8);
    put(bytes + 32, head->before, 8);
    memcpy(bytes + 40, head->chain, SPOOL_CHAIN_BYTES);
    memcpy(bytes + FIXED_BYTES, head->base.edge, (size_t)head->base.n * MERKLE_BYTES);
    leaf_name(name, slot, segno);
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && !write_all(fd, bytes, n)) {
        const int why = errno;

        (void)close(fd);
        (void)unlinkat(dirfd, name, 0);
        errno = why;
        return -1;
    }
    return fd;
}

/* Reads the header; *at is behind it. */
static enum gw_status read_head(int fd, struct leaf_head *out, size_t *at)
{
    unsigned char bytes[FIXED_BYTES + MERKLE_MAX_EDGE * MERKLE_BYTES];
    const ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    uint64_t edge;

    if (n < 0)
        return GW_EIO;
    if (n < FIXED_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
        return GW_ECORRUPT;
    if (get(bytes + 8, 4) != VERSION)
        return GW_EUNSUPPORTED;
    edge = get(bytes + 12, 4);
    memset(out, 0, sizeof(*out));
    out->base.size = get(bytes + 16, 8);
    out->first_seq = get(bytes + 24, 8);
    out->before = get(bytes + 32, 8);
    memcpy(out->chain, bytes + 40, SPOOL_CHAIN_BYTES);
    if (edge != (uint64_t)__builtin_popcountll(out->base.size) ||
        (size_t)n < FIXED_BYTES + edge * MERKLE_BYTES || out->chain[SPOOL_CHAIN_BYTES - 1] != '\0')
        return GW_ECORRUPT;
    out->base.n = (unsigned)edge;
    memcpy(out->base.edge, bytes + FIXED_BYTES, edge * MERKLE_BYTES);
    *at = FIXED_BYTES + edge * MERKLE_BYTES;
    return GW_OK;
}

int leaf_append_open(int dirfd, unsigned slot, uint64_t segno)
{
    char name[SPOOL_NAME_BYTES];
    struct leaf_head head;
    struct stat st;
    size_t at;
    int fd;

    leaf_name(name, slot, segno);
    fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    if (read_head(fd, &head, &at) != GW_OK || fstat(fd, &st) != 0 || (size_t)st.st_size < at ||
        lseek(fd, (off_t)(at + ((size_t)st.st_size - at) / MERKLE_BYTES * MERKLE_BYTES), SEEK_SET) <
            0) {
        (void)close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

enum gw_status leaf_append(int fd, const struct merkle_hash *leaves, size_t n)
{
    const off_t at = lseek(fd, 0, SEEK_CUR);

    if (at >= 0 && write_all(fd, leaves, n * sizeof(*leaves)) && fdatasync(fd) == 0)
        return GW_OK;
    /* The next try must not stand behind half of this one. */
    if (at >= 0 && ftruncate(fd, at) == 0)
        (void)lseek(fd, at, SEEK_SET);
    return GW_EIO;
}

static enum gw_status read_leaves(int fd, size_t at, struct leaf_file *f)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return GW_EIO;
    f->n = (size_t)st.st_size < at ? 0 : ((size_t)st.st_size - at) / MERKLE_BYTES;
    if (f->n == 0)
        return GW_OK;
    if (f->n > MAX_LEAVES)
        return GW_ECORRUPT;
    f->leaves = calloc(f->n, sizeof(*f->leaves));
    if (f->leaves == NULL)
        return GW_ENOMEM;
    for (size_t done = 0, want = f->n * MERKLE_BYTES; done < want;) {
        ssize_t k = pread(fd, (char *)f->leaves + done, want - done, (off_t)(at + done));

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return GW_EIO;
        done += (size_t)k;
    }
    return GW_OK;
}

enum gw_status leaf_read_head(int dirfd, unsigned slot, uint64_t segno, struct leaf_head *out)
{
    char name[SPOOL_NAME_BYTES];
    enum gw_status st;
    size_t at;
    int fd;

    leaf_name(name, slot, segno);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? GW_ENOENT : GW_EIO;
    st = read_head(fd, out, &at);
    (void)close(fd);
    return st;
}

enum gw_status leaf_read(int dirfd, unsigned slot, uint64_t segno, struct leaf_file *out)
{
    struct leaf_file f = {0};
    char name[SPOOL_NAME_BYTES];
    enum gw_status st;
    size_t at = 0;
    int fd;

    leaf_name(name, slot, segno);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? GW_ENOENT : GW_EIO;
    st = read_head(fd, &f.head, &at);
    if (st == GW_OK)
        st = read_leaves(fd, at, &f);
    (void)close(fd);
    if (st != GW_OK) {
        leaf_file_fini(&f);
        return st;
    }
    *out = f;
    return GW_OK;
}

void leaf_file_fini(struct leaf_file *f)
{
    free(f->leaves);
    *f = (struct leaf_file){0};
}
