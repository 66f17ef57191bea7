/* tests/mock/provider.c - a mock of an approved API, for the demo, the end-to-end tests and the benchmarks.
 *
 * It speaks enough of OpenAI's chat completions for real SDKs, over HTTP and TLS, and writes down every byte it was sent,
 * so that tests can prove what left the gateway. One thread. Behaviour is chosen by `[[mock key=value ...]]` anywhere in
 * the body:
 *   say=fox|echo    the answer: sixteen words (default in --bench), or the last user text (default)
 *   words=N         length of say=fox
 *   ttft=MS interval=MS   delays before the first event and between events
 *   piece=N         bytes of text an event (default: a word)
 *   status=N        an error of that status
 *   cut=N           close after N events, or in the middle of the body
 *   tool=1          answer with a tool call whose arguments hold the last user text
 *
 * usage: mock-provider [--port N] [--tls-port N --cert F --key F] [--log FILE] [--api-key K] [--bench]
 * Port 0 chooses one; "listening http=N https=N" is printed when it is ready. */
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

#include "base/buf.h"
#include "base/json.h"
#include "proxy/http1.h"

static struct event_base *base;
static SSL_CTX *tls;
static FILE *log_file;
static const char *api_key;
static bool bench;
static unsigned long n_requests;

/* What the answer to one request is made of. */
struct plan {
    bool stream, usage, tool, echo;
    unsigned words, piece, ttft_ms, interval_ms, status;
    int cut; /* -1: never */
    char model[128];
};

struct client {
    struct bufferevent *bev;
    struct http1 *parser;
    struct gw_buf body, text; /* request body; the answer's text */
    struct plan plan;
    struct event *timer;
    size_t at; /* bytes of text that were sent */
    int events;
    bool busy, keep_alive;
};

static void client_free(struct client *c)
{
    bufferevent_free(c->bev);
    event_free(c->timer);
    http1_free(c->parser);
    gw_buf_fini(&c->body);
    gw_buf_fini(&c->text);
    free(c);
}

/* ---- reading the request ---------------------------------------------------------------- */

static long directive(struct gw_span body, const char *key, long otherwise)
{
    const char *p = body.len == 0 ? NULL : memmem(body.ptr, body.len, "[[mock ", 7);
    const char *end = p == NULL ? NULL : memmem(p, (size_t)(body.ptr + body.len - p), "]]", 2);
    size_t n = strlen(key);

    for (; p != NULL && end != NULL && p + n + 1 < end; p++)
        if (*p == ' ' && memcmp(p + 1, key, n) == 0 && p[1 + n] == '=')
            return strtol(p + 2 + n, NULL, 10);
    return otherwise;
}

/* Decodes the last "content" string, the model, and the flags. */
static void read_body(struct client *c)
{
    struct gw_json *j = gw_json_new();
    struct gw_json_tok t;
    char key[32] = "";
    bool part_text = false;

    gw_json_start(j, gw_buf_span(&c->body), NULL);
    while (gw_json_next(j, &t) != GW_JSON_END && t.type != GW_JSON_ERROR) {
        if (t.type == GW_JSON_KEY) {
            (void)snprintf(key, sizeof(key), "%.*s", (int)t.raw.len, t.raw.ptr);
            continue;
        }
        if (strcmp(key, "stream") == 0)
            c->plan.stream = t.type == GW_JSON_TRUE;
        if (strcmp(key, "include_usage") == 0)
            c->plan.usage = t.type == GW_JSON_TRUE;
        part_text = strcmp(key, "content") == 0 || strcmp(key, "text") == 0;
        if (t.type == GW_JSON_STRING && strcmp(key, "model") == 0)
            (void)snprintf(c->plan.model, sizeof(c->plan.model), "%.*s", (int)t.raw.len, t.raw.ptr);
        if (t.type == GW_JSON_STRING && part_text) {
            gw_buf_clear(&c->text);
            (void)gw_buf_reserve(&c->text, t.raw.len + 1);
            c->text.len = gw_json_decode(t.raw, c->text.ptr);
        }
        key[0] = '\0';
    }
    gw_json_free(j);
}

static void make_plan(struct client *c)
{
    struct gw_span b = gw_buf_span(&c->body);
    static const char *const fox[] = {"The ",   "quick ", "brown ", "fox ",
                                      "jumps ", "over ",  "the ",   "lazy "};

    memset(&c->plan, 0, sizeof(c->plan));
    c->plan.echo = !bench && memmem(b.len ? b.ptr : "", b.len, "say=fox", 7) == NULL;
    c->plan.words = (unsigned)directive(b, "words", 16);
    c->plan.piece = (unsigned)directive(b, "piece", 0);
    c->plan.ttft_ms = (unsigned)directive(b, "ttft", 0);
    c->plan.interval_ms = (unsigned)directive(b, "interval", 0);
    c->plan.status = (unsigned)directive(b, "status", 200);
    c->plan.cut = (int)directive(b, "cut", -1);
    c->plan.tool = directive(b, "tool", 0) == 1;
    gw_buf_clear(&c->text);
    if (bench) {
        c->plan.stream = b.len != 0 && memmem(b.ptr, b.len, "\"stream\":true", 13) != NULL;
        (void)snprintf(c->plan.model, sizeof(c->plan.model), "mock");
    } else {
        read_body(c);
    }
    if (!c->plan.echo) {
        gw_buf_clear(&c->text);
        for (unsigned i = 0; i < c->plan.words; i++)
            gw_buf_adds(&c->text, fox[i % 8]);
    }
}

static void write_log(const struct client *c, const struct http1_head *h)
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
    (void)fprintf(log_file, "\n#END\n");
    (void)fflush(log_file);
}

/* ---- answers ---------------------------------------------------------------------------- */

static void send_json(struct client *c, unsigned status, struct gw_span body)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    (void)evbuffer_add_printf(out,
                              "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
                              "x-request-id: req_mock_%lu\r\nopenai-processing-ms: 1\r\n%s"
                              "Content-Length: %zu\r\n\r\n",
                              status, status == 200 ? "OK" : "Error", n_requests,
                              status == 429 ? "Retry-After: 7\r\n" : "", body.len);
    (void)evbuffer_add(out, body.ptr, body.len);
    c->busy = false;
}

static void chunk(struct client *c, const struct gw_buf *b)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    (void)evbuffer_add_printf(out, "%zx\r\n", b->len);
    (void)evbuffer_add(out, b->ptr, b->len);
    (void)evbuffer_add(out, "\r\n", 2);
}

static void envelope(const struct client *c, struct gw_buf *b, const char *object)
{
    gw_buf_printf(
        b, "{\"id\":\"chatcmpl-mock%lu\",\"object\":\"%s\",\"created\":1700000000,\"model\":",
        n_requests, object);
    gw_buf_add_json_str(b, gw_span_str(c->plan.model));
    gw_buf_adds(b, ",\"system_fingerprint\":\"fp_mock\",");
}

static void add_arguments(const struct client *c, struct gw_buf *b)
{
    struct gw_buf args = {0};

    gw_buf_adds(&args, "{\"text\":");
    gw_buf_add_json_str(&args, gw_buf_span(&c->text));
    gw_buf_adds(&args, "}");
    gw_buf_add_json_str(b, gw_buf_span(&args));
    gw_buf_fini(&args);
}

static void answer_whole(struct client *c)
{
    struct gw_buf b = {0};

    envelope(c, &b, "chat.completion");
    gw_buf_adds(&b, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (c->plan.tool) {
        gw_buf_adds(&b,
                    "null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":"
                    "{\"name\":\"note\",\"arguments\":");
        add_arguments(c, &b);
        gw_buf_adds(&b, "}}]");
    } else {
        gw_buf_add_json_str(&b, gw_buf_span(&c->text));
    }
    gw_buf_printf(&b,
                  ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":{"
                  "\"prompt_tokens\":%zu,"
                  "\"completion_tokens\":%zu,\"total_tokens\":%zu}}",
                  c->plan.tool ? "tool_calls" : "stop", c->body.len / 4, c->text.len / 4,
                  c->body.len / 4 + c->text.len / 4);
    if (c->plan.cut >= 0) {
        (void)evbuffer_add_printf(bufferevent_get_output(c->bev),
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                  "Content-Length: %zu\r\n\r\n%.10s",
                                  b.len, b.ptr);
        c->keep_alive = false;
        c->busy = false;
    } else {
        send_json(c, 200, gw_buf_span(&b));
    }
    gw_buf_fini(&b);
}

static void send_event(struct client *c, const struct gw_buf *data)
{
    struct gw_buf ev = {0};

    gw_buf_adds(&ev, "data: ");
    gw_buf_add(&ev, gw_buf_span(data));
    gw_buf_adds(&ev, "\n\n");
    chunk(c, &ev);
    c->events++;
    gw_buf_fini(&ev);
}

static size_t next_piece(const struct client *c)
{
    size_t n = 0, left = c->text.len - c->at;

    if (c->plan.piece != 0)
        n = c->plan.piece;
    else
        while (n < left && (n == 0 || c->text.ptr[c->at + n - 1] != ' '))
            n++;
    n = n < left ? n : left;
    /* Never cut inside a character: a provider does not either. */
    while (c->at + n < c->text.len && (c->text.ptr[c->at + n] & 0xC0) == 0x80)
        n++;
    return n;
}

static void stream_delta(struct client *c)
{
    struct gw_buf d = {0};
    size_t n = next_piece(c);
    struct gw_span piece = {c->text.ptr + c->at, n};

    envelope(c, &d, "chat.completion.chunk");
    gw_buf_adds(&d, "\"choices\":[{\"index\":0,\"delta\":{");
    if (c->plan.tool) {
        gw_buf_adds(&d, "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":");
        gw_buf_add_json_str(&d, piece);
        gw_buf_adds(&d, "}}]");
    } else {
        gw_buf_adds(&d, "\"content\":");
        gw_buf_add_json_str(&d, piece);
    }
    gw_buf_adds(&d, "},\"logprobs\":null,\"finish_reason\":null}]}");
    send_event(c, &d);
    c->at += n;
    gw_buf_fini(&d);
}

static void stream_end(struct client *c)
{
    struct gw_buf d = {0};

    envelope(c, &d, "chat.completion.chunk");
    gw_buf_printf(
        &d, "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}]}",
        c->plan.tool ? "tool_calls" : "stop");
    send_event(c, &d);
    if (c->plan.usage) {
        gw_buf_clear(&d);
        envelope(c, &d, "chat.completion.chunk");
        gw_buf_printf(&d,
                      "\"choices\":[],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,"
                      "\"total_tokens\":%zu}}",
                      c->body.len / 4, c->text.len / 4, (c->body.len + c->text.len) / 4);
        send_event(c, &d);
    }
    gw_buf_clear(&d);
    gw_buf_adds(&d, "[DONE]");
    send_event(c, &d);
    (void)evbuffer_add(bufferevent_get_output(c->bev), "0\r\n\r\n", 5);
    gw_buf_fini(&d);
    c->busy = false;
}

static void begin_stream(struct client *c)
{
    struct gw_buf d = {0};

    if (c->plan.tool) {
        struct gw_buf args = {0};

        gw_buf_adds(&args, "{\"text\":");
        gw_buf_add_json_str(&args, gw_buf_span(&c->text));
        gw_buf_adds(&args, "}");
        gw_buf_fini(&c->text);
        c->text = args;
    }
    (void)evbuffer_add_printf(
        bufferevent_get_output(c->bev),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        "x-request-id: req_mock_%lu\r\nTransfer-Encoding: chunked\r\n\r\n",
        n_requests);
    envelope(c, &d, "chat.completion.chunk");
    gw_buf_adds(&d, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"");
    if (c->plan.tool)
        gw_buf_adds(
            &d,
            ",\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":"
            "{\"name\":\"note\",\"arguments\":\"\"}}]");
    gw_buf_adds(&d, "},\"logprobs\":null,\"finish_reason\":null}]}");
    send_event(c, &d);
    gw_buf_fini(&d);
}

static void later(struct client *c, unsigned ms)
{
    const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    (void)evtimer_add(c->timer, &tv);
}

static void step(struct client *c)
{
    for (;;) {
        if (c->plan.cut >= 0 && c->events >= c->plan.cut) {
            c->keep_alive = false;
            c->busy = false;
            return;
        }
        if (c->at == c->text.len) {
            stream_end(c);
            return;
        }
        stream_delta(c);
        if (c->plan.interval_ms != 0) {
            later(c, c->plan.interval_ms);
            return;
        }
    }
}

static void process(struct client *c);

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct client *c = ctx;

    (void)fd;
    (void)what;
    if (!c->plan.stream) {
        answer_whole(c);
    } else {
        if (c->events == 0)
            begin_stream(c);
        step(c);
    }
    process(c);
}

static void answer_error(struct client *c, unsigned status)
{
    struct gw_buf b = {0};

    gw_buf_printf(
        &b,
        "{\"error\":{\"message\":\"mock error %u\",\"type\":\"mock_error\",\"param\":null,"
        "\"code\":\"mock_%u\"}}",
        status, status);
    send_json(c, status, gw_buf_span(&b));
    gw_buf_fini(&b);
}

static void answer(struct client *c)
{
    const struct http1_head *h = http1_head(c->parser);
    struct gw_span auth = http1_get(h, "authorization");

    n_requests++;
    c->at = 0;
    c->events = 0;
    c->keep_alive = h->keep_alive;
    make_plan(c);
    write_log(c, h);
    if (api_key != NULL && !gw_span_is(gw_span_from(auth, 7), api_key))
        answer_error(c, 401);
    else if (gw_span_is(h->method, "GET"))
        send_json(c, 200, GW_SPAN("{\"object\":\"list\",\"data\":[]}"));
    else if (c->plan.status != 200)
        answer_error(c, c->plan.status);
    else if (c->plan.ttft_ms != 0)
        later(c, c->plan.ttft_ms);
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
        if (ev == HTTP1_HEAD)
            gw_buf_clear(&c->body);
        if (ev == HTTP1_BODY)
            gw_buf_add(&c->body, data);
        (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (ev == HTTP1_DONE) {
            c->busy = true;
            answer(c);
        }
        if (ev == HTTP1_ERROR)
            c->keep_alive = false;
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
        if (log_file != NULL && ((struct client *)ctx)->busy) {
            (void)fprintf(log_file, "#ABORT\n");
            (void)fflush(log_file);
        }
        client_free(ctx);
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

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"port", 1, NULL, 'p'},  {"tls-port", 1, NULL, 't'},
                                          {"cert", 1, NULL, 'c'},  {"key", 1, NULL, 'k'},
                                          {"log", 1, NULL, 'l'},   {"api-key", 1, NULL, 'K'},
                                          {"bench", 0, NULL, 'b'}, {NULL, 0, NULL, 0}};
    const char *cert = NULL, *key = NULL;
    unsigned port = 0, tls_port = 0;
    int opt;

    while ((opt = getopt_long(argc, argv, "p:t:c:k:l:K:b", longs, NULL)) != -1) {
        if (opt == 'p')
            port = (unsigned)strtoul(optarg, NULL, 10);
        else if (opt == 't')
            tls_port = (unsigned)strtoul(optarg, NULL, 10);
        else if (opt == 'c')
            cert = optarg;
        else if (opt == 'k')
            key = optarg;
        else if (opt == 'l')
            log_file = fopen(optarg, "a");
        else if (opt == 'K')
            api_key = optarg;
        else if (opt == 'b')
            bench = true;
        else
            return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    if (cert != NULL) {
        tls = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
            (void)fprintf(stderr, "mock-provider: cannot read %s or %s\n", cert, key);
            return 1;
        }
        tls_port = listen_on(tls_port, tls);
    }
    port = listen_on(port, NULL);
    (void)event_add(evsignal_new(base, SIGTERM, on_signal, base), NULL);
    (void)event_add(evsignal_new(base, SIGINT, on_signal, base), NULL);
    (void)printf("listening http=%u https=%u\n", port, tls_port);
    (void)fflush(stdout);
    (void)event_base_dispatch(base);
    return 0;
}
