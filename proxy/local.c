/* proxy/local.c - runs a chat request on the engine and renders its tokens as OpenAI's answers. Worker's
 * thread; the engine's own threads meet it only in the channel. */
#include "proxy/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/request_private.h"
#include "proxy/worker.h"

enum { MAX_LOCAL_MS = 600000 };

struct attempt {
    struct req *req;
    struct engine_chan *chan;
    uint64_t id;
    char answer_id[48];
    struct api_answer answer;
    struct gw_buf text; /* the whole answer, or what a slow client has not been given yet */
    bool stream, began, paused;
};

static void attempt_free(struct attempt *a)
{
    gw_buf_fini(&a->text);
    free(a);
}

static enum gw_status check(const struct req *req, struct gw_err *err)
{
    if (req->endpoint != REQ_ENDPOINT_CHAT)
        return gw_fail(err, GW_EUNSUPPORTED, "the local model answers chat completions only");
    if (req->chat.local_unsupported != NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "the local model does not support %s",
                       req->chat.local_unsupported);
    return GW_OK;
}

static enum gw_status submit(struct attempt *a, const struct api_chat *chat, struct gw_err *err)
{
    struct engine_message *m = gw_arena_array(a->req->arena, chat->n_messages, sizeof(*m));
    struct engine_params p = chat->params;

    if (m == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < chat->n_messages; i++)
        m[i] = (struct engine_message){chat->messages[i].role, chat->messages[i].content};
    p.deadline_ns = gw_clock_ns() + (uint64_t)MAX_LOCAL_MS * GW_NS_PER_MS;
    return engine_submit(a->chan, m, chat->n_messages, &p, a, &a->id, err);
}

static enum gw_status local_start(struct req *req, unsigned target, struct gw_err *err)
{
    struct api_chat chat = req->chat;
    struct attempt *a;
    enum gw_status st;

    GW_TRY(check(req, err));
    if (req->edited) { /* policy edits for the local model too (scope: always) */
        const char *param;

        GW_TRY(api_chat_parse(req->w->json, req->arena, req_out_body(req), &chat, &param, err));
    }
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    a->req = req;
    a->chan = req->w->engines[target];
    a->stream = chat.stream;
    (void)snprintf(a->answer_id, sizeof(a->answer_id), "chatcmpl-%s", req->id);
    a->answer = (struct api_answer){
        .id = a->answer_id, .created = gw_clock_wall_ms() / 1000, .model = req->out_model};
    st = a->chan == NULL ? gw_fail(err, GW_EAGAIN, "the local model is not loaded")
                         : submit(a, &chat, err);
    if (st != GW_OK) {
        attempt_free(a);
        return st;
    }
    req->attempt = a;
    return GW_OK;
}

static void local_cancel(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a == NULL)
        return;
    req->attempt = NULL;
    engine_cancel(a->chan, a->id);
    attempt_free(a);
}

/* ---- answers ---------------------------------------------------------------------------- */

static void give_head(struct attempt *a, int64_t length)
{
    const struct http1_field type = {GW_SPAN("Content-Type"), a->stream
                                                                  ? GW_SPAN("text/event-stream")
                                                                  : GW_SPAN("application/json")};

    a->began = true;
    req_on_head(a->req, 200, &type, 1, length);
}

/* The request may be over afterwards, and a with it: callers hold the request and ask. */
static void give(struct attempt *a, struct gw_buf *bytes)
{
    if (gw_buf_ok(bytes) && gw_buf_ok(&a->text))
        req_on_data(a->req, gw_buf_span(bytes));
    else
        req_on_error(a->req, REQ_FAIL_UPSTREAM, "out of memory");
    gw_buf_fini(bytes);
}

static void give_text(struct attempt *a)
{
    struct gw_buf out = {0};

    if (a->text.len == 0 && gw_buf_ok(&a->text))
        return;
    if (gw_buf_ok(&a->text)) {
        api_stream_text(&out, &a->answer, gw_buf_span(&a->text));
        gw_buf_clear(&a->text);
    }
    give(a, &out);
}

static void on_start(struct attempt *a, const struct engine_event *ev)
{
    struct req *req = a->req;
    struct gw_buf out = {0};

    a->answer.prompt_tokens = ev->prompt_tokens;
    if (!a->stream)
        return;
    req->hold++;
    give_head(a, -1);
    if (!req->finished) {
        api_stream_begin(&out, &a->answer);
        give(a, &out);
    }
    (void)req_unhold(req);
}

static void on_text(struct attempt *a, const struct engine_event *ev)
{
    gw_buf_add(&a->text, gw_buf_span(&ev->text));
    if (a->stream && !a->paused)
        give_text(a);
}

static enum req_failure failure_of(enum gw_status st)
{
    if (st == GW_ELIMIT)
        return REQ_FAIL_TOO_LONG;
    return st == GW_ETIMEDOUT ? REQ_FAIL_TIMEOUT : REQ_FAIL_UPSTREAM;
}

/* The whole answer, or the rest of the stream. Each step may end the request, which the caller holds. */
static void give_rest(struct attempt *a, const struct engine_event *ev)
{
    struct req *req = a->req;
    struct gw_buf out = {0};

    a->answer.prompt_tokens = ev->prompt_tokens;
    a->answer.completion_tokens = ev->completion_tokens;
    a->answer.finish_reason = ev->finish == ENGINE_FINISH_LENGTH ? "length" : "stop";
    if (a->stream) {
        if (!a->began)
            give_head(a, -1);
        if (!req->finished)
            give_text(a);
        api_stream_end(&out, &a->answer, req->chat.include_usage);
    } else {
        api_answer_json(&out, &a->answer, gw_buf_span(&a->text));
        give_head(a, (int64_t)out.len);
    }
    if (!req->finished)
        give(a, &out);
    gw_buf_fini(&out);
    if (!req->finished)
        req_on_end(req);
}

static void on_done(struct attempt *a, const struct engine_event *ev)
{
    struct req *req = a->req;

    req->attempt = NULL;
    req->hold++;
    if (ev->status != GW_OK)
        req_on_error(req, failure_of(ev->status), ev->error);
    else
        give_rest(a, ev);
    attempt_free(a);
    (void)req_unhold(req);
}

void local_dispatch(struct worker *w, unsigned target)
{
    struct engine_event ev;

    while (engine_chan_next(w->engines[target], &ev)) {
        struct attempt *a = ev.ctx;

        if (ev.type == ENGINE_EVENT_START)
            on_start(a, &ev);
        else if (ev.type == ENGINE_EVENT_TEXT)
            on_text(a, &ev);
        else
            on_done(a, &ev);
        gw_buf_fini(&ev.text);
    }
}

static void local_pause(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a != NULL)
        a->paused = true; /* text is kept, which max_tokens bounds */
}

static void local_resume(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a == NULL || !a->paused)
        return;
    a->paused = false;
    if (a->stream && a->began)
        give_text(a);
}

const struct backend backend_engine = {"engine", local_start, local_cancel, local_pause,
                                       local_resume};
