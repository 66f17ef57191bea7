/* proxy/sink/web_splunk.c - Splunk's HTTP event collector (HEC).
 *
 * Events are objects behind one another, each with its time, the gateway as host and the record as event. The answer's code
 * says what became of them; with an ackId (the token has indexer acknowledgement on) they are taken only when
 * /services/collector/ack says true. Codes: Splunk's documentation "Troubleshoot HTTP Event Collector". */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "proxy/sink/answers.h"
#include "proxy/sink/web.h"

enum { NAP_MS = 50, MAX_APART_MS = 1000 };

static void write_events(const struct web *w, const struct sink_call *call, struct gw_buf *body)
{
    for (unsigned i = 0; i < call->n; i++) {
        const struct sink_record *r = &call->records[i];

        gw_buf_printf(body, "{\"time\":%" PRId64 ".%03d,\"host\":", r->time_ms / 1000,
                      (int)(r->time_ms % 1000));
        gw_buf_add_json_str(body, gw_span_str(w->host));
        gw_buf_adds(body, ",\"source\":\"sluice\",\"sourcetype\":\"ocsf:json\"");
        if (w->index[0] != '\0') {
            gw_buf_adds(body, ",\"index\":");
            gw_buf_add_json_str(body, gw_span_str(w->index));
        }
        gw_buf_adds(body, ",\"event\":");
        gw_buf_add(body, r->json);
        gw_buf_adds(body, "}\n");
    }
}

/* Asks once. SINK_DONE: the events are taken, or not yet. */
static enum sink_end ask(struct web *w, struct sink_call *call, uint64_t ack)
{
    char question[64];
    int n = snprintf(question, sizeof(question), "{\"acks\":[%" PRIu64 "]}", ack);
    enum sink_end end = post_send(w->post, w->ack.ptr, (struct gw_span){question, (size_t)n}, call);
    int acked;

    if (end == SINK_DONE)
        end = post_judge(post_status(w->post), call);
    if (end != SINK_DONE)
        return end == SINK_REFUSED ? SINK_ANSWER : end;
    acked = splunk_acked(w->json, post_answer(w->post), ack);
    if (acked > 0)
        web_take_all(call);
    if (acked >= 0)
        return SINK_DONE;
    (void)snprintf(call->why, sizeof(call->why), "no answer about acknowledgements");
    return SINK_ANSWER;
}

/* Asks until the indexers have the events, less and less often. */
static enum sink_end wait_for(struct web *w, struct sink_call *call, uint64_t ack)
{
    const struct timespec nap = {0, (long)NAP_MS * (long)GW_NS_PER_MS};
    uint64_t now = gw_clock_ns(), until = now + w->timeout_ms * GW_NS_PER_MS;
    uint64_t apart = NAP_MS * GW_NS_PER_MS, next = now;

    while (now < until) {
        if (now >= next) {
            enum sink_end end = ask(w, call, ack);

            if (end != SINK_DONE || call->records[0].fate == SINK_TAKEN)
                return end;
            next = gw_clock_ns() + apart;
            apart = apart < MAX_APART_MS * GW_NS_PER_MS ? apart * 2 : apart;
        }
        if (call->give_up(call->ctx))
            return SINK_STOPPED;
        (void)nanosleep(&nap, NULL);
        now = gw_clock_ns();
    }
    (void)snprintf(call->why, sizeof(call->why), "the indexers do not acknowledge");
    return SINK_TIMEOUT;
}

/* What the codes say that are not about success. */
static enum sink_end end_of(const struct splunk_answer *a, struct sink_call *call)
{
    (void)snprintf(call->why, sizeof(call->why), "code %" PRIu64, a->code);
    switch (a->code) {
    case 6: /* invalid data format; event field missing or blank; indexed fields */
    case 12:
    case 13:
    case 15:
        if (!a->has_bad || a->bad >= call->n)
            return SINK_REFUSED;
        call->records[a->bad].fate = SINK_REFUSES;
        return SINK_DONE;
    case 5: /* no data */
        return SINK_ANSWER;
    case 8: /* internal error */
        return SINK_SERVER;
    case 9: /* busy; queues are full */
    case 18:
    case 19:
    case 20:
    case 23: /* shutting down */
    case 26:
    case 27:
        return SINK_BUSY;
    default: /* token, index, channel, acknowledgement: of the configuration, here or there */
        return SINK_DENIED;
    }
}

static enum sink_end judge_events(struct web *w, struct sink_call *call)
{
    unsigned status = post_status(w->post);
    struct splunk_answer a;
    bool said = splunk_read(w->json, post_answer(w->post), &a);

    if (said && a.code == 0 && status >= 200 && status < 300) {
        if (a.has_ack)
            return wait_for(w, call, a.ack);
        web_take_all(call);
        return SINK_DONE;
    }
    if (said && a.code != 0 && status >= 400)
        return end_of(&a, call);
    if (status >= 200 && status < 300) { /* a log-in page, a proxy: somebody else's 200 */
        (void)snprintf(call->why, sizeof(call->why), "this is no event collector");
        return SINK_ANSWER;
    }
    return post_judge(status, call);
}

/* Nothing was sent: "no data" from a token that is good. */
static enum sink_end hear_nothing(struct web *w, struct sink_call *call)
{
    struct splunk_answer a;

    if (!splunk_read(w->json, post_answer(w->post), &a)) {
        (void)snprintf(call->why, sizeof(call->why), "this is no event collector");
        return SINK_ANSWER;
    }
    return a.code == 5 || a.code == 0 ? SINK_DONE : end_of(&a, call);
}

const struct web_kind web_splunk = {"/services/collector/event",
                                    "application/json",
                                    write_events,
                                    judge_events,
                                    true,
                                    hear_nothing};
