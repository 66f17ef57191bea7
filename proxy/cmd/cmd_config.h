/* proxy/cmd/cmd_config.h - the configuration of commands that send nothing. */
#ifndef PROXY_CMD_CONFIG_H
#define PROXY_CMD_CONFIG_H

#include "proxy/config/config.h"

/* Loads what -c names (NULL: $SLUICE_CONFIG, else the built-in one), without keys of providers. NULL: every problem was told
 * on standard error, and the exit status is 1. The caller frees it. */
struct proxy_config *cmd_config_load(const char *command, const char *path);

#endif
