/* audit/event_guards.c - which guards a request passed, as a member of its completed record: the proof that none was left out.
 * Thread: any. */
#include "audit/audit.h"
#include "audit/event_json.h"

void event_write_guards(struct event_json *j, const struct audit_event *ev)
{
    static const struct gw_span names[AUDIT_GUARDS] = {
        [AUDIT_GUARD_IDENTITY] = {"identity", 8},
        [AUDIT_GUARD_DLP_REQUEST] = {"dlp_request", 11},
        [AUDIT_GUARD_POLICY] = {"policy", 6},
        [AUDIT_GUARD_LIMITS] = {"limits", 6},
        [AUDIT_GUARD_DLP_ANSWER] = {"dlp_answer", 10},
        [AUDIT_GUARD_RESTORE] = {"restore", 7},
    };
    static const struct gw_span states[] = {
        [AUDIT_GUARD_NOT_REACHED] = {"not_reached", 11},
        [AUDIT_GUARD_RAN] = {"ran", 3},
        [AUDIT_GUARD_NOT_APPLICABLE] = {"not_applicable", 14},
        [AUDIT_GUARD_TIMED_OUT] = {"timed_out", 9},
        [AUDIT_GUARD_FAILED] = {"failed", 6},
    };

    if (ev->end == AUDIT_END_GATEWAY_LOST) /* nobody is left who knows */
        return;
    event_key(j, EVENT_KEY("guards"));
    gw_buf_addc(j->b, '[');
    for (unsigned i = 0; i < AUDIT_GUARDS; i++) {
        const struct audit_guard_run *g = &ev->guards[i];

        gw_buf_adds(j->b, i == 0 ? "{" : ",{");
        j->comma = false;
        event_text(j, EVENT_KEY("name"), names[i]);
        event_text(j, EVENT_KEY("state"), states[g->state]);
        if (g->state != AUDIT_GUARD_NOT_REACHED && g->state != AUDIT_GUARD_NOT_APPLICABLE)
            event_u(j, EVENT_KEY("us"), g->us);
        gw_buf_addc(j->b, '}');
    }
    gw_buf_addc(j->b, ']');
    j->comma = true;
}
