/* proxy/net/health.h - how the servers of all targets do: what attempts and probes have shown, shared by the workers.
 *
 * A target has endpoints (base URLs) and keys; a pair of both is a slot. An endpoint has a breaker, an average waiting time
 * and the result of its probes; a slot has attempts that run and, after 429 or 401, a time to rest. An endpoint may be used
 * when its breaker lets requests through and its probes do not say that it is down; a target is down when none of its
 * endpoints may be used. A rest is a wish: when there is nothing else, a resting slot is asked, and what the provider
 * says is the answer.
 *
 * Invariants: (H1) the numbers are atomic words, and no thread waits for another; (H2) each slot that was taken is given
 * back once, with what became of it; (H3) an endpoint's state lives as long as some setup has a target of that name with
 * that URL and those keys: a reload does not forget who is ill. */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/config/config.h"

struct health; /* of one configuration */

/* like: of the configuration before, whose endpoints go on; or NULL. cfg must outlive it. NULL: out of memory. */
struct health *health_new(const struct proxy_config *cfg, const struct health *like);
void health_free(struct health *h); /* h may be NULL */

/* ---- for requests; thread: any --------------------------------------------------------------- */

/* A bit per target: none of its endpoints may be used. */
uint64_t health_targets_down(const struct health *h);

/* An endpoint with a key: indices of the target's lists. */
struct health_slot {
    unsigned target, endpoint, key;
    bool trial; /* it tries whether an ejected endpoint is well again */
};

/* The bit of a slot in the sets below. */
uint64_t health_slot_bit(const struct health *h, const struct health_slot *slot);

/* Takes the better one of two slots of the target that are not in avoid. fresh: none that rests, either. False: there is
 * none; nothing was taken. */
bool health_take(struct health *h, unsigned target, uint64_t avoid, bool fresh,
                 struct health_slot *out);

/* What became of an attempt. */
enum health_outcome {
    HEALTH_GOOD,   /* it answered, if only to say that the request is wrong */
    HEALTH_BAD,    /* not reached, too slow, broken, 5xx */
    HEALTH_REST,   /* 429, 401, 402: the key, at this endpoint, is to be left alone for rest_ms */
    HEALTH_UNKNOWN /* given up before there was an outcome */
};
/* wait_us: until the first byte, or until the failure. Says nothing of the slot's being taken: an outcome may come while an
 * answer still runs, and a second one, BAD, when the answer then breaks off. */
void health_tell(struct health *h, const struct health_slot *slot, enum health_outcome outcome,
                 uint64_t wait_us, int64_t rest_ms);
void health_give_back(struct health *h, const struct health_slot *slot);
/* Both, for a slot that was taken and not used. */
void health_return(struct health *h, const struct health_slot *slot);

/* The first attempt of a request on that target adds to its retry budget, each retry takes from it; false: used up. */
void health_budget_add(struct health *h, unsigned target);
bool health_budget_take(struct health *h, unsigned target);

/* ---- for probes (health_probe.c); thread: worker 0 --------------------------------------------- */

/* The result of a probe. */
void health_probed(struct health *h, unsigned target, unsigned endpoint, bool well);

/* ---- for people; thread: any -------------------------------------------------------------------- */

struct health_endpoint_view {
    const char *url;
    enum router_breaker_state breaker;
    bool probed, well; /* by its probes; well while none has been made */
    bool usable;
    unsigned outstanding, resting; /* attempts that run; keys that rest */
    uint64_t latency_us;           /* 0: unknown */
    uint64_t ejections, probes_well, probes_ill;
};
unsigned health_endpoints(const struct health *h, unsigned target); /* 0: an engine */
void health_look(const struct health *h, unsigned target, unsigned endpoint,
                 struct health_endpoint_view *out);

#endif
