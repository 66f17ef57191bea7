/* proxy/request/attempts.h - the attempts of a request: noted for its record, told to the health of the servers. Worker's
 * thread. */
#ifndef PROXY_ATTEMPTS_H
#define PROXY_ATTEMPTS_H

#include "proxy/request/request.h"

/* Notes an attempt that begins. slot: taken, from now on held by it; NULL: it needs none. False: the request has had all the
 * attempts it may have; the slot is still the caller's. */
bool attempt_begin(struct req *req, const struct health_slot *slot, bool hedge, unsigned *index);

/* Notes what became of it, once; after ANSWERED a second outcome is taken when it says that the answer broke off. status: of the answer, 0: none. after_ms:
 * when the server wants to be asked again; -1: it does not say. */
void attempt_end(struct req *req, unsigned index, enum req_outcome outcome, unsigned status,
                 int64_t after_ms);

/* Its connection is gone or free: gives the slot back. Without an outcome it was cancelled. */
void attempt_over(struct req *req, unsigned index);

/* What a failure of the backend is in the record. */
enum req_outcome attempt_outcome(enum req_failure failure);

/* A status that says that the server is not well. */
bool attempt_is_ill(unsigned status);

#endif
