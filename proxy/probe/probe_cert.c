/* proxy/probe/probe_cert.c - certificate files: until when, whose key, and whether the chain holds together. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "proxy/probe/probe.h"
#include "proxy/tls/tls.h"

enum { MAX_CHAIN = 16 };

static bool days_left(const X509 *cert, int *days)
{
    int seconds;

    return ASN1_TIME_diff(days, &seconds, NULL, X509_get0_notAfter(cert)) == 1;
}

bool probe_pem_days(const char *pem, size_t len, int *days)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool ok = cert != NULL && days_left(cert, days);

    X509_free(cert);
    (void)BIO_free(bio);
    ERR_clear_error();
    return ok;
}

void probe_expiry(struct probe_row *row, int days)
{
    size_t n = strlen(row->found);

    (void)snprintf(row->found + n, sizeof(row->found) - n,
                   days >= 0 ? "%scertificate for %d days" : "%scertificate expired %d days ago",
                   n == 0 ? "" : ", ", days >= 0 ? days : -days);
    if (days < 0)
        probe_bad(row, PROBE_FAIL, "the certificate has expired: renew it, then reload");
    else if (days < PROBE_SOON_DAYS)
        probe_bad(row, PROBE_WARN, "the certificate ends soon: renew it, then reload");
}

/* Reads the certificates of a PEM file. Returns how many. */
static unsigned read_chain(const char *path, X509 *chain[MAX_CHAIN])
{
    FILE *f = fopen(path, "re");
    unsigned n = 0;

    while (f != NULL && n < MAX_CHAIN && (chain[n] = PEM_read_X509(f, NULL, NULL, NULL)) != NULL)
        n++;
    if (f != NULL)
        (void)fclose(f);
    ERR_clear_error();
    return n;
}

static void free_chain(X509 *chain[MAX_CHAIN], unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        X509_free(chain[i]);
}

/* The certificate that is shown: all of its chain must be valid, and each signed by the next. */
static void judge_chain(struct probe_row *row, X509 *const chain[MAX_CHAIN], unsigned n)
{
    int least = 0, days;

    for (unsigned i = 0; i < n; i++) {
        if (days_left(chain[i], &days) && (i == 0 || days < least))
            least = days;
        if (i + 1 < n && X509_check_issued(chain[i + 1], chain[i]) != X509_V_OK)
            probe_bad(row, PROBE_FAIL,
                      "certificate %u of the file is not signed by the next one: leaf first, then "
                      "its issuers",
                      i + 1);
    }
    (void)snprintf(row->found, sizeof(row->found), "%u certificate%s", n, n == 1 ? "" : "s");
    probe_expiry(row, least);
    if (n == 1 && X509_check_issued(chain[0], chain[0]) == X509_V_OK)
        probe_bad(row, PROBE_WARN, "it is signed by itself: clients must be told to trust it");
    else if (n == 1)
        probe_bad(row, PROBE_WARN,
                  "the file has no intermediate certificates: most clients need them");
}

static void probe_listener(const struct proxy_config *cfg, struct probe_report *r)
{
    struct probe_row *row = probe_row(r, "listen.tls");
    X509 *chain[MAX_CHAIN];
    unsigned n = read_chain(cfg->listen.tls_cert, chain);
    struct ssl_ctx_st *ctx = NULL;
    struct gw_err err = {0};

    if (row == NULL) {
        free_chain(chain, n);
        return;
    }
    if (n != 0)
        judge_chain(row, chain, n);
    if (tls_server_ctx(cfg->listen.tls_cert, cfg->listen.tls_key, &ctx, &err) != GW_OK) {
        (void)snprintf(row->found, sizeof(row->found), "%.230s", err.text);
        probe_bad(
            row, PROBE_FAIL,
            "listen.tls.cert and listen.tls.key must be readable PEM files that belong together");
    }
    tls_ctx_free(ctx);
    free_chain(chain, n);
}

/* A file of trusted certificates: expired ones are trusted no more. */
static void probe_trust(struct probe_report *r, const char *key, const char *path)
{
    struct probe_row *row = probe_row(r, "%s", key);
    unsigned n = 0, n_expired = 0;
    int days, least = 0;
    FILE *f = fopen(path, "re");
    X509 *cert;

    while (f != NULL && (cert = PEM_read_X509(f, NULL, NULL, NULL)) != NULL) {
        if (days_left(cert, &days)) {
            n_expired += days < 0;
            least = n == 0 || days < least ? days : least;
        }
        n++;
        X509_free(cert);
    }
    if (f != NULL)
        (void)fclose(f);
    ERR_clear_error();
    if (row == NULL)
        return;
    (void)snprintf(row->found, sizeof(row->found), "%u trusted certificates", n);
    if (n == 0)
        probe_bad(row, PROBE_FAIL, "%.150s holds no certificate in PEM that can be read", path);
    else if (n_expired == n)
        probe_bad(row, PROBE_FAIL, "all of them have expired: get the issuer's new one");
    else if (n_expired != 0)
        probe_bad(row, PROBE_WARN, "%u of them have expired", n_expired);
    else if (least < PROBE_SOON_DAYS)
        probe_bad(row, PROBE_WARN, "one of them ends in %d days", least);
}

static void probe_interception(const struct proxy_config *cfg, struct probe_report *r)
{
    struct probe_row *row = probe_row(r, "intercept.ca_dir");
    X509 *chain[MAX_CHAIN];
    char path[4096];
    unsigned n;
    int days;

    (void)snprintf(path, sizeof(path), "%.4000s/ca.pem", cfg->intercept.ca_dir);
    n = read_chain(path, chain);
    if (row != NULL && n == 0) {
        (void)snprintf(row->found, sizeof(row->found), "there is no CA: hosts to bump are denied");
        probe_bad(row, PROBE_WARN, "`sluice ca init` makes one; or set listen.proxy: off");
    } else if (row != NULL && days_left(chain[0], &days)) {
        probe_expiry(row, days);
    }
    free_chain(chain, n);
}

void probe_certificates(const struct proxy_config *cfg, struct probe_report *r)
{
    char key[96];

    if (cfg->listen.tls_cert[0] != '\0')
        probe_listener(cfg, r);
    if (cfg->listen.client_ca[0] != '\0')
        probe_trust(r, "listen.tls.client_ca", cfg->listen.client_ca);
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        (void)snprintf(key, sizeof(key), "targets.%s.ca", cfg->targets[i].name);
        if (cfg->targets[i].kind != PROXY_TARGET_ENGINE && cfg->targets[i].ca[0] != '\0')
            probe_trust(r, key, cfg->targets[i].ca);
    }
    if (cfg->listen.proxy.off)
        return;
    probe_interception(cfg, r);
    if (cfg->intercept.upstream_ca[0] != '\0')
        probe_trust(r, "intercept.upstream_ca", cfg->intercept.upstream_ca);
}
