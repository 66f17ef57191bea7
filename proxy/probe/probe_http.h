/* proxy/probe/probe_http.h - one GET at a server, for probe_target.c. Blocks. */
#ifndef PROXY_PROBE_HTTP_H
#define PROXY_PROBE_HTTP_H

#include <stdbool.h>

#include "base/span.h"
#include "proxy/config/config.h"

enum probe_problem {
    PROBE_NONE, /* an answer came */
    PROBE_NAME, /* the host's name is not known */
    PROBE_CONNECT,
    PROBE_PROXY, /* the proxy on the way says no, or has no address */
    PROBE_TIME,
    PROBE_CERTIFICATE, /* not for this name, not trusted, expired */
    PROBE_TLS,
    PROBE_OTHER
};

struct probe_get {
    const struct proxy_config_target *target;
    const struct proxy_config_url *url; /* the endpoint's; NULL: text */
    const char *text;                   /* a whole URL */
    const char *path;                   /* with its query; NULL: only connect, TLS included */
    struct gw_span fields;              /* "Name: value CRLF", credentials among them */
    /* the result */
    enum probe_problem problem;
    char why[160]; /* of a problem */
    unsigned status;
    unsigned ms;
    bool has_days;
    int days; /* until its certificate ends */
};

/* Once a process, before threads. False: it cannot be done. */
bool probe_http_init(void);
void probe_http(struct probe_get *g);

#endif
