/* Unit tests of what keys may do: migration from the first format, fields and their limits, rotation, admin keys, the log
 * of changes and its records, work for the store thread. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/store/store.h"
#include "tests/files.h"
#include "tests/test.h"

static const struct proxy_actor by = {"os:test", "cli", NULL};
static char dir[] = "/tmp/test_store_keys_XXXXXX", path[120];
static struct gw_arena *arena;

static void fresh(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s.db", dir, name);
}

static enum gw_status make(const struct proxy_key_fields *f, char key[PROXY_KEY_BYTES])
{
    char id[PROXY_KEY_ID_BYTES];
    struct gw_err err = {0};

    return proxy_store_key_create(path, &by, f, key, id, &err);
}

static struct proxy_store *open_store(void)
{
    struct proxy_store *s = NULL;
    struct gw_err err = {0};

    if (!CHECK(proxy_store_open(path, &s, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    return s;
}

static enum gw_status lookup(struct proxy_store *s, const char *key, struct proxy_principal *p)
{
    gw_arena_reset(arena);
    return proxy_store_lookup(s, gw_span_str(key), arena, p);
}

static bool becomes(struct proxy_store *s, const char *key, enum gw_status want)
{
    struct proxy_principal p;

    TEST_UNTIL(lookup(s, key, &p) == want);
    return lookup(s, key, &p) == want;
}

/* ---- the first format --------------------------------------------------------------------------- */

/* As sluice wrote it before keys had more than a name, an owner and groups. */
static const char old_schema[] =
    "CREATE TABLE keys (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,"
    " groups TEXT NOT NULL, sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER, last_used_ms INTEGER) "
    "STRICT;"
    "CREATE UNIQUE INDEX keys_name ON keys (name) WHERE revoked_ms IS NULL;"
    "PRAGMA user_version = 1;";

static void make_old(const char *key, const char *name, bool revoked)
{
    unsigned char sum[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES], sql[400];
    sqlite3 *db = NULL;

    gw_sha256(gw_span_str(key), sum);
    gw_hex(sum, sizeof(sum), hex);
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO keys VALUES ('01JD8Z6J3V5T9QK2X00000000%c', '%s', 'acme', 'core,all', x'%s',"
        " 1700000000000, NULL, %s, 1700000000000)",
        name[0], name, hex, revoked ? "1700000000001" : "NULL");
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    if (access(path, F_OK) == 0 &&
        sqlite3_exec(db, "SELECT 1 FROM keys", NULL, NULL, NULL) != SQLITE_OK)
        CHECK(sqlite3_exec(db, old_schema, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

static void test_migration(void)
{
    const struct proxy_key_fields more = {.models = "gpt-*"};
    char new_key[PROXY_KEY_BYTES];
    struct proxy_principal p;
    struct proxy_store *s;

    fresh("old");
    make_old("slk_old", "ann", false);
    make_old("slk_gone", "bob", true);
    s = open_store();
    if (s == NULL)
        return;
    CHECK(lookup(s, "slk_old", &p) == GW_OK && lookup(s, "slk_gone", &p) == GW_EDENIED);
    CHECK(lookup(s, "slk_old", &p) == GW_OK && gw_span_is(p.user, "ann") &&
          gw_span_is(p.owner, "acme"));
    CHECK(p.via == PROXY_VIA_KEY && p.n_groups == 2 && p.n_models == 0 && p.n_targets == 0 &&
          p.n_networks == 0 && p.team.len == 0);
    CHECK(proxy_store_key_update(path, &by, "ann", &more, NULL) == GW_OK);
    CHECK(make(&(struct proxy_key_fields){.name = "bob"}, new_key) == GW_OK);
    CHECK(becomes(s, new_key, GW_OK));
    CHECK(lookup(s, "slk_old", &p) == GW_OK && p.n_models == 1);
    proxy_store_close(s);
    s = open_store(); /* and once more: there is nothing to do */
    CHECK(s != NULL && lookup(s, "slk_old", &p) == GW_OK);
    proxy_store_close(s);
}

/* ---- fields -------------------------------------------------------------------------------------- */

static void test_fields(void)
{
    const struct proxy_key_fields f = {.name = "laptop",
                                       .user = "ann@acme.test",
                                       .owner = "Acme Inc.",
                                       .team = "red",
                                       .groups = "core,qa",
                                       .models = "gpt-*,claude-3",
                                       .targets = "openai",
                                       .networks = "10.0.0.0/8,2001:db8::/32"};
    char key[PROXY_KEY_BYTES];
    struct proxy_principal p;
    struct proxy_store *s;

    fresh("fields");
    CHECK(make(&f, key) == GW_OK);
    s = open_store();
    if (s == NULL || !CHECK(lookup(s, key, &p) == GW_OK))
        return;
    CHECK(gw_span_is(p.name, "laptop") && gw_span_is(p.user, "ann@acme.test") &&
          gw_span_is(p.team, "red") && gw_span_is(p.owner, "Acme Inc."));
    CHECK(p.n_groups == 2 && p.n_models == 2 && p.n_targets == 1 && p.n_networks == 2);
    CHECK(proxy_principal_may_model(&p, GW_SPAN("gpt-4o"), GW_SPAN("gpt-4o")));
    CHECK(proxy_principal_may_model(&p, GW_SPAN("GPT-4o"), GW_SPAN("GPT-4o")));
    CHECK(proxy_principal_may_model(&p, GW_SPAN("fast"), GW_SPAN("gpt-4o")));
    CHECK(!proxy_principal_may_model(&p, GW_SPAN("claude-3-opus"), GW_SPAN("claude-3-opus")));
    CHECK(!proxy_principal_may_model(&p, (struct gw_span){NULL, 0}, (struct gw_span){NULL, 0}));
    CHECK(proxy_principal_may_target(&p, GW_SPAN("openai")) &&
          !proxy_principal_may_target(&p, GW_SPAN("open")));
    CHECK(proxy_principal_may_address(&p, "10.255.0.1") &&
          proxy_principal_may_address(&p, "::ffff:10.1.2.3"));
    CHECK(!proxy_principal_may_address(&p, "11.0.0.1") &&
          !proxy_principal_may_address(&p, "::ffff:11.0.0.1"));
    CHECK(proxy_principal_may_address(&p, "2001:db8:5::1") &&
          !proxy_principal_may_address(&p, "2001:db9::1"));
    CHECK(!proxy_principal_may_address(&p, "") && !proxy_principal_may_address(&p, "localhost"));
    proxy_store_close(s);
}

static void test_networks(void)
{
    static const char *const good[] = {"1.2.3.4",       "0.0.0.0/0", "10.0.0.0/8",      "::/0",
                                       "2001:db8::/32", "::1",       "192.168.1.128/25"};
    static const char *const bad[] = {"",         "10.0.0.1/8",  "1.2.3",    "1.2.3.4/33",
                                      "1.2.3.4/", "1.2.3.4/-1",  "::1/129",  "2001:db8::1/32",
                                      "host",     "1.2.3.4/08x", "1.2.3.4 ", "10.0.0.0/0"};
    struct proxy_principal p = {.n_networks = 1};
    struct proxy_network net;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(proxy_network_parse(gw_span_str(good[i]), &net));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!proxy_network_parse(gw_span_str(bad[i]), &net));
    p.networks = &net;
    CHECK(proxy_network_parse(GW_SPAN("::ffff:10.0.0.0/104"), &net) &&
          proxy_principal_may_address(&p, "10.9.9.9"));
    CHECK(proxy_network_parse(GW_SPAN("192.168.1.128/25"), &net) &&
          proxy_principal_may_address(&p, "192.168.1.200") &&
          !proxy_principal_may_address(&p, "192.168.1.100"));
}

static void test_bad_fields(void)
{
    static const struct proxy_key_fields bad[] = {
        {.name = "a", .user = "two words"},      {.name = "a", .team = "x/y"},
        {.name = "a", .groups = "a,,b"},         {.name = "a", .groups = "a,"},
        {.name = "a", .models = "gpt 4"},        {.name = "a", .models = "a\"b"},
        {.name = "a", .networks = "10.0.0.1/8"}, {.name = "a", .networks = "any"},
        {.name = "a", .role = "root"},           {.name = "a", .targets = ","},
        {.name = "a", .owner = "\x1B[31m"},
    };
    char many[1000] = "x", key[PROXY_KEY_BYTES];

    fresh("bad");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!CHECK(make(&bad[i], key) == GW_EINVAL))
            fprintf(stderr, "  case %zu\n", i);
    for (size_t i = 0; i < 32; i++)
        memcpy(many + 1 + 2 * i, ",x", 3);
    CHECK(make(&(struct proxy_key_fields){.name = "a", .groups = many}, key) == GW_EINVAL); /* 33 */
    many[strlen(many) - 2] = '\0';
    CHECK(make(&(struct proxy_key_fields){.name = "a", .groups = many}, key) == GW_OK);
}

/* ---- rotation, admin keys ------------------------------------------------------------------------- */

static void test_rotation(void)
{
    char first[PROXY_KEY_BYTES], second[PROXY_KEY_BYTES], third[PROXY_KEY_BYTES];
    char brief[PROXY_KEY_BYTES];
    struct proxy_principal p, kept;
    struct proxy_store *s;

    fresh("rotate");
    CHECK(make(&(struct proxy_key_fields){.name = "b"}, brief) == GW_OK);
    CHECK(make(&(struct proxy_key_fields){.name = "a"}, first) == GW_OK);
    s = open_store();
    CHECK(lookup(s, first, &kept) == GW_OK && proxy_store_check(s, &kept) == GW_OK);
    CHECK(proxy_store_key_rotate(path, &by, "a", 3600000, second, NULL) == GW_OK);
    CHECK(becomes(s, second, GW_OK) && lookup(s, first, &p) == GW_OK);
    CHECK(proxy_store_check(s, &kept) == GW_OK);
    CHECK(lookup(s, brief, &kept) == GW_OK && proxy_store_check(s, &kept) == GW_OK);
    CHECK(proxy_store_key_rotate(path, &by, "b", 200, third, NULL) == GW_OK);
    CHECK(becomes(s, brief, GW_ETIMEDOUT) && lookup(s, third, &p) == GW_OK);
    CHECK(proxy_store_check(s, &kept) == GW_ETIMEDOUT);
    CHECK(proxy_store_key_rotate(path, &by, "a", 0, third, NULL) == GW_OK);
    CHECK(becomes(s, third, GW_OK) && lookup(s, second, &p) == GW_ENOENT &&
          lookup(s, first, &p) == GW_ENOENT);
    CHECK(proxy_store_key_revoke(path, &by, "a", NULL) == GW_OK);
    CHECK(becomes(s, third, GW_EDENIED));
    CHECK(proxy_store_key_rotate(path, &by, "a", 0, third, NULL) == GW_ENOENT);
    proxy_store_close(s);
}

static void test_admin_keys(void)
{
    static const enum proxy_role all[] = {PROXY_ROLE_VIEWER, PROXY_ROLE_AUDITOR,
                                          PROXY_ROLE_OPERATOR, PROXY_ROLE_ADMIN};
    /* Rows: who; columns: what is asked for. */
    static const bool may[4][4] = {{1, 0, 0, 0}, {1, 1, 0, 0}, {1, 0, 1, 0}, {1, 1, 1, 1}};
    char admin[PROXY_KEY_BYTES], plain[PROXY_KEY_BYTES];
    enum proxy_role role = PROXY_ROLE_NONE;
    struct proxy_principal p;
    struct proxy_store *s;

    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            CHECK(proxy_role_may(all[i], all[k]) == may[i][k]);
    CHECK(!proxy_role_may(PROXY_ROLE_NONE, PROXY_ROLE_VIEWER) &&
          !proxy_role_may(PROXY_ROLE_ADMIN, PROXY_ROLE_NONE));
    fresh("admin");
    CHECK(make(&(struct proxy_key_fields){.name = "ops", .role = "operator"}, admin) == GW_OK);
    CHECK(make(&(struct proxy_key_fields){.name = "app"}, plain) == GW_OK);
    CHECK(strncmp(admin, "sla_", 4) == 0 && strncmp(plain, "slk_", 4) == 0);
    s = open_store();
    CHECK(lookup(s, admin, &p) == GW_ENOENT &&
          lookup(s, plain, &p) == GW_OK); /* neither opens the other's door */
    gw_arena_reset(arena);
    CHECK(proxy_store_lookup_admin(s, gw_span_str(plain), arena, &p, &role) == GW_ENOENT);
    CHECK(proxy_store_lookup_admin(s, gw_span_str(admin), arena, &p, &role) == GW_OK &&
          role == PROXY_ROLE_OPERATOR);
    proxy_store_close(s);
}

/* ---- changes --------------------------------------------------------------------------------------- */

static struct {
    int calls, fail;
    char last[40], before[600], after[600];
} told;

static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER; /* the store thread calls */

static enum gw_status on_told(void *ctx, const struct proxy_change *c)
{
    enum gw_status st = GW_OK;

    (void)ctx;
    (void)pthread_mutex_lock(&told_lock);
    told.calls++;
    if (told.fail > 0) {
        told.fail--;
        st = GW_EIO;
    } else {
        (void)snprintf(told.last, sizeof(told.last), "%s %s", c->action, c->key_name);
        (void)snprintf(told.before, sizeof(told.before), "%s", c->before_json);
        (void)snprintf(told.after, sizeof(told.after), "%s", c->after_json);
    }
    (void)pthread_mutex_unlock(&told_lock);
    return st;
}

static bool told_is(const char *what)
{
    bool is;

    (void)pthread_mutex_lock(&told_lock);
    is = strcmp(told.last, what) == 0;
    (void)pthread_mutex_unlock(&told_lock);
    return is;
}

static int told_calls(void)
{
    int n;

    (void)pthread_mutex_lock(&told_lock);
    n = told.calls;
    (void)pthread_mutex_unlock(&told_lock);
    return n;
}

static bool told_becomes(const char *what)
{
    TEST_UNTIL(told_is(what));
    return told_is(what);
}

static void test_changes(void)
{
    char key[PROXY_KEY_BYTES];
    struct proxy_store *s;
    int calls;

    fresh("changes");
    memset(&told, 0, sizeof(told));
    CHECK(make(&(struct proxy_key_fields){.name = "early"}, key) == GW_OK); /* no gateway runs */
    CHECK(make(&(struct proxy_key_fields){.name = "early"}, key) == GW_EEXIST);
    s = open_store();
    proxy_store_set_sink(s, on_told, NULL);
    CHECK(told_becomes("create early"));
    (void)pthread_mutex_lock(&told_lock);
    told.fail = 2; /* what could not be recorded is tried again */
    (void)pthread_mutex_unlock(&told_lock);
    CHECK(proxy_store_key_update(path, &by, "early", &(struct proxy_key_fields){.team = "red"},
                                 NULL) == GW_OK);
    CHECK(told_becomes("update early"));
    (void)pthread_mutex_lock(&told_lock);
    CHECK(strstr(told.before, "\"team\":\"\"") != NULL &&
          strstr(told.after, "\"team\":\"red\"") != NULL);
    CHECK(strstr(told.after, "slk_") == NULL && strstr(told.after, "sha") == NULL);
    (void)pthread_mutex_unlock(&told_lock);
    TEST_UNTIL(told_calls() >= 4);
    (void)usleep(700000);
    calls = told_calls();
    CHECK(calls == 4); /* one creation, one update after two failures */
    proxy_store_set_sink(s, NULL, NULL);
    CHECK(proxy_store_key_revoke(path, &by, "early", NULL) == GW_OK);
    (void)usleep(600000);
    CHECK(told_calls() == calls);
    proxy_store_close(s);
    s = open_store(); /* a restart loses none and repeats none */
    proxy_store_set_sink(s, on_told, NULL);
    CHECK(told_becomes("revoke early"));
    (void)usleep(600000);
    CHECK(told_calls() == calls + 1);
    proxy_store_close(s);
}

/* ---- work for the store thread ----------------------------------------------------------------------- */

struct counted {
    struct proxy_store_job job;
    int ran, done;
};

static void run_counted(struct proxy_store_job *job, const char *db)
{
    struct counted *c = (struct counted *)(void *)job;

    c->ran += strcmp(db, path) == 0;
}

static void done_counted(struct proxy_store_job *job)
{
    struct counted *c = (struct counted *)(void *)job;

    c->done++;
}

static void test_jobs(void)
{
    struct counted jobs[80] = {0};
    struct proxy_store *s;
    int accepted = 0, done = 0;

    fresh("jobs");
    s = open_store();
    if (s == NULL)
        return;
    for (int i = 0; i < 80; i++) {
        jobs[i].job.run = run_counted;
        jobs[i].job.done = done_counted;
        accepted += proxy_store_submit(s, &jobs[i].job) == GW_OK;
    }
    CHECK(accepted == 64); /* done() of the first was not called yet, so none left the count */
    for (int i = 0; i < TEST_TURNS && done < accepted; i++) {
        struct pollfd p = {.fd = proxy_store_fd(s), .events = POLLIN};

        if (poll(&p, 1, 50) == 1)
            proxy_store_dispatch(s);
        done = 0;
        for (int k = 0; k < 80; k++)
            done += jobs[k].done == 1 && jobs[k].ran == 1;
    }
    CHECK(done == accepted);
    proxy_store_close(s);
}

/* ---- other processes ----------------------------------------------------------------------------- */

/* What this program does when it is run with a path and a name: another process that makes a key and tells it. */
static int make_elsewhere(const char *at, const char *name)
{
    char key[PROXY_KEY_BYTES];

    (void)snprintf(path, sizeof(path), "%s", at);
    if (make(&(struct proxy_key_fields){.name = name}, key) != GW_OK)
        return 1;
    printf("%s", key);
    return 0;
}

static void make_in_another_process(const char *name, char key[PROXY_KEY_BYTES])
{
    char command[300], self[120];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    FILE *f;

    (void)snprintf(command, sizeof(command), "%.*s %s %s", (int)n, self, path, name);
    f = popen(command, "r"); /* NOLINT(cert-env33-c): ourselves */
    if (CHECK(f != NULL)) {
        CHECK(fgets(key, PROXY_KEY_BYTES, f) != NULL);
        CHECK(pclose(f) == 0);
    }
}

/* The store's locks outlive calls that open the same file in this process: keys that others make are seen, all of them. */
static void test_other_processes(void)
{
    char key[PROXY_KEY_BYTES] = "";
    struct proxy_store *s;

    fresh("elsewhere");
    s = open_store();
    if (s == NULL)
        return;
    CHECK(make(&(struct proxy_key_fields){.name = "here"}, key) == GW_OK);
    CHECK(becomes(s, key, GW_OK));
    for (unsigned i = 0; i < 3; i++) {
        char name[] = {'a', (char)('0' + i), '\0'};

        make_in_another_process(name, key);
        CHECK(becomes(s, key, GW_OK));
    }
    proxy_store_close(s);
}

static void test_times(void)
{
    const int64_t now = 1795305600000; /* 2026-11-22 */
    int64_t ms = -1;

    CHECK(proxy_key_expiry_parse("2d", now, &ms) && ms == now + 2 * 86400000LL);
    CHECK(proxy_key_expiry_parse("12h", now, &ms) && ms == now + 12 * 3600000LL);
    CHECK(proxy_key_expiry_parse("never", now, &ms) && ms == 0);
    CHECK(proxy_key_expiry_parse("2027-01-31T12:00:00Z", now, &ms) && ms == 1801396800000LL);
    CHECK(proxy_key_expiry_parse("2027-01-31", now, &ms) && ms == 1801440000000LL);
    CHECK(!proxy_key_expiry_parse("2027-02-30", now, &ms) &&
          !proxy_key_expiry_parse("2020-01-01", now, &ms) &&
          !proxy_key_expiry_parse("0d", now, &ms) && !proxy_key_expiry_parse("-1d", now, &ms) &&
          !proxy_key_expiry_parse("5", now, &ms) && !proxy_key_expiry_parse("1d ", now, &ms));
    CHECK(ms == 1801440000000LL);
}

int main(int argc, char **argv)
{
    arena = gw_arena_new((size_t)1 << 20);
    if (argc == 3)
        return make_elsewhere(argv[1], argv[2]);
    if (arena == NULL || mkdtemp(dir) == NULL)
        return 2;
    test_migration();
    test_fields();
    test_networks();
    test_bad_fields();
    test_rotation();
    test_admin_keys();
    test_changes();
    test_jobs();
    test_other_processes();
    test_times();
    gw_arena_free(arena);
    CHECK(test_remove_tree(dir));
    return test_done();
}
