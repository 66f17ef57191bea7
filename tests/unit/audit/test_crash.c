/* kill -9 at random points of the spool's writing: every record that was reported durable is in the spool once, and a start
 * always succeeds, with less than two seconds of computing. A third of the kills come at any time; the others inside the system calls that write:
 * before one, in the middle of its bytes, behind it, before and behind a sync. AUDIT_KILLS sets the rounds (default 25 a
 * durability; `make test-long`: 500). */
#include <sys/mman.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdatomic.h>

#include "audit/spool.h"
#include "base/clock.h"
#include "tests/unit/audit/util.h"

/* What a start may compute: what it waits for a disk is no matter of ours. A sanitizer is five times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t START_NS = 10 * GW_NS_PER_SEC;
#else
static const uint64_t START_NS = 2 * GW_NS_PER_SEC;
#endif

/* What the child tells when a record is durable. */
struct told {
    char id[24];
    char kind; /* 'd' decided, 'c' completed */
};

static atomic_uint *slow_starts, *n_windows; /* shared with the children */
static int pipe_fd;

/* ---- dying inside a system call ------------------------------------------------------------------ */

enum die_where { DIE_BEFORE, DIE_WITHIN, DIE_BEHIND };

static atomic_int calls_left; /* writes and syncs until the end; 0: it comes from outside */
static enum die_where die_where;

static void die_if(enum die_where here)
{
    if (atomic_load(&calls_left) == 1 && die_where == here)
        (void)kill(getpid(), SIGKILL);
}

static void count_call(void)
{
    int n = atomic_load(&calls_left);

    while (n > 1 && !atomic_compare_exchange_weak(&calls_left, &n, n - 1))
        continue;
}

static ssize_t dying_write(int fd, const void *bytes, size_t n)
{
    ssize_t done;

    die_if(DIE_BEFORE);
    if (atomic_load(&calls_left) == 1 && die_where == DIE_WITHIN && n > 1 &&
        write(fd, bytes, 1 + (size_t)rand() % (n - 1)) > 0) /* NOLINT: a test */
        (void)kill(getpid(), SIGKILL);
    done = write(fd, bytes, n);
    die_if(DIE_BEHIND);
    count_call();
    return done;
}

static int dying_sync(int fd)
{
    int rc;

    die_if(DIE_BEFORE);
    rc = fdatasync(fd);
    die_if(DIE_BEHIND);
    count_call();
    return rc;
}

/* The keeper's; killed in the middle of it the file is longer already. */
static int dying_allocate(int fd, int mode, off_t from, off_t n)
{
    int rc;

    die_if(DIE_BEFORE);
    rc = fallocate(fd, mode, from, n);
    if (rc == 0)
        atomic_fetch_add(n_windows, 1);
    die_if(DIE_BEHIND);
    count_call();
    return rc;
}

static void tell(void *ctx, enum gw_status st)
{
    struct told *t = ctx;

    if (st == GW_OK && write(pipe_fd, t, sizeof(*t)) != (ssize_t)sizeof(*t))
        _exit(3);
    free(t);
}

static struct told *told_of(char kind, unsigned round, unsigned i)
{
    struct told *t = calloc(1, sizeof(*t));

    t->kind = kind;
    (void)snprintf(t->id, sizeof(t->id), "%u-%u", round, i);
    return t;
}

static uint64_t computed_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * GW_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Emits until it is killed; calls: the write or sync with which it kills itself, 0: somebody else does. */
static void child(const struct audit_config *cfg, unsigned round, int calls)
{
    struct audit_chan *ch[2] = {NULL, NULL};
    struct audit *a = NULL;
    struct gw_err err;

    uint64_t began = computed_ns();

    atomic_store(&calls_left, calls);
    if (audit_open(cfg, &a, &err) != GW_OK) {
        fprintf(stderr, "round %u: %s\n", round, err.text);
        _exit(1);
    }
    if (computed_ns() - began > START_NS) {
        fprintf(stderr, "round %u: the start computed for %.0f ms\n", round,
                (double)(computed_ns() - began) / GW_NS_PER_MS);
        atomic_fetch_add(slow_starts, 1);
    }
    for (int i = 0; i < 2; i++)
        if (audit_chan_open(a, &ch[i], NULL) != GW_OK)
            _exit(1);
    if (calls == 0 && write(pipe_fd, "r", 1) != 1)
        _exit(3);
    for (unsigned i = 0;; i++) {
        struct told *t = told_of('d', round, i);
        char id[24];
        struct audit_event ev;

        memcpy(id, t->id, sizeof(id));
        ev = decided_of(id);
        while (audit_emit(ch[i % 2], &ev, tell, t) != GW_OK)
            audit_chan_dispatch(ch[i % 2]);
        if (i % 3 != 0) { /* a third stays open */
            t = told_of('c', round, i);
            ev = completed_of(id);
            while (audit_emit(ch[i % 2], &ev, tell, t) != GW_OK)
                audit_chan_dispatch(ch[i % 2]);
        }
        audit_chan_dispatch(ch[i % 2]);
    }
}

struct heard {
    struct told *all;
    size_t n, cap;
};

static void hear(struct heard *h, int fd)
{
    struct told t;

    while (read(fd, &t, sizeof(t)) == (ssize_t)sizeof(t)) {
        if (h->n == h->cap) {
            h->cap = h->cap == 0 ? 4096 : h->cap * 2;
            h->all = realloc(h->all, h->cap * sizeof(*h->all));
        }
        h->all[h->n++] = t;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "d 3-17" for each request record, sorted. */
static char **keys_of(const struct read_back *rb, size_t *n_out)
{
    char **keys = calloc(rb->n + 1, sizeof(*keys));
    size_t n = 0;

    for (size_t i = 0; i < rb->n; i++) {
        struct gw_span json = {rb->recs[i].json, rb->recs[i].len};
        char id[EVENT_ID_BYTES];
        struct gw_span s = event_request_id(json, id);

        if (s.len != 0 &&
            asprintf(&keys[n], "%c %.*s", rb->recs[i].kind == SPOOL_KIND_DECIDED ? 'd' : 'c',
                     (int)s.len, s.ptr) > 0)
            n++;
    }
    qsort(keys, n, sizeof(*keys), by_text);
    *n_out = n;
    return keys;
}

static void judge(const struct heard *h)
{
    struct read_back rb = read_spool(scratch);
    size_t n, missing = 0, twice = 0, unended = 0;
    char **keys = keys_of(&rb, &n);

    CHECK(rb.bad == 0);
    for (size_t i = 1; i < n; i++)
        twice += strcmp(keys[i], keys[i - 1]) == 0;
    for (size_t i = 0; i < h->n; i++) {
        char key[40], *p = key;

        (void)snprintf(key, sizeof(key), "%c %s", h->all[i].kind, h->all[i].id);
        missing += bsearch(&p, keys, n, sizeof(*keys), by_text) == NULL;
    }
    for (size_t i = 0; i < n; i++) {
        char key[60], *p = key;

        (void)snprintf(key, sizeof(key), "c%s", keys[i] + 1);
        unended += bsearch(&p, keys, n, sizeof(*keys), by_text) == NULL;
    }
    printf("%zu told durable, %zu request records, %zu gateway_lost, %zu gaps\n", h->n, n,
           count_end(&rb, NULL, "gateway_lost"), count_of(&rb, "sluice.gap", NULL));
    CHECK(h->n != 0 && missing == 0 && twice == 0 && unended == 0);
    for (size_t i = 0; i < n; i++)
        free(keys[i]);
    free((void *)keys);
    read_back_free(&rb);
}

static void test_kills(enum audit_durability d, unsigned rounds)
{
    struct audit_config cfg = config_of(d);
    struct heard h = {NULL, 0, 0};
    struct audit *a = NULL;

    scratch_new();
    cfg.segment_bytes = 64 << 10;
    cfg.max_spool_bytes = 1u << 30;
    for (unsigned round = 0; round < rounds; round++) {
        int fds[2], status;
        pid_t pid;

        bool inside = round % 3 != 0;
        unsigned calls = 1 + (unsigned)rand() % (round % 2 != 0 ? 300 : 12); /* NOLINT: a test */

        die_where = (enum die_where)(round % 5 % 3);
        CHECK(pipe(fds) == 0);
        pid = fork();
        if (pid == 0) {
            (void)close(fds[0]);
            pipe_fd = fds[1];
            /* A quarter writes every record with a system call. */
            spool_io.allocate = round % 4 == 0 ? NULL : dying_allocate;
            child(&cfg, round, inside ? (int)calls : 0);
        }
        (void)close(fds[1]);
        if (!inside) {
            char ready;

            /* Half of these die in their start, the others once they write. */
            if (round % 2 != 0)
                CHECK(read(fds[0], &ready, 1) == 1);
            (void)usleep((unsigned)(rand() % 8000)); /* NOLINT: a test */
            CHECK(kill(pid, SIGKILL) == 0);
            if (round % 2 == 0 && read(fds[0], &ready, 1) < 0)
                perror("read");
        }
        hear(&h, fds[0]);
        (void)close(fds[0]);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    }
    if (CHECK(audit_open(&cfg, &a, NULL) == GW_OK))
        audit_close(a, 0);
    judge(&h);
    /* One in a hundred, and one more, may have met a machine that counts what it stood still. */
    CHECK(atomic_load(slow_starts) <= 1 + rounds / 100);
    atomic_store(slow_starts, 0);
    free(h.all);
    scratch_end();
}

int main(void)
{
    const char *text = getenv("AUDIT_KILLS");
    unsigned rounds = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 25;

    slow_starts = mmap(NULL, 2 * sizeof(*slow_starts), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(slow_starts != MAP_FAILED))
        return test_done();
    n_windows = slow_starts + 1;
    spool_io = (struct spool_io){dying_write, dying_sync, NULL};
    srand((unsigned)gw_clock_ns());
    test_kills(AUDIT_DURABILITY_PROCESS, rounds);
    printf("%u windows\n", atomic_load(n_windows));
    CHECK(atomic_load(n_windows) != 0);
    test_kills(AUDIT_DURABILITY_DISK, rounds);
    return test_done();
}
