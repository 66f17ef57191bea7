/* proxy/api/api_responses_private.h - what the files of OpenAI's Responses dialect share. */
#ifndef PROXY_API_RESPONSES_PRIVATE_H
#define PROXY_API_RESPONSES_PRIVATE_H

#include "proxy/api/api_private.h"

/* api_responses_read.c, api_responses_items.c: requests of clients. */
enum gw_status api_responses_read(struct api_reading *r, const struct gw_json_node *root);
/* The value of "input": a string or a list of items. False: out of memory. */
bool api_responses_read_input(struct api_reading *r, const struct gw_json_node *input);

/* api_responses_write.c: requests to targets. */
enum gw_status api_responses_write(struct api_writing *w);

/* api_responses_answer.c: answers of targets. */
struct api_responses_reader {
    unsigned n_blocks;
    bool open; /* block n_blocks - 1 has not ended */
    enum api_block kind;
    uint64_t output;      /* the open or last block's item, as "output_index" counts */
    uint64_t content;     /* its part, as "content_index" counts; reasoning: the newest part */
    bool summary;         /* reasoning: the newest part is one of the summary */
    bool any;             /* the open block has text */
    bool called;          /* a function call was among the blocks */
    uint64_t next_output; /* items below it were told of */
};
enum gw_status api_responses_read_whole(struct api_reader *r, const struct gw_json_node *root);
enum gw_status api_responses_read_event(struct api_reader *r, struct gw_span name,
                                        struct gw_span data, const struct gw_json_node *root);

/* api_responses.c: an error as an event. */
void api_responses_put_error(const struct api_failure *f, unsigned sequence, struct gw_buf *out);

/* api_responses_out.c: answers for clients. */
struct api_responses_writer {
    struct api_kept kept;
    unsigned sequence; /* number of the next event */
    unsigned n_items;  /* of the output */
    bool begun;        /* response.created was written */
    bool has_part;     /* the newest item has a part, or a call arguments */
    bool closing;      /* the newest block has ended, but its done events are not written */
    bool refused;      /* there is a refusal among the blocks */
};
enum gw_status api_responses_put(struct api_writer *w, const struct api_event *ev,
                                 struct gw_buf *out);

/* api_responses_object.c: the response object, which answers are and many events carry. status is "in_progress",
 * "completed", "incomplete" (then incomplete is the reason, else NULL) or "failed" (then failure says why, else NULL). */
void api_responses_put_object(struct api_writer *w, const char *status, const char *incomplete,
                              const struct api_failure *failure, struct gw_buf *out);
/* One item of its output: block as item number n. Empty: as it begins, without texts. */
void api_responses_put_item(const struct api_writer *w, const struct api_kept_block *b, unsigned n,
                            const char *status, bool empty, struct gw_buf *out);
/* The text part of a message item; empty: as it begins, without text. */
void api_responses_put_part(const struct api_kept_block *b, bool empty, struct gw_buf *out);
/* ,"logprobs":[...] */
void api_responses_put_tokens(const struct api_token *tokens, size_t n, struct gw_buf *out);
/* "msg_ID_N", "fc_ID_N" or "rs_ID_N", as a JSON string. */
void api_responses_put_item_id(const struct api_writer *w, enum api_block kind, unsigned n,
                               struct gw_buf *out);

#endif
