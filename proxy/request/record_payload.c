/* proxy/request/record_payload.c - what records hold of texts: nothing, fingerprints, masked values, or all of it for the
 * auditor alone. Worker's thread. */
#include "base/glob.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

enum { MASKED_BYTES = 64 /* of a value */ };

static bool matches(const struct proxy_config_list *patterns, struct gw_span text)
{
    return router_name_matches(patterns->items, patterns->n, text);
}

static bool in_a_group(const struct req *req, const struct proxy_config_list *patterns)
{
    for (unsigned i = 0; i < req->who.n_groups; i++)
        if (matches(patterns, req->who.groups[i]))
            return true;
    return patterns->n == 0;
}

/* Where the decision would have it go first. */
static struct gw_span first_target(const struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    if (fixed != NULL)
        return gw_span_str(fixed->host);
    if (req->d.n_choices == 0)
        return (struct gw_span){NULL, 0};
    return gw_span_str(req->setup->cfg->targets[req->d.choices[0]].name);
}

enum audit_payload_level record_level(const struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;

    for (unsigned i = 0; i < cfg->audit.n_payload; i++) {
        const struct proxy_config_payload *p = &cfg->audit.payload[i];

        if (matches(&p->teams, req->who.team) && matches(&p->users, req->who.user) &&
            in_a_group(req, &p->groups) &&
            (matches(&p->keys, req->who.name) || matches(&p->keys, req->who.id)) &&
            matches(&p->models, req->model) && matches(&p->targets, first_target(req)))
            return (enum audit_payload_level)p->level;
    }
    return AUDIT_PAYLOAD_HMAC;
}

void record_answer_bytes(struct req *req, struct gw_span bytes)
{
    uint64_t max = req->setup->cfg->audit.max_payload;
    uint64_t room = max - req->answer.len;

    if (!req->decided || req->payload_level != AUDIT_PAYLOAD_SEALED)
        return;
    /* Without memory for it the record says that nothing of so many bytes was sealed. */
    if (req->answer_seen == 0 && !req_take_memory(req, max))
        req->answer.failed = true;
    req->answer_seen += bytes.len;
    gw_buf_add(&req->answer, (struct gw_span){bytes.ptr, bytes.len < room ? bytes.len : room});
}

/* Whose key it is under: a user, else the one kind of nobody. */
static struct gw_span subject_of(const struct req *req)
{
    return req->who.user.len != 0 ? req->who.user : GW_SPAN("unknown");
}

enum gw_status record_seal(struct req *req, bool answer, struct gw_buf *out, struct audit_event *ev)
{
    uint64_t max = req->setup->cfg->audit.max_payload;
    struct gw_span whole = answer ? gw_buf_span(&req->answer) : gw_buf_span(&req->body);
    struct audit_payload_text t = {
        .subject = subject_of(req),
        .request = gw_span_str(req->id),
        .answer = answer,
        .text = {whole.ptr, whole.len < max ? whole.len : max},
        .bytes = answer ? req->answer_seen : whole.len,
    };
    enum gw_status st;

    if (req->payload_level != AUDIT_PAYLOAD_HMAC)
        ev->payload_level = gw_span_str(audit_payload_level_name(req->payload_level));
    if (req->payload_level != AUDIT_PAYLOAD_SEALED || t.bytes == 0)
        return GW_OK;
    if (req->w->server->payload == NULL)
        return GW_EIO;
    st = audit_payload_seal(req->w->server->payload, &t, out);
    ev->payload = gw_buf_span(out);
    return st;
}

void record_mask(const struct req *req, enum gw_class class_, struct gw_span value,
                 struct gw_buf *out)
{
    if (req->payload_level != AUDIT_PAYLOAD_MASKED || class_ == GW_CLASS_SECRET)
        return;
    if (value.len > MASKED_BYTES) /* a part of it has no last characters to show */
        dlp_mask(out, (struct gw_span){value.ptr, MASKED_BYTES}, true);
    else
        dlp_mask(out, value, false);
}
