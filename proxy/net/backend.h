/* proxy/net/backend.h - who answers: the engine in this process or a server, behind one table.
 *
 * A backend serves one attempt of one request at a time and reports through the req_on_*() functions of
 * request.h, on the request's thread; what is answered at once may be reported from inside start(), which then
 * returns GW_OK. After cancel() nothing is reported. */
#ifndef PROXY_BACKEND_H
#define PROXY_BACKEND_H

#include "base/err.h"

struct req;

struct backend {
    const char *name; /* "engine", "upstream" */
    /* Begins the attempt. On failure nothing was begun and err says why. */
    enum gw_status (*start)(struct req *req, unsigned target, struct gw_err *err);
    void (*cancel)(struct req *req); /* ends it in this loop turn; NULL-safe on no attempt */
    void (*pause)(struct req *req);  /* the client reads slowly: stop producing soon */
    void (*resume)(struct req *req);
};

extern const struct backend backend_engine;   /* local.c */
extern const struct backend backend_upstream; /* upstream.c */

#endif
