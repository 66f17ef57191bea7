/* proxy/request/request_filter.c - what the texts of an answer go through: response policy, then the values that were tokenized.
 * Worker's thread. */
#include "proxy/net/worker.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

/* A finding in the answer: what policy does about it, counted and recorded. */
static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    struct req *req = ctx;
    const struct setup *s = req->setup;
    const struct dlp_rule_info *info = dlp_rules_info(s->rules, f->rule);
    const struct router_finding finding = {.rule = gw_span_str(info->id),
                                           .class_ = info->class_,
                                           .severity = info->severity,
                                           .confidence = f->confidence,
                                           .field = ROUTER_FIELD_ASSISTANT};
    struct router_input in;
    enum gw_action action;
    uint16_t line;

    req_router_input(req, &in);
    action = router_decide_response(s->cfg->policy, &in, &finding, &line, NULL);
    metrics_add(&req->w->metrics.findings[info->class_], 1);
    if (req->n_answer_findings++ < RECORD_MAX_FINDINGS)
        record_answer_finding(req, f, action, line);
    return action;
}

bool req_filter(struct req *req, struct filter_config *out)
{
    const struct setup *s = req->setup;
    struct router_input in;

    *out = (struct filter_config){
        .limits = {.report_from = s->cfg->dlp.report_from}, .decide = decide, .ctx = req};
    req_router_input(req, &in);
    if (req->vault != NULL && dlp_vault_count(req->vault) != 0)
        out->vault = req->vault;
    if (router_watches_responses(s->cfg->policy, &in)) {
        out->scanner = req->w->scanner;
        out->rules = s->rules;
    }
    return out->vault != NULL || out->scanner != NULL;
}
