/* Unit tests of proxy/tls/ca.c, leaf.c and tls.c: what is minted, what is refused. */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "proxy/tls/ca.h"
#include "proxy/tls/tls.h"
#include "proxy/tls/x509.h"
#include "tests/files.h"
#include "tests/test.h"

static char dir[] = "/tmp/sluice-certs-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][128];
    static unsigned n;
    char *p = paths[n++ % 4];

    (void)snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
    return p;
}

static bool verifies(X509 *leaf, X509 *ca, const char *host, bool ip)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool ok = X509_STORE_add_cert(store, ca) == 1 &&
              X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1 &&
              (ip ? X509_VERIFY_PARAM_set1_ip_asc(X509_STORE_CTX_get0_param(ctx), host)
                  : X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), host, 0)) == 1 &&
              X509_verify_cert(ctx) == 1;

    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static int n_names(X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(names);

    GENERAL_NAMES_free(names);
    return n;
}

static void test_leaf(struct leaf_mint *m, X509 *ca)
{
    SSL *a = leaf_mint_ssl(m, "api.example.com"), *b = leaf_mint_ssl(m, "api.example.com");
    SSL *ip = leaf_mint_ssl(m, "2001:db8::1"), *v4 = leaf_mint_ssl(m, "192.0.2.7");
    char name[300];
    bool all = true;

    if (!CHECK(a != NULL && b != NULL && ip != NULL && v4 != NULL))
        return;
    CHECK(n_names(SSL_get_certificate(a)) == 1);
    CHECK(verifies(SSL_get_certificate(a), ca, "api.example.com", false));
    CHECK(!verifies(SSL_get_certificate(a), ca, "other.example.com", false));
    CHECK(verifies(SSL_get_certificate(ip), ca, "2001:db8::1", true));
    CHECK(verifies(SSL_get_certificate(v4), ca, "192.0.2.7", true));
    CHECK(SSL_get_certificate(a) == SSL_get_certificate(b)); /* from the cache */
    SSL_free(a);
    SSL_free(b);
    SSL_free(ip);
    SSL_free(v4);
    /* Nothing that OpenSSL would read as a second name or another kind of name. */
    CHECK(leaf_mint_ssl(m, "") == NULL);
    CHECK(leaf_mint_ssl(m, "a.test,DNS:bank.test") == NULL);
    CHECK(leaf_mint_ssl(m, "a.test:b") == NULL);
    CHECK(leaf_mint_ssl(m, "a test") == NULL);
    memset(name, 'a', sizeof(name));
    name[299] = '\0';
    CHECK(leaf_mint_ssl(m, name) == NULL);
    for (int i = 0; i < 300; i++) {
        SSL *s;

        (void)snprintf(name, sizeof(name), "host%d.example.com", i);
        s = leaf_mint_ssl(m, name);
        all &= s != NULL;
        SSL_free(s);
    }
    CHECK(all);
}

static void test_ca(void)
{
    struct leaf_mint *m = NULL;
    struct gw_err err;
    X509 *ca = NULL;
    EVP_PKEY *key = NULL;
    char other[160], *pem, *again;
    size_t len, len2;

    CHECK(leaf_mint_open(at("none"), &m, &err) == GW_OK && m == NULL);
    CHECK(ca_read(at("none"), &pem, &len, &err) == GW_ENOENT);
    CHECK(ca_init(at("ca"), "test", &err) == GW_OK);
    CHECK(ca_read(at("ca"), &pem, &len, &err) == GW_OK);
    CHECK(ca_init(at("ca"), "test", &err) == GW_EEXIST);
    CHECK(ca_read(at("ca"), &again, &len2, &err) == GW_OK);
    CHECK(len == len2 && memcmp(pem, again, len) == 0); /* never overwritten */
    free(pem);
    free(again);
    CHECK(x509_load_ca(at("ca"), &ca, &key, &err) == GW_OK);
    CHECK(leaf_mint_open(at("ca"), &m, &err) == GW_OK && m != NULL);
    test_leaf(m, ca);
    leaf_mint_close(m);
    X509_free(ca);
    EVP_PKEY_free(key);
    CHECK(chmod(at("ca/ca.key"), 0640) == 0);
    CHECK(leaf_mint_open(at("ca"), &m, &err) == GW_EDENIED && m == NULL);
    CHECK(chmod(at("ca/ca.key"), 0600) == 0);
    CHECK(ca_init(at("ca2"), "test", &err) == GW_OK);
    CHECK(rename(at("ca2/ca.key"), at("ca/ca.key")) == 0);
    CHECK(leaf_mint_open(at("ca"), &m, &err) == GW_EINVAL && m == NULL); /* mismatched */
    (void)snprintf(other, sizeof(other), "%s", at("ca2"));
    CHECK(leaf_mint_open(other, &m, &err) != GW_OK && m == NULL); /* no key */
}

static void test_contexts(void)
{
    struct ssl_ctx_st *ctx = NULL;
    struct gw_err err;

    CHECK(tls_client_ctx(at("missing.pem"), &ctx, &err) == GW_EIO && ctx == NULL);
    CHECK(strstr(err.text, "missing.pem") != NULL);
    CHECK(tls_server_ctx(at("missing.pem"), at("k"), &ctx, &err) == GW_EIO && ctx == NULL);
    CHECK(tls_server_ctx(at("ca/ca.pem"), at("missing"), &ctx, &err) == GW_EIO && ctx == NULL);
    CHECK(tls_server_ctx(at("ca/ca.pem"), at("ca/ca.key"), &ctx, &err) != GW_OK && ctx == NULL);
    CHECK(tls_client_ctx(at("ca/ca.pem"), &ctx, &err) == GW_OK && ctx != NULL);
    tls_ctx_free(ctx);
}

int main(void)
{
    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    test_ca();
    test_contexts();
    CHECK(test_remove_tree(dir));
    return test_done();
}
