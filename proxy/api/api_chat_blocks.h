/* proxy/api/api_chat_blocks.h - the blocks of one choice of a chat answer.
 *
 * OpenAI's deltas name what they belong to (content, refusal, a tool call's index) and may go to and fro; blocks of events
 * follow one another. A tool call is a block until its arguments are a complete object; what comes for another call before
 * that waits in memory, at most 16 MiB an answer and 256 calls a choice, and follows when the first is complete or the choice ends. */
#ifndef PROXY_API_CHAT_BLOCKS_H
#define PROXY_API_CHAT_BLOCKS_H

#include "proxy/api/api_chat_private.h"

struct api_chat_choice;

/* answer_id: for the ids of calls that come without. NULL: out of memory. */
struct api_chat_choice *api_chat_choice_new(struct api_reader *r, unsigned index,
                                            struct gw_span answer_id);
void api_chat_choice_free(struct api_chat_choice *c); /* c may be NULL */

/* More text (a string node) of a kind that is not TOOL. Empty ones say nothing. */
enum gw_status api_chat_text(struct api_chat_choice *c, enum api_block kind,
                             const struct gw_json_node *text);
/* More of a tool call: its object and the function in it. position: its place in a whole answer, or -1: by its "index". */
enum gw_status api_chat_call(struct api_chat_choice *c, const struct gw_json_node *call,
                             const struct gw_json_node *function, int position);
/* Ends the blocks and the choice; once. */
enum gw_status api_chat_choice_finish(struct api_chat_choice *c, enum api_finish finish);
bool api_chat_choice_finished(const struct api_chat_choice *c);

#endif
