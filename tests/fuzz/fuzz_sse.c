/* Fuzz target: the event-stream reader. Pieces and whole must give the same events, and the raw bytes of
 * all events must be the stream. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct gw_buf said, raw, rewritten, same;
};

static enum gw_status copy(void *ctx, struct gw_span line, struct gw_buf *out)
{
    (void)ctx;
    gw_buf_add(out, line);
    return GW_OK;
}

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct heard *h = ctx;

    gw_buf_add(&h->raw, ev->raw);
    if (sse_edit_lines(&h->same, ev, copy, NULL) != GW_OK)
        abort();
    if (!ev->has_data)
        return GW_OK;
    gw_buf_add(&h->said, ev->name);
    gw_buf_addc(&h->said, '\1');
    gw_buf_add(&h->said, ev->data);
    gw_buf_addc(&h->said, '\2');
    sse_rewrite(&h->rewritten, ev, ev->data);
    return GW_OK;
}

static void listen(struct heard *h, const uint8_t *data, size_t size, size_t step)
{
    struct sse_reader *r = sse_reader_new(0);

    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = malloc(n);

        memcpy(copy, data + at, n);
        if (sse_reader_feed(r, (struct gw_span){copy, n}, on_event, h) != GW_OK)
            abort();
        free(copy);
    }
    if (sse_reader_finish(r, on_event, h) != GW_OK)
        abort();
    sse_reader_free(r);
}

static void forget(struct heard *h)
{
    gw_buf_fini(&h->said);
    gw_buf_fini(&h->raw);
    gw_buf_fini(&h->rewritten);
    gw_buf_fini(&h->same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = {0}, pieces = {0};

    if (size < 2)
        return 0;
    listen(&whole, data + 1, size - 1, size);
    listen(&pieces, data + 1, size - 1, (size_t)data[0] % 13 + 1);
    if (!gw_span_eq(gw_buf_span(&whole.said), gw_buf_span(&pieces.said)) ||
        !gw_span_eq(gw_buf_span(&whole.raw), (struct gw_span){(const char *)data + 1, size - 1}) ||
        !gw_span_eq(gw_buf_span(&pieces.raw), gw_buf_span(&whole.raw)) ||
        !gw_span_ends(gw_buf_span(&whole.raw), gw_buf_span(&whole.same))) /* but for a BOM */
        abort();
    forget(&whole);
    forget(&pieces);
    return 0;
}
