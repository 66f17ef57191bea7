/* dlp/view_walk.c - views that are walked unit by unit, and the way back from all views (view.h). Pure; any thread. */
#include <string.h>

#include "dlp/view.h"

void view_clear(struct view_text *v)
{
    gw_buf_clear(&v->out);
    gw_buf_clear(&v->places);
    gw_buf_clear(&v->units);
    v->walk = NULL;
    v->labelled = false;
    v->marks = NULL;
    v->found = (struct view_mark){0, 0};
    v->cut = false;
}

void view_fini(struct view_text *v)
{
    gw_buf_fini(&v->out);
    gw_buf_fini(&v->places);
    gw_buf_fini(&v->units);
}

bool view_reserve(struct gw_buf *out, size_t n, size_t left)
{
    size_t more = out->cap < left ? out->cap : left;

    if (n < out->cap - out->len)
        return gw_buf_ok(out);
    return gw_buf_reserve_exact(out, n > more ? n : more);
}

/* ---- making ------------------------------------------------------------------------------ */

static void put_mark(struct view_text *v, size_t src)
{
    struct view_mark m = {(uint32_t)src, (uint32_t)v->out.len};

    gw_buf_add(&v->places, (struct gw_span){(const char *)&m, sizeof(m)});
}

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Where the surroundings of a unit begin: at a blank when there is one near, so that no token looks like two. */
static size_t begin_before(const struct view_walk *walk, struct gw_span text, size_t at,
                           size_t done)
{
    enum { FURTHER = 128 };
    size_t from = at - done > walk->before ? at - walk->before : done, blank = from;

    while (blank > done && from - blank < FURTHER && !is_space(text.ptr[blank - 1]))
        blank--;
    if (blank == done || is_space(text.ptr[blank - 1]))
        from = blank;
    while (from > done && is_tail_byte(text.ptr[from]))
        from--;
    return from;
}

/* Where the surroundings of a unit end, likewise. */
static size_t end_behind(const struct view_walk *walk, struct gw_span text, size_t at)
{
    enum { FURTHER = 128 };
    size_t to = text.len - at > walk->behind ? at + walk->behind : text.len, blank = to;

    while (blank < text.len && blank - to < FURTHER && !is_space(text.ptr[blank]))
        blank++;
    if (blank == text.len || is_space(text.ptr[blank]))
        to = blank;
    while (to < text.len && is_tail_byte(text.ptr[to]))
        to++;
    return to;
}

/* Where the walk is among the units that matter. */
struct triggers {
    size_t at, resume; /* the next one, and where to look on */
    size_t end;        /* of the surroundings of those so far */
};

/* Passes the units that matter up to `at`. */
static void pass_triggers(struct view_text *v, struct triggers *t, size_t at)
{
    enum { LONGEST = 64 }; /* bytes of a unit, and more */
    const size_t len = v->src.len;

    while (t->at <= at && t->at < len) {
        uint32_t out = (uint32_t)v->out.len;
        size_t unit = t->at, least = len - unit > v->walk->behind ? unit + v->walk->behind : len;

        if (v->walk->alone && unit == at)
            gw_buf_add(&v->units, (struct gw_span){(const char *)&out, sizeof(out)});
        t->at = v->walk->next(v->src, v->marks, t->resume > at ? t->resume : at + 1, &t->resume);
        /* When another one begins in front of the end, that one's counts. */
        t->end = t->at < len && t->at + LONGEST < least ? least : end_behind(v->walk, v->src, unit);
    }
    if (t->at < len && t->at <= t->end + v->walk->before && t->at >= t->end)
        t->end = t->at + 1;
}

/* Writes one unit or some plain bytes below `to`. */
static size_t write_some(struct view_text *v, size_t at, size_t to)
{
    size_t plain = v->walk->plain(v->src, at, to);
    char unit[VIEW_UNIT_MAX];
    unsigned n = 0;

    if (plain > 0) {
        gw_buf_add(&v->out, (struct gw_span){v->src.ptr + at, plain});
        return at + plain;
    }
    at += v->walk->step(v->src, at, unit, &n);
    gw_buf_add(&v->out, (struct gw_span){unit, n});
    return at;
}

/* Writes from `at` on while units that matter are near. Returns where it stopped. */
static size_t write_region(struct view_text *v, size_t at, struct triggers *t, size_t max_bytes)
{
    size_t marked = at;

    put_mark(v, at);
    t->end = t->at + 1;
    while (at < t->end && gw_buf_ok(&v->out)) {
        size_t to;

        if (v->out.len >= max_bytes) {
            v->cut = true;
            break;
        }
        pass_triggers(v, t, at);
        if (at - marked >= VIEW_MARK_EVERY) {
            put_mark(v, at);
            marked = at;
        }
        to = t->at > at && t->at < t->end ? t->at : t->end;
        to = marked + VIEW_MARK_EVERY < to ? marked + VIEW_MARK_EVERY : to;
        (void)view_reserve(&v->out, VIEW_MARK_EVERY + VIEW_UNIT_MAX, v->src.len - at);
        at = write_some(v, at, to > at ? to : at + 1);
    }
    return at;
}

bool view_make_walked(struct view_text *v, const struct view_walk *walk, struct gw_span src,
                      const struct view_marks *marks, size_t max_bytes)
{
    struct triggers t = {.at = 0};
    size_t done = 0;

    view_clear(v);
    v->src = src;
    v->walk = walk;
    v->marks = marks;
    t.at = walk->next(src, marks, 0, &t.resume);
    while (t.at < src.len && gw_buf_ok(&v->out) && !v->cut) {
        size_t from = begin_before(walk, src, t.at > done ? t.at : done, done);

        if (v->out.len > 0)
            gw_buf_addc(&v->out, '\n');
        done = write_region(v, from, &t, max_bytes);
    }
    return gw_buf_ok(&v->out) && gw_buf_ok(&v->places) && gw_buf_ok(&v->units);
}

/* ---- the way back ------------------------------------------------------------------------ */

/* The last mark at or before the offset in out. */
static struct view_mark find_mark(const struct view_text *v, uint32_t out)
{
    const struct view_mark *marks = (const void *)v->places.ptr;
    size_t lo = 0, hi = v->places.len / sizeof(*marks);

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (marks[mid].out <= out)
            lo = mid;
        else
            hi = mid;
    }
    return marks[lo];
}

/* In which form the unit at `at` was. */
static enum dlp_view view_of(const struct view_text *v, size_t at)
{
    if (v->walk->view != DLP_VIEW_PERCENT)
        return v->walk->view;
    if (v->src.ptr[at] == '%')
        return DLP_VIEW_PERCENT;
    return v->src.ptr[at] == '&' ? DLP_VIEW_HTML : DLP_VIEW_ESCAPED;
}

/* A unit: [begin, end) in the source, from `out` on in the view. */
struct unit {
    size_t begin, end, out;
};

/* The unit that wrote out[at]. It is looked for from the last mark on, or from the unit that was found last. */
static struct unit unit_at(const struct view_text *v, uint32_t at)
{
    struct view_mark mark = find_mark(v, at),
                     from = v->found.out > mark.out && v->found.out <= at ? v->found : mark;
    size_t src = from.src, out = from.out;

    while (src < v->src.len) {
        size_t wanted = at - out, to = v->src.len - src > wanted ? src + wanted + 1 : v->src.len,
               plain = v->walk->plain(v->src, src, to);
        char unit[VIEW_UNIT_MAX];
        unsigned n = 0, len;

        if (plain > wanted)
            return (struct unit){src + wanted, src + wanted + 1, at};
        src += plain;
        out += plain;
        if (plain > 0)
            continue;
        len = v->walk->step(v->src, src, unit, &n);
        if (out + n > at)
            return (struct unit){src, src + len, out};
        src += len;
        out += n;
    }
    return (struct unit){v->src.len, v->src.len, out};
}

/* Invisible characters and marks behind a value belong to it. */
static size_t behind_hidden(const struct view_text *v, size_t at)
{
    enum { UNITS = 64 };

    for (unsigned i = 0; i < UNITS && at < v->src.len; i++) {
        char unit[VIEW_UNIT_MAX];
        unsigned n = 0, len = v->walk->step(v->src, at, unit, &n);

        if (n != 0)
            break;
        at += len;
    }
    return at;
}

static bool map_walked(struct view_text *v, uint32_t start, uint32_t end, uint32_t *src_start,
                       uint32_t *src_end, enum dlp_view *view)
{
    struct unit first = unit_at(v, start), last;
    size_t next, from = first.begin, to;

    v->found = (struct view_mark){(uint32_t)first.begin, (uint32_t)first.out};
    last = unit_at(v, end - 1);
    to = last.end;
    *src_start = (uint32_t)from;
    *src_end = (uint32_t)(v->walk == &view_walk_fold ? behind_hidden(v, to) : to);
    *view = v->walk->view;
    if (to - from == end - start && memcmp(v->src.ptr + from, v->out.ptr + start, to - from) == 0)
        return false;
    for (size_t at = from; at < to; at = next) {
        char unit[VIEW_UNIT_MAX];
        unsigned n = 0;

        next = at + v->walk->step(v->src, at, unit, &n);
        if (n == next - at && memcmp(unit, v->src.ptr + at, n) == 0)
            continue;
        *view = view_of(v, at);
        break;
    }
    return true;
}

/* The last blob that begins in out at `at` or before; the first when there is none. */
static const struct view_blob *find_blob(const struct view_text *v, uint32_t at)
{
    const struct view_blob *blobs = (const void *)v->places.ptr;
    size_t lo = 0, hi = v->places.len / sizeof(*blobs);

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (blobs[mid].out_start <= at)
            lo = mid;
        else
            hi = mid;
    }
    return &blobs[lo];
}

/* The place in the source of out[at], in text around the blobs or between two bytes. */
static uint32_t around_blob(const struct view_text *v, const struct view_blob *b, uint32_t at)
{
    const struct view_blob *next = b + 1;
    bool last = (const char *)next >= v->places.ptr + v->places.len;
    uint32_t back;

    if (at <= b->out_start) { /* before the first */
        back = b->out_start - at;
        return b->src_start > back ? b->src_start - back : 0;
    }
    if (at <= b->out_end + b->after)
        return b->src_end + (at - b->out_end);
    if (last)
        return b->src_end + b->after;
    back = next->out_start - at;
    return next->src_start - b->src_end > back ? next->src_start - back : b->src_end;
}

static bool map_blobs(const struct view_text *v, uint32_t start, uint32_t end, uint32_t *src_start,
                      uint32_t *src_end, enum dlp_view *view)
{
    const struct view_blob *first = find_blob(v, start), *last = find_blob(v, end - 1);
    bool decoded = first != last || (start < first->out_end && end > first->out_start);

    *src_start = start >= first->out_start && start < first->out_end ? first->src_start
                                                                     : around_blob(v, first, start);
    *src_end =
        end > last->out_start && end <= last->out_end ? last->src_end : around_blob(v, last, end);
    *view = start >= first->out_end && last > first ? (first + 1)->view : first->view;
    return decoded;
}

bool view_map(struct view_text *v, uint32_t start, uint32_t end, uint32_t *src_start,
              uint32_t *src_end, enum dlp_view *view)
{
    return v->walk == NULL ? map_blobs(v, start, end, src_start, src_end, view)
                           : map_walked(v, start, end, src_start, src_end, view);
}
