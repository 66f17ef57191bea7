/* proxy/config/allow_file.h - adds entries to the file of `allowlist_file:`. Reads and writes it: not on event loops of
 * workers. */
#ifndef PROXY_ALLOW_FILE_H
#define PROXY_ALLOW_FILE_H

#include "base/err.h"
#include "base/span.h"

/* One entry; empty texts are left out. */
struct allow_entry {
    struct gw_span value_hmac; /* 64 hex digits; or: */
    struct gw_span rule, path; /* patterns */
    struct gw_span user, owner, reason;
    struct gw_span expires; /* "2026-01-31" */
};

/* Appends a line, in one write under a lock; makes the file when there is none. An entry needs a value_hmac, an owner and a
 * day. id gets its name in records. GW_EINVAL: something of it cannot be; GW_EPARSE: the file would not be readable with it;
 * GW_EIO, GW_ENOMEM. */
enum { ALLOW_ID_BYTES = 32 };
enum gw_status allow_file_add(const char *path, const struct allow_entry *e,
                              char id[ALLOW_ID_BYTES], struct gw_err *err);

#endif
