/* audit/sink_batch.h - the records of one sink that are on their way: taken from the spool, settled one by one.
 *
 * A batch holds copies. Records that the sink does not want are settled at once. Thread: the sink's. */
#ifndef AUDIT_SINK_BATCH_H
#define AUDIT_SINK_BATCH_H

#include "audit/kafka_feed.h"
#include "audit/sink.h"
#include "base/buf.h"

/* Where a record of the batch is from. */
struct sink_origin {
    unsigned feed;
    uint64_t ticket;
    size_t at, len; /* in bytes */
};

struct sink_batch {
    struct feed *feeds; /* a slot each */
    unsigned n_feeds, turn;
    struct gw_buf bytes;
    struct sink_record *records; /* n of max; json is set by sink_batch_call() */
    struct sink_origin *origins;
    unsigned n, max;
    size_t max_bytes;
    unsigned classes;  /* AUDIT_CLASS_ bits */
    uint64_t since_ns; /* when the first of them was taken */
    uint64_t left_out; /* records that the sink does not want, since open */
    uint64_t passed;   /* records that a cursor moved over since sink_batch_passed() */
};

/* GW_ENOMEM. */
enum gw_status sink_batch_init(struct sink_batch *b, struct spool *sp, unsigned sink,
                               const struct audit_sink *cfg);
void sink_batch_fini(struct sink_batch *b);

/* Takes what is there until the batch is full. True: it is, and should go. */
bool sink_batch_fill(struct sink_batch *b);

/* The first n records of the batch as a call. */
void sink_batch_call(struct sink_batch *b, unsigned n, struct sink_call *call);

/* Takes the records out whose fate is TAKEN. */
void sink_batch_settle(struct sink_batch *b);

/* Records passed since the last call. */
uint64_t sink_batch_passed(struct sink_batch *b);

/* Time of the oldest record in the batch, 0: none. */
int64_t sink_batch_oldest(const struct sink_batch *b);

#endif
