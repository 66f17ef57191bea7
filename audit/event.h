/* audit/event.h - an event as one OCSF 1.8.0 JSON object.
 *
 *   AUDIT_DECIDED, AUDIT_COMPLETED  API Activity 6003, activity 99 Invoke, profiles ai_operation,
 *                                   security_control (and trace)
 *   AUDIT_FINDING                   Data Security Finding 2006, profile security_control
 *   AUDIT_SHADOW                    HTTP Activity 4002, profiles security_control, host
 *   AUDIT_CHANGED                   API Activity 6003, activity 1, 3, 4 or 99
 *   lifecycle                       Application Lifecycle 6002
 *
 * `metadata` is written last, `sequence` last in it, and `unmapped` in front of it, so that the thread that knows the order
 * can finish the object (audit/spool_link.h): what these functions append ends with `"sequence":`. Every text is cut to a
 * limit that keeps a record below SPOOL_MAX_PAYLOAD_BYTES whatever comes in; a cut record says so in
 * metadata.is_truncated and untruncated_size. Our own fields stand under unmapped.sluice. Thread: any. */
#ifndef AUDIT_EVENT_H
#define AUDIT_EVENT_H

#include <stdint.h>

#include "audit/audit.h"
#include "audit/event_read.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* What is the same in every record of a process. */
struct event_source {
    struct gw_buf product;  /* {"name":...} */
    struct gw_buf provider; /* ,"log_name":...,"log_provider":... */
    struct gw_buf models;   /* "models":[...] or empty */
    struct gw_buf digests;  /* "config_digest":...,"rules_digest":... or empty */
};

enum gw_status event_source_init(struct event_source *src, const struct audit_config *cfg,
                                 struct gw_err *err);
void event_source_fini(struct event_source *src);

/* Appends the record of ev (time_ms is set). */
void event_write(const struct event_source *src, const struct audit_event *ev, struct gw_buf *out);

enum event_life_kind {
    EVENT_LIFE_STARTED,
    EVENT_LIFE_STOPPED,
    EVENT_LIFE_GAP,       /* records or bytes are missing */
    EVENT_LIFE_DEGRADED,  /* auditing does not work as it should */
    EVENT_LIFE_RECOVERED, /* it does again */
    EVENT_LIFE_RELOADED,  /* the configuration was read anew */
    EVENT_LIFE_RELOAD_REFUSED,
};

/* A record about the gateway itself. Zeros and empty texts are left out. */
struct event_life {
    enum event_life_kind kind;
    int64_t time_ms;
    int64_t since_ms;                      /* when the trouble began */
    struct gw_span cause;                  /* "torn_write", "damaged_record", "spool_full", ... */
    struct gw_span chain, segment, sink;   /* where */
    uint64_t from_sequence, to_sequence;   /* first and last sequence that is missing */
    uint64_t records, bytes;               /* how many are missing */
    uint64_t spool_records, requests_lost; /* started: found in the spool; ended as gateway_lost */
    const struct audit_reload *reload;     /* reloaded, refused: what and by whom */
};

void event_write_life(const struct event_source *src, const struct event_life *ev,
                      struct gw_buf *out);
const char *event_life_name(enum event_life_kind kind); /* "sluice.started", ... */

#endif
