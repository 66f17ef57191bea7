/* proxy/net/flush.c - see flush.h. */
#include "proxy/net/flush.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

bool flush_suits(struct bufferevent *bev)
{
    return bufferevent_get_underlying(bev) == NULL && bufferevent_openssl_get_ssl(bev) == NULL;
}

void flush_prepare(struct bufferevent *bev)
{
    if ((bufferevent_get_enabled(bev) & EV_WRITE) != 0 &&
        evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        (void)bufferevent_disable(bev, EV_WRITE);
}

bool flush_now(struct bufferevent *bev)
{
    struct evbuffer *out = bufferevent_get_output(bev);

    if ((bufferevent_get_enabled(bev) & EV_WRITE) != 0)
        return evbuffer_get_length(out) == 0; /* libevent is at it, in order */
    /* Its start is frozen, so that only libevent takes from it, which holds EV_WRITE for that. */
    (void)evbuffer_unfreeze(out, 1);
    while (evbuffer_get_length(out) != 0 && evbuffer_write(out, bufferevent_getfd(bev)) > 0)
        continue;
    (void)evbuffer_freeze(out, 1);
    if (evbuffer_get_length(out) == 0)
        return true;
    (void)bufferevent_enable(bev, EV_WRITE);
    return false;
}
