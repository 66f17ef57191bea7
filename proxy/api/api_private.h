/* proxy/api/api_private.h - what the dialects share among themselves. A dialect is one table of functions, filled in
 * api_NAME_*.c; api.c finds it and does what is the same for all. */
#ifndef PROXY_API_PRIVATE_H
#define PROXY_API_PRIVATE_H

#include "proxy/api/api.h"

/* ---- requests: reading ---------------------------------------------------------------------- */

/* A request being read. Lists grow by doubling in the arena. */
struct api_reading {
    struct gw_arena *arena;
    struct api_request *req;
    const char **param;
    struct gw_err *err;
};

/* New zeroed elements at the end of the lists; NULL when the arena is full. A pointer is valid until the next element of
 * the same list is added. */
struct api_message *api_add_message(struct api_reading *r, enum api_role role);
struct api_part *api_add_part(struct api_reading *r, struct api_message *m,
                              enum api_part_kind kind);
struct api_part *api_add_inner_part(struct api_reading *r, struct api_part *result,
                                    enum api_part_kind kind);
struct api_tool *api_add_tool(struct api_reading *r);
bool api_add_stop(struct api_reading *r, struct gw_span text);

/* Notes a member without a place here. fmt makes its path. False: out of memory. */
bool api_add_extra(struct api_reading *r, bool hint, const char *fmt, ...) GW_PRINTF(3, 4);
/* Notes the first ill-typed member: fmt makes its path, what is "must be a string". Always true but for memory. */
bool api_note_bad(struct api_reading *r, const char *what, const char *fmt, ...) GW_PRINTF(3, 4);
/* A number as written, or empty with a note when it is not one; null counts as not given. */
struct gw_span api_number(struct api_reading *r, const struct gw_json_node *node, const char *path);
/* The bytes of an object as written; empty with a note for anything else; null as not given. */
struct gw_span api_object(struct api_reading *r, const struct gw_json_node *node, const char *path);
/* The decoded text of a string; {NULL, 0} with a note for anything else; null as not given. */
struct gw_span api_text(struct api_reading *r, const struct gw_json_node *node, const char *path);
/* True or false; API_UNSET with a note for anything else; null as not given. */
enum api_flag api_bool(struct api_reading *r, const struct gw_json_node *node, const char *path);
/* Notes an unknown member: without meaning when its value is null, an empty list or an empty object; else as an extra
 * that means something. fmt makes the path of its container ("" or "messages[2]."); its name follows. */
bool api_add_unknown(struct api_reading *r, const struct gw_json_node *member, const char *fmt, ...)
    GW_PRINTF(3, 4);

/* GW_EINVAL for a body that cannot be routed: fmt makes the member's path, what is "is missing". */
enum gw_status api_refuse(struct api_reading *r, const char *what, const char *fmt, ...)
    GW_PRINTF(3, 4);

enum gw_status api_no_memory(struct gw_err *err); /* GW_ENOMEM with its message */

/* True when text is one strict JSON object, as tool arguments must be before they are embedded in JSON: they come as
 * strings, and models write what they like into them. False also when out of memory. */
bool api_is_object(struct gw_span text);

/* data:image/png;base64,AAAA: *media_type and *data; false when it is no such URL. */
bool api_split_data_url(struct gw_span url, struct gw_span *media_type, struct gw_span *data);

/* ---- requests: writing ---------------------------------------------------------------------- */

struct api_writing {
    const struct api_ops *ops;
    const struct api_request *req;
    struct gw_span model;
    struct gw_arena *arena;
    struct gw_buf *out;
    struct gw_buf *dropped; /* see api_drop(); may be NULL */
    const char **param;
    struct gw_err *err;
};

/* Notes for the client that a part was left out because no answer's meaning hangs on it; fmt makes its path. */
void api_drop(struct api_writing *w, const char *fmt, ...) GW_PRINTF(2, 3);

/* GW_EUNSUPPORTED: "PARAM cannot be said in DIALECT's API". what is appended to explain, or NULL. */
enum gw_status api_cannot(struct api_writing *w, const char *param, const char *what);
/* ,"name":value for a number or JSON that was given; nothing for an empty span. */
void api_put_raw(struct gw_buf *out, const char *name, struct gw_span raw);
/* ,"name":"text" for a text that was given (ptr not NULL). */
void api_put_text(struct gw_buf *out, const char *name, struct gw_span text);
/* The same text, but JSON values of JSON text: "{}" when empty. */
struct gw_span api_or_empty_object(struct gw_span json);

/* ---- signatures of reasoning ----------------------------------------------------------------- */

/* A signature is its provider's own and refused by every other one. So a reader of answers puts its dialect's mark in
 * front of each that it emits (API_EVENT_SIGNATURE), and a writer of requests sends those with its own mark, without it,
 * and leaves out the rest. Marks are base64 of whole groups, because clients decode signatures as base64. */
#define API_MARK_ANTHROPIC        "sluiceClaudeSign"
#define API_MARK_ANTHROPIC_HIDDEN "sluiceClaudeHide" /* redacted_thinking */
#define API_MARK_GEMINI           "sluiceGeminiSign"
#define API_MARK_RESPONSES        "sluiceOpenAIItem"
/* Of reasoning without a signature, where a dialect demands one; and what all of them begin with. */
#define API_MARK_NONE "sluiceNoneSigned"
#define API_MARK_ALL  "sluice"

/* *out gets the signature without the mark; false when it has another or none. */
static inline bool api_own_signature(struct gw_span signature, const char *mark,
                                     struct gw_span *out)
{
    struct gw_span m = gw_span_str(mark);

    if (!gw_span_starts(signature, m) || signature.len == m.len)
        return false;
    *out = gw_span_from(signature, m.len);
    return true;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* At most so many choices: what OpenAI allows. Readers refuse indices from here on. */
enum { API_MAX_CHOICES = 128 };

/* The common part of a reader. The dialect's own state follows in its own memory. */
struct api_reader {
    const struct api_ops *ops;
    struct gw_json *json;
    api_event_fn fn;
    void *ctx;
    struct gw_arena *arena; /* emptied before each event or body that is read */
    void *state;            /* zeroed, ops->reader_size bytes */
    bool started, ended;    /* START, END or ERROR was emitted */
};

/* Hands an event on. Nothing is handed on after END or ERROR; a START that is missing is put in front. */
enum gw_status api_emit(struct api_reader *r, const struct api_event *ev);
/* Once. usage: what the target has counted before it answered; not known: nothing. */
enum gw_status api_emit_start(struct api_reader *r, struct gw_span id, struct gw_span model,
                              const struct api_usage *usage);
enum gw_status api_emit_block(struct api_reader *r, unsigned choice, unsigned block,
                              enum api_block kind, struct gw_span id, struct gw_span name);
enum gw_status api_emit_delta(struct api_reader *r, unsigned choice, unsigned block,
                              enum api_block kind, struct gw_span text);
enum gw_status api_emit_block_end(struct api_reader *r, unsigned choice, unsigned block,
                                  enum api_block kind);
enum gw_status api_emit_finish(struct api_reader *r, unsigned choice, enum api_finish finish,
                               struct gw_span stop);
enum gw_status api_emit_usage(struct api_reader *r, const struct api_usage *usage);
enum gw_status api_emit_error(struct api_reader *r, const struct api_failure *f);
enum gw_status api_emit_end(struct api_reader *r);
/* ERROR 502 "upstream_truncated": the stream broke off. */
enum gw_status api_emit_truncated(struct api_reader *r);
/* ERROR 502 "upstream_malformed": what came is no event of this dialect. */
enum gw_status api_emit_malformed(struct api_reader *r);
/* ERROR 502 "unsupported_answer": it holds a part that events cannot say. */
enum gw_status api_emit_unsupported(struct api_reader *r);

/* The common part of a writer. */
struct api_writer {
    const struct api_ops *ops;
    struct api_writer_config cfg;
    struct gw_arena *arena;   /* for what is kept until the end, at most 64 MiB */
    void *state;              /* zeroed, ops->writer_size bytes */
    struct gw_span id, model; /* of START, in the arena; model falls back to cfg.model */
    struct api_usage usage;   /* the newest */
    bool ended;
};

/* What a whole answer is made of, kept until END. Texts grow by doubling in the arena, so that each is one span. */
struct api_kept_text {
    struct gw_span span;
    char *mem; /* where span lies, cap bytes */
    size_t cap;
};
struct api_kept_block {
    unsigned block;
    enum api_block kind;
    struct gw_span id, name;              /* TOOL */
    struct api_kept_text text, signature; /* TOOL: text is the arguments' JSON text */
    struct api_kept_text tokens;          /* struct api_token, see api_kept_tokens() */
    bool open;                            /* its BLOCK_END has not come */
    struct api_kept_block *next;
};
struct api_kept_choice {
    enum api_finish finish;
    struct gw_span stop;                  /* the stop sequence met, or empty */
    struct api_kept_block *blocks, *last; /* in the order they began */
};
struct api_kept {
    struct api_kept_choice *choices[API_MAX_CHOICES]; /* NULL: nothing was said of it */
    unsigned n_choices;                               /* the highest one and 1 */
    size_t bytes;                                     /* of all texts */
};

/* Adds an event. BLOCK, DELTA, SIGNATURE, BLOCK_END and FINISH count, others are passed over. kept is zeroed before the
 * first. GW_OK, GW_ENOMEM, GW_ELIMIT (texts above 64 MiB, too many choices). */
enum gw_status api_keep(struct api_kept *kept, struct gw_arena *arena, const struct api_event *ev);
/* The tokens of a block, if there are any; *n is how many. */
const struct api_token *api_kept_tokens(const struct api_kept_block *b, size_t *n);
/* The newest block of a choice unless it is ended, or NULL. */
struct api_kept_block *api_kept_open(const struct api_kept *kept, unsigned choice);

/* ---- tokens (api_tokens.c) -------------------------------------------------------------------- */

/* A token's bytes as a JSON string; where they are no whole characters, "\\x" and two digits stand for each. */
void api_put_token_text(struct gw_buf *out, struct gw_span bytes);
/* A log probability; JSON has no infinity, so it is never below -9999. */
void api_put_logprob(struct gw_buf *out, float logprob);
/* {"token":...,"logprob":...,"bytes":[...],"top_logprobs":[...]} of each, with commas between: OpenAI's form. */
void api_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n);

/* {"tokens":[...],"token_logprobs":[...],"top_logprobs":[...],"text_offset":[...]}: the form of completions. *n_chars, where
 * the first one's text begins, moves on. */
void api_completions_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n,
                                size_t *n_chars);
/* ,"logprobsResult":{...}, in the form of Gemini; nothing for no tokens. */
void api_gemini_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n);

/* OpenAI's error type for a status ("invalid_request_error", "rate_limit_error", ...), for failures without one. */
const char *api_error_type(unsigned status);
/* A sentence for a status, for failures without a message. */
const char *api_error_message(unsigned status);

/* Copies a plain string as it is written, cut to size with its NUL; anything else leaves out alone. For look. */
void api_copy_text(char *out, size_t size, const struct gw_json_tok *tok);

/* A dialect. A function that is NULL is one the dialect has not: requests and answers get GW_EUNSUPPORTED. read_request and write_request get what api.c prepared; tree reading is lenient about duplicate keys in
 * answers, strict in requests. */
struct api_ops {
    const char *name, *title; /* "anthropic", "Anthropic's": in messages */
    enum gw_status (*read_request)(struct api_reading *r, const struct gw_json_node *root);
    enum gw_status (*write_request)(struct api_writing *w);

    size_t reader_size;
    enum gw_status (*read_whole)(struct api_reader *r, const struct gw_json_node *root);
    /* root NULL: the data is not JSON ("[DONE]"). */
    enum gw_status (*read_event)(struct api_reader *r, struct gw_span name, struct gw_span data,
                                 const struct gw_json_node *root);
    enum gw_status (*read_end)(struct api_reader *r);
    void (*reader_fini)(struct api_reader *r); /* or NULL */

    size_t writer_size;
    enum gw_status (*put)(struct api_writer *w, const struct api_event *ev, struct gw_buf *out);
    void (*writer_fini)(struct api_writer *w); /* or NULL */

    void (*write_error)(const struct api_failure *f, const char *request_id, struct gw_buf *out);
    void (*write_stream_error)(const struct api_failure *f, struct gw_buf *out);
    void (*read_error)(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                       struct api_failure *out);
    void (*look)(struct gw_json *json, struct gw_span data, struct api_seen *out);
};

const struct api_ops *api_ops_of(enum api_dialect d); /* never NULL */

extern const struct api_ops api_chat_ops;        /* api_chat_*.c */
extern const struct api_ops api_completions_ops; /* api_completions.c */
extern const struct api_ops api_responses_ops;   /* api_responses_*.c */
extern const struct api_ops api_anthropic_ops;   /* api_anthropic_*.c */
extern const struct api_ops api_gemini_ops;      /* api_gemini_*.c */

#endif
