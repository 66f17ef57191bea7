/* proxy/http/sse.c - the event-stream reader of sse.h.
 *
 * Bytes are looked at once. Where an event lies whole in the bytes just fed, its spans point there; else
 * its bytes collect in `pending`. Field positions are offsets from the event's first byte, so that they
 * survive a move. A CR at the end of the bytes ends its line at once, without waiting for a LF that may
 * follow: that LF is then dropped from the next line, but not from the raw bytes. */
#include "proxy/http/sse.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http/pending.h"

struct field {
    size_t at, len;
    bool set;
};

struct sse_reader {
    size_t max_event;
    struct gw_buf pending;
    size_t line;    /* where the current line begins; from the event's first byte */
    size_t scanned; /* no line end before this */
    bool skip_lf;   /* the last byte was the CR that ended a line */
    bool started;   /* the first line was seen, so a BOM is none any more */
    bool delivered; /* an event was */
    struct field name, data;
    struct gw_buf lines; /* the joined data, once there are two data fields */
    bool joined;
};

struct sse_reader *sse_reader_new(size_t max_event)
{
    struct sse_reader *r = calloc(1, sizeof(*r));

    if (r != NULL)
        r->max_event = max_event == 0 ? SSE_MAX_EVENT : max_event;
    return r;
}

void sse_reader_free(struct sse_reader *r)
{
    if (r == NULL)
        return;
    gw_buf_fini(&r->pending);
    gw_buf_fini(&r->lines);
    free(r);
}

size_t sse_reader_pending(const struct sse_reader *r)
{
    return r->pending.len;
}

struct gw_span sse_reader_rest(const struct sse_reader *r)
{
    return gw_buf_span(&r->pending);
}

/* Splits "name: value"; a line without a colon is a name. */
static struct gw_span field_name(struct gw_span line, struct gw_span *value)
{
    const char *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
    struct gw_span name = line;

    *value = (struct gw_span){NULL, 0};
    if (colon != NULL) {
        name.len = (size_t)(colon - line.ptr);
        *value = gw_span_from(line, name.len + 1);
        if (value->len != 0 && value->ptr[0] == ' ')
            *value = gw_span_from(*value, 1);
    }
    return name;
}

/* Takes one line of the event that begins at ev. */
static void take_line(struct sse_reader *r, const char *ev, struct gw_span line)
{
    struct gw_span value, name = field_name(line, &value);
    struct field f = {
        .at = value.len == 0 ? 0 : (size_t)(value.ptr - ev), .len = value.len, .set = true};

    if (gw_span_is(name, "event")) {
        r->name = f;
    } else if (gw_span_is(name, "data") && !r->data.set) {
        r->data = f;
    } else if (gw_span_is(name, "data")) {
        if (!r->joined)
            gw_buf_add(&r->lines, (struct gw_span){ev + r->data.at, r->data.len});
        r->joined = true;
        gw_buf_addc(&r->lines, '\n');
        gw_buf_add(&r->lines, value);
    }
}

static enum gw_status deliver(struct sse_reader *r, struct gw_span raw, bool ended, sse_event_fn fn,
                              void *ctx)
{
    struct sse_event ev = {
        .raw = raw, .has_data = r->data.set, .ended = ended, .first = !r->delivered};
    enum gw_status st;

    if (!gw_buf_ok(&r->lines))
        return GW_ENOMEM;
    if (r->name.len != 0)
        ev.name = (struct gw_span){raw.ptr + r->name.at, r->name.len};
    if (r->joined)
        ev.data = gw_buf_span(&r->lines);
    else if (r->data.len != 0)
        ev.data = (struct gw_span){raw.ptr + r->data.at, r->data.len};
    r->delivered = true;
    st = fn(ctx, &ev);
    r->name = (struct field){0};
    r->data = (struct field){0};
    gw_buf_clear(&r->lines);
    r->joined = false;
    return st;
}

/* Without a byte order mark, which only the stream's first line may have. */
static struct gw_span without_bom(struct sse_reader *r, struct gw_span line)
{
    if (!r->started && gw_span_starts(line, GW_SPAN("\xEF\xBB\xBF")))
        line = gw_span_from(line, 3);
    r->started = true;
    return line;
}

/* The next line end at or after `at`, or the end. *lf remembers where the next LF is, so that lines which
 * end in CR do not search for it again and again. */
static size_t line_end(struct gw_span s, size_t at, size_t *lf)
{
    const char *p;

    if (*lf < at || *lf > s.len) {
        p = at == s.len ? NULL : memchr(s.ptr + at, '\n', s.len - at);
        *lf = p == NULL ? s.len : (size_t)(p - s.ptr);
    }
    p = *lf == at ? NULL : memchr(s.ptr + at, '\r', *lf - at);
    return p == NULL ? *lf : (size_t)(p - s.ptr);
}

/* Takes all lines of `all`, whose event begins at its first byte; sets *used to the first byte of the
 * event that is not complete. */
static enum gw_status take_lines(struct sse_reader *r, struct gw_span all, size_t *used,
                                 sse_event_fn fn, void *ctx)
{
    size_t start = 0, line = r->line, scan = r->scanned, lf = SIZE_MAX;
    enum gw_status st = GW_OK;

    if (r->skip_lf && line < all.len) {
        r->skip_lf = false;
        line += all.ptr[line] == '\n';
        scan = line;
    }
    while (st == GW_OK && scan < all.len) {
        size_t end = line_end(all, scan, &lf), next = end + 1;
        struct gw_span text;

        scan = end;
        if (end == all.len)
            break;
        if (all.ptr[end] == '\r') {
            r->skip_lf = next == all.len;
            next += next < all.len && all.ptr[next] == '\n';
        }
        text = without_bom(r, (struct gw_span){all.ptr + line, end - line});
        line = scan = next;
        if (text.len != 0) {
            take_line(r, all.ptr + start, text);
            continue;
        }
        st = deliver(r, (struct gw_span){all.ptr + start, next - start}, true, fn, ctx);
        start = next;
    }
    r->line = line - start;
    r->scanned = scan - start;
    *used = start;
    return st;
}

enum gw_status sse_reader_feed(struct sse_reader *r, struct gw_span bytes, sse_event_fn fn,
                               void *ctx)
{
    struct gw_span all;
    size_t used = 0;

    if (bytes.len == 0)
        return GW_OK;
    GW_TRY(pending_join(&r->pending, bytes, &all));
    GW_TRY(take_lines(r, all, &used, fn, ctx));
    return pending_keep(&r->pending, all, used, r->max_event);
}

enum gw_status sse_reader_finish(struct sse_reader *r, sse_event_fn fn, void *ctx)
{
    struct gw_span all = gw_buf_span(&r->pending), last;
    enum gw_status st;

    if (all.len == 0)
        return GW_OK;
    last = without_bom(r, gw_span_from(all, r->line));
    if (last.len != 0)
        take_line(r, all.ptr, last);
    /* A single LF is the second half of the CRLF that ended the last event. */
    st = deliver(r, all, gw_span_is(all, "\n"), fn, ctx);
    gw_buf_clear(&r->pending);
    r->line = 0;
    r->scanned = 0;
    r->skip_lf = false;
    return st;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Appends "data: " lines, one for each line of data, without the last line's end. */
static void add_data(struct gw_buf *out, struct gw_span data, struct gw_span eol)
{
    size_t lf = SIZE_MAX;

    for (size_t at = 0;;) {
        size_t end = line_end(data, at, &lf);

        gw_buf_adds(out, "data: ");
        if (end > at)
            gw_buf_add(out, (struct gw_span){data.ptr + at, end - at});
        if (end >= data.len)
            return;
        gw_buf_add(out, eol);
        at = end + 1;
        if (data.ptr[end] == '\r' && at < data.len && data.ptr[at] == '\n')
            at++;
    }
}

void sse_write(struct gw_buf *out, struct gw_span name, struct gw_span data)
{
    if (name.len != 0) {
        gw_buf_adds(out, "event: ");
        gw_buf_add(out, name);
        gw_buf_addc(out, '\n');
    }
    add_data(out, data, GW_SPAN("\n"));
    gw_buf_adds(out, "\n\n");
}

/* One line of a raw event. */
struct line {
    struct gw_span text, eol; /* eol empty: the stream was cut */
    bool data;
};

/* The line at *at, which moves behind it; false at the end. *lf as for line_end(). */
static bool next_line(const struct sse_event *ev, size_t *at, size_t *lf, struct line *out)
{
    const struct gw_span raw = ev->raw;
    size_t end, next;
    struct gw_span value;

    if (*at >= raw.len)
        return false;
    end = line_end(raw, *at, lf);
    next = end + (end < raw.len);
    next += next < raw.len && raw.ptr[end] == '\r' && raw.ptr[next] == '\n';
    out->text = (struct gw_span){raw.ptr + *at, end - *at};
    out->eol = (struct gw_span){raw.ptr + end, next - end};
    /* A mark before the stream's first field is no part of its name; dropping it changes nothing. */
    if (*at == 0 && ev->first && gw_span_starts(out->text, GW_SPAN("\xEF\xBB\xBF")))
        out->text = gw_span_from(out->text, 3);
    out->data = gw_span_is(field_name(out->text, &value), "data");
    *at = next;
    return true;
}

void sse_rewrite(struct gw_buf *out, const struct sse_event *ev, struct gw_span data)
{
    size_t at = 0, lf = SIZE_MAX;
    bool written = false;
    struct line l;

    while (next_line(ev, &at, &lf, &l)) {
        if (!l.data) {
            gw_buf_add(out, l.text);
            gw_buf_add(out, l.eol);
        } else if (!written) {
            add_data(out, data, l.eol.len == 0 ? GW_SPAN("\n") : l.eol);
            gw_buf_add(out, l.eol);
            written = true;
        }
    }
}

/* "event: content_block_delta": what providers call their events. */
static bool is_plain_name(struct gw_span line)
{
    struct gw_span value;

    if (!gw_span_is(field_name(line, &value), "event") || value.len > 64)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if ((c < 'a' || c > 'z') && c != '_' && c != '.')
            return false;
    }
    return true;
}

bool sse_has_more(const struct sse_event *ev)
{
    size_t at = 0, lf = SIZE_MAX;
    struct line l;

    while (next_line(ev, &at, &lf, &l))
        if (l.text.len != 0 && !l.data && !is_plain_name(l.text))
            return true;
    return false;
}

enum gw_status sse_edit_lines(struct gw_buf *out, const struct sse_event *ev, sse_line_fn fn,
                              void *ctx)
{
    size_t at = 0, lf = SIZE_MAX;
    struct line l;

    while (next_line(ev, &at, &lf, &l)) {
        if (l.data || l.text.len == 0)
            gw_buf_add(out, l.text);
        else
            GW_TRY(fn(ctx, l.text, out));
        gw_buf_add(out, l.eol);
    }
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}
