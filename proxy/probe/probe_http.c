/* proxy/probe/probe_http.c - see probe_http.h. libcurl, with the trust and the addresses that the target has. */
#include "proxy/probe/probe_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "proxy/probe/probe.h"

enum { MAX_ANSWER = 1 << 20 };

bool probe_http_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* The body is of no interest, but not endless. */
// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    size_t *got = ctx;

    (void)data;
    *got += size * n;
    return *got > MAX_ANSWER ? 0 : size * n;
}

/* "[HOST]:PORT:ADDRESS:PORT" of the target's `resolve:`, or NULL. The caller frees. */
static struct curl_slist *addresses(const struct probe_get *g)
{
    const struct proxy_config_resolves *r = &g->target->resolve;
    char text[600], address[INET6_ADDRSTRLEN];

    for (unsigned i = 0; g->url != NULL && i < r->n; i++) {
        const struct proxy_config_addr *a = &r->items[i].addr;
        bool six = a->sa.ss_family == AF_INET6;

        if (strcmp(r->items[i].host, g->url->host) != 0)
            continue;
        if (six) {
            struct sockaddr_in6 sa;

            memcpy(&sa, &a->sa, sizeof(sa));
            (void)inet_ntop(AF_INET6, &sa.sin6_addr, address, sizeof(address));
        } else {
            struct sockaddr_in sa;

            memcpy(&sa, &a->sa, sizeof(sa));
            (void)inet_ntop(AF_INET, &sa.sin_addr, address, sizeof(address));
        }
        (void)snprintf(text, sizeof(text), "%s:%u:%s%s%s:%u", g->url->host, g->url->port,
                       six ? "[" : "", address, six ? "]" : "",
                       (unsigned)(a->port != 0 ? a->port : g->url->port));
        return curl_slist_append(NULL, text);
    }
    return NULL;
}

static struct curl_slist *fields(struct gw_span text)
{
    struct curl_slist *list = NULL;
    char line[8192];

    while (text.len != 0) {
        const char *end = memmem(text.ptr, text.len, "\r\n", 2);
        size_t n = end == NULL ? text.len : (size_t)(end - text.ptr);

        if (n > 0 && n < sizeof(line)) {
            struct curl_slist *more;

            memcpy(line, text.ptr, n);
            line[n] = '\0';
            more = curl_slist_append(list, line);
            list = more == NULL ? list : more;
        }
        text = gw_span_from(text, end == NULL ? n : n + 2);
    }
    explicit_bzero(line, sizeof(line));
    return list;
}

static bool set_options(CURL *c, const struct probe_get *g, struct curl_slist *head,
                        struct curl_slist *to, const char *url, size_t *got)
{
    bool ok =
        curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        /* "": none, whatever the environment says; as the gateway. */
        curl_easy_setopt(c, CURLOPT_PROXY,
                         g->target->egress.url.set ? g->target->egress.url.text : "") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(g->target->connect_ms < PROBE_TIMEOUT_S * 1000L
                                    ? g->target->connect_ms
                                    : PROBE_TIMEOUT_S * 1000L)) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)PROBE_TIMEOUT_S) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CERTINFO, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEDATA, got) == CURLE_OK;

    if (g->target->egress.auth.value.len != 0)
        ok = ok && curl_easy_setopt(c, CURLOPT_PROXYUSERPWD, g->target->egress.auth.value.ptr) ==
                       CURLE_OK;
    if (head != NULL)
        ok = ok && curl_easy_setopt(c, CURLOPT_HTTPHEADER, head) == CURLE_OK;
    if (to != NULL)
        ok = ok && curl_easy_setopt(c, CURLOPT_CONNECT_TO, to) == CURLE_OK;
    if (g->target->ca[0] != '\0')
        ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, g->target->ca) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (g->path == NULL)
        ok = ok && curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    return ok;
}

static enum probe_problem problem_of(CURLcode rc)
{
    switch ((int)rc) {
    case CURLE_OK:
        return PROBE_NONE;
    case CURLE_COULDNT_RESOLVE_HOST:
        return PROBE_NAME;
    case CURLE_COULDNT_RESOLVE_PROXY:
        return PROBE_PROXY;
    case CURLE_COULDNT_CONNECT:
        return PROBE_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return PROBE_TIME;
    case CURLE_PEER_FAILED_VERIFICATION:
        return PROBE_CERTIFICATE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return PROBE_TLS;
    default:
        return PROBE_OTHER;
    }
}

/* The server's own certificate is the first; its text is the member "Cert:". */
static void read_certificate(CURL *c, struct probe_get *g)
{
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1)
        return;
    for (const struct curl_slist *l = info->certinfo[0]; l != NULL; l = l->next)
        if (strncmp(l->data, "Cert:", 5) == 0)
            g->has_days = probe_pem_days(l->data + 5, strlen(l->data + 5), &g->days);
}

static void write_url(const struct probe_get *g, struct gw_buf *out)
{
    bool six = g->url != NULL && strchr(g->url->host, ':') != NULL;

    if (g->url == NULL)
        gw_buf_adds(out, g->text);
    else
        gw_buf_printf(out, "%s://%s%s%s:%u%s", g->url->tls ? "https" : "http", six ? "[" : "",
                      g->url->host, six ? "]" : "", g->url->port, g->path == NULL ? "/" : g->path);
}

void probe_http(struct probe_get *g)
{
    struct curl_slist *head = fields(g->fields), *to = addresses(g);
    CURL *c = curl_easy_init();
    char why[CURL_ERROR_SIZE] = "";
    struct gw_buf url = {0};
    size_t got = 0;
    CURLcode rc = CURLE_FAILED_INIT;
    curl_off_t us = 0;
    long status = 0, connect_code = 0;

    write_url(g, &url);
    gw_buf_addc(&url, '\0');
    if (c != NULL && gw_buf_ok(&url) && set_options(c, g, head, to, url.ptr, &got)) {
        (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
        rc = curl_easy_perform(c);
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &us);
        (void)curl_easy_getinfo(c, CURLINFO_HTTP_CONNECTCODE, &connect_code);
        read_certificate(c, g);
    }
    g->problem = rc == CURLE_WRITE_ERROR ? PROBE_NONE : problem_of(rc);
    g->status = (unsigned)status;
    g->ms = (unsigned)(us / 1000);
    if (g->target->egress.url.set && connect_code != 0 && connect_code / 100 != 2)
        g->problem = PROBE_PROXY;
    (void)snprintf(g->why, sizeof(g->why), "%.159s", why[0] != '\0' ? why : curl_easy_strerror(rc));
    curl_easy_cleanup(c);
    curl_slist_free_all(head);
    curl_slist_free_all(to);
    gw_buf_fini(&url);
}
