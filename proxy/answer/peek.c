/* proxy/answer/peek.c - see peek.h. */
#include "proxy/answer/peek.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/find.h"
#include "proxy/answer/respond_fields.h"
#include "proxy/http/json_array.h"
#include "proxy/http/sse.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"
#include "proxy/provider/provider.h"
#include "proxy/request/request_private.h"

enum { MAX_STREAM_BYTES = 64 * 1024, MAX_JSON_BYTES = 16 * 1024 };

struct peek {
    struct req *req;
    enum api_dialect dialect;
    struct http1_field *fields; /* in the request's arena */
    unsigned status, n_fields;
    int64_t length;
    struct sse_reader *reader; /* NULL: the body is JSON */
    struct json_array *array;
    struct provider_aws *aws;
    struct gw_buf body, unpacked;
    struct event *timer;
    enum peek_result result;
    unsigned error_status;
    struct api_usage usage;
};

void peek_free(struct peek *p)
{
    if (p == NULL)
        return;
    if (p->timer != NULL)
        event_free(p->timer);
    sse_reader_free(p->reader);
    json_array_free(p->array);
    provider_aws_free(p->aws);
    gw_buf_fini(&p->body);
    gw_buf_fini(&p->unpacked);
    free(p);
}

/* ---- is it an error? ---------------------------------------------------------------------- */

static enum gw_status on_api_event(void *ctx, const struct api_event *ev)
{
    struct peek *p = ctx;

    if (ev->type != API_EVENT_ERROR)
        return GW_OK;
    p->result = PEEK_ERROR;
    p->error_status =
        ev->failure.status >= 400 && ev->failure.status < 600 ? ev->failure.status : 502;
    return GW_OK;
}

/* Only what may be an error is read as JSON: nearly nothing is. name: of an event; whole: the body is no stream. */
static void judge(struct peek *p, struct gw_span name, struct gw_span data, bool whole)
{
    struct api_seen seen = {0};
    struct api_reader *r;

    p->result = PEEK_FINE;
    if (data.len == 0 || (!gw_has(data, GW_SPAN("error")) && !gw_span_is(name, "error")))
        return;
    /* Completions have no reader of their own; their errors are those of chat. */
    r = api_reader_new(p->dialect == API_COMPLETIONS ? API_CHAT : p->dialect, p->req->w->json,
                       on_api_event, p);
    if (r == NULL)
        return;
    if (whole)
        (void)api_reader_whole(r, data);
    else
        (void)api_reader_event(r, name, data);
    api_reader_free(r);
    if (p->result != PEEK_ERROR)
        return;
    api_look(p->dialect, p->req->w->json, data, &seen);
    p->usage = seen.usage;
}

/* The first event decides; then the reader is stopped. */
static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct peek *p = ctx;

    if (!ev->has_data || gw_span_is(ev->name, "ping"))
        return GW_OK;
    judge(p, ev->name, ev->data, false);
    return GW_EEXIST;
}

static enum gw_status on_element(void *ctx, const struct json_array_event *ev)
{
    struct peek *p = ctx;

    if (!ev->has_data)
        return GW_OK;
    judge(p, GW_SPAN(""), ev->data, false);
    return GW_EEXIST;
}

static enum gw_status read_stream(struct peek *p, struct gw_span bytes)
{
    if (p->aws != NULL) {
        gw_buf_clear(&p->unpacked);
        GW_TRY(provider_aws_feed(p->aws, bytes, &p->unpacked));
        bytes = gw_buf_span(&p->unpacked);
    }
    return p->array != NULL ? json_array_feed(p->array, bytes, on_element, p)
                            : sse_reader_feed(p->reader, bytes, on_event, p);
}

static bool is_stream(const struct peek *p)
{
    return p->reader != NULL || p->array != NULL;
}

enum peek_result peek_data(struct peek *p, struct gw_span bytes)
{
    size_t max = is_stream(p) ? MAX_STREAM_BYTES : MAX_JSON_BYTES;

    gw_buf_add(&p->body, bytes);
    if (!gw_buf_ok(&p->body)) {
        p->error_status = 503;
        return p->result = PEEK_ERROR;
    }
    if (is_stream(p) && read_stream(p, bytes) != GW_OK && p->result == PEEK_MORE)
        p->result = PEEK_FINE; /* not understood: its reader will say so */
    if (p->result == PEEK_MORE && p->body.len > max)
        p->result = PEEK_FINE;
    return p->result;
}

enum peek_result peek_end(struct peek *p)
{
    if (p->result != PEEK_MORE)
        return p->result;
    if (p->reader != NULL && p->aws == NULL)
        (void)sse_reader_finish(p->reader, on_event, p);
    else if (!is_stream(p) && p->body.len != 0)
        judge(p, GW_SPAN(""), gw_buf_span(&p->body), true);
    if (p->result == PEEK_MORE) { /* it ends before it has begun */
        p->result = PEEK_ERROR;
        p->error_status = 502;
    }
    return p->result;
}

unsigned peek_error_status(const struct peek *p)
{
    return p->error_status;
}

const struct api_usage *peek_usage(const struct peek *p)
{
    return &p->usage;
}

void peek_held(const struct peek *p, struct peek_held *out)
{
    *out = (struct peek_held){
        p->status, p->fields, p->n_fields, p->length, gw_buf_span(&p->body), !gw_buf_ok(&p->body)};
}

/* ---- what is looked at ---------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct peek *p = ctx;

    (void)fd;
    (void)what;
    req_peek_late(p->req);
}

static bool copy_fields(struct peek *p, const struct http1_field *fields, unsigned n)
{
    p->fields = gw_arena_array(p->req->arena, n + 1, sizeof(*p->fields));
    for (unsigned i = 0; p->fields != NULL && i < n; i++) {
        p->fields[i] = fields[i];
        p->fields[i].name = gw_arena_copy(p->req->arena, fields[i].name);
        p->fields[i].value = gw_arena_copy(p->req->arena, fields[i].value);
        if (p->fields[i].name.ptr == NULL || p->fields[i].value.ptr == NULL)
            return false;
    }
    p->n_fields = n;
    return p->fields != NULL;
}

/* Chooses how the body is read. False: out of memory, or nothing to look at. */
static bool choose_form(struct peek *p, struct gw_span type)
{
    const struct req *req = p->req;
    const struct proxy_config_target *t = &req->setup->cfg->targets[req->target];

    if (provider_framing_of(t, type) == PROVIDER_FRAMING_AWS) {
        p->aws = provider_aws_new();
        p->reader = sse_reader_new(MAX_STREAM_BYTES);
        return p->aws != NULL && p->reader != NULL;
    }
    if (respond_media_type_is(type, "text/event-stream")) {
        p->reader = sse_reader_new(MAX_STREAM_BYTES);
        return p->reader != NULL;
    }
    if (!respond_media_type_is(type, "application/json"))
        return false;
    if (req->ep.json_array && !req->translated) {
        p->array = json_array_new(MAX_STREAM_BYTES);
        return p->array != NULL;
    }
    return p->length <= MAX_JSON_BYTES;
}

void peek_begin(struct req *req, unsigned status, const struct http1_field *fields,
                unsigned n_fields, int64_t length, struct peek **out)
{
    int64_t ms = req->setup->cfg->reliability.first_event_ms;
    const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    const struct http1_field *type = respond_field(fields, n_fields, "content-type");
    const struct http1_field *coding = respond_field(fields, n_fields, "content-encoding");
    struct peek *p;

    *out = NULL;
    if (status != 200 || ms == 0 || type == NULL || coding != NULL ||
        req->backend != &backend_upstream || req->target == REQ_NO_TARGET ||
        req->ep.kind != ENDPOINT_CHAT)
        return;
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return;
    p->req = req;
    p->status = status;
    p->length = length;
    p->dialect = req->translated ? req->spoken : req->ep.dialect;
    p->timer = evtimer_new(req->w->base, on_timer, p);
    if (p->timer == NULL || !choose_form(p, type->value) || !copy_fields(p, fields, n_fields)) {
        peek_free(p);
        return;
    }
    (void)evtimer_add(p->timer, &tv);
    *out = p;
}
