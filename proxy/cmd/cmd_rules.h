/* proxy/cmd/cmd_rules.h - what the parts of `sluice rules` share. */
#ifndef PROXY_CMD_RULES_H
#define PROXY_CMD_RULES_H

#include "dlp/dlp.h"

/* What the command line said. paths and files point into argv. */
struct cmd_rules_args {
    const char **rules; /* --rules: shared objects, rule files, folders */
    unsigned n_rules;
    const char **files; /* the rest */
    unsigned n_files;
    const char *out; /* -o */
    bool json;
};

/* The rules that --rules asks for: the built-in ones without it, a shared object, or sources, which are
 * built in a private folder first. Owned by the caller (dlp_rules_unref). */
enum gw_status cmd_rules_open(const struct cmd_rules_args *a, struct dlp_rules **out,
                              struct gw_err *err);

/* `sluice rules test`; returns the exit status. */
int cmd_rules_test(const struct cmd_rules_args *a);

#endif
