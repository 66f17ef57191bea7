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

static void add_text(struct ledger_name *name, const char *text)
{
    add(name, text, strlen(text));
}

void ledger_name_of(const struct router_budget *b, enum router_budget_kind kind,
                    struct gw_span owner, struct ledger_name *out)
{
    static const char *const pers[] = {"all", "key", "user", "team", "model", "target"};
    unsigned char sum[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES];

    out->len = 0;
    add(out, b->name, strnlen(b->name, 64));
    add_text(out, "|");
    add_text(out, router_budget_kind_name(kind));
    add_text(out, "|");
    add_text(out, pers[b->per % ROUTER_PER_COUNT]);
    if (b->per == ROUTER_PER_ALL)
        return;
    add_text(out, is_plain_owner(owner) ? ":" : "#");
    if (!is_plain_owner(owner)) {
        gw_sha256(owner, sum);
        gw_hex(sum, 16, hex);
        owner = (struct gw_span){hex, 32};
    }
    add(out, owner.ptr, owner.len);
}
