/* base/span.h - borrowed bytes: pointer and length travel together.
 *
 * A span owns nothing and is never NUL-terminated by assumption. {NULL, 0} is the empty span. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct gw_span {
    const char *ptr; /* NULL only when len is 0 */
    size_t len;      /* bytes */
};

/* A span over a string literal. */
#define GW_SPAN(literal) ((struct gw_span){(literal), sizeof(literal) - 1})

static inline struct gw_span gw_span_str(const char *s)
{
    return (struct gw_span){s, s == NULL ? 0 : strlen(s)};
}

static inline bool gw_span_eq(struct gw_span a, struct gw_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool gw_span_is(struct gw_span a, const char *s)
{
    return gw_span_eq(a, gw_span_str(s));
}

static inline char gw_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Equality with ASCII letters folded: field names, hosts, tokens. */
static inline bool gw_span_eq_nocase(struct gw_span a, struct gw_span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (gw_ascii_lower(a.ptr[i]) != gw_ascii_lower(b.ptr[i]))
            return false;
    return true;
}

static inline bool gw_span_starts(struct gw_span a, struct gw_span prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool gw_span_ends(struct gw_span a, struct gw_span suffix)
{
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.ptr + (a.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

/* The part from byte `from` on; empty when from is past the end. */
static inline struct gw_span gw_span_from(struct gw_span a, size_t from)
{
    if (from >= a.len)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){a.ptr + from, a.len - from};
}

#endif
