/* proxy/store/principal.c - copies of principals, and the three questions of what one may do. Thread: any. */
#include "proxy/store/principal.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>

#include "router/router.h"

const char *proxy_via_name(enum proxy_via via)
{
    static const char *const names[] = {"none", "key", "mtls", "jwt"};

    return (unsigned)via < sizeof(names) / sizeof(names[0]) ? names[via] : "none";
}

/* ---- copies ------------------------------------------------------------------------------------ */

static size_t text_bytes(const struct gw_span *items, unsigned n)
{
    size_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += items[i].len + 1;
    return sum;
}

static struct gw_span put(char **to, struct gw_span text)
{
    struct gw_span copy = {*to, text.len};

    if (text.len != 0)
        memcpy(*to, text.ptr, text.len);
    (*to)[text.len] = '\0';
    *to += text.len + 1;
    return copy;
}

static const struct gw_span *put_all(struct gw_span **spans, char **to, const struct gw_span *items,
                                     unsigned n)
{
    struct gw_span *first = *spans;

    for (unsigned i = 0; i < n; i++)
        first[i] = put(to, items[i]);
    *spans += n;
    return first;
}

static size_t spans_bytes(const struct proxy_principal *p)
{
    return ((size_t)p->n_groups + p->n_models + p->n_targets) * sizeof(struct gw_span);
}

size_t proxy_principal_bytes(const struct proxy_principal *p)
{
    const struct gw_span own[] = {p->id, p->name, p->user, p->owner, p->team};

    return spans_bytes(p) + p->n_networks * sizeof(*p->networks) + text_bytes(own, 5) +
           text_bytes(p->groups, p->n_groups) + text_bytes(p->models, p->n_models) +
           text_bytes(p->targets, p->n_targets);
}

void proxy_principal_pack(void *block, const struct proxy_principal *p, struct proxy_principal *out)
{
    size_t nets_bytes = p->n_networks * sizeof(*p->networks);
    struct proxy_principal copy = *p;
    struct gw_span *spans = block;
    struct proxy_network *nets = (void *)((char *)block + spans_bytes(p));
    char *to = (char *)nets + nets_bytes;

    copy.id = put(&to, p->id);
    copy.name = put(&to, p->name);
    copy.user = put(&to, p->user);
    copy.owner = put(&to, p->owner);
    copy.team = put(&to, p->team);
    copy.groups = put_all(&spans, &to, p->groups, p->n_groups);
    copy.models = put_all(&spans, &to, p->models, p->n_models);
    copy.targets = put_all(&spans, &to, p->targets, p->n_targets);
    if (nets_bytes != 0)
        memcpy(nets, p->networks, nets_bytes);
    copy.networks = nets;
    *out = copy;
}

bool proxy_principal_copy(struct gw_arena *arena, const struct proxy_principal *p,
                          struct proxy_principal *out)
{
    void *block = gw_arena_alloc(arena, proxy_principal_bytes(p));

    if (block == NULL)
        return false;
    proxy_principal_pack(block, p, out);
    return true;
}

/* ---- what it may do ------------------------------------------------------------------------------ */

bool proxy_principal_may_model(const struct proxy_principal *p, struct gw_span asked,
                               struct gw_span meant)
{
    if (p->n_models == 0)
        return true;
    return asked.len != 0 && (router_name_matches(p->models, p->n_models, asked) ||
                              router_name_matches(p->models, p->n_models, meant));
}

bool proxy_principal_may_target(const struct proxy_principal *p, struct gw_span name)
{
    return p->n_targets == 0 || router_name_matches(p->targets, p->n_targets, name);
}

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/* IPv4 in IPv6's clothes becomes IPv4, so that a range means the same on every listener. */
static int read_address(const char *text, unsigned char bytes[16])
{
    if (inet_pton(AF_INET, text, bytes) == 1)
        return AF_INET;
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return AF_UNSPEC;
    if (memcmp(bytes, mapped, sizeof(mapped)) != 0)
        return AF_INET6;
    memmove(bytes, bytes + 12, 4);
    return AF_INET;
}

static bool has_prefix(const unsigned char *address, const unsigned char *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(address, prefix, whole) == 0 &&
           (rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0);
}

bool proxy_principal_may_address(const struct proxy_principal *p, const char *address)
{
    unsigned char bytes[16];
    int family;

    if (p->n_networks == 0)
        return true;
    family = read_address(address, bytes);
    for (unsigned i = 0; i < p->n_networks && family != AF_UNSPEC; i++)
        if (p->networks[i].family == family &&
            has_prefix(bytes, p->networks[i].bytes, p->networks[i].bits))
            return true;
    return false;
}

/* ---- ranges -------------------------------------------------------------------------------------- */

static bool read_bits(struct gw_span text, unsigned max, unsigned *out)
{
    unsigned n = 0;

    if (text.len == 0 || text.len > 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (n > max)
        return false;
    *out = n;
    return true;
}

bool proxy_network_parse(struct gw_span text, struct proxy_network *out)
{
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    size_t n = slash == NULL ? text.len : (size_t)(slash - text.ptr);
    struct proxy_network net = {0};
    char host[INET6_ADDRSTRLEN];
    unsigned size;

    if (n == 0 || n >= sizeof(host))
        return false;
    memcpy(host, text.ptr, n);
    host[n] = '\0';
    if (strlen(host) != n)
        return false;
    net.family = inet_pton(AF_INET, host, net.bytes) == 1    ? AF_INET
                 : inet_pton(AF_INET6, host, net.bytes) == 1 ? AF_INET6
                                                             : AF_UNSPEC;
    if (net.family == AF_UNSPEC)
        return false;
    size = net.family == AF_INET ? 32 : 128;
    net.bits = size;
    if (slash != NULL && !read_bits(gw_span_from(text, n + 1), size, &net.bits))
        return false;
    for (unsigned i = net.bits; i < size; i++)
        if ((net.bytes[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    if (net.family == AF_INET6 && net.bits >= 96 &&
        memcmp(net.bytes, mapped, sizeof(mapped)) == 0) {
        net.family = AF_INET;
        net.bits -= 96;
        memmove(net.bytes, net.bytes + 12, 4);
        memset(net.bytes + 4, 0, 12);
    }
    *out = net;
    return true;
}
