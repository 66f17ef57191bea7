/* proxy/probe/probe.c - see probe.h. The rows, and who is asked. */
#include "proxy/probe/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct probe_row *probe_row(struct probe_report *r, const char *fmt, ...)
{
    struct probe_row *row;
    va_list ap;

    if (r->n == r->cap) {
        unsigned cap = r->cap == 0 ? 32 : r->cap * 2;
        struct probe_row *rows = reallocarray(r->rows, cap, sizeof(*rows));

        if (rows == NULL)
            return NULL;
        r->rows = rows;
        r->cap = cap;
    }
    row = &r->rows[r->n++];
    *row = (struct probe_row){.state = PROBE_OK};
    va_start(ap, fmt);
    (void)vsnprintf(row->what, sizeof(row->what), fmt, ap);
    va_end(ap);
    return row;
}

void probe_bad(struct probe_row *row, enum probe_state state, const char *fmt, ...)
{
    va_list ap;

    if (state < row->state || (state == row->state && row->remedy[0] != '\0'))
        return; /* the worst, and of those the first, is what to look at */
    row->state = state;
    va_start(ap, fmt);
    (void)vsnprintf(row->remedy, sizeof(row->remedy), fmt, ap);
    va_end(ap);
}

enum gw_status probe_all(const struct proxy_config *cfg, struct probe_report *out,
                         struct gw_err *err)
{
    *out = (struct probe_report){0};
    if (probe_row(out, "configuration") == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    (void)snprintf(out->rows[0].found, sizeof(out->rows[0].found), "%u targets, digest %.12s",
                   cfg->n_targets, cfg->digest);
    probe_targets(cfg, out);
    probe_certificates(cfg, out);
    probe_identity(cfg, out);
    probe_disks(cfg, out);
    probe_stores(cfg, out);
    probe_sinks(cfg, out);
    return GW_OK;
}

void probe_report_free(struct probe_report *r)
{
    free(r->rows);
    *r = (struct probe_report){0};
}
