/* proxy/tls/leaf.c - mints and caches leaf certificates (RFC 5280). One lock around the cache: minting takes tens of
 * microseconds, and each name is minted once a day and a half. Any thread. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "proxy/tls/ca.h"
#include "proxy/tls/x509.h"

enum { BUCKETS = 4096 };

struct leaf {
    struct leaf *chain;         /* same bucket */
    struct leaf *newer, *older; /* by last use */
    X509 *cert;
    uint64_t renew_ns; /* half of its life is over */
    unsigned bucket;
    char host[256];
};

struct leaf_mint {
    pthread_mutex_t lock;
    X509 *ca;
    EVP_PKEY *ca_key, *leaf_key;
    SSL_CTX *ctx;
    struct leaf *buckets[BUCKETS];
    struct leaf *newest, *oldest;
    unsigned n;
};

/* What may stand behind "DNS:" or "IP:": nothing that OpenSSL would read as a second name. */
static bool is_name(const char *host)
{
    size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:");

    return n != 0 && host[n] == '\0';
}

static X509 *mint(const struct leaf_mint *m, const char *host)
{
    struct in6_addr any;
    bool is_ip = inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
    char san[300];
    X509 *cert = is_name(host) && (is_ip || strchr(host, ':') == NULL)
                     ? x509_new(m->leaf_key, LEAF_DAYS)
                     : NULL;

    if (cert == NULL)
        return NULL;
    (void)snprintf(san, sizeof(san), "%s:%s", is_ip ? "IP" : "DNS", host);
    if (!x509_set_subject(cert, host) ||
        X509_set_issuer_name(cert, X509_get_subject_name(m->ca)) != 1 ||
        !x509_add_ext(cert, m->ca, NID_basic_constraints, "critical,CA:FALSE") ||
        !x509_add_ext(cert, m->ca, NID_key_usage, "critical,digitalSignature") ||
        !x509_add_ext(cert, m->ca, NID_ext_key_usage, "serverAuth") ||
        !x509_add_ext(cert, m->ca, NID_subject_key_identifier, "hash") ||
        !x509_add_ext(cert, m->ca, NID_authority_key_identifier, "keyid") ||
        !x509_add_ext(cert, m->ca, NID_subject_alt_name, san) ||
        X509_sign(cert, m->ca_key, EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* ---- the cache, under the lock -------------------------------------------------------------- */

static unsigned bucket_of(const char *host)
{
    unsigned h = 2166136261u;

    for (; *host != '\0'; host++)
        h = (h ^ (unsigned char)*host) * 16777619u;
    return h % BUCKETS;
}

static void unlink_use(struct leaf_mint *m, struct leaf *l)
{
    if (l->newer != NULL)
        l->newer->older = l->older;
    else
        m->newest = l->older;
    if (l->older != NULL)
        l->older->newer = l->newer;
    else
        m->oldest = l->newer;
}

static void link_newest(struct leaf_mint *m, struct leaf *l)
{
    l->newer = NULL;
    l->older = m->newest;
    if (m->newest != NULL)
        m->newest->newer = l;
    m->newest = l;
    if (m->oldest == NULL)
        m->oldest = l;
}

static void drop(struct leaf_mint *m, struct leaf *l)
{
    struct leaf **at = &m->buckets[l->bucket];

    while (*at != l)
        at = &(*at)->chain;
    *at = l->chain;
    unlink_use(m, l);
    m->n--;
    X509_free(l->cert);
    free(l);
}

static struct leaf *add(struct leaf_mint *m, const char *host, unsigned bucket)
{
    struct leaf *l = calloc(1, sizeof(*l));

    if (l == NULL || snprintf(l->host, sizeof(l->host), "%s", host) >= (int)sizeof(l->host)) {
        free(l);
        return NULL;
    }
    l->cert = mint(m, host);
    if (l->cert == NULL) {
        free(l);
        return NULL;
    }
    if (m->n == LEAF_CACHE_MAX)
        drop(m, m->oldest);
    l->bucket = bucket;
    l->renew_ns = gw_clock_ns() + (uint64_t)LEAF_DAYS * 43200 * GW_NS_PER_SEC;
    l->chain = m->buckets[bucket];
    m->buckets[bucket] = l;
    link_newest(m, l);
    m->n++;
    return l;
}

static struct leaf *get(struct leaf_mint *m, const char *host)
{
    unsigned bucket = bucket_of(host);
    struct leaf *l = m->buckets[bucket];

    while (l != NULL && strcmp(l->host, host) != 0)
        l = l->chain;
    if (l != NULL && gw_clock_ns() >= l->renew_ns) {
        drop(m, l);
        l = NULL;
    }
    if (l == NULL)
        return add(m, host, bucket);
    unlink_use(m, l);
    link_newest(m, l);
    return l;
}

/* ---- public ----------------------------------------------------------------------------- */

/* http/1.1 only: h2 is not built in, and a client that insists on it must learn that now. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* No tickets, no session cache: a resumed session must not cross names. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    return ctx;
}

enum gw_status leaf_mint_open(const char *dir, struct leaf_mint **out, struct gw_err *err)
{
    X509 *ca;
    EVP_PKEY *ca_key;
    struct leaf_mint *m;

    *out = NULL;
    GW_TRY(x509_load_ca(dir, &ca, &ca_key, err));
    if (ca == NULL) {
        gw_log(GW_LOG_WARN, "no_ca",
               "dir=\"%.200s\" hint=\"hosts to bump are denied until sluice ca init made a CA\"",
               dir);
        return GW_OK;
    }
    m = calloc(1, sizeof(*m));
    if (m == NULL) {
        X509_free(ca);
        EVP_PKEY_free(ca_key);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    m->ca = ca;
    m->ca_key = ca_key;
    m->leaf_key = EVP_EC_gen("P-256");
    m->ctx = make_ctx();
    if (m->leaf_key == NULL || m->ctx == NULL) {
        leaf_mint_close(m);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    *out = m;
    return GW_OK;
}

void leaf_mint_close(struct leaf_mint *m)
{
    if (m == NULL)
        return;
    while (m->newest != NULL)
        drop(m, m->newest);
    SSL_CTX_free(m->ctx);
    X509_free(m->ca);
    EVP_PKEY_free(m->ca_key);
    EVP_PKEY_free(m->leaf_key);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

struct ssl_st *leaf_mint_ssl(struct leaf_mint *m, const char *host)
{
    SSL *ssl = NULL;
    struct leaf *l;

    (void)pthread_mutex_lock(&m->lock);
    l = get(m, host);
    if (l != NULL) {
        ssl = SSL_new(m->ctx);
        if (ssl != NULL &&
            (SSL_use_certificate(ssl, l->cert) != 1 || SSL_use_PrivateKey(ssl, m->leaf_key) != 1)) {
            SSL_free(ssl);
            ssl = NULL;
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
    return ssl;
}
