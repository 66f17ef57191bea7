/* audit/sink.h - a place besides Kafka that the records go to: how one is written, and those that need no network.
 *
 *   spool --> reader, filter --> batch --> deliver() --> fates --> cursor.NAME
 *                                  ^                       |
 *                                  +-- after a back-off <--+ what waits
 *
 * Each sink has a thread of its own that reads the spool from its own cursor, in the order of each chain. A batch is
 * settled before the next begins: every record of it was taken, or stands in dead-letter.NAME.jsonl. So delivery is at
 * least once, and memory is one batch however long the receiver is away. A segment of the spool is deleted only when
 * every sink has passed it, but for sinks that yield. */
#ifndef AUDIT_SINK_H
#define AUDIT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* Which records: bits of the class of a record. */
enum audit_class {
    AUDIT_CLASS_DECIDED = 1,
    AUDIT_CLASS_COMPLETED = 2,
    AUDIT_CLASS_FINDING = 4,
    AUDIT_CLASS_SHADOW = 8,
    AUDIT_CLASS_LIFECYCLE = 16, /* the gateway's own, changes of keys among them */
    AUDIT_CLASS_ALL = 31
};

/* How a call ended. */
enum sink_end {
    SINK_DONE,    /* the receiver answered: see the fates */
    SINK_CONNECT, /* not reached, or the connection broke */
    SINK_TLS,     /* its certificate, or ours, or the protocol */
    SINK_TIMEOUT,
    SINK_DENIED,  /* the credentials or the address are wrong: only a person can help */
    SINK_BUSY,    /* it asks to wait */
    SINK_SERVER,  /* its own error */
    SINK_ANSWER,  /* what it answered makes no sense */
    SINK_DISK,    /* a file cannot be written */
    SINK_REFUSED, /* the batch as a whole is refused for what it holds: it comes in halves, and a single record that is refused goes to the dead letters */
    SINK_STOPPED, /* give_up() said so */
    SINK_ENDS
};
const char *sink_end_name(enum sink_end end); /* "connect", ... as in the metrics */

enum sink_fate {
    SINK_WAITS, /* comes again */
    SINK_TAKEN,
    SINK_REFUSES, /* this one will never be taken */
};

enum { SINK_UID_BYTES = 40, SINK_CODE_BYTES = 33 };
struct sink_record {
    struct gw_span json; /* one JSON object on one line, without the newline */
    /* Of it: metadata.uid, metadata.event_code, severity_id. */
    char uid[SINK_UID_BYTES], code[SINK_CODE_BYTES];
    unsigned severity;
    int64_t time_ms;
    enum sink_fate fate; /* WAITS before the call */
};

/* One delivery. */
struct sink_call {
    struct sink_record *records; /* those of one chain in its order */
    unsigned n;
    bool (*give_up)(
        const void *ctx); /* asked at least every 200 ms while waiting: the gateway ends */
    const void *ctx;
    unsigned wait_ms; /* out: how long the receiver wants to be left alone; 0: it did not say */
    char
        why[200]; /* out: of everything but SINK_DONE, and of the last record refused; no secrets */
};

struct sink_ops {
    /* Blocks, but for a bounded time, and asks give_up. A record is TAKEN only when the receiver has it for good. */
    enum sink_end (*deliver)(void *self, struct sink_call *call);
    void (*reopen)(void *self); /* SIGHUP; may be NULL. Before the next delivery, on its thread. */
    void (*close)(void *self);  /* frees self */
};

/* A sink to be run. name and kind are copied. */
struct audit_sink {
    const char *name; /* 1 to 32 of a-z 0-9 _ -; of its cursor, dead letters, metrics */
    const char *kind; /* for metrics: "file", "splunk", ... */
    unsigned classes; /* AUDIT_CLASS_ bits */
    bool
        yields; /* when the spool is 90 % full, lose records of this sink rather than stop requests; a sluice.gap
                           record says how many */
    size_t batch_bytes; /* a batch ends at any of the three */
    unsigned batch_records, batch_ms;
    const struct sink_ops *ops;
    void *self;
};

/* A file of JSON lines, or standard output when path is NULL. The file is made with mode 0640 and appended to; sync: each
 * batch is on the disk before the cursor moves. Half a line that a crash left is taken away. GW_ENOMEM. */
enum gw_status audit_sink_file(const char *path, bool sync, struct audit_sink *out,
                               struct gw_err *err);

#endif
