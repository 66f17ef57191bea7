/* audit/event_payload.c - the sealed text in a record: the one part that may be left out. Thread: any. */
#include "audit/audit.h"
#include "audit/event_json.h"
#include "audit/spool_format.h"

/* What may follow in the record: its own texts, the guards, the attempts. */
enum { LEFT_FOR_THE_REST = 100 * 1024 };

void event_write_payload(struct event_json *j, const struct audit_event *ev)
{
    bool was_ok = gw_buf_ok(j->b);

    if (ev->payload.len == 0)
        return;
    if (ev->no_payload ||
        j->b->len + ev->payload.len > SPOOL_MAX_PAYLOAD_BYTES - LEFT_FOR_THE_REST ||
        !gw_buf_reserve(j->b, ev->payload.len + 1024)) {
        /* The record without it is better than none: nothing was lost of what the buffer held. */
        if (was_ok)
            j->b->failed = false;
        j->cut += ev->payload.len;
        return;
    }
    event_key(j, EVENT_KEY("payload"));
    gw_buf_add(j->b, ev->payload);
}
