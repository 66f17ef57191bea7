/* proxy/http/fields.c - header policy. */
#include "proxy/http/fields.h"

static bool is_one_of(struct gw_span name, const struct gw_span *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_eq_nocase(name, names[i]))
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
    static const struct gw_span hop[] = {
        {"connection", 10},
        {"keep-alive", 10},
        {"proxy-connection", 16},
        {"proxy-authorization", 19},
        {"proxy-authenticate", 18},
        {"te", 2},
        {"trailer", 7},
        {"transfer-encoding", 17},
        {"upgrade", 7},
        {"content-length", 14},
        {"expect", 6},
        {"http2-settings", 14},
    };

    return is_one_of(f->name, hop, sizeof(hop) / sizeof(hop[0])) || named_in(connection, f->name);
}

bool field_is_credential(struct gw_span name)
{
    static const struct gw_span names[] = {{"authorization", 13},
                                           {"x-api-key", 9},
                                           {"api-key", 7},
                                           {"x-goog-api-key", 14},
                                           {"cookie", 6}};

    return is_one_of(name, names, sizeof(names) / sizeof(names[0]));
}

void field_add(struct gw_buf *out, struct gw_span name, struct gw_span value)
{
    gw_buf_add(out, name);
    gw_buf_adds(out, ": ");
    gw_buf_add(out, value);
    gw_buf_adds(out, "\r\n");
}
