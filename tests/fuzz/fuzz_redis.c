/* Fuzz target: what Redis answers. Nothing but an answer to the script is taken for one, in whatever pieces it comes. */
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/limits/limits_script.h"
#include "proxy/redis/redis_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_CHANGES = 3 };

static struct ledger *ledger;

/* One ledger for all inputs: it is the answers that are looked at, not what they add up to. */
static bool open_ledger(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[64], file[80];

    if (ledger != NULL)
        return true;
    (void)snprintf(path, sizeof(path), "/tmp/fuzz-redis-%d.db", (int)getpid());
    if (ledger_open(path, &ledger, NULL) != GW_OK)
        return false;
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s%s", path, ends[i]);
        (void)unlink(file);
    }
    return true;
}

/* Hands the bytes in, step by step; returns how many answers were taken. */
static unsigned read_all(struct limits_step *step, const uint8_t *data, size_t size, size_t by)
{
    struct redis_reader *r = redis_reader_new(1 << 20, 1024);
    enum gw_status st = GW_OK;
    unsigned taken = 0;

    for (size_t i = 0; r != NULL && i < size && st != GW_EPARSE; i += by) {
        size_t n = size - i < by ? size - i : by;
        struct redisReply *reply = NULL;

        if (redis_reader_feed(r, (struct gw_span){(const char *)data + i, n}) != GW_OK)
            break;
        while ((st = redis_reader_next(r, &reply)) == GW_OK) {
            enum gw_status answer = limits_script_read(ledger, step, reply);

            if (answer == GW_EDENIED && step->refused >= step->n)
                abort();
            taken += answer != GW_EPARSE;
            freeReplyObject(reply);
        }
    }
    redis_reader_free(r);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct router_budget budget = {.name = "b", .per = ROUTER_PER_USER};
    unsigned n = size == 0 ? 1 : 1 + data[0] % MAX_CHANGES;
    struct limits_step *step;

    if (size == 0 || !open_ledger())
        return 0;
    step = limits_step_new(LIMITS_RESERVE, NULL, n);
    if (step == NULL)
        return 0;
    for (; step->n < n; step->n++) {
        const char owner[] = {(char)('a' + step->n), '\0'};

        step->changes[step->n] = (struct ledger_change){
            .entry = ledger_get(ledger, &budget, ROUTER_BUDGET_TOKENS, gw_span_str(owner)),
            .claim = {.start_ms = 1000, .limit = 100, .take = 1},
            .end_ms = INT64_MAX,
        };
    }
    if (read_all(step, data + 1, size - 1, size) != read_all(step, data + 1, size - 1, 1))
        abort(); /* pieces make no difference */
    for (unsigned i = 0; i < n; i++)
        ledger_put(ledger, step->changes[i].entry);
    limits_step_free(step);
    return 0;
}
