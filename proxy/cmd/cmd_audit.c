/* proxy/cmd/cmd_audit.c - `sluice audit`: what the ledger says. One thread. */
#include "proxy/cmd/cmd_audit.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/config/config.h"

static const char usage[] =
    "usage: sluice audit tail   [-c FILE | --spool DIR] [-n N] [-f] [--json] [--request ID]\n"
    "       sluice audit query  [-c FILE | --spool DIR] [--since 7d | --from TIME] [--until TIME]\n"
    "                           [--record R] [--user U] [--team T] [--class C] [--rule R] "
    "[--action A]\n"
    "                           [--target T] [--model M] [--zone Z] [--end E] [--request ID]\n"
    "                           [--requests] [-n N] [--format lines|json|csv]\n"
    "       sluice audit export (the same options)  [--format json|csv]\n"
    "       sluice audit report [-c FILE | --spool DIR] [--since 30d | --from TIME] [--until "
    "TIME]\n"
    "                           [--format markdown|html|json]\n"
    "       sluice audit verify [-c FILE | --spool DIR] [--key FILE] [--last-known FILE] "
    "[--witness FILE]\n"
    "       sluice audit verify kafka://HOST:PORT/TOPIC --key FILE [--last-known FILE] "
    "[--checkpoints TOPIC]\n"
    "       sluice audit head   [-c FILE | --spool DIR]\n"
    "       sluice audit prove inclusion ID | consistency FILE [-c FILE | --spool DIR]\n"
    "       sluice audit check PROOF --key FILE\n"
    "       sluice audit open  --key FILE [-c FILE | --spool DIR --subject-keys FILE] [--request "
    "ID] "
    "[--user U] [--raw]\n"
    "       sluice audit erase --subject USER [-c FILE]\n"
    "\n"
    "Reads the audit spool, also while the gateway writes it. No lock is taken, nothing is "
    "changed (but by\n"
    "erase), no gateway is needed.\n"
    "\n"
    "  tail     prints the last records, and with -f those that come; options as for query\n"
    "  query    prints the records for which all that is given holds, in the order of time, and "
    "counts "
    "them.\n"
    "           Values are patterns (* and ?); --record is decided, completed, finding, shadow, "
    "lifecycle\n"
    "           or a type (sluice.gap); --class and --rule are about findings. --requests prints "
    "all "
    "records\n"
    "           of the requests for which everything holds in one of their records or another\n"
    "  export   the same for programs: OCSF 1.8.0 as JSON lines, or a table (csv)\n"
    "  report   requests, findings by class, what stayed inside, cost and savings, by day, team "
    "and "
    "user\n"
    "  verify   says whether all that was signed is there, unchanged. Exit status: 0 intact, 2 "
    "altered,\n"
    "           3 truncated, 4 the gateway itself has recorded a gap, 1 it could not be judged\n"
    "  head     prints the newest checkpoint of each chain: keep it elsewhere, for --last-known\n"
    "  prove    prints a proof (JSON) that records are under a signed checkpoint: those of a "
    "request or\n"
    "           with a uid; or that an older checkpoint's records are the first of the newest "
    "one's\n"
    "  check    checks such a proof with nothing but the public key (exit status 0 or 2)\n"
    "  open     prints sealed texts (audit.payload: sealed) with the auditor's secret key, as JSON "
    "lines, or with\n"
    "           --raw the texts alone. Exit status: 0, 2 some belong to another key or were "
    "altered, "
    "1\n"
    "  erase    destroys the keys of a user's sealed texts, for good: open says `erased` from then "
    "on, the ledger\n"
    "           stays as it is and verifies. The running gateway, or the next one, records it\n"
    "\n"
    "  -c FILE        the configuration that names the spool (default: $SLUICE_CONFIG, else the\n"
    "                 built-in one)\n"
    "  --spool DIR    the spool itself; $SLUICE_SPOOL is the same\n"
    "  kafka://HOST:PORT[,HOST:PORT]/TOPIC  for verify, query, export and report: the topic of the "
    "records "
    "instead;\n"
    "                 -c FILE says how to log in (audit.kafka.properties), kafka:/// takes all "
    "from it\n"
    "  --checkpoints TOPIC  that of the checkpoints (default: ai.audit.checkpoints)\n"
    "  -n N           the last N records (default 20; 0: all)\n"
    "  -f, --follow   go on with new records until interrupted\n"
    "  --json         the records as they are, one JSON object (OCSF 1.8.0) a line\n"
    "  --key FILE     public keys, as in the spool's checkpoint.keys; a copy kept elsewhere proves "
    "more\n"
    "  --witness FILE  public keys of witnesses: the newest cosigned checkpoints must hold\n"
    "  --last-known FILE  what `head` printed earlier; - for standard input\n"
    "\n"
    "examples:\n"
    "  sluice audit query --requests --class phi --since 30d\n"
    "  sluice audit verify --key auditors.keys --last-known monday.checkpoint\n";

static volatile int stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

struct options {
    struct audit_tail tail;
    const char *config, *spool;
    bool n_given, help;
};

enum { OPT_JSON = 256, OPT_SPOOL };

static bool parse_count(const char *text, unsigned *out)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n > 1000000)
        return false;
    *out = (unsigned)n;
    return true;
}

/* Returns 0, or the exit status of a wrong command line. */
static int parse(int argc, char **argv, struct options *o)
{
    struct option longs[6 + CMD_AUDIT_FILTERS] = {{"config", required_argument, NULL, 'c'},
                                                  {"spool", required_argument, NULL, OPT_SPOOL},
                                                  {"follow", no_argument, NULL, 'f'},
                                                  {"json", no_argument, NULL, OPT_JSON},
                                                  {"help", no_argument, NULL, 'h'}};
    int c;

    cmd_audit_filter_options(longs + 5);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((c = getopt_long(argc, argv, "c:n:fh", longs, NULL)) != -1) {
        if (cmd_audit_filter_take(c, optarg, &o->tail.filter))
            continue;
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case OPT_SPOOL:
            o->spool = optarg;
            break;
        case 'n':
            if (!parse_count(optarg, &o->tail.last))
                return cli_fail("audit", 2, "-n takes a number from 0 to 1000000, not %s", optarg);
            o->n_given = true;
            break;
        case 'f':
            o->tail.follow = true;
            break;
        case OPT_JSON:
            o->tail.json = true;
            break;
        case 'h':
            o->help = true;
            break;
        default:
            return cli_fail("audit", 2, "see sluice audit --help");
        }
    }
    if (optind < argc)
        return cli_fail("audit", 2, "what is %s? See sluice audit --help", argv[optind]);
    if (o->config != NULL && o->spool != NULL)
        return cli_fail("audit", 2, "-c and --spool name the same thing: give one of them");
    return 0;
}

static int run_tail(struct options *o)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct gw_err err;

    o->tail.spool_dir = o->spool;
    o->tail.color = cli_color(stdout);
    o->tail.stop = &stop;
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    if (audit_tail(&o->tail, stdout, &err) == GW_OK)
        return 0;
    if (err.code == GW_ENOENT)
        return cli_fail("audit", 1, "%s: nothing was audited there yet; name it with --spool or -c",
                        err.text);
    return cli_fail_err("audit", &err);
}

int cmd_audit_spool(const char *config, const char **spool, struct proxy_config **cfg)
{
    struct gw_err err;

    if (*spool == NULL && config == NULL)
        *spool = getenv("SLUICE_SPOOL"); // NOLINT(concurrency-mt-unsafe): commands are one thread
    if (*spool != NULL)
        return 0;
    if (proxy_config_load(config, PROXY_CONFIG_NO_SECRETS, cfg, NULL, NULL, &err) != GW_OK)
        return cli_fail_err("audit", &err);
    *spool = (*cfg)->audit.spool;
    return 0;
}

int cmd_audit(int argc, char **argv)
{
    struct options o = {.tail = {.last = 20}};
    struct proxy_config *cfg = NULL;
    int status;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (cmd_audit_proves(argv[1]))
        return cmd_audit_prove(argc - 1, argv + 1, usage);
    if (cmd_audit_asks(argv[1]))
        return cmd_audit_query(argc - 1, argv + 1, usage);
    if (cmd_audit_opens(argv[1]))
        return cmd_audit_open(argc - 1, argv + 1, usage);
    if (strcmp(argv[1], "tail") != 0)
        return cli_fail("audit", 2, "there is no %s: see sluice audit --help", argv[1]);
    status = parse(argc - 1, argv + 1, &o);
    if (status != 0)
        return status;
    if (o.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (o.tail.filter.request != NULL && !o.n_given)
        o.tail.last = 0;
    status = cmd_audit_spool(o.config, &o.spool, &cfg);
    if (status != 0)
        return status;
    status = run_tail(&o);
    proxy_config_free(cfg);
    return status;
}
