/* proxy/api/api_anthropic.h - what the files of Anthropic's dialect share: api_anthropic.c (the table, errors, usage),
 * _read.c and _write.c (requests), _answer.c (answers of providers), _out.c (answers for clients).
 *
 * Shapes: Anthropic's API reference, /v1/messages, and the types of its Python SDK 2.12. */
#ifndef PROXY_API_ANTHROPIC_H
#define PROXY_API_ANTHROPIC_H

#include "proxy/api/api_private.h"

enum gw_status anthropic_read_request(struct api_reading *r, const struct gw_json_node *root);
/* The model's settings: every member of the body but model, system and messages. False: out of memory. */
bool anthropic_read_settings(struct api_reading *r, const struct gw_json_node *root);
/* Notes the members of node that are not in known (ends with NULL): cache marks as hints, the rest as meant. path is
 * node's. False: out of memory. */
bool anthropic_note_others(struct api_reading *r, const struct gw_json_node *node, const char *path,
                           const char *const *known);
/* The decoded text of a member; {NULL, 0} when it is missing, null or (noted) no string. False: out of memory. */
bool anthropic_text(struct api_reading *r, const struct gw_json_node *node, const char *path,
                    const char *name, struct gw_span *out);

/* True for a text without a visible character: Anthropic refuses such ones. */
bool anthropic_is_blank(struct gw_span text);

enum gw_status anthropic_write_request(struct api_writing *w);
/* Model settings, after the messages; check: what has no equivalent, before anything is written. */
enum gw_status anthropic_check_settings(struct api_writing *w);
void anthropic_write_settings(struct api_writing *w);
/* Appends the text of arguments as a JSON object. What is none in strict JSON (a model's broken call) becomes {"_raw":"the text"}, so
 * that nothing is lost; empty becomes {}. False: out of memory. */
bool anthropic_put_input(struct gw_buf *out, struct gw_json *json, struct gw_span arguments);

/* Usage as Anthropic counts it: input without what was read from or written to the cache. */
enum anthropic_count {
    ANTHROPIC_INPUT,
    ANTHROPIC_CACHED,
    ANTHROPIC_CACHE_WRITE,
    ANTHROPIC_OUTPUT,
    ANTHROPIC_REASONING,
    ANTHROPIC_COUNTS
};
struct anthropic_usage {
    bool has[ANTHROPIC_COUNTS];
    uint64_t n[ANTHROPIC_COUNTS];
};
/* Puts what u says over *out, whose other numbers stay: counts in later events are totals. */
void anthropic_merge_usage(const struct anthropic_usage *u, struct api_usage *out);
/* The same from a "usage" object; anything else changes nothing. */
void anthropic_read_usage(const struct gw_json_node *usage, struct api_usage *out);

/* Where the reading of an answer stands. */
struct anthropic_reading {
    bool started;   /* message_start was read */
    bool finished;  /* FINISH was emitted */
    bool open;      /* a block is */
    bool has_input; /* of a TOOL: some of its arguments were emitted */
    bool no_memory; /* for a text */
    enum api_block kind;
    unsigned n_blocks; /* begun so far; the open one is the last */
    struct api_usage usage;
};
enum gw_status anthropic_read_whole(struct api_reader *r, const struct gw_json_node *root);
enum gw_status anthropic_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                    const struct gw_json_node *root);

/* Where the writing of an answer stands. */
struct anthropic_writing {
    struct api_kept kept; /* of a whole answer */
    bool open;            /* a block of a stream is */
    bool has_signature;   /* it was written */
    enum api_block kind;
    unsigned n_blocks; /* of a stream, begun so far; the open one is the last */
    bool has_tool, has_refusal;
    enum api_finish finish;
    struct gw_span stop; /* the stop sequence met, in the writer's arena */
};
enum gw_status anthropic_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out);

void anthropic_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out);
void anthropic_write_stream_error(const struct api_failure *f, struct gw_buf *out);
/* status 0: from the error's type. */
void anthropic_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                          struct api_failure *out);
void anthropic_look(struct gw_json *json, struct gw_span data, struct api_seen *out);

#endif
