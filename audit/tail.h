/* audit/tail.h - one record as one line for people, for audit/tail.c. Thread: any. */
#ifndef AUDIT_TAIL_H
#define AUDIT_TAIL_H

#include <stdbool.h>

#include "audit/spool_format.h"
#include "base/buf.h"

/* Appends the line, with its newline. What a client chose is printed with control characters replaced:
 * a record must not be able to drive the reader's terminal. */
void tail_line(const struct spool_rec *rec, bool color, struct gw_buf *out);

/* Appends the line above the columns. */
void tail_heading(bool color, struct gw_buf *out);

#endif
