/* Fuzz target: filtered event streams. The first byte chooses the dialect, whether answers are scanned, and how the stream
 * is cut; nothing may crash, and bytes of a stream in which nothing is found and nothing restored come out as JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/answer/restream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dlp_scanner *scanner;
static struct gw_json *json;

struct run {
    struct restream *r;
    struct gw_buf out;
    bool release;
};

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx;
    return f->confidence < 60 ? GW_ACTION_MASK : GW_ACTION_REDACT;
}

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct run *run = ctx;
    enum gw_status st = restream_event(run->r, ev, &run->out);

    return st == GW_OK && run->release ? restream_release(run->r, &run->out) : st;
}

/* An event that we write is JSON where the provider's was. */
static enum gw_status check_event(void *ctx, const struct sse_event *ev)
{
    const struct gw_json_limits limits = {200, 1000000, true};
    struct gw_json_tok tok;

    gw_json_start(json, ev->data, &limits);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR)
        ;
    *(unsigned *)ctx +=
        ev->has_data && !gw_span_is(ev->data, "[DONE]") && tok.type == GW_JSON_ERROR;
    return GW_OK;
}

static unsigned count_invalid(struct gw_span stream)
{
    struct sse_reader *reader = sse_reader_new(1 << 20);
    unsigned n = 0;

    if (sse_reader_feed(reader, stream, check_event, &n) == GW_OK)
        (void)sse_reader_finish(reader, check_event, &n);
    sse_reader_free(reader);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter_config cfg = {.decide = decide, .rules = dlp_rules_builtin()};
    struct sse_reader *reader;
    struct run run = {0};
    struct gw_span in;
    enum gw_status st = GW_OK;
    size_t step;

    if (size < 2)
        return 0;
    if (scanner == NULL) {
        scanner = dlp_scanner_new();
        json = gw_json_new();
    }
    in = (struct gw_span){(const char *)data + 2, size - 2};
    cfg.scanner = (data[0] & 8) != 0 ? scanner : NULL;
    run.release = (data[0] & 16) != 0;
    step = data[1] + 1u;
    run.r = restream_new(&cfg, (enum api_dialect)((data[0] & 7) % API_DIALECT_COUNT), json);
    reader = sse_reader_new(1 << 20);
    for (size_t at = 0; at < in.len && st == GW_OK; at += step) {
        size_t n = in.len - at < step ? in.len - at : step;

        st = sse_reader_feed(reader, (struct gw_span){in.ptr + at, n}, on_event, &run);
    }
    if (st == GW_OK)
        st = sse_reader_finish(reader, on_event, &run);
    if (st == GW_OK)
        st = restream_finish(run.r, &run.out);
    if (st == GW_OK && cfg.scanner == NULL && !gw_span_eq(gw_buf_span(&run.out), in))
        abort(); /* nothing to scan, nothing to restore */
    if (st == GW_OK && count_invalid(gw_buf_span(&run.out)) > count_invalid(in))
        abort();
    sse_reader_free(reader);
    restream_free(run.r);
    gw_buf_fini(&run.out);
    return 0;
}
