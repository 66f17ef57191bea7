/* proxy/probe/probe_sink.c - the receivers of `audit.sinks`. */
#include <stdio.h>

#include "proxy/probe/probe.h"
#include "proxy/sink/sink.h"

static void probe_one(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                      struct probe_report *r)
{
    struct probe_row *row = probe_row(r, "audit.sinks.%s", k->name);
    struct sink_probe p;

    if (row == NULL)
        return;
    sinks_probe(cfg, k, PROBE_TIMEOUT_S * 1000, &p);
    (void)snprintf(row->found, sizeof(row->found), "%s", p.found);
    switch (p.end) {
    case SINK_DONE:
        break;
    case SINK_DENIED:
        probe_bad(
            row, PROBE_FAIL,
            "the receiver refuses `token`, or the path of `url`, or the index: docs/sinks.md");
        break;
    case SINK_TLS:
        probe_bad(row, PROBE_FAIL,
                  "certificates: `ca` names the issuers to trust; the name must be that of the "
                  "certificate; `cert` and `cert_key` are ours");
        break;
    case SINK_BUSY:
    case SINK_SERVER:
        probe_bad(row, PROBE_WARN, "it is there but not well; records wait in the spool");
        break;
    case SINK_ANSWER:
        probe_bad(row, PROBE_FAIL, "something else answers there: see `url` and its port");
        break;
    case SINK_DISK:
        probe_bad(row, PROBE_FAIL, "the gateway's user must be able to write there");
        break;
    case SINK_CONNECT:
    case SINK_TIMEOUT:
    case SINK_REFUSED:
    case SINK_STOPPED:
    case SINK_ENDS:
    default:
        probe_bad(row, PROBE_FAIL,
                  "nothing answers: a firewall, the wrong port, or the receiver is down; records "
                  "wait in the spool");
        break;
    }
}

void probe_sinks(const struct proxy_config *cfg, struct probe_report *r)
{
    for (unsigned i = 0; i < cfg->audit.n_sinks; i++)
        probe_one(cfg, &cfg->audit.sinks[i], r);
}
