/* proxy/answer/respond.c - see respond.h: heads, pieces, and what is held back. The fields are in respond_fields.c, arrays in
 * respond_array.c, the end of answers in respond_end.c. */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "proxy/answer/respond_fields.h"
#include "proxy/answer/respond_private.h"
#include "proxy/limits/limits.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/record.h"

void respond_free(struct respond *r)
{
    if (r == NULL)
        return;
    gw_buf_fini(&r->fields);
    gw_buf_fini(&r->body);
    gw_buf_fini(&r->out);
    gw_buf_fini(&r->unpacked);
    gw_buf_fini(&r->copy);
    gw_buf_fini(&r->rest);
    gw_buf_fini(&r->rewritten);
    sse_reader_free(r->reader);
    json_array_free(r->array);
    provider_aws_free(r->aws);
    restream_free(r->restream);
    api_reader_free(r->events);
    translate_free(r->translate);
    if (r->timer != NULL)
        event_free(r->timer);
    if (r->last != NULL)
        event_free(r->last);
    free(r);
}

/* ---- what goes out ---------------------------------------------------------------------- */

void respond_send_head(struct req *req, int64_t length)
{
    if (!req->client_gone)
        conn_answer_head(req->conn, req->status, gw_buf_span(&req->respond->fields), length);
}

void respond_give(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;

    conn_answer_body(req->conn, bytes);
    record_answer_bytes(req, bytes);
    if (!r->copying)
        return;
    if (bytes.len > req->setup->cfg->cache.max_entry - r->copy.len) {
        r->copying = false;
        gw_buf_fini(&r->copy);
    } else {
        gw_buf_add(&r->copy, bytes);
    }
}

/* Sends what was just made; a whole answer gets its head with it. */
enum gw_status respond_send(struct req *req, bool complete)
{
    struct respond *r = req->respond;

    if (!gw_buf_ok(&r->out))
        return GW_ENOMEM;
    if (r->out.len != 0 && !conn_answer_started(req->conn) && complete)
        respond_add_cost(req);
    if (r->out.len != 0 && !conn_answer_started(req->conn))
        respond_send_head(req, complete ? (int64_t)r->out.len : -1);
    respond_give(req, gw_buf_span(&r->out));
    gw_buf_clear(&r->out);
    return GW_OK;
}

/* ---- holding back, and not for too long --------------------------------------------------- */

static size_t held(const struct respond *r)
{
    if (r->translate != NULL)
        return translate_held(r->translate);
    return r->restream != NULL ? restream_held(r->restream) : 0;
}

static void on_hold_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct req *req = ctx;
    struct respond *r = req->respond;
    enum gw_status st;

    (void)fd;
    (void)what;
    r->armed = false;
    req->hold++;
    if (r->translate != NULL)
        st = translate_release(r->translate, &r->out);
    else
        st = r->array != NULL ? respond_array_release(req) : restream_release(r->restream, &r->out);
    if (st == GW_OK)
        st = respond_send(req, false);
    if (st != GW_OK)
        req_answer_failed(req, st);
    (void)req_unhold(req);
}

/* Counts from the newest piece: a long value that comes slowly is no pause. */
static void arm_hold_timer(struct req *req)
{
    const struct timeval tv = {HOLD_S, 0};
    struct respond *r = req->respond;
    bool want = conn_answer_started(req->conn) && held(r) != 0;

    if (!want && !r->armed)
        return;
    if (want && r->timer == NULL)
        r->timer = evtimer_new(req->w->base, on_hold_timer, req);
    if (r->timer == NULL)
        return; /* then the text waits for what follows it */
    if (want)
        (void)evtimer_add(r->timer, &tv);
    else
        (void)evtimer_del(r->timer);
    r->armed = want;
}

/* ---- the head --------------------------------------------------------------------------- */

static bool is_plain(struct gw_span encoding)
{
    return encoding.len == 0 || gw_span_eq_nocase(encoding, GW_SPAN("identity"));
}

static struct respond *respond_new(struct req *req)
{
    struct respond *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    req->respond = r;
    r->dialect = req->translated ? req->spoken : req->ep.dialect;
    r->copying = req->cache_keeps;
    r->filtering = req_filter(req, &r->filter);
    return r;
}

static enum gw_status on_api_event(void *ctx, const struct api_event *ev)
{
    struct req *req = ctx;

    return translate_put(req->respond->translate, ev, &req->respond->out);
}

static enum gw_status set_up_translation(struct req *req)
{
    struct respond *r = req->respond;
    const struct api_writer_config cfg = {.dialect = req->ep.dialect,
                                          .stream = req->asked.stream,
                                          .json_array = req->ep.json_array,
                                          .include_usage = req->asked.include_usage,
                                          .id = req->id,
                                          .created = gw_clock_wall_ms() / 1000,
                                          .model = req->out_model,
                                          .request = &req->asked};

    r->mode = MODE_EVENTS;
    r->translate = translate_new(&cfg, r->filtering ? &r->filter : NULL);
    if (r->translate == NULL)
        return GW_ENOMEM;
    respond_fields_type(&r->fields, translate_media_type(r->translate));
    return GW_OK;
}

/* Packed bytes cannot be looked into; we asked for none, so a provider that packs them all the same is passed on only
 * when nothing has to be filtered. */
static enum gw_status set_up_pass(struct req *req, bool plain)
{
    struct respond *r = req->respond;

    if (!r->filtering)
        return GW_OK;
    if (!plain)
        return GW_EUNSUPPORTED;
    if (r->json && req->ep.json_array && req->status < 400) {
        r->array = json_array_new(0);
        if (r->array == NULL)
            return GW_ENOMEM;
    }
    if (r->sse || r->array != NULL) {
        r->mode = MODE_STREAM;
        r->restream = restream_new(&r->filter, r->dialect, req->w->json);
        return r->restream == NULL ? GW_ENOMEM : GW_OK;
    }
    if (r->json || req->status >= 300) /* errors may be any text, on their way from any proxy */
        r->mode = MODE_WHOLE;
    return GW_OK;
}

/* Errors of another dialect, and of clouds that say them in their own words around a provider's dialect. */
static bool must_write_error(const struct req *req)
{
    return req->translated ||
           (req->target != REQ_NO_TARGET &&
            (req->ep.kind == ENDPOINT_CHAT || req->ep.kind == ENDPOINT_COUNT_TOKENS) &&
            provider_errors_differ(&req->setup->cfg->targets[req->target], req->ep.dialect));
}

/* The same for numbers of tokens. */
static bool must_write_count(const struct req *req)
{
    return req->ep.kind == ENDPOINT_COUNT_TOKENS &&
           (req->translated || (req->target != REQ_NO_TARGET &&
                                provider_counts_differ(&req->setup->cfg->targets[req->target])));
}

/* What a model answers is read as what was asked for when its type says neither JSON nor a stream: a filter that goes by
 * the type alone would be skipped in silence. */
static void set_form(struct req *req, unsigned status, struct gw_span type)
{
    struct respond *r = req->respond;

    r->json = respond_media_type_is(type, "application/json");
    r->sse = respond_media_type_is(type, "text/event-stream");
    if (r->json || r->sse || !r->filtering || req->translated || status != 200 ||
        req->ep.kind != ENDPOINT_CHAT)
        return;
    r->sse = req->asked.stream && !req->ep.json_array;
    r->json = !r->sse;
}

static enum gw_status set_up(struct req *req, unsigned status, struct gw_span type, bool plain)
{
    struct respond *r = req->respond;
    bool packed =
        req->target != REQ_NO_TARGET &&
        provider_framing_of(&req->setup->cfg->targets[req->target], type) == PROVIDER_FRAMING_AWS;

    set_form(req, status, type);
    r->packed = !plain;
    r->unask = req->usage_asked && r->sse && status == 200;
    if (packed) {
        r->sse = true;
        r->json = false;
    }
    if (r->sse)
        r->reader = sse_reader_new(0);
    if (packed)
        r->aws = provider_aws_new();
    if ((r->sse && r->reader == NULL) || (packed && r->aws == NULL))
        return GW_ENOMEM;
    if (status >= 400 && must_write_error(req)) {
        r->mode = MODE_ERROR;
        respond_fields_type(&r->fields, "application/json");
        return GW_OK;
    }
    if (must_write_count(req)) {
        r->mode = MODE_COUNT;
        respond_fields_type(&r->fields, "application/json");
        return GW_OK;
    }
    if (req->translated) {
        r->events = api_reader_new(r->dialect, req->w->json, on_api_event, req);
        return r->events == NULL ? GW_ENOMEM : set_up_translation(req);
    }
    if (packed)
        respond_fields_type(&r->fields, "text/event-stream");
    return set_up_pass(req, plain);
}

/* The fields that describe the body are written here, not copied. */
static bool has_own_type(const struct respond *r)
{
    return r->translate != NULL || r->mode == MODE_ERROR || r->mode == MODE_COUNT || r->aws != NULL;
}

enum gw_status respond_begin(struct req *req, unsigned status, const struct http1_field *fields,
                             unsigned n_fields, int64_t length)
{
    const struct http1_field *type = respond_field(fields, n_fields, "content-type");
    const struct http1_field *encoding = respond_field(fields, n_fields, "content-encoding");
    struct respond *r = respond_new(req);
    enum gw_status st;

    if (r == NULL)
        return GW_ENOMEM;
    st = set_up(req, status, type == NULL ? GW_SPAN("") : type->value,
                encoding == NULL || is_plain(encoding->value));
    if (st != GW_OK)
        return st;
    respond_fields_copy(req, &r->fields, fields, n_fields, has_own_type(r));
    if (r->sse && respond_field(fields, n_fields, "x-accel-buffering") == NULL && !has_own_type(r))
        gw_buf_adds(&r->fields, "X-Accel-Buffering: no\r\n");
    if (!gw_buf_ok(&r->fields))
        return GW_ENOMEM;
    r->length = length;
    r->holding = respond_may_hold(req, length);
    if (r->mode == MODE_PASS && !r->holding) /* a stream may end in an error of ours, or early */
        respond_send_head(req, r->sse ? -1 : length);
    else if (r->mode == MODE_STREAM || (r->mode == MODE_EVENTS && r->sse && req->asked.stream))
        respond_send_head(req, -1);
    return GW_OK;
}

enum gw_status respond_begin_events(struct req *req)
{
    struct respond *r = respond_new(req);

    if (r == NULL)
        return GW_ENOMEM;
    GW_TRY(set_up_translation(req));
    respond_fields_copy(req, &r->fields, NULL, 0, true);
    if (!gw_buf_ok(&r->fields))
        return GW_ENOMEM;
    if (req->asked.stream)
        respond_send_head(req, -1);
    return GW_OK;
}

/* ---- the body --------------------------------------------------------------------------- */

/* Is the name that ends before a quote one that the record wants? behind: what follows the quote. */
static bool is_telling(struct gw_span before, struct gw_span behind)
{
    switch (before.ptr[before.len - 1]) {
    case 'e':
        return gw_span_ends(before, GW_SPAN("sage")) || gw_span_ends(before, GW_SPAN("\"response"));
    case 'a':
        return gw_span_ends(before, GW_SPAN("usageMetadata"));
    case 'n':
        return gw_span_ends(before, GW_SPAN("finishReason")) ||
               (gw_span_starts(behind, GW_SPAN(":\"")) &&
                (gw_span_ends(before, GW_SPAN("\"finish_reason")) ||
                 gw_span_ends(before, GW_SPAN("stop_reason"))));
    case 't':
        return gw_span_ends(before, GW_SPAN("\"message_start"));
    default:
        return false;
    }
}

/* Most events say nothing for the record, and reading JSON twice for them would be waste. One walk for all names. */
bool respond_worth_a_look(const struct respond *r, struct gw_span data)
{
    const char *text = data.len == 0 ? "" : data.ptr;

    if (r->seen.model[0] == '\0')
        return true;
    for (const char *quote = text;
         (quote = memchr(quote, '"', (size_t)(text + data.len - quote))) != NULL; quote++)
        if (quote != text && is_telling((struct gw_span){text, (size_t)(quote - text)},
                                        gw_span_from(data, (size_t)(quote - text) + 1)))
            return true;
    return false;
}

/* For the record. */
static void look_at(struct req *req, struct gw_span data)
{
    struct respond *r = req->respond;

    respond_count_text(r, data);
    if (respond_worth_a_look(r, data))
        api_look(r->dialect, req->w->json, data, &r->seen);
}

enum gw_status respond_on_event(void *ctx, const struct sse_event *ev)
{
    struct req *req = ctx;
    struct respond *r = req->respond;
    struct sse_event left;
    bool shown;

    r->begun = r->begun || ev->has_data;
    r->torn = !ev->ended;
    if (ev->has_data && req->cache != REQ_CACHE_HIT)
        limits_progress_event(req, ev->data.len);
    respond_note_last(req, ev);
    if (r->mode == MODE_EVENTS)
        return ev->has_data ? api_reader_event(r->events, ev->name, ev->data) : GW_OK;
    shown = respond_unask(req, ev, &left);
    if (ev->has_data)
        look_at(req, shown ? left.data : ev->data);
    if (!shown)
        return GW_OK;
    if (r->mode == MODE_STREAM)
        return restream_event(r->restream, &left, &r->out);
    if (r->unask)
        gw_buf_add(&r->out, left.raw);
    return GW_OK;
}

static enum gw_status collect(struct req *req, struct gw_span bytes, size_t max)
{
    struct respond *r = req->respond;

    if (r->body.len + bytes.len > max)
        return GW_ELIMIT;
    /* It is collected, read into a tree and written anew. */
    if (!req_take_memory(req, (uint64_t)bytes.len * 4))
        return GW_ENOMEM;
    gw_buf_add(&r->body, bytes);
    return gw_buf_ok(&r->body) ? GW_OK : GW_ENOMEM;
}

/* Event by event: what usage brought is left out. */
static enum gw_status pass_unasked(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;
    enum gw_status st = sse_reader_feed(r->reader, bytes, respond_on_event, req);

    if (st == GW_ELIMIT) { /* no event of this API is so long: the rest goes on as it comes */
        gw_buf_add(&r->out, sse_reader_rest(r->reader));
        sse_reader_free(r->reader);
        r->reader = NULL;
        r->unask = false;
        r->begun = true;
        st = GW_OK;
    }
    return st == GW_OK ? respond_send(req, false) : st;
}

static enum gw_status pass(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;
    size_t room = MAX_COPY_BYTES - r->body.len;

    if (r->unask)
        return pass_unasked(req, bytes);
    if (respond_held(req, bytes))
        return gw_buf_ok(&r->body) ? GW_OK : GW_ENOMEM;
    respond_give(req, bytes);
    if (r->reader != NULL && sse_reader_feed(r->reader, bytes, respond_on_event, req) != GW_OK) {
        sse_reader_free(r->reader); /* not understood, passed on all the same */
        r->reader = NULL;
        r->begun = true;
    } else if (r->json && room != 0) {
        gw_buf_add(&r->body, (struct gw_span){bytes.ptr, bytes.len < room ? bytes.len : room});
    }
    return GW_OK;
}

static enum gw_status read_stream(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;
    enum gw_status st = sse_reader_feed(r->reader, bytes, respond_on_event, req);
    enum gw_status sent = respond_send(req, false); /* also what was made before a failure */

    return st != GW_OK ? st : sent;
}

enum gw_status respond_data(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;
    enum gw_status st;

    if (r->aws != NULL) {
        gw_buf_clear(&r->unpacked);
        GW_TRY(provider_aws_feed(r->aws, bytes, &r->unpacked));
        if (!gw_buf_ok(&r->unpacked))
            return GW_ENOMEM;
        bytes = gw_buf_span(&r->unpacked);
    }
    switch (r->mode) {
    case MODE_PASS:
        return pass(req, bytes);
    case MODE_WHOLE:
        return collect(req, bytes, MAX_WHOLE_BYTES);
    case MODE_COUNT:
    case MODE_ERROR:
        return collect(req, bytes, MAX_ERROR_BYTES);
    case MODE_EVENTS:
    case MODE_STREAM:
    default:
        if (r->reader == NULL && r->array == NULL)
            return collect(req, bytes, MAX_WHOLE_BYTES);
        st = r->array != NULL ? respond_array_feed(req, bytes) : read_stream(req, bytes);
        if (st == GW_OK)
            arm_hold_timer(req);
        return st;
    }
}

enum gw_status respond_event(struct req *req, const struct api_event *ev)
{
    enum gw_status st = on_api_event(req, ev), sent;

    if (ev->type == API_EVENT_DELTA)
        limits_progress(req, 1); /* the engine says a token at a time */

    sent = respond_send(req, ev->type == API_EVENT_END || ev->type == API_EVENT_ERROR);
    if (st != GW_OK || sent != GW_OK)
        return st != GW_OK ? st : sent;
    arm_hold_timer(req);
    return GW_OK;
}
