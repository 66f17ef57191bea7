/* dlp/view_sheet.h - tables in a text: their columns as lines of a heading and a value. Private to dlp. */
#ifndef DLP_VIEW_SHEET_H
#define DLP_VIEW_SHEET_H

#include "dlp/view.h"

enum {
    VIEW_SHEETS = 4,              /* tables of a text */
    VIEW_COLUMNS = 64,            /* columns of a table */
    VIEW_COLUMN_BYTES = 64 << 10, /* of a view, and the row that goes beyond */
};

/* A table: its headings, and the rows [from, to) of the text. */
struct view_sheet {
    struct gw_span heading[VIEW_COLUMNS]; /* of the text; empty: it has none */
    size_t from, to;
    unsigned n_columns;
    char separator;
};

/* Finds at most max tables. Linear in the tables, and a few lines besides. */
unsigned view_find_sheets(struct gw_span text, struct view_sheet *out, unsigned max);

/* Makes the labelled view of a column, of at most most_rows rows from `from` on, which is where one begins. Returns where to go on; s->to:
 * that was all. The caller asks gw_buf_ok() of v->out and v->places. */
size_t view_make_column(struct view_text *v, struct gw_span text, const struct view_sheet *s,
                        unsigned column, size_t from, unsigned most_rows);

#endif
