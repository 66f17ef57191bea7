/* proxy/admin/metrics_engine.c - see metrics_engine.h. */
#include "proxy/admin/metrics_engine.h"

#include <stddef.h>

#include "base/energy.h"
#include "engine/engine.h"
#include "proxy/admin/metrics_text.h"
#include "proxy/net/worker.h"

static void engines(const struct setup *s, struct gw_buf *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } counters[] = {
        {"engine_prompt_tokens_total", "counter", "Prompt tokens computed.",
         offsetof(struct engine_stats, prompt_tokens)},
        {"engine_cached_tokens_total", "counter", "Prompt tokens found in the KV cache.",
         offsetof(struct engine_stats, cached_tokens)},
        {"engine_completion_tokens_total", "counter", "Tokens generated.",
         offsetof(struct engine_stats, completion_tokens)},
        {"engine_requests_total", "counter", "Requests taken.",
         offsetof(struct engine_stats, requests)},
        {"engine_rejected_total", "counter", "Requests refused: queue full.",
         offsetof(struct engine_stats, rejected)},
        {"engine_parked_total", "counter", "Times a request lost its slot for a while.",
         offsetof(struct engine_stats, parked)},
        {"engine_draft_tokens_total", "counter", "Tokens that were guessed.",
         offsetof(struct engine_stats, draft_tokens)},
        {"engine_draft_taken_total", "counter", "Of them, those that were right.",
         offsetof(struct engine_stats, draft_taken)},
        {"engine_draft_model_tokens_total", "counter", "Of the guessed: by the draft model.",
         offsetof(struct engine_stats, draft_model_tokens)},
        {"engine_draft_model_taken_total", "counter", "Of them, those that were right.",
         offsetof(struct engine_stats, draft_model_taken)},
        {"engine_draft_medusa_tokens_total", "counter", "Of the guessed: by Medusa heads.",
         offsetof(struct engine_stats, draft_medusa_tokens)},
        {"engine_draft_medusa_taken_total", "counter", "Of them, those that were right.",
         offsetof(struct engine_stats, draft_medusa_taken)},
        {"engine_mask_hits_total", "counter", "Places of formats whose tokens were known.",
         offsetof(struct engine_stats, mask_hits)},
        {"engine_mask_misses_total", "counter", "Places of formats whose tokens were looked for.",
         offsetof(struct engine_stats, mask_misses)},
        {"engine_mask_bytes", "gauge", "Memory of what is known of formats.",
         offsetof(struct engine_stats, mask_bytes)},
        {"engine_kv_used_tokens", "gauge", "KV cache in use.",
         offsetof(struct engine_stats, kv_used_tokens)},
        {"engine_kv_idle_tokens", "gauge", "KV cache kept for prefixes only.",
         offsetof(struct engine_stats, kv_idle_tokens)},
        {"engine_kv_total_tokens", "gauge", "KV cache in all.",
         offsetof(struct engine_stats, kv_total_tokens)},
        {"engine_kv_evicted_tokens_total", "counter", "Kept for prefixes, and taken back.",
         offsetof(struct engine_stats, evicted_tokens)},
        {"engine_kv_missed_tokens_total", "counter", "Of them, those computed again soon.",
         offsetof(struct engine_stats, missed_tokens)},
        {"engine_kv_copied_tokens_total", "counter", "Shared, and copied before a write.",
         offsetof(struct engine_stats, copied_tokens)},
    };

    for (size_t c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
        metrics_head(out, counters[c].name, counters[c].type, counters[c].help);
        for (unsigned i = 0; i < s->cfg->n_targets; i++) {
            struct engine_stats st;

            if (s->engines[i] == NULL)
                continue;
            engine_stats(s->engines[i], &st);
            metrics_labelled(
                out, counters[c].name, "target", s->cfg->targets[i].name,
                *(const uint64_t *)(const void *)((const char *)&st + counters[c].offset));
        }
    }
}

enum { GPU_TARGETS = 16 };

/* What it costs that GPUs have no room for all; see engine_cost. */
static void gpu_costs(const struct engine_device *all, const char *const *names, unsigned n,
                      struct gw_buf *out)
{
    static const char *const heads[][2] = {
        {"engine_gpu_failed", "1: a GPU failed, and the target refuses all until the next start."},
        {"engine_host_layers", "Layers on the CPU, because GPUs have no room for them."},
        {"engine_host_layer_seconds", "What such a layer takes of a token, measured at the start."},
        {"engine_gpu_layer_seconds", "What a layer on a GPU takes of a token."},
        {"engine_host_kv_tokens", "Tokens of the KV cache that lie in the host's memory."},
        {"engine_host_kv_token_seconds",
         "What such a token takes of each token that is written behind it."},
        {"engine_gpu_kv_token_seconds", "The same of a token in a GPU's memory."},
    };
    enum { HEADS = sizeof(heads) / sizeof(heads[0]) };

    for (unsigned h = 0; n != 0 && h < HEADS; h++) {
        metrics_head(out, heads[h][0], "gauge", heads[h][1]);
        for (unsigned i = 0; i < n; i++) {
            const struct engine_cost *c = &all[i].cost;
            const double values[HEADS] = {all[i].failed,  c->host_layers,    c->host_layer_s,
                                          c->gpu_layer_s, c->host_kv_tokens, c->host_kv_s,
                                          c->gpu_kv_s};

            gw_buf_printf(out, "sluice_%s{target=\"%s\"} %.9g\n", heads[h][0], names[i], values[h]);
        }
    }
}

/* What the GPUs do that compute layers, by target and number. */
static void gpus(const struct setup *s, struct gw_buf *out)
{
    static const char *const heads[][3] = {
        {"engine_gpu_layers", "gauge", "Layers of the model that GPUs compute."},
        {"engine_gpu_sm_hertz", "gauge", "Clock of the GPU's processors."},
        {"engine_gpu_memory_hertz", "gauge", "Clock of its memory."},
        {"engine_gpu_throttled", "gauge", "1 while something holds its clocks down."},
        {"engine_gpu_celsius", "gauge", "Its temperature."},
        {"engine_gpu_busy_ratio", "gauge", "Share of time in which it computed."},
        {"engine_gpu_watts", "gauge", "What it takes now."},
        {"engine_gpu_joules_total", "counter", "What it took since its driver was loaded."},
        {"engine_gpu_memory_bytes", "gauge", "Its memory."},
        {"engine_gpu_memory_used_bytes", "gauge", "What of it all processes use."},
        {"engine_gpu_ecc_errors_total", "counter", "Errors of its memory that were not corrected."},
    };
    enum { HEADS = sizeof(heads) / sizeof(heads[0]) };
    struct engine_device all[GPU_TARGETS];
    unsigned n = 0;
    const char *names[GPU_TARGETS];

    for (unsigned i = 0; i < s->cfg->n_targets && n < GPU_TARGETS; i++) {
        if (s->engines[i] == NULL)
            continue;
        engine_device(s->engines[i], &all[n]);
        names[n] = s->cfg->targets[i].name;
        n += all[n].n_gpus != 0;
    }
    for (unsigned h = 0; n != 0 && h < HEADS; h++) {
        metrics_head(out, heads[h][0], heads[h][1], heads[h][2]);
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = 0; k < (h == 0 ? 1 : all[i].n_gpus); k++) {
                const struct engine_gpu *g = &all[i].gpus[k];
                const double values[HEADS] = {all[i].n_layers,
                                              1e6 * g->sm_mhz,
                                              1e6 * g->mem_mhz,
                                              g->throttled,
                                              g->celsius,
                                              g->percent / 100.0,
                                              g->watts,
                                              g->joules,
                                              (double)g->bytes,
                                              (double)g->used_bytes,
                                              (double)g->ecc_errors};

                if (h == 0)
                    gw_buf_printf(out, "sluice_%s{target=\"%s\"} %.0f\n", heads[h][0], names[i],
                                  values[h]);
                else if (g->known)
                    gw_buf_printf(out, "sluice_%s{target=\"%s\",gpu=\"%u\"} %.15g\n", heads[h][0],
                                  names[i], g->number, values[h]);
            }
        }
    }
    gpu_costs(all, names, n, out);
}

static void formats(struct gw_buf *out)
{
    struct engine_grammar_stats st;

    engine_grammar_stats(&st);
    metrics_one(out, "engine_formats_hits_total", "counter",
                "Required formats that had been made before.", st.hits);
    metrics_one(out, "engine_formats_misses_total", "counter", "Required formats that were made.",
                st.misses);
    metrics_one(out, "engine_formats_dropped_total", "counter",
                "Formats that were forgotten to make room for others.", st.dropped);
    metrics_one(out, "engine_formats_kept", "gauge", "Formats that are kept.", st.kept);
    metrics_one(out, "engine_formats_bytes", "gauge", "Memory of the formats that are kept.",
                st.bytes);
}

/* One histogram of each engine: how many steps had at most 1, 2, 4, ... of what `sum` counts. */
static void step_sizes(const struct setup *s, struct gw_buf *out, const char *name,
                       const char *help, size_t buckets, size_t sum)
{
    metrics_head(out, name, "histogram", help);
    for (unsigned i = 0; i < s->cfg->n_targets; i++) {
        const char *target = s->cfg->targets[i].name;
        struct engine_stats st;
        const char *at = (const char *)&st.steps;
        const uint64_t *n = (const uint64_t *)(const void *)(at + buckets);
        uint64_t below = 0;

        if (s->engines[i] == NULL)
            continue;
        engine_stats(s->engines[i], &st);
        for (unsigned b = 0; b < ENGINE_STEP_BUCKETS; b++) {
            below += n[b];
            gw_buf_printf(out, "sluice_%s_bucket{target=\"%s\",le=\"%u\"} %llu\n", name, target,
                          1u << b, (unsigned long long)below);
        }
        gw_buf_printf(out, "sluice_%s_bucket{target=\"%s\",le=\"+Inf\"} %llu\n", name, target,
                      (unsigned long long)st.steps.n);
        gw_buf_printf(out, "sluice_%s_sum{target=\"%s\"} %llu\n", name, target,
                      (unsigned long long)*(const uint64_t *)(const void *)(at + sum));
        gw_buf_printf(out, "sluice_%s_count{target=\"%s\"} %llu\n", name, target,
                      (unsigned long long)st.steps.n);
    }
}

static void steps(const struct setup *s, struct gw_buf *out)
{
    step_sizes(s, out, "engine_batch_requests", "Requests that a step computes at once.",
               offsetof(struct engine_steps, by_requests), offsetof(struct engine_steps, requests));
    step_sizes(s, out, "engine_batch_tokens", "Tokens that a step computes at once.",
               offsetof(struct engine_steps, by_tokens), offsetof(struct engine_steps, tokens));
}

/* The whole machine's, so that an engine which has the machine can divide it by its tokens. */
static void energy(struct gw_energy *e, struct gw_buf *out)
{
    struct gw_energy_zone zones[GW_ENERGY_ZONES];
    unsigned n = gw_energy_read(e, zones);

    if (n != 0)
        metrics_head(out, "cpu_joules_total", "counter",
                     "What the machine's processors took since the start, by their own counters.");
    for (unsigned i = 0; i < n; i++)
        gw_buf_printf(out, "sluice_cpu_joules_total{zone=\"%s\"} %.6f\n", zones[i].name,
                      zones[i].joules);
}

void metrics_engine_text(const struct server *server, const struct setup *s, struct gw_buf *out)
{
    engines(s, out);
    steps(s, out);
    gpus(s, out);
    formats(out);
    energy(server->energy, out);
}
