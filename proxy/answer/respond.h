/* proxy/answer/respond.h - the answer's way back to the client, whatever it comes from.
 *
 *   target speaks the client's dialect:  bytes as they come, but for what a filter changes (restream.c, filter_json)
 *   another dialect:                     bytes -> events (api_reader) -> translate.c -> bytes
 *   engine:                              events -> translate.c -> bytes
 *
 * Response headers that SDKs read survive. What must be complete before it can be judged is collected, bounded. Worker's
 * thread. */
#ifndef PROXY_RESPOND_H
#define PROXY_RESPOND_H

#include "base/err.h"
#include "base/span.h"
#include "proxy/api/api.h"
#include "proxy/http/http1.h"

struct req;
struct respond;

/* The final head came: writes the client's head (or waits for the whole body when its length will change). */
enum gw_status respond_begin(struct req *req, unsigned status, const struct http1_field *fields,
                             unsigned n_fields, int64_t length);
/* GW_EDENIED: policy blocks the answer; the others: it cannot be read. The caller ends it with respond_cut(). */
enum gw_status respond_data(struct req *req, struct gw_span bytes);
/* The body is complete. The caller ends the connection's answer. GW_EDENIED, GW_ELIMIT, GW_ENOMEM, GW_EPARSE; GW_ENOENT: the
 * stream of a model ended without an event. */
enum gw_status respond_end(struct req *req);

/* The answer comes in events; the last one is END. */
enum gw_status respond_begin_events(struct req *req);
enum gw_status respond_event(struct req *req, const struct api_event *ev);

/* The answer broke off: an error in the client's dialect, in the stream or, while nothing was sent, as the answer.
 * False: the client must see a cut message. */
bool respond_cut(struct req *req, const struct api_failure *failure);
/* What the client got: its type and its body, which belong to the answer. False: it was not copied (nobody would keep it,
 * or it is too large). */
bool respond_copy(const struct req *req, struct gw_span *type, struct gw_span *body);
/* An estimate of the tokens of a conversation that was asked for; 0 for other calls. */
uint64_t respond_prompt_tokens(const struct req *req);
/* Nobody waits for the answer any more: what was seen until now is for the record. */
void respond_abandon(struct req *req);
/* True when the answer told the client of an error inside it. */
bool respond_failed(const struct req *req);
void respond_free(struct respond *r); /* r may be NULL */

#endif
