/* proxy/cmd/cmd_serve.c - `sluice serve`: configuration, signals, and the main thread's loop. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/engine.h"
#include "proxy/admin/admin.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/cmd/cmd_probe.h"
#include "proxy/cmd/notify.h"
#include "proxy/config/config.h"
#include "proxy/core_dumps.h"
#include "proxy/net/loop_memory.h"
#include "proxy/net/server.h"
#include "proxy/net/trim.h"
#include "proxy/net/worker.h"
#include "proxy/store/store.h"
#include "proxy/version.h"

static const char usage[] =
    "usage: sluice serve [-c FILE] [--check [--probe [--json]]]\n"
    "\n"
    "Runs the gateway in the foreground until SIGTERM or SIGINT; then it stops accepting, lets "
    "what runs\n"
    "finish (`drain`, 2 minutes by default) and exits with 0. A second signal ends it at once. "
    "SIGHUP "
    "reads\n"
    "the configuration, and all files that it names, anew: it is in force as a whole, or refused "
    "with the\n"
    "reason in the log.\n"
    "\n"
    "  -c, --config FILE   configuration (default: $SLUICE_CONFIG, else the built-in one)\n"
    "      --check         check everything a start would, print every problem, exit with 0 or 1\n"
    "      --probe         with --check: also ask every target, with each key, Kafka, Redis and "
    "the "
    "disks\n"
    "                      whether they are there, look at certificates, and say what to do; exits "
    "with 1\n"
    "                      when something fails, with 0 when there are only warnings\n"
    "      --json          with --probe: JSON instead of a table\n"
    "      --first-key     make a key named \"default\" when there is none yet, and print it with "
    "a first curl\n"
    "      --print-schema  the JSON Schema of the configuration, for editors\n"
    "      --print-docs    the reference of all keys (docs/config.md)\n"
    "      --print-default the built-in configuration\n"
    "\n"
    "examples:\n"
    "  sluice serve -c /etc/sluice/sluice.yaml --check\n"
    "  sluice serve -c sluice.yaml\n";

struct options {
    const char *config;
    bool check, probe, json, first_key;
};

/* The main thread's loop and what its events need. */
struct control {
    struct event_base *base;
    struct server *server;
    struct event *term, *intr, *hup, *poll, *delay, *deadline;
    int64_t drain_ms;
    int level; /* of the stop */
};

static void report(void *ctx, bool warning, const char *message)
{
    unsigned *n_errors = ctx;

    (void)fprintf(stderr, "%s%s:%s %s\n", cli_paint(stderr, warning ? "yellow" : "red"),
                  warning ? "warning" : "error", cli_paint(stderr, "reset"), message);
    if (!warning)
        (*n_errors)++;
}

/* ---- stopping --------------------------------------------------------------------------- */

static void on_poll(evutil_socket_t fd, short what, void *ctx)
{
    struct control *c = ctx;

    (void)fd;
    (void)what;
    if (server_stopped(c->server))
        (void)event_base_loopbreak(c->base);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
    struct control *c = ctx;

    (void)fd;
    (void)what;
    c->level = 2;
    server_stop(c->server, 2);
}

static void on_hup(evutil_socket_t sig, short what, void *ctx)
{
    struct control *c = ctx;

    (void)sig;
    (void)what;
    if (c->level == 0)
        (void)server_reload(c->server, "SIGHUP");
}

/* Draining begins. */
static void on_delayed(evutil_socket_t fd, short what, void *ctx)
{
    struct control *c = ctx;
    const struct timeval tick = {0, 20000};
    const struct timeval limit = {c->drain_ms / 1000, (c->drain_ms % 1000) * 1000};

    (void)fd;
    (void)what;
    server_stop(c->server, 1);
    (void)event_add(c->poll, &tick);
    (void)event_add(c->deadline, &limit);
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
    const struct timeval tick = {0, 20000};
    struct control *c = ctx;
    struct setup *setup;
    int64_t delay_ms;

    (void)what;
    if (c->level >= 1) { /* the second one: at once */
        (void)event_add(c->poll, &tick);
        on_deadline(-1, 0, c);
        return;
    }
    c->level = 1;
    setup = server_setup(c->server);
    c->drain_ms = setup->cfg->drain_ms;
    delay_ms = setup->cfg->drain_delay_ms;
    server_setup_done(c->server, setup);
    (void)notify_systemd("STOPPING=1\n");
    gw_log(GW_LOG_INFO, "stopping", "signal=%d delay_ms=%lld drain_ms=%lld", (int)sig,
           (long long)delay_ms, (long long)c->drain_ms);
    server_leave(c->server);
    if (delay_ms == 0) {
        on_delayed(-1, 0, c);
    } else {
        const struct timeval delay = {delay_ms / 1000, (delay_ms % 1000) * 1000};

        (void)event_add(c->delay, &delay);
    }
}

static bool watch_signals(struct control *c)
{
    c->term = evsignal_new(c->base, SIGTERM, on_signal, c);
    c->intr = evsignal_new(c->base, SIGINT, on_signal, c);
    c->hup = evsignal_new(c->base, SIGHUP, on_hup, c);
    c->poll = event_new(c->base, -1, EV_PERSIST, on_poll, c);
    c->delay = evtimer_new(c->base, on_delayed, c);
    c->deadline = evtimer_new(c->base, on_deadline, c);
    return c->term != NULL && c->intr != NULL && c->hup != NULL && c->poll != NULL &&
           c->delay != NULL && c->deadline != NULL && event_add(c->term, NULL) == 0 &&
           event_add(c->intr, NULL) == 0 && event_add(c->hup, NULL) == 0;
}

static void free_control(struct control *c)
{
    struct event *all[] = {c->term, c->intr, c->hup, c->poll, c->delay, c->deadline};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] != NULL)
            event_free(all[i]);
    if (c->base != NULL)
        event_base_free(c->base);
}

/* ---- starting --------------------------------------------------------------------------- */

static void print_first_key(const struct proxy_config *cfg)
{
    FILE *out = stdout;
    char key[PROXY_KEY_BYTES];
    struct gw_err err;
    bool created = false;

    for (unsigned i = 0; i < cfg->audit.n_sinks; i++)
        if (cfg->audit.sinks[i].kind == PROXY_SINK_STDOUT)
            out = stderr; /* standard output is for records */

    if (proxy_store_ensure_key(cfg->auth.keys, "default", &created, key, &err) != GW_OK) {
        (void)cli_fail_err("serve", &err);
        return;
    }
    if (!created) {
        (void)fprintf(out, "Keys exist already; `sluice keys create --name NAME` makes another.\n");
    } else {
        const char *scheme = cfg->listen.tls_cert[0] != '\0' ? "https" : "http";

        (void)fprintf(out,
                      "Your key, shown once:  %s\n\nTry it:\n"
                      "  curl %s://%s/v1/chat/completions -H 'Authorization: Bearer %s' \\\n"
                      "    -H 'Content-Type: application/json' \\\n"
                      "    -d '{\"model\":\"auto\",\"messages\":[{\"role\":\"user\","
                      "\"content\":\"What is the capital of France?\"}]}'\n\n",
                      key, scheme, cfg->listen.gateway.text, key);
        explicit_bzero(key, sizeof(key));
    }
    (void)fflush(out);
}

static void log_start(const struct proxy_config *cfg)
{
    gw_log(GW_LOG_INFO, "started",
           "version=%s config=%s gateway=%s proxy=%s admin=%s workers=%u targets=%u spool=%s "
           "kafka=%s sinks=%u",
           sluice_version(), cfg->file, cfg->listen.gateway.off ? "off" : cfg->listen.gateway.text,
           cfg->listen.proxy.off ? "off" : cfg->listen.proxy.text,
           cfg->listen.admin.off ? "off" : cfg->listen.admin.text, cfg->workers, cfg->n_targets,
           cfg->audit.spool, cfg->audit.kafka_brokers[0] == '\0' ? "off" : cfg->audit.kafka_brokers,
           cfg->audit.n_sinks);
}

/* Owns cfg until the server does. */
static int run(struct proxy_config *cfg, const struct options *o)
{
    struct control c = {0};
    struct admin *admin = NULL;
    struct trim *trim = NULL;
    struct gw_err err = {0};
    int status = 1;

    /* A write to a closed socket is an error code here, not a death. */
    (void)signal(SIGPIPE, SIG_IGN);
    loop_memory_install();
    trim_set_up();
    gw_log_set_level(cfg->log.level);
    gw_log_set_format((enum gw_log_format)cfg->log.format);
    core_dumps_allow(cfg->core_dumps);
    c.base = event_base_new();
    if (c.base == NULL || !watch_signals(&c)) {
        proxy_config_free(cfg);
        (void)gw_fail(&err, GW_ENOMEM, "out of memory");
        goto out;
    }
    if (server_open(cfg, o->config, isatty(STDERR_FILENO) == 1, &c.server, &err) != GW_OK)
        goto out;
    if (admin_open(c.base, c.server, &cfg->listen.admin, &admin, &err) != GW_OK) {
        server_stop(c.server, 2);
        goto out;
    }
    trim = trim_open(c.base, c.server);
    log_start(cfg);
    if (!notify_systemd("READY=1\n"))
        gw_log(GW_LOG_WARN, "notify_failed", "what=NOTIFY_SOCKET");
    if (o->first_key)
        print_first_key(cfg);
    (void)event_base_dispatch(c.base);
    status = 0;
out:
    if (status != 0)
        (void)cli_fail_err("serve", &err);
    admin_close(admin);
    trim_close(trim);
    server_close(c.server);
    free_control(&c);
    if (status == 0)
        gw_log(GW_LOG_INFO, "stopped", "status=0");
    return status;
}

/* Whether the GPUs that targets name are there, and can share the model as it is said. */
static void check_devices(const struct proxy_config *cfg, unsigned *n_errors)
{
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *t = &cfg->targets[i];
        const struct engine_config ec = {.model_path = t->model,
                                         .kv = (enum engine_kv)t->kv,
                                         .weights = (enum engine_weights)t->weights,
                                         .device = t->device,
                                         .split = (enum engine_split)t->split};
        const char *note = NULL;
        struct gw_err err = {0};
        bool fits;

        if (t->kind != PROXY_TARGET_ENGINE || t->device == NULL)
            continue;
        fits = engine_check_device(&ec, &note, &err) == GW_OK;
        if (fits && note != NULL)
            (void)gw_fail(&err, GW_OK, "%s", note);
        if (!fits || note != NULL) {
            (void)gw_fail_prefix(&err, "targets.%s.device", t->name);
            report(n_errors, fits, err.text);
        }
        if (engine_check_split(&ec, &err) != GW_OK) {
            (void)gw_fail_prefix(&err, "targets.%s.split", t->name);
            report(n_errors, false, err.text);
        }
    }
}

static int check(const struct proxy_config *cfg, unsigned n_errors, const struct options *o)
{
    (void)proxy_config_check_files(cfg, report, &n_errors);
    check_devices(cfg, &n_errors);
    if (n_errors != 0)
        return cli_fail("serve", 1, "%s: %u problems", cfg->file, n_errors);
    if (o->probe)
        return cmd_probe(cfg, o->json);
    (void)printf("%s: OK (%u targets, %u routes, %u policy lines, digest %.12s)\n", cfg->file,
                 cfg->n_targets, cfg->n_routes, cfg->n_lines, cfg->digest);
    return 0;
}

enum { OPT_CHECK = 256, OPT_PROBE, OPT_JSON, OPT_FIRST_KEY, OPT_SCHEMA, OPT_DOCS, OPT_DEFAULT };

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"check", no_argument, NULL, OPT_CHECK},
                                          {"probe", no_argument, NULL, OPT_PROBE},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"first-key", no_argument, NULL, OPT_FIRST_KEY},
                                          {"print-schema", no_argument, NULL, OPT_SCHEMA},
                                          {"print-docs", no_argument, NULL, OPT_DOCS},
                                          {"print-default", no_argument, NULL, OPT_DEFAULT},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct gw_span text = proxy_config_default_text();
    int opt;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case OPT_CHECK:
            o->check = true;
            break;
        case OPT_PROBE:
            o->check = o->probe = true;
            break;
        case OPT_JSON:
            o->json = true;
            break;
        case OPT_FIRST_KEY:
            o->first_key = true;
            break;
        case OPT_SCHEMA:
            proxy_config_print_schema(stdout);
            return 0;
        case OPT_DOCS:
            proxy_config_print_docs(stdout);
            return 0;
        case OPT_DEFAULT:
            (void)printf("%.*s", (int)text.len, text.ptr);
            return 0;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("Try `sluice serve --help`.\n", stderr);
            return 2;
        }
    }
    if (optind < argc)
        return cli_fail("serve", 2, "unexpected argument %s; try `sluice serve --help`",
                        argv[optind]);
    return -1;
}

int cmd_serve(int argc, char **argv)
{
    struct options o = {0};
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    unsigned n_errors = 0;
    int status = parse_options(argc, argv, &o);

    if (status >= 0)
        return status;
    core_dumps_off(); /* before keys are read */
    if (proxy_config_load(o.config, 0, &cfg, report, &n_errors, &err) != GW_OK)
        return n_errors != 0 ? cli_fail("serve", 1, "%u problems in the configuration", n_errors)
                             : cli_fail_err("serve", &err);
    if (!o.check)
        return run(cfg, &o);
    status = check(cfg, n_errors, &o);
    proxy_config_free(cfg);
    return status;
}
