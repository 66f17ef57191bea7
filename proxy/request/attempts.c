/* proxy/request/attempts.c - see attempts.h. */
#include "proxy/request/attempts.h"

#include "base/clock.h"
#include "proxy/net/setup.h"

enum {
    REST_MS = 5000,      /* after a 429 that does not say how long */
    REST_KEY_MS = 60000, /* a key that was refused */
    REST_MAX_MS = 5 * 60000,
};

const char *req_outcome_name(enum req_outcome o)
{
    static const char *const names[REQ_OUT_COUNT] = {
        [REQ_OUT_RUNNING] = "running",         [REQ_OUT_ANSWERED] = "answered",
        [REQ_OUT_STATUS] = "status",           [REQ_OUT_ERROR_EVENT] = "error_event",
        [REQ_OUT_NOT_REACHED] = "not_reached", [REQ_OUT_TIMEOUT] = "timeout",
        [REQ_OUT_BROKEN] = "broken",           [REQ_OUT_CUT] = "cut",
        [REQ_OUT_CANCELLED] = "cancelled",     [REQ_OUT_NOT_MADE] = "not_made",
    };

    return names[o];
}

bool attempt_begin(struct req *req, const struct health_slot *slot, bool hedge, unsigned *index)
{
    struct req_attempt *a;

    if (req->n_attempts == REQ_MAX_ATTEMPTS)
        return false;
    a = &req->attempts[req->n_attempts];
    *a = (struct req_attempt){.hedge = hedge, .start_ns = gw_clock_ns()};
    a->slot.target = req->target;
    if (slot != NULL) {
        a->slot = *slot;
        a->has_slot = a->holds = true;
        req->tried |= health_slot_bit(req->setup->health, slot);
    }
    *index = req->n_attempts++;
    return true;
}

bool attempt_is_ill(unsigned status)
{
    return status == 500 || (status >= 502 && status <= 504) || status == 529 ||
           (status >= 520 && status <= 526); /* those of a content delivery network before it */
}

enum req_outcome attempt_outcome(enum req_failure failure)
{
    switch (failure) {
    case REQ_FAIL_NOT_SENT:
    case REQ_FAIL_NO_CONNECTION:
        return REQ_OUT_NOT_REACHED;
    case REQ_FAIL_TIMEOUT:
        return REQ_OUT_TIMEOUT;
    case REQ_FAIL_CALL:
    case REQ_FAIL_LIMIT:
    case REQ_FAIL_UNSUPPORTED:
    case REQ_FAIL_INVALID:
        return REQ_OUT_NOT_MADE;
    case REQ_FAIL_UPSTREAM:
    case REQ_FAIL_DOWN:
    case REQ_FAIL_BUSY:
    case REQ_FAIL_TOO_LONG:
    default:
        return REQ_OUT_BROKEN;
    }
}

static int64_t rest_ms(unsigned status, int64_t after_ms)
{
    int64_t ms = after_ms >= 0 ? after_ms : status == 429 ? REST_MS : REST_KEY_MS;

    return ms < REST_MAX_MS ? ms : REST_MAX_MS;
}

static enum health_outcome outcome_of(enum req_outcome outcome, unsigned status)
{
    switch (outcome) {
    case REQ_OUT_ANSWERED:
    case REQ_OUT_STATUS:
        if (status == 429 || status == 401 || status == 402)
            return HEALTH_REST;
        return attempt_is_ill(status) ? HEALTH_BAD : HEALTH_GOOD;
    case REQ_OUT_ERROR_EVENT:
        return status == 429 ? HEALTH_REST : HEALTH_BAD;
    case REQ_OUT_NOT_REACHED:
    case REQ_OUT_TIMEOUT:
    case REQ_OUT_BROKEN:
    case REQ_OUT_CUT:
        return HEALTH_BAD;
    case REQ_OUT_RUNNING:
    case REQ_OUT_CANCELLED:
    case REQ_OUT_NOT_MADE:
    case REQ_OUT_COUNT:
    default:
        return HEALTH_UNKNOWN;
    }
}

/* Has the endpoint been told of a failure of this request? A request that makes servers fail is not to eject them all by being
 * tried again. */
static bool told_already(const struct req *req, const struct req_attempt *a)
{
    for (unsigned i = 0; i < req->n_attempts; i++) {
        const struct req_attempt *o = &req->attempts[i];

        if (o != a && o->told_bad && o->slot.target == a->slot.target &&
            o->slot.endpoint == a->slot.endpoint)
            return true;
    }
    return false;
}

static void tell(struct req *req, struct req_attempt *a, enum health_outcome outcome, int64_t rest)
{
    if (outcome == HEALTH_BAD && !a->slot.trial && told_already(req, a))
        outcome = HEALTH_UNKNOWN;
    a->told_bad |= outcome == HEALTH_BAD;
    health_tell(req->setup->health, &a->slot, outcome, a->us, rest);
}

static bool broke_off(enum req_outcome outcome)
{
    return outcome == REQ_OUT_CUT || outcome == REQ_OUT_BROKEN || outcome == REQ_OUT_TIMEOUT;
}

void attempt_end(struct req *req, unsigned index, enum req_outcome outcome, unsigned status,
                 int64_t after_ms)
{
    struct req_attempt *a = &req->attempts[index];

    if (a->outcome != REQ_OUT_RUNNING && !(a->outcome == REQ_OUT_ANSWERED && broke_off(outcome)))
        return;
    a->outcome = outcome;
    if (status != 0)
        a->status = status;
    a->us = (gw_clock_ns() - a->start_ns) / 1000;
    if (a->has_slot)
        tell(req, a, outcome_of(outcome, status), rest_ms(status, after_ms));
}

void attempt_over(struct req *req, unsigned index)
{
    struct req_attempt *a = &req->attempts[index];

    attempt_end(req, index, REQ_OUT_CANCELLED, 0, -1);
    if (!a->holds)
        return;
    a->holds = false;
    health_give_back(req->setup->health, &a->slot);
}
