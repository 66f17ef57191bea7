/* proxy/tls/tls.c - OpenSSL contexts with the settings every connection shares. */
#include "proxy/tls/tls.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static enum gw_status openssl_fail(struct gw_err *err, enum gw_status code, const char *what,
                                   const char *name)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return gw_fail(err, code, "%s %s: %s", what, name, why == NULL ? "unknown error" : why);
}

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* Buffers of idle connections are given back: 34 KiB each. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

/* OpenSSL reads the extensions of a certificate when it first meets it, under a lock, and many loops meet those of the store. Here
 * nobody waits yet. */
static void read_extensions(SSL_CTX *ctx)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

        if (cert != NULL)
            (void)X509_check_purpose(cert, -1, 0);
    }
}

enum gw_status tls_client_ctx(const char *ca, struct ssl_ctx_st **out, struct gw_err *err)
{
    SSL_CTX *ctx = new_ctx(TLS_client_method());
    static const unsigned char alpn[] = "\x08http/1.1";

    if (ctx == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1);
    if (ca[0] == '\0' ? SSL_CTX_set_default_verify_paths(ctx) != 1
                      : SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
        SSL_CTX_free(ctx);
        return openssl_fail(err, GW_EIO, "cannot read trusted certificates",
                            ca[0] == '\0' ? "of the system" : ca);
    }
    read_extensions(ctx);
    *out = ctx;
    return GW_OK;
}

enum gw_status tls_server_ctx(const char *cert, const char *key, struct ssl_ctx_st **out,
                              struct gw_err *err)
{
    SSL_CTX *ctx = new_ctx(TLS_server_method());
    enum gw_status st = GW_OK;

    if (ctx == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    (void)SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        st = openssl_fail(err, GW_EIO, "cannot read the certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        st = openssl_fail(err, GW_EIO, "cannot read the private key", key);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        st = openssl_fail(err, GW_EINVAL,
                          "the private key does not belong to the certificate:", key);
    if (st != GW_OK) {
        SSL_CTX_free(ctx);
        return st;
    }
    *out = ctx;
    return GW_OK;
}

enum gw_status tls_server_clients(struct ssl_ctx_st *ctx, const char *ca, const char *crl,
                                  bool required, struct gw_err *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup;

    if (names == NULL || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return openssl_fail(err, GW_EIO, "cannot read the CAs of client certificates", ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes them */
    if (crl[0] != '\0') {
        lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == NULL || X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) < 1)
            return openssl_fail(err, GW_EIO, "cannot read the revocation lists", crl);
        (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    read_extensions(ctx);
    (void)SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    /* A resumed session would bring a certificate that nobody has looked at since, revoked or not. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return GW_OK;
}

void tls_ctx_free(struct ssl_ctx_st *ctx)
{
    SSL_CTX_free(ctx);
}

struct ssl_st *tls_client_new(struct ssl_ctx_st *ctx, const char *host)
{
    SSL *ssl = SSL_new(ctx);
    struct in6_addr any;
    bool is_ip = inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;

    if (ssl == NULL)
        return NULL;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1
              : (SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

void tls_why_code(struct ssl_st *ssl, unsigned long code, char *out, size_t size)
{
    long verify = ssl == NULL ? X509_V_OK : SSL_get_verify_result(ssl);
    const char *why = code == 0 ? NULL : ERR_reason_error_string(code);

    if (verify != X509_V_OK)
        (void)snprintf(out, size, "certificate: %s", X509_verify_cert_error_string(verify));
    else
        (void)snprintf(out, size, "%s", why == NULL ? "the connection was closed" : why);
}
