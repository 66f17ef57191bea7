/* proxy/request/allow.c - see allow.h. Entries lie in the order of config_allow.c, so those that name a value are looked up. */
#include "proxy/request/allow.h"

#include <string.h>

#include "base/digest.h"

static bool in_group(const struct proxy_config_list *groups, const struct proxy_principal *who)
{
    for (unsigned i = 0; i < who->n_groups; i++)
        for (unsigned k = 0; k < groups->n; k++)
            if (gw_span_eq(who->groups[i], groups->items[k]))
                return true;
    return groups->n == 0;
}

/* Everything but the value. */
static bool holds(const struct proxy_config_allow *a, const struct allow_finding *f)
{
    return f->now_ms < a->expires_ms && router_name_matches(a->rules.items, a->rules.n, f->rule) &&
           router_name_matches(a->paths.items, a->paths.n, f->pointer) &&
           router_name_matches(a->users.items, a->users.n, f->who->user) &&
           (router_name_matches(a->keys.items, a->keys.n, f->who->name) ||
            router_name_matches(a->keys.items, a->keys.n, f->who->id)) &&
           in_group(&a->groups, f->who) &&
           (a->compiled == NULL || dlp_regex_is(a->compiled, f->value));
}

/* As strcmp(), of a span that may hold any byte. */
static int compare(const char *text, struct gw_span span)
{
    size_t n = strlen(text);
    int c = memcmp(text, span.ptr, n < span.len ? n : span.len);

    return c != 0 ? c : n < span.len ? -1 : n > span.len;
}

/* Of n entries in the order of their text, the one with this text that holds. */
static const struct proxy_config_allow *look_up(const struct proxy_config_allow *items, unsigned n,
                                                bool hmac, struct gw_span text,
                                                const struct allow_finding *f)
{
    unsigned lo = 0, hi = n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (compare(hmac ? items[mid].value_hmac : items[mid].value, text) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n && compare(hmac ? items[lo].value_hmac : items[lo].value, text) == 0; lo++)
        if (holds(&items[lo], f))
            return &items[lo];
    return NULL;
}

const struct proxy_config_allow *allow_find(const struct proxy_config *cfg, struct gw_span key,
                                            const struct allow_finding *f)
{
    const struct proxy_config_allow *items = cfg->allow.items, *found = NULL;
    unsigned n_hmac = cfg->allow.n_hmac, n_value = cfg->allow.n_value;
    unsigned char mac[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES];

    if (f->value.len == 0)
        return NULL;
    if (n_hmac != 0) {
        gw_hmac_sha256(key, f->value, mac);
        gw_hex(mac, sizeof(mac), hex);
        found = look_up(items, n_hmac, true, gw_span_str(hex), f);
    }
    if (found == NULL && n_value != 0)
        found = look_up(items + n_hmac, n_value, false, f->value, f);
    for (unsigned i = n_hmac + n_value; found == NULL && i < cfg->allow.n; i++)
        if (holds(&items[i], f))
            found = &items[i];
    return found;
}
