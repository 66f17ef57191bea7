/* audit/event_read.c - looking values up in our own records. Owns nothing. */
#include "audit/event_read.h"

#include <stdio.h>
#include <string.h>

/* What stands behind the first `"name":` of the text. */
static struct gw_span behind(struct gw_span text, const char *name, size_t n)
{
    char pattern[64];
    int len = snprintf(pattern, sizeof(pattern), "\"%.*s\":", (int)n, name);
    const char *hit;

    if (len < 0 || (size_t)len >= sizeof(pattern) || text.len == 0)
        return (struct gw_span){NULL, 0};
    hit = memmem(text.ptr, text.len, pattern, (size_t)len);
    if (hit == NULL)
        return (struct gw_span){NULL, 0};
    return gw_span_from(text, (size_t)(hit - text.ptr) + (size_t)len);
}

static struct gw_span value_of(struct gw_span record, const char *key)
{
    const char *dot;

    while ((dot = strchr(key, '.')) != NULL) {
        record = behind(record, key, (size_t)(dot - key));
        key = dot + 1;
    }
    return behind(record, key, strlen(key));
}

static unsigned hex_value(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Decodes one escape at p (n bytes, behind the backslash); returns how many it used. */
static size_t unescape(const char *p, size_t n, char *out)
{
    if (n >= 5 && p[0] == 'u') { /* control bytes only: see gw_buf_add_json */
        *out = (char)(unsigned char)(hex_value(p[3]) << 4 | hex_value(p[4]));
        return 5;
    }
    switch (p[0]) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    default:
        *out = p[0];
        break;
    }
    return 1;
}

struct gw_span event_str(struct gw_span record, const char *key, char *out, size_t cap)
{
    struct gw_span v = value_of(record, key);
    size_t n = 0;

    if (v.len == 0 || v.ptr[0] != '"')
        return (struct gw_span){NULL, 0};
    for (size_t i = 1; i < v.len && v.ptr[i] != '"' && n < cap;) {
        if (v.ptr[i] == '\\' && i + 1 < v.len)
            i += 1 + unescape(v.ptr + i + 1, v.len - i - 1, &out[n]);
        else
            out[n] = v.ptr[i++];
        n++;
    }
    return (struct gw_span){out, n};
}

/* Reads at most max digits; returns how many there are. */
static size_t digits(struct gw_span v, size_t max, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;

    for (; i < v.len && i < max && v.ptr[i] >= '0' && v.ptr[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    if (i != 0)
        *out = n;
    return i;
}

bool event_num(struct gw_span record, const char *key, uint64_t *out)
{
    return digits(value_of(record, key), 19, out) != 0;
}

bool event_nano(struct gw_span record, const char *key, uint64_t *out)
{
    struct gw_span v = value_of(record, key);
    uint64_t whole = 0, part = 0;
    size_t n = digits(v, 10, &whole);

    if (n == 0)
        return false;
    v = gw_span_from(v, n);
    if (v.len != 0 && v.ptr[0] == '.')
        for (n = digits(gw_span_from(v, 1), 9, &part); n < 9; n++)
            part *= 10;
    *out = whole * 1000000000 + part;
    return true;
}

struct gw_span event_tokens_of(struct gw_span record)
{
    const char *end = record.len == 0 ? NULL : memmem(record.ptr, record.len, "\"unmapped\":", 11);

    return end == NULL ? record : (struct gw_span){record.ptr, (size_t)(end - record.ptr)};
}

struct gw_span event_costs_of(struct gw_span record)
{
    struct gw_span own = value_of(record, "sluice"), rest = value_of(own, "guards");

    return rest.len == 0 ? own : rest; /* what is written behind attempts and guards (event.c) */
}

bool event_true(struct gw_span record, const char *key)
{
    return gw_span_starts(value_of(record, key), GW_SPAN("true"));
}

struct gw_span event_request_id(struct gw_span record, char bytes[EVENT_ID_BYTES])
{
    return event_str(record, "correlation_uid", bytes, EVENT_ID_BYTES);
}
