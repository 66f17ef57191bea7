/* proxy/sink/sink.h - the sinks that a configuration names, made for the audit (audit/sink.h), and tried out.
 *
 * Files and standard output are audit's own; what goes over the network is made here: Splunk, Elastic and plain webhooks
 * with libcurl, syslog with OpenSSL. Tokens are copied into memory that is wiped; no message holds one. */
#ifndef PROXY_SINK_H
#define PROXY_SINK_H

#include "audit/sink.h"
#include "proxy/config/config.h"

/* Makes all of them; out has room for PROXY_MAX_SINKS, audit_open() takes them over. Nothing is connected to yet. cfg
 * may go afterwards, once audit_open() has copied the names. Errors: GW_ENOMEM, GW_EIO (a certificate cannot be read); then none is left over. Once before threads
 * start. */
enum gw_status sinks_make(const struct proxy_config *cfg, struct audit_sink *out, unsigned *n,
                          struct gw_err *err);

/* What a receiver says to a question that changes nothing there. */
struct sink_probe {
    enum sink_end end; /* SINK_DONE: well */
    char found[160];
};

/* Asks one, for at most timeout_ms. Blocks; for commands. */
void sinks_probe(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                 unsigned timeout_ms, struct sink_probe *out);

#endif
