/* proxy/http/encoding.c - zlib with a leash. */
#include "proxy/http/encoding.h"

#define ZLIB_CONST /* next_in is not written through */
#include <zlib.h>

enum { MAX_RATIO = 100, MIN_LEASH = 64 * 1024, STEP = 64 * 1024 };

int encoding_is_identity(struct gw_span encoding)
{
    return encoding.len == 0 || gw_span_eq_nocase(encoding, GW_SPAN("identity"));
}

static enum gw_status inflate_all(z_stream *z, struct gw_span body, size_t max_bytes,
                                  struct gw_buf *out, struct gw_err *err)
{
    size_t leash = body.len > max_bytes / MAX_RATIO ? max_bytes : body.len * MAX_RATIO;
    size_t start = out->len;
    int rc = Z_OK;

    if (leash < MIN_LEASH)
        leash = MIN_LEASH < max_bytes ? MIN_LEASH : max_bytes;
    z->next_in = (const Bytef *)body.ptr;
    z->avail_in = (uInt)body.len;
    while (rc == Z_OK) {
        if (!gw_buf_reserve(out, STEP))
            return gw_fail(err, GW_ENOMEM, "out of memory");
        z->next_out = (Bytef *)out->ptr + out->len;
        z->avail_out = STEP;
        rc = inflate(z, Z_NO_FLUSH);
        out->len += STEP - z->avail_out;
        if (out->len - start > leash)
            return gw_fail(err, GW_ELIMIT, "the decoded body is larger than this gateway takes");
    }
    if (rc != Z_STREAM_END || z->avail_in != 0)
        return gw_fail(err, GW_EPARSE, "the encoded body is broken or has bytes behind its end");
    return GW_OK;
}

enum gw_status encoding_undo(struct gw_span encoding, struct gw_span body, size_t max_bytes,
                             struct gw_buf *out, struct gw_err *err)
{
    z_stream z = {0};
    int window;
    enum gw_status st;

    if (gw_span_eq_nocase(encoding, GW_SPAN("gzip")) ||
        gw_span_eq_nocase(encoding, GW_SPAN("x-gzip")))
        window = 15 + 16;
    else if (gw_span_eq_nocase(encoding, GW_SPAN("deflate")))
        window = 15;
    else
        return gw_fail(err, GW_EUNSUPPORTED,
                       "the only content codings understood here are gzip and deflate");
    if (body.len > UINT32_MAX)
        return gw_fail(err, GW_ELIMIT, "the encoded body is too large");
    if (inflateInit2(&z, window) != Z_OK)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = inflate_all(&z, body, max_bytes, out, err);
    (void)inflateEnd(&z);
    return st;
}
