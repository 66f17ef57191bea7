/* Tests of proxy/net/clients.c: connections and memory of each client and of all. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <pthread.h>
#include <string.h>

#include "proxy/net/clients.h"
#include "tests/test.h"

static struct client *come(struct clients *all, const char *address, unsigned max)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        memcpy(&sa, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
        memcpy(&sa, &v6, sizeof(v6));
    return client_come(all, (const struct sockaddr *)&sa, max);
}

static void test_connections(void)
{
    struct clients *all = clients_new();
    struct client *a = come(all, "192.0.2.1", 2), *b = come(all, "192.0.2.1", 2);
    struct client *c = come(all, "192.0.2.2", 2), *mapped;

    CHECK(a != NULL && a == b && c != NULL && c != a);
    CHECK(come(all, "192.0.2.1", 2) == NULL);
    mapped = come(all, "::ffff:192.0.2.2", 2);
    CHECK(mapped == c);
    client_leave(mapped);
    client_leave(b);
    b = come(all, "192.0.2.1", 2);
    CHECK(b == a);
    client_leave(a);
    client_leave(b);
    client_leave(c);
    a = come(all, "2001:db8:1:2::3", 1);
    CHECK(a != NULL && come(all, "2001:db8:1:2:ffff::1", 1) == NULL);
    b = come(all, "2001:db8:1:3::3", 1);
    CHECK(b != NULL && b != a);
    c = come(all, "2001:db8:1:3::4", 0);
    CHECK(c == b);
    client_leave(a);
    client_leave(b);
    client_leave(c);
    client_leave(NULL);
    clients_free(all);
    clients_free(NULL);
}

static void test_memory(void)
{
    struct clients *all = clients_new();
    struct client *a = come(all, "192.0.2.1", 0), *b = come(all, "192.0.2.2", 0);
    const struct clients_caps caps = {600, 1000}, none = {0, 0};

    CHECK(client_take(a, 601, caps) == CLIENT_HAS_ENOUGH && clients_memory(all) == 0);
    CHECK(client_take(a, 600, caps) == CLIENT_MAY);
    CHECK(client_take(a, 1, caps) == CLIENT_HAS_ENOUGH);
    CHECK(client_take(b, 401, caps) == CLIENTS_FULL && clients_memory(all) == 600);
    CHECK(client_take(b, 400, caps) == CLIENT_MAY && clients_memory(all) == 1000);
    CHECK(client_take(b, UINT64_MAX, caps) == CLIENT_HAS_ENOUGH && clients_memory(all) == 1000);
    CHECK(client_take(b, 5000, none) == CLIENT_MAY);
    client_give(b, 5400);
    client_give(a, 600);
    CHECK(clients_memory(all) == 0 && client_take(b, 600, caps) == CLIENT_MAY);
    client_give(b, 600);
    client_leave(a);
    client_leave(b);
    clients_free(all);
    CHECK(clients_half_of_memory() > (16 << 20));
}

static void *churn(void *ctx)
{
    const struct clients_caps caps = {1000, 3000};
    char address[32];

    for (unsigned i = 0; i < 20000; i++) {
        struct client *c;

        (void)snprintf(address, sizeof(address), "198.51.100.%u", i % 7);
        c = come(ctx, address, 3);
        if (c == NULL)
            continue;
        if (client_take(c, 400, caps) == CLIENT_MAY)
            client_give(c, 400);
        client_leave(c);
    }
    return NULL;
}

static void test_threads(void)
{
    struct clients *all = clients_new();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, all) == 0);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    CHECK(clients_memory(all) == 0);
    clients_free(all);
}

int main(void)
{
    test_connections();
    test_memory();
    test_threads();
    return test_done();
}
