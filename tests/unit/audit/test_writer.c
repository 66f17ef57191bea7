/* Tests of what the writer does before a record comes and after it was answered: it looks out for one that was announced, and makes
 * up for what nobody waited for. The fingerprints are computed again from what lies on the disk. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "audit/core.h"
#include "audit/spool_link.h"
#include "tests/unit/audit/util.h"

static atomic_uint n_fail; /* syncs that fail from now on */

static int flaky_sync(int fd)
{
    unsigned left = atomic_load(&n_fail);

    while (left != 0 && !atomic_compare_exchange_weak(&n_fail, &left, left - 1))
        continue;
    if (left == 0)
        return fdatasync(fd);
    errno = EIO;
    return -1;
}

static struct audit *must_open(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct audit *a = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(audit_open(&cfg, &a, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return a;
}

/* Every record names the one before it, whatever was lost between them. */
static void check_links(const struct read_back *rb)
{
    unsigned char said[SPOOL_PRINT_BYTES], is[SPOOL_PRINT_BYTES];

    for (size_t i = 0; i < rb->n; i++) {
        const struct gw_span json = {rb->recs[i].json, rb->recs[i].len};

        if (i == 0) {
            CHECK(spool_link_read(json, said) == SPOOL_LINKED_FIRST);
            continue;
        }
        CHECK(rb->recs[i].seq > rb->recs[i - 1].seq);
        CHECK(spool_link_read(json, said) == SPOOL_LINKED_TO);
        spool_print((struct gw_span){rb->recs[i - 1].json, rb->recs[i - 1].len}, is);
        CHECK(memcmp(said, is, sizeof(is)) == 0);
    }
}

static bool is_asleep(struct audit *a)
{
    for (int i = 0; i < TEST_TURNS; i++) {
        if (atomic_load(&a->asleep) && atomic_load(&a->expected_ns) == 0)
            return true;
        (void)usleep(1000);
    }
    return false;
}

/* What is announced and does not come keeps nobody awake. */
static void test_nothing_comes(enum audit_durability d)
{
    struct audit_chan *ch = NULL;
    struct audit *a;

    scratch_new();
    a = must_open(d);
    a->looks_out = d == AUDIT_DURABILITY_DISK; /* also where there is one core */
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    if (d == AUDIT_DURABILITY_DISK)
        CHECK(is_asleep(a));
    for (int i = 0; i < 100; i++)
        audit_expect(ch);
    if (d == AUDIT_DURABILITY_DISK)
        CHECK(is_asleep(a));
    CHECK(atomic_load(&a->expected_ns) == 0);
    audit_expect(ch); /* closing does not wait for it */
    audit_chan_close(ch);
    audit_close(a, 0);
    scratch_end();
}

enum { EACH = 300 };

struct loop {
    pthread_t thread;
    struct audit *a;
    unsigned number;
    struct results res;
    bool ok; /* CHECK() is the main thread's */
};

/* Announces, waits a while that is different each time, and emits; every third comes unannounced, every fifth does not come. */
static void *run_loop(void *arg)
{
    struct loop *l = arg;
    struct audit_chan *ch = NULL;
    unsigned n = 0;

    l->ok = audit_chan_open(l->a, &ch, NULL) == GW_OK;
    for (unsigned i = 0; i < EACH && l->ok; i++) {
        struct audit_event ev;
        char id[32];

        (void)snprintf(id, sizeof(id), "r-%u-%u", l->number, i);
        if (i % 3 != 0)
            audit_expect(ch);
        for (unsigned k = 0; k < i * 37 % 4000; k++)
            atomic_signal_fence(memory_order_seq_cst);
        if (i % 5 == 0)
            continue;
        ev = decided_of(id);
        l->ok = audit_emit(ch, &ev, on_done, &l->res) == GW_OK;
        n++;
        if (i % 2 == 0) /* else several are on their way */
            l->ok = l->ok && wait_for(ch, &l->res, n);
        ev = completed_of(id);
        ev.ends_decided = true;
        l->ok = l->ok && audit_emit(ch, &ev, NULL, NULL) == GW_OK;
    }
    l->ok = l->ok && wait_for(ch, &l->res, n) && l->res.ok == n;
    audit_chan_close(ch);
    return NULL;
}

static void test_announced(void)
{
    struct loop loops[2] = {{.number = 0}, {.number = 1}};
    struct read_back rb;
    struct audit *a;
    size_t n = 0;

    scratch_new();
    a = must_open(AUDIT_DURABILITY_DISK);
    a->looks_out = true;
    for (int i = 0; i < 2; i++) {
        loops[i].a = a;
        CHECK(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(loops[i].thread, NULL) == 0 && loops[i].ok);
        n += loops[i].res.ok;
    }
    audit_close(a, 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && n == 2 * EACH * 4 / 5);
    CHECK(count_of(&rb, "ai.request.decided", NULL) == n);
    CHECK(count_of(&rb, "ai.request.completed", NULL) == n);
    check_links(&rb);
    read_back_free(&rb);
    scratch_end();
}

/* A batch that is lost takes with it what was not made up for: the next record names the last durable one. */
static void test_links_after_loss(void)
{
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct read_back rb;
    unsigned n = 0;
    struct audit *a;

    scratch_new();
    a = must_open(AUDIT_DURABILITY_DISK);
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (unsigned round = 0; round < 3; round++) {
        for (int tries = 0; tries < TEST_TURNS && res.ok < (round + 1) * 2; tries++) {
            struct audit_event ev;
            char id[32];

            (void)snprintf(id, sizeof(id), "r-%u", n);
            ev = decided_of(id);
            if (audit_emit(ch, &ev, on_done, &res) == GW_OK)
                CHECK(wait_for(ch, &res, ++n));
            else
                (void)usleep(10000); /* refused until the disk is tried again */
        }
        CHECK(res.ok >= (round + 1) * 2);
        atomic_store(&n_fail,
                     round + 1); /* one is tried again in a new segment, two lose the batch */
    }
    atomic_store(&n_fail, 0);
    audit_chan_close(ch);
    audit_close(a, 0);
    CHECK(res.failed == 1);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && count_of(&rb, "ai.request.decided", NULL) == res.ok);
    check_links(&rb);
    read_back_free(&rb);
    scratch_end();
}

int main(void)
{
    spool_io.fdatasync = flaky_sync;
    test_nothing_comes(AUDIT_DURABILITY_DISK);
    test_nothing_comes(AUDIT_DURABILITY_PROCESS);
    test_announced();
    test_links_after_loss();
    return test_done();
}
