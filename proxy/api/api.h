/* proxy/api/api.h - the chat dialects, in one shape that all of them are read into and written from.
 *
 * Across dialects a request is read (struct api_request) and written anew; its answer, whole or streamed, is read as
 * events (struct api_event) and written from them. So five readers and five writers do what twenty-five translators
 * would, and the local engine, which speaks events too, answers in every dialect. Within one dialect nothing here writes:
 * the bytes received are forwarded.
 *
 * Invariants: (P1) nothing is dropped silently: what a reader knows no place for becomes an api_extra, and a writer
 * refuses the extras that would change the meaning; (P2) numbers and embedded JSON are carried as written; (P3) every
 * text of a written request stood in the body that was read, which was scanned and edited.
 *
 * The shapes are those of the providers' API references; what each pair keeps is in docs/dialects.md. Pure: no I/O.
 * Spans live in the arena or in the text that was read. Thread: any, one at a time per object. */
#ifndef PROXY_API_H
#define PROXY_API_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "proxy/api/dialect.h"

/* ---- requests --------------------------------------------------------------------------- */

enum api_role {
    API_ROLE_SYSTEM, /* also "developer" and top-level system texts: they come first */
    API_ROLE_USER,
    API_ROLE_ASSISTANT,
};

enum api_part_kind {
    API_PART_TEXT,
    API_PART_REASONING,
    API_PART_REFUSAL,
    API_PART_IMAGE,
    API_PART_FILE,
    API_PART_AUDIO,
    API_PART_TOOL_CALL,   /* of the assistant */
    API_PART_TOOL_RESULT, /* of the user, also where a dialect has a role of its own for it */
};

/* "system", "user", "assistant". */
struct gw_span api_role_name(enum api_role role);

/* Empty spans: not given. */
struct api_part {
    enum api_part_kind kind;
    struct gw_span text;       /* TEXT, REASONING, REFUSAL: decoded */
    struct gw_span media_type; /* IMAGE, FILE, AUDIO: "image/png" */
    struct gw_span data;       /* IMAGE, FILE, AUDIO: base64 as sent; or: */
    struct gw_span url;        /* IMAGE, FILE */
    struct gw_span detail;     /* IMAGE: "low"; FILE: file name */
    struct gw_span id;         /* TOOL_CALL; TOOL_RESULT: of its call */
    struct gw_span name;       /* TOOL_CALL; TOOL_RESULT where the dialect says it */
    struct gw_span
        json; /* TOOL_CALL: arguments, the text of a JSON object; REASONING: signature or encrypted */
    bool is_error;          /* TOOL_RESULT */
    struct api_part *parts; /* TOOL_RESULT: texts and images */
    unsigned n_parts;
};

struct api_message {
    enum api_role role;
    struct gw_span name; /* of the participant */
    struct api_part *parts;
    unsigned n_parts;
};

enum api_flag { API_UNSET, API_NO, API_YES };

struct api_tool {
    struct gw_span name, description; /* decoded */
    struct gw_span schema;            /* JSON object as written, or empty */
    enum api_flag strict;
};

enum api_choice {
    API_CHOICE_UNSET,
    API_CHOICE_AUTO,
    API_CHOICE_NONE,
    API_CHOICE_ANY,
    API_CHOICE_NAMED
};
enum api_format { API_FORMAT_TEXT, API_FORMAT_JSON, API_FORMAT_SCHEMA };

/* A member that has no place in struct api_request. */
struct api_extra {
    struct gw_span
        path;  /* "metadata", "messages[2].cache_control", "tools[0].type": for messages */
    bool hint; /* leaving it out changes no answer's meaning: identifiers, cache hints, storage */
};

/* A request. Numbers are kept as written; empty: not given. Ill-typed members are kept out and named in bad: a request
 * that is only forwarded leaves the judgement to the provider. */
struct api_request {
    enum api_dialect dialect;
    struct gw_span model; /* Gemini: from the path, set by the caller */
    bool stream;          /* Gemini: from the path, set by the caller */
    bool counting; /* its input is to be counted: a writer leaves out what governs the answer */
    bool include_usage;    /* in streams; dialects that always do: true */
    bool no_usage;         /* for the writer: OpenAI's streams are not asked for it */
    bool legacy_functions; /* OpenAI's "functions" stand in tools: answers call in that form */
    struct api_message *messages;
    unsigned n_messages;
    struct api_tool *tools;
    unsigned n_tools;
    enum api_choice choice;
    struct gw_span choice_name; /* NAMED */
    enum api_flag parallel;     /* tool calls */
    enum api_format format;
    struct gw_span schema, schema_name; /* SCHEMA */
    enum api_flag schema_strict;
    struct gw_span max_tokens, temperature, top_p, top_k, min_p, presence_penalty,
        frequency_penalty;
    struct gw_span seed, n, top_logprobs;
    bool logprobs;
    const struct gw_json_node
        *logit_bias; /* an object that is not empty; also an extra, so that no writer loses it */
    struct gw_span *stop;
    unsigned n_stop;
    struct gw_span reasoning_effort; /* "low", "medium", ... */
    struct gw_span reasoning_budget; /* tokens; "0": none, "-1": as the model sees fit */
    enum api_flag reasoning_shown;   /* the answer holds reasoning texts or summaries */
    struct api_extra *extras;
    unsigned n_extras;
    const char
        *bad; /* first ill-typed member, in the arena, or NULL: "messages[1].content must be ..." */
    const char *bad_param;
    const struct gw_json_node *root; /* Responses: the body, which its answers repeat parts of */
};

/* Reads a request. root: the body's tree, an object. out->dialect, and for Gemini model and stream, are the caller's.
 * GW_EINVAL: it cannot even be routed (no model, no messages): err says so and *param names the member. GW_ENOMEM. */
enum gw_status api_read_request(enum api_dialect d, const struct gw_json_node *root,
                                struct gw_arena *arena, struct api_request *out, const char **param,
                                struct gw_err *err);

/* Writes the body of req in another dialect, asking for model. Refuses what that dialect cannot say: GW_EUNSUPPORTED
 * (what is meant but has no equivalent), GW_EINVAL (ill-typed), with a message for the client that names the member;
 * *param too. dropped gets the paths of the hints that were left out, separated by ", ". */
enum gw_status api_write_request(enum api_dialect d, const struct api_request *req,
                                 struct gw_span model, struct gw_arena *arena, struct gw_buf *out,
                                 struct gw_buf *dropped, const char **param, struct gw_err *err);

/* Copies a request's body without the reasoning that other providers made, as a client sends it back when a conversation
 * was answered by several: each refuses what it did not sign. They are known by the marks that this gateway put on
 * their signatures (api_private.h); every other byte stays as it is. *changed is false when there is none, and then out is left alone. GW_EPARSE, GW_ENOMEM, GW_ELIMIT. */
enum gw_status api_drop_foreign(enum api_dialect d, struct gw_json *json, struct gw_arena *arena,
                                struct gw_span body, struct gw_buf *out, bool *changed);

/* The texts of a message (refusals and those in tool results too, reasoning not), joined with newlines: for features and
 * for the engine. {NULL, 0}: out of memory. */
struct gw_span api_message_text(const struct api_message *m, struct gw_arena *arena);

/* Copies body with the model named anew: the top-level "model" value. GW_EPARSE when there is none. */
enum gw_status api_replace_model(struct gw_json *json, struct gw_span body, struct gw_span model,
                                 struct gw_buf *out);

/* Copies body with an end for its answer: so many tokens, in the dialect's own member, which the request lacks or has as
 * null. GW_EPARSE: there is something else where it belongs; GW_ENOMEM, GW_ELIMIT. */
enum gw_status api_cap_answer(enum api_dialect d, struct gw_json *json, struct gw_arena *arena,
                              struct gw_span body, struct gw_span model, uint64_t tokens,
                              struct gw_buf *out);

/* ---- errors ----------------------------------------------------------------------------- */

/* An error in no dialect. Every dialect has its own names; what a provider said is kept where it can be. */
struct api_failure {
    unsigned status;                 /* HTTP; also of errors inside streams */
    const char *type, *code, *param; /* OpenAI's names; NULL: from the status */
    const char *message;
};

/* Appends an error's body, with a line end. request_id may be NULL. */
void api_write_error(enum api_dialect d, const struct api_failure *f, const char *request_id,
                     struct gw_buf *out);
/* Appends an error as an event (Gemini: as its stream form is) inside a stream. */
void api_write_stream_error(enum api_dialect d, const struct api_failure *f, struct gw_buf *out);

/* What a provider's error body says; strings in the arena. Lenient: a body that is no such error gives a message of
 * the status alone. root may be NULL. */
void api_read_error(enum api_dialect d, unsigned status, const struct gw_json_node *root,
                    struct gw_arena *arena, struct api_failure *out);

/* ---- answers as events -------------------------------------------------------------------- */

enum api_block { API_BLOCK_TEXT, API_BLOCK_REASONING, API_BLOCK_REFUSAL, API_BLOCK_TOOL };

enum api_finish {
    API_FINISH_NONE,
    API_FINISH_STOP,
    API_FINISH_STOP_SEQUENCE,
    API_FINISH_LENGTH,
    API_FINISH_TOOL,
    API_FINISH_FILTER,  /* content filter, safety */
    API_FINISH_REFUSAL, /* the model declined */
    API_FINISH_OTHER,
};

struct api_usage {
    bool known;
    uint64_t input;       /* all input tokens, cached ones included */
    uint64_t output;      /* all output tokens, reasoning included */
    uint64_t cached;      /* of input: read from the provider's cache */
    uint64_t cache_write; /* of input: written to it */
    uint64_t reasoning;   /* of output */
};

/* The order: START; for each choice blocks that do not overlap (BLOCK, DELTA..., BLOCK_END); FINISH a choice; USAGE at
 * any time (the last one counts); END. Or ERROR at any time, which ends everything. */
enum api_event_type {
    API_EVENT_START, /* id, model: as the target says, or empty; usage when the input is counted already */
    API_EVENT_BLOCK, /* choice, block, kind; TOOL: id, name */
    API_EVENT_DELTA, /* choice, block, kind, text: decoded; TOOL: more of the arguments' JSON text */
    API_EVENT_SIGNATURE, /* choice, block, text: of a REASONING block, opaque */
    API_EVENT_BLOCK_END, /* choice, block, kind */
    API_EVENT_FINISH,    /* choice, finish; text: the stop sequence met, or empty */
    API_EVENT_USAGE,     /* usage */
    API_EVENT_ERROR,     /* failure */
    API_EVENT_END,
};

/* A token and how likely the target's model held it to be. */
struct api_chance {
    struct gw_span bytes; /* perhaps part of a character; valid as long as the request */
    int32_t id;
    float logprob; /* natural logarithm; -INFINITY for none */
};

/* A token of an answer. */
struct api_token {
    struct api_chance drawn;
    const struct api_chance *top; /* the most likely ones there, in their order */
    unsigned n_top;
    size_t text_bytes; /* of the block's text, behind that of the tokens before */
};

/* Tokens that are kept. Zeroed: empty. */
struct api_tokens {
    struct gw_buf tokens, tops; /* struct api_token, struct api_chance */
};
bool api_tokens_add(struct api_tokens *l, const struct api_token *t); /* false: out of memory */
/* All of them; valid until the list changes. */
const struct api_token *api_tokens_all(struct api_tokens *l, unsigned *n);
void api_tokens_drop(struct api_tokens *l, unsigned n); /* the first n */
void api_tokens_fini(struct api_tokens *l);

struct api_event {
    enum api_event_type type;
    unsigned choice;
    unsigned block; /* counted per choice from 0, in order */
    enum api_block kind;
    struct gw_span text, id, name, model;
    const struct api_token
        *tokens; /* DELTA of a TEXT block: those whose text ends with it, if they were asked for */
    unsigned n_tokens;
    enum api_finish finish;
    struct api_usage usage;
    struct api_failure failure;
};

/* Takes an event; spans are valid during the call. Anything but GW_OK stops the reader. */
typedef enum gw_status (*api_event_fn)(void *ctx, const struct api_event *ev);

/* ---- reading answers of providers ---------------------------------------------------------- */

struct api_reader;

/* json is scratch that may be used between calls; it must outlive the reader. NULL: out of memory. */
struct api_reader *api_reader_new(enum api_dialect d, struct gw_json *json, api_event_fn fn,
                                  void *ctx);
void api_reader_free(struct api_reader *r); /* r may be NULL */
/* A whole answer of status 200: START to END. GW_EPARSE: not such an answer. */
enum gw_status api_reader_whole(struct api_reader *r, struct gw_span body);
/* One event of a stream: its "event" field (or empty) and its data. Events that mean nothing are passed over. */
enum gw_status api_reader_event(struct api_reader *r, struct gw_span name, struct gw_span data);
/* The stream has ended. Emits END, or ERROR when it broke off before the provider said so. */
enum gw_status api_reader_end(struct api_reader *r);

/* What the record wants of a whole answer or of one stream event, without a reader; fields that are not there stay as
 * they are. Lenient and cheap: an answer that is not understood is passed on all the same. */
struct api_seen {
    struct api_usage usage;
    char finish_reason[24], model[64]; /* as the provider writes them */
    char id[128]; /* Responses: what a later request may name as its previous one */
};
void api_look(enum api_dialect d, struct gw_json *json, struct gw_span data, struct api_seen *out);

/* ---- writing answers for clients ------------------------------------------------------------ */

struct api_writer;

struct api_writer_config {
    enum api_dialect dialect;
    bool stream;
    bool json_array;      /* Gemini without alt=sse: the stream is a JSON array */
    bool include_usage;   /* OpenAI streams: the client asked for it */
    const char *id;       /* of the request, a ULID: ids are made from it */
    int64_t created;      /* seconds since 1970 */
    struct gw_span model; /* what START does not say */
    /* Responses repeats parts of it, Chat looks for legacy_functions. May be NULL; must outlive the writer. */
    const struct api_request *request;
};
struct api_writer *api_writer_new(const struct api_writer_config *cfg); /* NULL: out of memory */
void api_writer_free(struct api_writer *w);                             /* w may be NULL */

/* Takes the next event. A stream: appends what the client gets for it at once, complete events, nothing held back. A
 * whole answer: appends nothing before END (the body) or ERROR (an error's body; the status is the failure's). GW_OK,
 * GW_ENOMEM, GW_ELIMIT (a whole answer above 64 MiB). */
enum gw_status api_writer_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out);

/* "text/event-stream" or "application/json". */
const char *api_writer_media_type(const struct api_writer *w);

#endif
