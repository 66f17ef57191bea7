/* proxy/sink/syslog.h - records as syslog messages (RFC 5424) over TLS (RFC 5425), or over TCP on loopback (RFC 6587, octet
 * counting). */
#ifndef PROXY_SINK_SYSLOG_H
#define PROXY_SINK_SYSLOG_H

#include "audit/sink.h"
#include "base/buf.h"
#include "proxy/config/config.h"

/* What is the same in every message. */
struct syslog_head {
    unsigned facility;  /* 0 to 23 */
    const char *host;   /* HOSTNAME: the gateway's name; other than printable ASCII becomes '_' */
    unsigned pid;       /* PROCID */
    size_t max_message; /* bytes of a message, its length in front not counted */
};

/* Appends "LENGTH MESSAGE". MSGID is the record's event code, the text is its JSON; where that does not fit, it is cut between
 * characters and the structured data says cut="true" and how many bytes it had. Pure. */
void syslog_write(const struct syslog_head *h, const struct sink_record *r, struct gw_buf *out);

/* Fills in out's ops and self. GW_ENOMEM; GW_EIO: a certificate cannot be read. */
enum gw_status syslog_make(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                           struct audit_sink *out, struct gw_err *err);

/* Connects, shakes hands, parts. */
enum sink_end syslog_probe(void *self, struct sink_call *call);

#endif
