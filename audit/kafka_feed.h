/* audit/kafka_feed.h - what was handed to the producer and is not acknowledged, slot by slot.
 *
 * A feed reads one slot in order, up to its durable position, and remembers each record that is on its
 * way in a ring. Acknowledgements come in any order; the slot's cursor moves to the lowest one that is
 * missing. Rewinding forgets the ring and reads again from the cursor. Thread: the sender's. */
#ifndef AUDIT_KAFKA_FEED_H
#define AUDIT_KAFKA_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/cursor.h"
#include "audit/spool.h"
#include "audit/spool_read.h"

struct feed_sent {
    spool_pos end; /* behind the record */
    uint64_t seq;
    int64_t time_ms;
    bool acked;
};

struct feed {
    struct spool_slot *slot;
    struct spool_mark *mark; /* of the sink in it; NULL: FEED_NO_SINK */
    struct spool_reader r;
    bool placed;       /* r stands where reading goes on */
    bool bounded;      /* r.until is where its segment ends for good */
    uint64_t last_seq; /* of the last record read in the chain of r */
    char chain[SPOOL_CHAIN_BYTES];

    struct feed_sent *ring; /* cap is a power of two or 0; entries [head, tail) */
    uint64_t head, tail;
    size_t cap;

    uint64_t acked_segno, acked_seq; /* the cursor */
    struct cursor_entry saved;       /* as it was last written */
    bool moved;                      /* the cursor is ahead of saved */
};

/* Reads for no sink: from the begin, or from where the caller sets acked_segno and acked_seq; nothing is acknowledged. */
enum { FEED_NO_SINK = SPOOL_MAX_SINKS };

/* Stands at the cursor that the sink of that index has in the slot. */
void feed_init(struct feed *f, struct spool_slot *slot, unsigned sink);
void feed_fini(struct feed *f);

/* The next durable record, or false when there is none now. rec is borrowed until the next call. */
bool feed_next(struct feed *f, struct spool_rec *rec);

/* Takes the record that feed_next() returned back: the next call returns it again. */
void feed_unread(struct feed *f, const struct spool_rec *rec);

/* Remembers that rec is on its way; *ticket names it in feed_ack(). False when out of memory. */
bool feed_push(struct feed *f, const struct spool_rec *rec, uint64_t *ticket);

/* Notes an acknowledgement; returns how many records the cursor moved over. */
unsigned feed_ack(struct feed *f, uint64_t ticket);

/* Forgets what is on its way and goes back to the cursor. */
void feed_rewind(struct feed *f);

/* True when durable records wait behind the reader. */
bool feed_waiting(const struct feed *f);

/* Of all feeds of a sink: whether records wait behind a reader, and whether a cursor has moved since it was saved. */
bool feeds_waiting(const struct feed *feeds, unsigned n);
bool feeds_moved(const struct feed *feeds, unsigned n);

/* Saves the cursors of all feeds of the sink of that name; a failure is logged and leaves the file before. */
void feeds_save(struct feed *feeds, unsigned n, const char *sink);

#endif
