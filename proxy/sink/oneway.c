/* proxy/sink/oneway.c - see oneway.h. Owns the TLS context and, while sending, the connection. */
#include "proxy/sink/oneway.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "proxy/tls/tls.h"

enum { SLICE_MS = 200, MAX_CONNECT_MS = 10000 };

struct oneway {
    char *host, *url, *cert, *cert_key;
    bool tls;
    bool polite; /* the receiver has sent close_notify before */
    unsigned timeout_ms;
    SSL_CTX *ctx;
    /* while sending */
    struct sink_call *call;
    uint64_t until_ns;
    CURL *easy;
    int fd;
    SSL *ssl;
};

/* ---- making -------------------------------------------------------------------------------------- */

/* A connection in the making, with our certificate when there is one. */
static enum gw_status make_ssl(const struct oneway *w, SSL **out, struct gw_err *err)
{
    SSL *ssl = tls_client_new(w->ctx, w->host);

    if (ssl == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    (void)SSL_set_alpn_protos(ssl, NULL, 0); /* this is no HTTP */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (w->cert[0] != '\0' && (SSL_use_certificate_chain_file(ssl, w->cert) != 1 ||
                               SSL_use_PrivateKey_file(ssl, w->cert_key, SSL_FILETYPE_PEM) != 1 ||
                               SSL_check_private_key(ssl) != 1)) {
        SSL_free(ssl);
        return gw_fail(err, GW_EIO,
                       "cert and cert_key: %.80s and %.80s cannot be read or do not match", w->cert,
                       w->cert_key);
    }
    *out = ssl;
    return GW_OK;
}

/* The trust, and one connection on trial. */
static enum gw_status make_tls(struct oneway *w, const char *ca, struct gw_err *err)
{
    SSL *ssl = NULL;

    GW_TRY(tls_client_ctx(ca, &w->ctx, err));
    GW_TRY(make_ssl(w, &ssl, err));
    SSL_free(ssl);
    return GW_OK;
}

enum gw_status oneway_new(const struct oneway_config *cfg, struct oneway **out, struct gw_err *err)
{
    struct oneway *w = calloc(1, sizeof(*w));
    bool six = strchr(cfg->host, ':') != NULL;
    enum gw_status st = GW_OK;

    if (w == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    w->fd = -1;
    w->tls = cfg->tls;
    w->timeout_ms = cfg->timeout_ms;
    w->host = strdup(cfg->host);
    if (asprintf(&w->url, "http://%s%s%s:%u", six ? "[" : "", cfg->host, six ? "]" : "",
                 cfg->port) < 0)
        w->url = NULL;
    w->cert = strdup(cfg->cert);
    w->cert_key = strdup(cfg->cert_key);
    if (w->host == NULL || w->url == NULL || w->cert == NULL || w->cert_key == NULL)
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    if (st == GW_OK && w->tls)
        st = make_tls(w, cfg->ca, err);
    ERR_clear_error();
    if (st != GW_OK) {
        oneway_free(w);
        return st;
    }
    *out = w;
    return GW_OK;
}

void oneway_free(struct oneway *w)
{
    if (w == NULL)
        return;
    tls_ctx_free(w->ctx);
    free(w->cert);
    free(w->cert_key);
    free(w->host);
    free(w->url);
    free(w);
}

/* ---- waiting ------------------------------------------------------------------------------------- */

static enum sink_end complain(struct oneway *w, enum sink_end end, const char *what)
{
    (void)snprintf(w->call->why, sizeof(w->call->why), "%.190s", what);
    return end;
}

/* Waits until the socket is ready for events. */
static enum sink_end wait_io(struct oneway *w, short events)
{
    struct pollfd p = {.fd = w->fd, .events = events};

    for (;;) {
        int n = poll(&p, 1, SLICE_MS);

        if (n > 0)
            return SINK_DONE;
        if (n < 0 && errno != EINTR)
            return complain(w, SINK_CONNECT, strerrordesc_np(errno));
        if (w->call->give_up(w->call->ctx))
            return SINK_STOPPED;
        if (gw_clock_ns() >= w->until_ns)
            return complain(w, SINK_TIMEOUT,
                            "the receiver is too slow, or does not close its side");
    }
}

/* What OpenSSL said about a call that returned rc; DONE: try again. *eof: the other side has closed. */
static enum sink_end wait_tls(struct oneway *w, int rc, enum sink_end worse, bool *eof)
{
    unsigned long code;

    *eof = false;
    switch (SSL_get_error(w->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return wait_io(w, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return wait_io(w, POLLOUT);
    case SSL_ERROR_ZERO_RETURN:
        w->polite = true;
        *eof = true;
        return SINK_DONE;
    default:
        break;
    }
    code = ERR_peek_error();
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        *eof = true;
        return complain(w, SINK_CONNECT, "the receiver ended in the middle");
    }
    if (code != 0) {
        tls_why_code(w->ssl, code, w->call->why, sizeof(w->call->why));
        return worse;
    }
    return complain(w, SINK_CONNECT,
                    errno != 0 ? strerrordesc_np(errno) : "the connection was closed");
}

/* ---- one connection ------------------------------------------------------------------------------ */

/* Called by libcurl while it connects; not 0: stop. */
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct oneway *w = ctx;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return w->call->give_up(w->call->ctx);
}

static enum sink_end dial(struct oneway *w)
{
    long ms = w->timeout_ms < MAX_CONNECT_MS ? (long)w->timeout_ms : MAX_CONNECT_MS;
    curl_socket_t fd = CURL_SOCKET_BAD;
    CURL *c = curl_easy_init();
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    w->easy = c;
    if (c != NULL && curl_easy_setopt(c, CURLOPT_URL, w->url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, ms) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, w) == CURLE_OK)
        rc = curl_easy_perform(c);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return SINK_STOPPED;
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(c, CURLINFO_ACTIVESOCKET, &fd);
    if (rc != CURLE_OK || fd == CURL_SOCKET_BAD)
        return complain(w, rc == CURLE_OPERATION_TIMEDOUT ? SINK_TIMEOUT : SINK_CONNECT,
                        curl_easy_strerror(rc));
    w->fd = fd;
    return SINK_DONE;
}

static enum sink_end shake_hands(struct oneway *w)
{
    enum sink_end end = SINK_DONE;
    struct gw_err err;
    bool eof;

    if (make_ssl(w, &w->ssl, &err) != GW_OK)
        return complain(w, SINK_TLS, err.text);
    if (SSL_set_fd(w->ssl, w->fd) != 1)
        return complain(w, SINK_TLS, "out of memory");
    while (end == SINK_DONE) {
        int rc;

        ERR_clear_error();
        errno = 0;
        rc = SSL_connect(w->ssl);
        if (rc == 1)
            return SINK_DONE;
        end = wait_tls(w, rc, SINK_TLS, &eof);
    }
    return end;
}

static enum sink_end write_tls(struct oneway *w, struct gw_span bytes)
{
    enum sink_end end = SINK_DONE;
    bool eof;

    while (bytes.len != 0 && end == SINK_DONE) {
        size_t n = 0;
        int rc;

        ERR_clear_error();
        errno = 0;
        rc = SSL_write_ex(w->ssl, bytes.ptr, bytes.len, &n);
        if (rc == 1)
            bytes = gw_span_from(bytes, n);
        else
            end = wait_tls(w, rc, SINK_TLS, &eof);
    }
    return end;
}

static enum sink_end write_tcp(struct oneway *w, struct gw_span bytes)
{
    enum sink_end end = SINK_DONE;

    while (bytes.len != 0 && end == SINK_DONE) {
        ssize_t n = send(w->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n > 0)
            bytes = gw_span_from(bytes, (size_t)n);
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            end = wait_io(w, POLLOUT);
        else
            end = complain(w, SINK_CONNECT, strerrordesc_np(errno));
    }
    return end;
}

/* Says goodbye and reads until the receiver has done so. */
static enum sink_end part_tls(struct oneway *w)
{
    bool before = w->polite, eof = false;
    enum sink_end end = SINK_DONE;
    char dust[4096];
    int rc;

    ERR_clear_error();
    errno = 0;
    while ((rc = SSL_shutdown(w->ssl)) < 0 && end == SINK_DONE) {
        end = wait_tls(w, rc, SINK_CONNECT, &eof);
        ERR_clear_error();
    }
    if (end != SINK_DONE || rc == 1)
        return end;
    (void)shutdown(w->fd, SHUT_WR);
    while (end == SINK_DONE && !eof) {
        ERR_clear_error();
        errno = 0;
        rc = SSL_read(w->ssl, dust, sizeof(dust));
        if (rc <= 0)
            end = wait_tls(w, rc, SINK_CONNECT, &eof);
    }
    /* An end without goodbye, from one that never says it, after all was sent. */
    return eof && !before ? SINK_DONE : end;
}

static enum sink_end part_tcp(struct oneway *w)
{
    enum sink_end end = SINK_DONE;
    char dust[4096];

    if (shutdown(w->fd, SHUT_WR) != 0)
        return complain(w, SINK_CONNECT, strerrordesc_np(errno));
    while (end == SINK_DONE) {
        ssize_t n = recv(w->fd, dust, sizeof(dust), 0);

        if (n == 0)
            return SINK_DONE;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return complain(w, SINK_CONNECT, strerrordesc_np(errno));
        if (n < 0)
            end = wait_io(w, POLLIN);
    }
    return end;
}

enum sink_end oneway_send(struct oneway *w, struct gw_span bytes, struct sink_call *call)
{
    enum sink_end end;

    w->call = call;
    w->until_ns = gw_clock_ns() + w->timeout_ms * GW_NS_PER_MS;
    end = dial(w);
    if (end == SINK_DONE && w->tls)
        end = shake_hands(w);
    if (end == SINK_DONE)
        end = w->tls ? write_tls(w, bytes) : write_tcp(w, bytes);
    if (end == SINK_DONE)
        end = w->tls ? part_tls(w) : part_tcp(w);
    SSL_free(w->ssl);
    w->ssl = NULL;
    curl_easy_cleanup(w->easy); /* closes the socket */
    w->easy = NULL;
    w->fd = -1;
    ERR_clear_error();
    return end;
}
