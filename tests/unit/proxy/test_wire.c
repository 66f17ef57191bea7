/* Unit tests of proxy/net/wire.c: two wires, and between them a middleman who hands on as many bytes at a time as a test says,
 * keeps some, or cuts. */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "proxy/net/wire.h"
#include "proxy/tls/ca.h"
#include "proxy/tls/tls.h"
#include "tests/files.h"
#include "tests/test.h"

enum { IN_HIGH = 32 * 1024, OUT_LOW = 4096, BIG = 3 * 1024 * 1024 + 17 };

struct side {
    struct wire *wire; /* NULL once it was freed */
    int far;           /* the middleman's end; -1: closed */
    size_t got, read_limit;
    unsigned n_reads, n_writes, n_ends, n_connected;
    short ended;
    bool wrong;      /* a byte was not the next of the pattern */
    bool late_bytes; /* after the end */
    bool free_on_read, free_on_end, greedy;
    size_t most; /* that lay in wire_in() */
};

static struct event_base *base;
static struct leaf_mint *mint;
static struct ssl_ctx_st *client_ctx;
static char dir[] = "/tmp/sluice-wire-XXXXXX";

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7);
}

static void drop(struct side *s)
{
    wire_free(s->wire);
    s->wire = NULL;
}

static void take_in(struct side *s)
{
    struct evbuffer *in = wire_in(s->wire);
    char part[1777];

    wire_fill(s->wire);
    while (s->got < s->read_limit) {
        size_t room = s->read_limit - s->got < sizeof(part) ? s->read_limit - s->got : sizeof(part);
        int n;

        s->most = evbuffer_get_length(in) > s->most ? evbuffer_get_length(in) : s->most;
        n = evbuffer_remove(in, part, room);
        for (int i = 0; i < n; i++)
            s->wrong |= part[i] != pattern(s->got++);
        wire_fill(s->wire);
        if (n <= 0)
            return;
    }
    s->most = evbuffer_get_length(in) > s->most ? evbuffer_get_length(in) : s->most;
}

static void on_read(void *ctx)
{
    struct side *s = ctx;

    s->n_reads++;
    s->late_bytes |= s->n_ends != 0;
    if (s->free_on_read)
        drop(s);
    else
        take_in(s);
}

static void on_write(void *ctx)
{
    struct side *s = ctx;

    s->n_writes++;
}

static void on_event(void *ctx, short what)
{
    struct side *s = ctx;

    if ((what & BEV_EVENT_CONNECTED) != 0) {
        s->n_connected++;
        return;
    }
    s->n_ends++;
    s->ended = what;
    take_in(s);
    if (s->free_on_end)
        drop(s);
}

/* tls: 0 none, 1 a proper pair, 2 the client expects another name. */
static bool make(struct side *client, struct side *server, int tls)
{
    static const struct wire_calls calls = {on_read, on_write, on_event};
    struct side *const sides[2] = {client, server};

    for (int i = 0; i < 2; i++) {
        struct side *s = sides[i];
        struct wire_config cfg = {.base = base,
                                  .accepts = i == 1,
                                  .in_high = IN_HIGH,
                                  .out_low = OUT_LOW,
                                  .calls = &calls,
                                  .ctx = s};
        struct bufferevent *bev;
        int fds[2];

        if (s->read_limit == 0)
            s->read_limit = SIZE_MAX;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
            return false;
        s->far = fds[1];
        bev = bufferevent_socket_new(base, fds[0], BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
        if (tls != 0)
            cfg.ssl = i == 1 ? leaf_mint_ssl(mint, "a.test")
                             : tls_client_new(client_ctx, tls == 2 ? "b.test" : "a.test");
        s->wire = bev == NULL ? NULL : wire_new(bev, &cfg);
        if (s->wire == NULL)
            return false;
    }
    return true;
}

static void unmake(struct side *s)
{
    drop(s);
    if (s->far >= 0)
        (void)close(s->far);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Hands on up to n bytes each way. True: some moved, or an end was passed on. */
static bool carry(struct side *from, struct side *to, size_t n)
{
    static char bytes[65536];
    ssize_t got;

    if (from->far < 0)
        return false;
    got = recv(from->far, bytes, n < sizeof(bytes) ? n : sizeof(bytes), to->far < 0 ? 0 : MSG_PEEK);
    if (got < 0)
        return false;
    if (got == 0) {
        if (to->far >= 0)
            (void)shutdown(to->far, SHUT_WR);
        return false;
    }
    if (to->far < 0)
        return true;
    got = send(to->far, bytes, (size_t)got, MSG_NOSIGNAL);
    if (got > 0)
        (void)recv(from->far, bytes, (size_t)got, 0);
    return got > 0;
}

static void run(struct side *a, struct side *b, size_t chunk)
{
    for (unsigned idle = 0; idle < 4; idle++) {
        bool moved = carry(a, b, chunk);

        moved |= carry(b, a, chunk);
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        if (moved)
            idle = 0;
    }
}

static void put(struct side *s, size_t from, size_t n)
{
    char *bytes = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(from + i);
    wire_put(s->wire, (struct gw_span){bytes, n});
    free(bytes);
}

static void test_chunks(int tls, size_t chunk)
{
    struct side c = {0}, s = {0};
    const size_t n = chunk < 100 ? 2000 : 40000;

    if (!CHECK(make(&c, &s, tls)))
        return;
    run(&c, &s, chunk);
    CHECK(c.n_connected == (tls != 0) && s.n_connected == (tls != 0));
    put(&c, 0, 3);
    put(&c, 3, 997);
    run(&c, &s, chunk);
    CHECK(s.got == 1000 && !s.wrong && c.n_writes != 0);
    put(&s, 0, n);
    run(&c, &s, chunk);
    CHECK(c.got == n && !c.wrong && wire_is_clean(s.wire) && wire_is_clean(c.wire));
    CHECK(c.n_ends == 0 && s.n_ends == 0);
    /* What comes just before the end is not lost with it. */
    put(&s, n, 500);
    (void)wire_flush(s.wire);
    wire_goodbye(s.wire);
    drop(&s);
    run(&c, &s, chunk);
    CHECK(c.got == n + 500 && !c.wrong && c.n_ends == 1 && !c.late_bytes);
    CHECK((c.ended & BEV_EVENT_EOF) != 0 && (c.ended & BEV_EVENT_ERROR) == 0);
    unmake(&c);
    unmake(&s);
}

/* More than sockets and buffers hold, to a reader who stops for a while. */
static void test_slow_reader(int tls)
{
    struct side c = {.read_limit = 100000}, s = {0};

    if (!CHECK(make(&c, &s, tls)))
        return;
    run(&c, &s, 65536);
    put(&s, 0, BIG);
    run(&c, &s, 65536);
    CHECK(c.got == 100000 && wire_waiting(s.wire) > BIG / 2);
    CHECK(c.most <= IN_HIGH + 65536);
    c.read_limit = SIZE_MAX;
    take_in(&c);
    run(&c, &s, 65536);
    CHECK(c.got == BIG && !c.wrong && c.most <= IN_HIGH + 65536 && wire_waiting(s.wire) == 0);
    /* Paused: nothing is read; then all of it. */
    wire_pause(c.wire);
    put(&s, BIG, 5000);
    run(&c, &s, 65536);
    CHECK(c.got == BIG);
    wire_resume(c.wire);
    run(&c, &s, 65536);
    CHECK(c.got == BIG + 5000 && !c.wrong);
    unmake(&c);
    unmake(&s);
}

/* The end arrives while bytes still lie unread: first the bytes, then the end. */
static void test_end_behind_bytes(bool goodbye)
{
    struct side c = {.read_limit = 10}, s = {0};

    if (!CHECK(make(&c, &s, 1)))
        return;
    run(&c, &s, 65536);
    put(&s, 0, 100000);
    run(&c, &s, 65536);
    if (goodbye)
        wire_goodbye(s.wire);
    drop(&s);
    run(&c, &s, 65536);
    CHECK(c.n_ends == 0 && c.got == 10);
    c.read_limit = SIZE_MAX;
    take_in(&c);
    CHECK(c.n_ends == 0); /* reported from the loop, not from inside wire_fill() */
    run(&c, &s, 65536);
    CHECK(c.got == 100000 && !c.wrong && c.n_ends == 1);
    CHECK(((c.ended & BEV_EVENT_ERROR) != 0) == !goodbye);
    unmake(&c);
    unmake(&s);
}

/* The connection breaks after so many bytes of what the server says. */
static void test_cut(size_t after)
{
    struct side c = {0}, s = {0};
    char bytes[1];

    if (!CHECK(make(&c, &s, 1)))
        return;
    run(&c, &s, 65536);
    put(&s, 0, 300);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < after && recv(s.far, bytes, 1, 0) == 1; i++)
        (void)send(c.far, bytes, 1, MSG_NOSIGNAL);
    (void)close(c.far);
    c.far = -1;
    run(&c, &s, 65536);
    CHECK(c.n_ends == 1 && (c.ended & BEV_EVENT_ERROR) != 0 && c.got == (after >= 322 ? 300 : 0));
    unmake(&c);
    unmake(&s);
}

static void test_bad_peers(void)
{
    struct side c = {0}, s = {0};

    CHECK(make(&c, &s, 2));
    run(&c, &s, 65536);
    CHECK(c.n_ends == 1 && (c.ended & BEV_EVENT_ERROR) != 0 && wire_error(c.wire) != 0);
    CHECK(s.n_ends == 1 && s.n_connected + c.n_connected <= 1);
    unmake(&c);
    unmake(&s);
    for (int i = 0; i < 2; i++) {
        static const char noise[] =
            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\nand more of it, so that it is a record's worth";
        struct side c2 = {0}, s2 = {0}, *victim = i == 0 ? &c2 : &s2;

        CHECK(make(&c2, &s2, 1));
        CHECK(send(victim->far, noise, sizeof(noise), MSG_NOSIGNAL) > 0);
        for (int k = 0; k < 5; k++)
            (void)event_base_loop(base, EVLOOP_NONBLOCK);
        CHECK(victim->n_ends == 1 && (victim->ended & BEV_EVENT_ERROR) != 0);
        CHECK(victim->n_connected == 0 && wire_error(victim->wire) != 0);
        unmake(&c2);
        unmake(&s2);
    }
}

static void test_free_inside(int tls)
{
    struct side c = {0}, s = {.free_on_read = true, .free_on_end = true};

    if (!CHECK(make(&c, &s, tls)))
        return;
    run(&c, &s, 65536);
    put(&c, 0, 10);
    run(&c, &s, 65536);
    CHECK(s.wire == NULL && s.n_reads == 1);
    CHECK(c.n_ends == 1);
    unmake(&c);
    unmake(&s);
    c = (struct side){0};
    s = (struct side){.free_on_end = true};
    CHECK(make(&c, &s, tls));
    run(&c, &s, 65536);
    wire_goodbye(c.wire);
    drop(&c);
    run(&c, &s, 65536);
    CHECK(s.wire == NULL && s.n_ends == 1);
    unmake(&c);
    unmake(&s);
}

int main(void)
{
    static const size_t chunks[] = {1, 2, 3, 5, 21, 22, 100, 1460, 65536};
    struct gw_err err;
    char path[160];

    base = event_base_new();
    CHECK(mkdtemp(dir) != NULL && base != NULL);
    (void)snprintf(path, sizeof(path), "%s/ca", dir);
    CHECK(ca_init(path, "test", &err) == GW_OK);
    CHECK(leaf_mint_open(path, &mint, &err) == GW_OK);
    (void)snprintf(path, sizeof(path), "%s/ca/ca.pem", dir);
    CHECK(tls_client_ctx(path, &client_ctx, &err) == GW_OK);
    for (int tls = 0; tls < 2; tls++) {
        for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
            test_chunks(tls, chunks[i]);
        test_slow_reader(tls);
        test_free_inside(tls);
    }
    test_end_behind_bytes(true);
    test_end_behind_bytes(false);
    for (size_t after = 0; after <= 322; after += after < 10 || after > 315 ? 1 : 61)
        test_cut(after);
    test_bad_peers();
    leaf_mint_close(mint);
    tls_ctx_free(client_ctx);
    event_base_free(base);
    CHECK(test_remove_tree(dir));
    return test_done();
}
