/* proxy/sink/web.c - see web.h: making, sending, and plain webhooks. */
#include "proxy/sink/web.h"

#include <sys/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

/* ---- plain webhooks ----------------------------------------------------------------------------- */

void web_take_all(struct sink_call *call)
{
    for (unsigned i = 0; i < call->n; i++)
        call->records[i].fate = SINK_TAKEN;
}

static void write_array(const struct web *w, const struct sink_call *call, struct gw_buf *body)
{
    (void)w;
    for (unsigned i = 0; i < call->n; i++) {
        gw_buf_addc(body, i == 0 ? '[' : ',');
        gw_buf_add(body, call->records[i].json);
    }
    gw_buf_addc(body, ']');
}

static void write_lines(const struct web *w, const struct sink_call *call, struct gw_buf *body)
{
    (void)w;
    for (unsigned i = 0; i < call->n; i++) {
        gw_buf_add(body, call->records[i].json);
        gw_buf_addc(body, '\n');
    }
}

static enum sink_end judge_plain(struct web *w, struct sink_call *call)
{
    enum sink_end end = post_judge(post_status(w->post), call);

    if (end == SINK_DONE)
        web_take_all(call);
    return end;
}

/* A GET may be answered in any way but that the credentials are wrong. */
static enum sink_end hear_plain(struct web *w, struct sink_call *call)
{
    unsigned status = post_status(w->post);

    return status == 401 || status >= 500 ? post_judge(status, call) : SINK_DONE;
}

const struct web_kind web_array = {"",    "application/json", write_array, judge_plain,
                                   false, hear_plain};
const struct web_kind web_lines = {
    "", "application/x-ndjson", write_lines, judge_plain, false, hear_plain};

/* ---- delivering --------------------------------------------------------------------------------- */

static enum sink_end web_deliver(void *self, struct sink_call *call)
{
    struct web *w = self;
    enum sink_end end;

    gw_buf_clear(&w->body);
    w->kind->write(w, call, &w->body);
    if (!gw_buf_ok(&w->body)) {
        gw_buf_fini(&w->body);
        (void)snprintf(call->why, sizeof(call->why), "out of memory");
        return SINK_CONNECT;
    }
    end = post_send(w->post, w->url.ptr, gw_buf_span(&w->body), call);
    return end == SINK_DONE ? w->kind->judge(w, call) : end;
}

enum sink_end web_probe(void *self, struct sink_call *call, char *found, size_t size)
{
    struct web *w = self;
    struct gw_span nothing = {w->kind->probe_posts ? "" : NULL, 0};
    enum sink_end end;

    end = post_send(w->post, w->kind->probe_posts ? w->url.ptr : w->base.ptr, nothing, call);
    if (end == SINK_DONE)
        end = w->kind->hear(w, call);
    if (end == SINK_DONE)
        (void)snprintf(found, size, "answers %u", post_status(w->post));
    return end;
}

static void web_close(void *self)
{
    struct web *w = self;

    if (w == NULL)
        return;
    post_free(w->post);
    gw_json_free(w->json);
    gw_buf_fini(&w->url);
    gw_buf_fini(&w->base);
    gw_buf_fini(&w->body);
    gw_buf_fini(&w->ack);
    free(w->host);
    free(w->index);
    free(w);
}

/* ---- making -------------------------------------------------------------------------------------- */

static const struct web_kind *kind_of(const struct proxy_config_sink *k)
{
    if (k->kind == PROXY_SINK_SPLUNK)
        return &web_splunk;
    if (k->kind == PROXY_SINK_ELASTIC)
        return &web_elastic;
    return k->format == PROXY_SINK_NDJSON ? &web_lines : &web_array;
}

/* A random UUID (version 4): Splunk tells the senders of one token apart by it. */
static bool add_channel(struct gw_buf *out)
{
    unsigned char r[16];

    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return false;
    r[6] = (unsigned char)((r[6] & 0x0F) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < sizeof(r); i++)
        gw_buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", r[i]);
    return true;
}

static void add_authorization(const struct proxy_config_sink *k, struct gw_buf *out)
{
    const char *scheme = k->kind == PROXY_SINK_SPLUNK    ? "Splunk"
                         : k->kind == PROXY_SINK_ELASTIC ? "ApiKey"
                                                         : "Bearer";
    struct gw_buf pair = {0};

    if (k->token.value.len == 0)
        return;
    gw_buf_adds(out, "Authorization: ");
    if (k->user[0] == '\0') {
        gw_buf_adds(out, scheme);
        gw_buf_addc(out, ' ');
        gw_buf_add(out, k->token.value);
    } else {
        gw_buf_printf(&pair, "%s:", k->user);
        gw_buf_add(&pair, k->token.value);
        gw_buf_adds(out, "Basic ");
        gw_base64(out, gw_buf_span(&pair));
        out->failed = out->failed || !gw_buf_ok(&pair);
        gw_buf_fini(&pair);
    }
    gw_buf_adds(out, "\r\n");
}

static bool prepare(struct web *w, const struct proxy_config_sink *k, struct gw_buf *fields)
{
    const struct proxy_config_url *url = &k->url;
    bool six = strchr(url->host, ':') != NULL;
    struct gw_buf channel = {0};
    bool ok = add_channel(&channel);

    gw_buf_printf(&w->url, "%s://%s%s%s:%u%s", url->tls ? "https" : "http", six ? "[" : "",
                  url->host, six ? "]" : "", url->port, url->path);
    gw_buf_add(&w->ack, gw_buf_span(&w->url));
    gw_buf_add(&w->base, gw_buf_span(&w->url));
    gw_buf_addc(&w->base, '/');
    gw_buf_adds(&w->url, w->kind->path);
    gw_buf_printf(fields, "Content-Type: %s\r\n", w->kind->type);
    add_authorization(k, fields);
    if (w->kind == &web_splunk && ok) {
        gw_buf_printf(&w->ack, "/services/collector/ack?channel=%s", channel.ptr);
        gw_buf_printf(fields, "X-Splunk-Request-Channel: %s\r\n", channel.ptr);
    }
    ok = ok && gw_buf_ok(&channel) && gw_buf_ok(&w->url) && gw_buf_ok(&w->ack) && gw_buf_ok(fields);
    gw_buf_fini(&channel);
    return ok;
}

enum gw_status web_make(const struct proxy_config *cfg, const struct proxy_config_sink *k,
                        struct audit_sink *out, struct gw_err *err)
{
    static const struct sink_ops ops = {web_deliver, NULL, web_close};
    struct web *w = calloc(1, sizeof(*w));
    struct gw_buf fields = {0};
    struct post_config pc = {.ca = k->ca,
                             .cert = k->cert,
                             .cert_key = k->cert_key,
                             .timeout_ms = (unsigned)k->timeout_ms};
    enum gw_status st = GW_ENOMEM;

    if (w != NULL) {
        w->kind = kind_of(k);
        w->timeout_ms = pc.timeout_ms;
        w->host = strdup(cfg->instance);
        w->index = strdup(k->index);
        w->json = gw_json_new();
        if (w->host != NULL && w->index != NULL && w->json != NULL && prepare(w, k, &fields)) {
            pc.fields = gw_buf_span(&fields);
            st = post_new(&pc, &w->post, err);
        }
    }
    gw_buf_fini(&fields);
    if (st != GW_OK) {
        web_close(w);
        return gw_fail(err, st, "audit.sinks: %s: out of memory", k->name);
    }
    out->ops = &ops;
    out->self = w;
    return GW_OK;
}
