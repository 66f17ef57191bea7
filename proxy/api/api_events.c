/* proxy/api/api_events.c - the life of readers and writers of answers, and the events between them. Pure; one thread at a time
 * per object. */
#include <stdlib.h>
#include <string.h>

#include "proxy/api/api_private.h"

/* The tree of an answer of 64 MiB with ordinary texts fits; one of tiny values is refused before it grows beyond. */
enum { MAX_READER_BYTES = 256 << 20, MAX_WRITER_BYTES = 256 << 20, MAX_ANSWER_KEYS = 1000000 };

/* ---- readers ---------------------------------------------------------------------------- */

struct api_reader *api_reader_new(enum api_dialect d, struct gw_json *json, api_event_fn fn,
                                  void *ctx)
{
    const struct api_ops *ops = api_ops_of(d);
    struct api_reader *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->ops = ops;
    r->json = json;
    r->fn = fn;
    r->ctx = ctx;
    r->arena = gw_arena_new(MAX_READER_BYTES);
    r->state = calloc(1, ops->reader_size + 1);
    if (r->arena == NULL || r->state == NULL) {
        api_reader_free(r);
        return NULL;
    }
    return r;
}

void api_reader_free(struct api_reader *r)
{
    if (r == NULL)
        return;
    if (r->ops->reader_fini != NULL && r->state != NULL)
        r->ops->reader_fini(r);
    gw_arena_free(r->arena);
    free(r->state);
    free(r);
}

/* Reads text as a tree into the emptied arena. */
static enum gw_status read_tree(struct api_reader *r, struct gw_span text,
                                struct gw_json_node **root)
{
    const struct gw_json_limits limits = {.max_keys = MAX_ANSWER_KEYS,
                                          .allow_duplicate_keys = true};

    gw_arena_reset(r->arena);
    return gw_json_tree(r->json, r->arena, text, &limits, root, NULL);
}

enum gw_status api_reader_whole(struct api_reader *r, struct gw_span body)
{
    struct gw_json_node *root = NULL;

    if (r->ops->read_whole == NULL)
        return GW_EUNSUPPORTED;
    GW_TRY(read_tree(r, body, &root));
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN) && !gw_json_is(root, GW_JSON_ARRAY_BEGIN))
        return GW_EPARSE;
    GW_TRY(r->ops->read_whole(r, root));
    return gw_arena_failed(r->arena) ? GW_ENOMEM : api_emit_end(r);
}

enum gw_status api_reader_event(struct api_reader *r, struct gw_span name, struct gw_span data)
{
    struct gw_json_node *root = NULL;
    enum gw_status st;

    if (r->ops->read_event == NULL)
        return GW_EUNSUPPORTED;
    if (r->ended)
        return GW_OK;
    st = read_tree(r, data, &root);
    if (st == GW_EPARSE)
        root = NULL;
    else if (st != GW_OK)
        return st;
    st = r->ops->read_event(r, name, data, root);
    /* A text that was not decoded looks like one that was not there. */
    return st == GW_OK && gw_arena_failed(r->arena) ? GW_ENOMEM : st;
}

enum gw_status api_reader_end(struct api_reader *r)
{
    if (!r->ended && r->ops->read_end != NULL)
        GW_TRY(r->ops->read_end(r));
    return api_emit_truncated(r);
}

/* ---- events ----------------------------------------------------------------------------- */

enum gw_status api_emit(struct api_reader *r, const struct api_event *ev)
{
    if (r->ended)
        return GW_OK;
    if (!r->started && ev->type != API_EVENT_ERROR) {
        const struct api_event start = {.type = API_EVENT_START};

        r->started = true;
        if (ev->type != API_EVENT_START)
            GW_TRY(r->fn(r->ctx, &start));
    }
    r->ended = ev->type == API_EVENT_END || ev->type == API_EVENT_ERROR;
    return r->fn(r->ctx, ev);
}

enum gw_status api_emit_start(struct api_reader *r, struct gw_span id, struct gw_span model,
                              const struct api_usage *usage)
{
    const struct api_event ev = {
        .type = API_EVENT_START, .id = id, .model = model, .usage = *usage};

    return r->started ? GW_OK : api_emit(r, &ev);
}

enum gw_status api_emit_block(struct api_reader *r, unsigned choice, unsigned block,
                              enum api_block kind, struct gw_span id, struct gw_span name)
{
    const struct api_event ev = {.type = API_EVENT_BLOCK,
                                 .choice = choice,
                                 .block = block,
                                 .kind = kind,
                                 .id = id,
                                 .name = name};

    return api_emit(r, &ev);
}

enum gw_status api_emit_delta(struct api_reader *r, unsigned choice, unsigned block,
                              enum api_block kind, struct gw_span text)
{
    const struct api_event ev = {
        .type = API_EVENT_DELTA, .choice = choice, .block = block, .kind = kind, .text = text};

    return text.len == 0 ? GW_OK : api_emit(r, &ev);
}

enum gw_status api_emit_block_end(struct api_reader *r, unsigned choice, unsigned block,
                                  enum api_block kind)
{
    const struct api_event ev = {
        .type = API_EVENT_BLOCK_END, .choice = choice, .block = block, .kind = kind};

    return api_emit(r, &ev);
}

enum gw_status api_emit_finish(struct api_reader *r, unsigned choice, enum api_finish finish,
                               struct gw_span stop)
{
    const struct api_event ev = {
        .type = API_EVENT_FINISH, .choice = choice, .finish = finish, .text = stop};

    return api_emit(r, &ev);
}

enum gw_status api_emit_usage(struct api_reader *r, const struct api_usage *usage)
{
    const struct api_event ev = {.type = API_EVENT_USAGE, .usage = *usage};

    return api_emit(r, &ev);
}

enum gw_status api_emit_error(struct api_reader *r, const struct api_failure *f)
{
    const struct api_event ev = {.type = API_EVENT_ERROR, .failure = *f};

    return api_emit(r, &ev);
}

enum gw_status api_emit_end(struct api_reader *r)
{
    const struct api_event ev = {.type = API_EVENT_END};

    return api_emit(r, &ev);
}

enum gw_status api_emit_truncated(struct api_reader *r)
{
    const struct api_failure f = {.status = 502,
                                  .type = "server_error",
                                  .code = "upstream_truncated",
                                  .message = "The provider's answer broke off before its end."};

    return api_emit_error(r, &f);
}

enum gw_status api_emit_malformed(struct api_reader *r)
{
    const struct api_failure f = {.status = 502,
                                  .type = "server_error",
                                  .code = "upstream_malformed",
                                  .message = "The provider's answer is not what its API says."};

    return api_emit_error(r, &f);
}

enum gw_status api_emit_unsupported(struct api_reader *r)
{
    const struct api_failure f = {
        .status = 502,
        .type = "server_error",
        .code = "unsupported_answer",
        .message = "The provider's answer holds a part that cannot be said in the client's API."};

    return api_emit_error(r, &f);
}

/* ---- writers ---------------------------------------------------------------------------- */

/* Copies what the caller need not keep. */
static bool copy_config(struct api_writer *w, const struct api_writer_config *cfg)
{
    struct gw_span id = gw_arena_copy(w->arena, gw_span_str(cfg->id == NULL ? "" : cfg->id));

    w->cfg = *cfg;
    w->cfg.id = id.ptr;
    w->cfg.model = gw_arena_copy(w->arena, cfg->model);
    w->model = w->cfg.model;
    return id.ptr != NULL && w->cfg.model.ptr != NULL;
}

struct api_writer *api_writer_new(const struct api_writer_config *cfg)
{
    const struct api_ops *ops = api_ops_of(cfg->dialect);
    struct api_writer *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->ops = ops;
    w->arena = gw_arena_new(MAX_WRITER_BYTES);
    w->state = calloc(1, ops->writer_size + 1);
    if (w->arena == NULL || w->state == NULL || !copy_config(w, cfg)) {
        api_writer_free(w);
        return NULL;
    }
    return w;
}

void api_writer_free(struct api_writer *w)
{
    if (w == NULL)
        return;
    if (w->ops->writer_fini != NULL && w->state != NULL)
        w->ops->writer_fini(w);
    gw_arena_free(w->arena);
    free(w->state);
    free(w);
}

static enum gw_status note_start(struct api_writer *w, const struct api_event *ev)
{
    w->id = gw_arena_copy(w->arena, ev->id);
    if (ev->model.len != 0)
        w->model = gw_arena_copy(w->arena, ev->model);
    return w->id.ptr == NULL || w->model.ptr == NULL ? GW_ENOMEM : GW_OK;
}

enum gw_status api_writer_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out)
{
    if (w->ops->put == NULL)
        return GW_EUNSUPPORTED;
    if (w->ended)
        return GW_OK;
    if (ev->type == API_EVENT_START)
        GW_TRY(note_start(w, ev));
    if ((ev->type == API_EVENT_START || ev->type == API_EVENT_USAGE) && ev->usage.known)
        w->usage = ev->usage;
    w->ended = ev->type == API_EVENT_END || ev->type == API_EVENT_ERROR;
    GW_TRY(w->ops->put(w, ev, out));
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

const char *api_writer_media_type(const struct api_writer *w)
{
    return w->cfg.stream && !w->cfg.json_array ? "text/event-stream" : "application/json";
}

void api_copy_text(char *out, size_t size, const struct gw_json_tok *tok)
{
    size_t n = tok->raw.len < size - 1 ? tok->raw.len : size - 1;

    if (tok->type != GW_JSON_STRING || tok->escaped || n == 0)
        return;
    memcpy(out, tok->raw.ptr, n);
    out[n] = '\0';
}
