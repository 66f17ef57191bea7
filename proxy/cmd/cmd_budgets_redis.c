/* proxy/cmd/cmd_budgets_redis.c - see cmd_budgets.h. hiredis' blocking calls: a command may wait, a gateway may not. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cmd/cmd_budgets.h"

enum { SCAN_COUNT = 500, PATIENCE_S = 5, MAX_KEYS = 1000000 };

static enum gw_status fail(const struct proxy_config *cfg, const redisContext *c,
                           const redisReply *r, struct gw_err *err)
{
    const char *why = "it does not answer as Redis does";

    if (r != NULL && r->type == REDIS_REPLY_ERROR && r->str != NULL)
        why = r->str;
    else if (c == NULL)
        why = "out of memory";
    else if (c->err != 0)
        why = c->errstr;
    return gw_fail(err, GW_EIO, "redis.url %s: %.160s", cfg->redis.url, why);
}

static enum gw_status greet(const struct proxy_config *cfg, redisContext *c, struct gw_err *err)
{
    struct gw_span password = cfg->redis.password.value;
    enum gw_status st = GW_OK;
    redisReply *r;

    if (password.len != 0) {
        r = cfg->redis.user[0] != '\0'
                ? redisCommand(c, "AUTH %s %b", cfg->redis.user, password.ptr, password.len)
                : redisCommand(c, "AUTH %b", password.ptr, password.len);
        if (r == NULL || r->type != REDIS_REPLY_STATUS)
            st = fail(cfg, c, r, err);
        freeReplyObject(r);
    }
    if (st != GW_OK || cfg->redis.db == 0)
        return st;
    r = redisCommand(c, "SELECT %u", cfg->redis.db);
    if (r == NULL || r->type != REDIS_REPLY_STATUS)
        st = fail(cfg, c, r, err);
    freeReplyObject(r);
    return st;
}

static enum gw_status connect_to(const struct proxy_config *cfg, redisContext **out,
                                 struct gw_err *err)
{
    const struct timeval patience = {PATIENCE_S, 0};
    redisContext *c = redisConnectWithTimeout(cfg->redis.host, cfg->redis.port, patience);
    enum gw_status st;

    if (c == NULL || c->err != 0 || redisSetTimeout(c, patience) != REDIS_OK)
        st = fail(cfg, c, NULL, err);
    else
        st = greet(cfg, c, err);
    if (st != GW_OK) {
        if (c != NULL)
            redisFree(c);
        return st;
    }
    *out = c;
    return GW_OK;
}

/* Calls each for the names of one page. Returns the next cursor through *cursor. */
static enum gw_status scan_page(const struct proxy_config *cfg, redisContext *c, char cursor[24],
                                enum gw_status (*each)(void *ctx, redisContext *c,
                                                       const char *name),
                                void *ctx, struct gw_err *err)
{
    redisReply *r = redisCommand(c, "SCAN %s MATCH %s:budget:* COUNT %d", cursor, cfg->redis.prefix,
                                 SCAN_COUNT);
    enum gw_status st = GW_OK;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[0]->len >= 24 ||
        r->element[1]->type != REDIS_REPLY_ARRAY) {
        st = fail(cfg, c, r, err);
        freeReplyObject(r);
        return st;
    }
    for (size_t i = 0; i < r->element[1]->elements && st == GW_OK; i++)
        if (r->element[1]->element[i]->type == REDIS_REPLY_STRING)
            st = each(ctx, c, r->element[1]->element[i]->str);
    memcpy(cursor, r->element[0]->str, r->element[0]->len + 1);
    freeReplyObject(r);
    return st;
}

static enum gw_status scan(const struct proxy_config *cfg,
                           enum gw_status (*each)(void *ctx, redisContext *c, const char *name),
                           void *ctx, struct gw_err *err)
{
    redisContext *c = NULL;
    char cursor[24] = "0";
    enum gw_status st = connect_to(cfg, &c, err);
    unsigned pages = 0;

    if (st != GW_OK)
        return st;
    do
        st = scan_page(cfg, c, cursor, each, ctx, err);
    while (st == GW_OK && strcmp(cursor, "0") != 0 && ++pages < MAX_KEYS);
    redisFree(c);
    return st;
}

/* "sluice:budget:NAME@START" in its parts; false: it is no such name. */
static bool parse_name(const struct proxy_config *cfg, const char *name, char *key, size_t size,
                       int64_t *start_ms)
{
    size_t skip = strlen(cfg->redis.prefix) + strlen(":budget:");
    const char *at = strrchr(name, '@');

    if (at == NULL || strlen(name) <= skip || at < name + skip ||
        (size_t)(at - name) - skip >= size)
        return false;
    memcpy(key, name + skip, (size_t)(at - name) - skip);
    key[(size_t)(at - name) - skip] = '\0';
    *start_ms = strtoll(at + 1, NULL, 10);
    return true;
}

struct visit {
    const struct proxy_config *cfg;
    void (*each)(void *ctx, const struct budget_counter *counter);
    void *ctx;
    const char *prefix;
    unsigned n;
    struct gw_err *err;
};

static uint64_t number(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? strtoull(r->str, NULL, 10) : 0;
}

static enum gw_status visit_counter(void *ctx, redisContext *c, const char *name)
{
    struct visit *v = ctx;
    char key[512];
    struct budget_counter counter = {.key = key, .has_held = true};
    redisReply *r;

    if (!parse_name(v->cfg, name, key, sizeof(key), &counter.start_ms))
        return GW_OK;
    r = redisCommand(c, "HGETALL %s", name);
    if (r == NULL || r->type != REDIS_REPLY_ARRAY) {
        enum gw_status st = fail(v->cfg, c, r, v->err);

        freeReplyObject(r);
        return st;
    }
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        redisReply *alive = NULL;

        if (r->element[i]->type != REDIS_REPLY_STRING)
            continue;
        if (strcmp(r->element[i]->str, "u") == 0) {
            counter.used = number(r->element[i + 1]);
            continue;
        }
        alive = redisCommand(c, "EXISTS %s:alive:%s", v->cfg->redis.prefix, r->element[i]->str);
        if (alive != NULL && alive->type == REDIS_REPLY_INTEGER && alive->integer == 1)
            counter.held += number(r->element[i + 1]);
        freeReplyObject(alive);
    }
    freeReplyObject(r);
    v->each(v->ctx, &counter);
    return GW_OK;
}

enum gw_status budgets_redis_each(const struct proxy_config *cfg,
                                  void (*each)(void *ctx, const struct budget_counter *c),
                                  void *ctx, struct gw_err *err)
{
    struct visit v = {.cfg = cfg, .each = each, .ctx = ctx, .err = err};

    return scan(cfg, visit_counter, &v, err);
}

static enum gw_status reset_counter(void *ctx, redisContext *c, const char *name)
{
    struct visit *v = ctx;
    int64_t start_ms;
    char key[512];
    redisReply *r;

    if (!parse_name(v->cfg, name, key, sizeof(key), &start_ms) ||
        strncmp(key, v->prefix, strlen(v->prefix)) != 0)
        return GW_OK;
    r = redisCommand(c, "HDEL %s u", name);
    if (r == NULL || r->type != REDIS_REPLY_INTEGER) {
        enum gw_status st = fail(v->cfg, c, r, v->err);

        freeReplyObject(r);
        return st;
    }
    v->n += r->integer == 1;
    freeReplyObject(r);
    return GW_OK;
}

enum gw_status budgets_redis_reset(const struct proxy_config *cfg, const char *prefix, unsigned *n,
                                   struct gw_err *err)
{
    struct visit v = {.cfg = cfg, .prefix = prefix, .err = err};

    GW_TRY(scan(cfg, reset_counter, &v, err));
    *n = v.n;
    return GW_OK;
}
