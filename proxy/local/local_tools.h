/* proxy/local/local_tools.h - tools for the local model, which knows only text: definitions, calls and results are written into
 * the prompt in the form that Hermes and Qwen models are trained on, and calls are read out of the answer's text.
 *
 * local_tools.c writes the prompt, local_tools_parse.c reads the answer. Pure: no I/O. Thread: any, one at a time per
 * object. */
#ifndef PROXY_LOCAL_TOOLS_H
#define PROXY_LOCAL_TOOLS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "engine/engine.h"
#include "proxy/api/api.h"

/* ---- the prompt --------------------------------------------------------------------------- */

/* The tools that the model is shown and may call: none with tool_choice none, one with a named choice. GW_EINVAL: the
 * choice needs a tool that was not given. *tools points into asked. */
enum gw_status local_tools_shown(const struct api_request *asked, const struct api_tool **tools,
                                 unsigned *n_tools, struct gw_err *err);

/* True when the answer may make one call at most. */
bool local_tools_single(const struct api_request *asked);

/* The conversation as messages for the engine: the tools described at the end of the first system message (a new one
 * when the conversation does not begin with one), calls and results as texts. Messages of one role in a row are joined
 * when one of them holds a call or a result, since templates may demand that user and assistant take turns. The arena's;
 * parts that are neither text nor tools are the caller's to refuse. GW_ENOMEM. */
enum gw_status local_tools_messages(const struct api_request *asked, const struct api_tool *tools,
                                    unsigned n_tools, struct gw_arena *arena,
                                    struct engine_message **out, unsigned *n_out,
                                    struct gw_err *err);

/* ---- the answer --------------------------------------------------------------------------- */

#define LOCAL_TOOLS_CALL_BEGIN "<tool_call>"
#define LOCAL_TOOLS_CALL_END   "</tool_call>"

/* A call, tags included, that is longer is text. */
enum { LOCAL_TOOLS_MAX_CALL = 65536 };

/* Text of the model in, blocks of events out: TEXT blocks, begun when there is text, and a TOOL block for each call. A
 * call is LOCAL_TOOLS_CALL_BEGIN, a strict JSON object with the "name" of a tool that was shown and "arguments" (an
 * object, or a string that holds one), and LOCAL_TOOLS_CALL_END or the end of the answer. Anything else is text,
 * unchanged. Text goes out at once: held back is only what may become a call, and white space that stands between calls
 * or before the first one, which is dropped when nothing but calls is around it. */
struct local_parse;

struct local_parse_config {
    const struct api_tool *tools; /* outlives the parser */
    unsigned n_tools;             /* 0: all is text */
    bool single;                  /* nothing is taken behind the first call */
    unsigned says;                /* of the model: ENGINE_SAYS_..., engine.h */
    const char *id;               /* of the request: calls are "call_ID_0", "call_ID_1", ... */
    api_event_fn fn;              /* gets BLOCK, DELTA and BLOCK_END; must not free the parser */
    void *ctx;
};
struct local_parse *local_parse_new(const struct local_parse_config *cfg); /* NULL: out of memory */
void local_parse_free(struct local_parse *p);                              /* p may be NULL */

/* Takes more text. GW_ENOMEM, or what fn said; then the parser is of no more use. */
enum gw_status local_parse_text(struct local_parse *p, struct gw_span text);
/* The answer is complete: gives the rest and ends the open block. An answer of nothing is an empty TEXT block. */
enum gw_status local_parse_end(struct local_parse *p);
/* Calls so far. */
unsigned local_parse_calls(const struct local_parse *p);
/* For fn, at a DELTA of a TEXT block: where its text begins in all that was taken, in bytes. */
size_t local_parse_at(const struct local_parse *p);

#endif
