/* proxy/main.c - the sluice binary: a table of its subcommands. */
#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/version.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", cmd_serve, "run the gateway (--check validates everything a start would)"},
    {"rules", cmd_rules, "build, test and list the detectors"},
    {"dlp", cmd_dlp, "scan files; allow: a finding that was none"},
    {"policy", cmd_policy, "test: what would happen to this request, and why"},
    {"audit", cmd_audit, "tail: read the audit records"},
    {"keys", cmd_keys, "create, list and revoke virtual keys"},
    {"budgets", cmd_budgets, "list, show and reset what budgets have counted"},
    {"ca", cmd_ca, "init, export and env: the interception CA"},
    {"models", cmd_models, "pull, list, verify, run and bench local models"},
};

static void print_help(FILE *out)
{
    (void)fprintf(
        out, "usage: sluice COMMAND [OPTIONS]\n\n"
             "An AI gateway: prompts leave an organisation only through it. It scans them, keeps\n"
             "sensitive ones inside, and writes every decision to an audit ledger.\n\n"
             "commands:\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        (void)fprintf(out, "  %s%-8s%s %s\n", cli_paint(out, "bold"), commands[i].name,
                      cli_paint(out, "reset"), commands[i].help);
    (void)fprintf(
        out, "\n  --version  print the version\n  --help     this text; `sluice COMMAND --help` "
             "says more\n\nexit status: 0 done; 1 it ran and the answer is no; 2 wrong usage\n");
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        (void)printf("sluice %s\n", sluice_version());
        return 0;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        (void)fprintf(stderr, "sluice: there is no command %s\n", argv[1]);
    print_help(stderr);
    return 2;
}
