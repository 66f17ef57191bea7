/* audit/event_change.c - the record of a change by a person (API Activity 6003): who changed what, from what to what.
 * Owns nothing; thread: any. */
#include "audit/event.h"
#include "audit/event_json.h"

enum { MAX_STATE_BYTES = 48 << 10 };

/* OCSF's number and word for what was done. */
static struct event_class class_of(const struct audit_event *ev)
{
    static const struct {
        const char *change;
        unsigned activity;
        struct gw_span name;
    } known[] = {{"create", 1, {"Create", 6}},
                 {"update", 3, {"Update", 6}},
                 {"rotate", 3, {"Update", 6}},
                 {"revoke", 4, {"Delete", 6}},
                 {"erase", 4, {"Delete", 6}}};
    struct event_class c = {6003, 99, 2, 1, {"Change", 6}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (gw_span_is(ev->change, known[i].change)) {
            c.activity_id = known[i].activity;
            c.activity = known[i].name;
        }
    }
    if (ev->error_text.len != 0)
        c.status_id = 2;
    return c;
}

/* A state, as it is or not at all: half of it would not be JSON. */
static void write_state(struct event_json *j, struct gw_span key, struct gw_span state)
{
    if (state.len == 0)
        return;
    if (state.len > MAX_STATE_BYTES) {
        j->cut += state.len;
        return;
    }
    event_key(j, key);
    gw_buf_add(j->b, state);
}

static void write_api(struct event_json *j, const struct audit_event *ev)
{
    struct gw_span type = ev->entity_type.len != 0 ? ev->entity_type : GW_SPAN("unknown");

    event_begin(j, EVENT_KEY("api"));
    event_key(j, EVENT_KEY("operation"));
    gw_buf_addc(j->b, '"');
    gw_buf_add_json(j->b, event_cut(j, type, EVENT_TEXT_BYTES));
    gw_buf_addc(j->b, '.');
    gw_buf_add_json(j->b, event_cut(j, ev->change, EVENT_TEXT_BYTES));
    gw_buf_addc(j->b, '"');
    event_end(j);
    event_key(j, EVENT_KEY("resources"));
    gw_buf_addc(j->b, '[');
    j->comma = false;
    gw_buf_addc(j->b, '{');
    event_text(j, EVENT_KEY("type"), type);
    event_opt(j, EVENT_KEY("uid"), ev->entity_uid);
    event_text(j, EVENT_KEY("name"),
               ev->entity_name.len != 0 ? ev->entity_name : GW_SPAN("unknown"));
    event_end(j);
    gw_buf_addc(j->b, ']');
}

void event_write_change(const struct event_source *src, const struct audit_event *ev,
                        struct gw_buf *out)
{
    struct event_json j = {out, false, 0};
    struct event_class c = class_of(ev);
    struct event_meta m = {
        GW_SPAN("sluice.changed"), {NULL, 0}, ev->request_id, ev->tenant, ev->time_ms};
    size_t start = out->len;

    gw_buf_addc(out, '{');
    event_write_class(&j, &c, ev->time_ms);
    event_write_actor(&j, ev);
    event_write_src(&j, ev);
    write_api(&j, ev);
    event_opt(&j, EVENT_KEY("status_detail"), ev->error_text);
    event_begin(&j, EVENT_KEY("unmapped"));
    event_begin(&j, EVENT_KEY("sluice"));
    event_opt(&j, EVENT_KEY("change"), ev->change);
    event_opt(&j, EVENT_KEY("via"), ev->change_via);
    event_opt(&j, EVENT_KEY("entity"), ev->entity_type);
    event_opt(&j, EVENT_KEY("entity_name"), ev->entity_name);
    write_state(&j, EVENT_KEY("before"), ev->before_json);
    write_state(&j, EVENT_KEY("after"), ev->after_json);
    event_end(&j);
    event_end(&j);
    event_write_meta(&j, src, &m, start);
}
