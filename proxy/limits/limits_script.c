/* proxy/limits/limits_script.c - see limits_script.h. */
#include "proxy/limits/limits_script.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
    ARGS_EACH = 8,  /* of a counter */
    ARGS_FIRST = 2, /* before them */
    ANSWERS_EACH = 3,
    ANSWERS_FIRST = 2,
    KEEP_MS = 3600 * 1000,       /* a counter whose window is over: for what still runs */
    KEEP_HELD_MS = 24 * KEEP_MS, /* a counter without a window that nobody touches */
    NUMBER_BYTES = 24,
};

/* Counters of connections that are gone are removed here, by whoever looks next. Amounts stay below 2^53, which is what
 * Lua's numbers hold; they are written without exponents. */
const char limits_script[] =
    "local alive, me, n = ARGV[1], ARGV[2], #KEYS\n"
    "local out, st = {1, 0}, {}\n"
    "local function int(x) return string.format('%.0f', x) end\n"
    "for i = 1, n do\n"
    "  local a = 2 + (i - 1) * 8\n"
    "  local c = {u = 0, others = 0, mine = 0, limit = tonumber(ARGV[a + 1]),\n"
    "    give = tonumber(ARGV[a + 2]), take = tonumber(ARGV[a + 3]), use = tonumber(ARGV[a + 4]),\n"
    "    forced = ARGV[a + 5] == '1', add = tonumber(ARGV[a + 6]), seen = tonumber(ARGV[a + 7]),\n"
    "    ttl = ARGV[a + 8]}\n"
    "  local h = redis.call('HGETALL', KEYS[i])\n"
    "  for j = 1, #h, 2 do\n"
    "    local f, v = h[j], tonumber(h[j + 1]) or 0\n"
    "    if f == 'u' then c.u = v\n"
    "    elseif f == me then c.mine = v\n"
    "    elseif redis.call('EXISTS', alive .. f) == 1 then c.others = c.others + v\n"
    "    else redis.call('HDEL', KEYS[i], f) end\n"
    "  end\n"
    "  c.base = math.max(c.u, c.seen) + c.add\n"
    "  st[i] = c\n"
    "  local more = c.take + math.max(c.use, 0)\n"
    "  if out[1] == 1 and not c.forced and more > 0 and\n"
    "     c.base + c.others + math.max(c.mine - c.give, 0) + more > c.limit then\n"
    "    out[1] = 0 out[2] = i\n"
    "  end\n"
    "end\n"
    "for i = 1, n do\n"
    "  local c = st[i]\n"
    "  local u, mine = c.base, c.mine\n"
    "  if out[1] == 1 then\n"
    "    mine = math.max(mine - c.give, 0) + c.take\n"
    "    u = math.max(u + c.use, 0)\n"
    "  end\n"
    "  if u ~= c.u then redis.call('HSET', KEYS[i], 'u', int(u)) end\n"
    "  if mine ~= c.mine then\n"
    "    if mine == 0 then redis.call('HDEL', KEYS[i], me)\n"
    "    else redis.call('HSET', KEYS[i], me, int(mine)) end\n"
    "  end\n"
    "  redis.call('PEXPIRE', KEYS[i], c.ttl)\n"
    "  out[#out + 1] = u out[#out + 1] = c.others out[#out + 1] = mine\n"
    "end\n"
    "return out\n";

/* ---- writing ---------------------------------------------------------------------------- */

static void put(struct gw_buf *out, const char *text)
{
    const size_t n = strlen(text);

    gw_buf_printf(out, "$%zu\r\n%s\r\n", n, text);
}

static void put_number(struct gw_buf *out, int64_t n)
{
    char text[NUMBER_BYTES];

    (void)snprintf(text, sizeof(text), "%lld", (long long)n);
    put(out, text);
}

static int64_t number(uint64_t n)
{
    return n > ROUTER_BUDGET_MAX ? (int64_t)ROUTER_BUDGET_MAX : (int64_t)n;
}

static int64_t time_to_live(const struct ledger_change *c)
{
    int64_t ms = c->end_ms - gw_clock_wall_ms();

    return c->end_ms == 0 ? KEEP_HELD_MS : (ms < 0 ? 0 : ms) + KEEP_MS;
}

void limits_script_write(struct gw_buf *out, struct ledger *l, struct limits_step *step,
                         const char *prefix, const char *sha, const char *id)
{
    char text[LEDGER_KEY_BYTES + 128];

    gw_buf_printf(out, "*%u\r\n", 3 + step->n + ARGS_FIRST + ARGS_EACH * step->n);
    put(out, "EVALSHA");
    put(out, sha);
    put_number(out, step->n);
    for (unsigned i = 0; i < step->n; i++) {
        const struct ledger_change *c = &step->changes[i];

        (void)snprintf(text, sizeof(text), "%.64s:budget:%s@%lld", prefix, ledger_key(c->entry),
                       (long long)c->claim.start_ms);
        put(out, text);
    }
    (void)snprintf(text, sizeof(text), "%.64s:alive:", prefix);
    put(out, text);
    put(out, id);
    for (unsigned i = 0; i < step->n; i++) {
        struct ledger_change *c = &step->changes[i];
        uint64_t seen, add;

        ledger_owed(l, c, &seen, &add);
        put_number(out, number(c->claim.limit));
        put_number(out, number(c->claim.give));
        put_number(out, number(c->claim.take));
        put_number(out, c->claim.use);
        put(out, c->claim.forced ? "1" : "0");
        put_number(out, number(add));
        put_number(out, number(seen));
        put_number(out, time_to_live(c));
    }
}

void limits_script_untold(struct ledger *l, struct limits_step *step)
{
    for (unsigned i = 0; i < step->n; i++)
        ledger_untold(l, &step->changes[i]);
}

/* ---- reading ---------------------------------------------------------------------------- */

static bool is_answer(const struct redisReply *reply, unsigned n)
{
    if (reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != ANSWERS_FIRST + (size_t)ANSWERS_EACH * n)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i] == NULL || reply->element[i]->type != REDIS_REPLY_INTEGER ||
            reply->element[i]->integer < 0)
            return false;
    return reply->element[0]->integer == 1 ||
           (reply->element[1]->integer >= 1 && reply->element[1]->integer <= (long long)n);
}

enum gw_status limits_script_read(struct ledger *l, struct limits_step *step,
                                  const struct redisReply *reply)
{
    unsigned refused;
    bool done;

    if (!is_answer(reply, step->n))
        return GW_EPARSE;
    done = reply->element[0]->integer == 1;
    if (done && step->why != LIMITS_ASSERT)
        (void)ledger_apply(l, step->changes, step->n, LEDGER_NOTED, &refused);
    for (unsigned i = 0; i < step->n; i++) {
        redisReply *const *at = &reply->element[ANSWERS_FIRST + (size_t)ANSWERS_EACH * i];
        uint64_t used = (uint64_t)at[0]->integer, others = (uint64_t)at[1]->integer;
        uint64_t all = used + others + (uint64_t)at[2]->integer;
        struct ledger_change *c = &step->changes[i];

        ledger_told(l, c);
        ledger_note(l, c->entry, c->claim.start_ms, c->end_ms, used, others);
        c->left = c->claim.limit > all ? c->claim.limit - all : 0;
    }
    if (!done)
        step->refused = (unsigned)reply->element[1]->integer - 1;
    return done ? GW_OK : GW_EDENIED;
}
