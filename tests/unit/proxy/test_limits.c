/* Counters of budgets: exact under threads, kept over restarts, gone with a crash where they should be; amounts in the
 * configuration; what Redis answers, sense and nonsense. */
#include <sys/stat.h>

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "proxy/config/config.h"
#include "proxy/limits/ledger_name.h"
#include "proxy/limits/limits_script.h"
#include "proxy/redis/redis_wire.h"
#include "proxy/store/limits_db.h"
#include "tests/test.h"

static char dir[] = "/tmp/sluice-limits-XXXXXX";
static char path[64];
static const struct router_budget budget = {.name = "daily", .per = ROUTER_PER_USER};

static struct ledger *open_ledger(void)
{
    struct ledger *l = NULL;
    struct gw_err err = {0};

    if (!CHECK(ledger_open(path, &l, &err) == GW_OK))
        printf("%s\n", err.text);
    return l;
}

static struct ledger_change change(struct ledger_entry *e, int64_t start, uint64_t limit)
{
    return (struct ledger_change){.entry = e,
                                  .claim = {.start_ms = start, .limit = limit},
                                  .end_ms = start == 0 ? 0 : start + INT64_C(86400000) * 30};
}

/* ---- threads ---------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000, ROOM = 50 };
static struct ledger *shared;
static struct ledger_entry *shared_entries[2];
static int64_t shared_start;
static _Atomic unsigned taken, most, let_in;

/* Holds one of ROOM and spends one, gives back; nobody may ever see more than ROOM of them taken. */
static void *hammer(void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ledger_change c[2] = {change(shared_entries[0], 0, ROOM),
                                     change(shared_entries[1], shared_start, 1000000)};
        unsigned refused, now, seen;

        c[0].claim.take = 1 + i % 3 * 20;
        c[1].claim.use = 1;
        if (!ledger_apply(shared, c, 2, LEDGER_OWN, &refused))
            continue;
        let_in++;
        now = atomic_fetch_add(&taken, (unsigned)c[0].claim.take) + (unsigned)c[0].claim.take;
        seen = most;
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            continue;
        atomic_fetch_sub(&taken, (unsigned)c[0].claim.take);
        c[0].claim = (struct router_claim){.limit = ROOM, .give = c[0].claim.take, .forced = true};
        (void)ledger_apply(shared, c, 1, LEDGER_OWN, &refused);
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    struct ledger_change c;
    unsigned refused;

    shared = open_ledger();
    shared_start = gw_clock_wall_ms() - 1000;
    shared_entries[0] = ledger_get(shared, &budget, ROUTER_BUDGET_CONCURRENCY, GW_SPAN("all"));
    shared_entries[1] = ledger_get(shared, &budget, ROUTER_BUDGET_REQUESTS, GW_SPAN("all"));
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    CHECK(most <= ROOM && let_in > ROUNDS);
    c = change(shared_entries[1], shared_start, 1000000);
    CHECK(ledger_apply(shared, &c, 1, LEDGER_OWN, &refused) && c.left == 1000000 - let_in);
    c = change(shared_entries[0], 0, ROOM);
    CHECK(ledger_apply(shared, &c, 1, LEDGER_OWN, &refused) && c.left == ROOM);
    ledger_put(shared, shared_entries[0]);
    ledger_put(shared, shared_entries[1]);
    ledger_close(shared);
}

/* ---- on disk ---------------------------------------------------------------------------- */

static uint64_t left_of(struct ledger *l, enum router_budget_kind kind, const char *owner,
                        int64_t start, uint64_t limit)
{
    struct ledger_entry *e = ledger_get(l, &budget, kind, gw_span_str(owner));
    struct ledger_change c = change(e, start, limit);
    unsigned refused;

    CHECK(ledger_apply(l, &c, 1, LEDGER_OWN, &refused));
    ledger_put(l, e);
    return c.left;
}

static void use(struct ledger *l, const char *owner, int64_t start, uint64_t take, int64_t used)
{
    struct ledger_entry *e = ledger_get(l, &budget, ROUTER_BUDGET_TOKENS, gw_span_str(owner));
    struct ledger_change c = change(e, start, 1000);
    unsigned refused;

    c.claim.take = take;
    c.claim.use = used;
    CHECK(ledger_apply(l, &c, 1, LEDGER_OWN, &refused));
    ledger_put(l, e);
}

static void test_restart(void)
{
    int64_t start = gw_clock_wall_ms() - 5000;
    struct ledger *l = open_ledger();
    struct limits_db *db = NULL;
    unsigned n = 0;
    struct stat st;

    use(l, "ann", start, 300, 200);
    use(l, "bob", start, 0, 77);
    use(l, "a name with spaces | and more", start, 0, 5);
    use(l, "late", start + INT64_C(86400000) * 365, 0, 5); /* written while the clock was wrong */
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "ann", start, 1000) == 500);
    ledger_close(l);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    l = open_ledger();
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "ann", start, 1000) == 800); /* what was held is back */
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "bob", start, 1000) == 923);
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "a name with spaces | and more", start, 1000) == 995);
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "late", start, 1000) == 1000);
    /* Another process asks for a reset; the gateway follows. */
    CHECK(limits_db_open(path, false, &db, NULL) == GW_OK);
    CHECK(limits_db_reset(db, "daily|tokens|user:ann", gw_clock_wall_ms(), &n, NULL) == GW_OK &&
          n == 1);
    limits_db_close(db);
    TEST_UNTIL(left_of(l, ROUTER_BUDGET_TOKENS, "ann", start, 1000) == 1000);
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "ann", start, 1000) == 1000);
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "bob", start, 1000) == 923);
    ledger_close(l);
    /* A reset asked for while nobody runs is done by then, and not again for what comes after. */
    CHECK(limits_db_open(path, false, &db, NULL) == GW_OK);
    CHECK(limits_db_reset(db, "daily|", gw_clock_wall_ms(), &n, NULL) == GW_OK);
    limits_db_close(db);
    l = open_ledger();
    use(l, "bob", start, 0, 10);
    (void)usleep(500000);
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "bob", start, 1000) == 990);
    ledger_close(l);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;

    CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
          sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

static void test_bad_files(void)
{
    struct ledger *l = NULL;
    struct gw_err err;
    FILE *f;

    run_sql("PRAGMA user_version = 99");
    CHECK(ledger_open(path, &l, &err) == GW_EUNSUPPORTED && strstr(err.text, "99") != NULL);
    (void)unlink(path);
    f = fopen(path, "we");
    (void)fprintf(f,
                  "this is no database, whatever its name says, and it is long enough to be read");
    (void)fclose(f);
    CHECK(ledger_open(path, &l, &err) == GW_ECORRUPT);
    (void)unlink(path);
    CHECK(ledger_open("/dev/null/at/all/limits.db", &l, &err) == GW_EIO && l == NULL);
    l = open_ledger(); /* rows that nobody wrote harm nobody */
    ledger_close(l);
    run_sql("INSERT INTO counters VALUES ('daily|tokens|user:ann', 1, 99999999999999, -5),"
            "('', 5, 99999999999999, 1), ('x', -1, 99999999999999, 9223372036854775807)");
    l = open_ledger();
    CHECK(left_of(l, ROUTER_BUDGET_TOKENS, "ann", gw_clock_wall_ms() - 1000, 1000) == 1000);
    ledger_close(l);
}

/* ---- without the store, and after it -------------------------------------------------------------- */

static void test_apart(void)
{
    int64_t start = gw_clock_wall_ms() - 1000;
    struct ledger *l = open_ledger();
    struct ledger_entry *e = ledger_get(l, &budget, ROUTER_BUDGET_TOKENS, GW_SPAN("eve"));
    struct ledger_change c = change(e, start, 100), second = c;
    uint64_t seen, add;
    unsigned refused;

    /* What the store says is noted: 40 used, 20 held by others. */
    ledger_note(l, e, start, c.end_ms, 40, 20);
    CHECK(ledger_apply(l, &c, 1, LEDGER_NOTED, &refused) && c.left == 40);
    ledger_lost(l, 2);
    c.claim.use = 20; /* half of what was left */
    CHECK(ledger_apply(l, &c, 1, LEDGER_APART, &refused));
    c.claim.use = 1;
    CHECK(!ledger_apply(l, &c, 1, LEDGER_APART, &refused));
    ledger_owed(l, &c, &seen, &add);
    CHECK(seen == 0 && add == 20);
    ledger_owed(l, &second, &seen, &add);
    CHECK(seen == 0 && add == 0); /* once */
    ledger_told(l, &c);
    /* The store began anew. Until it answers, all say what is known, without what is told apart. */
    ledger_doubt(l);
    ledger_owed(l, &c, &seen, &add);
    CHECK(seen == 60 && add == 0);
    ledger_told(l, &second); /* it was said before the doubt */
    ledger_owed(l, &second, &seen, &add);
    CHECK(seen == 60 && add == 0);
    c.told = 7; /* not heard: 60 used, of which 7 are told apart */
    ledger_untold(l, &c);
    ledger_owed(l, &c, &seen, &add);
    CHECK(seen == 53 && add == 7);
    ledger_owed(l, &second, &seen, &add);
    CHECK(seen == 53 && add == 0);
    ledger_told(l, &second);
    ledger_owed(l, &second, &seen, &add);
    CHECK(seen == 0 && add == 0);
    ledger_told(l, &c);
    ledger_owed(l, &second, &seen, &add);
    CHECK(seen == 0 && add == 0);
    /* Another window owes nothing of the old one. */
    c.told = 9;
    ledger_untold(l, &c);
    ledger_note(l, e, start + 1000, c.end_ms, 3, 0);
    c.claim.start_ms = start + 1000;
    ledger_owed(l, &c, &seen, &add);
    CHECK(seen == 0 && add == 0);
    ledger_put(l, e);
    ledger_close(l);
}

/* ---- Redis' answers ----------------------------------------------------------------------- */

/* Feeds text in pieces of step bytes. The last answer's status as limits_script_read() has it, GW_EPARSE for nonsense. */
static enum gw_status answer(struct ledger *l, struct limits_step *step, const char *text,
                             size_t by)
{
    struct redis_reader *r = redis_reader_new(1 << 20, 1024);
    size_t n = strlen(text);
    enum gw_status st = GW_EAGAIN;

    for (size_t i = 0; i < n && (st == GW_EAGAIN); i += by) {
        struct redisReply *reply = NULL;

        CHECK(redis_reader_feed(r, (struct gw_span){text + i, n - i < by ? n - i : by}) == GW_OK);
        st = redis_reader_next(r, &reply);
        if (st != GW_OK)
            continue;
        st = limits_script_read(l, step, reply);
        freeReplyObject(reply);
    }
    redis_reader_free(r);
    return st;
}

static void test_answers(void)
{
    static const char *const nonsense[] = {
        "+OK\r\n",
        "-ERR no\r\n",
        ":5\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "$5\r\nhello\r\n",
        "*5\r\n:1\r\n:0\r\n:1\r\n:1\r\n$1\r\nx\r\n",
        "*5\r\n:1\r\n:0\r\n:-1\r\n:1\r\n:1\r\n",
        "*5\r\n:0\r\n:0\r\n:1\r\n:1\r\n:1\r\n",
        "*5\r\n:0\r\n:2\r\n:1\r\n:1\r\n:1\r\n",
        "*4\r\n:1\r\n:0\r\n:1\r\n:1\r\n",
        "*8\r\n:1\r\n:0\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
        "*5\r\n:1\r\n:0\r\n*1\r\n:1\r\n:1\r\n:1\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "*2000000000\r\n:1\r\n",
        "*1025\r\n:1\r\n",
        "$99999999999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    static const char good[] = "*5\r\n:1\r\n:0\r\n:30\r\n:10\r\n:15\r\n";
    static const char refusal[] = "*5\r\n:0\r\n:1\r\n:90\r\n:10\r\n:0\r\n";
    struct ledger *l = open_ledger();
    struct limits_step *step = limits_step_new(LIMITS_RESERVE, NULL, 1);
    struct ledger_entry *e = ledger_get(l, &budget, ROUTER_BUDGET_TOKENS, GW_SPAN("redis"));
    int64_t start = gw_clock_wall_ms() - 1000;
    struct redis_reader *r = redis_reader_new(1 << 20, 1024);
    char flood[4096];
    enum gw_status st = GW_OK;

    step->n = 1;
    for (size_t by = 1; by < sizeof(good) + 1; by++) {
        step->changes[0] = change(e, start, 100);
        CHECK(answer(l, step, good, by) == GW_OK && step->changes[0].left == 45);
        CHECK(answer(l, step, refusal, by) == GW_EDENIED && step->refused == 0 &&
              step->changes[0].left == 0);
    }
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        for (size_t by = 1; by < 40; by += 13)
            if (!CHECK(answer(l, step, nonsense[i], by) == GW_EPARSE))
                printf("%zu by %zu\n", i, by);
    memset(flood, 'x', sizeof(flood));
    CHECK(redis_reader_feed(r, GW_SPAN("$500000000\r\n")) == GW_OK);
    for (int i = 0; i < 1000 && st == GW_OK; i++)
        st = redis_reader_feed(r, (struct gw_span){flood, sizeof(flood)});
    CHECK(st == GW_ELIMIT);
    redis_reader_free(r);
    ledger_put(l, e);
    limits_step_free(step);
    ledger_close(l);
}

/* ---- configuration ---------------------------------------------------------------------- */

static char problems[4000];

static void note_problem(void *ctx, bool warning, const char *message)
{
    size_t n = strlen(problems);

    (void)ctx;
    if (!warning)
        (void)snprintf(problems + n, sizeof(problems) - n, "%s\n", message);
}

static struct proxy_config *parse(const char *budgets)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err;
    char text[2000];

    (void)snprintf(
        text, sizeof(text),
        "targets: {m: {kind: openai, base_url: 'http://127.0.0.1:1/v1', zone: private}}\n"
        "policy: []\n%s\n",
        budgets);
    problems[0] = '\0';
    (void)proxy_config_parse(gw_span_str(text), "t.yaml", PROXY_CONFIG_NO_SECRETS, &cfg,
                             note_problem, NULL, &err);
    return cfg;
}

static void test_config(void)
{
    static const struct {
        const char *text, *problem;
    } bad[] = {
        {"budgets: [{name: a}]", "limits nothing"},
        {"budgets: [{name: 'a b', requests: 1 / day}]", "name"},
        {"budgets: [{name: a, requests: 1 / day}, {name: a, requests: 1 / day}]", "another budget"},
        {"budgets: [{name: a, requests: 1}]", "amount and a window"},
        {"budgets: [{name: a, requests: 1.5 / day}]", "amount and a window"},
        {"budgets: [{name: a, requests: 1 / fortnight}]", "amount and a window"},
        {"budgets: [{name: a, requests: -1 / day}]", "amount and a window"},
        {"budgets: [{name: a, cost: 1.0000000001 / day}]", "amount and a window"},
        {"budgets: [{name: a, cost: 10000000 / day}]", "amount and a window"},
        {"budgets: [{name: a, tokens: 99999999999M / day}]", "amount and a window"},
        {"budgets: [{name: a, tokens: 99999999999999999999999 / day}]", "amount and a window"},
        {"budgets: [{name: a, tokens: 1 / day, match: {target: nobody}}]",
         "no target named nobody"},
        {"budgets: [{name: a, tokens: 1 / day, per: person}]", "per"},
        {"redis: {url: 'rediss://x'}", "TLS"},
        {"redis: {url: 'redis://'}", "redis.url"},
        {"redis: {url: 'redis://x:0'}", "redis.url"},
        {"redis: {url: 'redis://u:p@x:6379'}", "redis.url"},
        {"redis: {url: 'redis://x/1a'}", "redis.url"},
        {"redis: {url: 'http://x'}", "redis.url"},
    };
    struct proxy_config *cfg;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cfg = parse(bad[i].text);
        if (!CHECK(cfg == NULL && strstr(problems, bad[i].problem) != NULL))
            printf("%s: %s\n", bad[i].text, problems);
        proxy_config_free(cfg);
    }
    cfg = parse(
        "redis: {url: 'redis://[::1]:7000/3'}\n"
        "budgets:\n"
        "  - {name: a, per: team, match: {team: [x, 'y-*'], model: z}, requests: 1_000/minute,\n"
        "     tokens: '2M / 5h', cost: 50.25 / month, concurrency: 7}");
    if (CHECK(cfg != NULL && cfg->n_budgets == 1)) {
        const struct router_budget *b = &cfg->budgets[0];

        CHECK(b->per == ROUTER_PER_TEAM && b->teams.n == 2 && b->models.n == 1 && b->users.n == 0);
        CHECK(b->limits[ROUTER_BUDGET_REQUESTS].amount == 1000);
        CHECK(b->limits[ROUTER_BUDGET_TOKENS].amount == 2000000 &&
              b->limits[ROUTER_BUDGET_TOKENS].window.ms == 5 * 3600000);
        CHECK(b->limits[ROUTER_BUDGET_COST].amount == UINT64_C(50250000000));
        CHECK(b->limits[ROUTER_BUDGET_CONCURRENCY].amount == 7);
        CHECK(strcmp(cfg->redis.host, "::1") == 0 && cfg->redis.port == 7000 && cfg->redis.db == 3);
    }
    proxy_config_free(cfg);
}

/* The fields of an answer: ours say what is left, unless the target's own say less. */
static void test_fields(void)
{
    const struct http1_field theirs[] = {
        {GW_SPAN("X-RateLimit-Remaining-Tokens"), GW_SPAN("5")},
        {GW_SPAN("x-ratelimit-remaining-requests"), GW_SPAN("500")},
        {GW_SPAN("anthropic-ratelimit-requests-remaining"), GW_SPAN("1")}};
    struct limits_hold holds[] = {{.kind = ROUTER_BUDGET_REQUESTS,
                                   .limit = 100,
                                   .left = 40,
                                   .end_ms = INT64_C(1795272327123)},
                                  {.kind = ROUTER_BUDGET_TOKENS, .limit = 9000, .left = 0},
                                  {.kind = ROUTER_BUDGET_REQUESTS,
                                   .limit = 200,
                                   .left = 39,
                                   .end_ms = INT64_C(1795272327123)}};
    struct limits_req lr = {.holds = holds, .n = 3};
    struct req *req = calloc(1, sizeof(*req));
    struct gw_buf out = {0};
    int64_t now = gw_clock_wall_ms();

    if (!CHECK(req != NULL))
        return;
    req->limits = &lr;
    req->ep.dialect = API_ANTHROPIC;
    limits_compare(req, theirs, 3);
    CHECK(!limits_replaces(req, theirs[2].name) && !limits_replaces(req, theirs[0].name));
    CHECK(limits_replaces(req, GW_SPAN("Anthropic-RateLimit-Tokens-Reset")));
    CHECK(!limits_replaces(req, GW_SPAN("anthropic-ratelimit-input-tokens-reset")));
    CHECK(!limits_replaces(req, GW_SPAN("anthropic-ratelimit-tokens-")));
    limits_add_fields(req, &out);
    CHECK(gw_span_is(gw_buf_span(&out),
                     "anthropic-ratelimit-tokens-limit: 9000\r\n"
                     "anthropic-ratelimit-tokens-remaining: 0\r\n"
                     "anthropic-ratelimit-tokens-reset: 1970-01-01T00:00:00.000Z\r\n"));
    gw_buf_clear(&out);
    req->ep.dialect = API_CHAT;
    holds[1].left = 4;
    holds[1].end_ms = now + 3 * 3600000 + 25 * 60000 + 30500;
    holds[2].end_ms = now + 65500;
    limits_compare(req, theirs, 3);
    CHECK(limits_replaces(req, theirs[0].name) && limits_replaces(req, theirs[1].name));
    CHECK(!limits_replaces(req, GW_SPAN("x-ratelimit-limit")) &&
          !limits_replaces(req, GW_SPAN("x-ratelimit-")));
    limits_add_fields(req, &out);
    CHECK(gw_span_is(gw_buf_span(&out),
                     "x-ratelimit-limit-requests: 200\r\nx-ratelimit-remaining-requests: 39\r\n"
                     "x-ratelimit-reset-requests: 1m5s\r\n"
                     "x-ratelimit-limit-tokens: 9000\r\nx-ratelimit-remaining-tokens: 4\r\n"
                     "x-ratelimit-reset-tokens: 3h25m30s\r\n"));
    gw_buf_clear(&out);
    holds[1].left = 6; /* the target's 5 are fewer */
    holds[2].end_ms = now - 1;
    limits_compare(req, theirs, 3);
    CHECK(!limits_replaces(req, theirs[0].name));
    limits_add_fields(req, &out);
    CHECK(strstr(out.ptr, "tokens") == NULL &&
          strstr(out.ptr, "x-ratelimit-reset-requests: 0ms\r\n") != NULL);
    gw_buf_fini(&out);
    free(req);
}

/* The words in counters' names are those that the commands and the configuration use. */
static void test_names(void)
{
    static const char *const pers[ROUTER_PER_COUNT] = {"all",  "key",   "user",
                                                       "team", "model", "target"};

    for (unsigned k = 0; k < ROUTER_BUDGET_KINDS; k++) {
        for (unsigned per = 0; per < ROUTER_PER_COUNT; per++) {
            const struct router_budget b = {.name = "b", .per = (enum router_budget_per)per};
            struct ledger_name name;
            char want[64];

            ledger_name_of(&b, (enum router_budget_kind)k, GW_SPAN("ann"), &name);
            (void)snprintf(want, sizeof(want), "b|%s|%s%s",
                           router_budget_kind_name((enum router_budget_kind)k), pers[per],
                           per == ROUTER_PER_ALL ? "" : ":ann");
            CHECK(strcmp(name.text, want) == 0 && name.len == strlen(want));
        }
    }
}

int main(void)
{
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)snprintf(path, sizeof(path), "%s/limits.db", dir);
    test_names();
    test_threads();
    (void)unlink(path);
    test_restart();
    test_bad_files();
    test_apart();
    test_answers();
    test_config();
    test_fields();
    (void)unlink(path);
    (void)rmdir(dir);
    return test_done();
}
