/* proxy/answer/restream_event.h - one JSON event of a stream, read into its strings with their places. Private to restream*.c.
 *
 * And what the dialect says of it: which strings are texts of the model, which of them grow over several events, and which
 * texts the event ends. Spans point into the event's data. Worker's thread. */
#ifndef PROXY_RESTREAM_EVENT_H
#define PROXY_RESTREAM_EVENT_H

#include "base/json.h"
#include "proxy/api/dialect.h"

enum { RS_MAX_NODES = 4096, RS_MAX_DEPTH = 64, RS_MAX_SPOTS = 64, RS_NO_INDEX = -1, RS_ROOT = -1 };

/* A step of a path: a member of an object or an element of an array. */
struct rs_node {
    int parent;         /* RS_ROOT: the root */
    struct gw_span key; /* member; empty for an element */
    int64_t index;      /* element: its "index" member, else its position; RS_NO_INDEX: a member */
    bool thought;       /* element: Gemini, a part with "thought": true */
};

struct rs_leaf {
    struct gw_span raw; /* inside of the string */
    int node;
    bool escaped;
};

/* A value in the data that is taken as a whole. */
struct rs_spot {
    size_t start, end; /* bytes */
    int node;
    bool
        json; /* an object of anything, a JSON text of its own (a call's arguments); else it repeats a text in another
                  form and goes when that changes ("logprobs") */
};

struct rs_event {
    struct gw_span data;
    struct rs_node *nodes;
    struct rs_leaf *leaves;
    unsigned n_nodes, cap_nodes, n_leaves, cap_leaves;
    struct rs_spot spots[RS_MAX_SPOTS];
    unsigned n_spots;
    struct gw_span type;     /* the root's "type", or empty */
    struct gw_span sequence; /* the root's "sequence_number" as it stands, or empty */
    int64_t index, output_index, content_index, summary_index; /* of the root; RS_NO_INDEX */
};

/* How a string goes to the client. */
enum rs_kind {
    RS_PASS,    /* as it came: names, ids, opaque bytes */
    RS_RESTORE, /* placeholders only: it says what the request said */
    RS_WHOLE,   /* a text of its own */
    RS_REPEAT,  /* a text that had come in pieces before */
    RS_GROW,    /* a piece of a growing text */
    RS_SIGNED,  /* the same, and its bytes must not change: the provider has signed it */
};

/* What one string is. */
struct rs_text {
    enum rs_kind kind;
    unsigned nesting; /* 1: it holds JSON */
    uint64_t path;    /* GROW, SIGNED: which text */
    int64_t choice;   /* the choice, block or item it belongs to */
    bool thought;     /* Gemini */
};

/* Reads data. False when it is not JSON, or too odd to be an event: nothing in it can be changed then. */
bool rs_read(enum api_dialect d, struct rs_event *ev, struct gw_json *json, struct gw_span data);
void rs_event_fini(struct rs_event *ev);

struct rs_text rs_classify(enum api_dialect d, const struct rs_event *ev,
                           const struct rs_leaf *leaf);

/* Does the event end that text (of that path and choice), whether it holds a piece of it or not? */
bool rs_ends(enum api_dialect d, const struct rs_event *ev, uint64_t path, int64_t choice);

/* Is the node an object that a tool takes, whatever is in it? */
bool rs_is_json(enum api_dialect d, const struct rs_event *ev, int node);

/* The choice that a node belongs to, or RS_NO_INDEX. */
int64_t rs_choice(enum api_dialect d, const struct rs_event *ev, int node);

/* True when the node is that member. */
bool rs_key_is(const struct rs_event *ev, int node, const char *name);

#endif
