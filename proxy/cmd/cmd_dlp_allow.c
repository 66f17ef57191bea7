/* proxy/cmd/cmd_dlp_allow.c - `sluice dlp allow`: a finding that was none becomes a line of the allowlist's file.
 *
 * The value is never written: a record has its HMAC already, and a value from standard input is turned into one. One thread. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_config.h"
#include "proxy/cmd/cmd_dlp.h"
#include "proxy/config/allow_file.h"
#include "proxy/config/config.h"
#include "proxy/net/hmac_key.h"
#include "proxy/request/allow_record.h"

static const char usage[] =
    "usage: sluice dlp allow --from ID [--finding N] --owner NAME --expires DAY [OPTIONS]\n"
    "       sluice dlp allow --value - --owner NAME --expires DAY [OPTIONS]\n"
    "\n"
    "Writes a line to allowlist_file, so that this value is no finding any more. The value itself "
    "is not\n"
    "written, only its HMAC under this gateway's key. A running gateway follows within two "
    "seconds.\n"
    "\n"
    "  --from ID        a request (x-sluice-request-id), or the record of one of its findings\n"
    "  --finding N      which finding of the request, counted from 1; needed when there are "
    "several\n"
    "  --value -        the value, on standard input; a line end behind it does not count\n"
    "  --owner NAME     who answers for it\n"
    "  --expires DAY    the last day on which it holds, 2026-12-31\n"
    "  --rule R         only for this rule (with --from: the finding's own; '*' for all)\n"
    "  --path P         only there: a pattern of JSON pointers\n"
    "  --user U         only for this caller\n"
    "  --reason TEXT    why\n"
    "  -c FILE          configuration (default: $SLUICE_CONFIG, else the built-in one)\n"
    "\n"
    "examples:\n"
    "  sluice dlp allow --from 01JD8Z6J3V5T9QK2X000000000 --owner shop --expires 2026-12-31\n"
    "  printf %s orders@example.org | sluice dlp allow --value - --rule 'email*' --owner shop \\\n"
    "      --expires 2026-12-31 --reason 'our own address'\n"
    "\n"
    "exit status: 0 written; 1 it could not be; 2 wrong command line\n";

enum { MAX_VALUE = 1 << 20 };

struct options {
    const char *config, *from, *value;
    unsigned finding; /* 0: the only one */
    struct allow_entry entry;
};

/* ---- the value -------------------------------------------------------------------------- */

static enum gw_status read_value(const struct proxy_config *cfg, char hex[GW_SHA256_HEX_BYTES],
                                 struct gw_err *err)
{
    unsigned char key[HMAC_KEY_BYTES], mac[GW_SHA256_BYTES];
    char *value = malloc(MAX_VALUE);
    enum gw_status st = GW_OK;
    size_t n;

    if (value == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    n = fread(value, 1, MAX_VALUE, stdin);
    if (n > 0 && value[n - 1] == '\n')
        n--;
    if (n > 0 && value[n - 1] == '\r')
        n--;
    if (n == 0 || n >= MAX_VALUE - 2)
        st = gw_fail(err, GW_EINVAL, "a value on standard input has 1 byte to 1 MiB");
    if (st == GW_OK)
        st = hmac_key_load(cfg->state_dir, false, key, err);
    if (st == GW_OK) {
        gw_hmac_sha256((struct gw_span){(const char *)key, sizeof(key)}, (struct gw_span){value, n},
                       mac);
        gw_hex(mac, sizeof(mac), hex);
        explicit_bzero(key, sizeof(key));
    }
    explicit_bzero(value, n);
    free(value);
    return st;
}

/* ---- the command ------------------------------------------------------------------------ */

static int allow(const struct options *o, const struct proxy_config *cfg)
{
    struct allow_entry e = o->entry;
    char hex[GW_SHA256_HEX_BYTES] = "", id[ALLOW_ID_BYTES];
    struct allow_record found = {.hmac = ""};
    struct gw_err err;
    enum gw_status st;

    if (o->from != NULL)
        st = allow_record_find(cfg->audit.spool, o->from, o->finding, &found, &err);
    else
        st = read_value(cfg, hex, &err);
    e.value_hmac = gw_span_str(o->from != NULL ? found.hmac : hex);
    if (o->from != NULL && e.rule.len == 0)
        e.rule = gw_span_str(found.rule);
    if (gw_span_is(e.rule, "*"))
        e.rule = (struct gw_span){NULL, 0};
    if (st == GW_OK)
        st = allow_file_add(cfg->allow.file, &e, id, &err);
    if (st != GW_OK)
        return cli_fail_err("dlp", &err);
    (void)printf("%s: entry %s, until %.*s\n", cfg->allow.file, id, (int)e.expires.len,
                 e.expires.ptr);
    return 0;
}

enum {
    OPT_FROM = 256,
    OPT_FINDING,
    OPT_VALUE,
    OPT_OWNER,
    OPT_EXPIRES,
    OPT_RULE,
    OPT_PATH,
    OPT_USER,
    OPT_REASON
};

/* Where the argument of a text option goes; NULL: it is none. */
static struct gw_span *text_of(struct options *o, int opt)
{
    switch (opt) {
    case OPT_OWNER:
        return &o->entry.owner;
    case OPT_EXPIRES:
        return &o->entry.expires;
    case OPT_RULE:
        return &o->entry.rule;
    case OPT_PATH:
        return &o->entry.path;
    case OPT_USER:
        return &o->entry.user;
    case OPT_REASON:
        return &o->entry.reason;
    default:
        return NULL;
    }
}

/* Returns -1 to go on, else the exit status. */
static int take_option(struct options *o, int opt)
{
    struct gw_span *text = text_of(o, opt);
    char *end;

    if (text != NULL) {
        *text = gw_span_str(optarg);
        return -1;
    }
    switch (opt) {
    case 'c':
        o->config = optarg;
        return -1;
    case OPT_FROM:
        o->from = optarg;
        return -1;
    case OPT_VALUE:
        o->value = optarg;
        return strcmp(optarg, "-") == 0
                   ? -1
                   : cli_fail("dlp", 2,
                              "--value takes - only: what stands on a command line, "
                              "everybody on the machine can read");
    case OPT_FINDING:
        o->finding = (unsigned)strtoul(optarg, &end, 10);
        return *end == '\0' && o->finding > 0 && o->finding <= 1000
                   ? -1
                   : cli_fail("dlp", 2, "--finding takes a number from 1 on, not %s", optarg);
    case 'h':
        (void)fputs(usage, stdout);
        return 0;
    default:
        (void)fputs("Try `sluice dlp allow --help`.\n", stderr);
        return 2;
    }
}

static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"from", required_argument, NULL, OPT_FROM},
                                          {"finding", required_argument, NULL, OPT_FINDING},
                                          {"value", required_argument, NULL, OPT_VALUE},
                                          {"owner", required_argument, NULL, OPT_OWNER},
                                          {"expires", required_argument, NULL, OPT_EXPIRES},
                                          {"rule", required_argument, NULL, OPT_RULE},
                                          {"path", required_argument, NULL, OPT_PATH},
                                          {"user", required_argument, NULL, OPT_USER},
                                          {"reason", required_argument, NULL, OPT_REASON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int opt, status = -1;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while (status < 0 && (opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1)
        status = take_option(o, opt);
    if (status >= 0)
        return status;
    if (optind != argc || (o->from == NULL) == (o->value == NULL))
        return cli_fail("dlp", 2,
                        "say either --from ID or --value -; try `sluice dlp allow "
                        "--help`");
    if (o->entry.owner.len == 0 || o->entry.expires.len == 0)
        return cli_fail("dlp", 2, "say --owner and --expires: an entry has both");
    return -1;
}

int cmd_dlp_allow(int argc, char **argv)
{
    struct options o = {0};
    struct proxy_config *cfg = NULL;
    int status = parse_options(argc, argv, &o);

    if (status >= 0)
        return status;
    cfg = cmd_config_load("dlp", o.config);
    if (cfg == NULL)
        return 1;
    status = allow(&o, cfg);
    proxy_config_free(cfg);
    return status;
}
