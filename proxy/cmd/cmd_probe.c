/* proxy/cmd/cmd_probe.c - prints what probe.h found. */
#include "proxy/cmd/cmd_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "proxy/cli.h"
#include "proxy/probe/probe.h"

static const char *const words[] = {
    [PROBE_OK] = "ok", [PROBE_WARN] = "warning", [PROBE_FAIL] = "failed"};

static void print_table(const struct probe_report *r)
{
    static const char *const colors[] = {
        [PROBE_OK] = "green", [PROBE_WARN] = "yellow", [PROBE_FAIL] = "red"};
    size_t width = 0;

    for (unsigned i = 0; i < r->n; i++)
        width = strlen(r->rows[i].what) > width ? strlen(r->rows[i].what) : width;
    for (unsigned i = 0; i < r->n; i++) {
        const struct probe_row *row = &r->rows[i];

        (void)printf("%s%-7s%s  %-*s  %s\n", cli_paint(stdout, colors[row->state]),
                     words[row->state], cli_paint(stdout, "reset"), (int)width, row->what,
                     row->found);
        if (row->remedy[0] != '\0')
            (void)printf("%-7s  %-*s  -> %s\n", "", (int)width, "", row->remedy);
    }
}

static void print_json(const struct proxy_config *cfg, const struct probe_report *r, bool ok)
{
    struct gw_buf out = {0};

    gw_buf_adds(&out, "{\"config\":");
    gw_buf_add_json_str(&out, gw_span_str(cfg->file));
    gw_buf_printf(&out, ",\"ok\":%s,\"probes\":[", ok ? "true" : "false");
    for (unsigned i = 0; i < r->n; i++) {
        const struct probe_row *row = &r->rows[i];

        gw_buf_printf(&out, "%s\n{\"state\":\"%s\",\"what\":", i == 0 ? "" : ",",
                      words[row->state]);
        gw_buf_add_json_str(&out, gw_span_str(row->what));
        gw_buf_adds(&out, ",\"found\":");
        gw_buf_add_json_str(&out, gw_span_str(row->found));
        if (row->remedy[0] != '\0') {
            gw_buf_adds(&out, ",\"remedy\":");
            gw_buf_add_json_str(&out, gw_span_str(row->remedy));
        }
        gw_buf_addc(&out, '}');
    }
    gw_buf_adds(&out, "\n]}\n");
    if (gw_buf_ok(&out))
        (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

int cmd_probe(const struct proxy_config *cfg, bool json)
{
    struct probe_report r;
    struct gw_err err = {0};
    unsigned n_failed = 0;

    gw_log_set_level(GW_LOG_ERROR); /* what is wrong stands in the table */
    if (probe_all(cfg, &r, &err) != GW_OK)
        return cli_fail_err("serve", &err);
    for (unsigned i = 0; i < r.n; i++)
        n_failed += r.rows[i].state == PROBE_FAIL;
    if (json)
        print_json(cfg, &r, n_failed == 0);
    else
        print_table(&r);
    probe_report_free(&r);
    return n_failed != 0;
}
