/* proxy/fetch/fetch_answer.h - one small answer of a server, brought by libcurl on the calling thread, which it blocks: token
 * issuers' keys, access tokens. Redirects are not followed; TLS is verified. */
#ifndef PROXY_FETCH_ANSWER_H
#define PROXY_FETCH_ANSWER_H

#include <stdbool.h>

#include "base/buf.h"

struct fetch_answer {
    /* What is asked. The texts are borrowed. */
    const char *url;          /* http or https */
    const char *ca;           /* file with certificates, or NULL: the system's */
    const char *proxy, *auth; /* URL and "user:password"; NULL: as the environment says; none */
    bool no_proxy;       /* it is this machine's own: directly, whatever the environment says */
    const char *field;   /* a header field, or NULL */
    struct gw_span post; /* a form; empty: GET */
    size_t max_bytes;    /* of the answer */
    long connect_s, total_s;
    bool (*stopped)(void *ctx); /* asked about once a second: ends the transfer */
    void *ctx;
    /* What came; the caller releases body. */
    struct gw_buf body;
    long status;   /* 0: no answer */
    char why[160]; /* there is none; "" when it was stopped. No secrets. */
};

/* Before threads, once or more often. False: out of memory. */
bool fetch_answer_init(void);

/* True when there was an answer, whatever its status. */
bool fetch_answer(struct fetch_answer *f);

#endif
