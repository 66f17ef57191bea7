/* tests/mock/provider.c - a mock of the approved APIs, for the demo, the end-to-end tests and the benchmarks: connections.
 *
 * It speaks the APIs of OpenAI, Anthropic and Google and their forms in the clouds on one port, over HTTP and TLS, well
 * enough for real SDKs, and writes down every byte it was sent, so that tests can prove what left the gateway. What is
 * answered is made elsewhere (mock.h has the map and the directives); here bytes are moved, at the pace that was asked
 * for. One thread.
 *
 * usage: mock-provider [--port N] [--tls-port N --cert F --key F] [--log FILE] [--api-key K] [--bench]
 *                      [--aws ACCESS:SECRET] [--token-pub FILE] [--token-lifetime SECONDS]
 * Port 0 chooses one; "listening http=N https=N" is printed when it is ready. Without --api-key any key will do. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "tests/mock/mock.h"

#define MAX_ARENA ((size_t)1 << 30) /* a limit, taken as it is needed */

static struct event_base *base;
static SSL_CTX *tls;
static FILE *log_file;
static unsigned long n_requests;

struct mock_options mock_options = {NULL, "MOCKACCESS", "mock-secret-of-the-tests",
                                    NULL, 3600,         false};

struct client {
    struct bufferevent *bev;
    struct http1 *parser;
    struct gw_buf body;
    struct mock_call call;
    struct event *timer;
    unsigned sent; /* events of call */
    bool head_sent, busy, keep_alive;
    bool in_body;       /* a head was read, its body not yet */
    struct gw_buf wire; /* of an answer that breaks; sent counts its bytes then */
    bool breaks;        /* all of wire is sent: break now */
};

static void client_free(struct client *c)
{
    struct mock_call *m = &c->call;
    struct gw_buf *const bufs[] = {&c->body,   &m->text, &m->thought, &m->args,
                                   &m->fields, &m->out,  &m->data,    &c->wire};

    bufferevent_free(c->bev);
    event_free(c->timer);
    http1_free(c->parser);
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        gw_buf_fini(bufs[i]);
    gw_arena_free(m->arena);
    gw_json_free(m->json);
    free(m->ends);
    free(c);
}

static void write_log(const struct client *c, const struct http1_head *h, const char *end)
{
    if (log_file == NULL)
        return;
    (void)fprintf(log_file, "#REQ %lu tls=%d\n%.*s %.*s\n", n_requests,
                  bufferevent_openssl_get_ssl(c->bev) != NULL, (int)h->method.len, h->method.ptr,
                  (int)h->target.len, h->target.ptr);
    for (unsigned i = 0; i < h->n_fields; i++)
        (void)fprintf(log_file, "%.*s: %.*s\n", (int)h->fields[i].name.len, h->fields[i].name.ptr,
                      (int)h->fields[i].value.len, h->fields[i].value.ptr);
    (void)fprintf(log_file, "\n");
    if (c->body.len != 0)
        (void)fwrite(c->body.ptr, 1, c->body.len, log_file);
    (void)fprintf(log_file, "\n%s\n", end);
    (void)fflush(log_file);
}

/* ---- sending ----------------------------------------------------------------------------- */

static void later(struct client *c, unsigned ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    (void)evtimer_add(c->timer, &tv);
}

static void finish(struct client *c, bool keep_alive)
{
    c->keep_alive = c->keep_alive && keep_alive;
    c->busy = false;
}

static void write_stamp(char *event, size_t len)
{
    char *at = memmem(event, len, MOCK_STAMP, strlen(MOCK_STAMP));
    uint64_t now = gw_clock_ns();

    for (size_t i = strlen(MOCK_STAMP) - 1; at != NULL && i-- > 1; now /= 10)
        at[i] = (char)('0' + now % 10);
}

/* By hand: a formatted print costs more than all else that is done for an event. */
static void add_chunk_size(struct evbuffer *out, size_t n)
{
    char line[18];
    size_t at = sizeof(line);

    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n != 0);
    (void)evbuffer_add(out, line + at, sizeof(line) - at);
}

static void send_event(struct client *c)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);
    size_t from = c->sent == 0 ? 0 : c->call.ends[c->sent - 1], n = c->call.ends[c->sent] - from;

    if (mock_options.bench)
        write_stamp(c->call.out.ptr + from, n);
    add_chunk_size(out, n);
    (void)evbuffer_add(out, c->call.out.ptr + from, n);
    (void)evbuffer_add(out, "\r\n", 2);
    c->sent++;
}

static void send_events(struct client *c)
{
    const struct mock_plan *p = &c->call.plan;

    for (;;) {
        if (p->cut >= 0 && c->sent >= (unsigned)p->cut) {
            finish(c, false);
            return;
        }
        if (c->sent == c->call.n_ends) {
            (void)evbuffer_add(bufferevent_get_output(c->bev), "0\r\n\r\n", 5);
            finish(c, true);
            return;
        }
        send_event(c);
        if (p->interval_ms != 0) {
            later(c, p->interval_ms);
            return;
        }
    }
}

/* ---- answers that break ------------------------------------------------------------------ */

enum { BREAK_AFTER_MS = 30 }; /* so that what was sent before has arrived */

static void break_off(struct client *c)
{
    const struct linger reset = {1, 0};
    evutil_socket_t fd = bufferevent_getfd(c->bev);

    switch (c->call.plan.fault) {
    case MOCK_RESET:
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        client_free(c);
        break;
    case MOCK_HALF:
        (void)shutdown(fd, SHUT_WR);
        break; /* the other side closes */
    case MOCK_STALL:
        break;
    case MOCK_CLOSE:
    case MOCK_GARBAGE:
    case MOCK_WHOLE:
        client_free(c);
        break;
    }
}

/* Sends what is due of the wire. False: c may be gone. */
static bool send_wire(struct client *c)
{
    const struct mock_plan *p = &c->call.plan;
    size_t left, n;

    if (c->breaks) {
        break_off(c);
        return false;
    }
    left = c->wire.len - c->sent;
    n = p->drip_ms >= 0 && left > 1 && (p->upto == 0 || c->sent < p->upto) ? 1 : left;
    (void)evbuffer_add(bufferevent_get_output(c->bev), c->wire.ptr + c->sent, n);
    c->sent += (unsigned)n;
    if (c->sent < c->wire.len) {
        later(c, (unsigned)p->drip_ms);
        return false;
    }
    if (p->fault != MOCK_WHOLE || p->length_by != 0) {
        c->breaks = true;
        later(c, BREAK_AFTER_MS);
        return false;
    }
    finish(c, true);
    return true;
}

static void process(struct client *c);

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct client *c = ctx;
    struct mock_call *m = &c->call;
    struct evbuffer *out = bufferevent_get_output(c->bev);

    (void)fd;
    (void)what;
    if (mock_is_faulty(&m->plan)) {
        if (send_wire(c))
            process(c);
        return;
    }
    if (!c->head_sent)
        (void)evbuffer_add(out, m->fields.ptr, m->fields.len);
    c->head_sent = true;
    if (m->streaming) {
        send_events(c);
    } else {
        bool whole = m->plan.cut < 0 || m->out.len < 10;

        (void)evbuffer_add(out, m->out.ptr, whole ? m->out.len : 10);
        finish(c, whole);
    }
    process(c);
}

static void answer(struct client *c)
{
    const struct http1_head *h = http1_head(c->parser);
    struct mock_call *m = &c->call;
    const char *mark = mock_find_char(h->path, '?');

    n_requests++;
    c->sent = 0;
    c->head_sent = false;
    c->keep_alive = h->keep_alive;
    m->head = h;
    m->number = n_requests;
    m->body = gw_buf_span(&c->body);
    m->path = h->path;
    m->query = (struct gw_span){NULL, 0};
    if (mark != NULL) {
        m->path.len = (size_t)(mark - h->path.ptr);
        m->query = gw_span_from(h->path, m->path.len + 1);
    }
    write_log(c, h, "#END");
    mock_route(m);
    c->breaks = false;
    if (mock_is_faulty(&m->plan))
        mock_fault_bytes(m, &c->wire);
    if (m->plan.ttft_ms != 0)
        later(c, m->plan.ttft_ms);
    else
        on_timer(-1, 0, c);
}

/* ---- connections ------------------------------------------------------------------------ */

static void on_flushed(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;

    if (!c->busy && !c->keep_alive && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        client_free(c);
}

static void process(struct client *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);

    while (!c->busy && c->keep_alive) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data;
        enum http1_event ev;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(c->parser, &rest, &data);
        if (ev == HTTP1_HEAD) {
            gw_buf_clear(&c->body);
            c->in_body = true;
            if (http1_head(c->parser)->expect_continue)
                (void)evbuffer_add_printf(bufferevent_get_output(c->bev),
                                          "HTTP/1.1 100 Continue\r\n\r\n");
        }
        if (ev == HTTP1_BODY)
            gw_buf_add(&c->body, data);
        (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (ev == HTTP1_DONE) {
            c->busy = true;
            c->in_body = false;
            answer(c);
        }
        if (ev == HTTP1_ERROR) {
            client_free(c);
            return;
        }
        if (ev == HTTP1_MORE && v.iov_len == rest.len)
            return;
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    process(ctx);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    if ((what & BEV_EVENT_CONNECTED) == 0) {
        struct client *c = ctx;

        if (c->busy && log_file != NULL) {
            (void)fprintf(log_file, "#ABORT\n");
            (void)fflush(log_file);
        }
        if (c->in_body)
            write_log(c, http1_head(c->parser), "#CUT");
        client_free(c);
    }
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *with_tls)
{
    const int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS, one = 1;
    struct client *c = calloc(1, sizeof(*c));

    (void)l;
    (void)sa;
    (void)len;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->parser = http1_new(HTTP1_REQUEST, NULL);
    c->timer = evtimer_new(base, on_timer, c);
    c->call.json = gw_json_new();
    c->call.arena = gw_arena_new(MAX_ARENA);
    c->keep_alive = true;
    c->bev = with_tls != NULL ? bufferevent_openssl_socket_new(base, fd, SSL_new(tls),
                                                               BUFFEREVENT_SSL_ACCEPTING, options)
                              : bufferevent_socket_new(base, fd, options);
    bufferevent_setcb(c->bev, on_read, on_flushed, on_event, c);
    (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static unsigned listen_on(unsigned port, void *with_tls)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    struct evconnlistener *l = evconnlistener_new_bind(base, on_accept, with_tls,
                                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                                       1024, (struct sockaddr *)&sa, sizeof(sa));

    if (l == NULL) {
        perror("mock-provider: listen");
        exit(1);
    }
    (void)getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sa, &len);
    return ntohs(sa.sin_port);
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
    (void)sig;
    (void)what;
    (void)event_base_loopbreak(ctx);
}

static void set_aws(char *pair)
{
    char *colon = strchr(pair, ':');

    if (colon == NULL)
        return;
    *colon = '\0';
    mock_options.aws_access = pair;
    mock_options.aws_secret = colon + 1;
}

/* What is needed to listen. */
struct places {
    const char *cert, *key;
    unsigned port, tls_port;
};

static bool take_option(int opt, struct places *p)
{
    switch (opt) {
    case 'p':
        p->port = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case 't':
        p->tls_port = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case 'c':
        p->cert = optarg;
        return true;
    case 'k':
        p->key = optarg;
        return true;
    case 'l':
        log_file = fopen(optarg, "a");
        return true;
    case 'K':
        mock_options.api_key = optarg;
        return true;
    case 'b':
        mock_options.bench = true;
        return true;
    case 'a':
        set_aws(optarg);
        return true;
    case 'P':
        mock_options.token_pub = optarg;
        return true;
    case 'L':
        mock_options.token_lifetime = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", 1, NULL, 'p'},      {"tls-port", 1, NULL, 't'},
        {"cert", 1, NULL, 'c'},      {"key", 1, NULL, 'k'},
        {"log", 1, NULL, 'l'},       {"api-key", 1, NULL, 'K'},
        {"bench", 0, NULL, 'b'},     {"aws", 1, NULL, 'a'},
        {"token-pub", 1, NULL, 'P'}, {"token-lifetime", 1, NULL, 'L'},
        {NULL, 0, NULL, 0}};
    struct places at = {NULL, NULL, 0, 0};
    int opt;

    while ((opt = getopt_long(argc, argv, "p:t:c:k:l:K:b", longs, NULL)) != -1)
        if (!take_option(opt, &at))
            return 2;
    (void)signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    if (at.cert != NULL) {
        tls = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(tls, at.cert) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, at.key, SSL_FILETYPE_PEM) != 1) {
            (void)fprintf(stderr, "mock-provider: cannot read %s or %s\n", at.cert, at.key);
            return 1;
        }
        at.tls_port = listen_on(at.tls_port, tls);
    }
    at.port = listen_on(at.port, NULL);
    (void)event_add(evsignal_new(base, SIGTERM, on_signal, base), NULL);
    (void)event_add(evsignal_new(base, SIGINT, on_signal, base), NULL);
    (void)printf("listening http=%u https=%u\n", at.port, at.tls_port);
    (void)fflush(stdout);
    (void)event_base_dispatch(base);
    return 0;
}
