/* proxy/answer/respond_end.c - how answers end: complete, with what was collected, or cut. */
#include <stdio.h>

#include <event2/event.h>

#include "proxy/answer/respond_fields.h"
#include "proxy/answer/respond_private.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/conversation.h"
#include "proxy/request/count_tokens.h"
#include "proxy/request/request_private.h"

static const char *finish_name(enum api_finish f)
{
    static const char *const names[] = {
        [API_FINISH_NONE] = "",
        [API_FINISH_STOP] = "stop",
        [API_FINISH_STOP_SEQUENCE] = "stop_sequence",
        [API_FINISH_LENGTH] = "length",
        [API_FINISH_TOOL] = "tool_calls",
        [API_FINISH_FILTER] = "content_filter",
        [API_FINISH_REFUSAL] = "refusal",
        [API_FINISH_OTHER] = "other",
    };

    return names[f];
}

/* What follows this answer, by its id, stays where its conversation does. An id of ours is made of the request's (api.h). */
static void pin_answer(const struct req *req)
{
    unsigned zones = req_zones_kept(req);
    char own[GW_ULID_BYTES + 8];

    if (zones == GW_ZONES_ALL || req->ep.kind != ENDPOINT_CHAT || req->ep.dialect != API_RESPONSES)
        return;
    (void)snprintf(own, sizeof(own), "resp_%s", req->id);
    conversation_pin_answer(
        req, gw_span_str(req->respond->translate == NULL ? req->respond->seen.id : own), zones);
}

/* What the record says of the answer. */
static void note_seen(struct req *req)
{
    const struct respond *r = req->respond;
    struct gw_span finish = gw_span_str(r->seen.finish_reason), model = gw_span_str(r->seen.model);

    if (r->translate != NULL) {
        const struct translate_seen *seen = translate_seen(r->translate);

        finish = gw_span_str(finish_name(seen->finish));
        model = seen->model;
        req->n_restored = translate_restored(r->translate);
    } else if (r->restream != NULL) {
        req->n_restored = restream_count(r->restream);
    }
    respond_note_usage(req);
    pin_answer(req);
    req->finish_reason = gw_arena_copy(req->arena, finish);
    req->response_model = gw_arena_copy(req->arena, model);
    metrics_add(&req->w->metrics.restored, req->n_restored);
}

static enum gw_status end_whole(struct req *req)
{
    struct respond *r = req->respond;
    struct gw_arena *scratch = gw_arena_new((size_t)MAX_WHOLE_BYTES * 4);
    enum gw_status st = scratch == NULL ? GW_ENOMEM
                                        : filter_json(&r->filter, scratch, gw_buf_span(&r->body),
                                                      &r->out, &req->n_restored);

    gw_arena_free(scratch);
    /* Not JSON after all. Of an answer of a model nobody knows then what its texts are; an error is one text. */
    if (st == GW_EPARSE && (r->filter.scanner == NULL || req->status >= 300)) {
        gw_buf_clear(&r->out);
        st = filter_plain(&r->filter, gw_buf_span(&r->body), &r->out, &req->n_restored);
    }
    if (st != GW_OK)
        return st;
    api_look(r->dialect, req->w->json, gw_buf_span(&r->body), &r->seen);
    if (r->out.len == 0)
        respond_send_head(req, 0);
    return respond_send(req, true);
}

static enum gw_status end_events(struct req *req)
{
    struct respond *r = req->respond;
    enum gw_status st;

    if (r->reader != NULL) {
        st = sse_reader_finish(r->reader, respond_on_event, req);
        if (st == GW_OK)
            st = api_reader_end(r->events);
    } else {
        st = api_reader_whole(r->events, gw_buf_span(&r->body));
    }
    if (st != GW_OK)
        return st;
    if (translate_seen(r->translate)->failed && !conn_answer_started(req->conn))
        req->status = translate_seen(r->translate)->status;
    return respond_send(req, true);
}

static enum gw_status end_error(struct req *req)
{
    struct respond *r = req->respond;
    struct gw_json_node *root = NULL;
    struct api_failure f = {0};

    if (gw_json_tree(req->w->json, req->arena, gw_buf_span(&r->body),
                     &(struct gw_json_limits){0, 0, true}, &root, NULL) != GW_OK)
        root = NULL;
    api_read_error(r->dialect, req->status, root, req->arena, &f);
    f.status = req->status;
    api_write_error(req->ep.dialect, &f, req->id, &r->out);
    return respond_send(req, true);
}

static enum gw_status end_count(struct req *req)
{
    struct respond *r = req->respond;
    struct gw_json_node *root = NULL;
    uint64_t tokens = 0;

    GW_TRY(gw_json_tree(req->w->json, req->arena, gw_buf_span(&r->body),
                        &(struct gw_json_limits){0, 0, true}, &root, NULL));
    if (!count_tokens_read(r->dialect, root, &tokens))
        return GW_EPARSE;
    count_tokens_write(&r->out, req->ep.dialect, tokens);
    return respond_send(req, true);
}

static enum gw_status end_stream(struct req *req)
{
    struct respond *r = req->respond;

    GW_TRY(sse_reader_finish(r->reader, respond_on_event, req));
    return restream_finish(r->restream, &r->out);
}

/* ---- streams that have said their last event ------------------------------------------------ */

/* A provider may keep its answer open that long behind the last event. */
enum { LAST_MS = 500 };

static bool is_last(enum api_dialect dialect, const struct sse_event *ev)
{
    switch (dialect) {
    case API_CHAT:
    case API_COMPLETIONS:
        return gw_span_is(ev->data, "[DONE]");
    case API_RESPONSES:
        return gw_span_is(ev->name, "response.completed") ||
               gw_span_is(ev->name, "response.incomplete") ||
               gw_span_is(ev->name, "response.failed");
    case API_ANTHROPIC:
        return gw_span_is(ev->name, "message_stop");
    case API_GEMINI: /* has none */
    case API_DIALECT_COUNT:
    default:
        return false;
    }
}

static void on_last_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct req *req = ctx;

    (void)fd;
    (void)what;
    req->hold++;
    req_cancel_attempt(req); /* its connection is no use: nobody knows what it still sends */
    req_on_end(req);
    (void)req_unhold(req);
}

void respond_note_last(struct req *req, const struct sse_event *ev)
{
    const struct timeval tv = {0, (suseconds_t)LAST_MS * 1000};
    struct respond *r = req->respond;

    if (r->last != NULL || !ev->ended || req->ep.kind != ENDPOINT_CHAT || !is_last(r->dialect, ev))
        return;
    r->last = evtimer_new(req->w->base, on_last_timer, req);
    if (r->last != NULL) /* else the answer ends when the provider's does */
        (void)evtimer_add(r->last, &tv);
}

/* SDKs take a stream without a single event for a success. Events that are read and written anew are judged by their
 * reader. */
static bool is_empty_stream(const struct req *req)
{
    const struct respond *r = req->respond;

    return r->sse && !r->begun && (r->mode == MODE_PASS || r->mode == MODE_STREAM) &&
           req->status == 200 && req->ep.kind == ENDPOINT_CHAT;
}

/* Bytes that went through as they came: the last event, what the record wants to know, what waited with the head. */
static enum gw_status end_pass(struct req *req)
{
    struct respond *r = req->respond;

    if (r->reader != NULL)
        (void)sse_reader_finish(r->reader, respond_on_event, req);
    else if (r->json && r->body.len != 0)
        api_look(r->dialect, req->w->json, gw_buf_span(&r->body), &r->seen);
    if (r->holding)
        respond_send_held(req);
    else if (r->out.len != 0)
        return respond_send(req, false);
    return GW_OK;
}

enum gw_status respond_end(struct req *req)
{
    struct respond *r = req->respond;
    enum gw_status st = GW_OK, passed;

    if (r->aws != NULL)
        st = provider_aws_end(r->aws);
    switch (r->mode) {
    case MODE_PASS:
        passed = end_pass(req);
        st = st == GW_OK ? passed : st;
        break;
    case MODE_WHOLE:
        st = st == GW_OK ? end_whole(req) : st;
        break;
    case MODE_STREAM:
        if (st == GW_OK)
            st = r->array != NULL ? respond_array_end(req) : end_stream(req);
        if (st == GW_OK)
            st = respond_send(req, false);
        break;
    case MODE_EVENTS:
        if (r->events != NULL && st == GW_OK)
            st = end_events(req);
        break;
    case MODE_COUNT:
        st = st == GW_OK ? end_count(req) : st;
        break;
    case MODE_ERROR:
    default:
        st = end_error(req);
        break;
    }
    if (st == GW_OK && is_empty_stream(req))
        st = GW_ENOENT;
    if (st == GW_OK)
        note_seen(req);
    return st;
}

void respond_abandon(struct req *req)
{
    if (req->respond != NULL)
        note_seen(req);
}

bool respond_failed(const struct req *req)
{
    const struct respond *r = req->respond;

    return r != NULL && r->translate != NULL && translate_seen(r->translate)->failed;
}

/* Part of an event has gone out as it came: an event of ours would become a part of it, and a client that is given neither
 * sees a stream that was cut. */
static bool is_torn(const struct respond *r)
{
    return r->mode == MODE_PASS && !r->unask &&
           (r->torn || r->reader == NULL || sse_reader_pending(r->reader) != 0);
}

bool respond_cut(struct req *req, const struct api_failure *failure)
{
    struct respond *r = req->respond;
    const struct api_event ev = {.type = API_EVENT_ERROR, .failure = *failure};
    bool started = conn_answer_started(req->conn), told = true;

    gw_buf_clear(&r->out);
    if (!started) {
        /* Nothing was sent: the failure can still be told properly. */
        req->status = failure->status;
        gw_buf_clear(&r->fields);
        respond_fields_type(&r->fields, "application/json");
        respond_fields_copy(req, &r->fields, NULL, 0, true);
        api_write_error(req->ep.dialect, failure, req->id, &r->out);
    } else if (r->translate != NULL) {
        told = translate_put(r->translate, &ev, &r->out) == GW_OK;
    } else if (r->array != NULL) {
        struct gw_buf object = {0};

        api_write_error(req->ep.dialect, failure, req->id, &object);
        json_array_write(&r->out, conn_answer_bytes(req->conn) == 0, gw_buf_span(&object));
        json_array_write_end(&r->out, false);
        gw_buf_fini(&object);
    } else if (r->sse && !is_torn(r)) {
        api_write_stream_error(req->ep.dialect, failure, &r->out);
    } else {
        told = false;
    }
    if (respond_send(req, !started) != GW_OK)
        told = false;
    note_seen(req);
    return told && !started;
}
