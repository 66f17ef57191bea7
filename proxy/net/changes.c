/* proxy/net/changes.c - changes of keys become audit records. On the store thread, but for opening and closing. */
#include "proxy/net/changes.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"

enum { WAIT_MS = 3000 };

struct changes {
    struct proxy_store *store;
    struct audit_chan *chan;
    struct gw_json *json;
    char id[GW_ULID_BYTES]; /* of the change that was handed over last */
    bool pending;           /* and whose end is not known yet */
    enum gw_status result;
};

static void on_durable(void *ctx, enum gw_status st)
{
    struct changes *c = ctx;

    c->pending = false;
    c->result = st;
}

/* Waits for the record that is on its way; false when that takes too long. */
static bool wait_for_it(struct changes *c)
{
    for (int ms = 0; c->pending && ms < WAIT_MS; ms += 100) {
        struct pollfd p = {.fd = audit_chan_fd(c->chan), .events = POLLIN};

        if (poll(&p, 1, 100) == 1)
            audit_chan_dispatch(c->chan);
    }
    return !c->pending;
}

/* A state goes into the record as it is, so it must be one JSON value: the database is a file that others may touch. */
static struct gw_span checked(struct changes *c, const char *json)
{
    struct gw_span text = gw_span_str(json);
    struct gw_json_tok tok;

    if (text.len == 0)
        return text;
    gw_json_start(c->json, text, NULL);
    while (gw_json_next(c->json, &tok) != GW_JSON_END)
        if (tok.type == GW_JSON_ERROR)
            return (struct gw_span){NULL, 0};
    return memchr(text.ptr, '\n', text.len) == NULL ? text : (struct gw_span){NULL, 0};
}

static enum gw_status record(void *ctx, const struct proxy_change *change)
{
    struct changes *c = ctx;
    const struct audit_event ev = {
        .kind = AUDIT_CHANGED,
        .time_ms = change->time_ms,
        .request_id = gw_span_str(change->id),
        .user = gw_span_str(change->actor),
        .client_ip = gw_span_str(change->address[0] == '\0' ? "localhost" : change->address),
        .change = gw_span_str(change->action),
        .change_via = gw_span_str(change->via),
        .entity_type = strcmp(change->action, "erase") == 0 ? GW_SPAN("subject") : GW_SPAN("key"),
        .entity_uid = gw_span_str(change->key_id),
        .entity_name = gw_span_str(change->key_name),
        .before_json = checked(c, change->before_json),
        .after_json = checked(c, change->after_json),
    };
    bool same = strncmp(c->id, change->id, sizeof(c->id)) == 0;
    enum gw_status st;

    if (c->pending && !wait_for_it(c))
        return GW_ETIMEDOUT;
    if (same &&
        c->result == GW_OK) /* it took too long the last time, and was written all the same */
        return GW_OK;
    memset(c->id, 0, sizeof(c->id));
    memcpy(c->id, change->id, strnlen(change->id, sizeof(c->id) - 1));
    c->pending = true;
    c->result = GW_EAGAIN;
    st = audit_emit(c->chan, &ev, on_durable, c);
    if (st != GW_OK) {
        c->pending = false;
        return st;
    }
    return wait_for_it(c) ? c->result : GW_ETIMEDOUT;
}

enum gw_status changes_open(struct audit *audit, struct proxy_store *store, struct changes **out,
                            struct gw_err *err)
{
    struct changes *c = calloc(1, sizeof(*c));
    enum gw_status st = GW_ENOMEM;

    if (c != NULL)
        c->json = gw_json_new();
    if (c == NULL || c->json == NULL)
        (void)gw_fail(err, st, "out of memory");
    else
        st = audit_chan_open(audit, &c->chan, err);
    if (st != GW_OK) {
        changes_close(c);
        return st;
    }
    c->store = store;
    proxy_store_set_sink(store, record, c);
    *out = c;
    return GW_OK;
}

void changes_close(struct changes *c)
{
    if (c == NULL)
        return;
    if (c->store != NULL)
        proxy_store_set_sink(c->store, NULL, NULL);
    audit_chan_close(c->chan);
    gw_json_free(c->json);
    free(c);
}
