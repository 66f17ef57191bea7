/* proxy/provider/provider_path.c - paths and queries of requests to providers, from what clients sent. Pure. */
#include <stdint.h>

#include "proxy/provider/provider_private.h"

enum { MAX_NAME = 256 };

static bool is_unreserved(char c)
{
    char low = gw_ascii_lower(c);

    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static int hex_digit(char c)
{
    char low = gw_ascii_lower(c);

    if (c >= '0' && c <= '9')
        return c - '0';
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* The byte that text begins with, percent-decoded; *len is how many bytes it took. */
static unsigned char decode_byte(struct gw_span text, size_t *len)
{
    int high, low;

    *len = 1;
    if (text.len < 3 || text.ptr[0] != '%')
        return (unsigned char)text.ptr[0];
    high = hex_digit(text.ptr[1]);
    low = hex_digit(text.ptr[2]);
    if (high < 0 || low < 0)
        return '%';
    *len = 3;
    return (unsigned char)(high * 16 + low);
}

/* True when some segment is "." or "..", whatever of it is percent-encoded. A backslash counts as a slash, as some
 * servers have it. */
static bool has_dot_segment(struct gw_span text)
{
    unsigned dots = 0;
    bool others = false;

    while (text.len > 0) {
        size_t n;
        unsigned char c = decode_byte(text, &n);

        text = gw_span_from(text, n);
        if (c == '/' || c == '\\') {
            if (!others && (dots == 1 || dots == 2))
                return true;
            dots = 0;
            others = false;
        } else if (c == '.') {
            dots++;
        } else {
            others = true;
        }
    }
    return !others && (dots == 1 || dots == 2);
}

enum gw_status provider_add_name(struct gw_buf *out, struct gw_span name, const char *keep,
                                 struct gw_err *err)
{
    static const char digits[] = "0123456789ABCDEF";

    if (name.len == 0 || name.len > MAX_NAME)
        return gw_fail(err, GW_EINVAL, "The model's name must be 1 to %d bytes long.", MAX_NAME);
    if (has_dot_segment(name))
        return gw_fail(err, GW_EINVAL, "The model's name must not climb: . and .. are not names.");
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (c < 0x20 || c == 0x7F)
            return gw_fail(err, GW_EINVAL, "The model's name holds a control character.");
        if (is_unreserved(name.ptr[i]) || strchr(keep, c) != NULL) {
            gw_buf_addc(out, name.ptr[i]);
        } else {
            gw_buf_addc(out, '%');
            gw_buf_addc(out, digits[c >> 4]);
            gw_buf_addc(out, digits[c & 15]);
        }
    }
    return GW_OK;
}

static bool has_odd_byte(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= 0x20 || c >= 0x7F || c == '#' || c == '\\')
            return true;
    }
    return false;
}

enum gw_status provider_add_path(struct gw_buf *out, struct gw_span path, size_t skip,
                                 struct gw_err *err)
{
    if (path.len == 0 || path.ptr[0] != '/' || gw_span_starts(path, GW_SPAN("//")) ||
        has_odd_byte(path) || memchr(path.ptr, '?', path.len) != NULL)
        return gw_fail(err, GW_EINVAL, "The path is not one that can be passed on.");
    if (has_dot_segment(path))
        return gw_fail(err, GW_EINVAL, "The path holds . or .. segments.");
    gw_buf_add(out, gw_span_from(path, skip));
    return GW_OK;
}

size_t provider_version_len(struct gw_span path)
{
    return gw_span_starts(path, GW_SPAN("/v1/")) || gw_span_is(path, "/v1") ? 3 : 0;
}

/* True when the percent-decoded name is that one, letters folded, and - and _ alike. */
static bool name_is(struct gw_span name, const char *want)
{
    while (name.len > 0 && *want != '\0') {
        size_t n;
        char c = gw_ascii_lower((char)decode_byte(name, &n));

        if (c == '-')
            c = '_';
        if (c != *want)
            return false;
        name = gw_span_from(name, n);
        want++;
    }
    return name.len == 0 && *want == '\0';
}

static bool is_credential(struct gw_span name)
{
    static const char *const names[] = {
        "key",          "api_key",     "apikey",         "x_api_key",
        "access_token", "oauth_token", "x_goog_api_key", "subscription_key"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name_is(name, names[i]))
            return true;
    return gw_span_starts(name, GW_SPAN("X-Amz-")) || gw_span_starts(name, GW_SPAN("x-amz-"));
}

enum gw_status provider_add_query(struct gw_buf *out, const char *own, struct gw_span query,
                                  const char *without, struct gw_err *err)
{
    char between = '?';

    if (has_odd_byte(query))
        return gw_fail(err, GW_EINVAL, "The query is not one that can be passed on.");
    if (own[0] != '\0') {
        gw_buf_addc(out, between);
        gw_buf_adds(out, own);
        between = '&';
    }
    if (gw_span_starts(query, GW_SPAN("?")))
        query = gw_span_from(query, 1);
    while (query.len > 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        struct gw_span one = {query.ptr, end == NULL ? query.len : (size_t)(end - query.ptr)};
        const char *equals = one.len == 0 ? NULL : memchr(one.ptr, '=', one.len);
        struct gw_span name = {one.ptr, equals == NULL ? one.len : (size_t)(equals - one.ptr)};

        query = gw_span_from(query, one.len + 1);
        if (one.len == 0 || is_credential(name) || (without != NULL && name_is(name, without)))
            continue;
        gw_buf_addc(out, between);
        gw_buf_add(out, one);
        between = '&';
    }
    return GW_OK;
}
