/* proxy/net/upstream_head.h - whom a request goes to, and the head it gets there. For upstream.c. */
#ifndef PROXY_UPSTREAM_HEAD_H
#define PROXY_UPSTREAM_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/config/config.h"
#include "proxy/provider/provider.h"

struct req;
struct ssl_ctx_st;

/* The other end of an attempt. Pointers belong to the configuration or the request's connection. */
struct upstream_peer {
    unsigned target;        /* REQ_NO_TARGET: intercepted */
    unsigned endpoint, key; /* of the target */
    const char *host;
    uint16_t port;
    struct ssl_ctx_st *tls; /* NULL: plain */
    const struct proxy_config_resolves *resolve;
    bool public_only;
    const struct proxy_config_nets *allow;
    int64_t connect_ms, first_byte_ms, idle_ms;
    const struct proxy_config_egress *via;
    unsigned max_idle; /* connections of this peer that wait in the pool, per worker */
};

void upstream_peer_of(const struct req *req, unsigned endpoint, unsigned key,
                      struct upstream_peer *out);

/* What the request's current attempt asks of its target (not for intercepted requests), at its first endpoint and with its
 * first key. Spans are the request's. */
void upstream_call_of(const struct req *req, struct provider_call *out);

/* Writes the request line and fields: the target's line and own fields (provider.h), our framing and Host, the client's
 * end-to-end fields without what is named in Connection. On the gateway port the client's credentials are dropped;
 * intercepted requests keep their line and credentials. Errors as provider_write_fields(). */
enum gw_status upstream_write_head(const struct req *req, const struct upstream_peer *peer,
                                   size_t body_len, struct gw_buf *out, struct gw_err *err);

#endif
