/* audit/sink.c - a sink's thread: spool -> batch -> receiver -> cursor.
 *
 *              batch full, or its time is over         all settled
 *   [filling] --------------------------------> [delivering] ----> [filling]
 *                                                 |      ^
 *                  busy, away, denied, ...        v      | after 0.5 to 30 s, or as long as the receiver asks for
 *                                               [waiting]
 *
 * A batch that is refused as a whole is sent in halves until single records are left; a single one goes to the dead
 * letters. When MAX_REFUSED in a row are refused and none is taken, it is not the records: the sink waits for a person.
 * All state is of this thread, but for the atomics. */
#include "audit/sink.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/core.h"
#include "audit/sink_batch.h"
#include "audit/sinks.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    CURSOR_MS = 500,
    FILL_MS = 50, /* while a batch fills: how often it is looked at */
    MIN_BACKOFF_MS = 500,
    MAX_BACKOFF_MS = 30000,
    MAX_WAIT_MS = 300000, /* what a receiver may ask for */
    LOOK_MS = 1000,       /* one that yields: how soon it says that it has lost records */
    PARTIAL_MS = 250,     /* when a part of a batch was taken */
    MAX_REFUSED = 64,
};

struct sink {
    struct audit *a;
    struct audit_sink cfg; /* name and kind: the copies below */
    char name[AUDIT_SINK_NAME_BYTES], kind[AUDIT_SINK_KIND_BYTES];
    unsigned index; /* in the spool */
    struct sink_batch b;
    unsigned limit;   /* records in a call; less than a batch after a refusal */
    unsigned refused; /* records refused since one was taken */
    uint64_t retry_ns, cursor_ns;
    unsigned backoff_ms;
    struct core_trouble trouble;
    bool hurried;     /* the stop was noticed */
    uint64_t skipped; /* of the feeds, told already */

    pthread_t thread;
    bool thread_runs;
    int wake_fd;
    atomic_bool sleeping, stopping, reopen;
    atomic_uint_fast64_t stop_ns; /* give up at this moment */
    atomic_uint_fast64_t delivered, left_out, dead, lost, failures[SINK_ENDS];
    atomic_int_fast64_t oldest_ms;
    atomic_bool up;
};

struct sinks {
    struct sink **list;
    unsigned n;
};

const char *sink_end_name(enum sink_end end)
{
    static const char *const names[SINK_ENDS] = {
        [SINK_DONE] = "done",       [SINK_CONNECT] = "connect", [SINK_TLS] = "tls",
        [SINK_TIMEOUT] = "timeout", [SINK_DENIED] = "denied",   [SINK_BUSY] = "busy",
        [SINK_SERVER] = "server",   [SINK_ANSWER] = "answer",   [SINK_DISK] = "disk",
        [SINK_REFUSED] = "refused", [SINK_STOPPED] = "stopped"};

    return names[end];
}

/* ---- what is told ------------------------------------------------------------------------------ */

static void succeeded(struct sink *k)
{
    k->backoff_ms = 0;
    k->retry_ns = 0;
    atomic_store(&k->up, true);
    if (core_sink_works(k->a, &k->trouble))
        gw_log(GW_LOG_INFO, "audit_sink_recovered", "sink=%s undelivered=%" PRIu64, k->name,
               (uint64_t)atomic_load(&k->a->spool->sinks[k->index].undelivered));
}

/* What a receiver asks for, within reason. */
static unsigned bounded(unsigned wait_ms)
{
    return wait_ms < MAX_WAIT_MS ? wait_ms : MAX_WAIT_MS;
}

static void failed(struct sink *k, enum sink_end end, const struct sink_call *call)
{
    uint64_t now = gw_clock_ns();
    bool person = end == SINK_DENIED || end == SINK_DISK;
    unsigned wait;

    atomic_fetch_add(&k->failures[end], 1);
    k->backoff_ms = k->backoff_ms == 0 ? MIN_BACKOFF_MS : k->backoff_ms * 2;
    if (end == SINK_DENIED || k->backoff_ms > MAX_BACKOFF_MS)
        k->backoff_ms = MAX_BACKOFF_MS;
    /* Up to a quarter more, so that many gateways do not come back at once. */
    wait = k->backoff_ms + (unsigned)(now / 1024 % (k->backoff_ms / 4));
    if (call->wait_ms > wait)
        wait = bounded(call->wait_ms);
    k->retry_ns = now + wait * GW_NS_PER_MS;
    atomic_store(&k->up, false);
    gw_log(person ? GW_LOG_ERROR : GW_LOG_WARN, "audit_sink_failed",
           "sink=%s reason=%s why=\"%s\" retry_ms=%u undelivered=%" PRIu64, k->name,
           sink_end_name(end), call->why, wait,
           (uint64_t)atomic_load(&k->a->spool->sinks[k->index].undelivered));
    core_sink_fails(k->a, &k->trouble, person);
}

/* Records that were deleted before this sink had read them, because it yields. */
static void note_skipped(struct sink *k)
{
    atomic_uint_fast64_t *undelivered = &k->a->spool->sinks[k->index].undelivered;
    uint64_t all = 0, more, waiting;

    for (unsigned i = 0; i < k->b.n_feeds; i++)
        all += atomic_load(&k->b.feeds[i].mark->lost);
    more = all - k->skipped;
    if (more == 0)
        return;
    k->skipped = all;
    atomic_store(&k->lost, all);
    waiting = atomic_load(undelivered);
    atomic_fetch_sub(undelivered, more < waiting ? more : waiting);
    gw_log(GW_LOG_ERROR, "audit_sink_gap", "sink=%s records=%" PRIu64, k->name, more);
    core_sink_gap(k->a, &k->trouble, more);
}

/* ---- delivering -------------------------------------------------------------------------------- */

static bool give_up(const void *ctx)
{
    const struct sink *k = ctx;

    return atomic_load(&k->stopping) && gw_clock_ns() >= atomic_load(&k->stop_ns);
}

/* Puts away what is refused for good, as far as that is to be believed. */
static enum sink_end bury(struct sink *k, struct sink_call *call, enum sink_end end)
{
    for (unsigned i = 0; i < call->n; i++) {
        struct sink_record *r = &call->records[i];

        if (r->fate != SINK_REFUSES)
            continue;
        if (k->refused >= MAX_REFUSED) {
            (void)snprintf(call->why, sizeof(call->why),
                           "%d records in a row were refused and none was taken: it is not them",
                           MAX_REFUSED);
            return SINK_DENIED;
        }
        if (!core_dead_letter(k->a, k->name, r->json, call->why)) {
            (void)snprintf(call->why, sizeof(call->why), "the dead letters cannot be written");
            return SINK_DISK;
        }
        r->fate = SINK_TAKEN;
        k->refused++;
        atomic_fetch_add(&k->dead, 1);
    }
    return end;
}

static unsigned count_fate(const struct sink_call *call, enum sink_fate fate)
{
    unsigned n = 0;

    for (unsigned i = 0; i < call->n; i++)
        n += call->records[i].fate == fate;
    return n;
}

static void deliver(struct sink *k)
{
    struct sink_call call = {.give_up = give_up, .ctx = k};
    enum sink_end end;
    unsigned taken, buried;
    bool waits;

    sink_batch_call(&k->b, k->limit, &call);
    end = k->cfg.ops->deliver(k->cfg.self, &call);
    if (end == SINK_REFUSED && call.n > 1) {
        atomic_fetch_add(&k->failures[SINK_REFUSED], 1);
        k->limit = call.n / 2;
        return;
    }
    if (end == SINK_REFUSED) {
        call.records[0].fate = SINK_REFUSES;
        end = SINK_DONE;
    }
    taken = count_fate(&call, SINK_TAKEN);
    if (taken != 0)
        k->refused = 0;
    buried = k->refused;
    end = bury(k, &call, end);
    if (taken != 0)
        k->backoff_ms = 0;
    waits = count_fate(&call, SINK_WAITS) != 0;
    sink_batch_settle(&k->b);
    atomic_fetch_add(&k->delivered, taken);
    if (end == SINK_STOPPED || (end == SINK_DONE && waits && k->refused != buried))
        return; /* the rest may have waited for those that were refused: again at once */
    if (end == SINK_DONE && waits && taken == 0)
        end = SINK_BUSY;
    if (end != SINK_DONE) {
        failed(k, end, &call);
        return;
    }
    succeeded(k);
    if (waits) { /* some were taken, some are to come again */
        atomic_fetch_add(&k->failures[SINK_BUSY], 1);
        k->retry_ns =
            gw_clock_ns() +
            (call.wait_ms > PARTIAL_MS ? bounded(call.wait_ms) : PARTIAL_MS) * GW_NS_PER_MS;
        return;
    }
    k->limit = k->limit < k->b.max / 2 ? k->limit * 2 : k->b.max;
}

/* ---- the thread -------------------------------------------------------------------------------- */

static bool due(const struct sink *k, uint64_t now, bool full)
{
    if (k->b.n == 0 || now < k->retry_ns)
        return false;
    return full || k->trouble.since_ns != 0 || k->limit < k->b.max || atomic_load(&k->stopping) ||
           now - k->b.since_ns >= k->cfg.batch_ms * GW_NS_PER_MS;
}

static void settle_figures(struct sink *k)
{
    uint64_t passed = sink_batch_passed(&k->b);

    if (passed != 0)
        atomic_fetch_sub(&k->a->spool->sinks[k->index].undelivered, passed);
    note_skipped(k);
    atomic_store(&k->left_out, k->b.left_out);
    atomic_store(&k->oldest_ms, sink_batch_oldest(&k->b));
}

/* True: there is more to do at once. */
static bool turn(struct sink *k, uint64_t now)
{
    bool full, went;

    if (atomic_exchange(&k->reopen, false)) {
        k->retry_ns = 0; /* somebody may have mended what was wrong */
        if (k->cfg.ops->reopen != NULL)
            k->cfg.ops->reopen(k->cfg.self);
    }
    if (atomic_load(&k->stopping) && !k->hurried) {
        k->hurried = true;
        k->retry_ns = 0;
    }
    full = sink_batch_fill(&k->b);
    settle_figures(k);
    went = due(k, now, full);
    if (went) {
        deliver(k);
        settle_figures(k);
    }
    if (feeds_moved(k->b.feeds, k->b.n_feeds) &&
        gw_clock_ns() - k->cursor_ns >= CURSOR_MS * GW_NS_PER_MS) {
        k->cursor_ns = gw_clock_ns();
        feeds_save(k->b.feeds, k->b.n_feeds, k->name);
        core_wake_writer(k->a); /* delivered segments may go */
    }
    return went;
}

static int ms_until(uint64_t when, uint64_t now)
{
    return when <= now ? 0 : (int)((when - now) / GW_NS_PER_MS) + 1;
}

static int shorter(int a, int b)
{
    return a < 0 ? b : a < b ? a : b;
}

/* How long to sleep, when nothing wakes us; -1: until somebody does. */
static int nap_ms(struct sink *k, uint64_t now)
{
    bool more = feeds_waiting(k->b.feeds, k->b.n_feeds);
    int ms = -1;

    if (k->b.n != 0 && k->retry_ns > now)
        ms = ms_until(k->retry_ns, now);
    else if (k->b.n != 0 || more)
        ms = FILL_MS;
    if (feeds_moved(k->b.feeds, k->b.n_feeds))
        ms = shorter(ms, ms_until(k->cursor_ns + CURSOR_MS * GW_NS_PER_MS, now));
    if (atomic_load(&k->stopping))
        ms = shorter(ms, ms_until(atomic_load(&k->stop_ns), now));
    if (k->cfg.yields && k->b.n != 0)
        ms = shorter(ms, LOOK_MS);
    if (!more && k->b.n == 0) { /* else it looks by itself: who writes records need not wake it */
        atomic_store(&k->sleeping, true);
        if (feeds_waiting(k->b.feeds, k->b.n_feeds)) { /* it came between the two looks */
            atomic_store(&k->sleeping, false);
            ms = 0;
        }
    }
    return ms;
}

static bool finished(struct sink *k, uint64_t now)
{
    if (!atomic_load(&k->stopping))
        return false;
    return now >= atomic_load(&k->stop_ns) ||
           (k->b.n == 0 && !feeds_waiting(k->b.feeds, k->b.n_feeds));
}

static void *sink_run(void *arg)
{
    struct sink *k = arg;

    for (;;) {
        struct pollfd p = {k->wake_fd, POLLIN, 0};
        uint64_t now = gw_clock_ns(), n;
        bool more = turn(k, now);

        if (finished(k, gw_clock_ns()))
            break;
        if (more)
            continue;
        (void)poll(&p, 1, nap_ms(k, gw_clock_ns()));
        atomic_store(&k->sleeping, false);
        while (read(k->wake_fd, &n, sizeof(n)) < 0 && errno == EINTR)
            continue;
    }
    feeds_save(k->b.feeds, k->b.n_feeds, k->name);
    return NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static void wake(struct sink *k)
{
    const uint64_t one = 1;

    while (write(k->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void sink_free(struct sink *k)
{
    if (k == NULL)
        return;
    k->cfg.ops->close(k->cfg.self);
    sink_batch_fini(&k->b);
    if (k->wake_fd >= 0)
        (void)close(k->wake_fd);
    free(k);
}

/* Takes cfg over when it returns one. */
static struct sink *sink_new(struct audit *a, const struct audit_sink *cfg, unsigned index)
{
    struct sink *k = calloc(1, sizeof(*k));

    if (k == NULL)
        return NULL;
    k->a = a;
    k->cfg = *cfg;
    (void)snprintf(k->name, sizeof(k->name), "%s", cfg->name);
    (void)snprintf(k->kind, sizeof(k->kind), "%s", cfg->kind);
    k->cfg.name = k->name;
    k->trouble.sink = k->name;
    k->cfg.kind = k->kind;
    k->index = index;
    k->limit = cfg->batch_records;
    atomic_store(&k->up, true);
    k->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->wake_fd >= 0 && sink_batch_init(&k->b, a->spool, index, cfg) == GW_OK &&
        pthread_create(&k->thread, NULL, sink_run, k) == 0) {
        k->thread_runs = true;
        return k;
    }
    sink_batch_fini(&k->b);
    if (k->wake_fd >= 0)
        (void)close(k->wake_fd);
    free(k);
    return NULL;
}

enum gw_status sinks_open(struct audit *a, const struct audit_sink *list, unsigned n,
                          unsigned first, struct sinks **out, struct gw_err *err)
{
    struct sinks *s = calloc(1, sizeof(*s));
    unsigned i = 0;

    if (s != NULL)
        s->list = calloc(n, sizeof(struct sink *));
    if (s != NULL && s->list != NULL)
        while (i < n && (s->list[i] = sink_new(a, &list[i], first + i)) != NULL)
            s->n = ++i;
    if (i == n) {
        *out = s;
        return GW_OK;
    }
    for (unsigned k = i; k < n; k++)
        list[k].ops->close(list[k].self);
    sinks_stop(s, 0);
    sinks_close(s);
    return gw_fail(err, GW_ENOMEM, "audit.sinks: no memory, descriptor or thread for %s",
                   list[i].name);
}

void sinks_stop(struct sinks *s, int drain_ms)
{
    uint64_t until = gw_clock_ns() + (drain_ms > 0 ? (unsigned)drain_ms : 0) * GW_NS_PER_MS;

    for (unsigned i = 0; s != NULL && i < s->n; i++) {
        atomic_store(&s->list[i]->stop_ns, until);
        atomic_store(&s->list[i]->stopping, true);
        wake(s->list[i]);
    }
}

void sinks_close(struct sinks *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n; i++) {
        if (s->list[i]->thread_runs)
            (void)pthread_join(s->list[i]->thread, NULL);
        sink_free(s->list[i]);
    }
    free((void *)s->list);
    free(s);
}

void sinks_wake(struct sinks *s)
{
    for (unsigned i = 0; s != NULL && i < s->n; i++)
        if (atomic_load(&s->list[i]->sleeping) && atomic_exchange(&s->list[i]->sleeping, false))
            wake(s->list[i]);
}

void sinks_reopen(struct sinks *s)
{
    for (unsigned i = 0; s != NULL && i < s->n; i++) {
        atomic_store(&s->list[i]->reopen, true);
        wake(s->list[i]);
    }
}

_Static_assert(SINK_ENDS <= sizeof((struct audit_sink_stats){0}.failures) / sizeof(uint64_t),
               "a figure for each reason");

/* ---- figures ----------------------------------------------------------------------------------- */

static void stats_of(struct sink *k, struct audit_sink_stats *out)
{
    int64_t oldest = atomic_load(&k->oldest_ms), now = gw_clock_wall_ms();

    *out = (struct audit_sink_stats){
        .up = atomic_load(&k->up),
        .delivered = atomic_load(&k->delivered),
        .left_out = atomic_load(&k->left_out),
        .undelivered = atomic_load(&k->a->spool->sinks[k->index].undelivered),
        .oldest_undelivered_ms = oldest == 0 || oldest > now ? 0 : (uint64_t)(now - oldest),
        .dead_letters = atomic_load(&k->dead),
        .skipped = atomic_load(&k->lost),
    };
    memcpy(out->name, k->name, sizeof(out->name));
    memcpy(out->kind, k->kind, sizeof(out->kind));
    for (unsigned i = 0; i < SINK_ENDS; i++)
        out->failures[i] = atomic_load(&k->failures[i]);
}

unsigned sinks_stats(struct sinks *s, struct audit_sink_stats *out, unsigned max)
{
    unsigned n = 0;

    for (; s != NULL && n < s->n && n < max; n++)
        stats_of(s->list[n], &out[n]);
    return n;
}
