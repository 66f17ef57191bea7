/* dlp/edit.h - splicing replacements into the received bytes; private to dlp/. */
#ifndef DLP_EDIT_H
#define DLP_EDIT_H

#include "dlp/dlp.h"

/* Appends text as it must stand `depth` JSON strings deep: escaped that often. False: out of memory. */
bool dlp_escape(struct gw_buf *out, struct gw_span text, unsigned depth);

/* Whether the value is a placeholder that says one of the rules' types: left by an earlier redaction, of this
 * gateway or another one. Hiding it again would only change its name. */
bool dlp_is_placeholder(const struct dlp_rules *rules, struct gw_span value);

#endif
