/* audit/event_other.c - findings (2006), ungoverned traffic (4002) and lifecycle (6002) records.
 * Owns nothing; thread: any. */
#include <string.h>

#include "audit/event.h"
#include "audit/event_json.h"
#include "base/clock.h"
#include "base/types.h"

/* OCSF data category of one of our classes: 1 personal, 3 financial, 4 business, 6 security. */
static unsigned category_of(struct gw_span class_name)
{
    enum gw_class c;

    if (!gw_class_parse(class_name, &c))
        return 0;
    switch (c) {
    case GW_CLASS_SECRET:
    case GW_CLASS_INJECTION:
        return 6;
    case GW_CLASS_PII:
    case GW_CLASS_PHI:
        return 1;
    case GW_CLASS_FINANCIAL:
        return 3;
    case GW_CLASS_SOURCE_CODE:
    case GW_CLASS_CONFIDENTIAL:
        return 4;
    case GW_CLASS_COUNT:
        break;
    }
    return 0;
}

static unsigned severity_of(struct gw_span name)
{
    enum gw_severity s;

    return gw_severity_parse(name, &s) ? (unsigned)s + 1 : 0; /* OCSF counts from informational 1 */
}

static void write_finding_info(struct event_json *j, const struct audit_event *ev)
{
    struct gw_span rule = ev->rule.len != 0 ? ev->rule : GW_SPAN("unknown");

    event_begin(j, EVENT_KEY("finding_info"));
    event_key(j, EVENT_KEY("uid"));
    gw_buf_addc(j->b, '"');
    gw_buf_add_json(j->b, ev->request_id);
    gw_buf_addc(j->b, '/');
    gw_buf_add_json(j->b, event_cut(j, rule, EVENT_TEXT_BYTES));
    gw_buf_printf(j->b, "/%u\"", ev->offset);
    event_text(j, EVENT_KEY("title"), ev->rule_title.len != 0 ? ev->rule_title : rule);
    event_raw(j, GW_SPAN("\"types\":[\"dlp\"]"));
    event_begin(j, EVENT_KEY("analytic"));
    event_text(j, EVENT_KEY("uid"), rule);
    event_raw(j, GW_SPAN("\"type_id\":8")); /* regular expressions */
    event_end(j);
    event_end(j);
}

static void write_data_security(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("data_security"));
    event_u(j, EVENT_KEY("category_id"), category_of(ev->class_name));
    /* data in transit, found by a DLP gateway */
    event_raw(j, GW_SPAN("\"data_lifecycle_state_id\":2,\"detection_system_id\":2"));
    event_opt(j, EVENT_KEY("detection_pattern"), ev->rule);
    event_opt(j, EVENT_KEY("pattern_match"), ev->masked);
    event_u(j, EVENT_KEY("total"), ev->count != 0 ? ev->count : 1);
    event_write_policy(j, ev);
    event_end(j);
}

static void write_finding_own(struct event_json *j, const struct audit_event *ev)
{
    event_begin(j, EVENT_KEY("unmapped"));
    event_begin(j, EVENT_KEY("sluice"));
    event_name(j, EVENT_KEY("ingress"), gw_ingress_name(ev->ingress));
    event_name(j, EVENT_KEY("action"), gw_action_name(ev->finding_action));
    event_opt(j, EVENT_KEY("rule"), ev->rule);
    event_opt(j, EVENT_KEY("class"), ev->class_name);
    event_opt(j, EVENT_KEY("severity"), ev->severity_name);
    event_opt(j, EVENT_KEY("where"), ev->pointer);
    event_opt(j, EVENT_KEY("field"), ev->field);
    event_opt(j, EVENT_KEY("would"), ev->would.action);
    event_opt(j, EVENT_KEY("allowlist"), ev->allowlist);
    event_u(j, EVENT_KEY("offset"), ev->offset);
    event_u(j, EVENT_KEY("length"), ev->length);
    event_opt(j, EVENT_KEY("value_hmac"), ev->value_hmac);
    event_opt(j, EVENT_KEY("model"), ev->model);
    event_opt(j, EVENT_KEY("target"), ev->target);
    event_opt(j, EVENT_KEY("view"), ev->view);
    event_end(j);
    event_end(j);
}

void event_write_finding(const struct event_source *src, const struct audit_event *ev,
                         struct gw_buf *out)
{
    struct event_json j = {out, false, 0};
    struct event_class c = {2006, 1, severity_of(ev->severity_name), 1, GW_SPAN("Create")};
    struct event_meta m = {GW_SPAN("ai.dlp.finding"), GW_SPAN("\"security_control\""),
                           ev->request_id, ev->tenant, ev->time_ms};
    unsigned confidence = ev->confidence > 100 ? 100 : ev->confidence;
    size_t start = out->len;

    gw_buf_addc(out, '{');
    event_write_class(&j, &c, ev->time_ms);
    event_u(&j, EVENT_KEY("confidence_id"), confidence >= 80 ? 3 : confidence >= 40 ? 2 : 1);
    event_u(&j, EVENT_KEY("confidence_score"), confidence);
    event_write_actor(&j, ev);
    event_write_src(&j, ev);
    event_write_dst(&j, ev);
    write_finding_info(&j, ev);
    write_data_security(&j, ev);
    if (ev->allowlist.len != 0) /* allowed, exonerated */
        event_raw(&j, GW_SPAN("\"action_id\":1,\"disposition_id\":10"));
    else
        event_write_verdict(&j, (int)ev->finding_action, ev->blocked);
    event_bool(&j, EVENT_KEY("is_alert"), ev->allowlist.len == 0);
    event_write_policy(&j, ev);
    write_finding_own(&j, ev);
    event_write_meta(&j, src, &m, start);
}

void event_write_shadow(const struct event_source *src, const struct audit_event *ev,
                        struct gw_buf *out)
{
    struct event_json j = {out, false, 0};
    struct event_class c = {4002, 1, 2, ev->blocked ? 2 : 1, GW_SPAN("Connect")};
    struct event_meta m = {GW_SPAN("ai.shadow.seen"), GW_SPAN("\"security_control\",\"host\""),
                           ev->request_id, ev->tenant, ev->time_ms};
    size_t start = out->len;

    gw_buf_addc(out, '{');
    event_write_class(&j, &c, ev->time_ms);
    event_opt_u(&j, EVENT_KEY("duration"), ev->duration_us / 1000);
    event_write_actor(&j, ev);
    event_write_src(&j, ev);
    event_write_dst(&j, ev);
    event_write_http(&j, ev);
    event_begin(&j, EVENT_KEY("traffic"));
    event_u(&j, EVENT_KEY("bytes_out"), ev->bytes_out);
    event_u(&j, EVENT_KEY("bytes_in"), ev->bytes_in);
    event_u(&j, EVENT_KEY("bytes"), ev->bytes_in + ev->bytes_out);
    event_end(&j);
    event_write_verdict(&j, (int)ev->action, ev->blocked);
    event_bool(&j, EVENT_KEY("is_alert"), true);
    event_write_policy(&j, ev);
    event_begin(&j, EVENT_KEY("unmapped"));
    event_begin(&j, EVENT_KEY("sluice"));
    event_name(&j, EVENT_KEY("ingress"), gw_ingress_name(ev->ingress));
    event_name(&j, EVENT_KEY("action"), gw_action_name(ev->action));
    event_bool(&j, EVENT_KEY("blocked"), ev->blocked);
    event_opt(&j, EVENT_KEY("sni"), ev->sni);
    event_opt(&j, EVENT_KEY("reason"), ev->reason_text);
    event_opt(&j, EVENT_KEY("error"), ev->error_text);
    event_end(&j);
    event_end(&j);
    event_write_meta(&j, src, &m, start);
}

/* ---- lifecycle --------------------------------------------------------------------------------- */

const char *event_life_name(enum event_life_kind kind)
{
    static const char *const names[] = {
        "sluice.started",   "sluice.stopped",  "sluice.gap",           "sluice.degraded",
        "sluice.recovered", "sluice.reloaded", "sluice.reload_refused"};

    return names[kind];
}

static void write_reload(struct event_json *j, const struct audit_reload *r)
{
    event_opt(j, EVENT_KEY("by"), r->by);
    event_opt(j, EVENT_KEY("config_digest"), r->config_digest);
    event_opt(j, EVENT_KEY("rules_digest"), r->rules_digest);
    event_opt(j, EVENT_KEY("old_config_digest"), r->old_config_digest);
    event_opt(j, EVENT_KEY("old_rules_digest"), r->old_rules_digest);
    event_opt(j, EVENT_KEY("reason"), r->reason);
}

void event_write_life(const struct event_source *src, const struct event_life *ev,
                      struct gw_buf *out)
{
    static const struct event_class classes[] = {
        [EVENT_LIFE_STARTED] = {6002, 3, 1, 1, {"Start", 5}},
        [EVENT_LIFE_STOPPED] = {6002, 4, 1, 1, {"Stop", 4}},
        [EVENT_LIFE_GAP] = {6002, 99, 4, 2, {"Gap", 3}},
        [EVENT_LIFE_DEGRADED] = {6002, 99, 4, 2, {"Degraded", 8}},
        [EVENT_LIFE_RECOVERED] = {6002, 99, 1, 1, {"Recovered", 9}},
        [EVENT_LIFE_RELOADED] = {6002, 8, 1, 1, {"Update", 6}},
        [EVENT_LIFE_RELOAD_REFUSED] = {6002, 8, 3, 2, {"Update", 6}},
    };
    struct event_json j = {out, false, 0};
    struct event_meta m = {
        gw_span_str(event_life_name(ev->kind)), {NULL, 0}, {NULL, 0}, {NULL, 0}, ev->time_ms};
    size_t start = out->len;

    gw_buf_addc(out, '{');
    event_write_class(&j, &classes[ev->kind], ev->time_ms);
    event_key(&j, EVENT_KEY("app"));
    gw_buf_add(out, gw_buf_span(&src->product));
    event_begin(&j, EVENT_KEY("unmapped"));
    event_begin(&j, EVENT_KEY("sluice"));
    event_opt(&j, EVENT_KEY("cause"), ev->cause);
    event_opt_u(&j, EVENT_KEY("since"), (uint64_t)ev->since_ms);
    event_opt(&j, EVENT_KEY("chain"), ev->chain);
    event_opt(&j, EVENT_KEY("segment"), ev->segment);
    event_opt(&j, EVENT_KEY("sink"), ev->sink);
    event_opt_u(&j, EVENT_KEY("from_sequence"), ev->from_sequence);
    event_opt_u(&j, EVENT_KEY("to_sequence"), ev->to_sequence);
    event_opt_u(&j, EVENT_KEY("records"), ev->records);
    event_opt_u(&j, EVENT_KEY("bytes"), ev->bytes);
    event_opt_u(&j, EVENT_KEY("spool_records"), ev->spool_records);
    event_opt_u(&j, EVENT_KEY("requests_lost"), ev->requests_lost);
    if (ev->kind == EVENT_LIFE_STARTED && src->digests.len != 0) {
        event_raw(&j, gw_buf_span(&src->digests));
        if (src->models.len != 0)
            event_raw(&j, gw_buf_span(&src->models));
    } else if (ev->reload != NULL) {
        write_reload(&j, ev->reload);
    }
    event_end(&j);
    event_end(&j);
    event_write_meta(&j, src, &m, start);
}
