/* proxy/provider/sigv4.h - AWS Signature Version 4 of a request with its whole body (not streamed, not in the query).
 *
 * As AWS's documentation describes it for every service but S3: the path is percent-encoded once more than it is on the
 * request line. Pure. Thread: any. */
#ifndef PROXY_SIGV4_H
#define PROXY_SIGV4_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { SIGV4_TIME_BYTES = 17 };

/* A field that is signed. The request must carry it as it is here. */
struct sigv4_field {
    const char *name; /* lower case */
    struct gw_span value;
};

struct sigv4_request {
    struct gw_span method;
    struct gw_span path;              /* as on the request line; the request has no query */
    const struct sigv4_field *fields; /* ascending by name, host and x-amz-date among them */
    unsigned n_fields;
    struct gw_span body;
    const char *region, *service;
    struct gw_span access_key, secret_key;
    int64_t now_s; /* seconds since 1970: x-amz-date says the same */
};

/* Writes "20150830T123600Z", the value of x-amz-date, and its NUL. */
void sigv4_time(int64_t now_s, char out[SIGV4_TIME_BYTES]);

/* Appends the value of the Authorization field. GW_ENOMEM: out may then hold a part. */
enum gw_status sigv4_authorize(const struct sigv4_request *r, struct gw_buf *out);

#endif
