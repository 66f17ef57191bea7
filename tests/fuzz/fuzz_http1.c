/* Fuzz target: the HTTP/1.1 parser, both directions. The first byte chooses the direction and the size of
 * the pieces; feeding in pieces must see what feeding at once sees. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
    uint64_t bytes, done, heads;
    unsigned error;
};

static struct sums parse(enum http1_kind kind, const uint8_t *data, size_t size, size_t step)
{
    struct http1 *p = http1_new(kind, NULL);
    struct sums s = {0, 0, 0, 0};

    for (size_t at = 0; at < size && s.error == 0; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = malloc(n);
        struct gw_span in = {copy, n}, body = {NULL, 0};
        enum http1_event ev;

        memcpy(copy, data + at, n);
        while ((ev = http1_next(p, &in, &body)) != HTTP1_MORE && ev != HTTP1_ERROR) {
            s.bytes += ev == HTTP1_BODY ? body.len : 0;
            s.done += ev == HTTP1_DONE;
            s.heads += ev == HTTP1_HEAD;
        }
        if (ev == HTTP1_ERROR)
            s.error = http1_error(p, NULL);
        free(copy);
    }
    http1_free(p);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum http1_kind kind;
    struct sums whole, pieces;

    if (size < 2)
        return 0;
    kind = (data[0] & 1) != 0 ? HTTP1_RESPONSE : HTTP1_REQUEST;
    whole = parse(kind, data + 1, size - 1, size);
    pieces = parse(kind, data + 1, size - 1, (size_t)(data[0] >> 1) % 7 + 1);
    if (memcmp(&whole.done, &pieces.done, sizeof(whole.done)) != 0 || whole.bytes != pieces.bytes ||
        whole.heads != pieces.heads || whole.error != pieces.error)
        abort();
    return 0;
}
