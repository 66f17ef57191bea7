/* dlp/view_label.c - values with their names in front, as lines of settings have them: of {"password": "..."} the text says nothing of
 * itself, and a rule that wants a name and a value finds none of the two. Pure; any thread. */
#include <string.h>

#include "dlp/view.h"

/* What a rule takes for the end of a value that is not in quotes. */
static bool needs_quotes(struct gw_span value)
{
    static const char ends[] = " \t\n,;<>(){}[]|";

    for (size_t i = 0; i < value.len; i++)
        if (memchr(ends, value.ptr[i], sizeof(ends) - 1) != NULL)
            return true;
    return false;
}

void view_begin_labelled(struct view_text *v, struct gw_span src)
{
    view_clear(v);
    v->src = src;
    v->labelled = true;
}

void view_add_labelled(struct view_text *v, struct gw_span label, struct gw_span value)
{
    const bool quoted = needs_quotes(value);
    struct view_cell cell = {.src_start = (uint32_t)(value.ptr - v->src.ptr),
                             .len = (uint32_t)value.len};

    gw_buf_add(&v->out, label);
    gw_buf_adds(&v->out, quoted ? ": \"" : ": ");
    cell.out_start = (uint32_t)v->out.len;
    gw_buf_add(&v->out, value);
    if (quoted)
        gw_buf_addc(&v->out, '"');
    gw_buf_addc(&v->out, '\n');
    gw_buf_add(&v->places, (struct gw_span){(const char *)&cell, sizeof(cell)});
}

bool view_map_labelled(const struct view_text *v, uint32_t *start, uint32_t *end)
{
    const struct view_cell *cells = (const void *)v->places.ptr;
    size_t lo = 0, hi = v->places.len / sizeof(*cells);
    uint32_t from, to;

    /* The last one that begins in front of the end. */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (cells[mid].out_start < *end)
            lo = mid;
        else
            hi = mid;
    }
    from = *start > cells[lo].out_start ? *start - cells[lo].out_start : 0;
    to = *end > cells[lo].out_start ? *end - cells[lo].out_start : 0;
    to = to < cells[lo].len ? to : cells[lo].len;
    *start = cells[lo].src_start + from;
    *end = cells[lo].src_start + to;
    return from < to;
}
