/* audit/notice.c - records about the gateway and the auditing itself: degraded, recovered, gap, reloaded. Thread: the
 * slot's, but core_hand_life(), which hands its record to the writer: slot 0 is the writer's while it runs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/core.h"
#include "base/clock.h"
#include "base/log.h"

enum gw_status core_put_life(struct audit *a, struct spool_slot *s, const struct event_life *ev)
{
    const struct spool_entry e = {.kind = SPOOL_KIND_LIFECYCLE, .time_ms = ev->time_ms};
    struct gw_buf buf = {NULL, 0, 0, false};
    enum gw_status st = GW_ENOMEM;

    core_begin(&buf);
    event_write_life(&a->src, ev, &buf);
    if (gw_buf_ok(&buf)) {
        st = GW_ELIMIT;
        if (spool_reserve(a->spool, buf.len + SPOOL_TAIL_BYTES, SPOOL_ROOM_LIFE))
            st = spool_put(s, &buf, &e);
    }
    if (st != GW_OK)
        gw_log(GW_LOG_WARN, "audit_notice_failed", "event=%s status=%s", event_life_name(ev->kind),
               gw_status_name(st));
    gw_buf_fini(&buf);
    return st;
}

enum gw_status core_hand_life(struct audit *a, const struct event_life *ev)
{
    struct core_item *item = calloc(1, sizeof(*item));
    enum gw_status st = GW_ENOMEM;
    size_t reserved = 0;

    if (item == NULL)
        return GW_ENOMEM;
    item->entry = (struct spool_entry){.kind = SPOOL_KIND_LIFECYCLE, .time_ms = ev->time_ms};
    core_begin(&item->buf);
    event_write_life(&a->src, ev, &item->buf);
    if (gw_buf_ok(&item->buf)) {
        reserved = item->buf.len + SPOOL_TAIL_BYTES;
        st = spool_reserve(a->spool, reserved, SPOOL_ROOM_LIFE) ? GW_OK : GW_ELIMIT;
    }
    if (st == GW_OK) {
        st = gw_queue_push(a->queue, &item);
        if (st == GW_OK)
            return GW_OK; /* the writer's now */
        spool_unreserve(a->spool, reserved);
    }
    gw_buf_fini(&item->buf);
    free(item);
    return st;
}

enum gw_status audit_reloaded(struct audit *a, const struct audit_reload *r)
{
    const struct event_life ev = {.kind = r->ok ? EVENT_LIFE_RELOADED : EVENT_LIFE_RELOAD_REFUSED,
                                  .time_ms = gw_clock_wall_ms(),
                                  .reload = r};

    return core_hand_life(a, &ev);
}

/* The cap: reached, or left again. */
static void notice_full(struct audit *a, struct spool_slot *s)
{
    struct core_full *full = &a->full[s->index];
    struct spool *sp = a->spool;
    struct event_life ev = {.time_ms = gw_clock_wall_ms(), .cause = GW_SPAN("spool_full")};

    if (!atomic_load(&full->full))
        return;
    ev.since_ms = atomic_load(&full->since_ms);
    if (!full->noted) {
        full->noted = true;
        ev.kind = EVENT_LIFE_DEGRADED;
        gw_log(GW_LOG_ERROR, "audit_spool_full", "used_bytes=%" PRIu64 " max_bytes=%" PRIu64,
               (uint64_t)atomic_load(&sp->used_bytes), sp->max_bytes);
        (void)core_put_life(a, s, &ev);
    }
    if (spool_room_left(sp) < sp->max_bytes / 32)
        return;
    full->noted = false;
    atomic_store(&full->full, false);
    ev.kind = EVENT_LIFE_RECOVERED;
    ev.records = atomic_exchange(&full->refused, 0);
    gw_log(GW_LOG_INFO, "audit_spool_room", "refused=%" PRIu64, ev.records);
    (void)core_put_life(a, s, &ev);
    if (a->on_full == AUDIT_ON_FULL_CONTINUE && ev.records != 0) {
        ev.kind = EVENT_LIFE_GAP;
        (void)core_put_life(a, s, &ev);
    }
}

/* Writes that failed, and work again. */
static void notice_failure(struct audit *a, struct spool_slot *s)
{
    struct event_life ev = {.time_ms = gw_clock_wall_ms(), .cause = GW_SPAN("write_failed")};
    uint64_t lost, from;
    int64_t since;

    if (!spool_recovered(s, &lost, &from, &since))
        return;
    gw_log(GW_LOG_INFO, "audit_spool_writable", "lost=%" PRIu64, lost);
    ev.kind = EVENT_LIFE_DEGRADED;
    ev.since_ms = since;
    (void)core_put_life(a, s, &ev);
    ev.kind = EVENT_LIFE_RECOVERED;
    (void)core_put_life(a, s, &ev);
    if (lost != 0) {
        ev.kind = EVENT_LIFE_GAP;
        ev.records = lost;
        ev.from_sequence = from;
        ev.to_sequence = from + lost - 1;
        ev.chain = gw_span_str(s->chain);
        (void)core_put_life(a, s, &ev);
    }
}

void core_notice(struct audit *a, struct spool_slot *s)
{
    notice_failure(a, s);
    notice_full(a, s);
}

void core_last_notice(struct audit *a, struct spool_slot *s)
{
    struct core_full *full = &a->full[s->index];
    struct event_life ev = {.kind = EVENT_LIFE_GAP,
                            .time_ms = gw_clock_wall_ms(),
                            .since_ms = atomic_load(&full->since_ms),
                            .cause = GW_SPAN("spool_full"),
                            .records = atomic_exchange(&full->refused, 0)};

    if (a->on_full == AUDIT_ON_FULL_CONTINUE && ev.records != 0)
        (void)core_put_life(a, s, &ev);
}
