/* proxy/cmd/cmd_rules.h - what the parts of `sluice rules` share. */
#ifndef PROXY_CMD_RULES_H
#define PROXY_CMD_RULES_H

#include <stdio.h>

#include "dlp/author.h"
#include "dlp/dlp.h"

/* What the command line said. paths and files point into argv. */
struct cmd_rules_args {
    const char **rules; /* --rules: shared objects, rule files, folders */
    unsigned n_rules;
    const char **files; /* the rest */
    unsigned n_files;
    const char *out;  /* -o */
    const char *text; /* --text */
    bool json;
};

/* The rules that --rules asks for: the built-in ones without it, a shared object, or sources, which are
 * built in a private folder first. Owned by the caller (dlp_rules_unref). */
enum gw_status cmd_rules_open(const struct cmd_rules_args *a, struct dlp_rules **out,
                              struct gw_err *err);

/* The same for one path, or `builtin`. */
enum gw_status cmd_rules_open_one(const char *path, struct dlp_rules **out, struct gw_err *err);

/* The subcommands; each returns the exit status. */
int cmd_rules_test(const struct cmd_rules_args *a);
int cmd_rules_explain(const struct cmd_rules_args *a);
int cmd_rules_lint(const struct cmd_rules_args *a);
int cmd_rules_bench(const struct cmd_rules_args *a);
int cmd_rules_diff(const struct cmd_rules_args *a);
int cmd_rules_import(const struct cmd_rules_args *a);

/* ---- texts ------------------------------------------------------------------------------ */

/* Reads all of f into *out, 256 MiB at most. command and name are for messages. Returns 0, or an exit status after a message. */
int cmd_rules_read(const char *command, const char *name, FILE *f, struct gw_buf *out);

/* Opens name, - being standard input, and reads it. */
int cmd_rules_read_file(const char *command, const char *name, struct gw_buf *out);

/* Calls fn for every file that the arguments name, folders being searched in name order, until it does not return 0. Links
 * are not followed into folders. Returns what fn did, or an exit status after a message. */
typedef int cmd_rules_file_fn(void *ctx, const char *path);
int cmd_rules_each_file(const char *command, const char *const *paths, unsigned n,
                        cmd_rules_file_fn *fn, void *ctx);

/* A value as it may be shown: it can be recognised but not used. */
void cmd_rules_mask(struct gw_span value, struct gw_buf *out);

/* A place in a text for people, found by walking on from where the last one was. Zeroed but for line = 1. */
struct cmd_rules_place {
    size_t at, line_start;
    unsigned line, column; /* from 1; columns count characters */
};
void cmd_rules_place_move(struct cmd_rules_place *p, struct gw_span text, size_t to);

#endif
