/* proxy/admin/metrics_text.c - Prometheus text. */
#include "proxy/admin/metrics_text.h"

#include <stddef.h>

#include "base/clock.h"
#include "proxy/admin/metrics_cost.h"
#include "proxy/limits/limits.h"
#include "proxy/net/reload.h"
#include "proxy/net/worker.h"
#include "proxy/store/store.h"
#include "proxy/version.h"

/* The sum over all workers of the counter at that offset of struct metrics. */
static uint64_t sum(const struct server *s, size_t offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->n_workers; i++) {
        const char *m = (const char *)&s->workers[i].metrics;

        n += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(m + offset),
                                  memory_order_relaxed);
    }
    return n;
}

#define SUM(field) sum(s, offsetof(struct metrics, field))

static void head(struct gw_buf *out, const char *name, const char *type, const char *help)
{
    gw_buf_printf(out, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\n", name, help, name, type);
}

static void one(struct gw_buf *out, const char *name, const char *type, const char *help,
                uint64_t v)
{
    head(out, name, type, help);
    gw_buf_printf(out, "sluice_%s %llu\n", name, (unsigned long long)v);
}

static void labelled(struct gw_buf *out, const char *name, const char *label, const char *value,
                     uint64_t v)
{
    gw_buf_printf(out, "sluice_%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)v);
}

static void histogram(const struct server *s, struct gw_buf *out, const char *name,
                      const char *help, size_t at)
{
    uint64_t n = 0;

    head(out, name, "histogram", help);
    for (unsigned b = 0; b < METRICS_BUCKETS; b++) {
        n += sum(s, at + offsetof(struct metrics_histogram, buckets) + b * sizeof(uint64_t));
        if (b < METRICS_BUCKETS - 1)
            gw_buf_printf(out, "sluice_%s_bucket{le=\"%g\"} %llu\n", name,
                          (double)metrics_bounds_us[b] / 1e6, (unsigned long long)n);
        else
            gw_buf_printf(out, "sluice_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)n);
    }
    gw_buf_printf(out, "sluice_%s_sum %.6f\nsluice_%s_count %llu\n", name,
                  (double)sum(s, at + offsetof(struct metrics_histogram, sum_us)) / 1e6, name,
                  (unsigned long long)n);
}

static void requests(const struct server *s, struct gw_buf *out)
{
    static const char *const classes[] = {"0", "1xx", "2xx", "3xx", "4xx", "5xx"};
    static const char *const zones[] = {"process", "private", "approved"};

    head(out, "requests_total", "counter", "Requests answered, by status class.");
    for (unsigned i = 1; i < 6; i++)
        labelled(out, "requests_total", "status", classes[i],
                 sum(s, offsetof(struct metrics, requests) + i * sizeof(uint64_t)));
    head(out, "decisions_total", "counter", "Decisions, by the strictest action.");
    for (unsigned i = 0; i < GW_ACTION_COUNT; i++)
        labelled(out, "decisions_total", "action", gw_action_name((enum gw_action)i),
                 sum(s, offsetof(struct metrics, actions) + i * sizeof(uint64_t)));
    head(out, "findings_total", "counter", "Findings, by class.");
    for (unsigned i = 0; i < GW_CLASS_COUNT; i++)
        labelled(out, "findings_total", "class", gw_class_name((enum gw_class)i),
                 sum(s, offsetof(struct metrics, findings) + i * sizeof(uint64_t)));
    head(out, "answers_total", "counter", "Answers begun, by the zone that gave them.");
    for (unsigned i = 0; i < 3; i++)
        labelled(out, "answers_total", "zone", zones[i],
                 sum(s, offsetof(struct metrics, zones) + i * sizeof(uint64_t)));
    one(out, "blocked_total", "counter", "Requests that policy blocked.", SUM(blocked));
    one(out, "rerouted_total", "counter", "Requests that policy moved.", SUM(rerouted));
    one(out, "restored_total", "counter", "Placeholders put back into answers.", SUM(restored));
    one(out, "client_aborts_total", "counter", "Clients that left early.", SUM(client_aborts));
    one(out, "upstream_errors_total", "counter", "Failed attempts.", SUM(upstream_errors));
    one(out, "upstream_connects_total", "counter", "Connections made.", SUM(upstream_connects));
    histogram(s, out, "request_seconds", "From head to end.", offsetof(struct metrics, duration));
    histogram(s, out, "first_byte_seconds", "From head to the answer's head.",
              offsetof(struct metrics, ttfb));
}

static void traffic(const struct server *s, struct gw_buf *out)
{
    one(out, "request_bytes_total", "counter", "Body bytes received.", SUM(bytes_in));
    one(out, "response_bytes_total", "counter", "Body bytes sent.", SUM(bytes_out));
    one(out, "dlp_bytes_total", "counter", "Decoded text scanned.", SUM(dlp_bytes));
    head(out, "dlp_seconds_total", "counter", "Time spent scanning.");
    gw_buf_printf(out, "sluice_dlp_seconds_total %.6f\n", (double)SUM(dlp_ns) / 1e9);
    one(out, "connections", "gauge", "Client connections.", SUM(conns));
    one(out, "requests_active", "gauge", "Requests in flight.", SUM(active));
    head(out, "tunnels_total", "counter", "CONNECTs, by what became of them.");
    labelled(out, "tunnels_total", "mode", "deny", SUM(connects_denied));
    labelled(out, "tunnels_total", "mode", "splice", SUM(connects_spliced));
    labelled(out, "tunnels_total", "mode", "bump", SUM(connects_bumped));
}

static void audit(const struct server *s, struct gw_buf *out)
{
    struct audit_stats a;

    audit_stats(s->audit, &a);
    one(out, "audit_records_total", "counter", "Records written.", a.records);
    one(out, "audit_syncs_total", "counter", "Syncs of the spool.", a.syncs);
    one(out, "audit_rejected_total", "counter", "Events refused: spool full or broken.",
        a.rejected);
    one(out, "audit_spool_bytes", "gauge", "Size of the spool.", a.spool_bytes);
    one(out, "audit_spool_max_bytes", "gauge", "Its cap.", a.spool_max_bytes);
    one(out, "audit_writable", "gauge", "1 when the spool can be written.", a.writable);
    one(out, "audit_delivered_total", "counter", "Records Kafka acknowledged.", a.delivered);
    one(out, "audit_undelivered", "gauge", "Records Kafka has not acknowledged.", a.undelivered);
    head(out, "audit_oldest_undelivered_seconds", "gauge", "Age of the oldest of them.");
    gw_buf_printf(out, "sluice_audit_oldest_undelivered_seconds %.3f\n",
                  (double)a.oldest_undelivered_ms / 1e3);
    one(out, "audit_producer_restarts_total", "counter", "Kafka producers made again.",
        a.producer_restarts);
    one(out, "audit_dead_letters_total", "counter", "Records Kafka will never take.",
        a.dead_letters);
    one(out, "audit_kafka_up", "gauge", "1 when a broker is reachable (0 also without Kafka).",
        a.kafka_up);
}

static void engines(const struct setup *s, struct gw_buf *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } counters[] = {
        {"engine_prompt_tokens_total", "counter", "Prompt tokens processed.",
         offsetof(struct engine_stats, prompt_tokens)},
        {"engine_completion_tokens_total", "counter", "Tokens generated.",
         offsetof(struct engine_stats, completion_tokens)},
        {"engine_requests_total", "counter", "Requests taken.",
         offsetof(struct engine_stats, requests)},
        {"engine_rejected_total", "counter", "Requests refused: queue full.",
         offsetof(struct engine_stats, rejected)},
        {"engine_kv_used_tokens", "gauge", "KV cache in use.",
         offsetof(struct engine_stats, kv_used_tokens)},
        {"engine_kv_total_tokens", "gauge", "KV cache in all.",
         offsetof(struct engine_stats, kv_total_tokens)},
    };

    for (size_t c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
        head(out, counters[c].name, counters[c].type, counters[c].help);
        for (unsigned i = 0; i < s->cfg->n_targets; i++) {
            struct engine_stats st;

            if (s->engines[i] == NULL)
                continue;
            engine_stats(s->engines[i], &st);
            labelled(out, counters[c].name, "target", s->cfg->targets[i].name,
                     *(const uint64_t *)(const void *)((const char *)&st + counters[c].offset));
        }
    }
}

static void reloads(const struct server *s, struct gw_buf *out)
{
    struct keeper_stats k;

    keeper_stats(s->keeper, &k);
    head(out, "config_reloads_total", "counter", "Reloads, by what became of them.");
    labelled(out, "config_reloads_total", "result", "ok", k.ok);
    labelled(out, "config_reloads_total", "result", "refused", k.refused);
    one(out, "config_last_reload_ok", "gauge",
        "1 when the last reload was applied, or there was none.", k.last_ok);
    head(out, "config_last_reload_timestamp_seconds", "gauge", "When that was; 0: never.");
    gw_buf_printf(out, "sluice_config_last_reload_timestamp_seconds %.3f\n",
                  (double)k.last_ms / 1e3);
}

void metrics_text(struct server *s, struct gw_buf *out)
{
    struct proxy_store_stats store;
    struct setup *setup = server_setup(s);

    head(out, "info", "gauge", "Version and digests.");
    gw_buf_printf(out, "sluice_info{version=\"%s\",rules=\"%.12s\",config=\"%.12s\"} 1\n",
                  sluice_version(), dlp_rules_digest(setup->rules), setup->cfg->digest);
    head(out, "uptime_seconds", "gauge", "Since start.");
    gw_buf_printf(out, "sluice_uptime_seconds %.3f\n", (double)(gw_clock_ns() - s->start_ns) / 1e9);
    reloads(s, out);
    requests(s, out);
    traffic(s, out);
    metrics_cost_text(s, out);
    audit(s, out);
    engines(setup, out);
    server_setup_done(s, setup);
    limits_metrics(s->limits, out);
    proxy_store_stats(s->store, &store);
    one(out, "keys", "gauge", "Virtual keys known.", store.n_keys);
}
