/* audit/start.c - the first records of a start: started, what is missing, what a crash left open.
 *
 * Order: sluice.started, sluice.gap for damage, completed(gateway_lost) for every decided record without
 * an end, into the slot of the decided record; then all is made durable; then damaged bytes go to
 * quarantine. A crash anywhere in between is repeated by the next start: a gateway_lost record that is
 * durable closes its request, one that is not will be written again. Thread: the opener's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/core.h"
#include "audit/cursor.h"
#include "audit/spool_read.h"
#include "audit/spool_recover.h"
#include "base/clock.h"
#include "base/log.h"

/* Makes the slot durable as the configuration understands it. */
static enum gw_status settle(struct spool_slot *s, struct gw_err *err)
{
    if (!s->sp->process && spool_flush(s, true) != GW_OK)
        return gw_fail(err, GW_EIO, "audit spool: cannot write: %s", s->failed_why);
    return GW_OK;
}

static enum gw_status put_gaps(struct audit *a, const struct spool_recovery *rec)
{
    struct spool_slot *s = &a->spool->slots[0];

    for (size_t i = 0; i < rec->n_damages; i++) {
        const struct spool_damage *d = &rec->damages[i];
        char name[SPOOL_NAME_BYTES];
        struct event_life ev = {.kind = EVENT_LIFE_GAP,
                                .time_ms = gw_clock_wall_ms(),
                                .cause =
                                    d->torn ? GW_SPAN("torn_write") : GW_SPAN("damaged_segment"),
                                .chain = gw_span_str(d->chain),
                                .bytes = d->bytes};
        enum gw_status st;

        if (d->told)
            continue;
        spool_name(name, d->slot, d->segno);
        ev.segment = gw_span_str(name);
        ev.from_sequence = d->before + 1;
        if (d->after > d->before + 1)
            ev.to_sequence = d->after - 1;
        ev.records = d->missing;
        gw_log(GW_LOG_ERROR, "audit_gap", "segment=%s bytes=%" PRIu64 " cause=%.*s", name, d->bytes,
               (int)ev.cause.len, ev.cause.ptr);
        st = core_put_life(a, s, &ev);
        if (st == GW_EIO)
            return st;
    }
    return GW_OK;
}

/* The fields of a decided record that its end repeats. */
struct lost_texts {
    char id[EVENT_ID_BYTES], tenant[256], user[512], credential[512], model[512], target[512],
        target_model[512], zone[64], operation[512], host[512];
};

static void read_decided(struct gw_span record, struct lost_texts *t, struct audit_event *ev)
{
    ev->request_id = event_request_id(record, t->id);
    ev->tenant = event_str(record, "tenant_uid", t->tenant, sizeof(t->tenant));
    ev->user = event_str(record, "user.uid", t->user, sizeof(t->user));
    ev->credential_id = event_str(record, "credential_uid", t->credential, sizeof(t->credential));
    ev->model = event_str(record, "sluice.model", t->model, sizeof(t->model));
    ev->target = event_str(record, "sluice.target", t->target, sizeof(t->target));
    ev->target_model =
        event_str(record, "sluice.target_model", t->target_model, sizeof(t->target_model));
    ev->target_zone = event_str(record, "sluice.zone", t->zone, sizeof(t->zone));
    ev->operation = event_str(record, "operation", t->operation, sizeof(t->operation));
    ev->host = event_str(record, "url.hostname", t->host, sizeof(t->host));
}

static enum gw_status put_lost(struct audit *a, struct spool_slot *s, struct gw_span decided)
{
    struct lost_texts texts;
    struct audit_event ev = {.kind = AUDIT_COMPLETED,
                             .time_ms = gw_clock_wall_ms(),
                             .end = AUDIT_END_GATEWAY_LOST,
                             .error_text = GW_SPAN("the gateway ended before the request did")};
    struct gw_buf buf = {NULL, 0, 0, false};
    struct spool_entry e;
    enum gw_status st = GW_ENOMEM;

    read_decided(decided, &texts, &ev);
    e = core_entry(&ev);
    core_begin(&buf);
    event_write(&a->src, &ev, &buf);
    if (gw_buf_ok(&buf))
        st = spool_reserve(a->spool, buf.len + SPOOL_TAIL_BYTES, SPOOL_ROOM_END)
                 ? spool_put(s, &buf, &e)
                 : GW_ELIMIT;
    gw_buf_fini(&buf);
    return st;
}

/* Ends every request of the slot that is still open. */
static enum gw_status end_lost(struct audit *a, struct spool_slot *s, struct gw_err *err)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct openset_entry *open;
    const struct openset_entry *e;
    size_t n = 0, at = 0;
    enum gw_status st = GW_OK;

    if (s->open.len == 0)
        return GW_OK;
    /* A copy: writing the ends takes the entries out. */
    open = calloc(s->open.len, sizeof(*open));
    if (open == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory in recovery");
    while ((e = openset_next(&s->open, &at)) != NULL)
        open[n++] = *e;
    for (size_t i = 0; i < n && st != GW_EIO; i++) {
        struct spool_rec rec;

        if ((r.fd < 0 || r.segno != open[i].segno) &&
            spool_reader_open(&r, a->spool->dirfd, s->index, open[i].segno, NULL) != GW_OK)
            continue;
        r.off = open[i].offset;
        if (spool_reader_next(&r, &rec) != SPOOL_READ_REC)
            continue;
        for (uint32_t k = 0; k < open[i].count && st != GW_EIO; k++)
            st = put_lost(a, s, rec.payload);
        if (spool_wants_flush(s, SPOOL_MAX_PAYLOAD_BYTES) || s->unsynced.len > 1 << 20)
            st = settle(s, err);
    }
    free(open);
    spool_reader_fini(&r);
    if (st == GW_EIO)
        return gw_fail(err, GW_EIO, "audit spool: cannot write: %s", s->failed_why);
    if (st != GW_OK)
        gw_log(GW_LOG_WARN, "audit_lost_requests_not_ended", "slot=%u status=%s", s->index,
               gw_status_name(st));
    return GW_OK;
}

/* What a sink's cursor says, as far as it is about these segments. */
static void apply_cursor(struct spool *sp, unsigned sink)
{
    struct cursor_entry *entries = calloc(SPOOL_MAX_SLOTS, sizeof(*entries));
    struct spool_reader r = SPOOL_READER_CLOSED;
    size_t n = entries == NULL
                   ? 0
                   : cursor_load(sp->dirfd, sp->sinks[sink].name, entries, SPOOL_MAX_SLOTS);

    for (size_t i = 0; i < n; i++) {
        const struct cursor_entry *e = &entries[i];
        enum gw_status st;

        if (e->slot >= sp->n_slots || e->segno == 0)
            continue;
        st = spool_reader_open(&r, sp->dirfd, e->slot, e->segno, NULL);
        if (st == GW_OK && strcmp(r.header.chain, e->chain) != 0)
            continue; /* another spool's cursor */
        sp->slots[e->slot].marks[sink].cursor_segno = e->segno;
        sp->slots[e->slot].marks[sink].cursor_seq = e->seq;
    }
    spool_reader_fini(&r);
    free(entries);
}

enum gw_status core_start(struct audit *a, struct gw_err *err)
{
    struct spool *sp = a->spool;
    struct spool_recovery rec = {NULL, 0, 0, 0};
    struct event_life ev = {.kind = EVENT_LIFE_STARTED, .time_ms = gw_clock_wall_ms()};
    enum gw_status st;

    for (unsigned k = 0; k < sp->n_sinks; k++)
        apply_cursor(sp, k);
    GW_TRY(spool_recover(sp, &rec, err));
    spool_keep(sp, gw_clock_wall_ms());
    ev.spool_records = rec.n_records;
    ev.requests_lost = atomic_load(&sp->n_open);
    st = core_put_life(a, &sp->slots[0], &ev);
    if (st != GW_EIO)
        st = put_gaps(a, &rec);
    if (st == GW_EIO)
        st = gw_fail(err, GW_EIO, "audit spool: cannot write: %s", sp->slots[0].failed_why);
    else
        st = settle(&sp->slots[0], err);
    for (unsigned i = 0; i < sp->n_slots && st == GW_OK; i++) {
        st = end_lost(a, &sp->slots[i], err);
        if (st == GW_OK)
            st = settle(&sp->slots[i], err);
    }
    for (size_t i = 0; i < rec.n_damages && st == GW_OK; i++) {
        struct gw_err why;

        if (spool_repair(sp, &rec.damages[i], &why) != GW_OK)
            gw_log(GW_LOG_WARN, "audit_repair_failed", "reason=\"%s\"", why.text);
    }
    spool_recovery_fini(&rec);
    return st;
}
