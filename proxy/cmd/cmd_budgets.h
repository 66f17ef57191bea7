/* proxy/cmd/cmd_budgets.h - what `sluice budgets` reads from Redis. One thread; waits for the network. */
#ifndef PROXY_CMD_BUDGETS_H
#define PROXY_CMD_BUDGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proxy/config/config.h"

/* One counter. The pointer is valid during the call. */
struct budget_counter {
    const char *key; /* "daily|tokens|user:ann" */
    int64_t start_ms;
    uint64_t used, held;
    bool has_held; /* limits.db does not know what is held */
};

/* Calls each for every counter. GW_EIO with a message: it cannot be reached, or does not answer as Redis does. */
enum gw_status budgets_redis_each(const struct proxy_config *cfg,
                                  void (*each)(void *ctx, const struct budget_counter *c),
                                  void *ctx, struct gw_err *err);
/* Sets the counters whose names begin with prefix to nothing used; what is held stays. *n: how many. */
enum gw_status budgets_redis_reset(const struct proxy_config *cfg, const char *prefix, unsigned *n,
                                   struct gw_err *err);

#endif
