/* proxy/answer/respond_fields.c - see respond_fields.h. */
#include "proxy/answer/respond_fields.h"

#include <string.h>

#include "proxy/answer/respond_private.h"
#include "proxy/http/fields.h"
#include "proxy/limits/limits.h"

const struct http1_field *respond_field(const struct http1_field *fields, unsigned n,
                                        const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (gw_span_eq_nocase(fields[i].name, gw_span_str(name)))
            return &fields[i];
    return NULL;
}

bool respond_media_type_is(struct gw_span type, const char *want)
{
    size_t n = 0;

    while (n < type.len && type.ptr[n] != ';' && type.ptr[n] != ' ')
        n++;
    return gw_span_eq_nocase((struct gw_span){type.ptr, n}, gw_span_str(want));
}

void respond_fields_type(struct gw_buf *out, const char *media_type)
{
    gw_buf_adds(out, "Content-Type: ");
    gw_buf_adds(out, media_type);
    if (strcmp(media_type, "text/event-stream") == 0)
        gw_buf_adds(out, "; charset=utf-8\r\nCache-Control: no-cache, no-transform\r\n"
                         "X-Accel-Buffering: no");
    gw_buf_adds(out, "\r\n");
}

static bool is_ours(struct gw_span name)
{
    return name.len > 9 && gw_span_eq_nocase((struct gw_span){name.ptr, 9}, GW_SPAN("x-sluice-"));
}

/* Describes a body, or a stream, that the client does not get. */
static bool is_of_body(struct gw_span name)
{
    static const char *const names[] = {"content-type",  "content-encoding", "etag",
                                        "content-md5",   "digest",           "accept-ranges",
                                        "content-range", "cache-control",    "x-accel-buffering"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (gw_span_eq_nocase(name, gw_span_str(names[i])))
            return true;
    return false;
}

/* SDKs show the id of a request from the field of their own provider. */
static void add_request_id(const struct req *req, struct gw_buf *out,
                           const struct http1_field *fields, unsigned n)
{
    const struct http1_field *theirs = respond_field(fields, n, "x-request-id");
    const struct http1_field *anthropic = respond_field(fields, n, "request-id");
    struct gw_span id = gw_span_str(req->id);

    if (theirs != NULL || anthropic != NULL)
        id = theirs != NULL ? theirs->value : anthropic->value;
    if (theirs == NULL)
        field_add(out, GW_SPAN("x-request-id"), id);
    if (anthropic == NULL && req->ep.dialect == API_ANTHROPIC)
        field_add(out, GW_SPAN("request-id"), id);
}

void respond_fields_copy(const struct req *req, struct gw_buf *out,
                         const struct http1_field *fields, unsigned n, bool own_body)
{
    const struct http1_field *connection = respond_field(fields, n, "connection");
    struct gw_span named = connection == NULL ? GW_SPAN("") : connection->value;

    limits_compare(req, fields, n);
    for (unsigned i = 0; i < n; i++)
        /* Alt-Svc would lead browsers around the gateway. */
        if (!field_is_hop(&fields[i], named) && !is_ours(fields[i].name) &&
            !(own_body && is_of_body(fields[i].name)) && !limits_replaces(req, fields[i].name) &&
            !gw_span_eq_nocase(fields[i].name, GW_SPAN("alt-svc")))
            field_add(out, fields[i].name, fields[i].value);
    add_request_id(req, out, fields, n);
    if (req->backend == &backend_upstream)
        gw_buf_adds(out, "Via: 1.1 sluice\r\n");
    req_add_fields(req, out);
}

/* The value of the Content-Type in a head's fields; empty without one. */
static struct gw_span type_in(struct gw_span fields)
{
    static const char name[] = "content-type: ";

    while (fields.len != 0) {
        const char *end = memchr(fields.ptr, '\r', fields.len);
        size_t n = end == NULL ? fields.len : (size_t)(end - fields.ptr);

        if (n >= sizeof(name) - 1 &&
            gw_span_eq_nocase((struct gw_span){fields.ptr, sizeof(name) - 1}, gw_span_str(name)))
            return gw_span_from((struct gw_span){fields.ptr, n}, sizeof(name) - 1);
        fields = gw_span_from(fields, n + 2);
    }
    return (struct gw_span){NULL, 0};
}

bool respond_copy(const struct req *req, struct gw_span *type, struct gw_span *body)
{
    const struct respond *r = req->respond;

    if (r == NULL || !r->copying || !gw_buf_ok(&r->copy) || r->packed)
        return false;
    *type = type_in(gw_buf_span(&r->fields));
    *body = gw_buf_span(&r->copy);
    return type->len != 0 && body->len != 0;
}
