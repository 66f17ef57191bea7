/* proxy/cmd/cmd_audit.h - what the files of `sluice audit` share. Private to proxy/cmd/cmd_audit*. */
#ifndef PROXY_CMD_AUDIT_H
#define PROXY_CMD_AUDIT_H

#include <getopt.h>
#include <stdbool.h>

#include "audit/audit.h"

struct proxy_config;

/* Is it one of verify, head, prove, check? */
bool cmd_audit_proves(const char *name);
/* Runs it; argv[0] is its name. Returns the exit status. */
int cmd_audit_prove(int argc, char **argv, const char *usage);

/* The same for query, export, report. */
bool cmd_audit_asks(const char *name);
int cmd_audit_query(int argc, char **argv, const char *usage);

/* Options for struct audit_filter's patterns: where they stand in getopt's table, what it returns for them, and which is given first
 * (NULL: none). */
enum { CMD_AUDIT_FILTERS = 11, CMD_AUDIT_OPT_FILTER = 512 };
void cmd_audit_filter_options(struct option out[CMD_AUDIT_FILTERS]);
/* False: it is another option. */
bool cmd_audit_filter_take(int c, const char *value, struct audit_filter *f);
const char *cmd_audit_filter_given(struct audit_filter *f);

/* The same for open, erase. */
bool cmd_audit_opens(const char *name);
int cmd_audit_open(int argc, char **argv, const char *usage);

/* The spool that is meant: *spool when set, $SLUICE_SPOOL, or the configuration's, which *cfg then owns (free it). Returns 0, or
 * the exit status when there is none. */
int cmd_audit_spool(const char *config, const char **spool, struct proxy_config **cfg);

/* What is read: a spool, or topics. */
struct cmd_audit_source {
    const char *spool;
    struct audit_kafka kafka; /* when is_topic; without secrets of the configuration's own */
    bool is_topic;
    char *address; /* what kafka points into */
    struct proxy_config *cfg;
};

/* Does it begin with kafka://? */
bool cmd_audit_is_topic(const char *where);

/* where: a folder, kafka://HOST:PORT/TOPIC, or NULL: as cmd_audit_spool(). config: with topics for their TLS and log-in; checkpoints:
 * their topic, or NULL. Returns 0 or the exit status. Release it in any case. */
int cmd_audit_source(const char *config, const char *where, const char *checkpoints,
                     struct cmd_audit_source *out);
void cmd_audit_source_fini(struct cmd_audit_source *s);

#endif
