/* proxy/sink/sink.c - see sink.h. Which code a kind is. */
#include "proxy/sink/sink.h"

#include "proxy/sink/syslog.h"
#include "proxy/sink/web.h"

/* Fills in how a sink delivers. */
static enum gw_status make_one(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                               struct audit_sink *out, struct gw_err *err)
{
    switch ((enum proxy_sink_kind)k->kind) {
    case PROXY_SINK_STDOUT:
        return audit_sink_file(NULL, false, out, err);
    case PROXY_SINK_FILE:
        return audit_sink_file(k->path, k->sync, out, err);
    case PROXY_SINK_SPLUNK:
    case PROXY_SINK_ELASTIC:
    case PROXY_SINK_WEBHOOK:
        return web_make(cfg, k, out, err);
    case PROXY_SINK_SYSLOG:
        return syslog_make(cfg, k, out, err);
    default:
        return gw_fail(err, GW_EUNSUPPORTED, "audit.sinks: %s: unknown kind", k->name);
    }
}

enum gw_status sinks_make(const struct proxy_config *cfg, struct audit_sink *out, unsigned *n,
                          struct gw_err *err)
{
    static const char *const kinds[] = {"stdout", "file", "splunk", "elastic", "webhook", "syslog"};
    enum gw_status st = GW_OK;

    for (*n = 0; *n < cfg->audit.n_sinks; ++*n) {
        const struct proxy_config_sink *k = &cfg->audit.sinks[*n];

        out[*n] = (struct audit_sink){
            .name = k->name,
            .kind = kinds[k->kind],
            .classes = k->records,
            .yields = k->on_full != 0,
            .batch_bytes = k->batch_bytes,
            .batch_records = k->batch_records,
            .batch_ms = (unsigned)k->batch_ms,
        };
        st = make_one(cfg, k, &out[*n], err);
        if (st != GW_OK)
            break;
    }
    if (st != GW_OK)
        while (*n > 0) {
            --*n;
            if (out[*n].ops != NULL)
                out[*n].ops->close(out[*n].self);
        }
    return st;
}
