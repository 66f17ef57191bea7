/* proxy/cmd/cmd_budgets.c - `sluice budgets`: what was counted, from limits.db or Redis, beside what is allowed. One thread. */
#include "proxy/cmd/cmd_budgets.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/store/limits_db.h"

static const char usage[] =
    "usage: sluice budgets list  [-c FILE] [--json]\n"
    "       sluice budgets show  [-c FILE] [--json] BUDGET [OWNER]\n"
    "       sluice budgets reset [-c FILE] BUDGET [OWNER]\n"
    "\n"
    "What budgets have counted in the windows of now. list shows every budget and its counters, "
    "show those of\n"
    "one; OWNER is whose counter it is, as list prints it (user:ann, team:core). reset sets what "
    "was used to\n"
    "nothing; a running gateway follows within a quarter of a second. With redis.url the counters "
    "are the\n"
    "shared ones. What running requests hold is known to Redis only (HELD); \"-\" means unknown.\n"
    "\n"
    "  -c, --config FILE   configuration (default: $SLUICE_CONFIG, else the built-in)\n"
    "      --json          for machines\n"
    "\n"
    "examples:\n"
    "  sluice budgets list\n"
    "  sluice budgets show engineers-daily user:ann --json | jq '.[].used'\n"
    "  sluice budgets reset engineers-daily user:ann\n"
    "\n"
    "exit status: 0 done; 1 it could not be done; 2 wrong command line\n";

struct options {
    const char *config;
    bool json;
};

/* ---- listing ---------------------------------------------------------------------------- */

struct listing {
    const struct proxy_config *cfg;
    const char *budget, *owner; /* NULL: every one */
    int64_t now_ms;
    struct gw_buf out;
    bool json, seen[ROUTER_MAX_BUDGETS][ROUTER_BUDGET_KINDS];
    unsigned n;
};

/* "daily|tokens|user:ann": its budget and kind in the configuration; -1: gone. */
static int find_budget(const struct listing *l, const char *key, enum router_budget_kind *kind,
                       const char **owner)
{
    size_t n = strcspn(key, "|"), k;

    if (key[n] == '\0')
        return -1;
    k = strcspn(key + n + 1, "|");
    if (key[n + 1 + k] == '\0')
        return -1;
    *owner = key + n + 1 + k + 1;
    for (unsigned i = 0; i < l->cfg->n_budgets; i++) {
        const char *name = l->cfg->budgets[i].name;

        if (strlen(name) != n || strncmp(name, key, n) != 0)
            continue;
        for (unsigned j = 0; j < ROUTER_BUDGET_KINDS; j++) {
            const char *word = router_budget_kind_name((enum router_budget_kind)j);

            if (strlen(word) == k && strncmp(word, key + n + 1, k) == 0) {
                *kind = (enum router_budget_kind)j;
                return (int)i;
            }
        }
    }
    return -1;
}

static void amount(enum router_budget_kind kind, uint64_t n, char out[ROUTER_MONEY_BYTES])
{
    if (kind == ROUTER_BUDGET_COST)
        router_money_print(n, out);
    else
        (void)snprintf(out, ROUTER_MONEY_BYTES, "%llu", (unsigned long long)n);
}

static void put_json(struct listing *l, const struct router_budget *b, enum router_budget_kind kind,
                     const char *owner, const struct budget_counter *c, uint64_t left,
                     const char *end)
{
    char text[ROUTER_MONEY_BYTES];

    gw_buf_adds(&l->out, l->n == 0 ? "{\"budget\":" : ",\n {\"budget\":");
    gw_buf_add_json_str(&l->out, gw_span_str(b->name));
    gw_buf_printf(&l->out, ",\"kind\":\"%s\",\"owner\":", router_budget_kind_name(kind));
    gw_buf_add_json_str(&l->out, gw_span_str(owner));
    amount(kind, b->limits[kind].amount, text);
    gw_buf_printf(&l->out, ",\"limit\":%s", text);
    amount(kind, c->used, text);
    gw_buf_printf(&l->out, ",\"used\":%s", text);
    amount(kind, c->held, text);
    gw_buf_printf(&l->out, ",\"held\":%s", c->has_held ? text : "null");
    amount(kind, left, text);
    gw_buf_printf(&l->out, ",\"left\":%s,\"ends\":", text);
    if (end[0] == '-')
        gw_buf_adds(&l->out, "null}");
    else
        gw_buf_printf(&l->out, "\"%s\"}", end);
}

static void put_line(struct listing *l, const struct router_budget *b, enum router_budget_kind kind,
                     const char *owner, const struct budget_counter *c, uint64_t left,
                     const char *end)
{
    char limit[ROUTER_MONEY_BYTES], used[ROUTER_MONEY_BYTES], held[ROUTER_MONEY_BYTES],
        rest[ROUTER_MONEY_BYTES];

    amount(kind, b->limits[kind].amount, limit);
    amount(kind, c->used, used);
    amount(kind, c->held, held);
    amount(kind, left, rest);
    gw_buf_printf(&l->out, "%-24s  %-11s  %-24s  %14s  %14s  %12s  %s%14s%s  %.16s\n", b->name,
                  router_budget_kind_name(kind), owner, limit, used, c->has_held ? held : "-",
                  cli_paint(stdout, left == 0 ? "red" : "green"), rest, cli_paint(stdout, "reset"),
                  end);
}

static void put_counter(struct listing *l, const struct router_budget *b,
                        enum router_budget_kind kind, const char *owner,
                        const struct budget_counter *c)
{
    uint64_t limit = b->limits[kind].amount, all = c->used + c->held;
    char end[GW_RFC3339_BYTES] = "-";

    if (kind != ROUTER_BUDGET_CONCURRENCY)
        gw_clock_rfc3339(router_window_end(&b->limits[kind].window, c->start_ms), end);
    (l->json ? put_json : put_line)(l, b, kind, owner, c, limit > all ? limit - all : 0, end);
    l->n++;
}

static void on_counter(void *ctx, const struct budget_counter *c)
{
    struct listing *l = ctx;
    enum router_budget_kind kind = ROUTER_BUDGET_REQUESTS;
    const char *owner = "";
    int i = find_budget(l, c->key, &kind, &owner);
    const struct router_budget *b;

    if (i < 0)
        return;
    b = &l->cfg->budgets[i];
    if ((l->budget != NULL && strcmp(l->budget, b->name) != 0) ||
        (l->owner != NULL && strcmp(l->owner, owner) != 0) || !b->limits[kind].set ||
        (kind != ROUTER_BUDGET_CONCURRENCY &&
         c->start_ms != router_window_start(&b->limits[kind].window, l->now_ms)))
        return;
    l->seen[i][kind] = true;
    put_counter(l, b, kind, owner, c);
}

static enum gw_status on_row(void *ctx, const struct limits_row *row)
{
    const struct budget_counter c = {.key = row->key, .start_ms = row->start_ms, .used = row->used};

    on_counter(ctx, &c);
    return GW_OK;
}

/* Budgets that nobody has used yet are listed too. */
static void put_unused(struct listing *l)
{
    for (unsigned i = 0; i < l->cfg->n_budgets; i++) {
        const struct router_budget *b = &l->cfg->budgets[i];

        if ((l->budget != NULL && strcmp(l->budget, b->name) != 0) || l->owner != NULL)
            continue;
        for (unsigned k = 0; k < ROUTER_BUDGET_KINDS; k++) {
            struct budget_counter c = {.key = "", .has_held = l->cfg->redis.url[0] != '\0'};

            if (!b->limits[k].set || l->seen[i][k])
                continue;
            if (k != ROUTER_BUDGET_CONCURRENCY)
                c.start_ms = router_window_start(&b->limits[k].window, l->now_ms);
            put_counter(l, b, (enum router_budget_kind)k, "-", &c);
        }
    }
}

static enum gw_status read_counters(struct listing *l, const char *path, struct gw_err *err)
{
    struct limits_db *db = NULL;
    enum gw_status st;

    if (l->cfg->redis.url[0] != '\0')
        return budgets_redis_each(l->cfg, on_counter, l, err);
    st = limits_db_open(path, false, &db, err);
    if (st == GW_ENOENT) /* nothing was counted yet */
        return GW_OK;
    if (st == GW_OK)
        st = limits_db_each(db, l->now_ms, on_row, l, err);
    limits_db_close(db);
    return st;
}

static int list(const struct options *o, const struct proxy_config *cfg, const char *path,
                const char *budget, const char *owner)
{
    struct listing l = {.cfg = cfg,
                        .budget = budget,
                        .owner = owner,
                        .now_ms = gw_clock_wall_ms(),
                        .json = o->json};
    struct gw_err err = {0};
    int status = 0;

    if (o->json)
        gw_buf_addc(&l.out, '[');
    else
        gw_buf_printf(&l.out, "%s%-24s  %-11s  %-24s  %14s  %14s  %12s  %14s  %s%s\n",
                      cli_paint(stdout, "bold"), "BUDGET", "KIND", "OWNER", "LIMIT", "USED", "HELD",
                      "LEFT", "ENDS (UTC)", cli_paint(stdout, "reset"));
    if (read_counters(&l, path, &err) != GW_OK) {
        status = cli_fail_err("budgets", &err);
    } else {
        put_unused(&l);
        if (o->json)
            gw_buf_adds(&l.out, "]\n");
        if (!gw_buf_ok(&l.out))
            status = cli_fail("budgets", 1, "out of memory");
        else
            (void)fwrite(l.out.ptr, 1, l.out.len, stdout);
    }
    gw_buf_fini(&l.out);
    return status;
}

/* ---- reset ------------------------------------------------------------------------------ */

static enum gw_status reset_kind(const struct proxy_config *cfg, struct limits_db *db,
                                 const char *prefix, unsigned *total, struct gw_err *err)
{
    unsigned n = 0;

    if (cfg->redis.url[0] != '\0') {
        GW_TRY(budgets_redis_reset(cfg, prefix, &n, err));
        *total += n;
    }
    GW_TRY(limits_db_reset(db, prefix, gw_clock_wall_ms(), &n, err));
    *total += cfg->redis.url[0] != '\0' ? 0 : n;
    return GW_OK;
}

static int reset(const struct proxy_config *cfg, const char *path, const char *budget,
                 const char *owner)
{
    struct limits_db *db = NULL;
    enum gw_status st;
    struct gw_err err;
    unsigned n = 0;
    char prefix[400];

    st = limits_db_open(path, true, &db, &err);
    for (unsigned k = 0; k < ROUTER_BUDGET_KINDS && st == GW_OK; k++) {
        (void)snprintf(prefix, sizeof(prefix), "%.64s|%s|%.200s", budget,
                       router_budget_kind_name((enum router_budget_kind)k),
                       owner == NULL ? "" : owner);
        st = reset_kind(cfg, db, prefix, &n, &err);
    }
    limits_db_close(db);
    if (st != GW_OK)
        return cli_fail_err("budgets", &err);
    (void)fprintf(stderr, "Reset %u counters of %s.\n", n, budget);
    return 0;
}

/* ---- the command ------------------------------------------------------------------------------------- */

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
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
        case 'j':
            o->json = true;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("Try `sluice budgets --help`.\n", stderr);
            return 2;
        }
    }
    return -1;
}

static int run(const struct options *o, const struct proxy_config *cfg, int argc, char **argv)
{
    const char *budget = argc > 1 ? argv[1] : NULL, *owner = argc > 2 ? argv[2] : NULL;
    bool known = budget == NULL;
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/limits.db", cfg->state_dir);
    for (unsigned i = 0; i < cfg->n_budgets && !known; i++)
        known = strcmp(cfg->budgets[i].name, budget) == 0;
    if (!known)
        return cli_fail("budgets", 1, "%s has no budget named %s", cfg->file, budget);
    if (strcmp(argv[0], "list") == 0 && argc == 1)
        return list(o, cfg, path, NULL, NULL);
    if (strcmp(argv[0], "show") == 0 && (argc == 2 || argc == 3))
        return list(o, cfg, path, budget, owner);
    if (strcmp(argv[0], "reset") == 0 && (argc == 2 || argc == 3))
        return reset(cfg, path, budget, owner);
    return cli_fail("budgets", 2, "list, show BUDGET or reset BUDGET; try `sluice budgets --help`");
}

int cmd_budgets(int argc, char **argv)
{
    struct options o = {0};
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    int status = parse_options(argc, argv, &o);

    if (status >= 0)
        return status;
    if (optind >= argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    /* Keys of providers need not be readable here; Redis' password must be, where there is one. */
    if (proxy_config_load(o.config, PROXY_CONFIG_NO_SECRETS, &cfg, NULL, NULL, &err) != GW_OK)
        return cli_fail_err("budgets", &err);
    if (cfg->redis.password.source[0] != '\0') {
        proxy_config_free(cfg);
        if (proxy_config_load(o.config, 0, &cfg, NULL, NULL, &err) != GW_OK)
            return cli_fail_err("budgets", &err);
    }
    status = run(&o, cfg, argc - optind, argv + optind);
    proxy_config_free(cfg);
    return status;
}
