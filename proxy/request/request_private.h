/* proxy/request/request_private.h - what the request_*.c files share. */
#ifndef PROXY_REQUEST_PRIVATE_H
#define PROXY_REQUEST_PRIVATE_H

#include "proxy/answer/filter.h"
#include "proxy/net/metrics.h"
#include "proxy/request/request.h"

/* Memory of a request (request_memory.c). Takes what a body of so many bytes will need in all; false: too much is held, and
 * the request was answered with 429 or 503. */
bool req_take_body(struct req *req, uint64_t body_bytes);
/* Gives back all that was taken. */
void req_give_memory(struct req *req);

/* Starts the attempt on the first choice, then on the next ones as they fail. */
void req_run(struct req *req);

/* The decided record is durable, or is not: goes on after the WAIT of the audit stage. */
void req_resume_after_audit(struct req *req);

/* The budgets have answered: goes on after the WAIT of the reserve stage, or of an attempt on another target. */
void req_resume_after_reserve(struct req *req);
void req_resume_after_retarget(struct req *req);
/* The budget has no more for an answer that streams: it is cut in the client's dialect. */
void req_out_of_budget(struct req *req);

/* The name that target would be asked for; REQ_NO_TARGET: an intercepted host. */
struct gw_span req_model_for(const struct req *req, unsigned target);

/* Ends a function that did req->hold++. Returns req, or NULL when the request is over (and freed). */
struct req *req_unhold(struct req *req);

/* What has passed since the last mark was spent on that stage. */
void req_mark(struct req *req, enum metrics_stage stage);

/* Gives up the attempt that runs, if any. */

/* Gives up the attempt that runs or waits, if any, with what was held back of its answer. */
void req_cancel_attempt(struct req *req);

/* ---- further attempts (request_retry.c) ---- */

/* What may mend a failed attempt. */
struct req_remedy {
    bool elsewhere;   /* another endpoint or key of the target */
    bool next;        /* another target */
    bool same;        /* the same, after a wait */
    bool free;        /* it has cost the target nothing: not of its retry budget */
    int64_t after_ms; /* when the server wants to be asked again; -1: it did not say */
};
/* Of an answer with that status. All false: it is the client's. */
void req_remedy_of_status(const struct req *req, unsigned status, const struct http1_field *fields,
                          unsigned n_fields, struct req_remedy *out);
void req_remedy_of_failure(const struct req *req, enum req_failure failure, struct req_remedy *out);
/* Begins another attempt, or waits for it; false: there is none, and nothing was changed. What runs is cancelled. */
bool req_try_again(struct req *req, const struct req_remedy *remedy);
/* True for an answer that another attempt of the same kind, which runs already, may better. */
bool req_is_bad_answer(const struct req *req, unsigned status);
/* Retry-After-Ms or Retry-After, in milliseconds from now; -1: neither. */
int64_t req_retry_after(const struct http1_field *fields, unsigned n_fields);

/* Starts an attempt on the target that was chosen, with the body that was made for it. */
void req_start(struct req *req);
/* The answer's beginning did not become known in time: it is passed on. */
void req_peek_late(struct req *req);

/* Makes what goes to the chosen target (req_out_body()). GW_EDENIED: something cannot be hidden where it stands;
 * GW_EUNSUPPORTED, GW_EINVAL: the target's dialect cannot say it; else the request must not leave. */
enum gw_status req_prepare_body(struct req *req, struct gw_err *err);

/* Ends an answer that has begun, or is being collected, with an error in the client's dialect: in the stream, or as the
 * answer while nothing was sent; else the client sees a cut message. Then req_finish(). */
void req_cut(struct req *req, enum audit_end end, const struct api_failure *f);
/* The same for what respond_*() returned. */
void req_answer_failed(struct req *req, enum gw_status st);

/* The guard that is asked has spoken: it took what passed since the last mark. */
void req_end_guard(struct req *req);

/* The key or token in the shapes that SDKs send, or empty. */
struct gw_span req_client_key(const struct req *req);

/* Who asks for what, as the router wants it: everything but findings and features. */
void req_router_input(const struct req *req, struct router_input *out);

/* The zones that what follows in the conversation must stay in; GW_ZONES_ALL: nothing is said of it. */
unsigned req_zones_kept(const struct req *req);

/* What the texts of the answer go through; false: nothing. */
bool req_filter(struct req *req, struct filter_config *out);

/* Fills in what the answer cost, from what is known of its usage by now (request_cost.c); again when more is known. */
void req_price(struct req *req);
/* Adds usage and cost to the worker's counters; once, at the request's end. */
void req_count_cost(struct req *req);
/* Works out and counts what attempts used that were not the answer's; once, at the request's end. */
void req_count_attempts(struct req *req);
struct router_usage req_usage_of(const struct api_usage *u);

/* The key of HMACs in records and of placeholders. */
struct gw_span req_hmac_key(const struct req *req);

/* What a person is told of a decision (request_advice.c). Where the finding behind it is: " (RULE at POINTER)", or "". */
enum { REQ_PLACE_BYTES = 200, REQ_ADVICE_BYTES = 1200 };
void req_say_place(const struct req *req, char out[REQ_PLACE_BYTES]);
/* The line's message and where to turn to, behind `before`; or "". */
void req_say_advice(const struct req *req, uint16_t line, const char *before,
                    char out[REQ_ADVICE_BYTES]);
/* The line whose message the decision has: it blocks, or coaches; ROUTER_NO_LINE. */
uint16_t req_advising_line(const struct req *req);

/* The "x-sluice-*" fields every answer carries. */
void req_add_fields(const struct req *req, struct gw_buf *out);

/* Name of the target for headers and records: the configured name, or the intercepted host. */
struct gw_span req_target_name(const struct req *req);

#endif
