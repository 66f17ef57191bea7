/* What happens when the disk, the cap or the queue says no; and many channels at once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "audit/spool.h"
#include "base/clock.h"
#include "tests/unit/audit/util.h"

static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};

/* ---- faults ------------------------------------------------------------------------------------ */

static atomic_int fail_writes, fail_syncs; /* how many calls from now on fail; negative: all */
static atomic_int fail_errno, short_writes, slow_syncs, stuck_syncs;

static bool take_fault(atomic_int *left)
{
    int n = atomic_load(left);

    while (n != 0)
        if (atomic_compare_exchange_weak(left, &n, n > 0 ? n - 1 : n))
            return true;
    return false;
}

static ssize_t faulty_write(int fd, const void *bytes, size_t n)
{
    if (take_fault(&fail_writes)) {
        /* Half of it gets through first, as on a full disk. */
        if (n > 1 && write(fd, bytes, n / 2) < 0)
            perror("write");
        errno = atomic_load(&fail_errno);
        return -1;
    }
    if (atomic_load(&short_writes) != 0 && n > 1)
        return write(fd, bytes, 1 + n / 3);
    return write(fd, bytes, n);
}

static int faulty_sync(int fd)
{
    if (take_fault(&fail_syncs)) {
        errno = EIO;
        return -1;
    }
    TEST_UNTIL(atomic_load(&stuck_syncs) == 0);
    if (atomic_load(&slow_syncs) != 0)
        (void)usleep(250000);
    return fdatasync(fd);
}

struct run {
    struct audit *a;
    struct audit_chan *ch;
    struct results res;
    unsigned next, accepted;
};

static struct run run_open(const struct audit_config *cfg)
{
    struct run r = {NULL, NULL, {0, 0, 0}, 0, 0};
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(audit_open(cfg, &r.a, &err) == GW_OK && audit_chan_open(r.a, &r.ch, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return r;
}

static void run_close(struct run *r)
{
    audit_chan_close(r->ch);
    audit_close(r->a, 0);
}

/* One decided record with its answer. */
static enum gw_status emit_one(struct run *r)
{
    char id[32];
    struct audit_event ev;
    enum gw_status st;

    (void)snprintf(id, sizeof(id), "r-%u", r->next++);
    ev = decided_of(id);
    st = audit_emit(r->ch, &ev, on_done, &r->res);
    if (st == GW_OK) {
        r->accepted++;
        CHECK(wait_for(r->ch, &r->res, r->accepted));
    }
    return st;
}

/* Tries until a record is durable again, half a minute at most. */
static bool recovers(struct run *r)
{
    for (int i = 0; i < 3000; i++) {
        unsigned before = r->res.ok;

        if (emit_one(r) == GW_OK && r->res.ok > before)
            return true;
        (void)usleep(10000);
    }
    return false;
}

/* Each record that was called durable is there once; what was not may be there once. */
static void check_ledger(const struct run *r)
{
    struct read_back rb = read_spool(scratch);
    size_t twice = 0, there = count_of(&rb, "ai.request.decided", NULL);

    for (unsigned i = 0; i < r->next; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "r-%u", i);
        twice += count_of(&rb, "ai.request.decided", id) > 1;
    }
    CHECK(rb.bad == 0 && twice == 0 && there >= r->res.ok && there <= r->next);
    read_back_free(&rb);
}

static void test_one_fault(enum audit_durability d, atomic_int *left, int error)
{
    struct audit_config cfg = config_of(d);
    struct run r;

    scratch_new();
    r = run_open(&cfg);
    for (int i = 0; i < 5; i++)
        CHECK(emit_one(&r) == GW_OK);
    /* One failure is healed by a new segment: nobody notices. */
    atomic_store(&fail_errno, error);
    atomic_store(left, 1);
    CHECK(emit_one(&r) == GW_OK && r.res.ok == 6);
    CHECK(atomic_load(left) == 0 || (left == &fail_syncs && d == AUDIT_DURABILITY_PROCESS));
    atomic_store(left, 0);
    for (int i = 0; i < 5; i++)
        CHECK(emit_one(&r) == GW_OK);
    CHECK(r.res.ok == 11 && r.res.failed == 0);
    run_close(&r);
    check_ledger(&r);
    scratch_end();
}

static void test_outage(enum audit_durability d, atomic_int *left, int error)
{
    struct audit_config cfg = config_of(d);
    struct audit_stats st;
    struct read_back rb;
    unsigned durable;
    struct run r;

    scratch_new();
    r = run_open(&cfg);
    for (int i = 0; i < 5; i++)
        CHECK(emit_one(&r) == GW_OK);
    durable = r.res.ok;
    atomic_store(&fail_errno, error);
    atomic_store(left, -1);
    for (int i = 0; i < 20; i++) {
        enum gw_status got = emit_one(&r);

        CHECK(got == GW_EIO || (got == GW_OK && r.res.ok == durable));
    }
    audit_stats(r.a, &st);
    CHECK(!st.writable && st.rejected == 20);
    atomic_store(left, 0);
    CHECK(recovers(&r));
    CHECK(emit_one(&r) == GW_OK);
    audit_stats(r.a, &st);
    CHECK(st.writable);
    run_close(&r);
    check_ledger(&r);
    rb = read_spool(scratch);
    CHECK(count_of(&rb, "sluice.degraded", NULL) == 1 &&
          count_of(&rb, "sluice.recovered", NULL) == 1);
    CHECK(count_of(&rb, "sluice.gap", NULL) == 1);
    read_back_free(&rb);
    /* And the next start finds nothing wrong. */
    r = run_open(&cfg);
    run_close(&r);
    rb = read_spool(scratch);
    CHECK(count_of(&rb, "sluice.gap", NULL) == 1);
    read_back_free(&rb);
    scratch_end();
}

/* Requests that were decided end while the disk takes nothing: each has its end in the end, once. */
static void test_ends_wait(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct read_back rb;
    size_t lost;
    struct run r;

    scratch_new();
    r = run_open(&cfg);
    for (int i = 0; i < 5; i++)
        CHECK(emit_one(&r) == GW_OK);
    atomic_store(&fail_errno, ENOSPC);
    atomic_store(&fail_writes, -1);
    for (unsigned i = 0; i < 5; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%u", i);
        ev = completed_of(id);
        ev.ends_decided = true;
        CHECK(audit_emit(r.ch, &ev, NULL, NULL) == GW_OK);
        (void)usleep(i == 2 ? 300000 : 1000); /* and once when it is tried anew */
    }
    atomic_store(&fail_writes, 0);
    CHECK(recovers(&r));
    run_close(&r);
    rb = read_spool(scratch);
    /* What a sync that failed had with it is lost, and told; what waited in the channel is not. */
    lost = 5 - count_end(&rb, NULL, "complete");
    CHECK(d == AUDIT_DURABILITY_PROCESS ? lost == 0 : count_of(&rb, "sluice.gap", NULL) == 1);
    read_back_free(&rb);
    r = run_open(&cfg); /* ends what is left open */
    run_close(&r);
    rb = read_spool(scratch);
    for (unsigned i = 0; i < 5; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "r-%u", i);
        CHECK(count_of(&rb, "ai.request.completed", id) == 1);
    }
    read_back_free(&rb);
    scratch_end();
}

/* The disk does not come back from a sync until all is emitted: whoever emits does not wait for it. */
static void test_never_blocks(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct run r;

    scratch_new();
    r = run_open(&cfg);
    atomic_store(&stuck_syncs, 1);
    for (int i = 0; i < 20; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%u", r.next++);
        ev = decided_of(id);
        CHECK(audit_emit(r.ch, &ev, on_done, &r.res) == GW_OK);
        audit_chan_dispatch(r.ch);
        (void)usleep(1000);
    }
    CHECK(r.res.n == 0);
    atomic_store(&stuck_syncs, 0);
    CHECK(wait_for(r.ch, &r.res, 20) && r.res.ok == 20);
    run_close(&r);
    scratch_end();
}

static void test_short_writes(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct run r;

    scratch_new();
    atomic_store(&short_writes, 1);
    r = run_open(&cfg);
    for (int i = 0; i < 20; i++)
        CHECK(emit_one(&r) == GW_OK);
    run_close(&r);
    atomic_store(&short_writes, 0);
    CHECK(r.res.ok == 20);
    check_ledger(&r);
    scratch_end();
}

/* A start on a disk that takes nothing: an error with words, not a gateway without a ledger. */
static void test_start_unwritable(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct gw_err err = {GW_OK, ""};
    struct audit *a = NULL;

    scratch_new();
    atomic_store(&fail_errno, ENOSPC);
    atomic_store(&fail_writes, -1);
    CHECK(audit_open(&cfg, &a, &err) == GW_EIO && a == NULL);
    CHECK(strstr(err.text, "No space") != NULL);
    atomic_store(&fail_writes, 0);
    CHECK(audit_open(&cfg, &a, &err) == GW_OK);
    audit_close(a, 0);
    scratch_end();
}

/* ---- the cap ----------------------------------------------------------------------------------- */

static uint64_t disk_bytes(void)
{
    struct spool_file *files = NULL;
    size_t n = 0;
    uint64_t sum = 0;
    int fd = open(scratch, O_RDONLY | O_DIRECTORY);

    CHECK(spool_list(fd, &files, &n, NULL) == GW_OK);
    for (size_t i = 0; i < n; i++)
        sum += files[i].bytes;
    free(files);
    (void)close(fd);
    return sum;
}

static void test_cap_reject(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct audit_event ev;
    struct audit_stats st;
    struct read_back rb;
    unsigned n_open;
    struct run r;

    scratch_new();
    cfg.max_spool_bytes = 8 << 20;
    r = run_open(&cfg);
    atomic_store(&slow_syncs, 1); /* room is kept also for what the writer has not seen yet */
    for (n_open = 0; n_open < 100000; n_open++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "r-%u", r.next++);
        ev = decided_of(id);
        ev.user_agent = (struct gw_span){scratch, strlen(scratch)};
        if (audit_emit(r.ch, &ev, NULL, NULL) == GW_ELIMIT)
            break;
        if (n_open % 100 == 0)
            (void)usleep(1000);
    }
    atomic_store(&slow_syncs, 0);
    CHECK(n_open > 500 && n_open < 100000);
    audit_stats(r.a, &st);
    CHECK(!st.writable && st.rejected >= 1 && st.spool_bytes <= st.spool_max_bytes);
    /* Those that were decided can all be ended: room was kept for them. */
    for (unsigned i = 0; i < n_open; i++) {
        char id[32];
        enum gw_status got;

        (void)snprintf(id, sizeof(id), "r-%u", i);
        ev = completed_of(id);
        while ((got = audit_emit(r.ch, &ev, NULL, NULL)) == GW_EAGAIN)
            (void)usleep(1000);
        if (!CHECK(got == GW_OK))
            break;
    }
    CHECK(disk_bytes() <= cfg.max_spool_bytes);
    run_close(&r);
    CHECK(disk_bytes() <= cfg.max_spool_bytes);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && count_of(&rb, "sluice.degraded", NULL) == 1);
    CHECK(count_of(&rb, "sluice.stopped", NULL) == 1);
    read_back_free(&rb);
    /* A start on a full spool works, and where retention allows it, it makes room. */
    r = run_open(&cfg);
    run_close(&r);
    CHECK(disk_bytes() <= cfg.max_spool_bytes);
    cfg.retain_seconds = 0;
    r = run_open(&cfg);
    CHECK(emit_one(&r) == GW_OK);
    run_close(&r);
    scratch_end();
}

static void test_cap_continue(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct read_back rb;
    uint64_t told = 0;
    struct run r;

    scratch_new();
    cfg.max_spool_bytes = 8 << 20;
    cfg.on_full = AUDIT_ON_FULL_CONTINUE;
    r = run_open(&cfg);
    for (unsigned i = 0; i < 12000; i++) {
        struct audit_event ev = completed_of("x");
        enum gw_status got;

        ev.end = AUDIT_END_REFUSED;
        while ((got = audit_emit(r.ch, &ev, NULL, NULL)) == GW_EAGAIN)
            (void)usleep(1000);
        CHECK(got == GW_OK);
    }
    run_close(&r);
    CHECK(disk_bytes() <= cfg.max_spool_bytes);
    rb = read_spool(scratch);
    for (size_t i = 0; i < rb.n; i++) {
        struct gw_span json = {rb.recs[i].json, rb.recs[i].len};
        char code[32];
        uint64_t n;

        if (gw_span_is(event_str(json, "event_code", code, sizeof(code)), "sluice.gap") &&
            event_num(json, "sluice.records", &n))
            told += n;
    }
    /* The count is exact. */
    CHECK(told > 0 && count_of(&rb, "ai.request.completed", "x") + told == 12000);
    read_back_free(&rb);
    /* Where retention frees room while it runs, it goes on, and says so. */
    cfg.retain_seconds = 0;
    r = run_open(&cfg);
    CHECK(recovers(&r) && emit_one(&r) == GW_OK);
    run_close(&r);
    scratch_end();
}

/* ---- deletion ---------------------------------------------------------------------------------- */

/* A segment behind which a request is open stays, however old it is; the rest goes. */
static void test_open_holds(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct read_back rb;
    struct audit_event ev;
    struct run r;

    scratch_new();
    cfg.segment_bytes = 8 << 10;
    cfg.retain_seconds = 0;
    r = run_open(&cfg);
    ev = decided_of("long");
    CHECK(audit_emit(r.ch, &ev, NULL, NULL) == GW_OK);
    for (int i = 0; i < 200; i++) {
        ev = completed_of("short");
        ev.end = AUDIT_END_REFUSED;
        CHECK(audit_emit(r.ch, &ev, NULL, NULL) == GW_OK);
    }
    for (int i = 0; i < TEST_TURNS; i++, read_back_free(&rb), test_nap()) {
        rb = read_spool(scratch);
        if (count_of(&rb, "ai.request.completed", "short") == 200)
            break;
    }
    read_back_free(&rb);
    (void)usleep(1500000);
    rb = read_spool(scratch);
    CHECK(count_of(&rb, "ai.request.decided", "long") == 1);
    CHECK(count_of(&rb, "ai.request.completed", "short") == 200);
    read_back_free(&rb);
    ev = completed_of("long");
    CHECK(audit_emit(r.ch, &ev, NULL, NULL) == GW_OK);
    for (int i = 0; i < 3000; i++) {
        rb = read_spool(scratch);
        if (count_of(&rb, "ai.request.completed", "short") < 30)
            break;
        read_back_free(&rb);
        (void)usleep(10000);
    }
    CHECK(count_of(&rb, "ai.request.completed", "short") < 30);
    read_back_free(&rb);
    run_close(&r);
    scratch_end();
}

/* ---- many channels ----------------------------------------------------------------------------- */

enum { CHANNELS = 4, EACH = 1500 };

struct worker {
    struct audit *a;
    unsigned index;
    struct results res;
    unsigned refused;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct audit_chan *ch = NULL;
    unsigned accepted = 0;

    if (audit_chan_open(w->a, &ch, NULL) != GW_OK)
        return NULL;
    for (unsigned i = 0; i < EACH; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "%u-%u", w->index, i);
        ev = decided_of(id);
        while (audit_emit(ch, &ev, on_done, &w->res) == GW_EAGAIN)
            audit_chan_dispatch(ch);
        accepted++;
        ev = completed_of(id);
        while (audit_emit(ch, &ev, NULL, NULL) == GW_EAGAIN)
            audit_chan_dispatch(ch);
        if (i % 16 == 0)
            audit_chan_dispatch(ch);
    }
    for (int i = 0; i < 6000 && w->res.n < accepted; i++) {
        struct pollfd p = {audit_chan_fd(ch), POLLIN, 0};

        (void)poll(&p, 1, 10);
        audit_chan_dispatch(ch);
    }
    audit_chan_close(ch);
    return NULL;
}

static void test_channels(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct worker w[CHANNELS];
    pthread_t threads[CHANNELS];
    struct audit_stats st;
    struct read_back rb;
    struct audit *a = NULL;

    scratch_new();
    cfg.n_channels = CHANNELS;
    cfg.segment_bytes = 256 << 10;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    for (unsigned i = 0; i < CHANNELS; i++) {
        w[i] = (struct worker){a, i, {0, 0, 0}, 0};
        CHECK(pthread_create(&threads[i], NULL, work, &w[i]) == 0);
    }
    for (int i = 0; i < 20; i++) {
        audit_stats(a, &st);
        (void)usleep(1000);
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK(w[i].res.ok == EACH && w[i].res.failed == 0);
    }
    audit_stats(a, &st);
    printf("%s: %d decided records, %" PRIu64 " syncs\n",
           d == AUDIT_DURABILITY_DISK ? "disk" : "process", CHANNELS * EACH, st.syncs);
    CHECK(d == AUDIT_DURABILITY_PROCESS || st.syncs < CHANNELS * EACH / 2); /* group commit */
    audit_close(a, 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && count_of(&rb, "ai.request.decided", NULL) == CHANNELS * EACH);
    CHECK(count_of(&rb, "ai.request.completed", NULL) == CHANNELS * EACH);
    read_back_free(&rb);
    scratch_end();
}

/* More channels than announced, and numbers that come free again. */
static void test_channel_count(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit_chan *ch[3] = {NULL, NULL, NULL};
    struct audit *a = NULL;

    scratch_new();
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    CHECK(audit_chan_open(a, &ch[0], NULL) == GW_OK && audit_chan_open(a, &ch[1], NULL) == GW_OK);
    CHECK(audit_chan_open(a, &ch[2], NULL) == GW_ELIMIT && ch[2] == NULL);
    audit_chan_close(ch[0]);
    CHECK(audit_chan_open(a, &ch[2], NULL) == GW_OK);
    audit_chan_close(ch[1]);
    audit_chan_close(ch[2]);
    audit_close(a, 0);
    scratch_end();
}

int main(void)
{
    spool_io = (struct spool_io){faulty_write, faulty_sync, NULL};
    test_channel_count();
    test_never_blocks();
    for (size_t i = 0; i < 2; i++) {
        test_channels(both[i]);
        test_one_fault(both[i], &fail_writes, ENOSPC);
        test_one_fault(both[i], &fail_writes, EIO);
        test_outage(both[i], &fail_writes, ENOSPC);
        test_short_writes(both[i]);
        test_ends_wait(both[i]);
        test_start_unwritable(both[i]);
        test_cap_reject(both[i]);
        test_cap_continue(both[i]);
        test_open_holds(both[i]);
    }
    test_one_fault(AUDIT_DURABILITY_DISK, &fail_syncs, EIO);
    test_outage(AUDIT_DURABILITY_DISK, &fail_syncs, EIO);
    return test_done();
}
