/* proxy/sink/syslog.c - see syslog.h.
 *
 * Syslog has no acknowledgement. So each batch has a connection of its own, and counts as delivered when the receiver, told
 * that this was all, has closed its side too: then it has read to the end. One that dies before gets the batch again. */
#include "proxy/sink/syslog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/sink/oneway.h"

struct syslog {
    struct oneway *wire;
    struct syslog_head head;
    char *host;
    struct gw_buf bytes;
};

static enum sink_end syslog_deliver(void *self, struct sink_call *call)
{
    struct syslog *s = self;
    enum sink_end end;

    gw_buf_clear(&s->bytes);
    for (unsigned i = 0; i < call->n; i++)
        syslog_write(&s->head, &call->records[i], &s->bytes);
    if (!gw_buf_ok(&s->bytes)) {
        gw_buf_fini(&s->bytes);
        (void)snprintf(call->why, sizeof(call->why), "out of memory");
        return SINK_CONNECT;
    }
    end = oneway_send(s->wire, gw_buf_span(&s->bytes), call);
    for (unsigned i = 0; end == SINK_DONE && i < call->n; i++)
        call->records[i].fate = SINK_TAKEN;
    return end;
}

enum sink_end syslog_probe(void *self, struct sink_call *call)
{
    struct syslog *s = self;

    return oneway_send(s->wire, GW_SPAN(""), call);
}

static void syslog_close(void *self)
{
    struct syslog *s = self;

    if (s == NULL)
        return;
    oneway_free(s->wire);
    gw_buf_fini(&s->bytes);
    free(s->host);
    free(s);
}

enum gw_status syslog_make(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                           struct audit_sink *out, struct gw_err *err)
{
    static const struct sink_ops ops = {syslog_deliver, NULL, syslog_close};
    const struct oneway_config wc = {.host = k->host,
                                     .port = k->port,
                                     .tls = k->tls,
                                     .ca = k->ca,
                                     .cert = k->cert,
                                     .cert_key = k->cert_key,
                                     .timeout_ms = (unsigned)k->timeout_ms};
    struct syslog *s = calloc(1, sizeof(*s));
    struct gw_err why;
    enum gw_status st = GW_ENOMEM;

    if (s == NULL || (s->host = strdup(cfg->instance)) == NULL)
        (void)gw_fail(&why, st, "out of memory");
    else
        st = oneway_new(&wc, &s->wire, &why);
    if (st != GW_OK) {
        syslog_close(s);
        return gw_fail(err, st, "audit.sinks: %s: %s", k->name, why.text);
    }
    s->head = (struct syslog_head){k->facility, s->host, (unsigned)getpid(), k->max_message};
    out->ops = &ops;
    out->self = s;
    return GW_OK;
}
