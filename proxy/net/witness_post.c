/* proxy/net/witness_post.c - see witness_post.h. Thread: the witness's. */
#include "proxy/net/witness_post.h"

#include <stdio.h>
#include <string.h>

#include "proxy/fetch/fetch_answer.h"

enum { CONNECT_S = 5, TOTAL_S = 20, MAX_ANSWER_BYTES = 64 << 10 };

static void post(void *ctx, struct audit_post *p)
{
    const struct witness_post *w = ctx;
    struct fetch_answer f = {.url = w->url,
                             .ca = w->ca[0] != '\0' ? w->ca : NULL,
                             .no_proxy = strncmp(w->url, "http://127.", 11) == 0,
                             .field = "Content-Type: text/plain",
                             .post = p->body,
                             .max_bytes = MAX_ANSWER_BYTES,
                             .connect_s = CONNECT_S,
                             .total_s = TOTAL_S,
                             .stopped = p->stopped,
                             .ctx = p->stopped_ctx};

    (void)fetch_answer(&f);
    p->status = f.status;
    p->answer = f.body;
    (void)snprintf(p->why, sizeof(p->why), "%s", f.why);
}

enum gw_status witness_post_init(struct witness_post *w, const char *url, const char *ca,
                                 struct gw_err *err)
{
    const size_t n = strlen(url);

    if (!fetch_answer_init())
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (snprintf(w->url, sizeof(w->url), "%.*s/add-checkpoint",
                 (int)(n != 0 && url[n - 1] == '/' ? n - 1 : n), url) >= (int)sizeof(w->url) ||
        snprintf(w->ca, sizeof(w->ca), "%s", ca) >= (int)sizeof(w->ca))
        return gw_fail(err, GW_ELIMIT, "audit.witness: url or ca is too long");
    w->witness = (struct audit_witness){post, w};
    return GW_OK;
}
