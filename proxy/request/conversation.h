/* proxy/request/conversation.h - which conversation a request goes on with, without a session: by the ids that it names
 * (previous_response_id, conversation, container, cachedContent, a session in metadata), and by the history that it brings
 * along: what was said up to a message names the conversation up to there, and so does a long answer of a model.
 *
 * Names are keyed hashes of this gateway and of one caller, so nobody can ask about the conversations of others, and nothing of
 * a text can be read off them. Texts of the system are left out: programs put the date there. Pure but for the pins.
 * Thread: the worker's. */
#ifndef PROXY_CONVERSATION_H
#define PROXY_CONVERSATION_H

#include <stdbool.h>

#include "base/span.h"

struct req;

/* What the first message says that is no system text: the same in every turn of a conversation whose history the client brings
 * along. Empty where a provider keeps it, so that no request need say it: state by an id, stored responses, no chat. */
struct gw_span conversation_first(const struct req *req);

/* The zones that earlier requests of the conversation were limited to: false when there are none, or *zones. GW_ZONES_ALL is
 * never given. Out of memory: true and no zone, since it is not known. */
bool conversation_pinned(const struct req *req, unsigned *zones);

/* Keeps what follows in the zones, when the request was decided: conversations.ttl from now on. */
void conversation_pin(const struct req *req, unsigned zones);

/* The same under the id that the provider gave its answer; empty: none. */
void conversation_pin_answer(const struct req *req, struct gw_span id, unsigned zones);

#endif
