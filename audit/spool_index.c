/* audit/spool_index.c - the index file: "SLUICEIX", u32 version, u32 count, entries of 7 numbers of 8 bytes, u32 CRC-32C of all
 * before. Numbers are little endian. */
#include "audit/spool_index.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/le.h"
#include "base/digest.h"

enum {
    VERSION = 1,
    HEAD_BYTES = 16,
    NUMBERS = 7,
    ENTRY_BYTES = 8 * NUMBERS,
    MAX_ENTRIES = 1 << 20, /* 56 MiB: more segments than that are read anew */
};

static uint64_t changed_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static void parse(const unsigned char *p, size_t n, struct spool_index *out)
{
    size_t count;

    if (n < HEAD_BYTES + 4 || memcmp(p, "SLUICEIX", 8) != 0 || le_get(p + 8, 4) != VERSION)
        return;
    count = (size_t)le_get(p + 12, 4);
    if (count > MAX_ENTRIES || n != HEAD_BYTES + count * ENTRY_BYTES + 4 ||
        gw_crc32c(0, (struct gw_span){(const char *)p, n - 4}) != le_get(p + n - 4, 4))
        return;
    out->entries = count == 0 ? NULL : calloc(count, sizeof(*out->entries));
    if (out->entries == NULL)
        return;
    out->n = count;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *e = p + HEAD_BYTES + i * ENTRY_BYTES;

        out->entries[i] = (struct spool_index_entry){
            le_get(e, 8),      le_get(e + 8, 8),  le_get(e + 16, 8),         le_get(e + 24, 8),
            le_get(e + 32, 8), le_get(e + 40, 8), (int64_t)le_get(e + 48, 8)};
    }
}

void spool_index_load(int dirfd, struct spool_index *out)
{
    int fd = openat(dirfd, "index", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    unsigned char *p = NULL;
    struct stat st;
    size_t n = 0;

    *out = (struct spool_index){NULL, 0};
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > 0 &&
        st.st_size <= HEAD_BYTES + (off_t)MAX_ENTRIES * ENTRY_BYTES + 4)
        p = malloc((size_t)st.st_size);
    while (p != NULL && n < (size_t)st.st_size) {
        ssize_t got = read(fd, p + n, (size_t)st.st_size - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (p != NULL)
        parse(p, n, out);
    free(p);
    (void)close(fd);
}

void spool_index_fini(struct spool_index *index)
{
    free(index->entries);
    *index = (struct spool_index){NULL, 0};
}

static int by_place(const void *a, const void *b)
{
    const struct spool_index_entry *x = a, *y = b;

    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return x->segno < y->segno ? -1 : x->segno > y->segno;
}

const struct spool_index_entry *spool_index_find(const struct spool_index *index, int dirfd,
                                                 unsigned slot, uint64_t segno)
{
    const struct spool_index_entry key = {.slot = slot, .segno = segno}, *e = NULL;
    char name[SPOOL_NAME_BYTES];
    struct stat st;

    if (index->n != 0)
        e = bsearch(&key, index->entries, index->n, sizeof(key), by_place);
    if (e == NULL)
        return NULL;
    spool_name(name, slot, segno);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != e->bytes || changed_ns(&st) != e->changed_ns)
        return NULL;
    return e;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* The entry of one segment; sp->lock is held. */
static void add_entry(struct gw_buf *b, int dirfd, unsigned slot, struct spool_seg *seg)
{
    char name[SPOOL_NAME_BYTES];
    struct stat st;

    if (seg->changed_ns == 0) {
        spool_name(name, slot, seg->segno);
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (uint64_t)st.st_size != seg->bytes) {
            seg->whole = false;
            return;
        }
        seg->changed_ns = changed_ns(&st);
    }
    le_add(b, slot, 8);
    le_add(b, seg->segno, 8);
    le_add(b, seg->bytes, 8);
    le_add(b, seg->changed_ns, 8);
    le_add(b, seg->records, 8);
    le_add(b, seg->last_seq, 8);
    le_add(b, (uint64_t)seg->last_ms, 8);
}

/* Replaces the file; a failure leaves the old one, or none. */
static void store(int dirfd, const struct gw_buf *b)
{
    int fd =
        openat(dirfd, "index.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, b->ptr, b->len) == (ssize_t)b->len;

    if (fd >= 0)
        (void)close(fd);
    if (ok)
        (void)renameat(dirfd, "index.tmp", dirfd, "index");
    else
        (void)unlinkat(dirfd, "index.tmp", 0);
}

void spool_index_save(struct spool *sp)
{
    struct gw_buf b = {NULL, 0, 0, false};
    uint32_t crc;

    gw_buf_adds(&b, "SLUICEIX");
    le_add(&b, VERSION, 4);
    le_add(&b, 0, 4); /* the count, below */
    (void)pthread_mutex_lock(&sp->lock);
    for (unsigned i = 0; i < sp->n_slots; i++)
        for (size_t k = 0; k < sp->slots[i].n_segs; k++)
            if (sp->slots[i].segs[k].whole && sp->slots[i].segs[k].n_open == 0)
                add_entry(&b, sp->dirfd, i, &sp->slots[i].segs[k]);
    (void)pthread_mutex_unlock(&sp->lock);
    if (gw_buf_ok(&b)) {
        size_t n = (b.len - HEAD_BYTES) / ENTRY_BYTES;

        for (unsigned i = 0; i < 4; i++)
            b.ptr[12 + i] = (char)(unsigned char)(n >> (8 * i));
        crc = gw_crc32c(0, gw_buf_span(&b));
        le_add(&b, crc, 4);
        if (gw_buf_ok(&b) && n <= MAX_ENTRIES && crc != sp->index_crc) {
            sp->index_crc = crc;
            store(sp->dirfd, &b);
        }
    }
    gw_buf_fini(&b);
}
