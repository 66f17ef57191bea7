/* proxy/cmd/cmd.h - the subcommands of the sluice binary, one cmd_NAME.c each.
 *
 * argv[0] is the subcommand's name. Exit statuses, the same for all: 0 done; 1 it ran and the answer is
 * no (a rule test failed, a file does not verify, the server could not start); 2 the command line was
 * wrong. Messages for people go to standard error as "sluice NAME: what, where, what to do". */
#ifndef PROXY_CMD_H
#define PROXY_CMD_H

int cmd_serve(int argc, char **argv);
int cmd_rules(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_dlp(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_budgets(int argc, char **argv);
int cmd_ca(int argc, char **argv);
int cmd_models(int argc, char **argv);

#endif
