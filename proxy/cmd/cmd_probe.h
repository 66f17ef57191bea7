/* proxy/cmd/cmd_probe.h - `sluice serve --check --probe`, for cmd_serve.c. */
#ifndef PROXY_CMD_PROBE_H
#define PROXY_CMD_PROBE_H

#include <stdbool.h>

#include "proxy/config/config.h"

/* Asks and prints: a table, or JSON. Returns the exit status: 0 all is well or may wait, 1 something fails. */
int cmd_probe(const struct proxy_config *cfg, bool json);

#endif
