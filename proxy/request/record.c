/* proxy/request/record.c - request to audit event. */
#include "proxy/request/record.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/limits/limits.h"
#include "proxy/net/conn.h"
#include "proxy/net/model_manifest.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

struct gw_span record_path(const struct req *req)
{
    for (unsigned i = 0; i < req->n_pieces; i++)
        if (req->pieces[i].fixed != NULL && req->pieces[i].report.n_findings != 0 &&
            strcmp(req->pieces[i].fixed, REQ_PIECE_PATH) == 0)
            return GW_SPAN("/(hidden)");
    return req->path;
}

static struct gw_span sensitivity_of(const struct req *req)
{
    return gw_span_str(req->n_findings == 0 ? "none" : gw_severity_name(req->d.sensitivity));
}

struct gw_span req_hmac_key(const struct req *req)
{
    return (struct gw_span){(const char *)req->w->server->hmac_key,
                            sizeof(req->w->server->hmac_key)};
}

static void hmac_hex(const struct req *req, struct gw_span bytes, char out[GW_SHA256_HEX_BYTES])
{
    unsigned char mac[GW_SHA256_BYTES];

    gw_hmac_sha256(req_hmac_key(req), bytes, mac);
    gw_hex(mac, sizeof(mac), out);
}

/* What all three kinds of record say. */
static void fill_common(struct req *req, struct audit_event *ev)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    ev->request_id = gw_span_str(req->id);
    ev->tenant = req->who.owner;
    ev->user = req->who.user;
    ev->credential_id = req->who.id;
    ev->team = req->who.team;
    if (req->has_who)
        ev->auth = gw_span_str(proxy_via_name(req->who.via));
    ev->groups = req->who.groups;
    ev->n_groups = req->who.n_groups;
    ev->client_ip = gw_span_str(conn_peer(req->conn, &ev->client_port));
    ev->ingress = fixed == NULL ? GW_INGRESS_SDK : GW_INGRESS_PROXY;
    ev->operation = gw_span_str(req->ep.operation == NULL ? "http.request" : req->ep.operation);
    if (req->head != NULL) {
        ev->http_method = req->head->method;
        ev->http_path = record_path(req);
        ev->host = record_word(req, RECORD_HOST, req->head->authority);
        ev->user_agent = record_word(req, RECORD_AGENT, http1_get(req->head, "user-agent"));
    }
    ev->model = record_word(req, RECORD_MODEL, req->model);
    ev->stream = req->asked.stream;
    ev->body_bytes = req->body.len;
    ev->n_findings = req->n_findings;
    ev->views_cut = req->views_cut;
}

const char *record_would_name(const struct router_would *w, unsigned zones)
{
    if (w->blocked)
        return gw_action_name(GW_ACTION_BLOCK);
    return w->zones != zones ? "zone" : gw_action_name(w->action);
}

/* What another policy would have done; nothing when it is the same. */
static void fill_would(const struct req *req, const struct router_would *w, struct audit_would *out)
{
    if (!w->differs)
        return;
    out->action = gw_span_str(record_would_name(w, req->d.zones));
    out->line = gw_span_str(w->line);
    if (w->target >= 0)
        out->target = gw_span_str(req->setup->cfg->targets[w->target].name);
}

/* Who answers, as far as that is decided; REQ_NO_TARGET: nobody of the configuration. */
static unsigned decided_target(const struct req *req)
{
    if (conn_fixed(req->conn) != NULL)
        return REQ_NO_TARGET;
    if (req->target != REQ_NO_TARGET || req->d.n_choices == 0)
        return req->target;
    return req->d.choices[0];
}

static void fill_decision(const struct req *req, struct audit_event *ev)
{
    const struct router_decision *d = &req->d;
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    fill_would(req, &d->would, &ev->would);
    fill_would(req, &req->simulated, &ev->simulated);
    ev->n_allowed = req->n_allowed;
    if (d->justified != ROUTER_NO_LINE) {
        ev->justification = req->justification;
        ev->justified_line = gw_span_str(router_line_name(req->setup->cfg->policy, d->justified));
    }

    ev->action = d->action;
    ev->blocked = d->blocked;
    ev->route_reason = gw_span_str(router_reason_name(d->reason));
    ev->reason_text = gw_span_str(d->reason_text);
    ev->policy_line = gw_span_str(d->line);
    ev->sensitivity = sensitivity_of(req);
    ev->tier = gw_span_str(gw_tier_name(d->tier));
    ev->complexity = d->complexity;
    ev->target_model = req->out_model.len != 0 ? req->out_model : d->model;
    if (gw_span_eq(ev->target_model, req->model))
        ev->target_model = ev->model;
    if (fixed != NULL) {
        ev->target = gw_span_str(fixed->host);
        ev->target_zone = gw_span_str(gw_zone_name(GW_ZONE_APPROVED));
    } else if (d->n_choices != 0) {
        unsigned t = decided_target(req);

        ev->target = gw_span_str(req->setup->cfg->targets[t].name);
        ev->target_zone = gw_span_str(gw_zone_name(req->setup->cfg->targets[t].zone));
    }
}

/* What a record shows of a value; outlives its event. */
struct shown {
    char mac[GW_SHA256_HEX_BYTES];
    struct gw_buf masked;
};

/* What every finding says of its rule and value. */
static void fill_finding(struct req *req, uint32_t rule, struct gw_span value, struct shown *shown,
                         struct audit_event *ev)
{
    const struct dlp_rule_info *info = dlp_rules_info(req->setup->rules, rule);

    fill_common(req, ev);
    if (req->payload_level != AUDIT_PAYLOAD_NONE) {
        hmac_hex(req, value, shown->mac);
        ev->value_hmac = gw_span_str(shown->mac);
    }
    record_mask(req, info->class_, value, &shown->masked);
    ev->masked = gw_buf_span(&shown->masked);
    ev->rule = gw_span_str(info->id);
    ev->rule_title = gw_span_str(info->title);
    ev->class_name = gw_span_str(gw_class_name(info->class_));
    ev->severity_name = gw_span_str(gw_severity_name(info->severity));
    ev->length = (unsigned)value.len;
    ev->count = 1;
}

/* The i-th of all findings, which is the piece's. */
static void emit_finding(struct req *req, const struct req_piece *p, const struct dlp_finding *f,
                         unsigned i)
{
    const struct dlp_doc *doc = p->doc;
    struct audit_event ev = {.kind = AUDIT_FINDING};
    struct shown shown = {.mac = ""};
    struct gw_buf pointer = {0};

    fill_finding(
        req, f->rule,
        (struct gw_span){dlp_doc_leaf(doc, f->leaf).text.ptr + f->start, f->end - f->start}, &shown,
        &ev);
    if (p->fixed != NULL)
        gw_buf_adds(&pointer, p->fixed);
    else
        dlp_doc_pointer(doc, f->leaf, &pointer);
    ev.pointer = gw_buf_span(&pointer);
    ev.confidence = f->confidence;
    if (f->view != DLP_VIEW_PLAIN)
        ev.view = gw_span_str(dlp_view_name(f->view));
    ev.offset = f->start;
    ev.finding_action = (enum gw_action)req->d.actions[i];
    if (req->d.would_actions[i] != req->d.actions[i])
        ev.would.action = gw_span_str(gw_action_name((enum gw_action)req->d.would_actions[i]));
    ev.field = gw_span_str(router_field_name(req->findings[i].field));
    if (req->allowed[i] != NULL)
        ev.allowlist = gw_span_str(req->allowed[i]->id);
    ev.policy_line = gw_span_str(router_line_name(req->setup->cfg->policy, req->d.lines[i]));
    (void)audit_emit(req->w->audit, &ev, NULL, NULL);
    gw_buf_fini(&pointer);
    gw_buf_fini(&shown.masked);
}

void record_answer_finding(struct req *req, const struct dlp_guard_finding *f,
                           const struct record_answer *a)
{
    struct audit_event ev = {.kind = AUDIT_FINDING};
    struct shown shown = {.mac = ""};

    fill_finding(req, f->rule, f->text, &shown, &ev);
    ev.pointer = GW_SPAN("answer");
    ev.confidence = f->confidence;
    ev.finding_action = a->action;
    if (a->would != a->action)
        ev.would.action = gw_span_str(gw_action_name(a->would));
    ev.field = gw_span_str(router_field_name(ROUTER_FIELD_ASSISTANT));
    if (a->allowlist != NULL)
        ev.allowlist = gw_span_str(a->allowlist);
    ev.policy_line = gw_span_str(router_line_name(req->setup->cfg->policy, a->line));
    (void)audit_emit(req->w->audit, &ev, NULL, NULL);
    gw_buf_fini(&shown.masked);
}

/* One record a finding, at most as many as a person would read. */
static void emit_findings(struct req *req)
{
    unsigned n = 0;

    for (unsigned i = 0; i < req->n_pieces; i++) {
        const struct req_piece *p = &req->pieces[i];

        for (unsigned k = 0; k < p->report.n_findings && n < RECORD_MAX_FINDINGS; k++)
            emit_finding(req, p, &p->report.findings[k], n++);
    }
}

/* Which model it is, and who vouches for it. */
static void fill_model(const struct req *req, unsigned target, struct audit_event *ev)
{
    const struct model_manifest *m = setup_model_manifest(req->setup, target);

    ev->model_digest = gw_span_str(setup_model_digest(req->setup, target));
    ev->model_manifest = gw_span_str(m->digest);
    ev->model_signer = gw_span_str(m->signer);
}

/* What was in force for it. */
static void fill_digests(const struct req *req, struct audit_event *ev)
{
    const unsigned target = decided_target(req);

    ev->config_digest = gw_span_str(req->setup->cfg->digest);
    ev->rules_digest = gw_span_str(dlp_rules_digest(req->setup->rules));
    if (target != REQ_NO_TARGET)
        fill_model(req, target, ev);
}

enum gw_status record_decided(struct req *req, audit_done_fn done)
{
    struct audit_event ev = {.kind = AUDIT_DECIDED};
    char mac[GW_SHA256_HEX_BYTES];
    struct gw_buf sealed = {0};
    enum gw_status st;

    req->payload_level = record_level(req);
    st = record_seal(req, false, &sealed, &ev);
    if (st != GW_OK)
        return st; /* what cannot be recorded as it should does not leave */
    /* Findings first: what makes the decided record durable makes them durable too. */
    emit_findings(req);
    fill_common(req, &ev);
    fill_decision(req, &ev);
    if (req->payload_level != AUDIT_PAYLOAD_NONE) {
        hmac_hex(req, gw_buf_span(&req->body), mac);
        ev.body_hmac = gw_span_str(mac);
    }
    ev.dlp_us = req->dlp_ns / 1000;
    fill_digests(req, &ev);
    req->decided = true;
    st = audit_emit(req->w->audit, &ev, done, req);
    gw_buf_fini(&sealed);
    return st;
}

static void fill_cost(const struct req *req, struct audit_event *ev)
{
    const struct proxy_config *cfg = req->setup->cfg;

    ev->cached_tokens = req->usage.cached;
    ev->cache_write_tokens = req->usage.cache_write;
    ev->reasoning_tokens = req->usage.reasoning;
    ev->usage_estimated = req->usage_estimated;
    ev->has_cost = req->has_cost;
    ev->cost_nano = req->cost_nano;
    ev->price_from_ms = req->price_from_ms;
    ev->has_lost = req->has_lost;
    ev->lost_nano = req->lost_nano;
    ev->has_compare = req->has_compare;
    ev->cache = gw_span_str(req_cache_name(req->cache));
    ev->has_saved = req->has_saved;
    ev->saved_nano = req->saved_nano;
    ev->compare_nano = req->compare_nano;
    ev->compare_model = gw_span_str(cfg->prices.compare_model);
    ev->currency = gw_span_str(cfg->prices.currency);
}

_Static_assert((int)AUDIT_MAX_ATTEMPTS == (int)REQ_MAX_ATTEMPTS, "all attempts are on record");

static void fill_attempts(const struct req *req, struct audit_attempt *out, struct audit_event *ev)
{
    const struct proxy_config *cfg = req->setup->cfg;

    for (unsigned i = 0; i < req->n_attempts; i++) {
        const struct req_attempt *a = &req->attempts[i];

        out[i] = (struct audit_attempt){
            .target = ev->target,
            .outcome = gw_span_str(req_outcome_name(a->outcome)),
            .status = (int)a->status,
            .us = a->us,
            .hedge = a->hedge,
        };
        if (a->lost) {
            out[i].prompt_tokens = a->usage.prompt;
            out[i].completion_tokens = a->usage.completion;
            out[i].usage_estimated = !a->has_usage;
            out[i].has_cost = a->has_cost;
            out[i].cost_nano = a->cost_nano;
        }
        if (a->slot.target == REQ_NO_TARGET)
            continue;
        out[i].target = gw_span_str(cfg->targets[a->slot.target].name);
        if (a->has_slot)
            out[i].endpoint =
                gw_span_str(cfg->targets[a->slot.target].endpoints.items[a->slot.endpoint].text);
    }
    ev->attempts = out;
    ev->n_attempts = req->n_attempts;
}

void record_completed(struct req *req, uint64_t now_ns)
{
    struct audit_event ev = {.kind = AUDIT_COMPLETED};
    struct audit_attempt attempts[REQ_MAX_ATTEMPTS];
    struct gw_buf sealed = {0};
    enum gw_status st = GW_OK;

    fill_common(req, &ev);
    if (req->decided) {
        fill_decision(req, &ev);
        st = record_seal(req, true, &sealed, &ev);
    }
    if (st != GW_OK)
        gw_log(GW_LOG_ERROR, "answer_not_sealed", "req=%s status=%s", req->id, gw_status_name(st));
    fill_digests(req, &ev);
    ev.ends_decided = req->decided;
    ev.end = req->end;
    ev.http_status = (int)req->status;
    ev.duration_us = (now_ns - req->start_ns) / 1000;
    if (req->first_byte_ns != 0)
        ev.ttfb_us = (req->first_byte_ns - req->start_ns) / 1000;
    ev.response_bytes = conn_answer_bytes(req->conn);
    ev.upstream_bytes = req->upstream_bytes;
    ev.prompt_tokens = req->usage.prompt;
    ev.completion_tokens = req->usage.completion;
    fill_cost(req, &ev);
    ev.finish_reason = req->finish_reason;
    ev.response_model = record_word(req, RECORD_ANSWERED, req->response_model);
    ev.error_text = gw_span_str(req->error_text);
    ev.n_restored = req->n_restored;
    ev.budget = gw_span_str(limits_refused_by(req));
    fill_attempts(req, attempts, &ev);
    req_end_guard(req);
    memcpy(ev.guards, req->guards, sizeof(ev.guards));
    if (ev.guards[AUDIT_GUARD_DLP_ANSWER].state == AUDIT_GUARD_RAN) {
        ev.guards[AUDIT_GUARD_DLP_ANSWER].us = req->answer_scan.ns / 1000;
        if (req->answer_scan.failed)
            ev.guards[AUDIT_GUARD_DLP_ANSWER].state = AUDIT_GUARD_FAILED;
        if (req->answer_scan.late)
            ev.guards[AUDIT_GUARD_DLP_ANSWER].state = AUDIT_GUARD_TIMED_OUT;
    }
    st = audit_emit(req->w->audit, &ev, NULL, NULL);
    if (st != GW_OK)
        gw_log(GW_LOG_ERROR, "audit_lost", "req=%s kind=completed status=%s", req->id,
               gw_status_name(st));
    gw_buf_fini(&sealed);
}

void record_shadow(struct worker *w, const struct record_shadow *s)
{
    char id[GW_ULID_BYTES];
    struct audit_event ev = {
        .kind = AUDIT_SHADOW,
        .client_ip = gw_span_str(s->client_ip),
        .client_port = s->client_port,
        .user = s->user,
        .ingress = GW_INGRESS_PROXY,
        .host = gw_span_str(s->host),
        .sni = gw_span_str(s->sni),
        .blocked = s->denied,
        .action = s->denied ? GW_ACTION_BLOCK : GW_ACTION_ALLOW,
        .reason_text = gw_span_str(s->why),
        .bytes_out = s->bytes_out,
        .bytes_in = s->bytes_in,
        .duration_us = s->duration_us,
    };

    gw_ulid(id);
    ev.request_id = gw_span_str(id);
    if (audit_emit(w->audit, &ev, NULL, NULL) != GW_OK)
        gw_log(GW_LOG_ERROR, "audit_lost", "kind=shadow host=%.100s", s->host);
}
