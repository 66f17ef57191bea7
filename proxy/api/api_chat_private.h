/* proxy/api/api_chat_private.h - what the files of OpenAI's two older dialects share: chat completions (api_chat_*.c) and
 * completions (api_completions.c), which have errors, answers' envelopes and many parameters in common. */
#ifndef PROXY_API_CHAT_PRIVATE_H
#define PROXY_API_CHAT_PRIVATE_H

#include "proxy/api/api_private.h"

/* ---- requests --------------------------------------------------------------------------- */

/* What is done with a top-level member; its value is not null. */
typedef enum gw_status (*api_chat_member_fn)(struct api_reading *r, const struct gw_json_node *v);
struct api_chat_member {
    const char *name;
    api_chat_member_fn read;
};

/* Reads the members of root by the tables, each ended by a name of NULL; others become extras. */
enum gw_status api_chat_members(struct api_reading *r, const struct gw_json_node *root,
                                const struct api_chat_member *own,
                                const struct api_chat_member *common);
/* "model", "stream", numbers, "stop", hints: of both dialects. */
extern const struct api_chat_member api_chat_common[];
/* GW_EINVAL unless a model is named. */
enum gw_status api_chat_need_model(struct api_reading *r, const struct gw_json_node *root);

enum gw_status api_chat_read(struct api_reading *r, const struct gw_json_node *root);
enum gw_status api_chat_read_messages(struct api_reading *r, const struct gw_json_node *messages);
enum gw_status api_chat_read_tools(struct api_reading *r, const struct gw_json_node *v);
enum gw_status api_chat_read_functions(struct api_reading *r, const struct gw_json_node *v);
enum gw_status api_chat_read_tool_choice(struct api_reading *r, const struct gw_json_node *v);
enum gw_status api_chat_read_function_call(struct api_reading *r, const struct gw_json_node *v);
enum gw_status api_chat_read_format(struct api_reading *r, const struct gw_json_node *v);
enum gw_status api_chat_note(struct api_reading *r, bool ok); /* GW_ENOMEM when not ok */

enum gw_status api_chat_write(struct api_writing *w);
enum gw_status api_chat_write_messages(struct api_writing *w);
/* True for the models that are known to take an effort of reasoning, by OpenAI's names. */
bool api_chat_is_reasoning(struct gw_span model);
/* The effort of reasoning: as asked for, or for the budget of tokens where the model takes one; the budget is named as
 * left out where not. */
struct gw_span api_chat_effort(struct api_writing *w);
/* The parameters both dialects have, but for the answer's length; and what neither has is refused. */
enum gw_status api_chat_write_common(struct api_writing *w);

/* ---- answers ---------------------------------------------------------------------------- */

/* The state of a reader of either dialect: choices by their index. */
struct api_chat_choice; /* api_chat_blocks.h */
struct api_chat_reading {
    struct api_chat_choice *choices[API_MAX_CHOICES]; /* NULL: nothing came for it */
    size_t held; /* bytes of all calls that are kept in memory */
};
enum gw_status api_chat_read_whole(struct api_reader *r, const struct gw_json_node *root);
enum gw_status api_chat_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                   const struct gw_json_node *root);
enum gw_status api_chat_read_end(struct api_reader *r);
void api_chat_reader_fini(struct api_reader *r);

/* What a stream said of a choice so far. */
struct api_chat_said {
    bool begun;       /* its first chunk, with the role, is out */
    bool arguments;   /* the open tool call had some */
    unsigned n_calls; /* begun */
    size_t n_chars;   /* of tokens that were told: where the next one's text begins */
};
/* The state of a writer of either dialect. */
struct api_chat_writing {
    struct api_kept kept; /* of a whole answer */
    struct api_chat_said choices[API_MAX_CHOICES];
};
enum gw_status api_chat_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out);
/* {"id":"PREFIX-ID","object":OBJECT,"created":...,"model":... without its end. */
void api_chat_put_envelope(const struct api_writer *w, const char *prefix, const char *object,
                           struct gw_buf *out);
void api_chat_put_usage(const struct api_usage *u, struct gw_buf *out);
const char *api_chat_finish(enum api_finish finish);

void api_chat_look(struct gw_json *json, struct gw_span data, struct api_seen *out);

/* ---- errors ----------------------------------------------------------------------------- */

void api_chat_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out);
void api_chat_write_stream_error(const struct api_failure *f, struct gw_buf *out);
void api_chat_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                         struct api_failure *out);

/* The end of a stream: usage when the client asked for it, and [DONE]. */
void api_chat_put_stream_end(const struct api_writer *w, const char *prefix, const char *object,
                             struct gw_buf *out);

/* Appends one choice of a whole answer, an object. */
typedef void (*api_chat_choice_fn)(const struct api_writer *w, unsigned index,
                                   const struct api_kept_choice *c, struct gw_buf *out);
/* A whole answer: envelope, choices, usage. */
void api_chat_put_whole(const struct api_writer *w, const char *prefix, const char *object,
                        api_chat_choice_fn fn, struct gw_buf *out);

#endif
