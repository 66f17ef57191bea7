/* proxy/answer/restream_private.h - what the files of restream share. */
#ifndef PROXY_RESTREAM_PRIVATE_H
#define PROXY_RESTREAM_PRIVATE_H

#include "proxy/answer/restream.h"
#include "proxy/answer/restream_event.h"

/* One growing text. */
struct text {
    uint64_t path;
    int64_t choice;
    bool thought, is_signed;
    unsigned nesting;
    struct filter *filter;
    struct gw_buf name;      /* of the event that it last came in */
    struct gw_buf template_; /* that event's data with its texts emptied */
    size_t at;               /* where the text goes in it */
    size_t number_at;        /* where its number goes; SIZE_MAX: it has none */
};

/* What was decided, so that a text that comes again is not counted again. */
struct decision {
    uint64_t value; /* its hash */
    uint32_t rule;
    enum gw_action action;
};

/* Bytes of the event that give way to bytes of `news`. */
struct splice {
    size_t start, end, at, len;
};

/* Where pieces go. */
struct sink {
    restream_piece_fn fn;
    void *ctx;
};

struct restream {
    const struct filter_config *cfg;
    struct filter_config grow, repeat, signed_, restore; /* cfg with a decision of our own */
    enum api_dialect dialect;
    struct gw_json *json;
    struct rs_event ev;
    struct rs_text *what; /* of each leaf of ev */
    unsigned cap_what;
    struct text *texts;
    unsigned n_texts, cap_texts;
    struct decision *decisions;
    unsigned n_decisions;
    struct splice *splices; /* of the event at hand */
    unsigned n_splices, cap_splices;
    struct gw_buf news;
    struct gw_buf lines;  /* the event at hand with lines besides its data that changed */
    struct gw_buf about;  /* Gemini: members that every event repeats */
    uint64_t next_number; /* Responses: of the next event */
    uint64_t n_own;       /* events of our own so far */
    bool cut;             /* the last event that went out has no end */
    unsigned n_restored;  /* in texts that are complete */
};

/* ---- lines besides the data (restream_lines.c) ---------------------------------------------- */

/* Guards them: *raw becomes the event without what policy hides in them (valid until the next event), or stays. GW_EDENIED:
 * policy blocks; GW_ELIMIT, GW_ENOMEM. */
enum gw_status restream_lines(struct restream *r, const struct sse_event *ev, struct gw_span *raw);

/* ---- events of our own (restream_own.c) ---------------------------------------------------- */

/* Keeps what an event needs to carry more of the text that leaf of r->ev is a piece of; name: that event's. */
enum gw_status restream_own_keep(struct restream *r, struct text *t, const struct rs_leaf *leaf,
                                 struct gw_span name);

/* Sends what came out of a text as an event of its own; nothing for an empty one. */
enum gw_status restream_own_emit(struct restream *r, const struct text *t, struct gw_span held,
                                 const struct sink *to);

#endif
