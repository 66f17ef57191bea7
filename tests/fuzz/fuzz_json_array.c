/* Fuzz target: the array stream reader. Pieces and whole must give the same elements and the same end, the raw bytes of
 * all events must be the stream, and an element that is JSON must be one whole object. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/http/json_array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct gw_buf said, raw, rewritten;
    enum gw_status end;
    bool complete;
};

static enum gw_status on_event(void *ctx, const struct json_array_event *ev)
{
    struct heard *h = ctx;

    gw_buf_add(&h->raw, ev->raw);
    json_array_rewrite(&h->rewritten, ev, ev->data);
    if (!ev->has_data)
        return GW_OK;
    if (ev->data.len < 2 || ev->data.ptr[0] != '{' ||
        ev->data.ptr + ev->data.len != ev->raw.ptr + ev->raw.len)
        abort();
    gw_buf_add(&h->said, ev->data);
    gw_buf_addc(&h->said, '\1');
    return GW_OK;
}

static void listen(struct heard *h, const uint8_t *data, size_t size, size_t step)
{
    struct json_array *r = json_array_new(0);

    for (size_t at = 0; at < size && h->end == GW_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = malloc(n);

        memcpy(copy, data + at, n);
        h->end = json_array_feed(r, (struct gw_span){copy, n}, on_event, h);
        free(copy);
    }
    if (h->end == GW_OK)
        h->end = json_array_finish(r, on_event, h);
    h->complete = json_array_complete(r);
    json_array_free(r);
}

static void forget(struct heard *h)
{
    gw_buf_fini(&h->said);
    gw_buf_fini(&h->raw);
    gw_buf_fini(&h->rewritten);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = {0}, pieces = {0};
    struct gw_span fed = {(const char *)data + 1, size - 1};

    if (size < 2)
        return 0;
    listen(&whole, data + 1, size - 1, size);
    listen(&pieces, data + 1, size - 1, (size_t)data[0] % 13 + 1);
    if (whole.end != pieces.end || whole.complete != pieces.complete ||
        !gw_span_eq(gw_buf_span(&whole.said), gw_buf_span(&pieces.said)))
        abort();
    if (whole.end == GW_OK &&
        (!gw_span_eq(gw_buf_span(&whole.raw), fed) || !gw_span_eq(gw_buf_span(&pieces.raw), fed) ||
         !gw_span_eq(gw_buf_span(&whole.rewritten), fed)))
        abort();
    forget(&whole);
    forget(&pieces);
    return 0;
}
