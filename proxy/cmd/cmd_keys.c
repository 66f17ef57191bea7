/* proxy/cmd/cmd_keys.c - `sluice keys`: create, list and revoke virtual keys. One thread.
 *
 * Works on the database of the configuration; a running gateway sees the change within a second. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/config/config.h"
#include "proxy/store/store.h"

static const char usage[] =
    "usage: sluice keys create [-c FILE] --name NAME [--owner OWNER] [--group GROUP]...\n"
    "                          [--expires 90d|2027-01-31] [--json]\n"
    "       sluice keys list   [-c FILE] [--json]\n"
    "       sluice keys revoke [-c FILE] ID|NAME\n"
    "\n"
    "Virtual keys: what programs send instead of a provider's key. Only a SHA-256 is stored, so "
    "create\n"
    "prints a key once. A revoked key is refused within a second, without a restart.\n"
    "\n"
    "  -c, --config FILE   configuration that names the database (default: $SLUICE_CONFIG, else "
    "the built-in)\n"
    "      --db FILE       the database itself, instead of the configuration's\n"
    "      --name NAME     the user in policy and records: letters, digits, '.', '_', '@', '-'\n"
    "      --owner OWNER   the tenant, for reports\n"
    "      --group GROUP   a group in policy; may be repeated\n"
    "      --expires WHEN  a number of days (90d) or hours (12h) from now, or a date (its end, "
    "UTC)\n"
    "      --json          for machines\n"
    "\n"
    "examples:\n"
    "  sluice keys create --name ci-build --group core --expires 90d\n"
    "  sluice keys list --json | jq '.[] | select(.revoked == null)'\n"
    "  sluice keys revoke ci-build\n"
    "\n"
    "exit status: 0 done; 1 it could not be done; 2 wrong command line\n";

struct options {
    const char *config, *db, *name, *owner, *expires;
    const char *groups[PROXY_KEY_MAX_GROUPS];
    unsigned n_groups;
    bool json, help;
};

/* ---- times ------------------------------------------------------------------------------------- */

enum { DAY_MS = 86400000, HOUR_MS = 3600000, MAX_DAYS = 36500 };

/* "90d" or "12h" from now. */
static bool parse_span(const char *text, int64_t now_ms, int64_t *out)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || n == 0 || n > MAX_DAYS)
        return false;
    if (strcmp(end, "d") == 0)
        *out = now_ms + (int64_t)n * DAY_MS;
    else if (strcmp(end, "h") == 0)
        *out = now_ms + (int64_t)n * HOUR_MS;
    else
        return false;
    return true;
}

/* The end of a day, "2027-01-31", in UTC. */
static bool parse_date(const char *text, int64_t *out)
{
    struct tm tm = {0};
    char *end = strptime(text, "%Y-%m-%d", &tm);
    int day = tm.tm_mday; /* timegm() turns a day that does not exist into another one */
    time_t t;

    if (end == NULL || *end != '\0' || strlen(text) != 10)
        return false;
    t = timegm(&tm);
    if (t == (time_t)-1 || tm.tm_mday != day)
        return false;
    *out = (int64_t)t * 1000 + DAY_MS;
    return true;
}

static bool parse_expiry(const char *text, int64_t *out)
{
    int64_t now_ms = gw_clock_wall_ms();

    return (parse_span(text, now_ms, out) || parse_date(text, out)) && *out > now_ms;
}

/* "2026-11-21" into out (11 bytes); "-" for never. */
static void day_text(int64_t ms, char out[11])
{
    char full[GW_RFC3339_BYTES];

    if (ms == 0) {
        memcpy(out, "-", 2);
        return;
    }
    gw_clock_rfc3339(ms, full);
    memcpy(out, full, 10);
    out[10] = '\0';
}

/* ---- create -------------------------------------------------------------------------------------- */

static void put_time(struct gw_buf *b, const char *name, int64_t ms)
{
    char text[GW_RFC3339_BYTES];

    gw_buf_printf(b, ",\"%s\":", name);
    if (ms == 0) {
        gw_buf_adds(b, "null");
        return;
    }
    gw_clock_rfc3339(ms, text);
    gw_buf_printf(b, "\"%s\"", text);
}

static void put_groups(struct gw_buf *b, const char *groups)
{
    const char *between = "";

    gw_buf_adds(b, ",\"groups\":[");
    while (*groups != '\0') {
        size_t n = strcspn(groups, ",");

        gw_buf_adds(b, between);
        gw_buf_add_json_str(b, (struct gw_span){groups, n});
        between = ",";
        groups += groups[n] == ',' ? n + 1 : n;
    }
    gw_buf_addc(b, ']');
}

static int create(const struct options *o, const char *db)
{
    struct proxy_key_new k = {
        .name = o->name, .owner = o->owner, .groups = o->groups, .n_groups = o->n_groups};
    char key[PROXY_KEY_BYTES], id[PROXY_KEY_ID_BYTES];
    struct gw_err err;

    if (o->name == NULL)
        return cli_fail("keys", 2, "create needs --name NAME; try `sluice keys --help`");
    if (o->expires != NULL && !parse_expiry(o->expires, &k.expires_ms))
        return cli_fail("keys", 2,
                        "--expires %s: give days (90d), hours (12h) or a date to come (2027-01-31)",
                        o->expires);
    if (proxy_store_key_create(db, &k, key, id, &err) != GW_OK)
        return cli_fail_err("keys", &err);
    if (o->json) {
        (void)printf("{\"id\":\"%s\",\"key\":\"%s\"}\n", id, key);
    } else {
        (void)printf("%s\n", key); /* alone on standard output, so that a script can take it */
        (void)fprintf(stderr,
                      "Key %s for %s. It is shown only now: store it where the program reads it.\n",
                      id, o->name);
    }
    explicit_bzero(key, sizeof(key));
    return fflush(stdout) == 0 ? 0 : cli_fail("keys", 1, "cannot write the key: revoke %s", id);
}

/* ---- list ------------------------------------------------------------------------------------------ */

struct listing {
    struct gw_buf out;
    bool json;
    unsigned n;
};

static void list_json(struct gw_buf *b, const struct proxy_key_info *k)
{
    gw_buf_adds(b, "{\"id\":");
    gw_buf_add_json_str(b, gw_span_str(k->id));
    gw_buf_adds(b, ",\"name\":");
    gw_buf_add_json_str(b, gw_span_str(k->name));
    gw_buf_adds(b, ",\"owner\":");
    gw_buf_add_json_str(b, gw_span_str(k->owner));
    put_groups(b, k->groups);
    put_time(b, "created", k->created_ms);
    put_time(b, "expires", k->expires_ms);
    put_time(b, "last_used", k->last_used_ms);
    put_time(b, "revoked", k->revoked_ms);
    gw_buf_addc(b, '}');
}

static void list_line(struct gw_buf *b, const struct proxy_key_info *k)
{
    char created[11], expires[11], used[11];
    const char *state = "works", *color = cli_paint(stdout, "green");

    if (k->revoked_ms != 0) {
        state = "revoked";
        color = cli_paint(stdout, "red");
    } else if (k->expires_ms != 0 && k->expires_ms <= gw_clock_wall_ms()) {
        state = "expired";
        color = cli_paint(stdout, "yellow");
    }
    day_text(k->created_ms, created);
    day_text(k->expires_ms, expires);
    day_text(k->last_used_ms, used);
    gw_buf_printf(b, "%s  %s%-7s%s  %-20s  %-12s  %-16s  %-10s  %-10s  %s\n", k->id, color, state,
                  cli_paint(stdout, "reset"), k->name, k->owner[0] == '\0' ? "-" : k->owner,
                  k->groups[0] == '\0' ? "-" : k->groups, created, expires, used);
}

static void on_key(void *ctx, const struct proxy_key_info *k)
{
    struct listing *l = ctx;

    if (l->json) {
        gw_buf_adds(&l->out, l->n == 0 ? "" : ",\n ");
        list_json(&l->out, k);
    } else {
        list_line(&l->out, k);
    }
    l->n++;
}

static int list(const struct options *o, const char *db)
{
    struct listing l = {.json = o->json};
    struct gw_err err = {0};
    enum gw_status st;

    if (o->json)
        gw_buf_addc(&l.out, '[');
    else
        gw_buf_printf(&l.out, "%s%-26s  %-7s  %-20s  %-12s  %-16s  %-10s  %-10s  %s%s\n",
                      cli_paint(stdout, "bold"), "ID", "STATE", "NAME", "OWNER", "GROUPS",
                      "CREATED", "EXPIRES", "LAST USED", cli_paint(stdout, "reset"));
    st = proxy_store_key_list(db, on_key, &l, &err);
    if (st == GW_ENOENT) /* no database yet is no key yet */
        st = GW_OK;
    if (st != GW_OK) {
        gw_buf_fini(&l.out);
        return cli_fail_err("keys", &err);
    }
    if (o->json)
        gw_buf_adds(&l.out, "]\n");
    if (!gw_buf_ok(&l.out)) {
        gw_buf_fini(&l.out);
        return cli_fail("keys", 1, "out of memory");
    }
    if (!o->json && l.n == 0)
        (void)fprintf(stderr, "No keys yet: `sluice keys create --name NAME` makes one.\n");
    else
        (void)fwrite(l.out.ptr, 1, l.out.len, stdout);
    gw_buf_fini(&l.out);
    return 0;
}

/* ---- the command ------------------------------------------------------------------------------------- */

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"db", required_argument, NULL, 'd'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"owner", required_argument, NULL, 'o'},
                                          {"group", required_argument, NULL, 'g'},
                                          {"expires", required_argument, NULL, 'e'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int opt;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case 'd':
            o->db = optarg;
            break;
        case 'n':
            o->name = optarg;
            break;
        case 'o':
            o->owner = optarg;
            break;
        case 'g':
            if (o->n_groups == PROXY_KEY_MAX_GROUPS)
                return cli_fail("keys", 2, "more than %d groups", PROXY_KEY_MAX_GROUPS);
            o->groups[o->n_groups++] = optarg;
            break;
        case 'e':
            o->expires = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("Try `sluice keys --help`.\n", stderr);
            return 2;
        }
    }
    return -1;
}

static int run(const struct options *o, const char *db, int argc, char **argv)
{
    const char *verb = argv[0];
    struct gw_err err;

    if (strcmp(verb, "revoke") == 0) {
        if (argc != 2)
            return cli_fail("keys", 2, "revoke takes one ID or NAME");
        if (proxy_store_key_revoke(db, argv[1], &err) != GW_OK)
            return cli_fail_err("keys", &err);
        (void)fprintf(stderr, "Revoked %s.\n", argv[1]);
        return 0;
    }
    if (argc != 1)
        return cli_fail("keys", 2, "unexpected argument %s; try `sluice keys --help`", argv[1]);
    if (strcmp(verb, "create") == 0)
        return create(o, db);
    if (strcmp(verb, "list") == 0)
        return list(o, db);
    return cli_fail("keys", 2, "there is no `keys %s`: create, list or revoke", verb);
}

static void report(void *ctx, bool warning, const char *message)
{
    (void)ctx;
    if (!warning)
        (void)fprintf(stderr, "%s\n", message);
}

int cmd_keys(int argc, char **argv)
{
    struct options o = {0};
    struct proxy_config *cfg = NULL;
    struct gw_err err;
    int status = parse_options(argc, argv, &o);

    if (status >= 0)
        return status;
    if (optind >= argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (o.db == NULL) {
        if (proxy_config_load(o.config, PROXY_CONFIG_NO_SECRETS, &cfg, report, NULL, &err) != GW_OK)
            return cli_fail_err("keys", &err);
        o.db = cfg->auth.keys;
    }
    status = run(&o, o.db, argc - optind, argv + optind);
    proxy_config_free(cfg);
    return status;
}
