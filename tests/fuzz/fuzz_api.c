/* Fuzz target: the dialects. The first byte picks what is read as what and written as what; the rest is a body, or a stream's
 * events as lines of data.
 *
 * Checked: a request that is written is a strict JSON object that holds the model's name, and one that is refused says why
 * and writes nothing. Events keep their order: START first, blocks of a choice one after the other, nothing behind END or
 * ERROR. What a client gets is strict JSON, whole or event by event. The errors, looks and texts are run as well. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api/api.h"
#include "proxy/http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20, CHOICES = 128 };

static struct gw_json *checker; /* of what is written; apart from the readers' own */

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Strict JSON, of any depth: embedded JSON adds levels. */
static bool is_json(struct gw_span text, enum gw_json_type first)
{
    const struct gw_json_limits deep = {.max_depth = 500, .max_keys = 1000000};
    struct gw_json_tok tok;

    gw_json_start(checker, text, &deep);
    if (gw_json_next(checker, &tok) != first)
        return false;
    while (tok.type != GW_JSON_END && tok.type != GW_JSON_ERROR)
        gw_json_next(checker, &tok);
    return tok.type == GW_JSON_END;
}

/* ---- requests --------------------------------------------------------------------------- */

static void fuzz_request(enum api_dialect from, enum api_dialect to, struct gw_span body)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct gw_json *json = gw_json_new();
    struct api_request req = {.model = GW_SPAN("path-model")};
    struct gw_json_node *root = NULL;
    struct gw_buf out = {0}, dropped = {0};
    struct gw_err err = {0};
    const char *param = NULL;
    enum gw_status st;

    need(arena != NULL && json != NULL);
    if (gw_json_tree(json, arena, body, NULL, &root, NULL) != GW_OK)
        goto out;
    st = api_read_request(from, root, arena, &req, &param, &err);
    if (st != GW_OK) {
        need(err.text[0] != '\0');
        goto out;
    }
    need((req.bad == NULL) == (req.bad_param == NULL));
    for (unsigned i = 0; i < req.n_messages; i++)
        (void)api_message_text(&req.messages[i], arena);
    st = api_write_request(to, &req, GW_SPAN("the-model"), arena, &out, &dropped, &param, &err);
    if (st == GW_OK) {
        need(is_json(gw_buf_span(&out), GW_JSON_OBJECT_BEGIN));
        need(to == API_GEMINI || memmem(out.ptr, out.len, "\"the-model\"", 11) != NULL);
        need(req.bad == NULL);
    } else {
        need(out.len == 0 && dropped.len == 0 && err.text[0] != '\0');
    }
    for (size_t i = 0; i < dropped.len; i++) /* it becomes a header field */
        need(dropped.ptr[i] >= ' ' && dropped.ptr[i] <= '~');
out:
    gw_buf_fini(&out);
    gw_buf_fini(&dropped);
    gw_json_free(json);
    gw_arena_free(arena);
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Between a reader and a writer: the order of events, and what comes out. */
struct answer {
    struct api_writer *writer;
    struct gw_buf out;
    bool started, ended;
    struct {
        bool open, finished;
        unsigned next;
        enum api_block kind;
    } choices[CHOICES];
};

/* Blocks of a choice: opened, filled, ended, one after the other, none behind its FINISH. */
static void check_choice(struct answer *a, const struct api_event *ev)
{
    need(ev->choice < CHOICES && !a->choices[ev->choice].finished);
    if (ev->type == API_EVENT_BLOCK) {
        need(!a->choices[ev->choice].open && ev->block == a->choices[ev->choice].next);
        a->choices[ev->choice].open = true;
        a->choices[ev->choice].kind = ev->kind;
        return;
    }
    if (ev->type == API_EVENT_FINISH) {
        need(!a->choices[ev->choice].open && ev->finish != API_FINISH_NONE);
        a->choices[ev->choice].finished = true;
        return;
    }
    need(a->choices[ev->choice].open && ev->block == a->choices[ev->choice].next);
    need(ev->type == API_EVENT_SIGNATURE || ev->kind == a->choices[ev->choice].kind);
    if (ev->type == API_EVENT_BLOCK_END) {
        a->choices[ev->choice].open = false;
        a->choices[ev->choice].next++;
    }
}

static enum gw_status on_event(void *ctx, const struct api_event *ev)
{
    struct answer *a = ctx;

    need(!a->ended);
    switch (ev->type) {
    case API_EVENT_START:
        need(!a->started);
        a->started = true;
        break;
    case API_EVENT_ERROR:
        need(ev->failure.status >= 400 && ev->failure.message != NULL);
        a->ended = true;
        break;
    case API_EVENT_END:
        need(a->started);
        for (unsigned i = 0; i < CHOICES; i++)
            need(!a->choices[i].open);
        a->ended = true;
        break;
    case API_EVENT_USAGE:
        need(a->started);
        break;
    case API_EVENT_BLOCK:
    case API_EVENT_DELTA:
    case API_EVENT_SIGNATURE:
    case API_EVENT_BLOCK_END:
    case API_EVENT_FINISH:
    default:
        need(a->started);
        check_choice(a, ev);
        break;
    }
    return api_writer_put(a->writer, ev, &a->out);
}

/* What a client reads of a stream. */
static enum gw_status check_event(void *ctx, const struct sse_event *ev)
{
    (void)ctx;
    if (ev->has_data && !gw_span_is(ev->data, "[DONE]"))
        need(is_json(ev->data, GW_JSON_OBJECT_BEGIN));
    return GW_OK;
}

static void check_out(const struct answer *a, const struct api_writer_config *cfg)
{
    struct gw_span text = gw_buf_span(&a->out);
    struct sse_reader *r;

    if (cfg->stream && cfg->json_array) {
        if (a->ended)
            need(is_json(text, GW_JSON_ARRAY_BEGIN));
    } else if (cfg->stream) {
        r = sse_reader_new(0);
        need(r != NULL && sse_reader_feed(r, text, check_event, NULL) == GW_OK);
        need(sse_reader_pending(r) == 0); /* complete events only */
        sse_reader_free(r);
    } else if (a->ended) {
        need(is_json(text, GW_JSON_OBJECT_BEGIN));
    }
}

/* Each line is an event's data; "name|data" gives its name too. */
static enum gw_status feed(struct api_reader *r, struct gw_span text)
{
    enum gw_status st = GW_OK;

    while (st == GW_OK && text.len != 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct gw_span data = {text.ptr, end == NULL ? text.len : (size_t)(end - text.ptr)};
        struct gw_span name = {NULL, 0};
        const char *bar = data.len == 0 ? NULL : memchr(data.ptr, '|', data.len);

        text = gw_span_from(text, data.len + 1);
        if (bar != NULL && bar - data.ptr < 40 && data.ptr[0] != '{') {
            name = (struct gw_span){data.ptr, (size_t)(bar - data.ptr)};
            data = gw_span_from(data, name.len + 1);
        }
        st = api_reader_event(r, name, data);
    }
    return st == GW_OK ? api_reader_end(r) : st;
}

static void fuzz_answer(enum api_dialect from, const struct api_writer_config *cfg, bool stream,
                        struct gw_span text)
{
    struct gw_json *json = gw_json_new();
    struct answer a = {.writer = api_writer_new(cfg)};
    struct api_reader *r = api_reader_new(from, json, on_event, &a);
    struct api_seen seen = {0};
    enum gw_status st;

    need(json != NULL && a.writer != NULL && r != NULL);
    st = stream ? feed(r, text) : api_reader_whole(r, text);
    if (st == GW_OK)
        need(a.ended);
    if (!stream && st == GW_EPARSE)
        need(!a.ended);
    check_out(&a, cfg);
    api_look(from, json, text, &seen);
    need(memchr(seen.finish_reason, '\0', sizeof(seen.finish_reason)) != NULL);
    need(memchr(seen.model, '\0', sizeof(seen.model)) != NULL);
    gw_buf_fini(&a.out);
    api_reader_free(r);
    api_writer_free(a.writer);
    gw_json_free(json);
}

/* ---- errors ----------------------------------------------------------------------------- */

static void fuzz_error(enum api_dialect from, enum api_dialect to, struct gw_span body)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct gw_json *json = gw_json_new();
    struct gw_json_node *root = NULL;
    struct gw_buf out = {0};
    struct api_failure f;

    need(arena != NULL && json != NULL);
    if (gw_json_tree(json, arena, body, NULL, &root, NULL) != GW_OK)
        root = NULL;
    api_read_error(from, 429, root, arena, &f);
    need(f.status == 429 && f.message != NULL);
    api_write_error(to, &f, "01FUZZ", &out);
    need(is_json(gw_buf_span(&out), GW_JSON_OBJECT_BEGIN));
    gw_buf_fini(&out);
    gw_json_free(json);
    gw_arena_free(arena);
}

/* The first byte: 25 pairs of dialects times 8 ways: request, whole or streamed answer to whole or stream, error. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned pair, way;
    struct gw_span text;
    struct api_writer_config cfg = {.id = "01FUZZ", .created = 1, .model = GW_SPAN("asked")};
    enum api_dialect from;

    if (checker == NULL)
        checker = gw_json_new();
    need(checker != NULL);
    if (size == 0)
        return 0;
    pair = data[0] % 25;
    way = data[0] / 25;
    text = (struct gw_span){(const char *)data + 1, size - 1};
    from = (enum api_dialect)(pair % 5);
    cfg.dialect = (enum api_dialect)(pair / 5);
    if (way < 4) {
        cfg.stream = (way & 1) != 0;
        cfg.include_usage = true;
        fuzz_answer(from, &cfg, (way & 2) != 0, text);
    } else if (way < 7) {
        fuzz_request(from, cfg.dialect, text);
    } else if (way == 7) {
        fuzz_error(from, cfg.dialect, text);
    } else {
        cfg.stream = cfg.json_array = true;
        cfg.dialect = API_GEMINI;
        fuzz_answer(from, &cfg, true, text);
    }
    return 0;
}
