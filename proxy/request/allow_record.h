/* proxy/request/allow_record.h - which value a record of a finding is about, so that an allowlist can name it without the value.
 * Reads the spool: not on event loops of workers. */
#ifndef PROXY_ALLOW_RECORD_H
#define PROXY_ALLOW_RECORD_H

#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

struct allow_record {
    char hmac[GW_SHA256_HEX_BYTES]; /* of the value */
    char rule[200];
};

/* When the record or request with that id began, in milliseconds since 1970; -1: it is no such id. */
int64_t allow_record_time(const char *id);

/* Finds the finding: id is that of its record, or of its request, and then `finding` counts from 1; 0: the only one. GW_ENOENT:
 * none; GW_EINVAL: there are several; and as audit_query(). */
enum gw_status allow_record_find(const char *spool_dir, const char *id, unsigned finding,
                                 struct allow_record *out, struct gw_err *err);

#endif
