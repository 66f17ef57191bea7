/* proxy/sink/web_elastic.c - Elasticsearch and OpenSearch: _bulk, each record a `create` under its own id.
 *
 * The id is metadata.uid, so a record that comes twice is there once: 409 says that it is there. @timestamp is added, which
 * data streams want. Each item has an answer of its own: what is to wait comes again, what is wrong for ever goes to the dead
 * letters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/sink/answers.h"
#include "proxy/sink/web.h"

static void write_bulk(const struct web *w, const struct sink_call *call, struct gw_buf *body)
{
    for (unsigned i = 0; i < call->n; i++) {
        const struct sink_record *r = &call->records[i];
        char when[GW_RFC3339_BYTES];

        gw_clock_rfc3339(r->time_ms, when);
        gw_buf_adds(body, "{\"create\":{\"_index\":");
        gw_buf_add_json_str(body, gw_span_str(w->index));
        if (r->uid[0] != '\0') {
            gw_buf_adds(body, ",\"_id\":");
            gw_buf_add_json_str(body, gw_span_str(r->uid));
        }
        gw_buf_printf(body, "}}\n{\"@timestamp\":\"%s\",", when);
        gw_buf_add(body, gw_span_from(r->json, 1)); /* behind its { */
        gw_buf_addc(body, '\n');
    }
}

/* What became of one record. False: only a person can help. */
static bool settle(struct sink_record *r, unsigned status)
{
    switch (status) {
    case 401:
    case 403: /* not allowed to write there */
    case 404: /* there is no such index, and none is made by itself */
        return false;
    case 409: /* it is there already */
        r->fate = SINK_TAKEN;
        return true;
    case 0:
    case 408:
    case 429:
        return true; /* again */
    default:
        if (status >= 200 && status < 300)
            r->fate = SINK_TAKEN;
        else if (status >= 400 && status < 500)
            r->fate = SINK_REFUSES;
        return true;
    }
}

static enum sink_end judge_items(struct web *w, struct sink_call *call)
{
    struct elastic_item *items = calloc(call->n, sizeof(*items));
    struct elastic_answer a;
    bool allowed = true;

    if (items == NULL || !elastic_read(w->json, post_answer(w->post), items, call->n, &a) ||
        (a.errors && a.n_items != call->n)) {
        free(items);
        (void)snprintf(call->why, sizeof(call->why), "this is no answer of _bulk");
        return SINK_ANSWER;
    }
    if (!a.errors)
        web_take_all(call);
    for (unsigned i = 0; a.errors && i < call->n; i++) {
        allowed = settle(&call->records[i], items[i].status) && allowed;
        /* What is refused for good says why before all else. */
        if (call->records[i].fate != SINK_TAKEN &&
            (call->why[0] == '\0' || call->records[i].fate == SINK_REFUSES))
            (void)snprintf(call->why, sizeof(call->why), "item: %u %s", items[i].status,
                           items[i].type);
    }
    free(items);
    return allowed ? SINK_DONE : SINK_DENIED;
}

static enum sink_end judge_bulk(struct web *w, struct sink_call *call)
{
    enum sink_end end = post_judge(post_status(w->post), call);

    return end == SINK_DONE ? judge_items(w, call) : end;
}

/* 403: the key is good, but not for asking about the cluster. */
static enum sink_end hear_cluster(struct web *w, struct sink_call *call)
{
    unsigned status = post_status(w->post);

    return status == 403 ? SINK_DONE : post_judge(status, call);
}

const struct web_kind web_elastic = {"/_bulk?filter_path=errors,items.*.status,items.*.error.type",
                                     "application/x-ndjson",
                                     write_bulk,
                                     judge_bulk,
                                     false,
                                     hear_cluster};
