/* audit/event.c - the request records (API Activity 6003) and the parts that all classes share.
 * Owns nothing; thread: any. */
#include "audit/event.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>

#include "audit/event_json.h"
#include "base/clock.h"
#include "base/digest.h"

const char *audit_end_name(enum audit_end e)
{
    static const char *const names[] = {
        [AUDIT_END_COMPLETE] = "complete",
        [AUDIT_END_REFUSED] = "refused",
        [AUDIT_END_BLOCKED] = "blocked",
        [AUDIT_END_CLIENT_ABORT] = "client_abort",
        [AUDIT_END_UPSTREAM_ERROR] = "upstream_error",
        [AUDIT_END_TIMEOUT] = "timeout",
        [AUDIT_END_GATEWAY_STOP] = "gateway_stop",
        [AUDIT_END_GATEWAY_LOST] = "gateway_lost",
        [AUDIT_END_INTERNAL_ERROR] = "internal_error",
    };

    return (unsigned)e < sizeof(names) / sizeof(names[0]) ? names[e] : "unknown";
}

static void add_models(struct gw_buf *out, struct gw_span lines)
{
    if (lines.len == 0)
        return;
    gw_buf_adds(out, "\"models\":[");
    for (bool first = true; lines.len != 0; first = false) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        const size_t n = end == NULL ? lines.len : (size_t)(end - lines.ptr);

        gw_buf_adds(out, first ? "" : ",");
        gw_buf_add_json_str(out, (struct gw_span){lines.ptr, n});
        lines = gw_span_from(lines, n + 1);
    }
    gw_buf_addc(out, ']');
}

enum gw_status event_source_init(struct event_source *src, const struct audit_config *cfg,
                                 struct gw_err *err)
{
    struct event_json p = {&src->product, false, 0};
    struct event_json v = {&src->provider, true, 0};
    struct event_json d = {&src->digests, false, 0};

    gw_buf_adds(&src->product, "{\"name\":\"sluice\",\"vendor_name\":\"sluice\"");
    p.comma = true;
    event_opt(&p, EVENT_KEY("version"), gw_span_str(cfg->version));
    gw_buf_addc(&src->product, '}');
    event_text(&v, EVENT_KEY("log_name"), GW_SPAN("ai.audit"));
    event_text(&v, EVENT_KEY("log_provider"), gw_span_str(cfg->instance));
    event_opt(&d, EVENT_KEY("config_digest"), gw_span_str(cfg->config_digest));
    event_opt(&d, EVENT_KEY("rules_digest"), gw_span_str(cfg->rules_digest));
    add_models(&src->models, gw_span_str(cfg->models));
    if (gw_buf_ok(&src->models) && gw_buf_ok(&src->product) && gw_buf_ok(&src->provider) &&
        gw_buf_ok(&src->digests))
        return GW_OK;
    event_source_fini(src);
    return gw_fail(err, GW_ENOMEM, "audit: out of memory");
}

void event_source_fini(struct event_source *src)
{
    gw_buf_fini(&src->product);
    gw_buf_fini(&src->provider);
    gw_buf_fini(&src->digests);
    gw_buf_fini(&src->models);
}

/* ---- shared parts ------------------------------------------------------------------------------ */

void event_write_meta(struct event_json *j, const struct event_source *src,
                      const struct event_meta *m, size_t start)
{
    char uid[GW_ULID_BYTES];

    gw_ulid(uid);
    event_begin(j, EVENT_KEY("metadata"));
    event_raw(j, GW_SPAN("\"version\":\"1.8.0\",\"product\":"));
    gw_buf_add(j->b, gw_buf_span(&src->product));
    gw_buf_adds(j->b, ",\"profiles\":[");
    gw_buf_add(j->b, m->profiles);
    gw_buf_addc(j->b, ']');
    event_text(j, EVENT_KEY("uid"), (struct gw_span){uid, GW_ULID_BYTES - 1});
    event_opt(j, EVENT_KEY("correlation_uid"), m->correlation);
    event_text(j, EVENT_KEY("event_code"), m->code);
    gw_buf_add(j->b, gw_buf_span(&src->provider));
    event_i(j, EVENT_KEY("logged_time"), gw_clock_wall_ms());
    event_opt(j, EVENT_KEY("tenant_uid"), m->tenant);
    if (j->cut != 0) {
        event_bool(j, EVENT_KEY("is_truncated"), true);
        event_u(j, EVENT_KEY("untruncated_size"), j->b->len - start + j->cut);
    }
    event_key(j, EVENT_KEY("sequence"));
}

void event_write_class(struct event_json *j, const struct event_class *c, int64_t time_ms)
{
    event_u(j, EVENT_KEY("class_uid"), c->class_uid);
    event_u(j, EVENT_KEY("category_uid"), c->class_uid / 1000);
    event_u(j, EVENT_KEY("activity_id"), c->activity_id);
    event_text(j, EVENT_KEY("activity_name"), c->activity);
    event_u(j, EVENT_KEY("type_uid"), c->class_uid * 100 + c->activity_id);
    event_i(j, EVENT_KEY("time"), time_ms);
    event_u(j, EVENT_KEY("severity_id"), c->severity_id);
    event_u(j, EVENT_KEY("status_id"), c->status_id);
}

static void write_groups(struct event_json *j, const struct audit_event *ev)
{
    unsigned n = ev->n_groups < EVENT_MAX_GROUPS ? ev->n_groups : EVENT_MAX_GROUPS;

    if (n == 0)
        return;
    event_key(j, EVENT_KEY("groups"));
    gw_buf_addc(j->b, '[');
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(j->b, i == 0 ? "{\"name\":" : ",{\"name\":");
        gw_buf_add_json_str(j->b, event_cut(j, ev->groups[i], EVENT_GROUP_BYTES));
        gw_buf_addc(j->b, '}');
    }
    gw_buf_addc(j->b, ']');
    for (unsigned i = n; i < ev->n_groups; i++)
        j->cut += ev->groups[i].len;
}

void event_write_actor(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("actor"));
    if (ev->user.len == 0 && ev->credential_id.len == 0 && ev->n_groups == 0) {
        /* The class wants an actor, and nobody was identified. */
        event_text(j, EVENT_KEY("app_name"), GW_SPAN("unknown"));
    } else {
        event_begin(j, EVENT_KEY("user"));
        event_text(j, EVENT_KEY("uid"), ev->user.len != 0 ? ev->user : GW_SPAN("unknown"));
        write_groups(j, ev);
        event_opt(j, EVENT_KEY("credential_uid"), ev->credential_id);
        event_end(j);
    }
    event_end(j);
}

static bool is_address(struct gw_span ip)
{
    char text[41];
    struct in6_addr six;

    if (ip.len == 0 || ip.len >= sizeof(text))
        return false;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = '\0';
    return strlen(text) == ip.len &&
           (inet_pton(AF_INET, text, &six) == 1 || inet_pton(AF_INET6, text, &six) == 1);
}

void event_write_src(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("src_endpoint"));
    if (is_address(ev->client_ip))
        event_text(j, EVENT_KEY("ip"), ev->client_ip);
    else
        event_text(j, EVENT_KEY("name"),
                   ev->client_ip.len != 0 ? ev->client_ip : GW_SPAN("unknown"));
    event_opt_u(j, EVENT_KEY("port"), ev->client_port);
    event_end(j);
}

void event_write_dst(struct event_json *j, const struct audit_event *ev)
{
    struct gw_span host = ev->host.len != 0 ? ev->host : ev->sni;

    if (host.len == 0 && ev->target.len == 0)
        return;
    event_begin(j, EVENT_KEY("dst_endpoint"));
    event_opt(j, EVENT_KEY("hostname"), host);
    event_opt(j, EVENT_KEY("svc_name"), ev->target);
    event_end(j);
}

static bool is_method(struct gw_span m)
{
    static const char *const known[] = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS",
                                        "PATCH",   "POST",   "PUT", "TRACE"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (gw_span_is(m, known[i]))
            return true;
    return false;
}

void event_write_http(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("http_request"));
    event_opt(j, EVENT_KEY("uid"), ev->request_id);
    if (is_method(ev->http_method))
        event_text(j, EVENT_KEY("http_method"), ev->http_method);
    event_opt(j, EVENT_KEY("user_agent"), ev->user_agent);
    event_opt_u(j, EVENT_KEY("body_length"), ev->body_bytes);
    if (ev->host.len != 0 || ev->http_path.len != 0) {
        event_begin(j, EVENT_KEY("url"));
        event_opt(j, EVENT_KEY("hostname"), ev->host);
        if (ev->http_path.len != 0) {
            event_key(j, EVENT_KEY("path"));
            gw_buf_add_json_str(j->b, event_cut(j, ev->http_path, EVENT_PATH_BYTES));
        } else {
            event_text(j, EVENT_KEY("url_string"), ev->host);
        }
        event_end(j);
    }
    event_end(j);
}

/* OCSF's action and disposition of one of our actions. */
void event_write_verdict(struct event_json *j, int action, bool blocked)
{
    unsigned act = 1, disposition = 1; /* allowed */

    if (blocked || action == GW_ACTION_BLOCK) {
        act = 2, disposition = 2; /* denied, blocked */
    } else if (action >= GW_ACTION_MASK) {
        act = 4, disposition = 11; /* modified, corrected */
    } else if (action != GW_ACTION_ALLOW) {
        act = 3, disposition = 19; /* observed, alert */
    }
    event_u(j, EVENT_KEY("action_id"), act);
    event_u(j, EVENT_KEY("disposition_id"), disposition);
}

void event_write_policy(struct event_json *j, const struct audit_event *ev)
{
    if (ev->policy_line.len == 0)
        return;
    event_begin(j, EVENT_KEY("policy"));
    event_text(j, EVENT_KEY("name"), ev->policy_line);
    event_bool(j, EVENT_KEY("is_applied"), true);
    event_end(j);
}

/* ---- API Activity ------------------------------------------------------------------------------ */

static void write_api(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("api"));
    event_text(j, EVENT_KEY("operation"),
               ev->operation.len != 0 ? ev->operation : GW_SPAN("unknown"));
    if (ev->target.len != 0) {
        event_begin(j, EVENT_KEY("service"));
        event_text(j, EVENT_KEY("name"), ev->target);
        event_end(j);
    }
    if (ev->request_id.len != 0) {
        event_begin(j, EVENT_KEY("request"));
        event_text(j, EVENT_KEY("uid"), ev->request_id);
        event_end(j);
    }
    if (ev->http_status > 0) {
        event_begin(j, EVENT_KEY("response"));
        event_i(j, EVENT_KEY("code"), ev->http_status);
        event_end(j);
    }
    event_end(j);
}

static void write_model(struct event_json *j, const struct audit_event *ev)
{
    struct gw_span model = ev->target_model.len != 0 ? ev->target_model : ev->model;
    struct gw_span provider = ev->target.len != 0 ? ev->target : GW_SPAN("unknown");

    if (model.len != 0) {
        event_begin(j, EVENT_KEY("ai_model"));
        event_text(j, EVENT_KEY("ai_provider"), provider);
        event_text(j, EVENT_KEY("name"), model);
        event_end(j);
    }
    if (ev->prompt_tokens != 0 || ev->completion_tokens != 0) {
        event_begin(j, EVENT_KEY("message_context"));
        event_begin(j, EVENT_KEY("service"));
        event_text(j, EVENT_KEY("name"), provider);
        event_end(j);
        event_opt_u(j, EVENT_KEY("prompt_tokens"), ev->prompt_tokens);
        event_opt_u(j, EVENT_KEY("completion_tokens"), ev->completion_tokens);
        event_u(j, EVENT_KEY("total_tokens"), ev->prompt_tokens + ev->completion_tokens);
        event_end(j);
    }
}

static void write_body(struct event_json *j, const struct audit_event *ev)
{
    if (ev->body_hmac.len != 0) {
        event_begin(j, EVENT_KEY("raw_data_hash"));
        event_raw(j, GW_SPAN("\"algorithm_id\":99,\"algorithm\":\"HMAC-SHA-256\""));
        event_text(j, EVENT_KEY("value"), ev->body_hmac);
        event_end(j);
    }
    event_opt_u(j, EVENT_KEY("raw_data_size"), ev->body_bytes);
}

/* How it ended: OCSF's own fields. */
static void write_ending(struct event_json *j, const struct audit_event *ev)
{
    int64_t ms = (int64_t)(ev->duration_us / 1000);

    event_i(j, EVENT_KEY("start_time"), ev->time_ms - ms);
    event_i(j, EVENT_KEY("end_time"), ev->time_ms);
    event_i(j, EVENT_KEY("duration"), ms);
    if (ev->http_status > 0) {
        event_key(j, EVENT_KEY("status_code"));
        gw_buf_addc(j->b, '"');
        gw_buf_addi(j->b, ev->http_status);
        gw_buf_addc(j->b, '"');
        event_begin(j, EVENT_KEY("http_response"));
        event_i(j, EVENT_KEY("code"), ev->http_status);
        event_opt_u(j, EVENT_KEY("latency"), ev->ttfb_us / 1000);
        event_opt_u(j, EVENT_KEY("body_length"), ev->response_bytes);
        event_end(j);
    }
    event_opt(j, EVENT_KEY("status_detail"), ev->error_text);
}

/* What is on trial, what is only simulated, and a reason that changed the decision. */
static void write_would(struct event_json *j, const struct audit_event *ev)
{
    event_opt(j, EVENT_KEY("would"), ev->would.action);
    event_opt(j, EVENT_KEY("would_line"), ev->would.line);
    event_opt(j, EVENT_KEY("would_target"), ev->would.target);
    event_opt(j, EVENT_KEY("simulated"), ev->simulated.action);
    event_opt(j, EVENT_KEY("simulated_line"), ev->simulated.line);
    event_opt(j, EVENT_KEY("simulated_target"), ev->simulated.target);
    event_opt(j, EVENT_KEY("justification"), ev->justification);
    event_opt(j, EVENT_KEY("justified_line"), ev->justified_line);
    event_opt_u(j, EVENT_KEY("allowlisted"), ev->n_allowed);
}

/* Our own fields: what OCSF has no place for. */
static void write_own(struct event_json *j, const struct event_source *src,
                      const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("unmapped"));
    event_begin(j, EVENT_KEY("sluice"));
    if (ev->kind == AUDIT_COMPLETED)
        event_name(j, EVENT_KEY("end"), audit_end_name(ev->end));
    event_name(j, EVENT_KEY("ingress"), gw_ingress_name(ev->ingress));
    event_opt(j, EVENT_KEY("auth"), ev->auth);
    event_opt(j, EVENT_KEY("team"), ev->team);
    if (ev->kind == AUDIT_DECIDED || ev->action != GW_ACTION_ALLOW || ev->blocked) {
        event_name(j, EVENT_KEY("action"), gw_action_name(ev->action));
        event_bool(j, EVENT_KEY("blocked"), ev->blocked);
    }
    event_opt(j, EVENT_KEY("model"), ev->model);
    event_opt(j, EVENT_KEY("target"), ev->target);
    event_opt(j, EVENT_KEY("target_model"), ev->target_model);
    event_opt(j, EVENT_KEY("zone"), ev->target_zone);
    event_opt(j, EVENT_KEY("route_reason"), ev->route_reason);
    event_opt(j, EVENT_KEY("reason"), ev->reason_text);
    write_would(j, ev);
    event_opt(j, EVENT_KEY("sensitivity"), ev->sensitivity);
    event_opt(j, EVENT_KEY("tier"), ev->tier);
    event_opt_u(j, EVENT_KEY("complexity"), ev->complexity);
    if (ev->stream)
        event_bool(j, EVENT_KEY("stream"), true);
    event_opt_u(j, EVENT_KEY("findings"), ev->n_findings);
    event_opt(j, EVENT_KEY("views_cut"), ev->views_cut);
    event_opt_u(j, EVENT_KEY("dlp_us"), ev->dlp_us);
    event_opt_u(j, EVENT_KEY("duration_us"), ev->duration_us);
    event_opt_u(j, EVENT_KEY("ttfb_us"), ev->ttfb_us);
    event_opt_u(j, EVENT_KEY("response_bytes"), ev->response_bytes);
    event_opt_u(j, EVENT_KEY("upstream_bytes"), ev->upstream_bytes);
    event_opt(j, EVENT_KEY("finish_reason"), ev->finish_reason);
    event_opt(j, EVENT_KEY("response_model"), ev->response_model);
    event_opt_u(j, EVENT_KEY("restored"), ev->n_restored);
    event_opt(j, EVENT_KEY("budget"), ev->budget);
    event_opt(j, EVENT_KEY("payload_level"), ev->payload_level);
    event_write_payload(j, ev);
    if (ev->kind == AUDIT_COMPLETED) {
        event_write_attempts(j, ev);
        event_write_guards(j, ev);
        event_write_cost(j, ev);
    }
    event_opt(j, EVENT_KEY("sni"), ev->sni);
    event_opt(j, EVENT_KEY("model_digest"), ev->model_digest);
    event_opt(j, EVENT_KEY("model_manifest"), ev->model_manifest);
    event_opt(j, EVENT_KEY("model_signer"), ev->model_signer);
    if (ev->config_digest.len != 0) {
        event_text(j, EVENT_KEY("config_digest"), ev->config_digest);
        event_opt(j, EVENT_KEY("rules_digest"), ev->rules_digest);
    } else if (ev->kind == AUDIT_DECIDED && src->digests.len != 0) {
        event_raw(j, gw_buf_span(&src->digests));
    }
    event_end(j);
    event_end(j);
}

static struct event_class class_of(const struct audit_event *ev)
{
    struct event_class c = {6003, 99, 1, 1, GW_SPAN("Invoke")};

    if (ev->kind == AUDIT_COMPLETED && ev->end != AUDIT_END_COMPLETE)
        c.severity_id = 2, c.status_id = 2; /* low, failure */
    if (ev->kind == AUDIT_COMPLETED && ev->end == AUDIT_END_GATEWAY_LOST)
        c.severity_id = 3;
    if (ev->kind == AUDIT_DECIDED && ev->n_findings != 0)
        c.severity_id = 3;
    if (ev->kind == AUDIT_DECIDED && ev->blocked)
        c.severity_id = 4, c.status_id = 2;
    return c;
}

static void write_request(const struct event_source *src, const struct audit_event *ev,
                          struct gw_buf *out)
{
    struct event_json j = {out, false, 0};
    struct event_class c = class_of(ev);
    struct event_meta m = {
        ev->kind == AUDIT_DECIDED ? GW_SPAN("ai.request.decided") : GW_SPAN("ai.request.completed"),
        ev->trace_id.len != 0 ? GW_SPAN("\"ai_operation\",\"security_control\",\"trace\"")
                              : GW_SPAN("\"ai_operation\",\"security_control\""),
        ev->request_id, ev->tenant, ev->time_ms};
    size_t start = out->len;

    gw_buf_addc(out, '{');
    event_write_class(&j, &c, ev->time_ms);
    if (ev->kind == AUDIT_COMPLETED)
        write_ending(&j, ev);
    event_write_actor(&j, ev);
    event_write_src(&j, ev);
    event_write_dst(&j, ev);
    write_api(&j, ev);
    event_write_http(&j, ev);
    write_model(&j, ev);
    event_write_verdict(&j, (int)ev->action, ev->blocked);
    event_bool(&j, EVENT_KEY("is_alert"), ev->blocked || ev->n_findings != 0);
    event_write_policy(&j, ev);
    write_body(&j, ev);
    if (ev->trace_id.len != 0) {
        event_begin(&j, EVENT_KEY("trace"));
        event_text(&j, EVENT_KEY("uid"), ev->trace_id);
        event_end(&j);
    }
    write_own(&j, src, ev);
    event_write_meta(&j, src, &m, start);
}

void event_write(const struct event_source *src, const struct audit_event *ev, struct gw_buf *out)
{
    switch (ev->kind) {
    case AUDIT_DECIDED:
    case AUDIT_COMPLETED:
        write_request(src, ev, out);
        return;
    case AUDIT_FINDING:
        event_write_finding(src, ev, out);
        return;
    case AUDIT_SHADOW:
        event_write_shadow(src, ev, out);
        return;
    case AUDIT_CHANGED:
        event_write_change(src, ev, out);
        return;
    }
}
