/* proxy/limits/ledger_name.c - see ledger_name.h. Every request makes one of each counter, so printf() would be most of what they
 * cost. */
#include "proxy/limits/ledger_name.h"

#include <string.h>

#include "base/digest.h"

/* Owners that are too long, or hold what lists and Redis keys do not like, are known by their digest. */
static bool is_plain_owner(struct gw_span owner)
{
    for (size_t i = 0; i < owner.len; i++)
        if ((unsigned char)owner.ptr[i] <= ' ' || owner.ptr[i] == 0x7F || owner.ptr[i] == '|')
            return false;
    return owner.len <= 128;
}

static void add(struct ledger_name *name, const char *text, size_t n)
{
    size_t room = sizeof(name->text) - 1 - name->len;

    n = n < room ? n : room;
    if (n != 0)
        memcpy(name->text + name->len, text, n);
    name->len += n;
    name->text[name->len] = '\0';
}

/* What stands between a budget's name and the owner: one copy instead of four. */
static const struct gw_span middles[ROUTER_BUDGET_KINDS][ROUTER_PER_COUNT] = {
#define LITERAL(text)                                                                              \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define OF(kind)                                                                                   \
    {                                                                                              \
        LITERAL("|" kind "|all"), LITERAL("|" kind "|key"), LITERAL("|" kind "|user"),             \
            LITERAL("|" kind "|team"), LITERAL("|" kind "|model"), LITERAL("|" kind "|target"),    \
    }
    [ROUTER_BUDGET_REQUESTS] = OF("requests"),
    [ROUTER_BUDGET_TOKENS] = OF("tokens"),
    [ROUTER_BUDGET_COST] = OF("cost"),
    [ROUTER_BUDGET_CONCURRENCY] = OF("concurrency"),
#undef OF
#undef LITERAL
};

void ledger_name_of(const struct router_budget *b, enum router_budget_kind kind,
                    struct gw_span owner, struct ledger_name *out)
{
    struct gw_span middle = middles[kind % ROUTER_BUDGET_KINDS][b->per % ROUTER_PER_COUNT];
    unsigned char sum[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES];

    out->len = 0;
    add(out, b->name, strnlen(b->name, 64));
    add(out, middle.ptr, middle.len);
    if (b->per == ROUTER_PER_ALL)
        return;
    if (is_plain_owner(owner)) {
        add(out, ":", 1);
    } else {
        add(out, "#", 1);
        gw_sha256(owner, sum);
        gw_hex(sum, 16, hex);
        owner = (struct gw_span){hex, 32};
    }
    add(out, owner.ptr, owner.len);
}
