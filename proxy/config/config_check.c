/* proxy/config/config_check.c - what depends on more than one key: derived defaults, and checks across keys.
 *
 * Runs at the end of a load, on that thread; proxy_config_check_files() runs for `sluice serve` and
 * `--check`. */
#include <netinet/in.h>
#include <sys/stat.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/config/config_private.h"

enum { MAX_WORKERS = 16 };

/* ---- derived defaults ---------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): before threads start

    return value == NULL ? "" : value;
}

bool proxy_config_default_state_dir(char *out, size_t size)
{
    const char *xdg = environment("XDG_STATE_HOME");
    const char *home = environment("HOME");
    int n;

    if (geteuid() == 0)
        n = snprintf(out, size, "/var/lib/sluice");
    else if (xdg[0] == '/') /* the specification says to ignore relative ones */
        n = snprintf(out, size, "%s/sluice", xdg);
    else if (home[0] == '/')
        n = snprintf(out, size, "%s/.local/state/sluice", home);
    else
        return false;
    return n > 0 && (size_t)n < size;
}

const char *config_join(struct config_load *l, const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *p = config_alloc(l, n, 1);

    if (p == NULL)
        return "";
    (void)snprintf(p, n, "%s/%s", dir, name);
    return p;
}

static unsigned count_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > MAX_WORKERS ? MAX_WORKERS : (unsigned)n;
}

static void derive(struct config_load *l)
{
    struct proxy_config *cfg = l->cfg;
    char text[4096];

    if (cfg->state_dir[0] == '\0') {
        if (!proxy_config_default_state_dir(text, sizeof(text))) {
            config_report_line(l, false, 0, "state_dir: no HOME in the environment: set state_dir");
            return;
        }
        cfg->state_dir = config_copy(l, gw_span_str(text)).ptr;
    }
    if (cfg->models_dir[0] == '\0')
        cfg->models_dir = config_join(l, cfg->state_dir, "models");
    if (cfg->auth.keys[0] == '\0')
        cfg->auth.keys = config_join(l, cfg->state_dir, "state.db");
    if (cfg->audit.spool[0] == '\0')
        cfg->audit.spool = config_join(l, cfg->state_dir, "spool");
    if (cfg->audit.subject_keys[0] == '\0')
        cfg->audit.subject_keys = config_join(l, cfg->state_dir, "subject.keys");
    if (cfg->intercept.ca_dir[0] == '\0')
        cfg->intercept.ca_dir = config_join(l, cfg->state_dir, "ca");
    if (cfg->instance[0] == '\0') {
        if (gethostname(text, 256) != 0)
            (void)snprintf(text, sizeof(text), "gateway");
        text[255] = '\0';
        cfg->instance = config_copy(l, gw_span_str(text)).ptr;
    }
    if (cfg->workers == 0)
        cfg->workers = count_cores();
}

/* ---- targets ------------------------------------------------------------------------------- */

static void check_targets(struct config_load *l)
{
    struct proxy_config_target *copy = config_alloc(l, l->cfg->n_targets, sizeof(*copy));

    if (copy == NULL)
        return;
    if (l->cfg->n_targets > 0)
        memcpy(copy, l->cfg->targets, l->cfg->n_targets * sizeof(*copy));
    for (unsigned i = 0; i < l->cfg->n_targets; i++)
        config_check_target(l, &copy[i]);
    l->cfg->targets = copy;
    if (l->cfg->n_targets == 0)
        config_report_line(l, false, 0, "targets: there is none, so nothing could be answered");
}

/* ---- the rest ------------------------------------------------------------------------------- */

static bool is_wide_open(const struct proxy_config_addr *a)
{
    if (a->off)
        return false;
    if (a->sa.ss_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, &a->sa, sizeof(v4));
        return (ntohl(v4.sin_addr.s_addr) >> 24) != 127;
    }
    return memcmp(&((const struct sockaddr_in6 *)&a->sa)->sin6_addr, &in6addr_loopback,
                  sizeof(in6addr_loopback)) != 0;
}

static bool same_addr(const struct proxy_config_addr *a, const struct proxy_config_addr *b)
{
    return !a->off && !b->off && a->port != 0 && a->sa_len == b->sa_len &&
           memcmp(&a->sa, &b->sa, a->sa_len) == 0;
}

static void check_egress(struct config_load *l)
{
    const char *fault = config_egress_fault(&l->cfg->intercept.egress);
    char text[160];

    if (fault == NULL)
        return;
    (void)snprintf(text, sizeof(text), "intercept: %s", fault);
    config_report_line(l, false, 0, text);
}

static void check_listen(struct config_load *l)
{
    const struct proxy_config *cfg = l->cfg;

    if (cfg->listen.gateway.off && cfg->listen.proxy.off)
        config_report_line(l, false, 0, "listen: gateway and proxy are both off");
    if (same_addr(&cfg->listen.gateway, &cfg->listen.proxy) ||
        same_addr(&cfg->listen.gateway, &cfg->listen.admin) ||
        same_addr(&cfg->listen.proxy, &cfg->listen.admin))
        config_report_line(l, false, 0, "listen: two listeners have the same address and port");
    if ((cfg->listen.tls_cert[0] == '\0') != (cfg->listen.tls_key[0] == '\0'))
        config_report_line(l, false, 0, "listen.tls: needs both cert and key");
    if (!cfg->auth.required && is_wide_open(&cfg->listen.gateway))
        config_report_line(l, true, 0,
                           "auth.required: false lets everyone who reaches the gateway "
                           "port use the providers' keys");
    if (cfg->auth.required && is_wide_open(&cfg->listen.gateway) && cfg->listen.tls_cert[0] == '\0')
        config_report_line(l, true, 0,
                           "listen.gateway: keys and prompts travel unencrypted: set "
                           "listen.tls, or put a TLS proxy in front");
    if (cfg->intercept.auth == PROXY_AUTH_NONE && is_wide_open(&cfg->listen.proxy))
        config_report_line(l, true, 0,
                           "listen.proxy: everyone who reaches it can use it: set "
                           "intercept.auth: keys");
    if (is_wide_open(&cfg->listen.admin))
        config_report_line(l, true, 0,
                           "listen.admin: metrics are readable for everyone who reaches "
                           "it");
}

static void check_numbers(struct config_load *l)
{
    const struct proxy_config *cfg = l->cfg;

    if (cfg->complexity.moderate_from > cfg->complexity.complex_from)
        config_report_line(l, false, 0, "complexity: moderate_from must not be above complex_from");
    if (cfg->audit.segment > cfg->audit.max_spool / 2)
        config_report_line(l, false, 0, "audit: segment must be at most half of max_spool");
    if (cfg->audit.payload_keep_ms != 0 && cfg->audit.payload_keep_ms < 86400000)
        config_report_line(l, false, 0, "audit.payload_keep: at least a day (1d), or 0");
    if (cfg->audit.witness_url[0] != '\0' && strncmp(cfg->audit.witness_url, "https://", 8) != 0 &&
        strncmp(cfg->audit.witness_url, "http://127.0.0.1:", 17) != 0)
        config_report_line(l, false, 0, "audit.witness.url: begins with https://");
    if (cfg->audit.kafka_brokers[0] != '\0' && cfg->audit.kafka_topic[0] == '\0')
        config_report_line(l, false, 0, "audit.kafka: brokers need a topic");
    if (cfg->dlp.rules.n == 0)
        config_report_line(l, false, 0, "dlp.rules: names no rules: nothing would be found");
}

void config_finish(struct config_load *l)
{
    derive(l);
    check_targets(l);
    check_listen(l);
    check_egress(l);
    config_check_auth(l);
    config_check_sinks(l);
    check_numbers(l);
    config_check_payload(l);
    config_build_budgets(l);
    if (l->no_memory)
        return;
    config_build_policy(l);
    config_build_prices(l);
}

/* ---- files ----------------------------------------------------------------------------------- */

struct file_check {
    proxy_config_report_fn report;
    void *ctx;
    unsigned n;
};

static void missing(struct file_check *fc, const char *key, const char *path, const char *hint)
{
    char text[600];

    (void)snprintf(text, sizeof(text), "%s: %s: %s%s%s", key, path, strerrordesc_np(errno),
                   hint[0] == '\0' ? "" : ": ", hint);
    fc->n++;
    if (fc->report != NULL)
        fc->report(fc->ctx, false, text);
}

static void need_file(struct file_check *fc, const char *key, const char *path, const char *hint)
{
    if (path[0] != '\0' && access(path, R_OK) != 0)
        missing(fc, key, path, hint);
}

/* The folder of an engine's Medusa heads, and what must be in it. */
static void need_heads(struct file_check *fc, const struct proxy_config_target *t)
{
    char key[100], path[4096];

    (void)snprintf(key, sizeof(key), "targets.%s.medusa", t->name);
    if (t->medusa[0] == '\0')
        return;
    if (snprintf(path, sizeof(path), "%s/medusa_lm_head.safetensors", t->medusa) >=
            (int)sizeof(path) ||
        access(path, R_OK) != 0)
        missing(fc, key, t->medusa,
                "it is a folder with medusa_lm_head.safetensors (docs/engine.md)");
}

/* A folder or file that is there must be writable; one that is not needs a parent that is. */
static void need_folder(struct file_check *fc, const char *key, const char *path)
{
    char parent[4096];
    char *slash;

    if (access(path, F_OK) == 0) {
        if (access(path, W_OK) != 0)
            missing(fc, key, path, "the gateway must be able to write there");
        return;
    }
    (void)snprintf(parent, sizeof(parent), "%s", path);
    while ((slash = strrchr(parent, '/')) != NULL && slash != parent) {
        *slash = '\0';
        if (access(parent, F_OK) == 0)
            break;
    }
    if (slash == parent)
        (void)snprintf(parent, sizeof(parent), "/");
    else if (slash == NULL)
        (void)snprintf(parent, sizeof(parent), ".");
    if (access(parent, W_OK | X_OK) != 0)
        missing(fc, key, path, "it cannot be made there");
}

static void need_auditor(struct file_check *fc, const char *path)
{
    char fault[512], text[600];

    if (config_auditor_fault(path, fault, sizeof(fault)) == NULL)
        return;
    (void)snprintf(text, sizeof(text), "audit.auditor_key: %s", fault);
    fc->n++;
    if (fc->report != NULL)
        fc->report(fc->ctx, false, text);
}

unsigned proxy_config_check_files(const struct proxy_config *cfg, proxy_config_report_fn report,
                                  void *ctx)
{
    struct file_check fc = {report, ctx, 0};

    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *t = &cfg->targets[i];
        char key[100];

        (void)snprintf(key, sizeof(key), "targets.%s.%s", t->name,
                       t->kind == PROXY_TARGET_ENGINE ? "model" : "ca");
        if (t->kind == PROXY_TARGET_ENGINE) {
            need_file(&fc, key, t->model, "get it with `sluice models pull`");
            (void)snprintf(key, sizeof(key), "targets.%s.draft", t->name);
            need_file(&fc, key, t->draft, "get it with `sluice models pull`");
            need_heads(&fc, t);
        } else {
            need_file(&fc, key, t->ca, "");
        }
    }
    need_file(&fc, "listen.tls.cert", cfg->listen.tls_cert, "");
    need_file(&fc, "listen.tls.key", cfg->listen.tls_key, "");
    need_file(&fc, "listen.tls.client_ca", cfg->listen.client_ca, "");
    need_file(&fc, "listen.tls.client_crl", cfg->listen.client_crl, "");
    for (unsigned i = 0; i < cfg->auth.n_jwt; i++) {
        need_file(&fc, "auth.jwt[].ca", cfg->auth.jwt[i].ca, "");
        if (strstr(cfg->auth.jwt[i].jwks, "://") == NULL)
            need_file(&fc, "auth.jwt[].jwks", cfg->auth.jwt[i].jwks, "");
    }
    need_auditor(&fc, cfg->audit.auditor_key);
    for (unsigned i = 0; i < cfg->audit.n_sinks; i++) {
        const struct proxy_config_sink *k = &cfg->audit.sinks[i];
        char key[100];

        (void)snprintf(key, sizeof(key), "audit.sinks[%s].path", k->name);
        if (k->path[0] != '\0')
            need_folder(&fc, key, k->path);
        need_file(&fc, "audit.sinks[].ca", k->ca, "");
        need_file(&fc, "audit.sinks[].cert", k->cert, "");
        need_file(&fc, "audit.sinks[].cert_key", k->cert_key, "");
    }
    need_file(&fc, "intercept.upstream_ca", cfg->intercept.upstream_ca, "");
    for (unsigned i = 0; i < cfg->dlp.rules.n; i++)
        if (!gw_span_is(cfg->dlp.rules.items[i], "builtin"))
            need_file(&fc, "dlp.rules", cfg->dlp.rules.items[i].ptr, "");
    need_folder(&fc, "state_dir", cfg->state_dir);
    need_folder(&fc, "audit.spool", cfg->audit.spool);
    return fc.n;
}
