/* proxy/admin/metrics_health.c - see metrics_health.h. */
#include "proxy/admin/metrics_health.h"

#include <stddef.h>

#include "proxy/admin/metrics_text.h"
#include "proxy/net/health.h"
#include "proxy/net/worker.h"

static void attempts(const struct server *s, struct gw_buf *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"retries_total", "Further attempts on the same target.",
         offsetof(struct metrics, retries)},
        {"fallbacks_total", "Attempts on the next target.", offsetof(struct metrics, fallbacks)},
        {"hedges_total", "Attempts begun beside a slow one.", offsetof(struct metrics, hedges)},
        {"hedge_wins_total", "Hedges that answered first.", offsetof(struct metrics, hedge_wins)},
        {"error_answers_total", "Answers of status 200 that began with an error.",
         offsetof(struct metrics, error_answers)},
    };

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        metrics_head(out, counters[i].name, "counter", counters[i].help);
        gw_buf_printf(out, "sluice_%s %llu\n", counters[i].name,
                      (unsigned long long)metrics_sum(s, counters[i].offset));
    }
}

/* A URL may hold what a label may not. */
static void add_label(struct gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, *text);
    }
}

static double usable(const struct health_endpoint_view *v)
{
    return v->usable;
}

static double outstanding(const struct health_endpoint_view *v)
{
    return v->outstanding;
}

static double resting(const struct health_endpoint_view *v)
{
    return v->resting;
}

static double latency(const struct health_endpoint_view *v)
{
    return (double)v->latency_us / 1e6;
}

static double ejections(const struct health_endpoint_view *v)
{
    return (double)v->ejections;
}

static double well(const struct health_endpoint_view *v)
{
    return (double)v->probes_well;
}

static double ill(const struct health_endpoint_view *v)
{
    return (double)v->probes_ill;
}

static const struct family {
    const char *name, *type, *help, *label; /* label: a further one, or "" */
    double (*value)(const struct health_endpoint_view *v);
} families[] = {
    {"endpoint_usable", "gauge", "1: requests may go there.", "", usable},
    {"endpoint_outstanding", "gauge", "Attempts that run.", "", outstanding},
    {"endpoint_resting_keys", "gauge", "Keys that were refused and rest.", "", resting},
    {"endpoint_latency_seconds", "gauge", "Average wait for the first byte; rises at once.", "",
     latency},
    {"endpoint_ejections_total", "counter", "Times that the breaker opened.", "", ejections},
    {"endpoint_probes_total", "counter", "Health probes.", ",result=\"well\"", well},
    {"endpoint_probes_total", NULL, NULL, ",result=\"ill\"", ill},
};

static void family(const struct setup *setup, const struct family *f, struct gw_buf *out)
{
    if (f->help != NULL)
        metrics_head(out, f->name, f->type, f->help);
    for (unsigned i = 0; i < setup->cfg->n_targets; i++)
        for (unsigned k = 0; k < health_endpoints(setup->health, i); k++) {
            struct health_endpoint_view v;

            health_look(setup->health, i, k, &v);
            gw_buf_printf(out, "sluice_%s{target=\"%s\",endpoint=\"", f->name,
                          setup->cfg->targets[i].name);
            add_label(out, v.url);
            gw_buf_printf(out, "\"%s} %.9g\n", f->label, f->value(&v));
        }
}

void metrics_health_text(struct server *s, struct gw_buf *out)
{
    struct setup *setup = server_setup(s);

    attempts(s, out);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        family(setup, &families[i], out);
    server_setup_done(s, setup);
}
