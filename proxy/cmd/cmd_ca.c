/* proxy/cmd/cmd_ca.c - `sluice ca`: make the interception CA and hand it to clients. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/config/config.h"
#include "proxy/tls/ca.h"

static const char usage[] =
    "usage: sluice ca init   [-c FILE | --dir DIR] [--name NAME]\n"
    "       sluice ca export [-c FILE | --dir DIR] [--bundle] [-o FILE]\n"
    "       sluice ca env    [-c FILE | --dir DIR] [--shell sh|fish|powershell]\n"
    "\n"
    "The CA signs certificates for the AI hosts that the proxy port intercepts. Its key never "
    "leaves DIR\n"
    "(mode 0600); clients must trust ca.pem.\n"
    "\n"
    "  init     makes ca.pem and ca.key, once; they are never overwritten\n"
    "  export   prints the certificate as PEM; --bundle: after the system's certificates, in one "
    "file, for\n"
    "           clients that take one file instead of a store (Python, requests, Java tools)\n"
    "  env      writes that bundle beside the CA and prints the lines that make curl, Node, "
    "Python, git, pip, Go,\n"
    "           AWS and Java use the proxy and trust the CA; and what to do for browsers\n"
    "\n"
    "examples:\n"
    "  sluice ca init --name 'Example Corp AI gateway'\n"
    "  eval \"$(sluice ca env)\"\n"
    "  sluice ca export > /usr/local/share/ca-certificates/sluice.crt && update-ca-certificates\n";

struct options {
    const char *config, *dir, *name, *out, *shell;
    bool bundle;
};

/* ---- bundle ----------------------------------------------------------------------------- */

/* Copies the system's certificates to f; false when none were found. */
static bool copy_system_store(FILE *f)
{
    static const char *const stores[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        FILE *in = fopen(stores[i], "re");
        char part[8192];
        size_t n;

        if (in == NULL)
            continue;
        while ((n = fread(part, 1, sizeof(part), in)) != 0)
            (void)fwrite(part, 1, n, f);
        (void)fclose(in);
        return true;
    }
    return false;
}

static int write_pem(const struct options *o, const char *path)
{
    struct gw_err err;
    char *pem;
    size_t len;
    FILE *f;
    bool failed;

    if (ca_read(o->dir, &pem, &len, &err) != GW_OK)
        return cli_fail_err("ca", &err);
    f = path == NULL ? stdout : fopen(path, "we");
    if (f == NULL) {
        free(pem);
        return cli_fail("ca", 1, "cannot write %s", path);
    }
    if (o->bundle && !copy_system_store(f))
        (void)cli_fail("ca", 0, "no system certificates found: the bundle holds our CA only");
    (void)fwrite(pem, 1, len, f);
    free(pem);
    failed = fflush(f) != 0 || ferror(f) != 0;
    if (path != NULL)
        failed |= fclose(f) != 0;
    return failed ? cli_fail("ca", 1, "cannot write %s", path == NULL ? "the output" : path) : 0;
}

/* ---- env -------------------------------------------------------------------------------- */

static void print_var(const char *shell, const char *name, const char *value)
{
    if (strcmp(shell, "fish") == 0)
        (void)printf("set -gx %s '%s'\n", name, value);
    else if (strcmp(shell, "powershell") == 0)
        (void)printf("$env:%s = '%s'\n", name, value);
    else
        (void)printf("export %s='%s'\n", name, value);
}

static int print_env(struct options *o, const char *proxy)
{
    static const char *const bundle_vars[] = {"SSL_CERT_FILE",  "REQUESTS_CA_BUNDLE",
                                              "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
                                              "PIP_CERT",       "AWS_CA_BUNDLE"};
    char bundle[4096], ca[4096], url[160];
    char dir[4096];
    int status;

    if (realpath(o->dir, dir) == NULL)
        return cli_fail("ca", 1, "%s: no such directory; make a CA with `sluice ca init`", o->dir);
    if (snprintf(bundle, sizeof(bundle), "%s/bundle.pem", dir) >= (int)sizeof(bundle) ||
        snprintf(ca, sizeof(ca), "%s/ca.pem", dir) >= (int)sizeof(ca))
        return cli_fail("ca", 1, "%s: the path is too long", o->dir);
    o->bundle = true;
    status = write_pem(o, bundle);
    if (status != 0)
        return status;
    (void)snprintf(url, sizeof(url), "http://%s", proxy);
    (void)printf("# curl, Python, Go, git and most tools: one file with the system's certificates "
                 "and ours\n");
    print_var(o->shell, "HTTPS_PROXY", url);
    print_var(o->shell, "https_proxy", url);
    print_var(o->shell, "NO_PROXY", "localhost,127.0.0.1,::1");
    for (size_t i = 0; i < sizeof(bundle_vars) / sizeof(bundle_vars[0]); i++)
        print_var(o->shell, bundle_vars[i], bundle);
    (void)printf(
        "# Node (read before start; 22.21 and newer take the proxy with the second line)\n");
    print_var(o->shell, "NODE_EXTRA_CA_CERTS", ca);
    print_var(o->shell, "NODE_USE_ENV_PROXY", "1");
    (void)printf("# Java: keytool -importcert -noprompt -alias sluice -file '%s' -cacerts\n", ca);
    (void)printf("# Firefox: Settings, Certificates, Import; or policies.json with "
                 "Certificates.Install: [\"%s\"]\n",
                 ca);
    (void)printf(
        "# Chromium on Linux: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n sluice -i '%s'\n", ca);
    (void)printf(
        "# Debian, Ubuntu, for all users: cp '%s' /usr/local/share/ca-certificates/sluice.crt && "
        "update-ca-certificates\n",
        ca);
    return 0;
}

/* ---- command line ----------------------------------------------------------------------- */

enum { OPT_DIR = 256, OPT_NAME, OPT_BUNDLE, OPT_SHELL };

static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"dir", required_argument, NULL, OPT_DIR},
                                          {"name", required_argument, NULL, OPT_NAME},
                                          {"bundle", no_argument, NULL, OPT_BUNDLE},
                                          {"shell", required_argument, NULL, OPT_SHELL},
                                          {"out", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int opt;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((opt = getopt_long(argc, argv, "c:o:h", longs, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case 'o':
            o->out = optarg;
            break;
        case OPT_DIR:
            o->dir = optarg;
            break;
        case OPT_NAME:
            o->name = optarg;
            break;
        case OPT_BUNDLE:
            o->bundle = true;
            break;
        case OPT_SHELL:
            o->shell = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("Try `sluice ca --help`.\n", stderr);
            return 2;
        }
    }
    if (strcmp(o->shell, "sh") != 0 && strcmp(o->shell, "fish") != 0 &&
        strcmp(o->shell, "powershell") != 0)
        return cli_fail("ca", 2, "--shell takes sh, fish or powershell");
    return -1;
}

static int run(const char *verb, struct options *o, const char *proxy)
{
    struct gw_err err;

    if (strcmp(verb, "export") == 0)
        return write_pem(o, o->out);
    if (strcmp(verb, "env") == 0)
        return print_env(o, proxy);
    if (ca_init(o->dir, o->name, &err) != GW_OK)
        return cli_fail_err("ca", &err);
    (void)printf("Made %s/ca.pem and %s/ca.key (keep the key where it is).\n"
                 "Now restart the gateway, and let clients trust it: sluice ca env\n",
                 o->dir, o->dir);
    return 0;
}

int cmd_ca(int argc, char **argv)
{
    struct options o = {.name = "Sluice interception CA", .shell = "sh"};
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    const char *verb = argc >= 2 ? argv[1] : "";
    int status;

    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (strcmp(verb, "init") != 0 && strcmp(verb, "export") != 0 && strcmp(verb, "env") != 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    status = parse_options(argc - 1, argv + 1, &o);
    if (status >= 0)
        return status;
    /* The configuration says where the CA lives and on which port the proxy listens. */
    if (proxy_config_load(o.config, PROXY_CONFIG_NO_SECRETS, &cfg, NULL, NULL, &err) != GW_OK)
        return cli_fail_err("ca", &err);
    if (o.dir == NULL)
        o.dir = cfg->intercept.ca_dir;
    status = run(verb, &o, cfg->listen.proxy.off ? "127.0.0.1:3128" : cfg->listen.proxy.text);
    proxy_config_free(cfg);
    return status;
}
