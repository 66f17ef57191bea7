/* proxy/answer/respond_fields.c - see respond_fields.h. */
#include "proxy/answer/respond_fields.h"

#include <string.h>

#include "proxy/answer/respond_private.h"
#include "proxy/http/fields.h"
#include "proxy/limits/limits.h"
#include "proxy/net/setup.h"

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

/* Where Google wants the bytes of a file that was announced. */
static bool is_upload_address(struct gw_span name)
{
    return gw_span_eq_nocase(name, GW_SPAN("x-goog-upload-url")) ||
           gw_span_eq_nocase(name, GW_SPAN("x-goog-upload-control-url"));
}

/* The same path and query at the host that the client asked: the provider's own would take the file past the gateway. At Google
 * the address alone is the permission to send there, and its SDK for Python sends no key; so the address has the client's,
 * as Gemini's REST way is. */
static void add_upload_address(const struct req *req, struct gw_buf *out,
                               const struct http1_field *field)
{
    struct gw_span host = http1_get(req->head, "host"), rest = field->value;
    const struct gw_span key = req_client_key(req);
    const bool tls = req->setup->cfg->listen.tls_cert[0] != '\0';
    const char *slash;

    rest = gw_span_from(rest, gw_span_starts(rest, GW_SPAN("https://")) ? 8 : rest.len);
    slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    if (slash == NULL || host.len == 0)
        return; /* better none than theirs */
    gw_buf_add(out, field->name);
    gw_buf_adds(out, tls ? ": https://" : ": http://");
    gw_buf_add(out, host);
    rest = gw_span_from(rest, (size_t)(slash - rest.ptr));
    gw_buf_add(out, rest);
    if (gw_span_starts(key, GW_SPAN("slk_"))) {
        gw_buf_adds(out, memchr(rest.ptr, '?', rest.len) == NULL ? "?key=" : "&key=");
        gw_buf_add(out, key);
    }
    gw_buf_adds(out, "\r\n");
}

/* Fields of the connection, ours, those of a body that is not theirs, and Alt-Svc, which would lead browsers around the
 * gateway. */
static bool is_kept_back(const struct req *req, const struct http1_field *field,
                         struct gw_span connection, bool own_body)
{
    return field_is_hop(field, connection) || is_ours(field->name) ||
           (own_body && is_of_body(field->name)) || limits_replaces(req, field->name) ||
           gw_span_eq_nocase(field->name, GW_SPAN("alt-svc"));
}

void respond_fields_copy(const struct req *req, struct gw_buf *out,
                         const struct http1_field *fields, unsigned n, bool own_body)
{
    const struct http1_field *connection = respond_field(fields, n, "connection");
    struct gw_span named = connection == NULL ? GW_SPAN("") : connection->value;

    limits_compare(req, fields, n);
    for (unsigned i = 0; i < n; i++) {
        if (is_kept_back(req, &fields[i], named, own_body))
            continue;
        if (req->target != REQ_NO_TARGET && is_upload_address(fields[i].name))
            add_upload_address(req, out, &fields[i]);
        else
            field_add(out, fields[i].name, fields[i].value);
    }
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
