/* proxy/net/egress.c - see egress.h. */
#include "proxy/net/egress.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/base64.h"
#include "base/buf.h"

enum { MAX_HEAD = 8192 };

struct egress {
    struct event_base *base;
    struct event *ev; /* writing, then reading */
    int fd;
    egress_done_fn done;
    void *ctx;
    struct gw_buf request; /* what is still to be sent; wiped when freed */
    char proxy[272], to[272];
    size_t n_head;
    char head[MAX_HEAD + 1];
};

void egress_free(struct egress *e)
{
    if (e == NULL)
        return;
    if (e->ev != NULL)
        event_free(e->ev);
    gw_buf_fini(&e->request);
    free(e);
}

static void finish(struct egress *e, bool ok, const char *why)
{
    (void)event_del(e->ev);
    e->done(e->ctx, ok, why); /* frees e */
}

/* ---- the answer --------------------------------------------------------------------------- */

static void judge(struct egress *e)
{
    bool http = strncmp(e->head, "HTTP/1.", 7) == 0 && strlen(e->head) > 12 && e->head[8] == ' ';
    long status = http ? strtol(e->head + 9, NULL, 10) : 0;
    char why[640];

    if (status >= 200 && status < 300) {
        finish(e, true, "");
        return;
    }
    if (status == 407)
        (void)snprintf(why, sizeof(why),
                       "the proxy %.80s wants credentials, or others (407): see proxy_auth",
                       e->proxy);
    else if (status != 0)
        (void)snprintf(why, sizeof(why), "the proxy %.60s answered %ld to CONNECT %.60s", e->proxy,
                       status, e->to);
    else
        (void)snprintf(why, sizeof(why), "the proxy %.80s does not speak HTTP", e->proxy);
    finish(e, false, why);
}

/* Takes bytes up to the end of the head, and none behind it: looks first, then takes. */
static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct egress *e = ctx;
    size_t room = MAX_HEAD - e->n_head, from = e->n_head < 3 ? 0 : e->n_head - 3;
    ssize_t n = recv(fd, e->head + e->n_head, room, MSG_PEEK | MSG_DONTWAIT);
    const char *end;
    char why[128];

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        (void)snprintf(why, sizeof(why), "the proxy %.80s closed without an answer", e->proxy);
        finish(e, false, why);
        return;
    }
    end = memmem(e->head + from, e->n_head + (size_t)n - from, "\r\n\r\n", 4);
    if (end != NULL)
        n = end + 4 - (e->head + e->n_head);
    n = recv(fd, e->head + e->n_head, (size_t)n, MSG_DONTWAIT);
    if (n <= 0)
        return;
    e->n_head += (size_t)n;
    e->head[e->n_head] = '\0';
    if (end != NULL && e->head + e->n_head == end + 4) {
        judge(e);
    } else if (e->n_head == MAX_HEAD) {
        (void)snprintf(why, sizeof(why), "the head of the proxy %.80s is too long", e->proxy);
        finish(e, false, why);
    }
}

/* ---- the request ------------------------------------------------------------------------ */

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct egress *e = ctx;
    ssize_t n = send(fd, e->request.ptr, e->request.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    char why[128];

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        gw_buf_drop(&e->request, (size_t)n);
    if (n > 0 && e->request.len != 0)
        return;
    if (n > 0 && event_del(e->ev) == 0 &&
        event_assign(e->ev, e->base, fd, EV_READ | EV_PERSIST, on_readable, e) == 0 &&
        event_add(e->ev, NULL) == 0)
        return;
    (void)snprintf(why, sizeof(why), "the proxy %.80s closed the connection", e->proxy);
    finish(e, false, why);
}

static void write_request(struct egress *e, struct gw_span auth)
{
    gw_buf_adds(&e->request, "CONNECT ");
    gw_buf_adds(&e->request, e->to);
    gw_buf_adds(&e->request, " HTTP/1.1\r\nHost: ");
    gw_buf_adds(&e->request, e->to);
    gw_buf_adds(&e->request, "\r\n");
    if (auth.len != 0) {
        gw_buf_adds(&e->request, "Proxy-Authorization: Basic ");
        gw_base64(&e->request, auth);
        gw_buf_adds(&e->request, "\r\n");
    }
    gw_buf_adds(&e->request, "\r\n");
}

struct egress *egress_start(struct event_base *base, int fd, const char *proxy, const char *host,
                            uint16_t port, struct gw_span auth, egress_done_fn done, void *ctx)
{
    struct egress *e = calloc(1, sizeof(*e));
    bool v6 = strchr(host, ':') != NULL;

    if (e == NULL)
        return NULL;
    e->base = base;
    e->fd = fd;
    e->done = done;
    e->ctx = ctx;
    (void)snprintf(e->proxy, sizeof(e->proxy), "%s", proxy);
    (void)snprintf(e->to, sizeof(e->to), v6 ? "[%s]:%u" : "%s:%u", host, port);
    write_request(e, auth);
    e->ev = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, e);
    if (!gw_buf_ok(&e->request) || e->ev == NULL || event_add(e->ev, NULL) != 0) {
        egress_free(e);
        return NULL;
    }
    return e;
}
