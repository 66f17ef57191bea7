/* Fuzz target: AWS event stream messages. Pieces and whole must give the same bytes and the same end. So that a change
 * need not guess a CRC, the input is also read with its messages' checksums made right. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "proxy/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(uint8_t *p, uint32_t n)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void mend(uint8_t *p, size_t size)
{
    while (size >= 16) {
        size_t total = get(p);

        put(p + 8, (uint32_t)crc32(0, p, 8));
        if (total < 16 || total > size)
            return;
        put(p + total - 4, (uint32_t)crc32(0, p, (unsigned)(total - 4)));
        p += total;
        size -= total;
    }
}

static enum gw_status read_all(const uint8_t *data, size_t size, size_t step, struct gw_buf *out)
{
    struct provider_aws *a = provider_aws_new();
    enum gw_status st = GW_OK;

    for (size_t at = 0; at < size && st == GW_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = malloc(n);

        memcpy(copy, data + at, n);
        st = provider_aws_feed(a, (struct gw_span){copy, n}, out);
        free(copy);
    }
    if (st == GW_OK)
        st = provider_aws_end(a);
    provider_aws_free(a);
    return st;
}

static void compare(const uint8_t *data, size_t size, size_t step)
{
    struct gw_buf whole = {0}, pieces = {0};

    if (read_all(data, size, size + 1, &whole) != read_all(data, size, step, &pieces) ||
        !gw_span_eq(gw_buf_span(&whole), gw_buf_span(&pieces)))
        abort();
    gw_buf_fini(&whole);
    gw_buf_fini(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mended;

    if (size < 2)
        return 0;
    compare(data + 1, size - 1, data[0] % 13 + 1u);
    mended = malloc(size - 1);
    memcpy(mended, data + 1, size - 1);
    mend(mended, size - 1);
    compare(mended, size - 1, data[0] % 13 + 1u);
    free(mended);
    return 0;
}
