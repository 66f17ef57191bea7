/* proxy/cli.h - what the subcommands share: colours, columns, progress, errors. */
#ifndef PROXY_CLI_H
#define PROXY_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* True when f is a terminal and NO_COLOR is not set. */
bool cli_color(FILE *f);

/* ANSI colour codes, or "" when f takes no colour. name: "bold" "dim" "red" "green" "yellow" "blue"
 * "reset". */
const char *cli_paint(FILE *f, const char *name);

/* Draws "label 45 % 44.1/98.0 MB" on one line of standard error, at most ten times a second; on no
 * terminal it prints a line at each tenth. total 0: unknown. done == total ends the line. */
void cli_progress(const char *label, uint64_t done, uint64_t total);

/* Prints "sluice COMMAND: text" to standard error and returns status. */
int cli_fail(const char *command, int status, const char *fmt, ...) GW_PRINTF(3, 4);

/* The same for a filled err, exit status 1. */
int cli_fail_err(const char *command, const struct gw_err *err);

#endif
