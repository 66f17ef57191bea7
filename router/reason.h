/* router/reason.h - the sentence that explains a decision. */
#ifndef ROUTER_REASON_H
#define ROUTER_REASON_H

#include "router/router.h"

/* Fills d->reason_text: printable ASCII, fit for a header field; holds no text of the request. */
void reason_write(const struct router_policy *p, const struct router_input *in,
                  struct router_decision *d);

#endif
