/* proxy/answer/restream.h - the texts in a stream of JSON events go through filters (filter.h) on their way to the client.
 *
 * Each text that grows over several events (a choice's content, a tool call's arguments) has a filter of its own,
 * found by its place in the event and the "index" members that providers give. What a filter holds back when its text
 * ends comes as one more event of the same shape. Bytes outside of changed texts stay as they came. Worker's thread. */
#ifndef PROXY_RESTREAM_H
#define PROXY_RESTREAM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "proxy/answer/filter.h"
#include "proxy/api/dialect.h"
#include "proxy/http/sse.h"

struct restream;

/* The events are of that dialect. cfg must outlive it; json is scratch that may be used between calls. NULL: out of
 * memory. */
struct restream *restream_new(const struct filter_config *cfg, enum api_dialect dialect,
                              struct gw_json *json);
void restream_free(struct restream *r); /* wipes; r may be NULL */

/* ---- event streams (SSE) ------------------------------------------------------------------ */

/* Appends what the client gets for this event. GW_OK (an event that is not JSON is copied); GW_EDENIED: policy blocks
 * the answer, the caller ends the stream in the client's dialect; GW_ENOMEM, GW_ELIMIT (more texts at once than any
 * provider sends): unknown, so nothing more may go out either. */
enum gw_status restream_event(struct restream *r, const struct sse_event *ev, struct gw_buf *out);
/* The stream ended: appends what is still held back. */
enum gw_status restream_finish(struct restream *r, struct gw_buf *out);
/* Appends what is held back although it may begin a finding (a timer's decision; see dlp_guard_release()). */
enum gw_status restream_release(struct restream *r, struct gw_buf *out);

/* ---- events in any frame (a JSON array) --------------------------------------------------- */

/* What becomes of an event: pieces, in order. */
struct restream_piece {
    struct gw_span name, data; /* valid during the call */
    bool same;                 /* the event as it came: its bytes can be copied */
    bool own;                  /* not the event: one more that carries what was held back */
};
/* Takes a piece; anything but GW_OK stops and is returned. */
typedef enum gw_status (*restream_piece_fn)(void *ctx, const struct restream_piece *p);

/* restream_event(), restream_finish() and restream_release() for a caller that does the framing. */
enum gw_status restream_data(struct restream *r, struct gw_span name, struct gw_span data,
                             restream_piece_fn fn, void *ctx);
enum gw_status restream_end(struct restream *r, restream_piece_fn fn, void *ctx);
enum gw_status restream_let_go(struct restream *r, restream_piece_fn fn, void *ctx);

/* Bytes held back that restream_release() would let go, of all texts. */
size_t restream_held(const struct restream *r);
/* Placeholders replaced so far. */
unsigned restream_count(const struct restream *r);

#endif
