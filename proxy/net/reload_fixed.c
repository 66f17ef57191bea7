/* proxy/net/reload_fixed.c - what a running gateway cannot change: sockets, threads, state and the spool. Pure. */
#include <stddef.h>
#include <string.h>

#include "proxy/net/reload.h"

enum kind { TEXT, ADDRESS, UINT, INT64, UINT64, TEXTS, SECRET, BOOL, SINKS };

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
    {"audit.payload_keep", INT64, IN(audit.payload_keep_ms)},
    {"core_dumps", BOOL, IN(core_dumps)},
    {"audit.witness.url", TEXT, IN(audit.witness_url)},
    {"audit.witness.ca", TEXT, IN(audit.witness_ca)},
    {"audit.kafka.brokers", TEXT, IN(audit.kafka_brokers)},
    {"audit.kafka.topic", TEXT, IN(audit.kafka_topic)},
    {"audit.kafka.checkpoints", TEXT, IN(audit.kafka_checkpoints)},
    {"audit.kafka.partitions", UINT, IN(audit.kafka_partitions)},
    {"audit.kafka.replication", UINT, IN(audit.kafka_replication)},
    {"audit.kafka.properties", TEXTS, IN(audit.kafka_properties)},
    {"audit.sinks", SINKS, IN(audit.sinks)},
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

static bool same_sink(const struct proxy_config_sink *a, const struct proxy_config_sink *b)
{
    const char *const x[] = {a->name,  a->path, a->url.text, a->address, a->user,
                             a->index, a->ca,   a->cert,     a->cert_key};
    const char *const y[] = {b->name,  b->path, b->url.text, b->address, b->user,
                             b->index, b->ca,   b->cert,     b->cert_key};

    for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++)
        if (strcmp(x[i], y[i]) != 0)
            return false;
    return a->kind == b->kind && a->sync == b->sync && a->tls == b->tls &&
           gw_span_eq(a->token.value, b->token.value) && a->format == b->format &&
           a->facility == b->facility && a->max_message == b->max_message &&
           a->records == b->records && a->batch_records == b->batch_records &&
           a->batch_bytes == b->batch_bytes && a->batch_ms == b->batch_ms &&
           a->timeout_ms == b->timeout_ms && a->on_full == b->on_full;
}

static bool same_sinks(const struct proxy_config *a, const struct proxy_config *b)
{
    if (a->audit.n_sinks != b->audit.n_sinks)
        return false;
    for (unsigned i = 0; i < a->audit.n_sinks; i++)
        if (!same_sink(&a->audit.sinks[i], &b->audit.sinks[i]))
            return false;
    return true;
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
    case SINKS: /* of two keys: see same_sinks() */
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
        if (fixed[i].kind == SINKS
                ? same_sinks(now, then)
                : same(fixed[i].kind, at(now, fixed[i].offset), at(then, fixed[i].offset)))
            continue;
        gw_buf_printf(problems,
                      "%s: %s cannot change while the gateway runs: restart it, or set the key "
                      "back to what it was\n",
                      then->file, fixed[i].key);
        n++;
    }
    return n;
}
