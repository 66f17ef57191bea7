/* kill -9 at random points: every record that was reported durable is in the spool once, and a start
 * always succeeds. AUDIT_KILLS sets the rounds (default 120 a durability). */
#include <sys/wait.h>

#include <signal.h>

#include "base/clock.h"
#include "tests/unit/audit/util.h"

/* What the child tells when a record is durable. */
struct told {
    char id[24];
    char kind; /* 'd' decided, 'c' completed */
};

static int pipe_fd;

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

/* Emits until it is killed. */
static void child(const struct audit_config *cfg, unsigned round)
{
    struct audit_chan *ch[2] = {NULL, NULL};
    struct audit *a = NULL;
    struct gw_err err;

    if (audit_open(cfg, &a, &err) != GW_OK) {
        fprintf(stderr, "round %u: %s\n", round, err.text);
        _exit(1);
    }
    for (int i = 0; i < 2; i++)
        if (audit_chan_open(a, &ch[i], NULL) != GW_OK)
            _exit(1);
    if (write(pipe_fd, "r", 1) != 1)
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

        CHECK(pipe(fds) == 0);
        pid = fork();
        if (pid == 0) {
            (void)close(fds[0]);
            pipe_fd = fds[1];
            child(&cfg, round);
        }
        (void)close(fds[1]);
        /* A quarter dies in its start, the others once they write. */
        if (round % 4 != 0) {
            char ready;

            CHECK(read(fds[0], &ready, 1) == 1);
        }
        (void)usleep((unsigned)(rand() % 8000)); /* NOLINT: a test */
        CHECK(kill(pid, SIGKILL) == 0);
        if (round % 4 == 0) {
            char ready;

            if (read(fds[0], &ready, 1) < 0)
                perror("read");
        }
        hear(&h, fds[0]);
        (void)close(fds[0]);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    }
    if (CHECK(audit_open(&cfg, &a, NULL) == GW_OK))
        audit_close(a, 0);
    judge(&h);
    free(h.all);
    scratch_end();
}

int main(void)
{
    const char *text = getenv("AUDIT_KILLS");
    unsigned rounds = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 120;

    srand((unsigned)gw_clock_ns());
    test_kills(AUDIT_DURABILITY_PROCESS, rounds);
    test_kills(AUDIT_DURABILITY_DISK, rounds);
    return test_done();
}
