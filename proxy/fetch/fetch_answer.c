/* proxy/fetch/fetch_answer.c - see fetch_answer.h. */
#include "proxy/fetch/fetch_answer.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

bool fetch_answer_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct fetch_answer *f = ctx;

    if (size * n > f->max_bytes - f->body.len)
        return 0;
    gw_buf_add(&f->body, (struct gw_span){bytes, size * n});
    return gw_buf_ok(&f->body) ? size * n : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct fetch_answer *f = ctx;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return f->stopped != NULL && f->stopped(f->ctx) ? 1 : 0;
}

static bool set_way(CURL *c, const struct fetch_answer *f)
{
    bool ok = true;

    if (f->ca != NULL)
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, f->ca) == CURLE_OK;
    if (f->no_proxy)
        return ok && curl_easy_setopt(c, CURLOPT_NOPROXY, "*") == CURLE_OK;
    if (f->proxy != NULL)
        ok = ok && curl_easy_setopt(c, CURLOPT_PROXY, f->proxy) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK;
    if (f->proxy != NULL && f->auth != NULL)
        ok = ok && curl_easy_setopt(c, CURLOPT_PROXYUSERPWD, f->auth) == CURLE_OK;
    return ok;
}

static bool set_options(CURL *c, struct fetch_answer *f, const struct curl_slist *fields)
{
    const bool https = strncmp(f->url, "https", 5) == 0;
    bool ok = curl_easy_setopt(c, CURLOPT_URL, f->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, https ? "https" : "http") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, f->connect_s) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT, f->total_s) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEDATA, f) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_XFERINFODATA, f) == CURLE_OK && set_way(c, f);

    if (f->post.len != 0)
        ok = ok && curl_easy_setopt(c, CURLOPT_POSTFIELDS, f->post.ptr) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)f->post.len) == CURLE_OK;
    if (f->field != NULL)
        ok = ok && fields != NULL && curl_easy_setopt(c, CURLOPT_HTTPHEADER, fields) == CURLE_OK;
    return ok;
}

bool fetch_answer(struct fetch_answer *f)
{
    struct curl_slist *fields = f->field == NULL ? NULL : curl_slist_append(NULL, f->field);
    CURL *c = curl_easy_init();
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    f->status = 0;
    f->why[0] = '\0';
    if (c != NULL && set_options(c, f, fields))
        rc = curl_easy_perform(c);
    if (rc == CURLE_OK)
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &f->status);
    else if (rc == CURLE_WRITE_ERROR)
        (void)snprintf(f->why, sizeof(f->why), "the answer is above %zu KiB", f->max_bytes >> 10);
    else if (rc != CURLE_ABORTED_BY_CALLBACK)
        (void)snprintf(f->why, sizeof(f->why), "%s", curl_easy_strerror(rc));
    curl_easy_cleanup(c);
    curl_slist_free_all(fields);
    return f->status != 0;
}
