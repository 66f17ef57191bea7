/* proxy/answer/respond_private.h - what the respond_*.c files share. */
#ifndef PROXY_RESPOND_PRIVATE_H
#define PROXY_RESPOND_PRIVATE_H

#include "proxy/answer/filter.h"
#include "proxy/answer/respond.h"
#include "proxy/answer/restream.h"
#include "proxy/answer/translate.h"
#include "proxy/http/json_array.h"
#include "proxy/provider/provider.h"
#include "proxy/request/request_private.h"

struct event;

enum {
    MAX_WHOLE_BYTES = 64 * 1024 * 1024, /* an answer that must be complete to be judged */
    MAX_ERROR_BYTES = 1024 * 1024,      /* of a provider, when it is translated */
    MAX_COPY_BYTES = 256 * 1024,        /* of a JSON answer that is passed on, to read its usage */
    HOLD_S = 2, /* a pause after which the beginning of a finding is let go */
};

enum mode {
    MODE_PASS,   /* bytes go on as they come */
    MODE_WHOLE,  /* collected, filtered, then sent */
    MODE_STREAM, /* filtered event by event */
    MODE_EVENTS, /* read as events, or given as such, and written in the client's dialect */
    MODE_COUNT,  /* a number of tokens, collected to be said in the client's dialect */
    MODE_ERROR,  /* a provider's error, collected to be written in the client's dialect */
};

struct respond {
    enum mode mode;
    enum api_dialect dialect; /* of the bytes that come */
    bool json, sse;
    bool torn;      /* the last event that was read has no end */
    bool begun;     /* an event with data came, or bytes that are not read as events */
    bool packed;    /* in a content coding */
    bool unask;     /* usage was asked for, by us: what came because of that is taken out */
    bool holding;   /* MODE_PASS: the head waits in `fields`, the body in `body`, for the cost */
    int64_t length; /* holding: as the target says; -1: it does not */
    uint64_t text_bytes;  /* of the model's texts in the events so far, about */
    struct gw_buf fields; /* the head's fields: kept until it is sent */
    struct gw_buf body;   /* what is collected; MODE_PASS of JSON: the first part */
    struct sse_reader *reader;
    struct json_array *array; /* Gemini's other frame: then reader is NULL */
    struct provider_aws *aws; /* unpacks events before the reader sees them */
    struct restream *restream;
    struct api_reader *events;
    struct translate *translate;
    struct filter_config filter;
    bool filtering;
    struct api_seen seen;
    struct gw_buf copy; /* of what the client gets, for the cache */
    bool copying;
    struct gw_buf rest, rewritten; /* what is left of an event's data; the event with it */
    struct gw_buf out, unpacked;   /* what an event became; what the last bytes were unpacked to */
    struct event
        *last; /* the provider said the last event: ends the answer when nothing more comes */
    struct event *timer; /* lets go what is held back for too long */
    bool armed;
};

/* Sends what was just made in out; a whole answer (complete) gets its head with its length. */
enum gw_status respond_send(struct req *req, bool complete);
void respond_send_head(struct req *req, int64_t length);

/* An event of the stream, in whatever frame. */
enum gw_status respond_on_event(void *ctx, const struct sse_event *ev);

/* An event was read. After the dialect's last one the answer ends, with or without the provider's connection. */
void respond_note_last(struct req *req, const struct sse_event *ev);

/* Body bytes for the client. */
void respond_give(struct req *req, struct gw_span bytes);

/* respond_usage.c: fills in the request's usage from what was seen until now. */
void respond_note_usage(struct req *req);
/* An event of a stream passed. */
void respond_count_text(struct respond *r, struct gw_span data);
/* Adds x-sluice-cost to the head of a complete answer, when it is known. */
void respond_add_cost(struct req *req);
/* A whole answer that is passed on may wait until it is complete, for its cost: it is small. length -1: not said. */
bool respond_may_hold(const struct req *req, int64_t length);
/* True: the bytes were kept. False: they are the caller's to send; what was kept has been sent. */
bool respond_held(struct req *req, struct gw_span bytes);
void respond_send_held(struct req *req);
/* What is left of the event for the client; false: nothing. */
bool respond_unask(struct req *req, const struct sse_event *ev, struct sse_event *left);

/* respond_array.c: elements of a JSON array go through the filter. */
enum gw_status respond_array_feed(struct req *req, struct gw_span bytes);
enum gw_status respond_array_end(struct req *req);
enum gw_status respond_array_release(struct req *req);

/* True for an event whose data may say something for the record: most do not, and reading JSON twice would be waste. */
bool respond_worth_a_look(const struct respond *r, struct gw_span data);

#endif
