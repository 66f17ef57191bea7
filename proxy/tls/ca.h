/* proxy/tls/ca.h - the interception CA: made once, then it signs leaf certificates for exactly one name each.
 *
 * Invariants: (L1) a leaf has exactly the SNI as its only subject alternative name; (L2) one P-256 key per process
 * for all leaves, made at start, never written; (L3) the CA key is read once at start, mode 0600 or refused;
 * (L4) at most LEAF_CACHE_MAX leaves are kept. Thread: leaf_mint_get() any; the others the main thread. */
#ifndef PROXY_CA_H
#define PROXY_CA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { LEAF_CACHE_MAX = 10000, LEAF_DAYS = 3 };

struct ssl_ctx_st;
struct ssl_st;
struct leaf_mint;

/* Reads ca.pem and ca.key of dir. Without them *out is NULL and GW_OK is returned: hosts to bump are denied, and the
 * log says `sluice ca init`. GW_EIO, GW_EDENIED (the key's mode), GW_EINVAL (they do not belong together). */
enum gw_status leaf_mint_open(const char *dir, struct leaf_mint **out, struct gw_err *err);
void leaf_mint_close(struct leaf_mint *m); /* m may be NULL */

/* A server connection that shows a certificate for exactly host (a lower-case name or an IP address), from the cache
 * or minted now. NULL: out of memory or host is no name. The caller owns it. */
struct ssl_st *leaf_mint_ssl(struct leaf_mint *m, const char *host);

/* `sluice ca init`: makes ca.pem (10 years, CA:TRUE, pathlen 0) and ca.key (mode 0600) in dir. GW_EEXIST when they are
 * there: a CA is never overwritten. */
enum gw_status ca_init(const char *dir, const char *name, struct gw_err *err);

/* The CA certificate as PEM, in a buffer the caller frees with free(). GW_ENOENT with what to do. */
enum gw_status ca_read(const char *dir, char **pem, size_t *len, struct gw_err *err);

#endif
