/* proxy/api/api_chat.c - OpenAI's chat completions as a dialect: its table of functions (api_private.h). Pure; any thread. */
#include "proxy/api/api_chat_private.h"

const struct api_ops api_chat_ops = {
    .name = "openai",
    .title = "OpenAI's Chat Completions",
    .read_request = api_chat_read,
    .write_request = api_chat_write,
    .reader_size = sizeof(struct api_chat_reading),
    .read_whole = api_chat_read_whole,
    .read_event = api_chat_read_event,
    .read_end = api_chat_read_end,
    .reader_fini = api_chat_reader_fini,
    .writer_size = sizeof(struct api_chat_writing),
    .put = api_chat_put,
    .write_error = api_chat_write_error,
    .write_stream_error = api_chat_write_stream_error,
    .read_error = api_chat_read_error,
    .look = api_chat_look,
};
