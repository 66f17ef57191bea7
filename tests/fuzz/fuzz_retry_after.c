/* Retry-After and Retry-After-Ms, as any server may send them: the result is in its range, whatever they hold. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/http/retry_after.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = size == 0 ? NULL : memchr(data, '\n', size);
    size_t n = line == NULL ? size : (size_t)(line - (const char *)data);
    struct gw_span ms = {(const char *)data, n}, value = {NULL, 0};
    int64_t got;

    if (line != NULL)
        value = (struct gw_span){line + 1, size - n - 1};
    got = retry_after_ms(ms, value, (int64_t)1795300000 * 1000);
    if (got < -1 || got > (int64_t)366 * 86400 * 1000)
        __builtin_trap();
    return 0;
}
