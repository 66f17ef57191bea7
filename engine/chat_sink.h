/* engine/chat_sink.h - gathers a prompt and remembers which bytes came from messages. Private to
 * engine/chat*. One thread at a time. */
#ifndef ENGINE_CHAT_SINK_H
#define ENGINE_CHAT_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "engine/chat.h"

/* Starts as zeroes; chat_sink_finish() or chat_sink_fini() ends it. */
struct chat_sink {
    struct gw_buf text;
    struct chat_cut {
        size_t end; /* this part ends before text[end] */
        bool user;
    } * cuts; /* neighbours differ in user */
    size_t n_cuts, max_cuts;
    bool full; /* the output limit was hit; later text is dropped */
    bool failed;
};

enum { CHAT_MAX_PROMPT_BYTES = 16 << 20 };

/* Appends text; failures are kept and told by chat_sink_status(). */
void chat_sink_add(struct chat_sink *s, struct gw_span text, bool user);

/* GW_OK, GW_ELIMIT, GW_ENOMEM. */
enum gw_status chat_sink_status(const struct chat_sink *s);

/* Moves the result to *out, which the caller owns; on failure *out is unchanged. s is empty after. */
enum gw_status chat_sink_finish(struct chat_sink *s, struct chat_prompt *out);
void chat_sink_fini(struct chat_sink *s);

#endif
