/* tests/unit/engine/test_pool.c - compute threads, how many there may be, and the KV pages. */
#include <sys/resource.h>
#include <sys/stat.h>

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/cpus.h"
#include "engine/kvcache.h"
#include "engine/pool.h"
#include "tests/test.h"

/* ---- pool ------------------------------------------------------------------------------- */

enum { ROUNDS = 200, CELLS = 64 };

struct job {
    struct pool *p;
    atomic_uint next;
    unsigned cells[CELLS];
    unsigned wrong;
};

/* Every thread adds to cells it takes, meets the others, and then checks all of them. */
static void add_and_check(void *ctx, unsigned thread)
{
    struct job *j = ctx;
    unsigned i;

    while ((i = pool_take(&j->next)) < CELLS)
        j->cells[i]++;
    pool_barrier(j->p);
    for (i = 0; thread == 0 && i < CELLS; i++)
        j->wrong += j->cells[i] != j->cells[0];
    pool_barrier(j->p);
}

static void test_rounds(unsigned n)
{
    struct job j = {0};

    if (!CHECK(pool_new(n, &j.p, NULL) == GW_OK))
        return;
    CHECK(pool_n_threads(j.p) == n);
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&j.next, 0);
        pool_run(j.p, add_and_check, &j);
        if (round % 50 == 0)
            (void)usleep(1000); /* long enough for the helpers to sleep */
    }
    CHECK(j.wrong == 0);
    CHECK(j.cells[0] == ROUNDS);
    pool_free(j.p);
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void test_idle_costs_nothing(void)
{
    struct job j = {0};
    double cost = 1;

    if (!CHECK(pool_new(4, &j.p, NULL) == GW_OK))
        return;
    pool_run(j.p, add_and_check, &j);
    (void)usleep(20000);
    for (int i = 0; i < 10 && cost >= 0.1; i++) {
        double before = cpu_seconds();

        (void)usleep(200000);
        cost = cpu_seconds() - before;
    }
    CHECK(cost < 0.1); /* spinning would take 0.6 each time */
    pool_free(j.p);
}

static void test_limits(void)
{
    struct pool *p = NULL;

    CHECK(pool_new(0, &p, NULL) == GW_EINVAL && p == NULL);
    CHECK(pool_new(POOL_MAX_THREADS + 1, &p, NULL) == GW_EINVAL && p == NULL);
    pool_free(NULL);
}

/* ---- how many --------------------------------------------------------------------------- */

static void put(const char *root, const char *path, const char *text)
{
    char full[PATH_MAX];
    FILE *f;

    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(full, 0700);
        *p = '/';
    }
    f = fopen(full, "we");
    if (!CHECK(f != NULL))
        return;
    (void)fputs(text, f);
    (void)fclose(f);
}

static void test_quota(void)
{
    char root[] = "/tmp/test_cpus_XXXXXX", cmd[64];
    unsigned all;
    cpu_set_t set;

    if (!CHECK(mkdtemp(root) != NULL) || !CHECK(sched_getaffinity(0, sizeof(set), &set) == 0))
        return;
    all = (unsigned)CPU_COUNT(&set);
    CHECK(cpus_allowed(root) == all); /* nothing there: only the mask counts */
    put(root, "/proc/self/cgroup", "0::/a/b\n");
    put(root, "/sys/fs/cgroup/cpu.max", "max 100000\n");
    CHECK(cpus_allowed(root) == all);
    put(root, "/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    CHECK(cpus_allowed(root) == 1);
    put(root, "/sys/fs/cgroup/a/cpu.max", "150000 100000\n"); /* one and a half is one */
    CHECK(cpus_allowed(root) == 1);
    put(root, "/sys/fs/cgroup/a/cpu.max", "6400000 100000\n");
    CHECK(cpus_allowed(root) == (all < 64 ? all : 64));
    put(root, "/sys/fs/cgroup/a/b/cpu.max", "5000 100000\n"); /* less than one is one */
    CHECK(cpus_allowed(root) == 1);
    put(root, "/sys/fs/cgroup/a/b/cpu.max", "what\n");
    put(root, "/sys/fs/cgroup/cpu.max", "100000 100000\n"); /* the root's own quota: a container */
    CHECK(cpus_allowed(root) == 1);
    put(root, "/sys/fs/cgroup/cpu.max", "max\n");
    put(root, "/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    CHECK(cpus_allowed(root) == all);
    put(root, "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "100000\n");
    CHECK(cpus_allowed(root) == 1);
    CHECK(cpus_allowed("") >= 1 && cpus_allowed("") <= all);
    (void)snprintf(cmd, sizeof(cmd), "rm -r '%s'", root);
    CHECK(system(cmd) == 0);
}

/* ---- KV pages --------------------------------------------------------------------------- */

static void test_pages(void)
{
    const struct kvcache_shape shape = {
        .n_layers = 2, .n_kv_heads = 3, .head_dim = 8, .n_tokens = 160, .max_seq_tokens = 100};
    struct kvcache_seq a = {0}, b = {0}, c = {0};
    struct kvcache *kv;
    struct kern_kv v0, v1;

    if (!CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK))
        return;
    CHECK(kvcache_total_tokens(kv) == 160 && kvcache_used_tokens(kv) == 0);
    CHECK(kvcache_reserve(kv, &a, 101) == GW_ELIMIT && a.n_pages == 0);
    CHECK(kvcache_reserve(kv, &a, 1) == GW_OK && a.n_pages == 1);
    CHECK(kvcache_reserve(kv, &a, 16) == GW_OK && a.n_pages == 1);
    CHECK(kvcache_reserve(kv, &a, 17) == GW_OK && a.n_pages == 2);
    CHECK(kvcache_reserve(kv, &b, 100) == GW_OK && b.n_pages == 7);
    CHECK(kvcache_reserve(kv, &c, 32) == GW_EAGAIN && c.n_pages == 0); /* K2 */
    CHECK(kvcache_reserve(kv, &c, 16) == GW_OK);
    CHECK(kvcache_used_tokens(kv) == 160);
    for (unsigned i = 0; i < a.n_pages; i++)
        for (unsigned k = 0; k < b.n_pages; k++)
            CHECK(a.pages[i] != b.pages[k]); /* K1 */
    v0 = kvcache_view(kv, &a, 0, 0);
    v1 = kvcache_view(kv, &a, 1, 2);
    CHECK((size_t)((char *)v1.base - (char *)v0.base) == 5 * kern_kv_block_bytes(KERN_KV_F16, 8));
    CHECK(v0.block_stride == 6 * kern_kv_block_bytes(KERN_KV_F16, 8) && v0.table == a.pages);
    kvcache_release(kv, &b);
    CHECK(kvcache_reserve(kv, &c, 32) == GW_OK);
    kvcache_release(kv, &a);
    kvcache_release(kv, &c);
    CHECK(kvcache_used_tokens(kv) == 0);
    CHECK(kvcache_reserve(kv, &a, 1) == GW_OK && a.pages[0] == 0); /* low pages first */
    kvcache_release(kv, &a);
    kvcache_free(kv);
}

int main(void)
{
    test_rounds(1);
    test_rounds(2);
    test_rounds(5);
    test_idle_costs_nothing();
    test_limits();
    test_quota();
    test_pages();
    return test_done();
}
