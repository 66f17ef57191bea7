/* proxy/api_chat.c - OpenAI's chat completions as a dialect: its table of functions (api_private.h). Pure; any thread. */
#include "proxy/api_chat_private.h"

const struct api_ops api_chat_ops = {
    .name = "openai",
    .title = "OpenAI's Chat Completions",
    .write_error = api_chat_write_error,
    .write_stream_error = api_chat_write_stream_error,
    .read_error = api_chat_read_error,
};
