/* proxy/cmd/cmd_audit_open.c - `sluice audit open | erase`: sealed texts in clear, and never again. One thread. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "proxy/cli.h"
#include "proxy/cmd/actor.h"
#include "proxy/cmd/cmd_audit.h"
#include "proxy/config/config.h"
#include "proxy/store/store.h"

struct wanted {
    struct audit_open o;
    const char *config, *subject;
    bool help;
};

enum { OPT_SPOOL = 256, OPT_KEY, OPT_KEYS, OPT_REQUEST, OPT_USER, OPT_RAW, OPT_SUBJECT };

bool cmd_audit_opens(const char *name)
{
    return strcmp(name, "open") == 0 || strcmp(name, "erase") == 0;
}

/* Returns 0, or the exit status of a wrong command line. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"spool", required_argument, NULL, OPT_SPOOL},
                                          {"key", required_argument, NULL, OPT_KEY},
                                          {"subject-keys", required_argument, NULL, OPT_KEYS},
                                          {"request", required_argument, NULL, OPT_REQUEST},
                                          {"user", required_argument, NULL, OPT_USER},
                                          {"raw", no_argument, NULL, OPT_RAW},
                                          {"subject", required_argument, NULL, OPT_SUBJECT},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char **const texts[] = {&w->o.spool_dir, &w->o.secret_path, &w->o.keys_path,
                                  &w->o.request, &w->o.user};
    int c;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        if (c >= OPT_SPOOL && c <= OPT_USER)
            *texts[c - OPT_SPOOL] = optarg;
        else if (c == OPT_RAW)
            w->o.raw = true;
        else if (c == OPT_SUBJECT)
            w->subject = optarg;
        else if (c == 'c')
            w->config = optarg;
        else if (c == 'h')
            w->help = true;
        else
            return cli_fail("audit", 2, "see sluice audit --help");
    }
    if (optind < argc)
        return cli_fail("audit", 2, "what is %s? See sluice audit --help", argv[optind]);
    return 0;
}

static int run_open(struct wanted *w)
{
    struct audit_open_result r;
    struct gw_err err;

    if (audit_open_texts(&w->o, stdout, &r, &err) != GW_OK)
        return cli_fail_err("audit", &err);
    (void)fprintf(stderr,
                  "%llu texts opened, %llu erased, %llu without a key, %llu not readable "
                  "with this key\n",
                  (unsigned long long)r.opened, (unsigned long long)r.erased,
                  (unsigned long long)r.no_key, (unsigned long long)r.failed);
    return r.failed != 0 || r.no_key != 0 ? 2 : 0;
}

static int run_erase(const struct wanted *w, const struct proxy_config *cfg)
{
    unsigned n_keys = 0, n_before = 0;
    char name[120], after[100];
    const struct proxy_actor by = {name, "cli", NULL};
    struct gw_err err;

    if (audit_payload_erase(w->o.keys_path, gw_span_str(w->subject), &n_keys, &n_before, &err) !=
        GW_OK)
        return cli_fail_err("audit", &err);
    cmd_actor(name, sizeof(name));
    (void)snprintf(after, sizeof(after), "{\"keys_destroyed\":%u,\"destroyed_before\":%u}", n_keys,
                   n_before);
    if (proxy_store_note(cfg->auth.keys, &by, "erase", w->subject, after, &err) != GW_OK)
        return cli_fail("audit", 1, "%u keys were destroyed, but not recorded: %s; erase again",
                        n_keys, err.text);
    (void)printf("%s: %u keys destroyed, %u had been before\n", w->subject, n_keys, n_before);
    return 0;
}

/* Where the configuration has what the command line does not name. */
static int look_up(struct wanted *w, bool erase, struct proxy_config **cfg)
{
    struct gw_err err;

    if (!erase && w->o.spool_dir != NULL && w->o.keys_path != NULL)
        return 0;
    if (proxy_config_load(w->config, PROXY_CONFIG_NO_SECRETS, cfg, NULL, NULL, &err) != GW_OK)
        return cli_fail_err("audit", &err);
    if (w->o.spool_dir == NULL)
        w->o.spool_dir = (*cfg)->audit.spool;
    if (w->o.keys_path == NULL)
        w->o.keys_path = (*cfg)->audit.subject_keys;
    return 0;
}

int cmd_audit_open(int argc, char **argv, const char *usage)
{
    bool erase = strcmp(argv[0], "erase") == 0;
    struct wanted w = {.config = NULL};
    struct proxy_config *cfg = NULL;
    int status = parse(argc, argv, &w);

    if (status != 0)
        return status;
    if (w.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (erase && (w.subject == NULL || w.subject[0] == '\0'))
        return cli_fail("audit", 2, "erase whose texts? --subject USER, as in the records");
    if (!erase && w.o.secret_path == NULL)
        return cli_fail("audit", 2, "--key FILE: the auditor's secret key");
    status = look_up(&w, erase, &cfg);
    if (status == 0)
        status = erase ? run_erase(&w, cfg) : run_open(&w);
    proxy_config_free(cfg);
    return status;
}
