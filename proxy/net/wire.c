/* proxy/net/wire.c - see wire.h. */
#include "proxy/net/wire.h"

#include <sys/socket.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum {
    RECORD_BYTES = 16 * 1024, /* of plain text in a TLS record, at most */
    READ_BYTES = 64 * 1024,   /* of one system call */
};

struct wire {
    struct bufferevent *bev;
    struct ssl_st *ssl;
    struct evbuffer *in, *out; /* plain text; the bufferevent's own without TLS */
    struct event *readable;    /* the socket is */
    struct gw_span fresh;      /* TLS, while it is being read: records that no buffer holds yet */
    struct event *soon;        /* ends the turn of the loop: writes, and reports the end */
    const struct wire_calls *calls;
    void *ctx;
    size_t in_high, out_low;
    unsigned long error;
    unsigned busy; /* functions on the stack that call the owner: freed only at 0 */
    short ended;   /* BEV_EVENT_*: how, once it is known */
    bool reported; /* the owner knows */
    bool cut;      /* TLS: the socket has ended; what it brought may still lie here */
    bool accepts;
    bool open;    /* TLS stands */
    bool due;     /* soon is */
    bool left;    /* bytes were left to libevent: EV_WRITE is on */
    bool paused;  /* the owner's wish */
    bool reading; /* readable is added */
    bool said_goodbye;
    bool freed; /* when busy is 0 */
};

/* ---- the socket --------------------------------------------------------------------------- */

/* EV_WRITE is off afterwards, unless older bytes wait for the socket. */
static void prepare(struct wire *w)
{
    if (!w->left || evbuffer_get_length(bufferevent_get_output(w->bev)) != 0)
        return;
    w->left = false;
    (void)bufferevent_disable(w->bev, EV_WRITE);
}

/* Writes what the bufferevent holds; the rest, or the error, is libevent's. */
static void push(struct wire *w)
{
    struct evbuffer *out = bufferevent_get_output(w->bev);

    if (evbuffer_get_length(out) == 0 || w->left)
        return; /* libevent is at it, in order */
    /* Its start is frozen, so that only libevent takes from it, which holds EV_WRITE for that. */
    (void)evbuffer_unfreeze(out, 1);
    while (evbuffer_get_length(out) != 0 && evbuffer_write(out, bufferevent_getfd(w->bev)) > 0)
        continue;
    (void)evbuffer_freeze(out, 1);
    if (evbuffer_get_length(out) == 0)
        return;
    w->left = true;
    (void)bufferevent_enable(w->bev, EV_WRITE);
}

/* ---- OpenSSL's side: records in the bufferevent's buffers ------------------------------------ */

static int bio_read(BIO *bio, char *into, int room)
{
    struct wire *w = BIO_get_data(bio);
    int n = evbuffer_remove(bufferevent_get_input(w->bev), into, (size_t)room);

    BIO_clear_retry_flags(bio);
    if (n > 0)
        return n;
    if (w->fresh.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    n = w->fresh.len < (size_t)room ? (int)w->fresh.len : room;
    memcpy(into, w->fresh.ptr, (size_t)n);
    w->fresh = gw_span_from(w->fresh, (size_t)n);
    return n;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
    struct wire *w = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    prepare(w);
    return evbuffer_add(bufferevent_get_output(w->bev), bytes, (size_t)n) == 0 ? n : -1;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
    (void)bio;
    (void)n;
    (void)p;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (bio_method == NULL)
        return;
    (void)BIO_meth_set_read(bio_method, bio_read);
    (void)BIO_meth_set_write(bio_method, bio_write);
    (void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static bool attach_bio(struct wire *w)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    (void)pthread_once(&once, make_bio_method);
    bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, w);
    BIO_set_init(bio, 1);
    SSL_set_bio(w->ssl, bio, bio);
    return true;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void soon(struct wire *w)
{
    if (w->due)
        return;
    w->due = true;
    event_active(w->soon, EV_WRITE, 0);
}

static void end(struct wire *w, short how)
{
    if (w->ended == 0)
        w->ended = how;
}

/* For a function that the owner called: nothing is reported from inside one. */
static void report_soon(struct wire *w)
{
    if (w->ended != 0 && !w->reported)
        soon(w);
}

/* OpenSSL did not do what it was asked for: n is what it returned. */
static void on_ssl_trouble(struct wire *w, int n)
{
    switch (SSL_get_error(w->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return; /* a record that is not complete yet */
    case SSL_ERROR_ZERO_RETURN:
        end(w, BEV_EVENT_EOF);
        return;
    default:
        w->error = ERR_peek_last_error();
        ERR_clear_error();
        end(w, BEV_EVENT_ERROR);
        return;
    }
}

static void report(struct wire *w)
{
    if (w->ended == 0 || w->reported || w->freed)
        return;
    w->reported = true;
    w->calls->event(w->ctx, w->ended);
}

static void destroy(struct wire *w)
{
    if (w->bev != NULL) {
        /* A callback that is due keeps the bufferevent alive a little longer; what is added to it by reference may be
         * gone by then. */
        (void)bufferevent_disable(w->bev, EV_READ | EV_WRITE);
        bufferevent_setcb(w->bev, NULL, NULL, NULL, NULL);
    }
    SSL_free(w->ssl); /* may still reach for the bufferevent's buffers */
    if (w->in != NULL && w->in != bufferevent_get_input(w->bev))
        evbuffer_free(w->in);
    if (w->out != NULL && w->out != bufferevent_get_output(w->bev))
        evbuffer_free(w->out);
    if (w->soon != NULL)
        event_free(w->soon);
    if (w->readable != NULL)
        event_free(w->readable);
    if (w->bev != NULL)
        bufferevent_free(w->bev);
    free(w);
}

static void leave(struct wire *w)
{
    if (--w->busy == 0 && w->freed)
        destroy(w);
}

void wire_free(struct wire *w)
{
    if (w == NULL)
        return;
    w->freed = true;
    if (w->busy == 0)
        destroy(w);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void shake_hands(struct wire *w)
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(w->ssl);
    w->open = r == 1;
    if (!w->open)
        on_ssl_trouble(w, r);
}

static bool has_records(const struct wire *w)
{
    return w->fresh.len != 0 || evbuffer_get_length(bufferevent_get_input(w->bev)) != 0;
}

/* Decrypts what has come, as far as there is room. */
static void take_records(struct wire *w)
{
    static _Thread_local char text[RECORD_BYTES]; /* a whole record: OpenSSL keeps no rest of it */
    size_t most = 0;

    while (w->ended == 0 && has_records(w) && evbuffer_get_length(w->in) < w->in_high) {
        int n;

        ERR_clear_error();
        n = SSL_read(w->ssl, text, sizeof(text));
        if (n <= 0)
            on_ssl_trouble(w, n);
        else if (evbuffer_add(w->in, text, (size_t)n) != 0)
            end(w, BEV_EVENT_ERROR);
        if (n > 0 && (size_t)n > most)
            most = (size_t)n;
    }
    explicit_bzero(text, most);
}

/* Takes in what the bufferevent holds: a handshake first. w->busy is above 0. */
static void take(struct wire *w)
{
    bool was_open = w->open;

    if (!w->open && w->ended == 0)
        shake_hands(w);
    if (w->open)
        take_records(w);
    if (w->fresh.len != 0 &&
        evbuffer_add(bufferevent_get_input(w->bev), w->fresh.ptr, w->fresh.len) != 0)
        end(w, BEV_EVENT_ERROR);
    w->fresh.len = 0;
    if (w->cut && !has_records(w))
        end(w, BEV_EVENT_ERROR); /* no close_notify came before, or that would be the end */
    push(w);                     /* what OpenSSL had to say: its part of a handshake, an alert */
    if (w->open && !was_open)
        w->calls->event(w->ctx, BEV_EVENT_CONNECTED);
}

/* Reads from the socket or not, as the owner and the bounds want it. */
static void read_or_not(struct wire *w)
{
    bool read = !w->paused && !w->cut && w->ended == 0 && evbuffer_get_length(w->in) < w->in_high;

    if (read == w->reading)
        return;
    w->reading = read;
    if (read)
        (void)event_add(w->readable, NULL);
    else
        (void)event_del(w->readable);
}

static void on_readable(struct wire *w)
{
    w->busy++;
    if (w->ssl != NULL)
        take(w);
    if (!w->freed && evbuffer_get_length(w->in) != 0)
        w->calls->read(w->ctx);
    if (!w->freed)
        read_or_not(w);
    report(w);
    leave(w);
}

/* One read: libevent's own asks first how much there is, which is a system call more. */
static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    static _Thread_local char bytes[READ_BYTES];
    struct wire *w = ctx;
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

    bool tls, over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);

    (void)what;
    if (over && w->ssl == NULL)
        end(w, (short)(BEV_EVENT_READING | (n == 0 ? BEV_EVENT_EOF : BEV_EVENT_ERROR)));
    else if (over)
        w->cut = true;
    else if (n > 0 && w->ssl != NULL)
        w->fresh = (struct gw_span){bytes, (size_t)n};
    else if (n > 0 && evbuffer_add(w->in, bytes, (size_t)n) != 0)
        end(w, BEV_EVENT_READING | BEV_EVENT_ERROR);
    tls = w->ssl != NULL;
    /* Also when nothing came: what lay there before the wire was made is read now. */
    on_readable(w);
    if (n > 0 && !tls)
        explicit_bzero(bytes, (size_t)n);
}

/* libevent could not write what was left to it. */
static void on_bev_event(struct bufferevent *bev, short what, void *ctx)
{
    struct wire *w = ctx;

    (void)bev;
    if (w->ssl == NULL || (what & BEV_EVENT_TIMEOUT) != 0)
        end(w, what);
    else
        w->cut = true;
    on_readable(w);
}

void wire_fill(struct wire *w)
{
    if (w->ssl != NULL && w->open && w->ended == 0 && evbuffer_get_length(w->in) == 0) {
        take_records(w);
        if (w->cut && !has_records(w))
            end(w, BEV_EVENT_ERROR);
        push(w);
        report_soon(w);
    }
    read_or_not(w);
}

void wire_pause(struct wire *w)
{
    w->paused = true;
    read_or_not(w);
}

void wire_resume(struct wire *w)
{
    w->paused = false;
    read_or_not(w);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void encrypt(struct wire *w)
{
    const struct evbuffer *records = bufferevent_get_output(w->bev);
    size_t left;

    while (w->open && w->ended == 0 && (left = evbuffer_get_length(w->out)) != 0 &&
           evbuffer_get_length(records) < WIRE_RECORDS_HIGH) {
        size_t n = left < RECORD_BYTES ? left : RECORD_BYTES;
        /* In one piece: each call makes a record. */
        const unsigned char *text = evbuffer_pullup(w->out, (ev_ssize_t)n);
        int done;

        ERR_clear_error();
        done = text == NULL ? 0 : SSL_write(w->ssl, text, (int)n);
        if (done > 0)
            (void)evbuffer_drain(w->out, (size_t)done);
        else if (text == NULL)
            end(w, BEV_EVENT_ERROR);
        else
            on_ssl_trouble(w, done);
        if (done <= 0)
            return;
    }
}

static void flush(struct wire *w)
{
    size_t before;

    do {
        before = wire_waiting(w);
        if (w->ssl != NULL)
            encrypt(w);
        push(w);
    } while (w->ssl != NULL && evbuffer_get_length(w->out) != 0 && wire_waiting(w) < before);
}

bool wire_flush(struct wire *w)
{
    flush(w);
    report_soon(w);
    return wire_waiting(w) == 0;
}

/* Writes, and says when enough of it is gone. */
static void on_writable(struct wire *w)
{
    w->busy++;
    flush(w);
    if (w->ended == 0 && w->calls->write != NULL && wire_waiting(w) <= w->out_low)
        w->calls->write(w->ctx);
    report(w);
    leave(w);
}

static void on_bev_write(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    on_writable(ctx);
}

static void on_soon(evutil_socket_t fd, short what, void *ctx)
{
    struct wire *w = ctx;

    (void)fd;
    (void)what;
    w->due = false;
    on_writable(w);
}

struct evbuffer *wire_out(struct wire *w)
{
    if (w->ssl == NULL)
        prepare(w);
    return w->out;
}

void wire_put(struct wire *w, struct gw_span bytes)
{
    if (!w->due) {
        (void)wire_out(w);
        soon(w);
    }
    (void)evbuffer_add(w->out, bytes.ptr, bytes.len);
}

/* ---- the rest ------------------------------------------------------------------------------ */

struct evbuffer *wire_in(struct wire *w)
{
    return w->in;
}

size_t wire_waiting(struct wire *w)
{
    size_t n = evbuffer_get_length(bufferevent_get_output(w->bev));

    return w->ssl == NULL ? n : n + evbuffer_get_length(w->out);
}

bool wire_is_clean(struct wire *w)
{
    return wire_waiting(w) == 0 && evbuffer_get_length(w->in) == 0 &&
           evbuffer_get_length(bufferevent_get_input(w->bev)) == 0;
}

bool wire_is_tls(const struct wire *w)
{
    return w->ssl != NULL;
}

struct ssl_st *wire_ssl(const struct wire *w)
{
    return w->ssl;
}

void wire_goodbye(struct wire *w)
{
    if (w->ssl == NULL || w->said_goodbye || w->ended != 0)
        return;
    w->said_goodbye = true;
    SSL_set_shutdown(w->ssl, SSL_RECEIVED_SHUTDOWN);
    (void)SSL_shutdown(w->ssl);
    ERR_clear_error(); /* what it says of a handshake that never ended concerns nobody */
    push(w);
}

void wire_shutdown(struct wire *w)
{
    (void)shutdown(bufferevent_getfd(w->bev), SHUT_WR);
}

unsigned long wire_error(const struct wire *w)
{
    return w->error;
}

static bool set_up(struct wire *w, const struct wire_config *cfg)
{
    const struct timeval stalled = {cfg->stall_s, 0};

    w->soon = event_new(cfg->base, -1, 0, on_soon, w);
    w->readable =
        event_new(cfg->base, bufferevent_getfd(w->bev), EV_READ | EV_PERSIST, on_socket, w);
    if (w->ssl == NULL) {
        w->in = bufferevent_get_input(w->bev);
        w->out = bufferevent_get_output(w->bev);
    } else {
        w->in = evbuffer_new();
        w->out = evbuffer_new();
    }
    if (w->soon == NULL || w->readable == NULL || w->in == NULL || w->out == NULL ||
        (w->ssl != NULL && !attach_bio(w)))
        return false;
    (void)bufferevent_disable(w->bev, EV_READ);
    (void)evbuffer_unfreeze(bufferevent_get_input(w->bev),
                            0); /* libevent adds to it no more; we do */
    bufferevent_setcb(w->bev, NULL, on_bev_write, on_bev_event, w);
    bufferevent_setwatermark(w->bev, EV_WRITE, w->ssl == NULL ? w->out_low : WIRE_RECORDS_HIGH / 2,
                             0);
    if (cfg->stall_s != 0)
        (void)bufferevent_set_timeouts(w->bev, NULL, &stalled);
    w->left = true; /* EV_WRITE is on from birth; in a tunnel an answer may still be on its way */
    prepare(w);
    return true;
}

struct wire *wire_new(struct bufferevent *bev, const struct wire_config *cfg)
{
    struct wire *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        SSL_free(cfg->ssl);
        bufferevent_free(bev);
        return NULL;
    }
    *w = (struct wire){.bev = bev,
                       .ssl = cfg->ssl,
                       .accepts = cfg->accepts,
                       .in_high = cfg->in_high,
                       .out_low = cfg->out_low,
                       .calls = cfg->calls,
                       .ctx = cfg->ctx};
    if (!set_up(w, cfg)) {
        destroy(w);
        return NULL;
    }
    if (w->ssl != NULL && w->accepts)
        SSL_set_accept_state(w->ssl);
    else if (w->ssl != NULL)
        SSL_set_connect_state(w->ssl);
    if (w->ssl != NULL && !w->accepts) {
        shake_hands(w); /* the client speaks first */
        push(w);
        report_soon(w);
    }
    read_or_not(w);
    if (evbuffer_get_length(bufferevent_get_input(bev)) != 0)
        event_active(w->readable, EV_READ,
                     0); /* nothing else would announce what lies there already */
    return w;
}
