/* proxy/request_private.h - what the request_*.c files share. */
#ifndef PROXY_REQUEST_PRIVATE_H
#define PROXY_REQUEST_PRIVATE_H

#include "proxy/request.h"

/* Starts the attempt on the first choice, then on the next ones as they fail. */
void req_run(struct req *req);

/* The decided record is durable, or is not: goes on after the WAIT of the audit stage. */
void req_resume_after_audit(struct req *req);

/* Ends a function that did req->hold++. Returns req, or NULL when the request is over (and freed). */
struct req *req_unhold(struct req *req);

/* Gives up the attempt that runs, if any. */
void req_cancel_attempt(struct req *req);

/* The "x-sluice-*" fields every answer carries. */
void req_add_fields(const struct req *req, struct gw_buf *out);

/* Name of the target for headers and records: the configured name, or the intercepted host. */
struct gw_span req_target_name(const struct req *req);

#endif
