/* proxy/net/reload_fixed.c - what a running gateway cannot change: sockets, threads, state and the spool. Pure. */
#include <stddef.h>
#include <string.h>

#include "proxy/net/reload.h"

enum kind { TEXT, ADDRESS, UINT, INT64, UINT64, TEXTS, SECRET, BOOL };

#define IN(field) offsetof(struct proxy_config, field)

static const struct {
    const char *key;
    enum kind kind;
    size_t offset;
} fixed[] = {
    {"listen.gateway", ADDRESS, IN(listen.gateway)},
    {"listen.proxy", ADDRESS, IN(listen.proxy)},
    {"listen.admin", ADDRESS, IN(listen.admin)},
    {"workers", UINT, IN(workers)},
    {"state_dir", TEXT, IN(state_dir)},
    {"instance", TEXT, IN(instance)},
    {"auth.keys", TEXT, IN(auth.keys)},
    {"audit.spool", TEXT, IN(audit.spool)},
    {"audit.durability", UINT, IN(audit.durability)},
    {"audit.on_full", UINT, IN(audit.on_full)},
    {"audit.max_spool", UINT64, IN(audit.max_spool)},
    {"audit.segment", UINT64, IN(audit.segment)},
    {"audit.retain", INT64, IN(audit.retain_ms)},
    {"audit.checkpoints", INT64, IN(audit.checkpoint_ms)},
    {"audit.auditor_key", TEXT, IN(audit.auditor_key)},
    {"audit.subject_keys", TEXT, IN(audit.subject_keys)},
    {"core_dumps", BOOL, IN(core_dumps)},
    {"audit.kafka.brokers", TEXT, IN(audit.kafka_brokers)},
    {"audit.kafka.topic", TEXT, IN(audit.kafka_topic)},
    {"audit.kafka.properties", TEXTS, IN(audit.kafka_properties)},
    {"redis.url", TEXT, IN(redis.url)},
    {"redis.user", TEXT, IN(redis.user)},
    {"redis.password", SECRET, IN(redis.password)},
    {"redis.prefix", TEXT, IN(redis.prefix)},
    {"redis.timeout", INT64, IN(redis.timeout_ms)},
    {"redis.on_unavailable", UINT, IN(redis.on_unavailable)},
    {"redis.share", UINT, IN(redis.share)},
};

static const void *at(const struct proxy_config *c, size_t offset)
{
    return (const char *)c + offset;
}

static bool same_texts(const char *const *a, const char *const *b)
{
    if (a == NULL || b == NULL)
        return (a == NULL || a[0] == NULL) && (b == NULL || b[0] == NULL);
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

static bool same(enum kind kind, const void *a, const void *b)
{
    const struct proxy_config_addr *x = a, *y = b;

    switch (kind) {
    case TEXT:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case ADDRESS:
        return x->off == y->off &&
               (x->off || (x->sa_len == y->sa_len && memcmp(&x->sa, &y->sa, x->sa_len) == 0));
    case UINT:
        return memcmp(a, b, sizeof(unsigned)) == 0;
    case BOOL:
        return *(const bool *)a == *(const bool *)b;
    case INT64:
    case UINT64:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case SECRET:
        return gw_span_eq(((const struct proxy_config_secret *)a)->value,
                          ((const struct proxy_config_secret *)b)->value);
    case TEXTS:
    default:
        return same_texts(*(const char *const *const *)a, *(const char *const *const *)b);
    }
}

unsigned reload_fixed(const struct proxy_config *now, const struct proxy_config *then,
                      struct gw_buf *problems)
{
    unsigned n = 0;

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (same(fixed[i].kind, at(now, fixed[i].offset), at(then, fixed[i].offset)))
            continue;
        gw_buf_printf(problems,
                      "%s: %s cannot change while the gateway runs: restart it, or set the key "
                      "back to what it was\n",
                      then->file, fixed[i].key);
        n++;
    }
    return n;
}
