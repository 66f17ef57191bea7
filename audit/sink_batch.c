/* audit/sink_batch.c - see sink_batch.h. Owns the readers and the copies. */
#include "audit/sink_batch.h"

#include <stdlib.h>
#include <string.h>

#include "audit/event_read.h"
#include "base/clock.h"

enum {
    TURN = 64,          /* records of one slot before the next has its turn */
    MAX_WINDOW = 65536, /* records read and not settled, those that nobody wants among them */
};

enum gw_status sink_batch_init(struct sink_batch *b, struct spool *sp, unsigned sink,
                               const struct audit_sink *cfg)
{
    b->n_feeds = sp->n_slots;
    b->feeds = calloc(b->n_feeds, sizeof(*b->feeds));
    b->max = cfg->batch_records;
    b->max_bytes = cfg->batch_bytes;
    b->classes = cfg->classes;
    b->records = calloc(b->max, sizeof(*b->records));
    b->origins = calloc(b->max, sizeof(*b->origins));
    if (b->feeds == NULL || b->records == NULL || b->origins == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < b->n_feeds; i++)
        feed_init(&b->feeds[i], &sp->slots[i], sink);
    return GW_OK;
}

void sink_batch_fini(struct sink_batch *b)
{
    for (unsigned i = 0; b->feeds != NULL && i < b->n_feeds; i++)
        feed_fini(&b->feeds[i]);
    free(b->feeds);
    free(b->records);
    free(b->origins);
    gw_buf_fini(&b->bytes);
    *b = (struct sink_batch){0};
}

static unsigned class_of(enum spool_kind kind)
{
    return 1u << (kind - SPOOL_KIND_DECIDED); /* in the order of enum audit_class */
}

/* Reads what receivers want to know of a record beside its text. */
static void describe(struct sink_record *r, const struct spool_rec *rec)
{
    struct gw_span uid, code;
    uint64_t severity = 0;

    *r = (struct sink_record){.time_ms = rec->time_ms};
    uid = event_str(rec->payload, "metadata.uid", r->uid, sizeof(r->uid) - 1);
    r->uid[uid.len] = '\0';
    code = event_str(rec->payload, "event_code", r->code, sizeof(r->code) - 1);
    r->code[code.len] = '\0';
    if (event_num(rec->payload, "severity_id", &severity))
        r->severity = severity < 100 ? (unsigned)severity : 0;
}

/* Takes one record. False: it has no room, and comes again. */
static bool take(struct sink_batch *b, unsigned feed, const struct spool_rec *rec)
{
    struct feed *f = &b->feeds[feed];
    bool wanted = (b->classes & class_of(rec->kind)) != 0;
    uint64_t ticket;

    if (wanted && (b->n == b->max || (b->n != 0 && b->bytes.len + rec->payload.len > b->max_bytes)))
        goto no;
    if (wanted && !gw_buf_reserve(&b->bytes, rec->payload.len)) {
        b->bytes.failed = false; /* nothing was added: what is there is whole */
        goto no;
    }
    if (!feed_push(f, rec, &ticket))
        goto no;
    if (!wanted) {
        b->left_out++;
        b->passed += feed_ack(f, ticket);
        return true;
    }
    if (b->n == 0)
        b->since_ns = gw_clock_ns();
    b->origins[b->n] = (struct sink_origin){feed, ticket, b->bytes.len, rec->payload.len};
    describe(&b->records[b->n++], rec);
    gw_buf_add(&b->bytes, rec->payload);
    return true;
no:
    feed_unread(f, rec);
    return false;
}

/* All that was read and is not settled. */
static uint64_t window(const struct sink_batch *b)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < b->n_feeds; i++)
        n += b->feeds[i].tail - b->feeds[i].head;
    return n;
}

bool sink_batch_fill(struct sink_batch *b)
{
    unsigned idle = 0;

    while (idle < b->n_feeds) {
        struct feed *f = &b->feeds[b->turn];
        struct spool_rec rec;
        unsigned n = 0;

        if (window(b) >= MAX_WINDOW)
            return true;
        while (n < TURN && feed_next(f, &rec)) {
            if (!take(b, b->turn, &rec))
                return true;
            n++;
        }
        idle = n == 0 ? idle + 1 : 0;
        b->turn = (b->turn + 1) % b->n_feeds;
    }
    return b->n == b->max || b->bytes.len >= b->max_bytes;
}

void sink_batch_call(struct sink_batch *b, unsigned n, struct sink_call *call)
{
    for (unsigned i = 0; i < b->n; i++) {
        b->records[i].json = (struct gw_span){b->bytes.ptr + b->origins[i].at, b->origins[i].len};
        b->records[i].fate = SINK_WAITS;
    }
    call->records = b->records;
    call->n = n < b->n ? n : b->n;
}

void sink_batch_settle(struct sink_batch *b)
{
    unsigned left = 0;

    for (unsigned i = 0; i < b->n; i++) {
        if (b->records[i].fate == SINK_TAKEN) {
            b->passed += feed_ack(&b->feeds[b->origins[i].feed], b->origins[i].ticket);
            continue;
        }
        b->records[left] = b->records[i];
        b->origins[left++] = b->origins[i];
    }
    b->n = left;
    if (left == 0)
        gw_buf_clear(&b->bytes);
}

uint64_t sink_batch_passed(struct sink_batch *b)
{
    uint64_t n = b->passed;

    b->passed = 0;
    return n;
}

int64_t sink_batch_oldest(const struct sink_batch *b)
{
    int64_t oldest = 0;

    for (unsigned i = 0; i < b->n; i++)
        if (oldest == 0 || b->records[i].time_ms < oldest)
            oldest = b->records[i].time_ms;
    return oldest;
}
