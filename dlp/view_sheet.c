/* dlp/view_sheet.c - tables in a text, whose columns say in their first line what is below. Pure; any thread.
 *
 *     name,ssn,city            name | password        what a rule for numbers or passwords wants to read
 *     Ann,536221234,Oslo       -----+---------        stands in the heading alone:
 *     Bob,536221235,Rome       ann  | hunter2x9           ssn: 536221234
 *
 * A table is lines of the same number of separators. Looking at every line would cost more than scanning them, so a few places of a text are
 * looked at, and a table is seen when it is a quarter of it. */
#include "dlp/view_sheet.h"

#include <string.h>

enum {
    PLACES = 4,      /* that are looked at in a long text */
    EVERY = 48,      /* bytes between them at least */
    WINDOW = 64,     /* bytes that are looked at there */
    TABLE = 32,      /* bytes of a table at least */
    LINE = 2048,     /* bytes of a line at most */
    HEADING = 48,    /* bytes of a heading */
    WORDS = 4,       /* of it */
    CELL_LEAST = 3,  /* bytes of a cell that is looked at */
    CELL_MOST = 256, /* the same */
    TIMES = 4,       /* a heading is so many times as long as a cell at most */
    ROWS_FEW = 3,    /* rows that two columns need; more columns need one less */
};

typedef unsigned char v16 __attribute__((vector_size(16)));

static const char separators[] = {',', '\t', ';', '|'};
enum { SEPARATORS = sizeof(separators) };

static bool is_any(v16 x)
{
    uint64_t h[2];

    memcpy(h, &x, sizeof(h));
    return (h[0] | h[1]) != 0;
}

/* The sum of 16 bytes, each at most 128 and all at most LINE. */
static unsigned sum_16(v16 x)
{
    uint64_t h[2], even = UINT64_C(0x00FF00FF00FF00FF);

    memcpy(h, &x, sizeof(h));
    h[0] = (h[0] & even) + (h[0] >> 8 & even) + (h[1] & even) + (h[1] >> 8 & even);
    return (unsigned)((h[0] * UINT64_C(0x0001000100010001)) >> 48);
}

/* Are a digit and two of the same separator in the n bytes at p, at most 64? */
static bool looks_like_row(const char *p, size_t n)
{
    v16 b[4] = {{0}}, some = {0}, digits = {0};

    if (n == sizeof(b))
        memcpy(b, p, sizeof(b));
    else
        memcpy(b, p, n);
    for (unsigned i = 0; i < 4; i++) {
        some |= (v16)((b[i] == ',') | (b[i] == ';') | (b[i] == '\t') | (b[i] == '|'));
        digits |= (v16)((b[i] - '0') < 10);
    }
    if (!is_any(some) || !is_any(digits))
        return false;
    for (unsigned k = 0; k < SEPARATORS; k++) {
        v16 seen = {0};

        for (unsigned i = 0; i < 4; i++)
            seen -= (v16)(b[i] == (unsigned char)separators[k]);
        if (sum_16(seen) >= 2)
            return true;
    }
    return false;
}

/* ---- lines ------------------------------------------------------------------------------- */

struct line {
    size_t from, to; /* without its end */
};

static struct line line_at(struct gw_span text, size_t at)
{
    const char *begin = at == 0 ? NULL : memrchr(text.ptr, '\n', at);
    const char *end = memchr(text.ptr + at, '\n', text.len - at);

    return (struct line){begin == NULL ? 0 : (size_t)(begin - text.ptr) + 1,
                         end == NULL ? text.len : (size_t)(end - text.ptr)};
}

static bool next_line(struct gw_span text, struct line *l)
{
    if (l->to >= text.len)
        return false;
    *l = line_at(text, l->to + 1);
    return true;
}

static bool earlier_line(struct gw_span text, struct line *l)
{
    if (l->from == 0)
        return false;
    *l = line_at(text, l->from - 1);
    return true;
}

/* The next cell of [*at, l.to); false: there is none. A cell in quotes may hold separators. */
static bool next_cell(struct gw_span text, struct line l, char separator, size_t *at,
                      struct line *cell)
{
    bool quoted = false;
    size_t i = *at;

    if (i > l.to)
        return false;
    cell->from = i;
    for (; i < l.to; i++) {
        if (text.ptr[i] == '"' && separator != '|')
            quoted = !quoted;
        else if (text.ptr[i] == separator && !quoted)
            break;
    }
    cell->to = i;
    *at = i + 1;
    return true;
}

/* The next bytes of [i, to), NULs behind them. Its last ones are read with those in front of them: a vector of what was just written byte by
 * byte would wait for that. */
static inline v16 bytes_of(const char *p, size_t i, size_t to)
{
    static const v16 number = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 b = {0};

    if (to - i >= sizeof(b)) {
        memcpy(&b, p + i, sizeof(b));
        return b;
    }
    if (to < sizeof(b)) {
        memcpy(&b, p + i, to - i);
        return b;
    }
    memcpy(&b, p + to - sizeof(b), sizeof(b));
    return b & (v16)(number >= (unsigned char)(sizeof(b) - (to - i)));
}

/* How many cells the separator makes of the line. */
static unsigned count_cells(struct gw_span text, struct line l, char separator)
{
    v16 quotes = {0}, seen = {0};
    struct line cell;
    size_t at = l.from;
    unsigned cells = 0;

    if (l.to - l.from > LINE)
        return 0;
    for (size_t i = l.from; i < l.to; i += sizeof(v16)) {
        const v16 b = bytes_of(text.ptr, i, l.to);

        quotes |= (v16)(b == '"');
        seen -= (v16)(b == (unsigned char)separator);
    }
    if (separator == '|' || !is_any(quotes))
        return sum_16(seen) + 1;
    while (next_cell(text, l, separator, &at, &cell))
        cells++;
    return cells;
}

/* What lines are drawn of. Many bytes are asked, those of indented code among them: no call for each. */
static bool is_stroke(char c)
{
    return c == '-' || c == '+' || c == '|' || c == '=' || c == ':' || c == ' ' || c == '\r';
}

/* A line drawn between the headings and the rows: |---|:---:|, ----+----. */
static bool is_drawn(struct gw_span text, struct line l)
{
    if (l.to - l.from < 3 || l.to - l.from > LINE)
        return false;
    for (size_t i = l.from; i < l.to; i++)
        if (!is_stroke(text.ptr[i]))
            return false;
    return true;
}

static bool is_row(struct gw_span text, struct line l, char separator, unsigned n)
{
    return count_cells(text, l, separator) == n || (separator == '|' && is_drawn(text, l));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '"' || c == '\'' || c == '*' || c == '`';
}

static struct gw_span trimmed(struct gw_span text, struct line cell)
{
    while (cell.from < cell.to && is_blank(text.ptr[cell.from]))
        cell.from++;
    while (cell.to > cell.from && is_blank(text.ptr[cell.to - 1]))
        cell.to--;
    return (struct gw_span){text.ptr + cell.from, cell.to - cell.from};
}

/* ---- tables ------------------------------------------------------------------------------ */

/* Does a heading have no such byte? */
static bool is_unlike_heading(char c)
{
    switch (c) {
    case '\0':
    case ':':
    case '=':
    case '(':
    case ')':
    case '{':
    case '}':
    case '<':
    case '>':
    case ';':
    case '!':
    case '?':
        return true;
    default:
        return false;
    }
}

static bool is_heading(struct gw_span h, unsigned most_words)
{
    unsigned words = 1;

    if (h.len < 2 || h.len > HEADING || (h.ptr[0] >= '0' && h.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < h.len; i++) {
        words += h.ptr[i] == ' ';
        if (is_unlike_heading(h.ptr[i]))
            return false;
    }
    return words <= most_words;
}

/* Reads the headings of the line; false: it has none. */
static bool read_headings(struct gw_span text, struct line l, unsigned most_words,
                          struct view_sheet *s)
{
    struct line cell;
    size_t at = l.from;
    unsigned named = 0;

    s->n_columns = 0;
    while (next_cell(text, l, s->separator, &at, &cell)) {
        struct gw_span h = trimmed(text, cell);

        if (s->n_columns == VIEW_COLUMNS || (h.len > 0 && !is_heading(h, most_words)))
            return false;
        named += h.len > 0;
        s->heading[s->n_columns++] = h;
    }
    return named >= 2;
}

/* The separator that the line has most of, and how many cells that makes. */
static unsigned separator_of(struct gw_span text, struct line l, char *separator)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SEPARATORS; i++) {
        const unsigned cells = count_cells(text, l, separators[i]);

        if (cells > n) {
            n = cells;
            *separator = separators[i];
        }
    }
    return n;
}

/* Goes up from a row of n cells to the first line of its table. Returns how many rows that were; none when it comes to a line in front of
 * `above`, of which it is known that no headings are there. */
static unsigned go_up(struct gw_span text, struct line *l, char separator, unsigned n, size_t above)
{
    struct line up = *l;
    unsigned rows = 1;

    for (; earlier_line(text, &up) && is_row(text, up, separator, n); rows++) {
        if (up.from < above)
            return 0;
        *l = up;
    }
    return rows;
}

/* Finds the line of headings among the first ones from *first on: a sentence above a table may look like one, but of longer cells. */
static bool find_headings(struct gw_span text, struct line *first, struct view_sheet *s)
{
    enum { ABOVE = 4 };

    for (unsigned words = WORDS / 2; words <= WORDS; words += WORDS / 2) {
        struct line l = *first;

        for (unsigned i = 0; i < ABOVE; i++) {
            if (!is_drawn(text, l) && read_headings(text, l, words, s)) {
                *first = l;
                return true;
            }
            if (!next_line(text, &l))
                break;
        }
    }
    return false;
}

/* Does the line at `at` belong to a table with headings? Sets *s. *above: up to where it is known. */
static bool table_at(struct gw_span text, size_t at, size_t *above, struct view_sheet *s)
{
    const struct line here = line_at(text, at);
    struct line first = here, l = here;
    unsigned n = separator_of(text, here, &s->separator), rows;

    if (n < 2 || n > VIEW_COLUMNS)
        return false;
    rows = go_up(text, &first, s->separator, n, *above);
    *above = here.to;
    if (rows == 0 || !find_headings(text, &first, s))
        return false;
    l = first.from > here.from ? first : here;
    for (s->to = l.to; next_line(text, &l) && is_row(text, l, s->separator, n); rows++)
        s->to = l.to;
    *above = s->to;
    s->from = first.to + 1;
    return s->from < s->to && rows + (n > 2) > ROWS_FEW;
}

unsigned view_find_sheets(struct gw_span text, struct view_sheet *out, unsigned max)
{
    size_t step = text.len / PLACES < EVERY ? EVERY : text.len / PLACES, above = 0;
    const size_t window = text.len < WINDOW ? text.len : WINDOW;
    unsigned n = 0;

    if (text.len < TABLE)
        return 0;
    for (size_t at = step / 2; at < text.len && n < max; at += step) {
        size_t from = at < text.len - window ? at : text.len - window;

        if (at < above || !looks_like_row(text.ptr + from, window))
            continue;
        n += table_at(text, at, &above, &out[n]);
    }
    return n;
}

/* ---- the view ---------------------------------------------------------------------------- */

static bool is_worth_it(struct gw_span cell, struct gw_span heading)
{
    if (cell.len < CELL_LEAST || cell.len > CELL_MOST || heading.len == 0 ||
        heading.len > TIMES * cell.len)
        return false;
    for (size_t i = 0; i < cell.len; i++)
        if (cell.ptr[i] >= '0' && cell.ptr[i] <= '9')
            return true;
    return false;
}

static bool nth_cell(struct gw_span text, struct line l, char separator, unsigned n,
                     struct line *cell)
{
    size_t at = l.from;

    for (unsigned i = 0; i <= n; i++)
        if (!next_cell(text, l, separator, &at, cell))
            return false;
    return true;
}

size_t view_make_column(struct view_text *v, struct gw_span text, const struct view_sheet *s,
                        unsigned column, size_t from, unsigned most_rows)
{
    struct line row = line_at(text, from);

    view_begin_labelled(v, text);
    for (unsigned n = 1;; n++) {
        struct line cell;

        if (nth_cell(text, row, s->separator, column, &cell) &&
            is_worth_it(trimmed(text, cell), s->heading[column]))
            view_add_labelled(v, s->heading[column], trimmed(text, cell));
        if (row.to >= s->to)
            return s->to;
        if (n == most_rows || v->out.len >= VIEW_COLUMN_BYTES)
            return row.to + 1;
        (void)next_line(text, &row);
    }
}
