/* proxy/admin/metrics_sinks.c - see metrics_sinks.h. */
#include "proxy/admin/metrics_sinks.h"

#include <inttypes.h>

#include "audit/audit.h"
#include "audit/sink.h"
#include "proxy/admin/metrics_text.h"
#include "proxy/net/worker.h"

enum { MAX_ROWS = AUDIT_MAX_SINKS + 1 };

static void label(struct gw_buf *out, const char *name, const struct audit_sink_stats *row)
{
    gw_buf_printf(out, "sluice_%s{sink=\"%s\",kind=\"%s\"", name, row->name, row->kind);
}

/* One family: a figure of each sink. */
static void family(struct gw_buf *out, const struct audit_sink_stats *rows, unsigned n,
                   const char *name, const char *type, const char *help, size_t offset)
{
    metrics_head(out, name, type, help);
    for (unsigned i = 0; i < n; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&rows[i] + offset, sizeof(value));
        label(out, name, &rows[i]);
        gw_buf_printf(out, "} %" PRIu64 "\n", value);
    }
}

#define FIGURE(field) offsetof(struct audit_sink_stats, field)

void metrics_sinks_text(const struct server *s, struct gw_buf *out)
{
    struct audit_sink_stats rows[MAX_ROWS];
    unsigned n = audit_sink_stats(s->audit, rows, MAX_ROWS);

    if (n == 0)
        return;
    family(out, rows, n, "audit_sink_delivered_total", "counter", "Records a sink has taken.",
           FIGURE(delivered));
    family(out, rows, n, "audit_sink_undelivered", "gauge", "Records it has still to get.",
           FIGURE(undelivered));
    family(out, rows, n, "audit_sink_left_out_total", "counter", "Records it does not want.",
           FIGURE(left_out));
    family(out, rows, n, "audit_sink_dead_letters_total", "counter", "Records it will never take.",
           FIGURE(dead_letters));
    family(out, rows, n, "audit_sink_skipped_total", "counter", "Records deleted before it.",
           FIGURE(skipped));
    metrics_head(out, "audit_sink_up", "gauge", "1 when its last delivery succeeded.");
    for (unsigned i = 0; i < n; i++) {
        label(out, "audit_sink_up", &rows[i]);
        gw_buf_printf(out, "} %d\n", rows[i].up);
    }
    metrics_head(out, "audit_sink_oldest_undelivered_seconds", "gauge",
                 "Age of the oldest record on its way.");
    for (unsigned i = 0; i < n; i++) {
        label(out, "audit_sink_oldest_undelivered_seconds", &rows[i]);
        gw_buf_printf(out, "} %.3f\n", (double)rows[i].oldest_undelivered_ms / 1e3);
    }
    metrics_head(out, "audit_sink_failures_total", "counter", "Deliveries that failed.");
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = SINK_DONE + 1; k < SINK_STOPPED; k++) {
            label(out, "audit_sink_failures_total", &rows[i]);
            gw_buf_printf(out, ",reason=\"%s\"} %" PRIu64 "\n", sink_end_name((enum sink_end)k),
                          rows[i].failures[k]);
        }
}
