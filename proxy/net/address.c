/* proxy/net/address.c - address ranges. */
#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>

struct range {
    unsigned char bytes[16];
    unsigned bits;
};

/* IANA special-purpose registries, RFC 6890 and its updates. */
static const struct range private4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 3},
};
static const struct range private6[] = {
    {{0}, 8},
    {{0x01}, 8},
    {{0x20, 0x01, 0}, 23},
    {{0x20, 0x01, 0x0D, 0xB8}, 32},
    {{0xFC}, 7},
    {{0xFE, 0x80}, 10},
    {{0xFE, 0xC0}, 10},
    {{0xFF}, 8},
    {{0x00, 0x64, 0xFF, 0x9B}, 32},
    {{0x20, 0x02}, 16},
    {{0x3F, 0xFF}, 20},
    {{0x5F, 0x00}, 16},
};

static bool in_range(const unsigned char *a, const unsigned char *range, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, range, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ range[whole]) >> (8 - rest)) == 0;
}

/* The address's bytes; IPv4-mapped IPv6 is taken for the IPv4 it means. */
static const unsigned char *bytes_of(const struct sockaddr *sa, int *family)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    const unsigned char *b;

    *family = sa->sa_family;
    if (sa->sa_family == AF_INET)
        return (const unsigned char *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    if (sa->sa_family != AF_INET6)
        return NULL;
    b = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
    if (memcmp(b, mapped, sizeof(mapped)) != 0)
        return b;
    *family = AF_INET;
    return b + sizeof(mapped);
}

bool address_is_public(const struct sockaddr *sa)
{
    int family;
    const unsigned char *b = bytes_of(sa, &family);

    if (b == NULL)
        return false;
    if (family == AF_INET) {
        for (size_t i = 0; i < sizeof(private4) / sizeof(private4[0]); i++)
            if (in_range(b, private4[i].bytes, private4[i].bits))
                return false;
        return true;
    }
    for (size_t i = 0; i < sizeof(private6) / sizeof(private6[0]); i++)
        if (in_range(b, private6[i].bytes, private6[i].bits))
            return false;
    return true;
}

bool address_in(const struct sockaddr *sa, const struct proxy_config_nets *nets)
{
    int family;
    const unsigned char *b = bytes_of(sa, &family);

    for (unsigned i = 0; b != NULL && i < nets->n; i++)
        if (nets->items[i].family == family &&
            in_range(b, nets->items[i].bytes, nets->items[i].bits))
            return true;
    return false;
}

void address_text(const struct sockaddr *sa, char *out, size_t size, uint16_t *port)
{
    int family;
    const unsigned char *b = bytes_of(sa, &family);

    if (b == NULL || inet_ntop(family, b, out, (socklen_t)size) == NULL)
        (void)snprintf(out, size, "unknown");
    *port = sa->sa_family == AF_INET
                ? ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port)
            : sa->sa_family == AF_INET6
                ? ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port)
                : 0;
}
