/* proxy/request/request_judge.c - the stages that judge a request: scan, decide, and the record that must be durable before
 * anything leaves. Worker's thread. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/local/local.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/provider/provider.h"
#include "proxy/request/conversation.h"
#include "proxy/request/media.h"
#include "proxy/request/record.h"
#include "proxy/request/request_stages.h"

/* ---- scan ------------------------------------------------------------------------------- */

/* Says which budgets ended before the text did. */
static enum gw_status note_cut(struct req *req, uint32_t cut)
{
    struct gw_buf names = {0};

    if (cut == 0)
        return GW_OK;
    metrics_add(&req->w->metrics.dlp_cut, 1);
    dlp_cut_names(cut, &names);
    req->views_cut = gw_arena_copy(req->arena, gw_buf_span(&names));
    gw_buf_fini(&names);
    return req->views_cut.ptr == NULL ? GW_ENOMEM : GW_OK;
}

static enum gw_status scan(struct req *req)
{
    const struct setup *s = req->setup;
    const uint64_t may_ns = (uint64_t)s->cfg->dlp.timeout_ms * GW_NS_PER_MS;
    const struct dlp_scan_limits lim = {.report_from = s->cfg->dlp.report_from,
                                        .deadline_ns = may_ns == 0 ? 0 : gw_clock_ns() + may_ns};
    uint32_t cut = 0;

    for (unsigned i = 0; i < req->n_pieces; i++) {
        struct req_piece *p = &req->pieces[i];

        GW_TRY(dlp_scan(req->w->scanner, s->rules, p->doc, req->arena, &lim, &p->report));
        req->scanned_bytes += p->report.scanned_bytes;
        metrics_add(&req->w->metrics.dlp_view_bytes, p->report.view_bytes);
        cut |= p->report.cut;
    }
    return note_cut(req, cut);
}

enum stage_result stage_scan(struct req *req)
{
    enum { SOON_BYTES = 2048 }; /* scanned while the ledger looks out for the record */
    const bool soon = req->body.len <= SOON_BYTES;
    uint64_t start = gw_clock_ns();
    enum gw_status st;

    if (soon)
        audit_expect(req->w->audit);
    st = scan(req);
    if (!soon)
        audit_expect(req->w->audit);
    if (req->n_pieces == 0)
        req->guards[AUDIT_GUARD_DLP_REQUEST].state = AUDIT_GUARD_NOT_APPLICABLE;
    req->dlp_ns = gw_clock_ns() - start;
    metrics_add(&req->w->metrics.dlp_ns, req->dlp_ns);
    metrics_add(&req->w->metrics.dlp_bytes, req->scanned_bytes);
    if (st == GW_OK)
        return NEXT;
    req->guards[AUDIT_GUARD_DLP_REQUEST].state =
        st == GW_ETIMEDOUT ? AUDIT_GUARD_TIMED_OUT : AUDIT_GUARD_FAILED;
    gw_log(GW_LOG_ERROR, "dlp_failed", "req=%s status=%s", req->id, gw_status_name(st));
    if (req->setup->cfg->dlp.on_error == 1) {
        for (unsigned i = 0; i < req->n_pieces; i++)
            req->pieces[i].report.n_findings = 0;
        return NEXT;
    }
    req_refuse(req, 503, "server_error", "dlp_failed", 0, AUDIT_END_REFUSED,
               "The request could not be checked for sensitive data, so it was not sent (%s).",
               st == GW_ELIMIT ? "more of it looks like such data than one request may hold"
                               : gw_status_name(st));
    return DONE;
}

/* ---- decide ----------------------------------------------------------------------------- */

static void measure(const struct req *req, struct router_features *f)
{
    const struct api_request *a = &req->asked;

    for (unsigned i = 0; i < a->n_messages; i++)
        router_features_add(f, api_role_name(a->messages[i].role),
                            api_message_text(&a->messages[i], req->arena));
    f->tools = (uint16_t)(a->n_tools < UINT16_MAX ? a->n_tools : UINT16_MAX);
    f->schema = a->format != API_FORMAT_TEXT;
}

/* Can the target serve this kind of request at all, as it is or translated? */
static bool is_fit(const struct req *req, unsigned target)
{
    const struct proxy_config_target *t = &req->setup->cfg->targets[target];
    enum api_dialect to;

    if (t->kind == PROXY_TARGET_ENGINE)
        return local_serves(req->setup, target, req->ep.kind);
    switch (req->ep.kind) {
    case ENDPOINT_CHAT:
        return provider_speaks(t, PROVIDER_CHAT, req->ep.dialect, req->model) ||
               provider_dialect(t, PROVIDER_CHAT, req->model, &to);
    case ENDPOINT_EMBEDDINGS:
        return provider_speaks(t, PROVIDER_EMBEDDINGS, req->ep.dialect, req->model);
    case ENDPOINT_RERANK: /* servers of open models have the path; the providers' own APIs do not */
        return t->kind == PROXY_TARGET_OPENAI &&
               provider_speaks(t, PROVIDER_OTHER, req->ep.dialect, req->model);
    case ENDPOINT_COUNT_TOKENS:
        return provider_speaks(t, PROVIDER_COUNT_TOKENS, req->ep.dialect, req->model) ||
               provider_dialect(t, PROVIDER_COUNT_TOKENS, req->model, &to);
    case ENDPOINT_NONE:
    case ENDPOINT_MODELS:
    case ENDPOINT_PASS:
    default:
        return provider_speaks(t, PROVIDER_OTHER, req->ep.dialect, req->model);
    }
}

static uint64_t unfit_targets(const struct req *req)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < req->setup->cfg->n_targets; i++)
        if (!is_fit(req, i) ||
            (req->has_who &&
             !proxy_principal_may_target(&req->who, gw_span_str(req->setup->cfg->targets[i].name))))
            set |= (uint64_t)1 << i;
    return set;
}

/* No target. Of counting it is worth saying that a target that answers the model's chats may not count. */
static void refuse_without_target(struct req *req)
{
    const char *code = "model_not_found", *more = "";

    if (req->ep.kind == ENDPOINT_PASS)
        code = "unknown_url";
    if (req->ep.kind == ENDPOINT_RERANK)
        more = " Documents are ranked by a reranker in this process (kind: engine) and by servers "
               "of kind "
               "openai that have the path.";
    if (req->ep.kind == ENDPOINT_COUNT_TOKENS)
        more = " Tokens are counted by the APIs of Anthropic and Gemini, OpenAI's Responses, "
               "Bedrock, Vertex and the local model; a server of chat completions has no call "
               "for it.";
    req_refuse(req, 404, "invalid_request_error", code, 0, AUDIT_END_BLOCKED, "%s.%s",
               req->d.reason_text, more);
}

static enum stage_result refuse_decision(struct req *req)
{
    const struct router_decision *d = &req->d;
    char place[REQ_PLACE_BYTES], advice[REQ_ADVICE_BYTES];

    req_say_place(req, place);
    req_say_advice(req, d->line_index, " ", advice);
    metrics_add(&req->w->metrics.blocked, 1);
    record_decided(req, NULL); /* nothing leaves, so nothing waits for it */
    if (d->reason == ROUTER_REASON_NO_ROUTE)
        refuse_without_target(req);
    else if (d->reason == ROUTER_REASON_UNAVAILABLE)
        req_refuse(req, 503, "server_error", "no_target_available", 5, AUDIT_END_BLOCKED, "%s.",
                   d->reason_text);
    else
        req_refuse(req, 403, "policy_violation",
                   d->reason == ROUTER_REASON_ZONE_CONFLICT ? "policy_zone" : "policy_blocked", 0,
                   AUDIT_END_BLOCKED, "Blocked by your organisation's policy: %s%s.%s",
                   d->reason_text, place, advice);
    return DONE;
}

/* An upload is a file whatever is in it. */
static unsigned media_in(const struct req *req)
{
    unsigned media = media_of(&req->asked);

    for (unsigned i = 0; i < req->n_pieces; i++)
        if (req->pieces[i].field == ROUTER_FIELD_FILE)
            media |= 1u << ROUTER_MEDIUM_FILE;
    return media;
}

void req_router_input(const struct req *req, struct router_input *out)
{
    *out = (struct router_input){
        .model = req->model,
        .user = req->who.user,
        .groups = req->who.groups,
        .n_groups = req->who.n_groups,
        .key = req->who.name,
        .key_id = req->who.id,
        .team = req->who.team,
        .now_ms = req->judged_ms,
        .media = media_in(req),
        .justified = req->justification.len != 0,
        .findings = req->findings,
        .n_findings = req->n_findings,
        .fixed = conn_fixed(req->conn) != NULL,
        .fixed_zone = GW_ZONE_APPROVED,
        .target = req_target_name(req),
        .pinned = req->pinned,
        .pinned_zones = req->pinned_zones,
    };
}

/* More encoded text than is decoded: something is in it that nobody has seen. */
static void block_cut(struct req *req)
{
    struct router_decision *d = &req->d;

    if (req->setup->cfg->mode == ROUTER_MODE_MONITOR) {
        d->would = (struct router_would){.differs = true,
                                         .blocked = true,
                                         .action = GW_ACTION_BLOCK,
                                         .reason = ROUTER_REASON_POLICY_BLOCK,
                                         .line = "",
                                         .zones = d->zones,
                                         .target = -1};
        return;
    }
    d->blocked = true;
    d->action = GW_ACTION_BLOCK;
    d->reason = ROUTER_REASON_POLICY_BLOCK;
    (void)snprintf(d->reason_text, sizeof(d->reason_text),
                   "encoded text in it is nested or piled up too far to be checked (%.*s)",
                   (int)req->views_cut.len, req->views_cut.ptr);
}

unsigned req_zones_kept(const struct req *req)
{
    unsigned zones = req->d.pin == 0 ? GW_ZONES_ALL : req->d.pin;

    return req->pinned ? zones & req->pinned_zones : zones;
}

/* The other policy's view of the same request. */
static void simulate(struct req *req, const struct router_input *in)
{
    struct router_decision other = {0};

    req->simulated = (struct router_would){.line = "", .target = -1};
    if (req->setup->cfg->simulated == NULL)
        return;
    other.actions = gw_arena_alloc(req->arena, req->n_findings + 1);
    other.always = gw_arena_alloc(req->arena, req->n_findings + 1);
    if (other.actions == NULL || other.always == NULL)
        return; /* it decides nothing */
    router_decide(req->setup->cfg->simulated, in, &other);
    router_compare(&req->d, &other, req->n_findings, &req->simulated);
}

static void count_decision(const struct req *req)
{
    struct metrics *m = &req->w->metrics;
    const struct router_decision *d = &req->d;

    metrics_add(&m->actions[d->action], 1);
    if (d->rerouted)
        metrics_add(&m->rerouted, 1);
    if (d->would.differs)
        metrics_add(&m->would[d->would.action], 1);
    if (req->simulated.differs)
        metrics_add(&m->simulated[req->simulated.action], 1);
    if (d->justified != ROUTER_NO_LINE)
        metrics_add(&m->justified, 1);
}

enum stage_result stage_decide(struct req *req)
{
    const struct setup *s = req->setup;
    struct router_input in;

    req->judged_ms = gw_clock_wall_ms();
    if (!req_take_justification(req))
        return DONE;
    if (!req_prepare_findings(req)) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
        return DONE;
    }
    req->pinned = conversation_pinned(req, &req->pinned_zones);
    req_router_input(req, &in);
    measure(req, &in.features);
    if (!in.fixed) {
        in.targets_down = health_targets_down(req->setup->health);
        in.targets_unfit = unfit_targets(req);
        in.unrouted = req->ep.kind == ENDPOINT_PASS;
    }
    router_decide(s->cfg->policy, &in, &req->d);
    simulate(req, &in);
    if (req->views_cut.len != 0 && s->cfg->dlp.on_cut == 0 && !req->d.blocked)
        block_cut(req);
    count_decision(req);
    if (req->d.blocked)
        return refuse_decision(req);
    if (req_zones_kept(req) != GW_ZONES_ALL)
        conversation_pin(req, req_zones_kept(req));
    return NEXT;
}

/* ---- audit ------------------------------------------------------------------------------ */

static void on_decided_durable(void *ctx, enum gw_status st)
{
    struct req *req = ctx;
    bool waited = req->audit_wait;

    req->audit_wait = false;
    req->audit_status = st;
    if (waited)
        req_resume_after_audit(req);
}

enum stage_result stage_audit(struct req *req)
{
    enum gw_status st;

    req->audit_status = GW_EAGAIN;
    st = record_decided(req, on_decided_durable);
    if (st == GW_OK && req->audit_status == GW_EAGAIN) {
        req->audit_wait = true;
        return WAIT; /* stage_audit_check runs next */
    }
    if (st != GW_OK)
        req->audit_status = st;
    return NEXT;
}

enum stage_result stage_audit_check(struct req *req)
{
    if (req->audit_status == GW_OK)
        return NEXT;
    gw_log(GW_LOG_ERROR, "audit_unavailable", "req=%s status=%s", req->id,
           gw_status_name(req->audit_status));
    req_refuse(req, 503, "server_error", "audit_unavailable", 5, AUDIT_END_REFUSED,
               "The decision could not be recorded, so the request was not sent.");
    return DONE;
}
