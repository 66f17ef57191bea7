/* dlp/view_blob.c - the view of what base64 and hex decode to (view.h). Pure; any thread.
 *
 * A stretch counts when what it says looks like text, or is compressed. Decoding may have to begin up to three digits in,
 * where other letters stand in front of it. */
#include <string.h>

#include "base/utf8.h"
#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_stretch.h"

/* ---- finding stretches ------------------------------------------------------------------- */

static size_t run_end(struct gw_span text, size_t at, bool *hex)
{
    unsigned all = VIEW_KIND_HEX;

    for (; at < text.len; at++) {
        unsigned kind = view_kind(text.ptr[at]);

        if ((kind & VIEW_KIND_BASE64) == 0)
            break;
        all &= kind;
    }
    *hex = *hex && all != 0;
    return at;
}

/* What lines are moved in with: blanks, and the sign of quoted mail. */
static bool is_indent(char c)
{
    return c == ' ' || c == '\t' || c == '>';
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
    for (size_t k = 0; k < BLANKS && i < text.len && is_indent(text.ptr[i]); k++)
        i++;
    return i < text.len && (view_kind(text.ptr[i]) & VIEW_KIND_BASE64) != 0 ? i : 0;
}

/* A word of ordinary text has neither digits nor capitals inside. */
static bool is_like_word(struct gw_span s)
{
    enum { SHORT = 4 };

    for (size_t i = 0; i < s.len && s.len >= SHORT; i++) {
        char c = s.ptr[i];

        if ((view_kind(c) & VIEW_KIND_DIGIT) != 0 || c == '+' || c == '/' ||
            (i > 0 && c >= 'A' && c <= 'Z' && s.ptr[i - 1] >= 'a' && s.ptr[i - 1] <= 'z'))
            return false;
    }
    return true;
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
        /* Ordinary text has a shorter word there, and a blank behind it. */
        if (end - at != line && end < text.len && text.ptr[end] == ' ' &&
            is_like_word((struct gw_span){text.ptr + at, end - at}))
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

/* The stretch whose run begins at `from`. */
static size_t blob_end(struct gw_span text, size_t from, bool *hex)
{
    bool h = true;
    size_t to = run_end(text, from, &h), end = padding_end(text, stretch_end(text, from, to, &h));

    *hex = h;
    return end;
}

/* Bytes of what says that hexadecimal digits follow, 0x or x (of \\x), at the start of a run of them; 0: there is nothing of the kind. */
static size_t hex_mark(struct gw_span text, size_t from)
{
    size_t n = text.len - from > 2 && text.ptr[from] == '0' ? 1 : 0;
    bool hex = true;

    if (text.len - from <= n || (text.ptr[from + n] | 0x20) != 'x')
        return 0;
    (void)run_end(text, from + n + 1, &hex);
    return hex ? n + 1 : 0;
}

bool view_blob_next(struct gw_span text, const struct view_marks *marks, size_t at, size_t *start,
                    size_t *end, bool *hex)
{
    size_t from = view_find_run(text, view_marks_from(marks, VIEW_MARK_RUN, at, text.len));

    if (from == text.len)
        return false;
    *start = from; /* with its mark, which says nothing else */
    *end = blob_end(text, from + hex_mark(text, from), hex);
    return true;
}

size_t view_stretch_at(struct gw_span text, size_t at, bool *worth)
{
    bool hex = false;
    size_t end = 0, mark = hex_mark(text, at);

    if (mark != 0) {
        end = blob_end(text, at + mark, &hex);
        *worth = !view_says_nothing((struct gw_span){text.ptr + at + mark, end - at - mark}, hex);
        return end;
    }
#if defined(__x86_64__)
    if (view_has_avx512()) {
        bool nothing = false;
        const size_t run = view_run_avx512(gw_span_from(text, at), &nothing);

        if (run != 0 && !view_may_end_line(text, at + run)) {
            *worth = !nothing;
            return at + run;
        }
        end = run == 0 ? blob_end(text, at, &hex)
                       : padding_end(text, stretch_end(text, at, at + run, &hex));
        *worth =
            (hex || !view_lines_say_nothing_avx512((struct gw_span){text.ptr + at, end - at})) &&
            !view_says_nothing((struct gw_span){text.ptr + at, end - at}, hex);
        return end;
    }
#endif
    end = blob_end(text, at, &hex);
    *worth = !view_says_nothing((struct gw_span){text.ptr + at, end - at}, hex);
    return end;
}

/* ---- decoding ---------------------------------------------------------------------------- */

/* The next digit from *i on; VIEW_NO_DIGIT: there are no more. A backslash is the first half of a line break that is written as an escape. */
static inline unsigned next_digit(struct gw_span s, size_t *i, bool hex)
{
    while (*i < s.len) {
        char c = s.ptr[(*i)++];
        unsigned d = view_digit(c, hex);

        if (d != VIEW_NO_DIGIT)
            return d;
        *i += c == '\\';
    }
    return VIEW_NO_DIGIT;
}

/* Writes what n digits say, and returns how many bytes that is: of base64 digits left over as many as are whole. */
static size_t pack(const uint8_t *digits, size_t n, bool hex, char *out)
{
    char *w = out;
    size_t i = 0;

    for (; hex && i + 2 <= n; i += 2)
        *w++ = (char)(digits[i] << 4 | digits[i + 1]);
    for (; !hex && i + 4 <= n; i += 4) {
        *w++ = (char)(digits[i] << 2 | digits[i + 1] >> 4);
        *w++ = (char)(digits[i + 1] << 4 | digits[i + 2] >> 2);
        *w++ = (char)(digits[i + 2] << 6 | digits[i + 3]);
    }
    if (!hex && n - i >= 2)
        *w++ = (char)(digits[i] << 2 | digits[i + 1] >> 4);
    if (!hex && n - i == 3)
        *w++ = (char)(digits[i + 1] << 4 | digits[i + 2] >> 2);
    return (size_t)(w - out);
}

/* Writes what groups of digits of base64 say that stand together from *i on. Returns where they end. */
static char *decode_groups(struct gw_span s, size_t *i, bool hex, char *w)
{
    size_t at = *i;

    for (; !hex && s.len - at >= 4; at += 4, w += 3) {
        unsigned a = view_base64[(unsigned char)s.ptr[at]],
                 b = view_base64[(unsigned char)s.ptr[at + 1]],
                 c = view_base64[(unsigned char)s.ptr[at + 2]],
                 d = view_base64[(unsigned char)s.ptr[at + 3]];

        if (((a | b | c | d) & VIEW_NO_DIGIT) != 0)
            break;
        w[0] = (char)(a << 2 | b >> 4);
        w[1] = (char)(b << 4 | c >> 2);
        w[2] = (char)(c << 6 | d);
    }
    *i = at;
    return w;
}

/* Appends what the digits of a stretch say, from the skip-th digit on. left: see view_reserve(). */
static void decode(struct gw_span s, bool hex, unsigned skip, size_t left, struct gw_buf *out)
{
    enum { GROUP = 4 };
    uint8_t digits[GROUP];
    size_t i = 0, n = GROUP;
    char *w;

    if (!view_reserve(out, hex ? s.len / 2 + 4 : s.len / 4 * 3 + 4, left))
        return;
    w = out->ptr + out->len;
    for (; skip > 0; skip--)
        (void)next_digit(s, &i, hex);
    while (n == GROUP) {
        w = decode_groups(s, &i, hex, w);
        for (n = 0; n < GROUP; n++) {
            unsigned d = next_digit(s, &i, hex);

            if (d == VIEW_NO_DIGIT)
                break;
            digits[n] = (uint8_t)d;
        }
        w += pack(digits, n, hex, w);
    }
    out->len = (size_t)(w - out->ptr);
    out->ptr[out->len] = '\0';
}

/* ---- text or not ------------------------------------------------------------------------- */

/* Bytes of the character of text at p, 0: it is none. NUL counts as text here: UTF-16. */
static inline unsigned text_char(const char *p, size_t left)
{
    unsigned kind = view_kind(*p);
    uint32_t cp = 0;

    if ((kind & VIEW_KIND_HIGH) == 0)
        return (kind & VIEW_KIND_CONTROL) == 0;
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

/* Moves the bytes of b from `from` to `to` without NULs down to w, and returns where they end. */
static size_t move_text(struct gw_buf *b, size_t from, size_t to, size_t w)
{
    while (from < to) {
        const char *nul = memchr(b->ptr + from, '\0', to - from);
        size_t n = nul == NULL ? to - from : (size_t)(nul - (b->ptr + from));

        memmove(b->ptr + w, b->ptr + from, n);
        w += n;
        from += n + (nul != NULL);
    }
    return w;
}

/* Is nearly all of it text? */
static bool is_text(struct gw_span bytes)
{
    size_t bad = 0;

    for (size_t at = 0; at < bytes.len;) {
        unsigned n = text_char(bytes.ptr + at, bytes.len - at);

        at += n == 0 ? 1 : n;
        if (n == 0 && ++bad * 10 > bytes.len)
            return false;
    }
    return true;
}

/* Forgets what b holds behind its first len bytes. */
static void cut_off(struct gw_buf *b, size_t len)
{
    explicit_bzero(b->ptr + len, b->len - len);
    b->len = len;
}

/* Leaves of what b holds from `from` on the stretches that look like text: all when nearly all does; NUL bytes in between (UTF-16)
 * left out. */
static void keep_texts(struct gw_buf *b, size_t from)
{
    struct gw_span bytes = gw_span_from(gw_buf_span(b), from);
    size_t first = from, w = from;

    if (is_text(bytes)) {
        cut_off(b, move_text(b, from, b->len, w));
        return;
    }
    for (size_t at = from; from + VIEW_SHORTEST <= b->len; from = at + 1) {
        unsigned n = 1;
        size_t visible = 0;

        for (at = from; at < b->len && n != 0; at += n) {
            n = text_char(b->ptr + at, b->len - at);
            visible += n != 0 && b->ptr[at] != '\0';
        }
        if (visible < VIEW_SHORTEST)
            continue;
        if (w > first)
            b->ptr[w++] = '\n'; /* where a byte stood that is no text */
        w = move_text(b, from, at, w);
    }
    cut_off(b, w);
}

/* The digit at which decoding must begin for text or compressed bytes to come out; 0 when none is better. */
static unsigned find_phase(struct gw_span s, bool hex)
{
    enum { DIGITS = 48, LAST = 3, FEW = 16 };
    uint8_t digits[DIGITS + LAST];
    unsigned n = 0;

    for (size_t i = 0; n < sizeof(digits); n++) {
        unsigned d = next_digit(s, &i, hex);

        if (d == VIEW_NO_DIGIT)
            break;
        digits[n] = (uint8_t)d;
    }
    for (unsigned phase = 0; phase < (hex ? 2U : 4U) && phase < n; phase++) {
        char bytes[DIGITS];
        unsigned left = n - phase < DIGITS ? n - phase : DIGITS;
        struct gw_span some = {bytes, pack(digits + phase, left < FEW ? left : FEW, hex, bytes)};

        /* Most are given away by their first byte. */
        if (some.len >= FEW / 2 && !view_is_gzip(some) && text_char(some.ptr, some.len) == 0)
            continue;
        some.len = pack(digits + phase, left, hex, bytes);
        if (view_is_gzip(some) || begins_as_text(some))
            return phase;
    }
    return 0;
}

/* Appends what of the stretch looks like text; nothing when nothing does. *view: the innermost form. At most max bytes; *cut
 * is set when there was more. left: about how much will be appended behind it. False: out of memory. */
static bool add_decoded(struct gw_span stretch, bool hex, size_t max, size_t left,
                        struct gw_buf *out, enum dlp_view *view, bool *cut)
{
    struct gw_span head = {stretch.ptr, stretch.len < 128 ? stretch.len : 128};
    unsigned phase = find_phase(head, hex);
    size_t first = out->len;

    decode(stretch, hex, phase, left, out);
    *view = hex ? DLP_VIEW_HEX : DLP_VIEW_BASE64;
    if (!gw_buf_ok(out))
        return false;
    if (out->len - first > max) {
        *cut = true;
        cut_off(out, first + max);
    }
    if (view_inflate(out, first, max, cut))
        *view = DLP_VIEW_GZIP;
    if (!gw_buf_ok(out))
        return false;
    keep_texts(out, first);
    return true;
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

/* Is the stretch known to be worth a look, as the marks say? */
static bool is_marked(const struct view_marks *marks, size_t start)
{
    return marks != NULL && start < marks->list[VIEW_MARK_RUN].upto;
}

/* Writes one stretch when something is in it. */
static bool write_blob(struct view_text *v, size_t start, size_t end, bool hex, size_t max_bytes)
{
    struct view_blob b = {.src_start = (uint32_t)start, .src_end = (uint32_t)end};
    size_t first = start + hex_mark(v->src, start);
    struct gw_span digits = {v->src.ptr + first, end - first};
    struct view_blob *last =
        v->places.len == 0 ? NULL : (void *)(v->places.ptr + v->places.len - sizeof(*last));
    size_t before = v->out.len, max = max_bytes - before;
    uint16_t after = last == NULL ? 0 : last->after;
    enum dlp_view view = DLP_VIEW_BASE64;

    if (!is_marked(v->marks, start) && view_says_nothing(digits, hex))
        return true;
    write_before(v, start);
    b.out_start = (uint32_t)v->out.len;
    if (!add_decoded(digits, hex, max, v->src.len - end, &v->out, &view, &v->cut))
        return false;
    if (v->out.len == b.out_start) { /* as if nothing had been there */
        cut_off(&v->out, before);
        if (last != NULL)
            last->after = after;
        return true;
    }
    b.out_end = (uint32_t)v->out.len;
    b.view = (uint16_t)view;
    gw_buf_add(&v->places, (struct gw_span){(const char *)&b, sizeof(b)});
    return gw_buf_ok(&v->out) && gw_buf_ok(&v->places);
}

bool view_make_blobs(struct view_text *v, struct gw_span src, const struct view_marks *marks,
                     size_t max_bytes)
{
    size_t at = 0, start = 0, end = 0;
    bool hex = false, ok = true;

    view_clear(v);
    v->src = src;
    v->marks = marks;
    while (ok && view_blob_next(src, marks, at, &start, &end, &hex)) {
        if (v->out.len >= max_bytes) {
            v->cut = true;
            break;
        }
        ok = write_blob(v, start, end, hex, max_bytes);
        at = end;
    }
    write_behind(v);
    return ok && gw_buf_ok(&v->out);
}
