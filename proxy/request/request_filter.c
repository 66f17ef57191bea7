/* proxy/request/request_filter.c - what the texts of an answer go through: response policy, then the values that were tokenized.
 * Worker's thread. */
#include "base/clock.h"
#include "proxy/net/worker.h"
#include "proxy/request/allow.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

/* The entry of an allowlist that takes it away, or NULL. */
static const struct proxy_config_allow *look_up(const struct req *req,
                                                const struct dlp_guard_finding *f, const char *rule)
{
    const struct allow_finding found = {
        .value = f->text,
        .rule = gw_span_str(rule),
        .pointer = GW_SPAN("answer"),
        .who = &req->who,
        .now_ms = req->judged_ms,
    };

    return allow_find(req->setup->cfg, req_hmac_key(req), &found);
}

/* A finding in the answer: what policy does about it, counted and recorded. */
static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    struct req *req = ctx;
    const struct setup *s = req->setup;
    const struct dlp_rule_info *info = dlp_rules_info(s->rules, f->rule);
    const struct proxy_config_allow *allowed = look_up(req, f, info->id);
    const struct router_finding finding = {.rule = gw_span_str(info->id),
                                           .class_ = info->class_,
                                           .severity = info->severity,
                                           .confidence = f->confidence,
                                           .field = ROUTER_FIELD_ASSISTANT,
                                           .monitored = info->mode == DLP_MODE_MONITOR,
                                           .allowed = allowed != NULL};
    struct record_answer a = {.allowlist = allowed == NULL ? NULL : allowed->id};
    struct router_input in;

    if (req->vault != NULL && dlp_vault_is_shape(req->vault, f->text))
        return GW_ACTION_ALLOW; /* it stands for a value that is put back behind this */
    req_router_input(req, &in);
    a.action = router_decide_response(s->cfg->policy, &in, &finding, &a.line, &a.would);
    metrics_add(&req->w->metrics.findings[info->class_], 1);
    metrics_add(&req->w->metrics.allowlisted, allowed != NULL);
    if (req->n_answer_findings++ < RECORD_MAX_FINDINGS)
        record_answer_finding(req, f, &a);
    if (a.action == GW_ACTION_BLOCK)
        req->answer_line = a.line;
    return a.action;
}

bool req_filter(struct req *req, struct filter_config *out)
{
    const struct setup *s = req->setup;
    struct router_input in;

    req->answer_scan.most_ns = (uint64_t)s->cfg->dlp.timeout_ms * GW_NS_PER_MS;
    *out = (struct filter_config){.limits = {.report_from = s->cfg->dlp.report_from},
                                  .decide = decide,
                                  .ctx = req,
                                  .time = &req->answer_scan};
    req_router_input(req, &in);
    if (req->vault != NULL && dlp_vault_count(req->vault) != 0)
        out->vault = req->vault;
    if (router_watches_responses(s->cfg->policy, &in)) {
        out->scanner = req->w->scanner;
        out->rules = s->rules;
    }
    req->guards[AUDIT_GUARD_DLP_ANSWER].state =
        out->scanner != NULL ? AUDIT_GUARD_RAN : AUDIT_GUARD_NOT_APPLICABLE;
    req->guards[AUDIT_GUARD_RESTORE].state =
        out->vault != NULL ? AUDIT_GUARD_RAN : AUDIT_GUARD_NOT_APPLICABLE;
    return out->vault != NULL || out->scanner != NULL;
}
