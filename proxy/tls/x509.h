/* proxy/tls/x509.h - making certificates, for ca.c and leaf.c. */
#ifndef PROXY_X509_H
#define PROXY_X509_H

#include <stdbool.h>

#include <openssl/types.h>

#include "base/err.h"

/* A certificate for key with a random 127-bit serial, valid from an hour ago for days. NULL: no memory. */
X509 *x509_new(EVP_PKEY *key, int days);

/* Sets CN, unless name is longer than the 64 characters X.520 allows. */
bool x509_set_subject(X509 *cert, const char *name);

bool x509_add_ext(X509 *cert, X509 *issuer, int nid, const char *value);

/* ca.pem and ca.key of dir; both NULL and GW_OK when there are none. */
enum gw_status x509_load_ca(const char *dir, X509 **cert, EVP_PKEY **key, struct gw_err *err);

#endif
