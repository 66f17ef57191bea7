/* dlp/view_blob.c - the view of what base64 and hex decode to (view.h). Pure; any thread.
 *
 * A stretch counts when what it says looks like text, or is compressed. Decoding may have to begin up to three digits in,
 * where other letters stand in front of it. */
#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "dlp/view.h"

/* ---- finding stretches ------------------------------------------------------------------- */

/* base64 of both alphabets; 1: also a hex digit */
static int digit_kind(char c)
{
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
        return 1;
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'         ? 2
           : c == '+' || c == '/' || c == '-' || c == '_' ? 3
                                                          : 0;
}

static size_t run_end(struct gw_span text, size_t at, bool *hex)
{
    for (; at < text.len; at++) {
        int kind = digit_kind(text.ptr[at]);

        if (kind == 0)
            break;
        *hex = *hex && kind == 1;
    }
    return at;
}

/* The next line of the same stretch, behind a line break (also one that is written as an escape) and some blanks; 0: the
 * stretch ends at `at`. */
static size_t next_line(struct gw_span text, size_t at)
{
    enum { BLANKS = 16 };
    size_t i = at;

    if (i + 1 < text.len && text.ptr[i] == '\\' && text.ptr[i + 1] == 'r')
        i += 2;
    if (i + 1 < text.len && text.ptr[i] == '\\' && text.ptr[i + 1] == 'n') {
        i += 2;
    } else {
        if (i < text.len && text.ptr[i] == '\r')
            i++;
        if (i == text.len || text.ptr[i] != '\n')
            return 0;
        i++;
    }
    for (size_t k = 0; k < BLANKS && i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t');
         k++)
        i++;
    return i < text.len && digit_kind(text.ptr[i]) != 0 ? i : 0;
}

/* Goes on over lines while they are full ones, or the last of some. */
static size_t stretch_end(struct gw_span text, size_t from, size_t to, bool *hex)
{
    enum { LINE = 16 };
    size_t line = to - from;

    while (line >= LINE) {
        size_t at = next_line(text, to), end;
        bool h = *hex;

        if (at == 0)
            break;
        end = run_end(text, at, &h);
        /* A word of ordinary text is shorter, and has a blank behind it. */
        if (end - at != line && end < text.len && text.ptr[end] == ' ')
            break;
        if (end - at > line)
            break;
        *hex = h;
        line = end - at;
        to = end;
    }
    return to;
}

/* Padding belongs to the stretch. */
static size_t padding_end(struct gw_span text, size_t at)
{
    for (unsigned i = 0; i < 2 && at < text.len && text.ptr[at] == '='; i++)
        at++;
    return at;
}

bool view_blob_next(struct gw_span text, size_t at, size_t *start, size_t *end, bool *hex)
{
    size_t done = at;

    for (at += VIEW_BLOB_MIN - 1; at < text.len; at += VIEW_BLOB_MIN) {
        size_t from = at, to = at;
        bool h = true;

        if (digit_kind(text.ptr[at]) == 0)
            continue;
        while (from > done && digit_kind(text.ptr[from - 1]) != 0)
            from--;
        to = run_end(text, from, &h);
        if (to - from >= VIEW_BLOB_MIN) {
            *start = from;
            *end = padding_end(text, stretch_end(text, from, to, &h));
            *hex = h;
            return true;
        }
        done = at = to;
        at--; /* the sample behind the run: every place in between is in a shorter run */
    }
    return false;
}

/* ---- decoding ---------------------------------------------------------------------------- */

/* Appends what the digits of a stretch say, from the skip-th digit on, at most max_digits of them. */
static void unbase64(struct gw_span s, unsigned skip, size_t max_digits, struct gw_buf *out)
{
    uint32_t acc = 0;
    unsigned n = 0;
    char *w;

    if (!gw_buf_reserve(out, s.len / 4 * 3 + 4))
        return;
    w = out->ptr + out->len;
    for (size_t i = 0; i < s.len && max_digits > 0; i++) {
        char c = s.ptr[i];
        int d;

        if (c == '\\') { /* a line break that is written as an escape */
            i++;
            continue;
        }
        if (c == '-')
            c = '+';
        else if (c == '_')
            c = '/';
        d = gw_base64_digit(c);
        if (d < 0)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        max_digits--;
        acc = acc << 6 | (uint32_t)d;
        if (++n == 4) {
            *w++ = (char)(acc >> 16);
            *w++ = (char)(acc >> 8);
            *w++ = (char)acc;
            n = 0;
        }
    }
    if (n >= 2)
        *w++ = (char)(acc >> (n == 2 ? 4 : 10));
    if (n == 3)
        *w++ = (char)(acc >> 2);
    out->len = (size_t)(w - out->ptr);
    out->ptr[out->len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unhex(struct gw_span s, unsigned skip, size_t max_digits, struct gw_buf *out)
{
    int high = -1;
    char *w;

    if (!gw_buf_reserve(out, s.len / 2 + 1))
        return;
    w = out->ptr + out->len;
    for (size_t i = 0; i < s.len && max_digits > 0; i++) {
        int d = s.ptr[i] == '\\' ? -1 : hex_digit(s.ptr[i]);

        if (s.ptr[i] == '\\')
            i++;
        if (d < 0)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        max_digits--;
        if (high >= 0)
            *w++ = (char)(high << 4 | d);
        high = high >= 0 ? -1 : d;
    }
    out->len = (size_t)(w - out->ptr);
    out->ptr[out->len] = '\0';
}

/* ---- text or not ------------------------------------------------------------------------- */

/* Bytes of the character of text at p, 0: it is none. NUL counts as text here: UTF-16. */
static unsigned text_char(const char *p, size_t left)
{
    unsigned char c = (unsigned char)*p;
    uint32_t cp = 0;

    if (c < 0x80)
        return (c >= ' ' && c != 0x7F) || (c >= '\t' && c <= '\r') || c == 0;
    return gw_utf8_decode(p, left, &cp);
}

static bool begins_as_text(struct gw_span bytes)
{
    enum { ENOUGH = 12 };
    size_t at = 0, visible = 0;

    while (at < bytes.len) {
        unsigned n = text_char(bytes.ptr + at, bytes.len - at);

        if (n == 0)
            return visible >= ENOUGH && bytes.len - at < 4; /* cut in a character */
        visible += bytes.ptr[at] != '\0';
        at += n;
    }
    return visible >= ENOUGH || (visible >= ENOUGH / 2 && visible * 2 == at);
}

static void add_text(struct gw_buf *out, struct gw_span bytes)
{
    while (bytes.len > 0) {
        const char *nul = memchr(bytes.ptr, '\0', bytes.len);
        size_t n = nul == NULL ? bytes.len : (size_t)(nul - bytes.ptr);

        gw_buf_add(out, (struct gw_span){bytes.ptr, n});
        bytes = gw_span_from(bytes, n + (nul != NULL));
    }
}

void view_texts(struct gw_span bytes, struct gw_buf *out)
{
    enum { SHORTEST = 20 };
    size_t good = 0, first = out->len;

    for (size_t at = 0; at < bytes.len;) {
        unsigned n = text_char(bytes.ptr + at, bytes.len - at);

        good += n;
        at += n == 0 ? 1 : n;
    }
    if (good * 10 >= bytes.len * 9) {
        add_text(out, bytes);
        return;
    }
    for (size_t at = 0, from = 0; from < bytes.len; from = at + 1) {
        unsigned n = 1;
        size_t visible = 0;

        for (at = from; at < bytes.len && n != 0; at += n) {
            n = text_char(bytes.ptr + at, bytes.len - at);
            visible += n != 0 && bytes.ptr[at] != '\0';
        }
        if (visible < SHORTEST)
            continue;
        if (out->len > first)
            gw_buf_addc(out, '\n');
        add_text(out, (struct gw_span){bytes.ptr + from, at - from});
    }
}

/* The digit at which decoding must begin for text or compressed bytes to come out; 0 when none is better. */
static unsigned find_phase(struct gw_span s, bool hex, struct gw_buf *scratch)
{
    enum { DIGITS = 48 };

    for (unsigned phase = 0; phase < (hex ? 2U : 4U); phase++) {
        gw_buf_clear(scratch);
        if (hex)
            unhex(s, phase, DIGITS, scratch);
        else
            unbase64(s, phase, DIGITS, scratch);
        if (gw_buf_ok(scratch) &&
            (view_is_gzip(gw_buf_span(scratch)) || begins_as_text(gw_buf_span(scratch))))
            return phase;
    }
    return 0;
}

bool view_blob_decode(struct gw_span stretch, bool hex, size_t max, struct gw_buf *scratch,
                      struct gw_buf *out, enum dlp_view *view, bool *cut)
{
    struct gw_span head = {stretch.ptr, stretch.len < 128 ? stretch.len : 128};
    unsigned phase = find_phase(head, hex, scratch);
    struct gw_buf inflated = {0};

    gw_buf_clear(scratch);
    if (hex)
        unhex(stretch, phase, SIZE_MAX, scratch);
    else
        unbase64(stretch, phase, SIZE_MAX, scratch);
    *view = hex ? DLP_VIEW_HEX : DLP_VIEW_BASE64;
    if (!gw_buf_ok(scratch))
        return false;
    if (scratch->len > max) {
        *cut = true;
        scratch->len = max;
    }
    if (view_inflate(gw_buf_span(scratch), max, &inflated, cut)) {
        *view = DLP_VIEW_GZIP;
        view_texts(gw_buf_span(&inflated), out);
    } else {
        view_texts(gw_buf_span(scratch), out);
    }
    gw_buf_fini(&inflated);
    return gw_buf_ok(out);
}

/* ---- the view ---------------------------------------------------------------------------- */

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Writes the text in front of a stretch: all since the last one, or some behind that and some here. */
static void write_before(struct view_text *v, size_t start)
{
    struct view_blob *last =
        v->places.len == 0 ? NULL : (void *)(v->places.ptr + v->places.len - sizeof(*last));
    size_t done = last == NULL ? 0 : last->src_end, from = start;

    if (last != NULL && start - done > VIEW_BLOB_BEFORE) {
        last->after = VIEW_BLOB_AFTER;
        gw_buf_add(&v->out, (struct gw_span){v->src.ptr + done, VIEW_BLOB_AFTER});
        gw_buf_addc(&v->out, '\n');
        done += VIEW_BLOB_AFTER;
    }
    from = start - done > VIEW_BLOB_BEFORE ? start - VIEW_BLOB_BEFORE : done;
    while (from < start && is_tail_byte(v->src.ptr[from]))
        from++;
    gw_buf_add(&v->out, (struct gw_span){v->src.ptr + from, start - from});
}

static void write_behind(struct view_text *v)
{
    struct view_blob *last;
    size_t left;

    if (v->places.len == 0 || !gw_buf_ok(&v->places))
        return;
    last = (void *)(v->places.ptr + v->places.len - sizeof(*last));
    left = v->src.len - last->src_end;
    last->after = (uint16_t)(left < VIEW_BLOB_AFTER ? left : VIEW_BLOB_AFTER);
    gw_buf_add(&v->out, (struct gw_span){v->src.ptr + last->src_end, last->after});
}

/* Writes one stretch when something is in it. */
static bool write_blob(struct view_text *v, size_t start, size_t end, bool hex, size_t max,
                       struct gw_buf scratch[2])
{
    struct view_blob b = {.src_start = (uint32_t)start, .src_end = (uint32_t)end};
    enum dlp_view view = DLP_VIEW_BASE64;

    gw_buf_clear(&scratch[1]);
    if (!view_blob_decode((struct gw_span){v->src.ptr + start, end - start}, hex, max, &scratch[0],
                          &scratch[1], &view, &v->cut))
        return false;
    if (scratch[1].len == 0)
        return true;
    write_before(v, start);
    b.out_start = (uint32_t)v->out.len;
    gw_buf_add(&v->out, gw_buf_span(&scratch[1]));
    b.out_end = (uint32_t)v->out.len;
    b.view = (uint16_t)view;
    gw_buf_add(&v->places, (struct gw_span){(const char *)&b, sizeof(b)});
    return gw_buf_ok(&v->out) && gw_buf_ok(&v->places);
}

bool view_make_blobs(struct view_text *v, struct gw_span src, size_t max_bytes)
{
    struct gw_buf scratch[2] = {{0}, {0}};
    size_t at = 0, start = 0, end = 0;
    bool hex = false, ok = true;

    view_clear(v);
    v->src = src;
    while (ok && view_blob_next(src, at, &start, &end, &hex)) {
        if (v->out.len >= max_bytes) {
            v->cut = true;
            break;
        }
        ok = write_blob(v, start, end, hex, max_bytes - v->out.len, scratch);
        at = end;
    }
    write_behind(v);
    gw_buf_fini(&scratch[0]);
    gw_buf_fini(&scratch[1]);
    return ok && gw_buf_ok(&v->out);
}
