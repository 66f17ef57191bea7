/* audit/query.c - `sluice audit query` and `export`: the records that match, in one pass over the spool, or in two where whole
 * requests are wanted. Thread: the caller's. */
#include "audit/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/event_read.h"
#include "audit/openset.h"
#include "audit/query_filter.h"
#include "audit/records.h"
#include "audit/tail.h"

struct asking {
    const struct audit_query *q;
    struct audit_query_result *result;
    FILE *out;
    struct gw_err *err;
    uint32_t given;        /* conditions */
    struct openset wanted; /* whole_requests: what each fulfils, in `offset` */
    struct gw_buf line;
};

static void looked_at(struct asking *a, const struct spool_rec *rec)
{
    a->result->read++;
    a->result->bytes += rec->payload.len;
}

/* The first pass: notes what each request fulfils, in one record or another. */
static enum gw_status note(void *ctx, const struct spool_rec *rec)
{
    struct asking *a = ctx;
    const uint32_t held = query_held(&a->q->filter, rec, true);
    char bytes[EVENT_ID_BYTES];
    struct openset_entry *e;
    struct gw_span id;
    uint64_t one = 1;

    looked_at(a, rec);
    if (held == 0 && a->given != 0)
        return GW_OK;
    id = event_request_id(rec->payload, bytes);
    if (id.len == 0)
        return GW_OK;
    e = openset_find(&a->wanted, id);
    if (e != NULL)
        e->offset |= held;
    else if (!openset_add(&a->wanted, id, &one, held))
        return gw_fail(a->err, GW_ENOMEM, "audit query: out of memory: name a shorter time");
    return GW_OK;
}

static bool is_wanted(struct asking *a, const struct spool_rec *rec)
{
    const struct openset_entry *e;
    char bytes[EVENT_ID_BYTES];

    if (!a->q->whole_requests)
        return query_held(&a->q->filter, rec, false) == a->given;
    e = openset_find(&a->wanted, event_request_id(rec->payload, bytes));
    return e != NULL && e->offset == a->given;
}

static void count(struct audit_query_result *r, const struct spool_rec *rec)
{
    char bytes[32];
    struct gw_span zone;

    r->matched++;
    if (rec->kind != SPOOL_KIND_DECIDED)
        return;
    zone = event_str(rec->payload, "sluice.zone", bytes, sizeof(bytes));
    r->requests++;
    if (event_true(rec->payload, "sluice.blocked"))
        r->blocked++;
    else if (gw_span_is(zone, "process"))
        r->process++;
    else if (gw_span_is(zone, "private"))
        r->private_++;
    else if (gw_span_is(zone, "approved"))
        r->approved++;
}

static enum gw_status write_line(struct asking *a)
{
    if (!gw_buf_ok(&a->line))
        return gw_fail(a->err, GW_ENOMEM, "audit query: out of memory");
    if (a->line.len != 0 && fwrite(a->line.ptr, 1, a->line.len, a->out) != a->line.len)
        return gw_fail(a->err, GW_EIO, "audit query: cannot write the output: %s",
                       strerrordesc_np(errno));
    return GW_OK;
}

/* The pass that prints. */
static enum gw_status show(void *ctx, const struct spool_rec *rec)
{
    struct asking *a = ctx;

    looked_at(a, rec);
    if ((a->q->max != 0 && a->result->matched >= a->q->max) || !is_wanted(a, rec))
        return GW_OK;
    count(a->result, rec);
    gw_buf_clear(&a->line);
    switch (a->q->format) {
    case AUDIT_FORMAT_LINES:
        tail_line(rec, a->q->color, &a->line);
        break;
    case AUDIT_FORMAT_JSON:
        gw_buf_add(&a->line, rec->payload);
        gw_buf_addc(&a->line, '\n');
        break;
    case AUDIT_FORMAT_CSV:
        query_csv_row(rec, &a->line);
        break;
    }
    return write_line(a);
}

static enum gw_status pass(struct asking *a, records_fn each)
{
    /* A request's other records can be older than the time that was asked for. */
    const int64_t from_ms = a->q->whole_requests ? 0 : a->q->filter.from_ms;

    return records_each(a->q->spool_dir, a->q->kafka, from_ms, each, a, a->err);
}

static enum gw_status write_head(struct asking *a)
{
    gw_buf_clear(&a->line);
    if (a->q->format == AUDIT_FORMAT_CSV)
        query_csv_head(&a->line);
    else if (a->q->format == AUDIT_FORMAT_LINES && a->q->color)
        tail_heading(true, &a->line);
    return write_line(a);
}

enum gw_status audit_query(const struct audit_query *q, FILE *out,
                           struct audit_query_result *result, struct gw_err *err)
{
    struct asking a = {
        .q = q, .result = result, .out = out, .err = err, .given = query_given(&q->filter)};
    enum gw_status st = GW_OK;

    *result = (struct audit_query_result){0};
    if (q->whole_requests)
        st = pass(&a, note);
    result->read = result->bytes = 0;
    if (st == GW_OK)
        st = write_head(&a);
    if (st == GW_OK)
        st = pass(&a, show);
    if (st == GW_OK && fflush(out) != 0)
        st = gw_fail(err, GW_EIO, "audit query: cannot write the output: %s",
                     strerrordesc_np(errno));
    openset_fini(&a.wanted);
    gw_buf_fini(&a.line);
    return st;
}
