/* proxy/tls/tls.h - TLS contexts: verification is always on, and loading a trust store happens once.
 *
 * Contexts are made at start and shared by all workers (OpenSSL's are reference counted and may be read by
 * any thread). Loading a CA bundle costs milliseconds and most of a megabyte, so contexts that trust the
 * same file share one. */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

struct ssl_ctx_st;
struct ssl_st;

/* A client context that trusts the PEM file ca, or the system's store when ca is "". *out: release with
 * tls_ctx_free(). GW_EIO with the file's name. */
enum gw_status tls_client_ctx(const char *ca, struct ssl_ctx_st **out, struct gw_err *err);

/* A server context with a certificate chain and its key (PEM files). GW_EIO, GW_EINVAL when they do not
 * belong together. */
enum gw_status tls_server_ctx(const char *cert, const char *key, struct ssl_ctx_st **out,
                              struct gw_err *err);

/* Makes a server context ask clients for certificates and verify them: signed by a CA of the PEM file ca, for the use of a
 * client, and not in the revocation lists of the PEM file crl ("": none are asked for). required: no handshake without one.
 * A certificate that does not verify ends the handshake in any case. No session is resumed, so that each connection is
 * judged anew. GW_EIO with the file's name. */
enum gw_status tls_server_clients(struct ssl_ctx_st *ctx, const char *ca, const char *crl,
                                  bool required, struct gw_err *err);

void tls_ctx_free(struct ssl_ctx_st *ctx); /* may be NULL */

/* A client connection that will accept only a certificate valid for host (a name or an IP address) and
 * names it in SNI. NULL when out of memory. alpn_http1: offer http/1.1. */
struct ssl_st *tls_client_new(struct ssl_ctx_st *ctx, const char *host);

/* Why a handshake failed, for people: "certificate: hostname mismatch". code: the OpenSSL error. */
void tls_why_code(struct ssl_st *ssl, unsigned long code, char *out, size_t size);

#endif
