/* proxy/sink/web.h - sinks that are POSTed to: Splunk's HTTP event collector, Elastic or OpenSearch, plain webhooks. */
#ifndef PROXY_SINK_WEB_H
#define PROXY_SINK_WEB_H

#include "audit/sink.h"
#include "base/buf.h"
#include "base/json.h"
#include "proxy/config/config.h"
#include "proxy/sink/post.h"

/* Fills in out's ops and self. GW_ENOMEM. */
enum gw_status web_make(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                        struct audit_sink *out, struct gw_err *err);

/* Asks whether it is there and takes the token, without a record. */
enum sink_end web_probe(void *self, struct sink_call *call, char *found, size_t size);

/* ---- between proxy/sink/web*.c ------------------------------------------------------------------ */

struct web;

/* One kind of server. */
struct web_kind {
    const char *path; /* behind the URL's */
    const char *type; /* Content-Type */
    /* The records of a call as a body. Pure but for body. */
    void (*write)(const struct web *w, const struct sink_call *call, struct gw_buf *body);
    /* Reads the answer that post has: sets fates and why. */
    enum sink_end (*judge)(struct web *w, struct sink_call *call);
    /* A probe: POST of nothing to the same path, or GET of the URL; and what its answer means. */
    bool probe_posts;
    enum sink_end (*hear)(struct web *w, struct sink_call *call);
};

struct web {
    const struct web_kind *kind;
    struct post *post;
    struct gw_json *json;
    struct gw_buf url, base, body; /* where records go; the server itself */
    char *host, *index;            /* the gateway's name; index or "" */
    struct gw_buf ack;             /* splunk: the URL that acknowledgements are asked at */
    unsigned timeout_ms;
};

extern const struct web_kind web_splunk, web_elastic, web_array, web_lines;

/* All records of the call are taken. */
void web_take_all(struct sink_call *call);

#endif
