/* proxy/cmd/cmd_audit_source.c - where `sluice audit` reads: a spool, or kafka://HOST:PORT[,HOST:PORT]/TOPIC. One thread. */
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_audit.h"
#include "proxy/config/config.h"

static const char scheme[] = "kafka://";

bool cmd_audit_is_topic(const char *where)
{
    return where != NULL && strncmp(where, scheme, sizeof(scheme) - 1) == 0;
}

/* Brokers and topic out of the address; what it leaves out is the configuration's. */
static int read_address(const char *where, struct cmd_audit_source *out)
{
    const char *slash;

    out->address = strdup(where + sizeof(scheme) - 1);
    if (out->address == NULL)
        return cli_fail("audit", 1, "out of memory");
    slash = strchr(out->address, '/');
    if (slash != NULL) {
        out->address[slash - out->address] = '\0';
        if (slash[1] != '\0')
            out->kafka.topic = slash + 1;
    }
    if (out->address[0] != '\0')
        out->kafka.brokers = out->address;
    if (out->kafka.brokers == NULL || out->kafka.brokers[0] == '\0' || out->kafka.topic == NULL ||
        strchr(out->kafka.topic, '/') != NULL)
        return cli_fail("audit", 2, "%s: write kafka://HOST:PORT/TOPIC, or kafka:/// with -c FILE",
                        where);
    return 0;
}

int cmd_audit_source(const char *config, const char *where, const char *checkpoints,
                     struct cmd_audit_source *out)
{
    struct gw_err err;

    *out = (struct cmd_audit_source){.spool = where};
    if (!cmd_audit_is_topic(where))
        return cmd_audit_spool(config, &out->spool, &out->cfg);
    out->is_topic = true;
    out->kafka.checkpoints = "ai.audit.checkpoints";
    if (config != NULL) {
        if (proxy_config_load(config, PROXY_CONFIG_NO_SECRETS, &out->cfg, NULL, NULL, &err) !=
            GW_OK)
            return cli_fail_err("audit", &err);
        out->kafka = (struct audit_kafka){
            out->cfg->audit.kafka_brokers, out->cfg->audit.kafka_topic,
            out->cfg->audit.kafka_checkpoints, out->cfg->audit.kafka_properties};
    }
    if (checkpoints != NULL)
        out->kafka.checkpoints = checkpoints;
    return read_address(where, out);
}

void cmd_audit_source_fini(struct cmd_audit_source *s)
{
    proxy_config_free(s->cfg);
    free(s->address);
    *s = (struct cmd_audit_source){.spool = NULL};
}
