/* dlp/view_inflate.c - gzip (RFC 1952) and zlib (RFC 1950) inside encoded text (view.h). Pure; any thread. */
#define ZLIB_CONST /* next_in is not written through */
#include <limits.h>
#include <string.h>

#include <zlib.h>

#include "dlp/view.h"

bool view_is_gzip(struct gw_span bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;

    if (bytes.len < 8)
        return false;
    if (p[0] == 0x1F && p[1] == 0x8B)
        return p[2] == Z_DEFLATED;
    return (p[0] & 0x8F) == Z_DEFLATED && (p[0] * 256 + p[1]) % 31 == 0 && (p[1] & 0x20) == 0;
}

/* How much will come out, about: gzip says so at its end. That may lie, so it counts as far as text is compressed as a rule. */
static size_t expected(struct gw_span bytes, size_t max)
{
    enum { USUAL = 8 };
    const unsigned char *end = (const unsigned char *)bytes.ptr + bytes.len;
    size_t n = bytes.len * USUAL, said = n;

    if ((unsigned char)bytes.ptr[0] == 0x1F)
        said =
            (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
    n = said < n ? said : n;
    return n < max ? n : max;
}

/* Appends what z says, at most max bytes. */
static void inflate_all(z_stream *z, size_t max, struct gw_buf *out, bool *cut)
{
    enum { STEP = 16 << 10 };
    size_t first = out->len;
    int rc = Z_OK;

    while (rc == Z_OK && view_reserve(out, STEP, max - (out->len - first))) {
        size_t room = max - (out->len - first);

        room = room < STEP ? room : STEP;
        if (room == 0) {
            *cut = true;
            break;
        }
        z->next_out = (Bytef *)(out->ptr + out->len);
        z->avail_out = (uInt)room;
        rc = inflate(z, Z_NO_FLUSH);
        out->len += room - z->avail_out;
        if (z->avail_out != 0 && rc == Z_OK && z->avail_in == 0)
            break; /* it ends early */
    }
}

bool view_inflate(struct gw_buf *b, size_t from, size_t max, bool *cut)
{
    enum { EITHER = 15 + 32 };
    struct gw_span bytes = gw_span_from(gw_buf_span(b), from);
    z_stream z = {.next_in = NULL};
    struct gw_buf out = {0};
    bool ok;

    if (!view_is_gzip(bytes) || bytes.len > UINT_MAX || inflateInit2(&z, EITHER) != Z_OK)
        return false;
    z.next_in = (const Bytef *)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    if (gw_buf_reserve_exact(&out, expected(bytes, max)))
        inflate_all(&z, max, &out, cut);
    (void)inflateEnd(&z);
    ok = gw_buf_ok(&out) && out.len > 0;
    if (ok) {
        explicit_bzero(b->ptr + from, b->len - from);
        b->len = from;
        ok = gw_buf_reserve_exact(b, out.len);
        gw_buf_add(b, gw_buf_span(&out));
    } else if (!gw_buf_ok(&out)) {
        b->failed = true;
    }
    gw_buf_fini(&out);
    return ok;
}
