/* proxy/sink/sink_probe.c - asks the receivers whether they are there, for `serve --check --probe`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/sink/sink.h"
#include "proxy/sink/syslog.h"
#include "proxy/sink/web.h"

static bool patient(const void *ctx)
{
    (void)ctx;
    return false;
}

/* The file is not made: its folder has been looked at by --check. */
static void probe_file(const struct proxy_config_sink *k, struct sink_probe *out)
{
    int fd = open(k->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno != ENOENT) {
        out->end = SINK_DISK;
        (void)snprintf(out->found, sizeof(out->found), "%.100s: %s", k->path,
                       strerrordesc_np(errno));
        return;
    }
    (void)snprintf(out->found, sizeof(out->found), "%.100s %s", k->path,
                   fd < 0 ? "will be made" : "can be appended to");
    if (fd >= 0)
        (void)close(fd);
}

static void probe_network(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                          struct sink_probe *out)
{
    struct sink_call call = {.give_up = patient};
    struct audit_sink sink = {0};
    uint64_t start = gw_clock_ns();
    bool syslog = k->kind == PROXY_SINK_SYSLOG;
    struct gw_err err = {0};
    enum gw_status st = syslog ? syslog_make(cfg, k, &sink, &err) : web_make(cfg, k, &sink, &err);
    char said[64] = "connected and parted in order";

    if (st != GW_OK) {
        out->end = SINK_TLS;
        (void)snprintf(out->found, sizeof(out->found), "%.150s", err.text);
        return;
    }
    out->end =
        syslog ? syslog_probe(sink.self, &call) : web_probe(sink.self, &call, said, sizeof(said));
    if (out->end == SINK_DONE)
        (void)snprintf(out->found, sizeof(out->found), "%s, in %u ms", said,
                       (unsigned)((gw_clock_ns() - start) / GW_NS_PER_MS));
    else
        (void)snprintf(out->found, sizeof(out->found), "%.150s", call.why);
    sink.ops->close(sink.self);
}

void sinks_probe(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                 unsigned timeout_ms, struct sink_probe *out)
{
    struct proxy_config_sink hurried = *k;

    *out = (struct sink_probe){.end = SINK_DONE};
    if (hurried.timeout_ms > timeout_ms)
        hurried.timeout_ms = timeout_ms;
    if (k->kind == PROXY_SINK_STDOUT)
        (void)snprintf(out->found, sizeof(out->found), "JSON lines on standard output");
    else if (k->kind == PROXY_SINK_FILE)
        probe_file(k, out);
    else
        probe_network(cfg, &hurried, out);
}
