/* proxy/http/fields.c - header policy. */
#include "proxy/http/fields.h"

static bool is_one_of(struct gw_span name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_eq_nocase(name, gw_span_str(names[i])))
            return true;
    return false;
}

static bool named_in(struct gw_span list, struct gw_span name)
{
    size_t i = 0;

    while (i < list.len) {
        size_t start, end;

        while (i < list.len && (list.ptr[i] == ' ' || list.ptr[i] == ',' || list.ptr[i] == '\t'))
            i++;
        start = i;
        while (i < list.len && list.ptr[i] != ',')
            i++;
        end = i;
        while (end > start && (list.ptr[end - 1] == ' ' || list.ptr[end - 1] == '\t'))
            end--;
        if (gw_span_eq_nocase((struct gw_span){list.ptr + start, end - start}, name))
            return true;
    }
    return false;
}

bool field_is_hop(const struct http1_field *f, struct gw_span connection)
{
    static const char *const hop[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
        "http2-settings",
    };

    return is_one_of(f->name, hop, sizeof(hop) / sizeof(hop[0])) || named_in(connection, f->name);
}

bool field_is_credential(struct gw_span name)
{
    static const char *const names[] = {"authorization", "x-api-key", "api-key", "x-goog-api-key",
                                        "cookie"};

    return is_one_of(name, names, sizeof(names) / sizeof(names[0]));
}

void field_add(struct gw_buf *out, struct gw_span name, struct gw_span value)
{
    gw_buf_add(out, name);
    gw_buf_adds(out, ": ");
    gw_buf_add(out, value);
    gw_buf_adds(out, "\r\n");
}
