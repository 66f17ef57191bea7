/* Fuzz target: an answer as it comes from Redis, which anybody may have written: spans inside it, a type that is one line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cache/cache_redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct gw_span value = {(const char *)data, size};
    struct cache_answer a;
    struct gw_buf again = {0};

    if (size == 0 || !cache_value_read(value, &a))
        return 0;
    must(a.stored_ms >= 0 && a.body.len != 0 && a.type.ptr + a.type.len == a.body.ptr);
    must(a.body.ptr + a.body.len == value.ptr + value.len);
    must(memchr(a.type.ptr, '\n', a.type.len) == NULL &&
         memchr(a.type.ptr, '\r', a.type.len) == NULL);
    cache_value_write(&again, &a);
    must(gw_span_eq(gw_buf_span(&again), value));
    gw_buf_fini(&again);
    return 0;
}
