/* proxy/admin/metrics_text.c - Prometheus text. */
#include "proxy/admin/metrics_text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/admin/metrics_cost.h"
#include "proxy/admin/metrics_engine.h"
#include "proxy/admin/metrics_health.h"
#include "proxy/admin/metrics_sinks.h"
#include "proxy/limits/limits.h"
#include "proxy/net/clients.h"
#include "proxy/net/loop_memory.h"
#include "proxy/net/reload.h"
#include "proxy/net/rule_builds.h"
#include "proxy/net/worker.h"
#include "proxy/store/store.h"
#include "proxy/version.h"

uint64_t metrics_sum(const struct server *s, size_t offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->n_workers; i++) {
        const char *m = (const char *)&s->workers[i].metrics;

        n += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(m + offset),
                                  memory_order_relaxed);
    }
    return n;
}

const char metrics_text_type[] = "text/plain; version=0.0.4; charset=utf-8";
const char metrics_openmetrics_type[] =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

#define SUM(field) metrics_sum(s, offsetof(struct metrics, field))

void metrics_head(struct gw_buf *out, const char *name, const char *type, const char *help)
{
    gw_buf_printf(out, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\n", name, help, name, type);
}

void metrics_one(struct gw_buf *out, const char *name, const char *type, const char *help,
                 uint64_t v)
{
    metrics_head(out, name, type, help);
    gw_buf_printf(out, "sluice_%s %llu\n", name, (unsigned long long)v);
}

void metrics_labelled(struct gw_buf *out, const char *name, const char *label, const char *value,
                      uint64_t v)
{
    gw_buf_printf(out, "sluice_%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)v);
}

/* One histogram, the sum over all workers. labels: "" or "a=\"b\"". unit: how much of what is observed makes one of what is
 * told (1e9: nanoseconds to seconds). */
static void histogram(const struct server *s, struct gw_buf *out, const char *name,
                      const char *labels, size_t at, const uint64_t *bounds, double unit)
{
    const char *comma = labels[0] == '\0' ? "" : ",";
    const char *open = labels[0] == '\0' ? "" : "{", *close = labels[0] == '\0' ? "" : "}";
    uint64_t n = 0;

    for (unsigned b = 0; b < METRICS_BUCKETS; b++) {
        n +=
            metrics_sum(s, at + offsetof(struct metrics_histogram, buckets) + b * sizeof(uint64_t));
        gw_buf_printf(out, "sluice_%s_bucket{%s%sle=\"", name, labels, comma);
        if (b < METRICS_BUCKETS - 1)
            gw_buf_printf(out, "%.9g\"} %llu\n", (double)bounds[b] / unit, (unsigned long long)n);
        else
            gw_buf_printf(out, "+Inf\"} %llu\n", (unsigned long long)n);
    }
    gw_buf_printf(out, "sluice_%s_sum%s%s%s %.9g\nsluice_%s_count%s%s%s %llu\n", name, open, labels,
                  close,
                  (double)metrics_sum(s, at + offsetof(struct metrics_histogram, sum)) / unit, name,
                  open, labels, close, (unsigned long long)n);
}

static void histograms(const struct server *s, struct gw_buf *out)
{
    static const char *const stages[METRICS_STAGE_COUNT] = {
        "body", "extract", "scan", "decide", "reserve", "audit", "prepare", "connect", "answer"};
    char labels[160];

    metrics_head(out, "request_seconds", "histogram", "From head to end.");
    histogram(s, out, "request_seconds", "", offsetof(struct metrics, duration), metrics_bounds_us,
              1e6);
    metrics_head(out, "first_byte_seconds", "histogram", "From head to the answer's head.");
    histogram(s, out, "first_byte_seconds", "", offsetof(struct metrics, ttfb), metrics_bounds_us,
              1e6);
    metrics_head(out, "stage_seconds", "histogram", "What requests spend their time on.");
    for (unsigned i = 0; i < METRICS_STAGE_COUNT; i++) {
        (void)snprintf(labels, sizeof(labels), "stage=\"%s\"", stages[i]);
        histogram(s, out, "stage_seconds", labels,
                  offsetof(struct metrics, stages) + i * sizeof(struct metrics_histogram),
                  metrics_bounds_stage, 1e9);
    }
    metrics_head(out, "prompt_tokens", "histogram",
                 "Input tokens a request, where they are known.");
    histogram(s, out, "prompt_tokens", "", offsetof(struct metrics, tokens_in),
              metrics_bounds_tokens, 1);
    metrics_head(out, "completion_tokens", "histogram",
                 "Output tokens a request, where they are known.");
    histogram(s, out, "completion_tokens", "", offsetof(struct metrics, tokens_out),
              metrics_bounds_tokens, 1);
}

/* One family over all targets. field: in struct metrics_times. */
static void target_family(const struct server *s, struct gw_buf *out, const char *name,
                          const char *help, size_t field)
{
    char labels[160];

    metrics_head(out, name, "histogram", help);
    for (unsigned i = 0; i <= METRICS_TARGETS; i++) {
        size_t at = offsetof(struct metrics, times) + i * sizeof(struct metrics_times) + field;
        const char *target = metrics_name_at(s->target_names, i);
        uint64_t n = 0;

        for (unsigned b = 0; b < METRICS_BUCKETS; b++)
            n += metrics_sum(s, at + offsetof(struct metrics_histogram, buckets) +
                                    b * sizeof(uint64_t));
        if (target == NULL || n == 0)
            continue; /* a target that was not used has no series */
        (void)snprintf(labels, sizeof(labels), "target=\"%s\"", target);
        histogram(s, out, name, labels, at, metrics_bounds_us, 1e6);
    }
}

static void targets(const struct server *s, struct gw_buf *out)
{
    target_family(s, out, "target_seconds", "From head to end of requests, by who answered.",
                  offsetof(struct metrics_times, duration));
    target_family(s, out, "target_first_byte_seconds",
                  "From the begin of the attempt to the answer's head, by who answered.",
                  offsetof(struct metrics_times, first_byte));
}

static void by_action(const struct server *s, struct gw_buf *out, const char *name,
                      const char *help, size_t offset)
{
    metrics_head(out, name, "counter", help);
    for (unsigned i = 0; i < GW_ACTION_COUNT; i++)
        metrics_labelled(out, name, "action", gw_action_name((enum gw_action)i),
                         metrics_sum(s, offset + i * sizeof(uint64_t)));
}

static void requests(const struct server *s, struct gw_buf *out)
{
    static const char *const classes[] = {"0", "1xx", "2xx", "3xx", "4xx", "5xx"};
    static const char *const zones[] = {"process", "private", "approved"};

    metrics_head(out, "requests_total", "counter", "Requests answered, by status class.");
    for (unsigned i = 1; i < 6; i++)
        metrics_labelled(out, "requests_total", "status", classes[i],
                         metrics_sum(s, offsetof(struct metrics, requests) + i * sizeof(uint64_t)));
    by_action(s, out, "decisions_total", "Decisions, by the strictest action.",
              offsetof(struct metrics, actions));
    by_action(
        s, out, "policy_would_total",
        "Requests for which lines and rules on trial would have decided otherwise, by action.",
        offsetof(struct metrics, would));
    by_action(s, out, "policy_simulated_total",
              "Requests for which the policy to simulate would have decided otherwise, by action.",
              offsetof(struct metrics, simulated));
    metrics_head(out, "findings_total", "counter", "Findings, by class.");
    for (unsigned i = 0; i < GW_CLASS_COUNT; i++)
        metrics_labelled(out, "findings_total", "class", gw_class_name((enum gw_class)i),
                         metrics_sum(s, offsetof(struct metrics, findings) + i * sizeof(uint64_t)));
    metrics_head(out, "answers_total", "counter", "Answers begun, by the zone that gave them.");
    for (unsigned i = 0; i < 3; i++)
        metrics_labelled(out, "answers_total", "zone", zones[i],
                         metrics_sum(s, offsetof(struct metrics, zones) + i * sizeof(uint64_t)));
    metrics_one(out, "blocked_total", "counter", "Requests that policy blocked.", SUM(blocked));
    metrics_one(out, "allowlisted_total", "counter", "Findings that an allowlist took away.",
                SUM(allowlisted));
    metrics_one(out, "justified_total", "counter", "Requests that a reason let pass.",
                SUM(justified));
    metrics_one(out, "rerouted_total", "counter", "Requests that policy moved.", SUM(rerouted));
    metrics_one(out, "restored_total", "counter", "Placeholders put back into answers.",
                SUM(restored));
    metrics_one(out, "client_aborts_total", "counter", "Clients that left early.",
                SUM(client_aborts));
    metrics_one(out, "upstream_errors_total", "counter", "Failed attempts.", SUM(upstream_errors));
    metrics_one(out, "upstream_connects_total", "counter", "Connections made.",
                SUM(upstream_connects));
}

static void traffic(const struct server *s, struct gw_buf *out)
{
    metrics_one(out, "request_bytes_total", "counter", "Body bytes received.", SUM(bytes_in));
    metrics_one(out, "response_bytes_total", "counter", "Body bytes sent.", SUM(bytes_out));
    metrics_one(out, "dlp_bytes_total", "counter", "Decoded text scanned.", SUM(dlp_bytes));
    metrics_one(out, "dlp_view_bytes_total", "counter", "Text decoded from it and scanned.",
                SUM(dlp_view_bytes));
    metrics_one(out, "dlp_cut_total", "counter", "Requests with more encoded text than is decoded.",
                SUM(dlp_cut));
    metrics_head(out, "dlp_seconds_total", "counter", "Time spent scanning.");
    gw_buf_printf(out, "sluice_dlp_seconds_total %.6f\n", (double)SUM(dlp_ns) / 1e9);
    metrics_one(out, "connections", "gauge", "Client connections.", SUM(conns));
    metrics_one(out, "connections_refused_total", "counter", "Connections beyond a cap.",
                SUM(conns_refused));
    metrics_one(out, "request_memory_bytes", "gauge", "Memory taken for requests.",
                clients_memory(s->clients));
    metrics_one(out, "request_memory_refused_total", "counter", "Requests beyond a cap of memory.",
                SUM(memory_refused));
    metrics_one(out, "loop_reserve_blocks", "gauge", "Blocks of the loops' reserve in use.",
                loop_memory_used());
    metrics_one(out, "requests_active", "gauge", "Requests in flight.", SUM(active));
    metrics_head(out, "tunnels_total", "counter", "CONNECTs, by what became of them.");
    metrics_labelled(out, "tunnels_total", "mode", "deny", SUM(connects_denied));
    metrics_labelled(out, "tunnels_total", "mode", "splice", SUM(connects_spliced));
    metrics_labelled(out, "tunnels_total", "mode", "bump", SUM(connects_bumped));
}

static void audit(const struct server *s, struct gw_buf *out)
{
    struct audit_stats a;

    audit_stats(s->audit, &a);
    metrics_one(out, "audit_records_total", "counter", "Records written.", a.records);
    metrics_one(out, "audit_syncs_total", "counter", "Syncs of the spool.", a.syncs);
    metrics_one(out, "audit_rejected_total", "counter", "Events refused: spool full or broken.",
                a.rejected);
    metrics_one(out, "audit_spool_bytes", "gauge", "Size of the spool.", a.spool_bytes);
    metrics_one(out, "audit_spool_max_bytes", "gauge", "Its cap.", a.spool_max_bytes);
    metrics_one(out, "audit_writable", "gauge", "1 when the spool can be written.", a.writable);
    metrics_one(out, "audit_delivered_total", "counter", "Records Kafka acknowledged.",
                a.delivered);
    metrics_one(out, "audit_undelivered", "gauge", "Records Kafka has not acknowledged.",
                a.undelivered);
    metrics_head(out, "audit_oldest_undelivered_seconds", "gauge", "Age of the oldest of them.");
    gw_buf_printf(out, "sluice_audit_oldest_undelivered_seconds %.3f\n",
                  (double)a.oldest_undelivered_ms / 1e3);
    metrics_one(out, "audit_producer_restarts_total", "counter", "Kafka producers made again.",
                a.producer_restarts);
    metrics_one(out, "audit_dead_letters_total", "counter", "Records Kafka will never take.",
                a.dead_letters);
    metrics_one(out, "audit_kafka_up", "gauge",
                "1 when a broker is reachable (0 also without Kafka).", a.kafka_up);
    metrics_one(out, "audit_checkpoints_total", "counter", "Checkpoints signed.", a.checkpoints);
    metrics_head(out, "audit_last_checkpoint_timestamp_seconds", "gauge",
                 "When the newest was signed.");
    gw_buf_printf(out, "sluice_audit_last_checkpoint_timestamp_seconds %.3f\n",
                  (double)a.last_checkpoint_ms / 1e3);
    metrics_one(out, "audit_checkpoints_delivered_total", "counter",
                "Checkpoints that their topic has.", a.checkpoints_delivered);
    metrics_one(out, "audit_cosigned_total", "counter",
                "Checkpoints that the witness has cosigned.", a.cosigned);
    metrics_one(out, "audit_witness_failing", "gauge", "1 when he could not be asked, or refused.",
                a.witness_failing);
    metrics_one(out, "audit_checkpoint_failing", "gauge", "1 when the last could not be written.",
                a.seal_failing);
}

static void reloads(const struct server *s, struct gw_buf *out)
{
    struct keeper_stats k;

    keeper_stats(s->keeper, &k);
    metrics_head(out, "config_reloads_total", "counter", "Reloads, by what became of them.");
    metrics_labelled(out, "config_reloads_total", "result", "ok", k.ok);
    metrics_labelled(out, "config_reloads_total", "result", "refused", k.refused);
    metrics_one(out, "config_last_reload_ok", "gauge",
                "1 when the last reload was applied, or there was none.", k.last_ok);
    metrics_head(out, "config_last_reload_timestamp_seconds", "gauge", "When that was; 0: never.");
    gw_buf_printf(out, "sluice_config_last_reload_timestamp_seconds %.3f\n",
                  (double)k.last_ms / 1e3);
}

static void rules(const struct server *s, const struct setup *setup, struct gw_buf *out)
{
    struct rule_builds_stats b;

    rule_builds_stats(s->rule_builds, &b);
    metrics_head(out, "rules_builds_total", "counter",
                 "Rule sets compiled in the background, by what became of them.");
    metrics_labelled(out, "rules_builds_total", "result", "ok", b.ok);
    metrics_labelled(out, "rules_builds_total", "result", "failed", b.failed);
    metrics_one(out, "rules_interpreted_patterns", "gauge",
                "Patterns of the rules in use that have no native matcher.",
                dlp_rules_interpreted(setup->rules));
}

static void allowlist(const struct setup *s, struct gw_buf *out)
{
    unsigned soon, ended;

    proxy_config_allow_ends(s->cfg, gw_clock_wall_ms(), &soon, &ended);
    metrics_one(out, "allowlist_entries", "gauge", "Entries of the allowlist.", s->cfg->allow.n);
    metrics_one(out, "allowlist_ending", "gauge", "Of them: those that end within 14 days.", soon);
    metrics_one(out, "allowlist_ended", "gauge", "Of them: those that have ended and do nothing.",
                ended);
}

void metrics_text(struct server *s, struct gw_buf *out)
{
    struct proxy_store_stats store;
    struct setup *setup = server_setup(s);

    metrics_head(out, "info", "gauge", "Version and digests.");
    gw_buf_printf(out, "sluice_info{version=\"%s\",rules=\"%.12s\",config=\"%.12s\"} 1\n",
                  sluice_version(), dlp_rules_digest(setup->rules), setup->cfg->digest);
    metrics_head(out, "uptime_seconds", "gauge", "Since start.");
    gw_buf_printf(out, "sluice_uptime_seconds %.3f\n", (double)(gw_clock_ns() - s->start_ns) / 1e9);
    reloads(s, out);
    rules(s, setup, out);
    requests(s, out);
    histograms(s, out);
    targets(s, out);
    traffic(s, out);
    metrics_cost_text(s, out);
    metrics_health_text(s, out);
    audit(s, out);
    metrics_sinks_text(s, out);
    metrics_engine_text(s, setup, out);
    allowlist(setup, out);
    server_setup_done(s, setup);
    limits_metrics(s->limits, out);
    proxy_store_stats(s->store, &store);
    metrics_one(out, "keys", "gauge", "Virtual keys known.", store.n_keys);
}

/* The line without the "_total" of the family that it describes. */
static void describe(struct gw_span line, struct gw_buf *out)
{
    static const char suffix[] = "_total ";
    const char *at = memmem(line.ptr, line.len, suffix, sizeof(suffix) - 1);

    if (at == NULL) {
        gw_buf_add(out, line);
        return;
    }
    gw_buf_add(out, (struct gw_span){line.ptr, (size_t)(at - line.ptr)});
    gw_buf_add(out, gw_span_from(line, (size_t)(at - line.ptr) + sizeof(suffix) - 2));
}

void metrics_openmetrics(struct gw_span text, struct gw_buf *out)
{
    while (text.len != 0) {
        const char *nl = memchr(text.ptr, '\n', text.len);
        size_t n = nl == NULL ? text.len : (size_t)(nl - text.ptr) + 1;
        struct gw_span line = {text.ptr, n};

        if (line.ptr[0] == '#')
            describe(line, out);
        else
            gw_buf_add(out, line);
        text = gw_span_from(text, n);
    }
    gw_buf_adds(out, "# EOF\n");
}
