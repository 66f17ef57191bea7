/* proxy/net/conn_cert.c - the client certificate of a connection, read once. Worker's thread. */
#include <openssl/ssl.h>

#include "proxy/identity/cert.h"
#include "proxy/net/conn.h"
#include "proxy/net/conn_private.h"
#include "proxy/net/wire.h"

enum { MAX_ARENA = 64 * 1024 };

const struct cert *conn_certificate(struct conn *c)
{
    SSL *ssl = c->fixed_host != NULL ? NULL : wire_ssl(c->wire);
    X509 *x = ssl == NULL ? NULL : SSL_get0_peer_certificate(ssl);
    struct cert *cert;

    if (c->cert_looked)
        return c->cert;
    c->cert_looked = true;
    /* Asked for and verified: in no other mode is there a certificate, but one line more is cheap. */
    if (x == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    c->arena = gw_arena_new(MAX_ARENA);
    cert = c->arena == NULL ? NULL : gw_arena_alloc(c->arena, sizeof(*cert));
    if (cert != NULL && cert_read(x, c->arena, cert))
        c->cert = cert;
    return c->cert;
}
