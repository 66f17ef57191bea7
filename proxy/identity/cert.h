/* proxy/identity/cert.h - the names in a client certificate that OpenSSL has verified. */
#ifndef PROXY_CERT_H
#define PROXY_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "proxy/config/config.h"

struct x509_st;

enum { CERT_MAX_NAMES = 32, CERT_MAX_TEXT = 256 };

struct cert_names {
    struct gw_span *items;
    unsigned n;
};
struct cert {
    struct cert_names names[PROXY_CERT_FIELDS]; /* by PROXY_CERT_CN, ... */
    struct cert_names org, unit;
    struct gw_span id;  /* "mtls:" and the SHA-256 of the certificate, cut to 32 digits */
    int64_t expires_ms; /* wall clock */
};

/* Reads the names into the arena. Names with NUL or control bytes, or above CERT_MAX_TEXT, are left out: no pattern may
 * match half of one. False when out of memory or when the certificate cannot be read. */
bool cert_read(struct x509_st *x, struct gw_arena *arena, struct cert *out);

#endif
