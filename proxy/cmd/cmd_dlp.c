/* proxy/cmd/cmd_dlp.c - `sluice dlp`: a table of its parts. One thread. */
#include "proxy/cmd/cmd_dlp.h"

#include <stdio.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} parts[] = {
    {"scan", cmd_dlp_scan, "look through files, for a person, CI or a pre-commit hook"},
    {"allow", cmd_dlp_allow, "write a finding that was none on the allowlist"},
};

static void print_help(FILE *out)
{
    (void)fprintf(out, "usage: sluice dlp PART [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        (void)fprintf(out, "  %-8s %s\n", parts[i].name, parts[i].help);
    (void)fprintf(out, "\n`sluice dlp PART --help` says more.\n");
}

int cmd_dlp(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(argv[1], parts[i].name) == 0)
            return parts[i].run(argc - 1, argv + 1);
    return cli_fail("dlp", 2, "say what: try `sluice dlp --help`");
}
