/* Tests of proxy/net/loop_memory.c: libevent goes on with small blocks when the process has no memory left. */
#include <sys/resource.h>

#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "proxy/net/loop_memory.h"
#include "tests/test.h"

static char large[100000];

/* Takes everything that malloc() has, in a chain. */
static void **take_all(size_t largest)
{
    void **chain = NULL;

    for (size_t n = largest; n >= 16;) {
        void **p = malloc(n);

        if (p == NULL) {
            n /= 2;
            continue;
        }
        *p = (void *)chain;
        chain = p;
    }
    return chain;
}

static void give_all(void **chain)
{
    while (chain != NULL) {
        void **next = *chain;

        free((void *)chain);
        chain = next;
    }
}

static void test_reserve(void)
{
    struct rlimit was, none = {(rlim_t)256 << 20, (rlim_t)256 << 20};
    struct event_base *base = event_base_new();
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
    struct evbuffer *b;
    void **all;

    (void)getrlimit(RLIMIT_AS, &was);
    none.rlim_max = was.rlim_max;
    CHECK(loop_memory_used() == 0);
    if (setrlimit(RLIMIT_AS, &none) != 0) {
        test_skip("the address space cannot be limited here");
        return;
    }
    all = take_all((size_t)16 << 20);
    b = evbuffer_new();
    CHECK(b != NULL && loop_memory_used() > 0 && !loop_memory_low());
    /* This one writes through NULL when its block is refused. */
    bufferevent_setwatermark(bev, EV_READ, 0, 1000);
    CHECK(evbuffer_add(b, large, sizeof(large)) != 0);
    for (int i = 0; i < 300 && !loop_memory_low(); i++)
        CHECK(evbuffer_add_cb(b, NULL, NULL) != NULL);
    CHECK(loop_memory_low());
    evbuffer_free(b);
    give_all(all);
    (void)setrlimit(RLIMIT_AS, &was);
    bufferevent_free(bev);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    CHECK(loop_memory_used() == 0);
    CHECK(!loop_memory_low());
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const bool can_limit = false;
#else
    const bool can_limit = true;
#endif

    loop_memory_install();
    if (can_limit)
        test_reserve();
    else
        test_skip("the sanitizers need all of the address space");
    return test_done();
}
