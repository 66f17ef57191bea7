/* audit/event_attempts.c - which targets and endpoints a request was sent to, and what became of it there. Thread: any. */
#include "audit/audit.h"
#include "audit/event_json.h"

/* Shorter than other texts: there are up to 24 of them. */
static void write_short(struct event_json *j, struct gw_span key, struct gw_span text)
{
    if (text.len != 0)
        event_text(j, key, event_cut(j, text, EVENT_GROUP_BYTES));
}

static void write_attempt(struct event_json *j, const struct audit_attempt *a)
{
    write_short(j, EVENT_KEY("target"), a->target);
    write_short(j, EVENT_KEY("endpoint"), a->endpoint);
    write_short(j, EVENT_KEY("outcome"), a->outcome);
    event_opt_u(j, EVENT_KEY("status"), (uint64_t)(a->status < 0 ? 0 : a->status));
    event_u(j, EVENT_KEY("us"), a->us);
    if (a->hedge)
        event_bool(j, EVENT_KEY("hedge"), true);
    event_opt_u(j, EVENT_KEY("prompt_tokens"), a->prompt_tokens);
    event_opt_u(j, EVENT_KEY("completion_tokens"), a->completion_tokens);
    if (a->usage_estimated)
        event_bool(j, EVENT_KEY("usage_estimated"), true);
    if (a->has_cost)
        event_money(j, EVENT_KEY("cost"), a->cost_nano);
}

void event_write_attempts(struct event_json *j, const struct audit_event *ev)
{
    unsigned n = ev->n_attempts < AUDIT_MAX_ATTEMPTS ? ev->n_attempts : AUDIT_MAX_ATTEMPTS;

    if (n == 0)
        return;
    event_key(j, EVENT_KEY("attempts"));
    gw_buf_addc(j->b, '[');
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(j->b, i == 0 ? "{" : ",{");
        j->comma = false;
        write_attempt(j, &ev->attempts[i]);
        gw_buf_addc(j->b, '}');
    }
    gw_buf_addc(j->b, ']');
    j->comma = true;
}
