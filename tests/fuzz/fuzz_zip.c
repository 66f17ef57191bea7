/* Fuzz target: ZIP archives. The first byte's worth of members is looked for; what comes out must have the
 * length that the directory says. */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/fetch/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum gw_status count(void *ctx, struct gw_span bytes)
{
    *(uint64_t *)ctx += bytes.len;
    return GW_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "dir/b.txt", ""};
    struct zip_member m;
    uint64_t n = 0;

    for (size_t i = 0; i < 3; i++) {
        struct gw_span archive = {(const char *)data, size};

        n = 0;
        if (zip_find(archive, names[i], &m, NULL) == GW_OK &&
            zip_extract(&m, 1 << 20, count, &n, NULL) == GW_OK && n != m.bytes)
            abort();
    }
    return 0;
}
