/* proxy/cmd/cmd_dlp_files.c - sluice dlp scan: the command line, and the files it names. One thread. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/glob.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_dlp.h"
#include "proxy/cmd/cmd_dlp_scan.h"
#include "proxy/cmd/cmd_rules.h"

static const char help[] =
    "Scans files for what may not leave: secrets, personal data, markings.\n"
    "\n"
    "usage: sluice dlp scan [OPTIONS] FILE|DIR|-...\n"
    "       sluice dlp scan [OPTIONS] --staged\n"
    "\n"
    "-                    standard input\n"
    "--staged             what the next git commit holds, for a pre-commit hook\n"
    "--format FORMAT      text (default), json (a line each, then a summary), sarif (2.1.0)\n"
    "--config FILE        a gateway's configuration: its rules, its allowlist, and report_from as "
    "the default\n"
    "                     of --min-confidence\n"
    "--min-confidence N   show findings from that confidence on (0 to 100, default 50)\n"
    "--fail-on N          findings from that confidence on give exit status 1 (default: all that "
    "are shown)\n"
    "--rules PATH         use these instead of the built-in rules: a shared object, files, or "
    "folders\n"
    "                     (also instead of those of --config)\n"
    "--exclude GLOB       leave out files whose path or name matches (* any, ? one character)\n"
    "--quiet              no progress\n"
    "\n"
    "Values are shown masked. Files that are JSON are scanned string by string, *.jsonl and "
    "*.ndjson "
    "line by\n"
    "line, others as text; binary files, .git and links in folders are skipped. Findings of rules "
    "with\n"
    "mode: monitor are shown and do not fail. Memory does not grow with the files.\n"
    "\n"
    "examples:\n"
    "  sluice dlp scan --exclude '*.lock' src/\n"
    "  sluice dlp scan --staged --config /etc/sluice/sluice.yaml\n"
    "  git diff main | sluice dlp scan --min-confidence 70 -\n"
    "  sluice dlp scan --format sarif . > findings.sarif\n"
    "\n"
    "exit status: 0 nothing found; 1 findings; 2 wrong command line; 3 something could not be "
    "read\n";

struct scan_args {
    struct cmd_rules_args rules; /* files: what to scan */
    const char **excludes;
    unsigned n_excludes;
    enum cmd_dlp_format format;
    const char *config;          /* NULL: none */
    int min_confidence, fail_on; /* -1: not given */
    bool staged, quiet;
};

struct scan_run {
    const struct scan_args *args;
    struct cmd_dlp_scanner scan;
    struct cmd_dlp_out out;
    struct cmd_dlp_totals totals;
    struct cmd_dlp_gateway *gateway; /* NULL: none */
    const char *argument;            /* which path of the command line is looked through */
    unsigned fail_on;
    uint64_t total_bytes; /* for the progress; 0: none is shown */
};

static void on_finding(void *ctx, const struct cmd_dlp_finding *f)
{
    struct scan_run *r = ctx;

    if (r->gateway != NULL && cmd_dlp_gateway_allows(r->gateway, r->scan.rules, f)) {
        r->totals.n_allowed++;
        return;
    }
    r->totals.n_findings++;
    r->totals.n_failing += f->confidence >= r->fail_on &&
                           dlp_rules_info(r->scan.rules, f->rule)->mode == DLP_MODE_ENFORCE;
    cmd_dlp_put(&r->out, f);
}

static bool is_excluded(const struct scan_args *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;

    if (strncmp(path, ".git/", 5) == 0 || strstr(path, "/.git/") != NULL)
        return true;
    for (unsigned i = 0; i < a->n_excludes; i++)
        if (gw_glob(gw_span_str(a->excludes[i]), gw_span_str(path)) ||
            gw_glob(gw_span_str(a->excludes[i]), gw_span_str(name)))
            return true;
    return false;
}

static int scan_fd(void *ctx, const char *name, int fd)
{
    struct scan_run *r = ctx;

    if (is_excluded(r->args, name))
        return 0;
    if (!cmd_dlp_scan_fd(&r->scan, name, fd))
        r->totals.n_unreadable++;
    if (r->total_bytes > 0)
        cli_progress("scanning",
                     r->totals.n_bytes < r->total_bytes ? r->totals.n_bytes : r->total_bytes,
                     r->total_bytes);
    return 0;
}

/* What a link in a folder leads to is looked at where it is, if it is among what was named; git would commit the link. */
static bool is_link_below(const struct scan_run *r, const char *path)
{
    struct stat st;

    return strcmp(path, r->argument) != 0 && lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int scan_path(void *ctx, const char *path)
{
    struct scan_run *r = ctx;
    struct stat st;
    int fd;

    if (is_excluded(r->args, path) || is_link_below(r, path))
        return 0;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return 0; /* a pipe in a folder would be waited for */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)cli_fail("dlp scan", 3, "%s: %s", path,
                       strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
        r->totals.n_unreadable++;
        return 0;
    }
    (void)scan_fd(r, path, fd);
    (void)close(fd);
    return 0;
}

static int add_size(void *ctx, const char *path)
{
    struct scan_run *r = ctx;
    struct stat st;

    if (!is_excluded(r->args, path) && !is_link_below(r, path) && stat(path, &st) == 0 &&
        S_ISREG(st.st_mode))
        r->total_bytes += (uint64_t)st.st_size;
    return 0;
}

/* One argument. What cannot be opened is counted and said, and the rest goes on. */
static void scan_argument(struct scan_run *r, const char *path)
{
    r->argument = path;
    if (strcmp(path, "-") == 0)
        (void)scan_fd(r, "<stdin>", STDIN_FILENO);
    else if (cmd_rules_each_file("dlp scan", &path, 1, scan_path, r) != 0)
        r->totals.n_unreadable++;
}

static int run(struct scan_run *r)
{
    const struct cmd_rules_args *files = &r->args->rules;
    uint64_t began = gw_clock_ns();

    if (!r->args->quiet && !r->args->staged && isatty(STDERR_FILENO) == 1)
        for (unsigned i = 0; i < files->n_files; i++) {
            r->argument = files->files[i];
            if (strcmp(r->argument, "-") != 0 && access(r->argument, R_OK) == 0)
                (void)cmd_rules_each_file("dlp scan", &files->files[i], 1, add_size, r);
        }
    if (r->args->staged && cmd_dlp_staged(scan_fd, r) != 0)
        r->totals.n_unreadable++;
    for (unsigned i = 0; i < files->n_files; i++)
        scan_argument(r, files->files[i]);
    r->totals.seconds = (double)(gw_clock_ns() - began) / 1e9;
    cmd_dlp_end(&r->out, &r->totals);
    if (fflush(stdout) != 0)
        return cli_fail("dlp scan", 3, "standard output: %s",
                        strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
    if (r->totals.n_unreadable > 0)
        return 3;
    return r->totals.n_failing > 0 ? 1 : 0;
}

/* The rules, and from which confidence on to report. 0, or an exit status after a message. */
static int open_rules(struct scan_run *r)
{
    const struct scan_args *a = r->args;
    enum gw_status st = GW_OK;
    unsigned report_from = 50;
    struct gw_err err;

    if (a->config != NULL) {
        r->gateway = cmd_dlp_gateway_open(a->config);
        if (r->gateway == NULL)
            return 2;
        report_from = cmd_dlp_gateway_report_from(r->gateway);
    }
    if (r->gateway != NULL && a->rules.n_rules == 0)
        st = cmd_dlp_gateway_rules(r->gateway, &r->scan.rules, &err);
    else
        st = cmd_rules_open(&a->rules, &r->scan.rules, &err);
    if (st != GW_OK)
        return cli_fail("dlp scan", 2, "%s", err.text);
    r->scan.min_confidence = a->min_confidence < 0 ? report_from : (unsigned)a->min_confidence;
    r->fail_on =
        a->fail_on < (int)r->scan.min_confidence ? r->scan.min_confidence : (unsigned)a->fail_on;
    return 0;
}

static int scan_command(const struct scan_args *a)
{
    struct scan_run r = {.args = a};
    int status = open_rules(&r);

    r.scan.report = on_finding;
    r.scan.ctx = &r;
    r.scan.totals = &r.totals;
    r.out = (struct cmd_dlp_out){.format = a->format, .out = stdout, .rules = r.scan.rules};
    (void)signal(SIGPIPE, SIG_IGN);
    if (status == 0 && (cmd_dlp_scan_open(&r.scan) != GW_OK || cmd_dlp_begin(&r.out) != GW_OK))
        status = cli_fail("dlp scan", 3, "out of memory");
    else if (status == 0)
        status = run(&r);
    cmd_dlp_scan_close(&r.scan);
    dlp_rules_unref(r.scan.rules);
    cmd_dlp_gateway_close(r.gateway);
    return status;
}

/* ---- the command line ---------------------------------------------------------------------- */

static bool parse_number(const char *text, int *out)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > 100)
        return false;
    *out = (int)n;
    return true;
}

static bool parse_format(const char *text, enum cmd_dlp_format *out)
{
    static const char *const names[] = {"text", "json", "sarif"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum cmd_dlp_format)i;
            return true;
        }
    }
    return false;
}

/* Takes an option with its value; false when it is none or its value is wrong. */
static bool take_option(struct scan_args *a, const char *name, const char *value)
{
    if (strcmp(name, "--format") == 0)
        return parse_format(value, &a->format);
    if (strcmp(name, "--min-confidence") == 0)
        return parse_number(value, &a->min_confidence);
    if (strcmp(name, "--fail-on") == 0)
        return parse_number(value, &a->fail_on);
    if (strcmp(name, "--rules") == 0)
        a->rules.rules[a->rules.n_rules++] = value;
    else if (strcmp(name, "--config") == 0 || strcmp(name, "-c") == 0)
        a->config = value;
    else if (strcmp(name, "--exclude") == 0)
        a->excludes[a->n_excludes++] = value;
    else
        return false;
    return true;
}

/* 0, or 2 after a message. */
static int parse(struct scan_args *a, int argc, char **argv)
{
    bool options = true;

    for (int i = 1; i < argc; i++) {
        if (!options || argv[i][0] != '-' || strcmp(argv[i], "-") == 0)
            a->rules.files[a->rules.n_files++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            options = false;
        else if (strcmp(argv[i], "--staged") == 0)
            a->staged = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            a->quiet = true;
        else if (i + 1 < argc && take_option(a, argv[i], argv[i + 1]))
            i++;
        else
            return cli_fail("dlp scan", 2, "%s: no such option, or its value is wrong; see --help",
                            argv[i]);
    }
    if (a->rules.n_files == 0 && !a->staged)
        return cli_fail("dlp scan", 2, "say what to scan: files, folders, - or --staged");
    return 0;
}

int cmd_dlp_scan(int argc, char **argv)
{
    struct scan_args a = {.min_confidence = -1, .fail_on = -1};
    int status;

    if (argc >= 2 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[argc - 1], "-h") == 0)) {
        (void)fputs(help, stdout);
        return 0;
    }
    a.rules.rules = calloc((size_t)argc, sizeof(char *));
    a.rules.files = calloc((size_t)argc, sizeof(char *));
    a.excludes = calloc((size_t)argc, sizeof(char *));
    if (a.rules.rules == NULL || a.rules.files == NULL || a.excludes == NULL)
        status = cli_fail("dlp scan", 3, "out of memory");
    else
        status = parse(&a, argc, argv);
    if (status == 0)
        status = scan_command(&a);
    free(a.rules.rules);
    free(a.rules.files);
    free(a.excludes);
    return status;
}
