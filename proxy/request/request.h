/* proxy/request/request.h - THE pipeline: one request from its head to its audit record.
 *
 * A table of stages in request.c; a stage returns NEXT, WAIT (something will call req_advance()) or DONE
 * (the request was answered). What happens after the last stage is driven by the backend's events.
 *
 *   identify -> endpoint -> body -> decode -> extract -> scan -> decide -> reserve -> audit -> run
 *                                                                                   |
 *       client <- respond (restore) <- req_on_head / req_on_data / req_on_end <- backend
 *                                                                                   |
 *   every way out -> req_finish() -> audit `completed`, access log, metrics, connection goes on
 *
 * Invariants: (R1) every request that began ends in req_finish() exactly once; (R2) no byte leaves before
 * the decided record is durable; (R3) what leaves was edited for the zone it goes to; (R4) a request is
 * freed only when no callback can name it any more; (R5) once the client got a byte of an answer no further attempt is
 * made. Thread: the worker's, always. */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/types.h"
#include "dlp/dlp.h"
#include "proxy/answer/filter.h"
#include "proxy/api/api.h"
#include "proxy/http/http1.h"
#include "proxy/net/backend.h"
#include "proxy/net/health.h"
#include "proxy/request/endpoint.h"
#include "proxy/request/request_cache.h"
#include "proxy/store/store.h"
#include "router/router.h"

struct cache_entry;
struct cache_question;
struct conn;
struct event;
struct peek;
struct worker;
struct respond;
struct limits_req;
struct setup;

enum { REQ_NO_TARGET = 0xFFFF, REQ_MAX_ATTEMPTS = 8 };

/* What became of an attempt. */
enum req_outcome {
    REQ_OUT_RUNNING,
    REQ_OUT_ANSWERED,    /* its answer is the client's; also an error that is passed on */
    REQ_OUT_STATUS,      /* an error status, for which another attempt was made */
    REQ_OUT_ERROR_EVENT, /* a 200 that began with an error */
    REQ_OUT_NOT_REACHED, /* no connection: nothing was sent */
    REQ_OUT_TIMEOUT,     /* no answer in time */
    REQ_OUT_BROKEN,      /* the connection ended, or what came is no answer */
    REQ_OUT_CUT,         /* the same after the client had got a part of it */
    REQ_OUT_CANCELLED,   /* given up: the client left, or another attempt was faster */
    REQ_OUT_NOT_MADE,    /* the target cannot be asked this */
    REQ_OUT_COUNT
};
const char *req_outcome_name(enum req_outcome o);

/* One of a request's attempts, for the record; and the slot that it holds (proxy/net/health.h). */
struct req_attempt {
    struct health_slot slot; /* target, endpoint, key */
    bool has_slot;           /* false: the engine, or intercepted */
    bool holds;              /* the slot was not given back yet */
    bool hedge;              /* begun beside one that was slow */
    bool told_bad;           /* the endpoint's health was told of its failure */
    bool worked;             /* its server had the request and may have worked on it */
    enum req_outcome outcome;
    unsigned status; /* of its answer; 0: none */
    uint64_t start_ns;
    uint64_t us; /* until the outcome */
    /* What it used, when that is not the answer's (req_count_attempts()): */
    struct router_usage usage; /* of an error as the server says; else filled in at the end */
    bool has_usage;            /* usage is the server's */
    bool lost;                 /* usage counts, and nobody got anything for it */
    bool has_cost;             /* a price is known: */
    uint64_t cost_nano;
};

#define REQ_PIECE_PATH  "path"
#define REQ_PIECE_QUERY "query string"

/* A stretch of what was received that is scanned and edited as one document: the body, a part of a multipart body, the
 * path, the query string. */
struct req_piece {
    struct gw_span bytes; /* in the body; those of path and query are elsewhere */
    struct dlp_doc *doc;
    struct dlp_report report;
    const char *fixed; /* what it is, when it cannot be edited: REQ_PIECE_PATH, ...; else NULL */
    enum router_field field; /* OTHER: its texts have places of their own, or none */
};

/* What the client says in x-sluice-justification, at most this long. */
enum { REQ_MAX_JUSTIFICATION = 400 };

struct req {
    struct conn *conn;
    struct worker *w;
    struct setup *setup; /* pinned: the configuration, and the only one, that this request reads */
    struct gw_arena *arena;
    char id[GW_ULID_BYTES];
    uint64_t start_ns, first_byte_ns; /* monotonic; first_byte_ns 0: none yet */
    unsigned stage;                   /* index of the stage that runs next */
    uint64_t mark_ns;                 /* monotonic: when what is now timed for the metrics began */

    /* received */
    const struct http1_head *head; /* NULL when the head was malformed */
    struct gw_buf body;            /* as received, then decoded from its Content-Encoding */
    bool body_complete;
    struct gw_span path;  /* without the query */
    struct gw_span query; /* with its '?'; on the gateway port without the key in it */
    struct endpoint ep;

    /* identify */
    struct proxy_principal who;
    bool has_who;

    /* extract, scan */
    struct api_request asked; /* ENDPOINT_CHAT */
    struct gw_span model;     /* as asked for; empty: the endpoint has none */
    struct req_piece *pieces;
    unsigned n_pieces;
    const struct gw_json_node *tree; /* of the body, or NULL: it was not read as JSON */
    uint64_t dlp_ns, scanned_bytes;
    struct audit_guard_run guards[AUDIT_GUARDS];
    struct audit_guard_run *guard; /* the one that is asked now, or NULL */
    struct filter_time answer_scan;
    struct gw_span views_cut; /* names of budgets of the scan that ended early; empty: none */

    /* decide */
    struct router_decision d;
    struct router_finding *findings;           /* n_findings: piece by piece */
    unsigned n_findings, n_allowed;            /* of them taken away by an allowlist */
    const struct proxy_config_allow **allowed; /* n_findings: by which entry, or NULL */
    int64_t judged_ms;                         /* wall clock of the decision */
    struct gw_span justification;              /* why a line that blocks should not; or empty */
    struct router_would simulated;             /* what the policy to simulate would have decided */
    bool pinned; /* earlier requests of the conversation were limited to these zones: */
    unsigned pinned_zones;
    bool decided; /* a decided record was emitted */
    const char
        *shown[4]; /* of each enum record_word: NULL not looked at; "" as it is; else instead */
    enum audit_payload_level payload_level; /* what records hold of its texts; when decided */

    /* cache */
    enum req_cache cache;
    struct cache_entry *cached;            /* HIT: what is given again; held */
    struct cache_question *cache_question; /* what Redis is asked; NULL: nothing */
    unsigned char cache_key[GW_SHA256_BYTES];
    unsigned cache_target; /* that the key is for: the decision's first choice */
    bool cache_keeps;      /* the answer may be kept under that key */
    uint64_t cache_age_s;
    uint64_t saved_nano; /* HIT: what the answer cost when it was made, at today's price, when: */
    bool has_saved;

    /* run */
    unsigned choice; /* index in d.choices of the attempt */
    struct req_attempt attempts[REQ_MAX_ATTEMPTS];
    unsigned n_attempts;
    unsigned current;             /* index of the attempt that answers or has failed */
    unsigned n_retries;           /* on this target */
    uint64_t tried;               /* slots of this target that were (health_slot_bit()) */
    struct health_slot next_slot; /* taken for the attempt that is begun, when: */
    bool has_next_slot;
    bool last;             /* no further attempt, whatever happens */
    struct event *wait;    /* until a retry, or NULL */
    unsigned told_status;  /* the last error status of a server that was not passed on; 0: none */
    int64_t told_after_ms; /* when it wanted to be asked again; -1: it did not say */
    struct peek *peek;     /* the answer's beginning, until it is known to be no error; or NULL */
    unsigned target;       /* REQ_NO_TARGET: intercepted */
    enum gw_zone zone;
    const struct backend *backend; /* NULL: no attempt runs */
    void *attempt;                 /* the backend's */
    struct gw_buf out_body;        /* what goes to the target, when it differs from body */
    bool edited;
    bool usage_asked;        /* we asked the target for a stream's usage; the client did not */
    bool translated;         /* the target speaks another dialect: */
    enum api_dialect spoken; /* this one */
    struct gw_buf dropped;   /* hints that the target's dialect has no place for, "a, b" */
    struct dlp_vault *vault;
    struct gw_span out_model; /* the model name the target is asked for */

    /* respond */
    struct respond *respond;
    unsigned status;
    uint64_t upstream_bytes;
    struct gw_buf answer;      /* SEALED: its beginning, for the record */
    uint64_t answer_seen;      /* SEALED: bytes of all of it */
    struct router_usage usage; /* filled in when the answer ends, whatever the way */
    bool has_usage;            /* the target has counted, or: */
    bool usage_estimated;  /* some of it is our estimate: the answer broke off before it was said */
    uint64_t cost_nano;    /* of usage, in nano-units of the price table's currency; when: */
    bool has_cost;         /* a price is known */
    uint64_t compare_nano; /* what usage would have cost at prices.compare, when: */
    bool has_compare; /* the answer is of the engine or a private target, and that price is known */
    uint64_t
        lost_nano; /* what attempts cost that were not the answer's, as far as prices are known */
    bool has_lost; /* one of them has a cost */
    int64_t price_from_ms;      /* the day from which the price holds */
    unsigned n_restored;        /* placeholders put back */
    unsigned n_answer_findings; /* found in the answer, when policy watches answers */
    uint16_t answer_line;       /* the policy line that ended the answer, or ROUTER_NO_LINE */
    struct gw_span finish_reason, response_model;
    enum audit_end end;
    char error_text[160];
    const char *error_code;  /* of the answer we made ourselves, or NULL */
    const char *error_param; /* what its "param" says, or NULL */

    struct limits_req *limits;   /* what it holds of budgets (limits.h), or NULL */
    unsigned hold;               /* functions on the stack that use the request: freed only at 0 */
    enum gw_status audit_status; /* of the decided record */
    bool audit_wait;             /* audit_emit will call back */
    uint64_t held_bytes;         /* what req_take_memory() took */
    bool slow_client;            /* it has read slower than we write: its buffers were taken */
    bool client_gone;            /* nobody reads the answer any more */
    bool finished;
};

/* ---- called by conn.c -------------------------------------------------------------------- */

/* A head arrived. Runs the stages that need no body; may answer at once. NULL when out of memory. */
struct req *req_begin(struct conn *c, const struct http1_head *head);
void req_on_body(struct req *req, struct gw_span bytes);
void req_on_body_end(struct req *req);

/* The bytes were not HTTP (or too large, too slow): answers status and writes the refused record. req NULL:
 * no head was complete. */
void req_malformed(struct conn *c, struct req *req, unsigned status, const char *why);

/* The client closed or failed; the backend is cancelled in this loop turn. */
void req_client_gone(struct req *req);
/* The gateway stops and cannot wait any longer. */
void req_stop(struct req *req);
/* limits.request_timeout is over: 504, or the answer breaks off. */
void req_out_of_time(struct req *req);
/* The client reads again: resume the backend. */
void req_writable(struct req *req);

/* ---- called by backends ------------------------------------------------------------------- */

/* The answer's head. Connection-level fields are dropped here. */
void req_on_head(struct req *req, unsigned status, const struct http1_field *fields,
                 unsigned n_fields, int64_t length);
void req_on_data(struct req *req, struct gw_span bytes);
void req_on_end(struct req *req);
/* The same for a backend that answers in events (the engine): req_on_events() instead of the head, then each event, the
 * last of which is END. */
void req_on_events(struct req *req);
void req_on_event(struct req *req, const struct api_event *ev);
/* A whole JSON answer of status 200 that needs no events. */
void req_give_json(struct req *req, struct gw_span body);
/* The attempt failed. Before the answer began the next choice is tried; with none left the client gets the
 * status of the failure. */
enum req_failure {
    REQ_FAIL_UPSTREAM,      /* 502: broken answer, or none */
    REQ_FAIL_NOT_SENT,      /* 502: not reached; nothing was sent */
    REQ_FAIL_NO_CONNECTION, /* 504: not reached in time; nothing was sent */
    REQ_FAIL_CALL, /* 502: it cannot be asked so, or not yet (an access token); nothing was sent */
    REQ_FAIL_DOWN, /* 503: its servers are left alone */
    REQ_FAIL_TIMEOUT,     /* 504 */
    REQ_FAIL_BUSY,        /* 429: the engine's queue or KV cache is full */
    REQ_FAIL_TOO_LONG,    /* 400: the prompt does not fit the model */
    REQ_FAIL_LIMIT,       /* 429: a budget of the target has no room */
    REQ_FAIL_UNSUPPORTED, /* 400: a parameter that this target cannot honour */
    REQ_FAIL_INVALID,     /* 400: a parameter that is wrong, as this target sees it */
};
void req_on_error(struct req *req, enum req_failure failure, const char *why);

/* ---- called by stages and by respond.c ------------------------------------------------------ */

/* Answers an error in the client's dialect, once; what follows is req_finish() with that end. code: OpenAI-like
 * error code ("invalid_api_key"). retry_after_s 0: none. */
void req_refuse(struct req *req, unsigned status, const char *type, const char *code,
                int retry_after_s, enum audit_end end, const char *fmt, ...) GW_PRINTF(7, 8);

/* Ends the request: see R1. The answer must be complete, aborted, or unwanted. */
void req_finish(struct req *req, enum audit_end end);

/* Runs stages until one waits or the request is done. */
void req_advance(struct req *req);

/* Takes bytes of memory for this request, counted for its client and for all; they are given back when it ends. False: too
 * much is held already, take nothing. */
bool req_take_memory(struct req *req, uint64_t bytes);

/* The bytes that go to the target. */
struct gw_span req_out_body(const struct req *req);

#endif
