/* tests/mock/mock.h - what the parts of the mock provider share: one exchange, and how it is answered.
 *
 * provider.c moves bytes; route.c finds the API a path belongs to; request.c reads what all bodies have in common;
 * chat.c, completions.c, responses.c, anthropic.c, gemini.c and openai.c read and answer one API each; cloud.c holds the
 * ways in of the clouds; bedrock.c and sigv4.c Amazon's framing and signatures; answer.c writes heads, events and errors.
 * An answer is made whole, as a list of events, and sent by provider.c at the pace that was asked for. One thread.
 *
 * Behaviour is chosen by `[[mock key=value ...]]` anywhere in the body:
 *   say=echo|fox|body|leak  the answer: the last user text (default), words (default in --bench), the body as received,
 *                      or a text with a key and an address that nobody sent
 *   words=N            length of say=fox, 16
 *   ttft=MS interval=MS  delays before the first byte and between events
 *   piece=N            bytes of text an event (default: a word)
 *   status=N           an error of that status in the dialect of the path
 *   once=ID fails=N    with status: only the first N (1) requests with this ID (a number) fail
 *   after=MS           with status: retry-after-ms, and retry-after in seconds (429 and 529 without it: 7)
 *   err=N              an error event in the stream after N events
 *   cut=N              close after N events, or in the middle of the body
 *   fault=reset|close|half|stall|garbage at=N  the answer goes on up to a place and then breaks: at=0 before its head, 1 in
 *                      the middle of the head, 2 behind the head, 3 in the middle of the body (and of an event). half:
 *                      only the sending side is closed. stall: nothing more comes. garbage: bytes that belong to nothing
 *   length=N           Content-Length is N bytes too large (negative: too small)
 *   drip=MS            every byte by itself, one every MS (0: one each turn of the loop); with upto=N only the first N
 *   chunk=N            the body in chunks of N bytes
 *   tool=1|2           one call or two parallel calls of the request's tools (or "note"), whose arguments are
 *                      {"text": the last user text}; not when the last message is the result of a tool
 *   think=1            reasoning before the answer
 *   json=1             structured output: {"text": the answer}
 *   crlf=1 comments=1 noblank=1  events end in CRLF; have comments between them (not Gemini); the last has no blank line */
#ifndef TESTS_MOCK_H
#define TESTS_MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_tree.h"
#include "base/span.h"
#include "proxy/http/http1.h"

/* Whose fields and error bodies an answer has. */
enum mock_family {
    MOCK_OPENAI,
    MOCK_AZURE,
    MOCK_ANTHROPIC,
    MOCK_GEMINI,
    MOCK_VERTEX,
    MOCK_BEDROCK
};
enum mock_framing { MOCK_SSE, MOCK_ARRAY, MOCK_AWS };
enum mock_fault { MOCK_WHOLE, MOCK_RESET, MOCK_CLOSE, MOCK_HALF, MOCK_STALL, MOCK_GARBAGE };
enum mock_say { MOCK_ECHO, MOCK_FOX, MOCK_BODY, MOCK_LEAK };

/* What the answer to one request is made of. */
struct mock_plan {
    bool stream, usage, think, json, crlf, comments, noblank;
    enum mock_say say;
    unsigned tool;                           /* calls */
    unsigned n;                              /* choices */
    unsigned words, piece, status, after_ms; /* after_ms 0: not asked for */
    unsigned ttft_ms, interval_ms;
    int cut, err; /* events; -1: never */
    enum mock_fault fault;
    unsigned at, chunk, upto; /* chunk 0: framed as always */
    int drip_ms, length_by;   /* drip_ms -1: not */
};

/* --bench: the place in an event for the time at which it is sent, CLOCK_MONOTONIC nanoseconds in 19 digits. */
#define MOCK_STAMP "@0000000000000000000@"

struct mock_options {
    const char *api_key;                 /* NULL: any */
    const char *aws_access, *aws_secret; /* of signatures */
    const char *token_pub;   /* PEM file: the key that assertions are signed with, or NULL */
    unsigned token_lifetime; /* seconds */
    bool bench;
};
extern struct mock_options mock_options;

/* One exchange. Spans point into the request, which stays until the answer was sent. */
struct mock_call {
    /* the request */
    const struct http1_head *head;
    struct gw_span path, query, body; /* query without its '?' */
    unsigned long number;             /* of this request, from 1 */
    struct gw_json *json;
    struct gw_arena *arena;
    const struct gw_json_node *root; /* of a JSON body, or NULL */
    enum mock_family family;
    enum mock_framing framing;
    struct mock_plan plan;
    struct gw_span model;    /* as the answer says it */
    struct gw_span tools[2]; /* names to call */
    unsigned n_tools;
    bool after_tool;                   /* the last message is the result of a tool */
    bool model_fixed;                  /* by the path */
    bool bad_json;                     /* a body that is not the JSON it should be */
    struct gw_buf text, thought, args; /* of the answer */

    /* the answer */
    struct gw_buf fields; /* status line and fields, complete */
    struct gw_buf out;    /* body, or the events, framed */
    size_t *ends;         /* of events in out */
    unsigned n_ends, cap_ends;
    bool streaming;       /* out is sent in chunks */
    bool stopped;         /* an error event was written: no more events */
    bool dead;            /* a 200 that cannot be answered whole: cut */
    struct gw_buf *event; /* where the event being written goes: out, or data when it is packed */
    size_t event_start;   /* in out */
    bool named_errors;    /* stream errors have the form of Responses */
    bool claude;          /* or of Anthropic, wherever it runs */
    unsigned sequence;    /* of the next Responses event */
    struct gw_buf data;   /* scratch */
};

/* ---- request.c */
/* Reads the plan and, but for --bench, the JSON body. */
void mock_read(struct mock_call *m);
/* The value of a directive, or otherwise. */
long mock_directive(struct gw_span body, const char *key, long otherwise);
/* The text from the value of a directive on; empty: it is not there. */
struct gw_span mock_directive_text(struct gw_span body, const char *key);
/* The answer's text becomes, or grows by, the text of a content: a string or an array of parts. */
void mock_set_content(struct mock_call *m, const struct gw_json_node *content);
void mock_add_content(struct mock_call *m, const struct gw_json_node *content);
void mock_add_tool(struct mock_call *m, const struct gw_json_node *name);
/* The request demands a call: of this name, or of any when NULL. */
void mock_force_tool(struct mock_call *m, const struct gw_json_node *name);
void mock_set_model(struct mock_call *m, const struct gw_json_node *model);
/* To be called when a reader has set text: applies say=, json=, think=, tool=. */
void mock_compose(struct mock_call *m);
/* The field of a multipart body: its bytes and file name (either may be empty); false: not there. */
bool mock_form_field(const struct mock_call *m, const char *name, struct gw_span *value,
                     struct gw_span *file);
/* A member of the object that is not among the known (NULL-terminated), as calls that count refuse it; NULL: none. */
const struct gw_json_node *mock_stranger(const struct gw_json_node *object,
                                         const char *const *known);
struct gw_span mock_field(const struct mock_call *m, const char *name);
/* A value of the query, as received; empty when it is not there. */
struct gw_span mock_query(const struct mock_call *m, const char *name);

/* Where c stands first, or NULL. */
static inline const char *mock_find_char(struct gw_span in, char c)
{
    return in.len == 0 ? NULL : memchr(in.ptr, c, in.len);
}

/* ---- answer.c */
size_t mock_next_piece(const struct mock_call *m, struct gw_span left);
/* The whole answer. */
void mock_send(struct mock_call *m, unsigned status, const char *type, struct gw_span body);
void mock_send_json(struct mock_call *m, struct gw_span body);
/* An error in the dialect of m->family. message NULL: "mock error STATUS". */
void mock_send_error(struct mock_call *m, unsigned status, const char *message);
void mock_stream_begin(struct mock_call *m);
/* Begins an event; its data is written to the buffer that is returned. name may be NULL. */
struct gw_buf *mock_event(struct mock_call *m, const char *name);
void mock_event_end(struct mock_call *m);
void mock_stream_end(struct mock_call *m);
void mock_add_base64(struct gw_buf *b, struct gw_span bytes);

/* ---- fault.c */
void mock_read_fault(struct mock_plan *p, struct gw_span body);
/* True: the answer is sent as bytes, by hand. */
bool mock_is_faulty(const struct mock_plan *p);
/* The bytes of the answer up to where it breaks. */
void mock_fault_bytes(const struct mock_call *m, struct gw_buf *wire);

/* ---- the APIs: each reads m->root and answers */
void mock_route(struct mock_call *m);
void mock_chat(struct mock_call *m);
void mock_completions(struct mock_call *m);
void mock_responses(struct mock_call *m);
void mock_responses_count(struct mock_call *m);
void mock_embeddings(struct mock_call *m);
/* path: behind /v1. True when it was answered. */
bool mock_openai_other(struct mock_call *m, struct gw_span path);
void mock_anthropic(struct mock_call *m, struct gw_span path); /* path: from /messages on */
void mock_anthropic_models(struct mock_call *m, struct gw_span id);
/* name: "gemini-x:generateContent", or a model, or empty for the list */
void mock_gemini(struct mock_call *m, struct gw_span name);
/* Files, in two requests as Google's SDKs send them. */
void mock_gemini_upload(struct mock_call *m);
/* True when the path is one of a cloud's and was answered. */
bool mock_cloud(struct mock_call *m);
void mock_bedrock(struct mock_call *m);
void mock_aws_event(struct gw_buf *out, const char *exception, struct gw_span payload);

/* ---- sigv4.c: NULL when the request is signed as AWS demands, else why not. */
const char *mock_sigv4_check(const struct mock_call *m, const char *service);

#endif
