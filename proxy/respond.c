/* proxy/respond.c - see respond.h. */
#include "proxy/respond.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/conn.h"
#include "proxy/fields.h"
#include "proxy/request_private.h"
#include "proxy/restream.h"
#include "proxy/worker.h"

enum {
    MAX_WHOLE_BYTES = 64 * 1024 * 1024, /* a JSON answer that must be restored */
    MAX_COPY_BYTES = 256 * 1024,        /* of a JSON answer that is passed on, to read its usage */
};

enum mode {
    MODE_PASS,   /* bytes go on as they come */
    MODE_WHOLE,  /* collected, restored, then sent */
    MODE_STREAM, /* restored event by event */
};

struct respond {
    enum mode mode;
    bool json, sse;
    struct gw_buf fields; /* the head's fields: kept until it is sent */
    struct gw_buf body;   /* MODE_WHOLE: all of it; MODE_PASS of JSON: the first part */
    struct sse_reader *reader;
    struct filter_config filters; /* of restream */
    struct restream *restream;
    struct api_usage usage;
    struct gw_buf out; /* what an event became */
};

void respond_free(struct respond *r)
{
    if (r == NULL)
        return;
    gw_buf_fini(&r->fields);
    gw_buf_fini(&r->body);
    gw_buf_fini(&r->out);
    sse_reader_free(r->reader);
    restream_free(r->restream);
    free(r);
}

/* ---- the head --------------------------------------------------------------------------- */

static struct gw_span field(const struct http1_field *fields, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (gw_span_eq_nocase(fields[i].name, gw_span_str(name)))
            return fields[i].value;
    return (struct gw_span){NULL, 0};
}

static bool media_type_is(struct gw_span type, const char *want)
{
    size_t n = 0;

    while (n < type.len && type.ptr[n] != ';' && type.ptr[n] != ' ')
        n++;
    return gw_span_eq_nocase((struct gw_span){type.ptr, n}, gw_span_str(want));
}

static bool is_ours(struct gw_span name)
{
    return name.len > 9 && gw_span_eq_nocase((struct gw_span){name.ptr, 9}, GW_SPAN("x-sluice-"));
}

static void copy_fields(struct req *req, const struct http1_field *fields, unsigned n)
{
    struct gw_buf *out = &req->respond->fields;
    struct gw_span connection = field(fields, n, "connection");

    for (unsigned i = 0; i < n; i++)
        /* Alt-Svc would lead browsers around the gateway. */
        if (!field_is_hop(&fields[i], connection) && !is_ours(fields[i].name) &&
            !gw_span_eq_nocase(fields[i].name, GW_SPAN("alt-svc")))
            field_add(out, fields[i].name, fields[i].value);
    if (field(fields, n, "x-request-id").ptr == NULL)
        field_add(out, GW_SPAN("x-request-id"), gw_span_str(req->id));
    if (req->backend == &backend_upstream)
        gw_buf_adds(out, "Via: 1.1 sluice\r\n");
    req_add_fields(req, out);
}

static bool must_restore(const struct req *req, struct gw_span encoding)
{
    return req->vault != NULL && dlp_vault_count(req->vault) != 0 &&
           (encoding.len == 0 || gw_span_eq_nocase(encoding, GW_SPAN("identity")));
}

static bool set_up(struct respond *r, const struct req *req, bool restore)
{
    if (r->sse) {
        r->reader = sse_reader_new(0);
        if (r->reader == NULL)
            return false;
    }
    if (restore && r->sse) {
        r->mode = MODE_STREAM;
        r->filters.vault = req->vault;
        r->restream = restream_new(&r->filters, API_CHAT, req->w->json);
        return r->restream != NULL;
    }
    if (restore && r->json)
        r->mode = MODE_WHOLE;
    return true;
}

enum gw_status respond_begin(struct req *req, unsigned status, const struct http1_field *fields,
                             unsigned n_fields, int64_t length)
{
    struct gw_span type = field(fields, n_fields, "content-type");
    struct respond *r = calloc(1, sizeof(*r));

    req->respond = r;
    if (r == NULL)
        return GW_ENOMEM;
    r->json = media_type_is(type, "application/json");
    r->sse = media_type_is(type, "text/event-stream");
    if (!set_up(r, req, must_restore(req, field(fields, n_fields, "content-encoding"))))
        return GW_ENOMEM;
    copy_fields(req, fields, n_fields);
    if (!gw_buf_ok(&r->fields))
        return GW_ENOMEM;
    if (r->mode != MODE_WHOLE && !req->client_gone)
        conn_answer_head(req->conn, status, gw_buf_span(&r->fields),
                         r->mode == MODE_STREAM ? -1 : length);
    return GW_OK;
}

/* ---- the body --------------------------------------------------------------------------- */

static size_t skip_blanks(struct gw_span text, size_t i)
{
    while (i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t'))
        i++;
    return i;
}

/* A cheap look: does a member of that name (in quotes) have a value that begins with first? */
static bool has_member(struct gw_span text, const char *name, char first)
{
    size_t n = strlen(name);
    const char *p;

    while (text.len != 0 && (p = memmem(text.ptr, text.len, name, n)) != NULL) {
        size_t i;

        text = gw_span_from(text, (size_t)(p - text.ptr) + n);
        i = skip_blanks(text, 0);
        if (i >= text.len || text.ptr[i] != ':')
            continue;
        i = skip_blanks(text, i + 1);
        if (i < text.len && text.ptr[i] == first)
            return true;
    }
    return false;
}

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct req *req = ctx;
    struct respond *r = req->respond;
    enum gw_status st = GW_OK;

    /* Most events carry neither, and reading JSON twice for them would be waste. */
    if (has_member(ev->data, "\"usage\"", '{') || has_member(ev->data, "\"finish_reason\"", '"') ||
        (r->usage.model[0] == '\0' && has_member(ev->data, "\"model\"", '"')))
        api_read_usage(req->w->json, ev->data, &r->usage);
    if (r->mode == MODE_STREAM) {
        gw_buf_clear(&r->out);
        st = restream_event(r->restream, ev, &r->out);
        if (st == GW_OK)
            conn_answer_body(req->conn, gw_buf_span(&r->out));
    }
    return st;
}

enum gw_status respond_data(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;

    if (r->mode == MODE_PASS)
        conn_answer_body(req->conn, bytes);
    if (r->sse) {
        enum gw_status st =
            r->reader == NULL ? GW_OK : sse_reader_feed(r->reader, bytes, on_event, req);

        if (st == GW_OK || r->mode != MODE_PASS)
            return st;
        sse_reader_free(r->reader); /* not understood, passed on all the same */
        r->reader = NULL;
        return GW_OK;
    }
    if (r->mode == MODE_WHOLE && r->body.len + bytes.len > MAX_WHOLE_BYTES)
        return GW_ELIMIT;
    if (r->mode == MODE_WHOLE || (r->json && r->body.len < MAX_COPY_BYTES))
        gw_buf_add(&r->body, bytes);
    return gw_buf_ok(&r->body) ? GW_OK : GW_ENOMEM;
}

static void note_usage(struct req *req)
{
    const struct respond *r = req->respond;

    req->prompt_tokens = r->usage.prompt_tokens;
    req->completion_tokens = r->usage.completion_tokens;
    req->finish_reason = gw_arena_copy(req->arena, gw_span_str(r->usage.finish_reason));
    req->response_model = gw_arena_copy(req->arena, gw_span_str(r->usage.model));
    if (r->restream != NULL)
        req->n_restored = restream_count(r->restream);
    metrics_add(&req->w->metrics.restored, req->n_restored);
}

static enum gw_status send_whole(struct req *req)
{
    struct respond *r = req->respond;
    enum gw_status st =
        dlp_restore_json(req->vault, gw_buf_span(&r->body), &r->out, &req->n_restored);
    struct gw_buf *body = &r->out;

    if (st == GW_EPARSE) /* not JSON after all: as it came */
        body = &r->body;
    else if (st != GW_OK)
        return st;
    if (!req->client_gone)
        conn_answer_head(req->conn, req->status, gw_buf_span(&r->fields), (int64_t)body->len);
    conn_answer_body(req->conn, gw_buf_span(body));
    return GW_OK;
}

enum gw_status respond_end(struct req *req)
{
    struct respond *r = req->respond;
    enum gw_status st = GW_OK;

    if (r->reader != NULL)
        st = sse_reader_finish(r->reader, on_event, req);
    else if (r->json && r->body.len != 0)
        api_read_usage(req->w->json, gw_buf_span(&r->body), &r->usage);
    if (r->mode == MODE_PASS)
        st = GW_OK;
    if (st == GW_OK && r->mode == MODE_STREAM) {
        gw_buf_clear(&r->out);
        st = restream_finish(r->restream, &r->out);
        conn_answer_body(req->conn, gw_buf_span(&r->out));
    } else if (st == GW_OK && r->mode == MODE_WHOLE) {
        st = send_whole(req);
    }
    note_usage(req);
    return st;
}

void respond_cut(struct req *req, const char *why)
{
    struct respond *r = req->respond;
    struct gw_buf out = {0};

    if (r == NULL)
        return;
    if (r->mode == MODE_WHOLE) {
        struct gw_span none = {NULL, 0};

        /* Nothing was sent: the failure can still be told properly. */
        api_error(&out, why, "server_error", NULL, "upstream_error");
        req->status = 502;
        gw_buf_adds(&r->out, "Content-Type: application/json\r\n");
        conn_answer_head(req->conn, 502, gw_buf_ok(&r->out) ? gw_buf_span(&r->out) : none,
                         (int64_t)out.len);
    } else if (r->sse) {
        api_stream_error(&out, why, "server_error", "upstream_error");
    }
    if (gw_buf_ok(&out))
        conn_answer_body(req->conn, gw_buf_span(&out));
    gw_buf_fini(&out);
    note_usage(req);
}
