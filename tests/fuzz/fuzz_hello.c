/* Fuzz target: the ClientHello reader. Growing bytes and all bytes must give one answer, and the name
 * must be a host name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hello_reader *whole = hello_reader_new(), *pieces = hello_reader_new();
    enum hello_result a, b = HELLO_NEED_MORE;
    struct hello h, other;

    memset(&h, 0, sizeof(h));
    memset(&other, 0, sizeof(other));
    a = hello_read(whole, (struct gw_span){(const char *)data, size}, &h);
    for (size_t n = 0, step = size % 7 + 1; b == HELLO_NEED_MORE; n += step) {
        b = hello_read(pieces, (struct gw_span){(const char *)data, n < size ? n : size}, &other);
        if (n >= size)
            break;
    }
    if (a != b || memcmp(&h, &other, sizeof(h)) != 0)
        abort();
    if (strspn(h.sni, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(h.sni))
        abort();
    (void)hello_offers(&h, "h2");
    hello_reader_free(whole);
    hello_reader_free(pieces);
    return 0;
}
