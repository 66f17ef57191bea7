/* proxy/restream.h - puts tokenized values back into the events of a JSON event stream.
 *
 * Each text that grows over several events (a choice's content, a tool call's arguments) has a restorer of its
 * own, found by its path in the event with array positions replaced by the "index" members that providers
 * give. What a restorer holds back when its text ends comes as one more event of the same shape. Bytes outside
 * the restored strings stay as they came. Worker's thread. */
#ifndef PROXY_RESTREAM_H
#define PROXY_RESTREAM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "dlp/dlp.h"
#include "proxy/sse.h"

struct restream;

/* vault must outlive it; json is scratch that may be used between calls. NULL: out of memory. */
struct restream *restream_new(const struct dlp_vault *vault, struct gw_json *json);
void restream_free(struct restream *r); /* wipes; r may be NULL */

/* Appends what the client gets for this event. GW_OK (an event that is not JSON is copied), GW_ENOMEM, GW_ELIMIT:
 * more texts at once than any provider sends. */
enum gw_status restream_event(struct restream *r, const struct sse_event *ev, struct gw_buf *out);

/* The stream ended: appends what is still held back. */
enum gw_status restream_finish(struct restream *r, struct gw_buf *out);

/* Placeholders replaced so far. */
unsigned restream_count(const struct restream *r);

#endif
