/* tests/fuzz/fuzz_multipart.c - multipart bodies; the first line is the boundary. Stretches must lie in the body, in order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = size == 0 ? NULL : memchr(data, '\n', size);
    size_t n = nl == NULL ? 0 : (size_t)(nl - data);
    struct gw_span body = {(const char *)data + n, size - n};
    struct gw_arena *arena = gw_arena_new(1u << 20);
    struct multipart_stretch *s;
    struct gw_buf type = {0};
    struct gw_err err;
    unsigned count;
    const char *at = body.ptr;

    gw_buf_adds(&type, "multipart/form-data; boundary=");
    gw_buf_add(&type, (struct gw_span){(const char *)data, n});
    if (multipart_is(gw_buf_span(&type)) &&
        multipart_split(arena, gw_buf_span(&type), body, &s, &count, &err) == GW_OK)
        for (unsigned i = 0; i < count; i++) {
            if (s[i].bytes.len == 0 || s[i].bytes.ptr < at ||
                s[i].bytes.ptr + s[i].bytes.len > body.ptr + body.len)
                abort();
            at = s[i].bytes.ptr + s[i].bytes.len;
        }
    gw_buf_fini(&type);
    gw_arena_free(arena);
    return 0;
}
