/* proxy/http/retry_after.h - when a server wants to be asked again. Pure; any thread. */
#ifndef PROXY_RETRY_AFTER_H
#define PROXY_RETRY_AFTER_H

#include <stdint.h>

#include "base/span.h"

/* Milliseconds from now: the value of Retry-After-Ms when there is one (a number), else of Retry-After (RFC 9110: seconds,
 * here with a fraction, or an HTTP date in one of its three forms, which wall_ms, the time of day, is compared with). -1:
 * neither says anything. At most a year. Spans may be empty. */
int64_t retry_after_ms(struct gw_span ms, struct gw_span seconds_or_date, int64_t wall_ms);

#endif
