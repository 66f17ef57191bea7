/* Unit tests of proxy/store/store*.c: keys, and the server's view of them. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "proxy/store/store.h"
#include "tests/files.h"
#include "tests/test.h"

static const struct proxy_actor by = {"os:test", "cli", NULL};
static char dir[] = "/tmp/test_store_XXXXXX", path[80];

/* Each test has its own database. */
static void fresh(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s/state.db", dir, name);
}

static void create(const char *name, const char *group, int64_t expires_ms,
                   char key[PROXY_KEY_BYTES])
{
    char groups[40];
    const struct proxy_key_fields k = {.name = name,
                                       .owner = "acme",
                                       .groups = groups,
                                       .has_expiry = true,
                                       .expires_ms = expires_ms};
    char id[PROXY_KEY_ID_BYTES];
    struct gw_err err = {0};

    (void)snprintf(groups, sizeof(groups), "%s,all", group);
    if (!CHECK(proxy_store_key_create(path, &by, &k, key, id, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
}

static enum gw_status lookup(struct proxy_store *s, const char *key, struct proxy_principal *p)
{
    static struct gw_arena *arena;

    if (arena == NULL)
        arena = gw_arena_new(1 << 20);
    gw_arena_reset(arena);
    return proxy_store_lookup(s, gw_span_str(key), arena, p);
}

/* Waits for the lookup to answer want. */
static bool wait_for(struct proxy_store *s, const char *key, enum gw_status want)
{
    struct proxy_principal p;

    TEST_UNTIL(lookup(s, key, &p) == want);
    return lookup(s, key, &p) == want;
}

static struct proxy_store *open_store(void)
{
    struct proxy_store *s = NULL;
    struct gw_err err = {0};

    if (!CHECK(proxy_store_open(path, &s, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    return s;
}

static void test_keys_have_their_form(void)
{
    char a[PROXY_KEY_BYTES], b[PROXY_KEY_BYTES];
    struct stat st;

    fresh("form");
    create("one", "g", 0, a);
    create("two", "g", 0, b);
    CHECK(strlen(a) == 47 && strncmp(a, "slk_", 4) == 0 && strcmp(a, b) != 0);
    CHECK(strspn(a + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == 43);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    (void)snprintf(path, sizeof(path), "%s/form", dir);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
}

static void test_lookup_gives_the_principal(void)
{
    char key[PROXY_KEY_BYTES], longest[300];
    struct proxy_principal p;
    struct proxy_store *s;

    fresh("lookup");
    create("ann", "core", 0, key);
    s = open_store();
    CHECK(lookup(s, key, &p) == GW_OK);
    CHECK(gw_span_is(p.name, "ann") && gw_span_is(p.owner, "acme") && p.id.len == 26);
    CHECK(p.n_groups == 2 && gw_span_is(p.groups[0], "core") && gw_span_is(p.groups[1], "all"));
    CHECK(p.expires_ms == 0);
    key[46] = key[46] == 'a' ? 'b' : 'a';
    CHECK(lookup(s, key, &p) == GW_ENOENT);
    CHECK(lookup(s, "", &p) == GW_ENOENT && lookup(s, "slk_", &p) == GW_ENOENT);
    memset(longest, 'x', 299);
    longest[299] = '\0';
    CHECK(lookup(s, longest, &p) == GW_ENOENT);
    proxy_store_close(s);
    proxy_store_close(NULL);
}

static void test_expiry(void)
{
    char soon[PROXY_KEY_BYTES], past[PROXY_KEY_BYTES];
    struct proxy_principal p;
    struct proxy_store *s;

    fresh("expiry");
    const int64_t end_ms = gw_clock_wall_ms() + 400;

    create("soon", "g", end_ms, soon);
    create("past", "g", gw_clock_wall_ms() - 1, past);
    s = open_store();
    CHECK(lookup(s, soon, &p) == GW_OK || gw_clock_wall_ms() >= end_ms);
    CHECK(lookup(s, past, &p) == GW_ETIMEDOUT);
    CHECK(wait_for(s, soon, GW_ETIMEDOUT) && gw_clock_wall_ms() >= end_ms);
    proxy_store_close(s);
}

/* Another process creates and revokes, as the commands do. */
static void in_a_child(void (*what)(const char *arg), const char *arg)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        what(arg);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void child_revokes(const char *name)
{
    if (proxy_store_key_revoke(path, &by, name, NULL) != GW_OK)
        _exit(1);
}

static void test_revoked_within_a_second(void)
{
    char a[PROXY_KEY_BYTES], b[PROXY_KEY_BYTES];
    struct proxy_principal p;
    struct proxy_store *s;

    fresh("revoke");
    create("a", "g", 0, a);
    s = open_store();
    CHECK(lookup(s, a, &p) == GW_OK);
    in_a_child(child_revokes, "a");
    CHECK(wait_for(s, a, GW_EDENIED));
    create("a", "g", 0, b); /* the name is free again */
    CHECK(wait_for(s, b, GW_OK));
    CHECK(lookup(s, a, &p) == GW_EDENIED);
    CHECK(proxy_store_key_revoke(path, &by, "nobody", NULL) == GW_ENOENT);
    proxy_store_close(s);
}

static struct proxy_key_info seen[4];
static char seen_text[4][3][64];
static unsigned n_seen;
static void on_key(void *ctx, const struct proxy_key_info *k)
{
    unsigned i = n_seen++ % 4;

    (void)ctx;
    seen[i] = *k;
    (void)snprintf(seen_text[i][0], 64, "%s", k->name);
    (void)snprintf(seen_text[i][1], 64, "%s", k->groups);
    (void)snprintf(seen_text[i][2], 64, "%s", k->id);
}

static void test_list_and_last_use(void)
{
    char a[PROXY_KEY_BYTES], b[PROXY_KEY_BYTES];
    struct proxy_principal p;
    struct proxy_store *s;
    int64_t day = gw_clock_wall_ms() / 86400000 * 86400000;

    fresh("list");
    CHECK(proxy_store_key_list(path, NULL, on_key, NULL, NULL) == GW_ENOENT);
    create("a", "core", 0, a);
    create("b", "core", 0, b);
    CHECK(proxy_store_key_revoke(path, &by, "b", NULL) == GW_OK);
    s = open_store();
    CHECK(lookup(s, a, &p) == GW_OK && lookup(s, b, &p) == GW_EDENIED);
    proxy_store_close(s); /* what is pending is written */
    n_seen = 0;
    CHECK(proxy_store_key_list(path, NULL, on_key, NULL, NULL) == GW_OK && n_seen == 2);
    CHECK(strcmp(seen_text[0][0], "a") == 0 && strcmp(seen_text[0][1], "core,all") == 0);
    CHECK(seen[0].last_used_ms >= day && seen[0].last_used_ms % 86400000 == 0);
    CHECK(seen[0].revoked_ms == 0 && seen[0].created_ms > 0 && seen[0].expires_ms == 0);
    CHECK(seen[1].last_used_ms == 0 && seen[1].revoked_ms > 0);
    s = open_store();
    CHECK(proxy_store_key_revoke(path, &by, seen_text[0][2], NULL) == GW_OK); /* by id */
    CHECK(wait_for(s, a, GW_EDENIED));
    proxy_store_close(s);
}

static void test_bad_input(void)
{
    static const char *const bad[] = {
        "",
        "a b",
        "a,b",
        "a\n",
        "\xC3\xA9",
        "a/b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char key[PROXY_KEY_BYTES] = "unchanged", id[PROXY_KEY_ID_BYTES] = "same";
    struct gw_err err;

    fresh("bad");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct proxy_key_fields k = {.name = bad[i]};
        const struct proxy_key_fields g = {.name = "ok", .groups = bad[i]};

        CHECK(proxy_store_key_create(path, &by, &k, key, id, &err) == GW_EINVAL);
        if (strchr(bad[i], ',') == NULL && bad[i][0] != '\0') /* those are lists */
            CHECK(proxy_store_key_create(path, &by, &g, key, id, &err) == GW_EINVAL);
    }
    CHECK(proxy_store_key_create(path, &by,
                                 &(struct proxy_key_fields){.name = "x", .owner = "a\x01"}, key, id,
                                 &err) == GW_EINVAL);
    CHECK(proxy_store_key_create(path, &by, &(struct proxy_key_fields){.name = NULL}, key, id,
                                 &err) == GW_EINVAL);
    CHECK(strcmp(key, "unchanged") == 0 && strcmp(id, "same") == 0);
    create("x", "g", 0, key);
    CHECK(proxy_store_key_create(path, &by, &(struct proxy_key_fields){.name = "x"}, key, id,
                                 &err) == GW_EEXIST);
    CHECK(strstr(err.text, "a key named x exists") != NULL);
}

static void test_first_key(void)
{
    char key[PROXY_KEY_BYTES] = "", again[PROXY_KEY_BYTES] = "";
    struct proxy_principal p;
    struct proxy_store *s;
    bool created = false;

    fresh("first");
    CHECK(proxy_store_ensure_key(path, "default", &created, key, NULL) == GW_OK && created);
    CHECK(proxy_store_ensure_key(path, "default", &created, again, NULL) == GW_OK && !created);
    CHECK(again[0] == '\0' && strlen(key) == 47);
    s = open_store();
    CHECK(lookup(s, key, &p) == GW_OK && gw_span_is(p.name, "default") && p.n_groups == 0);
    proxy_store_close(s);
    CHECK(proxy_store_key_revoke(path, &by, "default", NULL) == GW_OK);
    CHECK(proxy_store_ensure_key(path, "default", &created, again, NULL) == GW_OK && created);
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;

    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

static void test_strange_databases(void)
{
    struct proxy_store *s = NULL;
    char key[PROXY_KEY_BYTES];
    struct gw_err err = {0};
    FILE *f;

    fresh("strange");
    create("a", "g", 0, key);
    sql("PRAGMA user_version = 7");
    CHECK(proxy_store_open(path, &s, &err) == GW_EUNSUPPORTED && s == NULL);
    CHECK(strstr(err.text, "format 7") != NULL && strstr(err.text, "sluice keys create") != NULL);
    fresh("text");
    create("a", "g", 0, key);
    f = fopen(path, "w");
    CHECK(f != NULL &&
          fputs("this is not a database, but some text that is long enough....", f) > 0);
    CHECK(f != NULL && fclose(f) == 0);
    CHECK(proxy_store_open(path, &s, &err) != GW_OK && s == NULL && err.text[0] != '\0');
    (void)snprintf(path, sizeof(path), "/dev/null/x/state.db");
    CHECK(proxy_store_open(path, &s, &err) == GW_EIO && s == NULL);
}

/* The file is replaced, then goes away: what lies at the path counts, and in the end nobody gets in. */
static void test_replaced_and_lost(void)
{
    char old_key[PROXY_KEY_BYTES], new_key[PROXY_KEY_BYTES], other[100], cmd[400];
    struct proxy_store_stats stats;
    struct proxy_principal p;
    struct proxy_store *s;
    uint64_t lost_ns;

    fresh("new");
    create("new", "g", 0, new_key);
    (void)snprintf(other, sizeof(other), "%s", path);
    fresh("old");
    create("old", "g", 0, old_key);
    s = open_store();
    CHECK(lookup(s, old_key, &p) == GW_OK && lookup(s, new_key, &p) == GW_ENOENT);
    (void)snprintf(cmd, sizeof(cmd), "rm -f %s-wal %s-shm; mv %s %s", path, path, other, path);
    CHECK(system(cmd) == 0);
    CHECK(wait_for(s, new_key, GW_OK) && lookup(s, old_key, &p) == GW_ENOENT);
    CHECK(unlink(path) == 0);
    lost_ns = gw_clock_ns();
    TEST_UNTIL((proxy_store_stats(s, &stats), stats.failures > 0));
    CHECK(stats.failures > 0 && stats.n_keys == 1 && stats.reloads >= 1);
    if (lookup(s, new_key, &p) != GW_OK ||
        !stats.usable) /* an instant without the file is no outage */
        CHECK(gw_clock_ns() - lost_ns > 5 * GW_NS_PER_SEC);
    CHECK(wait_for(s, new_key, GW_EIO)); /* (K3) */
    proxy_store_stats(s, &stats);
    CHECK(!stats.usable);
    create("back", "g", 0, old_key);
    CHECK(wait_for(s, old_key, GW_OK));
    proxy_store_close(s);
}

/* ---- many threads look up while keys come and go ------------------------------------------------- */

static atomic_bool stop_threads;
static atomic_uint n_lookups, n_wrong;
static struct proxy_store *shared;
static char good_key[PROXY_KEY_BYTES];

static void *look_up(void *arg)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);

    (void)arg;
    while (!atomic_load(&stop_threads)) {
        struct proxy_principal p;

        gw_arena_reset(arena);
        if (proxy_store_lookup(shared, gw_span_str(good_key), arena, &p) != GW_OK ||
            !gw_span_is(p.name, "good"))
            (void)atomic_fetch_add(&n_wrong, 1);
        if (proxy_store_lookup(shared, GW_SPAN("slk_none"), arena, &p) != GW_ENOENT)
            (void)atomic_fetch_add(&n_wrong, 1);
        (void)atomic_fetch_add(&n_lookups, 1);
        (void)usleep(100);
    }
    gw_arena_free(arena);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];

    fresh("threads");
    create("good", "g", 0, good_key);
    shared = open_store();
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, look_up, NULL) == 0);
    for (int i = 0; i < 60; i++) { /* more than the first table holds */
        char name[16], key[PROXY_KEY_BYTES];

        (void)snprintf(name, sizeof(name), "k%d", i);
        create(name, "g", 0, key);
        if (i % 10 == 9)
            (void)usleep(300000);
        if (i % 2 == 0)
            CHECK(proxy_store_key_revoke(path, &by, name, NULL) == GW_OK);
        if (i == 59)
            CHECK(wait_for(shared, key, GW_OK));
    }
    TEST_UNTIL(atomic_load(&n_lookups) > 100);
    atomic_store(&stop_threads, true);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&n_wrong) == 0 && atomic_load(&n_lookups) > 100);
    proxy_store_close(shared);
}

int main(void)
{
    char cmd[80];

    if (mkdtemp(dir) == NULL)
        return 1;
    test_keys_have_their_form();
    test_lookup_gives_the_principal();
    test_expiry();
    test_revoked_within_a_second();
    test_list_and_last_use();
    test_bad_input();
    test_first_key();
    test_strange_databases();
    test_replaced_and_lost();
    test_threads();
    (void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    CHECK(system(cmd) == 0);
    CHECK(test_remove_tree(dir));
    return test_done();
}
