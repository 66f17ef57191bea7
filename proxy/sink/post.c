/* proxy/sink/post.c - see post.h. Owns the handles of libcurl. */
#include "proxy/sink/post.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

enum { MAX_ANSWER = 8 << 20, SLICE_MS = 200, CONNECT_MS = 10000, MAX_FIELD = 9000 };

struct post {
    CURLM *multi; /* keeps the connection */
    CURL *easy;
    struct curl_slist *head;
    char why[CURL_ERROR_SIZE];
    struct gw_buf answer;
    bool too_long;
    unsigned status;
};

// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
    struct post *p = ctx;

    if (p->answer.len + size * n > MAX_ANSWER) {
        p->too_long = true;
        return 0;
    }
    gw_buf_add(&p->answer, (struct gw_span){data, size * n});
    return gw_buf_ok(&p->answer) ? size * n : 0;
}

static bool add_field(struct post *p, const char *line)
{
    struct curl_slist *more = curl_slist_append(p->head, line);

    if (more == NULL)
        return false;
    p->head = more;
    return true;
}

static bool add_fields(struct post *p, struct gw_span text)
{
    char line[MAX_FIELD];
    bool ok = add_field(p, "Expect:"); /* an answer to a question that no server needs */

    while (ok && text.len != 0) {
        const char *end = memmem(text.ptr, text.len, "\r\n", 2);
        size_t n = end == NULL ? text.len : (size_t)(end - text.ptr);

        ok = n < sizeof(line);
        if (!ok)
            break;
        memcpy(line, text.ptr, n);
        line[n] = '\0';
        ok = add_field(p, line);
        text = gw_span_from(text, end == NULL ? n : n + 2);
    }
    explicit_bzero(line, sizeof(line));
    return ok;
}

static bool set_up(struct post *p, const struct post_config *cfg)
{
    CURL *c = p->easy;
    long connect_ms = cfg->timeout_ms < CONNECT_MS ? (long)cfg->timeout_ms : CONNECT_MS;
    bool ok = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)cfg->timeout_ms) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->why) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEDATA, p) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HTTPHEADER, p->head) == CURLE_OK;

    if (cfg->ca[0] != '\0')
        ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, cfg->ca) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (cfg->cert[0] != '\0')
        ok = ok && curl_easy_setopt(c, CURLOPT_SSLCERT, cfg->cert) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_SSLKEY, cfg->cert_key) == CURLE_OK;
    return ok;
}

enum gw_status post_new(const struct post_config *cfg, struct post **out, struct gw_err *err)
{
    struct post *p = calloc(1, sizeof(*p));

    if (p != NULL) {
        p->multi = curl_multi_init();
        p->easy = curl_easy_init();
        if (p->multi != NULL && p->easy != NULL && add_fields(p, cfg->fields) && set_up(p, cfg)) {
            *out = p;
            return GW_OK;
        }
    }
    post_free(p);
    return gw_fail(err, GW_ENOMEM, "audit.sinks: out of memory");
}

void post_free(struct post *p)
{
    if (p == NULL)
        return;
    curl_easy_cleanup(p->easy);
    (void)curl_multi_cleanup(p->multi);
    for (struct curl_slist *l = p->head; l != NULL; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(p->head);
    gw_buf_fini(&p->answer);
    free(p);
}

static enum sink_end end_of(const struct post *p, CURLcode rc)
{
    switch ((int)rc) {
    case CURLE_OK:
        return SINK_DONE;
    case CURLE_OPERATION_TIMEDOUT:
        return SINK_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
        return SINK_TLS;
    case CURLE_WRITE_ERROR:
        return p->too_long ? SINK_ANSWER : SINK_CONNECT;
    default:
        return SINK_CONNECT;
    }
}

/* Runs the transfer that was added. False: give_up() said so. */
static bool run(struct post *p, const struct sink_call *call, CURLcode *rc)
{
    int running = 1, left;
    const CURLMsg *m;

    *rc = CURLE_OUT_OF_MEMORY;
    while (running != 0) {
        if (curl_multi_perform(p->multi, &running) != CURLM_OK)
            return true;
        if (running == 0)
            break;
        if (call->give_up(call->ctx))
            return false;
        if (curl_multi_poll(p->multi, NULL, 0, SLICE_MS, NULL) != CURLM_OK)
            return true;
    }
    while ((m = curl_multi_info_read(p->multi, &left)) != NULL)
        if (m->msg == CURLMSG_DONE)
            *rc = m->data.result;
    return true;
}

enum sink_end post_send(struct post *p, const char *url, struct gw_span body,
                        struct sink_call *call)
{
    curl_off_t wait_s = 0;
    long status = 0;
    CURLcode rc = CURLE_OUT_OF_MEMORY;
    bool went = true, ok;

    gw_buf_clear(&p->answer);
    p->too_long = false;
    p->status = 0;
    p->why[0] = '\0';
    ok = curl_easy_setopt(p->easy, CURLOPT_URL, url) == CURLE_OK;
    if (body.ptr == NULL)
        ok = ok && curl_easy_setopt(p->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    else
        ok = ok && curl_easy_setopt(p->easy, CURLOPT_POST, 1L) == CURLE_OK &&
             curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.ptr) == CURLE_OK &&
             curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) ==
                 CURLE_OK;
    if (ok && curl_multi_add_handle(p->multi, p->easy) == CURLM_OK) {
        went = run(p, call, &rc);
        (void)curl_multi_remove_handle(p->multi, p->easy);
    }
    if (!went)
        return SINK_STOPPED;
    if (rc != CURLE_OK) {
        (void)snprintf(call->why, sizeof(call->why), "%.190s",
                       p->why[0] != '\0' ? p->why : curl_easy_strerror(rc));
        return end_of(p, rc);
    }
    (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(p->easy, CURLINFO_RETRY_AFTER, &wait_s);
    p->status = (unsigned)status;
    call->wait_ms = wait_s <= 0 ? 0 : wait_s < 3600 ? (unsigned)wait_s * 1000 : 3600000;
    return SINK_DONE;
}

unsigned post_status(const struct post *p)
{
    return p->status;
}

struct gw_span post_answer(const struct post *p)
{
    return gw_buf_span(&p->answer);
}

enum sink_end post_judge(unsigned status, struct sink_call *call)
{
    if (status >= 200 && status < 300)
        return SINK_DONE;
    (void)snprintf(call->why, sizeof(call->why), "status %u", status);
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 503:
        return SINK_BUSY;
    case 400:
    case 413:
    case 422:
        return SINK_REFUSED;
    default:
        return status >= 500 ? SINK_SERVER : SINK_DENIED;
    }
}
