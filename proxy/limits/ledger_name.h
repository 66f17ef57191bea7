/* proxy/limits/ledger_name.h - how the counters of budgets are called: in memory, in SQLite and in Redis. Thread: any. */
#ifndef PROXY_LIMITS_LEDGER_NAME_H
#define PROXY_LIMITS_LEDGER_NAME_H

#include <stddef.h>

#include "base/span.h"
#include "proxy/limits/ledger.h"
#include "router/router.h"

struct ledger_name {
    char text[LEDGER_KEY_BYTES]; /* NUL-terminated */
    size_t len;
};

/* "daily|tokens|user:ann" for the budget "daily", its tokens, and ann. An owner that is too long, or holds what lists and Redis'
 * keys do not like, is there as its digest, behind `#`. */
void ledger_name_of(const struct router_budget *b, enum router_budget_kind kind,
                    struct gw_span owner, struct ledger_name *out);

#endif
