/* base/buf.h - growable bytes with a sticky out-of-memory flag.
 *
 * Appends never fail one by one: the first failed growth sets `failed`, later appends do nothing, and
 * the writer checks gw_buf_ok() once at the end. One thread at a time. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"

/* Legal states: {NULL,0,0}: empty; ptr set, len < cap: usable, ptr[len] is NUL; failed: content is
 * incomplete and must not be used. */
struct gw_buf {
    char *ptr;
    size_t len, cap; /* bytes */
    bool failed;
};

/* An empty buffer needs no set-up beyond zeroes. gw_buf_fini wipes and frees; b is empty after. */
void gw_buf_fini(struct gw_buf *b);

/* Makes it empty, wipes what it held, keeps the memory, clears `failed`. */
void gw_buf_clear(struct gw_buf *b);

/* Makes room for n more bytes. Returns false (and sets failed) when out of memory. */
bool gw_buf_reserve(struct gw_buf *b, size_t n);

/* The same for who knows how long b will become: grows by what is missing, and not by more, so that large buffers are not twice as
 * large as what is in them. Linear only when it is called seldom. */
bool gw_buf_reserve_exact(struct gw_buf *b, size_t n);

/* Asked some hundred times a request, mostly for literals: inline, so that those cost a few moves. The analyzer is spared the
 * paths of every call. */
#ifdef __clang_analyzer__
void gw_buf_add(struct gw_buf *b, struct gw_span bytes);
#else
static inline void gw_buf_add(struct gw_buf *b, struct gw_span bytes)
{
    /* strictly: one byte stays for the NUL */
    bool fits = bytes.len < b->cap - b->len && !b->failed;

    if (bytes.len == 0 || (!fits && !gw_buf_reserve(b, bytes.len)))
        return;
    memcpy(b->ptr + b->len, bytes.ptr, bytes.len);
    b->len += bytes.len;
    b->ptr[b->len] = '\0';
}
#endif

static inline void gw_buf_adds(struct gw_buf *b, const char *s)
{
    gw_buf_add(b, gw_span_str(s));
}

static inline void gw_buf_addc(struct gw_buf *b, char c)
{
    gw_buf_add(b, (struct gw_span){&c, 1});
}

void gw_buf_addu(struct gw_buf *b, uint64_t n);
void gw_buf_addi(struct gw_buf *b, int64_t n);
void gw_buf_printf(struct gw_buf *b, const char *fmt, ...) GW_PRINTF(2, 3);

/* Appends text escaped for the inside of a JSON string, without quotes (RFC 8259 section 7): `"`, `\`
 * and control bytes are escaped; bytes that are not UTF-8 become U+FFFD; the rest is copied. */
void gw_buf_add_json(struct gw_buf *b, struct gw_span text);

/* Appends a whole JSON string, quotes included. */
void gw_buf_add_json_str(struct gw_buf *b, struct gw_span text);

/* Removes the first n bytes (n <= len); nothing of them stays. */
void gw_buf_drop(struct gw_buf *b, size_t n);

static inline bool gw_buf_ok(const struct gw_buf *b)
{
    return !b->failed;
}

static inline struct gw_span gw_buf_span(const struct gw_buf *b)
{
    return (struct gw_span){b->ptr, b->len};
}

#endif
