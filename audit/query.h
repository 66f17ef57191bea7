/* audit/query.h - records as rows of a table, for audit/query.c. Thread: any. */
#ifndef AUDIT_QUERY_H
#define AUDIT_QUERY_H

#include "audit/spool_format.h"
#include "base/buf.h"

/* Appends the names of the columns, with a line end (RFC 4180). */
void query_csv_head(struct gw_buf *out);

/* Appends the record's values. A text that a spreadsheet would take for a formula gets an apostrophe in front. */
void query_csv_row(const struct spool_rec *rec, struct gw_buf *out);

#endif
