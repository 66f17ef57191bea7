/* proxy/api/api_gemini.h - what the files of the Gemini dialect share: names in both of their spellings, schemas, and the
 * functions of its table. Facts are those of Google's API reference (ai.google.dev/api/generate-content). Pure; any
 * thread. */
#ifndef PROXY_API_GEMINI_H
#define PROXY_API_GEMINI_H

#include "proxy/api/api_private.h"

/* Google's JSON takes each member in camelCase and in snake_case, and clients mix both. name is in camelCase, at most 47
 * bytes in snake_case. */
bool gemini_key_is(const struct gw_json_node *member, const char *name);
const struct gw_json_node *gemini_get(const struct gw_json_node *node, const char *name);

/* A list of one may be written as its element. The loop: for (n = gemini_first(l); n != NULL; n = gemini_next(l, n)). */
const struct gw_json_node *gemini_first(const struct gw_json_node *list); /* list may be NULL */
const struct gw_json_node *gemini_next(const struct gw_json_node *list,
                                       const struct gw_json_node *item);

/* A schema in Gemini's dialect (OpenAPI 3.0: types in capitals, nullable) as JSON Schema, in the arena; numbers and
 * texts as written. schema is an object. {NULL, 0}: out of memory. */
struct gw_span gemini_schema(struct gw_arena *arena, const struct gw_json_node *schema);

enum gw_status gemini_read_request(struct api_reading *r, const struct gw_json_node *root);
enum gw_status gemini_write_request(struct api_writing *w);

/* Zeroed before the first event. */
struct gemini_answer {
    struct gemini_candidate {
        bool seen, open, finished;
        enum api_block kind; /* of the open block */
        unsigned n_blocks, n_calls;
        enum api_finish finish; /* of the newest finishReason */
    } candidates[API_MAX_CHOICES];
    unsigned n_calls; /* of all candidates: for ids */
    struct gw_buf id; /* of the response: for ids */
};
enum gw_status gemini_read_whole(struct api_reader *r, const struct gw_json_node *root);
enum gw_status gemini_read_event(struct api_reader *r, struct gw_span name, struct gw_span data,
                                 const struct gw_json_node *root);
enum gw_status gemini_read_end(struct api_reader *r);
void gemini_reader_fini(struct api_reader *r);
void gemini_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                       struct api_failure *out);
void gemini_look(struct gw_json *json, struct gw_span data, struct api_seen *out);

/* Zeroed before the first event. */
struct gemini_output {
    struct api_kept
        kept; /* a whole answer; of a stream what is written at the end of its block or of all */
    struct gw_json *json; /* checks arguments; made when first needed */
    bool wrote;           /* a stream: the array has an element */
};
enum gw_status gemini_put(struct api_writer *w, const struct api_event *ev, struct gw_buf *out);
void gemini_writer_fini(struct api_writer *w);
void gemini_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out);
void gemini_write_stream_error(const struct api_failure *f, struct gw_buf *out);

/* True when text is a whole JSON object; *json is made when it is NULL, and the caller's to free. */
bool gemini_is_object(struct gw_json **json, struct gw_span text);

#endif
