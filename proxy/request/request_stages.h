/* proxy/request/request_stages.h - the stages of request.c's table, in their order. */
#ifndef PROXY_REQUEST_STAGES_H
#define PROXY_REQUEST_STAGES_H

#include "proxy/request/request_private.h"

/* NEXT: go on. WAIT: something will call req_advance(). DONE: the request was answered (and may be freed). */
enum stage_result { NEXT, WAIT, DONE };

/* request_identify.c */
enum stage_result stage_identify(struct req *req);
/* May the caller ask for the model that the request names? */
bool req_may_model(const struct req *req);
/* request_intake.c */
enum stage_result stage_endpoint(struct req *req);
enum stage_result stage_body(struct req *req);
enum stage_result stage_decode(struct req *req);
enum stage_result stage_extract(struct req *req);
/* request_judge.c */
enum stage_result stage_scan(struct req *req);
enum stage_result stage_decide(struct req *req);
/* request_cache.c */
enum stage_result stage_cache(struct req *req);
/* request_judge.c */
enum stage_result stage_audit(struct req *req);
enum stage_result stage_audit_check(struct req *req);

/* limits_stage.c */
enum stage_result stage_reserve(struct req *req);
enum stage_result stage_reserve_check(struct req *req);

/* request_findings.c: req->findings out of what the scan reported, the allowlist and the rules' modes. False: out of
 * memory. */
bool req_prepare_findings(struct req *req);
/* request_findings.c: the reason that the client gives, when policy asks for one. False: it cannot be taken, and the
 * request was answered. */
bool req_take_justification(struct req *req);

/* extract.c: reads the body and the query into pieces, the request and its model. GW_EINVAL: a member (*param) makes it
 * unroutable; GW_EPARSE, GW_ELIMIT, GW_ENOMEM: it cannot be read. */
enum gw_status extract(struct req *req, const char **param, struct gw_err *err);

#endif
