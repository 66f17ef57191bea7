/* proxy/cmd/cmd_keys.c - `sluice keys`: virtual keys and admin keys: create, change, rotate, revoke. One thread.
 *
 * Works on the database of the configuration; a running gateway sees the change within a second and writes its audit
 * record. */
#include "proxy/cmd/cmd_keys.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/actor.h"
#include "proxy/cmd/cmd.h"
#include "proxy/cmd/cmd_config.h"
#include "proxy/config/config.h"
#include "proxy/store/store.h"

static const char usage[] =
    "usage: sluice keys create [-c FILE] --name NAME [FIELDS] [--role ROLE] [--json]\n"
    "       sluice keys update [-c FILE] [FIELDS] ID|NAME\n"
    "       sluice keys rotate [-c FILE] [--grace 24h] [--json] ID|NAME\n"
    "       sluice keys revoke [-c FILE] ID|NAME\n"
    "       sluice keys list   [-c FILE] [--json]\n"
    "       sluice keys show   [-c FILE] [--json] ID|NAME\n"
    "       sluice keys log    [-c FILE] [--last N] [--json]\n"
    "\n"
    "Virtual keys: what programs send instead of a provider's key. Only a SHA-256 is stored, so "
    "create and\n"
    "rotate print a key once. A change holds within a second, without a restart; a revoked key is "
    "refused.\n"
    "Every change is written down with who made it; the running gateway adds it to the audit "
    "ledger.\n"
    "\n"
    "fields (a list takes commas, or the option again; on update an empty value clears the "
    "field):\n"
    "      --name NAME     of the key: letters, digits, '.', '_', '@', '-'\n"
    "      --user USER     whose key it is: the user in policy, limits and records (default: the "
    "name)\n"
    "      --owner OWNER   the tenant, for reports\n"
    "      --team TEAM     for limits and reports\n"
    "      --group GROUPS  groups in policy\n"
    "      --model PATTERNS    only these models: gpt-4o-mini, claude-*\n"
    "      --target PATTERNS   only these targets; for the HTTPS proxy these hosts\n"
    "      --network RANGES    only from these addresses: 10.0.0.0/8, 2001:db8::/32\n"
    "      --expires WHEN  days (90d) or hours (12h) from now, a date (its end, UTC), a moment\n"
    "                      (2027-01-31T12:00:00Z), or never\n"
    "\n"
    "  -c, --config FILE   configuration that names the database (default: $SLUICE_CONFIG, else "
    "the built-in)\n"
    "      --db FILE       the database itself, instead of the configuration's\n"
    "      --role ROLE     makes a key for the admin port instead: viewer, auditor, operator or "
    "admin\n"
    "      --grace WHEN    rotate: how long the old key works beside the new one (90d, 12h)\n"
    "      --last N        log: how many changes, the newest first (default: 50)\n"
    "      --json          for machines\n"
    "\n"
    "examples:\n"
    "  sluice keys create --name ci-build --team platform --group core --model 'gpt-4o*' --expires "
    "90d\n"
    "  sluice keys create --name grafana --role viewer\n"
    "  sluice keys update ci-build --network 10.20.0.0/16 --expires never\n"
    "  sluice keys rotate ci-build --grace 24h\n"
    "  sluice keys list --json | jq '.[] | select(.revoked == null)'\n"
    "  sluice keys revoke ci-build\n"
    "\n"
    "exit status: 0 done; 1 it could not be done; 2 wrong command line\n";

enum { LIST_BYTES = 8192, LAST = 50, MAX_LAST = 10000 };

struct options {
    const char *config, *db, *expires, *grace;
    struct proxy_key_fields f;
    char groups[LIST_BYTES], models[LIST_BYTES], targets[LIST_BYTES], networks[LIST_BYTES];
    unsigned last;
    bool json, too_long;
    bool some; /* a field was given */
};

/* ---- changes --------------------------------------------------------------------------------------- */

/* Prints the text of a new key alone on standard output, so that a script can take it, and wipes it. */
static int give_key(const struct options *o, const char *id, char key[PROXY_KEY_BYTES])
{
    if (o->json) {
        (void)printf("{\"id\":\"%s\",\"key\":\"%s\"}\n", id, key);
    } else {
        (void)printf("%s\n", key);
        (void)fprintf(stderr, "It is shown only now: store it where the program reads it.\n");
    }
    explicit_bzero(key, PROXY_KEY_BYTES);
    return fflush(stdout) == 0 ? 0 : cli_fail("keys", 1, "cannot write the key: revoke %s", id);
}

static int create_key(const struct options *o, const struct proxy_actor *by)
{
    char key[PROXY_KEY_BYTES], id[PROXY_KEY_ID_BYTES];
    struct gw_err err;

    if (o->f.name == NULL)
        return cli_fail("keys", 2, "create needs --name NAME; try `sluice keys --help`");
    if (proxy_store_key_create(o->db, by, &o->f, key, id, &err) != GW_OK)
        return cli_fail_err("keys", &err);
    if (!o->json)
        (void)fprintf(stderr, "Key %s for %s.\n", id, o->f.name);
    return give_key(o, id, key);
}

static int update(const struct options *o, const struct proxy_actor *by, const char *which)
{
    struct gw_err err;

    if (!o->some)
        return cli_fail("keys", 2, "update: say what to change; try `sluice keys --help`");
    if (o->f.role != NULL)
        return cli_fail("keys", 2, "a key's role stays: create another key and revoke this one");
    if (proxy_store_key_update(o->db, by, which, &o->f, &err) != GW_OK)
        return cli_fail_err("keys", &err);
    (void)fprintf(stderr, "Changed %s.\n", which);
    return 0;
}

static int rotate(const struct options *o, const struct proxy_actor *by, const char *which)
{
    char key[PROXY_KEY_BYTES];
    int64_t grace_ms = 0;
    struct gw_err err;

    if (o->grace != NULL && !proxy_key_span_parse(o->grace, &grace_ms))
        return cli_fail("keys", 2, "--grace %s: give days (1d) or hours (12h)", o->grace);
    if (proxy_store_key_rotate(o->db, by, which, grace_ms, key, &err) != GW_OK)
        return cli_fail_err("keys", &err);
    if (!o->json)
        (void)fprintf(stderr, "New key for %s; the old one %s.\n", which,
                      grace_ms == 0 ? "works no longer" : "works for a while");
    return give_key(o, which, key);
}

static int revoke_key(const struct options *o, const struct proxy_actor *by, const char *which)
{
    struct gw_err err;

    if (proxy_store_key_revoke(o->db, by, which, &err) != GW_OK)
        return cli_fail_err("keys", &err);
    (void)fprintf(stderr, "Revoked %s.\n", which);
    return 0;
}

/* ---- the command ------------------------------------------------------------------------------------- */

enum {
    OPT_DB = 256,
    OPT_NAME,
    OPT_USER,
    OPT_OWNER,
    OPT_TEAM,
    OPT_GROUP,
    OPT_MODEL,
    OPT_TARGET,
    OPT_NETWORK,
    OPT_EXPIRES,
    OPT_ROLE,
    OPT_GRACE,
    OPT_LAST,
    OPT_JSON
};

/* Adds values to a list. */
static void add(struct options *o, char list[LIST_BYTES], const char **field, const char *values)
{
    size_t n = strlen(list);
    int more = snprintf(list + n, LIST_BYTES - n, "%s%s", n == 0 ? "" : ",", values);

    if (more < 0 || (size_t)more >= LIST_BYTES - n)
        o->too_long = true;
    *field = list;
}

/* Takes one option that sets a field; false when it is another one. */
static bool take_field(struct options *o, int opt)
{
    switch (opt) {
    case OPT_NAME:
        o->f.name = optarg;
        return true;
    case OPT_USER:
        o->f.user = optarg;
        return true;
    case OPT_OWNER:
        o->f.owner = optarg;
        return true;
    case OPT_TEAM:
        o->f.team = optarg;
        return true;
    case OPT_GROUP:
        add(o, o->groups, &o->f.groups, optarg);
        return true;
    case OPT_MODEL:
        add(o, o->models, &o->f.models, optarg);
        return true;
    case OPT_TARGET:
        add(o, o->targets, &o->f.targets, optarg);
        return true;
    case OPT_NETWORK:
        add(o, o->networks, &o->f.networks, optarg);
        return true;
    case OPT_EXPIRES:
        o->expires = optarg;
        return true;
    case OPT_ROLE:
        o->f.role = optarg;
        return true;
    default:
        return false;
    }
}

/* Returns -1 to go on, else the exit status. */
static int take_other(struct options *o, int opt)
{
    switch (opt) {
    case 'c':
        o->config = optarg;
        return -1;
    case OPT_DB:
        o->db = optarg;
        return -1;
    case OPT_GRACE:
        o->grace = optarg;
        return -1;
    case OPT_LAST:
        o->last = (unsigned)strtoul(optarg, NULL, 10);
        if (o->last == 0 || o->last > MAX_LAST)
            return cli_fail("keys", 2, "--last is 1 to %d", MAX_LAST);
        return -1;
    case OPT_JSON:
        o->json = true;
        return -1;
    case 'h':
        (void)fputs(usage, stdout);
        return 0;
    default:
        (void)fputs("Try `sluice keys --help`.\n", stderr);
        return 2;
    }
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"db", required_argument, NULL, OPT_DB},
                                          {"name", required_argument, NULL, OPT_NAME},
                                          {"user", required_argument, NULL, OPT_USER},
                                          {"owner", required_argument, NULL, OPT_OWNER},
                                          {"team", required_argument, NULL, OPT_TEAM},
                                          {"group", required_argument, NULL, OPT_GROUP},
                                          {"model", required_argument, NULL, OPT_MODEL},
                                          {"target", required_argument, NULL, OPT_TARGET},
                                          {"network", required_argument, NULL, OPT_NETWORK},
                                          {"expires", required_argument, NULL, OPT_EXPIRES},
                                          {"role", required_argument, NULL, OPT_ROLE},
                                          {"grace", required_argument, NULL, OPT_GRACE},
                                          {"last", required_argument, NULL, OPT_LAST},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int opt;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        bool field = take_field(o, opt);
        int status = field ? -1 : take_other(o, opt);

        o->some |= field;
        if (status >= 0)
            return status;
    }
    if (o->too_long)
        return cli_fail("keys", 2, "a list is longer than %d bytes", LIST_BYTES - 1);
    o->f.has_expiry = o->expires != NULL;
    if (o->f.has_expiry &&
        !proxy_key_expiry_parse(o->expires, gw_clock_wall_ms(), &o->f.expires_ms))
        return cli_fail("keys", 2,
                        "--expires %s: give days (90d), hours (12h), a date to come (2027-01-31) "
                        "or never",
                        o->expires);
    return -1;
}

static int run(const struct options *o, int argc, char **argv)
{
    static const struct {
        const char *verb;
        int (*run)(const struct options *o, const struct proxy_actor *by, const char *which);
    } changes[] = {{"update", update}, {"rotate", rotate}, {"revoke", revoke_key}};
    const char *verb = argv[0];
    char name[128];
    const struct proxy_actor by = {name, "cli", NULL};

    cmd_actor(name, sizeof(name));
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (strcmp(verb, changes[i].verb) != 0)
            continue;
        return argc == 2 ? changes[i].run(o, &by, argv[1])
                         : cli_fail("keys", 2, "%s takes one ID or NAME", verb);
    }
    if (strcmp(verb, "show") == 0)
        return argc == 2 ? cmd_keys_show(o->db, argv[1], o->json)
                         : cli_fail("keys", 2, "show takes one ID or NAME");
    if (argc != 1)
        return cli_fail("keys", 2, "unexpected argument %s; try `sluice keys --help`", argv[1]);
    if (strcmp(verb, "create") == 0)
        return create_key(o, &by);
    if (strcmp(verb, "list") == 0)
        return cmd_keys_list(o->db, o->json);
    if (strcmp(verb, "log") == 0)
        return cmd_keys_log(o->db, o->last, o->json);
    return cli_fail("keys", 2,
                    "there is no `keys %s`: create, update, rotate, revoke, list, show or log",
                    verb);
}

int cmd_keys(int argc, char **argv)
{
    static struct options o; /* large */
    struct proxy_config *cfg = NULL;
    int status;

    o = (struct options){.last = LAST};
    status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    if (optind >= argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (o.db == NULL) {
        cfg = cmd_config_load("keys", o.config);
        if (cfg == NULL)
            return 1;
        o.db = cfg->auth.keys;
    }
    status = run(&o, argc - optind, argv + optind);
    proxy_config_free(cfg);
    return status;
}
