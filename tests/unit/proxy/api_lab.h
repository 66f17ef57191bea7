/* tests/unit/proxy/api_lab.h - dialects on the bench: requests and answers in one, out in another, as text. */
#ifndef TESTS_UNIT_PROXY_API_LAB_H
#define TESTS_UNIT_PROXY_API_LAB_H

#include <stdlib.h>
#include <string.h>

#include "proxy/api/api.h"
#include "proxy/http/sse.h"
#include "tests/test.h"

/* What became of a request. */
struct lab_request {
    enum gw_status st;
    struct gw_buf body, dropped;
    struct gw_err err;
    char param[160];
};

/* Reads body in one dialect and writes it in another, for the model "m2"; to count it only, or to answer it. */
static inline void lab_translate_for(enum api_dialect from, enum api_dialect to, const char *body,
                                     bool counting, struct lab_request *out)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct api_request req = {.model = GW_SPAN("m1")};
    struct gw_json_node *root = NULL;
    const char *param = NULL;

    *out = (struct lab_request){0};
    out->st = gw_json_tree(json, arena, gw_span_str(body), NULL, &root, &out->err);
    if (out->st == GW_OK)
        out->st = api_read_request(from, root, arena, &req, &param, &out->err);
    req.counting = counting;
    if (out->st == GW_OK)
        out->st = api_write_request(to, &req, GW_SPAN("m2"), arena, &out->body, &out->dropped,
                                    &param, &out->err);
    if (param != NULL)
        snprintf(out->param, sizeof(out->param), "%s", param);
    gw_json_free(json);
    gw_arena_free(arena);
}

static inline void lab_translate(enum api_dialect from, enum api_dialect to, const char *body,
                                 struct lab_request *out)
{
    lab_translate_for(from, to, body, false, out);
}

static inline void lab_forget(struct lab_request *r)
{
    gw_buf_fini(&r->body);
    gw_buf_fini(&r->dropped);
}

/* The written body is exactly want, and dropped names exactly those paths. */
static inline bool lab_gives(enum api_dialect from, enum api_dialect to, const char *body,
                             const char *want, const char *dropped)
{
    struct lab_request r = {0};
    bool ok;

    lab_translate(from, to, body, &r);
    ok = r.st == GW_OK && gw_span_is(gw_buf_span(&r.body), want) &&
         gw_span_is(gw_buf_span(&r.dropped), dropped);
    if (!ok)
        fprintf(stderr, "  status %s %s\n  body    %s\n  want    %s\n  dropped %s\n",
                gw_status_name(r.st), r.st == GW_OK ? "" : r.err.text,
                r.body.ptr == NULL ? "" : r.body.ptr, want,
                r.dropped.ptr == NULL ? "" : r.dropped.ptr);
    lab_forget(&r);
    return ok;
}

/* It is refused with that status, for that parameter; nothing was written. */
static inline bool lab_refuses(enum api_dialect from, enum api_dialect to, const char *body,
                               enum gw_status st, const char *param)
{
    struct lab_request r = {0};
    bool ok;

    lab_translate(from, to, body, &r);
    ok = r.st == st && strcmp(r.param, param) == 0 && r.body.len == 0 && r.err.text[0] != '\0';
    if (!ok)
        fprintf(stderr, "  status %s, param %s: %s\n  body %s\n", gw_status_name(r.st), r.param,
                r.st == GW_OK ? "" : r.err.text, r.body.ptr == NULL ? "" : r.body.ptr);
    lab_forget(&r);
    return ok;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* From a reader to a writer, and the events as text on the way. */
struct lab_answer {
    enum gw_status st;
    struct gw_buf out;    /* what the client gets */
    struct gw_buf events; /* "start(id,model) text( delta:Hi ) ..." */
    struct api_writer *writer;
    struct api_reader *reader;
};

static inline void lab_note(struct gw_buf *b, const struct api_event *ev)
{
    static const char *const kinds[] = {"text", "reasoning", "refusal", "tool"};
    static const char *const finishes[] = {"none", "stop",   "stop_sequence", "length",
                                           "tool", "filter", "refusal",       "other"};

    switch (ev->type) {
    case API_EVENT_START:
        gw_buf_printf(b, "start(%.*s,%.*s) ", (int)ev->id.len, ev->id.ptr, (int)ev->model.len,
                      ev->model.ptr);
        break;
    case API_EVENT_BLOCK:
        gw_buf_printf(b, "%u.%u:%s", ev->choice, ev->block, kinds[ev->kind]);
        if (ev->kind == API_BLOCK_TOOL)
            gw_buf_printf(b, "(%.*s,%.*s)", (int)ev->id.len, ev->id.ptr, (int)ev->name.len,
                          ev->name.ptr);
        gw_buf_adds(b, "[ ");
        break;
    case API_EVENT_DELTA:
        gw_buf_add(b, ev->text);
        gw_buf_addc(b, ' ');
        break;
    case API_EVENT_SIGNATURE:
        gw_buf_printf(b, "sig:%.*s ", (int)ev->text.len, ev->text.ptr);
        break;
    case API_EVENT_BLOCK_END:
        gw_buf_adds(b, "] ");
        break;
    case API_EVENT_FINISH:
        gw_buf_printf(b, "%u.finish(%s%s%.*s) ", ev->choice, finishes[ev->finish],
                      ev->text.len == 0 ? "" : ":", (int)ev->text.len, ev->text.ptr);
        break;
    case API_EVENT_USAGE:
        gw_buf_printf(b, "usage(%u,%u,%u,%u,%u) ", (unsigned)ev->usage.input,
                      (unsigned)ev->usage.output, (unsigned)ev->usage.cached,
                      (unsigned)ev->usage.cache_write, (unsigned)ev->usage.reasoning);
        break;
    case API_EVENT_ERROR:
        gw_buf_printf(b, "error(%u,%s,%s) ", ev->failure.status,
                      ev->failure.code == NULL ? "-" : ev->failure.code, ev->failure.message);
        break;
    case API_EVENT_END:
    default:
        gw_buf_adds(b, "end");
        break;
    }
}

static inline enum gw_status lab_on_event(void *ctx, const struct api_event *ev)
{
    struct lab_answer *a = ctx;

    lab_note(&a->events, ev);
    return api_writer_put(a->writer, ev, &a->out);
}

static inline enum gw_status lab_on_sse(void *ctx, const struct sse_event *ev)
{
    struct lab_answer *a = ctx;

    return ev->has_data ? api_reader_event(a->reader, ev->name, ev->data) : GW_OK;
}

/* Feeds a stream in two pieces cut at `at`, the second one in pieces of `step` bytes. */
static inline enum gw_status lab_feed(struct lab_answer *a, struct gw_span text, size_t at,
                                      size_t step)
{
    struct sse_reader *sse = sse_reader_new(0);
    enum gw_status st = sse_reader_feed(sse, (struct gw_span){text.ptr, at}, lab_on_sse, a);

    for (; st == GW_OK && at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        st = sse_reader_feed(sse, (struct gw_span){text.ptr + at, n}, lab_on_sse, a);
    }
    if (st == GW_OK)
        st = sse_reader_finish(sse, lab_on_sse, a);
    if (st == GW_OK)
        st = api_reader_end(a->reader);
    sse_reader_free(sse);
    return st;
}

/* How an answer is given and wanted. Zero: whole, whole. */
struct lab_how {
    bool from_stream, to_stream;
    bool include_usage, json_array;
    size_t at, step; /* of a stream's pieces; step 0: all at once */
};

/* Reads an answer in one dialect and writes it in another; the caller forgets *a. */
static inline void lab_answer(enum api_dialect from, enum api_dialect to, const char *text,
                              struct lab_how how, struct lab_answer *a)
{
    const struct api_writer_config cfg = {.dialect = to,
                                          .stream = how.to_stream,
                                          .json_array = how.json_array,
                                          .include_usage = how.include_usage,
                                          .id = "01TEST",
                                          .created = 1700000000,
                                          .model = GW_SPAN("asked")};
    struct gw_json *json = gw_json_new();
    struct gw_span s = gw_span_str(text);

    *a = (struct lab_answer){0};
    a->writer = api_writer_new(&cfg);
    a->reader = api_reader_new(from, json, lab_on_event, a);
    if (how.from_stream)
        a->st = lab_feed(a, s, how.at, how.step == 0 ? s.len + 1 : how.step);
    else
        a->st = api_reader_whole(a->reader, s);
    api_reader_free(a->reader);
    api_writer_free(a->writer);
    gw_json_free(json);
}

static inline void lab_forget_answer(struct lab_answer *a)
{
    gw_buf_fini(&a->out);
    gw_buf_fini(&a->events);
}

/* The answer is read without a failure, and what a client gets, or what the events say, is exactly want. */
static inline bool lab_answers(enum api_dialect from, enum api_dialect to, const char *text,
                               struct lab_how how, bool as_events, const char *want)
{
    struct lab_answer a = {0};
    struct gw_buf *got = as_events ? &a.events : &a.out;
    bool ok;

    lab_answer(from, to, text, how, &a);
    ok = a.st == GW_OK && gw_span_is(gw_buf_span(got), want);
    if (!ok)
        fprintf(stderr, "  status %s\n  got  %s\n  want %s\n", gw_status_name(a.st),
                got->ptr == NULL ? "" : got->ptr, want);
    lab_forget_answer(&a);
    return ok;
}

#endif
