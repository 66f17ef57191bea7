/* proxy/cmd/cmd_config.c - see cmd_config.h. One thread. */
#include "proxy/cmd/cmd_config.h"

#include <stdio.h>

#include "proxy/cli.h"

static void report(void *ctx, bool warning, const char *message)
{
    (void)ctx;
    if (!warning)
        (void)fprintf(stderr, "%s\n", message);
}

struct proxy_config *cmd_config_load(const char *command, const char *path)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err;

    if (proxy_config_load(path, PROXY_CONFIG_NO_SECRETS, &cfg, report, NULL, &err) == GW_OK)
        return cfg;
    (void)cli_fail_err(command, &err);
    return NULL;
}
