/* dlp/view_inflate.c - gzip (RFC 1952) and zlib (RFC 1950) inside encoded text (view.h). Pure; any thread. */
#define ZLIB_CONST /* next_in is not written through */
#include <limits.h>

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

bool view_inflate(struct gw_span bytes, size_t max, struct gw_buf *out, bool *cut)
{
    enum { EITHER = 15 + 32, STEP = 16 << 10 };
    z_stream z = {.next_in = NULL};
    size_t first = out->len;
    int rc = Z_OK;

    if (!view_is_gzip(bytes) || bytes.len > UINT_MAX || inflateInit2(&z, EITHER) != Z_OK)
        return false;
    z.next_in = (const Bytef *)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    while (rc == Z_OK && gw_buf_reserve(out, STEP)) {
        size_t room = max - (out->len - first);

        room = room < STEP ? room : STEP;
        if (room == 0) {
            *cut = true;
            break;
        }
        z.next_out = (Bytef *)(out->ptr + out->len);
        z.avail_out = (uInt)room;
        rc = inflate(&z, Z_NO_FLUSH);
        out->len += room - z.avail_out;
        if (z.avail_out != 0 && rc == Z_OK && z.avail_in == 0)
            break; /* it ends early */
    }
    (void)inflateEnd(&z);
    return gw_buf_ok(out) && out->len > first;
}
