/* proxy/net/health.c - see health.h. The pure part is router/health.c; here are the words it works on, and who owns them. */
#include "proxy/net/health.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

enum { BAD_US = 1000000 }; /* a failure is not to look like a fast answer */

struct health_key {
    _Atomic unsigned outstanding;
    _Atomic int64_t rest_until_ms;
};

/* Probes: bit 31 says that it is down, below are results in a row against that. */
#define PROBE_DOWN (1u << 31)

/* Shared by the setups that have it. */
struct health_endpoint {
    atomic_uint refs;
    char *name; /* target, URL, sources of the keys: what it is known by */
    struct router_breaker breaker;
    struct router_latency latency;
    _Atomic unsigned probes;
    _Atomic uint64_t ejections, probes_well, probes_ill;
    unsigned n_keys;
    struct health_key keys[];
};

struct health_target {
    const struct proxy_config_target *cfg;
    struct health_endpoint **endpoints;
    unsigned n_endpoints, n_keys; /* n_keys: at least one, the empty one */
    struct router_retries budget;
};

struct health {
    const struct proxy_config *cfg;
    struct health_target *targets;
    unsigned n_targets;
};

static int64_t now_ms(void)
{
    return (int64_t)(gw_clock_ns() / 1000000);
}

/* ---- making ----------------------------------------------------------------------------- */

static unsigned keys_of(const struct proxy_config_target *t)
{
    return t->keys.n == 0 ? 1 : t->keys.n;
}

static char *name_of(const struct proxy_config_target *t, unsigned endpoint)
{
    struct gw_buf b = {0};

    gw_buf_printf(&b, "%s\n%s", t->name, t->endpoints.items[endpoint].text);
    for (unsigned i = 0; i < t->keys.n; i++)
        gw_buf_printf(&b, "\n%s", t->keys.items[i].source);
    gw_buf_addc(&b, '\0');
    if (gw_buf_ok(&b))
        return b.ptr;
    gw_buf_fini(&b);
    return NULL;
}

static struct health_endpoint *find(const struct health *h, const char *name)
{
    for (unsigned i = 0; h != NULL && i < h->n_targets; i++)
        for (unsigned k = 0; k < h->targets[i].n_endpoints; k++)
            if (strcmp(h->targets[i].endpoints[k]->name, name) == 0)
                return h->targets[i].endpoints[k];
    return NULL;
}

static struct health_endpoint *endpoint_new(const struct proxy_config_target *t, unsigned i,
                                            const struct health *like)
{
    char *name = name_of(t, i);
    struct health_endpoint *e = name == NULL ? NULL : find(like, name);

    if (e != NULL) {
        free(name);
        atomic_fetch_add(&e->refs, 1);
        return e;
    }
    if (name != NULL)
        e = calloc(1, sizeof(*e) + keys_of(t) * sizeof(struct health_key));
    if (e == NULL) {
        free(name);
        return NULL;
    }
    e->name = name;
    e->n_keys = keys_of(t);
    atomic_init(&e->refs, 1);
    return e;
}

static void endpoint_unref(struct health_endpoint *e)
{
    if (atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    free(e->name);
    free(e);
}

static bool target_init(struct health_target *t, const struct proxy_config_target *cfg,
                        const struct health *like)
{
    t->cfg = cfg;
    t->n_keys = keys_of(cfg);
    t->endpoints = calloc(cfg->endpoints.n + 1, sizeof(struct health_endpoint *));
    for (unsigned i = 0; t->endpoints != NULL && i < cfg->endpoints.n; i++) {
        t->endpoints[i] = endpoint_new(cfg, i, like);
        if (t->endpoints[i] == NULL)
            return false;
        t->n_endpoints++;
    }
    return t->endpoints != NULL;
}

struct health *health_new(const struct proxy_config *cfg, const struct health *like)
{
    struct health *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->cfg = cfg;
    h->targets = calloc(cfg->n_targets + 1, sizeof(*h->targets));
    for (; h->targets != NULL && h->n_targets < cfg->n_targets; h->n_targets++)
        if (!target_init(&h->targets[h->n_targets], &cfg->targets[h->n_targets], like)) {
            h->n_targets++; /* the half-built one is freed too */
            health_free(h);
            return NULL;
        }
    if (h->targets == NULL) {
        free(h);
        return NULL;
    }
    return h;
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    for (unsigned i = 0; i < h->n_targets; i++) {
        for (unsigned k = 0; k < h->targets[i].n_endpoints; k++)
            endpoint_unref(h->targets[i].endpoints[k]);
        free(h->targets[i].endpoints);
    }
    free(h->targets);
    free(h);
}

/* ---- what may be used --------------------------------------------------------------------- */

static bool probes_allow(const struct health_target *t, const struct health_endpoint *e)
{
    return t->cfg->health.path[0] == '\0' ||
           (atomic_load_explicit(&e->probes, memory_order_relaxed) & PROBE_DOWN) == 0;
}

static bool is_usable(const struct health_target *t, const struct health_endpoint *e, int64_t now)
{
    return probes_allow(t, e) && router_breaker_allows(&e->breaker, now);
}

uint64_t health_targets_down(const struct health *h)
{
    int64_t now = now_ms();
    uint64_t down = 0;

    for (unsigned i = 0; i < h->n_targets; i++) {
        const struct health_target *t = &h->targets[i];
        bool usable = t->n_endpoints == 0; /* an engine has a queue of its own */

        for (unsigned k = 0; k < t->n_endpoints && !usable; k++)
            usable = is_usable(t, t->endpoints[k], now);
        if (!usable)
            down |= UINT64_C(1) << i;
    }
    return down;
}

static struct health_key *key_of(const struct health *h, const struct health_slot *slot)
{
    return &h->targets[slot->target].endpoints[slot->endpoint]->keys[slot->key];
}

uint64_t health_slot_bit(const struct health *h, const struct health_slot *slot)
{
    return UINT64_C(1) << (slot->endpoint * h->targets[slot->target].n_keys + slot->key);
}

static void view_slots(const struct health_target *t, int64_t now, bool fresh,
                       struct router_slot *out)
{
    for (unsigned i = 0; i < t->n_endpoints; i++) {
        const struct health_endpoint *e = t->endpoints[i];
        bool usable = is_usable(t, e, now);
        uint64_t us = router_latency_us(&e->latency, now);

        for (unsigned k = 0; k < t->n_keys; k++) {
            bool rests =
                atomic_load_explicit(&e->keys[k].rest_until_ms, memory_order_relaxed) > now;

            *out++ = (struct router_slot){
                us, atomic_load_explicit(&e->keys[k].outstanding, memory_order_relaxed),
                usable && !(fresh && rests), rests};
        }
    }
}

bool health_take(struct health *h, unsigned target, uint64_t avoid, bool fresh,
                 struct health_slot *out)
{
    struct health_target *t = &h->targets[target];
    struct router_slot slots[ROUTER_MAX_SLOTS];
    unsigned n = t->n_endpoints * t->n_keys;
    int64_t now = now_ms();
    uint64_t random = 0;

    view_slots(t, now, fresh, slots);
    if (n > 1)
        gw_random(&random, sizeof(random));
    for (;;) {
        int i = router_pick_slot(slots, n, avoid, random);
        struct health_slot slot;
        enum router_pass pass;

        if (i < 0)
            return false;
        slot =
            (struct health_slot){target, (unsigned)i / t->n_keys, (unsigned)i % t->n_keys, false};
        pass = router_breaker_enter(&t->endpoints[slot.endpoint]->breaker, &t->cfg->breaker, now);
        if (pass == ROUTER_PASS_NO) { /* another request took the trial */
            slots[i].usable = false;
            continue;
        }
        slot.trial = pass == ROUTER_PASS_TRIAL;
        atomic_fetch_add_explicit(&key_of(h, &slot)->outstanding, 1, memory_order_relaxed);
        *out = slot;
        return true;
    }
}

void health_give_back(struct health *h, const struct health_slot *slot)
{
    atomic_fetch_sub_explicit(&key_of(h, slot)->outstanding, 1, memory_order_relaxed);
}

/* ---- outcomes ------------------------------------------------------------------------------- */

static void note_bad(struct health_target *t, struct health_endpoint *e, unsigned endpoint,
                     uint64_t wait_us, int64_t now)
{
    router_latency_add(&e->latency, wait_us > BAD_US ? wait_us : BAD_US, now);
    if (!router_breaker_failure(&e->breaker, &t->cfg->breaker, now))
        return;
    atomic_fetch_add_explicit(&e->ejections, 1, memory_order_relaxed);
    gw_log(GW_LOG_WARN, "endpoint_ejected", "target=%s endpoint=%s", t->cfg->name,
           t->cfg->endpoints.items[endpoint].text);
}

static void note_good(struct health_target *t, struct health_endpoint *e, unsigned endpoint,
                      int64_t now)
{
    bool was_ill = router_breaker_state(&e->breaker) != ROUTER_BREAKER_CLOSED;

    router_breaker_success(&e->breaker, &t->cfg->breaker, now);
    if (was_ill && router_breaker_state(&e->breaker) == ROUTER_BREAKER_CLOSED)
        gw_log(GW_LOG_INFO, "endpoint_well", "target=%s endpoint=%s", t->cfg->name,
               t->cfg->endpoints.items[endpoint].text);
}

void health_tell(struct health *h, const struct health_slot *slot, enum health_outcome outcome,
                 uint64_t wait_us, int64_t rest_ms)
{
    struct health_target *t = &h->targets[slot->target];
    struct health_endpoint *e = t->endpoints[slot->endpoint];
    int64_t now = now_ms();

    switch (outcome) {
    case HEALTH_GOOD:
        router_latency_add(&e->latency, wait_us, now);
        note_good(t, e, slot->endpoint, now);
        break;
    case HEALTH_BAD:
        note_bad(t, e, slot->endpoint, wait_us, now);
        break;
    case HEALTH_REST: /* the server is well: it is the key that may not */
        atomic_store_explicit(&key_of(h, slot)->rest_until_ms, now + rest_ms, memory_order_relaxed);
        note_good(t, e, slot->endpoint, now);
        break;
    case HEALTH_UNKNOWN:
    default:
        if (slot->trial)
            router_breaker_forget(&e->breaker, now);
        break;
    }
}

void health_return(struct health *h, const struct health_slot *slot)
{
    health_tell(h, slot, HEALTH_UNKNOWN, 0, 0);
    health_give_back(h, slot);
}

void health_budget_add(struct health *h, unsigned target)
{
    router_retries_add(&h->targets[target].budget, h->cfg->reliability.retry_percent, now_ms());
}

bool health_budget_take(struct health *h, unsigned target)
{
    return router_retries_take(&h->targets[target].budget, now_ms());
}

/* ---- probes ----------------------------------------------------------------------------------- */

void health_probed(struct health *h, unsigned target, unsigned endpoint, bool well)
{
    struct health_target *t = &h->targets[target];
    struct health_endpoint *e = t->endpoints[endpoint];
    unsigned was = atomic_load_explicit(&e->probes, memory_order_relaxed);
    bool down = (was & PROBE_DOWN) != 0;
    unsigned row = down == well ? (was & ~PROBE_DOWN) + 1 : 0; /* results against what is thought */

    atomic_fetch_add_explicit(well ? &e->probes_well : &e->probes_ill, 1, memory_order_relaxed);
    if (row >= (down ? t->cfg->health.successes : t->cfg->health.failures)) {
        down = !down;
        row = 0;
        gw_log(down ? GW_LOG_WARN : GW_LOG_INFO, down ? "endpoint_down" : "endpoint_up",
               "target=%s endpoint=%s", t->cfg->name, t->cfg->endpoints.items[endpoint].text);
    }
    atomic_store_explicit(&e->probes, (down ? PROBE_DOWN : 0) | row, memory_order_relaxed);
}

/* ---- for people --------------------------------------------------------------------------------- */

unsigned health_endpoints(const struct health *h, unsigned target)
{
    return h->targets[target].n_endpoints;
}

void health_look(const struct health *h, unsigned target, unsigned endpoint,
                 struct health_endpoint_view *out)
{
    const struct health_target *t = &h->targets[target];
    const struct health_endpoint *e = t->endpoints[endpoint];
    int64_t now = now_ms();

    *out = (struct health_endpoint_view){
        .url = t->cfg->endpoints.items[endpoint].text,
        .breaker = router_breaker_state(&e->breaker),
        .probed = t->cfg->health.path[0] != '\0',
        .well = probes_allow(t, e),
        .usable = is_usable(t, e, now),
        .latency_us = router_latency_us(&e->latency, now),
        .ejections = atomic_load_explicit(&e->ejections, memory_order_relaxed),
        .probes_well = atomic_load_explicit(&e->probes_well, memory_order_relaxed),
        .probes_ill = atomic_load_explicit(&e->probes_ill, memory_order_relaxed),
    };
    for (unsigned k = 0; k < t->n_keys; k++) {
        out->outstanding += atomic_load_explicit(&e->keys[k].outstanding, memory_order_relaxed);
        out->resting += atomic_load_explicit(&e->keys[k].rest_until_ms, memory_order_relaxed) > now;
    }
}
