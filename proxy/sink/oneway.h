/* proxy/sink/oneway.h - one connection to a receiver that only listens: TCP by libcurl (names, addresses, time-outs), TLS by
 * OpenSSL. Blocks, but asks give_up() at least once a second. Thread: one. */
#ifndef PROXY_SINK_ONEWAY_H
#define PROXY_SINK_ONEWAY_H

#include "audit/sink.h"
#include "base/err.h"

struct oneway;

struct oneway_config {
    const char *host; /* a name or an address, IPv6 without brackets */
    uint16_t port;
    bool tls;
    const char *ca, *cert, *cert_key; /* PEM files, or "" */
    unsigned timeout_ms;              /* of everything between open and close */
};

/* Copies cfg and reads the certificates. GW_ENOMEM; GW_EIO: one of them cannot be read. */
enum gw_status oneway_new(const struct oneway_config *cfg, struct oneway **out, struct gw_err *err);
void oneway_free(struct oneway *w); /* w may be NULL */

/* Connects, sends all bytes, says that this was all, and waits until the receiver has closed too. SINK_DONE: it did, in order:
 * it has read everything. A receiver that has once said goodbye in TLS (close_notify) must always do so. Otherwise call->why
 * says what happened. bytes may be empty: then it is only tried out. */
enum sink_end oneway_send(struct oneway *w, struct gw_span bytes, struct sink_call *call);

#endif
