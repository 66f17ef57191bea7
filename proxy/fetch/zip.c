/* proxy/fetch/zip.c - a strict reader of ZIP archives. */
#include "proxy/fetch/zip.h"

#include <stdbool.h>
#include <string.h>

#define ZLIB_CONST /* next_in may point to const bytes */
#include <zlib.h>

enum {
    END_BYTES = 22,
    LOCATOR64_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    MAX_COMMENT = 65535,
    CHUNK = 64 * 1024,
};

static const uint32_t END_MARK = 0x06054b50, LOCATOR64_MARK = 0x07064b50, END64_MARK = 0x06064b50,
                      ENTRY_MARK = 0x02014b50, LOCAL_MARK = 0x04034b50;

/* Little-endian numbers; the caller has checked that the bytes are there. */
static uint32_t u16(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8;
}

static uint32_t u32(const char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* n bytes at offset, or NULL when they are not all inside. */
static const char *at(struct gw_span archive, uint64_t offset, uint64_t n)
{
    if (offset > archive.len || n > archive.len - offset)
        return NULL;
    return archive.ptr + offset;
}

/* The list of members. */
struct directory {
    uint64_t offset, bytes, n_entries;
};

/* The end record: the only one whose comment ends where the file ends. */
static const char *find_end(struct gw_span archive)
{
    size_t lowest =
        archive.len > END_BYTES + MAX_COMMENT ? archive.len - END_BYTES - MAX_COMMENT : 0;

    if (archive.len < END_BYTES)
        return NULL;
    for (size_t i = archive.len - END_BYTES + 1; i-- > lowest;) {
        const char *p = archive.ptr + i;

        if (u32(p) == END_MARK && u16(p + 20) == archive.len - i - END_BYTES)
            return p;
    }
    return NULL;
}

static enum gw_status read_end64(struct gw_span archive, const char *end, struct directory *d,
                                 struct gw_err *err)
{
    uint64_t end_offset = (uint64_t)(end - archive.ptr);
    const char *locator = end_offset < LOCATOR64_BYTES ? NULL : end - LOCATOR64_BYTES, *p;

    if (locator == NULL || u32(locator) != LOCATOR64_MARK)
        return gw_fail(err, GW_EPARSE, "the archive's 64-bit end record is missing");
    p = at(archive, u64(locator + 8), END64_BYTES);
    if (p == NULL || u32(p) != END64_MARK)
        return gw_fail(err, GW_EPARSE, "the archive's 64-bit end record is not where it should be");
    if (u32(locator + 4) != 0 || u32(p + 16) != 0 || u32(p + 20) != 0 || u32(locator + 16) > 1)
        return gw_fail(err, GW_EUNSUPPORTED, "the archive is split over several files");
    d->n_entries = u64(p + 32);
    d->bytes = u64(p + 40);
    d->offset = u64(p + 48);
    return GW_OK;
}

static enum gw_status find_directory(struct gw_span archive, struct directory *out,
                                     struct gw_err *err)
{
    const char *end = find_end(archive);
    struct directory d = {0};

    if (end == NULL)
        return gw_fail(err, GW_EPARSE, "this is no ZIP archive, or its end is cut off");
    d.n_entries = u16(end + 10);
    d.bytes = u32(end + 12);
    d.offset = u32(end + 16);
    if (d.n_entries == 0xFFFF || d.bytes == UINT32_MAX || d.offset == UINT32_MAX)
        GW_TRY(read_end64(archive, end, &d, err));
    else if (u16(end + 4) != 0 || u16(end + 6) != 0)
        return gw_fail(err, GW_EUNSUPPORTED, "the archive is split over several files");
    if (at(archive, d.offset, d.bytes) == NULL)
        return gw_fail(err, GW_EPARSE, "the archive's directory lies outside of the archive");
    *out = d;
    return GW_OK;
}

/* One entry of the directory. */
struct entry {
    struct gw_span name;
    uint64_t packed, bytes, local; /* local: offset of its local header */
    uint32_t crc32;
    unsigned method, flags, disk;
};

/* Takes a 64-bit value out of the extra field in the fixed order, where the 32-bit one is all ones. */
static bool widen(struct gw_span *extra64, uint64_t *value)
{
    if (*value != UINT32_MAX)
        return true;
    if (extra64->len < 8)
        return false;
    *value = u64(extra64->ptr);
    *extra64 = gw_span_from(*extra64, 8);
    return true;
}

static bool apply_extra64(struct gw_span extra, struct entry *e)
{
    struct gw_span found = {NULL, 0};

    while (extra.len >= 4) {
        size_t n = u16(extra.ptr + 2);

        if (n > extra.len - 4)
            return false;
        if (u16(extra.ptr) == 1)
            found = (struct gw_span){extra.ptr + 4, n};
        extra = gw_span_from(extra, 4 + n);
    }
    return widen(&found, &e->bytes) && widen(&found, &e->packed) && widen(&found, &e->local);
}

/* Reads the entry at *p (n bytes are left) and moves *p behind it. */
static bool read_entry(const char **p, uint64_t *n, struct entry *e)
{
    const char *q = *p;

    if (*n < ENTRY_BYTES || u32(q) != ENTRY_MARK)
        return false;
    size_t name = u16(q + 28), extra = u16(q + 30), comment = u16(q + 32);
    uint64_t size = ENTRY_BYTES + name + extra + comment;
    if (size > *n)
        return false;
    *e = (struct entry){.name = {q + ENTRY_BYTES, name},
                        .packed = u32(q + 20),
                        .bytes = u32(q + 24),
                        .local = u32(q + 42),
                        .crc32 = u32(q + 16),
                        .method = u16(q + 10),
                        .flags = u16(q + 8),
                        .disk = u16(q + 34)};
    *p += size;
    *n -= size;
    return apply_extra64((struct gw_span){q + ENTRY_BYTES + name, extra}, e);
}

static enum gw_status open_entry(struct gw_span archive, const struct directory *d,
                                 const struct entry *e, struct zip_member *out, struct gw_err *err)
{
    const char *p = at(archive, e->local, LOCAL_BYTES);

    if ((e->flags & 1) != 0 || (e->method != 0 && e->method != 8) || e->disk != 0)
        return gw_fail(
            err, GW_EUNSUPPORTED,
            "the member is encrypted, split, or packed by method %u; stored and deflated "
            "members can be read",
            e->method);
    if (p == NULL || u32(p) != LOCAL_MARK || u16(p + 8) != e->method)
        return gw_fail(err, GW_EPARSE, "the member's local header is not where the directory says");
    uint64_t begin = e->local + LOCAL_BYTES + u16(p + 26) + u16(p + 28);
    const char *name = at(archive, e->local + LOCAL_BYTES, u16(p + 26));
    if (name == NULL || !gw_span_eq((struct gw_span){name, u16(p + 26)}, e->name))
        return gw_fail(err, GW_EPARSE, "the member's local header names another member");
    if (begin > d->offset || e->packed > d->offset - begin)
        return gw_fail(err, GW_EPARSE, "the member's data runs into the archive's directory");
    if (e->method == 0 && e->packed != e->bytes)
        return gw_fail(err, GW_EPARSE, "a stored member has two different sizes");
    out->data = (struct gw_span){archive.ptr + begin, (size_t)e->packed};
    out->bytes = e->bytes;
    out->crc32 = e->crc32;
    out->method = e->method;
    return GW_OK;
}

enum gw_status zip_find(struct gw_span archive, const char *name, struct zip_member *out,
                        struct gw_err *err)
{
    struct directory d = {0};
    struct entry e, found = {0};
    bool any = false;

    GW_TRY(find_directory(archive, &d, err));
    const char *p = archive.ptr + d.offset;
    uint64_t left = d.bytes;
    for (uint64_t i = 0; i < d.n_entries; i++) {
        if (!read_entry(&p, &left, &e))
            return gw_fail(err, GW_EPARSE, "entry %llu of the archive's directory is broken",
                           (unsigned long long)i + 1);
        if (!gw_span_is(e.name, name))
            continue;
        if (any)
            return gw_fail(err, GW_EPARSE, "the archive holds the member twice");
        found = e;
        any = true;
    }
    if (!any)
        return gw_fail(err, GW_ENOENT, "the archive holds no member \"%.120s\"", name);
    return open_entry(archive, &d, &found, out, err);
}

/* ---- unpacking ---------------------------------------------------------------------------------- */

struct unpack {
    const struct zip_member *m;
    zip_write_fn *write;
    void *ctx;
    uint64_t done;
    uLong crc;
};

static enum gw_status deliver(struct unpack *u, const char *bytes, size_t n, struct gw_err *err)
{
    if (n == 0)
        return GW_OK;
    if (n > u->m->bytes - u->done)
        return gw_fail(err, GW_ECORRUPT, "the member unpacks to more than the directory says");
    u->crc = crc32(u->crc, (const Bytef *)bytes, (uInt)n);
    u->done += n;
    return u->write(u->ctx, (struct gw_span){bytes, n});
}

static enum gw_status unpack_stored(struct unpack *u, struct gw_err *err)
{
    struct gw_span left = u->m->data;

    while (left.len > 0) {
        size_t n = left.len < CHUNK ? left.len : CHUNK;

        GW_TRY(deliver(u, left.ptr, n, err));
        left = gw_span_from(left, n);
    }
    return GW_OK;
}

static enum gw_status inflate_all(struct unpack *u, z_stream *z, struct gw_err *err)
{
    unsigned char out[CHUNK];
    struct gw_span left = u->m->data;

    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        size_t n = left.len < CHUNK ? left.len : CHUNK;

        z->next_in = (const Bytef *)left.ptr;
        z->avail_in = (uInt)n;
        z->next_out = out;
        z->avail_out = CHUNK;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END)
            return gw_fail(err, rc == Z_MEM_ERROR ? GW_ENOMEM : GW_ECORRUPT,
                           "the member's compressed data is broken");
        left = gw_span_from(left, n - z->avail_in);
        GW_TRY(deliver(u, (const char *)out, CHUNK - z->avail_out, err));
        if (rc == Z_STREAM_END && left.len > 0)
            return gw_fail(err, GW_ECORRUPT, "the member's compressed data ends early");
    }
    return GW_OK;
}

static enum gw_status unpack_deflated(struct unpack *u, struct gw_err *err)
{
    z_stream z = {0};
    enum gw_status st;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) /* raw: the archive has its own checksum */
        return gw_fail(err, GW_ENOMEM, "out of memory for unpacking");
    st = inflate_all(u, &z, err);
    (void)inflateEnd(&z);
    return st;
}

enum gw_status zip_extract(const struct zip_member *m, uint64_t max_bytes, zip_write_fn *write,
                           void *ctx, struct gw_err *err)
{
    struct unpack u = {m, write, ctx, 0, crc32(0, NULL, 0)};

    if (m->bytes > max_bytes)
        return gw_fail(err, GW_ELIMIT, "the member unpacks to %llu bytes, the limit is %llu",
                       (unsigned long long)m->bytes, (unsigned long long)max_bytes);
    GW_TRY(m->method == 0 ? unpack_stored(&u, err) : unpack_deflated(&u, err));
    if (u.done != m->bytes || u.crc != m->crc32)
        return gw_fail(err, GW_ECORRUPT, "the member's %s does not match the archive's directory",
                       u.done != m->bytes ? "length" : "checksum");
    return GW_OK;
}
