/* proxy/api_chat_private.h - what the files of OpenAI's two older dialects share: chat completions (api_chat_*.c) and
 * completions (api_completions.c), whose errors and envelopes are the same. */
#ifndef PROXY_API_CHAT_PRIVATE_H
#define PROXY_API_CHAT_PRIVATE_H

#include "proxy/api_private.h"

/* api_chat_error.c */
void api_chat_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out);
void api_chat_write_stream_error(const struct api_failure *f, struct gw_buf *out);
void api_chat_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                         struct api_failure *out);

#endif
