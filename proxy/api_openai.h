/* proxy/api_openai.h - OpenAI's chat completions: what Sluice must know of a request, and how answers, streams
 * and errors look. Requests are forwarded as bytes; this only reads them.
 *
 * Shapes: OpenAI API reference, /v1/chat/completions, /v1/models. Pure functions; any thread. */
#ifndef PROXY_API_OPENAI_H
#define PROXY_API_OPENAI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "engine/engine.h"

struct api_message {
    struct gw_span role;    /* decoded */
    struct gw_span content; /* the text parts, joined with newlines; decoded */
};

/* A chat request as far as routing and the local engine need it. All spans live in the arena or the body. */
struct api_chat {
    struct gw_span model;
    struct api_message *messages;
    unsigned n_messages;
    bool stream, include_usage;
    unsigned n_tools;
    bool has_schema; /* response_format other than text */
    struct engine_params params;
    unsigned n; /* choices asked for; 1 by default */
    const char
        *local_unsupported; /* first parameter that the local engine cannot honour, or NULL */
};

/* Reads a chat request that already passed the strict tokenizer once. GW_EINVAL with a message that names the
 * parameter ("messages[2].role must be a string"); GW_ENOMEM. *param gets the parameter's name. */
enum gw_status api_chat_parse(struct gw_json *json, struct gw_arena *arena, struct gw_span body,
                              struct api_chat *out, const char **param, struct gw_err *err);

/* Copies body to out with the top-level "model" value replaced. GW_EPARSE when there is none. */
enum gw_status api_replace_model(struct gw_json *json, struct gw_span body, struct gw_span model,
                                 struct gw_buf *out);

/* {"error":{"message":...,"type":...,"param":...,"code":...}}; param and code may be NULL. */
void api_error(struct gw_buf *out, const char *message, const char *type, const char *param,
               const char *code);

/* ---- answers of the local engine ------------------------------------------------------------ */

struct api_answer {
    const char *id;  /* "chatcmpl-..." */
    int64_t created; /* seconds since 1970 */
    struct gw_span model;
    const char *finish_reason; /* "stop", "length" */
    uint64_t prompt_tokens, completion_tokens;
};

/* A whole answer. */
void api_answer_json(struct gw_buf *out, const struct api_answer *a, struct gw_span content);
/* Stream events, "data: {...}\n\n": the first (role), a piece of text, the last, usage, "[DONE]". */
void api_stream_begin(struct gw_buf *out, const struct api_answer *a);
void api_stream_text(struct gw_buf *out, const struct api_answer *a, struct gw_span content);
void api_stream_end(struct gw_buf *out, const struct api_answer *a, bool usage);
/* An error inside a stream, in the shape the SDKs raise. */
void api_stream_error(struct gw_buf *out, const char *message, const char *type, const char *code);

/* ---- reading answers of providers ---------------------------------------------------------- */

/* What the record wants to know of a whole answer or of one stream event; fields that are not there stay as they
 * are. Lenient: an answer that is not understood is passed on all the same. */
struct api_usage {
    uint64_t prompt_tokens, completion_tokens;
    char finish_reason[24], model[64];
};
void api_read_usage(struct gw_json *json, struct gw_span body, struct api_usage *out);

#endif
